//! `gwtool connect` as users run it, against servers on this machine that behave well, badly and with ill intent.
//!
//! Each server is a thread that serves one connection after the other; a test asks what gwtool showed and how it ended, and
//! some of them what reached the server.

#![expect(
    clippy::disallowed_methods,
    reason = "each server is a thread of its own"
)]

use crate::cli::{BINARY, Came, gwtool_with};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

/// A token as a bot's looks; nothing that gwtool writes may hold it.
const CANARY: &str = "Q0FOQVJZ.canary.canary-canary-canary";

fn connect(arguments: &str) -> Came {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    gwtool_with(&[&["connect"], &arguments[..]].concat(), &[])
}

fn connect_with_token(arguments: &str) -> Came {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let token = [("DISCORD_TOKEN", CANARY)];
    let came = gwtool_with(&[&["connect"], &arguments[..]].concat(), &token);
    came.holds_no_token();
    came
}

impl Came {
    #[track_caller]
    fn shows(&self, texts: &[&str]) -> &Self {
        for text in texts {
            let (out, err) = (&self.stdout, &self.stderr);
            assert!(out.contains(text), "no `{text}` in: {out}{err}");
        }
        self
    }

    #[track_caller]
    fn holds_no_token(&self) {
        for text in [&self.stdout, &self.stderr] {
            assert!(!text.contains("canary"), "the token is shown: {text}");
        }
    }

    /// No byte that acts on a terminal came through: the output is no terminal, so gwtool itself sends none.
    #[track_caller]
    fn is_inert(&self) {
        for text in [&self.stdout, &self.stderr] {
            let acts = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(acts), "{text:?}");
        }
    }
}

/// Serves every connection by `serve`, one after the other; gives the port.
fn server(mut serve: impl FnMut(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.expect("a connection comes in"));
        }
    });
    port
}

/// Reads an HTTP request's head.
fn request(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A server that answers every request with the same status line, headers and body.
fn http(status: &'static str, headers: &'static str, body: &'static str) -> u16 {
    server(move |mut stream| {
        request(&mut stream);
        // In one piece: of a refused upgrade's body, only what comes with its head is read.
        let _ = stream.write_all(
            format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}").as_bytes(),
        );
    })
}

/// A REST API that names a gateway.
fn api(gateway: String) -> u16 {
    server(move |mut stream| {
        request(&mut stream);
        let limit = json!({"total": 10, "remaining": 10, "reset_after": 0, "max_concurrency": 1});
        let body = json!({"url": gateway, "shards": 1, "session_start_limit": limit}).to_string();
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    })
}

fn say<S: Read + Write>(socket: &mut WebSocket<S>, frame: &Value) {
    // Whoever has gone already hears nothing.
    let _ = socket.send(Message::text(frame.to_string()));
}

/// What the client sends next, heartbeats answered and left out; `None` when it has gone.
fn hear<S: Read + Write>(socket: &mut WebSocket<S>) -> Option<Value> {
    loop {
        let Message::Text(text) = socket.read().ok()? else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text).expect("a client sends JSON");
        if frame["op"] == 1 {
            say(socket, &json!({"op": 11}));
        } else {
            return Some(frame);
        }
    }
}

/// The gateway's part of a login: HELLO, and what came as IDENTIFY or RESUME.
fn login<S: Read + Write>(stream: S) -> Option<(WebSocket<S>, Value)> {
    let mut socket = accept(stream).ok()?;
    say(
        &mut socket,
        &json!({"op": 10, "d": {"heartbeat_interval": 500}}),
    );
    let frame = hear(&mut socket)?;
    Some((socket, frame))
}

fn ready(session: &str, resume_url: &str) -> Value {
    let d = json!({"v": 10, "session_id": session, "resume_gateway_url": resume_url,
        "user": {"id": "1"}, "guilds": [], "application": {"id": "1", "flags": 0}});
    json!({"op": 0, "t": "READY", "s": 1, "d": d})
}

/// Logs clients in and stays with them until they go.
fn stay<S: Read + Write>(stream: S) {
    if let Some((mut socket, _)) = login(stream) {
        say(&mut socket, &ready("s1", ""));
        while hear(&mut socket).is_some() {}
    }
}

/// A gateway that closes every login with a code and a reason.
fn closing(code: u16, reason: &'static str) -> u16 {
    server(move |stream| {
        if let Some((mut socket, _)) = login(stream) {
            let _ = socket.close(Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }));
            while hear(&mut socket).is_some() {}
        }
    })
}

mod embedded {
    use super::*;

