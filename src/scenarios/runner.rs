//! One run of a scenario with a subject and a seed: everything is drawn, set up, run, and judged.

use super::turns::Turns;
use super::{Ending, Outcome, Scenario};
use crate::expect::{Accepted, Allowances};
use crate::fault::{Act, Action, Kept, Lasts, Trigger};
use crate::faults::schedule;
use crate::machine::Endpoints;
use crate::net::run::{Setup, run as run_engine, run_program};
use crate::net::{Interrupt, RunError};
use crate::oracle::{Counts, Judge, Judgement, Verdict};
use crate::protocol::{Compression, Token};
use crate::seed::{Draw, Seed, Stream};
use crate::subjects::{Need, Settings, Subject};
use crate::time::{Duration, Span, SpanRange};
use crate::trace::{
    Clock, Entry, Header, IdentifyLimit, Observer, ScheduledFault, VERSION, Vantage,
};
use std::io;
use std::path::PathBuf;

/// The heartbeat interval where nobody gives one: Discord's own in virtual time; in real time somebody waits for the result.
pub const fn usual_interval(clock: Clock) -> Duration {
    match clock {
        Clock::Virtual => Duration::from_millis(41_250),
        Clock::Real => Duration::from_secs(2),
    }
}

/// The token that a subject is given. It must never be seen anywhere but in IDENTIFY, RESUME and REST headers.
pub const CANARY: &str = "Z3d0b29s.Q2FuYXJ5.gwtool-canary-token-that-must-never-be-shown";
/// How often a run in real time is repeated, alone, because gwtool's own timers were late.
pub const REPEATS_MAX: u32 = 3;
/// How long a program may take from its start to READY: runtimes and REST calls come before the gateway.
const PROGRAM_LOGIN: Duration = Duration::from_mins(1);
/// Latency each way that the seed draws from in virtual time.
const LATENCY: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));
/// The longest latency that is drawn, as a part of I. An ACK may leave the gateway as late as 0.9 I after its heartbeat came; with
/// the way there and back it has to arrive before I is over, or a sound client is right to take it for missing.
const LATENCY_PART: u32 = 50;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The scenario.
    pub scenario: Scenario,
    /// The subject.
    pub subject: Subject,
    /// The seed.
    pub seed: Seed,
    /// The clock.
    pub clock: Clock,
    /// Whether gateway and REST are served over TLS, in real time.
    pub tls: bool,
    /// I.
    pub interval: Duration,
    /// How long the run may take on the wall clock.
    pub timeout: Option<Duration>,
    /// Whether the outcome keeps the entries of the trace.
    pub keep_entries: bool,
    /// A schedule that was drawn before, to be used again.
    pub schedule: Option<Vec<ScheduledFault>>,
}

/// What runs share: those in real time are made side by side, but some have to be alone.
#[derive(Debug, Default)]
pub struct Machine {
    turns: Turns,
    /// gwtool's own executable, which looks after the programs that are started. Without it no program can be.
    supervisor: Option<PathBuf>,
}

impl Machine {
    /// One that can start programs: `supervisor` is gwtool's own executable.
    pub fn new(supervisor: PathBuf) -> Self {
        Self {
            supervisor: Some(supervisor),
            ..Self::default()
        }
    }

    /// gwtool's own executable, where it is known.
    pub const fn supervisor(&self) -> Option<&PathBuf> {
        self.supervisor.as_ref()
    }
}

