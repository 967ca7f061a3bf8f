//! Rules about oddities: Z1, Z2 and Z5. (Z3 asks for a RESUME and is judged in `reconnect.rs`.)
//!
//! A subject that leaves right after something unknown left because of it; one that is still there a while later ignored it.

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Connection, Due, ODDITY, Shared, Trouble};
use crate::protocol::{Json, Opcode};
use crate::time::{Duration, Instant, show};

/// How long a pong may take.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// The gateway sent a payload that is to be ignored.
pub(super) fn odd(connection: &mut Connection, docket: &mut Docket, now: Instant, op: Opcode) {
    settle(connection, docket, now);
    let rule = if op == Opcode::DISPATCH {
        Rule::Z2
    } else {
        Rule::Z1
    };
    if connection.is_open() && connection.oddity.is_none() {
        connection.oddity = Some((now, rule));
    }
}

/// The schedule sent a dispatch: one that nobody knows is to be ignored, while one of the gateway's own events without a payload
/// cannot be read.
pub(super) fn odd_dispatch(
    connection: &mut Connection,
    docket: &mut Docket,
    now: Instant,
    (t, d): (Option<&str>, &Json),
) {
    let is_known = matches!(
        t,
        Some("READY" | "RESUMED" | "GUILD_CREATE" | "MESSAGE_CREATE")
    );
    if is_known && d.get().trim() == "null" {
        connection.trouble = connection.trouble.or(Some((now, Trouble::Nonsense)));
    } else {
        odd(connection, docket, now, Opcode::DISPATCH);
    }
}

/// The gateway sent a message in fragments.
pub(super) fn fragmented(connection: &mut Connection, docket: &mut Docket, now: Instant) {
    settle(connection, docket, now);
    if connection.is_open() && connection.oddity.is_none() {
        connection.oddity = Some((now, Rule::Z5));
    }
}

/// Time has passed: whoever is still there has ignored it.
pub(super) fn settle(connection: &mut Connection, docket: &mut Docket, now: Instant) {
    if let Some((_, rule)) = connection.oddity.take_if(|(at, _)| now - *at > ODDITY) {
        docket.kept(rule);
    }
}

/// The subject leaves.
pub(super) fn left(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    settle(connection, docket, shared.now);
    let number = connection.number;
    if connection.damage.is_struck || connection.trouble.is_some() || shared.is_suspended() {
        return;
    }
    if let Some((at, rule)) = connection.oddity {
        docket.broken(rule, shared.now, Some(number), || {
            let (what, expected) = match rule {
                Rule::Z1 => ("an unknown opcode", "to ignore it"),
                Rule::Z5 => ("a message in fragments", "to put it together"),
                _ => ("an unknown event", "to ignore it"),
            };
            (
                format!("left #{number} {} after {what}", show(shared.now - at)),
                expected.to_owned(),
            )
        });
    }
}

/// The gateway sent a ping.
pub(super) fn pinged(connection: &mut Connection, shared: &Shared) {
    let is_owed = connection.due(Due::Pong) != Instant::FOREVER;
    if !is_owed && connection.is_open() && connection.is_clear() && !shared.is_suspended() {
        let limit = PONG_WITHIN + shared.slack(Duration::ZERO);
        connection.expect(Due::Pong, shared.now + limit);
    }
}

/// The subject sent a pong.
pub(super) fn ponged(connection: &mut Connection, docket: &mut Docket) {
    if connection.settle(Due::Pong) {
        docket.kept(Rule::Z5);
    }
}

/// A pong did not come.
pub(super) fn pong_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    docket.broken(Rule::Z5, shared.now, Some(number), || {
        (
            format!("no pong on #{number}"),
            format!("one within {}", show(PONG_WITHIN)),
        )
    });
}
