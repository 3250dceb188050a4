//! One check: what drifted, since when, the diff of each resource; why there is no better news; what it printed; how it has fared; what it runs.

use super::chart::durations;
use super::output::{self, Much, Which};
use super::{
    Reload, actions, ago, ago_at, badge, crumbs, drifts, ended, iso, labels, last_verdict, next_run, page,
    pager, progress, shown_line, size, span, took,
};
use crate::board::{LastRun, is_near_limit};
use crate::check::Check;
use crate::config::units::show_duration;
use crate::diff::{self, Style};
use crate::drift::{Drift, Seen};
use crate::history::{Against, Change, Named, PastRun};
use crate::printed::Opened;
use crate::show::text::printable;
use crate::snapshot::{Snapshot, View};
use crate::web::api::resource_id;
use crate::web::query::{Page, Resources};
use crate::web::{Show, Site};
use driftrun_parsers::{Action, Severity, Source, Verdict};
use jiff::Timestamp;
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Resources on one page.
const SIZE: usize = 200;

/// Lines of one resource's diff, and of all on one page.
const LINES: usize = 400;
const LINES_IN_ALL: usize = 8_000;

/// Diffs are open from the beginning until so many of their lines are shown.
const LINES_OPEN: usize = 80;

/// With no more resources than these nobody needs a filter.
const FEW: usize = 3;

/// Attributes of one resource that are named.
const ATTRIBUTES: usize = 12;

/// Runs that are listed; the rest is folded away.
const RUNS: usize = 15;

pub(in crate::web) fn check(
    view: &View,
    snapshot: &Snapshot,
    site: &Site<'_>,
    query: Option<&str>,
) -> Markup {
    let (check, state) = (&view.check, &view.state);
    let reload = if state.running.is_some() { Reload::After(10) } else { Reload::Never };
    page(
        &check.name,
        site,
        reload,
        Some(&format!("?check={}", check.name)),
        &html! {
            (crumbs(site, None))
            div #summary data-live {
                h1 { (check.name) " " (badge(last_verdict(view))) }
                @if !check.labels.is_empty() { p.labels { (labels(check)) } }
                (verdict(view, site))
                (actions_bar(view, site))
            }
            (live(view, site))
            // What has just failed is what somebody wants to see first.
            @let is_broken = state.last.as_ref().is_some_and(|last| matches!(last.verdict, Verdict::Failed | Verdict::Timeout | Verdict::Unreadable));
            @if is_broken { (output_part(view, site)) (drift_parts(view, site, query)) }
            @else { (drift_parts(view, site, query)) (output_part(view, site)) }
            div #history data-live { (history(view, snapshot, site)) }
            div #facts data-live { (facts(view, site.now)) }
        },
    )
}

/// The resources. Their filter is a part by itself: what is typed there stays when they change.
fn drift_parts(view: &View, site: &Site<'_>, query: Option<&str>) -> Markup {
    let wanted = Resources::of(query);
    let drift = view.state.drift.as_ref().filter(|drift| !drift.resources.is_empty() || drift.dropped() > 0);
    html! {
        div #drift-filter data-live {
            @if let Some(drift) = drift {
                h2 { "Drift" }
                @if drift.listed() > FEW || wanted.is_filtered() { (filter(drift, &wanted)) }
            }
        }
        div #drift data-live { @if let Some(drift) = drift { (drift_section(view, drift, site, &wanted)) } }
    }
}

