//! The `gwtool` binary: reads the arguments, has the library do the work, and turns what came of it into an exit code.

use clap::Parser as _;
use gwtool::cmd::failure::Failure;
use gwtool::cmd::{self, Cli, exit, output};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Turns true at the first Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

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
    watch_ctrl_c();
    ExitCode::from(match cmd::run(cli, &STOP) {
        Ok(code) => code,
        Err(Failure::StdoutClosed) => exit::DONE,
        Err(failure) => {
            output::talk(color, &format!("{failure}\n"));
            exit::FAILED
        }
    })
}

/// The first Ctrl-C asks for an end, with reports; the second does not wait for it.
fn watch_ctrl_c() {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        // Without a handler Ctrl-C ends the process as it always does.
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if STOP.swap(true, Ordering::Relaxed) {
                    #[expect(
                        clippy::exit,
                        reason = "the user insists: nothing is left to clear up"
                    )]
                    process::exit(exit::INTERRUPTED.into());
                }
            }
        });
    });
}
