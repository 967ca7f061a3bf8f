//! What real clients ask of the fake's wire, over TCP: compression, early logins, odd URLs, REST with bodies.
//!
//! The subject of these runs does nothing. The client is this file: blocking sockets, tungstenite, and decoders that see one
//! message at a time, as a client's do.

use crate::lab::{plan, scenario, transcript};
use flate2::{Decompress, FlushDecompress, Status as Inflated};
use gwtool::machine::{Endpoints, Input, Machine, Output, Status};
use gwtool::net::{self, Interrupt};
use gwtool::scenarios::runner::CANARY;
use gwtool::subjects::Name;
use gwtool::time::{Duration, Instant};
use gwtool::trace::{Clock, Entry, Fate, Kind, Observer, Seen, Side};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{self, Message};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

/// Longer than any test waits, so that one that waits for what never comes fails and does not hang.
const PATIENCE: Duration = Duration::from_mins(1);

/// A subject that connects to nothing.
#[derive(Default)]
struct Idle {
    is_stopping: bool,
}

impl Machine for Idle {
    fn handle(&mut self, _: Instant, input: Input<'_>) {
        self.is_stopping |= matches!(input, Input::Stop);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let stopped = Output::Stopped { reason: None };
        std::mem::take(&mut self.is_stopping).then_some(stopped)
    }

    fn status(&self) -> Status {
        Status {
            state: "idle",
            is_authenticated: false,
            session: None,
            round_trip: None,
            queued: 0,
        }
    }
}

/// Ends the run however its client ends.
struct Ends(Interrupt);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// Serves the fake on ports of this machine while `client` works; what that gives, and all that was seen.
fn serve<R>(faults: &str, client: impl FnOnce(&Endpoints) -> R) -> (R, Vec<Entry>) {
    let text = format!(
        "[wire]\nsummary = \"a test\"\ninterval = \"60s\"\nchaos = \"10m\"\ntraffic = {{ every = \"20ms\" }}\n{faults}"
    );
    let plan = plan(scenario(&text, Clock::Real), Name::Gwtool, 1, Clock::Real);
    let mut setup = plan.setup();
    setup.header.login_within = Duration::from_mins(10);
    let interrupt = Interrupt::default();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            let mut entries: Vec<Entry> = Vec::new();
            let observers: Vec<&mut dyn Observer> = vec![&mut entries];
            let factory = |to: &Endpoints| -> Box<dyn Machine> {
                tell.send(to.clone()).expect("the client waits for it");
                Box::new(Idle::default())
            };
            net::run::run(&setup, factory, observers, &interrupt)
                .expect("a run needs no more than this machine");
            entries
        });
        let ends = Ends(interrupt.clone());
        let endpoints = told.recv_timeout(PATIENCE);
        let result = client(&endpoints.expect("the run says where it is"));
        drop(ends);
        (result, run.join().expect("the run does not panic"))
    })
}

/// What reads a connection's messages.
enum Reading {
    /// Text is text, and binary messages are zlib streams of their own.
    Whole,
    Zlib(Decompress),
    Zstd(Decoder<'static>),
}

impl Reading {
    fn zlib() -> Self {
        Self::Zlib(Decompress::new(true))
    }

