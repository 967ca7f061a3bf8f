//! The way out of the gateway's end: what the fake gateway asks for meets its fate, is traced, and is put on its way.
//!
//! A frame's fate is the schedule's word on it; what remains to be sent is packed, goes into the connection's link, and leaves
//! it for the socket. Nothing is decided here that a schedule or the fake gateway could decide.

use super::connection::{Connection, Cut, Dress, Reading, Stage};
use super::{GatewaySide, Later};
use crate::fault::Event;
use crate::faults;
use crate::faults::link::Chunk;
use crate::net::codec;
use crate::net::record::Recorder;
use crate::protocol::{CloseCode, Json, Opcode, ServerFrame};
use crate::server::gateway::Gateway;
use crate::server::{Input, Order, Output, payload};
use crate::time::Instant;
use crate::trace::{Fate, Kind, Seen, Side};

impl GatewaySide {
    /// Carries out what the gateway asks for. What a frame's fate makes the gateway ask for in turn goes out before it.
    pub(super) fn react(&mut self, now: Instant, to: &mut Recorder<'_>) {
        while let Some(first) = self.gateway.poll_output() {
            // Nearly always there is one or two; only a replay needs a list.
            let Some(second) = self.gateway.poll_output() else {
                self.obey(now, first, to);
                continue;
            };
            let rest: Vec<Output> = std::iter::from_fn(|| self.gateway.poll_output()).collect();
            self.obey(now, first, to);
            self.obey(now, second, to);
            for output in rest {
                self.obey(now, output, to);
            }
        }
    }

    pub(super) fn obey(&mut self, now: Instant, output: Output, to: &mut Recorder<'_>) {
        match output {
            Output::Send { connection, frame } => self.emit(now, connection, frame, to),
            Output::Close {
                connection,
                code,
                reason,
            } => {
                self.send_close(now, connection, code, &reason, Fate::Delivered, to);
            }
            Output::Reset { connection } => self.reset(now, connection, to),
            Output::Arm { timer, at } => self.timers.arm(timer, at),
            Output::Disarm { timer } => self.timers.disarm(timer),
        }
    }

