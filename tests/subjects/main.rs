//! Real bots under test: nine telling scenarios against each of the five in this folder, through the real binary; and what is known
//! of the two carbon versions, row by row (`carbon.rs`).
//!
//! The bots are installed first (`install`, which is quick when nothing has changed) and then run side by side by one gwtool; each
//! cell of the matrix is a test. A bot whose runtime is missing is listed as ignored, with the reason; where `CI` is set it fails,
//! since nothing was proved. `README.md` beside this file has the command for the whole matrix.

mod carbon;
#[path = "../it/carbon_rows.rs"]
mod carbon_rows;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};
use std::{env, fs};

/// Each bot: its folder, which is what `install` knows it by, and its name in `subjects.toml`.
const SUBJECTS: [(&str, &str); 5] = [
    ("carbon-0.14", "carbon-0.14.0"),
    ("carbon-0.16", "carbon-0.16.0"),
    ("discord.js-14", "discord.js-14"),
    ("discord.py-2.7", "discord.py-2.7"),
    ("twilight-0.18", "twilight-0.18"),
];

/// What is found in each cell: the ids of what fails, or would if it were not accepted.
const CELLS: [(&str, [&[&str]; 5]); 9] = [
    // One missed ACK, and a gateway that is well: the first half of the bug that gwtool was made for.
    (
        "ack-lost-then-drop",
        [&["early", "loop"], &[], &[], &[], &[]],
    ),
    // All of it: with a HELLO that never comes carbon 0.14 throws; two others wait for it for ever.
    (
        "zombie-race",
        [&["died", "early"], &["hung"], &[], &[], &["hung"]],
    ),
    ("flap", [&["early", "loop"], &[], &[], &[], &[]]),
    ("op9-false-to-resume", [&[], &[], &[], &["resume/R7"], &[]]),
    (
        "open-close-storm/after-identify-1006",
        [
            &["identify/I5"],
            &["identify/I5"],
            &[],
            &["resume/R3", "resumes"],
            &[],
        ],
    ),
    ("fatal-sweep/4004", [&["died"], &[], &[], &[], &[]]),
    // What only a process can show: a token in its output, and what a stop of the clock does to it.
    ("token-canary", [&["died"], &[], &[], &["resume/R7"], &[]]),
    (
        "stall-and-dead-link",
        [&["early", "loop"], &[], &[], &[], &[]],
    ),
    ("blocked-handler", [&[], &[], &[], &[], &[]]),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait for one gwtool, and then look at what it wrote.
    arguments.test_threads = Some(1);
    let chosen: Vec<usize> = (0..SUBJECTS.len())
        .filter(|place| {
            CELLS.iter().any(|(scenario, _)| {
                is_chosen(&arguments, &test_name(SUBJECTS[*place].1, scenario), false)
            })
        })
        .collect();
    let rows = carbon::chosen(&arguments);
    let mut wanted = chosen.clone();
    if !rows.is_empty() {
        wanted.extend(carbon::PLACES);
    }
    let missing: BTreeMap<usize, String> = wanted
        .iter()
        .filter_map(|place| Some((*place, install(SUBJECTS[*place].0).err()?)))
        .collect();
    let ready: Vec<&'static str> = chosen
        .iter()
        .filter(|place| !missing.contains_key(place))
        .map(|place| SUBJECTS[*place].1)
        .collect();
    let matrix = Arc::new(Matrix {
        subjects: ready,
        report: OnceLock::new(),
    });

    let mut trials = Vec::new();
    for place in chosen {
        let (_, subject) = SUBJECTS[place];
        for (scenario, cells) in CELLS {
            let name = test_name(subject, scenario);
            if let Some(why) = missing.get(&place) {
                trials.push(not_run(name, why));
                continue;
            }
            let (matrix, expected) = (Arc::clone(&matrix), cells[place]);
            let check = move || matrix.check(subject, scenario, expected);
            trials.push(Trial::test(name, check));
        }
    }
    let why = carbon::PLACES.iter().find_map(|place| missing.get(place));
    trials.extend(carbon::trials(&rows, why.map(String::as_str)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether the arguments ask for a test.
fn is_chosen(arguments: &Arguments, name: &str, is_ignored: bool) -> bool {
    let is_it = |words: &String| {
        if arguments.exact {
            name == words
        } else {
            name.contains(words.as_str())
        }
    };
    let runs = if arguments.ignored {
        is_ignored
    } else {
        !is_ignored || arguments.include_ignored || arguments.list
    };
    runs && arguments.filter.as_ref().is_none_or(is_it) && !arguments.skip.iter().any(is_it)
}

/// A test of a bot whose runtime is missing: it proves nothing, whoever asks for it.
fn not_run(name: String, why: &str) -> Trial {
    let failed = Failed::from(why);
    Trial::test(name, || Err(failed))
        .with_kind(why)
        .with_ignored_flag(!is_ci())
}

fn test_name(subject: &str, scenario: &str) -> String {
    format!("{subject}::{scenario}")
}

fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/subjects")
}

/// Installs a bot, or says why it could not be.
fn install(name: &str) -> Result<(), String> {
    let installed = Command::new(folder().join("install"))
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: not installed: {error}"))?;
    if installed.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&installed.stderr);
    Err(said.lines().last().unwrap_or("not installed").to_owned())
}

/// All runs, made by one gwtool when the first test asks for them.
struct Matrix {
    subjects: Vec<&'static str>,
    report: OnceLock<Result<Value, String>>,
}

impl Matrix {
    fn check(&self, subject: &str, scenario: &str, expected: &[&str]) -> Result<(), Failed> {
        let report = self
            .report
            .get_or_init(|| self.run())
            .as_ref()
            .map_err(String::as_str)?;
        let mut runs = report["runs"].as_array().into_iter().flatten();
        let run = runs
            .find(|run| run["subject"] == subject && run["scenario"] == scenario)
            .ok_or("it was not run")?;
        let findings: Vec<&Value> = run["findings"].as_array().into_iter().flatten().collect();
        let mut found: Vec<&str> = findings
            .iter()
            .filter(|finding| finding["effect"] == "fails")
            .filter_map(|finding| finding["id"].as_str())
            .collect();
        found.sort_unstable();
        found.dedup();
        let verdict = &run["verdict"];
        if found == expected && verdict == "conforms" {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(run).unwrap_or_default();
        Err(format!("{verdict}, with {found:?}; expected {expected:?}, all of it accepted in subjects.toml\n{text}").into())
    }

    fn run(&self) -> Result<Value, String> {
        let folder = folder();
        let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("subjects");
        fs::create_dir_all(&results)
            .map_err(|error| format!("no room for the results: {error}"))?;
        let json = results.join("report.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gwtool"));
        command
            .arg("chaos")
            .arg("--subjects")
            .arg(folder.join("subjects.toml"));
        for subject in &self.subjects {
            command.args(["--subject", subject]);
        }
        for (scenario, _) in CELLS {
            command.args(["--scenario", scenario]);
        }
        command.args(["--interval", "2s", "--seed", "1", "--jobs", "45"]);
        command
            .arg("--report")
            .arg(format!("json={}", json.display()));
        command
            .arg("--report")
            .arg(format!("trace={}/", results.display()));
        let output = command
            .env_remove("DISCORD_TOKEN")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("gwtool does not start: {error}"))?;
        let text = fs::read_to_string(&json).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("gwtool wrote no report ({error}) and said: {said}")
        })
    }
}
