//! Real sockets and the real clock: what virtual time shows has to hold there as well.
//!
//! These tests wait for events, never for a time, and assert on none: the machine may be as slow as it likes. A run that was
//! spoilt by gwtool's own late timers is repeated by the runner.

use crate::lab::{assert_conforms, count, plan, run, scenario};
use gwtool::oracle::Verdict;
use gwtool::protocol::Compression;
use gwtool::scenarios::runner::Plan;
use gwtool::scenarios::{Outcome, catalogue};
use gwtool::subjects::Name;
use gwtool::time::Duration;
use gwtool::trace::{Clock, Seen};
use std::thread;

/// Long enough for a loaded machine's timers, short enough for a test.
const INTERVAL: Duration = Duration::from_secs(1);

fn shipped(name: &str, subject: Name, seed: u64) -> Outcome {
    run(&shipped_plan(name, subject, seed))
}

fn shipped_plan(name: &str, subject: Name, seed: u64) -> Plan {
    let scenario = catalogue::shipped(Clock::Real)
        .into_iter()
        .find(|scenario| scenario.name == name);
    let scenario = scenario.unwrap_or_else(|| panic!("no scenario named `{name}`"));
    Plan {
        interval: INTERVAL,
        ..plan(scenario, subject, seed, Clock::Real)
    }
}

/// The same over TLS, at a shorter interval: how a run over TLS differs does not depend on it.
fn over_tls(plan: Plan) -> Outcome {
    run(&Plan {
        interval: Duration::from_millis(500),
        tls: true,
        ..plan
    })
}

#[test]
fn the_zombie_race_kills_the_port_on_the_wall_clock_as_well() {
    let outcome = shipped("zombie-race", Name::Carbon, 7);
    assert_eq!(outcome.judgement.verdict, Verdict::Violates);
    let last_words = outcome.entries.iter().find_map(|entry| match &entry.saw {
        Seen::Died { message } => Some(message.as_str()),
        _ => None,
    });
    assert_eq!(
        last_words,
        Some(
            "Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)"
        )
    );
}

#[test]
fn our_client_lives_through_these_on_the_wall_clock() {
    // One of each kind: a silent network, a silent gateway, a refused port, op 7, op 9, a fatal code, a stop.
    let names = [
        "flap",
        "zombie-race",
        "ack-lost-then-drop",
        "half-open-blackhole",
        "late-close-of-old-socket",
        "dead-resume-url/refused",
        "op7-then-close-race",
        "op9-false-mid-session",
        "fatal-sweep/4014",
        "stop-matrix/closing/never",
    ];
    thread::scope(|scope| {
        let runs = names.map(|name| scope.spawn(move || shipped(name, Name::Gwtool, 11)));
        for run in runs {
            assert_conforms(&run.join().expect("the run does not panic"));
        }
    });
}

#[test]
fn the_network_faults_are_the_same_over_tcp() {
    let cases = [
        // A connect that hangs until the network is back, and one that is given up before.
        ("at = \"1I\"\ndo = \"blackhole\"\nfor = \"4I\"\n", 2),
        ("at = \"1I\"\ndo = \"hold\"\nfor = \"0.5I\"\n", 1),
        (
            "at = \"1I\"\ndo = \"latency\"\nby = \"20ms\"\nfor = \"2I\"\n",
            1,
        ),
        ("at = \"1I\"\ndo = \"eof\"\n", 2),
        ("at = \"1I\"\ndo = \"reset\"\n", 2),
        (
            "on = \"accept\"\nconnection = 1\ndo = \"stall\"\nwhere = \"accept\"\n",
            2,
        ),
        (
            "on = \"heartbeat\"\nnth = 2\nconnection = 1\ndo = \"stop-reading\"\nwindow = 1024\nfor = \"connection\"\n",
            2,
        ),
    ];
    thread::scope(|scope| {
        let runs = cases.map(|(fault, connections)| {
            let text = format!(
                "[case]\nsummary = \"a test\"\ninterval = \"1s\"\ntraffic = {{ every = \"0.2I\" }}\n[[case.fault]]\n{fault}"
            );
            let scenario = scenario(&text, Clock::Real);
            (connections, scope.spawn(move || run(&plan(scenario, Name::Gwtool, 3, Clock::Real))))
        });
        for (connections, run) in runs {
            let outcome = run.join().expect("the run does not panic");
            assert_conforms(&outcome);
            assert_eq!(
                outcome.judgement.counts.connections, connections,
                "{:?}",
                outcome.header.schedule
            );
            assert!(count(&outcome, |saw| matches!(saw, Seen::Struck { .. })) > 0);
        }
    });
}

#[test]
fn no_address_of_this_machine_is_in_a_trace() {
    let outcome = shipped("op7-plain", Name::Gwtool, 5);
    assert_conforms(&outcome);
    let text = crate::lab::transcript(&outcome.entries);
    assert!(!text.contains("127.0.0.1"), "{text}");
    assert!(
        text.contains("ws://resume"),
        "READY names the resume listener by what it is: {text}"
    );
}

