//! For every rule a trace that breaks it and one that nearly does.

use super::tape::{I, IDENTIFY, LOST, OVER, Tape, line};
use crate::fault::{Act, Action, Direction, Port, Stall};
use crate::oracle::rules::{all, find};
use crate::oracle::{Effect, Verdict};
use crate::protocol::Opcode;
use crate::time::Duration;
use crate::trace::{Fate, Kind, Seen, Side};

/// A rule, a trace that breaks it, one that nearly does.
type Case = (&'static str, fn() -> Tape, fn() -> Tape);

fn edit(edit: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::conforming();
    edit(&mut tape);
    tape
}

/// From the steady state on: what happens to #1, and what follows.
fn then(then: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::steady();
    then(&mut tape);
    tape
}

fn from_nothing(build: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::new();
    build(&mut tape);
    tape
}

fn request(tape: &mut Tape, at: u64) {
    let (method, path) = ("GET".to_owned(), "/api/v10/gateway/bot".to_owned());
    let (status, by_fault) = (200, false);
    tape.see(
        at,
        Seen::Request {
            method,
            path,
            status,
            by_fault,
        },
    );
}

fn paths(tape: &mut Tape, from: u64, to: &str) {
    for entry in &mut tape.entries {
        if let Seen::Upgrade { path, .. } = &mut entry.saw
            && entry.at >= super::tape::ms(from)
        {
            to.clone_into(path);
        }
    }
}

/// IDENTIFY, op 9, IDENTIFY again, each at its time, then READY.
fn identify_at(times: &[u64]) -> Tape {
    from_nothing(|t| {
        t.accept(10, 1, Port::Main).hello(41, 1);
        t.beats(20_041, 1, times[times.len() - 1]);
        for (n, at) in times.iter().enumerate() {
            t.subject(*at, 1, 2, IDENTIFY);
            if n + 1 < times.len() {
                t.gateway(*at, 1, 9, "false");
            }
        }
        let last = times[times.len() - 1];
        t.ready(last, 1, "s1");
        let next = if last < 20_000 {
            20_041
        } else {
            20_041 + last.div_ceil(I) * I
        };
        t.without(|at, saw| {
            at >= next
                && matches!(
                    saw,
                    Seen::Frame {
                        op: Opcode::HEARTBEAT,
                        ..
                    }
                )
        });
        t.beats(next, 1, OVER);
    })
}

fn identify_with(d: &'static str) -> Tape {
    edit(|t| {
        t.instead(61, 1, 2, d);
    })
}

/// #1 is left silent: its heartbeats go on and have no ACK; it is left at that time, if at all.
fn silent(left_at: Option<u64>) -> Tape {
    then(|t| {
        let fault = t.fault(Action::Blackhole {
            direction: Direction::ToSubject,
        });
        t.without(|at, saw| {
            at > 140_000
                && matches!(
                    saw,
                    Seen::Frame {
                        op: Opcode::HEARTBEAT_ACK,
                        ..
                    }
                )
        });
        t.struck(140_000, fault, 1);
        let mut at = 180_041;
        while at < left_at.unwrap_or(OVER) {
            t.beat(at, 1);
            at += I;
        }
        if let Some(left) = left_at {
            t.close(left, 1, Side::Subject, 4000)
                .fin(left + 50, 1, Side::Subject);
            t.back(left + 100, 2, Port::Resume, 4);
        }
    })
}

/// READY comes late; the heart beats meanwhile, or not.
fn late_ready(beats: bool) -> Tape {
    from_nothing(|t| {
        t.accept(10, 1, Port::Main)
            .hello(41, 1)
            .subject(61, 1, 2, IDENTIFY);
        if beats {
            t.beats(20_041, 1, 90_000);
        }
        t.ready(90_000, 1, "s1").beats(100_041, 1, OVER);
    })
}

/// A heartbeat was asked for and given, and its ACK takes its time.
fn slow_ack(then: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::conforming();
    tape.gateway(80_000, 1, 1, "null")
        .subject(80_100, 1, 1, "3");
    then(&mut tape);
    tape
}

/// The gateway sends this on #1; the subject leaves with 4000 and does the rest.
fn told(op: u8, d: &str, left_at: u64, rest: impl FnOnce(&mut Tape)) -> Tape {
    then(|t| {
        t.gateway(145_000, 1, op, d).leave(left_at, 1, 4000);
        rest(t);
    })
}

/// The gateway closes #1 with a code, and the rest follows.
fn closed(code: u16, rest: impl FnOnce(&mut Tape)) -> Tape {
    then(|t| {
        t.closed(LOST, 1, code);
        rest(t);
    })
}

fn resumes(t: &mut Tape) {
    t.back(LOST + 10_000, 2, Port::Resume, 4);
}

fn identifies(t: &mut Tape) {
    t.anew(LOST + 10_000, 2, Port::Main, "s2");
}

fn gave_up(t: &mut Tape) {
    t.facts.recovered_at = None;
}

/// Refused attempts after these delays, then back.
fn refused(port: Port, delays: impl IntoIterator<Item = u64>, last: Port) -> Tape {
    then(|t| {
        let mut at = LOST;
        t.rst(at, 1, Side::Gateway);
        for delay in delays {
            at += delay;
            t.missed(at, port);
        }
        t.back(at + 3_000, 2, last, 4);
    })
}

fn blocked_resume_port(tries: u64) -> Tape {
    let mut tape = refused(Port::Resume, (0..tries).map(|n| 1000 << n), Port::Main);
    let fault = tape.fault(Action::Refuse);
    tape.header.schedule[0].fault.port = Some(Port::Resume);
    let connection = None;
    tape.see(LOST, Seen::Struck { fault, connection });
    tape
}

fn hammered(every: u64) -> Tape {
    then(|t| {
        let mut at = LOST;
        t.rst(at, 1, Side::Gateway);
        for n in 2..72 {
            at += every;
            t.accept(at, n, Port::Resume).rst(at + 2, n, Side::Gateway);
        }
        t.back(at + 3_000, 72, Port::Resume, 4);
    })
}

fn commands(every: u64) -> Tape {
    edit(|t| {
        for n in 0..125 {
            t.subject(61_000 + n * every, 1, 3, "{}");
        }
    })
}

fn cut_replay(seq: u64) -> Tape {
    then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        t.accept(LOST + 100, 2, Port::Resume)
            .hello(LOST + 131, 2)
            .resume(LOST + 151, 2, 4);
        t.message(LOST + 152, 2)
            .dispatch(LOST + 153, 2, "MESSAGE_CREATE", "{}");
        t.rst(LOST + 300, 2, Side::Gateway);
        t.back(LOST + 400, 3, Port::Resume, seq);
    })
}

