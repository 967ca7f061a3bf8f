//! The judge: reads a trace entry by entry and says what was wrong with the subject.
//!
//! Pure, with bounded state, and blind to everything but the trace: it knows no client, no server and no fault's insides, so
//! that an in-process subject, a program, a recorded file and a production connection are judged by the same code.
//!
//! [`Judge`] keeps a `view::View` of connections and sessions and shows every entry to the groups of rules; they write into
//! a `docket::Docket`. What does not happen is found by time: each connection knows what it owes and by when, and is looked
//! at before the first entry after that. A false alarm on a sound client costs more than a missed bug, so that whatever may
//! have crossed something else on the wire, or was kept back by a fault, is not judged.

mod close;
mod connect;
pub mod coverage;
mod delivery;
mod docket;
mod expectations;
mod health;
mod heartbeat;
mod holdings;
mod identify;
pub mod names;
mod notes;
mod outcomes;
mod process;
mod rate;
mod reading;
mod reconnect;
mod resume;
mod robustness;
pub mod rules;
mod verdict;
mod view;
mod words;

#[cfg(test)]
mod tests;

use self::coverage::{Coverage, Scene, State};
use self::docket::Docket;
use self::health::Health;
use self::holdings::{Held, Holdings};
use self::notes::Notes;
use self::outcomes::{Outcomes, RecoveryFacts};
use self::process::{Processes, Reason};
use self::rules::Rule;
use self::view::{
    Auth, Cause, DEATH_SHOWS_WITHIN, DUES, Dead, Due, Ending, Hello, How, Presence, Trouble, View,
};
use crate::expect::{Accepted, Ends};
use crate::fault::{Act, Action, Layer, Port};
use crate::progress::Progress;
use crate::protocol::{CloseCode, Json, Opcode};
use crate::time::{Duration, Instant};
use crate::trace::{Entry, ExitStatus, Fate, Header, Kind, Miss, Observer, Phase, Seen, Side};
use serde::{Deserialize, Serialize};

/// How binding a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleLevel {
    /// Broken, it fails the run.
    Must,
    /// Broken, it is shown, and fails the run with `--strict`.
    Should,
}

/// What a finding does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The run violates.
    Fails,
    /// It is shown; with `--strict` the run violates.
    Shown,
    /// It is worth knowing, and never fails.
    Note,
}

/// What kind of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A broken rule; the id is the rule's, such as `heartbeat/H6`.
    Rule,
    /// An outcome; the id is its name, such as `died`.
    Outcome,
    /// An unmet expectation; the id is its key, such as `connections`.
    Expectation,
}

/// One thing that the judge has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// Its id.
    pub id: String,
    /// What it does to the verdict.
    pub effect: Effect,
    /// When it was seen.
    #[serde(rename = "at_ns")]
    pub at: Instant,
    /// On which connection.
    pub connection: Option<u32>,
    /// What was seen: a phrase that stands behind a time, such as "sent IDENTIFY on #3".
    pub seen: String,
    /// What was expected: a phrase that stands behind "expected".
    pub expected: String,
    /// What else was seen that bears on it, a line each: the exit status, the last lines of stderr.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Why it does not fail the run, where whoever tests has said that it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
}

/// The verdict of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing failed, and everything was seen that had to be.
    Conforms,
    /// Nothing struck, and nothing had to: no part of the exit code.
    NotJudged,
    /// Something that had to be seen was not.
    Inconclusive,
    /// A finding fails the run.
    Violates,
}

/// How often a rule could have been broken, and was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule's id.
    pub rule: &'static str,
    /// How often there was occasion to break it.
    pub exercised: u64,
    /// How often it was kept.
    pub kept: u64,
}

/// Everything that the judge has to say of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The verdict, `--strict` not considered.
    pub verdict: Verdict,
    /// Why it is inconclusive or not judged; empty otherwise.
    pub reasons: Vec<String>,
    /// What was seen that bears on the reasons, a line each: how a program ended, what it wrote last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What was found, in the order of time.
    pub findings: Vec<Finding>,
    /// Rules that were exercised.
    pub rules: Vec<RuleCount>,
    /// Rules and expectations that could not be evaluated, with the reason.
    pub not_judged: Vec<(String, String)>,
    /// How long the run was watched.
    #[serde(rename = "watched_ns", serialize_with = "as_nanos")]
    pub watched: Duration,
    /// What was counted: connections, identifies, resumes, …
    pub counts: Counts,
    /// What was exercised: states, faults and rules.
    pub coverage: Coverage,
}

/// What was counted in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u32,
    /// IDENTIFYs read.
    pub identifies: u32,
    /// RESUMEs read.
    pub resumes: u32,
    /// Close frames of the subject's that began a close handshake.
    pub closes: u32,
    /// Dispatches sent.
    pub dispatches: u64,
    /// Dispatches that the subject delivered.
    pub delivered: u64,
    /// Dispatches that were lost.
    pub lost: u32,
    /// Dispatches that were delivered more than once.
    pub duplicated: u32,
}

fn as_nanos<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(duration.as_nanos())
}

/// Why a subject is not judged that asks for ETF.
const ETF: &str = "the subject asks for `encoding=etf`, which gwtool does not speak: have it ask for \
    `encoding=json` (many libraries do when no ETF package is installed)";
/// Why a subject is not judged that was sent away when its sessions were used up.
const SPENT: &str = "the gateway sent the subject away with 4004 when it had used up its sessions: it never asked \
    `/gateway/bot` how many are left, and cannot have known";
/// Why a program may not come to the gateway that it was given.
const SETTINGS: &str = "a `.env` file or a setting of its own may override what gwtool gives it in its environment: \
    `GWTOOL_GATEWAY_URL`, `GWTOOL_API_URL`, `DISCORD_TOKEN`";
/// Why a program may end in good order before it has begun.
const BACKGROUND: &str = "what goes into the background is ended with the process that gwtool started: \
    have the program stay in the foreground";

/// Watches a run and judges it.
#[derive(Debug)]
pub struct Judge {
    view: View,
    docket: Docket,
    discovery: connect::Discovery,
    identified: identify::Identified,
    limits: rate::Limits,
    firsts: heartbeat::Firsts,
    attempts: reconnect::Attempts,
    outcomes: Outcomes,
    holdings: Holdings,
    deliveries: delivery::Deliveries,
    expectations: expectations::Ledger,
    processes: Processes,
    notes: Notes,
    health: Health,
    /// The fatal code that the gateway closed with last in this life, and when.
    fatal: Option<(Instant, CloseCode)>,
    counts: Counts,
    watch: Watch,
    /// The phases of the run and the recovery in it.
    progress: Progress,
    /// The latest that gwtool's own timers were, where that may have spoilt the run.
    noise: Option<Duration>,
    /// Why TLS failed first, if it did: why a subject that was never READY was not.
    tls_failed: Option<String>,
    /// Findings that fail nothing, by their ids.
    known: Vec<(String, Accepted)>,
}

