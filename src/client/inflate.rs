//! The text of the messages that a gateway sends, compressed or not (Discord, "Encoding and Compression").
//!
//! Used by the lifecycle alone: every connection has an [`Inflater`] of its own, which dies with it, so that what one
//! connection had learned cannot spoil the next. Messages go in, and each payload comes out once it is whole; what the
//! connection ends in the middle of never does. What cannot be read is an error, after which the connection is of no use.
//!
//! Pure: bytes in, text out, through one buffer that is used again and again. It knows no payloads, only where they end.

use crate::machine::Message;
use crate::protocol::Compression;
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;
use std::io;
use std::str::Utf8Error;
use thiserror::Error;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

/// The longest text of one payload that is read, in bytes. It is as much as one WebSocket frame may carry where nothing is
/// compressed (tungstenite's own limit): being compressed is no reason to be larger. The largest READYs are a few MiB.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// What a zlib stream ends a payload with: the empty block of a sync flush.
const FLUSH: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// By how much the buffer grows at least.
const GROWTH: usize = 4096;
/// What the buffer may keep from one payload to the next: one huge READY is no reason to hold its size for days.
const KEPT: usize = 1 << 20;

/// Reads the messages of one connection. By default it takes them as they are.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Stream,
    /// What was read of the payload under way.
    text: Text,
}

/// What the messages are parts of.
#[derive(Default)]
enum Stream {
    /// Of nothing: each is a payload's text.
    #[default]
    Plain,
    /// Binary ones are streams of their own.
    Whole(Decompress),
    /// Of one zlib stream. The last bytes of the payload under way tell whether it is over.
    Zlib(Decompress, [u8; 4]),
    /// Of one zstd frame. Each message is a payload.
    Zstd(Decoder<'static>),
}

/// Why a message cannot be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// It does not go on from what came before, or was damaged.
    #[error("what the gateway sent cannot be decompressed: {0}")]
    Corrupt(String),
    /// Whatever it is, it is not read further.
    #[error("a payload of more than {} MiB, compressed to less: not read", PAYLOAD_MAX >> 20)]
    TooLarge,
    /// The bytes are not text.
    #[error("not UTF-8 text")]
    Utf8(#[from] Utf8Error),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Whole(_) => "Whole",
            Self::Zlib(..) => "Zlib",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Inflater {
    /// For a connection that was asked for with this.
    ///
    /// # Panics
    /// Without memory for zstd's tables.
    pub fn new(compression: Compression) -> Self {
        let stream = match compression {
            Compression::None => Stream::Plain,
            Compression::Payload => Stream::Whole(Decompress::new(true)),
            Compression::ZlibStream => Stream::Zlib(Decompress::new(true), [0xFF; 4]),
            Compression::ZstdStream => {
                Stream::Zstd(Decoder::new().expect("a decoder fails only without memory"))
            }
        };
        Self {
            stream,
            text: Text::default(),
        }
    }

    /// The text of the payload that this message ends; `None` where there is more to come.
    ///
    /// After an error the rest of the connection cannot be read.
    pub fn read<'a>(&'a mut self, message: Message<'a>) -> Result<Option<&'a str>, Unreadable> {
        let bytes = match message {
            // A gateway compresses everything or nothing, but what can be read without is read.
            Message::Text(text) => return Ok(Some(text)),
            Message::Binary(bytes) => bytes,
        };
        let text = &mut self.text;
        match &mut self.stream {
            Stream::Plain => return Ok(Some(std::str::from_utf8(bytes)?)),
            Stream::Whole(stream) => {
                stream.reset(true);
                if text.inflate(stream, bytes)? != Status::StreamEnd {
                    let why = "its end is missing".to_owned();
                    return Err(Unreadable::Corrupt(why));
                }
            }
            Stream::Zlib(stream, tail) => {
                if text.inflate(stream, bytes)? == Status::StreamEnd {
                    let why = "the stream of the connection has ended".to_owned();
                    return Err(Unreadable::Corrupt(why));
                }
                // The four bytes themselves may come in two messages.
                let fresh = bytes.len().min(tail.len());
                tail.rotate_left(fresh);
                tail[FLUSH.len() - fresh..].copy_from_slice(&bytes[bytes.len() - fresh..]);
                if *tail != FLUSH {
                    return Ok(None);
                }
                *tail = [0xFF; 4];
            }
            Stream::Zstd(frame) => text.decode(frame, bytes)?,
        }
        Ok(Some(std::str::from_utf8(text.take())?))
    }
}

/// A buffer and how far it is filled. What lies behind is there already, so that it is not cleared for every payload.
#[derive(Default)]
struct Text {
    buffer: Vec<u8>,
    filled: usize,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.filled)
    }
}

impl Text {
    /// What was read; the next payload begins anew.
    fn take(&mut self) -> &[u8] {
        let filled = std::mem::take(&mut self.filled);
        &self.buffer[..filled]
    }

