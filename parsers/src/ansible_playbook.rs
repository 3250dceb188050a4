//! What every output of `ansible-playbook` shares, whatever callback prints it: the command line, the exit codes, the words
//! of a failed start, and holding the results that were shown against the statistics at the end.
//!
//! Knows nothing of how a callback prints a result. What the statistics count (`executor/stats.py`, observed in 2.4 to 2.20):
//! one `changed` per task and host, not per loop item; a failure that is ignored counts as changed when its result says so,
//! one that is rescued or final doesn't; several playbooks in one command have one recap each, and each counts on.

mod command;
mod stderr;
#[cfg(test)]
mod tests;

pub(crate) use command::{ad_hoc, changes};
pub(crate) use stderr::Warnings;

use crate::error::ParseError;
use crate::input::{Input, Stream};
use crate::report::{
    Action, Diagnostic, Parsed, Resource, Said, Scopes, Source, Span, Tool, Unread, UnreadReason,
};
use crate::{Claim, report, text};
use command::command_line;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use stderr::{failed_before, failure};

/// The only action: a task says that it changed something, never how.
pub(crate) const ACTIONS: &[Action] = &[Action::Change];

/// Only the output tells the callbacks apart, so this is the same for all of them.
pub(crate) fn runs(argv: &[&str]) -> bool {
    command_line(argv).is_some_and(|line| !line.lists)
}

/// 0 says nothing of changes (ansible/ansible#32672); 2 and 4 (3 in 1.x) come with a recap when hosts failed or were
/// unreachable, and without one when the command line or a playbook was wrong.
pub(crate) fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        None | Some(0 | 2 | 3 | 4) => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

/// One host's line of the recap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) ok: u32,
    pub(crate) changed: u32,
    pub(crate) unreachable: u32,
    pub(crate) failed: u32,
    /// `None` before 2.8, which doesn't count them.
    pub(crate) rescued: Option<u32>,
    /// Likewise.
    pub(crate) ignored: Option<u32>,
    /// Where it stands, for text.
    pub(crate) line: Option<u32>,
}

impl Stats {
    /// The host failed or was unreachable, so that its tasks were not run to the end.
    fn is_lost(&self) -> bool {
        self.failed > 0 || self.unreachable > 0
    }

    /// Failures after which the run went on as if nothing had happened.
    fn forgiven(&self) -> u32 {
        self.rescued.unwrap_or_default().saturating_add(self.ignored.unwrap_or_default())
    }
}

/// The statistics at the end of one playbook.
pub(crate) type Recap = BTreeMap<String, Stats>;

/// A task that changed something on a host, or that failed after it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// In [`Run::hosts`].
    pub(crate) host: usize,
    /// In [`Run::tasks`].
    pub(crate) task: usize,
    pub(crate) kind: String,
    pub(crate) span: Option<Span>,
    /// The task failed on this host. Such a change is counted only if the failure was ignored.
    pub(crate) failed: bool,
    /// The output says that the failure was ignored.
    pub(crate) ignored: bool,
    /// A change was shown as such: the task itself, or an item of its loop.
    pub(crate) shown: bool,
    /// The play of a looped task: strategy `free` may print one task's items under several banners of the same name.
    pub(crate) play: Option<u32>,
    /// Everything that it changed, where the output shows that.
    pub(crate) attributes: Option<Vec<String>>,
}

