//! What a run printed: lines with their numbers, colours and signs, each with an address of its own.

use super::{Escaped, size};
use crate::diff::{self, Kind, Shown, Style};
use crate::printed::{Kept, Line, Opened, Printed};
use crate::web::ansi::{self, Look};
use maud::{Markup, html};
use std::fmt::Write as _;

/// A longer output stands on the check's page with its beginning and its end only.
const AT_MOST: usize = 400;
const FIRST: usize = 100;

/// The most lines that any page has of one stream: of more a browser makes heavy weather.
const MOST: usize = 20_000;

/// Lines before and after one that is pointed at.
const AROUND: u32 = 8;

/// A stream of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Out,
    Err,
}

impl Which {
    /// As the API calls it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Out => "Standard output",
            Self::Err => "Standard error",
        }
    }

    fn of(self, printed: &Printed) -> &Kept {
        match self {
            Self::Out => &printed.stdout,
            Self::Err => &printed.stderr,
        }
    }
}

/// How much of an output is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Much<'a> {
    /// All that is kept.
    All,
    /// Beginning and end; the whole is there.
    Some { whole: &'a str },
}

/// How lines are written.
#[derive(Clone, Copy)]
struct Writing<'a> {
    /// What their addresses begin with; none where another copy has them.
    prefix: Option<&'a str>,
    /// The line that is pointed at.
    marked: Option<u32>,
}

impl Writing<'_> {
    fn line(self, html: &mut String, line: Line<'_>, kind: Kind, look: &mut Look) {
        let class = match kind {
            Kind::Added => " add",
            Kind::Removed => " del",
            Kind::Changed => " chg",
            Kind::Head => " head",
            Kind::Plain => "",
        };
        let mark = if self.marked == Some(line.number) { " mark" } else { "" };
        let n = line.number;
        let _ = match self.prefix {
            Some(prefix) if n > 0 => write!(
                html,
                "<span class=\"l{class}{mark}\" id=\"{prefix}-L{n}\"><a class=\"n\" tabindex=\"-1\" href=\"#{prefix}-L{n}\">{n}</a>"
            ),
            _ if n > 0 => write!(html, "<span class=\"l{class}{mark}\"><span class=\"n\">{n}</span>"),
            _ => write!(html, "<span class=\"l{class}{mark}\"><span class=\"n\"></span>"),
        };
        ansi::line(html, line.bytes, look);
        html.push_str("\n</span>");
    }
}

/// One stream, under its title. `marked` is the line that is pointed at; `raw` where it can be had as it is.
pub(super) fn stream(
    which: Which,
    printed: &Printed,
    much: Much<'_>,
    marked: Option<u32>,
    raw: &str,
) -> Markup {
    let kept = which.of(printed);
    let opened = kept.open();
    html! {
        section.stream id=(which.as_str()) aria-label=(which.title()) {
            h3 { (which.title()) " " span.size { (size(kept.total())) }
                @if kept.total() > 0 && !kept.is_withheld() { " " a.raw href={ (raw) "?stream=" (which.as_str()) } download { "Download" } } }
            @if kept.is_withheld() {
                p.note { "Not kept: this is the raw plan or state of Terraform, with every value in it, the sensitive ones too. Let " code { "command" } " print the plan for people, and " code { "report" } " the raw one." }
            } @else if kept.total() == 0 { p.note { "Nothing." } }
            @else { (lines(&opened, which, much, marked)) }
        }
    }
}

fn lines(opened: &Opened<'_>, which: Which, much: Much<'_>, marked: Option<u32>) -> Markup {
    let writing = Writing { prefix: Some(which.as_str()), marked };
    let mut look = Look::default();
    let mut write = |lines: &mut dyn Iterator<Item = Line<'_>>| {
        let mut html = String::new();
        lines.for_each(|line| writing.line(&mut html, line, Kind::Plain, &mut look));
        html! { @if !html.is_empty() { pre.lines tabindex="0" { code { (Escaped(html)) } } } }
    };
    let (head, tail) = (opened.head().len(), opened.tail().len());
    let not_kept = opened.missing().map(|bytes| format!("{} that are not kept", size(bytes)));
    let (most, first, whole) = match much {
        Much::All => (MOST, MOST / 2, None),
        Much::Some { whole } => (AT_MOST, FIRST, Some(whole)),
    };
    if head + tail <= most {
        return html! {
            (write(&mut opened.head()))
            @if let Some(not_kept) = not_kept { p.gap { "Here were " (not_kept) "." } }
            (write(&mut opened.tail()))
        };
    }
    // The first lines and the last ones, wherever the middle is missing.
    let first = first.min(head);
    let from_tail = (most - first).min(tail);
    let from_head = most - first - from_tail;
    let hidden = head + tail - most;
    html! {
        (write(&mut opened.head().take(first)))
        p.gap {
            "Here were " (hidden) " lines" @if let Some(not_kept) = not_kept { ", and " (not_kept) } ". "
            @match whole { Some(whole) => a href={ (whole) "#" (which.as_str()) } { "Show all" }, None => "The download has what is kept." }
        }
        (write(&mut opened.head().skip(head - from_head)))
        (write(&mut opened.tail().skip(tail - from_tail)))
    }
}

/// The lines around one that is pointed at.
pub(super) fn around(opened: &Opened<'_>, line: u32) -> Markup {
    let near = |other: &Line<'_>| other.number > 0 && other.number.abs_diff(line) <= AROUND;
    let writing = Writing { prefix: None, marked: Some(line) };
    let (mut html, mut look) = (String::new(), Look::default());
    opened
        .head()
        .chain(opened.tail())
        .filter(near)
        .for_each(|line| writing.line(&mut html, line, Kind::Plain, &mut look));
    html! { @if !html.is_empty() { pre.lines tabindex="0" aria-label={ "output around line " (line) } { code { (Escaped(html)) } } } }
}

/// A resource's part of the output, with added and removed lines; at most so many lines of it.
pub(super) fn part(lines: &[Line<'_>], style: Style, most: usize) -> Markup {
    let writing = Writing { prefix: None, marked: None };
    let shown = diff::shown(lines, style);
    let (mut html, mut look) = (String::new(), Look::default());
    for part in shown.iter().take(most) {
        match part {
            Shown::Line(kind, line) => writing.line(&mut html, *line, *kind, &mut look),
            Shown::Hidden(lines) => {
                let _ = writeln!(
                    html,
                    "<span class=\"l gap\"><span class=\"n\"></span>… {lines} unchanged lines\n</span>"
                );
            }
        }
    }
    html! {
        pre.lines.diff tabindex="0" { code { (Escaped(html)) } }
        @if shown.len() > most { p.gap { (shown.len() - most) " more lines of it stand in the output." } }
    }
}
