//! The binary as users run it: exit code, stdout and stderr.

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, pipe};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;
use tempfile::tempdir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gwtool");

/// No test waits for it: it ends what would hang for ever.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a command came to.
pub(crate) struct Came {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs gwtool with arguments that are separated by spaces.
fn gwtool(arguments: &str) -> Came {
    gwtool_with(&arguments.split_whitespace().collect::<Vec<_>>(), &[])
}

pub(crate) fn gwtool_with(arguments: &[&str], environment: &[(&str, &str)]) -> Came {
    let output = Command::new(BINARY)
        .args(arguments)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("DISCORD_TOKEN")
        .timeout(PATIENCE)
        .envs(environment.iter().copied())
        .output()
        .expect("the binary starts");
    Came {
        code: output.status.code().expect("the binary exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

impl Came {
    /// A usage error: exit 2, nothing on stdout, this on stderr.
    #[track_caller]
    fn is_error(&self, texts: &[&str]) {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "an error is talk, not a result");
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "no `{text}` in: {}",
                self.stderr
            );
        }
    }

    #[track_caller]
    pub(crate) fn is(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("stdout is one JSON value")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

const OWN: &str = r#"
[calm-day]
summary = "Nothing happens"
traffic = { every = "0.1I" }
chaos   = "2I"
"#;

mod usage {
    use super::*;

    #[test]
    fn an_unknown_scenario_is_answered_with_the_likely_one() {
        gwtool("chaos --scenario flapp").is_error(&["`flapp`", "hint: ", "`flap`"]);
    }

    #[test]
    fn a_wrong_duration_is_answered_with_right_ones() {
        let hint = "hint: write `250ms`";
        gwtool("chaos --interval soon").is_error(&["found `soon`", hint]);
        gwtool("chaos --interval 41").is_error(&["`41` has no unit", hint]);
        gwtool("chaos --timeout 3lightyears").is_error(&["unknown unit `lightyears`", hint]);
        gwtool("connect --for 1I").is_error(&["expected a plain duration, found `1I`"]);
    }

    #[test]
    fn an_interval_is_above_zero_and_within_reason() {
        gwtool("chaos --interval -5s").is_error(&["a duration cannot be negative: `-5s`"]);
        gwtool("chaos --interval 0s").is_error(&["expected a duration above zero, found `0s`"]);
        gwtool("chaos --interval 1h").is_error(&["expected an interval from 1ms to 10m"]);
    }

    #[test]
    fn unknown_flags_subjects_and_commands_are_named() {
        gwtool("chaos --frobnicate").is_error(&["--frobnicate"]);
        gwtool("chaos --subject carbon-0.41").is_error(&["carbon-0.41", "carbon-0.14"]);
        gwtool("hunt").is_error(&["hunt"]);
        gwtool("chaos --seed soon").is_error(&["expected a number from 0 to 2^64-1"]);
        gwtool("chaos --jobs 0").is_error(&["--jobs"]);
        gwtool("chaos --time imaginary").is_error(&["imaginary", "virtual"]);
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        gwtool("chaos --replay x --seed 1").is_error(&["--replay", "--seed"]);
        gwtool("chaos --scenario flap --time virtual -- sh").is_error(&["real time", "hint: "]);
        gwtool("chaos --grace 1s").is_error(&["<CMD>"]);
        gwtool("chaos -v -q").is_error(&["--verbose", "--quiet"]);
        gwtool("connect ws://localhost:1 --discord").is_error(&["--discord"]);
        gwtool("connect --send-token").is_error(&["URL"]);
        gwtool("chaos --tls").is_error(&["`--tls` needs real time", "hint: add `--time real`"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_no_verdict() {
        let came = gwtool("chaos --scenario flap -- no-such-program-anywhere --flag");
        came.is_error(&["failed to start `no-such-program-anywhere`", "hint: "]);
    }

    #[test]
    fn help_and_version_are_results() {
        for arguments in ["--help", "--version", "chaos --help", "connect --help"] {
            let came = gwtool(arguments);
            came.is(0);
            assert!(!came.stdout.is_empty() && came.stderr.is_empty());
        }
    }

    #[test]
    fn a_token_that_is_missing_is_asked_for_and_never_shown() {
        gwtool("connect --discord").is_error(&["`DISCORD_TOKEN`", "hint: ", "`--probe`"]);
        let token = [("DISCORD_TOKEN", "canary.canary.canary")];
        let came = gwtool_with(&["connect", "--frobnicate"], &token);
        assert!(!came.stderr.contains("canary"));
    }
}

mod files {
    use super::*;

    #[test]
    fn a_scenario_file_that_is_missing_is_named() {
        let came = gwtool("chaos --scenarios no/such/file.toml");
        came.is_error(&[
            "failed to read the scenario file `no/such/file.toml`",
            "hint: ",
        ]);
    }

    #[test]
    fn a_mistake_in_a_subject_file_is_told_with_its_place() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("subjects.toml");
        fs::write(&file, "[bot]\ncommand = [\"sh\"]\ngrase = \"5s\"\n").unwrap();
        let came = gwtool(&format!("chaos --subjects {}", text(&file)));
        came.is_error(&["unknown key `grase`", "subjects.toml:3:1", "`grace`"]);
        gwtool("chaos --subjects no/such/file.toml").is_error(&[
            "failed to read the subject file `no/such/file.toml`",
            "hint: ",
        ]);
    }

    #[test]
    fn a_binary_scenario_file_is_no_text() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("binary.toml");
        fs::write(&file, b"[a]\n\xff\xfe\x00").unwrap();
        for command in ["scenarios check", "chaos --scenarios"] {
            let came = gwtool(&format!("{command} {}", text(&file)));
            came.is_error(&["expected UTF-8 text", "at offset 4", "hint: "]);
        }
    }

    /// Each mistake with where it is and how to mend it.
    #[test]
    fn a_mistake_in_a_scenario_is_told_with_its_place_and_a_hint() {
        const FAULT: &str = "[a]\nsummary = \"x\"\n[[a.fault]]\n";
        const LINES: &str = "[a]\nsummary = \"x\"\n";
        let cases = [
            (
                LINES,
                "choas = \"2I\"",
                3,
                1,
                "unknown key `choas`",
                "did you mean `chaos`?",
            ),
            (
                LINES,
                "chaos = \"3ly\"",
                3,
                9,
                "unknown unit `ly`",
                "write `250ms`",
            ),
            (LINES, "chaos = \"3\"", 3, 9, "has no unit", "write `250ms`"),
            (
                LINES,
                "interval = \"-5s\"",
                3,
                12,
                "cannot be negative",
                "write `250ms`",
            ),
            (
                FAULT,
                "at = \"1I\"\ndo = \"blakchole\"",
                5,
                6,
                "unknown fault",
                "did you mean `blackhole`?",
            ),
            (
                FAULT,
                "on = \"hartbeat\"\ndo = \"reset\"",
                4,
                6,
                "unknown trigger",
                "did you mean `heartbeat`?",
            ),
            (
                FAULT,
                "at = \"1I\"\non = \"ready\"\ndo = \"reset\"",
                5,
                1,
                "two triggers",
                "keep one of them",
            ),
            (
                FAULT,
                "at = \"2I..1I\"\ndo = \"reset\"",
                4,
                6,
                "end before it begins",
                "write `250ms`",
            ),
        ];
        let dir = tempdir().unwrap();
        let file = dir.path().join("own.toml");
        for (before, rest, line, column, what, hint) in cases {
            fs::write(&file, format!("{before}{rest}\n")).unwrap();
            for command in ["scenarios check", "chaos --seed 1 --scenarios"] {
                let came = gwtool(&format!("{command} {}", text(&file)));
                let place = format!("own.toml:{line}:{column}\n");
                came.is_error(&[&place, what, "hint: ", hint]);
            }
        }
    }

    #[test]
    fn text_of_a_scenario_file_does_not_act_on_the_terminal() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("own.toml");
        fs::write(&file, "[\"a\\u001b[2J\"]\nsummary = \"\\u001b[31m\"\n").unwrap();
        let came = gwtool(&format!("scenarios check {}", text(&file)));
        came.is_error(&["is no name for a scenario"]);
        assert!(!came.stderr.contains('\x1b'), "{:?}", came.stderr);
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("long.toml");
        fs::write(&file, "# and so on\n".repeat(30_000)).unwrap();
        let too_long = ["expected a scenario file of at most 256 KiB", "hint: "];
        gwtool(&format!("scenarios check {}", text(&file))).is_error(&too_long);
        #[cfg(target_os = "linux")]
        gwtool("scenarios check /dev/zero").is_error(&too_long);
    }

    #[test]
    fn a_directory_is_no_file() {
        let dir = tempdir().unwrap();
        for command in ["scenarios check", "chaos --scenarios", "chaos --replay"] {
            let came = gwtool(&format!("{command} {}", text(dir.path())));
            came.is_error(&["failed to read", "hint: "]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_report_to_a_full_disk_is_an_error() {
        for format in ["json", "junit", "markdown", "trace"] {
            let came = gwtool(&format!(
                "chaos --scenario flap --seed 1 -q --report {format}=/dev/full"
            ));
            assert_eq!(came.code, 2, "{}{}", came.stdout, came.stderr);
            assert!(
                came.stderr.starts_with("error: failed to write "),
                "{}",
                came.stderr
            );
        }
    }

    /// No part of a run takes the token of the environment, and no report could show it.
    #[test]
    fn no_report_holds_the_token_of_the_environment() {
        let dir = tempdir().unwrap();
        let token = [("DISCORD_TOKEN", "canary.canary.canary")];
        let report = |format: &str| format!("{format}={}", text(&dir.path().join(format)));
        let (json, junit, trace) = (report("json"), report("junit"), report("trace"));
        let came = gwtool_with(
            &[
                "chaos",
                "--scenario",
                "flap",
                "--seed",
                "1",
                "-vvv",
                "--report",
                &json,
                "--report",
                &junit,
                "--report",
                &trace,
            ],
            &token,
        );
        let mut texts = vec![came.is(0).stdout.clone(), came.stderr.clone()];
        for format in ["json", "junit", "trace"] {
            texts.push(fs::read_to_string(dir.path().join(format)).unwrap());
        }
        for text in texts {
            assert!(!text.contains("canary"), "{text}");
        }
        let trace = fs::read_to_string(dir.path().join("trace")).unwrap();
        assert!(
            trace.contains("<token>"),
            "IDENTIFY is in it, and its token is not"
        );
    }

    #[test]
    fn a_report_that_cannot_be_written_is_known_before_the_run() {
        let dir = tempdir().unwrap();
        let missing = dir.path().join("missing/report.json");
        let came = gwtool(&format!(
            "chaos --scenario flap --seed 1 --report json={}",
            text(&missing)
        ));
        came.is_error(&["failed to open the report", "hint: "]);
        let came = gwtool(&format!(
            "chaos --scenario flap --seed 1 --report junit={}",
            text(dir.path())
        ));
        came.is_error(&["failed to open the report"]);
    }

    #[test]
    fn a_report_in_no_known_format_is_refused() {
        gwtool("chaos --report yaml=x").is_error(&["unknown report format `yaml`", "hint: "]);
        gwtool("chaos --report json").is_error(&["expected FORMAT=PATH"]);
    }

    #[test]
    fn what_is_no_trace_cannot_be_replayed() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("trace.ndjson");
        fs::write(&file, "hello\n").unwrap();
        let came = gwtool(&format!("chaos --replay {}", text(&file)));
        came.is_error(&["line 1 is no trace header", "hint: "]);
        gwtool("chaos --replay no/such/trace").is_error(&["failed to open the trace"]);
    }
}

mod streams {
    use super::*;

    /// Runs with a stdout whose reader is gone already, so that the first write fails.
    fn with_closed_stdout(arguments: &[&str]) -> std::process::Output {
        let (reader, writer) = pipe().expect("there are pipes");
        drop(reader);
        Process::new(BINARY)
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary starts")
    }

    #[test]
    fn a_closed_stdout_ends_quietly() {
        for arguments in [
            &["scenarios", "list"][..],
            &["rules"],
            &["completions", "bash"],
            &["--help"],
            &["chaos", "--scenario", "flap", "--seed", "1"],
            &["chaos", "--seed", "1", "--tag", "network"],
            &[
                "chaos",
                "--scenario",
                "flap",
                "--seed",
                "1",
                "--format",
                "json",
            ],
        ] {
            let output = with_closed_stdout(arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
            assert_eq!(stderr, "", "{arguments:?}");
        }
    }

    #[test]
    fn a_closed_stdout_does_not_lose_the_report() {
        let dir = tempdir().unwrap();
        let report = format!("json={}", text(&dir.path().join("report.json")));
        let chaos = [
            "chaos",
            "--scenario",
            "flap",
            "--seed",
            "1",
            "--report",
            &report,
        ];
        assert_eq!(with_closed_stdout(&chaos).status.code(), Some(0));
        let written = fs::read_to_string(dir.path().join("report.json")).unwrap();
        assert!(serde_json::from_str::<Value>(&written).is_ok(), "{written}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it");
        let output = Process::new(BINARY)
            .args(["scenarios", "list"])
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with("error: failed to write to stdout: "),
            "{stderr}"
        );
    }

    #[test]
    fn colour_is_there_when_asked_for_and_says_nothing_by_itself() {
        let plain = gwtool("chaos --scenario flap --seed 1 --color never");
        let piped = gwtool("chaos --scenario flap --seed 1");
        let coloured = gwtool("chaos --scenario flap --seed 1 --color always");
        assert!(!plain.stdout.contains('\x1b'));
        assert_eq!(plain.stdout, piped.stdout);
        assert!(coloured.stdout.contains("\x1b["));
        assert_eq!(strip(&coloured.stdout), plain.stdout);
    }

    #[test]
    fn no_color_is_honoured() {
        let arguments = ["scenarios", "list"];
        let forced = gwtool_with(&arguments, &[("CLICOLOR_FORCE", "1")]);
        assert!(
            forced.stdout.contains('\x1b'),
            "colour can be forced at all"
        );
        let silent = gwtool_with(&arguments, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
        assert!(!silent.stdout.contains('\x1b'));
    }

    /// The text without its colours.
    fn strip(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let mut plain = parts.next().unwrap_or("").to_owned();
        for part in parts {
            plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
        }
        plain
    }
}

mod lists {
    use super::*;

    #[test]
    fn completions_are_made_for_every_shell() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let came = gwtool(&format!("completions {shell}"));
            came.is(0);
            assert!(came.stdout.contains("subject"), "{shell} knows the flags");
        }
        for shell in ["bash", "fish", "zsh"] {
            let script = gwtool(&format!("completions {shell}")).stdout;
            assert!(script.contains("carbon-0.14"), "{shell} knows the subjects");
        }
        gwtool("completions tcsh").is_error(&["tcsh", "bash"]);
    }

    #[test]
    fn rules_are_listed_and_shown() {
        let list = gwtool("rules");
        assert_eq!(list.is(0).stdout, gwtool("rules list").is(0).stdout);
        assert!(list.stdout.contains("heartbeat/H1"));
        let rules = gwtool("rules --format json").is(0).json();
        let count = rules.as_array().unwrap().len();
        assert_eq!(count, list.stdout.lines().count());
        let by_id = gwtool("rules show heartbeat/H1");
        assert!(by_id.is(0).stdout.starts_with("heartbeat/H1  "));
        assert_eq!(by_id.stdout, gwtool("rules show h1").is(0).stdout);
        assert_eq!(rules[0]["version"], 1);
        let shown = by_id.stdout.as_str();
        for line in [
            "why: ",
            "broken: ",
            "hint: ",
            "source: ",
            "judged: ",
            "exercised: in ",
        ] {
            assert!(shown.contains(&format!("\n{line}")), "{line} in {shown}");
        }
        // It is exercised wherever a heartbeat is sent, and never where the client stops before one.
        assert!(
            shown.contains(" flap") && !shown.contains(" fatal-on-connect"),
            "{shown}"
        );
        assert!(
            shown.lines().skip(2).all(|line| line.len() <= 120),
            "{shown}"
        );
        gwtool("rules show heartbeat/H99").is_error(&["`heartbeat/H99`", "hint: did you mean"]);
        gwtool("rules show something-else").is_error(&["`something-else`", "hint: ids look like"]);
        let died = gwtool("rules show died");
        assert!(
            died.is(0).stdout.starts_with("died  an outcome\n"),
            "{}",
            died.stdout
        );
        let codes = gwtool("rules show close_codes");
        assert!(
            codes.is(0).stdout.contains("an expectation"),
            "{}",
            codes.stdout
        );
    }

    #[test]
    fn what_was_exercised_is_told_when_more_is_asked_for() {
        let run = "chaos --scenario zombie-race --scenario flap --seed 1";
        let told = gwtool(&format!("{run} -v"));
        let text = &told.is(0).stdout;
        assert!(!gwtool(run).stdout.contains("strikes by state"));
        let begun = text.find("strikes by state").expect("the table is there");
        let table: Vec<&str> = text[begun..].lines().collect();
        assert!(
            table.iter().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        let row = |name: &str| table.iter().find(|line| line.starts_with(name)).copied();
        assert!(row("blackhole").is_some() && row("stall").is_some() && row("close").is_none());
        assert!(
            text.contains(" of 60 rules were exercised; not: connect/"),
            "{text}"
        );
        let json = gwtool(&format!("{run} --format json")).is(0).json();
        let exercised = json["coverage"]["rules"].as_object().expect("a map").len();
        assert!(
            text.contains(&format!("\n{exercised} of 60 rules")),
            "{text}"
        );
        let h6 = &json["coverage"]["rules"]["heartbeat/H6"];
        let states = h6["states"].as_array().expect("a list");
        assert!(states.contains(&"unacked".into()), "{h6}");
    }

    #[test]
    fn scenarios_are_listed_shown_and_described() {
        let list = gwtool("scenarios");
        assert_eq!(list.is(0).stdout, gwtool("scenarios list").is(0).stdout);
        let all = gwtool("scenarios list --format json").is(0).json();
        let names: Vec<&str> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert!(
            names.contains(&"flap") && names.contains(&"zombie-race"),
            "{names:?}"
        );
        assert_eq!(list.stdout.lines().count(), names.len());
        let source = gwtool("scenarios show flap").is(0).stdout.clone();
        assert!(
            source.contains("\n[flap]\n") && !source.contains("[zombie-race]"),
            "the scenario with its comments and nothing else: {source}"
        );
        gwtool("scenarios show flapp").is_error(&["`flapp`", "hint: "]);
        let schema = gwtool("scenarios schema").is(0).json();
        assert!(schema["$schema"].is_string());
    }

    #[test]
    fn a_scenario_file_is_checked() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("own.toml");
        fs::write(&file, OWN).unwrap();
        let came = gwtool(&format!("scenarios check {}", text(&file)));
        assert!(
            came.is(0)
                .stdout
                .ends_with("own.toml: 1 scenario, no problem\n")
        );
        fs::write(&file, "[flap]\nsummary = \"taken\"\n").unwrap();
        let taken = gwtool(&format!("scenarios check {}", text(&file)));
        taken.is_error(&["`flap`"]);
        fs::write(&file, "summary =\n").unwrap();
        let broken = gwtool(&format!("scenarios check {}", text(&file)));
        assert_eq!(broken.is(2).stdout, "");
        assert!(broken.stderr.contains("own.toml"), "{}", broken.stderr);
    }

    #[test]
    fn own_scenarios_join_the_catalogue() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("own.toml");
        fs::write(&file, OWN).unwrap();
        let own = gwtool(&format!("scenarios --scenarios {}", text(&file)));
        let shipped = gwtool("scenarios");
        let more = own.is(0).stdout.lines().count() - shipped.is(0).stdout.lines().count();
        assert_eq!(more, 1);
    }
}

mod chaos {
    use super::*;

    #[test]
    fn one_scenario_is_a_timeline_and_a_verdict() {
        let came = gwtool("chaos --scenario flap --seed 0x5eed");
        let out = &came.is(0).stdout;
        assert!(out.starts_with("flap  subject gwtool  seed 0x5eed  I 41.25s  virtual time\n"));
        for text in [
            "── chaos ",
            "READY",
            "fault struck: ",
            "\nconforms\n",
            "watched ",
            "kept\n",
        ] {
            assert!(out.contains(text), "no `{text}` in: {out}");
        }
        assert!(!out.contains("reproduce: "), "nothing failed: {out}");
    }

    #[test]
    fn a_failure_ends_with_the_line_that_reproduces_it() {
        let came = gwtool("chaos --scenario zombie-race --subject carbon-0.14 --seed 0x5eed");
        let out = &came.is(1).stdout;
        assert!(
            out.contains("\nviolates\n") && out.contains("died"),
            "{out}"
        );
        let last = out.lines().last().unwrap();
        assert_eq!(
            last,
            "reproduce: gwtool chaos --scenario zombie-race --subject carbon-0.14 --seed 0x5eed"
        );
        let again = gwtool(last.trim_start_matches("reproduce: gwtool "));
        assert_eq!(again.stdout, came.stdout);
    }

    #[test]
    fn a_seed_that_was_drawn_is_printed_and_makes_the_same_run() {
        let drawn = gwtool("chaos --scenario flap");
        let heading = drawn.is(0).stdout.lines().next().unwrap();
        let seed = heading
            .split("seed ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let seed = seed.expect("the heading has the seed");
        let again = gwtool(&format!("chaos --scenario flap --seed {seed}"));
        assert_eq!(again.stdout, drawn.stdout);
    }

    #[test]
    fn many_runs_are_a_table_in_the_order_of_the_catalogue() {
        let names = gwtool("scenarios list --format json").json();
        let names: Vec<&str> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let came = gwtool("chaos --seed 1 --format json --jobs 4");
        let report = came.json();
        assert_eq!(report["schema"], "gwtool-report/1");
        assert_eq!(report["is_complete"], true);
        let runs = report["runs"].as_array().unwrap();
        let run_names: Vec<&str> = runs
            .iter()
            .map(|run| run["scenario"].as_str().unwrap())
            .collect();
        assert_eq!(run_names, names);
        assert_eq!(report["totals"]["planned"], names.len());
    }

    #[test]
    fn traces_are_the_same_bytes_with_any_number_of_jobs() {
        let dir = tempdir().unwrap();
        for jobs in [1, 4] {
            let path = dir.path().join(format!("{jobs}/"));
            gwtool(&format!(
                "chaos --seed 7 --tag network --jobs {jobs} -q --report trace={}/",
                text(&path)
            ));
        }
        let mut compared = 0;
        for entry in fs::read_dir(dir.path().join("1")).unwrap() {
            let one = entry.unwrap().path();
            let four = dir.path().join("4").join(one.file_name().unwrap());
            assert_eq!(fs::read(&one).unwrap(), fs::read(&four).unwrap(), "{one:?}");
            compared += 1;
        }
        assert!(compared > 0);
    }

    #[test]
    fn a_trace_is_replayed_to_the_same_bytes() {
        let dir = tempdir().unwrap();
        let (first, second) = (dir.path().join("1.ndjson"), dir.path().join("2.ndjson"));
        let to = |path: &Path| format!("--report trace={}", text(path));
        gwtool(&format!("chaos --scenario flap --seed 3 {}", to(&first))).is(0);
        let replay = format!("chaos --replay {} {}", text(&first), to(&second));
        gwtool(&replay).is(0);
        let (first, second) = (fs::read(first).unwrap(), fs::read(second).unwrap());
        assert!(!first.is_empty());
        assert_eq!(first, second);
    }

    #[test]
    fn reports_go_to_their_files() {
        let dir = tempdir().unwrap();
        let path = |name: &str| text(&dir.path().join(name)).to_owned();
        let came = gwtool(&format!(
            "chaos --scenario flap --subject gwtool --subject carbon-0.14 --seed 1 \
             --report json={} --report junit={} --report trace={}",
            path("r.json"),
            path("r.xml"),
            path("{scenario}.{subject}.ndjson")
        ));
        assert!(came.stdout.contains("2 runs: "), "{}", came.stdout);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(serde_json::from_str::<Value>(&read("r.json")).is_ok());
        assert!(read("r.xml").starts_with("<?xml"));
        for name in ["flap.gwtool.ndjson", "flap.carbon-0.14.ndjson"] {
            assert!(read(name).starts_with("{\"gwtool_trace\":1"), "{name}");
            assert!(
                read(name).ends_with("{\"end\":{\"is_complete\":true}}}\n"),
                "{name}"
            );
        }
    }

    #[test]
    fn the_command_that_is_proposed_for_a_defect_shows_it() {
        let came = gwtool("subjects");
        let listed = &came.is(0).stdout;
        let defects = listed.lines().filter_map(|line| line.split(' ').next());
        let defects: Vec<&str> = defects.filter(|name| name.starts_with("defect:")).collect();
        assert!(!defects.is_empty(), "{listed}");
        for defect in defects {
            let came = gwtool(&format!("subjects show {defect}"));
            let shown = &came.is(0).stdout;
            let proposed = shown.lines().find_map(|line| line.strip_prefix("try:"));
            let proposed = proposed.unwrap_or_else(|| panic!("nothing to try in: {shown}"));
            let words = proposed.trim_start().strip_prefix("gwtool ");
            let words = words.unwrap_or_else(|| panic!("no command in: {proposed}"));
            gwtool(&format!("{words} --seed 1")).is(1);
        }
    }

    #[test]
    fn several_subjects_are_a_matrix_and_a_document_of_it() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("matrix.md");
        let words = "chaos --scenario zombie-race --scenario flap --subject gwtool --subject carbon-0.14 --seed 1";
        let came = gwtool(&format!("{words} --report markdown={}", text(&file)));
        let out = &came.is(1).stdout;
        let heading = "scenario     gwtool    carbon-0.14\n";
        assert!(out.contains(heading), "{out}");
        let reproduce =
            "reproduce: gwtool chaos --scenario zombie-race --subject carbon-0.14 --seed 0x1\n";
        assert!(out.contains(reproduce), "{out}");
        let document = fs::read_to_string(&file).unwrap();
        for line in [
            "| scenario | gwtool | carbon-0.14 |",
            "## carbon-0.14",
            "gwtool chaos --scenario zombie-race --subject carbon-0.14 --seed 0x1",
        ] {
            assert!(document.contains(line), "no `{line}` in: {document}");
        }
        gwtool(&format!(
            "{words} --report markdown={} --jobs 1",
            text(&file)
        ))
        .is(1);
        assert_eq!(fs::read_to_string(&file).unwrap(), document);
    }

    #[test]
    fn the_scenario_in_which_nothing_happens_can_be_asked_for() {
        let came = gwtool("chaos --scenario control --seed 1");
        assert!(
            came.is(0).stdout.contains("\nconforms\n"),
            "{}",
            came.stdout
        );
        let dir = tempdir().unwrap();
        let file = dir.path().join("own.toml");
        fs::write(&file, "[control]\nsummary = \"taken\"\n").unwrap();
        gwtool(&format!("chaos --scenarios {}", text(&file))).is_error(&["`control`", "hint: "]);
    }

    #[test]
    fn fail_fast_ends_at_the_first_failure() {
        let arguments = "chaos --seed 1 --subject carbon-0.14 --format json";
        let all = gwtool(arguments).is(1).json();
        let fast = gwtool(&format!("{arguments} --fail-fast --jobs 4"))
            .is(1)
            .json();
        let is_failed = |run: &Value| run["verdict"] == "violates";
        let first = all["runs"].as_array().unwrap().iter().position(is_failed);
        let runs = fast["runs"].as_array().unwrap();
        assert_eq!(runs.len(), first.expect("the subject fails") + 1);
        assert!(is_failed(runs.last().unwrap()));
    }

    #[test]
    fn json_on_stdout_is_the_whole_of_it() {
        let came = gwtool("chaos --scenario flap --format json");
        assert_eq!(came.is(0).json()["runs"].as_array().unwrap().len(), 1);
        assert!(
            came.stderr.starts_with("seed 0x"),
            "a drawn seed is told: {}",
            came.stderr
        );
    }

    /// A process that is not left behind, whatever becomes of the test.
    struct Running(std::process::Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Waits until something is so.
    #[expect(clippy::disallowed_methods, reason = "another process writes files")]
    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !is_so() {
            assert!(std::time::Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One run is over at once and the next takes an hour: what was seen is on disk before the user ends it, and afterwards.
    #[cfg(unix)]
    #[test]
    fn documents_are_there_while_runs_go_on_and_say_that_they_are_not_complete() {
        let dir = tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(
            path("own.toml"),
            "[first]\nsummary = \"x\"\nchaos = \"0s\"\n[second]\nsummary = \"x\"\nchaos = \"1h\"\n",
        )
        .unwrap();
        let report = |format: &str| format!("--report={format}={}", text(&path(format)));
        let gwtool = Process::new(BINARY)
            .args([
                "chaos",
                "--time",
                "real",
                "--interval",
                "300ms",
                "--jobs",
                "1",
            ])
            .args(["--seed", "1", "--scenario", "first", "--scenario", "second"])
            .args(["--scenarios", text(&path("own.toml"))])
            .args([report("json"), report("junit"), report("markdown")])
            .arg(format!("--report=trace={}/{{scenario}}", text(dir.path())))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut gwtool = Running(gwtool);
        let written = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
        let document =
            || -> Value { serde_json::from_str(&written("json")).expect("the document is whole") };
        // The three are written one after the other.
        until("all documents", || {
            written("markdown").contains("1 of 2 runs were made")
        });
        until("the second run", || written("second").contains('\n'));
        let meanwhile = document();
        assert_eq!(meanwhile["is_complete"], false);
        assert_eq!(meanwhile["totals"]["conforms"], 1, "{meanwhile:#}");
        assert_eq!(meanwhile["totals"]["not_run"], 1);
        let missing = "<error message=\"1 run not made\" type=\"not complete\"/>";
        assert!(written("junit").contains(missing), "{}", written("junit"));
        assert!(written("markdown").contains("**Not complete**: 1 of 2 runs were made."));

        let sent = Process::new("kill")
            .args(["-INT", &gwtool.0.id().to_string()])
            .status()
            .expect("there is a `kill`");
        assert!(sent.success());
        let mut out = String::new();
        let mut stdout = gwtool.0.stdout.take().expect("stdout is piped");
        stdout.read_to_string(&mut out).expect("stdout is text");
        assert_eq!(gwtool.0.wait().unwrap().code(), Some(130), "{out}");
        assert!(out.contains("not complete: interrupted after "), "{out}");
        let last = document();
        assert_eq!(last["is_complete"], false);
        assert_eq!(last["runs"][0]["is_complete"], true);
        assert_eq!(last["runs"][1]["is_complete"], false);
        assert!(written("junit").contains("not complete: interrupted after "));
        assert!(written("markdown").contains("- not complete: interrupted"));
    }

    /// In real time the run takes many seconds: the signal comes while it is under way.
    #[cfg(unix)]
    #[test]
    fn ctrl_c_ends_it_with_its_reports_written() {
        use std::io::{BufRead as _, BufReader};

        let dir = tempdir().unwrap();
        let report = dir.path().join("report.json");
        let mut gwtool = Process::new(BINARY)
            .args([
                "chaos",
                "--scenario",
                "flap",
                "--seed",
                "1",
                "--time",
                "real",
            ])
            .arg(format!("--report=json={}", text(&report)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut heading = String::new();
        let mut stdout = BufReader::new(gwtool.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut heading).expect("the heading is text");
        let sent = Process::new("kill")
            .args(["-INT", &gwtool.id().to_string()])
            .status()
            .expect("there is a `kill`");
        assert!(sent.success());
        assert_eq!(gwtool.wait().unwrap().code(), Some(130), "after: {heading}");
        let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!(report["is_complete"], false);
        assert_eq!(report["totals"]["inconclusive"], 1, "{report:#}");
    }
}