    /// Makes room for more, at the beginning of a payload as well as in its midst.
    fn grow(&mut self) {
        if self.filled == 0 && self.buffer.len() > KEPT {
            self.buffer.truncate(KEPT);
            self.buffer.shrink_to_fit();
        }
        if self.filled == self.buffer.len() {
            let length = self.buffer.len();
            self.buffer.resize(length + length.max(GROWTH), 0);
        }
    }

    /// So far it is filled now.
    fn fill(&mut self, filled: usize) -> Result<(), Unreadable> {
        self.filled = filled;
        if filled > PAYLOAD_MAX {
            return Err(Unreadable::TooLarge);
        }
        Ok(())
    }

    /// Everything that there is in a part of a zlib stream, and whether it was the last part.
    fn inflate(&mut self, stream: &mut Decompress, mut bytes: &[u8]) -> Result<Status, Unreadable> {
        loop {
            self.grow();
            let (taken, given) = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(
                    bytes,
                    &mut self.buffer[self.filled..],
                    FlushDecompress::None,
                )
                .map_err(|error| Unreadable::Corrupt(error.to_string()))?;
            bytes = &bytes[length(stream.total_in() - taken)..];
            self.fill(self.filled + length(stream.total_out() - given))?;
            if status == Status::StreamEnd && !bytes.is_empty() {
                let why = format!("{} bytes follow its end", bytes.len());
                return Err(Unreadable::Corrupt(why));
            }
            // Where the buffer is full there may be more, whatever was taken.
            let has_room = self.filled < self.buffer.len();
            if status == Status::StreamEnd || (bytes.is_empty() && has_room) {
                return Ok(status);
            }
        }
    }

