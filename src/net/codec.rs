//! The gateway's end of WebSocket: the upgrade, and messages in both directions, as bytes.
//!
//! tokio-tungstenite cannot play a misbehaving server (reading a Close queues its answer at once, and later sends fail), so the
//! gateway's end works on frames. It is deliberately not the library that the client's end runs on: one library's mistake
//! would cancel itself.

use crate::seed::Draw;
use bytes::{Buf as _, BytesMut};
use std::fmt::Write as _;
use std::io::Cursor;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest upgrade request that is read.
const REQUEST_MAX: usize = 16 * 1024;
/// The longest message that is read; a client may send 4096 bytes, and tells us more by sending more.
const MESSAGE_MAX: usize = 1024 * 1024;
/// The longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_MAX: u64 = 125;

/// An upgrade request, and the answer that accepts it.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The request's path with its query.
    pub(super) path: String,
    /// The answer with status 101, or why the request is none.
    pub(super) response: Result<Vec<u8>, String>,
}

/// What the subject sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A whole message.
    Message {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it was sent as binary.
        is_binary: bool,
    },
    /// A Close frame.
    Close {
        /// Its code; none for an empty Close.
        code: Option<u16>,
        /// Its reason.
        reason: String,
    },
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// Bytes that break the protocol; nothing can be read after them.
    Broken(&'static str),
}

/// Reads what the subject sends, from the first byte of the upgrade on.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    unread: BytesMut,
    /// The upgrade was read: what follows is WebSocket.
    is_upgraded: bool,
    /// The fragments of a message so far, and whether it is binary.
    fragments: Option<(Vec<u8>, bool)>,
    /// In how many bytes bits of the next message are flipped, and what says in which.
    spoiling: Option<(u32, Draw)>,
    /// Bits of a message were flipped, and nobody has asked yet.
    has_spoilt: bool,
}

impl Decoder {
    /// Takes bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Flips bits of the next message in as many bytes of its first frame, wherever the pieces end in which it comes.
    pub(super) fn spoil(&mut self, count: u32, draw: Draw) {
        let before = self.spoiling.take().map_or(0, |(count, _)| count);
        self.spoiling = Some((before.saturating_add(count), draw));
    }

    /// Whether what comes now is WebSocket.
    pub(super) const fn is_upgraded(&self) -> bool {
        self.is_upgraded
    }

    /// Whether bits of a message were flipped since this was last asked.
    pub(super) fn take_spoilt(&mut self) -> bool {
        std::mem::take(&mut self.has_spoilt)
    }

    /// What was not read never will be.
    pub(super) fn discard(&mut self) {
        self.unread.clear();
    }

    /// The upgrade request, once it is whole.
    pub(super) fn upgrade(&mut self) -> Option<Upgrade> {
        let broken = |why: &str| {
            Some(Upgrade {
                path: String::new(),
                response: Err(why.to_owned()),
            })
        };
        // A client that puts the query behind a URL without a path sends it so (PROTOCOL §1.2), which HTTP's grammar has no place for.
        if self.unread.starts_with(b"GET ?") {
            let rest = self.unread.split_off(4);
            self.unread.extend_from_slice(b"/");
            self.unread.unsplit(rest);
        }
        match Request::try_parse(&self.unread) {
            Ok(None) if self.unread.len() > REQUEST_MAX => {
                broken("the upgrade request is too long")
            }
            Ok(None) => None,
            Err(error) => broken(&error.to_string()),
            Ok(Some((length, request))) => {
                self.unread.advance(length);
                self.is_upgraded = true;
                let path = request
                    .uri()
                    .path_and_query()
                    .map_or("/", |path| path.as_str())
                    .to_owned();
                let response = create_response(&request).and_then(|response| {
                    let mut bytes = Vec::with_capacity(256);
                    write_response(&mut bytes, &response).map(|()| bytes)
                });
                Some(Upgrade {
                    path,
                    response: response.map_err(|error| error.to_string()),
                })
            }
        }
    }

