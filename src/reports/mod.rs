//! Reports: what became of runs, as text for people and for programs.
//!
//! One function a format, from a [`Report`] to text; nothing here opens a file or knows a terminal. Text for people carries
//! ANSI colours, which the writer strips where they are not wanted, and is complete without them. Whatever comes from outside
//! goes through [`escape`] first.

pub mod connect;
pub mod escape;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod selftest;
pub mod style;
pub mod terminal;
pub mod timeline;

use crate::oracle::coverage::Coverage;
use crate::oracle::{Effect, Finding, FindingKind, Judgement, Verdict};
use crate::scenarios::{Ending, Outcome};
use crate::time::Duration;
use serde::Serialize;

/// Everything that a command ran.
#[derive(Debug)]
pub struct Report {
    /// What was run, in the order of the catalogue, whatever order it was run in.
    pub runs: Vec<Run>,
    /// How many runs were planned: more than were made if the user or `--fail-fast` ended it.
    pub planned: usize,
    /// Whether the user ended it; a run that was under way then is among the runs, as inconclusive.
    pub is_interrupted: bool,
    /// Whether more is to come: a report that is written while runs are made.
    pub is_under_way: bool,
    /// Whether what is merely shown fails as well.
    pub is_strict: bool,
    /// What is accepted and did not come up any more.
    pub stale: Vec<Stale>,
    /// How long all of it took on the wall clock.
    pub took: Duration,
}

/// A finding that is accepted and that no run had which might have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Of which subject.
    pub subject: String,
    /// In which scenarios: as the acceptance has it.
    pub scenario: String,
    /// Its id.
    pub finding: String,
}

/// What a control run has to tell besides: whether the subject is well without any fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// When it was READY, if it was.
    pub ready_after: Option<Duration>,
    /// The last lines that it printed.
    pub printed: Vec<String>,
}

/// One run and what came of it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// The subject's name.
    pub subject: String,
    /// The command that makes this run again.
    pub reproduce: String,
    /// There if it is the run that is made before all others of its subject, to see that it is well.
    pub control: Option<Control>,
    /// What it left behind, or why it could not be made; that text may end in a line `hint: …`.
    pub result: Result<Outcome, String>,
}

/// How many runs came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Runs that conform.
    pub conforms: usize,
    /// Runs that violate.
    pub violates: usize,
    /// Runs in which something was not seen that had to be.
    pub inconclusive: usize,
    /// Runs in which there was nothing to judge.
    pub not_judged: usize,
    /// Runs that could not be made.
    pub failed: usize,
    /// Runs that were planned and not made.
    pub not_run: usize,
    /// Findings that are known and accepted, each counted once a run.
    pub accepted: usize,
    /// How long the subjects were watched, all in all, on their own clocks.
    pub watched: Duration,
}

impl Report {
    /// What all runs together exercised.
    pub fn coverage(&self) -> Coverage {
        let mut all = Coverage::default();
        for outcome in self.runs.iter().filter_map(|run| run.result.as_ref().ok()) {
            all.add(&outcome.judgement.coverage);
        }
        all
    }

    /// Counts the runs by how they ended.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            not_run: self.planned.saturating_sub(self.runs.len()),
            ..Totals::default()
        };
        for run in &self.runs {
            let Ok(outcome) = &run.result else {
                totals.failed += 1;
                continue;
            };
            totals.accepted += accepted_ids(&outcome.judgement).len();
            totals.watched += outcome.judgement.watched;
            *match verdict(&outcome.judgement, self.is_strict) {
                Verdict::Conforms => &mut totals.conforms,
                Verdict::Violates => &mut totals.violates,
                Verdict::Inconclusive => &mut totals.inconclusive,
                Verdict::NotJudged => &mut totals.not_judged,
            } += 1;
        }
        totals
    }
}

/// The verdict of a run, `--strict` considered: then what is merely shown fails as well.
pub fn verdict(judgement: &Judgement, is_strict: bool) -> Verdict {
    if judgement
        .findings
        .iter()
        .any(|found| fails(found, is_strict))
    {
        Verdict::Violates
    } else {
        judgement.verdict
    }
}

/// Whether a finding fails its run: what is accepted never does.
pub fn fails(found: &Finding, is_strict: bool) -> bool {
    let is_grave = found.effect == Effect::Fails || (is_strict && found.effect == Effect::Shown);
    is_grave && found.accepted.is_none()
}

