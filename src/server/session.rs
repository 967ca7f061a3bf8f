//! One session of the fake gateway: its id, its sequence numbers and what it can replay.
//!
//! A session outlives its connections. It numbers every dispatch and keeps the latest of them, so that a client that comes
//! back gets what it missed, or learns that this is no longer possible (Discord, "Resuming"). What leads from being on a
//! connection to being away from one, and to the session's end, is decided in [`super::gateway`].

use super::payload::Place;
use crate::protocol::{EventName, Json, ServerFrame, Shard, Token};
use crate::time::Instant;
use std::collections::VecDeque;
use thiserror::Error;

/// How many dispatches a session can replay. Discord does not say; a tenth of it was seen for small bots in 2016, and
/// several thousand for large ones (PROTOCOL §6).
pub const REPLAY_MAX: usize = 1000;

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// On a connection: what is dispatched is sent there.
    On {
        /// Its number.
        connection: u32,
    },
    /// On none: what is dispatched is only kept.
    Away {
        /// When the session ends unless it is resumed.
        until: Instant,
    },
}

/// A dispatch that can be sent again.
#[derive(Debug, Clone)]
struct Kept {
    s: u64,
    t: EventName,
    d: Json,
}

/// Why a session cannot be taken up at a sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The session has never come that far.
    #[error("the session is at {last}, expected no more than that: {seq}")]
    Ahead {
        /// What was asked for.
        seq: u64,
        /// The session's last.
        last: u64,
    },
    /// Something that followed it is no longer kept.
    #[error("the session replays from {first} on, expected no less than that: {seq}")]
    Gone {
        /// What was asked for.
        seq: u64,
        /// The first that would do.
        first: u64,
    },
}

/// Discord's resumable session, as the gateway keeps it.
#[derive(Debug)]
pub struct Session {
    id: String,
    token: Token,
    shard: Option<Shard>,
    place: Place,
    last: u64,
    /// The last number that cannot be replayed; zero while all can be.
    gone: u64,
    /// In order of their numbers, at most [`REPLAY_MAX`].
    kept: VecDeque<Kept>,
    pub(super) whereabouts: Whereabouts,
    pub(super) compresses: bool,
}

impl Session {
    /// A session that has sent nothing yet, on the connection that asked for it.
    pub fn new(id: String, token: Token, shard: Option<Shard>, connection: u32) -> Self {
        Self {
            id,
            token,
            shard,
            place: Place::of(shard),
            last: 0,
            gone: 0,
            kept: VecDeque::new(),
            whereabouts: Whereabouts::On { connection },
            compresses: false,
        }
    }

    /// Its id, as READY says it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The token that it was begun with.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The shard that its IDENTIFY named; `None` if it named none.
    pub const fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Its guild and channel.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The last sequence number that was given out; zero before READY.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Where it is.
    pub const fn whereabouts(&self) -> Whereabouts {
        self.whereabouts
    }

    /// Whether its IDENTIFY asked for payload compression. RESUME has no such key: what was asked for holds on every connection
    /// of the session.
    pub const fn compresses(&self) -> bool {
        self.compresses
    }

