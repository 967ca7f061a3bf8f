//! Verdicts, findings and tables for a terminal.
//!
//! One run is told in full; of many, one line each and in full only what failed. Every run says how long it watched and how
//! many rules were exercised and kept; whatever failed ends with the line that makes it happen again.

use super::escape::{escape, shorten};
use super::matrix::{self, Cell, Group, Matrix};
use super::style::{self, BAD, FAINT, FAULT, HEADING};
use super::{
    Report, Run, accepted_ids, ago, error_and_hint, not_complete, plural, rules, verdict, word,
};
use crate::oracle::coverage::State;
use crate::oracle::{Effect, Finding, FindingKind, Judgement, Verdict};
use crate::scenarios::{Ending, Outcome};
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

/// What became of the one run that was asked for: verdict, findings, figures, and how to see it again; before it the control
/// run, if it is why there is nothing more to say.
pub fn single(report: &Report) -> String {
    let mut to = String::new();
    for run in &report.runs {
        if run.control.is_none() {
            details(run, report.is_strict, Evidence::Whole, &mut to);
        } else if is_failing(run, report.is_strict) {
            heading(run, &mut to);
            details(run, report.is_strict, Evidence::Whole, &mut to);
            to.push('\n');
        }
    }
    stale(report, &mut to);
    to
}

/// One line on a control run in which nothing was wrong, before what it was made for; nothing if something was, since that is
/// told in full.
pub fn control(run: &Run, is_strict: bool) -> Option<String> {
    let control = run.control.as_ref()?;
    let outcome = run.result.as_ref().ok()?;
    if is_failing(run, is_strict) {
        return None;
    }
    let verdict = verdict(&outcome.judgement, is_strict);
    let ready = control
        .ready_after
        .map_or_else(String::new, |after| format!(": READY after {}", ago(after)));
    let style = style::of(verdict);
    let accepted = and_accepted(&outcome.judgement);
    Some(format!(
        "{}  {style}{}{style:#}{accepted}{ready}\n",
        escape(&run.scenario),
        word(verdict)
    ))
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
    for run in failing(report).filter(|run| is_made(run)) {
        to.push('\n');
        heading(run, &mut to);
        details(run, report.is_strict, Evidence::Short, &mut to);
    }
    if !to.is_empty() {
        to.push('\n');
    }
    stale(report, &mut to);
    totals(report, &mut to);
    to
}

/// What became of many runs with several subjects: a matrix of scenarios by subjects, and by subject what was found.
pub fn matrix(report: &Report, rows: Rows) -> String {
    let mut to = String::new();
    let matrix = Matrix::of(report);
    let is_shown = |cells: &[Option<&Run>]| {
        let mut runs = cells.iter().flatten();
        rows == Rows::All || runs.any(|run| is_failing(run, report.is_strict))
    };
    let shown: Vec<_> = matrix
        .rows
        .iter()
        .filter(|(_, cells)| is_shown(cells))
        .collect();
    if !shown.is_empty() {
        grid(&matrix.subjects, &shown, report.is_strict, &mut to);
    }
    for subject in &matrix.subjects {
        by_subject(report, subject, &mut to);
    }
    if !to.is_empty() {
        to.push('\n');
    }
    stale(report, &mut to);
    totals(report, &mut to);
    to
}

/// The cells in columns, each as wide as its longest.
fn grid(subjects: &[&str], rows: &[&(&str, Vec<Option<&Run>>)], is_strict: bool, to: &mut String) {
    let cell = |run: Option<&Run>| match run {
        Some(run) => matrix::cell(run, is_strict),
        None => Cell {
            text: "–".to_owned(),
            verdict: Some(Verdict::NotJudged),
        },
    };
    let length = |text: &str| text.chars().count();
    let names = rows.iter().map(|(name, _)| length(&escape(name)));
    let first = names.max().unwrap_or(0).max("scenario".len());
    let widths: Vec<usize> = (subjects.iter().enumerate())
        .map(|(column, subject)| {
            let cells = rows
                .iter()
                .map(|(_, cells)| length(&cell(cells[column]).text));
            cells.max().unwrap_or(0).max(length(&escape(subject)))
        })
        .collect();
    let mut text = format!("{HEADING}{:first$}", "scenario");
    for (subject, width) in subjects.iter().zip(&widths) {
        let _ = write!(text, "  {:width$}", escape(subject));
    }
    line!(to, "{}{HEADING:#}", text.trim_end());
    for (name, cells) in rows {
        let mut text = format!("{:first$}", escape(name));
        for (place, (run, width)) in cells.iter().zip(&widths).enumerate() {
            let cell = cell(*run);
            let style = cell.verdict.map_or(BAD, style::of);
            // The last one needs no blanks behind it.
            let width = if place + 1 == cells.len() { 0 } else { *width };
            let _ = write!(text, "  {style}{:width$}{style:#}", cell.text);
        }
        line!(to, "{text}");
    }
}

