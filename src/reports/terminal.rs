//! Verdicts, findings and tables for a terminal.
//!
//! One run is told in full; of many, one line each and in full only what failed. Every run says how long it watched and how
//! many rules were exercised and kept; whatever failed ends with the line that makes it happen again.

use super::escape::escape;
use super::style::{self, BAD, FAINT, FAULT, HEADING};
use super::{Report, Run, ago, plural, rules, verdict, word};
use crate::oracle::{Effect, Finding, FindingKind, Judgement, Verdict};
use crate::scenarios::Outcome;
use std::fmt::Write as _;

/// How much of a table is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Every run has a line.
    All,
    /// Only runs that did not conform have one.
    Failing,
}

macro_rules! line {
    ($to:expr, $($text:tt)*) => {{
        // Writing into a String cannot fail.
        let _ = writeln!($to, $($text)*);
    }};
}

/// What became of one run: verdict, findings, figures, and how to see it again.
pub fn single(run: &Run, is_strict: bool) -> String {
    let mut to = String::new();
    details(run, is_strict, &mut to);
    to
}

/// What became of many: a table, the details of what failed, and a line of totals.
pub fn table(report: &Report, rows: Rows) -> String {
    let mut to = String::new();
    let width = |of: fn(&Run) -> &str, heading: &str| {
        let longest = report
            .runs
            .iter()
            .map(|run| escape(of(run)).chars().count());
        longest.max().unwrap_or(0).max(heading.len())
    };
    let scenario = width(|run| &run.scenario, "scenario");
    let subject = width(|run| &run.subject, "subject");
    let shown: Vec<&Run> = match rows {
        Rows::All => report.runs.iter().collect(),
        Rows::Failing => failing(report).collect(),
    };
    if !shown.is_empty() {
        line!(
            to,
            "{HEADING}{:scenario$}  {:subject$}  {:12}  {:>7}  {:>7}  findings{HEADING:#}",
            "scenario",
            "subject",
            "verdict",
            "watched",
            "rules"
        );
    }
    for run in shown {
        let (name, who) = (escape(&run.scenario), escape(&run.subject));
        let row = row(run, report.is_strict);
        let style = row.style;
        let text = format!(
            "{name:scenario$}  {who:subject$}  {style}{:12}{style:#}  {:>7}  {:>7}  {}",
            row.verdict, row.watched, row.rules, row.findings
        );
        line!(to, "{}", text.trim_end());
    }
    for run in failing(report) {
        to.push('\n');
        line!(
            to,
            "{HEADING}{}  subject {}{HEADING:#}",
            escape(&run.scenario),
            escape(&run.subject)
        );
        details(run, report.is_strict, &mut to);
    }
    if !to.is_empty() {
        to.push('\n');
    }
    totals(report, &mut to);
    to
}

/// Those of which there is more to say than a line: everything but runs that conform or had nothing to judge.
fn failing(report: &Report) -> impl Iterator<Item = &Run> {
    let is_failing = |run: &&Run| match &run.result {
        Err(_) => true,
        Ok(outcome) => matches!(
            verdict(&outcome.judgement, report.is_strict),
            Verdict::Violates | Verdict::Inconclusive
        ),
    };
    report.runs.iter().filter(is_failing)
}

/// The cells of a run that depend on how it ended.
struct Row {
    style: anstyle::Style,
    verdict: &'static str,
    watched: String,
    rules: String,
    findings: String,
}

fn row(run: &Run, is_strict: bool) -> Row {
    let outcome = match &run.result {
        Ok(outcome) => outcome,
        Err(why) => {
            return Row {
                style: BAD,
                verdict: "error",
                watched: "-".to_owned(),
                rules: "-".to_owned(),
                findings: escape(why).into_owned(),
            };
        }
    };
    let judgement = &outcome.judgement;
    let (exercised, kept) = rules(judgement);
    let verdict = verdict(judgement, is_strict);
    Row {
        style: style::of(verdict),
        verdict: word(verdict),
        watched: ago(judgement.watched),
        rules: format!("{kept}/{exercised}"),
        findings: in_short(judgement),
    }
}

/// The gravest finding and how many there are beside it; failing that, why there is no verdict.
fn in_short(judgement: &Judgement) -> String {
    // That it died says more than the rule it broke on the way.
    let gravity = |found: &&Finding| (found.effect, found.kind != FindingKind::Outcome);
    let gravest = judgement.findings.iter().min_by_key(gravity);
    match (gravest, judgement.findings.len()) {
        (None, _) => judgement
            .reasons
            .first()
            .map_or_else(String::new, |why| escape(why).into_owned()),
        (Some(one), 1) => escape(&one.id).into_owned(),
        (Some(one), n) => format!("{} and {} more", escape(&one.id), n - 1),
    }
}

fn details(run: &Run, is_strict: bool, to: &mut String) {
    match &run.result {
        Err(why) => line!(to, "{BAD}error{BAD:#}: {}", escape(why)),
        Ok(outcome) => judged(outcome, is_strict, to),
    }
    let is_fine = run.result.as_ref().is_ok_and(|outcome| {
        matches!(
            verdict(&outcome.judgement, is_strict),
            Verdict::Conforms | Verdict::NotJudged
        )
    });
    if !is_fine {
        line!(to, "reproduce: {}", escape(&run.reproduce));
    }
}

