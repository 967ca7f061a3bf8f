//! Outcomes, expectations and the verdict.

use super::tape::{LOST, OVER, Tape, json, line, ms};
use crate::expect::{Ends, Expected};
use crate::fault::{Act, Action, Count, Direction, Event, Port, SentSeq};
use crate::oracle::{Effect, FindingKind, Verdict};
use crate::protocol::Opcode;
use crate::time::Duration;
use crate::trace::{Delivery, Phase, Seen, Side};

fn edit(edit: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::conforming();
    edit(&mut tape);
    tape
}

fn then(then: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = Tape::steady();
    then(&mut tape);
    tape
}

/// The ids of everything that fails, once each.
fn failing(tape: &Tape) -> Vec<String> {
    let findings = tape.judged().findings;
    let fails = findings.iter().filter(|f| f.effect == Effect::Fails);
    let mut ids: Vec<String> = fails.map(|f| f.id.clone()).collect();
    ids.dedup();
    ids
}

fn died(t: &mut Tape, at: u64, message: &str) {
    let message = message.to_owned();
    t.see(at, Seen::Died { message });
}

#[test]
fn a_death_fails_with_its_last_words() {
    let tape = edit(|t| {
        t.without(|at, _| at > 200_000);
        died(t, 200_000, "uncaught: zombie");
    });
    assert_eq!(
        tape.found("died"),
        ["died at 200.000s: died: uncaught: zombie; expected to live on, or to end in good order"]
    );
    assert_eq!(failing(&tape), ["died"]);
}

/// Who has died opens no further connection: that is no second finding.
#[test]
fn after_a_death_a_count_that_is_not_as_expected_is_told_and_does_not_fail() {
    let tape = edit(|t| {
        t.header.expect.connections = Some(Expected::AnyOf(vec![9]));
        t.without(|at, _| at > 200_000);
        died(t, 200_000, "uncaught: zombie");
        t.see(210_000, Seen::Phase(Phase::Over));
        t.see(210_001, Seen::End { is_complete: true });
    });
    assert_eq!(failing(&tape), ["died"]);
    let notes = tape.judged().findings;
    let note = notes.iter().find(|finding| finding.id == "connections");
    assert_eq!(note.map(|finding| finding.effect), Some(Effect::Note));
}

/// A process is seen to end after its connections: that is one thing, not two.
#[test]
fn a_dying_subject_has_not_left_early() {
    let tape = edit(|t| {
        t.without(|at, _| at > 200_000)
            .rst(200_000, 2, Side::Subject);
        died(t, 200_500, "panic");
    });
    assert_eq!(failing(&tape), ["died"]);
}

#[test]
fn an_exit_after_a_fatal_code_is_a_death_unless_it_names_the_code_or_its_meaning() {
    let fatal = |words: &'static str| {
        then(|t| {
            t.header.ends = Ends::Stopped;
            t.closed(LOST, 1, 4014);
            died(t, LOST + 500, words);
        })
    };
    assert_eq!(
        failing(&fatal("gateway closed with 4014")),
        Vec::<String>::new()
    );
    assert_eq!(failing(&fatal("Disallowed intents")), Vec::<String>::new());
    assert_eq!(failing(&fatal("undefined is not a function")), ["died"]);
}

#[test]
fn a_healthy_connection_that_is_left_is_early() {
    let tape = edit(|t| {
        t.without(|at, _| at > 240_000).leave(240_000, 2, 4000);
        t.back(240_100, 3, Port::Resume, 5);
    });
    assert_eq!(
        tape.found("early"),
        [
            "early at 240.000s: left #2 with a Close after 89.9s, though nothing was wrong on it; expected to stay: no ACK was late, no fault had struck it, the gateway had not asked it to go"
        ]
    );
}

