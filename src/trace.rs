//! The trace: everything that was observable in a run, in order, one entry a line.
//!
//! A trace begins with a [`Header`], which holds all that a judge needs to know beforehand; then come [`Entry`]s. On disk it is
//! NDJSON: the header is the first line, `{"at_ns":…,"saw":{"frame":{…}}}` are the others. Entries hold decoded payloads and
//! lengths, and never an address, a port, a process id, a wall time, a WebSocket key or a mask, so that in virtual time a
//! seed gives the same bytes every time. Tokens are replaced before an entry is made ([`Redactor`]).

use crate::expect::{Allowances, Ends, Expectations};
use crate::fault::{Act, Answer, DrawnFault, Port};
use crate::machine::{CommandFate, CommandId, Level};
use crate::protocol::{CloseCode, EventName, Json, Opcode, Token};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Write};
use thiserror::Error;

/// The version of the format that this build writes.
pub const VERSION: u32 = 1;

/// Which clock a run was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The engine's own, which jumps from one deadline to the next.
    Virtual,
    /// The machine's.
    Real,
}

/// From where a run was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vantage {
    /// At the gateway's end of every connection.
    Gateway,
    /// At the client's end.
    Client,
    /// Between the two.
    Middle,
}

/// What a judge has to know before the first entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub gwtool_trace: u32,
    /// The version of gwtool that wrote it.
    pub gwtool: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed, as it is written on a command line.
    pub seed: String,
    /// The clock.
    pub clock: Clock,
    /// The vantage.
    pub vantage: Vantage,
    /// I: the heartbeat interval that HELLO carries unless a fault says otherwise.
    pub interval: Duration,
    /// The subject's name.
    pub subject: String,
    /// The time that the subject may allow itself.
    pub allowances: Allowances,
    /// How long a login may take.
    pub login_within: Duration,
    /// The least that the chaos phase lasts.
    pub chaos: Duration,
    /// How long a recovery may take beyond the allowances.
    pub recover_within: Duration,
    /// How the run is to end.
    pub ends: Ends,
    /// How the gateway meets a Close unless a fault says otherwise.
    pub on_close: Answer,
    /// How many sessions the subject has to bring up: one a shard.
    pub shards: u32,
    /// How many sessions the gateway lets the subject start, as `/gateway/bot` tells it.
    #[serde(default)]
    pub identify_limit: IdentifyLimit,
    /// What is expected beyond the rules.
    pub expect: Expectations,
    /// What is scheduled.
    pub schedule: Vec<ScheduledFault>,
    /// Whether the subject reports what it delivered.
    pub sees_delivery: bool,
    /// Whether the subject is a program whose process is watched.
    pub sees_process: bool,
}

/// How many sessions may be started, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifyLimit {
    /// IDENTIFYs in a window.
    pub starts: u32,
    /// How long a window is.
    pub reset_after: Duration,
    /// IDENTIFYs in 5 s.
    pub max_concurrency: u32,
}

impl Default for IdentifyLimit {
    /// What Discord grants to a small bot.
    fn default() -> Self {
        Self {
            starts: 1000,
            reset_after: Duration::from_hours(24),
            max_concurrency: 1,
        }
    }
}

/// A fault of the schedule, and whether the seed left it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledFault {
    /// The fault.
    pub fault: DrawnFault,
    /// Whether its `chance` came up; one that was skipped never fires.
    pub is_skipped: bool,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, since the run began.
    #[serde(rename = "at_ns")]
    pub at: Instant,
    /// What was seen.
    pub saw: Seen,
}

/// Which end of a connection did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The gateway, the fake or the real one.
    Gateway,
    /// The subject.
    Subject,
}

/// What became of something that was to cross a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It went through. What the gateway sends is on its way from here; what the subject sent has arrived.
    Delivered,
    /// A fault holds it back; it is seen again as delivered if it goes out after all.
    Held,
    /// A fault took it.
    Withheld,
    /// It went into a silent connection and did not come out.
    Swallowed,
    /// The schedule, not the gateway, sent it.
    Injected,
    /// It went through, damaged, or it is more than a subject need take: whether it was read nobody can say.
    Spoilt,
}

