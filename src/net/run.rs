//! One run of a subject against the fake gateway, on either clock.

use super::dial::Tls;
use super::driver::{Driver, MAIN_HOST, Network, RESUME_HOST, Tested};
use super::gateway_side::GatewaySide;
use super::process::Supervisor;
use super::program_side::ProgramSide;
use super::record::Recorder;
use super::wake::Queue;
use super::wall::{self, Ended, Listeners, Outside};
use super::{Interrupt, RunError};
use crate::fault::{OnClose, Port};
use crate::faults::injector::Injector;
use crate::machine::{Endpoints, Machine};
use crate::progress::Progress;
use crate::protocol::Token;
use crate::seed::{Seed, Stream};
use crate::server::gateway::Gateway;
use crate::server::{self, Enforce};
use crate::subjects::program::Program;
use crate::time::{Duration, Instant};
use crate::trace::{Clock, Header, Observer, Redactor, Seen};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use tokio::task::LocalSet;
use url::Url;

/// Everything that decides a run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What goes at the head of the trace: the scenario, the schedule, the clock, the subject.
    pub header: Header,
    /// The seed.
    pub seed: Seed,
    /// The one token that the fake accepts.
    pub token: Token,
    /// How long after the upgrade HELLO is sent.
    pub hello_after: Duration,
    /// How the gateway meets a Close unless a fault says otherwise.
    pub on_close: OnClose<Duration>,
    /// How often every session gets a numbered message.
    pub traffic: Option<Duration>,
    /// What the gateway enforces.
    pub enforce: Enforce,
    /// Latency each way.
    pub latency: Duration,
    /// How long the run may take on the wall clock.
    pub timeout: Option<Duration>,
}

/// What a run leaves behind besides its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Whether it was watched to its end.
    pub is_complete: bool,
    /// How long it lasted on its own clock.
    pub lasted: Duration,
}

/// Runs a subject, made by `factory`, as `setup` says; everything that is seen goes to the observers as it happens.
pub fn run<'a>(
    setup: &'a Setup,
    mut factory: impl FnMut(&Endpoints) -> Box<dyn Machine> + 'a,
    observers: Vec<&'a mut dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Ran, RunError> {
    match setup.header.clock {
        Clock::Virtual => {
            let endpoints = Endpoints {
                main: format!("ws://{MAIN_HOST}"),
                resume: format!("ws://{RESUME_HOST}"),
                api: "http://api.gateway.test/api".to_owned(),
            };
            let network = Network::Virtual {
                latency: setup.latency,
            };
            let shown = Vec::new();
            let queue = Arc::new(Queue::default());
            let tested = Tested::of(Box::new(move || factory(&endpoints)), &queue);
            let main = format!("ws://{MAIN_HOST}");
            let resume = format!("ws://{RESUME_HOST}");
            let tested = (tested, queue);
            let mut driver = driver(setup, network, (main, resume), tested, observers, shown);
            driver.begin(armed(&setup.header));
            let started = std::time::Instant::now();
            let is_timed_out = || {
                setup
                    .timeout
                    .is_some_and(|timeout| started.elapsed() > timeout)
            };
            let is_complete = driver.run_virtual(|| interrupt.is_raised() || is_timed_out());
            finish(driver, is_complete)
        }
        Clock::Real => real(setup, observers, interrupt, |endpoints, queue| {
            let endpoints = endpoints.clone();
            let factory = Box::new(move || factory(&endpoints));
            Ok(Tested::of(factory, queue))
        }),
    }
}

/// Runs a program as `setup` says; everything that is seen goes to the observers as it happens. `supervisor` is the path of
/// the gwtool executable, which watches over the program in a process of its own.
pub fn run_program<'a>(
    setup: &'a Setup,
    program: &Arc<Program>,
    supervisor: &Path,
    observers: Vec<&'a mut dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Ran, RunError> {
    real(setup, observers, interrupt, |endpoints, queue| {
        let supervisor = Supervisor::start(supervisor).map_err(RunError::Supervisor)?;
        let ours = [
            ("GWTOOL_GATEWAY_URL", endpoints.main.as_str()),
            ("GWTOOL_API_URL", &endpoints.api),
            ("DISCORD_TOKEN", setup.token.expose()),
            ("GWTOOL_SCENARIO", &setup.header.scenario),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        // Ours come last, so that they hold.
        let env = program.env.iter().cloned().chain(ours).collect();
        let (program, interval) = (Arc::clone(program), setup.header.interval);
        let side = ProgramSide::new(program, env, interval, supervisor, queue);
        Ok(Tested::Program(side))
    })
}

/// How long the engine goes on serving a program that is being ended, beyond its grace.
const ENDING: Duration = Duration::from_secs(5);

