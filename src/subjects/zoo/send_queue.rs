//! D22: heartbeats wait in line. There is one queue for all that is sent, 120 payloads a minute, and a heartbeat stands
//! behind whatever the application had to say before it. Its timer catches up after a stall: what was due meanwhile is judged
//! at once, before an ACK could be there.

use super::HEARTBEAT;
use super::wrapper::{Host, Perturb, authenticates, payload, sent_opcode};
use crate::machine::{Command, CommandFate, ConnectionId, Input, Output, Timer};
use crate::protocol::{ClientFrame, Opcode};
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// How many payloads leave within [`WINDOW`].
const MOST: usize = 120;
/// Discord's, Gateway, Rate Limiting.
const WINDOW: Duration = Duration::from_mins(1);
/// The timer of the queue.
const TIMER: Timer = Timer {
    name: "send-queue",
    number: 0,
};

/// Sends heartbeats through the queue of the application's commands.
#[derive(Debug, Default)]
pub(super) struct InLine {
    waiting: VecDeque<Waiting>,
    /// When payloads were sent on this connection, as far as they count.
    sent: VecDeque<Instant>,
    /// The connection on which commands may be sent.
    ready: Option<ConnectionId>,
    /// When heartbeat timers are due.
    due: BTreeMap<Timer, Instant>,
}

/// What waits to be sent.
#[derive(Debug)]
enum Waiting {
    Beat {
        connection: ConnectionId,
        text: String,
    },
    Command(Command),
}

impl InLine {
    /// Sends what may be sent, in order; commands stay where there is no session to send them in.
    fn pump(&mut self, now: Instant, host: &mut Host) {
        while self.sent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.sent.pop_front();
        }
        let is_sendable = |it: &Waiting| matches!(it, Waiting::Beat { .. }) || self.ready.is_some();
        while let Some(place) = self.waiting.iter().position(is_sendable) {
            if self.sent.len() >= MOST {
                host.arm(TIMER, self.sent[0] + WINDOW);
                return;
            }
            self.sent.push_back(now);
            match self.waiting.remove(place) {
                Some(Waiting::Beat { connection, text }) => {
                    host.ask(Output::Send { connection, text });
                }
                Some(Waiting::Command(Command { id, op, d })) => {
                    if let Some(connection) = self.ready {
                        let text = ClientFrame::Command { op, d }.encode();
                        host.ask(Output::Send { connection, text });
                        let fate = CommandFate::Sent;
                        host.ask(Output::Commanded { command: id, fate });
                    }
                }
                None => {}
            }
        }
    }

    /// A connection is over: its heartbeats are not for the next one.
    fn over(&mut self, connection: ConnectionId) {
        self.waiting
            .retain(|it| !matches!(it, Waiting::Beat { connection: of, .. } if *of == connection));
        if self.ready == Some(connection) {
            self.ready = None;
        }
    }
}

impl Perturb for InLine {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match input {
            Input::Command(command) => self.waiting.push_back(Waiting::Command(command)),
            Input::Fired(TIMER) => {}
            Input::Fired(timer) => {
                // A timer that is late believes that it is on time.
                let due = self.due.remove(&timer).unwrap_or(now);
                host.tell(due, Input::Fired(timer));
            }
            Input::Received {
                connection,
                message,
            } => {
                if payload(&message).is_some_and(|it| authenticates(&it)) {
                    self.ready = Some(connection);
                }
                host.tell(now, input);
            }
            Input::Closing { connection, .. } | Input::Ended { connection, .. } => {
                self.over(connection);
                host.tell(now, input);
            }
            Input::Stop => {
                for it in std::mem::take(&mut self.waiting) {
                    if let Waiting::Command(Command { id, .. }) = it {
                        let fate = CommandFate::Refused;
                        host.ask(Output::Commanded { command: id, fate });
                    }
                }
                host.tell(now, input);
            }
            input => host.tell(now, input),
        }
        self.pump(now, host);
    }

    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        match output {
            Output::Send { connection, text } => {
                if sent_opcode(&text) == Some(Opcode::HEARTBEAT) {
                    self.waiting.push_back(Waiting::Beat { connection, text });
                    self.pump(now, host);
                } else {
                    self.sent.push_back(now);
                    host.ask(Output::Send { connection, text });
                }
            }
            Output::Open { .. } => {
                self.sent.clear();
                host.ask(output);
            }
            Output::Close { connection, .. } | Output::Abort { connection } => {
                self.over(connection);
                host.ask(output);
            }
            Output::Arm { timer, at } => {
                if timer.name == HEARTBEAT {
                    self.due.insert(timer, at);
                }
                host.ask(output);
            }
            Output::Disarm { timer } => {
                self.due.remove(&timer);
                host.ask(output);
            }
            output => host.ask(output),
        }
    }
}
