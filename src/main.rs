//! The `gwtool` binary: reads the arguments, has the library do the work, and turns what came of it into an exit code.

use clap::Parser as _;
use gwtool::cmd::failure::Failure;
use gwtool::cmd::{self, Cli, exit, output};
use gwtool::net::Interrupt;
use std::process::{self, ExitCode};
use std::thread;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Where even stderr is closed there is nobody left to tell.
            let _ = told.print();
            let is_error = told.use_stderr();
            return ExitCode::from(if is_error { exit::FAILED } else { exit::DONE });
        }
    };
    let color = cli.shared.color;
    tracing_subscriber::fmt()
        .with_max_level(cli.shared.log_level())
        .with_ansi(color.is_on_stderr())
        .with_writer(std::io::stderr)
        .init();
    let interrupt = Interrupt::default();
    watch_ctrl_c(interrupt.clone());
    ExitCode::from(match cmd::run(cli, &interrupt) {
        Ok(code) => code,
        Err(Failure::StdoutClosed) => exit::DONE,
        Err(failure) => {
            output::talk(color, &format!("{failure}\n"));
            exit::FAILED
        }
    })
}

/// The first Ctrl-C asks for an end, with reports; the second does not wait for it.
fn watch_ctrl_c(interrupt: Interrupt) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        // Without a handler Ctrl-C ends the process as it always does.
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if interrupt.is_raised() {
                    #[expect(
                        clippy::exit,
                        reason = "the user insists: nothing is left to clear up"
                    )]
                    process::exit(exit::INTERRUPTED.into());
                }
                interrupt.raise();
            }
        });
    });
}