/// A run on the wall clock, over loopback TCP. What is under test is made once it is known where the listeners are.
fn real<'a>(
    setup: &'a Setup,
    observers: Vec<&'a mut dyn Observer>,
    interrupt: &Interrupt,
    tested: impl FnOnce(&Endpoints, &Arc<Queue>) -> Result<Tested<'a>, RunError>,
) -> Result<Ran, RunError> {
    let runtime = wall::runtime()?;
    let _entered = runtime.enter();
    let listeners = Listeners::new()?;
    let at = |port| listeners.address(port);
    let endpoints = Endpoints {
        main: format!("ws://{}", at(Port::Main)?),
        resume: format!("ws://{}", at(Port::Resume)?),
        api: format!("http://{}/api", at(Port::Rest)?),
    };
    let shown = vec![
        (endpoints.main.clone(), "ws://main"),
        (endpoints.resume.clone(), "ws://resume"),
        (endpoints.api.clone(), "http://rest/api"),
        (at(Port::Main)?.to_string(), "main"),
        (at(Port::Resume)?.to_string(), "resume"),
        (at(Port::Rest)?.to_string(), "rest"),
    ];
    let urls = (endpoints.main.clone(), endpoints.resume.clone());
    let api = Url::parse(&endpoints.api).ok();
    let queue = Arc::new(Queue::default());
    let tested = tested(&endpoints, &queue)?;
    let mut driver = driver(
        setup,
        Network::Real,
        urls,
        (tested, queue),
        observers,
        shown,
    );
    let tls = Tls::trusting_nobody();
    let mut outside = Outside::new(&driver, Some(listeners), api, setup.token.clone(), tls);
    let ended = LocalSet::new().block_on(&runtime, async {
        driver.begin(armed(&setup.header));
        let mut lap = || ControlFlow::Continue(());
        let (outside, timeout) = (&mut outside, setup.timeout);
        let ended = wall::run(&mut driver, outside, interrupt, timeout, &mut lap).await;
        if let (Tested::Program(program), true) = (&driver.subject, ended != Ended::Over) {
            let within = program.grace() + ENDING;
            driver.break_off();
            let nobody = Interrupt::default();
            wall::run(&mut driver, outside, &nobody, Some(within), &mut lap).await;
        }
        ended
    });
    // The subject's timers are gwtool's own, and so are the gateway's: if they were late, what was measured may be the
    // machine's doing.
    let late = driver.late();
    if late > setup.header.interval / 10 {
        let now = driver.now;
        driver.recorder.record(now, Seen::Noisy { late });
    }
    let ran = finish(driver, ended == Ended::Over);
    drop(outside);
    runtime.shutdown_background();
    ran
}

fn armed(header: &Header) -> impl Iterator<Item = u32> {
    let left_in = header
        .schedule
        .iter()
        .zip(0..)
        .filter(|(fault, _)| !fault.is_skipped);
    left_in.map(|(_, place)| place)
}

fn driver<'a>(
    setup: &'a Setup,
    network: Network,
    (main_url, resume_url): (String, String),
    (subject, queue): (Tested<'a>, Arc<Queue>),
    observers: Vec<&'a mut dyn Observer>,
    shown: Vec<(String, &'static str)>,
) -> Driver<'a> {
    let Setup {
        header,
        seed,
        token,
        ..
    } = setup;
    let config = server::Config {
        interval: header.interval,
        token: Some(token.clone()),
        hello_after: setup.hello_after,
        resume_url,
        main_url,
        shards: header.shards,
        traffic: setup.traffic,
        enforce: setup.enforce,
    };
    let gateway = Gateway::new(config, seed.stream(Stream::Gateway));
    let injector = Injector::new(&header.schedule, header.interval);
    let gateway = GatewaySide::new(
        gateway,
        injector,
        setup.on_close,
        setup.latency,
        Arc::clone(&queue),
    );
    let recorder = Recorder::new(
        Some(Progress::new(header)),
        header.vantage,
        observers,
        Redactor::new(token.clone()),
        shown,
    );
    let order = seed.stream(Stream::Link);
    let authorization = format!("Bot {}", token.expose());
    Driver::new(
        Some(gateway),
        subject,
        recorder,
        queue,
        network,
        order,
        authorization,
    )
}

fn finish(mut driver: Driver<'_>, is_complete: bool) -> Result<Ran, RunError> {
    let now = driver.now;
    driver.recorder.record(now, Seen::End { is_complete });
    if let Tested::Program(program) = driver.subject
        && let Some(failure) = program.into_failure()
    {
        return Err(failure);
    }
    Ok(Ran {
        is_complete,
        lasted: now.since(Instant::ZERO),
    })
}
