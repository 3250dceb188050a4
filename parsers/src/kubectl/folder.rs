//! The files that kubectl compares: their folders, and the objects that they stand for.

use super::attributes::Attributes;
use super::block::Block;
use super::object::{self, Evidence};
use super::{FULL, HINT};
use crate::error::ParseError;
use crate::report::{Action, Diagnostic, Resource, Severity, Source};
use crate::text;
use crate::udiff::{Side, unquote};
use memchr::{memmem, memrchr};
use std::borrow::Cow;

pub(super) fn stray(line: u32) -> ParseError {
    ParseError::format("a line that belongs to no unified diff").at(line).hint(HINT)
}

/// The block at hand is complete.
pub(super) fn finish(
    block: &mut Option<Block>,
    fields: &mut Attributes<'_>,
    found: &mut Vec<Resource>,
    remarks: &mut Vec<Diagnostic>,
) -> Result<(), ParseError> {
    let Some(block) = block.take() else { return Ok(()) };
    let action = block.action()?;
    let mut object = resource(&block.file, &block.evidence, action, block.first, block.last, remarks)?;
    if action == Action::Update {
        object.attributes = if block.fields { fields.paths() } else { None };
    }
    found.push(object);
    Ok(())
}

/// The object that a file of kubectl's stands for.
pub(super) fn resource(
    file: &[u8],
    evidence: &Evidence,
    action: Action,
    first: u32,
    last: u32,
    remarks: &mut Vec<Diagnostic>,
) -> Result<Resource, ParseError> {
    let file = std::str::from_utf8(file)
        .map_err(|_| ParseError::format("a file name that isn't UTF-8").at(first))?;
    let object = object::decode(file, evidence).map_err(|error| error.at(first))?;
    let (scope, kind, name) = object.unwrap_or_else(|| {
        remarks.push(Diagnostic {
            severity: Severity::Warning,
            summary: format!("the name of the file doesn't tell kind and namespace of {file}; {FULL}"),
            line: Some(first),
        });
        (String::new(), String::new(), file.to_owned())
    });
    Ok(Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last))
}

/// `Only in /tmp/LIVE-1234: v1.ConfigMap.shop.web`: what a differ without `-N` says of a pruned object.
pub(super) fn only_in(number: u32, line: &[u8]) -> Result<Resource, ParseError> {
    let (action, rest) = match (folder(line, b"LIVE-"), folder(line, b"MERGED-")) {
        (Some(rest), None) => (Action::Delete, rest),
        (None, Some(rest)) => (Action::Create, rest),
        _ => return Err(stray(number)),
    };
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let name = rest.strip_prefix(b": ").ok_or_else(|| stray(number))?;
    let file = if name.starts_with(b"\"") {
        Cow::Owned(unquote(name).ok_or_else(|| stray(number))?)
    } else {
        Cow::Borrowed(name)
    };
    resource(&file, &Evidence::default(), action, number, number, &mut Vec::new())
}

/// What follows kubectl's temporary folder in `text`: `LIVE-` or `MERGED-` and a random number.
pub(super) fn folder<'a>(text: &'a [u8], side: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let at = memmem::find(rest, side)?;
        let before = at.checked_sub(1).and_then(|at| rest.get(at));
        let tail = rest.get(at.checked_add(side.len())?..)?;
        let digits = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, after) = tail.split_at_checked(digits)?;
        if !number.is_empty()
            && matches!(before, None | Some(b'/' | b'\\'))
            && matches!(after.first(), Some(b'/' | b':' | b'"' | b'\\'))
        {
            return Some(after);
        }
        rest = tail;
    }
}

/// The file that a side names in kubectl's folder; `None` for `/dev/null`.
pub(super) fn file_in<'s>(
    side: &'s Side<'_>,
    name: &[u8],
    line: u32,
) -> Result<Option<&'s [u8]>, ParseError> {
    if side.is_null() {
        return Ok(None);
    }
    let expected = || {
        let name = text::string(name);
        ParseError::format(format!("expected a file in kubectl's {name} folder")).at(line)
    };
    file_of(&side.path, name).map(Some).ok_or_else(expected)
}

/// The name of the file at `path`, if that stands in kubectl's folder `name` and a number.
pub(super) fn file_of<'p>(path: &'p [u8], name: &[u8]) -> Option<&'p [u8]> {
    let (folders, file) = last_part(path)?;
    let last = last_part(folders).map_or(folders, |(_, last)| last);
    let digits = last.strip_prefix(name)?;
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(file)
}

/// Splits at the last slash.
fn last_part(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (folders, file) = path.split_at_checked(memrchr(b'/', path)?)?;
    Some((folders, file.split_first()?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_s_folder_has_a_number_and_stands_alone() {
        let after = |text: &str| folder(text.as_bytes(), b"LIVE-").map(text::string);
        assert_eq!(after("--- /tmp/LIVE-12/x").as_deref(), Some("/x"));
        assert_eq!(after("LIVE-1: x").as_deref(), Some(": x"));
        assert_eq!(after("/LIVE-x/LIVE-2\\x").as_deref(), Some("\\x"));
        for text in ["/tmp/LIVE-/x", "/tmp/LIVE-1x/y", "/tmp/LIVE-1", "/tmp/xLIVE-1/y", "/tmp/MERGED-1/x"] {
            assert_eq!(after(text), None, "{text}");
        }
        let file = |path: &str| file_of(path.as_bytes(), b"LIVE-").map(text::string);
        assert_eq!(file("/tmp/LIVE-12/x").as_deref(), Some("x"));
        for path in ["/tmp/LIVE-/x", "/tmp/LIVE-1a/x", "/tmp/LIVE-1/a/x", "/tmp/xLIVE-1/x", "LIVE-1"] {
            assert_eq!(file(path), None, "{path}");
        }
    }
}
