//! Programs judged from outside: how they end, what they write, how they say they are, and what they report.

use super::tape::{LOST, OVER, Tape, json, ms};
use crate::expect::{Accepted, Allowances, Ends, Expected};
use crate::fault::{Act, Action, Count, Direction, Event, Port};
use crate::oracle::{Effect, Finding, RecoveryFacts, Verdict};
use crate::protocol::Opcode;
use crate::time::Duration;
use crate::trace::{Clock, Delivery, ExitStatus, HealthAnswer, OutputStream, Phase, Seen, Side};

const ZOMBIE: &str = "Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)";

/// What is told of a program that runs in real time.
fn program(mut tape: Tape) -> Tape {
    let header = &mut tape.header;
    (header.sees_process, header.sees_delivery) = (true, false);
    header.clock = Clock::Real;
    header.allowances = Allowances::of_a_program(header.interval);
    tape.without(|_, saw| matches!(saw, Seen::Delivered(_)));
    tape
}

fn edit(edit: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = program(Tape::conforming());
    edit(&mut tape);
    tape
}

fn then(then: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = program(Tape::steady());
    then(&mut tape);
    tape
}

fn wrote(t: &mut Tape, at: u64, stream: OutputStream, text: &str) {
    for line in text.lines() {
        let (process, text) = (1, line.to_owned());
        t.see(
            at,
            Seen::ProcessOutput {
                process,
                stream,
                text,
            },
        );
    }
}

fn stderr(t: &mut Tape, at: u64, text: &str) {
    wrote(t, at, OutputStream::Stderr, text);
}

fn exited(t: &mut Tape, at: u64, process: u32, status: ExitStatus) {
    t.see(at, Seen::Exited { process, status });
}

const CODE_0: ExitStatus = ExitStatus::Code(0);
const CODE_1: ExitStatus = ExitStatus::Code(1);

fn started(t: &mut Tape, at: u64) {
    let with_session = false;
    t.see(at, Seen::Started { with_session });
}

/// The ids of everything that fails, once each.
fn failing(tape: &Tape) -> Vec<String> {
    let findings = tape.judged().findings;
    let fails = findings.iter().filter(|f| f.effect == Effect::Fails);
    let mut ids: Vec<String> = fails.map(|f| f.id.clone()).collect();
    ids.dedup();
    ids
}

#[track_caller]
fn the(tape: &Tape, id: &str) -> Finding {
    let findings = tape.judged().findings;
    let mut found = findings.into_iter().filter(|f| f.id == id);
    let one = found.next().expect("there is such a finding");
    assert_eq!(found.next(), None, "there is one such finding only");
    one
}

const NOTHING: [String; 0] = [];

/// Ends at 200 s, its connection with it.
fn ends(status: ExitStatus, said: &str) -> Tape {
    edit(|t| {
        t.without(|at, _| at > 199_000);
        stderr(t, 199_990, said);
        t.fin(199_995, 2, Side::Subject);
        exited(t, 200_000, 1, status);
    })
}

#[test]
fn a_program_that_does_nothing_wrong_conforms() {
    let judgement = edit(|_| {}).judged();
    assert_eq!(judgement.findings, []);
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (Verdict::Conforms, Vec::new())
    );
}

#[test]
fn an_exit_with_another_code_is_a_death_told_in_the_errors_own_words() {
    let said = format!(
        "/bot/a.js:190\n    throw x;\n    ^\n\nError: {ZOMBIE}\n    at b (c.js:1)\n\nNode.js v20.19.0"
    );
    let died = the(&ends(CODE_1, &said), "died");
    assert_eq!(died.seen, format!("died: {ZOMBIE}"));
    assert_eq!(died.expected, "to live on, or to end in good order");
    assert_eq!(
        died.evidence,
        [
            "exit code 1",
            "stderr: /bot/a.js:190",
            "stderr:     throw x;",
            "stderr:     ^",
            &format!("stderr: Error: {ZOMBIE}"),
            "stderr:     at b (c.js:1)",
            "stderr: Node.js v20.19.0",
        ]
    );
    assert_eq!(failing(&ends(CODE_1, &said)), ["died"]);
    let signal = the(&ends(ExitStatus::Signal(11), ""), "died");
    assert_eq!(signal.seen, "died: ended by SIGSEGV, and it wrote nothing");
}

