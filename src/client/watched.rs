//! An ear at a machine's boundary: every input and output passes unchanged, and what changed is told as [`News`].
//!
//! Nothing of the machine is looked into, so that any machine can be watched. News is taken with [`Ear::next`] by whoever
//! prints it. Dispatches are counted, not told one by one; the counts are told with the next ACK.

use crate::machine::{ConnectionId, End, Input, Level, Machine, Message, Output, Response, Status};
use crate::news::{News, RoundTrips, What};
use crate::protocol::{CloseCode, Envelope, Opcode};
use crate::time::{Duration, Instant};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// How many round trips are kept for the median: a day of heartbeats at Discord's interval.
const TRIPS_MAX: usize = 2048;

/// A machine that is listened to.
pub struct Watched {
    machine: Box<dyn Machine>,
    now: Instant,
    heard: Rc<RefCell<Heard>>,
}

/// What is heard; shared with the machine that is watched.
#[derive(Clone)]
pub struct Ear(Rc<RefCell<Heard>>);

/// Figures of the whole time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections that were opened.
    pub connections: u32,
    /// READYs received.
    pub identifies: u32,
    /// RESUMEDs received.
    pub resumes: u32,
    /// Events by name.
    pub events: BTreeMap<String, u64>,
    /// Why the first connection could not be made, if it could not. Nothing is told after it.
    pub first_failure: Option<Failure>,
    /// The last Close of the gateway's.
    pub last_close: Option<(Option<CloseCode>, String)>,
    /// Why the machine ended by itself; `Some(None)` where it was asked to.
    pub stopped: Option<Option<String>>,
}

/// Why the first connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In a few words.
    pub why: String,
    /// What the far end said to it, line by line: headers, a body.
    pub said: Vec<String>,
}

#[derive(Default)]
struct Heard {
    news: VecDeque<News>,
    figures: Figures,
    state: &'static str,
    /// Whether any upgrade succeeded.
    has_opened: bool,
    /// Whether the machine was told to stop: what it drops then has not failed.
    is_stopping: bool,
    /// The last line that the client logged: why it does what it does next.
    last_line: String,
    /// When the last heartbeat was sent, on which connection.
    beat: Option<(ConnectionId, Instant)>,
    trips: VecDeque<Duration>,
    trip_count: u64,
    /// Dispatches since they were told last.
    fresh: BTreeMap<String, u64>,
    seq: Option<u64>,
    /// Dispatches since the last RESUME was sent.
    replayed: u64,
    close: Option<(Option<CloseCode>, String)>,
}

impl Watched {
    /// A machine, and an ear at it.
    pub fn new(machine: Box<dyn Machine>) -> (Self, Ear) {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let ear = Ear(Rc::clone(&heard));
        (
            Self {
                machine,
                now: Instant::ZERO,
                heard,
            },
            ear,
        )
    }
}

impl Ear {
    /// The next piece of news.
    pub fn next(&self) -> Option<News> {
        self.0.borrow_mut().news.pop_front()
    }

    /// The figures so far.
    pub fn figures(&self) -> Figures {
        self.0.borrow().figures.clone()
    }

    /// Whether the first connection could not be made.
    pub fn has_failed(&self) -> bool {
        self.0.borrow().figures.first_failure.is_some()
    }

    /// How fast heartbeats were ACKed; `None` if none was.
    pub fn round_trips(&self) -> Option<RoundTrips> {
        let heard = self.0.borrow();
        let mut sorted: Vec<Duration> = heard.trips.iter().copied().collect();
        sorted.sort_unstable();
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let median = sorted[sorted.len() / 2];
        Some(RoundTrips {
            count: heard.trip_count,
            min,
            median,
            max,
        })
    }
}

impl Heard {
    fn tell(&mut self, at: Instant, what: What) {
        if self.figures.first_failure.is_some() {
            return;
        }
        self.news.push_back(News { at, what });
    }

