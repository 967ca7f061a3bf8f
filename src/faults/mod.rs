//! Faults: drawn from a seed, triggered by what is seen at the gateway, and turned into orders for the engine.
//!
//! Pure: the engine shows the [`injector::Injector`] what happens ([`Sight`]) and the time, and carries out the [`Strike`]s that
//! it polls. It knows neither client nor server.

pub mod injector;
pub mod link;
pub mod schedule;

use crate::fault::{
    Act, CutAfter, Direction, Event, HttpAnswer, Kept, Layer, OnClose, Port, Refusal, SentSeq,
};
use crate::protocol::{CloseCode, Compression, EventName, Json, Opcode};
use crate::time::{Duration, Instant};

/// Something that happens at the gateway, as a trigger sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight<'a> {
    /// What.
    pub event: Event,
    /// On which connection; `None` for a REST request.
    pub connection: Option<u32>,
    /// On which listener.
    pub port: Port,
    /// The path of an upgrade or a request.
    pub path: Option<&'a str>,
    /// Which shard the connection is, once it is known.
    pub shard: Option<u32>,
    /// What the URL of the upgrade asked to be compressed; nothing for a REST request.
    pub compression: Compression,
}

/// What becomes of the event that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It takes its course.
    Deliver,
    /// It is as if it had not been: a frame is not sent, an upgrade is not answered.
    Withhold,
    /// The frame is sent at that time.
    Delay(Instant),
    /// The frame is sent twice.
    Duplicate,
    /// The frame is sent behind the next of its kind.
    Swap,
    /// The frame is sent in so many parts.
    Fragment(Layer, u32),
    /// The frame carries an unknown field with so many bytes.
    Pad(u32),
    /// The end of the frame is not sent.
    Truncate,
    /// HELLO carries this interval.
    Interval(Duration),
    /// The upgrade or the request is answered so.
    Answer(HttpAnswer<Duration>),
    /// The IDENTIFY or RESUME is refused so.
    Refuse(Refusal),
}

/// How a listener meets connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listening {
    /// It accepts them.
    Open,
    /// They are refused.
    Refusing,
    /// They are accepted and reset.
    Resetting,
    /// They hang until this is over.
    Hanging,
}

/// What a fault does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strike {
    /// For the trace: a fault struck.
    Struck {
        /// Its place in the schedule.
        fault: u32,
        /// To which connection.
        connection: Option<u32>,
    },
    /// For the trace: a fault is over.
    Healed {
        /// Its place in the schedule.
        fault: u32,
    },
    /// Bytes of a connection vanish from now on.
    Silence {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
    },
    /// Bytes of a connection are held back from now on.
    Hold {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
    },
    /// Bytes that were held back arrive now.
    Release {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
    },
    /// Bytes of a connection take this much longer from now on than its own latency; zero ends it.
    Slow {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
        /// How much.
        by: Duration,
    },
    /// Bytes of a connection come so from now on.
    Shape {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
        /// How.
        shape: link::Shape,
    },
    /// Bits of a connection's next payload are flipped.
    Corrupt {
        /// Whose.
        connection: u32,
        /// Which.
        direction: Direction,
        /// In how many bytes.
        count: u32,
    },
    /// What is sent on a connection from now on cannot be read.
    LoseContext {
        /// Where.
        connection: u32,
    },
    /// A dispatch that is small on the wire and large when it is inflated.
    Bomb {
        /// Where.
        connection: u32,
        /// How many bytes it has then.
        size: u32,
    },
    /// The session's next number is so much higher.
    SkipSeq {
        /// Where.
        connection: u32,
        /// How much.
        count: u32,
    },
    /// Many dispatches at once.
    Flood {
        /// Where; `None` for whoever comes next.
        connection: Option<u32>,
        /// How many.
        count: u32,
        /// About how many bytes each has.
        size: u32,
    },
    /// The gateway's end stops reading.
    StopReading {
        /// Where.
        connection: u32,
        /// How many bytes the subject can still write.
        window: u32,
    },
    /// The gateway's end reads again.
    Read {
        /// Where.
        connection: u32,
    },
    /// The connection is reset.
    Reset {
        /// Which.
        connection: u32,
    },
    /// FIN is sent without a Close frame.
    Fin {
        /// Where.
        connection: u32,
    },
    /// The subject's Close is met so from now on.
    OnClose {
        /// Where; `None` for every connection that is accepted from now on as well as those that are open.
        connection: Option<u32>,
        /// How; `None` for the scenario's own way again.
        on_close: Option<OnClose<Duration>>,
    },
    /// Listeners meet connects so from now on.
    Listen {
        /// Which.
        port: Port,
        /// How.
        listening: Listening,
    },
    /// A Close frame of the gateway's.
    Close {
        /// Where.
        connection: u32,
        /// Its code.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// op 1 from the gateway.
    RequestHeartbeat {
        /// Where.
        connection: u32,
    },
    /// op 7 from the gateway.
    Reconnect {
        /// Where.
        connection: u32,
        /// When it closes by itself.
        cut_after: CutAfter<Duration>,
    },
    /// op 9 from the gateway.
    InvalidSession {
        /// Where.
        connection: u32,
        /// Whether the session may be resumed.
        resumable: bool,
        /// When it closes by itself.
        cut_after: CutAfter<Duration>,
    },
    /// Any frame.
    Send {
        /// Where.
        connection: u32,
        /// Its opcode.
        op: Opcode,
        /// Its payload.
        d: Json,
        /// Its sequence number.
        s: SentSeq,
        /// Its event name.
        t: Option<EventName>,
    },
    /// A message that is no payload.
    BadFrame {
        /// Where.
        connection: u32,
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it goes as a binary message, and as it is. Text is compressed where the connection's payloads are.
        binary: bool,
    },
    /// A WebSocket ping.
    Ping {
        /// Where.
        connection: u32,
    },
    /// Something is done to the subject.
    Subject {
        /// What.
        act: Act,
        /// Whether a started subject is handed its session.
        session: Kept,
        /// Which command it sends.
        op: Opcode,
        /// How many.
        count: u32,
    },
}