impl Plan {
    /// Why the scenario says nothing about this subject at this interval, if it does not.
    fn not_judged(&self) -> Option<String> {
        let least = self
            .scenario
            .min_interval
            .filter(|_| self.clock == Clock::Real);
        if let Some(least) = least.filter(|least| self.interval < *least) {
            let (least, is) = (crate::time::show(least), crate::time::show(self.interval));
            return Some(format!(
                "it needs a heartbeat interval of at least {least}, and it is {is}"
            ));
        }
        let needs = &self.scenario.needs;
        if let Some(missing) = needs.iter().find(|need| !self.subject.can(**need)) {
            return Some(format!("it needs a subject {}", missing.words()));
        }
        self.subject.program()?;
        // What it compresses and how many shards it has a program decides itself.
        let told = Settings {
            compress: Compression::None,
            shards: 1,
            ..self.scenario.settings
        };
        if told != Settings::default() {
            let why = "it gives the subject settings of its own, which a program cannot be told";
            return Some(why.to_owned());
        }
        let keeps_session = |action: &Action<_>| {
            matches!(
                action,
                Action::Subject {
                    act: Act::Start | Act::Restart,
                    session: Kept::Kept,
                    ..
                }
            )
        };
        let mut faults = self.scenario.faults.iter();
        let why = "it hands the subject its old session, which a new process does not have";
        faults
            .any(|fault| keeps_session(&fault.action))
            .then(|| why.to_owned())
    }

    /// Findings of this run that are known, by their ids.
    fn known(&self) -> Vec<(String, Accepted)> {
        let program = self.subject.program();
        let accepted = program.into_iter().flat_map(|program| &program.accepted);
        accepted
            .filter(|one| one.covers(&self.scenario.name))
            .map(|one| (one.finding.clone(), one.why.clone()))
            .collect()
    }

    /// How long a login may take with these allowances.
    pub fn login_within(&self, allowances: &Allowances) -> Duration {
        let usual = match self.subject {
            Subject::Machine(_) => allowances.attempt() + allowances.identify,
            Subject::Program(_) => PROGRAM_LOGIN,
        };
        let span = self.scenario.login_within;
        span.map_or(usual, |span| span.at(self.interval))
    }

    /// Everything that decides the run, drawn. For a machine that is no subject of gwtool's, the name, the allowances and the
    /// time for the login in the header are the caller's to replace.
    pub fn setup(&self) -> Setup {
        let Self {
            scenario,
            subject,
            seed,
            clock,
            ..
        } = self;
        let interval = self.interval;
        let mut draw = seed.stream(Stream::Schedule);
        let schedule = match &self.schedule {
            Some(schedule) => schedule.clone(),
            None => schedule::draw(&scenario.faults, interval, &mut draw),
        };
        let allowances = subject.allowances(&scenario.settings, interval);
        let at = |span: Span| span.at(interval);
        let latency = match (scenario.latency, clock) {
            (Some(range), _) => drawn(range, interval, &mut seed.stream(Stream::Link)),
            (None, Clock::Virtual) => {
                let longest = interval / LATENCY_PART;
                let (min, max) = (LATENCY.0.min(longest), LATENCY.1.min(longest));
                seed.stream(Stream::Link).duration(min, max)
            }
            (None, Clock::Real) => Duration::ZERO,
        };
        let enforce = scenario.enforce;
        let header = Header {
            gwtool_trace: VERSION,
            gwtool: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: scenario.name.clone(),
            seed: seed.to_string(),
            clock: *clock,
            vantage: Vantage::Gateway,
            interval,
            subject: subject.to_string(),
            allowances,
            login_within: self.login_within(&allowances),
            chaos: scenario
                .chaos
                .map(at)
                .unwrap_or_default()
                .max(last_at(&schedule)),
            recover_within: at(scenario.recover_within),
            ends: scenario.ends,
            on_close: scenario.on_close.answer,
            shards: scenario.settings.shards,
            identify_limit: IdentifyLimit {
                starts: enforce.identifies,
                reset_after: enforce.reset_after,
                max_concurrency: enforce.max_concurrency,
            },
            expect: scenario.expect.clone(),
            schedule,
            // Whether a program reports what it delivered is seen when it does.
            sees_delivery: subject.program().is_none(),
            sees_process: subject.program().is_some(),
        };
        Setup {
            header,
            seed: *seed,
            token: Token::new(CANARY),
            hello_after: at(scenario.hello_after),
            on_close: scenario
                .on_close
                .map(|range| drawn(range, interval, &mut draw)),
            traffic: scenario.traffic.map(at),
            enforce,
            style: scenario.json,
            latency,
            tls: self.tls,
            timeout: self.timeout,
        }
    }
}

