//! The subject's end where the subject is a program: its processes, what they print, and whether they say that they are well.
//!
//! Its connections are its own affair; the gateway's end sees them. Processes are started, signalled and ended by a supervisor
//! ([`super::process`]), whose reports become entries here. A line `gwtool:delivered N` is the program's word that message N
//! reached its application.

use super::RunError;
use super::evidence::Evidence;
use super::http;
use super::process::Supervisor;
use super::record::Recorder;
use super::supervisor::{Order, Report, Signal, Stream};
use super::wake::{self, Key, Queue};
use crate::subjects::program::{HealthCheck, Probe, Program};
use crate::time::{Duration, Instant};
use crate::trace::{Delivery, ExitStatus, HealthAnswer, OutputStream, Seen};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What a program prints for each message that reached its application, before the message's number.
const DELIVERED: &str = "gwtool:delivered ";
/// Children of the supervisor that are health commands are numbered from here; those below are the subject's processes.
const HEALTH_FIRST: u32 = 1 << 31;

/// A program, its supervisor and what is known of its processes.
pub(super) struct ProgramSide {
    program: Arc<Program>,
    /// What is added to the environment of everything that is started.
    env: Vec<(String, String)>,
    supervisor: Supervisor,
    waker: Waker,
    /// Processes started so far: the last one's number.
    started: u32,
    /// The numbers of those that have not ended.
    running: Vec<u32>,
    evidence: Evidence,
    health: Option<Health>,
    life: Life,
}

/// How far the whole is.
enum Life {
    /// The program is under test.
    Running,
    /// It and all that it started is being ended.
    Ending,
    /// Nothing of it is left.
    Gone,
    /// It could not be started.
    Failed(RunError),
}

/// Asking the program whether it is well.
struct Health {
    check: HealthCheck,
    every: Duration,
    /// When it is asked next; `None` before the first time is known, and while a question is open.
    next: Option<Instant>,
    question: Option<Question>,
    asked: u32,
    /// Where the answers of a URL come in, with the numbers of their questions.
    answers: (
        mpsc::UnboundedSender<Numbered>,
        mpsc::UnboundedReceiver<Numbered>,
    ),
}

/// An answer, and the number of its question.
type Numbered = (u32, HealthAnswer);

/// A question that is not answered yet.
struct Question {
    number: u32,
    at: Instant,
    /// When it counts as unanswered.
    until: Instant,
    asking: Asking,
}

enum Asking {
    Url(JoinHandle<()>),
    /// A command, and the last line that it wrote.
    Command(String),
}

impl ProgramSide {
    pub(super) fn new(
        program: Arc<Program>,
        env: Vec<(String, String)>,
        interval: Duration,
        supervisor: Supervisor,
        queue: &Arc<Queue>,
    ) -> Self {
        let health = program.health.clone().map(|check| Health {
            every: check.period(interval),
            check,
            next: None,
            question: None,
            asked: 0,
            answers: mpsc::unbounded_channel(),
        });
        Self {
            program,
            env,
            supervisor,
            waker: wake::waker(Key::Program, queue),
            started: 0,
            running: Vec::new(),
            evidence: Evidence::default(),
            health,
            life: Life::Running,
        }
    }

