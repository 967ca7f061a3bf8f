//! The two sound subjects over many seeds of every scenario: a sound client conforms, whatever the seed.
//!
//! `GWTOOL_SWEEP_SEEDS` says how many seeds; the usual number is a sample. A seed that ever failed has a test of its own below.

use crate::runs::{failing, for_seeds, ms, name, plan, run};
use gwtool::oracle::Verdict;
use gwtool::protocol::Compression;
use gwtool::scenarios::runner::Plan;
use gwtool::scenarios::{Scenario, catalogue};
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::Clock;
use std::env;

/// How many seeds, unless the environment says otherwise.
const SEEDS: u64 = 40;

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no arguments: how far it goes is said in the environment"
)]
fn seeds() -> u64 {
    env::var("GWTOOL_SWEEP_SEEDS").map_or(SEEDS, |text| {
        let seeds = text.parse().expect("GWTOOL_SWEEP_SEEDS is a number");
        assert!(seeds > 1, "a sweep is over more than one seed");
        seeds
    })
}

/// What is wrong with a run, if it does not conform.
fn fault_of(plan: &Plan) -> Option<String> {
    // The classic client does not shard.
    let mut needs = plan.scenario.needs.iter();
    if plan.subject != Name::Gwtool.into() && needs.any(|need| !plan.subject.can(*need)) {
        return None;
    }
    let outcome = run(plan);
    let judgement = &outcome.judgement;
    (judgement.verdict != Verdict::Conforms).then(|| {
        let (name, fails) = (name(plan), failing(&outcome).join(", "));
        format!(
            "{name}: {:?} {fails} {:?}",
            judgement.verdict, judgement.reasons
        )
    })
}

/// Every scenario over so many seeds, at its own interval or this one.
#[track_caller]
fn sweep(subject: Name, seeds: u64, interval: Option<Duration>) {
    let all = catalogue::shipped(Clock::Virtual);
    sweep_of(subject, seeds, interval, &all);
}

#[track_caller]
fn sweep_of(subject: Name, seeds: u64, interval: Option<Duration>, all: &[Scenario]) {
    let faults = for_seeds(seeds, |seed| {
        let plans = all.iter().map(|scenario| plan(scenario, subject, seed));
        let at_interval = plans.map(|plan| Plan {
            interval: interval.unwrap_or(plan.interval),
            ..plan
        });
        at_interval
            .filter_map(|plan| fault_of(&plan))
            .collect::<Vec<_>>()
    });
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    assert!(
        faults.is_empty(),
        "{} runs of {} do not conform:\n{}",
        faults.len(),
        seeds * all.len() as u64,
        faults.join("\n")
    );
}

#[track_caller]
fn sweep_at_other_intervals(subject: Name) {
    for interval in [ms(300), ms(500), ms(2_000), ms(600_000)] {
        sweep(subject, seeds().div_ceil(4).max(2), Some(interval));
    }
}

#[test]
fn our_client_conforms_in_every_scenario() {
    sweep(Name::Gwtool, seeds(), None);
}

#[test]
fn our_client_conforms_in_every_scenario_at_other_intervals() {
    sweep_at_other_intervals(Name::Gwtool);
}

#[test]
fn the_classic_client_conforms_in_every_scenario() {
    sweep(Name::Classic, seeds(), None);
}

#[test]
fn the_classic_client_conforms_in_every_scenario_at_other_intervals() {
    sweep_at_other_intervals(Name::Classic);
}

#[track_caller]
fn sweep_compressed(subject: Name) {
    for compress in [
        Compression::ZlibStream,
        Compression::ZstdStream,
        Compression::Payload,
    ] {
        let mut all = catalogue::shipped(Clock::Virtual);
        // A scenario about one compression says nothing about another.
        all.retain(|scenario| scenario.settings.compress == Compression::None);
        for scenario in &mut all {
            scenario.settings.compress = compress;
        }
        sweep_of(subject, seeds().div_ceil(10).max(2), None, &all);
    }
}

#[test]
fn our_client_conforms_in_every_scenario_whatever_is_compressed() {
    sweep_compressed(Name::Gwtool);
}

#[test]
fn the_classic_client_conforms_in_every_scenario_whatever_is_compressed() {
    sweep_compressed(Name::Classic);
}

// ---- Seeds that failed once ----

#[track_caller]
fn conforms(scenario: &str, seed: u64, interval: Duration) {
    let all = catalogue::shipped(Clock::Virtual);
    let scenario = (all.iter().find(|known| known.name == scenario)).expect("it is shipped");
    let plan = Plan {
        interval,
        ..plan(scenario, Name::Gwtool, seed)
    };
    if let Some(fault) = fault_of(&plan) {
        panic!("{fault}");
    }
}

// The ACK of 0.9 I and the way there and back were more than I together: links at a short I are shorter now.

#[test]
fn seed_0x0_of_slow_but_legal_acks_at_300_ms() {
    conforms("slow-but-legal-acks", 0x0, ms(300));
}

#[test]
fn seed_0xd_of_ack_on_the_boundary_at_300_ms() {
    conforms("ack-on-the-boundary", 0xd, ms(300));
}

// The session had timed out before a client could know that its connection was dead.

#[test]
fn seed_0x1_of_flap_at_10_minutes() {
    conforms("flap", 0x1, ms(600_000));
}
