//! Rules about coming back: B1 to B3, R10, what awaits a lost connection (X2 to X4, C5, H7, R4 to R6, Z3), and R7's port.
//!
//! A shard that lost its connection has a [`Cause`]. The next IDENTIFY or RESUME is judged by it: RESUME keeps the rule that
//! the cause stands for, IDENTIFY breaks it while the session can be resumed. A RESUME that was refused in between frees the
//! subject; a reconnect that failed before one could be sent makes a first IDENTIFY a matter of taste (Discord advises it).

use super::Effect;
use super::docket::Docket;
use super::rules::Rule;
use super::view::{Cause, Dead, Presence, View};
use crate::fault::{Action, Port};
use crate::protocol::{CloseCode, Opcode};
use crate::time::{Duration, Instant, show};
use std::collections::VecDeque;

/// A session is resumable for a few minutes; after that IDENTIFY is as good.
const RESUMABLE_FOR: Duration = Duration::from_secs(90);
/// Failed attempts at the resume URL alone before the main one must be tried.
const RESUME_URL_TRIES: u32 = 5;
/// More attempts than this in ten seconds are a tight loop: five a second.
const TIGHT: (Duration, usize) = (Duration::from_secs(10), 50);
/// More accepted connects than this in a minute hammer the gateway.
const HAMMER: (Duration, usize) = (Duration::from_mins(1), 60);
/// Delays of a streak that are compared.
const STREAK: usize = 5;

/// What the judge remembers of attempts to connect.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    times: VecDeque<Instant>,
    accepted: VecDeque<Instant>,
    /// Delays between a failure and the next attempt, since the last success.
    delays: Vec<Duration>,
    /// Whether the first of them follows the loss of a connection that was authenticated, and may be nothing.
    is_after_loss: bool,
    failed_at: Option<Instant>,
    was_told: bool,
    /// What has to be followed by an attempt, since when, and on which connection.
    awaited: Option<(Rule, Instant, Option<u32>)>,
    /// The last attempt of all.
    pub(super) last: Option<Instant>,
}

/// Which rule demands that the shard comes back, and with RESUME.
const fn rules_of(cause: Cause) -> (Option<Rule>, Option<Rule>) {
    match cause {
        Cause::Zombie => (Some(Rule::H7), Some(Rule::H7)),
        Cause::Op7 { before_hello: true } => (Some(Rule::C5), Some(Rule::C5)),
        Cause::Op7 { .. } => (Some(Rule::R5), Some(Rule::R5)),
        Cause::Op9 { resumable: true } => (Some(Rule::R6), Some(Rule::R6)),
        Cause::Op9 { .. } => (Some(Rule::R7), None),
        Cause::Code(code) => by_code(code),
        Cause::NoCode => (Some(Rule::X3), Some(Rule::X3)),
        Cause::BadFrame => (Some(Rule::Z3), Some(Rule::Z3)),
        Cause::Unknown => (None, None),
    }
}

/// 4003 and 4005 are met by sound clients with either; so are codes that Discord does not document, 1000 above all.
const fn by_code(code: CloseCode) -> (Option<Rule>, Option<Rule>) {
    match code.0 {
        4000..=4002 | 4008 => (Some(Rule::X2), Some(Rule::R4)),
        4003 | 4005 | 4007 | 4009 => (Some(Rule::X2), None),
        1005 | 1006 => (Some(Rule::X3), Some(Rule::X3)),
        4004 | 4010..=4014 => (None, None),
        _ => (Some(Rule::X4), None),
    }
}

impl Attempts {
    /// A connection was lost, or an attempt failed: another attempt has to follow.
    pub(super) fn lost(&mut self, cause: Option<Cause>, now: Instant, connection: Option<u32>) {
        let rule = cause.map_or(Some(Rule::B3), |cause| rules_of(cause).0);
        if let Some(rule) = rule.filter(|_| self.awaited.is_none()) {
            self.awaited = Some((rule, now, connection));
        }
        self.failed_at = Some(now);
    }

    /// The subject is authenticated: what follows is another streak.
    pub(super) fn succeeded(&mut self) {
        self.delays.clear();
        self.is_after_loss = true;
        self.failed_at = None;
        self.was_told = false;
    }