/// Scenarios that are named behind a finding.
const NAMED: usize = 6;

/// What was found of one subject, each finding once with the scenarios that had it and the line that shows the first again.
fn by_subject(report: &Report, subject: &str, to: &mut String) {
    let mut told = String::new();
    let groups = matrix::findings(report, subject);
    for Group { finding, runs } in &groups {
        let style = if finding.accepted.is_some() {
            FAINT
        } else {
            BAD
        };
        line!(
            told,
            "{style}{}{style:#}  in {}",
            escape(&finding.id),
            named(runs)
        );
        line!(told, "  {}", escape(&finding.seen));
        line!(told, "  expected {}", escape(&finding.expected));
        evidence(finding, Evidence::Short, 2, &mut told);
        accepted(finding, 2, &mut told);
        if finding.accepted.is_none() {
            printed(runs[0], 2, &mut told);
            line!(told, "  reproduce: {}", escape(&runs[0].reproduce));
        }
    }
    for (why, runs) in unsettled(report, subject) {
        let (why, hint) = error_and_hint(&why);
        line!(told, "{FAULT}no verdict{FAULT:#}  in {}", named(&runs));
        line!(told, "  {}", escape(why));
        if let Some(hint) = hint {
            line!(told, "  {HEADING}hint{HEADING:#}: {}", escape(hint));
        }
        printed(runs[0], 2, &mut told);
        if is_made(runs[0]) {
            line!(told, "  reproduce: {}", escape(&runs[0].reproduce));
        }
    }
    if !told.is_empty() {
        line!(
            to,
            "\n{HEADING}{}{HEADING:#}\n{}",
            escape(subject),
            told.trim_end()
        );
    }
}

/// Why runs of a subject came to no verdict, each reason once with the runs that have it.
fn unsettled<'a>(report: &'a Report, subject: &str) -> Vec<(String, Vec<&'a Run>)> {
    let mut reasons: Vec<(String, Vec<&Run>)> = Vec::new();
    for run in report.runs.iter().filter(|run| run.subject == subject) {
        let why = match &run.result {
            Err(why) => why.clone(),
            Ok(outcome)
                if verdict(&outcome.judgement, report.is_strict) == Verdict::Inconclusive =>
            {
                let cut = not_complete(outcome).map(|why| format!("not complete: {why}"));
                cut.unwrap_or_else(|| outcome.judgement.reasons.join("; "))
            }
            Ok(_) => continue,
        };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, runs)) => runs.push(run),
            None => reasons.push((why, vec![run])),
        }
    }
    reasons
}

fn named(runs: &[&Run]) -> String {
    let names: Vec<_> = runs
        .iter()
        .take(NAMED)
        .map(|run| escape(&run.scenario))
        .collect();
    let more = match runs.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{}{more}", names.join(", "))
}

fn heading(run: &Run, to: &mut String) {
    line!(
        to,
        "{HEADING}{}  subject {}{HEADING:#}",
        escape(&run.scenario),
        escape(&run.subject)
    );
}

/// What is accepted and did not come up any more.
fn stale(report: &Report, to: &mut String) {
    for stale in &report.stale {
        let note = if report.is_strict {
            ""
        } else {
            " (fails with --strict)"
        };
        line!(
            to,
            "{FAULT}no longer seen{FAULT:#}: {} in {} of {}, which is accepted{note}",
            escape(&stale.finding),
            escape(&stale.scenario),
            escape(&stale.subject)
        );
    }
    if !report.stale.is_empty() {
        let hint =
            "remove what is mended from the subject file, so that it is noticed if it comes back";
        line!(to, "{HEADING}hint{HEADING:#}: {hint}");
    }
}

