//! `gwtool selftest`: that it finds nothing wrong with gwtool, and that it would.

use crate::runs::{failing, plan, run};
use assert_cmd::Command;
use gwtool::net::Interrupt;
use gwtool::protocol::Compression;
use gwtool::scenarios::catalogue;
use gwtool::scenarios::runner::Machine;
use gwtool::seed::Seed;
use gwtool::selftest::{self, FURTHER, Problem, Ran};
use gwtool::subjects::Name;
use gwtool::subjects::zoo::Defect;
use gwtool::trace::Clock;
use std::sync::OnceLock;

const SEED: Seed = Seed(0x5eed);

/// Every run of a self-test, made once.
fn runs() -> &'static [Ran] {
    static RUNS: OnceLock<Vec<Ran>> = OnceLock::new();
    RUNS.get_or_init(|| {
        let (machine, stop) = (Machine::default(), Interrupt::default());
        let mut jobs = selftest::jobs(SEED);
        let mut runs = Vec::new();
        for further in 1..=FURTHER + 1 {
            let made = jobs.iter().map(|job| job.run(&machine, &stop));
            let made: Result<Vec<Ran>, _> = made.collect();
            runs.extend(made.expect("virtual time needs nothing that could fail"));
            jobs = selftest::more_jobs(SEED.plus(further), &runs);
            if jobs.is_empty() {
                break;
            }
        }
        runs
    })
}

/// What is found wrong where some runs were otherwise.
fn problems(change: impl Fn(&mut Ran)) -> Vec<String> {
    let mut runs = runs().to_vec();
    runs.iter_mut().for_each(change);
    let problems = selftest::conclude(SEED, &runs).problems.into_iter();
    problems.map(|Problem { what, .. }| what).collect()
}

fn subject(name: &str) -> Name {
    name.parse().expect("there is such a subject")
}

#[test]
fn nothing_is_wrong() {
    let problems = problems(|_| {});
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Its findings are those of its control: none.
#[test]
fn a_defect_that_is_killed_nowhere_is_found_wrong() {
    let blind = subject("defect:no-ack-check");
    let problems = problems(|run| {
        if run.subject == blind {
            run.found.clear();
        }
    });
    let expected = "defect:no-ack-check is not killed in one-missed-ack, half-open-blackhole, stall-and-dead-link: \
                    none of its runs there has a finding that carries hang and that gwtool lacks, nor anywhere else";
    assert!(problems.iter().any(|it| it == expected), "{problems:#?}");
}

/// A finding that the control has as well is not the defect's doing.
#[test]
fn a_finding_that_the_control_has_too_kills_nobody() {
    let died = subject("defect:bad-frame-kills");
    let problems = problems(|run| {
        if run.subject == died.control() && run.scenario.base() == "bad-frames" {
            let effect = gwtool::oracle::Effect::Note;
            run.found.insert("died".to_owned(), effect);
        }
    });
    let is_told =
        |it: &String| it.starts_with("defect:bad-frame-kills is not killed in bad-frames");
    assert!(problems.iter().any(is_told), "{problems:#?}");
}

/// What a defect does elsewhere than said is no proof that it is found where it is said to be.
#[test]
fn a_scenario_that_kills_nobody_is_found_wrong() {
    let problems = problems(|run| {
        if run.scenario.base() == "flap" {
            run.found.clear();
        }
    });
    assert_eq!(
        problems,
        ["flap kills no defect: whatever it is about, nobody would miss it"]
    );
}

/// Whoever is double is found by other signs as well: that this one is never told would not show by who is killed.
#[test]
fn an_outcome_that_is_never_told_is_found_wrong() {
    let problems = problems(|run| {
        run.found.remove("double");
    });
    assert_eq!(
        problems,
        [
            "`double` is told of no defect and in no edited recording: it may never be told of anybody"
        ]
    );
}

#[test]
fn a_sound_client_that_fails_is_found_wrong() {
    let problems = problems(|run| {
        if run.subject == Name::Classic && run.scenario.name == "flap" {
            run.verdict = gwtool::oracle::Verdict::Violates;
            let effect = gwtool::oracle::Effect::Fails;
            run.found.insert("early".to_owned(), effect);
        }
    });
    assert_eq!(problems[0], "classic is sound and violates in flap: early");
}

#[test]
fn a_seed_with_other_bytes_the_second_time_is_found_wrong() {
    let problems = problems(|run| {
        if run.scenario.name == "flap" && run.subject == Name::Gwtool {
            run.is_same_again = Some(false);
        }
    });
    assert_eq!(
        problems,
        ["gwtool in flap: the same seed twice, and other bytes"]
    );
}

#[test]
fn an_optional_fault_that_strikes_nobody_is_found_wrong() {
    let problems = problems(|run| {
        if run.scenario.name == "ack-on-the-boundary" {
            run.struck.remove(&0);
        }
    });
    assert_eq!(
        problems,
        ["fault 1 of ack-on-the-boundary is optional and struck no subject"]
    );
}

#[test]
fn the_binary_says_who_was_killed_and_where() {
    let run = Command::new(env!("CARGO_BIN_EXE_gwtool"))
        .args(["selftest", "--seed", "0x5eed", "--color", "never"])
        .assert()
        .success();
    let text = String::from_utf8_lossy(&run.get_output().stdout);
    let killed = text.lines().filter(|line| line.contains("  killed  "));
    assert_eq!(killed.count(), Defect::all().count());
    assert!(
        text.contains("\nD29 bad-frame-kills  killed  bad-frames (died)"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert!(text.trim_end().ends_with("gwtool is sound"), "{text}");
}

/// A perturbation reads what is compressed as its client does.
#[test]
fn a_defect_around_our_client_shows_whatever_is_compressed() {
    let all = catalogue::shipped(Clock::Virtual);
    let found = |name: &str, compress: Compression, subject: Name| {
        let scenario = all.iter().find(|scenario| scenario.name == name);
        let mut scenario = scenario.expect("it is shipped").clone();
        scenario.settings.compress = compress;
        let outcome = run(&plan(&scenario, subject, 1));
        failing(&outcome).join(" ")
    };
    for compress in Compression::ALL {
        for (name, defect, expected) in [
            (
                "op9-false-mid-session",
                "op9-false-keeps-session",
                "resume/R7",
            ),
            ("one-missed-ack", "no-ack-check", "heartbeat/H6 hung"),
            ("op9-false-to-resume", "resume-url-forever", "resume/R7"),
            ("null-seq-traps", "seq-clobbered", "resume/R3"),
        ] {
            let told = found(name, compress, subject(&format!("defect:{defect}")));
            assert!(
                told.contains(expected),
                "{defect} with {compress:?}: {told}"
            );
            assert_eq!(
                found(name, compress, Name::Gwtool),
                "",
                "{name} with {compress:?}"
            );
        }
    }
}
