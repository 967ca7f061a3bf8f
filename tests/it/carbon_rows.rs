//! What was measured on the real `@buape/carbon`, row by row: a schedule of `carbon.toml`, an interval, and how 0.14.0 and 0.16.0 end.
//!
//! `carbon_table.rs` holds the port against it in virtual time, `tests/subjects/carbon.rs` the two packages themselves in real
//! time. `docs/carbon.md` has the counts.

use End::{Died, Hangs, Loops, Resurrected, Sound};

/// The last words of a heartbeat on a connection that is left.
pub(crate) const Z: &str = "Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)";
/// The last words of an op 7 on a connection that is left.
pub(crate) const G: &str =
    "Attempted to reconnect gateway after disconnecting first (this shouldn't be possible)";

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With an exception that nobody caught.
    Died(&'static str),
    /// It lives, and is back if it was away, or stays away where it should.
    Sound,
    /// It reconnects for ever, on a sound gateway.
    Loops,
    /// It waits for ever.
    Hangs,
    /// It came back after a close code that says not to.
    Resurrected,
}

/// How a version ended, and after how many connections; `None` where their number is not told by the row.
pub(crate) type Ended = (End, Option<u32>);

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The scenario of `carbon.toml`.
    pub(crate) schedule: &'static str,
    /// I, in milliseconds.
    pub(crate) interval_ms: u64,
    pub(crate) carbon_0_14: Ended,
    pub(crate) carbon_0_16: Ended,
}

impl Row {
    /// Whether I is so near to the backoff that on the wall clock the speed of the machine decides between a crash and a loop.
    pub(crate) fn is_tie(&self) -> bool {
        (1_000..=1_050).contains(&self.interval_ms)
    }
}

const fn row(
    schedule: &'static str,
    interval_ms: u64,
    carbon_0_14: Ended,
    carbon_0_16: Ended,
) -> Row {
    Row {
        schedule,
        interval_ms,
        carbon_0_14,
        carbon_0_16,
    }
}

/// It got by with so many connections, and nothing was wrong.
const fn sound(connections: u32) -> Ended {
    (Sound, Some(connections))
}

/// It died of a throw on so many connections.
const fn died(words: &'static str, connections: u32) -> Ended {
    (Died(words), Some(connections))
}

const LOOPS: Ended = (Loops, None);
const HANGS: Ended = (Hangs, Some(2));
const RESURRECTED: Ended = (Resurrected, None);

/// The table.
pub(crate) const ROWS: &[Row] = &[
    row("healthy", 300, sound(1), sound(1)),
    // One lost ACK: a crash on a healthy gateway where I is shorter than the reconnect, a loop without end where it is longer.
    row("acks-lost", 300, died(Z, 2), sound(2)),
    row("acks-lost", 900, died(Z, 2), sound(2)),
    // The connect and the throw are due at once: on a real socket the third connection comes about first.
    row("acks-lost", 1_000, (Died(Z), None), sound(2)),
    row("acks-lost", 1_010, LOOPS, sound(2)),
    row("acks-lost", 1_050, LOOPS, sound(2)),
    row("acks-lost", 1_200, LOOPS, sound(2)),
    row("acks-lost", 3_000, LOOPS, sound(2)),
    // A third connection that hangs lets the orphan live and throw; one that is refused or reset ends it.
    row("third-hangs/no-hello", 3_000, died(Z, 3), sound(2)),
    row("third-hangs/no-upgrade", 3_000, died(Z, 3), sound(2)),
    row("third-hangs/black-hole", 3_000, died(Z, 2), sound(2)),
    row("third-hangs/refused", 3_000, LOOPS, sound(2)),
    row("third-hangs/reset", 3_000, LOOPS, sound(2)),
    // Where op 1 is answered so late that the first beat comes before READY is read, 0.16.0 has no session to resume and needs more.
    row("heartbeat-requested", 300, died(Z, 1), (Sound, None)),
    row("op7-twice", 300, died(G, 1), sound(2)),
    row("op7-once", 300, sound(2), sound(2)),
    row("late-op7", 300, died(G, 1), sound(2)),
    row("late-hello", 300, died(Z, 1), sound(2)),
    row("reset-acked", 300, sound(2), sound(2)),
    row("reset-unacked", 300, died(Z, 2), sound(2)),
    row("reset-unacked", 3_000, LOOPS, sound(2)),
    row("no-hello", 300, HANGS, HANGS),
    // The heart goes on beating after a fatal close. A crash within a second of the code's name would be taken for the end that
    // the code asks for; at this interval it comes later.
    row("fatal/4004", 3_000, died(Z, 1), sound(1)),
    row("fatal/4010", 3_000, RESURRECTED, sound(1)),
    row("fatal/4011", 3_000, died(Z, 1), sound(1)),
    row("fatal/4012", 3_000, died(Z, 1), sound(1)),
    row("fatal/4013", 3_000, died(Z, 1), sound(1)),
    row("fatal/4014", 3_000, died(Z, 1), sound(1)),
];
