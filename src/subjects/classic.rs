//! A plain gateway client in the manner of the popular libraries: one object with fields that change, and callbacks.
//!
//! It is the other sound subject beside gwtool's own client, and shares no code with it: with no [`Flaw`] it conforms to the whole
//! catalogue, whatever its [`Habits`], and is what a judge must not fail. With a flaw it has the bug that real clients had, at the
//! one place where the bug sits, so that the flawless client on the same seed is its control.
//!
//! Pure, as every machine: callbacks are values that a timer carries, as the engine knows sockets and timers by number only. It
//! does not shard.

mod flaw;
mod habits;
mod inflate;
mod queue;
mod session;

pub use flaw::Flaw;
pub use habits::{Habits, Patience};

use crate::expect::Allowances;
use crate::machine::{
    CommandFate, ConnectionId, End, FetchId, Input, Level, Machine, Message, Output, Response,
    Session, Status, Timer,
};
use crate::protocol::{ClientFrame, CloseCode, Compression, Intents, Json, Opcode, Resume, Token};
use crate::seed::Draw;
use crate::time::{Duration, Instant};
use inflate::{Inflate, Unreadable};
use queue::Queue;
use serde_json::{Value, json};
use session::Known;
use std::collections::{BTreeMap, VecDeque};

/// Heartbeat intervals outside of these are taken for garbage; Discord's is 41.25 s.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_hours(1));
/// The longest delay that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// What `reset_after` is taken for when it is 0, as it is on a fresh window.
const RESET_AFTER_MIN: Duration = Duration::from_secs(5);
/// What an unending wait is to the engine.
const FOREVER: Duration = Duration::MAX;

/// How the client is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bot's token.
    pub token: Token,
    /// What it does where Discord leaves it the choice.
    pub habits: Habits,
    /// What it does wrong; `None` for the sound client.
    pub flaw: Option<Flaw>,
    /// After how many attempts in a row that did not reach READY or RESUMED it gives up; `None` for never.
    pub attempts: Option<u32>,
    /// What it asks the gateway to compress.
    pub compress: Compression,
}

impl Config {
    /// The sound client with the usual habits.
    pub const fn new(token: Token) -> Self {
        Self {
            token,
            habits: Habits::USUAL,
            flaw: None,
            attempts: None,
            compress: Compression::None,
        }
    }

    /// The time that a client with these settings allows itself at a heartbeat interval. A flaw changes nothing: it is judged by
    /// what the client means to do.
    pub fn allowances(&self, interval: Duration) -> Allowances {
        self.habits.allowances(interval)
    }
}

/// What a timer runs when it fires, and the connection that it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callback {
    /// The REST API was waited for.
    Rest,
    /// It is time to connect.
    Connect,
    /// The upgrade, HELLO, READY or RESUMED was waited for.
    Late(ConnectionId),
    /// The first heartbeat after HELLO.
    FirstBeat(ConnectionId),
    /// Every further heartbeat.
    Beat(ConnectionId),
    /// A look for the ACK, apart from the heartbeats.
    Check(ConnectionId),
    /// IDENTIFY or RESUME may be sent.
    Authenticate(ConnectionId),
    /// The end of a closed connection was waited for.
    CloseTimeout(ConnectionId),
    /// A command may be sent, or has waited too long.
    Flush,
}

impl Callback {
    const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Connect => "connect",
            Self::Late(_) => "late",
            Self::FirstBeat(_) => "first-beat",
            Self::Beat(_) => "beat",
            Self::Check(_) => "check",
            Self::Authenticate(_) => "authenticate",
            Self::CloseTimeout(_) => "close-timeout",
            Self::Flush => "flush",
        }
    }

    /// Whether it waits for somebody else.
    const fn is_deadline(self) -> bool {
        matches!(self, Self::Rest | Self::Late(_))
    }
}

/// A timer that is armed.
#[derive(Debug, Clone, Copy)]
struct Task {
    callback: Callback,
    due: Instant,
    /// How long until it fires again; `None` if it fires once.
    every: Option<Duration>,
}

/// By what a timer is known: its number; 0 is none.
type Handle = u32;

/// How a connection is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// It is gone already.
    Gone,
    /// It is dropped without a Close frame.
    Dropped,
    /// It is closed.
    Closed(CloseCode),
    /// The gateway closed it, and its end is near.
    Answered(CloseCode),
}

/// The client.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags, as callback-style clients have them, so that it shares no mistake with a state machine"
)]
pub struct Classic {
    config: Config,
    draw: Draw,
    outputs: VecDeque<Output>,
    tasks: BTreeMap<Handle, Task>,
    handles: Handle,
    connections: u32,
    fetches: u32,

