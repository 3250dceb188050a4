//! A round in Markdown, for the comments that GitHub and GitLab show beside a change: a heading that says it all, a table of checks, of each one that isn't
//! clean its resources, and their diffs, folded.
//!
//! What a command printed is in it only as code: within backticks where nothing in it could end them, else as entities within `<code>`, and diffs within a
//! fence that is longer than any of theirs. So it makes no markup, and mentions nobody. The whole has at most [`MOST`] bytes. What is
//! left out is counted: diffs go first, then resources, then what there is to say of a check; the heading never, nor that a check isn't clean.

mod code;
#[cfg(test)]
mod tests;

use super::table::{attributes, drifted};
use super::{Counts, Shown, Whole, counted, sign, took};
use crate::diff::{self, Kind, Style};
use crate::printed::{Line, Opened};
use code::{code, fenced, folded, quoted};
use driftrun_parsers::{Resource, Severity, Source, Verdict};
use jiff::Timestamp;
use std::fmt::Write as _;

/// Bytes of all of it. GitHub takes 65,536 characters for a comment, and whoever posts it may have a word to say before.
pub const MOST: usize = 60_000;

/// Checks that the table lists; of more, those that are clean are only counted.
const LISTED: usize = 50;

/// Lines of one diff.
const LINES: usize = 200;

/// Remarks of one check.
const REMARKS: usize = 5;

/// Bytes that are kept for the sentences which say what is left out of the whole.
const SENTENCES: usize = 400;

/// A check, and where the parts of its output can be shown from that its resources stand for.
#[derive(Debug)]
pub struct Told<'a> {
    /// What it came to.
    pub shown: Shown<'a>,
    /// What the command printed, without secrets, where the resources' places are places in it.
    pub printed: Option<&'a Opened<'a>>,
    /// How its diffs are written.
    pub style: Style,
}

