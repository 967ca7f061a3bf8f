//! Rules about how much is sent: T1 and T3.
//!
//! Frames are counted when they arrive, so that a burst that a fault held back is not the subject's: T1 is not judged on a
//! connection whose bytes were delayed. The budget grows at short intervals, at which heartbeats alone would spend it.

use super::docket::Docket;
use super::rules::Rule;
use super::view::{Connection, Shared};
use crate::time::{Duration, Instant, show};
use std::collections::VecDeque;

/// The time over which payloads are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest payload that a client may send.
const BYTES_MAX: u32 = 4096;

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