    // What `/gateway/bot` said.
    main: Option<String>,
    starts_left: u64,
    starts_reset: Instant,
    fetch: Option<FetchId>,

    // The socket in use.
    socket: Option<ConnectionId>,
    inflate: Option<Inflate>,
    is_open: bool,
    has_hello: bool,
    is_resuming: bool,
    is_up: bool,
    /// The gateway asks for a reconnect: that is no failure.
    is_excused: bool,
    owes_beat: bool,

    // Its heart.
    interval: Duration,
    heartbeat: Handle,
    check: Handle,
    is_alive: bool,
    missed: u32,
    beat_sent: Option<Instant>,
    round_trip: Option<Duration>,

    // Sockets that were closed and have not ended, and the one after whose end it connects.
    closing: Vec<ConnectionId>,
    awaited: Option<ConnectionId>,

    deadline: Handle,
    authenticate: Handle,
    reconnect: Handle,
    flush: Handle,

    known: Option<Known>,
    queue: Queue,
    failures: u32,
    resumes_failed: u32,
    /// When the last connect was begun, and before when the next may not be.
    connected: Option<Instant>,
    earliest: Instant,
    identify_from: Instant,
    is_stopping: bool,
    is_over: bool,
    reason: Option<String>,
    status: &'static str,
}

