//! Tests of the client's lifecycle: transcripts of what goes in and what comes out, on a clock that the test
//! moves.
//!
//! The [`Rig`] plays the engine. It fires timers when they are due and checks at every output what must
//! always hold: never two connections at once, nothing sent where nothing is open, no timer left behind, no
//! token in a log, nothing after the end.

use super::super::Deadlines;
use super::*;
use crate::machine::CommandId;
use crate::protocol::{Json, Token};
use crate::seed::{Seed, Stream};
use flate2::{Compress, FlushCompress};
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

    /// Plays a healthy gateway for a time: every connection is opened, greeted and authenticated, every beat
    /// answered.
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
                    Output::Close { connection, .. } if self.sockets.contains_key(&connection) => {
                        self.ended(connection.0, End::Closed);
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

/// Every kind of input. A connection that does not exist is #9; what cannot happen to a socket is skipped by
/// the table.
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

// Discovery.

#[test]
fn the_gateway_is_asked_for_once_and_its_url_serves_every_reconnect() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    assert_eq!(rig.done(), "fetch 1 /gateway/bot");
    rig.fetched(1, 200, BOT);
    assert_eq!(rig.done(), "open #1 ws://main.test/?v=10&encoding=json");
    rig.login(1);
    for connection in 1..10 {
        rig.op(connection, 9, "false");
        rig.fire("wait");
        rig.opened(connection + 1);
        rig.hello(connection + 1, 40_000);
        rig.ready_frame(connection + 1, "next", 1);
    }
    assert!(!rig.done().contains("fetch"));
}