/// All of it; a `round` is summed up at its beginning.
pub fn markdown(all: &[Told<'_>], round: Option<Whole>) -> String {
    let (heading, first) = heading(all, round);
    let mut room = Room(MOST.saturating_sub(heading.len() + first.len() + SENTENCES));
    let rows = table(all, &mut room);
    let odd = all.iter().filter(|told| told.shown.document.verdict != Verdict::Clean);
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut unsaid = 0;
    for told in odd {
        let section = Section::of(told);
        if room.takes(section.cost()) { sections.push(section) } else { unsaid += 1 }
    }
    // In turns, so that a check of many resources leaves room for the others.
    for n in 0..sections.iter().map(|section| section.rows.len()).max().unwrap_or(0) {
        for section in &mut sections {
            if let Some(row) = section.rows.get_mut(n) {
                row.is_shown = room.takes(row.text.len());
            }
        }
    }
    for n in 0..sections.iter().map(|section| section.rows.len()).max().unwrap_or(0) {
        for section in &mut sections {
            section.add_diff(n, &mut room);
        }
    }
    let mut out = heading + &first + &rows;
    for section in &sections {
        section.write(&mut out);
    }
    if unsaid > 0 {
        let _ = write!(
            out,
            "\n{} more that {} not clean {} left out here.\n",
            counted(unsaid, "check"),
            are(unsaid),
            are(unsaid)
        );
    }
    out
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// What is left of the whole's bytes.
struct Room(usize);

impl Room {
    fn takes(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// The heading, and the line below it.
fn heading(all: &[Told<'_>], round: Option<Whole>) -> (String, String) {
    use Verdict::{Clean, Drifted, Failed, Partial, Timeout, Unreadable};
    let count = |verdict| all.iter().filter(|told| told.shown.document.verdict == verdict).count();
    let gravest =
        [Failed, Timeout, Unreadable, Partial, Drifted].into_iter().find(|verdict| count(*verdict) > 0);
    let mut parts: Vec<String> = Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict, count(verdict)))
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| format!("{count} {}", verdict.as_str()))
        .collect();
    let not_run = round.map_or(0, |round| round.not_run);
    if not_run > 0 {
        parts.push(format!("{not_run} not run"));
    }
    if parts.is_empty() {
        parts.push("nothing to run".to_owned());
    }
    // Of a check that wasn't run nothing is known.
    let sign = sign(gravest.unwrap_or(if not_run > 0 || all.is_empty() { Unreadable } else { Clean }));
    let heading = match all {
        [Told { shown: Shown { name: None, document, .. }, .. }] => {
            format!("### {sign} driftrun: {}\n", document.verdict.as_str())
        }
        all => {
            let checks = counted(all.len() + not_run, "check");
            format!("### {sign} driftrun: {checks}: {}\n", parts.join(", "))
        }
    };
    let counts = all.iter().fold(Counts::of([]), |all, told| all.and(told.shown.counts()));
    let mut first = Vec::new();
    if counts.total() > 0 {
        first.push(format!("{}: {}.", counts.resources(), counts.by_action()));
    }
    first.extend(round.map(|round| format!("The round took {}.", took(round.took))));
    let first = if first.is_empty() { String::new() } else { format!("\n{}\n", first.join(" ")) };
    (heading, first)
}

/// A row for each check as far as there is room, those that aren't clean first, and how many are missing.
fn table(all: &[Told<'_>], room: &mut Room) -> String {
    const HEAD: &str = "\n| | check | verdict | drift | took |\n|---|---|---|---|---|\n";
    if all.iter().all(|told| told.shown.name.is_none()) {
        return String::new();
    }
    let is_clean = |told: &Told<'_>| told.shown.document.verdict == Verdict::Clean;
    let mut rows: Vec<(usize, String)> = Vec::new();
    let mut missing = [0, 0];
    let _ = room.takes(HEAD.len());
    for clean in [false, true] {
        for (n, told) in all.iter().enumerate().filter(|(_, told)| is_clean(told) == clean) {
            let row = row(&told.shown);
            let listed = !clean || all.len() <= LISTED;
            if listed && room.takes(row.len()) {
                rows.push((n, row));
            } else {
                missing[usize::from(clean)] += 1;
            }
        }
    }
    rows.sort_unstable();
    let mut out = String::from(HEAD);
    out.extend(rows.into_iter().map(|(_, row)| row));
    for (count, what) in missing.into_iter().zip(["not clean", "clean"]) {
        if count > 0 {
            let _ = write!(
                out,
                "\n{} that {} {what} {} not listed.\n",
                counted(count, "check"),
                are(count),
                are(count)
            );
        }
    }
    out
}

fn row(shown: &Shown<'_>) -> String {
    let verdict = shown.document.verdict;
    let counts = shown.counts();
    let drift = if counts.total() > 0 {
        format!("{}: {}", counts.resources(), counts.by_action())
    } else {
        String::new()
    };
    format!(
        "| {} | {} | {} | {drift} | {} |\n",
        sign(verdict),
        code(shown.name.unwrap_or_default()),
        verdict.as_str(),
        shown.took.map(took).unwrap_or_default()
    )
}

/// What there is to say of a check that isn't clean.
struct Section<'a> {
    head: String,
    rows: Vec<Row<'a>>,
    told: &'a Told<'a>,
    /// What comes after the resources.
    foot: String,
}

/// A resource, as far as there is room for it.
struct Row<'a> {
    resource: &'a Resource,
    text: String,
    is_shown: bool,
    diff: Diff,
}

/// What becomes of a resource's part of the output.
enum Diff {
    /// There is none.
    None,
    /// It is not to be shown: a Secret that is not there any more is printed with its values.
    Secret,
    /// There is no room for it.
    LeftOut,
    /// It is shown.
    Shown(String),
}

const COLUMNS: &str = "\n| action | scope | kind | name | changed | |\n|---|---|---|---|---|---|\n";

impl<'a> Section<'a> {
    fn of(told: &'a Told<'a>) -> Self {
        let document = &told.shown.document;
        let mut head = match told.shown.name {
            Some(name) => format!("\n#### {} {}\n", sign(document.verdict), code(name)),
            None => String::new(),
        };
        if let Some(reason) = &document.reason {
            let _ = write!(head, "\n{}: {}\n", document.verdict.as_str(), quoted(reason));
        }
        let rows = drifted(&told.shown)
            .map(|(resource, first_seen)| Row {
                resource,
                text: resource_row(resource, first_seen),
                is_shown: false,
                diff: Diff::None,
            })
            .collect();
        let mut foot = String::new();
        let resources = document.resources;
        for (what, counts) in [
            ("Not listed", Counts::of([]).plus(&told.shown.unlisted)),
            ("Ignored", Counts::of(resources.iter().filter(|r| r.ignored))),
            ("No drift, but reported", Counts::of(resources.iter().filter(|r| !r.drift))),
        ] {
            if counts.total() > 0 {
                let _ = write!(foot, "\n{what}: {}.\n", counts.by_action());
            }
        }
        let remarks =
            document.diagnostics.iter().filter(|remark| document.reason.as_ref() != Some(&remark.summary));
        let remarks: Vec<_> = remarks.collect();
        for (n, remark) in remarks.iter().take(REMARKS).enumerate() {
            let severity = match remark.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let gap = if n == 0 { "\n" } else { "" };
            let _ = writeln!(foot, "{gap}- {severity}: {}", quoted(&remark.summary));
        }
        if remarks.len() > REMARKS {
            let _ = writeln!(foot, "- and {}", counted(remarks.len() - REMARKS, "more remark"));
        }
        Self { head, rows, told, foot }
    }

    /// Its bytes without resources, and with the sentences that say how many are left out.
    fn cost(&self) -> usize {
        let all = Counts::of(self.rows.iter().map(|row| row.resource));
        let columns = if self.rows.is_empty() {
            0
        } else {
            COLUMNS.len() + left_out(&all).len() + no_diffs(all.total(), all.total()).len()
        };
        self.head.len() + columns + self.foot.len()
    }

    /// Adds the diff of the resource at `n`, if there is one, and room.
    fn add_diff(&mut self, n: usize, room: &mut Room) {
        let Some(row) = self.rows.get_mut(n) else { return };
        let part = self.told.printed.zip(row.resource.span).and_then(|(printed, span)| printed.cut(span));
        let Some(lines) = part.filter(|lines| diff::is_one(lines)) else { return };
        row.diff = if row.resource.kind == "Secret" {
            Diff::Secret
        } else if row.is_shown {
            let text = folded(&title(row.resource), &diff_of(&lines, self.told.style));
            if room.takes(text.len()) { Diff::Shown(text) } else { Diff::LeftOut }
        } else {
            Diff::LeftOut
        };
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.head);
        if self.rows.iter().any(|row| row.is_shown) {
            out.push_str(COLUMNS);
        }
        out.extend(self.rows.iter().filter(|row| row.is_shown).map(|row| row.text.as_str()));
        let missing = Counts::of(self.rows.iter().filter(|row| !row.is_shown).map(|row| row.resource));
        out.push_str(&left_out(&missing));
        for row in &self.rows {
            if let Diff::Shown(text) = &row.diff {
                out.push_str(text);
            }
        }
        let count = |is: fn(&Diff) -> bool| self.rows.iter().filter(|row| is(&row.diff)).count();
        let (no_room, secret) =
            (count(|diff| matches!(diff, Diff::LeftOut)), count(|diff| matches!(diff, Diff::Secret)));
        out.push_str(&no_diffs(no_room, secret));
        out.push_str(&self.foot);
    }
}

