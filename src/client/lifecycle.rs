//! The client's whole lifecycle, as a state machine without I/O.
//!
//! The engine feeds [`Input`]s and the time, and carries out the [`Output`]s that it polls. Every transition
//! is in this file; delays and queues are neighbours. A state owns the data that has a meaning in it and
//! nothing else does: a heartbeat lives in its connection and dies with it, so that a stale one cannot even
//! be expressed.
//!
//! ```text
//! Idle → Discovering → Waiting → Connecting → AwaitingHello → Identifying | Resuming → Ready
//!             ↑___________↓↑__________________leave()_____________________|              |
//!                      Queued (only a shard among others, before it connects for IDENTIFY)
//!                                       any state → Stopping → Stopped
//! ```
//!
//! There is one way out of a connection (`leave`), which is told who ended it, and one door for input
//! (`handle`), at which everything that belongs to a connection, a request or a timer that is over dies. A
//! connection that was left drains: what it still carries is neither delivered nor counted, since RESUME
//! brings it again; only a close code that is fatal, or ends the session, is still heeded. The machine follows
//! Discord's "Connection Lifecycle"; where that is silent, SEMANTICS and the constants below decide.

use super::backoff::Backoff;
use super::inflate::Inflater;
use super::outbox::{Budget, Outbox, Share};
use super::{Config, Discovery};
use crate::machine::{
    Command, CommandFate, ConnectionId, End, FetchId, Input, Level, Machine, Message, Output,
    Response, Session, Status, Timer,
};
use crate::protocol::{ClientFrame, CloseCode, Compression, Envelope, Identify, Opcode, Resume};
use crate::seed::Draw;
use crate::time::{Duration, Instant, show};
use serde::Deserialize;
use std::collections::VecDeque;
use std::fmt;
use url::Url;

/// The code with which the client leaves a connection to come back: any but 1000 and 1001 keeps the session,
/// and this one tells the client's own closes from the gateway's in a trace.
pub const LEAVE: CloseCode = CloseCode(4900);
/// At least so long from one IDENTIFY to the next: Discord's 5 s, and a margin for what the network does to
/// the distance.
pub const IDENTIFY_SPACING: Duration = Duration::from_millis(5_250);
/// How long the client waits after op 9 with d false, drawn from between these.
pub const INVALID_SESSION_WAIT: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(5));
/// What a deadline is put off by, once, if it is noticed this late or later: the process was held up, and
/// what it waits for may have arrived meanwhile.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long the client waits after op 9 with d true.
const RESUMABLE_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// After so many RESUMEs in a row that the gateway took and did not grant, the session is given up.
const REFUSALS_MAX: u32 = 3;
/// After so many failures in a row to get a HELLO from the main URL, it is asked for again.
const MISSES_MAX: u32 = 5;
/// So long a session has to live, I at most, before the next reconnect may be immediate again.
const SETTLED: Duration = Duration::from_mins(1);
/// Heartbeat intervals outside of these are taken for garbage; Discord's is 41.25 s.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_hours(1));
/// The longest delay that the REST API may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// What `reset_after` is taken for when it is 0, as it is on a fresh window.
const RESET_AFTER_MIN: Duration = Duration::from_secs(5);
/// Gaps in a session's numbers that are remembered.
const GAPS_MAX: usize = 32;

/// Our client: one session's lifecycle over any number of connections.
#[derive(Debug)]
pub struct Lifecycle {
    config: Config,
    draw: Draw,
    state: State,
    /// Connections that were left and have not ended yet.
    drains: Vec<ConnectionId>,
    /// What `/gateway/bot`, or the settings, said; `None` until then.
    gateway: Option<Gateway>,
    /// Before this no IDENTIFY may be sent.
    identify_from: Instant,
    /// How many were sent.
    identifies: u32,
    /// Whether it waits to be admitted before it connects for one.
    takes_turns: bool,
    backoff: Backoff,
    outbox: Outbox,
    timers: Timers,
    /// How many connections were opened, and the last one's id.
    connections: u32,
    /// How many requests were made, and the last one's id.
    fetches: u32,
    outputs: VecDeque<Output>,
}

/// Where the client stands. What is not named in a variant does not exist in that state.
#[derive(Debug)]
enum State {
    /// Not started.
    Idle,
    /// `/gateway/bot` was asked.
    Discovering { fetch: FetchId, errand: Errand },
    /// Between attempts.
    Waiting { errand: Errand },
    /// Ready to connect for a new session; other shards may have to go first.
    Queued,
    /// The upgrade is under way.
    Connecting {
        connection: ConnectionId,
        host: Host,
        errand: Errand,
    },
    /// The upgrade is done.
    AwaitingHello {
        connection: ConnectionId,
        host: Host,
        errand: Errand,
        /// The gateway asked for a heartbeat before its HELLO, when none may be sent.
        owes_beat: bool,
        inflater: Inflater,
    },
    /// IDENTIFY was sent.
    Identifying { live: Live },
    /// RESUME was sent.
    Resuming {
        live: Live,
        ticket: Ticket,
        /// The number that RESUME carried: a higher one since then proves that it was granted.
        from: u64,
    },
    /// READY or RESUMED came.
    Ready {
        live: Live,
        ledger: Ledger,
        since: Instant,
    },
    /// Nothing will be opened any more; connections drain.
    Stopping { reason: Option<String> },
    /// It is over.
    Stopped,
}

/// What the next connection is for.
#[derive(Debug)]
enum Errand {
    /// A new session.
    Identify,
    /// The session that there is.
    Resume(Ticket),
}

/// A session that is to be resumed, and how that went so far.
#[derive(Debug)]
struct Ticket {
    ledger: Ledger,
    /// RESUMEs in a row that the gateway took and did not grant.
    refusals: u32,
    /// Connections in a row that did not come to HELLO.
    misses: u32,
}

/// A session and what was received of it. Its `seq` is the highest number so far.
#[derive(Debug)]
struct Ledger {
    session: Session,
    /// Numbers below `seq` that have not come, as ranges with both ends included. The gateway does not
    /// promise numbers without gaps, and a frame that was overtaken is still to be delivered once.
    gaps: Vec<(u64, u64)>,
}

/// A connection's heart, purse and ear, from its HELLO on.
#[derive(Debug)]
struct Live {
    connection: ConnectionId,
    heart: Heart,
    budget: Budget,
    inflater: Inflater,
}

/// Heartbeats of one connection.
#[derive(Debug)]
struct Heart {
    interval: Duration,
    /// When the next one is due.
    next: Instant,
    /// How many were sent.
    count: u32,
    /// The oldest that no ACK has followed.
    unacked: Option<Beat>,
    last_ack: Option<Ack>,
}

#[derive(Debug)]
struct Beat {
    number: u32,
    sent: Instant,
}

