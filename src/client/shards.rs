//! A bot of several shards: one lifecycle for each, as one machine.
//!
//! Used by the register of subjects where a scenario has more than one shard. Each [`Lifecycle`] is what it is alone, but for
//! one thing: before it connects for an IDENTIFY it waits for its turn. Turns are given out here: `/gateway/bot` says how many
//! sessions may be started, and how many within 5 s, each by a shard of another rate limit key, `shard_id % max_concurrency`
//! (Discord, "Max Concurrency"). The question is put once for all who ask. A RESUME needs no turn.
//!
//! Ids of connections, requests and timers are a lifecycle's own inside and unique outside: `own * shards + shard`. What ends
//! one shard for good, a fatal code above all, ends the bot. No transitions of a connection are here; those are the lifecycle's.

use super::Config;
use super::lifecycle::{Lifecycle, Starts, read_gateway};
use crate::machine::{
    Command, ConnectionId, FetchId, Input, Level, Machine, Output, Response, Status, Timer,
};
use crate::protocol::Shard;
use crate::seed::{Draw, Seed, Stream};
use crate::time::Instant;
use serde::Deserialize;
use std::collections::VecDeque;

/// When the next shard may have its turn.
const TURN: Timer = Timer {
    name: "turn",
    number: 0,
};

/// All shards of a bot.
#[derive(Debug)]
pub struct Shards {
    config: Config,
    lifecycles: Vec<Lifecycle>,
    life: Life,
    /// Why it stops, where nobody asked for it.
    reason: Option<String>,
    /// How many sessions may be started; `None` if nobody said.
    quota: Option<Quota>,
    inquiry: Option<Inquiry>,
    /// How many requests were made, and the last one's id.
    fetches: u32,
    /// When the timer of turns fires, if it is armed.
    turn: Option<Instant>,
    outputs: VecDeque<Output>,
}

/// Where the bot as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not started, or stopped.
    Idle,
    /// Its shards run.
    Running,
    /// Its shards are stopping.
    Ending,
}

/// What `/gateway/bot` said of starting sessions.
#[derive(Debug, Clone, Copy)]
struct Quota {
    starts: Starts,
    /// How many IDENTIFYs had been sent when it was asked: those since then are of what it said remains.
    sent: u32,
}

/// A question to `/gateway/bot` that is under way.
#[derive(Debug)]
struct Inquiry {
    fetch: FetchId,
    /// Which shards want to know, and what each calls its question.
    askers: Vec<(usize, FetchId)>,
    sent: u32,
}

impl Shards {
    /// As many shards as are said, which have not started; `draw` is the subject's stream. The shard of `config` is not used.
    ///
    /// # Panics
    /// With no shards at all.
    pub fn new(config: &Config, count: u32, mut draw: Draw) -> Self {
        assert!(count > 0, "a bot has at least one shard");
        let shard = |id| {
            let config = Config {
                shard: Some(Shard { id, count }),
                ..config.clone()
            };
            // Each draws from a stream of its own, or what one of them meets would move the others.
            let draw = Seed(draw.bits()).stream(Stream::Subject);
            Lifecycle::among_others(config, draw)
        };
        Self {
            lifecycles: (0..count).map(shard).collect(),
            config: config.clone(),
            life: Life::Idle,
            reason: None,
            quota: None,
            inquiry: None,
            fetches: 0,
            turn: None,
            outputs: VecDeque::new(),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.lifecycles.len()).expect("they were counted in 32 bits")
    }

    /// A lifecycle's own number, as it is known outside.
    fn outer(&self, shard: usize, own: u32) -> u32 {
        let shard = u32::try_from(shard).expect("they were counted in 32 bits");
        own * self.count() + shard
    }

    /// Whose a number is, and what its owner calls it.
    fn inner(&self, outer: u32) -> (usize, u32) {
        let shard = usize::try_from(outer % self.count()).expect("an index");
        (shard, outer / self.count())
    }

    /// Tells one shard something, and sees to what it asks for.
    fn tell(&mut self, now: Instant, shard: usize, input: Input<'_>) {
        self.lifecycles[shard].handle(now, input);
        self.obey(shard);
    }

    fn tell_all(&mut self, now: Instant, input: impl Fn() -> Input<'static>) {
        for shard in 0..self.lifecycles.len() {
            self.tell(now, shard, input());
        }
    }

