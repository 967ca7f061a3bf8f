//! The report for programs: one JSON document, its schema named and numbered in its first key.
//!
//! A key is never renamed or given another meaning under the same `schema`; keys may be added. Times carry their unit in the
//! key. Unlike a trace it may hold wall time (`took_ms`).

use super::{Report, Run, Stale, Totals, verdict};
use crate::oracle::coverage::Coverage;
use crate::oracle::{Counts, Finding, RuleCount, Verdict};
use crate::scenarios::Ending;
use crate::time::Duration;
use crate::trace::{Clock, ScheduledFault};
use serde::Serialize;

/// The schema that this build writes.
pub const SCHEMA: &str = "gwtool-report/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    gwtool: &'static str,
    /// False if the user or `--fail-fast` ended it before every planned run was made to its end.
    is_complete: bool,
    is_strict: bool,
    took_ms: u64,
    totals: Count,
    coverage: Covered<'a>,
    /// What is accepted and did not come up any more.
    no_longer_seen: &'a [Stale],
    runs: Vec<Line<'a>>,
}

/// What all runs together exercised, and what none did.
#[derive(Serialize)]
struct Covered<'a> {
    #[serde(flatten)]
    coverage: &'a Coverage,
    rules_not_exercised: Vec<&'static str>,
    actions_that_never_struck: Vec<&'static str>,
}

#[derive(Serialize)]
struct Count {
    planned: usize,
    conforms: usize,
    violates: usize,
    inconclusive: usize,
    not_judged: usize,
    failed: usize,
    not_run: usize,
    /// Findings that are known and accepted, each counted once a run.
    accepted: usize,
    watched_ms: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    subject: &'a str,
    reproduce: &'a str,
    /// The run without a fault that is made before all others of its subject.
    is_control: bool,
    /// The last lines that a control run printed.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    printed: &'a [String],
    #[serde(flatten)]
    end: End<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum End<'a> {
    Judged(Box<Details<'a>>),
    Failed { error: &'a str },
}

#[derive(Serialize)]
struct Details<'a> {
    verdict: Verdict,
    /// False if it was not watched to its end, or not begun.
    is_complete: bool,
    seed: &'a str,
    clock: Clock,
    interval_ms: u64,
    watched_ms: u64,
    took_ms: u64,
    repeats: u32,
    reasons: &'a [String],
    findings: &'a [Finding],
    rules: &'a [RuleCount],
    not_judged: Vec<Unjudged<'a>>,
    counts: Counts,
    coverage: &'a Coverage,
    schedule: &'a [ScheduledFault],
}

#[derive(Serialize)]
struct Unjudged<'a> {
    what: &'a str,
    why: &'a str,
}

/// The report as JSON text, indented, with a line break at its end.
pub fn document(report: &Report) -> String {
    let totals = report.totals();
    let coverage = report.coverage();
    let document = Document {
        schema: SCHEMA,
        gwtool: env!("CARGO_PKG_VERSION"),
        is_complete: totals.not_run == 0 && !report.is_interrupted,
        is_strict: report.is_strict,
        took_ms: millis(report.took),
        totals: count(&totals, report.planned),
        coverage: Covered {
            rules_not_exercised: coverage.rules_left(),
            actions_that_never_struck: coverage.actions_left(),
            coverage: &coverage,
        },
        no_longer_seen: &report.stale,
        runs: report
            .runs
            .iter()
            .map(|run| line(run, report.is_strict))
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("a report is representable");
    text.push('\n');
    text
}

const fn count(totals: &Totals, planned: usize) -> Count {
    let Totals {
        conforms,
        violates,
        inconclusive,
        not_judged,
        failed,
        not_run,
        accepted,
        watched,
    } = *totals;
    Count {
        planned,
        conforms,
        violates,
        inconclusive,
        not_judged,
        failed,
        not_run,
        accepted,
        watched_ms: millis(watched),
    }
}

fn line(run: &Run, is_strict: bool) -> Line<'_> {
    let end = match &run.result {
        Err(error) => End::Failed { error },
        Ok(outcome) => {
            let judgement = &outcome.judgement;
            let not_judged = judgement.not_judged.iter();
            End::Judged(Box::new(Details {
                verdict: verdict(judgement, is_strict),
                is_complete: outcome.ending == Ending::Complete,
                seed: &outcome.header.seed,
                clock: outcome.header.clock,
                interval_ms: millis(outcome.header.interval),
                watched_ms: millis(judgement.watched),
                took_ms: millis(outcome.took),
                repeats: outcome.repeats,
                reasons: &judgement.reasons,
                findings: &judgement.findings,
                rules: &judgement.rules,
                not_judged: not_judged
                    .map(|(what, why)| Unjudged { what, why })
                    .collect(),
                counts: judgement.counts,
                coverage: &judgement.coverage,
                schedule: &outcome.header.schedule,
            }))
        }
    };
    Line {
        scenario: &run.scenario,
        subject: &run.subject,
        reproduce: &run.reproduce,
        is_control: run.control.is_some(),
        printed: run.control.as_ref().map_or(&[], |control| &control.printed),
        end,
    }
}

