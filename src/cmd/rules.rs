//! `gwtool rules [list|show ID]`.

use super::args::Format;
use super::failure::Failure;
use super::{Shared, exit, output};
use crate::net::Interrupt;
use crate::oracle::names::{self, Meaning};
use crate::oracle::rules::{RuleInfo, all, find};
use crate::oracle::{RuleCount, RuleLevel};
use crate::reports::style::{FAINT, HEADING};
use crate::scenarios::runner::{self, Plan, usual_interval};
use crate::scenarios::{Scenario, catalogue, nearest};
use crate::seed::Seed;
use crate::subjects::Name;
use crate::trace::{Clock, Vantage};
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
    /// Print all that is known of a rule, or what another finding means
    Show {
        /// Its id: `heartbeat/H6`, the part behind the slash, or that of an outcome or expectation, such as `died`
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
        why: &'static str,
        source: &'static str,
        looks_like: &'static str,
        hint: &'static str,
        since: &'static str,
        version: u8,
        vantages: Vec<&'static str>,
    }
    let lines: Vec<Line> = rules
        .iter()
        .map(|rule| Line {
            id: rule.id,
            level: level(rule.level),
            text: rule.text,
            why: rule.why,
            source: rule.source,
            looks_like: rule.looks_like,
            hint: rule.hint,
            since: rule.since,
            version: rule.version,
            vantages: rule.vantages.iter().map(|seen| vantage(*seen)).collect(),
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&lines).expect("a list is representable");
    text.push('\n');
    text
}

/// How wide a line of names may be.
const WIDTH: usize = 100;
/// How far the words stand behind the names of their lines.
const INDENT: usize = 11;

fn shown(id: &str) -> Result<String, Failure> {
    if let Some(rule) = find(id) {
        return explained(rule);
    }
    if let Some(meaning) = names::meaning(id) {
        return Ok(meant(meaning));
    }
    let short = all().iter().filter_map(|rule| rule.id.split_once('/'));
    let known = names::all().chain(short.map(|(_, short)| short));
    let hint = match nearest(id, known) {
        Some(known) => format!("did you mean `{known}`? list rules with `gwtool rules`"),
        None => "ids look like `heartbeat/H6` or `died`; list rules with `gwtool rules`".to_owned(),
    };
    Err(Failure::new(format!("no rule and no other finding has the id `{id}`")).hint(hint))
}

fn explained(rule: &RuleInfo) -> Result<String, Failure> {
    let vantages: Vec<&str> = rule.vantages.iter().map(|seen| vantage(*seen)).collect();
    Ok(format!(
        "{HEADING}{}{HEADING:#}  {}\n{}\n\n\
         why:       {}\nbroken:    {}\nhint:      {}\nsource:    {}\n\
         judged:    version {}, since gwtool {}, seen from {}\nexercised: {}\n",
        rule.id,
        level(rule.level),
        rule.text,
        rule.why,
        rule.looks_like,
        rule.hint,
        rule.source,
        rule.version,
        rule.since,
        vantages.join(", "),
        exercised(rule.id)?
    ))
}

fn meant(meaning: &Meaning) -> String {
    let kind = if names::OUTCOMES.contains(&meaning.id) {
        "an outcome"
    } else {
        "an expectation of the scenario"
    };
    let effect = match meaning.id {
        "slow" => "shown; with --strict it fails the run",
        _ => "fails the run",
    };
    format!(
        "{HEADING}{}{HEADING:#}  {kind}\n{}\n\nhint:      {}\neffect:    {effect}\n",
        meaning.id, meaning.text, meaning.hint
    )
}

/// In which scenarios a rule is exercised: those in which our own client has occasion to break it. They are run for that, in
/// virtual time, so that the answer is that of this build.
fn exercised(rule: &str) -> Result<String, Failure> {
    let scenarios = catalogue::shipped(Clock::Virtual);
    let all = scenarios.len();
    // Scenarios with how many of their variants exercise it, and how many there are.
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    for scenario in scenarios {
        let base = scenario.base().to_owned();
        let is_exercised = counted(scenario)?.iter().any(|count| count.rule == rule);
        match found.iter_mut().find(|(known, ..)| *known == base) {
            Some((_, n, of)) => (*n, *of) = (*n + usize::from(is_exercised), *of + 1),
            None => found.push((base, usize::from(is_exercised), 1)),
        }
    }
    let runs: usize = found.iter().map(|(_, n, _)| n).sum();
    if runs == 0 {
        return Ok(format!(
            "in none of the catalogue's {all} runs with gwtool's own client, which gives no occasion"
        ));
    }
    let names = found.iter().filter(|(_, n, _)| *n > 0);
    let names = names.map(|(name, n, of)| match of - n {
        0 => name.clone(),
        _ => format!("{name} ({n} of {of})"),
    });
    let mut text = format!("in {runs} of the catalogue's {all} runs with gwtool's own client:");
    let mut begun = INDENT + text.len();
    let mut separator = "";
    for name in names {
        text += separator;
        if begun + name.len() + 2 > WIDTH {
            let _ = write!(text, "\n{:INDENT$}", "");
            begun = INDENT;
        } else {
            text += " ";
        }
        begun += name.len() + 2;
        text += &name;
        separator = ",";
    }
    Ok(text)
}

/// The rules that a run of a scenario with our own client exercises.
fn counted(scenario: Scenario) -> Result<Vec<RuleCount>, Failure> {
    let plan = Plan {
        interval: scenario.interval.unwrap_or(usual_interval(Clock::Virtual)),
        scenario,
        subject: Name::Gwtool.into(),
        seed: Seed(0),
        clock: Clock::Virtual,
        tls: false,
        timeout: None,
        keep_entries: false,
        schedule: None,
    };
    let machine = runner::Machine::default();
    let outcome = runner::run(&plan, &mut [], &machine, &Interrupt::default());
    let outcome = outcome.map_err(|error| Failure::of(&error))?;
    Ok(outcome.judgement.rules)
}