fn output_part(view: &View, site: &Site<'_>) -> Markup {
    html! { div #output data-live { @if let Some(last) = &view.state.last { (remarks(last)) (output_section(view, last, site)) } } }
}

/// In a sentence or two: what is the matter, since when.
fn verdict(view: &View, site: &Site<'_>) -> Markup {
    let (state, now) = (&view.state, site.now);
    let Some(last) = &state.last else {
        return html! {
            @if state.running.is_some() { p.lead { "Its first run is under way." } }
            @else { p.lead { "This check has not run yet. Next run: " (next_run(view, now)) "." } }
        };
    };
    html! {
        @if state.changed_since { p.note { "The configuration has another command by now, which has not run yet: what stands here is of the one before." } }
        @if let Some(drift) = &state.drift {
            @let is_old = last.ended != drift.reported;
            p.lead {
                @if drift.tally.drifted() > 0 {
                    strong { (drifts(drift.tally.drifted())) } ": " (actions(&drift.tally.drift))
                    @if let Some(since) = drift.oldest { ". Oldest: " time datetime=(iso(since)) { (span(since, now)) } ", seen first " (since.strftime("%Y-%m-%d %H:%M UTC")) }
                    "."
                    @if is_old { " " span.old { "This is what the last good report said, " (ago(drift.reported, now)) ": the runs since then could not tell." } }
                }
                @else if is_old { span.old { "Whether anything drifts is not known: nothing did in the last good report, " (ago(drift.reported, now)) ", and the runs since then could not tell." } }
                @else if last.verdict == Verdict::Clean { "Nothing drifts." }
                @else { "Nothing drifts in what could be read, which is not everything." }
            }
        } @else {
            @match last.verdict {
                Verdict::Clean => p.lead { "Clean, judged by its exit code alone: nothing reads what it prints." },
                Verdict::Drifted => p.lead { "Something drifts, judged by its exit code alone: nothing reads what it prints." },
                Verdict::Partial | Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => {}
            }
        }
        (why(last, site, Some(view)))
        @if last.leaked { p.note { "A process that outlived the run still held its output when the run was closed." } }
        @if let Some(scopes) = last.scopes.as_ref().filter(|scopes| !scopes.unread.is_empty()) {
            p { "Not read: " @for (n, unread) in scopes.unread.iter().enumerate() { @if n > 0 { ", " } code { (printable(&unread.scope)) } " (" (unread.reason.as_str()) ")" } }
        }
        p.when { "Last run " (ago_at(last.ended, now)) ", took " (took(last.duration)) ", " (ended(&last.end))
            @if !last.verdict.is_success() { @if let Some(success) = state.last_success { " · last success " (ago_at(success, now)) } @else { " · no success yet" } }
            " · next run " (next_run(view, now)) }
    }
}

/// Since when no run was a good one, where it is more than the last.
fn failing(view: &View) -> Option<String> {
    let runs = view.state.history.runs();
    let bad = runs.iter().rev().take_while(|run| !run.is_good()).count();
    let first = runs.get(runs.len() - bad)?;
    let since = first.ended.strftime("%Y-%m-%d %H:%M UTC");
    // Of what is remembered good runs go first: there may have been some between old failures.
    (bad > 1).then(|| {
        format!(
            "No good run since {since}: {bad} in a row{}.",
            if bad == runs.len() { " that are remembered" } else { "" }
        )
    })
}

/// Why a run was no good one, with the line that could not be read.
pub(super) fn why(last: &LastRun, site: &Site<'_>, now: Option<&View>) -> Markup {
    html! {
        @if let Some(reason) = &last.reason {
            div class={ "why " (last.verdict.as_str()) } {
                p { strong { (last.verdict.as_str()) @if let Some(class) = last.class { " (" (class.as_str()) ")" } ": " } (printable(reason)) }
                @if let Some(failing) = now.and_then(failing) { p.note { (failing) } }
                @if let (Some(line), Show::Output) = (last.line, site.show) { (output::around(&last.printed.stdout.open(), line)) }
            }
        }
    }
}

fn actions_bar(view: &View, site: &Site<'_>) -> Markup {
    let path = format!("{}/api/v1/checks/{}", site.link, view.check.name);
    html! {
        div.actions {
            @if site.lifecycle {
                form method="post" action={ (path) "/run" } data-run {
                    button type="submit" disabled[view.state.running.is_some() || view.state.wanted] { @if view.state.wanted { "Run asked for" } @else { "Run now" } }
                }
            }
            a href=(path) { "JSON" }
        }
    }
}

/// What the run under way prints. Without JavaScript: what it has printed so far.
fn live(view: &View, site: &Site<'_>) -> Markup {
    let running = view.state.running.is_some();
    let news = view.state.live.as_ref().filter(|_| site.show == Show::Output).map(|live| live.news(0));
    let (texts, next) = news.map(|news| (news.texts, news.next)).unwrap_or_default();
    html! {
        section #live aria-label="The run under way" hidden[!running] {
            h2 { "Running" }
            div #progress data-live { (progress(view, site.now)) }
            @if site.show == Show::Output {
                pre.live tabindex="0" aria-label="Output so far" data-run=[view.state.running.map(Timestamp::as_millisecond)] data-next=(next) { @for (stream, text) in &texts { span class={ @match stream { crate::live::Stream::Out => "out", crate::live::Stream::Err => "err" } } { (text) } } }
            }
        }
    }
}

