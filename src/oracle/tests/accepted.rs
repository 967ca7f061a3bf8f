//! What known findings do to a verdict.

use super::tape::Tape;
use crate::expect::Accepted;
use crate::fault::Action;
use crate::oracle::{Judgement, Verdict};
use crate::trace::Seen;

/// A run that dies before its second fault could strike, with these findings known.
fn dying(known: &[&str]) -> Tape {
    let mut tape = Tape::conforming();
    tape.fault(Action::Reset);
    tape.without(|at, _| at > 200_000);
    let message = "zombie".to_owned();
    tape.see(200_000, Seen::Died { message });
    knowing(tape, known)
}

fn knowing(mut tape: Tape, known: &[&str]) -> Tape {
    let why = Accepted {
        reason: "reported".to_owned(),
        link: Some("https://a.test/1".to_owned()),
    };
    tape.known = known
        .iter()
        .map(|id| ((*id).to_owned(), why.clone()))
        .collect();
    tape
}

fn accepted(judgement: &Judgement) -> Vec<&str> {
    let findings = judgement.findings.iter();
    findings
        .filter(|finding| finding.accepted.is_some())
        .map(|finding| &*finding.id)
        .collect()
}

#[test]
fn a_known_death_fails_nothing_and_explains_what_never_struck() {
    assert_eq!(dying(&[]).judged().verdict, Verdict::Violates);
    assert_eq!(dying(&["hung"]).judged().verdict, Verdict::Violates);
    let judgement = dying(&["died"]).judged();
    assert_eq!(accepted(&judgement), ["died"]);
    assert_eq!(
        (judgement.verdict, judgement.reasons.len()),
        (Verdict::Conforms, 0)
    );
}

#[test]
fn one_finding_that_is_not_known_is_enough_to_fail() {
    let mut tape = dying(&["died"]);
    let place = "its log".to_owned();
    tape.see(1000, Seen::TokenShown { place });
    let judgement = tape.judged();
    assert_eq!(accepted(&judgement), ["died"]);
    assert_eq!(judgement.verdict, Verdict::Violates);
}

#[test]
fn what_could_not_be_watched_stays_inconclusive() {
    let judgement = dying(&["died"]).judged_as_it_is();
    assert_eq!(accepted(&judgement), ["died"]);
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (
            Verdict::Inconclusive,
            vec!["the trace ends before the watch does".to_owned()]
        )
    );
}

/// Nothing failed that the acceptance could excuse.
#[test]
fn an_acceptance_without_its_finding_excuses_nothing() {
    let mut tape = Tape::conforming();
    tape.fault(Action::Reset);
    let judgement = knowing(tape, &["died"]).judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(accepted(&judgement).is_empty());
}
