//! The text, and the index from a path in the configuration to its place in the text. Knows nothing about what keys mean,
//! but that the values under `secrets` are not for showing.

use std::collections::BTreeMap;
use std::str::FromStr;

use belay_model::config::SecretRef;

use super::diagnostic::{Code, Diagnostic};
use super::tree::{Content, Node};

/// A stretch of text, in characters: half open, counted from 0 in the whole text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The first character.
    pub start: usize,
    /// The one after the last.
    pub end: usize,
}

/// Where one entry of the configuration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// None for the whole document and for items of lists.
    pub key: Option<Span>,
    /// What is said.
    pub value: Span,
}

impl Place {
    /// The key where there is one.
    pub fn key_or_value(self) -> Span {
        self.key.unwrap_or(self.value)
    }
}

/// From a path such as `environments.production.strategy.canary[1].to` to its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    places: BTreeMap<String, Place>,
}

impl Spans {
    /// The place of an entry, if the file has it.
    pub fn get(&self, path: &str) -> Option<Place> {
        self.places.get(path).copied()
    }

    pub(super) fn of(root: &Node) -> Self {
        let mut spans = Self::default();
        spans.add(String::new(), None, root);
        spans
    }

    /// The place of the path, or of the nearest thing around it: a key that was left out has no place of its own.
    pub(super) fn nearest(&self, path: &str) -> (Place, bool) {
        let mut around = path;
        loop {
            if let Some(place) = self.get(around) {
                return (place, around == path);
            }
            let Some(end) = around.rfind(['.', '[']) else {
                let whole = Place {
                    key: None,
                    value: Span {
                        line: 1,
                        column: 1,
                        start: 0,
                        end: 0,
                    },
                };
                return (self.get("").unwrap_or(whole), path.is_empty());
            };
            around = &around[..end];
        }
    }

    fn add(&mut self, path: String, key: Option<Span>, node: &Node) {
        match &node.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(format!("{path}[{index}]"), None, item);
                }
            }
            Content::Map(entries) => {
                for (key, value) in entries {
                    self.add(join(&path, &key.text), Some(key.span), value);
                }
            }
        }
        self.places.insert(
            path,
            Place {
                key,
                value: node.span,
            },
        );
    }
}

/// The path of a key below a path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Whether the value at this path must be a reference to a secret.
pub(super) fn is_secret(path: &str) -> bool {
    let below = |rest: &str| {
        rest.strip_prefix("secrets")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    below(path)
        || path
            .strip_prefix("environments.")
            .is_some_and(|rest| rest.split_once('.').is_some_and(|(_, rest)| below(rest)))
}

/// What a complaint is made from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: String,
    /// What may be shown of each line, without line ends.
    lines: Vec<String>,
}

impl Source {
    pub(super) fn new(file: String, text: &str) -> Self {
        Self {
            file,
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Stars out what stands where a reference to a secret should and is none: it may be the secret itself, and reports end
    /// up in the logs of build servers.
    pub(super) fn mask_secrets(&mut self, path: &str, node: &Node) {
        match &node.content {
            Content::Scalar(scalar)
                if is_secret(path) && SecretRef::from_str(&scalar.text).is_err() =>
            {
                self.mask(node.span);
            }
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.mask_secrets(&format!("{path}[{index}]"), item);
                }
            }
            Content::Map(entries) => {
                for (key, value) in entries {
                    self.mask_secrets(&join(path, &key.text), value);
                }
            }
        }
    }

    fn mask(&mut self, span: Span) {
        let mut left = span.end.saturating_sub(span.start);
        let mut column = span.column - 1;
        for line in self.lines.iter_mut().skip(span.line - 1) {
            if left == 0 {
                return;
            }
            let length = line.chars().count();
            let here = left.min(length.saturating_sub(column));
            *line = line
                .chars()
                .enumerate()
                .map(|(index, it)| {
                    if (column..column + here).contains(&index) && !it.is_whitespace() {
                        '*'
                    } else {
                        it
                    }
                })
                .collect();
            left = left.saturating_sub(here + 1);
            column = 0;
        }
    }

    /// A complaint about the file as a whole.
    pub(super) fn whole(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            file: self.file.clone(),
            line: 0,
            column: 0,
            length: 0,
            path: String::new(),
            source_line: String::new(),
            message: message.into(),
            suggestion: None,
            note: None,
        }
    }

    pub(super) fn at(
        &self,
        code: Code,
        path: &str,
        span: Span,
        message: impl Into<String>,
    ) -> Diagnostic {
        let source_line = self
            .lines
            .get(span.line.saturating_sub(1))
            .cloned()
            .unwrap_or_default();
        // Of something that goes on over several lines the first is underlined.
        let rest: String = source_line
            .chars()
            .skip(span.column - 1)
            .take(span.end - span.start)
            .collect();
        Diagnostic {
            line: span.line,
            column: span.column,
            length: rest.trim_end().chars().count(),
            path: path.to_owned(),
            source_line,
            ..self.whole(code, message)
        }
    }
}
