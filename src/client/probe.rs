//! A look at a gateway without a token: connect, HELLO, a few heartbeats, goodbye.
//!
//! [`Probe`] never identifies, so that it needs no token and spends no session. Heartbeats before IDENTIFY are legal (Discord,
//! "Connection Lifecycle"). Like every machine it does no I/O; one failure ends it, since a probe that retries would tell
//! less, not more.

use crate::machine::{ConnectionId, Input, Level, Machine, Message, Output, Status, Timer};
use crate::protocol::{ClientFrame, CloseCode, Envelope, Opcode};
use crate::time::{Duration, Instant, show};
use serde::Deserialize;
use std::collections::VecDeque;

/// How many heartbeats are sent: enough for a first impression of the round trip.
const BEATS: u32 = 3;
/// From one to the next, at most: sooner than Discord asks for, which it allows.
const SPACING: Duration = Duration::from_secs(1);
/// The one connection there is.
const ONLY: ConnectionId = ConnectionId(1);
/// When the wait for whatever is due next is over.
const DEADLINE: Timer = Timer {
    name: "deadline",
    number: 0,
};
/// When the next heartbeat is due.
const NEXT: Timer = Timer {
    name: "beat",
    number: 0,
};

/// A client that only looks.
#[derive(Debug)]
pub struct Probe {
    url: String,
    /// How long connecting, HELLO and each ACK may take.
    patience: Duration,
    state: State,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Idle,
    Connecting,
    AwaitingHello,
    /// So many heartbeats were sent, the last one then.
    Beating {
        sent: u32,
        at: Instant,
        /// How long after an ACK the next one follows.
        spacing: Duration,
        round_trip: Option<Duration>,
    },
    /// The close handshake is under way; it then says why it ends.
    Closing {
        reason: Option<String>,
        round_trip: Option<Duration>,
    },
    Stopped {
        round_trip: Option<Duration>,
    },
}

impl Probe {
    /// A probe of a URL, query included.
    pub fn new(url: impl Into<String>, patience: Duration) -> Self {
        Self {
            url: url.into(),
            patience,
            state: State::Idle,
            outputs: VecDeque::new(),
        }
    }

    fn wait(&mut self, now: Instant) {
        self.outputs.push_back(Output::Arm {
            timer: DEADLINE,
            at: now + self.patience,
        });
    }

    fn log(&mut self, text: String) {
        self.outputs.push_back(Output::Log {
            level: Level::Info,
            text,
        });
    }

    fn beat(&mut self, now: Instant, sent: u32, spacing: Duration) {
        let round_trip = self.round_trip();
        self.state = State::Beating {
            sent: sent + 1,
            at: now,
            spacing,
            round_trip,
        };
        let text = ClientFrame::Heartbeat(None).encode();
        self.outputs.push_back(Output::Send {
            connection: ONLY,
            text,
        });
        self.wait(now);
    }

    const fn round_trip(&self) -> Option<Duration> {
        match self.state {
            State::Beating { round_trip, .. }
            | State::Closing { round_trip, .. }
            | State::Stopped { round_trip } => round_trip,
            State::Idle | State::Connecting | State::AwaitingHello => None,
        }
    }

    /// Leaves an open connection.
    fn close(&mut self, reason: Option<String>) {
        self.disarm();
        let round_trip = self.round_trip();
        self.state = State::Closing { reason, round_trip };
        let (code, within) = (Some(CloseCode::NORMAL), self.patience);
        self.outputs.push_back(Output::Close {
            connection: ONLY,
            code,
            within,
        });
    }

    /// There is nothing left to close.
    fn stop(&mut self, reason: Option<String>) {
        self.disarm();
        self.state = State::Stopped {
            round_trip: self.round_trip(),
        };
        self.outputs.push_back(Output::Stopped { reason });
    }

    fn disarm(&mut self) {
        self.outputs.push_back(Output::Disarm { timer: DEADLINE });
        self.outputs.push_back(Output::Disarm { timer: NEXT });
    }

    fn on_message(&mut self, now: Instant, message: Message<'_>) {
        #[derive(Deserialize)]
        struct Hello {
            heartbeat_interval: u64,
        }
        let frame = match message {
            Message::Text(text) => Envelope::read(text),
            Message::Binary(bytes) => Envelope::read_bytes(bytes),
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return self.close(Some(format!("the gateway sent what is {error}"))),
        };
        match (frame.op, &mut self.state) {
            (Opcode::HELLO, State::AwaitingHello) => {
                // A gateway that wants them faster gets them faster; nonsense is as good as no wish.
                let asked = frame.payload::<Hello>().map_or(SPACING, |hello| {
                    Duration::from_millis(hello.heartbeat_interval) / 2
                });
                self.beat(now, 0, asked.min(SPACING));
            }
            (
                Opcode::HEARTBEAT_ACK,
                State::Beating {
                    sent,
                    at,
                    spacing,
                    round_trip,
                },
            ) => {
                *round_trip = Some(now - *at);
                let (sent, spacing, took) = (*sent, *spacing, now - *at);
                self.outputs.push_back(Output::Disarm { timer: DEADLINE });
                self.log(format!(
                    "heartbeat {sent} was acknowledged after {}",
                    show(took)
                ));
                if sent < BEATS {
                    self.outputs.push_back(Output::Arm {
                        timer: NEXT,
                        at: now + spacing,
                    });
                } else {
                    self.close(None);
                }
            }
            (Opcode::HEARTBEAT, State::Beating { sent, spacing, .. }) => {
                let (sent, spacing) = (*sent, *spacing);
                self.beat(now, sent, spacing);
            }
            // Anything else is the business of a client that stays.
            _ => {}
        }
    }
}

