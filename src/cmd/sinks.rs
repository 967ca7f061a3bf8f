//! The files that `--report` names, opened before the run: a run of an hour is not to end in "permission denied".

use super::args::{ReportArg, ReportFormat};
use super::failure::Failure;
use crate::reports::{self, Report};
use crate::trace::{Clock, Entry, Header, Observer, Writer};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, LineWriter, Write};
use std::path::{Path, PathBuf};

/// Who runs what: by this a trace finds its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The scenario.
    pub scenario: String,
    /// The subject.
    pub subject: String,
}

/// Files that wait for their report.
#[derive(Debug)]
pub struct Sinks {
    documents: Vec<(ReportFormat, PathBuf, File)>,
    /// For each run the files that its trace goes to.
    traces: Vec<Vec<PathBuf>>,
}

impl Sinks {
    /// Opens every file that the arguments name for these runs, or says which one cannot be.
    pub fn open(args: &[ReportArg], runs: &[RunName]) -> Result<Self, Failure> {
        let mut sinks = Self {
            documents: Vec::new(),
            traces: vec![Vec::new(); runs.len()],
        };
        let mut taken = BTreeSet::new();
        for ReportArg { format, path } in args {
            if *format == ReportFormat::Trace {
                for (run, traces) in runs.iter().zip(&mut sinks.traces) {
                    let path = trace_path(path, run, runs.len())?;
                    create(&path, &mut taken)?;
                    traces.push(path);
                }
            } else {
                let file = create(path, &mut taken)?;
                sinks.documents.push((*format, path.clone(), file));
            }
        }
        Ok(sinks)
    }

    /// The files that the trace of one run goes to, by its place among the runs.
    pub fn traces(&self, run: usize) -> &[PathBuf] {
        &self.traces[run]
    }

    /// Writes the documents.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        for (format, path, mut file) in self.documents {
            let text = match format {
                ReportFormat::Json => reports::json::document(report),
                ReportFormat::Junit => {
                    reports::junit::document(report).map_err(|error| Failure::of(&error))?
                }
                ReportFormat::Trace => unreachable!("traces are written as the runs happen"),
            };
            file.write_all(text.as_bytes())
                .and_then(|()| file.flush())
                .map_err(|error| Failure::file("write the report", &path, &error))?;
        }
        Ok(())
    }
}

fn create(path: &Path, taken: &mut BTreeSet<PathBuf>) -> Result<File, Failure> {
    if !taken.insert(path.to_owned()) {
        return Err(Failure::new(format!(
            "two reports would go to the same file `{}`",
            path.display()
        ))
        .hint("give each its own path; `{scenario}` and `{subject}` in the path of a trace are filled in"));
    }
    File::create(path).map_err(|error| {
        let failure = Failure::file("open the report", path, &error);
        if error.kind() == io::ErrorKind::NotFound {
            failure.hint("the directory has to be there already")
        } else {
            failure
        }
    })
}

/// Where the trace of a run goes.
fn trace_path(path: &Path, run: &RunName, runs: usize) -> Result<PathBuf, Failure> {
    let plain = |name: &str| name.replace(['/', '\\'], "-");
    let (scenario, subject) = (plain(&run.scenario), plain(&run.subject));
    let text = path.to_string_lossy();
    if text.contains("{scenario}") || text.contains("{subject}") {
        let filled = text
            .replace("{scenario}", &scenario)
            .replace("{subject}", &subject);
        return Ok(filled.into());
    }
    if text.ends_with('/') {
        fs::create_dir_all(path)
            .map_err(|error| Failure::file("make the directory", path, &error))?;
    }
    if path.is_dir() {
        return Ok(path.join(format!("{scenario}--{subject}.ndjson")));
    }
    if runs == 1 {
        return Ok(path.to_owned());
    }
    Err(Failure::new(format!(
        "`--report trace={text}` names one file for {runs} runs"
    ))
    .hint("end the path in `/` for a directory, or write `{scenario}` (and `{subject}`) in it"))
}

