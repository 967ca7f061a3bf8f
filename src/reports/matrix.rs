//! Runs as a matrix, scenarios by subjects, and what was found by subject: for a terminal (`terminal`) and for a document
//! (`markdown`).

use super::{Report, Run, accepted_ids, failing_ids, fails, verdict, word};
use crate::oracle::{Finding, Verdict};

/// Runs by scenario and subject.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// The columns, in the order in which subjects first appear.
    pub subjects: Vec<&'a str>,
    /// A scenario and its run with each subject, if it was made.
    pub rows: Vec<(&'a str, Vec<Option<&'a Run>>)>,
}

impl<'a> Matrix<'a> {
    /// All runs of a report.
    pub fn of(report: &'a Report) -> Self {
        let mut matrix = Self {
            subjects: Vec::new(),
            rows: Vec::new(),
        };
        for run in &report.runs {
            if !matrix.subjects.contains(&&*run.subject) {
                matrix.subjects.push(&run.subject);
            }
        }
        for run in &report.runs {
            let known = matrix
                .rows
                .iter()
                .position(|(name, _)| *name == run.scenario);
            let row = known.unwrap_or_else(|| {
                let cells = vec![None; matrix.subjects.len()];
                matrix.rows.push((&run.scenario, cells));
                matrix.rows.len() - 1
            });
            let column = matrix
                .subjects
                .iter()
                .position(|name| *name == run.subject)
                .expect("every subject has a column");
            matrix.rows[row].1[column] = Some(run);
        }
        matrix
    }
}

/// What a cell says, and the verdict that gives it its colour: `None` for a run that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// In a word or by the ids of findings.
    pub text: String,
    /// How the run ended.
    pub verdict: Option<Verdict>,
}

/// The cell of a run.
pub fn cell(run: &Run, is_strict: bool) -> Cell {
    let Ok(outcome) = &run.result else {
        return Cell {
            text: "error".to_owned(),
            verdict: None,
        };
    };
    let judgement = &outcome.judgement;
    let verdict = verdict(judgement, is_strict);
    let accepted = accepted_ids(judgement);
    let accepted = (!accepted.is_empty()).then(|| format!("accepted: {}", accepted.join(", ")));
    let first = match verdict {
        Verdict::Violates => Some(failing_ids(judgement, is_strict).join(", ")),
        Verdict::Conforms if accepted.is_some() => None,
        other => Some(word(other).to_owned()),
    };
    let parts: Vec<String> = first.into_iter().chain(accepted).collect();
    Cell {
        text: parts.join("; "),
        verdict: Some(verdict),
    }
}

/// A finding of a subject's, once, with every run that had it.
#[derive(Debug)]
pub struct Group<'a> {
    /// As it was first seen.
    pub finding: &'a Finding,
    /// The runs that had it, in the order of the report.
    pub runs: Vec<&'a Run>,
}

/// The findings of a subject that fail or are accepted, each once: one that fails in one run and is accepted in another is
/// there twice.
pub fn findings<'a>(report: &'a Report, subject: &str) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for run in report.runs.iter().filter(|run| run.subject == subject) {
        let Ok(outcome) = &run.result else { continue };
        for finding in &outcome.judgement.findings {
            let is_accepted = finding.accepted.is_some();
            if !is_accepted && !fails(finding, report.is_strict) {
                continue;
            }
            let known = groups.iter_mut().find(|group| {
                group.finding.id == finding.id && group.finding.accepted == finding.accepted
            });
            match known {
                // One run may have it again and again.
                Some(group) if group.runs.iter().any(|known| std::ptr::eq(*known, run)) => {}
                Some(group) => group.runs.push(run),
                None => groups.push(Group {
                    finding,
                    runs: vec![run],
                }),
            }
        }
    }
    groups.sort_by_key(|group| group.finding.accepted.is_some());
    groups
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn cells_are_short_and_name_what_fails_first() {
        let report = sample::matrix();
        let matrix = Matrix::of(&report);
        assert_eq!(matrix.subjects, ["good", "bad"]);
        let rows: Vec<(&str, Vec<String>)> = matrix
            .rows
            .iter()
            .map(|(name, cells)| {
                let text =
                    |run: Option<&Run>| run.map_or("–".to_owned(), |run| cell(run, false).text);
                (*name, cells.iter().copied().map(text).collect())
            })
            .collect();
        let rows: Vec<(&str, Vec<&str>)> = rows
            .iter()
            .map(|(name, cells)| (*name, cells.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            rows,
            [
                ("control", vec!["conforms", "died; accepted: resume/R4"]),
                ("flap", vec!["accepted: died, resume/R4", "inconclusive"]),
                ("calm", vec!["inconclusive", "–"]),
                ("idle", vec!["–", "error"]),
            ]
        );
    }

    #[test]
    fn a_finding_is_told_once_with_its_runs() {
        let mut report = sample::report();
        let again = sample::run("again", Ok(sample::outcome(Verdict::Violates)));
        report.runs.push(again);
        let groups = findings(&report, "carbon-0.14");
        let told: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|group| {
                let scenarios = group.runs.iter().map(|run| &*run.scenario);
                (&*group.finding.id, scenarios.collect())
            })
            .collect();
        let both = || vec!["flap", "again"];
        assert_eq!(told, [("resume/R4", both()), ("died", both())]);
        assert!(findings(&report, "nobody").is_empty());
    }
}
