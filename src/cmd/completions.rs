//! `gwtool completions SHELL`.

use super::failure::Failure;
use super::{Cli, Shared, exit, output};
use clap::{Args as _, Command, CommandFactory as _};
use clap_complete::Shell;

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, shared: Shared) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "gwtool", &mut script);
    output::print(shared.color, &String::from_utf8_lossy(&script))?;
    Ok(exit::DONE)
}

/// The tree without what is hidden: scripts would offer it.
fn visible() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|it| !it.is_hide_set());
    let root = Command::new("gwtool").version(env!("CARGO_PKG_VERSION"));
    Shared::augment_args(root)
        .subcommand_required(true)
        .subcommands(commands.cloned())
}
