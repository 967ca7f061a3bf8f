//! Subjects: what a run can put under test, and the names by which `--subject` knows it.
//!
//! A subject is a machine in this process, our own client or the Carbon port, or a program in any language. The machines are
//! pure: they open no socket, read no clock and draw no thread's randomness, and they know neither each other nor the fake
//! gateway, so that no mistake of ours can hide behind one of theirs. Only this file, the register, knows them all.

pub mod carbon;
pub mod program;

use crate::client::{self, Discovery, Lifecycle, Shards};
use crate::expect::Allowances;
use crate::machine::{Endpoints, Machine};
use crate::protocol::{Compression, Token};
use crate::seed::Draw;
use crate::time::Duration;
use carbon::{Carbon, Orphan};
use program::Program;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// What a scenario needs of a subject; without it the scenario is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Its application can be told to send commands.
    Commands,
    /// It can be told to use compression.
    Compression,
    /// It reports what it delivered.
    Delivery,
    /// It is a program.
    Process,
    /// It can be told to bring up several shards.
    Shards,
}

/// What a scenario tells the subject of its own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How many reconnect attempts in a row before it gives up; `None` for its own default.
    pub attempts: Option<u32>,
    /// What it asks the gateway to compress.
    pub compress: Compression,
    /// How many shards it brings up, from 1 on.
    pub shards: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: None,
            compress: Compression::None,
            shards: 1,
        }
    }
}

/// What is put under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A machine in this process.
    Machine(Name),
    /// A program.
    Program(Arc<Program>),
}

impl Subject {
    /// Whether it can do what a scenario needs.
    pub const fn can(&self, need: Need) -> bool {
        match (self, need) {
            (Self::Machine(_), Need::Commands | Need::Delivery)
            // Whether a program reports what it delivered is seen when it does. It chooses compression and shards itself, and
            // whether it chose so is seen as well: a fault that needs it strikes or not.
            | (
                Self::Program(_),
                Need::Delivery | Need::Process | Need::Compression | Need::Shards,
            ) => true,
            (Self::Machine(name), Need::Compression | Need::Shards) => {
                matches!(name, Name::Gwtool)
            }
            // A program's application has commands of its own.
            (Self::Machine(_), Need::Process) | (Self::Program(_), Need::Commands) => false,
        }
    }

    /// The time that it may allow itself at a heartbeat interval.
    pub fn allowances(&self, settings: &Settings, interval: Duration) -> Allowances {
        match self {
            Self::Machine(name) => name.allowances(settings, interval),
            Self::Program(program) => program.allowances.at(interval),
        }
    }

    /// The program, if it is one.
    pub fn program(&self) -> Option<&Arc<Program>> {
        match self {
            Self::Machine(_) => None,
            Self::Program(program) => Some(program),
        }
    }
}

impl From<Name> for Subject {
    fn from(name: Name) -> Self {
        Self::Machine(name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(name) => name.fmt(f),
            Self::Program(program) => f.pad(&program.name),
        }
    }
}

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

impl Name {
    /// The time that it may allow itself at a heartbeat interval.
    pub fn allowances(self, settings: &Settings, interval: Duration) -> Allowances {
        match self {
            Self::Gwtool => {
                let config = client_config(Token::new(""), *settings);
                let one = config.allowances(interval);
                Allowances {
                    // The last of those that may all have one rate limit key.
                    identify: one.identify * settings.shards.max(1),
                    ..one
                }
            }
            Self::Carbon | Self::CarbonMended => carbon::allowances(interval),
        }
    }

    /// Its machine, set up for a gateway and a token, drawing from its own stream.
    pub fn machine(
        self,
        endpoints: &Endpoints,
        token: &Token,
        settings: &Settings,
        draw: Draw,
    ) -> Box<dyn Machine> {
        let orphan = match self {
            Self::Gwtool => {
                let config = client_config(token.clone(), *settings);
                return match settings.shards {
                    0 | 1 => Box::new(Lifecycle::new(config, draw)),
                    count => Box::new(Shards::new(&config, count, draw)),
                };
            }
            Self::Carbon => Orphan::Kept,
            Self::CarbonMended => Orphan::Mended,
        };
        let mut config = carbon::Config {
            orphan,
            ..carbon::Config::new(token.clone(), &endpoints.main)
        };
        config.attempts = settings.attempts.unwrap_or(config.attempts);
        Box::new(Carbon::new(config, draw))
    }
}

/// Our client as it runs against the fake: it asks `/gateway/bot`, so that REST faults and limits reach it.
fn client_config(token: Token, settings: Settings) -> client::Config {
    client::Config {
        attempts: settings.attempts,
        compress: settings.compress,
        ..client::Config::new(token, Discovery::Ask)
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
