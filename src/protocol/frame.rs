//! Gateway payloads: what a message carries in each direction, and their JSON.
//!
//! A gateway frame is written as `{"t":…,"s":…,"op":…,"d":…}`, compact and in that order: one well-known client does not
//! parse the envelope but searches its text for the first `"op":`, `"s":` and `"t":`. The payload `d` stays JSON text
//! ([`Json`]) until somebody needs what is in it, so that a dispatch costs one scan and no tree.

use super::{Intents, Token};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::ops::Not;
use std::sync::Arc;
use thiserror::Error;

/// The kind of a gateway payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opcode(pub u8);

impl Opcode {
    /// An event; the only payload with `s` and `t`.
    pub const DISPATCH: Self = Self(0);
    /// A heartbeat, or from the gateway a request for one.
    pub const HEARTBEAT: Self = Self(1);
    /// Starts a session.
    pub const IDENTIFY: Self = Self(2);
    /// Changes the bot's presence.
    pub const PRESENCE_UPDATE: Self = Self(3);
    /// Joins, leaves or moves between voice channels.
    pub const VOICE_STATE_UPDATE: Self = Self(4);
    /// Takes up a session again.
    pub const RESUME: Self = Self(6);
    /// The gateway asks the client to leave and resume.
    pub const RECONNECT: Self = Self(7);
    /// Asks for the members of a guild.
    pub const REQUEST_GUILD_MEMBERS: Self = Self(8);
    /// The session is not, or no longer, valid; `d` says whether it may be resumed.
    pub const INVALID_SESSION: Self = Self(9);
    /// The gateway's first payload, with the heartbeat interval.
    pub const HELLO: Self = Self(10);
    /// The gateway has received a heartbeat.
    pub const HEARTBEAT_ACK: Self = Self(11);
    /// Asks for the soundboard sounds of guilds.
    pub const REQUEST_SOUNDBOARD_SOUNDS: Self = Self(31);
    /// Asks for the status or the start of voice channels.
    pub const REQUEST_CHANNEL_INFO: Self = Self(43);

    /// Whether Discord documents it as something that a bot may send.
    pub const fn is_from_bot(self) -> bool {
        matches!(self.0, 1..=4 | 6 | 8 | 31 | 43)
    }

    /// Its documented name in capitals, as it is shown in a timeline.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "DISPATCH",
            1 => "HEARTBEAT",
            2 => "IDENTIFY",
            3 => "PRESENCE UPDATE",
            4 => "VOICE STATE UPDATE",
            6 => "RESUME",
            7 => "RECONNECT",
            8 => "REQUEST GUILD MEMBERS",
            9 => "INVALID SESSION",
            10 => "HELLO",
            11 => "HEARTBEAT ACK",
            31 => "REQUEST SOUNDBOARD SOUNDS",
            43 => "REQUEST CHANNEL INFO",
            _ => "UNKNOWN OPCODE",
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op {}", self.0)
    }
}

/// The name of a dispatched event; those that gwtool itself sends cost nothing to copy.
pub type EventName = Cow<'static, str>;

/// JSON text that is known to be well formed and is shared, not copied.
#[derive(Clone)]
pub struct Json(Arc<str>);

impl Json {
    /// The JSON of a value.
    ///
    /// # Panics
    /// When the value cannot be JSON (a map with keys that are no strings); no type of gwtool's is such a value.
    pub fn of(value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).expect("the value is representable as JSON");
        Self(Arc::from(text))
    }

    /// A text that this crate has put together from parts that are JSON. Nothing that comes from outside may get here.
    pub(crate) fn trusted(text: &str) -> Self {
        debug_assert!(
            serde_json::from_str::<&RawValue>(text).is_ok(),
            "no JSON: {text}"
        );
        Self(Arc::from(text))
    }

    /// `null`.
    pub fn null() -> Self {
        Self::trusted("null")
    }

    /// Checks that a text is JSON and takes it over.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.into()).map(|raw| Self(Arc::from(raw.get())))
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// Reads it as a value of a type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

