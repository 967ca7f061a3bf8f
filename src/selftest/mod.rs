//! The judge on trial: sound clients conform, every client with a defect is caught, and each part of gwtool has caught one.
//!
//! [`jobs`] says which runs there are to make, [`Job::run`] makes one of them, in virtual time, and [`conclude`] says what they
//! come to. Runs are independent of each other: who makes them, and on how many threads, is the caller's to decide. Whether a
//! defect comes to light may hang on a client's jitter, so that what one seed leaves open is tried with more ([`more_jobs`]).
//!
//! A scenario kills a defect if the run has a finding, at any level, that the run of its control with the same seed lacks, and
//! the finding carries a signal by which the bug was seen. A defect has to be killed where it is said to be.

mod edits;
pub mod signals;

use crate::expect::{Expectations, Expected};
use crate::net::{Interrupt, RunError};
use crate::oracle::{Counts, Effect, FindingKind, Verdict, names, rules};
use crate::scenarios::runner::{self, Machine, Plan, usual_interval};
use crate::scenarios::{Ending, Outcome, Scenario, catalogue};
use crate::seed::Seed;
use crate::subjects::Name;
use crate::subjects::zoo::Defect;
use crate::trace::{Clock, Entry, Header, Observer, Seen, Writer};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write};
use std::sync::Arc;

/// The clients that conform everywhere.
pub const SOUND: [Name; 2] = [Name::Gwtool, Name::Classic];

/// With how many further seeds that is tried at most which the first one has left open. A scenario that hangs on a draw of one
/// in four is passed over by all of them once in a thousand times.
pub const FURTHER: u64 = 24;

/// The outcome that only a program can come to: no other is asked how it is.
const OF_PROGRAMS: &str = "health";

/// One run that is to be made.
#[derive(Debug, Clone)]
pub struct Job {
    scenario: Arc<Scenario>,
    subject: Name,
    seed: Seed,
}

/// What came of one run.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The scenario, with its variant.
    pub scenario: Arc<Scenario>,
    /// The subject.
    pub subject: Name,
    /// The seed.
    pub seed: Seed,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive or not judged.
    pub reasons: Vec<String>,
    /// What was found: ids, and the strongest effect of each.
    pub found: BTreeMap<String, Effect>,
    /// Expected counts that were not reached. Of the others that were not as expected there was more.
    pub too_few: BTreeSet<String>,
    /// Rules that were broken, whatever their level.
    pub broken: BTreeSet<String>,
    /// Faults that struck, by their place in the scenario.
    pub struck: BTreeSet<usize>,
    /// Whether it was watched to its end.
    pub is_complete: bool,
    /// Whether a second run had the same bytes; `None` where there was none.
    pub is_same_again: Option<bool>,
}

/// The runs of a self-test: each scenario of the catalogue with each subject.
pub fn jobs(seed: Seed) -> Vec<Job> {
    let scenarios = catalogue::shipped(Clock::Virtual).into_iter().map(Arc::new);
    scenarios
        .flat_map(|scenario| with_all(&scenario, seed))
        .collect()
}

/// The runs that are to be made with a further seed, where those that were made have left something open.
pub fn more_jobs(seed: Seed, runs: &[Ran]) -> Vec<Job> {
    let open = weigh(seed, runs).open;
    let mut known = BTreeSet::new();
    let scenarios = runs.iter().map(|run| &run.scenario).filter(|scenario| {
        let is_open = open.contains(&scenario.name) || open.contains(scenario.base());
        is_open && known.insert(&scenario.name)
    });
    scenarios
        .flat_map(|scenario| with_all(scenario, seed))
        .collect()
}

/// A scenario with every subject.
fn with_all(scenario: &Arc<Scenario>, seed: Seed) -> impl Iterator<Item = Job> + use<> {
    let scenario = Arc::clone(scenario);
    let subjects = SOUND.into_iter().chain(Name::zoo());
    subjects.map(move |subject| Job {
        scenario: Arc::clone(&scenario),
        subject,
        seed,
    })
}

