//! The vocabulary of schedules: what may go wrong, when, where and for how long.
//!
//! A [`Fault`] is written in a scenario with times that the seed still has to draw (`Fault<SpanRange>`) and is carried out
//! with times that are fixed (`Fault<Duration>`); [`Fault::map`] leads from one to the other. This file says what the words
//! mean and how they are written; `faults` applies them, `scenarios::load` reads them from TOML.

use crate::protocol::{CloseCode, EventName, Json, Opcode};
use crate::time::{Duration, SpanRange};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every word that may stand here, as it is written.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// As it is written in a scenario and in a trace.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value that is written so.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// One of the fake's listeners, so that each can fail alone.
    Port {
        /// What `/gateway/bot` names: new sessions start here.
        Main = "main",
        /// What READY names as `resume_gateway_url`.
        Resume = "resume",
        /// The REST API.
        Rest = "rest",
    }
}

words! {
    /// Which way bytes go.
    Direction {
        /// From the gateway to the subject.
        ToSubject = "to-subject",
        /// From the subject to the gateway.
        ToGateway = "to-gateway",
        /// Either way.
        Both = "both",
    }
}

impl Direction {
    /// Whether what goes from the gateway to the subject is meant.
    pub const fn to_subject(self) -> bool {
        matches!(self, Self::ToSubject | Self::Both)
    }

    /// Whether what goes from the subject to the gateway is meant.
    pub const fn to_gateway(self) -> bool {
        matches!(self, Self::ToGateway | Self::Both)
    }
}

words! {
    /// What a fault may be triggered by, as seen at the gateway. What a fault swallows is seen all the same.
    Event {
        /// A connection was accepted.
        Accept = "accept",
        /// An upgrade request was read.
        Upgrade = "upgrade",
        /// An IDENTIFY was read.
        Identify = "identify",
        /// A RESUME was read.
        Resume = "resume",
        /// A heartbeat was read.
        Heartbeat = "heartbeat",
        /// The subject's Close frame was read.
        Close = "close",
        /// The subject's FIN or RST was read.
        Eof = "eof",
        /// A REST request was read.
        Request = "request",
        /// HELLO is about to be sent.
        Hello = "hello",
        /// READY is about to be sent.
        Ready = "ready",
        /// RESUMED is about to be sent.
        Resumed = "resumed",
        /// A heartbeat ACK is about to be sent.
        Ack = "ack",
        /// A dispatch is about to be sent: traffic or replay, not READY, RESUMED or GUILD_CREATE.
        Dispatch = "dispatch",
    }
}

impl Event {
    /// Whether it is a frame that the gateway is about to send, which a fault can take.
    pub const fn is_frame(self) -> bool {
        matches!(
            self,
            Self::Hello | Self::Ready | Self::Resumed | Self::Ack | Self::Dispatch
        )
    }

    /// Its place among the events, for tables with a slot for each of them (`WORDS.len()` slots).
    pub const fn index(self) -> usize {
        self as usize
    }
}

words! {
    /// From which moment the time of an `at` or `every` fault counts.
    Origin {
        /// From the start of the run.
        Start = "start",
        /// From time zero of the chaos phase: the first READY.
        Ready = "ready",
    }
}

words! {
    /// At which point the gateway falls silent.
    Stall {
        /// The connection is accepted and nothing is read.
        Accept = "accept",
        /// The upgrade request is read and not answered.
        Upgrade = "upgrade",
        /// The upgrade is answered, HELLO and everything after it is not sent.
        Hello = "hello",
    }
}

words! {
    /// How the gateway meets the subject's Close frame.
    Answer {
        /// With a Close frame, at once.
        AtOnce = "at-once",
        /// With a Close frame, later.
        Late = "late",
        /// Not at all.
        Never = "never",
        /// With an RST.
        Reset = "reset",
    }
}

words! {
    /// In which order the gateway writes the keys of JSON.
    KeyOrder {
        /// As Discord does.
        Usual = "usual",
        /// The other way round.
        Reversed = "reversed",
        /// In an order that the seed draws for each object.
        Shuffled = "shuffled",
    }
}

