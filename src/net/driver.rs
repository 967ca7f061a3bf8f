//! The driver: one loop that runs everything, over two clocks.
//!
//! A lap does three things. It polls every socket whose flag is up, the gateway's ends first, until none is. If something is due
//! it does exactly one such thing and begins again. Otherwise it moves the clock to the next deadline, and only there does it
//! matter which clock that is: virtual time is set to the deadline, real time is waited for (`wall`). Nothing is spawned,
//! selected or awaited in virtual time, so that a seed decides everything.
//!
//! What is due at one instant is done in the order that the seed gives (the schedule always first), so that both sides of a
//! race are met. `connect` has no gateway; and where the subject is a program, its end of the connections is its own affair.

use super::gateway_side::{Door, GatewaySide, SubjectAct};
use super::pipe;
use super::program_side::ProgramSide;
use super::record::Recorder;
use super::subject_side::{Notice, SubjectSide, Want};
use super::supervisor::Signal;
use super::transport::Transport;
use super::wake::{Key, Queue};
use crate::fault::{Act, Kept, Port};
use crate::faults::Listening;
use crate::machine::{Command, CommandId, ConnectionId, End, FetchId, Machine, Response, Session};
use crate::progress::Progress;
use crate::protocol::{Json, Opcode};
use crate::seed::Draw;
use crate::server::rest;
use crate::time::{Duration, Instant};
use crate::trace::{Miss, Phase, Seen};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes a subject's machine; called again after it was killed.
pub(super) type Factory<'a> = Box<dyn FnMut() -> Box<dyn Machine> + 'a>;

/// The host name of the fake's main listener in virtual time.
pub(super) const MAIN_HOST: &str = "main.gateway.test";
/// The host name of its resume listener.
pub(super) const RESUME_HOST: &str = "resume.gateway.test";

/// What travels between the two ends besides the bytes of connections, in virtual time only.
enum Travel {
    /// A connect reaches the gateway.
    Syn(ConnectionId, Port),
    /// Its success reaches the subject.
    SynAck(ConnectionId, Transport, u32),
    /// Its failure reaches the subject.
    Failure(ConnectionId, End),
    /// A REST request reaches the gateway.
    Request(FetchId, &'static str),
    /// Its answer reaches the subject.
    Answer(FetchId, Result<Response, String>),
}

/// Somebody who waits at a door that hangs.
enum Waiting {
    Connect(ConnectionId, Port),
    Request(FetchId, &'static str),
}

impl Waiting {
    const fn port(&self) -> Port {
        match self {
            Self::Connect(_, port) => *port,
            Self::Request(..) => Port::Rest,
        }
    }
}

/// What may be due at one instant besides the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Arrival,
    Gateway,
    Subject,
}

/// What is due next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Something, at this time.
    At(Instant),
    /// Nothing, unless a socket wakes.
    Nothing,
    /// The run is over.
    Over,
}

/// The way between the two ends.
pub(super) enum Network {
    /// In memory, with the latency of the links.
    Virtual {
        /// Each way.
        latency: Duration,
    },
    /// Sockets of this machine: what the subject wants is left for `wall` to give.
    Real,
}

/// What is under test.
#[expect(
    clippy::large_enum_variant,
    reason = "a run has one of it, and the larger one is the one that has to be quick"
)]
pub(super) enum Tested<'a> {
    /// A machine, and how it is made anew after it was killed.
    Machine(SubjectSide, Factory<'a>),
    /// A program.
    Program(Box<ProgramSide>),
}

impl<'a> Tested<'a> {
    /// A machine, made for the first time.
    pub(super) fn of(mut factory: Factory<'a>, queue: &Arc<Queue>) -> Self {
        Self::Machine(SubjectSide::new(factory(), Arc::clone(queue)), factory)
    }