impl Classic {
    /// A client that has not started; `draw` is the subject's stream.
    pub fn new(config: Config, draw: Draw) -> Self {
        Self {
            config,
            draw,
            outputs: VecDeque::new(),
            tasks: BTreeMap::new(),
            handles: 0,
            connections: 0,
            fetches: 0,
            main: None,
            starts_left: u64::MAX,
            starts_reset: Instant::ZERO,
            fetch: None,
            socket: None,
            inflate: None,
            is_open: false,
            has_hello: false,
            is_resuming: false,
            is_up: false,
            is_excused: false,
            owes_beat: false,
            interval: Duration::ZERO,
            heartbeat: 0,
            check: 0,
            is_alive: true,
            missed: 0,
            beat_sent: None,
            round_trip: None,
            closing: Vec::new(),
            awaited: None,
            deadline: 0,
            authenticate: 0,
            reconnect: 0,
            flush: 0,
            known: None,
            queue: Queue::new(),
            failures: 0,
            resumes_failed: 0,
            connected: None,
            earliest: Instant::ZERO,
            identify_from: Instant::ZERO,
            is_stopping: false,
            is_over: false,
            reason: None,
            status: "idle",
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.config.flaw == Some(flaw)
    }

    const fn habits(&self) -> &Habits {
        &self.config.habits
    }

    fn log(&mut self, level: Level, text: impl Into<String>) {
        let text = text.into();
        self.outputs.push_back(Output::Log { level, text });
    }

    /// An exception that nobody catches.
    fn throw(&mut self, message: &str) {
        self.is_over = true;
        let message = message.to_owned();
        self.outputs.push_back(Output::Died { message });
    }

    // ---- Timers -------------------------------------------------------------------------------------------------------

    fn set(&mut self, due: Instant, every: Option<Duration>, callback: Callback) -> Handle {
        self.handles += 1;
        let number = self.handles;
        let task = Task {
            callback,
            due,
            every,
        };
        self.tasks.insert(number, task);
        let name = callback.name();
        let timer = Timer { name, number };
        self.outputs.push_back(Output::Arm { timer, at: due });
        number
    }

    fn set_timeout(&mut self, due: Instant, callback: Callback) -> Handle {
        self.set(due, None, callback)
    }

    fn set_interval(&mut self, first: Instant, every: Duration, callback: Callback) -> Handle {
        self.set(first, Some(every), callback)
    }

    /// Stops a timer; one that has fired, or never was, is none.
    fn clear(&mut self, number: Handle) {
        if let Some(task) = self.tasks.remove(&number) {
            let name = task.callback.name();
            let timer = Timer { name, number };
            self.outputs.push_back(Output::Disarm { timer });
        }
    }

    fn clear_all(&mut self) {
        let handles: Vec<Handle> = self.tasks.keys().copied().collect();
        for handle in handles {
            self.clear(handle);
        }
        (self.heartbeat, self.check, self.deadline) = (0, 0, 0);
        (self.authenticate, self.reconnect, self.flush) = (0, 0, 0);
    }

    fn set_deadline(&mut self, due: Instant, of: ConnectionId) {
        self.clear(self.deadline);
        self.deadline = self.set_timeout(due, Callback::Late(of));
    }

    fn set_reconnect(&mut self, due: Instant) {
        self.reconnect = self.set_timeout(due, Callback::Connect);
    }

    fn fired(&mut self, now: Instant, number: Handle) {
        let Some(task) = self.tasks.remove(&number) else {
            return;
        };
        let Task {
            callback,
            due,
            every,
        } = task;
        let late = now.since(due);
        // Whoever was held up has ACKs in its sockets that it has not read: time counts anew from here.
        let was_held_up = late > self.interval / 8;
        let again = if let Some(every) = every {
            Some(if was_held_up { now } else { due } + every)
        } else if callback.is_deadline() && late >= habits::GRACE {
            Some(now + habits::GRACE)
        } else {
            None
        };
        if let Some(at) = again {
            self.tasks.insert(number, Task { due: at, ..task });
            let name = callback.name();
            let timer = Timer { name, number };
            self.outputs.push_back(Output::Arm { timer, at });
            if every.is_none() {
                return;
            }
        }
        match callback {
            Callback::Rest => self.fetched(now, &Err("no answer".to_owned())),
            Callback::Connect => self.connect(now),
            Callback::Late(of) if self.is_for_current(of) => self.late(now),
            Callback::FirstBeat(of) => self.first_beat(now, of, was_held_up),
            Callback::Beat(of) => self.tick(now, of, was_held_up),
            Callback::Check(of) if self.is_for_current(of) && !was_held_up => {
                if !self.is_alive {
                    self.zombie(now);
                }
            }
            Callback::Authenticate(of) if self.is_for_current(of) => self.authenticate(now),
            Callback::CloseTimeout(of) => {
                if self.awaited.take_if(|id| *id == of).is_some() {
                    self.go_on(now, !self.has_hello);
                }
            }
            Callback::Flush => self.flush(now),
            Callback::Late(_) | Callback::Check(_) | Callback::Authenticate(_) => {}
        }
    }

    /// Whether a callback is of the socket in use.
    fn is_for_current(&self, of: ConnectionId) -> bool {
        self.socket == Some(of) || self.has(Flaw::UnscopedCallbacks) && self.socket.is_some()
    }

    // ---- From one connection to the next --------------------------------------------------------------------------------

    /// The session that the next connection is for.
    fn to_resume(&self) -> Option<&Session> {
        let known = self.known.as_ref();
        let known = known.filter(|_| !self.has(Flaw::NeverResumes));
        known.map(|known| &known.session)
    }

    fn may_start(&self) -> bool {
        self.starts_left > 0 || self.has(Flaw::NoBackoffOnConnectError)
    }

    fn connect(&mut self, now: Instant) {
        let is_new = self.to_resume().is_none();
        let Some(main) = self.main.clone() else {
            return self.ask(now);
        };
        if is_new && !self.may_start() {
            if self.starts_reset <= now {
                return self.ask(now);
            }
            self.log(Level::Warn, "no session may be started: waiting");
            return self.set_reconnect(self.starts_reset);
        }
        let at_resume_url = |session: &&Session| {
            !self.habits().resumes_on_main
                && self.failures < 2
                && session.resume_url.starts_with("ws")
        };
        let session = self.to_resume().filter(at_resume_url);
        let base = session.map_or(&*main, |session| &session.resume_url);
        let mut url = format!("{}/?v=10&encoding=json", base.trim_end_matches('/'));
        if let Some(compress) = self.config.compress.query() {
            url = format!("{url}&compress={compress}");
        }
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.socket = Some(connection);
        self.connected = Some(now);
        if self.inflate.is_none() || !self.has(Flaw::SharedInflate) {
            self.inflate = Some(Inflate::new(self.config.compress));
        }
        (self.is_open, self.has_hello) = (false, false);
        (self.is_resuming, self.is_up) = (false, false);
        (self.is_excused, self.owes_beat) = (false, false);
        self.outputs.push_back(Output::Open { connection, url });
        self.status = "connecting";
        let patience = self.habits().patience.connect;
        self.set_deadline(now + patience, connection);
    }

    /// The connection is over or given up: the only way out of it.
    fn leave(&mut self, now: Instant, parting: Parting, at_least: Duration) {
        let Some(connection) = self.socket.take() else {
            return;
        };
        self.stop_heartbeat();
        self.clear(self.deadline);
        self.clear(self.authenticate);
        let was_open = self.is_open;
        let has_failed = !self.is_up && !self.is_excused;
        self.resumes_failed += u32::from(has_failed && self.is_resuming);
        self.failures += u32::from(has_failed);
        if self.has_hello && !self.is_up && !self.is_resuming {
            // The IDENTIFY may have reached the gateway as late as this.
            self.identify_from = now + habits::SPACING;
        }
        let gives_up = self.resumes_failed >= self.habits().resumes_max
            && !self.has(Flaw::ResumeForever)
            || self.habits().forgets_at_failure && has_failed;
        if gives_up {
            self.known = None;
        }
        self.is_up = false;
        self.status = "leaving";
        let code = match parting {
            Parting::Closed(code) | Parting::Answered(code) if was_open => Some(code),
            _ => None,
        };
        if let Some(code) = code {
            self.close(connection, code);
        } else if parting != Parting::Gone {
            self.outputs.push_back(Output::Abort { connection });
        }
        if has_failed && self.has_given_up() {
            let reason = format!("gave up after {} failed attempts in a row", self.failures);
            return self.shut_down(Some(reason));
        }
        // Whatever the reason: connections do not follow each other faster than the least delay.
        let next = self.connected.map(|at| at + self.habits().delay.0);
        self.earliest = (now + at_least).max(next.unwrap_or(now));
        let awaits = code.is_some() && self.habits().awaits_end;
        if awaits {
            self.awaited = Some(connection);
            if self.has(Flaw::UnscopedCallbacks) {
                let due = now + self.habits().close_within;
                self.set_timeout(due, Callback::CloseTimeout(connection));
            }
        }
        let is_own = matches!(parting, Parting::Closed(_));
        if !awaits || is_own && self.has(Flaw::DoubleReconnect) {
            self.go_on(now, !self.has_hello);
        }
    }

    fn has_given_up(&self) -> bool {
        (self.config.attempts).is_some_and(|attempts| self.failures >= attempts)
    }

    /// A Close frame, and a bound for what follows: the engine drops a socket that does not end in time.
    fn close(&mut self, connection: ConnectionId, code: CloseCode) {
        let within = match self.config.flaw {
            Some(Flaw::WaitsForCloseHandshake) => FOREVER,
            // It has a timer in place of the bound, and the socket stays.
            Some(Flaw::UnscopedCallbacks) if !self.is_stopping => FOREVER,
            _ => self.habits().close_within,
        };
        self.closing.push(connection);
        self.outputs.push_back(Output::Close {
            connection,
            code: Some(code),
            within,
        });
    }

    /// A close by which the session stays good.
    fn leave_to_resume(&mut self, now: Instant) {
        let close = self.habits().close;
        let parting = close.map_or(Parting::Dropped, Parting::Closed);
        self.leave(now, parting, Duration::ZERO);
    }

    /// Plans the next attempt.
    fn go_on(&mut self, now: Instant, is_connect_error: bool) {
        self.status = "waiting";
        let mut due = (now + self.backoff()).max(self.earliest);
        if is_connect_error && self.has(Flaw::NoBackoffOnConnectError) {
            due = now;
        }
        self.set_reconnect(due);
    }

    fn backoff(&mut self) -> Duration {
        let (least, most) = self.habits().delay;
        match self.failures {
            0 => Duration::ZERO,
            n if self.habits().delay_grows => {
                let ceiling = (least * 2_u32.pow(n.min(10) - 1)).min(most);
                ceiling / 2 + self.draw.part_of(ceiling / 2)
            }
            _ => self.draw.duration(least, most),
        }
    }

    /// Nothing will be opened any more; the end follows once the sockets have ended.
    fn shut_down(&mut self, reason: Option<String>) {
        if let Some(reason) = &reason {
            self.log(Level::Error, reason.clone());
        }
        self.is_stopping = true;
        self.reason = reason;
        (self.awaited, self.fetch, self.known) = (None, None, None);
        if let Some(connection) = self.socket.take() {
            if self.is_open {
                self.close(connection, CloseCode::NORMAL);
            } else {
                self.outputs.push_back(Output::Abort { connection });
            }
        }
        self.is_up = false;
        if self.has(Flaw::PerReconnectLeak) {
            // What nobody remembers, nobody stops.
            for handle in [self.heartbeat, self.deadline, self.reconnect, self.flush] {
                self.clear(handle);
            }
        } else {
            self.clear_all();
        }
        while let Some(command) = self.queue.pop_any() {
            let fate = CommandFate::Refused;
            self.outputs.push_back(Output::Commanded { command, fate });
        }
        self.status = "stopping";
        self.finish();
    }

    fn finish(&mut self) {
        if self.is_stopping && self.closing.is_empty() {
            (self.is_stopping, self.is_over) = (false, true);
            self.status = "stopped";
            let reason = self.reason.take();
            self.outputs.push_back(Output::Stopped { reason });
        }
    }

    // ---- REST -----------------------------------------------------------------------------------------------------------

    fn ask(&mut self, now: Instant) {
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        self.fetch = Some(fetch);
        self.status = "asking for the gateway";
        self.outputs.push_back(Output::Fetch {
            fetch,
            path: "/gateway/bot",
        });
        let due = now + self.habits().patience.rest;
        self.clear(self.deadline);
        self.deadline = self.set_timeout(due, Callback::Rest);
    }

    fn fetched(&mut self, now: Instant, result: &Result<Response, String>) {
        self.fetch = None;
        self.clear(self.deadline);
        let asked = match result {
            Ok(response) if response.status == 401 => {
                let reason = "the REST API rejects the token with 401 (unauthorized)";
                return self.shut_down(Some(reason.to_owned()));
            }
            Ok(response) if response.status == 200 => {
                if self.learn(now, &response.body).is_some() {
                    return self.connect(now);
                }
                self.log(Level::Warn, "/gateway/bot answered nonsense");
                Duration::ZERO
            }
            Ok(response) => {
                let text = format!("/gateway/bot answered with HTTP {}", response.status);
                self.log(Level::Warn, text);
                retry_after(response).min(RETRY_AFTER_MAX)
            }
            Err(why) => {
                self.log(
                    Level::Warn,
                    format!("/gateway/bot could not be asked: {why}"),
                );
                Duration::ZERO
            }
        };
        self.failures += 1;
        if self.has_given_up() {
            let reason = format!("gave up after {} failed attempts in a row", self.failures);
            return self.shut_down(Some(reason));
        }
        self.earliest = now + asked;
        self.go_on(now, false);
    }

    /// Reads the answer of `/gateway/bot`.
    fn learn(&mut self, now: Instant, body: &[u8]) -> Option<()> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let url = answer["url"].as_str()?;
        let url = Some(url).filter(|url| url.starts_with("ws"))?;
        self.main = Some(url.to_owned());
        let limit = &answer["session_start_limit"];
        self.starts_left = limit["remaining"].as_u64().unwrap_or(u64::MAX);
        let reset = limit["reset_after"].as_u64().map(Duration::from_millis);
        let reset = reset.filter(|time| !time.is_zero());
        self.starts_reset = now + reset.unwrap_or(RESET_AFTER_MIN);
        Some(())
    }

