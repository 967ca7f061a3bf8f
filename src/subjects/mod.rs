//! Subjects: what a run can put under test, and the names by which `--subject` knows it.
//!
//! A subject is a machine in this process (our own client, the Carbon port) or a program that the engine
//! starts. The machines here are pure: they open no socket, read no clock and draw no thread's randomness.
//! They know neither our client nor the fake gateway, so that no mistake of ours can hide behind one of
//! theirs.

pub mod carbon;

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A subject that runs in this process, as `--subject` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Our own client.
    Gwtool,
    /// The port of Carbon 0.14, all its faults kept.
    Carbon,
    /// The same with the one line mended that leaves an orphan of a heartbeat.
    CarbonMended,
}

impl Name {
    /// Every name, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Gwtool, Self::Carbon, Self::CarbonMended];

    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gwtool => "gwtool",
            Self::Carbon => "carbon-0.14",
            Self::CarbonMended => "carbon-0.14-mended",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text names no subject.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no subject named `{0}`: expected one of `gwtool`, `carbon-0.14`, `carbon-0.14-mended`")]
pub struct UnknownSubject(String);

impl FromStr for Name {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Self, UnknownSubject> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| UnknownSubject(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for name in Name::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn the_error_lists_every_name() {
        let error = "carbon".parse::<Name>().unwrap_err().to_string();
        assert!(error.starts_with("no subject named `carbon`: expected one of "));
        for name in Name::ALL {
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}
