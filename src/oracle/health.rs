//! Health: what the subject says when it is asked how it is.
//!
//! While things go wrong a subject may say that it is unwell, and even have no time to answer. What counts is what it says when
//! it has had the time to recover: at the end of the watch it is well again, and no later than its recovery was due. Of a
//! subject that was never well before anything struck, nothing can be said.

use crate::time::{Duration, Instant, show};
use crate::trace::HealthAnswer;
use std::collections::VecDeque;

/// Answers that are kept as evidence.
const ANSWERS_MAX: usize = 3;

/// What the subject said so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The last answers in words.
    answers: VecDeque<String>,
    /// The last answer, if it was a bad one: in words, when it came, and how many there were in a row.
    bad: Option<(String, Instant, u32)>,
    /// When the last bad answer that was not a single one was asked for, whatever came after it.
    last_bad: Option<Instant>,
    /// Whether a good one has come since something struck, or at all.
    was_well_since: bool,
    /// Whether it said that it was well before anything struck.
    was_well_before: bool,
    has_struck: bool,
}

/// What there is to say at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ailment {
    /// It was not well at the end, or too late.
    Ill {
        /// What was seen.
        seen: String,
        /// When.
        at: Instant,
        /// The last answers, a line each.
        answers: Vec<String>,
    },
    /// It had not been well before; this is what was seen last.
    Always(String),
}

impl Health {
    /// Something struck.
    pub(super) const fn struck(&mut self) {
        self.has_struck = true;
        self.was_well_since = false;
    }

    /// An answer has come, or its time is over.
    pub(super) fn answered(&mut self, answer: &HealthAnswer, took: Duration, now: Instant) {
        let words = match answer {
            HealthAnswer::Well => "well".to_owned(),
            HealthAnswer::Ill(text) => format!("not well: {text}"),
            HealthAnswer::Silent(text) => format!("no answer: {text}"),
        };
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        let words = super::words::cut(&words, super::words::LINE_MAX);
        self.answers
            .push_back(format!("health at {now}: {words} (after {})", show(took)));
        if *answer == HealthAnswer::Well {
            self.was_well_since = true;
            self.was_well_before |= !self.has_struck;
            self.bad = None;
            return;
        }
        let asked = now.before(took);
        let row = self.bad.as_ref().map_or(0, |(_, _, row)| *row);
        self.bad = Some((words, now, row + 1));
        if row > 0 || !self.was_well_since {
            self.last_bad = Some(asked);
        }
    }

    /// The watch is over, and the subject should be well.
    pub(super) fn ailment(&self, bound: Option<Instant>) -> Option<Ailment> {
        let answers = self.answers.iter().cloned().collect();
        let found = match &self.bad {
            // A single bad answer among good ones may be that of a busy machine.
            Some((words, at, row)) if *row > 1 || !self.was_well_since => {
                let seen = format!("was not well at the end: {words}");
                let at = *at;
                Some(Ailment::Ill { seen, at, answers })
            }
            _ => {
                let late = self.last_bad.filter(|at| bound.is_some_and(|b| *at > b));
                late.map(|at| {
                    let seen = format!("was still not well at {at}");
                    Ailment::Ill { seen, at, answers }
                })
            }
        }?;
        Some(if self.was_well_before {
            found
        } else {
            Ailment::Always(self.answers.back().cloned().unwrap_or_default())
        })
    }
}
