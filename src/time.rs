//! Time as a run sees it: instants since the run began, and durations that may be written in I.
//!
//! Everything that is pure takes its time from here. An [`Instant`] is a number that somebody passes in; nothing in this
//! file, or in any file that uses it, can read a clock. A [`Span`] is a duration as a scenario writes it (`250ms`, `1.5I`,
//! `1I+30ms`), a [`SpanRange`] is one that the seed draws (`1I..2I`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;
pub use std::time::Duration;
use thiserror::Error;

/// A moment of a run, counted in nanoseconds since the run began.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// The moment at which a run begins.
    pub const ZERO: Self = Self(0);
    /// Later than anything that can happen in a run (584 years).
    pub const FOREVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the run began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `duration` before this one, or the beginning of the run.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// Whole nanoseconds, saturating: a run does not last 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    /// Seconds with three digits: `12.400s`. Rounds down, so that a time never shows as later than it was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{}.{:03}s",
            self.0 / 1_000_000_000,
            self.0 / 1_000_000 % 1_000
        );
        f.pad(&text)
    }
}

/// A duration that may be written in heartbeat intervals: `1.5I`, `250ms`, `1I+30ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Millionths of the heartbeat interval in force.
    micro_intervals: u64,
    fixed: Duration,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self {
        micro_intervals: 0,
        fixed: Duration::ZERO,
    };

    /// A duration that does not scale with I.
    pub const fn fixed(fixed: Duration) -> Self {
        Self {
            micro_intervals: 0,
            fixed,
        }
    }

    /// `n` whole heartbeat intervals.
    pub const fn intervals(n: u64) -> Self {
        Self {
            micro_intervals: n * 1_000_000,
            fixed: Duration::ZERO,
        }
    }

    /// Whether it scales with I.
    pub const fn is_scaled(self) -> bool {
        self.micro_intervals != 0
    }

    /// The duration this is at a heartbeat interval of `interval`.
    pub fn at(self, interval: Duration) -> Duration {
        let scaled = u128::from(self.micro_intervals) * interval.as_nanos() / 1_000_000;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX)).saturating_add(self.fixed)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.micro_intervals == 0 {
            return f.write_str(&show(self.fixed));
        }
        let (whole, part) = (
            self.micro_intervals / 1_000_000,
            self.micro_intervals % 1_000_000,
        );
        write!(f, "{whole}")?;
        if part != 0 {
            let digits = format!("{part:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("I")?;
        if self.fixed.is_zero() {
            Ok(())
        } else {
            write!(f, "+{}", show(self.fixed))
        }
    }
}

/// A duration as people write it, and as [`Span`] reads it: the largest unit that leaves at most three decimals.
pub fn show(duration: Duration) -> String {
    let n = duration.as_nanos();
    let (unit, name) = match n {
        0 => return "0s".to_owned(),
        n if n % 60_000_000_000 == 0 => (60_000_000_000, "m"),
        n if n >= 1_000_000_000 => (1_000_000_000, "s"),
        n if n >= 1_000_000 => (1_000_000, "ms"),
        n if n >= 1_000 => (1_000, "us"),
        _ => (1, "ns"),
    };
    let thousandths = n * 1_000 / unit;
    let (whole, part) = (thousandths / 1_000, thousandths % 1_000);
    if part == 0 {
        return format!("{whole}{name}");
    }
    let digits = format!("{part:03}");
    format!("{whole}.{}{name}", digits.trim_end_matches('0'))
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpanError {
    /// There is nothing to read.
    #[error("expected a duration, found nothing")]
    Empty,
    /// A number was expected.
    #[error("expected a number and a unit, found `{0}`")]
    NotANumber(String),
    /// The number has no unit behind it.
    #[error("`{0}` has no unit")]
    NoUnit(String),
    /// The unit is none of ours.
    #[error("unknown unit `{0}`")]
    UnknownUnit(String),
    /// Durations do not run backwards.
    #[error("a duration cannot be negative: `{0}`")]
    Negative(String),
    /// The second end of a range is before the first.
    #[error("a range must not end before it begins: `{0}`")]
    Backwards(String),
    /// The number does not fit.
    #[error("a duration of more than 100 years: `{0}`")]
    TooLong(String),
}

impl SpanError {
    /// What to write instead.
    pub const HINT: &'static str = "write `250ms`, `3s`, `2m`, `1.5I` (heartbeat intervals), a sum `1I+30ms`, or a range `1I..2I`";
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        if text.trim().is_empty() {
            return Err(SpanError::Empty);
        }
        let mut sum = Self::ZERO;
        for part in text.split('+') {
            let part = part.trim();
            if part.starts_with('-') {
                return Err(SpanError::Negative(part.to_owned()));
            }
            let end = part
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .unwrap_or(part.len());
            let (number, unit) = part.split_at(end);
            let micros =
                millionths(number).ok_or_else(|| SpanError::NotANumber(part.to_owned()))?;
            let scale: u128 = match unit.trim() {
                "" => return Err(SpanError::NoUnit(part.to_owned())),
                "I" => {
                    let micros = u64::try_from(micros)
                        .ok()
                        .filter(|m| *m <= 1_000_000 * 1_000_000);
                    let micros = micros.ok_or_else(|| SpanError::TooLong(part.to_owned()))?;
                    sum.micro_intervals += micros;
                    continue;
                }
                "ns" => 1,
                "us" | "µs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                other => return Err(SpanError::UnknownUnit(other.to_owned())),
            };
            let century = 100 * 365 * 86_400 * 1_000_000_000_u128;
            let nanos = micros
                .checked_mul(scale)
                .map(|n| n / 1_000_000)
                .filter(|n| *n <= century);
            let nanos = nanos
                .and_then(|n| u64::try_from(n).ok())
                .ok_or_else(|| SpanError::TooLong(part.to_owned()))?;
            sum.fixed += Duration::from_nanos(nanos);
        }
        Ok(sum)
    }
}

