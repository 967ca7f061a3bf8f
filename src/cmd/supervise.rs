//! `gwtool supervise`: what gwtool starts beside itself to look after a program. Hidden, since it is of no use to anybody else.

use super::exit;
use super::failure::Failure;
use crate::net::supervisor::{self, SupervisorError};

/// Looks after programs until gwtool is gone.
pub fn run() -> Result<u8, Failure> {
    match supervisor::run() {
        Ok(()) => Ok(exit::DONE),
        Err(SupervisorError::NotGwtool) => Err(Failure::new(
            "`supervise` is for gwtool's own use: expected a socket to gwtool as stdin",
        )
        .hint("`gwtool --help` lists the commands that are for you")),
        Err(error) => Err(Failure::of(&error)),
    }
}