    // ---- Heartbeats -----------------------------------------------------------------------------------------------------

    fn start_heartbeat(&mut self, now: Instant, of: ConnectionId) {
        if !matches!(
            self.config.flaw,
            Some(Flaw::AckFlagSurvives | Flaw::OrphanInterval)
        ) {
            (self.is_alive, self.missed) = (true, 0);
        }
        (self.beat_sent, self.round_trip) = (None, None);
        if self.has(Flaw::UnscopedCallbacks) {
            self.clear(self.heartbeat);
        }
        if self.has(Flaw::FixedTickAckCheck) {
            let every = self.interval;
            self.check = self.set_interval(now + every, every, Callback::Check(of));
        }
        if self.habits().beats_at_once {
            self.first_beat(now, of, false);
        } else {
            let first = now + self.draw.part_of(self.interval);
            self.heartbeat = self.set_timeout(first, Callback::FirstBeat(of));
        }
    }

    fn stop_heartbeat(&mut self) {
        self.clear(self.check);
        match self.config.flaw {
            Some(Flaw::UnscopedCallbacks) => {}
            Some(Flaw::PerReconnectLeak) => self.heartbeat = 0,
            _ => self.clear(self.heartbeat),
        }
    }

    fn first_beat(&mut self, now: Instant, of: ConnectionId, was_held_up: bool) {
        let is_leaked = self.has(Flaw::PerReconnectLeak) && self.socket != Some(of);
        self.tick(now, of, was_held_up);
        let every = self.interval;
        if is_leaked {
            // A heartbeat that nobody remembers keeps its place from none of those that follow.
            self.set_interval(now + every, every, Callback::Beat(of));
        } else if self.is_for_current(of) || self.has(Flaw::OrphanInterval) {
            self.heartbeat = self.set_interval(now + every, every, Callback::Beat(of));
        }
    }

