//! Reads what infrastructure tools print about drift. Pure functions over bytes: no IO, no clock, no async, no panics.
//!
//! [`read`] is the only way in: it asks the parser what the exit code claims, lets it parse, and then demands that every
//! witness (exit code, statement of the output, findings) agrees. What is not understood is never clean.
//!
//! Adding a tool: one file beside this one, two adjacent lines here (`mod` and [`ALL`]), one folder in `fixtures/`.

// What keeps this crate from panicking on bytes that somebody else wrote. Tests may.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
mod tests;

mod ansible;
mod ansible_json;
mod ansible_jsonl;
mod ansible_minimal;
mod ansible_playbook;
mod argocd;
mod changing;
mod document;
pub mod error;
mod flux;
mod helm_diff;
pub mod input;
mod kube;
mod kubectl;
mod kubediff;
pub mod ndiff;
mod others;
pub mod pattern;
mod puppet;
mod puppet_yaml;
pub mod report;
mod salt;
mod shell;
#[cfg(test)]
mod testing;
pub mod text;
pub mod udiff;

mod terraform;
mod terraform_address;
mod terraform_command;
mod terraform_json;
mod terraform_show;
mod terragrunt;

pub use changing::changing;
pub use error::{Class, Failure, ParseError};
pub use input::{File, Input, Stream};
pub use others::unread_report;
pub use pattern::Pattern;
pub use report::{
    Action, Diagnostic, DriftReport, Parsed, Resource, Said, Scopes, Severity, Source, Span, Tool, Unread,
    UnreadReason, Verdict,
};
pub use terraform_show::sensitive_values;

use document::read_document;
use serde::Serialize;
use std::collections::BTreeMap;

/// Every parser, in the order in which output is offered to them: the most certain evidence first.
pub static ALL: &[&Parser] = &[
    &terraform_json::PARSER,
    &terraform_show::PARSER,
    &ansible_jsonl::PARSER,
    &ansible_json::PARSER,
    &helm_diff::PARSER,
    &flux::PARSER,
    &argocd::PARSER,
    &kubediff::PARSER,
    &terraform::PARSER,
    &ansible::PARSER,
    &ansible_minimal::PARSER,
    &kubectl::PARSER,
    &salt::PARSER,
    &puppet::PARSER,
];

/// One tool's output format.
pub struct Parser {
    /// The word in the configuration, the metric label, the file and the fixture folder.
    pub name: &'static str,
    /// One line about what it reads.
    pub about: &'static str,
    /// The command line to use.
    pub recommended: &'static str,
    /// The actions that this format can tell apart, in the order of [`Action::ALL`].
    pub actions: &'static [Action],
    /// Exit codes that say "differences".
    pub drift_codes: &'static [i32],
    /// This command line prints this format (or a sibling format that only the output can tell apart).
    pub runs: fn(argv: &[&str]) -> bool,
    /// Evidence of this format in the output, for "detected because …". Must be generous: cut or broken output of this
    /// format is still of this format, and is then refused by `parse` instead of falling back to the exit code.
    pub recognise: fn(&Input<'_>) -> Option<&'static str>,
    /// What the exit code says. Reads `exit` and `argv` only.
    pub claim: fn(&Input<'_>) -> Claim,
    /// Understands the output. Also called for failed runs: then it returns `Ok` with [`Parsed::failure`] whenever the
    /// output or stderr tells the reason, however broken the rest is.
    pub parse: fn(&Input<'_>) -> Result<Parsed, ParseError>,
}

impl Parser {
    /// Whether it reads the files that a command wrote; the others read standard output alone.
    pub fn reads_files(&self) -> bool {
        matches!(self.name, "puppet" | "terraform-show")
    }
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Parser").field(&self.name).finish()
    }
}

impl PartialEq for Parser {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Parser {}

/// What an exit code says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Success, and nothing differs.
    Clean,
    /// Success, and something differs.
    Drifted,
    /// Success or unknown; nothing about differences.
    Silent,
    /// Failure.
    Failed,
}

/// A check's own meaning of exit codes; any other code is failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitCodes {
    /// Codes that say "nothing differs".
    pub clean: Vec<i32>,
    /// Codes that say "something differs".
    pub drifted: Vec<i32>,
}

impl ExitCodes {
    /// What `exit` says where nobody knows the tool: by `own`, else 0 is success that says nothing, and anything else failure.
    pub fn claim_of_any(own: Option<&Self>, exit: Option<i32>) -> Claim {
        match (own, exit) {
            (Some(codes), exit) => codes.claim(exit),
            (None, None | Some(0)) => Claim::Silent,
            (None, Some(_)) => Claim::Failed,
        }
    }

