//! YAML as a tree that knows where everything stands. It accepts what people write in configuration and refuses the rest by
//! name: tags, merge keys, several documents, keys that are no scalars. Bounded in depth and size, so that neither nesting
//! nor aliases of aliases can exhaust memory or stack.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as RawSpan};

use super::source::Span;

/// Deeper than any configuration and shallow enough for recursion.
const MAX_DEPTH: usize = 64;
/// Nodes after aliases were followed.
const MAX_NODES: usize = 20_000;

/// In the order of the text; what an alias brought in gets ids of its own.
pub(super) type NodeId = usize;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) span: Span,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Not quoted, so it may be a number, a boolean or null.
    pub(super) plain: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Span,
}

/// Why a text is not a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FaultKind {
    #[error("the file is empty")]
    Empty,
    #[error("not valid YAML: {0}")]
    Syntax(String),
    #[error("a tab cannot indent YAML")]
    Tab,
    #[error("a second document; `belay.yaml` is one")]
    SecondDocument,
    #[error("tags such as `!x` have no meaning here")]
    Tag,
    #[error("merge keys (`<<`) are not part of YAML 1.2")]
    MergeKey,
    #[error("a key must be a word, not a list or a mapping")]
    KeyNotScalar,
    #[error("this alias stands inside what it names")]
    Cycle,
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("more than {MAX_NODES} values, aliases included")]
    TooMany,
    #[error("key `{key}` is there twice, first on line {first}")]
    DuplicateKey { key: String, first: usize },
}

/// Takes out all but the first of each key. Not done while parsing, because whoever hides secrets must see the others, too.
pub(super) fn drop_duplicates(node: &mut Node) {
    match &mut node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter_mut().for_each(drop_duplicates),
        Content::Map(entries) => {
            let mut seen = BTreeSet::new();
            entries.retain(|(key, _)| seen.insert(key.text.clone()));
            entries
                .iter_mut()
                .for_each(|(_, value)| drop_duplicates(value));
        }
    }
}

/// The tree, still with duplicate keys, and the complaints that do not stand in the way of one. Err: there is no tree.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Fault>), Fault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, raw) = event.map_err(|error| {
            let span = at(*error.marker(), *error.marker());
            let kind = if indented_by_tab(text, span.line) {
                FaultKind::Tab
            } else {
                FaultKind::Syntax(error.info().to_owned())
            };
            Fault { span, kind }
        })?;
        builder.event(event, raw)?;
    }
    let root = builder.root.ok_or(Fault {
        span: START,
        kind: FaultKind::Empty,
    })?;
    match &root.content {
        Content::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => Err(Fault {
            span: START,
            kind: FaultKind::Empty,
        }),
        _ => Ok((root, builder.faults)),
    }
}

const START: Span = Span {
    line: 1,
    column: 1,
    start: 0,
    end: 0,
};

fn indented_by_tab(text: &str, line: usize) -> bool {
    // The scanner may notice only on the line after.
    let first = line.saturating_sub(2);
    text.lines()
        .skip(first)
        .take(line - first)
        .any(|line| line.trim_start_matches(' ').starts_with('\t'))
}

fn at(start: Marker, end: Marker) -> Span {
    Span {
        line: start.line().max(1),
        column: start.col() + 1,
        start: start.index(),
        end: end.index().max(start.index()),
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    /// Anchors whose node is still open.
    unfinished: BTreeSet<usize>,
    documents: usize,
    nodes: usize,
    faults: Vec<Fault>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    id: NodeId,
    anchor: usize,
    span: Span,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        key: Option<Key>,
        seen: BTreeMap<String, usize>,
    },
}

