//! What makes text of the gateway's messages, compressed or not (Discord, "Encoding and Compression").
//!
//! Message in, text out once a payload is whole. It knows nothing of what a payload says, nor whose connection it is on.

use crate::machine::Message;
use crate::protocol::Compression;
use flate2::{Decompress, FlushDecompress, Status};
use std::borrow::Cow;
use std::fmt;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

/// The longest payload that is taken, in bytes. READY of the largest bots is some MiB; what is longer is made to fill the memory.
const TEXT_MAX: usize = 32 << 20;
/// By how much the text grows at a time.
const STEP: usize = 16 << 10;
/// What ends a payload of a zlib stream: the empty block of a sync flush.
const SUFFIX: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The decompression context of a connection.
pub(super) struct Inflate {
    context: Context,
    /// What has been read of the payload that is not whole yet.
    text: Vec<u8>,
}

enum Context {
    /// Messages are text.
    Plain,
    /// Binary messages are zlib streams of their own.
    Whole,
    /// All messages are one zlib stream.
    Zlib(Decompress),
    /// All messages are one zstd frame.
    Zstd(Decoder<'static>),
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate").finish_non_exhaustive()
    }
}

/// Why a message cannot be read; the context is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// What a stream that does not follow its format is called.
const CORRUPT: Unreadable = Unreadable("a message that cannot be decompressed");

impl Inflate {
    pub(super) fn new(compression: Compression) -> Self {
        let context = match compression {
            Compression::None => Context::Plain,
            Compression::Payload => Context::Whole,
            Compression::ZlibStream => Context::Zlib(Decompress::new(true)),
            Compression::ZstdStream => Context::Zstd(
                Decoder::new().expect("a decoder without a dictionary fails only without memory"),
            ),
        };
        Self {
            context,
            text: Vec::new(),
        }
    }

    /// Reads a message; gives the payload's text, or nothing while it is not whole.
    pub(super) fn read<'a>(
        &mut self,
        message: Message<'a>,
    ) -> Result<Option<Cow<'a, [u8]>>, Unreadable> {
        let bytes = match message {
            Message::Text(text) => return Ok(Some(text.as_bytes().into())),
            Message::Binary(bytes) => bytes,
        };
        let is_whole = match &mut self.context {
            Context::Plain => return Ok(Some(bytes.into())),
            Context::Whole if bytes.starts_with(b"{") => return Ok(Some(bytes.into())),
            Context::Whole => {
                inflate(&mut Decompress::new(true), bytes, &mut self.text)?;
                true
            }
            Context::Zlib(stream) => {
                inflate(stream, bytes, &mut self.text)?;
                bytes.ends_with(&SUFFIX)
            }
            Context::Zstd(frame) => {
                unpack(frame, bytes, &mut self.text)?;
                true
            }
        };
        Ok(is_whole.then(|| Cow::Owned(std::mem::take(&mut self.text))))
    }
}

