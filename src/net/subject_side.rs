//! The subject's end of every connection: a machine, its timers, and tokio-tungstenite under it.
//!
//! Sockets are polled only when their flag is up, and never awaited: into a blackhole a send or a flush would not return.
//! The machine knows a connection by its own id, the trace by the number that the gateway's end gave it at the accept.

use super::record::Recorder;
use super::timers::Timers;
use super::transport::Transport;
use super::wake::{self, Key, Queue};
use crate::machine::{
    Command, ConnectionId, End, FetchId, Input, Machine, Message, Output, Response, Session,
};
use crate::protocol::CloseCode;
use crate::time::Instant;
use crate::trace::{Delivery, Seen};
use futures_util::{Sink as _, Stream as _};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding};
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// tungstenite fills its whole read buffer with zeros on every read, so that a large one costs more than it saves.
const READ_BUFFER: usize = 4096;
/// What may wait to be written to a connection that takes nothing. A client's frames are small; this is minutes of them.
const WRITE_BUFFER_MAX: usize = 256 * 1024;
/// How much of a refused upgrade's body is handed to the machine.
const BODY_MAX: usize = 4096;
/// How many connections that are over are remembered. The most shards that a scenario may have are 1024, and each may have a
/// few that drain.
const ENDED_MAX: usize = 4 * 1024;
/// How many accepts may be seen before their connects are: one for each of as many shards.
const ACCEPTED_MAX: usize = 1024;

/// A connect under way: TCP, and TLS where the URL says so.
pub(super) type Dial = Pin<Box<dyn Future<Output = Result<Transport, End>>>>;
/// An upgrade under way.
type Handshake = Pin<Box<dyn Future<Output = Result<WebSocketStream<Transport>, Error>>>>;

/// What the machine wants of the world beyond its sockets; the driver sees to it.
#[derive(Debug)]
pub(super) enum Want {
    /// A connect to a URL.
    Open(ConnectionId, String),
    /// The connection is of no more interest: a connect under way need not be finished.
    Dropped(ConnectionId),
    /// A connect to this URL was refused, which the gateway's end has not seen by itself.
    Refused(String),
    /// A REST request.
    Fetch(FetchId, &'static str),
}

enum Stage {
    /// The driver is bringing a transport.
    Awaiting,
    Dialing(Dial),
    Upgrading(Handshake),
    Open(Box<WebSocketStream<Transport>>),
}

struct Connection {
    stage: Stage,
    waker: Waker,
    /// Whether something was sent that may not have left. What tungstenite sends by itself it flushes by itself.
    is_unflushed: bool,
    url: String,
    /// Where it comes from, over TCP once it is connected.
    local: Option<SocketAddr>,
    /// The number that the trace gives it, once it was accepted.
    number: Option<u32>,
}

/// The subject's end of everything.
pub(super) struct SubjectSide {
    machine: Box<dyn Machine>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that the machine has closed, and when they are aborted if they have not ended.
    draining: Vec<(Instant, ConnectionId)>,
    timers: Timers,
    wants: VecDeque<Want>,
    queue: Arc<Queue>,
    /// Numbers of connections that are over, in the order in which they ended; a machine may deliver what it had read of them.
    numbers: VecDeque<(ConnectionId, u32)>,
    /// Accepted connections whose connect was not seen to succeed yet, the newest first.
    accepted: Vec<(SocketAddr, u32)>,
    life: Life,
    /// When it thawed last: what was due while it was frozen is not late before then.
    thawed: Instant,
}

/// Something that the machine is told and that is about no socket.
#[derive(Debug)]
pub(super) enum Notice {
    /// Begin.
    Start(Option<Session>),
    /// Shut down.
    Stop,
    /// The application gives a command.
    Command(Command),
    /// A REST request was answered, or failed.
    Fetched(FetchId, Result<Response, String>),
    /// A connect has failed.
    Failed(ConnectionId, End),
}

/// Whether the machine still acts.
#[derive(Debug)]
enum Life {
    /// It was not started, or has stopped.
    Idle,
    /// It runs.
    Running,
    /// It gets no time and no input; this waits until it thaws.
    Frozen(Vec<Notice>),
    /// It has come to an end that nobody asked for.
    Dead,
}

impl SubjectSide {
    pub(super) fn new(machine: Box<dyn Machine>, queue: Arc<Queue>) -> Self {
        Self {
            machine,
            connections: BTreeMap::new(),
            draining: Vec::new(),
            timers: Timers::default(),
            wants: VecDeque::new(),
            queue,
            numbers: VecDeque::new(),
            accepted: Vec::new(),
            life: Life::Idle,
            thawed: Instant::ZERO,
        }
    }

