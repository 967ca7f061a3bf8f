//! What is known of the real `@buape/carbon`, row by row: 0.14.0 and 0.16.0 do in real time what `tests/it/carbon_rows.rs` says,
//! and what the port of 0.14 does in virtual time (`tests/it/carbon_table.rs`).
//!
//! All rows of an interval are run by one gwtool, when the first of them is asked for. Those in which 0.14.0 crashes at 300 ms
//! always run; the others take minutes and are ignored unless they are asked for. `docs/carbon.md` has the commands, and what
//! came of many runs.

use crate::carbon_rows::{End, Ended, ROWS, Row, Z};
use crate::{folder, is_chosen, not_run};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::{env, fs};

/// The places of the two in `SUBJECTS`.
pub(crate) const PLACES: [usize; 2] = [0, 1];

const OLD: &str = "carbon-0.14.0";
const NEW: &str = "carbon-0.16.0";

/// How often a row that came out otherwise is run again, alone. A beat of 300 ms is not much for a program on a busy machine, and
/// gwtool notices its own delays only.
const REPEATS: u32 = 2;

/// The scenario of the catalogue that has the crash at any interval, where a reconnect takes longer than I. A third connection
/// without HELLO, to which 0.16.0 comes, is waited for by both for ever.
const ZOMBIE_RACE: Row = Row {
    schedule: "zombie-race",
    interval_ms: 300,
    carbon_0_14: (End::Died(Z), Some(2)),
    carbon_0_16: (End::Hangs, Some(3)),
};

/// The rows that will be run, as the arguments have it.
pub(crate) fn chosen(arguments: &Arguments) -> Vec<Row> {
    all()
        .filter(|row| is_chosen(arguments, &name(row), is_slow(row)))
        .collect()
}

/// A test for each row. `missing` says what the packages lack, if they do.
pub(crate) fn trials(chosen: &[Row], missing: Option<&str>) -> Vec<Trial> {
    let mut tables: BTreeMap<u64, Arc<Table>> = BTreeMap::new();
    all()
        .map(|row| {
            let table = tables.entry(row.interval_ms).or_insert_with(|| {
                let together = |other: &&Row| other.interval_ms == row.interval_ms;
                Arc::new(Table {
                    interval_ms: row.interval_ms,
                    schedules: (chosen.iter().filter(together))
                        .map(|row| row.schedule)
                        .collect(),
                    reports: OnceLock::new(),
                })
            });
            if let Some(why) = missing {
                return not_run(name(&row), why);
            }
            let (table, is_slow) = (Arc::clone(table), is_slow(&row));
            Trial::test(name(&row), move || table.check(&row))
                .with_kind(if is_slow { "takes minutes" } else { "" })
                .with_ignored_flag(is_slow)
        })
        .collect()
}

fn all() -> impl Iterator<Item = Row> {
    [ZOMBIE_RACE].into_iter().chain(ROWS.iter().copied())
}

fn name(row: &Row) -> String {
    format!("carbon-table::{}@{}", row.schedule, row.interval_ms)
}

fn is_slow(row: &Row) -> bool {
    row.interval_ms > 300 || !matches!(row.carbon_0_14.0, End::Died(_))
}

/// How often each row is run, each time with another seed.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no arguments: how far it goes is said in the environment"
)]
fn seeds() -> u64 {
    env::var("GWTOOL_CARBON_SEEDS").map_or(1, |text| {
        text.parse().expect("GWTOOL_CARBON_SEEDS is a number")
    })
}

/// The rows of one interval, run by one gwtool for each seed when the first test asks for them.
struct Table {
    interval_ms: u64,
    schedules: Vec<&'static str>,
    reports: OnceLock<Result<Vec<Value>, String>>,
}

impl Table {
    fn check(&self, row: &Row) -> Result<(), Failed> {
        let reports = self
            .reports
            .get_or_init(|| {
                let run = |seed| self.run(&self.schedules, seed, "together");
                (1..=seeds()).map(run).collect()
            })
            .as_ref()
            .map_err(String::as_str)?;
        for (seed, report) in (1..).zip(reports) {
            let mut wrong = wrong(row, report);
            for _ in 0..REPEATS {
                if wrong.is_none() {
                    break;
                }
                wrong = self::wrong(row, &self.run(&[row.schedule], seed, "alone")?);
            }
            if let Some(wrong) = wrong {
                return Err(format!("seed {seed}: {wrong}").into());
            }
        }
        Ok(())
    }

    fn run(&self, schedules: &[&str], seed: u64, how: &str) -> Result<Value, String> {
        let folder = folder();
        let results = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("carbon")
            .join(format!("{}ms-{seed}-{how}", self.interval_ms));
        fs::create_dir_all(&results)
            .map_err(|error| format!("no room for the results: {error}"))?;
        let json = results.join("report.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gwtool"));
        command
            .arg("chaos")
            .arg("--scenarios")
            .arg(folder.join("../it/carbon.toml"))
            .arg("--subjects")
            .arg(folder.join("carbon.toml"))
            .args(["--subject", OLD, "--subject", NEW]);
        for schedule in schedules {
            command.args(["--scenario", schedule]);
        }
        command
            .args(["--interval", &format!("{}ms", self.interval_ms)])
            .args(["--seed", &seed.to_string()])
            .args(["--jobs", "16", "--no-control"])
            .arg("--report")
            .arg(format!("json={}", json.display()))
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

/// What came out otherwise than the row says.
fn wrong(row: &Row, report: &Value) -> Option<String> {
    let wrong = |(subject, expected): (&str, Ended)| {
        let mut runs = report["runs"].as_array().into_iter().flatten();
        let run = runs.find(|run| run["subject"] == subject && run["scenario"] == row.schedule);
        let Some(run) = run else {
            return Some(format!("{subject} was not run"));
        };
        let is = if row.is_tie() && subject == OLD {
            // Which of the two is a question of milliseconds; one of them it is.
            is_end(run, End::Died(Z)) || is_end(run, End::Loops)
        } else {
            has_ended(run, expected)
        };
        let text = || serde_json::to_string_pretty(run).unwrap_or_default();
        (!is).then(|| format!("{subject}: expected {expected:?}, found\n{}", text()))
    };
    [(OLD, row.carbon_0_14), (NEW, row.carbon_0_16)]
        .into_iter()
        .find_map(wrong)
}

fn has_ended(run: &Value, (end, connections): Ended) -> bool {
    let seen = &run["counts"]["connections"];
    is_end(run, end) && connections.is_none_or(|connections| *seen == connections)
}

fn is_end(run: &Value, end: End) -> bool {
    let findings: Vec<&Value> = run["findings"].as_array().into_iter().flatten().collect();
    let failing = |id: &str| {
        let is_it = |finding: &&&Value| finding["id"] == id && finding["effect"] == "fails";
        findings.iter().find(is_it).copied()
    };
    match end {
        End::Died(words) => failing("died").is_some_and(|death| {
            let mut evidence = death["evidence"].as_array().into_iter().flatten();
            // As Node ends a program that lets an exception go uncaught.
            death["seen"] == format!("died: {words}") && evidence.any(|line| *line == "exit code 1")
        }),
        End::Sound => run["verdict"] == "conforms",
        End::Loops => failing("loop").is_some() && failing("died").is_none(),
        End::Hangs => failing("hung").is_some() && failing("died").is_none(),
        End::Resurrected => failing("resurrected").is_some() && failing("died").is_none(),
    }
}