    /// Everything that there is in a part of a zstd frame.
    fn decode(&mut self, frame: &mut Decoder<'_>, bytes: &[u8]) -> Result<(), Unreadable> {
        let corrupt = |error: io::Error| Unreadable::Corrupt(error.to_string());
        let mut from = InBuffer::around(bytes);
        loop {
            self.grow();
            let mut to = OutBuffer::around_pos(&mut self.buffer[..], self.filled);
            frame.run(&mut from, &mut to).map_err(corrupt)?;
            let filled = to.pos();
            self.fill(filled)?;
            if from.pos() == bytes.len() && self.filled < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

/// A count of bytes in a buffer.
fn length(count: u64) -> usize {
    usize::try_from(count).expect("no more is read than fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, FlushCompress};
    use proptest::prelude::*;
    use zstd::stream::raw::Encoder;

    /// A gateway's end of a stream, written for the test: packs text into one message.
    enum Packer {
        Whole,
        Zlib(Compress),
        Zstd(Encoder<'static>),
    }

    impl Packer {
        fn of(compression: Compression) -> Self {
            match compression {
                Compression::None => unreachable!("the tests pack"),
                Compression::Payload => Self::Whole,
                Compression::ZlibStream => {
                    Self::Zlib(Compress::new(flate2::Compression::best(), true))
                }
                Compression::ZstdStream => Self::Zstd(Encoder::new(1).unwrap()),
            }
        }

        fn pack(&mut self, text: &[u8]) -> Vec<u8> {
            let mut packed = Vec::with_capacity(text.len() * 2 + 1024);
            match self {
                Self::Whole => {
                    let mut stream = Compress::new(flate2::Compression::best(), true);
                    let end = stream.compress_vec(text, &mut packed, FlushCompress::Finish);
                    assert_eq!(end.unwrap(), Status::StreamEnd);
                }
                Self::Zlib(stream) => {
                    let end = stream.compress_vec(text, &mut packed, FlushCompress::Sync);
                    assert_eq!(end.unwrap(), Status::Ok);
                    assert!(packed.ends_with(&FLUSH));
                }
                Self::Zstd(frame) => {
                    packed.resize(packed.capacity(), 0);
                    let mut from = InBuffer::around(text);
                    let mut to = OutBuffer::around(&mut packed[..]);
                    frame.run(&mut from, &mut to).unwrap();
                    assert_eq!(frame.flush(&mut to).unwrap(), 0, "it had room");
                    let length = to.pos();
                    packed.truncate(length);
                }
            }
            packed
        }
    }

    const STREAMS: [Compression; 2] = [Compression::ZlibStream, Compression::ZstdStream];
    const ALL: [Compression; 3] = [
        Compression::ZlibStream,
        Compression::ZstdStream,
        Compression::Payload,
    ];

    fn error(inflater: &mut Inflater, bytes: &[u8]) -> String {
        let error = inflater.read(Message::Binary(bytes)).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_is_not_compressed_is_given_as_it_came() {
        let text = "{\"op\":11}";
        for compression in Compression::ALL {
            let mut inflater = Inflater::new(compression);
            let read = inflater.read(Message::Text(text)).unwrap().unwrap();
            assert!(std::ptr::eq(read, text), "nothing is copied");
        }
        let mut plain = Inflater::new(Compression::None);
        let read = plain.read(Message::Binary(text.as_bytes())).unwrap();
        assert_eq!(read, Some(text));
        assert_eq!(error(&mut plain, b"\xff"), "not UTF-8 text");
    }

    #[test]
    fn payloads_of_any_length_are_read_one_after_the_other() {
        let dull = "a".repeat(700_000);
        for compression in ALL {
            let (mut packer, mut inflater) = (Packer::of(compression), Inflater::new(compression));
            for length in [
                2,
                700_000,
                3,
                GROWTH - 1,
                GROWTH,
                GROWTH + 1,
                2 * GROWTH,
                500_000,
            ] {
                let bytes = packer.pack(&dull.as_bytes()[..length]);
                let read = inflater.read(Message::Binary(&bytes)).unwrap().unwrap();
                assert!(read == &dull[..length], "{compression:?} {length}");
            }
        }
    }

    #[test]
    fn a_payload_that_comes_in_pieces_is_whole_with_the_last_one() {
        let (first, second) = ("{\"op\":10,\"d\":{}}", "{\"op\":11}");
        let mut packer = Packer::of(Compression::ZlibStream);
        let bytes = packer.pack(first.as_bytes());
        let next = packer.pack(second.as_bytes());
        // Every place there is, those in the midst of the four last bytes included.
        for cut in 0..bytes.len() {
            let mut inflater = Inflater::new(Compression::ZlibStream);
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(inflater.read(Message::Binary(head)).unwrap(), None, "{cut}");
            assert_eq!(inflater.read(Message::Binary(tail)).unwrap(), Some(first));
            assert_eq!(inflater.read(Message::Binary(b"")).unwrap(), None);
            for byte in &next[..next.len() - 1] {
                assert_eq!(inflater.read(Message::Binary(&[*byte])).unwrap(), None);
            }
            let last = &next[next.len() - 1..];
            assert_eq!(inflater.read(Message::Binary(last)).unwrap(), Some(second));
        }
    }

    #[test]
    fn nothing_of_one_connection_serves_another() {
        for compression in STREAMS {
            let mut packer = Packer::of(compression);
            packer.pack(b"{\"op\":10,\"d\":{\"heartbeat_interval\":41250}}");
            let later = packer.pack(b"{\"op\":10,\"d\":{\"heartbeat_interval\":41250}}");
            let why = error(&mut Inflater::new(compression), &later);
            assert!(why.starts_with("what the gateway sent cannot be"), "{why}");
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_too_long_is_no_payload() {
        let whole = Packer::of(Compression::Payload).pack(b"{\"op\":11}");
        let mut inflater = Inflater::new(Compression::Payload);
        let text = "what the gateway sent cannot be decompressed: ";
        let cut = error(&mut inflater, &whole[..whole.len() - 1]);
        assert_eq!(cut, format!("{text}its end is missing"));
        let mut inflater = Inflater::new(Compression::Payload);
        let mut longer = whole.clone();
        longer.extend_from_slice(b"{}");
        let longer = error(&mut inflater, &longer);
        assert_eq!(longer, format!("{text}2 bytes follow its end"));
        // A stream of a connection has no end.
        let ended = error(&mut Inflater::new(Compression::ZlibStream), &whole);
        assert_eq!(
            ended,
            format!("{text}the stream of the connection has ended")
        );
    }

    #[test]
    fn a_bomb_is_not_read_to_its_end() {
        for compression in ALL {
            let (mut packer, mut inflater) = (Packer::of(compression), Inflater::new(compression));
            let bomb = packer.pack(&vec![b' '; 5 * PAYLOAD_MAX]);
            assert!(bomb.len() < PAYLOAD_MAX / 100);
            let why = error(&mut inflater, &bomb);
            assert_eq!(
                why,
                "a payload of more than 16 MiB, compressed to less: not read"
            );
            assert!(inflater.text.buffer.len() <= 4 * PAYLOAD_MAX);
        }
    }

    #[test]
    fn the_room_that_a_huge_payload_took_is_given_back() {
        let (mut packer, mut inflater) = (
            Packer::of(Compression::ZlibStream),
            Inflater::new(Compression::ZlibStream),
        );
        for length in [8 << 20, 10] {
            let bytes = packer.pack(&vec![b' '; length]);
            let read = inflater.read(Message::Binary(&bytes)).unwrap().unwrap();
            assert_eq!(read.len(), length);
        }
        assert!(inflater.text.buffer.capacity() <= 2 * KEPT);
    }

    proptest! {
        #[test]
        fn no_bytes_whatsoever_do_any_harm(
            texts in prop::collection::vec("[a-z{}\":0-9]{1,300}", 1..6),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..3),
            cut in any::<prop::sample::Index>(),
        ) {
            for compression in ALL {
                let (mut packer, mut inflater) = (Packer::of(compression), Inflater::new(compression));
                for text in &texts {
                    let bytes = packer.pack(text.as_bytes());
                    let read = inflater.read(Message::Binary(&bytes)).unwrap();
                    prop_assert_eq!(read, Some(text.as_str()));
                }
                let mut last = packer.pack(texts[0].as_bytes());
                for (at, mask) in &flips {
                    let at = at.index(last.len());
                    last[at] ^= mask;
                }
                last.truncate(cut.index(last.len()) + 1);
                // Read or refused: it ends, and it does not panic.
                let _ = inflater.read(Message::Binary(&last));
            }
        }
    }
}
