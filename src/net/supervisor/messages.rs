//! What gwtool and its supervisor say to each other.

use crate::time::Duration;
use serde::{Deserialize, Serialize};

/// What gwtool asks of its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Starts a program, in a process group of its own, with nothing on stdin.
    Start {
        /// By which it is known from here on; never used twice.
        child: u32,
        /// A path, or a name that is looked for in `PATH`.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Where it runs; `None` for where gwtool runs.
        dir: Option<String>,
        /// Added to the environment that gwtool has itself; a name that is there already gets the new value.
        env: Vec<(String, String)>,
    },
    /// Sends a signal to a program and to everything that it started.
    Signal {
        /// Which program.
        child: u32,
        /// What.
        signal: Signal,
    },
    /// Ends a program and everything that it started: SIGTERM, and SIGKILL for what is there after the grace.
    EndChild {
        /// Which program.
        child: u32,
        /// How long they may take. An earlier order's end of the grace is kept where it comes first.
        grace: Duration,
    },
    /// Ends every program and everything that they started in the same way; then the supervisor exits.
    End {
        /// How long they may take.
        grace: Duration,
    },
}

/// What can be sent to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// What the supervisor has to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// A program runs.
    Started {
        /// Which.
        child: u32,
    },
    /// A program could not be started.
    NotStarted {
        /// Which.
        child: u32,
        /// Why, in words.
        error: String,
        /// Why, as far as something can be made of it.
        kind: Cause,
    },
    /// A program, or something that it started, wrote a line.
    Output {
        /// Which program.
        child: u32,
        /// Where.
        stream: Stream,
        /// The line without its end; what is not UTF-8 is replaced, and one that ends in ` …` was longer than 8 KiB.
        line: String,
    },
    /// Lines were written too fast to be told one by one.
    Skipped {
        /// By which program.
        child: u32,
        /// Where.
        stream: Stream,
        /// How many, within a second.
        lines: u64,
    },
    /// A program is over, and what it had written has been told. What it started may still be there, and may still write.
    Exited {
        /// Which program.
        child: u32,
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// A program left processes behind that had to be ended after it. All of them are gone when this is told.
    LeftOver {
        /// Which program.
        child: u32,
        /// How many processes.
        count: usize,
    },
}

/// Where a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Why a program could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// There is no such program, or no such directory to run it in.
    NotFound,
    /// It may not be executed, or its directory may not be entered.
    PermissionDenied,
    /// Anything else.
    Other,
}
