//! What the judge knows of a run while it reads: connections, sessions, and what the subject went through.
//!
//! The groups of rules read it and keep their own notes in it; nothing here judges. Its size is bounded: a connection is
//! forgotten once both ends are done with it, of old sessions only the last few are remembered, and of dispatches only those
//! that were not delivered yet.
//!
//! Times are those of the gateway's end: a frame to the subject is stamped when it is sent, one from it when it has arrived.
//! Reactions are therefore seen a round trip late, which [`Shared::slack`] allows for.

use super::coverage::{State, Strikes};
use super::delivery::{Ledger, reported_within};
use super::heartbeat::Heart;
use super::rate::Budget;
use super::reading::Reading;
use super::rules::Rule;
use crate::expect::{Allowances, Ends};
use crate::fault::{Act, Action, Answer, Direction, DrawnFault, Event, Lasts, Port, Scope};
use crate::protocol::{CloseCode, Opcode};
use crate::time::{Duration, Instant};
use crate::trace::{Clock, Header, IdentifyLimit, ScheduledFault};
use std::collections::VecDeque;

/// A frame and the answer to it cross a link in less than this, unless a fault slows it.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// A program on a machine that it shares with others is late by up to this: its runtime collects garbage, its disk is slow.
const PROGRAM_LATE: Duration = Duration::from_millis(500);
/// The end of a process is seen this much later than the end of its connections, or earlier.
pub(super) const DEATH_SHOWS_WITHIN: Duration = Duration::from_secs(2);
/// Old sessions that are remembered besides each shard's own, to tell when a subject goes back to one of them.
const SESSIONS_MAX: usize = 16;
/// Connections that are remembered besides each shard's own though one end never ended them.
const CONNECTIONS_MAX: usize = 64;

/// Whether the subject is one to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It runs.
    Running,
    /// It was told to stop.
    Dismissed {
        /// When.
        at: Instant,
        /// How long after it a connect may come that was under way.
        under_way: Duration,
    },
    /// A fatal close code forbids it to come back.
    Banned {
        /// When it was sent.
        at: Instant,
        /// Which code.
        code: CloseCode,
        /// What crosses on the wire within this time was sent before the code arrived.
        crossing: Duration,
    },
    /// It came to its end by itself.
    Ended {
        /// When.
        at: Instant,
    },
}

/// Whether the subject had the time to react.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timing {
    Kept,
    Frozen,
    Thawed { until: Instant },
}

/// What holds for the whole run, and the subject's own state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) now: Instant,
    pub(super) interval: Duration,
    pub(super) allowances: Allowances,
    pub(super) clock: Clock,
    pub(super) shards: u32,
    pub(super) ends: Ends,
    /// Whether the subject is a program.
    pub(super) sees_process: bool,
    /// Whether it reports what it delivers; a program turns it on with its first report.
    pub(super) sees_delivery: bool,
    pub(super) limit: IdentifyLimit,
    /// The life in which a compressed connection last had its HELLO.
    pub(super) compressed: Option<u32>,
    pub(super) presence: Presence,
    /// Counts the subject's lives: what an earlier one left open is not the later one's doing.
    pub(super) life: u32,
    /// Whether this life was handed a session that the trace need not have seen.
    pub(super) with_session: bool,
    /// Until when a connection may be that of a process that went before: of two programs the gateway cannot tell which one
    /// has connected. `FOREVER` while such a process lives.
    pub(super) heritage: Instant,
    timing: Timing,
}

impl Shared {
    pub(super) fn new(header: &Header) -> Self {
        Self {
            now: Instant::ZERO,
            interval: header.interval,
            allowances: header.allowances,
            clock: header.clock,
            shards: header.shards.max(1),
            ends: header.ends,
            sees_process: header.sees_process,
            sees_delivery: header.sees_delivery,
            limit: header.identify_limit,
            compressed: None,
            presence: Presence::Running,
            life: 0,
            with_session: false,
            heritage: Instant::ZERO,
            timing: Timing::Kept,
        }
    }

    /// What a heartbeat, a reaction or an ACK may be late by at that interval.
    pub(super) fn slack(&self, interval: Duration) -> Duration {
        self.epsilon(interval) + ROUND_TRIP
    }

