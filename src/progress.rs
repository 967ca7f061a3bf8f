//! How far a run has come: its phases, the bound of its recovery and the recovery itself, read off the trace.
//!
//! The engine feeds a [`Progress`] with every entry as it is made and asks it when the next phase begins
//! ([`Progress::advance`], [`Progress::due`]); the judge feeds one from the same entries, or from a file, and asks it when the
//! subject had to be back and whether it was. It knows no client and no gateway, reads no clock and decides nothing for a
//! file: there a phase begins where the trace says so. SEMANTICS.md, "Phases of a run" and "Bounds", has the meanings.

use crate::expect::{Allowances, Damage, Ends};
use crate::fault::{Act, Action, Answer, DrawnFault, Lasts, Times};
use crate::protocol::{CloseCode, Json, Opcode};
use crate::time::{Duration, Instant};
use crate::trace::{Entry, Fate, Header, Observer, Phase, Seen, Side};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// For how many I a subject has to live before it counts as recovered, and is watched after it should stay away.
const WATCH: u32 = 4;

/// How many I after the bound a run is given up.
const PATIENCE: u32 = 8;

/// How many failed attempts the bound allows for. A subject that fails for ever must not push its bound on for ever; sound
/// clients change their ways (the other URL, a new session) within five tries.
const ATTEMPTS_MAX: u32 = 5;

/// More shards than this a program does not have that is tested here, whatever it says.
const SHARDS_MAX: usize = 1024;

/// Whether the subject is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It is not authenticated, or only on a connection that a fault has deafened for good.
    Away,
    /// It is authenticated since then, and has not lived for 4 I after that and after the heal.
    Living {
        /// When its last READY or RESUMED was sent.
        since: Instant,
    },
    /// It is authenticated since then, and lives.
    Recovered {
        /// When its last READY or RESUMED was sent.
        at: Instant,
    },
}

/// How far a run has come.
#[derive(Debug)]
pub struct Progress {
    interval: Duration,
    allowances: Allowances,
    login_within: Duration,
    chaos: Duration,
    recover_within: Duration,
    ends: Ends,
    /// On how many shards the subject has to be back. A program decides itself how many it has: as many as it has brought up.
    /// Others that it says there are may be another process's to see to.
    shards: usize,
    is_program: bool,
    /// The shards that a program has brought up, and of how many it says they are.
    brought_up: (BTreeSet<u32>, u32),
    /// The last session of each shard: RESUME names the session only.
    sessions: BTreeMap<u32, String>,
    /// How long a subject may go on when it has come to its end, since something may still be on its way.
    aftermath: Duration,
    faults: Vec<Known>,
    phase: Phase,
    /// When the phase that is on began; the subject's start for the first.
    phase_since: Instant,
    /// When nothing more was injected.
    healed: Option<Instant>,
    /// Time zero; set by the first READY, or when chaos begins without one.
    zero: Option<Instant>,
    first_strike: Option<Instant>,
    /// The last strike, those left out that a fault for the run makes after its first.
    last_strike: Option<Instant>,
    /// The end of the last fault that struck and is over.
    last_end: Option<Instant>,
    /// What struck, the failed attempts left out.
    damage: Damage,
    failed_attempts: u32,
    /// When the last of them ended that the bound allows for.
    failed_at: Option<Instant>,
    /// When a connection that lived since then, and is gone, began to be of use after the end of the last fault.
    lived_at: Option<Instant>,
    links: Vec<Link>,
    /// How many times the subject was started: a program's processes are numbered so.
    starts: u32,
    exit: Exit,
    /// The time of the last entry, that of the end of the watch included.
    now: Instant,
    /// When it was last asked whether the next phase begins, since the last entry that could change the answer.
    asked: Option<Instant>,
    /// What `due` says, where nothing has changed it since it was found: it is asked for after everything that happens.
    due: Option<Instant>,
    is_due_known: bool,
}

/// What matters of a fault of the schedule.
#[derive(Debug)]
struct Known {
    lasts: Lasts<Duration>,
    damage: Damage,
    /// Whether a connection that it strikes is of no use after the heal either.
    is_lasting: bool,
    /// Whether it strikes again and again until nothing is injected any more: then only its first strike is waited for.
    is_unlimited: bool,
    /// Whether it has struck more than once.
    is_again: bool,
    standing: Standing,
}

/// Where a fault stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not struck.
    Waiting,
    /// It has struck and lasts.
    InForce,
    /// It has struck and is over, or counts as over.
    Over,
}

/// A connection that neither side has ended.
#[derive(Debug)]
struct Link {
    number: u32,
    accepted: Instant,
    /// When the last READY or RESUMED was sent on it.
    authenticated: Option<Instant>,
    /// Whether an op 9 came on it since: its subject may stay on it, and has to log in again.
    is_invalid: bool,
    /// The shard that its login was for, if that named one that is known.
    shard: Option<u32>,
    health: Health,
}

/// Whether a connection is of use to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It is.
    Sound,
    /// A fault has deafened it for as long as it lives.
    Deaf,
}

/// Whether the subject was made to stay away, or came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Neither.
    None,
    /// It was closed with a fatal code, or told to stop.
    Told(Instant),
    /// It came to its end after that, or was killed.
    Followed { told: Instant, gone: Instant },
    /// A successor was started while it was still about to stop.
    Succeeded,
    /// It came to its end by itself.
    Unasked(Instant),
}

impl Progress {
    /// A run that is about to begin.
    pub fn new(header: &Header) -> Self {
        let close_is_slow = header.on_close != Answer::AtOnce;
        Self {
            interval: header.interval,
            allowances: header.allowances,
            login_within: header.login_within,
            chaos: header.chaos,
            recover_within: header.recover_within,
            ends: header.ends,
            shards: usize::try_from(header.shards.max(1)).unwrap_or(usize::MAX),
            is_program: header.sees_process,
            brought_up: (BTreeSet::new(), 0),
            sessions: BTreeMap::new(),
            // A process may have left children or sockets behind; of a machine nothing can come.
            aftermath: header.interval * if header.sees_process { WATCH } else { 1 },
            faults: (header.schedule.iter())
                .map(|scheduled| Known::new(&scheduled.fault))
                .collect(),
            phase: Phase::Login,
            phase_since: Instant::ZERO,
            healed: None,
            zero: None,
            first_strike: None,
            last_strike: None,
            last_end: None,
            damage: Damage {
                close_is_slow,
                ..Damage::default()
            },
            failed_attempts: 0,
            failed_at: None,
            lived_at: None,
            links: Vec::new(),
            starts: 0,
            exit: Exit::None,
            now: Instant::ZERO,
            asked: None,
            due: None,
            is_due_known: false,
        }
    }

