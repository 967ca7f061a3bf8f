//! The fake gateway's whole state machine: connections, sessions, and what leads from one state to another.
//!
//! The engine feeds [`Input`]s and the time; it carries out the [`Output`]s it polls. Connections are numbered by the engine in
//! the order of accept, sessions here. A connection is greeted, logs in and is left; `leave` is the only way off it
//! and decides about its session. A session is on one connection or away, is fed with traffic either way, and ends by itself
//! when nobody comes back for it.
//!
//! No I/O, no clock, no randomness but the stream that is handed in. It follows Discord's "Gateway" and "Opcodes and Status
//! Codes" pages; where those are silent or contradict practice, PROTOCOL §11 has the choice.

use super::payload::{self, Messages};
use super::query::{self, Refused};
use super::rest::{self, SessionStartLimit};
use super::session::{ReplayError, Session, Whereabouts};
use super::{Config, Enforce, Input, Order, Output, send_budget};
use crate::fault::{CutAfter, Refusal};
use crate::machine::{Response, Timer};
use crate::protocol::frame::Text;
use crate::protocol::{
    CloseCode, Envelope, EventName, Intents, Json, Opcode, ServerFrame, Shard, Token,
};
use crate::seed::Draw;
use crate::time::{Duration, Instant};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};

/// A connection gets its HELLO, or the Close that it gets instead.
const HELLO: &str = "hello";
/// A connection's heartbeat is overdue.
const HEARTBEAT: &str = "heartbeat";
/// The gateway leaves a connection that it has asked the subject to leave (op 7).
const LEAVE: &str = "leave";
/// The gateway leaves a connection on which nobody logged in after op 9.
const INVALID: &str = "invalid";
/// A session gets its next message.
const TRAFFIC: &str = "traffic";
/// A session that nobody resumed ends.
const EXPIRY: &str = "expiry";

/// How long after op 7 the gateway closes by itself: "a few seconds" (Discord, "Reconnect").
const LEAVE_AFTER: Duration = Duration::from_secs(5);
/// How long after op 9 the connection stays open for another IDENTIFY or RESUME (PROTOCOL §11).
const INVALID_AFTER: Duration = Duration::from_secs(10);
/// The window of the send limit (Discord, "Rate Limiting").
const SEND_WINDOW: Duration = Duration::from_mins(1);
/// How far apart IDENTIFYs of one key have to be (Discord, "Max Concurrency").
const IDENTIFY_SPACING: Duration = Duration::from_secs(5);
/// How much earlier is still taken: a client counts from its own sending, and latency varies.
const IDENTIFY_SLACK: Duration = Duration::from_millis(250);

/// The fake gateway.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    draw: Draw,
    connections: BTreeMap<u32, Connection>,
    sessions: BTreeMap<u32, Session>,
    /// The number of the session that was begun last.
    session_last: u32,
    starts: Starts,
    messages: Messages,
    /// Dispatches that were asked for while there was no session: how many of which size.
    floods: Vec<(u32, u32)>,
    /// How many REST requests there were.
    asked: u64,
    /// What every ACK carries; shared, since there are many.
    null: Json,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Connection {
    /// The shard of the last session on it, known until the connection is over.
    shard: Option<u32>,
    link: Link,
}

#[derive(Debug)]
enum Link {
    /// Frames go both ways.
    Open(Open),
    /// A Close or an RST went one way or the other: nothing is sent any more, and nothing that comes counts.
    Closing,
}

/// What an open connection has.
#[derive(Debug)]
struct Open {
    /// Its own I.
    interval: Duration,
    pulse: Pulse,
    login: Login,
    /// When the gateway leaves after op 7; `None` while it does not mean to.
    leave_at: Option<Instant>,
    /// When payloads were received in the last minute.
    received: VecDeque<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    /// It has not been greeted.
    Ungreeted(Greeting),
    /// It was greeted, or its last heartbeat came, at this time.
    Since(Instant),
}

/// How a connection is greeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    /// With HELLO.
    Hello,
    /// With a Close, for what its URL asks for.
    Close(Refused),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// An IDENTIFY or a RESUME is awaited.
    Awaited,
    /// It is awaited after op 9. At that time the gateway leaves; `None` if it does not mean to.
    Invalidated { leave_at: Option<Instant> },
    /// There is a session on the connection.
    Done { session: u32 },
}

/// What becomes of a session that loses its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterlife {
    /// It waits to be resumed.
    Kept,
    /// It ends.
    None,
}

impl Afterlife {
    const fn after(is_end: bool) -> Self {
        if is_end { Self::None } else { Self::Kept }
    }
}

/// IDENTIFY, as leniently as Discord reads it: whatever else is in it does not matter.
#[derive(Deserialize)]
struct IdentifyPayload<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(default)]
    intents: Option<Intents>,
    #[serde(default)]
    shard: Option<Shard>,
    /// Whether long payloads may be compressed.
    #[serde(borrow, default)]
    compress: Option<&'a RawValue>,
}

/// RESUME; a client that has no session may send nulls, and negative numbers.
#[derive(Deserialize)]
struct ResumePayload<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow, default)]
    session_id: Option<Text<'a>>,
    #[serde(default)]
    seq: Option<i64>,
}

/// A request for guild members, as far as the answer repeats it.
#[derive(Deserialize)]
struct MembersPayload<'a> {
    #[serde(borrow)]
    guild_id: &'a RawValue,
    #[serde(borrow, default)]
    nonce: Option<&'a RawValue>,
}

impl Gateway {
    /// A gateway that nobody has connected to.
    pub fn new(config: Config, draw: Draw) -> Self {
        let starts = Starts::new(&config.enforce);
        Self {
            config,
            draw,
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            session_last: 0,
            starts,
            messages: Messages::default(),
            floods: Vec::new(),
            asked: 0,
            null: Json::null(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input at a time. Time never runs backwards.
    ///
    /// # Panics
    /// When a connection is opened under a number that is in use: the engine gives each number once.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Opened {
                connection,
                port: _,
                path,
            } => self.on_opened(now, connection, path),
            Input::Frame {
                connection,
                frame,
                bytes,
            } => self.on_frame(now, connection, frame, bytes),
            Input::Garbage { connection } => self.on_garbage(now, connection),
            Input::Refused {
                connection,
                frame,
                by,
            } => self.on_refused(now, connection, frame, by),
            Input::Closed { connection, code } => {
                let is_end = code.is_some_and(CloseCode::ends_session_from_client);
                self.leave(now, connection, Afterlife::after(is_end));
            }
            Input::Ended { connection } => {
                self.leave(now, connection, Afterlife::Kept);
                self.connections.remove(&connection);
            }
            Input::Fired(timer) => self.on_fired(now, timer),
            Input::Flood {
                connection,
                count,
                size,
            } => self.on_flood(connection, count, size),
            Input::Order { connection, order } => self.on_order(now, connection, order),
        }
    }

    /// The next thing asked for, in order, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Answers a REST request.
    pub fn rest(&mut self, now: Instant, request: &rest::Request) -> Response {
        self.asked += 1;
        let about = rest::About {
            url: &self.config.main_url,
            shards: self.config.shards,
            token: self.config.token.as_ref(),
            limit: self.starts.limit(now, &self.config.enforce),
            asked: self.asked,
        };
        rest::answer(request, &about)
    }

    /// The HELLO that a connection with that interval gets, for a schedule that changes it on its way.
    pub fn hello(interval: Duration) -> ServerFrame {
        ServerFrame::plain(Opcode::HELLO, payload::hello(interval))
    }

    /// Which shard a connection is, once it has logged in and until it is over; 0 for a bot that does not shard.
    pub fn shard_of(&self, connection: u32) -> Option<u32> {
        self.connections.get(&connection)?.shard
    }

    /// Which shard an IDENTIFY or a RESUME is about that was not handled yet; `None` if it does not say.
    pub fn shard_in(&self, frame: &Envelope<'_>) -> Option<u32> {
        let shard = match frame.op {
            Opcode::IDENTIFY => frame.payload::<IdentifyPayload<'_>>().ok()?.shard,
            Opcode::RESUME => {
                let number = self.session_named(frame)?;
                self.sessions.get(&number)?.shard()
            }
            _ => return None,
        };
        Some(shard.map_or(0, |shard| shard.id))
    }

    /// The session on a connection; `None` before its login and once it is closing.
    pub fn session_of(&self, connection: u32) -> Option<&Session> {
        let number = self.authenticated(connection)?;
        self.sessions.get(&number)
    }

    /// The last sequence number that was sent, or kept for replay, in a connection's session.
    pub fn last_seq(&self, connection: u32) -> Option<u64> {
        self.session_of(connection).map(Session::last)
    }