impl From<&RawValue> for Json {
    fn from(raw: &RawValue) -> Self {
        Self(Arc::from(raw.get()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // There is no way to a raw value that does not look at its text again; only what writes traces pays for it.
        let raw: &RawValue = self.read().map_err(serde::ser::Error::custom)?;
        raw.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(from).map(|raw| Self::from(&*raw))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

/// A payload that the gateway sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFrame {
    /// The event's name; only a dispatch has one.
    pub t: Option<EventName>,
    /// The sequence number; only a dispatch should have one.
    pub s: Option<u64>,
    /// What kind of payload it is.
    pub op: Opcode,
    /// The payload itself.
    pub d: Json,
}

impl ServerFrame {
    /// A payload without `s` and `t`.
    pub fn plain(op: Opcode, d: Json) -> Self {
        Self {
            t: None,
            s: None,
            op,
            d,
        }
    }

    /// A dispatch.
    pub fn dispatch(t: impl Into<EventName>, s: u64, d: Json) -> Self {
        Self {
            t: Some(t.into()),
            s: Some(s),
            op: Opcode::DISPATCH,
            d,
        }
    }

    /// Appends its JSON text to `to`.
    pub fn encode(&self, to: &mut Vec<u8>) {
        // Writing into a Vec cannot fail, so the results say nothing.
        to.reserve(self.d.get().len() + 64);
        match &self.t {
            // Names of events are letters and underscores, but a schedule may send anything.
            Some(t) if t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                to.extend_from_slice(b"{\"t\":\"");
                to.extend_from_slice(t.as_bytes());
                to.extend_from_slice(b"\",\"s\":");
            }
            Some(t) => {
                to.extend_from_slice(b"{\"t\":");
                let _ = serde_json::to_writer(&mut *to, t);
                to.extend_from_slice(b",\"s\":");
            }
            None => to.extend_from_slice(b"{\"t\":null,\"s\":"),
        }
        match self.s {
            Some(s) => {
                let _ = write!(to, "{s}");
            }
            None => to.extend_from_slice(b"null"),
        }
        let _ = write!(to, ",\"op\":{},\"d\":", self.op.0);
        to.extend_from_slice(self.d.get().as_bytes());
        to.push(b'}');
    }
}

/// The pair `[shard id, number of shards]` that IDENTIFY carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u32; 2]", into = "[u32; 2]")]
pub struct Shard {
    /// Counted from zero.
    pub id: u32,
    /// How many there are.
    pub count: u32,
}

impl From<[u32; 2]> for Shard {
    fn from([id, count]: [u32; 2]) -> Self {
        Self { id, count }
    }
}

impl From<Shard> for [u32; 2] {
    fn from(shard: Shard) -> Self {
        [shard.id, shard.count]
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.count)
    }
}

/// What a client says about itself in IDENTIFY.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Properties {
    /// The operating system.
    pub os: String,
    /// The library.
    pub browser: String,
    /// The library.
    pub device: String,
}

/// The payload of IDENTIFY (op 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identify {
    /// The bot's token.
    pub token: Token,
    /// What the client says about itself.
    pub properties: Properties,
    /// Which events it asks for.
    pub intents: Intents,
    /// Which shard it is; absent for a bot that does not shard.
    pub shard: Option<Shard>,
    /// Whether payloads may be compressed, each by itself; absent where it is false.
    pub compress: bool,
}

/// The payload of RESUME (op 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The bot's token.
    pub token: Token,
    /// Which session to take up.
    pub session_id: String,
    /// The last sequence number that was received.
    pub seq: u64,
}

/// A payload that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Op 1, with the last sequence number that was received.
    Heartbeat(Option<u64>),
    /// Op 2.
    Identify(Identify),
    /// Op 6.
    Resume(Resume),
    /// Any other payload, as its caller wrote it.
    Command {
        /// What kind of payload it is.
        op: Opcode,
        /// The payload itself.
        d: Json,
    },
}

impl ClientFrame {
    /// Its opcode.
    pub const fn op(&self) -> Opcode {
        match self {
            Self::Heartbeat(_) => Opcode::HEARTBEAT,
            Self::Identify(_) => Opcode::IDENTIFY,
            Self::Resume(_) => Opcode::RESUME,
            Self::Command { op, .. } => *op,
        }
    }

    /// Its JSON text.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Wire<T> {
            op: Opcode,
            d: T,
        }
        #[derive(Serialize)]
        struct WireIdentify<'a> {
            token: &'a str,
            properties: &'a Properties,
            intents: Intents,
            #[serde(skip_serializing_if = "Option::is_none")]
            shard: Option<Shard>,
            #[serde(skip_serializing_if = "Not::not")]
            compress: bool,
        }
        #[derive(Serialize)]
        struct WireResume<'a> {
            token: &'a str,
            session_id: &'a str,
            seq: u64,
        }
        fn text<T: Serialize>(op: Opcode, d: T) -> String {
            serde_json::to_string(&Wire { op, d }).expect("a payload is representable as JSON")
        }
        let op = self.op();
        match self {
            Self::Heartbeat(seq) => text(op, seq),
            Self::Identify(Identify {
                token,
                properties,
                intents,
                shard,
                compress,
            }) => text(
                op,
                WireIdentify {
                    token: token.expose(),
                    properties,
                    intents: *intents,
                    shard: *shard,
                    compress: *compress,
                },
            ),
            Self::Resume(Resume {
                token,
                session_id,
                seq,
            }) => text(
                op,
                WireResume {
                    token: token.expose(),
                    session_id,
                    seq: *seq,
                },
            ),
            Self::Command { d, .. } => text(op, d),
        }
    }
}