words! {
    /// What a frame is cut into.
    Layer {
        /// Fragments of one WebSocket message (RFC 6455, 5.4).
        Websocket = "websocket",
        /// WebSocket messages, of which only the last one ends in the flush that ends the payload (Discord, "Transport
        /// Compression"). Nothing but zlib-stream has a flush that a client looks for.
        Zlib = "zlib",
    }
}

words! {
    /// What is done to the subject itself.
    Act {
        /// It is told to stop.
        Stop = "stop",
        /// It is told to start.
        Start = "start",
        /// It is told to stop, and a successor is started at once.
        Restart = "restart",
        /// It gets no time and no input.
        Freeze = "freeze",
        /// It goes on.
        Thaw = "thaw",
        /// It is dropped, its sockets with it; nothing is started in its place before a start says so.
        Kill = "kill",
        /// Its application sends commands.
        Send = "send",
    }
}

words! {
    /// Whether a started subject is handed the session that it had.
    Kept {
        /// It may resume.
        Kept = "kept",
        /// It has to identify.
        None = "none",
    }
}

/// A number, or a range of numbers with both ends included: `3`, `2..6`, `2..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Count {
    /// The least.
    pub min: u32,
    /// The most; `None` for no limit.
    pub max: Option<u32>,
}

impl Count {
    /// Just this number.
    pub const fn exactly(n: u32) -> Self {
        Self {
            min: n,
            max: Some(n),
        }
    }

    /// Whether a number is one of those meant.
    pub fn contains(self, n: u32) -> bool {
        n >= self.min && self.max.is_none_or(|max| n <= max)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) if max == self.min => write!(f, "{max}"),
            Some(max) => write!(f, "{}..{max}", self.min),
            None => write!(f, "{}..", self.min),
        }
    }
}

/// Why a text is no count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a number or a range such as `2..6` or `2..`, found `{0}`")]
pub struct CountError(String);

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        let wrong = || CountError(text.to_owned());
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let Some((min, max)) = text.split_once("..") else {
            return number(text).map(Self::exactly);
        };
        let min = number(min)?;
        let max = if max.trim().is_empty() {
            None
        } else {
            Some(number(max)?)
        };
        if max.is_some_and(|max| max < min) {
            Err(wrong())
        } else {
            Ok(Self { min, max })
        }
    }
}

impl TryFrom<String> for Count {
    type Error = CountError;
    fn try_from(text: String) -> Result<Self, CountError> {
        text.parse()
    }
}

impl From<Count> for String {
    fn from(count: Count) -> Self {
        count.to_string()
    }
}

/// When a fault fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger<T> {
    /// Once, at a time.
    At {
        /// How long after the origin.
        after: T,
        /// From when it counts.
        from: Origin,
    },
    /// Again and again.
    Every {
        /// How long from one firing to the next.
        period: T,
        /// From when it counts.
        from: Origin,
    },
    /// When something is seen at the gateway.
    On {
        /// What.
        event: Event,
        /// Which one of its kind on its connection; `None` for any.
        nth: Option<Count>,
        /// On which connections; `None` for any.
        connection: Option<Count>,
        /// Only REST requests, or upgrades, whose path begins so.
        path: Option<String>,
        /// How long after it the fault acts; zero is before the gateway's own reaction.
        after: T,
    },
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts<T> {
    /// Not given: a frame fault takes one frame, a connection fault lasts as long as its connection, any other ends at once.
    Unsaid,
    /// For a time.
    For(T),
    /// Until the connection that it struck ends; counts as ended at its strike.
    Connection,
    /// Until the run ends; counts as ended at its first strike, and the subject must recover around it.
    Run,
}

/// How often a fault fires in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// So many times.
    Limited(u32),
    /// Without limit.
    All,
}

/// Which connections a fault acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The connection of the event that triggered it.
    Connection,
    /// Those that are open, and those that are opened while it lasts.
    All,
    /// One, by its number, closing or not.
    Target(u32),
}

/// When a delayed frame is sent after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until<T> {
    /// So long after it was due.
    By(T),
    /// So long after the last such event on its connection. An ACK leaves by 0.9 I after its beat was received whatever this
    /// says, since only then is it legal; such a cycle has not struck.
    Event {
        /// Which event.
        event: Event,
        /// How long after it.
        after: T,
    },
}