    /// The scheduling slack alone. Timers of a real machine are late by milliseconds, those of a program by more.
    pub(super) fn epsilon(&self, interval: Duration) -> Duration {
        let real = match self.clock {
            Clock::Virtual => Duration::ZERO,
            Clock::Real if self.sees_process => PROGRAM_LATE,
            Clock::Real => Duration::from_millis(10),
        };
        (interval / 20).max(Duration::from_millis(250)) + real
    }

    /// What was sent this long ago has been received, stored, and used in what the subject sent meanwhile. A program may write a
    /// heartbeat before it reads what had come in while it was busy.
    pub(super) fn settle(&self, interval: Duration) -> Duration {
        let settle = if self.sees_process {
            3 * SETTLE
        } else {
            SETTLE
        };
        settle.max(self.slack(interval))
    }

    /// Whether a connection that is opened now may be that of a process that went before.
    pub(super) fn is_disputed(&self) -> bool {
        self.heritage > Instant::ZERO && self.now <= self.heritage
    }

    /// Whether the subject is frozen, or was until less than an interval ago: what it does late is not its doing.
    pub(super) fn is_suspended(&self) -> bool {
        match self.timing {
            Timing::Kept => false,
            Timing::Frozen => true,
            Timing::Thawed { until } => self.now <= until,
        }
    }

    /// How long a silent connection may stay open after an un-ACKed heartbeat.
    pub(super) fn silence(&self, interval: Duration) -> Duration {
        (3 * interval).max(self.allowances.detect) + self.slack(interval)
    }
}

/// What a connection owes, and by when; `FOREVER` stands for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A heartbeat.
    Beat,
    /// The answer to a requested heartbeat.
    Request,
    /// To be left, being silent.
    Silence,
    /// To be left, after op 7.
    Leave,
    /// To be left, the gateway having said nothing at all.
    Patience,
    /// The answer to the gateway's Close.
    Echo,
    /// To be dropped, the subject's Close having had no answer.
    Handshake,
    /// A pong.
    Pong,
}

/// Every kind of due, in the order in which they are looked at.
pub(super) const DUES: [Due; 8] = [
    Due::Beat,
    Due::Request,
    Due::Silence,
    Due::Leave,
    Due::Patience,
    Due::Echo,
    Due::Handshake,
    Due::Pong,
];

/// How an end of a connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With a Close frame.
    Close(Option<CloseCode>),
    /// With a FIN.
    Fin,
    /// With an RST.
    Rst,
    /// By opening another one, where the gateway could not have seen more.
    Replaced,
}

/// The first thing that one side did to end a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) at: Instant,
    pub(super) how: How,
}

/// Where authentication stands on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    /// Nothing was sent.
    None,
    /// IDENTIFY was sent.
    Identifying {
        /// When.
        at: Instant,
    },
    /// RESUME was sent.
    Resuming {
        /// When.
        at: Instant,
    },
    /// READY or RESUMED was sent.
    Up {
        /// When.
        at: Instant,
    },
    /// Op 9 was sent: another attempt may follow on this connection.
    Refused,
}

/// What the gateway did that gives a subject reason to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Op 7.
    Op7 { before_hello: bool },
    /// Op 9.
    Op9 { resumable: bool },
    /// A message that is no payload.
    BadFrame,
    /// A second HELLO, or anything else that no gateway does.
    Nonsense,
}

/// A HELLO that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hello {
    pub(super) at: Instant,
    pub(super) interval: Duration,
}

/// What faults did to a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Damage {
    /// One struck it that gives reason to leave.
    pub(super) is_struck: bool,
    /// Nothing, or not in time, gets through to the subject.
    pub(super) is_deaf: bool,
    /// What the subject sends is not seen, or not in time.
    pub(super) is_unseen: bool,
}

impl Damage {
    /// A fault struck.
    fn add(&mut self, action: &Action<Duration>, interval: Duration) {
        let (is_deaf, is_unseen) = veils(action);
        self.is_struck |= gives_reason(action, interval);
        self.is_deaf |= is_deaf;
        self.is_unseen |= is_unseen;
    }
}

