//! Outcomes: what became of the subject, whatever rules it broke on the way.
//!
//! `died`, `leak`, `token`, `double` and `early` are seen as they happen; `hung`, `gave-up`, `loop` and `slow` follow at the end from
//! when it recovered, which the phases of the run say ([`RecoveryFacts`]). (`resurrected` is found in `close.rs`, where
//! connects after an end are judged; the `leak` of an in-process subject in `holdings.rs`; `lost` and `duplicated` in
//! `expectations.rs`, since a scenario may admit them.)

use super::docket::Docket;
use super::health::Ailment;
use super::process::Processes;
use super::view::{Connection, DEATH_SHOWS_WITHIN, Presence, Shared, View};
use super::{Effect, Finding, FindingKind, words};
use crate::expect::Ends;
use crate::fault::Action;
use crate::progress::{Progress, Recovery};
use crate::protocol::CloseCode;
use crate::time::{Duration, Instant, show};
use crate::trace::ExitStatus;

/// What the phases of the run say about the recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RecoveryFacts {
    /// It was never READY in the time for it.
    pub login_failed: bool,
    /// When nothing was injected any more.
    pub healed_at: Option<Instant>,
    /// When it was authenticated for good; `None` if it was not, or did not live on.
    pub recovered_at: Option<Instant>,
    /// It is authenticated, and the run was broken off before it had lived long enough.
    pub is_living: bool,
    /// A later recovery is slow.
    pub slow_after: Option<Instant>,
    /// A later recovery is none.
    pub bound: Option<Instant>,
}

impl RecoveryFacts {
    /// What a run's own phases say, once it is over.
    pub(super) fn of(progress: &Progress, is_complete: bool) -> Self {
        Self {
            login_failed: progress.time_zero().is_none(),
            healed_at: progress.healed(),
            recovered_at: match progress.recovery() {
                Recovery::Recovered { at } => Some(at),
                Recovery::Away | Recovery::Living { .. } => None,
            },
            is_living: !is_complete && matches!(progress.recovery(), Recovery::Living { .. }),
            slow_after: progress.within(),
            bound: progress.bound(),
        }
    }
}

/// Sound connections that a subject has to leave before it counts as a loop.
const LOOP: u32 = 2;
/// Findings of one kind that are told.
const TOLD: u32 = 3;
/// Lines of its last that stand beside a death, and beside any other finding.
pub(super) const DEATH_LINES: usize = 10;
pub(super) const LINES: usize = 5;

/// Two connections at once, if both are still there when it is due.
#[derive(Debug, Clone, Copy)]
struct Pair {
    old: u32,
    new: u32,
    since: Instant,
    due: Instant,
}

impl Pair {
    fn new(old: u32, new: u32, shared: &Shared) -> Self {
        Self {
            old,
            new,
            since: shared.now,
            // The Close of the old one may be on its way.
            due: shared.now + shared.slack(Duration::ZERO),
        }
    }
}

/// What is seen of outcomes as the run goes.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    early: Vec<Finding>,
    /// Early leavings that are counted and not told.
    early_more: u32,
    pairs: Vec<Pair>,
    /// Whether the subject died or gave up, which says all there is to say of its recovery.
    is_told: bool,
    /// Ends that were asked for and have not come yet.
    stops: u32,
    /// A program ended, and nothing had struck or been READY before.
    has_ended_at_login: bool,
    /// When a connection was dropped whose Close the gateway had not answered.
    unanswered: Option<Instant>,
    healed: bool,
    /// Authenticated connections that the subject left after the heal.
    replaced: u32,
}

