//! What sound clients do differently, as data, and what each of it allows a run to take.
//!
//! Discord leaves these choices open, and popular libraries make them differently. None of them is a fault: with any mixture of
//! habits the classic client is one that a judge must not fail.

use crate::expect::Allowances;
use crate::protocol::CloseCode;
use crate::time::Duration;

/// The distance that the client keeps between two IDENTIFYs: Discord's 5 s, and a margin for what the network does to it.
pub(super) const SPACING: Duration = Duration::from_millis(5_250);
/// What a deadline is put off by, once, if it is noticed this late: what is waited for may lie in the socket, unread.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// What a client does where Discord leaves it the choice.
#[expect(
    clippy::struct_excessive_bools,
    reason = "every habit is one of its own"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Whether the first heartbeat follows HELLO at once, instead of after a random part of the interval.
    pub beats_at_once: bool,
    /// Whether IDENTIFY and RESUME are sent without waiting for HELLO.
    pub skips_hello: bool,
    /// Whether it resumes on the main URL.
    pub resumes_on_main: bool,
    /// With what it closes to resume; `None` drops the socket without a Close frame.
    pub close: Option<CloseCode>,
    /// How long a close may take.
    pub close_within: Duration,
    /// Whether it connects only after the old connection has ended.
    pub awaits_end: bool,
    /// Whether it goes on with the same connection after op 9.
    pub keeps_after_op9: bool,
    /// How long it waits after op 9, least and most.
    pub op9_wait: (Duration, Duration),
    /// How many heartbeats in a row may go without an ACK, 1 at least.
    pub missed_max: u32,
    /// Whether any frame is as good as an ACK.
    pub takes_any_sign: bool,
    /// How many RESUMEs in a row may fail before it identifies.
    pub resumes_max: u32,
    /// Whether a received 1000 ends the session for it.
    pub forgets_at_1000: bool,
    /// Whether it identifies once a reconnect itself has failed, as Discord's documentation says.
    pub forgets_at_failure: bool,
    /// Between two attempts, least and most; the first after a loss is made at once.
    pub delay: (Duration, Duration),
    /// Whether the delay doubles with every failure.
    pub delay_grows: bool,
    /// How long it waits for others.
    pub patience: Patience,
}

/// How long a client waits for others before it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to a REST request.
    pub rest: Duration,
    /// For a connect and its upgrade.
    pub connect: Duration,
    /// For HELLO.
    pub hello: Duration,
    /// For READY or RESUMED.
    pub ready: Duration,
}

impl Habits {
    /// Those of the client as `--subject classic` names it: everything follows from the socket's `close` event, and the limits
    /// lie between those of the libraries that have any.
    pub const USUAL: Self = Self {
        beats_at_once: false,
        skips_hello: false,
        resumes_on_main: false,
        close: Some(CloseCode::UNKNOWN_ERROR),
        close_within: Duration::from_secs(5),
        awaits_end: true,
        keeps_after_op9: false,
        op9_wait: (Duration::from_secs(1), Duration::from_secs(5)),
        missed_max: 1,
        takes_any_sign: false,
        resumes_max: 3,
        forgets_at_1000: false,
        forgets_at_failure: false,
        delay: (Duration::from_secs(1), Duration::from_secs(30)),
        delay_grows: true,
        patience: Patience {
            rest: Duration::from_secs(40),
            connect: Duration::from_secs(15),
            hello: Duration::from_secs(20),
            ready: Duration::from_secs(30),
        },
    };

    /// An upper bound of the time that a client with these habits allows itself at a heartbeat interval.
    pub fn allowances(&self, interval: Duration) -> Allowances {
        Allowances {
            // Silence that begins right after an ACK is met by a beat within I, and the last beat that may go without an ACK is
            // judged I after it.
            detect: (self.missed_max + 1) * interval + GRACE,
            connect: self.patience.connect + self.patience.rest,
            hello: self.patience.hello,
            ready: self.patience.ready,
            close: self.close_within,
            backoff: self.delay.1,
            identify: SPACING,
            op9: self.op9_wait.1,
        }
    }
}
