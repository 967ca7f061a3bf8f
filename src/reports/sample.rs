//! One small report for the tests of every format, with all that is awkward in it: each verdict, a run that could not be made,
//! runs that were not made, and texts from outside that hold control characters.

use super::{Report, Run};
use crate::expect::{Allowances, Ends, Expectations};
use crate::fault::{Action, Answer, Direction, Fault, Lasts, Origin, Scope, Times, Trigger};
use crate::oracle::{Counts, Effect, Finding, FindingKind, Judgement, RuleCount, Verdict};
use crate::scenarios::Outcome;
use crate::time::{Duration, Instant};
use crate::trace::{Clock, Header, IdentifyLimit, ScheduledFault, Vantage};

pub(super) fn header() -> Header {
    let interval = Duration::from_millis(41_250);
    Header {
        gwtool_trace: 1,
        gwtool: "0.1.0".to_owned(),
        scenario: "flap".to_owned(),
        seed: "0x5eed".to_owned(),
        clock: Clock::Virtual,
        vantage: Vantage::Gateway,
        interval,
        subject: "carbon-0.14".to_owned(),
        allowances: Allowances::of_a_program(interval),
        login_within: Duration::from_mins(1),
        chaos: interval,
        recover_within: 3 * interval,
        ends: Ends::Recovered,
        on_close: Answer::AtOnce,
        shards: 1,
        identify_limit: IdentifyLimit::default(),
        expect: Expectations::default(),
        schedule: vec![ScheduledFault {
            fault: Fault {
                trigger: Trigger::At {
                    after: Duration::from_mins(1),
                    from: Origin::Ready,
                },
                action: Action::Blackhole {
                    direction: Direction::Both,
                },
                lasts: Lasts::For(Duration::from_secs(16)),
                times: Times::Limited(1),
                scope: Scope::All,
                port: None,
                shard: None,
                optional: None,
                group: None,
                chance: None,
            },
            is_skipped: false,
        }],
        sees_delivery: true,
        sees_process: false,
    }
}

pub(super) fn judgement() -> Judgement {
    Judgement {
        verdict: Verdict::Violates,
        reasons: Vec::new(),
        evidence: Vec::new(),
        findings: vec![
            Finding {
                kind: FindingKind::Rule,
                id: "resume/R4".to_owned(),
                effect: Effect::Fails,
                at: Instant::from_nanos(12_400_000_000),
                connection: Some(3),
                seen: "sent IDENTIFY on #3".to_owned(),
                expected: "RESUME: session `s1` was resumable (seq 41, closed 4000)".to_owned(),
                evidence: Vec::new(),
                accepted: None,
            },
            Finding {
                kind: FindingKind::Outcome,
                id: "died".to_owned(),
                effect: Effect::Fails,
                at: Instant::from_nanos(95_000_000_000),
                connection: None,
                seen: "died: \x1b[2Jzombie".to_owned(),
                expected: "a recovery".to_owned(),
                evidence: Vec::new(),
                accepted: None,
            },
        ],
        rules: vec![
            RuleCount {
                rule: "heartbeat/H1",
                exercised: 3,
                kept: 3,
            },
            RuleCount {
                rule: "resume/R4",
                exercised: 2,
                kept: 1,
            },
            RuleCount {
                rule: "close/X1",
                exercised: 0,
                kept: 0,
            },
        ],
        not_judged: vec![("lost".to_owned(), "no delivery was reported".to_owned())],
        watched: Duration::from_secs(312),
        counts: Counts {
            connections: 3,
            ..Counts::default()
        },
    }
}

pub(super) fn outcome(verdict: Verdict) -> Outcome {
    let judgement = judgement();
    Outcome {
        header: header(),
        judgement: if verdict == Verdict::Violates {
            judgement
        } else {
            Judgement {
                verdict,
                reasons: match verdict {
                    Verdict::Conforms => Vec::new(),
                    _ => vec!["fault 0 never struck".to_owned()],
                },
                findings: Vec::new(),
                ..judgement
            }
        },
        entries: Vec::new(),
        took: Duration::from_millis(7),
        repeats: 0,
    }
}

pub(super) fn run(scenario: &str, result: Result<Outcome, String>) -> Run {
    let reproduce =
        format!("gwtool chaos --scenario {scenario} --subject carbon-0.14 --seed 0x5eed");
    Run {
        scenario: scenario.to_owned(),
        subject: "carbon-0.14".to_owned(),
        reproduce,
        result,
    }
}

pub(super) fn report() -> Report {
    Report {
        runs: vec![
            run("flap", Ok(outcome(Verdict::Violates))),
            run("calm", Ok(outcome(Verdict::Conforms))),
            run("missed", Ok(outcome(Verdict::Inconclusive))),
            run("idle", Ok(outcome(Verdict::NotJudged))),
            run("broken", Err("no port is free".to_owned())),
        ],
        planned: 7,
        is_interrupted: false,
        is_strict: false,
        took: Duration::from_millis(40),
    }
}