impl Fate {
    /// Whether it got through, or is on its way.
    pub const fn arrives(self) -> bool {
        matches!(self, Self::Delivered | Self::Injected)
    }
}

/// Why an attempt to connect got no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Miss {
    /// It was refused.
    Refused,
    /// It hung, and the subject gave it up.
    Hung,
}

/// A phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Until the first READY or the first strike.
    Login,
    /// While faults strike.
    Chaos,
    /// Nothing more is injected.
    Healed,
    /// The watch is over: what follows is gwtool's own clearing up, and is not judged.
    Over,
}

/// What a message carries that is no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A text message that is no gateway payload.
    Text,
    /// A binary message that is no gateway payload.
    Binary,
    /// A WebSocket ping.
    Ping,
    /// A WebSocket pong.
    Pong,
    /// Bytes that break the WebSocket protocol.
    Broken,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The subject was started.
    Started {
        /// Whether it was handed a session to resume.
        with_session: bool,
    },
    /// A phase began.
    Phase(Phase),
    /// An attempt to connect that got no number.
    Missed {
        /// Where.
        port: Port,
        /// Why.
        why: Miss,
    },
    /// TLS has failed on a connection. A connection of the REST listener has no number.
    TlsFailed {
        /// Where.
        port: Port,
        /// On which connection.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        connection: Option<u32>,
        /// Why: what was wrong with the subject's bytes, or the alert that it sent.
        why: String,
    },
    /// A connection was accepted.
    Accepted {
        /// Its number.
        connection: u32,
        /// Where.
        port: Port,
    },
    /// An upgrade request was read.
    Upgrade {
        /// Where.
        connection: u32,
        /// Its path with the query.
        path: String,
    },
    /// An upgrade request was answered.
    Upgraded {
        /// Where.
        connection: u32,
        /// With which status; 101 is the upgrade.
        status: u16,
    },
    /// A gateway payload.
    Frame {
        /// Where.
        connection: u32,
        /// Who sent it.
        from: Side,
        /// What became of it.
        fate: Fate,
        /// Its opcode.
        op: Opcode,
        /// Its sequence number.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        s: Option<u64>,
        /// Its event name.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        t: Option<EventName>,
        /// Its payload, tokens replaced.
        d: Json,
        /// The length of its text in bytes.
        bytes: u32,
    },
    /// A message that is no gateway payload.
    Message {
        /// Where.
        connection: u32,
        /// Who sent it.
        from: Side,
        /// What became of it.
        fate: Fate,
        /// What it is.
        kind: Kind,
        /// Its text, shortened, or why it breaks the protocol.
        text: String,
    },
    /// A Close frame.
    Close {
        /// Where.
        connection: u32,
        /// Who sent it.
        from: Side,
        /// What became of it.
        fate: Fate,
        /// Its code; `None` for an empty Close.
        code: Option<CloseCode>,
        /// Its reason.
        reason: String,
    },
    /// A FIN: one side sends no more.
    Fin {
        /// Where.
        connection: u32,
        /// Who sent it.
        from: Side,
        /// What became of it.
        fate: Fate,
    },
    /// An RST: the connection is gone.
    Rst {
        /// Where.
        connection: u32,
        /// Who sent it.
        from: Side,
        /// What became of it.
        fate: Fate,
    },
    /// A REST request was answered.
    Request {
        /// Its method.
        method: String,
        /// Its path.
        path: String,
        /// The status of its answer.
        status: u16,
        /// Whether a fault answered it.
        by_fault: bool,
    },
    /// A fault of the schedule waits for its trigger.
    Armed {
        /// Its place in the header's schedule, counted from zero.
        fault: u32,
    },
    /// A fault changed, added or did something.
    Struck {
        /// Its place in the header's schedule.
        fault: u32,
        /// To which connection.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        connection: Option<u32>,
    },
    /// A fault is over.
    Healed {
        /// Its place in the header's schedule.
        fault: u32,
    },
    /// A program wrote a line.
    ProcessOutput {
        /// Which of the run's processes, counted from 1 in the order of their start.
        process: u32,
        /// Where to.
        stream: OutputStream,
        /// The line, tokens and addresses replaced.
        text: String,
    },
    /// A program's process ended.
    Exited {
        /// Which of the run's processes, counted from 1 in the order of their start.
        process: u32,
        /// How.
        status: ExitStatus,
    },
    /// The subject was asked how it is, and answered or did not.
    Health {
        /// What came of it.
        answer: HealthAnswer,
        /// How long it took.
        took: Duration,
    },
    /// Something was done to the subject.
    Acted {
        /// What.
        act: Act,
    },
    /// The subject handed a dispatch to its application.
    Delivered(Delivery),
    /// What became of a command that the application gave.
    Commanded {
        /// Which.
        command: CommandId,
        /// What.
        fate: CommandFate,
    },
    /// A line that an in-process subject logged.
    Log {
        /// How loud.
        level: Level,
        /// The line, tokens replaced.
        text: String,
    },
    /// The subject came to an end that nobody asked for.
    Died {
        /// Its last words, tokens replaced.
        message: String,
    },
    /// The subject came to its end in good order.
    Stopped {
        /// Why, where nobody asked for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// A token was found where none may be, and was replaced.
    TokenShown {
        /// Where.
        place: String,
    },
    /// gwtool's own timers were late by more than 0.1 I: what was measured may not be the subject's doing.
    Noisy {
        /// By how much.
        late: Duration,
    },
    /// The last line of a whole trace.
    End {
        /// Whether the run was watched to its end; if not, it was interrupted.
        is_complete: bool,
    },
}