/// Rules that a sound subject breaks where it gets no time.
const TIMING: [&str; 5] = [
    "heartbeat/H1",
    "heartbeat/H3",
    "heartbeat/H5",
    "heartbeat/H8",
    "resume/R5",
];

/// How far the watch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// It goes on.
    On,
    /// It is over: what follows is gwtool's own clearing up.
    Over { at: Instant },
    /// The trace has an end, too.
    Ended { at: Instant, is_complete: bool },
}

impl Judge {
    /// A judge of the run that this header announces.
    pub fn new(header: &Header) -> Self {
        Self {
            view: View::new(header),
            docket: Docket::new(header.vantage),
            discovery: connect::Discovery::default(),
            identified: identify::Identified::default(),
            limits: rate::Limits::default(),
            firsts: heartbeat::Firsts::default(),
            attempts: reconnect::Attempts::default(),
            outcomes: Outcomes::default(),
            holdings: Holdings::default(),
            deliveries: delivery::Deliveries::default(),
            expectations: expectations::Ledger::new(header.expect.clone()),
            processes: Processes::new(header.sees_process),
            notes: Notes::default(),
            health: Health::default(),
            fatal: None,
            counts: Counts::default(),
            watch: Watch::On,
            progress: Progress::new(header),
            noise: None,
            tls_failed: None,
            known: Vec::new(),
        }
    }

    /// Whether gwtool's own timers were so late that the run may say nothing of the subject.
    pub const fn is_noisy(&self) -> bool {
        self.noise.is_some()
    }

    /// The same, told which findings are known, by their ids: these do not fail the run.
    #[must_use]
    pub fn accepting(self, known: Vec<(String, Accepted)>) -> Self {
        Self { known, ..self }
    }

    /// Everything that is to be said.
    pub fn finish(self) -> Judgement {
        let is_complete = matches!(
            self.watch,
            Watch::Ended {
                is_complete: true,
                ..
            }
        );
        let facts = RecoveryFacts::of(&self.progress, is_complete);
        self.conclude(&facts)
    }

    /// Everything that is to be said, given what the phases of the run say about the recovery.
    fn conclude(mut self, recovery: &RecoveryFacts) -> Judgement {
        let (until, is_complete) = match self.watch {
            Watch::On => (self.view.shared.now, false),
            Watch::Over { at } => (at, false),
            Watch::Ended { at, is_complete } => (at, is_complete),
        };
        self.attempts.finish(&self.view, &mut self.docket, until);
        for connection in &self.view.connections {
            let (shared, docket) = (&self.view.shared, &mut self.docket);
            if connection.is_open() && !connection.is_foreign(shared) {
                self.firsts.ended(connection, shared, docket);
            }
        }
        if let Presence::Banned { at, crossing, .. } = self.view.shared.presence
            && self.attempts.last.is_none_or(|last| last < at + crossing)
        {
            self.docket.kept(Rule::X1);
        }
        let (lost, overflow) = delivery::lost(&self.view, &self.deliveries, until);
        self.counts.lost = lost;
        self.counts.duplicated = self.deliveries.duplicated;
        self.counts.delivered = self.deliveries.delivered;
        let last_attempt = self.attempts.last;
        let foreign = self.discovery.asked_for_etf;
        let spent = self.spent_unasked();
        let void = foreign
            .map(|_| vec![ETF.to_owned()])
            .or_else(|| spent.map(|_| vec![SPENT.to_owned()]))
            .or_else(|| self.login_failure(recovery, is_complete));
        self.outcomes.tell_early(&mut self.docket);
        // A program that ends as a fatal code demands will not come back.
        let banned = self
            .fatal
            .filter(|_| self.processes.is_watched && !self.processes.is_alive())
            .filter(|_| self.view.shared.ends == Ends::Recovered && !self.outcomes.is_told())
            .map(|(_, code)| format!("the gateway closed with {code} ({})", code.meaning()));
        let unrecovered = match void {
            Some(_) => None,
            // That it used up its sessions is told as what it is.
            None if banned.is_some() => {
                banned.filter(|_| !self.docket.has_failed_by(&["identify/I6"]))
            }
            None => self.outcomes.finish(
                &self.view,
                &mut self.docket,
                recovery,
                self.health
                    .ailment(recovery.bound)
                    .filter(|_| self.processes.is_alive()),
                last_attempt,
                until,
            ),
        };
        let sees_delivery = self.view.shared.sees_delivery;
        let repeat = self.deliveries.first_duplicate;
        let repeat = repeat.map(|(at, which)| (at, delivery::show(which)));
        let mut not_judged = if void.is_some() {
            let why = match (foreign, spent) {
                (Some(_), _) => "the subject speaks another encoding",
                (None, Some(_)) => "the gateway sent the subject away for good",
                (None, None) => "the subject was never READY",
            };
            vec![("expectations".to_owned(), why.to_owned())]
        } else if is_complete {
            self.expectations
                .finish(&mut self.docket, &self.counts, sees_delivery, repeat, until)
        } else {
            // What had not happened yet might have.
            let why = "the trace ends before the watch does";
            vec![("expectations".to_owned(), why.to_owned())]
        };
        if overflow {
            let why = "more dispatches waited for delivery than are remembered";
            not_judged.push(("lost".to_owned(), why.to_owned()));
        }
        self.witness();
        let is_void = void.is_some();
        let mut gaps = void.unwrap_or_default();
        if is_complete {
            gaps.extend(unrecovered);
        } else {
            gaps.push("the trace ends before the watch does".to_owned());
        }
        if let Some(late) = self.noise {
            let late = crate::time::show(late);
            gaps.push(format!("gwtool's own timers were late by up to {late}"));
        }
        if let Some(why) = self.tls_failed.filter(|_| !gaps.is_empty()) {
            gaps.push(format!("TLS failed: {why}"));
        }
        let (mut findings, rules, coverage) = self.docket.close(&self.view.strikes);
        if let Some(since) = foreign {
            // All that came of it is no doing of the subject's; that it shows its token is.
            findings.retain(|finding| finding.at < since || finding.id == "token");
        }
        if self.noise.is_some() {
            // A machine that stands still is late for whoever runs on it.
            let is_timing = |finding: &&mut Finding| TIMING.contains(&finding.id.as_str());
            for late in findings.iter_mut().filter(is_timing) {
                late.effect = late.effect.max(Effect::Shown);
            }
        }
        if verdict::is_untouched(&self.view.faults) {
            // What a scenario expects, it expects of those whom its faults strike.
            let expected = |f: &&mut Finding| f.kind == FindingKind::Expectation;
            for finding in findings.iter_mut().filter(expected) {
                finding.effect = Effect::Note;
            }
        }
        for finding in findings.iter_mut().filter(|f| f.effect != Effect::Note) {
            let known = self.known.iter().find(|(id, _)| *id == finding.id);
            finding.accepted = known.map(|(_, why)| why.clone());
        }
        // Why nothing could strike has been said.
        let faults = if is_void { &[] } else { &self.view.faults[..] };
        let (verdict, reasons) = match verdict::weigh(&findings, faults, gaps) {
            // Nothing is missing that another run would bring.
            (Verdict::Inconclusive, reasons) if spent.is_some() && reasons.len() == 1 => {
                (Verdict::NotJudged, reasons)
            }
            weighed => weighed,
        };
        let evidence = if is_void && !reasons.is_empty() {
            self.processes.evidence(None, outcomes::DEATH_LINES)
        } else {
            Vec::new()
        };
        Judgement {
            verdict,
            reasons,
            evidence,
            findings,
            rules,
            not_judged,
            watched: until - Instant::ZERO,
            counts: self.counts,
            coverage,
        }
    }

