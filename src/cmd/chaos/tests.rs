//! Arguments to plans and lines, and what becomes of control runs and exit codes. Nothing here starts a program.

use super::*;
use crate::cmd::{Cli, Command};
use crate::subjects::Subject;
use crate::subjects::program::{GRACE, Probe};
use crate::time::Span;
use clap::Parser as _;
use std::fs;
use std::path::Path;

fn parsed(words: &[&str]) -> Args {
    let words = ["gwtool", "chaos"].iter().chain(words);
    match Cli::try_parse_from(words)
        .expect("the words are arguments")
        .command
    {
        Command::Chaos(args) => *args,
        other => unreachable!("the words begin with `chaos`: {other:?}"),
    }
}

fn args(words: &str) -> Args {
    parsed(&words.split_whitespace().collect::<Vec<_>>())
}

const SHARED: Shared = Shared {
    verbose: 0,
    quiet: false,
    color: output::Color::Never,
};

fn plan(args: &Args) -> Plan {
    Plan::of(args, SHARED).unwrap_or_else(|failure| panic!("no plan: {failure}"))
}

/// Why the arguments make no plan: message and hint.
fn failure(words: &str) -> String {
    match Plan::of(&args(words), SHARED) {
        Ok(_) => panic!("`{words}` makes a plan"),
        Err(failure) => anstream::adapter::strip_str(&failure.to_string()).to_string(),
    }
}

/// The reproduce line of the first run that is no control run.
fn reproduced(args: &Args) -> String {
    let plan = plan(args);
    let job = plan.jobs.iter().find(|job| !job.is_control);
    job.expect("a run is planned").reproduce.clone()
}

fn line(words: &str) -> String {
    reproduced(&args(words))
}

#[test]
fn the_reproduce_line_carries_every_flag_that_changes_the_run() {
    assert_eq!(
        line("--scenario flap --subject carbon-0.14 --seed 24301 --jobs 2 --format json"),
        "gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed"
    );
    assert_eq!(
        line(
            "--scenario flap --seed 0x5eed --interval 500ms --time real --tls --timeout 2m --strict"
        ),
        "gwtool chaos --scenario flap --subject gwtool --seed 0x5eed --interval 500ms \
         --time real --timeout 2m --tls --strict"
    );
}

#[test]
fn the_reproduce_line_makes_the_same_plan_again() {
    let first = args("--scenario flap --interval 1234567ns --seed 7");
    let line = reproduced(&first);
    let again = args(line.trim_start_matches("gwtool chaos "));
    let (first, again) = (plan(&first), plan(&again));
    assert_eq!(first.jobs[0].plan.interval, again.jobs[0].plan.interval);
    assert_eq!(first.jobs[0].plan.seed, again.jobs[0].plan.seed);
    assert_eq!(first.jobs[0].plan.scenario, again.jobs[0].plan.scenario);
}

#[test]
fn the_interval_is_discords_in_virtual_time_and_short_in_real_time() {
    let of = |words: &str| plan(&args(words)).jobs[0].plan.interval;
    assert_eq!(of("--scenario flap"), Duration::from_millis(41_250));
    assert_eq!(of("--scenario flap --time real"), Duration::from_secs(2));
    assert_eq!(of("--scenario flap --interval 3s"), Duration::from_secs(3));
}

#[test]
fn every_scenario_meets_every_subject_once() {
    let args = args("--subject carbon-0.14 --subject gwtool --subject gwtool");
    let names = plan(&args).names();
    let subjects: Vec<&str> = names.iter().map(|name| &*name.subject).take(2).collect();
    assert_eq!(subjects, ["carbon-0.14", "gwtool"]);
    assert_eq!(names[0].scenario, names[1].scenario);
    assert_eq!(names.len() % 2, 0);
}

#[test]
fn a_seed_that_nobody_chose_is_drawn_anew() {
    let drawn: std::collections::BTreeSet<Seed> = (0..8)
        .map(|_| plan(&args("--scenario flap")).seed)
        .collect();
    assert!(drawn.len() > 1, "eight draws gave one seed: {drawn:?}");
    assert!(!plan(&args("--scenario flap --seed 1")).is_drawn);
}

