//! What was measured on the real `@buape/carbon` 0.14.0, row by row, on the engine: the port does the same, whatever the seed.
//!
//! The schedules are in `carbon.toml`, the intervals and what came of them in `carbon_rows.rs`; what comes of them at what moment
//! is here. `tests/subjects/carbon.rs` runs the same rows on the packages themselves.

use crate::carbon_rows::{End, ROWS};
use crate::runs::{failing, first, for_seeds, ms, name, plan, run, scenarios, traced};
use gwtool::scenarios::runner::Plan;
use gwtool::scenarios::{Outcome, Scenario, catalogue};
use gwtool::seed::Seed;
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Delivery, Fate, Seen, Side};
use std::collections::BTreeMap;

const SEEDS: u64 = 20;
/// What the schedules say: each way.
const LATENCY: Duration = ms(1);
/// Carbon's delay before it connects again, wherever the last connection was opened.
const BACKOFF: Duration = ms(1_000);
/// A connect, its upgrade and HELLO.
const CONNECT: Duration = ms(5);

fn table() -> Vec<Scenario> {
    scenarios(include_str!("carbon.toml"))
}

fn row(name: &str, interval: u64) -> Plan {
    let table = table();
    let scenario = (table.iter().find(|row| row.name == name)).expect("the table has that row");
    Plan {
        interval: ms(interval),
        ..plan(scenario, Name::Carbon, 0)
    }
}

fn over_seeds(row: &Plan, check: impl Fn(&Plan, &Outcome) + Sync) {
    for_seeds(SEEDS, |seed| {
        let plan = Plan {
            seed: Seed(seed),
            ..row.clone()
        };
        check(&plan, &traced(&plan));
    });
}

#[track_caller]
fn ends(plan: &Plan, outcome: &Outcome, end: End) {
    let last_words = first(outcome, |saw| matches!(saw, Seen::Died { .. })).map(|entry| {
        let Seen::Died { message } = &entry.saw else {
            unreachable!("it was looked for")
        };
        message.as_str()
    });
    let failing = failing(outcome);
    let has = |id| failing.contains(&id);
    let is = match end {
        End::Died(message) => has("died") && last_words == Some(message),
        End::Sound => failing.is_empty(),
        End::Loops => has("loop") && !has("died") && last_words.is_none(),
        End::Hangs => failing == ["hung"] && last_words.is_none(),
        End::Resurrected => has("resurrected") && !has("died") && last_words.is_none(),
    };
    assert!(
        is,
        "{}: {end:?}, found {failing:?} {last_words:?}",
        name(plan)
    );
}

/// It reconnected a backoff and a part of I after the last time, and again and again.
#[track_caller]
fn reconnects_at_its_pace(plan: &Plan, outcome: &Outcome) {
    let judgement = &outcome.judgement;
    let each = plan.interval / 2 + BACKOFF + CONNECT;
    let expected = judgement.watched.as_secs_f64() / each.as_secs_f64();
    let seen = f64::from(judgement.counts.connections);
    // Some hundred draws: their mean is within a few per cent of a half.
    assert!(
        (0.85..1.15).contains(&(seen / expected)),
        "{}: {seen}, expected {expected}",
        name(plan)
    );
}

fn at(outcome: &Outcome, is: impl Fn(&Seen) -> bool) -> Instant {
    first(outcome, is).expect("it is in the trace").at
}

fn died(saw: &Seen) -> bool {
    matches!(saw, Seen::Died { .. })
}

// ---- The rows ----

#[test]
fn every_row_ends_as_the_real_package_does() {
    for each in ROWS {
        let (end, connections) = each.carbon_0_14;
        over_seeds(&row(each.schedule, each.interval_ms), |plan, outcome| {
            ends(plan, outcome, end);
            if let Some(connections) = connections {
                let seen = outcome.judgement.counts.connections;
                assert_eq!(seen, connections, "{}", name(plan));
            }
        });
    }
}

#[test]
fn every_schedule_has_a_row() {
    for schedule in table() {
        let has_row = ROWS.iter().any(|row| row.schedule == schedule.name);
        assert!(has_row, "{}", schedule.name);
    }
}

#[test]
fn a_loop_on_a_sound_gateway_goes_at_the_pace_of_the_backoff() {
    for (schedule, interval) in [
        ("acks-lost", 1_010),
        ("acks-lost", 1_050),
        ("acks-lost", 1_200),
        ("acks-lost", 3_000),
        ("reset-unacked", 3_000),
    ] {
        over_seeds(&row(schedule, interval), reconnects_at_its_pace);
    }
}

