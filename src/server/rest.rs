//! The fake's REST API: a request value in, a response value out.
//!
//! Only what a client needs on its way to the gateway: the two gateway endpoints and who the bot is (Discord, "Get Gateway
//! Bot"). Everything else is answered with success and nothing in it, so that a program under test gets past what it does
//! besides. HTTP itself is the engine's; counts and times come from the gateway, through [`About`].

use super::payload;
use crate::machine::Response;
use crate::protocol::{Json, Token};
use crate::time::Duration;
use serde::Serialize;

/// A REST request, as far as the fake looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method, in capitals.
    pub method: String,
    /// Its path, with the query if it has one.
    pub path: String,
    /// Its `Authorization` header.
    pub authorization: Option<String>,
}

/// What the answers depend on.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The gateway's URL.
    pub url: &'a str,
    /// How many shards are recommended.
    pub shards: u32,
    /// The one token that is accepted; `None` accepts any.
    pub token: Option<&'a Token>,
    /// How many sessions may still be started.
    pub limit: SessionStartLimit,
}

/// Discord's `session_start_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStartLimit {
    /// Starts in a window.
    pub total: u32,
    /// Starts left in this window.
    pub remaining: u32,
    /// How long until the next window.
    pub reset_after: Duration,
    /// IDENTIFYs in 5 s.
    pub max_concurrency: u32,
}

/// Answers a request.
pub fn answer(request: &Request, about: &About<'_>) -> Response {
    let resource = resource(&request.path);
    if request.method == "GET" && resource == "/gateway" {
        return json(200, &Gateway { url: about.url });
    }
    let wants_token = matches!(
        resource,
        "/gateway/bot" | "/users/@me" | "/applications/@me" | "/oauth2/applications/@me"
    );
    if wants_token && !is_authorized(request.authorization.as_deref(), about.token) {
        return json(
            401,
            &Failure {
                message: "401: Unauthorized",
                code: 0,
            },
        );
    }
    match (request.method.as_str(), resource) {
        ("GET", "/gateway/bot") => {
            let limit = about.limit;
            json(
                200,
                &GatewayBot {
                    url: about.url,
                    shards: about.shards,
                    session_start_limit: Limit {
                        total: limit.total,
                        remaining: limit.remaining,
                        reset_after: u64::try_from(limit.reset_after.as_millis())
                            .unwrap_or(u64::MAX),
                        max_concurrency: limit.max_concurrency,
                    },
                },
            )
        }
        ("GET", "/users/@me") => success(&payload::me()),
        ("GET", "/applications/@me" | "/oauth2/applications/@me") => {
            success(&payload::application())
        }
        // A client that deploys its commands walks through the list that it gets back.
        ("GET" | "PUT", path) if path.ends_with("/commands") => json(200, &[(); 0]),
        _ => json(200, &Nothing {}),
    }
}

/// The path without its query, the API's base and version, and a slash at the end.
fn resource(path: &str) -> &str {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = below(path, "/api").unwrap_or(path);
    path.strip_prefix("/v")
        .map(|rest| rest.trim_start_matches(|digit: char| digit.is_ascii_digit()))
        .filter(|rest| rest.starts_with('/') && !path.starts_with("/v/"))
        .unwrap_or(path)
}

/// What follows a path's first segment, if it is that one.
fn below<'a>(path: &'a str, segment: &str) -> Option<&'a str> {
    path.strip_prefix(segment)
        .filter(|rest| rest.starts_with('/'))
}

/// Whether a header holds a bot's token, and the right one.
fn is_authorized(header: Option<&str>, token: Option<&Token>) -> bool {
    let Some(given) = header.and_then(|header| header.strip_prefix("Bot ")) else {
        return false;
    };
    token.map_or(!given.is_empty(), |token| given == token.expose())
}

#[derive(Serialize)]
struct Gateway<'a> {
    url: &'a str,
}

#[derive(Serialize)]
struct GatewayBot<'a> {
    url: &'a str,
    shards: u32,
    session_start_limit: Limit,
}

#[derive(Serialize)]
struct Limit {
    total: u32,
    remaining: u32,
    reset_after: u64,
    max_concurrency: u32,
}

#[derive(Serialize)]
struct Failure {
    message: &'static str,
    code: u32,
}

