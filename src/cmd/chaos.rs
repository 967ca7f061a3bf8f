//! `gwtool chaos`: scenarios against subjects, judged.
//!
//! Arguments become a list of jobs (`plan`), control runs of programs first, then scenarios by subjects in the order of the
//! catalogue; jobs run on threads; what came of them becomes a report, which goes to files and to stdout, and the exit code.

mod plan;

use self::plan::{Plan, Planned, START_HINT};
use super::args::{Format, ReportArg, Time, duration, interval, report};
use super::catalogue::Choice;
use super::failure::Failure;
use super::pool::{Item, News, Way};
use super::sinks::{Sinks, TraceFile};
use super::{Shared, exit, output, pool};
use crate::net::{Interrupt, RunError};
use crate::oracle::Verdict;
use crate::progress::Progress;
use crate::reports::terminal::{self, Rows};
use crate::reports::timeline::{Detail, Timeline};
use crate::reports::{Control, Report, Run, Stale, failing_ids, plural, verdict};
use crate::scenarios::{Ending, Outcome, acceptance, runner};
use crate::seed::Seed;
use crate::subjects::Name;
use crate::time::{Duration, Instant as Moment};
use crate::trace::{Clock, Entry, Header, Observer, Seen};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

/// Runs in real time mostly wait, but their timers have to be served in time.
const JOBS_REAL: usize = 8;
/// In virtual time the timeline is written in pieces of about this size.
const PIECE: usize = 16 * 1024;
/// How often documents are written while runs in real time go on.
const INTERIM: Duration = Duration::from_secs(1);
/// How much longer than its own grace the end of a program is waited for: its trace and its verdict have to be written.
const AFTER_GRACE: Duration = Duration::from_secs(3);
/// Of more subjects than this a matrix is wider than any terminal.
const MATRIX_MAX: usize = 8;
/// How many of the last lines of a control run are told.
const PRINTED: usize = 10;

/// What `chaos` takes.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// Run this scenario: a name, a name with all its variants, or an alias (may be repeated) [default: all]
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// What to test: a name that `gwtool subjects` lists, `zoo` for all that have a defect, or a name of the subject file (may
    /// be repeated) [default: gwtool, or all of the subject file]
    #[arg(long = "subject", value_name = "NAME", value_parser = Subjects, hide_possible_values = true)]
    subjects: Vec<String>,
    /// Programs to test, by name, from a TOML file
    #[arg(long = "subjects", value_name = "FILE")]
    subjects_file: Option<PathBuf>,
    /// Where all that is left to chance comes from [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<Seed>,
    /// Serve the gateway and its REST over TLS, with an authority made for the run (in real time only)
    #[arg(long)]
    tls: bool,
    /// Whose clock [default: virtual; with a program real]
    #[arg(long, value_enum)]
    time: Option<Time>,
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
    /// Let broken SHOULD rules, slow recoveries and acceptances of what is no longer seen fail as well
    #[arg(long)]
    strict: bool,
    /// Write a report: json, junit, markdown or trace (may be repeated)
    #[arg(long = "report", value_name = "FORMAT=PATH", value_parser = report)]
    reports: Vec<ReportArg>,
    /// Take the scenario's name, seed, clock, I and the drawn schedule from a trace
    #[arg(long, value_name = "TRACE",
          conflicts_with_all = ["scenarios", "seed", "time", "interval", "tags", "skip"])]
    replay: Option<PathBuf>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Do not run a program where nothing happens before its first scenario, to see that it is well at all
    #[arg(long)]
    no_control: bool,
    /// What the program behind `--` is called in results [default: made of its command]
    #[arg(long, value_name = "NAME", requires = "command",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Ask the program behind `--` whether it is well: a URL that answers 2xx, or a command for `sh -c` that exits with 0
    #[arg(long, value_name = "URL|CMD", requires = "command",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    health: Option<String>,
    /// The time between two such questions [default: I, and 1s at least]
    #[arg(long, value_name = "DUR", requires = "health", value_parser = duration, allow_hyphen_values = true)]
    health_every: Option<Duration>,
    /// How long an answer to one may take [default: 5s]
    #[arg(long, value_name = "DUR", requires = "health", value_parser = duration, allow_hyphen_values = true)]
    health_within: Option<Duration>,
    /// How long the program behind `--` may take to end after SIGTERM before it is killed [default: 10s]
    #[arg(long, value_name = "DUR", requires = "command", value_parser = duration, allow_hyphen_values = true)]
    grace: Option<Duration>,
    /// A program to test and its arguments; it finds the gateway in `GWTOOL_GATEWAY_URL` and `GWTOOL_API_URL`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Any name, since a subject file may have it; completions know gwtool's own.