#[derive(Debug)]
struct Ack {
    at: Instant,
    round_trip: Duration,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    /// What `/gateway/bot` names.
    Main,
    /// What READY named.
    Resume,
}

/// What is known of the main URL.
#[derive(Debug)]
pub(super) struct Gateway {
    /// With the query.
    url: String,
    /// How many sessions may be started; `None` if nobody said.
    pub(super) starts: Option<Starts>,
    /// Connections in a row that did not come to HELLO.
    misses: u32,
}

/// How many sessions may be started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts {
    pub(super) remaining: u64,
    pub(super) reset: Instant,
    /// How many within 5 s, each by a shard of another rate limit key; at least 1.
    pub(super) concurrency: u32,
}

/// Who or what ended a connection.
enum Leave<'a> {
    /// The gateway, with a Close frame.
    Closed {
        code: Option<CloseCode>,
        reason: &'a str,
    },
    /// The socket, without one.
    Ended(End),
    /// The gateway asked for it: op 7.
    Asked,
    /// The gateway does not know the session: op 9.
    Invalid { resumable: bool },
    /// A heartbeat was not acknowledged.
    Zombie { number: u32, within: Duration },
    /// Somebody was waited for too long.
    Late { what: &'static str, after: Duration },
    /// The gateway sent something that makes no sense.
    Nonsense(String),
}

impl fmt::Display for Leave<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code, reason } => {
                match code {
                    Some(code) => {
                        write!(f, "closed by the gateway with {code} ({})", code.meaning())?;
                    }
                    None => f.write_str("closed by the gateway without a code")?,
                }
                if reason.is_empty() {
                    Ok(())
                } else {
                    write!(f, " `{}`", reason.escape_debug())
                }
            }
            Self::Ended(end) => end.fmt(f),
            Self::Asked => f.write_str("the gateway asks to reconnect"),
            Self::Invalid { resumable: true } => f.write_str(
                "the gateway says that the session is not valid now, but can be resumed",
            ),
            Self::Invalid { resumable: false } => {
                f.write_str("the gateway says that the session is not valid")
            }
            Self::Zombie { number, within } => write!(
                f,
                "heartbeat {number} was not acknowledged within {}",
                show(*within)
            ),
            Self::Late { what, after } => write!(f, "no {what} within {}", show(*after)),
            Self::Nonsense(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identify => f.write_str("starting a new session"),
            Self::Resume(ticket) => {
                let Session { id, seq, .. } = &ticket.ledger.session;
                write!(f, "resuming session {id} at seq {seq}")
            }
        }
    }
}

impl Errand {
    fn resume(session: Session) -> Self {
        Self::Resume(Ticket {
            ledger: Ledger::new(session),
            refusals: 0,
            misses: 0,
        })
    }

    const fn session(&self) -> Option<&Session> {
        match self {
            Self::Identify => None,
            Self::Resume(ticket) => Some(&ticket.ledger.session),
        }
    }
}

impl Ticket {
    /// The resume URL twice, then the two in turn: Discord wants a RESUME there, and says to fall back if
    /// that fails.
    const fn host(&self) -> Host {
        let failures = self.misses + self.refusals;
        if failures < 2 || failures % 2 == 1 {
            Host::Resume
        } else {
            Host::Main
        }
    }
}

impl Ledger {
    const fn new(session: Session) -> Self {
        Self {
            session,
            gaps: Vec::new(),
        }
    }

    /// Counts a number; whether it had not come before.
    fn take(&mut self, s: u64) -> bool {
        let seq = self.session.seq;
        if s > seq {
            if s > seq + 1 && seq > 0 {
                if self.gaps.len() == GAPS_MAX {
                    self.gaps.remove(0);
                }
                self.gaps.push((seq + 1, s - 1));
            }
            self.session.seq = s;
            return true;
        }
        let Some(at) = self
            .gaps
            .iter()
            .position(|(min, max)| (min..=max).contains(&&s))
        else {
            return false;
        };
        let (min, max) = self.gaps.remove(at);
        if s < max {
            self.gaps.insert(at, (s + 1, max));
        }
        if min < s {
            self.gaps.insert(at, (min, s - 1));
        }
        true
    }
}

/// What a heartbeat carries: null until something was received.
fn heartbeat_seq(session: &Session) -> Option<u64> {
    (session.seq > 0).then_some(session.seq)
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Discovering { .. } => "asking for the gateway",
            Self::Waiting { .. } => "waiting to connect",
            Self::Queued => "waiting for its turn",
            Self::Connecting { .. } => "connecting",
            Self::AwaitingHello { .. } => "waiting for HELLO",
            Self::Identifying { .. } => "waiting for READY",
            Self::Resuming { .. } => "waiting for RESUMED",
            Self::Ready { .. } => "ready",
            Self::Stopping { .. } => "stopping",
            Self::Stopped => "stopped",
        }
    }

    const fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connecting { connection, .. } | Self::AwaitingHello { connection, .. } => {
                Some(*connection)
            }
            Self::Identifying { live } | Self::Resuming { live, .. } | Self::Ready { live, .. } => {
                Some(live.connection)
            }
            Self::Idle
            | Self::Discovering { .. }
            | Self::Waiting { .. }
            | Self::Queued
            | Self::Stopping { .. }
            | Self::Stopped => None,
        }
    }

    const fn session(&self) -> Option<&Session> {
        match self {
            Self::Discovering { errand, .. }
            | Self::Waiting { errand }
            | Self::Connecting { errand, .. }
            | Self::AwaitingHello { errand, .. } => errand.session(),
            Self::Resuming { ticket, .. } => Some(&ticket.ledger.session),
            Self::Ready { ledger, .. } => Some(&ledger.session),
            Self::Idle
            | Self::Queued
            | Self::Identifying { .. }
            | Self::Stopping { .. }
            | Self::Stopped => None,
        }
    }

    /// The connection after its HELLO, and the number that its next heartbeat carries.
    fn live(&mut self) -> Option<(&mut Live, Option<u64>)> {
        match self {
            Self::Identifying { live } => Some((live, None)),
            Self::Resuming { live, ticket, .. } => {
                let seq = heartbeat_seq(&ticket.ledger.session);
                Some((live, seq))
            }
            Self::Ready { live, ledger, .. } => {
                let seq = heartbeat_seq(&ledger.session);
                Some((live, seq))
            }
            _ => None,
        }
    }

    /// The connection after its upgrade, and what reads its messages.
    fn inflater(&mut self) -> Option<(ConnectionId, &mut Inflater)> {
        match self {
            Self::AwaitingHello {
                connection,
                inflater,
                ..
            } => Some((*connection, inflater)),
            Self::Identifying { live } | Self::Resuming { live, .. } | Self::Ready { live, .. } => {
                Some((live.connection, &mut live.inflater))
            }
            _ => None,
        }
    }

    fn ledger(&mut self) -> Option<(ConnectionId, &mut Ledger)> {
        match self {
            Self::Resuming { live, ticket, .. } => Some((live.connection, &mut ticket.ledger)),
            Self::Ready { live, ledger, .. } => Some((live.connection, ledger)),
            _ => None,
        }
    }
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// The REST API has not answered.
    Rest,
    /// The wait between attempts is over.
    Wait,
    /// The upgrade was not answered.
    Connect,
    /// HELLO has not come.
    Hello,
    /// READY or RESUMED has not come.
    Ready,
    /// A heartbeat is due.
    Heartbeat,
    /// A command expires, or may be sent again.
    Queue,
}