#[test]
fn every_failure_of_discovery_is_tried_again_with_growing_delays() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    let answers: [fn(&mut Rig, FetchId); 6] = [
        |rig, fetch| rig.fetched(fetch.0, 200, ""),
        |rig, fetch| rig.fetched(fetch.0, 500, "<html>"),
        |rig, fetch| {
            rig.handle(Input::Fetched {
                fetch,
                result: Err("connection refused".to_owned()),
            });
        },
        |rig, fetch| rig.fetched(fetch.0, 200, r#"{"url":"http://main.test"}"#),
        |rig, fetch| {
            let result = Ok(response(429, &[("retry-after", "7.5")], ""));
            rig.handle(Input::Fetched { fetch, result });
        },
        |rig, fetch| rig.fetched(fetch.0, 429, r#"{"retry_after":20.5,"global":false}"#),
    ];
    let mut delays = Vec::new();
    for (n, answer) in (1..).zip(answers) {
        answer(&mut rig, FetchId(n));
        let before = rig.now;
        rig.fire("wait");
        delays.push(rig.now.since(before));
    }
    insta::assert_snapshot!(rig.said(), @"
    Info: asking for the gateway's URL
    fetch 1 /gateway/bot
    Warn: /gateway/bot answered nonsense (EOF while parsing a value at line 1 column 0): starting a new session in 220.382ms
    Info: asking for the gateway's URL
    fetch 2 /gateway/bot
    Warn: /gateway/bot answered with HTTP 500: starting a new session in 525.456ms
    Info: asking for the gateway's URL
    fetch 3 /gateway/bot
    Warn: /gateway/bot could not be asked (connection refused): starting a new session in 1.558s
    Info: asking for the gateway's URL
    fetch 4 /gateway/bot
    Warn: /gateway/bot answered nonsense (expected a ws:// or wss:// URL, found `http://`): starting a new session in 2.201s
    Info: asking for the gateway's URL
    fetch 5 /gateway/bot
    Warn: /gateway/bot answered with HTTP 429: starting a new session in 7.856s
    Info: asking for the gateway's URL
    fetch 6 /gateway/bot
    Warn: /gateway/bot answered with HTTP 429: starting a new session in 20.5s
    Info: asking for the gateway's URL
    fetch 7 /gateway/bot
    ");
    assert!(delays[0] <= ms(250));
    assert!(delays[1..4].windows(2).all(|pair| pair[0] < pair[1]));
    assert!(delays[4] >= ms(7_500));
    assert!(delays[5] >= ms(20_500));
    rig.fetched(7, 200, BOT);
    assert_eq!(rig.done(), "open #1 ws://main.test/?v=10&encoding=json");
}

#[test]
fn an_answer_that_comes_too_late_belongs_to_a_request_that_is_over() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    rig.fire("rest");
    rig.fire("wait");
    rig.outputs.clear();
    rig.fetched(1, 200, BOT);
    assert_eq!(rig.done(), "");
    rig.fetched(2, 200, BOT);
    assert_eq!(rig.done(), "open #1 ws://main.test/?v=10&encoding=json");
}

#[test]
fn a_url_that_no_gateway_answers_at_is_asked_for_again() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    rig.fetched(1, 200, r#"{"url":"ws://nowhere.test"}"#);
    for connection in 1..=5 {
        rig.ended(connection, End::Refused);
        rig.outputs.clear();
        rig.fire("wait");
    }
    assert_eq!(rig.done(), "fetch 2 /gateway/bot");
    // REST is no help: what is known has to do.
    rig.fetched(2, 500, "");
    rig.fire("wait");
    assert_eq!(rig.done(), "open #6 ws://nowhere.test/?v=10&encoding=json");
    for connection in 6..=10 {
        rig.ended(connection, End::Refused);
        rig.outputs.clear();
        rig.fire("wait");
    }
    rig.fetched(3, 200, BOT);
    assert_eq!(
        rig.done(),
        "fetch 3 /gateway/bot\nopen #11 ws://main.test/?v=10&encoding=json"
    );
}

fn limit(remaining: u32, reset_after_ms: u32) -> String {
    format!(
        r#"{{"url":"{MAIN}","shards":1,"session_start_limit":{{"total":1000,"remaining":{remaining},"reset_after":{reset_after_ms},"max_concurrency":1}}}}"#
    )
}

#[test]
fn no_session_is_started_while_none_may_be() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    rig.fetched(1, 200, &limit(0, 120_000));
    rig.outputs.clear();
    rig.wait(ms(119_999));
    assert_eq!(rig.done(), "");
    rig.wait(ms(1));
    assert_eq!(rig.done(), "fetch 2 /gateway/bot");
    // A window that is just over says 0 ms.
    rig.fetched(2, 200, &limit(0, 0));
    rig.outputs.clear();
    rig.wait(ms(4_999));
    assert_eq!(rig.done(), "");
    rig.wait(ms(1));
    rig.fetched(3, 200, &limit(2, 60_000));
    assert_eq!(
        rig.done(),
        "fetch 3 /gateway/bot\nopen #1 ws://main.test/?v=10&encoding=json"
    );
}

#[test]
fn sessions_that_were_started_are_counted_and_a_resume_is_free() {
    let mut rig = Rig::new(asking(), 1);
    rig.start();
    rig.fetched(1, 200, &limit(2, 600_000));
    rig.login(1);
    rig.op(1, 9, "false");
    rig.wait(secs(10));
    rig.login(2);
    rig.ended(2, End::Reset);
    rig.wait(secs(10));
    rig.opened(3);
    rig.hello(3, 40_000);
    rig.resumed(3, 2);
    assert!(rig.machine.status().is_authenticated);
    rig.op(3, 9, "false");
    rig.outputs.clear();
    rig.wait(ms(600_000 - 20_000));
    assert_eq!(rig.done(), "fetch 2 /gateway/bot");
    assert_eq!(rig.identifies.len(), 2);
}

// Deadlines.

#[test]
fn nobody_is_waited_for_longer_than_the_deadline_and_the_session_survives_it() {
    let mut rig = Rig::ready();
    rig.dispatch(1, 2);
    rig.ended(1, End::Reset);
    rig.fire("wait");
    let opened = rig.now;
    rig.wait(ms(9_999));
    rig.outputs.clear();
    rig.wait(ms(1));
    assert!(rig.done().starts_with("abort #2"));
    assert_eq!(rig.now.since(opened), secs(10));

    rig.fire("wait");
    rig.opened(3);
    rig.outputs.clear();
    rig.wait(ms(19_999));
    assert_eq!(rig.done(), "");
    rig.wait(ms(1));
    assert!(rig.done().starts_with("close #3 4900 within 5s"));

    rig.fire("wait");
    rig.opened(4);
    rig.hello(4, 60_000);
    rig.outputs.clear();
    rig.wait(ms(29_999));
    assert!(!rig.done().contains("close"));
    rig.wait(ms(1));
    assert!(rig.done().contains("close #4 4900 within 5s"));
    assert_eq!(rig.session(), Some(("s1".to_owned(), 2)));
}

#[test]
fn heartbeats_go_on_while_ready_is_awaited() {
    let mut rig = Rig::new(config(), 1);
    rig.start();
    rig.opened(1);
    rig.hello(1, 5_000);
    rig.outputs.clear();
    for _ in 0..5 {
        rig.wait(secs(5));
        assert_eq!(rig.done(), r#"send #1 {"op":1,"d":null}"#);
        rig.ack(1);
    }
    rig.ready_frame(1, "s1", 1);
    assert!(rig.machine.status().is_authenticated);
}

#[test]
fn a_process_that_was_held_up_reads_before_it_judges() {
    let mut rig = Rig::ready();
    rig.op(1, 7, "null");
    rig.fire("wait");
    rig.opened(2);
    rig.outputs.clear();
    // 25 s without a chance to read: the deadline for HELLO passed, and HELLO is there.
    let timer = Timer {
        name: "hello",
        number: 2,
    };
    rig.timers.remove(&timer);
    rig.now += secs(25);
    rig.handle(Input::Fired(timer));
    assert!(rig.is_armed("hello"));
    assert_eq!(rig.done(), "");
    rig.hello(2, 40_000);
    rig.resumed(2, 2);
    rig.fire("heartbeat");
    rig.outputs.clear();
    // The ACK of that beat came while the process stood still for three intervals.
    let timer = Timer {
        name: "heartbeat",
        number: 2,
    };
    rig.timers.remove(&timer);
    rig.now += secs(120);
    rig.handle(Input::Fired(timer));
    assert_eq!(
        rig.said(),
        "Warn: held up for 80s: heartbeats begin anew\nsend #2 {\"op\":1,\"d\":2}"
    );
    // If nothing was there to read after all, the next beat says so.
    rig.wait(secs(40));
    assert!(rig.said().contains("was not acknowledged within 40s"));
}

#[test]
fn a_deadline_is_put_off_for_a_held_up_process_only_once() {
    let mut rig = in_state("waiting for HELLO");
    let timer = Timer {
        name: "hello",
        number: 2,
    };
    rig.timers.remove(&timer);
    rig.now += secs(25);
    rig.handle(Input::Fired(timer));
    rig.outputs.clear();
    rig.wait(GRACE);
    assert_eq!(rig.done(), "close #2 4900 within 5s");
}

#[test]
fn a_timer_that_fires_early_comes_again_when_it_is_due() {
    let mut rig = in_state("ready");
    let timer = Timer {
        name: "heartbeat",
        number: 2,
    };
    let due = rig.timers.remove(&timer).unwrap();
    rig.handle(Input::Fired(timer));
    assert_eq!(rig.done(), "");
    assert_eq!(rig.timers.get(&timer), Some(&due));
}

// Heartbeats.

#[test]
fn the_first_beat_comes_within_one_interval_and_the_others_stand_on_its_grid() {
    let mut firsts = Vec::new();
    for seed in 0..100 {
        let mut rig = Rig::ready_with(config(), seed);
        let beats: Vec<Duration> = (0..4)
            .map(|_| {
                rig.fire("heartbeat");
                rig.ack(1);
                rig.now.since(Instant::ZERO)
            })
            .collect();
        assert!(beats[0] <= secs(40), "{beats:?}");
        assert!(beats.windows(2).all(|pair| pair[1] == pair[0] + secs(40)));
        firsts.push(beats[0]);
    }
    let early = firsts.iter().filter(|first| **first < secs(20)).count();
    assert!(
        (30..=70).contains(&early),
        "{early} of 100 in the first half"
    );
}

#[test]
fn an_ack_that_comes_just_before_the_next_beat_is_not_late() {
    let mut rig = Rig::ready();
    for _ in 0..20 {
        rig.fire("heartbeat");
        rig.wait(ms(39_999));
        rig.ack(1);
    }
    assert!(rig.machine.status().is_authenticated);
    assert_eq!(rig.machine.status().round_trip, Some(ms(39_999)));
}

#[test]
fn a_beat_without_an_ack_ends_the_connection_at_the_next_one() {
    let mut rig = Rig::ready();
    rig.dispatch(1, 2);
    rig.fire("heartbeat");
    rig.ack(1);
    rig.fire("heartbeat");
    rig.outputs.clear();
    rig.wait(secs(40));
    insta::assert_snapshot!(rig.said(), @"
    close #1 4900 within 5s
    Warn: #1: heartbeat 2 was not acknowledged within 40s: resuming session s1 at seq 2 in 60.182ms
    ");
    rig.wait(ms(250));
    assert_eq!(rig.done(), "open #2 ws://resume.test/?v=10&encoding=json");
    // What the old connection's ACK state was is nothing to the new one.
    rig.opened(2);
    rig.hello(2, 300);
    rig.resumed(2, 3);
    rig.fire("heartbeat");
    rig.ack(2);
    rig.fire("heartbeat");
    assert!(rig.machine.status().is_authenticated);
}

#[test]
fn an_ack_in_flight_for_a_beat_that_was_asked_for_is_no_zombie() {
    let mut rig = Rig::ready();
    rig.fire("heartbeat");
    rig.ack(1);
    rig.wait(ms(39_990));
    rig.op(1, 1, "null");
    rig.outputs.clear();
    rig.wait(ms(10));
    assert_eq!(rig.done(), r#"send #1 {"op":1,"d":1}"#);
    rig.wait(ms(10));
    rig.ack(1);
    rig.ack(1);
    rig.wait(secs(40));
    assert!(rig.machine.status().is_authenticated);
}

#[test]
fn a_beat_that_was_asked_for_needs_an_ack_as_any_other() {
    let mut rig = Rig::ready();
    rig.fire("heartbeat");
    rig.ack(1);
    rig.wait(secs(1));
    rig.op(1, 1, "null");
    rig.wait(secs(39));
    assert!(rig.machine.status().is_authenticated);
    rig.outputs.clear();
    rig.wait(secs(40));
    assert!(
        rig.said()
            .contains("heartbeat 2 was not acknowledged within 79s")
    );
}

#[test]
fn a_beat_that_is_asked_for_with_an_ack_pending_is_answered_and_moves_nothing() {
    let mut rig = Rig::ready();
    rig.fire("heartbeat");
    let beat = rig.now;
    rig.wait(secs(4));
    rig.outputs.clear();
    rig.op(1, 1, "null");
    assert_eq!(rig.done(), r#"send #1 {"op":1,"d":1}"#);
    rig.wait(secs(12));
    rig.ack(1);
    rig.ack(1);
    rig.fire("heartbeat");
    assert_eq!(rig.now.since(beat), secs(40));
}

#[test]
fn a_beat_that_is_asked_for_before_hello_is_sent_right_after_it() {
    let mut rig = Rig::new(config(), 1);
    rig.start();
    rig.opened(1);
    rig.outputs.clear();
    rig.op(1, 1, "null");
    assert_eq!(rig.done(), "");
    rig.hello(1, 40_000);
    let done = rig.done();
    let lines: Vec<&str> = done.lines().collect();
    assert!(lines[0].starts_with(r#"send #1 {"op":2,"#));
    assert_eq!(lines[1..], [r#"send #1 {"op":1,"d":null}"#]);
}

#[test]
fn a_gateway_that_asks_for_beats_without_end_does_not_break_the_budget() {
    let mut rig = Rig::ready();
    for _ in 0..1000 {
        rig.op(1, 1, "null");
    }
    let sent = rig.done().lines().count();
    // IDENTIFY took one, and two are kept for the timer.
    assert_eq!(sent, 116);
}

#[test]
fn an_interval_that_makes_no_sense_ends_the_connection_and_keeps_the_session() {
    for interval in ["0", "-5", "1e300", "9", "3600001", "null", "\"40\"", "[]"] {
        let mut rig = Rig::ready();
        rig.ended(1, End::Reset);
        rig.fire("wait");
        rig.opened(2);
        rig.outputs.clear();
        rig.op(2, 10, &format!(r#"{{"heartbeat_interval":{interval}}}"#));
        assert_eq!(rig.done(), "close #2 4900 within 5s", "{interval}");
        assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
    }
}

#[test]
fn intervals_from_100_ms_to_10_min_are_kept() {
    for interval in [100, 41_250, 600_000] {
        let mut rig = Rig::new(config(), 1);
        rig.start();
        rig.opened(1);
        rig.hello(1, interval);
        rig.ready_frame(1, "s1", 1);
        rig.fire("heartbeat");
        let first = rig.now;
        rig.ack(1);
        rig.fire("heartbeat");
        assert_eq!(rig.now.since(first), ms(interval));
    }
}

// Op 7, op 9 and closes.

#[test]
fn op_7_is_heeded_at_any_time_and_keeps_the_session() {
    for state in ["waiting for HELLO", "waiting for RESUMED", "ready"] {
        let mut rig = in_state(state);
        rig.op(2, 7, "null");
        rig.op(2, 7, "null");
        rig.closing(2, 4000);
        rig.ended(2, End::Reset);
        rig.wait(secs(5));
        assert_eq!(
            rig.done(),
            "close #2 4900 within 5s\nopen #3 ws://resume.test/?v=10&encoding=json",
            "{state}"
        );
        assert_eq!(rig.session().unwrap().0, "s1", "{state}");
    }
}

#[test]
fn the_first_reconnect_of_a_settled_session_is_made_at_once() {
    for seed in 0..50 {
        let mut rig = Rig::ready_with(config(), seed);
        for _ in 0..3 {
            rig.fire("heartbeat");
            rig.ack(1);
        }
        rig.op(1, 7, "null");
        let left = rig.now;
        rig.fire("wait");
        assert!(rig.now.since(left) <= ms(250));
        assert!(rig.now.since(left) >= ms(50));
    }
}

#[test]
fn op_9_false_starts_a_new_session_on_the_main_url_after_one_to_five_seconds() {
    for seed in 0..50 {
        let mut rig = Rig::ready_with(config(), seed);
        for _ in 0..2 {
            rig.fire("heartbeat");
            rig.ack(1);
        }
        rig.outputs.clear();
        rig.op(1, 9, "false");
        let left = rig.now;
        assert_eq!(rig.session(), None);
        rig.fire("wait");
        let waited = rig.now.since(left);
        assert!((secs(1)..=secs(5)).contains(&waited), "{waited:?}");
        rig.opened(2);
        rig.hello(2, 40_000);
        let done = rig.done();
        assert!(done.contains("open #2 ws://main.test/"), "{done}");
        assert!(done.contains(r#"send #2 {"op":2,"#), "{done}");
        rig.fire("heartbeat");
        assert!(rig.done().ends_with(r#"{"op":1,"d":null}"#));
    }
}

#[test]
fn op_9_that_never_ends_is_met_with_growing_waits_and_few_identifies() {
    let mut rig = Rig::new(config(), 1);
    rig.start();
    let mut waits = Vec::new();
    for connection in 1..=12 {
        rig.opened(connection);
        rig.hello(connection, 40_000);
        rig.op(connection, 9, "false");
        let left = rig.now;
        rig.fire("wait");
        waits.push(rig.now.since(left));
    }
    assert!(waits.iter().all(|wait| *wait >= secs(5)), "{waits:?}");
    assert!(waits[10] >= secs(15), "{waits:?}");
}

#[test]
fn fatal_codes_end_the_client_in_every_state_of_a_connection() {
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        for state in [
            "waiting for HELLO",
            "waiting for READY",
            "waiting for RESUMED",
            "ready",
        ] {
            let mut rig = in_state(state);
            rig.command(7, 3);
            rig.closing(2, code);
            rig.ended(1, End::Closed);
            rig.ended(2, End::Closed);
            assert!(rig.is_stopped, "{code} while {state}");
            rig.wait(secs(3600));
            let done = rig.done();
            assert!(!done.contains("open"), "{done}");
            let name = format!("closed by the gateway with {code} (");
            assert!(done.contains(&name), "{done}");
        }
    }
}

#[test]
fn what_a_fatal_code_asks_for_is_said_in_words() {
    let reasons: Vec<String> = [4004, 4010, 4011, 4012, 4013, 4014]
        .into_iter()
        .map(|code| {
            let mut rig = Rig::ready();
            rig.closing(1, code);
            rig.ended(1, End::Closed);
            rig.done().lines().last().unwrap().to_owned()
        })
        .collect();
    insta::assert_snapshot!(reasons.join("\n"), @"
    stopped: closed by the gateway with 4004 (authentication failed): check DISCORD_TOKEN, or reset the token in the developer portal
    stopped: closed by the gateway with 4010 (invalid shard): check the shard id and the number of shards
    stopped: closed by the gateway with 4011 (sharding required): the bot is in too many guilds for one shard: use more
    stopped: closed by the gateway with 4012 (invalid API version): this API version is not served any more
    stopped: closed by the gateway with 4013 (invalid intents): check the intents: one of them does not exist
    stopped: closed by the gateway with 4014 (disallowed intents): enable the privileged intents in the developer portal, or ask for fewer
    ");
}

#[test]
fn after_every_other_close_the_client_comes_back_and_resumes_unless_the_session_is_over() {
    let codes = [
        1000, 1001, 1006, 1011, 1012, 4000, 4001, 4002, 4003, 4005, 4006, 4007, 4008, 4009, 4900,
    ];
    for code in codes.into_iter().map(Some).chain([None]) {
        let mut rig = Rig::ready();
        rig.dispatch(1, 2);
        rig.closing(1, code);
        rig.ended(1, End::Closed);
        rig.wait(secs(10));
        rig.opened(2);
        rig.outputs.clear();
        rig.hello(2, 40_000);
        let op = if matches!(code, Some(4007 | 4009)) {
            2
        } else {
            6
        };
        let done = rig.done();
        assert!(
            done.contains(&format!(r#"{{"op":{op},"#)),
            "{code:?}: {done}"
        );
    }
}

#[test]
fn a_late_close_of_the_old_connection_does_not_disturb_the_new_one() {
    for code in [None, Some(1000), Some(4000), Some(4007), Some(4009)] {
        let mut rig = in_state("ready");
        rig.closing(1, code);
        rig.ended(1, End::Abandoned);
        assert_eq!(rig.done(), "");
        assert_eq!(rig.session(), Some(("s1".to_owned(), 2)));
        assert!(rig.machine.status().is_authenticated);
    }
}

#[test]
fn a_session_that_ends_on_the_old_connection_is_not_resumed_on_the_next() {
    let mut rig = Rig::ready();
    rig.op(1, 7, "null");
    rig.closing(1, 4009);
    assert_eq!(rig.session(), None);
    rig.outputs.clear();
    rig.wait(ms(5_249));
    assert_eq!(rig.done(), "");
    rig.wait(ms(1));
    assert_eq!(rig.done(), "open #2 ws://main.test/?v=10&encoding=json");
}

// The session.

#[test]
fn a_resume_url_that_is_dead_is_left_for_the_main_one_after_two_tries() {
    let mut rig = Rig::ready();
    rig.ended(1, End::Reset);
    rig.outputs.clear();
    for connection in 2..=6 {
        rig.fire("wait");
        rig.ended(connection, End::Refused);
    }
    assert_eq!(
        rig.done(),
        "open #2 ws://resume.test/?v=10&encoding=json
open #3 ws://resume.test/?v=10&encoding=json
open #4 ws://main.test/?v=10&encoding=json
open #5 ws://resume.test/?v=10&encoding=json
open #6 ws://main.test/?v=10&encoding=json"
    );
    // No server ever answered: the session is as good as before.
    assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
}

#[test]
fn a_resume_url_that_is_no_url_is_not_used() {
    let mut rig = Rig::new(config(), 1);
    rig.start();
    rig.opened(1);
    rig.hello(1, 40_000);
    let ready = r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"s","resume_gateway_url":""}}"#;
    rig.text(1, ready);
    rig.ended(1, End::Reset);
    rig.outputs.clear();
    rig.fire("wait");
    assert_eq!(rig.done(), "open #2 ws://main.test/?v=10&encoding=json");
}

/// Something that happens on a connection.
type OnConnection = fn(&mut Rig, u32);

/// How a RESUME may come to nothing, on the connection given.
fn refusals() -> Vec<(&'static str, OnConnection)> {
    vec![
        ("empty Close", |rig, connection| {
            rig.closing(connection, None);
        }),
        ("RST", |rig, connection| rig.ended(connection, End::Reset)),
        ("FIN", |rig, connection| rig.ended(connection, End::Eof)),
        ("silence", |rig, _| rig.fire("ready")),
        ("op 9 true", |rig, connection| rig.op(connection, 9, "true")),
        ("Close 4000", |rig, connection| {
            rig.closing(connection, 4000);
        }),
    ]
}

#[test]
fn a_session_that_three_resumes_did_not_bring_back_is_given_up() {
    for (name, refuse) in refusals() {
        let mut rig = Rig::ready();
        rig.ended(1, End::Reset);
        for connection in 2..=4 {
            assert!(rig.session().is_some(), "{name}");
            rig.fire("wait");
            rig.opened(connection);
            rig.hello(connection, 600_000);
            refuse(&mut rig, connection);
        }
        assert_eq!(rig.session(), None, "{name}");
        rig.wait(secs(10));
        rig.outputs.clear();
        rig.opened(5);
        rig.hello(5, 40_000);
        assert!(rig.done().contains(r#"{"op":2,"#), "{name}");
    }
}

#[test]
fn a_gateway_that_asks_to_come_back_does_not_use_up_the_session() {
    let mut rig = Rig::ready();
    rig.op(1, 7, "null");
    for connection in 2..=20 {
        rig.fire("wait");
        rig.opened(connection);
        rig.hello(connection, 40_000);
        rig.op(connection, 7, "null");
    }
    assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
}

#[test]
fn a_replay_that_is_cut_again_and_again_goes_on_where_it_was_cut() {
    let mut rig = Rig::ready();
    rig.ended(1, End::Reset);
    for connection in 2..=11 {
        rig.fire("wait");
        rig.opened(connection);
        rig.outputs.clear();
        rig.hello(connection, 40_000);
        let seq = u64::from(connection) - 1;
        assert!(rig.done().contains(&format!(r#""seq":{seq}}}"#)));
        rig.dispatch(connection, seq + 1);
        rig.op(connection, 1, "null");
        rig.ended(connection, End::Reset);
    }
    assert_eq!(rig.session(), Some(("s1".to_owned(), 11)));
}

#[test]
fn identify_never_follows_a_login_that_did_not_come_to_ready_with_a_resume() {
    let mut rig = Rig::new(config(), 1);
    rig.start();
    rig.opened(1);
    rig.hello(1, 40_000);
    rig.ended(1, End::Reset);
    rig.wait(secs(10));
    rig.opened(2);
    rig.outputs.clear();
    rig.hello(2, 40_000);
    assert!(rig.done().contains(r#"{"op":2,"#));
}

#[test]
fn a_session_of_an_earlier_life_is_resumed() {
    let mut rig = Rig::new(config(), 1);
    rig.handle(Input::Start {
        session: Some(Session {
            id: "old".to_owned(),
            resume_url: "wss://r.test".to_owned(),
            seq: 17,
        }),
    });
    rig.opened(1);
    rig.hello(1, 40_000);
    let done = rig.done();
    assert!(done.contains("open #1 wss://r.test/?v=10&encoding=json"));
    assert!(done.contains(r#""session_id":"old","seq":17}"#));
}

#[test]
fn a_second_client_life_begins_with_start_and_keeps_the_spacing() {
    let mut rig = Rig::ready();
    rig.handle(Input::Stop);
    rig.ended(1, End::Closed);
    assert!(rig.is_stopped);
    rig.start();
    rig.fire("wait");
    rig.outputs.clear();
    rig.opened(2);
    rig.hello(2, 40_000);
    // The rig itself checks the distance.
    assert!(rig.done().contains(r#"{"op":2,"#));
}

// Delivery.

#[test]
fn only_a_dispatch_with_a_number_moves_the_sequence() {
    let mut rig = Rig::ready();
    rig.dispatch(1, 5);
    rig.text(1, r#"{"op":11,"d":null,"s":null,"t":null}"#);
    rig.text(1, r#"{"op":11,"d":null,"s":77}"#);
    rig.text(1, r#"{"op":1,"d":null,"s":null}"#);
    rig.text(1, r#"{"op":99,"d":null,"s":9}"#);
    rig.text(1, r#"{"op":0,"t":"X","d":null,"s":null}"#);
    rig.outputs.clear();
    rig.op(1, 1, "null");
    assert_eq!(rig.done(), r#"send #1 {"op":1,"d":5}"#);
    assert_eq!(rig.session(), Some(("s1".to_owned(), 5)));
}

#[test]
fn every_dispatch_is_delivered_once_whatever_comes_twice_or_late() {
    let mut rig = Rig::ready();
    for s in [2, 3, 3, 6, 5, 5, 4, 4, 7, 2, 12, 9, 10, 9, 8, 11, 13] {
        rig.dispatch(1, s);
    }
    let delivered: Vec<String> = rig.done().lines().map(str::to_owned).collect();
    let expected: Vec<String> = [2, 3, 6, 5, 4, 7, 12, 9, 10, 8, 11, 13]
        .iter()
        .map(|s| format!("deliver #1 {s}"))
        .collect();
    assert_eq!(delivered, expected);
    assert_eq!(rig.session(), Some(("s1".to_owned(), 13)));
}

#[test]
fn what_arrives_after_the_decision_to_leave_is_left_to_the_replay() {
    let mut rig = Rig::ready();
    rig.dispatch(1, 2);
    rig.op(1, 7, "null");
    rig.outputs.clear();
    rig.dispatch(1, 3);
    assert_eq!(rig.done(), "");
    rig.fire("wait");
    rig.opened(2);
    rig.hello(2, 40_000);
    rig.dispatch(1, 4);
    assert!(rig.done().contains(r#""seq":2}"#));
    for s in [3, 4] {
        rig.dispatch(2, s);
    }
    rig.resumed(2, 5);
    assert_eq!(rig.done(), "deliver #2 3\ndeliver #2 4");
}

#[test]
fn ready_replaces_the_session_and_resumed_replaces_nothing() {
    let mut rig = in_state("ready");
    assert_eq!(rig.session(), Some(("s1".to_owned(), 2)));
    rig.ready_frame(2, "s2", 1);
    assert_eq!(rig.session(), Some(("s2".to_owned(), 1)));
    rig.dispatch(2, 2);
    // The same READY once more is a duplicate.
    rig.ready_frame(2, "s2", 1);
    assert_eq!(rig.session(), Some(("s2".to_owned(), 2)));
}

#[test]
fn a_frame_that_cannot_be_read_costs_the_connection_and_not_the_session() {
    let frames: [&[u8]; 5] = [
        b"",
        b"garbage",
        b"{\"d\":1}",
        b"{\"op\":0,\"t\":\"X\",\"s\":-1}",
        b"\xff\xfe",
    ];
    for frame in frames {
        let mut rig = Rig::ready();
        rig.handle(Input::Received {
            connection: ConnectionId(1),
            message: Message::Binary(frame),
        });
        assert_eq!(rig.done(), "close #1 4900 within 5s", "{frame:?}");
        assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
    }
}

// Backoff and budgets.

#[test]
fn a_gateway_that_takes_every_connection_and_drops_it_is_met_less_and_less_often() {
    let storms: [(&str, OnConnection); 4] = [
        ("after the upgrade", |rig, n| {
            rig.opened(n);
            rig.closing(n, 1000);
        }),
        ("after HELLO", |rig, n| {
            rig.opened(n);
            rig.hello(n, 40_000);
            rig.ended(n, End::Reset);
        }),
        ("after READY", |rig, n| {
            rig.opened(n);
            rig.hello(n, 40_000);
            rig.ready_frame(n, &format!("s{n}"), 1);
            rig.op(n, 9, "false");
        }),
        ("after RESUMED", |rig, n| {
            rig.opened(n);
            rig.hello(n, 40_000);
            rig.ready_frame(n, "s1", 1);
            rig.resumed(n, 2);
            rig.op(n, 7, "null");
        }),
    ];
    for (name, act) in storms {
        let mut rig = Rig::new(config(), 1);
        rig.start();
        let mut gaps = Vec::new();
        for connection in 1..=30 {
            act(&mut rig, connection);
            let left = rig.now;
            rig.fire("wait");
            gaps.push(rig.now.since(left));
        }
        assert!(gaps[7..].iter().all(|gap| *gap >= secs(15)), "{name}");
        assert!(gaps.iter().all(|gap| *gap <= secs(30)), "{name}");
        rig.outputs.clear();
        rig.ended(31, End::Refused);
        rig.serve(secs(200));
        assert!(rig.machine.status().is_authenticated, "{name}");
    }
}

#[test]
fn a_rejected_upgrade_is_tried_again_after_the_time_that_it_asks_for() {
    for (asked, min, max) in [
        ("3", 3_000, 3_000),
        ("86400", 30_000, 30_000),
        ("x", 50, 250),
    ] {
        let mut rig = Rig::new(config(), 1);
        rig.start();
        let rejected = response(503, &[("retry-after", asked)], "<html>");
        rig.ended(1, End::Rejected(rejected));
        let left = rig.now;
        rig.fire("wait");
        let waited = rig.now.since(left);
        assert!((ms(min)..=ms(max)).contains(&waited), "{asked}: {waited:?}");
    }
}

#[test]
fn a_client_with_a_limit_gives_up_in_words() {
    let mut limited = config();
    limited.attempts = Some(2);
    let mut rig = Rig::ready_with(limited, 1);
    rig.ended(1, End::Reset);
    rig.fire("wait");
    rig.ended(2, End::Refused);
    rig.fire("wait");
    rig.opened(3);
    rig.hello(3, 40_000);
    rig.resumed(3, 2);
    rig.ended(3, End::Reset);
    rig.fire("wait");
    rig.ended(4, End::Refused);
    rig.fire("wait");
    rig.outputs.clear();
    rig.ended(5, End::Refused);
    assert_eq!(
        rig.done(),
        "stopped: gave up after 2 failed attempts in a row, the last one: #5: connection refused"
    );
}

#[test]
fn commands_wait_for_a_session_and_go_out_in_order_as_fast_as_the_limit_allows() {
    let mut rig = Rig::new(config(), 1);
    for id in 1..=300 {
        rig.command(id, 3);
    }
    rig.start();
    rig.login(1);
    let count = |rig: &mut Rig| rig.done().matches(r#"{"op":3,"#).count();
    assert_eq!(rig.machine.status().queued, 300 - 108);
    assert_eq!(count(&mut rig), 108);
    // A beat that is asked for does not wait behind them.
    rig.op(1, 1, "null");
    assert_eq!(rig.done(), r#"send #1 {"op":1,"d":1}"#);
    rig.ack(1);
    rig.serve(secs(60));
    assert_eq!(count(&mut rig), 0);
    rig.serve(secs(190));
    assert_eq!(rig.machine.status().queued, 0);
}

#[test]
fn a_new_connection_has_a_new_budget() {
    let mut rig = Rig::ready();
    for id in 1..=200 {
        rig.command(id, 3);
    }
    assert_eq!(rig.machine.status().queued, 200 - 108);
    rig.ended(1, End::Reset);
    rig.fire("wait");
    rig.opened(2);
    rig.hello(2, 40_000);
    rig.resumed(2, 2);
    assert_eq!(rig.machine.status().queued, 0);
}

#[test]
fn every_command_has_one_fate() {
    let mut short = config();
    short.queue.capacity = 2;
    short.queue.expires = secs(10);
    let mut rig = Rig::new(short, 1);
    rig.start();
    for id in 1..=3 {
        rig.command(id, 3);
    }
    assert!(rig.done().ends_with("command 3 Refused"));
    rig.wait(ms(9_999));
    rig.outputs.clear();
    rig.opened(1);
    assert_eq!(rig.done(), "");
    rig.wait(ms(1));
    assert_eq!(rig.done(), "command 1 Expired\ncommand 2 Expired");
    rig.command(4, 3);
    rig.handle(Input::Stop);
    rig.command(5, 3);
    let done = rig.done();
    assert_eq!(
        done,
        "close #1 1000 within 5s\ncommand 4 Refused\ncommand 5 Refused"
    );
}

#[test]
fn an_opcode_that_the_gateway_wants_no_more_of_waits_and_others_do_not() {
    let mut rig = Rig::ready();
    rig.text(
        1,
        r#"{"t":"RATE_LIMITED","s":2,"op":0,"d":{"opcode":8,"retry_after":12.5,"meta":{}}}"#,
    );
    assert_eq!(rig.done(), "deliver #1 2");
    rig.command(1, 8);
    rig.command(2, 3);
    assert!(rig.done().ends_with("command 2 Sent"));
    rig.wait(ms(12_499));
    assert!(!rig.done().contains("command 1"));
    rig.wait(ms(1));
    assert!(rig.done().ends_with("command 1 Sent"));
}

// Stopping.

#[test]
fn stop_in_any_state_ends_it_within_the_close_deadline_and_opens_nothing() {
    for state in &STATES[..9] {
        let mut rig = in_state(state);
        rig.handle(Input::Stop);
        rig.handle(Input::Stop);
        // Nobody answers: what drains is aborted by the engine.
        rig.wait(Deadlines::default().close);
        for connection in [1, 2] {
            if rig.sockets.contains_key(&ConnectionId(connection)) {
                rig.ended(connection, End::Abandoned);
            }
        }
        assert!(rig.done().ends_with("stopped"), "{state}");
        rig.wait(secs(3600));
        assert_eq!(rig.done(), "", "{state}");
    }
}

#[test]
fn a_start_while_connections_still_close_begins_the_next_life_and_lets_them_drain() {
    let mut rig = in_state("ready");
    rig.handle(Input::Stop);
    assert!(!rig.is_stopped, "the connection has not ended");
    rig.start();
    rig.wait(secs(10));
    let done = rig.done();
    assert!(done.contains("open #"), "{done}");
    rig.ended(1, End::Abandoned);
    rig.wait(secs(1));
    let done = rig.done();
    assert!(
        !done.contains("stopped"),
        "the stop is no longer wanted: {done}"
    );
}

// Compression.

/// A client that asks for it.
fn compressing(compress: Compression) -> Config {
    Config {
        compress,
        ..config()
    }
}

/// A gateway's zlib stream.
fn zlib() -> Compress {
    Compress::new(flate2::Compression::default(), true)
}

impl Rig {
    fn binary(&mut self, connection: u32, bytes: &[u8]) {
        self.handle(Input::Received {
            connection: ConnectionId(connection),
            message: Message::Binary(bytes),
        });
    }

    /// A client that is ready on #1 with session `s1` at seq 1, all of it through this stream.
    fn ready_through(stream: &mut Compress) -> Self {
        let mut rig = Self::new(compressing(Compression::ZlibStream), 1);
        rig.start();
        rig.opened(1);
        rig.binary(1, &packed(stream, HELLO));
        rig.binary(1, &packed(stream, READY));
        assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
        rig.outputs.clear();
        rig
    }
}

/// The next part of a stream, up to its flush.
fn packed(stream: &mut Compress, text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1024);
    let end = stream.compress_vec(text.as_bytes(), &mut bytes, FlushCompress::Sync);
    assert_eq!(end.unwrap(), flate2::Status::Ok);
    bytes
}

const HELLO: &str = r#"{"op":10,"d":{"heartbeat_interval":40000}}"#;
const READY: &str =
    r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"s1","resume_gateway_url":"ws://resume.test"}}"#;
const SECOND: &str = r#"{"t":"MESSAGE_CREATE","s":2,"op":0,"d":{}}"#;

#[test]
fn compression_is_asked_for_in_the_url_or_in_identify_and_never_in_both() {
    let cases = [
        (Compression::None, "", ""),
        (Compression::ZlibStream, "&compress=zlib-stream", ""),
        (Compression::ZstdStream, "&compress=zstd-stream", ""),
        (Compression::Payload, "", ",\"compress\":true"),
    ];
    for (compress, query, key) in cases {
        let mut rig = Rig::ready_with(compressing(compress), 1);
        rig.op(1, 7, "null");
        rig.wait(secs(1));
        let resume = format!("open #2 {RESUME}/?v=10&encoding=json{query}");
        assert!(rig.done().contains(&resume), "{compress:?}");
        let mut rig = Rig::new(compressing(compress), 1);
        rig.start();
        rig.opened(1);
        rig.hello(1, 40_000);
        let said = rig.done();
        let open = format!("open #1 {MAIN}/?v=10&encoding=json{query}\n");
        assert!(said.starts_with(&open), "{said}");
        assert!(
            said.ends_with(&format!("\"intents\":4609{key}}}}}")),
            "{said}"
        );
    }
}

#[test]
fn a_payload_in_several_messages_counts_with_its_last_byte() {
    let mut stream = zlib();
    let mut rig = Rig::ready_through(&mut stream);
    let bytes = packed(&mut stream, SECOND);
    let (last, rest) = bytes.split_last().expect("it is not empty");
    for byte in rest {
        rig.binary(1, &[*byte]);
    }
    assert_eq!(
        (rig.done().as_str(), rig.session()),
        ("", Some(("s1".to_owned(), 1)))
    );
    rig.binary(1, &[*last]);
    assert_eq!(rig.done(), "deliver #1 2");
}

#[test]
fn what_a_connection_ends_in_the_midst_of_is_not_counted() {
    let mut stream = zlib();
    let mut rig = Rig::ready_through(&mut stream);
    let bytes = packed(&mut stream, SECOND);
    // All of the text, and the end of the flush not.
    rig.binary(1, &bytes[..bytes.len() - 4]);
    rig.closing(1, 4000);
    assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
    rig.wait(secs(1));
    rig.opened(2);
    rig.outputs.clear();
    // A stream of its own: with the old one's context this could not be read.
    let mut stream = zlib();
    rig.binary(2, &packed(&mut stream, HELLO));
    let resume = r#"send #2 {"op":6,"d":{"token":"<token>","session_id":"s1","seq":1}}"#;
    assert_eq!(rig.done(), resume);
    rig.binary(2, &packed(&mut stream, SECOND));
    assert_eq!(rig.done(), "deliver #2 2");
    rig.binary(
        2,
        &packed(&mut stream, r#"{"t":"RESUMED","s":3,"op":0,"d":{}}"#),
    );
    assert!(rig.machine.status().is_authenticated);
}

#[test]
fn what_cannot_be_read_costs_the_connection_and_not_the_session() {
    // The stream goes on, but not for who has missed a part of it; a bomb; bytes of no stream at all.
    let mut lost = zlib();
    packed(&mut lost, &SECOND.repeat(3));
    let bombs = {
        let mut stream = zlib();
        packed(&mut stream, HELLO);
        packed(&mut stream, READY);
        packed(&mut stream, &" ".repeat(20 << 20))
    };
    let cases = [
        (
            // It refers to what was never received, and so comes out as something else.
            packed(&mut lost, SECOND),
            "not a gateway payload",
        ),
        (
            bombs,
            "a payload of more than 16 MiB, compressed to less: not read",
        ),
        (
            vec![0xFF; 64],
            "what the gateway sent cannot be decompressed",
        ),
    ];
    for (bytes, why) in cases {
        let mut stream = zlib();
        let mut rig = Rig::ready_through(&mut stream);
        rig.binary(1, &bytes);
        let said = rig.said();
        assert!(said.starts_with("close #1 4900 within 5s\n"), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("resuming session s1 at seq 1"), "{said}");
        // Nothing of what still comes there is looked at.
        rig.binary(1, &packed(&mut stream, SECOND));
        rig.wait(secs(1));
        assert!(rig.done().starts_with("open #2 ws://resume.test/"));
        assert_eq!(rig.session(), Some(("s1".to_owned(), 1)));
    }
}

#[test]
fn with_payload_compression_either_kind_of_message_is_read() {
    let mut rig = Rig::ready_with(compressing(Compression::Payload), 1);
    let mut bytes = Vec::with_capacity(1024);
    let end = zlib().compress_vec(SECOND.as_bytes(), &mut bytes, FlushCompress::Finish);
    assert_eq!(end.unwrap(), flate2::Status::StreamEnd);
    rig.binary(1, &bytes);
    rig.dispatch(1, 3);
    assert_eq!(rig.done(), "deliver #1 2\ndeliver #1 3");
}

// URLs.

#[test]
fn the_query_is_appended_to_whatever_url_there_is() {
    let urls = [
        ("ws://h", "ws://h/?v=10&encoding=json"),
        ("wss://h:8443/", "wss://h:8443/?v=10&encoding=json"),
        ("ws://h/p?a=b%20c", "ws://h/p?a=b+c&v=10&encoding=json"),
        ("ws://h?v=6&encoding=etf", "ws://h/?v=10&encoding=json"),
        ("ws://[::1]:9/#x", "ws://[::1]:9/?v=10&encoding=json"),
        // What it did not ask for it could not read.
        ("ws://h?compress=zlib-stream", "ws://h/?v=10&encoding=json"),
    ];
    for (url, expected) in urls {
        let written = gateway_url(url, Compression::None);
        assert_eq!(written.as_deref(), Ok(expected));
    }
    assert_eq!(
        gateway_url("https://h", Compression::None).unwrap_err(),
        "expected a ws:// or wss:// URL, found `https://`"
    );
    let mut broken = config();
    broken.gateway = Discovery::Url("main.test".to_owned());
    let mut rig = Rig::new(broken, 1);
    rig.start();
    assert_eq!(
        rig.done(),
        "stopped: cannot connect to `main.test`: relative URL without a base"
    );
}

// Anything, in any order.

/// What a hostile world may do. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Input(usize),
    Wait(u64),
    Late(u64),
    Timer,
    Frame(usize, usize),
    Opened,
    Closing(usize, Option<u16>),
    Ended(usize, usize),
    Fetched(usize),
    Serve(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..6_usize).prop_map(Step::Input),
        2 => (0..50_000_u64).prop_map(Step::Wait),
        1 => (0..200_000_u64).prop_map(Step::Late),
        6 => Just(Step::Timer),
        12 => (0..3_usize, 0..FRAMES.len()).prop_map(|(on, frame)| Step::Frame(on, frame)),
        6 => Just(Step::Opened),
        2 => (0..3_usize, proptest::option::of(prop_oneof![1000..1016_u16, 4000..4015_u16]))
            .prop_map(|(on, code)| Step::Closing(on, code)),
        3 => (0..3_usize, 0..6_usize).prop_map(|(on, end)| Step::Ended(on, end)),
        3 => (0..6_usize).prop_map(Step::Fetched),
        1 => (0..100_000_u64).prop_map(Step::Serve),
    ]
}

const FRAMES: &[&str] = &[
    r#"{"op":10,"d":{"heartbeat_interval":40000}}"#,
    r#"{"op":10,"d":{"heartbeat_interval":40000}}"#,
    r#"{"op":10,"d":{"heartbeat_interval":300}}"#,
    r#"{"op":10,"d":{"heartbeat_interval":0}}"#,
    r#"{"op":0,"t":"READY","s":1,"d":{"session_id":"a","resume_gateway_url":"ws://resume.test"}}"#,
    r#"{"op":0,"t":"READY","s":1,"d":{"session_id":"b","resume_gateway_url":"nonsense"}}"#,
    r#"{"op":0,"t":"READY","d":{"session_id":"c","resume_gateway_url":"ws://resume.test"}}"#,
    r#"{"op":0,"t":"READY","s":1,"d":null}"#,
    r#"{"op":0,"t":"RESUMED","s":5,"d":{}}"#,
    r#"{"op":0,"t":"RESUMED"}"#,
    r#"{"op":0,"t":"X","s":2,"d":{}}"#,
    r#"{"op":0,"t":"X","s":9,"d":{}}"#,
    r#"{"op":0,"t":"X","s":18446744073709551615,"d":{}}"#,
    r#"{"op":0,"t":"X","s":0,"d":{}}"#,
    r#"{"op":0,"t":"RATE_LIMITED","s":3,"d":{"opcode":3,"retry_after":1e30}}"#,
    r#"{"op":0,"t":"RATE_LIMITED","s":3,"d":{"opcode":3,"retry_after":5.5}}"#,
    r#"{"op":1,"d":null}"#,
    r#"{"op":7,"d":null}"#,
    r#"{"op":9,"d":true}"#,
    r#"{"op":9,"d":false}"#,
    r#"{"op":9}"#,
    r#"{"op":11}"#,
    r#"{"op":99,"s":4}"#,
    "garbage",
];

impl Rig {
    /// One of the connections that the engine knows, or one that it does not.
    fn any_connection(&self, n: usize) -> u32 {
        let known: Vec<ConnectionId> = self.sockets.keys().copied().collect();
        let at = known.len().checked_sub(1 + n);
        at.map_or(1_000_000, |at| known[at].0)
    }

    /// Does a step as an engine could: nothing arrives on a socket before its upgrade.
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Input(n) => match n {
                0 | 1 => self.start(),
                2 => self.handle(Input::Stop),
                3 => INPUTS[1].1(self),
                _ => self.command(u32::try_from(n).unwrap(), 3),
            },
            Step::Wait(n) => self.wait(ms(n)),
            Step::Late(n) => self.now += ms(n),
            Step::Timer => {
                let due = self.timers.values().min().copied();
                if let Some(at) = due {
                    self.fire_before(at.max(self.now));
                }
            }
            Step::Frame(on, frame) => {
                let connection = self.any_connection(on);
                let socket = self.sockets.get(&ConnectionId(connection));
                if socket != Some(&Socket::Opening) {
                    self.text(connection, FRAMES[frame]);
                }
            }
            Step::Opened => {
                let opening = self
                    .sockets
                    .iter()
                    .find(|(_, socket)| **socket == Socket::Opening);
                if let Some(connection) = opening.map(|(connection, _)| connection.0) {
                    self.opened(connection);
                }
            }
            Step::Closing(on, code) => {
                let connection = self.any_connection(on);
                let socket = self.sockets.get(&ConnectionId(connection));
                if socket != Some(&Socket::Opening) {
                    self.closing(connection, code);
                }
            }
            Step::Ended(on, end) => {
                let ends = [
                    End::Refused,
                    End::Rejected(response(503, &[("retry-after", "5")], "")),
                    End::Closed,
                    End::Eof,
                    End::Reset,
                    End::Failed("the write buffer is full".to_owned()),
                ];
                self.ended(self.any_connection(on), ends[end].clone());
            }
            Step::Fetched(n) => {
                let bodies = [
                    (200, BOT.to_owned()),
                    (200, limit(1, 5_000)),
                    (200, limit(0, 0)),
                    (200, String::new()),
                    (429, r#"{"retry_after":3}"#.to_owned()),
                    (500, String::new()),
                ];
                let last = self.machine.fetches;
                self.fetched(last, bodies[n].0, &bodies[n].1);
            }
            Step::Serve(n) => self.serve(ms(n)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The rig checks what must hold at every output; here no order of inputs breaks it, and afterwards the
    /// client is where it should be: ready once the world is sound, or stopped.
    #[test]
    fn no_order_of_inputs_breaks_the_client(
        seed in any::<u64>(),
        asks in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut rig = Rig::new(if asks { asking() } else { config() }, seed);
        rig.start();
        for step in &steps {
            rig.step(step);
        }
        // The world is sound from here on.
        let open: Vec<u32> = rig.sockets.keys().map(|connection| connection.0).collect();
        for connection in open {
            rig.ended(connection, End::Reset);
        }
        if !rig.is_stopped {
            rig.start();
            // An answer that is under way, and one more backoff, op 9 or start limit after it.
            rig.serve(secs(400));
            prop_assert!(rig.machine.status().is_authenticated, "{}", rig.machine.status().state);
            rig.handle(Input::Stop);
            rig.serve(secs(10));
        }
        prop_assert!(rig.is_stopped);
        prop_assert!(rig.timers.is_empty());
    }
}

#[test]
fn the_same_seed_and_inputs_give_the_same_outputs() {
    let run = |seed| {
        let mut rig = Rig::new(config(), seed);
        let mut lines = String::new();
        rig.start();
        for n in 1..20 {
            rig.login(n);
            rig.op(n, 9, "false");
            rig.fire("wait");
            lines += &rig.said();
        }
        lines
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
