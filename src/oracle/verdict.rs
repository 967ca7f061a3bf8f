//! The verdict: what findings, faults that never struck and gaps in the evidence come to (SEMANTICS.md, "Verdict").

use super::view::Progress;
use super::{Effect, Finding, Verdict};
use crate::fault::Trigger;
use crate::time::show;

/// The verdict and its reasons. `gaps` says why the run could not be judged in full.
///
/// What is accepted fails nothing. It may well be why a fault had nothing left to strike, so that with it none is missed.
pub(super) fn weigh(
    findings: &[Finding],
    faults: &[Progress],
    gaps: Vec<String>,
) -> (Verdict, Vec<String>) {
    let mut failing = findings
        .iter()
        .filter(|finding| finding.effect == Effect::Fails)
        .peekable();
    let is_excused = failing.peek().is_some();
    if failing.any(|finding| finding.accepted.is_none()) {
        return (Verdict::Violates, Vec::new());
    }
    if is_excused {
        let verdict = if gaps.is_empty() {
            Verdict::Conforms
        } else {
            Verdict::Inconclusive
        };
        return (verdict, gaps);
    }
    let mut reasons = gaps;
    for (place, fault) in faults.iter().enumerate() {
        if is_owed(fault, faults) {
            reasons.push(format!("{} never struck", describe(place, fault)));
        }
    }
    if !reasons.is_empty() {
        return (Verdict::Inconclusive, reasons);
    }
    if is_untouched(faults) {
        let reason = "nothing struck, and nothing had to".to_owned();
        return (Verdict::NotJudged, vec![reason]);
    }
    (Verdict::Conforms, Vec::new())
}

/// Whether the schedule had nothing to do with this subject: nothing struck, and nothing had to.
pub(super) fn is_untouched(faults: &[Progress]) -> bool {
    let is_spared = |f: &Progress| f.scheduled.is_skipped || f.scheduled.fault.optional.is_some();
    let has_struck = faults.iter().any(|fault| fault.has_struck);
    !faults.is_empty() && !has_struck && faults.iter().all(is_spared)
}

/// Whether a fault should have struck and did not.
fn is_owed(fault: &Progress, faults: &[Progress]) -> bool {
    let drawn = &fault.scheduled.fault;
    let by_another = || {
        let same = |other: &&Progress| other.scheduled.fault.group == drawn.group;
        drawn.group.is_some() && faults.iter().filter(same).any(|other| other.has_struck)
    };
    !fault.has_struck && !fault.scheduled.is_skipped && drawn.optional.is_none() && !by_another()
}

/// A fault as a reason names it.
fn describe(place: usize, fault: &Progress) -> String {
    let drawn = &fault.scheduled.fault;
    let when = match &drawn.trigger {
        Trigger::At { after, .. } => format!("at {}", show(*after)),
        Trigger::Every { period, .. } => format!("every {}", show(*period)),
        Trigger::On {
            event,
            nth,
            connection,
            ..
        } => {
            let nth = nth.map_or_else(String::new, |nth| format!(" {nth}"));
            let on = connection.map_or_else(String::new, |number| format!(" of #{number}"));
            format!("on {event}{nth}{on}")
        }
    };
    format!("fault {} ({}, {when})", place + 1, drawn.action.word())
}
