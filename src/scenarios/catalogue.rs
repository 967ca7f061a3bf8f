//! The catalogue: the scenarios that are compiled in, and their text.
//!
//! `scenarios.toml` at the top of the repository is the catalogue. It is read by the same loader as a user's
//! own files; a test makes sure that it has no problem, so that a build that passed its tests cannot fail
//! here.

use super::{Scenario, load};
use crate::trace::Clock;

/// The text of the catalogue.
pub const TEXT: &str = include_str!("../../scenarios.toml");

/// What errors call the catalogue.
pub const FILE: &str = "scenarios.toml";

/// The scenarios of the catalogue as they hold on a clock.
///
/// # Panics
/// When the catalogue has a problem, which is a bug of gwtool's.
pub fn shipped(clock: Clock) -> Vec<Scenario> {
    load::load(TEXT, FILE, clock).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The name of the scenario in which nothing happens. The catalogue does not have it, and nobody else may.
pub const CONTROL: &str = "control";

/// Short, since every program is run in it before anything else: READY, and then the watch.
const CONTROL_TEXT: &str = r#"
[control]
summary = "Nothing happens: is the subject well at all?"
origin  = ["gwtool"]
tags    = ["control"]
chaos   = "0s"
traffic = { every = "0.5I" }
"#;

/// The scenario in which nothing happens: a subject that fails here is not to be blamed on any fault.
///
/// # Panics
/// When its text has a problem, which is a bug of gwtool's.
pub fn control(clock: Clock) -> Scenario {
    let mut all =
        load::load(CONTROL_TEXT, CONTROL, clock).unwrap_or_else(|problems| panic!("{problems}"));
    all.remove(0)
}

/// The text of a scenario of the catalogue as it was written, comments included. A name with a variant, or an
/// alias, gives the scenario that it belongs to.
pub fn source(name: &str) -> Option<&'static str> {
    let scenarios = shipped(Clock::Virtual);
    let scenario = scenarios.iter().find(|scenario| scenario.is_called(name))?;
    section(TEXT, scenario.base())
}

/// The part of a scenario file that belongs to one scenario: from the comment right above its header to the
/// next scenario's. `None` where the file has no line `[name]`.
pub fn section<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    // Where each scenario begins: the start of the comment that touches its header.
    let mut begins: Vec<(usize, &str)> = Vec::new();
    let mut comment = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(header) = header(line) {
            begins.push((comment.unwrap_or(at), header));
        }
        comment = line.starts_with('#').then(|| comment.unwrap_or(at));
        at += line.len();
    }
    let found = begins.iter().position(|(_, header)| *header == name)?;
    let end = begins
        .get(found + 1)
        .map_or(text.len(), |(begin, _)| *begin);
    Some(text[begins[found].0..end].trim_end())
}

/// The name in a line `[name]`, if it is one.
fn header(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    let is_alone = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    (is_alone && !name.contains(['.', '['])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_scenario_with_its_own_comment() {
        let text =
            "# File.\n\n# One.\n[one] # 1\na = 1\n\n  [[one.fault]]\n  b = 2\n# Two.\n[two]\n";
        assert_eq!(
            section(text, "one"),
            Some("# One.\n[one] # 1\na = 1\n\n  [[one.fault]]\n  b = 2")
        );
        assert_eq!(section(text, "two"), Some("# Two.\n[two]"));
        assert_eq!(section(text, "three"), None);
    }
}
