//! A connected pair of sockets in memory, which behave as TCP sockets of Linux do.
//!
//! What that means was measured (ARCHITECTURE.md, "Sockets") and is held by a table test that runs the same probes over a pipe
//! and over loopback TCP: bytes that have arrived are read before an RST; an RST is reported once, to whichever call comes
//! first; dropping a socket with unread data sends RST, without it FIN; writing to a socket that is gone succeeds once and
//! brings an RST back.
//!
//! A pipe has no latency; a [`Link`](crate::faults::link::Link) at the gateway's end adds it.

use bytes::{Buf as _, BytesMut};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes a direction holds before writes block, unless it is set: what loopback TCP takes at the least.
const WINDOW: usize = 64 * 1024;

/// What one end still has to learn.
#[derive(Debug, Default)]
struct End {
    /// Bytes that arrived and were not read.
    unread: BytesMut,
    /// How many bytes may wait here.
    window: usize,
    /// What comes after the last byte.
    after: After,
    /// Whether this end's owner dropped it.
    is_gone: bool,
    /// Whether this end sent FIN.
    has_shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What comes after the last byte that arrived.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum After {
    /// More bytes, perhaps.
    #[default]
    Open,
    /// A FIN.
    Fin,
    /// An RST that nobody was told of.
    Rst,
    /// An RST that was reported: what follows looks like a FIN to a reader and like a broken pipe to a writer.
    Told,
}

impl End {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// An RST arrives. After a FIN it is no news to a reader, and a writer is told of a broken pipe.
    fn reset(&mut self) {
        self.after = if self.after == After::Open {
            After::Rst
        } else {
            After::Told
        };
        self.wake_reader();
        self.wake_writer();
    }
}

/// One end of a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    ends: Rc<RefCell<[End; 2]>>,
    mine: usize,
}

/// A connected pair.
pub(super) fn pair() -> (Pipe, Pipe) {
    let end = || End {
        window: WINDOW,
        ..End::default()
    };
    let ends = Rc::new(RefCell::new([end(), end()]));
    (
        Pipe {
            ends: Rc::clone(&ends),
            mine: 0,
        },
        Pipe { ends, mine: 1 },
    )
}

impl Pipe {
    /// Sets how many bytes may wait to be read at this end.
    pub(super) fn set_window(&mut self, window: usize) {
        self.ends.borrow_mut()[self.mine].window = window;
    }

    /// Ends the connection with an RST.
    pub(super) fn abort(&mut self) {
        let mut ends = self.ends.borrow_mut();
        if !ends[self.mine].is_gone {
            ends[self.mine].is_gone = true;
            ends[1 - self.mine].reset();
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut ends = self.ends.borrow_mut();
        let mine = &mut ends[self.mine];
        if mine.is_gone {
            return;
        }
        mine.is_gone = true;
        let has_unread = !mine.unread.is_empty();
        let theirs = &mut ends[1 - self.mine];
        if has_unread {
            theirs.reset();
        } else if theirs.after == After::Open {
            theirs.after = After::Fin;
            theirs.wake_reader();
            theirs.wake_writer();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.ends.borrow_mut();
        let mine = &mut ends[self.mine];
        if !mine.unread.is_empty() {
            let n = mine.unread.len().min(to.remaining());
            to.put_slice(&mine.unread[..n]);
            mine.unread.advance(n);
            ends[1 - self.mine].wake_writer();
            return Poll::Ready(Ok(()));
        }
        match mine.after {
            After::Fin | After::Told => Poll::Ready(Ok(())),
            After::Rst => {
                mine.after = After::Told;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            After::Open => {
                remember(&mut mine.reader, cx);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.ends.borrow_mut();
        let [mine, theirs] = both(&mut ends, self.mine);
        match mine.after {
            After::Rst => {
                mine.after = After::Told;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            After::Told => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            After::Open | After::Fin if mine.has_shut => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            After::Open | After::Fin => {}
        }
        if theirs.is_gone {
            // The bytes leave; an RST comes back for them.
            mine.reset();
            return Poll::Ready(Ok(from.len()));
        }
        let room = theirs.window.saturating_sub(theirs.unread.len());
        if room == 0 && !from.is_empty() {
            remember(&mut mine.writer, cx);
            return Poll::Pending;
        }
        let n = room.min(from.len());
        theirs.unread.extend_from_slice(&from[..n]);
        theirs.wake_reader();
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.ends.borrow_mut();
        let [mine, theirs] = both(&mut ends, self.mine);
        mine.has_shut = true;
        if theirs.after == After::Open {
            theirs.after = After::Fin;
            theirs.wake_reader();
        }
        Poll::Ready(Ok(()))
    }
}

/// Both ends, mine first.
fn both(ends: &mut [End; 2], mine: usize) -> [&mut End; 2] {
    let [a, b] = ends;
    if mine == 0 { [a, b] } else { [b, a] }
}

/// Keeps the waker of whoever polls, unless it is kept already.
fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        slot => *slot = Some(cx.waker().clone()),
    }
}
