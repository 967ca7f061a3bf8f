//! D18: no code is fatal. The list of those after which nobody may come back is empty, and all are met as 4000 is.

use super::wrapper::{Host, Perturb};
use crate::machine::Input;
use crate::protocol::CloseCode;
use crate::time::Instant;

/// Comes back after every close code.
#[derive(Debug)]
pub(super) struct Retried;

impl Perturb for Retried {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        let input = match input {
            Input::Closing {
                connection,
                code: Some(code),
                reason,
            } if code.is_fatal() => Input::Closing {
                connection,
                code: Some(CloseCode::UNKNOWN_ERROR),
                reason,
            },
            input => input,
        };
        host.tell(now, input);
    }
}