/// How the gateway meets the subject's Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OnClose<T> {
    /// Whether and when it answers.
    pub answer: Answer,
    /// How late, where `answer` is `late`.
    pub answer_after: T,
    /// Which code the answer carries.
    pub code: AnswerCode,
    /// Whether it closes the socket once both Close frames are through, as a server should.
    pub fin: bool,
}

impl<T: Default> Default for OnClose<T> {
    fn default() -> Self {
        Self {
            answer: Answer::AtOnce,
            answer_after: T::default(),
            code: AnswerCode::Same,
            fin: true,
        }
    }
}

/// Which code the gateway's answer to a Close carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerCode {
    /// That of the subject's Close.
    Same,
    /// None: an empty Close, which the other end reports as 1005.
    None,
    /// This one.
    Code(CloseCode),
}

/// How a RESUME or an IDENTIFY is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// With a Close frame; no code is an empty Close. 4007 and 4009 end the fake's session.
    Close(Option<CloseCode>),
    /// With an RST.
    Reset,
    /// With op 9, `d` false, which ends the fake's session.
    Op9,
    /// It is taken and never answered; heartbeats are ACKed.
    Silence,
}

/// When the gateway closes by itself a connection that it has asked the subject to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutAfter<T> {
    /// After PROTOCOL's default.
    Usual,
    /// After this time.
    Time(T),
    /// Not at all.
    Never,
}

/// The sequence number of a frame that a schedule sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentSeq {
    /// The session's next for a dispatch, null for any other opcode.
    Usual,
    /// Null.
    Null,
    /// This one.
    Number(u64),
}

/// What an HTTP request, or an upgrade, is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpAnswer<T> {
    /// The status code.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// How long the request waits for it.
    pub delay: T,
}

