//! Reads `helm diff` (the plugin): its text, `--output simple`, `json`, `template` as it comes, and `structured`.
//!
//! ```text
//! shop, web, Deployment (apps) has changed:
//!   # Source: web/templates/deployment.yaml
//!   apiVersion: apps/v1
//!   kind: Deployment
//! -   replicas: 3
//! +   replicas: 5
//! shop, old, ConfigMap (v1) has been removed:
//! - apiVersion: v1
//! ```
//!
//! A header stands at the first column, content never does. Without `--detailed-exitcode` the exit code is 0 whatever differs, so
//! that an empty output says nothing. `--output simple` has counts at its end, and the JSON forms are whole or broken; `json` leaves
//! out objects whose names it doesn't understand, which only standard error tells. A namespace is always printed: that of the
//! release for objects that have none. What it can't tell: changes in the cluster. Helm compares with what it installed last,
//! unless it is called with `--three-way-merge`.

mod json;
#[cfg(test)]
mod tests;
mod words;

use crate::error::{Failure, ParseError};
use crate::input::{Input, arguments_of, go_flag};
use crate::kube;
use crate::kubectl::attributes::Collected;
use crate::kubectl::stderr::Notes;
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Source};
use crate::text::{self, Line};
use crate::udiff::Sign;
use crate::{Claim, Parser};
use memchr::memmem;
use words::{Counts, Form, Object, Word, counts, header};

/// `helm diff`.
pub static PARSER: Parser = Parser {
    name: "helm-diff",
    about: "helm diff's text, simple, json and structured output",
    recommended: "helm diff upgrade RELEASE CHART --detailed-exitcode --three-way-merge",
    actions: &[Action::Delete, Action::Create, Action::Update, Action::Change],
    drift_codes: &[2],
    runs,
    recognise,
    claim,
    parse,
};

const HINT: &str = "add `--detailed-exitcode`";

/// Flags of helm and helmfile before the subcommand whose value is the next argument.
const VALUE_FLAGS: &[&str] = &[
    "--burst-limit",
    "--chart",
    "--environment",
    "--file",
    "--helm-binary",
    "--kube-apiserver",
    "--kube-as-group",
    "--kube-as-user",
    "--kube-ca-file",
    "--kube-context",
    "--kube-tls-server-name",
    "--kube-token",
    "--kubeconfig",
    "--log-level",
    "--namespace",
    "--qps",
    "--registry-config",
    "--repository-cache",
    "--repository-config",
    "--selector",
    "--state-values-file",
    "--state-values-set",
    "-c",
    "-e",
    "-f",
    "-l",
    "-n",
];

fn runs(argv: &[&str]) -> bool {
    arguments(argv).is_some()
}

/// The arguments after `helm … diff` or `helmfile … diff`.
fn arguments<'a>(argv: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let mut rest = arguments_of(argv, &["helm", "helm3", "helmfile"])?.iter();
    while let Some(arg) = rest.next() {
        if VALUE_FLAGS.contains(arg) {
            rest.next();
        } else if !arg.starts_with('-') {
            // A plugin that runs helm itself.
            if *arg == "secrets" {
                continue;
            }
            let other = rest.as_slice().first().is_some_and(|next| matches!(*next, "version" | "help"));
            return (*arg == "diff" && !other).then_some(rest.as_slice());
        }
    }
    None
}

/// Whether the exit code tells: `--detailed-exitcode`, also on a shell's line that runs nothing else.
fn is_detailed(argv: &[&str]) -> bool {
    const FLAG: &str = "--detailed-exitcode";
    match arguments(argv) {
        Some(flags) => go_flag(flags, "detailed-exitcode"),
        None => argv.iter().any(|line| {
            let only = !line.contains(['|', ';', '&', '\n']);
            only && line.contains(" diff ") && line.split(' ').any(|word| word == FLAG)
        }),
    }
}

fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        Some(0) if is_detailed(input.argv) => Claim::Clean,
        Some(2) => Claim::Drifted,
        Some(0) | None => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let mut array = false;
    for line in text::lines(head) {
        match text::skip_ansi(line.bytes) {
            [b' ' | b'+' | b'-' | b'.', ..] | [] => {
                if array && line.bytes.trim_ascii_start().starts_with(b"\"changeType\": \"") {
                    return Some("helm diff's structured JSON");
                }
                if array && line.bytes.trim_ascii_start().starts_with(b"\"api\": \"") {
                    return Some("helm diff's JSON");
                }
            }
            [b'[', ..] => array = true,
            [b'\t', ..] if is_banner(line.bytes) => return Some("helm diff's word of a release"),
            _ => {
                let plain = line.plain();
                if header(&plain).is_some() || counts(&plain).is_some_and(|counts| counts.ownership.is_some())
                {
                    return Some("helm diff's words");
                }
            }
        }
    }
    None
}

