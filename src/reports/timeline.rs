//! The timeline: a trace as lines that a person can follow.
//!
//! Takes entries one by one and appends lines, so that it serves a run under way as well as one that is over. What is routine
//! (dispatches, heartbeats and their ACKs, those that go through and those that are swallowed apart) is gathered by connection
//! into one line and told when something else happens. Where the subject acts after a silence, the silence is told before.
//! [`Detail::Everything`] tells each entry instead. Holds as much as there are connections with routine to tell.
//!
//! ```text
//! ── chaos ─────────────────────────────────────────────
//!   41.283s  #1  subject → HEARTBEAT d=4
//!   61.100s  #1  … 12 dispatches (s=5..16), 3 heartbeats ACKed, until 143.050s
//!  143.100s  #1  fault struck: blackhole for 16.5s (at 143.1s)
//!  144.000s  #1  … 4 dispatches swallowed (s=17..20), until 156.375s
//!  225.600s      … nothing had reached the subject for 82.55s
//! ```

use super::escape::{escape, shorten};
use super::style::{BAD, FAINT, FAULT, GOOD, HEADING};
use crate::fault::Act;
use crate::faults::schedule::describe;
use crate::machine::Level;
use crate::protocol::{CloseCode, Json, Opcode};
use crate::time::{Duration, Instant, show};
use crate::trace::{
    Clock, Delivery, Entry, Fate, Header, HealthAnswer, Kind, Miss, OutputStream, Phase,
    ScheduledFault, Seen, Side,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How much of a trace is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What is routine is gathered into one line.
    Gathered,
    /// Every entry has its line.
    Everything,
}

/// A trace on its way into lines.
#[derive(Debug)]
pub struct Timeline {
    detail: Detail,
    /// What each fault of the schedule does and when, in words.
    faults: Vec<(String, String)>,
    /// Routine that is not told yet, by connection and by whether it was swallowed.
    routine: BTreeMap<(u32, bool), Routine>,
    /// The strike that was told last: most faults are over in the same instant, which says nothing.
    strike: Option<(u32, Instant)>,
    /// When something reached the subject last; `None` before the first time, and once the silence since was told.
    heard: Option<Instant>,
    /// From how much of it on a silence is told.
    silence: Duration,
}

/// Routine entries of one connection since something else happened on any.
#[derive(Debug)]
struct Routine {
    /// Whether none of it got through.
    is_swallowed: bool,
    /// Told as it is if it stays alone.
    first: Entry,
    until: Instant,
    entries: u32,
    dispatches: u64,
    /// The first and the last sequence number.
    seqs: Option<(u64, u64)>,
    beats: u64,
    acks: u64,
}

impl Timeline {
    /// Begins, and appends what a person has to know beforehand: what runs, on which clock, from which seed, and the drawn
    /// schedule.
    pub fn new(header: &Header, detail: Detail, to: &mut String) -> Self {
        let faults: Vec<(String, String)> = header.schedule.iter().map(words).collect();
        let clock = match header.clock {
            Clock::Virtual => "virtual",
            Clock::Real => "real",
        };
        line(
            to,
            format_args!(
                "{HEADING}{}{HEADING:#}  subject {}  seed {}  I {}  {clock} time",
                escape(&header.scenario),
                escape(&header.subject),
                escape(&header.seed),
                show(header.interval),
            ),
        );
        for (scheduled, (what, when)) in header.schedule.iter().zip(&faults) {
            let note = match (&scheduled.fault.optional, scheduled.is_skipped) {
                (_, true) => " (skipped: its chance did not come up)".to_owned(),
                (Some(why), false) => format!(" (optional: {})", escape(why)),
                (None, false) => String::new(),
            };
            line(
                to,
                format_args!("  {FAULT}scheduled{FAULT:#} {when}: {what}{note}"),
            );
        }
        Self {
            detail,
            faults,
            routine: BTreeMap::new(),
            strike: None,
            heard: None,
            silence: header.interval / 2,
        }
    }

    /// Takes the next entry and appends the lines that are due.
    pub fn push(&mut self, entry: &Entry, to: &mut String) {
        if self.detail == Detail::Gathered {
            let is_over_at_once = matches!(&entry.saw,
                Seen::Healed { fault } if self.strike == Some((*fault, entry.at)));
            if is_over_at_once || is_left_out(&entry.saw) {
                return;
            }
            self.listen(entry);
            if self.gather(entry) {
                return;
            }
            self.flush(to);
            self.tell_silence(entry, to);
        }
        if let Seen::Struck { fault, .. } = entry.saw {
            self.strike = Some((fault, entry.at));
        }
        self.tell(entry, to);
    }

