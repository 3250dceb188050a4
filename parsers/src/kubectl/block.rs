//! The part of a diff that compares one file, and what it says of the object.

use super::attributes::Attributes;
use super::folder::file_in;
use super::object::Evidence;
use crate::error::ParseError;
use crate::report::Action;
use crate::udiff::{Body, Hunk, Side, Sign};
use memchr::{memchr, memmem, memrchr};
use std::borrow::Cow;

/// The part of the output that compares one file.
pub(super) struct Block {
    pub first: u32,
    pub last: u32,
    pub file: Vec<u8>,
    /// A header says that the old or the new file isn't there.
    absent: (bool, bool),
    pub hunks: u32,
    hunk: Hunk,
    /// First lines after the last hunk.
    next: (u64, u64),
    /// `null` stands on that side: how kubectl masks a Secret that isn't there.
    null: (bool, bool),
    pub evidence: Evidence,
    /// Context lines are equal on both sides.
    exact: bool,
    /// Everything above the lines at hand was shown, so that fields have paths.
    pub fields: bool,
}

impl Block {
    pub fn new(
        command: Option<(u32, Cow<'_, [u8]>)>,
        line: u32,
        old: &Side<'_>,
        new: &Side<'_>,
    ) -> Result<Self, ParseError> {
        let first = command.as_ref().map_or(line, |(line, _)| *line);
        let below = line.saturating_add(1);
        let file = match (file_in(old, b"LIVE-", line)?, file_in(new, b"MERGED-", below)?) {
            (Some(before), Some(after)) if before == after => before,
            (Some(file), None) | (None, Some(file)) => file,
            (Some(_), Some(_)) => {
                return Err(ParseError::contradiction("two files of different names are compared").at(line));
            }
            (None, None) => {
                return Err(ParseError::contradiction("nothing is compared with nothing").at(line));
            }
        };
        let (old_gone, new_gone) = (old.is_null() || old.epoch, new.is_null() || new.epoch);
        let exact = command.as_ref().is_none_or(|(_, command)| hides_nothing(command));
        if let Some((at, command)) = command {
            let named = if old.is_null() { &new.raw } else { &old.raw };
            // Nearly always the last of them: a search takes longer.
            let last = !new.is_null() && command.ends_with(&new.raw);
            if !last && memmem::find(&command, named).is_none() {
                return Err(ParseError::contradiction(
                    "the `diff` line names other files than the paths below it",
                )
                .at(at));
            }
        }
        Ok(Self { last: line, absent: (old_gone, new_gone), ..Self::of(file.to_vec(), first, exact) })
    }

    /// Nothing known yet of `file`, whose part begins at line `first`. `exact`: what isn't shown as changed is equal.
    pub fn of(file: Vec<u8>, first: u32, exact: bool) -> Self {
        Self {
            first,
            last: first,
            absent: (false, false),
            hunks: 0,
            hunk: Hunk { old: (0, 0), new: (0, 0) },
            next: (1, 1),
            null: (false, false),
            evidence: Evidence::of(&file),
            exact,
            fields: false,
            file,
        }
    }

    /// The next hunk.
    pub fn hunk(&mut self, line: u32, hunk: Hunk) -> Result<(), ParseError> {
        let begin = |(start, count): (u64, u64)| start.saturating_add(u64::from(count == 0));
        let (old, new) = (begin(hunk.old), begin(hunk.new));
        let Some((old_gap, new_gap)) = old.checked_sub(self.next.0).zip(new.checked_sub(self.next.1)) else {
            return Err(ParseError::contradiction("hunks of one file overlap").at(line));
        };
        if self.exact && old_gap != new_gap {
            return Err(ParseError::contradiction(
                "a hunk begins elsewhere than the ones above it say; a part of the output is missing",
            )
            .at(line));
        }
        self.next = (old.saturating_add(hunk.old.1), new.saturating_add(hunk.new.1));
        (self.hunk, self.last) = (hunk, line);
        // An object on one side only has no changed fields.
        let both = hunk.old.1 > 1 && hunk.new.1 > 1;
        let all = self.exact && self.hunks == 0 && both && (hunk.old.0, hunk.new.0) == (1, 1);
        self.fields = all;
        self.hunks = self.hunks.saturating_add(1);
        Ok(())
    }

    /// A line of the hunk at hand, with where it begins and ends in the hunk's text.
    #[inline]
    pub fn line<'a>(&mut self, begin: usize, end: usize, body: Body<'a>, fields: &mut Attributes<'a>) {
        // Nearly all lines: what stands deeper than the top level on both sides says nothing by itself.
        let deep = matches!(body.text, [b' ' | b'-', ..]);
        if body.sign == Sign::Context && deep && !self.evidence.closely {
            if self.fields && fields.parted {
                fields.line(begin, end, body);
            }
            return;
        }
        self.body(body);
        if self.fields {
            fields.line(begin, end, body);
        }
    }

