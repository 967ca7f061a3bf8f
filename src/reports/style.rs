//! The few colours that reports use, by meaning; whoever writes to a file or a pipe strips them.

use crate::oracle::Verdict;
use anstyle::{AnsiColor, Style};

/// A finding that fails, a death.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// A verdict that is good.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A fault, and whatever is worth a look.
pub const FAULT: Style = AnsiColor::Yellow.on_default();
/// A separator, a heading.
pub const HEADING: Style = Style::new().bold();
/// What is there for completeness.
pub const FAINT: Style = Style::new().dimmed();

/// The colour of a verdict.
pub const fn of(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Conforms => GOOD,
        Verdict::NotJudged => FAINT,
        Verdict::Inconclusive => FAULT,
        Verdict::Violates => BAD,
    }
}
