//! The report for CI: JUnit XML, as most services read it.
//!
//! A run that violates is a failure; one that is inconclusive or could not be made is an error; one in which there was nothing
//! to judge is left out, so that it is not counted as passed.

use super::escape::escape;
use super::{Report, Run, ago, plural, rules, verdict};
use crate::oracle::{Effect, Judgement, Verdict};
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
    document.add_test_suites(suites);
    document.to_string()
}

fn case(run: &Run, is_strict: bool) -> Option<TestCase> {
    let status = match &run.result {
        Err(why) => non_success(NonSuccessKind::Error, "error", why, String::new()),
        Ok(outcome) => {
            let judgement = &outcome.judgement;
            match verdict(judgement, is_strict) {
                Verdict::NotJudged => return None,
                Verdict::Conforms => TestCaseStatus::success(),
                Verdict::Inconclusive => {
                    let why = judgement.reasons.join("; ");
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
    let fails = |effect| effect == Effect::Fails || (is_strict && effect == Effect::Shown);
    let (mut ids, mut text) = (Vec::new(), String::new());
    for found in judgement
        .findings
        .iter()
        .filter(|found| fails(found.effect))
    {
        if !ids.contains(&found.id.as_str()) {
            ids.push(&found.id);
        }
        let _ = writeln!(
            text,
            "{} at {}: {}; expected {}",
            escape(&found.id),
            found.at,
            escape(&found.seen),
            escape(&found.expected)
        );
    }
    (ids.join(", "), text)
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
                    <failure message="resume/R4, died" type="violates">resume/R4 at 12.400s: sent IDENTIFY on #3; expected RESUME: session `s1` was resumable (seq 41, closed 4000)
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
}
