//! News: what `gwtool connect` has to say while our own client runs against a gateway, fake or real.
//!
//! The engine tells it, a report prints it; it is plain data, so that neither knows the other. A trace is made for a judge and
//! holds every frame; news is made for a person and holds what changed. Texts from outside are as they came: whoever prints
//! them escapes them.

use crate::machine::{End, Level};
use crate::protocol::CloseCode;
use crate::time::{Duration, Instant};

/// One thing that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// When, since the command began.
    pub at: Instant,
    /// What.
    pub what: What,
}

impl News {
    /// Shows every text that may come from outside to `change`.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        match &mut self.what {
            What::Connecting { url: text, .. }
            | What::Log { text, .. }
            | What::Reconnect { cause: text, .. } => change(text),
            What::Ready {
                session,
                resume_url,
                ..
            } => {
                change(session);
                change(resume_url);
            }
            What::Events { counts, .. } => counts.iter_mut().for_each(|(name, _)| change(name)),
            What::Ended { end, close, .. } => {
                if let End::Failed(text) = end {
                    change(text);
                }
                if let Some((_, reason)) = close {
                    change(reason);
                }
            }
            What::State { .. }
            | What::Hello { .. }
            | What::Resumed { .. }
            | What::Heartbeat { .. } => {}
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The client is in another state.
    State {
        /// The state's name, as the machine gives it.
        state: &'static str,
    },
    /// A connection is being made.
    Connecting {
        /// Its number.
        connection: u32,
        /// Where to, query included.
        url: String,
    },
    /// HELLO arrived.
    Hello {
        /// Where.
        connection: u32,
        /// The interval that it carries.
        interval: Duration,
    },
    /// READY arrived: there is a new session.
    Ready {
        /// Where.
        connection: u32,
        /// The session's id.
        session: String,
        /// Where it is to be resumed.
        resume_url: String,
    },
    /// RESUMED arrived: the session lives on.
    Resumed {
        /// Where.
        connection: u32,
        /// How many dispatches were replayed.
        replayed: u64,
    },
    /// A heartbeat was ACKed.
    Heartbeat {
        /// Where.
        connection: u32,
        /// How long its ACK took.
        round_trip: Duration,
    },
    /// Events that arrived since this was last told, by name.
    Events {
        /// How many of each.
        counts: Vec<(String, u64)>,
        /// The last sequence number received.
        seq: Option<u64>,
    },
    /// A connection is over.
    Ended {
        /// Which.
        connection: u32,
        /// How.
        end: End,
        /// The gateway's Close frame, if one came before.
        close: Option<(Option<CloseCode>, String)>,
    },
    /// The client will connect again.
    Reconnect {
        /// Why, in the client's words.
        cause: String,
        /// How long it waits before it does.
        after: Duration,
        /// Whether it means to resume its session.
        resumes: bool,
    },
    /// A line that the client logged.
    Log {
        /// How loud.
        level: Level,
        /// The line.
        text: String,
    },
}

/// How the command came to its end; decides its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// By the user or by `--for`, after READY.
    Asked,
    /// By the user or by `--for`, before any READY.
    NeverReady,
    /// By a close code after which nobody may come back.
    Fatal {
        /// The code.
        code: CloseCode,
        /// The gateway's reason.
        reason: String,
    },
    /// The first connection could not be made.
    Unreachable {
        /// Why.
        why: String,
        /// What the far end said to it, line by line: headers, a body.
        said: Vec<String>,
    },
    /// By the client itself.
    GaveUp {
        /// Its last words.
        reason: String,
    },
}

/// How fast heartbeats were ACKed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many were ACKed.
    pub count: u64,
    /// The fastest.
    pub min: Duration,
    /// The middle one.
    pub median: Duration,
    /// The slowest.
    pub max: Duration,
}

/// What is left to say at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended.
    pub finish: Finish,
    /// How long it was watched.
    pub watched: Duration,
    /// Connections that were opened.
    pub connections: u32,
    /// Sessions that were begun.
    pub identifies: u32,
    /// Sessions that were resumed.
    pub resumes: u32,
    /// Heartbeats; `None` if none was ACKed.
    pub round_trips: Option<RoundTrips>,
    /// Events by name, the most frequent first.
    pub events: Vec<(String, u64)>,
}

impl Summary {
    /// Shows every text that may come from outside to `change`.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        match &mut self.finish {
            Finish::Asked | Finish::NeverReady => {}
            Finish::Fatal { reason, .. } | Finish::GaveUp { reason } => change(reason),
            Finish::Unreachable { why, said } => {
                change(why);
                said.iter_mut().for_each(&mut change);
            }
        }
        self.events.iter_mut().for_each(|(name, _)| change(name));
    }
}
