//! Lines of terminal output: numbers, line ends, colours. Nothing of any tool's words.

use memchr::{memchr, memchr_iter};
use std::borrow::Cow;

/// One line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1, counted by `\n`.
    pub number: u32,
    /// The bytes before `\n`, without the `\r` of a CRLF.
    pub bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// The line without colours; borrows when there are none.
    pub fn plain(&self) -> Cow<'a, [u8]> {
        strip_ansi(self.bytes)
    }
}

/// Iterates over lines. Only `\n` ends one: a lone `\r`, `\x0b` or U+2028 belongs to the line it stands in.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: Option<&'a [u8]>,
    number: u32,
}

/// The lines of `text`. A last line without `\n` counts; the emptiness after a final `\n` doesn't.
pub fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: Some(text).filter(|t| !t.is_empty()), number: 0 }
}

impl<'a> Lines<'a> {
    /// What follows the lines that were taken.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest.unwrap_or_default()
    }

    /// The number of the line that was taken last.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Passes over `bytes` bytes that somebody else has read, which end after `lines` whole lines.
    #[inline]
    pub fn pass(&mut self, bytes: usize, lines: u32) {
        self.rest = self.rest.and_then(|rest| rest.get(bytes..)).filter(|rest| !rest.is_empty());
        self.number = self.number.saturating_add(lines);
    }

    /// Takes the next line if it is `line`, which holds its end: a comparison is faster than looking for the end.
    #[inline]
    pub fn take_same(&mut self, line: &[u8]) -> bool {
        match self.rest.and_then(|rest| rest.strip_prefix(line)) {
            Some(rest) if !line.is_empty() => {
                self.rest = Some(rest).filter(|rest| !rest.is_empty());
                self.number = self.number.saturating_add(1);
                true
            }
            _ => false,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.rest?;
        self.number = self.number.saturating_add(1);
        let (line, rest) = match memchr(b'\n', rest) {
            Some(at) => {
                let (line, tail) = rest.split_at_checked(at)?;
                (line, tail.split_first().map(|(_, tail)| tail).filter(|tail| !tail.is_empty()))
            }
            None => (rest, None),
        };
        self.rest = rest;
        Some(Line { number: self.number, bytes: line.strip_suffix(b"\r").unwrap_or(line) })
    }
}

/// How many lines `text` has, by the rule of [`lines`].
pub fn count_lines(text: &[u8]) -> u32 {
    let ends = memchr_iter(b'\n', text).count();
    let open = usize::from(text.last().is_some_and(|&b| b != b'\n'));
    u32::try_from(ends.saturating_add(open)).unwrap_or(u32::MAX)
}

/// UTF-16 with a byte order mark as UTF-8, half a pair of surrogates replaced; `None` for anything else. Line ends stay where they are.
pub fn decode_utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mark, rest) = bytes.split_at_checked(2)?;
    let unit = match mark {
        b"\xff\xfe" => |pair: [u8; 2]| u16::from_le_bytes(pair),
        b"\xfe\xff" => |pair: [u8; 2]| u16::from_be_bytes(pair),
        _ => return None,
    };
    let (pairs, odd) = rest.as_chunks::<2>();
    let decoded = char::decode_utf16(pairs.iter().copied().map(unit));
    let mut text: String = decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !odd.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Some(text.into_bytes())
}