fn drift_section(view: &View, drift: &Drift, site: &Site<'_>, wanted: &Resources) -> Markup {
    let wants = wanted.wants();
    let all: Vec<(usize, &Seen)> = drift.resources.iter().enumerate().collect();
    let counting: Vec<(usize, &Seen)> =
        all.iter().copied().filter(|(_, seen)| seen.counts() && wants(&seen.resource)).collect();
    let ignored: Vec<(usize, &Seen)> =
        all.iter().copied().filter(|(_, seen)| seen.resource.ignored).collect();
    let rest: Vec<(usize, &Seen)> = all.iter().copied().filter(|(_, seen)| !seen.resource.drift).collect();
    let page = Page::new(wanted.page, SIZE, counting.len());
    let opened = drift.printed.stdout.open();
    let listing = Listing { drift, opened: &opened, site, style: Style::of(drift.parser.name()) };
    // Diffs of an older run are not what somebody looks for who comes for its failure.
    let is_old = view.state.last.as_ref().is_some_and(|last| last.ended != drift.reported);
    let open = if is_old { 0 } else { LINES_OPEN };
    html! {
        @if is_old { p.note { "From the report of " (drift.reported.strftime("%Y-%m-%d %H:%M:%S UTC")) ", as are the diffs and the numbers of their lines." } }
        @if drift.dropped() > 0 {
            p.note { (drifts(drift.tally.drifted())) "; " (drift.dropped()) " of them are counted only and not listed here (" code { "max_resources" } ", " code { "max_total_resources" } ")." }
        } @else if is_near_limit(&view.check, &view.state) {
            p.note { (drifts(drift.tally.drifted())) ", which comes near " code { "max_resources" } ", " (view.check.max_resources) ": those over it will be counted only." }
        }
        @if drift.tally.drifted() > 0 {
            @if counting.is_empty() && wanted.is_filtered() { p { "No listed resource matches." } }
            @else if counting.is_empty() { p { "None of them is listed." } }
            @else {
                (listing.table(&counting[page.from..page.to], open))
                (pager(page, "resources", |number| { let link = Resources { page: number, ..wanted.clone() }.link(); if link.is_empty() { "?".to_owned() } else { link } }))
            }
        }
        @if !ignored.is_empty() { details #ignored { summary { "Ignored by a rule: " (ignored.len()) } (listing.first(&ignored)) } }
        @if !rest.is_empty() { details #informational { summary { "Reported, but no drift: " (rest.len()) } (listing.first(&rest)) } }
    }
}

fn filter(drift: &Drift, wanted: &Resources) -> Markup {
    let there: BTreeSet<Action> = drift.tally.drift.keys().copied().collect();
    html! {
        form.filter role="search" method="get" data-filter {
            label { "Filter " input type="search" name="q" value=(wanted.text) placeholder="scope, kind, name, attribute" autocomplete="off" spellcheck="false"; }
            @if there.len() > 1 || wanted.action.is_some() {
                label { "Action " select name="action" {
                    option value="" { "any" }
                    @for action in there { option value=(action.as_str()) selected[wanted.action == Some(action)] { (action.as_str()) } }
                } }
            }
            button type="submit" { "Filter" }
            @if wanted.is_filtered() { " " a href="?" { "Show all" } }
        }
    }
}

/// How many lines of diffs may still be shown, and be open.
struct Left {
    lines: usize,
    open: usize,
}

impl Left {
    fn take(&mut self, lines: usize) {
        self.lines = self.lines.saturating_sub(lines.min(LINES));
        // What comes behind one that is not open isn't either.
        self.open = self.open.saturating_sub(lines);
    }
}

/// How resources are listed.
struct Listing<'a> {
    drift: &'a Drift,
    opened: &'a Opened<'a>,
    site: &'a Site<'a>,
    style: Style,
}

impl Listing<'_> {
    /// As many as stand on a page, and how many more there are.
    fn first(&self, resources: &[(usize, &Seen)]) -> Markup {
        let shown = &resources[..resources.len().min(SIZE)];
        html! {
            (self.table(shown, 0))
            @if resources.len() > SIZE { p.gap { (resources.len() - SIZE) " more are listed by the API." } }
        }
    }

    /// By scope, where there are several. Diffs of the first `open` lines are open.
    fn table(&self, resources: &[(usize, &Seen)], open: usize) -> Markup {
        let scopes = resources.chunk_by(|(_, a), (_, b)| {
            a.resource.scope == b.resource.scope && a.resource.source == b.resource.source
        });
        let grouped = resources.first().zip(resources.last()).is_some_and(|((_, a), (_, b))| {
            (&a.resource.scope, a.resource.source) != (&b.resource.scope, b.resource.source)
        });
        let mut left = Left { lines: LINES_IN_ALL, open };
        let has_scopes = resources.iter().any(|(_, seen)| !seen.resource.scope.is_empty());
        html! {
            div.wide tabindex="0" role="region" aria-label="Resources" { table.resources {
                thead { tr { th scope="col" { "Action" } th scope="col" { "Resource" } @if has_scopes { th scope="col" { "Scope" } } th scope="col" { "Source" } th scope="col" { "Changed attributes" } th scope="col" { "Since" } } }
                @for group in scopes {
                    tbody {
                        @if let (true, Some((_, first))) = (grouped, group.first()) {
                            tr.group { th scope="rowgroup" colspan="6" { @if first.resource.scope.is_empty() { "no scope" } @else { (printable(&first.resource.scope)) } span.size { " " (group.len()) } @if first.resource.source == Source::Refresh { span.tag { "changed outside" } } } }
                        }
                        @for (position, seen) in group { (self.row(*position, seen, has_scopes, &mut left)) }
                    }
                }
            } }
        }
    }

    fn row(&self, position: usize, seen: &Seen, has_scopes: bool, left: &mut Left) -> Markup {
        let Seen { resource, first_seen } = seen;
        let now = self.site.now;
        let older = self.drift.is_older(position);
        let lines = if older || self.site.show != Show::Output {
            None
        } else {
            resource.span.and_then(|span| self.opened.cut(span))
        };
        let diff = lines.filter(|lines| !lines.is_empty() && left.lines > 0);
        html! {
            tr id={ "r-" (resource_id(resource)) } {
                td data-title="Action" { span class={ "action " (resource.action.as_str()) } { (resource.action.as_str()) } }
                th scope="row" data-title="Resource" { code.name { (printable(&resource.name)) } @if resource.count > 1 { " × " (resource.count) }
                    @if !resource.kind.is_empty() { div.reason { (printable(&resource.kind)) } }
                    @if let Some(previous) = &resource.previous_name { div.reason { "was " code { (printable(previous)) } } } }
                @if has_scopes { td data-title="Scope" { (printable(&resource.scope)) } }
                td data-title="Source" {
                    @match resource.source { Source::Plan => "plan", Source::Refresh => "changed outside" }
                    @if resource.source == Source::Plan && resource.outside { " " span.tag { "also changed outside" } }
                    @if older { " " span.tag { "not seen in the last report" } }
                }
                td data-title="Changed" { @match &resource.attributes {
                    Some(paths) => {
                        @for (n, path) in paths.iter().take(ATTRIBUTES).enumerate() { @if n > 0 { ", " } code { (printable(path)) } }
                        @if paths.len() > ATTRIBUTES { " … " (paths.len() - ATTRIBUTES) " more" }
                    }
                    None => "–",
                } }
                td.since data-title="Since" { time datetime=(iso(*first_seen)) title=(iso(*first_seen)) { (span(*first_seen, now)) } }
            }
            @if let Some(lines) = diff {
                @let (first, last) = (lines.first().map_or(0, |line| line.number), lines.last().map_or(0, |line| line.number));
                tr.diffrow { td.diff colspan="6" {
                    details id={ "d-" (resource_id(resource)) } open[lines.len() <= left.open] {
                        summary { @if diff::is_one(&lines) { "Diff" } @else { "Output" } span.size { @if first == last { " line " (first) } @else { " lines " (first) "–" (last) } } }
                        (output::part(&lines, self.style, LINES.min(left.lines)))
                        @let () = left.take(lines.len());
                    }
                } }
            }
        }
    }
}