    /// What was sent next, once it is whole.
    pub(super) fn next(&mut self) -> Option<Unit> {
        loop {
            let mut cursor = Cursor::new(&self.unread);
            let (header, length) = match FrameHeader::parse(&mut cursor) {
                Ok(Some(parsed)) => parsed,
                Ok(None) => return None,
                Err(_) => return Some(self.broken("a frame header that cannot be read")),
            };
            let start = usize::try_from(cursor.position()).expect("a header is a few bytes long");
            if header.rsv1 || header.rsv2 || header.rsv3 {
                return Some(self.broken("a reserved bit is set, and no extension was agreed on"));
            }
            let Some(mask) = header.mask else {
                return Some(self.broken("a frame of a client's is not masked"));
            };
            let so_far = self.fragments.as_ref().map_or(0, |(bytes, _)| bytes.len());
            let Some(length) = usize::try_from(length)
                .ok()
                .filter(|n| n + so_far <= MESSAGE_MAX)
            else {
                return Some(self.broken("a message of more than 1 MiB"));
            };
            if self.unread.len() < start + length {
                return None;
            }
            self.unread.advance(start);
            let mut payload = self.unread.split_to(length);
            for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
                *byte ^= key;
            }
            if let OpCode::Data(Data::Text | Data::Binary) = header.opcode
                && !payload.is_empty()
                && let Some((count, mut draw)) = self.spoiling.take()
            {
                payload[0] ^= NO_TEXT;
                flip(&mut payload[1..], count.saturating_sub(1), &mut draw);
                self.has_spoilt = true;
            }
            match (header.opcode, self.fragments.take()) {
                (OpCode::Control(_), _) if !header.is_final || length as u64 > CONTROL_MAX => {
                    return Some(self.broken("a control frame that is fragmented or too long"));
                }
                (OpCode::Control(control), fragments) => {
                    self.fragments = fragments;
                    return Some(match control {
                        Control::Close => self.close(&payload),
                        Control::Ping => Unit::Ping(payload.to_vec()),
                        Control::Pong => Unit::Pong,
                        Control::Reserved(_) => self.broken("an unknown control frame"),
                    });
                }
                (OpCode::Data(Data::Continue), Some((mut bytes, is_binary))) => {
                    bytes.extend_from_slice(&payload);
                    if header.is_final {
                        return Some(Unit::Message { bytes, is_binary });
                    }
                    self.fragments = Some((bytes, is_binary));
                }
                (OpCode::Data(data @ (Data::Text | Data::Binary)), None) => {
                    let message = (payload.to_vec(), data == Data::Binary);
                    if header.is_final {
                        return Some(Unit::Message {
                            bytes: message.0,
                            is_binary: message.1,
                        });
                    }
                    self.fragments = Some(message);
                }
                (OpCode::Data(Data::Continue), None) => {
                    return Some(self.broken("a continuation of nothing"));
                }
                (OpCode::Data(Data::Text | Data::Binary), Some(_)) => {
                    return Some(self.broken("a new message inside another"));
                }
                (OpCode::Data(Data::Reserved(_)), _) => {
                    return Some(self.broken("an unknown data frame"));
                }
            }
        }
    }

    fn close(&mut self, payload: &[u8]) -> Unit {
        match payload {
            [] => Unit::Close {
                code: None,
                reason: String::new(),
            },
            [_] => self.broken("a Close frame with half a code"),
            [high, low, reason @ ..] => match std::str::from_utf8(reason) {
                Ok(reason) => Unit::Close {
                    code: Some(u16::from_be_bytes([*high, *low])),
                    reason: reason.to_owned(),
                },
                Err(_) => self.broken("a Close frame whose reason is not UTF-8"),
            },
        }
    }

    /// Nothing can be read after this.
    fn broken(&mut self, why: &'static str) -> Unit {
        self.unread.clear();
        self.fragments = None;
        Unit::Broken(why)
    }
}

/// The first byte of a frame that is a whole message of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Text = 0x81,
    Binary = 0x82,
    Close = 0x88,
    Ping = 0x89,
    Pong = 0x8A,
}

