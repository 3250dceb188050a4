//! Which fields of an object differ, where its diff shows everything above them (`diff -U 9999`).
//!
//! ```text
//! @@ -1,39 +1,42 @@
//!  apiVersion: apps/v1
//!  …
//!      spec:
//!        containers:
//! -      - image: nginx:1.25.3
//! +      - image: nginx:1.27.0
//! ```
//!
//! Follows the block style that kubectl prints: two columns a level, lists at the column of their key, long scalars continued
//! deeper. Paths of both versions are kept; where they part, unchanged lines count as changed, too, since their fields have
//! moved. Whatever it doesn't know makes it silent: no list is better than one that lacks a field.

use crate::text;
use crate::udiff::{Body, Sign};
use memchr::{memchr, memchr_iter, memchr2};
use std::io::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Key(&'a [u8]),
    Index(u32),
}

/// Where one version of the object stands after some of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place<'a> {
    parts: Vec<(usize, Part<'a>)>,
    /// The column of the field or element whose value began above and may go on, deeper.
    leaf: Option<usize>,
}

/// Follows the lines of one object.
#[derive(Debug, Default)]
pub(crate) struct Attributes<'a> {
    old: Place<'a>,
    /// `None` while both versions stand at the same place.
    new: Option<Place<'a>>,
    found: Found,
    lost: bool,
}

#[derive(Debug, Default)]
struct Found {
    paths: Vec<String>,
    path: Vec<u8>,
}

impl Found {
    fn report(&mut self, place: &Place<'_>) {
        place.path(&mut self.path);
        // Lines of one long value.
        if self.paths.last().is_none_or(|last| last.as_bytes() != self.path) {
            self.paths.push(text::string(&self.path));
        }
    }
}

impl<'a> Attributes<'a> {
    /// The next line.
    #[inline]
    pub fn line(&mut self, body: Body<'a>) {
        if self.lost {
            return;
        }
        self.lost = self.follow(body).is_none();
    }

    /// The paths; `None` when something wasn't understood.
    pub fn paths(self) -> Option<Vec<String>> {
        (!self.lost && !self.found.paths.is_empty()).then_some(self.found.paths)
    }

    fn follow(&mut self, body: Body<'a>) -> Option<()> {
        match (body.sign, &mut self.new) {
            (Sign::Context, None) => {
                self.old.line(body.text)?;
            }
            (Sign::Context, Some(new)) => {
                let leaf = self.old.line(body.text)?;
                let other = new.line(body.text)?;
                if self.old == *new {
                    self.new = None;
                } else {
                    // The same line at two places, or a part of two different values.
                    if leaf {
                        self.found.report(&self.old);
                    }
                    if other {
                        self.found.report(new);
                    }
                }
            }
            (Sign::Removed, new) => {
                new.get_or_insert_with(|| self.old.clone());
                if self.old.line(body.text)? {
                    self.found.report(&self.old);
                }
            }
            (Sign::Added, new) => {
                let new = new.get_or_insert_with(|| self.old.clone());
                if new.line(body.text)? {
                    self.found.report(new);
                }
            }
        }
        Some(())
    }
}

impl<'a> Place<'a> {
    /// Moves on; says whether the line holds a value or a part of one. `None`: not understood.
    #[inline]
    fn line(&mut self, text: &'a [u8]) -> Option<bool> {
        let mut column = text.iter().take_while(|b| **b == b' ').count();
        let mut rest = text.get(column..)?;
        if rest.is_empty() {
            return self.leaf.map(|_| true);
        }
        if self.leaf.is_some_and(|leaf| column > leaf) {
            return Some(true);
        }
        self.leaf = None;
        let mut element = None;
        while let Some(after) = rest.strip_prefix(b"- ") {
            self.leave(|at| at > column);
            match self.parts.last_mut() {
                Some((at, Part::Index(n))) if *at == column => *n = n.checked_add(1)?,
                _ => self.parts.push((column, Part::Index(0))),
            }
            element = Some(column);
            column = column.checked_add(2)?;
            rest = after;
        }
        let (key, value) = match field(rest)? {
            Field::Key(key, value) => (key, value),
            // Only as an element of a list.
            Field::Scalar => {
                self.leaf = Some(element?);
                return Some(true);
            }
        };
        self.leave(|at| at >= column);
        self.parts.push((column, Part::Key(key)));
        if value.is_empty() {
            return Some(false);
        }
        self.leaf = Some(column);
        Some(true)
    }