/// S04 and S05: an ACK that is late and legal.
#[test]
fn leaving_for_an_ack_that_is_not_late_is_early_and_for_one_that_is_late_is_not() {
    let left_after = |age: u64| {
        then(|t| {
            let fault = t.fault(Action::Delay {
                frame: Event::Ack,
                until: crate::fault::Until::By(Duration::from_secs(36)),
            });
            t.without(|at, _| at > 140_000)
                .beat(140_041, 1)
                .struck(140_041, fault, 1);
            t.leave(140_041 + age, 1, 4000)
                .back(200_000, 2, Port::Resume, 4);
        })
    };
    assert_eq!(failing(&left_after(36_000)), ["early"]);
    assert_eq!(failing(&left_after(38_500)), Vec::<String>::new());
}

#[test]
fn a_subject_may_leave_what_a_fault_has_struck() {
    let tape = then(|t| {
        let direction = Direction::Both;
        let fault = t.fault(Action::Hold { direction });
        t.struck(145_000, fault, 1)
            .leave(149_000, 1, 4000)
            .back(LOST, 2, Port::Resume, 4);
    });
    assert_eq!(failing(&tape), Vec::<String>::new());
}

#[test]
fn two_connections_at_once_are_double_and_a_close_that_crosses_the_connect_is_not() {
    let left_after = |delay: u64| {
        then(|t| {
            t.gateway(145_000, 1, 7, "null")
                .back(146_000, 2, Port::Resume, 4);
            t.leave(146_000 + delay, 1, 4000);
        })
    };
    assert_eq!(
        left_after(1_000).found("double"),
        ["double at 146.000s: #1 and #2 at once; expected to leave one before the next is opened"]
    );
    assert_eq!(failing(&left_after(20)), Vec::<String>::new());
}

/// One more with every reconnect: there is no end of pairs, and there has to be one of what is told.
#[test]
fn who_is_double_again_and_again_is_told_three_times_and_counted() {
    let tape = then(|t| {
        for (connection, at) in [(2, 145_000), (3, 148_000), (4, 151_000)] {
            t.back(at, connection, Port::Resume, 4);
        }
    });
    let told = tape.found("double");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains(" at once (and 3 more)"), "{}", told[2]);
}

#[test]
fn a_token_that_is_shown_again_and_again_is_told_three_times_and_counted() {
    let tape = then(|t| {
        for at in 0..50 {
            let shown = "a log line".to_owned();
            t.see(130_000 + at, Seen::TokenShown { place: shown });
        }
    });
    let told = tape.found("token");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains("(and 47 more)"), "{}", told[2]);
}

/// What the gateway does not read it cannot see.
#[test]
fn a_new_connection_counts_as_leaving_one_that_the_gateway_does_not_read() {
    let tape = then(|t| {
        let fault = t.fault(Action::StopReading { window: 0 });
        t.without(|at, _| at > 140_000).struck(130_000, fault, 1);
        t.back(LOST, 2, Port::Resume, 4);
    });
    assert_eq!(failing(&tape), Vec::<String>::new());
}

#[test]
fn a_connect_after_a_stop_is_resurrected_and_one_that_was_under_way_is_not() {
    let connects_after = |delay: u64, goes_on: bool| {
        then(|t| {
            t.header.ends = Ends::Stopped;
            t.act(145_000, Act::Stop).leave(145_010, 1, 1000);
            t.accept(145_000 + delay, 2, Port::Main);
            if goes_on {
                t.hello(145_131, 2).resume(146_000, 2, 4);
            }
            t.rst(147_000, 2, Side::Subject);
        })
    };
    assert_eq!(failing(&connects_after(1_000, false)), ["resurrected"]);
    assert_eq!(failing(&connects_after(50, false)), Vec::<String>::new());
    assert_eq!(failing(&connects_after(50, true)), ["resurrected"]);
}

