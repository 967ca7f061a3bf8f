//! What reached the application: D1, and the evidence for `lost`, `duplicated` and D5.
//!
//! Each session has a [`Ledger`] of the dispatches that were sent and not delivered yet; a delivered one leaves it, so that it
//! stays short. Only numbered messages have to be delivered: whether a subject hands READY or `GUILD_CREATE` to its application
//! is its own affair. What was abandoned with its session is never lost, and what the gateway sent twice never duplicated.
//!
//! A program reports the numbers of messages over a pipe, if it reports any: its first report turns the rules on, from that
//! number on. Reports come late then, and from handlers that ran side by side, so that their order says little.

use super::Effect;
use super::docket::Docket;
use super::rules::Rule;
use super::view::{Connection, Presence, Shared, View};
use crate::protocol::Json;
use crate::time::{Duration, Instant};
use crate::trace::Delivery;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Dispatches of one session that may wait for delivery at a time.
const PENDING_MAX: usize = 8192;
/// Numbers that the gateway repeated by itself, as far back as they are remembered.
const REPEATED_MAX: usize = 64;
/// The time in which a delivery is reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(1);
/// The same for a program, which runs its handlers, writes a line, and is read when its machine has the time.
const PROGRAM_REPORTS_WITHIN: Duration = Duration::from_secs(3);
/// What a program reported this short a time before may have been reported sooner than what it had written to its socket.
const CROSSING: Duration = Duration::from_millis(500);

/// A dispatch on its way to the application.
#[derive(Debug, Clone, Copy)]
struct Pending {
    s: u64,
    /// The number in its content; zero where it is not looked at.
    number: u64,
    at: Instant,
    connection: u32,
    /// Whether it has to be delivered.
    is_due: bool,
    /// When the subject confirmed it with a RESUME.
    claimed: Option<Instant>,
    /// The gateway sent it behind one with a higher number.
    is_late: bool,
}

/// The dispatches of one session.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pending: VecDeque<Pending>,
    highest: u64,
    /// The lowest and the highest number of a message.
    numbers: Option<(u64, u64)>,
    delivered: Option<u64>,
    /// When the last delivery was reported.
    delivered_at: Instant,
    repeated: VecDeque<(u64, u64)>,
    is_abandoned: bool,
    lost: u32,
    has_overflowed: bool,
}

/// What became of a reported delivery.
enum Report {
    InOrder,
    OutOfOrder { after: u64 },
    Again,
    Unknown,
}

impl Ledger {
    /// The highest number that the subject surely knew of when it wrote what is seen now.
    pub(super) fn highest_delivered(&self, now: Instant, is_program: bool) -> Option<u64> {
        self.delivered
            .filter(|_| !is_program || now - self.delivered_at > CROSSING)
    }

    /// A dispatch set out, once more perhaps.
    fn sent(&mut self, dispatch: Pending, is_repeat: bool) {
        if dispatch.s > self.highest {
            self.highest = dispatch.s;
            if dispatch.number > 0 {
                let (first, _) = *self.numbers.get_or_insert((dispatch.number, 0));
                self.numbers = Some((first, dispatch.number));
            }
            if self.pending.len() == PENDING_MAX {
                self.pending.pop_front();
                self.has_overflowed = true;
            }
            self.pending.push_back(dispatch);
        } else if let Ok(place) = self.pending.binary_search_by_key(&dispatch.s, |p| p.s) {
            let known = &mut self.pending[place];
            (known.at, known.connection) = (dispatch.at, dispatch.connection);
            known.is_late |= is_repeat;
        } else if is_repeat {
            if self.repeated.len() == REPEATED_MAX {
                self.repeated.pop_front();
            }
            self.repeated.push_back((dispatch.s, dispatch.number));
        }
    }

    /// RESUME confirmed everything up to a number.
    pub(super) fn claim(&mut self, seq: u64, now: Instant) {
        for dispatch in self.pending.iter_mut().take_while(|p| p.s <= seq) {
            dispatch.claimed.get_or_insert(now);
        }
    }

