//! The command line: a tree of arguments, and one file a command.
//!
//! Each command turns its arguments into a plan, makes the one library call that does the work and prints what came of it.
//! Nothing is decided here that a library user would miss. Only this module prints; only `main` ends the process.

pub mod args;
pub mod catalogue;
pub mod chaos;
pub mod completions;
pub mod connect;
pub mod exit;
pub mod failure;
pub mod output;
pub mod pool;
pub mod rules;
pub mod scenarios;
pub mod selftest;
pub mod sinks;
pub mod subjects;
pub mod supervise;

use crate::net::Interrupt;
use clap::{ArgAction, Parser, Subcommand};
use failure::Failure;
use output::Color;
use tracing::level_filters::LevelFilter;

/// Diagnose and chaos-test clients of the Discord gateway
#[derive(Debug, Parser)]
#[command(
    name = "gwtool",
    version,
    max_term_width = 100,
    propagate_version = false
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub shared: Shared,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Shared {
    /// Tell more: every entry of a timeline, and gwtool's own steps on stderr; twice for finer ones
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Tell only what failed
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
}

impl Shared {
    /// How loud gwtool's own log on stderr is.
    pub const fn log_level(self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, 2) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        }
    }
}

/// The commands that are built.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run gwtool's own client and show what happens
    Connect(connect::Args),
    /// Run scenarios against a subject and judge
    Chaos(Box<chaos::Args>),
    /// List, show or check scenarios
    Scenarios(scenarios::Args),
    /// List or show the rules that subjects are judged by
    Rules(rules::Args),
    /// List or show what can be tested without a program: sound clients, and those with a defect
    Subjects(subjects::Args),
    /// Prove the judge: sound clients conform, and every client with a defect is caught
    Selftest(selftest::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Look after programs for gwtool, which starts this itself
    #[command(hide = true)]
    Supervise,
}

/// Does what the arguments say. `stop` turns true when the user wants it to end (Ctrl-C).
pub fn run(cli: Cli, stop: &Interrupt) -> Result<u8, Failure> {
    let shared = cli.shared;
    match cli.command {
        Command::Connect(args) => connect::run(args, shared, stop),
        Command::Chaos(args) => chaos::run(&args, shared, stop),
        Command::Scenarios(args) => scenarios::run(args, shared),
        Command::Rules(args) => rules::run(args, shared),
        Command::Subjects(args) => subjects::run(args, shared),
        Command::Selftest(args) => selftest::run(&args, shared, stop),
        Command::Completions(args) => completions::run(&args, shared),
        Command::Supervise => supervise::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_of_arguments_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_that_are_not_built_are_absent() {
        let mut names: Vec<String> = Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| command.get_name().to_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "chaos",
                "completions",
                "connect",
                "rules",
                "scenarios",
                "selftest",
                "subjects"
            ]
        );
    }
}