    /// What `exit` says. A code in both lists says nothing about differences.
    pub fn claim(&self, exit: Option<i32>) -> Claim {
        let Some(code) = exit else { return Claim::Silent };
        match (self.clean.contains(&code), self.drifted.contains(&code)) {
            (true, true) => Claim::Silent,
            (true, false) => Claim::Clean,
            (false, true) => Claim::Drifted,
            (false, false) => Claim::Failed,
        }
    }
}

/// What one run says about drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Everything agrees.
    Read(DriftReport),
    /// The command failed; what it showed before that is for people, never for drift series.
    Failed {
        /// Why.
        failure: Failure,
        /// What was understood.
        partial: Option<Box<DriftReport>>,
    },
    /// Not understood, cut, or contradictory.
    Unreadable(ParseError),
}

impl Reading {
    /// The verdict that follows.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Read(report) => report.verdict(),
            Self::Failed { .. } => Verdict::Failed,
            Self::Unreadable(_) => Verdict::Unreadable,
        }
    }

    /// The class of a run that is neither clean nor drifted.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Read(report) => (report.verdict() == Verdict::Partial).then(|| report.partial_class()),
            Self::Failed { failure, .. } => Some(failure.class),
            Self::Unreadable(error) => Some(error.class),
        }
    }

    /// Why the verdict is neither clean nor drifted, in one line.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Read(report) => match report.scopes().unread.as_slice() {
                [] => None,
                [one] => Some(format!("{} {}", one.scope, one.reason.as_str())),
                [first, rest @ ..] => {
                    Some(format!("{} {} and {} more unread", first.scope, first.reason.as_str(), rest.len()))
                }
            },
            Self::Failed { failure, .. } => Some(failure.summary.clone()),
            Self::Unreadable(error) => Some(error.to_string()),
        }
    }

    /// The report, complete or partial.
    pub fn report(&self) -> Option<&DriftReport> {
        match self {
            Self::Read(report) => Some(report),
            Self::Failed { partial, .. } => partial.as_deref(),
            Self::Unreadable(_) => None,
        }
    }

    /// The report as `--format json` prints it and the API serves it.
    pub fn document<'a>(&'a self, parser: &'a str) -> Document<'a> {
        let report = self.report();
        Document {
            parser,
            tool: report.map(|r| &*r.tool().name),
            tool_version: report.and_then(|r| r.tool().version.as_deref()),
            verdict: self.verdict(),
            reason: self.reason(),
            resources: report.map_or(&[], |r| r.resources()),
            scopes: report.map(|r| r.scopes().clone()).unwrap_or_default(),
            totals: report.map(DriftReport::totals).unwrap_or_default(),
            diagnostics: report.map_or(&[], |r| r.diagnostics()),
        }
    }
}

/// The report's JSON form.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// Name of the parser.
    pub parser: &'a str,
    /// The tool, where anything was understood.
    pub tool: Option<&'a str>,
    /// The tool's version, where the output names it.
    pub tool_version: Option<&'a str>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the verdict is neither clean nor drifted.
    pub reason: Option<String>,
    /// Sorted by identity.
    pub resources: &'a [Resource],
    /// What was looked at.
    pub scopes: Scopes,
    /// Resources by source and action.
    pub totals: BTreeMap<Source, BTreeMap<Action, u64>>,
    /// Remarks.
    pub diagnostics: &'a [Diagnostic],
}

/// The parser of that name.
pub fn by_name(name: &str) -> Option<&'static Parser> {
    ALL.iter().find(|parser| parser.name == name).copied()
}

/// The parsers whose format this command line prints. More than one where only the output tells (ansible's callbacks).
pub fn by_command(argv: &[&str]) -> Vec<&'static Parser> {
    ALL.iter().filter(|parser| (parser.runs)(argv)).copied().collect()
}

/// The tool that this command line runs, when it shows drift and no parser reads it. Its exit code may be 0 either way
/// (`pulumi preview`), so judging it by that alone must be somebody's decision.
pub fn unread_tool<S: AsRef<str>>(argv: &[S]) -> Option<&'static str> {
    const TOOLS: [&str; 2] = ["chef-client", "pulumi"];
    let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    TOOLS.into_iter().find(|tool| input::arguments_of(&argv, &[tool]).is_some())
}

