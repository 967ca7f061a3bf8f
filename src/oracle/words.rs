//! What a program's last lines say: which one tells of an uncaught error, and whether one names a close code.
//!
//! Pure functions over lines. What the runtimes of several languages print when nobody caught an error is known here; a line of
//! a log that only looks alike costs a less telling message, and never a verdict. Naming a code is read generously: an exit
//! after a fatal close is in good order if the program said why in any words that a library has for it.

use crate::protocol::CloseCode;

/// Characters of a line that are kept as evidence.
pub(super) const LINE_MAX: usize = 200;
/// Characters of a message that are kept.
const MESSAGE_MAX: usize = 400;
/// What stands before the error's own words, in lower case. One may stand behind another.
const PREFIXES: [&str; 9] = [
    "error: uncaught ",
    "uncaught exception: ",
    "uncaught exception ",
    "uncaught ",
    "unhandled exception. ",
    "unhandled exception: ",
    "unhandled rejection: ",
    "(in promise) ",
    "exception in thread \"main\" ",
];

/// A text of no more than so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}

/// The last line that tells of an uncaught error: its place, and the error's own words.
pub(super) fn uncaught(lines: &[&str]) -> Option<(usize, String)> {
    (0..lines.len())
        .rev()
        .find_map(|place| telling(lines, place).map(|text| (place, cut(&text, MESSAGE_MAX))))
}

/// The last line that says anything.
pub(super) fn last(lines: &[&str]) -> Option<String> {
    let mut said = lines.iter().rev().filter(|line| !is_noise(line));
    said.next().map(|line| cut(line.trim(), MESSAGE_MAX))
}

/// What runtimes print around an error, and what says nothing.
fn is_noise(line: &str) -> bool {
    let line = line.trim();
    let is_drawing = line.chars().all(|c| "^~|{}[]()".contains(c));
    is_drawing || is_frame(line) || line.starts_with("Node.js v") || line.starts_with("note: ")
}

/// A line of a stack trace, as Node, the JVM and .NET write it.
fn is_frame(line: &str) -> bool {
    line.trim_start().starts_with("at ")
}

/// The error's own words, if this line has them.
fn telling(lines: &[&str], place: usize) -> Option<String> {
    let line = lines[place].trim_end();
    let next = lines.get(place + 1).copied().unwrap_or("");
    if line.starts_with(char::is_whitespace) {
        // C++ puts them on a line of their own.
        let what = line.trim_start().strip_prefix("what():")?;
        return Some(what.trim().to_owned());
    }
    if line.starts_with("thread ") && line.contains(" panicked at ") {
        let message = if is_noise(next) { "" } else { next.trim() };
        return Some(match (line.strip_suffix(':'), message) {
            (Some(_), message) if !message.is_empty() => format!("{line} {message}"),
            _ => line.to_owned(),
        });
    }
    if line.starts_with("panic: ") {
        return Some(line.to_owned());
    }
    let bare = without_prefixes(line);
    let is_announced = bare.len() < line.len();
    let has_stack = is_frame(next) && next.starts_with(char::is_whitespace);
    let follows_code = place > 0 && lines[place - 1].starts_with(char::is_whitespace);
    if let Some(class) = Class::of(bare) {
        let is_known =
            class.is_error() || class.is_qualified() && (is_announced || has_stack || follows_code);
        if is_known {
            return class.words(bare);
        }
    }
    if is_announced {
        return Some(bare.to_owned());
    }
    if has_stack {
        // A program's own handler may have put something before the error.
        let mut words = line.match_indices(' ').map(|(at, _)| &line[at + 1..]);
        let found = words.find_map(|rest| {
            let class = Class::of(rest).filter(|class| class.is_error() && class.has_text)?;
            class.words(rest)
        });
        return found.or_else(|| line.strip_prefix("error: ").map(str::to_owned));
    }
    // Ruby puts the class behind the words.
    let (words, class) = line.strip_suffix(')')?.rsplit_once(" (")?;
    let is_error = class.ends_with("Error") || class.ends_with("Exception");
    (is_error && !class.contains(' ') && words.contains(": ")).then(|| line.to_owned())
}

fn without_prefixes(mut line: &str) -> &str {
    loop {
        let found = PREFIXES.iter().find(|prefix| {
            line.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        });
        match found {
            Some(prefix) => line = &line[prefix.len()..],
            None => return line,
        }
    }
}

/// The name of an error's class at the beginning of a line.
#[derive(Debug, Clone, Copy)]
struct Class<'a> {
    name: &'a str,
    /// Where the words begin, behind the colon; the length of the line if there are none.
    text: usize,
    /// Whether a colon follows the name.
    has_text: bool,
    /// Whether a code in brackets follows the name, as Node and discord.js write it.
    has_code: bool,
}

