//! The objects of a normal diff, what plain `diff` prints: only changed lines, so that no field has a path.

use super::attributes::Attributes;
use super::block::{Block, hides_nothing};
use super::folder::{file_of, finish, only_in, stray};
use crate::error::ParseError;
use crate::ndiff::{Event, Reader};
use crate::report::{Diagnostic, Resource};
use crate::text;
use crate::udiff::unquote;
use memchr::memrchr;
use std::borrow::Cow;

/// Every object of a normal diff.
pub(super) fn objects(out: &[u8]) -> Result<(Vec<Resource>, Vec<Diagnostic>), ParseError> {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    let (mut block, mut fields): (Option<Block>, _) = (None, Attributes::default());
    for event in Reader::new(out) {
        let event = event?;
        if !matches!(event, Event::Body(_) | Event::Change(..) | Event::NoNewline(_)) {
            finish(&mut block, &mut fields, &mut found, &mut remarks)?;
        }
        match event {
            Event::Body(body) => {
                if let Some(block) = &mut block {
                    block.odd_line(body);
                }
            }
            Event::Change(line, hunk) => block.as_mut().ok_or_else(|| stray(line))?.hunk(line, hunk)?,
            Event::NoNewline(line) => block.as_mut().ok_or_else(|| stray(line))?.last = line,
            Event::Command(line, text) => {
                let file = compared(&text).ok_or_else(|| {
                    ParseError::format("expected a `diff` line with one file of both of kubectl's folders")
                        .at(line)
                })?;
                block = Some(Block::of(file, line, hides_nothing(&text)));
            }
            Event::OnlyIn(line, text) => found.push(only_in(line, &text)?),
            Event::Blank(_) => {}
            Event::Other(line) => return Err(stray(line.number)),
        }
    }
    finish(&mut block, &mut fields, &mut found, &mut remarks)?;
    if out.last() != Some(&b'\n') {
        return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
    }
    Ok((found, remarks))
}

/// The file that `diff OPTIONS LIVE-1/FILE MERGED-2/FILE` compares. GNU quotes names that hold a blank.
fn compared(command: &[u8]) -> Option<Vec<u8>> {
    let (rest, new) = last_word(command)?;
    let (_, old) = last_word(rest)?;
    let file = file_of(&old, b"LIVE-")?;
    (file_of(&new, b"MERGED-")? == file).then(|| file.to_vec())
}

/// Splits off the last word of `text`, without its quotes.
fn last_word(text: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>)> {
    if text.last() != Some(&b'"') {
        let at = memrchr(b' ', text)?;
        let (rest, word) = text.split_at_checked(at)?;
        return Some((rest, Cow::Borrowed(word.strip_prefix(b" ")?)));
    }
    // The last ` "` behind which a quoted name stands: a name can hold it, escaped only.
    let mut end = text.len();
    loop {
        end = memrchr(b'"', text.get(..end)?)?;
        let (rest, word) = text.split_at_checked(end)?;
        if let Some(rest) = rest.strip_suffix(b" ")
            && let Some(name) = unquote(word)
        {
            return Some((rest, Cow::Owned(name)));
        }
    }
}
