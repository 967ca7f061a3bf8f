//! `gwtool completions SHELL`.

use super::failure::Failure;
use super::{Cli, Shared, exit, output};
use clap::CommandFactory as _;
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
    clap_complete::generate(args.shell, &mut Cli::command(), "gwtool", &mut script);
    output::print(shared.color, &String::from_utf8_lossy(&script))?;
    Ok(exit::DONE)
}
