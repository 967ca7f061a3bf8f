//! One connection at the gateway's end: its socket and its links, what is still to be read and written, and how far it is.
//!
//! Bytes in, bytes out. What they say, whom that concerns and when it happens is decided in [`super`]; here nothing is traced
//! and no schedule is asked.

use crate::fault::{Direction, Layer, OnClose, Port};
use crate::faults::Strike;
use crate::faults::link::{Chunk, Link};
use crate::net::codec::{self, Decoder, Opening};
use crate::net::compress::{Form, Packer};
use crate::net::tls;
use crate::net::transport::Transport;
use crate::protocol::{Compression, ServerFrame};
use crate::seed::Draw;
use crate::time::{Duration, Instant};
use crate::trace::Fate;
use bytes::{Buf as _, BytesMut};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

/// Where the WebSocket connection stands, seen from the gateway's end.
#[derive(Debug)]
pub(super) enum Stage {
    /// The upgrade is not answered. What the schedule wants sent waits until it is.
    Upgrading { parked: Vec<Strike> },
    /// The upgrade will be answered with something else than 101, which ends the connection. What else comes is no
    /// WebSocket and is not read as such.
    Rejected,
    /// Messages go both ways.
    Open,
    /// The gateway has sent its Close first.
    Left,
    /// The subject has sent its Close first; it will be, or has been, answered as the schedule says.
    Closed,
    /// The gateway sends no more and has said so with FIN, or by RST.
    Over,
}

/// What is still to be read from a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Yes,
    /// The schedule keeps the gateway from reading.
    Stopped,
    /// FIN or RST was read.
    Done,
}

/// What is still to be written to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Yes,
    /// FIN follows what waits.
    Fin,
    /// FIN was sent, or the socket takes no more.
    Done,
}

/// What a read came to.
#[derive(Debug)]
pub(super) enum Read {
    /// Nothing, for now.
    Pending,
    /// Bytes, FIN or RST.
    Chunk(Chunk),
    /// TLS has failed; how the subject leaves is still to be read.
    TlsFailed(String),
}

/// What a schedule does to a payload of the gateway's besides its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dress {
    pub(super) cut: Cut,
    /// How many bytes an unknown field in it has; zero for none.
    pub(super) pad: u32,
}

impl Dress {
    /// Nothing.
    pub(super) const USUAL: Self = Self {
        cut: Cut::Whole,
        pad: 0,
    };
}

/// In which parts a payload is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// In one.
    Whole,
    /// In so many.
    Parts(Layer, u32),
    /// Without its end.
    Short,
}

/// The first byte of a block that neither format has: in deflate and in zstd alike its type is the one that is reserved, nor does
/// it begin a zlib stream or a zstd frame.
const NO_BLOCK: u8 = 0x07;
/// The bits of that type.
const NO_TYPE: u8 = 0x06;

/// One connection.
pub(super) struct Connection {
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) waker: Waker,
    pub(super) inbound: Link,
    pub(super) outbound: Link,
    pub(super) decoder: Decoder,
    /// What compresses its payloads; there is nothing to compress before the upgrade is answered.
    pub(super) packer: Packer,
    /// What its URL asked for.
    pub(super) compression: Compression,
    /// What is sent cannot be read any more.
    pub(super) has_lost_context: bool,
    /// A compressed stream that was spoilt once stays so.
    is_spoilt: bool,
    /// In how many bytes bits of the next payload to the subject are flipped.
    corrupt: u32,
    /// A dispatch that waits for the next one to overtake it.
    pub(super) overtaken: Option<ServerFrame>,
    pub(super) stage: Stage,
    /// When a HELLO that was held back goes out.
    pub(super) hello_at: Option<Instant>,
    pub(super) reading: Reading,
    writing: Writing,
    /// Bytes that the socket has not taken.
    unwritten: BytesMut,
    /// How a Close is met on this connection only.
    pub(super) on_close: Option<OnClose<Duration>>,
}

impl Connection {
    /// One that was accepted just now; what comes over its links takes the latency each way.
    pub(super) fn new(port: Port, transport: Transport, waker: Waker, latency: Duration) -> Self {
        Self {
            port,
            transport,
            waker,
            inbound: Link::new(latency),
            outbound: Link::new(latency),
            decoder: Decoder::default(),
            packer: Packer::Plain,
            compression: Compression::None,
            has_lost_context: false,
            is_spoilt: false,
            corrupt: 0,
            overtaken: None,
            stage: Stage::Upgrading { parked: Vec::new() },
            hello_at: None,
            reading: Reading::Yes,
            writing: Writing::Yes,
            unwritten: BytesMut::new(),
            on_close: None,
        }
    }

