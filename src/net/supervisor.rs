//! The supervisor: a process of its own that starts programs for gwtool and sees to it that nothing of them is left behind.
//!
//! gwtool starts itself with the hidden command `supervise` and one end of a Unix socket as stdin ([`super::process`] has the
//! other end). [`Order`]s come in, [`Report`]s go out. When gwtool is gone, however it went, the kernel closes the socket, and
//! the supervisor ends everything: SIGTERM, SIGKILL after a grace, until there is nobody left. That a process of its own does
//! it is the point: neither a crash nor a SIGKILL of gwtool can keep it from it.
//!
//! It knows nothing of gateways, runs and traces, reads no configuration and says nothing itself.

mod family;
mod lines;
mod messages;

pub use messages::{Cause, Order, Report, Signal, Stream};

use self::family::{Exit, Family, Identity};
use self::lines::{Lines, Said};
use super::wire::Wire;
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal as Number};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::{Future as _, poll_fn};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Sleep;

/// How long programs may take to end when gwtool is gone, and what a program left behind when it exited.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether a SIGKILL has done its work. Most often news of a death come first.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a process may outlive its SIGKILL (in the kernel, or because it is another user's) before it is given up.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long the last reports may take when everything is over.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often in a row everybody is signalled, where somebody new is found each time: who forks is faster than who looks.
const ROUNDS: u32 = 20;
/// With more than this waiting to be sent, programs are not listened to: their writes wait, and memory stays bounded.
const BACKLOG_MAX: usize = 256 * 1024;
/// How much of a program's output is read at once.
const CHUNK: usize = 16 * 1024;

/// Why there is nothing to supervise.
#[derive(Debug, Error)]
pub enum SupervisorError {
    /// It was not gwtool that started it.
    #[error("stdin is no socket of gwtool's")]
    NotGwtool,
    /// The operating system refused something that every supervisor needs.
    #[error("failed to set up the supervisor")]
    Setup(#[source] io::Error),
}

/// Obeys the orders that come over stdin until everything is over.
pub fn run() -> Result<(), SupervisorError> {
    let socket = socket()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SupervisorError::Setup)?;
    runtime.block_on(async {
        let mut keeper = Keeper::new(socket).map_err(SupervisorError::Setup)?;
        poll_fn(|cx| keeper.poll(cx)).await;
        Ok(())
    })
}

/// stdin, if it is a Unix socket.
fn socket() -> Result<UnixStream, SupervisorError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let socket = UnixStream::from(stdin.map_err(SupervisorError::Setup)?);
    match socket.local_addr() {
        Ok(_) => Ok(socket),
        Err(_) => Err(SupervisorError::NotGwtool),
    }
}

/// Everything that the supervisor knows.
struct Keeper {
    /// The way to gwtool; `None` once gwtool is gone.
    wire: Option<Wire>,
    family: Family,
    children: Vec<Child>,
    /// Who is being ended: a child, or everybody.
    endings: BTreeMap<Scope, Ending>,
    /// Whether the supervisor is to exit after that.
    is_ending: bool,
    /// Until when the last reports may take, once everybody is gone.
    last_words: Option<Instant>,
    signals: Signals,
    alarm: Pin<Box<Sleep>>,
}

/// The signals that it listens to.
struct Signals {
    /// SIGCHLD.
    death: tokio::signal::unix::Signal,
    /// Whoever sends one of these wants an end in good order.
    wishes: [tokio::signal::unix::Signal; 3],
}

/// A program.
struct Child {
    id: u32,
    outputs: [Output; 2],
    /// How it ended, until that is told.
    exit: Option<Exit>,
    /// Whether it was told to end: what is with it is not left over for that alone.
    is_asked: bool,
    /// Who outlived it and had to be ended.
    left_over: BTreeSet<Identity>,
}

/// One of a program's streams.
struct Output {
    stream: Stream,
    /// `None` once nobody can write to it any more.
    pipe: Option<pipe::Receiver>,
    lines: Lines,
    /// How much is to be read before the program's exit may be told.
    owed: u64,
}