/// Writes the trace of one run to a file as it happens.
pub struct TraceFile {
    path: PathBuf,
    writer: Option<Writer<Box<dyn Write>>>,
    failed: Option<io::Error>,
}

impl TraceFile {
    /// Will write there once the run begins.
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            writer: None,
            failed: None,
        }
    }

    /// Closes the file; the first error of the whole writing is told here.
    pub fn finish(self) -> Result<(), Failure> {
        let written = match (self.failed, self.writer) {
            (Some(error), _) => Err(error),
            (None, Some(writer)) => writer.finish().map(drop),
            (None, None) => Ok(()),
        };
        written.map_err(|error| Failure::file("write the trace", &self.path, &error))
    }
}

impl Observer for TraceFile {
    fn begin(&mut self, header: &Header) {
        let open = || {
            let file = File::create(&self.path)?;
            // In real time somebody may watch the file grow, or end us; in virtual time a run is over at once.
            let to: Box<dyn Write> = match header.clock {
                Clock::Real => Box::new(LineWriter::new(file)),
                Clock::Virtual => Box::new(BufWriter::new(file)),
            };
            Writer::new(to, header)
        };
        match open() {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => self.failed = Some(error),
        }
    }

    fn observe(&mut self, entry: &Entry) {
        if let Some(writer) = &mut self.writer {
            writer.observe(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scenario: &str) -> RunName {
        RunName {
            scenario: scenario.to_owned(),
            subject: "gwtool".to_owned(),
        }
    }

    fn to(format: ReportFormat, path: PathBuf) -> ReportArg {
        ReportArg { format, path }
    }

    fn message(result: Result<Sinks, Failure>) -> String {
        let failure = result.expect_err("the files cannot all be opened");
        anstream::adapter::strip_str(&failure.to_string()).to_string()
    }

    #[test]
    fn every_run_gets_a_trace_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let runs = [run("flap"), run("fatal-sweep/4004")];
        let trace = |path: PathBuf| to(ReportFormat::Trace, path);
        let names = |args: &[ReportArg]| -> Vec<String> {
            let sinks = Sinks::open(args, &runs).unwrap();
            (0..2)
                .map(|n| {
                    let name = sinks.traces(n)[0].strip_prefix(dir.path()).unwrap();
                    name.display().to_string()
                })
                .collect()
        };
        assert_eq!(
            names(&[trace(dir.path().to_owned())]),
            ["flap--gwtool.ndjson", "fatal-sweep-4004--gwtool.ndjson"]
        );
        assert_eq!(
            names(&[trace(dir.path().join("{scenario}.trace"))]),
            ["flap.trace", "fatal-sweep-4004.trace"]
        );
        assert_eq!(
            names(&[trace(dir.path().join("new/"))]),
            [
                "new/flap--gwtool.ndjson",
                "new/fatal-sweep-4004--gwtool.ndjson"
            ]
        );
    }

    #[test]
    fn one_file_for_many_traces_is_an_error_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let args = [to(ReportFormat::Trace, dir.path().join("one.ndjson"))];
        assert!(Sinks::open(&args, &[run("flap")]).is_ok());
        let text = message(Sinks::open(&args, &[run("flap"), run("calm")]));
        assert!(text.contains("names one file for 2 runs\nhint: "), "{text}");
    }

    #[test]
    fn two_reports_never_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        let args = [
            to(ReportFormat::Json, path.clone()),
            to(ReportFormat::Junit, path),
        ];
        let text = message(Sinks::open(&args, &[run("flap")]));
        assert!(
            text.contains("two reports would go to the same file"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_known_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let args = [to(ReportFormat::Json, dir.path().join("no/such/dir.json"))];
        let text = message(Sinks::open(&args, &[run("flap")]));
        assert!(
            text.starts_with("error: failed to open the report"),
            "{text}"
        );
        assert!(
            text.ends_with("hint: the directory has to be there already"),
            "{text}"
        );
    }
}