/// What the first life leaves open is not the second one's doing, nor is its IDENTIFY too soon.
#[test]
fn before_and_after_a_restart_are_judged_apart() {
    let tape = then(|t| {
        t.act(145_000, Act::Restart);
        let with_session = false;
        t.see(145_000, Seen::Started { with_session });
        t.anew(145_050, 2, Port::Main, "s2").leave(146_000, 1, 1000);
        let reason = None;
        t.see(146_100, Seen::Stopped { reason });
    });
    assert_eq!(failing(&tape), Vec::<String>::new());
}

#[test]
fn a_subject_that_stops_by_itself_has_given_up_unless_a_fatal_code_told_it_to() {
    let reason = || Some("too many attempts".to_owned());
    let tape = then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        t.see(LOST + 10, Seen::Stopped { reason: reason() });
        t.facts.recovered_at = None;
    });
    assert_eq!(
        tape.found("gave-up"),
        [
            "gave-up at 150.010s: stopped by itself: too many attempts; expected to go on trying: no fatal code was sent"
        ]
    );
    let fatal = then(|t| {
        t.header.ends = Ends::Stopped;
        t.closed(LOST, 1, 4004)
            .see(LOST + 50, Seen::Stopped { reason: reason() });
    });
    assert_eq!(failing(&fatal), Vec::<String>::new());
}

#[test]
fn recoveries_are_sound_slow_or_none() {
    let at = |recovered: Option<u64>| edit(|t| t.facts.recovered_at = recovered.map(ms));
    assert_eq!(at(Some(LOST + 120_000)).judged().findings, []);
    assert_eq!(
        at(Some(LOST + 120_001)).found("slow"),
        ["slow at 270.001s: was authenticated again at 270.001s; expected by 270.000s"]
    );
    assert_eq!(failing(&at(Some(OVER - 9_999))), ["hung"]);
    assert_eq!(failing(&at(None)), ["hung"]);
}

/// Ctrl-C long after the bound, while the schedule still waits for something: it is there, only not for long enough yet.
#[test]
fn who_is_there_when_the_run_is_broken_off_has_not_hung() {
    let at = |is_living: bool| {
        edit(|t| {
            t.facts.recovered_at = None;
            t.facts.is_living = is_living;
        })
    };
    assert_eq!(failing(&at(true)), Vec::<String>::new());
    assert_eq!(failing(&at(false)), ["hung"]);
}

#[test]
fn no_attempt_at_all_is_giving_up() {
    let tape = then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        t.facts.recovered_at = None;
        t.facts.healed_at = Some(ms(LOST + 1));
    });
    assert!(failing(&tape).contains(&"gave-up".to_owned()));
}

#[test]
fn replacing_sound_connections_to_the_end_is_a_loop() {
    let tape = then(|t| {
        t.rst(LOST, 1, Side::Gateway);
        t.see(LOST, Seen::Phase(Phase::Healed));
        for n in 2..6 {
            let at = LOST + u64::from(n) * 20_000;
            t.accept(at, n, Port::Resume)
                .hello(at + 31, n)
                .resume(at + 51, n, 4);
            t.dispatch(at + 53, n, "RESUMED", "{}")
                .leave(at + 15_000, n, 4000);
            t.s = 4;
        }
        t.facts.recovered_at = None;
    });
    assert!(failing(&tape).contains(&"loop".to_owned()));
    assert!(failing(&tape).contains(&"early".to_owned()));
    assert!(!failing(&tape).contains(&"hung".to_owned()));
}

#[test]
fn a_shown_token_fails_even_after_the_watch() {
    let mut tape = Tape::conforming();
    tape.see(OVER, Seen::Phase(Phase::Over));
    let place = "standard output".to_owned();
    tape.see(OVER + 1_000, Seen::TokenShown { place });
    assert_eq!(failing(&tape), ["token"]);
}

#[test]
fn what_a_resume_confirmed_and_nobody_delivered_is_lost() {
    let tape = edit(|t| {
        t.without_at(99_910);
    });
    assert_eq!(
        tape.found("lost"),
        ["lost at 320.000s: 1 dispatch never delivered, though the session lived on; expected 0"]
    );
    // A new session abandons what was on its way in the old one.
    let anew = then(|t| {
        t.dispatch(144_000, 1, "MESSAGE_CREATE", "{}")
            .gateway(145_000, 1, 9, "false");
        t.leave(145_100, 1, 4000).anew(LOST, 2, Port::Main, "s2");
    });
    assert_eq!(failing(&anew), Vec::<String>::new());
}

