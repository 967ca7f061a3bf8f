//! A bot of twilight-gateway 0.18 with nothing in it but what gwtool needs to see: each message that reached its loop, on stdout.

use std::env;
use std::error::Error;
use tokio::signal::unix::{SignalKind, signal};
use twilight_gateway::{
    CloseFrame, ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, ShardState,
    StreamExt as _,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // stdout is gwtool's.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing installed a provider before");
    let mut terminate = signal(SignalKind::terminate())?;

    let intents = Intents::GUILDS | Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT;
    let config = ConfigBuilder::new(env::var("DISCORD_TOKEN")?, intents)
        .proxy_url(env::var("GWTOOL_GATEWAY_URL")?)
        .build();
    let mut shard = Shard::with_config(ShardId::ONE, config);

    let mut stopping = false;
    loop {
        let item = tokio::select! {
            item = shard.next_event(EventTypeFlags::all()) => item,
            _ = terminate.recv(), if !stopping => {
                shard.close(CloseFrame::NORMAL);
                stopping = true;
                if is_between_attempts(&shard) {
                    return Ok(());
                }
                continue;
            }
        };
        match item {
            Some(Ok(Event::MessageCreate(message))) => {
                println!("gwtool:delivered {}", message.content);
            }
            Some(Ok(Event::GatewayClose(_))) if stopping => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(source)) => {
                tracing::warn!(?source, "failed to receive event");
                // Whatever it was, there is nothing left to wait for.
                if stopping {
                    return Ok(());
                }
            }
            // Closed by a code after which the library does not reconnect.
            None => return Ok(()),
        }
    }
}

/// Whether the last attempt to connect failed: nothing is there to be closed, and the shard takes a Close no earlier than the
/// next attempt succeeds.
fn is_between_attempts(shard: &Shard) -> bool {
    matches!(
        shard.state(),
        ShardState::Disconnected {
            reconnect_attempts: 1..
        }
    )
}