/// A report of runs that our client made, after a change of each.
fn report(changes: &[fn(&mut Run)]) -> Report {
    let plan = plan(&args("--scenario control --seed 1"));
    let runs = changes.iter().map(|change| {
        let job = Job {
            planned: plan.jobs[0].clone(),
            traces: Vec::new(),
            gate: None,
        };
        let machine = runner::Machine::default();
        let mut run = execute(&job, None, false, &machine, &Interrupt::default()).run;
        change(&mut run);
        run
    });
    Report {
        runs: runs.collect(),
        planned: changes.len(),
        is_interrupted: false,
        is_under_way: false,
        is_strict: false,
        stale: Vec::new(),
        took: Duration::ZERO,
    }
}

fn conform(_: &mut Run) {}

fn set(run: &mut Run, verdict: Verdict) {
    let outcome = run.result.as_mut().expect("the run was made");
    outcome.judgement.verdict = verdict;
}

fn broken_off(run: &mut Run, ending: Ending) {
    set(run, Verdict::Inconclusive);
    run.result.as_mut().expect("the run was made").ending = ending;
}

fn control(run: &mut Run) {
    run.control = Some(Control::default());
}

#[test]
fn exit_codes_put_a_violation_before_all_but_the_users_own_end() {
    let inconclusive = |run: &mut Run| set(run, Verdict::Inconclusive);
    let failed = |run: &mut Run| run.result = Err("no port is free".to_owned());
    let violates = |run: &mut Run| set(run, Verdict::Violates);
    let not_judged = |run: &mut Run| set(run, Verdict::NotJudged);
    let code = |changes: &[fn(&mut Run)]| exit_code(&report(changes));
    assert_eq!(code(&[conform]), 0);
    assert_eq!(code(&[conform, not_judged]), 0);
    assert_eq!(code(&[conform, inconclusive]), 3);
    assert_eq!(code(&[conform, inconclusive, failed]), 2);
    assert_eq!(code(&[conform, inconclusive, failed, violates]), 1);
    assert_eq!(code(&[not_judged, not_judged]), 3);
    assert_eq!(code(&[control, not_judged]), 3, "nothing was tested yet");
    assert_eq!(code(&[control, conform]), 0);
    let interrupted = Report {
        is_interrupted: true,
        ..report(&[violates])
    };
    assert_eq!(exit_code(&interrupted), 130);
}

#[test]
fn what_is_no_longer_seen_fails_with_strict_only() {
    let mut report = report(&[conform]);
    report.stale.push(Stale {
        subject: "bot".to_owned(),
        scenario: "flap".to_owned(),
        finding: "died".to_owned(),
    });
    assert_eq!(exit_code(&report), 0);
    report.is_strict = true;
    assert_eq!(exit_code(&report), 1);
}

#[test]
fn a_control_run_opens_the_gate_unless_something_is_wrong() {
    let of = |change: fn(&mut Run)| closes(&report(&[change]).runs[0]);
    assert_eq!(of(control), None);
    assert_eq!(
        of(|run| set(run, Verdict::Inconclusive)).as_deref(),
        Some("the control run, without any fault, was inconclusive")
    );
    assert_eq!(
        of(|run| broken_off(run, Ending::Interrupted)).as_deref(),
        Some("the control run was interrupted")
    );
    assert_eq!(
        of(|run| broken_off(run, Ending::TimedOut)).as_deref(),
        Some("the control run was not over in time")
    );
    assert_eq!(
        of(|run| run.result = Err("no port is free".to_owned())).as_deref(),
        Some("the control run could not be made")
    );
    let violates = of(|run| {
        let carbon = args("--scenario zombie-race --subject carbon-0.14 --seed 1");
        let job = Job {
            planned: plan(&carbon).jobs[0].clone(),
            traces: Vec::new(),
            gate: None,
        };
        let machine = runner::Machine::default();
        *run = execute(&job, None, false, &machine, &Interrupt::default()).run;
    })
    .expect("the gate is closed");
    assert!(
        violates.starts_with("the control run, without any fault, violates (")
            && violates.contains("died"),
        "{violates}"
    );
}