    fn zstd() -> Self {
        Self::Zstd(Decoder::new().expect("a decoder needs only memory"))
    }
}

struct Client {
    socket: WebSocket<TcpStream>,
    reading: Reading,
    /// The lengths of the payloads' texts, in order.
    lengths: Vec<usize>,
    /// How many messages came as text, and how many as binary.
    forms: (usize, usize),
}

impl Client {
    /// Connects to a listener; what follows is appended to its URL as it is.
    fn connect(base: &str, query: &str, reading: Reading) -> Self {
        let address = base.strip_prefix("ws://").expect("the fake has no TLS");
        let tcp = TcpStream::connect(address).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE))
            .expect("a socket can wait");
        let url = format!("{base}{query}");
        let (socket, _) = tungstenite::client(url, tcp).expect("it upgrades");
        Self {
            socket,
            reading,
            lengths: Vec::new(),
            forms: (0, 0),
        }
    }

    /// Sends JSON as text.
    fn send(&mut self, payload: &Value) {
        self.socket
            .send(Message::text(payload.to_string()))
            .expect("it is taken");
    }

    /// The next message as it stands on the wire.
    fn message(&mut self) -> Message {
        self.socket.read().expect("something comes")
    }

    /// The next message's text.
    fn text(&mut self) -> String {
        let message = self.message();
        let bytes = match (&mut self.reading, &message) {
            (Reading::Whole, Message::Text(text)) => {
                self.forms.0 += 1;
                return text.to_string();
            }
            (_, Message::Binary(bytes)) => bytes,
            (_, other) => panic!("a stream has binary messages only: {other:?}"),
        };
        self.forms.1 += 1;
        let mut text = vec![0; 1 << 16];
        let length = match &mut self.reading {
            Reading::Whole => {
                let mut stream = Decompress::new(true);
                let end = stream.decompress(bytes, &mut text, FlushDecompress::Finish);
                assert_eq!(end.expect("it is zlib"), Inflated::StreamEnd);
                usize::try_from(stream.total_out())
            }
            Reading::Zlib(stream) => {
                assert!(bytes.ends_with(&[0, 0, 0xFF, 0xFF]), "{bytes:?}");
                let (taken, given) = (stream.total_in(), stream.total_out());
                let end = stream.decompress(bytes, &mut text, FlushDecompress::Sync);
                assert_eq!(end.expect("it is zlib"), Inflated::Ok);
                assert_eq!(stream.total_in() - taken, bytes.len() as u64);
                usize::try_from(stream.total_out() - given)
            }
            Reading::Zstd(frame) => {
                let mut from = InBuffer::around(bytes);
                let mut to = OutBuffer::around(&mut text[..]);
                while from.pos() < bytes.len() {
                    let left = frame.run(&mut from, &mut to).expect("it is zstd");
                    assert_ne!(left, 0, "the frame never ends");
                }
                Ok(to.pos())
            }
        };
        text.truncate(length.expect("it fits"));
        String::from_utf8(text).expect("it is text")
    }

    /// The next payload.
    fn payload(&mut self) -> Value {
        let text = self.text();
        self.lengths.push(text.len());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next payload that is no message of the traffic.
    fn other(&mut self) -> Value {
        loop {
            let payload = self.payload();
            if payload["t"] != "MESSAGE_CREATE" {
                return payload;
            }
        }
    }

    /// The next payload that is no message of the traffic and not called so.
    fn other_than(&mut self, called: &str) -> Value {
        loop {
            let payload = self.other();
            if name(&payload) != called {
                return payload;
            }
        }
    }

    /// The Close that comes next.
    fn close(&mut self) -> (u16, String) {
        match self.message() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("no Close: {other:?}"),
        }
    }
}

/// IDENTIFY as the liberal send it.
fn identify() -> Value {
    json!({ "op": 2, "d": {
        "token": format!("Bot {CANARY}"),
        "properties": { "$os": "linux", "browser": "wire", "device": "wire" },
        "intents": 513,
        "compress": true,
        "large_threshold": 250,
        "presence": { "game": null, "status": "online", "since": 0, "afk": false },
        "something": [],
    }})
}

fn resume(session: &Value, seq: Option<u64>) -> Value {
    json!({ "op": 6, "d": { "token": CANARY, "session_id": session, "seq": seq } })
}

/// What is told apart of a payload: its name, or its opcode.
fn name(payload: &Value) -> String {
    payload["t"]
        .as_str()
        .map_or_else(|| payload["op"].to_string(), str::to_owned)
}

/// The lengths that the trace gives to the frames that went out on a connection.
fn traced(entries: &[Entry], number: u32) -> Vec<usize> {
    let lengths = entries.iter().filter_map(|entry| match &entry.saw {
        Seen::Frame {
            connection,
            from: Side::Gateway,
            fate,
            bytes,
            ..
        } if *connection == number && fate.arrives() => Some(*bytes as usize),
        _ => None,
    });
    lengths.collect()
}

