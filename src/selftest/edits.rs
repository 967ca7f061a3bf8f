//! For every rule a trace that breaks it and one that nearly does: each a recorded run of our client with one edit.
//!
//! The self-test turns to them for what no client with a defect does: a judge that has never been seen to find a rule broken
//! may be one that cannot. Recordings are made by the engine in virtual time and conform, so that everything around an edit is
//! what really happens: what an edit is found guilty of is the edit's doing. An [`Edit`] is one change to the list of entries.

use crate::fault::{Act, Port};
use crate::net::Interrupt;
use crate::oracle::{Effect, Finding, Judge, Judgement, Verdict};
use crate::protocol::{CloseCode, Json, Opcode};
use crate::scenarios::load;
use crate::scenarios::runner::{self, Machine, Plan, usual_interval};
use crate::seed::Seed;
use crate::subjects::Name;
use crate::time::{Duration, Instant};
use crate::trace::{Clock, Delivery, Entry, Fate, Header, Kind, Miss, Observer, Phase, Seen, Side};
use std::sync::OnceLock;

/// A scenario, and the recording of its run.
struct Base {
    text: &'static str,
    /// What was recorded, or why nobody can go by it.
    recording: OnceLock<Result<Recording, String>>,
}

impl Base {
    const fn new(text: &'static str) -> Self {
        Self {
            text,
            recording: OnceLock::new(),
        }
    }

    /// The recording, made on the first call. A judge that fails our own client leaves none: no edit could be told from what it
    /// finds anyway.
    fn recording(&self) -> Result<&Recording, &str> {
        let made = self.recording.get_or_init(|| {
            let mut scenarios = load::load(self.text, "a recording", Clock::Virtual)
                .unwrap_or_else(|problems| panic!("{problems}"));
            let scenario = scenarios.remove(0);
            let plan = Plan {
                interval: scenario.interval.unwrap_or(usual_interval(Clock::Virtual)),
                scenario,
                subject: Name::Gwtool.into(),
                seed: Seed(1),
                clock: Clock::Virtual,
                tls: false,
                timeout: None,
                keep_entries: true,
                schedule: None,
            };
            let machine = Machine::default();
            let outcome = runner::run(&plan, &mut [], &machine, &Interrupt::default())
                .expect("virtual time needs nothing that could fail");
            let judgement = &outcome.judgement;
            if judgement.verdict != Verdict::Conforms {
                let failing = judgement.findings.iter();
                let failing = failing.filter(|finding| finding.effect == Effect::Fails);
                let failing = failing.map(|finding| &finding.id);
                let told: Vec<&String> = failing.chain(&judgement.reasons).collect();
                let told: Vec<&str> = told.into_iter().map(String::as_str).collect();
                return Err(format!(
                    "the recording `{}` of gwtool's own client, in which rules are tried, does not conform: {}",
                    plan.scenario.name,
                    told.join(", ")
                ));
            }
            Ok(Recording {
                header: outcome.header,
                entries: outcome.entries,
            })
        });
        made.as_ref().map_err(String::as_str)
    }
}

/// What was seen of a run. Places in it are those of the list of entries.
#[derive(Debug, Clone)]
struct Recording {
    header: Header,
    entries: Vec<Entry>,
}

impl Recording {
    /// The place of the `n`th entry that is so, counted from one.
    #[track_caller]
    fn nth(&self, n: usize, is: impl Fn(&Seen) -> bool) -> usize {
        let mut places = (0..self.entries.len()).filter(|place| is(&self.entries[*place].saw));
        places.nth(n - 1).expect("the recording has such an entry")
    }

    #[track_caller]
    fn first(&self, is: impl Fn(&Seen) -> bool) -> usize {
        self.nth(1, is)
    }

    /// The first place behind another one that is so.
    #[track_caller]
    fn next(&self, behind: usize, is: impl Fn(&Seen) -> bool) -> usize {
        let mut places = behind + 1..self.entries.len();
        places
            .find(|place| is(&self.entries[*place].saw))
            .expect("the recording has such an entry behind it")
    }

    /// The last place before another one that is so.
    #[track_caller]
    fn last(&self, before: usize, is: impl Fn(&Seen) -> bool) -> usize {
        let mut places = (0..before).rev();
        places
            .find(|place| is(&self.entries[*place].saw))
            .expect("the recording has such an entry before it")
    }

    fn at(&self, place: usize) -> Instant {
        self.entries[place].at
    }

    /// A moment after an entry.
    fn after(&self, place: usize, millis: u64) -> Instant {
        self.at(place) + ms(millis)
    }

    /// A moment before an entry.
    fn before(&self, place: usize, millis: u64) -> Instant {
        self.at(place).before(ms(millis))
    }

    /// The recording with an edit.
    fn with(&self, edit: Edit) -> Self {
        let mut edited = self.clone();
        let entries = &mut edited.entries;
        let put = |entries: &mut Vec<Entry>, entry: Entry| {
            let place = entries.partition_point(|other| other.at <= entry.at);
            entries.insert(place, entry);
        };
        match edit {
            Edit::Drop(place) => {
                entries.remove(place);
            }
            Edit::Move(place, at) => {
                let entry = entries.remove(place);
                put(entries, Entry { at, ..entry });
            }
            Edit::Moves(several) => {
                for (place, at) in several {
                    entries[place].at = at;
                }
                entries.sort_by_key(|entry| entry.at);
            }
            Edit::Change(place, field) => field.write(&mut entries[place].saw),
            Edit::Insert(at, saw) => put(entries, Entry { at, saw }),
            Edit::Behind(place, saw) => {
                let at = entries[place].at;
                entries.insert(place + 1, Entry { at, saw });
            }
            Edit::Replace(place, several) => {
                entries.remove(place);
                for entry in several {
                    put(entries, entry);
                }
            }
        }
        edited
    }

    fn judged(&self) -> Judgement {
        let mut judge = Judge::new(&self.header);
        for entry in &self.entries {
            judge.observe(entry);
        }
        judge.finish()
    }

    /// What was found of one rule, notes left out.
    fn found(&self, rule: &str) -> Vec<Finding> {
        let mut found = self.judged().findings;
        found.retain(|finding| finding.id == rule && finding.effect != Effect::Note);
        found
    }
}

