//! Work done on several threads, with its results in the order of the work.
//!
//! Threads take the next item, do it and hand the result back; which thread did what, and when, is not to be seen in what
//! comes out. An item may have to wait for another one; meanwhile threads take what need not wait. Threads are not waited for
//! for ever when the user wants an end: a run in real time may take minutes, and the process ends anyway.

use crate::net::Interrupt;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long what is under way may still take once the user wants an end: runs in virtual time are done by then, and in order.
pub const GRACE: Duration = Duration::from_millis(500);

/// How the work is done.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// On how many threads.
    pub jobs: usize,
    /// How long what is under way may still take once the user wants an end.
    pub grace: Duration,
}

/// One piece of work.
#[derive(Debug)]
pub struct Item<T> {
    /// What is to be done.
    pub work: T,
    /// The place of the item, before this one, that has to be done first.
    pub after: Option<usize>,
}

impl<T> From<T> for Item<T> {
    fn from(work: T) -> Self {
        Self { work, after: None }
    }
}

/// What is told of the work as it goes.
#[derive(Debug)]
pub enum News<'a, R> {
    /// An item was done: its place and what came of it.
    Done(usize, &'a R),
    /// The user wants an end, and what is under way is waited for: told once.
    Stopping,
}

/// What the threads share.
struct Shared<T, F> {
    items: Vec<Item<T>>,
    work: F,
    queue: Mutex<Queue>,
    /// Something was done, or nothing more is to be begun.
    changed: Condvar,
}

/// Which items are left.
struct Queue {
    /// Items that nobody has taken, in order.
    waiting: Vec<usize>,
    is_done: Vec<bool>,
}

