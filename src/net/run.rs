//! One run of a subject against the fake gateway, on either clock.

use super::dial::Tls;
use super::driver::{Driver, MAIN_HOST, Network, RESUME_HOST, Tested};
use super::gateway_side::GatewaySide;
use super::process::Supervisor;
use super::program_side::ProgramSide;
use super::record::Recorder;
use super::tls::Authority;
use super::wake::Queue;
use super::wall::{self, Ended, Listeners, Outside};
use super::{Interrupt, RunError};
use crate::fault::{OnClose, Port};
use crate::faults::injector::{Attempts, Injector};
use crate::machine::{Endpoints, Machine};
use crate::progress::Progress;
use crate::protocol::Token;
use crate::seed::{Seed, Stream};
use crate::server::gateway::Gateway;
use crate::server::style::Style;
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
    /// How the gateway writes JSON.
    pub style: Style,
    /// Latency each way.
    pub latency: Duration,
    /// Whether gateway and REST are served over TLS, by an authority that the subject is told to trust. Virtual time has none.
    pub tls: bool,
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
        Clock::Real => {
            let authority = setup.tls.then(Authority::new).transpose()?;
            let tls = (authority.as_ref()).map_or_else(Tls::trusting_nobody, Authority::client);
            run_real(
                setup,
                factory,
                observers,
                interrupt,
                authority.as_ref(),
                tls,
            )
        }
    }
}

/// Runs a machine over loopback TCP: with an authority over TLS, which the machine takes for good if `tls` does.
fn run_real<'a>(
    setup: &'a Setup,
    mut factory: impl FnMut(&Endpoints) -> Box<dyn Machine> + 'a,
    observers: Vec<&'a mut dyn Observer>,
    interrupt: &Interrupt,
    authority: Option<&Authority>,
    tls: Tls,
) -> Result<Ran, RunError> {
    real(
        setup,
        observers,
        interrupt,
        (authority, tls),
        |endpoints, queue| {
            let endpoints = endpoints.clone();
            Ok(Tested::of(Box::new(move || factory(&endpoints)), queue))
        },
    )
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
    let authority = setup.tls.then(Authority::new).transpose()?;
    let file = authority.as_ref().map(Authority::file).transpose();
    // It is there until the run is over.
    let file = file.map_err(RunError::AuthorityFile)?;
    let secure = (authority.as_ref(), Tls::trusting_nobody());
    real(setup, observers, interrupt, secure, |endpoints, queue| {
        let supervisor = Supervisor::start(supervisor).map_err(RunError::Supervisor)?;
        let mut env = program.env.clone();
        let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
        // A proxy that the user has for the world outside knows no port of this machine.
        for name in NO_PROXY {
            let usual = std::env::var(name).ok().filter(|usual| !usual.is_empty());
            let usual = usual.map_or_else(String::new, |usual| usual + ",");
            set(name, &format!("{usual}127.0.0.1,localhost"));
        }
        // These come last, so that they hold.
        set("GWTOOL_GATEWAY_URL", &endpoints.main);
        set("GWTOOL_API_URL", &endpoints.api);
        set("GWTOOL_SCENARIO", &setup.header.scenario);
        set("DISCORD_TOKEN", setup.token.expose());
        if let Some(file) = &file {
            for name in AUTHORITY_FILES {
                set(name, &file.path().to_string_lossy());
            }
        }
        let (program, interval) = (Arc::clone(program), setup.header.interval);
        let side = ProgramSide::new(program, env, interval, supervisor, queue);
        Ok(Tested::Program(Box::new(side)))
    })
}

/// By which variables programs learn which hosts are reached without a proxy; some read only one of them.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// By which variables programs learn of a certificate authority: Node.js, OpenSSL and most of what is built on it, Python's
/// requests.
const AUTHORITY_FILES: [&str; 3] = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
/// How long the engine goes on serving a program that is being ended, beyond its grace.
const ENDING: Duration = Duration::from_secs(5);

