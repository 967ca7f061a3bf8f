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
//! The way in is here, with connects, timers and REST. The way out is [`writing`]'s; what a schedule has done to it all is
//! carried out in [`strikes`]; the bytes of one connection are [`connection`]'s affair. How a Close of the subject's is met
//! (`on_close`) is decided here, since it is no business of the gateway's sessions.

mod connection;
mod strikes;
mod writing;

use self::connection::{Connection, Dress, Read, Stage};
use super::codec::{self, Opening, Unit, Upgrade};
use super::compress::Packer;
use super::record::Recorder;
use super::timers::Timers;
use super::transport::Transport;
use super::wake::{self, Key, Queue};
use crate::fault::{Act, Answer, AnswerCode, Event, HttpAnswer, Kept, OnClose, Port};
use crate::faults::injector::Injector;
use crate::faults::link::Chunk;
use crate::faults::{self, Listening, Sight};
use crate::machine::Response;
use crate::protocol::{CloseCode, Compression, Envelope, Opcode, ServerFrame};
use crate::seed::Draw;
use crate::server::gateway::Gateway;
use crate::server::session::Session;
use crate::server::style::Style;
use crate::server::{Input, Order, query, rest};
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

    fn order(&mut self, now: Instant, connection: u32, order: &Order, to: &mut Recorder<'_>) {
        self.gateway.handle(now, Input::Order { connection, order });
        self.react(now, to);
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
                    connection.decoder.feed(&bytes);
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
            // Nor is WebSocket what comes of an upgrade for which the gateway's end has not waited.
            if matches!(connection.stage, Stage::Rejected) || !connection.decoder.is_upgraded() {
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
                        .is_some_and(|connection| connection.decoder.take_spoilt());
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