/// Whether a run was begun at all.
fn is_made(run: &Run) -> bool {
    let is_unmade = |outcome: &Outcome| outcome.ending == Ending::NotMade;
    !run.result.as_ref().is_ok_and(is_unmade)
}

/// Those of which there is more to say than a line: everything but runs that conform or had nothing to judge.
fn failing(report: &Report) -> impl Iterator<Item = &Run> {
    let runs = report.runs.iter();
    runs.filter(|run| is_failing(run, report.is_strict))
}

fn is_failing(run: &Run, is_strict: bool) -> bool {
    match &run.result {
        Err(_) => true,
        Ok(outcome) => matches!(
            verdict(&outcome.judgement, is_strict),
            Verdict::Violates | Verdict::Inconclusive
        ),
    }
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
                findings: escape(error_and_hint(why).0).into_owned(),
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
        findings: in_short(outcome, is_strict),
    }
}

/// The gravest finding and how many there are beside it; failing that, what is accepted, or why there is no verdict.
fn in_short(outcome: &Outcome, is_strict: bool) -> String {
    let judgement = &outcome.judgement;
    // That it died says more than the rule it broke on the way.
    let gravity = |found: &&Finding| (found.effect, found.kind != FindingKind::Outcome);
    let open = judgement.findings.iter().filter(|f| f.accepted.is_none());
    let gravest = open.clone().min_by_key(gravity);
    let accepted = accepted_ids(judgement);
    let fails = verdict(judgement, is_strict) == Verdict::Violates;
    match (gravest, open.count()) {
        _ if !fails && !accepted.is_empty() => {
            escape(&format!("accepted: {}", accepted.join(", "))).into_owned()
        }
        (None, _) => not_complete(outcome).map_or_else(
            || {
                let first = judgement.reasons.first();
                first.map_or_else(String::new, |why| escape(why).into_owned())
            },
            |why| format!("not complete: {why}"),
        ),
        (Some(one), 1) => escape(&one.id).into_owned(),
        (Some(one), n) => format!("{} and {} more", escape(&one.id), n - 1),
    }
}

/// How much is told of what else was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// All of it.
    Whole,
    /// The beginning.
    Short,
}

/// How many lines of evidence are told, and how much of each, where it is told in short.
const EVIDENCE: (usize, usize) = (3, 100);

fn details(run: &Run, is_strict: bool, how: Evidence, to: &mut String) {
    match &run.result {
        Err(why) => {
            let (why, hint) = error_and_hint(why);
            line!(to, "{BAD}error{BAD:#}: {}", escape(why));
            if let Some(hint) = hint {
                line!(to, "{HEADING}hint{HEADING:#}: {}", escape(hint));
            }
        }
        Ok(outcome) => judged(outcome, is_strict, how, to),
    }
    if is_failing(run, is_strict) {
        printed(run, 0, to);
        if is_made(run) {
            line!(to, "reproduce: {}", escape(&run.reproduce));
        }
    }
}

/// What a control run printed: mostly the reason.
fn printed(run: &Run, indent: usize, to: &mut String) {
    let lines = run.control.iter().flat_map(|control| &control.printed);
    for (place, text) in lines.enumerate() {
        if place == 0 {
            line!(to, "{:indent$}it printed last:", "");
        }
        line!(to, "{:indent$}  {FAINT}{}{FAINT:#}", "", escape(text));
    }
}

/// The number of accepted findings as it stands behind a verdict.
fn and_accepted(judgement: &Judgement) -> String {
    match accepted_ids(judgement).len() {
        0 => String::new(),
        n => format!(", {n} accepted"),
    }
}