    /// Whether the machine has come to its end and holds nothing open any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.life, Life::Idle | Life::Dead) && self.connections.is_empty()
    }

    pub(super) fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// What the machine holds at this moment.
    pub(super) fn held(&self) -> Seen {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Seen::Held {
            sockets: count(self.connections.len().saturating_sub(self.draining.len())),
            closing: count(self.draining.len()),
            timers: count(self.timers.count()),
        }
    }

    pub(super) fn next_want(&mut self) -> Option<Want> {
        self.wants.pop_front()
    }

    // ---- Life ---------------------------------------------------------------------------------------------------------

    /// Tells the machine something, as soon as it can take it.
    pub(super) fn tell(&mut self, now: Instant, notice: Notice, to: &mut Recorder<'_>) {
        match (&mut self.life, &notice) {
            (Life::Frozen(waiting), _) => return waiting.push(notice),
            (Life::Idle, Notice::Start(_)) => self.life = Life::Running,
            // The dead hear nothing; and who stopped in the meantime does not wait for what was asked any more.
            (Life::Dead, _) | (Life::Idle, Notice::Fetched(..)) => return,
            (Life::Idle | Life::Running, _) => {}
        }
        let input = match notice {
            Notice::Start(session) => Input::Start { session },
            Notice::Stop => Input::Stop,
            Notice::Command(command) => Input::Command(command),
            Notice::Fetched(fetch, result) => Input::Fetched { fetch, result },
            Notice::Failed(id, _) if !self.connections.contains_key(&id) => return,
            Notice::Failed(id, end) => return self.ended(now, id, end, to),
        };
        self.machine.handle(now, input);
        self.obey(now, to);
    }

    /// No time and no input from now on.
    pub(super) fn freeze(&mut self) {
        if matches!(self.life, Life::Running) {
            self.life = Life::Frozen(Vec::new());
        }
    }

    /// Time and input again; whatever came in the meantime is there to be read before any timer fires.
    pub(super) fn thaw(&mut self, now: Instant, to: &mut Recorder<'_>) {
        if !matches!(self.life, Life::Frozen(_)) {
            return;
        }
        self.thawed = now;
        for connection in self.connections.values() {
            connection.waker.wake_by_ref();
        }
        if let Life::Frozen(waiting) = std::mem::replace(&mut self.life, Life::Running) {
            for notice in waiting {
                self.tell(now, notice, to);
            }
        }
    }

    /// The machine is no more; its sockets are reset.
    pub(super) fn kill(&mut self, machine: Box<dyn Machine>) {
        self.drop_sockets();
        self.numbers.clear();
        self.machine = machine;
        self.life = Life::Idle;
    }

    fn drop_sockets(&mut self) {
        for (id, mut connection) in std::mem::take(&mut self.connections) {
            if let Stage::Open(socket) = &mut connection.stage {
                socket.get_mut().abort();
            }
            self.wants.push_back(Want::Dropped(id));
        }
        self.draining.clear();
        self.timers.clear();
    }

    // ---- Connecting ---------------------------------------------------------------------------------------------------

