//! The report for documentation: a matrix in Markdown, and what was found where a cell is not `conforms`.
//!
//! It is made to be kept under version control, so that two runs of the same thing give the same text: it holds no date, no
//! wall time and no durations that were measured in real time, and everything is in the order of the report.

use super::escape::escape;
use super::matrix::{Matrix, cell};
use super::{Report, Run, error_and_hint, fails, verdict};
use crate::oracle::{Finding, Verdict};
use crate::scenarios::{Ending, Outcome};
use crate::time::{Duration, show};
use crate::trace::Clock;
use std::fmt::Write as _;

macro_rules! line {
    ($to:expr, $($text:tt)*) => {{
        // Writing into a String cannot fail.
        let _ = writeln!($to, $($text)*);
    }};
}

/// The report as Markdown.
pub fn document(report: &Report) -> String {
    let mut to = String::new();
    line!(to, "# Chaos matrix\n");
    line!(to, "{}\n", made_with(report));
    let missing = report.planned.saturating_sub(report.runs.len());
    if report.is_interrupted || missing > 0 {
        let made = report.runs.len();
        line!(
            to,
            "**Not complete**: {made} of {} runs were made.\n",
            report.planned
        );
    }
    let matrix = Matrix::of(report);
    table(&matrix, report.is_strict, &mut to);
    for (column, subject) in matrix.subjects.iter().enumerate() {
        let runs = matrix.rows.iter().filter_map(|(_, cells)| cells[column]);
        let mut has_heading = false;
        for run in runs {
            let cell = cell(run, report.is_strict).text;
            if cell == "conforms" {
                continue;
            }
            if !has_heading {
                line!(to, "\n## {}", text(subject));
                has_heading = true;
            }
            line!(to, "\n### {}: {}\n", text(&run.scenario), text(&cell));
            details(run, report.is_strict, &mut to);
        }
    }
    if !report.stale.is_empty() {
        line!(to, "\n## No longer seen\n");
        for stale in &report.stale {
            line!(
                to,
                "- {} in {} of {}, which is accepted",
                text(&stale.finding),
                text(&stale.scenario),
                text(&stale.subject)
            );
        }
    }
    to
}

