//! One direction of a connection's way through the network: latency, bytes in flight, silence.
//!
//! Pure. The gateway's end of every connection owns two of these and puts them between its socket and its codec, in virtual
//! time over a pipe and in real time over TCP alike, so that both have the same outages:
//!
//! ```text
//!   subject ── socket ──┬─▶ Link (to-gateway) ──▶ codec ──▶ gateway
//!                       └─◀ Link (to-subject) ◀── codec ◀──
//! ```
//!
//! A link owns no timer. It says when something arrives next, and the engine asks again then.

use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The end of all bytes.
    Fin,
    /// The end of the connection.
    Rst,
}

/// What a link does with what is put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It arrives after the latency.
    Open,
    /// It waits.
    Held,
    /// It is lost: the far end of the link never acts on it.
    Silent,
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// What it is.
    pub chunk: Chunk,
    /// Whether it was put in while the link was silent: it is told so that it can be traced, and must not be acted on.
    pub is_swallowed: bool,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Link {
    latency: Duration,
    extra: Duration,
    course: Course,
    /// In order of arrival; what is held stands behind all that is not.
    in_flight: VecDeque<(Instant, Arrival)>,
}

impl Link {
    /// A link with a latency; bytes never overtake each other.
    pub fn new(latency: Duration) -> Self {
        Self {
            latency,
            extra: Duration::ZERO,
            course: Course::Open,
            in_flight: VecDeque::new(),
        }
    }

    /// Whether what is put in now would arrive now, unchanged: then it need not be put in at all.
    pub fn is_instant(&self) -> bool {
        self.in_flight.is_empty()
            && self.course == Course::Open
            && self.latency.is_zero()
            && self.extra.is_zero()
    }

    /// Whether what is put in now is lost.
    pub fn is_silent(&self) -> bool {
        self.course == Course::Silent
    }

    /// Whether what is put in now waits for [`Link::release`].
    pub fn is_held(&self) -> bool {
        self.course == Course::Held
    }

    /// Puts something in.
    pub fn push(&mut self, now: Instant, chunk: Chunk) {
        let last = self.in_flight.back().map_or(Instant::ZERO, |(at, _)| *at);
        let at = match self.course {
            Course::Held => Instant::FOREVER,
            Course::Open | Course::Silent => last.max(now + self.latency + self.extra),
        };
        let is_swallowed = self.is_silent();
        // What is written at one instant travels as one piece.
        if let (Chunk::Bytes(more), Some((back, arrival))) = (&chunk, self.in_flight.back_mut())
            && let Arrival {
                chunk: Chunk::Bytes(bytes),
                is_swallowed: back_is,
            } = arrival
            && (*back, *back_is) == (at, is_swallowed)
        {
            bytes.extend_from_slice(more);
            return;
        }
        self.in_flight.push_back((
            at,
            Arrival {
                chunk,
                is_swallowed,
            },
        ));
    }