/// The word of `--detailed-exitcode` that something differs.
const DIFFERS: &[u8] = b"Error: identified at least one change";

/// Whether helm says on standard error that something differs.
fn says_changed(stderr: &[u8]) -> bool {
    text::lines(stderr).any(|line| line.plain().starts_with(DIFFERS))
}

/// What standard error says, without helm's ways to say that something differs.
fn notes(stderr: &[u8]) -> Notes {
    const USUAL: [&[u8]; 2] = [DIFFERS, b"Error: plugin \"diff\" exited with error"];
    let lines = text::lines(stderr).filter(|line| {
        let plain = line.plain();
        !USUAL.iter().any(|usual| plain.starts_with(usual))
    });
    let mut kept = Vec::with_capacity(stderr.len());
    for line in lines {
        kept.extend_from_slice(line.bytes);
        kept.push(b'\n');
    }
    Notes::read(&kept)
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let out = input.stdout.bytes();
    let mut notes = notes(input.stderr.bytes());
    let mut parsed = Parsed::new("helm");
    parsed.diagnostics = std::mem::take(&mut notes.warnings);
    if memmem::find(input.stderr.bytes(), b"error processing report entry").is_some() {
        return Err(ParseError::format("helm diff left out objects whose names it doesn't understand")
            .hint("use `--output structured`, or leave `--output` out"));
    }
    if out.iter().all(u8::is_ascii_whitespace) {
        match input.exit {
            Some(0) | None if says_changed(input.stderr.bytes()) => return Err(unshown()),
            Some(0) if is_detailed(input.argv) => {
                kube::believe_silence(input, &notes, runs(input.argv))?;
                parsed.said = Said::NoChanges;
            }
            Some(0) | None if notes.error.is_some() => parsed.failure = notes.error,
            Some(0) | None => {
                return Err(ParseError::format("no output, and no exit code that says that nothing differs")
                    .hint(HINT));
            }
            Some(2) if notes.error.is_none() => {
                return Err(ParseError::contradiction("exit code 2, and no difference in the output"));
            }
            Some(code) => parsed.failure = Some(notes.failure(code)),
        }
        return Ok(parsed);
    }
    parsed.doubt = kube::doubt(input, &notes, runs(input.argv));
    let hidden = go_flag_given(input.argv, "suppress-output-line-regex");
    let whole = (input.argv.is_empty() || runs(input.argv)) && !hidden;
    let mut walk = Walk { whole, ..Walk::default() };
    let understood = match Walk::skip_banner(out) {
        [b'[', ..] => walk.json(out),
        _ => walk.text(out),
    };
    match understood {
        Err(_) if notes.error.is_some() => parsed.failure = notes.error,
        Err(error) => return Err(error),
        Ok(()) => {
            parsed.failure = notes.error.or(walk.absent);
            if walk.found.is_empty() && parsed.failure.is_none() && says_changed(input.stderr.bytes()) {
                return Err(unshown());
            }
            if walk.found.is_empty() && !walk.none && parsed.failure.is_none() {
                // Only releases by name, or the word that there is none yet.
                if !is_detailed(input.argv) {
                    return Err(
                        ParseError::format("no difference, and the exit code says nothing").hint(HINT)
                    );
                }
                kube::believe_silence(input, &Notes::default(), runs(input.argv))?;
                walk.none = input.exit == Some(0);
            }
            parsed.said = match (walk.found.is_empty(), walk.none) {
                (false, _) => Said::Changes,
                (true, true) => Said::NoChanges,
                (true, false) => Said::Nothing,
            };
            parsed.resources = walk.found;
            parsed.diagnostics.extend(walk.remarks);
        }
    }
    Ok(parsed)
}

fn unshown() -> ParseError {
    ParseError::contradiction("helm says that something differs, and the output shows nothing")
        .hint("let its standard output and its exit code through")
}

fn go_flag_given(argv: &[&str], name: &str) -> bool {
    argv.iter().any(|arg| arg.trim_start_matches('-').starts_with(name))
}

/// `Release was not present in Helm.  Diff will show entire contents as new.`, between two lines of asterisks.
fn is_banner(line: &[u8]) -> bool {
    line.starts_with(b"\tRelease was not present in Helm.")
}

const STARS: &[u8] = b"********************";