fn judged(outcome: &Outcome, is_strict: bool, how: Evidence, to: &mut String) {
    let judgement = &outcome.judgement;
    let verdict = verdict(judgement, is_strict);
    let style = style::of(verdict);
    let reasons: Vec<_> = judgement.reasons.iter().map(|why| escape(why)).collect();
    let why = if reasons.is_empty() || verdict == Verdict::Violates {
        String::new()
    } else {
        format!(": {}", reasons.join("; "))
    };
    let accepted = and_accepted(judgement);
    line!(to, "{style}{}{style:#}{accepted}{why}", word(verdict));
    if outcome.ending == Ending::NotMade {
        return;
    }
    if let Some(why) = not_complete(outcome) {
        line!(to, "{FAULT}not complete{FAULT:#}: {why}");
    }
    findings(&judgement.findings, is_strict, how, to);
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
    // What has one reason is told in one line.
    for same in judgement.not_judged.chunk_by(|(_, a), (_, b)| a == b) {
        let what: Vec<&str> = same.iter().map(|(what, _)| what.as_str()).collect();
        let (what, why) = (what.join(", "), &same[0].1);
        let (what, why) = (escape(&what), escape(why));
        line!(to, "{FAINT}not judged: {what} ({why}){FAINT:#}");
    }
}

/// What else was seen, indented.
fn evidence(found: &Finding, how: Evidence, indent: usize, to: &mut String) {
    let (lines, length) = match how {
        Evidence::Whole => (usize::MAX, usize::MAX),
        Evidence::Short => EVIDENCE,
    };
    for text in found.evidence.iter().take(lines) {
        line!(
            to,
            "{:indent$}{FAINT}{}{FAINT:#}",
            "",
            shorten(text, length)
        );
    }
    if let more @ 1.. = found.evidence.len().saturating_sub(lines) {
        line!(
            to,
            "{:indent$}{FAINT}… {}{FAINT:#}",
            "",
            plural(more, "more line")
        );
    }
}

/// Why a finding is accepted, indented.
fn accepted(found: &Finding, indent: usize, to: &mut String) {
    if let Some(why) = &found.accepted {
        let link = why
            .link
            .as_ref()
            .map_or_else(String::new, |link| format!(", {link}"));
        let text = format!("{}{link}", why.reason);
        line!(to, "{:indent$}accepted: {}", "", escape(&text));
    }
}