#[test]
fn evidence_is_short() {
    let line = "x".repeat(300);
    let said = vec![line.as_str(); 100].join("\n");
    let evidence = the(&ends(CODE_1, &said), "died").evidence;
    assert_eq!(evidence.len(), 11);
    assert!(evidence.iter().all(|line| line.chars().count() < 220));
}

#[test]
fn an_exit_with_code_0_that_nobody_asked_for_is_giving_up() {
    let gave_up = the(&ends(CODE_0, "bye"), "gave-up");
    assert_eq!(
        gave_up.seen,
        "ended by itself with exit code 0, saying `bye`"
    );
    assert_eq!(failing(&ends(CODE_0, "bye")), ["gave-up"]);
}

/// What gwtool does after the watch is not the program's doing.
#[test]
fn how_gwtool_ends_the_program_is_not_judged() {
    let tape = edit(|t| {
        t.see(OVER - 1_000, Seen::Phase(Phase::Over));
        stderr(t, OVER - 900, "Error: boom");
        exited(t, OVER - 800, 1, ExitStatus::Signal(9));
    });
    assert_eq!(failing(&tape), NOTHING);
}

/// A fatal close at `LOST`, words 400 ms later and an exit 100 ms after those.
fn fatal(code: u16, said: &str, status: ExitStatus) -> Tape {
    then(|t| {
        t.header.ends = Ends::Stopped;
        t.closed(LOST, 1, code);
        stderr(t, LOST + 400, said);
        exited(t, LOST + 500, 1, status);
    })
}

#[test]
fn an_exit_after_a_fatal_code_is_in_good_order_if_the_program_says_why() {
    for (code, said) in [
        (4004, "Error: gateway closed with 4004\n    at a (b.js:1)"),
        (
            4004,
            "    run()\ndiscord.errors.LoginFailure: Improper token has been passed.",
        ),
        (4014, "Error: Used disallowed intents\n    at a (b.js:1)"),
        (
            4014,
            "    run()\ndiscord.errors.PrivilegedIntentsRequired: Shard ID None is requesting privileged intents",
        ),
        // Noise of a runtime's end behind the word.
        (
            4004,
            "authentication failed\nRuntimeError: Event loop is closed",
        ),
    ] {
        assert_eq!(failing(&fatal(code, said, CODE_1)), NOTHING, "{said}");
    }
    let silent = the(&fatal(4014, "Error: undefined", CODE_1), "died");
    assert_eq!(silent.seen, "died: undefined");
    assert_eq!(
        silent.expected,
        "to live on, to end with exit code 0, or to say why: 4014 (disallowed intents)"
    );
    assert_eq!(failing(&fatal(4014, "", CODE_0)), NOTHING);
}

/// Carbon tells of the code, leaves its timers running, and dies of them an interval later.
#[test]
fn an_error_long_after_the_code_was_told_is_a_death() {
    let tape = then(|t| {
        t.header.ends = Ends::Stopped;
        t.closed(LOST, 1, 4004);
        stderr(t, LOST + 10, "gateway error: 4004");
        stderr(
            t,
            LOST + 40_000,
            &format!("Error: {ZOMBIE}\n    at b (c.js:1)"),
        );
        exited(t, LOST + 40_050, 1, CODE_1);
    });
    assert_eq!(failing(&tape), ["died"]);
}

fn stopped(after: u64, status: ExitStatus, said: &str) -> Tape {
    then(|t| {
        t.header.ends = Ends::Stopped;
        t.act(145_000, Act::Stop).leave(145_050, 1, 1000);
        stderr(t, 145_060, said);
        exited(t, 145_000 + after, 1, status);
    })
}

