//! What the arguments of `chaos` and the files they name come to: subjects, scenarios, and a list of jobs.

use super::Args;
use crate::cmd::Shared;
use crate::cmd::args::shell_word;
use crate::cmd::catalogue::{self, Choice};
use crate::cmd::failure::Failure;
use crate::cmd::sinks::RunName;
use crate::scenarios::catalogue::{CONTROL, control};
use crate::scenarios::load::nearest;
use crate::scenarios::{Scenario, roster, runner};
use crate::seed::Seed;
use crate::subjects::program::{HealthCheck, Probe, Program};
use crate::subjects::{Name, Subject};
use crate::time::{Duration, Span, show};
use crate::trace::{Clock, Header, Reader};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Everything that the arguments and the files they name come to.
pub(super) struct Plan {
    pub(super) seed: Seed,
    /// Whether nobody chose the seed.
    pub(super) is_drawn: bool,
    pub(super) clock: Clock,
    /// Control runs come first; then the order is that of the catalogue.
    pub(super) jobs: Vec<Planned>,
    /// Every subject, once.
    pub(super) subjects: Vec<Subject>,
    /// The names of all scenarios that could have been chosen.
    pub(super) known: Vec<String>,
}

/// One run that is to be made.
#[derive(Clone)]
pub(super) struct Planned {
    pub(super) plan: runner::Plan,
    /// The command that makes it again.
    pub(super) reproduce: String,
    /// Whether it is made only to see that the subject is well.
    pub(super) is_control: bool,
    /// The place of the control run that it waits for.
    pub(super) after: Option<usize>,
}

/// What a trace says of the run that it was made of.
struct Recorded {
    header: Header,
    seed: Seed,
}

impl Plan {
    pub(super) fn of(args: &Args, shared: Shared) -> Result<Self, Failure> {
        let recorded = args.replay.as_deref().map(recorded).transpose()?;
        // Subject files name scenarios, whose names are the same on both clocks.
        let all = args.choice.all(Clock::Real, shared.color)?;
        let subjects = subjects(args, &all, recorded.as_ref(), shared)?;
        let has_programs = subjects.iter().any(|subject| subject.program().is_some());
        let clock = clock(args, recorded.as_ref(), has_programs)?;
        if args.tls && clock == Clock::Virtual {
            let hint = match &args.replay {
                Some(_) => "this trace is one of virtual time: leave `--tls` out",
                None => "add `--time real`",
            };
            return Err(
                Failure::new("`--tls` needs real time, where there are sockets").hint(hint),
            );
        }
        let mut all = args.choice.all(clock, shared.color)?;
        let known = all.iter().map(|scenario| scenario.name.clone()).collect();
        let names = match &recorded {
            Some(recorded) => vec![recorded.header.scenario.clone()],
            None => args.scenarios.clone(),
        };
        // It is in no list, but can be asked for by its name.
        if names.iter().any(|name| name == CONTROL) {
            all.insert(0, control(clock));
        }
        let selected = if recorded.is_some() {
            Choice::default().select(&all, &names)?
        } else {
            args.choice.select(&all, &names)?
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
            subjects,
            known,
        };
        plan.fill(args, recorded.as_ref(), &selected);
        Ok(plan)
    }