#[test]
fn what_is_still_on_its_way_at_the_end_is_not_lost() {
    let sent_at = |at: u64| {
        edit(|t| {
            t.dispatch(at, 2, "MESSAGE_CREATE", "{}");
        })
    };
    assert_eq!(failing(&sent_at(OVER - 500)), Vec::<String>::new());
    assert_eq!(failing(&sent_at(OVER - 1_500)), ["lost"]);
}

#[test]
fn a_second_delivery_is_duplicated_unless_the_gateway_sent_it_twice() {
    let again = edit(|t| {
        t.delivered(120_000, 1, 4);
    });
    assert_eq!(
        again.found("duplicated"),
        [
            "duplicated at 120.000s: 1 dispatch delivered again, the first being s 4 of #1; expected 0"
        ]
    );
    let twice = edit(|t| {
        t.s = 3;
        t.message(119_990, 1);
    });
    assert_eq!(twice.judged().counts.duplicated, 0);
}

#[test]
fn a_program_reports_numbers() {
    let tape = |numbers: &[u64]| {
        edit(|t| {
            t.header.sees_process = true;
            t.without(|_, saw| matches!(saw, Seen::Delivered(_)));
            for entry in &mut t.entries {
                if let Seen::Frame {
                    t: Some(name),
                    s: Some(s),
                    d,
                    ..
                } = &mut entry.saw
                    && name == "MESSAGE_CREATE"
                {
                    *d = json(&format!(r#"{{"id":"1","content":"{}"}}"#, *s + 10));
                }
            }
            for number in numbers {
                t.see(
                    110_000 + *number,
                    Seen::Delivered(Delivery::Number(*number)),
                );
            }
        })
    };
    assert_eq!(failing(&tape(&[12, 13, 14])), Vec::<String>::new());
    assert_eq!(failing(&tape(&[12, 14])), ["lost"]);
    let mut twice = tape(&[12, 13, 14]);
    twice.see(111_000, Seen::Delivered(Delivery::Number(13)));
    assert_eq!(failing(&twice), ["duplicated"]);
}

#[test]
fn without_delivery_evidence_loss_is_not_judged() {
    let tape = edit(|t| {
        t.header.sees_delivery = false;
        t.without(|_, saw| matches!(saw, Seen::Delivered(_)));
    });
    let judgement = tape.judged();
    assert_eq!(judgement.verdict, Verdict::Conforms);
    let ids: Vec<&str> = judgement
        .not_judged
        .iter()
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(ids, ["lost", "duplicated", "delivery/D1", "delivery/D5"]);
}

#[test]
fn unmet_expectations_fail_and_met_ones_do_not() {
    let exactly = |n: u32| Some(Expected::Range(Count::exactly(n)));
    let met = edit(|t| {
        let expect = &mut t.header.expect;
        (expect.connections, expect.identifies) = (exactly(2), exactly(1));
        (expect.resumes, expect.closes) = (exactly(1), exactly(0));
        expect.resume_seq = exactly(4);
        (expect.lost, expect.duplicated) = (exactly(0), exactly(0));
    });
    assert_eq!(met.judged().findings, []);
    let unmet = edit(|t| {
        let expect = &mut t.header.expect;
        (expect.connections, expect.identifies) = (exactly(3), exactly(2));
        (expect.resumes, expect.closes) = (exactly(2), exactly(1));
        expect.resume_seq = Some(Expected::AnyOf(vec![5, 6]));
        (expect.lost, expect.duplicated) = (exactly(1), exactly(1));
    });
    let judgement = unmet.judged();
    assert!(
        judgement
            .findings
            .iter()
            .all(|f| f.kind == FindingKind::Expectation)
    );
    let lines: Vec<String> = judgement.findings.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "resume_seq at 150.151s: sent RESUME with seq 4 on #2; expected 5 or 6",
            "connections at 320.000s: 2 connections; expected 3",
            "identifies at 320.000s: 1 IDENTIFY; expected 2",
            "resumes at 320.000s: 1 RESUME; expected 2",
            "closes at 320.000s: 0 Closes; expected 1",
            "lost at 320.000s: 0 lost; expected 1",
            "duplicated at 320.000s: 0 duplicated; expected 1",
        ]
    );
    let closes = then(|t| {
        t.header.expect.close_codes = exactly(4000);
        t.gateway(145_000, 1, 7, "null")
            .leave(146_000, 1, 4900)
            .back(LOST, 2, Port::Resume, 4);
    });
    assert_eq!(
        closes.found("close_codes"),
        ["close_codes at 146.000s: closed #1 with 4900; expected 4000"]
    );
}