/// One change to the list of entries.
enum Edit {
    /// The entry was not seen.
    Drop(usize),
    /// It was seen at another time.
    Move(usize, Instant),
    /// Several were seen at other times. Only for what nobody can do wrong with a single entry, such as a habit.
    Moves(Vec<(usize, Instant)>),
    /// One thing about it was otherwise.
    Change(usize, Field),
    /// One more was seen, behind all others of its time.
    Insert(Instant, Seen),
    /// One more was seen, directly behind an entry and at its time.
    Behind(usize, Seen),
    /// Several were seen instead of it. Only for what nobody can do wrong with a single entry, such as a storm.
    Replace(usize, Vec<Entry>),
}

/// What can be otherwise about an entry.
enum Field {
    /// The payload of a frame.
    Payload(String),
    /// What a frame is: opcode and payload.
    Opcode(Opcode, &'static str),
    /// Which event a dispatch is: its name and payload.
    Event(&'static str, &'static str),
    /// The `s` of a frame.
    Sequence(u64),
    /// The length of a frame.
    Bytes(u32),
    /// The code of a Close.
    Code(Option<u16>),
    /// The path of an upgrade.
    Path(&'static str),
    /// The listener that was called.
    Port(Port),
    /// What kind of message it is.
    Kind(Kind),
}

impl Field {
    fn write(self, saw: &mut Seen) {
        match (self, saw) {
            (Self::Payload(text), Seen::Frame { d, .. }) => *d = json(&text),
            (Self::Opcode(opcode, text), Seen::Frame { op, d, .. }) => {
                (*op, *d) = (opcode, json(text));
            }
            (Self::Event(name, text), Seen::Frame { t, d, .. }) => {
                (*t, *d) = (Some(name.into()), json(text));
            }
            (Self::Sequence(number), Seen::Frame { s, .. }) => *s = Some(number),
            (Self::Bytes(length), Seen::Frame { bytes, .. }) => *bytes = length,
            (Self::Code(number), Seen::Close { code, .. }) => *code = number.map(CloseCode),
            (Self::Path(text), Seen::Upgrade { path, .. }) => text.clone_into(path),
            (Self::Port(listener), Seen::Accepted { port, .. }) => *port = listener,
            (Self::Kind(other), Seen::Message { kind, .. }) => *kind = other,
            (_, saw) => panic!("no such field: {saw:?}"),
        }
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("it is JSON")
}

// What entries are looked for.

fn frame(number: u32, side: Side, opcode: Opcode) -> impl Fn(&Seen) -> bool {
    move |saw| {
        matches!(saw, Seen::Frame { connection, from, op, .. }
            if (*connection, *from, *op) == (number, side, opcode))
    }
}

fn beat(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Subject, Opcode::HEARTBEAT)
}

fn ack(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Gateway, Opcode::HEARTBEAT_ACK)
}

fn hello(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Gateway, Opcode::HELLO)
}

fn op9(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Gateway, Opcode::INVALID_SESSION)
}

fn identify(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Subject, Opcode::IDENTIFY)
}

fn resume(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Subject, Opcode::RESUME)
}

fn presence(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Subject, Opcode::PRESENCE_UPDATE)
}

fn members(number: u32) -> impl Fn(&Seen) -> bool {
    frame(number, Side::Subject, Opcode::REQUEST_GUILD_MEMBERS)
}

fn event(number: u32, name: &'static str) -> impl Fn(&Seen) -> bool {
    move |saw| {
        matches!(saw, Seen::Frame { connection, t: Some(t), .. }
            if *connection == number && **t == *name)
    }
}

fn delivered(number: u32) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Delivered(Delivery::Sequence { connection, .. }) if *connection == number)
}

fn accepted(number: u32) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Accepted { connection, .. } if *connection == number)
}

fn upgrade(number: u32) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Upgrade { connection, .. } if *connection == number)
}

fn missed(listener: Port) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Missed { port, .. } if *port == listener)
}

fn message(number: u32, side: Side) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Message { connection, from, .. } if (*connection, *from) == (number, side))
}

fn closed(number: u32, side: Side) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Close { connection, from, .. } if (*connection, *from) == (number, side))
}

/// The FIN or RST by which the subject is done with a connection.
fn gone(number: u32) -> impl Fn(&Seen) -> bool {
    move |saw| {
        matches!(saw, Seen::Fin { connection, from: Side::Subject, .. } | Seen::Rst { connection, from: Side::Subject, .. }
            if *connection == number)
    }
}

fn reset(number: u32) -> impl Fn(&Seen) -> bool {
    move |saw| matches!(saw, Seen::Rst { connection, from: Side::Gateway, .. } if *connection == number)
}

// What entries are made.

fn sends(number: u32, op: Opcode, d: &str) -> Seen {
    Seen::Frame {
        connection: number,
        from: Side::Subject,
        fate: Fate::Delivered,
        op,
        s: None,
        t: None,
        d: json(d),
        bytes: 64,
    }
}

fn tells(number: u32, op: Opcode, d: &str) -> Seen {
    Seen::Frame {
        connection: number,
        from: Side::Gateway,
        fate: Fate::Injected,
        op,
        s: None,
        t: None,
        d: json(d),
        bytes: 64,
    }
}

/// A dispatch that is no message: nobody has to deliver it.
fn dispatches(number: u32, sequence: u64, name: &'static str, became: Fate) -> Seen {
    Seen::Frame {
        connection: number,
        from: Side::Gateway,
        fate: became,
        op: Opcode::DISPATCH,
        s: Some(sequence),
        t: Some(name.into()),
        d: json("{}"),
        bytes: 64,
    }
}

fn closes(number: u32) -> Seen {
    Seen::Close {
        connection: number,
        from: Side::Subject,
        fate: Fate::Delivered,
        code: Some(CloseCode(4000)),
        reason: String::new(),
    }
}

fn misses(port: Port) -> Seen {
    Seen::Missed {
        port,
        why: Miss::Refused,
    }
}

fn asks() -> Seen {
    Seen::Request {
        method: "GET".to_owned(),
        path: "/gateway/bot".to_owned(),
        status: 200,
        by_fault: false,
    }
}

/// The same thing at several times instead of an entry: the first at the entry's time, each that long after the one before.
fn again(
    recording: &Recording,
    place: usize,
    saw: &Seen,
    gaps: impl IntoIterator<Item = u64>,
) -> Edit {
    let mut at = recording.at(place);
    let mut entries = Vec::new();
    for gap in std::iter::once(0).chain(gaps) {
        at += ms(gap);
        let saw = saw.clone();
        entries.push(Entry { at, saw });
    }
    Edit::Replace(place, entries)
}

