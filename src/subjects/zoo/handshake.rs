//! D24: the handshake in one order only. After HELLO the next frame has to be READY, RESUMED or a dispatch; an op 1, 7 or 9
//! there is handled under a lock that the handshake itself holds, and nothing moves any more. Later a request for a heartbeat
//! has no case of its own and is not answered.

use super::deaf::Deaf;
use super::wrapper::{Host, Perturb, authenticates, payload};
use crate::machine::{ConnectionId, Input};
use crate::protocol::Opcode;
use crate::time::Instant;
use std::collections::BTreeSet;

/// Cannot take an op 1, 7 or 9 before it is authenticated, and answers no op 1 at all.
#[derive(Debug, Default)]
pub(super) struct StrictOrder {
    /// Connections that had READY or RESUMED.
    authenticated: BTreeSet<ConnectionId>,
    deaf: Deaf,
}

impl Perturb for StrictOrder {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match &input {
            Input::Received {
                connection,
                message,
            } => {
                if let Some(frame) = payload(message) {
                    if authenticates(&frame) {
                        self.authenticated.insert(*connection);
                    }
                    let is_early = !self.authenticated.contains(connection);
                    match frame.op {
                        Opcode::HEARTBEAT | Opcode::RECONNECT | Opcode::INVALID_SESSION
                            if is_early =>
                        {
                            return self.deaf.go(None);
                        }
                        Opcode::HEARTBEAT => return,
                        _ => {}
                    }
                }
            }
            Input::Ended { connection, .. } => {
                self.authenticated.remove(connection);
                if self.deaf.is_deaf() {
                    return self.deaf.go(Some(*connection));
                }
            }
            _ => {}
        }
        self.deaf.pass(now, input, host);
    }
}