impl Machine for Probe {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match (input, &mut self.state) {
            (Input::Start { .. }, State::Idle) => {
                self.state = State::Connecting;
                self.outputs.push_back(Output::Open {
                    connection: ONLY,
                    url: self.url.clone(),
                });
                self.wait(now);
            }
            (Input::Opened(_), State::Connecting) => {
                self.state = State::AwaitingHello;
                self.wait(now);
            }
            (Input::Received { message, .. }, State::AwaitingHello | State::Beating { .. }) => {
                self.on_message(now, message);
            }
            (Input::Closing { code, reason, .. }, State::AwaitingHello | State::Beating { .. }) => {
                let code = code.map_or_else(
                    || "without a code".to_owned(),
                    |code| format!("with {code} ({})", code.meaning()),
                );
                let why = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                self.close(Some(format!("closed by the gateway {code}{why}")));
            }
            (Input::Ended { .. }, State::Closing { reason, .. }) => {
                let reason = reason.take();
                self.stop(reason);
            }
            (
                Input::Ended { end, .. },
                State::Connecting | State::AwaitingHello | State::Beating { .. },
            ) => self.stop(Some(end.to_string())),
            (Input::Fired(NEXT), State::Beating { sent, spacing, .. }) => {
                let (sent, spacing) = (*sent, *spacing);
                self.beat(now, sent, spacing);
            }
            (Input::Fired(DEADLINE), State::Connecting) => {
                self.outputs.push_back(Output::Abort { connection: ONLY });
                let patience = show(self.patience);
                self.stop(Some(format!("no answer to the upgrade within {patience}")));
            }
            (Input::Fired(DEADLINE), State::AwaitingHello) => {
                self.close(Some(format!("no HELLO within {}", show(self.patience))));
            }
            (Input::Fired(DEADLINE), State::Beating { sent, .. }) => {
                let sent = *sent;
                let patience = show(self.patience);
                self.close(Some(format!(
                    "heartbeat {sent} was not acknowledged within {patience}"
                )));
            }
            (Input::Stop, State::Idle) => self.stop(None),
            (Input::Stop, State::Connecting) => {
                self.outputs.push_back(Output::Abort { connection: ONLY });
                self.stop(None);
            }
            (Input::Stop, State::AwaitingHello | State::Beating { .. }) => self.close(None),
            // What is left is late, or nothing that a probe has.
            _ => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn status(&self) -> Status {
        let state = match self.state {
            State::Idle => "idle",
            State::Connecting => "connecting",
            State::AwaitingHello => "waiting for HELLO",
            State::Beating { .. } => "beating",
            State::Closing { .. } => "closing",
            State::Stopped { .. } => "stopped",
        };
        Status {
            state,
            is_authenticated: false,
            session: None,
            round_trip: self.round_trip(),
            queued: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::End;

    fn probe() -> Probe {
        Probe::new("ws://h/?v=10", Duration::from_secs(10))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn text(text: &str) -> Input<'_> {
        Input::Received {
            connection: ONLY,
            message: Message::Text(text),
        }
    }

    fn outputs(probe: &mut Probe) -> Vec<String> {
        std::iter::from_fn(|| probe.poll_output())
            .filter(|output| !matches!(output, Output::Arm { .. } | Output::Disarm { .. }))
            .map(|output| format!("{output:?}"))
            .collect()
    }

    #[test]
    fn a_probe_beats_three_times_and_says_goodbye_without_identifying() {
        let mut probe = probe();
        probe.handle(at(0), Input::Start { session: None });
        probe.handle(at(0), Input::Opened(ONLY));
        probe.handle(at(0), text(r#"{"op":10,"d":{"heartbeat_interval":41250}}"#));
        for beat in 1..=2 {
            probe.handle(at(beat), text(r#"{"op":11}"#));
            probe.handle(at(beat + 1), Input::Fired(NEXT));
        }
        probe.handle(at(3), text(r#"{"op":11}"#));
        let said = outputs(&mut probe);
        let beats = said
            .iter()
            .filter(|line| line.contains(r#"{\"op\":1,\"d\":null}"#))
            .count();
        assert_eq!(beats, 3, "{said:?}");
        assert!(
            !said.iter().any(|line| line.contains(r#"\"op\":2"#)),
            "{said:?}"
        );
        assert!(
            said.last().unwrap().contains("code: Some(CloseCode(1000))"),
            "{said:?}"
        );
        probe.handle(
            at(3),
            Input::Ended {
                connection: ONLY,
                end: End::Closed,
            },
        );
        assert_eq!(outputs(&mut probe), ["Stopped { reason: None }"]);
        assert_eq!(probe.status().round_trip, Some(Duration::ZERO));
    }

    #[test]
    fn a_probe_says_what_it_waited_for() {
        let mut probe = probe();
        probe.handle(at(0), Input::Start { session: None });
        probe.handle(at(0), Input::Opened(ONLY));
        probe.handle(at(10), Input::Fired(DEADLINE));
        probe.handle(
            at(11),
            Input::Ended {
                connection: ONLY,
                end: End::Abandoned,
            },
        );
        let said = outputs(&mut probe);
        assert_eq!(
            said.last().unwrap(),
            "Stopped { reason: Some(\"no HELLO within 10s\") }"
        );
    }

    #[test]
    fn a_probe_does_not_try_again() {
        let mut probe = probe();
        probe.handle(at(0), Input::Start { session: None });
        probe.handle(
            at(0),
            Input::Ended {
                connection: ONLY,
                end: End::Refused,
            },
        );
        let said = outputs(&mut probe);
        assert_eq!(
            said.last().unwrap(),
            "Stopped { reason: Some(\"connection refused\") }"
        );
        assert_eq!(
            said.iter().filter(|line| line.starts_with("Open")).count(),
            1
        );
    }
}
