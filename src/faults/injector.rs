//! The injector: a run's schedule as a machine without I/O.
//!
//! The engine shows it everything that happens at the gateway before the gateway reacts ([`Injector::meet`]) and lets due
//! faults fire ([`Injector::fire`]); the answer is the event's [`Fate`], and the [`Strike`]s that follow by
//! [`Injector::poll_strike`] are to be carried out at once, in order, before that fate. It reads no clock, draws nothing (the
//! schedule is already drawn) and knows neither client nor gateway; which connections are open it learns from the accepts
//! that it is shown and from [`Injector::ended`].
//!
//! ```text
//!   schedule ──> fault ──fires──> strikes            (reset, close, send, …: over at once)
//!                          └────> force ──> strikes  (for as long as it lasts: blackhole, refuse, withhold, …)
//! ```
//!
//! A fault *fires* when its trigger comes; what lasts beyond that moment, or waits for something to act on, is a *force*. A
//! fault has *struck* once something was changed by it. SEMANTICS.md, "Triggers and scope" and "Actions", has the meanings.

use super::link::Shape;
use super::{Fate, Listening, Sight, Strike};
use crate::fault::{
    Act, Action, Direction, DrawnFault, Event, Lasts, Layer, OnClose, Origin, Port, Scope, Stall,
    Times, Trigger, Until,
};
use crate::protocol::Compression;
use crate::time::{Duration, Instant};
use crate::trace::ScheduledFault;
use std::collections::{BTreeMap, VecDeque};

/// A slot for each kind of event.
const EVENTS: usize = Event::WORDS.len();

/// The listeners, in the order in which orders about them are given.
const PORTS: [Port; 3] = [Port::Main, Port::Resume, Port::Rest];

/// The shortest time between two firings of an `every` fault. A period in I may come out as nothing at a short I, and the
/// instant at which it fires would never be over.
const PERIOD_MIN: Duration = Duration::from_millis(1);

/// Carries out a schedule.
#[derive(Debug)]
pub struct Injector {
    /// I, for connections whose HELLO says nothing else.
    interval: Duration,
    attempts: Attempts,
    faults: Vec<Armed>,
    /// What is in force, or waits for something to act on; oldest first.
    forces: Vec<Force>,
    /// What will be due; equal times in the order in which they were set.
    agenda: BTreeMap<(Instant, u64), Job>,
    /// Connections that are not entirely over, in the order of accept.
    connections: Vec<Open>,
    /// How each listener was last told to meet connects, in the order of `PORTS`.
    listening: [Listening; 3],
    /// The number of the last job or force.
    serial: u64,
    strikes: VecDeque<Strike>,
    /// A bit for each event that matters to something that can still happen; an event without one costs nothing.
    interest: u16,
}

/// A fault of the schedule that was not skipped.
#[derive(Debug)]
struct Armed {
    fault: DrawnFault,
    /// Its place in the schedule.
    number: u32,
    /// How often it may fire.
    firings: Times,
    /// How often it has fired.
    fired: u32,
    /// How often it has struck.
    struck: u32,
    /// How many REST requests have matched its path: requests have no connection on which they could be counted.
    requests: u32,
    /// On which listener its trigger must be seen; `None` where its `port` only limits what it acts on.
    seen_at: Option<Port>,
    /// On which shard its trigger must be seen; `None` as above.
    seen_on: Option<u32>,
}

/// What a fault left in force when it fired.
#[derive(Debug)]
struct Force {
    id: u64,
    /// The index of its fault.
    fault: usize,
    place: Place,
    term: Term,
    /// Which connections it has struck; `None` stands for a strike on no connection in particular.
    struck: Vec<Option<u32>>,
}

/// Where a force acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On one connection.
    Connection(u32),
    /// Wherever the fault's port and shard let it.
    Everywhere,
}

/// When a force is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// When its job in the agenda comes.
    Time,
    /// When it has taken so many.
    Taken(Times),
    /// When that connection ends.
    Connection(u32),
    /// Never.
    Run,
}

/// Something that is due at a time.
#[derive(Debug, Clone, Copy)]
enum Job {
    /// An `at` or `every` fault fires.
    Fire { fault: usize },
    /// A fault acts that an event triggered earlier.
    Late {
        fault: usize,
        connection: Option<u32>,
    },
    /// A force is over.
    End { force: u64 },
}

/// A connection that is not entirely over.
#[derive(Debug)]
struct Open {
    number: u32,
    port: Port,
    /// Known once the subject has said it.
    shard: Option<u32>,
    standing: Standing,
    /// Known from the upgrade on.
    compression: Compression,
    /// What its HELLO says.
    interval: Duration,
    /// How often each event was seen here, as far as anybody counts.
    counts: [u32; EVENTS],
    /// When each event was last seen here.
    last: [Option<Instant>; EVENTS],
}

/// Whether the subject still holds to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It does.
    Held,
    /// It has sent Close, FIN or RST.
    Leaving,
}

/// How an action takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At once, on connections; whether these have to be upgraded for it.
    Momentary { is_message: bool },
    /// On connections, for a time.
    Effect,
    /// On listeners, for a time.
    Listener,
    /// On an event that comes by.
    Taker(Event),
    /// On how the subject's Close is met.
    OnClose,
    /// On the subject itself.
    Subject,
}

/// Whether a connect that is refused can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// The subject is gwtool's own, or the network is.
    Seen,
    /// A program's connects are refused by the operating system, which tells nobody.
    Unseen,
}

impl Injector {
    /// Arms a schedule; a connection's heartbeat interval is `interval` unless a fault changes it.
    pub fn new(schedule: &[ScheduledFault], interval: Duration, attempts: Attempts) -> Self {
        let faults = (0_u32..)
            .zip(schedule)
            .filter(|(_, scheduled)| !scheduled.is_skipped)
            .map(|(number, scheduled)| Armed::new(number, scheduled.fault.clone()))
            .collect();
        let mut injector = Self {
            interval,
            attempts,
            faults,
            forces: Vec::new(),
            agenda: BTreeMap::new(),
            connections: Vec::new(),
            listening: [Listening::Open; 3],
            serial: 0,
            strikes: VecDeque::new(),
            interest: 0,
        };
        injector.take_interest();
        injector
    }

    /// The run begins: times that count from the start begin to count.
    pub fn begin(&mut self, now: Instant) {
        self.plan(now, Origin::Start);
    }

    /// Time zero: all other times begin to count.
    pub fn chaos(&mut self, now: Instant) {
        self.plan(now, Origin::Ready);
    }

    /// Nothing fires any more, and what is in force ends, except what is to last as long as a connection or the run.
    pub fn heal(&mut self, _now: Instant) {
        self.agenda.clear();
        for armed in &mut self.faults {
            armed.firings = Times::Limited(0);
        }
        let mut index = 0;
        while let Some(force) = self.forces.get(index) {
            let is_listener = Kind::of(&self.faults[force.fault].fault.action) == Kind::Listener;
            match force.term {
                Term::Run => index += 1,
                // Damage to a connection stays with it, but every new connection is sound.
                Term::Connection(_) if !is_listener => index += 1,
                _ => self.end(index),
            }
        }
        self.take_interest();
    }

    /// Shows something that happens, before the gateway reacts to it, or a frame that is about to be sent. The strikes that it
    /// causes come before the fate that is returned.
    #[inline]
    pub fn meet(&mut self, now: Instant, sight: &Sight<'_>) -> Fate {
        if self.interest & bit(sight.event) == 0 {
            return Fate::Deliver;
        }
        self.consider(now, sight)
    }

    /// A connect met a listener that refuses or hangs.
    pub fn missed(&mut self, _now: Instant, port: Port) {
        if let Some(index) = self.ruling(port)
            && self.listens(&self.forces[index]) != Some(Listening::Resetting)
        {
            self.hit_once(index, None, []);
        }
    }

    /// A connection is entirely over: nothing comes from it and nothing can be done to it.
    pub fn ended(&mut self, _now: Instant, connection: u32) {
        self.connections.retain(|open| open.number != connection);
        let mut index = 0;
        while let Some(force) = self.forces.get(index) {
            match (force.term, force.place) {
                (Term::Connection(number), _) | (Term::Taken(_), Place::Connection(number))
                    if number == connection =>
                {
                    self.end(index);
                }
                _ => index += 1,
            }
        }
        self.miss_the_subject();
        self.take_interest();
    }