/// One object while its lines are read.
#[derive(Debug)]
struct Block {
    object: Object,
    word: Word,
    first: u32,
    last: u32,
    removed: u32,
    added: u32,
    /// Lines with more than a sign.
    told: (bool, bool),
    /// Kinds at the top level of the old and of the new object: more than one is more than one object.
    kinds: (u32, u32),
    /// Something but an empty line was there.
    begun: bool,
    /// A line that both have.
    context: bool,
    attributes: Option<Collected>,
}

#[derive(Debug, Default)]
struct Walk {
    found: Vec<Resource>,
    remarks: Vec<Diagnostic>,
    /// The output itself says that nothing differs.
    none: bool,
    /// helm diff ends because there is no release.
    absent: Option<Failure>,
    /// Nothing that differs is left out of the text.
    whole: bool,
    block: Option<Block>,
    form: Option<Form>,
    counted: Counts,
    plan: Option<u32>,
    releases: u32,
    plans: u32,
}

impl Walk {
    /// What follows the word that the release isn't there yet, without blanks.
    fn skip_banner(out: &[u8]) -> &[u8] {
        let mut rest = out.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(STARS)
            && let Some(end) = memmem::find(after, STARS)
        {
            rest = after.get(end.saturating_add(STARS.len())..).unwrap_or_default().trim_ascii_start();
        }
        rest
    }

    fn text(&mut self, out: &[u8]) -> Result<(), ParseError> {
        let mut stars = 0_u32;
        let mut last = Line { number: 0, bytes: b"" };
        for line in text::lines(out) {
            last = line;
            let plain = line.plain();
            if self.block.is_none() && self.plan.is_none() {
                if *plain == *STARS {
                    stars = stars.saturating_add(1);
                    continue;
                }
                if stars == 1 && is_banner(&plain) {
                    self.release_is_absent(&plain);
                    continue;
                }
                if plain.is_empty() {
                    continue;
                }
            }
            self.line(line, &plain)?;
        }
        self.segment(last.number)?;
        if out.last() != Some(&b'\n') && !last.plain().is_empty() {
            return Err(ParseError::cut("the last line has no end").at(last.number));
        }
        if stars % 2 == 1 {
            return Err(ParseError::cut("the output ends in helm diff's word of a release").at(last.number));
        }
        Ok(())
    }

    fn release_is_absent(&mut self, line: &[u8]) {
        if memmem::find(line, b"Diff will show entire contents as new").is_some() {
            self.remarks.push(Diagnostic::warning("the release is not installed: everything is new"));
        } else {
            let words = "the release is not installed; `--allow-unreleased` shows everything as new";
            self.absent = Some(Failure::new(crate::Class::Exit, words));
        }
    }

    fn line(&mut self, line: Line<'_>, plain: &[u8]) -> Result<(), ParseError> {
        let at = line.number;
        match plain {
            [] | b"..." | [b'+' | b'-'] | [b'+' | b'-' | b' ', b' ', ..] => self.body(line, plain),
            // helmfile's.
            _ if plain.starts_with(b"Comparing release=") => {
                self.segment(at)?;
                self.releases = self.releases.saturating_add(1);
                Ok(())
            }
            _ if self.plan.is_some() => Err(ParseError::format("a line after the counts").at(at)),
            _ => {
                if let Some((object, word, form)) = header(plain) {
                    self.finish(at)?;
                    self.is_of(form, at)?;
                    self.count(word);
                    let simple = self.form == Some(Form::Simple);
                    let attributes = word == Word::Changed && self.whole && !simple;
                    self.block = Some(Block {
                        object,
                        word,
                        first: at,
                        last: at,
                        removed: 0,
                        added: 0,
                        told: (false, false),
                        kinds: (0, 0),
                        begun: false,
                        context: false,
                        attributes: attributes.then(Collected::default),
                    });
                    return Ok(());
                }
                if let Some(counts) = counts(plain) {
                    self.finish(at)?;
                    self.is_of(Form::Simple, at)?;
                    return self.compare(counts, at);
                }
                // What stands here may be a value.
                Err(ParseError::format(
                    "expected a header such as `NAMESPACE, NAME, Kind (API) has changed:`",
                )
                .at(at)
                .hint("`--output dyff`, templates of your own and other differs are not read"))
            }
        }
    }

    fn is_of(&mut self, form: Form, at: u32) -> Result<(), ParseError> {
        match (self.form, form) {
            (_, Form::Either) => Ok(()),
            (Some(known), form) if known != form => {
                Err(ParseError::contradiction("two forms of helm diff's output in one").at(at))
            }
            _ => {
                self.form = Some(form);
                Ok(())
            }
        }
    }