    #[test]
    fn without_an_address_the_fake_gateway_is_connected_to() {
        let came = connect("--interval 100ms --for 1s");
        came.is(0).shows(&[
            "READY, session ",
            "HELLO, a heartbeat every 100ms",
            "heartbeat ACKed in ",
            "MESSAGE_CREATE, up to s=",
            "\nended as asked\n",
            "connections 1, identifies 1, resumes 0",
            "\nheartbeats ACKed: ",
            "\nevents: ",
        ]);
        assert_eq!(came.stderr, "", "there is nothing to talk about");
    }

    #[test]
    fn a_probe_beats_and_never_identifies() {
        let came = connect("--probe --interval 100ms");
        came.is(0).shows(&["HELLO", "heartbeats ACKed: 3"]);
        came.shows(&["identifies 0"]);
        assert!(!came.stdout.contains("READY"), "{}", came.stdout);
    }

    #[test]
    fn for_programs_every_line_is_json_and_the_last_is_the_summary() {
        let came = connect("--interval 100ms --for 500ms --format json");
        let lines: Vec<Value> = (came.is(0).stdout.lines())
            .map(|line| serde_json::from_str(line).expect("a line is one value"))
            .collect();
        assert!(lines.iter().any(|line| line["what"]["ready"].is_object()));
        assert_eq!(lines.last().unwrap()["summary"]["finish"], "asked");
    }

