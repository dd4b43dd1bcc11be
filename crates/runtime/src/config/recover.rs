//! All the mistakes at once. serde stops at the first error; so what is wrong is noted, taken out of the tree, and the rest
//! read again, until nothing is wrong or nothing is left. A complaint that only exists because something was taken out (a
//! key "missing" that was there, but wrong) is not made.

use std::collections::BTreeMap;

use belay_model::config::Config;

use super::de::{self, Error, ErrorKind};
use super::diagnostic::{Code, Diagnostic};
use super::nearest::{did_you_mean, nearest};
use super::scalar::{Resolved, resolve};
use super::source::{Source, Spans, is_secret, join};
use super::tree::{Content, Node, NodeId};

/// Nobody reads more, and each costs a pass over the tree.
const MAX_COMPLAINTS: usize = 50;

/// Reads the configuration, or says everything that is in the way.
pub(super) fn config(
    source: &Source,
    spans: &Spans,
    root: &Node,
) -> Result<Config, Vec<Diagnostic>> {
    let mut paths = BTreeMap::new();
    paths_of(String::new(), root, &mut paths);
    let mut root = root.clone();
    // The keys that were taken out of each node.
    let mut taken: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    let mut complaints = Vec::new();
    while complaints.len() < MAX_COMPLAINTS {
        let error = match de::from_tree::<Config>(&root) {
            Ok(config) if complaints.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(error) => error,
        };
        let node = error.node.unwrap_or(root.id);
        let follows = match &error.kind {
            ErrorKind::Missing { key } => taken
                .get(&node)
                .is_some_and(|keys| keys.iter().any(|it| it == key)),
            ErrorKind::NoVariant { .. } => taken.contains_key(&node),
            _ => false,
        };
        if !follows {
            let path = paths.get(&node).map_or("", String::as_str);
            complaints.push(complain(source, spans, path, find(&root, node), &error));
        }
        match take(&mut root, error.drop.unwrap_or(node)) {
            Some((parent, key)) => {
                let keys = taken.entry(parent).or_default();
                // A misspelt key is one mistake, not an unknown key and a missing one.
                if let ErrorKind::UnknownKey { known, .. } = &error.kind {
                    keys.extend(nearest(&key, known.iter().copied()).map(str::to_owned));
                }
                keys.push(key);
            }
            // The whole document was to go.
            None => break,
        }
    }
    complaints.sort_by_key(|complaint| (complaint.line, complaint.column));
    Err(complaints)
}

fn paths_of(path: String, node: &Node, paths: &mut BTreeMap<NodeId, String>) {
    match &node.content {
        Content::Scalar(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                paths_of(format!("{path}[{index}]"), item, paths);
            }
        }
        Content::Map(entries) => {
            for (key, value) in entries {
                paths_of(join(&path, &key.text), value, paths);
            }
        }
    }
    paths.insert(node.id, path);
}

fn find(node: &Node, id: NodeId) -> Option<&Node> {
    if node.id == id {
        return Some(node);
    }
    match &node.content {
        Content::Scalar(_) => None,
        Content::List(items) => items.iter().find_map(|item| find(item, id)),
        Content::Map(entries) => entries.iter().find_map(|(_, value)| find(value, id)),
    }
}

/// Takes the node out; what it was taken from, and its key there.
fn take(node: &mut Node, id: NodeId) -> Option<(NodeId, String)> {
    let parent = node.id;
    match &mut node.content {
        Content::Scalar(_) => None,
        Content::List(items) => match items.iter().position(|item| item.id == id) {
            Some(index) => {
                items.remove(index);
                Some((parent, String::new()))
            }
            None => items.iter_mut().find_map(|item| take(item, id)),
        },
        Content::Map(entries) => match entries.iter().position(|(_, value)| value.id == id) {
            Some(index) => Some((parent, entries.remove(index).0.text)),
            None => entries.iter_mut().find_map(|(_, value)| take(value, id)),
        },
    }
}

