//! The judge: reads a trace entry by entry and says what was wrong with the subject.
//!
//! Pure, with bounded state, and blind to everything but the trace: it knows no client, no server and no fault's insides, so
//! that an in-process subject, a program, a recorded file and a production connection are judged by the same code.

use crate::time::{Duration, Instant};
use serde::Serialize;

/// How binding a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleLevel {
    /// Broken, it fails the run.
    Must,
    /// Broken, it is shown, and fails the run with `--strict`.
    Should,
}

/// What a finding does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The run violates.
    Fails,
    /// It is shown; with `--strict` the run violates.
    Shown,
    /// It is worth knowing, and never fails.
    Note,
}

/// What kind of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A broken rule; the id is the rule's, such as `heartbeat/H6`.
    Rule,
    /// An outcome; the id is its name, such as `died`.
    Outcome,
    /// An unmet expectation; the id is its key, such as `connections`.
    Expectation,
}

/// One thing that the judge has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// Its id.
    pub id: String,
    /// What it does to the verdict.
    pub effect: Effect,
    /// When it was seen.
    #[serde(rename = "at_ns")]
    pub at: Instant,
    /// On which connection.
    pub connection: Option<u32>,
    /// What was seen: a phrase that stands behind a time, such as "sent IDENTIFY on #3".
    pub seen: String,
    /// What was expected: a phrase that stands behind "expected".
    pub expected: String,
}

/// The verdict of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing failed, and everything was seen that had to be.
    Conforms,
    /// Nothing struck, and nothing had to: no part of the exit code.
    NotJudged,
    /// Something that had to be seen was not.
    Inconclusive,
    /// A finding fails the run.
    Violates,
}

/// How often a rule could have been broken, and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule's id.
    pub rule: &'static str,
    /// How often there was occasion to break it.
    pub exercised: u64,
    /// How often it was kept.
    pub kept: u64,
}

/// Everything that the judge has to say of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The verdict, `--strict` not considered.
    pub verdict: Verdict,
    /// Why it is inconclusive or not judged; empty otherwise.
    pub reasons: Vec<String>,
    /// What was found, in the order of time.
    pub findings: Vec<Finding>,
    /// Rules that were exercised.
    pub rules: Vec<RuleCount>,
    /// Rules and expectations that could not be evaluated, with the reason.
    pub not_judged: Vec<(String, String)>,
    /// How long the run was watched.
    #[serde(rename = "watched_ns", serialize_with = "as_nanos")]
    pub watched: Duration,
    /// What was counted: connections, identifies, resumes, …
    pub counts: Counts,
}

/// What was counted in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u32,
    /// IDENTIFYs read.
    pub identifies: u32,
    /// RESUMEs read.
    pub resumes: u32,
    /// Close frames of the subject's that began a close handshake.
    pub closes: u32,
    /// Dispatches sent.
    pub dispatches: u64,
    /// Dispatches that the subject delivered.
    pub delivered: u64,
    /// Dispatches that were lost.
    pub lost: u32,
    /// Dispatches that were delivered more than once.
    pub duplicated: u32,
}

fn as_nanos<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(duration.as_nanos())
}
