//! The text of `terraform plan` and `tofu plan`, Terraform ≥ 0.11, alone or within the words of a remote run.
//!
//! ```text
//! toy_file.a: Refreshing state... [id=id-a]
//! Note: Objects have changed outside of Terraform
//!   # toy_file.a has changed
//!   ~ resource "toy_file" "a" {
//! Terraform will perform the following actions:
//!   # module.m["x"].toy_file.b must be replaced
//!   # (moved from toy_file.b)
//! -/+ resource "toy_file" "b" {
//!       ~ name = "z" -> "a" # forces replacement
//!     }
//! Plan: 1 to add, 0 to change, 1 to destroy.
//! Changes to Outputs:
//!   ~ o = "old" -> "new"
//! ```
//!
//! Values are indented by six blanks or more, so no line of a value (a heredoc that holds a plan) is ever looked at: what
//! counts stands at column 0 to 5. A header is read from its left: an address, then words of a closed list. Witnesses: header,
//! symbol line and closing brace of each resource, and the counts of the `Plan:` line. Terraform calls this text unstable and
//! shows drift only where it thinks it relevant: the JSON forms tell more. Attributes are in `attributes`, Terraform 0.11 in `legacy`.

#[cfg(test)]
mod tests;

mod attributes;
mod legacy;
mod reader;
mod words;

use crate::error::ParseError;
use crate::input::Input;
use crate::report::{Parsed, Tool};
use crate::terraform_command::Blanks;
use crate::text::{Line, Lines};
use crate::{Claim, Parser, terraform_command as command, terragrunt, text};
use memchr::memchr;
pub(crate) use reader::Called;
use reader::Reader;
use words::evidence;

/// The parser.
pub(crate) static PARSER: Parser = Parser {
    name: "terraform",
    about: "the text of `terraform plan`, `tofu plan`, `terragrunt run --all -- plan` and `terraform show PLANFILE`",
    recommended: "terraform plan -input=false -lock=false -no-color -detailed-exitcode",
    actions: command::ACTIONS,
    drift_codes: command::DRIFT_CODES,
    runs: |argv| {
        command::call(argv)
            .is_some_and(|call| matches!(call.subcommand, "plan" | "show") && !call.flag("json"))
    },
    recognise,
    claim: command::claim_of_units,
    parse,
};

/// How much of an output's beginning and end is searched for Terraform's words.
const WINDOW: usize = 256 * 1024;

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let bytes = input.stdout.bytes();
    let head = bytes.get(..WINDOW).unwrap_or(bytes);
    let tail = bytes.get(bytes.len().saturating_sub(WINDOW)..).unwrap_or_default();
    let tail = if bytes.len() > WINDOW { tail } else { &[] };
    [head, tail]
        .into_iter()
        .flat_map(text::lines)
        .find_map(|line| evidence(line.bytes).or_else(|| terragrunt::evidence(line.bytes)))
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    if command::is_terraform(input.argv) {
        return parse_raw(input);
    }
    // Most outputs are one plan, as its lines show while they are read.
    if !command::runs_all(input.argv)
        && let Some(read) = parse_without_prefixes(input)
    {
        return terragrunt::settle(input, read.and_then(|parsed| terragrunt::one_unit(input, parsed)));
    }
    let stdout = input.stdout.bytes();
    let read = match terragrunt::Log::read(stdout) {
        Some(log) if !log.units.is_empty() => terragrunt::parse(input, &log),
        // Every unit may have failed before it printed anything: errors name them.
        log if command::runs_all(input.argv) && !text::lines(stdout).any(|line| is_evidence(line.bytes)) => {
            terragrunt::parse(input, &log.unwrap_or_else(|| terragrunt::Log::without_units(stdout)))
        }
        Some(_) | None => parse_raw(input).and_then(|parsed| terragrunt::one_unit(input, parsed)),
    };
    terragrunt::settle(input, read)
}

/// Whether a line can only be of a plan.
pub(crate) fn is_evidence(line: &[u8]) -> bool {
    evidence(line).is_some()
}

/// The lines of standard output, and whether there are colours anywhere.
fn lines_of<'a>(input: &Input<'a>) -> (Lines<'a>, bool) {
    let stdout = input.stdout.bytes();
    let stdout = stdout.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stdout);
    (text::lines(stdout), memchr(0x1b, stdout).is_some())
}

/// Reads one plan as Terraform wrote it.
fn parse_raw(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let (lines, colours) = lines_of(input);
    let mut reader = Reader::new(command::tool(input.argv), Blanks::Kept, colours);
    let read = reader.read(lines);
    settle(input, reader, read)
}

/// The same, in one pass over the lines; `None` where one of them may have a prefix.
fn parse_without_prefixes(input: &Input<'_>) -> Option<Result<Parsed, ParseError>> {
    let (lines, colours) = lines_of(input);
    let mut reader = Reader::new(command::tool(input.argv), Blanks::Kept, colours);
    let mut rest = lines;
    let mut prefixed = false;
    let read = reader.read(std::iter::from_fn(|| {
        let line = rest.next()?;
        prefixed = terragrunt::Log::may_have(line.bytes);
        (!prefixed).then_some(line)
    }));
    // It may have ended at something else.
    if prefixed || rest.any(|line| terragrunt::Log::may_have(line.bytes)) {
        return None;
    }
    Some(settle(input, reader, read))
}

/// What a plan as Terraform wrote it says after all.
fn settle(input: &Input<'_>, mut reader: Reader, read: Result<(), ParseError>) -> Result<Parsed, ParseError> {
    let claim = command::claim(input);
    let lines = || lines_of(input).0;
    let (remarks, said) = command::stderr(input.stderr.bytes());
    let failed = reader.parsed.failure.is_some() || claim == Claim::Failed;
    if failed || command::errors_count(input) {
        // `terraform plan 2>&1`: the errors stand on stdout.
        let own =
            if failed || reader.has_errors() { command::first_error(lines(), Blanks::Kept) } else { None };
        reader.parsed.failure = said.or(own).or(reader.parsed.failure);
    }
    if reader.parsed.failure.is_some() {
        // What a failed plan lists is for people: it is not held against its counts.
        reader.parsed.diagnostics.extend(remarks);
        return Ok(reader.parsed);
    }
    read?;
    let mut parsed = reader.finish(Called {
        refresh_only: command::refresh_only(input.argv) == Some(true),
        own_code: command::gives_its_own_code(input.argv),
    })?;
    parsed.diagnostics.extend(command::limits(input.argv));
    Ok(parsed)
}

/// Reads one plan from lines that somebody forwarded, each with its number in the raw output, the forwarder's words taken off.
///
/// Nothing depends on the empty lines being there. There is no exit code: `Ok` with [`Parsed::failure`] where the lines hold an error or say that planning failed.
pub(crate) fn read_text<'a>(
    lines: impl Iterator<Item = Line<'a>> + Clone,
    tool: Tool,
    called: Called,
) -> Result<Parsed, ParseError> {
    let mut reader = Reader::new(tool, Blanks::Dropped, true);
    let read = reader.read(lines.clone());
    if reader.parsed.failure.is_some() || reader.has_errors() {
        let own = command::first_error(lines, Blanks::Dropped);
        reader.parsed.failure = own.or(reader.parsed.failure);
        return Ok(reader.parsed);
    }
    read?;
    reader.finish(called)
}
