//! Reads `kubediff`, as text, as JSON, and in the form of its first versions.
//!
//! ```text
//! ## shop/web (Deployment.v1.apps)
//!
//! .spec.replicas: '5' != '3'
//! ## shop/settings (ConfigMap.v1.)
//!
//! .data.file.txt: Diff:
//! --- .data.file.txt
//! +++ running
//! @@ -1,2 +1,2 @@
//!  first
//! -second
//! +third
//! ## shop/api (Deployment.v1.apps)
//!
//! Error from server (NotFound): deployments.apps "api" not found
//! ```
//!
//! A header stands above every difference, so an object repeats. What stands below may be a value of several lines: lines of a
//! diff are counted by its ranges, and other values end with a quote before the next header. An object that the cluster doesn't
//! have is a finding; whatever else kubectl says below a header leaves the object unread. `--json` names files, not objects. The
//! only witness beside the differences is the exit code, which is 2 for differences and for failures alike, and 0 also for a
//! folder that isn't there.

#[cfg(test)]
mod tests;

use crate::error::{Class, Failure, ParseError};
use crate::input::{Input, arguments_of};
use crate::kube;
use crate::kubectl::stderr::{self, Notes};
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Severity, Source, Unread, UnreadReason};
use crate::text;
use crate::udiff::{Event, Reader, Side};
use crate::{Claim, Parser};
use memchr::memmem;
use serde_json::Value;
use std::collections::BTreeSet;

/// `kubediff`.
pub static PARSER: Parser = Parser {
    name: "kubediff",
    about: "kubediff's text and JSON",
    recommended: "kubediff DIR",
    actions: &[Action::Create, Action::Update],
    drift_codes: &[2],
    runs,
    recognise,
    claim,
    parse,
};

fn runs(argv: &[&str]) -> bool {
    arguments_of(argv, &["kubediff"]).is_some()
}

/// `-e`: the exit code says nothing.
fn is_mute(argv: &[&str]) -> bool {
    runs(argv) && argv.iter().any(|arg| matches!(*arg, "-e" | "--no-error-on-diff"))
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let mut checking = false;
    for line in text::lines(head) {
        match line.bytes {
            [b'#', ..] if header(line.bytes).is_some() => return Some("a header of kubediff's"),
            [b'F', ..] if line.bytes.starts_with(UNPARSABLE) => return Some("an error of kubediff's"),
            [b'C', ..] => checking |= old_header(line.bytes).is_some(),
            [b' ', b'*', b'*', b'*', b' ', ..] if checking => return Some("kubediff's checks"),
            [b' ', b' ', b'"', ..]
                if [&b".yaml\": ["[..], b".yml\": ["].iter().any(|end| line.bytes.ends_with(end)) =>
            {
                let after = memmem::find(head, line.bytes).and_then(|at| head.get(at..));
                let next = after.and_then(|rest| text::lines(rest).nth(1));
                if next.is_some_and(|next| next.bytes.starts_with(b"    \"")) {
                    return Some("kubediff's JSON");
                }
            }
            _ => {}
        }
    }
    None
}

fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        Some(0) if !is_mute(input.argv) => Claim::Clean,
        Some(2) => Claim::Drifted,
        Some(0) | None => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let out = input.stdout.bytes();
    let notes = Notes::read(input.stderr.bytes());
    let mut parsed = Parsed::new("kubediff");
    if let Some(code) = input.exit.filter(|code| !matches!(code, 0 | 2)) {
        parsed.failure = Some(traceback(input.stderr.bytes()).unwrap_or_else(|| notes.failure(code)));
        return Ok(parsed);
    }
    if out.iter().all(u8::is_ascii_whitespace) {
        if let Some(code @ 2) = input.exit {
            parsed.failure = Some(notes.failure(code));
            return Ok(parsed);
        }
        if is_mute(input.argv) {
            return Err(ParseError::format("no output, and with `-e` the exit code says nothing")
                .hint("leave `-e` out"));
        }
        kube::believe_silence(input, &notes, runs(input.argv))?;
        parsed.said = Said::NoChanges;
        return Ok(parsed);
    }
    parsed.doubt = kube::doubt(input, &notes, runs(input.argv));
    if out.last() != Some(&b'\n') {
        return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
    }
    if let Some(at) = object_starts(out) {
        json(out, at, input.exit, &mut parsed)?;
    } else {
        let mut walk = Walk::default();
        walk.read(out)?;
        walk.hand_over(input.exit, &mut parsed);
    }
    Ok(parsed)
}

