//! The report for CI: JUnit XML, as most services read it.
//!
//! A run that violates is a failure; one that is inconclusive or could not be made is an error; one in which there was nothing
//! to judge is left out, so that it is not counted as passed. Where runs are missing that were planned, because the user ended
//! it or it is not over yet, an error of its own says so; with `--strict` so does a failure where something is accepted that
//! is no longer seen.

use super::escape::escape;
use super::{
    Report, Run, ago, error_and_hint, failing_ids, fails, not_complete, plural, rules, verdict,
};
use crate::oracle::{Judgement, Verdict};
use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};
use std::fmt::Write as _;

/// The report as JUnit XML: a suite a subject, a test case a scenario.
pub fn document(report: &Report) -> Result<String, SerializeError> {
    let mut document = quick_junit::Report::new("gwtool");
    document.set_time(report.took);
    // In the order in which subjects first appear, which is that of the command line.
    let mut suites: Vec<TestSuite> = Vec::new();
    for run in &report.runs {
        let Some(case) = case(run, report.is_strict) else {
            continue;
        };
        let subject = escape(&run.subject);
        let known = suites
            .iter()
            .position(|suite| suite.name.as_str() == subject);
        let place = known.unwrap_or_else(|| {
            suites.push(TestSuite::new(&*subject));
            suites.len() - 1
        });
        suites[place].add_test_case(case);
    }
    let mut general = TestSuite::new("gwtool");
    for stale in report.stale.iter().filter(|_| report.is_strict) {
        let message = format!("accepted, and no longer seen: {}", stale.finding);
        let status = non_success(NonSuccessKind::Failure, "stale", &message, String::new());
        let mut case = TestCase::new(&*escape(&stale.scenario), status);
        case.set_classname(&*escape(&stale.subject));
        general.add_test_case(case);
    }
    let missing = report.planned.saturating_sub(report.runs.len());
    if missing > 0 && (report.is_under_way || report.is_interrupted) {
        let why = format!("{} not made", plural(missing, "run"));
        let mut case = TestCase::new(
            "every planned run",
            non_success(NonSuccessKind::Error, "not complete", &why, String::new()),
        );
        case.set_classname("gwtool");
        general.add_test_case(case);
    }
    if !general.test_cases.is_empty() {
        suites.push(general);
    }
    document.add_test_suites(suites);
    document.to_string()
}

fn case(run: &Run, is_strict: bool) -> Option<TestCase> {
    let status = match &run.result {
        Err(why) => {
            let (why, hint) = error_and_hint(why);
            let hint = hint.map(|hint| format!("hint: {}", escape(hint)));
            non_success(
                NonSuccessKind::Error,
                "error",
                why,
                hint.unwrap_or_default(),
            )
        }
        Ok(outcome) => {
            let judgement = &outcome.judgement;
            match verdict(judgement, is_strict) {
                Verdict::NotJudged => return None,
                Verdict::Conforms => TestCaseStatus::success(),
                Verdict::Inconclusive => {
                    let mut reasons = judgement.reasons.clone();
                    reasons.extend(not_complete(outcome).map(|why| format!("not complete: {why}")));
                    let why = reasons.join("; ");
                    non_success(NonSuccessKind::Error, "inconclusive", &why, String::new())
                }
                Verdict::Violates => {
                    let (message, text) = violation(judgement, is_strict);
                    non_success(NonSuccessKind::Failure, "violates", &message, text)
                }
            }
        }
    };
    let is_fine = matches!(status, TestCaseStatus::Success { .. });
    let mut case = TestCase::new(&*escape(&run.scenario), status);
    case.set_classname(&*escape(&run.subject));
    if let Ok(outcome) = &run.result {
        let (exercised, kept) = rules(&outcome.judgement);
        case.set_time(outcome.took);
        case.set_assertions(exercised);
        let mut said = format!(
            "watched {}, {} exercised, {kept} kept\n",
            ago(outcome.judgement.watched),
            plural(exercised, "rule")
        );
        if let Some(why) = not_complete(outcome) {
            let _ = writeln!(said, "not complete: {why}");
        }
        for found in &outcome.judgement.findings {
            if let Some(accepted) = &found.accepted {
                let link = accepted.link.as_deref().unwrap_or_default();
                let text = format!("accepted: {} ({} {link})", found.id, accepted.reason);
                let _ = writeln!(said, "{}", escape(&text));
            }
        }
        if !is_fine {
            let _ = writeln!(said, "reproduce: {}", escape(&run.reproduce));
        }
        case.set_system_out(said);
    }
    Some(case)
}