    /// Nothing is awaited any more: it was told to stop, or may not come back.
    pub(super) fn excused(&mut self) {
        self.awaited = None;
    }

    /// The subject began an attempt to connect.
    pub(super) fn began(&mut self, view: &View, docket: &mut Docket, is_accepted: bool) {
        let now = view.shared.now;
        self.last = Some(now);
        if let Some((rule, _, _)) = self.awaited.take() {
            // A loss that demands RESUME as well is kept by the RESUME.
            if matches!(rule, Rule::X2 | Rule::X3 | Rule::X4 | Rule::B3) {
                docket.kept(rule);
            }
        }
        self.loops(
            docket,
            now,
            is_accepted,
            usize::try_from(view.shared.shards).unwrap_or(1),
        );
        let Some(failed) = self.failed_at.take() else {
            return;
        };
        self.delays.push(now - failed);
        if self.delays.len() < STREAK + usize::from(self.is_after_loss) || view.shared.shards > 1 {
            return;
        }
        let streak = &self.delays[self.delays.len() - STREAK..];
        let (first, last) = (streak[0], streak[STREAK - 1]);
        // With jitter, two delays near the cap may come in either order.
        let has_grown =
            last > first * 6 / 5 || first.max(last) >= view.shared.allowances.backoff / 2;
        if has_grown {
            docket.kept(Rule::B1);
        } else if !self.was_told {
            self.was_told = true;
            docket.found(Rule::B1, Effect::Shown, now, None, || {
                (
                    format!("tried {STREAK} times in a row after {} each", show(last)),
                    "delays that grow".to_owned(),
                )
            });
        }
        if self.delays.len() > 4 * STREAK {
            self.delays.drain(1..=STREAK);
        }
    }

    fn loops(&mut self, docket: &mut Docket, now: Instant, is_accepted: bool, shards: usize) {
        let (window, most) = TIGHT;
        self.times.push_back(now);
        if self.times.len() > most * shards {
            let oldest = self.times.pop_front().unwrap_or(now);
            if now - oldest < window {
                let count = self.times.len();
                self.times.clear();
                docket.found(Rule::B1, Effect::Fails, now, None, || {
                    (
                        format!("tried to connect {count} times in {}", show(now - oldest)),
                        format!("at most {most} attempts in {}", show(window)),
                    )
                });
            }
        }
        if !is_accepted {
            return;
        }
        let (window, most) = HAMMER;
        self.accepted.push_back(now);
        if self.accepted.len() > most * shards {
            let oldest = self.accepted.pop_front().unwrap_or(now);
            if now - oldest < window {
                let count = self.accepted.len();
                self.accepted.clear();
                docket.broken(Rule::B2, now, None, || {
                    (
                        format!("was accepted {count} times in {}", show(now - oldest)),
                        format!("at most {most} connects in {}", show(window)),
                    )
                });
            } else {
                docket.kept(Rule::B2);
            }
        }
    }

    /// The run is over: is an attempt still awaited that should have come?
    pub(super) fn finish(&self, view: &View, docket: &mut Docket, until: Instant) {
        let Some((rule, since, connection)) = self.awaited else {
            return;
        };
        if view.hides_attempts_for_good() {
            return;
        }
        let allowances = &view.shared.allowances;
        let limit = allowances.close
            + allowances.backoff
            + allowances.connect
            + allowances.op9
            + allowances.identify
            + view.shared.slack(view.shared.interval);
        let gone = matches!(view.shared.presence, Presence::Ended { .. });
        if until - since < limit && !gone {
            return;
        }
        docket.broken(rule, until, connection, || {
            let lost = connection.map_or_else(String::new, |number| format!(" after #{number}"));
            (
                format!("no attempt to connect{lost} in {}", show(until - since)),
                format!("one within {}", show(limit)),
            )
        });
    }

    /// A fault that kept the gateway out of reach is over: attempts are awaited from here.
    pub(super) fn reachable(&mut self, now: Instant) {
        if let Some((_, since, _)) = &mut self.awaited {
            *since = now;
        }
    }
}

