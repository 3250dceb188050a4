//! The HTML: server-rendered, works without JavaScript. Everything that came from a command goes through maud, which escapes it.

use super::{Paths, Show, Site};
use crate::board::{LastRun, is_near_limit};
use crate::check::Check;
use crate::config::units::show_duration;
use crate::drift::Seen;
use crate::outcome::{Captured, End};
use crate::redact::redacted_text;
use crate::snapshot::{Snapshot, View};
use driftrun_parsers::{Severity, Source, Verdict, text};
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, html};
use std::time::Duration;

pub(super) fn overview(snapshot: &Snapshot, site: &Site<'_>) -> Markup {
    let verdicts = |verdict| snapshot.views.iter().filter(|view| last_verdict(view) == Some(verdict)).count();
    let waiting = snapshot.views.iter().filter(|view| view.state.last.is_none()).count();
    page(
        "Checks",
        site,
        Reload::NowAndThen,
        &html! {
            p.totals {
                @for verdict in Verdict::ALL {
                    @let count = verdicts(verdict);
                    @if count > 0 { span.total { (badge(Some(verdict))) " " (count) } }
                }
                @if waiting > 0 { span.total { (badge(None)) " " (waiting) } }
            }
            div.wide { table {
                thead { tr { th { "Check" } th { "Verdict" } th.number { "Drifted" } th { "Oldest drift" } th { "Last run" } th.number { "Took" } th { "Next run" } th { "Labels" } } }
                tbody { @for view in &snapshot.views { (overview_row(view, site)) } }
            } }
        },
    )
}

fn overview_row(view: &View, site: &Site<'_>) -> Markup {
    let state = &view.state;
    let oldest = drifted(view).map(|seen| seen.first_seen).min();
    html! {
        tr {
            td { a href={ (site.link) "/checks/" (view.check.name) } { (view.check.name) } }
            td {
                (badge(last_verdict(view)))
                @if let Some(reason) = state.last.as_ref().and_then(|last| last.reason.as_ref()) { div.reason { (reason) } }
            }
            td.number { @if let Some(drift) = &state.drift { (drift.tally.drifted()) } @else { "–" } }
            td { @if let Some(since) = oldest { (ago(since, site.now)) } @else { "–" } }
            td {
                @if let Some(last) = &state.last { (ago(last.ended, site.now)) } @else { "not yet" }
                @if let Some(since) = state.running { div.reason { "running for " (span(since, site.now)) } }
            }
            td.number { @if let Some(last) = &state.last { (took(last.duration)) } @else { "–" } }
            td { (next_run(view, site.now)) }
            td { (labels(&view.check)) }
        }
    }
}

pub(super) fn check(view: &View, site: &Site<'_>) -> Markup {
    let (check, state) = (&view.check, &view.state);
    page(
        &check.name,
        site,
        Reload::Never,
        &html! {
            @if site.paths == Paths::Own { p.crumbs { a href={ (site.link) "/" } { "All checks" } } }
            h1 { (check.name) " " (badge(last_verdict(view))) }
            @if let Some(last) = &state.last { (last_run(last)) }
            @else { p { "This check has not run yet." } }
            (facts(view, site.now))
            @if let Some(drift) = &state.drift {
                h2 { "Drift" }
                @if state.last.as_ref().is_some_and(|last| last.ended != drift.reported) {
                    p.note { "From the last good report, made " (ago(drift.reported, site.now)) ": the runs since then could not tell." }
                }
                @if drift.dropped() > 0 {
                    p.note { (drift.tally.drifted()) " resources drift; " (drift.dropped()) " of them are counted only and not listed here (" code { "max_resources" } ", " code { "max_total_resources" } ")." }
                } @else if is_near_limit(check, state) {
                    p.note { (drift.tally.drifted()) " resources drift, which comes near " code { "max_resources" } ", " (check.max_resources) ": those over it will be counted only." }
                }
                @let counting: Vec<&Seen> = drifted(view).collect();
                @if drift.tally.drifted() == 0 { p { "Nothing drifts." } } @else if !counting.is_empty() { (resources(&counting, site.now)) }
                @let ignored: Vec<&Seen> = drift.resources.iter().filter(|seen| seen.resource.ignored).collect();
            @if !ignored.is_empty() {
                details { summary { "Ignored by a rule: " (ignored.len()) } (resources(&ignored, site.now)) }
            }
            @let rest: Vec<&Seen> = drift.resources.iter().filter(|seen| !seen.resource.drift).collect();
                @if !rest.is_empty() {
                    details { summary { "Reported, but no drift: " (rest.len()) } (resources(&rest, site.now)) }
                }
            }
            @if let Some(last) = &state.last { (remarks(last)) (output(view, last, site)) }
        },
    )
}

