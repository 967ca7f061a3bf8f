//! The fake's REST API: a request value in, a response value out.
//!
//! Only what a client needs on its way to the gateway, the two gateway endpoints and who the bot is (Discord, "Get Gateway
//! Bot"), and what a bot does about a message: ask for its channel, guild or author, and write another. Everything else is
//! answered with success and nothing in it, so that a program under test gets past what it does besides. HTTP itself is the
//! engine's; counts and times come from the gateway, through [`About`].
//!
//! What a bot writes can show that it got one of the numbered messages: [`answered`].

use super::payload::{self, Draft};
use crate::machine::Response;
use crate::protocol::frame::Text;
use crate::protocol::{Json, Token};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The longest body that is taken, in bytes. A message has 2000 characters; what is longer has files in it, which nobody
/// looks at here.
pub const BODY_MAX: usize = 1024 * 1024;

/// A REST request, as far as the fake looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method, in capitals.
    pub method: String,
    /// Its path, with the query if it has one.
    pub path: String,
    /// Its `Authorization` header.
    pub authorization: Option<String>,
    /// Its body. Of one that is longer than [`BODY_MAX`] it is enough to have so much that this can be told.
    pub body: Vec<u8>,
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
    /// How many requests there were, this one included: what is made by one has an id of its own.
    pub asked: u64,
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
    if request.body.len() > BODY_MAX {
        let message = "Request entity too large";
        let code = 40005;
        return json(413, &Failure { message, code });
    }
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
        (method, path) => about_messages(method, path, &request.body, about.asked)
            .unwrap_or_else(|| json(200, &Nothing {})),
    }
}

/// Answers what a bot asks and says around a message; `None` for anything else.
fn about_messages(method: &str, path: &str, body: &[u8], asked: u64) -> Option<Response> {
    let mut segments = path.split('/').skip(1);
    let mut next = || segments.next().unwrap_or_default();
    let parts = [next(), next(), next(), next(), next()];
    Some(match (method, parts) {
        ("POST", ["channels", id, "messages", "", _]) => {
            let post = Post::read(body);
            let draft = Draft {
                content: post.content.as_deref().unwrap_or_default(),
                nonce: post.nonce,
                reply_to: post.reply_to(),
            };
            success(&payload::posted(asked, snowflake(id)?, &draft))
        }
        ("POST", ["channels", id, "typing", "", _] | ["interactions", id, _, "callback", ""]) => {
            snowflake(id)?;
            nothing()
        }
        ("GET", ["channels", id, "", ..]) => success(&payload::channel(snowflake(id)?)),
        ("GET", ["guilds", id, "", ..]) => success(&payload::guild(snowflake(id)?)),
        ("GET", ["users", id, "", ..]) => success(&payload::user(snowflake(id)?)),
        _ => return None,
    })
}

/// The number of the message that a request answers, which shows that its sender got that message. `None` unless it
/// writes a message that
///
/// - refers to one of the numbered messages, or
/// - has that message's number in its text, as a word of its own, and no other number. A numbered message's id stands for its
///   number. Text that only happens to have one number in it (`42 ms`) cannot be told from that.
///
/// A body with files in it (`multipart/form-data`) is not looked into.
pub fn answered(request: &Request) -> Option<u64> {
    let path = resource(&request.path).strip_prefix("/channels/")?;
    let (channel, rest) = path.split_once('/')?;
    if request.method != "POST" || rest != "messages" || request.body.len() > BODY_MAX {
        return None;
    }
    snowflake(channel)?;
    let post = Post::read(&request.body);
    let referred = post.reply_to().and_then(payload::number_of);
    referred.or_else(|| number_in(post.content.as_deref()?))
}

/// The one number that a text names.
fn number_in(text: &str) -> Option<u64> {
    // A sign or a letter beside it makes something else of a number: an amount, a name, a mention.
    let is_part =
        |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '#' | '@' | '&' | '$' | '%');
    let mut found = None;
    let mut rest = text;
    while let Some(start) = rest.find(char::is_numeric) {
        let (before, run) = rest.split_at(start);
        let end = run.find(|c: char| !c.is_numeric()).unwrap_or(run.len());
        let (digits, after) = run.split_at(end);
        if before.ends_with(is_part) || after.starts_with(is_part) || digits.starts_with('0') {
            return None;
        }
        // Parts of one word are not a number said twice: `1.1`, `12:12`.
        if found.is_some() && !before.contains(char::is_whitespace) {
            return None;
        }
        let number = snowflake(digits)?;
        let number = payload::number_of(number).unwrap_or(number);
        if number > payload::NUMBER_MAX || found.is_some_and(|found| found != number) {
            return None;
        }
        found = Some(number);
        rest = after;
    }
    found
}

