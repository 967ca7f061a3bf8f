//! A bot that answers: the test binary itself, started by `programs` as a program under test.
//!
//! It needs no other runtime, and does what gwtool's own client never does: it replies to every message over REST. It is sound
//! and small, and panics where anything is not as it expects, which is a death that the test sees.

use serde_json::{Value, json};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{self, Message};

/// With these arguments the test binary is the bot.
pub(crate) const ARGUMENTS: &str = "--exact bot::bot --ignored --nocapture";
/// Names the one message that it does not reply to.
pub(crate) const SKIPPED: &str = "BOT_SKIPS";

#[test]
#[ignore = "it is a program, which other tests start"]
fn bot() {
    // Whoever runs every ignored test gives it nothing to do.
    if let Some(gateway) = given("GWTOOL_GATEWAY_URL") {
        Bot::new(gateway).run();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "so a program is told where to go"
)]
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What it keeps from one connection to the next.
struct Bot {
    url: String,
    api: String,
    token: String,
    skipped: Option<String>,
    session: Option<String>,
    seq: Option<u64>,
}

impl Bot {
    fn new(url: String) -> Self {
        let wanted = |name| given(name).unwrap_or_else(|| panic!("there is no {name}"));
        Self {
            url,
            api: wanted("GWTOOL_API_URL"),
            token: wanted("DISCORD_TOKEN"),
            skipped: given(SKIPPED),
            session: None,
            seq: None,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a program waits before it tries again"
    )]
    fn run(mut self) {
        loop {
            // Whatever ended the connection: it comes back, with a RESUME if it can.
            if self.connect().is_none() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// One connection, until it is over.
    #[expect(clippy::disallowed_methods, reason = "a program reads the clock")]
    fn connect(&mut self) -> Option<()> {
        let address = self.url.strip_prefix("ws://").expect("there is no TLS");
        let tcp = TcpStream::connect(address).ok()?;
        let url = format!("{}/?v=10&encoding=json", self.url);
        let (mut socket, _) = tungstenite::client(url, tcp).ok()?;
        let hello = next(&mut socket, None)?;
        let interval = hello["d"]["heartbeat_interval"].as_u64();
        let interval = Duration::from_millis(interval.expect("HELLO comes first"));
        send(&mut socket, &self.authentication())?;
        let mut beat = Instant::now() + interval / 2;
        loop {
            let Some(payload) = next(&mut socket, Some(beat)) else {
                if Instant::now() < beat {
                    return None;
                }
                send(&mut socket, &json!({ "op": 1, "d": self.seq }))?;
                beat += interval;
                continue;
            };
            match payload["op"].as_u64() {
                Some(0) => self.dispatched(&payload),
                Some(1 | 11) => {}
                _ => return None,
            }
        }
    }

    fn authentication(&self) -> Value {
        let token = &self.token;
        if let Some(id) = &self.session {
            json!({ "op": 6, "d": { "token": token, "session_id": id, "seq": self.seq } })
        } else {
            let properties = json!({ "os": "linux", "browser": "bot", "device": "bot" });
            json!({ "op": 2, "d": { "token": token, "intents": 33280, "properties": properties } })
        }
    }

    fn dispatched(&mut self, payload: &Value) {
        let d = &payload["d"];
        match payload["t"].as_str() {
            Some("READY") => {
                let text = |name: &str| d[name].as_str().map(str::to_owned);
                self.session = text("session_id");
                self.url = text("resume_gateway_url").expect("READY has it");
            }
            Some("MESSAGE_CREATE") if d["content"].as_str() != self.skipped.as_deref() => {
                self.reply(d);
            }
            _ => {}
        }
        // A message counts as received once it is replied to.
        self.seq = payload["s"].as_u64();
    }

    fn reply(&self, message: &Value) {
        let (channel, id) = (message["channel_id"].as_str(), message["id"].as_str());
        let channel = channel.expect("a message is in a channel");
        let (host, base) = self
            .api
            .strip_prefix("http://")
            .expect("there is no TLS")
            .split_once('/')
            .expect("it has a path");
        let body =
            json!({ "content": "pong", "message_reference": { "message_id": id } }).to_string();
        let request = format!(
            "POST /{base}/v10/channels/{channel}/messages HTTP/1.1\r\nhost: {host}\r\nauthorization: Bot {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let mut tcp = TcpStream::connect(host).expect("REST is there");
        tcp.write_all(request.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

fn send(socket: &mut WebSocket<TcpStream>, payload: &Value) -> Option<()> {
    socket.send(Message::text(payload.to_string())).ok()
}

/// The next payload; `None` at that time, or once the connection is over.
#[expect(clippy::disallowed_methods, reason = "a program reads the clock")]
fn next(socket: &mut WebSocket<TcpStream>, until: Option<Instant>) -> Option<Value> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        socket
            .get_ref()
            .set_read_timeout(left)
            .expect("a socket can wait");
        match socket.read() {
            Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
            Ok(Message::Close(_)) => return None,
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
    }
}