    /// The subject's end of the connections, where that is the engine's.
    pub(super) const fn side(&mut self) -> Option<&mut SubjectSide> {
        match self {
            Self::Machine(side, _) => Some(side),
            Self::Program(_) => None,
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        match self {
            Self::Machine(side, _) => side.next_timer(),
            Self::Program(program) => program.next_timer(),
        }
    }
}

/// One run.
pub(super) struct Driver<'a> {
    pub(super) now: Instant,
    pub(super) gateway: Option<GatewaySide>,
    pub(super) subject: Tested<'a>,
    pub(super) recorder: Recorder<'a>,
    queue: Arc<Queue>,
    network: Network,
    order: Draw,
    travels: BTreeMap<(Instant, u64), Travel>,
    travelled: u64,
    waiting: Vec<Waiting>,
    /// What the subject wants of the real network.
    outside: Vec<Want>,
    /// What a request of the subject's is authorised with.
    authorization: String,
    commands: u32,
    killed: u32,
    /// The session that the subject had when it was stopped last.
    session: Option<Session>,
    /// By how much the worst of gwtool's own timers was late.
    late: Duration,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        gateway: Option<GatewaySide>,
        subject: Tested<'a>,
        recorder: Recorder<'a>,
        queue: Arc<Queue>,
        network: Network,
        order: Draw,
        authorization: String,
    ) -> Self {
        Self {
            now: Instant::ZERO,
            gateway,
            subject,
            recorder,
            queue,
            network,
            order,
            travels: BTreeMap::new(),
            travelled: 0,
            waiting: Vec::new(),
            outside: Vec::new(),
            authorization,
            commands: 0,
            killed: 0,
            session: None,
            late: Duration::ZERO,
        }
    }

    /// Starts the run: the schedule is armed, the subject is told to begin.
    pub(super) fn begin(&mut self, armed: impl IntoIterator<Item = u32>) {
        for fault in armed {
            self.recorder.record(self.now, Seen::Armed { fault });
        }
        if self.recorder.progress.is_some() {
            self.recorder.record(self.now, Seen::Phase(Phase::Login));
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.begin(self.now, &mut self.recorder);
        }
        self.start(None);
        self.attend();
    }

    /// The whole run in virtual time. Says whether it came to its end; if not, it was interrupted.
    pub(super) fn run_virtual(&mut self, is_interrupted: impl Fn() -> bool) -> bool {
        loop {
            match self.settle() {
                Next::At(_) if is_interrupted() => return false,
                Next::At(at) => self.now = at,
                Next::Over => return true,
                Next::Nothing => unreachable!("the end of a run is always due at some time"),
            }
        }
    }

    /// Does everything there is to do at this instant; says what is due next.
    pub(super) fn settle(&mut self) -> Next {
        loop {
            while let Some(key) = self.queue.pop() {
                self.poll(key);
            }
            if self.is_over() {
                return Next::Over;
            }
            let now = self.now;
            let schedule = self.gateway.as_ref().and_then(GatewaySide::next_fault);
            if is_due(schedule, now) {
                if let Some(gateway) = &mut self.gateway {
                    gateway.fire_fault(now, &mut self.recorder);
                }
                self.attend();
                continue;
            }
            let travel = self.travels.first_key_value().map(|((at, _), _)| *at);
            let arrival = self.gateway.as_ref().and_then(GatewaySide::next_arrival);
            let arrival = sooner(arrival, travel);
            let gateway = self.gateway.as_ref().and_then(GatewaySide::next_timer);
            let subject = self.subject.next_timer();
            let progress = self.recorder.progress.as_mut().and_then(Progress::due);
            let due = [
                is_due(arrival, now).then_some(Class::Arrival),
                is_due(gateway, now).then_some(Class::Gateway),
                is_due(subject, now).then_some(Class::Subject),
            ];
            if let Some(class) = self.choose(due) {
                self.fire(class);
                self.attend();
                continue;
            }
            if is_due(progress, now) && self.advance() {
                continue;
            }
            let progress = self.recorder.progress.as_mut().and_then(Progress::due);
            let progress = progress.filter(|at| *at > now);
            let next = [schedule, arrival, gateway, subject, progress];
            return next
                .into_iter()
                .flatten()
                .min()
                .map_or(Next::Nothing, Next::At);
        }
    }

    fn is_over(&self) -> bool {
        let phase = self.recorder.progress.as_ref().map(Progress::phase);
        match (&self.subject, phase) {
            (Tested::Machine(..), Some(phase)) => phase == Phase::Over,
            (Tested::Machine(side, _), None) => side.is_over(),
            // It is served until it has ended, so that it can end in good order.
            (Tested::Program(program), _) => program.is_gone(),
        }
    }

    /// Of what is due at once, the seed chooses.
    fn choose(&mut self, due: [Option<Class>; 3]) -> Option<Class> {
        let count = due.iter().flatten().count() as u64;
        let place = if count > 1 {
            self.order.below(count)
        } else {
            0
        };
        due.into_iter()
            .flatten()
            .nth(usize::try_from(place).unwrap_or(0))
    }

    fn fire(&mut self, class: Class) {
        let (now, to) = (self.now, &mut self.recorder);
        match class {
            Class::Arrival => {
                if let Some(entry) = self.travels.first_entry()
                    && entry.key().0 <= now
                {
                    let travel = entry.remove();
                    self.travel(travel);
                } else if let Some(gateway) = &mut self.gateway {
                    gateway.fire_arrival(now, to);
                }
            }
            Class::Gateway => {
                if let Some(gateway) = &mut self.gateway {
                    let due = gateway.next_timer();
                    gateway.fire_timer(now, to);
                    self.note_late(due);
                }
            }
            Class::Subject => match &mut self.subject {
                Tested::Machine(side, _) => {
                    let due = side.fire_timer(now, to);
                    self.note_late(due);
                }
                Tested::Program(program) => program.fire_timer(now, to),
            },
        }
    }

    fn note_late(&mut self, due: Option<Instant>) {
        if let Some(due) = due {
            self.waited(self.now.since(due));
        }
    }

    /// Something was done so much later than it was due. What happens before the subject is there, and after the watch, spoils
    /// nothing.
    pub(super) fn waited(&mut self, late: Duration) {
        let progress = self.recorder.progress.as_ref();
        if progress.is_none_or(|p| matches!(p.phase(), Phase::Chaos | Phase::Healed)) {
            self.late = self.late.max(late);
        }
    }

    /// Moves the phases on. Says whether anything changed.
    fn advance(&mut self) -> bool {
        let is_spent = self.gateway.as_ref().is_none_or(GatewaySide::is_spent);
        let progress = self.recorder.progress.as_mut();
        let Some(phase) = progress.and_then(|p| p.advance(self.now, is_spent)) else {
            return false;
        };
        // Before the phase, since what follows the last one is not judged.
        if let Tested::Machine(side, _) = &self.subject {
            self.recorder.record(self.now, side.held());
        }
        self.recorder.record(self.now, Seen::Phase(phase));
        if let Some(gateway) = &mut self.gateway {
            match phase {
                Phase::Chaos => gateway.chaos(self.now, &mut self.recorder),
                Phase::Healed => gateway.heal(self.now, &mut self.recorder),
                Phase::Login | Phase::Over => {}
            }
        }
        if let Tested::Program(program) = &mut self.subject {
            match phase {
                Phase::Chaos => program.ask_from(self.now),
                Phase::Over => program.end(),
                Phase::Login | Phase::Healed => {}
            }
        }
        self.attend();
        true
    }

    fn poll(&mut self, key: Key) {
        let (now, to) = (self.now, &mut self.recorder);
        match key {
            Key::Gateway(number) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.poll(now, number, to);
                }
            }
            Key::Subject(id) => {
                if let Some(subject) = self.subject.side() {
                    subject.poll(now, ConnectionId(id), to);
                }
            }
            Key::Program => {
                if let Tested::Program(program) = &mut self.subject {
                    program.poll(now, to);
                }
            }
            Key::Outside => return,
        }
        self.attend();
    }

    /// Sees to what the two ends want of each other, until there is nothing.
    pub(super) fn attend(&mut self) {
        loop {
            if let Some(want) = self.subject.side().and_then(SubjectSide::next_want) {
                self.grant(want);
            } else if let Some(act) = self.gateway.as_mut().and_then(GatewaySide::next_act) {
                self.act(act);
            } else if !self.let_in() {
                return;
            }
        }
    }

    // ---- The virtual network ------------------------------------------------------------------------------------------

    fn send(&mut self, after: Duration, travel: Travel) {
        self.travelled += 1;
        self.travels
            .insert((self.now + after, self.travelled), travel);
    }

    fn grant(&mut self, want: Want) {
        let Network::Virtual { latency } = self.network else {
            self.outside.push(want);
            return;
        };
        match want {
            Want::Open(id, url) => {
                if let Some(port) = port_of(&url) {
                    self.send(latency, Travel::Syn(id, port));
                } else {
                    let end = End::Failed(format!("no such host in virtual time: {url}"));
                    self.send(latency, Travel::Failure(id, end));
                }
            }
            Want::Fetch(fetch, path) => self.send(latency, Travel::Request(fetch, path)),
            Want::Refused(_) => {}
            Want::Dropped(id) => self.forget(id),
        }
    }

    /// The subject is no longer interested in a connect. One that was accepted is dropped with its transport, which the
    /// gateway's end notices; one that hangs was an attempt that got no number.
    fn forget(&mut self, id: ConnectionId) {
        self.travels.retain(|_, travel| match travel {
            Travel::Syn(other, _) | Travel::SynAck(other, ..) | Travel::Failure(other, _) => {
                *other != id
            }
            Travel::Request(..) | Travel::Answer(..) => true,
        });
        let hangs =
            |waiting: &Waiting| matches!(waiting, Waiting::Connect(other, _) if *other == id);
        if let Some(place) = self.waiting.iter().position(hangs) {
            let port = self.waiting.remove(place).port();
            self.recorder.at_gateway(
                self.now,
                Seen::Missed {
                    port,
                    why: Miss::Hung,
                },
            );
        }
    }

    /// Who asked is no more. A successor counts its requests from the same number and must not be given these answers.
    fn forget_requests(&mut self) {
        self.travels
            .retain(|_, travel| !matches!(travel, Travel::Request(..) | Travel::Answer(..)));
        self.waiting
            .retain(|waiting| !matches!(waiting, Waiting::Request(..)));
        self.outside.retain(|want| !matches!(want, Want::Fetch(..)));
        self.killed += 1;
    }

    /// How often the subject was killed: what was begun for another of its lives is of no interest to this one.
    pub(super) const fn killed(&self) -> u32 {
        self.killed
    }

    fn travel(&mut self, travel: Travel) {
        let latency = self.latency();
        let (now, to) = (self.now, &mut self.recorder);
        let (Some(gateway), Some(subject)) = (&mut self.gateway, self.subject.side()) else {
            return;
        };
        match travel {
            Travel::Syn(id, port) => match gateway.door(now, port, to) {
                Door::Open => {
                    let (near, far) = pipe::pair();
                    let number = gateway.accept(now, port, Transport::Pipe(far), &[], to);
                    self.send(latency, Travel::SynAck(id, Transport::Pipe(near), number));
                }
                Door::Refused => self.send(latency, Travel::Failure(id, End::Refused)),
                Door::Hangs => self.waiting.push(Waiting::Connect(id, port)),
            },
            Travel::SynAck(id, transport, number) => {
                subject.numbered(id, number);
                subject.connected(id, transport);
            }
            Travel::Failure(id, end) => subject.tell(now, Notice::Failed(id, end), to),
            Travel::Request(fetch, path) => match gateway.door(now, Port::Rest, to) {
                Door::Open => {
                    let request = rest::Request {
                        method: "GET".to_owned(),
                        path: path.to_owned(),
                        authorization: Some(self.authorization.clone()),
                        body: Vec::new(),
                    };
                    let (response, delay) = gateway.request(now, &request, to);
                    self.send(delay + latency, Travel::Answer(fetch, Ok(response)));
                }
                Door::Refused => {
                    let refused = Err(End::Refused.to_string());
                    self.send(latency, Travel::Answer(fetch, refused));
                }
                Door::Hangs => self.waiting.push(Waiting::Request(fetch, path)),
            },
            Travel::Answer(fetch, result) => {
                subject.tell(now, Notice::Fetched(fetch, result), to);
            }
        }
    }

    fn latency(&self) -> Duration {
        match self.network {
            Network::Virtual { latency } => latency,
            Network::Real => Duration::ZERO,
        }
    }

    /// Lets in one of those who wait at a door that no longer hangs. Says whether there was one.
    fn let_in(&mut self) -> bool {
        let Some(gateway) = &self.gateway else {
            return false;
        };
        let hangs = |port| gateway.listening(port) == Listening::Hanging;
        let Some(place) = self
            .waiting
            .iter()
            .position(|waiting| !hangs(waiting.port()))
        else {
            return false;
        };
        let travel = match self.waiting.remove(place) {
            Waiting::Connect(id, port) => Travel::Syn(id, port),
            Waiting::Request(fetch, path) => Travel::Request(fetch, path),
        };
        self.send(Duration::ZERO, travel);
        true
    }

    // ---- The subject itself -------------------------------------------------------------------------------------------

    fn tell(&mut self, notice: Notice) {
        if let Some(subject) = self.subject.side() {
            subject.tell(self.now, notice, &mut self.recorder);
        }
    }

    fn start(&mut self, session: Option<Session>) {
        // A new process has no session; a scenario that needs one is not run with a program.
        let with_session = session.is_some();
        self.recorder
            .record(self.now, Seen::Started { with_session });
        match &mut self.subject {
            Tested::Machine(..) => self.tell(Notice::Start(session)),
            Tested::Program(program) => program.start(),
        }
    }

    /// Tells the subject to stop.
    pub(super) fn stop(&mut self) {
        if let Tested::Program(program) = &mut self.subject {
            program.stop();
        }
        self.remember_session();
        self.tell(Notice::Stop);
        self.attend();
    }

    /// Whether the watch is over, though the subject may still be about to end.
    pub(super) fn is_watched_to_its_end(&self) -> bool {
        let progress = self.recorder.progress.as_ref();
        progress.is_some_and(|progress| progress.phase() == Phase::Over)
    }

    /// The run ends before its time: what follows is not judged, and the subject is let go in good order.
    pub(super) fn break_off(&mut self) {
        if !self.is_watched_to_its_end() {
            self.recorder.record(self.now, Seen::Phase(Phase::Over));
        }
        if let Tested::Program(program) = &mut self.subject {
            program.end();
        }
    }

    fn remember_session(&mut self) {
        let side = self.subject.side();
        self.session = side.and_then(|subject| subject.machine().status().session);
    }

    fn act(&mut self, act: SubjectAct) {
        let SubjectAct {
            act,
            session,
            op,
            count,
        } = act;
        self.recorder.record(self.now, Seen::Acted { act });
        match act {
            Act::Stop => self.stop(),
            Act::Start | Act::Restart => {
                if act == Act::Restart {
                    self.stop();
                }
                let had = self.session.take();
                self.start(had.filter(|_| session == Kept::Kept));
            }
            Act::Kill => {
                self.remember_session();
                self.forget_requests();
                match &mut self.subject {
                    Tested::Machine(side, factory) => side.kill(factory()),
                    Tested::Program(program) => program.signal(Signal::Kill),
                }
            }
            Act::Freeze => match &mut self.subject {
                Tested::Machine(side, _) => side.freeze(),
                Tested::Program(program) => program.signal(Signal::Freeze),
            },
            Act::Thaw => match &mut self.subject {
                Tested::Machine(side, _) => side.thaw(self.now, &mut self.recorder),
                Tested::Program(program) => program.signal(Signal::Thaw),
            },
            Act::Send => {
                for _ in 0..count {
                    self.commands += 1;
                    let id = CommandId(self.commands);
                    self.tell(Notice::Command(Command {
                        id,
                        op,
                        d: payload_of(op),
                    }));
                }
            }
        }
    }

    // ---- The real network ---------------------------------------------------------------------------------------------

    /// What the subject wants that only the real network can give.
    pub(super) fn take_outside(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.outside)
    }

    /// The sockets that have been woken.
    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// By how much the worst of gwtool's own timers was late.
    pub(super) fn late(&self) -> Duration {
        self.late
    }
}

/// What a command of an opcode carries: the least that Discord takes.
fn payload_of(op: Opcode) -> Json {
    let text = match op {
        Opcode::PRESENCE_UPDATE => {
            r#"{"since":null,"activities":[],"status":"online","afk":false}"#
        }
        Opcode::VOICE_STATE_UPDATE => {
            r#"{"guild_id":"1","channel_id":null,"self_mute":false,"self_deaf":false}"#
        }
        Opcode::REQUEST_GUILD_MEMBERS => r#"{"guild_id":"1","query":"a","limit":1}"#,
        _ => "null",
    };
    Json::parse(text).expect("written above")
}

fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Which of the fake's listeners a URL names in virtual time.
fn port_of(url: &str) -> Option<Port> {
    match url.strip_prefix("ws://")?.split(['/', '?', ':']).next()? {
        MAIN_HOST => Some(Port::Main),
        RESUME_HOST => Some(Port::Resume),
        _ => None,
    }
}
