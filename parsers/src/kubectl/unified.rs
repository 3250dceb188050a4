//! The objects of a unified diff.

use super::HINT;
use super::attributes::Attributes;
use super::block::Block;
use super::folder::{finish, only_in, stray};
use crate::error::ParseError;
use crate::report::{Diagnostic, Resource};
use crate::text;
use crate::udiff::{Event, Reader};
use std::borrow::Cow;

/// Every object of a unified diff.
pub(super) fn objects(out: &[u8]) -> Result<(Vec<Resource>, Vec<Diagnostic>), ParseError> {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    let mut command: Option<(u32, Cow<'_, [u8]>)> = None;
    let (mut block, mut fields): (Option<Block>, _) = (None, Attributes::default());
    let mut reader = Reader::new(out);
    while let Some(event) = reader.next() {
        // A line of a hunk or the next hunk belongs to the block; whatever else comes ends it.
        match event? {
            Event::Body(body) => {
                if let Some(block) = &mut block {
                    block.odd_line(body);
                }
                continue;
            }
            Event::Hunk(line, hunk) => {
                let block = block.as_mut().ok_or_else(|| stray(line))?;
                block.hunk(line, hunk)?;
                if block.fields {
                    fields.begin(reader.rest());
                }
                reader.hunk(|begin, end, body| block.line(begin, end, body, &mut fields));
                block.last = reader.number();
                continue;
            }
            Event::NoNewline(line) => {
                block.as_mut().filter(|block| block.hunks > 0).ok_or_else(|| stray(line))?.last = line;
                continue;
            }
            // git's remarks stand between the command and the paths.
            Event::Remark(line) => {
                command.as_ref().ok_or_else(|| stray(line))?;
                continue;
            }
            Event::Paths(line, old, new) => {
                finish(&mut block, &mut fields, &mut found, &mut remarks)?;
                block = Some(Block::new(command.take(), line, &old, &new)?);
                continue;
            }
            Event::Command(line, text) => {
                only_command(command.as_ref())?;
                command = Some((line, text));
            }
            Event::OnlyIn(line, text) => {
                only_command(command.as_ref())?;
                found.push(only_in(line, &text)?);
            }
            Event::Blank(line) => {
                if command.is_some() {
                    return Err(stray(line));
                }
            }
            Event::Other(line) => return Err(stray(line.number)),
        }
        finish(&mut block, &mut fields, &mut found, &mut remarks)?;
    }
    finish(&mut block, &mut fields, &mut found, &mut remarks)?;
    if let Some((line, _)) = command {
        return Err(ParseError::cut("the output ends after a `diff` line").at(line).hint(HINT));
    }
    if out.last() != Some(&b'\n') {
        return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
    }
    Ok((found, remarks))
}

fn only_command(command: Option<&(u32, Cow<'_, [u8]>)>) -> Result<(), ParseError> {
    match command {
        Some((line, _)) => Err(ParseError::format("a `diff` line without the `---` line of a unified diff")
            .at(*line)
            .hint(HINT)),
        None => Ok(()),
    }
}
