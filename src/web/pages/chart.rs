//! Pictures of a check's runs, as SVG without any style of its own: a strip of the last ones, and how long they took.

use super::{sign, span, took};
use crate::history::PastRun;
use driftrun_parsers::Verdict;
use jiff::Timestamp;
use maud::{Markup, html};
use std::sync::Arc;

/// Runs in a strip.
const STRIP: usize = 20;

/// What a run looks like: its height tells what its colour tells.
fn height(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Clean => 5,
        Verdict::Drifted | Verdict::Partial => 10,
        Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => 16,
    }
}

fn told(run: &PastRun, now: Timestamp) -> String {
    format!(
        "{} {}, {} ago, took {}",
        sign(run.verdict),
        run.verdict.as_str(),
        span(run.ended, now),
        took(run.duration)
    )
}

/// `18 clean, 2 failed`.
fn counts(runs: &[Arc<PastRun>]) -> String {
    let counts = Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict, runs.iter().filter(|run| run.verdict == verdict).count()));
    let words: Vec<String> =
        counts.filter(|(_, n)| *n > 0).map(|(verdict, n)| format!("{n} {}", verdict.as_str())).collect();
    words.join(", ")
}

/// The last runs, the newest at the right.
pub(super) fn strip(runs: &[Arc<PastRun>], now: Timestamp) -> Markup {
    let runs = &runs[runs.len().saturating_sub(STRIP)..];
    if runs.is_empty() {
        return html! { "–" };
    }
    let width = STRIP * 5;
    html! {
        svg.strip role="img" width=(width) height="16" viewBox={ "0 0 " (width) " 16" } aria-label={ "last runs: " (counts(runs)) } {
            @for (n, run) in runs.iter().enumerate() {
                @let height = height(run.verdict);
                rect class={ "run " (run.verdict.as_str()) } x=((STRIP - runs.len() + n) * 5) y=(16 - height) width="4" height=(height) { title { (told(run, now)) } }
            }
        }
    }
}

/// How long the runs took, a bar each.
pub(super) fn durations(runs: &[Arc<PastRun>], now: Timestamp) -> Markup {
    const HIGH: f64 = 72.0;
    let longest = runs.iter().map(|run| run.duration.as_secs_f64()).fold(0.0, f64::max);
    let shortest = runs.iter().map(|run| run.duration).min().unwrap_or_default();
    if runs.len() < 2 || longest <= 0.0 {
        return html! {};
    }
    let width = runs.len() * 7;
    let bar = |run: &PastRun| (run.duration.as_secs_f64() / longest * HIGH).max(2.0);
    let longest_told = took(std::time::Duration::from_secs_f64(longest));
    html! {
        figure.durations {
            svg role="img" width=(width) height="76" viewBox={ "0 0 " (width) " 76" } aria-label={ "durations of " (runs.len()) " runs, from " (took(shortest)) " to " (longest_told) ": " (counts(runs)) } {
                line.axis x1="0" y1="75.5" x2=(width) y2="75.5" {}
                @for (n, run) in runs.iter().enumerate() {
                    rect class={ "run " (run.verdict.as_str()) } x=(n * 7) y=(format!("{:.1}", 75.0 - bar(run))) width="5" height=(format!("{:.1}", bar(run))) { title { (told(run, now)) } }
                }
            }
            figcaption { "How long the last " (runs.len()) " runs took, oldest at the left; the longest took " (longest_told) "." }
        }
    }
}
