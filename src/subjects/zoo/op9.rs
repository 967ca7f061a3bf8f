//! D14, D15: what the gateway asks for is not done. One client writes op 7 and op 9 into its log and goes on; the other does
//! not look at the `d` of op 9 and takes every session for resumable.

use super::wrapper::{Host, Perturb, opcode, payload};
use crate::machine::{Input, Level, Output};
use crate::protocol::Opcode;
use crate::time::Instant;

/// Does nothing about op 7 and op 9, until the gateway cuts the connection.
#[derive(Debug)]
pub(super) struct Swallowed;

impl Perturb for Swallowed {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        if let Input::Received { message, .. } = &input
            && let Some(op @ (Opcode::RECONNECT | Opcode::INVALID_SESSION)) = opcode(message)
        {
            host.ask(Output::Log {
                level: Level::Info,
                text: format!("received {op}"),
            });
            return;
        }
        host.tell(now, input);
    }
}

/// Reads op 9 with d false as one with d true: the session is kept, and the wait is short.
#[derive(Debug)]
pub(super) struct KeepsSession;

impl Perturb for KeepsSession {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        const RESUMABLE: &str = r#"{"t":null,"s":null,"op":9,"d":true}"#;
        match input {
            Input::Received {
                connection,
                message,
            } if payload(&message).is_some_and(|it| it.op == Opcode::INVALID_SESSION) => {
                host.deliver(now, connection, RESUMABLE);
            }
            input => host.tell(now, input),
        }
    }
}