/// What waits behind a closed gate is not run; behind an open one it is.
#[test]
fn nothing_is_run_behind_a_closed_gate() {
    let planned = plan(&args("--scenario flap --seed 1")).jobs[0].clone();
    let run = |word: Option<&str>| {
        let gate = Gate::default();
        gate.set(word.map(str::to_owned)).expect("it is new");
        let job = Job {
            planned: planned.clone(),
            traces: Vec::new(),
            gate: Some(gate),
        };
        let machine = runner::Machine::default();
        let run = execute(&job, None, false, &machine, &Interrupt::default()).run;
        run.result.expect("there is an outcome")
    };
    let closed = run(Some("the control run was bad"));
    assert_eq!(closed.judgement.verdict, Verdict::Inconclusive);
    assert_eq!(
        closed.judgement.reasons,
        ["not run: the control run was bad"]
    );
    assert_eq!(closed.ending, Ending::NotMade);
    assert_eq!(run(None).judgement.verdict, Verdict::Conforms);
}

#[test]
fn a_control_run_leaves_its_word_and_when_it_was_ready() {
    let mut planned = plan(&args("--scenario control --seed 1")).jobs[0].clone();
    planned.is_control = true;
    let gate = Gate::default();
    let job = Job {
        planned,
        traces: Vec::new(),
        gate: Some(Arc::clone(&gate)),
    };
    let machine = runner::Machine::default();
    let finished = execute(&job, None, false, &machine, &Interrupt::default());
    assert_eq!(gate.get(), Some(&None));
    let control = finished.run.control.expect("it is a control run");
    let ready = control.ready_after.expect("it was READY");
    assert!(
        ready > Duration::ZERO && ready < Duration::from_secs(10),
        "{ready:?}"
    );
}

/// A program that every machine has; it is not started here.
const COMMAND: &str = "-- sh -c true";

