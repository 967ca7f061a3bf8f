//! D25: the login gets lost. IDENTIFY waits for its turn at a limiter that several clients of a process share; when the
//! connection ends meanwhile, the wait returns without a word and nobody sees to the next attempt. Nor has the wait for READY
//! or RESUMED an end.

use super::deaf::Deaf;
use super::wrapper::{Host, Perturb, sent_opcode};
use super::{HEARTBEAT, READY};
use crate::machine::{ConnectionId, Input, Output, Timer};
use crate::protocol::Opcode;
use crate::time::{Duration, Instant};

/// How long the limiter takes to give its turn to somebody who need not wait: one look at its window.
const TURN: Duration = Duration::from_millis(250);
/// The timer of a turn.
const TIMER: Timer = Timer {
    name: "limiter",
    number: 0,
};

/// Has no deadline for READY and RESUMED, and drops an IDENTIFY whose connection ends before its turn.
#[derive(Debug, Default)]
pub(super) struct NoReadyTimeout {
    /// The IDENTIFY that waits.
    queued: Option<(ConnectionId, String)>,
    deaf: Deaf,
}

impl Perturb for NoReadyTimeout {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        let is_queued = |connection: ConnectionId| {
            let queued = self.queued.as_ref();
            queued.is_some_and(|(waiting, _)| *waiting == connection)
        };
        match input {
            Input::Fired(TIMER) => {
                if let Some((connection, text)) = self.queued.take() {
                    host.ask(Output::Send { connection, text });
                }
            }
            Input::Closing { connection, .. } | Input::Ended { connection, .. }
                if is_queued(connection) =>
            {
                self.queued = None;
                host.disarm(TIMER);
                self.deaf.go(Some(connection));
            }
            input => self.deaf.pass(now, input, host),
        }
    }

    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        match output {
            Output::Arm { timer, .. } | Output::Disarm { timer } if timer.name == READY => {}
            // A timer of a client that hears nothing fires for nobody.
            Output::Arm { timer, .. } if timer.name == HEARTBEAT && self.deaf.is_deaf() => {}
            Output::Send { connection, text } if sent_opcode(&text) == Some(Opcode::IDENTIFY) => {
                self.queued = Some((connection, text));
                host.arm(TIMER, now + TURN);
            }
            Output::Close { connection, .. } | Output::Abort { connection } => {
                if let Some((waiting, _)) = &self.queued
                    && *waiting == connection
                {
                    self.queued = None;
                    host.disarm(TIMER);
                }
                host.ask(output);
            }
            output => host.ask(output),
        }
    }
}