/// Processes, and whose they are.
type Found = BTreeMap<Identity, Option<u32>>;

/// Who is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Child(u32),
    Everybody,
}

impl Scope {
    fn holds(self, child: Option<u32>) -> bool {
        match self {
            Self::Child(id) => child == Some(id),
            Self::Everybody => true,
        }
    }
}

/// An end under way.
#[derive(Debug)]
struct Ending {
    /// When the grace is over.
    kill_at: Instant,
    /// When it is looked again, whatever happens.
    look_at: Instant,
    /// Who was sent SIGKILL.
    killed: BTreeSet<Identity>,
    /// When those are given up; `None` during the grace.
    give_up_at: Option<Instant>,
}

impl Keeper {
    fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            wire: Some(Wire::new(tokio::net::UnixStream::from_std(socket)?)),
            // Before the first program: no death is missed.
            signals: Signals {
                death: signal(SignalKind::child())?,
                wishes: [
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::interrupt())?,
                    signal(SignalKind::hangup())?,
                ],
            },
            family: Family::new()?,
            children: Vec::new(),
            endings: BTreeMap::new(),
            is_ending: false,
            last_words: None,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }

    /// Does what there is to do; ready once everything is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let mut has_done = self.attend_signals(cx, now);
            has_done |= self.attend_orders(cx, now);
            has_done |= self.attend_outputs(cx, now);
            has_done |= self.attend_endings(now);
            has_done |= self.tell_ends(now);
            has_done |= self.flush(cx, now);
            if self.is_over(now) {
                return Poll::Ready(());
            }
            if has_done {
                continue;
            }
            let Some(at) = self.deadline() else {
                return Poll::Pending;
            };
            self.alarm.as_mut().reset(at.into());
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn attend_signals(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut has_done = false;
        while self.signals.death.poll_recv(cx).is_ready() {
            has_done = true;
            self.reap(now);
        }
        for place in 0..self.signals.wishes.len() {
            while self.signals.wishes[place].poll_recv(cx).is_ready() {
                has_done = true;
                // Who asks twice does not want to wait.
                let grace = if self.is_ending {
                    Duration::ZERO
                } else {
                    GRACE
                };
                self.end_all(now, grace);
            }
        }
        has_done
    }

    /// Takes in who has ended.
    fn reap(&mut self, now: Instant) {
        for (id, exit) in self.family.reap() {
            let Some(child) = self.child(id) else {
                continue;
            };
            child.exit = Some(exit);
            for output in &mut child.outputs {
                // All that the program itself can have written is in the pipe by now.
                let pipe = output.pipe.as_ref();
                output.owed = pipe.map_or(0, |pipe| ioctl_fionread(pipe).unwrap_or(0));
            }
            let is_asked = child.is_asked;
            let is_under_way = |scope| self.endings.contains_key(&scope);
            if !is_under_way(Scope::Child(id)) && !is_under_way(Scope::Everybody) {
                // What a program leaves behind would go on beside the next one that is started.
                self.end(now, Scope::Child(id), GRACE, !is_asked);
            }
        }
        for ending in self.endings.values_mut() {
            ending.look_at = now;
        }
    }

    fn child(&mut self, id: u32) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.id == id)
    }

    fn attend_orders(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut has_done = false;
        while let Some(wire) = &mut self.wire {
            let Poll::Ready(order) = wire.poll_take(cx) else {
                break;
            };
            has_done = true;
            if let Some(Ok(order)) = order {
                self.obey(now, order);
            } else {
                // gwtool is gone. Who says what is no order is not gwtool either.
                self.wire = None;
                self.end_all(now, GRACE);
            }
        }
        has_done
    }

    fn obey(&mut self, now: Instant, order: Order) {
        match order {
            Order::Start {
                child,
                program,
                args,
                dir,
                env,
            } => {
                let mut command = Command::new(program);
                command.args(args);
                command.envs(env);
                let started = self.start(now, child, command, dir);
                self.report(&match started {
                    Ok(()) => Report::Started { child },
                    Err(error) => Report::NotStarted {
                        child,
                        error: error.to_string(),
                        kind: Cause::of(&error),
                    },
                });
            }
            Order::Signal { child, signal } => self.signal(now, child, signal),
            Order::EndChild { child, grace } if self.family.is_running(child) => {
                self.end(now, Scope::Child(child), grace, true);
            }
            Order::EndChild { child, grace } => self.hasten(Scope::Child(child), now + grace),
            Order::End { grace } => self.end_all(now, grace),
        }
    }

    fn start(
        &mut self,
        now: Instant,
        id: u32,
        mut command: Command,
        dir: Option<String>,
    ) -> io::Result<()> {
        if self.is_ending {
            return Err(io::Error::other("everything is being ended"));
        }
        if self.family.knows(id) {
            return Err(io::Error::other(format!(
                "expected a number that no child had before, found `{id}`"
            )));
        }
        if let Some(dir) = dir {
            // Otherwise it would look as if the program were missing.
            let found = fs::metadata(&dir).and_then(|found| {
                let is_dir = found.is_dir().then_some(());
                is_dir.ok_or(io::ErrorKind::NotADirectory.into())
            });
            found.map_err(|error| {
                io::Error::new(error.kind(), format!("the directory `{dir}`: {error}"))
            })?;
            command.current_dir(dir);
        }
        let mut started = command
            .envs(Family::mark(id))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        self.family.add(id, Pid::from_child(&started));
        let stdout = Output::new(Stream::Stdout, started.stdout.take());
        let stderr = Output::new(Stream::Stderr, started.stderr.take());
        match (stdout, stderr) {
            (Ok(stdout), Ok(stderr)) => {
                self.children.push(Child {
                    id,
                    outputs: [stdout, stderr],
                    exit: None,
                    is_asked: false,
                    left_over: BTreeSet::new(),
                });
                Ok(())
            }
            (Err(error), _) | (_, Err(error)) => {
                // It runs and cannot be heard.
                self.end(now, Scope::Child(id), Duration::ZERO, false);
                Err(error)
            }
        }
    }

    fn signal(&mut self, now: Instant, id: u32, signal: Signal) {
        let scope = Scope::Child(id);
        match signal {
            Signal::Freeze => {
                self.send_until_all_have_it(scope, Number::STOP);
            }
            Signal::Thaw => {
                self.family.send(&[Number::CONT], |of| scope.holds(of));
            }
            Signal::Term => {
                if let Some(child) = self.child(id) {
                    child.is_asked = true;
                }
                // Once: what a program starts in order to end well is left alone.
                self.family.send(&[Number::TERM], |of| scope.holds(of));
            }
            Signal::Kill if self.family.is_running(id) => {
                self.end(now, scope, Duration::ZERO, false);
            }
            Signal::Kill => self.hasten(scope, now),
        }
    }

    /// Sends a signal until nobody is found who has not had it; gives who was found, and whose they are.
    fn send_until_all_have_it(&self, scope: Scope, signal: Number) -> Found {
        let mut found = Found::new();
        for _ in 0..ROUNDS {
            let before = found.len();
            let living = self.family.send(&[signal], |of| scope.holds(of));
            found.extend(living.iter().map(|one| (one.identity(), one.child)));
            if found.len() == before {
                break;
            }
        }
        found
    }

    fn end_all(&mut self, now: Instant, grace: Duration) {
        self.is_ending = true;
        self.end(now, Scope::Everybody, grace, true);
    }

    /// Begins an end, or has one that is under way come sooner. `is_told` says whether SIGTERM is sent.
    fn end(&mut self, now: Instant, scope: Scope, grace: Duration, is_told: bool) {
        let kill_at = now + grace;
        if self.endings.contains_key(&scope) {
            self.hasten(scope, kill_at);
            return;
        }
        if is_told {
            // A second SIGTERM has many programs give up on a good end.
            let is_under_way = |id| self.endings.contains_key(&Scope::Child(id));
            let is_meant = |of: Option<u32>| scope.holds(of) && !of.is_some_and(is_under_way);
            // In this order: who is frozen wakes with the SIGTERM waiting.
            let living = self.family.send(&[Number::TERM, Number::CONT], is_meant);
            let living = living.iter().map(|one| (one.identity(), one.child));
            self.note_left_over(&living.collect());
        }
        for child in &mut self.children {
            child.is_asked |= scope.holds(Some(child.id));
        }
        let ending = Ending {
            kill_at,
            look_at: now,
            killed: BTreeSet::new(),
            give_up_at: None,
        };
        self.endings.insert(scope, ending);
    }

    fn hasten(&mut self, scope: Scope, kill_at: Instant) {
        if let Some(ending) = self.endings.get_mut(&scope) {
            ending.kill_at = ending.kill_at.min(kill_at);
            ending.look_at = ending.look_at.min(kill_at);
        }
    }

    /// Takes down who of those that were told to end had outlived their program.
    fn note_left_over(&mut self, ended: &Found) {
        for child in &mut self.children {
            if !self.family.is_running(child.id) {
                let its = ended.iter().filter(|(_, of)| **of == Some(child.id));
                child.left_over.extend(its.map(|(identity, _)| *identity));
            }
        }
    }

    fn attend_endings(&mut self, now: Instant) -> bool {
        let is_due = |(_, ending): &(&Scope, &Ending)| now >= ending.look_at;
        let due = self.endings.iter().filter(is_due);
        let due: Vec<Scope> = due.map(|(scope, _)| *scope).collect();
        for scope in &due {
            self.attend_ending(now, *scope);
        }
        !due.is_empty()
    }

    fn attend_ending(&mut self, now: Instant, scope: Scope) {
        let is_done = match scope {
            Scope::Child(id) => !self.family.is_running(id),
            Scope::Everybody => self.family.is_alone(),
        };
        if is_done && self.family.living(|of| scope.holds(of)).is_empty() {
            self.conclude(scope);
            return;
        }
        let kill = self.endings.get(&scope);
        let kill = kill.is_some_and(|ending| now >= ending.kill_at);
        let found = kill.then(|| self.send_until_all_have_it(scope, Number::KILL));
        let Some(ending) = self.endings.get_mut(&scope) else {
            return;
        };
        let Some(found) = found else {
            ending.look_at = ending.kill_at;
            return;
        };
        ending.look_at = now + LOOK_AGAIN;
        let before = ending.killed.len();
        ending.killed.extend(found.keys());
        let is_news = ending.killed.len() > before;
        let give_up_at = ending.give_up_at.filter(|_| !is_news);
        let give_up_at = *ending
            .give_up_at
            .insert(give_up_at.unwrap_or(now + KILL_PATIENCE));
        self.note_left_over(&found);
        if now >= give_up_at {
            self.conclude(scope);
        }
    }

    /// Nobody is left, or only who cannot be ended.
    fn conclude(&mut self, scope: Scope) {
        self.endings.remove(&scope);
        for child in &self.children {
            if scope.holds(Some(child.id)) && !self.family.is_running(child.id) {
                self.family.release(child.id);
            }
        }
    }

    fn attend_outputs(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut has_done = false;
        for child in &mut self.children {
            for output in &mut child.outputs {
                if is_full(self.wire.as_ref()) {
                    return has_done;
                }
                let stream = output.stream;
                let mut say = |said: Said| put(&mut self.wire, &said.report(child.id, stream));
                output.lines.tick(now, &mut say);
                has_done |= output.read(cx, now, &mut say);
            }
        }
        has_done
    }

    /// Tells which programs have exited, once all that they wrote is told, and what they left behind, once that is gone.
    fn tell_ends(&mut self, now: Instant) -> bool {
        let mut has_done = false;
        let is_everybody = self.endings.contains_key(&Scope::Everybody);
        for child in &mut self.children {
            let id = child.id;
            if child.outputs.iter().any(|output| output.owed > 0) || self.family.is_running(id) {
                continue;
            }
            if let Some(Exit { code, signal }) = child.exit.take() {
                has_done = true;
                for output in &mut child.outputs {
                    let stream = output.stream;
                    let mut say = |said: Said| put(&mut self.wire, &said.report(id, stream));
                    output.lines.finish(now, &mut say);
                }
                let child = id;
                put(
                    &mut self.wire,
                    &Report::Exited {
                        child,
                        code,
                        signal,
                    },
                );
            }
            let is_ended = !is_everybody && !self.endings.contains_key(&Scope::Child(id));
            if is_ended && !child.left_over.is_empty() {
                has_done = true;
                let count = std::mem::take(&mut child.left_over).len();
                let child = id;
                put(&mut self.wire, &Report::LeftOver { child, count });
            }
        }
        has_done
    }

    fn report(&mut self, report: &Report) {
        put(&mut self.wire, report);
    }

    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(wire) = &mut self.wire else {
            return false;
        };
        let before = wire.backlog();
        if let Poll::Ready(Err(_)) = wire.poll_flush(cx) {
            self.wire = None;
            self.end_all(now, GRACE);
            return true;
        }
        wire.backlog() < before
    }

    fn is_over(&mut self, now: Instant) -> bool {
        if !self.is_ending || self.endings.contains_key(&Scope::Everybody) {
            return false;
        }
        let until = *self.last_words.get_or_insert(now + LAST_WORDS);
        let is_open = |output: &Output| output.pipe.is_some();
        let is_unheard = |child: &Child| child.exit.is_some() || child.outputs.iter().any(is_open);
        let is_unsent = self.wire.as_ref().is_some_and(|wire| wire.backlog() > 0);
        now >= until || !(is_unsent || self.children.iter().any(is_unheard))
    }

    /// When there is something to do though nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let looks = self.endings.values().map(|ending| ending.look_at);
        let outputs = self.children.iter().flat_map(|child| &child.outputs);
        let ticks = outputs.filter_map(|output| output.lines.deadline());
        // While nothing can be said there is no time to say it either.
        let ticks = ticks.filter(|_| !is_full(self.wire.as_ref()));
        looks.chain(ticks).chain(self.last_words).min()
    }
}