    /// What a line of the hunk at hand says by itself.
    pub fn body(&mut self, body: Body<'_>) {
        self.last = body.number;
        if *body.text == *b"null" {
            match body.sign {
                Sign::Removed => self.null.0 = true,
                Sign::Added => self.null.1 = true,
                Sign::Context => {}
            }
        }
        self.evidence.line(body);
    }

    /// A line of a hunk whose other lines were not all given to [`Block::line`]: which fields differ can't be told.
    pub fn odd_line(&mut self, body: Body<'_>) {
        self.fields = false;
        self.body(body);
    }

    /// Added objects have an empty live file, pruned ones no merged file. A range alone doesn't say so: without context,
    /// `-0,0` is also what stands above a line that is new at the top. Only a whole object holds its `apiVersion`.
    pub fn action(&self) -> Result<Action, ParseError> {
        if self.hunks == 0 {
            return Err(ParseError::cut("paths without a hunk below them").at(self.last));
        }
        let Hunk { old, new } = self.hunk;
        let whole = self.hunks == 1;
        if (self.absent.0 && (!whole || old.1 != 0)) || (self.absent.1 && (!whole || new.1 != 0)) {
            return Err(ParseError::contradiction("a file that isn't there has lines").at(self.first));
        }
        let (create, delete) = (
            self.absent.0
                || (whole && old == (0, 0) && self.evidence.has_version)
                || (whole && old == (1, 1) && self.null.0 && self.evidence.has_version),
            self.absent.1
                || (whole && new == (0, 0) && self.evidence.has_version)
                || (whole && new == (1, 1) && self.null.1 && self.evidence.has_version),
        );
        match (create, delete) {
            (true, false) => Ok(Action::Create),
            (false, true) => Ok(Action::Delete),
            (false, false) => Ok(Action::Update),
            (true, true) => {
                Err(ParseError::contradiction("an object that is neither live nor wanted").at(self.first))
            }
        }
    }
}

/// Whether a differ called like this hides nothing: `-w`, `-B`, `-I` and the like pass changed lines off as context.
pub(super) fn hides_nothing(command: &[u8]) -> bool {
    const LONG: [&[u8]; 6] = [b"--color", b"--git", b"--new-file", b"--recursive", b"--text", b"--unified"];
    let options = memchr(b' ', command).and_then(|at| command.get(at..)).unwrap_or_default();
    // Up to the first word that holds a slash.
    let end = memchr(b'/', options).map(|slash| memrchr(b' ', options.get(..slash).unwrap_or_default()));
    let options = end.map_or(options, |end| options.get(..end.unwrap_or(0)).unwrap_or_default());
    options.split(|b| *b == b' ').all(|word| {
        let word = word.strip_prefix(b"'").unwrap_or(word);
        let short = |b: &u8| matches!(b, b'u' | b'U' | b'N' | b'r' | b'a' | b'p' | b'0'..=b'9');
        if word.starts_with(b"--") {
            LONG.iter().any(|known| word.starts_with(known))
        } else {
            word.strip_prefix(b"-").unwrap_or(word).iter().all(short)
        }
    })
}
