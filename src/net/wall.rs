//! Real time: the loop that waits instead of jumping, and the sockets of this machine around the driver.
//!
//! The driver does what there is to do, exactly as in virtual time; this file brings it connections and requests, and sleeps
//! until something wakes. A connect during a blackhole is accepted by the kernel whatever we do: such a connection stands in
//! limbo, without a number, until the fault is over or the subject gives up.

use super::dial::{self, Tls};
use super::driver::{Driver, Next, Tested};
use super::gateway_side::Door;
use super::http::{self, Asked, Fetched};
use super::listener::Listener;
use super::subject_side::{Notice, Want};
use super::tls::ServerStream;
use super::transport::Transport;
use super::wake::{self, Key};
use super::{Interrupt, RunError};
use crate::fault::Port;
use crate::faults::Listening;
use crate::machine::{End, FetchId};
use crate::protocol::Token;
use crate::server::rest;
use crate::time::{Duration, Instant};
use crate::trace::{Miss, Seen};
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::rustls::ServerConfig;
use url::Url;

/// How much of what a connection in limbo sends is kept: more than an upgrade request.
const LIMBO_MAX: usize = 32 * 1024;

/// The fake's listeners on this machine.
pub(super) struct Listeners([Listener; 3]);

impl Listeners {
    /// Listens on three free ports of the loopback interface.
    pub(super) fn new() -> Result<Self, RunError> {
        let new = || Listener::new().map_err(RunError::Listen);
        Ok(Self([new()?, new()?, new()?]))
    }

    /// Where a listener is.
    pub(super) fn address(&self, port: Port) -> Result<SocketAddr, RunError> {
        self.0[port as usize].address().map_err(RunError::Listen)
    }
}

/// A connection that the kernel accepted and the schedule did not.
struct Limbo {
    tcp: TcpStream,
    from: SocketAddr,
    port: Port,
    read: Vec<u8>,
}

/// How often a run with a program looks up though nothing is due, so that a machine that stands still for longer is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Says whether a gateway's URL may be connected to.
pub(super) type Guard = Box<dyn Fn(&Url) -> bool>;

/// An answer, and how often the subject had been killed when it asked.
type Awaited = (u32, Fetched);

/// The real network around a driver.
pub(super) struct Outside {
    listeners: Option<Listeners>,
    /// TLS for those whom the listeners accept, if they serve it.
    secure: Option<Arc<ServerConfig>>,
    limbo: Vec<Limbo>,
    /// Where the client's REST requests go.
    api: Option<Url>,
    token: Token,
    tls: Tls,
    /// Which gateways may be connected to.
    guard: Guard,
    asked: (mpsc::UnboundedSender<Asked>, mpsc::UnboundedReceiver<Asked>),
    fetched: (
        mpsc::UnboundedSender<Awaited>,
        mpsc::UnboundedReceiver<Awaited>,
    ),
    waker: Waker,
}

const PORTS: [Port; 3] = [Port::Main, Port::Resume, Port::Rest];

impl Outside {
    pub(super) fn new(
        driver: &Driver<'_>,
        listeners: Option<Listeners>,
        api: Option<Url>,
        token: Token,
        tls: Tls,
    ) -> Self {
        Self {
            listeners,
            secure: None,
            limbo: Vec::new(),
            api,
            token,
            tls,
            guard: Box::new(|_| true),
            asked: mpsc::unbounded_channel(),
            fetched: mpsc::unbounded_channel(),
            waker: wake::waker(Key::Outside, driver.queue()),
        }
    }