/// A range resolved at I and drawn.
fn drawn(range: SpanRange, interval: Duration, draw: &mut Draw) -> Duration {
    draw.duration(range.min.at(interval), range.max.at(interval))
}

/// When the last fault with a time of its own is over.
fn last_at(schedule: &[ScheduledFault]) -> Duration {
    let ends = schedule.iter().filter(|fault| !fault.is_skipped).map(
        |ScheduledFault { fault, .. }| match (&fault.trigger, fault.lasts) {
            (Trigger::At { after, .. }, Lasts::For(time)) => *after + time,
            (Trigger::At { after, .. }, _) => *after,
            (Trigger::Every { .. } | Trigger::On { .. }, _) => Duration::ZERO,
        },
    );
    ends.max().unwrap_or_default()
}

/// Runs a plan and judges what was seen. Observers see the header and then every entry; a run that is repeated begins again.
pub fn run(
    plan: &Plan,
    observers: &mut [&mut dyn Observer],
    machine: &Machine,
    interrupt: &Interrupt,
) -> Result<Outcome, RunError> {
    let setup = plan.setup();
    if let Some(reason) = plan.not_judged() {
        return Ok(unseen(setup.header, Verdict::NotJudged, reason));
    }
    let (outcome, repeats) = repeated(machine, interrupt, || {
        once(plan, &setup, observers, machine, interrupt)
    })?;
    Ok(Outcome { repeats, ..outcome })
}

/// Does it beside others, and then alone for as long as it says that it was noisy; gives how often it was repeated.
fn repeated<T>(
    machine: &Machine,
    interrupt: &Interrupt,
    mut once: impl FnMut() -> Result<(T, bool), RunError>,
) -> Result<(T, u32), RunError> {
    let (mut came, mut is_noisy) = {
        let _together = machine.turns.together();
        once()?
    };
    let mut repeats = 0;
    while is_noisy && repeats < REPEATS_MAX {
        // Where the user wants an end, what there is is better than a run that is cut off.
        let Some(_alone) = machine.turns.alone(|| !interrupt.is_raised()) else {
            break;
        };
        repeats += 1;
        (came, is_noisy) = once()?;
    }
    Ok((came, repeats))
}

/// One run; and whether it was noisy.
#[expect(
    clippy::disallowed_methods,
    reason = "a report says how long a run took on the wall clock; nothing in the run depends on it"
)]
fn once(
    plan: &Plan,
    setup: &Setup,
    observers: &mut [&mut dyn Observer],
    machine: &Machine,
    interrupt: &Interrupt,
) -> Result<(Outcome, bool), RunError> {
    let started = std::time::Instant::now();
    let mut judge = Judge::new(&setup.header).accepting(plan.known());
    let mut entries: Vec<Entry> = Vec::new();
    for observer in observers.iter_mut() {
        observer.begin(&setup.header);
    }
    let mut all: Vec<&mut dyn Observer> = vec![&mut judge];
    if plan.keep_entries {
        all.push(&mut entries);
    }
    for observer in observers.iter_mut() {
        all.push(&mut **observer);
    }
    let ran = match &plan.subject {
        Subject::Machine(name) => {
            let factory = |endpoints: &Endpoints| {
                let draw = setup.seed.stream(Stream::Subject);
                name.machine(endpoints, &setup.token, &plan.scenario.settings, draw)
            };
            run_engine(setup, factory, all, interrupt)?
        }
        Subject::Program(program) => {
            let supervisor = machine.supervisor().ok_or_else(|| {
                let why = io::Error::other("nobody said where gwtool's executable is");
                RunError::Supervisor(why)
            })?;
            run_program(setup, program, supervisor, all, interrupt)?
        }
    };
    let ending = if ran.is_complete {
        Ending::Complete
    } else if interrupt.is_raised() {
        Ending::Interrupted
    } else {
        Ending::TimedOut
    };
    let is_noisy = judge.is_noisy();
    let judgement = judge.finish();
    let outcome = Outcome {
        header: setup.header.clone(),
        judgement,
        entries,
        took: started.elapsed(),
        ending,
        repeats: 0,
    };
    Ok((outcome, is_noisy))
}

