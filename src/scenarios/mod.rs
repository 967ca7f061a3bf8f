//! Scenarios: what the catalogue and a user's own files say, and runs of them.

pub mod acceptance;
pub mod catalogue;
mod document;
pub mod load;
pub mod outcome;
pub mod roster;
#[allow(
    clippy::disallowed_methods,
    reason = "it measures how long a run took on the wall clock"
)]
pub mod runner;
pub mod schema;
mod turns;

pub use outcome::{Ending, Outcome};

use crate::expect::{Ends, Expectations};
use crate::fault::{FaultSpec, OnClose};
use crate::server::Enforce;
use crate::server::style::Style;
pub use crate::subjects::{Need, Settings};
use crate::time::{Duration, Span, SpanRange};

/// A named schedule with its expectations, checked: whoever holds one need not look at its text again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, with the variant behind a slash: `fatal-sweep/4004`.
    pub name: String,
    /// One line on what happens.
    pub summary: String,
    /// Where it comes from: issues, bug numbers.
    pub origin: Vec<String>,
    /// Words to choose it by.
    pub tags: Vec<String>,
    /// Other names (`S02`).
    pub alias: Vec<String>,
    /// Its own heartbeat interval.
    pub interval: Option<Duration>,
    /// The shortest interval at which it says anything, in real time.
    pub min_interval: Option<Duration>,
    /// What a subject must be able to do.
    pub needs: Vec<Need>,
    /// The least that the chaos phase lasts; by default the last `at` and its `for`.
    pub chaos: Option<Span>,
    /// How long a recovery may take beyond the subject's allowances.
    pub recover_within: Span,
    /// How long a login may take; by default the subject's allowances.
    pub login_within: Option<Span>,
    /// How the run is to end.
    pub ends: Ends,
    /// How often every session gets a numbered message.
    pub traffic: Option<Span>,
    /// Latency each way; by default drawn in virtual time and none in real time.
    pub latency: Option<SpanRange>,
    /// How long after the upgrade HELLO is sent.
    pub hello_after: Span,
    /// How the gateway meets the subject's Close.
    pub on_close: OnClose<SpanRange>,
    /// What the gateway enforces.
    pub enforce: Enforce,
    /// How the gateway writes JSON.
    pub json: Style,
    /// What the subject is told of its own settings: attempts, compression, shards.
    pub settings: Settings,
    /// The schedule.
    pub faults: Vec<FaultSpec>,
    /// What is expected beyond the rules.
    pub expect: Expectations,
}

impl Scenario {
    /// Its name without variant and matrix values.
    pub fn base(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    /// Whether a name means it: its own, one that it goes on from behind a slash (its base's, say), or an alias.
    pub fn is_called(&self, name: &str) -> bool {
        let goes_on = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.name.strip_prefix(name).is_some_and(goes_on)
            || self.alias.iter().any(|alias| alias == name)
    }
}

/// When HELLO is sent unless a scenario says otherwise: one real client drops bytes that share the segment of the 101.
pub const HELLO_AFTER: Duration = Duration::from_millis(30);