/// A message that a bot writes, as far as the fake reads it.
#[derive(Default, Deserialize)]
struct Post<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    nonce: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_reference: Option<Reference<'a>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default)]
    message_id: Option<&'a RawValue>,
}

impl<'a> Post<'a> {
    /// Reads a body; one that is no message reads as an empty one.
    fn read(body: &'a [u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The message that it refers to. Ids are strings, but some clients write numbers.
    fn reply_to(&self) -> Option<u64> {
        let id = self.message_reference.as_ref()?.message_id?.get();
        let unquoted = id.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
        snowflake(unquoted.unwrap_or(id))
    }
}

/// An id: digits, and not zero.
fn snowflake(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| is_digits && *id != 0)
}

/// The path without its query, the API's base and version, and a slash at the end.
pub fn resource(path: &str) -> &str {
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

/// Success without a body.
fn nothing() -> Response {
    Response {
        status: 204,
        headers: Vec::new(),
        body: Vec::new(),
    }
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

    fn response_to(request: &Request) -> Response {
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
            asked: 7,
        };
        answer(request, &about)
    }

    fn request(method: &str, path: &str, authorization: Option<&str>, body: &str) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            authorization: authorization.map(str::to_owned),
            body: body.as_bytes().to_vec(),
        }
    }

    fn asked(method: &str, path: &str, authorization: Option<&str>) -> (u16, String) {
        let response = response_to(&request(method, path, authorization, ""));
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
            assert_eq!(asked("GET", path, None), expected, "{path}");
        }
    }

    #[test]
    fn a_bot_is_told_its_shards_and_its_limit() {
        let (status, body) = asked("GET", "/api/v10/gateway/bot", AUTHORIZED);
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
                assert_eq!(asked("GET", path, authorization), unauthorized, "{path}");
            }
            assert_eq!(asked("GET", path, AUTHORIZED).0, 200, "{path}");
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
            asked("GET", "/api/users/@me", AUTHORIZED).1,
            r#"{"id":"1216348160000000000","username":"gwtool","discriminator":"0","global_name":null,"avatar":null,"bot":true,"verified":true,"mfa_enabled":false,"flags":0,"email":null}"#
        );
        let application = asked("GET", "/oauth2/applications/@me", AUTHORIZED).1;
        assert!(application.starts_with(r#"{"id":"1216348160000000000","name":"gwtool","#));
    }

    #[test]
    fn everything_else_succeeds_with_nothing() {
        for (method, path) in [
            ("GET", "/api/v10/channels/1/messages"),
            ("GET", "/channels/general"),
            ("POST", "/channels/0/messages"),
            ("POST", "/channels/1/messages/2/crosspost"),
            ("POST", "/channels/x/typing"),
            ("PATCH", "/guilds/1"),
            ("GET", "/guilds/1/roles"),
            ("GET", "/users/@me/guilds"),
        ] {
            assert_eq!(asked(method, path, None), (200, "{}".to_owned()), "{path}");
        }
        assert_eq!(asked("POST", "/gateway", None), (200, "{}".to_owned()));
        assert_eq!(asked("GET", "", None), (200, "{}".to_owned()));
        assert_eq!(
            asked("PUT", "/api/v10/applications/1/commands", None),
            (200, "[]".to_owned())
        );
    }

    #[test]
    fn a_message_is_written_and_comes_back() {
        let path = "/api/v10/channels/1258291200000000001/messages";
        let message = |body: &str| -> serde_json::Value {
            let response = response_to(&request("POST", path, AUTHORIZED, body));
            assert_eq!(response.status, 200);
            serde_json::from_slice(&response.body).unwrap()
        };
        let reply = message(
            r#"{"content":"p\u00f6ng","nonce":5,"tts":false,"message_reference":{"message_id":"1468006400000000002"}}"#,
        );
        assert_eq!(
            reply["id"], "1509949440000000007",
            "the seventh request made it"
        );
        assert_eq!(reply["channel_id"], "1258291200000000001");
        assert_eq!(reply["author"]["id"], "1216348160000000000");
        assert_eq!(
            (&reply["content"], &reply["nonce"]),
            (&"pöng".into(), &5.into())
        );
        assert_eq!(
            reply["message_reference"]["message_id"],
            "1468006400000000002"
        );
        // Without a text, without anything, files, and something else.
        for body in [r#"{"embeds":[{}]}"#, "", "--x\r\n", "[]"] {
            assert_eq!(message(body)["content"], "", "{body}");
        }
    }

    #[test]
    fn what_has_no_answer_but_success_has_no_body() {
        for path in [
            "/api/v10/channels/1/typing",
            "/interactions/5/aW50ZXJhY3Rpb24/callback",
        ] {
            let response = response_to(&request("POST", path, AUTHORIZED, "{}"));
            assert_eq!(
                (response.status, response.body),
                (204, Vec::new()),
                "{path}"
            );
        }
    }

    #[test]
    fn channels_guilds_and_users_are_what_is_asked_for() {
        let kinds = [
            ("channels", "name", "general"),
            ("guilds", "name", "gwtool"),
            ("users", "username", "somebody"),
        ];
        for (kind, key, name) in kinds {
            let (status, body) = asked("GET", &format!("/api/v10/{kind}/81384788765712384"), None);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &body["id"]), (200, &"81384788765712384".into()));
            assert_eq!(body[key], name);
        }
        assert_eq!(
            asked("GET", "/users/1216348160000000000", None).1,
            r#"{"id":"1216348160000000000","username":"gwtool","discriminator":"0","global_name":null,"avatar":null,"bot":true}"#
        );
    }

    #[test]
    fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
        let status = |length| {
            let body = "x".repeat(length);
            response_to(&request("POST", "/channels/1/messages", None, &body)).status
        };
        assert_eq!((status(BODY_MAX), status(BODY_MAX + 1)), (200, 413));
    }

    /// What a message shows that is written into our channel.
    fn shown(body: &str) -> Option<u64> {
        let path = "/api/v10/channels/1258291200000000001/messages?x=1";
        answered(&request("POST", path, None, body))
    }

    #[test]
    fn a_reply_shows_that_its_message_arrived() {
        let reply = |id: &str, content: &str| {
            shown(&format!(
                r#"{{"content":"{content}","message_reference":{{"message_id":{id},"fail_if_not_exists":false}}}}"#
            ))
        };
        assert_eq!(reply("\"1468006400000000002\"", "pong"), Some(2));
        assert_eq!(
            reply("1468006400000000002", "3"),
            Some(2),
            "what it refers to counts first"
        );
        // One that is no message, the bot's own, nothing.
        for id in [
            "\"1468006400000000000\"",
            "\"1509949440000000007\"",
            "\"\"",
            "null",
        ] {
            assert_eq!(reply(id, "pong"), None, "{id}");
            assert_eq!(reply(id, "12"), Some(12), "{id}");
        }
        assert_eq!(shown(r#"{"message_reference":{},"content":null}"#), None);
    }

    #[test]
    fn a_text_shows_a_number_only_if_it_has_one() {
        let cases = [
            ("12", Some(12)),
            ("echo: 12", Some(12)),
            ("got `12`!", Some(12)),
            ("**12**, that is", Some(12)),
            ("12 (1468006400000000012)", Some(12)),
            ("1468006400000000012", Some(12)),
            ("4294967295", Some(4_294_967_295)),
            ("4294967296", None),
            ("99999999999999999999", None),
            ("12 13", None),
            ("12 (1468006400000000013)", None),
            ("1.5", None),
            ("1.1", None),
            ("v2", None),
            ("42ms", None),
            ("-12", None),
            ("<@12> hello", None),
            ("012", None),
            ("0", None),
            ("x² 12", None),
            ("٤", None),
            ("pong", None),
            ("", None),
        ];
        for (content, number) in cases {
            let body = serde_json::json!({ "content": content }).to_string();
            assert_eq!(shown(&body), number, "{content}");
        }
    }

    #[test]
    fn nothing_but_a_new_message_is_an_answer() {
        let cases = [
            ("PATCH", "/channels/1/messages"),
            ("POST", "/channels/1/messages/2"),
            ("POST", "/channels/x/messages"),
            ("POST", "/channels/1/typing"),
            ("POST", "/webhooks/1/messages"),
        ];
        for (method, path) in cases {
            let request = request(method, path, None, r#"{"content":"12"}"#);
            assert_eq!(answered(&request), None, "{method} {path}");
        }
        assert_eq!(shown("content=12"), None);
        assert_eq!(shown(r#"{"content":12}"#), None);
    }

    #[test]
    fn only_whole_segments_are_a_base_or_a_version() {
        assert_eq!(resource("/apiary/gateway"), "/apiary/gateway");
        assert_eq!(resource("/voice/regions"), "/voice/regions");
        assert_eq!(resource("/v/gateway"), "/v/gateway");
        assert_eq!(resource("/api/v9/users/@me"), "/users/@me");
    }
}