/// What comes of a plan that is not run, since the subject was not well before anything was done to it.
pub fn not_run(plan: &Plan, reason: String) -> Outcome {
    let header = plan.setup().header;
    Outcome {
        ending: Ending::NotMade,
        ..unseen(header, Verdict::Inconclusive, reason)
    }
}

/// An outcome without a run.
fn unseen(header: Header, verdict: Verdict, reason: String) -> Outcome {
    let judgement = Judgement {
        verdict,
        reasons: vec![reason],
        evidence: Vec::new(),
        findings: Vec::new(),
        rules: Vec::new(),
        not_judged: Vec::new(),
        watched: Duration::ZERO,
        counts: Counts::default(),
    };
    Outcome {
        header,
        judgement,
        entries: Vec::new(),
        took: Duration::ZERO,
        ending: Ending::Complete,
        repeats: 0,
    }
}

impl Need {
    /// What a subject has to be.
    const fn words(self) -> &'static str {
        match self {
            Self::Commands => "whose application can be told to send commands",
            Self::Compression => "that can be told to use compression",
            Self::Delivery => "that reports what it delivered",
            Self::Process => "that is a program",
            Self::Shards => "that can be told to bring up several shards",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::{catalogue, load};
    use crate::subjects::Name;
    use crate::subjects::program::{Acceptance, Program};
    use std::sync::Arc;

    fn scenario(text: &str) -> Scenario {
        let text = format!("[mine]\nsummary = \"\"\n{text}\n");
        let mut all = load::load(&text, "mine.toml", Clock::Virtual)
            .unwrap_or_else(|problems| panic!("{problems}"));
        all.remove(0)
    }

    fn program() -> Program {
        Program::new(vec!["bot".to_owned()])
    }

    fn plan(scenario: Scenario, subject: Subject) -> Plan {
        Plan {
            scenario,
            subject,
            seed: Seed(1),
            clock: Clock::Virtual,
            tls: false,
            interval: usual_interval(Clock::Virtual),
            timeout: None,
            keep_entries: false,
            schedule: None,
        }
    }

    fn why(scenario: Scenario) -> Option<String> {
        plan(scenario, Subject::Program(Arc::new(program()))).not_judged()
    }

    #[test]
    fn what_a_program_cannot_be_told_is_not_judged() {
        let settings = || scenario("settings = { attempts = 3 }");
        assert_eq!(
            why(settings()).as_deref(),
            Some("it gives the subject settings of its own, which a program cannot be told")
        );
        assert_eq!(plan(settings(), Name::Gwtool.into()).not_judged(), None);
        let restart = |keys: &str| {
            scenario(&format!(
                "fault = [{{ at = \"1I\", do = \"subject\", act = \"restart\"{keys} }}]"
            ))
        };
        assert_eq!(
            why(restart("")).as_deref(),
            Some("it hands the subject its old session, which a new process does not have")
        );
        assert_eq!(why(restart(", session = \"none\"")), None);
        assert_eq!(
            why(scenario("needs = [\"commands\"]")).as_deref(),
            Some("it needs a subject whose application can be told to send commands")
        );
        assert_eq!(why(catalogue::control(Clock::Virtual)), None);
    }

    #[test]
    fn a_program_chooses_compression_and_shards_itself_and_a_machine_has_to_have_them() {
        let cases = [
            (
                "compress = \"zlib-stream\"",
                "it needs a subject that can be told to use compression",
            ),
            (
                "needs = [\"compression\"]",
                "it needs a subject that can be told to use compression",
            ),
            (
                "shards = 2",
                "it needs a subject that can be told to bring up several shards",
            ),
        ];
        for (keys, reason) in cases {
            assert_eq!(why(scenario(keys)), None, "{keys}");
            let of_carbon = plan(scenario(keys), Name::Carbon.into()).not_judged();
            assert_eq!(of_carbon.as_deref(), Some(reason), "{keys}");
        }
    }

    #[test]
    fn a_run_knows_what_is_accepted_in_its_scenario_only() {
        let acceptance = |scenario: &str, finding: &str| Acceptance {
            scenario: scenario.to_owned(),
            finding: finding.to_owned(),
            why: Accepted {
                reason: "known".to_owned(),
                link: None,
            },
        };
        let program = Program {
            accepted: vec![acceptance("mine", "died"), acceptance("flap", "hung")],
            ..program()
        };
        let known = plan(scenario(""), Subject::Program(Arc::new(program))).known();
        let ids: Vec<&str> = known.iter().map(|(id, _)| &**id).collect();
        assert_eq!(ids, ["died"]);
        assert!(plan(scenario(""), Name::Gwtool.into()).known().is_empty());
    }

    #[test]
    fn the_control_run_is_short_and_a_sound_subject_conforms() {
        for subject in Name::ALL {
            let plan = plan(catalogue::control(Clock::Virtual), subject.into());
            let outcome = run(&plan, &mut [], &Machine::default(), &Interrupt::default())
                .expect("the run is made");
            let Judgement {
                verdict,
                reasons,
                watched,
                ..
            } = outcome.judgement;
            assert_eq!(
                (verdict, reasons),
                (Verdict::Conforms, Vec::new()),
                "{subject}"
            );
            assert_eq!(outcome.ending, Ending::Complete);
            assert!(
                watched < plan.interval * 5,
                "{subject} was watched {watched:?}"
            );
        }
    }

    #[test]
    fn what_is_noisy_is_repeated_until_it_is_not_or_the_user_wants_an_end() {
        let machine = Machine::default();
        let after = |noisy: u32, stop_at: u32| {
            let stop = Interrupt::default();
            let mut made = 0;
            let came = repeated(&machine, &stop, || {
                made += 1;
                if made == stop_at {
                    stop.raise();
                }
                Ok((made, made <= noisy))
            });
            came.expect("nothing fails here")
        };
        assert_eq!(after(0, 0), (1, 0));
        assert_eq!(after(2, 0), (3, 2));
        assert_eq!(after(100, 0), (1 + REPEATS_MAX, REPEATS_MAX));
        assert_eq!(after(100, 2), (2, 1));
    }

    /// Another run goes on until the user ends it.
    #[test]
    fn a_repetition_that_waited_for_a_run_that_the_user_ended_is_not_begun() {
        let (machine, stop) = (Machine::default(), Interrupt::default());
        let (to, made) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let other = machine.turns.together();
            let (machine, stop) = (&machine, &stop);
            let run = scope.spawn(move || {
                repeated(machine, stop, || {
                    to.send(()).expect("somebody listens");
                    Ok(((), true))
                })
            });
            made.recv().expect("it is made once");
            stop.raise();
            drop(other);
            let came = run.join().expect("it does not panic");
            assert_eq!(came.expect("nothing fails here"), ((), 0));
        });
    }

    #[test]
    fn a_run_that_is_interrupted_is_not_complete() {
        let stop = Interrupt::default();
        stop.raise();
        let plan = plan(catalogue::control(Clock::Virtual), Name::Gwtool.into());
        let outcome = run(&plan, &mut [], &Machine::default(), &stop).expect("the run is made");
        assert_eq!(outcome.ending, Ending::Interrupted);
        assert_eq!(outcome.judgement.verdict, Verdict::Inconclusive);
    }
}
