//! Why a command could not do its work, as `main` tells it: an `error:` line, the causes, and a `hint:` where there is a way out.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// Nobody reads stdout any more, as after `| head`: not an error of anybody's.
    StdoutClosed,
    /// gwtool could not do its work.
    Told {
        /// What was expected and what was seen.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The same, with its text made by whoever found it: a scenario file's problems with their source lines.
    Rendered(String),
}

impl Failure {
    /// A failure without a way out that gwtool knows.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Told {
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, text: impl Into<String>) -> Self {
        match self {
            Self::Told { message, .. } => Self::Told {
                message,
                hint: Some(text.into()),
            },
            other => other,
        }
    }

    /// An error of another module with its causes. A text that ends in a `hint:` line keeps it as the hint.
    pub fn of(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        match text.split_once("\nhint: ") {
            Some((message, hint)) => Self::new(message).hint(hint),
            None => Self::new(text),
        }
    }

    /// A file that could not be read or written: `what` stands behind "failed to", such as "read the trace".
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("failed to {what} `{}`: {error}", path.display()))
    }

    /// What writing to stdout came to.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::StdoutClosed
        } else {
            Self::new(format!("failed to write to stdout: {error}"))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::reports::style::{BAD, HEADING};
        match self {
            Self::StdoutClosed => Ok(()),
            Self::Rendered(text) => f.write_str(text.trim_end()),
            Self::Told { message, hint } => {
                write!(f, "{BAD}error{BAD:#}: {}", lines(message))?;
                if let Some(hint) = hint {
                    write!(f, "\n{HEADING}hint{HEADING:#}: {}", lines(hint))?;
                }
                Ok(())
            }
        }
    }
}

/// Each line escaped: messages carry names and paths that somebody else chose.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(crate::reports::escape::escape).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(failure: &Failure) -> String {
        anstream::adapter::strip_str(&failure.to_string()).to_string()
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_its_hint() {
        let missing = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let failure = Failure::file("read the trace", Path::new("a\x1b[2Jb"), &missing);
        assert_eq!(
            shown(&failure.hint("check the path")),
            "error: failed to read the trace `a\\u{1b}[2Jb`: no such file\nhint: check the path"
        );
    }

    #[test]
    fn a_hint_inside_an_errors_own_text_becomes_the_hint() {
        let error = io::Error::other("no scenario named `flapp`\nhint: did you mean `flap`?");
        assert_eq!(
            shown(&Failure::of(&error)),
            "error: no scenario named `flapp`\nhint: did you mean `flap`?"
        );
    }

    #[test]
    fn a_closed_stdout_is_no_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::stdout(&closed), Failure::StdoutClosed));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(Failure::stdout(&full), Failure::Told { .. }));
    }
}
