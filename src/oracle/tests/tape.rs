//! Traces made by hand: a conforming one, and the pieces that edits are made of.
//!
//! Times are milliseconds since the run began; entries may be added in any order and are sorted when the tape is judged. The
//! conforming run has I = 40 s: a login, four heartbeats, three messages, an RST at 150 s, a RESUME, and quiet until 320 s.

use crate::expect::{Accepted, Allowances, Ends, Expectations};
use crate::fault::{Act, Action, Answer, DrawnFault, Event, Lasts, Port, Scope, Times, Trigger};
use crate::oracle::{Effect, Finding, Judge, Judgement, RecoveryFacts, Verdict};
use crate::protocol::{CloseCode, Json, Opcode};
use crate::time::{Duration, Instant};
use crate::trace::{
    Clock, Delivery, Entry, Fate, Header, IdentifyLimit, Observer, Phase, ScheduledFault, Seen,
    Side, VERSION, Vantage,
};

/// I, in milliseconds.
const I: u64 = 40_000;
/// When the conforming run loses its first connection.
pub(super) const LOST: u64 = 150_000;
/// When the watch ends.
pub(super) const OVER: u64 = 320_000;
/// What the subject asks for.
const PATH: &str = "/?v=10&encoding=json";
/// A payload of IDENTIFY that nothing is wrong with.
pub(super) const IDENTIFY: &str =
    r#"{"token":"<token>","intents":513,"properties":{"os":"linux","browser":"x","device":"x"}}"#;

/// A trace in the making.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    pub(super) header: Header,
    pub(super) entries: Vec<Entry>,
    pub(super) facts: RecoveryFacts,
    /// The number of the last dispatch.
    pub(super) s: u64,
    /// The session's id.
    pub(super) id: &'static str,
    /// Findings that are known.
    pub(super) known: Vec<(String, Accepted)>,
}