/// The first of `among` that finds its format in the output, with its evidence.
pub fn recognise(among: &[&'static Parser], input: &Input<'_>) -> Option<(&'static Parser, &'static str)> {
    in_utf8(input, |input| {
        among.iter().find_map(|parser| (parser.recognise)(input).map(|evidence| (*parser, evidence)))
    })
}

/// The same input with both streams in UTF-8: what PowerShell's `>` writes is UTF-16.
fn in_utf8<T>(input: &Input<'_>, act: impl FnOnce(&Input<'_>) -> T) -> T {
    let stdout = text::decode_utf16(input.stdout.bytes());
    let stderr = text::decode_utf16(input.stderr.bytes());
    let decoded = |stream: Stream<'_>, bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| (bytes.len() as u64).saturating_add(u64::from(stream.is_cut())))
    };
    let (out, err) = (decoded(input.stdout, &stdout), decoded(input.stderr, &stderr));
    act(&Input {
        stdout: stdout.as_deref().zip(out).map_or(input.stdout, |(bytes, total)| Stream::kept(bytes, total)),
        stderr: stderr.as_deref().zip(err).map_or(input.stderr, |(bytes, total)| Stream::kept(bytes, total)),
        ..*input
    })
}

/// Reads one finished run. The exit code's claim, the output's own statement and the findings must agree, and nothing that
/// another tool printed may speak against "clean".
pub fn read(parser: &Parser, codes: Option<&ExitCodes>, input: &Input<'_>) -> Reading {
    if !input.files.is_empty() && !parser.reads_files() {
        return Reading::Unreadable(
            ParseError::format(format!(
                "{} reads no files, and there are {}",
                parser.name,
                input.files.len()
            ))
            .hint("let the command print its report"),
        );
    }
    in_utf8(input, |input| {
        let reading = read_alone(parser, codes, input);
        if reading.verdict() == Verdict::Clean
            && let Err(error) = others::against_clean(parser, codes, input)
        {
            return Reading::Unreadable(error);
        }
        reading
    })
}

/// What another tool has printed against "clean". Asked by whoever makes a reading clean afterwards, by ignoring all that drifts: [`read`]
/// has asked only where nothing did.
///
/// # Errors
/// That something was.
pub fn others_against_clean(
    parser: &Parser,
    codes: Option<&ExitCodes>,
    input: &Input<'_>,
) -> Result<(), ParseError> {
    in_utf8(input, |input| others::against_clean(parser, codes, input))
}

/// Reads one finished run by a parser that somebody configured. The same witnesses must agree.
pub fn read_by_pattern(pattern: &Pattern, codes: Option<&ExitCodes>, input: &Input<'_>) -> Reading {
    in_utf8(input, |input| {
        let claim = ExitCodes::claim_of_any(codes.or(pattern.exit_codes.as_ref()), input.exit);
        let mut reading = judge(claim, input, |input| pattern.parse(claim, input));
        if let (Reading::Failed { failure, .. }, None, Some(code)) =
            (&mut reading, codes.or(pattern.exit_codes.as_ref()), input.exit)
        {
            let hint =
                format!("; if {code} says that something differs, write exit_codes: {{drifted: [{code}]}}");
            failure.summary.push_str(&hint);
        }
        reading
    })
}

/// Reads one finished run by the report that a program called `name` printed about it; `report` gives its bytes, or says why there are none.
pub fn read_by_program<'o>(
    name: &str,
    codes: Option<&ExitCodes>,
    input: &Input<'_>,
    report: impl FnOnce() -> Result<&'o [u8], ParseError>,
) -> Reading {
    judge(ExitCodes::claim_of_any(codes, input.exit), input, |_| read_document(name, report()?))
}

/// As if no other tool had printed anything.
fn read_alone(parser: &Parser, codes: Option<&ExitCodes>, input: &Input<'_>) -> Reading {
    let claim = codes.map_or_else(|| (parser.claim)(input), |codes| codes.claim(input.exit));
    judge(claim, input, parser.parse)
}