    /// Passes on what a shard asks for, under the names of the outside.
    fn obey(&mut self, shard: usize) {
        while let Some(output) = self.lifecycles[shard].poll_output() {
            let outer = |own| self.outer(shard, own);
            let connection_of = |own: ConnectionId| ConnectionId(outer(own.0));
            let timer_of = |own: Timer| Timer {
                number: outer(own.number),
                ..own
            };
            let passed = match output {
                Output::Fetch { fetch, path } => match self.inquire(shard, fetch) {
                    Some(fetch) => Output::Fetch { fetch, path },
                    None => continue,
                },
                Output::Open { connection, url } => Output::Open {
                    connection: connection_of(connection),
                    url,
                },
                Output::Send { connection, text } => Output::Send {
                    connection: connection_of(connection),
                    text,
                },
                Output::Close {
                    connection,
                    code,
                    within,
                } => Output::Close {
                    connection: connection_of(connection),
                    code,
                    within,
                },
                Output::Abort { connection } => Output::Abort {
                    connection: connection_of(connection),
                },
                Output::Arm { timer, at } => Output::Arm {
                    timer: timer_of(timer),
                    at,
                },
                Output::Disarm { timer } => Output::Disarm {
                    timer: timer_of(timer),
                },
                Output::Deliver { connection, seq } => Output::Deliver {
                    connection: connection_of(connection),
                    seq,
                },
                Output::Log { level, text } => Output::Log {
                    level,
                    text: format!("shard {shard}: {text}"),
                },
                // The bot has stopped when all of them have, for the reason of the first that had one.
                Output::Stopped { reason } => {
                    if let Some(reason) = reason {
                        self.reason
                            .get_or_insert_with(|| format!("shard {shard}: {reason}"));
                    }
                    continue;
                }
                Output::Commanded { .. } | Output::Died { .. } => output,
            };
            self.outputs.push_back(passed);
        }
    }

    /// A shard wants to ask `/gateway/bot`; the request to make, if that is not being asked already. Who asks a second time has
    /// given up its first question, and with it everybody's.
    fn inquire(&mut self, shard: usize, fetch: FetchId) -> Option<FetchId> {
        let mut askers = match &mut self.inquiry {
            Some(inquiry) if inquiry.askers.iter().all(|(asker, _)| *asker != shard) => {
                inquiry.askers.push((shard, fetch));
                return None;
            }
            Some(inquiry) => std::mem::take(&mut inquiry.askers),
            None => Vec::new(),
        };
        askers.retain(|(asker, _)| *asker != shard);
        askers.push((shard, fetch));
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        self.inquiry = Some(Inquiry {
            fetch,
            askers,
            sent: self.sent(),
        });
        Some(fetch)
    }

    /// How many IDENTIFYs were sent.
    fn sent(&self) -> u32 {
        self.lifecycles.iter().map(Lifecycle::identifies).sum()
    }

    fn on_fetched(&mut self, now: Instant, fetch: FetchId, result: &Result<Response, String>) {
        let Some(inquiry) = self.inquiry.take_if(|inquiry| inquiry.fetch == fetch) else {
            return;
        };
        if let Ok(response) = result
            && response.status == 200
            && let Ok(gateway) = read_gateway(now, &response.body, self.config.compress)
        {
            let sent = inquiry.sent;
            self.quota = gateway.starts.map(|starts| Quota { starts, sent });
        }
        for (shard, fetch) in inquiry.askers {
            let result = result.clone();
            self.tell(now, shard, Input::Fetched { fetch, result });
        }
    }

    /// The shard of a command: its guild's, or the first (Discord, "Sharding").
    fn shard_of(&self, command: &Command) -> usize {
        #[derive(Deserialize)]
        struct OfGuild {
            guild_id: String,
        }
        let guild = command.d.read::<OfGuild>().ok();
        let guild: Option<u64> = guild.and_then(|of| of.guild_id.parse().ok());
        let shard = guild.map_or(0, |id| (id >> 22) % u64::from(self.count()));
        usize::try_from(shard).expect("an index")
    }

    /// After every input: what ends one shard ends all, and whose turn it is.
    fn settle(&mut self, now: Instant) {
        if self.life == Life::Running && self.lifecycles.iter().any(Lifecycle::is_ending) {
            self.life = Life::Ending;
            for shard in 0..self.lifecycles.len() {
                if !self.lifecycles[shard].is_ending() {
                    self.tell(now, shard, Input::Stop);
                }
            }
        }
        if self.life == Life::Ending && self.lifecycles.iter().all(Lifecycle::has_stopped) {
            self.life = Life::Idle;
            // The answer is nobody's any more.
            self.inquiry = None;
            self.await_turn(None);
            let reason = self.reason.take();
            self.outputs.push_back(Output::Stopped { reason });
        }
        if self.life == Life::Running {
            let next = self.give_turns(now);
            self.await_turn(next);
        } else {
            self.await_turn(None);
        }
    }

    fn await_turn(&mut self, next: Option<Instant>) {
        if self.turn == next {
            return;
        }
        self.turn = next;
        self.outputs.push_back(match next {
            Some(at) => Output::Arm { timer: TURN, at },
            None => Output::Disarm { timer: TURN },
        });
    }

