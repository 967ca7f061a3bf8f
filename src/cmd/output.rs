//! The two streams of a command: results on stdout, talk on stderr, coloured only where that is wanted.
//!
//! Everything that is printed comes through here, ANSI colours in it; they are stripped on the way out where `--color`,
//! `NO_COLOR` or a stream that is no terminal says so.

use super::failure::Failure;
use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal as _, Write as _};

/// What `--color` takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Wherever the output goes.
    Always,
    /// Not at all.
    Never,
}

impl Color {
    const fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::AlwaysAnsi,
            Self::Never => ColorChoice::Never,
        }
    }

    /// Whether what goes to stderr is coloured, for texts that are made by others.
    pub fn is_on_stderr(self) -> bool {
        match self {
            Self::Auto => AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Writes results to stdout.
pub fn print(color: Color, text: &str) -> Result<(), Failure> {
    let mut stdout = AutoStream::new(io::stdout(), color.choice()).lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::stdout(&error))
}

/// Writes talk to stderr. Where even that is closed there is nobody left to tell.
pub fn talk(color: Color, text: &str) {
    let mut stderr = AutoStream::new(io::stderr(), color.choice()).lock();
    let _ = stderr.write_all(text.as_bytes());
}

/// Whether somebody looks at stderr as it is written, so that progress may be shown.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}
