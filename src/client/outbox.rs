//! What the client still has to send, and how much it may.
//!
//! [`Outbox`] holds the application's commands until a connection is authenticated; it outlives connections.
//! [`Budget`] counts what was sent on one connection against Discord's 120 payloads a minute ("Rate
//! Limiting"), and dies with it. Heartbeats never pass through the queue, and room for them is set aside
//! beforehand, so that no command can delay one. No transitions, no clock: the lifecycle says when, and
//! reports what became of each command.

use crate::machine::{Command, CommandId};
use crate::protocol::{ClientFrame, Opcode};
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// The largest payload that the gateway takes, in bytes ("Sending Events").
pub const PAYLOAD_MAX: usize = 4096;

/// How many commands wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Config {
    /// The most that wait.
    pub capacity: usize,
    /// How long one waits before it is given up.
    pub expires: Duration,
}

impl Default for Config {
    /// Enough for a burst of a thousand, half of which the gateway's limit lets through in the time.
    fn default() -> Self {
        Self {
            capacity: 1000,
            expires: Duration::from_mins(5),
        }
    }
}

/// Why a command is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many wait as may.
    Full {
        /// How many.
        capacity: usize,
    },
    /// The gateway would close the connection over it.
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The lifecycle alone sends this opcode.
    Reserved,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(f, "{capacity} commands are waiting already"),
            Self::TooLarge { bytes } => write!(
                f,
                "it takes {bytes} bytes, expected at most {PAYLOAD_MAX}: split it"
            ),
            Self::Reserved => f.write_str("the client sends this opcode by itself"),
        }
    }
}

/// Commands that wait for an authenticated connection.
#[derive(Debug)]
pub struct Outbox {
    config: Config,
    queue: VecDeque<Waiting>,
    /// Opcodes that the gateway asked not to be sent before a time (`RATE_LIMITED`).
    held: BTreeMap<Opcode, Instant>,
}

#[derive(Debug)]
struct Waiting {
    id: CommandId,
    op: Opcode,
    text: String,
    expires: Instant,
}

impl Outbox {
    /// Nothing waits.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes a command.
    pub fn push(&mut self, now: Instant, command: Command) -> Result<(), Refusal> {
        let Command { id, op, d } = command;
        if matches!(op, Opcode::HEARTBEAT | Opcode::IDENTIFY | Opcode::RESUME) {
            return Err(Refusal::Reserved);
        }
        if self.queue.len() >= self.config.capacity {
            return Err(Refusal::Full {
                capacity: self.config.capacity,
            });
        }
        let text = ClientFrame::Command { op, d }.encode();
        if text.len() > PAYLOAD_MAX {
            return Err(Refusal::TooLarge { bytes: text.len() });
        }
        self.queue.push_back(Waiting {
            id,
            op,
            text,
            expires: now + self.config.expires,
        });
        Ok(())
    }

    /// Takes out a command that has waited too long.
    pub fn pop_expired(&mut self, now: Instant) -> Option<CommandId> {
        // All wait equally long, so the first in is the first to expire.
        let expired = self.queue.front()?.expires <= now;
        expired
            .then(|| self.queue.pop_front())
            .flatten()
            .map(|it| it.id)
    }

    /// Takes out the first command that may be sent now, with its text.
    pub fn pop_ready(&mut self, now: Instant) -> Option<(CommandId, String)> {
        self.held.retain(|_, until| *until > now);
        let at = self
            .queue
            .iter()
            .position(|it| !self.held.contains_key(&it.op))?;
        self.queue.remove(at).map(|it| (it.id, it.text))
    }

    /// Takes out any command: nothing will be sent any more.
    pub fn pop(&mut self) -> Option<CommandId> {
        self.queue.pop_front().map(|it| it.id)
    }

    /// The gateway asks that an opcode is not sent before a time.
    pub fn hold(&mut self, op: Opcode, until: Instant) {
        let held = self.held.entry(op).or_insert(until);
        *held = until.max(*held);
    }