impl Job {
    fn plan(&self) -> Plan {
        let usual = usual_interval(Clock::Virtual);
        Plan {
            scenario: Scenario::clone(&self.scenario),
            subject: self.subject.into(),
            seed: self.seed,
            clock: Clock::Virtual,
            tls: false,
            interval: self.scenario.interval.unwrap_or(usual),
            timeout: None,
            keep_entries: false,
            schedule: None,
        }
    }

    /// Makes the run; of a sound client twice, to see that it is the same again.
    pub fn run(&self, machine: &Machine, interrupt: &Interrupt) -> Result<Ran, RunError> {
        let plan = self.plan();
        if !SOUND.contains(&self.subject) {
            let mut strikes = Strikes::default();
            let outcome = runner::run(&plan, &mut [&mut strikes], machine, interrupt)?;
            return Ok(self.ran(&outcome, strikes, None));
        }
        let mut strikes = Strikes::default();
        let (mut first, mut second) = (Print::default(), Print::default());
        let outcome = runner::run(&plan, &mut [&mut strikes, &mut first], machine, interrupt)?;
        runner::run(&plan, &mut [&mut second], machine, interrupt)?;
        let is_same = first.finish() == second.finish();
        Ok(self.ran(&outcome, strikes, Some(is_same)))
    }

    fn ran(&self, outcome: &Outcome, strikes: Strikes, is_same_again: Option<bool>) -> Ran {
        let judgement = &outcome.judgement;
        let mut found: BTreeMap<String, Effect> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        let too_few = too_few(&outcome.header.expect, &judgement.counts);
        for finding in &judgement.findings {
            let effect = found.entry(finding.id.clone()).or_insert(finding.effect);
            *effect = finding.effect.min(*effect);
            if finding.kind == FindingKind::Rule && finding.effect != Effect::Note {
                broken.insert(finding.id.clone());
            }
        }
        Ran {
            scenario: Arc::clone(&self.scenario),
            subject: self.subject,
            seed: self.seed,
            verdict: judgement.verdict,
            reasons: judgement.reasons.clone(),
            found,
            too_few,
            broken,
            struck: strikes.0,
            is_complete: outcome.ending == Ending::Complete,
            is_same_again,
        }
    }
}

/// The expected counts that were not reached.
fn too_few(expect: &Expectations, counts: &Counts) -> BTreeSet<String> {
    let counted = [
        ("connections", &expect.connections, counts.connections),
        ("identifies", &expect.identifies, counts.identifies),
        ("resumes", &expect.resumes, counts.resumes),
        ("closes", &expect.closes, counts.closes),
    ];
    let is_too_few = |expected: &Expected, n: u32| !(0..=n).any(|n| expected.admits(n));
    let too_few = counted
        .into_iter()
        .filter(|(_, expected, n)| expected.as_ref().is_some_and(|it| is_too_few(it, *n)));
    too_few.map(|(id, ..)| id.to_owned()).collect()
}

/// Which faults struck.
#[derive(Debug, Default)]
struct Strikes(BTreeSet<usize>);

impl Observer for Strikes {
    fn begin(&mut self, _: &Header) {
        self.0.clear();
    }

    fn observe(&mut self, entry: &Entry) {
        if let Seen::Struck { fault, .. } = entry.saw {
            self.0.extend(usize::try_from(fault));
        }
    }
}

/// The fingerprint of a trace, as its file would be.
#[derive(Default)]
struct Print(Option<Writer<Bytes>>);

/// Bytes that are counted in and forgotten.
#[derive(Default)]
struct Bytes(DefaultHasher);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Print {
    fn finish(self) -> Option<u64> {
        let bytes = self.0?.finish().ok()?;
        Some(bytes.0.finish())
    }
}

impl Observer for Print {
    fn begin(&mut self, header: &Header) {
        self.0 = Writer::new(Bytes::default(), header).ok();
    }

    fn observe(&mut self, entry: &Entry) {
        if let Some(writer) = &mut self.0 {
            writer.observe(entry);
        }
    }
}