    /// The session is given up: what is still on its way is not lost, but what was confirmed long ago is.
    pub(super) fn abandon(&mut self, now: Instant, within: Duration) {
        if !std::mem::replace(&mut self.is_abandoned, true) {
            self.lost += self.missing(now, within, &[]);
        }
    }

    /// The session is given up by no will of the subject's: nothing of it is lost.
    pub(super) const fn forget(&mut self) {
        self.is_abandoned = true;
    }

    /// The subject has begun to report, with this number: what came before it is not owed.
    fn begin(&mut self, number: u64) {
        self.pending.retain(|p| p.number >= number);
        self.has_overflowed = false;
        self.lost = 0;
    }

    /// Dispatches that should have been delivered by `until`, a report taking up to `within`; `live` are the connections that
    /// are sound to the end.
    fn missing(&self, until: Instant, within: Duration, live: &[u32]) -> u32 {
        let is_missing = |p: &&Pending| {
            // What was kept back on its way may have come just before it was confirmed.
            let since = match p.claimed {
                Some(claimed) => Some(claimed.max(p.at)),
                None => Some(p.at).filter(|_| live.contains(&p.connection)),
            };
            p.is_due && since.is_some_and(|since| until - since > within)
        };
        u32::try_from(self.pending.iter().filter(is_missing).count()).unwrap_or(u32::MAX)
    }

    fn deliver(
        &mut self,
        now: Instant,
        place: Option<usize>,
        is_known: bool,
        repeated: bool,
    ) -> Report {
        let Some(dispatch) = place.and_then(|place| self.pending.remove(place)) else {
            return match (is_known, repeated) {
                (true, false) => Report::Again,
                _ => Report::Unknown,
            };
        };
        // What need not be delivered has had its chance.
        while self
            .pending
            .front()
            .is_some_and(|p| !p.is_due && p.s < dispatch.s)
        {
            self.pending.pop_front();
        }
        let before = self.delivered;
        self.delivered = before.max(Some(dispatch.s));
        self.delivered_at = now;
        match before {
            Some(after) if after > dispatch.s && !dispatch.is_late => Report::OutOfOrder { after },
            _ => Report::InOrder,
        }
    }

    fn deliver_seq(&mut self, now: Instant, s: u64) -> Report {
        let place = self.pending.binary_search_by_key(&s, |p| p.s).ok();
        let repeated = self.repeated.iter().any(|(known, _)| *known == s);
        let is_known = s <= self.highest && !self.is_abandoned;
        self.deliver(now, place, is_known, repeated)
    }

    fn deliver_number(&mut self, now: Instant, number: u64) -> Report {
        let place = self.pending.iter().position(|p| p.number == number);
        let repeated = self.repeated.iter().any(|(_, known)| *known == number);
        let is_mine = |(first, last)| (first..=last).contains(&number);
        let is_known = self.numbers.is_some_and(is_mine) && !self.is_abandoned;
        self.deliver(now, place, is_known, repeated)
    }
}

/// What the judge counts of deliveries.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) delivered: u64,
    pub(super) duplicated: u32,
    pub(super) first_duplicate: Option<(Instant, Delivery)>,
    /// The number of a program's first report.
    begun: Option<u64>,
    /// Lost ones of sessions that are forgotten.
    pub(super) lost: u32,
}

/// A dispatch set out on a connection that carries a session.
pub(super) fn sent(
    view: &mut View,
    place: usize,
    s: u64,
    name: Option<&str>,
    d: &Json,
    is_repeat: bool,
) {
    /// What is read of a message.
    #[derive(Deserialize)]
    struct Numbered<'a> {
        #[serde(borrow)]
        content: Cow<'a, str>,
    }
    // A program may still begin to report.
    if !view.shared.sees_delivery && !view.shared.sees_process {
        return;
    }
    let is_message = name == Some("MESSAGE_CREATE");
    let number = if is_message && view.shared.sees_process {
        let content = d.read::<Numbered<'_>>().ok();
        content.and_then(|m| m.content.parse().ok()).unwrap_or(0)
    } else {
        0
    };
    let connection = &view.connections[place];
    let dispatch = Pending {
        s,
        number,
        at: view.shared.now,
        connection: connection.number,
        // A program reports numbers; what has none it cannot report.
        is_due: is_message && (number > 0 || !view.shared.sees_process),
        claimed: None,
        is_late: false,
    };
    if let Some(session) = connection.session.and_then(|serial| view.session(serial)) {
        session.ledger.sent(dispatch, is_repeat);
    }
}

