//! How long the client waits before it tries again.
//!
//! Used by the lifecycle alone, which says what happened; the delays come from here. They grow with every
//! connection that did not last, whatever it had reached: a server that takes a connection, or even a
//! session, only to drop it is as broken as one that refuses. Only a session that has proved itself
//! ([`Backoff::settle`]) brings the first, short delay back. No transitions, no clock: jitter is drawn from
//! the stream that is passed in.

use crate::seed::Draw;
use crate::time::Duration;

/// How the delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Config {
    /// The longest delay after a session that had proved itself: its first reconnect is made almost at once.
    pub first: Duration,
    /// The longest delay after that; each further one may be twice as long.
    pub base: Duration,
    /// The longest delay of all.
    pub max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// The longest delay that can come out.
    pub fn longest(&self) -> Duration {
        self.max.max(self.first)
    }
}

/// What went wrong in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: Config,
    /// Connections in a row that did not prove themselves.
    step: u32,
    /// Attempts in a row that did not reach READY or RESUMED.
    failed: u32,
}

impl Backoff {
    /// Nothing went wrong yet.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            step: 0,
            failed: 0,
        }
    }

    /// READY or RESUMED came. It ends a row of failed attempts, and does not shorten the delays.
    pub const fn reach(&mut self) {
        self.failed = 0;
    }

    /// The session has lived long enough to start again with the first delay.
    pub const fn settle(&mut self) {
        self.step = 0;
    }

    /// An attempt did not reach READY or RESUMED; how many that makes in a row.
    pub const fn fail(&mut self) -> u32 {
        self.failed = self.failed.saturating_add(1);
        self.failed
    }

    /// How long to wait now. The next delay will be longer.
    pub fn delay(&mut self, draw: &mut Draw) -> Duration {
        let step = self.step;
        self.step = step.saturating_add(1);
        let Some(doublings) = step.checked_sub(1) else {
            // Not zero: what was sent on the old connection should arrive before the new one does.
            return draw.duration(self.config.first / 5, self.config.first);
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let most = self.config.base.saturating_mul(factor).min(self.config.max);
        draw.duration(most / 2, most)
    }

    /// A delay that a server asked for, as far as the client goes along with it.
    pub fn heed(&self, asked: Duration) -> Duration {
        asked.min(self.config.longest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    fn delays(backoff: &mut Backoff, seed: u64, n: usize) -> Vec<Duration> {
        let mut draw = Seed(seed).stream(Stream::Subject);
        (0..n).map(|_| backoff.delay(&mut draw)).collect()
    }

    #[test]
    fn delays_double_up_to_the_cap_and_keep_half_of_it_as_jitter() {
        let ms = Duration::from_millis;
        let bounds = [
            (ms(50), ms(250)),
            (ms(500), ms(1_000)),
            (ms(1_000), ms(2_000)),
            (ms(2_000), ms(4_000)),
            (ms(4_000), ms(8_000)),
            (ms(8_000), ms(16_000)),
            (ms(15_000), ms(30_000)),
            (ms(15_000), ms(30_000)),
        ];
        for seed in 0..200 {
            let mut backoff = Backoff::new(Config::default());
            for (delay, (min, max)) in delays(&mut backoff, seed, 8).into_iter().zip(bounds) {
                assert!((min..=max).contains(&delay), "seed {seed}: {delay:?}");
            }
        }
    }

    #[test]
    fn clients_with_other_seeds_do_not_move_in_lockstep() {
        let of = |seed| delays(&mut Backoff::new(Config::default()), seed, 5);
        assert!(of(1).iter().zip(of(2)).all(|(one, other)| *one != other));
    }

    #[test]
    fn a_thousand_failures_still_come_to_the_cap() {
        let mut backoff = Backoff::new(Config::default());
        let last = delays(&mut backoff, 7, 1000)[999];
        assert!(last <= Config::default().max, "{last:?}");
    }

    #[test]
    fn reaching_a_session_ends_the_row_but_only_a_settled_one_shortens_the_delay() {
        let mut backoff = Backoff::new(Config::default());
        delays(&mut backoff, 3, 4);
        assert_eq!((backoff.fail(), backoff.fail()), (1, 2));
        backoff.reach();
        assert_eq!(backoff.fail(), 1);
        assert!(delays(&mut backoff, 3, 1)[0] >= Duration::from_secs(4));
        backoff.settle();
        assert!(delays(&mut backoff, 3, 1)[0] <= Duration::from_millis(250));
    }

    #[test]
    fn a_server_may_ask_for_a_delay_up_to_the_cap() {
        let backoff = Backoff::new(Config::default());
        let secs = Duration::from_secs;
        assert_eq!(backoff.heed(secs(7)), secs(7));
        assert_eq!(backoff.heed(secs(7_000)), secs(30));
    }
}