    /// The phase that is on.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// When the phase that is on began.
    pub const fn phase_since(&self) -> Instant {
        self.phase_since
    }

    /// Time zero: the first READY; without any, the first strike, once chaos has begun.
    pub const fn time_zero(&self) -> Option<Instant> {
        self.zero
    }

    /// When the next phase begins if nothing happens until then. It may be in the past, and then `advance` has an answer.
    pub fn due(&mut self) -> Option<Instant> {
        if !self.is_due_known {
            self.due = self.find_due();
            self.is_due_known = true;
        }
        self.due
    }

    fn find_due(&self) -> Option<Instant> {
        // What would be due if the schedule were spent was asked for before, unless it is still to come.
        let spent = self
            .next(true)
            .filter(|(at, _)| self.asked.is_none_or(|asked| *at > asked));
        let unspent = self.next(false);
        spent.into_iter().chain(unspent).map(|(at, _)| at).min()
    }

    /// Whether another phase begins now, to be recorded as an entry, through which it comes back here. To be asked when `due`
    /// has come, and after every entry and whenever the schedule may have become spent.
    pub fn advance(&mut self, now: Instant, schedule_is_spent: bool) -> Option<Phase> {
        self.asked = self.asked.max(Some(now));
        self.is_due_known = false;
        let (_, phase) = self.next(schedule_is_spent).filter(|(at, _)| *at <= now)?;
        Some(phase)
    }

    /// When nothing more was injected.
    pub const fn healed(&self) -> Option<Instant> {
        self.healed
    }

    /// Whether the subject is back.
    pub fn recovery(&self) -> Recovery {
        let Some(since) = self.authenticated() else {
            return Recovery::Away;
        };
        match self.healed {
            // It has come back when it first came to stay; that it was replaced much later is another matter.
            Some(healed) if self.now >= self.lived(since, healed) => Recovery::Recovered {
                at: since.min(self.lived_at.unwrap_or(since)),
            },
            _ => Recovery::Living { since },
        }
    }

    /// When the subject has to be back; `None` while nothing struck, or while something that struck lasts. After an attempt that
    /// failed it has the whole time again.
    pub fn bound(&self) -> Option<Instant> {
        let from = self.within()?.max(self.failed_at.unwrap_or_default());
        Some(from + self.allowances.recovery(&self.damage))
    }

    /// After which time a recovery is slow; `None` as for `bound`.
    pub fn within(&self) -> Option<Instant> {
        let end = self.last_end.filter(|_| !self.is_in_force())?;
        Some(end + self.recover_within)
    }

    /// When the next phase begins if nothing happens until then, and which it is.
    fn next(&self, is_spent: bool) -> Option<(Instant, Phase)> {
        let is_kept_out = self.phase == Phase::Login && self.first_strike.is_some();
        let gone = match (self.ends, self.exit) {
            (_, Exit::Unasked(at)) if !is_kept_out => Some(at),
            // The schedule might still start it again.
            (Ends::Recovered, Exit::Followed { gone, .. }) if is_spent && !is_kept_out => {
                Some(gone)
            }
            _ => None,
        };
        let over = gone.map(|at| (at + self.aftermath, Phase::Over));
        let next = match self.phase {
            Phase::Login => Some(self.after_login()),
            Phase::Chaos if self.is_in_force() && !self.is_unlimited() => None,
            Phase::Chaos => {
                let is_spent = is_spent && !self.is_in_force();
                let at = self.heal_at(is_spent).max(self.phase_since);
                Some((at, Phase::Healed))
            }
            Phase::Healed => Some((self.over_at(), Phase::Over)),
            Phase::Over => return None,
        };
        match (over, next) {
            (Some(over), Some(next)) if next.0 < over.0 => Some(next),
            (Some(over), _) => Some(over),
            (None, next) => next,
        }
    }

    fn after_login(&self) -> (Instant, Phase) {
        match (self.zero, self.first_strike, self.exit) {
            (Some(zero), _, _) => (zero, Phase::Chaos),
            // It will not log in any more, and a fault is the reason: the run goes on to see how it takes that.
            (None, Some(struck), Exit::Told(at) | Exit::Unasked(at)) => {
                (at.max(struck), Phase::Chaos)
            }
            (None, Some(struck), Exit::Followed { told, .. }) => (told.max(struck), Phase::Chaos),
            (None, Some(_), Exit::None | Exit::Succeeded) => {
                (self.phase_since + self.login_within, Phase::Chaos)
            }
            (None, None, _) => (self.phase_since + self.login_within, Phase::Over),
        }
    }

    /// When chaos ends, nothing that struck being in force.
    fn heal_at(&self, is_spent: bool) -> Instant {
        let zero = self.zero.unwrap_or(self.phase_since);
        let least = (zero + self.chaos).max(self.last_end.unwrap_or(zero));
        if is_spent {
            return least;
        }
        // As long as a sound subject could need to come to where the next fault waits for it.
        let worst = Damage {
            was_silent: true,
            close_is_slow: true,
            session_ended: true,
        };
        let patience = self.recover_within + self.allowances.recovery(&worst);
        let from = self.last_strike.unwrap_or(zero).max(zero);
        least.max(from + patience)
    }

    /// When the watch is over.
    fn over_at(&self) -> Instant {
        let healed = self.phase_since;
        if self.ends == Ends::Stopped
            && let Exit::Told(at) | Exit::Followed { told: at, .. } = self.exit
        {
            let grace = self.allowances.close + self.allowances.backoff;
            return healed.max(at + self.interval * WATCH + grace);
        }
        let bound = self.bound().unwrap_or_else(|| {
            healed + self.recover_within + self.allowances.recovery(&self.damage)
        });
        let limit = bound.max(healed) + self.interval * PATIENCE;
        match (self.ends, self.authenticated()) {
            (Ends::Recovered, Some(since)) => self.lived(since, healed).min(limit),
            _ => limit,
        }
    }

