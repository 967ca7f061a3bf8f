//! A client that hears nothing any more: what a callback that never comes, or a lock that is never freed, makes of one.
//!
//! Its process lives and its sockets are served, but nothing reaches its lifecycle: no frame, no end of a connection, no
//! timer. Only when it is told to stop does it hear that, and before it what it has missed of its connection's end.

use super::wrapper::Host;
use crate::machine::{ConnectionId, End, Input};
use crate::time::Instant;

/// Whether a client hears.
#[derive(Debug, Default)]
pub(super) struct Deaf {
    is_deaf: bool,
    /// A connection that has ended, which the client does not know.
    ended: Option<ConnectionId>,
}

impl Deaf {
    /// Nothing reaches the client from here on. `ended` is the connection of which it will not hear that it is no more.
    pub(super) fn go(&mut self, ended: Option<ConnectionId>) {
        self.is_deaf = true;
        self.ended = self.ended.or(ended);
    }

    /// Passes on an input to one that hears; to one that does not, only the beginning and the end of its life.
    pub(super) fn pass(&mut self, now: Instant, input: Input<'_>, host: &mut Host) {
        match input {
            Input::Start { .. } | Input::Stop if self.is_deaf => {
                self.is_deaf = false;
                // It closes what it thinks is open; of this there is nothing left to close.
                if let Some(connection) = self.ended.take() {
                    let end = End::Closed;
                    host.tell(now, Input::Ended { connection, end });
                }
                host.tell(now, input);
            }
            _ if self.is_deaf => {}
            input => host.tell(now, input),
        }
    }

    /// Whether the client hears nothing.
    pub(super) const fn is_deaf(&self) -> bool {
        self.is_deaf
    }
}