    /// The next dispatch, which can be replayed.
    pub fn dispatch(&mut self, t: EventName, d: Json) -> ServerFrame {
        self.last += 1;
        if self.kept.len() == REPLAY_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.gone = oldest.s;
        }
        let s = self.last;
        self.kept.push_back(Kept {
            s,
            t: t.clone(),
            d: d.clone(),
        });
        ServerFrame::dispatch(t, s, d)
    }

    /// Leaves out as many numbers: a gap in which nothing was, and behind which the session goes on.
    pub fn skip(&mut self, count: u32) {
        self.last += u64::from(count);
    }

    /// READY: the first dispatch. It is never replayed, so that a session that is taken up has to have got it.
    pub fn ready(&mut self, d: Json) -> ServerFrame {
        self.last += 1;
        self.gone = self.last;
        ServerFrame::dispatch("READY", self.last, d)
    }

    /// RESUMED: it has a number of its own and is never replayed, being about one connection only. A client that comes back
    /// may name its number or the one before, and misses nothing either way.
    pub fn resumed(&mut self, d: Json) -> ServerFrame {
        self.last += 1;
        ServerFrame::dispatch("RESUMED", self.last, d)
    }

    /// Everything that was dispatched after `seq`, in order.
    pub fn replay(
        &self,
        seq: u64,
    ) -> Result<impl ExactSizeIterator<Item = ServerFrame>, ReplayError> {
        if seq > self.last {
            return Err(ReplayError::Ahead {
                seq,
                last: self.last,
            });
        }
        if seq < self.gone {
            return Err(ReplayError::Gone {
                seq,
                first: self.gone,
            });
        }
        let start = self.kept.partition_point(|kept| kept.s <= seq);
        Ok(self
            .kept
            .range(start..)
            .map(|kept| ServerFrame::dispatch(kept.t.clone(), kept.s, kept.d.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session after READY and as many events, numbered 2 and up.
    fn session(events: u64) -> Session {
        let mut session = Session::new("id".to_owned(), Token::new("token"), None, 1);
        session.ready(Json::null());
        for _ in 0..events {
            session.dispatch("EVENT".into(), Json::null());
        }
        session
    }

    fn replayed(session: &Session, seq: u64) -> Result<Vec<u64>, String> {
        let frames = session.replay(seq).map_err(|error| error.to_string())?;
        Ok(frames.map(|frame| frame.s.unwrap()).collect())
    }

    #[test]
    fn what_follows_a_number_is_replayed_in_order() {
        let session = session(3);
        assert_eq!(replayed(&session, 1), Ok(vec![2, 3, 4]));
        assert_eq!(replayed(&session, 3), Ok(vec![4]));
        assert_eq!(replayed(&session, 4), Ok(vec![]));
    }

    #[test]
    fn a_number_that_was_never_given_out_is_refused() {
        assert_eq!(
            replayed(&session(3), 5),
            Err("the session is at 4, expected no more than that: 5".to_owned())
        );
    }

    #[test]
    fn ready_cannot_be_replayed() {
        assert_eq!(
            replayed(&session(3), 0),
            Err("the session replays from 1 on, expected no less than that: 0".to_owned())
        );
    }

    #[test]
    fn resumed_has_a_number_that_one_can_come_back_with_and_is_not_replayed() {
        let mut session = session(1);
        assert_eq!(session.resumed(Json::null()).s, Some(3));
        session.dispatch("EVENT".into(), Json::null());
        assert_eq!(replayed(&session, 2), Ok(vec![4]));
        assert_eq!(replayed(&session, 3), Ok(vec![4]));
    }

    #[test]
    fn a_gap_has_nothing_to_replay_and_one_may_come_back_from_within_it() {
        let mut session = session(1);
        session.skip(10);
        session.dispatch("EVENT".into(), Json::null());
        assert_eq!(replayed(&session, 1), Ok(vec![2, 13]));
        for seq in [2, 7, 12] {
            assert_eq!(replayed(&session, seq), Ok(vec![13]));
        }
    }

    #[test]
    fn the_oldest_goes_first_when_there_is_too_much_to_keep() {
        let full = u64::try_from(REPLAY_MAX).unwrap();
        let mut session = session(full);
        assert_eq!(replayed(&session, 1).unwrap().len(), REPLAY_MAX);
        session.dispatch("EVENT".into(), Json::null());
        assert_eq!(session.kept.len(), REPLAY_MAX);
        assert_eq!(
            replayed(&session, 1),
            Err("the session replays from 2 on, expected no less than that: 1".to_owned())
        );
        let rest = replayed(&session, 2).unwrap();
        assert_eq!((rest[0], rest.len()), (3, REPLAY_MAX));
    }
}