fn complain(
    source: &Source,
    spans: &Spans,
    path: &str,
    node: Option<&Node>,
    error: &Error,
) -> Diagnostic {
    let (place, _) = spans.nearest(path);
    let on = |code, span, message: String| source.at(code, path, span, message);
    // A value that was left empty has no text of its own to underline.
    let nothing = place.value.start == place.value.end;
    let span = if error.on_key || nothing {
        place.key_or_value()
    } else {
        place.value
    };
    match &error.kind {
        ErrorKind::UnknownKey { key, known } => {
            let complaint = on(Code::UnknownKey, span, format!("unknown key `{key}`"));
            meant(complaint, key, known)
        }
        ErrorKind::UnknownVariant { word, known } => {
            let (code, what) = if error.on_key {
                (Code::UnknownKey, "key")
            } else {
                (Code::WrongValue, "word")
            };
            meant(
                on(code, span, format!("unknown {what} `{word}`")),
                word,
                known,
            )
        }
        ErrorKind::NoVariant { known: [one] } => on(
            Code::WrongValue,
            span,
            format!("expected a mapping with the key `{one}`"),
        ),
        ErrorKind::NoVariant { known } => on(
            Code::WrongValue,
            span,
            format!("expected exactly one of {}", quoted(known)),
        ),
        ErrorKind::Missing { key } => {
            let inside = if path.is_empty() {
                String::new()
            } else {
                format!(" in `{path}`")
            };
            on(
                Code::MissingKey,
                place.key_or_value(),
                format!("missing key `{key}`{inside}"),
            )
            .suggest(format!("add `{key}:`"))
        }
        ErrorKind::Type { .. } | ErrorKind::Value { .. } if is_secret(path) => {
            if path.ends_with("secrets") {
                let message =
                    "`secrets` is a mapping from names to references, `env:NAME` or `file:PATH`";
                return on(Code::MalformedSecret, span, message.to_owned());
            }
            let message = match &error.kind {
                ErrorKind::Value { message } => message.clone(),
                _ => "a secret is a reference, `env:NAME` or `file:PATH`, never a value".to_owned(),
            };
            on(Code::MalformedSecret, span, message).suggest(format!(
                "write `env:{}` and set it where Belay runs",
                path.rsplit('.').next().unwrap_or_default().to_uppercase()
            ))
        }
        ErrorKind::Type { .. } | ErrorKind::Value { .. } if path.ends_with(".listen") => {
            let message = "expected an address such as `127.0.0.1:8080`".to_owned();
            on(Code::WrongValue, span, message).suggest(node.and_then(address))
        }
        ErrorKind::Type { found, expected } => on(
            Code::WrongValue,
            span,
            format!("expected {expected}, found {found}"),
        )
        .suggest(node.and_then(|node| other_quotes(node, expected))),
        ErrorKind::Value { message } => match message.split_once("; did you mean ") {
            Some((message, meant)) => on(Code::WrongValue, span, message.to_owned())
                .suggest(format!("did you mean {meant}")),
            None => on(Code::WrongValue, span, message.clone()),
        },
    }
}

fn meant(complaint: Diagnostic, word: &str, known: &[&str]) -> Diagnostic {
    match did_you_mean(word, known.iter().copied()) {
        Some(phrase) => complaint.suggest(phrase),
        None => complaint.note(format!("known here: {}", quoted(known))),
    }
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The commonest cause of a wrong type: quotes that are missing, or too many.
fn other_quotes(node: &Node, expected: &str) -> Option<String> {
    let Content::Scalar(scalar) = &node.content else {
        return None;
    };
    let unquoted = resolve(&scalar.text);
    match (scalar.plain, unquoted) {
        (true, Resolved::Null | Resolved::Text(_)) => None,
        (true, _) if expected == "a text" || expected == "a path" => {
            Some(format!("did you mean `\"{}\"`?", scalar.text))
        }
        (false, Resolved::Bool(_)) if expected == "`true` or `false`" => {
            Some(format!("did you mean `{}`, without quotes?", scalar.text))
        }
        (false, Resolved::Unsigned(_) | Resolved::Float(_)) if expected.contains("number") => {
            Some(format!("did you mean `{}`, without quotes?", scalar.text))
        }
        _ => None,
    }
}

/// A port alone, or a name: what people write where an address is needed.
fn address(node: &Node) -> Option<String> {
    let Content::Scalar(scalar) = &node.content else {
        return None;
    };
    let port = scalar
        .text
        .strip_prefix("localhost:")
        .or(scalar.text.strip_prefix(':'))
        .unwrap_or(&scalar.text);
    port.parse::<u16>()
        .ok()
        .map(|port| format!("did you mean `127.0.0.1:{port}`?"))
}
