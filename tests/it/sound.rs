//! The control of the judge: sound clients with other habits than gwtool's own conform in every scenario of the catalogue.
//!
//! A false alarm costs more than a missed bug. These clients are modelled on what widely used libraries do where Discord
//! leaves a choice; they get the allowances of a program that says nothing of itself. A finding that fails one of them is a
//! mistake of the judge's or of the catalogue's.

use crate::lab;
use gwtool::expect::Allowances;
use gwtool::oracle::{Effect, Verdict};
use gwtool::protocol::CloseCode;
use gwtool::scenarios::runner::usual_interval;
use gwtool::scenarios::{Scenario, catalogue};
use gwtool::seed::{Draw, Seed, Stream};
use gwtool::subjects::Name;
use gwtool::subjects::classic::{Classic, Config, Habits, Patience};
use gwtool::time::Duration;
use gwtool::trace::{Clock, Seen};
use std::ops::Range;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How long is waited for a connect, for HELLO, and for READY or RESUMED.
const fn patience(connect: u64, hello: u64, ready: u64) -> Patience {
    Patience {
        connect: secs(connect),
        hello: secs(hello),
        ready: secs(ready),
        ..Habits::USUAL.patience
    }
}

/// Goes on with its socket where it can, and waits for every close.
const PATIENT: Habits = Habits {
    beats_at_once: true,
    skips_hello: false,
    resumes_on_main: true,
    close: Some(CloseCode(4200)),
    close_within: secs(30),
    awaits_end: true,
    keeps_after_op9: true,
    op9_wait: (secs(0), secs(0)),
    missed_max: 1,
    takes_any_sign: false,
    resumes_max: 1,
    forgets_at_1000: false,
    forgets_at_failure: false,
    delay: (Duration::from_millis(500), Duration::from_millis(500)),
    delay_grows: false,
    patience: patience(30, 60, 60),
};

/// Takes any frame for a sign of life, and waits for nothing that it need not wait for.
const LENIENT: Habits = Habits {
    beats_at_once: false,
    skips_hello: true,
    resumes_on_main: false,
    close: Some(CloseCode(4000)),
    close_within: secs(5),
    awaits_end: false,
    keeps_after_op9: false,
    op9_wait: (secs(5), secs(5)),
    missed_max: 2,
    takes_any_sign: true,
    resumes_max: 5,
    forgets_at_1000: false,
    forgets_at_failure: false,
    delay: (secs(1), secs(5)),
    delay_grows: false,
    patience: patience(30, 66, 66),
};

/// Drops its sockets, and starts anew at the first doubt.
const ABRUPT: Habits = Habits {
    beats_at_once: false,
    skips_hello: false,
    resumes_on_main: false,
    close: None,
    close_within: secs(10),
    awaits_end: false,
    keeps_after_op9: false,
    op9_wait: (secs(1), secs(5)),
    missed_max: 1,
    takes_any_sign: false,
    resumes_max: 3,
    forgets_at_1000: true,
    forgets_at_failure: true,
    delay: (secs(1), secs(30)),
    delay_grows: true,
    patience: patience(10, 20, 60),
};

/// Habits taken at random from the three.
fn mixture(draw: &mut Draw) -> Habits {
    let mut pick = || [PATIENT, LENIENT, ABRUPT][usize::try_from(draw.below(3)).unwrap()];
    // What belongs together stays together: a dropped socket has no end to wait for, growth needs its bounds.
    let (close, delay) = (pick(), pick());
    Habits {
        beats_at_once: pick().beats_at_once,
        skips_hello: pick().skips_hello,
        resumes_on_main: pick().resumes_on_main,
        close: close.close,
        close_within: close.close_within,
        awaits_end: close.awaits_end,
        keeps_after_op9: pick().keeps_after_op9,
        op9_wait: pick().op9_wait,
        missed_max: pick().missed_max,
        takes_any_sign: pick().takes_any_sign,
        resumes_max: pick().resumes_max,
        forgets_at_1000: pick().forgets_at_1000,
        forgets_at_failure: pick().forgets_at_failure,
        delay: delay.delay,
        delay_grows: delay.delay_grows,
        patience: pick().patience,
    }
}

/// Runs the whole catalogue, and tells every run that does not conform.
fn check(habits: Habits, interval: Duration, seeds: Range<u64>) -> Vec<String> {
    let mut bad = Vec::new();
    let has_one_shard = |scenario: &Scenario| scenario.settings.shards == 1;
    let all = catalogue::shipped(Clock::Virtual).into_iter();
    for scenario in all.filter(has_one_shard) {
        for seed in seeds.clone() {
            let mut plan = lab::plan(scenario.clone(), Name::Gwtool, seed, Clock::Virtual);
            plan.interval = interval;
            let allowances = Allowances::of_a_program(plan.interval);
            let judgement = lab::run_machine(&plan, "sound", allowances, |_, token, draw| {
                let settings = plan.scenario.settings;
                let config = Config {
                    habits,
                    attempts: settings.attempts,
                    compress: settings.compress,
                    ..Config::new(token.clone())
                };
                Box::new(Classic::new(config, draw))
            });
            if judgement.verdict != Verdict::Conforms {
                let told = judgement.findings.iter();
                let told = told.filter(|finding| finding.effect == Effect::Fails);
                let told = told.map(|f| {
                    format!(
                        "\n    {} at {} {}; expected {}",
                        f.id, f.at, f.seen, f.expected
                    )
                });
                bad.push(format!(
                    "{} at seed {seed}: {:?} {}{}",
                    scenario.name,
                    judgement.verdict,
                    judgement.reasons.join("; "),
                    told.collect::<String>()
                ));
            }
        }
    }
    bad
}

#[track_caller]
fn assert_conforms(habits: Habits) {
    let bad = check(habits, usual_interval(Clock::Virtual), 0..20);
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn a_client_that_waits_for_every_close_conforms() {
    assert_conforms(PATIENT);
}

#[test]
fn a_client_that_takes_any_frame_for_a_sign_of_life_conforms() {
    assert_conforms(LENIENT);
}

#[test]
fn a_client_that_drops_its_sockets_conforms() {
    assert_conforms(ABRUPT);
}

#[test]
fn mixtures_of_their_habits_conform_at_any_interval() {
    let intervals = [
        usual_interval(Clock::Virtual),
        usual_interval(Clock::Real),
        Duration::from_millis(500),
    ];
    for seed in 0..8 {
        let habits = mixture(&mut Seed(seed).stream(Stream::Subject));
        for interval in intervals {
            let bad = check(habits, interval, seed..seed + 1);
            assert!(
                bad.is_empty(),
                "{habits:?} at {interval:?}\n{}",
                bad.join("\n")
            );
        }
    }
}

#[test]
fn who_has_used_up_its_sessions_asks_again_and_is_not_told_to_keep_the_url() {
    let all = catalogue::shipped(Clock::Virtual).into_iter();
    let mut all = all.filter(|scenario| scenario.name == "identify-budget/used-up");
    let scenario = all.next().expect("it is shipped");
    for subject in [Name::Gwtool, Name::Classic] {
        let plan = lab::plan(scenario.clone(), subject, 1, Clock::Virtual);
        let outcome = lab::run(&plan);
        let asked = lab::count(&outcome, |saw| matches!(saw, Seen::Request { .. }));
        assert!(asked > 1, "{subject} asked {asked} times");
        let findings = &outcome.judgement.findings;
        assert!(
            findings.iter().all(|f| f.id != "connect/C1"),
            "{findings:?}"
        );
    }
}
