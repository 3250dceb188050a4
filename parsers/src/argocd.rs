//! Reads `argocd app diff`, with the normal diff that it prints by itself and with a unified one.
//!
//! ```text
//!
//! ===== apps/Deployment shop/web ======
//! 17c17
//! <   replicas: 3
//! ---
//! >   replicas: 5
//!
//! ===== /ConfigMap shop/brand-new ======
//! 0a1,2
//! > apiVersion: v1
//! > kind: ConfigMap
//! ```
//!
//! A header names each object that differs; what the differ prints below it says how. Lines of a diff are counted by its own
//! numbers, and the paths of a unified one repeat the object's name. Nothing that differs prints nothing: an empty output is clean
//! with exit code 0 and by nothing else. What it can't tell: Secrets, which Argo CD leaves out, and how many objects were compared.

#[cfg(test)]
mod tests;

use crate::error::{Failure, ParseError};
use crate::input::{Input, arguments_of};
use crate::kube;
use crate::kubectl::attributes::Collected;
use crate::kubectl::stderr::{self, Notes};
use crate::ndiff::Owed;
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Severity, Source};
use crate::text::{self, Line};
use crate::udiff::{Body, Event, Hunk, Reader, Side, Sign};
use crate::{Claim, Parser};

/// `argocd app diff`.
pub static PARSER: Parser = Parser {
    name: "argocd",
    about: "argocd app diff with a normal or unified differ",
    recommended: "argocd app diff APP",
    actions: &[Action::Delete, Action::Create, Action::Update, Action::Change],
    drift_codes: &[1],
    runs,
    recognise,
    claim,
    parse,
};

const HINT: &str = "set KUBECTL_EXTERNAL_DIFF=\"diff -u -N\"";

fn runs(argv: &[&str]) -> bool {
    arguments(argv).is_some()
}

/// The arguments after `argocd … app diff`.
fn arguments<'a>(argv: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let rest = arguments_of(argv, &["argocd"])?;
    let at = rest.windows(2).position(|two| two == ["app", "diff"])?;
    rest.get(at.checked_add(2)?..)
}

/// The value of the last `--NAME=VALUE` or `--NAME VALUE`.
fn value<'a>(args: &'a [&'a str], name: &str) -> Option<&'a str> {
    args.iter().enumerate().rev().find_map(|(at, arg)| {
        let rest = arg.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => args.get(at.checked_add(1)?).copied(),
            None => None,
        }
    })
}