    /// Since when the subject is sent away because it used up its sessions, where it never asked how many there are. Only who
    /// asks is held to the number, and who is sent away with a fatal code stays away with reason.
    fn spent_unasked(&self) -> Option<Instant> {
        let overdrawn = self.identified.overdrawn?;
        let (at, code) = self.fatal?;
        (code == CloseCode::AUTHENTICATION_FAILED && at >= overdrawn).then_some(at)
    }

    /// Why the subject cannot be judged that never logged in, nothing having kept it from that.
    fn login_failure(&self, recovery: &RecoveryFacts, is_complete: bool) -> Option<Vec<String>> {
        let has_struck = self.view.faults.iter().any(|fault| fault.has_struck);
        let is_program = self.processes.is_watched;
        let is_told = self.outcomes.is_told() || self.view.shared.ends == Ends::Stopped;
        let was_free = !has_struck && (is_program || !is_told);
        // One that leaves a child behind may have come to its end and be READY all the same.
        if !(recovery.login_failed && (was_free || self.outcomes.has_ended_at_login())) {
            return None;
        }
        let failed = if is_complete {
            "the subject was not READY in time, though nothing had struck"
        } else {
            "the subject was not READY yet when the run was ended"
        };
        if !is_program {
            return Some(vec![failed.to_owned()]);
        }
        let is_lost = self.counts.connections == 0;
        let fatal = self
            .fatal
            .map(|(_, code)| format!("{code} ({})", code.meaning()));
        let (was, not_yet) = match &fatal {
            _ if is_lost && !self.discovery.has_asked => ("never connected", "connected"),
            _ if is_lost => ("asked over REST, but never connected", "connected"),
            _ if self.counts.identifies + self.counts.resumes == 0 => {
                ("connected, but sent no IDENTIFY", "sent IDENTIFY")
            }
            _ => ("sent IDENTIFY, but was not READY", "was READY"),
        };
        let closed = fatal.as_ref().map_or_else(String::new, |code| {
            format!(", and the gateway had closed with {code}")
        });
        let mut reasons = vec![match self.processes.exit() {
            Some(status) => {
                format!("{failed}: it ended with {status} before it {not_yet}{closed}")
            }
            None => format!("{failed}: it {was}{closed}"),
        }];
        reasons.push(match self.processes.last_line() {
            Some(line) => format!("what it wrote last is `{line}`"),
            None => "it wrote nothing".to_owned(),
        });
        let has_left = is_lost && self.processes.exit() == Some(ExitStatus::Code(0));
        if has_left {
            reasons.push(BACKGROUND.to_owned());
        } else if fatal.is_some() || is_lost && is_complete {
            reasons.push(SETTINGS.to_owned());
        }
        Some(reasons)
    }

    /// Gives what was just found the evidence that is at hand only now.
    fn witness(&mut self) {
        if !self.processes.is_watched {
            return;
        }
        let (processes, notes, faults) = (&self.processes, &self.notes, &self.view.faults);
        let word = |fault: u32| {
            let fault = faults.get(fault as usize)?;
            Some(fault.scheduled.fault.action.word())
        };
        let fresh = self.docket.fresh().chain(self.outcomes.fresh());
        for finding in fresh.filter(|f| f.effect == Effect::Fails && f.evidence.is_empty()) {
            let is_of_all = matches!(finding.id.as_str(), "hung" | "gave-up" | "loop");
            let number = finding.connection;
            let number = number.or_else(|| notes.latest().filter(|_| is_of_all));
            if let Some(number) = number {
                finding.evidence = notes.lines(number, word);
            }
            let said = processes.evidence(None, outcomes::LINES);
            finding.evidence.extend(said);
        }
    }

    /// A program's process has ended.
    fn exited(&mut self, process: u32, status: ExitStatus) {
        let (reason, is_current) = self.processes.exited(process, status);
        if self.view.shared.heritage == Instant::FOREVER && !self.processes.has_living_predecessor()
        {
            self.view.shared.heritage = self.view.shared.now + DEATH_SHOWS_WITHIN;
        }
        let (outcomes, view, docket) = (&mut self.outcomes, &mut self.view, &mut self.docket);
        match reason {
            Reason::Told { at } => {
                outcomes.ended_as_told(view, docket, &self.processes, (process, status), at);
            }
            Reason::Unasked if is_current => {
                let was_ready = self.progress.time_zero().is_some();
                let end = (process, status);
                outcomes.exited(view, docket, &self.processes, end, was_ready, self.fatal);
                self.attempts.excused();
            }
            Reason::Killed | Reason::Succeeded | Reason::Unasked => {}
        }
    }

