//! A fault is in force from the first byte: no connection slips through between its trigger and its strike.
//!
//! The subject here is the Carbon port: it is told its gateway and opens a connection the instant it is started.

use crate::runs::{first, for_seeds, ms, name, plan, scenarios, traced};
use gwtool::protocol::Opcode;
use gwtool::scenarios::{Outcome, catalogue};
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Fate, Miss, Seen, Side};

const SEEDS: u64 = 40;

/// Plays a schedule for every seed.
fn over_seeds(fault: &str, check: impl Fn(&str, &Outcome) + Sync) {
    let text = format!("[mine]\nsummary = \"\"\nfault = [{fault}]\n");
    let scenario = &scenarios(&text)[0];
    for_seeds(SEEDS, |seed| {
        let plan = plan(scenario, Name::Carbon, seed);
        let outcome = traced(&plan);
        let first = first(&outcome, |saw| matches!(saw, Seen::Struck { .. }));
        assert!(first.is_some(), "{} never struck: {fault}", name(&plan));
        check(&format!("{}: {fault}", name(&plan)), &outcome);
    });
}

fn at(outcome: &Outcome, is: impl Fn(&Seen) -> bool) -> Option<Instant> {
    first(outcome, is).map(|entry| entry.at)
}

fn is_accepted(saw: &Seen) -> bool {
    matches!(saw, Seen::Accepted { .. })
}

/// The way from an accepted connection to its IDENTIFY, which is free of anything but latency and the wait for HELLO.
fn login(outcome: &Outcome) -> Duration {
    let identify = at(outcome, |saw| {
        matches!(
            saw,
            Seen::Frame {
                from: Side::Subject,
                ..
            }
        )
    });
    let accepted = at(outcome, is_accepted).expect("it connects");
    identify.expect("it identifies").since(accepted)
}

#[test]
fn a_connection_opened_in_the_instant_of_a_refusal_is_refused() {
    over_seeds(
        r#"{ at = "0s", from = "start", do = "refuse", for = "3s" }"#,
        |name, outcome| {
            let accepted = at(outcome, is_accepted).expect("it comes back");
            let refused = at(outcome, |saw| {
                let why = Miss::Refused;
                matches!(saw, Seen::Missed { why: w, .. } if *w == why)
            });
            assert!(refused < Some(accepted), "{name}");
            assert!(accepted >= Instant::ZERO + ms(3_000), "{name}");
        },
    );
}

#[test]
fn a_connection_opened_in_the_instant_of_a_blackhole_hangs_until_it_is_over() {
    over_seeds(
        r#"{ at = "0s", from = "start", do = "blackhole", for = "3s" }"#,
        |name, outcome| {
            let accepted = at(outcome, is_accepted).expect("it gets through after all");
            assert!(accepted >= Instant::ZERO + ms(3_000), "{name}");
        },
    );
}

#[test]
fn a_connection_opened_in_the_instant_of_a_latency_is_late_from_its_first_byte() {
    let mine = r#"{ at = "0s", from = "start", do = "latency", by = "700ms", for = "1m" }"#;
    over_seeds(mine, |name, outcome| {
        // The request, its answer with HELLO, and IDENTIFY.
        assert!(
            login(outcome) >= ms(3 * 700),
            "{name}: {:?}",
            login(outcome)
        );
    });
    let none = r#"{ at = "1I", do = "reset" }"#;
    over_seeds(none, |name, outcome| {
        assert!(login(outcome) < ms(200), "{name}: {:?}", login(outcome));
    });
}

#[test]
fn the_connection_that_triggers_a_silence_is_silent_itself() {
    let reset = r#"{ on = "heartbeat", nth = 2, connection = 1, do = "reset" }"#;
    for silence in [
        r#"do = "blackhole", scope = "all""#,
        r#"do = "blackhole", for = "connection""#,
        r#"do = "stall", where = "accept""#,
        r#"do = "stall", where = "upgrade""#,
    ] {
        let fault = format!(r#"{reset}, {{ on = "accept", connection = 2, {silence} }}"#);
        over_seeds(&fault, |name, outcome| {
            let escaped = first(outcome, |saw| match saw {
                Seen::Upgraded { connection: 2, .. } => true,
                Seen::Frame {
                    connection: 2,
                    fate,
                    ..
                } => fate.arrives(),
                _ => false,
            });
            assert_eq!(escaped, None, "{name}");
        });
    }
}

#[test]
fn a_silence_that_begins_with_a_frame_takes_what_follows_in_the_same_instant() {
    // HELLO is taken, and so is the op 1 that is sent right behind it.
    let fault = r#"{ on = "hello", connection = 1, do = "blackhole", for = "connection" },
        { on = "hello", connection = 1, do = "send", op = 1 }"#;
    let fault = fault.replace('\n', "");
    over_seeds(&fault, |name, outcome| {
        let escaped = first(outcome, |saw| {
            matches!(
                saw,
                Seen::Frame {
                    connection: 1,
                    fate: Fate::Delivered | Fate::Injected,
                    ..
                }
            )
        });
        assert_eq!(escaped, None, "{name}");
    });
}

/// Where a shipped scenario is named after a point of the handshake, the handshake gets so far and no further.
#[test]
fn handshakes_end_where_the_name_of_the_scenario_says() {
    let all = catalogue::shipped(Clock::Virtual);
    let points = [
        ("fatal-at-once/before-hello", 1, false),
        ("fatal-at-once/with-hello", 1, true),
        ("open-close-storm/before-hello-1000", 30, false),
        ("open-close-storm/before-hello-1006", 30, false),
        ("open-close-storm/after-hello-1000", 30, true),
        ("open-close-storm/after-hello-1006", 30, true),
    ];
    for (scenario, connections, is_greeted) in points {
        let scenario = all.iter().find(|one| one.name == scenario);
        let scenario = scenario.expect("it is in the catalogue");
        for_seeds(SEEDS, |seed| {
            let plan = plan(scenario, Name::Gwtool, seed);
            let outcome = traced(&plan);
            let sent = |number: u32, op: Opcode| {
                let is = |saw: &Seen| {
                    matches!(saw, Seen::Frame { connection, from: Side::Gateway, op: sent, .. }
                        if *connection == number && *sent == op)
                };
                first(&outcome, is).is_some()
            };
            for number in 1..=connections {
                let name = format!("{} #{number}", name(&plan));
                assert_eq!(sent(number, Opcode::HELLO), is_greeted, "{name}");
                assert!(!sent(number, Opcode::DISPATCH), "{name}");
            }
        });
    }
}
