//! The HTML: server-rendered, works without JavaScript. Everything that came from a command goes through maud, which escapes it, or through
//! [`ansi`](super::ansi), which does.

mod chart;
mod check;
mod output;
mod overview;
mod run;

pub(super) use check::check;
pub(super) use overview::overview;
pub(super) use run::run;

use super::query::{Page, verdict_word};
use super::{Paths, Site, assets};
use crate::check::Check;
use crate::outcome::End;
use crate::redact::{GONE, redacted_text};
use crate::show::text::printable;
use crate::show::{sign, took};
use crate::snapshot::View;
use driftrun_parsers::{Action, Verdict};
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, Render, html};
use std::collections::BTreeMap;
use std::time::Duration;

/// When a page that is left open is loaded again where there is no JavaScript, so that it doesn't tell old news. One that is read isn't: that would be a
/// nuisance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reload {
    After(u8),
    Never,
}

/// `events`: where a page hears of news, if it wants to.
fn page(title: &str, site: &Site<'_>, reload: Reload, events: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Reload::After(seconds) = reload { noscript { meta http-equiv="refresh" content=(seconds); } }
                title { (printable(title)) " · driftrun" }
                link rel="stylesheet" href={ (site.link) (assets::STYLE.path()) };
                link rel="icon" href={ (site.link) (assets::ICON.path()) } type="image/svg+xml";
                @if let Some(events) = events { script defer src={ (site.link) (assets::SCRIPT.path()) } data-events={ (site.link) "/api/v1/events" (events) } {} }
            }
            body {
                a.skip href="#main" { "To the content" }
                header {
                    a.brand href={ (site.link) "/" } { "driftrun" }
                    nav aria-label="Site" { a href={ (site.link) (site.metrics_path) } { "Metrics" } " " a href={ (site.link) "/api/v1/checks" } { "API" } }
                    span.asof #asof data-live { span #stale hidden { "not updating " } "as of " time datetime=(iso(site.now)) { (site.now.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
                }
                main #main tabindex="-1" { (body) }
                footer { "driftrun " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

pub(super) fn not_found(site: &Site<'_>) -> Markup {
    page(
        "Not found",
        site,
        Reload::Never,
        None,
        &html! { h1 { "Not found" } p { "There is no such page or check. " a href={ (site.link) "/" } { "All checks" } } },
    )
}

pub(super) fn no_such_run(site: &Site<'_>, check: &str) -> Markup {
    page(
        "No such run",
        site,
        Reload::Never,
        None,
        &html! {
            (crumbs(site, Some(check)))
            h1 { "No such run" }
            p { "There was none, or what it printed is not kept any more: without " code { "state_dir" } " that of the last run alone is, with it that of as many as " code { "history" } " says. " a href={ (site.link) "/checks/" (check) } { (check) } }
        },
    )
}

/// The way back.
fn crumbs(site: &Site<'_>, check: Option<&str>) -> Markup {
    html! {
        @if site.paths == Paths::Own || check.is_some() {
            nav.crumbs aria-label="Where this is" {
                @if site.paths == Paths::Own { a href={ (site.link) "/" } { "All checks" } }
                @if let Some(name) = check { @if site.paths == Paths::Own { " / " } a href={ (site.link) "/checks/" (name) } { (name) } }
            }
        }
    }
}

/// A verdict by word, colour and sign, so that colour is never all.
fn badge(verdict: Option<Verdict>) -> Markup {
    let word = verdict_word(verdict);
    html! { span class={ "badge " (word) } { span aria-hidden="true" { (verdict.map_or("…", sign)) } " " (word) } }
}

fn last_verdict(view: &View) -> Option<Verdict> {
    view.state.last.as_ref().map(|last| last.verdict)
}

/// `2 update, 1 delete`.
fn actions(counts: &BTreeMap<Action, u64>) -> Markup {
    html! {
        @for (n, (action, count)) in counts.iter().filter(|(_, count)| **count > 0).enumerate() {
            @if n > 0 { ", " }
            span.count { (count) " " span class={ "action " (action.as_str()) } { (action.as_str()) } }
        }
    }
}

fn labels(check: &Check) -> Markup {
    html! { @for (name, value) in &check.labels { span.label { (name) "=" (printable(value)) } " " } }
}

/// `1 resource drifts`, `4 resources drift`.
fn drifts(count: u64) -> String {
    if count == 1 { "1 resource drifts".to_owned() } else { format!("{count} resources drift") }
}

fn ended(end: &End) -> String {
    match end {
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
        if word == GONE {
            return word.clone();
        }
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A command line without secrets: those that the patterns find in a word or in the line, and the word behind a flag that asks for one.
pub(super) fn command_line(argv: &[String], check: &Check) -> String {
    let mut asks = false;
    let word = |word: &String| {
        let clean = match word.split_once('=') {
            _ if asks => GONE.to_owned(),
            Some((flag, _)) if asks_for_secret(flag) => format!("{flag}={GONE}"),
            _ => redacted_text(word.clone(), &check.redact),
        };
        asks = asks_for_secret(word);
        clean
    };
    let words: Vec<String> = argv.iter().map(word).collect();
    redacted_text(line(&words), &check.redact)
}

/// `--password`, `-token` and the like, whose value is a word of its own.
fn asks_for_secret(word: &str) -> bool {
    const SECRETS: [&str; 9] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "clientsecret",
        "accesstoken",
        "authtoken",
    ];
    let Some(name) = word.strip_prefix('-') else { return false };
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    SECRETS.contains(&&*name)
}

/// The same, which breaks between its words, not at the hyphens in them, and where a script does.
fn shown_line(argv: &[String], check: &Check) -> Markup {
    let text = command_line(argv, check);
    html! { @for (n, line) in text.lines().enumerate() { @if n > 0 { br; } @for word in line.split(' ') { span.word { (printable(word)) } " " } } }
}

fn next_run(view: &View, now: Timestamp) -> Markup {
    let state = &view.state;
    match state.next_run {
        _ if state.wanted => html! { "as soon as there is a place" },
        Some(next) if next > now => {
            html! { time datetime=(iso(next)) title=(iso(next)) { "in " (span(now, next)) } }
        }
        Some(_) if state.running.is_some() => html! { "now" },
        Some(_) => html! { "waits for its turn" },
        None => html! { "–" },
    }
}

/// How far the run under way is, held against how long they take usually.
fn progress(view: &View, now: Timestamp) -> Markup {
    let Some(since) = view.state.running else { return html! {} };
    let usual = view.state.history.usual_duration();
    html! {
        div.progress data-since=(since) {
            "running for " span.elapsed { (span(since, now)) }
            @if let Some(usual) = usual {
                @let elapsed = now.duration_since(since).as_secs_f64().max(0.0);
                @let usual = usual.as_secs_f64().max(0.001);
                " " progress max=(format!("{usual:.3}")) value=(format!("{:.3}", elapsed.min(usual))) aria-label="progress against the usual duration" {}
                " usually " (took(Duration::from_secs_f64(usual)))
            }
        }
    }
}

fn ago(time: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(iso(time)) title=(iso(time)) { (span(time, now)) " ago" } }
}

/// A moment for programs and for who points at it, to the second.
fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Also by the clock.
fn ago_at(time: Timestamp, now: Timestamp) -> Markup {
    html! { (ago(time, now)) " " span.at { (time.strftime("%Y-%m-%d %H:%M UTC")) } }
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

/// `12.3 MiB`.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", of(1 << 10)),
        _ => format!("{:.1} MiB", of(1 << 20)),
    }
}

/// Links to the pages of a list; `link` makes one.
fn pager(page: Page, what: &str, link: impl Fn(usize) -> String) -> Markup {
    html! {
        @if page.pages > 1 {
            nav.pager aria-label="Pages" {
                @if page.number > 1 { a rel="prev" href=(link(page.number - 1)) { "‹ before" } " " }
                span { (page.from + 1) "–" (page.to) " of " (page.of) " " (what) }
                @if page.number < page.pages { " " a rel="next" href=(link(page.number + 1)) { "after ›" } }
            }
        }
    }
}

/// HTML that somebody else has escaped.
struct Escaped(String);

impl Render for Escaped {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_has_no_secret_also_where_it_is_a_word_of_its_own() {
        let shown = |words: &[&str]| {
            let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            command_line(&argv, &Check::recorded("c"))
        };
        assert_eq!(
            shown(&["x", "--password", "hunter2", "-token", "a b", "--api-key", "k", "y z", "--tokens", "t"]),
            "x --password (redacted) -token (redacted) --api-key (redacted) 'y z' --tokens t"
        );
        assert_eq!(
            shown(&["x", "--token=a", "-client-secret=b=c", "--name=d"]),
            "x '--token=(redacted)' '-client-secret=(redacted)' --name=d"
        );
        assert_eq!(
            shown(&["mysql", "--password=it's", "postgres://u:p@h/"]),
            "mysql '--password=(redacted)' 'postgres://u:(redacted)@h/'"
        );
    }

    #[test]
    fn ages_and_sizes_have_as_many_digits_as_people_read() {
        assert_eq!([0, 1023, 1024, 5 << 20].map(size), ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB"]);
        let at = |second| Timestamp::from_second(second).unwrap();
        let shown =
            [(0, 59), (0, 61), (0, 3_720), (0, 90_000), (9, 0)].map(|(from, to)| span(at(from), at(to)));
        assert_eq!(shown, ["59 s", "1 min", "1 h 2 min", "1 d 1 h", "0 s"]);
        assert_eq!([drifts(1), drifts(2)], ["1 resource drifts", "2 resources drift"]);
    }
}