    /// Looks at everything that was owed before now.
    fn check_dues(&mut self) {
        let now = self.view.shared.now;
        for place in 0..self.view.connections.len() {
            for due in DUES {
                let connection = &mut self.view.connections[place];
                if now > connection.due(due) {
                    // What did not happen is told as of the moment at which it was late, not of the next entry.
                    self.view.shared.now = connection.due(due) + Duration::from_nanos(1);
                    connection.settle(due);
                    self.docket.scene.state = State::of(connection);
                    let (shared, docket) = (&self.view.shared, &mut self.docket);
                    match due {
                        Due::Beat => heartbeat::beat_overdue(connection, shared, docket),
                        Due::Request => heartbeat::request_overdue(connection, shared, docket),
                        Due::Silence => heartbeat::silence_overdue(connection, shared, docket),
                        Due::Leave => close::leave_overdue(connection, shared, docket),
                        Due::Patience => connect::patience_overdue(connection, shared, docket),
                        Due::Echo => close::echo_overdue(connection, shared, docket),
                        Due::Handshake => close::handshake_overdue(connection, shared, docket),
                        Due::Pong => robustness::pong_overdue(connection, shared, docket),
                    }
                    self.view.shared.now = now;
                }
            }
        }
        self.outcomes.check(&self.view, &mut self.docket);
        self.reckon();
    }

    fn reckon(&mut self) {
        self.view.reckon();
        self.view.next_due = self.view.next_due.min(self.outcomes.next_due());
    }

    fn tls_failed(&mut self, why: &str) {
        self.tls_failed.get_or_insert_with(|| why.to_owned());
    }

    /// The subject began an attempt to connect.
    fn attempt(&mut self, connection: Option<u32>) {
        let is_accepted = connection.is_some();
        self.attempts
            .began(&self.view, &mut self.docket, is_accepted);
    }

    fn accepted(&mut self, number: u32, port: Port) {
        self.counts.connections += 1;
        self.holdings.accepted(self.view.shared.now);
        // What the gateway does not read it cannot see: the new connection tells that the old one was left.
        for place in 0..self.view.connections.len() {
            let old = &mut self.view.connections[place];
            if old.damage.is_unseen && old.left.is_none() {
                old.settle_all();
                let at = self.view.shared.now;
                let how = How::Replaced;
                old.left = Some(Ending { at, how });
                self.lose(place);
            }
        }
        close::connects(&self.view.shared, &mut self.docket, Some(number));
        self.attempt(Some(number));
        self.discovery
            .accepted(&self.view.shared, &mut self.docket, number);
        self.outcomes.accepted(&self.view, number);
        let place = self.view.accepted(number, port);
        connect::wait(&mut self.view.connections[place], &self.view.shared);
    }

    /// An attempt got no number.
    fn missed(&mut self, port: Port, why: Miss) {
        if port == Port::Rest {
            return;
        }
        // One that hung is seen when it is given up, and began who knows when.
        if why == Miss::Refused {
            close::connects(&self.view.shared, &mut self.docket, None);
        }
        self.attempt(None);
        self.discovery.doubt();
        reconnect::failed(&mut self.view, &mut self.docket, port, false, false);
        // One that was under way when the subject was let go, or forbidden to come back, need not be followed by another.
        if self.view.shared.presence == Presence::Running {
            self.attempts.lost(None, self.view.shared.now, None);
        }
    }

    /// A payload of the subject's.
    fn on_subject_frame(&mut self, place: usize, op: Opcode, d: &Json, bytes: u32) {
        let (view, docket) = (&mut self.view, &mut self.docket);
        let connection = &mut view.connections[place];
        close::payload(connection, &view.shared, docket);
        connect::payload(connection, &view.shared, docket, op);
        rate::payload(connection, &view.shared, docket, bytes);
        self.limits.payload(connection, &view.shared, docket, op, d);
        connection.frames += 1;
        match op {
            Opcode::HEARTBEAT => self.beat(place, d),
            Opcode::HEARTBEAT_ACK => {
                heartbeat::ack_from_subject(connection, &view.shared, docket);
            }
            Opcode::IDENTIFY => self.identify(place, d),
            Opcode::RESUME => self.resume(place, d),
            _ => {}
        }
        let connection = &mut self.view.connections[place];
        reading::payload(connection, self.view.shared.now, &mut self.docket);
    }

    fn beat(&mut self, place: usize, d: &Json) {
        let connection = &mut self.view.connections[place];
        heartbeat::beat(connection, &self.view.shared, &mut self.docket);
        robustness::settle(connection, &mut self.docket, self.view.shared.now);
        let (serial, shard) = (connection.session, connection.shard);
        let serial = serial.or_else(|| self.view.trail(shard).session);
        let view = &mut self.view;
        let is_first = view.sessions.is_empty() && !view.shared.with_session;
        let session = view
            .sessions
            .iter_mut()
            .rev()
            .find(|session| Some(session.serial) == serial);
        let connection = &view.connections[place];
        let docket = &mut self.docket;
        let shown = heartbeat::number(connection, session, is_first, &view.shared, docket, d);
        reading::beat(&mut view.connections[place], &view.shared, docket, shown);
    }

    /// One authentication a connection, unless op 9 asked for another.
    fn authenticates(&mut self, place: usize, op: Opcode) {
        let now = self.view.shared.now;
        let connection = &mut self.view.connections[place];
        let number = connection.number;
        if let Some(hello) = connection.hello {
            connection.round_trip.get_or_insert(now - hello.at);
        }
        if connection.auths > 0 && connection.auth != Auth::Refused {
            self.docket.broken(Rule::I1, now, Some(number), || {
                let before = "one IDENTIFY or RESUME on a connection, unless op 9 came between";
                (
                    format!("sent {} again on #{number}", op.name()),
                    before.to_owned(),
                )
            });
        } else {
            self.docket.kept(Rule::I1);
        }
        close::authenticates(connection, &self.view.shared, &mut self.docket);
    }

    fn identify(&mut self, place: usize, d: &Json) {
        self.counts.identifies += 1;
        self.authenticates(place, Opcode::IDENTIFY);
        let (now, number) = (self.view.shared.now, self.view.connections[place].number);
        let (view, docket) = (&mut self.view, &mut self.docket);
        connect::compression(&view.connections[place], &view.shared, docket, d);
        self.discovery.identified(&view.shared);
        let shard = identify::identify(view, &mut self.identified, docket, number, d);
        reconnect::authenticates(view, docket, place, Opcode::IDENTIFY, shard);
        let connection = &mut view.connections[place];
        connection.auth = Auth::Identifying { at: now };
        connection.auths += 1;
        connection.shard = shard;
        connection.session = None;
        self.outcomes.named(view, place);
        let serial = view.trail(shard).session;
        let within = delivery::reported_within(&view.shared);
        if let Some(session) = serial.and_then(|serial| view.session(serial)) {
            session.ledger.abandon(now, within);
        }
    }

