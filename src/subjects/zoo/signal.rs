//! How a defect shows itself: the signals by which the bugs were seen, in one word each.

use serde::Serialize;
use std::fmt;

/// What is seen of a faulty client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// It dies of an error that nobody catches.
    Crash,
    /// It is there and does nothing, or no more than beat.
    Hang,
    /// It tries no more.
    GiveUp,
    /// It connects again and again, at delays that do not grow, or without coming to rest.
    Loop,
    /// It has two connections at once, or loses a good one to the end of an old one.
    Double,
    /// It identifies or resumes twice.
    DuplicateLogin,
    /// It sends what it must not send, or not there.
    Frame,
    /// It closes with a code that ends the session which it means to resume.
    Code,
    /// It starts a session where it could have resumed one, and loses what came in between.
    Burn,
    /// It leaves a connection on which nothing was wrong.
    Early,
    /// It beats too often, or where nobody should.
    ExtraBeat,
    /// It beats too late, or sends more than it may.
    LateBeat,
    /// It identifies beyond its budget, or connects after a fatal code.
    Ban,
    /// It connects after a stop.
    Shutdown,
    /// It keeps what it should have let go.
    Leak,
    /// It shows the token.
    Token,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 16] = [
        Self::Crash,
        Self::Hang,
        Self::GiveUp,
        Self::Loop,
        Self::Double,
        Self::DuplicateLogin,
        Self::Frame,
        Self::Code,
        Self::Burn,
        Self::Early,
        Self::ExtraBeat,
        Self::LateBeat,
        Self::Ban,
        Self::Shutdown,
        Self::Leak,
        Self::Token,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::GiveUp => "give-up",
            Self::Loop => "loop",
            Self::Double => "double",
            Self::DuplicateLogin => "duplicate-login",
            Self::Frame => "frame",
            Self::Code => "code",
            Self::Burn => "burn",
            Self::Early => "early",
            Self::ExtraBeat => "extra-beat",
            Self::LateBeat => "late-beat",
            Self::Ban => "ban",
            Self::Shutdown => "shutdown",
            Self::Leak => "leak",
            Self::Token => "token",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
