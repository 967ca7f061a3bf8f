//! The same seed gives the same bytes: across processes, across threads, whatever runs beside it.

use crate::runs::{for_seeds, name, plan, run_before};
use assert_cmd::Command;
use gwtool::protocol::Compression;
use gwtool::scenarios::catalogue;
use gwtool::seed::Seed;
use gwtool::subjects::Name;
use gwtool::trace::{Clock, Entry, Header, Observer, Writer};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write};
use std::path::Path;
use tempfile::tempdir;

/// The traces that one process writes: file name → bytes.
fn traces(subject: Name, seed: u64, jobs: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = tempdir().expect("a directory for the traces");
    let report = format!("trace={}/", dir.path().display());
    let seed = Seed(seed).to_string();
    // Whether the subject conforms is another test's claim; a crash of ours would be neither 0 nor 1.
    Command::new(env!("CARGO_BIN_EXE_gwtool"))
        .args(["chaos", "-q", "--seed", &seed, "--jobs", jobs])
        .args(["--subject", subject.as_str(), "--report", &report])
        .assert()
        .code(vec![0, 1]);
    read(dir.path())
}

fn read(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).expect("the traces are there");
    files
        .map(|file| {
            let file = file.expect("the directory can be read");
            let name = file.file_name().to_string_lossy().into_owned();
            (name, fs::read(file.path()).expect("a trace can be read"))
        })
        .collect()
}

#[track_caller]
fn two_processes_agree(subject: Name, seeds: u64) {
    let scenarios = catalogue::shipped(Clock::Virtual).len();
    let by_seed = for_seeds(seeds, |seed| {
        let (one, four) = (traces(subject, seed, "1"), traces(subject, seed, "4"));
        assert_eq!(one.len(), scenarios, "every scenario leaves a trace");
        assert!(one.keys().eq(four.keys()), "seed {seed}");
        for (name, bytes) in &one {
            // What a subject cannot be asked for leaves a file without a run in it; ours can do everything.
            let is_empty_for_a_reason = subject != Name::Gwtool && is_beyond_carbon(name);
            assert_eq!(
                bytes.is_empty(),
                is_empty_for_a_reason,
                "{name}, seed {seed}"
            );
            assert!(
                *bytes == four[name],
                "{name} differs between two processes, seed {seed}: {}",
                first_difference(bytes, &four[name])
            );
        }
        one
    });
    // Runs that do not depend on their seed at all would agree as well.
    assert!(
        by_seed.windows(2).all(|pair| pair[0] != pair[1]),
        "two seeds give the same"
    );
}

/// Whether a trace is of a scenario with compression or several shards, which Carbon knows nothing of.
fn is_beyond_carbon(trace: &str) -> bool {
    let scenarios = catalogue::shipped(Clock::Virtual);
    scenarios.iter().any(|scenario| {
        let file = format!("{}--", scenario.name.replace('/', "-"));
        let settings = scenario.settings;
        trace.starts_with(&file) && (settings.compress != Compression::None || settings.shards > 1)
    })
}

/// The first line in which two traces differ.
fn first_difference(one: &[u8], other: &[u8]) -> String {
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (lines(one), lines(other));
    let same = (one.iter().zip(&other)).take_while(|(a, b)| a == b).count();
    let at = |lines: &[String]| lines.get(same).cloned().unwrap_or_default();
    format!("line {}:\n{}\n{}", same + 1, at(&one), at(&other))
}

#[test]
fn a_seed_gives_the_same_bytes_in_every_process_and_with_any_jobs() {
    two_processes_agree(Name::Gwtool, 50);
}

#[test]
fn so_it_does_with_a_subject_that_crashes_and_loops() {
    two_processes_agree(Name::Carbon, 8);
}

/// Hashes a trace as it would be written.
struct Hashed(Option<Writer<Hash>>);

struct Hash(DefaultHasher);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Observer for Hashed {
    fn begin(&mut self, header: &Header) {
        let to = Hash(DefaultHasher::new());
        self.0 = Some(Writer::new(to, header).expect("a hash takes every byte"));
    }

    fn observe(&mut self, entry: &Entry) {
        let writer = self.0.as_mut().expect("the header comes first");
        writer.observe(entry);
    }
}

/// The hash of every run of a seed, scenarios in the order of the catalogue or the other way round.
fn hashes(seed: u64, is_reversed: bool) -> BTreeMap<String, u64> {
    let mut all = catalogue::shipped(Clock::Virtual);
    if is_reversed {
        all.reverse();
    }
    let subjects = [Name::Gwtool, Name::Carbon, Name::CarbonMended];
    let plans = (all.iter()).flat_map(|scenario| subjects.map(|name| plan(scenario, name, seed)));
    plans
        .filter_map(|plan| {
            let mut hashed = Hashed(None);
            run_before(&plan, &mut [&mut hashed]);
            // Not begun, where the subject cannot do what it needs.
            let written = hashed.0?.finish();
            Some((
                name(&plan),
                written.expect("a hash takes every byte").0.finish(),
            ))
        })
        .collect()
}

#[test]
fn a_run_is_the_same_on_any_thread_and_after_any_other_run() {
    // The first half of the runs is on one thread, the second on another, the other way round.
    let seeds = 4;
    let runs = for_seeds(2 * seeds, |run| hashes(run % seeds, run >= seeds));
    let (forwards, backwards) = runs.split_at(runs.len() / 2);
    for (one, other) in forwards.iter().zip(backwards) {
        assert_eq!(one, other);
    }
    assert!(
        forwards
            .windows(2)
            .all(|pair| pair[0].values().ne(pair[1].values())),
        "two seeds give the same"
    );
}