    /// How many sessions there are, resumable ones included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn on_opened(&mut self, now: Instant, connection: u32, path: &str) {
        let open = Open {
            interval: self.config.interval,
            pulse: Pulse::Ungreeted(greeting(path)),
            login: Login::Awaited,
            leave_at: None,
            received: VecDeque::new(),
        };
        let known = self.connections.insert(
            connection,
            Connection {
                shard: None,
                link: Link::Open(open),
            },
        );
        assert!(known.is_none(), "connection #{connection} was opened twice");
        let hello_after = self.config.hello_after;
        self.arm(HELLO, connection, now + hello_after);
    }

    fn on_frame(&mut self, now: Instant, connection: u32, frame: &Envelope<'_>, bytes: usize) {
        let Some(open) = self.open(connection) else {
            return;
        };
        let (pulse, login, is_within_budget) = (open.pulse, open.login, open.receive(now));
        if let Pulse::Ungreeted(Greeting::Close(refused)) = pulse {
            return self.close(now, connection, refused.code, refused.reason);
        }
        // HELLO is the first word of every connection: a client that does not wait for it gets it before its answer, which no
        // fault that is set on HELLO then comes too late for.
        if matches!(frame.op, Opcode::IDENTIFY | Opcode::RESUME) {
            self.on_greet(now, connection);
        }
        if bytes > self.config.enforce.payload_max {
            let reason = "the payload is too large";
            return self.close(now, connection, CloseCode::DECODE_ERROR, reason);
        }
        if !is_within_budget {
            let reason = "too many payloads in 60 s";
            return self.close(now, connection, CloseCode::RATE_LIMITED, reason);
        }
        match (frame.op, login) {
            (Opcode::HEARTBEAT, _) => self.on_heartbeat(now, connection),
            (op, _) if !op.is_from_bot() => {
                self.close(now, connection, CloseCode::UNKNOWN_OPCODE, "unknown opcode");
            }
            (Opcode::IDENTIFY | Opcode::RESUME, Login::Done { .. }) => self.close(
                now,
                connection,
                CloseCode::ALREADY_AUTHENTICATED,
                "already authenticated",
            ),
            (Opcode::IDENTIFY, _) => self.on_identify(now, connection, frame),
            (Opcode::RESUME, _) => self.on_resume(now, connection, frame),
            (op, Login::Done { session }) => self.on_command(now, connection, session, op, frame),
            (_, Login::Awaited | Login::Invalidated { .. }) => self.close(
                now,
                connection,
                CloseCode::NOT_AUTHENTICATED,
                "not authenticated",
            ),
        }
    }

    /// What cannot be read may be in an encoding that the URL named: then it is the URL that is wrong.
    fn on_garbage(&mut self, now: Instant, connection: u32) {
        let pulse = self.open(connection).map(|open| open.pulse);
        let (code, reason) = match pulse {
            Some(Pulse::Ungreeted(Greeting::Close(refused))) => (refused.code, refused.reason),
            _ => (CloseCode::DECODE_ERROR, "the message is no gateway payload"),
        };
        self.close(now, connection, code, reason);
    }

    /// A heartbeat counts whatever it carries, before the login too (Discord, "Sending Heartbeats").
    fn on_heartbeat(&mut self, now: Instant, connection: u32) {
        if let Some(open) = self.open(connection)
            && let Pulse::Since(last) = &mut open.pulse
        {
            *last = now;
            self.arm_heartbeat(connection);
        }
        let d = self.null.clone();
        self.send(connection, ServerFrame::plain(Opcode::HEARTBEAT_ACK, d));
    }

    fn on_identify(&mut self, now: Instant, connection: u32, frame: &Envelope<'_>) {
        let Ok(identify) = frame.payload::<IdentifyPayload<'_>>() else {
            let reason = "IDENTIFY needs a token, intents as a number and shard as a pair";
            return self.close(now, connection, CloseCode::DECODE_ERROR, reason);
        };
        if !self.is_token(&identify.token) {
            let reason = "authentication failed";
            return self.close(now, connection, CloseCode::AUTHENTICATION_FAILED, reason);
        }
        if identify.intents.is_none_or(Intents::has_unknown) {
            let reason = "intents are missing, or have an unknown bit";
            return self.close(now, connection, CloseCode::INVALID_INTENTS, reason);
        }
        let shard = identify.shard;
        if shard.is_some_and(|shard| shard.id >= shard.count) {
            let reason = "invalid shard";
            return self.close(now, connection, CloseCode::INVALID_SHARD, reason);
        }
        match self.starts.take(now, shard, &self.config.enforce) {
            Ok(()) => {}
            // Discord does not say what `d` is then; nothing has begun that could be resumed.
            Err(StartError::TooSoon) => return self.invalidate(now, connection, CutAfter::Usual),
            // Discord resets the token.
            Err(StartError::UsedUp) => {
                let reason = "session start limit used up";
                return self.close(now, connection, CloseCode::AUTHENTICATION_FAILED, reason);
            }
        }
        let id = format!("{:016x}{:016x}", self.draw.bits(), self.draw.bits());
        let token = Token::new(&identify.token);
        let mut session = Session::new(id, token, shard, connection);
        session.compresses = identify.compress.is_some_and(|raw| raw.get() == "true");
        let ready = payload::ready(
            session.id(),
            &self.config.resume_url,
            shard,
            session.place(),
        );
        let ready = session.ready(ready);
        let guild = payload::guild_create(session.place());
        let guild = session.dispatch(EventName::Borrowed("GUILD_CREATE"), guild);
        self.session_last += 1;
        let number = self.session_last;
        self.sessions.insert(number, session);
        self.log_in(connection, number, shard);
        self.send(connection, ready);
        self.send(connection, guild);
        self.flood_late(number);
        if let Some(period) = self.traffic() {
            self.arm(TRAFFIC, number, now + period);
        }
    }

    fn on_resume(&mut self, now: Instant, connection: u32, frame: &Envelope<'_>) {
        let Ok(resume) = frame.payload::<ResumePayload<'_>>() else {
            let reason = "RESUME needs a token, session_id as text and seq as a number";
            return self.close(now, connection, CloseCode::DECODE_ERROR, reason);
        };
        if !self.is_token(&resume.token) {
            let reason = "authentication failed";
            return self.close(now, connection, CloseCode::AUTHENTICATION_FAILED, reason);
        }
        let number = resume.session_id.as_deref().and_then(|id| self.number(id));
        let Some(number) = number else {
            return self.invalidate(now, connection, CutAfter::Usual);
        };
        let session = &self.sessions[&number];
        // Where any token is taken, a session still belongs to the one that it was begun with.
        if *session.token() != Token::new(&resume.token) {
            let reason = "authentication failed";
            return self.close(now, connection, CloseCode::AUTHENTICATION_FAILED, reason);
        }
        let seq = resume.seq.and_then(|seq| u64::try_from(seq).ok());
        let Some(seq) = seq else {
            self.end_named(now, connection, number);
            return self.invalidate(now, connection, CutAfter::Usual);
        };
        let (shard, whereabouts) = (session.shard(), session.whereabouts());
        let replay = session.replay(seq).map(|frames| {
            frames
                .map(|frame| Output::Send { connection, frame })
                .collect::<Vec<_>>()
        });
        match replay {
            Ok(replay) => {
                // A session is on one connection: the other one lost its client, or its client lost count.
                if let Whereabouts::On { connection: other } = whereabouts {
                    let reason = "the session was resumed on another connection";
                    self.close(now, other, CloseCode::UNKNOWN_ERROR, reason);
                }
                self.disarm(EXPIRY, number);
                self.log_in(connection, number, shard);
                self.outputs.extend(replay);
                let resumed = self.session(number).resumed(payload::resumed());
                self.send(connection, resumed);
                self.flood_late(number);
            }
            Err(ReplayError::Ahead { .. }) => {
                self.end_named(now, connection, number);
                let reason = "the session was never at that sequence number";
                self.close(now, connection, CloseCode::INVALID_SEQ, reason);
            }
            Err(ReplayError::Gone { .. }) => {
                self.end_named(now, connection, number);
                self.invalidate(now, connection, CutAfter::Usual);
            }
        }
    }

    /// What a client may send once it has logged in. Only a request for members is answered.
    fn on_command(
        &mut self,
        now: Instant,
        connection: u32,
        session: u32,
        op: Opcode,
        frame: &Envelope<'_>,
    ) {
        if op != Opcode::REQUEST_GUILD_MEMBERS {
            return;
        }
        let Ok(request) = frame.payload::<MembersPayload<'_>>() else {
            let reason = "a request for guild members needs a guild_id";
            return self.close(now, connection, CloseCode::DECODE_ERROR, reason);
        };
        let chunk = payload::members_chunk(request.guild_id, request.nonce);
        self.dispatch(session, EventName::Borrowed("GUILD_MEMBERS_CHUNK"), chunk);
    }

    fn on_refused(&mut self, now: Instant, connection: u32, frame: &Envelope<'_>, by: &Refusal) {
        let Some(open) = self.open(connection) else {
            return;
        };
        if !open.receive(now) {
            let reason = "too many payloads in 60 s";
            return self.close(now, connection, CloseCode::RATE_LIMITED, reason);
        }
        let named = self.session_named(frame);
        match by {
            Refusal::Close(code) => {
                if let Some(number) = named
                    && code.is_some_and(CloseCode::ends_session)
                {
                    self.end_named(now, connection, number);
                }
                self.close_with(now, connection, *code, String::new());
            }
            Refusal::Reset => {
                self.leave(now, connection, Afterlife::Kept);
                self.outputs.push_back(Output::Reset { connection });
            }
            Refusal::Op9 => {
                if let Some(number) = named {
                    self.end_named(now, connection, number);
                }
                self.part(now, connection, Afterlife::None);
                self.invalidate(now, connection, CutAfter::Usual);
            }
            // It counts as taken: what op 9 had given time for has happened.
            Refusal::Silence => self.revalidate(connection),
        }
    }

    fn on_order(&mut self, now: Instant, connection: u32, order: &Order) {
        let Some(open) = self.open(connection) else {
            return;
        };
        match order {
            Order::RequestHeartbeat => {
                let d = self.null.clone();
                self.send(connection, ServerFrame::plain(Opcode::HEARTBEAT, d));
            }
            Order::Reconnect { cut_after } => {
                let leave_at = cut_at(now, *cut_after, LEAVE_AFTER);
                let before = std::mem::replace(&mut open.leave_at, leave_at);
                self.rearm(LEAVE, connection, before, leave_at);
                let d = self.null.clone();
                self.send(connection, ServerFrame::plain(Opcode::RECONNECT, d));
            }
            Order::InvalidSession {
                resumable,
                cut_after,
            } => {
                self.part(now, connection, Afterlife::after(!*resumable));
                self.invalid_session(now, connection, *resumable, *cut_after);
            }
            Order::Close { code, reason } => {
                self.close_with(now, connection, *code, reason.clone());
            }
            Order::Dispatch { t, d } => {
                if let Login::Done { session } = open.login {
                    self.dispatch(session, t.clone(), d.clone());
                }
            }
            Order::SkipSeq { count } => {
                if let Login::Done { session } = open.login {
                    self.session(session).skip(*count);
                }
            }
            Order::Interval(interval) => {
                open.interval = *interval;
                if let Pulse::Since(_) = open.pulse {
                    self.arm_heartbeat(connection);
                }
            }
        }
    }

    fn on_fired(&mut self, now: Instant, timer: Timer) {
        let Timer { name, number } = timer;
        match name {
            TRAFFIC => self.on_traffic(now, number),
            EXPIRY => {
                let session = self.sessions.get(&number);
                if let Some(Whereabouts::Away { until }) = session.map(Session::whereabouts)
                    && until <= now
                {
                    self.end_session(number);
                }
            }
            HELLO => self.on_greet(now, number),
            HEARTBEAT => {
                if let Some(open) = self.open(number)
                    && open.heartbeat_due().is_some_and(|due| due <= now)
                {
                    let reason = "no heartbeat for 1.5 intervals";
                    self.close(now, number, CloseCode::UNKNOWN_ERROR, reason);
                }
            }
            LEAVE => {
                if let Some(open) = self.open(number)
                    && open.leave_at.is_some_and(|at| at <= now)
                {
                    let reason = "the connection was to be left";
                    self.close(now, number, CloseCode::UNKNOWN_ERROR, reason);
                }
            }
            INVALID => {
                if let Some(open) = self.open(number)
                    && open.login.leave_at().is_some_and(|at| at <= now)
                {
                    let reason = "nobody logged in after an invalid session";
                    self.close(now, number, CloseCode::UNKNOWN_ERROR, reason);
                }
            }
            _ => unreachable!("the gateway arms no timer named `{name}`"),
        }
    }

    fn on_greet(&mut self, now: Instant, connection: u32) {
        let Some(open) = self.open(connection) else {
            return;
        };
        match open.pulse {
            Pulse::Ungreeted(Greeting::Hello) => {
                open.pulse = Pulse::Since(now);
                let hello = Self::hello(open.interval);
                self.send(connection, hello);
                self.arm_heartbeat(connection);
            }
            Pulse::Ungreeted(Greeting::Close(refused)) => {
                self.close(now, connection, refused.code, refused.reason);
            }
            Pulse::Since(_) => {}
        }
    }

    /// The next message of a session, sent or kept. This is what a run does most: nothing is looked up but the session.
    fn on_traffic(&mut self, now: Instant, number: u32) {
        let (Some(period), Some(session)) = (self.traffic(), self.sessions.get_mut(&number)) else {
            return;
        };
        let message = self.messages.next(session.place());
        let frame = session.dispatch(EventName::Borrowed("MESSAGE_CREATE"), message);
        if let Whereabouts::On { connection } = session.whereabouts() {
            self.send(connection, frame);
        }
        self.arm(TRAFFIC, number, now + period);
    }

    fn on_flood(&mut self, connection: Option<u32>, count: u32, size: u32) {
        let sessions: Vec<u32> = match connection {
            // Before its login a connection has no session, and gets it behind its READY or RESUMED.
            Some(connection) => self.authenticated(connection).into_iter().collect(),
            None => self.sessions.keys().copied().collect(),
        };
        if sessions.is_empty() {
            self.floods.push((count, size));
        }
        for number in sessions {
            self.flood(number, count, size);
        }
    }

    /// What was asked for while there was no session to have it.
    fn flood_late(&mut self, number: u32) {
        for (count, size) in std::mem::take(&mut self.floods) {
            self.flood(number, count, size);
        }
    }

    fn flood(&mut self, number: u32, count: u32, size: u32) {
        for _ in 0..count {
            let place = self.sessions[&number].place();
            let message = payload::filled(&self.messages.next(place), size as usize);
            self.dispatch(number, EventName::Borrowed("MESSAGE_CREATE"), message);
        }
    }

    /// Sends a dispatch to wherever the session is, or keeps it.
    fn dispatch(&mut self, number: u32, t: EventName, d: Json) {
        let session = self.session(number);
        let frame = session.dispatch(t, d);
        if let Whereabouts::On { connection } = session.whereabouts() {
            self.send(connection, frame);
        }
    }

    /// Puts a session on a connection.
    fn log_in(&mut self, connection: u32, number: u32, shard: Option<Shard>) {
        self.revalidate(connection);
        self.session(number).whereabouts = Whereabouts::On { connection };
        let known = self.connections.get_mut(&connection);
        let known = known.expect("a login was read on the connection");
        known.shard = Some(shard.map_or(0, |shard| shard.id));
        if let Link::Open(open) = &mut known.link {
            open.login = Login::Done { session: number };
        }
    }

    /// Op 9 with `d` false, on a connection without a session.
    fn invalidate(&mut self, now: Instant, connection: u32, cut_after: CutAfter<Duration>) {
        self.invalid_session(now, connection, false, cut_after);
    }

    /// Op 9 on a connection that has no session, or has just lost it. The client may log in again on it.
    fn invalid_session(
        &mut self,
        now: Instant,
        connection: u32,
        resumable: bool,
        cut_after: CutAfter<Duration>,
    ) {
        let Some(open) = self.open(connection) else {
            return;
        };
        let leave_at = cut_at(now, cut_after, INVALID_AFTER);
        let before = std::mem::replace(&mut open.login, Login::Invalidated { leave_at });
        self.rearm(INVALID, connection, before.leave_at(), leave_at);
        let d = Json::of(&resumable);
        self.send(connection, ServerFrame::plain(Opcode::INVALID_SESSION, d));
    }

    /// A login was taken: what op 9 had set going is off.
    fn revalidate(&mut self, connection: u32) {
        if let Some(open) = self.open(connection)
            && let Login::Invalidated { leave_at } = open.login
        {
            open.login = Login::Awaited;
            self.rearm(INVALID, connection, leave_at, None);
        }
    }

    fn close(&mut self, now: Instant, connection: u32, code: CloseCode, reason: &str) {
        self.close_with(now, connection, Some(code), reason.to_owned());
    }

    fn close_with(
        &mut self,
        now: Instant,
        connection: u32,
        code: Option<CloseCode>,
        reason: String,
    ) {
        if self.open(connection).is_none() {
            return;
        }
        let is_end = code.is_some_and(CloseCode::ends_session);
        self.leave(now, connection, Afterlife::after(is_end));
        self.outputs.push_back(Output::Close {
            connection,
            code,
            reason,
        });
    }

    /// The only way off a connection: its timers stop, its session goes where it is told, and nothing is sent any more. On a
    /// connection that was left already, nothing happens.
    fn leave(&mut self, now: Instant, connection: u32, afterlife: Afterlife) {
        self.part(now, connection, afterlife);
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        let Link::Open(open) = std::mem::replace(&mut known.link, Link::Closing) else {
            return;
        };
        match open.pulse {
            Pulse::Ungreeted(_) => self.disarm(HELLO, connection),
            Pulse::Since(_) if self.config.enforce.heartbeat => self.disarm(HEARTBEAT, connection),
            Pulse::Since(_) => {}
        }
        self.rearm(LEAVE, connection, open.leave_at, None);
        self.rearm(INVALID, connection, open.login.leave_at(), None);
    }

    /// Takes the session off a connection, if there is one on it.
    fn part(&mut self, now: Instant, connection: u32, afterlife: Afterlife) {
        let Some(number) = self.authenticated(connection) else {
            return;
        };
        match afterlife {
            Afterlife::None => self.end_session(number),
            Afterlife::Kept => {
                let until = now + self.config.resume_window();
                self.session(number).whereabouts = Whereabouts::Away { until };
                self.arm(EXPIRY, number, until);
                self.log_out(connection);
            }
        }
    }

    /// Forgets a session, wherever it is.
    fn end_session(&mut self, number: u32) {
        let Some(session) = self.sessions.remove(&number) else {
            return;
        };
        if self.traffic().is_some() {
            self.disarm(TRAFFIC, number);
        }
        match session.whereabouts() {
            Whereabouts::On { connection } => self.log_out(connection),
            Whereabouts::Away { .. } => self.disarm(EXPIRY, number),
        }
    }

    /// Forgets a session that a RESUME on a connection has named. If it was on another connection, that one has nothing to
    /// stay for.
    fn end_named(&mut self, now: Instant, connection: u32, number: u32) {
        match self.session(number).whereabouts() {
            Whereabouts::On { connection: other } if other != connection => {
                let reason = "the session has ended";
                self.close(now, other, CloseCode::SESSION_TIMED_OUT, reason);
            }
            Whereabouts::On { .. } | Whereabouts::Away { .. } => self.end_session(number),
        }
    }

    fn log_out(&mut self, connection: u32) {
        if let Some(open) = self.open(connection) {
            open.login = Login::Awaited;
        }
    }

    /// A connection that frames still go through; stale input ends here.
    fn open(&mut self, connection: u32) -> Option<&mut Open> {
        match &mut self.connections.get_mut(&connection)?.link {
            Link::Open(open) => Some(open),
            Link::Closing => None,
        }
    }

    /// The number of the session on a connection.
    fn authenticated(&self, connection: u32) -> Option<u32> {
        match &self.connections.get(&connection)?.link {
            Link::Open(Open {
                login: Login::Done { session },
                ..
            }) => Some(*session),
            Link::Open(_) | Link::Closing => None,
        }
    }

    fn session(&mut self, number: u32) -> &mut Session {
        let session = self.sessions.get_mut(&number);
        session.expect("a session that is on a connection or was just looked up exists")
    }

    /// The number of the session with an id. Sessions are few: a shard has one, and those that ended are gone.
    fn number(&self, id: &str) -> Option<u32> {
        let mut sessions = self.sessions.iter();
        sessions
            .find(|(_, session)| session.id() == id)
            .map(|(number, _)| *number)
    }

    /// The session that a RESUME names.
    fn session_named(&self, frame: &Envelope<'_>) -> Option<u32> {
        if frame.op != Opcode::RESUME {
            return None;
        }
        let resume = frame.payload::<ResumePayload<'_>>().ok()?;
        self.number(resume.session_id.as_deref()?)
    }

    /// Whether a token, bare or with its prefix, is one that is accepted.
    fn is_token(&self, given: &str) -> bool {
        let given = given.strip_prefix("Bot ").unwrap_or(given);
        let expected = self.config.token.as_ref();
        expected.map_or(!given.is_empty(), |token| given == token.expose())
    }

    /// The time between two messages of a session. Without time in between they would never end.
    fn traffic(&self) -> Option<Duration> {
        self.config.traffic.filter(|period| !period.is_zero())
    }

    fn arm_heartbeat(&mut self, connection: u32) {
        if self.config.enforce.heartbeat
            && let Some(at) = self.open(connection).and_then(|open| open.heartbeat_due())
        {
            self.arm(HEARTBEAT, connection, at);
        }
    }

    fn send(&mut self, connection: u32, frame: ServerFrame) {
        self.outputs.push_back(Output::Send { connection, frame });
    }

    fn arm(&mut self, name: &'static str, number: u32, at: Instant) {
        let timer = Timer { name, number };
        self.outputs.push_back(Output::Arm { timer, at });
    }

    /// Moves a timer that may be armed to a time that may be none.
    fn rearm(
        &mut self,
        name: &'static str,
        number: u32,
        before: Option<Instant>,
        after: Option<Instant>,
    ) {
        match (before, after) {
            (_, Some(at)) => self.arm(name, number, at),
            (Some(_), None) => self.disarm(name, number),
            (None, None) => {}
        }
    }

    fn disarm(&mut self, name: &'static str, number: u32) {
        let timer = Timer { name, number };
        self.outputs.push_back(Output::Disarm { timer });
    }
}

