//! One run of a check: what it came to, and all that is kept of what it printed.

use super::check::{change, not_shown, remarks, why};
use super::output::{self, Much, Which};
use super::{Reload, ago_at, badge, crumbs, ended, page, size, took};
use crate::board::LastRun;
use crate::history::{Against, PastRun};
use crate::snapshot::View;
use crate::web::{Show, Site};
use maud::{Markup, html};

/// `past` is what the history knows of it, if it does.
pub(in crate::web) fn run(view: &View, run: &LastRun, past: Option<&PastRun>, site: &Site<'_>) -> Markup {
    let id = run.started.as_millisecond();
    let raw = format!("{}/api/v1/checks/{}/runs/{id}/output", site.link, view.check.name);
    page(
        &format!("{}, {}", view.check.name, run.started.strftime("%Y-%m-%d %H:%M:%S UTC")),
        site,
        Reload::Never,
        None,
        &html! {
            (crumbs(site, Some(&view.check.name)))
            h1 { "Run of " (run.started.strftime("%Y-%m-%d %H:%M:%S UTC")) " " (badge(Some(run.verdict))) }
            p.when { "Ended " (ago_at(run.ended, site.now)) ", took " (took(run.duration)) ", " (ended(&run.end)) ", " (size(run.max_resident)) " resident at most"
                @if let Some(revision) = &run.revision { ", at commit " code { (revision) } } "." }
            (why(run, site, None))
            @if let Some(past) = past {
                @if past.against != Against::Nothing { h2 { "Against the run before" } (change(past)) }
            }
            (remarks(run))
            h2 { "Output" }
            @match site.show {
                Show::Output => {
                    (output::stream(Which::Out, &run.printed, Much::All, run.line, &raw))
                    (output::stream(Which::Err, &run.printed, Much::All, None, &raw))
                }
                Show::TablesOnly => (not_shown())
            }
        },
    )
}
