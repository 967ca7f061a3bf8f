//! Runs for tests: a scenario written in the test, a subject, a seed, and everything that was seen.

use gwtool::expect::Allowances;
use gwtool::machine::Endpoints;
use gwtool::net::{self, Interrupt};
use gwtool::oracle::{Judge, Judgement, Verdict};
use gwtool::protocol::{Opcode, Token};
use gwtool::scenarios::runner::{self, Machine, Plan};
use gwtool::scenarios::{Outcome, Scenario, load};
use gwtool::seed::{Draw, Seed, Stream};
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::{Clock, Entry, Fate, Observer, Seen, Side};

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
        subject: subject.into(),
        seed: Seed(seed),
        clock,
        tls: false,
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

/// Runs a plan with a machine that is no subject of gwtool's, in virtual time.
pub(crate) fn run_machine(
    plan: &Plan,
    name: &str,
    allowances: Allowances,
    machine: impl Fn(&Endpoints, &Token, Draw) -> Box<dyn gwtool::machine::Machine>,
) -> Judgement {
    let mut setup = plan.setup();
    name.clone_into(&mut setup.header.subject);
    setup.header.login_within = plan.login_within(&allowances);
    setup.header.allowances = allowances;
    let mut judge = Judge::new(&setup.header);
    let factory = |to: &Endpoints| machine(to, &setup.token, setup.seed.stream(Stream::Subject));
    let observers: Vec<&mut dyn Observer> = vec![&mut judge];
    net::run::run(&setup, factory, observers, &Interrupt::default())
        .expect("a run needs no more than this machine");
    judge.finish()
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