pub(super) fn remarks(last: &LastRun) -> Markup {
    // A failure's reason is mostly one of them.
    let said = |summary: &str| last.reason.as_ref().is_some_and(|reason| reason.contains(summary));
    let remarks: Vec<_> = last.diagnostics.iter().filter(|remark| !said(&remark.summary)).collect();
    html! {
        @if !remarks.is_empty() {
            h2 { "Remarks" }
            ul.remarks { @for remark in remarks {
                li { @match remark.severity { Severity::Error => strong { "Error: " }, Severity::Warning => strong { "Warning: " } } (printable(&remark.summary)) @if let Some(line) = remark.line { " (" a href={ "#stdout-L" (line) } { "line " (line) } ")" } }
            } }
        }
    }
}

fn output_section(view: &View, last: &LastRun, site: &Site<'_>) -> Markup {
    let check = &view.check;
    let run = format!("{}/checks/{}/runs/{}", site.link, check.name, last.started.as_millisecond());
    let raw =
        format!("{}/api/v1/checks/{}/runs/{}/output", site.link, check.name, last.started.as_millisecond());
    html! {
        h2 { "Output" }
        @match site.show {
            Show::Output => {
                @if check.report.is_some() { p.note { "What the command wrote; its report, which is what driftrun reads, is neither kept nor shown." } }
                (output::stream(Which::Out, &last.printed, Much::Some { whole: &run }, last.line, &raw))
                (output::stream(Which::Err, &last.printed, Much::Some { whole: &run }, None, &raw))
            }
            Show::TablesOnly => (not_shown())
        }
    }
}

