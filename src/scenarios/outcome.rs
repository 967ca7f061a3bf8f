//! What a run leaves behind, for the reports and for the exit code.

use crate::oracle::Judgement;
use crate::time::Duration;
use crate::trace::{Entry, Header};

/// What a run leaves behind.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Scenario, seed, clock, subject, drawn schedule.
    pub header: Header,
    /// What the judge said.
    pub judgement: Judgement,
    /// Every entry of the trace, where it was asked to be kept.
    pub entries: Vec<Entry>,
    /// How long the run took on the wall clock.
    pub took: Duration,
    /// How it ended.
    pub ending: Ending,
    /// How often it was repeated because gwtool's own timers were late.
    pub repeats: u32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ending {
    /// It was watched to its end.
    #[default]
    Complete,
    /// The user wanted an end.
    Interrupted,
    /// It took longer than it was given.
    TimedOut,
    /// It was never begun, since the subject was not well before anything was done to it.
    NotMade,
}