    /// Leaves the innermost parts while their columns are `inside` what ends. A list may stand at the column of its key.
    #[inline]
    fn leave(&mut self, inside: impl Fn(usize) -> bool) {
        while self.parts.pop_if(|(at, _)| inside(*at)).is_some() {}
    }

    /// Writes the path to `path`.
    fn path(&self, path: &mut Vec<u8>) {
        path.clear();
        for (_, part) in &self.parts {
            // Writing to a vector doesn't fail.
            let _ = match part {
                Part::Index(n @ 0..=9) => {
                    path.extend_from_slice(&[
                        b'[',
                        DIGITS.get(*n as usize).copied().unwrap_or_default(),
                        b']',
                    ]);
                    Ok(())
                }
                Part::Index(n) => write!(path, "[{n}]"),
                Part::Key(key) if key.iter().copied().all(is_plain) => {
                    if !path.is_empty() {
                        path.push(b'.');
                    }
                    path.extend_from_slice(key);
                    Ok(())
                }
                Part::Key(key) => write!(path, "[{:?}]", String::from_utf8_lossy(key)),
            };
        }
    }
}

/// Formatting a number takes longer than all the rest of a path.
const DIGITS: &[u8; 10] = b"0123456789";

/// Whether it can stand in a path without quotes.
pub(crate) fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'$')
}

/// What stands on a line after its indentation and dashes.
enum Field<'a> {
    Key(&'a [u8], &'a [u8]),
    Scalar,
}

/// `key: value`, or a scalar; `None` for what kubectl doesn't print, or not in a form that is followed here.
fn field(text: &[u8]) -> Option<Field<'_>> {
    let (key, rest) = match text {
        b"{}" | b"[]" => return Some(Field::Scalar),
        [b'!', ..] if text.starts_with(b"!!binary ") => return Some(Field::Scalar),
        // A key on a line of its own, a reference, a tag, a flow collection, a comment, a directive, a document's end.
        [b'?' | b'&' | b'*' | b'!' | b'{' | b'[' | b'#' | b'%' | b'@' | b'`', ..]
        | b"-"
        | b"---"
        | b"..." => return None,
        [quote @ (b'"' | b'\''), inner @ ..] => {
            let Some(end) = closing(inner, *quote) else { return Some(Field::Scalar) };
            let (key, rest) = inner.split_at_checked(end)?;
            let rest = rest.get(1..)?;
            if rest.is_empty() {
                return Some(Field::Scalar);
            }
            // Escapes make another key than what is printed.
            if memchr2(b'\\', *quote, key).is_some() {
                return None;
            }
            (key, rest.strip_prefix(b":")?)
        }
        _ => match colon(text) {
            Some((key, rest)) => (key, rest),
            None => return Some(Field::Scalar),
        },
    };
    // Colours.
    memchr(0x1b, key).is_none().then(|| Field::Key(key, rest.trim_ascii()))
}

/// Splits at the first colon with a blank or nothing behind it.
#[inline]
fn colon(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut colons = memchr_iter(b':', text);
    colons.find_map(|at| {
        let (key, rest) = text.split_at_checked(at)?;
        let rest = rest.get(1..)?;
        matches!(rest, [] | [b' ', ..]).then_some((key, rest))
    })
}