/// Where a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Results.
    Stdout,
    /// Talk, and last words.
    Stderr,
}

/// How a process ended: by an exit of its own, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The numbers are POSIX's and the same on Linux and macOS.
        let name = match self {
            Self::Code(code) => return write!(f, "exit code {code}"),
            Self::Signal(1) => "SIGHUP",
            Self::Signal(2) => "SIGINT",
            Self::Signal(3) => "SIGQUIT",
            Self::Signal(4) => "SIGILL",
            Self::Signal(6) => "SIGABRT",
            Self::Signal(8) => "SIGFPE",
            Self::Signal(9) => "SIGKILL",
            Self::Signal(11) => "SIGSEGV",
            Self::Signal(13) => "SIGPIPE",
            Self::Signal(15) => "SIGTERM",
            Self::Signal(signal) => return write!(f, "signal {signal}"),
        };
        f.write_str(name)
    }
}

/// What came of asking a subject how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthAnswer {
    /// It says that it is well: a status of 2xx, or exit code 0.
    Well,
    /// It says that it is not.
    Ill(String),
    /// It did not say anything in time, or could not be asked.
    Silent(String),
}

/// Which dispatch was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// By an in-process subject: the connection it came on and its sequence number.
    Sequence {
        /// The connection.
        connection: u32,
        /// The sequence number.
        s: u64,
    },
    /// By a program: the number in the message's content.
    Number(u64),
}

impl Seen {
    /// The connection it is about, if it is about one.
    pub const fn connection(&self) -> Option<u32> {
        match self {
            Self::Accepted { connection, .. }
            | Self::Upgrade { connection, .. }
            | Self::Upgraded { connection, .. }
            | Self::Frame { connection, .. }
            | Self::Message { connection, .. }
            | Self::Close { connection, .. }
            | Self::Fin { connection, .. }
            | Self::Rst { connection, .. }
            | Self::Delivered(Delivery::Sequence { connection, .. }) => Some(*connection),
            Self::Struck { connection, .. } | Self::TlsFailed { connection, .. } => *connection,
            _ => None,
        }
    }
}