fn last_run(last: &LastRun) -> Markup {
    html! {
        @if let Some(reason) = &last.reason {
            p class={ "why " (last.verdict.as_str()) } { strong { @if let Some(class) = last.class { (class.as_str()) ": " } } (reason) }
        }
        @if last.leaked { p.note { "A process that outlived the run still held its output when the run was closed." } }
        @if let Some(scopes) = last.scopes.as_ref().filter(|scopes| !scopes.unread.is_empty()) {
            p { "Not read: " @for (n, unread) in scopes.unread.iter().enumerate() { @if n > 0 { ", " } code { (unread.scope) } " (" (unread.reason.as_str()) ")" } }
        }
    }
}

fn facts(view: &View, now: Timestamp) -> Markup {
    let (check, state) = (&view.check, &view.state);
    html! {
        dl.facts {
            @if let Some(last) = &state.last {
                div { dt { "Last run" } dd { (ago(last.ended, now)) ", took " (took(last.duration)) } }
                div { dt { "Ended" } dd { (ended(last)) } }
            }
            @if let Some(success) = state.last_success { div { dt { "Last success" } dd { (ago(success, now)) } } }
            @if let Some(since) = state.running { div { dt { "Running" } dd { "for " (span(since, now)) } } }
            div { dt { "Next run" } dd { (next_run(view, now)) } }
            div { dt { "Schedule" } dd { (schedule(check)) ", at most " (show_duration(check.timeout)) } }
            div { dt { "Reader" } dd { @match &state.parser { Some(parser) => code { (parser.name()) }, None => "exit code" } @if let Some(drift) = &state.drift { " · " (drift.tool.name) @if let Some(version) = &drift.tool.version { " " (version) } } } }
            @if !check.labels.is_empty() { div { dt { "Labels" } dd { (labels(check)) } } }
            @if let Some(workdir) = &check.workdir { div { dt { "Folder" } dd { code { (workdir.display()) } } } }
            @if let Some(revision) = state.last.as_ref().and_then(|last| last.revision.as_ref()) { div { dt { "Commit" } dd { code { (revision) } } } }
            @for setup in &check.setup { div { dt { "Setup" } dd { code { (shown_line(setup, check)) } } } }
            div { dt { "Command" } dd { code { (shown_line(&check.command, check)) } } }
            @if let Some(report) = &check.report { div { dt { "Report" } dd { code { (shown_line(report, check)) } } } }
        }
    }
}

fn resources(seen: &[&Seen], now: Timestamp) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "Action" } th { "Name" } th { "Kind" } th { "Scope" } th { "Changed attributes" } th { "Since" } } }
            tbody {
                @for Seen { resource, first_seen } in seen.iter().copied() {
                    tr {
                        td { span class={ "action " (resource.action.as_str()) } { (resource.action.as_str()) }
                            @if resource.source == Source::Refresh { " " span.tag { "changed outside" } }
                            @else if resource.outside { " " span.tag { "also changed outside" } }
                        }
                        td.name { code { (resource.name) } @if resource.count > 1 { " × " (resource.count) }
                            @if let Some(previous) = &resource.previous_name { div.reason { "was " code { (previous) } } } }
                        td { (resource.kind) }
                        td { (resource.scope) }
                        td { @match &resource.attributes {
                            Some(paths) => @for (n, path) in paths.iter().enumerate() { @if n > 0 { ", " } code { (path) } },
                            None => "–",
                        } }
                        td { (ago(*first_seen, now)) }
                    }
                }
            }
        } }
    }
}

fn remarks(last: &LastRun) -> Markup {
    html! {
        @if !last.diagnostics.is_empty() {
            h2 { "Remarks" }
            ul { @for remark in &last.diagnostics {
                li { @match remark.severity { Severity::Error => strong { "Error: " }, Severity::Warning => strong { "Warning: " } } (remark.summary) @if let Some(line) = remark.line { " (line " (line) ")" } }
            } }
        }
    }
}

fn output(view: &View, last: &LastRun, site: &Site<'_>) -> Markup {
    let reported = view.check.report.is_some();
    let whole_objects = view.state.parser.as_ref().is_some_and(|parser| parser.name() == "kubectl");
    html! {
        h2 { "Output" }
        @match site.show {
            Show::Output => {
                (stream(if reported { "What the command wrote; the report itself is not kept." } else { "Standard output" }, &last.stdout, whole_objects))
                (stream("Standard error", &last.stderr, false))
            }
            Show::TablesOnly => p.note {
                "Not shown: an output can hold secrets, and this address can be reached from other machines. Let in users or certificates only (" code { "--web.config.file" } "), listen on a loopback address (" code { "--web.listen-address=127.0.0.1:9152" } "), or allow it with " code { "--web.output=always" } "."
            }
        }
    }
}