impl Alarm {
    const ALL: [Self; 7] = [
        Self::Rest,
        Self::Wait,
        Self::Connect,
        Self::Hello,
        Self::Ready,
        Self::Heartbeat,
        Self::Queue,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Wait => "wait",
            Self::Connect => "connect",
            Self::Hello => "hello",
            Self::Ready => "ready",
            Self::Heartbeat => "heartbeat",
            Self::Queue => "queue",
        }
    }

    /// Whether it waits for somebody else.
    const fn is_deadline(self) -> bool {
        matches!(self, Self::Rest | Self::Connect | Self::Hello | Self::Ready)
    }
}

/// Which timers are armed: for whom, and when they fire.
#[derive(Debug, Default)]
struct Timers([Option<(u32, Instant)>; Alarm::ALL.len()]);

impl Timers {
    fn arm(&mut self, alarm: Alarm, number: u32, at: Instant, outputs: &mut VecDeque<Output>) {
        if self.0[alarm as usize].is_some_and(|(armed, _)| armed != number) {
            self.disarm(alarm, outputs);
        }
        let armed = self.0[alarm as usize].replace((number, at));
        if armed != Some((number, at)) {
            let name = alarm.name();
            let timer = Timer { name, number };
            outputs.push_back(Output::Arm { timer, at });
        }
    }

    fn disarm(&mut self, alarm: Alarm, outputs: &mut VecDeque<Output>) {
        if let Some((number, _)) = self.0[alarm as usize].take() {
            let name = alarm.name();
            let timer = Timer { name, number };
            outputs.push_back(Output::Disarm { timer });
        }
    }

    /// The alarm that a timer stands for, if it is armed: for when, and for whom.
    fn find(&self, timer: Timer) -> Option<(Alarm, Instant)> {
        let alarm = Alarm::ALL.into_iter().find(|it| it.name() == timer.name)?;
        let (number, at) = self.0[alarm as usize]?;
        (number == timer.number).then_some((alarm, at))
    }
}

/// Whose an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The connection's that counts.
    Current,
    /// One's that was left and has not ended.
    Draining,
}

impl Machine for Lifecycle {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.state, State::Stopped) && !matches!(input, Input::Start { .. }) {
            return;
        }
        match input {
            Input::Start { session } => self.on_start(now, session),
            Input::Stop => self.on_stop(),
            Input::Command(command) => self.on_command(now, command),
            Input::Fetched { fetch, result } => match self.state {
                State::Discovering { fetch: asked, .. } if asked == fetch => {
                    self.on_fetched(now, result);
                }
                _ => self.ignore(format_args!(
                    "an answer to request {}, which is over",
                    fetch.0
                )),
            },
            Input::Fired(timer) => match self.timers.find(timer) {
                Some((alarm, at)) => self.on_fired(now, alarm, timer.number, at),
                None => self.ignore(format_args!(
                    "timer {}/{}, which is not armed",
                    timer.name, timer.number
                )),
            },
            Input::Opened(connection) => match self.standing(connection) {
                Some(Standing::Current) => self.on_opened(now),
                _ => self.ignore(format_args!(
                    "an upgrade on #{}, which is over",
                    connection.0
                )),
            },
            Input::Received {
                connection,
                message,
            } => match self.standing(connection) {
                Some(Standing::Current) => self.on_message(now, message),
                // RESUME brings again what still arrives here: delivered and counted now, it would come
                // twice.
                Some(Standing::Draining) => {}
                None => self.ignore(format_args!(
                    "a message on #{}, which is over",
                    connection.0
                )),
            },
            Input::Closing {
                connection,
                code,
                reason,
            } => match self.standing(connection) {
                Some(Standing::Current) => self.leave(now, &Leave::Closed { code, reason }),
                Some(Standing::Draining) => self.on_late_close(connection, code, reason),
                None => self.ignore(format_args!("a Close on #{}, which is over", connection.0)),
            },
            Input::Ended { connection, end } => match self.standing(connection) {
                Some(Standing::Current) => self.leave(now, &Leave::Ended(end)),
                Some(Standing::Draining) => {
                    self.drains.retain(|drain| *drain != connection);
                    self.finish();
                }
                None => self.ignore(format_args!("the end of #{}, which is over", connection.0)),
            },
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn status(&self) -> Status {
        let heart = match &self.state {
            State::Identifying { live }
            | State::Resuming { live, .. }
            | State::Ready { live, .. } => live.heart.last_ack.as_ref(),
            _ => None,
        };
        Status {
            state: self.state.name(),
            is_authenticated: matches!(self.state, State::Ready { .. }),
            session: self.state.session().cloned(),
            round_trip: heart.map(|ack| ack.round_trip),
            queued: self.outbox.len(),
        }
    }
}

impl Lifecycle {
    /// A client that has not started; `draw` is the subject's stream.
    pub fn new(config: Config, draw: Draw) -> Self {
        Self {
            draw,
            state: State::Idle,
            drains: Vec::new(),
            gateway: None,
            identify_from: Instant::ZERO,
            identifies: 0,
            takes_turns: false,
            backoff: Backoff::new(config.backoff),
            outbox: Outbox::new(config.queue),
            timers: Timers::default(),
            connections: 0,
            fetches: 0,
            outputs: VecDeque::new(),
            config,
        }
    }

    /// One that is a shard among others: before it connects for an IDENTIFY it waits until [`Self::admit`] says that it is its
    /// turn, and whoever says so counts how many sessions may be started.
    pub(super) fn among_others(config: Config, draw: Draw) -> Self {
        Self {
            takes_turns: true,
            ..Self::new(config, draw)
        }
    }

    /// Whether it waits for its turn.
    pub(super) const fn is_queued(&self) -> bool {
        matches!(self.state, State::Queued)
    }

    /// Whether its turn is on: it is under way to an IDENTIFY.
    pub(super) const fn is_at_turn(&self) -> bool {
        matches!(
            self.state,
            State::Connecting {
                errand: Errand::Identify,
                ..
            } | State::AwaitingHello {
                errand: Errand::Identify,
                ..
            }
        )
    }

