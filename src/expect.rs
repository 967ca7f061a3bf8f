//! The vocabulary of expectations: what a scenario demands of a run beyond the rules, and how long a recovery may take.

use crate::fault::Count;
use crate::time::{Duration, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which numbers are as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// One number, or a range with both ends included.
    Range(Count),
    /// Any of these.
    AnyOf(Vec<u32>),
}

impl Expected {
    /// Whether a number is as expected.
    pub fn admits(&self, n: u32) -> bool {
        match self {
            Self::Range(range) => range.contains(n),
            Self::AnyOf(numbers) => numbers.contains(&n),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::AnyOf(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                f.write_str(&numbers.join(" or "))
            }
        }
    }
}

/// What a scenario expects, counted until the end of the watch; `None` where it does not care.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectations {
    /// Connections accepted.
    pub connections: Option<Expected>,
    /// IDENTIFYs read.
    pub identifies: Option<Expected>,
    /// RESUMEs read.
    pub resumes: Option<Expected>,
    /// Close frames of the subject's, answers to the gateway's own not counted.
    pub closes: Option<Expected>,
    /// The code of each of them; an empty Close counts as 1005.
    pub close_codes: Option<Expected>,
    /// The sequence number that each RESUME carries.
    pub resume_seq: Option<Expected>,
    /// Dispatches that were never delivered although their session lived on.
    pub lost: Option<Expected>,
    /// Dispatches that were delivered more than once.
    pub duplicated: Option<Expected>,
}

/// How a run is to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// The subject is authenticated again and lives on.
    #[default]
    Recovered,
    /// The subject stays away.
    Stopped,
}

/// The time that a sound subject may allow itself, whatever the heartbeat interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowances {
    /// To notice that a connection is silent.
    pub detect: Duration,
    /// For a connect and its upgrade.
    pub connect: Duration,
    /// To wait for HELLO.
    pub hello: Duration,
    /// To wait for READY or RESUMED.
    pub ready: Duration,
    /// To wait for the end of a close handshake.
    pub close: Duration,
    /// Between two attempts.
    pub backoff: Duration,
    /// Between two IDENTIFYs.
    pub identify: Duration,
    /// After op 9.
    pub op9: Duration,
}

impl Allowances {
    /// What a program is allowed that says nothing of itself, at a heartbeat interval. The numbers are those of the most
    /// patient among the sound clients that were measured.
    pub fn of_a_program(interval: Duration) -> Self {
        let secs = Duration::from_secs;
        Self {
            detect: (3 * interval).max(secs(66)),
            connect: secs(30),
            hello: secs(66),
            ready: secs(66),
            close: secs(30),
            backoff: secs(30),
            identify: secs(5),
            op9: secs(5),
        }
    }

    /// What one attempt may take, from the decision to make it to READY or RESUMED.
    pub fn attempt(&self) -> Duration {
        self.backoff + self.connect + self.hello + self.ready
    }

    /// How long a recovery may take beyond `recover_within` after such damage.
    pub fn recovery(&self, damage: &Damage) -> Duration {
        let mut sum = self.attempt();
        if damage.was_silent {
            sum += self.detect;
        }
        if damage.was_silent || damage.close_is_slow {
            sum += self.close;
        }
        if damage.session_ended {
            sum += self.op9 + self.identify;
        }
        sum
    }
}

/// Why a finding is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// In words.
    pub reason: String,
    /// Where more is written: an issue, a line of the subject's source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Allowances as far as a subject's owner has given them; the others are those of any program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AllowancesGiven {
    /// To notice that a connection is silent.
    pub detect: Option<Span>,
    /// For a connect and its upgrade.
    pub connect: Option<Span>,
    /// To wait for HELLO.
    pub hello: Option<Span>,
    /// To wait for READY or RESUMED.
    pub ready: Option<Span>,
    /// To wait for the end of a close handshake.
    pub close: Option<Span>,
    /// Between two attempts.
    pub backoff: Option<Span>,
    /// Between two IDENTIFYs.
    pub identify: Option<Span>,
    /// After op 9.
    pub op9: Option<Span>,
}

impl AllowancesGiven {
    /// All allowances at a heartbeat interval.
    pub fn at(&self, interval: Duration) -> Allowances {
        let usual = Allowances::of_a_program(interval);
        let or = |given: Option<Span>, usual| given.map_or(usual, |span| span.at(interval));
        Allowances {
            detect: or(self.detect, usual.detect),
            connect: or(self.connect, usual.connect),
            hello: or(self.hello, usual.hello),
            ready: or(self.ready, usual.ready),
            close: or(self.close, usual.close),
            backoff: or(self.backoff, usual.backoff),
            identify: or(self.identify, usual.identify),
            op9: or(self.op9, usual.op9),
        }
    }
}

/// What struck, as far as it decides how long the recovery may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The subject had to notice by itself.
    pub was_silent: bool,
    /// The gateway does not answer a Close at once.
    pub close_is_slow: bool,
    /// The subject has to start a new session.
    pub session_ended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_is_allowed_what_struck_makes_necessary() {
        let s = Duration::from_secs;
        let one = Allowances {
            detect: s(1),
            connect: s(10),
            hello: s(100),
            ready: s(1000),
            close: s(2),
            backoff: s(3),
            identify: s(4),
            op9: s(5),
        };
        assert_eq!(one.recovery(&Damage::default()), s(1113));
        assert_eq!(
            one.recovery(&Damage {
                was_silent: true,
                ..Damage::default()
            }),
            s(1116)
        );
        assert_eq!(
            one.recovery(&Damage {
                close_is_slow: true,
                ..Damage::default()
            }),
            s(1115)
        );
        assert_eq!(
            one.recovery(&Damage {
                session_ended: true,
                ..Damage::default()
            }),
            s(1122)
        );
    }
}
