//! Diffs for people: which lines are added and which go, and of unchanged ones no more than three around a change, however many the differ printed.
//!
//! kubectl's diffs are made with whole objects in them, so that parsers can tell the paths of attributes.

use crate::printed::Line;
use driftrun_parsers::text::strip_ansi;

/// Lines that are shown before and after a change.
const AROUND: usize = 3;

/// How lines tell what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By their first character: diffs.
    Column,
    /// By a sign before the first word: plans of Terraform.
    Sign,
    /// By `<` and `>` in the first column: normal diffs, as `argocd` prints them.
    Arrows,
}

impl Style {
    /// That of the outputs that this parser reads.
    pub fn of(parser: &str) -> Self {
        match parser {
            "terraform" | "terraform-show" | "terraform-json" => Self::Sign,
            "argocd" => Self::Arrows,
            _ => Self::Column,
        }
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Comes.
    Added,
    /// Goes.
    Removed,
    /// Changes, or is replaced.
    Changed,
    /// A hunk's or a file's head.
    Head,
    /// Stays, or says something.
    Plain,
}

/// A line, or how many unchanged ones stand here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'l> {
    /// The line.
    Line(Kind, Line<'l>),
    /// So many.
    Hidden(usize),
}

/// Whether a part of an output is a diff, and not a line or two of JSON.
pub fn is_one(lines: &[Line<'_>]) -> bool {
    let first = lines.iter().find_map(|line| line.bytes.trim_ascii_start().first());
    first.is_some_and(|first| !b"{[\"".contains(first))
}

/// What each line is.
pub fn kind(line: &[u8], style: Style) -> Kind {
    let line = strip_ansi(line);
    match style {
        Style::Column => match &*line {
            [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] | [b'@', b'@', ..] => Kind::Head,
            [b'+', ..] => Kind::Added,
            [b'-', ..] => Kind::Removed,
            line if line.starts_with(b"diff ") => Kind::Head,
            _ => Kind::Plain,
        },
        Style::Arrows => match &*line {
            [b'>' | b'+', ..] => Kind::Added,
            [b'-', b'-', b'-'] => Kind::Plain,
            [b'<' | b'-', ..] => Kind::Removed,
            [b'=', b'=', b'=', ..] | [b'@', b'@', ..] => Kind::Head,
            _ => Kind::Plain,
        },
        Style::Sign => match line.trim_ascii_start() {
            [b'-', b'/', b'+', b' ', ..] | [b'+', b'/', b'-', b' ', ..] | [b'~', b' ', ..] => Kind::Changed,
            [b'+', b' ', ..] => Kind::Added,
            [b'-', b' ', ..] => Kind::Removed,
            [b'#', b' ', ..] => Kind::Head,
            _ => Kind::Plain,
        },
    }
}

/// `lines` with what each is. Long stretches of unchanged lines in the hunks of a diff are replaced by how many they were.
pub fn shown<'l>(lines: &[Line<'l>], style: Style) -> Vec<Shown<'l>> {
    let mut out = Vec::with_capacity(lines.len());
    let mut same: Vec<Line<'l>> = Vec::new();
    let (mut in_hunk, mut after_change) = (false, false);
    for line in lines {
        let bare = strip_ansi(line.bytes);
        if style == Style::Column && in_hunk && (bare.starts_with(b" ") || bare.is_empty()) {
            same.push(*line);
            continue;
        }
        let change = in_hunk && matches!(bare.first(), Some(b'+' | b'-' | b'\\'));
        close(&mut out, &mut same, after_change, change);
        in_hunk = style == Style::Column && (change || bare.starts_with(b"@@ "));
        after_change = change;
        out.push(Shown::Line(kind(line.bytes, style), *line));
    }
    close(&mut out, &mut same, after_change, false);
    out
}

fn close<'l>(out: &mut Vec<Shown<'l>>, same: &mut Vec<Line<'l>>, after_change: bool, before_change: bool) {
    let (first, last) = (if after_change { AROUND } else { 0 }, if before_change { AROUND } else { 0 });
    let hidden = same.len().saturating_sub(first + last);
    let plain = |line: &Line<'l>| Shown::Line(Kind::Plain, *line);
    // Saying that one line is hidden takes a line.
    if hidden > 1 {
        out.extend(same[..first].iter().map(plain));
        out.push(Shown::Hidden(hidden));
        out.extend(same[same.len() - last..].iter().map(plain));
    } else {
        out.extend(same.iter().map(plain));
    }
    same.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Added, Changed, Head, Plain, Removed};
    use std::fmt::Write as _;

    /// As people would see it.
    fn text(diff: &str, style: Style) -> String {
        let lines: Vec<Line<'_>> =
            diff.lines().map(|line| Line { number: 1, bytes: line.as_bytes() }).collect();
        let mut out = String::new();
        for line in shown(&lines, style) {
            match line {
                Shown::Line(_, line) => out.push_str(std::str::from_utf8(line.bytes).unwrap()),
                Shown::Hidden(lines) => {
                    let _ = write!(out, "… {lines}");
                }
            }
            out.push('\n');
        }
        out
    }

    #[test]
    fn far_lines_are_counted_and_near_ones_and_everything_else_stay() {
        let same = |from: usize, to: usize| {
            (from..=to).fold(String::new(), |text, n| text + "  line " + &n.to_string() + "\n")
        };
        let head = "diff -u -N -U 9999 a b\n--- a\n+++ b\n@@ -1,40 +1,40 @@\n";
        let diff = format!(
            "{head}{}-old\n+new\n{}-x\n{}diff -u b c\n note\n",
            same(1, 10),
            same(11, 17),
            same(18, 22)
        );
        let want = format!(
            "{head}… 7\n{}-old\n+new\n{}-x\n{}… 2\ndiff -u b c\n note\n",
            same(8, 10),
            same(11, 17),
            same(18, 20)
        );
        assert_eq!(text(&diff, Style::Column), want);
        let want = format!("{head}-a\n{}… 4\n{}+b\n", same(1, 3), same(8, 10));
        assert_eq!(text(&format!("{head}-a\n{}+b\n", same(1, 10)), Style::Column), want);
        for plain in ["", "no diff\n at all\n", " a\n b\n c\n d\n"] {
            assert_eq!(text(plain, Style::Column), plain);
        }
        assert_eq!(text(&format!("@@ -1 +1 @@\n{}", same(1, 10)), Style::Sign).lines().count(), 11);
    }

    #[test]
    fn each_format_has_its_signs() {
        let kinds =
            |style, lines: &[&str]| lines.iter().map(|line| kind(line.as_bytes(), style)).collect::<Vec<_>>();
        assert_eq!(
            kinds(
                Style::Column,
                &[
                    "--- a",
                    "+++ b",
                    "@@ -1 +1 @@",
                    "-x",
                    "+y",
                    " - z",
                    "\u{1b}[31m-x\u{1b}[0m",
                    "ok",
                    "diff -u a b"
                ]
            ),
            [Head, Head, Head, Removed, Added, Plain, Removed, Plain, Head]
        );
        assert_eq!(
            kinds(
                Style::Sign,
                &[
                    "  # a.b will be updated",
                    "  ~ resource",
                    "      + x = 1",
                    "      - y = 2",
                    "-/+ resource",
                    "    }",
                    "\u{1b}[32m+\u{1b}[0m x"
                ]
            ),
            [Head, Changed, Added, Removed, Changed, Plain, Added]
        );
        assert_eq!(
            kinds(Style::Arrows, &["===== apps/Deployment a/b ======", "1c1", "< x", "> y", "---"]),
            [Head, Plain, Removed, Added, Plain]
        );
    }
}
