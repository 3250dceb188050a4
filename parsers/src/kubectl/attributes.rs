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
//! deeper. Lines that nothing differs in are passed over: only from the last key of the top level to a change the columns are
//! followed, and keys are read only where a change stands below them. Both versions are followed where they part; there
//! unchanged lines count as changed, too, since their fields have moved, unless the same path has the same value on both sides.
//! Whatever it doesn't know makes it silent: no list is better than one that lacks a field.

mod field;
#[cfg(test)]
mod tests;

use crate::udiff::{Body, Sign};
pub(crate) use field::is_plain;
pub(super) use field::write_key;
use field::{Field, field, write_index};
use memchr::memchr_iter;

/// What stands on a line from a key or a dash on.
#[derive(Clone, Copy, Debug)]
enum Known<'a> {
    /// Not looked at yet.
    Unread,
    /// A key whose value stands below.
    Header(&'a [u8]),
    /// A key and its value, or the beginning of it.
    Leaf(&'a [u8], &'a [u8]),
    /// An element that has keys or elements of its own.
    Element,
    /// An element that is a scalar.
    Scalar,
    /// Not understood.
    Odd,
}

/// A key or an element that begins on some line, or a line of a value that only looks like one: those stand below the field or
/// element that the value belongs to, and are never looked at.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    column: usize,
    /// Of an element of a list.
    index: Option<u32>,
    /// The rest of the line, from the key or from behind the dash.
    text: &'a [u8],
    known: Known<'a>,
    /// Where the path down to it ends in the stack's, once that has been written.
    end: Option<usize>,
}

impl<'a> Entry<'a> {
    #[inline]
    fn new(column: usize, index: Option<u32>, text: &'a [u8]) -> Self {
        Self { column, index, text, known: Known::Unread, end: None }
    }

    fn look(&mut self) -> Known<'a> {
        if let Known::Unread = self.known {
            self.known = match (self.index.is_some(), self.text) {
                (true, [b'-', b' ', ..]) => Known::Element,
                (is_element, text) => match (is_element, field(text)) {
                    (true, Some(Field::Key(..))) => Known::Element,
                    (true, Some(Field::Scalar)) => Known::Scalar,
                    (false, Some(Field::Key(key, b""))) => Known::Header(key),
                    (false, Some(Field::Key(key, value))) => Known::Leaf(key, value),
                    (false, Some(Field::Scalar)) | (_, None) => Known::Odd,
                },
            };
        }
        self.known
    }

    /// Writes the path down to it behind that of its parents, which ends in `path` at `end`, and says where it ends itself.
    /// `None`: it has no fields of its own.
    fn write(&mut self, end: usize, path: &mut Vec<u8>) -> Option<usize> {
        let known = self.look();
        if matches!(known, Known::Header(_) | Known::Element) {
            path.truncate(end);
            write_index(path, self.index)?;
            if let Known::Header(key) = known {
                write_key(path, 0, key);
            }
            self.end = Some(path.len());
        }
        self.end
    }

    fn is_very_same(&self, other: &Self) -> bool {
        self.column == other.column && self.index == other.index && std::ptr::eq(self.text, other.text)
    }
}

/// Where one version of the object stands after some of its lines.
#[derive(Debug, Default)]
struct Stack<'a> {
    entries: Vec<Entry<'a>>,
    /// The path of the entries that have an end in it, the first ones: many lines stand below the same parents.
    path: Vec<u8>,
    /// How many of them were there before the last line.
    kept: usize,
    /// A key whose value must begin on the next line, and which entry it is.
    header: Option<(usize, &'a [u8])>,
}

/// How many blanks `text` begins with.
#[inline]
fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|b| **b == b' ').count()
}

