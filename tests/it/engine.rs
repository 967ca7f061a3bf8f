//! What the engine once did wrong, each found by a schedule that nobody had written by hand.

use crate::lab::{count, transcript, virtual_run};
use gwtool::scenarios::Outcome;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Seen, Side};

fn run(faults: &str) -> Outcome {
    virtual_run(&format!("[s]\nsummary = \"s\"\n{faults}"), 1)
}

fn gateway_fins(outcome: &Outcome) -> usize {
    count(outcome, |saw| {
        matches!(
            saw,
            Seen::Fin {
                connection: 1,
                from: Side::Gateway,
                ..
            }
        )
    })
}

fn upgrades(outcome: &Outcome) -> usize {
    count(outcome, |saw| {
        matches!(saw, Seen::Upgraded { connection: 1, .. })
    })
}

#[test]
fn a_connection_that_ends_in_its_upgrade_gets_one_fin() {
    let outcome = run("[[s.fault]]\non = \"upgrade\"\nconnection = 1\ndo = \"eof\"\n");
    assert_eq!(
        gateway_fins(&outcome),
        1,
        "{}",
        transcript(&outcome.entries)
    );
}

#[test]
fn a_101_that_vanishes_is_not_told_as_an_upgrade() {
    let outcome = run(
        "[[s.fault]]\non = \"accept\"\nconnection = 1\ndo = \"blackhole\"\ndirection = \"to-subject\"\n",
    );
    assert_eq!(upgrades(&outcome), 0, "{}", transcript(&outcome.entries));
}

#[test]
fn an_identify_triggers_what_is_limited_to_its_shard() {
    let outcome = run("[[s.fault]]\non = \"identify\"\nshard = 0\ndo = \"reset\"\n");
    let struck = count(&outcome, |saw| matches!(saw, Seen::Struck { .. }));
    assert_eq!(struck, 1, "{}", transcript(&outcome.entries));
}

#[test]
fn a_close_that_was_held_when_its_link_fell_silent_is_told_of() {
    let outcome = run(
        "[[s.fault]]\nat = \"1I\"\ntarget = 1\ndo = \"hold\"\nfor = \"9I\"\n\
         [[s.fault]]\nat = \"6I\"\ntarget = 1\ndo = \"blackhole\"\n",
    );
    let closes = count(&outcome, |saw| {
        matches!(
            saw,
            Seen::Close {
                connection: 1,
                from: Side::Subject,
                ..
            }
        )
    });
    assert_eq!(closes, 1, "{}", transcript(&outcome.entries));
}

#[test]
fn the_answer_to_a_killed_subject_is_not_its_successors() {
    let fault = |keys: &str| format!("[[s.fault]]\n{keys}\n");
    let outcome = run(&[
        fault("on = \"request\"\nnth = 1\ndo = \"rest\"\nstatus = 500\ndelay = \"8s\""),
        fault("on = \"request\"\nnth = 2\ndo = \"rest\"\nstatus = 503\ndelay = \"6s\""),
        fault("at = \"5s\"\nfrom = \"start\"\ndo = \"subject\"\nact = \"kill\""),
        fault("at = \"6s\"\nfrom = \"start\"\ndo = \"subject\"\nact = \"start\""),
    ]
    .concat());
    // The first answer would arrive at 8 s, the second one does at 12 s; in between there is nothing to say.
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let mut entries = outcome.entries.iter();
    let stray = entries
        .find(|entry| (at(7)..at(11)).contains(&entry.at) && matches!(entry.saw, Seen::Log { .. }));
    assert_eq!(stray, None, "{}", transcript(&outcome.entries));
}

#[test]
fn a_run_does_not_wait_for_as_long_as_something_strikes_again_and_again() {
    // The REST fault waits for a request that does not come, and every strike of the other renewed its patience.
    let outcome = run(
        "[[s.fault]]\nevery = \"1.4I\"\ntimes = \"all\"\ndo = \"invalid-session\"\nresumable = true\n\
         [[s.fault]]\nat = \"1I\"\ndo = \"rest\"\nstatus = 405\n",
    );
    let ends = |saw: &Seen| matches!(saw, Seen::End { is_complete: true });
    assert_eq!(count(&outcome, ends), 1);
    let last = outcome.entries.last().expect("an end").at;
    assert!(last < Instant::ZERO + Duration::from_hours(1), "{last}");
}
