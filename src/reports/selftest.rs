//! What a self-test came to: who was killed where, and what is wrong with gwtool.

use super::style::{BAD, FAINT, GOOD, HEADING};
use super::{ago, plural};
use crate::selftest::{Caught, Kill, Selftest, Share};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::fmt::Write as _;

macro_rules! line {
    ($to:expr, $($text:tt)*) => {{
        // Writing into a String cannot fail.
        let _ = writeln!($to, $($text)*);
    }};
}

/// How wide the text may be.
const WIDTH: usize = 100;

/// The self-test for people: the defects and who killed them, the totals, and what is wrong.
pub fn human(selftest: &Selftest, has_matrix: bool, took: Duration) -> String {
    let mut to = String::new();
    for caught in &selftest.defects {
        killed(caught, &mut to);
    }
    if has_matrix {
        to.push('\n');
        matrix(selftest, &mut to);
    }
    to.push('\n');
    totals(selftest, took, &mut to);
    problems(selftest, &mut to);
    to
}

/// Only what is wrong, and the last line.
pub fn quiet(selftest: &Selftest) -> String {
    let mut to = String::new();
    problems(selftest, &mut to);
    to
}

/// The self-test for programs.
pub fn json(selftest: &Selftest) -> String {
    let mut text = serde_json::to_string_pretty(selftest).expect("a self-test is representable");
    text.push('\n');
    text
}

/// One defect: by which scenarios it was killed, with which findings.
fn killed(caught: &Caught, to: &mut String) {
    let (style, word) = if caught.is_killed() {
        (GOOD, "killed")
    } else {
        (BAD, "alive")
    };
    let defect = caught.defect;
    let number = defect.info().number;
    line!(
        to,
        "{FAINT}{number}{FAINT:#} {HEADING}{}{HEADING:#}  {style}{word}{style:#}",
        defect.name()
    );
    let listed = by_base(caught.kills.iter().filter(|kill| kill.is_listed));
    for base in defect.info().killed_by {
        match listed.get(base) {
            Some(findings) => line!(to, "    {base}  {}", findings.join(", ")),
            None => line!(to, "    {FAINT}{base}  nothing{FAINT:#}"),
        }
    }
    let others = by_base(caught.kills.iter().filter(|kill| !kill.is_listed));
    if !others.is_empty() {
        let others: Vec<&str> = others.into_keys().collect();
        let text = format!("also {}", others.join(", "));
        for text in wrapped(&text, WIDTH - 4) {
            line!(to, "    {FAINT}{text}{FAINT:#}");
        }
    }
}

/// The findings of kills, by scenario.
fn by_base<'k>(kills: impl Iterator<Item = &'k Kill>) -> BTreeMap<&'k str, Vec<&'k str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kill in kills {
        let findings = all.entry(&kill.base).or_default();
        findings.extend(kill.findings.iter().map(String::as_str));
        findings.sort_unstable();
        findings.dedup();
    }
    all
}

/// Scenarios by defects.
fn matrix(selftest: &Selftest, to: &mut String) {
    let width = selftest.scenarios.iter().map(String::len).max();
    let width = width.unwrap_or(0);
    // The number of a defect, a digit a line.
    for digit in 1..3 {
        let digits: String = selftest
            .defects
            .iter()
            .filter_map(|caught| caught.defect.info().number.chars().nth(digit))
            .collect();
        let name = if digit == 1 { "scenario" } else { "" };
        line!(to, "{FAINT}{name:width$}  {digits}{FAINT:#}");
    }
    for base in &selftest.scenarios {
        let cell = |caught: &Caught| {
            let is_listed = caught.defect.info().killed_by.contains(&&**base);
            let is_killed = caught.kills.iter().any(|kill| kill.base == *base);
            match (is_listed, is_killed) {
                (true, true) => 'K',
                (true, false) => '!',
                (false, true) => 'k',
                (false, false) => '.',
            }
        };
        let cells: String = selftest.defects.iter().map(cell).collect();
        line!(to, "{base:width$}  {cells}");
    }
    line!(
        to,
        "{FAINT}K killed where it is said to be, k killed elsewhere too, ! not killed though it is said to be{FAINT:#}"
    );
}

fn totals(selftest: &Selftest, took: Duration, to: &mut String) {
    for sound in &selftest.sound {
        let Share { some, all } = sound.conforms;
        let not_judged = match sound.not_judged.len() {
            0 => String::new(),
            count => format!(", {count} not judged"),
        };
        line!(
            to,
            "{}: {some} of {all} runs conform{not_judged}",
            sound.subject
        );
    }
    let killed = selftest.defects.iter().filter(|it| it.is_killed()).count();
    line!(
        to,
        "{killed} of {} defects are killed where they are said to be",
        selftest.defects.len()
    );
    let kills = |base: &&String| {
        let mut kills = selftest.defects.iter().flat_map(|caught| &caught.kills);
        kills.any(|kill| kill.base == **base)
    };
    line!(
        to,
        "{} of {} scenarios kill a defect",
        selftest.scenarios.iter().filter(kills).count(),
        selftest.scenarios.len()
    );
    let by_defect = selftest.rules.iter().filter(|rule| !rule.by.is_empty());
    let by_edit = selftest.rules.iter().filter(|rule| rule.by_edit);
    line!(
        to,
        "{} of {} rules are broken by a defect, {} in an edited recording",
        by_defect.count(),
        selftest.rules.len(),
        by_edit.count()
    );
    let Share { some, all } = selftest.optional;
    line!(to, "{some} of {all} optional faults struck somebody");
    let Share { some, all } = selftest.repeated;
    line!(
        to,
        "{some} of {all} runs of sound clients had the same bytes again"
    );
    let seeds = match selftest.seeds {
        1 => String::new(),
        seeds => format!(" with {seeds} seeds"),
    };
    let runs = plural(selftest.runs, "run");
    line!(to, "{runs}{seeds} in {}", ago(took));
}

fn problems(selftest: &Selftest, to: &mut String) {
    if selftest.problems.is_empty() {
        line!(to, "{GOOD}gwtool is sound{GOOD:#}");
        return;
    }
    to.push('\n');
    for problem in &selftest.problems {
        line!(to, "{BAD}wrong{BAD:#}  {}", problem.what);
        if let Some(reproduce) = &problem.reproduce {
            line!(to, "       {FAINT}{reproduce}{FAINT:#}");
        }
    }
    line!(
        to,
        "\n{BAD}{} with gwtool itself{BAD:#}, seed {}",
        plural(selftest.problems.len(), "problem"),
        selftest.seed
    );
}

/// A text in lines of at most so many characters, where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
