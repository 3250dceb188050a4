//! Plans of many units, as `terragrunt run --all -- plan` prints them: each unit's lines under its name, mixed with the others'.
//!
//! ```text
//! 14:27:45.422 STDOUT [vpc] tofu: No changes. Your infrastructure matches the configuration.
//! 14:27:45.423 STDOUT [live/app] tofu: Plan: 1 to add, 0 to change, 0 to destroy.
//! 14:27:45.424 STDERR [db] tofu: │ Error: No valid credential sources found
//! 14:27:45.430 ERROR  [db] tofu invocation failed in ./db
//!
//! ❯❯ Run Summary  3 units  62ms
//!    Succeeded    2
//!    Failed       1
//! ```
//!
//! Knows whose line it is and what the run as a whole says; a unit's own lines (or its file of `--json-out-dir`) are read by
//! Terraform's parsers. A unit is a scope: `live/app` for its root module, `live/app//module.x` below. A unit that failed is unread,
//! the others count. Witnesses: every unit's own, the exit code (1 or more: a unit failed, and it must be known which), the counts of
//! the summary, errors on standard error. A unit that printed nothing is missed only by the summary.

#[cfg(test)]
mod tests;

mod log;
mod summary;

pub(crate) use log::Log;

use crate::error::{Class, Failure, ParseError};
use crate::input::Input;
use crate::report::{Diagnostic, Parsed, Said, Unread, UnreadReason};
use crate::terraform_command::Blanks;
use crate::{Claim, terraform, terraform_command as command, text};
use memchr::memmem;
use std::collections::BTreeMap;
use summary::Summary;

/// What begins the summary.
const SUMMARY: &str = "❯❯ Run Summary";

/// Evidence of a unit's plan, or of the end of a run, in one line.
pub(crate) fn evidence(line: &[u8]) -> Option<&'static str> {
    if log::evidence(line) {
        return Some("a plan in terragrunt's log");
    }
    text::strip_ansi(line).starts_with(SUMMARY.as_bytes()).then_some("a summary of terragrunt")
}

/// One unit with what was read of it.
#[derive(Debug)]
pub(crate) struct Unit {
    /// Its path; empty for the unit in the folder itself.
    pub name: String,
    pub read: Result<Parsed, ParseError>,
}

/// What the run says beside the plans.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Units that failed.
    failed: BTreeMap<String, Failure>,
    /// Units whose plan's text stands on standard output.
    printed: Vec<String>,
    summary: Option<Summary>,
}

/// Reads the plans of a log on standard output.
pub(crate) fn parse(input: &Input<'_>, log: &Log<'_>) -> Result<Parsed, ParseError> {
    log.no_plan_outside()?;
    let alone = log.units.len() == 1 && log.units.contains_key("");
    let called = terraform::Called {
        refresh_only: command::refresh_only(input.argv) == Some(true),
        // Of many units, the code is the greatest.
        own_code: alone && !input.argv.is_empty() && command::gives_its_own_code(input.argv),
    };
    let units = log.units.iter().map(|(name, lines)| Unit {
        name: name.clone(),
        read: terraform::read_text(lines.iter(), command::tool(input.argv), called),
    });
    merge(input, units.collect(), outside(input, Some(log))?)
}

/// Holds raw output, which no unit is named in, against what the run says of its units.
pub(crate) fn one_unit(input: &Input<'_>, mut parsed: Parsed) -> Result<Parsed, ParseError> {
    let Run { failed, summary, .. } = outside(input, None)?;
    let failing = is_failure(input);
    let counted = summary.as_ref().is_some_and(|summary| summary.failed > 0);
    if (failing || counted) && parsed.failure.is_none() {
        parsed.failure = Some(failed.into_values().next().unwrap_or_else(|| unnamed(input)));
    }
    match summary {
        Some(Summary { succeeded, line, .. }) if parsed.failure.is_none() && succeeded != 1 => {
            Err(ParseError::contradiction(format!("a summary of {succeeded} units behind one plan"))
                .at(line)
                .hint(NAMES))
        }
        _ => Ok(parsed),
    }
}