fn non_success(kind: NonSuccessKind, ty: &str, message: &str, text: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(&*escape(message));
    if !text.is_empty() {
        status.set_description(text);
    }
    status
}

/// The ids of what fails, and every finding that does.
fn violation(judgement: &Judgement, is_strict: bool) -> (String, String) {
    let mut text = String::new();
    for found in judgement.findings.iter().filter(|f| fails(f, is_strict)) {
        let _ = writeln!(
            text,
            "{} at {}: {}; expected {}",
            escape(&found.id),
            found.at,
            escape(&found.seen),
            escape(&found.expected)
        );
    }
    (failing_ids(judgement, is_strict).join(", "), text)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn violates_is_a_failure_and_what_says_nothing_is_no_test() {
        insta::assert_snapshot!(document(&sample::report()).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="gwtool" tests="4" skipped="0" failures="1" errors="2" time="0.040">
            <testsuite name="carbon-0.14" tests="4" skipped="0" errors="2" failures="1">
                <testcase name="flap" classname="carbon-0.14" assertions="2" time="0.007">
                    <failure message="died, resume/R4" type="violates">resume/R4 at 12.400s: sent IDENTIFY on #3; expected RESUME: session `s1` was resumable (seq 41, closed 4000)
        died at 95.000s: died: \u{1b}[2Jzombie; expected a recovery
        </failure>
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        reproduce: gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed
        </system-out>
                </testcase>
                <testcase name="calm" classname="carbon-0.14" assertions="2" time="0.007">
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        </system-out>
                </testcase>
                <testcase name="missed" classname="carbon-0.14" assertions="2" time="0.007">
                    <error message="fault 0 never struck" type="inconclusive"/>
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        reproduce: gwtool chaos --scenario missed --subject carbon-0.14 --seed 0x5eed
        </system-out>
                </testcase>
                <testcase name="broken" classname="carbon-0.14">
                    <error message="no port is free" type="error"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn what_is_accepted_is_no_failure_and_what_is_missing_an_error() {
        insta::assert_snapshot!(document(&sample::matrix()).unwrap(), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="gwtool" tests="7" skipped="0" failures="1" errors="4" time="40.000">
            <testsuite name="good" tests="3" skipped="0" errors="1" failures="0">
                <testcase name="control" classname="good" assertions="2" time="0.007">
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        </system-out>
                </testcase>
                <testcase name="flap" classname="good" assertions="2" time="0.007">
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        accepted: resume/R4 (reported upstream https://issues.test/349)
        accepted: died (reported upstream https://issues.test/349)
        </system-out>
                </testcase>
                <testcase name="calm" classname="good" assertions="2" time="0.007">
                    <error message="fault 0 never struck; not complete: interrupted after 12.3s" type="inconclusive"/>
                    <system-out>watched 12.3s, 2 rules exercised, 1 kept
        not complete: interrupted after 12.3s
        reproduce: gwtool chaos --scenario calm --seed 0x5eed --subjects s.toml --subject good
        </system-out>
                </testcase>
            </testsuite>
            <testsuite name="bad" tests="3" skipped="0" errors="2" failures="1">
                <testcase name="control" classname="bad" assertions="2" time="0.007">
                    <failure message="died" type="violates">died at 95.000s: died: a|b after 12.403s; expected a recovery
        </failure>
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        accepted: resume/R4 (reported upstream https://issues.test/349)
        reproduce: gwtool chaos --scenario control --seed 0x5eed --subjects s.toml --subject bad
        </system-out>
                </testcase>
                <testcase name="flap" classname="bad" assertions="2" time="0.007">
                    <error message="not run: the control run violates" type="inconclusive"/>
                    <system-out>watched 5m 12s, 2 rules exercised, 1 kept
        reproduce: gwtool chaos --scenario flap --seed 0x5eed --subjects s.toml --subject bad
        </system-out>
                </testcase>
                <testcase name="idle" classname="bad">
                    <error message="failed to start `nod`: no such file" type="error">hint: is it on PATH?</error>
                </testcase>
            </testsuite>
            <testsuite name="gwtool" tests="1" skipped="0" errors="1" failures="0">
                <testcase name="every planned run" classname="gwtool">
                    <error message="2 runs not made" type="not complete"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn what_is_no_longer_seen_is_a_failure_with_strict_only() {
        let mut report = sample::matrix();
        report.is_interrupted = false;
        assert!(!document(&report).unwrap().contains("no longer seen"));
        report.is_strict = true;
        let case = "<testcase name=\"idle\" classname=\"good\">\n            <failure message=\"accepted, and no longer seen: loop\" type=\"stale\"/>";
        let text = document(&report).unwrap();
        assert!(text.contains(case), "{text}");
    }
}
