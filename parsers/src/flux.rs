//! Reads `flux diff kustomization`.
//!
//! ```text
//! ► Deployment/shop/web drifted
//!
//! spec.replicas
//! ± value change
//! - 3
//! + 5
//!
//! ► ConfigMap/shop/new created
//! ► Namespace/old deleted
//! ```
//!
//! A line per object, without its group, and below one that drifted what dyff prints of it: paths of fields, list entries by
//! their names. Content never stands at the first column in the form of such a line. The other witness is the exit code, 1 when
//! something differs; an empty output is clean with exit code 0 and by nothing else. What it can't tell: objects that are excluded
//! from reconciliation, which Flux leaves alone, and how many were compared. When an object can't be compared Flux exits with 2 and
//! may or may not print the others: that is a failure. `flux diff artifact` names no objects: it is clean or not.

#[cfg(test)]
mod tests;

use crate::Parser;
use crate::error::{Failure, ParseError};
use crate::input::{Input, arguments_of};
use crate::kube;
use crate::kubectl::stderr::{self, Notes};
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Severity, Source, Unread, UnreadReason};
use crate::text;
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// `flux diff kustomization`.
pub static PARSER: Parser = Parser {
    name: "flux",
    about: "flux diff kustomization",
    recommended: "flux diff kustomization NAME --path DIR --progress-bar=false",
    actions: &[Action::Delete, Action::Create, Action::Update, Action::Change],
    drift_codes: &[1],
    runs,
    recognise,
    claim: kube::claim,
    parse,
};

fn runs(argv: &[&str]) -> bool {
    kind_of_diff(argv).is_some()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Diff<'a> {
    Kustomization,
    /// With its address, where it is told.
    Artifact(Option<&'a str>),
}

/// What `flux … diff …` compares.
fn kind_of_diff<'a>(argv: &'a [&'a str]) -> Option<Diff<'a>> {
    let rest = arguments_of(argv, &["flux"])?;
    let at = rest.iter().position(|arg| *arg == "diff")?;
    let mut after = rest.get(at.checked_add(1)?..)?.iter();
    match *after.next()? {
        "kustomization" | "ks" => Some(Diff::Kustomization),
        "artifact" => Some(Diff::Artifact(after.find(|arg| arg.starts_with("oci://")).copied())),
        _ => None,
    }
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let found = memmem::find_iter(head, MARK).any(|at| {
        let line = head.get(at..).and_then(|rest| text::lines(rest).next());
        let begins =
            head.get(..at).is_some_and(|before| matches!(before.last(), None | Some(b'\n' | b'm' | b'\r')));
        begins && line.is_some_and(|line| matches!(mark(&line.plain()), Some(Mark::Object(..))))
    });
    found.then_some("an object of flux diff's")
}

/// `► `
const MARK: &[u8] = "\u{25ba} ".as_bytes();

/// A line that isn't dyff's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    Object(Object, Verb),
    /// `📁 Kustomization/NAMESPACE/NAME changed`: what follows belongs to it.
    Inside,
    /// `⚠️ Kustomization/NAMESPACE/NAME skipped: …`: its objects were not compared.
    Unread(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Object {
    scope: String,
    kind: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Created,
    Drifted,
    Deleted,
    Skipped,
}

fn mark(line: &[u8]) -> Option<Mark> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (sign, rest) = line.split_once(' ')?;
    match sign {
        "\u{25ba}" => {
            let (subject, verb) = rest.rsplit_once(' ')?;
            let verb = match verb {
                "created" => Verb::Created,
                "drifted" => Verb::Drifted,
                "deleted" => Verb::Deleted,
                "skipped" => Verb::Skipped,
                _ => return None,
            };
            Some(Mark::Object(object(subject)?, verb))
        }
        "\u{1f4c1}" => object(rest.strip_suffix(" changed")?).map(|_| Mark::Inside),
        "\u{26a0}\u{fe0f}" | "\u{26a0}" => {
            let (subject, _) = rest.split_once(" skipped: ")?;
            object(subject).map(|_| Mark::Unread(subject.to_owned()))
        }
        _ => None,
    }
}

/// `Kind/NAMESPACE/NAME`, or `Kind/NAME`.
fn object(subject: &str) -> Option<Object> {
    let (kind, rest) = subject.split_once('/')?;
    let (scope, name) = rest.split_once('/').unwrap_or(("", rest));
    let sound = kube::is_kind(kind) && kube::is_namespace(scope) && !name.is_empty() && !name.contains('/');
    sound.then(|| Object { scope: scope.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
}

/// A line of the progress bar: `✓ Kustomization diffing...: processing inventory`.
fn is_progress(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).starts_with("Kustomization diffing...")
        && !text.contains(['\u{25ba}', '\u{26a0}', '\u{1f4c1}', '\r'])
}

/// The line without colours, and without what the progress bar wrote before it went back to the line's beginning.
fn shown<'a>(line: &text::Line<'a>) -> Cow<'a, [u8]> {
    let plain = line.plain();
    let mut rest: &[u8] = &plain;
    while let Some((before, after)) = memchr(b'\r', rest).and_then(|at| rest.split_at_checked(at))
        && (before.trim_ascii().is_empty() || is_progress(before))
    {
        rest = after.get(1..).unwrap_or_default();
    }
    if rest.len() == plain.len() { plain } else { Cow::Owned(rest.to_vec()) }
}

/// A line of flux's own that says something else than is known. dyff's values don't begin so at the first column.
fn is_foreign(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let usual = text.contains(CHANGED);
    ["\u{25ba} ", "\u{2717} ", "\u{1f4c1} "].iter().any(|sign| text.starts_with(sign)) && !usual
}

/// The first thing that flux says went wrong.
fn failed(bytes: &[u8]) -> Option<Failure> {
    text::lines(bytes).map(|line| text::string(&line.plain())).find_map(|line| {
        let words = line.trim().strip_prefix("\u{2717} ")?;
        let usual = [CHANGED, DIFFERS].iter().any(|usual| words.contains(usual));
        (!usual).then(|| stderr::failure(words))
    })
}

/// What `flux diff kustomization` says when something differs.
const CHANGED: &str = "identified at least one change";

/// What `flux diff artifact` says when it differs.
const DIFFERS: &str = "artifact contents differs from the local one";

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let out = input.stdout.bytes();
    let mut notes = Notes::read(input.stderr.bytes());
    notes.error = failed(input.stderr.bytes()).or(notes.error);
    let mut parsed = Parsed::new("flux");
    parsed.diagnostics = std::mem::take(&mut notes.warnings);
    let mut lines = text::lines(out).map(|line| shown(&line));
    if lines.all(|line| line.trim_ascii().is_empty() || is_progress(&line)) {
        silence(input, notes, &mut parsed)?;
        return Ok(parsed);
    }
    parsed.doubt = kube::doubt(input, &notes, runs(input.argv));
    let mut walk = Walk::default();
    match walk.read(out) {
        Err(_) if notes.error.is_some() => parsed.failure = notes.error,
        Err(error) => return Err(error),
        Ok(()) => {
            parsed.failure = notes.error;
            walk.hand_over(input.exit, &mut parsed);
        }
    }
    Ok(parsed)
}