    fn count(&mut self, word: Word) {
        let counted = &mut self.counted;
        match word {
            Word::Added => counted.added = counted.added.saturating_add(1),
            Word::Removed => counted.removed = counted.removed.saturating_add(1),
            Word::Changed => counted.changed = counted.changed.saturating_add(1),
            Word::Ownership => {
                counted.ownership = Some(counted.ownership.unwrap_or_default().saturating_add(1));
            }
            Word::Suppressed => {}
        }
    }

    fn compare(&mut self, counts: Counts, at: u32) -> Result<(), ParseError> {
        let ownership = self.counted.ownership.unwrap_or_default();
        let same = (counts.added, counts.changed, counts.removed)
            == (self.counted.added, self.counted.changed, self.counted.removed);
        if !same || counts.ownership.is_some_and(|n| n != ownership) {
            return Err(ParseError::contradiction("the counts at the end are not those of the list").at(at));
        }
        self.plan = Some(at);
        Ok(())
    }

    /// One release ends. Only `--output simple` says so itself.
    fn segment(&mut self, at: u32) -> Result<(), ParseError> {
        self.finish(at)?;
        if self.form == Some(Form::Simple) && self.plan.is_none() {
            return Err(ParseError::cut("the list has no counts at its end").at(at));
        }
        self.plans = self.plans.saturating_add(u32::from(self.plan.is_some()));
        self.none = self.plans > 0 && self.plans >= self.releases && self.found.is_empty();
        (self.form, self.plan, self.counted) = (None, None, Counts::default());
        Ok(())
    }

    fn body(&mut self, line: Line<'_>, plain: &[u8]) -> Result<(), ParseError> {
        let at = line.number;
        let Some(block) = &mut self.block else {
            // An empty line after the counts.
            return if plain.is_empty() { Ok(()) } else { Err(stray(at)) };
        };
        if self.form == Some(Form::Simple) || block.word == Word::Suppressed {
            return if plain.is_empty() { Ok(()) } else { Err(stray(at)) };
        }
        block.last = at;
        let raw = text::skip_ansi(line.bytes).get(2..).unwrap_or_default();
        let sign = match plain {
            [b'+', ..] => Sign::Added,
            [b'-', ..] => Sign::Removed,
            b"..." => {
                block.attributes = None;
                return Ok(());
            }
            _ => Sign::Context,
        };
        let text = plain.get(2..).unwrap_or_default();
        if sign == Sign::Added && text.starts_with(b"Changes suppressed on sensitive content of type ") {
            block.attributes = None;
        }
        let kind = u32::from(text.starts_with(b"kind: "));
        if sign != Sign::Added {
            block.kinds.0 = block.kinds.0.saturating_add(kind);
        }
        if sign != Sign::Removed {
            block.kinds.1 = block.kinds.1.saturating_add(kind);
        }
        match sign {
            Sign::Added => {
                block.added = block.added.saturating_add(1);
                block.told.1 |= !text.is_empty();
            }
            Sign::Removed => {
                block.removed = block.removed.saturating_add(1);
                block.told.0 |= !text.is_empty();
            }
            Sign::Context => block.context |= !text.is_empty(),
        }
        // Templates begin with a comment that names their file, and older versions with an empty line.
        block.begun |= !text.is_empty();
        if let Some(attributes) = &mut block.attributes
            && block.begun
            && !text.starts_with(b"#")
        {
            attributes.line(sign, raw);
        }
        Ok(())
    }

    fn finish(&mut self, at: u32) -> Result<(), ParseError> {
        let Some(block) = self.block.take() else { return Ok(()) };
        if self.form != Some(Form::Simple) && block.word != Word::Suppressed {
            if block.removed == 0 && block.added == 0 {
                return Err(ParseError::cut(format!("nothing differs below line {}", block.first)).at(at));
            }
            if (block.word == Word::Added && block.told.0) || (block.word == Word::Removed && block.told.1) {
                return Err(
                    ParseError::contradiction("an object on one side only has lines on both").at(block.first)
                );
            }
            // `- NAMESPACE/OLD` and `+ NAMESPACE/NEW`, nothing else.
            if block.word == Word::Ownership && (block.removed > 1 || block.added > 1 || block.context) {
                return Err(ParseError::contradiction("more than a change of ownership below its header")
                    .at(block.first));
            }
            if block.kinds.0 > 1 || block.kinds.1 > 1 {
                return Err(
                    ParseError::contradiction("more than one object below one header").at(block.first)
                );
            }
        }
        let Object { scope, kind, name } = block.object;
        let mut found = Resource::new(Source::Plan, scope, kind, name, block.word.action())
            .with_span(block.first, block.last);
        found.attributes = block.attributes.and_then(|lines| lines.paths());
        self.found.push(found);
        Ok(())
    }
}

fn stray(line: u32) -> ParseError {
    ParseError::format("a line of a diff without a header above it").at(line)
}