/// Findings in columns, with what was seen above what was expected.
fn findings(findings: &[Finding], is_strict: bool, how: Evidence, to: &mut String) {
    let width = |of: &dyn Fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or(0);
    let id_width = width(&|found| escape(&found.id).chars().count());
    let at_width = width(&|found| found.at.to_string().len());
    for found in findings {
        let (style, note) = match found.effect {
            _ if found.accepted.is_some() => (FAINT, ""),
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
        evidence(found, how, indent, to);
        accepted(found, indent, to);
    }
}

/// How wide a line of words may be.
const WIDTH: usize = 100;

/// What the runs exercised: states of connections by actions that struck in them, and the rules.
pub fn coverage(report: &Report) -> String {
    let coverage = report.coverage();
    let mut to = String::new();
    let words = coverage.strikes.keys().map(|word| word.len());
    let first = words.max().unwrap_or(0).max("strikes by state".len());
    let mut text = format!("{HEADING}{:first$}", "strikes by state");
    for state in State::ALL {
        let _ = write!(text, " {:>6}", short(state));
    }
    line!(to, "{text} rules{HEADING:#}");
    let row = |name: &str, cells: [usize; State::ALL.len()], rules: usize, to: &mut String| {
        let mut text = format!("{name:first$}");
        for cell in cells {
            let _ = match cell {
                0 => write!(text, " {FAINT}{:>6}{FAINT:#}", "."),
                n => write!(text, " {n:>6}"),
            };
        }
        line!(to, "{text} {rules:>5}");
    };
    for (word, counts) in &coverage.strikes {
        let count = |state| counts.get(&state).map_or(0, |n| *n as usize);
        let under = coverage
            .rules
            .values()
            .filter(|one| one.under.contains(word));
        row(word, State::ALL.map(count), under.count(), &mut to);
    }
    let in_state = |state| {
        let rules = coverage.rules.values();
        rules.filter(|one| one.states.contains(&state)).count()
    };
    row(
        "rules exercised",
        State::ALL.map(in_state),
        coverage.rules.len(),
        &mut to,
    );
    left(
        "rules were exercised",
        coverage.rules.len(),
        &coverage.rules_left(),
        &mut to,
    );
    left(
        "actions struck",
        coverage.strikes.len(),
        &coverage.actions_left(),
        &mut to,
    );
    to
}

/// What of the rules or of the vocabulary came up, and what did not.
fn left(what: &str, came: usize, left: &[&str], to: &mut String) {
    let all = came + left.len();
    let mut text = format!("{came} of {all} {what}");
    let mut separator = "; not:";
    for word in left {
        let begun = text.lines().last().map_or(0, str::len);
        text += separator;
        text += if begun + separator.len() + word.len() + 2 > WIDTH {
            "\n  "
        } else {
            " "
        };
        text += word;
        separator = ",";
    }
    line!(to, "{text}");
}

/// A state as the head of a column.
const fn short(state: State) -> &'static str {
    match state {
        State::None => "none",
        State::Connecting => "conn",
        State::AwaitingHello => "hello",
        State::AwaitingLogin => "login",
        State::Identifying => "ident",
        State::Resuming => "resume",
        State::Steady => "steady",
        State::Unacked => "no-ack",
        State::Refused => "op9",
        State::Leaving => "left",
        State::Cut => "cut",
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
    let accepted = match totals.accepted {
        0 => String::new(),
        n => format!("; {} accepted", plural(n, "finding")),
    };
    line!(
        to,
        "{}: {}{accepted}; watched {} in {}",
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

    fn one(outcome: Outcome) -> Report {
        Report {
            runs: vec![sample::run("flap", Ok(outcome))],
            planned: 1,
            ..sample::report()
        }
    }

    #[test]
    fn a_violation_says_rule_time_what_was_seen_and_how_to_see_it_again() {
        insta::assert_snapshot!(plain(&single(&one(sample::outcome(Verdict::Violates)))), @r"
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
    fn coverage_is_a_table_of_states_by_actions_and_what_never_came_up() {
        let text = plain(&coverage(&sample::report()));
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        let head: Vec<&str> = text.lines().take(5).collect();
        insta::assert_snapshot!(head.join("\n"), @r"
        strikes by state   none   conn  hello  login  ident resume steady no-ack    op9   left    cut rules
        blackhole             .      .      .      .      .      .      8      .      .      .      .     1
        rules exercised       .      .      .      1      .      .      1      .      .      .      .     1
        1 of 60 rules were exercised; not: connect/C1, connect/C2, connect/C3, connect/C4, connect/C5,
          connect/C6, connect/C7, connect/C8, heartbeat/H2, heartbeat/H3, heartbeat/H4, heartbeat/H5,
        ");
        assert!(
            text.contains("1 of ") && text.contains("actions struck; not: "),
            "{text}"
        );
        for rule in crate::oracle::rules::all() {
            assert!(
                text.contains(rule.id) || rule.id == "heartbeat/H1",
                "{} in {text}",
                rule.id
            );
        }
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

    #[test]
    fn evidence_stands_below_its_finding_and_is_short_in_a_table() {
        let mut outcome = sample::outcome(Verdict::Violates);
        let lines = (0..5).map(|n| format!("line {n} \x1b[1m{}", "x".repeat(120)));
        outcome.judgement.findings[1].evidence = lines.collect();
        let report = one(outcome);
        let text = plain(&single(&report));
        assert!(
            text.contains(&format!("line 4 \\u{{1b}}[1m{}\n", "x".repeat(120))),
            "{text}"
        );
        let text = plain(&table(&report, Rows::All));
        insta::assert_snapshot!(text, @r"
        scenario  subject      verdict       watched    rules  findings
        flap      carbon-0.14  violates       5m 12s      1/2  died and 1 more

        flap  subject carbon-0.14
        violates
        resume/R4  at 12.400s  sent IDENTIFY on #3
                               expected RESUME: session `s1` was resumable (seq 41, closed 4000)
        died       at 95.000s  died: \u{1b}[2Jzombie
                               expected a recovery
                               line 0 \u{1b}[1mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
                               line 1 \u{1b}[1mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
                               line 2 \u{1b}[1mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
                               … 2 more lines
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        reproduce: gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed

        1 run: 1 violate; watched 5m 12s in 0.0s
        ");
    }

    #[test]
    fn what_is_accepted_is_told_with_its_reason_and_what_is_no_longer_seen_last() {
        let report = sample::matrix();
        let known = report.runs[2].clone();
        let single_of = |run| Report {
            runs: vec![run],
            planned: 1,
            stale: report.stale.clone(),
            ..sample::report()
        };
        insta::assert_snapshot!(plain(&single(&single_of(known))), @r"
        conforms, 2 accepted
        resume/R4  at 12.400s  sent IDENTIFY on #3
                               expected RESUME: session `s1` was resumable (seq 41, closed 4000)
                               accepted: reported upstream, https://issues.test/349
        died       at 95.000s  died: \u{1b}[2Jzombie
                               expected a recovery
                               accepted: reported upstream, https://issues.test/349
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        no longer seen: loop in idle of good, which is accepted (fails with --strict)
        hint: remove what is mended from the subject file, so that it is noticed if it comes back
        ");
    }

    #[test]
    fn a_control_run_is_one_line_or_comes_before_what_was_not_run() {
        let report = sample::matrix();
        let line = |run: &Run| control(run, false).map(|line| plain(&line));
        assert_eq!(
            line(&report.runs[0]).as_deref(),
            Some("control  conforms: READY after 0.4s\n")
        );
        assert_eq!(line(&report.runs[1]), None);
        assert_eq!(line(&report.runs[2]), None, "it is no control run");
        let bad = Report {
            runs: vec![report.runs[1].clone(), report.runs[3].clone()],
            planned: 2,
            stale: Vec::new(),
            ..report
        };
        insta::assert_snapshot!(plain(&single(&bad)), @r"
        control  subject bad
        violates, 1 accepted
        resume/R4  at 12.400s  sent IDENTIFY on #3
                               expected RESUME: session `s1` was resumable (seq 41, closed 4000)
                               accepted: reported upstream, https://issues.test/349
        died       at 95.000s  died: a|b after 12.403s
                               expected a recovery
                               exit code 1
                               \u{1b}[1mError
        watched 5m 12s, 2 rules exercised, 1 kept
        not judged: lost (no delivery was reported)
        it printed last:
          \u{1b}[2Jhello
        reproduce: gwtool chaos --scenario control --seed 0x5eed --subjects s.toml --subject bad

        inconclusive: not run: the control run violates
        ");
    }

    #[test]
    fn several_subjects_are_a_matrix_with_each_finding_once() {
        insta::assert_snapshot!(plain(&matrix(&sample::matrix(), Rows::All)), @r"
        scenario  good                       bad
        control   conforms                   died; accepted: resume/R4
        flap      accepted: died, resume/R4  inconclusive
        calm      inconclusive               –
        idle      –                          error

        good
        resume/R4  in flap
          sent IDENTIFY on #3
          expected RESUME: session `s1` was resumable (seq 41, closed 4000)
          accepted: reported upstream, https://issues.test/349
        died  in flap
          died: \u{1b}[2Jzombie
          expected a recovery
          accepted: reported upstream, https://issues.test/349
        no verdict  in calm
          not complete: interrupted after 12.3s
          reproduce: gwtool chaos --scenario calm --seed 0x5eed --subjects s.toml --subject good

        bad
        died  in control
          died: a|b after 12.403s
          expected a recovery
          exit code 1
          \u{1b}[1mError
          it printed last:
            \u{1b}[2Jhello
          reproduce: gwtool chaos --scenario control --seed 0x5eed --subjects s.toml --subject bad
        resume/R4  in control
          sent IDENTIFY on #3
          expected RESUME: session `s1` was resumable (seq 41, closed 4000)
          accepted: reported upstream, https://issues.test/349
        no verdict  in flap
          not run: the control run violates
        no verdict  in idle
          failed to start `nod`: no such file
          hint: is it on PATH?
          reproduce: gwtool chaos --scenario idle --seed 0x5eed --subjects s.toml --subject bad

        no longer seen: loop in idle of good, which is accepted (fails with --strict)
        hint: remove what is mended from the subject file, so that it is noticed if it comes back
        8 runs: 2 conform, 1 violate, 2 inconclusive, 1 failed to run, 2 not run; 3 findings accepted; watched 21m 0s in 40.0s
        ");
    }

    #[test]
    fn the_quiet_matrix_leaves_out_rows_in_which_all_is_fine() {
        let mut report = sample::matrix();
        report.runs.retain(|run| run.subject == "good");
        let text = plain(&matrix(&report, Rows::Failing));
        assert!(!text.contains("flap  "), "{text}");
        assert!(text.contains("calm"), "{text}");
    }
}