    /// Appends what carries a text.
    pub(super) fn carry(&mut self, to: &mut Vec<u8>, text: &[u8], cut: Cut, draw: &mut Draw) {
        let is_spoilt = self.spoils(cut);
        let (form, payload) = self.packer.pack(text);
        let opening = match form {
            Form::Text => Opening::Text,
            Form::Binary => Opening::Binary,
        };
        if !is_spoilt && cut == Cut::Whole {
            return codec::frame(to, opening, payload);
        }
        let mut payload = payload.to_vec();
        let is_stream = self.compression.query().is_some();
        if self.has_lost_context {
            payload.insert(0, NO_BLOCK);
        }
        let count = std::mem::take(&mut self.corrupt);
        if let (Some(first), true) = (payload.first_mut(), count > 0) {
            // The first byte, of JSON as of any stream, is one without which nobody makes anything of the rest.
            *first = match form {
                Form::Text => *first ^ codec::NO_TEXT,
                Form::Binary => *first | NO_TYPE,
            };
            codec::flip(&mut payload[1..], count - 1, draw);
        }
        self.is_spoilt = is_spoilt && is_stream;
        match cut {
            Cut::Whole => codec::frame(to, opening, &payload),
            Cut::Short => codec::frame(to, opening, &payload[..payload.len() / 2]),
            Cut::Parts(Layer::Websocket, count) => codec::fragments(to, opening, &payload, count),
            Cut::Parts(Layer::Zlib, count) => {
                for part in codec::parts(&payload, count) {
                    codec::frame(to, opening, part);
                }
            }
        }
    }

    /// Whether nobody can say that a payload which is sent now will be read.
    pub(super) fn spoils(&self, cut: Cut) -> bool {
        self.is_spoilt || self.has_lost_context || self.corrupt > 0 || cut == Cut::Short
    }

    /// Flips bits of the next payload in as many bytes.
    pub(super) fn corrupt(&mut self, direction: Direction, count: u32, draw: &mut Draw) {
        if direction.to_subject() {
            self.corrupt = self.corrupt.saturating_add(count);
        }
        if direction.to_gateway() {
            self.decoder.spoil(count, draw.fork());
        }
    }

    /// Whether a frame still goes out. The gateway says nothing after a Close; a schedule may say anything until FIN.
    pub(super) fn takes(&self, fate: Fate) -> bool {
        match self.stage {
            Stage::Open => true,
            Stage::Left | Stage::Closed => fate == Fate::Injected,
            Stage::Upgrading { .. } | Stage::Rejected | Stage::Over => false,
        }
    }

    /// Whether there may be something to read now. A TLS handshake has to wait until nothing holds its bytes any more.
    pub(super) fn is_readable(&self) -> bool {
        let is_held = self.inbound.is_held() || self.outbound.is_held();
        self.reading == Reading::Yes && !(is_held && self.transport.is_handshaking())
    }

    /// Reads what the socket has, as much as fits into `scratch`.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Read {
        let mut buffer = ReadBuf::new(scratch);
        let mut cx = Context::from_waker(&self.waker);
        let chunk = match Pin::new(&mut self.transport).poll_read(&mut cx, &mut buffer) {
            Poll::Pending => return Read::Pending,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Chunk::Fin,
            Poll::Ready(Ok(())) => return Read::Chunk(Chunk::Bytes(buffer.filled().to_vec())),
            Poll::Ready(Err(error)) => match tls::failure(&error) {
                Some(why) => return Read::TlsFailed(why),
                None => Chunk::Rst,
            },
        };
        self.reading = Reading::Done;
        Read::Chunk(chunk)
    }

    /// Writes bytes, or keeps what the socket does not take for [`Self::flush`].
    pub(super) fn write(&mut self, bytes: &[u8]) {
        // Nearly always the socket takes all of it at once.
        let written = if self.unwritten.is_empty() && self.writing == Writing::Yes {
            let mut cx = Context::from_waker(&self.waker);
            match Pin::new(&mut self.transport).poll_write(&mut cx, bytes) {
                Poll::Ready(Ok(n)) => n,
                // What fails once fails again in `flush`, which sees to it.
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            }
        } else {
            0
        };
        self.unwritten.extend_from_slice(&bytes[written..]);
    }

    /// FIN follows what waits to be written.
    pub(super) fn finish(&mut self) {
        self.writing = Writing::Fin;
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) {
        if self.writing == Writing::Done {
            return;
        }
        let mut cx = Context::from_waker(&self.waker);
        let mut transport = Pin::new(&mut self.transport);
        while !self.unwritten.is_empty() {
            match transport.as_mut().poll_write(&mut cx, &self.unwritten) {
                Poll::Pending => return,
                Poll::Ready(Ok(n)) if n > 0 => self.unwritten.advance(n),
                // The end of it is read, not written: an RST is told to whichever call comes first, and the reader
                // sees at least the FIN that it then looks like.
                Poll::Ready(_) => {
                    self.unwritten.clear();
                    self.writing = Writing::Done;
                    return;
                }
            }
        }
        // TLS may have taken more than its socket.
        if transport.as_mut().poll_flush(&mut cx).is_pending() {
            return;
        }
        if self.writing == Writing::Fin && transport.poll_shutdown(&mut cx).is_ready() {
            self.writing = Writing::Done;
        }
    }

    /// Whether both sides have left it. One that is silent is not over: no FIN and no RST may come out of it.
    pub(super) fn is_over(&self) -> bool {
        self.reading == Reading::Done
            && self.inbound.next_arrival().is_none()
            && self.writing == Writing::Done
    }
}