const TROUBLE: &str = r#"
[[wire.fault]]
on = "heartbeat"
nth = 1
do = "withhold"
frame = "ack"
[[wire.fault]]
on = "dispatch"
nth = 3
do = "duplicate"
frame = "dispatch"
[[wire.fault]]
on = "heartbeat"
nth = 2
do = "bad-frame"
text = "nonsense"
"#;

/// A login and a little life on a connection whose transport is compressed.
fn stream(query: &str, reading: Reading) {
    let (lengths, entries) = serve(TROUBLE, |endpoints| {
        let mut client = Client::connect(&endpoints.main, query, reading);
        // HELLO too is compressed.
        assert_eq!(name(&client.payload()), "10");
        // Some clients send their JSON in binary messages.
        let login = identify().to_string().into_bytes();
        client
            .socket
            .send(Message::binary(login))
            .expect("it is taken");
        assert_eq!(name(&client.payload()), "READY");
        assert_eq!(name(&client.payload()), "GUILD_CREATE");
        // The ACK of the first one is withheld, which must not be missed by the stream.
        client.send(&json!({ "op": 1, "d": 2 }));
        let seqs: Vec<u64> = (0..20)
            .map(|_| client.payload()["s"].as_u64().expect("a dispatch"))
            .collect();
        let mut expected: Vec<u64> = (3..22).collect();
        expected.insert(3, 5);
        assert_eq!(seqs, expected, "in order, and the third message twice");
        // Text that is no payload comes through the stream.
        client.send(&json!({ "op": 1, "d": 2 }));
        let nonsense = loop {
            let text = client.text();
            let payload: Result<Value, _> = serde_json::from_str(&text);
            match payload {
                Ok(payload) => assert_eq!(name(&payload), "MESSAGE_CREATE"),
                Err(_) => break text,
            }
            client.lengths.push(text.len());
        };
        assert_eq!(nonsense, "nonsense");
        assert_eq!(name(&client.other()), "11");
        assert_eq!(client.forms.0, 0, "payload compression does not count here");
        client.socket.close(None).expect("it is open");
        while client.socket.read().is_ok() {}
        client.lengths
    });
    assert_eq!(traced(&entries, 1)[..lengths.len()], lengths);
    let is_bad = |entry: &&Entry| matches!(&entry.saw, Seen::Message { kind: Kind::Text, text, .. } if text == "nonsense");
    assert_eq!(entries.iter().filter(is_bad).count(), 1);
}

#[test]
fn a_connection_is_one_zlib_stream_from_hello_on() {
    stream("/?v=10&encoding=json&compress=zlib-stream", Reading::zlib());
}

#[test]
fn a_connection_is_one_zstd_frame_from_hello_on() {
    stream("?compress=zstd-stream&encoding=json&v=10", Reading::zstd());
}

const ZLIB: &str = "/?v=10&encoding=json&compress=zlib-stream";
const ZSTD: &str = "/?v=10&encoding=json&compress=zstd-stream";

impl Reading {
    /// Reads one message; `None` where it cannot be read.
    fn read(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut text = vec![0; 1 << 20];
        let length = match self {
            Self::Whole => unreachable!("the tests read streams"),
            Self::Zlib(stream) => {
                let given = stream.total_out();
                let end = stream.decompress(bytes, &mut text, FlushDecompress::Sync);
                end.ok()
                    .and_then(|_| usize::try_from(stream.total_out() - given).ok())
            }
            Self::Zstd(frame) => {
                let mut from = InBuffer::around(bytes);
                let mut to = OutBuffer::around(&mut text[..]);
                let mut is_read = true;
                while is_read && from.pos() < bytes.len() {
                    is_read = frame.run(&mut from, &mut to).is_ok();
                }
                is_read.then_some(to.pos())
            }
        }?;
        text.truncate(length);
        Some(text)
    }
}

/// The next binary message.
fn binary(client: &mut Client) -> Vec<u8> {
    match client.message() {
        Message::Binary(bytes) => bytes.to_vec(),
        other => panic!("no binary message: {other:?}"),
    }
}

/// Whether a text is a payload.
fn is_payload(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok()
}

