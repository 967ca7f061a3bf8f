//! Wake flags: which sockets have something to do.
//!
//! Every socket is polled with a waker of its own. Waking it puts its key into a queue, once, and rouses the driver if it
//! sleeps. The driver polls what is in the queue and nothing else; it is quiet when both queues are empty, which is not the
//! same as "every poll was pending": a handshake writes bytes and returns pending.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The gateway's end of a connection, by its token.
    Gateway(u32),
    /// The subject's end of a connection, by its machine's id.
    Subject(u32),
    /// The supervisor of a program.
    Program,
    /// Whatever the wall clock's helpers (listeners, REST) have for the driver.
    Outside,
}

/// The sockets that have been woken, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    woken: Mutex<Woken>,
    /// How many there are, so that the driver, which asks after every single thing that it does, need not lock in vain.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Woken {
    gateway: VecDeque<Arc<Flag>>,
    others: VecDeque<Arc<Flag>>,
    /// The driver, while it sleeps.
    driver: Option<Waker>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next socket that has something to do; the gateway's come first. Its flag is down again when it is returned.
    pub(super) fn pop(&self) -> Option<Key> {
        // Of what another thread puts in at this moment the driver is told before it sleeps.
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut woken = self.lock();
        let flag = woken.gateway.pop_front();
        let flag = flag.or_else(|| woken.others.pop_front())?;
        self.count.fetch_sub(1, Ordering::Release);
        drop(woken);
        flag.is_up.store(false, Ordering::Release);
        Some(flag.key)
    }

    /// Ready once a socket has been woken.
    pub(super) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut woken = self.lock();
        if woken.gateway.is_empty() && woken.others.is_empty() {
            woken.driver = Some(cx.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// One socket's flag.
#[derive(Debug)]
struct Flag {
    key: Key,
    is_up: AtomicBool,
    queue: Arc<Queue>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self.queue.lock();
        match self.key {
            Key::Gateway(_) => woken.gateway.push_back(Arc::clone(self)),
            Key::Subject(_) | Key::Program | Key::Outside => {
                woken.others.push_back(Arc::clone(self));
            }
        }
        self.queue.count.fetch_add(1, Ordering::Release);
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// A waker that raises the flag of one socket; the flag is up from the beginning, so that a new socket is polled once.
pub(super) fn waker(key: Key, queue: &Arc<Queue>) -> Waker {
    let flag = Arc::new(Flag {
        key,
        is_up: AtomicBool::new(false),
        queue: Arc::clone(queue),
    });
    flag.wake_by_ref();
    Waker::from(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_woken_twice_is_polled_once_and_gateways_come_first() {
        let queue = Arc::new(Queue::default());
        let subject = waker(Key::Subject(1), &queue);
        let gateway = waker(Key::Gateway(1), &queue);
        subject.wake_by_ref();
        assert_eq!(queue.pop(), Some(Key::Gateway(1)));
        assert_eq!(queue.pop(), Some(Key::Subject(1)));
        assert_eq!(queue.pop(), None);
        gateway.wake_by_ref();
        assert_eq!(queue.pop(), Some(Key::Gateway(1)));
        assert_eq!(queue.pop(), None);
    }
}