    /// Appends what was still being gathered.
    pub fn finish(mut self, to: &mut String) {
        self.flush(to);
    }

    /// Notes when something reaches the subject.
    fn listen(&mut self, entry: &Entry) {
        let is_heard = match &entry.saw {
            Seen::Frame { from, fate, .. }
            | Seen::Message { from, fate, .. }
            | Seen::Close { from, fate, .. }
            | Seen::Fin { from, fate, .. }
            | Seen::Rst { from, fate, .. } => *from == Side::Gateway && fate.arrives(),
            Seen::Upgraded { .. } | Seen::Request { .. } => true,
            _ => false,
        };
        if is_heard {
            self.heard = Some(entry.at);
        }
    }

    /// Appends how long nothing had reached the subject when it does something about it, or comes to its end.
    fn tell_silence(&mut self, entry: &Entry, to: &mut String) {
        let acts = match &entry.saw {
            Seen::Close { from, .. } | Seen::Fin { from, .. } | Seen::Rst { from, .. } => {
                *from == Side::Subject
            }
            Seen::Log { .. }
            | Seen::Accepted { .. }
            | Seen::Missed { .. }
            | Seen::Died { .. }
            | Seen::Stopped { .. } => true,
            _ => false,
        };
        let silence = self.heard.map(|heard| entry.at.since(heard));
        if let Some(silence) = silence.filter(|silence| acts && *silence >= self.silence) {
            self.heard = None;
            let text = format!(
                "{FAINT}… nothing had reached the subject for {}{FAINT:#}",
                show(silence)
            );
            at(to, entry.at, None, &text);
        }
    }

    /// Adds an entry to its connection's routine, if it is any.
    fn gather(&mut self, entry: &Entry) -> bool {
        let Seen::Frame {
            connection,
            from,
            fate: fate @ (Fate::Delivered | Fate::Swallowed),
            op,
            s,
            t,
            ..
        } = &entry.saw
        else {
            return false;
        };
        let is_swallowed = *fate == Fate::Swallowed;
        // READY and RESUMED are steps of the lifecycle; an op 1 from the gateway is a request, and rare.
        let is_step = matches!(t.as_deref(), Some("READY" | "RESUMED"));
        let is_routine = match (*from, *op) {
            (Side::Gateway, Opcode::DISPATCH) => !is_step,
            (Side::Gateway, Opcode::HEARTBEAT_ACK) | (Side::Subject, Opcode::HEARTBEAT) => true,
            _ => false,
        };
        if !is_routine {
            return false;
        }
        let key = (*connection, is_swallowed);
        let routine = self.routine.entry(key).or_insert_with(|| Routine {
            is_swallowed,
            first: entry.clone(),
            until: entry.at,
            entries: 0,
            dispatches: 0,
            seqs: None,
            beats: 0,
            acks: 0,
        });
        routine.until = entry.at;
        routine.entries += 1;
        match *op {
            Opcode::HEARTBEAT => routine.beats += 1,
            Opcode::HEARTBEAT_ACK => routine.acks += 1,
            _ => {
                routine.dispatches += 1;
                if let Some(s) = *s {
                    routine.seqs = Some((routine.seqs.map_or(s, |(first, _)| first), s));
                }
            }
        }
        true
    }

    fn flush(&mut self, to: &mut String) {
        let routine = std::mem::take(&mut self.routine);
        let mut gathered: Vec<_> = routine.into_iter().collect();
        gathered.sort_by_key(|(_, routine)| routine.first.at);
        for ((connection, _), routine) in gathered {
            if routine.entries == 1 {
                self.tell(&routine.first, to);
            } else {
                let text = format!("{FAINT}{}{FAINT:#}", routine.text());
                at(to, routine.first.at, Some(connection), &text);
            }
        }
    }

