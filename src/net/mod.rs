//! The engine: every socket, every clock, and the loop that runs a subject next to the fake gateway.
//!
//! Nothing outside this folder does I/O. [`run::run`] takes everything that decides a run as values, and hands what it sees to
//! observers as it happens.

mod codec;
pub mod connect;
mod dial;
mod driver;
mod gateway_side;
mod http;
mod listener;
mod pipe;
mod record;
pub mod run;
#[cfg(test)]
mod sockets;
mod subject_side;
mod timers;
mod transport;
mod wake;
mod wall;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;
use tokio::sync::Notify;

/// Why gwtool could not make a run at all.
#[derive(Debug, Error)]
pub enum RunError {
    /// No port of the loopback interface could be had.
    #[error("failed to listen on a port of the loopback interface")]
    Listen(#[source] io::Error),
    /// The operating system gave no event queue.
    #[error("failed to set up the event loop")]
    Runtime(#[source] io::Error),
    /// The program under test could not be started.
    #[error("failed to start `{program}`: {why}")]
    Start {
        /// What was to be started: the first word of the command.
        program: String,
        /// What the operating system said.
        why: String,
    },
}

/// A wish that runs end now; shared by everything that runs.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Raised>);

#[derive(Debug, Default)]
struct Raised {
    is_raised: AtomicBool,
    notify: Notify,
}

impl Interrupt {
    /// Wants every run that shares this to end.
    pub fn raise(&self) {
        self.0.is_raised.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    /// Whether somebody wants it.
    pub fn is_raised(&self) -> bool {
        self.0.is_raised.load(Ordering::Acquire)
    }
}