    /// When something is due next.
    pub fn due(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does one thing that is due, if anything is.
    pub fn fire(&mut self, now: Instant) {
        let Some(first) = self.agenda.first_entry().filter(|job| job.key().0 <= now) else {
            return;
        };
        let (at, _) = *first.key();
        match first.remove() {
            Job::Fire { fault } => {
                let armed = &mut self.faults[fault];
                armed.fired += 1;
                if let Trigger::Every { period, .. } = armed.fault.trigger
                    && armed.can_fire()
                {
                    self.schedule(at + period.max(PERIOD_MIN), Job::Fire { fault });
                }
                self.act(now, fault, None, None);
            }
            Job::Late { fault, connection } => self.act(now, fault, connection, None),
            Job::End { force } => {
                if let Some(index) = self.forces.iter().position(|known| known.id == force) {
                    self.end(index);
                }
            }
        }
        self.take_interest();
    }

    /// The next thing to do, in order, until there is none.
    pub fn poll_strike(&mut self) -> Option<Strike> {
        self.strikes.pop_front()
    }

    /// Whether nothing is left to wait for: every fault has fired as often as it should, none waits for its time or for
    /// something to take, and none is in force for a time.
    pub fn is_spent(&self) -> bool {
        let is_fired = |armed: &Armed| match armed.firings {
            Times::Limited(times) => armed.fired >= times,
            Times::All => armed.fired > 0,
        };
        let is_awaited = |force: &Force| match force.term {
            Term::Taken(Times::Limited(_)) => true,
            Term::Taken(Times::All) => force.struck.is_empty(),
            Term::Time | Term::Connection(_) | Term::Run => false,
        };
        self.faults.iter().all(is_fired)
            && !self.forces.iter().any(is_awaited)
            && (self.agenda.values()).all(|job| matches!(job, Job::Fire { .. }))
    }

    /// Sets the times that count from `origin`, which is now.
    fn plan(&mut self, now: Instant, origin: Origin) {
        for fault in 0..self.faults.len() {
            let armed = &self.faults[fault];
            let after = match armed.fault.trigger {
                Trigger::At { after, from } if from == origin => after,
                Trigger::Every { period, from } if from == origin => period,
                _ => continue,
            };
            if armed.can_fire() {
                self.schedule(now + after, Job::Fire { fault });
            }
        }
    }

    fn schedule(&mut self, at: Instant, job: Job) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), job);
    }

    /// Notes which events matter from here on.
    fn take_interest(&mut self) {
        self.interest = 0;
        for (index, armed) in self.faults.iter().enumerate() {
            let is_in_force = self.forces.iter().any(|force| force.fault == index);
            let is_awaited = self.agenda.values().any(|job| match job {
                Job::Fire { fault } | Job::Late { fault, .. } => *fault == index,
                Job::End { .. } => false,
            });
            if !(armed.can_fire() || is_in_force || is_awaited) {
                continue;
            }
            // Every live fault needs to know which connections there are and how far they have come.
            self.interest |= bit(Event::Accept)
                | bit(Event::Upgrade)
                | bit(Event::Hello)
                | bit(Event::Close)
                | bit(Event::Eof);
            if armed.fault.shard.is_some() {
                // Any event may be the first that tells the shard.
                self.interest = u16::MAX;
            }
            if let Trigger::On { event, .. } = armed.fault.trigger
                && armed.can_fire()
            {
                self.interest |= bit(event);
            }
            if let Kind::Taker(event) = Kind::of(&armed.fault.action)
                && is_in_force
            {
                self.interest |= bit(event);
            }
            if let Action::Delay { until, .. } = &armed.fault.action {
                // The times of these are needed, and that of a beat to know how long its ACK may be held.
                self.interest |= bit(Event::Heartbeat);
                if let Until::Event { event, .. } = until {
                    self.interest |= bit(*event);
                }
            }
        }
    }

    fn consider(&mut self, now: Instant, sight: &Sight<'_>) -> Fate {
        if let Some(number) = sight.connection {
            if sight.event == Event::Accept {
                let open = Open::new(number, sight.port, self.interval);
                self.connections.push(open);
            }
            let Some(open) = self.open_mut(number) else {
                return Fate::Deliver;
            };
            open.counts[sight.event.index()] += 1;
            open.compression = sight.compression;
            open.last[sight.event.index()] = Some(now);
            if matches!(sight.event, Event::Close | Event::Eof) {
                open.standing = Standing::Leaving;
            }
            let is_greeting = sight.event == Event::Hello && open.counts[Event::Hello.index()] == 1;
            let tells_shard = open.shard.is_none() && sight.shard.is_some();
            open.shard = open.shard.or(sight.shard);
            if sight.event == Event::Accept {
                self.accept(number, sight.port);
            }
            if is_greeting || tells_shard {
                self.adopt(number, sight.event, tells_shard);
            }
        }
        for fault in 0..self.faults.len() {
            if self.is_triggered(fault, sight) {
                self.faults[fault].fired += 1;
                match self.faults[fault].fault.trigger {
                    Trigger::On { after, .. } if !after.is_zero() => {
                        let connection = sight.connection;
                        self.schedule(now + after, Job::Late { fault, connection });
                    }
                    _ => self.act(now, fault, sight.connection, Some(sight.event)),
                }
                self.take_interest();
            }
        }
        let fate = self.decide(now, sight);
        if matches!(sight.event, Event::Close | Event::Eof) {
            self.miss_the_subject();
        }
        fate
    }

    /// A new connection meets what is in force.
    fn accept(&mut self, number: u32, port: Port) {
        if let Some(index) = self.ruling(port)
            && self.listens(&self.forces[index]) == Some(Listening::Resetting)
        {
            self.hit_once(index, Some(number), []);
        }
        self.adopt(number, Event::Accept, false);
    }

    /// Extends what is in force everywhere to a connection: at its accept, at its HELLO what needs an upgraded connection, and
    /// as soon as its shard is known what is limited to one.
    fn adopt(&mut self, number: u32, event: Event, tells_shard: bool) {
        for index in 0..self.forces.len() {
            let force = &self.forces[index];
            let fault = &self.faults[force.fault].fault;
            let is_its_time = match (fault.shard, Kind::of(&fault.action)) {
                (Some(_), _) => tells_shard,
                (None, Kind::Momentary { is_message: true }) => event == Event::Hello,
                (None, _) => event == Event::Accept,
            };
            let is_there = force.place == Place::Everywhere
                && is_its_time
                && !force.struck.contains(&Some(number))
                && (self.open(number)).is_some_and(|open| open.is_within(fault));
            if is_there {
                self.apply(index, number);
            }
        }
    }

    fn is_triggered(&mut self, fault: usize, sight: &Sight<'_>) -> bool {
        let armed = &self.faults[fault];
        let Trigger::On {
            event,
            nth,
            connection,
            path,
            ..
        } = &armed.fault.trigger
        else {
            return false;
        };
        if *event != sight.event || !armed.can_fire() {
            return false;
        }
        let open = sight.connection.and_then(|number| self.open(number));
        let shard = open.and_then(|open| open.shard).or(sight.shard);
        let is_where = armed.seen_at.is_none_or(|port| port == sight.port)
            && armed.seen_on.is_none_or(|wanted| shard == Some(wanted))
            && connection.is_none_or(|wanted| {
                sight
                    .connection
                    .is_some_and(|number| wanted.contains(number))
            })
            && path.as_ref().is_none_or(|prefix| {
                sight
                    .path
                    .is_some_and(|path| path.starts_with(prefix.as_str()))
            });
        let (nth, seen) = (*nth, open.map(|open| open.counts[event.index()]));
        if !is_where {
            return false;
        }
        let seen = seen.unwrap_or_else(|| {
            self.faults[fault].requests += 1;
            self.faults[fault].requests
        });
        nth.is_none_or(|nth| nth.contains(seen))
    }

    /// A fault does what it does; `connection` and `event` are what triggered it, the latter only while it is being shown.
    fn act(&mut self, now: Instant, fault: usize, connection: Option<u32>, event: Option<Event>) {
        let armed = &self.faults[fault].fault;
        let lasts = armed.lasts;
        let kind = Kind::of(&armed.action);
        match kind {
            Kind::Momentary { .. } => {
                let place = self.place(fault, connection);
                let scope = self.scope(fault, connection);
                if let (Lasts::For(_) | Lasts::Run, Some(place)) = (lasts, place) {
                    let force = self.enforce(now, fault, place, lasts.into());
                    for number in scope {
                        self.apply(force, number);
                    }
                } else {
                    if let Action::Flood { count, size } = self.faults[fault].fault.action
                        && scope.is_empty()
                    {
                        let strike = Strike::Flood {
                            connection: None,
                            count,
                            size,
                        };
                        self.hit(fault, None, [strike]);
                        // Without a place nothing stays in force that would end.
                        if let Lasts::For(_) = lasts {
                            let fault = self.faults[fault].number;
                            self.strikes.push_back(Strike::Healed { fault });
                        }
                    }
                    for number in scope {
                        let strike = momentary(&self.faults[fault].fault.action, number);
                        self.hit(fault, Some(number), strike);
                    }
                }
            }
            Kind::Effect | Kind::OnClose => match (lasts, self.place(fault, connection)) {
                (Lasts::For(_) | Lasts::Run, Some(place)) => {
                    let scope = self.scope(fault, connection);
                    let force = self.enforce(now, fault, place, lasts.into());
                    if self.is_general(force) {
                        let on_close = self.on_close(fault);
                        let strike = Strike::OnClose {
                            connection: None,
                            on_close,
                        };
                        self.hit_once(force, None, [strike]);
                    } else {
                        for number in scope {
                            self.apply(force, number);
                        }
                    }
                    self.listen();
                }
                _ => {
                    for number in self.scope(fault, connection) {
                        let place = Place::Connection(number);
                        let force = self.enforce(now, fault, place, Term::Connection(number));
                        self.apply(force, number);
                    }
                }
            },
            Kind::Listener => {
                let term = match (lasts, connection) {
                    (Lasts::For(_) | Lasts::Run, _) => lasts.into(),
                    (Lasts::Connection, Some(number)) => Term::Connection(number),
                    // To accept one connection and reset it is to reset it.
                    (Lasts::Unsaid, Some(number)) if event == Some(Event::Accept) => {
                        if self.faults[fault].fault.action == Action::AcceptReset {
                            let connection = number;
                            self.hit(fault, Some(number), [Strike::Reset { connection }]);
                        }
                        return;
                    }
                    _ => return,
                };
                self.enforce(now, fault, Place::Everywhere, term);
                self.listen();
                self.miss_the_subject();
            }
            Kind::Taker(wanted) => {
                let is_at = matches!(armed.trigger, Trigger::At { .. });
                let times = if is_at {
                    armed.times
                } else {
                    Times::Limited(1)
                };
                match (lasts, self.place(fault, connection)) {
                    (_, None) => {}
                    (Lasts::Unsaid, Some(place)) => {
                        let force = self.enforce(now, fault, place, Term::Taken(times));
                        self.silence_if_past(force, wanted, event);
                    }
                    (Lasts::For(_) | Lasts::Run, Some(place)) => {
                        let force = self.enforce(now, fault, place, lasts.into());
                        self.silence_if_past(force, wanted, event);
                    }
                    (Lasts::Connection, Some(Place::Connection(number))) => {
                        let place = Place::Connection(number);
                        let force = self.enforce(now, fault, place, Term::Connection(number));
                        self.silence_if_past(force, wanted, event);
                    }
                    (Lasts::Connection, Some(Place::Everywhere)) => {
                        for number in self.scope(fault, connection) {
                            let place = Place::Connection(number);
                            let force = self.enforce(now, fault, place, Term::Connection(number));
                            self.silence_if_past(force, wanted, event);
                        }
                    }
                }
            }
            Kind::Subject => {
                let Action::Subject {
                    act,
                    session,
                    op,
                    count,
                } = armed.action
                else {
                    unreachable!("only a subject action is of this kind")
                };
                let strike = Strike::Subject {
                    act,
                    session,
                    op,
                    count,
                };
                if let Lasts::For(_) = lasts {
                    let force = self.enforce(now, fault, Place::Everywhere, Term::Time);
                    self.hit_once(force, None, [strike]);
                } else {
                    self.hit(fault, None, [strike]);
                }
            }
        }
    }

    /// Where a fault that fires acts beyond this moment; `None` where there is no such place.
    fn place(&self, fault: usize, connection: Option<u32>) -> Option<Place> {
        match Place::of(&self.faults[fault].fault) {
            Ok(place) => Some(place),
            Err(OnTheEvent) => connection.map(Place::Connection),
        }
    }

    /// On which connections a fault that fires acts at this moment.
    fn scope(&self, fault: usize, connection: Option<u32>) -> Vec<u32> {
        let fault = &self.faults[fault].fault;
        let named = |number: Option<u32>| {
            let open = number.and_then(|number| self.open(number));
            let open = open.filter(|open| open.suits(&fault.action));
            open.map(|open| open.number).into_iter().collect()
        };
        match fault.scope {
            Scope::Connection => named(connection),
            Scope::Target(number) => named(Some(number)),
            Scope::All => self
                .connections
                .iter()
                .filter(|open| open.is_within(fault))
                .map(|open| open.number)
                .collect(),
        }
    }

    /// Puts something in force, and returns its index.
    fn enforce(&mut self, now: Instant, fault: usize, place: Place, term: Term) -> usize {
        self.serial += 1;
        let id = self.serial;
        if let (Term::Time, Lasts::For(time)) = (term, self.faults[fault].fault.lasts) {
            self.schedule(now + time, Job::End { force: id });
        }
        self.forces.push(Force {
            id,
            fault,
            place,
            term,
            struck: Vec::new(),
        });
        self.forces.len() - 1
    }

    /// A force takes hold of a connection.
    fn apply(&mut self, force: usize, connection: u32) {
        let fault = self.forces[force].fault;
        let strike = match &self.faults[fault].fault.action {
            Action::Blackhole { direction } => Strike::Silence {
                connection,
                direction: *direction,
            },
            Action::Hold { direction } => Strike::Hold {
                connection,
                direction: *direction,
            },
            Action::StopReading { window } => Strike::StopReading {
                connection,
                window: *window,
            },
            Action::Latency { direction, .. } => {
                let direction = *direction;
                self.forces[force].struck.push(Some(connection));
                let strikes = self.slow(connection, direction);
                self.hit(fault, Some(connection), strikes.into_iter().flatten());
                return;
            }
            Action::Jitter { direction, .. }
            | Action::Throttle { direction, .. }
            | Action::Slice { direction, .. } => {
                let direction = *direction;
                self.forces[force].struck.push(Some(connection));
                let strikes = self.shape(connection, direction);
                self.hit(fault, Some(connection), strikes.into_iter().flatten());
                return;
            }
            Action::OnClose(on_close) => Strike::OnClose {
                connection: Some(connection),
                on_close: Some(*on_close),
            },
            action => match momentary(action, connection) {
                Some(strike) => strike,
                None => return,
            },
        };
        self.hit_once(force, Some(connection), [strike]);
    }

    /// A stall on a connection that has passed the point is silence from now on.
    fn silence_if_past(&mut self, force: usize, point: Event, event: Option<Event>) {
        let Place::Connection(connection) = self.forces[force].place else {
            return;
        };
        let is_stall = matches!(
            self.faults[self.forces[force].fault].fault.action,
            Action::Stall { .. }
        );
        let is_past = (self.open(connection)).is_some_and(|open| open.counts[point.index()] > 0);
        // At the point itself the event is decided about like any other.
        if is_stall && is_past && event != Some(point) {
            let direction = Direction::Both;
            let strike = Strike::Silence {
                connection,
                direction,
            };
            self.hit_once(force, Some(connection), [strike]);
            self.spend(force);
        }
    }

    /// What becomes of an event, oldest force first; the first to take it has it.
    fn decide(&mut self, now: Instant, sight: &Sight<'_>) -> Fate {
        let mut fate = Fate::Deliver;
        let mut index = 0;
        while index < self.forces.len() {
            let is_reached = fate == Fate::Deliver && self.reaches(&self.forces[index], sight);
            if is_reached && self.take(now, index, sight, &mut fate) && self.spend(index) {
                continue;
            }
            index += 1;
        }
        fate
    }

    /// Whether an event is one that a force waits for.
    fn reaches(&self, force: &Force, sight: &Sight<'_>) -> bool {
        let fault = &self.faults[force.fault].fault;
        if Kind::of(&fault.action) != Kind::Taker(sight.event) {
            return false;
        }
        let is_suited = |number| {
            self.open(number)
                .is_none_or(|open| open.suits(&fault.action))
        };
        if !sight.connection.is_none_or(is_suited) {
            return false;
        }
        match force.place {
            Place::Connection(number) => sight.connection == Some(number),
            Place::Everywhere => {
                let open = sight.connection.and_then(|number| self.open(number));
                let shard = open.and_then(|open| open.shard).or(sight.shard);
                fault.port.is_none_or(|port| port == sight.port)
                    && fault.shard.is_none_or(|wanted| shard == Some(wanted))
            }
        }
    }

    /// A force takes an event; whether that counts as one of those that it may take.
    fn take(&mut self, now: Instant, force: usize, sight: &Sight<'_>, fate: &mut Fate) -> bool {
        let fault = &self.faults[self.forces[force].fault].fault;
        let open = sight.connection.and_then(|number| self.open(number));
        let mut silence = None;
        match (&fault.action, open) {
            (Action::Stall { at }, Some(open)) => {
                if *at == Stall::Hello && open.counts[Event::Hello.index()] != 1 {
                    return false;
                }
                if *at == Stall::Upgrade {
                    *fate = Fate::Withhold;
                }
                silence = Some(Strike::Silence {
                    connection: open.number,
                    direction: Direction::Both,
                });
            }
            (Action::Withhold { .. }, _) => *fate = Fate::Withhold,
            (Action::Duplicate { .. }, _) => *fate = Fate::Duplicate,
            (Action::Reorder { .. }, _) => *fate = Fate::Swap,
            (Action::Fragment { layer, parts, .. }, _) => *fate = Fate::Fragment(*layer, *parts),
            (Action::Pad { size, .. }, _) => *fate = Fate::Pad(*size),
            (Action::Truncate { .. }, _) => *fate = Fate::Truncate,
            (Action::Delay { frame, until }, Some(open)) => match open.delay(now, *frame, *until) {
                Held::Until(at) => *fate = Fate::Delay(at),
                Held::AsLongAsIsLegal(at) => {
                    *fate = Fate::Delay(at);
                    return true;
                }
                Held::NotAtAll => return true,
            },
            (Action::Hello { interval }, Some(open)) => {
                let (interval, number) = (*interval, open.number);
                *fate = Fate::Interval(interval);
                if let Some(open) = self.open_mut(number) {
                    open.interval = interval;
                }
            }
            (Action::Http(answer) | Action::Rest(answer), _) => {
                *fate = Fate::Answer(answer.clone());
            }
            (Action::RefuseResume { by } | Action::RefuseIdentify { by }, _) => {
                *fate = Fate::Refuse(by.clone());
            }
            _ => return false,
        }
        self.hit_once(force, sight.connection, silence);
        true
    }

    /// A force that may only take so many has taken one; whether it is gone with it.
    fn spend(&mut self, force: usize) -> bool {
        match &mut self.forces[force].term {
            Term::Taken(Times::Limited(left)) => {
                *left = left.saturating_sub(1);
                if *left > 0 {
                    return false;
                }
                self.end(force);
                self.take_interest();
                true
            }
            _ => false,
        }
    }

    /// A force strikes; in the trace once for each connection, unless each strike is one of a number.
    fn hit_once(
        &mut self,
        force: usize,
        connection: Option<u32>,
        strikes: impl IntoIterator<Item = Strike>,
    ) {
        let Force {
            fault,
            term,
            ref mut struck,
            ..
        } = self.forces[force];
        let is_known = struck.contains(&connection);
        if !is_known {
            struck.push(connection);
        }
        if is_known && !matches!(term, Term::Taken(_)) {
            self.strikes.extend(strikes);
        } else {
            self.hit(fault, connection, strikes);
        }
    }

    /// A fault strikes; one that counts as ended at its strike is over with it.
    fn hit(
        &mut self,
        fault: usize,
        connection: Option<u32>,
        strikes: impl IntoIterator<Item = Strike>,
    ) {
        let armed = &mut self.faults[fault];
        armed.struck += 1;
        let number = armed.number;
        self.strikes.push_back(Strike::Struck {
            fault: number,
            connection,
        });
        self.strikes.extend(strikes);
        let is_over = match armed.fault.lasts {
            Lasts::For(_) => false,
            Lasts::Unsaid | Lasts::Connection => true,
            Lasts::Run => armed.struck == 1,
        };
        if is_over {
            self.strikes.push_back(Strike::Healed { fault: number });
        }
    }

    /// A force is over: what it did is undone where it can be.
    fn end(&mut self, force: usize) {
        let force = self.forces.remove(force);
        let armed = &self.faults[force.fault];
        let number = armed.number;
        match armed.fault.action {
            Action::Hold { direction } => {
                for connection in self.struck_and_open(&force) {
                    let direction = self.no_longer_held(connection, direction);
                    self.strikes
                        .extend(direction.map(|direction| Strike::Release {
                            connection,
                            direction,
                        }));
                }
            }
            Action::StopReading { .. } => {
                for connection in self.struck_and_open(&force) {
                    let is_read = self.forces.iter().all(|other| {
                        let action = &self.faults[other.fault].fault.action;
                        !matches!(action, Action::StopReading { .. })
                            || !other.struck.contains(&Some(connection))
                    });
                    let strike = is_read.then_some(Strike::Read { connection });
                    self.strikes.extend(strike);
                }
            }
            Action::Latency { direction, .. } => {
                for connection in self.struck_and_open(&force) {
                    let strikes = self.slow(connection, direction);
                    self.strikes.extend(strikes.into_iter().flatten());
                }
            }
            Action::Jitter { direction, .. }
            | Action::Throttle { direction, .. }
            | Action::Slice { direction, .. } => {
                for connection in self.struck_and_open(&force) {
                    let strikes = self.shape(connection, direction);
                    self.strikes.extend(strikes.into_iter().flatten());
                }
            }
            Action::OnClose(_) => {
                for connection in &force.struck {
                    if connection.is_some_and(|number| self.open(number).is_none()) {
                        continue;
                    }
                    let left = (self.forces.iter().rev())
                        .find(|other| {
                            self.on_close(other.fault).is_some()
                                && other.struck.contains(connection)
                        })
                        .and_then(|other| self.on_close(other.fault));
                    self.strikes.push_back(Strike::OnClose {
                        connection: *connection,
                        on_close: left,
                    });
                }
            }
            Action::Subject {
                act: Act::Freeze,
                session,
                op,
                count,
            } => self.strikes.push_back(Strike::Subject {
                act: Act::Thaw,
                session,
                op,
                count,
            }),
            _ => {}
        }
        if force.term == Term::Time && !force.struck.is_empty() {
            self.strikes.push_back(Strike::Healed { fault: number });
        }
        self.listen();
    }

    /// Tells listeners how to meet connects, where that has changed.
    fn listen(&mut self) {
        for (slot, port) in PORTS.into_iter().enumerate() {
            let listening = self
                .ruling(port)
                .and_then(|index| self.listens(&self.forces[index]))
                .unwrap_or(Listening::Open);
            if self.listening[slot] != listening {
                self.listening[slot] = listening;
                self.strikes.push_back(Strike::Listen { port, listening });
            }
        }
    }

    /// The force that decides how a listener meets connects: the last one that has a say.
    fn ruling(&self, port: Port) -> Option<usize> {
        self.forces.iter().rposition(|force| {
            let limit = self.faults[force.fault].fault.port;
            limit.is_none_or(|limit| limit == port) && self.listens(force).is_some()
        })
    }

    /// How a force makes listeners meet connects, if it has to do with them.
    fn listens(&self, force: &Force) -> Option<Listening> {
        match self.faults[force.fault].fault.action {
            Action::Refuse => Some(Listening::Refusing),
            Action::AcceptReset => Some(Listening::Resetting),
            Action::Blackhole { .. } if force.place == Place::Everywhere => {
                Some(Listening::Hanging)
            }
            _ => None,
        }
    }

    /// Refused connects are felt by a subject that is without a connection, however rarely it tries. This holds only where
    /// every listener refuses: otherwise a connect that was refused proves it, where it can be seen.
    fn miss_the_subject(&mut self) {
        if (self.connections.iter()).any(|open| open.standing == Standing::Held) {
            return;
        }
        for index in 0..self.forces.len() {
            let fault = &self.faults[self.forces[index].fault].fault;
            let is_meant = match (fault.port, self.attempts) {
                (None, _) => true,
                (Some(port), Attempts::Unseen) => port != Port::Rest,
                (Some(_), Attempts::Seen) => false,
            };
            if fault.action == Action::Refuse && is_meant {
                self.hit_once(index, None, []);
            }
        }
    }

    /// How much longer bytes take on a connection now, for each direction that one fault has to do with; those that are alike
    /// in one.
    fn slow(&self, connection: u32, direction: Direction) -> [Option<Strike>; 2] {
        let sum = |is_meant: fn(Direction) -> bool| {
            let of = |force: &Force| match self.faults[force.fault].fault.action {
                Action::Latency { direction, by }
                    if is_meant(direction) && force.struck.contains(&Some(connection)) =>
                {
                    by
                }
                _ => Duration::ZERO,
            };
            self.forces.iter().map(of).sum::<Duration>()
        };
        let strike = |direction, by| {
            Some(Strike::Slow {
                connection,
                direction,
                by,
            })
        };
        let (out, back) = (sum(Direction::to_subject), sum(Direction::to_gateway));
        match direction {
            Direction::Both if out == back => [strike(direction, out), None],
            Direction::Both => [
                strike(Direction::ToSubject, out),
                strike(Direction::ToGateway, back),
            ],
            Direction::ToSubject => [strike(direction, out), None],
            Direction::ToGateway => [strike(direction, back), None],
        }
    }

    /// How bytes come on a connection now, for each direction that one fault has to do with.
    fn shape(&self, connection: u32, direction: Direction) -> [Option<Strike>; 2] {
        let sum = |is_meant: fn(Direction) -> bool| {
            let mut shape = Shape::NONE;
            let here = |force: &&Force| force.struck.contains(&Some(connection));
            for force in self.forces.iter().filter(here) {
                match self.faults[force.fault].fault.action {
                    Action::Jitter { direction, by } if is_meant(direction) => shape.jitter += by,
                    Action::Throttle { direction, rate } if is_meant(direction) => {
                        shape.rate = Some(shape.rate.map_or(rate, |other| other.min(rate)));
                    }
                    Action::Slice { direction, size } if is_meant(direction) => {
                        shape.size = Some(shape.size.map_or(size, |other| other.min(size)));
                    }
                    _ => {}
                }
            }
            shape
        };
        let strike = |is_meant: fn(Direction) -> bool, direction| Strike::Shape {
            connection,
            direction,
            shape: sum(is_meant),
        };
        let out = || strike(Direction::to_subject, Direction::ToSubject);
        let back = || strike(Direction::to_gateway, Direction::ToGateway);
        [
            direction.to_subject().then(out),
            direction.to_gateway().then(back),
        ]
    }

    /// Which of the directions that a fault held on a connection nothing else holds.
    fn no_longer_held(&self, connection: u32, direction: Direction) -> Option<Direction> {
        let is_free = |is_meant: fn(Direction) -> bool| {
            is_meant(direction)
                && self
                    .forces
                    .iter()
                    .all(|force| match self.faults[force.fault].fault.action {
                        Action::Hold { direction } => {
                            !(is_meant(direction) && force.struck.contains(&Some(connection)))
                        }
                        _ => true,
                    })
        };
        match (
            is_free(Direction::to_subject),
            is_free(Direction::to_gateway),
        ) {
            (true, true) => Some(Direction::Both),
            (true, false) => Some(Direction::ToSubject),
            (false, true) => Some(Direction::ToGateway),
            (false, false) => None,
        }
    }

    fn struck_and_open(&self, force: &Force) -> Vec<u32> {
        let open = |number: &u32| self.open(*number).is_some();
        force
            .struck
            .iter()
            .flatten()
            .copied()
            .filter(|n| open(n))
            .collect()
    }

    /// Whether a force changes how Close is met on every connection there is and will be, for which there is one order.
    fn is_general(&self, force: usize) -> bool {
        let force = &self.forces[force];
        let fault = &self.faults[force.fault].fault;
        matches!(fault.action, Action::OnClose(_))
            && force.place == Place::Everywhere
            && fault.port.is_none()
            && fault.shard.is_none()
    }

    fn on_close(&self, fault: usize) -> Option<OnClose<Duration>> {
        match self.faults[fault].fault.action {
            Action::OnClose(on_close) => Some(on_close),
            _ => None,
        }
    }

    fn open(&self, number: u32) -> Option<&Open> {
        // The newest connection is the one that most is seen of.
        self.connections.iter().rfind(|open| open.number == number)
    }

    fn open_mut(&mut self, number: u32) -> Option<&mut Open> {
        (self.connections.iter_mut()).rfind(|open| open.number == number)
    }
}