/// What the last line of a version is.
enum Part<'a> {
    /// The first line of a value, from where that begins.
    First(&'a [u8]),
    /// A further line of a value.
    Further(&'a [u8]),
    /// A key whose value stands below.
    Header,
}

impl<'a> Stack<'a> {
    /// Leaves what stands at `column` or deeper.
    #[inline]
    fn leave(&mut self, column: usize) {
        while self.entries.last().is_some_and(|entry| entry.column >= column) {
            self.entries.pop();
        }
    }

    /// Moves on. `None`: a key without anything where a value must stand.
    #[inline]
    fn line(&mut self, text: &'a [u8]) -> Option<()> {
        let mut column = blanks(text);
        let mut rest = text.get(column..)?;
        if rest.is_empty() {
            self.kept = self.entries.len();
            return Some(());
        }
        let mut kept = None;
        while let Some(after) = rest.strip_prefix(b"- ") {
            self.leave(column.checked_add(1)?);
            let at = self.entries.len();
            match self.entries.last_mut() {
                Some(last) if last.column == column && last.index.is_some() => {
                    let index = last.index.and_then(|index| index.checked_add(1));
                    *last = Entry::new(column, Some(index?), after);
                    kept.get_or_insert(at.saturating_sub(1));
                }
                _ => {
                    self.entries.push(Entry::new(column, Some(0), after));
                    kept.get_or_insert(at);
                }
            }
            column = column.checked_add(2)?;
            rest = after;
        }
        self.leave(column);
        self.kept = kept.unwrap_or(self.entries.len());
        self.entries.push(Entry::new(column, None, rest));
        if let Some((at, text)) = self.header.take() {
            let stands = self.entries.get(at).is_some_and(|entry| std::ptr::eq(entry.text, text));
            (stands && self.entries.len() > at.checked_add(1)?).then_some(())?;
        }
        Some(())
    }

    /// Whether both stand at the same place: a value or element begun in one may go on below the other.
    fn is_same(&mut self, other: &mut Self) -> bool {
        let (count, others) = (self.entries.len(), other.entries.len());
        let mut pairs = self.entries.iter_mut().zip(&mut other.entries);
        if count == others && pairs.by_ref().all(|(a, b)| a.is_very_same(b)) {
            return true;
        }
        for (a, b) in self.entries.iter_mut().zip(&mut other.entries) {
            if a.column != b.column || a.index != b.index {
                return false;
            }
            match (a.look(), b.look()) {
                (Known::Header(a), Known::Header(b)) if a == b => {}
                (Known::Element, Known::Element) => {}
                // Whatever follows are lines of a value.
                (Known::Leaf(a, _), Known::Leaf(b, _)) => return a == b,
                (Known::Scalar, Known::Scalar) => return true,
                _ => return false,
            }
        }
        count == others
    }

    /// Writes the path of what has fields of its own and stands above `column`. Says how many entries that are, and where their
    /// path ends.
    fn write_parents(&mut self, column: usize) -> (usize, usize) {
        let written = self.entries.iter().enumerate().rev().find_map(|(at, entry)| Some((at, entry.end?)));
        let (mut done, mut end) = written.map_or((0, 0), |(at, end)| (at.saturating_add(1), end));
        for entry in self.entries.iter_mut().skip(done).take_while(|entry| entry.column < column) {
            let Some(written) = entry.write(end, &mut self.path) else { break };
            (done, end) = (done.saturating_add(1), written);
        }
        (done, end)
    }

    /// Appends the path of the last line to `paths`. `None`: not understood.
    fn resolve(&mut self, line: &'a [u8], paths: &mut Vec<u8>) -> Option<Part<'a>> {
        let (at, end) = self.write_parents(usize::MAX);
        let Some(entry) = self.entries.get_mut(at) else {
            // An empty line belongs to a value or to nothing that is known.
            (self.kept < self.entries.len()).then_some(())?;
            self.header = Some((self.entries.len().checked_sub(1)?, self.entries.last()?.text));
            return Some(Part::Header);
        };
        let begin = paths.len();
        paths.extend_from_slice(self.path.get(..end)?);
        write_index(paths, entry.index)?;
        let value = match entry.look() {
            Known::Leaf(key, value) => {
                write_key(paths, begin, key);
                value
            }
            Known::Scalar => entry.text,
            Known::Header(_) | Known::Element | Known::Odd | Known::Unread => return None,
        };
        Some(if at >= self.kept { Part::First(value) } else { Part::Further(line) })
    }
}

/// A value or a part of one that stands on one line of one side.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    /// Where the path begins and ends.
    path: (usize, usize),
    new: bool,
    text: &'a [u8],
    /// It is the value's first line.
    first: bool,
}

/// The lines of one whole object as somebody else's format shows them, collected into a hunk.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    hunk: Vec<u8>,
    signs: Vec<Sign>,
}

impl Collected {
    /// The next line.
    pub fn line(&mut self, sign: Sign, text: &[u8]) {
        self.hunk.push(match sign {
            Sign::Context => b' ',
            Sign::Removed => b'-',
            Sign::Added => b'+',
        });
        self.hunk.extend_from_slice(text);
        self.hunk.push(b'\n');
        self.signs.push(sign);
    }

    /// The paths, sorted; `None` when something wasn't understood.
    pub fn paths(&self) -> Option<Vec<String>> {
        let mut attributes = Attributes::default();
        attributes.begin(&self.hunk);
        let mut begin = 0_usize;
        for (end, sign) in memchr_iter(b'\n', &self.hunk).zip(&self.signs) {
            let text = self.hunk.get(begin.saturating_add(1)..end).unwrap_or_default();
            let end = end.saturating_add(1);
            attributes.line(begin, end, Body { number: 0, sign: *sign, text });
            begin = end;
        }
        attributes.paths()
    }
}