/// What a fault does. SEMANTICS.md, "Actions", has the exact meaning of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action<T> {
    /// Bytes vanish; no FIN and no RST comes out; new connects hang while it lasts.
    Blackhole {
        /// Which bytes.
        direction: Direction,
    },
    /// Bytes are held back and come in order afterwards.
    Hold {
        /// Which bytes.
        direction: Direction,
    },
    /// The gateway reads no more, so that the subject's writes block.
    StopReading {
        /// How many bytes the subject can still write, where that can be set (virtual time; a hint to the kernel otherwise).
        window: u32,
    },
    /// Bytes take longer.
    Latency {
        /// Which bytes.
        direction: Direction,
        /// How much longer.
        by: T,
    },
    /// Each piece of bytes takes longer by a time of its own, drawn anew for each; none overtakes another.
    Jitter {
        /// Which bytes.
        direction: Direction,
        /// How much longer at most.
        by: T,
    },
    /// Bytes come no faster than so.
    Throttle {
        /// Which bytes.
        direction: Direction,
        /// How many bytes a second.
        rate: u32,
    },
    /// Bytes come in small pieces, each handed on by itself; from the answer to the upgrade on, which comes whole.
    Slice {
        /// Which bytes.
        direction: Direction,
        /// How many bytes a piece has at most; 1 cuts at every boundary.
        size: u32,
    },
    /// Bits of the next payload are flipped, so that it can surely not be read: text is no UTF-8 any more, and a compressed
    /// stream has a block of a kind that does not exist.
    Corrupt {
        /// Which bytes.
        direction: Direction,
        /// How many bytes of the payload.
        count: u32,
    },
    /// The connection is reset.
    Reset,
    /// The gateway sends FIN without a Close frame.
    Eof,
    /// Connects are refused while the port stays reserved.
    Refuse,
    /// Connections are accepted and reset at once. A REST request is no connection: it is answered as ever.
    AcceptReset,
    /// The gateway accepts and falls silent, heartbeats un-ACKed.
    Stall {
        /// From which point.
        at: Stall,
    },
    /// The upgrade is answered so.
    Http(HttpAnswer<T>),
    /// A REST request is answered so.
    Rest(HttpAnswer<T>),
    /// The gateway sends a Close frame.
    Close {
        /// Its code; none for an empty Close.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// How the gateway meets the subject's Close from now on.
    OnClose(OnClose<T>),
    /// A frame is not sent.
    Withhold {
        /// Which kind of frame.
        frame: Event,
    },
    /// A frame is sent later.
    Delay {
        /// Which kind of frame.
        frame: Event,
        /// When.
        until: Until<T>,
    },
    /// A frame is sent twice.
    Duplicate {
        /// Which kind of frame.
        frame: Event,
    },
    /// A frame changes places with the next of its kind. A replay has it in its order again.
    Reorder {
        /// Which kind of frame.
        frame: Event,
    },
    /// A frame is sent in parts. It is whole for whoever puts them together.
    Fragment {
        /// Which kind of frame.
        frame: Event,
        /// What the parts are. It strikes only where there is such a layer.
        layer: Layer,
        /// How many; a frame with fewer bytes has a part for each.
        parts: u32,
    },
    /// A frame carries a field that nobody knows.
    Pad {
        /// Which kind of frame.
        frame: Event,
        /// How many bytes it has.
        size: u32,
    },
    /// The end of a compressed payload is not sent. It strikes only where the transport is compressed.
    Truncate {
        /// Which kind of frame.
        frame: Event,
    },
    /// The gateway's compressor forgets the connection's context: nothing that it sends from then on can be read, on no context.
    /// It strikes only where the transport is compressed.
    LoseContext,
    /// A dispatch that is small on the wire and inflates to this size. It has a sequence number and is never replayed, as
    /// RESUMED: whoever refuses it comes back with its number or the one before and misses nothing. It strikes only where the
    /// transport is compressed.
    Bomb {
        /// To how many bytes.
        size: u32,
    },
    /// The session's sequence numbers jump ahead: a gap in which there never was a dispatch.
    SkipSeq {
        /// How many numbers are left out.
        count: u32,
    },
    /// Many dispatches at once. Without a connection they wait, in the sessions that can be resumed, or else for the next READY.
    Flood {
        /// How many.
        count: u32,
        /// About how many bytes each payload has; never fewer than a message takes.
        size: u32,
    },
    /// This connection's HELLO carries another interval.
    Hello {
        /// The interval.
        interval: T,
    },
    /// Any frame, at any time, also on a closing connection; it never changes the fake's own state.
    Send {
        /// Its opcode.
        op: Opcode,
        /// Its payload.
        d: Json,
        /// Its sequence number.
        s: SentSeq,
        /// Its event name.
        t: Option<EventName>,
    },
    /// The gateway asks for a heartbeat (op 1).
    RequestHeartbeat,
    /// The gateway asks the subject to leave and resume (op 7).
    Reconnect {
        /// When it closes by itself.
        cut_after: CutAfter<T>,
    },
    /// The gateway says that the session is not valid (op 9).
    InvalidSession {
        /// Whether it may be resumed; if not, the fake forgets it.
        resumable: bool,
        /// When it closes by itself.
        cut_after: CutAfter<T>,
    },
    /// A RESUME is refused.
    RefuseResume {
        /// How.
        by: Refusal,
    },
    /// An IDENTIFY is refused.
    RefuseIdentify {
        /// How.
        by: Refusal,
    },
    /// A message that is no valid payload.
    BadFrame {
        /// Its bytes.
        #[serde(with = "hex")]
        bytes: Vec<u8>,
        /// Whether it goes as a binary message, and as it is. Text is compressed where the connection's payloads are.
        binary: bool,
    },
    /// A WebSocket ping.
    Ping,
    /// Something is done to the subject itself.
    Subject {
        /// What.
        act: Act,
        /// Whether a started subject is handed its session.
        session: Kept,
        /// Which command it sends, where `act` is `send`.
        op: Opcode,
        /// How many commands it sends, where `act` is `send`.
        count: u32,
    },
}

/// Bytes as hexadecimal text.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use std::fmt::Write as _;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        super::bytes_of_hex(&text)
            .ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
    }
}

