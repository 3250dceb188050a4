//! Follows diffs in the normal format: what `diff A B` prints without any option.
//!
//! ```text
//! 17c17
//! <   replicas: 3
//! ---
//! >   replicas: 5
//! 40a41,42
//! > a
//! > b
//! ```
//!
//! Knows which lines belong to a hunk by the numbers of its command; content always stands behind `< ` or `> `. Knows nothing of
//! what the compared files are, and of no line outside of the diff.

use crate::error::ParseError;
use crate::text::Line;
use crate::udiff::Sign;

/// The numbers of a hunk: first line and count on each side; a count of 0 is the place after that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// Left of the letter.
    pub old: (u64, u64),
    /// Right of it.
    pub new: (u64, u64),
}

/// What one line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `17c17`
    Hunk(Hunk),
    /// A line of the hunk; never [`Sign::Context`].
    Body(Sign),
    /// `---`
    Between,
}

/// What the hunk above still owes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Follower {
    old: u64,
    new: u64,
    /// `---` has to come before the new lines.
    between: bool,
    hunk: u32,
}

impl Follower {
    /// Whether no hunk is open.
    pub fn is_done(&self) -> bool {
        (self.old, self.new) == (0, 0)
    }

    /// The next line, without colours in `plain`.
    pub fn line(&mut self, line: Line<'_>, plain: &[u8]) -> Result<Step, ParseError> {
        if self.is_done() {
            let hunk = command(plain).ok_or_else(|| {
                ParseError::format("a line that belongs to no diff in the normal format").at(line.number)
            })?;
            (self.old, self.new, self.hunk) = (hunk.old.1, hunk.new.1, line.number);
            self.between = hunk.old.1 > 0 && hunk.new.1 > 0;
            return Ok(Step::Hunk(hunk));
        }
        match plain {
            [b'<'] | [b'<', b' ' | b'\t', ..] if self.old > 0 => {
                self.old = self.old.saturating_sub(1);
                Ok(Step::Body(Sign::Removed))
            }
            b"---" if self.old == 0 && self.between => {
                self.between = false;
                Ok(Step::Between)
            }
            [b'>'] | [b'>', b' ' | b'\t', ..] if self.old == 0 && !self.between => {
                self.new = self.new.saturating_sub(1);
                Ok(Step::Body(Sign::Added))
            }
            _ => Err(self.owes("something else follows").at(line.number)),
        }
    }

    /// Nothing more comes, or nothing of the diff.
    pub fn end(&self, last: u32) -> Result<(), ParseError> {
        if self.is_done() { Ok(()) } else { Err(self.owes("the diff ends").at(last)) }
    }

    fn owes(&self, what: &str) -> ParseError {
        let (old, new) = (self.old, self.new);
        ParseError::cut(format!(
            "{what} {old} old and {new} new lines before the end of the hunk of line {}",
            self.hunk
        ))
    }
}

/// `17c17`, `0a1,14`, `1,14d0`.
fn command(text: &[u8]) -> Option<Hunk> {
    let text = std::str::from_utf8(text).ok()?;
    let at = text.find(['a', 'c', 'd'])?;
    let (old, rest) = text.split_at_checked(at)?;
    let (verb, new) = rest.split_at_checked(1)?;
    let (old, new) = (range(old)?, range(new)?);
    match verb {
        "a" if old.1 == 1 => Some(Hunk { old: (old.0, 0), new }),
        "d" if new.1 == 1 => Some(Hunk { old, new: (new.0, 0) }),
        "c" => Some(Hunk { old, new }),
        _ => None,
    }
}

/// `3` or `3,7` as first line and count.
fn range(text: &str) -> Option<(u64, u64)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    match text.split_once(',') {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            Some((first, last.checked_sub(first)?.checked_add(1)?))
        }
        None => Some((number(text)?, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn follow(text: &str) -> Result<Vec<Step>, (Class, Option<u32>)> {
        let mut follower = Follower::default();
        let mut steps = Vec::new();
        for line in crate::text::lines(text.as_bytes()) {
            steps.push(follower.line(line, line.bytes).map_err(|e| (e.class, e.line))?);
        }
        follower.end(99).map_err(|e| (e.class, e.line))?;
        Ok(steps)
    }

    #[test]
    fn hunks_have_as_many_lines_as_their_command_says() {
        let hunk = |old, new| Step::Hunk(Hunk { old, new });
        let (added, removed) = (Step::Body(Sign::Added), Step::Body(Sign::Removed));
        assert_eq!(
            follow("3c3,4\n< a\n---\n> 1d0\n> \n"),
            Ok(vec![hunk((3, 1), (3, 2)), removed, Step::Between, added, added])
        );
        assert_eq!(follow("0a1,2\n> a\n>\n"), Ok(vec![hunk((0, 0), (1, 2)), added, added]));
        assert_eq!(follow("1,2d0\n< ---\n< b\n"), Ok(vec![hunk((1, 2), (0, 0)), removed, removed]));
    }

    #[test]
    fn anything_else_is_refused_with_its_line() {
        use Class::{UnreadableCut, UnreadableFormat};
        assert_eq!(follow("a\n"), Err((UnreadableFormat, Some(1))));
        assert_eq!(follow("3x3\n"), Err((UnreadableFormat, Some(1))));
        assert_eq!(follow("3,2c1\n"), Err((UnreadableFormat, Some(1))));
        assert_eq!(follow("1c1\n< a\n---\n"), Err((UnreadableCut, Some(99))));
        assert_eq!(follow("1c1\n< a\n> b\n"), Err((UnreadableCut, Some(3))));
        assert_eq!(follow("1d0\n> a\n"), Err((UnreadableCut, Some(2))));
        assert_eq!(follow("1d0\n< a\n< b\n"), Err((UnreadableFormat, Some(3))));
    }
}
