//! Reads unified diffs: GNU `diff -u`, busybox, `git diff`, coloured or not.
//!
//! ```text
//! diff -u -N /tmp/LIVE-84379744/v1.ConfigMap.shop.web /tmp/MERGED-483209415/v1.ConfigMap.shop.web
//! --- /tmp/LIVE-84379744/v1.ConfigMap.shop.web  2026-11-23 00:57:41.561415209 +0000
//! +++ /tmp/MERGED-483209415/v1.ConfigMap.shop.web  2026-11-23 00:57:41.561415209 +0000
//! @@ -1,3 +1,3 @@
//!  apiVersion: v1
//! --- /tmp/LIVE-1/not.a.header
//! +++ /tmp/MERGED-1/not.a.header
//!  kind: ConfigMap
//! ```
//!
//! Knows which line is a header and which is content: inside a hunk only the numbers of its `@@` line count, since removed
//! content may well begin with `--- /`. Knows nothing of what the compared files are. A line costs no allocation.

use crate::error::ParseError;
use crate::text::{self, Line, Lines};
use memchr::{memchr, memchr_iter, memrchr};
use std::borrow::Cow;

/// One step of a diff, in the order of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `diff -u -N A B`, without colours.
    Command(u32, Cow<'a, [u8]>),
    /// A remark of git between the command and the paths: `index …`, `deleted file mode …`.
    Remark(u32),
    /// `--- A` followed by `+++ B`; the number of the first.
    Paths(u32, Side<'a>, Side<'a>),
    /// `@@ -1,3 +1,3 @@`.
    Hunk(u32, Hunk),
    /// A line of the hunk above.
    Body(Body<'a>),
    /// `\ No newline at end of file`.
    NoNewline(u32),
    /// `Only in DIR: FILE`, without colours.
    OnlyIn(u32, Cow<'a, [u8]>),
    /// Nothing but blanks, outside of a hunk.
    Blank(u32),
    /// Any other line outside of a hunk.
    Other(Line<'a>),
}

/// One side of a comparison as its header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side<'a> {
    /// As printed, with quotes, without the time.
    pub raw: Cow<'a, [u8]>,
    /// Without quotes.
    pub path: Cow<'a, [u8]>,
    /// Whether the time is the epoch: what `diff -N` prints for a file that isn't there.
    pub epoch: bool,
}

impl Side<'_> {
    /// Whether this is what git and busybox print for a file that isn't there.
    pub fn is_null(&self) -> bool {
        &*self.path == b"/dev/null"
    }
}

/// The numbers of a hunk: first line and count on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// `-start,count`.
    pub old: (u64, u64),
    /// `+start,count`.
    pub new: (u64, u64),
}

/// Which side a line of a hunk stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// On both.
    Context,
    /// Only on the old one.
    Removed,
    /// Only on the new one.
    Added,
}

/// One line of a hunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// From 1.
    pub number: u32,
    /// Its side.
    pub sign: Sign,
    /// What follows the sign, colours included.
    pub text: &'a [u8],
}

