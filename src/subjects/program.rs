//! A program as the subject: what is started, with what, and what its owner says about it.
//!
//! Values only: `net` starts it. What a program does not say of itself is what any program may be given: see
//! [`Allowances::of_a_program`](crate::expect::Allowances::of_a_program).

use crate::expect::{Accepted, AllowancesGiven};
use crate::time::{Duration, Span};
use std::path::PathBuf;

/// How long a program may take to end after SIGTERM before it is killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// A program that is put under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name in results.
    pub name: String,
    /// What is started: the program and its arguments. Never empty.
    pub command: Vec<String>,
    /// The directory in which it is started; gwtool's own if there is none.
    pub dir: Option<PathBuf>,
    /// What is added to its environment.
    pub env: Vec<(String, String)>,
    /// The time that it may allow itself, as far as its owner says so.
    pub allowances: AllowancesGiven,
    /// How long it may take to end after SIGTERM before it is killed.
    pub grace: Duration,
    /// How it is asked whether it is well.
    pub health: Option<HealthCheck>,
    /// Findings that are known, and fail no run.
    pub accepted: Vec<Acceptance>,
}

impl Program {
    /// A program of which its owner says nothing.
    ///
    /// # Panics
    /// If the command is empty.
    pub fn new(command: Vec<String>) -> Self {
        let program = command.first().expect("a command has a program");
        // `/usr/bin/node bot.mjs` is told from `/usr/bin/node other.mjs` by its first argument that is no flag.
        let script = command[1..].iter().find(|word| !word.starts_with('-'));
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let name = match script {
            Some(script) => format!("{} {}", base(program), base(script)),
            None => base(program),
        };
        Self {
            name,
            command,
            dir: None,
            env: Vec::new(),
            allowances: AllowancesGiven::default(),
            grace: GRACE,
            health: None,
            accepted: Vec::new(),
        }
    }
}

/// How a subject is asked whether it is well, again and again for as long as the run lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// The time between two questions.
    pub every: Span,
    /// How long an answer may take.
    pub within: Duration,
}

/// What is asked whether a subject is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A GET of this URL; any status of 2xx means well.
    Url(String),
    /// A command, run by `sh -c` in the program's directory and environment; exit code 0 means well.
    Command(String),
}

/// A finding that is known and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// In which scenarios: a name, a name with all its variants, or `*` for all.
    pub scenario: String,
    /// The finding's id, such as `died` or `resume/R1`.
    pub finding: String,
    /// Why, and where that is written.
    pub why: Accepted,
}

impl Acceptance {
    /// Whether it speaks of a scenario.
    pub fn covers(&self, scenario: &str) -> bool {
        self.scenario == "*"
            || scenario == self.scenario
            || scenario
                .strip_prefix(self.scenario.as_str())
                .is_some_and(|variant| variant.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(words: &str) -> String {
        Program::new(words.split(' ').map(str::to_owned).collect()).name
    }

    #[test]
    fn a_program_is_called_by_what_it_runs() {
        assert_eq!(name("./bot"), "bot");
        assert_eq!(name("/usr/bin/node bot.mjs"), "node bot.mjs");
        assert_eq!(name("python3 -u bots/mine.py --quick"), "python3 mine.py");
    }

    #[test]
    fn an_acceptance_covers_variants_and_nothing_that_only_begins_alike() {
        let of = |scenario: &str| Acceptance {
            scenario: scenario.to_owned(),
            finding: "died".to_owned(),
            why: Accepted {
                reason: "known".to_owned(),
                link: None,
            },
        };
        assert!(of("stop-matrix").covers("stop-matrix"));
        assert!(of("stop-matrix").covers("stop-matrix/closing/never"));
        assert!(!of("stop-matrix").covers("stop-matrix-2"));
        assert!(!of("stop-matrix/closing").covers("stop-matrix"));
        assert!(of("*").covers("flap"));
    }
}