/// What the runs of a self-test come to.
#[derive(Debug, Clone, Serialize)]
pub struct Selftest {
    /// The first seed.
    #[serde(serialize_with = "as_text")]
    pub seed: Seed,
    /// How many seeds there were.
    pub seeds: usize,
    /// How many runs there were.
    pub runs: usize,
    /// The scenarios, without variants.
    pub scenarios: Vec<String>,
    /// What became of the sound clients.
    pub sound: Vec<Sound>,
    /// What became of the defects.
    pub defects: Vec<Caught>,
    /// Rules, and who broke them.
    pub rules: Vec<Broken>,
    /// How many optional faults there are, and how many of them struck somebody.
    pub optional: Share,
    /// How many runs were made twice, and how many of them were the same again.
    pub repeated: Share,
    /// What is wrong; nothing, if gwtool is as it should be.
    pub problems: Vec<Problem>,
    /// Scenarios, with or without variants, with which another seed may yet show what these have not.
    #[serde(skip)]
    open: BTreeSet<String>,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// So many.
    pub some: usize,
    /// Of so many.
    pub all: usize,
}

impl Share {
    fn count(&mut self, is_one: bool) {
        self.all += 1;
        self.some += usize::from(is_one);
    }
}

/// What became of a sound client.
#[derive(Debug, Clone, Serialize)]
pub struct Sound {
    /// Which.
    #[serde(serialize_with = "as_text")]
    pub subject: Name,
    /// Runs that conform, of those that were made.
    pub conforms: Share,
    /// Scenarios that say nothing of it, and why.
    pub not_judged: Vec<(String, String)>,
}

/// What became of a defect.
#[derive(Debug, Clone, Serialize)]
pub struct Caught {
    /// Which.
    #[serde(serialize_with = "as_text")]
    pub defect: Defect,
    /// Where it was killed, in the order of the catalogue.
    pub kills: Vec<Kill>,
}

impl Caught {
    /// Whether it was killed where it is said to be.
    pub fn is_killed(&self) -> bool {
        self.kills.iter().any(|kill| kill.is_listed)
    }
}

/// One kill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// The scenario, with its variant.
    pub scenario: String,
    /// The scenario, without.
    pub base: String,
    /// With which seed.
    #[serde(serialize_with = "as_text")]
    pub seed: Seed,
    /// Whether it is said to kill this defect.
    pub is_listed: bool,
    /// What was found that carries a signal of the defect's, and that its control lacks.
    pub findings: Vec<String>,
}

/// Who broke a rule.
#[derive(Debug, Clone, Serialize)]
pub struct Broken {
    /// The rule's id.
    pub rule: &'static str,
    /// The defects that did.
    #[serde(serialize_with = "as_texts")]
    pub by: Vec<Defect>,
    /// Whether, no defect having done so, one edit of a recorded run did.
    pub by_edit: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub what: String,
    /// The command that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
}

fn as_text<S: Serializer>(it: &impl ToString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&it.to_string())
}

fn as_texts<S: Serializer>(them: &[Defect], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(them.iter().map(ToString::to_string))
}

/// What the runs come to. They are in the order of [`jobs`], those of further seeds behind them.
///
/// Rules that no defect breaks and outcomes that none comes to are looked for in edited recordings of runs.
pub fn conclude(seed: Seed, runs: &[Ran]) -> Selftest {
    let mut selftest = weigh(seed, runs);
    selftest.try_rules(runs);
    selftest.try_outcomes(runs);
    selftest
}

/// What there is to say of the runs alone.
fn weigh(seed: Seed, runs: &[Ran]) -> Selftest {
    let seeds: BTreeSet<Seed> = runs.iter().map(|run| run.seed).collect();
    let mut selftest = Selftest {
        seed,
        seeds: seeds.len(),
        runs: runs.len(),
        scenarios: Vec::new(),
        sound: Vec::new(),
        defects: Vec::new(),
        rules: Vec::new(),
        optional: Share::default(),
        repeated: Share::default(),
        problems: Vec::new(),
        open: BTreeSet::new(),
    };
    let mut known = BTreeSet::new();
    let bases = runs.iter().map(|run| run.scenario.base());
    let bases = bases.filter(|base| known.insert(*base));
    selftest.scenarios = bases.map(str::to_owned).collect();
    selftest.try_sound(runs);
    selftest.try_defects(runs);
    selftest.try_scenarios();
    selftest.try_optional(runs);
    selftest
}

