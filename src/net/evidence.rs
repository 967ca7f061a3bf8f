//! By what it is known which messages reached a program's application.
//!
//! Either it prints their numbers, which is its word, or it replies to them over REST, from which one has to conclude. A bot may
//! reply to some messages only, so that replies count once it has answered several in a row, and each message counts once: a
//! request may be sent again. The first kind that is seen counts for the whole run. Pure.

use std::collections::BTreeSet;

/// How many messages in a row have to be replied to before a bot counts as one that replies to all: more than one that is busy,
/// or has a limit of its own, takes in a row while the fake writes ten in an interval.
const IN_A_ROW: u64 = 5;
/// How far back replies are remembered.
const REMEMBERED: usize = 1024;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) enum Evidence {
    /// Nothing.
    #[default]
    None,
    /// It prints their numbers.
    Printed,
    /// It has replied to these, which are not enough.
    Replying(BTreeSet<u64>),
    /// It replies to every message; these are those that it replied to last.
    Replied(BTreeSet<u64>),
}

impl Evidence {
    /// The program has printed the number of a message. Says whether that counts.
    pub(super) fn printed(&mut self) -> bool {
        if matches!(self, Self::None | Self::Replying(_)) {
            *self = Self::Printed;
        }
        matches!(self, Self::Printed)
    }

    /// The program has replied to a message. Gives the messages of which it is known now that they were delivered.
    pub(super) fn replied(&mut self, number: u64) -> Vec<u64> {
        match std::mem::take(self) {
            Self::Printed => {
                *self = Self::Printed;
                Vec::new()
            }
            Self::None => {
                *self = Self::Replying(BTreeSet::from([number]));
                Vec::new()
            }
            Self::Replying(mut known) => {
                remember(&mut known, number);
                let row = row_around(&known, number);
                *self = if row.is_empty() {
                    Self::Replying(known)
                } else {
                    Self::Replied(known)
                };
                row
            }
            Self::Replied(mut known) => {
                let is_new = remember(&mut known, number);
                *self = Self::Replied(known);
                is_new.then_some(number).into_iter().collect()
            }
        }
    }
}

/// Says whether it is new.
fn remember(known: &mut BTreeSet<u64>, number: u64) -> bool {
    let is_new = known.insert(number);
    if known.len() > REMEMBERED {
        known.pop_first();
    }
    is_new
}

/// The numbers without a gap around one; none if they are too few.
fn row_around(known: &BTreeSet<u64>, number: u64) -> Vec<u64> {
    let mut first = number;
    while first > 0 && known.contains(&(first - 1)) {
        first -= 1;
    }
    let row: Vec<u64> = (first..=u64::MAX)
        .take_while(|n| known.contains(n))
        .collect();
    if row.len() as u64 >= IN_A_ROW {
        row
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(numbers: &[u64]) -> Vec<Vec<u64>> {
        let mut evidence = Evidence::default();
        numbers.iter().map(|n| evidence.replied(*n)).collect()
    }

    #[test]
    fn a_bot_that_replies_to_some_messages_says_nothing_of_the_others() {
        let some = replies(&[1, 2, 3, 4, 6, 7, 9, 12, 15]);
        assert!(some.iter().all(Vec::is_empty), "{some:?}");
    }

    #[test]
    fn from_several_in_a_row_on_each_reply_counts_once() {
        let told = replies(&[7, 9, 8, 11, 10, 12, 12, 14]);
        let nothing = Vec::new();
        assert_eq!(
            told,
            [
                nothing.clone(),
                nothing.clone(),
                nothing.clone(),
                nothing.clone(),
                vec![7, 8, 9, 10, 11],
                vec![12],
                nothing,
                vec![14]
            ]
        );
    }

    #[test]
    fn what_is_printed_counts_unless_replies_came_first() {
        let mut evidence = Evidence::default();
        assert!(evidence.printed());
        assert!(evidence.replied(1).is_empty());
        assert!(evidence.printed());

        let mut evidence = Evidence::default();
        for number in 1..=5 {
            evidence.replied(number);
        }
        assert!(!evidence.printed());
    }
}
