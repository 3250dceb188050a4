//! Lines of a terminal as HTML: colours as classes, everything else escaped, and nothing that could deceive a reader or a browser.
//!
//! The sixteen colours of a terminal, bold, faint, italic and underlined; others become the nearest of these. What moves the cursor is left out. Control
//! characters, and those that change the direction of a text, are shown as what they are.

use crate::show::text::is_deceptive;
use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use driftrun_parsers::text::strip_ansi;
use std::fmt::Write as _;
use std::ops::Range;

/// Characters of one line that are shown: of a longer one its beginning and its end.
const SHOWN: usize = 4_000;
const AT_END: usize = 1_000;

/// How text looks from here on.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in a terminal")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    text: Option<u8>,
    ground: Option<u8>,
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

impl Look {
    fn classes(self) -> String {
        let (text, ground) = if self.reversed { (self.ground, self.text) } else { (self.text, self.ground) };
        let mut classes = Vec::new();
        let numbered = [("c", text), ("g", ground)];
        classes.extend(numbered.iter().filter_map(|(kind, n)| n.map(|n| format!("{kind}{n}"))));
        let flags = [
            (self.bold, "b"),
            (self.faint, "f"),
            (self.italic, "i"),
            (self.underlined, "u"),
            (self.reversed && text.is_none() && ground.is_none(), "rev"),
        ];
        classes.extend(flags.iter().filter(|(set, _)| *set).map(|(_, class)| (*class).to_owned()));
        classes.join(" ")
    }

    /// `ESC [ … m`.
    fn select(&mut self, params: &Params) {
        let numbers: Vec<u16> = params.iter().flatten().copied().collect();
        let mut numbers = numbers.into_iter();
        if numbers.len() == 0 {
            *self = Self::default();
        }
        while let Some(number) = numbers.next() {
            let colour = |base: u16, bright: u8| u8::try_from(number - base).ok().map(|n| n + bright);
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.faint) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.text = colour(30, 0),
                38 => self.text = extended(&mut numbers),
                39 => self.text = None,
                40..=47 => self.ground = colour(40, 0),
                48 => self.ground = extended(&mut numbers),
                49 => self.ground = None,
                90..=97 => self.text = colour(90, 8),
                100..=107 => self.ground = colour(100, 8),
                _ => {}
            }
        }
    }
}

/// The nearest of sixteen colours to `5;N` or `2;R;G;B`.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    let (r, g, b) = match numbers.next()? {
        2 => (numbers.next()?, numbers.next()?, numbers.next()?),
        5 => match numbers.next()? {
            n @ 0..=15 => return u8::try_from(n).ok(),
            n @ 16..=231 => {
                let level = |n: u16| if n == 0 { 0 } else { 55 + 40 * n };
                (level((n - 16) / 36), level((n - 16) / 6 % 6), level((n - 16) % 6))
            }
            n => {
                let grey = 8 + 10 * n.saturating_sub(232).min(23);
                (grey, grey, grey)
            }
        },
        _ => return None,
    };
    let most = r.max(g).max(b);
    if most < 48 {
        return Some(0);
    }
    let bit = |level: u16, n: u8| if level * 2 > most { 1_u8 << n } else { 0 };
    let colour = bit(r, 0) | bit(g, 1) | bit(b, 2);
    Some(match (colour, most) {
        (7, 0..=127) => 8,
        (7, 128..=219) => 7,
        (7, _) => 15,
        (colour, 200..) => colour + 8,
        (colour, _) => colour,
    })
}

struct Writer<'h> {
    html: &'h mut String,
    look: Look,
    /// What the open element looks like.
    open: Look,
    /// Characters so far.
    count: usize,
    /// Those that are left out.
    hidden: Range<usize>,
}

impl Writer<'_> {
    /// Whether the next character is left out; where these begin it is said how many there are.
    fn hides(&mut self) -> bool {
        let hides = self.hidden.contains(&self.count);
        if hides && self.count == self.hidden.start {
            self.close();
            let hidden = self.hidden.len();
            let _ = write!(self.html, "<span class=\"odd\">… {hidden} characters of this line …</span>");
        }
        self.count += 1;
        hides
    }

    fn close(&mut self) {
        if self.open != Look::default() {
            self.html.push_str("</span>");
            self.open = Look::default();
        }
    }
}