impl Login {
    /// When the gateway leaves because nobody logged in.
    const fn leave_at(self) -> Option<Instant> {
        match self {
            Self::Invalidated { leave_at } => leave_at,
            Self::Awaited | Self::Done { .. } => None,
        }
    }
}

impl Open {
    /// When the next heartbeat is overdue; `None` before HELLO. Discord does not say how much slack it gives; PROTOCOL §4.
    fn heartbeat_due(&self) -> Option<Instant> {
        match self.pulse {
            Pulse::Ungreeted(_) => None,
            Pulse::Since(last) => Some(last + self.interval + self.interval / 2),
        }
    }

    /// Counts a payload; false if it is one too many. The window slides: no client can count on more than that.
    fn receive(&mut self, now: Instant) -> bool {
        while self
            .received
            .front()
            .is_some_and(|at| *at + SEND_WINDOW <= now)
        {
            self.received.pop_front();
        }
        self.received.push_back(now);
        self.received.len() <= usize::try_from(send_budget(self.interval)).unwrap_or(usize::MAX)
    }
}

/// When the gateway closes by itself.
fn cut_at(now: Instant, cut_after: CutAfter<Duration>, usual: Duration) -> Option<Instant> {
    match cut_after {
        CutAfter::Usual => Some(now + usual),
        CutAfter::Time(time) => Some(now + time),
        CutAfter::Never => None,
    }
}