    /// The jobs: a control run for each program, and every scenario with every subject.
    fn fill(&mut self, args: &Args, recorded: Option<&Recorded>, selected: &[&Scenario]) {
        let is_asked_for_alone = selected.iter().all(|scenario| scenario.name == CONTROL);
        let has_controls = !args.no_control && recorded.is_none() && !is_asked_for_alone;
        let mut controls: Vec<Option<usize>> = Vec::new();
        for subject in self.subjects.clone() {
            let is_controlled = has_controls && subject.program().is_some();
            controls.push(is_controlled.then_some(self.jobs.len()));
            if is_controlled {
                let plan = self.job(args, None, &control(self.clock), &subject);
                let reproduce = reproduce(args, &plan);
                self.jobs.push(Planned {
                    plan,
                    reproduce,
                    is_control: true,
                    after: None,
                });
            }
        }
        for scenario in selected {
            for (subject, after) in self.subjects.clone().iter().zip(&controls) {
                if scenario.name == CONTROL && after.is_some() {
                    continue;
                }
                let plan = self.job(args, recorded, scenario, subject);
                let reproduce = reproduce(args, &plan);
                self.jobs.push(Planned {
                    plan,
                    reproduce,
                    is_control: false,
                    after: *after,
                });
            }
        }
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

    pub(super) fn names(&self) -> Vec<RunName> {
        let name = |job: &Planned| RunName {
            scenario: job.plan.scenario.name.clone(),
            subject: job.plan.subject.to_string(),
            is_control: job.is_control,
        };
        self.jobs.iter().map(name).collect()
    }

    /// Whether one run is asked for; it is told in full.
    pub(super) fn is_single(&self) -> bool {
        self.jobs.iter().filter(|job| !job.is_control).count() == 1
    }

    /// The programs among the subjects.
    pub(super) fn programs(&self) -> impl Iterator<Item = &Arc<Program>> {
        self.subjects.iter().filter_map(Subject::program)
    }
}

/// Whose clock: a program knows no other than the machine's.
fn clock(args: &Args, recorded: Option<&Recorded>, has_programs: bool) -> Result<Clock, Failure> {
    let said = recorded
        .map(|recorded| recorded.header.clock)
        .or(args.time.map(Clock::from));
    match (said, has_programs, recorded) {
        (Some(Clock::Virtual), true, None) => Err(Failure::new(
            "a program runs in real time, found `--time virtual`",
        )
        .hint("leave it out: gwtool cannot move a program's clock")),
        (Some(Clock::Virtual), true, Some(_)) => Err(Failure::new(
            "a program runs in real time, found a trace of virtual time to replay",
        )
        .hint("make one with `--time real --report trace=PATH`")),
        (Some(clock), ..) => Ok(clock),
        (None, true, _) => Ok(Clock::Real),
        (None, false, _) => Ok(Clock::Virtual),
    }
}

/// Each subject once: those that are named, in the order in which they are, and the program of the command line; without
/// either all of the subject file, or that of the trace, or our own client.
fn subjects(
    args: &Args,
    all: &[Scenario],
    recorded: Option<&Recorded>,
    shared: Shared,
) -> Result<Vec<Subject>, Failure> {
    let roster: Vec<Arc<Program>> = match &args.subjects_file {
        Some(file) => programs(file, all, shared)?
            .into_iter()
            .map(Arc::new)
            .collect(),
        None => Vec::new(),
    };
    let named = |name: &str| named(name, &roster);
    let mut subjects: Vec<Subject> = Vec::new();
    for name in &args.subjects {
        let meant = if name == ZOO && !roster.iter().any(|program| program.name == ZOO) {
            Name::zoo().map(Subject::from).collect()
        } else {
            vec![named(name)?]
        };
        for subject in meant {
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
    }
    let command = commanded(args)?;
    if subjects.is_empty() {
        subjects = match recorded {
            Some(_) if command.is_some() => Vec::new(),
            Some(recorded) => vec![named(&recorded.header.subject).map_err(|failure| {
                failure.hint("choose another subject for this schedule with `--subject`")
            })?],
            None if args.subjects_file.is_some() => {
                roster.iter().cloned().map(Subject::Program).collect()
            }
            None if command.is_some() => Vec::new(),
            None => vec![Name::Gwtool.into()],
        };
    }
    if let Some(program) = command {
        if subjects
            .iter()
            .any(|known| known.to_string() == program.name)
        {
            let text = format!("two subjects are named `{}`", program.name);
            return Err(Failure::new(text).hint("give the program another name with `--name`"));
        }
        subjects.push(Subject::Program(Arc::new(program)));
    }
    for program in subjects.iter().filter_map(Subject::program) {
        check_start(program)?;
    }
    Ok(subjects)
}

/// What `--subject` takes for all clients with a defect.
pub(super) const ZOO: &str = "zoo";

/// The subject of that name, in this process or in the subject file.
fn named(name: &str, roster: &[Arc<Program>]) -> Result<Subject, Failure> {
    if let Ok(name) = name.parse::<Name>() {
        return Ok(name.into());
    }
    if let Some(program) = roster.iter().find(|program| program.name == name) {
        return Ok(Subject::Program(Arc::clone(program)));
    }
    let programs = || roster.iter().map(|program| &*program.name);
    let known: Vec<&str> = Name::all().map(Name::as_str).collect();
    let known = known.into_iter().chain([ZOO]).chain(programs());
    let hint = nearest(name, known).map_or_else(
        || {
            let own = Name::ALL.iter().map(|name| name.as_str());
            let names: Vec<String> = own
                .chain([ZOO])
                .chain(programs())
                .map(|name| format!("`{name}`"))
                .collect();
            format!(
                "there are {}, and those with one defect each (`gwtool subjects`); programs stand behind `--` or in a file \
                 (`--subjects`)",
                names.join(", ")
            )
        },
        |known| format!("did you mean `{known}`?"),
    );
    Err(Failure::new(format!("no subject named `{name}`")).hint(hint))
}

/// The programs of a subject file.
fn programs(file: &Path, all: &[Scenario], shared: Shared) -> Result<Vec<Program>, Failure> {
    let text = catalogue::read(file, "subject")?;
    let beside = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    roster::load(&text, &file.display().to_string(), beside, all)
        .map_err(|problems| Failure::Rendered(problems.render(shared.color.is_on_stderr())))
}

/// The program of the command line, if it names one.
fn commanded(args: &Args) -> Result<Option<Program>, Failure> {
    let Some(first) = args.command.first() else {
        // `-- $BOT` with an unset variable is no wish to test our own client.
        if env::args_os().next_back().is_some_and(|last| last == "--") {
            let text = "expected a program behind `--`, found nothing";
            return Err(Failure::new(text).hint("write `gwtool chaos -- node bot.mjs`"));
        }
        return Ok(None);
    };
    if first.is_empty() {
        let text = "expected a program behind `--`, found an empty word";
        return Err(Failure::new(text).hint("write `gwtool chaos -- node bot.mjs`"));
    }
    let usual = Program::new(args.command.clone());
    let health = args.health.as_ref().map(|text| {
        let usual = HealthCheck::new(Probe::of(text));
        HealthCheck {
            every: args.health_every.map_or(usual.every, Span::fixed),
            within: args.health_within.unwrap_or(usual.within),
            ..usual
        }
    });
    Ok(Some(Program {
        name: args.name.clone().unwrap_or(usual.name),
        grace: args.grace.unwrap_or(usual.grace),
        health,
        ..usual
    }))
}

/// What to do where a program cannot be started.
pub(super) const START_HINT: &str = "is it installed and on PATH? its command stands behind `--`, or in the subject file with its `dir`";

/// Says before anything runs that a program is not there, as far as that can be known.
fn check_start(program: &Program) -> Result<(), Failure> {
    let missing = |why: &str| {
        let text = format!("failed to start `{}`: {why}", program.command[0]);
        Err(Failure::new(text).hint(START_HINT))
    };
    if let Some(dir) = program.dir.as_ref().filter(|dir| !dir.is_dir()) {
        return missing(&format!("`{}` is no directory", dir.display()));
    }
    let word = Path::new(&program.command[0]);
    if program.command[0].contains('/') {
        let path = program
            .dir
            .as_ref()
            .map_or_else(|| word.to_owned(), |dir| dir.join(word));
        return match fs::metadata(&path) {
            Err(error) => missing(&error.to_string()),
            Ok(found) if !found.is_file() => missing("it is no file"),
            Ok(_) if !is_executable(&path) => missing("it may not be executed"),
            Ok(_) => Ok(()),
        };
    }
    let own = program.env.iter().find(|(name, _)| name == "PATH");
    let path = own.map_or_else(
        || env::var_os("PATH"),
        |(_, path)| Some(OsString::from(path)),
    );
    // Without a PATH the system has one of its own, and a relative one depends on who looks.
    let dirs: Vec<_> = path.iter().flat_map(env::split_paths).collect();
    let is_certain = !dirs.is_empty() && dirs.iter().all(|dir| dir.is_absolute());
    if is_certain && !dirs.iter().any(|dir| is_executable(&dir.join(word))) {
        return missing("there is no such program on PATH");
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn recorded(path: &Path) -> Result<Recorded, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("open the trace", path, &error))?;
    let (header, _) = Reader::new(BufReader::new(file)).map_err(|error| {
        let text = format!("failed to read the trace `{}`: {error}", path.display());
        Failure::new(text).hint("`--report trace=PATH` writes a trace that can be replayed")
    })?;
    let seed = header.seed.parse().map_err(|error| Failure::of(&error))?;
    Ok(Recorded { header, seed })
}

/// The command that makes a run again: every flag that changes it.
pub(super) fn reproduce(args: &Args, job: &runner::Plan) -> String {
    let mut words = vec!["gwtool".to_owned(), "chaos".to_owned()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), shell_word(&value)]);
    let path = |path: &Path| path.display().to_string();
    let program = job.subject.program();
    let is_commanded = program.is_some_and(|program| {
        let is_it = |named: Program| named.name == program.name;
        commanded(args).is_ok_and(|named| named.is_some_and(is_it))
    });
    if let Some(replay) = &args.replay {
        flag("--replay", path(replay));
    } else {
        flag("--scenario", job.scenario.name.clone());
    }
    if !is_commanded {
        if let (Some(_), Some(file)) = (program, &args.subjects_file) {
            flag("--subjects", path(file));
        }
        flag("--subject", job.subject.to_string());
    }
    if args.replay.is_none() {
        flag("--seed", job.seed.to_string());
        if let Some(interval) = args.interval {
            flag("--interval", exact(interval));
        }
        // With a program there is no other.
        if job.clock == Clock::Real && program.is_none() {
            flag("--time", "real".to_owned());
        }
    }
    if let Some(file) = &args.choice.file {
        flag("--scenarios", path(file));
    }
    if let Some(timeout) = args.timeout {
        flag("--timeout", exact(timeout));
    }
    if is_commanded {
        let texts = [("--name", &args.name), ("--health", &args.health)];
        for (name, value) in texts {
            if let Some(value) = value {
                flag(name, value.clone());
            }
        }
        let durations = [
            ("--health-every", args.health_every),
            ("--health-within", args.health_within),
            ("--grace", args.grace),
        ];
        for (name, value) in durations {
            if let Some(value) = value {
                flag(name, exact(value));
            }
        }
    }
    if args.tls {
        words.push("--tls".to_owned());
    }
    if args.strict {
        words.push("--strict".to_owned());
    }
    if args.no_control && program.is_some() {
        words.push("--no-control".to_owned());
    }
    if is_commanded {
        words.push("--".to_owned());
        words.extend(args.command.iter().map(|word| shell_word(word)));
    }
    words.join(" ")
}

/// A duration as flags read it, without loss.
fn exact(duration: Duration) -> String {
    let short = show(duration);
    if crate::cmd::args::duration(&short) == Ok(duration) {
        short
    } else {
        format!("{}ns", duration.as_nanos())
    }
}