    /// Whether it is stopping, or has stopped.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.state, State::Stopping { .. } | State::Stopped)
    }

    /// Whether it has stopped.
    pub(super) const fn has_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// Before this nobody may send an IDENTIFY who shares its rate limit key.
    pub(super) const fn identify_from(&self) -> Instant {
        self.identify_from
    }

    /// How many IDENTIFYs it has sent.
    pub(super) const fn identifies(&self) -> u32 {
        self.identifies
    }

    /// It is its turn.
    pub(super) fn admit(&mut self, now: Instant) {
        debug_assert!(self.is_queued());
        self.connect(now, Errand::Identify);
    }

    /// How many sessions may be started is no longer known: it asks again before it waits for its turn.
    pub(super) fn ask_again(&mut self, now: Instant) {
        debug_assert!(self.is_queued());
        self.discover(now, Errand::Identify);
    }

    fn standing(&self, connection: ConnectionId) -> Option<Standing> {
        if self.state.connection() == Some(connection) {
            Some(Standing::Current)
        } else if self.drains.contains(&connection) {
            Some(Standing::Draining)
        } else {
            None
        }
    }

    /// What comes from something that is over dies here.
    fn ignore(&mut self, what: fmt::Arguments<'_>) {
        self.log(Level::Debug, format!("ignored: {what}"));
    }

    fn log(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Log { level, text });
    }

    fn arm(&mut self, alarm: Alarm, number: u32, at: Instant) {
        self.timers.arm(alarm, number, at, &mut self.outputs);
    }

    fn disarm(&mut self, alarm: Alarm) {
        self.timers.disarm(alarm, &mut self.outputs);
    }

    // Beginning and end.

    /// Begins a life. One that is asked for while the last one still closes its connections does not wait for them: they
    /// drain as any that was left does, and no `Stopped` tells of a stop that is no longer wanted.
    fn on_start(&mut self, now: Instant, session: Option<Session>) {
        if !matches!(
            self.state,
            State::Idle | State::Stopping { .. } | State::Stopped
        ) {
            self.log(
                Level::Info,
                format!("ignored: a start, while {}", self.state.name()),
            );
            return;
        }
        self.backoff = Backoff::new(self.config.backoff);
        if let (None, Discovery::Url(url)) = (&self.gateway, &self.config.gateway) {
            match gateway_url(url, self.config.compress) {
                Ok(url) => {
                    self.gateway = Some(Gateway {
                        url,
                        starts: None,
                        misses: 0,
                    });
                }
                Err(why) => return self.end(Some(format!("cannot connect to `{url}`: {why}"))),
            }
        }
        let errand = session.map_or(Errand::Identify, Errand::resume);
        self.proceed(now, errand);
    }

    fn on_stop(&mut self) {
        if !matches!(self.state, State::Stopping { .. }) {
            self.log(Level::Info, "stopping: asked to".to_owned());
            self.shut_down(None);
        }
    }

    /// Ends everything from any state. 1000 says that the client does not come back, so that the bot goes
    /// offline at once.
    fn shut_down(&mut self, reason: Option<String>) {
        if let Some(connection) = self.state.connection() {
            if matches!(self.state, State::Connecting { .. }) {
                self.outputs.push_back(Output::Abort { connection });
            } else {
                self.drain(connection, Some(CloseCode::NORMAL));
            }
        }
        self.end(reason);
    }

    /// Nothing will be opened and nothing sent from here on.
    fn end(&mut self, reason: Option<String>) {
        if let Some(reason) = &reason {
            let text = format!("stopping: {reason}");
            self.log(Level::Error, text);
        }
        for alarm in Alarm::ALL {
            self.disarm(alarm);
        }
        while let Some(command) = self.outbox.pop() {
            let fate = CommandFate::Refused;
            self.outputs.push_back(Output::Commanded { command, fate });
        }
        self.state = State::Stopping { reason };
        self.finish();
    }

    /// Stopped, once the last connection has drained.
    fn finish(&mut self) {
        if let State::Stopping { reason } = &mut self.state
            && self.drains.is_empty()
        {
            let reason = reason.take();
            self.state = State::Stopped;
            self.log(Level::Info, "stopped".to_owned());
            self.outputs.push_back(Output::Stopped { reason });
        }
    }

    fn drain(&mut self, connection: ConnectionId, code: Option<CloseCode>) {
        self.drains.push(connection);
        self.outputs.push_back(Output::Close {
            connection,
            code,
            within: self.config.deadlines.close,
        });
    }

    // From one connection to the next.

    /// Takes the next step towards a connection: whatever is still missing for it.
    fn proceed(&mut self, now: Instant, errand: Errand) {
        let Some(gateway) = &self.gateway else {
            return self.discover(now, errand);
        };
        let can_ask = self.config.gateway == Discovery::Ask;
        if can_ask && gateway.misses >= MISSES_MAX {
            let misses = gateway.misses;
            self.log(
                Level::Info,
                format!("the gateway did not answer {misses} times: asking for its URL again"),
            );
            return self.discover(now, errand);
        }
        if self.takes_turns && matches!(errand, Errand::Identify) {
            self.state = State::Queued;
            return;
        }
        if let Errand::Identify = errand {
            if let Some(Starts {
                remaining: 0,
                reset,
                ..
            }) = gateway.starts
            {
                if reset <= now {
                    return self.discover(now, errand);
                }
                let wait = show(reset.since(now));
                self.log(
                    Level::Warn,
                    format!("no session may be started for {wait}: waiting"),
                );
                return self.wait(errand, reset);
            }
            if self.identify_from > now {
                return self.wait(errand, self.identify_from);
            }
        }
        self.connect(now, errand);
    }

    fn wait(&mut self, errand: Errand, until: Instant) {
        self.state = State::Waiting { errand };
        self.arm(Alarm::Wait, 0, until);
    }

    fn discover(&mut self, now: Instant, errand: Errand) {
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        self.state = State::Discovering { fetch, errand };
        self.log(Level::Info, "asking for the gateway's URL".to_owned());
        self.outputs.push_back(Output::Fetch {
            fetch,
            path: "/gateway/bot",
        });
        self.arm(Alarm::Rest, fetch.0, now + self.config.deadlines.rest);
    }

    fn connect(&mut self, now: Instant, errand: Errand) {
        // A connection follows only once the main URL is known.
        let Some(gateway) = &self.gateway else {
            return self.discover(now, errand);
        };
        let to_resume = match &errand {
            Errand::Resume(ticket) if ticket.host() == Host::Resume => {
                gateway_url(&ticket.ledger.session.resume_url, self.config.compress).ok()
            }
            _ => None,
        };
        let (host, url) = match to_resume {
            Some(url) => (Host::Resume, url),
            None => (Host::Main, gateway.url.clone()),
        };
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.log(Level::Info, format!("opening #{}: {errand}", connection.0));
        self.outputs.push_back(Output::Open { connection, url });
        self.state = State::Connecting {
            connection,
            host,
            errand,
        };
        let deadline = now + self.config.deadlines.connect;
        self.arm(Alarm::Connect, connection.0, deadline);
    }

    /// Waits, and tries again.
    fn retry(&mut self, now: Instant, errand: Errand, at_least: Duration, level: Level, why: &str) {
        let delay = self.backoff.delay(&mut self.draw).max(at_least);
        let mut until = now + delay;
        if let Errand::Identify = errand {
            until = until.max(self.identify_from);
        }
        let delay = show(until.since(now));
        self.log(level, format!("{why}: {errand} in {delay}"));
        self.wait(errand, until);
    }

    /// Whether the limit of attempts is used up; if so, the end.
    fn gives_up(&mut self, why: &str) -> bool {
        let failed = self.backoff.fail();
        let spent = self.config.attempts.is_some_and(|max| failed >= max);
        if spent {
            self.end(Some(format!(
                "gave up after {failed} failed attempts in a row, the last one: {why}"
            )));
        }
        spent
    }

    // REST.

    fn on_fetched(&mut self, now: Instant, result: Result<Response, String>) {
        let State::Discovering { errand, .. } = std::mem::replace(&mut self.state, State::Idle)
        else {
            unreachable!("the door lets an answer in only while it is awaited");
        };
        self.disarm(Alarm::Rest);
        match result {
            Ok(response) if response.status == 401 => self.end(Some(
                "the REST API rejects the token with 401 (unauthorized): check DISCORD_TOKEN, or \
                 reset the token in the developer portal"
                    .to_owned(),
            )),
            Ok(response) if response.status == 200 => {
                match read_gateway(now, &response.body, self.config.compress) {
                    Ok(gateway) => {
                        let left = gateway.starts.map_or_else(String::new, |starts| {
                            format!(", {} sessions may be started", starts.remaining)
                        });
                        self.log(Level::Info, format!("the gateway is known{left}"));
                        self.gateway = Some(gateway);
                        self.proceed(now, errand);
                    }
                    Err(why) => self.on_no_gateway(
                        now,
                        errand,
                        Duration::ZERO,
                        &format!("/gateway/bot answered nonsense ({why})"),
                    ),
                }
            }
            Ok(response) => {
                let asked = retry_after(&response).unwrap_or(Duration::ZERO);
                let why = format!("/gateway/bot answered with HTTP {}", response.status);
                self.on_no_gateway(now, errand, asked.min(RETRY_AFTER_MAX), &why);
            }
            Err(why) => {
                let why = format!("/gateway/bot could not be asked ({why})");
                self.on_no_gateway(now, errand, Duration::ZERO, &why);
            }
        }
    }

    /// The request failed. A URL that is known already is good enough to go on with; how many sessions may be
    /// started is not guessed.
    fn on_no_gateway(&mut self, now: Instant, errand: Errand, at_least: Duration, why: &str) {
        if let Some(gateway) = &mut self.gateway {
            gateway.misses = 0;
        }
        if !self.gives_up(why) {
            self.retry(now, errand, at_least, Level::Warn, why);
        }
    }

    // Timers.

    fn on_fired(&mut self, now: Instant, alarm: Alarm, number: u32, at: Instant) {
        self.timers.0[alarm as usize] = None;
        if now < at {
            // Early: harmless, as long as it comes again.
            return self.arm(alarm, number, at);
        }
        let late = now.since(at);
        if alarm.is_deadline() && late >= GRACE {
            // What is waited for may lie in the socket, unread. The second time it is not late.
            return self.arm(alarm, number, now + GRACE);
        }
        let deadlines = self.config.deadlines;
        match alarm {
            Alarm::Wait => match std::mem::replace(&mut self.state, State::Idle) {
                State::Waiting { errand } => self.proceed(now, errand),
                other => unreachable!("the wait timer is armed only while waiting: {other:?}"),
            },
            Alarm::Rest => {
                let error = format!("no answer within {}", show(deadlines.rest));
                self.on_fetched(now, Err(error));
            }
            Alarm::Connect => self.on_late(now, "answer to the upgrade", deadlines.connect),
            Alarm::Hello => self.on_late(now, "HELLO", deadlines.hello),
            Alarm::Ready => {
                let what = match self.state {
                    State::Resuming { .. } => "RESUMED",
                    _ => "READY",
                };
                self.on_late(now, what, deadlines.ready);
            }
            Alarm::Heartbeat => self.on_beat_due(now, late),
            Alarm::Queue => self.flush(now),
        }
    }

    fn on_late(&mut self, now: Instant, what: &'static str, after: Duration) {
        self.leave(now, &Leave::Late { what, after });
    }

    // Heartbeats.

    fn on_beat_due(&mut self, now: Instant, late: Duration) {
        let Some((
            Live {
                connection, heart, ..
            },
            _,
        )) = self.state.live()
        else {
            unreachable!("the heartbeat timer is armed only after HELLO");
        };
        let number = connection.0;
        let was_held_up = late > heart.interval / 8;
        if was_held_up {
            // The process did not run, and the ACK may lie in the socket, unread: time counts anew from here.
            if let Some(beat) = &mut heart.unacked {
                beat.sent = now;
            }
            heart.next = now + heart.interval;
        } else {
            // An ACK is due before the next beat, but never sooner than I after its own: the answer to a
            // request may have been sent a moment ago.
            if let Some(beat) = &heart.unacked
                && now.since(beat.sent) >= heart.interval
            {
                let (number, within) = (beat.number, now.since(beat.sent));
                return self.leave(now, &Leave::Zombie { number, within });
            }
            heart.next += heart.interval;
        }
        let next = heart.next;
        if was_held_up {
            let late = show(late);
            self.log(
                Level::Warn,
                format!("held up for {late}: heartbeats begin anew"),
            );
        }
        self.beat(now);
        self.arm(Alarm::Heartbeat, number, next);
    }

    fn beat(&mut self, now: Instant) {
        let Some((live, seq)) = self.state.live() else {
            unreachable!("heartbeats are sent only after HELLO");
        };
        let heart = &mut live.heart;
        heart.count += 1;
        heart.unacked.get_or_insert(Beat {
            number: heart.count,
            sent: now,
        });
        self.outputs.push_back(Output::Send {
            connection: live.connection,
            text: ClientFrame::Heartbeat(seq).encode(),
        });
    }

    /// Op 1 from the gateway: answered at once, whatever the timer does.
    fn on_beat_asked(&mut self, now: Instant) {
        if let State::AwaitingHello { owes_beat, .. } = &mut self.state {
            *owes_beat = true;
        } else if let Some((live, _)) = self.state.live() {
            if live.budget.take(now, Share::Lifecycle) {
                self.beat(now);
            } else {
                self.log(
                    Level::Warn,
                    "a heartbeat that the gateway asked for was not sent: the send budget is spent"
                        .to_owned(),
                );
            }
        }
    }

    fn on_ack(&mut self, now: Instant) {
        // One that nothing waits for is a second one: an ACK stands for every beat before it.
        if let Some((Live { heart, .. }, _)) = self.state.live()
            && let Some(beat) = heart.unacked.take()
        {
            heart.last_ack = Some(Ack {
                at: now,
                round_trip: now.since(beat.sent),
            });
        }
    }

    // Frames.

    fn on_opened(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Connecting {
                connection,
                host,
                errand,
            } => {
                self.disarm(Alarm::Connect);
                self.log(Level::Debug, format!("#{} is open", connection.0));
                self.state = State::AwaitingHello {
                    connection,
                    host,
                    errand,
                    owes_beat: false,
                    inflater: Inflater::new(self.config.compress),
                };
                let deadline = now + self.config.deadlines.hello;
                self.arm(Alarm::Hello, connection.0, deadline);
            }
            other => {
                self.state = other;
                self.ignore(format_args!("a second upgrade"));
            }
        }
    }

    fn on_message(&mut self, now: Instant, message: Message<'_>) {
        let Some((connection, inflater)) = self.state.inflater() else {
            return self.ignore(format_args!("a message before the upgrade"));
        };
        // What a payload brings about may change the state or end the connection: the one that lends its text stands aside,
        // and goes back to its connection, if that is still there.
        let mut inflater = std::mem::take(inflater);
        match inflater.read(message) {
            Ok(Some(text)) => self.on_text(now, text),
            Ok(None) => {}
            Err(why) => self.leave(now, &Leave::Nonsense(why.to_string())),
        }
        if let Some((same, place)) = self.state.inflater()
            && same == connection
        {
            *place = inflater;
        }
    }

    fn on_text(&mut self, now: Instant, text: &str) {
        let frame = match Envelope::read(text) {
            Ok(frame) => frame,
            Err(why) => return self.leave(now, &Leave::Nonsense(why.to_string())),
        };
        match frame.op {
            Opcode::DISPATCH => self.on_dispatch(now, &frame),
            Opcode::HEARTBEAT_ACK => self.on_ack(now),
            Opcode::HEARTBEAT => self.on_beat_asked(now),
            Opcode::HELLO => self.on_hello(now, &frame),
            Opcode::RECONNECT => self.leave(now, &Leave::Asked),
            Opcode::INVALID_SESSION => {
                // Anything but true means that there is nothing to resume.
                let resumable = frame.payload().unwrap_or(false);
                self.leave(now, &Leave::Invalid { resumable });
            }
            op => self.log(Level::Debug, format!("ignored: {op}, which is unknown")),
        }
    }

    fn on_hello(&mut self, now: Instant, frame: &Envelope<'_>) {
        #[derive(Deserialize)]
        struct Hello {
            heartbeat_interval: f64,
        }
        if !matches!(self.state, State::AwaitingHello { .. }) {
            return self.log(Level::Warn, "ignored: a second HELLO".to_owned());
        }
        let interval = frame
            .payload::<Hello>()
            .ok()
            .map(|hello| hello.heartbeat_interval / 1000.0)
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
            .filter(|it| (INTERVALS.0..=INTERVALS.1).contains(it));
        let Some(interval) = interval else {
            let why = "HELLO carries no heartbeat interval between 10ms and 1h".to_owned();
            return self.leave(now, &Leave::Nonsense(why));
        };
        let State::AwaitingHello {
            connection,
            host,
            errand,
            owes_beat,
            inflater,
        } = std::mem::replace(&mut self.state, State::Idle)
        else {
            unreachable!("checked above");
        };
        self.disarm(Alarm::Hello);
        if let (Host::Main, Some(gateway)) = (host, &mut self.gateway) {
            gateway.misses = 0;
        }
        // Somewhere in the first interval, so that clients that connect together do not beat together.
        let first = now + self.draw.part_of(interval);
        let mut live = Live {
            connection,
            heart: Heart {
                interval,
                next: first,
                count: 0,
                unacked: None,
                last_ack: None,
            },
            budget: Budget::new(interval),
            inflater,
        };
        live.budget.take(now, Share::Lifecycle);
        let login = match &errand {
            Errand::Identify => ClientFrame::Identify(Identify {
                token: self.config.token.clone(),
                properties: self.config.properties.clone(),
                intents: self.config.intents,
                shard: self.config.shard,
                compress: self.config.compress == Compression::Payload,
            }),
            Errand::Resume(ticket) => ClientFrame::Resume(Resume {
                token: self.config.token.clone(),
                session_id: ticket.ledger.session.id.clone(),
                seq: ticket.ledger.session.seq,
            }),
        };
        self.log(
            Level::Info,
            format!(
                "#{}: HELLO, I is {}: {errand}",
                connection.0,
                show(interval)
            ),
        );
        self.outputs.push_back(Output::Send {
            connection,
            text: login.encode(),
        });
        self.state = match errand {
            Errand::Identify => {
                self.identify_from = now + IDENTIFY_SPACING;
                self.identifies += 1;
                if let Some(Gateway {
                    starts: Some(starts),
                    ..
                }) = &mut self.gateway
                {
                    starts.remaining = starts.remaining.saturating_sub(1);
                }
                State::Identifying { live }
            }
            Errand::Resume(mut ticket) => {
                ticket.misses = 0;
                let from = ticket.ledger.session.seq;
                State::Resuming { live, ticket, from }
            }
        };
        self.arm(Alarm::Heartbeat, connection.0, first);
        self.arm(
            Alarm::Ready,
            connection.0,
            now + self.config.deadlines.ready,
        );
        if owes_beat {
            self.on_beat_asked(now);
        }
    }

    fn on_dispatch(&mut self, now: Instant, frame: &Envelope<'_>) {
        match frame.t.as_deref() {
            Some("READY") => return self.on_ready(now, frame),
            Some("RESUMED") => return self.on_resumed(now, frame.s),
            Some("RATE_LIMITED") => self.on_rate_limited(now, frame),
            _ => {}
        }
        let Some((connection, ledger)) = self.state.ledger() else {
            return self.log(
                Level::Debug,
                "ignored: a dispatch of no session of this client's".to_owned(),
            );
        };
        let Some(seq) = frame.s else {
            return self.log(
                Level::Debug,
                "ignored: a dispatch without a number".to_owned(),
            );
        };
        if ledger.take(seq) {
            self.outputs.push_back(Output::Deliver { connection, seq });
        } else {
            self.log(
                Level::Debug,
                format!("ignored: dispatch {seq}, which came before"),
            );
        }
    }

    fn on_ready(&mut self, now: Instant, frame: &Envelope<'_>) {
        #[derive(Deserialize)]
        struct Ready {
            session_id: String,
            resume_gateway_url: String,
        }
        if let State::AwaitingHello { .. } = self.state {
            return self.log(
                Level::Warn,
                "ignored: READY before anything was asked".to_owned(),
            );
        }
        let Ok(ready) = frame.payload::<Ready>() else {
            let why = "READY carries no session id and resume URL".to_owned();
            return self.leave(now, &Leave::Nonsense(why));
        };
        let seq = frame.s.unwrap_or(0);
        if let Some((_, ledger)) = self.state.ledger()
            && ledger.session.id == ready.session_id
            && ledger.session.seq >= seq
        {
            return self.log(
                Level::Debug,
                "ignored: READY of the session that there is".to_owned(),
            );
        }
        let ledger = Ledger::new(Session {
            id: ready.session_id,
            resume_url: ready.resume_gateway_url,
            seq,
        });
        self.on_authenticated(now, |_| ledger, "is ready");
    }

    fn on_resumed(&mut self, now: Instant, s: Option<u64>) {
        if let (Some((_, ledger)), Some(s)) = (self.state.ledger(), s) {
            ledger.take(s);
        }
        if let State::Resuming { .. } = self.state {
            self.on_authenticated(
                now,
                |resumed| match resumed {
                    Some(ledger) => ledger,
                    None => unreachable!("only a session is resumed"),
                },
                "is resumed",
            );
        } else {
            self.log(
                Level::Debug,
                "ignored: RESUMED, which was not asked for".to_owned(),
            );
        }
    }

    /// READY or RESUMED came; `ledger` makes the session from the one that was to be resumed.
    fn on_authenticated(
        &mut self,
        now: Instant,
        ledger: impl FnOnce(Option<Ledger>) -> Ledger,
        what: &str,
    ) {
        let (live, old) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Identifying { live } => {
                // The gateway took the IDENTIFY some time before now: it may count from there.
                self.identify_from = now + IDENTIFY_SPACING;
                (live, None)
            }
            State::Resuming { live, ticket, .. } => (live, Some(ticket.ledger)),
            State::Ready { live, ledger, .. } => (live, Some(ledger)),
            other => unreachable!("nothing was asked: {other:?}"),
        };
        self.disarm(Alarm::Ready);
        self.backoff.reach();
        let ledger = ledger(old);
        let Session { id, seq, .. } = &ledger.session;
        let text = format!("#{}: session {id} {what} at seq {seq}", live.connection.0);
        self.log(Level::Info, text);
        self.state = State::Ready {
            live,
            ledger,
            since: now,
        };
        self.flush(now);
    }

    /// The gateway wants no more of one opcode for a while.
    fn on_rate_limited(&mut self, now: Instant, frame: &Envelope<'_>) {
        #[derive(Deserialize)]
        struct RateLimited {
            opcode: Opcode,
            retry_after: f64,
        }
        let Ok(limited) = frame.payload::<RateLimited>() else {
            return;
        };
        let Ok(wait) = Duration::try_from_secs_f64(limited.retry_after) else {
            return;
        };
        self.outbox
            .hold(limited.opcode, now + wait.min(RETRY_AFTER_MAX));
        self.log(
            Level::Warn,
            format!("the gateway wants no {} for {}", limited.opcode, show(wait)),
        );
    }

    // Commands.

    fn on_command(&mut self, now: Instant, command: Command) {
        let id = command.id;
        let refused = if let State::Stopping { .. } = self.state {
            Some("the client is stopping".to_owned())
        } else {
            self.outbox
                .push(now, command)
                .err()
                .map(|why| why.to_string())
        };
        match refused {
            None => self.flush(now),
            Some(why) => {
                self.log(Level::Warn, format!("command {} refused: {why}", id.0));
                self.outputs.push_back(Output::Commanded {
                    command: id,
                    fate: CommandFate::Refused,
                });
            }
        }
    }

    /// Sends what may be sent, gives up what has waited too long, and arms the timer for the rest.
    fn flush(&mut self, now: Instant) {
        while let Some(command) = self.outbox.pop_expired(now) {
            let fate = CommandFate::Expired;
            self.outputs.push_back(Output::Commanded { command, fate });
        }
        let mut ready = None;
        if let State::Ready { live, .. } = &mut self.state {
            while self.outbox.next_ready().is_some_and(|at| at <= now)
                && live.budget.take(now, Share::Command)
            {
                let Some((command, text)) = self.outbox.pop_ready(now) else {
                    unreachable!("one is ready");
                };
                self.outputs.push_back(Output::Send {
                    connection: live.connection,
                    text,
                });
                let fate = CommandFate::Sent;
                self.outputs.push_back(Output::Commanded { command, fate });
            }
            let free = live.budget.next(Share::Command);
            ready = self.outbox.next_ready().map(|at| at.max(free));
        }
        let next = [self.outbox.next_expiry(), ready]
            .into_iter()
            .flatten()
            .min();
        match next {
            Some(at) => self.arm(Alarm::Queue, 0, at),
            None => self.disarm(Alarm::Queue),
        }
    }

    // The way out.

    /// The one way out of a connection, whoever ended it. It alone stops the connection's timers and decides
    /// what becomes of the session.
    fn leave(&mut self, now: Instant, why: &Leave<'_>) {
        let state = std::mem::replace(&mut self.state, State::Idle);
        let Some(connection) = state.connection() else {
            unreachable!("only a connection can be left");
        };
        for alarm in [Alarm::Connect, Alarm::Hello, Alarm::Ready, Alarm::Heartbeat] {
            self.disarm(alarm);
        }
        match (&state, why) {
            (_, Leave::Ended(_)) => {}
            (State::Connecting { .. }, _) => self.outputs.push_back(Output::Abort { connection }),
            // The answer is on its way already; this bounds the wait for the end.
            (_, Leave::Closed { code, .. }) => self.drain(connection, *code),
            _ => self.drain(connection, Some(LEAVE)),
        }
        let text = format!("#{}: {why}", connection.0);
        if let Leave::Closed {
            code: Some(code), ..
        } = why
            && code.is_fatal()
        {
            return self.end(Some(format!("{why}: {}", remedy(*code))));
        }

        let was_authenticated = matches!(state, State::Ready { .. });
        let mut errand = match state {
            State::Connecting { host, errand, .. } | State::AwaitingHello { host, errand, .. } => {
                self.on_miss(host, errand, why)
            }
            State::Identifying { .. } => {
                // The IDENTIFY may have reached the gateway as late as this.
                self.identify_from = now + IDENTIFY_SPACING;
                Errand::Identify
            }
            State::Resuming { ticket, from, .. } => self.on_refusal(ticket, from, why),
            State::Ready {
                live,
                ledger,
                since,
            } => {
                let Heart {
                    interval, last_ack, ..
                } = live.heart;
                let has_lived = now.since(since) >= interval.min(SETTLED);
                if has_lived && last_ack.is_some_and(|ack| ack.at >= since) {
                    self.backoff.settle();
                }
                Errand::Resume(Ticket {
                    ledger,
                    refusals: 0,
                    misses: 0,
                })
            }
            State::Idle
            | State::Discovering { .. }
            | State::Waiting { .. }
            | State::Queued
            | State::Stopping { .. }
            | State::Stopped => unreachable!("states without a connection"),
        };

        let mut at_least = Duration::ZERO;
        let mut level = Level::Warn;
        match why {
            Leave::Asked => level = Level::Info,
            Leave::Closed {
                code: Some(code), ..
            } if code.ends_session() => errand = Errand::Identify,
            Leave::Invalid { resumable } => {
                let (min, max) = if *resumable {
                    RESUMABLE_WAIT
                } else {
                    errand = Errand::Identify;
                    INVALID_SESSION_WAIT
                };
                at_least = self.draw.duration(min, max);
            }
            Leave::Ended(End::Rejected(response)) => {
                let asked = retry_after(response).unwrap_or(Duration::ZERO);
                at_least = self.backoff.heed(asked);
            }
            _ => {}
        }
        if was_authenticated || !self.gives_up(&text) {
            self.retry(now, errand, at_least, level, &text);
        }
    }

    /// An attempt did not come to HELLO. A gateway that said so itself is there; any other counts as missed.
    fn on_miss(&mut self, host: Host, mut errand: Errand, why: &Leave<'_>) -> Errand {
        if let Leave::Asked | Leave::Invalid { .. } = why {
            return errand;
        }
        if let (Host::Main, Some(gateway)) = (host, &mut self.gateway) {
            gateway.misses = gateway.misses.saturating_add(1);
        }
        if let Errand::Resume(ticket) = &mut errand {
            ticket.misses = ticket.misses.saturating_add(1);
        }
        errand
    }

    /// A RESUME came to nothing. If the gateway took it and did not grant it, that counts against the
    /// session; a network that fell silent, or a gateway that asks to come back, does not.
    fn on_refusal(&mut self, mut ticket: Ticket, from: u64, why: &Leave<'_>) -> Errand {
        if ticket.ledger.session.seq > from {
            ticket.refusals = 0;
        } else if !matches!(why, Leave::Asked | Leave::Zombie { .. }) {
            ticket.refusals += 1;
        }
        if ticket.refusals < REFUSALS_MAX {
            return Errand::Resume(ticket);
        }
        let Session { id, .. } = &ticket.ledger.session;
        let text = format!("session {id} was not resumed {REFUSALS_MAX} times: giving it up");
        self.log(Level::Warn, text);
        Errand::Identify
    }

    /// A Close of the gateway's on a connection that was left before. What it says of the connection is no
    /// news; that the client may not come back, or that the session is gone, still is.
    fn on_late_close(&mut self, connection: ConnectionId, code: Option<CloseCode>, reason: &str) {
        let Some(code) = code else { return };
        if matches!(self.state, State::Stopping { .. }) {
            return;
        }
        if code.is_fatal() {
            let why = Leave::Closed {
                code: Some(code),
                reason,
            };
            let reason = format!("{why}: {}", remedy(code));
            return self.shut_down(Some(reason));
        }
        if let State::Waiting { errand } = &mut self.state
            && code.ends_session()
            && matches!(errand, Errand::Resume(_))
        {
            // `proceed` sees to the spacing of IDENTIFYs when the wait is over.
            *errand = Errand::Identify;
            let number = connection.0;
            let meaning = code.meaning();
            self.log(
                Level::Warn,
                format!("#{number}: closed by the gateway with {code} ({meaning}) after all: starting a new session"),
            );
        }
    }
}

