//! `gwtool chaos`: scenarios against subjects, judged.
//!
//! Arguments become a list of jobs, scenarios by subjects in the order of the catalogue; jobs run on threads; what came of them
//! becomes a report, which goes to files and to stdout, and the exit code.

use super::args::{Format, ReportArg, Time, duration, interval, report, shell_word};
use super::catalogue::Choice;
use super::failure::Failure;
use super::sinks::{RunName, Sinks, TraceFile};
use super::{Shared, exit, output, pool};
use crate::net::Interrupt;
use crate::oracle::Verdict;
use crate::reports::terminal::{self, Rows};
use crate::reports::timeline::{Detail, Timeline};
use crate::reports::{Report, Run, Totals, plural, verdict};
use crate::scenarios::{Outcome, Scenario, runner};
use crate::seed::Seed;
use crate::subjects::{Name, Subject};
use crate::time::{Duration, show};
use crate::trace::{Clock, Entry, Header, Observer, Reader};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Runs in real time mostly wait, but their timers have to be served in time.
const JOBS_REAL: usize = 8;
/// In virtual time the timeline is written in pieces of about this size.
const PIECE: usize = 16 * 1024;

/// What `chaos` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run this scenario: a name, a name with all its variants, or an alias (may be repeated) [default: all]
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// What to test (may be repeated) [default: gwtool]
    #[arg(long = "subject", value_name = "NAME", value_parser = subject())]
    subjects: Vec<Name>,
    /// Where all that is left to chance comes from [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<Seed>,
    /// Whose clock
    #[arg(long, value_enum, default_value_t)]
    time: Time,
    /// Serve the gateway and its REST over TLS, with an authority made for the run (in real time only)
    #[arg(long)]
    tls: bool,
    /// The heartbeat interval I [default: the scenario's, else 41.25s in virtual and 2s in real time]
    #[arg(long, value_name = "DUR", value_parser = interval, allow_hyphen_values = true)]
    interval: Option<Duration>,
    #[command(flatten)]
    choice: Choice,
    /// Give up on a run after this long on the wall clock
    #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// How many runs at a time [default: one a core; in real time 8]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Stop at the first run that fails
    #[arg(long)]
    fail_fast: bool,
    /// Let broken SHOULD rules and slow recoveries fail as well
    #[arg(long)]
    strict: bool,
    /// Write a report: json, junit or trace (may be repeated)
    #[arg(long = "report", value_name = "FORMAT=PATH", value_parser = report)]
    reports: Vec<ReportArg>,
    /// Take the scenario's name, seed, clock, I and the drawn schedule from a trace
    #[arg(long, value_name = "TRACE",
          conflicts_with_all = ["scenarios", "seed", "time", "interval", "tags", "skip"])]
    replay: Option<PathBuf>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Subjects by name, so that a wrong one is answered with the right ones.
fn subject() -> impl TypedValueParser<Value = Name> {
    let names = Name::ALL.iter().map(ToString::to_string);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Name>())
}

/// Runs, reports, and says how it ended.
pub fn run(args: &Args, shared: Shared, stop: &Interrupt) -> Result<u8, Failure> {
    let began = Instant::now();
    let plan = Plan::of(args, shared)?;
    let sinks = Sinks::open(&args.reports, &plan.names())?;
    announce(&plan, args.format, shared)?;

    let planned = plan.jobs.len();
    let done = perform(plan, args, &sinks, shared, stop);
    let report = Report {
        runs: done.runs,
        planned,
        is_interrupted: stop.is_raised(),
        is_strict: args.strict,
        took: began.elapsed(),
    };
    // Files first: a reader of stdout that has gone away is no reason to lose them.
    sinks.write(&report)?;
    done.traced?;
    done.watching?;
    output::print(shared.color, &result(&report, args.format, shared))?;
    Ok(exit_code(&report.totals(), stop.is_raised()))
}

/// Everything that the arguments and the files they name come to.
struct Plan {
    seed: Seed,
    /// Whether nobody chose the seed.
    is_drawn: bool,
    clock: Clock,
    jobs: Vec<runner::Plan>,
}

