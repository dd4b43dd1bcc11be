//! The way by which users come in from outside a cluster, as a check names it.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::from_text;

/// An object of Kubernetes by which users come in from outside the cluster, in the namespace of the target: `ingress/api`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entrance {
    /// Its kind.
    pub kind: EntranceKind,
    /// What it is called.
    pub name: String,
}

/// Kinds of entrances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntranceKind {
    /// An Ingress.
    Ingress,
    /// An HTTPRoute of the Gateway API, whose parents are Gateways.
    HttpRoute,
    /// A Service of type LoadBalancer.
    Service,
}

impl EntranceKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::HttpRoute, Self::Service];

    /// As `kubectl` names it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::HttpRoute => "httproute",
            Self::Service => "service",
        }
    }
}

/// Why a text is no [`Entrance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("users come in by `ingress/NAME`, `httproute/NAME` or `service/NAME`")]
pub struct ParseEntranceError;

impl FromStr for Entrance {
    type Err = ParseEntranceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, name) = text.split_once('/').ok_or(ParseEntranceError)?;
        let kind = EntranceKind::ALL.into_iter().find(|it| it.word() == word);
        match kind {
            Some(kind) if !name.is_empty() && !name.contains('/') => Ok(Self {
                kind,
                name: name.to_owned(),
            }),
            _ => Err(ParseEntranceError),
        }
    }
}

impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

impl Serialize for Entrance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Entrance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "an entrance such as `ingress/api`")
    }
}

impl JsonSchema for Entrance {
    fn schema_name() -> Cow<'static, str> {
        "Entrance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An object of Kubernetes by which users come in from outside the cluster: `ingress/api`.",
            "pattern": "^(ingress|httproute|service)/[^/]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrance_has_a_kind_and_a_name() {
        let check = |text: &str, is_one: bool| {
            let found = text.parse::<Entrance>();
            assert_eq!(found.is_ok(), is_one, "{text}");
            if let Ok(found) = found {
                assert_eq!(found.to_string(), text);
            }
        };
        check("ingress/api", true);
        check("httproute/api", true);
        check("service/api", true);
        check("grpcroute/api", false);
        check("ingress/", false);
        check("ingress", false);
        check("ingress/a/b", false);
    }
}