#[test]
fn our_client_lives_through_these_over_tls() {
    let names = [
        "quiet-baseline",
        "flap",
        "zombie-race",
        "half-open-blackhole",
        "late-close-of-old-socket",
        "dead-resume-url/refused",
        "stop-matrix/closing/never",
    ];
    thread::scope(|scope| {
        let runs =
            names.map(|name| scope.spawn(move || over_tls(shipped_plan(name, Name::Gwtool, 11))));
        for run in runs {
            assert_conforms(&run.join().expect("the run does not panic"));
        }
    });
}

#[test]
fn our_client_reads_every_compression_over_tcp_and_over_tls() {
    thread::scope(|scope| {
        let mut runs = Vec::new();
        for compress in Compression::ALL {
            for name in ["flap", "zombie-race"] {
                for tls in [false, true] {
                    let mut plan = shipped_plan(name, Name::Gwtool, 11);
                    plan.scenario.settings.compress = compress;
                    plan.interval = Duration::from_millis(500);
                    plan.tls = tls;
                    runs.push(scope.spawn(move || (compress, run(&plan))));
                }
            }
        }
        for of_one in runs {
            let (compress, outcome) = of_one.join().expect("the run does not panic");
            assert_conforms(&outcome);
            // What it asked for is in the trace as it asked; that it could read the answer, its RESUME says.
            let query = compress.query().unwrap_or("json");
            let asked =
                |saw: &Seen| matches!(saw, Seen::Upgrade { path, .. } if path.ends_with(query));
            let asks = count(&outcome, asked);
            assert!(asks > 1, "{compress:?}");
            assert_eq!(
                asks,
                count(&outcome, |saw| matches!(saw, Seen::Upgrade { .. }))
            );
            assert!(outcome.judgement.counts.resumes > 0, "{compress:?}");
        }
    });
}

#[test]
fn faults_strike_over_tls_whatever_the_handshake_is_doing() {
    let cases = [
        // A connect that hangs: what was read of its handshake in the meantime is not lost.
        ("at = \"1I\"\ndo = \"blackhole\"\nfor = \"4I\"\n", 2),
        ("at = \"1I\"\ndo = \"hold\"\nfor = \"0.5I\"\n", 1),
        ("at = \"1I\"\ndo = \"eof\"\n", 2),
        ("at = \"1I\"\ndo = \"reset\"\n", 2),
        // Before a byte of the handshake has gone either way.
        ("on = \"accept\"\nconnection = 1\ndo = \"eof\"\n", 2),
        ("on = \"accept\"\nconnection = 1\ndo = \"reset\"\n", 2),
        (
            "on = \"accept\"\nconnection = 1\ndo = \"hold\"\nfor = \"1I\"\n",
            1,
        ),
        (
            "on = \"heartbeat\"\nnth = 2\nconnection = 1\ndo = \"stop-reading\"\nwindow = 1024\nfor = \"connection\"\n",
            2,
        ),
    ];
    thread::scope(|scope| {
        let runs = cases.map(|(fault, connections)| {
            let text = format!(
                "[case]\nsummary = \"a test\"\ntraffic = {{ every = \"0.2I\" }}\n[[case.fault]]\n{fault}"
            );
            let plan = plan(scenario(&text, Clock::Real), Name::Gwtool, 3, Clock::Real);
            (fault, connections, scope.spawn(move || over_tls(plan)))
        });
        for (fault, connections, run) in runs {
            let outcome = run.join().expect("the run does not panic");
            assert_conforms(&outcome);
            assert_eq!(
                outcome.judgement.counts.connections,
                connections,
                "{fault}{}",
                crate::lab::transcript(&outcome.entries)
            );
            assert!(count(&outcome, |saw| matches!(saw, Seen::Struck { .. })) > 0);
            assert_eq!(
                count(&outcome, |saw| matches!(saw, Seen::TlsFailed { .. })),
                0
            );
        }
    });
}

#[test]
fn a_connection_that_stalls_at_its_accept_never_gets_to_its_upgrade_over_tls() {
    let text = "[case]\nsummary = \"a test\"\n[[case.fault]]\non = \"accept\"\nconnection = 1\ndo = \"stall\"\nwhere = \"accept\"\n";
    let plan = plan(scenario(text, Clock::Real), Name::Gwtool, 3, Clock::Real);
    let outcome = over_tls(plan);
    assert_conforms(&outcome);
    let is_upgrade = |number| move |saw: &Seen| matches!(saw, Seen::Upgrade { connection, .. } if *connection == number);
    assert_eq!(
        count(&outcome, is_upgrade(1)),
        0,
        "its client waits for the gateway's part of TLS"
    );
    assert_eq!(count(&outcome, is_upgrade(2)), 1);
}

#[test]
fn over_tls_the_gateway_is_named_with_its_scheme_and_without_its_address() {
    let outcome = over_tls(shipped_plan("op7-plain", Name::Gwtool, 5));
    assert_conforms(&outcome);
    let text = crate::lab::transcript(&outcome.entries);
    assert!(!text.contains("127.0.0.1"), "{text}");
    assert!(text.contains("wss://resume"), "{text}");
}
