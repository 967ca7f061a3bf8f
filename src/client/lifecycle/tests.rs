//! Tests of the client's lifecycle: transcripts of what goes in and what comes out, on a clock that the test moves.
//!
//! The [`Rig`] plays the engine. It fires timers when they are due and checks at every output what must always hold: never two
//! connections at once, nothing sent where nothing is open, no timer left behind, no token in a log, nothing after the end.

use super::super::Deadlines;
use super::*;
use crate::machine::CommandId;
use crate::protocol::{Json, Token};
use crate::seed::{Seed, Stream};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const TOKEN: &str = "canary.token.value";
const MAIN: &str = "ws://main.test";
const RESUME: &str = "ws://resume.test";

/// How far a connection is, as the engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Opening,
    Open,
    Draining,
}

struct Rig {
    machine: Lifecycle,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// Outputs since they were last looked at.
    outputs: Vec<Output>,
    identifies: Vec<Instant>,
    is_stopped: bool,
}

fn config() -> Config {
    Config::new(Token::new(TOKEN), Discovery::Url(MAIN.to_owned()))
}

fn asking() -> Config {
    Config::new(Token::new(TOKEN), Discovery::Ask)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Rig {
    fn new(config: Config, seed: u64) -> Self {
        Self {
            machine: Lifecycle::new(config, Seed(seed).stream(Stream::Subject)),
            now: Instant::ZERO,
            timers: BTreeMap::new(),
            sockets: BTreeMap::new(),
            outputs: Vec::new(),
            identifies: Vec::new(),
            is_stopped: false,
        }
    }

    /// A client that is ready on #1 with session `s1` at seq 1 and an interval of 40 s.
    fn ready() -> Self {
        Self::ready_with(config(), 1)
    }

    fn ready_with(config: Config, seed: u64) -> Self {
        let mut rig = Self::new(config, seed);
        rig.start();
        rig.login(1);
        rig.outputs.clear();
        rig
    }

    /// Opens, greets and answers IDENTIFY on a connection that was asked for.
    fn login(&mut self, connection: u32) {
        self.opened(connection);
        self.hello(connection, 40_000);
        self.ready_frame(connection, "s1", 1);
        assert!(self.machine.status().is_authenticated);
    }

    fn handle(&mut self, input: Input<'_>) {
        if let Input::Start { .. } = input {
            self.is_stopped = false;
        }
        match &input {
            Input::Opened(connection) => {
                if let Some(socket @ Socket::Opening) = self.sockets.get_mut(connection) {
                    *socket = Socket::Open;
                }
            }
            Input::Ended { connection, .. } => {
                self.sockets.remove(connection);
            }
            _ => {}
        }
        self.machine.handle(self.now, input);
        while let Some(output) = self.machine.poll_output() {
            self.check(&output);
            self.outputs.push(output);
        }
        let undrained = self
            .sockets
            .values()
            .filter(|socket| **socket != Socket::Draining)
            .count();
        assert!(undrained <= 1, "two connections at once");
    }

    fn check(&mut self, output: &Output) {
        assert!(!self.is_stopped, "after the end: {output:?}");
        match output {
            Output::Open { connection, .. } => {
                let before = self.sockets.insert(*connection, Socket::Opening);
                assert_eq!(before, None, "an id was used twice");
            }
            Output::Send { connection, text } => {
                let socket = self.sockets.get(connection);
                assert_eq!(socket, Some(&Socket::Open), "sent {text} on {connection:?}");
                if text.starts_with(r#"{"op":2,"#) {
                    if let Some(last) = self.identifies.last() {
                        assert!(self.now.since(*last) >= secs(5), "IDENTIFY too soon");
                    }
                    self.identifies.push(self.now);
                }
            }
            Output::Close { connection, .. } => {
                let before = self.sockets.insert(*connection, Socket::Draining);
                assert_eq!(before, Some(Socket::Open));
            }
            Output::Abort { connection } => {
                assert_eq!(self.sockets.remove(connection), Some(Socket::Opening));
            }
            Output::Arm { timer, at } => {
                assert!(*at >= self.now, "armed in the past");
                self.timers.insert(*timer, *at);
            }
            Output::Disarm { timer } => {
                assert!(self.timers.remove(timer).is_some(), "was not armed");
            }
            Output::Deliver { connection, .. } => {
                assert_eq!(self.sockets.get(connection), Some(&Socket::Open));
            }
            Output::Log { text, .. } => assert!(!text.contains(TOKEN), "{text}"),
            Output::Died { message } => panic!("died: {message}"),
            Output::Stopped { .. } => {
                assert!(self.timers.is_empty(), "left armed: {:?}", self.timers);
                assert!(self.sockets.is_empty(), "left open: {:?}", self.sockets);
                self.is_stopped = true;
            }
            Output::Fetch { .. } | Output::Commanded { .. } => {}
        }
    }

    /// Lets time pass, and fires what comes due.
    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.fire_before(until) {}
        self.now = until;
    }

    fn fire_before(&mut self, until: Instant) -> bool {
        let due = self.timers.iter().map(|(timer, at)| (*at, *timer)).min();
        let Some((at, timer)) = due.filter(|(at, _)| *at <= until) else {
            return false;
        };
        self.now = self.now.max(at);
        self.timers.remove(&timer);
        self.handle(Input::Fired(timer));
        true
    }

    /// Fires the next timer of a name, and none before it.
    fn fire(&mut self, name: &str) {
        let found = self.timers.iter().find(|(timer, _)| timer.name == name);
        let (timer, at) = found.map(|(timer, at)| (*timer, *at)).expect("it is armed");
        self.now = self.now.max(at);
        self.timers.remove(&timer);
        self.handle(Input::Fired(timer));
    }

    fn is_armed(&self, name: &str) -> bool {
        self.timers.keys().any(|timer| timer.name == name)
    }

    fn start(&mut self) {
        self.handle(Input::Start { session: None });
    }

    fn opened(&mut self, connection: u32) {
        self.handle(Input::Opened(ConnectionId(connection)));
    }

    fn text(&mut self, connection: u32, text: &str) {
        self.handle(Input::Received {
            connection: ConnectionId(connection),
            message: Message::Text(text),
        });
    }

    fn hello(&mut self, connection: u32, interval_ms: u64) {
        let d = format!(r#"{{"op":10,"d":{{"heartbeat_interval":{interval_ms}}}}}"#);
        self.text(connection, &d);
    }

    fn ready_frame(&mut self, connection: u32, id: &str, s: u64) {
        let text = format!(
            r#"{{"t":"READY","s":{s},"op":0,"d":{{"session_id":"{id}","resume_gateway_url":"{RESUME}"}}}}"#
        );
        self.text(connection, &text);
    }

    fn resumed(&mut self, connection: u32, s: u64) {
        let text = format!(r#"{{"t":"RESUMED","s":{s},"op":0,"d":{{}}}}"#);
        self.text(connection, &text);
    }

    fn dispatch(&mut self, connection: u32, s: u64) {
        let text = format!(r#"{{"t":"MESSAGE_CREATE","s":{s},"op":0,"d":{{}}}}"#);
        self.text(connection, &text);
    }

    fn ack(&mut self, connection: u32) {
        self.text(connection, r#"{"op":11}"#);
    }

    fn op(&mut self, connection: u32, op: u8, d: &str) {
        self.text(connection, &format!(r#"{{"op":{op},"d":{d}}}"#));
    }

    fn closing(&mut self, connection: u32, code: impl Into<Option<u16>>) {
        self.handle(Input::Closing {
            connection: ConnectionId(connection),
            code: code.into().map(CloseCode),
            reason: "",
        });
    }

    fn ended(&mut self, connection: u32, end: End) {
        self.handle(Input::Ended {
            connection: ConnectionId(connection),
            end,
        });
    }

    fn command(&mut self, id: u32, op: u8) {
        self.handle(Input::Command(Command {
            id: CommandId(id),
            op: Opcode(op),
            d: Json::null(),
        }));
    }

    fn fetched(&mut self, fetch: u32, status: u16, body: &str) {
        self.handle(Input::Fetched {
            fetch: FetchId(fetch),
            result: Ok(response(status, &[], body)),
        });
    }

    /// What came out since the last look, one line each, timers left out.
    fn said(&mut self) -> String {
        let lines: Vec<String> = std::mem::take(&mut self.outputs)
            .iter()
            .filter(|it| !matches!(it, Output::Arm { .. } | Output::Disarm { .. }))
            .map(|it| self.line(it))
            .collect();
        lines.join("\n")
    }

    /// The same without the talk.
    fn done(&mut self) -> String {
        self.outputs.retain(|it| !matches!(it, Output::Log { .. }));
        self.said()
    }

    fn line(&self, output: &Output) -> String {
        match output {
            Output::Fetch { fetch, path } => format!("fetch {} {path}", fetch.0),
            Output::Open { connection, url } => format!("open #{} {url}", connection.0),
            Output::Send { connection, text } => {
                format!("send #{} {}", connection.0, text.replace(TOKEN, "<token>"))
            }
            Output::Close {
                connection,
                code,
                within,
            } => {
                let code = code.map_or("empty".to_owned(), |code| code.to_string());
                format!("close #{} {code} within {}", connection.0, show(*within))
            }
            Output::Abort { connection } => format!("abort #{}", connection.0),
            Output::Arm { timer, at } => {
                let wait = show(at.since(self.now));
                format!("arm {}/{} in {wait}", timer.name, timer.number)
            }
            Output::Disarm { timer } => format!("disarm {}/{}", timer.name, timer.number),
            Output::Deliver { connection, seq } => format!("deliver #{} {seq}", connection.0),
            Output::Commanded { command, fate } => format!("command {} {fate:?}", command.0),
            Output::Log { level, text } => format!("{level:?}: {text}"),
            Output::Died { message } => format!("died {message}"),
            Output::Stopped { reason: None } => "stopped".to_owned(),
            Output::Stopped {
                reason: Some(reason),
            } => format!("stopped: {reason}"),
        }
    }

    fn session(&self) -> Option<(String, u64)> {
        let session = self.machine.status().session?;
        Some((session.id, session.seq))
    }

    /// Plays a healthy gateway for a time: every connection is opened, greeted and authenticated, every beat ACKed.
    fn serve(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Fetch { fetch, .. } => self.fetched(fetch.0, 200, BOT),
                    Output::Open { connection, .. } => {
                        self.opened(connection.0);
                        self.hello(connection.0, 40_000);
                    }
                    Output::Send { connection, text } => {
                        let to = connection.0;
                        if self.sockets.get(&connection) != Some(&Socket::Open) {
                            continue;
                        }
                        if text.starts_with(r#"{"op":2,"#) {
                            self.ready_frame(to, "healthy", 1);
                        } else if text.starts_with(r#"{"op":6,"#) {
                            self.text(to, r#"{"t":"RESUMED","op":0,"d":{}}"#);
                        } else if text.starts_with(r#"{"op":1,"#) {
                            self.ack(to);
                        }
                    }
                    Output::Close { connection, .. } => {
                        if self.sockets.contains_key(&connection) {
                            self.ended(connection.0, End::Closed);
                        }
                    }
                    _ => {}
                }
            }
            if self.outputs.is_empty() && !self.fire_before(until) {
                break;
            }
        }
        self.now = until;
    }
}

/// A sound answer of `/gateway/bot`.
const BOT: &str = r#"{"url":"ws://main.test","shards":1,"session_start_limit":{"total":1000,"remaining":900,"reset_after":86400000,"max_concurrency":1}}"#;

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

// Every state and every input.

/// Brings a client into a state. Where a connection counts it is #2, and #1 drains.
fn in_state(state: &str) -> Rig {
    let mut rig = match state {
        "idle" => Rig::new(config(), 1),
        "asking for the gateway" => {
            let mut rig = Rig::new(asking(), 1);
            rig.start();
            rig
        }
        "waiting for READY" => {
            let mut rig = Rig::ready();
            rig.op(1, 9, "false");
            rig.fire("wait");
            // The wait that op 9 asks for may be shorter than what is left of the spacing.
            if rig.is_armed("wait") {
                rig.fire("wait");
            }
            rig.opened(2);
            rig.hello(2, 40_000);
            rig
        }
        _ => {
            let mut rig = Rig::ready();
            rig.op(1, 7, "null");
            let steps = [
                "waiting to connect",
                "connecting",
                "waiting for HELLO",
                "waiting for RESUMED",
                "ready",
                "stopping",
                "stopped",
            ];
            let steps = &steps[1..=steps.iter().position(|it| *it == state).unwrap()];
            for step in steps {
                match *step {
                    "connecting" => rig.fire("wait"),
                    "waiting for HELLO" => rig.opened(2),
                    "waiting for RESUMED" => rig.hello(2, 40_000),
                    "ready" => rig.resumed(2, 2),
                    "stopping" => rig.handle(Input::Stop),
                    "stopped" => {
                        rig.ended(1, End::Closed);
                        rig.ended(2, End::Closed);
                    }
                    other => unreachable!("{other}"),
                }
            }
            rig
        }
    };
    assert_eq!(rig.machine.status().state, state);
    rig.outputs.clear();
    rig
}

const STATES: [&str; 10] = [
    "idle",
    "asking for the gateway",
    "waiting to connect",
    "connecting",
    "waiting for HELLO",
    "waiting for READY",
    "waiting for RESUMED",
    "ready",
    "stopping",
    "stopped",
];

type Act = fn(&mut Rig);

/// Every kind of input. A connection that does not exist is #9; what cannot happen to a socket is skipped by the table.
const INPUTS: &[(&str, Act)] = &[
    ("start", Rig::start),
    ("start with a session", |rig| {
        let session = Session {
            id: "old".to_owned(),
            resume_url: RESUME.to_owned(),
            seq: 5,
        };
        rig.handle(Input::Start {
            session: Some(session),
        });
    }),
    ("stop", |rig| rig.handle(Input::Stop)),
    ("command", |rig| rig.command(1, 3)),
    ("command IDENTIFY", |rig| rig.command(1, 2)),
    ("answer of /gateway/bot", |rig| rig.fetched(1, 200, BOT)),
    ("answer 401", |rig| rig.fetched(1, 401, "")),
    ("answer 500", |rig| rig.fetched(1, 500, "<html>")),
    ("answer to another request", |rig| rig.fetched(9, 200, BOT)),
    ("opened", |rig| rig.opened(2)),
    ("HELLO", |rig| rig.hello(2, 40_000)),
    ("HELLO without an interval", |rig| rig.op(2, 10, "{}")),
    ("READY", |rig| rig.ready_frame(2, "s2", 1)),
    ("READY without an id", |rig| {
        rig.text(2, r#"{"t":"READY","s":1,"op":0,"d":{}}"#);
    }),
    ("RESUMED", |rig| rig.resumed(2, 3)),
    ("dispatch", |rig| rig.dispatch(2, 3)),
    ("dispatch that came before", |rig| rig.dispatch(2, 1)),
    ("dispatch without a number", |rig| {
        rig.text(2, r#"{"t":"X","s":null,"op":0,"d":{}}"#);
    }),
    ("binary dispatch", |rig| {
        rig.handle(Input::Received {
            connection: ConnectionId(2),
            message: Message::Binary(br#"{"t":"X","s":3,"op":0,"d":{}}"#),
        });
    }),
    ("op 1", |rig| rig.op(2, 1, "null")),
    ("op 7", |rig| rig.op(2, 7, "null")),
    ("op 9 true", |rig| rig.op(2, 9, "true")),
    ("op 9 false", |rig| rig.op(2, 9, "false")),
    ("op 11", |rig| rig.ack(2)),
    ("op 99", |rig| rig.op(2, 99, "{}")),
    ("garbage", |rig| rig.text(2, "garbage")),
    ("Close 1000", |rig| rig.closing(2, 1000)),
    ("Close 4000", |rig| rig.closing(2, 4000)),
    ("Close 4004", |rig| rig.closing(2, 4004)),
    ("Close 4009", |rig| rig.closing(2, 4009)),
    ("Close without a code", |rig| rig.closing(2, None)),
    ("FIN", |rig| rig.ended(2, End::Eof)),
    ("RST", |rig| rig.ended(2, End::Reset)),
    ("refused", |rig| rig.ended(2, End::Refused)),
    ("draining: dispatch", |rig| rig.dispatch(1, 4)),
    ("draining: op 7", |rig| rig.op(1, 7, "null")),
    ("draining: op 9 false", |rig| rig.op(1, 9, "false")),
    ("draining: garbage", |rig| rig.text(1, "garbage")),
    ("draining: Close 4000", |rig| rig.closing(1, 4000)),
    ("draining: Close 4009", |rig| rig.closing(1, 4009)),
    ("draining: Close 4014", |rig| rig.closing(1, 4014)),
    ("draining: end", |rig| rig.ended(1, End::Abandoned)),
    ("stale: opened", |rig| rig.opened(9)),
    ("stale: message", |rig| rig.op(9, 7, "null")),
    ("stale: Close", |rig| rig.closing(9, 4004)),
    ("stale: end", |rig| rig.ended(9, End::Reset)),
    ("stale: timer", |rig| {
        rig.handle(Input::Fired(Timer {
            name: "heartbeat",
            number: 9,
        }));
    }),
    ("timer: rest", |rig| rig.fire("rest")),
    ("timer: wait", |rig| rig.fire("wait")),
    ("timer: connect", |rig| rig.fire("connect")),
    ("timer: hello", |rig| rig.fire("hello")),
    ("timer: ready", |rig| rig.fire("ready")),
    ("timer: heartbeat", |rig| rig.fire("heartbeat")),
];

#[test]
fn every_input_in_every_state_does_what_the_table_says() {
    for state in STATES {
        let mut table = String::new();
        for (name, act) in INPUTS {
            let mut rig = in_state(state);
            if let Some(timer) = name.strip_prefix("timer: ")
                && !rig.is_armed(timer)
            {
                continue;
            }
            act(&mut rig);
            let lines: Vec<String> = std::mem::take(&mut rig.outputs)
                .iter()
                .map(|it| rig.line(it))
                .collect();
            let after = rig.machine.status().state;
            let arrow = if after == state {
                String::new()
            } else {
                format!(" -> {after}")
            };
            writeln!(table, "{name}{arrow}").unwrap();
            for line in lines {
                writeln!(table, "    {line}").unwrap();
            }
        }
        insta::assert_snapshot!(state.replace(' ', "-"), table);
    }
}
