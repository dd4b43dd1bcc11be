//! The top of the file: the service, what is released, its settings and its environments.

use std::{collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Check, Environment, ReleaseSource, SecretRef};

/// `belay.yaml`: one service, what is released, and the environments it runs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service's name: 1 to 63 characters of a-z, 0-9 and `-`, neither first nor last a `-`.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub service: String,
    /// What is released.
    pub release: ReleaseSource,
    /// Settings that are part of every release, by the name of the environment variable. Numbers and booleans count as the
    /// text they are written as. Default: none.
    #[serde(
        default,
        deserialize_with = "literals",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Literals")]
    pub config: BTreeMap<String, String>,
    /// Secrets by the name of the environment variable: references, never values. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// What makes a release good, in every environment. Default: none, readiness is the only evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Check>,
    /// Where the service runs, by name: 1 to 63 characters of a-z, 0-9 and `-`.
    pub environments: BTreeMap<String, Environment>,
}

/// The name of the newtype that [`Config::config`]'s values ask a `Deserializer` for. A YAML deserializer that sees it hands
/// out a plain scalar as it is written: `1.10` stays `1.10`, which a number would not.
pub const LITERAL: &str = "belay::Literal";

/// A text, a number or a boolean, kept as it was written.
#[derive(JsonSchema)]
#[schemars(transform = scalar)]
pub(super) struct Literal(String);

fn scalar(schema: &mut Schema) {
    *schema = json_schema!({ "type": ["string", "number", "boolean"] });
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Literal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a boolean")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Literal, D::Error> {
                deserializer.deserialize_str(self)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Literal, E> {
                Ok(Literal(text.to_owned()))
            }
        }

        deserializer.deserialize_newtype_struct(LITERAL, Visitor)
    }
}

/// For `deserialize_with`: a map of settings whose scalars keep their text.
pub(super) fn literals<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let map = BTreeMap::<String, Literal>::deserialize(deserializer)?;
    Ok(map
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect())
}

/// For `schemars(with)` in the other module that has such a map.
pub(super) type Literals = BTreeMap<String, Literal>;
