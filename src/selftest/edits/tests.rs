//! What the judge says of each edited recording, in full.

use super::*;
use crate::fault::{Action, Direction};
use crate::oracle::RuleLevel;
use crate::oracle::rules::{all, find};
use crate::trace::Vantage;

impl Base {
    fn conforming(&self) -> &Recording {
        self.recording().unwrap_or_else(|why| panic!("{why}"))
    }
}

impl Recording {
    fn effects(&self, rule: &str) -> Vec<Effect> {
        let findings = self.judged().findings.into_iter();
        let of_rule = findings.filter(|finding| finding.id == rule);
        of_rule.map(|finding| finding.effect).collect()
    }
}

fn case(rule: &str) -> &'static Case {
    CASES
        .iter()
        .find(|case| case.rule == rule)
        .expect("every rule has a case")
}

/// The recording of a case with the edit that breaks its rule.
fn broken(rule: &str) -> Recording {
    let case = case(rule);
    let base = case.base.conforming();
    base.with((case.breaks)(base))
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |f: &Finding| {
        format!(
            "{} {:?} at {}: {}; expected {}",
            f.id, f.effect, f.at, f.seen, f.expected
        )
    };
    findings.iter().map(line).collect()
}

#[test]
fn every_rule_of_the_table_has_exactly_one_case() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.rule).collect();
    let rules: Vec<&str> = all().iter().map(|rule| rule.id).collect();
    assert_eq!(cases, rules);
}

#[test]
fn a_recording_of_a_run_that_does_not_conform_is_none() {
    let gives_up = Base::new(
        r#"[gives-up]
summary = "one attempt, and nobody there"
latency = "10ms"
settings = { attempts = 1 }
fault = [{ at = "1s", do = "reset" }, { at = "1s", do = "refuse", for = "2I" }]"#,
    );
    let why = gives_up.recording().map(|_| ());
    assert_eq!(
        why,
        Err(
            "the recording `gives-up` of gwtool's own client, in which rules are tried, does not conform: gave-up"
        )
    );
}

#[test]
fn every_rule_is_broken_by_the_edit_that_breaks_it() {
    let mut kept = Vec::new();
    for case in CASES {
        let level = find(case.rule).expect("it is in the table").level;
        // What is found of the rule is the edit's doing.
        assert_eq!(case.base.conforming().found(case.rule), []);
        let effect = match level {
            RuleLevel::Must => Effect::Fails,
            RuleLevel::Should => Effect::Shown,
        };
        let findings = broken(case.rule).judged().findings;
        let is_found = findings
            .iter()
            .any(|f| f.id == case.rule && f.effect == effect);
        if !is_found {
            kept.push((case.rule, lines(&findings)));
        }
    }
    assert!(kept.is_empty(), "{kept:#?}");
}

#[test]
fn every_outcome_with_edits_is_found_in_the_one_and_not_in_the_other() {
    for case in OUTCOMES {
        assert_eq!(breaks(case.rule), Ok(true), "{}", case.rule);
    }
    assert_eq!(breaks("nothing"), Ok(false));
}

/// A near miss is what a sound client may do: the rule applies, is not found broken, and nothing else fails the run.
#[test]
fn no_rule_is_broken_by_the_edit_that_nearly_does() {
    let mut wrong = Vec::new();
    for case in CASES {
        let base = case.base.conforming();
        let judgement = base.with((case.nearly)(base)).judged();
        let mut found = judgement.findings;
        found
            .retain(|f| f.effect == Effect::Fails || f.id == case.rule && f.effect != Effect::Note);
        let is_exercised = judgement.rules.iter().any(|count| count.rule == case.rule);
        if !found.is_empty() || !is_exercised {
            wrong.push((case.rule, is_exercised, lines(&found)));
        }
    }
    assert!(
        wrong.is_empty(),
        "rule, whether exercised, what was found: {wrong:#?}"
    );
}

/// A rule is judged only where it can be seen.
#[test]
fn a_rule_is_silent_at_a_vantage_that_it_is_not_valid_for() {
    let rule = find("resume/R1").expect("it is in the table");
    let mut edited = broken(rule.id);
    assert_eq!(edited.found(rule.id).len(), 1);
    edited.header.vantage = Vantage::Client;
    assert!(!rule.vantages.contains(&edited.header.vantage));
    assert_eq!(edited.found(rule.id), []);
}

