//! The gateway client of Carbon 0.14, as a machine without I/O: its lifecycle, ported with its faults kept.
//!
//! It exists to show what openclaw#65009 and #63387 show, at will: a run of it dies with the words that users
//! saw, for the reason that was theirs. The engine runs it as it runs our own client, by [`Input`]s and
//! [`Output`]s. It behaves as a Node program on the `ws` library does: every socket keeps its callbacks until
//! it is closed, `setTimeout` and `setInterval` are tasks under numbers of their own, and an exception
//! that nobody catches ends it ([`Output::Died`]).
//!
//! What is wrong in Carbon is marked `Kept from Carbon 0.14` where it stands; nothing here is to be mended,
//! and nothing to be learned from but that. Where the port leaves Carbon: its metrics and its guild cache,
//! which nobody sees from outside, are left out, every dispatch with a name counts as delivered, and
//! arguments of commands are not checked.

use crate::expect::Allowances;
use crate::machine::{
    Command, CommandFate, ConnectionId, End, Input, Level, Machine, Message, Output, Session,
    Status, Timer,
};
use crate::protocol::frame::Text;
use crate::protocol::{
    ClientFrame, CloseCode, Identify, Intents, Opcode, Properties, Resume, Shard, Token,
};
use crate::seed::Draw;
use crate::time::{Duration, Instant, show};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use url::Url;

/// How many reconnect attempts in a row Carbon makes unless it is told otherwise.
pub const ATTEMPTS: u32 = 5;
/// What the first delay of a reconnect is (`baseDelay`).
pub const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// What no delay of a reconnect exceeds (`maxDelay`).
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The last words of a heartbeat on a connection that Carbon has already left: openclaw#65009.
pub const ZOMBIE: &str = "Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)";
/// The last words of an op 7 on a connection that Carbon has already left.
pub const RECONNECT: &str =
    "Attempted to reconnect gateway after disconnecting first (this shouldn't be possible)";

/// How long Carbon waits after op 9.
const INVALID_SESSION_DELAY: Duration = Duration::from_secs(5);
/// How long `ws` waits for the end of a close handshake, whichever side began it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Node runs a timer with a longer delay (or with one below 1 ms) after 1 ms.
const NODE_DELAY_MAX: u64 = (1 << 31) - 1;
/// How many commands Carbon sends in [`RATE_WINDOW`], over all connections together.
const RATE_MAX: usize = 120;
/// The window of [`RATE_MAX`].
const RATE_WINDOW: Duration = Duration::from_mins(1);
/// What a `close` event carries after an empty Close frame.
const NO_CODE: CloseCode = CloseCode(1005);
/// What a `close` event carries where no Close frame was received.
const ABNORMAL: CloseCode = CloseCode(1006);
/// What Carbon calls itself in IDENTIFY.
const LIBRARY: &str = "@buape/carbon";

/// How the port is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bot's token.
    pub token: Token,
    /// The gateway's address, as it is handed to Carbon in place of an answer from `/gateway/bot`.
    pub url: String,
    /// Which events it asks for.
    pub intents: Intents,
    /// Which shard it is; `None` for a bot that does not shard.
    pub shard: Option<Shard>,
    /// How many reconnect attempts in a row before it gives up (`maxAttempts`).
    pub attempts: u32,
    /// Whether the line that openclaw#65009 dies of is in place.
    pub orphan: Orphan,
}

impl Config {
    /// Carbon's own defaults, for one unsharded bot.
    pub fn new(token: Token, url: impl Into<String>) -> Self {
        Self {
            token,
            url: url.into(),
            intents: Intents::DEFAULT,
            shard: None,
            attempts: ATTEMPTS,
            orphan: Orphan::Kept,
        }
    }
}

/// What happens to the repeating heartbeat where the first beat of a connection stops the heart.
///
/// It is a setting only so that a test, or a doubter, can mend this one line and no other and see the crash
/// go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Orphan {
    /// It is armed all the same and belongs to nobody: Carbon 0.14.
    Kept,
    /// It is not armed.
    Mended,
}

/// What a run allows the port, at a heartbeat interval. A zombie is noticed at the second beat after the last
/// ACK at the latest. Carbon bounds neither a connect nor the wait for HELLO or READY, so that there the
/// patience is that of a program.
pub fn allowances(interval: Duration) -> Allowances {
    Allowances {
        detect: 2 * interval,
        close: CLOSE_TIMEOUT,
        backoff: BACKOFF_MAX,
        op9: INVALID_SESSION_DELAY,
        ..Allowances::of_a_program(interval)
    }
}

/// Carbon's gateway client, with the bot around it: it listens to `error` events, and disconnects when it is
/// told to stop.
#[derive(Debug)]
pub struct Carbon {
    config: Config,
    draw: Draw,
    life: Life,
    shared: Shared,
    /// Every socket whose callbacks can still run, or that a task still refers to.
    sockets: BTreeMap<ConnectionId, Socket>,
    /// Every timer that Node has armed, by its number.
    tasks: BTreeMap<u32, Task>,
    /// Sockets that were closed before they were open: `ws` tells of it on Node's next tick.
    ticks: Vec<ConnectionId>,
    connections: u32,
    timers: u32,
    outputs: VecDeque<Output>,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not started, or stopped in good order. There is no socket and no task.
    Waiting,
    /// Running.
    Running,
    /// Told to stop: it is over once there is no socket and no task left.
    Leaving,
    /// Ended by an exception that nobody caught.
    Dead,
}

/// What all connections of one client object share: the root of most of what follows.
#[derive(Debug)]
struct Shared {
    /// The current socket (`ws`). Whatever is sent goes there, whichever connection was the reason.
    ws: Option<ConnectionId>,
    last_heartbeat_ack: bool,
    first_heartbeat_timeout: Option<u32>,
    heartbeat_interval: Option<u32>,
    reconnect_timeout: Option<u32>,
    is_connecting: bool,
    /// Whether commands are taken: set by READY and RESUMED, cleared by `disconnect` alone.
    is_connected: bool,
    reconnect_attempts: u32,
    sequence: Option<u64>,
    session_id: Option<String>,
    resume_gateway_url: Option<String>,
    /// When the last beat was sent.
    beat_sent: Option<Instant>,
    /// How long the last acknowledged beat was under way; `None` after a disconnect.
    round_trip: Option<Duration>,
    /// When each command in the rate window was sent.
    commands: VecDeque<Instant>,
}

impl Shared {
    /// A client object as its constructor leaves it.
    fn new() -> Self {
        Self {
            ws: None,
            last_heartbeat_ack: true,
            first_heartbeat_timeout: None,
            heartbeat_interval: None,
            reconnect_timeout: None,
            is_connecting: false,
            is_connected: false,
            reconnect_attempts: 0,
            sequence: None,
            session_id: None,
            resume_gateway_url: None,
            beat_sent: None,
            round_trip: None,
            commands: VecDeque::new(),
        }
    }

    /// Carbon's `canResume`: by truthiness, so that an empty id is none.
    fn can_resume(&self) -> bool {
        self.session_id.as_ref().is_some_and(|id| !id.is_empty()) && self.sequence.is_some()
    }

    fn forget_session(&mut self) {
        self.session_id = None;
        self.resume_gateway_url = None;
        self.sequence = None;
    }
}

/// A WebSocket object of `ws`, and the one flag that Carbon's callbacks for it share.
#[derive(Debug)]
struct Socket {
    ready: Ready,
    /// Carbon has done with this connection, or thinks so.
    closed: bool,
}