fn judged(outcome: &Outcome, is_strict: bool, to: &mut String) {
    let judgement = &outcome.judgement;
    let verdict = verdict(judgement, is_strict);
    let style = style::of(verdict);
    let reasons: Vec<_> = judgement.reasons.iter().map(|why| escape(why)).collect();
    let why = if reasons.is_empty() || verdict == Verdict::Violates {
        String::new()
    } else {
        format!(": {}", reasons.join("; "))
    };
    line!(to, "{style}{}{style:#}{why}", word(verdict));
    findings(&judgement.findings, is_strict, to);
    let (exercised, kept) = rules(judgement);
    let repeats = match outcome.repeats {
        0 => String::new(),
        n => format!(", repeated {n}× because the machine was busy"),
    };
    line!(
        to,
        "watched {}, {} exercised, {kept} kept{repeats}",
        ago(judgement.watched),
        plural(exercised, "rule")
    );
    for (what, why) in &judgement.not_judged {
        line!(
            to,
            "{FAINT}not judged: {} ({}){FAINT:#}",
            escape(what),
            escape(why)
        );
    }
}

/// Findings in columns, with what was seen above what was expected.
fn findings(findings: &[Finding], is_strict: bool, to: &mut String) {
    let width = |of: &dyn Fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or(0);
    let id_width = width(&|found| escape(&found.id).chars().count());
    let at_width = width(&|found| found.at.to_string().len());
    for found in findings {
        let (style, note) = match found.effect {
            Effect::Fails => (BAD, ""),
            Effect::Shown if is_strict => (BAD, ""),
            Effect::Shown => (FAULT, " (shown; fails with --strict)"),
            Effect::Note => (FAINT, " (a note)"),
        };
        line!(
            to,
            "{style}{:id_width$}{style:#}  at {:at_width$}  {}{note}",
            escape(&found.id),
            found.at,
            escape(&found.seen)
        );
        let indent = id_width + at_width + "  at   ".len();
        line!(to, "{:indent$}expected {}", "", escape(&found.expected));
    }
}

fn totals(report: &Report, to: &mut String) {
    let totals = report.totals();
    let parts: Vec<String> = [
        (totals.conforms, "conform"),
        (totals.violates, "violate"),
        (totals.inconclusive, "inconclusive"),
        (totals.not_judged, "not judged"),
        (totals.failed, "failed to run"),
        (totals.not_run, "not run"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    line!(
        to,
        "{}: {}; watched {} in {}",
        plural(report.planned, "run"),
        parts.join(", "),
        ago(totals.watched),
        ago(report.took)
    );
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_violation_says_rule_time_what_was_seen_and_how_to_see_it_again() {
        let run = sample::run("flap", Ok(sample::outcome(Verdict::Violates)));
        insta::assert_snapshot!(plain(&single(&run, false)), @r"
        violates
        resume/R4  at 12.400s  sent IDENTIFY on #3
                               expected RESUME: session `s1` was resumable (seq 41, closed 4000)
        died       at 95.000s  died: \u{1b}[2Jzombie
                               expected a recovery
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        reproduce: gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed
        ");
    }

    #[test]
    fn many_runs_are_a_table_with_the_details_of_what_failed() {
        insta::assert_snapshot!(plain(&table(&sample::report(), Rows::All)), @r"
        scenario  subject      verdict       watched    rules  findings
        flap      carbon-0.14  violates       5m 12s      1/2  died and 1 more
        calm      carbon-0.14  conforms       5m 12s      1/2
        missed    carbon-0.14  inconclusive   5m 12s      1/2  fault 0 never struck
        idle      carbon-0.14  not judged     5m 12s      1/2  fault 0 never struck
        broken    carbon-0.14  error               -        -  no port is free

        flap  subject carbon-0.14
        violates
        resume/R4  at 12.400s  sent IDENTIFY on #3
                               expected RESUME: session `s1` was resumable (seq 41, closed 4000)
        died       at 95.000s  died: \u{1b}[2Jzombie
                               expected a recovery
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        reproduce: gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed

        missed  subject carbon-0.14
        inconclusive: fault 0 never struck
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        reproduce: gwtool chaos --scenario missed --subject carbon-0.14 --seed 0x5eed

        broken  subject carbon-0.14
        error: no port is free
        reproduce: gwtool chaos --scenario broken --subject carbon-0.14 --seed 0x5eed

        7 runs: 1 conform, 1 violate, 1 inconclusive, 1 not judged, 1 failed to run, 2 not run; watched 20m 48s in 0.0s
        ");
    }

    #[test]
    fn the_quiet_table_leaves_out_what_is_fine() {
        let text = plain(&table(&sample::report(), Rows::Failing));
        assert!(!text.contains("calm") && !text.contains("idle"), "{text}");
        assert!(text.contains("missed") && text.contains("broken"), "{text}");
    }

    #[test]
    fn no_escape_sequence_from_outside_reaches_the_terminal() {
        // What is left after our own colours are stripped would hold any that came in.
        let text = plain(&table(&sample::report(), Rows::All));
        assert!(text.contains(r"\u{1b}[2Jzombie"), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
