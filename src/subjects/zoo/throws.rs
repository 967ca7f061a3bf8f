//! D19: errors are thrown from callbacks, where nobody catches them. A fatal close, attempts that are used up (a stop sets
//! their number to 0, and the close event that follows counts as one) and a request to reconnect on a connection that was
//! left already end the process.

use super::wrapper::{Host, Perturb, opcode};
use crate::machine::{ConnectionId, Input, Output};
use crate::protocol::{CloseCode, Opcode};
use crate::time::Instant;
use std::collections::BTreeSet;

/// Ends by an error that nobody catches.
#[derive(Debug, Default)]
pub(super) struct Throws {
    /// Connections that were opened and have not ended.
    open: BTreeSet<ConnectionId>,
    /// Those of them that were left.
    left: BTreeSet<ConnectionId>,
    is_stopping: bool,
}

/// What is thrown when no attempt is left.
fn exhausted(host: &mut Host, code: Option<CloseCode>) {
    let code = code.unwrap_or(CloseCode(1005));
    host.die(format!(
        "reconnect attempts exhausted after a close with {code}"
    ));
}

impl Perturb for Throws {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match &input {
            Input::Start { .. } => self.is_stopping = false,
            Input::Stop => self.is_stopping = true,
            Input::Closing {
                code: Some(code), ..
            } if code.is_fatal() => {
                return host.die(format!("fatal gateway error: {code}"));
            }
            Input::Closing {
                connection, code, ..
            } if self.is_stopping && self.open.contains(connection) => {
                return exhausted(host, *code);
            }
            Input::Closing { connection, .. } => {
                self.left.insert(*connection);
            }
            Input::Ended { connection, .. } => {
                let was_open = self.open.remove(connection);
                self.left.remove(connection);
                if self.is_stopping && was_open {
                    return exhausted(host, Some(CloseCode(1006)));
                }
            }
            Input::Received {
                connection,
                message,
            } if self.left.contains(connection) && opcode(message) == Some(Opcode::RECONNECT) => {
                return host.die("asked to reconnect a connection that is closed already");
            }
            _ => {}
        }
        host.tell(now, input);
    }

    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        match &output {
            Output::Open { connection, .. } => {
                self.open.insert(*connection);
            }
            Output::Close { connection, .. } => {
                self.left.insert(*connection);
            }
            Output::Abort { connection } => {
                self.open.remove(connection);
            }
            Output::Stopped { reason: Some(_) } => return exhausted(host, Some(CloseCode(1006))),
            _ => {}
        }
        host.ask(output);
    }
}
