//! The table of `once` and `parse`: a block for each check, its drift in rows, and a line that sums all up.

#[cfg(test)]
mod tests;

use super::text::{self, Ink, padded, printable, width};
use super::{Counts, Shown, Whole, counted, sign, took};
use driftrun_parsers::{Diagnostic, Resource, Severity, Source, Verdict};
use jiff::Timestamp;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Columns of a terminal. What is wider stands out of its own row and pushes no other one away; of a list of attributes the rest is counted.
const WIDEST: usize = 60;

/// A table of the drift; a `round` is summed up at its end.
pub fn table(all: &[Shown<'_>], round: Option<Whole>, ink: Ink) -> String {
    let heads = Heads::of(all);
    let mut out = String::new();
    let mut after_details = false;
    for (n, shown) in all.iter().enumerate() {
        let mut block = heads.line(shown, ink);
        let head = block.len();
        details(&mut block, shown, ink);
        let has_details = block.len() > head;
        if n > 0 && (has_details || after_details) {
            out.push('\n');
        }
        out.push_str(&block);
        after_details = has_details;
    }
    if let Some(round) = round {
        let gap = if all.is_empty() { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{}", summary(all, round, ink));
    }
    out
}

/// How wide the parts of the first lines are.
struct Heads {
    verdict: usize,
    name: usize,
    took: usize,
}

impl Heads {
    fn of(all: &[Shown<'_>]) -> Self {
        let widest = |part: &dyn Fn(&Shown<'_>) -> usize| Column::of(all.iter().map(part)).width;
        Self {
            verdict: widest(&|shown| shown.document.verdict.as_str().len()),
            name: widest(&|shown| shown.name.map_or(0, width)),
            took: widest(&|shown| shown.took.map_or(0, |time| took(time).len())),
        }
    }

    /// `≠ drifted  terradiff-prod  2.3 s  4 resources: 2 update, 2 delete`
    fn line(&self, shown: &Shown<'_>, ink: Ink) -> String {
        let verdict = shown.document.verdict;
        let word = format!("{} {}", sign(verdict), padded(verdict.as_str(), self.verdict));
        let mut line = ink.paint(text::verdict(verdict), word.trim_end()).into_owned();
        line.push_str(&" ".repeat(width(&word) - width(word.trim_end())));
        if let Some(name) = shown.name {
            let _ = write!(line, "  {}", padded(&printable(name), self.name));
        }
        if let Some(time) = shown.took {
            let _ = write!(line, "  {:>1$}", took(time), self.took);
        }
        let counts = shown.counts();
        if counts.total() > 0 {
            let _ = write!(line, "  {}: {}", counts.resources(), counts.by_action());
        }
        format!("{}\n", line.trim_end())
    }
}

/// What drifts, each with the time it was seen first.
pub(super) fn drifted<'s>(shown: &'s Shown<'_>) -> impl Iterator<Item = (&'s Resource, Option<Timestamp>)> {
    let resources = shown.document.resources.iter().enumerate();
    resources.filter(|(_, r)| r.drift && !r.ignored).map(|(n, r)| (r, shown.first_seen.get(n).copied()))
}

/// Everything below a check's first line.
fn details(out: &mut String, shown: &Shown<'_>, ink: Ink) {
    let document = &shown.document;
    if let Some(reason) = &document.reason {
        let _ = writeln!(out, "    {}", printable(reason));
    }
    let drifted: Vec<_> = drifted(shown).collect();
    rows(out, &drifted, ink);
    let ignored = Counts::of(document.resources.iter().filter(|r| r.ignored));
    let rest = Counts::of(document.resources.iter().filter(|r| !r.drift));
    let unlisted = Counts::of([]).plus(&shown.unlisted);
    for (what, counts) in [("not listed", unlisted), ("ignored", ignored), ("no drift, but reported", rest)] {
        if counts.total() > 0 {
            let _ = writeln!(out, "    {what}: {}", counts.by_action());
        }
    }
    let is_told = |remark: &&Diagnostic| document.reason.as_ref() == Some(&remark.summary);
    for remark in document.diagnostics.iter().filter(|remark| !is_told(remark)) {
        let severity = match remark.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let line = remark.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let _ = writeln!(out, "    {severity}: {}{line}", printable(&remark.summary));
    }
}

/// A resource, and when it was seen first.
type Row<'r> = (&'r Resource, Option<Timestamp>);

/// What is in a row behind the action; a column that is empty in all rows is left out.
const CELLS: [for<'r> fn(&Row<'r>) -> Cow<'r, str>; 5] = [
    |(r, _)| printable(&r.scope),
    |(r, _)| printable(&r.kind),
    |(r, _)| match r.count {
        1 => printable(&r.name),
        count => format!("{} × {count}", printable(&r.name)).into(),
    },
    |(r, _)| attributes(r),
    |row| notes(row).into(),
];

fn rows(out: &mut String, rows: &[Row<'_>], ink: Ink) {
    let actions = rows.iter().map(|(r, _)| r.action.as_str().len()).max().unwrap_or(0);
    let columns = CELLS.map(|cell| (cell, Column::of(rows.iter().map(|row| width(&cell(row))))));
    for row in rows {
        let action = row.0.action;
        let mut line = format!("    {}", ink.paint(text::action(action), action.as_str()));
        line.push_str(&" ".repeat(actions - action.as_str().len()));
        for (cell, column) in &columns {
            if !column.is_empty {
                let _ = write!(line, "  {}", padded(&cell(row), column.width));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// One column of a table.
struct Column {
    width: usize,
    is_empty: bool,
}

impl Column {
    fn of(widths: impl Iterator<Item = usize>) -> Self {
        widths.fold(Self { width: 0, is_empty: true }, |Self { width, is_empty }, cell| Self {
            width: if cell > WIDEST { width } else { width.max(cell) },
            is_empty: is_empty && cell == 0,
        })
    }
}

/// The paths of what changed, as many as there is room for, and how many more there are.
pub(super) fn attributes(resource: &Resource) -> Cow<'_, str> {
    let paths = resource.attributes.as_deref().unwrap_or_default();
    let mut out = String::new();
    for (n, path) in paths.iter().enumerate() {
        let path = printable(path);
        let left = paths.len() - n - 1;
        let more = if left > 0 { width(&format!(", … {left} more")) } else { 0 };
        if n > 0 && width(&out) + 2 + width(&path) + more > WIDEST {
            let _ = write!(out, ", … {} more", left + 1);
            break;
        }
        let _ = write!(out, "{}{path}", if n > 0 { ", " } else { "" });
    }
    out.into()
}

/// What else is known of a resource.
fn notes((resource, first_seen): &Row<'_>) -> String {
    let mut notes = Vec::new();
    if let Some(previous) = &resource.previous_name {
        notes.push(format!("was {}", printable(previous)));
    }
    match (resource.source, resource.outside) {
        (Source::Refresh, _) => notes.push("changed outside".to_owned()),
        (Source::Plan, true) => notes.push("also changed outside".to_owned()),
        (Source::Plan, false) => {}
    }
    if let Some(time) = first_seen {
        notes.push(format!("since {}", time.strftime("%Y-%m-%d %H:%M UTC")));
    }
    notes.join(", ")
}

/// `8 checks: 6 clean, 2 drifted, 4 resources (2 update, 2 delete), 12.3 s`
fn summary(all: &[Shown<'_>], round: Whole, ink: Ink) -> String {
    let mut parts: Vec<String> = Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict, all.iter().filter(|shown| shown.document.verdict == verdict).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| {
            ink.paint(text::verdict(verdict), &format!("{count} {}", verdict.as_str())).into_owned()
        })
        .collect();
    if round.not_run > 0 {
        parts.push(format!("{} not run", round.not_run));
    }
    let counts = all.iter().fold(Counts::of([]), |all, shown| all.and(shown.counts()));
    if counts.total() > 0 {
        parts.push(format!("{} ({})", counts.resources(), counts.by_action()));
    }
    parts.push(took(round.took));
    format!("{}: {}", counted(all.len() + round.not_run, "check"), parts.join(", "))
}