/// A gateway that accepts and resets, again and again, from a place on.
fn storm(recording: &Recording, place: usize, every: u64) -> Edit {
    let mut entries = Vec::new();
    for n in 0..61 {
        let (connection, port) = (1000 + n, Port::Main);
        let at = recording.after(place, u64::from(n) * every);
        entries.push(Entry {
            at,
            saw: Seen::Accepted { connection, port },
        });
        let (from, fate) = (Side::Gateway, Fate::Delivered);
        let saw = Seen::Rst {
            connection,
            from,
            fate,
        };
        entries.push(Entry {
            at: at + ms(1),
            saw,
        });
    }
    Edit::Replace(place, entries)
}

/// Behind an ACK the session is declared invalid again and again, each time an IDENTIFY after the one before; then READY.
fn identify_storm(recording: &Recording, place: usize, every: u64) -> Edit {
    let mut entries = vec![recording.entries[place].clone()];
    let mut at = recording.at(place);
    for _ in 0..13 {
        let saw = tells(1, Opcode::INVALID_SESSION, "false");
        entries.push(Entry { at, saw });
        at += ms(every);
        let saw = sends(1, Opcode::IDENTIFY, IDENTIFY);
        entries.push(Entry { at, saw });
    }
    // It has the number that the recording's heartbeats go on to carry.
    let mut saw = dispatches(1, 2, "READY", Fate::Delivered);
    Field::Event("READY", r#"{"session_id":"another"}"#).write(&mut saw);
    entries.push(Entry { at, saw });
    Edit::Replace(place, entries)
}

const IDENTIFY: &str =
    r#"{"token":"<token>","intents":513,"properties":{"os":"a","browser":"b","device":"c"}}"#;

/// A RESUME becomes an IDENTIFY.
fn identifies(recording: &Recording, number: u32) -> Edit {
    let place = recording.first(resume(number));
    Edit::Change(place, Field::Opcode(Opcode::IDENTIFY, IDENTIFY))
}

/// IDENTIFY on #1 has this payload.
fn identify_with(recording: &Recording, d: &str) -> Edit {
    Edit::Change(recording.first(identify(1)), Field::Payload(d.to_owned()))
}

/// RESUME on a connection carries a number that is so far from the right one.
fn resume_at(recording: &Recording, number: u32, by: i64) -> Edit {
    let place = recording.first(resume(number));
    let Seen::Frame { d, .. } = &recording.entries[place].saw else {
        unreachable!("it was looked for as a frame");
    };
    let mut d: serde_json::Value = d.read().expect("RESUME is JSON");
    let seq = d["seq"].as_i64().expect("it has a number");
    d["seq"] = (seq + by).into();
    Edit::Change(place, Field::Payload(d.to_string()))
}

/// The number of a heartbeat on the first connection, changed by so much.
fn beat_with(recording: &Recording, n: usize, by: i64) -> Edit {
    beat_on(recording, 1, n, by)
}

/// The number of a heartbeat, changed by so much.
fn beat_on(recording: &Recording, number: u32, n: usize, by: i64) -> Edit {
    let place = recording.nth(n, beat(number));
    let Seen::Frame { d, .. } = &recording.entries[place].saw else {
        unreachable!("it was looked for as a frame");
    };
    let carried: i64 = d.read().expect("it carries a number");
    Edit::Change(place, Field::Payload((carried + by).to_string()))
}

/// A Close of the gateway's has another code.
fn code(recording: &Recording, number: u32, code: impl Into<Option<u16>>) -> Edit {
    let place = recording.first(closed(number, Side::Gateway));
    Edit::Change(place, Field::Code(code.into()))
}

/// The first heartbeats of the first connections come right before the end of the interval, but for as many as are left out.
fn first_beats_late(recording: &Recording, but: u32) -> Edit {
    let late = (1 + but..=CONNECTIONS).map(|number| {
        let at = recording.after(recording.first(hello(number)), 41_000);
        (recording.first(beat(number)), at)
    });
    Edit::Moves(late.collect())
}

/// The second connection has its RESUMED that much later, and is watched for as long as before.
fn back_later(recording: &Recording, millis: u64) -> Edit {
    let back = recording.first(event(2, "RESUMED"));
    let over = recording.next(back, |saw| matches!(saw, Seen::Phase(Phase::Over)));
    let later = (over..recording.entries.len()).chain([back]);
    Edit::Moves(
        later
            .map(|place| (place, recording.after(place, millis)))
            .collect(),
    )
}

// What was recorded. The latency is the same everywhere, so that edits can be timed by it.

/// Messages once a second, and two resets in mid-session.
static RESETS: Base = Base::new(
    r#"[resets]
summary = "two resets"
latency = "10ms"
traffic = { every = "1s" }
fault = [
  { on = "heartbeat", nth = 3, connection = 1, after = "0.5I", do = "reset" },
  { on = "heartbeat", nth = 2, connection = 2, after = "0.5I", do = "reset" },
]"#,
);

/// A reset, a Close after which the session lives, and one that ends it.
static CODES: Base = Base::new(
    r#"[codes]
summary = "a reset, 4000 and 4009"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
  { on = "heartbeat", nth = 2, connection = 2, do = "close", code = 4000 },
  { on = "heartbeat", nth = 2, connection = 3, do = "close", code = 4009 },
]"#,
);

/// A Close after which a reconnect is due, and one that forbids it.
static FATAL: Base = Base::new(
    r#"[fatal]
summary = "4001, then 4004"
latency = "10ms"
ends = "stopped"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "close", code = 4001 },
  { on = "heartbeat", nth = 2, connection = 2, do = "close", code = 4004 },
]"#,
);

/// The same with a code that Discord does not document.
static GOODBYE: Base = Base::new(
    r#"[goodbye]
summary = "1000, then 4004"
latency = "10ms"
ends = "stopped"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "close", code = 1000 },
  { on = "heartbeat", nth = 2, connection = 2, do = "close", code = 4004 },
]"#,
);

/// Op 9 with d true, then with d false.
static INVALID: Base = Base::new(
    r#"[invalid]
summary = "op 9 of both kinds"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "invalid-session", resumable = true },
  { on = "heartbeat", nth = 2, connection = 2, do = "invalid-session", resumable = false },
]"#,
);