/// One connection, until both ends are done with it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u32,
    pub(super) port: Port,
    pub(super) life: u32,
    /// Whether it may be that of a process that went before.
    is_disputed: bool,
    pub(super) accepted_at: Instant,
    /// When the upgrade was answered with 101.
    pub(super) upgraded_at: Option<Instant>,
    /// Whether its upgrade asked for a compressed transport.
    pub(super) is_compressed: bool,
    pub(super) hello: Option<Hello>,
    /// From HELLO to the first IDENTIFY or RESUME: no less than a round trip.
    pub(super) round_trip: Option<Duration>,
    pub(super) auth: Auth,
    /// How many IDENTIFYs and RESUMEs there were.
    pub(super) auths: u32,
    /// Serial number of the session that it carries, or tries to resume.
    pub(super) session: Option<u32>,
    pub(super) shard: Option<u32>,
    /// The first thing that the gateway did that gives reason to leave.
    pub(super) trouble: Option<(Instant, Trouble)>,
    /// Something unknown that is to be ignored, and when it was sent.
    pub(super) oddity: Option<(Instant, Rule)>,
    pub(super) damage: Damage,
    pub(super) left: Option<Ending>,
    pub(super) cut: Option<Ending>,
    /// Payloads that the subject sent.
    pub(super) frames: u64,
    pub(super) heart: Heart,
    pub(super) budget: Budget,
    pub(super) reading: Reading,
    /// The last dispatch of a replay that RESUMED has not ended yet.
    pub(super) replayed: Option<u64>,
    dues: [Instant; DUES.len()],
}

impl Connection {
    pub(super) fn new(number: u32, port: Port, shared: &Shared) -> Self {
        Self {
            number,
            port,
            life: shared.life,
            is_disputed: shared.is_disputed(),
            accepted_at: shared.now,
            upgraded_at: None,
            is_compressed: false,
            hello: None,
            round_trip: None,
            auth: Auth::None,
            auths: 0,
            session: None,
            shard: None,
            trouble: None,
            oddity: None,
            damage: Damage::default(),
            left: None,
            cut: None,
            frames: 0,
            heart: Heart::default(),
            budget: Budget::default(),
            reading: Reading::default(),
            replayed: None,
            dues: [Instant::FOREVER; DUES.len()],
        }
    }

    /// The interval of its HELLO, or the run's.
    pub(super) fn interval(&self, shared: &Shared) -> Duration {
        self.hello.map_or(shared.interval, |hello| hello.interval)
    }

    pub(super) fn due(&self, due: Due) -> Instant {
        self.dues[due as usize]
    }

    pub(super) fn expect(&mut self, due: Due, at: Instant) {
        self.dues[due as usize] = at;
    }

    /// Whether that was owed; it is not any more.
    pub(super) fn settle(&mut self, due: Due) -> bool {
        let slot = &mut self.dues[due as usize];
        std::mem::replace(slot, Instant::FOREVER) != Instant::FOREVER
    }

    pub(super) fn settle_all(&mut self) {
        self.dues = [Instant::FOREVER; DUES.len()];
    }

    /// When it next owes something.
    pub(super) fn next_due(&self) -> Instant {
        self.dues.iter().copied().min().unwrap_or(Instant::FOREVER)
    }

    /// Whether neither side has begun to end it.
    pub(super) const fn is_open(&self) -> bool {
        self.left.is_none() && self.cut.is_none()
    }

    /// Whether both sides are heard in time, so that times on it mean something.
    pub(super) const fn is_clear(&self) -> bool {
        !self.damage.is_deaf && !self.damage.is_unseen
    }

    /// Whether it is that of a process that went before, or may be.
    pub(super) fn is_foreign(&self, shared: &Shared) -> bool {
        self.life != shared.life || self.is_disputed && shared.is_disputed()
    }

    /// Whether something that was sent at `sent` had arrived before the subject did what is seen now.
    pub(super) fn had_arrived(&self, sent: Instant, now: Instant) -> bool {
        now - sent >= self.crossing()
    }