/// Follows the lines of one object after another.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    /// All lines of the hunk and whatever follows it.
    hunk: &'a [u8],
    /// Where in it the first line stands that has not been followed.
    next: usize,
    /// Where in it the last unchanged key of the top level stands.
    top: usize,
    /// The two versions stand at different places: every line must be followed.
    pub parted: bool,
    old: Stack<'a>,
    /// Means something only where they have parted.
    new: Stack<'a>,
    found: Vec<Found<'a>>,
    /// The paths of what was found, one behind the other.
    paths: Vec<u8>,
    lost: bool,
}

impl<'a> Attributes<'a> {
    /// Follows the hunk whose lines `hunk` begins with.
    pub fn begin(&mut self, hunk: &'a [u8]) {
        (self.hunk, self.next, self.top) = (hunk, 0, 0);
        (self.parted, self.lost) = (false, false);
        self.found.clear();
        self.paths.clear();
        for stack in [&mut self.old, &mut self.new] {
            stack.entries.clear();
            (stack.kept, stack.header) = (0, None);
        }
    }

    /// A line with where it begins and ends. Unchanged lines may be left out while the versions have not parted, but for those at
    /// the first column.
    pub fn line(&mut self, begin: usize, end: usize, body: Body<'a>) {
        if !self.lost && self.follow(begin, end, body).is_none() {
            (self.lost, self.parted) = (true, false);
        }
    }

    /// The paths, sorted; `None` when something wasn't understood.
    pub fn paths(&mut self) -> Option<Vec<String>> {
        if self.lost || self.old.header.is_some() || self.new.header.is_some() {
            return None;
        }
        let all = &self.paths;
        let path = |found: &Found<'_>| all.get(found.path.0..found.path.1).unwrap_or_default();
        // What a path has on each side, in the order of the lines.
        self.found.sort_by(|a, b| path(a).cmp(path(b)).then(a.new.cmp(&b.new)));
        let mut changed = Vec::with_capacity(self.found.len());
        for same in self.found.chunk_by(|a, b| path(a) == path(b)) {
            // A value that only stands elsewhere now. Of longer ones lines may be missing here that are the same on both sides.
            let moved = match same {
                [old, new] => !old.new && new.new && old.first && new.first && old.text == new.text,
                _ => false,
            };
            if !moved {
                changed.extend(same.first().map(|found| found.path));
            }
        }
        if changed.is_empty() {
            return None;
        }
        // Whatever isn't ASCII was quoted. One check is faster than one for each.
        let all = std::str::from_utf8(all).ok()?;
        changed.into_iter().map(|(begin, end)| all.get(begin..end).map(str::to_owned)).collect()
    }

    fn follow(&mut self, begin: usize, end: usize, body: Body<'a>) -> Option<()> {
        if body.sign == Sign::Context && !self.parted {
            // At the first column: what stands above is of no use any more.
            if !matches!(body.text, [] | [b' ' | b'-', ..]) {
                self.top = begin;
            }
            return Some(());
        }
        if !self.parted {
            self.catch_up(begin)?;
            self.part(body.text);
        }
        self.next = end;
        let (old, new) = match body.sign {
            Sign::Context => (true, true),
            Sign::Removed => (true, false),
            Sign::Added => (false, true),
        };
        if old {
            self.old.line(body.text)?;
        }
        if new {
            self.new.line(body.text)?;
        }
        if old && new && self.old.is_same(&mut self.new) {
            self.parted = false;
            return Some(());
        }
        if old {
            self.report(false, body.text)?;
        }
        if new {
            self.report(true, body.text)?;
        }
        Some(())
    }

    /// From here on the versions stand at different places, at first because of `line`.
    fn part(&mut self, line: &[u8]) {
        // Once for both: the other version nearly always goes on below the same parents.
        self.old.write_parents(blanks(line));
        self.new.entries.clone_from(&self.old.entries);
        self.new.path.clone_from(&self.old.path);
        self.new.kept = self.old.kept;
        self.parted = true;
    }

    fn report(&mut self, new: bool, line: &'a [u8]) -> Option<()> {
        let begin = self.paths.len();
        let stack = if new { &mut self.new } else { &mut self.old };
        let part = stack.resolve(line, &mut self.paths)?;
        let (first, text) = match part {
            Part::First(text) => (true, text),
            Part::Further(text) => (false, text),
            Part::Header => {
                self.paths.truncate(begin);
                return Some(());
            }
        };
        self.found.push(Found { path: (begin, self.paths.len()), new, text, first });
        Some(())
    }

    /// Follows the unchanged lines up to `end`, from the last at the first column on.
    fn catch_up(&mut self, end: usize) -> Option<()> {
        if self.top > self.next {
            self.next = self.top;
            self.old.entries.clear();
        }
        let lines = self.hunk.get(self.next..end)?;
        let mut begin = 0_usize;
        for end in memchr_iter(b'\n', lines) {
            let line = lines.get(begin..end)?;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.old.line(line.get(1..).unwrap_or_default())?;
            begin = end.checked_add(1)?;
        }
        Some(())
    }
}
