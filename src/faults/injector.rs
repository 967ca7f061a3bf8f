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

use super::{Fate, Listening, Sight, Strike};
use crate::fault::{
    Act, Action, Direction, DrawnFault, Event, Lasts, OnClose, Origin, Port, Scope, Stall, Times,
    Trigger, Until,
};
use crate::time::{Duration, Instant};
use crate::trace::ScheduledFault;
use std::collections::{BTreeMap, VecDeque};

/// A slot for each kind of event.
const EVENTS: usize = Event::WORDS.len();

/// The listeners, in the order in which orders about them are given.
const PORTS: [Port; 3] = [Port::Main, Port::Resume, Port::Rest];

/// Carries out a schedule.
#[derive(Debug)]
pub struct Injector {
    /// I, for connections whose HELLO says nothing else.
    interval: Duration,
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

impl Injector {
    /// Arms a schedule; a connection's heartbeat interval is `interval` unless a fault changes it.
    pub fn new(schedule: &[ScheduledFault], interval: Duration) -> Self {
        let faults = (0_u32..)
            .zip(schedule)
            .filter(|(_, scheduled)| !scheduled.is_skipped)
            .map(|(number, scheduled)| Armed::new(number, scheduled.fault.clone()))
            .collect();
        let mut injector = Self {
            interval,
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
                    self.schedule(at + period, Job::Fire { fault });
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
                match (lasts, place) {
                    (Lasts::For(_) | Lasts::Run, Some(place)) => {
                        let force = self.enforce(now, fault, place, lasts.into());
                        for number in scope {
                            self.apply(force, number);
                        }
                    }
                    _ => {
                        for number in scope {
                            let strike = momentary(&self.faults[fault].fault.action, number);
                            self.hit(fault, Some(number), strike);
                        }
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
    /// every listener refuses: otherwise only a connect that was refused proves it.
    fn miss_the_subject(&mut self) {
        if (self.connections.iter()).any(|open| open.standing == Standing::Held) {
            return;
        }
        for index in 0..self.forces.len() {
            let fault = &self.faults[self.forces[index].fault].fault;
            if fault.action == Action::Refuse && fault.port.is_none() {
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
            | Action::Ping => Self::Momentary { is_message: true },
            Action::Blackhole { .. }
            | Action::Hold { .. }
            | Action::StopReading { .. }
            | Action::Latency { .. } => Self::Effect,
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
            | Action::Duplicate { frame } => Self::Taker(*frame),
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
            interval,
            counts: [0; EVENTS],
            last: [None; EVENTS],
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
