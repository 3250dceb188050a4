//! Unified diffs for people: three lines around each change, however many the differ printed.
//!
//! kubectl's diffs are made with whole objects in them, so that parsers can tell the paths of attributes.

use std::fmt::Write as _;

/// Lines that are shown before and after a change.
const AROUND: usize = 3;

/// `text` with long stretches of unchanged lines in its hunks replaced by how many there were.
pub(super) fn three_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(1 << 16));
    let mut same: Vec<&str> = Vec::new();
    let (mut in_hunk, mut after_change) = (false, false);
    for line in text.split_inclusive('\n') {
        if in_hunk && (line.starts_with(' ') || line == "\n") {
            same.push(line);
            continue;
        }
        let change = in_hunk && line.starts_with(['+', '-', '\\']);
        close(&mut out, &mut same, after_change, change);
        in_hunk = change || line.starts_with("@@ ");
        after_change = change;
        out.push_str(line);
    }
    close(&mut out, &mut same, after_change, false);
    out
}

fn close(out: &mut String, same: &mut Vec<&str>, after_change: bool, before_change: bool) {
    let (first, last) = (if after_change { AROUND } else { 0 }, if before_change { AROUND } else { 0 });
    let hidden = same.len().saturating_sub(first + last);
    // Saying that one line is hidden takes a line.
    if hidden > 1 {
        out.extend(same[..first].iter().copied());
        let _ = writeln!(out, "  … {hidden} unchanged lines");
        out.extend(same[same.len() - last..].iter().copied());
    } else {
        out.extend(same.iter().copied());
    }
    same.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_lines_are_counted_and_near_ones_and_everything_else_stay() {
        let same = |from: usize, to: usize| {
            (from..=to).fold(String::new(), |text, n| text + "  line " + &n.to_string() + "\n")
        };
        let head = "diff -u -N -U 9999 a b\n--- a\n+++ b\n@@ -1,40 +1,40 @@\n";
        let text = format!(
            "{head}{}-old\n+new\n{}-x\n{}diff -u b c\n note\n",
            same(1, 10),
            same(11, 17),
            same(18, 22)
        );
        let want = format!(
            "{head}  … 7 unchanged lines\n{}-old\n+new\n{}-x\n{}  … 2 unchanged lines\ndiff -u b c\n note\n",
            same(8, 10),
            same(11, 17),
            same(18, 20)
        );
        assert_eq!(three_lines(&text), want);
        let want = format!("{head}-a\n{}  … 4 unchanged lines\n{}+b\n", same(1, 3), same(8, 10));
        assert_eq!(three_lines(&format!("{head}-a\n{}+b\n", same(1, 10))), want);
        for plain in ["", "no diff\n at all\n", " a\n b\n c\n d\n"] {
            assert_eq!(three_lines(plain), plain);
        }
    }
}
