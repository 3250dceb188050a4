//! The paths of the changed attributes, from the lines of a resource's body.
//!
//! ```text
//!       ~ ami  = "a" -> "b" # forces replacement
//!       ~ tags = {
//!           ~ "env" = "x" -> "y"
//!             # (1 unchanged element hidden)
//!         }
//!       ~ ports = [
//!           - 80,
//!         ]
//!       ~ rule {
//!           ~ port = 1 -> 2
//!         }
//! ```
//!
//! gives `ami`, `ports`, `rule.port`, `tags.env`. A list is one path, as its elements have no number; a block has no index. What is
//! printed below an opening bracket is told from structure by its column alone, so that a heredoc may hold anything. A rule may
//! ignore a resource for these paths: one line that isn't understood, and nothing is known of the resource's attributes.

use super::legacy::{self, Attribute};
use crate::terraform_address::is_plain;
use crate::terraform_show::member;
use crate::text;
use memchr::memchr;
use std::borrow::Cow;

/// The body that is being read.
#[derive(Debug, Default)]
pub(super) struct Body {
    paths: Vec<String>,
    /// What is open, the resource itself first; empty when nothing is to be read.
    open: Vec<Open>,
    /// A line that wasn't understood.
    lost: bool,
    form: Form,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Terraform 0.12 and newer, OpenTofu.
    #[default]
    Blocks,
    /// Terraform 0.11: a path on each line.
    Flat,
}

#[derive(Debug)]
struct Open {
    /// `None`: what stands within isn't looked at.
    path: Option<String>,
    /// The column of its closing bracket. What is within stands further right.
    column: usize,
    /// With what it is closed.
    close: &'static [u8],
    /// How many paths there were before it.
    before: usize,
}

/// How a value goes on.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Complete,
    /// Closed further down by this. `members`: it is one map, object or block and nothing before it.
    Opens {
        close: &'static [u8],
        members: bool,
    },
}

impl Body {
    /// The body of a resource whose closing brace stands in column 4.
    pub fn begin(&mut self, form: Form) {
        self.form = form;
        self.paths.clear();
        self.open.clear();
        self.lost = false;
        self.open.push(Open { path: Some(String::new()), column: 4, close: b"}", before: 0 });
    }

    /// Whether lines are wanted.
    pub fn is_read(&self) -> bool {
        !self.open.is_empty() && !self.lost
    }

    /// The sorted paths, if every line was understood and there are any.
    pub fn end(&mut self) -> Option<Vec<String>> {
        let whole = self.open.len() == 1 && !self.lost;
        self.open.clear();
        self.paths.sort_unstable();
        self.paths.dedup();
        // A list that is as long as it needs to be, and the room for those of the next resource.
        (whole && !self.paths.is_empty()).then(|| self.paths.drain(..).collect())
    }

    /// One line within the resource.
    #[inline]
    pub fn line(&mut self, line: &[u8], colours: bool) {
        let plain = if colours { text::strip_ansi(line) } else { Cow::Borrowed(line) };
        if self.understand(&plain).is_none() {
            self.lost = true;
        }
    }

    /// `None`: not understood.
    fn understand(&mut self, line: &[u8]) -> Option<()> {
        let blanks = line.iter().position(|b| *b != b' ').unwrap_or(line.len());
        let words = line.get(blanks..)?;
        if words.is_empty() {
            return Some(());
        }
        if self.form == Form::Flat {
            if let Attribute::Changed(path) = legacy::attribute(words)? {
                self.paths.push(path);
            }
            return Some(());
        }
        let open = self.open.last()?;
        let column = open.column;
        if blanks == column && words.starts_with(open.close) {
            return self.close(words);
        }
        if open.path.is_none() {
            return (blanks > column).then_some(());
        }
        if words.starts_with(b"#") {
            return (blanks > column && comment(words)).then_some(());
        }
        let first = column.checked_add(2)?;
        match words {
            [b'~' | b'+' | b'-', b' ', rest @ ..] if blanks == first => self.member(rest, first, true),
            [b'-', b'/', b'+', b' ', rest @ ..] | [b'+', b'/', b'-', b' ', rest @ ..] if blanks == column => {
                self.member(rest, first, true)
            }
            _ if blanks == first.checked_add(2)? => self.member(words, first, false),
            _ => None,
        }
    }

