//! News of `gwtool connect` as lines, for people and for programs.

use super::escape::{escape, shorten};
use super::style::{BAD, FAINT, FAULT, GOOD, HEADING};
use super::{ago, plural, timeline};
use crate::machine::Level;
pub use crate::news::{Finish, News, RoundTrips, Summary, What};
use crate::time::{Duration, Instant, show};
use serde_json::json;
use std::fmt::Write as _;

/// How many kinds of events one line names.
const EVENTS_SHOWN: usize = 6;

/// How much is shown of what the far end said when it refused: enough for any error page's point.
const SAID_LINES: usize = 30;
const SAID_WIDTH: usize = 300;

/// One piece of news as a line.
pub fn line(news: &News) -> String {
    let at = news.at;
    let plain = |connection: Option<u32>, text: &str| {
        let connection = connection.map_or_else(String::new, |n| format!("#{n}"));
        format!("{at:>10}  {connection:<3} {text}\n")
    };
    match &news.what {
        What::State { state } => plain(None, &format!("{HEADING}{}{HEADING:#}", escape(state))),
        What::Connecting { connection, url } => plain(
            Some(*connection),
            &format!("connects to {}", shorten(url, 160)),
        ),
        What::Hello {
            connection,
            interval,
        } => plain(
            Some(*connection),
            &format!("HELLO, a heartbeat every {}", show(*interval)),
        ),
        What::Ready {
            connection,
            session,
            resume_url,
        } => plain(
            Some(*connection),
            &format!(
                "{GOOD}READY{GOOD:#}, session {}, to be resumed at {}",
                shorten(session, 64),
                shorten(resume_url, 160)
            ),
        ),
        What::Resumed {
            connection,
            replayed,
        } => plain(
            Some(*connection),
            &format!("{GOOD}RESUMED{GOOD:#}, {replayed} replayed"),
        ),
        What::Heartbeat {
            connection,
            round_trip,
        } => plain(
            Some(*connection),
            &format!("{FAINT}heartbeat ACKed in {}{FAINT:#}", show(*round_trip)),
        ),
        What::Events { counts, seq } => {
            let seq = seq.map_or_else(String::new, |seq| format!(", up to s={seq}"));
            plain(None, &format!("{FAINT}{}{seq}{FAINT:#}", events(counts)))
        }
        What::Ended {
            connection,
            end,
            close,
        } => {
            let mut text = escape(&end.to_string()).into_owned();
            if let Some((code, reason)) = close {
                let _ = write!(text, ": Close {}", timeline::close(*code, reason));
            }
            plain(Some(*connection), &format!("{FAULT}ended{FAULT:#}: {text}"))
        }
        What::Reconnect {
            cause,
            after,
            resumes,
        } => {
            let how = if *resumes { "resume" } else { "identify" };
            plain(
                None,
                &format!(
                    "{FAULT}reconnects{FAULT:#} in {} to {how}: {}",
                    show(*after),
                    escape(cause)
                ),
            )
        }
        What::Log { level, text } => {
            let level = word(*level);
            plain(
                None,
                &format!("{FAINT}  | {level}: {}{FAINT:#}", escape(text)),
            )
        }
    }
}

/// The last lines: how it ended, and the figures.
pub fn summary(summary: &Summary) -> String {
    let mut text = match &summary.finish {
        Finish::Asked => format!("{GOOD}ended as asked{GOOD:#}\n"),
        Finish::NeverReady => format!("{FAULT}ended before READY{FAULT:#}\n"),
        Finish::Fatal { code, reason } => format!(
            "{BAD}ended by the gateway{BAD:#}: Close {}; nobody may come back after this code\n",
            timeline::close(Some(*code), reason)
        ),
        Finish::Unreachable { why, said } => {
            let mut text = format!("{BAD}no connection{BAD:#}: {}\n", escape(why));
            for line in said.iter().take(SAID_LINES) {
                let _ = writeln!(text, "  {FAINT}|{FAINT:#} {}", shorten(line, SAID_WIDTH));
            }
            if let Some(more) = said.len().checked_sub(SAID_LINES).filter(|more| *more > 0) {
                let _ = writeln!(text, "  {FAINT}… {}{FAINT:#}", plural(more, "more line"));
            }
            text
        }
        Finish::GaveUp { reason } => {
            format!("{BAD}the client gave up{BAD:#}: {}\n", escape(reason))
        }
    };
    let _ = writeln!(
        text,
        "watched {}: connections {}, identifies {}, resumes {}",
        ago(summary.watched),
        summary.connections,
        summary.identifies,
        summary.resumes
    );
    if let Some(trips) = summary.round_trips {
        let _ = writeln!(
            text,
            "heartbeats ACKed: {}, in {} to {}, {} in the median",
            trips.count,
            show(trips.min),
            show(trips.max),
            show(trips.median)
        );
    }
    if !summary.events.is_empty() {
        let _ = writeln!(text, "events: {}", events(&summary.events));
    }
    text
}

