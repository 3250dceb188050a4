//! `/api/v1`: what the pages show, for programs. Every answer fits docs/api.schema.json. Times are RFC 3339 in UTC, durations seconds; nothing depends on when
//! it is asked, so that an answer that is the same has the same `ETag`.

use super::pages::command_line;
use super::query::{self, pairs};
use super::{Show, Site};
use crate::board::LastRun;
use crate::check::{Check, Reader};
use crate::drift::Seen;
use crate::history::{Against, Named, PastRun};
use crate::schedule::fnv1a;
use crate::snapshot::{Snapshot, View};
use crate::state::Run as KeptRun;
use driftrun_parsers::{Action, Class, Diagnostic, Document, DriftReport, Resource, Scopes, Verdict};
use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Items of one answer, unless it is asked for fewer or more.
const LIMIT: usize = 100;
const MOST: usize = 1_000;

/// What an API call comes to.
#[derive(Debug)]
pub(super) enum Answer {
    /// JSON.
    Json(StatusCode, Vec<u8>),
    /// An output, to be saved under a name.
    Output(Vec<u8>, String),
}

impl Answer {
    fn of(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::Json(StatusCode::OK, json),
            Err(error) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    pub(super) fn error(status: StatusCode, error: &str) -> Self {
        Self::Json(status, serde_json::json!({ "error": error }).to_string().into_bytes())
    }

    fn not_found(what: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, what)
    }
}

/// What identifies a resource within its check, in addresses and answers.
pub(super) fn resource_id(resource: &Resource) -> String {
    let Resource { source, scope, kind, name, .. } = resource;
    format!("{:016x}", fnv1a([source.as_str(), scope, kind, name].join("\0").as_bytes()))
}

/// Answers what stands below `/api/v1/`. Reads files where an earlier run's output is asked for.
pub(super) fn answer(path: &str, query: Option<&str>, snapshot: &Snapshot, site: &Site<'_>) -> Answer {
    let parts: Vec<&str> = path.split('/').collect();
    let ["checks", parts @ ..] = parts.as_slice() else {
        return Answer::not_found("no such path; docs/api.md lists them");
    };
    let [name, parts @ ..] = parts else { return checks(query, snapshot) };
    let Some(view) = snapshot.get(name) else { return Answer::not_found("no check of that name") };
    match parts {
        [] => Answer::of(&Detail::of(view)),
        ["report"] => report(view),
        ["resources"] => resources(view, query),
        ["runs"] => runs(view, query, snapshot),
        ["runs", id] => match find_run(view, id, snapshot) {
            Some(run) => Answer::of(&run_detail(view, &run)),
            None => Answer::not_found("no such run, or what it printed is not kept any more"),
        },
        ["run"] => Answer::error(StatusCode::METHOD_NOT_ALLOWED, "only POST asks for a run"),
        ["runs", id, "output"] => output(view, id, query, snapshot, site),
        _ => Answer::not_found("no such path; docs/api.md lists them"),
    }
}

/// A run whose output is kept: the last one, or one of the folder.
pub(super) fn find_run(view: &View, id: &str, snapshot: &Snapshot) -> Option<Arc<LastRun>> {
    let id: i64 = id.parse().ok()?;
    if let Some(last) = view.state.last.as_ref().filter(|last| last.started.as_millisecond() == id) {
        return Some(Arc::clone(last));
    }
    let mut run = snapshot.store.as_ref()?.run(&view.check.name, id).map(KeptRun::into_run)?;
    run.redact(&view.check.redact);
    Some(Arc::new(run))
}

/// `?limit=` and `?after=`.
struct Paging {
    limit: usize,
    after: Option<String>,
}

impl Paging {
    fn of(query: Option<&str>) -> Result<Self, Answer> {
        let pairs = pairs(query);
        let limit = match query::value(&pairs, "limit") {
            None => LIMIT,
            Some(limit) => match limit.parse() {
                Ok(limit @ 1..=MOST) => limit,
                _ => {
                    return Err(Answer::error(
                        StatusCode::BAD_REQUEST,
                        &format!("limit: write a number from 1 to {MOST}"),
                    ));
                }
            },
        };
        Ok(Self { limit, after: query::value(&pairs, "after").map(str::to_owned) })
    }

