//! From the tree to the model's types: a serde `Deserializer` whose errors know which node they are about. Only what `belay.yaml`
//! needs: scalars by the YAML 1.2 core schema, lists, mappings, externally tagged enums.

use std::fmt;

use belay_model::config::LITERAL;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::scalar::Resolved;
use super::tree::{Content, Key, Node, NodeId};

/// Why the tree is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) kind: ErrorKind,
    /// The node it is about; filled in by the innermost deserializer that sees the error.
    pub(super) node: Option<NodeId>,
    /// It is about the node's key, not its value.
    pub(super) on_key: bool,
    /// The node without which the rest can be looked at.
    pub(super) drop: Option<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        word: String,
        known: &'static [&'static str],
    },
    NoVariant {
        known: &'static [&'static str],
    },
    Missing {
        key: &'static str,
    },
    Type {
        found: String,
        expected: String,
    },
    Value {
        message: String,
    },
}

impl Error {
    fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            node: None,
            on_key: false,
            drop: None,
        }
    }

    fn at(mut self, node: &Node, on_key: bool) -> Self {
        if self.node.is_none() {
            self.node = Some(node.id);
            self.on_key = on_key;
        }
        self
    }

    fn dropping(mut self, node: &Node) -> Self {
        self.drop.get_or_insert(node.id);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ErrorKind::Value {
            message: message.to_string(),
        })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(ErrorKind::UnknownKey {
            key: key.to_owned(),
            known,
        })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::new(ErrorKind::UnknownVariant {
            word: word.to_owned(),
            known,
        })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(ErrorKind::Missing { key })
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(ErrorKind::Type {
            found: describe(found),
            expected: plain_words(&expected.to_string()),
        })
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

fn describe(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Bool(it) => format!("`{it}`"),
        de::Unexpected::Unsigned(it) => format!("the number `{it}`"),
        de::Unexpected::Signed(it) => format!("the number `{it}`"),
        de::Unexpected::Float(it) => format!("the number `{it}`"),
        de::Unexpected::Str(it) if it.len() > 40 => "a text".to_owned(),
        de::Unexpected::Str(it) => format!("the text `{it}`"),
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// serde names Rust's types; people who write YAML know others.
fn plain_words(expected: &str) -> String {
    match expected {
        "a string" | "string" => "a text",
        "path string" => "a path",
        "u8" | "u16" | "u32" | "u64" | "i32" | "i64" | "usize" => {
            "a whole number that is not negative"
        }
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a mapping",
        _ if expected.starts_with("struct ") => "a mapping",
        _ => expected,
    }
    .to_owned()
}

/// Reads a `T` from the tree.
pub(super) fn from_tree<T: de::DeserializeOwned>(root: &Node) -> Result<T, Error> {
    T::deserialize(Value {
        node: root,
        literal: false,
    })
}

#[derive(Clone, Copy)]
struct Value<'a> {
    node: &'a Node,
    /// Hand out the text of a scalar, whatever it looks like.
    literal: bool,
}

impl<'a> Value<'a> {
    fn of(node: &'a Node) -> Self {
        Self {
            node,
            literal: false,
        }
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => visitor.visit_unit(),
                _ if self.literal => visitor.visit_str(&scalar.text),
                Resolved::Bool(it) => visitor.visit_bool(it),
                Resolved::Unsigned(it) => visitor.visit_u64(it),
                Resolved::Signed(it) => visitor.visit_i64(it),
                Resolved::Float(it) => visitor.visit_f64(it),
                Resolved::Text(it) => visitor.visit_str(it),
            },
            Content::List(items) => visitor.visit_seq(Items {
                items: items.iter(),
            }),
            Content::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
        }
    }
}

impl<'de> de::Deserializer<'de> for Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor)
            .map_err(|error| error.at(self.node, false))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Scalar(scalar) if scalar.resolve() == Resolved::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor
            .visit_newtype_struct(Self {
                literal: name == LITERAL,
                ..self
            })
            .map_err(|error| error.at(self.node, false))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match &self.node.content {
            Content::Scalar(scalar) => match scalar.resolve() {
                Resolved::Text(word) => visitor.visit_enum(Variant {
                    word,
                    key: None,
                    of: self.node,
                    content: None,
                }),
                _ => Err(Error::new(ErrorKind::NoVariant { known })),
            },
            Content::Map(entries) => match entries.as_slice() {
                [(key, content)] => visitor.visit_enum(Variant {
                    word: &key.text,
                    key: Some(key),
                    of: self.node,
                    content: Some(content),
                }),
                entries => Err(
                    match entries
                        .iter()
                        .find(|(key, _)| !known.contains(&key.text.as_str()))
                    {
                        Some((key, content)) => {
                            let key = key.text.clone();
                            Error::new(ErrorKind::UnknownKey { key, known }).at(content, true)
                        }
                        None => Error::new(ErrorKind::NoVariant { known }),
                    },
                ),
            },
            Content::List(_) => Err(Error::new(ErrorKind::NoVariant { known })),
        };
        result.map_err(|error| error.at(self.node, false))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.items
            .next()
            .map(|item| {
                seed.deserialize(Value::of(item))
                    .map_err(|error| error.at(item, false))
            })
            .transpose()
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let key: de::value::StrDeserializer<'_, Error> = key.text.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.at(value, true))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self
            .value
            .take()
            .expect("a value is asked for after its key");
        seed.deserialize(Value::of(value))
            .map_err(|error| error.at(value, false))
    }
}

/// A plain word, or a mapping of one word to its content.
struct Variant<'a> {
    word: &'a str,
    key: Option<&'a Key>,
    of: &'a Node,
    content: Option<&'a Node>,
}

impl<'a> Variant<'a> {
    fn newtype(&self) -> Result<&'a Node, Error> {
        self.content.ok_or_else(|| {
            let message = format!(
                "`{}` needs a value: write `{{ {}: ... }}`",
                self.word, self.word
            );
            Error::new(ErrorKind::Value { message }).at(self.of, false)
        })
    }
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let word: de::value::StrDeserializer<'_, Error> = self.word.into_deserializer();
        match seed.deserialize(word) {
            Ok(value) => Ok((value, self)),
            // Without its only entry the mapping would be empty, which would be a second complaint about one mistake.
            Err(error) => Err(error
                .at(self.content.unwrap_or(self.of), self.key.is_some())
                .dropping(self.of)),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None => Ok(()),
            Some(Node {
                content: Content::Scalar(scalar),
                ..
            }) if scalar.resolve() == Resolved::Null => Ok(()),
            Some(content) => {
                let message = format!("`{}` takes no value", self.word);
                Err(Error::new(ErrorKind::Value { message })
                    .at(content, false)
                    .dropping(self.of))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let content = self.newtype()?;
        seed.deserialize(Value::of(content))
            .map_err(|error| error.at(content, false))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(Value::of(self.newtype()?), visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(Value::of(self.newtype()?), visitor)
    }
}
