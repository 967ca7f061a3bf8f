//! Runs in virtual time, by the hundred, for the tests beside this file.

pub(crate) use crate::lab::run;

use crate::lab;
use gwtool::net::Interrupt;
use gwtool::oracle::{Effect, Finding};
use gwtool::scenarios::runner::{self, Machine, Plan};
use gwtool::scenarios::{Outcome, Scenario, load};
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::{Clock, Entry, Observer, Seen};
use std::thread;

/// The scenarios of a text, as they hold in virtual time.
pub(crate) fn scenarios(text: &str) -> Vec<Scenario> {
    load::load(text, "a test's own", Clock::Virtual).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A plan in virtual time, at the scenario's own interval or the usual one.
pub(crate) fn plan(scenario: &Scenario, subject: Name, seed: u64) -> Plan {
    Plan {
        timeout: None,
        keep_entries: false,
        ..lab::plan(scenario.clone(), subject, seed, Clock::Virtual)
    }
}

/// Runs it before observers.
pub(crate) fn run_before(plan: &Plan, observers: &mut [&mut dyn Observer]) -> Outcome {
    runner::run(plan, observers, &Machine::default(), &Interrupt::default())
        .expect("virtual time needs nothing that could fail")
}

/// Runs it with the entries of its trace kept.
pub(crate) fn traced(plan: &Plan) -> Outcome {
    run(&Plan {
        keep_entries: true,
        ..plan.clone()
    })
}

/// Does the work for every seed, on two threads; the results are in the order of the seeds.
pub(crate) fn for_seeds<R: Send>(seeds: u64, work: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let part = |from: u64, to: u64| (from..to).map(&work).collect::<Vec<R>>();
    thread::scope(|scope| {
        let second = scope.spawn(|| part(seeds / 2, seeds));
        let mut results = part(0, seeds / 2);
        results.extend(second.join().expect("the work does not panic"));
        results
    })
}

/// The ids of the findings that fail a run, each once.
pub(crate) fn failing(outcome: &Outcome) -> Vec<&str> {
    let fails = |finding: &&Finding| finding.effect == Effect::Fails;
    let findings = outcome.judgement.findings.iter();
    let mut ids: Vec<&str> = (findings.filter(fails).map(|finding| finding.id.as_str())).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// When the first entry of a kind was seen.
pub(crate) fn first(outcome: &Outcome, is: impl Fn(&Seen) -> bool) -> Option<&Entry> {
    outcome.entries.iter().find(|entry| is(&entry.saw))
}

/// What a failed assertion says of a run: what makes it again.
pub(crate) fn name(plan: &Plan) -> String {
    let Plan {
        scenario,
        subject,
        seed,
        interval,
        ..
    } = plan;
    format!(
        "{} of {subject}, seed {seed}, I {interval:?}",
        scenario.name
    )
}

/// Milliseconds.
pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
