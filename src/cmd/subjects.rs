//! `gwtool subjects [list|show NAME]`.

use super::args::Format;
use super::failure::Failure;
use super::{Shared, exit, output};
use crate::reports::style::{FAINT, HEADING};
use crate::scenarios::load::nearest;
use crate::subjects::Name;
use crate::subjects::zoo::{self, Defect, Signal};
use clap::Subcommand;
use serde::Serialize;
use std::fmt::Write as _;

/// What `subjects` takes; alone it lists.
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
    /// List subjects: name, what it is or does wrong
    List(List),
    /// Print all that is known of a subject
    Show {
        /// Its name, such as `defect:no-ack-check`; of a defect its own name or number will do
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Does what was asked.
pub fn run(args: Args, shared: Shared) -> Result<u8, Failure> {
    let text = match args.command.unwrap_or(Command::List(args.list)) {
        Command::List(List {
            format: Format::Human,
        }) => human(),
        Command::List(List {
            format: Format::Json,
        }) => json(),
        Command::Show { name } => shown(&name)?,
    };
    output::print(shared.color, &text)?;
    Ok(exit::DONE)
}

const fn defect(name: Name) -> Option<Defect> {
    match name {
        Name::Defect(defect) => Some(defect),
        _ => None,
    }
}

fn human() -> String {
    let width = Name::all().map(|name| name.as_str().len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for name in Name::all() {
        let number = defect(name).map_or("", |defect| defect.info().number);
        let _ = writeln!(
            text,
            "{HEADING}{name:width$}{HEADING:#}  {FAINT}{number:3}{FAINT:#}  {}",
            name.summary()
        );
    }
    text
}

fn json() -> String {
    #[derive(Serialize)]
    struct Line {
        name: &'static str,
        summary: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        defect: Option<Known>,
    }
    #[derive(Serialize)]
    struct Known {
        number: &'static str,
        control: &'static str,
        bugs: Vec<Bug>,
        signals: &'static [Signal],
        killed_by: &'static [&'static str],
    }
    #[derive(Serialize)]
    struct Bug {
        number: &'static str,
        issues: &'static str,
    }
    let known = |name: Name| {
        let info = defect(name)?.info();
        let bug = |number: &&'static str| Bug {
            number,
            issues: zoo::issues(number).unwrap_or(""),
        };
        Some(Known {
            number: info.number,
            control: name.control().as_str(),
            bugs: info.bugs.iter().map(bug).collect(),
            signals: info.signals,
            killed_by: info.killed_by,
        })
    };
    let lines: Vec<Line> = Name::all()
        .map(|name| Line {
            name: name.as_str(),
            summary: name.summary(),
            defect: known(name),
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&lines).expect("a list is representable");
    text.push('\n');
    text
}

fn shown(text: &str) -> Result<String, Failure> {
    let name = text
        .parse::<Name>()
        .ok()
        .or_else(|| Defect::find(text).map(Name::Defect));
    let Some(name) = name else {
        let hint = nearest(text, Name::all().map(Name::as_str)).map_or_else(
            || "list them with `gwtool subjects`".to_owned(),
            |known| format!("did you mean `{known}`?"),
        );
        return Err(Failure::new(format!("no subject named `{text}`")).hint(hint));
    };
    let Some(defect) = defect(name) else {
        return Ok(format!("{HEADING}{name}{HEADING:#}\n{}\n", name.summary()));
    };
    let info = defect.info();
    let mut text = format!(
        "{HEADING}{name}{HEADING:#}  {}\n{}\n\n",
        info.number, info.does
    );
    for bug in info.bugs {
        let issues = zoo::issues(bug).unwrap_or("");
        let _ = writeln!(text, "seen in:  {bug} {FAINT}{issues}{FAINT:#}");
    }
    let signals: Vec<&str> = info.signals.iter().map(|it| it.as_str()).collect();
    let _ = writeln!(text, "shows as: {}", signals.join(", "));
    let _ = writeln!(text, "found by: {}", info.killed_by.join(", "));
    let _ = writeln!(text, "control:  {}", name.control());
    // Some defects break no more than a SHOULD rule, which fails a run only so.
    let _ = writeln!(
        text,
        "\ntry:      gwtool chaos --scenario {} --subject {name} --strict",
        info.killed_by[0]
    );
    Ok(text)
}
