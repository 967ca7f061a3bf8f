//! D26: quiet is taken for dead. A watchdog over the application's events restarts a connection on which no dispatch came
//! for a while; heartbeats and their ACKs do not feed it.

use super::wrapper::{Host, Perturb, payload};
use crate::machine::{ConnectionId, Input, Output, Timer};
use crate::protocol::Opcode;
use crate::time::{Duration, Instant};

/// How long no dispatch may come: the shorter of the two periods that users saw (openclaw#70352).
const IDLE: Duration = Duration::from_mins(6);
/// What the watchdog's timers are called.
const NAME: &str = "idle";

/// Leaves a connection without dispatches.
#[derive(Debug)]
pub(super) struct Watchdog;

const fn timer(connection: ConnectionId) -> Timer {
    Timer {
        name: NAME,
        number: connection.0,
    }
}

impl Perturb for Watchdog {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        const LEAVE: &str = r#"{"t":null,"s":null,"op":7,"d":null}"#;
        match &input {
            Input::Fired(Timer { name: NAME, number }) => {
                return host.deliver(now, ConnectionId(*number), LEAVE);
            }
            Input::Received {
                connection,
                message,
            } if payload(message).is_some_and(|it| it.op == Opcode::DISPATCH) => {
                host.arm(timer(*connection), now + IDLE);
            }
            Input::Closing { connection, .. } | Input::Ended { connection, .. } => {
                host.disarm(timer(*connection));
            }
            _ => {}
        }
        host.tell(now, input);
    }

    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        if let Output::Close { connection, .. } | Output::Abort { connection } = &output {
            host.disarm(timer(*connection));
        }
        host.ask(output);
    }
}