/// Counts by name: `12 MESSAGE_CREATE, 3 TYPING_START and 2 other kinds`.
fn events(counts: &[(String, u64)]) -> String {
    let mut shown: Vec<String> = counts
        .iter()
        .take(EVENTS_SHOWN)
        .map(|(name, n)| format!("{n} {}", shorten(name, 64)))
        .collect();
    match counts.len().saturating_sub(EVENTS_SHOWN) {
        0 => {}
        1 => shown.push("1 other kind".to_owned()),
        n => shown.push(format!("{n} other kinds")),
    }
    shown.join(", ")
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// One piece of news as a line of JSON.
pub fn json_line(news: &News) -> String {
    let at_ms = Instant::since(news.at, Instant::ZERO).as_millis();
    let what = match &news.what {
        What::State { state } => json!({"state": state}),
        What::Connecting { connection, url } => {
            json!({"connecting": {"connection": connection, "url": url}})
        }
        What::Hello {
            connection,
            interval,
        } => {
            json!({"hello": {"connection": connection, "interval_ms": interval.as_millis()}})
        }
        What::Ready {
            connection,
            session,
            resume_url,
        } => json!({"ready": {
            "connection": connection, "session": session, "resume_url": resume_url}}),
        What::Resumed {
            connection,
            replayed,
        } => json!({"resumed": {"connection": connection, "replayed": replayed}}),
        What::Heartbeat {
            connection,
            round_trip,
        } => json!({"heartbeat": {"connection": connection, "round_trip_ms": millis(*round_trip)}}),
        What::Events { counts, seq } => json!({"events": by_name(counts), "sequence": seq}),
        What::Ended {
            connection,
            end,
            close,
        } => {
            let close = close
                .as_ref()
                .map(|(code, reason)| json!({"code": code, "reason": reason}));
            json!({"ended": {"connection": connection, "how": end.to_string(), "close": close}})
        }
        What::Reconnect {
            cause,
            after,
            resumes,
        } => json!({"reconnect": {
            "cause": cause, "after_ms": millis(*after), "resumes": resumes}}),
        What::Log { level, text } => json!({"log": {"level": word(*level), "text": text}}),
    };
    format!("{}\n", json!({"at_ms": at_ms, "what": what}))
}

/// The summary as a line of JSON.
pub fn json_summary(summary: &Summary) -> String {
    let finish = match &summary.finish {
        Finish::Asked => json!("asked"),
        Finish::NeverReady => json!("never-ready"),
        Finish::Fatal { code, reason } => json!({"fatal": {"code": code, "reason": reason}}),
        Finish::Unreachable { why, said } => json!({"unreachable": {"why": why, "said": said}}),
        Finish::GaveUp { reason } => json!({"gave-up": reason}),
    };
    let trips = summary.round_trips.map(|trips| {
        json!({"count": trips.count, "min_ms": millis(trips.min),
            "median_ms": millis(trips.median), "max_ms": millis(trips.max)})
    });
    let summary = json!({"summary": {
        "finish": finish,
        "watched_ms": millis(summary.watched),
        "connections": summary.connections,
        "identifies": summary.identifies,
        "resumes": summary.resumes,
        "round_trips": trips,
        "events": by_name(&summary.events),
    }});
    format!("{summary}\n")
}

fn by_name(counts: &[(String, u64)]) -> serde_json::Map<String, serde_json::Value> {
    let entries = counts.iter().map(|(name, n)| (name.clone(), json!(n)));
    entries.collect()
}

/// Milliseconds with their fraction: a round trip on this machine is a small part of one.
fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::End;
    use crate::protocol::CloseCode;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn news(what: What) -> News {
        News {
            at: Instant::from_nanos(12_400_000_000),
            what,
        }
    }

    fn ended() -> News {
        news(What::Ended {
            connection: 2,
            end: End::Closed,
            close: Some((Some(CloseCode(4000)), "try\x1b[2J again".to_owned())),
        })
    }

    #[test]
    fn an_ending_tells_the_gateways_words_and_lets_none_of_them_act() {
        assert_eq!(
            plain(&line(&ended())),
            "   12.400s  #2  ended: closed: Close 4000 (unknown error) \"try\\u{1b}[2J again\"\n"
        );
    }

    #[test]
    fn a_reconnect_tells_cause_wait_and_whether_it_resumes() {
        let reconnect = What::Reconnect {
            cause: "no ACK within the interval".to_owned(),
            after: Duration::from_millis(250),
            resumes: true,
        };
        assert_eq!(
            plain(&line(&news(reconnect))),
            "   12.400s      reconnects in 250ms to resume: no ACK within the interval\n"
        );
    }

    #[test]
    fn programs_get_one_json_value_a_line() {
        for line in [json_line(&ended()), json_summary(&ended_summary())] {
            assert_eq!(line.lines().count(), 1);
            assert!(
                serde_json::from_str::<serde_json::Value>(&line).is_ok(),
                "{line}"
            );
        }
    }

    fn ended_summary() -> Summary {
        let events = (1..=8_u64).map(|n| (format!("EVENT_{n}"), 10 - n));
        Summary {
            finish: Finish::Fatal {
                code: CloseCode::AUTHENTICATION_FAILED,
                reason: "Authentication failed.".to_owned(),
            },
            watched: Duration::from_secs(90),
            connections: 2,
            identifies: 1,
            resumes: 1,
            round_trips: Some(RoundTrips {
                count: 3,
                min: Duration::from_millis(20),
                median: Duration::from_millis(30),
                max: Duration::from_millis(50),
            }),
            events: events.collect(),
        }
    }

    #[test]
    fn the_summary_says_how_it_ended_and_gives_the_figures() {
        insta::assert_snapshot!(plain(&summary(&ended_summary())), @r#"
        ended by the gateway: Close 4004 (authentication failed) "Authentication failed."; nobody may come back after this code
        watched 1m 30s: connections 2, identifies 1, resumes 1
        heartbeats ACKed: 3, in 20ms to 50ms, 30ms in the median
        events: 9 EVENT_1, 8 EVENT_2, 7 EVENT_3, 6 EVENT_4, 5 EVENT_5, 4 EVENT_6, 2 other kinds
        "#);
    }
}