/// Whether a fault of this kind keeps the gateway out of reach, attempts unseen.
pub(super) const fn hides_attempts(action: &Action<Duration>) -> bool {
    matches!(
        action,
        Action::Refuse | Action::AcceptReset | Action::Blackhole { .. } | Action::Hold { .. }
    )
}

/// An attempt ended before READY or RESUMED.
pub(super) fn failed(
    view: &mut View,
    docket: &mut Docket,
    port: Port,
    resumed: bool,
    answered: bool,
) {
    let now = view.shared.now;
    let blocked = view.resume_port_is_blocked();
    let single = view.shared.shards == 1;
    for trail in view.trails.iter_mut().filter(|trail| trail.loss.is_some()) {
        if resumed {
            trail.refused += 1;
        } else {
            trail.failed += 1;
        }
        if port == Port::Resume {
            trail.resume_url_failed = true;
        }
        match port {
            Port::Resume if blocked && !answered => trail.at_resume_url += 1,
            Port::Main if trail.at_resume_url > 0 => {
                trail.at_resume_url = 0;
                docket.kept(Rule::R10);
            }
            _ => {}
        }
        let tries = trail.at_resume_url;
        if single && tries > RESUME_URL_TRIES {
            trail.at_resume_url = 0;
            docket.broken(Rule::R10, now, None, || {
                (
                    format!("failed {tries} times in a row at the resume URL"),
                    "the main URL to be tried as well".to_owned(),
                )
            });
        }
    }
}

/// An attempt at the main listener got through, whatever came of it before.
pub(super) fn reached_main(view: &mut View, docket: &mut Docket) {
    for trail in &mut view.trails {
        if std::mem::take(&mut trail.at_resume_url) > 0 {
            docket.kept(Rule::R10);
        }
    }
}

/// The subject sent IDENTIFY or RESUME: is it the one that the loss before asks for?
pub(super) fn authenticates(
    view: &mut View,
    docket: &mut Docket,
    place: usize,
    op: Opcode,
    shard: Option<u32>,
) {
    let now = view.shared.now;
    let connection = &view.connections[place];
    let (number, port, auths) = (connection.number, connection.port, connection.auths);
    let on_same = connection.session.is_some() || auths > 0;
    if op == Opcode::IDENTIFY && !on_same && port == Port::Resume {
        docket.broken(Rule::R7, now, Some(number), || {
            (
                format!("sent IDENTIFY on #{number}, a new connection to the resume URL"),
                "a new session to be started at the main URL".to_owned(),
            )
        });
    }
    let trail = view.trail(shard);
    let (loss, failed, refused, serial) = (trail.loss, trail.failed, trail.refused, trail.session);
    let Some((lost_at, cause)) = loss else {
        return;
    };
    if op == Opcode::RESUME {
        if let Some(rule) = rules_of(cause).1.filter(|_| refused == 0) {
            docket.kept(rule);
        }
        return;
    }
    if let Cause::Op9 { resumable: false } = cause {
        docket.kept(Rule::R7);
    }
    if let Cause::Code(code) = cause
        && code.ends_session()
    {
        docket.kept(Rule::R8);
    }
    // A session that was given up once is not given up again by the next IDENTIFY.
    view.trail(shard).loss = Some((lost_at, Cause::Unknown));
    let is_resumable = serial
        .and_then(|serial| view.session(serial))
        .is_some_and(|session| {
            let is_alive = matches!(session.dead, None | Some(Dead::Closed(_)));
            is_alive && (session.is_known || session.confirmed.is_some())
        });
    let Some(rule) = rules_of(cause).1 else {
        return;
    };
    if !is_resumable || refused > 0 || now - lost_at > RESUMABLE_FOR {
        return;
    }
    let effect = if failed > 0 || view.refuses_unseen() {
        let trail = view.trail(shard);
        trail.given_up += 1;
        if trail.given_up == 1 {
            Some(Effect::Shown)
        } else {
            Some(Effect::Fails)
        }
    } else {
        None
    };
    let text = || {
        (
            format!("sent IDENTIFY on #{number}"),
            "RESUME: the session could be resumed".to_owned(),
        )
    };
    match effect {
        Some(effect) => docket.found(rule, effect, now, Some(number), text),
        None => docket.broken(rule, now, Some(number), text),
    }
}
