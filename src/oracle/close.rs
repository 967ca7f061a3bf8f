//! Rules about ends of connections: R5's delay, X1, X5's shutdown half, X6 and X7.
//!
//! (X2 to X4 ask for a reconnect and are judged in `reconnect.rs`.) What is on its way when a Close crosses it is nobody's
//! fault: behind the gateway's Close a payload counts only when the subject must have had it.

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Connection, Due, Ending, How, Presence, Shared};
use super::{Effect, Finding, FindingKind};
use crate::protocol::CloseCode;
use crate::time::{Duration, show};

/// How long a connection may be kept after op 7.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);
/// How long the answer to a Close may be awaited.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// The gateway sent op 7.
pub(super) fn told_to_leave(connection: &mut Connection, shared: &Shared) {
    let is_owed = connection.due(Due::Leave) != crate::time::Instant::FOREVER;
    if !is_owed && connection.is_open() && connection.is_clear() && !shared.is_suspended() {
        let limit = LEAVE_WITHIN + shared.slack(shared.interval);
        connection.expect(Due::Leave, shared.now + limit);
    }
}

/// The gateway closed: an answer is owed, if it can be given and seen.
pub(super) fn cut(connection: &mut Connection, shared: &Shared, how: How) {
    connection.settle_all();
    if matches!(how, How::Close(_))
        && connection.left.is_none()
        && connection.is_clear()
        && !shared.is_suspended()
    {
        let limit = shared.allowances.close.max(HANDSHAKE) + shared.slack(shared.interval);
        connection.expect(Due::Echo, shared.now + limit);
    }
}

/// The subject began to leave.
pub(super) fn left(connection: &mut Connection, shared: &Shared, docket: &mut Docket, how: How) {
    if connection.settle(Due::Leave) {
        docket.kept(Rule::R5);
    }
    connection.settle_all();
    if matches!(how, How::Close(_)) && !shared.is_suspended() {
        let limit = shared.allowances.close.max(HANDSHAKE) + shared.slack(shared.interval);
        connection.expect(Due::Handshake, shared.now + limit);
    }
}

/// The subject answered the gateway's Close, or ended the connection without an answer.
pub(super) fn answered(
    connection: &mut Connection,
    shared: &Shared,
    docket: &mut Docket,
    how: How,
) {
    if !connection.settle(Due::Echo) {
        return;
    }
    match how {
        How::Close(_) => docket.kept(Rule::X6),
        // Dropping the socket ends the connection as surely; some sound clients do.
        _ => docket.found(
            Rule::X6,
            Effect::Shown,
            shared.now,
            Some(connection.number),
            || {
                (
                    format!("dropped #{} without answering the Close", connection.number),
                    "a Close in answer".to_owned(),
                )
            },
        ),
    }
}

/// A connection is over on the subject's side.
pub(super) fn gone(connection: &mut Connection, docket: &mut Docket) {
    if connection.settle(Due::Handshake) {
        docket.kept(Rule::X7);
    }
}

/// The subject sent a payload: is it behind a Close?
pub(super) fn payload(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    let behind = |docket: &mut Docket, whose: &str| {
        docket.broken(Rule::X6, shared.now, Some(number), || {
            (
                format!("sent a payload on #{number} behind {whose} Close"),
                "nothing behind a Close".to_owned(),
            )
        });
    };
    match (connection.left, connection.cut) {
        (
            Some(Ending {
                how: How::Close(_), ..
            }),
            _,
        ) => behind(docket, "its own"),
        (
            _,
            Some(Ending {
                at,
                how: How::Close(_),
            }),
        ) if connection.is_clear()
            && shared.now - at > shared.slack(connection.interval(shared)) =>
        {
            behind(docket, "the gateway's");
        }
        _ => {}
    }
}