#[test]
fn the_crash_after_a_lost_ack_comes_two_to_three_intervals_and_a_second_after_it() {
    over_seeds(&row("acks-lost", 300), |plan, outcome| {
        let withheld = at(outcome, |saw| {
            matches!(
                saw,
                Seen::Frame {
                    fate: Fate::Withheld,
                    ..
                }
            )
        });
        // The zombie after I, the backoff, the first beat after a part of I, the orphan after I.
        let least = 2 * plan.interval + BACKOFF;
        // The heartbeat was one way under way before it was seen.
        let after = at(outcome, died).since(withheld) + LATENCY;
        let most = least + plan.interval + CONNECT;
        assert!((least..=most).contains(&after), "{}: {after:?}", name(plan));
    });
}

#[test]
fn it_throws_exactly_one_i_after_it_left_the_second_connection() {
    for variant in ["no-hello", "no-upgrade", "black-hole"] {
        let row = row(&format!("third-hangs/{variant}"), 3_000);
        over_seeds(&row, |plan, outcome| {
            let left = at(outcome, |saw| {
                let from = Side::Subject;
                matches!(saw, Seen::Close { connection: 2, from: by, .. } if *by == from)
            });
            // The Close was one way under way before it was seen.
            let after = at(outcome, died).since(left) + LATENCY;
            assert_eq!(after, plan.interval, "{}", name(plan));
        });
    }
}

#[test]
fn close_code_4010_is_retried_after_the_backoff() {
    over_seeds(&row("fatal/4010", 3_000), |plan, outcome| {
        let again = at(outcome, |saw| {
            matches!(saw, Seen::Accepted { connection: 2, .. })
        });
        let closed = at(outcome, |saw| matches!(saw, Seen::Close { .. }));
        assert!(again.since(closed) >= BACKOFF, "{}", name(plan));
    });
}

#[test]
fn what_it_closes_it_closes_without_a_code() {
    for row in [row("acks-lost", 3_000), row("op7-once", 300)] {
        over_seeds(&row, |plan, outcome| {
            let closes = outcome.entries.iter().filter_map(|entry| match entry.saw {
                Seen::Close {
                    from: Side::Subject,
                    code,
                    ..
                } => Some(code),
                _ => None,
            });
            let codes: Vec<_> = closes.collect();
            assert!(!codes.is_empty(), "{}", name(plan));
            assert!(
                codes.iter().all(Option::is_none),
                "{}: {codes:?}",
                name(plan)
            );
        });
    }
}

#[test]
fn a_dispatch_is_delivered_before_the_crash_all_the_same() {
    over_seeds(&row("acks-lost", 300), |plan, outcome| {
        let resumed = at(outcome, |saw| {
            matches!(
                saw,
                Seen::Delivered(Delivery::Sequence { connection: 2, .. })
            )
        });
        // It dies of a connection that works: RESUMED has come, and the gateway is well.
        assert!(resumed < at(outcome, died), "{}", name(plan));
    });
}

// ---- The one line mended ----

#[test]
fn with_the_one_line_mended_no_row_ends_in_the_zombie_throw_of_an_orphan() {
    let orphans = [
        ("acks-lost", 300),
        ("acks-lost", 900),
        ("acks-lost", 1_000),
        ("third-hangs/no-hello", 3_000),
        ("third-hangs/no-upgrade", 3_000),
        ("third-hangs/black-hole", 3_000),
        ("heartbeat-requested", 300),
        ("reset-unacked", 300),
    ];
    for (name, interval) in orphans {
        let mended = Plan {
            subject: Name::CarbonMended.into(),
            ..row(name, interval)
        };
        over_seeds(&mended, |plan, outcome| {
            assert_eq!(first(outcome, died), None, "{}", crate::runs::name(plan));
        });
    }
}

/// What the seeds of `zombie-race` end in: the failing outcomes of a run → how often.
fn zombie_races(subject: Name, seeds: u64) -> BTreeMap<String, u64> {
    let all = catalogue::shipped(Clock::Virtual);
    let race = (all.iter().find(|scenario| scenario.name == "zombie-race")).expect("it is shipped");
    let mut ends = BTreeMap::new();
    for end in for_seeds(seeds, |seed| {
        failing(&run(&plan(race, subject, seed))).join(" ")
    }) {
        *ends.entry(end).or_default() += 1;
    }
    ends
}

#[test]
fn zombie_race_kills_it_at_every_seed() {
    let ends = zombie_races(Name::Carbon, 200);
    assert_eq!(ends, BTreeMap::from([("died early".to_owned(), 200)]));
}

/// The missing ACK is still held against the connection after it, and a HELLO that never comes is still waited for; what is gone is the
/// exception.
#[test]
fn zombie_race_never_kills_it_with_the_one_line_mended() {
    let ends = zombie_races(Name::CarbonMended, 200);
    assert_eq!(ends, BTreeMap::from([("early hung".to_owned(), 200)]));
}
