//! The files that `--report` names, opened before the run: a run of an hour is not to end in "permission denied".

use super::args::{ReportArg, ReportFormat};
use super::failure::Failure;
use crate::reports::{self, Report};
use crate::trace::{Clock, Entry, Header, Observer, Writer};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, LineWriter, Seek as _, Write};
use std::path::{Path, PathBuf};

/// Who runs what: by this a trace finds its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// Whether it is made before others only to see that the subject is well: one file for one run is not meant for it.
    pub is_control: bool,
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
        let asked_for = runs.iter().filter(|run| !run.is_control).count();
        for ReportArg { format, path } in args {
            if *format == ReportFormat::Trace {
                for (run, traces) in runs.iter().zip(&mut sinks.traces) {
                    if let Some(path) = trace_path(path, run, asked_for)? {
                        create(&path, &mut taken)?;
                        traces.push(path);
                    }
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

    /// Whether there is any document to write.
    pub fn have_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// Writes the documents; one that cannot be written keeps no other from it, and the first failure is told.
    pub fn write(&mut self, report: &Report) -> Result<(), Failure> {
        let mut written = Ok(());
        for (format, path, file) in &mut self.documents {
            let one = text(*format, report).and_then(|text| {
                overwrite(file, path, &text)
                    .map_err(|error| Failure::file("write the report", path, &error))
            });
            written = written.and(one);
        }
        written
    }

    /// Writes what is known so far, so that it is there whatever ends us. What cannot be written now is told at the end.
    pub fn write_interim(&mut self, report: &Report) {
        for (format, path, file) in &mut self.documents {
            // What is no regular file, such as a pipe, takes only one document.
            let is_regular = file.metadata().is_ok_and(|file| file.is_file());
            if let (true, Ok(text)) = (is_regular, text(*format, report)) {
                let _ = overwrite(file, path, &text);
            }
        }
    }
}

fn text(format: ReportFormat, report: &Report) -> Result<String, Failure> {
    Ok(match format {
        ReportFormat::Json => reports::json::document(report),
        ReportFormat::Junit => {
            reports::junit::document(report).map_err(|error| Failure::of(&error))?
        }
        ReportFormat::Markdown => reports::markdown::document(report),
        ReportFormat::Trace => unreachable!("traces are written as the runs happen"),
    })
}

/// Puts a text in the place of what the file holds. Where there is something to lose, the new text is written beside it and
/// takes its place at once, so that nobody ever finds half of it.
fn overwrite(file: &mut File, path: &Path, text: &str) -> io::Result<()> {
    if file
        .metadata()
        .is_ok_and(|file| file.is_file() && file.len() > 0)
    {
        // A link stays one.
        let path = fs::canonicalize(path)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let replaced = File::create_new(&beside).and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            fs::rename(&beside, &path)?;
            *file = new;
            Ok(())
        });
        if replaced.is_ok() {
            return Ok(());
        }
        // The directory may be closed to us though the file is not.
        let _ = fs::remove_file(&beside);
        file.rewind()?;
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())?;
    file.flush()
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

/// Where the trace of a run goes, if it goes anywhere; `runs` are asked for, control runs not counted.
fn trace_path(path: &Path, run: &RunName, runs: usize) -> Result<Option<PathBuf>, Failure> {
    let plain = |name: &str| name.replace(['/', '\\'], "-");
    let (scenario, subject) = (plain(&run.scenario), plain(&run.subject));
    let text = path.to_string_lossy();
    if text.contains("{scenario}") || text.contains("{subject}") {
        let filled = text
            .replace("{scenario}", &scenario)
            .replace("{subject}", &subject);
        return Ok(Some(filled.into()));
    }
    if text.ends_with('/') {
        fs::create_dir_all(path)
            .map_err(|error| Failure::file("make the directory", path, &error))?;
    }
    if path.is_dir() {
        return Ok(Some(path.join(format!("{scenario}--{subject}.ndjson"))));
    }
    if runs == 1 {
        return Ok((!run.is_control).then(|| path.to_owned()));
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
            is_control: false,
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

    #[test]
    fn a_control_run_takes_no_file_that_is_meant_for_one_run() {
        let dir = tempfile::tempdir().unwrap();
        let control = RunName {
            is_control: true,
            ..run("control")
        };
        let runs = [control, run("flap")];
        let one = dir.path().join("one.ndjson");
        let sinks = Sinks::open(&[to(ReportFormat::Trace, one.clone())], &runs).unwrap();
        assert!(sinks.traces(0).is_empty());
        assert_eq!(sinks.traces(1), [one]);
        let all = [to(ReportFormat::Trace, dir.path().to_owned())];
        let sinks = Sinks::open(&all, &runs).unwrap();
        assert!(sinks.traces(0)[0].ends_with("control--gwtool.ndjson"));
    }

    #[test]
    fn a_document_is_written_again_and_again_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        let mut sinks = Sinks::open(&[to(ReportFormat::Json, path.clone())], &[]).unwrap();
        let mut report = Report {
            runs: Vec::new(),
            planned: 100,
            is_interrupted: false,
            is_under_way: true,
            is_strict: false,
            stale: Vec::new(),
            took: crate::time::Duration::ZERO,
        };
        let planned = || {
            let text = fs::read_to_string(&path).unwrap();
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            document["totals"]["planned"].as_u64()
        };
        sinks.write_interim(&report);
        assert_eq!(planned(), Some(100));
        // A shorter text leaves nothing of a longer one behind.
        report.planned = 1;
        sinks.write_interim(&report);
        report.planned = 0;
        sinks.write(&report).unwrap();
        assert_eq!(planned(), Some(0));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