/// No object was named.
fn silence(input: &Input<'_>, notes: Notes, parsed: &mut Parsed) -> Result<(), ParseError> {
    let said = |words: &str| memmem::find(input.stderr.bytes(), words.as_bytes()).is_some();
    let unshown = || {
        ParseError::contradiction("flux says that something differs, and names nothing")
            .hint("let its standard output and its exit code through")
    };
    match input.exit {
        Some(0) if said(CHANGED) || said(DIFFERS) => return Err(unshown()),
        Some(0) => {
            kube::believe_silence(input, &notes, runs(input.argv))?;
            parsed.said = Said::NoChanges;
        }
        Some(1) if notes.error.is_none() => match kind_of_diff(input.argv) {
            Some(Diff::Artifact(address)) if said(DIFFERS) => {
                let name = address.unwrap_or("artifact");
                let found = Resource::new(Source::Plan, "", "Artifact", name, Action::Change);
                (parsed.said, parsed.resources) = (Said::Changes, vec![found]);
            }
            _ if said(CHANGED) => return Err(unshown()),
            _ => parsed.failure = Some(notes.failure(1)),
        },
        Some(code) => parsed.failure = Some(notes.failure(code)),
        None if notes.error.is_some() => parsed.failure = notes.error,
        None => kube::believe_silence(input, &notes, runs(input.argv))?,
    }
    Ok(())
}

/// One object while what dyff says of it is read.
#[derive(Debug)]
struct Block<'a> {
    object: Object,
    verb: Verb,
    first: u32,
    last: u32,
    lines: Vec<Cow<'a, [u8]>>,
}

#[derive(Debug, Default)]
struct Walk<'a> {
    block: Option<Block<'a>>,
    found: Vec<Resource>,
    skipped: Vec<(u32, String)>,
    unread: Vec<String>,
}