    /// When a subject that is authenticated since then has lived long enough.
    fn lived(&self, since: Instant, healed: Instant) -> Instant {
        since.max(healed) + self.interval * WATCH
    }

    /// Since when the subject is authenticated on sound connections of as many shards as it has.
    fn authenticated(&self) -> Option<Instant> {
        let is_sound = |link: &&Link| {
            link.health == Health::Sound && link.authenticated.is_some() && !link.is_invalid
        };
        let sound = || self.links.iter().filter(is_sound);
        let last = sound().filter_map(|link| link.authenticated).max();
        let count = if self.shards == 1 {
            sound().count()
        } else {
            // Two connections of one shard are one that is back.
            let known: BTreeSet<u32> = sound().filter_map(|link| link.shard).collect();
            known.len() + sound().filter(|link| link.shard.is_none()).count()
        };
        last.filter(|_| count >= self.shards)
    }

    /// A login names a shard, or a session that is known to be one's.
    fn named(&mut self, connection: u32, d: &Json) {
        #[derive(Deserialize)]
        struct Login<'a> {
            shard: Option<[u32; 2]>,
            #[serde(borrow)]
            session_id: Option<Cow<'a, str>>,
        }
        if self.shards == 1 && !self.is_program {
            return;
        }
        let Ok(login) = d.read::<Login<'_>>() else {
            return;
        };
        if login.session_id.is_none() && self.is_program {
            let [shard, of] = login.shard.unwrap_or([0, 1]);
            if self.brought_up.1 != of {
                self.brought_up = (BTreeSet::new(), of);
            }
            let shards = &mut self.brought_up.0;
            if shards.len() < SHARDS_MAX {
                shards.insert(shard);
            }
            self.shards = shards.len();
        }
        let of_session = |id| {
            let mut known = self.sessions.iter();
            known
                .find(|(_, known)| *known == id)
                .map(|(shard, _)| *shard)
        };
        let shard = match (&login.shard, &login.session_id) {
            (Some([shard, _]), _) => Some(*shard),
            (None, Some(id)) => of_session(id),
            (None, None) => None,
        };
        if let Some(link) = (self.links.iter_mut()).find(|link| link.number == connection) {
            link.shard = shard;
        }
    }

    /// A session has begun.
    fn began(&mut self, connection: u32, d: &Json) {
        #[derive(Deserialize)]
        struct Ready<'a> {
            #[serde(borrow)]
            session_id: Cow<'a, str>,
        }
        let link = self.links.iter().find(|link| link.number == connection);
        if (self.shards > 1 || self.is_program)
            && let Some(shard) = link.and_then(|link| link.shard)
            && let Ok(ready) = d.read::<Ready<'_>>()
        {
            self.sessions.insert(shard, ready.session_id.into_owned());
        }
    }

    /// Whether nothing is in force but what strikes again whenever it is over.
    fn is_unlimited(&self) -> bool {
        (self.faults.iter())
            .filter(|known| known.standing == Standing::InForce)
            .all(|known| known.is_unlimited && known.is_again)
    }

    fn is_in_force(&self) -> bool {
        (self.faults.iter()).any(|known| known.standing == Standing::InForce)
    }

    fn strike(&mut self, at: Instant, fault: u32, connection: Option<u32>) {
        self.first_strike = self.first_strike.or(Some(at));
        let Some(known) = usize::try_from(fault)
            .ok()
            .and_then(|fault| self.faults.get_mut(fault))
        else {
            return;
        };
        self.damage.was_silent |= known.damage.was_silent;
        self.damage.close_is_slow |= known.damage.close_is_slow;
        self.damage.session_ended |= known.damage.session_ended;
        if known.is_lasting
            && let Some(link) = self
                .links
                .iter_mut()
                .find(|link| Some(link.number) == connection)
        {
            link.health = Health::Deaf;
        }
        let is_again = known.standing != Standing::Waiting;
        known.is_again = is_again;
        // A run that waits for another fault does not wait for as long as this one strikes.
        let is_awaited = !(is_again && known.is_unlimited);
        match known.lasts {
            Lasts::For(_) => known.standing = Standing::InForce,
            Lasts::Run if is_again => return,
            Lasts::Unsaid | Lasts::Connection | Lasts::Run => {
                known.standing = Standing::Over;
                self.end(at);
            }
        }
        if is_awaited {
            self.last_strike = Some(at);
        }
    }

    fn heal(&mut self, at: Instant, fault: u32) {
        let known = usize::try_from(fault)
            .ok()
            .and_then(|fault| self.faults.get_mut(fault));
        if let Some(known) = known
            && known.standing == Standing::InForce
        {
            known.standing = Standing::Over;
            self.end(at);
        }
    }

    /// A fault that struck is over: from here on attempts are counted.
    fn end(&mut self, at: Instant) {
        self.last_end = self.last_end.max(Some(at));
        (self.failed_attempts, self.failed_at, self.lived_at) = (0, None, None);
    }

    /// An attempt to come back has failed.
    fn fail(&mut self, at: Instant) {
        self.failed_attempts += 1;
        if self.failed_attempts <= ATTEMPTS_MAX {
            self.failed_at = Some(at);
        }
    }

    /// One side has ended a connection.
    fn lose(&mut self, at: Instant, connection: u32) {
        let known = self.links.iter().position(|link| link.number == connection);
        let Some(link) = known.map(|index| self.links.remove(index)) else {
            return;
        };
        let Some(end) = self.last_end else { return };
        let is_attempt = link.accepted > end;
        if let (Some(since), Health::Sound) = (link.authenticated, link.health) {
            let since = since.max(end);
            if at >= since + self.interval * WATCH {
                self.lived_at.get_or_insert(since);
            }
        }
        if link.authenticated.is_none() && is_attempt {
            self.fail(at);
        }
    }

    /// The subject has come to its end, and its connections with it.
    fn gone(&mut self, at: Instant, is_asked_for: bool) {
        self.exit = match self.exit {
            Exit::Told(told) => Exit::Followed { told, gone: at },
            // It is the predecessor that has stopped; the connections may be the successor's.
            Exit::Succeeded if is_asked_for => {
                self.exit = Exit::None;
                return;
            }
            Exit::None | Exit::Succeeded => Exit::Unasked(at),
            known => known,
        };
        self.links.clear();
    }

    /// A program's process has ended: the one that was started last is the subject, any other a predecessor.
    fn exited(&mut self, at: Instant, process: u32) {
        if process == self.starts {
            self.gone(at, false);
        } else if self.exit == Exit::Succeeded {
            self.exit = Exit::None;
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, entry: &Entry) {
        // What follows is gwtool's own clearing up.
        if self.phase == Phase::Over {
            return;
        }
        let at = entry.at;
        self.now = self.now.max(at);
        // Traffic moves nothing.
        match &entry.saw {
            Seen::Delivered(_) | Seen::Log { .. } | Seen::ProcessOutput { .. } => return,
            Seen::Frame {
                op: Opcode::DISPATCH,
                t,
                ..
            } if !matches!(t.as_deref(), Some("READY" | "RESUMED")) => return,
            _ => self.is_due_known = false,
        }
        if let Seen::Phase(_) | Seen::Struck { .. } | Seen::Healed { .. } = entry.saw {
            self.asked = None;
        }
        match &entry.saw {
            Seen::Started { .. } => {
                self.starts += 1;
                match self.exit {
                    Exit::None if self.phase == Phase::Login => self.phase_since = at,
                    Exit::Told(_) => self.exit = Exit::Succeeded,
                    _ => self.exit = Exit::None,
                }
            }
            Seen::Phase(phase) => {
                self.phase = *phase;
                self.phase_since = at;
                if *phase == Phase::Healed {
                    self.healed = Some(at);
                }
                if *phase == Phase::Chaos && self.zero.is_none() {
                    self.zero = self.first_strike.or(Some(at));
                }
            }
            Seen::Accepted { connection, .. } => self.links.push(Link {
                number: *connection,
                accepted: at,
                authenticated: None,
                is_invalid: false,
                shard: None,
                health: Health::Sound,
            }),
            Seen::Missed { .. } if self.last_end.is_some_and(|end| at > end) => self.fail(at),
            Seen::Frame {
                connection,
                from: Side::Gateway,
                fate: Fate::Delivered,
                op: Opcode::DISPATCH,
                t: Some(t),
                d,
                ..
            } if t == "READY" || t == "RESUMED" => {
                if t == "READY" && self.phase == Phase::Login {
                    self.zero = self.zero.or(Some(at));
                }
                if let Some(link) = (self.links.iter_mut()).find(|link| link.number == *connection)
                {
                    link.authenticated = Some(at);
                    link.is_invalid = false;
                }
                if t == "READY" {
                    self.began(*connection, d);
                }
            }
            Seen::Frame {
                connection,
                from: Side::Gateway,
                fate,
                op: Opcode::INVALID_SESSION,
                ..
            } if fate.arrives() => {
                if let Some(link) = (self.links.iter_mut()).find(|link| link.number == *connection)
                {
                    link.is_invalid = true;
                }
            }
            Seen::Frame {
                connection,
                from: Side::Subject,
                op: Opcode::IDENTIFY | Opcode::RESUME,
                d,
                ..
            } => self.named(*connection, d),
            Seen::Close {
                connection,
                from,
                fate,
                code,
                ..
            } => {
                if *from == Side::Subject || fate.arrives() {
                    self.lose(at, *connection);
                }
                let is_fatal = code.is_some_and(CloseCode::is_fatal);
                if *from == Side::Gateway && fate.arrives() && is_fatal {
                    self.exit = Exit::Told(at);
                }
            }
            Seen::Fin {
                connection,
                from,
                fate,
            }
            | Seen::Rst {
                connection,
                from,
                fate,
            } if *from == Side::Subject || fate.arrives() => self.lose(at, *connection),
            Seen::Struck { fault, connection } => self.strike(at, *fault, *connection),
            Seen::Healed { fault } => self.heal(at, *fault),
            Seen::Acted { act } => match act {
                Act::Stop | Act::Restart => self.exit = Exit::Told(at),
                Act::Kill => {
                    self.exit = Exit::Told(at);
                    self.gone(at, true);
                }
                // A start is seen when it happens.
                Act::Start | Act::Freeze | Act::Thaw | Act::Send => {}
            },
            Seen::Died { .. } => self.gone(at, false),
            Seen::Stopped { reason } => self.gone(at, reason.is_none()),
            Seen::Exited { process, .. } => self.exited(at, *process),
            _ => {}
        }
    }
}