/// Everything that was read of a run that came to its end.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) recaps: Vec<Recap>,
    pub(crate) findings: Vec<Finding>,
    /// Names of hosts.
    pub(crate) hosts: Vec<String>,
    /// Names of tasks; equal ones may stand in it more than once.
    pub(crate) tasks: Vec<String>,
    /// Hosts with a result, and its line. Skipped results are none: a host that only skips may be missing in the recap.
    pub(crate) answered: BTreeMap<String, Option<u32>>,
    /// How many of a host's tasks were ok or changed, as far as they are shown: never more than its recap counts as ok.
    pub(crate) succeeded: BTreeMap<String, u32>,
    /// How many of a host's tasks failed or lost the connection, whatever became of that: never more than its recap counts.
    pub(crate) failures: BTreeMap<String, u32>,
    /// Hosts that could not be reached at least once.
    pub(crate) unreachable: BTreeSet<String>,
    /// The format shows every failure, also one that is ignored.
    pub(crate) shows_failures: bool,
    /// Hosts on which the last task of all failed.
    pub(crate) failed_last: BTreeSet<String>,
    /// Hosts with any result in the last play.
    pub(crate) in_last_play: BTreeSet<String>,
    /// The output says that the last play ended early, for every host.
    pub(crate) no_more_hosts: bool,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The numbers of hosts and tasks, for formats that repeat their names.
    pub(crate) numbers: (HashMap<String, usize>, HashMap<String, usize>),
}

impl Run {
    /// The number of a host.
    pub(crate) fn host(&mut self, name: &str) -> usize {
        number(&mut self.hosts, &mut self.numbers.0, name)
    }

    /// The number of a task; equal names have one.
    pub(crate) fn task(&mut self, name: &str) -> usize {
        number(&mut self.tasks, &mut self.numbers.1, name)
    }
}

fn number(names: &mut Vec<String>, numbers: &mut HashMap<String, usize>, name: &str) -> usize {
    if let Some(at) = numbers.get(name) {
        return *at;
    }
    let at = names.len();
    names.push(name.to_owned());
    numbers.insert(name.to_owned(), at);
    at
}

