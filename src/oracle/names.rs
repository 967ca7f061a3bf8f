//! The ids that findings have: what a user may write where a finding is meant.
//!
//! Rules have theirs in `rules`. A test holds the outcomes' against the source of the judge.

use super::rules;

/// Every outcome.
pub const OUTCOMES: &[&str] = &[
    "died",
    "hung",
    "gave-up",
    "loop",
    "lost",
    "duplicated",
    "double",
    "early",
    "resurrected",
    "leak",
    "token",
    "health",
    "slow",
];

/// Every outcome that is a note whenever it is found: there is nothing to accept.
#[cfg(test)]
const NOTES: &[&str] = &["exit"];

/// Every expectation that a scenario can have and that is no outcome as well.
pub const EXPECTATIONS: &[&str] = &[
    "connections",
    "identifies",
    "resumes",
    "closes",
    "close_codes",
    "resume_seq",
];

/// The ids of all findings that there can be: outcomes, expectations, rules.
pub fn all() -> impl Iterator<Item = &'static str> {
    let named = OUTCOMES.iter().chain(EXPECTATIONS).copied();
    named.chain(rules::all().iter().map(|rule| rule.id))
}

/// The id as findings have it; of a rule the letter and number alone will do.
pub fn find(id: &str) -> Option<&'static str> {
    all()
        .find(|known| *known == id)
        .or_else(|| rules::find(id).map(|rule| rule.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_found_by_its_id_and_a_rule_by_its_number_too() {
        assert_eq!(find("died"), Some("died"));
        assert_eq!(find("h6"), Some("heartbeat/H6"));
        assert_eq!(find("heartbeat/H6"), Some("heartbeat/H6"));
        assert_eq!(find("close_codes"), Some("close_codes"));
        assert_eq!(find("dead"), None);
    }

    #[test]
    fn no_id_stands_for_two_things() {
        let mut ids: Vec<&str> = all().collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    /// The judge's own files name the outcomes that it finds.
    #[test]
    fn the_list_has_every_outcome_that_the_judge_names() {
        let sources = [
            include_str!("outcomes.rs"),
            include_str!("close.rs"),
            include_str!("holdings.rs"),
        ]
        .concat();
        let mut found = 0;
        for call in sources.split("outcome(").skip(1) {
            let Some(id) = call.trim_start().strip_prefix('"') else {
                continue;
            };
            let id = id.split('"').next().unwrap_or("");
            let is_listed = OUTCOMES.contains(&id) || NOTES.contains(&id);
            assert!(is_listed, "`{id}` is not in the list");
            found += 1;
        }
        assert!(found >= 8, "the source was not read: {found} outcomes");
    }
}