/// What a trace says of the run that it was made of.
struct Recorded {
    header: Header,
    seed: Seed,
    subject: Name,
}

impl Plan {
    fn of(args: &Args, shared: Shared) -> Result<Self, Failure> {
        let recorded = args.replay.as_deref().map(recorded).transpose()?;
        let clock = recorded
            .as_ref()
            .map_or_else(|| args.time.into(), |recorded| recorded.header.clock);
        if args.tls && clock == Clock::Virtual {
            let hint = match &args.replay {
                Some(_) => "this trace is one of virtual time: leave `--tls` out",
                None => "add `--time real`",
            };
            return Err(
                Failure::new("`--tls` needs real time, where there are sockets").hint(hint),
            );
        }
        let all = args.choice.all(clock, shared.color)?;
        let selected = match &recorded {
            Some(recorded) => {
                let names = [recorded.header.scenario.clone()];
                Choice::default().select(&all, &names)?
            }
            None => args.choice.select(&all, &args.scenarios)?,
        };
        let seed = recorded
            .as_ref()
            .map(|recorded| recorded.seed)
            .or(args.seed);
        let mut plan = Self {
            // Short enough to be read out; a seed is 64 bits for those who need more.
            seed: seed.unwrap_or_else(|| Seed(rand::random::<u32>().into())),
            is_drawn: seed.is_none(),
            clock,
            jobs: Vec::new(),
        };
        let subjects = subjects(args, recorded.as_ref());
        for scenario in selected {
            for subject in &subjects {
                let job = plan.job(args, recorded.as_ref(), scenario, subject);
                plan.jobs.push(job);
            }
        }
        Ok(plan)
    }

    fn job(
        &self,
        args: &Args,
        recorded: Option<&Recorded>,
        scenario: &Scenario,
        subject: &Subject,
    ) -> runner::Plan {
        let usual = runner::usual_interval(self.clock);
        let chosen = recorded
            .map(|recorded| recorded.header.interval)
            .or(args.interval);
        runner::Plan {
            scenario: scenario.clone(),
            subject: subject.clone(),
            seed: self.seed,
            clock: self.clock,
            tls: args.tls,
            interval: chosen.or(scenario.interval).unwrap_or(usual),
            timeout: args.timeout,
            keep_entries: false,
            schedule: recorded.map(|recorded| recorded.header.schedule.clone()),
        }
    }

    fn names(&self) -> Vec<RunName> {
        let name = |job: &runner::Plan| RunName {
            scenario: job.scenario.name.clone(),
            subject: job.subject.to_string(),
        };
        self.jobs.iter().map(name).collect()
    }
}

/// Each subject once, in the order in which they were given.
fn subjects(args: &Args, recorded: Option<&Recorded>) -> Vec<Subject> {
    if args.subjects.is_empty() {
        return vec![
            recorded
                .map_or(Name::Gwtool, |recorded| recorded.subject)
                .into(),
        ];
    }
    let mut subjects = Vec::new();
    for subject in &args.subjects {
        let subject = Subject::from(*subject);
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    subjects
}

fn recorded(path: &Path) -> Result<Recorded, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("open the trace", path, &error))?;
    let (header, _) = Reader::new(BufReader::new(file)).map_err(|error| {
        let text = format!("failed to read the trace `{}`: {error}", path.display());
        Failure::new(text).hint("`--report trace=PATH` writes a trace that can be replayed")
    })?;
    let seed = header.seed.parse().map_err(|error| Failure::of(&error))?;
    let subject = header.subject.parse::<Name>().map_err(|error| {
        Failure::of(&error).hint("choose another subject for this schedule with `--subject`")
    })?;
    Ok(Recorded {
        header,
        seed,
        subject,
    })
}

