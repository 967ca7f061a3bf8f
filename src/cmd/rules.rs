//! `gwtool rules [list|show ID]`.

use super::args::Format;
use super::failure::Failure;
use super::{Shared, exit, output};
use crate::oracle::RuleLevel;
use crate::oracle::rules::{RuleInfo, all};
use crate::reports::style::{FAINT, HEADING};
use crate::trace::Vantage;
use clap::Subcommand;
use serde::Serialize;
use std::fmt::Write as _;

/// What `rules` takes; alone it lists.
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
    /// List rules: id, how binding, what they demand
    List(List),
    /// Print all that is known of a rule
    Show {
        /// Its id, such as `heartbeat/H6`, or the part behind the slash
        id: String,
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
        }) => human(all()),
        Command::List(List {
            format: Format::Json,
        }) => json(all()),
        Command::Show { id } => shown(&id)?,
    };
    output::print(shared.color, &text)?;
    Ok(exit::DONE)
}

const fn level(level: RuleLevel) -> &'static str {
    match level {
        RuleLevel::Must => "MUST",
        RuleLevel::Should => "SHOULD",
    }
}

const fn vantage(vantage: Vantage) -> &'static str {
    match vantage {
        Vantage::Gateway => "gateway",
        Vantage::Client => "client",
        Vantage::Middle => "middle",
    }
}

fn human(rules: &[RuleInfo]) -> String {
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for rule in rules {
        let _ = writeln!(
            text,
            "{HEADING}{:width$}{HEADING:#}  {FAINT}{:6}{FAINT:#}  {}",
            rule.id,
            level(rule.level),
            rule.text
        );
    }
    text
}

fn json(rules: &[RuleInfo]) -> String {
    #[derive(Serialize)]
    struct Line {
        id: &'static str,
        level: &'static str,
        text: &'static str,
        source: &'static str,
        looks_like: &'static str,
        hint: &'static str,
        since: &'static str,
        vantages: Vec<&'static str>,
    }
    let lines: Vec<Line> = rules
        .iter()
        .map(|rule| Line {
            id: rule.id,
            level: level(rule.level),
            text: rule.text,
            source: rule.source,
            looks_like: rule.looks_like,
            hint: rule.hint,
            since: rule.since,
            vantages: rule.vantages.iter().map(|seen| vantage(*seen)).collect(),
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&lines).expect("a list is representable");
    text.push('\n');
    text
}

fn shown(id: &str) -> Result<String, Failure> {
    let is_meant = |rule: &&RuleInfo| {
        let short = rule.id.rsplit('/').next().unwrap_or(rule.id);
        rule.id.eq_ignore_ascii_case(id) || short.eq_ignore_ascii_case(id)
    };
    let rule = all().iter().find(is_meant).ok_or_else(|| {
        Failure::new(format!("no rule with the id `{id}`"))
            .hint("ids look like `heartbeat/H6`; list them with `gwtool rules`")
    })?;
    let vantages: Vec<&str> = rule.vantages.iter().map(|seen| vantage(*seen)).collect();
    Ok(format!(
        "{HEADING}{}{HEADING:#}  {}\n{}\n\nbroken:  {}\nhint:    {}\nsource:  {}\njudged:  since {}, seen from {}\n",
        rule.id,
        level(rule.level),
        rule.text,
        rule.looks_like,
        rule.hint,
        rule.source,
        rule.since,
        vantages.join(", ")
    ))
}
