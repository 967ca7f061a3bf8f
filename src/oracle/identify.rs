//! Rules about IDENTIFY: I1 to I6, and B4, which counts them.
//!
//! (I7 is about RESUME and is judged in `resume.rs`.) Spacing and counts are those of one life of the subject: a program that
//! was killed and started again cannot know when it last identified.

use super::docket::Docket;
use super::rules::Rule;
use super::view::View;
use crate::protocol::{Intents, Json};
use crate::time::{Duration, Instant, show};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The time in which a rate limit key may be used once.
const SPACING: Duration = Duration::from_secs(5);
/// The time over which IDENTIFYs are counted, and how many it may have: one every 5 s.
const STORM: (Duration, usize) = (Duration::from_mins(1), 12);

/// What the judge remembers of IDENTIFYs.
#[derive(Debug, Default)]
pub(super) struct Identified {
    /// The shard count of the first one in this life.
    count: Option<u32>,
    life: u32,
    /// Whether the subject asked how many it may send.
    pub(super) asked_limit: bool,
    total: u32,
    /// When it first sent more than there were, without ever having asked how many there are.
    pub(super) overdrawn: Option<Instant>,
}

/// The fields of IDENTIFY, unread.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    intents: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    shard: Option<&'a RawValue>,
    #[serde(borrow)]
    large_threshold: Option<&'a RawValue>,
}

/// Properties under their documented or their older names.
#[derive(Deserialize)]
struct Properties {
    #[serde(alias = "$os")]
    os: Option<String>,
    #[serde(alias = "$browser")]
    browser: Option<String>,
    #[serde(alias = "$device")]
    device: Option<String>,
}

/// What is wrong with the fields of an IDENTIFY, if anything is.
fn fault(fields: &Fields<'_>) -> Option<&'static str> {
    let text = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get().starts_with('"'));
    let properties = fields
        .properties
        .map(|raw| serde_json::from_str::<Properties>(raw.get()));
    if !text(fields.token) {
        return Some("a `token` that is a string");
    }
    if fields
        .intents
        .is_none_or(|raw| raw.get().parse::<u64>().is_err())
    {
        return Some("`intents` that are an integer");
    }
    match properties {
        Some(Ok(p)) if p.os.is_some() && p.browser.is_some() && p.device.is_some() => {}
        _ => return Some("`properties` with `os`, `browser` and `device`"),
    }
    let threshold = fields.large_threshold.filter(|raw| raw.get() != "null");
    // The documentation says 50, the service takes 25.
    let is_sane = |raw: &RawValue| {
        raw.get()
            .parse()
            .is_ok_and(|n: u32| (25..=250).contains(&n))
    };
    if threshold.is_some_and(|raw| !is_sane(raw)) {
        return Some("a `large_threshold` from 50 to 250");
    }
    None
}