/// Reads `0a1b2c` as bytes; spaces between pairs are allowed.
pub fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| match pair {
        [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

impl<T> Action<T> {
    /// The word that stands for it in a scenario.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Blackhole { .. } => "blackhole",
            Self::Hold { .. } => "hold",
            Self::StopReading { .. } => "stop-reading",
            Self::Latency { .. } => "latency",
            Self::Jitter { .. } => "jitter",
            Self::Throttle { .. } => "throttle",
            Self::Slice { .. } => "slice",
            Self::Corrupt { .. } => "corrupt",
            Self::Reset => "reset",
            Self::Eof => "eof",
            Self::Refuse => "refuse",
            Self::AcceptReset => "accept-reset",
            Self::Stall { .. } => "stall",
            Self::Http(_) => "http",
            Self::Rest(_) => "rest",
            Self::Close { .. } => "close",
            Self::OnClose(_) => "on-close",
            Self::Withhold { .. } => "withhold",
            Self::Delay { .. } => "delay",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder { .. } => "reorder",
            Self::Fragment { .. } => "fragment",
            Self::Pad { .. } => "pad",
            Self::Truncate { .. } => "truncate",
            Self::LoseContext => "lose-context",
            Self::Bomb { .. } => "bomb",
            Self::SkipSeq { .. } => "skip-seq",
            Self::Flood { .. } => "flood",
            Self::Hello { .. } => "hello",
            Self::Send { .. } => "send",
            Self::RequestHeartbeat => "request-heartbeat",
            Self::Reconnect { .. } => "reconnect",
            Self::InvalidSession { .. } => "invalid-session",
            Self::RefuseResume { .. } => "refuse-resume",
            Self::RefuseIdentify { .. } => "refuse-identify",
            Self::BadFrame { .. } => "bad-frame",
            Self::Ping => "ping",
            Self::Subject { .. } => "subject",
        }
    }

    /// Every word that stands for an action.
    pub const WORDS: &'static [&'static str] = &[
        "blackhole",
        "hold",
        "stop-reading",
        "latency",
        "jitter",
        "throttle",
        "slice",
        "corrupt",
        "reset",
        "eof",
        "refuse",
        "accept-reset",
        "stall",
        "http",
        "rest",
        "close",
        "on-close",
        "withhold",
        "delay",
        "duplicate",
        "reorder",
        "fragment",
        "pad",
        "truncate",
        "lose-context",
        "bomb",
        "skip-seq",
        "flood",
        "hello",
        "send",
        "request-heartbeat",
        "reconnect",
        "invalid-session",
        "refuse-resume",
        "refuse-identify",
        "bad-frame",
        "ping",
        "subject",
    ];

    /// Whether the subject has to notice by itself that something is wrong: nothing tells it.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Blackhole { .. }
            | Self::Hold { .. }
            | Self::StopReading { .. }
            | Self::Throttle { .. }
            // A client that cannot read what it got may well go on and miss its ACKs.
            | Self::Corrupt { .. }
            | Self::Truncate { .. }
            | Self::LoseContext
            | Self::Stall { .. } => true,
            Self::Withhold { frame } | Self::Delay { frame, .. } => *frame != Event::Dispatch,
            Self::RefuseResume { by } | Self::RefuseIdentify { by } => *by == Refusal::Silence,
            Self::Subject { act, .. } => *act == Act::Freeze,
            _ => false,
        }
    }

    /// Whether the connection that it struck stays of no use to the subject for as long as the fault is in force there.
    pub fn deafens(&self) -> bool {
        match self {
            Self::Blackhole { .. }
            | Self::Hold { .. }
            | Self::StopReading { .. }
            // A stream that is broken once is never read again.
            | Self::Truncate { .. }
            | Self::LoseContext
            | Self::Stall { .. } => true,
            Self::Withhold { frame } => *frame == Event::Ack,
            _ => false,
        }
    }

    /// Whether the subject has to start a new session because of it.
    pub fn ends_session(&self) -> bool {
        let refused = |by: &Refusal| match by {
            Refusal::Op9 | Refusal::Silence | Refusal::Close(None) | Refusal::Reset => true,
            Refusal::Close(Some(code)) => code.ends_session(),
        };
        match self {
            Self::InvalidSession { resumable, .. } => !resumable,
            Self::RefuseResume { by } | Self::RefuseIdentify { by } => refused(by),
            Self::Close { code, .. } => code.is_some_and(CloseCode::ends_session),
            Self::Subject { act, .. } => matches!(act, Act::Start | Act::Restart | Act::Kill),
            _ => false,
        }
    }

    /// Whether the subject may never come back after it.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Close {
                code: Some(code), ..
            }
            | Self::RefuseResume {
                by: Refusal::Close(Some(code)),
            }
            | Self::RefuseIdentify {
                by: Refusal::Close(Some(code)),
            } => code.is_fatal(),
            _ => false,
        }
    }

    /// Whether it strikes only where the transport is compressed.
    pub const fn needs_compression(&self) -> bool {
        matches!(
            self,
            Self::Truncate { .. }
                | Self::LoseContext
                | Self::Bomb { .. }
                | Self::Fragment {
                    layer: Layer::Zlib,
                    ..
                }
        )
    }

    /// Whether it takes frames that the gateway is about to send.
    pub const fn takes_frames(&self) -> Option<Event> {
        match self {
            Self::Withhold { frame }
            | Self::Delay { frame, .. }
            | Self::Duplicate { frame }
            | Self::Reorder { frame }
            | Self::Fragment { frame, .. }
            | Self::Pad { frame, .. }
            | Self::Truncate { frame } => Some(*frame),
            Self::Hello { .. } => Some(Event::Hello),
            _ => None,
        }
    }

    /// The same action with every time in it replaced.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Action<U> {
        match self {
            Self::Blackhole { direction } => Action::Blackhole { direction },
            Self::Hold { direction } => Action::Hold { direction },
            Self::StopReading { window } => Action::StopReading { window },
            Self::Latency { direction, by } => Action::Latency {
                direction,
                by: f(by),
            },
            Self::Jitter { direction, by } => Action::Jitter {
                direction,
                by: f(by),
            },
            Self::Throttle { direction, rate } => Action::Throttle { direction, rate },
            Self::Slice { direction, size } => Action::Slice { direction, size },
            Self::Corrupt { direction, count } => Action::Corrupt { direction, count },
            Self::Reset => Action::Reset,
            Self::Eof => Action::Eof,
            Self::Refuse => Action::Refuse,
            Self::AcceptReset => Action::AcceptReset,
            Self::Stall { at } => Action::Stall { at },
            Self::Http(answer) => Action::Http(answer.map(f)),
            Self::Rest(answer) => Action::Rest(answer.map(f)),
            Self::Close { code, reason } => Action::Close { code, reason },
            Self::OnClose(on_close) => Action::OnClose(on_close.map(f)),
            Self::Withhold { frame } => Action::Withhold { frame },
            Self::Delay { frame, until } => Action::Delay {
                frame,
                until: match until {
                    Until::By(by) => Until::By(f(by)),
                    Until::Event { event, after } => Until::Event {
                        event,
                        after: f(after),
                    },
                },
            },
            Self::Duplicate { frame } => Action::Duplicate { frame },
            Self::Reorder { frame } => Action::Reorder { frame },
            Self::Fragment {
                frame,
                layer,
                parts,
            } => Action::Fragment {
                frame,
                layer,
                parts,
            },
            Self::Pad { frame, size } => Action::Pad { frame, size },
            Self::Truncate { frame } => Action::Truncate { frame },
            Self::LoseContext => Action::LoseContext,
            Self::Bomb { size } => Action::Bomb { size },
            Self::SkipSeq { count } => Action::SkipSeq { count },
            Self::Flood { count, size } => Action::Flood { count, size },
            Self::Hello { interval } => Action::Hello {
                interval: f(interval),
            },
            Self::Send { op, d, s, t } => Action::Send { op, d, s, t },
            Self::RequestHeartbeat => Action::RequestHeartbeat,
            Self::Reconnect { cut_after } => Action::Reconnect {
                cut_after: cut_after.map(f),
            },
            Self::InvalidSession {
                resumable,
                cut_after,
            } => Action::InvalidSession {
                resumable,
                cut_after: cut_after.map(f),
            },
            Self::RefuseResume { by } => Action::RefuseResume { by },
            Self::RefuseIdentify { by } => Action::RefuseIdentify { by },
            Self::BadFrame { bytes, binary } => Action::BadFrame { bytes, binary },
            Self::Ping => Action::Ping,
            Self::Subject {
                act,
                session,
                op,
                count,
            } => Action::Subject {
                act,
                session,
                op,
                count,
            },
        }
    }
}

