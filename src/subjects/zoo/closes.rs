//! D10: every connection is closed with 1000, what a WebSocket library sends where nobody says otherwise. To the gateway it
//! means that the client does not come back, so that the session is gone.

use super::wrapper::{Host, Perturb};
use crate::client::lifecycle::LEAVE;
use crate::machine::Output;
use crate::protocol::CloseCode;
use crate::time::Instant;

/// Leaves with 1000 where it means to resume.
#[derive(Debug)]
pub(super) struct Closes1000;

impl Perturb for Closes1000 {
    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        host.ask(match output {
            Output::Close {
                connection,
                code: Some(LEAVE),
                within,
            } => Output::Close {
                connection,
                code: Some(CloseCode::NORMAL),
                within,
            },
            output => output,
        });
    }
}