    /// A heartbeat is due: unless the last one was ACKed, the connection is dead.
    fn tick(&mut self, now: Instant, of: ConnectionId, was_held_up: bool) {
        if !self.is_for_current(of) {
            match self.config.flaw {
                Some(Flaw::OrphanInterval) => {
                    self.throw("heartbeat on a connection that was closed before");
                }
                Some(Flaw::PerReconnectLeak) => self.beat(now),
                _ => {}
            }
            return;
        }
        let was_alive = std::mem::replace(&mut self.is_alive, false) || was_held_up;
        self.missed = if was_alive { 0 } else { self.missed + 1 };
        if self.missed >= self.habits().missed_max && !self.has(Flaw::FixedTickAckCheck) {
            return self.zombie(now);
        }
        self.beat(now);
    }

    fn zombie(&mut self, now: Instant) {
        self.log(Level::Warn, "a heartbeat was not acknowledged");
        self.leave_to_resume(now);
    }

    fn beat(&mut self, now: Instant) {
        if let Some(connection) = self.socket.filter(|_| self.is_open) {
            let seq = self.known.as_ref().map(|known| known.session.seq);
            let seq = seq.filter(|seq| *seq > 0);
            self.beat_sent = Some(now);
            self.send(connection, &ClientFrame::Heartbeat(seq));
        }
    }

