//! What a schedule has done to the gateway's end: each strike of the injector's, carried out.
//!
//! What only an answered upgrade can carry waits until there is one. What happens to single frames is their fate, and no strike.

use super::connection::{Connection, Cut, Dress, Reading, Stage};
use super::{GatewaySide, SubjectAct, shortened};
use crate::fault::{Direction, SentSeq};
use crate::faults::Strike;
use crate::faults::link::Link;
use crate::net::codec::{self, Opening};
use crate::net::record::Recorder;
use crate::protocol::{Opcode, ServerFrame};
use crate::server::{Input, Order, payload};
use crate::time::Instant;
use crate::trace::{Fate, Kind, Seen, Side};

impl GatewaySide {
    /// Does what the schedule asks for.
    pub(super) fn carry_out(&mut self, now: Instant, to: &mut Recorder<'_>) {
        while let Some(strike) = self.injector.poll_strike() {
            self.strike(now, strike, to);
        }
    }

    pub(super) fn strike(&mut self, now: Instant, strike: Strike, to: &mut Recorder<'_>) {
        if let Some(number) = needs_upgrade(&strike)
            && let Some(Connection {
                stage: Stage::Upgrading { parked },
                ..
            }) = self.connections.get_mut(&number)
        {
            parked.push(strike);
            return;
        }
        match strike {
            Strike::Struck { fault, connection } => {
                to.record(now, Seen::Struck { fault, connection });
            }
            Strike::Healed { fault } => to.record(now, Seen::Healed { fault }),
            Strike::Silence {
                connection,
                direction,
            } => {
                // What the gateway sent is in the trace as on its way, and so it arrives; what the subject sent is traced when it
                // arrives, and so it can still vanish.
                if let Some(connection) = self.connections.get_mut(&connection) {
                    // The links carry what is inside TLS; without either direction there is no handshake.
                    connection.transport.break_off_handshake();
                    if direction.to_gateway() {
                        connection.inbound.silence(now);
                    }
                    if direction.to_subject() {
                        connection.outbound.cut();
                    }
                }
                self.note_flight(connection);
            }
            Strike::Hold {
                connection,
                direction,
            } => self.links(connection, direction, Link::hold),
            Strike::Release {
                connection,
                direction,
            } => {
                self.links(connection, direction, |link| link.release(now));
                self.note_flight(connection);
                if let Some(connection) = self.connections.get(&connection)
                    && connection.transport.is_handshaking()
                {
                    connection.waker.wake_by_ref();
                }
            }
            Strike::Slow {
                connection,
                direction,
                by,
            } => {
                self.links(connection, direction, |link| link.slow(by));
            }
            Strike::Shape {
                connection,
                direction,
                mut shape,
            } => {
                if let Some(known) = self.connections.get_mut(&connection)
                    && let Stage::Upgrading { parked } = &mut known.stage
                {
                    let is_for = |parked: &Strike| matches!(parked, Strike::Shape { direction: of, .. } if *of == direction);
                    parked.retain(|parked| !is_for(parked));
                    // Tungstenite takes an upgrade that comes in many small pieces for an attack, and rightly: it is left whole.
                    if shape.size.is_some() {
                        parked.push(Strike::Shape {
                            connection,
                            direction,
                            shape,
                        });
                        shape.size = None;
                    }
                }
                let mut draw = self.draw.fork();
                self.links(connection, direction, |link| {
                    link.shape(now, shape, &mut draw);
                });
            }
            Strike::Corrupt {
                connection,
                direction,
                count,
            } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.corrupt(direction, count, &mut self.draw);
                }
            }
            Strike::LoseContext { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.has_lost_context = true;
                }
            }
            Strike::Bomb { connection, size } => self.bomb(now, connection, size, to),
            Strike::SkipSeq { connection, count } => {
                self.order(now, connection, &Order::SkipSeq { count }, to);
            }
            Strike::Flood {
                connection,
                count,
                size,
            } => {
                let flood = Input::Flood {
                    connection,
                    count,
                    size,
                };
                self.gateway.handle(now, flood);
                self.react(now, to);
            }
            Strike::StopReading { connection, window } => {
                if let Some(connection) = self.connections.get_mut(&connection)
                    && connection.reading == Reading::Yes
                {
                    connection.reading = Reading::Stopped;
                    connection.transport.set_window(window as usize);
                }
            }
            Strike::Read { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection)
                    && connection.reading == Reading::Stopped
                {
                    connection.reading = Reading::Yes;
                    connection.waker.wake_by_ref();
                }
            }
            Strike::Reset { connection } => self.reset(now, connection, to),
            Strike::Fin { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.transport.end_abruptly();
                }
                self.fin(now, connection, to);
            }
            Strike::OnClose {
                connection: Some(number),
                on_close,
            } => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.on_close = on_close;
                }
            }
            Strike::OnClose {
                connection: None,
                on_close,
            } => self.on_close_everywhere = on_close,
            Strike::Listen { port, listening } => self.listening[port as usize] = listening,
            Strike::Close {
                connection,
                code,
                reason,
            } => {
                // On a connection that is closing the gateway has nothing more to say, but a schedule may.
                let is_open = self
                    .connections
                    .get(&connection)
                    .is_some_and(|connection| matches!(connection.stage, Stage::Open));
                if is_open {
                    self.order(now, connection, &Order::Close { code, reason }, to);
                } else {
                    self.send_close(now, connection, code, &reason, Fate::Injected, to);
                }
            }
            Strike::RequestHeartbeat { connection } => {
                self.order(now, connection, &Order::RequestHeartbeat, to);
            }
            Strike::Reconnect {
                connection,
                cut_after,
            } => {
                self.order(now, connection, &Order::Reconnect { cut_after }, to);
            }
            Strike::InvalidSession {
                connection,
                resumable,
                cut_after,
            } => {
                self.order(
                    now,
                    connection,
                    &Order::InvalidSession {
                        resumable,
                        cut_after,
                    },
                    to,
                );
            }
            Strike::Send {
                connection,
                op: Opcode::DISPATCH,
                d,
                s: SentSeq::Usual,
                t,
            } => {
                let t = t.unwrap_or_default();
                self.order(now, connection, &Order::Dispatch { t, d }, to);
            }
            Strike::Send {
                connection,
                op,
                d,
                s,
                t,
            } => {
                let s = match s {
                    SentSeq::Number(s) => Some(s),
                    SentSeq::Null | SentSeq::Usual => None,
                };
                let frame = ServerFrame { t, s, op, d };
                let dress = Dress::USUAL;
                self.write_frame(now, connection, &frame, Fate::Injected, dress, to);
            }
            Strike::BadFrame {
                connection,
                bytes,
                binary,
            } => {
                self.write_bad(now, connection, &bytes, binary, to);
            }
            Strike::Ping { connection } if !self.takes(connection, Fate::Injected) => {}
            Strike::Ping { connection } => {
                let (kind, text) = (Kind::Ping, String::new());
                self.trace_message(
                    now,
                    connection,
                    Side::Gateway,
                    Fate::Injected,
                    kind,
                    text,
                    to,
                );
                let mut bytes = Vec::new();
                codec::frame(&mut bytes, Opening::Ping, b"gwtool");
                self.write(now, connection, bytes);
            }
            Strike::Subject {
                act,
                session,
                op,
                count,
            } => {
                self.acts.push_back(SubjectAct {
                    act,
                    session,
                    op,
                    count,
                });
            }
        }
    }

    pub(super) fn links(
        &mut self,
        number: u32,
        direction: Direction,
        mut change: impl FnMut(&mut Link),
    ) {
        if let Some(connection) = self.connections.get_mut(&number) {
            if direction.to_gateway() {
                change(&mut connection.inbound);
            }
            if direction.to_subject() {
                change(&mut connection.outbound);
            }
        }
    }

    /// Sends what no subject need take. It has a number, so that it looks like any other dispatch.
    pub(super) fn bomb(&mut self, now: Instant, number: u32, size: u32, to: &mut Recorder<'_>) {
        self.order(now, number, &Order::SkipSeq { count: 1 }, to);
        if let Some(s) = self.gateway.last_seq(number) {
            let frame = ServerFrame::dispatch("GWTOOL_BOMB", s, payload::nothing());
            let dress = Dress {
                pad: size,
                ..Dress::USUAL
            };
            self.write_frame(now, number, &frame, Fate::Spoilt, dress, to);
        }
    }

    /// Writes something that is no payload. Text takes the way of every payload's text, compression included, so that the
    /// subject's decoder gets to see it and what follows can still be read; bytes go out as they are, and break a stream.
    pub(super) fn write_bad(
        &mut self,
        now: Instant,
        number: u32,
        payload: &[u8],
        is_binary: bool,
        to: &mut Recorder<'_>,
    ) {
        if !self.takes(number, Fate::Injected) {
            return;
        }
        let kind = if is_binary { Kind::Binary } else { Kind::Text };
        let text = shortened(payload);
        self.trace_message(now, number, Side::Gateway, Fate::Injected, kind, text, to);
        let mut bytes = Vec::new();
        match self.connections.get_mut(&number) {
            Some(connection) if !is_binary => {
                connection.carry(&mut bytes, payload, Cut::Whole, &mut self.draw);
            }
            _ => codec::frame(&mut bytes, Opening::Binary, payload),
        }
        self.write(now, number, bytes);
    }
}

/// The connection on which a strike wants something sent that only an answered upgrade can carry.
fn needs_upgrade(strike: &Strike) -> Option<u32> {
    match strike {
        Strike::Close { connection, .. }
        | Strike::RequestHeartbeat { connection }
        | Strike::Reconnect { connection, .. }
        | Strike::InvalidSession { connection, .. }
        | Strike::Send { connection, .. }
        | Strike::BadFrame { connection, .. }
        | Strike::Corrupt { connection, .. }
        | Strike::LoseContext { connection }
        | Strike::Bomb { connection, .. }
        | Strike::SkipSeq { connection, .. }
        | Strike::Flood {
            connection: Some(connection),
            ..
        }
        | Strike::Ping { connection } => Some(*connection),
        _ => None,
    }
}
