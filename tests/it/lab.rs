//! Runs for tests: a scenario written in the test, a subject, a seed, and everything that was seen.

use gwtool::net::Interrupt;
use gwtool::oracle::Verdict;
use gwtool::protocol::Opcode;
use gwtool::scenarios::runner::{self, Machine, Plan};
use gwtool::scenarios::{Outcome, Scenario, load};
use gwtool::seed::Seed;
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::{Clock, Entry, Fate, Seen, Side};

/// The only scenario of a text.
#[track_caller]
pub(crate) fn scenario(text: &str, clock: Clock) -> Scenario {
    let mut all = load::load(text, "test.toml", clock)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(all.len(), 1, "one scenario is meant");
    all.remove(0)
}

/// What a run is made of.
pub(crate) fn plan(scenario: Scenario, subject: Name, seed: u64, clock: Clock) -> Plan {
    let interval = scenario.interval.unwrap_or(runner::usual_interval(clock));
    Plan {
        scenario,
        subject,
        seed: Seed(seed),
        clock,
        interval,
        timeout: Some(Duration::from_mins(2)),
        keep_entries: true,
        schedule: None,
    }
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan) -> Outcome {
    runner::run(plan, &mut [], &Machine::default(), &Interrupt::default())
        .expect("a run needs no more than this machine")
}

/// Runs a scenario's text in virtual time with our client.
#[track_caller]
pub(crate) fn virtual_run(text: &str, seed: u64) -> Outcome {
    run(&plan(
        scenario(text, Clock::Virtual),
        Name::Gwtool,
        seed,
        Clock::Virtual,
    ))
}

/// Fails with everything that was seen unless the run conforms.
#[track_caller]
pub(crate) fn assert_conforms(outcome: &Outcome) {
    let judgement = &outcome.judgement;
    assert_eq!(
        judgement.verdict,
        Verdict::Conforms,
        "{} at seed {}: {:?} {:#?}\n{}",
        outcome.header.scenario,
        outcome.header.seed,
        judgement.reasons,
        judgement.findings,
        transcript(&outcome.entries)
    );
}

/// A trace as text, for a test that fails.
pub(crate) fn transcript(entries: &[Entry]) -> String {
    let line = |entry: &Entry| format!("{} {:?}\n", entry.at, entry.saw);
    entries.iter().map(line).collect()
}

/// How many entries are so.
pub(crate) fn count(outcome: &Outcome, is: impl Fn(&Seen) -> bool) -> usize {
    outcome
        .entries
        .iter()
        .filter(|entry| is(&entry.saw))
        .count()
}

/// Whether it is such a frame of that side's.
pub(crate) fn is_frame(saw: &Seen, side: Side, opcode: Opcode, became: Fate) -> bool {
    matches!(saw, Seen::Frame { from, op, fate, .. } if (*from, *op, *fate) == (side, opcode, became))
}