/// What to do about a code after which the client must not come back.
const fn remedy(code: CloseCode) -> &'static str {
    match code {
        CloseCode::AUTHENTICATION_FAILED => {
            "check DISCORD_TOKEN, or reset the token in the developer portal"
        }
        CloseCode::INVALID_SHARD => "check the shard id and the number of shards",
        CloseCode::SHARDING_REQUIRED => "the bot is in too many guilds for one shard: use more",
        CloseCode::INVALID_API_VERSION => "this API version is not served any more",
        CloseCode::INVALID_INTENTS => "check the intents: one of them does not exist",
        CloseCode::DISALLOWED_INTENTS => {
            "enable the privileged intents in the developer portal, or ask for fewer"
        }
        _ => "the client must not reconnect",
    }
}

/// A gateway's URL with the query that every connection carries. What the URL brings along stays, but for what this client
/// decides itself.
fn gateway_url(url: &str, compress: Compression) -> Result<String, String> {
    let mut url = Url::parse(url).map_err(|why| why.to_string())?;
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(format!(
            "expected a ws:// or wss:// URL, found `{}://`",
            url.scheme()
        ));
    }
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !matches!(&**key, "v" | "encoding" | "compress"))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("v", "10")
        .append_pair("encoding", "json");
    if let Some(stream) = compress.query() {
        url.query_pairs_mut().append_pair("compress", stream);
    }
    url.set_fragment(None);
    Ok(url.into())
}