#[derive(Debug, Clone)]
struct Subjects;

impl TypedValueParser for Subjects {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = Name::all().map(Name::as_str).chain([plan::ZOO]);
        Some(Box::new(names.map(PossibleValue::new)))
    }
}

/// Runs, reports, and says how it ended.
pub fn run(args: &Args, shared: Shared, stop: &Interrupt) -> Result<u8, Failure> {
    let began = Instant::now();
    let plan = Plan::of(args, shared)?;
    let mut sinks = Sinks::open(&args.reports, &plan.names())?;
    announce(&plan, args.format, shared)?;

    let is_single = plan.is_single();
    let mut report = Report {
        runs: Vec::new(),
        planned: plan.jobs.len(),
        is_interrupted: false,
        is_under_way: true,
        is_strict: args.strict,
        stale: Vec::new(),
        took: Duration::ZERO,
    };
    let done = perform(&plan, args, &mut sinks, &report, shared, stop)?;
    report.runs = done.runs;
    report.is_interrupted = stop.is_raised();
    report.is_under_way = false;
    report.took = began.elapsed();
    // A schedule of one's own says nothing of what a scenario's would have shown.
    if args.replay.is_none() {
        report.stale = stale(&plan, &report.runs);
    }
    // Files first: a reader of stdout that has gone away is no reason to lose them. Nor is a full disk one to lose what the
    // runs came to.
    let written = sinks.write(&report);
    let printed = done.watching.and_then(|()| {
        let text = result(&report, is_single, args.format, shared);
        output::print(shared.color, &text)
    });
    written.and(done.traced).and(printed)?;
    Ok(exit_code(&report))
}

/// What is accepted and no longer seen, subject by subject.
fn stale(plan: &Plan, runs: &[Run]) -> Vec<Stale> {
    let of = |program: &Arc<crate::subjects::program::Program>| {
        let own = runs.iter().filter(|run| run.subject == program.name);
        let own: Vec<(&str, Option<&Outcome>)> = own
            .map(|run| (&*run.scenario, run.result.as_ref().ok()))
            .collect();
        let stale = acceptance::stale(&program.accepted, &plan.known, &own);
        let stale = stale.into_iter().map(|one| Stale {
            subject: program.name.clone(),
            scenario: one.scenario.clone(),
            finding: one.finding.clone(),
        });
        stale.collect::<Vec<_>>()
    };
    plan.programs().flat_map(of).collect()
}