/// Why a message carries no payload.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// It is not JSON, or not an object with a numeric `op`.
    #[error("not a gateway payload: {0}")]
    Json(#[from] serde_json::Error),
    /// The bytes are not text.
    #[error("not UTF-8 text")]
    Utf8(#[from] std::str::Utf8Error),
}

/// A payload of either direction as it stands in a message, borrowed from its text.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// What kind of payload it is.
    pub op: Opcode,
    /// The sequence number; `None` where it is absent or null.
    #[serde(default)]
    pub s: Option<u64>,
    /// The event's name; `None` where it is absent or null.
    #[serde(default, borrow)]
    pub t: Option<Text<'a>>,
    /// The payload's text; `None` where it is absent or null.
    #[serde(default, borrow)]
    pub d: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads a message's text.
    pub fn read(text: &'a str) -> Result<Self, DecodeError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Reads a message's bytes: some clients send JSON in binary messages.
    pub fn read_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(std::str::from_utf8(bytes)?)
    }

    /// The payload as shared JSON; `null` where it is absent.
    pub fn json(&self) -> Json {
        self.d.map_or_else(Json::null, Json::from)
    }

    /// Reads the payload as a value of a type; an absent payload reads as `null`.
    pub fn payload<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.d.map_or("null", RawValue::get))
    }
}

/// A string that is borrowed from the text it stands in unless it has escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(AsText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frame: &ServerFrame) -> String {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn gateway_frames_are_written_in_the_order_that_clients_search_for() {
        let hello = ServerFrame::plain(
            Opcode::HELLO,
            Json::parse(r#"{"heartbeat_interval":41250}"#).unwrap(),
        );
        assert_eq!(
            encoded(&hello),
            r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#
        );
        let message = ServerFrame::dispatch(
            "MESSAGE_CREATE",
            7,
            Json::parse(r#"{"id":"1","s":99}"#).unwrap(),
        );
        assert_eq!(
            encoded(&message),
            r#"{"t":"MESSAGE_CREATE","s":7,"op":0,"d":{"id":"1","s":99}}"#
        );
        let odd = ServerFrame {
            s: None,
            ..ServerFrame::dispatch("A \"B\"", 7, Json::null())
        };
        assert_eq!(encoded(&odd), r#"{"t":"A \"B\"","s":null,"op":0,"d":null}"#);
    }

    #[test]
    fn client_frames_are_written_as_documented() {
        assert_eq!(
            ClientFrame::Heartbeat(None).encode(),
            r#"{"op":1,"d":null}"#
        );
        assert_eq!(
            ClientFrame::Heartbeat(Some(251)).encode(),
            r#"{"op":1,"d":251}"#
        );
        let text = |text: &str| text.to_owned();
        let identify = |compress| Identify {
            token: Token::new("my_token"),
            properties: Properties {
                os: text("linux"),
                browser: text("gwtool"),
                device: text("gwtool"),
            },
            intents: Intents(513),
            shard: Some(Shard { id: 0, count: 2 }),
            compress,
        };
        assert_eq!(
            ClientFrame::Identify(identify(false)).encode(),
            r#"{"op":2,"d":{"token":"my_token","properties":{"os":"linux","browser":"gwtool","device":"gwtool"},"intents":513,"shard":[0,2]}}"#
        );
        assert_eq!(
            ClientFrame::Identify(identify(true)).encode(),
            r#"{"op":2,"d":{"token":"my_token","properties":{"os":"linux","browser":"gwtool","device":"gwtool"},"intents":513,"shard":[0,2],"compress":true}}"#
        );
        let resume = ClientFrame::Resume(Resume {
            token: Token::new("my_token"),
            session_id: text("evr6GKEBdiNI"),
            seq: 1337,
        });
        assert_eq!(
            resume.encode(),
            r#"{"op":6,"d":{"token":"my_token","session_id":"evr6GKEBdiNI","seq":1337}}"#
        );
    }

    #[test]
    fn an_envelope_is_read_in_any_key_order_and_with_any_spacing() {
        let read = |text: &'static str| Envelope::read(text).unwrap();
        let frame = read(
            "{ \"d\" : {\"op\": 4, \"s\": 9},\n \"op\": 0, \"t\": \"MESSAGE\\u005fCREATE\", \"s\": 7 }",
        );
        assert_eq!(
            (frame.op, frame.s, frame.t.as_deref()),
            (Opcode::DISPATCH, Some(7), Some("MESSAGE_CREATE"))
        );
        assert_eq!(frame.d.unwrap().get(), r#"{"op": 4, "s": 9}"#);
        let ack = read(r#"{"op":11}"#);
        assert_eq!(
            (ack.op, ack.s, ack.d.is_none()),
            (Opcode::HEARTBEAT_ACK, None, true)
        );
        let unknown = read(r#"{"op":1,"d":null,"s":null,"extra":[1,{"a":2}]}"#);
        assert_eq!((unknown.op, unknown.s), (Opcode::HEARTBEAT, None));
    }

    #[test]
    fn what_is_no_payload_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| Envelope::read_bytes(bytes).unwrap_err().to_string();
        assert_eq!(
            error(b"{\"d\":1}"),
            "not a gateway payload: missing field `op` at line 1 column 7"
        );
        assert_eq!(
            error(b""),
            "not a gateway payload: EOF while parsing a value at line 1 column 0"
        );
        assert_eq!(error(b"\xff"), "not UTF-8 text");
    }
}