#[test]
fn a_loss_that_the_scenario_admits_does_not_fail() {
    let tape = edit(|t| {
        t.header.expect.lost = Some(Expected::Range(Count {
            min: 0,
            max: Some(1),
        }));
        t.without_at(99_910);
    });
    assert_eq!(tape.judged().counts.lost, 1);
    assert_eq!(failing(&tape), Vec::<String>::new());
}

fn verdict(tape: &Tape) -> (Verdict, Vec<String>) {
    let judgement = tape.judged();
    (judgement.verdict, judgement.reasons)
}

#[test]
fn a_fault_that_never_struck_makes_a_run_inconclusive() {
    let with = |change: fn(&mut Tape)| {
        edit(|t| {
            t.fault(Action::Reset);
            change(t);
        })
    };
    let inconclusive = with(|_| {});
    assert_eq!(
        verdict(&inconclusive),
        (
            Verdict::Inconclusive,
            vec!["fault 1 (reset, on accept) never struck".to_owned()]
        )
    );
    let skipped = with(|t| {
        let fault = t.fault(Action::Eof);
        t.header.schedule[0].is_skipped = true;
        t.struck(100, fault, 1);
    });
    assert_eq!(verdict(&skipped).0, Verdict::Conforms);
    let grouped = with(|t| {
        let fault = t.fault(Action::Eof);
        for scheduled in &mut t.header.schedule {
            scheduled.fault.group = Some("either".to_owned());
        }
        t.struck(100, fault, 1);
    });
    assert_eq!(verdict(&grouped).0, Verdict::Conforms);
    let optional = with(|t| t.header.schedule[0].fault.optional = Some("why not".to_owned()));
    assert_eq!(verdict(&optional).0, Verdict::NotJudged);
}

/// What failed stands, whatever could not be seen afterwards.
#[test]
fn a_failing_finding_outweighs_every_gap() {
    let mut tape = edit(|t| {
        t.fault(Action::Reset);
        t.without_at(100_041);
    });
    assert_eq!(verdict(&tape), (Verdict::Violates, Vec::new()));
    assert_eq!(tape.judged_as_it_is().verdict, Verdict::Violates);
    tape = Tape::conforming();
    assert_eq!(tape.judged_as_it_is().verdict, Verdict::Inconclusive);
}

#[test]
fn noise_of_our_own_makes_a_run_inconclusive() {
    let tape = edit(|t| {
        let late = Duration::from_millis(300);
        t.see(50_000, Seen::Noisy { late });
    });
    assert_eq!(
        verdict(&tape),
        (
            Verdict::Inconclusive,
            vec!["gwtool's own timers were late by up to 300ms".to_owned()]
        )
    );
}