/// A connection without ACKs, whose Close is not answered either; then op 9 with d false.
static ZOMBIE: Base = Base::new(
    r#"[zombie]
summary = "a zombie, and op 9"
latency = "10ms"
on_close = { answer = "never" }
fault = [
  { on = "heartbeat", nth = 3, connection = 1, do = "withhold", frame = "ack", for = "connection" },
  { on = "heartbeat", nth = 2, connection = 2, after = "0.5I", do = "invalid-session", resumable = false },
]"#,
);

/// A connection with a long interval of its own falls silent.
static SILENCE: Base = Base::new(
    r#"[silence]
summary = "a silent connection with an interval of 4 I"
latency = "10ms"
interval = "10s"
fault = [
  { on = "accept", connection = 1, do = "hello", interval = "4I" },
  { on = "heartbeat", nth = 3, connection = 1, do = "withhold", frame = "ack", for = "connection" },
]"#,
);

/// A late but legal ACK, and a heartbeat that is asked for meanwhile.
static HEART: Base = Base::new(
    r#"[heart]
summary = "a requested heartbeat while an ACK is due"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 3, do = "delay", frame = "ack", by = "0.5I" },
  { on = "heartbeat", nth = 3, after = "0.2I", do = "request-heartbeat" },
]"#,
);

/// READY lets itself be waited for.
static LATE_READY: Base = Base::new(
    r#"[late-ready]
summary = "READY after 2.5 I"
latency = "10ms"
interval = "10s"
login_within = "90s"
fault = [{ on = "ready", connection = 1, do = "delay", frame = "ready", by = "2.5I" }]"#,
);

/// Lost as soon as READY was there.
static YOUNG: Base = Base::new(
    r#"[young]
summary = "a reset right after READY"
latency = "10ms"
fault = [{ on = "ready", connection = 1, after = "300ms", do = "reset" }]"#,
);

/// Two sessions are allowed in three minutes, and a third is needed.
static LIMIT: Base = Base::new(
    r#"[limit]
summary = "a third session must wait"
latency = "10ms"
enforce = { identifies = 2, reset_after = "3m", max_concurrency = 1 }
fault = [
  { on = "heartbeat", nth = 1, connection = 1, do = "invalid-session", resumable = false },
  { on = "heartbeat", nth = 1, connection = 2, do = "invalid-session", resumable = false },
]"#,
);

/// Op 7 comes before HELLO.
static EARLY_OP7: Base = Base::new(
    r#"[early-op7]
summary = "op 7 before HELLO"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
  { on = "upgrade", connection = 2, do = "reconnect" },
]"#,
);

/// A reconnect that nobody answers; then nobody can be reached for a while.
static STALL: Base = Base::new(
    r#"[stall]
summary = "a silent upgrade, then an outage"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
  { on = "accept", connection = 2, do = "stall", where = "upgrade" },
  { on = "accept", connection = 2, do = "refuse", scope = "all", for = "2I" },
]"#,
);

/// A reconnect to the resume URL, then one that finds it blocked.
static BLOCKED: Base = Base::new(
    r#"[blocked]
summary = "the resume URL is refused"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
  { on = "heartbeat", nth = 2, connection = 2, do = "refuse", port = "resume", for = "run" },
  { on = "heartbeat", nth = 2, connection = 2, do = "reset" },
]"#,
);

/// A long outage.
static OUTAGE: Base = Base::new(
    r#"[outage]
summary = "nobody can be reached for 5 I"
latency = "10ms"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "refuse", scope = "all", for = "5I" },
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
]"#,
);

/// Told to stop during an outage.
static STOPPED_OUTSIDE: Base = Base::new(
    r#"[stopped-outside]
summary = "stopped while nobody can be reached"
latency = "10ms"
ends = "stopped"
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "refuse", scope = "all", for = "2I" },
  { on = "heartbeat", nth = 2, connection = 1, do = "reset" },
  { on = "heartbeat", nth = 2, connection = 1, after = "1.5I", do = "subject", act = "stop" },
]"#,
);

/// Told to stop in mid-session.
static STOPPED: Base = Base::new(
    r#"[stopped]
summary = "stopped"
latency = "10ms"
ends = "stopped"
fault = [{ on = "heartbeat", nth = 2, connection = 1, do = "subject", act = "stop" }]"#,
);

/// More commands than may be sent in a minute.
static COMMANDS: Base = Base::new(
    r#"[commands]
summary = "130 commands"
latency = "10ms"
chaos = "4I"
fault = [{ on = "heartbeat", nth = 1, connection = 1, do = "subject", act = "send", op = 3, count = 130 }]"#,
);

/// A command that the gateway does not want again for half a minute, and gets again after it.
static LIMITED: Base = Base::new(
    r#"[limited]
summary = "RATE_LIMITED"
latency = "10ms"
chaos = "3I"
fault = [
  { on = "heartbeat", nth = 1, connection = 1, do = "subject", act = "send", op = 8, count = 1 },
  { on = "heartbeat", nth = 1, connection = 1, after = "100ms", do = "send", op = 0, t = "RATE_LIMITED", d = { opcode = 8, retry_after = 30.0, meta = { guild_id = "1" } } },
  { on = "heartbeat", nth = 1, connection = 1, after = "5s", do = "subject", act = "send", op = 8, count = 1 },
]"#,
);

/// How often the gateway resets in [`MANY`].
const CONNECTIONS: u32 = 10;

/// As many connections as tell of a habit, each with more than one heartbeat.
static MANY: Base = Base::new(
    r#"[many]
summary = "ten resets, each behind the second heartbeat"
latency = "10ms"
fault = [{ on = "heartbeat", nth = 2, connection = "1..10", times = 10, after = "0.1I", do = "reset" }]"#,
);

/// The same over a compressed transport.
static COMPRESSED: Base = Base::new(
    r#"[compressed]
summary = "two resets of compressed connections"
latency = "10ms"
compress = "zlib-stream"
traffic = { every = "1s" }
fault = [
  { on = "heartbeat", nth = 3, connection = 1, after = "0.5I", do = "reset" },
  { on = "heartbeat", nth = 2, connection = 2, after = "0.5I", do = "reset" },
]"#,
);

/// By a gateway that writes its JSON otherwise.
static ODD_JSON: Base = Base::new(
    r#"[odd-json]
summary = "a reset, and keys in another order"
latency = "10ms"
json = { order = "reversed", spaces = true, unknown = true }
traffic = { every = "1s" }
fault = [{ on = "heartbeat", nth = 3, connection = 1, after = "0.5I", do = "reset" }]"#,
);