/// The payloads of the gateway's that were spoilt: what they are called.
fn spoilt(entries: &[Entry]) -> Vec<String> {
    let names = entries.iter().filter_map(|entry| match &entry.saw {
        Seen::Frame {
            fate: Fate::Spoilt,
            op,
            t,
            ..
        } => Some(
            t.as_ref()
                .map_or_else(|| op.0.to_string(), ToString::to_string),
        ),
        _ => None,
    });
    names.collect()
}

#[test]
fn one_flush_may_come_in_several_messages() {
    let fault = "[[wire.fault]]\non = \"hello\"\ndo = \"fragment\"\nframe = \"hello\"\nlayer = \"zlib\"\nparts = 3\n";
    let ((), entries) = serve(fault, |endpoints| {
        let mut client = Client::connect(&endpoints.main, ZLIB, Reading::zlib());
        let parts = [(); 3].map(|()| binary(&mut client));
        let ends = |part: &Vec<u8>| part.ends_with(&[0, 0, 0xFF, 0xFF]);
        assert_eq!(parts.each_ref().map(ends), [false, false, true]);
        let text = client.reading.read(&parts.concat()).expect("it is zlib");
        let hello: Value = serde_json::from_slice(&text).expect("it is a payload");
        assert_eq!(name(&hello), "10");
        client.send(&identify());
        assert_eq!(name(&client.payload()), "READY");
        // zstd has no flush that anybody could wait for.
        let mut other = Client::connect(&endpoints.main, ZSTD, Reading::zstd());
        assert_eq!(name(&other.payload()), "10");
    });
    assert_eq!(spoilt(&entries), [""; 0], "it is whole, and owed");
}

#[test]
fn what_follows_a_lost_context_can_be_read_on_no_context() {
    let fault = "[[wire.fault]]\non = \"heartbeat\"\ndo = \"lose-context\"\ntimes = \"all\"\n";
    let ((), entries) = serve(fault, |endpoints| {
        for (query, reading) in [
            (ZLIB, Reading::zlib as fn() -> Reading),
            (ZSTD, Reading::zstd),
        ] {
            let mut client = Client::connect(&endpoints.main, query, reading());
            assert_eq!(name(&client.payload()), "10");
            client.send(&json!({ "op": 1, "d": null }));
            let ack = binary(&mut client);
            assert_eq!(client.reading.read(&ack), None, "{ack:?}");
            assert_eq!(reading().read(&ack), None, "{ack:?}");
            client.send(&json!({ "op": 1, "d": null }));
            let next = binary(&mut client);
            assert_eq!(reading().read(&next), None, "{next:?}");
        }
    });
    assert_eq!(spoilt(&entries), ["11"; 4]);
}

#[test]
fn a_payload_without_its_end_breaks_the_stream() {
    let fault = "[[wire.fault]]\non = \"ready\"\ndo = \"truncate\"\nframe = \"ready\"\n";
    for (query, reading) in [(ZLIB, Reading::zlib()), (ZSTD, Reading::zstd())] {
        let ((), entries) = serve(fault, |endpoints| {
            let mut client = Client::connect(&endpoints.main, query, reading);
            assert_eq!(name(&client.payload()), "10");
            client.send(&identify());
            let ready = binary(&mut client);
            assert!(!ready.ends_with(&[0, 0, 0xFF, 0xFF]), "{query}");
            // Whether each message is read by itself or behind what there is of the one before.
            let mut so_far = client.reading.read(&ready).unwrap_or_default();
            assert!(!is_payload(&so_far), "{query}");
            for _ in 0..3 {
                let message = binary(&mut client);
                let Some(text) = client.reading.read(&message) else {
                    break;
                };
                assert!(!is_payload(&text), "{query}");
                so_far.extend(text);
                assert!(!is_payload(&so_far), "{query}");
            }
        });
        assert_eq!(spoilt(&entries)[..2], ["READY", "GUILD_CREATE"], "{query}");
    }
}

