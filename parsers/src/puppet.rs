//! `puppet apply --noop` and `puppet agent --noop --test`, by the report that every run writes to a file (`puppet config print
//! lastrunreport`).
//!
//! ```text
//! --- !ruby/object:Puppet::Transaction::Report
//! host: web1.example.com
//! status: unchanged
//! noop_pending: true
//! metrics:
//!   resources:
//!     values:
//!     - - out_of_sync
//!       - Out of sync
//!       - 1
//! resource_statuses:
//!   File[/etc/motd]:
//!     out_of_sync: true
//!     events:
//!     - property: mode
//!       status: noop
//! ```
//!
//! The exit code of a noop run is 0 whether anything differs or not: 2 and 6 speak of what was really changed, 4 and 6 of resources that failed. The report's
//! metrics count resources and events: they, `status` and `noop_pending` must fit the resources listed. Standard output is looked at
//! only to see that the report is of the same run (`Applied catalog in … seconds` is in its log), and that what it shows is in the
//! report. It is no report itself: it counts nothing, and values in it may hold any line. Refreshes that would follow are not listed:
//! the format has no event for them.

#[cfg(test)]
mod tests;

use crate::error::{Class, Failure};
use crate::puppet_yaml::{self as yaml, Node};
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Source, Unread, UnreadReason};
use crate::{Claim, File, Input, ParseError, Parser, input, text};
use memchr::memmem;
use std::collections::BTreeSet;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "puppet",
    about: "puppet apply and puppet agent --noop, by the report in a file",
    recommended: "puppet agent --noop --test (with files: [\"/opt/puppetlabs/puppet/cache/state/last_run_report.yaml\"])",
    actions: &[Action::Delete, Action::Create, Action::Update],
    drift_codes: &[2],
    runs,
    recognise,
    claim,
    parse,
};

const TAG: &[u8] = b"--- !ruby/object:Puppet::Transaction::Report";

fn runs(argv: &[&str]) -> bool {
    let arguments = input::arguments_of(argv, &["puppet"]);
    arguments.is_some_and(|arguments| arguments.iter().any(|a| matches!(*a, "apply" | "agent")))
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    const LINES: [&[u8]; 3] =
        [b"Notice: Compiled catalog for ", b"Notice: Applied catalog in ", b"Notice: /Stage["];
    if input.files.iter().any(is_report) {
        return Some("a report of puppet in the files");
    }
    let stdout = input.stdout.bytes();
    LINES.iter().any(|line| memmem::find(stdout, line).is_some()).then_some("lines of puppet's log")
}

/// `--detailed-exitcodes` and `--test`: 2 is changes made, 4 resources failed, 6 both. Noop runs with pending changes end with 0.
fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        None | Some(0) => Claim::Silent,
        Some(2) => Claim::Drifted,
        Some(_) => Claim::Failed,
    }
}

/// A file that is one by its first line, its name or its keys.
fn is_report(file: &File<'_>) -> bool {
    file.bytes.starts_with(TAG)
        || file.path.rsplit('/').next() == Some("last_run_report.yaml")
        || memmem::find(file.bytes, b"\nresource_statuses:").is_some()
}

