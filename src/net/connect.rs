//! Our own client over real sockets: against Discord, against any gateway, or against the embedded fake.

use super::dial::Tls;
use super::driver::{Driver, Factory, Network, Tested};
use super::gateway_side::GatewaySide;
use super::record::Recorder;
use super::wake::Queue;
use super::wall::{self, Ended, Listeners, Outside};
use super::{Interrupt, RunError};
use crate::client::probe::Probe;
use crate::client::watched::{Ear, Failure, Watched};
use crate::client::{self, Discovery, Lifecycle};
use crate::fault::{OnClose, Port};
use crate::faults::injector::{Attempts, Injector};
use crate::machine::Machine;
use crate::news::{Finish, News, Summary};
use crate::protocol::Token;
use crate::seed::{Seed, Stream};
use crate::server::gateway::Gateway;
use crate::server::style::Style;
use crate::server::{self, Enforce};
use crate::time::{Duration, Instant};
use crate::trace::{Redactor, Vantage};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::task::LocalSet;
use url::Url;

/// The REST API of Discord.
pub const DISCORD_API: &str = "https://discord.com/api/v10";
/// Where a probe looks that asks nobody.
pub const DISCORD_GATEWAY: &str = "wss://gateway.discord.gg/?v=10&encoding=json";
/// The embedded fake's heartbeat interval: short enough to see some.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often the embedded fake sends a message.
const TRAFFIC: Duration = Duration::from_millis(500);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(6);
/// What stands in IDENTIFY where no token may be sent.
const NO_TOKEN: &str = "no-token-was-given";

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The fake gateway, started in this process, over loopback.
    Embedded {
        /// Its heartbeat interval.
        interval: Option<Duration>,
    },
    /// A gateway's URL. The token is sent there if there is one.
    Gateway(Url),
    /// Whatever gateway a REST API names.
    Api(Url),
    /// Discord.
    Discord,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect.
    pub target: Target,
    /// The token; `None` sends a placeholder.
    pub token: Option<Token>,
    /// Whether to stop before IDENTIFY.
    pub is_probe: bool,
    /// How long to stay; `None` until the interrupt.
    pub duration: Option<Duration>,
}