/// Reads the answer of `/gateway/bot`.
pub(super) fn read_gateway(
    now: Instant,
    body: &[u8],
    compress: Compression,
) -> Result<Gateway, String> {
    #[derive(Deserialize)]
    struct Body {
        url: String,
        session_start_limit: Option<Limit>,
    }
    #[derive(Deserialize)]
    struct Limit {
        remaining: u64,
        /// In milliseconds.
        reset_after: u64,
        max_concurrency: Option<u32>,
    }
    let body: Body = serde_json::from_slice(body).map_err(|why| why.to_string())?;
    let starts = body.session_start_limit.map(|limit| {
        let reset_after = match limit.reset_after {
            0 => RESET_AFTER_MIN,
            ms => Duration::from_millis(ms),
        };
        Starts {
            remaining: limit.remaining,
            reset: now + reset_after,
            concurrency: limit.max_concurrency.unwrap_or(1).max(1),
        }
    });
    Ok(Gateway {
        url: gateway_url(&body.url, compress)?,
        starts,
        misses: 0,
    })
}

/// How long a server asks to wait, in its header or its body.
fn retry_after(response: &Response) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Body {
        retry_after: f64,
    }
    let from_header = || response.header("retry-after")?.trim().parse::<f64>().ok();
    let from_body = || {
        Some(
            serde_json::from_slice::<Body>(&response.body)
                .ok()?
                .retry_after,
        )
    };
    let secs = from_header().or_else(from_body)?;
    Duration::try_from_secs_f64(secs).ok()
}

#[cfg(test)]
mod tests;