    /// The first connection cannot be made.
    fn fail(&mut self, failure: Failure) {
        if !self.has_opened && !self.is_stopping {
            self.figures.first_failure.get_or_insert(failure);
        }
    }

    fn hear_input(&mut self, now: Instant, input: &Input<'_>) {
        match input {
            Input::Opened(_) => self.has_opened = true,
            Input::Received {
                connection,
                message,
            } => self.hear_message(now, *connection, *message),
            Input::Closing { code, reason, .. } => {
                self.close = Some((*code, (*reason).to_owned()));
                self.figures.last_close.clone_from(&self.close);
            }
            Input::Ended { connection, end } => {
                let close = self.close.take();
                let what = What::Ended {
                    connection: connection.0,
                    end: end.clone(),
                    close,
                };
                self.tell(now, what);
                self.fail(Failure::of_end(end));
            }
            Input::Fetched { result, .. } => {
                if let Some(failure) = Failure::of_answer(result) {
                    self.fail(failure);
                }
            }
            // The machine's own alarm for the REST API's answer; it asks again later.
            Input::Fired(timer) if timer.name == "rest" => {
                self.fail(Failure::new("the REST API did not answer in time"));
            }
            Input::Stop => self.is_stopping = true,
            _ => {}
        }
    }

    fn hear_message(&mut self, now: Instant, id: ConnectionId, message: Message<'_>) {
        #[derive(Deserialize)]
        struct Hello {
            heartbeat_interval: u64,
        }
        #[derive(Deserialize)]
        struct Ready {
            session_id: String,
            #[serde(default)]
            resume_gateway_url: String,
        }
        let connection = id.0;
        let frame = match message {
            Message::Text(text) => Envelope::read(text),
            Message::Binary(bytes) => Envelope::read_bytes(bytes),
        };
        // What cannot be read is the client's to report.
        let Ok(frame) = frame else { return };
        match frame.op {
            Opcode::HELLO => {
                if let Ok(Hello { heartbeat_interval }) = frame.payload() {
                    let interval = Duration::from_millis(heartbeat_interval);
                    self.tell(
                        now,
                        What::Hello {
                            connection,
                            interval,
                        },
                    );
                }
            }
            Opcode::HEARTBEAT_ACK => {
                if let Some((beaten, sent)) = self.beat.take()
                    && beaten == id
                {
                    let round_trip = now - sent;
                    self.trip_count += 1;
                    self.trips.push_back(round_trip);
                    if self.trips.len() > TRIPS_MAX {
                        self.trips.pop_front();
                    }
                    self.tell(
                        now,
                        What::Heartbeat {
                            connection,
                            round_trip,
                        },
                    );
                }
                self.tell_fresh(now);
            }
            Opcode::DISPATCH => {
                self.seq = frame.s.or(self.seq);
                match frame.t.as_deref() {
                    Some("READY") => {
                        self.figures.identifies += 1;
                        if let Ok(Ready {
                            session_id: session,
                            resume_gateway_url: resume_url,
                        }) = frame.payload()
                        {
                            self.tell(
                                now,
                                What::Ready {
                                    connection,
                                    session,
                                    resume_url,
                                },
                            );
                        }
                    }
                    Some("RESUMED") => {
                        self.figures.resumes += 1;
                        let replayed = self.replayed;
                        self.tell(
                            now,
                            What::Resumed {
                                connection,
                                replayed,
                            },
                        );
                    }
                    Some(name) => {
                        self.replayed += 1;
                        *self.fresh.entry(name.to_owned()).or_default() += 1;
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Tells what was counted since the last time.
    fn tell_fresh(&mut self, now: Instant) {
        if self.fresh.is_empty() {
            return;
        }
        let mut counts: Vec<(String, u64)> = std::mem::take(&mut self.fresh).into_iter().collect();
        for (name, n) in &counts {
            *self.figures.events.entry(name.clone()).or_default() += n;
        }
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let seq = self.seq;
        self.tell(now, What::Events { counts, seq });
    }

    fn hear_output(&mut self, now: Instant, output: &Output, resumes: bool) {
        match output {
            Output::Open { connection, url } => {
                self.figures.connections += 1;
                let url = url.clone();
                self.tell(
                    now,
                    What::Connecting {
                        connection: connection.0,
                        url,
                    },
                );
            }
            Output::Send { connection, text } => {
                // The client's own frames: the opcode is the first thing in them.
                if text.starts_with(r#"{"op":1,"#) {
                    self.beat = Some((*connection, now));
                } else if text.starts_with(r#"{"op":6,"#) {
                    self.replayed = 0;
                }
            }
            Output::Abort { .. } => self.fail(Failure::new("no answer to the upgrade in time")),
            Output::Arm { timer, at } if timer.name == "wait" && self.has_opened => {
                let line = std::mem::take(&mut self.last_line);
                // The cause says what the line would say again.
                let is_said =
                    |news: &News| matches!(&news.what, What::Log { text, .. } if *text == line);
                if self.news.back().is_some_and(is_said) {
                    self.news.pop_back();
                }
                // Without what follows from it: that is told beside it.
                let cause = match line.rsplit_once(": ") {
                    Some((cause, _)) => cause.to_owned(),
                    None => line,
                };
                self.tell(
                    now,
                    What::Reconnect {
                        cause,
                        after: at.since(now),
                        resumes,
                    },
                );
            }
            Output::Log { level, text } => {
                if *level <= Level::Info {
                    self.last_line.clone_from(text);
                }
                self.tell(
                    now,
                    What::Log {
                        level: *level,
                        text: text.clone(),
                    },
                );
            }
            Output::Stopped { reason } => {
                self.tell_fresh(now);
                if let Some(reason) = reason {
                    self.fail(Failure::new(reason.clone()));
                }
                self.figures.stopped = Some(reason.clone());
            }
            Output::Died { message } => self.figures.stopped = Some(Some(message.clone())),
            _ => {}
        }
    }
}

impl Failure {
    fn new(why: impl Into<String>) -> Self {
        let (why, said) = (why.into(), Vec::new());
        Self { why, said }
    }

    /// A connection ended before it was open.
    fn of_end(end: &End) -> Self {
        let why = end.to_string();
        let said = match end {
            End::Rejected(response) => said(response),
            _ => Vec::new(),
        };
        Self { why, said }
    }

    /// What the REST API answered, if it named no gateway.
    fn of_answer(result: &Result<Response, String>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "url")]
            _url: String,
        }
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                return Some(Self::new(format!(
                    "the REST API could not be asked: {error}"
                )));
            }
        };
        let why = match response.status {
            200 if serde_json::from_slice::<Named>(&response.body).is_ok() => return None,
            200 => "the REST API answered without naming a gateway".to_owned(),
            401 => "the REST API rejects the token with HTTP 401: check `DISCORD_TOKEN`".to_owned(),
            status => format!("the REST API answered with HTTP {status}"),
        };
        let said = said(response);
        Some(Self { why, said })
    }
}

/// All that an HTTP response says beside its status.
fn said(response: &Response) -> Vec<String> {
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {value}"));
    let body = String::from_utf8_lossy(&response.body);
    headers.chain(body.lines().map(str::to_owned)).collect()
}

impl Machine for Watched {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        self.heard.borrow_mut().hear_input(now, &input);
        self.machine.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.machine.poll_output();
        let mut heard = self.heard.borrow_mut();
        let Some(output) = output else {
            let state = self.machine.status().state;
            if heard.state != state {
                heard.state = state;
                heard.tell(self.now, What::State { state });
            }
            return None;
        };
        let resumes =
            matches!(output, Output::Arm { .. }) && self.machine.status().session.is_some();
        heard.hear_output(self.now, &output, resumes);
        Some(output)
    }

    fn status(&self) -> Status {
        self.machine.status()
    }
}