impl<T, F> Shared<T, F> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nobody panics with the queue in hand.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first item that need not wait; `None` once there is nothing left to take. Every item waits for one before it, so
    /// that as long as any is left, one is ready or under way.
    fn take(&self) -> Option<usize> {
        let mut queue = self.queue();
        loop {
            if queue.waiting.is_empty() {
                return None;
            }
            let is_ready = |index: &usize| {
                let after = self.items[*index].after;
                after.is_none_or(|after| queue.is_done[after])
            };
            if let Some(place) = queue.waiting.iter().position(is_ready) {
                return Some(queue.waiting.remove(place));
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finished(&self, index: usize) {
        self.queue().is_done[index] = true;
        self.changed.notify_all();
    }

    /// Nothing from this item on is begun any more.
    fn end_at(&self, end: usize) {
        self.queue().waiting.retain(|index| *index < end);
        self.changed.notify_all();
    }
}

/// Does every item on some threads; `told` hears of each result as it comes, and may end the whole.
///
/// The results come in the order of the items. After `told` said break, they are those up to the first item for which it did,
/// without a gap; after `stop` turned true, those that were done in time.
///
/// # Panics
/// With the panic of the work, if it panics: that is a bug, and is not to be taken for a result. If an item is to wait for one
/// that is not before it.
pub fn run<T, R, F>(
    items: Vec<Item<T>>,
    way: Way,
    stop: &Interrupt,
    work: F,
    mut told: impl FnMut(News<'_, R>) -> ControlFlow<()>,
) -> Vec<R>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
    F: Fn(&T) -> R + Send + Sync + 'static,
{
    let total = items.len();
    for (index, item) in items.iter().enumerate() {
        assert!(
            item.after.is_none_or(|after| after < index),
            "item {index} waits for one behind it"
        );
    }
    let shared = Arc::new(Shared {
        items,
        work,
        queue: Mutex::new(Queue {
            waiting: (0..total).collect(),
            is_done: vec![false; total],
        }),
        changed: Condvar::new(),
    });
    let (to, from) = channel();
    for _ in 0..way.jobs.clamp(1, total.max(1)) {
        let (shared, to, stop) = (Arc::clone(&shared), to.clone(), stop.clone());
        thread::spawn(move || worker(&shared, &to, &stop));
    }
    drop(to);

    let mut results = BTreeMap::new();
    // One past the last item whose result counts.
    let mut end = total;
    let mut grace = way.grace;
    let mut is_stopping = false;
    loop {
        match from.recv_timeout(TICK) {
            Ok((_, Err(panic))) => resume_unwind(panic),
            Ok((index, Ok(result))) => {
                if told(News::Done(index, &result)).is_break() {
                    end = end.min(index + 1);
                    shared.end_at(end);
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
        if stop.is_raised() && !is_stopping {
            is_stopping = true;
            shared.end_at(0);
            let _ = told(News::Stopping);
        }
    }
    results.split_off(&end);
    results.into_values().collect()
}

type Done<R> = (usize, thread::Result<R>);

fn worker<T, R, F: Fn(&T) -> R>(shared: &Shared<T, F>, to: &Sender<Done<R>>, stop: &Interrupt) {
    // What ends because the user wants an end makes room for nothing else, known to the collector or not.
    while !stop.is_raised()
        && let Some(index) = shared.take()
    {
        // Nothing that the work touched is used after a panic: the collector raises it again.
        let work = || (shared.work)(&shared.items[index].work);
        let result = catch_unwind(AssertUnwindSafe(work));
        shared.finished(index);
        if to.send((index, result)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn on(jobs: usize) -> Way {
        Way { jobs, grace: GRACE }
    }

    fn free<T>(items: impl IntoIterator<Item = T>) -> Vec<Item<T>> {
        items.into_iter().map(Item::from).collect()
    }

    #[test]
    fn results_come_in_the_order_of_the_items_whatever_the_jobs() {
        for jobs in [1, 4, 100] {
            let go_on = |_: News<'_, usize>| ControlFlow::Continue(());
            let results = run(
                free(0..50),
                on(jobs),
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
            let until = |news: News<'_, usize>| {
                if matches!(news, News::Done(_, 7..)) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let results = run(
                free(0..50),
                on(jobs),
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
        let mut stopping = 0;
        let stop_at_once = |news: News<'_, usize>| {
            stopping += usize::from(matches!(news, News::Stopping));
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
        let results = run(free(0..10_000), on(1), &stop, work, stop_at_once);
        assert!(
            results == [0] || results == [0, 1],
            "only the second may have been under way: {results:?}"
        );
        assert_eq!(stopping, 1, "it is told once");
    }

    #[test]
    #[should_panic(expected = "our own bug")]
    fn a_panic_of_the_work_is_not_lost() {
        let go_on = |_: News<'_, ()>| ControlFlow::Continue(());
        run(
            free([1]),
            on(1),
            &Interrupt::default(),
            |_: &i32| panic!("our own bug"),
            go_on,
        );
    }

    #[test]
    fn no_items_are_no_results() {
        let go_on = |_: News<'_, ()>| ControlFlow::Continue(());
        assert!(
            run(
                Vec::<Item<i32>>::new(),
                on(4),
                &Interrupt::default(),
                |_| (),
                go_on
            )
            .is_empty()
        );
    }

    /// Two heads, and behind them items that wait for one of them.
    fn waiting() -> Vec<Item<usize>> {
        let item = |work: usize| Item {
            work,
            after: (work >= 2).then_some(work % 2),
        };
        (0..20).map(item).collect()
    }

    #[test]
    fn nothing_is_begun_before_what_it_waits_for_whatever_the_jobs() {
        for jobs in [1, 2, 3, 50] {
            let heads = [AtomicUsize::new(0), AtomicUsize::new(0)];
            let work = move |n: &usize| {
                if *n < 2 {
                    // Leave the others the time to begin too early.
                    for _ in 0..100 {
                        thread::yield_now();
                    }
                    heads[*n].store(1, Ordering::SeqCst);
                    1
                } else {
                    heads[n % 2].load(Ordering::SeqCst)
                }
            };
            let go_on = |_: News<'_, usize>| ControlFlow::Continue(());
            let seen = run(waiting(), on(jobs), &Interrupt::default(), work, go_on);
            assert_eq!(seen, vec![1; 20], "with {jobs} jobs");
        }
    }

    /// The first head does not end before an item of the second has: with a thread blocked behind the first it never would.
    #[test]
    fn what_waits_keeps_no_thread_from_what_need_not() {
        let others = Arc::new(AtomicUsize::new(0));
        let work = {
            let others = Arc::clone(&others);
            move |n: &usize| {
                if *n == 0 {
                    while others.load(Ordering::SeqCst) < 9 {
                        thread::yield_now();
                    }
                } else if n % 2 == 1 && *n > 1 {
                    others.fetch_add(1, Ordering::SeqCst);
                }
                *n
            }
        };
        let go_on = |_: News<'_, usize>| ControlFlow::Continue(());
        let results = run(waiting(), on(2), &Interrupt::default(), work, go_on);
        assert_eq!(results, (0..20).collect::<Vec<_>>());
    }

    /// Item 3 asks for an end while item 2 still waits for its head: it is done all the same.
    #[test]
    fn a_break_leaves_no_gap_where_items_wait() {
        let began = Arc::new(AtomicUsize::new(0));
        let work = {
            let began = Arc::clone(&began);
            move |n: &usize| {
                while *n == 0 && began.load(Ordering::SeqCst) == 0 {
                    thread::yield_now();
                }
                *n
            }
        };
        let until = |news: News<'_, usize>| {
            if matches!(news, News::Done(3, _)) {
                began.store(1, Ordering::SeqCst);
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let results = run(waiting(), on(2), &Interrupt::default(), work, until);
        assert_eq!(results, [0, 1, 2, 3]);
    }

    #[test]
    fn what_was_done_before_the_user_wanted_an_end_is_kept_though_it_is_no_beginning() {
        let stop = Interrupt::default();
        let wish = stop.clone();
        // The first head ends only when the user wants it; what waits for it is never begun.
        let work = move |n: &usize| {
            while *n == 0 && !wish.is_raised() {
                thread::yield_now();
            }
            *n
        };
        let mut seen = 0;
        let until = |news: News<'_, usize>| {
            seen += usize::from(matches!(news, News::Done(..)));
            if seen == 10 {
                stop.raise();
            }
            ControlFlow::Continue(())
        };
        let results = run(waiting(), on(2), &stop.clone(), work, until);
        let odd = (0..20).filter(|n| n % 2 == 1);
        assert_eq!(results, std::iter::once(0).chain(odd).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "item 0 waits for one behind it")]
    fn nothing_waits_for_what_comes_later() {
        let item = |after| Item { work: (), after };
        let go_on = |_: News<'_, ()>| ControlFlow::Continue(());
        let items = vec![item(Some(1)), item(None)];
        run(items, on(1), &Interrupt::default(), |()| (), go_on);
    }
}
