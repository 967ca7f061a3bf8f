//! Coming back judged where less is seen than happens: what stays on its connection, and what is refused by nobody.

use super::tape::{IDENTIFY, LOST, OVER, Tape, line, ms};
use crate::expect::Allowances;
use crate::fault::{Action, Direction, Lasts, Port};
use crate::oracle::Effect;
use crate::time::Duration;
use crate::trace::{Clock, Seen, Side};

/// Findings that are more than notes, each with what it does to the verdict.
fn found(tape: &Tape) -> Vec<(String, Effect)> {
    let findings = tape.judged().findings.into_iter();
    let told = findings.filter(|finding| finding.effect != Effect::Note);
    told.map(|finding| (finding.id, finding.effect)).collect()
}

#[track_caller]
fn has(tape: &Tape, expected: &[(&str, Effect)]) {
    let expected: Vec<(String, Effect)> = expected
        .iter()
        .map(|(id, effect)| ((*id).to_owned(), *effect))
        .collect();
    let lines: Vec<String> = tape.judged().findings.iter().map(line).collect();
    assert_eq!(found(tape), expected, "{lines:#?}");
}

/// Op 9 with d true at `LOST`, on the first connection, which is one to the main URL.
fn refused_but_resumable() -> Tape {
    let mut tape = Tape::steady();
    tape.gateway(LOST, 1, 9, "true");
    tape
}

#[test]
fn a_resume_on_the_connection_of_an_op_9_need_not_go_to_the_resume_url() {
    let mut stays = refused_but_resumable();
    stays.resume(LOST + 3_000, 1, 4);
    stays.dispatch(LOST + 3_001, 1, "RESUMED", "{}");
    stays.beats(180_041, 1, OVER);
    has(&stays, &[]);

    let moves = |port: Port| {
        let mut tape = refused_but_resumable();
        tape.leave(LOST + 50, 1, 4000).back(LOST + 100, 2, port, 4);
        tape
    };
    has(&moves(Port::Resume), &[]);
    has(&moves(Port::Main), &[("resume/R1", Effect::Shown)]);
}

/// A program whose first connection is reset at `LOST`; from there on a `refuse` is in force, which nobody can see at work.
fn refused(port: Option<Port>, lasts: Lasts<Duration>) -> Tape {
    let mut tape = Tape::steady();
    let header = &mut tape.header;
    (header.sees_process, header.sees_delivery) = (true, false);
    header.clock = Clock::Real;
    header.allowances = Allowances::of_a_program(header.interval);
    tape.without(|_, saw| matches!(saw, Seen::Delivered(_)));
    let fault = tape.fault(Action::Refuse);
    let drawn = &mut tape.header.schedule[0].fault;
    (drawn.port, drawn.lasts) = (port, lasts);
    tape.rst(LOST, 1, Side::Gateway);
    let connection = None;
    tape.see(LOST, Seen::Struck { fault, connection });
    let healed = match lasts {
        Lasts::For(time) => LOST + u64::try_from(time.as_millis()).expect("it is short"),
        _ => LOST,
    };
    tape.see(healed, Seen::Healed { fault });
    tape
}

const FOR_5_S: Lasts<Duration> = Lasts::For(Duration::from_secs(5));

#[test]
fn who_may_have_been_refused_unseen_at_the_resume_url_may_begin_anew_once() {
    let once = |mut tape: Tape| {
        tape.anew(LOST + 1_000, 2, Port::Main, "s2");
        tape
    };
    let excused = once(refused(Some(Port::Resume), FOR_5_S));
    has(&excused, &[("close/X3", Effect::Shown)]);

    let mut not_yet = once(refused(Some(Port::Resume), FOR_5_S));
    not_yet.without(|_, saw| matches!(saw, Seen::Struck { .. } | Seen::Healed { .. }));
    not_yet.header.schedule[0].fault.optional = Some("it is taken out here".to_owned());
    has(&not_yet, &[("close/X3", Effect::Fails)]);

    // Of a machine every refused connect is seen, and there was none.
    let mut seen = once(refused(Some(Port::Resume), FOR_5_S));
    seen.header.sees_process = false;
    has(&seen, &[("close/X3", Effect::Fails)]);

    let mut again = refused(Some(Port::Resume), FOR_5_S);
    again.anew(LOST + 1_000, 2, Port::Main, "s2");
    again.without(|at, _| at > 200_000);
    again.rst(200_000, 2, Side::Gateway);
    again.anew(201_000, 3, Port::Main, "s3");
    again.facts.recovered_at = Some(ms(201_052));
    has(
        &again,
        &[("close/X3", Effect::Shown), ("close/X3", Effect::Fails)],
    );
}

const GAVE_UP: [(&str, Effect); 2] = [("close/X3", Effect::Fails), ("gave-up", Effect::Fails)];