/// Why no output is shown, and how it would be.
pub(super) fn not_shown() -> Markup {
    html! {
        p.note {
            "Not shown: an output can hold secrets, and this address can be reached from other machines. Let in users or certificates only (" code { "--web.config.file" } "), listen on a loopback address (" code { "--web.listen-address=127.0.0.1:9152" } "), or allow it with " code { "--web.output=always" } "."
        }
    }
}

fn history(view: &View, snapshot: &Snapshot, site: &Site<'_>) -> Markup {
    let runs = view.state.history.runs();
    let kept: BTreeSet<i64> = snapshot
        .store
        .as_ref()
        .map(|store| store.runs(&view.check.name))
        .unwrap_or_default()
        .into_iter()
        .collect();
    let last = view.state.last.as_ref().map(|last| last.started.as_millisecond());
    let is_kept = |run: &PastRun| Some(run.id()) == last || kept.contains(&run.id());
    let newest: Vec<&Arc<PastRun>> = runs.iter().rev().collect();
    let (shown, folded) = newest.split_at(newest.len().min(RUNS));
    let table = |runs: &[&Arc<PastRun>]| {
        html! {
            div.wide tabindex="0" role="region" aria-label="Runs" { table.runs {
                thead { tr { th scope="col" { "Ended" } th scope="col" { "Verdict" } th scope="col" { "Took" } th scope="col" { "Exit code" } th scope="col" { "Drift" } th scope="col" { "Against the run before" } } }
                tbody { @for run in runs { tr {
                    th scope="row" data-title="Ended" { @if is_kept(run) { a href={ (site.link) "/checks/" (view.check.name) "/runs/" (run.id()) } { (ago(run.ended, site.now)) } } @else { (ago(run.ended, site.now)) } " " span.at { (run.ended.strftime("%m-%d %H:%M:%S")) } }
                    td data-title="Verdict" { (badge(Some(run.verdict))) @if let Some(reason) = &run.reason { div.reason { (printable(reason)) } } }
                    td data-title="Took" { (took(run.duration)) }
                    td data-title="Exit code" { @if let Some(code) = run.code { (code) } @else { span.soft { "–" } } }
                    td data-title="Drift" { @if let Some(drifted) = run.drifted { (drifted) } @else { span.soft { "–" } } }
                    td data-title="Compared" { (change(run)) }
                } } }
            } }
        }
    };
    html! {
        @if !runs.is_empty() {
            h2 { "Runs" }
            (durations(runs, site.now))
            (table(shown))
            @if !folded.is_empty() { details #older-runs { summary { (folded.len()) " older ones; failures are kept longer" } (table(folded)) } }
            @if snapshot.store.is_none() { p.note { "What earlier runs printed is not kept: the configuration names no " code { "state_dir" } "." } }
        }
    }
}

/// What newly drifted and what was resolved.
pub(super) fn change(run: &PastRun) -> Markup {
    let change = match &run.against {
        Against::Nothing => return html! { span.soft { "–" } },
        Against::Same => return html! { span.soft { "the same" } },
        Against::Changed(change) => change,
    };
    let Change { appeared, appeared_count, resolved, resolved_count } = &**change;
    let list = |title: &str, count: u64, names: &[Named]| {
        html! {
            @if count > 0 { div { (count) " " (title) ": " @for (n, named) in names.iter().take(3).enumerate() { @if n > 0 { ", " } code { (printable(&named.name)) } } @if count > 3 { " …" } } }
        }
    };
    html! {
        (list("new", *appeared_count, appeared))
        (list("resolved", *resolved_count, resolved))
    }
}

fn facts(view: &View, now: Timestamp) -> Markup {
    let (check, state) = (&view.check, &view.state);
    html! {
        h2 { "The check" }
        dl.facts {
            @for setup in &check.setup { div { dt { "Setup" } dd { code { (shown_line(setup, check)) } } } }
            div { dt { "Command" } dd { code { (shown_line(&check.command, check)) } } }
            @if let Some(report) = &check.report { div { dt { "Report" } dd { code { (shown_line(report, check)) } } } }
            @if let Some(workdir) = &check.workdir { div { dt { "Folder" } dd { code { (workdir.display()) } } } }
            @if let Some(last) = &state.last {
                @if let Some(revision) = &last.revision { div { dt { "Commit" } dd { code { (revision) } } } }
                div { dt { "Exit" } dd { (ended(&last.end)) } }
                div { dt { "Used" } dd { (took(last.cpu_user)) " CPU user, " (took(last.cpu_system)) " system, " (size(last.max_resident)) " resident at most" } }
            }
            @if let Some(success) = state.last_success { div { dt { "Last success" } dd { (ago(success, now)) } } }
            div { dt { "Schedule" } dd { (schedule(check)) ", at most " (show_duration(check.timeout)) } }
            div { dt { "Reader" } dd { @match &state.parser { Some(parser) => code { (parser.name()) }, None => "exit code" } @if let Some(drift) = &state.drift { @if drift.tool.name != drift.parser.name() || drift.tool.version.is_some() { " · " (drift.tool.name) } @if let Some(version) = &drift.tool.version { " " (version) } } } }
        }
    }
}

fn schedule(check: &Check) -> String {
    match &check.cron {
        Some(cron) => format!("at {}", cron.as_str()),
        None => format!("every {}", show_duration(check.interval)),
    }
}