fn message_after_op7(seq: u64) -> Tape {
    then(|t| {
        t.gateway(145_000, 1, 7, "null")
            .message(145_100, 1)
            .leave(146_000, 1, 4000);
        t.back(LOST, 2, Port::Resume, seq);
    })
}

fn odd(t: &mut Tape, at: u64, op: u8) {
    let is_dispatch = op == 0;
    t.see(
        at,
        Seen::Frame {
            connection: 1,
            from: Side::Gateway,
            fate: Fate::Injected,
            op: Opcode(op),
            s: is_dispatch.then_some(5),
            t: is_dispatch.then_some("NO_SUCH_EVENT".into()),
            d: super::tape::json("{}"),
            bytes: 40,
        },
    );
}

fn stalled(left_at: Option<u64>) -> Tape {
    then(|t| {
        let at = Stall::Accept;
        let fault = t.fault(Action::Stall { at });
        t.rst(LOST, 1, Side::Gateway);
        let (connection, port) = (2, Port::Resume);
        t.see(LOST + 100, Seen::Accepted { connection, port });
        t.struck(LOST + 100, fault, 2);
        if let Some(left) = left_at {
            t.rst(left, 2, Side::Subject)
                .back(left + 1_000, 3, Port::Main, 4);
        } else {
            gave_up(t);
        }
    })
}

