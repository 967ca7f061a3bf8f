//! Outcomes: what became of the subject, whatever rules it broke on the way.
//!
//! `died`, `token`, `double` and `early` are seen as they happen; `hung`, `gave-up`, `loop` and `slow` follow at the end from
//! when it recovered, which the phases of the run say ([`RecoveryFacts`]). (`resurrected` is found in `close.rs`, where
//! connects after an end are judged; `lost` and `duplicated` in `expectations.rs`, since a scenario may admit them.)

use super::docket::Docket;
use super::view::{Connection, Presence, Shared, View};
use super::{Effect, Finding, FindingKind};
use crate::expect::Ends;
use crate::progress::{Progress, Recovery};
use crate::time::{Duration, Instant, show};

/// What the phases of the run say about the recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RecoveryFacts {
    /// It was never READY in the time for it.
    pub login_failed: bool,
    /// When nothing was injected any more.
    pub healed_at: Option<Instant>,
    /// When it was authenticated for good; `None` if it was not, or did not live on.
    pub recovered_at: Option<Instant>,
    /// A later recovery is slow.
    pub slow_after: Option<Instant>,
    /// A later recovery is none.
    pub bound: Option<Instant>,
}

impl RecoveryFacts {
    /// What a run's own phases say, once it is over.
    pub(super) fn of(progress: &Progress) -> Self {
        Self {
            login_failed: progress.time_zero().is_none(),
            healed_at: progress.healed(),
            recovered_at: match progress.recovery() {
                Recovery::Recovered { at } => Some(at),
                Recovery::Away | Recovery::Living { .. } => None,
            },
            slow_after: progress.within(),
            bound: progress.bound(),
        }
    }
}

/// The end of a process is seen this much later than the end of its connections.
const DEATH_SHOWS_WITHIN: Duration = Duration::from_secs(2);
/// Sound connections that a subject has to leave before it counts as a loop.
const LOOP: u32 = 2;
/// Findings of one kind that are told.
const TOLD: u32 = 3;

/// Two connections at once, if both are still there when it is due.
#[derive(Debug, Clone, Copy)]
struct Pair {
    old: u32,
    new: u32,
    since: Instant,
    due: Instant,
}

/// What is seen of outcomes as the run goes.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    early: Vec<Finding>,
    /// Early leavings that are counted and not told.
    early_more: u32,
    pairs: Vec<Pair>,
    has_died: bool,
    gave_up: bool,
    /// Ends that were asked for and have not come yet.
    stops: u32,
    healed: bool,
    /// Authenticated connections that the subject left after the heal.
    replaced: u32,
}

fn outcome(
    id: &str,
    effect: Effect,
    at: Instant,
    connection: Option<u32>,
    seen: String,
    expected: impl Into<String>,
) -> Finding {
    Finding {
        kind: FindingKind::Outcome,
        id: id.to_owned(),
        effect,
        at,
        connection,
        seen,
        expected: expected.into(),
        evidence: Vec::new(),
        accepted: None,
    }
}

impl Outcomes {
    /// The subject was told to stop: an end of its will follow.
    pub(super) const fn told_to_stop(&mut self) {
        self.stops += 1;
    }

    /// Nothing is injected from here on.
    pub(super) const fn healed(&mut self) {
        self.healed = true;
    }

    /// The subject was told to stop, or is another one: what two lives have open between them is not double.
    pub(super) fn forgive(&mut self) {
        self.pairs.clear();
    }

    /// The subject came to an end that nobody asked for.
    pub(super) fn died(&mut self, view: &mut View, docket: &mut Docket, message: &str) {
        let now = view.shared.now;
        let names = |code: crate::protocol::CloseCode| {
            let message = message.to_lowercase();
            message.contains(&code.to_string()) || message.contains(&code.meaning().to_lowercase())
        };
        self.early
            .retain(|early| now - early.at > DEATH_SHOWS_WITHIN);
        match view.shared.presence {
            Presence::Banned { code, .. } if names(code) => {}
            _ => {
                self.has_died = true;
                let expected = "to live on, or to end in good order";
                let seen = format!("died: {message}");
                docket.push(outcome("died", Effect::Fails, now, None, seen, expected));
            }
        }
        view.shared.presence = Presence::Ended { at: now };
        view.release();
    }

    /// The subject came to its end in good order.
    pub(super) fn stopped(&mut self, view: &mut View, docket: &mut Docket, reason: Option<&str>) {
        let now = view.shared.now;
        if self.stops > 0 && reason.is_none() {
            // Asked for, though another life may have begun meanwhile; one that begins before may also have taken it back.
            self.stops -= 1;
            return;
        }
        if view.shared.presence == Presence::Running {
            self.early
                .retain(|early| now - early.at > DEATH_SHOWS_WITHIN);
            if view.shared.ends == Ends::Recovered {
                self.gave_up = true;
                let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let seen = format!("stopped by itself{why}");
                let expected = "to go on trying: no fatal code was sent";
                docket.push(outcome("gave-up", Effect::Fails, now, None, seen, expected));
            }
            view.shared.presence = Presence::Ended { at: now };
            view.release();
        }
    }

    /// A token was shown.
    pub(super) fn token(docket: &mut Docket, now: Instant, place: &str) {
        let seen = format!("the token was shown in {place}");
        docket.push(outcome(
            "token",
            Effect::Fails,
            now,
            None,
            seen,
            "a secret to be kept",
        ));
    }

