//! Messages over a Unix socket, one JSON value a line: what gwtool and its supervisor say to each other.
//!
//! Both ends use it. It buffers in both directions and never waits; how much may wait to be sent is the caller's affair, who
//! can ask. What the messages mean is not known here.

use bytes::{Buf as _, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::UnixStream;

/// How much is read at once.
const CHUNK: usize = 8 * 1024;

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    /// What waits to be sent.
    outgoing: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// What was read: at most one line that is not whole yet, and whole ones before it.
    incoming: BytesMut,
    /// How much of it is known to hold no end of a line.
    searched: usize,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            outgoing: Vec::new(),
            sent: 0,
            incoming: BytesMut::new(),
            searched: 0,
        }
    }

    /// Takes a message that is to be sent by [`Self::poll_flush`].
    pub(super) fn put(&mut self, message: &impl Serialize) {
        serde_json::to_writer(&mut self.outgoing, message)
            .expect("messages have text keys only and a buffer takes all");
        self.outgoing.push(b'\n');
    }

    /// How many bytes wait to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Ready once nothing waits to be sent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.backlog() > 0 {
            let waiting = &self.outgoing[self.sent..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, waiting))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.outgoing.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// The next message; `None` once the other end is closed. What cannot be understood is an error, and the next line may be
    /// asked for.
    pub(super) fn poll_take<T: DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<serde_json::Result<T>>> {
        loop {
            let unsearched = &self.incoming[self.searched..];
            if let Some(found) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.incoming.split_to(self.searched + found);
                self.incoming.advance(1);
                self.searched = 0;
                return Poll::Ready(Some(serde_json::from_slice(&line)));
            }
            self.searched = self.incoming.len();
            let mut scratch = [0; CHUNK];
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            // A socket whose other end is gone may say so with a reset: closed is closed.
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(None);
            }
            self.incoming.extend_from_slice(buffer.filled());
        }
    }
}