/// Where a quoted scalar ends, if on this line.
fn closing(inner: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        match (*inner.get(at)?, quote) {
            (b'\\', b'"') => at = at.checked_add(2)?,
            (b'\'', b'\'') if inner.get(at.checked_add(1)?) == Some(&b'\'') => at = at.checked_add(2)?,
            (b, _) if b == quote => return Some(at),
            _ => at = at.checked_add(1)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(diff: &str) -> Option<Vec<String>> {
        let mut attributes = Attributes::default();
        for line in diff.lines() {
            let (sign, text) = line.split_at_checked(1).unwrap_or((" ", ""));
            let sign = match sign {
                "-" => Sign::Removed,
                "+" => Sign::Added,
                _ => Sign::Context,
            };
            attributes.line(Body { number: 1, sign, text: text.as_bytes() });
        }
        let mut paths = attributes.paths()?;
        paths.sort_unstable();
        paths.dedup();
        Some(paths)
    }

    fn strings(paths: &[&str]) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_changed_field_has_a_path() {
        let diff = " kind: X\n metadata:\n-  generation: 1\n+  generation: 2\n   labels:\n-    example.com/tier: a\n+    example.com/tier: b\n spec:\n   containers:\n   - args:\n     - --port\n-    - \"80\"\n+    - \"81\"\n     name: app\n-  - image: a:1\n+  - image: a:2\n     name: b\n";
        assert_eq!(
            paths(diff),
            Some(strings(&[
                "metadata.generation",
                "metadata.labels[\"example.com/tier\"]",
                "spec.containers[0].args[1]",
                "spec.containers[1].image",
            ]))
        );
    }

    #[test]
    fn long_values_are_one_field_and_what_stands_in_them_is_none() {
        let diff = " data:\n   a: |\n     b: 1\n-    - c: 2\n+    - c: 3\n \n     d: 4\n   quoted: 'x\n-    y: 1'\n+    y: 2'\n   z: 1\n";
        assert_eq!(paths(diff), Some(strings(&["data.a", "data.quoted"])));
    }

    #[test]
    fn a_new_element_moves_those_after_it() {
        let diff = " list:\n+- x\n - a\n - b\n other: 1\n";
        assert_eq!(paths(diff), Some(strings(&["list[0]", "list[1]", "list[2]"])));
        let diff = " list:\n - - a\n-  - b\n+  - c\n - k: 1\n-  l: 2\n";
        assert_eq!(paths(diff), Some(strings(&["list[0][1]", "list[1].l"])));
    }

    #[test]
    fn a_renamed_or_retyped_parent_takes_its_unchanged_lines_along() {
        assert_eq!(paths("-a:\n+b:\n   c: 1\n d: 1\n"), Some(strings(&["a.c", "b.c"])));
        assert_eq!(paths("-a: |\n+a:\n   c: 1\n d: 1\n"), Some(strings(&["a", "a.c"])));
        assert_eq!(paths("-a: {}\n+a:\n+  c: 1\n d: 1\n"), Some(strings(&["a", "a.c"])));
    }

    #[test]
    fn what_it_doesn_t_know_makes_it_silent() {
        assert_eq!(paths(" ? a\n : b\n-c: 1\n"), None);
        assert_eq!(paths(" \"a\\tb\": 1\n-c: 1\n"), None);
        assert_eq!(paths(" a\n-c: 1\n"), None);
        assert_eq!(paths(" a: 1\n"), None);
        assert_eq!(paths("-\u{1b}[31ma: 1\n"), None);
        assert_eq!(paths(" a:\n - {b: 1}\n-c: 1\n"), None);
    }

    #[test]
    fn keys_with_colons_and_quotes_are_keys() {
        let diff = " f:spec:\n   k:{\"a\":1}:\n-    .: {}\n   \"true\": 1\n-  'a b': 1\n";
        assert_eq!(
            paths(diff),
            Some(strings(&["[\"f:spec\"][\"a b\"]", "[\"f:spec\"][\"k:{\\\"a\\\":1}\"][\".\"]"]))
        );
    }
}
