//! Every action of the vocabulary, on the engine: it strikes, it does what it says, and our client is none the worse for it.

use crate::lab::{assert_conforms, count, is_frame, scenario, virtual_run};
use gwtool::fault::Action;
use gwtool::machine::CommandFate;
use gwtool::protocol::{CloseCode, Opcode};
use gwtool::scenarios::Outcome;
use gwtool::time::Duration;
use gwtool::trace::{Clock, Fate, Kind, Miss, Phase, Seen, Side};
use std::collections::BTreeSet;

/// One action: how it is written, and what has to be seen of it besides its strike.
struct Case {
    action: &'static str,
    fault: &'static str,
    /// Further keys of the scenario.
    keys: &'static str,
    effect: fn(&Outcome) -> bool,
}

const fn case(action: &'static str, fault: &'static str, effect: fn(&Outcome) -> bool) -> Case {
    Case {
        action,
        fault,
        keys: "",
        effect,
    }
}

fn swallowed(side: Side) -> impl Fn(&Outcome) -> bool {
    move |outcome| {
        count(
            outcome,
            |saw| matches!(saw, Seen::Frame { from, fate: Fate::Swallowed, .. } if *from == side),
        ) > 0
    }
}

fn frames(outcome: &Outcome, side: Side, op: Opcode, fate: Fate) -> usize {
    count(outcome, |saw| is_frame(saw, side, op, fate))
}

fn connections(outcome: &Outcome) -> u32 {
    outcome.judgement.counts.connections
}

/// The time between two moments of a run; the first entries that are so.
fn between(
    outcome: &Outcome,
    first: impl Fn(&Seen) -> bool,
    then: impl Fn(&Seen) -> bool,
) -> Duration {
    let mut entries = outcome.entries.iter();
    let start = entries
        .find(|entry| first(&entry.saw))
        .expect("the first is there")
        .at;
    entries
        .find(|entry| then(&entry.saw))
        .expect("the second is there")
        .at
        - start
}

/// Whatever was done to frames and bytes, our client has not noticed.
fn nothing_happened(outcome: &Outcome) -> bool {
    let counts = &outcome.judgement.counts;
    (counts.connections, counts.lost, counts.duplicated) == (1, 0, 0)
}

const ZLIB: &str = "compress = \"zlib-stream\"";
const ZSTD: &str = "compress = \"zstd-stream\"";

/// Our client could not read what came, left, and came back with nothing missing.
fn broken_and_resumed(outcome: &Outcome) -> bool {
    let counts = &outcome.judgement.counts;
    spoilt(outcome) > 0 && (counts.connections, counts.resumes, counts.lost) == (2, 1, 0)
}

fn spoilt(outcome: &Outcome) -> usize {
    count(outcome, |saw| {
        matches!(
            saw,
            Seen::Frame {
                fate: Fate::Spoilt,
                ..
            }
        )
    })
}

fn last_connection_is_of_another_session(outcome: &Outcome) -> bool {
    outcome.judgement.counts.identifies == 2
}

fn subject_closed(outcome: &Outcome) -> bool {
    count(outcome, |saw| {
        matches!(
            saw,
            Seen::Close {
                from: Side::Subject,
                ..
            }
        )
    }) > 0
}