fn claim(input: &Input<'_>) -> Claim {
    let args = arguments(input.argv).unwrap_or_default();
    // A boolean flag takes its value behind `=` only.
    let off = |arg: &&str| matches!(*arg, "--exit-code=false" | "--exit-code=0" | "--exit-code=f");
    let mute = args.iter().any(off);
    let differs = value(args, "--diff-exit-code").and_then(|code| code.parse().ok()).unwrap_or(1);
    match input.exit {
        Some(0) if mute || differs == 0 => Claim::Silent,
        Some(0) => Claim::Clean,
        Some(code) if code == differs => Claim::Drifted,
        None => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let found = text::lines(head)
        .any(|line| text::skip_ansi(line.bytes).starts_with(b"===== ") && header(&line.plain()).is_some());
    found.then_some("a header of Argo CD's")
}

/// `===== GROUP/KIND NAMESPACE/NAME ======`, five and six.
fn header(line: &[u8]) -> Option<(String, String, String)> {
    let line = std::str::from_utf8(line).ok()?;
    let (kind, object) = line.strip_prefix("===== ")?.strip_suffix(" ======")?.split_once(' ')?;
    let (group, kind) = kind.split_once('/')?;
    let (scope, name) = object.split_once('/')?;
    let sound = kube::is_group(group) && kube::is_kind(kind) && kube::is_namespace(scope) && !name.is_empty();
    sound.then(|| (scope.to_owned(), kube::kind(kind, group), name.to_owned()))
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let out = input.stdout.bytes();
    let mut notes = Notes::read(input.stderr.bytes());
    notes.error = notes.error.or_else(|| fatal(input.stderr.bytes()));
    let mut parsed = Parsed::new("argocd");
    parsed.diagnostics = std::mem::take(&mut notes.warnings);
    if out.iter().all(u8::is_ascii_whitespace) {
        match (input.exit, claim(input)) {
            (Some(_), Claim::Clean) => {
                kube::believe_silence(input, &notes, runs(input.argv))?;
                parsed.said = Said::NoChanges;
            }
            (Some(0), _) => {
                return Err(ParseError::format("no output, and the exit code says nothing")
                    .hint("leave `--exit-code=false` and `--diff-exit-code=0` out"));
            }
            (Some(code), _) => parsed.failure = Some(notes.failure(code)),
            (None, _) if notes.error.is_some() => parsed.failure = notes.error,
            (None, _) => kube::believe_silence(input, &notes, runs(input.argv))?,
        }
        return Ok(parsed);
    }
    parsed.doubt = kube::doubt(input, &notes, runs(input.argv));
    match objects(out) {
        Ok((resources, remarks)) => {
            parsed.said = Said::Changes;
            parsed.resources = resources;
            parsed.diagnostics.extend(remarks);
            parsed.failure = notes.error;
        }
        Err(error) if notes.error.is_none() => return Err(error),
        Err(_) => parsed.failure = notes.error,
    }
    Ok(parsed)
}

/// What argocd logs before it ends, in any of its formats: `level=fatal msg="…"`, `{"level":"fatal","msg":"…"`, `FATA[0000] …`.
fn fatal(bytes: &[u8]) -> Option<Failure> {
    const BEFORE: [&str; 3] = ["msg=\"", "\"msg\":\"", "] "];
    const MARKS: [&str; 3] = ["level=fatal", "\"level\":\"fatal\"", "FATA["];
    text::lines(bytes).map(|line| text::string(&line.plain())).find_map(|line| {
        MARKS.iter().find(|mark| line.contains(**mark))?;
        let words = BEFORE.iter().find_map(|before| line.split_once(before)).map_or("", |(_, words)| words);
        let words = words.split("\",\"").next().unwrap_or_default();
        let words = words.split("\" ").next().unwrap_or_default().trim_end_matches(['"', '}']);
        Some(stderr::failure(words))
    })
}

/// Every object of the output.
fn objects(out: &[u8]) -> Result<(Vec<Resource>, Vec<Diagnostic>), ParseError> {
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    let mut block: Option<Block> = None;
    let mut last = 0;
    for event in Reader::new(out) {
        match event? {
            Event::Other(line) => {
                last = line.number;
                let plain = line.plain();
                let done = block.as_ref().is_none_or(Block::is_done);
                if let Some(object) = header(&plain).filter(|_| done) {
                    finish(&mut block, &mut found, &mut remarks, last)?;
                    block = Some(Block::new(object, last));
                    continue;
                }
                block.as_mut().ok_or_else(|| stray(last))?.normal(line, &plain)?;
            }
            Event::Blank(number) => {
                last = number;
                if let Some(block) = &mut block {
                    block.owed.end(number)?;
                    block.closed = block.form != Form::None;
                }
            }
            Event::Body(body) => {
                last = body.number;
                if let Some(block) = &mut block {
                    block.unified(body);
                }
            }
            Event::Paths(number, old, new) => {
                last = number;
                open(block.as_mut(), number)?.paths(number, &old, &new)?;
            }
            Event::Hunk(number, hunk) => {
                last = number;
                open(block.as_mut(), number)?.hunk(number, hunk)?;
            }
            Event::NoNewline(number) => {
                last = number;
                open(block.as_mut(), number)?.last = number;
            }
            // git's remarks, in scripts around it.
            Event::Command(number, _) | Event::Remark(number) => {
                last = number;
                let block = open(block.as_mut(), number)?;
                if block.form != Form::None {
                    return Err(foreign(number));
                }
                block.last = number;
            }
            Event::OnlyIn(number, _) => return Err(foreign(number)),
        }
    }
    finish(&mut block, &mut found, &mut remarks, last)?;
    if out.last() != Some(&b'\n') {
        return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
    }
    Ok((found, remarks))
}

fn stray(line: u32) -> ParseError {
    ParseError::format("expected `===== GROUP/KIND NAMESPACE/NAME ======` above a diff").at(line)
}

fn foreign(line: u32) -> ParseError {
    ParseError::format("a line that belongs to no diff of Argo CD's").at(line).hint(HINT)
}

fn open(block: Option<&mut Block>, line: u32) -> Result<&mut Block, ParseError> {
    block.ok_or_else(|| foreign(line))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    None,
    Normal,
    Unified,
}

/// One object while its diff is read.
#[derive(Debug)]
struct Block {
    scope: String,
    kind: String,
    name: String,
    first: u32,
    last: u32,
    form: Form,
    hunks: u32,
    /// Of the last hunk: first line and count on each side.
    old: (u64, u64),
    new: (u64, u64),
    /// An `apiVersion:` at the top level is among the removed or added lines.
    version: (bool, bool),
    owed: Owed,
    /// An empty line came after its diff: only the next header may follow.
    closed: bool,
    attributes: Option<Collected>,
}

impl Block {
    fn new((scope, kind, name): (String, String, String), line: u32) -> Self {
        Self {
            scope,
            kind,
            name,
            first: line,
            last: line,
            form: Form::None,
            hunks: 0,
            old: (0, 0),
            new: (0, 0),
            version: (false, false),
            owed: Owed::default(),
            closed: false,
            attributes: None,
        }
    }

    fn is_done(&self) -> bool {
        self.owed.is_none()
    }

    fn normal(&mut self, line: Line<'_>, plain: &[u8]) -> Result<(), ParseError> {
        if self.form == Form::Unified || self.closed {
            return Err(foreign(line.number));
        }
        let hint = |error: ParseError| error.hint(HINT);
        if self.owed.is_none() {
            let hunk = self.owed.change(line.number, plain).map_err(hint)?;
            self.range(line.number, hunk)?;
        } else if let Some(body) = self.owed.line(line).map_err(hint)? {
            self.seen(body.sign, &text::strip_ansi(body.text));
        }
        (self.form, self.last) = (Form::Normal, line.number);
        Ok(())
    }

    fn range(&mut self, line: u32, Hunk { old, new }: Hunk) -> Result<(), ParseError> {
        let end = |(start, count): (u64, u64)| start.saturating_add(count);
        if old.0 < end(self.old) || new.0 < end(self.new) {
            return Err(ParseError::contradiction("hunks of one object overlap").at(line));
        }
        (self.old, self.new) = (old, new);
        self.hunks = self.hunks.saturating_add(1);
        Ok(())
    }

    fn seen(&mut self, sign: Sign, text: &[u8]) {
        if text.starts_with(b"apiVersion: ") {
            match sign {
                Sign::Removed => self.version.0 = true,
                Sign::Added => self.version.1 = true,
                Sign::Context => {}
            }
        }
    }

    /// `NAME-live.yaml` and `NAME` in a folder of Argo CD's.
    fn paths(&mut self, line: u32, old: &Side<'_>, new: &Side<'_>) -> Result<(), ParseError> {
        if self.form != Form::None {
            return Err(foreign(line));
        }
        let base = |side: &Side<'_>| {
            let name = side.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
            text::string(name)
        };
        if !old.is_null() && base(old) != format!("{}-live.yaml", self.name)
            || !new.is_null() && base(new) != self.name
        {
            return Err(
                ParseError::contradiction("the diff is of other files than its header names").at(line)
            );
        }
        (self.form, self.last) = (Form::Unified, line.saturating_add(1));
        Ok(())
    }

    fn hunk(&mut self, line: u32, Hunk { old, new }: Hunk) -> Result<(), ParseError> {
        if self.form != Form::Unified || self.closed {
            return Err(foreign(line));
        }
        self.range(line, Hunk { old, new })?;
        // An object on one side only has no changed fields; a hunk that begins later doesn't show what stands above.
        let whole = self.hunks == 1 && old.1 > 1 && new.1 > 1 && (old.0, new.0) == (1, 1);
        self.attributes = whole.then(Collected::default);
        self.last = line;
        Ok(())
    }

    fn unified(&mut self, body: Body<'_>) {
        self.last = body.number;
        self.seen(body.sign, &text::strip_ansi(body.text));
        if let Some(attributes) = &mut self.attributes {
            attributes.line(body.sign, body.text);
        }
    }

    /// An object on one side only is one hunk, and only a whole object holds its `apiVersion`.
    fn action(&self) -> Action {
        let whole = self.hunks == 1;
        if self.hunks == 0 {
            Action::Change
        } else if whole && self.old == (0, 0) && self.version.1 {
            Action::Create
        } else if whole && self.new == (0, 0) && self.version.0 {
            Action::Delete
        } else {
            Action::Update
        }
    }
}

fn finish(
    block: &mut Option<Block>,
    found: &mut Vec<Resource>,
    remarks: &mut Vec<Diagnostic>,
    last: u32,
) -> Result<(), ParseError> {
    let Some(block) = block.take() else { return Ok(()) };
    block.owed.end(last)?;
    if block.form == Form::Unified && block.hunks == 0 {
        return Err(ParseError::cut("paths without a hunk below them").at(block.last));
    }
    let action = block.action();
    if action == Action::Change {
        remarks.push(Diagnostic {
            severity: Severity::Warning,
            summary: "the differ printed nothing about an object that Argo CD says differs".to_owned(),
            line: Some(block.first),
        });
    }
    let mut resource = Resource::new(Source::Plan, block.scope, block.kind, block.name, action)
        .with_span(block.first, block.last);
    if action == Action::Update {
        resource.attributes = block.attributes.and_then(|lines| lines.paths());
    }
    found.push(resource);
    Ok(())
}