    /// Only gateways that the guard lets pass are connected to.
    pub(super) fn guarded_by(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// The listeners serve TLS, if this says how.
    pub(super) fn secured_by(self, secure: Option<Arc<ServerConfig>>) -> Self {
        Self { secure, ..self }
    }

    /// Brings the driver what has come from outside, and sees to what it wants there. Says whether there was anything.
    fn attend(&mut self, driver: &mut Driver<'_>) -> bool {
        let mut has_done = self.listen(driver);
        has_done |= self.leave_limbo(driver);
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(Some(asked)) = self.asked.1.poll_recv(&mut cx) {
            match (asked, &mut driver.gateway) {
                (Asked::Request(request, answer), Some(gateway)) => {
                    let answered = gateway.request(driver.now, &request, &mut driver.recorder);
                    // Who asked may have gone in the meantime.
                    let _ = answer.send(answered);
                    if let (Some(number), Tested::Program(program)) =
                        (rest::answered(&request), &mut driver.subject)
                    {
                        program.replied(driver.now, number, &mut driver.recorder);
                    }
                }
                (Asked::TlsFailed(why), _) => {
                    let failed = Seen::TlsFailed {
                        port: Port::Rest,
                        connection: None,
                        why,
                    };
                    driver.recorder.at_gateway(driver.now, failed);
                }
                (Asked::Request(..), None) => {}
            }
            driver.attend();
            has_done = true;
        }
        while let Poll::Ready(Some((killed, (fetch, result)))) = self.fetched.1.poll_recv(&mut cx) {
            if killed == driver.killed()
                && let Some(subject) = driver.subject.side()
            {
                let fetched = Notice::Fetched(fetch, result);
                subject.tell(driver.now, fetched, &mut driver.recorder);
                driver.attend();
            }
            has_done = true;
        }
        for want in driver.take_outside() {
            self.grant(driver, want);
            has_done = true;
        }
        has_done
    }

    fn grant(&mut self, driver: &mut Driver<'_>, want: Want) {
        match want {
            Want::Open(id, url) => {
                let Some(subject) = driver.subject.side() else {
                    return;
                };
                match Url::parse(&url) {
                    Ok(parsed) if !(self.guard)(&parsed) => {
                        let host = parsed.host_str().unwrap_or_default();
                        let why = format!(
                            "the token must not go to `{host}`, which is not the host it was given for"
                        );
                        let failed = Notice::Failed(id, End::Failed(why));
                        subject.tell(driver.now, failed, &mut driver.recorder);
                    }
                    _ => subject.dial(id, dial::dial(&url, &self.tls)),
                }
            }
            Want::Fetch(fetch, path) => self.fetch(driver.killed(), fetch, path),
            Want::Refused(url) => {
                let port = PORTS.into_iter().find(|port| self.is_at(*port, &url));
                if let (Some(gateway), Some(port)) = (&mut driver.gateway, port) {
                    gateway.door(driver.now, port, &mut driver.recorder);
                    driver.attend();
                }
            }
            // Its socket was dropped with it.
            Want::Dropped(_) => {}
        }
    }

    fn is_at(&self, port: Port, url: &str) -> bool {
        let address = self
            .listeners
            .as_ref()
            .and_then(|listeners| listeners.address(port).ok());
        let url = Url::parse(url).ok().and_then(|url| url.port());
        address.is_some_and(|address| Some(address.port()) == url)
    }

    fn fetch(&self, killed: u32, fetch: FetchId, path: &'static str) {
        let to = self.fetched.0.clone();
        let (api, token, tls) = (self.api.clone(), self.token.clone(), self.tls.clone());
        tokio::task::spawn_local(async move {
            let result = match api {
                Some(api) => http::get(api, path, &token, &tls).await,
                None => Err("no REST API was given to ask".to_owned()),
            };
            // The run may be over.
            let _ = to.send((killed, (fetch, result)));
        });
    }

    /// Accepts what has come, as the schedule has it.
    fn listen(&mut self, driver: &mut Driver<'_>) -> bool {
        let Some(Listeners(listeners)) = &mut self.listeners else {
            return false;
        };
        let Some(gateway) = &mut driver.gateway else {
            return false;
        };
        let mut cx = Context::from_waker(&self.waker);
        let mut has_done = false;
        for (listener, port) in listeners.iter_mut().zip(PORTS) {
            if gateway.listening(port) == Listening::Refusing {
                listener.close();
                continue;
            }
            // A port that cannot be listened on again shows as a subject that cannot connect: as good a report as any here.
            let _ = listener.open();
            while let Poll::Ready((tcp, from)) = listener.poll_accept(&mut cx) {
                has_done = true;
                let _ = tcp.set_nodelay(true);
                match gateway.door(driver.now, port, &mut driver.recorder) {
                    Door::Open if port == Port::Rest => {
                        let (transport, _) = served(tcp, self.secure.as_ref(), Vec::new());
                        tokio::task::spawn_local(http::serve(transport, self.asked.0.clone()));
                    }
                    Door::Open => {
                        let (transport, _) = served(tcp, self.secure.as_ref(), Vec::new());
                        let number =
                            gateway.accept(driver.now, port, transport, &[], &mut driver.recorder);
                        if let Some(subject) = driver.subject.side() {
                            subject.accepted(from, number);
                        }
                    }
                    Door::Refused => Transport::Tcp(tcp).abort(),
                    Door::Hangs => self.limbo.push(Limbo {
                        tcp,
                        from,
                        port,
                        read: Vec::new(),
                    }),
                }
            }
        }
        if has_done {
            driver.attend();
        }
        has_done
    }

    /// Lets those out of limbo whose door is open again, and forgets those that gave up.
    fn leave_limbo(&mut self, driver: &mut Driver<'_>) -> bool {
        let Some(gateway) = &mut driver.gateway else {
            return false;
        };
        let (now, to) = (driver.now, &mut driver.recorder);
        let mut cx = Context::from_waker(&self.waker);
        let before = self.limbo.len();
        for mut limbo in std::mem::take(&mut self.limbo) {
            if limbo.has_given_up(&mut cx) {
                to.at_gateway(
                    now,
                    Seen::Missed {
                        port: limbo.port,
                        why: Miss::Hung,
                    },
                );
                continue;
            }
            if gateway.listening(limbo.port) == Listening::Hanging {
                self.limbo.push(limbo);
                continue;
            }
            // One fault may have given way to another, as for any connect that comes now.
            if gateway.door(now, limbo.port, to) == Door::Refused {
                Transport::Tcp(limbo.tcp).abort();
                continue;
            }
            // What was read of a REST request is gone; the client sees a closed connection and asks again.
            if limbo.port != Port::Rest {
                let (transport, read) = served(limbo.tcp, self.secure.as_ref(), limbo.read);
                let number = gateway.accept(now, limbo.port, transport, &read, to);
                if let Some(subject) = driver.subject.side() {
                    subject.accepted(limbo.from, number);
                }
            }
        }
        let has_done = self.limbo.len() != before;
        if has_done {
            driver.attend();
        }
        has_done
    }
}

/// The gateway's end of a connection of which this was read so far; and what is left of it to be read as plain bytes.
fn served(
    tcp: TcpStream,
    secure: Option<&Arc<ServerConfig>>,
    read: Vec<u8>,
) -> (Transport, Vec<u8>) {
    match secure {
        Some(config) => {
            let tls = ServerStream::new(tcp, Arc::clone(config), read);
            (Transport::TlsServer(Box::new(tls)), Vec::new())
        }
        None => (Transport::Tcp(tcp), read),
    }
}

impl Limbo {
    /// Reads what has come; whether FIN or RST was among it.
    fn has_given_up(&mut self, cx: &mut Context<'_>) -> bool {
        let mut scratch = [0; 1024];
        loop {
            if self.read.len() > LIMBO_MAX {
                return false;
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut buffer) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.read.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => return true,
            }
        }
    }
}

