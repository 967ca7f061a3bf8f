//! `gwtool connect [URL]`: our own client against a gateway, with what happens told as it happens.

use super::args::{Format, duration, interval};
use super::failure::Failure;
use super::{Shared, exit, output};
use crate::machine::Level;
use crate::net::Interrupt;
use crate::net::connect::{self, Target};
use crate::protocol::Token;
use crate::reports;
use crate::reports::connect::{Finish, News, Summary, What};
use crate::time::Duration;
use std::env;
use std::ops::ControlFlow;
use thiserror::Error;
use url::Url;

/// What `connect` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway: ws:// or wss:// [default: the embedded fake gateway]
    #[arg(value_name = "URL", value_parser = gateway_url)]
    url: Option<Url>,
    /// Ask this REST API for the gateway, and give it the token of `DISCORD_TOKEN`
    #[arg(long, value_name = "URL", value_parser = api_url, conflicts_with_all = ["url", "discord"])]
    api: Option<Url>,
    /// Connect to Discord with the token of `DISCORD_TOKEN`
    #[arg(long, conflicts_with = "url")]
    discord: bool,
    /// Only connect, read HELLO and have some heartbeats ACKed; needs no token
    #[arg(long, conflicts_with = "api")]
    probe: bool,
    /// Send the token of `DISCORD_TOKEN` to URL, whoever that is
    #[arg(long, requires = "url", conflicts_with = "probe")]
    send_token: bool,
    /// End after this long [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// The heartbeat interval of the embedded fake gateway [default: 2s]
    #[arg(long, value_name = "DUR", value_parser = interval, allow_hyphen_values = true,
          conflicts_with_all = ["url", "api", "discord"])]
    interval: Option<Duration>,
    /// How to print: for programs one JSON value a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum UrlError {
    #[error("expected a URL: {0}\nhint: write `{1}`")]
    NotOne(url::ParseError, &'static str),
    #[error("expected a URL with {expected}, found `{found}:`\nhint: write `{example}`")]
    Scheme {
        expected: &'static str,
        found: String,
        example: &'static str,
    },
}

fn gateway_url(text: &str) -> Result<Url, UrlError> {
    url_with(
        text,
        ["ws", "wss"],
        "`ws:` or `wss:`",
        "wss://gateway.discord.gg",
    )
}

fn api_url(text: &str) -> Result<Url, UrlError> {
    let example = "https://discord.com/api/v10";
    url_with(text, ["http", "https"], "`http:` or `https:`", example)
}

fn url_with(
    text: &str,
    schemes: [&str; 2],
    expected: &'static str,
    example: &'static str,
) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|error| UrlError::NotOne(error, example))?;
    if schemes.contains(&url.scheme()) {
        Ok(url)
    } else {
        Err(UrlError::Scheme {
            expected,
            found: url.scheme().to_owned(),
            example,
        })
    }
}

/// Connects, tells, and says how it ended.
pub fn run(args: Args, shared: Shared, interrupt: &Interrupt) -> Result<u8, Failure> {
    let format = args.format;
    let plan = plan(args)?;
    let mut told = Ok(());
    let mut listen = |news: &News| {
        told = tell(news, format, shared);
        if told.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let summary = connect::run(&plan, &mut listen, interrupt);
    told?;
    let summary = summary.map_err(|error| Failure::of(&error))?;
    let text = match format {
        Format::Human => reports::connect::summary(&summary),
        Format::Json => reports::connect::json_summary(&summary),
    };
    output::print(shared.color, &text)?;
    Ok(exit_code(&summary))
}

fn plan(args: Args) -> Result<connect::Plan, Failure> {
    let sends_token = args.api.is_some() || args.send_token || (args.discord && !args.probe);
    let token = sends_token.then(token).transpose()?;
    let target = match (args.url, args.api) {
        (Some(url), _) => Target::Gateway(url),
        (None, Some(api)) => Target::Api(api),
        (None, None) if args.discord => Target::Discord,
        (None, None) => Target::Embedded {
            interval: args.interval,
        },
    };
    Ok(connect::Plan {
        target,
        token,
        is_probe: args.probe,
        duration: args.duration,
    })
}

/// The token of the environment. It is read nowhere else, and only when it is about to be used.
fn token() -> Result<Token, Failure> {
    let token = env::var("DISCORD_TOKEN").map(|text| Token::new(&text));
    match token {
        Ok(token) if !token.is_empty() => Ok(token),
        _ => Err(
            Failure::new("expected a bot token in `DISCORD_TOKEN`, found none")
                .hint("set it in the environment, or use `--probe`, which needs none"),
        ),
    }
}

/// Prints one piece of news, if it is loud enough for what was asked.
fn tell(news: &News, format: Format, shared: Shared) -> Result<(), Failure> {
    let text = match format {
        Format::Json => reports::connect::json_line(news),
        Format::Human if is_told(&news.what, shared) => reports::connect::line(news),
        Format::Human => return Ok(()),
    };
    output::print(shared.color, &text)
}

const fn is_told(what: &What, shared: Shared) -> bool {
    match what {
        What::Ended { .. } | What::Reconnect { .. } => true,
        What::Log { level, .. } => match level {
            Level::Error | Level::Warn => true,
            Level::Info => !shared.quiet,
            Level::Debug => shared.verbose > 0,
        },
        _ => !shared.quiet,
    }
}

const fn exit_code(summary: &Summary) -> u8 {
    match summary.finish {
        Finish::Asked => exit::DONE,
        Finish::Fatal { .. } | Finish::GaveUp { .. } => exit::VIOLATES,
        Finish::Unreachable { .. } => exit::FAILED,
        Finish::NeverReady => exit::INCONCLUSIVE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_scheme_of_what_it_leads_to() {
        assert!(gateway_url("wss://gateway.discord.gg").is_ok());
        assert_eq!(
            gateway_url("https://discord.com").unwrap_err().to_string(),
            "expected a URL with `ws:` or `wss:`, found `https:`\n\
             hint: write `wss://gateway.discord.gg`"
        );
        assert_eq!(
            api_url("discord").unwrap_err().to_string(),
            "expected a URL: relative URL without a base\n\
             hint: write `https://discord.com/api/v10`"
        );
    }

    #[test]
    fn quiet_leaves_what_went_wrong() {
        let shared = |verbose, quiet| Shared {
            verbose,
            quiet,
            color: output::Color::Never,
        };
        let reconnect = What::Reconnect {
            cause: String::new(),
            after: Duration::ZERO,
            resumes: true,
        };
        let debug = What::Log {
            level: Level::Debug,
            text: String::new(),
        };
        assert!(is_told(&reconnect, shared(0, true)));
        assert!(!is_told(&debug, shared(0, false)));
        assert!(is_told(&debug, shared(1, false)));
        assert!(!is_told(&What::State { state: "ready" }, shared(0, true)));
    }
}
