//! What a subject is made of: a machine that is told things and asks for things, and does neither itself.
//!
//! The engine in `net` feeds a [`Machine`] with [`Input`]s and the time, and carries out the [`Output`]s that it polls. A
//! machine opens no socket, reads no clock, draws no thread's randomness and awaits nothing; timers cross the boundary as
//! values too. Every input about a socket carries the [`ConnectionId`] under which the machine opened it, so that whatever
//! comes late from a connection that is over can be told apart at one door.

use crate::protocol::{CloseCode, Json, Opcode};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One socket's life, as the machine that opened it knows it. Traces number connections in the order in which they were
/// accepted instead; the engine maps one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// One of a machine's timers: what it is for, and which one of that kind. Arming a timer that is armed moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// What it is for.
    pub name: &'static str,
    /// Which one of its kind: a connection's number, a count.
    pub number: u32,
}

/// One request to the REST API, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u32);

/// A command that the application gave, as it knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u32);

/// Discord's resumable session. RESUME needs all three, so they are one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// The id that READY carried.
    pub id: String,
    /// The URL that READY carried.
    pub resume_url: String,
    /// The last sequence number received.
    pub seq: u64,
}

/// What a WebSocket message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// An HTTP response to an upgrade request that was not 101, or to a REST request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why a connection is no more, or never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nobody listens there.
    Refused,
    /// The upgrade was answered with something else than 101.
    Rejected(Response),
    /// The socket closed after a Close frame of the gateway's had been received.
    Closed,
    /// The gateway sent FIN without a Close frame, also in mid-message or in the upgrade.
    Eof,
    /// The gateway sent RST.
    Reset,
    /// The machine's own Close was not followed by the end within the time it gave, and the engine aborted the connection.
    Abandoned,
    /// Anything else: name resolution, TLS, a message that breaks the WebSocket protocol, a full write buffer.
    Failed(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Rejected(response) => {
                write!(f, "the upgrade was answered with HTTP {}", response.status)
            }
            Self::Closed => f.write_str("closed"),
            Self::Eof => f.write_str("the connection ended without a Close frame"),
            Self::Reset => f.write_str("connection reset"),
            Self::Abandoned => f.write_str("the close handshake was not finished in time"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// A command that the application wants sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// By which its fate is reported.
    pub id: CommandId,
    /// Its opcode.
    pub op: Opcode,
    /// Its payload.
    pub d: Json,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandFate {
    /// It was handed to a connection that was authenticated.
    Sent,
    /// It waited too long for one.
    Expired,
    /// It was not taken: the queue is full, it is too large, or the client is stopping.
    Refused,
}

/// What a machine is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// Begin, with the session of an earlier life if there is one.
    Start {
        /// The session to resume.
        session: Option<Session>,
    },
    /// Shut down, in good order; [`Output::Stopped`] has to follow.
    Stop,
    /// The application wants a command sent.
    Command(Command),
    /// A REST request was answered, or failed; the text says how.
    Fetched {
        /// Which request.
        fetch: FetchId,
        /// The answer.
        result: Result<Response, String>,
    },
    /// The upgrade was answered with 101: messages may be sent.
    Opened(ConnectionId),
    /// A message arrived.
    Received {
        /// Where.
        connection: ConnectionId,
        /// What.
        message: Message<'a>,
    },
    /// A Close frame of the gateway's arrived; its answer is on its way. The end follows, or not: the machine bounds the wait
    /// with [`Output::Close`] or ends it with [`Output::Abort`].
    Closing {
        /// Where.
        connection: ConnectionId,
        /// Its code; `None` for an empty Close.
        code: Option<CloseCode>,
        /// Its reason.
        reason: &'a str,
    },
    /// The connection is no more. Nothing follows for it; nothing of the kind follows [`Output::Abort`].
    Ended {
        /// Which.
        connection: ConnectionId,
        /// Why.
        end: End,
    },
    /// A timer's time has come; it is no longer armed.
    Fired(Timer),
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Something is wrong and stays wrong.
    Error,
    /// Something is wrong and is being mended.
    Warn,
    /// A step of the lifecycle.
    Info,
    /// Anything finer.
    Debug,
}

/// What a machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A GET request to the REST API.
    Fetch {
        /// By which it is answered.
        fetch: FetchId,
        /// Path below the API's base, such as `/gateway/bot`.
        path: &'static str,
    },
    /// A connection to a WebSocket URL.
    Open {
        /// By which it is known from here on.
        connection: ConnectionId,
        /// The whole URL, query included.
        url: String,
    },
    /// A text message.
    Send {
        /// Where.
        connection: ConnectionId,
        /// What.
        text: String,
    },
    /// A Close frame (unless one was received: then it is already being answered), and a drain: the engine goes on delivering
    /// that connection's messages and its end, and aborts it after `within`, which is told as [`End::Abandoned`].
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// The code; `None` for an empty Close.
        code: Option<CloseCode>,
        /// How long the end may take.
        within: Duration,
    },
    /// The connection is dropped at once, whatever its state; nothing more is told of it.
    Abort {
        /// Which connection.
        connection: ConnectionId,
    },
    /// A timer is to fire at a time; a timer that is armed is moved.
    Arm {
        /// Which.
        timer: Timer,
        /// When.
        at: Instant,
    },
    /// A timer is not to fire.
    Disarm {
        /// Which.
        timer: Timer,
    },
    /// A dispatch is handed to the application.
    Deliver {
        /// On which connection it came.
        connection: ConnectionId,
        /// Its sequence number.
        seq: u64,
    },
    /// What became of a command.
    Commanded {
        /// Which.
        command: CommandId,
        /// What.
        fate: CommandFate,
    },
    /// A line for whoever watches. It must never hold a token.
    Log {
        /// How loud.
        level: Level,
        /// The line.
        text: String,
    },
    /// The machine has come to an end that nobody asked for: what would be an uncaught exception in a program. Nothing follows.
    Died {
        /// Its last words.
        message: String,
    },
    /// The machine has come to its end in good order: after [`Input::Stop`], or because there is nothing left to try.
    Stopped {
        /// Why, where nobody asked for it: a fatal close code, say.
        reason: Option<String>,
    },
}

/// Where the fake's listeners are, as a subject is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The WebSocket URL at which sessions begin.
    pub main: String,
    /// The WebSocket URL that READY names.
    pub resume: String,
    /// The base URL of the REST API.
    pub api: String,
}

/// Where a machine stands; it can be asked at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state's name, for people.
    pub state: &'static str,
    /// Whether commands go out now.
    pub is_authenticated: bool,
    /// The session, if there is one to resume.
    pub session: Option<Session>,
    /// How long the last heartbeat was under way, once one was ACKed on this connection.
    pub round_trip: Option<Duration>,
    /// How many commands wait.
    pub queued: usize,
}

/// A subject's lifecycle without I/O.
pub trait Machine {
    /// Takes an input at a time. Time never runs backwards.
    fn handle(&mut self, now: Instant, input: Input<'_>);

    /// The next thing asked for, in order, until there is none.
    fn poll_output(&mut self) -> Option<Output>;

    /// Where it stands.
    fn status(&self) -> Status;
}
