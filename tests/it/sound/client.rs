//! A small client of the gateway whose habits are data, written for the judge's sake and not for use.
//!
//! It shares no code with gwtool's own client and is built the other way round: one struct with flags, in the manner of the
//! callback-style libraries. Whatever its [`Habits`], it breaks no rule that binds: it is what a judge must not fail.

use gwtool::machine::{
    ConnectionId, Endpoints, Input, Machine, Message, Output, Session, Status, Timer,
};
use gwtool::protocol::{CloseCode, Token};
use gwtool::seed::Draw;
use gwtool::time::{Duration, Instant};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// What sound clients do differently.
#[expect(
    clippy::struct_excessive_bools,
    reason = "every habit is one of its own"
)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) name: &'static str,
    /// Whether the first heartbeat follows HELLO at once, instead of after a random part of the interval.
    pub(crate) beats_at_once: bool,
    /// Whether IDENTIFY and RESUME are sent without waiting for HELLO.
    pub(crate) skips_hello: bool,
    /// Whether it resumes on the main URL.
    pub(crate) resumes_on_main: bool,
    /// With what it closes to resume; `None` drops the socket without a Close frame.
    pub(crate) close: Option<CloseCode>,
    /// How long a close may take.
    pub(crate) close_within: Duration,
    /// Whether it connects only after the old connection has ended.
    pub(crate) awaits_end: bool,
    /// Whether it goes on with the same connection after op 9.
    pub(crate) keeps_after_op9: bool,
    /// How many heartbeats in a row may go without an ACK.
    pub(crate) missed_max: u32,
    /// Whether any frame is as good as an ACK.
    pub(crate) takes_any_sign: bool,
    /// How many RESUMEs may fail before it identifies.
    pub(crate) resumes_max: u32,
    /// Whether a received 1000 ends the session for it.
    pub(crate) forgets_at_1000: bool,
    /// Whether it identifies once a reconnect itself has failed, as Discord's documentation says.
    pub(crate) forgets_at_failure: bool,
    /// Between two attempts, least and most; the first after a loss is made at once.
    pub(crate) delay: (Duration, Duration),
    /// Whether the delay doubles with every failure.
    pub(crate) delay_grows: bool,
    /// How long it waits for a connect, for HELLO, and for READY or RESUMED.
    pub(crate) patience: [Duration; 3],
}

impl Habits {
    fn parting(&self) -> Parting {
        self.close.map_or(Parting::Dropped, Parting::Closed)
    }
}

/// How a connection is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// It is gone already.
    Gone,
    /// It is dropped without a Close frame.
    Dropped,
    /// It is closed.
    Closed(CloseCode),
}

/// What follows once the old connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Reconnect,
    Stop,
}

/// The client.
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags, as callback-style clients have them, so that it shares no mistake with a state machine"
)]
pub(crate) struct Sound {
    habits: Habits,
    main: String,
    token: Token,
    draw: Draw,
    asked: VecDeque<Output>,
    /// The connection in use, and the number that was given last.
    current: Option<ConnectionId>,
    last: u32,
    /// The connection that it waits to be rid of, and what follows.
    leaving: Option<(ConnectionId, Then)>,
    session: Option<Session>,
    is_up: bool,
    has_hello: bool,
    is_resuming: bool,
    at_resume_url: bool,
    interval: Duration,
    is_alive: bool,
    missed: u32,
    failures: u32,
    resumes_failed: u32,
    identified: Option<Instant>,
    status: &'static str,
}

const BEAT: &str = "beat";
const DEADLINE: &str = "deadline";
const RETRY: &str = "retry";
const IDENTIFY: &str = "identify";

impl Sound {
    pub(crate) fn new(habits: Habits, to: &Endpoints, token: &Token, draw: Draw) -> Self {
        Self {
            habits,
            main: to.main.clone(),
            token: token.clone(),
            draw,
            asked: VecDeque::new(),
            current: None,
            last: 0,
            leaving: None,
            session: None,
            is_up: false,
            has_hello: false,
            is_resuming: false,
            at_resume_url: false,
            interval: Duration::ZERO,
            is_alive: true,
            missed: 0,
            failures: 0,
            resumes_failed: 0,
            identified: None,
            status: "idle",
        }
    }

    fn arm(&mut self, name: &'static str, at: Instant) {
        let timer = Timer { name, number: 0 };
        self.asked.push_back(Output::Arm { timer, at });
    }

