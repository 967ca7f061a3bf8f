//! D29: a frame that cannot be decoded is the end. The parser runs in the callback of the socket, and what it throws nobody
//! catches.

use super::wrapper::{Host, Perturb, payload};
use crate::machine::Input;
use crate::time::Instant;

/// Ends by the first frame that it cannot decode.
#[derive(Debug)]
pub(super) struct Kills;

impl Perturb for Kills {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        if let Input::Received { message, .. } = &input
            && payload(message).is_none()
        {
            return host.die("failed to decode a gateway payload");
        }
        host.tell(now, input);
    }
}
