//! The engine: every socket, every clock, and the loop that runs a subject next to the fake gateway.
//!
//! Nothing outside this folder does I/O. [`run::run`] takes everything that decides a run as values, and hands what it sees to
//! observers as it happens.

mod codec;
mod compress;
pub mod connect;
mod dial;
mod driver;
mod evidence;
mod gateway_side;
mod http;
mod listener;
mod pipe;
pub mod process;
mod program_side;
mod record;
pub mod run;
#[cfg(test)]
mod sockets;
mod subject_side;
pub mod supervisor;
mod timers;
pub mod tls;
mod transport;
mod wake;
mod wall;
mod wire;

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
    /// The certificate of the run's authority could not be written for the program under test.
    #[error("failed to write the certificate authority to a temporary file")]
    AuthorityFile(#[source] io::Error),
    /// The program under test could not be started.
    #[error("failed to start `{program}`: {why}")]
    Start {
        /// As it was given.
        program: String,
        /// What the operating system said.
        why: String,
    },
    /// The process that watches over the program under test could not be started, or ended before its time.
    #[error("failed to watch over the program under test")]
    Supervisor(#[source] io::Error),
    /// The operating system gave no event queue.
    #[error("failed to set up the event loop")]
    Runtime(#[source] io::Error),
    /// No certificate could be made for a run that serves TLS.
    #[error("failed to make a certificate for this run")]
    Certificate(#[source] rcgen::Error),
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