#[test]
fn who_is_refused_unseen_to_the_end_has_hung_and_need_not_have_given_up() {
    let never_back = |port: Option<Port>, lasts: Lasts<Duration>| {
        let mut tape = refused(port, lasts);
        tape.facts.recovered_at = None;
        tape
    };
    for port in [None, Some(Port::Main)] {
        has(&never_back(port, Lasts::Run), &[("hung", Effect::Fails)]);
        // Once connects are let in again, one that tried would have been seen.
        has(&never_back(port, FOR_5_S), &GAVE_UP);
    }
    let mut seen = never_back(None, Lasts::Run);
    seen.header.sees_process = false;
    has(&seen, &GAVE_UP);
    // Another one that would last to the end, and never struck, hides nothing.
    let mut unstruck = never_back(None, FOR_5_S);
    let fault = unstruck.fault(Action::Refuse) as usize;
    unstruck.header.schedule[fault].fault.lasts = Lasts::Run;
    has(&unstruck, &GAVE_UP);
}

/// Five connections from the first one on are reset before HELLO; the next one comes after these delays, one for each.
fn five_failures(delays: [u64; 5]) -> Vec<String> {
    let mut tape = Tape::new();
    let mut at = 10;
    for (number, delay) in (1..).zip(delays) {
        tape.accept(at, number, Port::Main)
            .rst(at + 20, number, Side::Gateway);
        at += 20 + delay;
    }
    tape.accept(at, 6, Port::Main).hello(at + 31, 6);
    tape.found("reconnect/B1")
}

/// Where nothing was lost before, the first delay follows a failure like any other.
#[test]
fn five_failures_from_the_start_tell_whether_delays_grow() {
    let flat = five_failures([1_000; 5]);
    assert_eq!(flat.len(), 1, "{flat:?}");
    assert!(
        flat[0].contains("tried 5 times in a row after 1s each"),
        "{flat:?}"
    );
    assert_eq!(five_failures([500, 900, 2_100, 3_900, 8_000]), [""; 0]);
}

/// #2 is to begin a session, and its IDENTIFY is read only once #3 has got one: `hold` says whether a fault held it back, so
/// that #3 tells that #2 was given up. The subject then goes back to the session of #3.
fn an_identify_that_is_read_late(hold: bool) -> Tape {
    let mut tape = Tape::steady();
    tape.closed(LOST, 1, 4009);
    tape.accept(LOST + 6_000, 2, Port::Main)
        .hello(LOST + 6_031, 2);
    if hold {
        let direction = Direction::ToGateway;
        let fault = tape.fault(Action::Hold { direction });
        tape.struck(LOST + 6_040, fault, 2);
    }
    tape.accept(LOST + 80_000, 3, Port::Main)
        .hello(LOST + 80_031, 3);
    tape.subject(LOST + 80_051, 3, 2, IDENTIFY)
        .ready(LOST + 80_052, 3, "s2");
    tape.subject(LOST + 80_060, 2, 2, IDENTIFY)
        .ready(LOST + 80_060, 2, "s3");
    tape.close(LOST + 80_061, 2, Side::Subject, 4000)
        .fin(LOST + 80_061, 2, Side::Subject);
    tape.rst(LOST + 90_000, 3, Side::Gateway);
    (tape.s, tape.id) = (1, "s2");
    tape.back(LOST + 90_100, 4, Port::Resume, 1);
    tape
}

#[test]
fn the_latest_session_is_none_that_began_on_a_connection_which_was_given_up_for_a_later_one() {
    let is_back_to_the_wrong_one = |hold| {
        !an_identify_that_is_read_late(hold)
            .found("resume/R9")
            .is_empty()
    };
    assert!(!is_back_to_the_wrong_one(true));
    // Where the subject could read both, the second one is the latest.
    assert!(is_back_to_the_wrong_one(false));
}