/// The `readyState` of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    Connecting,
    Open,
    Closing {
        /// What its `close` event will carry.
        code: CloseCode,
    },
    Closed,
}

/// What a timer of Node's runs when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// The first beat after a HELLO on connection `of`.
    FirstBeat {
        of: ConnectionId,
        interval: Duration,
    },
    /// Every further beat; the only one that repeats.
    Beat {
        of: ConnectionId,
        interval: Duration,
    },
    /// The connect after a backoff.
    Reconnect { resume: bool },
    /// The connect after an op 9 on connection `of`.
    InvalidSession { of: ConnectionId, resumable: bool },
}

impl Task {
    const fn name(self) -> &'static str {
        match self {
            Self::FirstBeat { .. } => "first-beat",
            Self::Beat { .. } => "beat",
            Self::Reconnect { .. } => "reconnect",
            Self::InvalidSession { .. } => "invalid-session",
        }
    }

    /// The connection whose flag it will look at.
    const fn of(self) -> Option<ConnectionId> {
        match self {
            Self::FirstBeat { of, .. }
            | Self::Beat { of, .. }
            | Self::InvalidSession { of, .. } => Some(of),
            Self::Reconnect { .. } => None,
        }
    }
}

/// Why Carbon makes a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Zombie,
    Asked,
    Closed(CloseCode),
}