/// What a run found that the run of its control did not: nothing, where the control was not judged.
fn news<'r>(run: &'r Ran, control: &Ran) -> impl Iterator<Item = &'r str> {
    let is_judged = control.verdict != Verdict::NotJudged;
    let found = run.found.keys().map(String::as_str);
    found.filter(move |id| is_judged && !control.found.contains_key(*id))
}

impl Selftest {
    fn problem(&mut self, what: String, run: Option<(&str, Name, Seed)>) {
        self.problems.push(Problem {
            what,
            reproduce: run.map(|(scenario, subject, seed)| {
                format!("gwtool chaos --scenario {scenario} --subject {subject} --seed {seed}")
            }),
        });
    }

    /// Sound clients conform, and are the same again.
    fn try_sound(&mut self, runs: &[Ran]) {
        for subject in SOUND {
            let mut sound = Sound {
                subject,
                conforms: Share::default(),
                not_judged: Vec::new(),
            };
            for run in runs.iter().filter(|run| run.subject == subject) {
                let name = &run.scenario.name;
                let at = Some((&**name, subject, run.seed));
                match run.verdict {
                    // Nothing struck, and nothing had to; or it cannot do what is needed.
                    Verdict::NotJudged => {
                        let why = run.reasons.join("; ");
                        sound.not_judged.push((name.clone(), why));
                        continue;
                    }
                    Verdict::Conforms => {}
                    Verdict::Inconclusive => {
                        let why = run.reasons.join("; ");
                        self.problem(format!("{subject} is inconclusive in {name}: {why}"), at);
                    }
                    Verdict::Violates => {
                        let failing = run.found.iter().filter(|it| *it.1 == Effect::Fails);
                        let failing: Vec<&str> = failing.map(|(id, _)| &**id).collect();
                        let failing = failing.join(", ");
                        self.problem(
                            format!("{subject} is sound and violates in {name}: {failing}"),
                            at,
                        );
                    }
                }
                sound.conforms.count(run.verdict == Verdict::Conforms);
                if let Some(is_same) = run.is_same_again {
                    self.repeated.count(is_same);
                    if !is_same {
                        self.problem(
                            format!("{subject} in {name}: the same seed twice, and other bytes"),
                            at,
                        );
                    }
                }
            }
            self.sound.push(sound);
        }
    }

    /// Every defect is killed where it is said to be.
    fn try_defects(&mut self, runs: &[Ran]) {
        for defect in Defect::all() {
            let info = defect.info();
            let subject = Name::Defect(defect);
            let mut caught = Caught {
                defect,
                kills: Vec::new(),
            };
            for (run, control) in with_control(runs, subject) {
                let findings: Vec<String> = news(run, control)
                    .filter(|id| signals::is_carried(info.signals, id, run.too_few.contains(*id)))
                    .map(str::to_owned)
                    .collect();
                if !findings.is_empty() {
                    let base = run.scenario.base().to_owned();
                    caught.kills.push(Kill {
                        scenario: run.scenario.name.clone(),
                        is_listed: info.killed_by.contains(&&*base),
                        base,
                        seed: run.seed,
                        findings,
                    });
                }
            }
            if !caught.is_killed() {
                let bases = info.killed_by.iter().map(|base| (*base).to_owned());
                self.open.extend(bases);
                let listed = info.killed_by.join(", ");
                let signals: Vec<&str> = info.signals.iter().map(|it| it.as_str()).collect();
                let others: BTreeSet<&str> = caught.kills.iter().map(|it| &*it.base).collect();
                let others: Vec<&str> = others.into_iter().collect();
                let others = if others.is_empty() {
                    "nor anywhere else".to_owned()
                } else {
                    format!("only in {}", others.join(", "))
                };
                let what = format!(
                    "{subject} is not killed in {listed}: none of its runs there has a finding that carries {} and that {} \
                     lacks, {others}",
                    signals.join(" or "),
                    subject.control()
                );
                self.problem(what, Some((info.killed_by[0], subject, self.seed)));
            }
            self.defects.push(caught);
        }
    }

