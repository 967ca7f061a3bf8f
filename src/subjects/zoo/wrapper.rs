//! A client with a perturbation around it: what goes in and what comes out pass through the perturbation, timers included.
//!
//! The client inside is sound and knows nothing of it. A perturbation may drop, change, add and keep back inputs and outputs,
//! and has timers of its own; it sees no more than the engine does, so that the client cannot tell it from the world. Where
//! the connection is compressed both see the payloads as they are, once they are whole: a client takes a text for what it is.

use crate::client::inflate::Inflater;
use crate::machine::{ConnectionId, Input, Machine, Message, Output, Status, Timer};
use crate::protocol::{Compression, Envelope, Opcode};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// What is done to a client's inputs and outputs. What a perturbation does not override passes unchanged.
pub(super) trait Perturb: fmt::Debug {
    /// The world has something for the client.
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        host.tell(now, input);
    }

    /// The client has something for the world.
    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        let _ = now;
        host.ask(output);
    }
}

/// What a perturbation acts on: the client inside, and the world outside.
pub(super) struct Host {
    client: Box<dyn Machine>,
    outputs: VecDeque<Output>,
}

impl Host {
    /// Tells the client something. What it asks for in answer goes through the perturbation as everything does.
    pub(super) fn tell(&mut self, now: Instant, input: Input<'_>) {
        self.client.handle(now, input);
    }

    /// Tells the client that a text message arrived.
    pub(super) fn deliver(&mut self, now: Instant, connection: ConnectionId, text: &str) {
        let message = Message::Text(text);
        let input = Input::Received {
            connection,
            message,
        };
        self.tell(now, input);
    }

    /// Asks the world for something.
    pub(super) fn ask(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Arms a timer of the perturbation's own.
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.ask(Output::Arm { timer, at });
    }

    /// Disarms a timer of the perturbation's own.
    pub(super) fn disarm(&mut self, timer: Timer) {
        self.ask(Output::Disarm { timer });
    }

    /// The client comes to an end by an error that nobody catches.
    pub(super) fn die(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.ask(Output::Died { message });
    }

    /// Where the client stands.
    pub(super) fn status(&self) -> Status {
        self.client.status()
    }
}

/// A client with a perturbation around it.
pub(super) struct Wrapped {
    host: Host,
    perturbation: Box<dyn Perturb>,
    compression: Compression,
    /// What reads the messages of each connection, where they are compressed.
    inflaters: BTreeMap<ConnectionId, Inflater>,
}

/// What stands for a message that cannot be decompressed: nor can this be read.
const UNREADABLE: Message<'_> = Message::Text("");

impl Wrapped {
    pub(super) const fn new(
        client: Box<dyn Machine>,
        perturbation: Box<dyn Perturb>,
        compression: Compression,
    ) -> Self {
        Self {
            host: Host {
                client,
                outputs: VecDeque::new(),
            },
            perturbation,
            compression,
            inflaters: BTreeMap::new(),
        }
    }

    /// Shows an input to the perturbation, a compressed message as what it carries.
    fn show(&mut self, now: Instant, input: Input<'_>) {
        match &input {
            Input::Opened(connection) if self.compression != Compression::None => {
                let inflater = Inflater::new(self.compression);
                self.inflaters.insert(*connection, inflater);
            }
            Input::Ended { connection, .. } => {
                self.inflaters.remove(connection);
            }
            _ => {}
        }
        let input = match input {
            Input::Received {
                connection,
                message,
            } => {
                let message = match self.inflaters.get_mut(&connection) {
                    Some(inflater) => match inflater.read(message) {
                        Ok(Some(text)) => Message::Text(text),
                        Ok(None) => return,
                        Err(_) => UNREADABLE,
                    },
                    None => message,
                };
                Input::Received {
                    connection,
                    message,
                }
            }
            input => input,
        };
        self.perturbation.input(now, input, &mut self.host);
    }
}

impl Machine for Wrapped {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.show(now, input);
        while let Some(output) = self.host.client.poll_output() {
            self.perturbation.output(now, output, &mut self.host);
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.host.outputs.pop_front()
    }

    fn status(&self) -> Status {
        self.host.client.status()
    }
}

/// The payload in a message, if it is one.
pub(super) fn payload<'a>(message: &Message<'a>) -> Option<Envelope<'a>> {
    match message {
        Message::Text(text) => Envelope::read(text),
        Message::Binary(bytes) => Envelope::read_bytes(bytes),
    }
    .ok()
}

/// The opcode of a payload in a message.
pub(super) fn opcode(message: &Message<'_>) -> Option<Opcode> {
    payload(message).map(|payload| payload.op)
}

/// The opcode of a text that the client sends.
pub(super) fn sent_opcode(text: &str) -> Option<Opcode> {
    opcode(&Message::Text(text))
}

/// Whether a payload says that the connection is authenticated.
pub(super) fn authenticates(payload: &Envelope<'_>) -> bool {
    payload.op == Opcode::DISPATCH && matches!(payload.t.as_deref(), Some("READY" | "RESUMED"))
}

/// A heartbeat's ACK, as the gateway writes it.
pub(super) const ACK: &str = r#"{"t":null,"s":null,"op":11,"d":null}"#;