impl Drop for Keeper {
    /// Even where the supervisor itself fails nothing is left behind.
    fn drop(&mut self) {
        if !self.family.is_alone() {
            self.send_until_all_have_it(Scope::Everybody, Number::KILL);
        }
    }
}

impl Output {
    fn new(stream: Stream, pipe: Option<impl Into<OwnedFd>>) -> io::Result<Self> {
        let pipe = pipe.map(|pipe| pipe::Receiver::from_owned_fd(pipe.into()));
        Ok(Self {
            stream,
            pipe: pipe.transpose()?,
            lines: Lines::default(),
            owed: 0,
        })
    }

    /// Reads once, if there is something to read.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant, say: &mut impl FnMut(Said)) -> bool {
        let Some(pipe) = &mut self.pipe else {
            return false;
        };
        let mut scratch = [0; CHUNK];
        let mut buffer = ReadBuf::new(&mut scratch);
        let Poll::Ready(read) = Pin::new(pipe).poll_read(cx, &mut buffer) else {
            return false;
        };
        let bytes = buffer.filled();
        if read.is_err() || bytes.is_empty() {
            self.pipe = None;
            self.owed = 0;
            self.lines.finish(now, say);
        } else {
            self.owed = self.owed.saturating_sub(bytes.len() as u64);
            self.lines.feed(now, bytes, say);
        }
        true
    }
}

impl Said {
    fn report(self, child: u32, stream: Stream) -> Report {
        match self {
            Self::Line(line) => Report::Output {
                child,
                stream,
                line,
            },
            Self::Skipped(lines) => Report::Skipped {
                child,
                stream,
                lines,
            },
        }
    }
}

impl Cause {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::Other,
        }
    }
}

fn put(wire: &mut Option<Wire>, report: &Report) {
    if let Some(wire) = wire {
        wire.put(report);
    }
}

/// Whether so much waits to be sent that nothing is to be added. To nobody everything can be said.
fn is_full(wire: Option<&Wire>) -> bool {
    wire.is_some_and(|wire| wire.backlog() > BACKLOG_MAX)
}