/// What decides the results, as far as it is the same for all of them.
fn made_with(report: &Report) -> String {
    let headers = || {
        let outcomes = report
            .runs
            .iter()
            .filter_map(|run| run.result.as_ref().ok());
        outcomes.map(|outcome| &outcome.header)
    };
    let mut seeds: Vec<&str> = headers().map(|header| &*header.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut intervals: Vec<Duration> = headers().map(|header| header.interval).collect();
    intervals.sort_unstable();
    intervals.dedup();
    let intervals: Vec<String> = intervals.into_iter().map(show).collect();
    let clock = match headers().next().map(|header| header.clock) {
        Some(Clock::Virtual) => ", virtual time",
        Some(Clock::Real) => ", real time",
        None => "",
    };
    let mut parts = format!("gwtool {}", env!("CARGO_PKG_VERSION"));
    if !seeds.is_empty() {
        let _ = write!(
            parts,
            ", seed {}, I {}",
            seeds.join(", "),
            intervals.join(" and ")
        );
    }
    let strict = if report.is_strict { ", strict" } else { "" };
    format!("{}{clock}{strict}.", text(&parts))
}

fn table(matrix: &Matrix<'_>, is_strict: bool, to: &mut String) {
    let heads: Vec<String> = matrix.subjects.iter().map(|name| text(name)).collect();
    line!(to, "| scenario | {} |", heads.join(" | "));
    line!(to, "|---|{}", "---|".repeat(heads.len()));
    for (scenario, cells) in &matrix.rows {
        let cells: Vec<String> = cells
            .iter()
            .map(|run| run.map_or_else(|| "–".to_owned(), |run| text(&cell(run, is_strict).text)))
            .collect();
        line!(to, "| {} | {} |", text(scenario), cells.join(" | "));
    }
}

fn details(run: &Run, is_strict: bool, to: &mut String) {
    let outcome = match &run.result {
        Ok(outcome) => outcome,
        Err(why) => {
            line!(to, "- error: {}", text(error_and_hint(why).0));
            reproduce(run, to);
            return;
        }
    };
    let steady = |text: &str| match outcome.header.clock {
        Clock::Virtual => text.to_owned(),
        Clock::Real => steady(text),
    };
    for found in told(outcome, is_strict) {
        let accepted = found.accepted.as_ref().map_or_else(String::new, |why| {
            let link = why.link.as_ref().map_or_else(String::new, |link| {
                if link.contains(|c: char| c.is_whitespace() || "<>".contains(c)) {
                    format!(" ({})", text(link))
                } else {
                    format!(" (<{}>)", escape(link))
                }
            });
            format!(" Accepted: {}{link}.", text(&why.reason))
        });
        line!(
            to,
            "- {}: {}; expected {}.{accepted}",
            text(&found.id),
            text(&steady(&found.seen)),
            text(&steady(&found.expected))
        );
    }
    let verdict = verdict(&outcome.judgement, is_strict);
    if matches!(verdict, Verdict::Inconclusive | Verdict::NotJudged) {
        for reason in &outcome.judgement.reasons {
            line!(to, "- {}", text(&steady(reason)));
        }
    }
    // When it was ended is the user's doing, and another time another.
    match outcome.ending {
        Ending::Interrupted => line!(to, "- not complete: interrupted"),
        Ending::TimedOut => line!(to, "- not complete: timed out"),
        Ending::Complete | Ending::NotMade => {}
    }
    if verdict != Verdict::NotJudged && outcome.ending != Ending::NotMade {
        reproduce(run, to);
    }
}

/// What fails and what is accepted, each id once: how often it came again depends on the machine.
fn told(outcome: &Outcome, is_strict: bool) -> Vec<&Finding> {
    let mut told: Vec<&Finding> = Vec::new();
    for found in &outcome.judgement.findings {
        let is_worth_it = found.accepted.is_some() || fails(found, is_strict);
        if is_worth_it && !told.iter().any(|known| known.id == found.id) {
            told.push(found);
        }
    }
    told
}

fn reproduce(run: &Run, to: &mut String) {
    // A line that begins so cannot end the block.
    line!(to, "\n```sh\n{}\n```", escape(&run.reproduce));
}

/// Text from outside: on one line, and nothing in it means anything in Markdown.
fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in escape(text).chars() {
        if matches!(
            c,
            '\\' | '|' | '<' | '>' | '*' | '_' | '[' | ']' | '`' | '#' | '~' | '&'
        ) {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

/// The text with every duration left out that looks measured: a fraction, or less than a second. Two runs in real time would
/// otherwise never give the same document.
fn steady(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        let number = from
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(from.len());
        let unit = from[number..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .map_or(from.len(), |end| number + end);
        let is_part_of_a_name =
            before.ends_with(|c: char| c.is_alphanumeric() || "#-_.".contains(c));
        let is_fraction = from[..number].trim_end_matches('.').contains('.');
        let is_measured = match &from[number..unit] {
            "ms" | "us" | "ns" => true,
            "s" | "m" | "h" => is_fraction,
            _ => false,
        };
        if is_measured && !is_part_of_a_name {
            shown.push('…');
        } else {
            shown.push_str(&from[..unit]);
        }
        rest = &from[unit..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_document_has_the_matrix_and_whatever_does_not_conform() {
        insta::assert_snapshot!(document(&sample::matrix()), @r"
        # Chaos matrix

        gwtool 0.1.0, seed 0x5eed, I 2s, real time.

        **Not complete**: 6 of 8 runs were made.

        | scenario | good | bad |
        |---|---|---|
        | control | conforms | died; accepted: resume/R4 |
        | flap | accepted: died, resume/R4 | inconclusive |
        | calm | inconclusive | – |
        | idle | – | error |

        ## good

        ### flap: accepted: died, resume/R4

        - resume/R4: sent IDENTIFY on \#3; expected RESUME: session \`s1\` was resumable (seq 41, closed 4000). Accepted: reported upstream (<https://issues.test/349>).
        - died: died: \\u{1b}\[2Jzombie; expected a recovery. Accepted: reported upstream (<https://issues.test/349>).

        ```sh
        gwtool chaos --scenario flap --seed 0x5eed --subjects s.toml --subject good
        ```

        ### calm: inconclusive

        - fault 0 never struck
        - not complete: interrupted

        ```sh
        gwtool chaos --scenario calm --seed 0x5eed --subjects s.toml --subject good
        ```

        ## bad

        ### control: died; accepted: resume/R4

        - resume/R4: sent IDENTIFY on \#3; expected RESUME: session \`s1\` was resumable (seq 41, closed 4000). Accepted: reported upstream (<https://issues.test/349>).
        - died: died: a\|b after …; expected a recovery.

        ```sh
        gwtool chaos --scenario control --seed 0x5eed --subjects s.toml --subject bad
        ```

        ### flap: inconclusive

        - not run: the control run violates

        ### idle: error

        - error: failed to start \`nod\`: no such file

        ```sh
        gwtool chaos --scenario idle --seed 0x5eed --subjects s.toml --subject bad
        ```

        ## No longer seen

        - loop in idle of good, which is accepted
        ");
    }

    #[test]
    fn the_document_is_the_same_whatever_the_machine_took() {
        let first = document(&sample::matrix());
        let mut report = sample::matrix();
        report.took *= 3;
        for run in &mut report.runs {
            if let Ok(outcome) = &mut run.result {
                outcome.took *= 2;
                outcome.judgement.watched += Duration::from_millis(17);
                for found in &mut outcome.judgement.findings {
                    found.seen = found.seen.replace("12.403s", "12.398s");
                    found.at += Duration::from_millis(3);
                }
            }
        }
        assert_eq!(document(&report), first);
    }

    #[test]
    fn measured_durations_are_left_out_and_nothing_else() {
        for (text, shown) in [
            ("no beat for 2.104s", "no beat for …"),
            ("after 66.012s, 412ms and 3us", "after …, … and …"),
            ("to leave it within 10s", "to leave it within 10s"),
            ("4009 on #12, 3 times", "4009 on #12, 3 times"),
            ("discord.js 14.2s and v1.5ms", "discord.js … and v1.5ms"),
            ("ends in 7", "ends in 7"),
            ("2.", "2."),
        ] {
            assert_eq!(steady(text), shown);
        }
    }

    #[test]
    fn text_from_outside_means_nothing_in_markdown() {
        assert_eq!(text("a|b\n<i>*x*"), r"a\|b\\n\<i\>\*x\*");
        let shown = document(&sample::matrix());
        assert!(!shown.contains('\x1b'), "{shown}");
    }
}