impl Known {
    fn new(fault: &DrawnFault) -> Self {
        let (action, lasts) = (&fault.action, fault.lasts);
        let close_is_slow =
            matches!(action, Action::OnClose(on_close) if on_close.answer != Answer::AtOnce);
        // What is swallowed does not come out when a blackhole or a stall is over; what is held back or not read does, and one
        // ACK that was withheld is not the next one.
        let is_lasting = action.deafens()
            && match action {
                Action::Blackhole { .. }
                | Action::Stall { .. }
                | Action::Truncate { .. }
                | Action::LoseContext => true,
                Action::Withhold { .. } => matches!(lasts, Lasts::Connection | Lasts::Run),
                _ => !matches!(lasts, Lasts::For(_)),
            };
        Self {
            lasts,
            damage: Damage {
                was_silent: action.is_silent(),
                close_is_slow,
                session_ended: action.ends_session(),
            },
            is_lasting,
            is_unlimited: fault.times == Times::All,
            is_again: false,
            standing: Standing::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Expectations;
    use crate::fault::{Direction, Event, Origin, Port, Scope, Trigger};
    use crate::protocol::Json;
    use crate::trace::{Clock, ExitStatus, Miss, ScheduledFault, VERSION, Vantage};

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const fn t(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// I = 10 s; an attempt may take 4 s, and each other allowance is told apart by its size.
    fn header(faults: &[(Action<Duration>, Lasts<Duration>)]) -> Header {
        let schedule = faults.iter().map(|(action, lasts)| ScheduledFault {
            fault: DrawnFault {
                trigger: Trigger::At {
                    after: s(1),
                    from: Origin::Ready,
                },
                action: action.clone(),
                lasts: *lasts,
                times: Times::Limited(1),
                scope: Scope::All,
                port: None,
                shard: None,
                optional: None,
                group: None,
                chance: None,
            },
            is_skipped: false,
        });
        Header {
            gwtool_trace: VERSION,
            gwtool: String::new(),
            scenario: String::new(),
            seed: String::new(),
            clock: Clock::Virtual,
            vantage: Vantage::Gateway,
            interval: s(10),
            subject: String::new(),
            allowances: Allowances {
                detect: s(20),
                connect: s(1),
                hello: s(1),
                ready: s(1),
                close: s(7),
                backoff: s(1),
                identify: s(5),
                op9: s(5),
            },
            login_within: s(30),
            chaos: s(0),
            recover_within: s(3),
            ends: Ends::Recovered,
            on_close: Answer::AtOnce,
            shards: 1,
            identify_limit: crate::trace::IdentifyLimit::default(),
            odd_json: false,
            expect: Expectations::default(),
            schedule: schedule.collect(),
            sees_delivery: true,
            sees_process: false,
        }
    }

    fn reset() -> Header {
        header(&[(Action::Reset, Lasts::Unsaid)])
    }

    /// A run, told in entries, with the engine's part played by `advance`.
    struct Run(Progress);

    impl Run {
        fn new(header: &Header) -> Self {
            let mut run = Self(Progress::new(header));
            run.saw(
                0,
                Seen::Started {
                    with_session: false,
                },
            );
            run
        }

        fn saw(&mut self, at: u64, saw: Seen) -> &mut Self {
            self.0.observe(&Entry { at: t(at), saw });
            self
        }

        fn accept(&mut self, at: u64, connection: u32) -> &mut Self {
            let port = Port::Main;
            self.saw(at, Seen::Accepted { connection, port })
        }

        fn frame(&mut self, at: u64, connection: u32, name: &'static str, fate: Fate) -> &mut Self {
            self.saw(
                at,
                Seen::Frame {
                    connection,
                    from: Side::Gateway,
                    fate,
                    op: Opcode::DISPATCH,
                    s: Some(1),
                    t: Some(name.into()),
                    d: Json::null(),
                    bytes: 0,
                },
            )
        }

        fn ready(&mut self, at: u64, connection: u32) -> &mut Self {
            self.frame(at, connection, "READY", Fate::Delivered)
        }

        /// IDENTIFY, or RESUME where it names a session.
        fn login(&mut self, at: u64, connection: u32, d: &str) -> &mut Self {
            let op = if d.contains("session_id") {
                Opcode::RESUME
            } else {
                Opcode::IDENTIFY
            };
            let d = Json::trusted(d);
            self.payload(at, connection, Side::Subject, op, None, d)
        }

        fn ready_of(&mut self, at: u64, connection: u32, session: &str) -> &mut Self {
            let d = Json::trusted(&format!(r#"{{"session_id":"{session}"}}"#));
            let op = Opcode::DISPATCH;
            self.payload(at, connection, Side::Gateway, op, Some("READY"), d)
        }

        fn resumed(&mut self, at: u64, connection: u32) -> &mut Self {
            self.frame(at, connection, "RESUMED", Fate::Delivered)
        }

        fn payload(
            &mut self,
            at: u64,
            connection: u32,
            from: Side,
            op: Opcode,
            t: Option<&'static str>,
            d: Json,
        ) -> &mut Self {
            let saw = Seen::Frame {
                connection,
                from,
                fate: Fate::Delivered,
                op,
                s: None,
                t: t.map(Into::into),
                d,
                bytes: 0,
            };
            self.saw(at, saw)
        }

        fn rst(&mut self, at: u64, connection: u32, from: Side) -> &mut Self {
            let fate = Fate::Delivered;
            self.saw(
                at,
                Seen::Rst {
                    connection,
                    from,
                    fate,
                },
            )
        }

        fn close(&mut self, at: u64, connection: u32, from: Side, code: u16) -> &mut Self {
            self.saw(
                at,
                Seen::Close {
                    connection,
                    from,
                    fate: Fate::Injected,
                    code: Some(CloseCode(code)),
                    reason: String::new(),
                },
            )
        }

        fn struck(&mut self, at: u64, fault: u32, connection: u32) -> &mut Self {
            let connection = Some(connection);
            self.saw(at, Seen::Struck { fault, connection })
        }

        fn healed(&mut self, at: u64, fault: u32) -> &mut Self {
            self.saw(at, Seen::Healed { fault })
        }

        /// Lets time pass until the next phase begins by itself, and says which and when.
        fn next(&mut self, is_spent: bool) -> Option<(u64, Phase)> {
            for _ in 0..4 {
                let at = self.0.due()?;
                if let Some(phase) = self.0.advance(at, is_spent) {
                    self.0.observe(&Entry {
                        at,
                        saw: Seen::Phase(phase),
                    });
                    return Some((at.as_nanos() / 1_000_000_000, phase));
                }
            }
            None
        }

        /// Up to the strike of a reset at 3 s, and the phase after it.
        fn until_healed(&mut self) -> &mut Self {
            self.accept(1, 1).ready(2, 1);
            assert_eq!(self.next(false), Some((2, Phase::Chaos)));
            self.struck(3, 0, 1).healed(3, 0).rst(3, 1, Side::Gateway);
            assert_eq!(self.next(true), Some((3, Phase::Healed)));
            self
        }
    }

    #[test]
    fn a_run_goes_from_login_through_chaos_and_heal_to_its_end() {
        let mut run = Run::new(&reset());
        run.until_healed();
        assert_eq!(run.0.time_zero(), Some(t(2)));
        assert_eq!(run.0.recovery(), Recovery::Away);
        run.accept(4, 2).frame(5, 2, "RESUMED", Fate::Delivered);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(5) });
        assert_eq!(run.next(true), Some((45, Phase::Over)), "5 s and 4 I");
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(5) });
        assert_eq!(run.0.due(), None);
    }

    #[test]
    fn clearing_up_is_no_part_of_the_run() {
        let mut run = Run::new(&reset());
        run.until_healed().accept(4, 2).ready(5, 2);
        run.next(true);
        run.close(46, 2, Side::Subject, 1000)
            .saw(47, Seen::Stopped { reason: None });
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(5) });
        assert_eq!(run.0.phase(), Phase::Over);
    }

    #[test]
    fn a_file_has_its_phases_from_its_entries() {
        let mut entries = Run::new(&reset());
        entries.until_healed().accept(4, 2).ready(5, 2);
        // Without the entry of its end the run was interrupted: the subject lives, and nobody saw for how long.
        assert_eq!(entries.0.recovery(), Recovery::Living { since: t(5) });
        entries.saw(45, Seen::Phase(Phase::Over));
        assert_eq!(entries.0.recovery(), Recovery::Recovered { at: t(5) });
    }

    #[test]
    fn a_subject_that_never_logs_in_is_given_up() {
        let mut run = Run::new(&reset());
        run.accept(1, 1);
        assert_eq!(run.next(false), Some((30, Phase::Over)));
    }

    #[test]
    fn a_ready_that_is_withheld_is_no_login() {
        for fate in [Fate::Withheld, Fate::Held, Fate::Swallowed] {
            let mut run = Run::new(&reset());
            run.accept(1, 1).frame(2, 1, "READY", fate);
            assert_eq!(run.next(false), Some((30, Phase::Over)));
        }
    }

    #[test]
    fn a_subject_that_a_fault_keeps_from_logging_in_has_its_chaos() {
        let mut run = Run::new(&reset());
        run.accept(1, 1)
            .struck(4, 0, 1)
            .healed(4, 0)
            .rst(4, 1, Side::Gateway);
        assert_eq!(run.next(true), Some((30, Phase::Chaos)));
        assert_eq!(run.0.time_zero(), Some(t(4)), "the first strike");
        assert_eq!(run.next(true), Some((30, Phase::Healed)));
        assert_eq!(run.0.bound(), Some(t(4 + 3 + 4)));
        assert_eq!(run.next(true), Some((30 + 80, Phase::Over)));
        assert_eq!(run.0.recovery(), Recovery::Away);
    }

    #[test]
    fn chaos_lasts_as_long_as_it_was_given() {
        let mut header = reset();
        header.chaos = s(50);
        let mut run = Run::new(&header);
        run.accept(1, 1).ready(2, 1);
        run.next(true);
        run.struck(3, 0, 1).healed(3, 0);
        assert_eq!(run.next(true), Some((52, Phase::Healed)));
        // The subject was never away: it has to live for 4 I after the heal all the same.
        assert_eq!(run.next(true), Some((92, Phase::Over)));
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(2) });
    }

    #[test]
    fn chaos_waits_for_faults_that_have_not_fired_as_long_as_the_subject_may_take() {
        let mut run = Run::new(&reset());
        run.accept(1, 1).ready(2, 1);
        run.next(false);
        // recover_within 3 s, an attempt 4 s, detect 20 s, close 7 s, op 9 and identify 10 s.
        assert_eq!(run.next(false), Some((2 + 44, Phase::Healed)));
        assert_eq!(run.0.bound(), None, "nothing struck");
    }

    #[test]
    fn chaos_lasts_while_something_that_struck_is_in_force() {
        let hold = Action::Hold {
            direction: Direction::Both,
        };
        let mut run = Run::new(&header(&[(hold, Lasts::For(s(500)))]));
        run.accept(1, 1).ready(2, 1);
        run.next(true);
        run.struck(3, 0, 1);
        assert_eq!((run.0.due(), run.0.bound()), (None, None));
        assert_eq!(run.0.advance(t(400), true), None);
        run.healed(503, 0);
        assert_eq!(run.next(true), Some((503, Phase::Healed)));
        assert_eq!(run.0.within(), Some(t(506)));
        // Silence: the subject may take detect and close beyond an attempt.
        assert_eq!(run.0.bound(), Some(t(506 + 4 + 20 + 7)));
    }

    #[test]
    fn a_deafened_connection_is_no_recovery() {
        let blackhole = Action::Blackhole {
            direction: Direction::Both,
        };
        let mut run = Run::new(&header(&[(blackhole, Lasts::For(s(5)))]));
        run.accept(1, 1).ready(2, 1);
        run.next(true);
        run.struck(3, 0, 1).healed(8, 0);
        assert_eq!(run.next(true), Some((8, Phase::Healed)));
        assert_eq!(run.0.recovery(), Recovery::Away);
        run.accept(12, 2).ready(13, 2);
        assert_eq!(run.next(true), Some((53, Phase::Over)));
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(13) });
    }

    #[test]
    fn who_stays_on_its_connection_after_op_9_is_back_once_it_has_logged_in_again() {
        let mut run = Run::new(&header(&[(Action::Reset, Lasts::Unsaid)]));
        run.until_healed().accept(4, 2).ready(5, 2);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(5) });
        run.saw(
            6,
            Seen::Frame {
                connection: 2,
                from: Side::Gateway,
                fate: Fate::Injected,
                op: Opcode::INVALID_SESSION,
                s: None,
                t: None,
                d: Json::parse("true").unwrap(),
                bytes: 0,
            },
        );
        assert_eq!(run.0.recovery(), Recovery::Away);
        run.frame(11, 2, "RESUMED", Fate::Delivered);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(11) });
    }

    #[test]
    fn one_withheld_ack_does_not_deafen_a_connection_but_all_of_them_do() {
        for (lasts, expected) in [
            (Lasts::Unsaid, Recovery::Living { since: t(2) }),
            (Lasts::Connection, Recovery::Away),
        ] {
            let withhold = Action::Withhold { frame: Event::Ack };
            let mut run = Run::new(&header(&[(withhold, lasts)]));
            run.accept(1, 1).ready(2, 1).struck(3, 0, 1).healed(3, 0);
            assert_eq!(run.0.recovery(), expected);
        }
    }

    #[test]
    fn a_swallowed_close_of_the_subject_ends_its_connection() {
        let mut run = Run::new(&reset());
        run.accept(1, 1).ready(2, 1);
        let fate = Fate::Swallowed;
        let (connection, from) = (1, Side::Gateway);
        run.saw(
            3,
            Seen::Fin {
                connection,
                from,
                fate,
            },
        );
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(2) });
        let from = Side::Subject;
        run.saw(
            3,
            Seen::Fin {
                connection,
                from,
                fate,
            },
        );
        assert_eq!(run.0.recovery(), Recovery::Away);
    }

    #[test]
    fn a_failed_attempt_gives_the_whole_time_again_but_not_for_ever() {
        let mut run = Run::new(&reset());
        run.until_healed();
        assert_eq!(run.0.bound(), Some(t(3 + 3 + 4)));
        run.accept(4, 2).rst(5, 2, Side::Gateway);
        let (port, why) = (Port::Main, Miss::Refused);
        run.saw(6, Seen::Missed { port, why });
        assert_eq!(run.0.failed_attempts, 2);
        assert_eq!(run.0.bound(), Some(t(6 + 4)));
        run.accept(7, 3).ready(8, 3).rst(9, 3, Side::Subject);
        assert_eq!(run.0.failed_attempts, 2, "it was authenticated");
        for (at, connection) in (10..).zip(4..40) {
            run.accept(at, connection)
                .rst(at, connection, Side::Subject);
        }
        assert_eq!(run.0.failed_attempts, 38);
        assert_eq!(run.0.bound(), Some(t(12 + 4)), "the fifth counts");
        assert_eq!(run.next(true), Some((16 + 80, Phase::Over)), "a loop ends");
    }

    /// The chaos goes on for a fault that still waits, and long after it has come back its connection is replaced.
    #[test]
    fn who_came_back_to_stay_has_recovered_then_though_it_was_replaced_later() {
        let mut run = Run::new(&reset());
        run.until_healed();
        run.accept(4, 2).ready(5, 2).rst(60, 2, Side::Gateway);
        run.accept(61, 3).ready(62, 3);
        run.saw(110, Seen::Phase(Phase::Over));
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(5) });

        let mut run = Run::new(&reset());
        run.until_healed();
        run.accept(4, 2).ready(5, 2).rst(6, 2, Side::Gateway);
        run.accept(61, 3).ready(62, 3);
        run.saw(110, Seen::Phase(Phase::Over));
        assert_eq!(run.0.recovery(), Recovery::Recovered { at: t(62) });
    }

    #[test]
    fn a_fault_for_the_run_counts_as_ended_at_its_first_strike() {
        let mut run = Run::new(&header(&[(Action::Refuse, Lasts::Run)]));
        run.accept(1, 1).ready(2, 1);
        run.next(true);
        run.struck(3, 0, 1).healed(3, 0).struck(20, 0, 2);
        assert_eq!(run.next(true), Some((3, Phase::Healed)));
        assert_eq!(run.0.within(), Some(t(6)));
    }

    #[test]
    fn a_forced_new_session_and_a_slow_close_are_allowed_for() {
        let invalid = Action::InvalidSession {
            resumable: false,
            cut_after: crate::fault::CutAfter::Usual,
        };
        let mut header = header(&[(invalid, Lasts::Unsaid)]);
        header.on_close = Answer::Late;
        let mut run = Run::new(&header);
        run.accept(1, 1).ready(2, 1).struck(3, 0, 1).healed(3, 0);
        assert_eq!(run.0.bound(), Some(t(3 + 3 + 4 + 7 + 10)));
    }

    #[test]
    fn a_run_that_ends_stopped_watches_that_the_subject_stays_away() {
        let close = Action::Close {
            code: Some(CloseCode(4004)),
            reason: String::new(),
        };
        let mut header = header(&[(close, Lasts::Unsaid)]);
        header.ends = Ends::Stopped;
        let mut run = Run::new(&header);
        // The strike comes before READY, which then never comes: there is no need to wait for it.
        run.accept(1, 1).struck(2, 0, 1).healed(2, 0);
        run.close(2, 1, Side::Gateway, 4004);
        assert_eq!(run.next(true), Some((2, Phase::Chaos)));
        run.saw(3, Seen::Stopped { reason: None });
        assert_eq!(run.next(true), Some((2, Phase::Healed)));
        assert_eq!(run.next(true), Some((2 + 40 + 7 + 1, Phase::Over)));
    }

    #[test]
    fn a_subject_that_died_is_not_waited_for() {
        let message = String::from("zombie");
        let mut run = Run::new(&reset());
        run.until_healed().saw(5, Seen::Died { message });
        assert_eq!(run.next(true), Some((15, Phase::Over)));

        let mut header = reset();
        header.sees_process = true;
        let mut run = Run::new(&header);
        let reason = Some(String::from("gave up"));
        run.until_healed().saw(5, Seen::Stopped { reason });
        assert_eq!(run.next(true), Some((45, Phase::Over)));
    }

    #[test]
    fn a_subject_that_was_told_to_stop_may_be_started_again() {
        let mut run = Run::new(&reset());
        run.accept(1, 1).ready(2, 1);
        run.next(false);
        run.saw(3, Seen::Acted { act: Act::Stop });
        run.struck(3, 0, 1).healed(3, 0);
        run.saw(4, Seen::Stopped { reason: None });
        assert_eq!(run.0.advance(t(20), false), None);
        run.saw(21, Seen::Started { with_session: true });
        run.accept(22, 2).ready(23, 2);
        assert_eq!(run.0.advance(t(23), true), Some(Phase::Healed));
        run.saw(23, Seen::Phase(Phase::Healed));
        assert_eq!(run.next(true), Some((63, Phase::Over)));
    }

    #[test]
    fn the_end_of_a_predecessor_is_not_that_of_its_successor() {
        let mut run = Run::new(&reset());
        run.accept(1, 1).ready(2, 1);
        run.saw(3, Seen::Acted { act: Act::Restart });
        run.saw(
            3,
            Seen::Started {
                with_session: false,
            },
        );
        run.accept(4, 2).ready(5, 2);
        run.close(6, 1, Side::Subject, 1000);
        run.saw(7, Seen::Stopped { reason: None });
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(5) });
    }

    fn program() -> Header {
        Header {
            sees_process: true,
            ..reset()
        }
    }

    fn exited(process: u32) -> Seen {
        let status = ExitStatus::Code(0);
        Seen::Exited { process, status }
    }

    const STARTED: Seen = Seen::Started {
        with_session: false,
    };

    #[test]
    fn a_program_that_exits_unasked_is_watched_for_what_it_left_behind() {
        let mut run = Run::new(&program());
        run.until_healed().accept(4, 2).ready(5, 2);
        run.saw(6, exited(1));
        assert_eq!(run.0.recovery(), Recovery::Away);
        assert_eq!(run.next(true), Some((46, Phase::Over)), "4 I");
    }

    #[test]
    fn a_program_that_exits_before_it_logs_in_is_not_waited_for() {
        let mut header = program();
        header.login_within = s(60);
        let mut run = Run::new(&header);
        run.accept(1, 1).saw(2, exited(1));
        assert_eq!(run.next(false), Some((42, Phase::Over)));
    }

    #[test]
    fn an_exit_after_a_stop_a_fatal_code_or_a_kill_was_asked_for() {
        for told in [
            Seen::Acted { act: Act::Stop },
            Seen::Acted { act: Act::Kill },
            Seen::Close {
                connection: 1,
                from: Side::Gateway,
                fate: Fate::Delivered,
                code: Some(CloseCode(4004)),
                reason: String::new(),
            },
        ] {
            let mut header = program();
            header.ends = Ends::Stopped;
            let mut run = Run::new(&header);
            run.accept(1, 1).ready(2, 1);
            run.next(false);
            run.struck(3, 0, 1).healed(3, 0).saw(3, told);
            run.saw(4, exited(1));
            assert_eq!(run.next(true), Some((3, Phase::Healed)));
            assert_eq!(run.next(true), Some((3 + 40 + 7 + 1, Phase::Over)));
        }
    }

    #[test]
    fn the_exit_of_a_predecessor_is_not_that_of_its_successor() {
        let mut run = Run::new(&program());
        run.accept(1, 1).ready(2, 1);
        run.saw(3, Seen::Acted { act: Act::Restart });
        run.saw(3, STARTED).accept(4, 2).ready(5, 2);
        run.close(6, 1, Side::Subject, 1000).saw(7, exited(1));
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(5) });
        run.saw(8, exited(2));
        assert_eq!(run.0.recovery(), Recovery::Away);
    }

    /// The successor may come to its end while the other one is still about to stop.
    #[test]
    fn a_successor_that_exits_first_was_not_asked_to() {
        let mut run = Run::new(&program());
        run.accept(1, 1).ready(2, 1);
        run.next(false);
        run.struck(3, 0, 1).healed(3, 0);
        run.saw(3, Seen::Acted { act: Act::Restart });
        run.saw(3, STARTED).saw(4, exited(2)).saw(5, exited(1));
        assert_eq!(run.next(true), Some((3, Phase::Healed)));
        assert_eq!(run.next(true), Some((4 + 40, Phase::Over)));
    }

    #[test]
    fn a_process_that_was_killed_is_seen_to_end_after_its_successor_began() {
        let mut run = Run::new(&program());
        run.accept(1, 1).ready(2, 1);
        run.next(false);
        run.saw(3, Seen::Acted { act: Act::Kill });
        run.struck(3, 0, 1).healed(3, 0);
        run.saw(3, STARTED).saw(4, exited(1));
        run.accept(5, 2).ready(6, 2);
        assert_eq!(run.next(true), Some((3, Phase::Healed)));
        assert_eq!(run.next(true), Some((46, Phase::Over)));
    }

    #[test]
    fn every_shard_has_to_be_back() {
        let mut header = reset();
        header.shards = 2;
        let mut run = Run::new(&header);
        run.accept(1, 1).accept(1, 2).ready(2, 1);
        assert_eq!(run.0.recovery(), Recovery::Away);
        run.ready(7, 2);
        assert_eq!(run.0.time_zero(), Some(t(2)), "the first READY");
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(7) });
        run.rst(8, 1, Side::Gateway);
        assert_eq!(run.0.recovery(), Recovery::Away);
    }

    #[test]
    fn a_shard_that_is_there_twice_does_not_stand_for_another() {
        let mut header = reset();
        header.shards = 2;
        let mut run = Run::new(&header);
        run.accept(1, 1).login(1, 1, r#"{"shard":[0,2]}"#);
        run.ready_of(2, 1, "a");
        run.accept(2, 2).login(2, 2, r#"{"shard":[1,2]}"#);
        run.ready_of(3, 2, "b");
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(3) });
        run.rst(4, 2, Side::Gateway);
        run.accept(5, 3)
            .login(5, 3, r#"{"session_id":"a","seq":1}"#);
        run.resumed(6, 3);
        assert_eq!(run.0.recovery(), Recovery::Away, "shard 0 on #1 and on #3");
        run.accept(7, 4)
            .login(7, 4, r#"{"session_id":"b","seq":1}"#);
        run.resumed(8, 4);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(8) });
    }

    #[test]
    fn a_program_has_as_many_shards_as_it_brings_up() {
        let mut header = program();
        header.shards = 4;
        let mut run = Run::new(&header);
        run.accept(1, 1).login(1, 1, r#"{"intents":1}"#).ready(2, 1);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(2) });
        // The second of two may be another process's.
        let mut run = Run::new(&header);
        run.accept(1, 1).login(1, 1, r#"{"shard":[0,2]}"#);
        run.ready_of(2, 1, "a");
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(2) });
        run.accept(1, 2).login(7, 2, r#"{"shard":[1,2]}"#);
        assert_eq!(run.0.recovery(), Recovery::Away);
        run.ready_of(8, 2, "b");
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(8) });
        run.rst(9, 2, Side::Gateway);
        run.accept(9, 3)
            .login(9, 3, r#"{"session_id":"a","seq":1}"#);
        run.resumed(10, 3);
        assert_eq!(run.0.recovery(), Recovery::Away, "shard 0 on #1 and on #3");
        // It comes back as another number of shards.
        run.accept(11, 4)
            .login(11, 4, r#"{"shard":[0,1]}"#)
            .ready(12, 4);
        assert_eq!(run.0.recovery(), Recovery::Living { since: t(12) });
    }
}
