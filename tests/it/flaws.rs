//! The flaws of the classic client: what each of them shows in the scenarios that are said to catch it, held against the run of
//! the flawless client on the same seed.
//!
//! The self-test asks only whether a defect is caught at all. This is the list of where each flaw is seen, and as what: a
//! scenario that has lost its grip on one of them is found here.

use crate::lab;
use gwtool::scenarios::{Scenario, catalogue};
use gwtool::subjects::Name;
use gwtool::subjects::classic::{Classic, Config, Flaw};
use gwtool::trace::Clock;
use std::collections::BTreeSet;

/// In how many of the runs a finding has to be.
#[derive(Clone, Copy)]
enum In {
    /// The schedule leads there whatever the seed.
    Each,
    /// It takes a seed that draws the first beat, or the order of what is due at once, in a certain way.
    Some,
}

/// How many seeds each row is run with.
const SEEDS: u64 = 8;

/// What a flaw adds to a run of a scenario.
const SHOWN: &[(Flaw, &str, In, &[&str])] = &[
    // One ACK that is missing condemns every connection that follows.
    (
        Flaw::AckFlagSurvives,
        "ack-lost-then-drop",
        In::Each,
        &["loop", "early"],
    ),
    (
        Flaw::AckFlagSurvives,
        "one-missed-ack",
        In::Each,
        &["loop", "early"],
    ),
    // The same, and one I later the timer that nobody owns.
    (
        Flaw::OrphanInterval,
        "ack-lost-then-drop",
        In::Each,
        &["died", "early"],
    ),
    (
        Flaw::OrphanInterval,
        "zombie-race",
        In::Each,
        &["died", "early"],
    ),
    // An ACK that was in time is not there at the tick.
    (
        Flaw::FixedTickAckCheck,
        "ack-on-the-boundary",
        In::Each,
        &["early"],
    ),
    (
        Flaw::FixedTickAckCheck,
        "slow-but-legal-acks",
        In::Some,
        &["early"],
    ),
    // A Close that nobody answers is waited for, for ever.
    (
        Flaw::WaitsForCloseHandshake,
        "half-open-blackhole",
        In::Each,
        &["gave-up", "close/X7"],
    ),
    (
        Flaw::WaitsForCloseHandshake,
        "late-close-of-old-socket",
        In::Each,
        &["gave-up", "close/X7"],
    ),
    (
        Flaw::WaitsForCloseHandshake,
        "write-block",
        In::Each,
        &["gave-up"],
    ),
    // The old socket's end takes the new one with it; the old heartbeat comes before HELLO.
    (
        Flaw::UnscopedCallbacks,
        "late-close-of-old-socket",
        In::Each,
        &["early"],
    ),
    (
        Flaw::UnscopedCallbacks,
        "late-close-of-old-socket/reset",
        In::Each,
        &["early"],
    ),
    (
        Flaw::UnscopedCallbacks,
        "late-hello-across-beat",
        In::Each,
        &["connect/C4"],
    ),
    // Two reconnects for one loss.
    (
        Flaw::DoubleReconnect,
        "one-missed-ack",
        In::Each,
        &["double"],
    ),
    (Flaw::DoubleReconnect, "op7-plain", In::Each, &["double"]),
    (
        Flaw::DoubleReconnect,
        "op7-then-close-race",
        In::Each,
        &["double"],
    ),
    (Flaw::DoubleReconnect, "op7-early", In::Each, &["double"]),
    (
        Flaw::DoubleReconnect,
        "signals-at-once",
        In::Each,
        &["double"],
    ),
    (Flaw::DoubleReconnect, "resume-soak", In::Each, &["double"]),
    (
        Flaw::ResumeForever,
        "resume-refused-1005",
        In::Each,
        &["hung"],
    ),
    (Flaw::ResumeForever, "resume-silence", In::Each, &["hung"]),
    // A gateway that opens and closes is met again and again without a growing wait.
    (
        Flaw::BackoffResetOnOpen,
        "open-close-storm/before-hello-1006",
        In::Each,
        &["reconnect/B1"],
    ),
    (
        Flaw::BackoffResetOnOpen,
        "open-close-storm/after-identify-1000",
        In::Each,
        &["reconnect/B1"],
    ),
    (
        Flaw::BackoffResetOnOpen,
        "op9-repeated/resumed",
        In::Some,
        &["reconnect/B1"],
    ),
    (
        Flaw::NoBackoffOnConnectError,
        "refused-then-back",
        In::Each,
        &["reconnect/B1"],
    ),
    (
        Flaw::NoBackoffOnConnectError,
        "open-close-storm/before-hello-1000",
        In::Each,
        &["reconnect/B1"],
    ),
    (
        Flaw::NoBackoffOnConnectError,
        "identify-budget/used-up",
        In::Each,
        &["identify/I6"],
    ),
    // A session that could have been resumed is burnt.
    (
        Flaw::NeverResumes,
        "one-missed-ack",
        In::Each,
        &["identifies"],
    ),
    (Flaw::NeverResumes, "op7-plain", In::Each, &["resume/R5"]),
    (
        Flaw::NeverResumes,
        "op9-true-mid-session",
        In::Each,
        &["resume/R6"],
    ),
    (
        Flaw::NeverResumes,
        "resumable-code-sweep/4000",
        In::Each,
        &["resume/R4"],
    ),
    (
        Flaw::NeverResumes,
        "flaky-resume-url",
        In::Each,
        &["close/X3"],
    ),
    // The second connection cannot be read with the context of the first.
    (
        Flaw::SharedInflate,
        "zlib-across-reconnect",
        In::Each,
        &["early", "connect/C8"],
    ),
    (
        Flaw::SharedInflate,
        "zlib-across-reconnect/zstd",
        In::Each,
        &["early", "connect/C8"],
    ),
    // One heartbeat more with every reconnect.
    (
        Flaw::PerReconnectLeak,
        "ack-on-the-boundary",
        In::Each,
        &["heartbeat/H3"],
    ),
    (
        Flaw::PerReconnectLeak,
        "resume-soak",
        In::Each,
        &["heartbeat/H3", "hung"],
    ),
    (
        Flaw::PerReconnectLeak,
        "resume-soak/stopped",
        In::Each,
        &["heartbeat/H3", "leak"],
    ),
];

