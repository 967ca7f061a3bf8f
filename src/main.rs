//! The `gwtool` binary: reads the arguments, has the library do the work, and turns what came of it into an exit code.

#![expect(
    clippy::disallowed_methods,
    reason = "the thread that listens for Ctrl-C"
)]

use clap::Parser as _;
use gwtool::cmd::failure::Failure;
use gwtool::cmd::{self, Cli, Command, exit, output};
use gwtool::net::Interrupt;
use std::process::{self, ExitCode};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

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
    // A supervisor has signals of its own to watch.
    if !matches!(cli.command, Command::Supervise) {
        watch_ctrl_c(interrupt.clone());
    }
    ExitCode::from(match cmd::run(cli, &interrupt) {
        Ok(code) => code,
        Err(Failure::StdoutClosed) => exit::DONE,
        Err(failure) => {
            output::talk(color, &format!("{failure}\n"));
            exit::FAILED
        }
    })
}

/// The first Ctrl-C (or SIGTERM) asks for an end, with reports; the second does not wait for it. Returns once it is listened
/// for.
fn watch_ctrl_c(interrupt: Interrupt) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    // Without a handler a signal ends the process as it always does.
    let Ok(runtime) = runtime else { return };
    let signals = runtime.block_on(async {
        Ok::<_, std::io::Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    });
    let Ok((mut ctrl_c, mut terminate)) = signals else {
        return;
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = ctrl_c.recv() => {}
                    _ = terminate.recv() => {}
                }
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
