//! Work done on several threads, with its results in the order of the work.
//!
//! Threads take the next item, do it and hand the result back; which thread did what, and when, is not to be seen in what
//! comes out. Threads are not waited for when the user wants an end: a run in real time may take minutes, and the process
//! ends anyway.

use crate::net::Interrupt;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long what is under way may still take once the user wants an end: runs in virtual time are done by then, and in order.
const GRACE: Duration = Duration::from_millis(500);

/// What the threads share.
struct Shared<T, F> {
    items: Vec<T>,
    work: F,
    /// The item that is taken next; beyond the last one, nobody takes any.
    next: AtomicUsize,
}

/// Does every item on `jobs` threads; `done` is told of each result as it comes and may end the whole.
///
/// The results are those of the first items, in order and without a gap: after `done` said break, those up to the first item
/// for which it did; after `stop` turned true, those up to the first that was not done in time.
///
/// # Panics
/// With the panic of the work, if it panics: that is a bug, and is not to be taken for a result.
pub fn run<T, R, F>(
    items: Vec<T>,
    jobs: usize,
    stop: &Interrupt,
    work: F,
    mut done: impl FnMut(&R) -> ControlFlow<()>,
) -> Vec<R>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
    F: Fn(&T) -> R + Send + Sync + 'static,
{
    let total = items.len();
    let shared = Arc::new(Shared {
        items,
        work,
        next: AtomicUsize::new(0),
    });
    let (to, from) = channel();
    for _ in 0..jobs.clamp(1, total.max(1)) {
        let (shared, to) = (Arc::clone(&shared), to.clone());
        thread::spawn(move || worker(&shared, &to));
    }
    drop(to);

    let mut results = BTreeMap::new();
    // One past the last item whose result counts.
    let mut end = total;
    let mut grace = GRACE;
    loop {
        match from.recv_timeout(TICK) {
            Ok((_, Err(panic))) => resume_unwind(panic),
            Ok((index, Ok(result))) => {
                if done(&result).is_break() {
                    // Items are taken in order, so that everything before this one is done or under way.
                    end = end.min(index + 1);
                    shared.next.store(total, Ordering::Relaxed);
                }
                results.insert(index, result);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if stop.is_raised() => {
                grace = grace.saturating_sub(TICK);
                if grace.is_zero() {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.is_raised() {
            shared.next.store(total, Ordering::Relaxed);
        }
    }
    let in_order = results.into_iter().enumerate();
    in_order
        .take_while(|(place, (index, _))| place == index && *index < end)
        .map(|(_, (_, result))| result)
        .collect()
}

type Done<R> = (usize, thread::Result<R>);

fn worker<T, R, F: Fn(&T) -> R>(shared: &Shared<T, F>, to: &Sender<Done<R>>) {
    loop {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = shared.items.get(index) else {
            return;
        };
        // Nothing that the work touched is used after a panic: the collector raises it again.
        let result = catch_unwind(AssertUnwindSafe(|| (shared.work)(item)));
        if to.send((index, result)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_whatever_the_jobs() {
        for jobs in [1, 4, 100] {
            let go_on = |_: &usize| ControlFlow::Continue(());
            let results = run(
                (0..50).collect(),
                jobs,
                &Interrupt::default(),
                |n: &usize| n * 2,
                go_on,
            );
            assert_eq!(results, (0..50).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_break_keeps_the_items_up_to_the_first_that_asked_for_it() {
        for jobs in [1, 4] {
            let until = |n: &usize| {
                if *n >= 7 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let results = run(
                (0..50).collect(),
                jobs,
                &Interrupt::default(),
                |n: &usize| *n,
                until,
            );
            assert_eq!(results, (0..=7).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_begun_once_the_user_wants_an_end() {
        let stop = Interrupt::default();
        let stop_at_once = |_: &usize| {
            stop.raise();
            ControlFlow::Continue(())
        };
        // The work of every item after the first waits until the stop is known.
        let wish = stop.clone();
        let work = move |n: &usize| {
            while *n > 0 && !wish.is_raised() {
                thread::yield_now();
            }
            *n
        };
        let results = run((0..1_000_000).collect(), 1, &stop, work, stop_at_once);
        assert!(results.len() < 1_000_000);
        assert_eq!(results, (0..results.len()).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "our own bug")]
    fn a_panic_of_the_work_is_not_lost() {
        let go_on = |(): &()| ControlFlow::Continue(());
        run(
            vec![1],
            1,
            &Interrupt::default(),
            |_: &i32| panic!("our own bug"),
            go_on,
        );
    }

    #[test]
    fn no_items_are_no_results() {
        let go_on = |(): &()| ControlFlow::Continue(());
        assert!(run(Vec::<i32>::new(), 4, &Interrupt::default(), |_| (), go_on).is_empty());
    }
}