/// The command that makes a run again: every flag that changes it.
fn reproduce(args: &Args, job: &runner::Plan) -> String {
    let mut words = vec!["gwtool".to_owned(), "chaos".to_owned()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), shell_word(&value)]);
    let path = |path: &Path| path.display().to_string();
    if let Some(replay) = &args.replay {
        flag("--replay", path(replay));
        flag("--subject", job.subject.to_string());
    } else {
        flag("--scenario", job.scenario.name.clone());
        flag("--subject", job.subject.to_string());
        flag("--seed", job.seed.to_string());
        if let Some(interval) = args.interval {
            flag("--interval", exact(interval));
        }
        if job.clock == Clock::Real {
            flag("--time", "real".to_owned());
        }
    }
    if let Some(file) = &args.choice.file {
        flag("--scenarios", path(file));
    }
    if let Some(timeout) = args.timeout {
        flag("--timeout", exact(timeout));
    }
    if args.tls {
        words.push("--tls".to_owned());
    }
    if args.strict {
        words.push("--strict".to_owned());
    }
    words.join(" ")
}

/// A duration as flags read it, without loss.
fn exact(duration: Duration) -> String {
    let short = show(duration);
    if super::args::duration(&short) == Ok(duration) {
        short
    } else {
        format!("{}ns", duration.as_nanos())
    }
}

/// Says before the run what is about to happen, the seed above all.
fn announce(plan: &Plan, format: Format, shared: Shared) -> Result<(), Failure> {
    let clock = match plan.clock {
        Clock::Virtual => "virtual",
        Clock::Real => "real",
    };
    match format {
        // One run begins with its own heading.
        Format::Human if plan.jobs.len() == 1 && !shared.quiet => Ok(()),
        Format::Human => {
            let runs = plural(plan.jobs.len(), "run");
            let text = format!("{runs} in {clock} time, seed {}\n", plan.seed);
            output::print(shared.color, &text)
        }
        Format::Json => {
            if plan.is_drawn {
                output::talk(shared.color, &format!("seed {} (drawn)\n", plan.seed));
            }
            Ok(())
        }
    }
}

/// What came of the jobs.
struct Done {
    runs: Vec<Run>,
    /// What became of the trace files.
    traced: Result<(), Failure>,
    /// What became of the timeline on stdout.
    watching: Result<(), Failure>,
}

/// One job on its way to a thread.
struct Job {
    plan: runner::Plan,
    reproduce: String,
    traces: Vec<PathBuf>,
}

/// One job come back.
struct Finished {
    run: Run,
    traced: Result<(), Failure>,
    watching: Result<(), Failure>,
}