/// `whole_objects`: diffs of whole objects, of which three lines around each change are enough.
fn stream(title: &str, captured: &Captured, whole_objects: bool) -> Markup {
    let shown = |bytes: &[u8]| {
        let plain = text::string(&text::strip_ansi(bytes));
        if whole_objects { super::diff::three_lines(&plain) } else { plain }
    };
    html! {
        h3 { (title) span.size { " " (captured.total) " bytes" } }
        @if captured.total == 0 { p.note { "Nothing." } }
        @else {
            pre tabindex="0" { (shown(&captured.bytes)) }
            @if !captured.tail.is_empty() {
                p.note { (captured.total.saturating_sub((captured.bytes.len() + captured.tail.len()) as u64)) " bytes are not kept here." }
                pre tabindex="0" { (shown(&captured.tail)) }
            }
        }
    }
}

pub(super) fn not_found(site: &Site<'_>) -> Markup {
    page(
        "Not found",
        site,
        Reload::Never,
        &html! { h1 { "Not found" } p { "There is no such page or check. " a href={ (site.link) "/" } { "All checks" } } },
    )
}

fn schedule(check: &Check) -> String {
    match &check.cron {
        Some(cron) => format!("at {}", cron.as_str()),
        None => format!("every {}", show_duration(check.interval)),
    }
}

/// Whether a page that is left open is loaded again, so that it doesn't tell old news. One that is read isn't: that would be a nuisance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reload {
    NowAndThen,
    Never,
}

fn page(title: &str, site: &Site<'_>, reload: Reload, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if reload == Reload::NowAndThen { meta http-equiv="refresh" content="30"; }
                title { (title) " · driftrun" }
                link rel="stylesheet" href={ (site.link) "/assets/style.css" };
                link rel="icon" href="data:,";
            }
            body {
                header { a.brand href={ (site.link) "/" } { "driftrun" } nav { a href={ (site.link) (site.metrics_path) } { "Metrics" } } span.asof { "as of " (site.now.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
                main { (body) }
                footer { "driftrun " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

/// A verdict by word, colour and sign, so that colour is never all.
fn badge(verdict: Option<Verdict>) -> Markup {
    let (sign, word) = match verdict {
        Some(Verdict::Clean) => ("✓", "clean"),
        Some(Verdict::Drifted) => ("≠", "drifted"),
        Some(Verdict::Partial) => ("◐", "partial"),
        Some(Verdict::Failed) => ("✕", "failed"),
        Some(Verdict::Timeout) => ("◷", "timeout"),
        Some(Verdict::Unreadable) => ("?", "unreadable"),
        None => ("…", "waiting"),
    };
    html! { span class={ "badge " (word) } { span aria-hidden="true" { (sign) } " " (word) } }
}

fn last_verdict(view: &View) -> Option<Verdict> {
    view.state.last.as_ref().map(|last| last.verdict)
}

fn drifted(view: &View) -> impl Iterator<Item = &Seen> {
    view.state.drift.iter().flat_map(|drift| drift.resources.iter()).filter(|seen| seen.counts())
}

fn labels(check: &Check) -> Markup {
    html! { @for (name, value) in &check.labels { span.label { (name) "=" (value) } " " } }
}

fn ended(last: &LastRun) -> String {
    match &last.end {
        End::Exited(code) => format!("exit code {code}"),
        End::Signalled(signal) => format!("by signal {signal}"),
        End::TimedOut => "out of time".to_owned(),
        End::Cancelled => "cancelled".to_owned(),
        End::NotStarted(_) => "never started".to_owned(),
    }
}

/// A command line for people: words with blanks or quotes in single quotes.
fn line(argv: &[String]) -> String {
    let word = |word: &String| {
        let plain = |c: char| c.is_alphanumeric() || "-_=./:@%+,{}[]".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A command line without secrets, which breaks between its words, not at the hyphens in them.
fn shown_line(argv: &[String], check: &Check) -> Markup {
    let line = redacted_text(line(argv), &check.redact);
    html! { @for word in line.split(' ') { span.word { (word) } " " } }
}

fn next_run(view: &View, now: Timestamp) -> Markup {
    match view.state.next_run {
        Some(next) if next > now => html! { time datetime=(next) title=(next) { "in " (span(now, next)) } },
        Some(_) if view.state.running.is_some() => html! { "now" },
        Some(_) => html! { "waits for its turn" },
        None => html! { "–" },
    }
}

fn ago(time: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(time) title=(time) { (span(time, now)) " ago" } }
}

/// The time between two moments, in its two largest units.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn took(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}
