//! Which numbers of a session were received: each dispatch is handed on once, whatever comes twice or out of order.

use crate::machine::Session;
use std::collections::BTreeSet;

/// How many numbers that have not come are remembered.
const MISSING_MAX: usize = 1000;

/// A session and what was received of it.
#[derive(Debug)]
pub(super) struct Known {
    /// Its `seq` is the highest number received.
    pub(super) session: Session,
    /// Lower numbers that have not come. The gateway does not promise that all of them exist.
    missing: BTreeSet<u64>,
}

impl Known {
    pub(super) const fn new(session: Session) -> Self {
        Self {
            session,
            missing: BTreeSet::new(),
        }
    }

    /// Counts a number; whether it is new.
    pub(super) fn take(&mut self, s: u64) -> bool {
        let seq = self.session.seq;
        if s <= seq {
            return self.missing.remove(&s);
        }
        if seq > 0 {
            let least = s.saturating_sub(MISSING_MAX as u64).max(seq + 1);
            self.missing.extend(least..s);
            while self.missing.len() > MISSING_MAX {
                self.missing.pop_first();
            }
        }
        self.session.seq = s;
        true
    }
}