/// A file that stands where reports do: an empty or broken one is a host of which nothing is known. Not what else puppet keeps beside
/// its last report.
fn should_be(file: &File<'_>) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or(file.path);
    let other = ["last_run_summary.yaml", "state.yaml", "transactionstore.yaml"];
    name.rsplit_once('.').is_some_and(|(_, end)| end == "yaml") && !other.contains(&name)
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::new("puppet");
    // After exit code 1 there is no report, or an older run's.
    let failed = !matches!(input.exit, None | Some(0 | 2 | 4 | 6));
    if let Some(failure) = failure(input).filter(|_| failed) {
        parsed.failure = Some(failure);
        return Ok(parsed);
    }
    let mut hosts = BTreeSet::new();
    let mut applied = BTreeSet::new();
    let (mut noop, mut said_noop) = (0_u64, true);
    for file in input.files.iter().filter(|file| is_report(file) || should_be(file)) {
        let report = read(file).map_err(|error| within(file.path, error))?;
        if !hosts.insert(report.host.clone()) {
            return Err(ParseError::contradiction(format!("two reports of {}", report.host))
                .hint("let files name each host's last report only"));
        }
        noop = noop.saturating_add(report.noop_events);
        said_noop &= report.noop;
        applied.extend(report.applied);
        parsed.tool.version = report.version.or(parsed.tool.version);
        parsed.resources.extend(report.resources);
        parsed.diagnostics.extend(report.diagnostics);
        match report.failure {
            None => parsed.scopes.read.push(report.host),
            Some(failure) => {
                parsed.scopes.unread.push(Unread { scope: report.host, reason: UnreadReason::Failed });
                parsed.diagnostics.push(Diagnostic::error(failure.summary.clone()));
                parsed.failure.get_or_insert(failure);
            }
        }
    }
    if hosts.is_empty() {
        return Err(ParseError::format("puppet's report is missing: it writes it to a file").hint(
            "set files to what `puppet config print lastrunreport` names, and let the command be the one whose report that is",
        ));
    }
    if !parsed.scopes.read.is_empty() {
        // One host of several: it is unread, the others are not.
        parsed.failure = None;
    }
    same_run(input, &applied, noop)?;
    if !said_noop && !parsed.resources.is_empty() {
        parsed.diagnostics.push(Diagnostic::warning("ran without --noop: these changes were made"));
    }
    parsed.said = if parsed.resources.is_empty() { Said::NoChanges } else { Said::Changes };
    Ok(parsed)
}

/// The line that an error names is one of the report, not of standard output.
fn within(path: &str, mut error: ParseError) -> ParseError {
    let line = error.line.take().map(|line| format!(" line {line}")).unwrap_or_default();
    error.message = format!("{path}{line}: {}", error.message);
    error
}

/// Standard output and the reports must be of one run.
fn same_run(input: &Input<'_>, applied: &BTreeSet<String>, noop: u64) -> Result<(), ParseError> {
    for line in text::lines(input.stdout.bytes()) {
        let plain = text::string(&line.plain());
        let Some(message) = plain.strip_prefix("Notice: ") else { continue };
        if message.starts_with("Applied catalog in ") && !applied.contains(message) {
            return Err(ParseError::contradiction(
                "the report doesn't have the end of this run in its log: it is another run's",
            )
            .at(line.number)
            .hint("let files name the report of this command (`puppet config print lastrunreport`)"));
        }
        if noop == 0 && message.starts_with('/') && message.ends_with(" (noop)") {
            return Err(ParseError::contradiction(
                "the output shows a change that would be made, the report has none",
            )
            .at(line.number));
        }
    }
    Ok(())
}