/// The bit of an event in a set of them.
const fn bit(event: Event) -> u16 {
    1 << event.index()
}

/// What an action that is over at once does to a connection.
fn momentary(action: &Action<Duration>, connection: u32) -> Option<Strike> {
    Some(match action {
        Action::Reset => Strike::Reset { connection },
        Action::Eof => Strike::Fin { connection },
        Action::Close { code, reason } => Strike::Close {
            connection,
            code: *code,
            reason: reason.clone(),
        },
        Action::Send { op, d, s, t } => Strike::Send {
            connection,
            op: *op,
            d: d.clone(),
            s: *s,
            t: t.clone(),
        },
        Action::RequestHeartbeat => Strike::RequestHeartbeat { connection },
        Action::Reconnect { cut_after } => Strike::Reconnect {
            connection,
            cut_after: *cut_after,
        },
        Action::InvalidSession {
            resumable,
            cut_after,
        } => Strike::InvalidSession {
            connection,
            resumable: *resumable,
            cut_after: *cut_after,
        },
        Action::BadFrame { bytes, binary } => Strike::BadFrame {
            connection,
            bytes: bytes.clone(),
            binary: *binary,
        },
        Action::Ping => Strike::Ping { connection },
        Action::Corrupt { direction, count } => Strike::Corrupt {
            connection,
            direction: *direction,
            count: *count,
        },
        Action::LoseContext => Strike::LoseContext { connection },
        Action::Bomb { size } => Strike::Bomb {
            connection,
            size: *size,
        },
        Action::SkipSeq { count } => Strike::SkipSeq {
            connection,
            count: *count,
        },
        Action::Flood { count, size } => Strike::Flood {
            connection: Some(connection),
            count: *count,
            size: *size,
        },
        _ => return None,
    })
}