    /// The items behind `after`, and after which the next ones come.
    fn cut<T>(&self, items: Vec<T>, id: impl Fn(&T) -> String) -> Result<(Vec<T>, Option<String>), Answer> {
        let from = match &self.after {
            None => 0,
            Some(after) => match items.iter().position(|item| id(item) == *after) {
                Some(at) => at + 1,
                None => {
                    return Err(Answer::error(
                        StatusCode::BAD_REQUEST,
                        "after: nothing here has that id any more; begin again without it",
                    ));
                }
            },
        };
        let is_last = items.len() <= from + self.limit;
        let items: Vec<T> = items.into_iter().skip(from).take(self.limit).collect();
        let next = if is_last { None } else { items.last().map(id) };
        Ok((items, next))
    }
}

fn checks(query: Option<&str>, snapshot: &Snapshot) -> Answer {
    #[derive(Serialize)]
    struct List<'a> {
        checks: Vec<Summary<'a>>,
        total: usize,
        next: Option<String>,
    }
    if let Err(error) = query::Checks::check(query) {
        return Answer::error(StatusCode::BAD_REQUEST, &error);
    }
    let wanted = query::Checks { sort: query::Sort::Name, reverse: false, ..query::Checks::of(query) };
    let found = wanted.select(&snapshot.views);
    let total = found.len();
    let cut = Paging::of(query).and_then(|paging| {
        // A check may be gone meanwhile: what comes after its name is what comes next.
        let after = paging.after.clone().unwrap_or_default();
        let found: Vec<&View> = found
            .into_iter()
            .filter(|view| view.check.name.as_str() > after.as_str() || after.is_empty())
            .collect();
        Paging { after: None, ..paging }.cut(found, |view| view.check.name.clone())
    });
    match cut {
        Ok((views, next)) => {
            Answer::of(&List { checks: views.into_iter().map(Summary::of).collect(), total, next })
        }
        Err(answer) => answer,
    }
}

/// One check in a few lines.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    verdict: Option<Verdict>,
    class: Option<Class>,
    reason: Option<&'a str>,
    running_since: Option<Timestamp>,
    run_asked_for: bool,
    command_changed: bool,
    next_run: Option<Timestamp>,
    interval_seconds: f64,
    last_run: Option<Run<'a>>,
    last_success: Option<Timestamp>,
    drift: Option<DriftSummary<'a>>,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct DriftSummary<'a> {
    resources: u64,
    by_action: &'a BTreeMap<Action, u64>,
    outside: u64,
    ignored: u64,
    dropped: u64,
    oldest: Option<Timestamp>,
    reported: Timestamp,
    run: String,
    parser: &'a str,
    tool: &'a str,
    tool_version: Option<&'a str>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        let (check, state) = (&view.check, &view.state);
        let last = state.last.as_ref();
        let past = last.and_then(|last| state.history.get(last.started.as_millisecond()));
        Self {
            name: &check.name,
            labels: &check.labels,
            verdict: last.map(|last| last.verdict),
            class: last.and_then(|last| last.class),
            reason: last.and_then(|last| last.reason.as_deref()),
            running_since: state.running,
            run_asked_for: state.wanted,
            command_changed: state.changed_since,
            next_run: state.next_run,
            interval_seconds: state.interval.as_secs_f64(),
            last_run: past.map(|run| Run::of(run, true)),
            last_success: state.last_success,
            drift: state.drift.as_ref().map(|drift| DriftSummary {
                resources: drift.tally.drifted(),
                by_action: &drift.tally.drift,
                outside: drift.tally.outside,
                ignored: drift.tally.ignored,
                dropped: drift.dropped(),
                oldest: drift.oldest,
                reported: drift.reported,
                run: drift.run.as_millisecond().to_string(),
                parser: drift.parser.name(),
                tool: &drift.tool.name,
                tool_version: drift.tool.version.as_deref(),
            }),
            url: check.url.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Run<'a> {
    id: String,
    started: Timestamp,
    ended: Timestamp,
    duration_seconds: f64,
    verdict: Verdict,
    class: Option<Class>,
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    drifted: Option<u64>,
    change: Option<Change<'a>>,
    output_kept: bool,
}

#[derive(Default, Serialize)]
struct Change<'a> {
    new: u64,
    new_resources: &'a [Named],
    resolved: u64,
    resolved_resources: &'a [Named],
}