/// That so many resources are not in the table.
fn left_out(missing: &Counts) -> String {
    match missing.total() {
        0 => String::new(),
        total => {
            let more = counted(total, "more resource");
            format!("\n{more} {} left out here: {}.\n", are(total), missing.by_action())
        }
    }
}

/// That so many diffs are not there.
fn no_diffs(no_room: usize, secret: usize) -> String {
    let mut out = String::new();
    if no_room > 0 {
        let _ = write!(out, "\n{} {} left out here.\n", counted(no_room, "diff"), are(no_room));
    }
    if secret > 0 {
        let _ = write!(out, "\n{} of Secrets {} not shown.\n", counted(secret, "diff"), are(secret));
    }
    out
}

fn resource_row(resource: &Resource, first_seen: Option<Timestamp>) -> String {
    let mut notes = Vec::new();
    if resource.count > 1 {
        notes.push(format!("× {}", resource.count));
    }
    notes.extend(resource.previous_name.as_ref().map(|name| format!("was {}", code(name))));
    match (resource.source, resource.outside) {
        (Source::Refresh, _) => notes.push("changed outside".to_owned()),
        (Source::Plan, true) => notes.push("also changed outside".to_owned()),
        (Source::Plan, false) => {}
    }
    notes.extend(first_seen.map(|time| format!("since {}", time.strftime("%Y-%m-%d %H:%M UTC"))));
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        resource.action.as_str(),
        code(&resource.scope),
        code(&resource.kind),
        code(&resource.name),
        code(&attributes(resource)),
        notes.join(", ")
    )
}

/// What a folded diff is headed by.
fn title(resource: &Resource) -> String {
    let words = [resource.action.as_str(), &resource.scope, &resource.kind, &resource.name];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A resource's part of the output, with its signs in the first column, where Markdown's colours look for them.
fn diff_of(lines: &[Line<'_>], style: Style) -> String {
    let shown = diff::shown(lines, style);
    let mut text = String::new();
    for line in shown.iter().take(LINES) {
        match line {
            diff::Shown::Line(kind, line) => text.push_str(&signed(*kind, &code::line(line.bytes), style)),
            diff::Shown::Hidden(count) => {
                let _ = write!(text, "  … {count} unchanged lines");
            }
        }
        text.push('\n');
    }
    if shown.len() > LINES {
        let _ = writeln!(text, "… {} more lines", shown.len() - LINES);
    }
    fenced(&text)
}

fn signed(kind: Kind, line: &str, style: Style) -> String {
    let sign = match kind {
        Kind::Added => '+',
        Kind::Removed => '-',
        Kind::Changed => '!',
        Kind::Head | Kind::Plain => return line.to_owned(),
    };
    match style {
        Style::Column => line.to_owned(),
        Style::Arrows => format!("{sign}{}", line.get(1..).unwrap_or_default()),
        Style::Sign if kind == Kind::Changed => format!("{sign}{}", line.strip_prefix(' ').unwrap_or(line)),
        Style::Sign => {
            let words = line.trim_start();
            let blanks = &line[..line.len() - words.len()];
            format!("{sign}{blanks}{}", words.strip_prefix(sign).unwrap_or(words))
        }
    }
}