/// The subject is still there though it was told to leave.
pub(super) fn leave_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    docket.broken(Rule::R5, shared.now, Some(number), || {
        (
            format!("still on #{number} {} after op 7", show(LEAVE_WITHIN)),
            format!("to leave it within {}", show(LEAVE_WITHIN)),
        )
    });
}

/// The gateway's Close was not answered.
pub(super) fn echo_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    docket.broken(Rule::X6, shared.now, Some(number), || {
        (
            format!("the gateway's Close on #{number} was not answered"),
            "a Close in answer".to_owned(),
        )
    });
}

/// The subject's Close was not answered, and it is still waiting.
pub(super) fn handshake_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    docket.broken(Rule::X7, shared.now, Some(number), || {
        let since = connection.left.map_or(shared.now, |left| left.at);
        (
            format!(
                "#{number} is still open {} after the Close",
                show(shared.now - since)
            ),
            format!("to drop it after about {}", show(HANDSHAKE)),
        )
    });
}

/// The subject sent its Close after it was told to stop.
pub(super) fn shutdown(
    connection: &Connection,
    shared: &Shared,
    docket: &mut Docket,
    code: Option<CloseCode>,
    was_up: bool,
) {
    if !was_up
        || !connection.is_open()
        || connection.damage.is_struck
        || connection.trouble.is_some()
    {
        return;
    }
    docket.is_open = true;
    if code.is_some_and(CloseCode::ends_session_from_client) {
        docket.kept(Rule::X5);
    } else {
        let number = connection.number;
        docket.broken(Rule::X5, shared.now, Some(number), || {
            let code = code.map_or_else(|| "no code".to_owned(), |code| format!("code {code}"));
            (
                format!("closed #{number} with {code} at shutdown"),
                "1000 or 1001: the session would live on".to_owned(),
            )
        });
    }
    docket.is_open = false;
}

/// The subject began an attempt to connect: may it, after a stop or a fatal code?
pub(super) fn connects(shared: &Shared, docket: &mut Docket, connection: Option<u32>) {
    let what = connection.map_or_else(|| "a new one".to_owned(), |number| format!("#{number}"));
    let resurrected = |docket: &mut Docket, expected: String| {
        docket.push_again(Finding {
            kind: FindingKind::Outcome,
            id: "resurrected".to_owned(),
            effect: Effect::Fails,
            at: shared.now,
            connection,
            seen: format!("connected again: {what}"),
            expected,
            evidence: Vec::new(),
            accepted: None,
        });
    };
    match shared.presence {
        // One connect may be under way when a stop arrives.
        Presence::Dismissed { at, under_way } if shared.now - at > under_way => {
            let expected = format!("no connection after it was told to stop at {at}");
            resurrected(docket, expected);
        }
        Presence::Banned { at, code, crossing } if shared.now - at >= crossing => {
            let expected = format!("no connection after {code} ({})", code.meaning());
            resurrected(docket, expected);
            docket.broken(Rule::X1, shared.now, connection, || {
                (
                    format!("connected again after {code} ({}): {what}", code.meaning()),
                    "to stay away: the code says that trying again cannot help".to_owned(),
                )
            });
        }
        _ => {}
    }
}

/// The subject authenticates on a connection that was under way when it was told to stop.
pub(super) fn authenticates(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    // As long again for what it sends on such a connection: a signal that comes in between is handled behind it.
    let times = if shared.sees_process { 2 } else { 1 };
    if let Presence::Dismissed { at, under_way } = shared.presence
        && connection.accepted_at > at
        && connection.accepted_at - at <= under_way
        && shared.now - at > times * under_way
    {
        docket.push_again(Finding {
            kind: FindingKind::Outcome,
            id: "resurrected".to_owned(),
            effect: Effect::Fails,
            at: shared.now,
            connection: Some(connection.number),
            seen: format!("goes on with #{}", connection.number),
            expected: "to give it up: it was told to stop".to_owned(),
            evidence: Vec::new(),
            accepted: None,
        });
    }
}