    /// Every scenario kills somebody.
    fn try_scenarios(&mut self) {
        for base in self.scenarios.clone() {
            let mut kills = self.defects.iter().flat_map(|caught| &caught.kills);
            if !kills.any(|kill| kill.base == base) {
                self.open.insert(base.clone());
                self.problem(
                    format!("{base} kills no defect: whatever it is about, nobody would miss it"),
                    None,
                );
            }
        }
    }

    /// Every rule is broken by somebody who is not sound.
    fn try_rules(&mut self, runs: &[Ran]) {
        let mut by: BTreeMap<&str, BTreeSet<Defect>> = BTreeMap::new();
        for defect in Defect::all() {
            for (run, control) in with_control(runs, Name::Defect(defect)) {
                for rule in run.broken.difference(&control.broken) {
                    by.entry(rule).or_default().insert(defect);
                }
            }
        }
        for rule in rules::all() {
            let by: Vec<Defect> = by.remove(rule.id).into_iter().flatten().collect();
            let by_edit = by.is_empty() && self.is_found_in_an_edit(rule.id);
            if by.is_empty() && !by_edit {
                let what = format!(
                    "{} is broken by no defect and in no edited recording: it may never fail anybody",
                    rule.id
                );
                self.problem(what, None);
            }
            self.rules.push(Broken {
                rule: rule.id,
                by,
                by_edit,
            });
        }
    }

    /// Every outcome is that of somebody who is not sound.
    fn try_outcomes(&mut self, runs: &[Ran]) {
        let outcomes = names::OUTCOMES.iter().filter(|id| **id != OF_PROGRAMS);
        for id in outcomes {
            let is_new = |(run, control): (&Ran, &Ran)| news(run, control).any(|new| new == *id);
            let by_defect =
                Defect::all().any(|it| with_control(runs, Name::Defect(it)).any(is_new));
            if !by_defect && !self.is_found_in_an_edit(id) {
                let what = format!(
                    "`{id}` is told of no defect and in no edited recording: it may never be told of anybody"
                );
                self.problem(what, None);
            }
        }
    }

    /// Whether a rule or an outcome is found in the recording that was edited for it.
    fn is_found_in_an_edit(&mut self, id: &str) -> bool {
        edits::breaks(id).unwrap_or_else(|why| {
            if self.problems.iter().all(|problem| problem.what != why) {
                self.problem(why.to_owned(), None);
            }
            false
        })
    }

    /// Every fault that need not strike strikes somebody.
    fn try_optional(&mut self, runs: &[Ran]) {
        let mut struck: BTreeMap<&str, (&Ran, BTreeSet<usize>)> = BTreeMap::new();
        for run in runs {
            let of_scenario = struck.entry(&run.scenario.name);
            let (_, struck) = of_scenario.or_insert((run, BTreeSet::new()));
            struck.extend(&run.struck);
        }
        for (name, (first, struck)) in struck {
            let optional = first.scenario.faults.iter().enumerate();
            for (place, _) in optional.filter(|(_, fault)| fault.optional.is_some()) {
                let has_struck = struck.contains(&place);
                self.optional.count(has_struck);
                if !has_struck {
                    self.open.insert(name.to_owned());
                    self.problem(
                        format!(
                            "fault {} of {name} is optional and struck no subject",
                            place + 1
                        ),
                        Some((name, Name::Gwtool, first.seed)),
                    );
                }
            }
        }
    }
}

/// The runs of a subject, each with that of its control.
fn with_control(runs: &[Ran], subject: Name) -> impl Iterator<Item = (&Ran, &Ran)> {
    let is_same =
        |one: &Ran, next: &Ran| one.seed == next.seed && one.scenario.name == next.scenario.name;
    runs.chunk_by(is_same).filter_map(move |of_scenario| {
        let of = |name: Name| of_scenario.iter().find(|run| run.subject == name);
        Some((of(subject)?, of(subject.control())?))
    })
}