impl Armed {
    fn new(number: u32, fault: DrawnFault) -> Self {
        let firings = match fault.trigger {
            // How often is then how many it takes.
            Trigger::At { .. } => Times::Limited(1),
            Trigger::Every { .. } | Trigger::On { .. } => fault.times,
        };
        let (seen_at, seen_on) = if fault.acts_elsewhere() {
            (None, None)
        } else {
            (fault.port, fault.shard)
        };
        Self {
            fault,
            number,
            firings,
            fired: 0,
            struck: 0,
            requests: 0,
            seen_at,
            seen_on,
        }
    }

    fn can_fire(&self) -> bool {
        match self.firings {
            Times::Limited(times) => self.fired < times,
            Times::All => true,
        }
    }
}

impl DrawnFault {
    /// Whether it acts on something else than what triggers it: then its port and its shard say where it acts, not where its
    /// trigger has to be seen. (`on = "ready"`, `do = "refuse"`, `port = "resume"`: READY is sent on the main listener.)
    fn acts_elsewhere(&self) -> bool {
        let Trigger::On { event, .. } = self.trigger else {
            return true;
        };
        let own = match Kind::of(&self.action) {
            Kind::Taker(own) => Some(own),
            Kind::Listener => Some(Event::Accept),
            Kind::Subject => return false,
            Kind::Momentary { .. } | Kind::Effect | Kind::OnClose => None,
        };
        Place::of(self) == Ok(Place::Everywhere) && own != Some(event)
    }
}

/// The place is the connection of the event that triggered the fault.
#[derive(Debug, PartialEq, Eq)]
struct OnTheEvent;

impl Place {
    /// Where a fault acts beyond the moment at which it fires.
    fn of(fault: &DrawnFault) -> Result<Self, OnTheEvent> {
        let is_answer = matches!(
            fault.action,
            Action::Http(_)
                | Action::Rest(_)
                | Action::RefuseResume { .. }
                | Action::RefuseIdentify { .. }
        );
        let is_long = matches!(fault.lasts, Lasts::For(_) | Lasts::Run);
        match fault.scope {
            _ if Kind::of(&fault.action) == Kind::Listener => Ok(Self::Everywhere),
            // A request has no connection of ours.
            _ if matches!(fault.action, Action::Rest(_)) => Ok(Self::Everywhere),
            Scope::All => Ok(Self::Everywhere),
            Scope::Target(number) => Ok(Self::Connection(number)),
            // A connection is upgraded once, and hardly identifies or resumes twice: for a time means wherever it happens.
            Scope::Connection if is_answer && is_long => Ok(Self::Everywhere),
            Scope::Connection => Err(OnTheEvent),
        }
    }
}

impl From<Lasts<Duration>> for Term {
    /// The term of what lasts for a time or for the run.
    fn from(lasts: Lasts<Duration>) -> Self {
        match lasts {
            Lasts::For(_) => Self::Time,
            Lasts::Run => Self::Run,
            Lasts::Unsaid | Lasts::Connection => {
                unreachable!("the term of these depends on what the fault does")
            }
        }
    }
}