/// `bytes` without ANSI escape sequences: CSI (`ESC [ … letter`), OSC (`ESC ] … BEL or ESC \`), character sets (`ESC ( B`) and saved cursors (`ESC 7`). A lone ESC stays.
pub fn strip_ansi(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr(0x1b, bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr(0x1b, rest) {
        let (before, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        if let Some(after) = sequence(escape) {
            rest = after;
        } else {
            out.push(0x1b);
            rest = escape.split_first().map_or(&[][..], |(_, tail)| tail);
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// `bytes` without the ANSI escape sequences it begins with: shows the first character that is printed without copying.
#[inline]
pub fn skip_ansi(mut bytes: &[u8]) -> &[u8] {
    while let [0x1b, ..] = bytes {
        match sequence(bytes) {
            Some(rest) => bytes = rest,
            None => break,
        }
    }
    bytes
}

/// What follows the escape sequence that `bytes` begins with.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x1b, b'[', rest @ ..] => {
            // ECMA-48 5.4: parameter bytes 0x30–0x3F, intermediate bytes 0x20–0x2F, one final byte 0x40–0x7E.
            let end = rest.iter().position(|b| !(0x20..=0x3f).contains(b))?;
            let (last, tail) = rest.get(end..)?.split_first()?;
            (0x40..=0x7e).contains(last).then_some(tail)
        }
        [0x1b, b']', rest @ ..] => {
            let end = rest.iter().position(|b| matches!(b, 0x07 | 0x1b))?;
            match rest.get(end..)? {
                [0x07, tail @ ..] | [0x1b, b'\\', tail @ ..] => Some(tail),
                _ => None,
            }
        }
        // `tput sgr0` ends with the choice of a character set, `tput sc` and `rc` are ESC 7 and ESC 8 (ECMA-35 13.2.1, 6.3.3).
        [0x1b, 0x30..=0x3f, tail @ ..] => Some(tail),
        [0x1b, 0x20..=0x2f, rest @ ..] => {
            let end = rest.iter().position(|b| !(0x20..=0x2f).contains(b))?;
            let (last, tail) = rest.get(end..)?.split_first()?;
            (0x30..=0x7e).contains(last).then_some(tail)
        }
        _ => None,
    }
}

/// The first line that holds a letter or digit, without colours and control characters, at most 200 characters.
pub fn first_words(text: &[u8]) -> String {
    let line =
        lines(text).map(|line| string(&line.plain())).find(|line| line.chars().any(char::is_alphanumeric));
    line.unwrap_or_default().trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The line of a program's standard error that is most likely to say what went wrong, at most 200 characters: the first that begins with the word error or fatal,
/// with what a box around it carries over to the next lines; else the last one, as a traceback and a script's own words end with it.
pub fn telling_words(stderr: &[u8]) -> String {
    const BEGINNINGS: [&str; 4] = ["error", "fatal", "[error", "panic"];
    let bare = |line: Line<'_>| {
        let text = string(&line.plain());
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let boxed = text.trim_start().starts_with(['│', '╷', '╵', '|']);
        (boxed, text.trim_matches(|c: char| c.is_whitespace() || "│╷╵|".contains(c)).to_owned())
    };
    let mut last = String::new();
    let mut lines = lines(stderr).map(bare);
    while let Some((boxed, words)) = lines.next() {
        let lower = words.get(..8).unwrap_or(&words).to_ascii_lowercase();
        if BEGINNINGS.iter().any(|beginning| lower.starts_with(beginning)) {
            let more = lines.take_while(|(still, more)| boxed && *still && !more.is_empty());
            let whole = more.fold(words, |whole, (_, more)| format!("{whole} {more}"));
            return whole.chars().take(200).collect();
        }
        if words.chars().any(char::is_alphanumeric) {
            last = words;
        }
    }
    last.chars().take(200).collect()
}

/// `bytes` as text; invalid UTF-8 becomes U+FFFD.
pub fn string(bytes: &[u8]) -> String {
    // Nearly always it is valid, which is found out faster than where it isn't.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u32, &[u8])> {
        lines(text).map(|l| (l.number, l.bytes)).collect()
    }

    #[test]
    fn only_a_newline_ends_a_line() {
        assert_eq!(all(b""), []);
        assert_eq!(all(b"\n"), [(1, &b""[..])]);
        assert_eq!(all(b"a\r\nb\x0bc\rd\n\ne"), [(1, &b"a"[..]), (2, b"b\x0bc\rd"), (3, b""), (4, b"e")]);
        for text in [&b""[..], b"\n", b"a", b"a\n", b"a\n\nb"] {
            assert_eq!(count_lines(text) as usize, all(text).len());
        }
    }

    #[test]
    fn a_line_that_is_known_is_taken_whole() {
        let mut lines = lines(b"ok\nok\nok: 2\n");
        assert!(lines.take_same(b"ok\n") && lines.take_same(b"ok\n") && !lines.take_same(b"ok\n"));
        assert!(!lines.take_same(b"") && lines.number() == 2 && lines.rest() == b"ok: 2\n");
        let mut skipped = lines.clone();
        skipped.pass(6, 1);
        assert_eq!((skipped.number(), skipped.next()), (3, None));
        assert_eq!(lines.next(), Some(Line { number: 3, bytes: b"ok: 2" }));
        assert!(!lines.take_same(b"\n") && lines.rest().is_empty());
    }

    #[test]
    fn half_a_unit_of_utf_16_is_not_lost() {
        let text = |bytes: &[u8]| decode_utf16(bytes).map(|text| string(&text));
        assert_eq!(text(b"\xff\xfea\0\n\0").unwrap(), "a\n");
        assert_eq!(text(b"\xff\xfea\0\n").unwrap(), "a\u{fffd}");
        assert_eq!(text(b"\xfe\xff\xd8\0\0a").unwrap(), "\u{fffd}a");
        assert_eq!((text(b"a\0"), text(b"\xff")), (None, None));
    }

    #[test]
    fn the_words_that_tell_are_an_errors_or_the_last() {
        let of = |stderr: &str| telling_words(stderr.as_bytes());
        assert_eq!(
            of("Traceback (most recent call last):\n  File \"x\", line 1\nKeyError: 'a'\n\n"),
            "KeyError: 'a'"
        );
        assert_eq!(of("starting\nreal cause: disk full\n"), "real cause: disk full");
        let boxed = "\u{1b}[31m╷\u{1b}[0m\n│ \u{1b}[1mError: Terraform met problems during initialisation, including\n│ more of them\n│ \n│ and a hint\n╵\n";
        assert_eq!(of(boxed), "Error: Terraform met problems during initialisation, including more of them");
        assert_eq!(
            of("There are some problems\n\nError handling -chdir option: x\nusage\n"),
            "Error handling -chdir option: x"
        );
        assert_eq!(of("error: a\nb\n"), "error: a");
        assert_eq!((of(""), of("---\n")), (String::new(), String::new()));
    }

    #[test]
    fn colours_go_and_everything_else_stays() {
        assert_eq!(&*strip_ansi(b"\x1b[1m  # a\x1b[0m will"), b"  # a will");
        assert_eq!(&*strip_ansi(b"\x1b[38;5;9mx\x1b]8;;http://e\x1b\\y\x1b[K"), b"xy");
        assert_eq!(&*strip_ansi(b"a\x1bZ\x1b["), b"a\x1bZ\x1b[");
        // `tput setaf 1`, `tput sgr0`, `tput sc`.
        assert_eq!(&*strip_ansi(b"\x1b[31mdb is stale\x1b(B\x1b[m\x1b7x"), b"db is stalex");
        assert!(matches!(strip_ansi(b"plain"), Cow::Borrowed(_)));
        assert_eq!(skip_ansi(b"\x1b[32m\x1b[1m+a\x1b[m"), b"+a\x1b[m");
        assert_eq!(skip_ansi(b"\x1b[0"), b"\x1b[0");
    }
}