/// A decimal number in millionths; digits beyond the sixth are dropped.
fn millionths(number: &str) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && part.is_empty()) || part.contains('.') {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let digits: String = part.chars().chain(std::iter::repeat('0')).take(6).collect();
    whole
        .checked_mul(1_000_000)?
        .checked_add(digits.parse().ok()?)
}

/// A duration that the seed draws from a range with both ends included; a single span is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanRange {
    /// The shortest that may be drawn.
    pub min: Span,
    /// The longest that may be drawn.
    pub max: Span,
}

impl From<Span> for SpanRange {
    fn from(span: Span) -> Self {
        Self {
            min: span,
            max: span,
        }
    }
}

impl fmt::Display for SpanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            self.min.fmt(f)
        } else {
            write!(f, "{}..{}", self.min, self.max)
        }
    }
}

impl FromStr for SpanRange {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let Some((min, max)) = text.split_once("..") else {
            return text.parse::<Span>().map(Self::from);
        };
        let range = Self {
            min: min.parse()?,
            max: max.parse()?,
        };
        // Ends that mix units can only be compared once I is known; at I = 1 s most mistakes show.
        let second = Duration::from_secs(1);
        let comparable = range.min.is_scaled() == range.max.is_scaled();
        if comparable && range.min.at(second) > range.max.at(second) {
            return Err(SpanError::Backwards(text.to_owned()));
        }
        Ok(range)
    }
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(Span, SpanRange);

#[cfg(test)]
mod tests {
    use super::*;

    fn at_two_seconds(text: &str) -> Duration {
        text.parse::<Span>().unwrap().at(Duration::from_secs(2))
    }

    #[test]
    fn spans_are_read_in_time_and_in_intervals() {
        assert_eq!(at_two_seconds("250ms"), Duration::from_millis(250));
        assert_eq!(at_two_seconds("1.5I"), Duration::from_secs(3));
        assert_eq!(at_two_seconds("1I+30ms"), Duration::from_millis(2030));
        assert_eq!(at_two_seconds("0.1I + 2m"), Duration::from_millis(120_200));
    }

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in [
            "0s", "250ms", "1.5I", "1I+30ms", "2m", "41.25s", "0.4I", "90.5s",
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1I..2I".parse::<SpanRange>().unwrap().to_string(), "1I..2I");
    }

    #[test]
    fn what_is_no_duration_is_named() {
        let error = |text: &str| text.parse::<SpanRange>().unwrap_err().to_string();
        assert_eq!(error(""), "expected a duration, found nothing");
        assert_eq!(error("12"), "`12` has no unit");
        assert_eq!(error("soon"), "expected a number and a unit, found `soon`");
        assert_eq!(error("3 lightyears"), "unknown unit `lightyears`");
        assert_eq!(error("-1s"), "a duration cannot be negative: `-1s`");
        assert_eq!(
            error("2I..1I"),
            "a range must not end before it begins: `2I..1I`"
        );
        assert_eq!(
            error("99999999999d"),
            "a duration of more than 100 years: `99999999999d`"
        );
    }

    #[test]
    fn instants_show_seconds_and_never_round_up() {
        assert_eq!(Instant::from_nanos(12_400_999_999).to_string(), "12.400s");
    }
}