#[test]
fn the_session_of_one_shard_is_not_forgotten_for_those_of_another() {
    let mut tape = Tape::new();
    tape.header.shards = 2;
    let identify = |shard: u32| IDENTIFY.replacen('{', &format!(r#"{{"shard":[{shard},2],"#), 1);
    let mut begin = |number: u32, shard: u32, id: &'static str| {
        let at = 6_000 * u64::from(number);
        tape.accept(at, number, Port::Main).hello(at + 31, number);
        tape.subject(at + 51, number, 2, &identify(shard))
            .ready(at + 52, number, id);
        if shard == 1 {
            tape.closed(at + 1_000, number, 4009);
        }
    };
    begin(1, 0, "keeps");
    for number in 2..42 {
        begin(number, 1, "begins anew");
    }
    tape.rst(300_000, 1, Side::Gateway);
    (tape.s, tape.id) = (1, "keeps");
    tape.back(300_100, 42, Port::Resume, 1);
    assert_eq!(tape.found("resume/R3"), [""; 0]);
}

/// #2 sent its RESUME before #3 came back, and the gateway reads it long after: since a fault held it up, or for no reason.
fn read_late(is_held_up: bool, comes_back: impl Fn(&mut Tape)) -> Tape {
    let mut tape = Tape::steady();
    let fault = tape.fault(Action::StopReading { window: 0 });
    tape.rst(LOST, 1, Side::Gateway);
    tape.accept(LOST + 100, 2, Port::Resume)
        .hello(LOST + 131, 2);
    if is_held_up {
        tape.struck(LOST + 132, fault, 2);
    }
    tape.resume(LOST + 120_000, 2, 4);
    comes_back(&mut tape);
    tape
}

#[test]
fn what_a_resume_that_is_read_late_did_not_know_is_not_held_against_it() {
    let resumes = |tape: &mut Tape| {
        tape.back(LOST + 30_000, 3, Port::Resume, 4);
    };
    let identifies = |tape: &mut Tape| {
        tape.anew(LOST + 30_000, 3, Port::Main, "another");
    };
    assert_eq!(read_late(true, resumes).found("delivery/D2"), [""; 0]);
    assert_eq!(read_late(false, resumes).found("delivery/D2").len(), 1);
    assert_eq!(read_late(true, identifies).found("resume/R9"), [""; 0]);
    assert_eq!(read_late(false, identifies).found("resume/R9").len(), 1);
}

#[test]
fn op_9_behind_the_close_of_the_subject_ends_no_session_that_it_knows_of() {
    let back_after = |op9: u64| {
        let mut tape = Tape::steady();
        tape.close(LOST, 1, Side::Subject, 4000);
        tape.gateway(op9, 1, 9, "false");
        tape.close(LOST + 2, 1, Side::Gateway, 4000)
            .fin(LOST + 20, 1, Side::Subject)
            .back(LOST + 100, 2, Port::Resume, 4);
        tape
    };
    assert_eq!(back_after(LOST + 1).found("resume/R7"), [""; 0]);
    // One that was read in time does.
    assert_eq!(back_after(LOST - 1_000).found("resume/R7").len(), 1);
}

#[test]
fn an_identify_that_was_held_back_says_nothing_of_the_time_to_the_next() {
    let pair = |is_held: bool| {
        let mut tape = Tape::steady();
        tape.closed(LOST, 1, 4009);
        tape.accept(LOST + 6_000, 2, Port::Main)
            .hello(LOST + 6_031, 2);
        if is_held {
            let direction = Direction::ToGateway;
            let fault = tape.fault(Action::Hold { direction });
            tape.struck(LOST + 6_040, fault, 2);
        }
        tape.subject(LOST + 40_000, 2, 2, IDENTIFY);
        tape.close(LOST + 40_001, 2, Side::Subject, 4000)
            .fin(LOST + 40_001, 2, Side::Subject);
        tape.anew(LOST + 42_000, 3, Port::Main, "s2");
        tape.found("identify/I5").len()
    };
    assert_eq!((pair(true), pair(false)), (0, 1));
}

/// A READY that the gateway sends where nobody reads any more, and one that a fault keeps from the subject.
#[test]
fn a_session_that_the_subject_cannot_know_of_is_not_asked_of_it() {
    let unread = |is_left: bool| {
        let mut tape = Tape::steady();
        tape.rst(LOST, 1, Side::Gateway);
        tape.accept(LOST + 100, 2, Port::Main)
            .hello(LOST + 131, 2)
            .subject(LOST + 151, 2, 2, IDENTIFY);
        if is_left {
            tape.close(LOST + 30_000, 2, Side::Subject, 4000);
        }
        tape.resume(LOST + 60_000, 3, 4);
        tape.accept(LOST + 59_000, 3, Port::Resume)
            .hello(LOST + 59_031, 3);
        tape.ready(LOST + 40_000, 2, "unread");
        tape.found("resume/R9")
    };
    assert_eq!(unread(true), [""; 0]);
    assert_eq!(unread(false).len(), 1);

    let kept = |is_kept: bool| {
        let mut tape = Tape::new();
        let direction = Direction::ToSubject;
        let fault = tape.fault(Action::Hold { direction });
        tape.accept(0, 1, Port::Main)
            .hello(31, 1)
            .subject(51, 1, 2, IDENTIFY);
        if is_kept {
            tape.struck(51, fault, 1);
        }
        tape.ready(52, 1, "kept").rst(10_000, 1, Side::Gateway);
        tape.anew(12_000, 2, Port::Main, "another");
        tape.found("close/X3")
    };
    assert_eq!(kept(true), [""; 0]);
    assert_eq!(kept(false).len(), 1);
}

/// The gateway sends RESUMED behind a dispatch with a higher number: whoever takes both has had each of them once.
#[test]
fn a_resumed_that_was_held_back_is_not_delivered_twice() {
    let mut tape = Tape::steady();
    tape.rst(LOST, 1, Side::Gateway);
    tape.accept(LOST + 100, 2, Port::Resume)
        .hello(LOST + 131, 2)
        .resume(LOST + 151, 2, 4);
    tape.s = 5;
    tape.message(LOST + 200, 2);
    tape.s = 4;
    tape.dispatch(LOST + 300, 2, "RESUMED", "{}")
        .delivered(LOST + 310, 2, 5);
    tape.s = 6;
    tape.beats(180_041, 2, OVER);
    assert_eq!(tape.found("duplicated"), [""; 0]);
    tape.delivered(LOST + 400, 2, 6);
    assert_eq!(tape.found("duplicated").len(), 1);
}