impl<T> HttpAnswer<T> {
    fn map<U>(self, mut f: impl FnMut(T) -> U) -> HttpAnswer<U> {
        let Self {
            status,
            headers,
            body,
            delay,
        } = self;
        HttpAnswer {
            status,
            headers,
            body,
            delay: f(delay),
        }
    }
}

impl<T> OnClose<T> {
    /// The same with its time replaced.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> OnClose<U> {
        let Self {
            answer,
            answer_after,
            code,
            fin,
        } = self;
        OnClose {
            answer,
            answer_after: f(answer_after),
            code,
            fin,
        }
    }
}

impl<T> CutAfter<T> {
    fn map<U>(self, mut f: impl FnMut(T) -> U) -> CutAfter<U> {
        match self {
            Self::Usual => CutAfter::Usual,
            Self::Time(time) => CutAfter::Time(f(time)),
            Self::Never => CutAfter::Never,
        }
    }
}

/// One line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault<T> {
    /// When it fires.
    pub trigger: Trigger<T>,
    /// What it does.
    pub action: Action<T>,
    /// How long.
    pub lasts: Lasts<T>,
    /// How often.
    pub times: Times,
    /// To which connections.
    pub scope: Scope,
    /// On which listener only.
    pub port: Option<Port>,
    /// To which shard only.
    pub shard: Option<u32>,
    /// Why it need not strike; `None` for a fault that must.
    pub optional: Option<String>,
    /// Of the faults that share a group, one has to strike.
    pub group: Option<String>,
    /// How likely it is to be in a run's schedule at all, in thousandths.
    pub chance: Option<u16>,
}