impl Builder {
    fn event(&mut self, event: Event<'_>, raw: RawSpan) -> Result<(), Fault> {
        let span = at(raw.start, raw.end);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault {
                        span,
                        kind: FaultKind::SecondDocument,
                    });
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                // `!!str 5` and `! 5` say what quotes say.
                let text_tag = tag
                    .as_ref()
                    .is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                if tag.is_some() && !text_tag {
                    return Err(Fault {
                        span,
                        kind: FaultKind::Tag,
                    });
                }
                let plain = style == ScalarStyle::Plain && !text_tag;
                let content = Content::Scalar(Scalar {
                    text: text.into_owned(),
                    plain,
                });
                let node = Node {
                    id: self.next_id(span)?,
                    span,
                    content,
                };
                self.finish(anchor, node)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, tag.is_some(), span, Collection::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let map = Collection::Map {
                    entries: Vec::new(),
                    key: None,
                    seen: BTreeMap::new(),
                };
                self.open(anchor, tag.is_some(), span, map)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open {
                    id,
                    anchor,
                    span: start,
                    collection,
                } = self.open.pop().expect("an end has a start");
                let content = match collection {
                    Collection::List(items) => Content::List(items),
                    Collection::Map { entries, .. } => Content::Map(entries),
                };
                let span = Span {
                    end: span.end.max(start.end),
                    ..start
                };
                self.unfinished.remove(&anchor);
                self.finish(anchor, Node { id, span, content })?;
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    debug_assert!(
                        self.unfinished.contains(&anchor),
                        "the parser refuses aliases of nothing"
                    );
                    return Err(Fault {
                        span,
                        kind: FaultKind::Cycle,
                    });
                };
                let mut node = node.clone();
                self.renumber(&mut node, span, self.open.len())?;
                self.finish(0, node)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn next_id(&mut self, span: Span) -> Result<NodeId, Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            Err(Fault {
                span,
                kind: FaultKind::TooMany,
            })
        } else {
            Ok(self.nodes)
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        tagged: bool,
        span: Span,
        collection: Collection,
    ) -> Result<(), Fault> {
        if tagged {
            return Err(Fault {
                span,
                kind: FaultKind::Tag,
            });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault {
                span,
                kind: FaultKind::TooDeep,
            });
        }
        if anchor > 0 {
            self.unfinished.insert(anchor);
        }
        let id = self.next_id(span)?;
        self.open.push(Open {
            id,
            anchor,
            span,
            collection,
        });
        Ok(())
    }

    /// What an alias brings in counts against the budget like what is written out, and complaints about it point at where it
    /// is written.
    fn renumber(&mut self, node: &mut Node, alias: Span, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault {
                span: alias,
                kind: FaultKind::TooDeep,
            });
        }
        node.id = self.next_id(alias)?;
        match &mut node.content {
            Content::Scalar(_) => Ok(()),
            Content::List(items) => items
                .iter_mut()
                .try_for_each(|item| self.renumber(item, alias, depth + 1)),
            Content::Map(entries) => entries
                .iter_mut()
                .try_for_each(|(_, value)| self.renumber(value, alias, depth + 1)),
        }
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Result<(), Fault> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.collection {
            Collection::List(items) => items.push(node),
            Collection::Map { entries, key, seen } => match key.take() {
                None => {
                    let span = node.span;
                    let Content::Scalar(scalar) = node.content else {
                        return Err(Fault {
                            span,
                            kind: FaultKind::KeyNotScalar,
                        });
                    };
                    if scalar.plain && scalar.text == "<<" {
                        return Err(Fault {
                            span,
                            kind: FaultKind::MergeKey,
                        });
                    }
                    *key = Some(Key {
                        text: scalar.text,
                        span,
                    });
                }
                Some(key) => {
                    if let Some(&first) = seen.get(&key.text) {
                        let kind = FaultKind::DuplicateKey {
                            key: key.text.clone(),
                            first,
                        };
                        self.faults.push(Fault {
                            span: key.span,
                            kind,
                        });
                    } else {
                        seen.insert(key.text.clone(), key.span.line);
                    }
                    entries.push((key, node));
                }
            },
        }
        Ok(())
    }
}