/// Why a run in real time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was watched to its end.
    Over,
    /// Somebody wanted it to end.
    Interrupted,
    /// The time that it was given is up.
    TimedOut,
}

/// Runs a driver in real time until its run is over, somebody interrupts, or the time is up. `lap` is called whenever
/// something may have happened, and may end the run.
pub(super) async fn run(
    driver: &mut Driver<'_>,
    outside: &mut Outside,
    interrupt: &Interrupt,
    until: Option<Duration>,
    lap: &mut dyn FnMut() -> ControlFlow<()>,
) -> Ended {
    let start = tokio::time::Instant::now() - driver.now.since(Instant::ZERO);
    let until = until.map(|until| driver.now + until);
    let queue = Arc::clone(driver.queue());
    let mut raised = pin!(interrupt.0.notify.notified());
    // From here on no wish is missed, whether it is uttered before or during the wait.
    raised.as_mut().enable();
    loop {
        let elapsed = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        driver.now = driver.now.max(Instant::from_nanos(elapsed));
        outside.attend(driver);
        let next = driver.settle();
        if next == Next::Over {
            let _ = lap();
            return Ended::Over;
        }
        if outside.attend(driver) {
            continue;
        }
        if lap().is_break() || interrupt.is_raised() {
            return Ended::Interrupted;
        }
        if until.is_some_and(|until| driver.now >= until) {
            return Ended::TimedOut;
        }
        let alarm = match (next, until) {
            (Next::At(at), Some(until)) => Some(at.min(until)),
            (Next::At(at), None) => Some(at),
            (_, until) => until,
        };
        // A run with nothing due waits for its sockets alone; next to a program it looks up now and then, to see whether this
        // machine stands still.
        let alarm = alarm.map_or(Duration::from_hours(1), |at| at.since(Instant::ZERO));
        let alarm = match driver.subject {
            Tested::Machine(..) => alarm,
            Tested::Program(_) => alarm.min(driver.now.since(Instant::ZERO) + TICK),
        };
        let due = start + alarm;
        let mut alarm = pin!(tokio::time::sleep_until(due));
        poll_fn(|cx| {
            if raised.as_mut().poll(cx).is_ready()
                || queue.poll_woken(cx).is_ready()
                || alarm.as_mut().poll(cx).is_ready()
            {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        driver.waited(due.elapsed());
    }
}

/// A runtime for one run: one thread, with sockets and timers.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    let built: io::Result<_> = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built.map_err(RunError::Runtime)
}