#[test]
fn a_program_is_controlled_first_and_everything_of_its_waits() {
    let plan = plan(&args(&format!(
        "--scenario flap --subject gwtool {COMMAND}"
    )));
    assert_eq!(plan.clock, Clock::Real);
    assert!(!plan.is_single());
    let told: Vec<(&str, String, bool, Option<usize>)> = plan
        .jobs
        .iter()
        .map(|job| {
            let name = &*job.plan.scenario.name;
            (
                name,
                job.plan.subject.to_string(),
                job.is_control,
                job.after,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("control", "sh true".to_owned(), true, None),
            ("flap", "gwtool".to_owned(), false, None),
            ("flap", "sh true".to_owned(), false, Some(0)),
        ]
    );
    assert_eq!(plan.jobs[0].plan.interval, Duration::from_secs(2));
}

#[test]
fn one_scenario_of_a_program_is_single_and_its_control_run_can_be_left_out() {
    let of = |words: &str| plan(&args(&format!("{words} {COMMAND}")));
    let with = of("--scenario flap");
    assert!(with.is_single());
    assert_eq!(with.jobs.len(), 2);
    let without = of("--scenario flap --no-control");
    assert_eq!((without.jobs.len(), without.jobs[0].after), (1, None));
    // Asked for by its name it is a run like any other.
    let named = of("--scenario control");
    assert_eq!((named.jobs.len(), named.jobs[0].is_control), (1, false));
    let both = of("--scenario control --scenario flap");
    assert_eq!(both.names().len(), 2);
}

#[test]
fn the_reproduce_line_of_a_program_ends_in_its_command() {
    assert_eq!(
        line(&format!("--scenario flap --seed 7 {COMMAND}")),
        "gwtool chaos --scenario flap --seed 0x7 -- sh -c true"
    );
    let all = [
        "--scenario",
        "flap",
        "--seed",
        "7",
        "--interval",
        "1s",
        "--name",
        "my bot",
        "--health",
        "curl -f localhost",
        "--health-every",
        "3s",
        "--health-within",
        "1500ms",
        "--grace",
        "9s",
        "--no-control",
        "--strict",
        "--",
        "sh",
        "-c",
        "exec it's",
    ];
    let line = reproduced(&parsed(&all));
    assert_eq!(
        line,
        "gwtool chaos --scenario flap --seed 0x7 --interval 1s --name 'my bot' \
         --health 'curl -f localhost' --health-every 3s --health-within 1.5s --grace 9s --strict \
         --no-control -- sh -c 'exec it'\\''s'"
    );
}

#[test]
fn flags_say_how_a_program_is_treated() {
    let program = |words: &[&str]| {
        let words = [words, &["--scenario", "flap", "--", "sh", "-c", "true"]].concat();
        let plan = plan(&parsed(&words));
        let program = plan.programs().next().expect("there is a program");
        (**program).clone()
    };
    let usual = program(&[]);
    assert_eq!((usual.grace, usual.health, usual.dir), (GRACE, None, None));
    let told = program(&[
        "--health",
        "http://127.0.0.1:1/",
        "--health-every",
        "3s",
        "--grace",
        "1s",
    ]);
    assert_eq!(told.grace, Duration::from_secs(1));
    let health = told.health.expect("it has one");
    assert_eq!(health.probe, Probe::Url("http://127.0.0.1:1/".to_owned()));
    assert_eq!(health.every, Span::fixed(Duration::from_secs(3)));
    assert_eq!(health.within, Duration::from_secs(5));
}

#[test]
fn flags_of_a_program_need_one() {
    for words in [
        "--health x",
        "--grace 1s",
        "--name x",
        "--health-every 1s -- sh",
    ] {
        let words = ["gwtool", "chaos"].into_iter().chain(words.split(' '));
        let told = Cli::try_parse_from(words).expect_err("something is missing");
        assert_eq!(told.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }
}

#[test]
fn a_program_has_no_virtual_time() {
    assert_eq!(
        failure(&format!("--scenario flap --time virtual {COMMAND}")),
        "error: a program runs in real time, found `--time virtual`\n\
         hint: leave it out: gwtool cannot move a program's clock"
    );
    assert_eq!(
        plan(&args(&format!("--time real {COMMAND}"))).clock,
        Clock::Real
    );
}

#[test]
fn a_program_that_is_not_there_is_known_before_anything_runs() {
    let hint = format!("\nhint: {START_HINT}");
    let told = |words: &str| failure(&format!("--scenario flap -- {words}"));
    assert_eq!(
        told("no-such-program-anywhere"),
        format!(
            "error: failed to start `no-such-program-anywhere`: there is no such program on PATH{hint}"
        )
    );
    assert_eq!(
        told("/no/such/program"),
        format!(
            "error: failed to start `/no/such/program`: No such file or directory (os error 2){hint}"
        )
    );
    assert_eq!(
        told("/"),
        format!("error: failed to start `/`: it is no file{hint}")
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script");
    fs::write(&file, "no program").unwrap();
    let shown = file.display();
    assert_eq!(
        told(&file.display().to_string()),
        format!("error: failed to start `{shown}`: it may not be executed{hint}")
    );
}

/// A subject file of two programs in a directory of its own.
fn roster(dir: &Path) -> String {
    let file = dir.join("subjects.toml");
    let text = "[one]\ncommand = [\"sh\"]\n[two]\ncommand = [\"sh\"]\ngrace = \"9s\"\n";
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_subject_file_is_run_whole_or_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = roster(dir.path());
    let subjects = |words: &str| -> Vec<String> {
        let words = format!("--scenario flap --subjects {file} {words}");
        let plan = plan(&args(&words));
        plan.subjects.iter().map(Subject::to_string).collect()
    };
    assert_eq!(subjects(""), ["one", "two"]);
    assert_eq!(
        subjects("--subject two --subject gwtool"),
        ["two", "gwtool"]
    );
    assert_eq!(subjects("--name three -- sh"), ["one", "two", "three"]);
    assert_eq!(subjects("--subject gwtool -- sh"), ["gwtool", "sh"]);
    assert_eq!(
        line(&format!(
            "--scenario flap --seed 7 --subjects {file} --subject two"
        )),
        format!("gwtool chaos --scenario flap --subjects {file} --subject two --seed 0x7")
    );
    assert_eq!(
        failure(&format!("--subjects {file} --subject tvo")),
        "error: no subject named `tvo`\nhint: did you mean `two`?"
    );
    assert_eq!(
        failure(&format!("--subjects {file} --name two -- sh")),
        "error: two subjects are named `two`\nhint: give the program another name with `--name`"
    );
    assert_eq!(
        failure("--subject somebody"),
        "error: no subject named `somebody`\nhint: there are `gwtool`, `classic`, \
         `carbon-0.14`, `carbon-0.14-mended`, `zoo`, and those with one defect each (`gwtool subjects`); programs \
         stand behind `--` or in a file (`--subjects`)"
    );
    assert_eq!(
        failure("--subject defect:no-ack-chek"),
        "error: no subject named `defect:no-ack-chek`\nhint: did you mean `defect:no-ack-check`?"
    );
}

#[test]
fn the_zoo_is_every_client_with_a_defect_once() {
    let args = args("--subject zoo --subject defect:D04 --subject gwtool --scenario flap");
    let subjects: Vec<String> = plan(&args)
        .subjects
        .iter()
        .map(Subject::to_string)
        .collect();
    let zoo = Name::zoo().map(|name| name.to_string());
    let all: Vec<String> = zoo.chain(["gwtool".to_owned()]).collect();
    assert_eq!(subjects, all);
}

#[test]
fn a_subject_file_that_is_wrong_or_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("subjects.toml");
    fs::write(&file, "[one]\ncomand = [\"sh\"]\n").unwrap();
    let text = failure(&format!("--subjects {}", file.display()));
    assert!(
        text.contains("unknown key `comand`") && text.contains("subjects.toml:2:1"),
        "{text}"
    );
    let text = failure("--subjects no/such/file.toml");
    assert!(
        text.starts_with("error: failed to read the subject file `no/such/file.toml`"),
        "{text}"
    );
    fs::write(&file, "[one]\ncommand = [\"sh\"]\ndir = \"missing\"\n").unwrap();
    let text = failure(&format!("--subjects {}", file.display()));
    assert!(
        text.starts_with("error: failed to start `sh`: `") && text.contains("is no directory"),
        "{text}"
    );
}

/// Programs cannot be run here; the rest of the way of an acceptance is the same for any subject's runs.
#[test]
fn an_acceptance_that_no_run_needed_is_told_with_its_subject() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("subjects.toml");
    let accepted = |scenario: &str| {
        format!(
            "[[one.accepted]]\nscenario = \"{scenario}\"\nfinding = \"died\"\nreason = \"r\"\nlink = \"https://a.test\"\n"
        )
    };
    let text = format!(
        "[one]\ncommand = [\"sh\"]\n{}{}",
        accepted("flap"),
        accepted("calm-day")
    );
    let own = dir.path().join("own.toml");
    fs::write(&own, "[calm-day]\nsummary = \"x\"\n").unwrap();
    fs::write(&file, text).unwrap();
    let plan = plan(&args(&format!(
        "--scenario flap --scenarios {} --subjects {}",
        own.display(),
        file.display()
    )));
    let mut runs = report(&[conform]).runs;
    runs[0].scenario = "flap".to_owned();
    runs[0].subject = "one".to_owned();
    assert_eq!(
        stale(&plan, &runs),
        [Stale {
            subject: "one".to_owned(),
            scenario: "flap".to_owned(),
            finding: "died".to_owned(),
        }]
    );
    runs[0].subject = "two".to_owned();
    assert!(stale(&plan, &runs).is_empty());
}
