//! A length of time as people write it: one whole number and one unit. It is not a clock and never a point in time.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: `500ms`, `30s`, `5m`, `2h`, `1d`. Kept in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    ms: u64,
}

/// Why a text is not a [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Not a number and a unit.
    #[error("a duration is a whole number and a unit (ms, s, m, h, d), such as `30s`")]
    Malformed,
    /// A number alone; which.
    #[error("a duration needs a unit (ms, s, m, h, d); did you mean `{0}s`?")]
    NoUnit(String),
    /// More than fits.
    #[error("a duration must be shorter than 10 years")]
    TooLong,
}

/// Unit and its milliseconds, longest first, so that `Display` finds the shortest text.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Far below the point where adding two of them, or adding one to a clock, could overflow.
const LONGEST_MS: u64 = 10 * 365 * 86_400_000;

impl Duration {
    /// So many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { ms: secs * 1000 }
    }

    /// So many minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Self { ms: mins * 60_000 }
    }

    /// In milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.ms
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.ms)
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ParseDurationError::Malformed);
        }
        if unit.is_empty() {
            return Err(ParseDurationError::NoUnit(number.to_owned()));
        }
        let (_, unit_ms) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(ParseDurationError::Malformed)?;
        // Only digits are left, so the number can fail to parse in one way: by being too large.
        let number: u64 = number.parse().map_err(|_| ParseDurationError::TooLong)?;
        match number.checked_mul(*unit_ms) {
            Some(ms) if ms <= LONGEST_MS => Ok(Self { ms }),
            _ => Err(ParseDurationError::TooLong),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        for (name, unit_ms) in UNITS {
            if self.ms.is_multiple_of(unit_ms) {
                return write!(f, "{}{name}", self.ms / unit_ms);
            }
        }
        unreachable!("one millisecond divides everything")
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `30s`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }

            // `for: 5` is the commonest slip, so it gets the better of the two messages.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
                Err(E::custom(ParseDurationError::NoUnit(number.to_string())))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: `500ms`, `30s`, `5m`, `2h`, `1d`.",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}