impl<'a> Run<'a> {
    fn of(run: &'a PastRun, output_kept: bool) -> Self {
        Self {
            id: run.id().to_string(),
            started: run.started,
            ended: run.ended,
            duration_seconds: run.duration.as_secs_f64(),
            verdict: run.verdict,
            class: run.class,
            reason: run.reason.as_deref(),
            exit_code: run.code,
            drifted: run.drifted,
            change: match &run.against {
                Against::Nothing => None,
                Against::Same => Some(Change::default()),
                Against::Changed(change) => Some(Change {
                    new: change.appeared_count,
                    new_resources: &change.appeared,
                    resolved: change.resolved_count,
                    resolved_resources: &change.resolved,
                }),
            },
            output_kept,
        }
    }
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    configuration: Configuration,
    scopes: Option<&'a Scopes>,
    diagnostics: &'a [Diagnostic],
    unreadable_line: Option<u32>,
    revision: Option<&'a str>,
    used: Option<Used>,
}

/// Command lines are as people read them, without secrets.
#[derive(Serialize)]
struct Configuration {
    setup: Vec<String>,
    command: String,
    report: Option<String>,
    workdir: Option<String>,
    cron: Option<String>,
    timeout_seconds: f64,
    parser: Option<String>,
}

#[derive(Serialize)]
struct Used {
    cpu_user_seconds: f64,
    cpu_system_seconds: f64,
    max_resident_bytes: u64,
    stdout_bytes: u64,
    stderr_bytes: u64,
}

impl Used {
    fn of(last: &LastRun) -> Self {
        Self {
            cpu_user_seconds: last.cpu_user.as_secs_f64(),
            cpu_system_seconds: last.cpu_system.as_secs_f64(),
            max_resident_bytes: last.max_resident,
            stdout_bytes: last.stdout_bytes,
            stderr_bytes: last.stderr_bytes,
        }
    }
}

impl<'a> Detail<'a> {
    fn of(view: &'a View) -> Self {
        let (check, state) = (&*view.check, &view.state);
        let last = state.last.as_deref();
        Self {
            summary: Summary::of(view),
            configuration: configuration(check, state.parser.as_ref()),
            scopes: last.and_then(|last| last.scopes.as_ref()),
            diagnostics: last.map_or(&[], |last| &last.diagnostics),
            unreadable_line: last.and_then(|last| last.line),
            revision: last.and_then(|last| last.revision.as_deref()),
            used: last.map(Used::of),
        }
    }
}

fn configuration(check: &Check, parser: Option<&Reader>) -> Configuration {
    let seconds = |duration: Duration| duration.as_secs_f64();
    Configuration {
        setup: check.setup.iter().map(|argv| command_line(argv, check)).collect(),
        command: command_line(&check.command, check),
        report: check.report.as_ref().map(|argv| command_line(argv, check)),
        workdir: check.workdir.as_ref().map(|workdir| workdir.display().to_string()),
        cron: check.cron.as_ref().map(|cron| cron.as_str().to_owned()),
        timeout_seconds: seconds(check.timeout),
        parser: parser.map(|parser| parser.name().to_owned()),
    }
}

/// The last good report, as `--format json` prints one.
fn report(view: &View) -> Answer {
    let Some(drift) = &view.state.drift else { return Answer::not_found("no report yet") };
    let resources: Vec<Resource> = drift.resources.iter().map(|seen| seen.resource.clone()).collect();
    let last = view.state.last.as_ref().filter(|last| last.ended == drift.reported);
    Answer::of(&Document {
        parser: drift.parser.name(),
        tool: Some(&drift.tool.name),
        tool_version: drift.tool.version.as_deref(),
        verdict: drift.verdict(),
        reason: last.and_then(|last| last.reason.clone()),
        totals: DriftReport::totals_of(&resources),
        resources: &resources,
        scopes: Scopes::clone(&drift.scopes),
        diagnostics: last.map_or(&[], |last| &last.diagnostics),
    })
}

