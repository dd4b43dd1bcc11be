//! A share of a whole as people write it, exact: no floating point. Whether a share makes sense where it stands (above zero,
//! at most the whole) is not judged here.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share: `10%`, `0.5%`, at most two decimals. Kept in hundredths of a percent (basis points).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    basis_points: u32,
}

/// Why a text is not a [`Percent`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePercentError {
    #[error(
        "a percentage is a number with at most two decimals and a percent sign, such as `10%` or `0.5%`"
    )]
    /// Not a number and `%`.
    Malformed,
    /// A number alone; which.
    #[error("a percentage needs its sign; did you mean `{0}%`?")]
    NoSign(String),
}

impl Percent {
    /// All of it.
    pub const WHOLE: Self = Self {
        basis_points: 10_000,
    };

    /// So many hundredths of a percent.
    pub const fn from_basis_points(basis_points: u32) -> Self {
        Self { basis_points }
    }

    /// So many percent.
    pub const fn from_percent(percent: u32) -> Self {
        Self {
            basis_points: percent * 100,
        }
    }

    /// In hundredths of a percent.
    pub const fn as_basis_points(self) -> u32 {
        self.basis_points
    }

    /// 1.0 is the whole.
    pub fn as_ratio(self) -> f64 {
        f64::from(self.basis_points) / 10_000.0
    }
}

impl FromStr for Percent {
    type Err = ParsePercentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%');
        let (whole, decimals) = number
            .unwrap_or(text)
            .split_once('.')
            .unwrap_or((number.unwrap_or(text), "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Five digits before the point keep the result within u32 and are more than anybody needs.
        if !digits(whole) || !digits(decimals) || whole.len() > 5 || decimals.len() > 2 {
            return Err(ParsePercentError::Malformed);
        }
        if number.is_none() {
            return Err(ParsePercentError::NoSign(text.to_owned()));
        }
        let whole: u32 = whole.parse().map_err(|_| ParsePercentError::Malformed)?;
        let hundredths: u32 = format!("{decimals:0<2}")
            .parse()
            .map_err(|_| ParsePercentError::Malformed)?;
        Ok(Self {
            basis_points: whole * 100 + hundredths,
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.basis_points / 100, self.basis_points % 100);
        match hundredths {
            0 => write!(f, "{whole}%"),
            _ if hundredths % 10 == 0 => write!(f, "{whole}.{}%", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as `10%`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }

            // `to: 10` is the commonest slip; whether 10 or 0.1 was meant only its author knows, so this is a question.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                Err(E::custom(ParsePercentError::NoSign(number.to_string())))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A share: `10%`, `0.5%`, at most two decimals.",
            "pattern": "^[0-9]{1,5}(\\.[0-9]{1,2})?%$",
        })
    }
}
