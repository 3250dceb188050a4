//! Foreign text in Markdown: it can't end the code that it stands in, nor the cell, row, fence or fold around it.

use crate::show::text::{cut, printable};
use driftrun_parsers::text::{string, strip_ansi};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Columns of a text that may be long: a reason, a remark.
const LONG: usize = 300;

/// `text` as code within a line, also within a table.
pub(super) fn code(text: &str) -> String {
    let text = printable(text);
    if text.is_empty() {
        String::new()
    } else if text.contains('|') || text.trim() != text {
        // A pipe ends a cell, within backticks as well, and what is behind a backslash then is no two parsers' same.
        format!("<code>{}</code>", entities(&text))
    } else {
        let fence = "`".repeat(longest_run(&text) + 1);
        let gap = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
        format!("{fence}{gap}{text}{gap}{fence}")
    }
}

/// The same of a sentence, of which the beginning will do.
pub(super) fn quoted(text: &str) -> String {
    code(&cut(&printable(text), LONG))
}

/// `code`, in its fence, under a title that is seen while it is folded.
pub(super) fn folded(title: &str, fenced: &str) -> String {
    let title = entities(&printable(title));
    format!("\n<details><summary><code>{title}</code></summary>\n\n{fenced}\n</details>\n")
}

/// A block of code, whose lines are [`line`]s.
pub(super) fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}diff\n{text}{fence}\n")
}

/// How many backticks stand side by side at most.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A line of an output, without colours and with what a terminal would obey escaped; tabs are tabs.
pub(super) fn line(bytes: &[u8]) -> String {
    let text = string(&strip_ansi(bytes));
    text.split('\t').map(printable).collect::<Vec<Cow<'_, str>>>().join("\t")
}

/// With every ASCII character that is neither letter, digit nor blank as an entity: neither HTML nor Markdown is left in it.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '-' | ',') {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
        if c == '@' {
            // Addresses are looked for where entities are characters again: a comment parts them.
            out.push_str("<!---->");
        }
    }
    out
}
