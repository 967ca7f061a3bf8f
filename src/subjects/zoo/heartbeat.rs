//! D04: ACKs do not matter. The case for op 11 is empty, and every heartbeat counts as acknowledged once it is sent.

use super::wrapper::{ACK, Host, Perturb, sent_opcode};
use crate::machine::Output;
use crate::protocol::Opcode;
use crate::time::Instant;

/// Takes each heartbeat for acknowledged as soon as it is sent.
#[derive(Debug)]
pub(super) struct NoAckCheck;

impl Perturb for NoAckCheck {
    fn output(&mut self, now: Instant, output: Output, host: &mut Host) {
        let beat = match &output {
            Output::Send { connection, text } => {
                (sent_opcode(text) == Some(Opcode::HEARTBEAT)).then_some(*connection)
            }
            _ => None,
        };
        host.ask(output);
        if let Some(connection) = beat {
            host.deliver(now, connection, ACK);
        }
    }
}