    /// What the subject does within this time of something may have crossed it on the way.
    pub(super) fn crossing(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP).min(ROUND_TRIP) * 9 / 10
    }

    /// What a subject may find wrong with the connection at this moment.
    pub(super) fn excuse(&self, shared: &Shared) -> bool {
        let now = shared.now;
        let patience = Duration::from_secs(15);
        let interval = self.interval(shared);
        // What the subject measures is longer than what is seen here by a round trip.
        let overdue = interval.saturating_sub((interval / 20).max(Duration::from_millis(50)));
        let waits = match self.auth {
            Auth::None => self.hello.is_none() && now - self.accepted_at >= patience,
            Auth::Identifying { at } | Auth::Resuming { at } => now - at >= patience,
            Auth::Up { .. } => false,
            Auth::Refused => true,
        };
        self.is_foreign(shared)
            || shared.presence != Presence::Running
            || shared.is_suspended()
            || self.damage.is_struck
            || self.trouble.is_some()
            || self.oddity.is_some_and(|(at, _)| now - at <= ODDITY)
            || self.cut.is_some()
            || self
                .heart
                .unacked_since()
                .is_some_and(|beat| now - beat >= overdue)
            || waits
    }
}

/// A subject that leaves within this time of something unknown left because of it.
pub(super) const ODDITY: Duration = Duration::from_secs(2);

/// Why a session's id may not be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dead {
    /// Op 9 with d false.
    Invalid,
    /// The gateway closed with a code that ends it.
    Code(CloseCode),
    /// The subject closed with a code that ends it.
    Closed(CloseCode),
    /// A later READY replaced it.
    Replaced,
}

/// What is known of a session's sequence numbers.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) serial: u32,
    pub(super) id: String,
    pub(super) shard: Option<u32>,
    /// On which connection it began.
    connection: u32,
    /// The number of its READY.
    pub(super) first: u64,
    /// Whether the subject is sure to have had its READY.
    pub(super) is_known: bool,
    /// The highest number on its way to the subject.
    pub(super) highest: u64,
    /// Two moments and the highest number at each, at least a slack apart: what was sent by then was received by now.
    settled: [(Instant, u64); 2],
    latest: (Instant, u64),
    /// The number of the last heartbeat or RESUME.
    pub(super) confirmed: Option<u64>,
    /// A number that stood on a payload that is no dispatch; following it is a note, no fault.
    pub(super) odd: Option<u64>,
    /// The gateway itself repeated or reordered numbers.
    pub(super) is_scrambled: bool,
    pub(super) dead: Option<Dead>,
    /// The highest number of a replay that was cut.
    pub(super) cut_replay: Option<u64>,
    pub(super) ledger: Ledger,
}

/// What was sent this long ago has settled; see [`Shared::settle`].
const SETTLE: Duration = Duration::from_secs(1);

impl Session {
    /// One that began on a connection with a READY of that number.
    fn new(
        serial: u32,
        id: String,
        shard: Option<u32>,
        (connection, first): (u32, u64),
        now: Instant,
    ) -> Self {
        Self {
            serial,
            id,
            shard,
            connection,
            first,
            is_known: true,
            highest: first,
            settled: [(now, 0), (now, first)],
            latest: (now, first),
            confirmed: None,
            odd: None,
            is_scrambled: false,
            dead: None,
            cut_replay: None,
            ledger: Ledger::default(),
        }
    }

    /// A dispatch with this number is on its way; what is sent now is known after `settle`, if it is sure to be taken.
    pub(super) fn sent(&mut self, s: u64, now: Instant, settle: Duration, is_sure: bool) {
        if s < self.highest {
            return;
        }
        self.highest = s;
        if !is_sure {
            return;
        }
        // As far apart as `floor` looks back: else dispatches that keep coming leave none that is old enough.
        if now - self.settled[1].0 >= settle {
            self.settled = [self.settled[1], (now, s)];
        }
        self.latest = (now, s);
    }

    /// The least number that the subject must know of by now.
    pub(super) fn floor(&self, now: Instant, settle: Duration) -> u64 {
        let known = [self.latest, self.settled[1], self.settled[0]];
        let old = known.into_iter().find(|(at, _)| now - *at >= settle);
        old.map_or(0, |(_, s)| s)
    }
}

/// Why a shard is without a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// An ACK was missing.
    Zombie,
    /// Op 7.
    Op7 { before_hello: bool },
    /// Op 9.
    Op9 { resumable: bool },
    /// A Close with a code.
    Code(CloseCode),
    /// A Close without one, FIN or RST.
    NoCode,
    /// A message that is no payload.
    BadFrame,
    /// Nothing that is known.
    Unknown,
}