/// Standard output without a byte order mark.
pub(crate) fn output(stdout: Stream<'_>) -> Result<&[u8], ParseError> {
    let bytes = stdout.bytes();
    let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    if head.contains(&0) {
        return Err(ParseError::format("not UTF-8 text").hint("save the output as UTF-8"));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// The failure that the tool's own words and a failing exit code name, instead of `error`.
pub(crate) fn failed_or(input: &Input<'_>, error: ParseError) -> Result<Parsed, ParseError> {
    match input.exit {
        None | Some(0) => Err(error),
        Some(_) => failure(input)
            .map(|failure| {
                let diagnostics = Warnings::of(input).of_less().collect();
                Parsed { failure: Some(failure), diagnostics, ..parsed(input) }
            })
            .ok_or(error),
    }
}

pub(crate) fn parsed(input: &Input<'_>) -> Parsed {
    Parsed {
        tool: Tool { name: "ansible".into(), version: version(input.stdout.bytes()) },
        ..Parsed::new("ansible")
    }
}

/// `-vv` and more begin with `ansible-playbook [core 2.20.10]`, or `ansible-playbook 2.9.27`.
fn version(stdout: &[u8]) -> Option<String> {
    let line = text::lines(stdout).next()?;
    let line = text::string(&line.plain());
    let rest = line.strip_prefix("ansible-playbook ").or_else(|| line.strip_prefix("ansible "))?;
    let version = rest.strip_prefix("[core ").and_then(|rest| rest.split([' ', ']']).next()).unwrap_or(rest);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.trim().to_owned())
}

/// Holds the results against the last recap, the exit code and the command line.
pub(crate) fn settle(input: &Input<'_>, run: Run) -> Result<Parsed, ParseError> {
    let Run {
        recaps,
        findings,
        hosts,
        tasks,
        answered,
        succeeded,
        failures,
        mut unreachable,
        failed_last,
        in_last_play,
        no_more_hosts,
        diagnostics,
        shows_failures,
        numbers: _,
    } = run;
    let line = command_line(input.argv);
    let count = recaps.len();
    let Some(recap) = cumulative(recaps)? else {
        return failed_or(input, ParseError::cut("no recap"));
    };
    let warnings = Warnings::of(input);
    if recap.is_empty() {
        let hint = warnings.hint("check inventory, limit and the hosts of the plays");
        let error = ParseError::no_scopes("no host was looked at: the recap is empty").hint(hint);
        return failed_or(input, error);
    }
    let playbooks = line.as_ref().map_or(0, |line| line.playbooks);
    if matches!(input.exit, None | Some(0)) && count < playbooks {
        return Err(ParseError::cut(format!("{count} recaps for {playbooks} playbooks")));
    }
    if let Some((host, at)) = answered.iter().find(|(host, _)| !recap.contains_key(*host)) {
        let error = ParseError::contradiction(format!("host {host:?} has results and is not in the recap"));
        return Err(at.map_or(error.clone(), |at| error.at(at)));
    }
    unreachable.extend(unreached(input, &recap, &failures, shows_failures));
    one_run(&recap, &succeeded, &failures)?;
    if matches!(input.exit, Some(2..=4)) && !recap.values().any(Stats::is_lost) {
        let code = input.exit.unwrap_or_default();
        return failed_or(
            input,
            ParseError::contradiction(format!(
                "exit code {code} says that a host failed or was unreachable, the recap that none did"
            )),
        );
    }

    let mut parsed = Parsed { diagnostics: warnings.of_less().collect(), ..parsed(input) };
    parsed.diagnostics.extend(diagnostics);
    // In the order of the recap's hosts.
    let names: Vec<&String> = recap.keys().collect();
    let places: Vec<_> = hosts.iter().map(|host| names.binary_search(&host).ok()).collect();
    let tasks = Tasks::new(&tasks, findings.iter().map(|finding| finding.task));
    let mut by_host: Vec<Vec<Finding>> = names.iter().map(|_| Vec::new()).collect();
    parsed.resources.reserve(findings.len());
    for finding in findings {
        let place = places.get(finding.host).copied().flatten();
        if let Some(of_host) = place.and_then(|at| by_host.get_mut(at)) {
            of_host.push(finding);
        }
    }
    for ((host, stats), findings) in recap.iter().zip(by_host) {
        account(host, stats, findings, &tasks, &mut parsed)?;
    }
    if line.is_some_and(|line| !line.check) {
        parsed.diagnostics.push(without_check(&parsed.resources));
    }
    // A task that was skipped has looked at nothing. Before 2.8 the recap doesn't count it, so its zeros are all there is.
    if parsed.resources.is_empty()
        && recap.values().all(|stats| stats.ok == 0 && !stats.is_lost() && stats.forgiven() == 0)
    {
        let error = ParseError::no_scopes("every task was skipped on every host: nothing was looked at")
            .hint("check tags and conditions; in check mode, command, shell and raw run nothing");
        return failed_or(input, error);
    }
    parsed.diagnostics.extend(forgiven(&recap));
    parsed.said = if recap.values().any(|stats| stats.changed > 0) || !parsed.resources.is_empty() {
        Said::Changes
    } else {
        Said::NoChanges
    };
    parsed.scopes = scopes(&recap, &unreachable);
    parsed.scopes.unread.extend(warnings.lost_sources());
    // Exit code 0 with a failed host: the failure was cleared, and the run went on.
    if input.exit != Some(0) {
        if no_more_hosts {
            stopped(&mut parsed, |host| in_last_play.contains(host));
        } else if let Some(failed) =
            failed_last.iter().find(|host| recap.get(*host).is_some_and(Stats::is_lost))
        {
            // `any_errors_fatal` from ansible-core 2.19 on leaves no other trace than this, and so does any failure of a last task.
            parsed.diagnostics.push(Diagnostic::warning(format!(
                "the last task failed on {failed}: if its play has any_errors_fatal, the tasks after it were skipped on every host"
            )));
            // A host that did nothing but skip was not looked at even then.
            stopped(&mut parsed, |host| {
                in_last_play.contains(host) && recap.get(host).is_some_and(|stats| stats.ok == 0)
            });
        }
    }
    if claim(input) == Claim::Failed {
        parsed.failure = failure(input);
    } else if !recap.values().any(Stats::is_lost) {
        parsed.failure = failed_before(input);
    }
    Ok(parsed)
}

/// Hosts that were not reached though no result on standard output says so: it stands on standard error, or `no_log` hides it, or it is missing. Where it
/// was ignored the recap counts it among what was ignored.
fn unreached(
    input: &Input<'_>,
    recap: &Recap,
    failures: &BTreeMap<String, u32>,
    shows_failures: bool,
) -> Vec<String> {
    let shown = |host: &String| failures.get(host).copied().unwrap_or_default();
    let ignored = |host: &String| recap.get(host).is_some_and(|stats| stats.ignored > Some(shown(host)));
    let mut hosts: Vec<String> =
        recap.keys().filter(|host| shows_failures && ignored(host)).cloned().collect();
    hosts.extend(stderr::unreachable(input.stderr.bytes(), recap));
    hosts
}

/// Said of a run that changes what differs.
pub(crate) fn without_check(resources: &[Resource]) -> Diagnostic {
    Diagnostic::warning(if resources.is_empty() {
        "ran without --check: what differs is changed, not only shown"
    } else {
        "ran without --check: these changes were made"
    })
}

/// The last recap. An earlier one that it doesn't contain belongs to another run.
fn cumulative(recaps: Vec<Recap>) -> Result<Option<Recap>, ParseError> {
    let mut last: Option<Recap> = None;
    for recap in recaps {
        if let Some(before) = last {
            let shrunk = before.iter().find(|(host, stats)| {
                !recap.get(*host).is_some_and(|now| {
                    (now.ok >= stats.ok)
                        && (now.changed >= stats.changed)
                        && (now.failed >= stats.failed)
                        && (now.unreachable >= stats.unreachable)
                })
            });
            if let Some((host, stats)) = shrunk {
                let error = ParseError::contradiction(format!(
                    "a later recap counts less for host {host:?}: the output holds several runs"
                ))
                .hint("make each run of ansible-playbook a check of its own");
                return Err(stats.line.map_or(error.clone(), |line| error.at(line)));
            }
        }
        last = Some(recap);
    }
    Ok(last)
}

/// Results that the recap doesn't count belong to another run, which ended without a recap of its own.
fn one_run(
    recap: &Recap,
    succeeded: &BTreeMap<String, u32>,
    failures: &BTreeMap<String, u32>,
) -> Result<(), ParseError> {
    let more = |host: &str, stats: &Stats, shown: u32, what: &str, counted: u32| {
        let error = ParseError::contradiction(format!(
            "host {host:?} has {shown} {what}, its recap counts {counted}: the output holds several runs, or a task's own output looks like results"
        ))
        .hint("make each run of ansible-playbook a check of its own");
        stats.line.map_or(error.clone(), |line| error.at(line))
    };
    for (host, stats) in recap {
        let ok = succeeded.get(host).copied().unwrap_or_default();
        if ok > stats.ok {
            return Err(more(host, stats, ok, "tasks that were ok or changed", stats.ok));
        }
        let failed = failures.get(host).copied().unwrap_or_default();
        let counted = stats.failed.saturating_add(stats.unreachable).saturating_add(stats.forgiven());
        // Before 2.8 nobody knows how many were rescued.
        if failed > counted && stats.rescued.is_some() {
            return Err(more(host, stats, failed, "failures", counted));
        }
    }
    Ok(())
}

/// What a task would have changed that failed nobody knows, also where the run went on.
fn forgiven(recap: &Recap) -> Option<Diagnostic> {
    const NAMED: usize = 3;
    let hosts: Vec<&str> =
        recap.iter().filter(|(_, stats)| stats.forgiven() > 0).map(|(host, _)| host.as_str()).collect();
    let count = recap.values().fold(0_u32, |sum, stats| sum.saturating_add(stats.forgiven()));
    let mut names = hosts.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if let Some(more) = hosts.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names = format!("{names} and {more} more");
    }
    let failures = if count == 1 { "failure was" } else { "failures were" };
    (count > 0).then(|| {
        Diagnostic::warning(format!(
            "{count} {failures} ignored or rescued on {names}: what those tasks would have changed isn't known"
        ))
    })
}