fn perform(plan: Plan, args: &Args, sinks: &Sinks, shared: Shared, stop: &Interrupt) -> Done {
    let threads = args.jobs.map_or_else(
        || match plan.clock {
            Clock::Virtual => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Clock::Real => JOBS_REAL,
        },
        NonZeroUsize::get,
    );
    let is_single = plan.jobs.len() == 1;
    let live = (is_single && args.format == Format::Human && !shared.quiet).then_some(shared);
    let bar = progress(plan.jobs.len(), shared);
    let jobs: Vec<Job> = plan
        .jobs
        .into_iter()
        .enumerate()
        .map(|(place, plan)| Job {
            reproduce: reproduce(args, &plan),
            traces: sinks.traces(place).to_vec(),
            plan,
        })
        .collect();
    let (fail_fast, is_strict) = (args.fail_fast, args.strict);
    let machine = Arc::new(runner::Machine::default());
    let interrupt = stop.clone();
    let finished = pool::run(
        jobs,
        threads,
        stop,
        move |job| execute(job, live, &machine, &interrupt),
        |finished| {
            bar.inc(1);
            if fail_fast && has_failed(&finished.run, is_strict) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    bar.finish_and_clear();

    let mut done = Done {
        runs: Vec::with_capacity(finished.len()),
        traced: Ok(()),
        watching: Ok(()),
    };
    for finished in finished {
        done.traced = done.traced.and(finished.traced);
        done.watching = done.watching.and(finished.watching);
        done.runs.push(finished.run);
    }
    done
}

/// Makes one run. This is the one place that knows how the runner is called.
fn execute(
    job: &Job,
    live: Option<Shared>,
    machine: &runner::Machine,
    interrupt: &Interrupt,
) -> Finished {
    let mut traces: Vec<TraceFile> = job.traces.iter().cloned().map(TraceFile::new).collect();
    let mut live = live.map(Live::new);
    let mut observers: Vec<&mut dyn Observer> = Vec::new();
    observers.extend(traces.iter_mut().map(|trace| trace as &mut dyn Observer));
    observers.extend(live.iter_mut().map(|live| live as &mut dyn Observer));

    let result: Result<Outcome, _> = runner::run(&job.plan, &mut observers, machine, interrupt);
    Finished {
        run: Run {
            scenario: job.plan.scenario.name.clone(),
            subject: job.plan.subject.to_string(),
            reproduce: job.reproduce.clone(),
            result: result.map_err(|error| with_causes(&error)),
        },
        traced: traces.into_iter().try_for_each(TraceFile::finish),
        watching: live.map_or(Ok(()), Live::finish),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn has_failed(run: &Run, is_strict: bool) -> bool {
    match &run.result {
        Err(_) => true,
        Ok(outcome) => verdict(&outcome.judgement, is_strict) == Verdict::Violates,
    }
}

/// Progress on stderr, where somebody watches and there is more than one thing to wait for.
fn progress(runs: usize, shared: Shared) -> ProgressBar {
    if runs < 2 || shared.quiet || !output::is_watched() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {elapsed}")
        .expect("the template is well formed");
    let total = u64::try_from(runs).unwrap_or(u64::MAX);
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style)
}

/// Prints the timeline of the only run as it happens.
struct Live {
    shared: Shared,
    timeline: Option<Timeline>,
    text: String,
    /// From how much text on it is written out.
    piece: usize,
    written: Result<(), Failure>,
}

impl Live {
    fn new(shared: Shared) -> Self {
        Self {
            shared,
            timeline: None,
            text: String::new(),
            piece: PIECE,
            written: Ok(()),
        }
    }

    fn write(&mut self) {
        if self.written.is_ok() && !self.text.is_empty() {
            self.written = output::print(self.shared.color, &self.text);
        }
        self.text.clear();
    }

    fn finish(mut self) -> Result<(), Failure> {
        if let Some(timeline) = self.timeline.take() {
            timeline.finish(&mut self.text);
            self.text.push('\n');
        }
        self.write();
        self.written
    }
}

impl Observer for Live {
    fn begin(&mut self, header: &Header) {
        let detail = if self.shared.verbose > 0 {
            Detail::Everything
        } else {
            Detail::Gathered
        };
        self.piece = match header.clock {
            Clock::Virtual => PIECE,
            Clock::Real => 1,
        };
        self.timeline = Some(Timeline::new(header, detail, &mut self.text));
        self.write();
    }

    fn observe(&mut self, entry: &Entry) {
        if let Some(timeline) = &mut self.timeline {
            timeline.push(entry, &mut self.text);
        }
        if self.text.len() >= self.piece {
            self.write();
        }
    }
}

/// What goes to stdout at the end.
fn result(report: &Report, format: Format, shared: Shared) -> String {
    match (format, report.runs.as_slice()) {
        (Format::Json, _) => crate::reports::json::document(report),
        (Format::Human, [run]) if report.planned == 1 => terminal::single(run, report.is_strict),
        (Format::Human, _) => {
            let rows = if shared.quiet {
                Rows::Failing
            } else {
                Rows::All
            };
            terminal::table(report, rows)
        }
    }
}

/// A violation stands whatever else went wrong; what could not be done comes before what could not be told.
const fn exit_code(totals: &Totals, is_interrupted: bool) -> u8 {
    if is_interrupted {
        exit::INTERRUPTED
    } else if totals.violates > 0 {
        exit::VIOLATES
    } else if totals.failed > 0 {
        exit::FAILED
    } else if totals.inconclusive > 0 || totals.conforms == 0 {
        // Nothing judged is no verdict either.
        exit::INCONCLUSIVE
    } else {
        exit::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::{Cli, Command};
    use clap::Parser as _;

    fn args(words: &str) -> Args {
        let words = ["gwtool", "chaos"]
            .into_iter()
            .chain(words.split_whitespace());
        match Cli::try_parse_from(words)
            .expect("the words are arguments")
            .command
        {
            Command::Chaos(args) => args,
            other => unreachable!("the words begin with `chaos`: {other:?}"),
        }
    }

    fn plan(args: &Args) -> Plan {
        let shared = Shared {
            verbose: 0,
            quiet: false,
            color: output::Color::Never,
        };
        Plan::of(args, shared).expect("the arguments make a plan")
    }

    fn line(words: &str) -> String {
        let args = args(words);
        reproduce(&args, &plan(&args).jobs[0])
    }

    #[test]
    fn the_reproduce_line_carries_every_flag_that_changes_the_run() {
        assert_eq!(
            line("--scenario flap --subject carbon-0.14 --seed 24301 --jobs 2 --format json"),
            "gwtool chaos --scenario flap --subject carbon-0.14 --seed 0x5eed"
        );
        assert_eq!(
            line(
                "--scenario flap --seed 0x5eed --interval 500ms --time real --tls --timeout 2m --strict"
            ),
            "gwtool chaos --scenario flap --subject gwtool --seed 0x5eed --interval 500ms \
             --time real --timeout 2m --tls --strict"
        );
    }

    #[test]
    fn the_reproduce_line_makes_the_same_plan_again() {
        let first = args("--scenario flap --interval 1234567ns --seed 7");
        let line = reproduce(&first, &plan(&first).jobs[0]);
        let again = args(line.trim_start_matches("gwtool chaos "));
        let (first, again) = (plan(&first), plan(&again));
        assert_eq!(first.jobs[0].interval, again.jobs[0].interval);
        assert_eq!(first.jobs[0].seed, again.jobs[0].seed);
        assert_eq!(first.jobs[0].scenario, again.jobs[0].scenario);
    }

    #[test]
    fn the_interval_is_discords_in_virtual_time_and_short_in_real_time() {
        let of = |words: &str| plan(&args(words)).jobs[0].interval;
        assert_eq!(of("--scenario flap"), Duration::from_millis(41_250));
        assert_eq!(of("--scenario flap --time real"), Duration::from_secs(2));
        assert_eq!(of("--scenario flap --interval 3s"), Duration::from_secs(3));
    }

    #[test]
    fn every_scenario_meets_every_subject_once() {
        let args = args("--subject carbon-0.14 --subject gwtool --subject gwtool");
        let names = plan(&args).names();
        let subjects: Vec<&str> = names.iter().map(|name| &*name.subject).take(2).collect();
        assert_eq!(subjects, ["carbon-0.14", "gwtool"]);
        assert_eq!(names[0].scenario, names[1].scenario);
        assert_eq!(names.len() % 2, 0);
    }

    #[test]
    fn a_seed_that_nobody_chose_is_drawn_anew() {
        let drawn: std::collections::BTreeSet<Seed> = (0..8)
            .map(|_| plan(&args("--scenario flap")).seed)
            .collect();
        assert!(drawn.len() > 1, "eight draws gave one seed: {drawn:?}");
        assert!(!plan(&args("--scenario flap --seed 1")).is_drawn);
    }

    #[test]
    fn exit_codes_put_a_violation_before_all_but_the_users_own_end() {
        let mut totals = Totals {
            conforms: 3,
            ..Totals::default()
        };
        assert_eq!(exit_code(&totals, false), 0);
        totals.inconclusive = 1;
        assert_eq!(exit_code(&totals, false), 3);
        totals.failed = 1;
        assert_eq!(exit_code(&totals, false), 2);
        totals.violates = 1;
        assert_eq!(exit_code(&totals, false), 1);
        assert_eq!(exit_code(&totals, true), 130);
        let nothing = Totals {
            not_judged: 2,
            ..Totals::default()
        };
        assert_eq!(exit_code(&nothing, false), 3);
    }
}