impl Kind {
    const fn of(action: &Action<Duration>) -> Self {
        match action {
            Action::Reset | Action::Eof => Self::Momentary { is_message: false },
            Action::Close { .. }
            | Action::Send { .. }
            | Action::RequestHeartbeat
            | Action::Reconnect { .. }
            | Action::InvalidSession { .. }
            | Action::BadFrame { .. }
            | Action::Corrupt { .. }
            | Action::LoseContext
            | Action::Bomb { .. }
            | Action::SkipSeq { .. }
            | Action::Flood { .. }
            | Action::Ping => Self::Momentary { is_message: true },
            Action::Blackhole { .. }
            | Action::Hold { .. }
            | Action::StopReading { .. }
            | Action::Latency { .. }
            | Action::Jitter { .. }
            | Action::Throttle { .. }
            | Action::Slice { .. } => Self::Effect,
            Action::Refuse | Action::AcceptReset => Self::Listener,
            Action::Stall { at } => Self::Taker(match at {
                Stall::Accept => Event::Accept,
                Stall::Upgrade => Event::Upgrade,
                Stall::Hello => Event::Hello,
            }),
            Action::Http(_) => Self::Taker(Event::Upgrade),
            Action::Rest(_) => Self::Taker(Event::Request),
            Action::RefuseResume { .. } => Self::Taker(Event::Resume),
            Action::RefuseIdentify { .. } => Self::Taker(Event::Identify),
            Action::Withhold { frame }
            | Action::Delay { frame, .. }
            | Action::Duplicate { frame }
            | Action::Reorder { frame }
            | Action::Fragment { frame, .. }
            | Action::Pad { frame, .. }
            | Action::Truncate { frame } => Self::Taker(*frame),
            Action::Hello { .. } => Self::Taker(Event::Hello),
            Action::OnClose(_) => Self::OnClose,
            Action::Subject { .. } => Self::Subject,
        }
    }
}

/// How long a frame is held back.
enum Held {
    /// Until then.
    Until(Instant),
    /// Until then, which is not when the fault would have it.
    AsLongAsIsLegal(Instant),
    /// It leaves at once.
    NotAtAll,
}

impl Open {
    fn new(number: u32, port: Port, interval: Duration) -> Self {
        Self {
            number,
            port,
            shard: None,
            standing: Standing::Held,
            compression: Compression::None,
            interval,
            counts: [0; EVENTS],
            last: [None; EVENTS],
        }
    }

    /// Whether what an action does can be done here.
    fn suits(&self, action: &Action<Duration>) -> bool {
        let is_zlib = self.compression == Compression::ZlibStream;
        match action {
            Action::Fragment {
                layer: Layer::Zlib, ..
            } => is_zlib,
            action if action.needs_compression() => self.compression.query().is_some(),
            _ => true,
        }
    }

    /// Whether it is one of those that are meant by every connection.
    fn is_within(&self, fault: &DrawnFault) -> bool {
        let is_held = self.standing == Standing::Held;
        let is_fit = match Kind::of(&fault.action) {
            // What the network does it does to a connection that is being left as well.
            Kind::Effect => true,
            Kind::Momentary { is_message: true } => {
                is_held && self.counts[Event::Upgrade.index()] > 0
            }
            _ => is_held,
        };
        is_fit
            && self.suits(&fault.action)
            && fault.port.is_none_or(|port| port == self.port)
            && fault.shard.is_none_or(|shard| self.shard == Some(shard))
    }

