//! D05, D06: a wait without an end. The deadline of one step of a connection is never armed.

use super::wrapper::{Host, Perturb};
use crate::machine::Output;
use crate::time::Instant;

/// Lacks one of the client's deadlines, by the name of its timer.
#[derive(Debug)]
pub(super) struct NoDeadline(pub(super) &'static str);

impl Perturb for NoDeadline {
    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        match output {
            Output::Arm { timer, .. } | Output::Disarm { timer } if timer.name == self.0 => {}
            output => host.ask(output),
        }
    }
}
