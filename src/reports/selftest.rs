//! What a self-test came to: who was killed where, and what is wrong with gwtool.

use super::style::{BAD, FAINT, GOOD, HEADING};
use super::{ago, plural};
use crate::selftest::{Caught, Kill, Selftest, Share};
use crate::time::Duration;
use serde::Serialize;
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

/// The self-test for people: the defects and who killed them, the totals, and what is wrong. In full there are all the
/// scenarios that killed a defect, and the matrix.
pub fn human(selftest: &Selftest, is_full: bool, took: Duration) -> String {
    let mut to = String::new();
    for caught in &selftest.defects {
        if is_full {
            killed(caught, &mut to);
        } else {
            killed_in_short(caught, &mut to);
        }
    }
    if is_full {
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
    #[derive(Serialize)]
    struct Report<'a> {
        schema: &'static str,
        is_sound: bool,
        #[serde(flatten)]
        selftest: &'a Selftest,
    }
    let report = Report {
        schema: "gwtool-selftest/1",
        is_sound: selftest.problems.is_empty(),
        selftest,
    };
    let mut text = serde_json::to_string_pretty(&report).expect("a self-test is representable");
    text.push('\n');
    text
}

/// How far lines are set in that go on with a defect.
const INDENT: &str = "    ";

/// Which defect it is and whether it was killed: in colours, and how many characters that takes.
fn head(caught: &Caught) -> (String, usize) {
    let (style, word) = if caught.is_killed() {
        (GOOD, "killed")
    } else {
        (BAD, "alive")
    };
    let (number, name) = (caught.defect.info().number, caught.defect.name());
    let text =
        format!("{FAINT}{number}{FAINT:#} {HEADING}{name}{HEADING:#}  {style}{word}{style:#}");
    (text, number.len() + 1 + name.len() + 2 + word.len())
}

/// One defect in a line, or as few as it takes: where it is said to be killed, with which findings, and how often elsewhere.
fn killed_in_short(caught: &Caught, to: &mut String) {
    let listed = by_base(caught.kills.iter().filter(|kill| kill.is_listed));
    let others = by_base(caught.kills.iter().filter(|kill| !kill.is_listed));
    let told = caught.defect.info().killed_by.iter().map(|base| {
        listed.get(base).map_or_else(
            || format!("not {base}"),
            |findings| format!("{base} ({})", findings.join(", ")),
        )
    });
    let more = match others.len() {
        0 => None,
        1 => Some("and in 1 other".to_owned()),
        n => Some(format!("and in {n} others")),
    };
    let told: Vec<String> = told.chain(more).collect();
    let (head, length) = head(caught);
    let mut lines = wrapped(&told.join(", "), length + 2, INDENT.len()).into_iter();
    line!(to, "{head}  {}", lines.next().unwrap_or_default());
    for line in lines {
        line!(to, "{INDENT}{line}");
    }
}

/// One defect: by which scenarios it was killed, with which findings.
fn killed(caught: &Caught, to: &mut String) {
    let defect = caught.defect;
    line!(to, "{}", head(caught).0);
    let listed = by_base(caught.kills.iter().filter(|kill| kill.is_listed));
    for base in defect.info().killed_by {
        match listed.get(base) {
            Some(findings) => line!(to, "{INDENT}{base}  {}", findings.join(", ")),
            None => line!(to, "{INDENT}{FAINT}{base}  nothing{FAINT:#}"),
        }
    }
    let others = by_base(caught.kills.iter().filter(|kill| !kill.is_listed));
    if !others.is_empty() {
        let others: Vec<&str> = others.into_keys().collect();
        let text = format!("also {}", others.join(", "));
        for text in wrapped(&text, INDENT.len(), INDENT.len()) {
            line!(to, "{INDENT}{FAINT}{text}{FAINT:#}");
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
        "{killed} of {} defects are killed in a scenario that is said to kill them",
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

/// A text in lines that end before [`WIDTH`], where its words allow it: the first begins at one column, all others at another.
fn wrapped(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = first;
    for word in text.split(' ') {
        let length = word.chars().count();
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
            column += length;
        } else if column + 1 + length <= WIDTH {
            line.push(' ');
            line.push_str(word);
            column += 1 + length;
        } else {
            lines.push(word.to_owned());
            column = others + length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::subjects::zoo::Defect;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    /// A defect that was killed there, each time with these findings.
    fn caught(name: &str, kills: &[(&str, &[&str])]) -> Caught {
        let defect = Defect::find(name).expect("it is in the register");
        let kill = |(base, findings): &(&str, &[&str])| Kill {
            scenario: (*base).to_owned(),
            base: (*base).to_owned(),
            seed: Seed(1),
            is_listed: defect.info().killed_by.contains(base),
            findings: findings.iter().map(|id| (*id).to_owned()).collect(),
        };
        Caught {
            defect,
            kills: kills.iter().map(kill).collect(),
        }
    }

    fn in_short(caught: &Caught) -> String {
        let mut text = String::new();
        killed_in_short(caught, &mut text);
        plain(&text)
    }

    #[test]
    fn a_defect_is_told_with_what_is_said_to_kill_it_and_the_others_are_counted() {
        let kills: &[(&str, &[&str])] = &[
            ("one-missed-ack", &["double"]),
            ("op7-plain", &["double", "identifies"]),
            ("op7-early", &["double"]),
            ("op7-then-close-race", &["connections", "double"]),
            ("signals-at-once", &["double"]),
            ("flap", &["double"]),
            ("zombie-race", &["double"]),
        ];
        let caught = caught("double-reconnect", kills);
        let text = in_short(&caught);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        insta::assert_snapshot!(text, @r"
        D09 double-reconnect  killed  one-missed-ack (double), op7-plain (double, identifies), op7-early
            (double), op7-then-close-race (connections, double), signals-at-once (double), not resume-soak,
            and in 2 others
        ");
        let mut full = String::new();
        killed(&caught, &mut full);
        insta::assert_snapshot!(plain(&full), @r"
        D09 double-reconnect  killed
            one-missed-ack  double
            op7-plain  double, identifies
            op7-early  double
            op7-then-close-race  connections, double
            signals-at-once  double
            resume-soak  nothing
            also flap, zombie-race
        ");
    }

    #[test]
    fn a_defect_that_is_killed_elsewhere_only_is_alive() {
        let text = in_short(&caught("token-in-log", &[("flap", &["token"])]));
        insta::assert_snapshot!(text, @"D30 token-in-log  alive  not token-canary, and in 1 other");
    }

    #[test]
    fn no_word_is_lost_where_lines_are_broken() {
        let text = "word ".repeat(100) + &"w".repeat(WIDTH + 1) + " end";
        let lines = wrapped(&text, WIDTH - 2, 4);
        assert_eq!(lines.join(" "), text);
        assert_eq!(lines[0], "word", "it has to begin somewhere");
        let fitting = lines[1..].iter().filter(|line| line.len() + 4 <= WIDTH);
        assert_eq!(fitting.count() + 2, lines.len());
    }
}