/// What the URL of an upgrade is greeted with.
fn greeting(path: &str) -> Greeting {
    match query::read(path) {
        Ok(_) => Greeting::Hello,
        Err(refused) => Greeting::Close(refused),
    }
}

/// How many sessions were started, and when (Discord, "Session Start Limit Object").
#[derive(Debug)]
struct Starts {
    window_ends: Instant,
    used: u32,
    /// When each key's last IDENTIFY was taken; there are as many keys as IDENTIFYs in 5 s are allowed.
    last: BTreeMap<u32, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartError {
    /// The key's last IDENTIFY was less than 5 s ago.
    TooSoon,
    /// None is left in this window.
    UsedUp,
}

impl Starts {
    fn new(enforce: &Enforce) -> Self {
        Self {
            window_ends: Instant::ZERO + enforce.reset_after,
            used: 0,
            last: BTreeMap::new(),
        }
    }

    /// Takes one start, or says why not. One that comes too soon costs nothing.
    fn take(
        &mut self,
        now: Instant,
        shard: Option<Shard>,
        enforce: &Enforce,
    ) -> Result<(), StartError> {
        self.roll(now, enforce);
        let key = shard.map_or(0, |shard| shard.id) % enforce.max_concurrency.max(1);
        let spacing = IDENTIFY_SPACING.saturating_sub(IDENTIFY_SLACK);
        let last = self.last.get(&key);
        if last.is_some_and(|last| now.since(*last) < spacing) {
            return Err(StartError::TooSoon);
        }
        if self.used >= enforce.identifies {
            return Err(StartError::UsedUp);
        }
        self.used += 1;
        self.last.insert(key, now);
        Ok(())
    }

    fn limit(&mut self, now: Instant, enforce: &Enforce) -> SessionStartLimit {
        self.roll(now, enforce);
        SessionStartLimit {
            total: enforce.identifies,
            remaining: enforce.identifies.saturating_sub(self.used),
            reset_after: self.window_ends.since(now),
            max_concurrency: enforce.max_concurrency,
        }
    }