/// The subject reported a delivery.
pub(super) fn delivered(
    view: &mut View,
    known: &mut Deliveries,
    docket: &mut Docket,
    delivery: Delivery,
) {
    let now = view.shared.now;
    known.delivered += 1;
    let report = match delivery {
        Delivery::Sequence { connection, s } => view
            .session_on(connection)
            .map_or(Report::Unknown, |session| {
                session.ledger.deliver_seq(now, s)
            }),
        Delivery::Number(number) => {
            if !view.shared.sees_delivery && known.begun.is_none() {
                known.begun = Some(number);
                view.shared.sees_delivery = true;
                for session in &mut view.sessions {
                    session.ledger.begin(number);
                }
            }
            if known.begun.is_some_and(|first| number < first) {
                return;
            }
            let mut best = Report::Unknown;
            for session in view.sessions.iter_mut().rev() {
                match session.ledger.deliver_number(now, number) {
                    Report::Unknown => {}
                    Report::Again => best = Report::Again,
                    found => {
                        best = found;
                        break;
                    }
                }
            }
            best
        }
    };
    match report {
        Report::InOrder => docket.kept(Rule::D1),
        Report::OutOfOrder { after } => {
            let text = || {
                (
                    format!("delivered {} after s {after}", show(delivery)),
                    "the order of the sequence numbers".to_owned(),
                )
            };
            if view.shared.sees_process {
                // Handlers that wait for something report in another order than they were called in.
                docket.found(Rule::D1, Effect::Shown, now, None, text);
            } else {
                docket.broken(Rule::D1, now, None, text);
            }
        }
        Report::Again => {
            known.duplicated += 1;
            known.first_duplicate.get_or_insert((now, delivery));
        }
        Report::Unknown => {}
    }
}

/// A dispatch as a finding names it.
pub(super) fn show(delivery: Delivery) -> String {
    match delivery {
        Delivery::Sequence { connection, s } => format!("s {s} of #{connection}"),
        Delivery::Number(number) => format!("message {number}"),
    }
}

/// The time in which the subject reports a delivery.
pub(super) const fn reported_within(shared: &Shared) -> Duration {
    if shared.sees_process {
        PROGRAM_REPORTS_WITHIN
    } else {
        REPORTED_WITHIN
    }
}

/// How many dispatches were lost by the end, and whether some could not be followed.
pub(super) fn lost(view: &View, known: &Deliveries, until: Instant) -> (u32, bool) {
    if !view.shared.sees_delivery {
        return (0, false);
    }
    // One that has ended owes what it was given in good time before, and one that was told to go has other things to do.
    let until = match view.shared.presence {
        Presence::Ended { at } | Presence::Dismissed { at, .. } if view.shared.sees_process => at,
        _ => until,
    };
    let is_running = view.shared.presence == Presence::Running || !view.shared.sees_process;
    let is_sound = |c: &&Connection| {
        is_running && c.is_open() && c.is_clear() && !c.damage.is_struck && c.trouble.is_none()
    };
    let within = reported_within(&view.shared);
    let live: Vec<u32> = view
        .connections
        .iter()
        .filter(is_sound)
        .map(|c| c.number)
        .collect();
    let of = |ledger: &Ledger| {
        let now = if ledger.is_abandoned {
            0
        } else {
            ledger.missing(until, within, &live)
        };
        ledger.lost + now
    };
    let lost: u32 = view
        .sessions
        .iter()
        .map(|session| of(&session.ledger))
        .sum();
    let overflow = view
        .sessions
        .iter()
        .any(|session| session.ledger.has_overflowed);
    (known.lost + lost, overflow)
}
