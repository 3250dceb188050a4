//! YAML as Ruby writes it → a tree of nodes that know their lines. Tags are passed over; a short text that stands for another by an
//! alias is copied, anything else behind an alias stays unknown, so no text grows.

use crate::ParseError;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::{BTreeSet, HashMap};

/// Reports nest six deep.
const MAX_DEPTH: u8 = 32;

/// Longer texts are no names; copying them for every alias could fill memory.
const MAX_ALIASED: usize = 256;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text {
        text: String,
        /// Written without quotes: what YAML may read as a number, a flag or nothing.
        plain: bool,
        line: u32,
    },
    List {
        items: Vec<Node>,
        line: u32,
    },
    Map {
        entries: Vec<(String, Node)>,
        line: u32,
    },
    /// An alias to something that isn't a short text.
    Unknown {
        line: u32,
    },
}

impl Node {
    pub(crate) fn line(&self) -> u32 {
        match self {
            Self::Text { line, .. }
            | Self::List { line, .. }
            | Self::Map { line, .. }
            | Self::Unknown { line } => *line,
        }
    }

    /// The entry of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Self::Map { entries, .. } = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// A text that is something.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, plain, .. } if !(*plain && matches!(text.as_str(), "" | "~" | "null")) => {
                Some(text)
            }
            Self::Text { .. } | Self::List { .. } | Self::Map { .. } | Self::Unknown { .. } => None,
        }
    }

    fn lacks(&self, key: &str, what: &str) -> ParseError {
        ParseError::format(format!("expected {key} to be {what}")).at(self.get(key).unwrap_or(self).line())
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, ParseError> {
        self.get(key).and_then(Self::as_text).ok_or_else(|| self.lacks(key, "a text"))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, ParseError> {
        match self.get(key).and_then(Self::as_text) {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.lacks(key, "true or false")),
        }
    }

    pub(crate) fn list(&self, key: &str) -> Result<&[Node], ParseError> {
        match self.get(key) {
            Some(Self::List { items, .. }) => Ok(items),
            _ => Err(self.lacks(key, "a list")),
        }
    }

    pub(crate) fn map(&self, key: &str) -> Result<impl Iterator<Item = (&str, &Node)>, ParseError> {
        match self.get(key) {
            Some(Self::Map { entries, .. }) => Ok(entries.iter().map(|(key, node)| (key.as_str(), node))),
            _ => Err(self.lacks(key, "a mapping")),
        }
    }
}

/// The one document of `text`.
pub(crate) fn load(text: &str) -> Result<Node, ParseError> {
    let mut loader = Loader { parser: Parser::new_from_str(text), anchors: HashMap::new() };
    let mut document = None;
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if document.is_none() => {}
            Event::DocumentStart(_) => {
                return Err(ParseError::format("a second YAML document; a report is one").at(line(span)));
            }
            other => document = Some(loader.node(other, span, 0)?),
        }
    }
    document.ok_or_else(|| ParseError::cut("an empty file"))
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

struct Loader<'t, I: saphyr_parser::Input> {
    parser: Parser<'t, I>,
    anchors: HashMap<usize, (String, bool)>,
}

impl<'t, I: saphyr_parser::Input> Loader<'t, I> {
    fn next(&mut self) -> Result<(Event<'t>, Span), ParseError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            // Its words can quote the text.
            Some(Err(error)) => {
                let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
                Err(ParseError::format("not valid YAML: cut or damaged").at(line))
            }
            None => Err(ParseError::cut("YAML that ends before its end")),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: u8) -> Result<Node, ParseError> {
        let line = line(span);
        if depth > MAX_DEPTH {
            return Err(ParseError::format(format!("values deeper than {MAX_DEPTH}")).at(line));
        }
        let deeper = depth.saturating_add(1);
        Ok(match event {
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((text, plain)) => Node::Text { text: text.clone(), plain: *plain, line },
                None => Node::Unknown { line },
            },
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                if anchor != 0 && text.len() <= MAX_ALIASED {
                    self.anchors.insert(anchor, (text.clone(), plain));
                }
                Node::Text { text, plain, line }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Node::List { items, line },
                        (event, span) => items.push(self.node(event, span, deeper)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                let mut keys = BTreeSet::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        break Node::Map { entries, line };
                    }
                    let key = self.node(event, span, deeper)?;
                    let at = key.line();
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, deeper)?;
                    // Only values that nobody looks at have other keys than texts.
                    let Node::Text { text, .. } = key else { continue };
                    if !keys.insert(text.clone()) {
                        return Err(ParseError::contradiction("a key that stands twice").at(at));
                    }
                    entries.push((text, value));
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(ParseError::cut("YAML that ends before its end").at(line)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_passed_over_and_short_aliases_copied() {
        let node = load("--- !ruby/object:A\na: &1 x\nb: *1\nc: &2 [1]\nd: *2\ne: ''\nf:\n").unwrap();
        assert_eq!((node.text("a").unwrap(), node.text("b").unwrap()), ("x", "x"));
        assert_eq!(node.list("d").unwrap_err().to_string(), "line 5: expected d to be a list");
        let long = load(&format!("a: &1 {}\nb: *1\n", "x".repeat(MAX_ALIASED + 1))).unwrap();
        assert_eq!(long.text("b").unwrap_err().to_string(), "line 2: expected b to be a text");
        assert_eq!((node.get("e").unwrap().as_text(), node.get("f").unwrap().as_text()), (Some(""), None));
    }

    #[test]
    fn what_is_deep_double_or_broken_is_refused() {
        for text in ["", "a: [", "a: 1\na: 2\n", "a: 1\n--- b\n", &"[".repeat(100_000), "a: *1", "\"a"] {
            assert!(load(text).is_err(), "{:?}", text.get(..9));
        }
    }
}