    fn disarm(&mut self, names: &[&'static str]) {
        for name in names {
            let timer = Timer { name, number: 0 };
            self.asked.push_back(Output::Disarm { timer });
        }
    }

    fn send(&mut self, payload: &Value) {
        if let Some(connection) = self.current {
            let text = payload.to_string();
            self.asked.push_back(Output::Send { connection, text });
        }
    }

    fn connect(&mut self, now: Instant) {
        self.last += 1;
        let connection = ConnectionId(self.last);
        self.current = Some(connection);
        (self.is_up, self.has_hello, self.is_resuming) = (false, false, false);
        (self.is_alive, self.missed) = (true, 0);
        let session = self.session.as_ref();
        let resume = session.filter(|_| !self.habits.resumes_on_main && self.failures < 2);
        self.at_resume_url = resume.is_some();
        let base = resume.map_or(&self.main, |session| &session.resume_url);
        let url = format!("{base}/?v=10&encoding=json");
        self.asked.push_back(Output::Open { connection, url });
        self.status = "connecting";
        self.arm(DEADLINE, now + self.habits.patience[0]);
    }

    /// The connection is over or given up: the only way out of it. `parting` is how.
    fn leave(&mut self, now: Instant, parting: Parting, then: Then) {
        let Some(connection) = self.current.take() else {
            return;
        };
        self.disarm(&[BEAT, DEADLINE, IDENTIFY]);
        if self.is_resuming && !self.is_up {
            self.resumes_failed += 1;
        }
        if !self.is_up {
            self.failures += 1;
        }
        let gives_up = self.resumes_failed >= self.habits.resumes_max
            || self.habits.forgets_at_failure && !self.is_up;
        if gives_up {
            self.session = None;
        }
        self.is_up = false;
        self.status = "leaving";
        let within = self.habits.close_within;
        match parting {
            Parting::Closed(code) => self.asked.push_back(Output::Close {
                connection,
                code: Some(code),
                within,
            }),
            Parting::Dropped => self.asked.push_back(Output::Abort { connection }),
            Parting::Gone => {}
        }
        let ends_by_itself = matches!(parting, Parting::Closed(_));
        if ends_by_itself && (self.habits.awaits_end || then == Then::Stop) {
            self.leaving = Some((connection, then));
        } else {
            self.go_on(now, then);
        }
    }

    fn go_on(&mut self, now: Instant, then: Then) {
        if then == Then::Stop {
            self.status = "stopped";
            return self.asked.push_back(Output::Stopped { reason: None });
        }
        self.status = "waiting";
        let (least, most) = self.habits.delay;
        let wait = match self.failures {
            0 => Duration::ZERO,
            n if self.habits.delay_grows => {
                let ceiling = (least * 2_u32.pow(n.min(10) - 1)).min(most);
                ceiling / 2 + self.draw.part_of(ceiling / 2)
            }
            _ => self.draw.duration(least, most),
        };
        self.arm(RETRY, now + wait);
    }

    /// A close by which the session stays good.
    fn leave_to_resume(&mut self, now: Instant) {
        self.leave(now, self.habits.parting(), Then::Reconnect);
    }

    fn authenticate(&mut self, now: Instant) {
        if let Some(session) = &self.session {
            let d =
                json!({"token": self.token.expose(), "session_id": session.id, "seq": session.seq});
            self.is_resuming = true;
            self.send(&json!({"op": 6, "d": d}));
        } else {
            let allowed = self.identified.map(|at| at + Duration::from_secs(5));
            if let Some(at) = allowed.filter(|at| *at > now) {
                return self.arm(IDENTIFY, at);
            }
            self.identified = Some(now);
            let properties = json!({"os": "linux", "browser": "sound", "device": "sound"});
            let d = json!({"token": self.token.expose(), "intents": 513, "properties": properties});
            self.send(&json!({"op": 2, "d": d}));
        }
        self.arm(DEADLINE, now + self.habits.patience[2]);
        self.status = "authenticating";
    }

    fn beat(&mut self) {
        let seq = self.session.as_ref().map(|session| session.seq);
        self.send(&json!({"op": 1, "d": seq}));
    }

    fn tick(&mut self, now: Instant) {
        let was_alive = std::mem::replace(&mut self.is_alive, false);
        self.missed = if was_alive { 0 } else { self.missed + 1 };
        if self.missed >= self.habits.missed_max {
            return self.leave_to_resume(now);
        }
        self.beat();
        self.arm(BEAT, now + self.interval);
    }

    fn receive(&mut self, now: Instant, message: Message<'_>) {
        let Message::Text(text) = message else {
            return;
        };
        let Ok(payload) = serde_json::from_str::<Value>(text) else {
            return;
        };
        self.is_alive |= self.habits.takes_any_sign;
        let d = &payload["d"];
        match payload["op"].as_u64() {
            Some(0) => self.dispatch(&payload),
            Some(1) => self.beat(),
            Some(7) => {
                // To be asked to come back is no failure.
                self.is_up = true;
                self.leave_to_resume(now);
            }
            Some(9) => self.invalid(now, d.as_bool() == Some(true)),
            Some(10) if !self.has_hello => {
                self.has_hello = true;
                self.interval = Duration::from_millis(d["heartbeat_interval"].as_u64().unwrap());
                if !self.habits.skips_hello {
                    self.disarm(&[DEADLINE]);
                    self.authenticate(now);
                }
                if self.habits.beats_at_once {
                    self.tick(now);
                } else {
                    let at = now + self.draw.part_of(self.interval);
                    self.arm(BEAT, at);
                }
            }
            Some(11) => self.is_alive = true,
            _ => {}
        }
    }

    fn dispatch(&mut self, payload: &Value) {
        let Some(seq) = payload["s"].as_u64() else {
            return;
        };
        let name = payload["t"].as_str();
        if name == Some("READY") {
            let text = |key: &str| payload["d"][key].as_str().unwrap().to_owned();
            self.session = Some(Session {
                id: text("session_id"),
                resume_url: text("resume_gateway_url"),
                seq,
            });
        }
        let Some(session) = &mut self.session else {
            return;
        };
        session.seq = session.seq.max(seq);
        if let Some(connection) = self.current {
            self.asked.push_back(Output::Deliver { connection, seq });
        }
        if matches!(name, Some("READY" | "RESUMED")) {
            self.is_up = true;
            (self.failures, self.resumes_failed) = (0, 0);
            self.status = "up";
            self.disarm(&[DEADLINE]);
        }
    }

    fn invalid(&mut self, now: Instant, is_resumable: bool) {
        if !is_resumable {
            self.session = None;
        }
        self.resumes_failed += u32::from(self.is_resuming && !self.is_up);
        self.is_resuming = false;
        if self.resumes_failed >= self.habits.resumes_max {
            self.session = None;
        }
        // A new session does not begin on the connection of a resume URL by itself, only where op 9 came down it.
        if self.habits.keeps_after_op9 {
            self.is_up = false;
            self.authenticate(now);
        } else {
            self.is_up = true;
            self.leave_to_resume(now);
        }
    }

    fn closing(&mut self, now: Instant, code: Option<CloseCode>) {
        match code.map(|code| code.0) {
            Some(code @ (4004 | 4010..=4014)) => {
                self.disarm(&[BEAT, DEADLINE, IDENTIFY]);
                self.current = None;
                let reason = Some(format!("the gateway closed with {code}"));
                return self.asked.push_back(Output::Stopped { reason });
            }
            Some(4007 | 4009) => self.session = None,
            Some(1000) if self.habits.forgets_at_1000 => self.session = None,
            _ => {}
        }
        // The answer is on its way, unless the socket is dropped first.
        self.leave_to_resume(now);
    }

    fn stop(&mut self, now: Instant) {
        self.disarm(&[RETRY]);
        self.session = None;
        match (self.current, &mut self.leaving) {
            (Some(connection), _) if self.status == "connecting" => {
                self.asked.push_back(Output::Abort { connection });
                self.leave(now, Parting::Gone, Then::Stop);
            }
            (Some(_), _) => self.leave(now, Parting::Closed(CloseCode::NORMAL), Then::Stop),
            (None, Some((_, then))) => *then = Then::Stop,
            (None, None) => self.go_on(now, Then::Stop),
        }
    }
}

impl Machine for Sound {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        let is_current = |id: ConnectionId| self.current == Some(id);
        match input {
            Input::Start { .. } => {
                // A start while the old connection still closes begins the next life beside it.
                self.leaving = None;
                self.failures = 0;
                self.connect(now);
            }
            Input::Stop => self.stop(now),
            Input::Opened(id) if is_current(id) => {
                self.status = "opened";
                self.arm(DEADLINE, now + self.habits.patience[1]);
                if self.habits.skips_hello {
                    self.authenticate(now);
                }
            }
            Input::Received {
                connection,
                message,
            } if is_current(connection) => self.receive(now, message),
            Input::Closing {
                connection, code, ..
            } if is_current(connection) => self.closing(now, code),
            Input::Ended { connection, .. } if is_current(connection) => {
                self.leave(now, Parting::Gone, Then::Reconnect);
            }
            Input::Ended { connection, .. } => {
                if let Some((_, then)) = self.leaving.take_if(|(id, _)| *id == connection) {
                    self.go_on(now, then);
                }
            }
            Input::Fired(Timer { name, .. }) => match name {
                BEAT => self.tick(now),
                RETRY => self.connect(now),
                IDENTIFY => self.authenticate(now),
                // A connect or an upgrade that hangs has nobody to answer a Close.
                _ if self.status == "connecting" => {
                    self.leave(now, Parting::Dropped, Then::Reconnect);
                }
                _ => self.leave_to_resume(now),
            },
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.asked.pop_front()
    }

    fn status(&self) -> Status {
        Status {
            state: self.status,
            is_authenticated: self.is_up,
            session: self.session.clone(),
            round_trip: None,
            queued: 0,
        }
    }
}