/// What is found in a run.
fn found(scenario: &Scenario, seed: u64, flaw: Option<Flaw>) -> BTreeSet<String> {
    let plan = lab::plan(scenario.clone(), Name::Classic, seed, Clock::Virtual);
    let settings = plan.scenario.settings;
    let allowances = plan.subject.allowances(&settings, plan.interval);
    let judgement = lab::run_machine(&plan, "classic", allowances, |_, token, draw| {
        let config = Config {
            flaw,
            attempts: settings.attempts,
            compress: settings.compress,
            ..Config::new(token.clone())
        };
        Box::new(Classic::new(config, draw))
    });
    let findings = judgement.findings.into_iter();
    findings.map(|finding| finding.id).collect()
}

#[test]
fn every_flaw_shows_where_it_is_said_to_and_its_control_does_not() {
    let all = catalogue::shipped(Clock::Virtual);
    let mut wrong = Vec::new();
    for (flaw, name, how_often, ids) in SHOWN {
        let scenario = all.iter().find(|scenario| scenario.name == *name);
        let scenario = scenario.unwrap_or_else(|| panic!("`{name}` is shipped"));
        let runs = (0..SEEDS).map(|seed| {
            let flawed = found(scenario, seed, Some(*flaw));
            let control = found(scenario, seed, None);
            let added: BTreeSet<String> = flawed.difference(&control).cloned().collect();
            (ids.iter().all(|id| added.contains(*id)), added)
        });
        let runs: Vec<(bool, BTreeSet<String>)> = runs.collect();
        let shown = runs.iter().filter(|(is_shown, _)| *is_shown).count();
        let is_fine = match how_often {
            In::Each => shown == runs.len(),
            In::Some => shown > 0,
        };
        if !is_fine {
            wrong.push(format!(
                "{flaw:?} in {name}: {ids:?} in {shown} runs of {runs:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_flaw_is_in_the_list() {
    let is_listed = |flaw: &Flaw| SHOWN.iter().any(|(shown, ..)| shown == flaw);
    let flaws = Flaw::ALL.into_iter();
    let missing: Vec<Flaw> = flaws.filter(|flaw| !is_listed(flaw)).collect();
    assert_eq!(missing, []);
}