/// A run of which a unit failed is failed, not unreadable, where nothing better is known of it.
pub(crate) fn settle(input: &Input<'_>, read: Result<Parsed, ParseError>) -> Result<Parsed, ParseError> {
    match read {
        Err(_) if is_failure(input) => {
            let tool = command::tool(input.argv);
            Ok(Parsed { failure: Some(unnamed(input)), tool, ..Parsed::new("terraform") })
        }
        read => read.map_err(|error| advise(input.argv, error)),
    }
}

/// What to do where units can't be told apart.
const NAMES: &str =
    "leave terragrunt's log format as it is (`pretty`), or let it write files (`--json-out-dir DIR`)";

/// The same error with advice for Terragrunt, where several plans stand in one output without their units' names.
pub(crate) fn advise(argv: &[&str], error: ParseError) -> ParseError {
    let several = error.class == Class::UnreadableContradiction && error.message.starts_with("a second");
    if several && command::is_terragrunt(argv) { error.hint(NAMES) } else { error }
}

/// What stands beside the plans: errors on both streams, the summary.
pub(crate) fn outside(input: &Input<'_>, log: Option<&Log<'_>>) -> Result<Run, ParseError> {
    let errors = Log::read(input.stderr.bytes());
    let mut failed = BTreeMap::new();
    for log in log.into_iter().chain(&errors) {
        // Before 0.67 both streams had the same prefix.
        let units =
            log.units.iter().filter(|_| errors.as_ref().is_some_and(|errors| std::ptr::eq(errors, log)));
        for (unit, lines) in log.errors.iter().chain(units) {
            if lines.iter().any(|line| log::is_error(line.bytes)) {
                let failure = command::first_error(lines.iter(), Blanks::Dropped);
                let failure = failure.unwrap_or_else(|| Failure::new(Class::Exit, "an error"));
                failed.entry(unit.clone()).or_insert(failure);
            }
        }
    }
    for log in log.into_iter().chain(&errors) {
        for unit in &log.marked {
            failed
                .entry(unit.clone())
                .or_insert_with(|| Failure::new(Class::Exit, "terragrunt reports an error"));
        }
    }
    let summary = match log {
        Some(log) => summary::read(&log.outside)?,
        None if memmem::find(input.stdout.bytes(), SUMMARY.as_bytes()).is_some() => {
            summary::read(&text::lines(input.stdout.bytes()).collect::<Vec<_>>())?
        }
        None => None,
    };
    let printed: Vec<String> = log.map(|log| log.units.keys().cloned().collect()).unwrap_or_default();
    // The folder that the run was started in reports that some unit failed; in JSON it has a name.
    let above = |unit: &String| {
        unit.is_empty()
            || printed.iter().any(|other| other.starts_with(&format!("{}/", unit.trim_end_matches('/'))))
    };
    failed.retain(|unit, _| printed.contains(unit) || !above(unit));
    Ok(Run { failed, printed, summary })
}

impl Run {
    /// A unit whose plan was printed and that has nothing among `units`. Their paths are the same below one folder that all of them have on
    /// one side: `vpc` has no file where `prod/vpc` has one. Files below the folder of `--json-out-dir` have no folder more than what is printed.
    pub(crate) fn without(&self, units: &[Unit], named_by_folder: bool) -> Option<&str> {
        let printed: Vec<&str> =
            self.printed.iter().map(String::as_str).filter(|name| !self.failed.contains_key(*name)).collect();
        let first = printed.first()?;
        let below = |long: &str, short: &str| {
            let folder = long.strip_suffix(short)?;
            (folder.is_empty() || folder.ends_with('/') || short.is_empty()).then(|| folder.to_owned())
        };
        let in_files = units.iter().filter(|_| !named_by_folder).filter_map(|unit| below(&unit.name, first));
        let in_log = units.iter().filter_map(|unit| below(first, &unit.name));
        let missing = |folder: &str, of_files: bool| {
            printed.iter().copied().find(|name| {
                !units.iter().any(|unit| {
                    let (long, short) = if of_files { (&*unit.name, *name) } else { (*name, &*unit.name) };
                    long.strip_prefix(folder) == Some(short)
                })
            })
        };
        // Where no folder fits all of them, one that the nearest fit leaves out.
        let folders = in_files.map(|folder| (folder, true)).chain(in_log.map(|folder| (folder, false)));
        let mut left = Some(*first);
        for (folder, of_files) in folders {
            left = Some(missing(&folder, of_files)?);
        }
        left
    }
}