/// The subject sent IDENTIFY. Gives the shard that it named.
pub(super) fn identify(
    view: &mut View,
    known: &mut Identified,
    docket: &mut Docket,
    number: u32,
    d: &Json,
) -> Option<u32> {
    let now = view.shared.now;
    let sent = |rule: Rule, docket: &mut Docket, expected: &str| {
        docket.broken(rule, now, Some(number), || {
            (format!("sent IDENTIFY on #{number}"), expected.to_owned())
        });
    };
    let Ok(fields) = d.read::<Fields<'_>>() else {
        sent(Rule::I2, docket, "an object as its payload");
        return None;
    };
    match fault(&fields) {
        Some(expected) => sent(Rule::I2, docket, expected),
        None => docket.kept(Rule::I2),
    }
    let intents = fields.intents.and_then(|raw| raw.get().parse().ok());
    if let Some(intents) = intents.map(Intents) {
        if intents.has_unknown() {
            docket.broken(Rule::I3, now, Some(number), || {
                let unknown = intents.0 & !Intents::ALL.0;
                (
                    format!("asked for the unknown intents {unknown:#x} on #{number}"),
                    "documented intents only".to_owned(),
                )
            });
        } else {
            docket.kept(Rule::I3);
        }
    }
    if known.life != view.shared.life {
        *known = Identified {
            life: view.shared.life,
            asked_limit: known.asked_limit,
            total: known.total,
            overdrawn: known.overdrawn,
            count: None,
        };
    }
    let shard = shard(known, docket, now, number, fields.shard);
    // Two processes need not wait for each other; and what a fault has held back was written who knows when.
    let is_apart = view.place(number).is_some_and(|place| {
        let connection = &view.connections[place];
        connection.is_foreign(&view.shared) || connection.damage.is_unseen
    });
    if !is_apart {
        space(view, docket, number, shard);
    }
    known.total += 1;
    let limit = view.shared.limit;
    let windows = now.as_nanos() / nanos(limit.reset_after).max(1) + 1;
    let allowed = u64::from(limit.starts).saturating_mul(windows);
    let is_beyond = u64::from(known.total) > allowed;
    if is_beyond && !known.asked_limit {
        known.overdrawn.get_or_insert(now);
    }
    if known.asked_limit {
        if is_beyond {
            docket.broken(Rule::I6, now, Some(number), || {
                (
                    format!("sent IDENTIFY number {} on #{number}", known.total),
                    format!(
                        "no more than {} in {}",
                        limit.starts,
                        show(limit.reset_after)
                    ),
                )
            });
        } else {
            docket.kept(Rule::I6);
        }
    }
    shard
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Judges the pair, and gives the shard's id.
fn shard(
    known: &mut Identified,
    docket: &mut Docket,
    now: Instant,
    number: u32,
    raw: Option<&RawValue>,
) -> Option<u32> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let pair: Option<[u32; 2]> = serde_json::from_str(raw.get()).ok();
    let broken = |docket: &mut Docket, expected: String| {
        docket.broken(Rule::I4, now, Some(number), || {
            (
                format!("named the shard {} on #{number}", raw.get()),
                expected,
            )
        });
    };
    match pair {
        None => broken(docket, "a pair [id, count]".to_owned()),
        Some([id, count]) if id >= count => broken(docket, "an id below the count".to_owned()),
        Some([_, count]) if known.count.is_some_and(|first| first != count) => {
            let first = known.count.unwrap_or_default();
            broken(docket, format!("the count {first}, as before"));
        }
        Some([_, count]) => {
            known.count = Some(count);
            docket.kept(Rule::I4);
        }
    }
    pair.map(|[id, _]| id)
}

/// I5 and B4: how soon after the ones before.
fn space(view: &mut View, docket: &mut Docket, number: u32, shard: Option<u32>) {
    let now = view.shared.now;
    let epsilon = view.shared.epsilon(Duration::ZERO);
    let keys = view.shared.limit.max_concurrency.max(1);
    let key = |shard: Option<u32>| shard.unwrap_or(0) % keys;
    let same = |(_, other): &&(Instant, Option<u32>)| key(*other) == key(shard);
    let mut last = view.identifies.iter().rev().filter(same);
    if let Some((last, _)) = last.next() {
        let gap = now - *last;
        if gap + epsilon < SPACING {
            docket.broken(Rule::I5, now, Some(number), || {
                (
                    format!(
                        "sent IDENTIFY on #{number} {} after the one before",
                        show(gap)
                    ),
                    format!("at least {} between them", show(SPACING)),
                )
            });
        } else {
            docket.kept(Rule::I5);
        }
    }
    let (window, most) = STORM;
    let mut same = view.identifies.iter().rev().filter(same);
    // As many as fit at the legal spacing may each arrive a little early.
    if let Some((first, _)) = same.nth(most - 1) {
        let span = now - *first;
        if span < window.saturating_sub(6 * epsilon) {
            docket.broken(Rule::B4, now, Some(number), || {
                (
                    format!("sent {} IDENTIFYs in {}", most + 1, show(span)),
                    format!("at most {most} in {}", show(window)),
                )
            });
        } else {
            docket.kept(Rule::B4);
        }
    }
    view.identifies.push_back((now, shard));
    if view.identifies.len()
        > most
            * usize::try_from(view.shared.shards.max(keys))
                .unwrap_or(1)
                .min(64)
    {
        view.identifies.pop_front();
    }
}