/// What a shard went through since it was last authenticated.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) shard: Option<u32>,
    /// Serial number of the session that it has, as far as the gateway told it.
    pub(super) session: Option<u32>,
    pub(super) loss: Option<(Instant, Cause)>,
    /// Reconnects that ended before RESUME was sent.
    pub(super) failed: u32,
    /// RESUMEs that were not answered with RESUMED.
    pub(super) refused: u32,
    /// Failed attempts in a row at the resume URL while a fault blocks it alone.
    pub(super) at_resume_url: u32,
    /// Whether any attempt at the resume URL failed.
    pub(super) resume_url_failed: bool,
    /// How often in the run a session was given up after a failed reconnect.
    pub(super) given_up: u32,
}

/// A fault of the schedule, as far as it went.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) scheduled: ScheduledFault,
    pub(super) has_struck: bool,
    pub(super) is_healed: bool,
}

impl Progress {
    /// Whether it may be at work now.
    pub(super) const fn is_in_force(&self) -> bool {
        self.has_struck && !self.is_healed
    }
}

/// Everything that the judge knows.
#[derive(Debug)]
pub(super) struct View {
    pub(super) shared: Shared,
    pub(super) connections: Vec<Connection>,
    pub(super) sessions: Vec<Session>,
    pub(super) trails: Vec<Trail>,
    pub(super) faults: Vec<Progress>,
    pub(super) strikes: Strikes,
    /// The actions that are in force, and those that struck since the subject was last authenticated; failing these, the one
    /// that struck last. A bit for each.
    pub(super) under: u64,
    recent: u64,
    last_struck: u64,
    /// The last instants at which an IDENTIFY was read, each with its shard.
    pub(super) identifies: VecDeque<(Instant, Option<u32>)>,
    /// Which session each of the last connections carried.
    carried: VecDeque<(u32, u32)>,
    serials: u32,
    /// Whether the gateway takes its time over a Close in the whole run.
    pub(super) closes_slowly: bool,
    /// Whether it writes its JSON otherwise than usual.
    pub(super) json_is_odd: bool,
    /// No connection owes anything before.
    pub(super) next_due: Instant,
}

impl View {
    pub(super) fn new(header: &Header) -> Self {
        let fault = |scheduled: &ScheduledFault| Progress {
            scheduled: scheduled.clone(),
            has_struck: false,
            is_healed: false,
        };
        Self {
            shared: Shared::new(header),
            connections: Vec::new(),
            sessions: Vec::new(),
            trails: Vec::new(),
            faults: header.schedule.iter().map(fault).collect(),
            strikes: Strikes::new(&header.schedule),
            under: 0,
            recent: 0,
            last_struck: 0,
            identifies: VecDeque::new(),
            carried: VecDeque::new(),
            serials: 0,
            json_is_odd: header.odd_json,
            closes_slowly: header.on_close != Answer::AtOnce,
            next_due: Instant::FOREVER,
        }
    }

    /// The place of a connection; the newest is nearly always the one that is asked for.
    pub(super) fn place(&self, number: u32) -> Option<usize> {
        self.connections.iter().rposition(|c| c.number == number)
    }

    /// Where a connection stands; that of the newest open one where none is named or it is gone.
    pub(super) fn state(&self, number: Option<u32>) -> State {
        let named = number.and_then(|number| self.place(number));
        let newest = || self.connections.iter().rposition(Connection::is_open);
        let place = named.or_else(newest);
        place.map_or(State::None, |place| State::of(&self.connections[place]))
    }

    /// Finds out under which actions the subject is.
    fn look_around(&mut self) {
        let in_force = self.faults.iter().filter(|fault| fault.is_in_force());
        let bits = in_force.map(|fault| self.strikes.bit(&fault.scheduled.fault.action));
        self.under = bits.fold(self.recent, |all, bit| all | bit);
    }

    pub(super) fn session(&mut self, serial: u32) -> Option<&mut Session> {
        self.sessions.iter_mut().rev().find(|s| s.serial == serial)
    }

    pub(super) fn session_by_id(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.iter_mut().rev().find(|s| s.id == id)
    }

    /// The trail of a shard; with a single one, all there is.
    pub(super) fn trail(&mut self, shard: Option<u32>) -> &mut Trail {
        let shard = if self.shared.shards == 1 { None } else { shard };
        let place = self.trails.iter().position(|t| t.shard == shard);
        let place = place.unwrap_or_else(|| {
            self.trails.push(Trail {
                shard,
                session: None,
                loss: None,
                failed: 0,
                refused: 0,
                at_resume_url: 0,
                resume_url_failed: false,
                given_up: 0,
            });
            self.trails.len() - 1
        });
        &mut self.trails[place]
    }