/// Iterates over the events of a diff; the first error ends it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    lines: Lines<'a>,
    /// Lines that the hunk still owes, old and new.
    owed: (u64, u64),
    hunk: u32,
    changes: bool,
    last: u32,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Reads `text` from its first line.
    pub fn new(text: &'a [u8]) -> Self {
        Self { lines: text::lines(text), owed: (0, 0), hunk: 0, changes: true, last: 0, failed: false }
    }

    /// What follows the lines that were taken.
    pub fn rest(&self) -> &'a [u8] {
        self.lines.rest()
    }

    /// The number of the line that was taken last.
    pub fn number(&self) -> u32 {
        self.lines.number()
    }

    /// Takes the lines of the hunk at hand in one go, much faster than one event for each: `each` gets them with where they
    /// begin and end in [`Reader::rest`] of before. Stops early at a line in any unusual form, which then comes as an event.
    #[inline]
    pub fn hunk(&mut self, mut each: impl FnMut(usize, usize, Body<'a>)) {
        let text = self.lines.rest();
        let first = self.lines.number();
        let (mut old, mut new) = self.owed;
        let (mut begin, mut number) = (0_usize, first);
        for end in memchr_iter(b'\n', text) {
            let Some(line) = text.get(begin..end) else { break };
            let (sign, line, owed) = match line {
                [b' ', line @ ..] => (Sign::Context, line, old.checked_sub(1).zip(new.checked_sub(1))),
                [b'-', line @ ..] => (Sign::Removed, line, old.checked_sub(1).zip(Some(new))),
                [b'+', line @ ..] => (Sign::Added, line, Some(old).zip(new.checked_sub(1))),
                [] => (Sign::Context, line, old.checked_sub(1).zip(new.checked_sub(1))),
                _ => break,
            };
            let Some(owed) = owed else { break };
            (old, new) = owed;
            number = number.saturating_add(1);
            self.changes |= sign != Sign::Context;
            let after = end.saturating_add(1);
            each(begin, after, Body { number, sign, text: line.strip_suffix(b"\r").unwrap_or(line) });
            begin = after;
            if old == 0 && new == 0 {
                break;
            }
        }
        self.owed = (old, new);
        self.lines.pass(begin, number.saturating_sub(first));
        self.last = number;
    }

    #[inline]
    fn step(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        let Some(line) = self.lines.next() else {
            return if self.owed == (0, 0) {
                self.close_hunk().map(|()| None)
            } else {
                Err(ParseError::cut(self.owes("the output ends")).at(self.last))
            };
        };
        self.last = line.number;
        if self.owed == (0, 0) { self.outside(line).map(Some) } else { self.inside(line).map(Some) }
    }

    #[inline]
    fn inside(&mut self, line: Line<'a>) -> Result<Event<'a>, ParseError> {
        let (sign, text) = match text::skip_ansi(line.bytes).split_first() {
            Some((b' ', text)) => (Sign::Context, text),
            Some((b'-', text)) => (Sign::Removed, text),
            Some((b'+', text)) => (Sign::Added, text),
            Some((b'\\', _)) => return Ok(Event::NoNewline(line.number)),
            // `diff --suppress-blank-empty`, and editors that strip blanks at line ends.
            None => (Sign::Context, &[][..]),
            Some(_) => return Err(ParseError::cut(self.owes("something else follows")).at(line.number)),
        };
        let (old, new) = self.owed;
        let owed = match sign {
            Sign::Context => old.checked_sub(1).zip(new.checked_sub(1)),
            Sign::Removed => old.checked_sub(1).zip(Some(new)),
            Sign::Added => Some(old).zip(new.checked_sub(1)),
        };
        self.owed = owed.ok_or_else(|| {
            let side = if sign == Sign::Removed || old == 0 { "old" } else { "new" };
            let message = format!("the hunk of line {} has more {side} lines than it announces", self.hunk);
            ParseError::contradiction(message).at(line.number)
        })?;
        self.changes |= sign != Sign::Context;
        Ok(Event::Body(Body { number: line.number, sign, text }))
    }

    fn outside(&mut self, line: Line<'a>) -> Result<Event<'a>, ParseError> {
        let number = line.number;
        // What follows the numbers, and whether that has colours, means nothing.
        if let Some(hunk) = line.bytes.strip_prefix(b"@@ ").and_then(hunk) {
            return self.begin_hunk(number, hunk);
        }
        let plain = line.plain();
        if let Some(rest) = plain.strip_prefix(b"@@ ") {
            self.close_hunk()?;
            let hunk =
                hunk(rest).ok_or_else(|| ParseError::format("expected `@@ -1,2 +1,2 @@`").at(number))?;
            return self.begin_hunk(number, hunk);
        }
        if plain.starts_with(b"\\ ") {
            return Ok(Event::NoNewline(number));
        }
        self.close_hunk()?;
        if plain.starts_with(b"diff ") {
            return Ok(Event::Command(number, plain));
        }
        if plain.starts_with(b"--- ") {
            return self.paths(number, plain);
        }
        if plain.starts_with(b"Only in ") {
            return Ok(Event::OnlyIn(number, plain));
        }
        if REMARKS.iter().any(|remark| plain.starts_with(remark)) {
            return Ok(Event::Remark(number));
        }
        if plain.iter().all(u8::is_ascii_whitespace) {
            return Ok(Event::Blank(number));
        }
        Ok(Event::Other(line))
    }

    fn begin_hunk(&mut self, number: u32, hunk: Hunk) -> Result<Event<'a>, ParseError> {
        self.close_hunk()?;
        (self.owed, self.hunk, self.changes) = ((hunk.old.1, hunk.new.1), number, false);
        Ok(Event::Hunk(number, hunk))
    }

    fn paths(&mut self, number: u32, old: Cow<'a, [u8]>) -> Result<Event<'a>, ParseError> {
        let Some(next) = self.lines.next() else {
            return Err(ParseError::cut("the output ends after a `---` line").at(number));
        };
        self.last = next.number;
        let new = next.plain();
        if !new.starts_with(b"+++ ") {
            return Err(ParseError::format("expected a `+++` line after the `---` line").at(next.number));
        }
        let old = side(old).ok_or_else(|| bad_path(number))?;
        let new = side(new).ok_or_else(|| bad_path(next.number))?;
        Ok(Event::Paths(number, old, new))
    }

    /// A hunk without a change comes from no diff.
    fn close_hunk(&mut self) -> Result<(), ParseError> {
        if self.changes {
            return Ok(());
        }
        self.changes = true;
        Err(ParseError::contradiction("a hunk in which nothing changes").at(self.hunk))
    }

    fn owes(&self, what: &str) -> String {
        let (old, new) = self.owed;
        format!("{what} {old} old and {new} new lines before the end of the hunk of line {}", self.hunk)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Event<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

const REMARKS: [&[u8]; 5] = [b"index ", b"old mode ", b"new mode ", b"deleted file mode ", b"new file mode "];

fn bad_path(number: u32) -> ParseError {
    ParseError::format("a path with quotes that don't close, or an unknown escape").at(number)
}

/// `-1,3 +1,3 @@ …`; a count of one may be left out.
fn hunk(text: &[u8]) -> Option<Hunk> {
    let (old, rest) = range(text.strip_prefix(b"-")?)?;
    let (new, rest) = range(rest.strip_prefix(b" +")?)?;
    rest.starts_with(b" @@").then_some(Hunk { old, new })
}

fn range(text: &[u8]) -> Option<((u64, u64), &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => number(rest).map(|(count, rest)| ((start, count), rest)),
        None => Some(((start, 1), rest)),
    }
}

/// The number that `text` begins with, and what follows it.
pub(crate) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut rest) = (None, text);
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        let shifted = value.unwrap_or(0_u64).checked_mul(10)?;
        value = Some(shifted.checked_add(u64::from(digit & 15))?);
        rest = after;
    }
    value.map(|value| (value, rest))
}