fn op7_before_hello(rest: impl FnOnce(&mut Tape)) -> Tape {
    then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        t.accept(LOST + 100, 2, Port::Resume)
            .gateway(LOST + 110, 2, 7, "null");
        t.leave(LOST + 150, 2, 4000);
        rest(t);
    })
}

fn two_sessions(last: &'static str) -> Tape {
    then(|t| {
        t.closed(LOST, 1, 4003);
        t.anew(LOST + 10_000, 2, Port::Main, "s2");
        t.without(|at, _| at > 240_000);
        t.rst(240_000, 2, Side::Gateway);
        t.id = last;
        t.back(240_100, 3, Port::Resume, if last == "s1" { 4 } else { 1 });
    })
}

/// The subject is told to stop, and says goodbye.
fn stopped(code: u16) -> Tape {
    then(|t| {
        t.header.ends = crate::expect::Ends::Stopped;
        t.act(145_000, Act::Stop).leave(145_010, 1, code);
        let reason = None;
        t.see(145_100, Seen::Stopped { reason });
    })
}

const CASES: &[Case] = &[
    (
        "connect/C1",
        || edit(|t| [5, LOST + 50].into_iter().for_each(|at| request(t, at))),
        || edit(|t| request(t, 5)),
    ),
    (
        "connect/C2",
        || edit(|t| paths(t, 0, "/?v=10")),
        || edit(|t| paths(t, 0, "//?encoding=json&v=10")),
    ),
    (
        "connect/C3",
        || {
            edit(|t| {
                t.subject(50, 1, 3, "{}");
            })
        },
        || {
            edit(|t| {
                t.subject(LOST + 154, 2, 3, "{}");
            })
        },
    ),
    (
        "connect/C4",
        || {
            edit(|t| {
                t.subject(LOST + 125, 2, 1, "4");
            })
        },
        || {
            edit(|t| {
                t.subject(LOST + 132, 2, 1, "4").ack(LOST + 132, 2);
            })
        },
    ),
    (
        "connect/C5",
        || op7_before_hello(identifies),
        || op7_before_hello(resumes),
    ),
    (
        "connect/C6",
        || stalled(None),
        || stalled(Some(LOST + 68_000)),
    ),
    (
        "heartbeat/H1",
        || {
            edit(|t| {
                t.without_at(LOST + 20_131);
            })
        },
        || {
            edit(|t| {
                t.without_at(LOST + 20_131);
                t.beat(LOST + 42_200, 2).ack(LOST + 42_200, 2);
            })
        },
    ),
    (
        "heartbeat/H3",
        || {
            edit(|t| {
                t.without_at(100_041);
            })
        },
        || {
            edit(|t| {
                t.without_at(100_041)
                    .subject(102_100, 1, 1, "4")
                    .ack(102_100, 1);
            })
        },
    ),
    (
        "heartbeat/H4",
        || {
            edit(|t| {
                t.instead(100_041, 1, 1, "5");
            })
        },
        // The message before it was sent 141 ms ago: it may not have arrived.
        || {
            edit(|t| {
                t.instead(100_041, 1, 1, "3");
            })
        },
    ),
    (
        "heartbeat/H5",
        || {
            edit(|t| {
                t.gateway(80_000, 1, 1, "null");
            })
        },
        || {
            edit(|t| {
                t.gateway(80_000, 1, 1, "null")
                    .subject(81_100, 1, 1, "3")
                    .ack(81_100, 1);
            })
        },
    ),
    ("heartbeat/H6", || silent(None), || silent(Some(262_100))),
    (
        "heartbeat/H7",
        || {
            let mut tape = silent(Some(180_041));
            tape.without(|at, _| at > 180_100)
                .anew(181_000, 2, Port::Main, "s2");
            tape
        },
        || silent(Some(180_041)),
    ),
    ("heartbeat/H8", || late_ready(false), || late_ready(true)),
    (
        "heartbeat/H9",
        || {
            slow_ack(|t| {
                t.without(|at, _| at > 90_000).leave(95_000, 1, 4000);
                t.back(LOST, 2, Port::Resume, 3);
            })
        },
        || {
            slow_ack(|t| {
                t.without(|at, saw| {
                    at == 100_041
                        && matches!(
                            saw,
                            Seen::Frame {
                                op: Opcode::HEARTBEAT_ACK,
                                ..
                            }
                        )
                });
                t.ack(100_060, 1);
            })
        },
    ),
    (
        "identify/I1",
        || {
            edit(|t| {
                t.subject(70, 1, 2, IDENTIFY);
            })
        },
        || identify_at(&[61, 6_000]),
    ),
    (
        "identify/I2",
        || identify_with(r#"{"token":"<token>","intents":513,"properties":{"os":"linux"}}"#),
        || {
            identify_with(
                r#"{"token":"<token:bot>","intents":1,"large_threshold":25,"x":{},
                    "properties":{"$os":"a","$browser":"b","$device":"c"}}"#,
            )
        },
    ),
    (
        "identify/I3",
        || {
            identify_with(
                r#"{"token":"<token>","intents":131072,"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
        || {
            identify_with(
                r#"{"token":"<token>","intents":53608447,"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
    ),
    (
        "identify/I4",
        || {
            identify_with(
                r#"{"token":"<token>","intents":1,"shard":[1,1],"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
        || {
            identify_with(
                r#"{"token":"<token>","intents":1,"shard":[0,1],"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
    ),
    (
        "identify/I5",
        || identify_at(&[61, 4_061]),
        || identify_at(&[61, 4_900]),
    ),
    (
        "identify/I6",
        || {
            let mut tape = identify_at(&[61, 6_000]);
            tape.header.identify_limit.starts = 1;
            request(&mut tape, 5);
            tape
        },
        || {
            let mut tape = identify_at(&[61, 6_000]);
            tape.header.identify_limit.starts = 2;
            request(&mut tape, 5);
            tape
        },
    ),
    (
        "identify/I7",
        || {
            from_nothing(|t| {
                t.accept(10, 1, Port::Main)
                    .hello(41, 1)
                    .subject(61, 1, 2, IDENTIFY);
                t.rst(62, 1, Side::Gateway)
                    .accept(1_000, 2, Port::Main)
                    .hello(1_031, 2);
                t.subject(
                    1_051,
                    2,
                    6,
                    r#"{"token":"<token>","session_id":null,"seq":null}"#,
                );
                t.gateway(1_052, 2, 9, "false")
                    .subject(6_000, 2, 2, IDENTIFY);
                t.ready(6_001, 2, "s1").beats(21_031, 2, OVER);
            })
        },
        || {
            from_nothing(|t| {
                t.accept(10, 1, Port::Main)
                    .hello(41, 1)
                    .subject(61, 1, 2, IDENTIFY);
                t.ready(61, 1, "s1").rst(1_000, 1, Side::Gateway);
                t.back(1_100, 2, Port::Resume, 1);
            })
        },
    ),
    (
        "resume/R1",
        || {
            then(|t| {
                t.rst(LOST, 1, Side::Gateway)
                    .back(LOST + 100, 2, Port::Main, 4);
            })
        },
        || {
            then(|t| {
                t.rst(LOST, 1, Side::Gateway)
                    .missed(LOST + 50, Port::Resume);
                t.accept(LOST + 100, 2, Port::Main)
                    .hello(LOST + 131, 2)
                    .resume(LOST + 151, 2, 4);
                t.rst(LOST + 160, 2, Side::Gateway)
                    .back(LOST + 1_000, 3, Port::Resume, 4);
            })
        },
    ),
    (
        "resume/R2",
        || edit(|t| paths(t, LOST, "/?v=9&encoding=json")),
        || edit(|t| paths(t, LOST, "/?encoding=json&v=10&trace=1")),
    ),
    (
        "resume/R3",
        || {
            edit(|t| {
                let d = r#"{"token":"<token>","session_id":"another","seq":4}"#;
                t.instead(LOST + 151, 2, 6, d);
            })
        },
        || {
            edit(|t| {
                let d = r#"{"token":"<token:bot>","session_id":"s1","seq":4,"x":0}"#;
                t.instead(LOST + 151, 2, 6, d);
            })
        },
    ),
    (
        "resume/R4",
        || closed(4000, identifies),
        || closed(4000, resumes),
    ),
    (
        "resume/R5",
        || told(7, "null", 157_500, resumes),
        || told(7, "null", 156_900, resumes),
    ),
    (
        "resume/R6",
        || told(9, "true", 146_000, identifies),
        || told(9, "true", 146_000, resumes),
    ),
    (
        "resume/R7",
        || told(9, "false", 146_000, resumes),
        || told(9, "false", 146_000, identifies),
    ),
    (
        "resume/R8",
        || closed(4009, resumes),
        || closed(4009, identifies),
    ),
    ("resume/R9", || two_sessions("s1"), || two_sessions("s2")),
    (
        "resume/R10",
        || blocked_resume_port(6),
        || blocked_resume_port(5),
    ),
    (
        "close/X1",
        || {
            closed(4004, |t| {
                t.header.ends = crate::expect::Ends::Stopped;
                t.accept(LOST + 60, 2, Port::Main)
                    .rst(LOST + 70, 2, Side::Subject);
            })
        },
        // Begun before the code can have arrived.
        || {
            closed(4004, |t| {
                t.header.ends = crate::expect::Ends::Stopped;
                t.accept(LOST + 10, 2, Port::Main)
                    .rst(LOST + 40, 2, Side::Subject);
            })
        },
    ),
    (
        "close/X2",
        || closed(4001, gave_up),
        || {
            closed(4001, |t| {
                t.back(LOST + 100_000, 2, Port::Resume, 4);
            })
        },
    ),
    (
        "close/X3",
        || {
            then(|t| {
                t.rst(LOST, 1, Side::Gateway);
                identifies(t);
            })
        },
        || {
            then(|t| {
                t.fin(LOST, 1, Side::Gateway)
                    .fin(LOST + 20, 1, Side::Subject);
                resumes(t);
            })
        },
    ),
    (
        "close/X4",
        || closed(1000, gave_up),
        || closed(1000, identifies),
    ),
    (
        "close/X5",
        || {
            then(|t| {
                t.gateway(145_000, 1, 7, "null").leave(146_000, 1, 1000);
                resumes(t);
            })
        },
        || stopped(1000),
    ),
    (
        "close/X6",
        || {
            then(|t| {
                t.gateway(135_000, 1, 7, "null")
                    .close(136_000, 1, Side::Subject, 4000);
                // The heartbeat at 140.041 s is behind it.
                t.fin(148_000, 1, Side::Subject);
                resumes(t);
            })
        },
        || {
            closed(4000, |t| {
                t.subject(LOST + 15, 1, 1, "4");
                resumes(t);
            })
        },
    ),
    (
        "close/X7",
        || {
            then(|t| {
                t.gateway(145_000, 1, 7, "null")
                    .close(146_000, 1, Side::Subject, 4000);
                t.fin(180_000, 1, Side::Subject);
                resumes(t);
            })
        },
        || {
            then(|t| {
                t.gateway(145_000, 1, 7, "null")
                    .close(146_000, 1, Side::Subject, 4000);
                t.fin(178_000, 1, Side::Subject);
                resumes(t);
            })
        },
    ),
    (
        "reconnect/B1",
        || refused(Port::Main, [1_000; 9], Port::Resume),
        || {
            refused(
                Port::Main,
                [100, 1_000, 1_100, 1_150, 1_250, 1_300, 1_400],
                Port::Resume,
            )
        },
    ),
    ("reconnect/B2", || hammered(900), || hammered(1_050)),
    (
        "reconnect/B3",
        || {
            then(|t| {
                t.rst(LOST, 1, Side::Gateway)
                    .missed(LOST + 1_000, Port::Resume);
                gave_up(t);
            })
        },
        || refused(Port::Main, [1_000, 100_000], Port::Resume),
    ),
    (
        "reconnect/B4",
        || {
            identify_at(&std::array::from_fn::<u64, 13, _>(|n| {
                61 + 4_800 * n as u64
            }))
        },
        || {
            identify_at(&std::array::from_fn::<u64, 13, _>(|n| {
                61 + 5_000 * n as u64
            }))
        },
    ),
    ("rate/T1", || commands(450), || commands(520)),
    (
        "rate/T3",
        || {
            edit(|t| {
                t.subject(50_000, 1, 3, "{}");
                let last = t.entries.last_mut().unwrap();
                if let Seen::Frame { bytes, .. } = &mut last.saw {
                    *bytes = 4097;
                }
            })
        },
        || {
            edit(|t| {
                t.subject(50_000, 1, 3, "{}");
                let last = t.entries.last_mut().unwrap();
                if let Seen::Frame { bytes, .. } = &mut last.saw {
                    *bytes = 4096;
                }
            })
        },
    ),
    (
        "delivery/D1",
        || {
            edit(|t| {
                t.without_at(30_010).delivered(100_000, 1, 3);
            })
        },
        || {
            edit(|t| {
                t.without_at(30_010).delivered(99_905, 1, 3);
            })
        },
    ),
    (
        "delivery/D2",
        || {
            then(|t| {
                t.rst(LOST, 1, Side::Gateway)
                    .back(LOST + 100, 2, Port::Resume, 5);
            })
        },
        // One more was on its way when the connection was cut.
        || {
            then(|t| {
                t.dispatch(LOST - 1, 1, "MESSAGE_CREATE", "{}")
                    .rst(LOST, 1, Side::Gateway);
                t.accept(LOST + 100, 2, Port::Resume).hello(LOST + 131, 2);
                t.resume(LOST + 151, 2, 4);
                t.s -= 1;
                t.message(LOST + 152, 2)
                    .dispatch(LOST + 153, 2, "RESUMED", "{}");
                t.beats(LOST + 20_131, 2, OVER);
            })
        },
    ),
    (
        "delivery/D3",
        || {
            edit(|t| {
                t.instead(140_041, 1, 1, "null");
            })
        },
        || {
            edit(|t| {
                t.gateway(130_000, 1, 11, "null");
                let last = t.entries.last_mut().unwrap();
                if let Seen::Frame { s, .. } = &mut last.saw {
                    *s = Some(9);
                }
                t.instead(140_041, 1, 1, "9");
            })
        },
    ),
    ("delivery/D4", || cut_replay(3), || cut_replay(5)),
    (
        "delivery/D5",
        || message_after_op7(4),
        || message_after_op7(5),
    ),
    (
        "robustness/Z1",
        || {
            then(|t| {
                odd(t, 145_000, 99);
                t.leave(145_500, 1, 4000);
                resumes(t);
            })
        },
        || edit(|t| odd(t, 138_000, 99)),
    ),
    (
        "robustness/Z2",
        || {
            then(|t| {
                odd(t, 145_000, 0);
                t.leave(145_500, 1, 4000);
                resumes(t);
            })
        },
        || edit(|t| odd(t, 138_000, 0)),
    ),
    (
        "robustness/Z3",
        || {
            then(|t| {
                t.message_kind(145_000, 1, Side::Gateway, Kind::Text)
                    .leave(145_100, 1, 4002);
                identifies(t);
            })
        },
        || {
            then(|t| {
                t.message_kind(145_000, 1, Side::Gateway, Kind::Text)
                    .leave(145_100, 1, 4002);
                resumes(t);
            })
        },
    ),
    (
        "robustness/Z5",
        || {
            edit(|t| {
                t.message_kind(110_000, 1, Side::Gateway, Kind::Ping);
            })
        },
        || {
            edit(|t| {
                t.message_kind(110_000, 1, Side::Gateway, Kind::Ping);
                t.message_kind(115_300, 1, Side::Subject, Kind::Pong);
            })
        },
    ),
];

#[test]
fn the_conforming_run_conforms_and_nothing_is_found() {
    let judgement = Tape::conforming().judged();
    let found: Vec<String> = judgement.findings.iter().map(line).collect();
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (Verdict::Conforms, Vec::new())
    );
    assert!(
        judgement
            .rules
            .iter()
            .all(|rule| rule.kept == rule.exercised)
    );
}

#[test]
fn every_rule_of_the_table_has_its_two_traces() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    let rules: Vec<&str> = all().iter().map(|rule| rule.id).collect();
    assert_eq!(cases, rules);
}

#[test]
fn every_rule_is_broken_by_the_trace_that_breaks_it() {
    for (rule, breaks, _) in CASES {
        assert!(
            !breaks().found(rule).is_empty(),
            "{rule} was not found broken"
        );
    }
}

/// A near miss must not be found at all, and nothing else in it may fail the run: it is what a sound client may do.
#[test]
fn no_rule_is_broken_by_the_trace_that_nearly_does() {
    for (rule, _, nearly) in CASES {
        let tape = nearly();
        let judgement = tape.judged();
        assert_eq!(tape.found(rule), Vec::<String>::new(), "{rule}");
        let fails = judgement
            .findings
            .iter()
            .filter(|f| f.effect == Effect::Fails);
        assert_eq!(
            fails.map(line).collect::<Vec<_>>(),
            Vec::<String>::new(),
            "{rule}"
        );
        let exercised = judgement.rules.iter().any(|count| count.rule == *rule);
        assert!(exercised, "{rule} was not exercised by its near miss");
    }
}

/// A rule is judged only where it can be seen.
#[test]
fn a_rule_is_silent_at_a_vantage_that_it_is_not_valid_for() {
    let (rule, breaks, _) = CASES.iter().find(|case| case.0 == "resume/R1").unwrap();
    let mut tape = breaks();
    tape.header.vantage = crate::trace::Vantage::Client;
    assert!(!find(rule).unwrap().vantages.contains(&tape.header.vantage));
    assert_eq!(tape.found(rule), Vec::<String>::new());
}

#[test]
fn what_is_broken_again_and_again_is_told_three_times_and_counted() {
    let mut tape = Tape::conforming();
    for n in 0..10 {
        tape.subject(61_000 + n, 1, 11, "null");
    }
    let found = tape.found("heartbeat/H5");
    assert_eq!(found.len(), 3);
    assert_eq!(
        found[2],
        "heartbeat/H5 at 61.002s: sent op 11 on #1 (and 7 more); expected op 1: op 11 is the gateway's to send"
    );
}

#[test]
fn findings_say_what_was_seen_and_what_was_allowed() {
    let found = |id: &str| {
        let (_, breaks, _) = CASES.iter().find(|case| case.0 == id).unwrap();
        breaks().found(id).remove(0)
    };
    let texts = [
        "heartbeat/H3 at 102.141s: no heartbeat on #1 42.1s after the one before; expected one every 40s (allowed 42.1s)",
        "heartbeat/H6 at 262.141s: still on #1, silent since 100.041s, 122.1s after a heartbeat that had no ACK; expected to leave it within 122.1s",
        "resume/R4 at 160.051s: sent IDENTIFY on #2; expected RESUME: the session could be resumed",
        "delivery/D2 at 150.151s: sent RESUME with seq 5 on #2; expected at most 4, the last number sent",
    ];
    for text in texts {
        assert_eq!(found(text.split(' ').next().unwrap()), text);
    }
}

#[test]
fn a_tight_loop_of_attempts_fails_the_run() {
    let tape = refused(Port::Main, [100; 60], Port::Resume);
    let fails = |effect: Effect| effect == Effect::Fails;
    let judgement = tape.judged();
    let b1 = judgement.findings.iter().filter(|f| f.id == "reconnect/B1");
    assert!(b1.map(|f| f.effect).any(fails));
}

/// The timer need not move for a heartbeat that was asked for.
#[test]
fn a_heartbeat_soon_after_a_requested_one_is_even() {
    let mut tape = Tape::conforming();
    tape.gateway(95_000, 1, 1, "null")
        .subject(95_010, 1, 1, "4")
        .ack(95_010, 1);
    assert_eq!(tape.found("heartbeat/H3"), Vec::<String>::new());
}

/// Jitter near the cap: the delays are long, in whichever order they come.
#[test]
fn delays_that_have_grown_long_need_grow_no_more() {
    let tape = refused(
        Port::Main,
        [1_000, 14_900, 16_000, 15_500, 15_200, 16_500],
        Port::Resume,
    );
    assert_eq!(tape.found("reconnect/B1"), Vec::<String>::new());
}

#[test]
fn a_shutdown_with_a_code_that_keeps_the_session_breaks_x5() {
    assert_eq!(
        stopped(4000).found("close/X5"),
        [
            "close/X5 at 145.010s: closed #1 with code 4000 at shutdown; expected 1000 or 1001: the session would live on"
        ]
    );
}

/// After a reconnect that failed, Discord itself advises to identify.
#[test]
fn a_fresh_identify_after_a_failed_reconnect_is_shown_and_a_second_one_fails() {
    let once = |t: &mut Tape, at: u64, n: u32, id| {
        t.missed(at, Port::Resume)
            .anew(at + 6_000, n, Port::Main, id);
    };
    let mut tape = then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        once(t, LOST + 100, 2, "s2");
    });
    let effects = |tape: &Tape| -> Vec<Effect> {
        let findings = tape.judged().findings;
        let x3 = findings.iter().filter(|f| f.id == "close/X3");
        x3.map(|f| f.effect).collect()
    };
    assert_eq!(effects(&tape), [Effect::Shown]);
    tape.without(|at, _| at > 200_000)
        .rst(200_000, 2, Side::Gateway);
    once(&mut tape, 200_100, 3, "s3");
    assert_eq!(effects(&tape), [Effect::Shown, Effect::Fails]);
}

#[test]
fn a_frozen_subject_is_asked_for_nothing() {
    let mut tape = Tape::conforming();
    tape.without(|at, _| (60_000..140_000).contains(&at) && at != 99_900 && at != 99_910);
    assert!(!tape.found("heartbeat/H3").is_empty());
    tape.act(50_000, Act::Freeze).act(130_000, Act::Thaw);
    assert_eq!(tape.found("heartbeat/H3"), Vec::<String>::new());
}

#[test]
fn unanswered_heartbeats_amid_traffic_are_a_note() {
    let mut tape = silent(None);
    tape.header.schedule.clear();
    tape.without(|_, saw| matches!(saw, Seen::Struck { .. }));
    for n in 0..30 {
        tape.message(141_000 + n * 5_900, 1);
    }
    let effects: Vec<Effect> = tape
        .judged()
        .findings
        .iter()
        .filter(|f| f.id == "heartbeat/H6")
        .map(|f| f.effect)
        .collect();
    assert_eq!(effects, [Effect::Note]);
}

/// Latency of a fault makes times on the connection meaningless.
#[test]
fn a_connection_whose_bytes_are_late_is_not_timed() {
    let mut tape = Tape::conforming();
    tape.without_at(100_041);
    let fault = tape.fault(Action::Latency {
        direction: Direction::Both,
        by: Duration::from_secs(2),
    });
    tape.struck(50_000, fault, 1);
    assert_eq!(tape.found("heartbeat/H3"), Vec::<String>::new());
}
