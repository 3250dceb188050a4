//! Reads normal diffs, what `diff` prints without options: GNU `diff`, `diff -N`, `diff -r`, coloured or not.
//!
//! ```text
//! diff /tmp/LIVE-2338678113/v1.ConfigMap.shop.keep /tmp/MERGED-2591908405/v1.ConfigMap.shop.keep
//! 3c3
//! <   a: "1"
//! ---
//! >   a: "2"
//! 17a18
//! >   - list
//! Only in /tmp/LIVE-2338678113: v1.ConfigMap.shop.old-settings
//! ```
//!
//! The numbers of a change (`6,9c6,8`) say how many lines of each side follow, so no content can pass for a header. Each line of
//! content has a sign and a blank, so whatever else stands there is a line lost or cut. Knows nothing of what the compared
//! files are; paths stand only in the command line above, if in any.

use crate::error::ParseError;
use crate::text::{self, Line, Lines};
use crate::udiff::{Body, Hunk, Sign, number};
use std::borrow::Cow;

/// One step of a diff, in the order of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `diff A B`, without colours.
    Command(u32, Cow<'a, [u8]>),
    /// `3c3`, `0a1,11`, `14,74d13`: the same numbers that a unified diff without context has.
    Change(u32, Hunk),
    /// A line of the change above.
    Body(Body<'a>),
    /// `\ No newline at end of file`.
    NoNewline(u32),
    /// `Only in DIR: FILE`, without colours.
    OnlyIn(u32, Cow<'a, [u8]>),
    /// Nothing but blanks, outside of a change.
    Blank(u32),
    /// Any other line outside of a change.
    Other(Line<'a>),
}

/// The lines that the change above still owes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owed {
    old: u64,
    new: u64,
    /// `---` still has to come.
    divider: bool,
    change: u32,
}

impl Owed {
    /// Whether no change is open.
    pub const fn is_none(&self) -> bool {
        self.old == 0 && self.new == 0
    }

    /// The numbers of the next change, on a line without colours.
    pub fn change(&mut self, number: u32, plain: &[u8]) -> Result<Hunk, ParseError> {
        let hunk = change(plain).ok_or_else(|| {
            ParseError::format("expected the numbers of a change: `3c3`, `0a1,11`").at(number)
        })?;
        let divider = hunk.old.1 > 0 && hunk.new.1 > 0;
        *self = Self { old: hunk.old.1, new: hunk.new.1, divider, change: number };
        Ok(hunk)
    }

    /// The next line of an open change; `None` for `---`.
    pub fn line<'a>(&mut self, line: Line<'a>) -> Result<Option<Body<'a>>, ParseError> {
        if self.old == 0 && self.divider {
            if *line.plain() == *b"---" {
                self.divider = false;
                return Ok(None);
            }
            return Err(ParseError::cut("expected `---` between the old and the new lines").at(line.number));
        }
        let (mark, sign, left) = if self.old > 0 {
            (b'<', Sign::Removed, &mut self.old)
        } else {
            (b'>', Sign::Added, &mut self.new)
        };
        let text = match text::skip_ansi(line.bytes).split_first() {
            Some((first, rest)) if *first == mark => match text::skip_ansi(rest) {
                // `--suppress-blank-empty`.
                [] => Some(&[][..]),
                [b' ', text @ ..] => Some(text),
                _ => None,
            },
            _ => None,
        };
        let Some(text) = text else {
            return Err(self.missing("something else follows").at(line.number));
        };
        *left = left.saturating_sub(1);
        Ok(Some(Body { number: line.number, sign, text }))
    }

    /// Nothing more comes.
    pub fn end(&self, last: u32) -> Result<(), ParseError> {
        if self.is_none() { Ok(()) } else { Err(self.missing("the output ends").at(last)) }
    }

    fn missing(&self, what: &str) -> ParseError {
        ParseError::cut(format!(
            "{what} {} old and {} new lines before the end of the change of line {}",
            self.old, self.new, self.change
        ))
    }
}

