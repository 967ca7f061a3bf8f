//! Reports: what became of runs, as text for people and for programs.
//!
//! One function a format, from a [`Report`] to text; nothing here opens a file or knows a terminal. Text for people carries
//! ANSI colours, which the writer strips where they are not wanted, and is complete without them. Whatever comes from outside
//! goes through [`escape`] first.

pub mod connect;
pub mod escape;
pub mod json;
pub mod junit;
pub mod style;
pub mod terminal;
pub mod timeline;

use crate::oracle::{Effect, Judgement, Verdict};
use crate::scenarios::Outcome;
use crate::time::Duration;

/// Everything that a command ran.
#[derive(Debug)]
pub struct Report {
    /// What was run, in the order of the catalogue, whatever order it was run in.
    pub runs: Vec<Run>,
    /// How many runs were planned: more than were made if the user or `--fail-fast` ended it.
    pub planned: usize,
    /// Whether the user ended it; a run that was under way then is among the runs, as inconclusive.
    pub is_interrupted: bool,
    /// Whether what is merely shown fails as well.
    pub is_strict: bool,
    /// How long all of it took on the wall clock.
    pub took: Duration,
}

/// One run and what came of it.
#[derive(Debug)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// The subject's name.
    pub subject: String,
    /// The command that makes this run again.
    pub reproduce: String,
    /// What it left behind, or why it could not be made.
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
    /// How long the subjects were watched, all in all, on their own clocks.
    pub watched: Duration,
}

impl Report {
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
    let fails = |effect| effect == Effect::Fails || (is_strict && effect == Effect::Shown);
    if judgement.findings.iter().any(|found| fails(found.effect)) {
        Verdict::Violates
    } else {
        judgement.verdict
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