/// An exception that nobody catches: the end of the process.
struct Uncaught(Cow<'static, str>);

/// What a callback returns.
type Ran = Result<(), Uncaught>;

/// A payload as Carbon takes it: `d` has to be there, if only as `null`.
#[derive(Deserialize)]
struct Payload<'a> {
    op: serde_json::Number,
    #[serde(default)]
    s: Option<u64>,
    #[serde(default, borrow)]
    t: Option<Text<'a>>,
    // Without the function serde would read a null as an absent key.
    #[serde(default, borrow, deserialize_with = "present")]
    d: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Machine for Carbon {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.life == Life::Dead {
            return;
        }
        match self.on_input(now, input).map(|()| self.run_ticks(now)) {
            Err(Uncaught(message)) => {
                self.life = Life::Dead;
                self.outputs.push_back(Output::Died {
                    message: message.into_owned(),
                });
            }
            Ok(()) if self.life == Life::Leaving && self.is_event_loop_empty() => {
                self.life = Life::Waiting;
                self.outputs.push_back(Output::Stopped { reason: None });
            }
            Ok(()) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn status(&self) -> Status {
        let shared = &self.shared;
        let ready = shared.ws.map(|id| self.sockets[&id].ready);
        let state = match (self.life, ready) {
            (Life::Waiting, _) => "not running",
            (Life::Dead, _) => "dead",
            (_, None) if shared.reconnect_timeout.is_some() => "waiting to reconnect",
            (_, None | Some(Ready::Closed)) => "without a connection",
            (_, Some(Ready::Connecting)) => "connecting",
            (_, Some(Ready::Open)) if shared.is_connected => "connected",
            (_, Some(Ready::Open)) => "open",
            (_, Some(Ready::Closing { .. })) => "closing",
        };
        Status {
            state,
            is_authenticated: ready == Some(Ready::Open) && shared.is_connected,
            session: self.session(),
            round_trip: shared.round_trip,
            queued: 0,
        }
    }
}

impl Carbon {
    /// A client that waits for [`Input::Start`]; the draw decides when each first beat comes.
    pub fn new(config: Config, draw: Draw) -> Self {
        Self {
            config,
            draw,
            life: Life::Waiting,
            shared: Shared::new(),
            sockets: BTreeMap::new(),
            tasks: BTreeMap::new(),
            ticks: Vec::new(),
            connections: 0,
            timers: 0,
            outputs: VecDeque::new(),
        }
    }

    fn session(&self) -> Option<Session> {
        let shared = &self.shared;
        Some(Session {
            id: shared.session_id.clone()?,
            resume_url: shared.resume_gateway_url.clone()?,
            seq: shared.sequence?,
        })
    }

    fn on_input(&mut self, now: Instant, input: Input<'_>) -> Ran {
        match input {
            Input::Start { session } => return self.on_start(session.is_some()),
            Input::Received {
                connection,
                message: Message::Text(text),
            } => return self.on_message(now, connection, text),
            // Carbon turns whatever comes into a string.
            Input::Received {
                connection,
                message: Message::Binary(bytes),
            } => return self.on_message(now, connection, &String::from_utf8_lossy(bytes)),
            Input::Fired(timer) => return self.on_fired(now, timer),
            // The others run nothing that throws.
            Input::Stop => self.on_stop(),
            Input::Command(command) => self.on_command(now, command),
            Input::Opened(connection) => self.on_open(connection),
            Input::Closing {
                connection, code, ..
            } => self.on_close_frame(connection, code),
            Input::Ended { connection, end } => self.on_end(now, connection, &end),
            // Carbon asks for nothing here: its gateway's address is in the configuration.
            Input::Fetched { .. } => {}
        }
        Ok(())
    }

    // ---- The bot's program ----

    /// A new process: whatever an earlier one has left is gone, its session included.
    fn on_start(&mut self, has_session: bool) -> Ran {
        for number in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.clear(Some(number));
        }
        for (connection, socket) in std::mem::take(&mut self.sockets) {
            if socket.ready != Ready::Closed {
                self.outputs.push_back(Output::Abort { connection });
            }
        }
        self.ticks.clear();
        self.shared = Shared::new();
        self.life = Life::Running;
        if has_session {
            self.log(
                Level::Debug,
                "the session of an earlier life is not used: Carbon keeps sessions in memory only",
            );
        }
        self.connect(false)
    }

    /// What a bot does on SIGTERM: it disconnects, and is gone once its event loop holds nothing but Carbon's
    /// metrics.
    // Kept from Carbon 0.14: `disconnect` does not mark the connection as left, so that the `close` event
    // that answers it is taken for a loss and reconnects. Only a stop without a living socket, during a
    // backoff say, is one.
    fn on_stop(&mut self) {
        self.disconnect();
        self.life = Life::Leaving;
    }

    /// A command is taken if Carbon's own method for it would return, and refused if that would throw.
    fn on_command(&mut self, now: Instant, command: Command) {
        let shared = &mut self.shared;
        while shared
            .commands
            .front()
            .is_some_and(|sent| now.since(*sent) >= RATE_WINDOW)
        {
            shared.commands.pop_front();
        }
        let fate = if !shared.is_connected {
            CommandFate::Refused
        } else if self.open_socket().is_none() {
            // Kept from Carbon 0.14: between a Close and the `close` event a command vanishes, and nobody is
            // told.
            CommandFate::Sent
        } else if self.shared.commands.len() >= RATE_MAX {
            CommandFate::Refused
        } else {
            self.shared.commands.push_back(now);
            self.send(&ClientFrame::Command {
                op: command.op,
                d: command.d,
            });
            CommandFate::Sent
        };
        self.outputs.push_back(Output::Commanded {
            command: command.id,
            fate,
        });
    }

    /// Carbon's `error` event. The bot listens to it, or each one would be an uncaught exception.
    fn emit_error(&mut self, text: &str) {
        self.log(Level::Error, text);
    }

    fn log(&mut self, level: Level, text: impl Into<String>) {
        self.outputs.push_back(Output::Log {
            level,
            text: text.into(),
        });
    }

    // ---- Carbon: connecting and disconnecting ----

    fn connect(&mut self, resume: bool) -> Ran {
        if self.shared.is_connecting {
            return Ok(());
        }
        let pending = self.shared.reconnect_timeout.take();
        self.clear(pending);
        // Kept from Carbon 0.14: the old socket is closed, but its heart goes on beating until the next
        // HELLO.
        self.close_ws();
        let base = self
            .shared
            .resume_gateway_url
            .as_deref()
            .filter(|url| resume && !url.is_empty())
            .unwrap_or(&self.config.url);
        let url = with_parameters(base).map_err(|_| {
            // What `new WebSocket` throws, in a timer's callback where nobody catches it.
            Uncaught(format!("Invalid URL: {base}").into())
        })?;
        self.forget_dead_sockets();
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.sockets.insert(
            connection,
            Socket {
                ready: Ready::Connecting,
                closed: false,
            },
        );
        // Kept from Carbon 0.14: neither the connect nor the wait for HELLO has a bound.
        self.outputs.push_back(Output::Open { connection, url });
        self.shared.ws = Some(connection);
        self.shared.is_connecting = true;
        Ok(())
    }

    fn disconnect(&mut self) {
        self.stop_heartbeat();
        self.close_ws();
        let shared = &mut self.shared;
        shared.ws = None;
        shared.is_connecting = false;
        shared.is_connected = false;
        shared.round_trip = None;
        let pending = shared.reconnect_timeout.take();
        self.clear(pending);
    }

    /// The one routine in which every loss of a connection ends.
    fn reconnect(&mut self, now: Instant, cause: Cause) {
        let code = match cause {
            Cause::Closed(code) => Some(code),
            Cause::Zombie | Cause::Asked => None,
        };
        let after = code.map_or(String::new(), |code| format!(" after code {code}"));
        let attempts = self.config.attempts;
        if self.shared.reconnect_attempts >= attempts {
            // Kept from Carbon 0.14: the heart goes on beating, here and below, on a connection that is
            // marked as left.
            self.emit_error(&format!(
                "Max reconnect attempts ({attempts}) reached{after}"
            ));
            return;
        }
        match code {
            // Kept from Carbon 0.14: 4010 is missing.
            Some(
                code @ (CloseCode::AUTHENTICATION_FAILED
                | CloseCode::SHARDING_REQUIRED
                | CloseCode::INVALID_API_VERSION
                | CloseCode::INVALID_INTENTS
                | CloseCode::DISALLOWED_INTENTS),
            ) => {
                self.emit_error(&format!("Fatal Gateway error: {code}"));
                self.shared.reconnect_attempts = attempts;
                return;
            }
            Some(CloseCode::INVALID_SEQ | CloseCode::SESSION_TIMED_OUT) => {
                self.shared.forget_session();
                self.shared.round_trip = None;
            }
            _ => {}
        }
        if self.shared.reconnect_timeout.is_some() || self.shared.is_connecting {
            return;
        }
        self.disconnect();
        let doubled = 1_u32
            .checked_shl(self.shared.reconnect_attempts)
            .unwrap_or(u32::MAX);
        let backoff = BACKOFF_BASE.saturating_mul(doubled).min(BACKOFF_MAX);
        self.shared.reconnect_attempts += 1;
        // After 4007 and 4009 there is no session left, so that this says no.
        let resume = self.shared.can_resume();
        let what = if resume { "resuming" } else { "reconnecting" };
        self.log(Level::Info, format!("{what} in {}{after}", show(backoff)));
        self.shared.reconnect_timeout =
            Some(self.set_timer(now, Task::Reconnect { resume }, backoff));
    }

    // ---- Carbon: the heartbeat ----

    fn start_heartbeat(&mut self, now: Instant, of: ConnectionId, interval: u64) {
        // Kept from Carbon 0.14 (carbon#350): `last_heartbeat_ack` is not set here, so that a beat which an
        // earlier connection left un-ACKed condemns this one.
        self.stop_heartbeat();
        let first = node_delay(self.draw.below(interval.max(1)));
        let interval = node_delay(interval);
        let task = Task::FirstBeat { of, interval };
        self.shared.first_heartbeat_timeout = Some(self.set_timer(now, task, first));
    }

    fn stop_heartbeat(&mut self) {
        let (first, interval) = (
            self.shared.first_heartbeat_timeout.take(),
            self.shared.heartbeat_interval.take(),
        );
        self.clear(first);
        self.clear(interval);
    }

    fn beat(&mut self, now: Instant, of: ConnectionId) -> Ran {
        if self.shared.last_heartbeat_ack {
            self.shared.last_heartbeat_ack = false;
            self.send_heartbeat(now);
            return Ok(());
        }
        let closed = self.closed(of);
        if *closed {
            // Kept from Carbon 0.14: a beat that nobody waits for any more is no error; it throws.
            return Err(Uncaught(ZOMBIE.into()));
        }
        *closed = true;
        self.reconnect(now, Cause::Zombie);
        Ok(())
    }

    fn send_heartbeat(&mut self, now: Instant) {
        let sequence = self.shared.sequence;
        if self.send(&ClientFrame::Heartbeat(sequence)) {
            self.shared.beat_sent = Some(now);
        }
    }

    // ---- Carbon: payloads ----

    fn on_message(&mut self, now: Instant, connection: ConnectionId, text: &str) -> Ran {
        // A connection that is over by now, or was opened by an earlier process, has no callbacks.
        if !self
            .sockets
            .get(&connection)
            .is_some_and(|socket| socket.ready != Ready::Closed)
        {
            return Ok(());
        }
        let payload: Result<Payload<'_>, _> = serde_json::from_str(text);
        // Kept from Carbon 0.14: a payload without `d` is refused, a plain `{"op":11}` among them.
        let Ok(Payload {
            op,
            s,
            t,
            d: Some(d),
        }) = payload
        else {
            self.emit_error("Invalid gateway payload received");
            return Ok(());
        };
        // Kept from Carbon 0.14: any opcode's `s` counts, on any connection, one that is closing or not yet
        // resumed included.
        if let Some(s) = s {
            self.shared.sequence = Some(s);
        }
        let op = op.as_u64().and_then(|op| u8::try_from(op).ok());
        // From here on no callback asks whether this connection is still the current one, and what it sends
        // goes to `ws`.
        match op.map(Opcode) {
            Some(Opcode::HELLO) => return self.on_hello(now, connection, d),
            Some(Opcode::HEARTBEAT_ACK) => {
                self.shared.last_heartbeat_ack = true;
                self.shared.round_trip = self.shared.beat_sent.map(|sent| now.since(sent));
            }
            Some(Opcode::HEARTBEAT) => {
                // Kept from Carbon 0.14: the answer counts as un-ACKed, so that the next regular beat finds a
                // zombie unless its ACK is faster.
                self.shared.last_heartbeat_ack = false;
                self.send_heartbeat(now);
            }
            Some(Opcode::DISPATCH) => self.on_dispatch(connection, s, t.as_deref(), d),
            Some(Opcode::INVALID_SESSION) => {
                let resumable = !matches!(d.get(), "null" | "false" | "0" | "\"\"");
                let task = Task::InvalidSession {
                    of: connection,
                    resumable,
                };
                // Kept from Carbon 0.14: the heart goes on beating, and nothing that happens meanwhile calls
                // this off.
                self.set_timer(now, task, INVALID_SESSION_DELAY);
            }
            Some(Opcode::RECONNECT) => {
                let closed = self.closed(connection);
                if *closed {
                    // Kept from Carbon 0.14 (carbon#349): a second op 7, or one that crosses a Close, throws.
                    return Err(Uncaught(RECONNECT.into()));
                }
                *closed = true;
                self.close_ws();
                self.reconnect(now, Cause::Asked);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_hello(&mut self, now: Instant, connection: ConnectionId, d: &RawValue) -> Ran {
        #[derive(Deserialize)]
        struct Hello {
            heartbeat_interval: f64,
        }
        if d.get() == "null" {
            return Err(Uncaught(
                "Cannot read properties of null (reading 'heartbeat_interval')".into(),
            ));
        }
        // Whatever is no number of milliseconds ends up as Node's shortest delay.
        let interval = serde_json::from_str(d.get())
            .ok()
            .and_then(|Hello { heartbeat_interval }| {
                Duration::try_from_secs_f64(heartbeat_interval / 1000.0).ok()
            })
            .and_then(|interval| u64::try_from(interval.as_millis()).ok())
            .unwrap_or(0);
        self.start_heartbeat(now, connection, interval);
        // Kept from Carbon 0.14: it resumes if it can, whatever `connect` was asked for and whichever URL it
        // dialled.
        let shared = &self.shared;
        let token = self.config.token.clone();
        let frame = match (&shared.session_id, shared.sequence) {
            (Some(id), Some(seq)) if !id.is_empty() => ClientFrame::Resume(Resume {
                token,
                session_id: id.clone(),
                seq,
            }),
            _ => ClientFrame::Identify(Identify {
                token,
                properties: Properties {
                    os: "linux".to_owned(),
                    browser: LIBRARY.to_owned(),
                    device: LIBRARY.to_owned(),
                },
                intents: self.config.intents,
                shard: self.config.shard,
                compress: false,
            }),
        };
        self.send(&frame);
        Ok(())
    }

    fn on_dispatch(
        &mut self,
        connection: ConnectionId,
        seq: Option<u64>,
        event: Option<&str>,
        d: &RawValue,
    ) {
        #[derive(Deserialize)]
        struct Ready {
            session_id: Option<String>,
            resume_gateway_url: Option<String>,
        }
        match event {
            None => return,
            Some("READY") => {
                let Ok(Ready {
                    session_id,
                    resume_gateway_url,
                }) = serde_json::from_str(d.get())
                else {
                    // Carbon catches what goes wrong in a dispatch and prints it.
                    self.log(Level::Error, "failed to read a READY");
                    return;
                };
                self.shared.session_id = session_id;
                self.shared.resume_gateway_url = resume_gateway_url;
                self.shared.is_connected = true;
            }
            Some("RESUMED") => self.shared.is_connected = true,
            Some(_) => {}
        }
        if let Some(seq) = seq {
            self.outputs.push_back(Output::Deliver { connection, seq });
        }
    }

    // ---- Carbon: the events of a socket ----

    fn on_open(&mut self, connection: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        socket.ready = Ready::Open;
        self.shared.is_connecting = false;
        // Kept from Carbon 0.14: an open socket counts as success, so that the delay never grows past its
        // base.
        self.shared.reconnect_attempts = 0;
        self.log(Level::Debug, "the WebSocket is open");
    }

    fn on_error_event(&mut self, why: &str) {
        // Kept from Carbon 0.14: here and in `close`, a late event of an old socket clears what a newer
        // connect has set.
        self.shared.is_connecting = false;
        self.emit_error(why);
    }

    fn on_close_event(&mut self, now: Instant, connection: ConnectionId, code: CloseCode) {
        self.shared.is_connecting = false;
        self.log(
            Level::Debug,
            format!("the WebSocket is closed with code {code}"),
        );
        let closed = self.closed(connection);
        if *closed {
            return;
        }
        *closed = true;
        self.reconnect(now, Cause::Closed(code));
    }

    // ---- The `ws` library ----

    /// `ws` answers a Close by itself, and bounds the wait for the end of the socket.
    fn on_close_frame(&mut self, connection: ConnectionId, code: Option<CloseCode>) {
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        let was = socket.ready;
        socket.ready = Ready::Closing {
            code: code.unwrap_or(NO_CODE),
        };
        if was == Ready::Open {
            self.outputs.push_back(Output::Close {
                connection,
                code,
                within: CLOSE_TIMEOUT,
            });
        }
    }

    /// A `close` event follows every end. An `error` event precedes it where a connect failed or the gateway
    /// broke the WebSocket protocol, but not where a connection was reset.
    fn on_end(&mut self, now: Instant, connection: ConnectionId, end: &End) {
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        let was = std::mem::replace(&mut socket.ready, Ready::Closed);
        if was == Ready::Connecting || matches!(end, End::Failed(_)) {
            self.on_error_event(&end.to_string());
        }
        let code = match was {
            Ready::Closing { code } => code,
            Ready::Connecting | Ready::Open => ABNORMAL,
            Ready::Closed => return,
        };
        self.on_close_event(now, connection, code);
    }

    /// `close()` without a code, on the current socket if there is one.
    fn close_ws(&mut self) {
        let Some(connection) = self.shared.ws else {
            return;
        };
        let socket = self.socket(connection);
        let was = socket.ready;
        match was {
            Ready::Connecting => {
                socket.ready = Ready::Closing { code: ABNORMAL };
                self.outputs.push_back(Output::Abort { connection });
                self.ticks.push(connection);
            }
            Ready::Open => {
                socket.ready = Ready::Closing { code: ABNORMAL };
                self.outputs.push_back(Output::Close {
                    connection,
                    code: None,
                    within: CLOSE_TIMEOUT,
                });
            }
            Ready::Closing { .. } | Ready::Closed => {}
        }
    }

    /// Node's next tick: nothing else comes between it and the callback that asked for it, so that it needs
    /// no timer.
    fn run_ticks(&mut self, now: Instant) {
        while let Some(connection) = self.ticks.pop() {
            self.on_error_event("WebSocket was closed before the connection was established");
            self.socket(connection).ready = Ready::Closed;
            self.on_close_event(now, connection, ABNORMAL);
        }
    }

    fn open_socket(&self) -> Option<ConnectionId> {
        self.shared
            .ws
            .filter(|id| self.sockets[id].ready == Ready::Open)
    }

    /// Sends on the current socket; what cannot be sent is dropped without a word.
    fn send(&mut self, frame: &ClientFrame) -> bool {
        let Some(connection) = self.open_socket() else {
            return false;
        };
        self.outputs.push_back(Output::Send {
            connection,
            text: frame.encode(),
        });
        true
    }

    fn socket(&mut self, connection: ConnectionId) -> &mut Socket {
        self.sockets
            .get_mut(&connection)
            .expect("a socket is kept as long as `ws`, a task or an event refers to it")
    }

    fn closed(&mut self, connection: ConnectionId) -> &mut bool {
        &mut self.socket(connection).closed
    }

    /// What the garbage collector does: a socket that is over and that no task can reach any more is of no
    /// account.
    fn forget_dead_sockets(&mut self) {
        let Self { sockets, tasks, .. } = self;
        sockets.retain(|id, socket| {
            socket.ready != Ready::Closed || tasks.values().any(|task| task.of() == Some(*id))
        });
    }

    // ---- Node's timers ----

    fn set_timer(&mut self, now: Instant, task: Task, delay: Duration) -> u32 {
        self.timers += 1;
        self.tasks.insert(self.timers, task);
        self.arm(task, self.timers, now + delay);
        self.timers
    }

    fn arm(&mut self, task: Task, number: u32, at: Instant) {
        let name = task.name();
        self.outputs.push_back(Output::Arm {
            timer: Timer { name, number },
            at,
        });
    }

    fn clear(&mut self, number: Option<u32>) {
        let Some(number) = number else { return };
        if let Some(task) = self.tasks.remove(&number) {
            let name = task.name();
            self.outputs.push_back(Output::Disarm {
                timer: Timer { name, number },
            });
        }
    }

    fn on_fired(&mut self, now: Instant, timer: Timer) -> Ran {
        let Some(task) = self.tasks.get(&timer.number).copied() else {
            return Ok(());
        };
        if let Task::Beat { of, interval } = task {
            // Before the beat, so that it can still stop itself.
            self.arm(task, timer.number, now + interval);
            return self.beat(now, of);
        }
        self.tasks.remove(&timer.number);
        match task {
            Task::Beat { .. } => unreachable!("an interval stays armed"),
            Task::FirstBeat { of, interval } => {
                self.beat(now, of)?;
                let is_stopped = self.shared.first_heartbeat_timeout != Some(timer.number);
                if is_stopped && self.config.orphan == Orphan::Mended {
                    return Ok(());
                }
                // Kept from Carbon 0.14 (openclaw#65009): if that beat found a zombie, it has just stopped
                // this heart, and what is armed here is an orphan. It throws one I later, unless a HELLO or a
                // `close` event of another connection stops it first.
                let task = Task::Beat { of, interval };
                self.shared.heartbeat_interval = Some(self.set_timer(now, task, interval));
                Ok(())
            }
            Task::Reconnect { resume } => {
                self.shared.reconnect_timeout = None;
                self.connect(resume)
            }
            Task::InvalidSession { of, resumable } => {
                *self.closed(of) = true;
                let resume = resumable && self.shared.can_resume();
                if !resume {
                    self.shared.forget_session();
                    self.shared.round_trip = None;
                }
                self.connect(resume)
            }
        }
    }

    fn is_event_loop_empty(&self) -> bool {
        self.tasks.is_empty()
            && self
                .sockets
                .values()
                .all(|socket| socket.ready == Ready::Closed)
    }
}

/// The delay that Node makes of a number of milliseconds.
fn node_delay(millis: u64) -> Duration {
    match millis {
        1..=NODE_DELAY_MAX => Duration::from_millis(millis),
        _ => Duration::from_millis(1),
    }
}

/// A gateway's URL with version and encoding, unless it names its own.
fn with_parameters(base: &str) -> Result<String, url::ParseError> {
    let mut url = Url::parse(base)?;
    for (name, value) in [("v", "10"), ("encoding", "json")] {
        let is_given = url
            .query_pairs()
            .any(|(known, value)| known == name && !value.is_empty());
        if !is_given {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::CommandId;
    use crate::protocol::Json;
    use crate::seed::{Seed, Stream};
    use std::fmt::Write as _;

    /// Each way. A connect costs one round trip, the upgrade another.
    const LATENCY: Duration = Duration::from_millis(1);
    const MINUTE: Duration = Duration::from_mins(1);

    const ALL: u32 = u32::MAX;
    const OP1: &str = r#"{"t":null,"s":null,"op":1,"d":null}"#;
    const OP7: &str = r#"{"t":null,"s":null,"op":7,"d":null}"#;
    const ACK: &str = r#"{"t":null,"s":null,"op":11,"d":null}"#;

    /// What the scripted gateway has just done or read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum On {
        /// The upgrade was answered, with HELLO behind it if there is to be one.
        Upgrade,
        /// IDENTIFY or RESUME was read and answered.
        Authenticated,
        /// A beat was read, counted from one, and its ACK sent or not.
        Beat(u32),
        /// The client's Close was read; its answer comes next.
        Close,
    }

    /// What it does then.
    #[derive(Debug, Clone)]
    enum Do {
        Send(String),
        Reset,
        Fin,
        Close(Option<CloseCode>),
        Stop,
    }

    /// How it meets a connect.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Meet {
        Accept,
        Refuse,
        /// The connect is never answered.
        Hang,
    }

    /// How it treats one connection.
    #[derive(Debug, Clone)]
    struct Conduct {
        meet: Meet,
        says_hello: bool,
        /// How many beats it acknowledges.
        acks: u32,
        answers_close: bool,
        steps: Vec<(On, Duration, Do)>,
    }

    impl Conduct {
        fn healthy() -> Self {
            Self {
                meet: Meet::Accept,
                says_hello: true,
                acks: ALL,
                answers_close: true,
                steps: Vec::new(),
            }
        }

        fn acks(n: u32) -> Self {
            Self {
                acks: n,
                ..Self::healthy()
            }
        }

        fn without_hello() -> Self {
            Self {
                says_hello: false,
                ..Self::healthy()
            }
        }

        fn met_by(meet: Meet) -> Self {
            Self {
                meet,
                ..Self::healthy()
            }
        }

        fn then(mut self, on: On, act: Do) -> Self {
            self.steps.push((on, Duration::ZERO, act));
            self
        }

        fn then_after(mut self, on: On, delay: Duration, act: Do) -> Self {
            self.steps.push((on, delay, act));
            self
        }
    }

    fn send(text: &str) -> Do {
        Do::Send(text.to_owned())
    }

    /// Something under way.
    #[derive(Debug)]
    enum Event {
        Request(ConnectionId),
        ToGateway(ConnectionId, String),
        CloseToGateway(ConnectionId, Option<CloseCode>),
        Act(ConnectionId, Do),
        Opened(ConnectionId),
        Text(ConnectionId, String),
        Closing(ConnectionId, Option<CloseCode>),
        Ended(ConnectionId, End),
    }

    /// What the gateway knows of a connection.
    #[derive(Debug)]
    struct Link {
        conduct: Conduct,
        url: String,
        /// `None` until the gateway has accepted it.
        accepted: Option<Instant>,
        authenticated: Option<Instant>,
        beats: u32,
        last_beat: Option<Instant>,
        /// What either side does after this reaches nobody.
        is_over: bool,
    }

    /// How a run ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Outcome {
        /// The zombie throw.
        CrashZ,
        /// The op 7 throw.
        CrashG,
        /// The last connection has lived for four intervals and more after READY or RESUMED.
        Lives,
        /// No connection lives, and there are ever more of them.
        Loops,
        /// No connection lives, and there will be no other.
        Hangs,
        /// It stopped in good order.
        Stopped,
    }
    use Outcome::{CrashG, CrashZ, Hangs, Lives, Loops, Stopped};

    /// A scripted gateway and the port, on a clock that jumps.
    struct Rig {
        now: Instant,
        carbon: Carbon,
        interval: Duration,
        plan: Vec<Conduct>,
        events: BTreeMap<(Instant, u32), Event>,
        order: u32,
        timers: BTreeMap<Timer, Instant>,
        links: BTreeMap<ConnectionId, Link>,
        seq: u64,
        end: Option<Result<(), String>>,
        transcript: String,
        fates: Vec<CommandFate>,
    }

    impl Rig {
        /// The plan's conducts are those of the first connections; the others are healthy.
        fn new(seed: u64, interval: u64, plan: &[Conduct]) -> Self {
            Self::with(seed, interval, plan, |_| {})
        }

        fn with(
            seed: u64,
            interval: u64,
            plan: &[Conduct],
            change: impl FnOnce(&mut Config),
        ) -> Self {
            let mut config = Config::new(Token::new("token"), "ws://main");
            change(&mut config);
            let mut rig = Self {
                now: Instant::ZERO,
                carbon: Carbon::new(config, Seed(seed).stream(Stream::Subject)),
                interval: Duration::from_millis(interval),
                plan: plan.to_vec(),
                events: BTreeMap::new(),
                order: 0,
                timers: BTreeMap::new(),
                links: BTreeMap::new(),
                seq: 0,
                end: None,
                transcript: String::new(),
                fates: Vec::new(),
            };
            rig.tell(Input::Start { session: None });
            rig
        }

        fn run(mut self, until: Duration) -> Self {
            self.run_to(Instant::ZERO + until);
            self
        }

        /// Serves everything that is due by then, in the order of time; of what is due at once, arrivals come
        /// first.
        fn run_to(&mut self, until: Instant) {
            while self.end.is_none() {
                let event = self.events.first_key_value().map(|((at, _), _)| *at);
                let timer = self
                    .timers
                    .iter()
                    .min_by_key(|(_, at)| **at)
                    .map(|(timer, at)| (*timer, *at));
                let due = event.into_iter().chain(timer.map(|(_, at)| at)).min();
                let Some(due) = due.filter(|due| *due <= until) else {
                    break;
                };
                self.now = due;
                if event == Some(due) {
                    let (_, event) = self.events.pop_first().expect("it was just seen");
                    self.serve(event);
                } else if let Some((timer, _)) = timer {
                    self.timers.remove(&timer);
                    self.tell(Input::Fired(timer));
                }
            }
            if self.end.is_none() {
                self.now = until;
            }
        }

        fn later(&mut self, delay: Duration, event: Event) {
            self.order += 1;
            self.events.insert((self.now + delay, self.order), event);
        }

        fn note(&mut self, text: impl std::fmt::Display) {
            writeln!(self.transcript, "{} {text}", self.now).unwrap();
        }

        fn tell(&mut self, input: Input<'_>) {
            self.carbon.handle(self.now, input);
            while let Some(output) = self.carbon.poll_output() {
                assert!(self.end.is_none(), "{output:?} after the end");
                self.carry_out(output);
            }
        }

        fn carry_out(&mut self, output: Output) {
            match output {
                Output::Open { connection, url } => {
                    self.note(format_args!("#{} opens {url}", connection.0));
                    let conduct = self.plan.get(self.links.len()).cloned();
                    let conduct = conduct.unwrap_or_else(Conduct::healthy);
                    match conduct.meet {
                        Meet::Accept => self.later(3 * LATENCY, Event::Request(connection)),
                        Meet::Refuse => {
                            self.later(2 * LATENCY, Event::Ended(connection, End::Refused));
                        }
                        Meet::Hang => {}
                    }
                    let link = Link {
                        conduct,
                        url,
                        accepted: None,
                        authenticated: None,
                        beats: 0,
                        last_beat: None,
                        is_over: false,
                    };
                    self.links.insert(connection, link);
                }
                Output::Send { connection, text } => {
                    self.later(LATENCY, Event::ToGateway(connection, text));
                }
                Output::Close {
                    connection,
                    code,
                    within,
                } => {
                    self.note(format_args!("#{} closes", connection.0));
                    self.later(LATENCY, Event::CloseToGateway(connection, code));
                    self.later(within, Event::Ended(connection, End::Abandoned));
                }
                Output::Abort { connection } => {
                    self.note(format_args!("#{} aborts", connection.0));
                    self.links.get_mut(&connection).unwrap().is_over = true;
                }
                Output::Arm { timer, at } => {
                    assert!(at > self.now, "{timer:?} would fire at once");
                    self.timers.insert(timer, at);
                }
                Output::Disarm { timer } => {
                    self.timers.remove(&timer);
                }
                Output::Deliver { .. } => {}
                Output::Commanded { fate, .. } => self.fates.push(fate),
                Output::Log { level, text } => {
                    if level < Level::Debug {
                        self.note(text);
                    }
                }
                Output::Died { message } => {
                    self.note(format_args!("died: {message}"));
                    self.end = Some(Err(message));
                }
                Output::Stopped { reason } => {
                    assert_eq!(reason, None);
                    self.note("stopped");
                    self.end = Some(Ok(()));
                }
                Output::Fetch { .. } => panic!("Carbon fetches nothing when it is given a URL"),
            }
        }

        fn serve(&mut self, event: Event) {
            let connection = match &event {
                Event::Request(id)
                | Event::ToGateway(id, _)
                | Event::CloseToGateway(id, _)
                | Event::Act(id, _)
                | Event::Opened(id)
                | Event::Text(id, _)
                | Event::Closing(id, _)
                | Event::Ended(id, _) => *id,
            };
            if self.links[&connection].is_over {
                return;
            }
            match event {
                Event::Request(id) => self.accept(id),
                Event::ToGateway(id, text) => self.read(id, &text),
                Event::CloseToGateway(id, code) => {
                    self.react(id, On::Close);
                    if self.links[&id].conduct.answers_close {
                        self.later(LATENCY, Event::Closing(id, code));
                        self.later(LATENCY, Event::Ended(id, End::Closed));
                    }
                }
                Event::Act(id, act) => self.act(id, act),
                Event::Opened(id) => self.tell(Input::Opened(id)),
                Event::Text(id, text) => self.tell(Input::Received {
                    connection: id,
                    message: Message::Text(&text),
                }),
                Event::Closing(id, code) => self.tell(Input::Closing {
                    connection: id,
                    code,
                    reason: "",
                }),
                Event::Ended(id, end) => {
                    self.links.get_mut(&id).unwrap().is_over = true;
                    self.tell(Input::Ended {
                        connection: id,
                        end,
                    });
                }
            }
        }

        fn accept(&mut self, id: ConnectionId) {
            self.links.get_mut(&id).unwrap().accepted = Some(self.now);
            self.later(LATENCY, Event::Opened(id));
            if self.links[&id].conduct.says_hello {
                let interval = self.interval.as_millis();
                self.later(LATENCY, Event::Text(id, hello(interval)));
            }
            self.react(id, On::Upgrade);
        }

        fn read(&mut self, id: ConnectionId, text: &str) {
            let op = crate::protocol::Envelope::read(text).unwrap().op;
            self.note(format_args!("#{} sent {}", id.0, op.name()));
            match op {
                Opcode::HEARTBEAT => {
                    let link = self.links.get_mut(&id).unwrap();
                    link.beats += 1;
                    link.last_beat = Some(self.now);
                    let n = link.beats;
                    if n <= link.conduct.acks {
                        self.later(LATENCY, Event::Text(id, ACK.to_owned()));
                    }
                    self.react(id, On::Beat(n));
                }
                Opcode::IDENTIFY | Opcode::RESUME => {
                    self.seq += 1;
                    let answer = if op == Opcode::IDENTIFY {
                        ready(self.seq)
                    } else {
                        format!(r#"{{"t":"RESUMED","s":{},"op":0,"d":{{}}}}"#, self.seq)
                    };
                    self.links.get_mut(&id).unwrap().authenticated = Some(self.now);
                    self.later(LATENCY, Event::Text(id, answer));
                    self.react(id, On::Authenticated);
                }
                _ => {}
            }
        }

        fn react(&mut self, id: ConnectionId, on: On) {
            let steps = self.links[&id].conduct.steps.clone();
            for (_, delay, act) in steps.into_iter().filter(|(step, ..)| *step == on) {
                if delay.is_zero() {
                    self.act(id, act);
                } else {
                    self.later(delay, Event::Act(id, act));
                }
            }
        }

        fn act(&mut self, id: ConnectionId, act: Do) {
            match act {
                Do::Send(text) => self.later(LATENCY, Event::Text(id, text)),
                Do::Reset => self.later(LATENCY, Event::Ended(id, End::Reset)),
                Do::Fin => self.later(LATENCY, Event::Ended(id, End::Eof)),
                Do::Close(code) => {
                    self.later(LATENCY, Event::Closing(id, code));
                    self.later(3 * LATENCY, Event::Ended(id, End::Closed));
                }
                Do::Stop => self.tell(Input::Stop),
            }
        }

        fn accepted(&self) -> usize {
            let links = self.links.values();
            links.filter(|link| link.accepted.is_some()).count()
        }

        fn outcome(&self) -> Outcome {
            match &self.end {
                Some(Err(message)) if message == ZOMBIE => return CrashZ,
                Some(Err(message)) if message == RECONNECT => return CrashG,
                Some(Err(message)) => panic!("died of something else: {message}"),
                Some(Ok(())) => return Stopped,
                None => {}
            }
            let last = self.links.values().last().expect("there is a first");
            let patience = 4 * self.interval + BACKOFF_BASE;
            match (last.authenticated, last.is_over) {
                (Some(at), false) if self.now.since(at) >= patience => Lives,
                (None, _) if self.timers.is_empty() => Hangs,
                _ => Loops,
            }
        }
    }

    fn hello(interval: u128) -> String {
        format!(r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{interval}}}}}"#)
    }

    fn ready(seq: u64) -> String {
        format!(
            r#"{{"t":"READY","s":{seq},"op":0,"d":{{"v":10,"session_id":"s1","resume_gateway_url":"ws://resume"}}}}"#
        )
    }

    /// Plays a schedule over twenty seeds and demands one outcome of all of them, and a number of
    /// connections.
    fn check(interval: u64, plan: &[Conduct], outcome: Outcome, connections: usize) {
        for seed in 0..20 {
            let rig = Rig::new(seed, interval, plan).run(MINUTE);
            assert_eq!(
                (rig.outcome(), rig.accepted()),
                (outcome, connections),
                "seed {seed}, interval {interval}:\n{}",
                rig.transcript
            );
        }
    }

    // What the real package does, row by row of the measurements, is in tests/it/carbon_table.rs.

    #[test]
    fn the_whole_story_of_a_crash() {
        let rig = Rig::new(0x5eed, 300, &[Conduct::acks(1)]).run(MINUTE);
        insta::assert_snapshot!(rig.transcript, @r"
        0.000s #1 opens ws://main/?v=10&encoding=json
        0.005s #1 sent IDENTIFY
        0.255s #1 sent HEARTBEAT
        0.555s #1 sent HEARTBEAT
        0.854s #1 closes
        0.854s resuming in 1s
        1.854s #2 opens ws://resume/?v=10&encoding=json
        1.859s #2 sent RESUME
        2.033s #2 closes
        2.033s resuming in 1s
        2.333s died: Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)
        ");
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let transcript = || {
            Rig::new(7, 3000, &[Conduct::acks(1)])
                .run(MINUTE)
                .transcript
        };
        assert_eq!(transcript(), transcript());
    }

    // ---- Reconnecting ----

    /// Delays between the end of one connect and the next, in milliseconds.
    fn opens(rig: &Rig) -> Vec<u128> {
        let lines = rig.transcript.lines();
        let opened = lines.filter(|line| line.contains(" opens "));
        opened
            .map(|line| {
                let digits: String = line
                    .split('s')
                    .next()
                    .unwrap()
                    .chars()
                    .filter(char::is_ascii_digit)
                    .collect();
                digits.parse().unwrap()
            })
            .collect()
    }

    #[test]
    fn refused_reconnects_back_off_until_it_gives_up() {
        let mut plan =
            vec![Conduct::healthy().then_after(On::Beat(1), Duration::from_millis(50), Do::Reset)];
        plan.extend(vec![Conduct::met_by(Meet::Refuse); 9]);
        let rig = Rig::new(1, 300, &plan).run(5 * MINUTE);
        let opens = opens(&rig);
        let gaps: Vec<u128> = opens.windows(2).skip(1).map(|w| w[1] - w[0]).collect();
        assert_eq!(gaps, [2002, 4002, 8002, 16002]);
        assert!(
            rig.transcript
                .ends_with("Max reconnect attempts (5) reached after code 1006\n")
        );
        assert_eq!(rig.outcome(), Hangs);
    }

    #[test]
    fn an_open_socket_resets_the_backoff_even_if_it_is_worth_nothing() {
        let short = Conduct::without_hello();
        let fin = Conduct::healthy().then(On::Upgrade, Do::Fin);
        let rig = Rig::new(1, 300, &vec![fin; 50]).run(MINUTE);
        assert!(rig.accepted() > 49, "{}", rig.transcript);
        let rig = Rig::new(1, 300, &[short]).run(MINUTE);
        assert_eq!((rig.outcome(), rig.accepted()), (Hangs, 1));
    }

    #[test]
    fn a_session_is_resumed_at_its_own_url_unless_the_code_has_ended_it() {
        for (code, url, op) in [
            (Some(4000), "ws://resume", "RESUME"),
            (None, "ws://resume", "RESUME"),
            (Some(1000), "ws://resume", "RESUME"),
            (Some(4007), "ws://main", "IDENTIFY"),
            (Some(4009), "ws://main", "IDENTIFY"),
        ] {
            let close = Do::Close(code.map(CloseCode));
            let plan =
                [Conduct::healthy().then_after(On::Beat(1), Duration::from_millis(50), close)];
            let rig = Rig::new(3, 300, &plan).run(MINUTE);
            assert_eq!((rig.outcome(), rig.accepted()), (Lives, 2), "{code:?}");
            assert_eq!(
                rig.links[&ConnectionId(2)].url,
                format!("{url}/?v=10&encoding=json")
            );
            assert!(
                rig.transcript.contains(&format!("#2 sent {op}\n")),
                "{code:?}:\n{}",
                rig.transcript
            );
        }
    }

    #[test]
    fn op_9_waits_five_seconds_with_the_heart_beating() {
        for (resumable, op) in [(true, "RESUME"), (false, "IDENTIFY")] {
            let op9 = format!(r#"{{"t":null,"s":null,"op":9,"d":{resumable}}}"#);
            let after = Duration::from_millis(50);
            let plan = [Conduct::healthy().then_after(On::Beat(1), after, Do::Send(op9))];
            let rig = Rig::new(5, 300, &plan).run(MINUTE);
            assert_eq!((rig.outcome(), rig.accepted()), (Lives, 2));
            assert!(rig.links[&ConnectionId(1)].beats > 15);
            assert!(rig.transcript.contains(&format!("#2 sent {op}\n")));
        }
    }

    #[test]
    fn nothing_calls_off_what_follows_op_9() {
        let op9 = r#"{"t":null,"s":null,"op":9,"d":false}"#;
        let plan = [Conduct::healthy()
            .then(On::Authenticated, send(op9))
            .then_after(On::Authenticated, Duration::from_secs(1), Do::Reset)];
        // The second connection is sound, and is left when the five seconds are over. Its `close` event
        // clears what the third connect has set, and leaves the third as well, here before it is accepted.
        check(3000, &plan, Lives, 3);
        let rig = Rig::new(1, 3000, &plan).run(MINUTE);
        assert_eq!(rig.links.len(), 4);
    }

    #[test]
    fn a_frame_without_d_is_refused_so_that_a_bare_ack_is_none() {
        let mut rig = Rig::new(1, 300, &[Conduct::acks(0)]);
        rig.run_to(Instant::ZERO + Duration::from_millis(10));
        let before = rig.carbon.status();
        for text in [
            r#"{"op":11}"#,
            r#"{"t":"MESSAGE_CREATE","s":99,"op":0}"#,
            "{",
            "[]",
        ] {
            rig.tell(Input::Received {
                connection: ConnectionId(1),
                message: Message::Text(text),
            });
        }
        let refused = rig
            .transcript
            .matches("Invalid gateway payload received")
            .count();
        assert_eq!(refused, 4);
        assert_eq!(rig.carbon.status(), before);
        assert!(before.is_authenticated);
        assert_eq!(before.session.map(|session| session.seq), Some(1));
    }

    #[test]
    fn a_hello_without_payload_is_the_end_of_it() {
        let mut rig = Rig::new(1, 300, &[Conduct::without_hello()]);
        rig.run_to(Instant::ZERO + Duration::from_millis(10));
        rig.tell(Input::Received {
            connection: ConnectionId(1),
            message: Message::Binary(br#"{"op":10,"d":null}"#),
        });
        let words = "Cannot read properties of null (reading 'heartbeat_interval')";
        assert_eq!(rig.end, Some(Err(words.to_owned())));
        // Dead, it asks for nothing any more; the rig would complain.
        rig.tell(Input::Stop);
        rig.tell(Input::Start { session: None });
    }

    #[test]
    fn a_resume_url_that_is_none_is_the_end_of_it() {
        let bad = ready(1).replace("ws://resume", "nowhere");
        let plan = [Conduct::healthy()
            .then(On::Authenticated, Do::Send(bad))
            .then_after(On::Beat(1), Duration::from_millis(50), Do::Reset)];
        let rig = Rig::new(1, 300, &plan).run(MINUTE);
        assert_eq!(rig.end, Some(Err("Invalid URL: nowhere".to_owned())));
    }

    #[test]
    fn a_close_that_is_not_answered_ends_after_thirty_seconds_and_disturbs_nobody() {
        let plan = [Conduct {
            answers_close: false,
            ..Conduct::healthy().then_after(On::Beat(1), Duration::from_millis(50), send(OP7))
        }];
        let rig = Rig::new(2, 300, &plan).run(MINUTE);
        assert_eq!((rig.outcome(), rig.accepted()), (Lives, 2));
        assert!(rig.links[&ConnectionId(1)].is_over);
    }

    #[test]
    fn urls_get_version_and_encoding_unless_they_have_them() {
        let with = |url| with_parameters(url).unwrap();
        assert_eq!(
            with("ws://127.0.0.1:80"),
            "ws://127.0.0.1/?v=10&encoding=json"
        );
        assert_eq!(
            with("wss://gateway.test/"),
            "wss://gateway.test/?v=10&encoding=json"
        );
        assert_eq!(
            with("ws://a/b?v=9&compress=x"),
            "ws://a/b?v=9&compress=x&encoding=json"
        );
        assert_eq!(
            with("ws://a/?encoding=etf&v=10"),
            "ws://a/?encoding=etf&v=10"
        );
    }

    #[test]
    fn delays_are_those_of_node() {
        let millis = Duration::from_millis;
        assert_eq!(node_delay(0), millis(1));
        assert_eq!(node_delay(41_250), millis(41_250));
        assert_eq!(node_delay(NODE_DELAY_MAX), millis(NODE_DELAY_MAX));
        assert_eq!(node_delay(NODE_DELAY_MAX + 1), millis(1));
    }

    #[test]
    fn whatever_the_gateway_does_it_dies_of_nothing_but_its_two_throws() {
        let mut outcomes = Vec::new();
        for seed in 0..500 {
            let mut draw = Seed(seed).stream(Stream::Schedule);
            let plan: Vec<Conduct> = (0..12).map(|_| random(&mut draw)).collect();
            let rig = Rig::new(seed, 300 + draw.below(2000), &plan).run(2 * MINUTE);
            outcomes.push(rig.outcome());
            // What is over is forgotten, however many connections there were.
            assert!(rig.carbon.sockets.len() < 8, "{:?}", rig.carbon.sockets);
            assert!(rig.carbon.tasks.len() < 8, "{:?}", rig.carbon.tasks);
        }
        for each in [CrashZ, CrashG, Lives, Loops, Hangs] {
            assert!(outcomes.contains(&each), "{each:?} never came about");
        }
    }

    fn random(draw: &mut Draw) -> Conduct {
        let mut conduct = match draw.below(12) {
            0 => Conduct::met_by(Meet::Refuse),
            1 => Conduct::without_hello(),
            2 => Conduct::acks(u32::try_from(draw.below(4)).unwrap()),
            _ => Conduct::healthy(),
        };
        conduct.answers_close = draw.below(8) != 0;
        for _ in 0..draw.below(3) {
            let on = match draw.below(4) {
                0 => On::Upgrade,
                1 => On::Authenticated,
                2 => On::Close,
                _ => On::Beat(1),
            };
            let op9 = format!(r#"{{"t":null,"s":null,"op":9,"d":{}}}"#, draw.below(2) == 0);
            let act = match draw.below(9) {
                0 => send(OP1),
                1 => send(OP7),
                2 => Do::Send(op9),
                3 => Do::Send(hello(500)),
                4 => Do::Reset,
                5 => Do::Fin,
                6 => Do::Close(None),
                7 => Do::Close(Some(CloseCode(
                    4000 + u16::try_from(draw.below(16)).unwrap(),
                ))),
                _ => Do::Stop,
            };
            conduct = conduct.then_after(on, draw.part_of(BACKOFF_BASE), act);
        }
        conduct
    }

    // ---- Stopping ----

    #[test]
    fn a_stop_with_a_living_connection_comes_back() {
        let plan =
            [Conduct::healthy().then_after(On::Beat(1), Duration::from_millis(50), Do::Stop)];
        check(300, &plan, Lives, 2);
    }

    #[test]
    fn a_stop_in_mid_connect_comes_back() {
        let mut rig = Rig::new(1, 300, &[Conduct::met_by(Meet::Hang)]);
        rig.run_to(Instant::ZERO + LATENCY);
        rig.tell(Input::Stop);
        assert!(
            rig.transcript
                .contains("#1 aborts\n0.001s WebSocket was closed before"),
            "{}",
            rig.transcript
        );
        let rig = rig.run(MINUTE);
        assert_eq!((rig.outcome(), rig.accepted()), (Lives, 1));
    }

    #[test]
    fn a_stop_during_a_backoff_is_one() {
        let plan =
            [Conduct::healthy().then_after(On::Beat(1), Duration::from_millis(50), Do::Reset)];
        let mut rig = Rig::new(1, 300, &plan);
        rig.run_to(Instant::ZERO + Duration::from_millis(900));
        assert_eq!(rig.carbon.status().state, "waiting to reconnect");
        rig.tell(Input::Stop);
        assert_eq!(rig.outcome(), Stopped);
        // A second life is a new process: it knows of no session.
        rig.end = None;
        rig.tell(Input::Start { session: None });
        let rig = rig.run(MINUTE);
        assert!(rig.transcript.contains("#2 sent IDENTIFY\n"));
        assert_eq!(rig.outcome(), Lives);
    }

    // ---- Commands ----

    #[test]
    fn commands_are_taken_while_connected_and_within_the_rate() {
        let mut rig = Rig::new(1, 3000, &[]);
        let command = |n| {
            Input::Command(Command {
                id: CommandId(n),
                op: Opcode::PRESENCE_UPDATE,
                d: Json::null(),
            })
        };
        rig.tell(command(0));
        rig.run_to(Instant::ZERO + Duration::from_millis(10));
        for n in 1..=121 {
            rig.tell(command(n));
        }
        rig.run_to(rig.now + RATE_WINDOW);
        rig.tell(command(122));
        let refused: Vec<usize> = (0..rig.fates.len())
            .filter(|n| rig.fates[*n] == CommandFate::Refused)
            .collect();
        assert_eq!(refused, [0, 121]);
    }
}