/// The ids of the findings that fail, each once, the gravest first.
pub fn failing_ids(judgement: &Judgement, is_strict: bool) -> Vec<&str> {
    ids(judgement, |found| fails(found, is_strict))
}

/// The ids of the findings that are accepted, each once.
pub fn accepted_ids(judgement: &Judgement) -> Vec<&str> {
    ids(judgement, |found| found.accepted.is_some())
}

fn ids(judgement: &Judgement, which: impl Fn(&Finding) -> bool) -> Vec<&str> {
    let mut found: Vec<&Finding> = judgement.findings.iter().filter(|f| which(f)).collect();
    // That it died says more than the rule it broke on the way.
    found.sort_by_key(|found| (found.effect, found.kind != FindingKind::Outcome));
    let mut ids: Vec<&str> = Vec::new();
    for one in found {
        if !ids.contains(&one.id.as_str()) {
            ids.push(&one.id);
        }
    }
    ids
}

/// Why a run was not watched to its end and for how long it was, if it was not.
pub fn not_complete(outcome: &Outcome) -> Option<String> {
    let why = match outcome.ending {
        Ending::Interrupted => "interrupted",
        Ending::TimedOut => "timed out",
        Ending::Complete | Ending::NotMade => return None,
    };
    Some(format!("{why} after {}", ago(outcome.judgement.watched)))
}

/// The text of an error and its hint, which is a line of its own at its end.
pub fn error_and_hint(text: &str) -> (&str, Option<&str>) {
    match text.split_once("\nhint: ") {
        Some((error, hint)) => (error, Some(hint)),
        None => (text, None),
    }
}

/// A verdict in one or two words.
pub const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conforms => "conforms",
        Verdict::NotJudged => "not judged",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Violates => "violates",
    }
}

/// How many rules were exercised, and how many of these were never broken.
pub fn rules(judgement: &Judgement) -> (usize, usize) {
    let exercised = judgement.rules.iter().filter(|rule| rule.exercised > 0);
    let kept = exercised.clone().filter(|rule| rule.kept >= rule.exercised);
    (exercised.count(), kept.count())
}

/// A length of time as people say it: `0.4s`, `41.2s`, `5m 12s`, `3h 2m`. Rounds down, so that nobody is promised more.
pub fn ago(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A number with its noun: `1 run`, `2 runs`.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_turns_what_is_shown_into_a_violation() {
        let mut judgement = sample::judgement();
        judgement.verdict = Verdict::Conforms;
        judgement.findings.truncate(1);
        judgement.findings[0].effect = Effect::Shown;
        assert_eq!(verdict(&judgement, false), Verdict::Conforms);
        assert_eq!(verdict(&judgement, true), Verdict::Violates);
        judgement.findings[0].effect = Effect::Note;
        assert_eq!(verdict(&judgement, true), Verdict::Conforms);
    }

    #[test]
    fn what_is_accepted_never_fails() {
        let mut judgement = sample::judgement();
        assert_eq!(failing_ids(&judgement, false), ["died", "resume/R4"]);
        for found in &mut judgement.findings {
            found.accepted = Some(sample::accepted());
        }
        judgement.verdict = Verdict::Conforms;
        for is_strict in [false, true] {
            assert_eq!(verdict(&judgement, is_strict), Verdict::Conforms);
        }
        assert!(failing_ids(&judgement, true).is_empty());
        assert_eq!(accepted_ids(&judgement), ["died", "resume/R4"]);
    }

    #[test]
    fn a_rule_counts_as_kept_only_if_it_was_exercised_and_never_broken() {
        assert_eq!(rules(&sample::judgement()), (2, 1));
    }

    #[test]
    fn totals_count_every_planned_run_once() {
        let report = sample::report();
        let totals = report.totals();
        assert_eq!(
            (totals.conforms, totals.violates, totals.inconclusive),
            (1, 1, 1)
        );
        assert_eq!(
            (totals.not_judged, totals.failed, totals.not_run),
            (1, 1, 2)
        );
        assert_eq!(report.planned, report.runs.len() + totals.not_run);
    }

    #[test]
    fn lengths_of_time_are_never_rounded_up() {
        let shown = |millis| ago(Duration::from_millis(millis));
        assert_eq!(
            [0, 999, 59_999, 60_000, 3_599_999, 86_400_000].map(shown),
            ["0.0s", "0.9s", "59.9s", "1m 0s", "59m 59s", "24h 0m"]
        );
    }
}
