//! A bot of several shards: they log in and come back one by one as their rate limit keys allow, whatever happens to all of
//! them at once.

use crate::lab;
use crate::runs::{failing, for_seeds, ms, name, plan, scenarios, traced};
use gwtool::oracle::Verdict;
use gwtool::protocol::Opcode;
use gwtool::scenarios::Outcome;
use gwtool::scenarios::runner::Plan;
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Seen, Side};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many seeds.
const SEEDS: u64 = 100;

/// Four shards, and what befalls them all.
fn text(concurrency: u32, fault: &str) -> String {
    format!(
        "[case]\nsummary = \"a test\"\nshards = 4\ntraffic = {{ every = \"0.3I\" }}\n\
         enforce = {{ max_concurrency = {concurrency} }}\n[[case.fault]]\nat = \"2I\"\n{fault}\n"
    )
}

/// Which shard sent IDENTIFY, and when.
fn identifies(outcome: &Outcome) -> Vec<(u32, Instant)> {
    #[derive(Deserialize)]
    struct Identify {
        shard: [u32; 2],
    }
    let sent = outcome.entries.iter().filter_map(|entry| match &entry.saw {
        Seen::Frame {
            from: Side::Subject,
            op: Opcode::IDENTIFY,
            d,
            ..
        } => {
            let identify: Identify = d.read().expect("a shard names itself");
            assert_eq!(identify.shard[1], 4);
            Some((identify.shard[0], entry.at))
        }
        _ => None,
    });
    sent.collect()
}

/// What is wrong with a run: it does not conform, or two of one key were closer than 5 s.
fn fault_of(outcome: &Outcome, concurrency: u32, expected: Option<(usize, u32)>) -> Option<String> {
    let sent = identifies(outcome);
    let mut last: BTreeMap<u32, Instant> = BTreeMap::new();
    for (shard, at) in &sent {
        if let Some(before) = last.insert(shard % concurrency, *at)
            && *at < before + Duration::from_secs(5)
        {
            return Some(format!("IDENTIFY of shard {shard} at {at}, after {before}"));
        }
    }
    let judgement = &outcome.judgement;
    let found = (sent.len(), judgement.counts.resumes);
    if let Some(expected) = expected
        && found != expected
    {
        return Some(format!("expected {expected:?} logins, found {found:?}"));
    }
    let fails = failing(outcome).join(", ");
    (judgement.verdict != Verdict::Conforms)
        .then(|| format!("{:?} {fails} {:?}", judgement.verdict, judgement.reasons))
}

#[track_caller]
fn check(concurrency: u32, fault: &str, expected: (usize, u32)) {
    let scenario = &scenarios(&text(concurrency, fault))[0];
    let usual = plan(scenario, Name::Gwtool, 0).interval;
    // At a short interval it strikes while the last shards have not had their turn: how many logins there are, depends.
    for (interval, seeds) in [
        (usual, SEEDS),
        (ms(300), SEEDS / 5),
        (ms(600_000), SEEDS / 5),
    ] {
        let faults = for_seeds(seeds, |seed| {
            let plan = Plan {
                interval,
                ..plan(scenario, Name::Gwtool, seed)
            };
            let expected = (interval == usual).then_some(expected);
            let fault = fault_of(&traced(&plan), concurrency, expected);
            fault.map(|fault| format!("{}: {fault}", name(&plan)))
        });
        let faults: Vec<String> = faults.into_iter().flatten().collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn all_shards_are_resumed_at_once_after_a_reset_of_all() {
    for concurrency in [1, 2] {
        check(concurrency, "do = \"reset\"", (4, 4));
    }
}

#[test]
fn all_shards_begin_anew_one_by_one_when_all_sessions_are_invalid() {
    for concurrency in [1, 2] {
        let fault = "do = \"invalid-session\"\nresumable = false";
        check(concurrency, fault, (8, 0));
    }
}

#[test]
fn a_stop_ends_every_shard_and_nothing_comes_after_it() {
    for seed in 0..10 {
        let text = text(1, "do = \"subject\"\nact = \"stop\"")
            .replace("shards = 4", "shards = 4\nends = \"stopped\"");
        let outcome = lab::virtual_run(&text, seed);
        lab::assert_conforms(&outcome);
        let stops = lab::count(&outcome, |saw| matches!(saw, Seen::Stopped { .. }));
        assert_eq!(stops, 1);
    }
}

#[test]
fn a_fatal_code_on_one_shard_ends_the_bot() {
    for seed in 0..10 {
        let fault = "shard = 2\ndo = \"close\"\ncode = 4004";
        let text = text(2, fault).replace("shards = 4", "shards = 4\nends = \"stopped\"");
        let outcome = lab::virtual_run(&text, seed);
        lab::assert_conforms(&outcome);
        let reason = outcome.entries.iter().find_map(|entry| match &entry.saw {
            Seen::Stopped { reason } => reason.clone(),
            _ => None,
        });
        let reason = reason.expect("nobody asked for it");
        assert!(
            reason.starts_with("shard 2: closed by the gateway with 4004"),
            "{reason}"
        );
    }
}

#[test]
fn shards_come_back_on_the_wall_clock_as_well() {
    let text = text(4, "do = \"reset\"").replace("shards = 4", "shards = 4\ninterval = \"1s\"");
    let scenario = lab::scenario(&text, Clock::Real);
    let outcome = lab::run(&lab::plan(scenario, Name::Gwtool, 3, Clock::Real));
    lab::assert_conforms(&outcome);
    assert_eq!(outcome.judgement.counts.resumes, 4);
}