    /// A connection carries a session from here on.
    pub(super) fn carries(&mut self, place: usize, serial: u32) {
        let connection = &mut self.connections[place];
        connection.session = Some(serial);
        let number = connection.number;
        if self.carried.len() >= self.with_shards(CONNECTIONS_MAX) {
            self.carried.pop_front();
        }
        self.carried.push_back((number, serial));
    }

    /// The session that a connection carried last, which may be over by now.
    pub(super) fn session_on(&mut self, number: u32) -> Option<&mut Session> {
        let mut carried = self.carried.iter().rev();
        let serial = carried.find(|(known, _)| *known == number)?.1;
        self.session(serial)
    }

    /// That many, and a few for each shard.
    fn with_shards(&self, count: usize) -> usize {
        count + 4 * usize::try_from(self.shared.shards).unwrap_or(count)
    }

    /// A READY names a new session. Says whether it is the one that the shard has from here on: an IDENTIFY that was held back
    /// may be answered on a connection that the subject has given up for a later one, and there nobody reads it.
    pub(super) fn ready(&mut self, place: usize, id: &str, s: u64) -> bool {
        let now = self.shared.now;
        let connection = &self.connections[place];
        let (number, shard, was_left) = (
            connection.number,
            connection.shard,
            connection.left.is_some(),
        );
        let serial = self.serials;
        self.serials += 1;
        let within = reported_within(&self.shared);
        let old = self.trail(shard).session;
        let old = old.and_then(|old| self.session(old));
        let is_latest = !(was_left && old.as_ref().is_some_and(|old| old.connection > number));
        if is_latest {
            if let Some(old) = old {
                old.dead.get_or_insert(Dead::Replaced);
                old.ledger.abandon(now, within);
            }
            self.trail(shard).session = Some(serial);
        }
        if self.sessions.len() >= self.with_shards(SESSIONS_MAX) {
            // Of several shards one may keep its session for as long as others need a dozen.
            let dead = self.sessions.iter().position(|s| s.dead.is_some());
            self.sessions.remove(dead.unwrap_or(0));
        }
        let mut session = Session {
            is_known: !self.connections[place].damage.is_deaf,
            ..Session::new(serial, id.to_owned(), shard, (number, s), now)
        };
        if !is_latest {
            session.ledger.forget();
        }
        self.sessions.push(session);
        self.carries(place, serial);
        if self.shared.sees_process {
            // Whatever a program had kept from before, this is the one to go back to.
            self.shared.with_session = false;
        }
        is_latest
    }

    /// The shard is authenticated.
    pub(super) fn up(&mut self, place: usize) {
        let now = self.shared.now;
        self.recent = self.last_struck;
        self.look_around();
        let connection = &mut self.connections[place];
        connection.auth = Auth::Up { at: now };
        connection.replayed = None;
        // An op 9 that was answered on the same connection is no reason to leave it any more.
        let is_mended =
            |(_, trouble): &mut (Instant, Trouble)| matches!(trouble, Trouble::Op9 { .. });
        connection.trouble.take_if(is_mended);
        let (session, shard) = (connection.session, connection.shard);
        let trail = self.trail(shard);
        trail.session = session;
        (trail.loss, trail.failed, trail.refused) = (None, 0, 0);
        (trail.at_resume_url, trail.resume_url_failed) = (0, false);
    }

    /// A fault struck: which connections may blame it.
    pub(super) fn strike(&mut self, fault: u32, connection: Option<u32>) {
        let Some(progress) = self.faults.get_mut(fault as usize) else {
            return;
        };
        progress.has_struck = true;
        progress.is_healed = false;
        let action = progress.scheduled.fault.action.clone();
        let state = self.state(connection);
        self.strikes.struck(&action, state);
        self.last_struck = self.strikes.bit(&action);
        self.recent |= self.last_struck;
        self.look_around();
        let progress = &self.faults[fault as usize];
        let DrawnFault { action, port, .. } = &progress.scheduled.fault;
        for one in &mut self.connections {
            let is_meant = connection.map_or_else(
                || port.is_none_or(|port| port == one.port) && strikes_unnamed(action),
                |number| number == one.number,
            );
            if is_meant {
                let interval = one.interval(&self.shared);
                one.damage.add(action, interval);
                if veils(action) != (false, false) {
                    one.settle(Due::Beat);
                    one.settle(Due::Request);
                    one.settle(Due::Pong);
                    one.settle(Due::Leave);
                    one.settle(Due::Echo);
                }
            }
        }
    }