/// Something that watches a run entry by entry: a writer, a judge, a timeline.
pub trait Observer {
    /// Takes the header, before the first entry: the schedule is drawn, nothing has happened. A second one means that the run
    /// is made again, and that what was seen of it before is void.
    fn begin(&mut self, header: &Header) {
        let _ = header;
    }

    /// Takes the next entry.
    fn observe(&mut self, entry: &Entry);
}

impl Observer for Vec<Entry> {
    fn observe(&mut self, entry: &Entry) {
        self.push(entry.clone());
    }
}

/// Replaces tokens in what goes into a trace.
#[derive(Debug, Clone)]
pub struct Redactor {
    token: Token,
    /// The token itself and the forms in which it may hide: base64 and URL encoding.
    forms: Vec<String>,
}

/// Stands for the token that was expected.
const TOKEN: &str = "<token>";
/// Stands for the expected token with the prefix `Bot `.
const TOKEN_BOT: &str = "<token:bot>";
/// Stands for any other text where a token is expected.
const TOKEN_WRONG: &str = "<token:wrong>";

impl Redactor {
    /// Knows one token.
    pub fn new(token: Token) -> Self {
        let mut forms = Vec::new();
        if !token.is_empty() {
            let plain = token.expose();
            forms.push(plain.to_owned());
            forms.push(url::form_urlencoded::byte_serialize(plain.as_bytes()).collect());
            forms.push(base64(plain.as_bytes()));
            forms.push(base64(format!("Bot {plain}").as_bytes()));
            forms.dedup();
        }
        Self { token, forms }
    }

    /// What a token field is shown as.
    pub fn field(&self, token: &str) -> &'static str {
        match token.strip_prefix("Bot ") {
            _ if token == self.token.expose() => TOKEN,
            Some(bare) if bare == self.token.expose() => TOKEN_BOT,
            _ => TOKEN_WRONG,
        }
    }

    /// The payload of a frame of the subject's, its `token` field replaced, and the token anywhere else as well.
    pub fn payload(&self, op: Opcode, d: Json) -> Json {
        if !matches!(op, Opcode::IDENTIFY | Opcode::RESUME) {
            return match self.text(d.get()) {
                Cow::Borrowed(_) => d,
                Cow::Owned(text) => Json::parse(text).unwrap_or_else(|_| Json::null()),
            };
        }
        match d.read::<serde_json::Value>() {
            Ok(mut value) => {
                if let Some(field) = value.get_mut("token") {
                    let shown = field
                        .as_str()
                        .map_or(TOKEN_WRONG, |token| self.field(token));
                    *field = shown.into();
                }
                let text = value.to_string();
                Json::parse(self.text(&text).into_owned()).unwrap_or_else(|_| Json::null())
            }
            Err(_) => Json::null(),
        }
    }

    /// A text with every form of the token replaced; borrowed if there was none.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut shown = Cow::Borrowed(text);
        for form in self
            .forms
            .iter()
            .filter(|form| text.contains(form.as_str()))
        {
            shown = Cow::Owned(shown.replace(form.as_str(), TOKEN));
        }
        shown
    }
}

/// Base64 without padding, as a canary could be hidden; at a given alignment only.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(
                DIGITS[(group >> (18 - 6 * digit) & 63) as usize],
            ));
        }
    }
    text
}

/// Writes a trace as it happens.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
    line: Vec<u8>,
    failed: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            to,
            line: Vec::with_capacity(512),
            failed: None,
        };
        writer.write(header)?;
        Ok(writer)
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.to.write_all(&self.line)
    }

    /// Flushes what was written; the first error of the whole writing is told here.
    pub fn finish(mut self) -> io::Result<W> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.to.flush().map(|()| self.to),
        }
    }
}

impl<W: Write> Observer for Writer<W> {
    fn observe(&mut self, entry: &Entry) {
        if self.failed.is_none() {
            self.failed = self.write(entry).err();
        }
    }
}