impl<'a> Walk<'a> {
    fn read(&mut self, out: &'a [u8]) -> Result<(), ParseError> {
        for line in text::lines(out) {
            let plain = shown(&line);
            if let Some(mark) = mark(&plain) {
                self.finish()?;
                match mark {
                    Mark::Object(object, verb) => {
                        let (first, last) = (line.number, line.number);
                        self.block = Some(Block { object, verb, first, last, lines: Vec::new() });
                    }
                    Mark::Inside => {}
                    Mark::Unread(subject) => self.unread.push(subject),
                }
                continue;
            }
            let blank = plain.trim_ascii().is_empty();
            match &mut self.block {
                Some(block) if block.verb == Verb::Drifted && !is_foreign(&plain) => {
                    if !blank {
                        block.last = line.number;
                    }
                    block.lines.push(plain);
                }
                _ if blank || is_progress(&plain) => {}
                _ => {
                    return Err(ParseError::format(
                        "expected `\u{25ba} Kind/NAMESPACE/NAME drifted` or the like",
                    )
                    .at(line.number));
                }
            }
        }
        self.finish()?;
        if out.last() != Some(&b'\n') && !text::lines(out).last().is_some_and(|line| line.plain().is_empty())
        {
            return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ParseError> {
        let Some(block) = self.block.take() else { return Ok(()) };
        let Block { object: Object { scope, kind, name }, verb, first, last, lines } = block;
        let action = match verb {
            Verb::Created => Action::Create,
            Verb::Drifted => Action::Update,
            Verb::Deleted => Action::Delete,
            Verb::Skipped => {
                self.skipped.push((first, format!("{kind}/{scope}/{name}")));
                return Ok(());
            }
        };
        let paths = match verb {
            Verb::Drifted => paths(&kind, &lines, first)?,
            Verb::Created | Verb::Deleted | Verb::Skipped => None,
        };
        let mut found = Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last);
        found.attributes = paths;
        self.found.push(found);
        Ok(())
    }

    fn hand_over(self, exit: Option<i32>, parsed: &mut Parsed) {
        for (line, subject) in self.skipped {
            parsed.diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                summary: format!("{subject} is excluded from reconciliation"),
                line: Some(line),
            });
        }
        if !self.unread.is_empty() {
            // What is inside of these was not compared; of the rest, only namespaces that are named are known.
            let mut read: BTreeSet<&str> = self.found.iter().map(|r| r.scope.as_str()).collect();
            if read.is_empty() {
                read.insert("");
            }
            parsed.scopes.read = read.iter().map(ToString::to_string).collect();
            let unread = |scope: &String| Unread { scope: scope.clone(), reason: UnreadReason::Failed };
            parsed.scopes.unread = self.unread.iter().map(unread).collect();
        }
        parsed.said = match (self.found.is_empty(), exit) {
            (false, _) => Said::Changes,
            (true, Some(_)) => Said::NoChanges,
            (true, None) => Said::Nothing,
        };
        parsed.resources = self.found;
    }
}

/// The paths in dyff's report of one object: each stands at the first column, below an empty line and above the first detail.
/// `None` where one of them isn't a path.
fn paths(kind: &str, lines: &[Cow<'_, [u8]>], header: u32) -> Result<Option<Vec<String>>, ParseError> {
    if lines.is_empty() {
        return Err(ParseError::cut("the output ends before what dyff says of this object").at(header));
    }
    let is_blank = |line: &Cow<'_, [u8]>| line.trim_ascii().is_empty();
    let (mut found, mut exact) = (Vec::new(), true);
    for three in lines.windows(3) {
        let [above, path, below] = three else { continue };
        let Ok(path) = std::str::from_utf8(path) else { continue };
        if !is_blank(above) || path.is_empty() || path.starts_with([' ', '+', '-', '\u{b1}', '\u{21c6}']) {
            continue;
        }
        if !is_detail(below) {
            // Words that aren't known may stand below a path: then the list would lack it.
            exact &= !String::from_utf8_lossy(below).starts_with(['+', '-', '\u{b1}', '\u{21c6}']);
            continue;
        }
        exact &= !path.contains([' ', '(', '"']);
        found.push(kube::dotted(kind, &format!(".{path}")));
    }
    // Everything of a report stands below a path.
    let first = lines.iter().position(|line| !is_blank(line));
    let begins = first.is_none_or(|at| {
        at.checked_add(1).and_then(|at| lines.get(at)).is_some_and(|below| is_detail(below))
            && !found.is_empty()
    });
    if !begins {
        return Err(ParseError::format("expected a path and a difference of dyff's below a drifted object")
            .at(header));
    }
    Ok((exact && !found.is_empty()).then_some(found))
}

/// What dyff writes above a difference.
fn is_detail(line: &[u8]) -> bool {
    const CHANGES: [&str; 5] = [
        "value change",
        "type change from ",
        "content change",
        "certificate change",
        "whitespace only change",
    ];
    let text = String::from_utf8_lossy(line);
    let Some((sign, rest)) = text.split_once(' ') else { return false };
    let entries = |word: &str| {
        let what = ["entry", "entries", "document", "documents"];
        what.iter().any(|what| rest.contains(&format!(" {what} {word}:")))
    };
    match sign {
        "\u{b1}" => CHANGES.iter().any(|change| rest.starts_with(change)),
        "\u{21c6}" => rest.starts_with("order changed"),
        "+" => entries("added"),
        "-" => entries("removed"),
        _ => false,
    }
}