    /// Appends the line of one entry.
    fn tell(&self, entry: &Entry, to: &mut String) {
        let text = match &entry.saw {
            Seen::Phase(phase) => {
                let name = match phase {
                    Phase::Login => "login",
                    Phase::Chaos => "chaos",
                    Phase::Healed => "healed: nothing more is injected",
                    Phase::Over => "over: what follows is not judged",
                };
                let rule = "─".repeat(60_usize.saturating_sub(name.chars().count()));
                line(to, format_args!("{HEADING}── {name} {rule}{HEADING:#}"));
                return;
            }
            Seen::Log { level, text } => {
                let level = match level {
                    Level::Error => "error",
                    Level::Warn => "warn",
                    Level::Info => "info",
                    Level::Debug => "debug",
                };
                format!("{FAINT}  | {level}: {}{FAINT:#}", escape(text))
            }
            Seen::Struck { fault, .. } => {
                let (what, when) = self.fault(*fault);
                format!("{FAULT}fault struck: {what}{FAULT:#} {FAINT}({when}){FAINT:#}")
            }
            Seen::Healed { fault } => {
                format!("{FAULT}fault over: {}{FAULT:#}", self.fault(*fault).0)
            }
            Seen::Armed { fault } => {
                format!("{FAINT}fault armed: {}{FAINT:#}", self.fault(*fault).0)
            }
            seen => words_of(seen),
        };
        at(to, entry.at, entry.saw.connection(), &text);
    }

    /// What a fault does, and when.
    fn fault(&self, fault: u32) -> (&str, &str) {
        let known = usize::try_from(fault).ok().and_then(|n| self.faults.get(n));
        known.map_or(
            ("one that is not in the schedule", "never"),
            |(what, when)| (what.as_str(), when.as_str()),
        )
    }
}

impl Routine {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        let fate = if self.is_swallowed { " swallowed" } else { "" };
        match (self.dispatches, self.seqs) {
            (0, _) => {}
            (1, Some((s, _))) => parts.push(format!("1 dispatch{fate} (s={s})")),
            (n, Some((first, last))) => {
                parts.push(format!("{n} dispatches{fate} (s={first}..{last})"));
            }
            (n, None) => parts.push(format!("{n} dispatches{fate}, without a number")),
        }
        let beats = if self.beats == 1 {
            "1 heartbeat".to_owned()
        } else {
            format!("{} heartbeats", self.beats)
        };
        match (self.beats, self.acks) {
            (0, 0) => {}
            (0, 1) if self.is_swallowed => parts.push("1 ACK swallowed".to_owned()),
            (0, acks) if self.is_swallowed => parts.push(format!("{acks} ACKs swallowed")),
            (_, 0) if self.is_swallowed => parts.push(format!("{beats} swallowed")),
            (0, acks) => parts.push(format!("{acks} ACKed")),
            (_, 0) => parts.push(format!("{beats} not ACKed")),
            (sent, acks) if sent == acks => parts.push(format!("{beats} ACKed")),
            (_, acks) => parts.push(format!("{beats}, {acks} ACKed")),
        }
        if self.until > self.first.at {
            parts.push(format!("until {}", self.until));
        }
        format!("… {}", parts.join(", "))
    }
}

/// What is of no use to a person unless everything is asked for: the schedule stands at the top already, and what was
/// delivered is the judge's business.
const fn is_left_out(seen: &Seen) -> bool {
    matches!(
        seen,
        Seen::Armed { .. }
            | Seen::Delivered(_)
            | Seen::End { is_complete: true }
            // An upgrade that goes well is followed by HELLO; any other is told with its status.
            | Seen::Upgrade { .. }
            | Seen::Upgraded { status: 101, .. }
            | Seen::Log {
                level: Level::Debug,
                ..
            }
    )
}

/// What a fault does, and when it does it.
fn words(scheduled: &ScheduledFault) -> (String, String) {
    let text = describe(&scheduled.fault);
    let (when, what) = text.split_once(": ").unwrap_or(("", &text));
    (escape(what).into_owned(), escape(when).into_owned())
}

fn line(to: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(to, "{text}");
}

/// A line with its columns: time, connection, text.
fn at(to: &mut String, at: Instant, connection: Option<u32>, text: &str) {
    let connection = connection.map_or_else(String::new, |n| format!("#{n}"));
    line(to, format_args!("{at:>10}  {connection:<3} {text}"));
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Gateway => "gateway",
        Side::Subject => "subject",
    }
}

/// What became of something, where it did not simply go through.
const fn fate_note(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "",
        Fate::Held => " (held back)",
        Fate::Withheld => " (withheld)",
        Fate::Swallowed => " (swallowed)",
        Fate::Injected => " (sent by the schedule)",
        Fate::Spoilt => " (spoilt)",
    }
}

