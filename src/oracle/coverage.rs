//! What a run exercised: in which states of a connection faults struck, and rules could have been broken.
//!
//! The judge notes it as it reads, reports sum it up over runs. It judges nothing: a state in which no fault ever struck is one
//! of which the runs say nothing. States are the gateway's view of a connection, so that any subject has the same.

use super::rules;
use super::view::{Auth, Connection};
use crate::fault::Action;
use crate::trace::ScheduledFault;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is none.
    #[default]
    None,
    /// It was accepted, and its upgrade is not answered.
    Connecting,
    /// HELLO is to be sent.
    AwaitingHello,
    /// IDENTIFY or RESUME is to come.
    AwaitingLogin,
    /// READY is to be sent.
    Identifying,
    /// RESUMED is to be sent.
    Resuming,
    /// It is authenticated, and every heartbeat is acknowledged.
    Steady,
    /// It is authenticated, and a heartbeat is not acknowledged.
    Unacked,
    /// Op 9 was sent.
    Refused,
    /// The subject has begun to end it.
    Leaving,
    /// The gateway has begun to end it.
    Cut,
}

impl State {
    /// Every state, in the order of a connection's life.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Connecting,
        Self::AwaitingHello,
        Self::AwaitingLogin,
        Self::Identifying,
        Self::Resuming,
        Self::Steady,
        Self::Unacked,
        Self::Refused,
        Self::Leaving,
        Self::Cut,
    ];

    /// That of a connection.
    pub(super) fn of(connection: &Connection) -> Self {
        if connection.left.is_some() {
            return Self::Leaving;
        }
        if connection.cut.is_some() {
            return Self::Cut;
        }
        match connection.auth {
            _ if connection.upgraded_at.is_none() => Self::Connecting,
            Auth::None if connection.hello.is_none() => Self::AwaitingHello,
            Auth::None => Self::AwaitingLogin,
            Auth::Identifying { .. } => Self::Identifying,
            Auth::Resuming { .. } => Self::Resuming,
            Auth::Up { .. } if connection.heart.unacked_since().is_some() => Self::Unacked,
            Auth::Up { .. } => Self::Steady,
            Auth::Refused => Self::Refused,
        }
    }
}

/// In which state something is seen, and under which actions: a bit for each of those that the schedule has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scene {
    pub(super) state: State,
    pub(super) under: u64,
}

/// The scenes in which a rule was exercised.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scenes {
    states: u16,
    under: u64,
}

impl Scenes {
    /// One more.
    pub(super) const fn add(&mut self, scene: Scene) {
        self.states |= 1 << scene.state as u16;
        self.under |= scene.under;
    }
}

/// The strikes of a run, counted.
#[derive(Debug)]
pub(super) struct Strikes {
    /// The actions of the schedule, each once. There are fewer than bits.
    words: Vec<&'static str>,
    counts: Vec<[u32; State::ALL.len()]>,
}

impl Strikes {
    pub(super) fn new(schedule: &[ScheduledFault]) -> Self {
        let words = schedule.iter().map(|one| one.fault.action.word());
        let words: BTreeSet<&'static str> = words.collect();
        Self {
            counts: vec![[0; State::ALL.len()]; words.len()],
            words: words.into_iter().collect(),
        }
    }

    /// The bit of an action.
    pub(super) fn bit<T>(&self, action: &Action<T>) -> u64 {
        let place = self.words.binary_search(&action.word());
        place.map_or(0, bit)
    }

    /// A fault struck a connection in this state.
    pub(super) fn struck<T>(&mut self, action: &Action<T>, state: State) {
        if let Ok(place) = self.words.binary_search(&action.word()) {
            self.counts[place][state as usize] += 1;
        }
    }

    /// What the run exercised, given the scenes of the rules that were.
    pub(super) fn coverage<'a>(
        &self,
        exercised: impl Iterator<Item = (&'static str, &'a Scenes)>,
    ) -> Coverage {
        let strikes = self.words.iter().zip(&self.counts).map(|(word, counts)| {
            let counts = State::ALL.into_iter().zip(counts.iter().copied());
            (*word, counts.filter(|(_, n)| *n > 0).collect())
        });
        let strikes = strikes.filter(|(_, counts): &(_, BTreeMap<_, _>)| !counts.is_empty());
        let rules = exercised.map(|(rule, scenes)| {
            let states = State::ALL
                .into_iter()
                .filter(|state| scenes.states >> *state as u16 & 1 == 1);
            let words = self.words.iter().enumerate();
            let words = words.filter(|(place, _)| scenes.under & bit(*place) != 0);
            let exercised = Exercised {
                states: states.collect(),
                under: words.map(|(_, word)| *word).collect(),
            };
            (rule, exercised)
        });
        Coverage {
            strikes: strikes.collect(),
            rules: rules.collect(),
        }
    }
}

/// The bit at a place; none beyond the last.
fn bit(place: usize) -> u64 {
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    1_u64.checked_shl(place).unwrap_or(0)
}

/// What runs exercised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How often each action struck, by the state of the connection; where a strike names none, by that of the newest one.
    pub strikes: BTreeMap<&'static str, BTreeMap<State, u32>>,
    /// Where each rule was exercised.
    pub rules: BTreeMap<&'static str, Exercised>,
}

/// Where a rule was exercised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exercised {
    /// In which states of the connection.
    pub states: BTreeSet<State>,
    /// Under which actions: those in force, and those that struck since the subject was last authenticated, the last at least.
    pub under: BTreeSet<&'static str>,
}

impl Coverage {
    /// What other runs exercised is exercised, too.
    pub fn add(&mut self, other: &Self) {
        for (word, counts) in &other.strikes {
            let sums = self.strikes.entry(word).or_default();
            for (state, n) in counts {
                *sums.entry(*state).or_default() += n;
            }
        }
        for (rule, exercised) in &other.rules {
            let known = self.rules.entry(rule).or_default();
            known.states.extend(&exercised.states);
            known.under.extend(&exercised.under);
        }
    }

    /// Rules that nothing exercised, in the order of the table.
    pub fn rules_left(&self) -> Vec<&'static str> {
        let ids = rules::all().iter().map(|rule| rule.id);
        ids.filter(|id| !self.rules.contains_key(id)).collect()
    }

    /// Actions that never struck, in the order of the vocabulary.
    pub fn actions_left(&self) -> Vec<&'static str> {
        let words = Action::<()>::WORDS.iter().copied();
        words
            .filter(|word| !self.strikes.contains_key(word))
            .collect()
    }
}
