//! D20: a stop does not last. The close that it leads to is met as any other: a second later the client connects again. And
//! the timers that were armed stay armed.

use super::wrapper::{Host, Perturb};
use crate::machine::{Input, Output, Session, Timer};
use crate::time::{Duration, Instant};

/// How long after its end it comes back.
const DELAY: Duration = Duration::from_secs(1);
/// The timer of that.
const TIMER: Timer = Timer {
    name: "resurrection",
    number: 0,
};

/// Comes back after a stop, with the session that it had.
#[derive(Debug, Default)]
pub(super) struct Resurrects {
    stop: Option<Stop>,
}

/// A stop that was asked for.
#[derive(Debug)]
struct Stop {
    session: Option<Session>,
}

impl Perturb for Resurrects {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match input {
            Input::Stop => {
                let session = host.status().session;
                self.stop = Some(Stop { session });
                host.tell(now, Input::Stop);
            }
            Input::Start { .. } => {
                self.stop = None;
                host.disarm(TIMER);
                host.tell(now, input);
            }
            Input::Fired(TIMER) => {
                if let Some(Stop { session }) = self.stop.take() {
                    host.tell(now, Input::Start { session });
                }
            }
            input => host.tell(now, input),
        }
    }

    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        match output {
            Output::Disarm { .. } if self.stop.is_some() => {}
            Output::Stopped { .. } if self.stop.is_some() => {
                host.ask(output);
                host.arm(TIMER, now + DELAY);
            }
            output => host.ask(output),
        }
    }
}
