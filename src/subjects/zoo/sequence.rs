//! D17: the sequence number is that of the last frame, whatever frame it was. An ACK, a request for a heartbeat and any other
//! frame that has none set it to null; an opcode that nobody knows sets it to whatever it brings along.

use super::wrapper::{Host, Perturb, payload};
use crate::machine::{Input, Output};
use crate::protocol::{Envelope, Opcode};
use crate::time::Instant;
use serde_json::{Value, json};

/// Takes `s` of every frame but HELLO, which is read before there is anything to count.
#[derive(Debug, Default)]
pub(super) struct Clobbered {
    seq: Option<u64>,
}

impl Clobbered {
    /// A text of the client's with this number in it, where it carries one.
    fn rewritten(&mut self, text: String) -> String {
        let Ok(sent) = Envelope::read(&text) else {
            return text;
        };
        match sent.op {
            Opcode::HEARTBEAT => json!({ "op": 1, "d": self.seq }).to_string(),
            Opcode::IDENTIFY => {
                self.seq = None;
                text
            }
            Opcode::RESUME => {
                let mut d: Value = sent.payload().unwrap_or_default();
                d["seq"] = json!(self.seq);
                json!({ "op": 6, "d": d }).to_string()
            }
            _ => text,
        }
    }
}

impl Perturb for Clobbered {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        if let Input::Received { message, .. } = &input
            && let Some(frame) = payload(message)
            && frame.op != Opcode::HELLO
        {
            self.seq = frame.s;
        }
        host.tell(now, input);
    }

    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        host.ask(match output {
            Output::Send { connection, text } => Output::Send {
                connection,
                text: self.rewritten(text),
            },
            output => output,
        });
    }
}
