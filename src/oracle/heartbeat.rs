//! Rules about heartbeats: H1 to H6, H8, H9, and D3, T2 and Z4, which heartbeats show.
//!
//! A heartbeat is judged when it is read, and what is missing when its time is over. Nothing is asked of a connection that is
//! deaf, that is being left, or whose subject is frozen. A missing ACK is a missing one only after a full interval; what a
//! client may do earlier than that is the business of `early` and H9.

use super::Effect;
use super::docket::Docket;
use super::rate;
use super::reading;
use super::rules::Rule;
use super::view::{Auth, Connection, Due, Session, Shared};
use crate::protocol::Json;
use crate::time::{Duration, Instant, show};
use std::collections::VecDeque;

/// Heartbeats that are remembered to tell a rate.
const RATE_OVER: usize = 10;
/// Heartbeats without an ACK that are remembered.
const UNACKED_MAX: usize = 16;
/// How long the answer to a requested heartbeat may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// First heartbeats that tell whether they are spread.
const FIRSTS: u32 = 10;
/// As many random numbers lie in so small a part of their range, in thousandths, once in a hundred million times.
const SPREAD: u128 = 100;
/// A payload from this size on, in bytes, is a large one: READY of a bot in a few hundred guilds.
const LARGE: u32 = 1 << 20;

/// One connection's heart.
#[derive(Debug, Default)]
pub(super) struct Heart {
    /// The last heartbeats that nobody asked for, oldest first.
    recent: VecDeque<Instant>,
    last: Option<Instant>,
    beats: u64,
    /// Heartbeats that had no ACK yet, oldest first, and whether each was asked for.
    unacked: VecDeque<(Instant, bool)>,
    /// When something last set out for the subject.
    heard: Instant,
    /// How long after HELLO the first heartbeat came, if nobody had asked for it.
    first: Option<Duration>,
    /// Whether a large payload was sent since the last heartbeat.
    is_loaded: bool,
}

impl Heart {
    /// The oldest heartbeat that had no ACK yet.
    pub(super) fn unacked_since(&self) -> Option<Instant> {
        self.unacked.front().map(|(at, _)| *at)
    }

    /// Times so far say nothing of times to come.
    pub(super) fn forgive(&mut self) {
        self.recent.clear();
        self.last = None;
    }
}

/// At which part of the interval the first heartbeats of connections came, in thousandths.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    count: u32,
    least: u128,
    most: u128,
}

impl Firsts {
    /// A connection is over, or the run is. One that did not live for a whole interval says nothing: of such connections only
    /// those show a first heartbeat whose random number is a small one.
    pub(super) fn ended(&mut self, connection: &Connection, shared: &Shared, docket: &mut Docket) {
        let (Some(hello), Some(first)) = (connection.hello, connection.heart.first) else {
            return;
        };
        let slack = shared.slack(hello.interval);
        let part = |of: Duration| of.as_nanos() * 1000 / hello.interval.as_nanos().max(1);
        if shared.now - hello.at < hello.interval + slack || part(slack) > SPREAD {
            return;
        }
        let first = part(first);
        (self.least, self.most) = match self.count {
            0 => (first, first),
            _ => (self.least.min(first), self.most.max(first)),
        };
        self.count += 1;
        if self.count < FIRSTS {
            return;
        }
        if self.most - self.least > part(slack) {
            docket.kept(Rule::H2);
            return;
        }
        let Self { count, least, most } = std::mem::take(self);
        docket.broken(Rule::H2, shared.now, None, || {
            (
                format!(
                    "the first heartbeats of {count} connections came all between {} and {} of the interval",
                    percent(least),
                    percent(most)
                ),
                "each at a random part of it".to_owned(),
            )
        });
    }
}

/// Thousandths as people read them.
fn percent(thousandths: u128) -> String {
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// What a heartbeat showed of what the subject had received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// That it had what was sent to it a while ago.
    Known,
    /// That it had not, or something else instead.
    Unknown,
    /// Nothing.
    Nothing,
}