/// Iterates over the events of a diff; the first error ends it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    lines: Lines<'a>,
    owed: Owed,
    /// A change was read, so the line before may lack its end.
    within: bool,
    last: u32,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Reads `text` from its first line.
    pub fn new(text: &'a [u8]) -> Self {
        Self { lines: text::lines(text), owed: Owed::default(), within: false, last: 0, failed: false }
    }

    fn step(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        loop {
            let Some(line) = self.lines.next() else {
                return self.owed.end(self.last).map(|()| None);
            };
            self.last = line.number;
            if self.owed.is_none() {
                return self.outside(line).map(Some);
            }
            if text::skip_ansi(line.bytes).starts_with(b"\\ ") {
                return Ok(Some(Event::NoNewline(line.number)));
            }
            if let Some(body) = self.owed.line(line)? {
                return Ok(Some(Event::Body(body)));
            }
        }
    }

    fn outside(&mut self, line: Line<'a>) -> Result<Event<'a>, ParseError> {
        let plain = line.plain();
        let number = line.number;
        if plain.first().is_some_and(u8::is_ascii_digit) {
            let hunk = self.owed.change(number, &plain)?;
            self.within = true;
            return Ok(Event::Change(number, hunk));
        }
        if self.within && plain.starts_with(b"\\ ") {
            return Ok(Event::NoNewline(number));
        }
        self.within = false;
        if plain.starts_with(b"diff ") {
            return Ok(Event::Command(number, plain));
        }
        if plain.starts_with(b"Only in ") {
            return Ok(Event::OnlyIn(number, plain));
        }
        if plain.iter().all(u8::is_ascii_whitespace) {
            return Ok(Event::Blank(number));
        }
        Ok(Event::Other(line))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Event<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// `OLDaNEW`, `OLDdNEW`, `OLDcNEW`; a range has two numbers where there is more than one line. What is added or removed on one
/// side stands after a line of the other.
fn change(text: &[u8]) -> Option<Hunk> {
    let (old, rest) = range(text)?;
    let (letter, rest) = rest.split_first()?;
    let (new, rest) = range(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let empty = |(start, count): (u64, u64)| (count == 1).then_some((start, 0));
    let real = |(start, _): (u64, u64)| start > 0;
    match letter {
        b'a' if real(new) => Some(Hunk { old: empty(old)?, new }),
        b'd' if real(old) => Some(Hunk { old, new: empty(new)? }),
        b'c' if real(old) && real(new) => Some(Hunk { old, new }),
        _ => None,
    }
}

/// `3` or `3,7`: first line and count.
fn range(text: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (first, rest) = number(text)?;
    let Some(rest) = rest.strip_prefix(b",") else { return Some(((first, 1), rest)) };
    let (last, rest) = number(rest)?;
    let more = last.checked_sub(first).filter(|more| *more > 0)?;
    Some(((first, more.checked_add(1)?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn read(text: &str) -> Result<Vec<Event<'_>>, (Class, u32)> {
        Reader::new(text.as_bytes()).collect::<Result<_, _>>().map_err(|e| (e.class, e.line.unwrap()))
    }

    fn body(number: u32, sign: Sign, text: &str) -> Event<'_> {
        Event::Body(Body { number, sign, text: text.as_bytes() })
    }

    #[test]
    fn only_the_numbers_of_a_change_say_where_it_ends() {
        let text =
            "diff a b\n1,2c1,2\n< diff c d\n< Only in x: y\n---\n> ---\n> 3c3\n5a6\n>\nOnly in a: b\n\nx\n";
        assert_eq!(
            read(text).unwrap(),
            [
                Event::Command(1, Cow::Borrowed(b"diff a b")),
                Event::Change(2, Hunk { old: (1, 2), new: (1, 2) }),
                body(3, Sign::Removed, "diff c d"),
                body(4, Sign::Removed, "Only in x: y"),
                body(6, Sign::Added, "---"),
                body(7, Sign::Added, "3c3"),
                Event::Change(8, Hunk { old: (5, 0), new: (6, 1) }),
                body(9, Sign::Added, ""),
                Event::OnlyIn(10, Cow::Borrowed(b"Only in a: b")),
                Event::Blank(11),
                Event::Other(Line { number: 12, bytes: b"x" }),
            ]
        );
    }

    #[test]
    fn colours_and_missing_ends_don_t_hide_a_sign() {
        let text = "\x1b[36m1c1\x1b[0m\r\n\x1b[31m< a\x1b[0m\r\n\\ No newline at end of file\n---\n\x1b[32m>\x1b[0m \x1b[32mb\x1b[0m\n\\ No newline at end of file\n";
        let events = read(text).unwrap();
        let kinds: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Change(..) => 'c',
                Event::Body(Body { sign: Sign::Removed, .. }) => '<',
                Event::Body(Body { sign: Sign::Added, .. }) => '>',
                Event::NoNewline(_) => '\\',
                _ => '?',
            })
            .collect();
        assert_eq!(kinds, ['c', '<', '\\', '>', '\\']);
    }

    #[test]
    fn changes_that_don_t_keep_their_promise_are_refused() {
        use Class::{UnreadableCut, UnreadableFormat};
        let class = |text: &str| read(text).unwrap_err();
        assert_eq!(class("1c1\n< a\n"), (UnreadableCut, 2));
        assert_eq!(class("1c1\n< a\n> b\n"), (UnreadableCut, 3));
        assert_eq!(class("1c1\n---\n> b\n"), (UnreadableCut, 2));
        assert_eq!(class("1c1\n> a\n---\n> b\n"), (UnreadableCut, 2));
        assert_eq!(class("1c1\n< a\n---\n< b\n"), (UnreadableCut, 4));
        assert_eq!(class("1,2d0\n< a\ndiff a b\n"), (UnreadableCut, 3));
        assert_eq!(class("0a1\n>b\n"), (UnreadableCut, 2));
        for numbers in [
            "1x1",
            "1c",
            "1,1c1",
            "2,1c1",
            "1c1 ",
            "1,2a3",
            "0c1",
            "1a0",
            "0d0",
            "1,,2c1",
            "99999999999999999999c1",
        ] {
            assert_eq!(class(&format!("{numbers}\n")), (UnreadableFormat, 1), "{numbers}");
        }
    }

    #[test]
    fn numbers_are_those_of_a_unified_diff() {
        let hunk = |old, new| Some(Hunk { old, new });
        assert_eq!(change(b"0a1,11"), hunk((0, 0), (1, 11)));
        assert_eq!(change(b"14,74d13"), hunk((14, 61), (13, 0)));
        assert_eq!(change(b"6,9c6"), hunk((6, 4), (6, 1)));
    }
}
