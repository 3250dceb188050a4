//! One line of an object in YAML: its key and value, and how keys are written in a path. Knows nothing of where lines stand.

use memchr::{memchr_iter, memchr2};
use std::io::Write as _;

/// What stands on a line after its indentation and dashes.
pub(super) enum Field<'a> {
    Key(&'a [u8], &'a [u8]),
    Scalar,
}

/// `key: value`, or a scalar; `None` for what kubectl doesn't print, or not in a form that is followed here.
pub(super) fn field(text: &[u8]) -> Option<Field<'_>> {
    // Nearly all keys. None of the characters that mean something at the beginning or within one is plain.
    let plain = text.iter().take_while(|b| is_plain(**b)).count();
    if let Some((key, [b':', rest @ ..])) = text.split_at_checked(plain)
        && matches!(rest, [] | [b' ', ..])
        && plain > 0
    {
        return Some(Field::Key(key, rest.trim_ascii()));
    }
    let (key, rest) = match text {
        [b' ', ..] => return None,
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
    (!key.contains(&0x1b)).then(|| Field::Key(key, rest.trim_ascii()))
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

/// Adds the index of an element, if it is one.
pub(super) fn write_index(path: &mut Vec<u8>, index: Option<u32>) -> Option<()> {
    match index {
        Some(n @ 0..=9) => {
            let digit = DIGITS.get(usize::try_from(n).ok()?)?;
            path.extend_from_slice(&[b'[', *digit, b']']);
        }
        // Writing to a vector doesn't fail.
        Some(n) => write!(path, "[{n}]").ok()?,
        None => {}
    }
    Some(())
}

/// Formatting a number takes longer than all the rest of a path.
const DIGITS: &[u8; 10] = b"0123456789";

/// Adds a key to the path that begins in `paths` at `begin`, quoted where it must be.
pub(in crate::kubectl) fn write_key(paths: &mut Vec<u8>, begin: usize, key: &[u8]) {
    if !key.is_empty() && key.iter().copied().all(is_plain) {
        if paths.len() > begin {
            paths.push(b'.');
        }
        paths.extend_from_slice(key);
    } else if key.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        paths.extend_from_slice(b"[\"");
        paths.extend_from_slice(key);
        paths.extend_from_slice(b"\"]");
    } else {
        // Writing to a vector doesn't fail.
        let _ = write!(paths, "[{:?}]", String::from_utf8_lossy(key));
    }
}

/// Whether it can stand in a path without quotes.
#[inline]
pub(crate) fn is_plain(b: u8) -> bool {
    PLAIN.get(usize::from(b)).is_some_and(|plain| *plain)
}

/// Whether each byte is plain: a look-up takes a fraction of the comparisons.
#[expect(clippy::indexing_slicing, reason = "in a constant the compiler does it")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut rest: &[u8] = b"-_/$0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [b, after @ ..] = rest {
        plain[*b as usize] = true;
        rest = after;
    }
    plain
};
