//! What becomes of the text of the gateway's payloads on its way out: nothing, or compression (Discord, "Encoding and
//! Compression").
//!
//! Every connection at the gateway's end has a [`Packer`]; text goes in, the message that carries it comes out. It is asked
//! after a frame's fate, when the frame is written: each message of a stream builds on the ones before, so that one that was
//! packed and then withheld would leave the subject unable to read anything that follows.
//!
//! Pure: bytes in, bytes out. It knows nothing of WebSocket but which kind of message it has made.

use crate::protocol::Compression;
use flate2::{Compress, FlushCompress, Status};
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

/// From how many bytes on payloads are compressed where IDENTIFY asked for it. Discord says only that they may be. Here
/// everything with an object of Discord's in it is (READY, guilds, messages), and what only steers is not (HELLO, ACKs, op 7,
/// op 9, RESUMED), so that a client meets both kinds on every connection.
const WHOLE_MIN: usize = 512;
/// More than deflate adds to anything of a few KiB: its header, the flush and the checksum. Growing later is not wrong, only slow.
const SLACK: usize = 64;

/// The state of a connection's compression.
pub(super) enum Packer {
    /// There is none: text stays text.
    Plain,
    /// Payloads from [`WHOLE_MIN`] bytes on are zlib streams of their own.
    Whole(Deflate),
    /// All payloads are one zlib stream.
    Zlib(Deflate),
    /// All payloads are one zstd frame, which never ends.
    Zstd(Zstd),
}

/// The kinds of messages that carry payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Binary,
}

impl Packer {
    /// As the URL of the upgrade asks for it.
    pub(super) fn new(compression: Compression) -> Self {
        match compression {
            // Payload compression is asked for later, by the login.
            Compression::None | Compression::Payload => Self::Plain,
            Compression::ZlibStream => Self::Zlib(Deflate::new()),
            Compression::ZstdStream => Self::Zstd(Zstd::new()),
        }
    }

    /// Follows a login: whether its session wants payloads compressed. Where the transport is, that does not count.
    pub(super) fn log_in(&mut self, wants_whole: bool) {
        match (&*self, wants_whole) {
            (Self::Plain, true) => *self = Self::Whole(Deflate::new()),
            (Self::Whole(_), false) => *self = Self::Plain,
            (Self::Plain | Self::Whole(_) | Self::Zlib(_) | Self::Zstd(_), _) => {}
        }
    }

    /// The message that carries a payload's text. What is not compressed is not copied either.
    pub(super) fn pack<'a>(&'a mut self, text: &'a [u8]) -> (Form, &'a [u8]) {
        match self {
            Self::Plain => (Form::Text, text),
            Self::Whole(_) if text.len() < WHOLE_MIN => (Form::Text, text),
            Self::Whole(deflate) => (Form::Binary, deflate.whole(text)),
            Self::Zlib(deflate) => (Form::Binary, deflate.part(text)),
            Self::Zstd(zstd) => (Form::Binary, zstd.part(text)),
        }
    }
}

/// A zlib stream, and the message that was made last.
pub(super) struct Deflate {
    stream: Compress,
    packed: Vec<u8>,
}

impl Deflate {
    fn new() -> Self {
        Self {
            stream: Compress::new(flate2::Compression::default(), true),
            packed: Vec::new(),
        }
    }

    /// The next part of the stream; it ends in the empty block of a sync flush, `00 00 FF FF`.
    fn part(&mut self, text: &[u8]) -> &[u8] {
        self.run(text, FlushCompress::Sync);
        &self.packed
    }

    /// A stream of its own.
    fn whole(&mut self, text: &[u8]) -> &[u8] {
        self.stream.reset();
        self.run(text, FlushCompress::Finish);
        &self.packed
    }

