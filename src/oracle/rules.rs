//! The table of rules: what each demands, where Discord says so, and how a broken one looks.
//!
//! `gwtool rules` prints it, and findings take their level from it. A rule stands here only if the judge evaluates it; its
//! code is in the file that its id names (`heartbeat/H6` in `heartbeat.rs`). SHOULD means documented advice, or what mature
//! clients agree on; where sound clients differ, SEMANTICS.md wins and a rule says nothing.

use super::RuleLevel;
use crate::trace::Vantage;
use serde::Serialize;

/// What there is to know of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleInfo {
    /// Its id, group first: `heartbeat/H6`.
    pub id: &'static str,
    /// How binding it is.
    pub level: RuleLevel,
    /// What it demands, in a sentence.
    pub text: &'static str,
    /// What comes of breaking it.
    pub why: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// The first version of gwtool that has it.
    pub since: &'static str,
    /// Its own version, counted from 1: raised when the same trace may be judged otherwise than before.
    pub version: u8,
    /// From where a run has to be seen for it to be judged.
    pub vantages: &'static [Vantage],
    /// How a violation looks.
    pub looks_like: &'static str,
    /// What to look for in a client that breaks it.
    pub hint: &'static str,
}

/// Every rule, in the order of the protocol's groups.
pub fn all() -> &'static [RuleInfo] {
    RULES
}

/// The rule of that id; the letter and number alone will do.
pub fn find(id: &str) -> Option<&'static RuleInfo> {
    let short = |known: &'static str| known.split_once('/').map_or(known, |(_, short)| short);
    RULES
        .iter()
        .find(|rule| rule.id.eq_ignore_ascii_case(id) || short(rule.id).eq_ignore_ascii_case(id))
}

/// What a subject sends shows wherever one stands.
const ANYWHERE: &[Vantage] = &[Vantage::Gateway, Vantage::Client, Vantage::Middle];
/// Which listener was called, and what was on its way, is known only on the gateway's side of the subject.
const OUTSIDE: &[Vantage] = &[Vantage::Gateway, Vantage::Middle];

macro_rules! rules {
    ($($rule:ident $group:literal $level:ident $vantages:ident $version:literal
        $text:literal, $why:literal, $source:literal, $looks_like:literal, $hint:literal;)*) => {
        /// A rule, as the judge's own code names it; the place of each is its place in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Rule { $($rule),* }

        const RULES: &[RuleInfo] = &[$(RuleInfo {
            id: concat!($group, "/", stringify!($rule)),
            level: RuleLevel::$level,
            text: $text,
            why: $why,
            source: $source,
            since: "0.1.0",
            version: $version,
            vantages: $vantages,
            looks_like: $looks_like,
            hint: $hint,
        }),*];
    };
}

impl Rule {
    /// What there is to know of it.
    pub(super) const fn info(self) -> &'static RuleInfo {
        &RULES[self as usize]
    }
}