impl<'a> Class<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '`');
        let end = line.find(|c| !is_part(c)).unwrap_or(line.len());
        let name = &line[..end];
        let mut rest = &line[end..];
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.ends_with('.');
        let mut has_code = false;
        if let Some((_, behind)) = rest
            .strip_prefix(" [")
            .and_then(|code| code.split_once(']'))
        {
            (rest, has_code) = (behind, true);
        }
        let has_text = rest.starts_with(": ") || rest == ":";
        (is_name && (has_text || rest.is_empty())).then(|| Self {
            name,
            text: line.len() - rest.len() + usize::from(has_text),
            has_text,
            has_code,
        })
    }

    /// The class without its package.
    fn last(&self) -> &'a str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    fn is_error(&self) -> bool {
        let ends = ["Error", "Exception", "Failure", "Interrupt"];
        ends.iter().any(|end| self.last().ends_with(end))
    }

    /// Whether it is a class in a package, which need not have error in its name.
    fn is_qualified(&self) -> bool {
        self.name.contains('.')
            && self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self.last().starts_with(|c: char| c.is_ascii_uppercase())
    }

    /// What the line says, without a class that says nothing.
    fn words(&self, line: &str) -> Option<String> {
        let text = line[self.text..].trim();
        let is_plain = self.name == "Error" && !self.has_code && !text.is_empty();
        let words = if is_plain { text } else { line.trim_end() };
        Some(words.to_owned()).filter(|words| !words.is_empty())
    }
}

/// Whether a line names a close code or what it means. The words are those that libraries have for the fatal ones.
pub(super) fn names(line: &str, code: CloseCode) -> bool {
    let line = line.to_lowercase();
    let has = |word: &str| line.contains(word);
    let any = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let has_number = line.match_indices(&code.to_string()).any(|(at, number)| {
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        !is_digit(line[..at].chars().next_back())
            && !is_digit(line[at + number.len()..].chars().next())
    });
    if has_number || has(&code.meaning().to_lowercase()) {
        return true;
    }
    let wrong = ["invalid", "improper", "incorrect", "wrong", "bad ", "fail"];
    match code {
        CloseCode::AUTHENTICATION_FAILED => {
            (has("token") || has("authenti") || has("login")) && any(&wrong) || has("unauthorized")
        }
        CloseCode::INVALID_SHARD => has("shard") && (any(&wrong) || has("shard id")),
        CloseCode::SHARDING_REQUIRED => has("sharding") || has("too many guilds"),
        CloseCode::INVALID_API_VERSION => {
            has("version") && (any(&wrong) || any(&["api", "gateway"]))
        }
        CloseCode::INVALID_INTENTS | CloseCode::DISALLOWED_INTENTS => {
            has("intent") || has("privileged")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<String> {
        let lines: Vec<&str> = text.lines().collect();
        uncaught(&lines).map(|(_, words)| words)
    }

    #[track_caller]
    fn says(text: &str, expected: &str) {
        assert_eq!(words(text).as_deref(), Some(expected));
    }

    const ZOMBIE: &str = "Attempted to reconnect zombie connection after disconnecting first (this shouldn't be possible)";

    #[test]
    fn node_says_it_before_the_stack() {
        says(
            &format!(
                "/bot/node_modules/carbon/GatewayPlugin.js:190\n            throw new Error(\"x\");\n                  ^\n\n\
                 Error: {ZOMBIE}\n    at reconnectCallback (file:///bot/a.js:1:2)\n    at Timeout._onTimeout (b.js:3)\n\nNode.js v20.19.0\n"
            ),
            ZOMBIE,
        );
        says(
            "node:internal/process/promises:394\n      triggerUncaughtException(err, true);\n      ^\n\nTypeError: x is not a function\n    at y (z.js:1:1)",
            "TypeError: x is not a function",
        );
        says(
            "node:events:497\n      throw er; // Unhandled 'error' event\n      ^\n\nError: connect ECONNREFUSED 127.0.0.1:1\n    at TCP (node:net:1)\nEmitted 'error' event on WebSocket instance at:\n    at emit (x.js:1)\n  errno: -111,\n  code: 'ECONNREFUSED',\n}\n\nNode.js v22.0.0",
            "connect ECONNREFUSED 127.0.0.1:1",
        );
        says(
            "DiscordjsError [TokenInvalid]: An invalid token was provided.\n    at login (x.js:1)",
            "DiscordjsError [TokenInvalid]: An invalid token was provided.",
        );
        says("Error [ERR_X]: text\n    at a (b)", "Error [ERR_X]: text");
        says("Uncaught Error: boom", "boom");
        says("Uncaught RangeError: boom", "RangeError: boom");
        says("Uncaught 'a string'", "'a string'");
        says(
            "error: Uncaught (in promise) Error: boom\n    at a (b)",
            "boom",
        );
        says("Error: first line\nsecond line\n    at a (b)", "first line");
        says("Error\n    at a (b)", "Error");
    }

    #[test]
    fn a_handler_of_the_programs_own_may_put_something_before_it() {
        says(
            &format!("[openclaw] fatal: Error: {ZOMBIE}\n    at a (b.js:1)"),
            ZOMBIE,
        );
        says(&format!("Uncaught exception: Error: {ZOMBIE}"), ZOMBIE);
        says(
            "12:01 gone: TypeError: no\n    at a (b.js:1)",
            "TypeError: no",
        );
    }

    #[test]
    fn python_says_it_at_the_end() {
        says(
            "Traceback (most recent call last):\n  File \"bot.py\", line 9, in <module>\n    bot.run(token)\ndiscord.errors.ConnectionClosed: Shard ID None WebSocket closed with 4014",
            "discord.errors.ConnectionClosed: Shard ID None WebSocket closed with 4014",
        );
        says(
            "Traceback (most recent call last):\n    x()\nValueError: bad",
            "ValueError: bad",
        );
        says(
            "Traceback (most recent call last):\n    x()\nKeyboardInterrupt",
            "KeyboardInterrupt",
        );
        says(
            "Traceback:\n    x()\ndiscord.errors.LoginFailure: Improper token has been passed.\nUnclosed client session",
            "discord.errors.LoginFailure: Improper token has been passed.",
        );
    }

    #[test]
    fn other_runtimes_have_their_ways() {
        says(
            "thread 'main' panicked at src/main.rs:5:9:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "thread 'main' panicked at src/main.rs:5:9: boom",
        );
        says(
            "thread 'main' panicked at 'boom', src/main.rs:5:9\nnote: run with `RUST_BACKTRACE=1`",
            "thread 'main' panicked at 'boom', src/main.rs:5:9",
        );
        says("Error: Fatal { code: 4004 }", "Fatal { code: 4004 }");
        says(
            "panic: runtime error: index out of range\n\ngoroutine 1 [running]:",
            "panic: runtime error: index out of range",
        );
        says(
            "Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n\t... 3 more",
            "java.lang.IllegalStateException: no",
        );
        says(
            "Unhandled exception. Discord.Net.HttpException: 401\n   at Discord.X()",
            "Discord.Net.HttpException: 401",
        );
        says(
            "bot.rb:3:in `run': no route (ArgumentError)",
            "bot.rb:3:in `run': no route (ArgumentError)",
        );
        says(
            "terminate called after throwing an instance of 'x'\n  what():  boom",
            "boom",
        );
    }

    #[test]
    fn lines_of_a_log_tell_of_no_error() {
        for line in [
            "INFO: ready",
            "Bot: ready",
            "gateway.Shard: connected",
            "2026-01-01 ERROR gateway closed",
            "Error handling is on",
            "",
        ] {
            assert_eq!(words(line), None, "{line}");
        }
        assert_eq!(
            last(&[
                "starting",
                "gave up",
                "    at x (y)",
                "      ^",
                "Node.js v20.1.0",
                ""
            ]),
            Some("gave up".to_owned())
        );
        assert_eq!(last(&["", "  "]), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("häh", 2), "hä …");
        assert_eq!(cut("häh", 3), "häh");
    }

    #[test]
    fn a_code_is_named_by_its_number_its_meaning_or_a_librarys_words() {
        for (code, line) in [
            (4004, "gateway closed (4004)"),
            (4004, "Authentication failed."),
            (
                4004,
                "discord.errors.LoginFailure: Improper token has been passed.",
            ),
            (
                4004,
                "DiscordjsError [TokenInvalid]: An invalid token was provided.",
            ),
            (4004, "Sent invalid authentication"),
            (4010, "Sent invalid shard data"),
            (4010, "Shard ID 3 is unknown"),
            (4011, "Shard has too many guilds, sharding is needed"),
            (4012, "the API version is not served any more"),
            (4013, "Invalid intent provided"),
            (4014, "Error: Used disallowed intents"),
            (
                4014,
                "discord.errors.PrivilegedIntentsRequired: enable them",
            ),
        ] {
            assert!(names(line, CloseCode(code)), "{code}: {line}");
        }
        for (code, line) in [
            (4004, "listening on port 40041"),
            (4004, "token loaded"),
            (4014, ZOMBIE),
            (4004, ZOMBIE),
            (4010, "shard 0 is ready"),
        ] {
            assert!(!names(line, CloseCode(code)), "{code}: {line}");
        }
    }
}
