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
//! What a schedule does to bytes on their way but no byte of them is its [`Shape`]. A link without one pays nothing for it.
//!
//! A link owns no timer. It says when something arrives next, and the engine asks again then.

use crate::seed::Draw;
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

/// How bytes come, where they do not simply come after the latency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// By how much each piece comes later at most, drawn for each; zero for none.
    pub jitter: Duration,
    /// How many bytes come in a second; `None` for any number.
    pub rate: Option<u32>,
    /// How many bytes a piece has at most; `None` for any number.
    pub size: Option<u32>,
}

impl Shape {
    /// Bytes that simply come.
    pub const NONE: Self = Self {
        jitter: Duration::ZERO,
        rate: None,
        size: None,
    };

    /// How long a number of bytes takes.
    fn time_of(self, bytes: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(bytes as u64) / rate.max(1)
        })
    }

    /// How many bytes travel as one piece.
    fn piece(self) -> usize {
        let size = self.size.unwrap_or(u32::MAX);
        // Bytes on a slow line trickle, and do not come all at once when the last of them is there.
        let trickle = (self.rate).map_or(u32::MAX, |rate| (rate / TRICKLE).max(TRICKLE_MIN));
        size.min(trickle).max(1) as usize
    }
}

/// In how many pieces comes what a slow line carries in a second.
const TRICKLE: u32 = 20;
/// The fewest bytes of such a piece: tungstenite takes an upgrade that comes in many smaller ones for an attack.
const TRICKLE_MIN: u32 = 16;

/// A shape at work.
#[derive(Debug)]
struct Shaping {
    shape: Shape,
    draw: Draw,
    /// When the line has carried what was put in.
    free_at: Instant,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Link {
    latency: Duration,
    extra: Duration,
    /// `None` while bytes simply come.
    shaping: Option<Box<Shaping>>,
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
            shaping: None,
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
            && self.shaping.is_none()
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
        match (&mut self.shaping, chunk) {
            (Some(shaping), Chunk::Bytes(bytes)) => {
                let shape = shaping.shape;
                for piece in bytes.chunks(shape.piece()) {
                    let Some(shaping) = &mut self.shaping else {
                        return;
                    };
                    let carried = shaping.free_at.max(now) + shape.time_of(piece.len());
                    shaping.free_at = carried;
                    let at = carried + shaping.draw.part_of(shape.jitter);
                    let (at, is_swallowed) = self.arrival(at);
                    let chunk = Chunk::Bytes(piece.to_vec());
                    let arrival = Arrival {
                        chunk,
                        is_swallowed,
                    };
                    self.in_flight.push_back((at, arrival));
                }
            }
            (_, chunk) => self.push_whole(now, chunk),
        }
    }

    /// When what leaves at a time arrives, behind all that was put in before, and whether it is lost.
    fn arrival(&self, leaves: Instant) -> (Instant, bool) {
        let last = self.in_flight.back().map_or(Instant::ZERO, |(at, _)| *at);
        let at = match self.course {
            Course::Held => Instant::FOREVER,
            Course::Open | Course::Silent => last.max(leaves + self.latency + self.extra),
        };
        (at, self.is_silent())
    }

    fn push_whole(&mut self, now: Instant, chunk: Chunk) {
        let (at, is_swallowed) = self.arrival(now);
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

    /// From now on what is put in comes in this shape. What a slower line still had to carry comes after the latency.
    pub fn shape(&mut self, now: Instant, shape: Shape, draw: &mut Draw) {
        if shape == Shape::NONE {
            self.shaping = None;
        } else if let Some(shaping) = &mut self.shaping {
            (shaping.shape, shaping.free_at) = (shape, now);
        } else {
            self.shaping = Some(Box::new(Shaping {
                shape,
                draw: draw.fork(),
                free_at: now,
            }));
        }
        let at = now + self.latency + self.extra;
        for (arrives, _) in &mut self.in_flight {
            if *arrives != Instant::FOREVER {
                *arrives = at.min(*arrives);
            }
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
    use crate::seed::{Seed, Stream};

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

    fn draw() -> Draw {
        Seed(1).stream(Stream::Bytes)
    }

    /// When each arrival came, in ms, and its bytes.
    fn drained(link: &mut Link) -> Vec<(u128, String)> {
        std::iter::from_fn(|| {
            let at = link.next_arrival()?;
            let arrival = link.pop(at)?;
            let text = match arrival.chunk {
                Chunk::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
                Chunk::Fin => "FIN".to_owned(),
                Chunk::Rst => "RST".to_owned(),
            };
            Some((at.since(Instant::ZERO).as_millis(), text))
        })
        .collect()
    }

    fn seen(arrivals: &[(u128, &str)]) -> Vec<(u128, String)> {
        let own = |(at, text): &(u128, &str)| (*at, (*text).to_owned());
        arrivals.iter().map(own).collect()
    }

    #[test]
    fn sliced_bytes_are_handed_on_one_piece_after_the_other() {
        let mut link = Link::new(10 * MS);
        let size = Some(2);
        link.shape(
            at(0),
            Shape {
                size,
                ..Shape::NONE
            },
            &mut draw(),
        );
        link.push(at(0), bytes("abcde"));
        link.push(at(0), Chunk::Fin);
        let expected = [(10, "ab"), (10, "cd"), (10, "e"), (10, "FIN")];
        assert_eq!(drained(&mut link), seen(&expected));
    }

    #[test]
    fn a_slow_line_carries_its_rate_and_not_more() {
        let mut link = Link::new(10 * MS);
        let rate = Some(400);
        link.shape(
            at(0),
            Shape {
                rate,
                ..Shape::NONE
            },
            &mut draw(),
        );
        let [ten, twenty] = ["0123456789", "ABCDEFGHIJKLMNOPQRST"];
        link.push(at(0), bytes(&twenty.repeat(2)));
        link.push(at(100), bytes(ten));
        // Twenty bytes are a twentieth of a second's: fifty milliseconds.
        assert_eq!(
            drained(&mut link),
            seen(&[(60, twenty), (110, twenty), (135, ten)])
        );
        link.push(at(500), bytes(&twenty.repeat(3)));
        link.shape(at(520), Shape::NONE, &mut draw());
        link.push(at(520), bytes("g"));
        let last = twenty.to_owned() + "g";
        let expected = [(530, twenty), (530, twenty), (530, &last)];
        assert_eq!(
            drained(&mut link),
            seen(&expected),
            "the rest does not wait"
        );
    }

    #[test]
    fn jitter_delays_each_piece_by_its_own_time_and_keeps_the_order() {
        let mut link = Link::new(10 * MS);
        let jitter = 50 * MS;
        link.shape(
            at(0),
            Shape {
                jitter,
                ..Shape::NONE
            },
            &mut draw(),
        );
        for n in 0..40 {
            link.push(at(20 * n), bytes(&n.to_string()));
        }
        let came = drained(&mut link);
        let (times, texts): (Vec<u128>, Vec<String>) = came.into_iter().unzip();
        let in_order: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        assert_eq!(texts, in_order);
        let late: Vec<u128> = (0..).zip(&times).map(|(n, at)| at - 20 * n - 10).collect();
        assert!(late.iter().all(|late| *late <= 50), "{late:?}");
        assert!(late.iter().any(|one| *one != late[0]), "{late:?}");
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
        link.slow(Duration::ZERO);
        let size = Some(1);
        link.shape(
            at(2),
            Shape {
                size,
                ..Shape::NONE
            },
            &mut draw(),
        );
        assert!(!link.is_instant());
        link.shape(at(3), Shape::NONE, &mut draw());
        assert!(link.is_instant());
    }
}
