//! What an in-process subject holds: the outcome `leak` of one whose sockets and timers the engine counts.
//!
//! (Of a program `outcomes.rs` says `leak` when it does not end.) Counted is as a phase begins and when the watch is over.
//! Who has stopped holds nothing when the time is over that it may take to close; who runs holds no more at the end than when
//! it began, whatever it went through: a sound client has a timer or two more or less, but not one for each reconnect.

use super::Effect;
use super::docket::Docket;
use super::outcomes::outcome;
use super::view::Shared;
use crate::time::{Instant, show};

/// So many reconnects tell a leak from a timer that happens to be armed.
const RECONNECTS: u32 = 10;
/// What is held has grown by this at least, and by one for each two reconnects.
const GROWTH: u32 = 8;

/// What was held at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) sockets: u32,
    pub(super) closing: u32,
    pub(super) timers: u32,
}

impl Held {
    /// Everything but what is about to end by itself.
    const fn lasting(self) -> u32 {
        self.sockets + self.timers
    }
}

/// What is known of what the subject holds.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    latest: Option<Held>,
    /// What was held when chaos began, and which connection was the last one then.
    first: Option<(Held, u32)>,
    connections: u32,
    last_accepted: Instant,
    /// When it was told to stop, if it has not stopped.
    told: Option<Instant>,
    /// When it has stopped, if it was not started again.
    stopped: Option<Instant>,
}

impl Holdings {
    /// Something was counted.
    pub(super) const fn held(&mut self, held: Held) {
        self.latest = Some(held);
    }

    /// Faults strike from here on.
    pub(super) fn chaos(&mut self) {
        self.first = self.latest.map(|held| (held, self.connections));
    }

    /// A connection was accepted.
    pub(super) const fn accepted(&mut self, now: Instant) {
        self.connections += 1;
        self.last_accepted = now;
    }

    /// The subject was started: again, if anything was held before.
    pub(super) const fn started(&mut self) {
        (self.first, self.told, self.stopped) = (None, None, None);
    }

    /// The subject was told to stop.
    pub(super) fn told_to_stop(&mut self, now: Instant) {
        self.told.get_or_insert(now);
    }

    /// The subject has stopped.
    pub(super) const fn stopped(&mut self, now: Instant) {
        (self.told, self.stopped) = (None, Some(now));
    }

    /// The subject is no more, and nothing of it is.
    pub(super) fn gone(&mut self) {
        (self.first, self.told, self.stopped, self.latest) = (None, None, None, None);
    }

    /// The watch is over.
    pub(super) fn finish(&self, shared: &Shared, docket: &mut Docket) {
        let now = shared.now;
        let Some(held) = self.latest.filter(|_| !shared.is_suspended()) else {
            return;
        };
        let grace = shared.allowances.close + shared.slack(shared.interval);
        let mut leak = |seen: String, expected: &str| {
            docket.push(outcome("leak", Effect::Fails, now, None, seen, expected));
        };
        match (self.stopped, self.told, self.first) {
            (Some(at), ..) => {
                let sockets = held.sockets + held.closing;
                if now - at >= grace && sockets + held.timers > 0 {
                    let seen = format!(
                        "held {} and {} {} after it had stopped",
                        count(sockets, "open socket"),
                        count(held.timers, "armed timer"),
                        show(now - at)
                    );
                    leak(seen, "nothing to be open or armed");
                }
            }
            (None, Some(at), _) => {
                if now - at >= grace {
                    let seen = format!("had not stopped {} after it was told to", show(now - at));
                    leak(seen, &format!("to stop within {}", show(grace)));
                }
            }
            (None, None, Some((first, known))) => {
                let reconnects = self.connections - known;
                // What belongs to a connection may live as long as any of its waits.
                let waits = &shared.allowances;
                let waits = [waits.connect, waits.hello, waits.ready, waits.close];
                let longest = waits.into_iter().max().unwrap_or_default();
                let is_quiet = now - self.last_accepted >= longest + shared.slack(shared.interval);
                let more = held.lasting().saturating_sub(first.lasting());
                if is_quiet && reconnects >= RECONNECTS && more >= GROWTH.max(reconnects / 2) {
                    let seen = format!(
                        "held {} and {} after {}, {} and {} before",
                        count(held.sockets, "open socket"),
                        count(held.timers, "armed timer"),
                        count(reconnects, "reconnect"),
                        first.sockets,
                        first.timers
                    );
                    leak(
                        seen,
                        "no more than before: what belongs to a connection ends with it",
                    );
                }
            }
            (None, None, None) => {}
        }
    }
}

fn count(n: u32, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}