/// It waits for some seconds as Discord once asked for, which at a short interval is longer than a heartbeat is due.
#[test]
fn who_waits_after_op_9_need_not_beat_meanwhile() {
    let waits = |op: u8| {
        edit(|t| {
            t.without(|at, saw| saw.connection() == Some(1) && at > 60_000);
            t.gateway(60_500, 1, op, "false")
                .rst(140_000, 1, Side::Subject);
        })
    };
    let late = |tape: Tape| {
        tape.judged()
            .findings
            .iter()
            .any(|f| f.id == "heartbeat/H3")
    };
    assert!(!late(waits(9)));
    assert!(late(waits(99)), "an opcode that asks for nothing");
}

/// What is late on a machine that stands still is no fault of the subject's.
#[test]
fn where_the_machine_was_late_a_late_heartbeat_is_shown_and_does_not_fail() {
    let late = |is_noisy: bool| {
        let tape = edit(|t| {
            let is_beat = |saw: &Seen| {
                let (beat, ack) = (Opcode::HEARTBEAT, Opcode::HEARTBEAT_ACK);
                matches!(saw, Seen::Frame { op, .. } if *op == beat || *op == ack)
            };
            t.without(|at, saw| is_beat(saw) && (50_000..100_000).contains(&at));
            if is_noisy {
                let late = Duration::from_secs(30);
                t.see(50_000, Seen::Noisy { late });
            }
        });
        let found = tape.judged().findings.into_iter();
        let mut timing = found.filter(|f| f.id == "heartbeat/H3").map(|f| f.effect);
        (timing.next(), verdict(&tape).0)
    };
    assert_eq!(late(false), (Some(Effect::Fails), Verdict::Violates));
    assert_eq!(late(true), (Some(Effect::Shown), Verdict::Inconclusive));
}

#[test]
fn a_login_that_nothing_hindered_and_that_failed_says_nothing() {
    let mut tape = Tape::new();
    tape.facts = crate::oracle::RecoveryFacts {
        login_failed: true,
        ..crate::oracle::RecoveryFacts::default()
    };
    assert_eq!(verdict(&tape).0, Verdict::Inconclusive);
}

/// Whoever cannot speak to the gateway has not left it early; that TLS failed is told where nothing could be judged.
#[test]
fn tls_that_fails_is_a_reason_to_leave_and_why_there_was_no_login() {
    let failed = |t: &mut Tape| {
        let failed = Seen::TlsFailed {
            port: Port::Main,
            connection: Some(1),
            why: "unknown authority".to_owned(),
        };
        t.accept(50, 1, Port::Main).see(51, failed);
        t.fin(52, 1, Side::Subject);
    };
    let mut tape = Tape::new();
    failed(&mut tape);
    tape.facts = crate::oracle::RecoveryFacts {
        login_failed: true,
        ..crate::oracle::RecoveryFacts::default()
    };
    let (judged, reasons) = verdict(&tape);
    assert_eq!(judged, Verdict::Inconclusive);
    let last = reasons.last().map(String::as_str);
    assert_eq!(last, Some("TLS failed: unknown authority"));
    assert_eq!(failing(&tape), Vec::<String>::new());
    // Without it, to leave is early.
    tape.without(|_, saw| matches!(saw, Seen::TlsFailed { .. }));
    assert_eq!(failing(&tape), ["early"]);
}

#[test]
fn nothing_is_judged_after_the_watch() {
    let tape = edit(|t| {
        t.see(OVER - 10_000, Seen::Phase(Phase::Over));
        t.leave(OVER - 9_000, 2, 4000)
            .accept(OVER - 8_000, 3, Port::Main);
    });
    assert_eq!(failing(&tape), Vec::<String>::new());
    assert_eq!(tape.judged().watched, Duration::from_secs(310));
}

/// A day of traffic leaves no more behind than a minute.
#[test]
fn the_state_of_a_judge_does_not_grow_with_the_run() {
    let mut tape = Tape::steady();
    for n in 0..20_000 {
        tape.message(141_000 + n / 4, 1);
    }
    tape.rst(LOST, 1, Side::Gateway);
    let seq = tape.s;
    tape.back(LOST + 100, 2, Port::Resume, seq);
    let judgement = tape.judged();
    assert_eq!(judgement.counts.delivered, 20_003);
    assert_eq!(judgement.not_judged, []);
    assert_eq!(failing(&tape), Vec::<String>::new());
}