    /// `NAME = VALUE`, `NAME {`, `NAME "LABEL" {` or `NAME (known after apply)`.
    fn member(&mut self, words: &[u8], column: usize, changed: bool) -> Option<()> {
        let (name, rest) = key(words)?;
        let rest = rest.trim_ascii_start();
        let (label, rest) = match rest.first()? {
            b'"' => key(rest).map(|(label, rest)| (Some(label), rest.trim_ascii_start()))?,
            _ => (None, rest),
        };
        let value = match rest {
            [b'=', b' ', value @ ..] if label.is_none() => value,
            [b'{' | b'(', ..] => rest,
            _ => return None,
        };
        let (value, arrows) = self::value(value)?;
        if arrows && !changed {
            return None;
        }
        let path = || {
            let above = self.open.last()?.path.as_deref()?;
            let path = member(above, &name.decode()?);
            match label {
                Some(label) => Some(member(&path, &label.decode()?)),
                None => Some(path),
            }
        };
        let path = if changed { Some(path()?) } else { None };
        let column = column.checked_add(2)?;
        match value {
            Value::Complete => {
                if let Some(path) = path {
                    self.paths.push(path);
                }
            }
            Value::Opens { close, members } => {
                let before = self.paths.len();
                let path = if members {
                    path
                } else {
                    self.paths.extend(path);
                    None
                };
                self.open.push(Open { path, column, close, before });
            }
        }
        Some(())
    }

    /// `}`, `]`, `)` or `EOT`, with what may follow.
    fn close(&mut self, words: &[u8]) -> Option<()> {
        if self.open.len() == 1 {
            return None;
        }
        let Open { path, column, close, before } = self.open.pop()?;
        let rest = words.strip_prefix(close)?;
        // The entries of a map of objects end in commas.
        let rest = without_comments(rest.strip_suffix(b",").unwrap_or(rest));
        // What it becomes, where that isn't shown within: `} -> (known after apply)`. `} -> null` closes what is taken away.
        let becomes = match rest {
            b"" | b" -> null" => None,
            _ => Some(value(rest.strip_prefix(b" -> ")?)?.0),
        };
        if let Some(path) = path
            && (becomes.is_some() || self.paths.len() == before)
        {
            self.paths.truncate(before);
            self.paths.push(path);
        }
        if let Some(Value::Opens { close, .. }) = becomes {
            self.open.push(Open { path: None, column, close, before });
        }
        Some(())
    }
}

/// A name as it is printed.
#[derive(Clone, Copy, Debug)]
enum Key<'a> {
    Word(&'a [u8]),
    Quoted(&'a [u8]),
}

impl<'a> Key<'a> {
    fn decode(self) -> Option<Cow<'a, str>> {
        match self {
            Key::Word(word) => str::from_utf8(word).ok().map(Cow::Borrowed),
            // Go's escapes are JSON's where they are the same.
            Key::Quoted(quoted) if memchr(b'\\', quoted).is_some() => {
                serde_json::from_slice(quoted).ok().map(Cow::Owned)
            }
            Key::Quoted(quoted) => {
                let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
                str::from_utf8(inner).ok().map(Cow::Borrowed)
            }
        }
    }
}

/// The name that `words` begins with, and what follows.
fn key(words: &[u8]) -> Option<(Key<'_>, &[u8])> {
    if words.first()? == &b'"' {
        let (quoted, rest) = words.split_at_checked(quoted(words)?)?;
        return Some((Key::Quoted(quoted), rest));
    }
    let end = words.iter().position(|b| !is_plain(*b) && b.is_ascii())?;
    let (word, rest) = words.split_at_checked(end)?;
    (!word.is_empty() && rest.first() == Some(&b' ')).then_some((Key::Word(word), rest))
}

/// Where the quoted string that `bytes` begins with ends.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1_usize;
    loop {
        let found = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        at = at.checked_add(found)?.checked_add(1)?;
        if bytes.get(at.checked_sub(1)?) == Some(&b'"') {
            return Some(at);
        }
        at = at.checked_add(1)?;
    }
}

