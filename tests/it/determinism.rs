//! The same seed gives the same bytes: across processes, across threads, whatever runs beside it.

use crate::runs::{for_seeds, name, plan, run_before};
use assert_cmd::Command;
use gwtool::scenarios::{Scenario, catalogue};
use gwtool::seed::Seed;
use gwtool::subjects::{Name, Subject};
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

/// Whether a subject has what a scenario needs: without it there is no run, and no trace.
fn is_for(scenario: &Scenario, subject: Name) -> bool {
    let mut needs = scenario.needs.iter();
    needs.all(|need| Subject::from(subject).can(*need))
}

#[track_caller]
fn two_processes_agree(subject: Name, seeds: u64) {
    let all = catalogue::shipped(Clock::Virtual);
    let by_seed = for_seeds(seeds, |seed| {
        let (one, four) = (traces(subject, seed, "1"), traces(subject, seed, "4"));
        assert_eq!(one.len(), all.len(), "every scenario leaves a trace");
        assert!(one.keys().eq(four.keys()), "seed {seed}");
        for (name, bytes) in &one {
            let is_its = |it: &&Scenario| {
                *name == format!("{}--{subject}.ndjson", it.name.replace('/', "-"))
            };
            let scenario = all.iter().find(is_its);
            let is_run = scenario.is_none_or(|scenario| is_for(scenario, subject));
            assert_eq!(bytes.is_empty(), !is_run, "{name}, seed {seed}");
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
    let subjects = [
        Name::Gwtool,
        Name::Classic,
        Name::Carbon,
        Name::CarbonMended,
    ];
    let plans = all.iter().flat_map(|scenario| {
        let its = subjects.into_iter().filter(|name| is_for(scenario, *name));
        its.map(|name| plan(scenario, name, seed))
    });
    plans
        .map(|plan| {
            let mut hashed = Hashed(None);
            run_before(&plan, &mut [&mut hashed]);
            let written = hashed.0.expect("the run was made").finish();
            (
                name(&plan),
                written.expect("a hash takes every byte").0.finish(),
            )
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
