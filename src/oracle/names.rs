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

/// What a finding that is no rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Its id.
    pub id: &'static str,
    /// What was seen.
    pub text: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

macro_rules! meanings {
    ($($id:literal $text:literal, $hint:literal;)*) => {
        const MEANINGS: &[Meaning] = &[$(Meaning { id: $id, text: $text, hint: $hint }),*];
    };
}

meanings! {
    "died"
        "the client came to an end that nobody asked for: an uncaught error, an exit code, a signal",
        "its last words stand beside the finding; look for a callback of a connection that was over";
    "hung"
        "the client was not authenticated again within the time that it may take",
        "find the state that has no deadline: connect, HELLO, READY, the end of a Close";
    "gave-up"
        "the client ended in good order, or made no attempt any more, though it should go on",
        "look for a limit of attempts, and for errors after which nothing is scheduled";
    "loop"
        "the client is authenticated, and leaves one sound connection after the other",
        "something outlives its connection: a flag that an ACK is missing, a timer, an old callback";
    "lost"
        "messages of a session that lived on never reached the application",
        "see `delivery/D2`, `delivery/D5` and `resume/R4`: which number did RESUME carry?";
    "duplicated"
        "messages reached the application more than once",
        "count what was delivered before it is asked for again, and look for two live connections";
    "double"
        "the client held two connections of one shard at once",
        "leave one connection before the next is opened, and let only one thing schedule a reconnect";
    "early"
        "the client left a connection on which nothing was wrong",
        "an ACK is missing only after a whole interval, and silence between events is no trouble";
    "resurrected"
        "the client connected again after it was told to stop, or after a fatal close code",
        "a stop must disarm every timer, and a connect that is under way must look whether it is still wanted";
    "leak"
        "the client held sockets or timers that nothing needs, or had not ended when its time was over",
        "what belongs to a connection ends with it; a stop ends all of it within a bounded time";
    "token"
        "the token was in what the client logged or printed, plain, in base64 or escaped",
        "leave payloads of IDENTIFY and RESUME out of the log, and headers of REST requests";
    "health"
        "asked how it is, the client was not well again after the faults",
        "what `--health` asks must become well as soon as the client is authenticated again";
    "slow"
        "the client was back later than the scenario asks, and still within the time that it allows itself",
        "look at which of its waits took longest; with --strict this fails";
    "connections"
        "the number of connections was not the one that the scenario expects",
        "`gwtool scenarios show NAME` says what is expected; -v tells each connection";
    "identifies"
        "the number of IDENTIFYs was not the one that the scenario expects",
        "more mean that a session was thrown away, or not given up in time";
    "resumes"
        "the number of RESUMEs was not the one that the scenario expects",
        "fewer mean that a session was thrown away, more that one was lost again and again";
    "closes"
        "the number of Close frames that the client began with was not the one that the scenario expects",
        "see which connection it left, and why";
    "close_codes"
        "the client closed with another code than the scenario expects",
        "1000 and 1001 end the session: use another one before a RESUME";
    "resume_seq"
        "RESUME carried another number than the scenario expects",
        "it is the `s` of the last dispatch that was received whole";
}

/// What a finding means that is an outcome or an expectation.
pub fn meaning(id: &str) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|one| one.id.eq_ignore_ascii_case(id))
}

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

    #[test]
    fn everything_but_rules_has_a_meaning() {
        let told: Vec<&str> = MEANINGS.iter().map(|one| one.id).collect();
        let named: Vec<&str> = OUTCOMES.iter().chain(EXPECTATIONS).copied().collect();
        assert_eq!(told, named);
        assert_eq!(meaning("Died").map(|one| one.id), Some("died"));
        assert_eq!(meaning("dead"), None);
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