/// A payload set out for the subject.
pub(super) const fn sent(connection: &mut Connection, bytes: u32) {
    connection.heart.is_loaded |= bytes >= LARGE;
}

/// HELLO was sent.
pub(super) fn hello(connection: &mut Connection, shared: &Shared) {
    let Some(hello) = connection.hello else {
        return;
    };
    if connection.is_clear() && connection.is_open() && !shared.is_suspended() {
        let due = shared.now + hello.interval + shared.slack(hello.interval);
        connection.expect(Due::Beat, due);
    }
}

/// Something set out for the subject and is not lost on the way.
pub(super) const fn heard(connection: &mut Connection, now: Instant) {
    connection.heart.heard = now;
}

/// The gateway asked for a heartbeat.
pub(super) fn requested(connection: &mut Connection, shared: &Shared) {
    let is_owed = connection.due(Due::Request) != Instant::FOREVER;
    let can_answer = connection.is_clear() && connection.is_open() && connection.hello.is_some();
    if !is_owed && can_answer && !shared.is_suspended() {
        let slack = shared.slack(Duration::ZERO);
        connection.expect(Due::Request, shared.now + ANSWER_WITHIN + slack);
    }
}

/// An ACK set out.
pub(super) fn acked(connection: &mut Connection, docket: &mut Docket) {
    let unacked = &mut connection.heart.unacked;
    if unacked.len() > 1 && unacked.iter().any(|(_, asked)| *asked) {
        docket.kept(Rule::H9);
    }
    unacked.clear();
    connection.settle(Due::Silence);
}

/// The subject sent op 11, which is the gateway's to send.
pub(super) fn ack_from_subject(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    connection.settle(Due::Request);
    docket.broken(Rule::H5, shared.now, Some(connection.number), || {
        let seen = format!("sent op 11 on #{}", connection.number);
        (seen, "op 1: op 11 is the gateway's to send".to_owned())
    });
}

/// The subject sent a heartbeat.
pub(super) fn beat(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    let now = shared.now;
    let interval = connection.interval(shared);
    let was_asked = connection.settle(Due::Request);
    if was_asked {
        docket.kept(Rule::H5);
    }
    if connection.settle(Due::Beat) {
        docket.kept(gap_rule(connection, now));
        if rate::is_busy(connection, shared) {
            docket.kept(Rule::T2);
        }
        if connection.heart.is_loaded {
            docket.kept(Rule::Z4);
        }
        if connection.heart.beats == 0 && !was_asked {
            connection.heart.first = connection.hello.map(|hello| now - hello.at);
        }
    }
    connection.heart.is_loaded = false;
    if !was_asked {
        pace(connection, shared, docket);
    }
    let heart = &mut connection.heart;
    heart.beats += 1;
    heart.last = Some(now);
    if heart.unacked.len() < UNACKED_MAX {
        heart.unacked.push_back((now, was_asked));
    }
    let (is_first_unacked, last_sign) = (heart.unacked.len() == 1, heart.heard);
    if !connection.is_open() || shared.is_suspended() {
        return;
    }
    if is_first_unacked {
        connection.expect(Due::Silence, now.max(last_sign) + shared.silence(interval));
    }
    if connection.hello.is_some() && connection.is_clear() {
        connection.expect(Due::Beat, now + interval + shared.slack(interval));
    }
}

/// Which rule a gap between heartbeats is about.
fn gap_rule(connection: &Connection, now: Instant) -> Rule {
    let interval = connection
        .hello
        .map_or(Duration::MAX, |hello| hello.interval);
    match connection.auth {
        // Only a wait that is longer than an interval shows whether the heart stands still in it.
        Auth::Identifying { at } | Auth::Resuming { at } if now - at > interval => Rule::H8,
        _ if connection.heart.last.is_none() => Rule::H1,
        _ => Rule::H3,
    }
}