fn cases() -> Vec<Case> {
    let both_ways =
        |outcome: &Outcome| swallowed(Side::Gateway)(outcome) && swallowed(Side::Subject)(outcome);
    vec![
        case(
            "blackhole",
            r#"at = "1I", do = "blackhole", for = "3I""#,
            both_ways,
        ),
        case(
            "blackhole",
            r#"at = "1I", do = "blackhole", direction = "to-subject", for = "connection""#,
            |o| swallowed(Side::Gateway)(o) && !swallowed(Side::Subject)(o),
        ),
        case(
            "blackhole",
            r#"at = "1I", do = "blackhole", direction = "to-gateway", for = "connection""#,
            |o| {
                swallowed(Side::Subject)(o)
                    && frames(o, Side::Gateway, Opcode::DISPATCH, Fate::Swallowed) == 0
            },
        ),
        case("hold", r#"at = "1I", do = "hold", for = "0.5I""#, |o| {
            // A short outage delays and loses nothing: the client does not even notice.
            connections(o) == 1 && o.judgement.counts.lost == 0
        }),
        case(
            "stop-reading",
            r#"on = "heartbeat", nth = 2, connection = 1, do = "stop-reading", window = 1024, for = "connection""#,
            |o| {
                connections(o) == 2
                    && frames(o, Side::Subject, Opcode::HEARTBEAT, Fate::Delivered) > 2
            },
        ),
        case(
            "latency",
            r#"at = "1I", do = "latency", by = "200ms", for = "2I""#,
            |o| connections(o) == 1,
        ),
        case(
            "jitter",
            r#"at = "1I", do = "jitter", by = "200ms", for = "2I""#,
            nothing_happened,
        ),
        case(
            "throttle",
            r#"on = "accept", connection = 1, do = "throttle", rate = 1000, for = "3I""#,
            |o| {
                // READY and the guild behind it have more than a thousand bytes.
                let login = between(
                    o,
                    |saw| matches!(saw, Seen::Frame { t: Some(t), .. } if t == "READY"),
                    |saw| matches!(saw, Seen::Delivered(_)),
                );
                login > Duration::from_secs(1) && nothing_happened(o)
            },
        ),
        case(
            "slice",
            r#"on = "accept", connection = 1, do = "slice", size = 1"#,
            nothing_happened,
        ),
        case(
            "corrupt",
            r#"at = "1I", do = "corrupt", direction = "to-subject", count = 5"#,
            |o| spoilt(o) == 1 && connections(o) == 2 && o.judgement.counts.resumes == 1,
        ),
        case(
            "corrupt",
            r#"at = "1I", do = "corrupt", direction = "to-gateway""#,
            |o| {
                let is_garbage = |saw: &Seen| {
                    matches!(
                        saw,
                        Seen::Message {
                            from: Side::Subject,
                            kind: Kind::Text,
                            fate: Fate::Spoilt,
                            text,
                            ..
                        } if text.is_empty()
                    )
                };
                count(o, is_garbage) == 1 && connections(o) == 2
            },
        ),
        case("reset", r#"at = "1I", do = "reset""#, |o| {
            count(o, |saw| {
                matches!(
                    saw,
                    Seen::Rst {
                        from: Side::Gateway,
                        ..
                    }
                )
            }) == 1
        }),
        case("eof", r#"at = "1I", do = "eof""#, |o| {
            count(o, |saw| {
                matches!(
                    saw,
                    Seen::Close {
                        from: Side::Gateway,
                        ..
                    }
                )
            }) == 0
                && count(o, |saw| {
                    matches!(
                        saw,
                        Seen::Fin {
                            from: Side::Gateway,
                            ..
                        }
                    )
                }) == 1
        }),
        Case {
            keys: r#"[[case.fault]]
on = "heartbeat"
nth = 2
connection = 1
do = "reset""#,
            ..case(
                "refuse",
                r#"on = "heartbeat", nth = 2, connection = 1, do = "refuse", scope = "all", for = "1I""#,
                |o| {
                    count(o, |saw| {
                        matches!(
                            saw,
                            Seen::Missed {
                                why: Miss::Refused,
                                ..
                            }
                        )
                    }) > 1
                },
            )
        },
        Case {
            keys: r#"[[case.fault]]
on = "heartbeat"
nth = 2
connection = 1
do = "reset""#,
            ..case(
                "accept-reset",
                r#"on = "heartbeat", nth = 2, connection = 1, do = "accept-reset", scope = "all", for = "1I""#,
                |o| {
                    count(o, |saw| {
                        matches!(
                            saw,
                            Seen::Rst {
                                from: Side::Gateway,
                                ..
                            }
                        )
                    }) > 2
                },
            )
        },
        case(
            "stall",
            r#"on = "accept", connection = 1, do = "stall", where = "accept""#,
            |o| {
                count(o, |saw| matches!(saw, Seen::Upgraded { connection: 1, .. })) == 0
                    && connections(o) == 2
            },
        ),
        case(
            "stall",
            r#"on = "upgrade", connection = 1, do = "stall", where = "upgrade""#,
            |o| {
                count(o, |saw| matches!(saw, Seen::Upgraded { connection: 1, .. })) == 0
                    && connections(o) == 2
            },
        ),
        case(
            "stall",
            r#"on = "hello", connection = 1, do = "stall", where = "hello""#,
            |o| {
                frames(o, Side::Gateway, Opcode::HELLO, Fate::Swallowed) == 1 && connections(o) == 2
            },
        ),
        case(
            "http",
            r#"on = "upgrade", connection = 1, do = "http", status = 503, body = "no""#,
            |o| count(o, |saw| matches!(saw, Seen::Upgraded { status: 503, .. })) == 1,
        ),
        case(
            "rest",
            r#"on = "request", nth = 1, do = "rest", status = 500"#,
            |o| {
                count(o, |saw| {
                    matches!(
                        saw,
                        Seen::Request {
                            status: 500,
                            by_fault: true,
                            ..
                        }
                    )
                }) == 1
            },
        ),
        case(
            "close",
            r#"at = "1I", do = "close", code = 4000, reason = "a test""#,
            |o| {
                count(
                    o,
                    |saw| matches!(saw, Seen::Close { from: Side::Gateway, code: Some(CloseCode(4000)), reason, .. } if reason == "a test"),
                ) == 1
            },
        ),
        Case {
            keys: r#"[[case.fault]]
at = "2I"
do = "reconnect"
cut_after = "never""#,
            ..case(
                "on-close",
                r#"at = "1I", do = "on-close", answer = "reset", for = "run""#,
                |o| {
                    subject_closed(o)
                        && count(o, |saw| {
                            matches!(
                                saw,
                                Seen::Rst {
                                    from: Side::Gateway,
                                    ..
                                }
                            )
                        }) == 1
                },
            )
        },
        Case {
            keys: r#"[[case.fault]]
at = "2I"
do = "reconnect"
cut_after = "never""#,
            ..case(
                "on-close",
                r#"at = "1I", do = "on-close", answer = "late", answer_after = "1s", code = "none", for = "run""#,
                |o| {
                    let answers = between(
                        o,
                        |saw| {
                            matches!(
                                saw,
                                Seen::Close {
                                    from: Side::Subject,
                                    ..
                                }
                            )
                        },
                        |saw| {
                            matches!(
                                saw,
                                Seen::Close {
                                    from: Side::Gateway,
                                    code: None,
                                    ..
                                }
                            )
                        },
                    );
                    answers == Duration::from_secs(1)
                },
            )
        },
        case(
            "withhold",
            r#"on = "heartbeat", nth = 2, connection = 1, do = "withhold", frame = "ack", for = "connection""#,
            |o| {
                frames(o, Side::Gateway, Opcode::HEARTBEAT_ACK, Fate::Withheld) == 1
                    && connections(o) == 2
            },
        ),
        case(
            "delay",
            r#"on = "ack", nth = 2, connection = 1, do = "delay", frame = "ack", by = "0.5I""#,
            |o| {
                frames(o, Side::Gateway, Opcode::HEARTBEAT_ACK, Fate::Held) == 1
                    && connections(o) == 1
            },
        ),
        case(
            "delay",
            r#"on = "ready", connection = 1, do = "delay", frame = "ready", until = "hello+3s""#,
            |o| {
                let waits = between(
                    o,
                    |saw| is_frame(saw, Side::Gateway, Opcode::HELLO, Fate::Delivered),
                    |saw| matches!(saw, Seen::Frame { t: Some(t), fate: Fate::Delivered, .. } if t == "READY"),
                );
                waits == Duration::from_secs(3)
            },
        ),
        case(
            "duplicate",
            r#"on = "dispatch", nth = 3, connection = 1, do = "duplicate", frame = "dispatch""#,
            |o| {
                frames(o, Side::Gateway, Opcode::DISPATCH, Fate::Injected) == 1
                    && o.judgement.counts.duplicated == 0
            },
        ),
        case(
            "reorder",
            r#"on = "dispatch", nth = 3, connection = 1, do = "reorder", frame = "dispatch""#,
            |o| {
                let sent = o.entries.iter().filter_map(|entry| match &entry.saw {
                    Seen::Frame {
                        from: Side::Gateway,
                        fate: Fate::Delivered,
                        op: Opcode::DISPATCH,
                        s,
                        ..
                    } => *s,
                    _ => None,
                });
                // READY and the guild have the first two numbers, and two messages come before the third.
                let sent: Vec<u64> = sent.take(7).collect();
                sent == [1, 2, 3, 4, 6, 5, 7] && nothing_happened(o)
            },
        ),
        case(
            "reorder",
            r#"at = "1I", do = "reorder", frame = "dispatch", for = "1I""#,
            |o| frames(o, Side::Gateway, Opcode::DISPATCH, Fate::Held) > 2 && nothing_happened(o),
        ),
        case(
            "fragment",
            r#"on = "ready", do = "fragment", frame = "ready", layer = "websocket", parts = 50"#,
            nothing_happened,
        ),
        case(
            "pad",
            r#"on = "ready", do = "pad", frame = "ready", size = 8388608"#,
            |o| {
                let is_padded =
                    |saw: &Seen| matches!(saw, Seen::Frame { bytes, .. } if *bytes > 8_388_608);
                count(o, is_padded) == 1 && nothing_happened(o)
            },
        ),
        case(
            "skip-seq",
            r#"at = "1I", do = "skip-seq", count = 1000"#,
            nothing_happened,
        ),
        Case {
            keys: r#"[[case.fault]]
at = "1.5I"
do = "reset""#,
            ..case(
                "skip-seq",
                r#"at = "1I", do = "skip-seq", count = 7"#,
                |o| o.judgement.counts.resumes == 1 && o.judgement.counts.lost == 0,
            )
        },
        Case {
            keys: ZLIB,
            ..case(
                "fragment",
                r#"on = "dispatch", do = "fragment", frame = "dispatch", layer = "zlib", parts = 3, for = "connection""#,
                nothing_happened,
            )
        },
        Case {
            keys: ZLIB,
            ..case(
                "truncate",
                r#"on = "ack", nth = 2, connection = 1, do = "truncate", frame = "ack""#,
                broken_and_resumed,
            )
        },
        Case {
            keys: ZSTD,
            ..case(
                "truncate",
                r#"on = "dispatch", nth = 5, connection = 1, do = "truncate", frame = "dispatch""#,
                broken_and_resumed,
            )
        },
        Case {
            keys: ZLIB,
            ..case(
                "lose-context",
                r#"at = "1I", do = "lose-context""#,
                broken_and_resumed,
            )
        },
        Case {
            keys: ZSTD,
            ..case(
                "lose-context",
                r#"at = "1I", do = "lose-context""#,
                broken_and_resumed,
            )
        },
        Case {
            keys: ZLIB,
            ..case("corrupt", r#"at = "1I", do = "corrupt""#, |o| {
                connections(o) >= 2 && o.judgement.counts.lost == 0
            })
        },
        Case {
            keys: ZSTD,
            ..case("bomb", r#"at = "1I", do = "bomb", size = 67108864"#, |o| {
                spoilt(o) == 1 && o.judgement.counts.lost == 0
            })
        },
        Case {
            keys: ZLIB,
            ..case("bomb", r#"at = "1I", do = "bomb", size = 67108864"#, |o| {
                spoilt(o) == 1 && o.judgement.counts.lost == 0
            })
        },
        case(
            "flood",
            r#"at = "1I", do = "flood", count = 500, size = 2000"#,
            |o| {
                let is_of_it = |saw: &Seen| {
                    matches!(
                        saw,
                        Seen::Frame {
                            op: Opcode::DISPATCH,
                            bytes: 2000..,
                            ..
                        }
                    )
                };
                count(o, is_of_it) == 500 && nothing_happened(o)
            },
        ),
        case(
            "hello",
            r#"on = "hello", connection = 1, do = "hello", interval = "0.25I""#,
            |o| {
                // Four beats an I instead of one, and still nothing wrong with them.
                o.judgement
                    .rules
                    .iter()
                    .any(|rule| rule.rule == "heartbeat/H3" && rule.kept > 8)
            },
        ),
        case(
            "send",
            r#"at = "1I", do = "send", op = 99, d = { a = 1 }"#,
            |o| frames(o, Side::Gateway, Opcode(99), Fate::Injected) == 1,
        ),
        case(
            "request-heartbeat",
            r#"at = "1.5I", do = "request-heartbeat""#,
            |o| {
                let answered = between(
                    o,
                    |saw| is_frame(saw, Side::Gateway, Opcode::HEARTBEAT, Fate::Delivered),
                    |saw| is_frame(saw, Side::Subject, Opcode::HEARTBEAT, Fate::Delivered),
                );
                answered < Duration::from_secs(1)
            },
        ),
        case("reconnect", r#"at = "1I", do = "reconnect""#, |o| {
            o.judgement.counts.resumes == 1
        }),
        case(
            "invalid-session",
            r#"at = "1I", do = "invalid-session", resumable = true"#,
            |o| o.judgement.counts.resumes == 1,
        ),
        case(
            "invalid-session",
            r#"at = "1I", do = "invalid-session", resumable = false"#,
            last_connection_is_of_another_session,
        ),
        case(
            "refuse-identify",
            r#"on = "identify", connection = 1, do = "refuse-identify", by = "close", code = 4000"#,
            last_connection_is_of_another_session,
        ),
        Case {
            keys: r#"[[case.fault]]
at = "1I"
do = "reset""#,
            ..case(
                "refuse-resume",
                r#"on = "resume", nth = 1, do = "refuse-resume", by = "op9""#,
                last_connection_is_of_another_session,
            )
        },
        case(
            "bad-frame",
            r#"at = "1I", do = "bad-frame", text = "{not json""#,
            |o| {
                count(o, |saw| {
                    matches!(
                        saw,
                        Seen::Message {
                            from: Side::Gateway,
                            kind: Kind::Text,
                            ..
                        }
                    )
                }) == 1
            },
        ),
        case("ping", r#"at = "1I", do = "ping""#, |o| {
            count(o, |saw| {
                matches!(
                    saw,
                    Seen::Message {
                        from: Side::Subject,
                        kind: Kind::Pong,
                        ..
                    }
                )
            }) == 1
        }),
        Case {
            keys: r#"ends = "stopped""#,
            ..case(
                "subject",
                r#"at = "1I", do = "subject", act = "stop""#,
                |o| count(o, |saw| matches!(saw, Seen::Stopped { reason: None })) == 1,
            )
        },
        case(
            "subject",
            r#"at = "1I", do = "subject", act = "restart""#,
            |o| count(o, |saw| matches!(saw, Seen::Started { .. })) == 2,
        ),
        Case {
            keys: r#"[[case.fault]]
at = "2I"
do = "subject"
act = "start"
session = "kept""#,
            ..case(
                "subject",
                r#"at = "1I", do = "subject", act = "kill""#,
                |o| {
                    // The session outlives the process that had it.
                    count(o, |saw| matches!(saw, Seen::Started { with_session: true })) == 1
                        && o.judgement.counts.resumes == 1
                },
            )
        },
        Case {
            keys: r#"[[case.fault]]
at = "1.7I"
do = "subject"
act = "thaw""#,
            ..case(
                "subject",
                r#"at = "1.2I", do = "subject", act = "freeze""#,
                |o| connections(o) == 1,
            )
        },
        case(
            "subject",
            r#"at = "1I", do = "subject", act = "send", op = 3, count = 5"#,
            |o| {
                count(o, |saw| {
                    matches!(
                        saw,
                        Seen::Commanded {
                            fate: CommandFate::Sent,
                            ..
                        }
                    )
                }) == 5
                    && frames(o, Side::Subject, Opcode::PRESENCE_UPDATE, Fate::Delivered) == 5
            },
        ),
    ]
}