/// What opens something that is closed further down, and with what.
const OPENERS: [(&[u8], &[u8]); 7] = [
    (b"{", b"}"),
    (b"[", b"]"),
    (b"jsonencode(", b")"),
    (b"yamlencode(", b")"),
    (b"<<-EOT", b"EOT"),
    (b"<<~EOT", b"EOT"),
    (b"<<EOT", b"EOT"),
];

/// Reads `TERM`, `TERM -> TERM` or what opens one of them, to the end of the line; and whether there is an arrow.
fn value(value: &[u8]) -> Option<(Value, bool)> {
    let mut rest = without_comments(value);
    let mut arrows = false;
    loop {
        if matches!(rest, [.., b'{' | b'[' | b'(' | b'T'])
            && let Some((_, close)) = OPENERS.iter().find(|(open, _)| *open == rest)
        {
            return Some((Value::Opens { close, members: *close == b"}" && !arrows }, arrows));
        }
        rest = rest.get(term(rest)?..)?;
        if rest.is_empty() {
            return Some((Value::Complete, arrows));
        }
        rest = rest.strip_prefix(b" -> ")?;
        arrows = true;
    }
}

/// Where one complete value ends: a string, a number or word, `(known after apply)`, `{}`, `[]`.
fn term(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'"', ..] => quoted(bytes),
        [b'(', ..] => memchr(b')', bytes)?.checked_add(1),
        [b'{', b'}', ..] | [b'[', b']', ..] => Some(2),
        _ => {
            let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
            let end = bytes.iter().position(|b| !word(b)).unwrap_or(bytes.len());
            let (word, rest) = bytes.split_at_checked(end)?;
            match (word, rest) {
                (b"", _) => None,
                (b"jsonencode" | b"yamlencode", [b'(', rest @ ..]) => {
                    let inner = term(rest)?;
                    (rest.get(inner) == Some(&b')')).then_some(end.checked_add(inner)?.checked_add(2)?)
                }
                _ => Some(end),
            }
        }
    }
}

fn without_comments(mut words: &[u8]) -> &[u8] {
    const COMMENTS: [&[u8]; 3] =
        [b" # forces replacement", b" # whitespace changes", b" # whitespace changes force replacement"];
    // Nearly every line ends in something else.
    if matches!(words, [.., b't' | b's']) {
        while let Some(rest) = COMMENTS.iter().find_map(|comment| words.strip_suffix(*comment)) {
            words = rest;
        }
    }
    words
}

/// The lines of Terraform's own remarks about attributes that are marked as sensitive.
const REMARKS: [&[u8]; 12] = [
    b"# At least one attribute in this block is (or was) sensitive,",
    b"# so its contents will not be displayed.",
    b"# Warning: this attribute value will no longer be marked as sensitive",
    b"# Warning: this attribute value will be marked as sensitive and will not",
    b"# Warning: this attribute value will be marked as sensitive and will",
    b"# Warning: this block will no longer be marked as sensitive",
    b"# Warning: this block will be marked as sensitive and will not",
    b"# Warning: this block will be marked as sensitive and will",
    b"# after applying this change.",
    b"# display in UI output after applying this change.",
    b"# not display in UI output after applying this change.",
    b"# not display in UI output after applying this change",
];

/// A whole remark, not one that has swallowed the line after it.
fn comment(words: &[u8]) -> bool {
    if hidden(words) {
        return true;
    }
    let remark = words.strip_suffix(b" The value is unchanged.").unwrap_or(words);
    REMARKS.contains(&remark)
}

/// What follows the number in `# (3 unchanged attributes hidden)`.
const HIDDEN: [&[u8]; 8] = [
    b" unchanged attribute hidden)",
    b" unchanged attributes hidden)",
    b" unchanged element hidden)",
    b" unchanged elements hidden)",
    b" unchanged block hidden)",
    b" unchanged blocks hidden)",
    b" unchanged identity attribute hidden)",
    b" unchanged identity attributes hidden)",
];