pub(super) fn outcome(
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
        self.early
            .retain(|early| now - early.at > DEATH_SHOWS_WITHIN);
        match view.shared.presence {
            Presence::Banned { code, .. } if words::names(message, code) => {}
            _ => {
                self.is_told = true;
                let expected = "to live on, or to end in good order";
                let seen = format!("died: {message}");
                docket.push(outcome("died", Effect::Fails, now, None, seen, expected));
            }
        }
        view.shared.presence = Presence::Ended { at: now };
        view.release();
    }

    /// A program came to an end that nobody asked for. `was_ready` is whether it ever was.
    pub(super) fn exited(
        &mut self,
        view: &mut View,
        docket: &mut Docket,
        processes: &Processes,
        (process, status): (u32, ExitStatus),
        was_ready: bool,
        fatal: Option<(Instant, CloseCode)>,
    ) {
        let now = view.shared.now;
        // One that ends before anything struck is not blamed for what was to come: it may lack a setting.
        let is_untouched = !was_ready && !view.faults.iter().any(|fault| fault.has_struck);
        let is_gone = matches!(
            view.shared.presence,
            Presence::Ended { .. } | Presence::Dismissed { .. }
        );
        match (fatal, status) {
            _ if is_untouched => self.has_ended_at_login = true,
            _ if is_gone => {}
            (Some(_), ExitStatus::Code(0)) => {}
            (Some((at, code)), _) if processes.has_named(code, at) => {}
            (None, ExitStatus::Code(0)) if view.shared.ends == Ends::Stopped => {}
            (None, ExitStatus::Code(0)) => {
                self.is_told = true;
                let said = processes.last_line();
                let said = said.map_or_else(String::new, |line| format!(", saying `{line}`"));
                let seen = format!("ended by itself with {status}{said}");
                let expected = "to go on trying: no fatal code was sent";
                let mut finding = outcome("gave-up", Effect::Fails, now, None, seen, expected);
                finding.evidence = processes.evidence(Some(process), LINES);
                docket.push(finding);
            }
            _ => {
                self.is_told = true;
                let seen = format!("died: {}", processes.last_words(process, status));
                let expected = match fatal {
                    Some((_, code)) => format!(
                        "to live on, to end with exit code 0, or to say why: {code} ({})",
                        code.meaning()
                    ),
                    None => "to live on, or to end in good order".to_owned(),
                };
                let mut finding = outcome("died", Effect::Fails, now, None, seen, expected);
                finding.evidence = processes.evidence(Some(process), DEATH_LINES);
                docket.push(finding);
            }
        }
        // The connections of a process end with it.
        self.early
            .retain(|early| now - early.at > DEATH_SHOWS_WITHIN);
        view.shared.presence = Presence::Ended { at: now };
        view.release();
    }

    /// A program has ended that was told to stop.
    pub(super) fn ended_as_told(
        &self,
        view: &View,
        docket: &mut Docket,
        processes: &Processes,
        (process, status): (u32, ExitStatus),
        told: Instant,
    ) {
        let now = view.shared.now;
        let took = show(now - told);
        match status {
            ExitStatus::Signal(9) => {
                // The wait for the gateway's part in a close handshake is not the program's own.
                let effect = if self.awaits_gateway(view) {
                    Effect::Shown
                } else {
                    Effect::Fails
                };
                let seen =
                    format!("had not ended {took} after it was told to stop, and was killed");
                let expected = "to end in the grace that it was given";
                let mut finding = outcome("leak", effect, now, None, seen, expected);
                finding.evidence = processes.evidence(Some(process), LINES);
                docket.push(finding);
            }
            // A shell reports a signal as 128 and its number.
            ExitStatus::Code(0 | 129 | 130 | 143) | ExitStatus::Signal(1 | 2 | 15) => {}
            _ => {
                let Some(error) = processes.uncaught_since(process, told) else {
                    return;
                };
                let seen = format!("ended with {status} when it was told to stop: {error}");
                let mut finding = outcome("exit", Effect::Note, now, None, seen, "exit code 0");
                finding.evidence = processes.evidence(Some(process), LINES);
                docket.push(finding);
            }
        }
    }

    /// A connection is dropped whose Close the gateway had not answered.
    pub(super) const fn dropped_unanswered(&mut self, now: Instant) {
        self.unanswered = Some(now);
    }

    /// Whether a program that goes to its end may be held up by the gateway.
    fn awaits_gateway(&self, view: &View) -> bool {
        let now = view.shared.now;
        let is_recent = |at: Instant| now - at <= DEATH_SHOWS_WITHIN;
        let waits = |c: &Connection| c.left.is_some() && c.cut.is_none() || !c.is_clear();
        let is_slow = view.faults.iter().any(|fault| {
            fault.has_struck && matches!(fault.scheduled.fault.action, Action::OnClose(_))
        });
        view.closes_slowly
            || is_slow
            || self.unanswered.is_some_and(is_recent)
            || view.connections.iter().any(waits)
    }

    /// What was found and has no evidence yet.
    pub(super) fn fresh(&mut self) -> impl Iterator<Item = &mut Finding> {
        self.early.iter_mut().filter(|f| f.evidence.is_empty())
    }

    /// Whether a program ended before anything could be asked of it.
    pub(super) const fn has_ended_at_login(&self) -> bool {
        self.has_ended_at_login
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
                self.is_told = true;
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
        docket.push_again(outcome(
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
        // Of two processes the one that is about to end may open another connection, and nobody can tell.
        if shared.presence != Presence::Running || shared.is_disputed() {
            return;
        }
        let is_held = |c: &&Connection| c.is_open() && c.life == shared.life && c.number != number;
        let held = view.connections.iter().filter(is_held);
        // Of several shards it is not known yet which one has come.
        if shared.shards == 1 {
            let pairs = held.map(|old| Pair::new(old.number, number, shared));
            self.pairs.extend(pairs);
        }
    }

    /// A connection named its shard with its login: is that shard there already?
    pub(super) fn named(&mut self, view: &View, place: usize) {
        let shared = &view.shared;
        if shared.shards == 1 || shared.presence != Presence::Running || shared.is_disputed() {
            return;
        }
        let new = &view.connections[place];
        let is_same = |c: &&Connection| {
            c.is_open()
                && c.life == new.life
                && c.number != new.number
                && c.shard.is_some()
                && c.shard == new.shard
        };
        let held = view.connections.iter().filter(is_same);
        let pairs = held.map(|old| Pair::new(old.number, new.number, shared));
        self.pairs.extend(pairs);
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
                docket.push_again(double);
            }
            is_double && now <= pair.due
        });
    }

    /// The run is over: what was left too early has not turned out to be part of a death.
    pub(super) fn tell_early(&mut self, docket: &mut Docket) {
        if let Some(last) = self.early.last_mut().filter(|_| self.early_more > 0) {
            last.seen = format!("{} (and {} more)", last.seen, self.early_more);
        }
        for early in self.early.drain(..) {
            docket.push(early);
        }
    }

    /// Whether the subject died or gave up.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// The recovery is judged. Gives a reason why it says nothing, if the recovery could not be watched.
    pub(super) fn finish(
        &self,
        view: &View,
        docket: &mut Docket,
        facts: &RecoveryFacts,
        ailment: Option<Ailment>,
        last_attempt: Option<Instant>,
        until: Instant,
    ) -> Option<String> {
        if view.shared.ends == Ends::Stopped || self.is_told {
            return None;
        }
        let ailing = match ailment.filter(|_| view.shared.presence == Presence::Running) {
            Some(Ailment::Ill { seen, at, answers }) => {
                let expected = match facts.bound {
                    Some(bound) => format!("to be well again by {bound}"),
                    None => "to be well".to_owned(),
                };
                let mut ill = outcome("health", Effect::Fails, at, None, seen, expected);
                ill.evidence = answers;
                docket.push(ill);
                None
            }
            Some(Ailment::Always(last)) => Some(format!(
                "the subject was not well before anything struck either: {last}"
            )),
            None => None,
        };
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
            return ailing;
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
        if facts.is_living || facts.bound.is_none() || until < bound {
            return Some("the run ended before the recovery was due".to_owned());
        }
        let silent_since = facts.healed_at.filter(|healed| {
            last_attempt.is_none_or(|last| last < *healed)
                && !view.hides_attempts_for_good()
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
