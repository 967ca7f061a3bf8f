//! The timers of one machine: which are armed, and which is due next.

use crate::machine::Timer;
use crate::time::Instant;

/// Armed timers, few at a time: a sorted list beats a tree. Timers that are due together fire in the order of arming.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The soonest last, so that it is popped without moving the others.
    armed: Vec<(Instant, Timer)>,
}

impl Timers {
    /// Arms a timer, or moves it.
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.disarm(timer);
        let place = self.armed.partition_point(|(other, _)| *other > at);
        // Before those that are due at the same time and were armed earlier: they are nearer to the end.
        self.armed.insert(place, (at, timer));
    }

    /// Disarms a timer, armed or not.
    pub(super) fn disarm(&mut self, timer: Timer) {
        if let Some(place) = self.armed.iter().rposition(|(_, other)| *other == timer) {
            self.armed.remove(place);
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.armed.last().map(|(at, _)| *at)
    }

    /// The next one that is due by `now`, and when it was.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        self.armed.pop_if(|(at, _)| *at <= now)
    }

    /// How many are armed.
    pub(super) fn count(&self) -> usize {
        self.armed.len()
    }

    /// Disarms all.
    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Instant {
        Instant::from_nanos(n)
    }

    fn timer(number: u32) -> Timer {
        Timer {
            name: "test",
            number,
        }
    }

    #[test]
    fn timers_fire_by_time_and_then_in_the_order_of_arming() {
        let mut timers = Timers::default();
        for (number, due) in [(1, 5), (2, 3), (3, 5), (4, 5)] {
            timers.arm(timer(number), at(due));
        }
        timers.arm(timer(3), at(5));
        timers.disarm(timer(9));
        assert_eq!(timers.next(), Some(at(3)));
        let mut fired = Vec::new();
        while let Some((_, timer)) = timers.pop(at(5)) {
            fired.push(timer.number);
        }
        assert_eq!(fired, [2, 1, 4, 3]);
        assert_eq!(timers.pop(at(9)), None);
    }
}