/// A fault as a scenario has it: times are ranges that the seed draws.
pub type FaultSpec = Fault<SpanRange>;

/// A fault as a run has it.
pub type DrawnFault = Fault<Duration>;

impl<T> Fault<T> {
    /// The same fault with every time in it replaced.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Fault<U> {
        let trigger = match self.trigger {
            Trigger::At { after, from } => Trigger::At {
                after: f(after),
                from,
            },
            Trigger::Every { period, from } => Trigger::Every {
                period: f(period),
                from,
            },
            Trigger::On {
                event,
                nth,
                connection,
                path,
                after,
            } => Trigger::On {
                event,
                nth,
                connection,
                path,
                after: f(after),
            },
        };
        let lasts = match self.lasts {
            Lasts::Unsaid => Lasts::Unsaid,
            Lasts::For(time) => Lasts::For(f(time)),
            Lasts::Connection => Lasts::Connection,
            Lasts::Run => Lasts::Run,
        };
        Fault {
            trigger,
            action: self.action.map(f),
            lasts,
            times: self.times,
            scope: self.scope,
            port: self.port,
            shard: self.shard,
            optional: self.optional,
            group: self.group,
            chance: self.chance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_ranges() {
        let count = |text: &str| text.parse::<Count>();
        assert_eq!(count("3"), Ok(Count::exactly(3)));
        assert_eq!(
            count("2..6"),
            Ok(Count {
                min: 2,
                max: Some(6)
            })
        );
        assert_eq!(count("2.."), Ok(Count { min: 2, max: None }));
        assert!(count("2..").unwrap().contains(900) && !count("2..6").unwrap().contains(7));
        assert_eq!(
            count("6..2").unwrap_err().to_string(),
            "expected a number or a range such as `2..6` or `2..`, found `6..2`"
        );
    }

    #[test]
    fn hexadecimal_text_is_bytes() {
        assert_eq!(bytes_of_hex("7b 22FF"), Some(vec![0x7b, 0x22, 0xff]));
        assert_eq!(bytes_of_hex("7"), None);
        assert_eq!(bytes_of_hex("zz"), None);
    }
}
