//! Close codes of the gateway, and what each of them permits.
//!
//! The table follows Discord's "Gateway Close Event Codes" (topics/opcodes-and-status-codes). What it leaves open, which
//! codes a client may resume after, is taken from the prose of 4007 and 4009 and from what mature clients agree on.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The code of a WebSocket Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// A normal closure; sent by a client it ends the session.
    pub const NORMAL: Self = Self(1000);
    /// Going away; sent by a client it ends the session.
    pub const AWAY: Self = Self(1001);
    /// The server does not know what went wrong.
    pub const UNKNOWN_ERROR: Self = Self(4000);
    /// The client sent an opcode, or a payload for one, that is not allowed.
    pub const UNKNOWN_OPCODE: Self = Self(4001);
    /// The client sent something that cannot be decoded, or is too large.
    pub const DECODE_ERROR: Self = Self(4002);
    /// The client sent a payload before it identified.
    pub const NOT_AUTHENTICATED: Self = Self(4003);
    /// The token is wrong.
    pub const AUTHENTICATION_FAILED: Self = Self(4004);
    /// The client identified twice.
    pub const ALREADY_AUTHENTICATED: Self = Self(4005);
    /// RESUME carried a sequence number that the session never had.
    pub const INVALID_SEQ: Self = Self(4007);
    /// The client sent too fast.
    pub const RATE_LIMITED: Self = Self(4008);
    /// The session has ended.
    pub const SESSION_TIMED_OUT: Self = Self(4009);
    /// The shard is not one that exists.
    pub const INVALID_SHARD: Self = Self(4010);
    /// The bot is in too many guilds for one shard.
    pub const SHARDING_REQUIRED: Self = Self(4011);
    /// The `v` in the URL is not served.
    pub const INVALID_API_VERSION: Self = Self(4012);
    /// The intents have a bit that does not exist.
    pub const INVALID_INTENTS: Self = Self(4013);
    /// The intents have a bit that was not granted.
    pub const DISALLOWED_INTENTS: Self = Self(4014);

    /// Discord says that a client must not reconnect after this code.
    pub const fn is_fatal(self) -> bool {
        matches!(self.0, 4004 | 4010..=4014)
    }

    /// Sent by the gateway, the session is over, though the client may come back with a new one.
    pub const fn ends_session(self) -> bool {
        self.is_fatal() || matches!(self.0, 4007 | 4009)
    }

    /// Sent by a client, the gateway forgets the session.
    pub const fn ends_session_from_client(self) -> bool {
        matches!(self.0, 1000 | 1001)
    }

    /// Discord's name for it, in lower case, or what the WebSocket standard calls it.
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no code",
            1006 => "abnormal closure",
            1007 => "invalid payload",
            1008 => "policy violation",
            1009 => "message too big",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            4000 => "unknown error",
            4001 => "unknown opcode",
            4002 => "decode error",
            4003 => "not authenticated",
            4004 => "authentication failed",
            4005 => "already authenticated",
            4007 => "invalid sequence",
            4008 => "rate limited",
            4009 => "session timed out",
            4010 => "invalid shard",
            4011 => "sharding required",
            4012 => "invalid API version",
            4013 => "invalid intents",
            4014 => "disallowed intents",
            _ => "not a documented code",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fatal_codes_are_those_that_discord_lists() {
        let fatal: Vec<u16> = (1000..=4999)
            .filter(|code| CloseCode(*code).is_fatal())
            .collect();
        assert_eq!(fatal, [4004, 4010, 4011, 4012, 4013, 4014]);
    }

    #[test]
    fn a_session_ends_on_fatal_codes_and_on_4007_and_4009() {
        let ends: Vec<u16> = (1000..=4999)
            .filter(|code| CloseCode(*code).ends_session())
            .collect();
        assert_eq!(ends, [4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014]);
    }
}
