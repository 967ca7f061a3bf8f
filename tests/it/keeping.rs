//! What a subject keeps: sockets and timers that nothing needs any more, and a secret.
//!
//! The subjects are our client in a wrapper that does one thing wrong, and beside each stands one that nearly does.

use crate::lab::{plan, run_machine, scenario};
use gwtool::machine::{Input, Level, Machine, Output, Status, Timer};
use gwtool::oracle::{Effect, Judgement, Verdict};
use gwtool::protocol::Token;
use gwtool::subjects::{Name, Settings};
use gwtool::time::{Duration, Instant};
use gwtool::trace::Clock;
use std::collections::VecDeque;

/// What is said, made of the token.
type Words = fn(&str) -> String;

/// What is wrong with the subject.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Nothing,
    /// A timer stays armed for each of its connections but so many.
    KeepsTimers {
        but: u32,
    },
    /// A timer is still armed when it has stopped.
    StopsArmed,
    /// It takes no notice of being told to stop.
    NeverStops,
    /// It logs this when a connection is open.
    Says(Words),
}

/// Our client, and what is wrong with it.
struct Wrapped {
    inner: Box<dyn Machine>,
    wrong: Wrong,
    token: String,
    opened: u32,
    now: Instant,
    more: VecDeque<Output>,
}

impl Wrapped {
    fn keep(&mut self, number: u32) {
        let timer = Timer {
            name: "kept",
            number,
        };
        let at = self.now + Duration::from_hours(24);
        self.more.push_back(Output::Arm { timer, at });
    }
}

impl Machine for Wrapped {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        match (&input, self.wrong) {
            (Input::Stop, Wrong::NeverStops) => return,
            (Input::Stop, Wrong::StopsArmed) => self.keep(0),
            _ => {}
        }
        self.inner.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        if let Some(more) = self.more.pop_front() {
            return Some(more);
        }
        let output = self.inner.poll_output()?;
        if let Output::Open { .. } = output {
            self.opened += 1;
            match self.wrong {
                Wrong::KeepsTimers { but } if self.opened > but => self.keep(self.opened),
                Wrong::Says(text) => self.more.push_back(Output::Log {
                    level: Level::Debug,
                    text: text(&self.token),
                }),
                _ => {}
            }
        }
        Some(output)
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

fn judged(text: &str, wrong: Wrong) -> Judgement {
    let plan = plan(
        scenario(text, Clock::Virtual),
        Name::Gwtool,
        1,
        Clock::Virtual,
    );
    let settings = Settings::default();
    let allowances = Name::Gwtool.allowances(&settings, plan.interval);
    run_machine(&plan, "wrapped", allowances, |to, token, draw| {
        Box::new(Wrapped {
            inner: Name::Gwtool.machine(to, token, &settings, draw),
            wrong,
            token: token.expose().to_owned(),
            opened: 0,
            now: Instant::ZERO,
            more: VecDeque::new(),
        })
    })
}

/// What fails the run, a line each.
fn failing(judgement: &Judgement) -> Vec<String> {
    let failing = judgement.findings.iter();
    let failing = failing.filter(|found| found.effect == Effect::Fails);
    failing
        .map(|found| format!("{}: {}", found.id, found.seen))
        .collect()
}

const TWELVE: &str = r#"[twelve]
summary = "twelve times op 7"
fault = [{ on = "heartbeat", nth = 1, connection = "1..12", times = 12, do = "reconnect" }]"#;

const STOP: &str = r#"[stop]
summary = "a stop"
ends = "stopped"
fault = [{ on = "heartbeat", nth = 2, connection = 1, do = "subject", act = "stop" }]"#;

const RESTART: &str = r#"[restart]
summary = "a stop, and a start after it"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "subject", act = "stop" },
  { on = "heartbeat", nth = 2, connection = 1, after = "10s", do = "subject", act = "start" },
]"#;

#[test]
fn a_timer_for_each_reconnect_is_a_leak() {
    let leaks = failing(&judged(TWELVE, Wrong::KeepsTimers { but: 1 }));
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    let told = "leak: held 1 open socket and 13 armed timers after 12 reconnects, 1 and 2 before";
    assert_eq!(leaks[0], told);
    // A handful may be anything.
    for fine in [Wrong::Nothing, Wrong::KeepsTimers { but: 6 }] {
        assert_eq!(judged(TWELVE, fine).verdict, Verdict::Conforms);
    }
}

#[test]
fn what_is_armed_after_a_stop_is_a_leak() {
    let leaks = failing(&judged(STOP, Wrong::StopsArmed));
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(
        leaks[0].starts_with("leak: held 0 open sockets and 1 armed timer "),
        "{leaks:?}"
    );
    assert_eq!(judged(STOP, Wrong::Nothing).verdict, Verdict::Conforms);
    // One that was started again lives, with whatever it has armed.
    assert_eq!(
        judged(RESTART, Wrong::StopsArmed).verdict,
        Verdict::Conforms
    );
}

#[test]
fn who_does_not_stop_at_all_is_a_leak() {
    let leaks = failing(&judged(STOP, Wrong::NeverStops));
    assert!(
        leaks
            .iter()
            .any(|leak| leak.starts_with("leak: had not stopped ")),
        "{leaks:?}"
    );
}

/// Base64 of a text, as any library makes it.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            encoded.push(if digit <= chunk.len() {
                char::from(DIGITS[bits >> (18 - 6 * digit) & 63])
            } else {
                '='
            });
        }
    }
    encoded
}

/// Every byte of a text as URLs may have it.
fn percent(text: &str) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let byte = |byte: u8| ['%', digit(byte >> 4), digit(byte & 15)];
    text.bytes().flat_map(byte).collect()
}

#[test]
fn a_token_in_a_log_is_found_however_it_is_written() {
    let ways: [(&str, Words); 6] = [
        ("plain", |token| format!("RESUME with {token} as token")),
        ("in JSON", |token| {
            format!(r#"{{"op":6,"d":{{"token":"Bot {token}"}}}}"#)
        }),
        ("base64", base64),
        ("base64 of a header", |token| {
            base64(&format!("Bot {token}"))
        }),
        ("base64 of a payload", |token| {
            base64(&format!(r#"{{"token":"{token}"}}"#))
        }),
        ("URL-encoded", percent),
    ];
    for (way, says) in ways {
        let found = failing(&judged(STOP, Wrong::Says(says)));
        assert_eq!(found, ["token: the token was shown in a log line"], "{way}");
    }
    let harmless: [Words; 3] = [
        |token| format!("RESUME with {}… as token", &token[..4]),
        |_| base64("another text of about the same length, with nothing in it to hide"),
        |token| format!("a token of {} characters", token.len()),
    ];
    for says in harmless {
        assert_eq!(judged(STOP, Wrong::Says(says)).verdict, Verdict::Conforms);
    }
}

#[test]
fn what_the_redactor_leaves_holds_no_form_of_the_token() {
    let redactor = gwtool::trace::Redactor::new(Token::new("abc.def-ghi.jkl-mno"));
    let token = "abc.def-ghi.jkl-mno";
    for prefix in ["", "x", "xy", "xyz"] {
        let hidden = base64(&format!("{prefix}{token}{prefix}"));
        let shown = redactor.text(&hidden);
        assert!(shown.contains("<token>"), "{hidden} became {shown}");
    }
}