    /// When the next command expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.queue.front().map(|it| it.expires)
    }

    /// When the next command may be sent, as far as opcodes are held back; `Instant::ZERO` for now.
    pub fn next_ready(&self) -> Option<Instant> {
        let ready = |it: &Waiting| self.held.get(&it.op).copied().unwrap_or(Instant::ZERO);
        // What is held is a rarity: the first command decides at once.
        if self.held.is_empty() {
            return self.queue.front().map(|_| Instant::ZERO);
        }
        self.queue.iter().map(ready).min()
    }
}

/// What a payload is sent for, as far as the budget cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// IDENTIFY, RESUME, or a heartbeat that the gateway asked for.
    Lifecycle,
    /// A command of the application's.
    Command,
}

/// What was sent on one connection in the last minute, heartbeats on the timer left out: their room is set
/// aside.
#[derive(Debug)]
pub struct Budget {
    sent: VecDeque<Instant>,
    /// How many payloads besides the timer's heartbeats fit into a window.
    room: usize,
}

/// The gateway counts by the minute; a little more here, since what was sent apart may arrive closer
/// together.
const WINDOW: Duration = Duration::from_secs(61);
/// Of a window's room, what commands leave to heartbeats that the gateway asks for.
const REQUESTS: usize = 8;

impl Budget {
    /// Nothing was sent yet on a connection with this heartbeat interval.
    pub fn new(interval: Duration) -> Self {
        let in_a_minute = 60_000_u128.div_ceil(interval.as_millis().max(1));
        let beats = usize::try_from(in_a_minute).unwrap_or(usize::MAX - 120);
        // At Discord's own interval the limit of 120 has room for two heartbeats; it grows with those of a
        // shorter one.
        let limit = 120 + beats.saturating_sub(2);
        Self {
            sent: VecDeque::new(),
            // A minute that begins with a beat holds one more.
            room: limit - (beats + 1),
        }
    }

    const fn share(&self, share: Share) -> usize {
        match share {
            Share::Lifecycle => self.room,
            Share::Command => self.room - REQUESTS,
        }
    }

    /// When a payload may be sent; not after `now` if it may be now.
    pub fn next(&self, share: Share) -> Instant {
        match self.sent.len().checked_sub(self.share(share)) {
            None => Instant::ZERO,
            Some(over) => self.sent[over] + WINDOW,
        }
    }

