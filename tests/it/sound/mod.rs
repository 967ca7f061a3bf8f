//! The control of the judge: sound clients with other habits than gwtool's own conform in every scenario of the catalogue.
//!
//! A false alarm costs more than a missed bug. These clients are modelled on what widely used libraries do where Discord
//! leaves a choice; they get the allowances of a program that says nothing of itself. A finding that fails one of them is a
//! mistake of the judge's or of the catalogue's.

mod client;

use crate::lab;
use client::{Habits, Sound};
use gwtool::expect::Allowances;
use gwtool::oracle::Verdict;
use gwtool::protocol::CloseCode;
use gwtool::scenarios::catalogue;
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::Clock;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Goes on with its socket where it can, and waits for every close.
const PATIENT: Habits = Habits {
    name: "patient",
    beats_at_once: true,
    skips_hello: false,
    resumes_on_main: true,
    close: Some(CloseCode(4200)),
    close_within: secs(30),
    awaits_end: true,
    keeps_after_op9: true,
    missed_max: 1,
    takes_any_sign: false,
    resumes_max: 1,
    forgets_at_1000: false,
    forgets_at_failure: false,
    delay: (Duration::from_millis(500), Duration::from_millis(500)),
    delay_grows: false,
    patience: [secs(30), secs(60), secs(60)],
};

/// Takes any frame for a sign of life, and waits for nothing that it need not wait for.
const LENIENT: Habits = Habits {
    name: "lenient",
    beats_at_once: false,
    skips_hello: true,
    resumes_on_main: false,
    close: Some(CloseCode(4000)),
    close_within: secs(5),
    awaits_end: false,
    keeps_after_op9: false,
    missed_max: 2,
    takes_any_sign: true,
    resumes_max: 5,
    forgets_at_1000: false,
    forgets_at_failure: false,
    delay: (secs(1), secs(5)),
    delay_grows: false,
    patience: [secs(30), secs(66), secs(66)],
};

/// Drops its sockets, and starts anew at the first doubt.
const ABRUPT: Habits = Habits {
    name: "abrupt",
    beats_at_once: false,
    skips_hello: false,
    resumes_on_main: false,
    close: None,
    close_within: secs(10),
    awaits_end: false,
    keeps_after_op9: false,
    missed_max: 1,
    takes_any_sign: false,
    resumes_max: 3,
    forgets_at_1000: true,
    forgets_at_failure: true,
    delay: (secs(1), secs(30)),
    delay_grows: true,
    patience: [secs(10), secs(20), secs(60)],
};

/// Runs the whole catalogue, and tells every run that does not conform.
fn assert_conforms(habits: Habits, seeds: std::ops::Range<u64>) {
    let mut bad = Vec::new();
    for scenario in catalogue::shipped(Clock::Virtual) {
        for seed in seeds.clone() {
            let plan = lab::plan(scenario.clone(), Name::Gwtool, seed, Clock::Virtual);
            let allowances = Allowances::of_a_program(plan.interval);
            let judgement = lab::run_machine(&plan, habits.name, allowances, |to, token, draw| {
                Box::new(Sound::new(habits, to, token, draw))
            });
            if judgement.verdict != Verdict::Conforms {
                let told = judgement.findings.iter();
                let told = told.filter(|finding| finding.effect == gwtool::oracle::Effect::Fails);
                let told: Vec<String> = told
                    .map(|f| {
                        format!(
                            "\n    {} at {} {}; expected {}",
                            f.id, f.at, f.seen, f.expected
                        )
                    })
                    .collect();
                let reasons = judgement.reasons.join("; ");
                bad.push(format!(
                    "{} at seed {seed}: {:?} {reasons}{}",
                    scenario.name,
                    judgement.verdict,
                    told.concat()
                ));
            }
        }
    }
    assert!(
        bad.is_empty(),
        "{} of {}\n{}",
        bad.len(),
        habits.name,
        bad.join("\n")
    );
}

/// Seeds of each scenario: jitter, latency and the order at one instant differ.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("SOUND_SEEDS").map_or(8, |n| n.parse().unwrap())
}

#[test]
fn a_client_that_waits_for_every_close_conforms() {
    assert_conforms(PATIENT, seeds());
}

#[test]
fn a_client_that_takes_any_frame_for_a_sign_of_life_conforms() {
    assert_conforms(LENIENT, seeds());
}

#[test]
fn a_client_that_drops_its_sockets_conforms() {
    assert_conforms(ABRUPT, seeds());
}