    /// The subject leaves a connection, nobody having ended it before.
    pub(super) fn left(
        &mut self,
        connection: &Connection,
        shared: &Shared,
        was_up: bool,
        how: &str,
    ) {
        self.replaced += u32::from(self.healed && was_up && shared.presence == Presence::Running);
        if connection.excuse(shared) {
            return;
        }
        let number = connection.number;
        if self.early.len() >= TOLD as usize {
            self.early_more += 1;
        } else {
            let age = show(shared.now - connection.accepted_at);
            let seen =
                format!("left #{number} with {how} after {age}, though nothing was wrong on it");
            let expected = "to stay: no ACK was late, no fault had struck it, the gateway had not asked it to go";
            let finding = outcome(
                "early",
                Effect::Fails,
                shared.now,
                Some(number),
                seen,
                expected,
            );
            self.early.push(finding);
        }
    }

    /// A connection was accepted: are there too many now?
    pub(super) fn accepted(&mut self, view: &View, number: u32) {
        let shared = &view.shared;
        if shared.presence != Presence::Running {
            return;
        }
        let is_held = |c: &&Connection| c.is_open() && c.life == shared.life && c.number != number;
        let held = view.connections.iter().filter(is_held);
        if held.clone().count() < usize::try_from(shared.shards).unwrap_or(usize::MAX) {
            return;
        }
        for old in held {
            self.pairs.push(Pair {
                old: old.number,
                new: number,
                since: shared.now,
                // The Close of the old one may be on its way.
                due: shared.now + shared.slack(Duration::ZERO),
            });
        }
    }

    /// When the next pair is due.
    pub(super) fn next_due(&self) -> Instant {
        self.pairs
            .iter()
            .map(|pair| pair.due)
            .min()
            .unwrap_or(Instant::FOREVER)
    }

    /// Looks at pairs that are due.
    pub(super) fn check(&mut self, view: &View, docket: &mut Docket) {
        let now = view.shared.now;
        let is_held = |number: u32| {
            let place = view.place(number);
            place.is_some_and(|place| view.connections[place].is_open())
        };
        self.pairs.retain(|pair| {
            let is_double = is_held(pair.old) && is_held(pair.new);
            if is_double && now > pair.due {
                let seen = format!("#{} and #{} at once", pair.old, pair.new);
                let expected = "to leave one before the next is opened";
                let double = outcome(
                    "double",
                    Effect::Fails,
                    pair.since,
                    Some(pair.new),
                    seen,
                    expected,
                );
                docket.push(double);
            }
            is_double && now <= pair.due
        });
    }

    /// The run is over. Gives a reason why it says nothing, if the recovery could not be watched.
    pub(super) fn finish(
        mut self,
        view: &View,
        docket: &mut Docket,
        facts: &RecoveryFacts,
        last_attempt: Option<Instant>,
        until: Instant,
    ) -> Option<String> {
        if let Some(last) = self.early.last_mut().filter(|_| self.early_more > 0) {
            last.seen = format!("{} (and {} more)", last.seen, self.early_more);
        }
        for early in self.early {
            docket.push(early);
        }
        if view.shared.ends == Ends::Stopped || self.has_died || self.gave_up {
            return None;
        }
        if facts.login_failed && !view.faults.iter().any(|fault| fault.has_struck) {
            return Some("the subject was not READY in time, though nothing had struck".to_owned());
        }
        let bound = facts.bound.unwrap_or(Instant::FOREVER);
        let allowed = format!("to be authenticated again by {bound}");
        if let Some(at) = facts.recovered_at {
            if at > bound {
                let seen = format!("was authenticated again only at {at}");
                docket.push(outcome("hung", Effect::Fails, at, None, seen, allowed));
            } else if facts.slow_after.is_some_and(|slow| at > slow) {
                let slow = facts.slow_after.unwrap_or(at);
                let seen = format!("was authenticated again at {at}");
                let expected = format!("by {slow}");
                docket.push(outcome("slow", Effect::Shown, at, None, seen, expected));
            }
            return None;
        }
        if self.replaced >= LOOP {
            let seen = format!(
                "still replaces connections: left {} sound ones",
                self.replaced
            );
            docket.push(outcome(
                "loop",
                Effect::Fails,
                until,
                None,
                seen,
                "to stay on one",
            ));
            return None;
        }
        if let Presence::Banned { code, .. } = view.shared.presence {
            return Some(format!(
                "the gateway closed with {code} ({})",
                code.meaning()
            ));
        }
        if facts.bound.is_none() || until < bound {
            return Some("the run ended before the recovery was due".to_owned());
        }
        let silent_since = facts.healed_at.filter(|healed| {
            last_attempt.is_none_or(|last| last < *healed)
                && !view.connections.iter().any(Connection::is_open)
        });
        let finding = match silent_since {
            Some(healed) => {
                let seen = format!("no attempt to connect in {}", show(until - healed));
                outcome("gave-up", Effect::Fails, until, None, seen, allowed)
            }
            None => outcome(
                "hung",
                Effect::Fails,
                until,
                None,
                "not authenticated".to_owned(),
                allowed,
            ),
        };
        docket.push(finding);
        None
    }
}
