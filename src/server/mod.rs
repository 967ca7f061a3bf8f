//! The fake gateway: a server that behaves as Discord's does, sessions, replay and enforcement included.
//!
//! Pure: connections, frames and times come in as [`Input`]s, frames and timers come out as [`Output`]s. It knows nothing of
//! faults that lie in the network or on a frame's way; what a schedule asks of the gateway itself (op 7, op 9, a refusal)
//! comes in as an [`Order`].

pub mod gateway;
pub mod payload;
pub mod query;
pub mod rest;
pub mod session;
pub mod style;

use crate::fault::{CutAfter, Port, Refusal};
use crate::machine::Timer;
use crate::protocol::{CloseCode, Envelope, EventName, Json, ServerFrame, Token};
use crate::time::{Duration, Instant};

/// What the gateway is told.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// An upgrade was answered with 101.
    Opened {
        /// The connection's number.
        connection: u32,
        /// On which listener.
        port: Port,
        /// The request's path with its query.
        path: &'a str,
    },
    /// A gateway payload was read.
    Frame {
        /// Where.
        connection: u32,
        /// The payload.
        frame: &'a Envelope<'a>,
        /// The length of its text.
        bytes: usize,
    },
    /// A message was read that is no gateway payload.
    Garbage {
        /// Where.
        connection: u32,
    },
    /// An IDENTIFY or a RESUME was read, and a fault refuses it in the gateway's stead.
    Refused {
        /// Where.
        connection: u32,
        /// The payload.
        frame: &'a Envelope<'a>,
        /// How.
        by: &'a Refusal,
    },
    /// The subject's Close frame was read.
    Closed {
        /// Where.
        connection: u32,
        /// Its code.
        code: Option<CloseCode>,
    },
    /// The connection is over: FIN or RST was read, or the connection was reset from this side.
    Ended {
        /// Which.
        connection: u32,
    },
    /// A timer's time has come.
    Fired(Timer),
    /// A schedule asks for many dispatches at once.
    Flood {
        /// Where; `None` for every session there is, or else for the next one to begin.
        connection: Option<u32>,
        /// How many.
        count: u32,
        /// About how many bytes each payload has.
        size: u32,
    },
    /// A schedule asks something of the gateway itself.
    Order {
        /// On which connection.
        connection: u32,
        /// What.
        order: &'a Order,
    },
}

/// What a schedule may ask of the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Ask for a heartbeat (op 1).
    RequestHeartbeat,
    /// Ask the subject to leave and resume (op 7).
    Reconnect {
        /// When to close by oneself.
        cut_after: CutAfter<Duration>,
    },
    /// Say that the session is not valid (op 9).
    InvalidSession {
        /// Whether it may be resumed; if not, it is forgotten.
        resumable: bool,
        /// When to close by oneself.
        cut_after: CutAfter<Duration>,
    },
    /// Send a Close frame. 4007, 4009 and the fatal codes end the session.
    Close {
        /// Its code.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// Send a dispatch with the session's next sequence number.
    Dispatch {
        /// Its name.
        t: EventName,
        /// Its payload.
        d: Json,
    },
    /// Leave out sequence numbers of the session.
    SkipSeq {
        /// How many.
        count: u32,
    },
    /// This connection's heartbeat interval is another one; given before its HELLO is sent.
    Interval(Duration),
}

/// What the gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A frame is to be sent.
    Send {
        /// Where.
        connection: u32,
        /// What.
        frame: ServerFrame,
    },
    /// A Close frame is to be sent, and FIN after the subject's answer.
    Close {
        /// Where.
        connection: u32,
        /// Its code; none for an empty Close.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// The connection is to be reset.
    Reset {
        /// Which.
        connection: u32,
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
}

/// How the fake is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// I: what HELLO says.
    pub interval: Duration,
    /// The one token that is accepted, bare or with the prefix `Bot `; `None` accepts any, for `gwtool serve`.
    pub token: Option<Token>,
    /// How long after the 101 HELLO is sent.
    pub hello_after: Duration,
    /// What READY names as `resume_gateway_url`.
    pub resume_url: String,
    /// What `/gateway` and `/gateway/bot` name.
    pub main_url: String,
    /// How many shards `/gateway/bot` recommends.
    pub shards: u32,
    /// How often every session gets a numbered message; `None` for a silent gateway.
    pub traffic: Option<Duration>,
    /// What the gateway holds its clients to.
    pub enforce: Enforce,
}

impl Config {
    /// How long a session without a connection can still be resumed. The gateway leaves a silent connection 1.5 I after its last
    /// heartbeat, its client up to half an I later: where I is long, that is no reason to lose the session.
    pub fn resume_window(&self) -> Duration {
        self.enforce.resume_window.max(self.interval * 2)
    }
}

/// What the gateway holds its clients to, as Discord does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Enforce {
    /// Whether a client that misses its heartbeats is closed, after 1.5 I.
    pub heartbeat: bool,
    /// IDENTIFYs in the current window, also what `/gateway/bot` says.
    pub identifies: u32,
    /// How long that window is.
    pub reset_after: Duration,
    /// IDENTIFYs in 5 s.
    pub max_concurrency: u32,
    /// The largest payload that a client may send, in bytes.
    pub payload_max: usize,
    /// How long a session without a connection can still be resumed; never less than 2 I.
    pub resume_window: Duration,
}

impl Default for Enforce {
    /// Discord's own numbers (PROTOCOL §1.1, §1.3, §4, §6).
    fn default() -> Self {
        Self {
            heartbeat: true,
            identifies: 1000,
            reset_after: Duration::from_hours(24),
            max_concurrency: 1,
            payload_max: 4096,
            // "A few minutes", says Discord (PROTOCOL §6).
            resume_window: Duration::from_mins(5),
        }
    }
}

/// Payloads that a client may send in 60 s at a heartbeat interval. Discord's limit is 120, of which at its own interval two
/// are heartbeats; at a shorter one heartbeats alone would spend it, so that the budget grows with them.
pub fn send_budget(interval: Duration) -> u32 {
    let beats = 60_000_u128.div_ceil(interval.as_millis().max(1));
    120 + u32::try_from(beats)
        .unwrap_or(u32::MAX - 120)
        .saturating_sub(2)
}