fn text(case: &Case) -> String {
    let fault: String = case
        .fault
        .split(", ")
        .fold(String::new(), |text, key| text + key + "\n");
    // Keys of the scenario stand before its first fault, further faults behind it.
    let (before, behind) = if case.keys.starts_with("[[") {
        ("", case.keys)
    } else {
        (case.keys, "")
    };
    format!(
        "[case]\nsummary = \"a test\"\ntraffic = {{ every = \"0.1I\" }}\n{before}\n[[case.fault]]\n{fault}\n{behind}\n"
    )
}

#[test]
fn every_action_strikes_does_what_it_says_and_does_not_confuse_a_sound_client() {
    for case in cases() {
        for seed in 0..5 {
            let outcome = virtual_run(&text(&case), seed);
            assert_conforms(&outcome);
            let struck = count(&outcome, |saw| matches!(saw, Seen::Struck { fault: 0, .. }));
            assert!(struck > 0, "{} did not strike", case.fault);
            assert!(
                (case.effect)(&outcome),
                "{} did not do what it says at seed {seed}:\n{}",
                case.fault,
                crate::lab::transcript(&outcome.entries)
            );
        }
    }
}

#[test]
fn no_action_is_left_out() {
    let tried: BTreeSet<&str> = cases().iter().map(|case| case.action).collect();
    let known: BTreeSet<&str> = Action::<Duration>::WORDS.iter().copied().collect();
    assert_eq!(tried, known);
}

