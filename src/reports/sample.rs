//! One small report for the tests of every format, with all that is awkward in it: each verdict, a run that could not be made,
//! runs that were not made, and texts from outside that hold control characters.

use super::{Control, Report, Run, Stale};
use crate::expect::{Accepted, Allowances, Ends, Expectations};
use crate::fault::{Action, Answer, Direction, Fault, Lasts, Origin, Scope, Times, Trigger};
use crate::oracle::coverage::{Coverage, Exercised, State};
use crate::oracle::{Counts, Effect, Finding, FindingKind, Judgement, RuleCount, Verdict};
use crate::scenarios::{Ending, Outcome};
use crate::time::{Duration, Instant};
use crate::trace::{Clock, Header, IdentifyLimit, ScheduledFault, Vantage};
use std::collections::{BTreeMap, BTreeSet};

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
        odd_json: false,
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
        coverage: Coverage {
            strikes: BTreeMap::from([("blackhole", BTreeMap::from([(State::Steady, 2)]))]),
            rules: BTreeMap::from([(
                "heartbeat/H1",
                Exercised {
                    states: BTreeSet::from([State::AwaitingLogin, State::Steady]),
                    under: BTreeSet::from(["blackhole"]),
                },
            )]),
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
        ending: Ending::Complete,
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
        control: None,
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
        is_under_way: false,
        stale: Vec::new(),
        is_strict: false,
        took: Duration::from_millis(40),
    }
}

pub(super) fn accepted() -> Accepted {
    Accepted {
        reason: "reported upstream".to_owned(),
        link: Some("https://issues.test/349".to_owned()),
    }
}

/// Two subjects in real time: one that conforms with an acceptance and was interrupted, one whose control run violates.
pub(super) fn matrix() -> Report {
    let of = |scenario: &str, subject: &str, result: Result<Outcome, String>| {
        let result = result.map(|mut outcome| {
            outcome.header.clock = Clock::Real;
            outcome.header.interval = Duration::from_secs(2);
            outcome
        });
        Run {
            subject: subject.to_owned(),
            reproduce: format!(
                "gwtool chaos --scenario {scenario} --seed 0x5eed --subjects s.toml --subject {subject}"
            ),
            ..run(scenario, result)
        }
    };
    let control = |printed: &[&str], run: Run| Run {
        control: Some(Control {
            ready_after: Some(Duration::from_millis(412)),
            printed: printed.iter().map(|line| (*line).to_owned()).collect(),
        }),
        ..run
    };
    let mut known = outcome(Verdict::Violates);
    known.judgement.verdict = Verdict::Conforms;
    for found in &mut known.judgement.findings {
        found.accepted = Some(accepted());
    }
    let mut mixed = outcome(Verdict::Violates);
    mixed.judgement.findings[0].accepted = Some(accepted());
    mixed.judgement.findings[1].seen = "died: a|b after 12.403s".to_owned();
    mixed.judgement.findings[1].evidence =
        vec!["exit code 1".to_owned(), "\x1b[1mError".to_owned()];
    let mut cut = outcome(Verdict::Inconclusive);
    cut.ending = Ending::Interrupted;
    cut.judgement.watched = Duration::from_millis(12_345);
    let mut unmade = outcome(Verdict::Inconclusive);
    unmade.ending = Ending::NotMade;
    unmade.judgement.reasons = vec!["not run: the control run violates".to_owned()];
    Report {
        runs: vec![
            control(&[], of("control", "good", Ok(outcome(Verdict::Conforms)))),
            control(&["\x1b[2Jhello"], of("control", "bad", Ok(mixed.clone()))),
            of("flap", "good", Ok(known)),
            of("flap", "bad", Ok(unmade)),
            of("calm", "good", Ok(cut)),
            of(
                "idle",
                "bad",
                Err("failed to start `nod`: no such file\nhint: is it on PATH?".to_owned()),
            ),
        ],
        planned: 8,
        is_interrupted: true,
        is_under_way: false,
        is_strict: false,
        stale: vec![Stale {
            subject: "good".to_owned(),
            scenario: "idle".to_owned(),
            finding: "loop".to_owned(),
        }],
        took: Duration::from_secs(40),
    }
}