    fn resume(&mut self, place: usize, d: &Json) {
        self.counts.resumes += 1;
        self.authenticates(place, Opcode::RESUME);
        let (now, number) = (self.view.shared.now, self.view.connections[place].number);
        let (view, docket) = (&mut self.view, &mut self.docket);
        let named = resume::resume(view, docket, place, d);
        if !named.is_odd {
            self.expectations.resumed(docket, now, number, named.seq);
        }
        reconnect::authenticates(view, docket, place, Opcode::RESUME, named.shard);
        let connection = &mut view.connections[place];
        connection.auth = Auth::Resuming { at: now };
        connection.auths += 1;
        connection.shard = named.shard;
        connection.replayed = None;
        self.outcomes.named(view, place);
        if let Some(serial) = named.session {
            view.carries(place, serial);
        }
    }

    /// A payload that set out for the subject.
    fn on_gateway_frame(&mut self, place: usize, frame: &ToSubject<'_>) {
        let now = self.view.shared.now;
        let (view, docket) = (&mut self.view, &mut self.docket);
        let connection = &mut view.connections[place];
        heartbeat::heard(connection, now);
        heartbeat::sent(connection, frame.bytes);
        connection.settle(Due::Patience);
        match frame.op {
            Opcode::DISPATCH => self.dispatch(place, frame),
            Opcode::HELLO if connection.hello.is_some() => {
                connection.trouble = connection.trouble.or(Some((now, Trouble::Nonsense)));
            }
            Opcode::HELLO => {
                let interval = hello_interval(frame.d).unwrap_or(view.shared.interval);
                connection.hello = Some(Hello { at: now, interval });
                heartbeat::hello(connection, &view.shared);
                reading::hello(connection, &mut view.shared, view.json_is_odd);
                self.discovery.confirm(&view.shared);
                if connection.port == Port::Main {
                    reconnect::reached_main(view, docket);
                }
            }
            Opcode::HEARTBEAT_ACK => heartbeat::acked(connection, docket),
            Opcode::HEARTBEAT => heartbeat::requested(connection, &view.shared),
            Opcode::RECONNECT => {
                let before_hello = connection.hello.is_none();
                let trouble = (now, Trouble::Op7 { before_hello });
                connection.trouble = connection.trouble.or(Some(trouble));
                close::told_to_leave(connection, &view.shared);
            }
            Opcode::INVALID_SESSION => self.invalid_session(place, frame.d.get().trim() == "true"),
            op => robustness::odd(connection, docket, now, op),
        }
        if frame.op != Opcode::DISPATCH && frame.s.is_some() {
            let connection = &self.view.connections[place];
            if let Some(session) = connection
                .session
                .and_then(|serial| self.view.session(serial))
            {
                session.odd = frame.s;
            }
        }
    }

    /// A payload set out for the subject which it may have read or not. It gives reason to leave as any bad frame does; its
    /// number may be known from now on and need not be, and what it carries is owed only once it is replayed.
    fn on_spoilt_frame(&mut self, place: usize, op: Opcode, s: Option<u64>, name: Option<&str>) {
        let now = self.view.shared.now;
        let connection = &mut self.view.connections[place];
        heartbeat::heard(connection, now);
        connection.trouble = connection.trouble.or(Some((now, Trouble::BadFrame)));
        if op != Opcode::DISPATCH || name == Some("READY") {
            return;
        }
        let settle = self
            .view
            .shared
            .settle(connection.interval(&self.view.shared));
        let serial = connection.session;
        if let (Some(s), Some(session)) = (s, serial.and_then(|serial| self.view.session(serial))) {
            session.sent(s, now, settle, false);
            session.is_scrambled = true;
        }
    }