rules! {
    C1 "connect" Should OUTSIDE 1
        "the gateway's URL is learnt once and kept, not asked for again on every reconnect",
        "REST has limits of its own, and after an outage every client would ask at once",
        "Discord, Gateway, Get Gateway",
        "a request for /gateway or /gateway/bot before a reconnect although the known URL worked",
        "keep the URL and ask again only when it cannot be connected to";
    C2 "connect" Should OUTSIDE 1
        "the URL names the version (`v`) and the `encoding`",
        "what is left out the gateway chooses, and may choose otherwise tomorrow",
        "Discord, Gateway, Connecting",
        "an upgrade request without one of them",
        "without `v` the API's default applies, which is an old version";
    C3 "connect" Must ANYWHERE 1
        "nothing but heartbeats, IDENTIFY and RESUME is sent before READY or RESUMED",
        "the gateway closes with 4003",
        "Discord, Opcodes and Status Codes, close code 4003",
        "another opcode on a connection that is not authenticated",
        "queue commands until READY or RESUMED has been received";
    C4 "connect" Should ANYWHERE 1
        "nothing is sent before HELLO",
        "the interval is not known before HELLO: what comes earlier is a timer of another connection",
        "Discord, Gateway, Connection Lifecycle",
        "a frame on a connection that has had no HELLO: often a heartbeat timer of the connection before",
        "a timer belongs to its connection and dies with it";
    C5 "connect" Must ANYWHERE 1
        "an op 7 before HELLO is survived and costs no session",
        "a gateway that goes away says so at any time, and a new session is one of 1000 a day",
        "Discord, Gateway Events, Reconnect",
        "IDENTIFY after an op 7 that came before HELLO, though a session could be resumed",
        "accept every opcode in every state of a connection";
    C6 "connect" Should ANYWHERE 1
        "the wait for the upgrade and for HELLO is bounded",
        "a gateway that accepts and then is silent would hold the client for ever",
        "not specified; agreed by mature clients",
        "a connection that is silent from the beginning is still open after 66 s",
        "arm a deadline when the connection is opened, and one when the upgrade is answered";
    C7 "connect" Should OUTSIDE 1
        "compression is asked for once: of the transport or of payloads",
        "the gateway ignores the second, and a client that inflates twice can read nothing",
        "Discord, Gateway, Payload Compression",
        "`compress` in the query and `\"compress\":true` in IDENTIFY",
        "leave `compress` out of IDENTIFY where the URL has it: the gateway ignores it there";
    C8 "connect" Must ANYWHERE 1
        "every connection has a decompression context of its own, and a payload may come in several messages",
        "a context that is shared, or begun anew in mid-stream, makes all that follows unreadable",
        "Discord, Gateway, Transport Compression",
        "a compressed connection is left or stalls at its HELLO, or heartbeats do not follow what was sent",
        "make a new context with each connection, and keep bytes until a payload is whole";
    H1 "heartbeat" Must ANYWHERE 1
        "the first heartbeat comes no later than one interval after HELLO",
        "the gateway takes a client without heartbeats for dead, and closes",
        "Discord, Gateway, Heartbeat Interval",
        "no heartbeat within the interval",
        "the first delay is the interval times a random number from 0 to 1";
    H2 "heartbeat" Should ANYWHERE 1
        "the first heartbeat comes at a random part of the interval",
        "clients that come back together after an outage would beat together ever after",
        "Discord, Gateway, Heartbeat Interval",
        "the first heartbeats of ten connections came all at the same part of the interval: at once, or at its end",
        "draw a number from 0 to 1 for each connection: many clients come back at the same time after an outage";
    H3 "heartbeat" Must ANYWHERE 1
        "heartbeats come every interval of the connection's own HELLO, and not much faster",
        "the gateway closes on who is late, and heartbeats that come too fast eat up the send limit",
        "Discord, Gateway, Sending Heartbeats",
        "a gap longer than the interval, or more than two heartbeats an interval",
        "look for a second timer of an older connection, or for heartbeats that wait in a send queue";
    H4 "heartbeat" Must ANYWHERE 1
        "a heartbeat carries the last sequence number received in the session, or null",
        "it tells the gateway what has arrived, and the client where to resume: a wrong number loses or repeats events",
        "Discord, Gateway, Sending Heartbeats",
        "a number that was never sent, an older one, or 0",
        "store `s` of every dispatch before it is handled, and forget it with the session";
    H5 "heartbeat" Must ANYWHERE 1
        "a request for a heartbeat (op 1) is answered with op 1 at once",
        "the gateway asks when it doubts that the client lives",
        "Discord, Gateway, Heartbeat Requests",
        "no heartbeat within a second of the request, or an op 11",
        "answer outside the send queue; op 11 is the gateway's to send";
    H6 "heartbeat" Must ANYWHERE 1
        "a connection that acknowledges no heartbeat is left",
        "a connection can be dead without FIN or RST: missing ACKs are all that tells",
        "Discord, Gateway, Sending Heartbeats",
        "a silent connection that is still open after three intervals",
        "check at each beat that the one before was acknowledged";
    H7 "heartbeat" Must ANYWHERE 1
        "after a connection was left for a missing ACK the session is resumed",
        "what was sent meanwhile comes only with a RESUME",
        "Discord, Gateway, Sending Heartbeats",
        "no new connection, or IDENTIFY on it",
        "a zombie connection says nothing about the session: keep it";
    H8 "heartbeat" Must ANYWHERE 1
        "heartbeats go on while READY or RESUMED is awaited",
        "in an outage READY can take minutes, and heartbeats count all the while",
        "Discord, Gateway, Connection Lifecycle",
        "no heartbeat for more than an interval between IDENTIFY or RESUME and its answer",
        "start the heart at HELLO, not at READY";
    H9 "heartbeat" Should ANYWHERE 1
        "an ACK that is still due for a requested heartbeat is not a missing one",
        "two heartbeats may be under way at once: a sound connection would be given up",
        "Discord, Gateway, Heartbeat Requests",
        "the connection is left while the only open ACK is younger than an interval",
        "measure the ACK's time from its own beat";
    I1 "identify" Must ANYWHERE 1
        "a connection is authenticated once: no second IDENTIFY or RESUME without an op 9 between",
        "the gateway closes with 4005",
        "Discord, Opcodes and Status Codes, close code 4005",
        "a second IDENTIFY on one connection",
        "a HELLO or a timer that identifies again";
    I2 "identify" Must ANYWHERE 1
        "IDENTIFY has a token, integer intents and the three connection properties",
        "the gateway cannot use it, and the next attempt is no better",
        "Discord, Gateway Events, Identify",
        "a field that is missing or of the wrong type",
        "see the structure of IDENTIFY in the documentation";
    I3 "identify" Must ANYWHERE 1
        "IDENTIFY asks for no intent that does not exist",
        "a bit of another kind of account, or of none, is a mistake that no retry mends",
        "Discord, Gateway, Gateway Intents",
        "a bit that no documented intent has",
        "the gateway closes with 4013, which forbids a reconnect";
    I4 "identify" Must ANYWHERE 1
        "`shard` is a pair [id, count] with id below count, and the count stays the same",
        "events go to shards by the guild's id and the count: another count sends them elsewhere",
        "Discord, Gateway, Sharding",
        "a pair that cannot be, or another count on a reconnect",
        "ids are counted from zero";
    I5 "identify" Must ANYWHERE 1
        "sessions of one rate limit key are started at least 5 s apart",
        "the gateway answers with op 9, which asks for yet another IDENTIFY",
        "Discord, Gateway, Session Start Limit Object",
        "two IDENTIFYs within 5 s",
        "remember when the last one was sent, across connections";
    I6 "identify" Must ANYWHERE 1
        "no more sessions are started than `/gateway/bot` says are left",
        "Discord ends all sessions of the bot and resets its token",
        "Discord, Gateway, Session Start Limit Object",
        "an IDENTIFY beyond `remaining` before `reset_after` has passed",
        "count down `remaining`, and wait when it is 0: Discord resets the token otherwise";
    I7 "identify" Must ANYWHERE 1
        "RESUME is sent only by a client that has had a READY",
        "there is nothing to resume: the gateway answers with op 9, and time is lost",
        "Discord, Gateway, Preparing to Resume",
        "a RESUME before the first READY, often with a null session id",
        "a connection lost before READY leaves nothing to resume";
    R1 "resume" Should OUTSIDE 1
        "a session is resumed on the URL that READY named",
        "sessions that are resumed elsewhere are disconnected more often",
        "Discord, Gateway, Preparing to Resume",
        "RESUME on the main listener though the resume URL had not failed",
        "keep `resume_gateway_url` with the session";
    R2 "resume" Must OUTSIDE 1
        "the connection that resumes has the query parameters of the first one",
        "a client that expects another encoding or compression cannot read what comes",
        "Discord, Gateway, Preparing to Resume",
        "another `v`, `encoding` or `compress`",
        "`resume_gateway_url` comes without a query: add it";
    R3 "resume" Must ANYWHERE 1
        "RESUME has the token, the session id of a READY and an integer sequence number",
        "the gateway refuses it, and the session is lost",
        "Discord, Gateway Events, Resume",
        "a null, a missing field or an id that the gateway never gave",
        "session id, resume URL and sequence are one value: all or none";
    R4 "resume" Must ANYWHERE 1
        "after a close code that lets the session live the session is resumed",
        "what was sent since the loss comes only with a RESUME",
        "Discord, Gateway, Resuming",
        "IDENTIFY though the session could be resumed",
        "each IDENTIFY is one of 1000 a day, and what was sent meanwhile is lost";
    R5 "resume" Must ANYWHERE 1
        "op 7 is obeyed: leave within seconds and resume",
        "a host that goes away closes by itself soon, ready or not",
        "Discord, Gateway Events, Reconnect",
        "still there after 10 s, or IDENTIFY afterwards",
        "close with a code other than 1000 and 1001, and keep the session";
    R6 "resume" Must ANYWHERE 1
        "after op 9 with d true the session is resumed",
        "the session lives, and with it whatever has not arrived",
        "Discord, Gateway, Resuming",
        "IDENTIFY as the first answer",
        "d says whether the session may be resumed";
    R7 "resume" Must OUTSIDE 1
        "after op 9 with d false the session is forgotten, and a new one is started on the main URL",
        "the session is gone: RESUME would be refused for ever",
        "Discord, Gateway, Resuming",
        "RESUME with the id that was declared invalid, or IDENTIFY on a new connection to the resume URL",
        "drop session id, resume URL and sequence together";
    R8 "resume" Should ANYWHERE 1
        "after 4007 and 4009 a new session is started",
        "the session is over: RESUME costs a refusal and its time",
        "Discord, Opcodes and Status Codes, Gateway Close Event Codes",
        "RESUME with the session that the code ended",
        "these two codes end the session though a reconnect is right";
    R9 "resume" Must ANYWHERE 1
        "a new READY replaces the session, and RESUMED replaces nothing",
        "id, URL and numbers belong together: the gateway refuses a mixture",
        "Discord, Gateway Events, Ready",
        "RESUME with the id of a session that a later READY has replaced",
        "take id, URL and sequence from every READY";
    R10 "resume" Must OUTSIDE 1
        "a resume URL that cannot be reached is given up for the main one",
        "the host on which a session lived can be gone for good",
        "Discord, Gateway, Handling a Disconnect",
        "more than five failed attempts in a row at the resume URL alone",
        "count connects that fail at the resume URL";
    X1 "close" Must OUTSIDE 1
        "no reconnect after 4004 and 4010 to 4014",
        "token, shard or intents are wrong, and remain so",
        "Discord, Opcodes and Status Codes, Gateway Close Event Codes",
        "a new connection after one of them",
        "these codes say that trying again cannot help";
    X2 "close" Must OUTSIDE 1
        "a reconnect after 4000 to 4003, 4005 and 4007 to 4009",
        "none of these codes says that the next connection would end like this one",
        "Discord, Opcodes and Status Codes, Gateway Close Event Codes",
        "no connect after one of them",
        "decide by the code, and reconnect on all that are not fatal";
    X3 "close" Must OUTSIDE 1
        "a reconnect and RESUME after a connection that ended without a code",
        "networks cut connections without a word, and the session outlives that for minutes",
        "Discord, Gateway, Resuming",
        "no connect, or IDENTIFY on it, after FIN, RST or an empty Close",
        "an end without a code says nothing against the session";
    X4 "close" Should OUTSIDE 1
        "a reconnect after codes that Discord does not document, 1000 included",
        "gateways have sent 1000 for missed heartbeats, and what stands between sends codes of its own",
        "not specified; agreed by mature clients",
        "no connect after such a code",
        "a 1000 that the gateway sends is not the end of the session";
    X5 "close" Must ANYWHERE 1
        "1000 and 1001 are for good: a shutdown uses one of them, a close before a RESUME neither",
        "1000 and 1001 end the session at once; with any other code the bot stays online for minutes",
        "Discord, Gateway, Initiating a Disconnect",
        "RESUME after a Close with 1000 or 1001, or a shutdown with another code",
        "1000 is what a WebSocket library sends by default";
    X6 "close" Must ANYWHERE 1
        "a Close is answered with a Close, and nothing is sent behind one",
        "the far end waits for the answer, and nobody reads what comes behind a Close",
        "RFC 6455, section 5.5.1",
        "a payload after a Close, or a connection that hangs half closed",
        "timers of the connection must stop when the closing begins";
    X7 "close" Should ANYWHERE 1
        "the wait for the answer to a Close is bounded",
        "the far end may be gone: who waits for it for ever is dead as well",
        "not specified; agreed by mature clients",
        "a connection whose Close was not answered is still open after 30 s",
        "drop the socket when the answer does not come";
    B1 "reconnect" Should OUTSIDE 1
        "delays between failed attempts grow",
        "attempts at a fixed pace keep a gateway down that is coming up",
        "discord-api-docs#1369",
        "attempt after attempt at the same distance; more than five a second fails the run",
        "double the delay, add jitter, cap it, and reset it only when a session stays up";
    B2 "reconnect" Should OUTSIDE 1
        "a gateway that accepts and closes again is not hammered",
        "a gateway in trouble accepts and closes: who starts anew at once makes it worse",
        "discord-api-docs#1369",
        "more than 60 connects a minute",
        "an open connection alone is no success: reset the delay later";
    B3 "reconnect" Should OUTSIDE 1
        "attempts go on until one succeeds",
        "outages end: a client that has given up needs somebody to restart it",
        "not specified; agreed by mature clients",
        "no connect though the gateway can be reached again",
        "an error of a connect must lead to the next one, in every path";
    B4 "reconnect" Must ANYWHERE 1
        "not more than 12 IDENTIFYs a minute",
        "a storm of an hour would spend the IDENTIFYs of a day",
        "Discord, Gateway, Session Start Limit Object",
        "IDENTIFY after IDENTIFY in a storm",
        "1000 a day are all there are; then the token is reset";
    T1 "rate" Must ANYWHERE 1
        "at most 120 payloads in 60 s on a connection, heartbeats included",
        "the gateway closes with 4008",
        "Discord, Gateway, Rate Limiting",
        "more than that",
        "pace commands and keep a reserve for heartbeats";
    T2 "rate" Must ANYWHERE 1
        "heartbeats are on time however many commands wait",
        "a heartbeat behind a hundred commands is late by a minute, and the gateway closes",
        "Discord, Gateway, Sending Heartbeats",
        "no heartbeat within the interval while at least half of the payloads of a minute were sent",
        "send heartbeats past the queue, and keep a part of the limit for them";
    T3 "rate" Must ANYWHERE 1
        "a payload has at most 4096 bytes",
        "the gateway takes none of it",
        "Discord, Gateway, Sending Events",
        "a longer one",
        "the gateway closes with 4002";
    T4 "rate" Must ANYWHERE 1
        "after RATE_LIMITED the command is not repeated before its time",
        "what comes earlier is refused again",
        "Discord, Gateway Events, Rate Limited",
        "the same opcode, for the same guild, before `retry_after` has passed",
        "hold the opcode back for `retry_after` seconds";
    D1 "delivery" Must ANYWHERE 1
        "dispatches of a session reach the application in the order of their sequence numbers",
        "an application that sees an old state after a new one keeps the old one",
        "Discord, Gateway, Resuming",
        "a lower number delivered after a higher one",
        "handle replayed dispatches before those that follow RESUMED";
    D2 "delivery" Must ANYWHERE 1
        "the number in RESUME was received, and is not lower than one that was confirmed before",
        "a number too high loses events without a word, one too low repeats them",
        "Discord, Gateway, Resuming",
        "a number that was never sent, or below that of an earlier heartbeat or RESUME",
        "one sequence number for each session, set by dispatches only";
    D3 "delivery" Must ANYWHERE 1
        "a payload with a null `s` does not change the sequence number",
        "most payloads have no number: a client that takes it from them loses its place",
        "Discord, Gateway Events, Payload Structure",
        "a heartbeat with null after dispatches were received",
        "store `s` only where it is a number";
    D4 "delivery" Must ANYWHERE 1
        "after a cut in mid-replay the next RESUME goes on from what was replayed",
        "what was replayed has been received: it must neither come again nor be skipped",
        "Discord, Gateway, Resuming",
        "a number below that of the RESUME before, or beyond what was replayed",
        "count replayed dispatches as any others";
    D5 "delivery" Must ANYWHERE 1
        "what arrives while a connection is being left is delivered and counted, or neither",
        "an event that is counted and not delivered is lost; one that is delivered and not counted comes twice",
        "derived from Discord, Gateway, Resuming",
        "a dispatch was delivered, and RESUME carries a lower number",
        "stop handling a connection at the moment when its sequence number is taken";
    Z1 "robustness" Should ANYWHERE 1
        "an unknown opcode is ignored",
        "Discord adds opcodes without asking anybody",
        "agreed by mature clients",
        "the connection is left right after one",
        "the default branch does nothing";
    Z2 "robustness" Must ANYWHERE 1
        "an unknown event or field is ignored",
        "Discord sends events and fields that it does not document",
        "Discord, Gateway Events, Payload Structure",
        "the connection is left right after one",
        "decode only what is needed";
    Z3 "robustness" Should ANYWHERE 1
        "a message that cannot be decoded costs the connection at most, never the session",
        "one message that cannot be read is no reason to lose the session, or the client",
        "not specified; agreed by mature clients",
        "a Close with 1000 or 1001, or IDENTIFY, after it",
        "close with a code of your own and resume";
    Z4 "robustness" Should ANYWHERE 1
        "a large payload does not hold heartbeats up",
        "READY of a bot in many guilds takes megabytes, and heartbeats count meanwhile",
        "Discord, Gateway Events, Ready",
        "no heartbeat within the interval in which a payload of 1 MiB or more was sent",
        "decode outside the loop that runs the timers, or in pieces";
    Z5 "robustness" Must ANYWHERE 1
        "a WebSocket ping is answered with a pong",
        "what stands between client and gateway closes connections that do not answer",
        "RFC 6455, section 5.5.2",
        "no pong within 5 s",
        "a library answers only while it is being read";
    Z6 "robustness" Should ANYWHERE 1
        "the order of keys, white space and keys that are not known do not matter",
        "objects have no order in JSON: another library at the far end, and it is another one",
        "RFC 8259, sections 2 and 4",
        "a connection is left or stalls at its HELLO, or heartbeats do not follow what was sent, as JSON is written otherwise",
        "use a JSON parser, and take `op`, `s` and `t` from the outermost object only";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_id_and_by_its_number() {
        assert_eq!(find("heartbeat/H6"), find("h6"));
        assert_eq!(find("h6").unwrap().id, Rule::H6.info().id);
        assert_eq!(find("H66"), None);
    }

    #[test]
    fn ids_are_unique_and_texts_fit_into_a_sentence() {
        let mut ids: Vec<&str> = all().iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all().len());
        for rule in all() {
            assert!(rule.version > 0 && !rule.vantages.is_empty(), "{}", rule.id);
            for sentence in [rule.why, rule.source, rule.looks_like, rule.hint] {
                assert!(
                    !sentence.is_empty() && !sentence.ends_with('.'),
                    "{}",
                    rule.id
                );
            }
            assert!(
                !rule.text.ends_with('.') && !rule.text.starts_with(char::is_uppercase)
                    || rule.text.starts_with("RESUME")
                    || rule.text.starts_with("IDENTIFY"),
                "{}",
                rule.id
            );
        }
    }
}