fn inflate(stream: &mut Decompress, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut rest = bytes;
    loop {
        grow(text)?;
        let (taken, made) = (stream.total_in(), text.len());
        let status = stream.decompress_vec(rest, text, FlushDecompress::Sync);
        let taken = usize::try_from(stream.total_in() - taken).map_err(|_| CORRUPT)?;
        rest = &rest[taken..];
        match status.map_err(|_| CORRUPT)? {
            Status::StreamEnd => return Ok(()),
            // Room may be left though there is more to read: only where nothing moves has everything been said.
            Status::Ok | Status::BufError if taken == 0 && text.len() == made => return Ok(()),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn unpack(frame: &mut Decoder<'_>, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut from = InBuffer::around(bytes);
    loop {
        grow(text)?;
        let begin = text.len();
        let mut to = OutBuffer::around_pos(text, begin);
        frame.run(&mut from, &mut to).map_err(|_| CORRUPT)?;
        if from.pos() == bytes.len() && text.len() < text.capacity() {
            return Ok(());
        }
    }
}

/// Makes room for more text, if there may be more.
fn grow(text: &mut Vec<u8>) -> Result<(), Unreadable> {
    if text.len() >= TEXT_MAX {
        return Err(Unreadable("a payload that is too long"));
    }
    text.reserve(STEP);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::ZlibEncoder;
    use std::io::Write as _;
    use zstd::stream::raw::Encoder;

    /// Two payloads as one zlib stream, each ending in a flush.
    fn zlib(payloads: [&[u8]; 2]) -> [Vec<u8>; 2] {
        let mut to = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        payloads.map(|payload| {
            to.write_all(payload).unwrap();
            to.flush().unwrap();
            std::mem::take(to.get_mut())
        })
    }

    #[test]
    fn a_payload_of_a_stream_is_whole_once_its_flush_has_come() {
        let [one, two] = zlib([b"{\"op\":10}", b"{\"op\":11}"]);
        let mut inflate = Inflate::new(Compression::ZlibStream);
        let (begin, end) = one.split_at(one.len() / 2);
        assert_eq!(inflate.read(Message::Binary(begin)), Ok(None));
        let text = inflate.read(Message::Binary(end));
        assert_eq!(text, Ok(Some(b"{\"op\":10}"[..].into())));
        let text = inflate.read(Message::Binary(&two));
        assert_eq!(text, Ok(Some(b"{\"op\":11}"[..].into())));
    }

    #[test]
    fn a_long_payload_is_read_to_its_end() {
        let long = [b"[", vec![b' '; 9 << 20].as_slice(), b"]"].concat();
        let [one, two] = zlib([&long, b"{}"]);
        let mut inflate = Inflate::new(Compression::ZlibStream);
        let text = inflate.read(Message::Binary(&one)).unwrap().unwrap();
        assert!(*text == *long);
        let text = inflate.read(Message::Binary(&two));
        assert_eq!(text, Ok(Some(b"{}"[..].into())));
    }

    #[test]
    fn the_context_of_another_connection_does_not_read_a_new_stream() {
        let [one, two] = zlib([b"{\"op\":10}", b"{\"op\":11}"]);
        let mut inflate = Inflate::new(Compression::ZlibStream);
        assert!(inflate.read(Message::Binary(&one)).is_ok());
        assert_eq!(inflate.read(Message::Binary(&one)), Err(CORRUPT));
        let mut fresh = Inflate::new(Compression::ZlibStream);
        assert_eq!(fresh.read(Message::Binary(&two)), Err(CORRUPT));
    }

    #[test]
    fn a_zstd_frame_goes_on_from_message_to_message() {
        let mut from = Encoder::new(3).unwrap();
        let mut inflate = Inflate::new(Compression::ZstdStream);
        for payload in ["{\"op\":10}", "{\"op\":11}"] {
            let mut room = [0; 200];
            let mut to = OutBuffer::around(&mut room[..]);
            let mut input = InBuffer::around(payload.as_bytes());
            from.run(&mut input, &mut to).unwrap();
            assert_eq!(from.flush(&mut to).unwrap(), 0);
            let message = to.as_slice().to_vec();
            let text = inflate.read(Message::Binary(&message));
            assert_eq!(text, Ok(Some(payload.as_bytes().into())));
            assert_eq!(
                Inflate::new(Compression::ZstdStream).read(Message::Binary(b"no frame")),
                Err(CORRUPT)
            );
        }
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let mut to = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..=TEXT_MAX >> 20 {
            to.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        let bomb = to.finish().unwrap();
        for compression in [Compression::ZlibStream, Compression::Payload] {
            let read = Inflate::new(compression).read(Message::Binary(&bomb));
            assert_eq!(read, Err(Unreadable("a payload that is too long")));
        }
    }

    #[test]
    fn single_payloads_may_be_compressed_or_not() {
        let mut inflate = Inflate::new(Compression::Payload);
        let mut to = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        to.write_all(b"{\"op\":0}").unwrap();
        let packed = to.finish().unwrap();
        for message in [Message::Binary(&packed), Message::Text("{\"op\":0}")] {
            assert_eq!(inflate.read(message), Ok(Some(b"{\"op\":0}"[..].into())));
        }
    }
}