    #[cfg(unix)]
    #[test]
    fn ctrl_c_after_ready_is_a_good_end() {
        let mut gwtool = Command::new(BINARY)
            .arg("connect")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = BufReader::new(gwtool.stdout.take().expect("stdout is piped"));
        let mut lines = stdout.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("READY, session ")));
        let kill = ["-INT", &gwtool.id().to_string()];
        let sent = Command::new("kill").args(kill).status();
        assert!(sent.expect("there is a `kill`").success());
        let rest: Vec<String> = lines.collect();
        assert!(rest.iter().any(|line| line == "ended as asked"), "{rest:?}");
        assert!(
            rest.iter().any(|line| line.contains("Close 1000")),
            "it says goodbye before it goes: {rest:?}"
        );
        assert_eq!(gwtool.wait().unwrap().code(), Some(0));
    }

    /// Whoever reads has gone before the first line, or after it: neither is an error, and the client does not stay behind.
    #[test]
    fn a_reader_that_goes_ends_it_quietly() {
        let mut gwtool = Command::new(BINARY)
            .arg("connect")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(gwtool.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut line).expect("a line comes");
        drop(stdout);
        let output = gwtool.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

mod first_connection {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn refused_is_said_and_is_exit_2() {
        // A port that is taken and not listened on: nobody else can take it meanwhile.
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let free = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        taken.bind(&free.into()).unwrap();
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        let refused = "\nno connection: connection refused\n";
        connect(&format!("ws://127.0.0.1:{port}"))
            .is(2)
            .shows(&[refused]);
        connect(&format!("--probe ws://127.0.0.1:{port}"))
            .is(2)
            .shows(&[refused]);
        connect_with_token(&format!("--api http://127.0.0.1:{port}/api"))
            .is(2)
            .shows(&["no connection: the REST API could not be asked: connection refused\n"]);
    }

    #[test]
    fn a_name_that_nobody_has_is_exit_2() {
        // Reserved for this by RFC 6761.
        let came = connect("ws://gateway.invalid");
        came.is(2).shows(&["\nno connection: "]);
    }

    #[test]
    fn a_refused_upgrade_is_shown_with_all_that_was_said() {
        let port = http(
            "503 Service Unavailable",
            "retry-after: 7\r\nx-ray: blue\r\n",
            "back\x1b[2J soon\nsecond line",
        );
        let came = connect(&format!("ws://127.0.0.1:{port}"));
        came.is(2).shows(&[
            "\nno connection: the upgrade was answered with HTTP 503\n",
            "\n  | retry-after: 7\n  | x-ray: blue\n",
            "\n  | back\\u{1b}[2J soon\n  | second line\n",
        ]);
        came.is_inert();
        let json = connect(&format!("ws://127.0.0.1:{port} --format json"));
        let summary: Value =
            serde_json::from_str(json.is(2).stdout.lines().last().unwrap()).unwrap();
        let said = &summary["summary"]["finish"]["unreachable"]["said"];
        assert_eq!(said[0], "retry-after: 7");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let port = http("302 Found", "location: ws://127.0.0.1:9/\r\n", "");
        connect_with_token(&format!("ws://127.0.0.1:{port} --send-token"))
            .is(2)
            .shows(&["HTTP 302", "  | location: ws://127.0.0.1:9/"]);
    }

    #[test]
    fn what_speaks_another_protocol_is_exit_2() {
        for greeting in [
            &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
            b"\x00\xff\x1b[2J\r\n\r\n",
            b"",
        ] {
            let port = server(move |mut stream| {
                request(&mut stream);
                let _ = stream.write_all(greeting);
            });
            let came = connect(&format!("ws://127.0.0.1:{port}"));
            came.is(2).shows(&["\nno connection: "]);
            came.is_inert();
        }
    }

    #[test]
    fn plain_text_where_tls_was_meant_is_exit_2() {
        let port = server(|mut stream| {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        });
        connect(&format!("wss://127.0.0.1:{port}"))
            .is(2)
            .shows(&["\nno connection: the TLS handshake failed: "]);
    }
}

mod closed_by_the_gateway {
    use super::*;

    #[test]
    fn a_fatal_code_is_exit_1_with_its_meaning_and_the_gateways_words() {
        for (code, meaning) in [
            (4004, "authentication failed"),
            (4014, "disallowed intents"),
        ] {
            let port = closing(code, "go\x1b[2J away");
            let came = connect(&format!("ws://127.0.0.1:{port}"));
            came.is(1).shows(&[
                &format!("\nended by the gateway: Close {code} ({meaning}"),
                "\"go\\u{1b}[2J away\"; nobody may come back after this code\n",
            ]);
            came.is_inert();
        }
    }

    #[test]
    fn a_code_to_come_back_after_is_a_reconnect_with_its_cause() {
        let port = closing(4000, "try again");
        let came = connect(&format!("ws://127.0.0.1:{port} --for 1s"));
        came.is(3).shows(&[
            "reconnects in ",
            " to identify: #1: closed by the gateway with 4000",
            "\nended before READY\n",
        ]);
    }

    #[test]
    fn no_hello_is_never_ready() {
        let port = server(|stream| {
            let mut socket = accept(stream).expect("an upgrade comes");
            while hear(&mut socket).is_some() {}
        });
        let came = connect(&format!("ws://127.0.0.1:{port} --for 300ms"));
        came.is(3)
            .shows(&["waiting for HELLO", "\nended before READY\n"]);
    }

    #[test]
    fn a_lost_connection_is_resumed_and_said_to_be() {
        let mut connections = 0;
        let port = server(move |stream| {
            connections += 1;
            let Some((mut socket, frame)) = login(stream) else {
                return;
            };
            if connections == 1 {
                // The end of the stream without a Close frame.
                return say(&mut socket, &ready("s1", ""));
            }
            assert_eq!(frame["op"], 6, "{frame}");
            say(
                &mut socket,
                &json!({"op": 0, "t": "RESUMED", "s": 2, "d": {}}),
            );
            while hear(&mut socket).is_some() {}
        });
        let came = connect(&format!("ws://127.0.0.1:{port} --for 3s"));
        came.is(0).shows(&[
            "reconnects in ",
            " to resume: #1: ",
            "RESUMED, 0 replayed",
            "connections 2, identifies 1, resumes 1",
        ]);
    }
}

mod rest {
    use super::*;

    #[test]
    fn what_the_api_answers_instead_of_a_gateway_is_shown() {
        let cases = [
            (
                http(
                    "401 Unauthorized",
                    "",
                    r#"{"message": "401: Unauthorized"}"#,
                ),
                "the REST API rejects the token with HTTP 401: check `DISCORD_TOKEN`\n",
                "  | {\"message\": \"401: Unauthorized\"}\n",
            ),
            (
                http(
                    "429 Too Many Requests",
                    "retry-after: 12\r\n",
                    "slow\x1b[2J",
                ),
                "the REST API answered with HTTP 429\n",
                "  | retry-after: 12\n",
            ),
            (
                http("200 OK", "", "<html>welcome\x1b[2J</html>"),
                "the REST API answered without naming a gateway\n",
                "  | <html>welcome\\u{1b}[2J</html>\n",
            ),
        ];
        for (port, why, said) in cases {
            let came = connect_with_token(&format!("--api http://127.0.0.1:{port}/api/v10"));
            came.is(2).shows(&["\nno connection: ", why, said]);
            came.is_inert();
        }
    }

    #[test]
    fn what_is_no_http_is_exit_2() {
        let port = server(|mut stream| {
            let _ = stream.write_all(b"+OK POP3 ready\r\n");
        });
        connect_with_token(&format!("--api http://127.0.0.1:{port}/"))
            .is(2)
            .shows(&["no connection: the REST API could not be asked: "]);
    }

    #[test]
    fn a_token_is_needed_for_an_api() {
        let came = connect("--api http://127.0.0.1:9/api");
        assert_eq!(came.code, 2);
        assert!(came.stderr.contains("`DISCORD_TOKEN`"), "{}", came.stderr);
        assert_eq!(connect("--probe --api http://127.0.0.1:9/").code, 2);
    }
}

mod token {
    use super::*;

    /// A gateway that tells what it was sent as IDENTIFY, and says the token back wherever it can.
    fn echoing() -> (u16, mpsc::Receiver<Value>) {
        let (to, identified) = mpsc::channel();
        let port = server(move |stream| {
            let Some((mut socket, frame)) = login(stream) else {
                return;
            };
            let token = frame["d"]["token"].as_str().unwrap_or_default().to_owned();
            to.send(frame).expect("the test listens");
            say(&mut socket, &ready(&token, &format!("ws://{token}/")));
            say(
                &mut socket,
                &json!({"op": 0, "t": token, "s": 2, "d": {"token": token}}),
            );
            let _ = socket.close(Some(CloseFrame {
                code: 4004.into(),
                reason: format!("bad token {token}").into(),
            }));
            while hear(&mut socket).is_some() {}
        });
        (port, identified)
    }

    #[test]
    fn it_is_sent_and_never_shown_however_much_is_told() {
        for flags in [
            "",
            "-q",
            "-v",
            "-vv",
            "-vvv",
            "--format json",
            "-vvv --format json",
        ] {
            let (gateway, identified) = echoing();
            let port = api(format!("ws://127.0.0.1:{gateway}"));
            let came = connect_with_token(&format!("--api http://127.0.0.1:{port}/api {flags}"));
            came.is(1).shows(&["<token>"]);
            let identify = identified.recv().expect("it identified");
            assert_eq!(identify["d"]["token"], CANARY, "it was there to be shown");
        }
    }

    #[test]
    fn an_api_that_says_it_back_does_not_get_it_shown() {
        let port = server(|mut stream| {
            let head = request(&mut stream);
            let length = head.len();
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{head}"
            );
        });
        let came = connect_with_token(&format!("--api http://127.0.0.1:{port}/api -vvv"));
        came.is(2).shows(&["  | authorization: Bot <token>"]);
    }

    #[test]
    fn an_address_gets_it_only_where_send_token_says_so() {
        let (port, identified) = echoing();
        connect_with_token(&format!("ws://127.0.0.1:{port}")).is(1);
        assert_ne!(identified.recv().unwrap()["d"]["token"], CANARY);
        connect_with_token(&format!("ws://127.0.0.1:{port} --send-token")).is(1);
        assert_eq!(identified.recv().unwrap()["d"]["token"], CANARY);
    }

    #[test]
    fn an_api_cannot_send_it_elsewhere() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = listener.local_addr().unwrap().port();
        // Another name for this machine, and so another host than the one that the token was given for.
        let port = api(format!("ws://localhost:{elsewhere}"));
        connect_with_token(&format!("--api http://127.0.0.1:{port}/api"))
            .is(2)
            .shows(&["no connection: the token must not go to `localhost`"]);
        nobody_came(&listener);
    }

    #[test]
    fn a_ready_cannot_send_it_elsewhere() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = listener.local_addr().unwrap().port();
        let port = server(move |stream| {
            if let Some((mut socket, _)) = login(stream) {
                let url = format!("ws://localhost:{elsewhere}");
                say(&mut socket, &ready("s1", &url));
            }
        });
        connect_with_token(&format!("ws://127.0.0.1:{port} --send-token --for 2s"))
            .is(0)
            .shows(&["the token must not go to `localhost`"]);
        nobody_came(&listener);
    }

    #[track_caller]
    fn nobody_came(listener: &TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let came = listener.accept().map_err(|error| error.kind());
        assert_eq!(came.err(), Some(std::io::ErrorKind::WouldBlock));
    }
}

