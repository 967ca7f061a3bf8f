//! A bot of several shards before a gateway that the test plays: at once, and always well unless it is told otherwise.

use super::*;
use crate::client::Discovery;
use crate::client::lifecycle::IDENTIFY_SPACING;
use crate::machine::CommandId;
use crate::machine::{End, Message};
use crate::protocol::{CloseCode, Envelope, Json, Opcode, Token};
use crate::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

struct Rig {
    machine: Shards,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    open: BTreeSet<ConnectionId>,
    seen: BTreeSet<ConnectionId>,
    /// What `/gateway/bot` says, and how often it was asked.
    remaining: u32,
    reset_after: Duration,
    concurrency: u32,
    asked: u32,
    /// Which shard sent IDENTIFY, and when.
    identifies: Vec<(u64, Instant)>,
    resumes: u32,
    sent: Vec<(ConnectionId, u8)>,
    ended: Vec<Option<String>>,
}

impl Rig {
    fn new(shards: u32, concurrency: u32) -> Self {
        let config = Config::new(Token::new("t"), Discovery::Ask);
        Self {
            machine: Shards::new(&config, shards, Seed(1).stream(Stream::Subject)),
            now: Instant::ZERO,
            timers: BTreeMap::new(),
            open: BTreeSet::new(),
            seen: BTreeSet::new(),
            remaining: 1000,
            reset_after: Duration::from_hours(24),
            concurrency,
            asked: 0,
            identifies: Vec::new(),
            resumes: 0,
            sent: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// A bot whose shards are all up.
    fn up(shards: u32, concurrency: u32) -> Self {
        let mut rig = Self::new(shards, concurrency);
        rig.tell(Input::Start { session: None });
        rig.wait(Duration::from_mins(2));
        assert!(rig.machine.status().is_authenticated);
        rig
    }

    fn tell(&mut self, input: Input<'_>) {
        self.machine.handle(self.now, input);
        while let Some(output) = self.machine.poll_output() {
            self.obey(output);
        }
    }

    fn text(&mut self, connection: ConnectionId, text: &str) {
        let message = Message::Text(text);
        self.tell(Input::Received {
            connection,
            message,
        });
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Fetch { fetch, .. } => {
                self.asked += 1;
                let body = format!(
                    r#"{{"url":"ws://main.test","shards":4,"session_start_limit":{{"total":1000,"remaining":{},"reset_after":{},"max_concurrency":{}}}}}"#,
                    self.remaining,
                    self.reset_after.as_millis(),
                    self.concurrency
                );
                self.remaining = 1000;
                let response = Response {
                    status: 200,
                    headers: Vec::new(),
                    body: body.into_bytes(),
                };
                let result = Ok(response);
                self.tell(Input::Fetched { fetch, result });
            }
            Output::Open { connection, .. } => {
                assert!(self.seen.insert(connection), "an id was used twice");
                self.open.insert(connection);
                self.tell(Input::Opened(connection));
                self.text(connection, r#"{"op":10,"d":{"heartbeat_interval":40000}}"#);
            }
            Output::Send { connection, text } => {
                let frame = Envelope::read(&text).expect("a payload");
                self.sent.push((connection, frame.op.0));
                match frame.op {
                    Opcode::IDENTIFY => {
                        #[derive(Deserialize)]
                        struct Identify {
                            shard: [u64; 2],
                        }
                        let identify: Identify = frame.payload().expect("an IDENTIFY");
                        self.identifies.push((identify.shard[0], self.now));
                        let id = self.identifies.len();
                        let ready = format!(
                            r#"{{"t":"READY","s":1,"op":0,"d":{{"session_id":"s{id}","resume_gateway_url":"ws://resume.test"}}}}"#
                        );
                        self.text(connection, &ready);
                    }
                    Opcode::RESUME => {
                        self.resumes += 1;
                        self.text(connection, r#"{"t":"RESUMED","s":2,"op":0,"d":{}}"#);
                    }
                    Opcode::HEARTBEAT => self.text(connection, r#"{"op":11}"#),
                    _ => {}
                }
            }
            Output::Close { connection, .. } => {
                self.open.remove(&connection);
                let end = End::Closed;
                self.tell(Input::Ended { connection, end });
            }
            Output::Abort { connection } => {
                self.open.remove(&connection);
            }
            Output::Arm { timer, at } => {
                assert!(at >= self.now);
                self.timers.insert(timer, at);
            }
            Output::Disarm { timer } => {
                assert!(self.timers.remove(&timer).is_some(), "was not armed");
            }
            Output::Stopped { reason } => {
                assert!(self.timers.is_empty(), "left armed: {:?}", self.timers);
                assert!(self.open.is_empty());
                self.ended.push(reason);
            }
            Output::Died { message } => panic!("died: {message}"),
            Output::Deliver { .. } | Output::Commanded { .. } | Output::Log { .. } => {}
        }
    }

    /// Lets time pass, and fires what comes due.
    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let due = self.timers.iter().map(|(timer, at)| (*at, *timer)).min();
            let Some((at, timer)) = due.filter(|(at, _)| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            self.timers.remove(&timer);
            self.tell(Input::Fired(timer));
        }
        self.now = until;
    }

    /// The gateway says this on every connection.
    fn say_to_all(&mut self, text: &str) {
        for connection in self.open.clone() {
            self.text(connection, text);
        }
    }

    /// How long after the one before each of these IDENTIFYs came, by rate limit key, in the order of the keys.
    fn gaps(&self, from: usize) -> Vec<Duration> {
        let mut last: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut gaps = Vec::new();
        for (shard, at) in &self.identifies[from..] {
            if let Some(before) = last.insert(shard % u64::from(self.concurrency), *at) {
                gaps.push(at.since(before));
            }
        }
        gaps
    }
}

#[test]
fn shards_start_one_by_one_as_fast_as_their_keys_allow() {
    for concurrency in [1, 2, 16] {
        let rig = Rig::up(4, concurrency);
        assert_eq!(rig.asked, 1, "one question for all");
        let shards: Vec<u64> = rig.identifies.iter().map(|(shard, _)| *shard).collect();
        let buckets = shards.iter().map(|shard| shard / u64::from(concurrency));
        assert!(buckets.is_sorted(), "{shards:?}");
        assert_eq!(BTreeSet::from_iter(shards), BTreeSet::from([0, 1, 2, 3]));
        let gaps = rig.gaps(0);
        assert_eq!(gaps, vec![IDENTIFY_SPACING; gaps.len()]);
        assert_eq!(gaps.len(), 4 - usize::try_from(concurrency.min(4)).unwrap());
    }
}

#[test]
fn sessions_that_are_lost_together_are_started_one_by_one_and_resumed_together() {
    for concurrency in [1, 2] {
        let mut rig = Rig::up(4, concurrency);
        for connection in std::mem::take(&mut rig.open) {
            let end = End::Reset;
            rig.tell(Input::Ended { connection, end });
        }
        rig.wait(Duration::from_secs(1));
        assert_eq!((rig.resumes, rig.identifies.len()), (4, 4), "no turns");
        rig.say_to_all(r#"{"op":9,"d":false}"#);
        rig.wait(Duration::from_mins(1));
        assert_eq!(rig.identifies.len(), 8);
        assert!(rig.gaps(4).iter().all(|gap| *gap >= IDENTIFY_SPACING));
        assert!(rig.machine.status().is_authenticated);
    }
}

#[test]
fn no_more_sessions_are_started_than_are_left_over_all_shards() {
    let mut rig = Rig::new(4, 4);
    rig.remaining = 2;
    rig.reset_after = Duration::from_mins(10);
    rig.tell(Input::Start { session: None });
    rig.wait(Duration::from_mins(9));
    assert_eq!(rig.identifies.len(), 2);
    assert_eq!(rig.machine.status().state, "waiting for its turn");
    rig.wait(Duration::from_mins(2));
    assert_eq!((rig.asked, rig.identifies.len()), (2, 4), "it asked again");
    assert!(rig.machine.status().is_authenticated);
}

#[test]
fn a_turn_that_came_to_nothing_is_the_next_ones() {
    let config = Config::new(Token::new("t"), Discovery::Url("ws://main.test".to_owned()));
    let mut bot = Shards::new(&config, 2, Seed(1).stream(Stream::Subject));
    let opened = |bot: &mut Shards| {
        let outputs = std::iter::from_fn(|| bot.poll_output());
        let opened: Vec<u32> = outputs
            .filter_map(|output| match output {
                Output::Open { connection, .. } => Some(connection.0),
                _ => None,
            })
            .collect();
        opened
    };
    bot.handle(Instant::ZERO, Input::Start { session: None });
    assert_eq!(opened(&mut bot), [2], "the first connection of shard 0");
    let refused = Input::Ended {
        connection: ConnectionId(2),
        end: End::Refused,
    };
    bot.handle(Instant::ZERO, refused);
    assert_eq!(opened(&mut bot), [3], "the first connection of shard 1");
}

#[test]
fn what_ends_one_shard_for_good_ends_the_bot_once() {
    let mut rig = Rig::up(4, 2);
    let connection = *rig.open.iter().nth(1).expect("four are open");
    rig.tell(Input::Closing {
        connection,
        code: Some(CloseCode(4004)),
        reason: "",
    });
    let [Some(reason)] = &rig.ended[..] else {
        panic!("{:?}", rig.ended);
    };
    assert!(
        reason.starts_with("shard 1: closed by the gateway with 4004"),
        "{reason}"
    );
    // Nothing comes of anything any more.
    let connections = rig.seen.len();
    rig.tell(Input::Stop);
    rig.wait(Duration::from_mins(10));
    assert_eq!((rig.seen.len(), rig.ended.len()), (connections, 1));
}

#[test]
fn a_stop_is_told_of_once_wherever_the_shards_are_and_a_start_begins_anew() {
    for secs in [0, 1, 6, 30] {
        let mut rig = Rig::new(4, 1);
        rig.tell(Input::Start { session: None });
        rig.wait(Duration::from_secs(secs));
        rig.tell(Input::Stop);
        assert_eq!(rig.ended, [None]);
        let before = rig.identifies.len();
        rig.tell(Input::Start { session: None });
        rig.wait(Duration::from_mins(1));
        assert!(rig.machine.status().is_authenticated);
        assert_eq!(rig.identifies.len(), before + 4);
        assert!(
            rig.gaps(0).iter().all(|gap| *gap >= IDENTIFY_SPACING),
            "over both lives"
        );
    }
}

#[test]
fn a_command_goes_to_the_shard_of_its_guild() {
    let mut rig = Rig::up(4, 4);
    rig.sent.clear();
    let guild = |shard: u64| format!(r#"{{"guild_id":"{}"}}"#, (8 + shard) << 22);
    let payloads = ["null".to_owned(), guild(3), guild(2), guild(0)];
    for (id, d) in payloads.into_iter().enumerate() {
        rig.tell(Input::Command(Command {
            id: CommandId(u32::try_from(id).unwrap()),
            op: Opcode(8),
            d: Json::parse(d).unwrap(),
        }));
    }
    let shards: Vec<u32> = rig.sent.iter().map(|(to, _)| to.0 % 4).collect();
    assert_eq!(shards, [0, 3, 2, 0]);
}
