//! Text on a terminal: what it may hold, how wide it is, in which colours.

use anstyle::{AnsiColor, Style};
use driftrun_parsers::{Action, Verdict};
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// None, nor anything else that a terminal obeys.
    Plain,
    /// Those of [`verdict`] and [`action`].
    Colours,
}

impl Ink {
    /// `text` in that style.
    pub fn paint(self, style: Style, text: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(text),
            Self::Colours => Cow::Owned(format!("{style}{text}{style:#}")),
        }
    }
}

/// The style of a verdict.
pub const fn verdict(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Clean => AnsiColor::Green,
        Verdict::Drifted => AnsiColor::Yellow,
        Verdict::Partial => AnsiColor::Magenta,
        Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => AnsiColor::Red,
    };
    colour.on_default().bold()
}

/// The style of an action, much as terraform has it.
pub const fn action(action: Action) -> Style {
    let colour = match action {
        Action::Replace | Action::Delete => AnsiColor::Red,
        Action::Create => AnsiColor::Green,
        Action::Update | Action::Change => AnsiColor::Yellow,
        Action::Move | Action::Import | Action::Forget | Action::Read => AnsiColor::Cyan,
    };
    colour.on_default()
}

/// With everything escaped that a terminal would obey, that would begin another line, or that deceives a reader.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c.is_control() || is_deceptive(c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_escaped(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// What turns the order of what is shown around, ends a line, or is not seen at all.
pub const fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}'
    )
}

/// How many columns of a terminal printable text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks up to `width` columns.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(width(text)))
}

/// As much of printable `text` as `columns` have room for; what is cut ends with `…`.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken < columns
    };
    let mut out: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile =
            "a\x1b[2J\x07\r\n\t\u{9b}31m\u{7f}\u{202e}\u{2066}\u{2069}\u{200f}\u{61c}\u{2028}é漢\u{301}";
        assert_eq!(
            printable(hostile),
            "a\\u{1b}[2J\\u{7}\\r\\n\\t\\u{9b}31m\\u{7f}\\u{202e}\\u{2066}\\u{2069}\\u{200f}\\u{61c}\\u{2028}é漢\u{301}"
        );
        assert!(matches!(printable("aws_subnet.a[\"x\"]"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!((width("é"), width("e\u{301}"), width("漢字"), width("≠ ◐ ✓")), (1, 1, 4, 5));
        assert_eq!((padded("漢", 4).as_str(), padded("abcd", 2).as_str()), ("漢  ", "abcd"));
        assert_eq!(
            ["漢字漢字", "abcdef", "abc"].map(|text| cut(text, 5).into_owned()),
            ["漢字…", "abcd…", "abc"]
        );
        assert_eq!((cut("abc", 1), cut("abc", 0)), (Cow::Borrowed("…"), Cow::Borrowed("")));
    }
}