    /// Takes room for a payload, if there is any.
    pub fn take(&mut self, now: Instant, share: Share) -> bool {
        while self.sent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.sent.pop_front();
        }
        let fits = self.sent.len() < self.share(share);
        if fits {
            self.sent.push_back(now);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Json;

    fn command(id: u32, op: Opcode, length: usize) -> Command {
        Command {
            id: CommandId(id),
            op,
            d: Json::of(&"x".repeat(length)),
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn outbox(capacity: usize) -> Outbox {
        Outbox::new(Config {
            capacity,
            expires: Duration::from_secs(10),
        })
    }

    #[test]
    fn a_command_of_4096_bytes_is_taken_and_one_of_4097_is_not() {
        let mut outbox = outbox(10);
        // `{"op":3,"d":""}` is 15 bytes.
        let largest = PAYLOAD_MAX - 15;
        let op = Opcode::PRESENCE_UPDATE;
        assert_eq!(outbox.push(at(0), command(1, op, largest)), Ok(()));
        let refused = outbox.push(at(0), command(2, op, largest + 1)).unwrap_err();
        assert_eq!(refused, Refusal::TooLarge { bytes: 4097 });
        assert_eq!(
            refused.to_string(),
            "it takes 4097 bytes, expected at most 4096: split it"
        );
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_full_queue_and_the_lifecycle_s_own_opcodes_are_refused() {
        let mut outbox = outbox(1);
        let op = Opcode::PRESENCE_UPDATE;
        for own in [Opcode::HEARTBEAT, Opcode::IDENTIFY, Opcode::RESUME] {
            let refused = outbox.push(at(0), command(1, own, 1)).unwrap_err();
            assert_eq!(
                refused.to_string(),
                "the client sends this opcode by itself"
            );
        }
        outbox.push(at(0), command(1, op, 1)).unwrap();
        let refused = outbox.push(at(0), command(2, op, 1)).unwrap_err();
        assert_eq!(refused.to_string(), "1 commands are waiting already");
    }

    #[test]
    fn commands_leave_in_order_or_expire_in_order() {
        let mut outbox = outbox(10);
        for id in 1..=3 {
            outbox
                .push(at(u64::from(id)), command(id, Opcode::PRESENCE_UPDATE, 1))
                .unwrap();
        }
        assert_eq!(outbox.pop_ready(at(4)).unwrap().0, CommandId(1));
        assert_eq!(outbox.next_expiry(), Some(at(12)));
        assert_eq!(outbox.pop_expired(at(11)), None);
        assert_eq!(outbox.pop_expired(at(12)), Some(CommandId(2)));
        assert_eq!(outbox.pop_expired(at(12)), None);
        assert_eq!(outbox.pop(), Some(CommandId(3)));
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_opcode_that_is_held_lets_others_pass() {
        let mut outbox = outbox(10);
        let (members, presence) = (Opcode::REQUEST_GUILD_MEMBERS, Opcode::PRESENCE_UPDATE);
        outbox.push(at(0), command(1, members, 1)).unwrap();
        outbox.push(at(0), command(2, presence, 1)).unwrap();
        outbox.hold(members, at(5));
        outbox.hold(members, at(3));
        assert_eq!(outbox.pop_ready(at(1)).unwrap().0, CommandId(2));
        assert_eq!(outbox.pop_ready(at(4)), None);
        assert_eq!(outbox.next_ready(), Some(at(5)));
        assert_eq!(outbox.pop_ready(at(5)).unwrap().0, CommandId(1));
        assert_eq!(outbox.next_ready(), None);
    }

    /// The gateway's limit, from SEMANTICS ("Small I") and not from the code under test.
    fn limit(interval_ms: u64) -> usize {
        usize::try_from(120 + 60_000_u64.div_ceil(interval_ms).saturating_sub(2)).unwrap()
    }

    #[test]
    fn commands_requests_and_heartbeats_together_never_exceed_the_limit() {
        for interval_ms in [100, 300, 2_000, 41_250, 45_000, 600_000] {
            let interval = Duration::from_millis(interval_ms);
            let mut budget = Budget::new(interval);
            let mut sent: Vec<Instant> = Vec::new();
            let mut commands = 0;
            let mut beat = Instant::ZERO;
            let mut now = Instant::ZERO;
            // An application and a gateway that both ask for as much as they can get, for five minutes.
            while now < at(300) {
                if now >= beat {
                    sent.push(now);
                    beat += interval;
                }
                while budget.take(now, Share::Command) {
                    sent.push(now);
                    commands += 1;
                }
                while budget.take(now, Share::Lifecycle) {
                    sent.push(now);
                }
                now += Duration::from_millis(50);
            }
            let minute = Duration::from_mins(1);
            let worst = (0..sent.len())
                .map(|from| {
                    sent[from..]
                        .iter()
                        .take_while(|at| at.since(sent[from]) < minute)
                        .count()
                })
                .max()
                .unwrap();
            let limit = limit(interval_ms);
            assert!(worst <= limit, "I {interval_ms} ms: {worst} of {limit}");
            assert!(
                commands >= 100 * 4,
                "I {interval_ms} ms: only {commands} commands"
            );
        }
    }

    #[test]
    fn commands_leave_room_for_a_heartbeat_that_is_asked_for() {
        let mut budget = Budget::new(Duration::from_millis(41_250));
        while budget.take(at(0), Share::Command) {}
        let asked = (0..20)
            .filter(|_| budget.take(at(1), Share::Lifecycle))
            .count();
        assert_eq!(asked, REQUESTS);
        assert_eq!(budget.next(Share::Command), at(61));
        assert!(budget.take(budget.next(Share::Command), Share::Command));
    }
}