#[test]
fn a_program_that_ends_when_it_is_told_to_has_not_died() {
    for status in [
        CODE_0,
        ExitStatus::Signal(15),
        ExitStatus::Code(143),
        ExitStatus::Code(130),
        CODE_1,
    ] {
        let judgement = stopped(2_000, status, "stopping").judged();
        assert_eq!(judgement.findings, [], "{status}");
    }
    let noted = the(&stopped(2_000, CODE_1, "ValueError: bad"), "exit");
    assert_eq!(noted.effect, Effect::Note);
    assert_eq!(
        noted.seen,
        "ended with exit code 1 when it was told to stop: ValueError: bad"
    );
}

#[test]
fn a_program_that_has_to_be_killed_after_a_stop_is_a_leak() {
    let killed = ExitStatus::Signal(9);
    let leak = the(&stopped(5_010, killed, ""), "leak");
    assert_eq!(
        leak.seen,
        "had not ended 5.01s after it was told to stop, and was killed"
    );
    assert_eq!(failing(&stopped(5_010, killed, "")), ["leak"]);
    // The gateway does not answer its Close: sound clients wait up to half a minute for that.
    let waits = then(|t| {
        t.header.ends = Ends::Stopped;
        t.act(145_000, Act::Stop);
        t.close(145_050, 1, Side::Subject, 1000);
        t.fin(150_005, 1, Side::Subject);
        exited(t, 150_010, 1, killed);
    });
    assert_eq!(failing(&waits), NOTHING);
    assert_eq!(the(&waits, "leak").effect, Effect::Shown);
    // A schedule that kills says so.
    let by_schedule = edit(|t| {
        t.without(|at, _| at > 200_000);
        t.act(200_000, Act::Kill).rst(200_001, 2, Side::Subject);
        exited(t, 200_010, 1, killed);
        started(t, 201_000);
        t.anew(201_100, 3, Port::Main, "s2");
    });
    assert_eq!(failing(&by_schedule), NOTHING);
}

/// A handler of the signal may be late, and a connect under way goes on until then. Who has a connection has none under way.
#[test]
fn a_connect_soon_after_a_stop_is_not_resurrected_and_a_later_one_is() {
    let connects_after = |left: u64, delay: u64| {
        then(|t| {
            t.header.ends = Ends::Stopped;
            if left < 145_000 {
                t.closed(left, 1, 1012);
            }
            t.act(145_000, Act::Stop);
            if left >= 145_000 {
                t.leave(left, 1, 1000);
            }
            t.accept(145_000 + delay, 2, Port::Main);
            t.rst(148_000, 2, Side::Subject);
            exited(t, 148_010, 1, CODE_0);
        })
    };
    assert_eq!(failing(&connects_after(144_900, 900)), NOTHING);
    assert_eq!(failing(&connects_after(144_900, 1_500)), ["resurrected"]);
    assert_eq!(failing(&connects_after(145_010, 200)), NOTHING);
    assert_eq!(failing(&connects_after(145_010, 500)), ["resurrected"]);
}

/// Restarted at 145 s; the old process, its connection still open, ends at `gone`.
fn restarted(gone: u64, more: impl FnOnce(&mut Tape)) -> Tape {
    then(|t| {
        t.without(|at, _| at > 145_000);
        t.act(145_000, Act::Restart);
        started(t, 145_000);
        t.anew(145_500, 2, Port::Main, "s2");
        t.fin(gone - 10, 1, Side::Subject);
        exited(t, gone, 1, CODE_0);
        more(t);
    })
}

#[test]
fn the_process_before_a_restart_may_end_long_after_its_successor_began() {
    assert_eq!(failing(&restarted(149_000, |_| {})), NOTHING);
    // It may even have opened another connection meanwhile, and identified on it.
    let busy = restarted(149_000, |t| {
        t.accept(145_200, 3, Port::Main).hello(145_231, 3);
        t.subject(
            145_251,
            3,
            2,
            r#"{"token":"<token>","intents":513,"properties":{"os":"linux","browser":"x","device":"x"}}"#,
        );
        t.fin(148_990, 3, Side::Subject);
    });
    assert_eq!(failing(&busy), NOTHING);
}