/// A host that was unreachable once is unread even where that was ignored: nobody knows what the task would have said, and a
/// later `ok` may come from a task that runs on the controller.
fn scopes(recap: &Recap, unreachable: &BTreeSet<String>) -> Scopes {
    let mut scopes = Scopes::default();
    for (host, stats) in recap {
        let reason = if stats.unreachable > 0 || unreachable.contains(host) {
            Some(UnreadReason::Unreachable)
        } else if stats.failed > 0 {
            Some(UnreadReason::Failed)
        } else {
            None
        };
        match reason {
            Some(reason) => scopes.unread.push(Unread { scope: host.clone(), reason }),
            None => scopes.read.push(host.clone()),
        }
    }
    let elsewhere = unreachable.iter().filter(|host| !recap.contains_key(*host));
    let lost = |host: &String| Unread { scope: host.clone(), reason: UnreadReason::Unreachable };
    scopes.unread.extend(elsewhere.map(lost));
    scopes
}

/// `any_errors_fatal` and `max_fail_percentage` end a play for every host, and the recap shows the others as fine: they are
/// unread as well.
fn stopped(parsed: &mut Parsed, ended: impl Fn(&str) -> bool) {
    let (ended, read): (Vec<_>, Vec<_>) = parsed.scopes.read.iter().cloned().partition(|host| ended(host));
    parsed.scopes.read = read;
    let unread = ended.into_iter().map(|scope| Unread { scope, reason: UnreadReason::Failed });
    parsed.scopes.unread.extend(unread);
}