/// Whether heartbeats that nobody asked for come too fast, or unevenly.
fn pace(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    let now = shared.now;
    let number = connection.number;
    let interval = connection.interval(shared);
    let is_clear = connection.is_clear() && connection.hello.is_some();
    let heart = &mut connection.heart;
    if shared.is_suspended() || !is_clear {
        heart.recent.clear();
        return;
    }
    // A heartbeat that was asked for is beside the rhythm, and the next one is not early because of it.
    let before = heart.recent.back().copied();
    heart.recent.push_back(now);
    if heart.recent.len() > RATE_OVER + 1 {
        heart.recent.pop_front();
    }
    let times: u32 = 5;
    let span = now - heart.recent[0];
    if heart.recent.len() > RATE_OVER
        && span < (times * interval).saturating_sub(shared.slack(interval))
    {
        heart.recent.clear();
        docket.broken(Rule::H3, now, Some(number), || {
            (
                format!("sent {RATE_OVER} heartbeats in {} on #{number}", show(span)),
                format!("one every {}, and never more than two", show(interval)),
            )
        });
    } else if heart.beats >= 2 {
        let gap = before.map_or(interval, |before| now - before);
        if gap < interval * 4 / 5 {
            docket.found(Rule::H3, Effect::Shown, now, Some(number), || {
                (
                    format!(
                        "sent a heartbeat {} after the one before on #{number}",
                        show(gap)
                    ),
                    format!("one every {}", show(interval)),
                )
            });
        }
    }
}

/// The number that a heartbeat carries.
pub(super) fn number(
    connection: &Connection,
    session: Option<&mut Session>,
    is_first: bool,
    shared: &Shared,
    docket: &mut Docket,
    d: &Json,
) -> Shown {
    let (now, number) = (shared.now, connection.number);
    let sent = |rule: Rule, docket: &mut Docket, expected: String| {
        docket.broken(rule, now, Some(number), || {
            (
                format!("sent a heartbeat with d {} on #{number}", d.get()),
                expected,
            )
        });
        Shown::Unknown
    };
    let text = d.get().trim();
    let carried = match text.parse::<u64>() {
        Ok(carried) => Some(carried),
        Err(_) if text == "null" => None,
        Err(_) => {
            return sent(
                Rule::H4,
                docket,
                "the last sequence number, or null".to_owned(),
            );
        }
    };
    let Some(session) = session else {
        // Nothing is known of a session that an earlier life may have handed over.
        return match carried {
            Some(_) if is_first => sent(
                Rule::H4,
                docket,
                "null: no dispatch was sent yet".to_owned(),
            ),
            _ => {
                docket.kept(Rule::H4);
                Shown::Nothing
            }
        };
    };
    let is_up = matches!(connection.auth, Auth::Up { .. });
    // On a connection that is being left, or was told to be, a client is free to count no more.
    let is_settled = is_up
        && connection.is_clear()
        && connection.is_open()
        && connection.trouble.is_none()
        && !connection.damage.is_struck
        && !session.is_scrambled
        && !shared.is_suspended();
    let settle = shared.settle(connection.interval(shared));
    let floor = if is_settled {
        session.floor(now, settle)
    } else {
        0
    };
    match carried {
        None if floor > 0 => sent(
            Rule::D3,
            docket,
            format!("{floor} or more: a payload without `s` changes nothing"),
        ),
        None => {
            docket.kept(Rule::H4);
            Shown::Nothing
        }
        Some(_) if carried == session.odd => {
            docket.found(Rule::D3, Effect::Note, now, Some(number), || {
                (
                    format!("took the `s` of a payload that is no dispatch: heartbeat with d {text} on #{number}"),
                    "`s` to be taken from dispatches only".to_owned(),
                )
            });
            Shown::Nothing
        }
        Some(carried) if carried > session.highest => sent(
            Rule::H4,
            docket,
            format!("at most {}, the last number sent", session.highest),
        ),
        // A beat of a connection that is being left, or of which a fault held the bytes back, may be read after its successor
        // has told of more.
        Some(carried) if is_settled && session.confirmed.is_some_and(|old| carried < old) => {
            let old = session.confirmed.unwrap_or_default();
            sent(
                Rule::H4,
                docket,
                format!("{old} or more, as before: numbers do not run backwards"),
            )
        }
        Some(carried) if carried < floor => sent(
            Rule::H4,
            docket,
            format!("{floor} or more, received long before"),
        ),
        Some(carried) if carried == 0 && is_up => sent(
            Rule::H4,
            docket,
            "null or a number that was sent".to_owned(),
        ),
        Some(carried) => {
            session.confirmed = session.confirmed.max(Some(carried));
            docket.kept(Rule::H4);
            if floor == 0 {
                return Shown::Nothing;
            }
            docket.kept(Rule::D3);
            Shown::Known
        }
    }
}