/// A message of 2 MiB behind the first heartbeat.
static LARGE: Base = Base::new(
    r#"[large]
summary = "a large message"
latency = "10ms"
traffic = { every = "1s" }
chaos = "3I"
fault = [{ on = "heartbeat", nth = 1, connection = 1, do = "pad", frame = "dispatch", size = 2097152 }]"#,
);

/// A reset from which a client has to be back soon.
static PUNCTUAL: Base = Base::new(
    r#"[punctual]
summary = "a reset, and five seconds to be back"
latency = "10ms"
recover_within = "5s"
fault = [{ on = "heartbeat", nth = 3, connection = 1, do = "reset" }]"#,
);

/// A replay that is cut.
static REPLAY: Base = Base::new(
    r#"[replay]
summary = "a reset in mid-replay"
latency = "10ms"
traffic = { every = "1s" }
fault = [
  { on = "heartbeat", nth = 2, connection = 1, do = "withhold", frame = "dispatch", for = "connection" },
  { on = "heartbeat", nth = 2, connection = 1, after = "10s", do = "reset" },
  { on = "dispatch", nth = 4, connection = 2, do = "reset" },
]"#,
);

/// What a client has to ignore; then op 7, and a message that is no payload.
static ODDITIES: Base = Base::new(
    r#"[oddities]
summary = "an unknown opcode, an unknown event, a ping, nonsense"
latency = "10ms"
traffic = { every = "1s" }
fault = [
  { on = "heartbeat", nth = 1, connection = 1, after = "0.5I", do = "send", op = 99 },
  { on = "heartbeat", nth = 2, connection = 1, after = "0.5I", do = "send", op = 0, t = "NO_SUCH_EVENT" },
  { on = "heartbeat", nth = 2, connection = 1, after = "0.7I", do = "ping" },
  { on = "heartbeat", nth = 3, connection = 1, after = "0.5I", do = "reconnect" },
  { on = "heartbeat", nth = 2, connection = 2, after = "0.5I", do = "bad-frame", text = "nonsense" },
]"#,
);

/// A rule, the recording that its edits are made in, the edit that breaks it, and the one that nearly does.
struct Case {
    rule: &'static str,
    base: &'static Base,
    breaks: fn(&Recording) -> Edit,
    nearly: fn(&Recording) -> Edit,
}

