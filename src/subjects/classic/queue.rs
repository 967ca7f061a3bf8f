//! Commands of the application that wait, and how many payloads a connection may still carry.
//!
//! A plain queue with a counter of what was sent in the last minute. Heartbeats do not pass through it: their room is kept free.

use crate::machine::{Command, CommandId};
use crate::protocol::{ClientFrame, Opcode};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// The largest payload that the gateway takes, in bytes (Discord, "Sending Events").
const PAYLOAD_MAX: usize = 4096;
/// How many commands wait at most.
const WAITING_MAX: usize = 2000;
/// How long a command waits at most.
const PATIENCE: Duration = Duration::from_mins(10);
/// Discord counts payloads by the minute (Discord, "Rate Limiting"); the counter by a little more, since what was sent apart may
/// arrive closer together.
const WINDOW: Duration = Duration::from_secs(62);
/// What is kept free for heartbeats that the gateway asks for.
const SPARE: usize = 10;

#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// When what counts was sent on this connection.
    sent: VecDeque<Instant>,
    /// How many payloads fit into a window beside the heartbeats of the timer.
    room: usize,
    /// An opcode that the gateway wants no more of before a time.
    held: Option<(Opcode, Instant)>,
}

#[derive(Debug)]
struct Waiting {
    id: CommandId,
    op: Opcode,
    text: String,
    until: Instant,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            room: 0,
            held: None,
        }
    }

    /// A new connection with this heartbeat interval: what was sent on others does not count.
    pub(super) fn begin(&mut self, interval: Duration) {
        self.sent.clear();
        let beats = 60_000_u128.div_ceil(interval.as_millis().max(1));
        let beats = usize::try_from(beats).unwrap_or(0);
        // Discord's 120 have room for two heartbeats; a shorter interval needs more. A window may hold two beats more than fit
        // into a minute, one at either end.
        let limit = 120 + beats.saturating_sub(2);
        self.room = limit.saturating_sub(beats + 2);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a command, unless it can never be sent.
    pub(super) fn push(&mut self, now: Instant, command: Command) -> bool {
        let Command { id, op, d } = command;
        let is_ours = matches!(op, Opcode::HEARTBEAT | Opcode::IDENTIFY | Opcode::RESUME);
        let text = ClientFrame::Command { op, d }.encode();
        let fits = text.len() <= PAYLOAD_MAX && self.waiting.len() < WAITING_MAX;
        if is_ours || !fits {
            return false;
        }
        let until = now + PATIENCE;
        self.waiting.push_back(Waiting {
            id,
            op,
            text,
            until,
        });
        true
    }

    /// Counts a payload that is no command; whether it may be sent.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        self.count(now) < self.room && {
            self.sent.push_back(now);
            true
        }
    }

    fn count(&mut self, now: Instant) -> usize {
        while self.sent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.sent.pop_front();
        }
        self.sent.len()
    }

    /// The gateway wants no more of an opcode before a time.
    pub(super) fn hold(&mut self, op: Opcode, until: Instant) {
        self.held = Some((op, until));
    }

    /// The next command that may be sent.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(CommandId, String)> {
        if self.count(now) + SPARE >= self.room {
            return None;
        }
        let held = self.held.filter(|(_, until)| *until > now);
        let is_free = |it: &Waiting| held.is_none_or(|(op, _)| op != it.op);
        let at = self.waiting.iter().position(is_free)?;
        let Waiting { id, text, .. } = self.waiting.remove(at)?;
        self.sent.push_back(now);
        Some((id, text))
    }

    /// The next command that has waited too long.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<CommandId> {
        let is_over = self.waiting.front()?.until <= now;
        if is_over { self.pop_any() } else { None }
    }

    /// Any command: nothing will be sent any more.
    pub(super) fn pop_any(&mut self) -> Option<CommandId> {
        self.waiting.pop_front().map(|it| it.id)
    }

    /// When to look again: when there may be room, when an opcode is free again, or when the first command has waited too long.
    pub(super) fn next(&self, now: Instant, is_up: bool) -> Option<Instant> {
        let over = self.waiting.front()?.until;
        let room = self.sent.front().map(|at| *at + WINDOW);
        let free = self.held.map(|(_, until)| until);
        let next = [room, free].into_iter().flatten();
        let next = next.filter(|at| is_up && *at > now);
        Some(next.fold(over, Instant::min))
    }
}