/// A client that comes back and back after a stop is told of three times, and how often.
#[test]
fn what_comes_again_and_again_is_counted() {
    let mut tape = Tape::steady();
    tape.act(150_000, Act::Stop).closed(150_010, 1, 1000);
    for number in 2..8 {
        let at = 155_000 + 5_000 * u64::from(number);
        tape.accept(at, number, Port::Main)
            .rst(at + 1_000, number, Side::Subject);
    }
    let told = tape.found("resurrected");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains("#4 (and 3 more)"), "{}", told[2]);
}

/// Two shards, each with a session of its own, and #3 for shard 0 after so many milliseconds with #1 closed or not.
fn two_shards(closes: bool) -> Tape {
    let mut tape = Tape::new();
    tape.header.shards = 2;
    let identify = |shard: u32| {
        format!(
            r#"{{"token":"<token>","intents":513,"properties":{{"os":"","browser":"","device":""}},"shard":[{shard},2]}}"#
        )
    };
    for (connection, shard, at, session) in [(1, 0, 0, "a"), (2, 1, 6_000, "b")] {
        tape.accept(at, connection, Port::Main)
            .hello(at + 10, connection)
            .subject(at + 20, connection, 2, &identify(shard))
            .ready(at + 30, connection, session);
    }
    if closes {
        tape.close(20_000, 1, Side::Subject, 4900);
    }
    tape.accept(20_010, 3, Port::Resume)
        .hello(20_020, 3)
        .subject(
            20_030,
            3,
            6,
            r#"{"token":"<token>","session_id":"a","seq":1}"#,
        );
    tape
}

#[test]
fn with_several_shards_double_is_two_connections_of_one() {
    assert_eq!(
        two_shards(false).found("double"),
        ["double at 20.030s: #1 and #3 at once; expected to leave one before the next is opened"]
    );
    assert_eq!(two_shards(true).found("double"), [""; 0]);
}

/// What the schedule sends in the gateway's name: an event that nobody knows is ignored, one without a payload is none.
#[test]
fn an_event_without_a_payload_is_no_unknown_event() {
    let leaves_after = |name: &'static str, d: &'static str| {
        let mut tape = Tape::steady();
        let (t, d) = (Some(name), json(d));
        let send = Action::Send {
            op: Opcode::DISPATCH,
            d,
            s: SentSeq::Usual,
            t: t.map(Into::into),
        };
        let fault = tape.fault(send);
        tape.struck(LOST, fault, 1).leave(LOST + 5, 1, 4000);
        tape.back(LOST + 100, 2, Port::Resume, 4);
        tape.found("robustness/Z2").len()
    };
    assert_eq!(leaves_after("SOMETHING_NEW", "null"), 1);
    assert_eq!(leaves_after("MESSAGE_CREATE", "{}"), 1);
    assert_eq!(leaves_after("MESSAGE_CREATE", "null"), 0);
}

/// A fault of a compressed stream, say, and a subject that asks for no compression.
#[test]
fn a_subject_that_nothing_could_strike_need_not_do_what_the_scenario_expects() {
    let tape = |is_optional: bool| {
        let mut tape = Tape::conforming();
        tape.header.expect.resumes = Some(Expected::Range(Count::exactly(7)));
        tape.fault(Action::LoseContext);
        let scheduled = tape.header.schedule.last_mut().expect("it was added");
        scheduled.fault.optional = is_optional.then(|| "no compression".to_owned());
        tape.judged()
    };
    let optional = tape(true);
    assert_eq!(optional.verdict, Verdict::NotJudged);
    assert!(optional.findings.iter().all(|f| f.effect == Effect::Note));
    assert_eq!(tape(false).verdict, Verdict::Violates);
}