    /// A frame of the gateway's meets its fate.
    pub(super) fn emit(
        &mut self,
        now: Instant,
        number: u32,
        frame: ServerFrame,
        to: &mut Recorder<'_>,
    ) {
        let met = match event_of(&frame) {
            Some(event) => self.meet(now, event, number, None, to),
            None => faults::Fate::Deliver,
        };
        let behind = self.hello_awaited(now, number, frame.op);
        let (met, dress) = dressed(met);
        let met = match (met, behind) {
            (faults::Fate::Deliver | faults::Fate::Swap, Some(at)) => faults::Fate::Delay(at),
            (faults::Fate::Delay(own), Some(at)) => faults::Fate::Delay(own.max(at)),
            (met, _) => met,
        };
        match met {
            faults::Fate::Withhold => self.trace_frame(now, number, &frame, Fate::Withheld, 0, to),
            // Of two that are to change places with their next the second is that of the first.
            faults::Fate::Swap
                if (self.connections.get(&number)).is_some_and(|c| c.overtaken.is_none()) =>
            {
                self.trace_frame(now, number, &frame, Fate::Held, 0, to);
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.overtaken = Some(frame);
                }
            }
            faults::Fate::Delay(at) if at > now || behind.is_some() => {
                if frame.op == Opcode::HELLO
                    && let Some(connection) = self.connections.get_mut(&number)
                {
                    connection.hello_at = Some(at);
                }
                self.trace_frame(now, number, &frame, Fate::Held, 0, to);
                self.later(at, Later::Frame(number, frame, Fate::Delivered, dress));
            }
            faults::Fate::Duplicate if let Some(at) = behind => {
                self.trace_frame(now, number, &frame, Fate::Held, 0, to);
                let twin = frame.clone();
                self.later(at, Later::Frame(number, frame, Fate::Delivered, dress));
                self.later(at, Later::Frame(number, twin, Fate::Injected, dress));
            }
            faults::Fate::Duplicate => {
                self.write_frame(now, number, &frame, Fate::Delivered, dress, to);
                self.write_frame(now, number, &frame, Fate::Injected, dress, to);
            }
            faults::Fate::Interval(interval) => {
                let order = Order::Interval(interval);
                self.order(now, number, &order, to);
                let frame = Gateway::hello(interval);
                self.write_frame(now, number, &frame, Fate::Delivered, dress, to);
            }
            faults::Fate::Deliver
            | faults::Fate::Delay(_)
            | faults::Fate::Swap
            | faults::Fate::Fragment(..)
            | faults::Fate::Pad(_)
            | faults::Fate::Truncate
            | faults::Fate::Answer(_)
            | faults::Fate::Refuse(_) => {
                self.write_frame(now, number, &frame, Fate::Delivered, dress, to);
            }
        }
    }

    /// When the HELLO goes out behind which a dispatch has to wait. A subject that logs in without waiting for HELLO would get
    /// READY before a HELLO that a fault delays, which no gateway does and no client is made for.
    pub(super) fn hello_awaited(&self, now: Instant, number: u32, op: Opcode) -> Option<Instant> {
        if op != Opcode::DISPATCH {
            return None;
        }
        let connection = self.connections.get(&number)?;
        // At that very instant too: what waits then goes out in order.
        connection.hello_at.filter(|at| *at >= now)
    }

    /// Traces a frame and writes it, unless the connection is silent or takes no more. Behind a dispatch goes the one that has
    /// waited to change places with it.
    pub(super) fn write_frame(
        &mut self,
        now: Instant,
        number: u32,
        frame: &ServerFrame,
        fate: Fate,
        dress: Dress,
        to: &mut Recorder<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if !connection.takes(fate) {
            return;
        }
        let is_next = |_: &mut _| fate == Fate::Delivered && is_dispatch(frame);
        let overtaken = connection.overtaken.take_if(is_next);
        let fate = if connection.outbound.is_silent() {
            Fate::Swallowed
        } else if connection.spoils(dress.cut) {
            Fate::Spoilt
        } else {
            fate
        };
        self.trace_frame(now, number, frame, fate, dress.pad, to);
        if fate != Fate::Swallowed
            && let Some(connection) = self.connections.get_mut(&number)
        {
            // Just encoded for its length.
            let mut bytes = std::mem::take(&mut self.spare);
            connection.carry(&mut bytes, &self.encoded, dress.cut, &mut self.draw);
            self.write(now, number, bytes);
        }
        if let Some(frame) = overtaken {
            self.write_frame(now, number, &frame, Fate::Delivered, Dress::USUAL, to);
        }
    }

    /// Whether there is such a connection, and something can still be sent on it.
    pub(super) fn takes(&self, number: u32, fate: Fate) -> bool {
        self.connections
            .get(&number)
            .is_some_and(|connection| connection.takes(fate))
    }

    pub(super) fn send_close(
        &mut self,
        now: Instant,
        number: u32,
        code: Option<CloseCode>,
        reason: &str,
        fate: Fate,
        to: &mut Recorder<'_>,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if matches!(
            connection.stage,
            Stage::Upgrading { .. } | Stage::Rejected | Stage::Over
        ) {
            return;
        }
        if matches!(connection.stage, Stage::Open) {
            connection.stage = Stage::Left;
        }
        let fate = if connection.outbound.is_silent() {
            Fate::Swallowed
        } else {
            fate
        };
        let from = Side::Gateway;
        let reason = reason.to_owned();
        if fate != Fate::Swallowed {
            let mut bytes = Vec::new();
            codec::close(&mut bytes, code.map(|code| code.0), &reason);
            self.write(now, number, bytes);
        }
        to.at_gateway(
            now,
            Seen::Close {
                connection: number,
                from,
                fate,
                code,
                reason,
            },
        );
    }

    /// FIN without more words.
    pub(super) fn fin(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
        if let Some(fate) = self.part(now, number, to) {
            let (connection, from) = (number, Side::Gateway);
            to.at_gateway(
                now,
                Seen::Fin {
                    connection,
                    from,
                    fate,
                },
            );
            self.put(now, number, Chunk::Fin);
        }
    }

    /// RST.
    pub(super) fn reset(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
        if let Some(fate) = self.part(now, number, to) {
            let (connection, from) = (number, Side::Gateway);
            to.at_gateway(
                now,
                Seen::Rst {
                    connection,
                    from,
                    fate,
                },
            );
            if let Some(connection) = self.connections.get_mut(&number)
                && fate != Fate::Swallowed
            {
                connection.reading = Reading::Done;
            }
            self.put(now, number, Chunk::Rst);
        }
    }

    /// The gateway's end says its last word on a connection, unless it has: what becomes of that word.
    pub(super) fn part(
        &mut self,
        now: Instant,
        number: u32,
        to: &mut Recorder<'_>,
    ) -> Option<Fate> {
        self.end(now, number, to);
        let connection = self.connections.get_mut(&number)?;
        if matches!(connection.stage, Stage::Over) {
            return None;
        }
        connection.stage = Stage::Over;
        let is_silent = connection.outbound.is_silent();
        Some(if is_silent {
            Fate::Swallowed
        } else {
            Fate::Delivered
        })
    }

    /// The connection is over for gateway and schedule.
    pub(super) fn end(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
        self.gateway
            .handle(now, Input::Ended { connection: number });
        self.react(now, to);
        self.injector.ended(now, number);
        self.carry_out(now, to);
    }

    pub(super) fn write(&mut self, now: Instant, number: u32, bytes: Vec<u8>) {
        self.put(now, number, Chunk::Bytes(bytes));
    }

    /// Puts something on its way to the subject.
    pub(super) fn put(&mut self, now: Instant, number: u32, chunk: Chunk) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if connection.outbound.is_instant() {
            self.leave(number, chunk);
        } else if !connection.outbound.is_silent() {
            connection.outbound.push(now, chunk);
            self.note_flight(number);
        }
    }

    /// Something has come to the subject's end of the link: into the socket with it.
    pub(super) fn leave(&mut self, number: u32, chunk: Chunk) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match chunk {
            Chunk::Bytes(mut bytes) => {
                connection.write(&bytes);
                bytes.clear();
                self.spare = bytes;
            }
            Chunk::Fin => connection.finish(),
            Chunk::Rst => {
                connection.transport.abort();
                self.connections.remove(&number);
                return;
            }
        }
        self.flush(number);
    }

    /// Writes what the socket takes, and drops a connection that both sides have left by then.
    pub(super) fn flush(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.flush();
            self.forget_if_over(number);
        }
    }

    pub(super) fn forget_if_over(&mut self, number: u32) {
        if (self.connections.get(&number)).is_some_and(Connection::is_over) {
            self.connections.remove(&number);
        }
    }

    /// Traces a frame of the gateway's, and leaves its text in `encoded`. What a schedule pads it with is in the text and in its
    /// length, and not in the trace.
    pub(super) fn trace_frame(
        &mut self,
        now: Instant,
        number: u32,
        frame: &ServerFrame,
        fate: Fate,
        pad: u32,
        to: &mut Recorder<'_>,
    ) {
        self.encoded.clear();
        if pad == 0 {
            frame.encode(&mut self.encoded);
        } else {
            let d = payload::padded(&frame.d, pad as usize);
            let frame = ServerFrame { d, ..frame.clone() };
            frame.encode(&mut self.encoded);
        }
        self.style.apply(&mut self.encoded, &mut self.draw);
        // Only READY names addresses.
        let d: Json = match frame.t.as_deref() {
            Some("READY") => to.own_payload(&frame.d),
            _ => frame.d.clone(),
        };
        let seen = Seen::Frame {
            connection: number,
            from: Side::Gateway,
            fate,
            op: frame.op,
            s: frame.s,
            t: frame.t.clone(),
            d,
            bytes: u32::try_from(self.encoded.len()).unwrap_or(u32::MAX),
        };
        to.at_gateway(now, seen);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are the fields of one trace entry"
    )]
    pub(super) fn trace_message(
        &self,
        now: Instant,
        number: u32,
        from: Side,
        fate: Fate,
        kind: Kind,
        text: String,
        to: &mut Recorder<'_>,
    ) {
        let is_silent = from == Side::Gateway
            && self
                .connections
                .get(&number)
                .is_some_and(|connection| connection.outbound.is_silent());
        let fate = if is_silent { Fate::Swallowed } else { fate };
        to.at_gateway(
            now,
            Seen::Message {
                connection: number,
                from,
                fate,
                kind,
                text,
            },
        );
    }
}

/// What is done to a frame besides its fate, where that is how it is sent.
fn dressed(met: faults::Fate) -> (faults::Fate, Dress) {
    let (cut, pad) = match met {
        faults::Fate::Fragment(layer, parts) => (Cut::Parts(layer, parts), 0),
        faults::Fate::Truncate => (Cut::Short, 0),
        faults::Fate::Pad(size) => (Cut::Whole, size),
        met => return (met, Dress::USUAL),
    };
    (faults::Fate::Deliver, Dress { cut, pad })
}

/// Whether it is of the kind that changes places.
fn is_dispatch(frame: &ServerFrame) -> bool {
    event_of(frame) == Some(Event::Dispatch)
}

/// What a frame of the gateway's is to a trigger.
fn event_of(frame: &ServerFrame) -> Option<Event> {
    match frame.op {
        Opcode::HELLO => Some(Event::Hello),
        Opcode::HEARTBEAT_ACK => Some(Event::Ack),
        Opcode::DISPATCH => match frame.t.as_deref() {
            Some("READY") => Some(Event::Ready),
            Some("RESUMED") => Some(Event::Resumed),
            Some("GUILD_CREATE") => None,
            _ => Some(Event::Dispatch),
        },
        _ => None,
    }
}