    /// Begins a new window if the last one is over; windows follow each other without a gap.
    fn roll(&mut self, now: Instant, enforce: &Enforce) {
        if now < self.window_ends {
            return;
        }
        self.used = 0;
        let period = enforce.reset_after.as_nanos().max(1);
        let into = now.since(self.window_ends).as_nanos() % period;
        let left = u64::try_from(period - into).unwrap_or(u64::MAX);
        self.window_ends = now + Duration::from_nanos(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Port;
    use crate::seed::{Seed, Stream};
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    const IDENTIFY: &str = r#"{"op":2,"d":{"token":"abc","properties":{},"intents":513}}"#;
    /// Stands for the id of the first session of a test.
    const SESSION: &str = "SESSION";

    /// A gateway with a clock and timers; what it asks for is written down, a line each.
    struct Rig {
        gateway: Gateway,
        now: Instant,
        timers: BTreeMap<Timer, Instant>,
        script: String,
        /// The ids of sessions, in the order of their READYs.
        ids: Vec<String>,
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// I is 10 s, HELLO comes at once, and there is no traffic unless a test wants it.
    fn config() -> Config {
        Config {
            interval: secs(10.0),
            token: Some(Token::new("abc")),
            hello_after: Duration::ZERO,
            resume_url: "ws://resume.test".to_owned(),
            main_url: "ws://main.test".to_owned(),
            shards: 1,
            traffic: None,
            enforce: Enforce::default(),
        }
    }

    impl Rig {
        fn new(config: Config) -> Self {
            Self {
                gateway: Gateway::new(config, Seed(1).stream(Stream::Gateway)),
                now: Instant::ZERO,
                timers: BTreeMap::new(),
                script: String::new(),
                ids: Vec::new(),
            }
        }

        /// One session on connection 1, transcript emptied.
        fn ready(config: Config) -> Self {
            let mut rig = Self::new(config);
            rig.open(1);
            rig.send(1, IDENTIFY);
            rig.script.clear();
            rig
        }

        fn input(&mut self, input: Input<'_>) {
            self.gateway.handle(self.now, input);
            while let Some(output) = self.gateway.poll_output() {
                let now = self.now;
                let mut line = |text: String| writeln!(self.script, "{now} {text}").unwrap();
                match output {
                    Output::Send { connection, frame } => {
                        let ServerFrame { t, s, op, d } = frame;
                        match (t, s) {
                            (Some(t), Some(s)) if t == "READY" => {
                                let ready: serde_json::Value = d.read().unwrap();
                                self.ids.push(ready["session_id"].as_str().unwrap().into());
                                line(format!("#{connection} READY s{s}"));
                            }
                            (Some(t), Some(s)) if t == "MESSAGE_CREATE" => {
                                let message: serde_json::Value = d.read().unwrap();
                                line(format!("#{connection} message {} s{s}", message["content"]));
                            }
                            (Some(t), Some(s)) => line(format!("#{connection} {t} s{s}")),
                            _ => line(format!("#{connection} {op} {}", d.get())),
                        }
                    }
                    Output::Close {
                        connection,
                        code,
                        reason,
                    } => {
                        let code = code.map_or("none".to_owned(), |code| code.to_string());
                        line(format!("#{connection} close {code} {reason}"));
                    }
                    Output::Reset { connection } => line(format!("#{connection} reset")),
                    Output::Arm { timer, at } => {
                        self.timers.insert(timer, at);
                    }
                    Output::Disarm { timer } => {
                        let known = self.timers.remove(&timer);
                        assert!(known.is_some(), "{timer:?} was disarmed but not armed");
                    }
                }
            }
        }

        fn open_at(&mut self, connection: u32, path: &str) {
            self.input(Input::Opened {
                connection,
                port: Port::Main,
                path,
            });
            self.run(0.0);
        }

        fn open(&mut self, connection: u32) {
            self.open_at(connection, "/?v=10&encoding=json");
        }

        fn send(&mut self, connection: u32, text: &str) {
            self.input(Input::Frame {
                connection,
                frame: &Envelope::read(text).unwrap(),
                bytes: text.len(),
            });
        }

        fn resume(&mut self, connection: u32, session: &str, seq: i64) {
            let text = self.resume_text(session, seq);
            self.send(connection, &text);
        }

        fn resume_text(&self, session: &str, seq: i64) -> String {
            let id = if session == SESSION {
                &self.ids[0]
            } else {
                session
            };
            format!(r#"{{"op":6,"d":{{"token":"abc","session_id":"{id}","seq":{seq}}}}}"#)
        }

        fn order(&mut self, connection: u32, order: &Order) {
            self.input(Input::Order { connection, order });
        }

        fn refuse(&mut self, connection: u32, text: &str, by: &Refusal) {
            let frame = &Envelope::read(text).unwrap();
            self.input(Input::Refused {
                connection,
                frame,
                by,
            });
        }

        fn event(&mut self, connection: u32) {
            let order = Order::Dispatch {
                t: "EVENT".into(),
                d: Json::null(),
            };
            self.order(connection, &order);
        }

        fn closed(&mut self, connection: u32, code: u16) {
            self.input(Input::Closed {
                connection,
                code: Some(CloseCode(code)),
            });
        }

        fn ended(&mut self, connection: u32) {
            self.input(Input::Ended { connection });
        }

        /// Lets time pass, firing timers as they come due.
        fn run(&mut self, seconds: f64) {
            let until = self.now + secs(seconds);
            while let Some((timer, at)) = self
                .timers
                .iter()
                .map(|(timer, at)| (*timer, *at))
                .filter(|(_, at)| *at <= until)
                .min_by_key(|(timer, at)| (*at, *timer))
            {
                self.now = at;
                self.input(Input::Fired(timer));
                // Unless it was armed again; the gateway may also have disarmed the very timer that fired.
                if self.timers.get(&timer) == Some(&at) {
                    self.timers.remove(&timer);
                }
            }
            self.now = until;
        }

        #[track_caller]
        fn check(&mut self, expected: &[&str]) {
            let script = std::mem::take(&mut self.script);
            assert_eq!(script.lines().collect::<Vec<_>>(), expected);
        }

        fn armed(&self) -> BTreeSet<&'static str> {
            self.timers.keys().map(|timer| timer.name).collect()
        }
    }

    #[test]
    fn a_login_is_answered_with_ready_and_the_guild_and_then_traffic() {
        let mut rig = Rig::new(Config {
            hello_after: secs(0.03),
            traffic: Some(secs(4.0)),
            ..config()
        });
        rig.open(1);
        rig.run(0.5);
        rig.send(1, r#"{"op":1,"d":null}"#);
        rig.send(1, IDENTIFY);
        rig.run(9.0);
        rig.check(&[
            r#"0.030s #1 op 10 {"heartbeat_interval":10000,"_trace":["gwtool"]}"#,
            "0.500s #1 op 11 null",
            "0.500s #1 READY s1",
            "0.500s #1 GUILD_CREATE s2",
            r#"4.500s #1 message "1" s3"#,
            r#"8.500s #1 message "2" s4"#,
        ]);
        assert_eq!(rig.ids[0].len(), 32);
        assert_eq!(rig.gateway.last_seq(1), Some(4));
        assert_eq!(rig.gateway.session_of(1).unwrap().id(), rig.ids[0]);
    }

    #[test]
    fn the_same_stream_gives_the_same_session_ids() {
        let ids = || {
            let mut rig = Rig::ready(config());
            rig.run(5.0);
            rig.open(2);
            rig.send(2, IDENTIFY);
            rig.ids
        };
        assert_eq!(ids(), ids());
        assert_ne!(ids()[0], ids()[1]);
    }

    #[test]
    fn messages_are_numbered_over_the_whole_gateway() {
        let mut config = config();
        config.traffic = Some(secs(3.0));
        config.enforce.max_concurrency = 2;
        let mut rig = Rig::new(config);
        for shard in 0..2 {
            rig.open(shard + 1);
            let text =
                format!(r#"{{"op":2,"d":{{"token":"abc","intents":0,"shard":[{shard},2]}}}}"#);
            rig.send(shard + 1, &text);
        }
        rig.script.clear();
        rig.run(6.0);
        rig.check(&[
            r#"3.000s #1 message "1" s3"#,
            r#"3.000s #2 message "2" s3"#,
            r#"6.000s #1 message "3" s4"#,
            r#"6.000s #2 message "4" s4"#,
        ]);
        assert_eq!(
            (rig.gateway.shard_of(1), rig.gateway.shard_of(2)),
            (Some(0), Some(1))
        );
    }

    #[test]
    fn paths_and_versions_in_use_are_greeted_and_others_are_told_why_not() {
        for path in [
            "/?v=10&encoding=json",
            "//?encoding=json&v=10",
            "/?v=10&compress=zlib-stream",
            "/?compress=zstd-stream",
        ] {
            assert_eq!(greeting(path), Greeting::Hello, "{path}");
        }
        let mut rig = Rig::new(config());
        let wrong = [
            "/?v=6",
            "/?v=ten",
            "/?encoding=etf",
            "/?encoding=xml",
            "/?v=10&compress=gzip",
        ];
        for (connection, path) in (1..).zip(wrong) {
            rig.open_at(connection, path);
        }
        rig.check(&[
            "0.000s #1 close 4012 invalid API version: this gateway serves v=10 and v=9",
            "0.000s #2 close 4012 invalid API version: this gateway serves v=10 and v=9",
            "0.000s #3 close 4002 encoding=etf is not supported by this gateway: use encoding=json",
            "0.000s #4 close 4002 unknown encoding: use encoding=json",
            "0.000s #5 close 4002 unknown compress: use compress=zlib-stream or zstd-stream, or leave it out",
        ]);
        assert!(rig.timers.is_empty());
    }

    #[test]
    fn a_client_that_is_too_fast_does_not_get_past_a_wrong_url() {
        let mut rig = Rig::new(Config {
            hello_after: secs(1.0),
            ..config()
        });
        rig.open_at(1, "/?v=6");
        rig.send(1, IDENTIFY);
        rig.run(2.0);
        rig.check(&["0.000s #1 close 4012 invalid API version: this gateway serves v=10 and v=9"]);
    }

    #[test]
    fn what_comes_in_a_wrong_encoding_is_told_about_the_url() {
        let mut rig = Rig::new(Config {
            hello_after: secs(1.0),
            ..config()
        });
        rig.open_at(1, "/?v=10&encoding=etf");
        rig.input(Input::Garbage { connection: 1 });
        rig.run(2.0);
        rig.check(&[
            "0.000s #1 close 4002 encoding=etf is not supported by this gateway: use encoding=json",
        ]);
    }

    #[test]
    fn identify_before_hello_is_answered_behind_it() {
        let mut rig = Rig::new(Config {
            hello_after: secs(1.0),
            ..config()
        });
        rig.open(1);
        rig.send(1, IDENTIFY);
        rig.run(1.0);
        rig.check(&[
            r#"0.000s #1 op 10 {"heartbeat_interval":10000,"_trace":["gwtool"]}"#,
            "0.000s #1 READY s1",
            "0.000s #1 GUILD_CREATE s2",
        ]);
    }

    #[test]
    fn resume_before_hello_is_answered_behind_it() {
        let mut rig = Rig::new(Config {
            hello_after: secs(1.0),
            ..config()
        });
        rig.open(1);
        rig.send(1, IDENTIFY);
        rig.ended(1);
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 2);
        rig.open(3);
        rig.resume(3, "nobody", 2);
        rig.run(1.0);
        rig.check(&[
            r#"0.000s #2 op 10 {"heartbeat_interval":10000,"_trace":["gwtool"]}"#,
            "0.000s #2 RESUMED s3",
            r#"0.000s #3 op 10 {"heartbeat_interval":10000,"_trace":["gwtool"]}"#,
            "0.000s #3 op 9 false",
        ]);
    }

    #[test]
    fn payload_compression_is_a_sessions_and_asked_for_with_true_alone() {
        let compresses = |value: &str| {
            let mut rig = Rig::new(config());
            rig.open_at(1, "/?v=10&compress=zlib-stream");
            rig.send(
                1,
                &format!(r#"{{"op":2,"d":{{"token":"abc","intents":1,"compress":{value}}}}}"#),
            );
            let session = rig.gateway.session_of(1).expect("whatever it says");
            session.compresses()
        };
        assert!(compresses("true"));
        for value in ["false", "null", "1", r#""true""#] {
            assert!(!compresses(value), "{value}");
        }
        let mut rig = Rig::new(config());
        rig.open(1);
        rig.send(
            1,
            r#"{"op":2,"d":{"compress":true,"token":"abc","intents":1}}"#,
        );
        rig.ended(1);
        rig.open(2);
        rig.resume(2, SESSION, 2);
        assert!(rig.gateway.session_of(2).is_some_and(Session::compresses));
    }

    #[test]
    fn a_wrong_identify_is_closed_with_its_code() {
        let cases = [
            (r#"{"token":"xyz","intents":1}"#, 4004),
            (r#"{"token":"Bot xyz","intents":1}"#, 4004),
            (r#"{"token":"","intents":1}"#, 4004),
            (r#"{"token":7,"intents":1}"#, 4002),
            (r#"{"intents":1}"#, 4002),
            (r#"{"token":"abc","intents":"1"}"#, 4002),
            (r#"{"token":"abc","intents":1,"shard":[0]}"#, 4002),
            (r#"{"token":"abc"}"#, 4013),
            (r#"{"token":"abc","intents":null}"#, 4013),
            (r#"{"token":"abc","intents":131072}"#, 4013),
            (r#"{"token":"abc","intents":1,"shard":[2,2]}"#, 4010),
            (r#"{"token":"abc","intents":1,"shard":[0,0]}"#, 4010),
        ];
        for (d, code) in cases {
            let mut rig = Rig::new(config());
            rig.open(1);
            rig.script.clear();
            rig.send(1, &format!(r#"{{"op":2,"d":{d}}}"#));
            let close = format!("0.000s #1 close {code} ");
            assert!(rig.script.starts_with(&close), "{d}: {}", rig.script);
            assert_eq!(rig.gateway.sessions(), 0);
        }
    }

    #[test]
    fn an_identify_may_hold_whatever_clients_put_there() {
        for d in [
            r#"{"token":"Bot abc","intents":53608447,"compress":true,"large_threshold":250,"capabilities":7}"#,
            r#"{"token":"abc","intents":0,"properties":{"$os":"linux"},"shard":[1,3],"presence":{"game":null}}"#,
            r#"{"shard":null,"token":"\u0061bc","intents":1}"#,
        ] {
            let mut rig = Rig::new(config());
            rig.open(1);
            rig.script.clear();
            rig.send(1, &format!(r#"{{"op":2,"d":{d}}}"#));
            rig.check(&["0.000s #1 READY s1", "0.000s #1 GUILD_CREATE s2"]);
        }
    }

    #[test]
    fn a_gateway_without_a_token_of_its_own_binds_a_session_to_the_one_it_began_with() {
        let mut rig = Rig::ready(Config {
            token: None,
            ..config()
        });
        rig.ended(1);
        rig.open(2);
        let id = rig.ids[0].clone();
        let resume = |token: &str| {
            format!(r#"{{"op":6,"d":{{"token":"{token}","session_id":"{id}","seq":2}}}}"#)
        };
        rig.script.clear();
        rig.send(2, &resume("xyz"));
        rig.check(&["0.000s #2 close 4004 authentication failed"]);
        rig.open(3);
        rig.script.clear();
        rig.send(3, &resume("Bot abc"));
        rig.check(&["0.000s #3 RESUMED s3"]);
    }

    #[test]
    fn a_second_login_on_a_connection_is_refused_and_the_session_survives() {
        for op in [2, 6] {
            let mut rig = Rig::ready(config());
            rig.send(1, &format!(r#"{{"op":{op},"d":{{}}}}"#));
            rig.check(&["0.000s #1 close 4005 already authenticated"]);
            rig.open(2);
            rig.script.clear();
            rig.resume(2, SESSION, 2);
            rig.check(&["0.000s #2 RESUMED s3"]);
        }
    }

    #[test]
    fn identifies_of_one_key_are_five_seconds_apart() {
        let mut rig = Rig::ready(config());
        rig.run(4.7);
        rig.open(2);
        rig.script.clear();
        rig.send(2, IDENTIFY);
        rig.run(0.1);
        // The refused one did not count, and the connection was kept for this.
        rig.send(2, IDENTIFY);
        rig.check(&[
            "4.700s #2 op 9 false",
            "4.800s #2 READY s1",
            "4.800s #2 GUILD_CREATE s2",
        ]);
        assert!(!rig.armed().contains(INVALID));
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let mut enforce = config().enforce;
        enforce.max_concurrency = 2;
        let mut starts = Starts::new(&enforce);
        let mut take = |id| starts.take(Instant::ZERO, Some(Shard { id, count: 4 }), &enforce);
        assert_eq!((take(0), take(1)), (Ok(()), Ok(())));
        assert_eq!(
            (take(2), take(3)),
            (Err(StartError::TooSoon), Err(StartError::TooSoon))
        );
    }

    #[test]
    fn a_spent_start_limit_closes_until_its_window_is_over() {
        let mut config = config();
        config.enforce.identifies = 1;
        config.enforce.reset_after = secs(60.0);
        let mut rig = Rig::ready(config);
        rig.ended(1);
        rig.run(10.0);
        rig.open(2);
        rig.script.clear();
        rig.send(2, IDENTIFY);
        rig.check(&["10.000s #2 close 4004 session start limit used up"]);
        let bot = |rig: &mut Rig| {
            let request = rest::Request {
                method: "GET".to_owned(),
                path: "/api/v10/gateway/bot".to_owned(),
                authorization: Some("Bot abc".to_owned()),
                body: Vec::new(),
            };
            String::from_utf8(rig.gateway.rest(rig.now, &request).body).unwrap()
        };
        assert_eq!(
            bot(&mut rig),
            r#"{"url":"ws://main.test","shards":1,"session_start_limit":{"total":1,"remaining":0,"reset_after":50000,"max_concurrency":1}}"#
        );
        // In the third window: the second went by unseen.
        rig.run(130.0);
        assert!(bot(&mut rig).contains(r#""remaining":1,"reset_after":40000,"#));
        rig.open(3);
        rig.script.clear();
        rig.send(3, IDENTIFY);
        rig.check(&["140.000s #3 READY s1", "140.000s #3 GUILD_CREATE s2"]);
    }

    #[test]
    fn missed_heartbeats_close_the_connection_and_keep_the_session() {
        let mut rig = Rig::ready(config());
        rig.run(14.0);
        rig.send(1, r#"{"op":1,"d":2}"#);
        rig.run(15.0);
        rig.check(&[
            "14.000s #1 op 11 null",
            "29.000s #1 close 4000 no heartbeat for 1.5 intervals",
        ]);
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 2);
        rig.check(&["29.000s #2 RESUMED s3"]);
    }

    #[test]
    fn heartbeats_are_due_before_the_login_too_and_only_where_they_are_enforced() {
        let mut rig = Rig::new(config());
        rig.open(1);
        rig.script.clear();
        rig.run(100.0);
        rig.check(&["15.000s #1 close 4000 no heartbeat for 1.5 intervals"]);
        let mut lenient = config();
        lenient.enforce.heartbeat = false;
        let mut rig = Rig::ready(lenient);
        rig.run(1000.0);
        rig.check(&[]);
        assert_eq!(rig.gateway.last_seq(1), Some(2));
    }

    #[test]
    fn an_interval_of_its_own_is_said_and_enforced() {
        let mut rig = Rig::new(Config {
            hello_after: secs(0.03),
            ..config()
        });
        rig.open(1);
        rig.order(1, &Order::Interval(secs(2.0)));
        rig.run(1.0);
        // One that comes after HELLO changes when the next heartbeat is due.
        rig.order(1, &Order::Interval(secs(4.0)));
        rig.run(10.0);
        rig.check(&[
            r#"0.030s #1 op 10 {"heartbeat_interval":2000,"_trace":["gwtool"]}"#,
            "6.030s #1 close 4000 no heartbeat for 1.5 intervals",
        ]);
    }

    #[test]
    fn a_resume_replays_what_was_missed_and_then_says_so() {
        let mut config = config();
        config.traffic = Some(secs(4.0));
        let mut rig = Rig::ready(config);
        rig.run(5.0);
        rig.ended(1);
        rig.run(8.0);
        rig.open(2);
        rig.resume(2, SESSION, 2);
        rig.run(3.0);
        rig.check(&[
            r#"4.000s #1 message "1" s3"#,
            r#"13.000s #2 op 10 {"heartbeat_interval":10000,"_trace":["gwtool"]}"#,
            r#"13.000s #2 message "1" s3"#,
            r#"13.000s #2 message "2" s4"#,
            r#"13.000s #2 message "3" s5"#,
            "13.000s #2 RESUMED s6",
            r#"16.000s #2 message "4" s7"#,
        ]);
        // Cut in the replay: the second RESUME starts from the last one that arrived.
        rig.ended(2);
        rig.open(3);
        rig.script.clear();
        rig.resume(3, SESSION, 4);
        rig.check(&[
            r#"16.000s #3 message "3" s5"#,
            r#"16.000s #3 message "4" s7"#,
            "16.000s #3 RESUMED s8",
        ]);
        assert_eq!(rig.gateway.sessions(), 1);
    }

    #[test]
    fn the_guild_is_replayed_to_a_client_that_only_got_ready() {
        let mut rig = Rig::ready(config());
        rig.ended(1);
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 1);
        rig.check(&["0.000s #2 GUILD_CREATE s2", "0.000s #2 RESUMED s3"]);
    }

    #[test]
    fn a_resume_of_no_session_is_invalid_and_the_connection_waits_ten_seconds() {
        for d in [
            r#"{"token":"abc","session_id":"nobody","seq":1}"#,
            r#"{"token":"abc","session_id":null,"seq":null}"#,
            r#"{"token":"abc"}"#,
        ] {
            let mut rig = Rig::new(config());
            rig.open(1);
            rig.script.clear();
            rig.send(1, &format!(r#"{{"op":6,"d":{d}}}"#));
            rig.run(20.0);
            rig.check(&[
                "0.000s #1 op 9 false",
                "10.000s #1 close 4000 nobody logged in after an invalid session",
            ]);
        }
    }

    #[test]
    fn a_wrong_resume_costs_the_session() {
        for (seq, answer) in [
            (
                3,
                "0.000s #2 close 4007 the session was never at that sequence number",
            ),
            (0, "0.000s #2 op 9 false"),
            (-1, "0.000s #2 op 9 false"),
        ] {
            let mut rig = Rig::ready(config());
            rig.ended(1);
            rig.open(2);
            rig.script.clear();
            rig.resume(2, SESSION, seq);
            rig.check(&[answer]);
            assert_eq!(rig.gateway.sessions(), 0);
            rig.open(3);
            rig.script.clear();
            rig.resume(3, SESSION, 2);
            rig.check(&["0.000s #3 op 9 false"]);
        }
    }

    #[test]
    fn a_resume_with_a_wrong_token_leaves_the_session_alone() {
        let mut rig = Rig::ready(config());
        rig.ended(1);
        rig.open(2);
        rig.script.clear();
        let text = rig.resume_text(SESSION, 2).replace("abc", "xyz");
        rig.send(2, &text);
        rig.check(&["0.000s #2 close 4004 authentication failed"]);
        assert_eq!(rig.gateway.sessions(), 1);
    }

    #[test]
    fn a_session_that_is_resumed_elsewhere_leaves_its_old_connection() {
        let mut rig = Rig::ready(config());
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 2);
        rig.event(2);
        rig.event(1);
        // The end of the old connection does not disturb the session on the new one.
        rig.ended(1);
        rig.event(2);
        rig.check(&[
            "0.000s #1 close 4000 the session was resumed on another connection",
            "0.000s #2 RESUMED s3",
            "0.000s #2 EVENT s4",
            "0.000s #2 EVENT s5",
        ]);
        assert!(!rig.armed().contains(EXPIRY));
    }

    #[test]
    fn a_wrong_resume_elsewhere_ends_the_old_connection_with_the_session() {
        let mut rig = Rig::ready(config());
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 9);
        rig.check(&[
            "0.000s #1 close 4009 the session has ended",
            "0.000s #2 close 4007 the session was never at that sequence number",
        ]);
        assert!(rig.timers.is_empty());
    }

    #[test]
    fn a_client_that_closes_normally_ends_its_session_and_any_other_end_keeps_it() {
        for (code, sessions) in [
            (Some(1000), 0),
            (Some(1001), 0),
            (Some(4000), 1),
            (Some(1002), 1),
            (None, 1),
        ] {
            let mut rig = Rig::ready(config());
            rig.input(Input::Closed {
                connection: 1,
                code: code.map(CloseCode),
            });
            assert_eq!(rig.gateway.sessions(), sessions, "{code:?}");
            rig.ended(1);
            assert_eq!(rig.gateway.sessions(), sessions, "{code:?}");
            rig.check(&[]);
        }
    }

    #[test]
    fn a_session_that_nobody_resumes_ends_with_its_window() {
        let mut config = config();
        config.traffic = Some(secs(10.0));
        let mut rig = Rig::ready(config);
        rig.ended(1);
        rig.run(299.0);
        assert_eq!(rig.gateway.sessions(), 1);
        rig.run(1.0);
        assert_eq!(rig.gateway.sessions(), 0);
        assert!(rig.timers.is_empty());
    }

    #[test]
    fn where_i_is_long_a_session_waits_for_a_client_to_find_out() {
        let mut config = config();
        config.interval = secs(600.0);
        let mut rig = Rig::ready(config);
        rig.ended(1);
        rig.run(1199.0);
        assert_eq!(rig.gateway.sessions(), 1);
        rig.run(1.0);
        assert_eq!(rig.gateway.sessions(), 0);
    }

    #[test]
    fn a_resume_stops_the_window() {
        let mut rig = Rig::ready(config());
        rig.ended(1);
        rig.run(200.0);
        rig.open(2);
        rig.resume(2, SESSION, 2);
        for _ in 0..20 {
            rig.run(10.0);
            rig.send(2, r#"{"op":1,"d":3}"#);
        }
        assert_eq!(rig.gateway.last_seq(2), Some(3));
    }

    #[test]
    fn what_a_client_may_not_send_is_closed_with_its_code() {
        let before_login = [
            (3, "4003 not authenticated"),
            (8, "4003 not authenticated"),
            (43, "4003 not authenticated"),
            (40, "4001 unknown opcode"),
            (7, "4001 unknown opcode"),
            (11, "4001 unknown opcode"),
        ];
        for (op, close) in before_login {
            let mut rig = Rig::new(config());
            rig.open(1);
            rig.script.clear();
            rig.send(1, &format!(r#"{{"op":{op},"d":null}}"#));
            rig.check(&[&format!("0.000s #1 close {close}")]);
        }
        let mut rig = Rig::ready(config());
        rig.input(Input::Garbage { connection: 1 });
        rig.check(&["0.000s #1 close 4002 the message is no gateway payload"]);
    }

    #[test]
    fn commands_are_taken_and_a_request_for_members_is_answered() {
        let mut rig = Rig::ready(config());
        for op in [3, 4, 31, 43] {
            rig.send(1, &format!(r#"{{"op":{op},"d":{{}}}}"#));
        }
        rig.check(&[]);
        rig.send(
            1,
            r#"{"op":8,"d":{"guild_id":"1","query":"","limit":0,"nonce":"n"}}"#,
        );
        rig.check(&["0.000s #1 GUILD_MEMBERS_CHUNK s3"]);
        rig.send(1, r#"{"op":8,"d":{}}"#);
        rig.check(&["0.000s #1 close 4002 a request for guild members needs a guild_id"]);
    }

    #[test]
    fn a_payload_may_be_as_large_as_the_limit_and_no_larger() {
        let mut rig = Rig::ready(config());
        let frame = &Envelope::read(r#"{"op":1}"#).unwrap();
        for bytes in [4096, 4097] {
            rig.input(Input::Frame {
                connection: 1,
                frame,
                bytes,
            });
        }
        rig.check(&[
            "0.000s #1 op 11 null",
            "0.000s #1 close 4002 the payload is too large",
        ]);
    }

    #[test]
    fn the_send_limit_counts_everything_in_any_minute() {
        // At I = 10 s the budget is 120 + 4; IDENTIFY was the first.
        let mut rig = Rig::ready(config());
        for _ in 0..6 {
            rig.run(9.9);
            for _ in 0..20 {
                rig.send(1, r#"{"op":1,"d":2}"#);
            }
        }
        // IDENTIFY is a minute ago: 120 are left, and 4 more fit.
        rig.run(0.6);
        for _ in 0..4 {
            rig.send(1, r#"{"op":3,"d":{}}"#);
        }
        assert_eq!(rig.script.lines().count(), 120);
        rig.script.clear();
        rig.send(1, r#"{"op":3,"d":{}}"#);
        rig.check(&["60.000s #1 close 4008 too many payloads in 60 s"]);
        assert_eq!(rig.gateway.sessions(), 1);
    }

    #[test]
    fn after_op_7_traffic_goes_on_until_the_gateway_leaves() {
        let mut config = config();
        config.traffic = Some(secs(4.0));
        let mut rig = Rig::ready(config);
        let order = Order::Reconnect {
            cut_after: CutAfter::Usual,
        };
        rig.order(1, &order);
        rig.run(10.0);
        rig.check(&[
            "0.000s #1 op 7 null",
            r#"4.000s #1 message "1" s3"#,
            "5.000s #1 close 4000 the connection was to be left",
        ]);
        assert_eq!(rig.gateway.sessions(), 1);
    }

    #[test]
    fn a_later_order_moves_or_cancels_the_cut() {
        let mut rig = Rig::ready(config());
        let cuts = [
            CutAfter::Usual,
            CutAfter::Time(secs(7.0)),
            CutAfter::Never,
            CutAfter::Never,
        ];
        for cut_after in cuts {
            rig.order(1, &Order::Reconnect { cut_after });
        }
        assert!(!rig.armed().contains(LEAVE));
        rig.script.clear();
        let cut_after = CutAfter::Time(secs(7.0));
        rig.order(1, &Order::Reconnect { cut_after });
        rig.run(7.0);
        rig.check(&[
            "0.000s #1 op 7 null",
            "7.000s #1 close 4000 the connection was to be left",
        ]);
    }

    #[test]
    fn op_7_before_the_login_is_no_login() {
        let mut rig = Rig::new(Config {
            hello_after: secs(1.0),
            ..config()
        });
        rig.open(1);
        let cut_after = CutAfter::Time(secs(0.5));
        rig.order(1, &Order::Reconnect { cut_after });
        rig.run(2.0);
        rig.check(&[
            "0.000s #1 op 7 null",
            "0.500s #1 close 4000 the connection was to be left",
        ]);
    }

    #[test]
    fn op_9_with_true_keeps_the_session_for_a_resume_on_the_same_connection() {
        let mut config = config();
        config.traffic = Some(secs(4.0));
        let mut rig = Rig::ready(config);
        let order = Order::InvalidSession {
            resumable: true,
            cut_after: CutAfter::Usual,
        };
        rig.order(1, &order);
        rig.run(5.0);
        rig.resume(1, SESSION, 2);
        rig.run(7.0);
        rig.check(&[
            "0.000s #1 op 9 true",
            r#"5.000s #1 message "1" s3"#,
            "5.000s #1 RESUMED s4",
            r#"8.000s #1 message "2" s5"#,
            r#"12.000s #1 message "3" s6"#,
        ]);
    }

    #[test]
    fn op_9_with_false_ends_the_session_and_takes_an_identify_on_the_same_connection() {
        let mut rig = Rig::ready(config());
        let order = Order::InvalidSession {
            resumable: false,
            cut_after: CutAfter::Usual,
        };
        rig.order(1, &order);
        rig.resume(1, SESSION, 2);
        rig.run(5.0);
        rig.send(1, IDENTIFY);
        rig.run(9.0);
        rig.check(&[
            "0.000s #1 op 9 false",
            "0.000s #1 op 9 false",
            "5.000s #1 READY s1",
            "5.000s #1 GUILD_CREATE s2",
        ]);
        assert_ne!(rig.ids[0], rig.ids[1]);
        assert_eq!(rig.gateway.sessions(), 1);
    }

    #[test]
    fn the_resume_listener_takes_an_identify_behind_a_resume_that_failed() {
        let mut rig = Rig::ready(config());
        rig.ended(1);
        rig.run(5.0);
        rig.input(Input::Opened {
            connection: 2,
            port: Port::Resume,
            path: "//?encoding=json&v=10",
        });
        rig.run(0.0);
        rig.script.clear();
        rig.send(
            2,
            r#"{"op":6,"d":{"token":"abc","session_id":null,"seq":null}}"#,
        );
        rig.send(2, IDENTIFY);
        rig.check(&[
            "5.000s #2 op 9 false",
            "5.000s #2 READY s1",
            "5.000s #2 GUILD_CREATE s2",
        ]);
    }

    #[test]
    fn a_cut_of_its_own_is_kept_to_after_op_9() {
        let mut rig = Rig::ready(config());
        let mut order = |cut_after| {
            let resumable = false;
            rig.order(
                1,
                &Order::InvalidSession {
                    resumable,
                    cut_after,
                },
            );
        };
        order(CutAfter::Usual);
        order(CutAfter::Never);
        assert!(!rig.armed().contains(INVALID));
        rig.order(
            1,
            &Order::InvalidSession {
                resumable: false,
                cut_after: CutAfter::Time(secs(0.005)),
            },
        );
        rig.script.clear();
        rig.run(1.0);
        rig.check(&["0.005s #1 close 4000 nobody logged in after an invalid session"]);
    }

    #[test]
    fn a_refusal_is_carried_out_and_costs_the_session_only_where_it_says_so() {
        let close = |code| Refusal::Close(Some(CloseCode(code)));
        let cases = [
            (close(4007), "0.000s #2 close 4007 ", 0),
            (close(4009), "0.000s #2 close 4009 ", 0),
            (close(4000), "0.000s #2 close 4000 ", 1),
            (Refusal::Close(None), "0.000s #2 close none ", 1),
            (Refusal::Reset, "0.000s #2 reset", 1),
            (Refusal::Op9, "0.000s #2 op 9 false", 0),
        ];
        for (by, answer, sessions) in cases {
            let mut rig = Rig::ready(config());
            rig.ended(1);
            rig.open(2);
            rig.script.clear();
            let resume = rig.resume_text(SESSION, 2);
            rig.refuse(2, &resume, &by);
            rig.check(&[answer]);
            assert_eq!(rig.gateway.sessions(), sessions, "{by:?}");
        }
    }

    #[test]
    fn a_refused_identify_that_is_never_answered_still_has_its_heartbeats_acked() {
        let mut rig = Rig::new(config());
        rig.open(1);
        rig.script.clear();
        rig.refuse(1, IDENTIFY, &Refusal::Op9);
        rig.refuse(1, IDENTIFY, &Refusal::Silence);
        rig.run(12.0);
        rig.send(1, r#"{"op":1,"d":null}"#);
        rig.check(&["0.000s #1 op 9 false", "12.000s #1 op 11 null"]);
        assert_eq!(rig.gateway.session_of(1).map(Session::id), None);
        rig.send(1, IDENTIFY);
        rig.check(&["12.000s #1 READY s1", "12.000s #1 GUILD_CREATE s2"]);
    }

    #[test]
    fn an_order_to_close_ends_the_session_with_the_codes_that_say_so() {
        for (code, sessions) in [(4009, 0), (4004, 0), (4008, 1), (1000, 1)] {
            let mut rig = Rig::ready(config());
            let order = Order::Close {
                code: Some(CloseCode(code)),
                reason: "because".to_owned(),
            };
            rig.order(1, &order);
            rig.check(&[&format!("0.000s #1 close {code} because")]);
            assert_eq!(rig.gateway.sessions(), sessions, "{code}");
        }
    }

    #[test]
    fn a_heartbeat_is_requested_with_op_1() {
        let mut rig = Rig::ready(config());
        rig.order(1, &Order::RequestHeartbeat);
        rig.check(&["0.000s #1 op 1 null"]);
    }

    #[test]
    fn nothing_happens_on_a_connection_that_is_closing() {
        let mut config = config();
        config.traffic = Some(secs(1.0));
        let mut rig = Rig::ready(config);
        rig.closed(1, 4000);
        rig.send(1, r#"{"op":1,"d":2}"#);
        rig.send(1, IDENTIFY);
        rig.resume(1, SESSION, 2);
        rig.event(1);
        rig.refuse(1, IDENTIFY, &Refusal::Reset);
        rig.input(Input::Garbage { connection: 1 });
        rig.closed(1, 1000);
        let cut_after = CutAfter::Usual;
        rig.order(1, &Order::Reconnect { cut_after });
        rig.run(60.0);
        rig.check(&[]);
        // The second Close did not count either.
        assert_eq!(rig.gateway.sessions(), 1);
        assert_eq!(rig.gateway.shard_of(1), Some(0));
    }

    #[test]
    fn skipped_numbers_are_a_gap_that_can_be_resumed_over() {
        let mut rig = Rig::ready(config());
        rig.event(1);
        rig.order(1, &Order::SkipSeq { count: 5 });
        rig.event(1);
        rig.check(&["0.000s #1 EVENT s3", "0.000s #1 EVENT s9"]);
        rig.ended(1);
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 3);
        rig.check(&["0.000s #2 EVENT s9", "0.000s #2 RESUMED s10"]);
    }

    #[test]
    fn a_flood_comes_at_once_or_with_the_session_it_waits_for() {
        let flood = |connection| Input::Flood {
            connection,
            count: 2,
            size: 2000,
        };
        let mut rig = Rig::new(config());
        rig.input(flood(None));
        rig.open(1);
        rig.script.clear();
        rig.send(1, IDENTIFY);
        rig.input(flood(Some(1)));
        rig.check(&[
            "0.000s #1 READY s1",
            "0.000s #1 GUILD_CREATE s2",
            "0.000s #1 message \"1\" s3",
            "0.000s #1 message \"2\" s4",
            "0.000s #1 message \"3\" s5",
            "0.000s #1 message \"4\" s6",
        ]);
        rig.ended(1);
        rig.input(flood(None));
        rig.check(&[]);
        rig.open(2);
        rig.script.clear();
        rig.resume(2, SESSION, 6);
        rig.check(&[
            "0.000s #2 message \"5\" s7",
            "0.000s #2 message \"6\" s8",
            "0.000s #2 RESUMED s9",
        ]);
    }

    #[test]
    fn a_dispatch_before_the_login_goes_nowhere() {
        let mut rig = Rig::new(config());
        rig.open(1);
        rig.script.clear();
        rig.event(1);
        rig.event(7);
        rig.check(&[]);
    }

    #[test]
    fn nothing_is_left_of_connections_and_sessions_that_are_over() {
        let mut config = config();
        config.traffic = Some(secs(1.0));
        let mut rig = Rig::new(config);
        for connection in 1..=20 {
            rig.open(connection);
            rig.send(connection, IDENTIFY);
            rig.run(6.0);
            rig.ended(connection);
        }
        assert_eq!(rig.ids.len(), 20);
        assert!(rig.gateway.connections.is_empty());
        rig.run(300.0);
        assert_eq!(rig.gateway.sessions(), 0);
        assert!(rig.timers.is_empty());
        assert_eq!(rig.gateway.starts.last.len(), 1);
    }

    #[test]
    fn the_shard_of_a_login_is_known_before_it_is_handled() {
        let mut rig = Rig::new(config());
        rig.open(1);
        rig.send(
            1,
            r#"{"op":2,"d":{"token":"abc","intents":1,"shard":[3,4]}}"#,
        );
        let shard_in = |text: &str| rig.gateway.shard_in(&Envelope::read(text).unwrap());
        assert_eq!(
            shard_in(r#"{"op":2,"d":{"token":"","shard":[1,2]}}"#),
            Some(1)
        );
        assert_eq!(shard_in(IDENTIFY), Some(0));
        assert_eq!(shard_in(&rig.resume_text(SESSION, 1)), Some(3));
        assert_eq!(shard_in(&rig.resume_text("nobody", 1)), None);
        assert_eq!(shard_in(r#"{"op":1,"d":7}"#), None);
    }

    #[test]
    fn timers_that_fire_early_or_late_do_no_harm() {
        let mut rig = Rig::ready(config());
        for name in [HELLO, HEARTBEAT, LEAVE, INVALID, EXPIRY] {
            for number in [1, 7] {
                rig.input(Input::Fired(Timer { name, number }));
            }
        }
        rig.input(Input::Fired(Timer {
            name: TRAFFIC,
            number: 1,
        }));
        rig.check(&[]);
        assert_eq!(rig.gateway.last_seq(1), Some(2));
    }
}