mod tls {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use std::fs;
    use std::sync::Arc;
    use tempfile::tempdir;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

    /// A gateway behind a certificate for `localhost` that it signed itself; the certificate as PEM.
    fn secure() -> (u16, String) {
        let names = vec!["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let port = server(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            stay(StreamOwned::new(connection, stream));
        });
        (port, cert.pem())
    }

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_refused_and_named() {
        let (port, _) = secure();
        connect(&format!("wss://localhost:{port}"))
            .is(2)
            .shows(&["\nno connection: the TLS handshake failed: invalid peer certificate: "]);
    }

    #[test]
    fn a_certificate_that_this_machine_trusts_is_taken_and_only_for_its_name() {
        let (port, pem) = secure();
        let dir = tempdir().unwrap();
        let roots = dir.path().join("roots.pem");
        fs::write(&roots, pem).unwrap();
        let trusting = [("SSL_CERT_FILE", roots.to_str().unwrap())];
        let to = |host: &str| format!("wss://{host}:{port}");
        let came = gwtool_with(&["connect", &to("localhost"), "--for", "1s"], &trusting);
        came.is(0).shows(&["READY, session s1"]);
        let came = gwtool_with(&["connect", &to("127.0.0.1"), "--for", "1s"], &trusting);
        came.is(2)
            .shows(&["invalid peer certificate: ", "127.0.0.1"]);
    }
}
