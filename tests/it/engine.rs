//! What the engine once did wrong, each found by a schedule that nobody had written by hand.

use crate::lab::{count, plan, scenario, transcript, virtual_run};
use gwtool::machine::{ConnectionId, Endpoints, Input, Machine, Output, Status};
use gwtool::net::{self, Interrupt};
use gwtool::scenarios::Outcome;
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Delivery, Entry, Fate, Kind, Observer, Seen, Side};
use std::collections::VecDeque;

fn run(faults: &str) -> Outcome {
    virtual_run(&format!("[s]\nsummary = \"s\"\n{faults}"), 1)
}

fn gateway_fins(outcome: &Outcome) -> usize {
    count(outcome, |saw| {
        matches!(
            saw,
            Seen::Fin {
                connection: 1,
                from: Side::Gateway,
                ..
            }
        )
    })
}

fn upgrades(outcome: &Outcome) -> usize {
    count(outcome, |saw| {
        matches!(saw, Seen::Upgraded { connection: 1, .. })
    })
}

#[test]
fn a_connection_that_ends_in_its_upgrade_gets_one_fin() {
    let outcome = run("[[s.fault]]\non = \"upgrade\"\nconnection = 1\ndo = \"eof\"\n");
    assert_eq!(
        gateway_fins(&outcome),
        1,
        "{}",
        transcript(&outcome.entries)
    );
}

#[test]
fn an_upgrade_that_comes_when_nobody_waits_for_it_any_more_is_no_broken_frame() {
    // In pieces as well: what is in them is another key each time.
    for slowly in [
        "",
        "[[s.fault]]\non = \"accept\"\nconnection = 1\ndo = \"slice\"\nsize = 16\n",
    ] {
        let eof = "[[s.fault]]\non = \"accept\"\nconnection = 1\ndo = \"eof\"\n";
        let outcome = run(&[slowly, eof].concat());
        let is_broken = |saw: &Seen| {
            matches!(
                saw,
                Seen::Message {
                    kind: Kind::Broken,
                    ..
                }
            )
        };
        let broken = count(&outcome, is_broken);
        assert_eq!(broken, 0, "{}", transcript(&outcome.entries));
    }
}

#[test]
fn a_101_that_vanishes_is_not_told_as_an_upgrade() {
    let outcome = run(
        "[[s.fault]]\non = \"accept\"\nconnection = 1\ndo = \"blackhole\"\ndirection = \"to-subject\"\n",
    );
    assert_eq!(upgrades(&outcome), 0, "{}", transcript(&outcome.entries));
}

#[test]
fn an_identify_triggers_what_is_limited_to_its_shard() {
    let outcome = run("[[s.fault]]\non = \"identify\"\nshard = 0\ndo = \"reset\"\n");
    let struck = count(&outcome, |saw| matches!(saw, Seen::Struck { .. }));
    assert_eq!(struck, 1, "{}", transcript(&outcome.entries));
}

#[test]
fn a_close_that_was_held_when_its_link_fell_silent_is_told_of() {
    let outcome = run(
        "[[s.fault]]\nat = \"1I\"\ntarget = 1\ndo = \"hold\"\nfor = \"9I\"\n\
         [[s.fault]]\nat = \"6I\"\ntarget = 1\ndo = \"blackhole\"\n",
    );
    let closes = count(&outcome, |saw| {
        matches!(
            saw,
            Seen::Close {
                connection: 1,
                from: Side::Subject,
                ..
            }
        )
    });
    assert_eq!(closes, 1, "{}", transcript(&outcome.entries));
}

#[test]
fn the_answer_to_a_killed_subject_is_not_its_successors() {
    let fault = |keys: &str| format!("[[s.fault]]\n{keys}\n");
    let outcome = run(&[
        fault("on = \"request\"\nnth = 1\ndo = \"rest\"\nstatus = 500\ndelay = \"8s\""),
        fault("on = \"request\"\nnth = 2\ndo = \"rest\"\nstatus = 503\ndelay = \"6s\""),
        fault("at = \"5s\"\nfrom = \"start\"\ndo = \"subject\"\nact = \"kill\""),
        fault("at = \"6s\"\nfrom = \"start\"\ndo = \"subject\"\nact = \"start\""),
    ]
    .concat());
    // The first answer would arrive at 8 s, the second one does at 12 s; in between there is nothing to say.
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let mut entries = outcome.entries.iter();
    let stray = entries
        .find(|entry| (at(7)..at(11)).contains(&entry.at) && matches!(entry.saw, Seen::Log { .. }));
    assert_eq!(stray, None, "{}", transcript(&outcome.entries));
}