/// `vpc` and `/srv/live/vpc`: one log says it this way, another that.
fn same(a: &str, b: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    ends(a, b) || ends(b, a)
}

/// Terragrunt's own exit code says that something failed.
fn is_failure(input: &Input<'_>) -> bool {
    command::is_terragrunt(input.argv) && command::claim(input) == Claim::Failed
}

/// The failure of a run that doesn't say which unit failed.
fn unnamed(input: &Input<'_>) -> Failure {
    let logged = || {
        let log = Log::read(input.stderr.bytes())?;
        log.errors.values().find_map(|lines| command::first_error(lines.iter(), Blanks::Dropped))
    };
    command::stderr(input.stderr.bytes()).1.or_else(logged).unwrap_or_else(|| {
        let code =
            input.exit.map_or_else(|| "an unknown exit code".to_owned(), |code| format!("exit code {code}"));
        Failure::new(Class::Exit, format!("{code}: a unit failed, and nothing says which"))
    })
}

/// One report of all units.
pub(crate) fn merge(input: &Input<'_>, units: Vec<Unit>, run: Run) -> Result<Parsed, ParseError> {
    let Run { mut failed, summary, .. } = run;
    let failing = command::claim(input) == Claim::Failed;
    if !failing && !command::errors_count(input) {
        // Terragrunt's own code counts for more than what its log looks like: it may have tried again. Then there is a whole plan; of a unit
        // without one it may have ignored the error. One of another name may be another unit (`vpc` and `prod/vpc`), if that is the name of none.
        let named = |name: &String| units.iter().any(|unit| unit.name == *name);
        let whole = |name: &String| {
            let mut is_it = units.iter().filter(|unit| {
                unit.name == *name
                    || (same(&unit.name, name)
                        && !named(name)
                        && unit.name.starts_with('/') != name.starts_with('/'))
            });
            is_it.any(|unit| unit.read.as_ref().is_ok_and(|parsed| parsed.failure.is_none()))
        };
        failed.retain(|name, _| !whole(name));
    }
    let passed_over = if failing { 0 } else { failed.len() as u64 };
    for name in summary.iter().flat_map(|summary| &summary.failed_units) {
        if !failed.keys().chain(units.iter().map(|unit| &unit.name)).any(|unit| same(unit, name)) {
            failed.insert(name.clone(), Failure::new(Class::Exit, "terragrunt counts it as failed"));
        }
    }
    let alone = units.len() == 1
        && units.iter().all(|unit| unit.name.is_empty())
        && failed.keys().all(String::is_empty);
    let mut all = Parsed { tool: command::tool(input.argv), ..Parsed::new("terraform") };
    let (mut read, mut failure) = (0_u64, None);
    for Unit { name, read: found } in units {
        let counted = summary.iter().flat_map(|summary| &summary.failed_units).any(|unit| same(unit, &name));
        let reported = failed.remove(&name);
        let reported =
            reported.or_else(|| counted.then(|| Failure::new(Class::Exit, "terragrunt counts it as failed")));
        let scope = match (alone, name.is_empty()) {
            (true, _) => None,
            (false, true) => Some(".".to_owned()),
            (false, false) => Some(name),
        };
        let outcome = match (reported, found) {
            (Some(failure), _) => Err(failure),
            (None, Ok(parsed)) => parsed.failure.clone().map_or_else(|| Ok(parsed), Err),
            (None, Err(error)) if failing && error.class == Class::UnreadableCut => {
                Err(Failure::new(Class::Exit, error.message))
            }
            (None, Err(error)) => return Err(of_unit(scope.as_deref(), error)),
        };
        match outcome {
            Ok(parsed) => {
                read = read.saturating_add(1);
                add(&mut all, scope.as_deref(), parsed);
            }
            Err(cause) => unread(&mut all, scope.unwrap_or_default(), cause, &mut failure),
        }
    }
    for (name, cause) in failed.into_iter().filter(|(name, _)| !name.is_empty()) {
        unread(&mut all, name, cause, &mut failure);
    }
    let missed = all.scopes.unread.len() as u64;
    let counted = summary.as_ref().map_or(0, |summary| summary.failed);
    all.failure = if read == 0 && failure.is_some() {
        failure
    } else if (failing || counted > 0) && missed == 0 {
        Some(unnamed(input))
    } else if command::errors_count(input) && missed == 0 {
        command::stderr(input.stderr.bytes()).1
    } else {
        None
    };
    if all.failure.is_some() {
        return Ok(all);
    }
    all.diagnostics.extend(command::limits(input.argv));
    if read == 0 {
        return Err(ParseError::cut("no unit's plan in the output").hint(NAMES));
    }
    // What Terragrunt passed over it may count as succeeded.
    let succeeding = read..=read.saturating_add(passed_over);
    if let Some(Summary { succeeded, line, .. }) =
        summary.filter(|summary| !succeeding.contains(&summary.succeeded))
    {
        return Err(ParseError::contradiction(format!(
            "the summary counts {succeeded} units that succeeded, and {read} have a plan"
        ))
        .at(line));
    }
    if counted > missed {
        let words = format!("the summary counts {counted} units that failed, of which {missed} are named");
        all.diagnostics.push(Diagnostic::warning(words));
    }
    Ok(all)
}