    fn ack(&mut self, now: Instant) {
        self.is_alive = true;
        if let Some(sent) = self.beat_sent.take() {
            self.round_trip = Some(now.since(sent));
        }
    }

    // ---- Frames ---------------------------------------------------------------------------------------------------------

    fn send(&mut self, connection: ConnectionId, frame: &ClientFrame) {
        let text = frame.encode();
        self.outputs.push_back(Output::Send { connection, text });
    }

    fn opened(&mut self, now: Instant, connection: ConnectionId) {
        self.is_open = true;
        self.status = "opened";
        if self.has(Flaw::BackoffResetOnOpen) {
            self.failures = 0;
        }
        self.set_deadline(now + self.habits().patience.hello, connection);
        if self.habits().skips_hello {
            self.authenticate(now);
        }
    }

    /// IDENTIFY or RESUME, as soon as it may be sent.
    fn authenticate(&mut self, now: Instant) {
        let Some(connection) = self.socket else {
            return;
        };
        let token = self.config.token.clone();
        let frame = if let Some(session) = self.to_resume() {
            ClientFrame::Resume(Resume {
                token,
                session_id: session.id.clone(),
                seq: session.seq,
            })
        } else {
            if self.identify_from > now {
                let due = self.identify_from;
                self.clear(self.authenticate);
                self.authenticate = self.set_timeout(due, Callback::Authenticate(connection));
                return;
            }
            if !self.may_start() {
                return self.leave_to_resume(now);
            }
            self.known = None;
            self.starts_left = self.starts_left.saturating_sub(1);
            self.identify_from = now + habits::SPACING;
            let mut d = json!({
                "token": token.expose(),
                "intents": Intents::DEFAULT,
                "properties": {"os": "unknown", "browser": "classic", "device": "classic"},
            });
            if self.config.compress == Compression::Payload {
                d["compress"] = Value::Bool(true);
            }
            ClientFrame::Command {
                op: Opcode::IDENTIFY,
                d: Json::of(&d),
            }
        };
        self.is_resuming = matches!(frame, ClientFrame::Resume(_));
        self.queue.spend(now);
        self.send(connection, &frame);
        self.set_deadline(now + self.habits().patience.ready, connection);
        self.status = "authenticating";
    }

    fn receive(&mut self, now: Instant, connection: ConnectionId, message: Message<'_>) {
        let text = match self.inflate.as_mut().map(|inflate| inflate.read(message)) {
            None | Some(Ok(None)) => return,
            Some(Ok(Some(text))) => text,
            Some(Err(Unreadable(why))) => {
                self.inflate = None;
                return self.nonsense(now, why);
            }
        };
        let payload = serde_json::from_slice::<Value>(&text);
        let op = payload
            .as_ref()
            .ok()
            .and_then(|payload| payload["op"].as_u64());
        let (Ok(payload), Some(op)) = (payload, op) else {
            // What it was can only be had again by a RESUME.
            return self.nonsense(now, "a message that is no payload");
        };
        self.is_alive |= self.habits().takes_any_sign;
        match u8::try_from(op).map(Opcode) {
            Ok(Opcode::DISPATCH) => self.dispatch(now, connection, &payload),
            Ok(Opcode::HEARTBEAT) => self.beat_asked(now),
            Ok(Opcode::RECONNECT) => {
                self.log(Level::Info, "the gateway asks to reconnect");
                self.is_excused = true;
                self.leave_to_resume(now);
            }
            Ok(Opcode::INVALID_SESSION) => self.invalid(now, payload["d"].as_bool() == Some(true)),
            Ok(Opcode::HELLO) => self.hello(now, connection, &payload["d"]),
            Ok(Opcode::HEARTBEAT_ACK) => self.ack(now),
            _ => {}
        }
    }

    fn nonsense(&mut self, now: Instant, what: &str) {
        self.log(Level::Warn, format!("leaving: {what}"));
        self.leave_to_resume(now);
    }

    fn hello(&mut self, now: Instant, connection: ConnectionId, d: &Value) {
        if self.has_hello {
            return;
        }
        let interval = d["heartbeat_interval"].as_f64();
        let interval = interval.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
        let Some(interval) = interval.filter(|it| (INTERVALS.0..=INTERVALS.1).contains(it)) else {
            return self.nonsense(now, "HELLO carries no heartbeat interval");
        };
        self.has_hello = true;
        self.interval = interval;
        self.queue.begin(interval);
        if self.habits().skips_hello {
            self.queue.spend(now);
        } else {
            self.clear(self.deadline);
            self.authenticate(now);
        }
        if self.socket == Some(connection) {
            self.start_heartbeat(now, connection);
        }
        if std::mem::take(&mut self.owes_beat) {
            self.beat_asked(now);
        }
    }

