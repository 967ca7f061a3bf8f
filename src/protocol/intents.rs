//! Gateway intents: which events a bot asks for (Discord, "Gateway Intents").

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A set of intents, as the number that IDENTIFY carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Intents(pub u64);

/// Every intent that a bot may ask for: its bit and its documented name.
const NAMES: [(u32, &str); 21] = [
    (0, "GUILDS"),
    (1, "GUILD_MEMBERS"),
    (2, "GUILD_MODERATION"),
    (3, "GUILD_EXPRESSIONS"),
    (4, "GUILD_INTEGRATIONS"),
    (5, "GUILD_WEBHOOKS"),
    (6, "GUILD_INVITES"),
    (7, "GUILD_VOICE_STATES"),
    (8, "GUILD_PRESENCES"),
    (9, "GUILD_MESSAGES"),
    (10, "GUILD_MESSAGE_REACTIONS"),
    (11, "GUILD_MESSAGE_TYPING"),
    (12, "DIRECT_MESSAGES"),
    (13, "DIRECT_MESSAGE_REACTIONS"),
    (14, "DIRECT_MESSAGE_TYPING"),
    (15, "MESSAGE_CONTENT"),
    (16, "GUILD_SCHEDULED_EVENTS"),
    (20, "AUTO_MODERATION_CONFIGURATION"),
    (21, "AUTO_MODERATION_EXECUTION"),
    (24, "GUILD_MESSAGE_POLLS"),
    (25, "DIRECT_MESSAGE_POLLS"),
];

impl Intents {
    /// Every documented intent.
    pub const ALL: Self = Self(53_608_447);
    /// The intents that Discord grants to a bot only on request: members, presences, message content.
    pub const PRIVILEGED: Self = Self(33_026);
    /// Every documented intent that needs no grant.
    pub const UNPRIVILEGED: Self = Self(Self::ALL.0 & !Self::PRIVILEGED.0);
    /// Guilds, and the messages in them and in direct channels: what gwtool asks for unless told otherwise.
    pub const DEFAULT: Self = Self(1 << 0 | 1 << 9 | 1 << 12);

    /// Whether a bit is set that no documented intent has.
    pub const fn has_unknown(self) -> bool {
        self.0 & !Self::ALL.0 != 0
    }
}

/// Why a text is no set of intents.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown intent `{0}`: expected a number, or names joined by commas such as `GUILDS,GUILD_MESSAGES`"
)]
pub struct UnknownIntent(String);

impl FromStr for Intents {
    type Err = UnknownIntent;

    fn from_str(text: &str) -> Result<Self, UnknownIntent> {
        if let Ok(number) = text.trim().parse() {
            return Ok(Self(number));
        }
        text.split([',', '|'])
            .map(str::trim)
            .try_fold(Self(0), |set, name| {
                let bit = NAMES
                    .iter()
                    .find(|(_, known)| known.eq_ignore_ascii_case(name));
                bit.map(|(bit, _)| Self(set.0 | 1 << bit))
                    .ok_or_else(|| UnknownIntent(name.to_owned()))
            })
    }
}

impl fmt::Display for Intents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_are_those_of_the_documentation() {
        assert_eq!(
            NAMES.iter().fold(0_u64, |mask, (bit, _)| mask | 1 << bit),
            Intents::ALL.0
        );
        assert_eq!(Intents::UNPRIVILEGED.0, 53_575_421);
    }

    #[test]
    fn intents_are_read_by_name_and_by_number() {
        assert_eq!("guilds, GUILD_MESSAGES".parse(), Ok(Intents(513)));
        assert_eq!("513".parse(), Ok(Intents(513)));
        assert_eq!(
            "GUILD".parse::<Intents>(),
            Err(UnknownIntent("GUILD".to_owned()))
        );
    }
}