/// What Python says at the end of a traceback, without its message: that may quote a manifest.
fn traceback(stderr: &[u8]) -> Option<Failure> {
    let mut lines = text::lines(stderr).skip_while(|line| !line.bytes.starts_with(b"Traceback (most recent"));
    lines.next()?;
    let raised =
        lines.filter(|line| line.bytes.first().is_some_and(u8::is_ascii_alphabetic)).find(|line| {
            let name = line.bytes.split(|b| *b == b':').next().unwrap_or_default();
            name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
        })?;
    let name = raised.bytes.split(|b| *b == b':').next().unwrap_or_default();
    Some(Failure::new(Class::Exit, format!("kubediff ended with {}", text::string(name))))
}

/// What a difference is about.
#[derive(Clone, Debug, Default)]
struct Object {
    scope: String,
    kind: String,
    name: String,
}

/// `## NAMESPACE/NAME (Kind.version.group)`
fn header(line: &[u8]) -> Option<Object> {
    let line = std::str::from_utf8(line).ok()?;
    let (object, kind) = line.strip_prefix("## ")?.strip_suffix(')')?.rsplit_once(" (")?;
    // The version is always there.
    kind.split_once('.')?;
    identity(object, kind)
}

/// `Checking Kind 'NAME'`, later `Checking Kind.version.group 'NAMESPACE/NAME'`.
fn old_header(line: &[u8]) -> Option<Object> {
    let line = std::str::from_utf8(line).ok()?;
    let (kind, name) = line.strip_prefix("Checking ")?.split_once(' ')?;
    let name = name.strip_prefix('\'')?.strip_suffix('\'')?;
    kind.starts_with(|c: char| c.is_ascii_uppercase()).then(|| identity(name, kind)).flatten()
}

fn identity(object: &str, kind: &str) -> Option<Object> {
    let (scope, name) = object.split_once('/').unwrap_or(("", object));
    let mut parts = kind.splitn(3, '.');
    let (kind, _version, group) = (parts.next()?, parts.next(), parts.next().unwrap_or_default());
    let sound = kube::is_kind(kind) && kube::is_namespace(scope) && kube::is_group(group) && !name.is_empty();
    sound.then(|| Object { scope: scope.to_owned(), kind: kube::kind(kind, group), name: name.to_owned() })
}

const UNPARSABLE: &[u8] = b"Failed to parse Kubernetes object: ";

fn is_log(line: &[u8]) -> bool {
    line.starts_with(UNPARSABLE) || line.starts_with(b"Missing key: ")
}

