//! D30: the token is in the log. IDENTIFY is masked before it is written there; RESUME, which came later, is not.

use super::wrapper::{Host, Perturb, sent_opcode};
use crate::machine::{Level, Output};
use crate::protocol::Opcode;
use crate::time::Instant;

/// Writes the payload of RESUME into its log.
#[derive(Debug)]
pub(super) struct LogsResume;

impl Perturb for LogsResume {
    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        if let Output::Send { text, .. } = &output
            && sent_opcode(text) == Some(Opcode::RESUME)
        {
            host.ask(Output::Log {
                level: Level::Debug,
                text: format!("sending {text}"),
            });
        }
        host.ask(output);
    }
}
