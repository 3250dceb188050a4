//! YAML text → a tree of nodes that know where they stand. Nothing of what the keys mean.

use super::{Place, Problem};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Aliases are copied: a tree may not grow beyond this many nodes.
const MAX_NODES: usize = 200_000;

/// A value with the place it begins at.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Text as written, and whether it was plain (`plain: true` is what YAML may read as null, a number or a boolean).
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// `null`, `~` or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// What it says, where it is one text; else what is wrong with that.
    pub(super) fn text(&self) -> Result<String, String> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Ok(text.clone()),
            // `{env}` without quotes is a mapping in YAML.
            Value::Map(entries)
                if entries.len() == 1 && entries.iter().all(|entry| entry.value.is_null()) =>
            {
                let hint = format!("put quotes around it: \"{{{}}}\"", entries[0].key);
                Err(format!("a text belongs here, not {}; {hint}", self.kind()))
            }
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                Err(format!("a text belongs here, not {}", self.kind()))
            }
        }
    }

    /// As YAML 1.2 writes them.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self.text()?.as_str() {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }
}

/// The one document of `text`. Duplicate keys are reported and the first one stays.
pub(super) fn load(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut loader = Loader { anchors: HashMap::new(), problems, nodes: 0 };
    let mut parser = Parser::new_from_str(text);
    let mut document = None;
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { line: mark.line(), column: mark.col() + 1 };
                loader.problems.push(invalid(text, place, error.info()));
                return None;
            }
            Some(Ok((Event::DocumentStart(_), span))) if document.is_some() => {
                loader
                    .problems
                    .push(Problem::new(place_of(span), "a second YAML document; a configuration is one"));
                return None;
            }
            Some(Ok((
                Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::Nothing,
                _,
            ))) => {}
            Some(Ok((event, span))) => match loader.node(event, span, &mut parser) {
                Ok(node) => document = Some(node),
                Err(problem) => {
                    let unread = problem.message.strip_prefix(INVALID).map(str::to_owned);
                    let problem = match (unread, problem.place) {
                        (Some(info), Some(place)) => invalid(text, place, &info),
                        _ => problem,
                    };
                    loader.problems.push(problem);
                    return None;
                }
            },
        }
    }
    document
}

const INVALID: &str = "not valid YAML: ";

/// What the scanner says, with what people mostly did.
fn invalid(text: &str, place: Place, info: &str) -> Problem {
    // It complains where it notices, which may be a line before the tab.
    let indent = |line: &str| line[..line.len() - line.trim_start().len()].find('\t');
    let tabbed = text.lines().enumerate().find_map(|(n, line)| Some((n + 1, indent(line)? + 1)));
    if let Some((line, column)) = tabbed.filter(|(line, _)| line.abs_diff(place.line) <= 1) {
        return Problem::new(
            Place { line, column },
            "a tab in the indentation; YAML is indented with spaces",
        );
    }
    let hint = if info.contains("mapping values are not allowed") {
        "; a text with \": \" in it wants quotes, and keys of one mapping begin in one column"
    } else if info.contains("quoted scalar") {
        "; does the text's closing quote stand where it should?"
    } else if info.contains("did not find expected") || info.contains("block") {
        "; keys of one mapping, and items of one list, begin in one column"
    } else {
        ""
    };
    Problem::new(place, format!("{INVALID}{info}{hint}"))
}

fn place_of(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

struct Loader<'p> {
    anchors: HashMap<usize, Node>,
    problems: &'p mut Vec<Problem>,
    nodes: usize,
}

impl Loader<'_> {
    fn node<'t, I: saphyr_parser::Input>(
        &mut self,
        event: Event<'t>,
        span: Span,
        parser: &mut Parser<'t, I>,
    ) -> Result<Node, Problem> {
        let place = place_of(span);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Problem::new(place, format!("more than {MAX_NODES} values")));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| Problem::new(place, "an alias inside its own anchor"))?;
                self.nodes += size(&node);
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, _) => {
                (anchor, Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match next(parser)? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, parser)?),
                    }
                }
                (anchor, Value::List(items))
            }
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<Entry> = Vec::new();
                loop {
                    let (event, span) = match next(parser)? {
                        (Event::MappingEnd, _) => break,
                        other => other,
                    };
                    let key = self.node(event, span, parser)?;
                    let (event, span) = next(parser)?;
                    let value = self.node(event, span, parser)?;
                    let Value::Scalar { text, .. } = key.value else {
                        return Err(Problem::new(key.place, "a key must be a word"));
                    };
                    if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                        let message =
                            format!("key {text:?} stands twice; first at line {}", first.place.line);
                        self.problems.push(Problem::new(key.place, message));
                    } else {
                        entries.push(Entry { key: text, place: key.place, value });
                    }
                }
                (anchor, Value::Map(entries))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Problem::new(place, "not valid YAML: unexpected end")),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

fn next<'t, I: saphyr_parser::Input>(parser: &mut Parser<'t, I>) -> Result<(Event<'t>, Span), Problem> {
    match parser.next_event() {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => {
            let mark = error.marker();
            let place = Place { line: mark.line(), column: mark.col() + 1 };
            Err(Problem::new(place, format!("{INVALID}{}", error.info())))
        }
        None => Err(Problem::new(Place { line: 1, column: 1 }, "not valid YAML: unexpected end")),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}
