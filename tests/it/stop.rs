//! After a stop nothing comes any more: from our client in no state and at no seed, from Carbon 0.14 in most.

use crate::runs::{failing, first, for_seeds, name, plan, run, traced};
use gwtool::fault::Act;
use gwtool::scenarios::{Outcome, Scenario, catalogue};
use gwtool::subjects::Name;
use gwtool::trace::{Clock, Seen, Side};
use std::collections::BTreeSet;

const SEEDS: u64 = 20;

fn stops() -> Vec<Scenario> {
    let all = catalogue::shipped(Clock::Virtual);
    let stops: Vec<Scenario> = (all.into_iter())
        .filter(|scenario| scenario.is_called("stop-matrix"))
        .collect();
    assert_eq!(
        stops.len(),
        12 * 4,
        "twelve states, four ways to answer a Close"
    );
    stops
}

/// Whether the subject did something: not what it was told, nor what is done with what it has left behind.
fn is_its_doing(saw: &Seen) -> bool {
    match saw {
        Seen::Missed { .. }
        | Seen::Accepted { .. }
        | Seen::Upgrade { .. }
        | Seen::Request { .. }
        | Seen::Delivered(_)
        | Seen::Commanded { .. } => true,
        Seen::Frame { from, .. }
        | Seen::Message { from, .. }
        | Seen::Close { from, .. }
        | Seen::Fin { from, .. }
        | Seen::Rst { from, .. } => *from == Side::Subject,
        _ => false,
    }
}

#[track_caller]
fn stops_for_good(name: &str, outcome: &Outcome) {
    let is_told = |saw: &Seen| matches!(saw, Seen::Acted { act: Act::Stop });
    let told = first(outcome, is_told).expect("it is told to stop").at;
    let is_stopped = |saw: &Seen| matches!(saw, Seen::Stopped { reason: None });
    let mut entries = outcome.entries.iter().enumerate();
    let (place, stopped) = (entries.find(|(_, entry)| is_stopped(&entry.saw)))
        .unwrap_or_else(|| panic!("{name}: it did not stop"));
    let within = outcome.header.allowances.close;
    assert!(
        stopped.at <= told + within,
        "{name}: stopped at {:?}",
        stopped.at
    );
    // What it had sent before is still under way for a moment.
    let arrived = stopped.at + crate::runs::ms(100);
    let late = outcome.entries[place..]
        .iter()
        .find(|entry| entry.at > arrived && is_its_doing(&entry.saw));
    assert_eq!(late, None, "{name}");
}

#[test]
fn our_client_puts_nothing_out_after_it_has_stopped() {
    for scenario in stops() {
        for_seeds(SEEDS, |seed| {
            let plan = plan(&scenario, Name::Gwtool, seed);
            let outcome = traced(&plan);
            stops_for_good(&name(&plan), &outcome);
            assert_eq!(failing(&outcome), [""; 0], "{}", name(&plan));
        });
    }
}

#[test]
fn carbon_is_resurrected_wherever_a_connection_lives_when_it_is_stopped() {
    let resurrected: BTreeSet<String> = (stops().iter())
        .filter(|scenario| {
            let runs = for_seeds(SEEDS, |seed| {
                let outcome = run(&plan(scenario, Name::Carbon, seed));
                failing(&outcome).contains(&"resurrected")
            });
            let all = runs.iter().all(|is| *is);
            assert_eq!(
                all,
                runs.contains(&true),
                "{}: it depends on the seed",
                scenario.name
            );
            all
        })
        .map(|scenario| scenario.name.clone())
        .collect();
    // Its `disconnect()` closes the socket, and the socket's own close event connects again: `closed` is set by losses only.
    // While it sleeps between two attempts there is no socket, after op 7 and for a zombie the flag is set already, and it asks
    // nothing of REST.
    let states = [
        "steady",
        "black-holed",
        "connecting",
        "awaiting-hello",
        "identifying",
        "resuming",
        "identify-queued",
        "after-op9",
    ];
    let answers = ["at-once", "late", "never", "reset"];
    let expected = states.iter().flat_map(|state| {
        answers
            .iter()
            .map(move |answer| format!("stop-matrix/{state}/{answer}"))
    });
    assert_eq!(resurrected, expected.collect());
}
