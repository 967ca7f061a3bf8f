//! Values that several commands take, read from their text: parsing touches no file and no socket.

use crate::time::{Duration, Span, SpanError, show};
use clap::ValueEnum;
use std::path::PathBuf;
use thiserror::Error;

/// What `--format` takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// JSON for programs.
    Json,
}

/// What `--time` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Time {
    /// gwtool's own clock, which jumps from one deadline to the next.
    Virtual,
    /// The machine's clock, over loopback TCP.
    Real,
}

/// What `--report` takes: a format and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportArg {
    /// The format.
    pub format: ReportFormat,
    /// The file; for traces of several runs a directory or a name with `{scenario}`.
    pub path: PathBuf,
}

/// A format that `--report` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// `json`: every run, its findings and figures.
    Json,
    /// `junit`: for CI.
    Junit,
    /// `markdown`: a matrix of scenarios by subjects, for documentation.
    Markdown,
    /// `trace`: everything that was seen, one JSON value a line.
    Trace,
}

/// Why a text is no value of a flag. Its hint is a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgError {
    /// It is no duration.
    #[error("{0}\nhint: write `250ms`, `3s`, `2m` or a sum `1s+30ms`")]
    Span(#[from] SpanError),
    /// It is written in intervals, where none is in force yet.
    #[error(
        "expected a plain duration, found `{0}`\nhint: I is not known here; write `250ms`, `3s` or `2m`"
    )]
    Scaled(String),
    /// It is no time at all.
    #[error("expected a duration above zero, found `{0}`")]
    Zero(String),
    /// It is outside what makes sense for a heartbeat interval.
    #[error(
        "expected an interval from {} to {}, found `{found}`",
        show(INTERVAL_MIN),
        show(INTERVAL_MAX)
    )]
    Interval {
        /// What was given.
        found: String,
    },
    /// There is no `=`.
    #[error(
        "expected FORMAT=PATH, found `{0}`\nhint: write `json=report.json`, `junit=report.xml`, `markdown=matrix.md` or `trace=run.ndjson`"
    )]
    NoReport(String),
    /// There is no such format.
    #[error(
        "unknown report format `{0}`\nhint: the formats are `json`, `junit`, `markdown` and `trace`"
    )]
    ReportFormat(String),
    /// There is no path behind the `=`.
    #[error("expected a path behind `{0}=`")]
    NoPath(String),
}

/// Below this a heartbeat interval is shorter than the machine's own timers are exact.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Beyond this no gateway waits.
const INTERVAL_MAX: Duration = Duration::from_mins(10);

/// A duration that is not written in I and is more than nothing.
pub fn duration(text: &str) -> Result<Duration, ArgError> {
    let span: Span = text.parse()?;
    if span.is_scaled() {
        return Err(ArgError::Scaled(text.to_owned()));
    }
    // Whatever does not scale is the same at any interval.
    let duration = span.at(Duration::ZERO);
    if duration.is_zero() {
        return Err(ArgError::Zero(text.to_owned()));
    }
    Ok(duration)
}

/// A heartbeat interval.
pub fn interval(text: &str) -> Result<Duration, ArgError> {
    let interval = duration(text)?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        Ok(interval)
    } else {
        Err(ArgError::Interval {
            found: text.to_owned(),
        })
    }
}

/// `json=PATH`, `junit=PATH`, `markdown=PATH` or `trace=PATH`.
pub fn report(text: &str) -> Result<ReportArg, ArgError> {
    let (format, path) = text
        .split_once('=')
        .ok_or_else(|| ArgError::NoReport(text.to_owned()))?;
    let known = match format {
        "json" => ReportFormat::Json,
        "junit" => ReportFormat::Junit,
        "markdown" => ReportFormat::Markdown,
        "trace" => ReportFormat::Trace,
        other => return Err(ArgError::ReportFormat(other.to_owned())),
    };
    if path.is_empty() {
        return Err(ArgError::NoPath(format.to_owned()));
    }
    Ok(ReportArg {
        format: known,
        path: path.into(),
    })
}

/// A text as a POSIX shell reads it back as one word.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_line(error: &ArgError) -> String {
        error.to_string().lines().next().unwrap_or("").to_owned()
    }

    #[test]
    fn an_interval_is_a_plain_duration_within_reason() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("10m"), Ok(Duration::from_mins(10)));
        let error = |text: &str| first_line(&interval(text).unwrap_err());
        assert_eq!(error("1.5I"), "expected a plain duration, found `1.5I`");
        assert_eq!(error("0s"), "expected a duration above zero, found `0s`");
        assert_eq!(error("-5s"), "a duration cannot be negative: `-5s`");
        assert_eq!(
            error("11m"),
            "expected an interval from 1ms to 10m, found `11m`"
        );
        assert_eq!(
            error("1us"),
            "expected an interval from 1ms to 10m, found `1us`"
        );
        assert_eq!(error("5"), "`5` has no unit");
    }

    #[test]
    fn a_report_is_a_format_and_a_path() {
        let trace = report("trace=a=b.ndjson").unwrap();
        assert_eq!(trace.format, ReportFormat::Trace);
        assert_eq!(trace.path, PathBuf::from("a=b.ndjson"));
        let error = |text: &str| first_line(&report(text).unwrap_err());
        assert_eq!(error("json"), "expected FORMAT=PATH, found `json`");
        assert_eq!(error("yaml=x"), "unknown report format `yaml`");
        assert_eq!(error("json="), "expected a path behind `json=`");
    }

    #[test]
    fn a_path_with_spaces_is_one_word_for_the_shell() {
        assert_eq!(shell_word("plain/path-1.toml"), "plain/path-1.toml");
        assert_eq!(shell_word("my file"), "'my file'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