#[test]
fn what_is_broken_again_and_again_is_told_three_times_and_counted() {
    let base = HEART.conforming();
    let place = base.first(ack(1));
    let saw = sends(1, Opcode::HEARTBEAT_ACK, "null");
    let ten = base.with(again(base, place, &saw, [1; 9]));
    let found = ten.found("heartbeat/H5");
    assert_eq!(found.len(), 3);
    assert_eq!(
        (found[2].seen.as_str(), found[2].expected.as_str()),
        (
            "sent op 11 on #1 (and 7 more)",
            "op 1: op 11 is the gateway's to send"
        )
    );
}

#[test]
fn findings_say_what_was_seen_and_what_was_allowed() {
    let told = [
        "heartbeat/H3",
        "heartbeat/H6",
        "resume/R4",
        "close/X5",
        "delivery/D2",
    ]
    .map(|rule| lines(&broken(rule).found(rule)).remove(0));
    insta::assert_snapshot!(told.join("\n"), @r"
    heartbeat/H3 Fails at 78.653s: no heartbeat on #1 43.412s after the one before; expected one every 41.25s (allowed 43.412s)
    heartbeat/H6 Fails at 144.776s: still on #1, silent since 74.176s, 30.6s after a heartbeat that had no ACK; expected to leave it within 30.6s
    resume/R4 Fails at 222.333s: sent IDENTIFY on #4; expected RESUME: the session could be resumed
    close/X5 Fails at 76.501s: closed #1 with code 4000 at shutdown; expected 1000 or 1001: the session would live on
    delivery/D2 Fails at 138.516s: sent RESUME with seq 141 on #2; expected at most 140, the last number sent
    ");
}

#[test]
fn a_tight_loop_of_attempts_fails_the_run() {
    let base = OUTAGE.conforming();
    let place = base.nth(2, missed(Port::Main));
    let edited = base.with(again(base, place, &misses(Port::Main), [100; 60]));
    assert!(edited.effects("reconnect/B1").contains(&Effect::Fails));
}

/// After a reconnect that failed, Discord itself advises to identify.
#[test]
fn a_fresh_identify_after_a_failed_reconnect_is_shown_and_a_second_one_fails() {
    let base = BLOCKED.conforming();
    let failed = base.with(Edit::Insert(
        base.before(base.first(accepted(2)), 20),
        misses(Port::Resume),
    ));
    let once = failed.with(identifies(&failed, 2));
    let ready = Field::Event("READY", r#"{"session_id":"another"}"#);
    let once = once.with(Edit::Change(once.first(event(2, "RESUMED")), ready));
    assert_eq!(once.effects("close/X3"), [Effect::Shown]);
    let twice = once.with(identifies(&once, 3));
    assert_eq!(twice.effects("close/X3"), [Effect::Shown, Effect::Fails]);
}

#[test]
fn a_frozen_subject_is_asked_for_nothing() {
    let missing = broken("heartbeat/H3");
    let before = missing.first(beat(1));
    let edited = missing.with(Edit::Insert(
        missing.after(before, 10_000),
        Seen::Acted { act: Act::Freeze },
    ));
    let edited = edited.with(Edit::Insert(
        edited.after(before, 40_000),
        Seen::Acted { act: Act::Thaw },
    ));
    assert_eq!(edited.found("heartbeat/H3"), []);
}

#[test]
fn unanswered_heartbeats_amid_traffic_are_a_note() {
    let mut edited = broken("heartbeat/H6");
    let silent_since = edited.at(edited.nth(3, beat(1)));
    for n in 1..7 {
        let saw = dispatches(1, 2 + n, "TYPING_START", Fate::Delivered);
        edited = edited.with(Edit::Insert(silent_since + ms(n * 5_900), saw));
    }
    assert_eq!(edited.effects("heartbeat/H6"), [Effect::Note]);
}

/// Latency of a fault makes times on the connection meaningless.
#[test]
fn a_connection_whose_bytes_are_late_is_not_timed() {
    let mut edited = broken("heartbeat/H3");
    let mut late = edited.header.schedule[0].clone();
    late.fault.action = Action::Latency {
        direction: Direction::Both,
        by: Duration::from_secs(2),
    };
    edited.header.schedule.push(late);
    let struck = Seen::Struck {
        fault: 2,
        connection: Some(1),
    };
    let at = edited.after(edited.first(beat(1)), 1_000);
    assert_eq!(
        edited.with(Edit::Insert(at, struck)).found("heartbeat/H3"),
        []
    );
}