/// What one difference says.
#[derive(Debug)]
enum Message {
    /// A field differs, and no further line belongs to it.
    Field(String),
    /// A field differs; the values may have further lines, the last of which ends with a quote.
    Values(String, Ended),
    /// `Diff:` and a unified diff of this text as its first path.
    Diff(String, String),
    /// kubectl's words.
    Words,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

impl Ended {
    fn with_quote(line: &str) -> Self {
        if line.ends_with('\'') { Self::Yes } else { Self::No }
    }
}

/// `.path: 'want' != 'have'` and its likes. Paths may hold blanks and colons: the first place where the rest is a known form.
fn message(line: &str, kind: &str) -> Message {
    if !(line.starts_with('.') || line.starts_with(": ") || line.starts_with("len(.")) {
        return Message::Words;
    }
    if let Some(path) = line.strip_prefix("len(").and_then(|rest| rest.split_once("): "))
        && is_lengths(path.1)
    {
        return Message::Field(attribute(kind, path.0, None));
    }
    for (at, _) in line.match_indices(": ") {
        let Some((path, rest)) = line.split_at_checked(at) else { continue };
        let Some(rest) = rest.strip_prefix(": ") else { continue };
        if rest == "Diff:" {
            return Message::Diff(attribute(kind, path, None), path.to_owned());
        }
        if rest.strip_prefix("Unequal lengths: ").is_some_and(is_lengths) {
            return Message::Field(attribute(kind, path, None));
        }
        if rest.starts_with('\'') && rest.contains("' != '") {
            return Message::Values(attribute(kind, path, None), Ended::with_quote(rest));
        }
        if let Some(key) = rest.strip_prefix('\'').and_then(|rest| rest.strip_suffix("' missing")) {
            return Message::Field(attribute(kind, path, Some(key)));
        }
    }
    Message::Words
}

/// `2 != 1`
fn is_lengths(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once(" != ").is_some_and(|(want, have)| number(want) && number(have))
}

/// The path in driftrun's notation, with the key or the element that is missing below it.
fn attribute(kind: &str, path: &str, missing: Option<&str>) -> String {
    let mut out = kube::dotted(kind, path);
    match missing.map(|key| (key, key.strip_prefix("element "))) {
        Some((_, Some(index))) if index.starts_with('[') => out.push_str(index),
        Some((key, _)) => kube::push_key(&mut out, key),
        None => {}
    }
    out
}

/// What kubectl's words below a header say: that the object isn't there, or that it could not be read.
fn words(text: &str, name: Option<&str>) -> Option<Failure> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let missing = first
        .strip_prefix("Error from server (NotFound): ")
        .and_then(|rest| rest.strip_suffix("\" not found"))
        .and_then(|rest| rest.split_once(" \""))
        .is_some_and(|(_, found)| name.is_none_or(|name| name == found));
    if missing && lines.next().is_none() {
        return None;
    }
    Some(Notes::read(text.as_bytes()).error.unwrap_or_else(|| stderr::failure(first)))
}

/// Where one difference stands.
#[derive(Debug)]
enum State {
    /// The old form's header, nothing below it yet: all is well.
    Idle,
    /// A header; an empty line has to follow.
    Header,
    /// The message has to follow.
    Message,
    /// One line is all.
    Done(String),
    Values(String, Ended),
    /// The path of the field, the path in the diff's header, and how many hunks there were.
    Diff(String, String, u32),
    Words(String),
}

#[derive(Debug)]
struct Block {
    object: Object,
    first: u32,
    last: u32,
    state: State,
}

impl Block {
    fn can_end(&self) -> bool {
        match &self.state {
            State::Idle | State::Done(_) | State::Words(_) => true,
            State::Values(_, ended) => *ended == Ended::Yes,
            State::Diff(_, _, hunks) => *hunks > 0,
            State::Header | State::Message => false,
        }
    }

    fn message(&mut self, line: &str) {
        self.state = match message(line, &self.object.kind) {
            Message::Field(path) => State::Done(path),
            Message::Values(path, ended) => State::Values(path, ended),
            Message::Diff(path, raw) => State::Diff(path, raw, 0),
            Message::Words => State::Words(format!("{line}\n")),
        };
    }
}

#[derive(Debug, Default)]
struct Walk {
    block: Option<Block>,
    found: Vec<Resource>,
    errors: Vec<(String, Failure)>,
    unparsed: Vec<u32>,
}

impl Walk {
    fn read(&mut self, out: &[u8]) -> Result<(), ParseError> {
        let mut last = 0;
        for event in Reader::new(out) {
            let event = event?;
            last = number(&event);
            self.event(&event)?;
        }
        self.finish(last)
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), ParseError> {
        let at = number(event);
        if let Event::Other(line) = event {
            return self.line(at, line.bytes);
        }
        let block = self.block.as_mut();
        let Some(block) = block else {
            return if matches!(event, Event::Blank(_)) { Ok(()) } else { Err(stray(at)) };
        };
        match (&mut block.state, event) {
            (State::Header, Event::Blank(_)) => block.state = State::Message,
            (State::Message, Event::Blank(_)) => block.state = State::Words(String::new()),
            // Nothing differs line by line: only the ends of lines do.
            (State::Diff(path, _, 0), Event::Blank(_)) => block.state = State::Done(path.clone()),
            (State::Diff(_, raw, 0), Event::Paths(_, old, new)) => paths(at, raw, old, new)?,
            (State::Diff(_, _, hunks), Event::Hunk(..)) => *hunks = hunks.saturating_add(1),
            (
                State::Idle | State::Done(_) | State::Words(_) | State::Values(..) | State::Diff(..),
                Event::Blank(_),
            ) => return Ok(()),
            // Lines of a value or of kubectl's may look like a diff.
            (State::Values(_, ended), _) => *ended = Ended::No,
            (State::Diff(..), Event::Body(_)) | (State::Words(_), _) => {}
            _ => return Err(stray(at)),
        }
        block.last = at;
        Ok(())
    }