    fn dispatch(&mut self, place: usize, frame: &ToSubject<'_>) {
        /// What is read of READY.
        #[derive(Deserialize)]
        struct Ready<'a> {
            #[serde(borrow)]
            session_id: std::borrow::Cow<'a, str>,
        }
        let now = self.view.shared.now;
        let connection = &self.view.connections[place];
        let is_up = matches!(connection.auth, Auth::Up { .. });
        match frame.t {
            // Nobody reads on a connection that is left: that session nobody has.
            Some("READY" | "RESUMED") if connection.left.is_some() => {}
            Some("READY") => {
                if let (Ok(ready), Some(s)) = (frame.d.read::<Ready<'_>>(), frame.s) {
                    if self.view.ready(place, &ready.session_id, s) {
                        self.view.up(place);
                        self.attempts.succeeded();
                    } else {
                        self.view.connections[place].auth = Auth::Up { at: now };
                    }
                }
            }
            Some("RESUMED") => {
                self.view.up(place);
                self.attempts.succeeded();
            }
            Some("RATE_LIMITED") => {
                let connection = &self.view.connections[place];
                self.limits.told(connection, &self.view.shared, frame.d);
                self.counts.dispatches += 1;
            }
            _ => self.counts.dispatches += 1,
        }
        let Some(s) = frame.s else {
            return;
        };
        let connection = &mut self.view.connections[place];
        let serial = connection.session;
        let settle = self
            .view
            .shared
            .settle(connection.interval(&self.view.shared));
        let before = if matches!(connection.auth, Auth::Resuming { .. }) {
            connection.replayed.replace(s)
        } else {
            None
        };
        // Who is leaving, or has reason to, need not take what still comes.
        let is_sure =
            connection.is_clear() && connection.trouble.is_none() && !connection.damage.is_struck;
        let Some(session) = serial.and_then(|serial| self.view.session(serial)) else {
            return;
        };
        // Of a session whose numbers did not come in order nobody can ask where the subject stands: a replay of what was
        // sent is then the gateway's repetition, and no claim of the subject's that it had not come.
        let is_again = s <= session.highest && (is_up || session.is_scrambled);
        let is_repeat = match frame.t {
            Some("READY") => false,
            // Held back until others had gone before it.
            Some("RESUMED") => s < session.highest,
            _ => before.is_some_and(|old| s <= old) || is_again,
        };
        session.is_scrambled |= is_repeat;
        session.sent(s, now, settle, is_sure);
        delivery::sent(&mut self.view, place, s, frame.t, frame.d, is_repeat);
        if frame.fate == Fate::Injected {
            let connection = &mut self.view.connections[place];
            let what = (frame.t, frame.d);
            robustness::odd_dispatch(connection, &mut self.docket, now, what);
        }
    }

    fn invalid_session(&mut self, place: usize, resumable: bool) {
        let now = self.view.shared.now;
        let connection = &mut self.view.connections[place];
        let was_resuming = matches!(connection.auth, Auth::Resuming { .. });
        let (shard, serial) = (connection.shard, connection.session);
        connection.trouble = connection
            .trouble
            .or(Some((now, Trouble::Op9 { resumable })));
        connection.auth = Auth::Refused;
        // Who has left does not read what the gateway still says.
        if connection.left.is_some() {
            return;
        }
        let trail = self.view.trail(shard);
        trail.refused += u32::from(was_resuming);
        if !was_resuming || !resumable {
            trail.loss = Some((now, Cause::Op9 { resumable }));
        }
        let within = delivery::reported_within(&self.view.shared);
        if let Some(session) = serial
            .filter(|_| !resumable)
            .and_then(|s| self.view.session(s))
        {
            session.dead.get_or_insert(Dead::Invalid);
            session.ledger.abandon(now, within);
        }
    }

    /// The subject does something to end a connection.
    fn subject_ends(&mut self, place: usize, how: How) {
        let (view, docket) = (&mut self.view, &mut self.docket);
        let connection = &mut view.connections[place];
        let (now, number) = (view.shared.now, connection.number);
        let was_up = matches!(connection.auth, Auth::Up { .. });
        if connection.left.is_none() {
            if connection.cut.is_none() {
                if let How::Close(code) = how {
                    self.counts.closes += 1;
                    self.expectations.closed(docket, now, number, code);
                    if matches!(view.shared.presence, Presence::Dismissed { .. })
                        && connection.life == view.shared.life
                    {
                        close::shutdown(connection, &view.shared, docket, code, was_up);
                    }
                }
                self.outcomes
                    .left(connection, &view.shared, was_up, way(how));
                reading::left(connection, &view.shared, docket);
                robustness::left(connection, &view.shared, docket);
                heartbeat::left(connection, &view.shared, docket);
                connect::left(connection, docket);
                close::left(connection, &view.shared, docket, how);
                let had_arrived = |at| connection.had_arrived(at, now);
                if let Some((at, Trouble::Op9 { resumable: false })) = connection.trouble
                    && !had_arrived(at)
                    && let Some(session) = connection.session.and_then(|s| view.session(s))
                {
                    // The op 9 and this crossed: the subject may never have seen it.
                    session.dead = session.dead.filter(|dead| *dead != Dead::Invalid);
                }
            } else {
                close::answered(connection, &view.shared, docket, how);
            }
            view.connections[place].left = Some(Ending { at: now, how });
            self.lose(place);
        }
        if let How::Close(Some(code)) = how {
            let connection = &self.view.connections[place];
            if connection.cut.is_none() && self.view.shared.presence == Presence::Running {
                resume::closed(&mut self.view, place, Side::Subject, code);
            }
        } else if matches!(how, How::Fin | How::Rst) {
            let connection = &self.view.connections[place];
            if connection.cut.is_none() && matches!(connection.left, Some(left) if left.how != how)
            {
                self.outcomes.dropped_unanswered(self.view.shared.now);
            }
            close::gone(&mut self.view.connections[place], &mut self.docket);
            self.view.connections.remove(place);
        }
    }

    /// The gateway ends a connection, and the subject will see it.
    fn gateway_ends(&mut self, place: usize, how: How) {
        let view = &mut self.view;
        let connection = &mut view.connections[place];
        let now = view.shared.now;
        heartbeat::heard(connection, now);
        // An answer has come: from here on the wait is another one, and not judged.
        connection.settle(Due::Handshake);
        if connection.cut.is_none() {
            close::cut(connection, &view.shared, how);
            connection.cut = Some(Ending { at: now, how });
            if let How::Close(Some(code)) = how
                && connection.left.is_none()
            {
                let crossing = connection.crossing();
                resume::closed(view, place, Side::Gateway, code);
                if code.is_fatal() {
                    self.fatal = Some((now, code));
                }
                if code.is_fatal()
                    && view.shared.shards == 1
                    && view.shared.presence == Presence::Running
                {
                    view.shared.presence = Presence::Banned {
                        at: now,
                        code,
                        crossing,
                    };
                    self.attempts.excused();
                }
            }
            self.lose(place);
        } else if !matches!(how, How::Close(_)) {
            connection.settle(Due::Echo);
        }
        if how == How::Rst {
            self.view.connections.remove(place);
        }
    }

    /// The first end of a connection decides what it was lost to.
    fn lose(&mut self, place: usize) {
        let (view, docket) = (&mut self.view, &mut self.docket);
        let now = view.shared.now;
        let connection = &mut view.connections[place];
        let was_lost = connection.left.is_some() && connection.cut.is_some();
        if was_lost || connection.is_foreign(&view.shared) {
            return;
        }
        self.firsts.ended(connection, &view.shared, docket);
        let number = connection.number;
        let cause = cause(connection, now);
        let (port, shard, auth) = (connection.port, connection.shard, connection.auth);
        let (serial, replayed) = (connection.session, connection.replayed);
        // An upgrade that was turned down was no connection yet: its end is that of a failed attempt.
        let was_cut = connection.cut.is_some() && connection.upgraded_at.is_some();
        let answered = connection.hello.is_some();
        // A READY that was cut off on its way, or that came behind an op 7, leaves a subject that need not know of its session.
        let was_told =
            |at| matches!(connection.trouble, Some((told, Trouble::Op7 { .. })) if told <= at);
        let had_arrived = match auth {
            Auth::Up { at } => connection.had_arrived(at, now) && !was_told(at),
            _ => true,
        };
        // A Close and the next connect may cross: then the subject has come back before it is seen to leave.
        let next = view.connections.iter().rev();
        let mut next =
            next.filter(|c| c.number > number && c.life == view.shared.life && c.is_open());
        let next = next.next().filter(|_| view.shared.shards == 1);
        let is_awaited = next.is_none() && view.shared.presence == Presence::Running;
        let is_resolved = next.is_some_and(|next| next.auths > 0);
        if !answered {
            self.discovery.doubt();
        }
        match auth {
            Auth::Up { .. } => {
                let cause = if had_arrived { cause } else { Cause::Unknown };
                if !is_resolved {
                    view.trail(shard).loss = Some((now, cause));
                }
                if is_awaited {
                    self.attempts.lost(Some(cause), now, Some(number));
                }
            }
            Auth::Refused => {
                if is_awaited {
                    self.attempts.lost(Some(cause), now, Some(number));
                }
            }
            Auth::None | Auth::Identifying { .. } | Auth::Resuming { .. } => {
                let resumed = matches!(auth, Auth::Resuming { .. });
                if let (Some(s), Some(serial)) = (replayed.filter(|_| resumed), serial)
                    && let Some(session) = view.session(serial)
                {
                    session.cut_replay = Some(s);
                }
                let early_op7 = matches!(cause, Cause::Op7 { before_hello: true });
                let lost = view.trails.iter_mut().filter(|trail| trail.loss.is_some());
                if early_op7 && view.shared.shards == 1 {
                    // Where nothing bound the subject to its session, this does not either.
                    let is_bound = |loss| !matches!(loss, Some((_, Cause::Unknown)));
                    for trail in lost
                        .filter(|trail| trail.failed + trail.refused == 0 && is_bound(trail.loss))
                    {
                        trail.loss = Some((now, cause));
                    }
                } else {
                    reconnect::failed(view, docket, port, resumed, answered);
                }
                if is_awaited {
                    let cause = Some(cause).filter(|_| was_cut || early_op7);
                    self.attempts.lost(cause, now, Some(number));
                }
            }
        }
    }

    /// A fault struck. A dispatch that the schedule sends with the session's next number is traced as the gateway's own, so
    /// that only the strike tells that the subject cannot know it.
    fn struck(&mut self, fault: u32, connection: Option<u32>) {
        self.health.struck();
        let view = &mut self.view;
        view.strike(fault, connection);
        let struck = view.faults.get(fault as usize);
        let place = connection.and_then(|number| view.place(number));
        let (Some(fault), Some(place)) = (struck, place) else {
            return;
        };
        let (now, connection) = (view.shared.now, &mut view.connections[place]);
        match &fault.scheduled.fault.action {
            Action::Send { op, d, t, .. } if *op == Opcode::DISPATCH => {
                let what = (t.as_deref(), d);
                robustness::odd_dispatch(connection, &mut self.docket, now, what);
            }
            Action::Fragment {
                layer: Layer::Websocket,
                ..
            } => robustness::fragmented(connection, &mut self.docket, now),
            Action::Fragment {
                layer: Layer::Zlib, ..
            } => reading::split(connection),
            _ => {}
        }
    }

    fn acted(&mut self, act: Act) {
        let was_alive = self.processes.is_alive();
        self.processes.acted(act, self.view.shared.now);
        self.view.act(act);
        if was_alive && act == Act::Kill {
            self.dispute();
        }
        if matches!(act, Act::Stop | Act::Restart) {
            self.outcomes.told_to_stop();
        }
        match act {
            Act::Stop => self.holdings.told_to_stop(self.view.shared.now),
            Act::Kill => self.holdings.gone(),
            _ => {}
        }
        match act {
            Act::Stop => self.let_go(),
            Act::Restart | Act::Kill | Act::Start => {
                self.attempts.excused();
                self.outcomes.forgive();
            }
            Act::Freeze | Act::Thaw | Act::Send => {}
        }
        self.docket.is_open = !matches!(self.view.shared.presence, Presence::Dismissed { .. });
    }

    /// Until the process before is seen to have ended, what connects may still be it.
    fn dispute(&mut self) {
        self.view.shared.heritage = Instant::FOREVER;
    }

    /// From here on the subject owes nothing but to stay away.
    fn let_go(&mut self) {
        self.attempts.excused();
        self.outcomes.forgive();
        self.view.release();
    }

    fn phase(&mut self, phase: Phase) {
        match phase {
            Phase::Healed => {
                self.outcomes.healed();
                self.attempts.reachable(self.view.shared.now);
            }
            Phase::Over => {
                self.holdings.finish(&self.view.shared, &mut self.docket);
                self.watch = Watch::Over {
                    at: self.view.shared.now,
                };
            }
            Phase::Chaos => self.holdings.chaos(),
            Phase::Login => {}
        }
    }

    /// An entry that is about no connection.
    fn beside(&mut self, saw: &Seen) {
        let now = self.view.shared.now;
        match saw {
            Seen::Started { with_session } => {
                self.processes.started();
                self.holdings.started();
                self.fatal = None;
                if self.processes.has_living_predecessor() {
                    self.dispute();
                }
                self.view.started(*with_session);
                self.docket.is_open = true;
            }
            Seen::Phase(phase) => self.phase(*phase),
            Seen::Missed { port, why } => self.missed(*port, *why),
            Seen::Request { path, status, .. } => {
                self.discovery.request(&self.view.shared, path);
                self.identified.asked_limit |= *status == 200 && path.ends_with("/gateway/bot");
            }
            Seen::Struck { fault, connection } => self.struck(*fault, *connection),
            Seen::Healed { fault } => {
                let faults = &self.view.faults;
                let hidden = faults
                    .get(*fault as usize)
                    .is_some_and(|f| reconnect::hides_attempts(&f.scheduled.fault.action));
                self.view.heal(*fault);
                if hidden {
                    self.attempts.reachable(now);
                }
            }
            Seen::Acted { act } => self.acted(*act),
            Seen::Held {
                sockets,
                closing,
                timers,
            } => self.holdings.held(Held {
                sockets: *sockets,
                closing: *closing,
                timers: *timers,
            }),
            Seen::Died { message } => {
                self.holdings.gone();
                self.outcomes
                    .died(&mut self.view, &mut self.docket, message);
                self.attempts.excused();
            }
            Seen::Stopped { reason } => {
                self.outcomes
                    .stopped(&mut self.view, &mut self.docket, reason.as_deref());
                // Else it is a life before this one that has stopped.
                if self.view.shared.presence != Presence::Running {
                    self.holdings.stopped(now);
                }
            }
            Seen::ProcessOutput {
                process,
                stream,
                text,
            } => self.processes.wrote(*process, *stream, now, text),
            Seen::Exited { process, status } => self.exited(*process, *status),
            Seen::Health { answer, took } if !self.view.shared.is_suspended() => {
                self.health.answered(answer, *took, now);
            }
            Seen::TokenShown { place } => Outcomes::token(&mut self.docket, now, place),
            Seen::Noisy { late } => self.noise = self.noise.max(Some(*late)),
            Seen::TlsFailed { why, .. } => self.tls_failed(why),
            Seen::End { is_complete } => {
                let at = match self.watch {
                    Watch::Over { at } | Watch::Ended { at, .. } => at,
                    Watch::On => now,
                };
                self.watch = Watch::Ended {
                    at,
                    is_complete: *is_complete,
                };
            }
            _ => {}
        }
    }

    /// An entry that is about a connection.
    fn on_connection(&mut self, number: u32, saw: &Seen) {
        if let Seen::Accepted { port, .. } = saw {
            return self.accepted(number, *port);
        }
        if let Seen::TlsFailed { why, .. } = saw {
            self.tls_failed(why);
        }
        // What comes late from a connection that both sides are done with says nothing.
        let Some(place) = self.view.place(number) else {
            return;
        };
        let (view, docket) = (&mut self.view, &mut self.docket);
        let connection = &mut view.connections[place];
        match saw {
            Seen::Upgrade { path, .. } => {
                connection.is_compressed = connect::asks_for_compression(path);
                self.discovery
                    .upgrade(connection, &view.shared, docket, path);
            }
            Seen::Upgraded { status: 101, .. } => {
                connection.upgraded_at = Some(view.shared.now);
                connect::wait(connection, &view.shared);
            }
            // Neither is a reason to stay.
            Seen::Upgraded { .. } | Seen::TlsFailed { .. } => {
                connection.settle(Due::Patience);
                connection.damage.is_struck = true;
            }
            Seen::Frame {
                from: Side::Subject,
                op,
                d,
                bytes,
                ..
            } => self.on_subject_frame(place, *op, d, *bytes),
            Seen::Frame {
                fate,
                op,
                s,
                t,
                d,
                bytes,
                ..
            } if fate.arrives() => {
                let frame = ToSubject {
                    bytes: *bytes,
                    fate: *fate,
                    op: *op,
                    s: *s,
                    t: t.as_deref(),
                    d,
                };
                self.on_gateway_frame(place, &frame);
            }
            Seen::Frame {
                fate: Fate::Spoilt,
                op,
                s,
                t,
                ..
            } => self.on_spoilt_frame(place, *op, *s, t.as_deref()),
            Seen::Message {
                from, fate, kind, ..
            } => match (from, kind) {
                (Side::Subject, Kind::Pong) => robustness::ponged(connection, docket),
                // It may have been the RESUME that the gateway could not read.
                (Side::Subject, _) if *fate == Fate::Spoilt && connection.auth == Auth::None => {
                    let at = view.shared.now;
                    connection.auth = Auth::Resuming { at };
                }
                (Side::Gateway, kind) if fate.arrives() => {
                    heartbeat::heard(connection, view.shared.now);
                    match kind {
                        Kind::Ping => robustness::pinged(connection, &view.shared),
                        Kind::Pong => {}
                        Kind::Text | Kind::Binary | Kind::Broken => {
                            let trouble = (view.shared.now, Trouble::BadFrame);
                            connection.trouble = connection.trouble.or(Some(trouble));
                        }
                    }
                }
                _ => {}
            },
            Seen::Close {
                from, fate, code, ..
            } => self.ends(place, *from, *fate, How::Close(*code)),
            Seen::Fin { from, fate, .. } => self.ends(place, *from, *fate, How::Fin),
            Seen::Rst { from, fate, .. } => self.ends(place, *from, *fate, How::Rst),
            _ => {}
        }
    }

    fn ends(&mut self, place: usize, from: Side, fate: Fate, how: How) {
        match from {
            Side::Subject => self.subject_ends(place, how),
            Side::Gateway if fate.arrives() => self.gateway_ends(place, how),
            Side::Gateway => {}
        }
    }
}