#[derive(Serialize)]
struct Nothing {}

fn json(status: u16, body: &impl Serialize) -> Response {
    response(status, &Json::of(body))
}

fn success(body: &Json) -> Response {
    response(200, body)
}

fn response(status: u16, body: &Json) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.get().as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(method: &str, path: &str, authorization: Option<&str>) -> (u16, String) {
        let token = Token::new("abc.def");
        let about = About {
            url: "ws://main.test",
            shards: 2,
            token: Some(&token),
            limit: SessionStartLimit {
                total: 1000,
                remaining: 998,
                reset_after: Duration::from_millis(86_399_970),
                max_concurrency: 1,
            },
        };
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            authorization: authorization.map(str::to_owned),
        };
        let response = answer(&request, &about);
        assert_eq!(response.header("content-type"), Some("application/json"));
        (response.status, String::from_utf8(response.body).unwrap())
    }

    const AUTHORIZED: Option<&str> = Some("Bot abc.def");

    #[test]
    fn the_gateway_is_named_to_everyone() {
        let expected = (200, r#"{"url":"ws://main.test"}"#.to_owned());
        for path in [
            "/gateway",
            "/gateway/",
            "/api/gateway",
            "/api/v10/gateway?x=1",
            "/v10/gateway",
        ] {
            assert_eq!(answered("GET", path, None), expected, "{path}");
        }
    }

    #[test]
    fn a_bot_is_told_its_shards_and_its_limit() {
        let (status, body) = answered("GET", "/api/v10/gateway/bot", AUTHORIZED);
        assert_eq!(status, 200);
        assert_eq!(
            body,
            r#"{"url":"ws://main.test","shards":2,"session_start_limit":{"total":1000,"remaining":998,"reset_after":86399970,"max_concurrency":1}}"#
        );
    }

    #[test]
    fn what_is_the_bots_own_needs_its_token() {
        let unauthorized = (
            401,
            r#"{"message":"401: Unauthorized","code":0}"#.to_owned(),
        );
        let wrong = [
            None,
            Some(""),
            Some("abc.def"),
            Some("Bot "),
            Some("Bot abc"),
        ];
        for path in [
            "/gateway/bot",
            "/users/@me",
            "/applications/@me",
            "/oauth2/applications/@me",
        ] {
            for authorization in wrong {
                assert_eq!(answered("GET", path, authorization), unauthorized, "{path}");
            }
            assert_eq!(answered("GET", path, AUTHORIZED).0, 200, "{path}");
        }
    }

    #[test]
    fn without_a_token_of_its_own_the_fake_takes_any_but_none() {
        assert!(is_authorized(Some("Bot anything"), None));
        assert!(!is_authorized(Some("Bot "), None));
        assert!(!is_authorized(None, None));
    }

    #[test]
    fn the_bot_is_who_ready_says() {
        assert_eq!(
            answered("GET", "/api/users/@me", AUTHORIZED).1,
            r#"{"id":"1216348160000000000","username":"gwtool","discriminator":"0","global_name":null,"avatar":null,"bot":true,"verified":true,"mfa_enabled":false,"flags":0,"email":null}"#
        );
        let application = answered("GET", "/oauth2/applications/@me", AUTHORIZED).1;
        assert!(application.starts_with(r#"{"id":"1216348160000000000","name":"gwtool","#));
    }

    #[test]
    fn everything_else_succeeds_with_nothing() {
        assert_eq!(
            answered("POST", "/api/v10/channels/1/messages", None),
            (200, "{}".to_owned())
        );
        assert_eq!(answered("POST", "/gateway", None), (200, "{}".to_owned()));
        assert_eq!(answered("GET", "", None), (200, "{}".to_owned()));
        assert_eq!(
            answered("PUT", "/api/v10/applications/1/commands", None),
            (200, "[]".to_owned())
        );
    }

    #[test]
    fn only_whole_segments_are_a_base_or_a_version() {
        assert_eq!(resource("/apiary/gateway"), "/apiary/gateway");
        assert_eq!(resource("/voice/regions"), "/voice/regions");
        assert_eq!(resource("/v/gateway"), "/v/gateway");
        assert_eq!(resource("/api/v9/users/@me"), "/users/@me");
    }
}