fn of_unit(unit: Option<&str>, mut error: ParseError) -> ParseError {
    if let Some(unit) = unit {
        error.message = format!("unit {unit}: {}", error.message);
    }
    error
}

fn unread(all: &mut Parsed, unit: String, cause: Failure, first: &mut Option<Failure>) {
    let Failure { class, summary } = cause;
    let reason = if class == Class::Unreachable { UnreadReason::Unreachable } else { UnreadReason::Failed };
    let words = if unit.is_empty() { summary } else { format!("{unit}: {summary}") };
    all.diagnostics.push(Diagnostic::error(&*words));
    first.get_or_insert_with(|| Failure::new(class, words));
    if !unit.is_empty() {
        all.scopes.unread.push(Unread { scope: unit, reason });
    }
}

/// Adds what one unit says.
fn add(all: &mut Parsed, unit: Option<&str>, parsed: Parsed) {
    let Parsed {
        said,
        stated_in_words,
        resources,
        scopes: _,
        failure: _,
        diagnostics,
        tool,
        refresh_only,
        doubt,
    } = parsed;
    if tool.version.is_some() || tool.name != "terraform" {
        all.tool = tool;
    }
    all.refresh_only |= refresh_only;
    all.doubt = all.doubt.take().or(doubt);
    all.said = match (all.said, said) {
        (Said::Changes, _) | (_, Said::Changes) => Said::Changes,
        (Said::NoChanges, _) | (_, Said::NoChanges) => Said::NoChanges,
        (Said::Nothing, Said::Nothing) => Said::Nothing,
    };
    let Some(unit) = unit else {
        all.stated_in_words = stated_in_words;
        all.resources = resources;
        all.diagnostics.extend(diagnostics);
        return;
    };
    all.scopes.read.push(unit.to_owned());
    all.diagnostics.extend(
        diagnostics
            .into_iter()
            .map(|found| Diagnostic { summary: format!("{unit}: {}", found.summary), ..found }),
    );
    all.resources.extend(resources.into_iter().map(|mut resource| {
        resource.scope =
            if resource.scope.is_empty() { unit.to_owned() } else { format!("{unit}//{}", resource.scope) };
        resource
    }));
}