#[test]
fn a_bomb_is_small_on_the_wire_has_a_number_and_is_not_replayed() {
    const SIZE: usize = 64 << 20;
    let fault = format!(
        "[[wire.fault]]\non = \"heartbeat\"\nconnection = 1\nnth = 1\ndo = \"bomb\"\nsize = {SIZE}\n"
    );
    let ((), entries) = serve(&fault, |endpoints| {
        let mut client = Client::connect(&endpoints.main, ZLIB, Reading::zlib());
        assert_eq!(name(&client.payload()), "10");
        client.send(&identify());
        let session = client.payload()["d"]["session_id"].clone();
        client.send(&json!({ "op": 1, "d": 1 }));
        let mut last = 1;
        let bomb = loop {
            let bytes = binary(&mut client);
            let text = client.reading.read(&bytes).expect("it is zlib");
            match serde_json::from_slice::<Value>(&text) {
                Ok(payload) => last = payload["s"].as_u64().unwrap_or(last),
                Err(_) => break bytes,
            }
        };
        assert!(bomb.len() < SIZE / 500, "{} bytes", bomb.len());
        drop(client);
        // Who refused it comes back with the number before it.
        let mut client = Client::connect(&endpoints.main, ZLIB, Reading::zlib());
        assert_eq!(name(&client.payload()), "10");
        client.send(&resume(&session, Some(last)));
        let next = client.payload();
        assert_eq!(next["s"], last + 2, "{next}");
    });
    assert_eq!(spoilt(&entries), ["GWTOOL_BOMB"]);
}

/// IDENTIFY as one of two shards.
fn identify_as(shard: u32) -> Value {
    let mut payload = identify();
    payload["d"]["shard"] = json!([shard, 2]);
    payload
}