/// Splits `--- PATH<TAB>TIME` and unquotes the path.
fn side(line: Cow<'_, [u8]>) -> Option<Side<'_>> {
    let rest = line.get(4..)?;
    let (raw, time) = split_time(rest);
    let epoch = time.starts_with(b"1970-01-01 00:00:00");
    let quoted = raw.first() == Some(&b'"');
    let length = raw.len();
    Some(match line {
        Cow::Borrowed(line) => {
            let raw = line.get(4..)?.get(..length)?;
            let path = if quoted { Cow::Owned(unquote(raw)?) } else { Cow::Borrowed(raw) };
            Side { raw: Cow::Borrowed(raw), path, epoch }
        }
        Cow::Owned(line) => {
            let raw = line.get(4..)?.get(..length)?.to_vec();
            let path = if quoted { unquote(&raw)? } else { raw.clone() };
            Side { raw: Cow::Owned(raw), path: Cow::Owned(path), epoch }
        }
    })
}

/// GNU separates path and time by a TAB, git ends a path that holds blanks with one, and busybox prints a name that holds one
/// as it is: only an empty rest or a time is taken off. Some copies of a diff have blanks in place of the TAB.
fn split_time(text: &[u8]) -> (&[u8], &[u8]) {
    if let Some((path, rest)) = memrchr(b'\t', text).and_then(|at| text.split_at_checked(at)) {
        let rest = rest.strip_prefix(b"\t").unwrap_or(rest);
        return if rest.is_empty() || is_time(rest) { (path, rest) } else { (text, b"") };
    }
    let mut from = 0_usize;
    while let Some(at) = text.get(from..).and_then(|rest| memchr(b' ', rest)) {
        from = from.saturating_add(at);
        let Some((path, rest)) = text.split_at_checked(from) else { break };
        let rest = rest.trim_ascii_start();
        if is_time(rest) {
            return (path, rest);
        }
        from = text.len().saturating_sub(rest.len());
    }
    (text, b"")
}

/// `2026-11-23 00:57:41`, a fraction and a zone or not.
fn is_time(text: &[u8]) -> bool {
    // Without a way out in the middle, which takes longer than all the comparisons.
    let Some((head, tail)) = text.split_first_chunk() else { return false };
    head.map(|b| if b.is_ascii_digit() { b'0' } else { b }) == *b"0000-00-00 00:00:00"
        && tail
            .iter()
            .fold(true, |fits, b| fits & (b.is_ascii_digit() | matches!(b, b'.' | b',' | b' ' | b'+' | b'-')))
}

/// A name in C's quotes, as GNU diff and git print names with blanks, quotes, control characters or bytes beyond ASCII.
pub fn unquote(raw: &[u8]) -> Option<Vec<u8>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'a' => 0x07,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 0x0b,
                b'f' => 0x0c,
                b'r' => b'\r',
                same @ (b'"' | b'\\') => same,
                high @ b'0'..=b'3' => {
                    let octal = |b: u8| matches!(b, b'0'..=b'7').then(|| u32::from(b & 7));
                    let (middle, low) = (octal(bytes.next()?)?, octal(bytes.next()?)?);
                    u8::try_from((u32::from(high & 7) << 6) | (middle << 3) | low).ok()?
                }
                _ => return None,
            },
            b => b,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn read(text: &str) -> Result<Vec<Event<'_>>, (Class, u32)> {
        Reader::new(text.as_bytes()).collect::<Result<_, _>>().map_err(|e| (e.class, e.line.unwrap()))
    }

    fn path(line: &str) -> Option<(String, bool)> {
        side(Cow::Borrowed(line.as_bytes())).map(|side| (text::string(&side.path), side.epoch))
    }

    #[test]
    fn only_the_numbers_of_a_hunk_say_where_it_ends() {
        let events =
            read("--- a\n+++ b\n@@ -1,2 +1,2 @@ section\n--- /tmp/x\n+++ /tmp/y\n\n--- c\n+++ d\n").unwrap();
        let body =
            |number, sign, text: &'static str| Event::Body(Body { number, sign, text: text.as_bytes() });
        let paths = |number, old: &'static str, new: &'static str| {
            let side = |p: &'static str| Side {
                raw: Cow::Borrowed(p.as_bytes()),
                path: Cow::Borrowed(p.as_bytes()),
                epoch: false,
            };
            Event::Paths(number, side(old), side(new))
        };
        assert_eq!(
            events,
            [
                paths(1, "a", "b"),
                Event::Hunk(3, Hunk { old: (1, 2), new: (1, 2) }),
                body(4, Sign::Removed, "-- /tmp/x"),
                body(5, Sign::Added, "++ /tmp/y"),
                body(6, Sign::Context, ""),
                paths(7, "c", "d"),
            ]
        );
    }

    #[test]
    fn colours_don_t_hide_a_sign() {
        let events =
            read("\x1b[36m@@ -1 +1 @@\x1b[m\n\x1b[31m-a\x1b[m\r\n\x1b[32m+\x1b[m\x1b[32mb\x1b[m\r\n")
                .unwrap();
        let signs: Vec<_> = events
            .iter()
            .filter_map(|event| if let Event::Body(body) = event { Some(body.sign) } else { None })
            .collect();
        assert_eq!(signs, [Sign::Removed, Sign::Added]);
    }

    #[test]
    fn hunks_that_don_t_keep_their_promise_are_refused() {
        use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
        let class = |text| read(text).unwrap_err();
        assert_eq!(class("@@ -1,2 +1,2 @@\n-a\n+b\n"), (UnreadableCut, 3));
        assert_eq!(class("@@ -1,2 +1,2 @@\n-a\n+b\ndiff -u c d\n"), (UnreadableCut, 4));
        assert_eq!(class("@@ -1,2 +1 @@\n-a\n+b\n+c\n"), (UnreadableContradiction, 4));
        assert_eq!(class("@@ -1 +1,2 @@\n a\n b\n"), (UnreadableContradiction, 3));
        assert_eq!(class("@@ -1 +1 @@\n a\n"), (UnreadableContradiction, 1));
        assert_eq!(class("@@ -1 +1\n"), (UnreadableFormat, 1));
        let reason = |text: &str| {
            let read = Reader::new(text.as_bytes()).collect::<Result<Vec<_>, _>>();
            read.unwrap_err().to_string()
        };
        assert_eq!(
            reason("@@ -1,3 +1,2 @@\n-a\n"),
            "line 2: the output ends 2 old and 2 new lines before the end of the hunk of line 1"
        );
        assert_eq!(
            reason("@@ -1,2 +1 @@\n-a\n+b\n+c\n"),
            "line 4: the hunk of line 1 has more new lines than it announces"
        );
        assert_eq!(
            reason("@@ -1 +1,2 @@\n-a\n-b\n"),
            "line 3: the hunk of line 1 has more old lines than it announces"
        );
        assert_eq!(
            reason("@@ -1 +1,2 @@\n a\n b\n"),
            "line 3: the hunk of line 1 has more old lines than it announces"
        );
        assert_eq!(class("--- a\n"), (UnreadableCut, 1));
        assert_eq!(class("--- a\n-b\n"), (UnreadableFormat, 2));
        assert_eq!(class("--- \"a\n+++ b\n"), (UnreadableFormat, 1));
    }

    #[test]
    fn a_time_is_taken_off_and_nothing_else() {
        let plain = |path: &str| Some((path.to_owned(), false));
        assert_eq!(path("--- a\t2026-11-23 00:57:41.561415209 +0000"), plain("a"));
        assert_eq!(path("--- a\t2024-11-24 22:21:44"), plain("a"));
        assert_eq!(path("--- a      2024-11-24 22:21:44"), plain("a"));
        assert_eq!(path("+++ a\t1970-01-01 00:00:00.000000000 +0000"), Some(("a".to_owned(), true)));
        assert_eq!(path("--- a b\t"), plain("a b"));
        assert_eq!(path("--- a\tb"), plain("a\tb"));
        assert_eq!(path("--- a b  c"), plain("a b  c"));
    }

    #[test]
    fn quoted_paths_are_decoded() {
        assert_eq!(unquote(b"\"\\a\\b\\n\\v\\f\\r\"").unwrap(), b"\x07\x08\n\x0b\x0c\r");
        assert_eq!(unquote(b"\"a\\tb\\\"\\\\\\304\\215\"").unwrap(), "a\tb\"\\\u{10d}".as_bytes());
        for bad in [&b"\"a"[..], b"a\"", b"\"\\x\"", b"\"\\400\"", b"\"\\04\"", b"\"a\"b\"", b"\""] {
            assert_eq!(unquote(bad), None, "{bad:?}");
        }
    }
}
