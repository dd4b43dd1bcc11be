//! Where a secret comes from. The value itself never enters these types, so it cannot leak through their `Debug` or serde.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::from_text;

/// A reference to a secret: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable of the process that deploys.
    Env(String),
    /// A file; a relative path is relative to `belay.yaml`. Its content is the value.
    File(PathBuf),
}

/// Why a text is not a [`SecretRef`]. The text is not repeated: it may be a secret that someone pasted in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSecretError {
    /// No `env:` or `file:` in front.
    #[error("a secret is a reference, `env:NAME` or `file:PATH`, never a value")]
    NoScheme,
    /// Another word in front; which.
    #[error("`{0}:` is not a source of secrets; known are `env:` and `file:`")]
    UnknownScheme(String),
    #[error(
        "the name after `env:` must be letters, digits and underscores and not start with a digit"
    )]
    /// Not the name of an environment variable.
    BadName,
    /// `file:` and nothing behind it.
    #[error("`file:` needs a path")]
    NoPath,
}

impl FromStr for SecretRef {
    type Err = ParseSecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => Err(ParseSecretError::BadName),
            Some(("file", "")) => Err(ParseSecretError::NoPath),
            Some(("file", path)) => Ok(Self::File(path.into())),
            // A pasted value such as `postgres://user:password@...` has a colon, too. Only a bare word without `//` behind
            // it can have been meant as a scheme, and only such a word is repeated.
            Some((word, rest)) if is_scheme(word) && !rest.starts_with("//") => {
                Err(ParseSecretError::UnknownScheme(word.to_owned()))
            }
            _ => Err(ParseSecretError::NoScheme),
        }
    }
}

/// POSIX names (IEEE 1003.1, 3.216): what every shell can export.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_scheme(word: &str) -> bool {
    (2..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(
            deserializer,
            "a reference to a secret, `env:NAME` or `file:PATH`",
        )
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A reference to a secret, never its value: `env:NAME` (environment variable of the process that deploys) \
                            or `file:PATH` (relative to `belay.yaml`).",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
        })
    }
}
