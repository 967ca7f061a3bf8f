//! Rules about RESUME: I7, R1, R3, R8, R9, the session half of R7, X5, and what its number shows (D2, D4, D5).
//!
//! Whether a RESUME was due at all is judged in `reconnect.rs`. An id that the trace has never seen is nobody's fault where the
//! subject was handed a session of an earlier life.

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Dead, View};
use crate::fault::Port;
use crate::protocol::Json;
use crate::trace::Side;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of RESUME, unread.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
}

/// What a RESUME named.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Named {
    /// Serial number of the session, if it is one that the gateway gave.
    pub(super) session: Option<u32>,
    /// The shard of that session.
    pub(super) shard: Option<u32>,
    /// The sequence number.
    pub(super) seq: Option<u64>,
    /// Whether the number was taken from a payload that is no dispatch.
    pub(super) is_odd: bool,
}

/// The subject sent RESUME.
pub(super) fn resume(view: &mut View, docket: &mut Docket, place: usize, d: &Json) -> Named {
    let now = view.shared.now;
    let connection = &view.connections[place];
    let (number, port) = (connection.number, connection.port);
    // A RESUME whose bytes a fault held back is read long after it was written.
    let is_prompt = connection.is_clear() && !connection.damage.is_struck;
    // And what became of the session since its writer cannot have known.
    let is_late = connection.damage.is_unseen;
    let sent = |rule: Rule, docket: &mut Docket, seen: &str, expected: &str| {
        docket.broken(rule, now, Some(number), || {
            (
                format!("sent RESUME with {seen} on #{number}"),
                expected.to_owned(),
            )
        });
    };
    let Ok(fields) = d.read::<Fields<'_>>() else {
        sent(
            Rule::R3,
            docket,
            "no object",
            "token, session id and sequence number",
        );
        return Named::default();
    };
    let seq = fields.seq.and_then(|raw| raw.get().parse::<u64>().ok());
    let id = fields
        .session_id
        .and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let had_ready = !view.sessions.is_empty() || view.shared.with_session;
    if !had_ready {
        sent(
            Rule::I7,
            docket,
            "no session",
            "IDENTIFY: the gateway has sent no READY yet",
        );
        return Named::default();
    }
    docket.kept(Rule::I7);
    let has_token = fields
        .token
        .is_some_and(|raw| raw.get().starts_with('"') && raw.get() != "\"<token:wrong>\"");
    let (with_session, is_program) = (view.shared.with_session, view.shared.sees_process);
    let session = id.as_deref().and_then(|id| view.session_by_id(id));
    match (&id, seq) {
        _ if !has_token => sent(Rule::R3, docket, "no valid token", "the token of IDENTIFY"),
        (None, _) => sent(Rule::R3, docket, "no session id", "the session id of READY"),
        (_, None) => sent(
            Rule::R3,
            docket,
            "no sequence number",
            "the last one received",
        ),
        (Some(id), _) if session.is_none() && !with_session => {
            sent(
                Rule::R3,
                docket,
                &format!("the unknown session `{id}`"),
                "the session id of READY",
            );
        }
        _ => docket.kept(Rule::R3),
    }
    let Some(session) = session else {
        return Named {
            seq,
            ..Named::default()
        };
    };
    let is_odd = seq.is_some() && seq == session.odd;
    let named = Named {
        session: Some(session.serial),
        shard: session.shard,
        seq,
        is_odd,
    };
    match session.dead {
        Some(_) if is_late => {}
        Some(Dead::Invalid) => sent(
            Rule::R7,
            docket,
            &format!("the session `{}`", session.id),
            "IDENTIFY: op 9 with d false has ended that session",
        ),
        Some(Dead::Code(code)) => sent(
            Rule::R8,
            docket,
            &format!("the session `{}`", session.id),
            &format!(
                "IDENTIFY: {code} ({}) has ended that session",
                code.meaning()
            ),
        ),
        Some(Dead::Replaced) => sent(
            Rule::R9,
            docket,
            &format!("the session `{}`", session.id),
            "the session of the latest READY",
        ),
        Some(Dead::Closed(code)) => sent(
            Rule::X5,
            docket,
            &format!("a session that its own Close with {code} has ended"),
            "a close with another code where a RESUME is to follow",
        ),
        None => {
            docket.kept(Rule::X5);
            docket.kept(Rule::R9);
        }
    }
    if session.dead.is_none() {
        if let Some(seq) = seq.filter(|_| !is_odd) {
            let manner = (is_prompt, is_late, is_program);
            sequence(session, docket, now, number, seq, manner);
        } else if is_odd {
            docket.found(Rule::D3, super::Effect::Note, now, Some(number), || {
                (
                    format!("took the `s` of a payload that is no dispatch: RESUME on #{number}"),
                    "`s` to be taken from dispatches only".to_owned(),
                )
            });
        }
    }
    // After op 9 with d true the same connection will do.
    let is_new = view.connections[place].auths == 0;
    let is_refused_unseen = view.refuses_unseen();
    let trail = view.trail(named.shard);
    if port == Port::Resume {
        docket.kept(Rule::R1);
    } else if is_new
        && trail.loss.is_some()
        && !(trail.resume_url_failed || is_refused_unseen)
        && named.session.is_some()
    {
        docket.broken(Rule::R1, now, Some(number), || {
            (
                format!("sent RESUME on #{number} at the main URL"),
                "the resume URL of READY".to_owned(),
            )
        });
    }
    named
}

/// The number that a RESUME carries, against what was sent and what was confirmed before.
fn sequence(
    session: &mut super::view::Session,
    docket: &mut Docket,
    now: crate::time::Instant,
    number: u32,
    seq: u64,
    (is_prompt, is_late, is_program): (bool, bool, bool),
) {
    let replayed = session.cut_replay.take();
    let rule = if replayed.is_some() {
        Rule::D4
    } else {
        Rule::D2
    };
    let low = session.confirmed.unwrap_or(session.first);
    let broken = |docket: &mut Docket, rule: Rule, expected: String| {
        docket.broken(rule, now, Some(number), || {
            (format!("sent RESUME with seq {seq} on #{number}"), expected)
        });
    };
    if seq > session.highest {
        let what = if replayed.is_some() {
            "replayed"
        } else {
            "sent"
        };
        let expected = format!("at most {}, the last number {what}", session.highest);
        broken(docket, rule, expected);
    } else if seq < low && !session.is_scrambled && !is_late {
        broken(docket, rule, format!("{low} or more, as confirmed before"));
    } else {
        docket.kept(rule);
    }
    session.confirmed = session.confirmed.max(Some(seq));
    match session.ledger.highest_delivered(now, is_program) {
        Some(delivered) if delivered > seq && is_prompt => {
            broken(
                docket,
                Rule::D5,
                format!("{delivered} or more: that one was delivered"),
            );
        }
        Some(_) => docket.kept(Rule::D5),
        None => {}
    }
    session.ledger.claim(seq, now);
}

/// Whose Close it was that ends a session: only the subject's own with 1000 or 1001.
pub(super) fn closed(view: &mut View, place: usize, from: Side, code: crate::protocol::CloseCode) {
    let connection = &view.connections[place];
    let is_current = connection.life == view.shared.life;
    let Some(serial) = connection.session else {
        return;
    };
    let dead = match from {
        Side::Subject if code.ends_session_from_client() && is_current => Dead::Closed(code),
        Side::Gateway if code.ends_session() => Dead::Code(code),
        _ => return,
    };
    if let Some(session) = view.session(serial) {
        session.dead.get_or_insert(dead);
    }
}
