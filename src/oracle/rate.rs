//! Rules about how much is sent: T1, T3 and T4, and whether so much is that T2 is about it (heartbeats are judged in
//! `heartbeat.rs`).
//!
//! Frames are counted when they arrive, so that a burst that a fault held back is not the subject's: T1 is not judged on a
//! connection whose bytes were delayed. The budget grows at short intervals, at which heartbeats alone would spend it.

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Connection, Shared};
use crate::protocol::{Json, Opcode};
use crate::time::{Duration, Instant, show};
use serde::Deserialize;
use std::collections::VecDeque;

/// The time over which payloads are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest payload that a client may send.
const BYTES_MAX: u32 = 4096;
/// A connection is busy when no more payloads than these are left of its budget: half of what Discord grants.
const BUSY: usize = 60;
/// Limits that are remembered.
const LIMITS_MAX: usize = 16;
/// Timers may fire this much early.
const EARLY: Duration = Duration::from_millis(50);

/// When the last payloads of a connection came; as many as may come in one window.
#[derive(Debug, Default)]
pub(super) struct Budget(VecDeque<Instant>);

/// Payloads that a client may send in a window at an interval (SEMANTICS.md, "Small I").
fn budget(interval: Duration) -> usize {
    let beats = WINDOW.as_millis().div_ceil(interval.as_millis().max(1));
    120 + usize::try_from(beats)
        .unwrap_or(usize::MAX / 2)
        .saturating_sub(2)
}

/// Whether so much was sent in the last window that a client which counts has begun to pace itself.
pub(super) fn is_busy(connection: &Connection, shared: &Shared) -> bool {
    let times = connection.budget.0.iter().rev();
    let recent = times.take_while(|at| shared.now - **at < WINDOW).count();
    recent + BUSY >= budget(connection.interval(shared))
}

/// A command that is not to be repeated yet.
#[derive(Debug)]
struct Limit {
    op: Opcode,
    shard: Option<u32>,
    life: u32,
    /// The guild that it was about; `None` stands for all.
    guild: Option<serde_json::Value>,
    told: Instant,
    until: Instant,
}

/// What `RATE_LIMITED` has forbidden for a while.
#[derive(Debug, Default)]
pub(super) struct Limits(VecDeque<Limit>);

impl Limits {
    /// The gateway sent `RATE_LIMITED`.
    pub(super) fn told(&mut self, connection: &Connection, shared: &Shared, d: &Json) {
        /// What is read of `RATE_LIMITED`.
        #[derive(Deserialize)]
        struct RateLimited {
            opcode: Opcode,
            retry_after: f64,
            #[serde(default)]
            meta: Meta,
        }
        #[derive(Default, Deserialize)]
        struct Meta {
            guild_id: Option<serde_json::Value>,
        }
        let Ok(limited) = d.read::<RateLimited>() else {
            return;
        };
        let Ok(wait) = Duration::try_from_secs_f64(limited.retry_after) else {
            return;
        };
        // Who is not sure to have had it is not bound by it.
        if !connection.is_clear() || !connection.is_open() || shared.is_suspended() {
            return;
        }
        if self.0.len() == LIMITS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Limit {
            op: limited.opcode,
            shard: connection.shard,
            life: shared.life,
            guild: limited.meta.guild_id,
            told: shared.now,
            until: shared.now + wait,
        });
    }

    /// The subject sent a payload: is it one that has to wait?
    pub(super) fn payload(
        &mut self,
        connection: &Connection,
        shared: &Shared,
        docket: &mut Docket,
        op: Opcode,
        d: &Json,
    ) {
        if self.0.is_empty() {
            return;
        }
        let (now, number) = (shared.now, connection.number);
        let guild = d.read::<serde_json::Value>().ok();
        let guild = guild.and_then(|mut d| d.get_mut("guild_id").map(serde_json::Value::take));
        self.0.retain(|limit| {
            let is_meant = limit.op == op
                && (limit.shard, limit.life) == (connection.shard, shared.life)
                && (limit.guild.is_none() || limit.guild == guild);
            // What was on its way, or written, when the word came is not a repetition.
            if !is_meant || now - limit.told <= shared.settle(Duration::ZERO) {
                return true;
            }
            if now + EARLY >= limit.until {
                docket.kept(Rule::T4);
                return false;
            }
            docket.broken(Rule::T4, now, Some(number), || {
                (
                    format!(
                        "sent {} again on #{number} {} after RATE_LIMITED",
                        op.name(),
                        show(now - limit.told)
                    ),
                    format!("not before {}", limit.until),
                )
            });
            true
        });
    }
}

/// The subject sent a payload.
pub(super) fn payload(
    connection: &mut Connection,
    shared: &Shared,
    docket: &mut Docket,
    bytes: u32,
) {
    let (now, number) = (shared.now, connection.number);
    if bytes > BYTES_MAX {
        docket.broken(Rule::T3, now, Some(number), || {
            (
                format!("sent a payload of {bytes} bytes on #{number}"),
                format!("at most {BYTES_MAX}"),
            )
        });
    } else {
        docket.kept(Rule::T3);
    }
    if connection.damage.is_unseen {
        return;
    }
    let allowed = budget(connection.interval(shared));
    let times = &mut connection.budget.0;
    times.push_back(now);
    if times.len() <= allowed {
        return;
    }
    let oldest = times.pop_front().unwrap_or(now);
    if now - oldest < WINDOW.saturating_sub(shared.slack(Duration::ZERO)) {
        times.clear();
        docket.broken(Rule::T1, now, Some(number), || {
            (
                format!(
                    "sent {} payloads in {} on #{number}",
                    allowed + 1,
                    show(now - oldest)
                ),
                format!("at most {allowed} in {}", show(WINDOW)),
            )
        });
    } else {
        docket.kept(Rule::T1);
    }
}
