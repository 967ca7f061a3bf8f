//! The scenarios that a command may choose from: the shipped ones and those of `--scenarios FILE`.

use super::args::Time;
use super::failure::Failure;
use super::output::Color;
use crate::scenarios::load::SelectError;
use crate::scenarios::{Scenario, catalogue, load};
use crate::trace::Clock;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Which scenarios.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Choice {
    /// Add the scenarios of a file to the catalogue
    #[arg(long = "scenarios", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only scenarios with this tag (may be repeated)
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Leave out this scenario (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,
}

impl From<Time> for Clock {
    fn from(time: Time) -> Self {
        match time {
            Time::Virtual => Self::Virtual,
            Time::Real => Self::Real,
        }
    }
}

impl Choice {
    /// The catalogue with the file's scenarios behind it.
    pub fn all(&self, clock: Clock, color: Color) -> Result<Vec<Scenario>, Failure> {
        let shipped = catalogue::shipped(clock);
        let Some(file) = &self.file else {
            return Ok(shipped);
        };
        let text = read(file, "scenario")?;
        let own = load(&text, file, clock, color)?;
        load::merge(shipped, own).map_err(|error| refused(&error))
    }

    /// Those that are meant, in the order of the catalogue; no names mean all. Never none.
    pub fn select<'a>(
        &self,
        all: &'a [Scenario],
        names: &[String],
    ) -> Result<Vec<&'a Scenario>, Failure> {
        load::select(all, names, &self.tags, &self.skip).map_err(|error| refused(&error))
    }
}

/// A choice that cannot be made, with the way out.
pub fn refused(error: &SelectError) -> Failure {
    Failure::of(error).hint(error.hint())
}

/// A longer file is none of ours, and might have no end. The shipped catalogue takes a tenth of it.
const SIZE_MAX: u64 = 256 * 1024;

/// The text of a file of scenarios or subjects: `what` is one of them, as the flag that names the file has it.
pub fn read(file: &Path, what: &str) -> Result<String, Failure> {
    let example = match what {
        "scenario" => "`gwtool scenarios show flap` prints one to begin with",
        _ => "one begins with `[my-bot]`, with `command = [\"node\", \"bot.mjs\"]` below",
    };
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(SIZE_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        Failure::file(&format!("read the {what} file"), file, &error).hint(example)
    })?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Failure::new(format!(
            "expected a {what} file of at most {} KiB, found more in `{}`",
            SIZE_MAX / 1024,
            file.display()
        ))
        .hint(format!("divide it: `--{what}s` takes one file at a time")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::new(format!(
            "expected UTF-8 text in the {what} file `{}`, found other bytes at offset {place}",
            file.display()
        ))
        .hint(format!("a {what} file is TOML: {example}"))
    })
}

/// The scenarios of a text, or its problems with their source lines.
pub fn load(text: &str, file: &Path, clock: Clock, color: Color) -> Result<Vec<Scenario>, Failure> {
    load::load(text, &file.display().to_string(), clock)
        .map_err(|problems| Failure::Rendered(problems.render(color.is_on_stderr())))
}