/// Whole milliseconds, saturating: no run lasts 584 million years.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what does not fit is cut to the most that does, one line before"
)]
const fn millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_document_names_its_schema_and_tells_every_run() {
        let document: Value = serde_json::from_str(&document(&sample::report())).unwrap();
        assert_eq!(document["schema"], "gwtool-report/1");
        assert_eq!(document["is_complete"], false);
        let totals = r#"{"planned":7,"conforms":1,"violates":1,"inconclusive":1,"not_judged":1,"failed":1,"not_run":2,"accepted":0,"watched_ms":1248000}"#;
        assert_eq!(
            document["totals"],
            serde_json::from_str::<Value>(totals).unwrap()
        );
        let verdicts: Vec<&Value> = document["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run.get("verdict").unwrap_or(&run["error"]))
            .collect();
        assert_eq!(
            verdicts,
            [
                "violates",
                "conforms",
                "inconclusive",
                "not-judged",
                "no port is free"
            ]
        );
    }

    #[test]
    fn what_was_exercised_is_told_of_each_run_and_of_all() {
        let document: Value = serde_json::from_str(&document(&sample::report())).unwrap();
        let run = serde_json::json!({
            "strikes": { "blackhole": { "steady": 2 } },
            "rules": { "heartbeat/H1": { "states": ["awaiting-login", "steady"], "under": ["blackhole"] } },
        });
        assert_eq!(document["runs"][0]["coverage"], run);
        let all = &document["coverage"];
        assert_eq!(
            all["strikes"]["blackhole"]["steady"], 8,
            "four runs were judged"
        );
        assert_eq!(all["rules"], run["rules"]);
        let left = all["rules_not_exercised"].as_array().unwrap();
        assert_eq!(left.len(), crate::oracle::rules::all().len() - 1);
        assert!(!left.contains(&Value::from("heartbeat/H1")));
        let left = all["actions_that_never_struck"].as_array().unwrap();
        assert!(left.contains(&Value::from("reset")) && !left.contains(&Value::from("blackhole")));
    }

    #[test]
    fn a_finding_keeps_its_evidence() {
        let document: Value = serde_json::from_str(&document(&sample::report())).unwrap();
        let found = &document["runs"][0]["findings"][0];
        assert_eq!(found["id"], "resume/R4");
        assert_eq!(found["at_ns"], 12_400_000_000_u64);
        assert_eq!(found["connection"], 3);
        assert_eq!(document["runs"][0]["interval_ms"], 41_250);
    }

    #[test]
    fn what_is_accepted_and_what_is_not_complete_is_said() {
        let document: Value = serde_json::from_str(&document(&sample::matrix())).unwrap();
        assert_eq!(document["is_complete"], false);
        assert_eq!(document["totals"]["accepted"], 3);
        assert_eq!(
            document["no_longer_seen"][0],
            serde_json::json!({ "subject": "good", "scenario": "idle", "finding": "loop" })
        );
        let runs = document["runs"].as_array().unwrap();
        let told = |key: &str| -> Vec<Option<bool>> {
            runs.iter().map(|run| run[key].as_bool()).collect()
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(told("is_control"), [yes, yes, no, no, no, no]);
        // The last one could not be made at all.
        assert_eq!(told("is_complete"), [yes, yes, yes, no, no, None]);
        let known = &runs[2];
        assert_eq!(known["verdict"], "conforms");
        assert_eq!(
            known["findings"][0]["accepted"],
            serde_json::json!({ "reason": "reported upstream", "link": "https://issues.test/349" })
        );
    }
}