impl Observer for Judge {
    fn observe(&mut self, entry: &Entry) {
        self.progress.observe(entry);
        if self.watch != Watch::On {
            // A secret is one after the watch as well, and the trace's end comes last.
            if matches!(
                entry.saw,
                Seen::TokenShown { .. } | Seen::Noisy { .. } | Seen::End { .. }
            ) {
                self.beside(&entry.saw);
            }
            return;
        }
        self.view.shared.now = entry.at;
        self.docket.scene.under = self.view.under;
        if self.processes.is_watched {
            self.notes.take(entry);
        }
        self.see(entry);
        self.witness();
    }
}

impl Judge {
    /// Judges an entry that belongs to the watch.
    fn see(&mut self, entry: &Entry) {
        if entry.at > self.view.next_due {
            self.check_dues();
        }
        match &entry.saw {
            Seen::Delivered(which) => {
                let (view, known) = (&mut self.view, &mut self.deliveries);
                delivery::delivered(view, known, &mut self.docket, *which);
                return;
            }
            Seen::Struck { .. } => self.beside(&entry.saw),
            saw => {
                let number = saw.connection();
                self.docket.scene = Scene {
                    state: self.view.state(number),
                    under: self.view.under,
                };
                match number {
                    Some(number) => self.on_connection(number, saw),
                    None => self.beside(saw),
                }
            }
        }
        // Traffic moves no deadline forward.
        if !matches!(
            entry.saw,
            Seen::Frame {
                op: Opcode::DISPATCH,
                ..
            }
        ) {
            self.reckon();
        }
    }
}