/// The names of tasks and their order.
struct Tasks<'a> {
    names: &'a [String],
    /// Equal for equal names.
    ranks: Vec<usize>,
}

impl<'a> Tasks<'a> {
    /// Of the tasks that are `asked` for: few of many have changed anything.
    fn new(names: &'a [String], asked: impl Iterator<Item = usize>) -> Self {
        let mut ranks = vec![0; names.len()];
        let mut sorted: Vec<(u64, &[u8], usize)> = Vec::new();
        for at in asked {
            if let (Some(rank), Some(name)) = (ranks.get_mut(at), names.get(at))
                && std::mem::replace(rank, 1_usize) == 0
            {
                sorted.push((0, name.as_bytes(), at));
            }
        }
        // Names that begin alike are compared as numbers.
        let alike = report::alike(sorted.iter().map(|(_, name, _)| *name));
        for (number, name, _) in &mut sorted {
            *number = report::head(name.get(alike..).unwrap_or_default());
        }
        sorted.sort_unstable();
        let (mut rank, mut before) = (0_usize, None);
        for (_, name, at) in sorted {
            rank = rank.saturating_add(usize::from(before.replace(name) != Some(name)));
            if let Some(of_task) = ranks.get_mut(at) {
                *of_task = rank;
            }
        }
        Self { names, ranks }
    }

    fn name(&self, finding: &Finding) -> &'a str {
        self.names.get(finding.task).map_or("", String::as_str)
    }

    fn rank(&self, finding: &Finding) -> usize {
        self.ranks.get(finding.task).copied().unwrap_or_default()
    }
}

