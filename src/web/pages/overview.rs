//! All checks at a glance.

use super::chart::strip;
use super::{
    Reload, actions, ago, badge, drifts, iso, labels, last_verdict, next_run, page, pager, progress, span,
    took,
};
use crate::show::text::printable;
use crate::snapshot::{Snapshot, View};
use crate::web::Site;
use crate::web::query::{Checks, Page, Sort, WAITING, verdict_word};
use driftrun_parsers::{Action, Verdict};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// Checks on one page.
const SIZE: usize = 100;

/// The address of the same list with a change.
type Link<'l> = dyn Fn(&dyn Fn(&mut Checks)) -> String + 'l;

/// Values of labels that can be chosen; with more of them nobody would find one.
const CHOICES: usize = 200;

pub(in crate::web) fn overview(snapshot: &Snapshot, site: &Site<'_>, query: Option<&str>) -> Markup {
    let wanted = Checks::of(query);
    let found = wanted.select(&snapshot.views);
    let shown = Page::new(wanted.page, SIZE, found.len());
    let rows = &found[shown.from..shown.to];
    let link = |change: &dyn Fn(&mut Checks)| {
        let mut other = wanted.clone();
        change(&mut other);
        let link = other.link();
        // An empty reference would keep the query that is there.
        if link.is_empty() { "?".to_owned() } else { link }
    };
    page(
        "Checks",
        site,
        Reload::After(30),
        Some(""),
        &html! {
            h1.quiet { "Checks" }
            (filter(snapshot, &wanted))
            div #results data-live {
                @if !snapshot.reloaded { p.why.failed { strong { "The configuration was changed, and could not be loaded" } ": the one before goes on. The log says why." } }
                (totals(snapshot, &wanted, &link))
                @if snapshot.views.is_empty() { p { "No check is configured." } }
                @else if found.is_empty() { p { "No check matches. " a href="?" { "All checks" } } }
                @else {
                    div.wide tabindex="0" role="region" aria-label="Checks" { table.checks {
                        thead { tr {
                            (heading("Check", Sort::Name, &wanted, &link))
                            (heading("Verdict", Sort::Attention, &wanted, &link))
                            (heading("Drift", Sort::Drift, &wanted, &link))
                            (heading("Oldest drift", Sort::Age, &wanted, &link))
                            th scope="col" { "Last runs" }
                            (heading("Last run", Sort::Last, &wanted, &link))
                            (heading("Took", Sort::Duration, &wanted, &link))
                            (heading("Next run", Sort::Next, &wanted, &link))
                        } }
                        tbody { @for view in rows { (row(view, site)) } }
                    } }
                    (pager(shown, "checks", |number| link(&|other| other.page = number)))
                }
            }
        },
    )
}

/// The form works without JavaScript; with it, the list follows what is typed.
fn filter(snapshot: &Snapshot, wanted: &Checks) -> Markup {
    let mut choices = BTreeSet::new();
    for (name, value) in snapshot.views.iter().flat_map(|view| &view.check.labels) {
        if choices.len() > CHOICES {
            break;
        }
        choices.insert((name, value));
    }
    let chosen = wanted.label.as_ref().map(|(name, value)| (name, value));
    html! {
        form.filter role="search" method="get" data-filter {
            label { "Filter " input type="search" name="q" value=(wanted.text) placeholder="name, label, reason" autocomplete="off" spellcheck="false"; }
            @if !choices.is_empty() && choices.len() <= CHOICES {
                label { "Label " select name="label" {
                    option value="" { "any" }
                    @for (name, value) in &choices {
                        option value={ (name) "=" (value) } selected[chosen == Some((*name, *value))] { (name) "=" (printable(value)) }
                    }
                } }
            }
            @for verdict in &wanted.verdicts { input type="hidden" name="verdict" value=(verdict_word(*verdict)); }
            @if wanted.sort != Sort::default() || wanted.reverse {
                input type="hidden" name="sort" value={ (if wanted.reverse { "-" } else { "" }) (wanted.sort.as_str()) };
            }
            button type="submit" { "Filter" }
            @if wanted.is_filtered() { " " a href="?" { "Show all" } }
        }
    }
}