    fn line(&mut self, at: u32, line: &[u8]) -> Result<(), ParseError> {
        let ended = self.block.as_ref().is_none_or(Block::can_end);
        if ended {
            let starts = header(line)
                .map(|object| (object, State::Header))
                .or_else(|| old_header(line).map(|object| (object, State::Idle)));
            if let Some((object, state)) = starts {
                self.finish(at)?;
                self.block = Some(Block { object, first: at, last: at, state });
                return Ok(());
            }
            if is_log(line) {
                self.finish(at)?;
                if line.starts_with(UNPARSABLE) {
                    self.unparsed.push(at);
                }
                return Ok(());
            }
        }
        let text = text::string(line);
        let old = text.strip_prefix(" *** ").filter(|_| ended);
        if let (Some(message), Some(block)) = (old, &self.block) {
            // Each difference stands below the one header.
            let object = block.object.clone();
            self.finish(at)?;
            let mut block = Block { object, first: at, last: at, state: State::Message };
            block.message(message);
            self.block = Some(block);
            return Ok(());
        }
        let block = self.block.as_mut().ok_or_else(|| stray(at))?;
        match &mut block.state {
            State::Message if header(line).is_some() => return Err(stray(at)),
            State::Message => block.message(&text),
            State::Values(_, ended) => *ended = Ended::with_quote(&text),
            State::Words(words) => {
                words.push_str(&text);
                words.push('\n');
            }
            State::Idle | State::Header | State::Done(_) | State::Diff(..) => return Err(stray(at)),
        }
        block.last = at;
        Ok(())
    }

    fn finish(&mut self, at: u32) -> Result<(), ParseError> {
        let Some(block) = self.block.take() else { return Ok(()) };
        if !block.can_end() {
            return Err(ParseError::cut(format!("the difference of line {} has no end", block.first)).at(at));
        }
        let Block { object: Object { scope, kind, name }, first, last, state } = block;
        let (action, path) = match state {
            State::Idle | State::Header | State::Message => return Ok(()),
            State::Words(text) => match words(&text, Some(&name)) {
                Some(failure) => {
                    self.errors.push((scope, failure));
                    return Ok(());
                }
                None => (Action::Create, None),
            },
            State::Done(path) | State::Values(path, _) | State::Diff(path, ..) => {
                (Action::Update, Some(path))
            }
        };
        let mut found = Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last);
        found.attributes = path.map(|path| vec![path]);
        self.found.push(found);
        Ok(())
    }

    fn hand_over(self, exit: Option<i32>, parsed: &mut Parsed) {
        let Self { found, errors, unparsed, .. } = self;
        let broken: BTreeSet<&str> = errors.iter().map(|(scope, _)| scope.as_str()).collect();
        let read: BTreeSet<&str> =
            found.iter().map(|r| r.scope.as_str()).filter(|s| !broken.contains(s)).collect();
        let everywhere = |failure: &Failure| matches!(failure.class, Class::Auth | Class::Unreachable);
        let grave = errors.iter().map(|(_, failure)| failure).find(|failure| everywhere(failure));
        let first = grave.or_else(|| errors.first().map(|(_, f)| f).filter(|_| read.is_empty()));
        parsed.failure = first.cloned();
        for line in &unparsed {
            parsed.diagnostics.push(Diagnostic {
                severity: Severity::Error,
                summary: "kubediff could not parse an object, and did not compare it".to_owned(),
                line: Some(*line),
            });
        }
        for (scope, failure) in errors.iter().take(20) {
            parsed.diagnostics.push(Diagnostic::error(format!("{scope}: {}", failure.summary)));
        }
        let unread = |scope: &str| Unread { scope: scope.to_owned(), reason: UnreadReason::Failed };
        parsed.scopes.unread = broken.iter().map(|scope| unread(scope)).collect();
        if !unparsed.is_empty() {
            // It may be of any namespace, so that none is known.
            let failure = Failure::new(Class::ScopeFailed, "kubediff could not parse an object");
            parsed.failure.get_or_insert(failure);
        }
        if !parsed.scopes.unread.is_empty() {
            parsed.scopes.read = read.iter().map(ToString::to_string).collect();
        }
        parsed.said = match (found.is_empty(), exit) {
            (false, _) => Said::Changes,
            (true, Some(_)) => Said::NoChanges,
            // Beginnings of an output have the same form.
            (true, None) => Said::Nothing,
        };
        parsed.resources = found;
    }
}

