//! What a `run` step runs: a command line where a text is written, a call over HTTP where a mapping is.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::CommandLine;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A command; done when it ends with exit code 0.
    Command(CommandLine),
    /// A request; done when it is answered with a status from 200 to 299.
    Http(HttpCall),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// Where: `http://` or `https://`.
    #[schemars(regex(pattern = "^https?://"))]
    pub url: String,
    /// How. Default: `POST`.
    #[serde(default = "post")]
    #[schemars(regex(pattern = "^[A-Z]+$"))]
    pub method: String,
    /// Headers by name. In a value `${NAME}` stands for the secret of that name under `secrets`, and only the name is kept; what
    /// else is there is kept in clear. `$${` is `${`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// The body. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

impl Call {
    /// In words: `run ./migrate`, `call POST https://example.org/drain`.
    pub fn title(&self) -> String {
        match self {
            Self::Command(line) => format!("run {line}"),
            Self::Http(call) => format!("call {} {}", call.method, call.url),
        }
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Command(line) => line.serialize(serializer),
            Self::Http(call) => call.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Call;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command line, or a mapping with `url`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Call, E> {
                text.parse().map(Call::Command).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Call, A::Error> {
                HttpCall::deserialize(de::value::MapAccessDeserializer::new(map)).map(Call::Http)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Call {
    fn schema_name() -> Cow<'static, str> {
        "Call".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let command = generator.subschema_for::<CommandLine>();
        let http = generator.subschema_for::<HttpCall>();
        json_schema!({
            "description": "A command line, or a mapping with `url` for a request.",
            "anyOf": [command, http],
        })
    }
}
