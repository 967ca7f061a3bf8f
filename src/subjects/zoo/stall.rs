//! D31: blind after a stall. The age of an ACK is read off a clock that stood still with the process (a laptop asleep), so
//! that on a connection from before the stall no ACK is ever too old.

use super::wrapper::{ACK, Host, Perturb, sent_opcode};
use crate::machine::{ConnectionId, Input, Output, Timer};
use crate::protocol::Opcode;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// A timer that is later than this was held up with the whole process.
const STALL: Duration = Duration::from_secs(1);

/// Misses no ACK on connections that have seen a stall.
#[derive(Debug, Default)]
pub(super) struct Blind {
    due: BTreeMap<Timer, Instant>,
    /// Connections that are open.
    open: BTreeSet<ConnectionId>,
    /// Those of them that were there when the process stood still.
    stalled: BTreeSet<ConnectionId>,
}

impl Perturb for Blind {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match &input {
            Input::Opened(connection) => {
                self.open.insert(*connection);
            }
            Input::Ended { connection, .. } => {
                self.open.remove(connection);
                self.stalled.remove(connection);
            }
            Input::Fired(timer) => {
                let due = self.due.remove(timer).unwrap_or(now);
                if now.since(due) > STALL {
                    self.stalled.clone_from(&self.open);
                }
            }
            _ => {}
        }
        host.tell(now, input);
    }

    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        let mut beat = None;
        match &output {
            Output::Arm { timer, at } => {
                self.due.insert(*timer, *at);
            }
            Output::Disarm { timer } => {
                self.due.remove(timer);
            }
            Output::Close { connection, .. } | Output::Abort { connection } => {
                self.open.remove(connection);
                self.stalled.remove(connection);
            }
            Output::Send { connection, text } if self.stalled.contains(connection) => {
                beat = (sent_opcode(text) == Some(Opcode::HEARTBEAT)).then_some(*connection);
            }
            _ => {}
        }
        host.ask(output);
        if let Some(connection) = beat {
            host.deliver(now, connection, ACK);
        }
    }
}