/// Why a trace cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Nothing is in it.
    #[error("the trace is empty: expected a header line")]
    Empty,
    /// The first line is no header.
    #[error("line 1 is no trace header")]
    NoHeader(#[source] serde_json::Error),
    /// Another version wrote it.
    #[error("trace version {0}: this gwtool reads version {VERSION}")]
    Version(u32),
    /// A line is no entry.
    #[error("line {line} is no trace entry")]
    BadEntry {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("failed to read line {line}")]
    Io {
        /// Counted from one.
        line: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads a trace entry by entry.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    from: R,
    text: String,
    line: usize,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub fn new(from: R) -> Result<(Header, Self), ReadError> {
        #[derive(Deserialize)]
        struct Version {
            gwtool_trace: u32,
        }
        let mut reader = Self {
            from,
            text: String::new(),
            line: 0,
        };
        if !reader.next_line()? {
            return Err(ReadError::Empty);
        }
        let version: Version = serde_json::from_str(&reader.text).map_err(ReadError::NoHeader)?;
        if version.gwtool_trace != VERSION {
            return Err(ReadError::Version(version.gwtool_trace));
        }
        let header = serde_json::from_str(&reader.text).map_err(ReadError::NoHeader)?;
        Ok((header, reader))
    }

    fn next_line(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        self.line += 1;
        let line = self.line;
        let read = self
            .from
            .read_line(&mut self.text)
            .map_err(|source| ReadError::Io { line, source })?;
        Ok(read > 0)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_line() {
            Err(error) => Some(Err(error)),
            Ok(false) => None,
            Ok(true) => {
                let line = self.line;
                Some(
                    serde_json::from_str(&self.text)
                        .map_err(|source| ReadError::BadEntry { line, source }),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines_of_json() {
        let ack = Entry {
            at: Instant::from_nanos(5),
            saw: Seen::Frame {
                connection: 1,
                from: Side::Gateway,
                fate: Fate::Withheld,
                op: Opcode::HEARTBEAT_ACK,
                s: None,
                t: None,
                d: Json::null(),
                bytes: 38,
            },
        };
        let text = serde_json::to_string(&ack).unwrap();
        assert_eq!(
            text,
            r#"{"at_ns":5,"saw":{"frame":{"connection":1,"from":"gateway","fate":"withheld","op":11,"d":null,"bytes":38}}}"#
        );
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), ack);
    }

    #[test]
    fn tokens_are_replaced_wherever_they_stand() {
        let redactor = Redactor::new(Token::new("abc.def+ghi"));
        let identify = |d: &str| {
            redactor
                .payload(Opcode::IDENTIFY, Json::parse(d).unwrap())
                .get()
                .to_owned()
        };
        assert_eq!(
            identify(r#"{"token":"abc.def+ghi"}"#),
            r#"{"token":"<token>"}"#
        );
        assert_eq!(
            identify(r#"{"token":"Bot abc.def+ghi"}"#),
            r#"{"token":"<token:bot>"}"#
        );
        assert_eq!(
            identify(r#"{"token":"another"}"#),
            r#"{"token":"<token:wrong>"}"#
        );
        assert_eq!(identify(r#"{"token":7}"#), r#"{"token":"<token:wrong>"}"#);
        assert_eq!(
            redactor.text("?t=abc.def%2Bghi&b=YWJjLmRlZitnaGk"),
            "?t=<token>&b=<token>"
        );
        assert!(matches!(redactor.text("nothing to hide"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_trace_is_named_with_its_line() {
        let error = |text: &str| Reader::new(text.as_bytes()).err().unwrap().to_string();
        assert_eq!(error(""), "the trace is empty: expected a header line");
        assert_eq!(error("hello\n"), "line 1 is no trace header");
        assert_eq!(
            error("{\"gwtool_trace\":99}\n"),
            "trace version 99: this gwtool reads version 1"
        );
    }
}