fn hidden(words: &[u8]) -> bool {
    let Some(words) = words.strip_prefix(b"# (") else { return false };
    let digits = words.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && words.get(digits..).is_some_and(|rest| HIDDEN.contains(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(body: &str) -> Option<Vec<String>> {
        let mut found = Body::default();
        found.begin(Form::Blocks);
        for line in body.lines() {
            found.line(line.as_bytes(), true);
        }
        found.end()
    }

    const EVERY_KIND: &str = r#"
      ~ content = <<-EOT
            line one
          - line 2
          + ~ ami = 1 -> 2
            EOT
            }
        EOT
        id      = "id-a"
      + extra   = true
      - gone    = 1.5e-7 -> null
      ~ policy  = jsonencode( # whitespace changes
            {
              ~ Statement = [
                ]
            }
        )
      ~ ports   = [
            80,
          + 8080,
        ]
      ~ secret  = (sensitive value)
      ~ size    = 27 -> (known after apply) # forces replacement
      ~ tags    = {
          + "env"            = "prod"
          ~ "key with space" = "w = { -> [" -> "v\" # x"
          - "owner"          = "me" -> null
            "same"           = "x"
            # (1 unchanged element hidden)
        }
      ~ disks   = {
          ~ "disk_a" = {
              + size = "50GB"
            },
          - "b"      = {
              - size = "1" -> null
            } -> null,
        }
      ~ spaces  = jsonencode( # whitespace changes force replacement
            {
                a = "}"
            }
        )
      + labels  = {}
      - old     = {
          - "a" = "b" -> null
        } -> null
      ~ kind    = "x" -> {
          + a = 1
        }
      ~ other   = {
          - a = 1
        } -> (known after apply)
      ~ shape   = [
          - 1,
        ] -> {
          + b = 1
        }
      ~ object  = {
          ~ inner = {
              ~ leaf = null -> "x"
            }
        }

      - rule {
          - cidr = "10.0.0.0/8" -> null
        }
      + rule {
          + port = 444
        }
      + empty {}
      ~ named "label" {
          ~ a = 1 -> 2
        }
    -/+ forced { # forces replacement
          ~ b = 1 -> 2 # forces replacement
        }
      ~ hidden {
          # At least one attribute in this block is (or was) sensitive,
          # so its contents will not be displayed.
        }
      + network (known after apply)
        same {
            a = 1
        }

        # (2 unchanged blocks hidden)
"#;

    #[test]
    fn every_kind_of_attribute_has_its_path() {
        assert_eq!(
            paths(EVERY_KIND).unwrap(),
            [
                "content",
                "disks.b.size",
                "disks.disk_a.size",
                "empty",
                "extra",
                "forced.b",
                "gone",
                "hidden",
                "kind",
                "labels",
                "named.label.a",
                "network",
                "object.inner.leaf",
                "old.a",
                "other",
                "policy",
                "ports",
                "rule.cidr",
                "rule.port",
                "secret",
                "shape",
                "size",
                "spaces",
                "tags.env",
                "tags.owner",
                "tags[\"key with space\"]",
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_understood_hides_them_all() {
        assert_eq!(paths("      ~ a = 1 -> 2\n").unwrap(), ["a"]);
        assert_eq!(paths("      ~ \"a\\nb\" = 1 -> 2\n").unwrap(), ["[\"a\\nb\"]"]);
        for line in [
            "",
            "      # a = 1",
            "      # (1 unchanged attribute hidden)      ~ b = 1 -> 2 hidden)",
            "      * a = 1 -> 2",
            "        a = 1 -> 2",
            "       ~ a = 1 -> 2",
            "      ~ a = 1 -> 2      ~ b = 1 -> 2",
            "      ~ a",
            "      ~ a ",
            "      ~ a = ",
            "      ~ a = \"open",
            "      ~ a = {",
            "      ~ a = <<-EOT\n            EOT",
            "      ~ a = [\n          1,\n        }",
            "      ~ a = {\n          ~ b = 1 -> 2\n        }      ~ b = 1",
            "      ~ \"a\\x00\" = 1 -> 2",
            "    }",
            "          ~ a = 1 -> 2",
        ] {
            assert_eq!(paths(line), None, "{line}");
        }
    }
}
