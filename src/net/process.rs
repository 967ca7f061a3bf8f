//! gwtool's end of the supervisor: programs of somebody else's, started, told and ended through another process.
//!
//! A run in real time that has a program as its subject owns one [`Supervisor`]; any number of them run side by side. It never
//! waits: [`Supervisor::order`] takes orders, [`Supervisor::poll_report`] sends them and gives what came. Whatever becomes of
//! it (ended, dropped, its process killed), the programs end: [`super::supervisor`] sees to that from the other side. What a
//! program's end means for a run is not known here.

use super::supervisor::{KILL_PATIENCE, LAST_WORDS, Order, Report};
use super::wire::Wire;
use crate::time::Duration;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, ready};
use std::thread;

/// What a busy machine may take beyond all the time that the supervisor takes by design.
const MARGIN: Duration = Duration::from_secs(4);

/// A supervisor process, and with it every program that it was told to start.
///
/// To drop it is to have everything ended with a short grace, without waiting for it; [`Self::end`] waits.
#[derive(Debug)]
pub struct Supervisor {
    wire: Wire,
    /// `None` once somebody waits for it.
    process: Option<Child>,
}

impl Supervisor {
    /// Starts a supervisor: `executable` is gwtool. Has to be called in a tokio runtime with I/O, and used in the same.
    pub fn start(executable: &Path) -> io::Result<Self> {
        // Neither end is inherited by what others start meanwhile: a socket that somebody holds does not close.
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(ours)?;
        let process = Command::new(executable)
            .arg("supervise")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            // A Ctrl-C at the terminal is for gwtool alone, which then ends its programs in good order.
            .process_group(0)
            .spawn()?;
        Ok(Self {
            wire: Wire::new(stream),
            process: Some(process),
        })
    }

    /// Takes an order, which is sent with the next [`Self::poll_report`]. When the supervisor is gone it goes nowhere.
    pub fn order(&mut self, order: &Order) {
        self.wire.put(order);
    }

    /// Sends the orders, and gives the next report; `None` once the supervisor is gone.
    pub fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        // Where nothing can be sent any more there may be reports left; that they end is told by the other direction.
        let _ = self.wire.poll_flush(cx);
        loop {
            match ready!(self.wire.poll_take(cx)) {
                Some(Ok(report)) => return Poll::Ready(Some(report)),
                // An executable that was replaced meanwhile may be of another version.
                Some(Err(error)) => tracing::warn!("the supervisor is not understood: {error}"),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Ends every program and everything that they started, and waits until the supervisor has exited; gives whether it did
    /// so by itself, and so has left nobody behind. Whoever wants to hear the last reports gives [`Order::End`] and
    /// takes them until there are none, first.
    pub async fn end(mut self, grace: Duration) -> bool {
        self.order(&Order::End { grace });
        let bound = grace + KILL_PATIENCE + LAST_WORDS + MARGIN;
        let over = async { while poll_fn(|cx| self.poll_report(cx)).await.is_some() {} };
        let is_over = tokio::time::timeout(bound, over).await.is_ok();
        let Some(mut process) = self.process.take() else {
            return is_over;
        };
        if !is_over {
            // Where this fails it has exited just now.
            let _ = process.kill();
        }
        // Its socket closes with the process: this does not take long.
        let status = process.wait();
        is_over && status.is_ok_and(|status| status.success())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The socket closes right after this; nobody waits for what follows, but somebody has to reap.
            // Where there is no thread to be had, gwtool's own end does it.
            let _ = thread::Builder::new().spawn(move || process.wait());
        }
    }
}