    /// Op 1 from the gateway: answered at once, whatever the timer does.
    fn beat_asked(&mut self, now: Instant) {
        if !self.has_hello {
            self.owes_beat = true;
        } else if self.queue.spend(now) {
            self.beat(now);
        }
    }

    fn dispatch(&mut self, now: Instant, connection: ConnectionId, payload: &Value) {
        let Some(seq) = payload["s"].as_u64() else {
            return;
        };
        let name = payload["t"].as_str();
        // One that comes twice begins no second session.
        let may_begin = self.has_hello && !self.is_resuming && !self.is_up;
        if name == Some("READY") && may_begin {
            let text = |key: &str| payload["d"][key].as_str().map(ToOwned::to_owned);
            let (Some(id), Some(resume_url)) = (text("session_id"), text("resume_gateway_url"))
            else {
                return self.nonsense(now, "READY carries no session id and resume URL");
            };
            self.identify_from = now + habits::SPACING;
            self.known = Some(Known::new(Session {
                id,
                resume_url,
                seq: 0,
            }));
        }
        // What comes before the login is of no session of this client's.
        let is_in_session = self.is_resuming || self.is_up || name == Some("READY");
        let Some(known) = self.known.as_mut().filter(|_| is_in_session) else {
            return;
        };
        if known.take(seq) {
            self.outputs.push_back(Output::Deliver { connection, seq });
        }
        match name {
            Some("READY" | "RESUMED") => self.up(now),
            Some("RATE_LIMITED") => self.rate_limited(now, &payload["d"]),
            _ => {}
        }
    }

    fn up(&mut self, now: Instant) {
        self.is_up = true;
        (self.failures, self.resumes_failed) = (0, 0);
        self.status = "up";
        self.clear(self.deadline);
        self.flush(now);
    }

    fn invalid(&mut self, now: Instant, is_resumable: bool) {
        self.log(
            Level::Warn,
            "the gateway says that the session is not valid",
        );
        if !is_resumable {
            self.known = None;
        }
        self.resumes_failed += u32::from(self.is_resuming && !self.is_up);
        self.is_resuming = false;
        if self.resumes_failed >= self.habits().resumes_max && !self.has(Flaw::ResumeForever) {
            self.known = None;
        }
        let (least, most) = self.habits().op9_wait;
        let wait = self.draw.duration(least, most);
        // A new session does not begin on the connection of a resume URL by itself, only where op 9 came down it.
        match self.socket {
            Some(connection) if self.habits().keeps_after_op9 && self.has_hello => {
                self.is_up = false;
                self.clear(self.deadline);
                self.clear(self.authenticate);
                self.authenticate =
                    self.set_timeout(now + wait, Callback::Authenticate(connection));
            }
            _ => {
                let close = self.habits().close;
                let parting = close.map_or(Parting::Dropped, Parting::Closed);
                self.leave(now, parting, wait);
            }
        }
    }

    fn closing(&mut self, now: Instant, code: Option<CloseCode>) {
        if let Some(code) = code {
            self.log(
                Level::Warn,
                format!("the gateway closed with {code} ({})", code.meaning()),
            );
            if code.is_fatal() {
                return self.fatal(code);
            }
            if code.ends_session() || code == CloseCode::NORMAL && self.habits().forgets_at_1000 {
                self.known = None;
            }
        }
        // The answer is on its way, unless the socket is dropped first.
        let close = self.habits().close;
        let parting = close.map_or(Parting::Dropped, Parting::Answered);
        self.leave(now, parting, Duration::ZERO);
    }

    fn fatal(&mut self, code: CloseCode) {
        let reason = format!("the gateway closed with {code} ({})", code.meaning());
        self.shut_down(Some(reason));
    }

    /// A Close on a socket that was closed before.
    fn closing_late(&mut self, now: Instant, connection: ConnectionId, code: Option<CloseCode>) {
        if self.has(Flaw::UnscopedCallbacks) && self.socket.is_some() {
            // Nobody awaits it any more, and both sides have closed it: its `close` event.
            self.outputs.push_back(Output::Abort { connection });
            return self.ended(now, connection, &End::Closed);
        }
        let Some(code) = code.filter(|_| !self.is_stopping) else {
            return;
        };
        if code.is_fatal() {
            self.fatal(code);
        } else if code.ends_session() && self.socket.is_none() {
            self.known = None;
        }
    }