    pub(super) fn heal(&mut self, fault: u32) {
        if let Some(progress) = self.faults.get_mut(fault as usize) {
            progress.is_healed = true;
        }
        self.look_around();
    }

    /// Whether a fault that blocks the resume listener alone is at work.
    pub(super) fn resume_port_is_blocked(&self) -> bool {
        let blocks = |progress: &Progress| {
            let fault = &progress.scheduled.fault;
            let lasts = matches!(fault.lasts, Lasts::Run) && progress.has_struck;
            fault.port == Some(Port::Resume) && (progress.is_in_force() || lasts)
        };
        self.faults.iter().any(blocks)
    }

    /// Something was done to the subject.
    pub(super) fn act(&mut self, act: Act) {
        let now = self.shared.now;
        match act {
            Act::Stop => {
                let under_way = self.under_way();
                self.shared.presence = Presence::Dismissed { at: now, under_way };
            }
            Act::Restart | Act::Kill => self.new_life(),
            Act::Start => {
                // Told to start while it runs, a subject goes on as it was; after a stop this is another life.
                if self.shared.presence != Presence::Running {
                    self.new_life();
                }
            }
            Act::Freeze => {
                self.shared.timing = Timing::Frozen;
                self.forgive();
            }
            Act::Thaw => {
                // What came in meanwhile is read first, and on a real machine that takes its time.
                let late = match self.shared.clock {
                    Clock::Virtual => Duration::ZERO,
                    Clock::Real => self.shared.slack(self.shared.interval),
                };
                self.shared.timing = Timing::Thawed {
                    until: now + self.shared.interval + late,
                };
                self.forgive();
            }
            Act::Send => {}
        }
    }

    /// The subject starts.
    pub(super) fn started(&mut self, with_session: bool) {
        // The first entry of a run is this one; a restart has already begun its new life.
        if self.shared.presence != Presence::Running {
            self.new_life();
        }
        // A program may have kept a session on disk, that of an earlier run included.
        self.shared.with_session = with_session || self.shared.sees_process;
    }

    fn new_life(&mut self) {
        let now = self.shared.now;
        self.shared.life += 1;
        self.shared.presence = Presence::Running;
        self.forgive();
        let (is_cut_off, within) = (self.shared.sees_process, reported_within(&self.shared));
        for session in &mut self.sessions {
            if is_cut_off {
                // What a process had not reported when it was made to end, it cannot report any more.
                session.ledger.forget();
            } else {
                session.ledger.abandon(now, within);
            }
        }
        for trail in &mut self.trails {
            (trail.loss, trail.failed, trail.refused) = (None, 0, 0);
        }
        self.identifies.clear();
        self.shared.with_session = !self.sessions.is_empty();
    }

    /// Nothing that is owed now is owed any more.
    fn forgive(&mut self) {
        for connection in &mut self.connections {
            connection.settle_all();
            connection.heart.forgive();
        }
    }

    /// The subject was let go or is gone: it owes nothing.
    pub(super) fn release(&mut self) {
        self.forgive();
    }

    pub(super) fn accepted(&mut self, number: u32, port: Port) -> usize {
        if self.connections.len() >= self.with_shards(CONNECTIONS_MAX) {
            let ended = self.connections.iter().position(|c| !c.is_open());
            self.connections.remove(ended.unwrap_or(0));
        }
        let mut connection = Connection::new(number, port, &self.shared);
        for progress in &self.faults {
            let fault = &progress.scheduled.fault;
            let lasts = matches!(fault.lasts, Lasts::Run) && progress.has_struck;
            let is_here = fault.port.is_none_or(|at| at == port);
            let meets = matches!(fault.scope, Scope::All) || fault.scope == Scope::Target(number);
            if (lasts || progress.is_in_force()) && is_here && meets {
                connection.damage.add(&fault.action, self.shared.interval);
            }
        }
        self.connections.push(connection);
        self.connections.len() - 1
    }