/// One host's report.
struct Report {
    host: String,
    version: Option<String>,
    noop: bool,
    noop_events: u64,
    resources: Vec<Resource>,
    failure: Option<Failure>,
    /// Messages of its log that tell how long the catalog took: no two runs have the same.
    applied: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

/// What the listed resources add up to, to be held against the metrics.
#[derive(Default)]
struct Sums {
    failed: u64,
    failed_to_restart: u64,
    changed: u64,
    out_of_sync: u64,
    skipped: u64,
    events: u64,
    noop: u64,
    success: u64,
    failure: u64,
    audit: u64,
    listed: u64,
    /// Neither skipped nor one of the schedules and the filebucket that every catalog has.
    looked_at: u64,
}

fn add(to: &mut u64, one: bool) {
    *to = to.saturating_add(u64::from(one));
}

fn read(file: &File<'_>) -> Result<Report, ParseError> {
    let text = std::str::from_utf8(file.bytes).map_err(|_| ParseError::format("not UTF-8 text"))?;
    let report = yaml::load(text)?;
    let host = report.text("host")?.to_owned();
    let status = report.text("status")?;
    let log = report.list("logs")?;
    let statuses = report.map("resource_statuses")?;
    let mut resources = Vec::new();
    let mut sums = Sums::default();
    let mut first_failed = None;
    for (key, node) in statuses {
        let (failed, found) = resource(key, node, &host, &mut sums)
            .map_err(|error| ParseError { message: format!("{key}: {}", error.message), ..error })?;
        if failed && first_failed.is_none() {
            first_failed = Some(key);
        }
        resources.extend(found);
    }
    let mut read = Report {
        version: report.get("puppet_version").and_then(Node::as_text).map(str::to_owned),
        noop: report.flag("noop")?,
        noop_events: sums.noop,
        resources,
        failure: None,
        applied: messages(log, |message| message.starts_with("Applied catalog in ")),
        diagnostics: Vec::new(),
        host,
    };
    let completed = later(&report, "transaction_completed")?;
    if status == "failed" || completed == Some(false) || first_failed.is_some() {
        read.failure = Some(failed(&read.host, first_failed, &sums, log));
        return Ok(read);
    }
    // `usecacheonfailure` is the default.
    let used = match report.get("cached_catalog_status").and_then(Node::as_text) {
        Some("on_failure") => Some("no catalog came"),
        Some("explicitly_requested") => Some("its settings ask for it"),
        _ => None,
    };
    if let Some(why) = used {
        read.diagnostics.push(Diagnostic::warning(format!(
            "{} was compared with the catalog in its cache, an older one: {why}",
            read.host
        )));
    }
    let pending = later(&report, "noop_pending")?;
    agree(&report, status, pending, &sums)?;
    if sums.skipped > 0 {
        let all = count(&report, "resources", "total")?;
        read.diagnostics.push(Diagnostic::warning(format!(
            "{} of {all} resources of {} were skipped (tags, schedules)",
            sums.skipped, read.host
        )));
    }
    if sums.audit > 0 {
        read.diagnostics.push(Diagnostic::warning(format!(
            "{} audited properties of {} have changed since the run before: not drift",
            sums.audit, read.host
        )));
    }
    Ok(read)
}

/// A flag that reports have from format 11 (Puppet 6) on.
fn later(report: &Node, key: &str) -> Result<Option<bool>, ParseError> {
    let format: u32 = report.text("report_format")?.parse().unwrap_or(u32::MAX);
    if format < 11 && report.get(key).is_none() { Ok(None) } else { report.flag(key).map(Some) }
}

/// The report's own counts against its resources.
fn agree(report: &Node, status: &str, pending: Option<bool>, sums: &Sums) -> Result<(), ParseError> {
    for (category, name, listed) in [
        ("resources", "out_of_sync", sums.out_of_sync),
        ("resources", "changed", sums.changed),
        ("resources", "failed", sums.failed),
        ("resources", "failed_to_restart", sums.failed_to_restart),
        ("resources", "skipped", sums.skipped),
        ("changes", "total", sums.success),
        ("events", "total", sums.events),
        ("events", "success", sums.success),
        ("events", "failure", sums.failure),
    ] {
        let said = count(report, category, name)?;
        // `exclude_unchanged_resources` leaves skipped ones out.
        if said != listed && !(name == "skipped" && said > listed) {
            return Err(ParseError::contradiction(format!(
                "the metrics count {said} for {name} of {category}, the resources {listed}"
            )));
        }
    }
    for (name, listed) in [("noop", sums.noop), ("audit", sums.audit)] {
        let said = find(report, "events", name)?.unwrap_or_default();
        if said != listed {
            return Err(ParseError::contradiction(format!(
                "the metrics count {said} events of status {name}, the resources {listed}"
            )));
        }
    }
    let expected = if sums.success > 0 { "changed" } else { "unchanged" };
    if status != expected {
        return Err(ParseError::contradiction(format!(
            "the status isn't {expected}, as the resources have it"
        )));
    }
    if pending.is_some_and(|pending| pending != (sums.noop > 0)) {
        return Err(ParseError::contradiction("noop_pending is not what the resources have"));
    }
    let total = count(report, "resources", "total")?;
    if sums.listed > total {
        return Err(ParseError::contradiction(format!(
            "the metrics count {total} resources, and {} are listed",
            sums.listed
        )));
    }
    if sums.listed == total && sums.looked_at == 0 {
        return Err(ParseError::no_scopes("no resource was looked at")
            .hint("check the manifest, the node's classes, tags and schedules"));
    }
    Ok(())
}

/// A resource's status: whether it failed, and what would change or has changed.
fn resource(
    key: &str,
    node: &Node,
    host: &str,
    sums: &mut Sums,
) -> Result<(bool, Option<Resource>), ParseError> {
    let (kind, title) = (node.text("resource_type")?, node.text("title")?);
    if key != format!("{kind}[{title}]") || node.text("resource")? != key {
        return Err(ParseError::contradiction(
            "its key, resource, resource_type and title don't fit together",
        ));
    }
    let [failed, failed_to_restart, changed, out_of_sync, skipped] =
        ["failed", "failed_to_restart", "changed", "out_of_sync", "skipped"].map(|flag| node.flag(flag));
    let (failed, failed_to_restart, changed) = (failed?, failed_to_restart?, changed?);
    let (out_of_sync, skipped) = (out_of_sync?, skipped?);
    add(&mut sums.failed, failed);
    add(&mut sums.failed_to_restart, failed_to_restart);
    add(&mut sums.changed, changed);
    add(&mut sums.out_of_sync, out_of_sync);
    add(&mut sums.skipped, skipped);
    add(&mut sums.listed, true);
    add(&mut sums.looked_at, !skipped && !matches!(kind, "Schedule" | "Filebucket"));

    let (mut counted, mut failures) = (0_u64, 0_u64);
    let mut action = None;
    let mut attributes = Some(Vec::new());
    for event in node.list("events")? {
        add(&mut sums.events, true);
        match event.text("status")? {
            "noop" => add(&mut sums.noop, true),
            "success" => add(&mut sums.success, true),
            "failure" => {
                add(&mut sums.failure, true);
                add(&mut failures, true);
                add(&mut counted, true);
                continue;
            }
            "audit" => {
                add(&mut sums.audit, true);
                continue;
            }
            _ => return Err(ParseError::format("an event of unknown status").at(event.line())),
        }
        add(&mut counted, true);
        let step = action_of(event);
        action = Some(action.map_or(step, |before: Action| before.min(step)));
        match event.get("property").and_then(Node::as_text).filter(|property| !property.is_empty()) {
            Some(property) => {
                if let Some(all) = &mut attributes {
                    all.push(property.to_owned());
                }
            }
            None => attributes = None,
        }
    }
    if out_of_sync != (counted > 0) || node.text("out_of_sync_count")?.parse() != Ok(counted) {
        return Err(
            ParseError::contradiction("out_of_sync and its events don't fit together").at(node.line())
        );
    }
    let found = action.map(|action| {
        let mut found = Resource::new(Source::Plan, host, kind, title, action);
        found.attributes = attributes.filter(|_| action == Action::Update && failures == 0);
        found
    });
    Ok((failed || failed_to_restart || failures > 0, found))
}

/// A property's change: `ensure` from and to absence is a creation or a deletion; values are compared with these two words only.
fn action_of(event: &Node) -> Action {
    let is_gone = |key: &str| {
        event.get(key).and_then(Node::as_text).is_some_and(|value| matches!(value, "absent" | "purged"))
    };
    let named = |end: &str| event.get("name").and_then(Node::as_text).is_some_and(|name| name.ends_with(end));
    if event.get("property").and_then(Node::as_text) != Some("ensure") {
        return Action::Update;
    }
    match (is_gone("previous_value"), is_gone("desired_value")) {
        (false, true) => Action::Delete,
        (true, false) => Action::Create,
        // Redacted values hide the words, the event's name doesn't.
        _ if named("_created") => Action::Create,
        _ if named("_removed") => Action::Delete,
        _ => Action::Update,
    }
}

/// The last of `[name, label, value]` in a category of the metrics.
fn find(report: &Node, category: &str, name: &str) -> Result<Option<u64>, ParseError> {
    let metrics = report.get("metrics").and_then(|metrics| metrics.get(category));
    let Some(metrics) = metrics else {
        return Err(ParseError::format(format!("metrics without {category}")));
    };
    let mut found = None;
    for value in metrics.list("values")? {
        let Node::List { items, .. } = value else { continue };
        let [key, _, count] = items.as_slice() else { continue };
        if key.as_text() != Some(name) {
            continue;
        }
        let count = count.as_text().and_then(|count| count.parse().ok());
        if count.is_none() || found.is_some() {
            return Err(
                ParseError::format(format!("not one number for {name} of {category}")).at(value.line())
            );
        }
        found = count;
    }
    Ok(found)
}

fn count(report: &Node, category: &str, name: &str) -> Result<u64, ParseError> {
    find(report, category, name)?
        .ok_or_else(|| ParseError::format(format!("metrics without {name} of {category}")))
}

fn messages(log: &[Node], which: impl Fn(&str) -> bool) -> Vec<String> {
    let all = log.iter().filter_map(|entry| entry.get("message").and_then(Node::as_text));
    all.filter(|message| which(message)).map(str::to_owned).collect()
}

/// Why a report's status is `failed`.
fn failed(host: &str, first: Option<&str>, sums: &Sums, log: &[Node]) -> Failure {
    if let Some(first) = first {
        let all = sums.failed.max(sums.failed_to_restart).max(1);
        let (words, of) = if all == 1 { ("a resource", "") } else { ("resources", " first") };
        let number = if all == 1 { String::new() } else { format!("{all} ") };
        return Failure::new(Class::ScopeFailed, format!("{number}{words} of {host} failed,{of} {first}"));
    }
    let is_error = |entry: &&Node| {
        entry
            .get("level")
            .and_then(Node::as_text)
            .is_some_and(|level| matches!(level, "err" | "alert" | "emerg" | "crit"))
    };
    let first = log.iter().find(is_error).and_then(|entry| entry.get("message")).and_then(Node::as_text);
    first.map_or_else(
        || Failure::new(Class::ScopeFailed, format!("the report of {host} says failed")),
        |words| classified(&text::first_words(words.as_bytes())),
    )
}

/// The first error that isn't facter's: those end nothing.
fn failure(input: &Input<'_>) -> Option<Failure> {
    let said = |bytes: &[u8], start: &str| {
        text::lines(bytes)
            .map(|line| text::string(&line.plain()))
            .filter_map(|line| line.strip_prefix(start).map(str::to_owned))
            .find(|words| !words.starts_with("Facter: ") && !words.trim().is_empty())
    };
    let words = said(input.stderr.bytes(), "Error: ").or_else(|| {
        // Locked and disabled agents say so in a notice.
        said(input.stdout.bytes(), "Notice: ").filter(|words| {
            words.contains("already in progress; skipping") || words.contains("administratively disabled")
        })
    })?;
    Some(classified(&text::first_words(words.as_bytes())))
}

fn classified(words: &str) -> Failure {
    let has = |all: &[&str]| all.iter().any(|part| words.contains(part));
    let class = if has(&["already in progress"]) {
        Class::StateLock
    } else if has(&["Error 403", "Forbidden request"]) {
        Class::Forbidden
    } else if has(&["certificate", "SSL_connect", "private key"]) {
        Class::Auth
    } else if has(&[
        "Failed to open TCP connection",
        "Connection refused",
        "getaddrinfo",
        "No more routes",
        "timed out",
        "execution expired",
    ]) {
        Class::Unreachable
    } else {
        Class::Other
    };
    Failure::new(class, words)
}