/// Told to stop, and another one is started before it has.
#[test]
fn a_start_while_a_process_still_ends_is_as_good_as_a_restart() {
    let tape = |more: fn(&mut Tape)| {
        then(|t| {
            t.without(|at, _| at > 145_000);
            t.act(145_000, Act::Stop).act(146_000, Act::Start);
            started(t, 146_000);
            t.anew(146_500, 2, Port::Main, "s2");
            t.fin(148_000, 1, Side::Subject);
            exited(t, 148_010, 1, ExitStatus::Signal(15));
            more(t);
        })
    };
    assert_eq!(failing(&tape(|_| {})), NOTHING);
    let dies = tape(|t| {
        t.without(|at, _| at > 200_000);
        exited(t, 200_000, 2, ExitStatus::Signal(15));
    });
    assert_eq!(failing(&dies), ["died"]);
}

/// With several shards a fatal code closes one connection of many.
#[test]
fn a_program_of_several_shards_may_end_for_a_fatal_code_as_well() {
    let tape = |said: &str| {
        let mut tape = fatal(4014, said, CODE_1);
        tape.header.shards = 2;
        failing(&tape)
    };
    assert_eq!(tape("Error: Used disallowed intents"), NOTHING);
    assert_eq!(tape("Error: undefined"), ["died"]);
}

#[test]
fn once_the_process_before_is_gone_its_successor_is_judged_as_any_other() {
    let early = restarted(149_000, |t| {
        t.without(|at, _| at > 200_000);
        t.leave(200_000, 2, 4000).back(200_100, 3, Port::Resume, 1);
    });
    assert_eq!(failing(&early), ["early"]);
    let double = restarted(149_000, |t| {
        t.accept(200_000, 3, Port::Resume);
    });
    assert!(failing(&double).contains(&"double".to_owned()));
    let died = restarted(149_000, |t| {
        t.without(|at, _| at > 200_000);
        t.fin(200_000, 2, Side::Subject);
        exited(t, 200_001, 2, CODE_1);
    });
    assert_eq!(failing(&died), ["died"]);
}

/// The signal is sent to both, and the one that is told last is killed.
#[test]
fn a_process_before_that_had_to_be_killed_is_a_leak() {
    let tape = then(|t| {
        t.without(|at, _| at > 145_000);
        t.act(145_000, Act::Restart);
        started(t, 145_000);
        t.anew(145_500, 2, Port::Main, "s2");
        t.rst(150_000, 1, Side::Subject);
        exited(t, 150_010, 1, ExitStatus::Signal(9));
    });
    assert_eq!(failing(&tape), ["leak"]);
}

#[test]
fn a_frozen_program_is_late_by_no_fault_of_its_own() {
    let frozen = |beats_again: u64| {
        edit(|t| {
            t.without(|at, _| at > 180_000);
            t.act(180_000, Act::Freeze);
            t.act(280_000, Act::Thaw);
            t.beats(beats_again, 2, OVER);
        })
    };
    assert_eq!(failing(&frozen(280_200)), NOTHING);
    let left = edit(|t| {
        t.without(|at, _| at > 180_000);
        t.act(180_000, Act::Freeze);
        t.act(200_000, Act::Thaw);
        t.leave(230_000, 2, 4000).back(230_100, 3, Port::Resume, 5);
    });
    assert_eq!(failing(&left), NOTHING);
    let long_after = edit(|t| {
        t.without(|at, _| at > 180_000);
        t.act(170_500, Act::Freeze);
        t.act(170_600, Act::Thaw);
        t.beats(210_131, 2, 230_000);
        t.leave(230_000, 2, 4000).back(230_100, 3, Port::Resume, 5);
    });
    assert_eq!(failing(&long_after), ["early"]);
}

fn health(t: &mut Tape, at: u64, answer: HealthAnswer) {
    let took = Duration::from_millis(20);
    t.see(at, Seen::Health { answer, took });
}

fn ill() -> HealthAnswer {
    HealthAnswer::Ill("503".to_owned())
}

fn silent() -> HealthAnswer {
    HealthAnswer::Silent("nothing in 5s".to_owned())
}

/// A reset at `LOST`, and the answers, in order, with their times.
fn asked(answers: &[(u64, HealthAnswer)]) -> Tape {
    edit(|t| {
        let fault = t.fault(Action::Reset);
        t.struck(LOST, fault, 1);
        for (at, answer) in answers {
            health(t, *at, answer.clone());
        }
    })
}