    /// Whether nothing of the program is left, or it could not be started at all.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.life, Life::Gone | Life::Failed(_))
    }

    /// How long it may take to end after SIGTERM.
    pub(super) fn grace(&self) -> Duration {
        self.program.grace
    }

    /// Why it could not be started, if it could not.
    pub(super) fn into_failure(self) -> Option<RunError> {
        match self.life {
            Life::Failed(error) => Some(error),
            Life::Running | Life::Ending | Life::Gone => None,
        }
    }

    // ---- What is done to it -------------------------------------------------------------------------------------------

    fn order(&mut self, order: &Order) {
        self.supervisor.order(order);
        self.waker.wake_by_ref();
    }

    /// Starts a process, unless everything is being ended: a schedule may go on until it is.
    pub(super) fn start(&mut self) {
        if !matches!(self.life, Life::Running) {
            return;
        }
        self.started += 1;
        self.running.push(self.started);
        let command = self.program.command.clone();
        self.launch(self.started, command);
    }

    fn launch(&mut self, child: u32, command: Vec<String>) {
        let mut words = command.into_iter();
        let order = Order::Start {
            child,
            program: words.next().unwrap_or_default(),
            args: words.collect(),
            dir: (self.program.dir.as_ref()).map(|dir| dir.to_string_lossy().into_owned()),
            env: self.env.clone(),
        };
        self.order(&order);
    }

    /// Ends every process in good order: SIGTERM, and SIGKILL after the grace.
    pub(super) fn stop(&mut self) {
        for child in self.running.clone() {
            let grace = self.program.grace;
            self.order(&Order::EndChild { child, grace });
        }
    }

    /// Signals every process and everything that it has started.
    pub(super) fn signal(&mut self, signal: Signal) {
        for child in self.running.clone() {
            self.order(&Order::Signal { child, signal });
        }
    }

    /// Ends it and everything that it has started; it is gone once that is done.
    pub(super) fn end(&mut self) {
        if let Life::Running = self.life {
            self.life = Life::Ending;
            self.health = None;
            let grace = self.program.grace;
            self.order(&Order::End { grace });
        }
    }

    // ---- What it does -------------------------------------------------------------------------------------------------

    /// Takes what the supervisor has to report.
    pub(super) fn poll(&mut self, now: Instant, to: &mut Recorder<'_>) {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        while !self.is_gone() {
            match self.supervisor.poll_report(&mut cx) {
                Poll::Pending => break,
                Poll::Ready(Some(report)) => self.take(now, report, to),
                Poll::Ready(None) => {
                    self.life = match self.life {
                        Life::Running => {
                            let why = io::Error::other("its supervisor ended before its time");
                            Life::Failed(RunError::Supervisor(why))
                        }
                        _ => Life::Gone,
                    }
                }
            }
        }
        while let Some(health) = &mut self.health
            && let Poll::Ready(Some((number, answer))) = health.answers.1.poll_recv(&mut cx)
        {
            self.answered(now, number, answer, to);
        }
    }

    fn take(&mut self, now: Instant, report: Report, to: &mut Recorder<'_>) {
        match report {
            Report::Started { .. } => {}
            // It is the program's affair how it ends what it started, as long as it does not ask for more time than its grace.
            Report::LeftOver { child, count } => {
                tracing::debug!("process {child} left {count} others behind, which were ended");
            }
            Report::NotStarted { child, error, .. } if child >= HEALTH_FIRST => {
                let answer = HealthAnswer::Silent(error);
                self.answered(now, child - HEALTH_FIRST, answer, to);
            }
            Report::NotStarted { error, .. } => {
                let program = self.program.command[0].clone();
                let error = RunError::Start {
                    program,
                    why: error,
                };
                self.life = Life::Failed(error);
            }
            Report::Output { child, line, .. } if child >= HEALTH_FIRST => {
                let question = self
                    .health
                    .as_mut()
                    .and_then(|health| health.question.as_mut());
                if let Some(question) = question
                    && question.number == child - HEALTH_FIRST
                    && let Asking::Command(said) = &mut question.asking
                {
                    *said = line;
                }
            }
            Report::Output {
                child,
                stream,
                line,
            } => self.printed(now, child, stream_of(stream), &line, to),
            Report::Skipped {
                child,
                stream,
                lines,
            } => {
                if child >= HEALTH_FIRST {
                    return;
                }
                let text = format!("… {lines} more lines, left out by gwtool");
                let (process, stream) = (child, stream_of(stream));
                to.record(
                    now,
                    Seen::ProcessOutput {
                        process,
                        stream,
                        text,
                    },
                );
            }
            Report::Exited {
                child,
                code,
                signal,
            } if child >= HEALTH_FIRST => {
                let number = child - HEALTH_FIRST;
                let answer = match (status_of(code, signal), self.health_said(number)) {
                    (ExitStatus::Code(0), _) => HealthAnswer::Well,
                    (status, "") => HealthAnswer::Ill(status.to_string()),
                    (status, said) => HealthAnswer::Ill(format!("{status}: {said}")),
                };
                self.answered(now, number, answer, to);
            }
            Report::Exited {
                child,
                code,
                signal,
            } => {
                self.running.retain(|running| *running != child);
                let status = status_of(code, signal);
                to.record(
                    now,
                    Seen::Exited {
                        process: child,
                        status,
                    },
                );
            }
        }
    }

    fn printed(
        &mut self,
        now: Instant,
        process: u32,
        stream: OutputStream,
        line: &str,
        to: &mut Recorder<'_>,
    ) {
        let number = line.strip_prefix(DELIVERED).map(str::trim);
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            if self.evidence.printed() {
                to.record(now, Seen::Delivered(Delivery::Number(number)));
            }
            return;
        }
        let place = match stream {
            OutputStream::Stdout => "the program's stdout",
            OutputStream::Stderr => "the program's stderr",
        };
        let text = to.said(now, place, line);
        to.record(
            now,
            Seen::ProcessOutput {
                process,
                stream,
                text,
            },
        );
    }

    /// The program has replied to a message over REST.
    pub(super) fn replied(&mut self, now: Instant, number: u64, to: &mut Recorder<'_>) {
        for number in self.evidence.replied(number) {
            to.record(now, Seen::Delivered(Delivery::Number(number)));
        }
    }

    // ---- Health -------------------------------------------------------------------------------------------------------

    /// Asks how it is, from now on until it is ended.
    pub(super) fn ask_from(&mut self, now: Instant) {
        if let Some(health) = &mut self.health {
            health.next = Some(now);
        }
    }

    /// When a question is due, or overdue.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let health = self.health.as_ref()?;
        let until = health.question.as_ref().map(|question| question.until);
        until.or(health.next)
    }

    /// Asks, or gives up waiting for an answer.
    pub(super) fn fire_timer(&mut self, now: Instant, to: &mut Recorder<'_>) {
        let Some(health) = &mut self.health else {
            return;
        };
        if let Some(question) = health.question.as_ref().filter(|open| open.until <= now) {
            let number = question.number;
            let within = crate::time::show(health.check.within);
            let answer = HealthAnswer::Silent(format!("no answer within {within}"));
            self.answered(now, number, answer, to);
        } else if health.question.is_none() && health.next.is_some_and(|next| next <= now) {
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Instant) {
        let Some(health) = &mut self.health else {
            return;
        };
        health.next = None;
        health.asked += 1;
        let number = health.asked;
        let until = now + health.check.within;
        let (asking, command) = match &health.check.probe {
            Probe::Url(url) => {
                let (url, to, waker) = (url.clone(), health.answers.0.clone(), self.waker.clone());
                let asking = tokio::task::spawn_local(async move {
                    let answer = match http::status(&url).await {
                        Ok(200..=299) => HealthAnswer::Well,
                        Ok(status) => HealthAnswer::Ill(format!("status {status}")),
                        Err(why) => HealthAnswer::Silent(why),
                    };
                    // The run may be over.
                    let _ = to.send((number, answer));
                    waker.wake();
                });
                (Asking::Url(asking), None)
            }
            Probe::Command(command) => (Asking::Command(String::new()), Some(command.clone())),
        };
        health.question = Some(Question {
            number,
            at: now,
            until,
            asking,
        });
        if let Some(command) = command {
            let words = ["sh", "-c", &command].map(str::to_owned);
            self.launch(HEALTH_FIRST + number, words.to_vec());
        }
    }

    /// What the command of an open question wrote last.
    fn health_said(&self, number: u32) -> &str {
        let question = self
            .health
            .as_ref()
            .and_then(|health| health.question.as_ref());
        match question.map(|open| (open.number, &open.asking)) {
            Some((open, Asking::Command(said))) if open == number => said,
            _ => "",
        }
    }

    fn answered(&mut self, now: Instant, number: u32, answer: HealthAnswer, to: &mut Recorder<'_>) {
        let Some(health) = &mut self.health else {
            return;
        };
        // One that comes after it was given up is of no interest.
        let Some(question) = health.question.take_if(|open| open.number == number) else {
            return;
        };
        health.next = Some((question.at + health.every).max(now));
        let took = now.since(question.at);
        let answer = match answer {
            HealthAnswer::Well => HealthAnswer::Well,
            HealthAnswer::Ill(text) => HealthAnswer::Ill(to.said(now, "a health answer", &text)),
            HealthAnswer::Silent(text) => {
                HealthAnswer::Silent(to.said(now, "a health answer", &text))
            }
        };
        match question.asking {
            Asking::Url(asking) => asking.abort(),
            // What is left of it is of no use; it may have ended.
            Asking::Command(_) => self.order(&Order::EndChild {
                child: HEALTH_FIRST + number,
                grace: Duration::ZERO,
            }),
        }
        to.record(now, Seen::Health { answer, took });
    }
}

const fn stream_of(stream: Stream) -> OutputStream {
    match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    }
}

fn status_of(code: Option<i32>, signal: Option<i32>) -> ExitStatus {
    match (code, signal) {
        (_, Some(signal)) => ExitStatus::Signal(signal),
        // An end that is neither cannot be told from a failure.
        (code, None) => ExitStatus::Code(code.unwrap_or(-1)),
    }
}