/// Says before the run what is about to happen, the seed above all.
fn announce(plan: &Plan, format: Format, shared: Shared) -> Result<(), Failure> {
    let clock = match plan.clock {
        Clock::Virtual => "virtual",
        Clock::Real => "real",
    };
    match format {
        // One run begins with its own heading.
        Format::Human if plan.is_single() && !shared.quiet => Ok(()),
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

/// What a control run says of its subject, once it is over: why nothing else is to be run with it, if anything is wrong.
type Gate = Arc<OnceLock<Option<String>>>;

/// One job on its way to a thread.
struct Job {
    planned: Planned,
    traces: Vec<PathBuf>,
    /// Where a control run leaves its word, and where others look for it.
    gate: Option<Gate>,
}

/// One job come back.
struct Finished {
    run: Run,
    traced: Result<(), Failure>,
    watching: Result<(), Failure>,
}

/// Makes every run. `report` is what documents say of the whole while it is under way.
fn perform(
    plan: &Plan,
    args: &Args,
    sinks: &mut Sinks,
    report: &Report,
    shared: Shared,
    stop: &Interrupt,
) -> Result<Done, Failure> {
    let threads = args.jobs.map_or_else(
        || match plan.clock {
            Clock::Virtual => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Clock::Real => JOBS_REAL,
        },
        NonZeroUsize::get,
    );
    let slowest = plan.programs().map(|program| program.grace).max();
    let way = Way {
        jobs: threads,
        grace: slowest.map_or(pool::GRACE, |grace| grace + AFTER_GRACE),
    };
    let live =
        (plan.is_single() && args.format == Format::Human && !shared.quiet).then_some(shared);
    let bar = progress(plan.jobs.len(), plan.is_single(), shared);
    let machine = Arc::new(machine(plan)?);
    let interrupt = stop.clone();
    let is_strict = args.strict;
    let mut so_far = SoFar::new(sinks, report, plan.clock);
    so_far.begin();
    let finished = pool::run(
        items(plan, so_far.sinks),
        way,
        stop,
        move |job| execute(job, live, is_strict, &machine, &interrupt),
        |news| match news {
            News::Done(place, finished) => {
                bar.inc(1);
                so_far.done(place, &finished.run);
                if args.fail_fast && has_failed(&finished.run, is_strict) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
            News::Stopping => {
                if slowest.is_some() {
                    bar.suspend(|| output::talk(shared.color, ENDING));
                }
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
    Ok(done)
}

/// What is said where the user wants an end and a program has to be ended first.
const ENDING: &str =
    "ending the program and whatever it started; Ctrl-C again does not wait for it\n";

/// What runs share. Programs are looked after by gwtool's own executable.
fn machine(plan: &Plan) -> Result<runner::Machine, Failure> {
    if plan.programs().next().is_none() {
        return Ok(runner::Machine::default());
    }
    let own = env::current_exe().map_err(|error| {
        Failure::new(format!("failed to find gwtool's own executable: {error}"))
    })?;
    Ok(runner::Machine::new(own))
}

/// The jobs of a plan, each with its control run.
fn items(plan: &Plan, sinks: &Sinks) -> Vec<Item<Job>> {
    let mut gates: Vec<Option<Gate>> = Vec::new();
    let mut items = Vec::new();
    for (place, planned) in plan.jobs.iter().enumerate() {
        let gate = match planned.after {
            Some(control) => gates[control].clone(),
            None => planned.is_control.then(Gate::default),
        };
        gates.push(gate.clone());
        items.push(Item {
            after: planned.after,
            work: Job {
                planned: planned.clone(),
                traces: sinks.traces(place).to_vec(),
                gate,
            },
        });
    }
    items
}

/// What is known while runs go on; in real time it is written down again and again, since anything may end us meanwhile.
struct SoFar<'a> {
    sinks: &'a mut Sinks,
    report: &'a Report,
    clock: Clock,
    runs: BTreeMap<usize, Run>,
    began: Instant,
    written: Option<Instant>,
}

impl<'a> SoFar<'a> {
    fn new(sinks: &'a mut Sinks, report: &'a Report, clock: Clock) -> Self {
        Self {
            sinks,
            report,
            clock,
            runs: BTreeMap::new(),
            began: Instant::now(),
            written: None,
        }
    }

    /// Nothing is done yet, and says so.
    fn begin(&mut self) {
        if self.is_written() {
            self.write();
        }
    }

    fn done(&mut self, place: usize, run: &Run) {
        if !self.is_written() {
            return;
        }
        self.runs.insert(place, run.clone());
        if self.written.is_none_or(|at| at.elapsed() >= INTERIM) {
            self.write();
        }
    }

    fn is_written(&self) -> bool {
        self.clock == Clock::Real && self.sinks.have_documents()
    }

    fn write(&mut self) {
        self.sinks.write_interim(&Report {
            runs: self.runs.values().cloned().collect(),
            stale: Vec::new(),
            took: self.began.elapsed(),
            ..*self.report
        });
        self.written = Some(Instant::now());
    }
}

/// Makes one run. This is the one place that knows how the runner is called.
fn execute(
    job: &Job,
    live: Option<Shared>,
    is_strict: bool,
    machine: &runner::Machine,
    interrupt: &Interrupt,
) -> Finished {
    let Planned {
        plan,
        reproduce,
        is_control,
        ..
    } = &job.planned;
    let run = |result| Run {
        scenario: plan.scenario.name.clone(),
        subject: plan.subject.to_string(),
        reproduce: reproduce.clone(),
        control: None,
        result,
    };
    let closed = job
        .gate
        .as_ref()
        .and_then(|gate| gate.get())
        .cloned()
        .flatten();
    if let (false, Some(why)) = (is_control, closed) {
        let result = Ok(runner::not_run(plan, format!("not run: {why}")));
        return Finished {
            run: run(result),
            traced: Ok(()),
            watching: Ok(()),
        };
    }
    let mut traces: Vec<TraceFile> = job.traces.iter().cloned().map(TraceFile::new).collect();
    let mut timeline = live.filter(|_| !is_control).map(Live::new);
    let mut watch = is_control.then(Watch::default);
    let mut observers: Vec<&mut dyn Observer> = Vec::new();
    observers.extend(traces.iter_mut().map(|trace| trace as &mut dyn Observer));
    observers.extend(timeline.iter_mut().map(|live| live as &mut dyn Observer));
    observers.extend(watch.iter_mut().map(|watch| watch as &mut dyn Observer));

    let result: Result<Outcome, _> = runner::run(plan, &mut observers, machine, interrupt);
    let mut run = run(result.map_err(|error| told(&error)));
    run.control = watch.map(Watch::finish);
    let mut watching = timeline.map_or(Ok(()), Live::finish);
    if *is_control {
        if let Some(gate) = &job.gate {
            // Only the control run itself writes here, once.
            let _ = gate.set(closes(&run));
        }
        let told = live.and_then(|shared| Some((shared, terminal::control(&run, is_strict)?)));
        if let Some((shared, line)) = told {
            watching = output::print(shared.color, &line);
        }
    }
    Finished {
        run,
        traced: traces.into_iter().try_for_each(TraceFile::finish),
        watching,
    }
}

/// Why nothing is to be run with a subject after this control run, if anything is wrong. What is merely shown is no reason,
/// `--strict` or not: the subject lives.
fn closes(control: &Run) -> Option<String> {
    let Ok(outcome) = &control.result else {
        return Some("the control run could not be made".to_owned());
    };
    let judgement = &outcome.judgement;
    match judgement.verdict {
        Verdict::Conforms | Verdict::NotJudged => None,
        Verdict::Inconclusive => Some(match outcome.ending {
            Ending::Interrupted => "the control run was interrupted".to_owned(),
            Ending::TimedOut => "the control run was not over in time".to_owned(),
            Ending::Complete | Ending::NotMade => {
                "the control run, without any fault, was inconclusive".to_owned()
            }
        }),
        Verdict::Violates => Some(format!(
            "the control run, without any fault, violates ({})",
            failing_ids(judgement, false).join(", ")
        )),
    }
}

/// Watches a control run for what is told of it besides the verdict.
#[derive(Default)]
struct Watch {
    progress: Option<Progress>,
    printed: VecDeque<String>,
}

impl Watch {
    fn finish(self) -> Control {
        let ready = self.progress.as_ref().and_then(Progress::time_zero);
        Control {
            ready_after: ready.map(|at| at.since(Moment::ZERO)),
            printed: self.printed.into(),
        }
    }
}

impl Observer for Watch {
    fn begin(&mut self, header: &Header) {
        // A run that is repeated begins again.
        self.progress = Some(Progress::new(header));
        self.printed.clear();
    }

    fn observe(&mut self, entry: &Entry) {
        if let Some(progress) = &mut self.progress {
            progress.observe(entry);
        }
        if let Seen::ProcessOutput { text, .. } = &entry.saw {
            self.printed.push_back(text.clone());
            if self.printed.len() > PRINTED {
                self.printed.pop_front();
            }
        }
    }
}

/// Why a run could not be made, with the way out.
fn told(error: &RunError) -> String {
    let text = with_causes(error);
    match error {
        RunError::Start { .. } => format!("{text}\nhint: {START_HINT}"),
        _ => text,
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
fn progress(runs: usize, is_single: bool, shared: Shared) -> ProgressBar {
    if is_single || shared.quiet || !output::is_watched() {
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
fn result(report: &Report, is_single: bool, format: Format, shared: Shared) -> String {
    let rows = if shared.quiet {
        Rows::Failing
    } else {
        Rows::All
    };
    let mut subjects: Vec<&str> = report.runs.iter().map(|run| &*run.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let text = match format {
        Format::Json => return crate::reports::json::document(report),
        Format::Human if is_single && report.runs.iter().any(|run| run.control.is_none()) => {
            terminal::single(report)
        }
        Format::Human if (2..=MATRIX_MAX).contains(&subjects.len()) => {
            let matrix = terminal::matrix(report, rows);
            if shared.verbose > 0 {
                format!("{}\n{matrix}", terminal::table(report, rows))
            } else {
                matrix
            }
        }
        Format::Human => terminal::table(report, rows),
    };
    if shared.verbose > 0 {
        format!("{text}\n{}", terminal::coverage(report))
    } else {
        text
    }
}

/// A violation stands whatever else went wrong; what could not be done comes before what could not be told.
fn exit_code(report: &Report) -> u8 {
    let totals = report.totals();
    // A subject that is well where nothing happens has not been tested yet.
    let is_judged = report.runs.iter().any(|run| {
        let conforms =
            |outcome: &Outcome| verdict(&outcome.judgement, report.is_strict) == Verdict::Conforms;
        run.control.is_none() && run.result.as_ref().is_ok_and(conforms)
    });
    if report.is_interrupted {
        exit::INTERRUPTED
    } else if totals.violates > 0 || (report.is_strict && !report.stale.is_empty()) {
        exit::VIOLATES
    } else if totals.failed > 0 {
        exit::FAILED
    } else if totals.inconclusive > 0 || !is_judged {
        // Nothing judged is no verdict either.
        exit::INCONCLUSIVE
    } else {
        exit::DONE
    }
}

#[cfg(test)]
mod tests;