/// Appends the header of an unmasked frame.
pub(super) fn header(to: &mut Vec<u8>, opening: Opening, length: usize) {
    to.push(opening as u8);
    match length {
        0..=125 => to.push(u8::try_from(length).expect("at most 125")),
        126..=0xFFFF => {
            to.push(126);
            to.extend_from_slice(&u16::try_from(length).expect("two bytes").to_be_bytes());
        }
        _ => {
            to.push(127);
            to.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends a whole unmasked frame.
pub(super) fn frame(to: &mut Vec<u8>, opening: Opening, payload: &[u8]) {
    to.reserve(payload.len() + 10);
    header(to, opening, payload.len());
    to.extend_from_slice(payload);
}

/// Cuts a payload into so many parts, or into one for each byte where it has fewer.
pub(super) fn parts(payload: &[u8], count: u32) -> impl ExactSizeIterator<Item = &[u8]> {
    let count = payload.len().min(count as usize).max(1);
    let start = move |part: usize| payload.len() * part / count;
    (0..count).map(move |part| &payload[start(part)..start(part + 1)])
}

/// Appends a message in so many fragments.
pub(super) fn fragments(to: &mut Vec<u8>, opening: Opening, payload: &[u8], count: u32) {
    /// The bit of a frame that is its message's last, and the opcode of one that goes on with it (RFC 6455, 5.2).
    const FIN: u8 = 0x80;
    const CONTINUATION: u8 = 0x00;
    let cut = parts(payload, count);
    let last = cut.len() - 1;
    for (place, part) in cut.enumerate() {
        let at = to.len();
        frame(to, opening, part);
        let opcode = if place == 0 {
            opening as u8 & !FIN
        } else {
            CONTINUATION
        };
        to[at] = if place == last { opcode | FIN } else { opcode };
    }
}

/// The bit by which text is no UTF-8 any more: no byte of JSON's own has it.
pub(super) const NO_TEXT: u8 = 0x80;

/// Flips that bit in as many bytes, which may be the same ones.
pub(super) fn flip(bytes: &mut [u8], count: u32, draw: &mut Draw) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..count {
        let place = usize::try_from(draw.below(bytes.len() as u64));
        bytes[place.expect("it is below a length")] ^= NO_TEXT;
    }
}

/// Appends a Close frame. A reason needs a code and is cut to what fits.
pub(super) fn close(to: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let mut payload = Vec::with_capacity(2 + reason.len());
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(123)]);
    }
    frame(to, Opening::Close, &payload);
}