/// Lets the exit code's claim and what `parse` finds agree.
fn judge(
    claim: Claim,
    input: &Input<'_>,
    parse: impl FnOnce(&Input<'_>) -> Result<Parsed, ParseError>,
) -> Reading {
    if claim == Claim::Failed {
        return failed(parse(input).ok(), input);
    }
    if input.stdout.is_cut() {
        let kept = input.stdout.bytes().len();
        return Reading::Unreadable(
            ParseError::cut(format!("{kept} of {} bytes of output were kept", input.stdout.total()))
                .hint("raise max_output"),
        );
    }
    match parse(input) {
        Err(error) => Reading::Unreadable(found(error, input)),
        Ok(parsed) => agree(claim, input.exit, parsed).unwrap_or_else(Reading::Unreadable),
    }
}

/// The error with the beginning of its line, where it doesn't quote one itself. Its line may be one of a file, if there are any.
fn found(mut error: ParseError, input: &Input<'_>) -> ParseError {
    if let Some(line) = error.line.filter(|_| input.files.is_empty() && !error.message.contains('"')) {
        let nth = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let line = text::lines(input.stdout.bytes()).nth(nth);
        error.found = line.and_then(|line| error::quote_key(line.bytes));
    }
    error
}

fn failed(parsed: Option<Parsed>, input: &Input<'_>) -> Reading {
    let failure = parsed.as_ref().and_then(|parsed| parsed.failure.clone()).unwrap_or_else(|| {
        let code = input.exit.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let summary = text::telling_words(input.stderr.bytes());
        let summary = if summary.is_empty() {
            format!("exit code {code}")
        } else {
            format!("exit code {code}: {summary}")
        };
        Failure::new(Class::Exit, summary)
    });
    let partial = parsed.and_then(|parsed| DriftReport::new(parsed).ok()).map(Box::new);
    Reading::Failed { failure, partial }
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

fn agree(claim: Claim, exit: Option<i32>, parsed: Parsed) -> Result<Reading, ParseError> {
    let (said, in_words, failure) = (parsed.said, parsed.stated_in_words, parsed.failure.clone());
    let mut report = DriftReport::new(parsed)?;
    if let Some(failure) = failure {
        return Ok(Reading::Failed { failure, partial: Some(Box::new(report)) });
    }
    let scopes = report.scopes();
    if scopes.read.is_empty() && !scopes.unread.is_empty() {
        let summary = match scopes.unread.as_slice() {
            [one] => format!("{} {}", one.scope, one.reason.as_str()),
            all => format!("none of {} scopes could be read", all.len()),
        };
        let failure = Failure::new(report.partial_class(), summary);
        return Ok(Reading::Failed { failure, partial: Some(Box::new(report)) });
    }
    if let (Verdict::Clean, Some(doubt)) = (report.verdict(), report.doubt()) {
        return Err(doubt.clone());
    }
    let drifted = report.drifted().count();
    let code = exit.map_or_else(|| "an unknown exit code".to_owned(), |code| format!("exit code {code}"));
    match (claim, said) {
        (_, Said::Nothing) => {
            return Err(ParseError::format(format!(
                "the output says neither that something changes nor that nothing does ({code})"
            )));
        }
        (_, Said::NoChanges) if drifted > 0 => {
            return Err(ParseError::contradiction(format!(
                "the output says that nothing changes and lists {}",
                changes(drifted)
            )));
        }
        (Claim::Drifted, Said::NoChanges) if !in_words => {
            return Err(ParseError::contradiction(format!(
                "{code} says that something differs, the output that nothing does"
            )));
        }
        (Claim::Drifted, Said::NoChanges) => {
            report.remark(Diagnostic::warning(format!(
                "{code} says that something differs, the output says \"No changes.\""
            )));
        }
        (_, Said::Changes) if report.resources().is_empty() => {
            return Err(ParseError::contradiction(
                "the output says that something changes and lists nothing",
            ));
        }
        (Claim::Drifted, Said::Changes)
            if drifted == 0 && !report.resources().iter().any(|r| r.source == Source::Plan) =>
        {
            return Err(ParseError::contradiction(format!(
                "{code} says that something differs, nothing in the output explains it"
            )));
        }
        (Claim::Clean, Said::Changes) if drifted > 0 => {
            report.remark(Diagnostic::warning(format!(
                "{code} says that nothing differs, the output lists {}",
                changes(drifted)
            )));
        }
        (Claim::Clean | Claim::Drifted | Claim::Silent | Claim::Failed, Said::NoChanges | Said::Changes) => {}
    }
    Ok(Reading::Read(report))
}