    /// Faults that struck and refused connects without anybody seeing it.
    fn unseen_refusals(&self) -> impl Iterator<Item = &Progress> {
        let is_refusal =
            |fault: &&Progress| fault.has_struck && fault.scheduled.fault.action == Action::Refuse;
        let faults = self.faults.iter().filter(is_refusal);
        faults.filter(|_| self.shared.sees_process)
    }

    /// Whether connects were refused that nobody saw: an attempt of the subject's may have failed without a trace.
    pub(super) fn refuses_unseen(&self) -> bool {
        self.unseen_refusals().next().is_some()
    }

    /// Whether connects are refused to the end of the run, and nobody sees it: how often the subject tries cannot be told.
    pub(super) fn hides_attempts_for_good(&self) -> bool {
        let lasts =
            |fault: &Progress| !fault.is_healed || fault.scheduled.fault.lasts == Lasts::Run;
        self.unseen_refusals().any(lasts)
    }

    /// For how long after a stop a connect may still come that was under way: a signal has to be handled first. Who has all
    /// the connections that it needs has no connect under way.
    fn under_way(&self) -> Duration {
        let shared = &self.shared;
        if !shared.sees_process || shared.clock == Clock::Virtual {
            return shared.epsilon(Duration::ZERO) * 2 / 5;
        }
        let open = self.connections.iter().filter(|known| known.is_open());
        let has_all = open.count() >= usize::try_from(shared.shards).unwrap_or(usize::MAX);
        if has_all {
            Duration::from_millis(250)
        } else {
            Duration::from_secs(1)
        }
    }

    /// When the next thing is owed by anyone.
    pub(super) fn reckon(&mut self) {
        let dues = self.connections.iter().map(Connection::next_due);
        self.next_due = dues.min().unwrap_or(Instant::FOREVER);
    }
}

/// Whether an unnamed strike of this kind may have struck connections that are open.
const fn strikes_unnamed(action: &Action<Duration>) -> bool {
    !matches!(
        action,
        Action::Refuse
            | Action::AcceptReset
            | Action::Http(_)
            | Action::Rest(_)
            | Action::Stall { .. }
            | Action::Flood { .. }
            | Action::Subject { .. }
    )
}

/// Whether a connection that such a fault struck may be left without further ado.
fn gives_reason(action: &Action<Duration>, interval: Duration) -> bool {
    match action {
        // Legal by construction: an ACK leaves within 0.9 I of its beat whatever the schedule says.
        Action::Delay { frame, .. } | Action::Duplicate { frame } => {
            *frame != Event::Ack && *frame != Event::Dispatch
        }
        Action::Withhold { frame } => *frame != Event::Dispatch,
        Action::Latency { by, .. } | Action::Jitter { by, .. } => *by >= interval / 8,
        Action::Send { op, .. } => matches!(
            *op,
            Opcode::RECONNECT | Opcode::INVALID_SESSION | Opcode::HELLO
        ),
        Action::Ping
        // Whatever a client's habits, these are a connection on which nothing is wrong.
        | Action::Slice { .. }
        | Action::Fragment { .. }
        | Action::Pad { .. }
        | Action::Reorder { .. }
        | Action::Flood { .. }
        | Action::RequestHeartbeat
        | Action::OnClose(_)
        | Action::Rest(_)
        | Action::Hello { .. }
        | Action::Subject {
            // Whether it was told to go, or could not react, is known from what was done to it.
            ..
        } => false,
        _ => true,
    }
}

/// Whether the subject is deafened, and whether what it sends is kept from being seen in time.
const fn veils(action: &Action<Duration>) -> (bool, bool) {
    match action {
        Action::Blackhole { direction } => (direction.to_subject(), false),
        Action::Hold { direction }
        | Action::Latency { direction, .. }
        | Action::Jitter { direction, .. }
        | Action::Throttle { direction, .. } => (
            direction.to_subject(),
            matches!(direction, Direction::ToGateway | Direction::Both),
        ),
        Action::StopReading { .. } => (false, true),
        // What is read of a payload that was spoilt on its way to the gateway is no beat.
        Action::Corrupt { direction, .. } => (false, direction.to_gateway()),
        Action::Stall { .. } | Action::Truncate { .. } | Action::LoseContext => (true, false),
        _ => (false, false),
    }
}