/// An entry that needs no schedule to be told.
fn words_of(seen: &Seen) -> String {
    match seen {
        Seen::Started { with_session: true } => {
            "subject started, with a session to resume".to_owned()
        }
        Seen::Started {
            with_session: false,
        } => "subject started".to_owned(),
        Seen::Missed { port, why } => match why {
            Miss::Refused => format!("subject connects to {port}: refused"),
            Miss::Hung => format!("subject connects to {port}: hung, and given up"),
        },
        Seen::TlsFailed {
            port,
            connection: None,
            why,
        } => format!("subject connects to {port}: TLS failed: {why}"),
        Seen::TlsFailed { why, .. } => format!("TLS failed: {why}"),
        Seen::Accepted { port, .. } => format!("subject connects to {port}"),
        Seen::Upgrade { path, .. } => format!("subject → GET {}", shorten(path, 80)),
        Seen::Upgraded { status, .. } => format!("gateway → HTTP {status}"),
        Seen::Frame {
            from,
            fate,
            op,
            s,
            t,
            d,
            ..
        } => {
            let text = frame(*from, *op, *s, t.as_deref(), d);
            if fate.arrives() {
                format!("{} → {text}{}", name(*from), fate_note(*fate))
            } else {
                format!(
                    "{} → {FAULT}{text}{}{FAULT:#}",
                    name(*from),
                    fate_note(*fate)
                )
            }
        }
        Seen::Message {
            from,
            fate,
            kind,
            text,
            ..
        } => {
            let kind = match kind {
                Kind::Text => "text",
                Kind::Binary => "binary",
                Kind::Ping => "ping",
                Kind::Pong => "pong",
                Kind::Broken => "broken bytes",
            };
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(" {}", shorten(text, 60))
            };
            format!("{} → {kind}{text}{}", name(*from), fate_note(*fate))
        }
        Seen::Close {
            from,
            fate,
            code,
            reason,
            ..
        } => format!(
            "{} → Close {}{}",
            name(*from),
            close(*code, reason),
            fate_note(*fate)
        ),
        Seen::Fin { from, fate, .. } => format!("{} → FIN{}", name(*from), fate_note(*fate)),
        Seen::Rst { from, fate, .. } => format!("{} → RST{}", name(*from), fate_note(*fate)),
        Seen::Request {
            method,
            path,
            status,
            by_fault,
        } => {
            let by = if *by_fault { " (by the schedule)" } else { "" };
            let (method, path) = (shorten(method, 12), shorten(path, 80));
            format!("subject → {method} {path}: HTTP {status}{by}")
        }
        Seen::Acted { act } => match act {
            Act::Stop => "gwtool tells the subject to stop".to_owned(),
            Act::Start => "gwtool starts the subject".to_owned(),
            Act::Restart => "gwtool restarts the subject".to_owned(),
            Act::Freeze => "gwtool freezes the subject".to_owned(),
            Act::Thaw => "gwtool thaws the subject".to_owned(),
            Act::Kill => "gwtool kills the subject".to_owned(),
            Act::Send => "gwtool has the subject send commands".to_owned(),
        },
        Seen::Delivered(Delivery::Sequence { s, .. }) => format!("subject delivers s={s}"),
        Seen::Delivered(Delivery::Number(n)) => format!("subject delivers message {n}"),
        Seen::Commanded { command, fate } => {
            let fate = match fate {
                crate::machine::CommandFate::Sent => "sent",
                crate::machine::CommandFate::Expired => "expired",
                crate::machine::CommandFate::Refused => "refused",
            };
            format!("subject: command {} {fate}", command.0)
        }
        Seen::ProcessOutput { stream, text, .. } => {
            let mark = match stream {
                OutputStream::Stdout => "|",
                OutputStream::Stderr => "!",
            };
            format!("{FAINT}{mark} {}{FAINT:#}", escape(text))
        }
        Seen::Exited { status, .. } => format!("subject's process ended: {status}"),
        Seen::Health { answer, took } => match answer {
            HealthAnswer::Well => {
                format!("{GOOD}subject says it is well{GOOD:#}, in {}", show(*took))
            }
            HealthAnswer::Ill(text) => {
                format!("{BAD}subject says it is not well: {}{BAD:#}", escape(text))
            }
            HealthAnswer::Silent(text) => {
                format!(
                    "{BAD}subject does not say how it is: {}{BAD:#}",
                    escape(text)
                )
            }
        },
        Seen::Died { message } => format!("{BAD}subject died: {}{BAD:#}", escape(message)),
        Seen::Stopped { reason: None } => format!("{GOOD}subject stopped{GOOD:#}"),
        Seen::Stopped {
            reason: Some(reason),
        } => format!("{FAULT}subject stopped: {}{FAULT:#}", escape(reason)),
        Seen::TokenShown { place } => format!("{BAD}a token was shown in {}{BAD:#}", escape(place)),
        Seen::Noisy { late } => {
            format!(
                "{FAULT}gwtool's own timers were late by {}{FAULT:#}",
                show(*late)
            )
        }
        Seen::End { is_complete: true } => "end of the trace".to_owned(),
        Seen::End { is_complete: false } => format!("{FAULT}interrupted{FAULT:#}"),
        // These need the schedule or make a line of their own: `tell` has them.
        Seen::Phase(_)
        | Seen::Log { .. }
        | Seen::Struck { .. }
        | Seen::Healed { .. }
        | Seen::Armed { .. } => unreachable!("told before this is asked"),
    }
}