#[test]
fn a_program_has_to_be_well_at_the_end_and_may_be_unwell_while_things_go_wrong() {
    let well = || HealthAnswer::Well;
    let fine = asked(&[
        // Not up yet.
        (100, silent()),
        (60_000, well()),
        (151_000, ill()),
        (155_000, silent()),
        (170_000, well()),
        (250_000, well()),
        // A machine that is busy for a moment.
        (310_000, silent()),
    ]);
    assert_eq!(fine.judged().findings, []);
    let ill = asked(&[(60_000, well()), (160_000, ill()), (300_000, silent())]);
    let found = the(&ill, "health");
    assert_eq!(
        found.seen,
        "was not well at the end: no answer: nothing in 5s"
    );
    assert_eq!(found.expected, "to be well again by 310.000s");
    assert_eq!(
        found.evidence,
        [
            "health at 60.000s: well (after 20ms)",
            "health at 160.000s: not well: 503 (after 20ms)",
            "health at 300.000s: no answer: nothing in 5s (after 20ms)",
        ]
    );
    let mut late = asked(&[(60_000, well()), (160_000, silent()), (300_000, well())]);
    assert_eq!(failing(&late), NOTHING);
    late.facts.bound = Some(ms(159_000));
    assert_eq!(the(&late, "health").seen, "was still not well at 159.980s");
}

#[test]
fn of_a_program_that_was_never_well_nothing_can_be_said() {
    let judgement = asked(&[(60_000, ill()), (160_000, ill()), (300_000, ill())]).judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let reason = &judgement.reasons[0];
    let before =
        "the subject was not well before anything struck either: health at 300.000s: not well: ";
    assert!(reason.starts_with(before), "{reason}");
}