#[test]
fn a_run_does_not_wait_for_as_long_as_something_strikes_again_and_again() {
    // The REST fault waits for a request that does not come, and every strike of the other renewed its patience.
    let outcome = run(
        "[[s.fault]]\nevery = \"1.4I\"\ntimes = \"all\"\ndo = \"invalid-session\"\nresumable = true\n\
         [[s.fault]]\nat = \"1I\"\ndo = \"rest\"\nstatus = 405\n",
    );
    let ends = |saw: &Seen| matches!(saw, Seen::End { is_complete: true });
    assert_eq!(count(&outcome, ends), 1);
    let last = outcome.entries.last().expect("an end").at;
    assert!(last < Instant::ZERO + Duration::from_hours(1), "{last}");
}

#[test]
fn a_dispatch_that_changes_places_goes_behind_the_next_whatever_befalls_that_one() {
    let fault = |nth: u32, action: &str| {
        format!(
            "[[s.fault]]\non = \"dispatch\"\nconnection = 1\nnth = {nth}\ndo = \"{action}\"\nframe = \"dispatch\"\n"
        )
    };
    let traffic = "traffic = { every = \"0.2I\" }\n".to_owned();
    let outcome = run(&[traffic, fault(2, "reorder"), fault(3, "duplicate")].concat());
    let sent = outcome.entries.iter().filter_map(|entry| match &entry.saw {
        Seen::Frame { t, s, fate, .. } if t.as_deref() == Some("MESSAGE_CREATE") => {
            (*fate != Fate::Held).then_some((*s, *fate))
        }
        _ => None,
    });
    let sent: Vec<(Option<u64>, Fate)> = sent.take(5).collect();
    // READY has 1, the guild 2.
    let expected = [
        (Some(3), Fate::Delivered),
        (Some(5), Fate::Delivered),
        (Some(4), Fate::Delivered),
        (Some(5), Fate::Injected),
        (Some(6), Fate::Delivered),
    ];
    assert_eq!(sent, expected, "{}", transcript(&outcome.entries));
}

/// How many connections [`Late`] has.
const MANY: u32 = 40;

/// A subject that opens many connections, ends all of them, the newest first, and only then hands on what it has read.
struct Late {
    opened: u32,
    outputs: VecDeque<Output>,
}

impl Late {
    fn new(to: &Endpoints) -> Self {
        let open = |number| Output::Open {
            connection: ConnectionId(number),
            url: to.main.clone(),
        };
        Self {
            opened: 0,
            outputs: (1..=MANY).map(open).collect(),
        }
    }
}

impl Machine for Late {
    fn handle(&mut self, _: Instant, input: Input<'_>) {
        match input {
            Input::Opened(_) => {
                self.opened += 1;
                if self.opened == MANY {
                    let ids = || (1..=MANY).rev().map(ConnectionId);
                    let abort = |connection| Output::Abort { connection };
                    let deliver = |connection| Output::Deliver { connection, seq: 1 };
                    self.outputs.extend(ids().map(abort));
                    self.outputs.extend(ids().map(deliver));
                }
            }
            Input::Stop => self.outputs.push_back(Output::Stopped { reason: None }),
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn status(&self) -> Status {
        Status {
            state: "late",
            is_authenticated: false,
            session: None,
            round_trip: None,
            queued: 0,
        }
    }
}

#[test]
fn what_is_handed_on_late_is_known_by_its_connection_however_many_have_ended() {
    for clock in [Clock::Virtual, Clock::Real] {
        let text = "[late]\nsummary = \"a test\"\ninterval = \"300ms\"\n";
        let plan = plan(scenario(text, clock), Name::Gwtool, 1, clock);
        let mut setup = plan.setup();
        setup.header.login_within = Duration::from_secs(2);
        let mut entries: Vec<Entry> = Vec::new();
        let observers: Vec<&mut dyn Observer> = vec![&mut entries];
        let factory = |to: &Endpoints| -> Box<dyn Machine> { Box::new(Late::new(to)) };
        net::run::run(&setup, factory, observers, &Interrupt::default())
            .expect("a run needs no more than this machine");
        let delivered = entries.iter().filter_map(|entry| match entry.saw {
            Seen::Delivered(Delivery::Sequence { connection, s: 1 }) => Some(connection),
            _ => None,
        });
        let mut delivered: Vec<u32> = delivered.collect();
        delivered.sort_unstable();
        let all: Vec<u32> = (1..=MANY).collect();
        assert_eq!(delivered, all, "{clock:?} {}", transcript(&entries));
    }
}
