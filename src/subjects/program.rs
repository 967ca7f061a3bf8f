//! A program as the subject: what is started, with what, and what its owner says about it.
//!
//! Values only: `net` starts it. What a program does not say of itself is what any program may be given: see
//! [`Allowances::of_a_program`](crate::expect::Allowances::of_a_program).

use crate::expect::{Accepted, AllowancesGiven};
use crate::time::{Duration, Span};
use std::fmt;
use std::path::PathBuf;

/// How long a program may take to end after SIGTERM before it is killed: as long as `docker stop` waits.
pub const GRACE: Duration = Duration::from_secs(10);

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
        let is_name = |word: &&String| !word.starts_with('-');
        let script = command[1..].iter().find(is_name);
        // The script of `sh -c` is no name.
        let script = script.filter(|word| !word.contains(char::is_whitespace));
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
    /// The time between two questions, as its owner says; [`period`](Self::period) is what it comes to.
    pub every: Span,
    /// How long an answer may take.
    pub within: Duration,
}

/// How long an answer may take unless somebody says otherwise.
pub const HEALTH_WITHIN: Duration = Duration::from_secs(5);
/// A subject is not asked more often than this unless somebody says so in plain time.
const HEALTH_EVERY_MIN: Duration = Duration::from_secs(1);

impl HealthCheck {
    /// A check as often as is usual, once a heartbeat interval.
    pub const fn new(probe: Probe) -> Self {
        Self {
            probe,
            every: Span::intervals(1),
            within: HEALTH_WITHIN,
        }
    }

    /// The time between two questions at a heartbeat interval: what scales with it is a second at least.
    pub fn period(&self, interval: Duration) -> Duration {
        let every = self.every.at(interval);
        if self.every.is_scaled() {
            every.max(HEALTH_EVERY_MIN)
        } else {
            every
        }
    }
}

impl Probe {
    /// A URL if the text begins like one, a command otherwise.
    pub fn of(text: &str) -> Self {
        if text.starts_with("http://") || text.starts_with("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::Command(text.to_owned())
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(text) | Self::Command(text) => f.write_str(text),
        }
    }
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
        let shell = ["sh", "-c", "cd bots && ./bot"].map(str::to_owned);
        assert_eq!(Program::new(shell.to_vec()).name, "sh");
    }

    #[test]
    fn what_scales_with_the_interval_is_asked_once_a_second_at_most() {
        let mut check = HealthCheck::new(Probe::of("curl -f localhost"));
        let millis = Duration::from_millis;
        assert_eq!(check.period(millis(300)), millis(1000));
        assert_eq!(check.period(millis(2000)), millis(2000));
        check.every = Span::fixed(millis(200));
        assert_eq!(check.period(millis(2000)), millis(200));
    }

    #[test]
    fn a_probe_is_a_url_if_it_begins_like_one() {
        let url = "http://127.0.0.1:8080/health";
        assert_eq!(Probe::of(url), Probe::Url(url.to_owned()));
        let command = "curl http://127.0.0.1";
        assert_eq!(Probe::of(command), Probe::Command(command.to_owned()));
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