    /// When the next arrival is due.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight
            .front()
            .map(|(at, _)| *at)
            .filter(|at| *at != Instant::FOREVER)
    }

    /// What has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Arrival> {
        self.in_flight
            .pop_front_if(|(at, _)| *at <= now)
            .map(|(_, arrival)| arrival)
    }

    /// From now on what is put in is lost; what is in flight, or held, is lost as well, since a dead line keeps nothing. What
    /// was held is told of at once: nobody will release it, and what is put in behind it must not wait for that.
    pub fn silence(&mut self, now: Instant) {
        self.course = Course::Silent;
        let mut last = now;
        for (at, arrival) in &mut self.in_flight {
            if *at == Instant::FOREVER {
                *at = last;
            }
            last = last.max(*at);
            arrival.is_swallowed = true;
        }
    }

    /// From now on what is put in is lost; what is in flight arrives. For what was already told as being on its way.
    pub fn cut(&mut self) {
        self.course = Course::Silent;
    }

    /// From now on what is put in waits for [`Link::release`]. A silent link stays silent.
    pub fn hold(&mut self) {
        if self.course == Course::Open {
            self.course = Course::Held;
        }
    }

    /// What waits arrives after the latency, in order, and the link is open again. A silent link stays silent.
    pub fn release(&mut self, now: Instant) {
        if self.course != Course::Held {
            return;
        }
        self.course = Course::Open;
        let at = now + self.latency + self.extra;
        for (held, _) in self
            .in_flight
            .iter_mut()
            .filter(|(at, _)| *at == Instant::FOREVER)
        {
            *held = at;
        }
    }

    /// From now on everything takes this much longer.
    pub fn slow(&mut self, by: Duration) {
        self.extra = by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Instant {
        Instant::ZERO + MS * ms
    }

    fn bytes(text: &str) -> Chunk {
        Chunk::Bytes(text.as_bytes().to_vec())
    }

    fn arrived(chunk: Chunk) -> Arrival {
        Arrival {
            chunk,
            is_swallowed: false,
        }
    }

    #[test]
    fn bytes_arrive_after_the_latency_and_in_order() {
        let mut link = Link::new(10 * MS);
        link.push(at(0), bytes("a"));
        link.slow(5 * MS);
        link.push(at(1), bytes("b"));
        link.slow(Duration::ZERO);
        link.push(at(2), Chunk::Fin);
        assert_eq!(link.next_arrival(), Some(at(10)));
        assert_eq!(link.pop(at(9)), None);
        assert_eq!(link.pop(at(10)), Some(arrived(bytes("a"))));
        assert_eq!(link.next_arrival(), Some(at(16)));
        assert_eq!(link.pop(at(16)), Some(arrived(bytes("b"))));
        assert_eq!(
            link.pop(at(16)),
            Some(arrived(Chunk::Fin)),
            "a FIN does not overtake the bytes before it"
        );
    }

    #[test]
    fn what_is_written_at_one_instant_travels_as_one_piece() {
        let mut link = Link::new(MS);
        link.push(at(0), bytes("a"));
        link.push(at(0), bytes("b"));
        assert_eq!(link.pop(at(1)), Some(arrived(bytes("ab"))));
    }

    #[test]
    fn a_silent_link_loses_what_is_in_flight_and_what_follows() {
        let mut link = Link::new(10 * MS);
        link.push(at(0), bytes("a"));
        link.silence(at(0));
        link.push(at(1), Chunk::Rst);
        link.release(at(2));
        assert_eq!(
            link.pop(at(10)),
            Some(Arrival {
                chunk: bytes("a"),
                is_swallowed: true
            })
        );
        assert_eq!(
            link.pop(at(11)),
            Some(Arrival {
                chunk: Chunk::Rst,
                is_swallowed: true
            })
        );
    }

    #[test]
    fn a_link_that_is_cut_lets_arrive_what_was_on_its_way() {
        let mut link = Link::new(10 * MS);
        link.push(at(0), bytes("a"));
        link.cut();
        link.push(at(1), bytes("b"));
        assert_eq!(link.pop(at(10)), Some(arrived(bytes("a"))));
        assert!(link.pop(at(11)).is_some_and(|arrival| arrival.is_swallowed));
    }

    #[test]
    fn what_is_held_arrives_in_order_once_it_is_released() {
        let mut link = Link::new(10 * MS);
        link.push(at(0), bytes("a"));
        link.hold();
        link.push(at(1), bytes("b"));
        link.push(at(2), Chunk::Fin);
        assert_eq!(link.pop(at(10)), Some(arrived(bytes("a"))));
        assert_eq!(link.next_arrival(), None);
        link.release(at(50));
        link.push(at(50), bytes("c"));
        assert_eq!(link.next_arrival(), Some(at(60)));
        assert_eq!(link.pop(at(60)), Some(arrived(bytes("b"))));
        assert_eq!(link.pop(at(60)), Some(arrived(Chunk::Fin)));
        assert_eq!(link.pop(at(60)), Some(arrived(bytes("c"))));
    }

    #[test]
    fn a_link_without_latency_is_instant_while_nothing_is_wrong() {
        let mut link = Link::new(Duration::ZERO);
        assert!(link.is_instant());
        link.hold();
        assert!(!link.is_instant());
        link.release(at(1));
        assert!(link.is_instant());
        link.slow(MS);
        assert!(!link.is_instant());
    }
}