    fn run(&mut self, text: &[u8], flush: FlushCompress) {
        self.packed.clear();
        let before = self.stream.total_in();
        loop {
            let taken = usize::try_from(self.stream.total_in() - before)
                .expect("no more is taken than was given");
            let rest = &text[taken..];
            // A flush is over once room is left behind it. There always is: the bound of deflate's own format is less.
            self.packed.reserve(rest.len() + (rest.len() >> 8) + SLACK);
            let status = self
                .stream
                .compress_vec(rest, &mut self.packed, flush)
                .expect("a stream that was not finished takes more");
            let has_room = self.packed.len() < self.packed.capacity();
            let is_over = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => has_room,
            };
            if is_over {
                return;
            }
        }
    }
}

/// A zstd frame, and the message that was made last.
pub(super) struct Zstd {
    frame: Encoder<'static>,
    packed: Vec<u8>,
}

impl Zstd {
    fn new() -> Self {
        Self {
            frame: Encoder::new(zstd::DEFAULT_COMPRESSION_LEVEL)
                .expect("zstd has a default level and fails only without memory"),
            packed: Vec::new(),
        }
    }

    /// The next part of the frame, whole blocks only: all of it can be read without the next part.
    fn part(&mut self, text: &[u8]) -> &[u8] {
        self.packed.clear();
        let mut from = InBuffer::around(text);
        loop {
            self.packed
                .reserve(zstd::zstd_safe::compress_bound(text.len()) + SLACK);
            let written = self.packed.len();
            let mut to = OutBuffer::around_pos(&mut self.packed, written);
            let is_taken = from.pos() == text.len();
            let result = if is_taken {
                self.frame.flush(&mut to)
            } else {
                self.frame.run(&mut from, &mut to)
            };
            let left = result.expect("an encoder that has its memory does not fail");
            if is_taken && left == 0 {
                return &self.packed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;
    use zstd::stream::raw::Decoder;

    /// A client's end of a stream: what one message gives, without looking at the next.
    enum Reader {
        Zlib(Decompress),
        Zstd(Decoder<'static>),
    }

    impl Reader {
        fn of(compression: Compression) -> Self {
            match compression {
                Compression::ZlibStream => Self::Zlib(Decompress::new(true)),
                Compression::ZstdStream => Self::Zstd(Decoder::new().unwrap()),
                Compression::None | Compression::Payload => unreachable!("the tests read streams"),
            }
        }

        fn read(&mut self, message: &[u8]) -> Vec<u8> {
            let mut text = vec![0; 1 << 20];
            let length = match self {
                Self::Zlib(stream) => {
                    let (taken, given) = (stream.total_in(), stream.total_out());
                    let status = stream
                        .decompress(message, &mut text, FlushDecompress::Sync)
                        .unwrap();
                    assert_eq!(status, Status::Ok, "the stream goes on");
                    assert_eq!(stream.total_in() - taken, message.len() as u64);
                    usize::try_from(stream.total_out() - given).unwrap()
                }
                Self::Zstd(frame) => {
                    let mut from = InBuffer::around(message);
                    let mut to = OutBuffer::around(&mut text[..]);
                    while from.pos() < message.len() {
                        let left = frame.run(&mut from, &mut to).unwrap();
                        assert_ne!(left, 0, "the frame goes on");
                    }
                    to.pos()
                }
            };
            text.truncate(length);
            text
        }
    }

    /// Bytes without any pattern: they get no shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    const STREAMS: [Compression; 2] = [Compression::ZlibStream, Compression::ZstdStream];

    #[track_caller]
    fn assert_carried<'a>(
        compression: Compression,
        texts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<usize> {
        let (mut packer, mut reader) = (Packer::new(compression), Reader::of(compression));
        let mut lengths = Vec::new();
        for text in texts {
            let (form, message) = packer.pack(text);
            assert_eq!(form, Form::Binary);
            if compression == Compression::ZlibStream {
                assert!(
                    message.ends_with(&[0, 0, 0xFF, 0xFF]),
                    "{} bytes of text",
                    text.len()
                );
            }
            assert!(reader.read(message) == text, "{} bytes of text", text.len());
            lengths.push(message.len());
        }
        lengths
    }

    #[test]
    fn every_message_of_a_stream_is_one_payload_whatever_its_length() {
        // Around the sizes of deflate's and zstd's own blocks and buffers as well.
        let near = |edge: usize| edge.saturating_sub(3)..edge + 4;
        let edges = [256, 4096, 1 << 15, 1 << 16, 1 << 17, 1 << 18];
        let lengths: Vec<usize> = (0..130)
            .chain(edges.into_iter().flat_map(near))
            .chain([700_000])
            .collect();
        let noise = noise(700_000);
        let dull = vec![b'a'; 700_000];
        for compression in STREAMS {
            for text in [&noise, &dull] {
                assert_carried(compression, lengths.iter().map(|length| &text[..*length]));
            }
        }
    }

    #[test]
    fn a_message_builds_on_the_ones_before() {
        let text = br#"{"t":"MESSAGE_CREATE","s":3,"op":0,"d":{"id":"1468006400000000001","content":"1"}}"#;
        for compression in STREAMS {
            let lengths = assert_carried(compression, [&text[..], text]);
            assert!(lengths[1] < lengths[0] / 2, "{compression:?}: {lengths:?}");
        }
    }

    #[test]
    fn streams_begin_with_the_headers_of_their_formats() {
        let mut zlib = Packer::new(Compression::ZlibStream);
        assert_eq!(zlib.pack(b"{}").1[0], 0x78);
        let mut zstd = Packer::new(Compression::ZstdStream);
        assert_eq!(zstd.pack(b"{}").1[..4], [0x28, 0xB5, 0x2F, 0xFD]);
        // Once for each connection.
        assert_ne!(zlib.pack(b"{}").1[0], 0x78);
        assert_ne!(zstd.pack(b"{}").1[..4], [0x28, 0xB5, 0x2F, 0xFD]);
    }

    #[test]
    fn without_compression_the_text_itself_is_sent() {
        let text = noise(2000);
        let mut packer = Packer::new(Compression::None);
        let (form, message) = packer.pack(&text);
        assert_eq!(form, Form::Text);
        assert!(std::ptr::eq(message, text.as_slice()), "nothing is copied");
    }

    #[test]
    fn after_a_login_that_asks_for_it_long_payloads_are_streams_of_their_own() {
        let mut packer = Packer::new(Compression::None);
        packer.log_in(true);
        for text in [noise(WHOLE_MIN), vec![b'a'; 100_000], noise(100_000)] {
            let (form, message) = packer.pack(&text);
            assert_eq!(form, Form::Binary);
            let mut read = Vec::with_capacity(text.len() + 1);
            let mut stream = Decompress::new(true);
            let status = stream
                .decompress_vec(message, &mut read, FlushDecompress::Finish)
                .unwrap();
            assert_eq!(status, Status::StreamEnd);
            assert_eq!(stream.total_in(), message.len() as u64);
            assert!(read == text);
            let short = vec![b'a'; WHOLE_MIN - 1];
            assert_eq!(packer.pack(&short), (Form::Text, short.as_slice()));
        }
        packer.log_in(false);
        assert_eq!(packer.pack(&noise(WHOLE_MIN)).0, Form::Text);
    }

    #[test]
    fn a_login_changes_nothing_where_the_transport_is_compressed() {
        for compression in STREAMS {
            let (mut packer, mut reader) = (Packer::new(compression), Reader::of(compression));
            for wants_whole in [true, false, true] {
                let text = noise(WHOLE_MIN);
                packer.log_in(wants_whole);
                assert!(reader.read(packer.pack(&text).1) == text);
                assert!(reader.read(packer.pack(b"{}").1) == b"{}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_payloads_in_any_order_are_carried(texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12)) {
            for compression in STREAMS {
                assert_carried(compression, texts.iter().map(Vec::as_slice));
            }
        }
    }
}