#[test]
fn however_json_is_written_our_client_reads_it() {
    let text = text(&case("reset", r#"at = "1I", do = "reset""#, |_| true));
    for order in ["usual", "reversed", "shuffled"] {
        let json = format!("json = {{ order = \"{order}\", spaces = true, unknown = true }}");
        let text = text.replacen("summary", &format!("{json}\nsummary"), 1);
        let outcome = virtual_run(&text, 1);
        assert_conforms(&outcome);
        assert_eq!(outcome.judgement.counts.resumes, 1, "{order}");
        assert!(outcome.entries == virtual_run(&text, 1).entries, "{order}");
    }
}

#[test]
fn a_schedule_stands_in_the_trace_from_armed_to_healed() {
    let outcome = virtual_run(&text(&case("eof", r#"at = "1I", do = "eof""#, |_| true)), 1);
    let order: Vec<&str> = outcome
        .entries
        .iter()
        .filter_map(|entry| match entry.saw {
            Seen::Armed { .. } => Some("armed"),
            Seen::Struck { .. } => Some("struck"),
            Seen::Healed { .. } => Some("healed"),
            Seen::Phase(Phase::Login) => Some("login"),
            Seen::Phase(Phase::Chaos) => Some("chaos"),
            Seen::Phase(Phase::Healed) => Some("heal"),
            Seen::Phase(Phase::Over) => Some("over"),
            Seen::End { is_complete: true } => Some("end"),
            _ => None,
        })
        .collect();
    assert_eq!(
        order,
        [
            "armed", "login", "chaos", "struck", "healed", "heal", "over", "end"
        ]
    );
}

#[test]
fn a_range_is_drawn_from_the_seed_and_stays_within_its_ends() {
    let text = text(&case("eof", r#"at = "1I..2I", do = "eof""#, |_| true));
    let mut drawn = BTreeSet::new();
    for seed in 0..20 {
        let outcome = virtual_run(&text, seed);
        let struck = outcome
            .entries
            .iter()
            .find(|entry| matches!(entry.saw, Seen::Struck { .. }));
        let zero = outcome
            .entries
            .iter()
            .find(|entry| entry.saw == Seen::Phase(Phase::Chaos));
        let after = struck.expect("it strikes").at - zero.expect("chaos begins").at;
        let interval = outcome.header.interval;
        assert!((interval..=2 * interval).contains(&after), "{after:?}");
        drawn.insert(after);
    }
    assert!(drawn.len() > 10, "twenty seeds gave {} times", drawn.len());
    let scenario = scenario(&text, Clock::Virtual);
    assert_eq!(scenario.faults.len(), 1);
}