pub(super) fn ms(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

pub(super) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

impl Tape {
    /// Nothing but a subject that has been started.
    pub(super) fn new() -> Self {
        let s = Duration::from_secs;
        let header = Header {
            gwtool_trace: VERSION,
            gwtool: "0.1.0".to_owned(),
            scenario: "by-hand".to_owned(),
            seed: "0x1".to_owned(),
            clock: Clock::Virtual,
            vantage: Vantage::Gateway,
            interval: Duration::from_millis(I),
            subject: "by-hand".to_owned(),
            allowances: Allowances {
                detect: s(80),
                connect: s(30),
                hello: s(66),
                ready: s(66),
                close: s(30),
                backoff: s(30),
                identify: s(5),
                op9: s(5),
            },
            login_within: s(60),
            chaos: s(100),
            recover_within: s(120),
            ends: Ends::Recovered,
            on_close: Answer::AtOnce,
            shards: 1,
            identify_limit: IdentifyLimit::default(),
            odd_json: false,
            expect: Expectations::default(),
            schedule: Vec::new(),
            sees_delivery: true,
            sees_process: false,
        };
        let facts = RecoveryFacts {
            recovered_at: Some(ms(LOST + 200)),
            healed_at: Some(ms(LOST)),
            slow_after: Some(ms(LOST + 120_000)),
            bound: Some(ms(OVER - 10_000)),
            ..RecoveryFacts::default()
        };
        let mut tape = Self {
            header,
            entries: Vec::new(),
            facts,
            s: 0,
            id: "s1",
            known: Vec::new(),
        };
        let with_session = false;
        tape.see(0, Seen::Started { with_session });
        tape
    }

    pub(super) fn see(&mut self, at: u64, saw: Seen) -> &mut Self {
        self.entries.push(Entry { at: ms(at), saw });
        self
    }

    /// A payload, on its way or arrived.
    pub(super) fn frame(
        &mut self,
        at: u64,
        connection: u32,
        from: Side,
        op: u8,
        d: &str,
    ) -> &mut Self {
        self.see(
            at,
            Seen::Frame {
                connection,
                from,
                fate: Fate::Delivered,
                op: Opcode(op),
                s: None,
                t: None,
                d: json(d),
                bytes: 40,
            },
        )
    }

    pub(super) fn subject(&mut self, at: u64, connection: u32, op: u8, d: &str) -> &mut Self {
        self.frame(at, connection, Side::Subject, op, d)
    }

    pub(super) fn gateway(&mut self, at: u64, connection: u32, op: u8, d: &str) -> &mut Self {
        self.frame(at, connection, Side::Gateway, op, d)
    }

    /// A dispatch with the next number, which nobody delivers.
    pub(super) fn dispatch(
        &mut self,
        at: u64,
        connection: u32,
        t: &'static str,
        d: &str,
    ) -> &mut Self {
        self.s += 1;
        let s = Some(self.s);
        self.see(
            at,
            Seen::Frame {
                connection,
                from: Side::Gateway,
                fate: Fate::Delivered,
                op: Opcode::DISPATCH,
                s,
                t: Some(t.into()),
                d: json(d),
                bytes: 200,
            },
        )
    }

    /// A numbered message, delivered a moment later.
    pub(super) fn message(&mut self, at: u64, connection: u32) -> &mut Self {
        self.dispatch(at, connection, "MESSAGE_CREATE", "{}");
        let s = self.s;
        self.delivered(at + 10, connection, s)
    }

    pub(super) fn delivered(&mut self, at: u64, connection: u32, s: u64) -> &mut Self {
        self.see(at, Seen::Delivered(Delivery::Sequence { connection, s }))
    }

    /// Accepted and upgraded.
    pub(super) fn accept(&mut self, at: u64, connection: u32, port: Port) -> &mut Self {
        self.see(at, Seen::Accepted { connection, port });
        let path = PATH.to_owned();
        self.see(at + 1, Seen::Upgrade { connection, path });
        let status = 101;
        self.see(at + 1, Seen::Upgraded { connection, status })
    }

    pub(super) fn hello(&mut self, at: u64, connection: u32) -> &mut Self {
        self.gateway(at, connection, 10, r#"{"heartbeat_interval":40000}"#)
    }

    pub(super) fn ready(&mut self, at: u64, connection: u32, id: &'static str) -> &mut Self {
        (self.s, self.id) = (0, id);
        let d = format!(r#"{{"v":10,"session_id":"{id}"}}"#);
        self.dispatch(at, connection, "READY", &d)
    }

    pub(super) fn resume(&mut self, at: u64, connection: u32, seq: u64) -> &mut Self {
        let d = format!(
            r#"{{"token":"<token>","session_id":"{}","seq":{seq}}}"#,
            self.id
        );
        self.subject(at, connection, 6, &d)
    }

    /// A heartbeat with the last number, not acknowledged.
    pub(super) fn beat(&mut self, at: u64, connection: u32) -> &mut Self {
        let d = if self.s == 0 {
            "null".to_owned()
        } else {
            self.s.to_string()
        };
        self.subject(at, connection, 1, &d)
    }

    pub(super) fn ack(&mut self, at: u64, connection: u32) -> &mut Self {
        self.gateway(at, connection, 11, "null")
    }

    /// Acknowledged heartbeats every I.
    pub(super) fn beats(&mut self, from: u64, connection: u32, until: u64) -> &mut Self {
        let mut at = from;
        while at < until {
            self.beat(at, connection).ack(at, connection);
            at += I;
        }
        self
    }

    pub(super) fn close(&mut self, at: u64, connection: u32, from: Side, code: u16) -> &mut Self {
        self.see(
            at,
            Seen::Close {
                connection,
                from,
                fate: Fate::Delivered,
                code: Some(CloseCode(code)),
                reason: String::new(),
            },
        )
    }

    pub(super) fn fin(&mut self, at: u64, connection: u32, from: Side) -> &mut Self {
        let fate = Fate::Delivered;
        self.see(
            at,
            Seen::Fin {
                connection,
                from,
                fate,
            },
        )
    }

    pub(super) fn rst(&mut self, at: u64, connection: u32, from: Side) -> &mut Self {
        let fate = Fate::Delivered;
        self.see(
            at,
            Seen::Rst {
                connection,
                from,
                fate,
            },
        )
    }

    /// The gateway closes, and the subject answers.
    pub(super) fn closed(&mut self, at: u64, connection: u32, code: u16) -> &mut Self {
        self.close(at, connection, Side::Gateway, code);
        self.close(at + 20, connection, Side::Subject, code);
        self.fin(at + 21, connection, Side::Subject)
    }

    /// The subject closes, is answered, and drops the socket.
    pub(super) fn leave(&mut self, at: u64, connection: u32, code: u16) -> &mut Self {
        self.close(at, connection, Side::Subject, code);
        self.close(at, connection, Side::Gateway, code);
        self.fin(at + 20, connection, Side::Subject)
    }

    pub(super) fn act(&mut self, at: u64, act: Act) -> &mut Self {
        self.see(at, Seen::Acted { act })
    }

    /// A fault of the schedule; it strikes when a test says so.
    pub(super) fn fault(&mut self, action: Action<Duration>) -> u32 {
        let fault = DrawnFault {
            trigger: Trigger::On {
                event: Event::Accept,
                nth: None,
                connection: None,
                path: None,
                after: Duration::ZERO,
            },
            action,
            lasts: Lasts::Unsaid,
            times: Times::Limited(1),
            scope: Scope::Connection,
            port: None,
            shard: None,
            optional: None,
            group: None,
            chance: None,
        };
        let is_skipped = false;
        self.header
            .schedule
            .push(ScheduledFault { fault, is_skipped });
        u32::try_from(self.header.schedule.len()).unwrap() - 1
    }

    pub(super) fn struck(&mut self, at: u64, fault: u32, connection: u32) -> &mut Self {
        let connection = Some(connection);
        self.see(at, Seen::Struck { fault, connection })
    }

    /// A login on #1.
    pub(super) fn login(&mut self) -> &mut Self {
        self.accept(10, 1, Port::Main).hello(41, 1);
        self.subject(61, 1, 2, IDENTIFY).ready(61, 1, "s1");
        self.see(61, Seen::Phase(Phase::Chaos))
    }

    /// A login and quiet until shortly before the loss: the last number is 4.
    pub(super) fn steady() -> Self {
        let mut tape = Self::new();
        tape.login().message(5_000, 1).beats(20_041, 1, 20_042);
        tape.message(30_000, 1).beats(60_041, 1, 60_042);
        tape.message(99_900, 1).beats(100_041, 1, LOST);
        tape
    }

    /// A new connection that resumes.
    pub(super) fn back(&mut self, at: u64, connection: u32, port: Port, seq: u64) -> &mut Self {
        self.accept(at, connection, port).hello(at + 31, connection);
        self.resume(at + 51, connection, seq);
        self.dispatch(at + 53, connection, "RESUMED", "{}");
        self.beats(at + 20_031, connection, OVER)
    }

    /// A new connection that identifies.
    pub(super) fn anew(
        &mut self,
        at: u64,
        connection: u32,
        port: Port,
        id: &'static str,
    ) -> &mut Self {
        self.accept(at, connection, port).hello(at + 31, connection);
        self.subject(at + 51, connection, 2, IDENTIFY);
        self.ready(at + 52, connection, id);
        self.beats(at + 20_031, connection, OVER)
    }

    /// The conforming run.
    pub(super) fn conforming() -> Self {
        let mut tape = Self::steady();
        tape.rst(LOST, 1, Side::Gateway)
            .back(LOST + 100, 2, Port::Resume, 4);
        tape
    }

    /// Takes out what does not fit.
    pub(super) fn without(&mut self, mut is_out: impl FnMut(u64, &Seen) -> bool) -> &mut Self {
        self.entries
            .retain(|e| !is_out(e.at.as_nanos() / 1_000_000, &e.saw));
        self
    }

    /// Takes out everything at a time.
    pub(super) fn without_at(&mut self, at: u64) -> &mut Self {
        self.without(|time, _| time == at)
    }

    /// Has it judged, ended in good order.
    pub(super) fn judged(&self) -> Judgement {
        let mut tape = self.clone();
        tape.see(OVER, Seen::Phase(Phase::Over));
        tape.see(OVER, Seen::End { is_complete: true });
        tape.judged_as_it_is()
    }

    /// Has it judged without an end.
    pub(super) fn judged_as_it_is(&self) -> Judgement {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| entry.at);
        let mut judge = Judge::new(&self.header).accepting(self.known.clone());
        for entry in &entries {
            judge.observe(entry);
        }
        judge.conclude(&self.facts)
    }

    /// The findings of one id that are more than notes, as a report has them.
    pub(super) fn found(&self, id: &str) -> Vec<String> {
        let findings = self.judged().findings;
        let of_id = findings
            .iter()
            .filter(|f| f.id == id && f.effect != Effect::Note);
        of_id.map(line).collect()
    }
}

/// A finding in one line.
pub(super) fn line(finding: &Finding) -> String {
    let Finding {
        id,
        at,
        seen,
        expected,
        ..
    } = finding;
    format!("{id} at {at}: {seen}; expected {expected}")
}

/// Every edit of this run is judged against it.
#[test]
fn the_conforming_run_conforms_and_nothing_is_found() {
    let judgement = Tape::conforming().judged();
    let found: Vec<String> = judgement.findings.iter().map(line).collect();
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(
        (judgement.verdict, judgement.reasons),
        (Verdict::Conforms, Vec::new())
    );
    let mut rules = judgement.rules.iter();
    assert!(rules.all(|rule| rule.kept == rule.exercised));
}