/// A payload that sets out for the subject, borrowed from its entry.
struct ToSubject<'a> {
    bytes: u32,
    fate: Fate,
    op: Opcode,
    s: Option<u64>,
    t: Option<&'a str>,
    d: &'a Json,
}

/// The interval in a HELLO.
fn hello_interval(d: &Json) -> Option<Duration> {
    /// What is read of HELLO.
    #[derive(Deserialize)]
    struct Hello {
        heartbeat_interval: u64,
    }
    let hello: Hello = d.read().ok()?;
    Some(Duration::from_millis(hello.heartbeat_interval))
}

/// How a finding names a way to leave.
fn way(how: How) -> &'static str {
    match how {
        How::Close(_) => "a Close",
        How::Fin => "FIN",
        How::Rst => "RST",
        How::Replaced => "another connection",
    }
}

/// What a connection was lost to: what the gateway had asked for before, else who ended it.
fn cause(connection: &view::Connection, now: Instant) -> Cause {
    match connection.trouble {
        Some((_, Trouble::Op7 { before_hello })) => return Cause::Op7 { before_hello },
        Some((_, Trouble::Op9 { resumable })) => return Cause::Op9 { resumable },
        Some((_, Trouble::BadFrame)) => return Cause::BadFrame,
        Some((_, Trouble::Nonsense)) => return Cause::Unknown,
        None => {}
    }
    match connection.cut {
        Some(Ending {
            how: How::Close(Some(CloseCode(1005))),
            ..
        }) => Cause::NoCode,
        Some(Ending {
            how: How::Close(Some(code)),
            ..
        }) => Cause::Code(code),
        Some(_) => Cause::NoCode,
        None => {
            let interval = connection
                .hello
                .map_or(Duration::MAX, |hello| hello.interval);
            let unacked = connection.heart.unacked_since();
            if unacked.is_some_and(|beat| now - beat >= interval / 20 * 19) {
                Cause::Zombie
            } else {
                Cause::Unknown
            }
        }
    }
}
