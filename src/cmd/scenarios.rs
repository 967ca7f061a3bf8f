//! `gwtool scenarios [list|show NAME|check FILE|schema]`.

use super::args::Format;
use super::catalogue::{self, Choice};
use super::failure::Failure;
use super::{Shared, exit, output};
use crate::reports::escape::escape;
use crate::reports::plural;
use crate::reports::style::{FAINT, HEADING};
use crate::scenarios::{Scenario, catalogue::source, load, schema};
use crate::trace::Clock;
use clap::Subcommand;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What `scenarios` takes; alone it lists.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List scenarios: name, tags, what happens
    List(List),
    /// Print a shipped scenario as it is written
    Show {
        /// Its name or alias
        name: String,
    },
    /// Check a scenario file and name every problem in it
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema of scenario files, for editors
    Schema,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    choice: Choice,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Does what was asked.
pub fn run(args: Args, shared: Shared) -> Result<u8, Failure> {
    let text = match args.command.unwrap_or(Command::List(args.list)) {
        Command::List(list) => listed(&list, shared)?,
        Command::Show { name } => shown(&name)?,
        Command::Check { file } => checked(&file, shared)?,
        Command::Schema => with_line_break(schema::json()),
    };
    output::print(shared.color, &text)?;
    Ok(exit::DONE)
}

fn listed(list: &List, shared: Shared) -> Result<String, Failure> {
    let all = list.choice.all(Clock::Virtual, shared.color)?;
    let selected = list.choice.select(&all, &[])?;
    Ok(match list.format {
        Format::Human => human(&selected),
        Format::Json => json(&selected),
    })
}

fn human(scenarios: &[&Scenario]) -> String {
    let width = |of: fn(&Scenario) -> String| {
        let longest = scenarios.iter().map(|one| of(one).chars().count());
        longest.max().unwrap_or(0)
    };
    let name = |one: &Scenario| escape(&one.name).into_owned();
    let tags = |one: &Scenario| escape(&one.tags.join(",")).into_owned();
    let (name_width, tags_width) = (width(name), width(tags));
    let mut text = String::new();
    for one in scenarios {
        let _ = writeln!(
            text,
            "{HEADING}{:name_width$}{HEADING:#}  {FAINT}{:tags_width$}{FAINT:#}  {}",
            name(one),
            tags(one),
            escape(&one.summary)
        );
    }
    text
}

fn json(scenarios: &[&Scenario]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        name: &'a str,
        summary: &'a str,
        tags: &'a [String],
        alias: &'a [String],
        origin: &'a [String],
        faults: usize,
    }
    let lines: Vec<Line<'_>> = scenarios
        .iter()
        .map(|one| Line {
            name: &one.name,
            summary: &one.summary,
            tags: &one.tags,
            alias: &one.alias,
            origin: &one.origin,
            faults: one.faults.len(),
        })
        .collect();
    with_line_break(serde_json::to_string_pretty(&lines).expect("a list is representable"))
}

/// The source of a shipped scenario. A name that is none is answered by the one place that knows names.
fn shown(name: &str) -> Result<String, Failure> {
    if let Some(text) = source(name) {
        return Ok(with_line_break(text.to_owned()));
    }
    let all = Choice::default().all(Clock::Virtual, output::Color::Never)?;
    let names = [name.to_owned()];
    let found = load::select(&all, &names, &[], &[]).map_err(|error| catalogue::refused(&error))?;
    // An alias or a variant stands in the file under the name of its scenario.
    let base = |one: &&Scenario| source(&one.name).or_else(|| source(one.name.split('/').next()?));
    match found.first().and_then(base) {
        Some(text) => Ok(with_line_break(text.to_owned())),
        None => Err(Failure::new(format!("no source of the scenario `{name}`"))
            .hint("list scenarios with `gwtool scenarios`")),
    }
}

/// Checks a file for both clocks, since `real` keys count on one only.
fn checked(file: &Path, shared: Shared) -> Result<String, Failure> {
    let text = catalogue::read(file, "scenario")?;
    let scenarios = catalogue::load(&text, file, Clock::Virtual, shared.color)?;
    catalogue::load(&text, file, Clock::Real, shared.color)?;
    let shipped = Choice::default().all(Clock::Virtual, shared.color)?;
    let count = plural(scenarios.len(), "scenario");
    load::merge(shipped, scenarios).map_err(|error| catalogue::refused(&error))?;
    Ok(format!(
        "{}: {count}, no problem\n",
        escape(&file.display().to_string())
    ))
}

fn with_line_break(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