/// Connects and tells what happens, until it is over.
pub fn run(
    plan: &Plan,
    tell: &mut dyn FnMut(&News) -> ControlFlow<()>,
    interrupt: &Interrupt,
) -> Result<Summary, RunError> {
    let runtime = wall::runtime()?;
    let _entered = runtime.enter();
    let seed = Seed(rand::random());
    let token = plan.token.clone().unwrap_or_else(|| Token::new(NO_TOKEN));
    let queue = Arc::new(Queue::default());
    let (mut gateway, mut listeners, mut api) = (None, None, None);
    let discovery = match &plan.target {
        Target::Embedded { interval } => {
            let opened = Listeners::new()?;
            let main_url = format!("ws://{}", opened.address(Port::Main)?);
            let config = server::Config {
                interval: interval.unwrap_or(INTERVAL),
                token: None,
                hello_after: Duration::ZERO,
                resume_url: format!("ws://{}", opened.address(Port::Resume)?),
                main_url: main_url.clone(),
                shards: 1,
                traffic: Some(TRAFFIC),
                enforce: Enforce::default(),
            };
            api = Url::parse(&format!("http://{}/api", opened.address(Port::Rest)?)).ok();
            let interval = config.interval;
            let fake = Gateway::new(config, seed.stream(Stream::Gateway));
            let injector = Injector::new(&[], interval, Attempts::Seen);
            let queue = Arc::clone(&queue);
            let on_close = OnClose::default();
            gateway = Some(GatewaySide::new(
                fake,
                injector,
                on_close,
                Duration::ZERO,
                (Style::default(), seed.stream(Stream::Bytes)),
                queue,
            ));
            listeners = Some(opened);
            if plan.is_probe {
                Discovery::Url(main_url)
            } else {
                Discovery::Ask
            }
        }
        Target::Gateway(url) => Discovery::Url(url.to_string()),
        Target::Api(url) => {
            api = Some(url.clone());
            Discovery::Ask
        }
        Target::Discord if plan.is_probe => Discovery::Url(DISCORD_GATEWAY.to_owned()),
        Target::Discord => {
            api = Url::parse(DISCORD_API).ok();
            Discovery::Ask
        }
    };
    let draw = seed.stream(Stream::Subject);
    let config = client::Config::new(token.clone(), discovery.clone());
    let patience = config.deadlines.hello;
    let machine: Box<dyn Machine> = match discovery {
        Discovery::Url(url) if plan.is_probe => Box::new(Probe::new(with_query(&url), patience)),
        _ => Box::new(Lifecycle::new(config, draw)),
    };
    let (watched, ear) = Watched::new(machine);
    let mut watched: Option<Box<dyn Machine>> = Some(Box::new(watched));
    let factory: Factory<'_> = Box::new(move || watched.take().expect("nobody kills this client"));
    let recorder = Recorder::new(
        None,
        Vantage::Client,
        Vec::new(),
        Redactor::new(token.clone()),
        Vec::new(),
    );
    let order = seed.stream(Stream::Link);
    let authorization = String::new();
    let mut driver = Driver::new(
        gateway,
        Tested::of(factory, &queue),
        recorder,
        queue,
        Network::Real,
        order,
        authorization,
    );
    let tls = Tls::of_this_machine();
    let guard = guard_of(&plan.target, plan.token.is_some());
    let mut outside = Outside::new(&driver, listeners, api, token, tls).guarded_by(guard);

    // The far end may say the token back to us, in a body or in a reason.
    let hidden = Redactor::new(plan.token.clone().unwrap_or_else(|| Token::new("")));
    driver.begin([]);
    let local = LocalSet::new();
    let told = interrupt.clone();
    let mut lap = || {
        while let Some(news) = ear.next() {
            let mut news = news;
            news.each_text(|text| hide(&hidden, text));
            if tell(&news).is_break() {
                told.raise();
            }
        }
        // Later connections are tried again; the first one has to succeed.
        if ear.has_failed() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let main = wall::run(
        &mut driver,
        &mut outside,
        interrupt,
        plan.duration,
        &mut lap,
    );
    let ended = local.block_on(&runtime, main);
    let watched_for = driver.now.since(Instant::ZERO);
    if ended != Ended::Over {
        driver.stop();
        let patient = Interrupt::default();
        let rest = wall::run(&mut driver, &mut outside, &patient, Some(GOODBYE), &mut lap);
        local.block_on(&runtime, rest);
    }
    drop((driver, outside, local));
    runtime.shutdown_background();
    let mut summary = summary(&ear, ended, watched_for, plan.is_probe);
    summary.each_text(|text| hide(&hidden, text));
    Ok(summary)
}

fn hide(hidden: &Redactor, text: &mut String) {
    if let Cow::Owned(shown) = hidden.text(text) {
        *text = shown;
    }
}

/// The query that every gateway URL needs, where the URL has none.
fn with_query(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.query().is_none() => {
            parsed.set_query(Some("v=10&encoding=json"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// To which gateways the token may go, whoever names them: a READY or a REST API can be anybody's. Discord's own are
/// always among them; otherwise it is the host that the user named, with TLS if it was named with TLS.
fn guard_of(target: &Target, has_token: bool) -> wall::Guard {
    let named = match target {
        _ if !has_token => return Box::new(|_| true),
        Target::Gateway(url) | Target::Api(url) => Some(url.clone()),
        Target::Discord | Target::Embedded { .. } => None,
    };
    Box::new(move |url| {
        let host = url.host_str().unwrap_or_default();
        let is_secure = url.scheme() == "wss";
        let is_discord = is_secure && (host == "discord.gg" || host.ends_with(".discord.gg"));
        let is_named = named.as_ref().is_some_and(|named| {
            let must_be_secure = matches!(named.scheme(), "wss" | "https");
            named.host_str() == Some(host) && (is_secure || !must_be_secure)
        });
        is_discord || is_named
    })
}

fn summary(ear: &Ear, ended: Ended, watched: Duration, is_probe: bool) -> Summary {
    let figures = ear.figures();
    let fatal = figures.last_close.and_then(|(code, reason)| {
        code.filter(|code| code.is_fatal())
            .map(|code| (code, reason))
    });
    let gave_up = figures.stopped.clone().flatten();
    let finish = match (figures.first_failure, fatal, gave_up) {
        (Some(Failure { why, said }), _, _) => Finish::Unreachable { why, said },
        // The client does not come back after it, whether or not the socket has closed by now.
        (_, Some((code, reason)), _) => Finish::Fatal { code, reason },
        (_, _, Some(reason)) if ended == Ended::Over => Finish::GaveUp { reason },
        _ if is_probe && ear.round_trips().is_some() => Finish::Asked,
        _ if figures.identifies + figures.resumes > 0 => Finish::Asked,
        _ => Finish::NeverReady,
    };
    let mut events: Vec<(String, u64)> = figures.events.into_iter().collect();
    events.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    Summary {
        finish,
        watched,
        connections: figures.connections,
        identifies: figures.identifies,
        resumes: figures.resumes,
        round_trips: ear.round_trips(),
        events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("it is a URL")
    }

    #[test]
    fn a_token_goes_to_discord_over_tls_and_to_the_host_that_was_named() {
        let api = Target::Api(url("http://127.0.0.1:8000/api"));
        let secure = Target::Gateway(url("wss://gateway.example:4000"));
        let cases = [
            (&Target::Discord, "wss://gateway.discord.gg", true),
            (
                &Target::Discord,
                "wss://gateway-us-east1-b.discord.gg",
                true,
            ),
            (&Target::Discord, "ws://gateway.discord.gg", false),
            (&Target::Discord, "wss://evildiscord.gg", false),
            (&Target::Discord, "wss://discord.gg.example", false),
            (&api, "ws://127.0.0.1:9000", true),
            (&api, "ws://127.0.0.2:9000", false),
            (&api, "wss://gateway.discord.gg", true),
            (&secure, "wss://gateway.example:5000/?v=10", true),
            (&secure, "ws://gateway.example:4000", false),
            (&secure, "wss://resume.example:4000", false),
        ];
        for (target, to, may) in cases {
            assert_eq!(guard_of(target, true)(&url(to)), may, "{target:?} → {to}");
            assert!(
                guard_of(target, false)(&url(to)),
                "there is nothing to keep"
            );
        }
    }
}
