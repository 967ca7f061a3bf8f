//! The gateway's end of every connection: sockets, links and codec around the fake gateway and the schedule.
//!
//! Bytes of the subject's go through a link into the codec; what they say is traced, shown to the injector, and then told to
//! the gateway. What the gateway wants sent meets its fate as a value, and only then is written as bytes:
//!
//! ```text
//!   socket ─▶ Link ─▶ Decoder ─▶ trace ─▶ Injector::meet ─▶ Gateway::handle
//!   socket ◀─ Link ◀─ Packer ◀─ trace ◀─ Injector::meet ◀─ Gateway::poll_output
//! ```
//!
//! The trace has what the codec carries: the text of a payload and its length, however it was compressed on its way.
//!
//! The bytes of one connection are `connection`'s affair. How a Close of the subject's is met (`on_close`) is decided here, since it is no business of the gateway's sessions.

mod connection;

use self::connection::{Connection, Cut, Dress, Read, Reading, Stage};
use super::codec::{self, Opening, Unit, Upgrade};
use super::compress::Packer;
use super::record::Recorder;
use super::timers::Timers;
use super::transport::Transport;
use super::wake::{self, Key, Queue};
use crate::fault::{Act, Answer, AnswerCode, Event, HttpAnswer, Kept, OnClose, Port, SentSeq};
use crate::faults::injector::Injector;
use crate::faults::link::{Chunk, Link};
use crate::faults::{self, Listening, Sight, Strike};
use crate::machine::Response;
use crate::protocol::{CloseCode, Compression, Envelope, Json, Opcode, ServerFrame};
use crate::seed::Draw;
use crate::server::gateway::Gateway;
use crate::server::session::Session;
use crate::server::style::Style;
use crate::server::{Input, Order, Output, rest};
use crate::server::{payload, query};
use crate::time::{Duration, Instant};
use crate::trace::{Fate, Kind, Miss, Seen, Side};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many bytes are read from a socket at once.
const READ_SIZE: usize = 4096;
/// How much of a message that is no payload is kept in the trace.
const SHOWN_MAX: usize = 200;

/// What the schedule does to the subject; the driver carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubjectAct {
    pub(super) act: Act,
    pub(super) session: Kept,
    pub(super) op: Opcode,
    pub(super) count: u32,
}

/// How a connect is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// It may be accepted.
    Open,
    /// It is refused.
    Refused,
    /// It waits.
    Hangs,
}

/// Something that the gateway's end does later.
#[derive(Debug)]
enum Later {
    /// A delayed frame goes out.
    Frame(u32, ServerFrame, Fate, Dress),
    /// A Close is answered.
    Answer(u32, Option<CloseCode>, bool),
    /// An upgrade is answered with something else than 101.
    Http(u32, HttpAnswer<Duration>),
}

/// The gateway's end of everything.
pub(super) struct GatewaySide {
    gateway: Gateway,
    injector: Injector,
    connections: BTreeMap<u32, Connection>,
    /// Connections with something in their links.
    in_flight: Vec<u32>,
    timers: Timers,
    later: BTreeMap<(Instant, u64), Later>,
    laters: u64,
    listening: [Listening; 3],
    /// How a Close is met unless the schedule says otherwise.
    on_close: OnClose<Duration>,
    /// How the schedule has it met on every connection.
    on_close_everywhere: Option<OnClose<Duration>>,
    latency: Duration,
    /// How payloads are written.
    style: Style,
    /// What is left to chance about bytes.
    draw: Draw,
    accepted: u32,
    acts: VecDeque<SubjectAct>,
    queue: Arc<Queue>,
    /// What a read fills.
    scratch: Vec<u8>,
    /// The text of the frame that was traced last.
    encoded: Vec<u8>,
    /// A buffer that came out of a link, for the next frame that goes into one.
    spare: Vec<u8>,
}

