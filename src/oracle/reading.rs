//! Whether the subject can read what it is sent, in whatever way that is written: C8 and Z6.
//!
//! Both show by the same signs. Who has understood HELLO sends something and stays; who has understood dispatches has their
//! numbers in its heartbeats. C8 is asked on every compressed connection of a life but the first, on which any context is a
//! fresh one, and where a payload was split; Z6 where the gateway writes its JSON otherwise than usual.

use super::docket::Docket;
use super::heartbeat::Shown;
use super::rules::Rule;
use super::view::{Connection, Shared};
use crate::time::Instant;

/// What a connection asks of its reader, and what that has shown.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Whether C8 is asked.
    is_fresh: bool,
    /// Whether Z6 is asked.
    is_odd: bool,
    has_shown: HasShown,
}

/// What the subject has shown on a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum HasShown {
    /// Nothing.
    #[default]
    Nothing,
    /// That it had HELLO.
    Hello,
    /// That it had dispatches.
    Dispatches,
}

impl Reading {
    /// The rules that are asked for.
    fn rules(&self) -> impl Iterator<Item = Rule> + use<> {
        let asked = [(self.is_fresh, Rule::C8), (self.is_odd, Rule::Z6)];
        asked
            .into_iter()
            .filter_map(|(is, rule)| is.then_some(rule))
    }
}

/// HELLO was sent.
pub(super) fn hello(connection: &mut Connection, shared: &mut Shared, json_is_odd: bool) {
    connection.reading.is_odd = json_is_odd;
    if connection.is_compressed {
        let life = shared.life;
        connection.reading.is_fresh = shared.compressed.replace(life) == Some(life);
    }
}

/// The subject sent a payload.
pub(super) fn payload(connection: &mut Connection, now: Instant, docket: &mut Docket) {
    let Some(hello) = connection.hello else {
        return;
    };
    if connection.reading.has_shown == HasShown::Nothing && connection.had_arrived(hello.at, now) {
        connection.reading.has_shown = HasShown::Hello;
        for rule in connection.reading.rules() {
            docket.kept(rule);
        }
    }
}

/// The subject sent a heartbeat, which has shown that.
pub(super) fn beat(
    connection: &mut Connection,
    shared: &Shared,
    docket: &mut Docket,
    shown: Shown,
) {
    let (number, before) = (connection.number, connection.reading.has_shown);
    match shown {
        Shown::Nothing => {}
        Shown::Known => {
            connection.reading.has_shown = HasShown::Dispatches;
            for rule in connection.reading.rules() {
                docket.kept(rule);
            }
        }
        Shown::Unknown => {
            // A context that was good is not bad later.
            let rules = connection.reading.rules();
            for rule in rules.filter(|rule| *rule == Rule::Z6 || before < HasShown::Dispatches) {
                docket.broken(rule, shared.now, Some(number), || {
                    (
                        format!("did not know in its heartbeat on #{number} what was sent to it"),
                        expected(rule).to_owned(),
                    )
                });
            }
        }
    }
}

/// No heartbeat came in time.
pub(super) fn stalls(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    if connection.reading.has_shown > HasShown::Nothing {
        return;
    }
    let number = connection.number;
    for rule in connection.reading.rules() {
        docket.broken(rule, shared.now, Some(number), || {
            let seen = format!("sent nothing on #{number} after HELLO");
            (seen, expected(rule).to_owned())
        });
    }
}

/// The subject leaves.
pub(super) fn left(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let is_proved = connection.reading.has_shown == HasShown::Dispatches;
    if is_proved || connection.hello.is_none() || connection.excuse(shared) {
        return;
    }
    let number = connection.number;
    for rule in connection.reading.rules() {
        docket.broken(rule, shared.now, Some(number), || {
            (
                format!("left #{number} before it had shown that it can read what is sent there"),
                expected(rule).to_owned(),
            )
        });
    }
}

/// What a rule of these demands.
fn expected(rule: Rule) -> &'static str {
    match rule {
        Rule::Z6 => "JSON to be read in whatever order and with whatever white space it is written",
        _ => {
            "a new decompression context with each connection, and payloads put together from their messages"
        }
    }
}