/// The code of a Close frame with its meaning, and the reason.
pub(super) fn close(code: Option<CloseCode>, reason: &str) -> String {
    let mut text = code.map_or_else(
        || "without a code".to_owned(),
        |code| format!("{code} ({})", code.meaning()),
    );
    if !reason.is_empty() {
        let _ = write!(text, " \"{}\"", shorten(reason, 123));
    }
    text
}

/// A payload in a few words: its name and what in it matters to the lifecycle.
fn frame(from: Side, op: Opcode, s: Option<u64>, t: Option<&str>, d: &Json) -> String {
    #[derive(Deserialize)]
    struct Hello {
        heartbeat_interval: u64,
    }
    #[derive(Deserialize)]
    struct Ready {
        session_id: String,
    }
    #[derive(Deserialize)]
    struct Resume {
        session_id: String,
        seq: u64,
    }
    #[derive(Deserialize)]
    struct Identify {
        shard: [u32; 2],
    }
    let seq = s.map_or_else(String::new, |s| format!(" s={s}"));
    // A payload that is not what it should be is shown as it is.
    let raw = || format!("{} d={}", op.name(), shorten(d.get(), 60));
    match (op, t) {
        (Opcode::DISPATCH, Some("READY")) => d.read::<Ready>().map_or_else(
            |_| format!("READY{seq}"),
            |ready| format!("READY{seq}, session {}", shorten(&ready.session_id, 40)),
        ),
        (Opcode::DISPATCH, Some(t)) => format!("{}{seq}", shorten(t, 40)),
        (Opcode::DISPATCH, None) => format!("DISPATCH without a name{seq}"),
        (Opcode::HELLO, _) => d.read::<Hello>().map_or_else(
            |_| raw(),
            |hello| {
                let interval = Duration::from_millis(hello.heartbeat_interval);
                format!("HELLO, a heartbeat every {}", show(interval))
            },
        ),
        (Opcode::RESUME, _) => d.read::<Resume>().map_or_else(
            |_| raw(),
            |resume| {
                let session = shorten(&resume.session_id, 40);
                format!("RESUME session {session} after s={}", resume.seq)
            },
        ),
        (Opcode::IDENTIFY, _) => d.read::<Identify>().map_or_else(
            |_| "IDENTIFY".to_owned(),
            |Identify { shard: [id, count] }| format!("IDENTIFY, shard {id} of {count}"),
        ),
        (Opcode::INVALID_SESSION, _) => match d.get() {
            "true" => "INVALID SESSION, resumable".to_owned(),
            "false" => "INVALID SESSION, not resumable".to_owned(),
            _ => raw(),
        },
        (Opcode::HEARTBEAT, _) if from == Side::Gateway => "HEARTBEAT requested".to_owned(),
        (Opcode::HEARTBEAT_ACK | Opcode::RECONNECT, _) => format!("{}{seq}", op.name()),
        (op, _) if op.name() == "UNKNOWN OPCODE" => {
            format!("{op} (unknown){seq} d={}", shorten(d.get(), 60))
        }
        _ => format!("{}{seq}", raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::fault::Port;

    /// The lines of a run of half a minute in which everything is met that a timeline tells in a way of its own.
    fn told(detail: Detail, seen: Vec<(u64, Seen)>) -> String {
        let mut to = String::new();
        let mut header = sample::header();
        header.schedule.clear();
        let mut timeline = Timeline::new(&header, detail, &mut to);
        to.clear();
        for (millis, saw) in seen {
            let at = Instant::from_nanos(millis * 1_000_000);
            timeline.push(&Entry { at, saw }, &mut to);
        }
        timeline.finish(&mut to);
        anstream::adapter::strip_str(&to).to_string()
    }

    fn frame(
        connection: u32,
        from: Side,
        fate: Fate,
        op: Opcode,
        s: Option<u64>,
        t: Option<&'static str>,
        d: &str,
    ) -> Seen {
        Seen::Frame {
            connection,
            from,
            fate,
            op,
            s,
            t: t.map(Into::into),
            d: Json::parse(d).unwrap(),
            bytes: 0,
        }
    }

    fn login() -> Vec<(u64, Seen)> {
        use Side::{Gateway, Subject};
        let through = Fate::Delivered;
        vec![
            (0, Seen::Phase(Phase::Login)),
            (
                0,
                Seen::Accepted {
                    connection: 1,
                    port: Port::Main,
                },
            ),
            (
                30,
                frame(
                    1,
                    Gateway,
                    through,
                    Opcode::HELLO,
                    None,
                    None,
                    r#"{"heartbeat_interval":41250}"#,
                ),
            ),
            (
                31,
                frame(
                    1,
                    Subject,
                    through,
                    Opcode::IDENTIFY,
                    None,
                    None,
                    r#"{"token":"<token>","shard":[0,1]}"#,
                ),
            ),
            (
                32,
                frame(
                    1,
                    Gateway,
                    through,
                    Opcode::DISPATCH,
                    Some(1),
                    Some("READY"),
                    r#"{"session_id":"s1\u001b[2J"}"#,
                ),
            ),
        ]
    }

    fn traffic(first: u64, connection: u32) -> Vec<(u64, Seen)> {
        use Side::{Gateway, Subject};
        let through = Fate::Delivered;
        let mut seen: Vec<(u64, Seen)> = (0..3)
            .map(|n| {
                let message = frame(
                    connection,
                    Gateway,
                    through,
                    Opcode::DISPATCH,
                    Some(first + n),
                    Some("MESSAGE_CREATE"),
                    "{}",
                );
                (100 * (first + n), message)
            })
            .collect();
        let beat = Opcode::HEARTBEAT;
        seen.push((
            900,
            frame(connection, Subject, through, beat, None, None, "4"),
        ));
        let ack = Opcode::HEARTBEAT_ACK;
        seen.push((
            901,
            frame(connection, Gateway, through, ack, None, None, "null"),
        ));
        seen
    }

    #[test]
    fn what_is_routine_is_one_line_and_steps_are_their_own() {
        let mut seen = login();
        seen.extend(traffic(2, 1));
        seen.push((1000, Seen::Phase(Phase::Healed)));
        insta::assert_snapshot!(told(Detail::Gathered, seen), @r"
        ── login ───────────────────────────────────────────────────────
            0.000s  #1  subject connects to main
            0.030s  #1  gateway → HELLO, a heartbeat every 41.25s
            0.031s  #1  subject → IDENTIFY, shard 0 of 1
            0.032s  #1  gateway → READY s=1, session s1\u{1b}[2J
            0.200s  #1  … 3 dispatches (s=2..4), 1 heartbeat ACKed, until 0.901s
        ── healed: nothing more is injected ────────────────────────────
        ");
    }

    #[test]
    fn every_entry_has_its_line_when_all_is_asked_for() {
        let seen = traffic(2, 1);
        let count = seen.len();
        assert_eq!(told(Detail::Everything, seen).lines().count(), count);
    }

    #[test]
    fn routine_of_two_connections_stays_apart() {
        let mut seen = traffic(2, 1);
        seen.extend(traffic(5, 2));
        let text = told(Detail::Gathered, seen);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("#1  … 3 dispatches (s=2..4)"), "{text}");
        assert!(text.contains("#2  … 3 dispatches (s=5..7)"), "{text}");
    }

    #[test]
    fn what_a_fault_took_is_never_gathered() {
        let ack = frame(
            1,
            Side::Gateway,
            Fate::Withheld,
            Opcode::HEARTBEAT_ACK,
            None,
            None,
            "null",
        );
        let mut seen = traffic(2, 1);
        seen.push((950, ack));
        let text = told(Detail::Gathered, seen);
        assert!(
            text.ends_with("    0.950s  #1  gateway → HEARTBEAT ACK (withheld)\n"),
            "{text}"
        );
    }

    #[test]
    fn what_was_swallowed_is_gathered_apart_from_what_went_through() {
        let mut seen = traffic(2, 1);
        for (millis, s) in [(950, 5), (960, 6), (970, 7)] {
            let t = Some("MESSAGE_CREATE");
            let (from, fate) = (Side::Gateway, Fate::Swallowed);
            seen.push((
                millis,
                frame(1, from, fate, Opcode::DISPATCH, Some(s), t, "{}"),
            ));
        }
        insta::assert_snapshot!(told(Detail::Gathered, seen), @r"
        0.200s  #1  … 3 dispatches (s=2..4), 1 heartbeat ACKed, until 0.901s
        0.950s  #1  … 3 dispatches swallowed (s=5..7), until 0.970s
        ");
    }

    #[test]
    fn a_silence_is_told_once_before_what_the_subject_does_about_it() {
        let left = || Seen::Close {
            connection: 1,
            from: Side::Subject,
            fate: Fate::Swallowed,
            code: Some(CloseCode(4900)),
            reason: String::new(),
        };
        let log = |text: &str| Seen::Log {
            level: Level::Warn,
            text: text.to_owned(),
        };
        let mut seen = traffic(2, 1);
        seen.push((1_000, log("all is well")));
        seen.push((60_001, log("no ACK")));
        seen.push((60_002, left()));
        insta::assert_snapshot!(told(Detail::Gathered, seen), @r"
        0.200s  #1  … 3 dispatches (s=2..4), 1 heartbeat ACKed, until 0.901s
        1.000s        | warn: all is well
       60.001s      … nothing had reached the subject for 59.1s
       60.001s        | warn: no ACK
       60.002s  #1  subject → Close 4900 (not a documented code) (swallowed)
        ");
    }

    #[test]
    fn a_fault_is_over_only_where_it_lasted() {
        let struck = |fault| Seen::Struck {
            fault,
            connection: Some(2),
        };
        let seen = |over| {
            let mut to = String::new();
            let header = sample::header();
            let mut timeline = Timeline::new(&header, Detail::Gathered, &mut to);
            to.clear();
            for (nanos, saw) in [(5, struck(0)), (over, Seen::Healed { fault: 0 })] {
                let at = Instant::from_nanos(nanos);
                timeline.push(&Entry { at, saw }, &mut to);
            }
            anstream::adapter::strip_str(&to).to_string()
        };
        assert_eq!(seen(5).lines().count(), 1, "{}", seen(5));
        let lasted = seen(1_000_000);
        assert!(lasted.contains("  #2  fault struck: "), "{lasted}");
        assert!(lasted.contains("fault over: "), "{lasted}");
    }

    #[test]
    fn text_from_outside_cannot_forge_a_line() {
        let seen = vec![
            (
                5,
                Seen::Close {
                    connection: 1,
                    from: Side::Subject,
                    fate: Fate::Delivered,
                    code: Some(CloseCode(4000)),
                    reason: "bye\n   0.000s  all is well".to_owned(),
                },
            ),
            (
                6,
                Seen::Log {
                    level: Level::Warn,
                    text: "\x1b[31mred".to_owned(),
                },
            ),
            (
                7,
                Seen::Died {
                    message: "uncaught\r\nat x".to_owned(),
                },
            ),
        ];
        insta::assert_snapshot!(told(Detail::Gathered, seen), @r#"
        0.005s  #1  subject → Close 4000 (unknown error) "bye\n   0.000s  all is well"
        0.006s        | warn: \u{1b}[31mred
        0.007s      subject died: uncaught\r\nat x
        "#);
    }

    #[test]
    fn the_schedule_stands_before_the_first_entry() {
        let mut to = String::new();
        Timeline::new(&sample::header(), Detail::Gathered, &mut to);
        let text = anstream::adapter::strip_str(&to).to_string();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("flap  subject carbon-0.14  seed 0x5eed  I 41.25s  virtual time")
        );
        assert!(lines.next().unwrap().starts_with("  scheduled "), "{text}");
    }
}