    /// How long a frame that is about to be sent here is held back.
    fn delay(&self, now: Instant, frame: Event, until: Until<Duration>) -> Held {
        let wanted = match until {
            Until::By(by) => Some(now + by),
            Until::Event { event, after } => self.last[event.index()].map(|at| at + after),
        };
        let Some(wanted) = wanted.filter(|wanted| *wanted > now) else {
            return Held::NotAtAll;
        };
        let beat = self.last[Event::Heartbeat.index()].filter(|_| frame == Event::Ack);
        // Only an ACK that leaves by 0.9 I after its beat is one that a sound subject has to wait for.
        match beat.map(|beat| beat + self.interval * 9 / 10) {
            Some(limit) if limit < wanted => match until {
                _ if limit <= now => Held::NotAtAll,
                Until::By(_) => Held::Until(limit),
                Until::Event { .. } => Held::AsLongAsIsLegal(limit),
            },
            _ => Held::Until(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Answer, Count, CutAfter, HttpAnswer, Kept, Refusal, SentSeq};
    use crate::protocol::{CloseCode, Json, Opcode};

    /// I in these tests.
    const I: Duration = Duration::from_secs(10);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn t(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn on(event: Event, action: Action<Duration>) -> DrawnFault {
        DrawnFault {
            trigger: Trigger::On {
                event,
                nth: None,
                connection: None,
                path: None,
                after: ms(0),
            },
            action,
            lasts: Lasts::Unsaid,
            times: Times::Limited(1),
            scope: Scope::Connection,
            port: None,
            shard: None,
            optional: None,
            group: None,
            chance: None,
        }
    }

    fn at(after: u64, action: Action<Duration>) -> DrawnFault {
        DrawnFault {
            trigger: Trigger::At {
                after: ms(after),
                from: Origin::Ready,
            },
            scope: Scope::All,
            ..on(Event::Accept, action)
        }
    }

    fn lasting(lasts: Lasts<Duration>, fault: DrawnFault) -> DrawnFault {
        DrawnFault { lasts, ..fault }
    }

    fn each(times: Times, fault: DrawnFault) -> DrawnFault {
        DrawnFault { times, ..fault }
    }

    fn scoped(scope: Scope, fault: DrawnFault) -> DrawnFault {
        DrawnFault { scope, ..fault }
    }

    fn ported(port: Port, fault: DrawnFault) -> DrawnFault {
        DrawnFault {
            port: Some(port),
            ..fault
        }
    }

    /// The same `on` fault on the nth event of that connection.
    fn nth(nth: Count, connection: Option<Count>, mut fault: DrawnFault) -> DrawnFault {
        if let Trigger::On {
            nth: wanted,
            connection: number,
            ..
        } = &mut fault.trigger
        {
            *wanted = Some(nth);
            *number = connection;
        }
        fault
    }

    fn late(by: u64, mut fault: DrawnFault) -> DrawnFault {
        if let Trigger::On { after, .. } = &mut fault.trigger {
            *after = ms(by);
        }
        fault
    }

    /// A run told to an injector; `done` is what it did since it was last asked.
    struct Run(Injector, Compression);

    impl Run {
        fn new(faults: impl IntoIterator<Item = DrawnFault>) -> Self {
            let schedule: Vec<ScheduledFault> = faults
                .into_iter()
                .map(|fault| ScheduledFault {
                    fault,
                    is_skipped: false,
                })
                .collect();
            let mut injector = Injector::new(&schedule, I, Attempts::Seen);
            injector.begin(t(0));
            Self(injector, Compression::None)
        }

        /// One connection on the main listener, up to and with the event; time zero is 0 ms.
        fn with_connection(faults: impl IntoIterator<Item = DrawnFault>) -> Self {
            let mut run = Self::new(faults);
            run.connect(0, 1);
            run.0.chaos(t(0));
            run
        }

        fn sight(&mut self, at: u64, connection: Option<u32>, port: Port, event: Event) -> Fate {
            let path = matches!(event, Event::Upgrade | Event::Request).then_some("/gateway/bot");
            let sight = Sight {
                event,
                connection,
                port,
                path,
                shard: None,
                compression: self.1,
            };
            self.0.meet(t(at), &sight)
        }

        fn meet(&mut self, at: u64, connection: u32, event: Event) -> Fate {
            self.sight(at, Some(connection), Port::Main, event)
        }

        fn connect(&mut self, at: u64, connection: u32) {
            for event in [Event::Accept, Event::Upgrade, Event::Hello] {
                self.meet(at, connection, event);
            }
        }

        /// A beat and its ACK, and what became of the ACK.
        fn beat(&mut self, at: u64, connection: u32) -> Fate {
            self.meet(at, connection, Event::Heartbeat);
            self.meet(at, connection, Event::Ack)
        }

        /// Everything that is due until then.
        fn until(&mut self, at: u64) {
            while let Some(due) = self.0.due().filter(|due| *due <= t(at)) {
                self.0.fire(due);
            }
        }

        fn done(&mut self) -> Vec<Strike> {
            std::iter::from_fn(|| self.0.poll_strike()).collect()
        }

        /// Which connections were struck, and whether anything healed.
        fn struck(&mut self) -> (Vec<Option<u32>>, usize) {
            let done = self.done();
            let struck = done.iter().filter_map(|strike| match strike {
                Strike::Struck { connection, .. } => Some(*connection),
                _ => None,
            });
            let healed = done
                .iter()
                .filter(|strike| matches!(strike, Strike::Healed { .. }));
            (struck.collect(), healed.count())
        }
    }

    /// What a strike on a connection by the first fault of a schedule looks like when it is over at once.
    fn once(connection: impl Into<Option<u32>>, strike: Strike) -> Vec<Strike> {
        vec![
            Strike::Struck {
                fault: 0,
                connection: connection.into(),
            },
            strike,
            Strike::Healed { fault: 0 },
        ]
    }

    fn both(connection: u32) -> Strike {
        Strike::Silence {
            connection,
            direction: Direction::Both,
        }
    }

    fn blackhole() -> Action<Duration> {
        Action::Blackhole {
            direction: Direction::Both,
        }
    }

    fn listen(port: Port, listening: Listening) -> Strike {
        Strike::Listen { port, listening }
    }

    fn answer() -> HttpAnswer<Duration> {
        HttpAnswer {
            status: 503,
            headers: Vec::new(),
            body: String::new(),
            delay: ms(0),
        }
    }

    fn struck(connection: impl Into<Option<u32>>) -> Strike {
        Strike::Struck {
            fault: 0,
            connection: connection.into(),
        }
    }

    const HEALED: Strike = Strike::Healed { fault: 0 };

    #[test]
    fn what_is_over_at_once_strikes_the_connection_of_its_event() {
        let connection = 1;
        let reason = String::from("bye");
        let send = Action::Send {
            op: Opcode(99),
            d: Json::null(),
            s: SentSeq::Null,
            t: None,
        };
        let cut_after = CutAfter::Never;
        let cases = [
            (Action::Reset, Strike::Reset { connection }),
            (Action::Eof, Strike::Fin { connection }),
            (
                Action::Close {
                    code: Some(CloseCode(4000)),
                    reason: reason.clone(),
                },
                Strike::Close {
                    connection,
                    code: Some(CloseCode(4000)),
                    reason,
                },
            ),
            (
                send,
                Strike::Send {
                    connection,
                    op: Opcode(99),
                    d: Json::null(),
                    s: SentSeq::Null,
                    t: None,
                },
            ),
            (
                Action::RequestHeartbeat,
                Strike::RequestHeartbeat { connection },
            ),
            (
                Action::Reconnect { cut_after },
                Strike::Reconnect {
                    connection,
                    cut_after,
                },
            ),
            (
                Action::InvalidSession {
                    resumable: true,
                    cut_after,
                },
                Strike::InvalidSession {
                    connection,
                    resumable: true,
                    cut_after,
                },
            ),
            (
                Action::BadFrame {
                    bytes: vec![1],
                    binary: true,
                },
                Strike::BadFrame {
                    connection,
                    bytes: vec![1],
                    binary: true,
                },
            ),
            (Action::Ping, Strike::Ping { connection }),
            (
                Action::Corrupt {
                    direction: Direction::ToSubject,
                    count: 3,
                },
                Strike::Corrupt {
                    connection,
                    direction: Direction::ToSubject,
                    count: 3,
                },
            ),
            (
                Action::SkipSeq { count: 9 },
                Strike::SkipSeq {
                    connection,
                    count: 9,
                },
            ),
            (
                Action::Flood { count: 9, size: 99 },
                Strike::Flood {
                    connection: Some(connection),
                    count: 9,
                    size: 99,
                },
            ),
        ];
        for (action, strike) in cases {
            let mut run = Run::with_connection([on(Event::Ack, action.clone())]);
            assert_eq!(run.beat(5, 1), Fate::Deliver);
            assert_eq!(run.done(), once(1, strike.clone()), "on an event");
            assert!(run.0.is_spent());
            run.beat(6, 1);
            assert_eq!(run.done(), [], "only once");

            let mut run = Run::with_connection([at(7, action)]);
            assert!(!run.0.is_spent());
            run.until(6);
            assert_eq!(run.done(), []);
            run.until(7);
            assert_eq!(run.done(), once(1, strike), "at a time");
            assert!(run.0.is_spent());
        }
    }

    #[test]
    fn connection_faults_last_and_are_undone() {
        let (connection, direction, by) = (1, Direction::Both, ms(40));
        let cases = [
            (
                Action::Hold { direction },
                Strike::Hold {
                    connection,
                    direction,
                },
                Strike::Release {
                    connection,
                    direction,
                },
            ),
            (
                Action::StopReading { window: 9 },
                Strike::StopReading {
                    connection,
                    window: 9,
                },
                Strike::Read { connection },
            ),
            (
                Action::Latency { direction, by },
                Strike::Slow {
                    connection,
                    direction,
                    by,
                },
                Strike::Slow {
                    connection,
                    direction,
                    by: ms(0),
                },
            ),
        ];
        for (action, begin, end) in cases {
            let fault = lasting(Lasts::For(ms(50)), at(10, action.clone()));
            let mut run = Run::with_connection([fault.clone()]);
            run.until(10);
            assert_eq!(run.done(), [struck(1), begin.clone()]);
            run.until(59);
            assert_eq!(run.done(), []);
            assert!(!run.0.is_spent(), "it is in force");
            run.until(60);
            assert_eq!(run.done(), [end, HEALED]);
            assert!(run.0.is_spent());

            let mut run = Run::with_connection([fault]);
            run.until(10);
            run.done();
            run.0.ended(t(20), 1);
            run.until(60);
            assert_eq!(
                run.done(),
                [HEALED],
                "nothing is undone on a connection that is over"
            );

            // Without a time it lasts as long as the connection, and is over for the bound at its strike.
            let mut run = Run::with_connection([at(10, action)]);
            run.until(10);
            assert_eq!(run.done(), once(1, begin));
            run.0.heal(t(20));
            assert_eq!(run.done(), [], "the damage stays");
        }
    }

    #[test]
    fn what_shapes_bytes_adds_up_and_is_taken_back_one_by_one() {
        let (direction, connection) = (Direction::ToSubject, 1);
        let shaped = |shape| Strike::Shape {
            connection,
            direction,
            shape,
        };
        let slice = |size| Action::Slice { direction, size };
        let throttle = Action::Throttle {
            direction: Direction::Both,
            rate: 500,
        };
        let mut run = Run::with_connection([
            lasting(Lasts::For(ms(50)), at(10, slice(7))),
            lasting(Lasts::For(ms(20)), at(20, slice(3))),
            lasting(Lasts::For(ms(50)), at(30, throttle)),
        ]);
        let mut seen = Vec::new();
        for now in [10, 20, 30, 40, 60, 80] {
            run.until(now);
            seen.extend(run.done().into_iter().filter(|strike| {
                matches!(strike, Strike::Shape { direction, .. } if direction.to_subject())
            }));
        }
        let of = |size, rate| Shape {
            rate,
            size,
            ..Shape::NONE
        };
        assert_eq!(
            seen,
            [
                shaped(of(Some(7), None)),
                shaped(of(Some(3), None)),
                shaped(of(Some(3), Some(500))),
                shaped(of(Some(7), Some(500))),
                shaped(of(None, Some(500))),
                shaped(Shape::NONE),
            ]
        );
    }

    #[test]
    fn what_needs_a_compressed_transport_strikes_on_no_other() {
        const STREAMS: [Compression; 2] = [Compression::ZlibStream, Compression::ZstdStream];
        let zlib_parts = Action::Fragment {
            frame: Event::Ack,
            layer: Layer::Zlib,
            parts: 3,
        };
        let frame = Event::Ack;
        for (action, compressions) in [
            (zlib_parts, &[Compression::ZlibStream][..]),
            (Action::Truncate { frame }, &STREAMS),
            (Action::LoseContext, &STREAMS),
            (Action::Bomb { size: 1 << 20 }, &STREAMS),
        ] {
            for compression in [
                Compression::None,
                Compression::ZlibStream,
                Compression::ZstdStream,
            ] {
                for fault in [on(Event::Ack, action.clone()), at(1, action.clone())] {
                    let mut run = Run::new([fault]);
                    run.1 = compression;
                    run.connect(0, 1);
                    run.0.chaos(t(0));
                    run.until(1);
                    let fate = run.beat(2, 1);
                    let has_struck = !run.struck().0.is_empty();
                    let is_meant = compressions.contains(&compression);
                    assert_eq!(has_struck, is_meant, "{action:?} on {compression:?}");
                    assert!(is_meant || fate == Fate::Deliver);
                }
            }
        }
    }

    #[test]
    fn a_flood_without_a_connection_is_for_whoever_comes_next() {
        let mut run = Run::with_connection([at(10, Action::Flood { count: 5, size: 80 })]);
        run.0.ended(t(5), 1);
        run.until(10);
        let strike = Strike::Flood {
            connection: None,
            count: 5,
            size: 80,
        };
        assert_eq!(run.done(), once(None, strike));
    }

    #[test]
    fn a_blackhole_takes_open_and_new_connections_and_lets_connects_hang() {
        let mut run = Run::with_connection([lasting(Lasts::For(ms(50)), at(10, blackhole()))]);
        run.connect(1, 2);
        run.meet(5, 1, Event::Close);
        run.until(10);
        let hanging = PORTS.map(|port| listen(port, Listening::Hanging));
        // #1 is being left, and the network is gone for it too.
        let mut expected = vec![struck(1), both(1), struck(2), both(2)];
        expected.extend(hanging);
        assert_eq!(run.done(), expected);
        run.connect(20, 3);
        assert_eq!(run.done(), [struck(3), both(3)]);
        run.until(60);
        let mut expected = vec![HEALED];
        expected.extend(PORTS.map(|port| listen(port, Listening::Open)));
        assert_eq!(run.done(), expected);
        run.connect(61, 4);
        assert_eq!(run.done(), []);
    }

    #[test]
    fn a_blackhole_on_one_connection_leaves_listeners_alone() {
        let fault = lasting(Lasts::For(ms(50)), on(Event::Heartbeat, blackhole()));
        let mut run = Run::with_connection([fault]);
        run.beat(5, 1);
        assert_eq!(run.done(), [struck(1), both(1)]);
        run.connect(6, 2);
        assert_eq!(run.done(), []);
    }

    #[test]
    fn a_blackhole_strikes_when_a_connect_meets_it() {
        let mut run = Run::new([lasting(Lasts::For(ms(50)), at(10, blackhole()))]);
        run.0.chaos(t(0));
        run.until(10);
        assert_eq!(run.struck(), (vec![], 0));
        run.0.missed(t(20), Port::Main);
        run.0.missed(t(21), Port::Main);
        assert_eq!(run.struck(), (vec![None], 0));
    }

    #[test]
    fn refusing_strikes_a_subject_that_is_without_a_connection() {
        let fault = lasting(Lasts::For(ms(50)), at(10, Action::Refuse));
        let mut run = Run::with_connection([fault.clone()]);
        run.until(10);
        assert_eq!(
            run.done(),
            PORTS.map(|port| listen(port, Listening::Refusing))
        );
        run.until(60);
        assert_eq!(run.done(), PORTS.map(|port| listen(port, Listening::Open)));
        assert!(run.0.is_spent(), "it was in force, and nobody felt it");

        let mut run = Run::with_connection([fault]);
        run.until(10);
        run.done();
        run.meet(20, 1, Event::Eof);
        assert_eq!(run.done(), [struck(None)]);
        run.0.ended(t(20), 1);
        run.0.missed(t(21), Port::Main);
        assert_eq!(run.done(), [], "once is enough");
    }

    #[test]
    fn one_listener_that_refuses_strikes_only_who_meets_it() {
        let fault = lasting(Lasts::Run, at(10, Action::Refuse));
        let mut run = Run::with_connection([ported(Port::Resume, fault)]);
        run.until(10);
        assert_eq!(run.done(), [listen(Port::Resume, Listening::Refusing)]);
        run.0.ended(t(11), 1);
        run.0.missed(t(12), Port::Main);
        assert_eq!(run.done(), []);
        run.0.missed(t(13), Port::Resume);
        assert_eq!(run.done(), [struck(None), HEALED]);
        run.0.heal(t(14));
        assert_eq!(run.done(), [], "for the run outlasts the heal");
    }

    #[test]
    fn where_nobody_sees_connects_refused_a_subject_without_a_connection_has_met_the_listener() {
        let fault = lasting(Lasts::Run, at(10, Action::Refuse));
        let mut run = Run::with_connection([ported(Port::Resume, fault)]);
        run.0.attempts = Attempts::Unseen;
        run.until(10);
        assert_eq!(run.done(), [listen(Port::Resume, Listening::Refusing)]);
        run.0.ended(t(11), 1);
        assert_eq!(run.done(), [struck(None), HEALED]);
    }

    #[test]
    fn the_last_fault_in_force_decides_how_a_listener_meets_connects() {
        let refuse = lasting(Lasts::For(ms(50)), at(10, Action::Refuse));
        let reset = lasting(Lasts::For(ms(20)), at(20, Action::AcceptReset));
        let mut run = Run::with_connection([ported(Port::Main, refuse), ported(Port::Main, reset)]);
        let mut heard = Vec::new();
        for now in [10, 20, 40, 60] {
            run.until(now);
            heard.extend(run.done());
        }
        assert_eq!(
            heard,
            [
                listen(Port::Main, Listening::Refusing),
                listen(Port::Main, Listening::Resetting),
                listen(Port::Main, Listening::Refusing),
                listen(Port::Main, Listening::Open),
            ]
        );
    }

    #[test]
    fn accept_reset_strikes_each_connection_that_it_meets() {
        let fault = lasting(Lasts::For(ms(50)), at(10, Action::AcceptReset));
        let mut run = Run::with_connection([fault]);
        run.until(10);
        run.done();
        run.meet(20, 2, Event::Accept);
        run.meet(21, 3, Event::Accept);
        assert_eq!(run.struck(), (vec![Some(2), Some(3)], 0));

        // On an accept it is that connection which is reset.
        let fault = nth(
            Count::exactly(1),
            Some(Count::exactly(2)),
            on(Event::Accept, Action::AcceptReset),
        );
        let mut run = Run::with_connection([fault]);
        run.meet(20, 2, Event::Accept);
        assert_eq!(run.done(), once(2, Strike::Reset { connection: 2 }));
    }

    #[test]
    fn a_stall_silences_a_connection_at_its_point() {
        for (point, event, fate) in [
            (Stall::Accept, Event::Accept, Fate::Deliver),
            (Stall::Upgrade, Event::Upgrade, Fate::Withhold),
            (Stall::Hello, Event::Hello, Fate::Deliver),
        ] {
            // At a time: the next connection. On its accept: that connection.
            for fault in [
                at(10, Action::Stall { at: point }),
                nth(
                    Count::exactly(1),
                    Some(Count::exactly(2)),
                    on(Event::Accept, Action::Stall { at: point }),
                ),
            ] {
                let mut run = Run::with_connection([fault]);
                run.until(10);
                for step in [Event::Accept, Event::Upgrade, Event::Hello] {
                    let met = run.meet(20, 2, step);
                    if step == event {
                        assert_eq!(met, fate);
                        assert_eq!(run.done(), once(2, both(2)));
                        break;
                    }
                    assert_eq!((met, run.done()), (Fate::Deliver, vec![]));
                    assert!(!run.0.is_spent(), "it waits");
                }
                assert!(run.0.is_spent());
            }
        }
        // Past the point there is nothing to wait for.
        let fault = on(Event::Heartbeat, Action::Stall { at: Stall::Hello });
        let mut run = Run::with_connection([fault]);
        run.beat(5, 1);
        assert_eq!(run.done(), once(1, both(1)));
    }

    #[test]
    fn requests_are_answered_by_faults() {
        let mut run = Run::with_connection([nth(
            Count::exactly(2),
            None,
            on(Event::Request, Action::Rest(answer())),
        )]);
        assert_eq!(
            run.sight(5, None, Port::Rest, Event::Request),
            Fate::Deliver
        );
        assert_eq!(
            run.sight(6, None, Port::Rest, Event::Request),
            Fate::Answer(answer())
        );
        assert_eq!(run.struck(), (vec![None], 1));

        let fault = each(Times::Limited(2), at(10, Action::Http(answer())));
        let mut run = Run::with_connection([fault]);
        run.until(10);
        let upgrade = |run: &mut Run, connection| {
            run.meet(20, connection, Event::Accept);
            run.meet(20, connection, Event::Upgrade)
        };
        assert_eq!(upgrade(&mut run, 2), Fate::Answer(answer()));
        assert!(!run.0.is_spent());
        assert_eq!(upgrade(&mut run, 3), Fate::Answer(answer()));
        assert!(run.0.is_spent());
        assert_eq!(upgrade(&mut run, 4), Fate::Deliver);
    }

    #[test]
    fn requests_are_told_apart_by_their_path() {
        let mut fault = on(Event::Request, Action::Rest(answer()));
        if let Trigger::On { path, .. } = &mut fault.trigger {
            *path = Some("/users".to_owned());
        }
        let mut run = Run::with_connection([fault]);
        assert_eq!(
            run.sight(5, None, Port::Rest, Event::Request),
            Fate::Deliver
        );
    }

    #[test]
    fn identify_and_resume_are_refused() {
        let by = Refusal::Op9;
        let cases = [
            (Event::Identify, Action::RefuseIdentify { by: by.clone() }),
            (Event::Resume, Action::RefuseResume { by: by.clone() }),
        ];
        for (event, action) in cases {
            let mut run = Run::with_connection([on(event, action.clone())]);
            assert_eq!(run.meet(5, 1, event), Fate::Refuse(by.clone()));
            assert_eq!(run.done(), [struck(1), HEALED]);
            assert_eq!(run.meet(6, 1, event), Fate::Deliver);

            // For a time: wherever it happens.
            let mut run = Run::with_connection([lasting(Lasts::For(ms(50)), on(event, action))]);
            assert_eq!(run.meet(5, 1, event), Fate::Refuse(by.clone()));
            run.connect(6, 2);
            assert_eq!(run.meet(7, 2, event), Fate::Refuse(by.clone()));
            assert_eq!(run.struck(), (vec![Some(1), Some(2)], 0));
            run.until(55);
            assert_eq!(run.done(), [HEALED]);
            assert_eq!(run.meet(56, 2, event), Fate::Deliver);
        }
    }

    #[test]
    fn a_frame_meets_its_fate() {
        let frame = Event::Ack;
        let cases = [
            (Action::Withhold { frame }, Fate::Withhold),
            (Action::Duplicate { frame }, Fate::Duplicate),
            (
                Action::Delay {
                    frame,
                    until: Until::By(ms(3)),
                },
                Fate::Delay(t(8)),
            ),
        ];
        for (action, fate) in cases {
            // The very frame, the next after another event, and the next after a time.
            for fault in [
                on(frame, action.clone()),
                on(Event::Heartbeat, action.clone()),
                at(1, action),
            ] {
                let mut run = Run::with_connection([fault]);
                run.until(1);
                assert_eq!(run.beat(5, 1), fate);
                assert_eq!(run.done(), [struck(1), HEALED]);
                assert!(run.0.is_spent());
                assert_eq!(run.beat(6, 1), Fate::Deliver);
            }
        }
    }

    #[test]
    fn hello_carries_another_interval_on_its_connection() {
        let interval = ms(1000);
        let hello = on(Event::Hello, Action::Hello { interval });
        let delay = each(
            Times::All,
            on(
                Event::Ack,
                Action::Delay {
                    frame: Event::Ack,
                    until: Until::By(ms(5000)),
                },
            ),
        );
        let mut run = Run::new([hello, delay]);
        run.meet(0, 1, Event::Accept);
        assert_eq!(run.meet(0, 1, Event::Hello), Fate::Interval(interval));
        assert_eq!(run.done(), [struck(1), HEALED]);
        assert_eq!(
            run.beat(100, 1),
            Fate::Delay(t(1000)),
            "0.9 of its own interval"
        );
        run.connect(2000, 2);
        assert_eq!(run.beat(2000, 2), Fate::Delay(t(7000)));
    }

    #[test]
    fn an_ack_is_held_until_an_event_but_never_longer_than_is_legal() {
        let fault = each(
            Times::All,
            on(
                Event::Ack,
                Action::Delay {
                    frame: Event::Ack,
                    until: Until::Event {
                        event: Event::Hello,
                        after: ms(10_030),
                    },
                },
            ),
        );
        let mut run = Run::with_connection([fault]);
        // HELLO was at 0: the ACK of this beat crosses the end of the first interval.
        assert_eq!(run.beat(4_000, 1), Fate::Delay(t(10_030)));
        assert_eq!(run.struck(), (vec![Some(1)], 1));
        // That of an earlier beat may not, so that nothing was shown by it.
        assert_eq!(run.beat(500, 1), Fate::Delay(t(9_500)));
        assert_eq!(run.struck(), (vec![], 0));
        // That of a later one leaves at once.
        assert_eq!(run.beat(10_040, 1), Fate::Deliver);
        assert_eq!(run.struck(), (vec![], 0));
    }

    #[test]
    fn frames_are_taken_for_a_time_for_a_connection_or_everywhere() {
        let frame = Event::Ack;
        let withhold = || on(Event::Heartbeat, Action::Withhold { frame });
        let mut run = Run::with_connection([lasting(Lasts::For(ms(50)), withhold())]);
        run.connect(1, 2);
        assert_eq!(run.beat(5, 1), Fate::Withhold);
        assert_eq!(run.beat(10, 1), Fate::Withhold);
        assert_eq!(run.beat(10, 2), Fate::Deliver, "another connection");
        assert_eq!(run.done(), [struck(1)], "one strike in the trace");
        run.until(55);
        assert_eq!(run.done(), [HEALED]);
        assert_eq!(run.beat(60, 1), Fate::Deliver);

        let mut run = Run::with_connection([lasting(Lasts::Connection, withhold())]);
        assert_eq!(run.beat(5, 1), Fate::Withhold);
        run.0.heal(t(10));
        assert_eq!(run.beat(20, 1), Fate::Withhold, "damage outlasts the heal");
        assert_eq!(run.done(), [struck(1), HEALED]);
        run.connect(21, 2);
        assert_eq!(run.beat(22, 2), Fate::Deliver);

        let all = scoped(Scope::All, lasting(Lasts::Run, withhold()));
        let mut run = Run::with_connection([all]);
        run.connect(1, 2);
        assert_eq!(run.beat(5, 1), Fate::Withhold);
        assert_eq!(run.beat(5, 2), Fate::Withhold);
        run.0.heal(t(10));
        assert_eq!(run.beat(20, 2), Fate::Withhold);
        // It counts as ended at its first strike, and only then.
        assert_eq!(run.done(), [struck(1), HEALED, struck(2)]);
    }

    #[test]
    fn close_is_met_otherwise_and_then_as_before() {
        let on_close = OnClose {
            answer: Answer::Never,
            ..OnClose::default()
        };
        let order = |connection, on_close| Strike::OnClose {
            connection,
            on_close,
        };
        let mut run = Run::with_connection([on(Event::Close, Action::OnClose(on_close))]);
        run.meet(5, 1, Event::Close);
        assert_eq!(run.done(), once(1, order(Some(1), Some(on_close))));

        let fault = lasting(Lasts::For(ms(50)), at(10, Action::OnClose(on_close)));
        let mut run = Run::with_connection([fault.clone()]);
        run.until(10);
        assert_eq!(run.done(), [struck(None), order(None, Some(on_close))]);
        run.until(60);
        assert_eq!(run.done(), [order(None, None), HEALED]);

        // There is no order for all connections of one listener: it is given for each.
        let mut run = Run::with_connection([ported(Port::Main, fault)]);
        run.until(10);
        run.connect(20, 2);
        assert_eq!(
            run.done(),
            [
                struck(1),
                order(Some(1), Some(on_close)),
                struck(2),
                order(Some(2), Some(on_close))
            ]
        );
    }

    #[test]
    fn something_is_done_to_the_subject() {
        let action = |act| Action::Subject {
            act,
            session: Kept::Kept,
            op: Opcode::PRESENCE_UPDATE,
            count: 1,
        };
        let strike = |act| Strike::Subject {
            act,
            session: Kept::Kept,
            op: Opcode::PRESENCE_UPDATE,
            count: 1,
        };
        let mut run = Run::with_connection([at(10, action(Act::Stop))]);
        run.until(10);
        assert_eq!(run.done(), once(None, strike(Act::Stop)));

        let mut run =
            Run::with_connection([lasting(Lasts::For(ms(50)), at(10, action(Act::Freeze)))]);
        run.until(10);
        assert_eq!(run.done(), [struck(None), strike(Act::Freeze)]);
        run.until(60);
        assert_eq!(run.done(), [strike(Act::Thaw), HEALED]);
    }

    #[test]
    fn events_are_counted_on_their_own_connection() {
        let two_to_three = Count {
            min: 2,
            max: Some(3),
        };
        let from_second = Count { min: 2, max: None };
        let fault = nth(
            two_to_three,
            Some(from_second),
            each(Times::All, on(Event::Heartbeat, Action::Ping)),
        );
        let mut run = Run::with_connection([fault]);
        run.connect(1, 2);
        for now in 10..15 {
            run.beat(now, 1);
            run.beat(now, 2);
        }
        assert_eq!(run.struck(), (vec![Some(2), Some(2)], 2));
        assert!(run.0.is_spent(), "without limit is spent after the first");
    }

    #[test]
    fn a_fault_fires_as_often_as_it_should() {
        let fault = each(Times::Limited(3), on(Event::Heartbeat, Action::Ping));
        let mut run = Run::with_connection([fault]);
        for now in 10..20 {
            assert_eq!(run.0.is_spent(), now >= 13);
            run.beat(now, 1);
        }
        assert_eq!(run.struck().0.len(), 3);
    }

    #[test]
    fn every_fires_again_and_again() {
        let mut fault = each(Times::Limited(3), at(0, Action::Ping));
        fault.trigger = Trigger::Every {
            period: ms(10),
            from: Origin::Start,
        };
        let mut run = Run::new([fault.clone()]);
        run.connect(0, 1);
        run.until(29);
        assert_eq!(run.struck().0.len(), 2);
        assert!(!run.0.is_spent());
        run.until(1000);
        assert_eq!(run.struck().0.len(), 1);
        assert!(run.0.is_spent());

        let mut run = Run::new([each(Times::All, fault)]);
        run.connect(0, 1);
        run.until(10);
        assert!(run.0.is_spent(), "without limit is spent after the first");
        run.until(50);
        assert_eq!(run.struck().0.len(), 5);
    }

    #[test]
    fn times_count_from_time_zero_or_from_the_start() {
        let mut early = at(10, Action::Ping);
        early.trigger = Trigger::At {
            after: ms(10),
            from: Origin::Start,
        };
        let mut run = Run::new([at(10, Action::Reset), early]);
        run.connect(0, 1);
        assert_eq!(run.0.due(), Some(t(10)));
        run.until(500);
        assert_eq!(run.done()[1], Strike::Ping { connection: 1 });
        run.0.chaos(t(500));
        assert_eq!(run.0.due(), Some(t(510)));
    }

    #[test]
    fn a_fault_acts_some_time_after_its_event() {
        let fault = late(
            30,
            scoped(Scope::Target(1), on(Event::Resumed, Action::Reset)),
        );
        let mut run = Run::with_connection([fault.clone()]);
        run.connect(1, 2);
        run.meet(2, 1, Event::Close);
        run.meet(5, 2, Event::Resumed);
        assert!(!run.0.is_spent(), "it is still to act");
        run.until(34);
        assert_eq!(run.done(), []);
        run.until(35);
        // The target is closing, and is reset all the same.
        assert_eq!(run.done(), once(1, Strike::Reset { connection: 1 }));

        let mut run = Run::with_connection([fault]);
        run.connect(1, 2);
        run.meet(5, 2, Event::Resumed);
        run.0.ended(t(6), 1);
        run.until(35);
        assert_eq!(run.done(), [], "there is nothing left to reset");
        assert!(run.0.is_spent());
    }

    #[test]
    fn every_connection_is_not_one_that_is_being_left() {
        let mut run = Run::with_connection([at(10, Action::Reset)]);
        run.connect(1, 2);
        run.meet(5, 1, Event::Close);
        run.until(10);
        assert_eq!(run.struck(), (vec![Some(2)], 1));
    }

    #[test]
    fn a_port_limits_what_is_struck_and_what_triggers() {
        let mut run = Run::with_connection([
            ported(Port::Resume, on(Event::Heartbeat, Action::Ping)),
            ported(Port::Resume, at(10, Action::Reset)),
        ]);
        run.sight(1, Some(2), Port::Resume, Event::Accept);
        run.beat(5, 1);
        assert_eq!(run.done(), []);
        run.until(10);
        assert_eq!(run.struck(), (vec![Some(2)], 1));
        run.sight(11, Some(2), Port::Resume, Event::Heartbeat);
        assert_eq!(run.struck(), (vec![Some(2)], 1));

        // Where a fault acts elsewhere than on its event, the port says where it acts.
        let refuse = lasting(Lasts::Run, on(Event::Ready, Action::Refuse));
        let mut run = Run::with_connection([ported(Port::Resume, refuse)]);
        run.meet(5, 1, Event::Ready);
        assert_eq!(run.done(), [listen(Port::Resume, Listening::Refusing)]);
    }

    #[test]
    fn a_shard_limits_what_is_struck() {
        let mut ping = on(Event::Heartbeat, Action::Ping);
        ping.shard = Some(1);
        let mut hole = lasting(Lasts::For(ms(90)), at(1, blackhole()));
        hole.shard = Some(1);
        let mut run = Run::with_connection([ping, hole]);
        run.until(1);
        run.done();
        run.connect(5, 2);
        run.beat(6, 1);
        run.beat(6, 2);
        assert_eq!(run.struck(), (vec![], 0), "no shard is known");
        let identify = Sight {
            event: Event::Identify,
            connection: Some(2),
            port: Port::Main,
            path: None,
            shard: Some(1),
            compression: Compression::None,
        };
        run.0.meet(t(7), &identify);
        assert_eq!(
            run.done(),
            [
                Strike::Struck {
                    fault: 1,
                    connection: Some(2)
                },
                both(2)
            ]
        );
        run.beat(8, 2);
        assert_eq!(run.struck(), (vec![Some(2)], 1));
    }

    #[test]
    fn latencies_that_overlap_add_up() {
        let slower = |direction, by| Action::Latency { direction, by };
        let slow = |direction, by| Strike::Slow {
            connection: 1,
            direction,
            by,
        };
        let mut run = Run::with_connection([
            lasting(Lasts::For(ms(50)), at(10, slower(Direction::Both, ms(40)))),
            lasting(
                Lasts::For(ms(10)),
                at(20, slower(Direction::ToSubject, ms(2))),
            ),
        ]);
        run.until(100);
        let mut done = run.done();
        done.retain(|strike| matches!(strike, Strike::Slow { .. }));
        assert_eq!(
            done,
            [
                slow(Direction::Both, ms(40)),
                slow(Direction::ToSubject, ms(42)),
                slow(Direction::ToSubject, ms(40)),
                slow(Direction::Both, ms(0)),
            ]
        );
    }

    #[test]
    fn what_two_faults_hold_is_released_by_the_last() {
        let hold = |direction| Action::Hold { direction };
        let mut run = Run::with_connection([
            lasting(Lasts::For(ms(20)), at(10, hold(Direction::Both))),
            lasting(Lasts::For(ms(50)), at(15, hold(Direction::ToSubject))),
        ]);
        run.until(100);
        let mut done = run.done();
        done.retain(|strike| matches!(strike, Strike::Release { .. }));
        let release = |direction| Strike::Release {
            connection: 1,
            direction,
        };
        assert_eq!(
            done,
            [release(Direction::ToGateway), release(Direction::ToSubject)]
        );
    }

    #[test]
    fn a_frame_that_one_fault_took_is_left_for_no_other() {
        let frame = Event::Ack;
        let mut run = Run::with_connection([
            on(Event::Heartbeat, Action::Withhold { frame }),
            on(Event::Heartbeat, Action::Duplicate { frame }),
        ]);
        assert_eq!(run.beat(5, 1), Fate::Withhold);
        assert_eq!(run.beat(6, 1), Fate::Duplicate);
    }

    #[test]
    fn nothing_is_injected_after_the_heal() {
        let frame = Event::Ack;
        let mut run = Run::with_connection([
            lasting(Lasts::For(ms(500)), at(10, Action::Refuse)),
            each(Times::All, on(Event::Heartbeat, Action::Ping)),
            at(1, Action::Withhold { frame }),
            at(900, Action::Reset),
        ]);
        run.until(10);
        run.0.ended(t(11), 1);
        run.done();
        run.0.heal(t(12));
        let mut expected = vec![HEALED];
        expected.extend(PORTS.map(|port| listen(port, Listening::Open)));
        assert_eq!(run.done(), expected);
        assert_eq!(run.0.due(), None);
        run.connect(20, 2);
        assert_eq!(run.beat(21, 2), Fate::Deliver);
        assert_eq!(run.done(), []);
        assert_eq!(run.0.interest, 0, "and nothing is looked at");
    }

    #[test]
    fn a_frame_fault_that_found_no_frame_ends_with_its_connection() {
        let frame = Event::Ack;
        let mut run = Run::with_connection([on(Event::Heartbeat, Action::Withhold { frame })]);
        run.meet(5, 1, Event::Heartbeat);
        assert!(!run.0.is_spent());
        run.0.ended(t(6), 1);
        assert!(run.0.is_spent());
        assert_eq!(run.done(), []);
    }

    #[test]
    fn a_fault_that_was_skipped_does_nothing_and_is_not_waited_for() {
        let scheduled = ScheduledFault {
            fault: on(Event::Heartbeat, Action::Reset),
            is_skipped: true,
        };
        let mut run = Run(
            Injector::new(&[scheduled], I, Attempts::Seen),
            Compression::None,
        );
        run.connect(0, 1);
        run.beat(5, 1);
        assert_eq!(run.done(), []);
        assert!(run.0.is_spent());
        assert_eq!(run.0.interest, 0);
    }
}