/// Lists the changes of one host so that they explain its count, and says so where they don't.
fn account(
    host: &str,
    counts: &Stats,
    findings: Vec<Finding>,
    tasks: &Tasks<'_>,
    parsed: &mut Parsed,
) -> Result<(), ParseError> {
    let counted = usize::try_from(counts.changed).unwrap_or(usize::MAX);
    let (failed, mut changed): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.failed);
    merge_split_loops(&mut changed, tasks, counted);
    let missing = counted.saturating_sub(changed.len());
    let ignored = failed.iter().filter(|finding| finding.ignored).count();
    let take_all = missing > 0 && ignored != missing;
    let mut warn = |summary: String| {
        let line = counts.line;
        parsed.diagnostics.push(Diagnostic { line, ..Diagnostic::warning(summary) });
    };

    let taken = |finding: &Finding| missing > 0 && (take_all || finding.ignored);
    let explained = failed.iter().filter(|finding| taken(finding)).count();
    if explained > missing {
        warn(format!(
            "{host}: {explained} failed tasks report changes and {missing} of them count as changed; all are listed"
        ));
    }
    // A loop that failed after some of its items had changed something counts as failed or rescued, not as changed.
    let uncounted = failed.iter().filter(|finding| !taken(finding) && finding.shown).count();
    let excused = counts.failed > 0 || counts.unreachable > 0 || counts.rescued != Some(0);
    let excess = changed.len().saturating_sub(counted).saturating_add(if excused { 0 } else { uncounted });
    if excess > 0 && counted == 0 {
        let error = ParseError::contradiction(format!(
            "host {host:?} has {excess} changed tasks, its recap counts none"
        ));
        let first = changed.iter().chain(&failed).filter_map(|finding| finding.span).min();
        return Err(first.map_or(error.clone(), |Span(line, _)| error.at(line)));
    }
    if excess > 0 {
        let shown = counted.saturating_add(excess);
        warn(format!("{host}: recap says changed={counted}, result lines show {shown}"));
    }
    let hidden = missing.saturating_sub(explained);
    if hidden > 0 {
        let shown = counted.saturating_sub(hidden);
        warn(format!("{host}: recap says changed={counted}, result lines show {shown}"));
        let name = format!("({hidden} changes not shown)");
        parsed.resources.push(Resource::new(Source::Plan, host, "", name, Action::Change));
    }
    let mut listed = changed;
    listed.extend(failed.into_iter().filter(|finding| finding.shown || taken(finding)));
    // Host by host and sorted: the report, which sorts all of them, has next to nothing left to compare.
    let mut order: Vec<(usize, usize)> =
        listed.iter().zip(0_usize..).map(|(one, at)| (tasks.rank(one), at)).collect();
    order.sort_unstable();
    // Text names no module. Comparing nothing, over and over, would take longer than reading it.
    if listed.iter().any(|one| !one.kind.is_empty()) {
        order.sort_by_cached_key(|(_, at)| listed.get(*at).map(|one| one.kind.clone()));
    }
    for (_, at) in order {
        let Some(finding) = listed.get_mut(at) else { continue };
        let kind = std::mem::take(&mut finding.kind);
        parsed.resources.push(Resource {
            span: finding.span,
            attributes: finding.attributes.take(),
            ..Resource::new(Source::Plan, host, kind, tasks.name(finding), Action::Change)
        });
    }
    Ok(())
}

/// Merges looped tasks of the same name and play, the last ones first, while there are more than `counted`.
fn merge_split_loops(findings: &mut Vec<Finding>, tasks: &Tasks<'_>, counted: usize) {
    let excess = findings.len().saturating_sub(counted);
    if excess == 0 {
        return;
    }
    let mut first_of: HashMap<(u32, usize), usize> = HashMap::new();
    let mut twins: Vec<(usize, usize)> = Vec::new();
    for (at, finding) in findings.iter().enumerate() {
        let Some(play) = finding.play else { continue };
        match first_of.entry((play, tasks.rank(finding))) {
            Entry::Occupied(first) => twins.push((at, *first.get())),
            Entry::Vacant(free) => {
                free.insert(at);
            }
        }
    }
    let keep = twins.len().saturating_sub(excess);
    let merged: BTreeMap<usize, usize> = twins.into_iter().skip(keep).collect();
    for first in merged.values() {
        if let Some(first) = findings.get_mut(*first) {
            first.span = None;
            first.attributes = None;
        }
    }
    let mut at = 0_usize..;
    findings.retain(|_| !at.next().is_some_and(|at| merged.contains_key(&at)));
}
