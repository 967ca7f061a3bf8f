//! Who may run beside whom: most runs go side by side, and some have to be alone.
//!
//! Who has to be alone waits until nobody runs and nobody new begins, which is when all the others are done: a run that is
//! repeated holds up none that was not made yet.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often somebody who waits to be alone looks whether that is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The turns on one machine.
#[derive(Debug, Default)]
pub(super) struct Turns {
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    together: usize,
    is_alone: bool,
}

/// A turn beside others; over when it is dropped.
#[derive(Debug)]
pub(super) struct Together<'a>(&'a Turns);

/// A turn alone; over when it is dropped.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Turns);

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn beside others, as soon as nobody is alone.
    pub(super) fn together(&self) -> Together<'_> {
        let mut running = self.lock();
        while running.is_alone {
            let woken = self.changed.wait(running);
            running = woken.unwrap_or_else(PoisonError::into_inner);
        }
        running.together += 1;
        Together(self)
    }

    /// Takes a turn alone, as soon as nobody runs; none if it is not wanted any more by then.
    pub(super) fn alone(&self, is_wanted: impl Fn() -> bool) -> Option<Alone<'_>> {
        let mut running = self.lock();
        while is_wanted() {
            if running.together == 0 && !running.is_alone {
                running.is_alone = true;
                return Some(Alone(self));
            }
            let woken = self.changed.wait_timeout(running, LOOK);
            running = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        self.0.lock().together -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.lock().is_alone = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn who_waits_to_be_alone_holds_up_nobody() {
        let turns = Turns::default();
        let first = turns.together();
        assert!(turns.alone(|| false).is_none());
        // Somebody asks to be alone, and another begins beside the first all the same.
        let asked = AtomicUsize::new(0);
        let asks = || asked.fetch_add(1, Ordering::Relaxed) < 3;
        assert!(turns.alone(asks).is_none(), "somebody runs all the time");
        let second = turns.together();
        drop((first, second));
        assert!(turns.alone(|| true).is_some());
    }

    #[test]
    fn nobody_runs_beside_who_is_alone() {
        let turns = Turns::default();
        let alone = turns.alone(|| true).expect("nobody runs");
        let looked = AtomicUsize::new(0);
        let looks = || looked.fetch_add(1, Ordering::Relaxed) < 2;
        assert!(turns.alone(looks).is_none());
        drop(alone);
        drop(turns.together());
        assert!(turns.alone(|| true).is_some());
    }
}