/// An HTTP response other than 101, which ends the connection.
pub(super) fn http_response(status: u16, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let reason = tokio_tungstenite::tungstenite::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    // Writing into a String cannot fail.
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(
        text,
        "content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    /// Frames as RFC 6455, 5.7 gives them, masked with 37 fa 21 3d.
    const HELLO: [u8; 11] = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];

    fn decoded(bytes: &[u8]) -> Vec<Unit> {
        let mut decoder = Decoder::default();
        let mut units = Vec::new();
        // One byte at a time: every boundary is met.
        for byte in bytes {
            decoder.feed(&[*byte]);
            units.extend(std::iter::from_fn(|| decoder.next()));
        }
        units
    }

    fn masked(opening: u8, payload: &[u8]) -> Vec<u8> {
        let length = 0x80 | u8::try_from(payload.len()).unwrap();
        let mut frame = vec![opening, length, 1, 2, 3, 4];
        frame.extend(
            payload
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        frame
    }

    fn message(text: &str) -> Unit {
        Unit::Message {
            bytes: text.as_bytes().to_vec(),
            is_binary: false,
        }
    }

    #[test]
    fn messages_are_read_whole_however_they_are_cut() {
        assert_eq!(decoded(&HELLO), [message("Hello")]);
        let parts = [
            masked(0x01, b"Hel"),
            masked(0x89, b"?"),
            masked(0x80, b"lo"),
        ]
        .concat();
        assert_eq!(
            decoded(&parts),
            [Unit::Ping(b"?".to_vec()), message("Hello")]
        );
    }

    #[test]
    fn close_frames_carry_a_code_and_a_reason_or_nothing() {
        let close = |code, reason: &str| Unit::Close {
            code,
            reason: reason.to_owned(),
        };
        assert_eq!(
            decoded(&masked(0x88, b"\x0f\xa0bye")),
            [close(Some(4000), "bye")]
        );
        assert_eq!(decoded(&masked(0x88, b"")), [close(None, "")]);
        assert_eq!(
            decoded(&masked(0x88, b"\x03")),
            [Unit::Broken("a Close frame with half a code")]
        );
    }

    #[test]
    fn what_breaks_the_protocol_is_named() {
        let unmasked = [0x81, 0x01, b'x'];
        assert_eq!(
            decoded(&unmasked),
            [Unit::Broken("a frame of a client's is not masked")]
        );
        assert_eq!(
            decoded(&masked(0x80, b"x")),
            [Unit::Broken("a continuation of nothing")]
        );
    }

    #[test]
    fn frames_are_written_as_the_standard_shows_them() {
        let mut bytes = Vec::new();
        frame(&mut bytes, Opening::Text, b"Hello");
        close(&mut bytes, Some(4000), "bye");
        close(&mut bytes, None, "a reason without a code cannot be sent");
        assert_eq!(bytes, b"\x81\x05Hello\x88\x05\x0f\xa0bye\x88\x00");
        let mut bytes = Vec::new();
        header(&mut bytes, Opening::Binary, 256);
        header(&mut bytes, Opening::Binary, 65536);
        assert_eq!(bytes, b"\x82\x7e\x01\x00\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn a_message_is_cut_into_fragments_as_the_standard_shows_it() {
        let mut bytes = Vec::new();
        fragments(&mut bytes, Opening::Text, b"Hello", 2);
        assert_eq!(bytes, b"\x01\x02He\x80\x03llo");
        bytes.clear();
        fragments(&mut bytes, Opening::Binary, b"ab", 9);
        assert_eq!(bytes, b"\x02\x01a\x80\x01b");
        bytes.clear();
        fragments(&mut bytes, Opening::Binary, b"", 3);
        assert_eq!(bytes, b"\x82\x00", "nothing to cut is one frame");
    }

    #[test]
    fn bits_are_flipped_in_the_next_message_and_in_nothing_else_however_it_is_cut() {
        let text = br#"{"op":1,"d":null}"#;
        let mut bytes = masked(0x89, b"ping");
        bytes.extend(masked(0x81, text));
        bytes.extend(masked(0x81, text));
        for size in [1, 7, bytes.len()] {
            let mut decoder = Decoder::default();
            for count in [1, 8] {
                decoder.spoil(count, Seed(1).stream(Stream::Bytes));
            }
            for piece in bytes.chunks(size) {
                decoder.feed(piece);
            }
            assert_eq!(decoder.next(), Some(Unit::Ping(b"ping".to_vec())));
            assert!(!decoder.take_spoilt());
            let Some(Unit::Message { bytes: spoilt, .. }) = decoder.next() else {
                panic!("a message, however spoilt");
            };
            assert!(decoder.take_spoilt());
            assert_eq!(spoilt.len(), text.len());
            assert_eq!(spoilt[0], text[0] ^ NO_TEXT);
            let flipped = spoilt.iter().zip(text).filter(|(a, b)| a != b).count();
            assert!((2..=9).contains(&flipped), "{flipped}");
            let whole = Unit::Message {
                bytes: text.to_vec(),
                is_binary: false,
            };
            assert_eq!(decoder.next(), Some(whole));
            assert!(!decoder.take_spoilt());
        }
    }

    #[test]
    fn the_target_of_an_upgrade_may_have_any_shape_that_clients_give_it() {
        let targets = [
            ("/?v=10", "/?v=10"),
            ("//?v=10", "//?v=10"),
            ("?encoding=json&v=10", "/?encoding=json&v=10"),
            ("/", "/"),
            ("ws://gateway/?v=10", "/?v=10"),
        ];
        for (target, path) in targets {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            );
            let mut decoder = Decoder::default();
            decoder.feed(request.as_bytes());
            decoder.feed(&masked(0x82, b"{}"));
            let upgrade = decoder.upgrade().unwrap();
            assert_eq!(upgrade.path, path);
            assert!(upgrade.response.is_ok(), "{target}: {:?}", upgrade.response);
            let bytes = b"{}".to_vec();
            let is_binary = true;
            assert_eq!(decoder.next(), Some(Unit::Message { bytes, is_binary }));
        }
    }

    #[test]
    fn an_upgrade_is_answered_with_the_key_that_the_standard_gives() {
        let request = "GET /?v=10&encoding=json HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let mut decoder = Decoder::default();
        decoder.feed(&request.as_bytes()[..40]);
        assert!(decoder.upgrade().is_none());
        decoder.feed(&request.as_bytes()[40..]);
        let upgrade = decoder.upgrade().unwrap();
        assert_eq!(upgrade.path, "/?v=10&encoding=json");
        let response = String::from_utf8(upgrade.response.unwrap())
            .unwrap()
            .to_ascii_lowercase();
        assert!(response.starts_with("http/1.1 101 "), "{response}");
        assert!(
            response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{response}"
        );
    }
}