    fn ended(&mut self, now: Instant, connection: ConnectionId, end: &End) {
        self.closing.retain(|id| *id != connection);
        if self.is_stopping {
            return self.finish();
        }
        if self.awaited.take_if(|id| *id == connection).is_some() {
            return self.go_on(now, !self.has_hello);
        }
        if self.is_for_current(connection) {
            self.log(Level::Warn, format!("the socket ended: {end}"));
            let parting = if self.socket == Some(connection) {
                Parting::Gone
            } else {
                Parting::Closed(CloseCode::UNKNOWN_ERROR)
            };
            self.leave(now, parting, Duration::ZERO);
        }
    }

    fn late(&mut self, now: Instant) {
        self.log(Level::Warn, "the gateway was waited for too long");
        // A connect or an upgrade that hangs has nobody to answer a Close.
        self.leave_to_resume(now);
    }

    // ---- Commands -------------------------------------------------------------------------------------------------------

    fn flush(&mut self, now: Instant) {
        while let Some(command) = self.queue.pop_expired(now) {
            let fate = CommandFate::Expired;
            self.outputs.push_back(Output::Commanded { command, fate });
        }
        if let Some(connection) = self.socket.filter(|_| self.is_up) {
            while let Some((command, text)) = self.queue.pop(now) {
                self.outputs.push_back(Output::Send { connection, text });
                let fate = CommandFate::Sent;
                self.outputs.push_back(Output::Commanded { command, fate });
            }
        }
        self.clear(self.flush);
        if let Some(due) = self.queue.next(now, self.is_up) {
            self.flush = self.set_timeout(due, Callback::Flush);
        }
    }

    /// The gateway wants no more of one opcode for a while.
    fn rate_limited(&mut self, now: Instant, d: &Value) {
        let wait = d["retry_after"].as_f64();
        let wait = wait.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        let op = d["opcode"].as_u64().and_then(|op| u8::try_from(op).ok());
        if let (Some(op), Some(wait)) = (op, wait) {
            self.queue.hold(Opcode(op), now + wait.min(RETRY_AFTER_MAX));
        }
    }

    fn start(&mut self, now: Instant, session: Option<Session>) {
        // A start while the old connection still closes begins the next life beside it.
        self.clear_all();
        (self.is_stopping, self.is_over, self.awaited) = (false, false, None);
        (self.failures, self.resumes_failed) = (0, 0);
        (self.connected, self.earliest) = (None, now);
        self.known = session.map(Known::new);
        self.ask(now);
    }
}

/// How long a server asks to wait, in its header or its body.
fn retry_after(response: &Response) -> Duration {
    let from_header = || response.header("retry-after")?.trim().parse::<f64>().ok();
    let from_body = || {
        let body: Value = serde_json::from_slice(&response.body).ok()?;
        body["retry_after"].as_f64()
    };
    let secs = from_body().or_else(from_header);
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .unwrap_or_default()
}

impl Machine for Classic {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        // Timers are the runtime's: one that was not stopped goes on after the client has.
        if self.is_over && !matches!(input, Input::Start { .. } | Input::Fired(_)) {
            return;
        }
        match input {
            Input::Start { session } => self.start(now, session),
            Input::Stop if self.is_stopping => {}
            Input::Stop => {
                self.log(Level::Info, "stopping: asked to");
                self.shut_down(None);
            }
            Input::Command(command) => {
                let id = command.id;
                if !self.is_stopping && self.queue.push(now, command) {
                    self.flush(now);
                } else {
                    let (command, fate) = (id, CommandFate::Refused);
                    self.outputs.push_back(Output::Commanded { command, fate });
                }
            }
            Input::Fetched { fetch, result } if self.fetch == Some(fetch) => {
                self.fetched(now, &result);
            }
            Input::Opened(of) if self.socket == Some(of) => self.opened(now, of),
            Input::Received {
                connection,
                message,
            } if self.is_for_current(connection) => self.receive(now, connection, message),
            Input::Closing {
                connection, code, ..
            } if self.socket == Some(connection) => self.closing(now, code),
            Input::Closing {
                connection, code, ..
            } if self.closing.contains(&connection) => {
                self.closing_late(now, connection, code);
            }
            Input::Ended { connection, end } => self.ended(now, connection, &end),
            Input::Fired(Timer { number, .. }) => self.fired(now, number),
            Input::Fetched { .. }
            | Input::Opened(_)
            | Input::Received { .. }
            | Input::Closing { .. } => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn status(&self) -> Status {
        Status {
            state: self.status,
            is_authenticated: self.is_up,
            session: self.known.as_ref().map(|known| known.session.clone()),
            round_trip: self.round_trip,
            queued: self.queue.len(),
        }
    }
}