impl GatewaySide {
    pub(super) fn new(
        gateway: Gateway,
        injector: Injector,
        on_close: OnClose<Duration>,
        latency: Duration,
        (style, draw): (Style, Draw),
        queue: Arc<Queue>,
    ) -> Self {
        Self {
            gateway,
            injector,
            connections: BTreeMap::new(),
            in_flight: Vec::new(),
            timers: Timers::default(),
            later: BTreeMap::new(),
            laters: 0,
            listening: [Listening::Open; 3],
            on_close,
            on_close_everywhere: None,
            latency,
            style,
            draw,
            accepted: 0,
            acts: VecDeque::new(),
            queue,
            scratch: vec![0; READ_SIZE],
            encoded: Vec::with_capacity(READ_SIZE),
            spare: Vec::new(),
        }
    }

    // ---- The schedule -------------------------------------------------------------------------------------------------

    pub(super) fn begin(&mut self, now: Instant, to: &mut Recorder<'_>) {
        self.injector.begin(now);
        self.carry_out(now, to);
    }

    pub(super) fn chaos(&mut self, now: Instant, to: &mut Recorder<'_>) {
        self.injector.chaos(now);
        self.carry_out(now, to);
    }

    pub(super) fn heal(&mut self, now: Instant, to: &mut Recorder<'_>) {
        self.injector.heal(now);
        self.carry_out(now, to);
    }

    pub(super) fn next_fault(&self) -> Option<Instant> {
        self.injector.due()
    }

    pub(super) fn fire_fault(&mut self, now: Instant, to: &mut Recorder<'_>) {
        self.injector.fire(now);
        self.carry_out(now, to);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.injector.is_spent()
    }

    pub(super) fn next_act(&mut self) -> Option<SubjectAct> {
        self.acts.pop_front()
    }

    /// Shows the schedule what happens, and does at once what it makes of it.
    fn meet(
        &mut self,
        now: Instant,
        event: Event,
        number: u32,
        path: Option<&str>,
        to: &mut Recorder<'_>,
    ) -> faults::Fate {
        let shard = self.gateway.shard_of(number);
        self.meet_of(now, event, number, path, shard, to)
    }

    /// The same for what tells by itself which shard it is about.
    fn meet_of(
        &mut self,
        now: Instant,
        event: Event,
        number: u32,
        path: Option<&str>,
        shard: Option<u32>,
        to: &mut Recorder<'_>,
    ) -> faults::Fate {
        let (port, compression) = self
            .connections
            .get(&number)
            .map_or((Port::Main, Compression::None), |connection| {
                (connection.port, connection.compression)
            });
        let sight = Sight {
            event,
            connection: Some(number),
            port,
            path,
            shard,
            compression,
        };
        let fate = self.injector.meet(now, &sight);
        self.carry_out(now, to);
        fate
    }

    /// Does what the schedule asks for.
    fn carry_out(&mut self, now: Instant, to: &mut Recorder<'_>) {
        while let Some(strike) = self.injector.poll_strike() {
            self.strike(now, strike, to);
        }
    }