    /// A connect is under way that is polled like a socket.
    pub(super) fn dial(&mut self, id: ConnectionId, dial: Dial) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.stage = Stage::Dialing(dial);
            connection.waker.wake_by_ref();
        }
    }

    /// The connect has succeeded.
    pub(super) fn connected(&mut self, id: ConnectionId, transport: Transport) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.local = transport.local_addr();
            let here = connection.local;
            let mut accepted = self.accepted.iter();
            if let Some(place) = accepted.position(|(address, _)| Some(*address) == here) {
                connection.number = Some(self.accepted.remove(place).1);
            }
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(0)
                .max_write_buffer_size(WRITE_BUFFER_MAX);
            let url = connection.url.clone();
            connection.stage = Stage::Upgrading(Box::pin(async move {
                let upgraded = client_async_with_config(url, transport, Some(config)).await;
                upgraded.map(|(socket, _)| socket)
            }));
            connection.waker.wake_by_ref();
        }
    }

    /// The gateway's end accepted a connection from this address and gave it a number.
    pub(super) fn accepted(&mut self, from: SocketAddr, number: u32) {
        let mut connections = self.connections.values_mut();
        if let Some(connection) = connections.find(|connection| connection.local == Some(from)) {
            connection.number = Some(number);
        } else {
            // The accept was seen before the connect.
            self.accepted.truncate(ACCEPTED_MAX - 1);
            self.accepted.insert(0, (from, number));
        }
    }

    /// The number that the gateway's end gave a connection.
    pub(super) fn numbered(&mut self, id: ConnectionId, number: u32) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.number = Some(number);
        }
    }

    // ---- Sockets ------------------------------------------------------------------------------------------------------

    /// Does what a socket has to be done.
    pub(super) fn poll(&mut self, now: Instant, id: ConnectionId, to: &mut Recorder<'_>) {
        if matches!(self.life, Life::Frozen(_)) {
            return;
        }
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let waker = connection.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while let Some(connection) = self.connections.get_mut(&id) {
            match &mut connection.stage {
                Stage::Awaiting => return,
                Stage::Dialing(dial) => match dial.as_mut().poll(&mut cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(transport)) => self.connected(id, transport),
                    Poll::Ready(Err(end)) => {
                        if end == End::Refused {
                            self.wants.push_back(Want::Refused(connection.url.clone()));
                        }
                        self.ended(now, id, end, to);
                    }
                },
                Stage::Upgrading(handshake) => match handshake.as_mut().poll(&mut cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(socket)) => {
                        connection.stage = Stage::Open(Box::new(socket));
                        self.machine.handle(now, Input::Opened(id));
                        self.obey(now, to);
                    }
                    Poll::Ready(Err(error)) => self.ended(now, id, end_of(error), to),
                },
                Stage::Open(socket) => {
                    let mut socket = Pin::new(&mut **socket);
                    // A write that fails is followed by a read that tells why.
                    if connection.is_unflushed && socket.as_mut().poll_flush(&mut cx).is_ready() {
                        connection.is_unflushed = false;
                    }
                    match socket.poll_next(&mut cx) {
                        Poll::Pending => return,
                        Poll::Ready(Some(Ok(message))) => self.received(now, id, &message, to),
                        Poll::Ready(Some(Err(error))) => self.ended(now, id, end_of(error), to),
                        Poll::Ready(None) => self.ended(now, id, End::Closed, to),
                    }
                }
            }
        }
    }

    fn received(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        message: &tungstenite::Message,
        to: &mut Recorder<'_>,
    ) {
        let input = match message {
            tungstenite::Message::Text(text) => Input::Received {
                connection,
                message: Message::Text(text.as_str()),
            },
            tungstenite::Message::Binary(bytes) => Input::Received {
                connection,
                message: Message::Binary(bytes),
            },
            tungstenite::Message::Close(frame) => Input::Closing {
                connection,
                code: frame.as_ref().map(|frame| CloseCode(frame.code.into())),
                reason: frame.as_ref().map_or("", |frame| frame.reason.as_str()),
            },
            // Pings are answered by the library.
            tungstenite::Message::Ping(_)
            | tungstenite::Message::Pong(_)
            | tungstenite::Message::Frame(_) => return,
        };
        self.machine.handle(now, input);
        self.obey(now, to);
    }

    /// A connection is no more; the machine is told.
    fn ended(&mut self, now: Instant, id: ConnectionId, end: End, to: &mut Recorder<'_>) {
        self.forget(id);
        self.machine.handle(
            now,
            Input::Ended {
                connection: id,
                end,
            },
        );
        self.obey(now, to);
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(Connection {
            number: Some(number),
            ..
        }) = self.connections.remove(&id)
        {
            if self.numbers.len() == ENDED_MAX {
                self.numbers.pop_front();
            }
            self.numbers.push_back((id, number));
        }
        self.draining.retain(|(_, other)| *other != id);
        self.wants.push_back(Want::Dropped(id));
    }

    /// The number of a connection, which may be over.
    fn number_of(&self, id: ConnectionId) -> Option<u32> {
        if let Some(connection) = self.connections.get(&id) {
            return connection.number;
        }
        let mut ended = self.numbers.iter().rev();
        ended
            .find(|(known, _)| *known == id)
            .map(|(_, number)| *number)
    }

    // ---- Outputs ------------------------------------------------------------------------------------------------------

    /// Carries out what the machine asks for.
    fn obey(&mut self, now: Instant, to: &mut Recorder<'_>) {
        while !matches!(self.life, Life::Dead)
            && let Some(output) = self.machine.poll_output()
        {
            match output {
                Output::Deliver { connection, seq } => {
                    if let Some(connection) = self.number_of(connection) {
                        to.record(
                            now,
                            Seen::Delivered(Delivery::Sequence { connection, s: seq }),
                        );
                    }
                }
                Output::Arm { timer, at } => self.timers.arm(timer, at),
                Output::Disarm { timer } => self.timers.disarm(timer),
                Output::Send { connection, text } => {
                    self.send(connection, tungstenite::Message::text(text));
                }
                Output::Open { connection, url } => {
                    let waker = wake::waker(Key::Subject(connection.0), &self.queue);
                    let stage = Stage::Awaiting;
                    let url_too = url.clone();
                    let opened = Connection {
                        stage,
                        waker,
                        is_unflushed: false,
                        url: url_too,
                        local: None,
                        number: None,
                    };
                    let before = self.connections.insert(connection, opened);
                    assert!(
                        before.is_none(),
                        "a machine opens every connection under a new id"
                    );
                    self.wants.push_back(Want::Open(connection, url));
                }
                Output::Close {
                    connection,
                    code,
                    within,
                } => {
                    self.send(
                        connection,
                        tungstenite::Message::Close(code.map(|code| CloseFrame {
                            code: coding::CloseCode::from(code.0),
                            reason: "".into(),
                        })),
                    );
                    if self.connections.contains_key(&connection) {
                        self.draining.retain(|(_, other)| *other != connection);
                        self.draining.push((now + within, connection));
                    }
                }
                Output::Abort { connection } => {
                    if let Some(Connection {
                        stage: Stage::Open(socket),
                        ..
                    }) = self.connections.get_mut(&connection)
                    {
                        socket.get_mut().abort();
                    }
                    self.forget(connection);
                }
                Output::Fetch { fetch, path } => self.wants.push_back(Want::Fetch(fetch, path)),
                Output::Commanded { command, fate } => {
                    to.record(now, Seen::Commanded { command, fate });
                }
                Output::Log { level, text } => to.log(now, level, &text),
                Output::Died { message } => {
                    let message = to.said(now, "its last words", &message);
                    to.record(now, Seen::Died { message });
                    self.life = Life::Dead;
                    self.drop_sockets();
                }
                Output::Stopped { reason } => {
                    let reason = reason.map(|reason| to.said(now, "its reason to stop", &reason));
                    to.record(now, Seen::Stopped { reason });
                    self.life = Life::Idle;
                }
            }
        }
    }

    fn send(&mut self, id: ConnectionId, message: tungstenite::Message) {
        if let Some(Connection {
            stage: Stage::Open(socket),
            waker,
            is_unflushed,
            ..
        }) = self.connections.get_mut(&id)
        {
            *is_unflushed = true;
            // An error here (a closing connection, a full buffer) shows in the next read, or does not matter any more.
            let _ = Pin::new(&mut **socket).start_send(message);
            waker.wake_by_ref();
        }
    }

    // ---- Time ---------------------------------------------------------------------------------------------------------

    /// When the subject's end has something to do by itself.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        if matches!(self.life, Life::Frozen(_)) {
            return None;
        }
        let drain = self.draining.iter().map(|(at, _)| *at).min();
        match (self.timers.next(), drain) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does one thing that is due by `now`; says when it could have been done at the earliest.
    pub(super) fn fire_timer(&mut self, now: Instant, to: &mut Recorder<'_>) -> Option<Instant> {
        let drained = self
            .draining
            .iter()
            .copied()
            .filter(|(at, _)| *at <= now)
            .min();
        if let Some((at, id)) = drained {
            if let Some(Connection {
                stage: Stage::Open(socket),
                ..
            }) = self.connections.get_mut(&id)
            {
                socket.get_mut().abort();
            }
            self.ended(now, id, End::Abandoned, to);
            return Some(at.max(self.thawed));
        }
        let (at, timer) = self.timers.pop(now)?;
        self.machine.handle(now, Input::Fired(timer));
        self.obey(now, to);
        Some(at.max(self.thawed))
    }
}

/// What an error of tungstenite's says about the end of the connection.
fn end_of(error: Error) -> End {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => End::Closed,
        Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => End::Eof,
        Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                End::Reset
            }
            ErrorKind::ConnectionRefused => End::Refused,
            ErrorKind::UnexpectedEof => End::Eof,
            _ => End::Failed(error.to_string()),
        },
        Error::Http(response) => {
            let (parts, body) = response.into_parts();
            let headers = parts.headers.iter().map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            });
            let mut body = body.unwrap_or_default();
            body.truncate(BODY_MAX);
            End::Rejected(Response {
                status: parts.status.as_u16(),
                headers: headers.collect(),
                body,
            })
        }
        error => End::Failed(error.to_string()),
    }
}
