//! D23: it gives up without a word. An error of a connect, of an upgrade or of `/gateway/bot` goes nowhere, a Close with 1000
//! counts as the end, and the loop that should have tried again has returned. The process lives and looks well.

use super::deaf::Deaf;
use super::wrapper::{Host, Perturb};
use crate::machine::{ConnectionId, Input, Output};
use crate::protocol::CloseCode;
use crate::time::Instant;
use std::collections::BTreeSet;

/// Tries no more after an error that it does not expect.
#[derive(Debug, Default)]
pub(super) struct Silent {
    /// Connections that are under way.
    connecting: BTreeSet<ConnectionId>,
    /// Those that the client left.
    left: BTreeSet<ConnectionId>,
    deaf: Deaf,
}

impl Perturb for Silent {
    fn input(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match &input {
            Input::Opened(connection) => {
                self.connecting.remove(connection);
            }
            Input::Ended { connection, .. } => {
                self.left.remove(connection);
                if self.connecting.remove(connection) {
                    return self.deaf.go(Some(*connection));
                }
            }
            Input::Closing {
                connection,
                code: Some(CloseCode::NORMAL),
                ..
            } if !self.left.contains(connection) => return self.deaf.go(Some(*connection)),
            Input::Fetched { result, .. }
                if !result.as_ref().is_ok_and(|answer| answer.status == 200) =>
            {
                return self.deaf.go(None);
            }
            _ => {}
        }
        self.deaf.pass(now, input, host);
    }

    fn output(&mut self, _: Instant, output: Output, host: &mut Host) {
        match &output {
            Output::Open { connection, .. } => {
                self.connecting.insert(*connection);
            }
            Output::Close { connection, .. } => {
                self.left.insert(*connection);
            }
            Output::Abort { connection } => {
                self.connecting.remove(connection);
            }
            _ => {}
        }
        host.ask(output);
    }
}