fn resources(view: &View, query: Option<&str>) -> Answer {
    #[derive(Serialize)]
    struct Listed<'a> {
        id: String,
        #[serde(flatten)]
        resource: &'a Resource,
        first_seen: Timestamp,
        in_last_report: bool,
    }
    #[derive(Serialize)]
    struct List<'a> {
        resources: Vec<Listed<'a>>,
        total: usize,
        /// Drift that is counted and not listed.
        dropped: u64,
        reported: Timestamp,
        next: Option<String>,
    }
    let Some(drift) = &view.state.drift else { return Answer::not_found("no report yet") };
    if let Err(error) = query::Resources::check(query) {
        return Answer::error(StatusCode::BAD_REQUEST, &error);
    }
    let wanted = query::Resources::of(query);
    let wants = wanted.wants();
    let found: Vec<(usize, &Seen)> =
        drift.resources.iter().enumerate().filter(|(_, seen)| wants(&seen.resource)).collect();
    let total = found.len();
    let cut = Paging::of(query).and_then(|paging| paging.cut(found, |(_, seen)| resource_id(&seen.resource)));
    match cut {
        Ok((found, next)) => {
            let listed = |(position, seen): (usize, &'_ Seen)| Listed {
                id: resource_id(&seen.resource),
                resource: &drift.resources[position].resource,
                first_seen: seen.first_seen,
                in_last_report: !drift.is_older(position),
            };
            Answer::of(&List {
                resources: found.into_iter().map(listed).collect(),
                total,
                dropped: drift.dropped(),
                reported: drift.reported,
                next,
            })
        }
        Err(answer) => answer,
    }
}

fn runs(view: &View, query: Option<&str>, snapshot: &Snapshot) -> Answer {
    #[derive(Serialize)]
    struct List<'a> {
        runs: Vec<Run<'a>>,
        total: usize,
        next: Option<String>,
    }
    let newest: Vec<&Arc<PastRun>> = view.state.history.runs().iter().rev().collect();
    let total = newest.len();
    let last = view.state.last.as_ref().map(|last| last.started.as_millisecond());
    match Paging::of(query).and_then(|paging| paging.cut(newest, |run| run.id().to_string())) {
        Ok((runs, next)) => {
            let kept: Vec<i64> =
                snapshot.store.as_ref().map(|store| store.runs(&view.check.name)).unwrap_or_default();
            let is_kept = |run: &PastRun| Some(run.id()) == last || kept.binary_search(&run.id()).is_ok();
            let runs = runs.into_iter().map(|run| Run::of(run, is_kept(run))).collect();
            Answer::of(&List { runs, total, next })
        }
        Err(answer) => answer,
    }
}

fn run_detail(view: &View, run: &LastRun) -> impl Serialize {
    serde_json::json!({
        "id": run.started.as_millisecond().to_string(),
        "check": view.check.name,
        "started": run.started,
        "ended": run.ended,
        "duration_seconds": run.duration.as_secs_f64(),
        "verdict": run.verdict,
        "class": run.class,
        "reason": run.reason,
        "exit_code": run.code,
        "revision": run.revision,
        "scopes": run.scopes,
        "diagnostics": run.diagnostics,
        "unreadable_line": run.line,
        "used": Used::of(run),
    })
}

fn output(view: &View, id: &str, query: Option<&str>, snapshot: &Snapshot, site: &Site<'_>) -> Answer {
    if site.show != Show::Output {
        return Answer::error(
            StatusCode::FORBIDDEN,
            "outputs are not shown on this address: see --web.output",
        );
    }
    let pairs = pairs(query);
    let stream = query::value(&pairs, "stream").unwrap_or("stdout");
    let Some(run) = find_run(view, id, snapshot) else {
        return Answer::not_found("no such run, or what it printed is not kept any more");
    };
    let kept = match stream {
        "stdout" => &run.printed.stdout,
        "stderr" => &run.printed.stderr,
        _ => return Answer::error(StatusCode::BAD_REQUEST, "stream: write stdout or stderr"),
    };
    if kept.is_withheld() {
        return Answer::error(StatusCode::NOT_FOUND, "the raw plan or state of Terraform is not kept");
    }
    let opened = kept.open();
    let [head, tail] = opened.parts();
    let gap = match opened.missing() {
        Some(bytes) => format!("\n[driftrun: about {bytes} bytes are not kept here]\n"),
        None => String::new(),
    };
    Answer::Output([head, gap.as_bytes(), tail].concat(), format!("{}-{id}-{stream}.txt", view.check.name))
}