#[test]
fn shards_identify_in_their_buckets_and_a_fault_of_one_leaves_the_other_alone() {
    let keys = "shards = 2\nenforce = { max_concurrency = 2 }\n";
    let fault = "[[wire.fault]]\non = \"heartbeat\"\nshard = 1\ndo = \"close\"\ncode = 4000\n";
    serve(&format!("{keys}{fault}"), |endpoints| {
        let mut rest = Http::connect(&endpoints.api);
        rest.ask("GET", "/gateway/bot", "");
        let (_, about) = rest.answer();
        assert_eq!(about["shards"], 2);
        assert_eq!(about["session_start_limit"]["max_concurrency"], 2);
        let mut clients = [0, 1].map(|shard| {
            let mut client = Client::connect(&endpoints.main, "/?v=10", Reading::Whole);
            assert_eq!(name(&client.payload()), "10");
            client.send(&identify_as(shard));
            let ready = client.payload();
            assert_eq!(ready["d"]["shard"], json!([shard, 2]));
            client
        });
        for client in &mut clients {
            client.send(&json!({ "op": 1, "d": 1 }));
        }
        assert_eq!(name(&clients[0].other_than("GUILD_CREATE")), "11");
        let closed = loop {
            match clients[1].message() {
                Message::Close(Some(frame)) => break u16::from(frame.code),
                Message::Text(text) => assert!(!text.contains("\"op\":11"), "{text}"),
                Message::Binary(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(closed, 4000);
    });
    // With one bucket the second of them is too early.
    serve("shards = 2\n", |endpoints| {
        let logins = [0, 1].map(|shard| {
            let mut client = Client::connect(&endpoints.main, "/?v=10", Reading::Whole);
            assert_eq!(name(&client.payload()), "10");
            client.send(&identify_as(shard));
            name(&client.payload())
        });
        assert_eq!(logins, ["READY", "9"]);
    });
}

#[test]
fn bytes_that_the_schedule_sends_go_out_as_they_are() {
    let fault = "[[wire.fault]]\non = \"heartbeat\"\ndo = \"bad-frame\"\nhex = \"00ff\"\n";
    serve(fault, |endpoints| {
        let query = "/?v=10&compress=zlib-stream";
        let mut client = Client::connect(&endpoints.main, query, Reading::zlib());
        client.payload();
        client.send(&json!({ "op": 1, "d": null }));
        let bytes = client.message();
        assert_eq!(bytes, Message::binary(vec![0x00, 0xFF]));
        // A client that throws them away can go on: the stream has not noticed.
        assert_eq!(name(&client.payload()), "11");
    });
}

#[test]
fn long_payloads_are_compressed_for_a_session_that_asked_for_it() {
    let (lengths, entries) = serve("", |endpoints| {
        let mut client = Client::connect(&endpoints.main, "//?encoding=json&v=10", Reading::Whole);
        assert_eq!(name(&client.payload()), "10");
        assert_eq!(client.forms, (1, 0), "nobody has asked yet");
        client.send(&identify());
        let ready = client.payload();
        let session = &ready["d"]["session_id"];
        assert_eq!(name(&client.payload()), "GUILD_CREATE");
        assert_eq!(name(&client.payload()), "MESSAGE_CREATE");
        assert_eq!(client.forms, (1, 3));
        client.send(&json!({ "op": 1, "d": 3 }));
        assert_eq!(name(&client.other()), "11");
        assert_eq!(client.forms.0, 2, "an ACK is not worth it");
        let lengths = std::mem::take(&mut client.lengths);
        // It holds for the session: RESUME has nothing to say about it.
        let mut client = Client::connect(&endpoints.resume, "/?v=10", Reading::Whole);
        client.payload();
        client.send(&resume(session, Some(1)));
        assert_eq!(name(&client.payload()), "GUILD_CREATE");
        assert_eq!(name(&client.other()), "RESUMED");
        assert_eq!(client.forms.0, 2, "HELLO and RESUMED");
        lengths
    });
    assert_eq!(traced(&entries, 1)[..lengths.len()], lengths);
}

#[test]
fn without_compression_everything_is_text() {
    serve("", |endpoints| {
        let mut client = Client::connect(&endpoints.main, "/", Reading::Whole);
        client.payload();
        let mut login = identify();
        login["d"]["compress"] = false.into();
        client.send(&login);
        for _ in 0..5 {
            client.payload();
        }
        assert_eq!(client.forms, (6, 0));
    });
}

#[test]
fn what_is_not_served_is_closed_with_a_reason_and_the_trace_shows_both() {
    let cases = [
        (
            "/?v=10&encoding=etf&compress=zlib-stream",
            (
                4002,
                "encoding=etf is not supported by this gateway: use encoding=json",
            ),
        ),
        (
            "/?v=10&encoding=json&compress=zlib",
            (
                4002,
                "unknown compress: use compress=zlib-stream or zstd-stream, or leave it out",
            ),
        ),
        (
            "/?encoding=json&v=7",
            (
                4012,
                "invalid API version: this gateway serves v=10 and v=9",
            ),
        ),
    ];
    let ((), entries) = serve("", |endpoints| {
        for (query, (code, reason)) in cases {
            let mut client = Client::connect(&endpoints.main, query, Reading::zlib());
            assert_eq!(client.close(), (code, reason.to_owned()));
        }
    });
    for (number, (query, expected)) in (1..).zip(cases) {
        let path = entries.iter().find_map(|entry| match &entry.saw {
            Seen::Upgrade { connection, path } if *connection == number => Some(path.as_str()),
            _ => None,
        });
        assert_eq!(path, Some(query));
        let close = entries.iter().find_map(|entry| match &entry.saw {
            Seen::Close {
                connection,
                from: Side::Gateway,
                code: Some(code),
                reason,
                ..
            } if *connection == number => Some((code.0, reason.as_str())),
            _ => None,
        });
        assert_eq!(close, Some(expected), "{}", transcript(&entries));
    }
}

#[test]
fn who_does_not_wait_for_hello_gets_it_first_even_where_a_fault_delays_it() {
    let delayed = "[[wire.fault]]\non = \"hello\"\nconnection = 1\ndo = \"delay\"\nframe = \"hello\"\nby = \"100ms\"\n\
                   [[wire.fault]]\non = \"ready\"\nconnection = 1\ndo = \"duplicate\"\nframe = \"ready\"\n";
    for (faults, ready) in [("", &["READY"][..]), (delayed, &["READY", "READY"])] {
        serve(faults, |endpoints| {
            let query = "/?v=10&compress=zlib-stream";
            let mut client = Client::connect(&endpoints.main, query, Reading::zlib());
            client.send(&identify());
            assert_eq!(name(&client.payload()), "10");
            for expected in ready {
                assert_eq!(name(&client.payload()), *expected);
            }
            assert_eq!(name(&client.payload()), "GUILD_CREATE");
            let seqs = [(); 5].map(|()| client.payload()["s"].as_u64());
            assert_eq!(seqs, [3, 4, 5, 6, 7].map(Some));
        });
    }
}

#[test]
fn a_resume_that_failed_leaves_the_connection_open_for_an_identify() {
    for is_main in [true, false] {
        serve("", |endpoints| {
            let base = if is_main {
                &endpoints.main
            } else {
                &endpoints.resume
            };
            let mut client = Client::connect(base, "?v=10&x=y", Reading::Whole);
            // Without waiting for HELLO, and with what a client has that never had a session.
            client.send(&resume(&Value::Null, None));
            assert_eq!(name(&client.payload()), "10");
            let invalid = client.payload();
            assert_eq!((&invalid["op"], &invalid["d"]), (&json!(9), &json!(false)));
            client.send(&identify());
            assert_eq!(name(&client.payload()), "READY");
        });
    }
}

/// A connection to the REST listener.
struct Http(BufReader<TcpStream>);

impl Http {
    fn connect(api: &str) -> Self {
        let address = api
            .strip_prefix("http://")
            .and_then(|url| url.strip_suffix("/api"));
        let tcp = TcpStream::connect(address.expect("a base below `/api`")).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE))
            .expect("a socket can wait");
        Self(BufReader::new(tcp))
    }

    fn write(&mut self, bytes: &[u8]) {
        let tcp = self.0.get_mut();
        tcp.write_all(bytes).expect("it is taken");
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) {
        let head = format!(
            "{method} /api/v10{path} HTTP/1.1\r\nhost: rest\r\nauthorization: Bot {CANARY}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.write(head.as_bytes());
        self.write(body.as_bytes());
    }

    fn answer(&mut self) -> (u16, Value) {
        let mut line = String::new();
        let mut next = || {
            line.clear();
            self.0.read_line(&mut line).expect("a line comes");
            line.trim_end().to_ascii_lowercase()
        };
        let status = next();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            let header = next();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body comes");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status.expect("a status"), body)
    }
}

#[test]
fn a_bot_gets_all_its_answers_over_one_connection() {
    let ((), entries) = serve("", |endpoints| {
        let mut http = Http::connect(&endpoints.api);
        let mut ids: Vec<Value> = Vec::new();
        for number in 0..20 {
            let content = format!("echo {number}");
            http.ask("POST", "/channels/7/typing", "");
            assert_eq!(http.answer(), (204, Value::Null));
            http.ask(
                "POST",
                "/channels/7/messages",
                &json!({ "content": content }).to_string(),
            );
            let (status, message) = http.answer();
            assert_eq!((status, &message["content"]), (200, &content.into()));
            assert!(!ids.contains(&message["id"]));
            ids.push(message["id"].clone());
        }
        // A body without a length, in pieces.
        http.write(
            b"POST /api/v10/channels/7/messages HTTP/1.1\r\nhost: rest\r\ntransfer-encoding: chunked\r\n\r\n\
              8\r\n{\"conten\r\n6\r\nt\":\"x\"\r\n1\r\n}\r\n0\r\n\r\n",
        );
        let (status, message) = http.answer();
        assert_eq!((status, &message["content"]), (200, &"x".into()));
        http.ask("PUT", "/applications/7/commands", "[{\"name\":\"ping\"}]");
        assert_eq!(http.answer(), (200, json!([])));
        http.ask("GET", "/gateway/bot", "");
        assert_eq!(http.answer().0, 200);
        // More than is taken is answered as well, and traced.
        http.ask("POST", "/channels/7/messages", &"x".repeat(1024 * 1024 + 1));
        assert_eq!(http.answer().0, 413);
    });
    let statuses = entries.iter().filter_map(|entry| match &entry.saw {
        Seen::Request { status, .. } => Some(*status),
        _ => None,
    });
    let mut expected = [204, 200].repeat(20);
    expected.extend([200, 200, 200, 413]);
    assert_eq!(statuses.collect::<Vec<_>>(), expected);
}