const CASES: &[Case] = &[
    Case {
        rule: "connect/C1",
        base: &RESETS,
        breaks: |r| Edit::Insert(r.after(r.first(reset(1)), 20), asks()),
        // Asked twice, but before anything was known of the URL.
        nearly: |r| Edit::Insert(r.before(r.first(accepted(1)), 10), asks()),
    },
    Case {
        rule: "connect/C2",
        base: &RESETS,
        breaks: |r| Edit::Change(r.first(upgrade(1)), Field::Path("/?v=10")),
        nearly: |r| Edit::Change(r.first(upgrade(1)), Field::Path("//?encoding=json&v=10")),
    },
    Case {
        rule: "connect/C3",
        base: &RESETS,
        breaks: |r| {
            let saw = sends(1, Opcode::PRESENCE_UPDATE, "{}");
            Edit::Behind(r.first(identify(1)), saw)
        },
        nearly: |r| {
            let saw = sends(1, Opcode::PRESENCE_UPDATE, "{}");
            Edit::Behind(r.first(event(1, "READY")), saw)
        },
    },
    Case {
        rule: "connect/C4",
        base: &CODES,
        breaks: |r| {
            let saw = sends(2, Opcode::HEARTBEAT, "2");
            Edit::Insert(r.before(r.first(hello(2)), 1), saw)
        },
        nearly: |r| {
            let saw = sends(2, Opcode::HEARTBEAT, "2");
            Edit::Insert(r.after(r.first(hello(2)), 1), saw)
        },
    },
    Case {
        rule: "connect/C5",
        base: &EARLY_OP7,
        breaks: |r| identifies(r, 3),
        // One more attempt has failed, and still the session is resumed.
        nearly: |r| Edit::Insert(r.before(r.first(accepted(3)), 300), misses(Port::Resume)),
    },
    Case {
        rule: "connect/C6",
        base: &STALL,
        breaks: |r| Edit::Move(r.first(gone(2)), r.after(r.first(accepted(2)), 68_500)),
        nearly: |r| Edit::Move(r.first(gone(2)), r.after(r.first(accepted(2)), 68_000)),
    },
    Case {
        rule: "connect/C7",
        base: &COMPRESSED,
        breaks: |r| identify_with(r, &IDENTIFY.replacen('{', r#"{"compress":true,"#, 1)),
        nearly: |r| identify_with(r, &IDENTIFY.replacen('{', r#"{"compress":false,"#, 1)),
    },
    Case {
        rule: "connect/C8",
        base: &COMPRESSED,
        breaks: |r| beat_on(r, 2, 1, -5),
        // The last message was sent less than a second ago: it may not have arrived.
        nearly: |r| beat_on(r, 2, 1, -1),
    },
    Case {
        rule: "heartbeat/H1",
        base: &HEART,
        breaks: |r| Edit::Drop(r.first(beat(1))),
        nearly: |r| Edit::Move(r.first(beat(1)), r.after(r.first(hello(1)), 43_250)),
    },
    Case {
        rule: "heartbeat/H2",
        base: &MANY,
        breaks: |r| first_beats_late(r, 0),
        nearly: |r| first_beats_late(r, 1),
    },
    Case {
        rule: "heartbeat/H3",
        base: &HEART,
        breaks: |r| Edit::Drop(r.nth(2, beat(1))),
        nearly: |r| Edit::Move(r.nth(2, beat(1)), r.after(r.nth(2, beat(1)), 2_000)),
    },
    Case {
        rule: "heartbeat/H4",
        base: &RESETS,
        breaks: |r| beat_with(r, 2, 1),
        // The last message was sent less than a second ago: it may not have arrived.
        nearly: |r| beat_with(r, 2, -1),
    },
    Case {
        rule: "heartbeat/H5",
        base: &HEART,
        breaks: |r| {
            let request = r.first(frame(1, Side::Gateway, Opcode::HEARTBEAT));
            Edit::Drop(r.next(request, beat(1)))
        },
        nearly: |r| {
            let request = r.first(frame(1, Side::Gateway, Opcode::HEARTBEAT));
            Edit::Move(r.next(request, beat(1)), r.after(request, 1_300))
        },
    },
    Case {
        rule: "heartbeat/H6",
        base: &SILENCE,
        // Four intervals of silence, had HELLO said so.
        breaks: |r| {
            let d = r#"{"heartbeat_interval":10000}"#.to_owned();
            Edit::Change(r.first(hello(1)), Field::Payload(d))
        },
        // Two intervals of silence instead of one.
        nearly: |r| Edit::Drop(r.nth(2, ack(1))),
    },
    Case {
        rule: "heartbeat/H7",
        base: &ZOMBIE,
        breaks: |r| identifies(r, 2),
        nearly: |r| Edit::Insert(r.before(r.first(accepted(2)), 20), misses(Port::Resume)),
    },
    Case {
        rule: "heartbeat/H8",
        base: &LATE_READY,
        breaks: |r| Edit::Drop(r.nth(2, beat(1))),
        nearly: |r| Edit::Move(r.nth(2, beat(1)), r.after(r.nth(2, beat(1)), 500)),
    },
    Case {
        rule: "heartbeat/H9",
        base: &HEART,
        breaks: |r| {
            let request = r.first(frame(1, Side::Gateway, Opcode::HEARTBEAT));
            Edit::Behind(r.next(request, beat(1)), closes(1))
        },
        // The requested heartbeat's ACK is missing, and the one that is late anyway is waited for.
        nearly: |r| {
            let request = r.first(frame(1, Side::Gateway, Opcode::HEARTBEAT));
            Edit::Drop(r.next(request, ack(1)))
        },
    },
    Case {
        rule: "identify/I1",
        base: &INVALID,
        breaks: |r| {
            let saw = sends(2, Opcode::IDENTIFY, IDENTIFY);
            Edit::Insert(r.before(r.first(op9(2)), 1), saw)
        },
        nearly: |r| {
            let saw = sends(2, Opcode::IDENTIFY, IDENTIFY);
            Edit::Behind(r.first(op9(2)), saw)
        },
    },
    Case {
        rule: "identify/I2",
        base: &HEART,
        breaks: |r| {
            identify_with(
                r,
                r#"{"token":"<token>","intents":513,"properties":{"os":"linux"}}"#,
            )
        },
        nearly: |r| {
            identify_with(
                r,
                r#"{"token":"<token:bot>","intents":1,"large_threshold":25,"x":{},
                    "properties":{"$os":"a","$browser":"b","$device":"c"}}"#,
            )
        },
    },
    Case {
        rule: "identify/I3",
        base: &HEART,
        breaks: |r| {
            identify_with(
                r,
                r#"{"token":"<token>","intents":131072,"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
        // Every intent that there is.
        nearly: |r| {
            identify_with(
                r,
                r#"{"token":"<token>","intents":53608447,"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
    },
    Case {
        rule: "identify/I4",
        base: &HEART,
        breaks: |r| {
            identify_with(
                r,
                r#"{"token":"<token>","intents":1,"shard":[1,1],"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
        nearly: |r| {
            identify_with(
                r,
                r#"{"token":"<token>","intents":1,"shard":[0,1],"properties":{"os":"a","browser":"b","device":"c"}}"#,
            )
        },
    },
    Case {
        rule: "identify/I5",
        base: &INVALID,
        breaks: |r| {
            let saw = sends(3, Opcode::IDENTIFY, IDENTIFY);
            Edit::Insert(r.after(r.first(identify(3)), 4_000), saw)
        },
        // Seen 4.9 s before the next one: a network may press two together by so much.
        nearly: |r| {
            let saw = sends(2, Opcode::IDENTIFY, IDENTIFY);
            Edit::Behind(r.first(op9(2)), saw)
        },
    },
    Case {
        rule: "identify/I6",
        base: &LIMIT,
        breaks: |r| {
            let saw = sends(2, Opcode::IDENTIFY, IDENTIFY);
            Edit::Behind(r.first(op9(2)), saw)
        },
        // As soon after the window as HELLO allows it.
        nearly: |r| Edit::Move(r.first(identify(3)), r.after(r.first(hello(3)), 1)),
    },
    Case {
        rule: "identify/I7",
        base: &YOUNG,
        breaks: |r| Edit::Drop(r.first(event(1, "READY"))),
        // READY left just before the connection was lost.
        nearly: |r| Edit::Move(r.first(reset(1)), r.after(r.first(event(1, "READY")), 30)),
    },
    Case {
        rule: "resume/R1",
        base: &BLOCKED,
        breaks: |r| Edit::Change(r.first(accepted(2)), Field::Port(Port::Main)),
        // The resume URL was tried once instead of twice.
        nearly: |r| Edit::Drop(r.first(missed(Port::Resume))),
    },
    Case {
        rule: "resume/R2",
        base: &RESETS,
        breaks: |r| Edit::Change(r.first(upgrade(2)), Field::Path("/?v=9&encoding=json")),
        nearly: |r| {
            let path = Field::Path("/?encoding=json&v=10&trace=1");
            Edit::Change(r.first(upgrade(2)), path)
        },
    },
    Case {
        rule: "resume/R3",
        base: &CODES,
        breaks: |r| {
            let d = r#"{"token":"<token>","session_id":"another","seq":2}"#.to_owned();
            Edit::Change(r.first(resume(2)), Field::Payload(d))
        },
        nearly: |r| {
            let place = r.first(resume(2));
            let Seen::Frame { d, .. } = &r.entries[place].saw else {
                unreachable!("it was looked for as a frame");
            };
            let d = d.get().replace("<token>", "<token:bot>");
            Edit::Change(place, Field::Payload(d))
        },
    },
    Case {
        rule: "resume/R4",
        base: &CODES,
        breaks: |r| code(r, 3, 4000),
        nearly: |r| code(r, 3, 4003),
    },
    Case {
        rule: "resume/R5",
        base: &RESETS,
        // 10 s, and what heartbeats may be late by.
        breaks: |r| {
            let saw = tells(1, Opcode::RECONNECT, "null");
            Edit::Insert(r.before(r.first(reset(1)), 12_500), saw)
        },
        nearly: |r| {
            let saw = tells(1, Opcode::RECONNECT, "null");
            Edit::Insert(r.before(r.first(reset(1)), 12_000), saw)
        },
    },
    Case {
        rule: "resume/R6",
        base: &INVALID,
        breaks: |r| Edit::Change(r.first(op9(2)), Field::Payload("true".to_owned())),
        // What was said last counts.
        nearly: |r| {
            let saw = tells(2, Opcode::INVALID_SESSION, "true");
            Edit::Insert(r.before(r.first(op9(2)), 1), saw)
        },
    },
    Case {
        rule: "resume/R7",
        base: &ZOMBIE,
        breaks: |r| {
            let saw = tells(1, Opcode::INVALID_SESSION, "false");
            Edit::Insert(r.before(r.first(closed(1, Side::Subject)), 1_000), saw)
        },
        // It crosses the Close that leaves the connection for its missing ACK.
        nearly: |r| {
            let saw = tells(1, Opcode::INVALID_SESSION, "false");
            Edit::Insert(r.before(r.first(closed(1, Side::Subject)), 10), saw)
        },
    },
    Case {
        rule: "resume/R8",
        base: &CODES,
        breaks: |r| code(r, 2, 4009),
        nearly: |r| code(r, 2, 4008),
    },
    Case {
        rule: "resume/R9",
        base: &RESETS,
        breaks: |r| {
            let ready = Field::Event("READY", r#"{"session_id":"another"}"#);
            Edit::Change(r.first(event(2, "RESUMED")), ready)
        },
        nearly: |r| {
            let resumed = Field::Event("RESUMED", r#"{"session_id":"another"}"#);
            Edit::Change(r.first(event(2, "RESUMED")), resumed)
        },
    },
    Case {
        rule: "resume/R10",
        base: &BLOCKED,
        // Each attempt more is an entry: the second becomes five, or four.
        breaks: |r| {
            let place = r.nth(2, missed(Port::Resume));
            again(r, place, &misses(Port::Resume), [200; 4])
        },
        nearly: |r| {
            let place = r.nth(2, missed(Port::Resume));
            again(r, place, &misses(Port::Resume), [200; 3])
        },
    },
    Case {
        rule: "close/X1",
        base: &FATAL,
        breaks: |r| {
            let place = r.first(closed(2, Side::Gateway));
            Edit::Insert(r.after(place, 1_000), misses(Port::Main))
        },
        // Begun before the code can have arrived.
        nearly: |r| {
            let place = r.first(closed(2, Side::Gateway));
            Edit::Insert(r.after(place, 10), misses(Port::Main))
        },
    },
    Case {
        rule: "close/X2",
        base: &FATAL,
        breaks: |r| code(r, 2, 4002),
        nearly: |r| code(r, 2, 4012),
    },
    Case {
        rule: "close/X3",
        base: &CODES,
        breaks: |r| code(r, 3, None),
        nearly: |r| code(r, 3, 4007),
    },
    Case {
        rule: "close/X4",
        base: &GOODBYE,
        breaks: |r| code(r, 2, 1000),
        nearly: |r| code(r, 2, 4014),
    },
    Case {
        rule: "close/X5",
        base: &STOPPED,
        breaks: |r| Edit::Change(r.first(closed(1, Side::Subject)), Field::Code(Some(4000))),
        nearly: |r| Edit::Change(r.first(closed(1, Side::Subject)), Field::Code(Some(1001))),
    },
    Case {
        rule: "close/X6",
        base: &CODES,
        breaks: |r| {
            let saw = sends(2, Opcode::PRESENCE_UPDATE, "{}");
            Edit::Insert(r.after(r.first(closed(2, Side::Subject)), 5), saw)
        },
        // It crosses the gateway's Close.
        nearly: |r| {
            let saw = sends(2, Opcode::PRESENCE_UPDATE, "{}");
            Edit::Insert(r.after(r.first(closed(2, Side::Gateway)), 15), saw)
        },
    },
    Case {
        rule: "close/X7",
        base: &ZOMBIE,
        breaks: |r| {
            let close = r.first(closed(1, Side::Subject));
            Edit::Move(r.first(gone(1)), r.after(close, 32_500))
        },
        nearly: |r| {
            let close = r.first(closed(1, Side::Subject));
            Edit::Move(r.first(gone(1)), r.after(close, 32_000))
        },
    },
    Case {
        rule: "reconnect/B1",
        base: &OUTAGE,
        // A streak is several attempts: one of the recording becomes six. They fit before the attempt that follows.
        breaks: |r| {
            let place = r.first(missed(Port::Main));
            again(r, place, &misses(Port::Main), [650; 5])
        },
        nearly: |r| {
            let place = r.first(missed(Port::Main));
            again(r, place, &misses(Port::Main), [1_200, 1_300])
        },
    },
    Case {
        rule: "reconnect/B2",
        base: &OUTAGE,
        // A storm is many attempts: one of the recording becomes sixty-one.
        breaks: |r| storm(r, r.nth(2, missed(Port::Main)), 980),
        nearly: |r| storm(r, r.nth(2, missed(Port::Main)), 1_020),
    },
    Case {
        rule: "reconnect/B3",
        base: &STOPPED_OUTSIDE,
        breaks: |r| Edit::Drop(r.first(|saw| matches!(saw, Seen::Acted { act: Act::Stop }))),
        // A gap of half a minute between two attempts.
        nearly: |r| Edit::Drop(r.nth(3, missed(Port::Main))),
    },
    Case {
        rule: "reconnect/B4",
        base: &HEART,
        // A storm is many IDENTIFYs: one ACK of the recording is followed by thirteen, each answered with op 9.
        breaks: |r| identify_storm(r, r.nth(6, ack(1)), 4_800),
        nearly: |r| identify_storm(r, r.nth(6, ack(1)), 5_000),
    },
    Case {
        rule: "rate/T1",
        base: &COMMANDS,
        // Our client stops at 110 and keeps the rest for heartbeats: one command becomes eleven, or ten.
        breaks: |r| {
            let place = r.nth(109, presence(1));
            let saw = sends(1, Opcode::PRESENCE_UPDATE, "{}");
            again(r, place, &saw, [1; 10])
        },
        nearly: |r| {
            let place = r.nth(109, presence(1));
            let saw = sends(1, Opcode::PRESENCE_UPDATE, "{}");
            again(r, place, &saw, [1; 9])
        },
    },
    Case {
        rule: "rate/T2",
        base: &COMMANDS,
        breaks: |r| Edit::Drop(r.nth(2, beat(1))),
        nearly: |r| Edit::Move(r.nth(2, beat(1)), r.after(r.nth(2, beat(1)), 2_000)),
    },
    Case {
        rule: "rate/T3",
        base: &COMMANDS,
        breaks: |r| Edit::Change(r.first(presence(1)), Field::Bytes(4_097)),
        nearly: |r| Edit::Change(r.first(presence(1)), Field::Bytes(4_096)),
    },
    Case {
        rule: "rate/T4",
        base: &LIMITED,
        breaks: |r| {
            let told = r.first(event(1, "RATE_LIMITED"));
            Edit::Move(r.nth(2, members(1)), r.after(told, 29_940))
        },
        nearly: |r| {
            let told = r.first(event(1, "RATE_LIMITED"));
            Edit::Move(r.nth(2, members(1)), r.after(told, 29_960))
        },
    },
    Case {
        rule: "delivery/D1",
        base: &RESETS,
        breaks: |r| Edit::Move(r.nth(20, delivered(1)), r.after(r.nth(21, delivered(1)), 1)),
        nearly: |r| {
            Edit::Move(
                r.nth(20, delivered(1)),
                r.before(r.nth(21, delivered(1)), 1),
            )
        },
    },
    Case {
        rule: "delivery/D2",
        base: &RESETS,
        breaks: |r| resume_at(r, 2, 1),
        // One more was on its way when the connection was cut.
        nearly: |r| {
            let saw = dispatches(1, 141, "TYPING_START", Fate::Delivered);
            Edit::Insert(r.before(r.first(reset(1)), 1), saw)
        },
    },
    Case {
        rule: "delivery/D3",
        base: &RESETS,
        breaks: |r| Edit::Change(r.nth(2, beat(1)), Field::Payload("null".to_owned())),
        // A number where none belongs, which the client does not take.
        nearly: |r| Edit::Change(r.first(ack(1)), Field::Sequence(500)),
    },
    Case {
        rule: "delivery/D4",
        base: &REPLAY,
        breaks: |r| resume_at(r, 3, 1),
        // One more was on its way when the replay was cut.
        nearly: |r| {
            let replayed = r.last(r.first(reset(2)), event(2, "MESSAGE_CREATE"));
            let Seen::Frame { s: Some(s), .. } = r.entries[replayed].saw else {
                unreachable!("a dispatch has a number");
            };
            let saw = dispatches(2, s + 1, "TYPING_START", Fate::Delivered);
            Edit::Behind(replayed, saw)
        },
    },
    Case {
        rule: "delivery/D5",
        base: &RESETS,
        breaks: |r| resume_at(r, 2, -1),
        // The last delivery is reported only when its number was sent.
        nearly: |r| {
            let resume = r.first(resume(2));
            Edit::Move(r.last(resume, delivered(1)), r.after(resume, 1))
        },
    },
    Case {
        rule: "robustness/Z1",
        base: &ODDITIES,
        breaks: |r| {
            let odd = r.first(frame(1, Side::Gateway, Opcode(99)));
            Edit::Insert(r.after(odd, 500), closes(1))
        },
        // Left soon after it, but for op 7.
        nearly: |r| {
            let left = r.first(closed(1, Side::Subject));
            Edit::Insert(r.before(left, 500), tells(1, Opcode(99), "null"))
        },
    },
    Case {
        rule: "robustness/Z2",
        base: &ODDITIES,
        breaks: |r| {
            let odd = r.first(event(1, "NO_SUCH_EVENT"));
            Edit::Insert(r.after(odd, 500), closes(1))
        },
        nearly: |r| {
            let left = r.first(closed(1, Side::Subject));
            let saw = dispatches(1, 142, "NO_SUCH_EVENT", Fate::Injected);
            Edit::Insert(r.before(left, 1), saw)
        },
    },
    Case {
        rule: "robustness/Z3",
        base: &ODDITIES,
        breaks: |r| identifies(r, 3),
        nearly: |r| {
            let place = r.first(message(2, Side::Gateway));
            Edit::Change(place, Field::Kind(Kind::Broken))
        },
    },
    Case {
        rule: "robustness/Z4",
        base: &LARGE,
        breaks: |r| Edit::Drop(r.nth(2, beat(1))),
        nearly: |r| Edit::Move(r.nth(2, beat(1)), r.after(r.nth(2, beat(1)), 2_000)),
    },
    Case {
        rule: "robustness/Z5",
        base: &ODDITIES,
        breaks: |r| Edit::Drop(r.first(message(1, Side::Subject))),
        nearly: |r| {
            let ping = r.first(message(1, Side::Gateway));
            Edit::Move(r.first(message(1, Side::Subject)), r.after(ping, 5_300))
        },
    },
    Case {
        rule: "robustness/Z6",
        base: &ODD_JSON,
        breaks: |r| beat_with(r, 2, -5),
        nearly: |r| beat_with(r, 2, -1),
    },
];

/// The outcomes that no client of the zoo comes to, with what makes one of a recording.
const OUTCOMES: &[Case] = &[
    Case {
        rule: "lost",
        base: &RESETS,
        breaks: |r| Edit::Drop(r.nth(20, delivered(1))),
        // Late, but it came.
        nearly: |r| {
            let next = r.nth(21, delivered(1));
            Edit::Move(r.nth(20, delivered(1)), r.before(next, 1))
        },
    },
    Case {
        rule: "duplicated",
        base: &RESETS,
        breaks: |r| {
            let place = r.nth(20, delivered(1));
            Edit::Behind(place, r.entries[place].saw.clone())
        },
        // What need not be delivered need not be reported either.
        nearly: |r| {
            let place = r.nth(20, delivered(1));
            let saw = dispatches(1, 500, "TYPING_START", Fate::Withheld);
            Edit::Behind(place, saw)
        },
    },
    Case {
        rule: "slow",
        base: &PUNCTUAL,
        breaks: |r| back_later(r, 6_000),
        nearly: |r| back_later(r, 2_000),
    },
];

/// Whether the judge finds a rule broken in the edited recording that breaks it, and not in the others; or why that cannot be
/// said. An outcome is looked for as a rule is.
pub(super) fn breaks(rule: &str) -> Result<bool, &'static str> {
    let mut cases = CASES.iter().chain(OUTCOMES);
    let Some(case) = cases.find(|case| case.rule == rule) else {
        return Ok(false);
    };
    let base = case.base.recording()?;
    let is_found = |recording: &Recording| !recording.found(rule).is_empty();
    let (broken, nearly) = (
        base.with((case.breaks)(base)),
        base.with((case.nearly)(base)),
    );
    Ok(is_found(&broken) && !is_found(&nearly) && !is_found(base))
}

#[cfg(test)]
mod tests;