    /// Lets every shard begin whose turn it is; when there may be another turn, if only time has to pass.
    fn give_turns(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut later = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        let keys = match self.quota {
            Some(quota) => usize::try_from(quota.starts.concurrency).unwrap_or(usize::MAX),
            None => 1,
        };
        for key in 0..keys.min(self.lifecycles.len()) {
            let of_key = self.lifecycles.iter().enumerate().skip(key).step_by(keys);
            // In the order of their ids, so that the lower buckets go first.
            let queued = of_key.clone().find(|(_, shard)| shard.is_queued());
            let Some((shard, _)) = queued else {
                continue;
            };
            if of_key.clone().any(|(_, shard)| shard.is_at_turn()) {
                continue;
            }
            let from = of_key.map(|(_, shard)| shard.identify_from()).max();
            if let Some(from) = from.filter(|from| *from > now) {
                later(from);
                continue;
            }
            match self.quota {
                Some(quota) if quota.left(self.sent()) == 0 => {
                    if quota.starts.reset > now {
                        later(quota.starts.reset);
                    } else if self.inquiry.is_none() {
                        self.lifecycles[shard].ask_again(now);
                        self.obey(shard);
                    }
                }
                // What is left may go to those whose turn is on.
                Some(quota) if quota.left(self.sent()) <= self.at_turn() => {}
                _ => {
                    self.lifecycles[shard].admit(now);
                    self.obey(shard);
                }
            }
        }
        next
    }

    fn at_turn(&self) -> u64 {
        let at_turn = self.lifecycles.iter().filter(|shard| shard.is_at_turn());
        at_turn.map(|_| 1).sum()
    }
}

impl Quota {
    /// How many sessions may still be started, so many IDENTIFYs having been sent.
    fn left(&self, sent: u32) -> u64 {
        let used = u64::from(sent - self.sent);
        self.starts.remaining.saturating_sub(used)
    }
}

impl Machine for Shards {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Start { session } => {
                if session.is_some() {
                    self.outputs.push_back(Output::Log {
                        level: Level::Warn,
                        text: "ignored: a session, which does not say of which shard it is"
                            .to_owned(),
                    });
                }
                self.life = Life::Running;
                self.reason = None;
                self.tell_all(now, || Input::Start { session: None });
            }
            Input::Stop if self.lifecycles.iter().all(Lifecycle::has_stopped) => {}
            Input::Stop => {
                self.life = Life::Ending;
                self.tell_all(now, || Input::Stop);
            }
            Input::Command(command) => {
                let shard = self.shard_of(&command);
                self.tell(now, shard, Input::Command(command));
            }
            Input::Fetched { fetch, result } => self.on_fetched(now, fetch, &result),
            Input::Fired(TURN) => match self.turn {
                // Early: harmless, as long as it comes again.
                Some(at) if now < at => self.outputs.push_back(Output::Arm { timer: TURN, at }),
                _ => self.turn = None,
            },
            Input::Fired(timer) => {
                let (shard, number) = self.inner(timer.number);
                let timer = Timer { number, ..timer };
                self.tell(now, shard, Input::Fired(timer));
            }
            Input::Opened(connection) => {
                let (shard, own) = self.inner(connection.0);
                self.tell(now, shard, Input::Opened(ConnectionId(own)));
            }
            Input::Received {
                connection,
                message,
            } => {
                let (shard, own) = self.inner(connection.0);
                let connection = ConnectionId(own);
                let input = Input::Received {
                    connection,
                    message,
                };
                self.tell(now, shard, input);
            }
            Input::Closing {
                connection,
                code,
                reason,
            } => {
                let (shard, own) = self.inner(connection.0);
                let connection = ConnectionId(own);
                let input = Input::Closing {
                    connection,
                    code,
                    reason,
                };
                self.tell(now, shard, input);
            }
            Input::Ended { connection, end } => {
                let (shard, own) = self.inner(connection.0);
                let connection = ConnectionId(own);
                self.tell(now, shard, Input::Ended { connection, end });
            }
        }
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The state is that of the first shard that is not ready; several sessions are nobody's to hand on.
    fn status(&self) -> Status {
        let all = || self.lifecycles.iter().map(Lifecycle::status);
        let behind = all().find(|one| !one.is_authenticated);
        Status {
            state: behind.as_ref().map_or("ready", |one| one.state),
            is_authenticated: behind.is_none(),
            session: None,
            round_trip: all().filter_map(|one| one.round_trip).max(),
            queued: all().map(|one| one.queued).sum(),
        }
    }
}

#[cfg(test)]
mod tests;
