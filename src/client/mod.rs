//! gwtool's own gateway client: the proof that one can be done right.
//!
//! [`Lifecycle`] is the whole client as one machine without I/O: the engine feeds it inputs and the time and
//! carries out what it asks for. Beside it stand what has no transitions of its own: [`backoff`] says how
//! long to wait, [`outbox`] holds the commands that wait and counts what may be sent, [`inflate`] reads what is
//! compressed. [`Shards`] is a bot of several lifecycles. This file says how a client is set up and what it allows itself.
//!
//! Nothing here opens a socket, reads a clock or draws from anything but the stream it was given.

pub mod backoff;
pub mod inflate;
pub mod lifecycle;
pub mod outbox;
pub mod probe;
pub mod shards;
pub mod watched;

pub use lifecycle::Lifecycle;
pub use shards::Shards;

use crate::expect::Allowances;
use crate::protocol::{Compression, Intents, Properties, Shard, Token};
use crate::time::Duration;

/// How a client is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bot's token.
    pub token: Token,
    /// Where new sessions start.
    pub gateway: Discovery,
    /// Which events are asked for.
    pub intents: Intents,
    /// What the client says about itself.
    pub properties: Properties,
    /// Which shard it is; `None` for a bot that does not shard.
    pub shard: Option<Shard>,
    /// What it asks the gateway to compress.
    pub compress: Compression,
    /// How long it waits for others.
    pub deadlines: Deadlines,
    /// How long it waits between attempts.
    pub backoff: backoff::Config,
    /// How many commands wait, and how long.
    pub queue: outbox::Config,
    /// After how many attempts in a row that did not reach READY or RESUMED it gives up; `None` for never.
    pub attempts: Option<u32>,
}

impl Config {
    /// The usual settings for a token and a gateway.
    pub fn new(token: Token, gateway: Discovery) -> Self {
        Self {
            token,
            gateway,
            intents: Intents::DEFAULT,
            properties: Properties {
                // Not the machine's: IDENTIFY is in the trace, and a seed gives the same trace everywhere.
                os: "unknown".to_owned(),
                browser: "gwtool".to_owned(),
                device: "gwtool".to_owned(),
            },
            shard: None,
            compress: Compression::None,
            deadlines: Deadlines::default(),
            backoff: backoff::Config::default(),
            queue: outbox::Config::default(),
            attempts: None,
        }
    }

    /// An upper bound of the time that a client with these settings allows itself at a heartbeat interval.
    pub fn allowances(&self, interval: Duration) -> Allowances {
        let Deadlines {
            rest,
            connect,
            hello,
            ready,
            close,
        } = self.deadlines;
        Allowances {
            // Silence that begins right after an ACK is met by a beat within I, and that beat is judged
            // another I later.
            detect: 2 * interval + lifecycle::GRACE,
            connect: match self.gateway {
                Discovery::Url(_) => connect,
                // A URL that does not answer any more is asked for again in between.
                Discovery::Ask => connect + rest,
            },
            hello,
            ready,
            close,
            backoff: self.backoff.longest(),
            identify: lifecycle::IDENTIFY_SPACING,
            op9: lifecycle::INVALID_SESSION_WAIT.1,
        }
    }
}

/// How the client learns where new sessions start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// It is told.
    Url(String),
    /// It asks `/gateway/bot`, which also says how many sessions may be started.
    Ask,
}

/// How long the client waits for others before it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// For the answer to a REST request.
    pub rest: Duration,
    /// For a connect and its upgrade.
    pub connect: Duration,
    /// For HELLO.
    pub hello: Duration,
    /// For READY or RESUMED.
    pub ready: Duration,
    /// For the end of a close handshake.
    pub close: Duration,
}

impl Default for Deadlines {
    /// Discord documents none of these; they lie at the lower end of what mature clients use (PROTOCOL, "Left
    /// open").
    fn default() -> Self {
        Self {
            // REST is known to answer late and still to answer.
            rest: Duration::from_secs(40),
            connect: Duration::from_secs(10),
            hello: Duration::from_secs(20),
            ready: Duration::from_secs(30),
            close: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_allows_itself_what_its_settings_say() {
        let config = Config::new(Token::new("t"), Discovery::Url("ws://h".to_owned()));
        let secs = Duration::from_secs;
        assert_eq!(
            config.allowances(secs(40)),
            Allowances {
                detect: secs(81),
                connect: secs(10),
                hello: secs(20),
                ready: secs(30),
                close: secs(5),
                backoff: secs(30),
                identify: Duration::from_millis(5250),
                op9: secs(5),
            }
        );
        let asking = Config::new(Token::new("t"), Discovery::Ask);
        assert_eq!(asking.allowances(secs(40)).connect, secs(50));
    }
}