impl Perform for Writer<'_> {
    fn print(&mut self, c: char) {
        if self.hides() {
            return;
        }
        if self.look != self.open {
            self.close();
            let classes = self.look.classes();
            if !classes.is_empty() {
                let _ = write!(self.html, "<span class=\"{classes}\">");
                self.open = self.look;
            }
        }
        match c {
            '&' => self.html.push_str("&amp;"),
            '<' => self.html.push_str("&lt;"),
            '>' => self.html.push_str("&gt;"),
            '"' => self.html.push_str("&quot;"),
            // C1, which the parser takes for letters, and DEL.
            c if is_deceptive(c) || (c.is_control() && c != '\t') => {
                let _ = write!(self.html, "<span class=\"odd\">{}</span>", name(c));
            }
            c => self.html.push(c),
        }
    }

    fn execute(&mut self, byte: u8) {
        if byte == b'\t' {
            self.print('\t');
        } else {
            // They have pictures of their own.
            let picture = if byte < 0x20 { char::from_u32(0x2400 + u32::from(byte)) } else { None };
            self.print(picture.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignored: bool, action: u8) {
        if action == b'm' && intermediates.is_empty() && !ignored {
            self.look.select(params);
        }
    }
}

/// Appends one line, which begins to look like `look`, and leaves there how the next one begins.
pub(super) fn line(html: &mut String, bytes: &[u8], look: &mut Look) {
    // The parser would leave out what is no UTF-8.
    let text = String::from_utf8_lossy(bytes);
    let length = match &text {
        text if text.len() <= SHOWN => 0,
        text => String::from_utf8_lossy(&strip_ansi(text.as_bytes())).chars().count(),
    };
    let hidden = if length > SHOWN { SHOWN - AT_END..length - AT_END } else { 0..0 };
    let mut writer = Writer { html, look: *look, open: Look::default(), count: 0, hidden };
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    for byte in text.bytes() {
        parser.advance(&mut writer, byte);
    }
    writer.close();
    *look = writer.look;
}

fn name(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(lines: &[&[u8]]) -> String {
        let (mut html, mut look) = (String::new(), Look::default());
        for bytes in lines {
            line(&mut html, bytes, &mut look);
            html.push('\n');
        }
        html
    }

    #[test]
    fn colours_become_classes_and_everything_else_is_escaped() {
        assert_eq!(
            html(&[b"\x1b[31m<b>&\"\x1b[0m plain", b"\x1b[1;32mgreen", b"still\x1b[39m bold\x1b[m none"]),
            "<span class=\"c1\">&lt;b&gt;&amp;&quot;</span> plain\n<span class=\"c2 b\">green</span>\n<span class=\"c2 b\">still</span><span class=\"b\"> bold</span> none\n"
        );
        assert_eq!(
            html(&[b"\x1b[38;5;196mr\x1b[38;2;0;120;0mg\x1b[48;5;244mx\x1b[7my\x1b[0;7mz\x1b[38;5m!"]),
            "<span class=\"c9\">r</span><span class=\"c2\">g</span><span class=\"c2 g7\">x</span><span class=\"c7 g2\">y</span><span class=\"rev\">z!</span>\n"
        );
    }

    #[test]
    fn nothing_moves_deceives_or_hides() {
        assert_eq!(
            html(&[
                "a\u{202e}b\u{200b}\u{9b}c\0d\re\tf\x1b[2J\x1b]0;title\x07\x1b[10Ag\u{7f}".as_bytes(),
                b"\xff\xfeh"
            ]),
            "a<span class=\"odd\">U+202E</span>b<span class=\"odd\">U+200B</span><span class=\"odd\">U+009B</span>c␀d␍e\tfg<span class=\"odd\">U+007F</span>\n\u{fffd}\u{fffd}h\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = ["a".repeat(3_000), "\u{1b}[31mä".repeat(5_000), "b".repeat(1_000)].concat();
        let html = html(&[long.as_bytes(), b"x"]);
        let (first, last) = ("a".repeat(3_000), "b".repeat(1_000));
        let gap = "<span class=\"odd\">… 5000 characters of this line …</span>";
        assert_eq!(
            html,
            format!("{first}{gap}<span class=\"c1\">{last}</span>\n<span class=\"c1\">x</span>\n")
        );
    }
}