    fn strike(&mut self, now: Instant, strike: Strike, to: &mut Recorder<'_>) {
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
                    connection.corrupt(direction, count);
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

    fn order(&mut self, now: Instant, connection: u32, order: &Order, to: &mut Recorder<'_>) {
        self.gateway.handle(now, Input::Order { connection, order });
        self.react(now, to);
    }

    fn links(
        &mut self,
        number: u32,
        direction: crate::fault::Direction,
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

    // ---- Accepting ----------------------------------------------------------------------------------------------------

    /// How a connect on a port is met now. One that is refused or hangs is told to the schedule.
    pub(super) fn door(&mut self, now: Instant, port: Port, to: &mut Recorder<'_>) -> Door {
        let door = match self.listening[port as usize] {
            Listening::Open | Listening::Resetting => return Door::Open,
            Listening::Refusing => Door::Refused,
            Listening::Hanging => Door::Hangs,
        };
        self.injector.missed(now, port);
        self.carry_out(now, to);
        if door == Door::Refused {
            to.at_gateway(
                now,
                Seen::Missed {
                    port,
                    why: Miss::Refused,
                },
            );
        }
        door
    }

    /// How a listener is to meet connects now.
    pub(super) fn listening(&self, port: Port) -> Listening {
        self.listening[port as usize]
    }

    /// Accepts a connection and gives it its number.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        port: Port,
        transport: Transport,
        already_read: &[u8],
        to: &mut Recorder<'_>,
    ) -> u32 {
        self.accepted += 1;
        let number = self.accepted;
        to.at_gateway(
            now,
            Seen::Accepted {
                connection: number,
                port,
            },
        );
        let waker = wake::waker(Key::Gateway(number), &self.queue);
        let mut connection = Connection::new(port, transport, waker, self.latency);
        if !already_read.is_empty() {
            let read = Chunk::Bytes(already_read.to_vec());
            connection.inbound.push(now, read);
            self.in_flight.push(number);
        }
        self.connections.insert(number, connection);
        let resets = self.listening[port as usize] == Listening::Resetting;
        self.meet(now, Event::Accept, number, None, to);
        if resets {
            self.reset(now, number, to);
        }
        number
    }

    // ---- Reading ------------------------------------------------------------------------------------------------------

    /// Reads and writes what a socket has and takes.
    pub(super) fn poll(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
        self.flush(number);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut has_tls_failed = false;
        while let Some(connection) = self.connections.get_mut(&number)
            && connection.is_readable()
        {
            match connection.read(&mut scratch) {
                Read::Pending => {
                    // The subject has not left by itself, as it does after its own alert.
                    if has_tls_failed {
                        self.fin(now, number, to);
                    }
                    break;
                }
                Read::TlsFailed(why) => {
                    has_tls_failed = true;
                    self.tls_failed(now, number, why, to);
                }
                Read::Chunk(chunk) if connection.inbound.is_instant() => {
                    self.arrive(now, number, chunk, false, to);
                }
                Read::Chunk(chunk) => {
                    connection.inbound.push(now, chunk);
                    self.note_flight(number);
                }
            }
        }
        self.scratch = scratch;
    }

    /// TLS has failed on a connection. How the subject leaves is still to be read.
    fn tls_failed(&mut self, now: Instant, number: u32, why: String, to: &mut Recorder<'_>) {
        // Where the gateway has gone first there is nothing left to fail.
        if let Some(connection) = self.connections.get(&number)
            && !matches!(connection.stage, Stage::Over)
        {
            let failed = Seen::TlsFailed {
                port: connection.port,
                connection: Some(number),
                why,
            };
            to.at_gateway(now, failed);
        }
    }

    fn note_flight(&mut self, number: u32) {
        if !self.in_flight.contains(&number) {
            self.in_flight.push(number);
        }
    }

    /// When something arrives next, at either end of any link.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        let arrivals = self.in_flight.iter().filter_map(|number| {
            let connection = self.connections.get(number)?;
            match (
                connection.inbound.next_arrival(),
                connection.outbound.next_arrival(),
            ) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        });
        arrivals.min()
    }

    /// Lets one thing arrive that is due by `now`.
    pub(super) fn fire_arrival(&mut self, now: Instant, to: &mut Recorder<'_>) {
        for place in 0..self.in_flight.len() {
            let number = self.in_flight[place];
            let Some(connection) = self.connections.get_mut(&number) else {
                continue;
            };
            if let Some(arrival) = connection.inbound.pop(now) {
                self.arrive(now, number, arrival.chunk, arrival.is_swallowed, to);
            } else if let Some(arrival) = connection.outbound.pop(now) {
                if !arrival.is_swallowed {
                    self.leave(number, arrival.chunk);
                }
            } else {
                continue;
            }
            break;
        }
        let connections = &self.connections;
        self.in_flight.retain(|number| {
            connections.get(number).is_some_and(|connection| {
                connection.inbound.next_arrival().is_some()
                    || connection.outbound.next_arrival().is_some()
            })
        });
    }

    /// Something of the subject's has reached the gateway's end.
    fn arrive(
        &mut self,
        now: Instant,
        number: u32,
        chunk: Chunk,
        is_swallowed: bool,
        to: &mut Recorder<'_>,
    ) {
        let fate = if is_swallowed {
            Fate::Swallowed
        } else {
            Fate::Delivered
        };
        match chunk {
            Chunk::Bytes(bytes) => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.feed(bytes, &mut self.draw);
                }
                self.decode(now, number, fate, to);
            }
            Chunk::Fin => {
                let from = Side::Subject;
                to.at_gateway(
                    now,
                    Seen::Fin {
                        connection: number,
                        from,
                        fate,
                    },
                );
                self.meet(now, Event::Eof, number, None, to);
                if fate == Fate::Delivered {
                    self.fin(now, number, to);
                } else {
                    self.end(now, number, to);
                }
                self.forget_if_over(number);
            }
            Chunk::Rst => {
                let from = Side::Subject;
                to.at_gateway(
                    now,
                    Seen::Rst {
                        connection: number,
                        from,
                        fate,
                    },
                );
                self.meet(now, Event::Eof, number, None, to);
                self.end(now, number, to);
                self.connections.remove(&number);
            }
        }
    }

    /// Takes apart what has arrived.
    fn decode(&mut self, now: Instant, number: u32, fate: Fate, to: &mut Recorder<'_>) {
        while let Some(connection) = self.connections.get_mut(&number) {
            if let Stage::Upgrading { .. } = connection.stage {
                let Some(upgrade) = connection.decoder.upgrade() else {
                    break;
                };
                self.upgrade(now, number, upgrade, fate, to);
                continue;
            }
            if let Stage::Rejected = connection.stage {
                connection.decoder.discard();
                break;
            }
            let Some(unit) = connection.decoder.next() else {
                break;
            };
            self.take(now, number, unit, fate, to);
        }
    }

    fn upgrade(
        &mut self,
        now: Instant,
        number: u32,
        upgrade: Upgrade,
        fate: Fate,
        to: &mut Recorder<'_>,
    ) {
        let path = to.text(&upgrade.path);
        to.at_gateway(
            now,
            Seen::Upgrade {
                connection: number,
                path,
            },
        );
        // A URL that is not served is met with a Close, which is never compressed.
        let compression = query::read(&upgrade.path).unwrap_or(Compression::None);
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.compression = compression;
        }
        let met = self.meet(now, Event::Upgrade, number, Some(&upgrade.path), to);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        // The schedule has ended it in the meantime, and what is over stays over.
        if matches!(connection.stage, Stage::Over) {
            return;
        }
        if fate == Fate::Swallowed {
            connection.stage = Stage::Open;
            return;
        }
        match (met, upgrade.response) {
            (faults::Fate::Answer(answer), _) => {
                let at = now + answer.delay;
                connection.stage = Stage::Rejected;
                self.later(at, Later::Http(number, answer));
            }
            (faults::Fate::Withhold, _) => connection.stage = Stage::Open,
            (_, Err(why)) => {
                connection.stage = Stage::Rejected;
                let answer = HttpAnswer {
                    status: 400,
                    headers: Vec::new(),
                    body: why,
                    delay: Duration::ZERO,
                };
                self.later(now, Later::Http(number, answer));
            }
            (_, Ok(response)) => {
                let port = connection.port;
                let stage = std::mem::replace(&mut connection.stage, Stage::Open);
                connection.packer = Packer::new(compression);
                // Of an answer that vanishes on its way nobody can say that the subject was upgraded.
                if !connection.outbound.is_silent() {
                    to.at_gateway(
                        now,
                        Seen::Upgraded {
                            connection: number,
                            status: 101,
                        },
                    );
                }
                self.write(now, number, response);
                self.gateway.handle(
                    now,
                    Input::Opened {
                        connection: number,
                        port,
                        path: &upgrade.path,
                    },
                );
                self.react(now, to);
                if let Stage::Upgrading { parked } = stage {
                    for strike in parked {
                        self.strike(now, strike, to);
                    }
                }
            }
        }
    }

    fn take(&mut self, now: Instant, number: u32, unit: Unit, fate: Fate, to: &mut Recorder<'_>) {
        match unit {
            Unit::Message { bytes, is_binary } => {
                if let Ok(frame) = Envelope::read_bytes(&bytes) {
                    self.take_frame(now, number, &frame, bytes.len(), fate, to);
                } else {
                    let kind = if is_binary { Kind::Binary } else { Kind::Text };
                    let spoilt = (self.connections.get_mut(&number))
                        .is_some_and(|connection| std::mem::take(&mut connection.has_garbage));
                    // A token with a flipped bit is still a token, and nobody would know it.
                    let (seen, text) = if spoilt {
                        let seen = if fate == Fate::Delivered {
                            Fate::Spoilt
                        } else {
                            fate
                        };
                        (seen, String::new())
                    } else {
                        (fate, to.text(&shortened(&bytes)))
                    };
                    self.trace_message(now, number, Side::Subject, seen, kind, text, to);
                    if fate == Fate::Delivered {
                        self.gateway
                            .handle(now, Input::Garbage { connection: number });
                        self.react(now, to);
                    }
                }
            }
            Unit::Close { code, reason } => {
                let code = code.map(CloseCode);
                let from = Side::Subject;
                let reason = to.text(&reason);
                to.at_gateway(
                    now,
                    Seen::Close {
                        connection: number,
                        from,
                        code,
                        reason,
                        fate,
                    },
                );
                self.meet(now, Event::Close, number, None, to);
                if fate == Fate::Delivered {
                    self.closed(now, number, code, to);
                }
            }
            Unit::Ping(payload) => {
                let text = shortened(&payload);
                self.trace_message(now, number, Side::Subject, fate, Kind::Ping, text, to);
                // After its Close the gateway has nothing more to say.
                if fate == Fate::Delivered && self.takes(number, fate) {
                    let mut bytes = Vec::new();
                    codec::frame(&mut bytes, Opening::Pong, &payload);
                    self.write(now, number, bytes);
                }
            }
            Unit::Pong => {
                let text = String::new();
                self.trace_message(now, number, Side::Subject, fate, Kind::Pong, text, to);
            }
            Unit::Broken(why) => {
                let text = why.to_owned();
                self.trace_message(now, number, Side::Subject, fate, Kind::Broken, text, to);
                if fate == Fate::Delivered {
                    self.send_close(now, number, Some(CloseCode(1002)), why, Fate::Delivered, to);
                    self.fin(now, number, to);
                }
            }
        }
    }

    fn take_frame(
        &mut self,
        now: Instant,
        number: u32,
        frame: &Envelope<'_>,
        bytes: usize,
        fate: Fate,
        to: &mut Recorder<'_>,
    ) {
        let seen = Seen::Frame {
            connection: number,
            from: Side::Subject,
            fate,
            op: frame.op,
            s: frame.s,
            t: frame.t.as_ref().map(|t| t.0.clone().into_owned().into()),
            d: to.payload(frame.op, frame.json()),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        to.at_gateway(now, seen);
        let event = match frame.op {
            Opcode::HEARTBEAT => Some(Event::Heartbeat),
            Opcode::IDENTIFY => Some(Event::Identify),
            Opcode::RESUME => Some(Event::Resume),
            _ => None,
        };
        let met = match event {
            // These come before the gateway has learnt from them whose connection it is.
            Some(event @ (Event::Identify | Event::Resume)) => {
                let shard = self.gateway.shard_of(number);
                let shard = shard.or_else(|| self.gateway.shard_in(frame));
                self.meet_of(now, event, number, None, shard, to)
            }
            Some(event) => self.meet(now, event, number, None, to),
            None => faults::Fate::Deliver,
        };
        if fate == Fate::Swallowed {
            return;
        }
        let input = match &met {
            faults::Fate::Withhold => return,
            faults::Fate::Refuse(by) => Input::Refused {
                connection: number,
                frame,
                by,
            },
            _ => Input::Frame {
                connection: number,
                frame,
                bytes,
            },
        };
        self.gateway.handle(now, input);
        if matches!(frame.op, Opcode::IDENTIFY | Opcode::RESUME) {
            let session = self.gateway.session_of(number);
            let wants_whole = session.is_some_and(Session::compresses);
            if let Some(connection) = self.connections.get_mut(&number) {
                connection.packer.log_in(wants_whole);
            }
        }
        self.react(now, to);
    }

    /// The subject's Close was read and is acted on.
    fn closed(
        &mut self,
        now: Instant,
        number: u32,
        code: Option<CloseCode>,
        to: &mut Recorder<'_>,
    ) {
        self.gateway.handle(
            now,
            Input::Closed {
                connection: number,
                code,
            },
        );
        self.react(now, to);
        let on_close = self.on_close(number);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match connection.stage {
            // The answer to the gateway's own.
            Stage::Left => {
                if on_close.fin {
                    self.fin(now, number, to);
                }
            }
            Stage::Open => {
                connection.stage = Stage::Closed;
                let answer = match on_close.code {
                    AnswerCode::Same => code,
                    AnswerCode::None => None,
                    AnswerCode::Code(code) => Some(code),
                };
                match on_close.answer {
                    Answer::AtOnce => self.answer(now, number, answer, on_close.fin, to),
                    Answer::Late => {
                        let later = Later::Answer(number, answer, on_close.fin);
                        self.later(now + on_close.answer_after, later);
                    }
                    Answer::Never => {}
                    Answer::Reset => self.reset(now, number, to),
                }
            }
            Stage::Upgrading { .. } | Stage::Rejected | Stage::Closed | Stage::Over => {}
        }
    }

    fn on_close(&self, number: u32) -> OnClose<Duration> {
        let own = self
            .connections
            .get(&number)
            .and_then(|connection| connection.on_close);
        own.or(self.on_close_everywhere).unwrap_or(self.on_close)
    }

    fn answer(
        &mut self,
        now: Instant,
        number: u32,
        code: Option<CloseCode>,
        fin: bool,
        to: &mut Recorder<'_>,
    ) {
        self.send_close(now, number, code, "", Fate::Delivered, to);
        if fin {
            self.fin(now, number, to);
        }
    }

    // ---- Writing ------------------------------------------------------------------------------------------------------

    /// Carries out what the gateway asks for. What a frame's fate makes the gateway ask for in turn goes out before it.
    fn react(&mut self, now: Instant, to: &mut Recorder<'_>) {
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

    fn obey(&mut self, now: Instant, output: Output, to: &mut Recorder<'_>) {
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
    fn emit(&mut self, now: Instant, number: u32, frame: ServerFrame, to: &mut Recorder<'_>) {
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
                let is_dispatch = event_of(&frame) == Some(Event::Dispatch);
                self.write_frame(now, number, &frame, Fate::Delivered, dress, to);
                if is_dispatch
                    && let Some(connection) = self.connections.get_mut(&number)
                    && let Some(frame) = connection.overtaken.take()
                {
                    self.write_frame(now, number, &frame, Fate::Delivered, Dress::USUAL, to);
                }
            }
        }
    }

    /// When the HELLO goes out behind which a dispatch has to wait. A subject that logs in without waiting for HELLO would get
    /// READY before a HELLO that a fault delays, which no gateway does and no client is made for.
    fn hello_awaited(&self, now: Instant, number: u32, op: Opcode) -> Option<Instant> {
        if op != Opcode::DISPATCH {
            return None;
        }
        let connection = self.connections.get(&number)?;
        // At that very instant too: what waits then goes out in order.
        connection.hello_at.filter(|at| *at >= now)
    }

    /// Traces a frame and writes it, unless the connection is silent or takes no more.
    fn write_frame(
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
    }

    /// Sends what no subject need take. It has a number, so that it looks like any other dispatch.
    fn bomb(&mut self, now: Instant, number: u32, size: u32, to: &mut Recorder<'_>) {
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

    /// Whether there is such a connection, and something can still be sent on it.
    fn takes(&self, number: u32, fate: Fate) -> bool {
        self.connections
            .get(&number)
            .is_some_and(|connection| connection.takes(fate))
    }

    /// Writes something that is no payload. Text takes the way of every payload's text, compression included, so that the
    /// subject's decoder gets to see it and what follows can still be read; bytes go out as they are, and break a stream.
    fn write_bad(
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

    fn send_close(
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
    fn fin(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
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
    fn reset(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
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
    fn part(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) -> Option<Fate> {
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
    fn end(&mut self, now: Instant, number: u32, to: &mut Recorder<'_>) {
        self.gateway
            .handle(now, Input::Ended { connection: number });
        self.react(now, to);
        self.injector.ended(now, number);
        self.carry_out(now, to);
    }

    fn write(&mut self, now: Instant, number: u32, bytes: Vec<u8>) {
        self.put(now, number, Chunk::Bytes(bytes));
    }

    /// Puts something on its way to the subject.
    fn put(&mut self, now: Instant, number: u32, chunk: Chunk) {
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
    fn leave(&mut self, number: u32, chunk: Chunk) {
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
    fn flush(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.flush();
            self.forget_if_over(number);
        }
    }

    fn forget_if_over(&mut self, number: u32) {
        if (self.connections.get(&number)).is_some_and(Connection::is_over) {
            self.connections.remove(&number);
        }
    }

    // ---- Time ---------------------------------------------------------------------------------------------------------

    fn later(&mut self, at: Instant, what: Later) {
        self.laters += 1;
        self.later.insert((at, self.laters), what);
    }

    /// When the gateway's end has something to do by itself.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let later = self.later.first_key_value().map(|((at, _), _)| *at);
        match (self.timers.next(), later) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does one thing that is due by `now`.
    pub(super) fn fire_timer(&mut self, now: Instant, to: &mut Recorder<'_>) {
        if let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Later::Frame(number, frame, fate, dress) => {
                    self.write_frame(now, number, &frame, fate, dress, to);
                }
                Later::Answer(number, code, fin) => self.answer(now, number, code, fin, to),
                Later::Http(number, answer) => {
                    // The subject may have gone while it waited for the answer.
                    if let Some(connection) = self.connections.get(&number)
                        && let Stage::Rejected = connection.stage
                    {
                        let status = answer.status;
                        if !connection.outbound.is_silent() {
                            to.at_gateway(
                                now,
                                Seen::Upgraded {
                                    connection: number,
                                    status,
                                },
                            );
                        }
                        let bytes = codec::http_response(status, &answer.headers, &answer.body);
                        self.write(now, number, bytes);
                        self.fin(now, number, to);
                    }
                }
            }
        } else if let Some((_, timer)) = self.timers.pop(now) {
            self.gateway.handle(now, Input::Fired(timer));
            self.react(now, to);
        }
    }

    // ---- REST ---------------------------------------------------------------------------------------------------------

    /// Answers a request: what, and after how long.
    pub(super) fn request(
        &mut self,
        now: Instant,
        request: &rest::Request,
        to: &mut Recorder<'_>,
    ) -> (Response, Duration) {
        let port = Port::Rest;
        // A machine names the resource alone, a program the API's version before it: a schedule means both.
        let path = Some(rest::resource(&request.path));
        let sight = Sight {
            event: Event::Request,
            connection: None,
            port,
            path,
            shard: None,
            compression: Compression::None,
        };
        let fate = self.injector.meet(now, &sight);
        self.carry_out(now, to);
        let (response, delay, by_fault) = if let faults::Fate::Answer(HttpAnswer {
            status,
            headers,
            body,
            delay,
        }) = fate
        {
            let response = Response {
                status,
                headers,
                body: body.into_bytes(),
            };
            (response, delay, true)
        } else {
            let mut response = self.gateway.rest(now, request);
            self.style.apply(&mut response.body, &mut self.draw);
            (response, Duration::ZERO, false)
        };
        let path = to.text(&request.path);
        let (method, status) = (request.method.clone(), response.status);
        to.at_gateway(
            now,
            Seen::Request {
                method,
                path,
                status,
                by_fault,
            },
        );
        (response, delay)
    }

    // ---- Traces -------------------------------------------------------------------------------------------------------

    /// Traces a frame of the gateway's, and leaves its text in `encoded`. What a schedule pads it with is in the text and in its
    /// length, and not in the trace.
    fn trace_frame(
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
    fn trace_message(
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

/// The beginning of a message, as text.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]).into_owned();
    if bytes.len() > SHOWN_MAX {
        text + "…"
    } else {
        text
    }
}