/// What all checks come to; each count leads to those checks alone.
fn totals(snapshot: &Snapshot, wanted: &Checks, link: &Link<'_>) -> Markup {
    let mut verdicts: BTreeMap<&'static str, (Option<Verdict>, usize)> = BTreeMap::new();
    let mut drift: BTreeMap<Action, u64> = BTreeMap::new();
    for view in snapshot.views.iter() {
        let verdict = last_verdict(view);
        verdicts.entry(verdict_word(verdict)).or_insert((verdict, 0)).1 += 1;
        for (action, count) in view.state.drift.iter().flat_map(|drift| &drift.tally.drift) {
            *drift.entry(*action).or_default() += count;
        }
    }
    let order = Verdict::ALL.map(Verdict::as_str).into_iter().rev().chain([WAITING]);
    let running = snapshot.views.iter().filter(|view| view.state.running.is_some()).count();
    let drifting: u64 = drift.values().sum();
    let by_code = snapshot
        .views
        .iter()
        .filter(|view| view.state.drift.is_none() && last_verdict(view) == Some(Verdict::Drifted))
        .count() as u64;
    html! {
        div.totals {
            nav aria-label="Verdicts" {
                a.total href=(link(&|other| { other.verdicts.clear(); other.page = 1; })) aria-current=[wanted.verdicts.is_empty().then_some("true")] { "all " (snapshot.views.len()) }
                @for (verdict, count) in order.filter_map(|word| verdicts.get(word)) {
                    a.total href=(link(&|other| { other.verdicts = vec![*verdict]; other.page = 1; })) aria-current=[(wanted.verdicts == [*verdict]).then_some("true")] { (badge(*verdict)) " " (count) }
                }
            }
            p.sum {
                @if drifting > 0 { strong { (drifts(drifting)) } ": " (actions(&drift)) }
                @if by_code > 0 { @if drifting > 0 { " · " } strong { (by_code) @if by_code == 1 { " check drifts" } @else { " checks drift" } } " by exit code" }
                @if drifting + by_code == 0 { "Nothing is known to drift" }
                @if running > 0 { " · " (running) " running" }
            }
        }
    }
}

fn heading(title: &str, sort: Sort, wanted: &Checks, link: &Link<'_>) -> Markup {
    let is_sorted = wanted.sort == sort;
    let turned = is_sorted && !wanted.reverse;
    let order = if wanted.reverse { "descending" } else { "ascending" };
    html! {
        th scope="col" aria-sort=[is_sorted.then_some(order)] {
            a href=(link(&|other| { other.sort = sort; other.reverse = turned; other.page = 1; })) {
                (title) @if is_sorted { span aria-hidden="true" { @if wanted.reverse { " ↑" } @else { " ↓" } } }
            }
        }
    }
}

fn row(view: &View, site: &Site<'_>) -> Markup {
    let state = &view.state;
    let tally = state.drift.as_ref().map(|drift| &drift.tally);
    let is_old = state
        .drift
        .as_ref()
        .is_some_and(|drift| state.last.as_ref().is_none_or(|last| last.ended != drift.reported));
    html! {
        tr {
            th scope="row" data-title="Check" { a.name href={ (site.link) "/checks/" (view.check.name) } { (view.check.name) } div.labels { (labels(&view.check)) } }
            td data-title="Verdict" {
                (badge(last_verdict(view)))
                @if state.changed_since { div.reason { "of the command before" } }
                @if let Some(reason) = state.last.as_ref().and_then(|last| last.reason.as_ref()) { div.reason { (printable(reason)) } }
            }
            td data-title="Drift" {
                @match tally {
                    Some(tally) if tally.drifted() > 0 => { (actions(&tally.drift)) }
                    Some(_) if is_old => span.soft { "not known" },
                    Some(_) if last_verdict(view) != Some(Verdict::Clean) => span.soft { "none in what was read" },
                    Some(_) => span.soft { "none" },
                    None if last_verdict(view) == Some(Verdict::Drifted) => "by its exit code",
                    None => span.soft { "–" },
                }
                @if let (Some(drift), true) = (&state.drift, is_old) { div.reason { "as of " (ago(drift.reported, site.now)) } }
            }
            td data-title="Oldest drift" { @if let Some(since) = state.drift.as_ref().and_then(|drift| drift.oldest) { time datetime=(iso(since)) title=(iso(since)) { (span(since, site.now)) } } @else { span.soft { "–" } } }
            td data-title="Last runs" { (strip(state.history.runs(), site.now)) }
            td data-title="Last run" {
                @if let Some(last) = &state.last { (ago(last.ended, site.now)) } @else { "not yet" }
                (progress(view, site.now))
            }
            td data-title="Took" { @if let Some(last) = &state.last { (took(last.duration)) } @else { span.soft { "–" } } }
            td data-title="Next run" { (next_run(view, site.now)) }
        }
    }
}