/// A heartbeat did not come in time.
pub(super) fn beat_overdue(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    // After op 9 many wait a few seconds and then leave, which at a short interval is longer than a heartbeat is due.
    if connection.auth == Auth::Refused {
        return;
    }
    let number = connection.number;
    let interval = connection.interval(shared);
    let (since, what) = match (connection.heart.last, connection.hello) {
        (Some(last), _) => (last, "the one before"),
        (None, hello) => (hello.map_or(connection.accepted_at, |h| h.at), "HELLO"),
    };
    let text = |while_what: &str| {
        (
            format!(
                "no heartbeat on #{number} {} after {what}{while_what}",
                show(shared.now - since)
            ),
            format!(
                "one every {} (allowed {})",
                show(interval),
                show(interval + shared.slack(interval))
            ),
        )
    };
    let mut late = |rule, while_what| {
        docket.broken(rule, shared.now, Some(number), || text(while_what));
    };
    late(gap_rule(connection, shared.now), "");
    if rate::is_busy(connection, shared) {
        late(Rule::T2, ", while commands were sent");
    }
    if std::mem::take(&mut connection.heart.is_loaded) {
        late(Rule::Z4, ", while a large payload was on its way");
    }
    reading::stalls(connection, shared, docket);
}

/// The answer to a requested heartbeat did not come in time.
pub(super) fn request_overdue(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    docket.broken(Rule::H5, shared.now, Some(number), || {
        (
            format!("no answer to the requested heartbeat on #{number}"),
            format!("op 1 within {}", show(ANSWER_WITHIN)),
        )
    });
}

/// A connection without ACKs is still open after the longest silence that a sound client bears.
pub(super) fn silence_overdue(connection: &mut Connection, shared: &Shared, docket: &mut Docket) {
    let number = connection.number;
    let Some(since) = connection.heart.unacked_since() else {
        return;
    };
    let limit = shared.silence(connection.interval(shared));
    let heard = connection.heart.heard;
    if heard + limit >= shared.now {
        docket.found(Rule::H6, Effect::Note, shared.now, Some(number), || {
            (
                format!(
                    "stays on #{number}, whose heartbeats had no ACK for {}",
                    show(shared.now - since)
                ),
                "to leave it, though other traffic arrives".to_owned(),
            )
        });
        // Told once; if the traffic ends as well, the silence counts from there.
        connection.expect(Due::Silence, heard.max(shared.now) + limit);
        return;
    }
    docket.broken(Rule::H6, shared.now, Some(number), || {
        (
            format!(
                "still on #{number}, silent since {}, {} after a heartbeat that had no ACK",
                heard,
                show(shared.now - since)
            ),
            format!("to leave it within {}", show(limit)),
        )
    });
}

/// The subject leaves the connection: what does that say about its heart?
pub(super) fn left(connection: &Connection, shared: &Shared, docket: &mut Docket) {
    let Some(since) = connection.heart.unacked_since() else {
        return;
    };
    if shared.now - since >= connection.interval(shared) {
        docket.kept(Rule::H6);
    } else if connection
        .heart
        .unacked
        .iter()
        .any(|(_, requested)| *requested)
        && !connection.excuse(shared)
    {
        docket.broken(Rule::H9, shared.now, Some(connection.number), || {
            (
                format!(
                    "left #{} {} after a requested heartbeat whose ACK was due",
                    connection.number,
                    show(shared.now - since)
                ),
                format!("to wait {} for it", show(connection.interval(shared))),
            )
        });
    }
}
