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
    use crate::fault::Action;
    use std::collections::{BTreeMap, BTreeSet};

    /// How many scenarios were found in real clients' bugs; S01 is the first.
    const FOUND: usize = 47;

    #[test]
    fn every_number_from_the_field_is_the_alias_of_one_scenario() {
        let mut bases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for scenario in shipped(Clock::Virtual) {
            for alias in &scenario.alias {
                let of = bases.entry(alias.clone()).or_default();
                of.insert(scenario.base().to_owned());
            }
        }
        let numbers: Vec<String> = (1..=FOUND).map(|n| format!("S{n:02}")).collect();
        assert_eq!(bases.keys().cloned().collect::<Vec<_>>(), numbers);
        for (alias, of) in bases {
            assert_eq!(of.len(), 1, "{alias} is {of:?}");
        }
    }

    #[test]
    fn every_action_of_the_vocabulary_is_used() {
        let used: BTreeSet<&str> = shipped(Clock::Virtual)
            .iter()
            .flat_map(|scenario| &scenario.faults)
            .map(|fault| fault.action.word())
            .collect();
        let words = Action::<()>::WORDS.iter().copied();
        let unused: Vec<&str> = words.filter(|word| !used.contains(word)).collect();
        assert_eq!(unused, Vec::<&str>::new());
    }

    /// Half of the bugs begin where a Close is not answered as the client thinks it must be.
    #[test]
    fn every_scenario_says_how_the_gateway_meets_a_close() {
        let file: toml::Table = toml::from_str(TEXT).expect("it is TOML");
        let silent: Vec<&String> = file
            .iter()
            .filter(|(_, scenario)| {
                let on_close = scenario.get("on_close");
                on_close.and_then(|table| table.get("answer")).is_none()
            })
            .map(|(name, _)| name)
            .collect();
        assert_eq!(silent, Vec::<&String>::new());
    }

    #[test]
    fn the_catalogue_is_in_the_order_of_its_numbers() {
        let mut numbers: Vec<String> = Vec::new();
        for scenario in shipped(Clock::Virtual) {
            numbers.extend(scenario.alias.first().cloned());
        }
        assert!(numbers.is_sorted(), "{numbers:?}");
    }

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