fn stray(line: u32) -> ParseError {
    ParseError::format("a line that belongs to no difference of kubediff's").at(line)
}

/// The header of an embedded diff repeats the field's path.
fn paths(at: u32, raw: &str, old: &Side<'_>, new: &Side<'_>) -> Result<(), ParseError> {
    if &*old.raw == raw.as_bytes() && &*new.raw == b"running" {
        return Ok(());
    }
    Err(ParseError::contradiction("a diff of another field than the line above it names").at(at))
}

const fn number(event: &Event<'_>) -> u32 {
    match event {
        Event::Command(at, _)
        | Event::Remark(at)
        | Event::Paths(at, ..)
        | Event::Hunk(at, _)
        | Event::NoNewline(at)
        | Event::OnlyIn(at, _)
        | Event::Blank(at) => *at,
        Event::Body(body) => body.number,
        Event::Other(line) => line.number,
    }
}

/// Where the JSON begins, if it is JSON: lines of a log may stand before it.
fn object_starts(out: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    for line in text::lines(out) {
        if matches!(line.bytes, b"{" | b"{}") {
            return Some(at);
        }
        if !is_log(line.bytes) {
            return None;
        }
        at = at.saturating_add(line.bytes.len()).saturating_add(1);
    }
    None
}

fn json(out: &[u8], at: usize, exit: Option<i32>, parsed: &mut Parsed) -> Result<(), ParseError> {
    let (logs, object) = out.split_at_checked(at).unwrap_or((b"", out));
    let line = text::count_lines(logs).saturating_add(1);
    let value: Value = serde_json::from_slice(object).map_err(|error| {
        let error_line = u32::try_from(error.line()).unwrap_or_default();
        let place = line.saturating_add(error_line.saturating_sub(1));
        if error.is_eof() {
            ParseError::cut("the JSON ends before its end").at(place)
        } else {
            ParseError::format("not the JSON of kubediff").at(place)
        }
    })?;
    let Value::Object(files) = value else { return Err(no_object(line)) };
    let mut walk = Walk {
        unparsed: text::lines(logs)
            .filter(|line| line.bytes.starts_with(UNPARSABLE))
            .map(|line| line.number)
            .collect(),
        ..Walk::default()
    };
    for (file, messages) in files {
        let Value::Array(messages) = messages else { return Err(no_object(line)) };
        let (mut paths, mut missing) = (Vec::new(), 0_u32);
        for text in &messages {
            let Value::String(text) = text else { return Err(no_object(line)) };
            match message(text.lines().next().unwrap_or_default(), "") {
                Message::Field(path) | Message::Values(path, _) | Message::Diff(path, _) => paths.push(path),
                Message::Words => match words(text, None) {
                    Some(failure) => walk.errors.push((String::new(), failure)),
                    None => missing = missing.saturating_add(1),
                },
            }
        }
        let action = if paths.is_empty() { Action::Create } else { Action::Update };
        let mut found = Resource::new(Source::Plan, "", "", file, action);
        found.count = u32::try_from(paths.len()).unwrap_or(u32::MAX).saturating_add(missing);
        if found.count > 0 {
            // Objects that aren't there have no changed fields to tell.
            found.attributes = (missing == 0).then_some(paths);
            walk.found.push(found);
        } else if messages.is_empty() {
            return Err(no_object(line));
        }
    }
    walk.hand_over(exit, parsed);
    if walk_is_empty(parsed) {
        // `{}` is a whole document: no beginning of another.
        parsed.said = Said::NoChanges;
    }
    Ok(())
}

fn walk_is_empty(parsed: &Parsed) -> bool {
    parsed.resources.is_empty() && parsed.scopes.unread.is_empty() && parsed.failure.is_none()
}

fn no_object(line: u32) -> ParseError {
    ParseError::format("expected files with their differences as lists of strings").at(line)
}