/// Numbered messages in place of the others, and one report each of these.
fn reported(numbers: &[(u64, u64)]) -> Tape {
    edit(|t| {
        for entry in &mut t.entries {
            if let Seen::Frame {
                op: Opcode::DISPATCH,
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
        for (at, number) in numbers {
            t.see(*at, Seen::Delivered(Delivery::Number(*number)));
        }
    })
}

#[test]
fn the_first_report_turns_the_rules_on_from_its_number_on() {
    let silent = reported(&[]).judged();
    assert_eq!((silent.verdict, silent.counts.lost), (Verdict::Conforms, 0));
    let ids: Vec<&str> = silent
        .not_judged
        .iter()
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(ids, ["lost", "duplicated", "delivery/D1", "delivery/D5"]);

    let all = reported(&[(5_010, 12), (30_010, 13), (99_910, 14)]).judged();
    assert_eq!((all.findings, all.not_judged), (Vec::new(), Vec::new()));
    // The first message came before it began to report.
    assert_eq!(failing(&reported(&[(30_010, 13), (99_910, 14)])), NOTHING);
    assert_eq!(failing(&reported(&[(5_010, 12), (99_910, 14)])), ["lost"]);
    let twice = reported(&[(5_010, 12), (30_010, 13), (99_910, 14), (99_920, 13)]);
    assert_eq!(failing(&twice), ["duplicated"]);
}

/// Handlers run side by side.
#[test]
fn reports_in_another_order_are_shown_and_do_not_fail() {
    let tape = reported(&[(5_010, 12), (99_910, 14), (99_920, 13)]);
    assert_eq!(failing(&tape), NOTHING);
    assert_eq!(the(&tape, "delivery/D1").effect, Effect::Shown);
}

#[test]
fn a_report_that_is_still_on_its_way_is_not_lost() {
    let sent_before_the_end = |lag: u64| {
        let mut tape = reported(&[(5_010, 12), (30_010, 13), (99_910, 14)]);
        let d = r#"{"id":"1","content":"20"}"#;
        tape.dispatch(OVER - lag, 2, "MESSAGE_CREATE", d);
        tape
    };
    assert_eq!(failing(&sent_before_the_end(2_900)), NOTHING);
    assert_eq!(failing(&sent_before_the_end(3_100)), ["lost"]);
    // The RESUME confirms number 14, and the process is gone before it could report.
    let gone = |by: fn(&mut Tape)| {
        let mut tape = reported(&[(5_010, 12), (30_010, 13)]);
        tape.without(|at, _| at > LOST + 1_000);
        by(&mut tape);
        tape
    };
    let died = gone(|t| {
        t.fin(LOST + 2_000, 2, Side::Subject);
        exited(t, LOST + 2_000, 1, CODE_1);
    });
    assert_eq!(failing(&died), ["died"]);
    let killed = gone(|t| {
        t.act(160_000, Act::Kill).rst(160_001, 2, Side::Subject);
        exited(t, 160_010, 1, ExitStatus::Signal(9));
        started(t, 161_000);
        t.anew(161_100, 3, Port::Main, "s2");
    });
    assert_eq!(failing(&killed), NOTHING);
}

#[test]
fn a_run_of_a_subject_that_asks_for_etf_says_nothing_of_it() {
    let tape = edit(|t| {
        t.without(|at, _| at > 100);
        for entry in &mut t.entries {
            if let Seen::Upgrade { path, .. } = &mut entry.saw {
                "/?v=10&encoding=etf".clone_into(path);
            }
        }
        t.without(|at, _| at > 11);
        t.closed(20, 1, 4002);
        for n in 2..200 {
            t.see(
                20 + u64::from(n) * 40,
                Seen::Accepted {
                    connection: n,
                    port: Port::Main,
                },
            );
            t.rst(30 + u64::from(n) * 40, n, Side::Subject);
        }
        t.header.expect.connections = Some(Expected::Range(Count::exactly(2)));
        t.fault(Action::Reset);
        exited(t, 300_000, 1, CODE_1);
        t.facts = RecoveryFacts {
            login_failed: true,
            ..RecoveryFacts::default()
        };
    });
    let judgement = tape.judged();
    assert_eq!(judgement.findings, []);
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (
            Verdict::Inconclusive,
            vec![
                "the subject asks for `encoding=etf`, which gwtool does not speak: have it ask for `encoding=json` (many libraries do when no ETF package is installed)"
                    .to_owned()
            ]
        )
    );
    let mut leaks = tape;
    let place = "standard output".to_owned();
    leaks.see(1_000, Seen::TokenShown { place });
    assert_eq!(failing(&leaks), ["token"]);
}

/// Nothing has struck, and READY never came.
fn login(then: impl FnOnce(&mut Tape)) -> Tape {
    let mut tape = program(Tape::new());
    tape.header.expect.connections = Some(Expected::Range(Count::exactly(2)));
    tape.fault(Action::Reset);
    tape.facts = RecoveryFacts {
        login_failed: true,
        ..RecoveryFacts::default()
    };
    then(&mut tape);
    tape
}

#[test]
fn a_login_that_failed_says_how_far_it_came_and_what_was_written_last() {
    let reasons = |tape: Tape| {
        let judgement = tape.judged();
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        (judgement.reasons, judgement.evidence)
    };
    let failed = "the subject was not READY in time, though nothing had struck";
    let settings = "a `.env` file or a setting of its own may override what gwtool gives it in its environment: \
        `GWTOOL_GATEWAY_URL`, `GWTOOL_API_URL`, `DISCORD_TOKEN`";
    let nothing = "it wrote nothing";
    assert_eq!(
        reasons(login(|_| {})),
        (
            vec![
                format!("{failed}: it never connected"),
                nothing.to_owned(),
                settings.to_owned()
            ],
            Vec::new()
        )
    );
    let ended = login(|t| {
        stderr(t, 900, "loading\nError: no token\n    at a (b.js:1)");
        exited(t, 1_000, 1, CODE_1);
    });
    assert_eq!(
        reasons(ended),
        (
            vec![
                format!("{failed}: it ended with exit code 1 before it connected"),
                "what it wrote last is `Error: no token`".to_owned(),
                settings.to_owned()
            ],
            [
                "exit code 1",
                "stderr: loading",
                "stderr: Error: no token",
                "stderr:     at a (b.js:1)"
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    let mute = login(|t| {
        t.accept(1_000, 1, Port::Main).hello(1_031, 1);
        t.beats(20_031, 1, OVER);
    });
    assert_eq!(
        reasons(mute).0,
        [
            format!("{failed}: it connected, but sent no IDENTIFY"),
            nothing.to_owned()
        ]
    );
    let wrong = login(|t| {
        t.accept(1_000, 1, Port::Main).hello(1_031, 1);
        t.subject(1_051, 1, 2, r#"{"token":"<token:wrong>","intents":1,"properties":{"os":"l","browser":"x","device":"x"}}"#);
        t.closed(1_060, 1, 4004);
        exited(t, 1_500, 1, CODE_0);
    });
    assert_eq!(
        reasons(wrong).0,
        [
            format!(
                "{failed}: it ended with exit code 0 before it was READY, and the gateway had closed with 4004 (authentication failed)"
            ),
            nothing.to_owned(),
            settings.to_owned()
        ]
    );
}

/// Somebody who presses Ctrl-C after a second is not to be told to look for another setting.
#[test]
fn a_login_that_was_broken_off_has_not_failed() {
    let judgement = login(|_| {}).judged_as_it_is();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(
        judgement.reasons,
        [
            "the subject was not READY yet when the run was ended: it never connected",
            "it wrote nothing",
            "the trace ends before the watch does",
        ]
    );
}

#[test]
fn a_program_that_goes_into_the_background_is_told_to_stay() {
    let background = "what goes into the background is ended with the process that gwtool started: have the program \
        stay in the foreground";
    let last = |status: ExitStatus| {
        let judgement = login(|t| exited(t, 1_000, 1, status)).judged();
        judgement.reasons.last().cloned().unwrap_or_default()
    };
    assert_eq!(last(CODE_0), background);
    assert_ne!(last(CODE_1), background);
}

/// What a fault kept from logging in is judged.
#[test]
fn a_program_that_dies_at_login_because_of_a_fault_has_died() {
    let tape = login(|t| {
        t.struck(500, 0, 1);
        stderr(t, 900, "TypeError: undefined is not a function");
        exited(t, 1_000, 1, CODE_1);
    });
    assert!(failing(&tape).contains(&"died".to_owned()));
}

#[test]
fn failing_findings_of_a_program_show_what_was_seen_around_them() {
    let tape = then(|t| {
        let fault = t.fault(Action::Withhold {
            frame: Event::Dispatch,
        });
        stderr(t, 60_000, "info: nothing to do");
        t.struck(61_000, fault, 1);
        t.leave(LOST, 1, 4000).back(LOST + 100, 2, Port::Resume, 4);
    });
    let early = the(&tape, "early");
    assert_eq!(
        early.evidence,
        [
            "100.041s #1 subject → HEARTBEAT",
            "100.041s #1 gateway → HEARTBEAT ACK",
            "140.041s #1 subject → HEARTBEAT",
            "140.041s #1 gateway → HEARTBEAT ACK",
            "150.000s #1 subject → Close 4000",
            "stderr: info: nothing to do",
        ]
    );
    let mut hung = edit(|_| {});
    hung.facts.recovered_at = None;
    let evidence = the(&hung, "hung").evidence;
    assert!(evidence[0].contains("#2"), "{evidence:?}");
}

/// A subject in this process has its log in the trace, and needs none of this.
#[test]
fn a_machine_has_no_evidence() {
    let mut tape = Tape::conforming();
    tape.facts.recovered_at = None;
    assert_eq!(the(&tape, "hung").evidence, NOTHING);
}

/// Node reads what had come in while it was busy after its timers have fired.
#[test]
fn a_busy_program_may_be_a_little_late() {
    let beats_late = |by: u64| {
        edit(|t| {
            t.without(|at, _| at > 160_000);
            t.beats(170_131 + by, 2, OVER);
        })
    };
    // 40 s, a twentieth of that, half a second and a round trip.
    assert_eq!(failing(&beats_late(22_500)), NOTHING);
    assert_eq!(failing(&beats_late(22_800)), ["heartbeat/H1"]);
}

/// A file on disk may hold the session of the run before.
#[test]
fn a_program_may_begin_with_a_session_of_an_earlier_run() {
    let tape = |is_program: bool| {
        let mut tape = Tape::new();
        tape.accept(10, 1, Port::Main).hello(41, 1);
        tape.id = "of-yesterday";
        tape.resume(61, 1, 7);
        tape.gateway(62, 1, 9, "false");
        tape.subject(
            3_062,
            1,
            2,
            r#"{"token":"<token>","intents":513,"properties":{"os":"linux","browser":"x","device":"x"}}"#,
        );
        tape.ready(3_063, 1, "s1")
            .see(3_063, Seen::Phase(Phase::Chaos));
        tape.beats(20_041, 1, OVER);
        if is_program { program(tape) } else { tape }
    };
    assert_eq!(failing(&tape(true)), NOTHING);
    assert_eq!(failing(&tape(false)), ["identify/I7"]);
}

#[test]
fn a_blackholed_program_that_leaves_is_not_early() {
    let tape = then(|t| {
        let direction = Direction::Both;
        let fault = t.fault(Action::Blackhole { direction });
        t.without(|at, _| at > 141_000);
        t.struck(141_000, fault, 1);
        t.close(207_000, 1, Side::Subject, 4000);
        t.rst(237_000, 1, Side::Subject);
        t.back(237_100, 2, Port::Resume, 4);
        t.facts.recovered_at = Some(ms(237_153));
    });
    assert_eq!(failing(&tape), NOTHING);
}

/// Its one session is lost, and the next one is more than there were.
fn overdrawn(asks: bool, then: impl FnOnce(&mut Tape)) -> Tape {
    self::then(|t| {
        t.header.identify_limit.starts = 1;
        if asks {
            let (path, status) = ("/api/v10/gateway/bot".to_owned(), 200);
            let method = "GET".to_owned();
            let by_fault = false;
            t.see(
                5,
                Seen::Request {
                    method,
                    path,
                    status,
                    by_fault,
                },
            );
        }
        t.closed(LOST, 1, 4009);
        t.accept(LOST + 100, 2, Port::Main).hello(LOST + 131, 2);
        t.subject(LOST + 151, 2, 2, r#"{"token":"<token>","intents":513,"properties":{"os":"a","browser":"b","device":"c"}}"#);
        t.closed(LOST + 152, 2, 4004);
        then(t);
    })
}

#[test]
fn who_never_asked_how_many_sessions_are_left_is_not_judged_once_they_are_used_up() {
    let exits = |t: &mut Tape| {
        stderr(t, LOST + 160, "closed with 4004");
        exited(t, LOST + 200, 1, CODE_0);
    };
    for then in [exits as fn(&mut Tape), |_| {}] {
        let judgement = overdrawn(false, then).judged();
        assert_eq!(
            judgement.verdict,
            Verdict::NotJudged,
            "{:?}",
            judgement.findings
        );
        assert!(
            judgement.reasons[0].contains("never asked"),
            "{:?}",
            judgement.reasons
        );
        assert_eq!(failing(&overdrawn(true, then)), ["identify/I6"]);
    }
}

#[test]
fn that_it_used_up_its_sessions_is_accepted_with_what_comes_of_it() {
    let mut tape = overdrawn(true, |t| {
        stderr(t, LOST + 160, "closed with 4004");
        exited(t, LOST + 200, 1, CODE_0);
    });
    let why = Accepted {
        reason: "known".to_owned(),
        link: None,
    };
    tape.known.push(("identify/I6".to_owned(), why));
    let judgement = tape.judged();
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (Verdict::Conforms, Vec::new())
    );
}

#[test]
fn a_program_that_ends_as_a_fatal_code_demands_has_not_given_up() {
    let tape = then(|t| {
        t.closed(LOST, 1, 4013);
        stderr(t, LOST + 10, "closed with 4013: invalid intents");
        exited(t, LOST + 20, 1, CODE_0);
    });
    assert_eq!(failing(&tape), NOTHING);
    let judgement = tape.judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(
        judgement.reasons[0],
        "the gateway closed with 4013 (invalid intents)"
    );
}