/// A run on the wall clock, over loopback TCP. What is under test is made once it is known where the listeners are.
fn real<'a>(
    setup: &'a Setup,
    observers: Vec<&'a mut dyn Observer>,
    interrupt: &Interrupt,
    (authority, tls): (Option<&Authority>, Tls),
    tested: impl FnOnce(&Endpoints, &Arc<Queue>) -> Result<Tested<'a>, RunError>,
) -> Result<Ran, RunError> {
    let runtime = wall::runtime()?;
    let _entered = runtime.enter();
    let listeners = Listeners::new()?;
    let main = listeners.address(Port::Main)?.to_string();
    let resume = listeners.address(Port::Resume)?.to_string();
    let rest = listeners.address(Port::Rest)?.to_string();
    let (ws, http) = match authority {
        Some(_) => ("wss", "https"),
        None => ("ws", "http"),
    };
    let endpoints = Endpoints {
        main: format!("{ws}://{main}"),
        resume: format!("{ws}://{resume}"),
        api: format!("{http}://{rest}/api"),
    };
    // With their scheme in front of them they are still addresses.
    let shown = vec![(main, "main"), (resume, "resume"), (rest, "rest")];
    let urls = (endpoints.main.clone(), endpoints.resume.clone());
    let api = Url::parse(&endpoints.api).ok();
    let queue = Arc::new(Queue::default());
    let tested = (tested(&endpoints, &queue)?, queue);
    let mut driver = driver(setup, Network::Real, urls, tested, observers, shown);
    let outside = Outside::new(&driver, Some(listeners), api, setup.token.clone(), tls);
    let mut outside = outside.secured_by(authority.map(Authority::server));
    let is_complete = LocalSet::new().block_on(&runtime, async {
        driver.begin(armed(&setup.header));
        let mut lap = || ControlFlow::Continue(());
        let (outside, timeout) = (&mut outside, setup.timeout);
        let ended = wall::run(&mut driver, outside, interrupt, timeout, &mut lap).await;
        // A program that is only waited for has shown what it was to show.
        let is_complete = ended == Ended::Over || driver.is_watched_to_its_end();
        if let (Tested::Program(program), true) = (&driver.subject, ended != Ended::Over) {
            let within = program.grace() + ENDING;
            driver.break_off();
            let nobody = Interrupt::default();
            wall::run(&mut driver, outside, &nobody, Some(within), &mut lap).await;
        }
        is_complete
    });
    // The timers of a machine are gwtool's own, and so are the gateway's: if they were late, what was measured may be this
    // machine's doing.
    let late = driver.late();
    if late > setup.header.interval / 10 {
        let now = driver.now;
        driver.recorder.record(now, Seen::Noisy { late });
    }
    let ran = finish(driver, is_complete);
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
    let attempts = match &subject {
        Tested::Machine(..) => Attempts::Seen,
        Tested::Program(_) => Attempts::Unseen,
    };
    let injector = Injector::new(&header.schedule, header.interval, attempts);
    let gateway = GatewaySide::new(
        gateway,
        injector,
        setup.on_close,
        setup.latency,
        (setup.style, seed.stream(Stream::Bytes)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Judge, Judgement, Verdict};
    use crate::scenarios::load;
    use crate::scenarios::runner::Plan;
    use crate::subjects::Name;
    use crate::trace::Entry;

    const SCENARIO: &str = "[case]\nsummary = \"a test\"\nlogin_within = \"1s\"\n";

    /// What is seen of a subject that does not trust the authority of its run.
    fn distrusting(subject: Name) -> (Vec<Entry>, Judgement) {
        let scenario = load::load(SCENARIO, "test.toml", Clock::Real)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .remove(0);
        let plan = Plan {
            subject: subject.into(),
            seed: Seed(1),
            clock: Clock::Real,
            tls: true,
            interval: Duration::from_millis(500),
            timeout: Some(Duration::from_mins(2)),
            keep_entries: false,
            schedule: None,
            scenario,
        };
        let setup = plan.setup();
        let mut entries: Vec<Entry> = Vec::new();
        let mut judge = Judge::new(&setup.header);
        let factory = |to: &Endpoints| {
            let draw = setup.seed.stream(Stream::Subject);
            subject.machine(to, &setup.token, &plan.scenario.settings, draw)
        };
        let authority = Authority::new().expect("a certificate can be made");
        let observers: Vec<&mut dyn Observer> = vec![&mut entries, &mut judge];
        let interrupt = Interrupt::default();
        let tls = Tls::trusting_nobody();
        let ran = run_real(
            &setup,
            factory,
            observers,
            &interrupt,
            Some(&authority),
            tls,
        );
        let ran = ran.expect("a run needs no more than this machine");
        assert!(ran.is_complete, "it ends by itself");
        (entries, judge.finish())
    }

    /// Our client asks REST first, and so never comes to the gateway; the Carbon port begins with the gateway.
    #[test]
    fn a_subject_that_does_not_trust_the_authority_is_told_of_and_is_inconclusive() {
        for (subject, port) in [(Name::Gwtool, Port::Rest), (Name::Carbon, Port::Main)] {
            let (entries, judgement) = distrusting(subject);
            let why = entries.iter().find_map(|entry| match &entry.saw {
                Seen::TlsFailed {
                    port: at,
                    connection,
                    why,
                } if *at == port => Some((connection.is_some(), why.as_str())),
                _ => None,
            });
            let expected = "received fatal alert: UnknownCA; \
                            the subject does not trust the authority that was made for this run";
            assert_eq!(why, Some((port == Port::Main, expected)), "{entries:#?}");
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:#?}");
            let reason = format!("TLS failed: {expected}");
            assert!(judgement.reasons.contains(&reason), "{judgement:#?}");
            // How it leaves is seen behind it.
            if port == Port::Main {
                let left = |entry: &Entry| {
                    matches!(
                        entry.saw,
                        Seen::Fin {
                            connection: 1,
                            from: crate::trace::Side::Subject,
                            ..
                        }
                    )
                };
                assert!(entries.iter().any(left), "{entries:#?}");
            }
        }
    }
}
