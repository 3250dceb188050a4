//! `/api/v1/events`: server-sent events. Which checks have changed, and what the run under way of one of them prints.
//!
//! ```text
//! event: checks                    some have changed; `more`: others, too
//! data: {"changed":["terradiff-prod"],"more":false}
//!
//! event: output                    whole lines of the run under way
//! id: 1795418283448-12
//! data: {"stream":"stdout","text":"Refreshing state...\n"}
//! ```
//!
//! `begin` is a run that begins to print, `missed` lines that came too fast, `end` its end, `alive` nothing but that somebody is there. A stream ends before a connection is too old, and browsers
//! come again by themselves; whoever is too slow misses lines, and holds up nobody.

use super::query::{pairs, value};
use crate::board::Board;
use crate::live::{Live, News, Stream};
use crate::snapshot::{Snapshot, View};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A stream ends after this time: connections that are older are ended in any case.
const LONGEST: Duration = Duration::from_secs(100);
/// How often something is sent where there are no news.
const QUIET: Duration = Duration::from_secs(10);
/// News are gathered for so long.
const GATHER: Duration = Duration::from_millis(200);
/// How many checks one event names.
const NAMED: usize = 100;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of this check alone, with what it prints.
    pub check: Option<String>,
    /// Which run's lines have been seen, and where to go on.
    pub from: Option<(i64, u64)>,
}

impl Wanted {
    /// By the query, and by what a browser that comes again has seen last.
    pub(super) fn of(query: Option<&str>, last_seen: Option<&str>) -> Self {
        let pairs = pairs(query);
        let from = last_seen.or_else(|| value(&pairs, "from")).and_then(|from| {
            let (run, next) = from.split_once('-')?;
            Some((run.parse().ok()?, next.parse().ok()?))
        });
        Self { check: value(&pairs, "check").map(str::to_owned), from }
    }
}

/// Sends events until there is nobody who takes them, or it is time. `shows`: also what a run prints.
pub(super) async fn follow(
    board: Arc<Board>,
    wanted: Wanted,
    shows: bool,
    stopping: CancellationToken,
    events: Sender<Bytes>,
) {
    let until = Instant::now() + LONGEST;
    let mut changes = board.watch();
    changes.mark_unchanged();
    let mut seen = board.snapshot();
    let mut run = Following { from: wanted.from, live: None };
    if send(&events, "retry: 1000\n\n".to_owned()).await.is_err() {
        return;
    }
    loop {
        let snapshot = board.snapshot();
        let mut text = String::new();
        if let (Some(name), true) = (&wanted.check, shows) {
            run.news(snapshot.get(name).map(AsRef::as_ref), &mut text).await;
        }
        text += &changed(&seen, &snapshot, wanted.check.as_deref());
        seen = snapshot;
        if !text.is_empty() && send(&events, text).await.is_err() {
            return;
        }
        let mut printed = run.live.as_ref().map(|(_, live)| live.watch());
        // What was printed since it was looked at is no news to a receiver that is made now.
        if run.has_more() {
            sleep(GATHER).await;
            continue;
        }
        let prints = async {
            let is_more = match &mut printed {
                Some(printed) => printed.changed().await.is_ok(),
                None => false,
            };
            if !is_more {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = prints => {}
            () = sleep(QUIET) => if send(&events, "event: alive\ndata: {}\n\n".to_owned()).await.is_err() { return },
            () = sleep_until(until) => return,
            () = stopping.cancelled() => return,
            () = events.closed() => return,
        }
        tokio::select! {
            () = sleep(GATHER) => {}
            () = events.closed() => return,
        }
    }
}

async fn send(events: &Sender<Bytes>, text: String) -> Result<(), ()> {
    events.send(Bytes::from(text)).await.map_err(|_| ())
}

fn event(text: &mut String, kind: &str, id: Option<&str>, data: &impl Serialize) {
    let data = serde_json::to_string(data).unwrap_or_default();
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    // JSON has no line ends in it.
    let _ = write!(text, "event: {kind}\ndata: {data}\n\n");
}

/// Which checks are not what they were. Those of another configuration are all of them.
fn changed(before: &Snapshot, now: &Snapshot, only: Option<&str>) -> String {
    let mut text = String::new();
    let is_new = |view: &Arc<View>| before.get(&view.check.name).is_none_or(|old| !Arc::ptr_eq(old, view));
    let wanted = |view: &&Arc<View>| only.is_none_or(|only| only == view.check.name);
    let mut names: Vec<&str> = now
        .views
        .iter()
        .filter(wanted)
        .filter(|view| is_new(view))
        .map(|view| view.check.name.as_str())
        .collect();
    let all = |snapshot: &Snapshot| -> Vec<String> {
        snapshot.views.iter().map(|view| view.check.name.clone()).collect()
    };
    let gone = if let Some(only) = only {
        // Whoever looks at a check that goes wants to hear of it.
        before.get(only).is_some() != now.get(only).is_some()
    } else {
        before.reloaded != now.reloaded || (before.loaded != now.loaded && all(before) != all(now))
    };
    if !names.is_empty() || gone {
        let more = names.len() > NAMED || gone;
        names.truncate(NAMED);
        event(&mut text, "checks", None, &json!({ "changed": names, "more": more }));
    }
    text
}

/// A run whose lines are followed.
struct Following {
    /// Its name, and where to go on.
    from: Option<(i64, u64)>,
    live: Option<(i64, Arc<Live>)>,
}

impl Following {
    /// Whether lines have come since [`Self::news`].
    fn has_more(&self) -> bool {
        let next = self.from.map_or(0, |(_, next)| next);
        self.live.as_ref().is_some_and(|(_, live)| live.next() > next || live.has_ended())
    }

    /// Appends what the run under way has printed since.
    async fn news(&mut self, view: Option<&View>, text: &mut String) {
        let running = view.and_then(|view| {
            Some((view.state.running?.as_millisecond(), Arc::clone(view.state.live.as_ref()?)))
        });
        // One whose check is gone gets no end from anybody.
        if view.is_none() {
            self.live = None;
        }
        // The last lines of one that has ended come before another one's first.
        let is_other =
            |new: &(i64, Arc<Live>)| self.live.as_ref().is_none_or(|(_, old)| !Arc::ptr_eq(old, &new.1));
        if self.live.is_none()
            && let Some((run, live)) = running.filter(is_other)
        {
            if self.from.is_none_or(|(seen, _)| seen != run) {
                self.from = Some((run, 0));
                event(text, "begin", None, &json!({ "run": run.to_string() }));
            }
            self.live = Some((run, live));
        }
        let Some((run, live)) = self.live.clone() else { return };
        let from = self.from.map_or(0, |(_, next)| next);
        let looked = tokio::task::spawn_blocking(move || live.news(from)).await;
        let News { texts, missed, next, ended } = looked.unwrap_or_default();
        if missed {
            event(text, "missed", None, &json!({}));
        }
        let count = texts.len() as u64;
        for (n, (stream, line)) in texts.into_iter().enumerate() {
            let id = format!("{run}-{}", next - count + n as u64 + 1);
            let stream = match stream {
                Stream::Out => "stdout",
                Stream::Err => "stderr",
            };
            event(text, "output", Some(&id), &json!({ "stream": stream, "text": line }));
        }
        self.from = Some((run, next));
        if ended {
            event(text, "end", None, &json!({ "run": run.to_string() }));
            self.live = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_comes_again_goes_on_where_it_was() {
        let of = |query, seen| {
            let Wanted { check, from } = Wanted::of(Some(query), seen);
            (check, from)
        };
        assert_eq!(of("", None), (None, None));
        assert_eq!(of("check=a&from=17-3", None), (Some("a".to_owned()), Some((17, 3))));
        assert_eq!(of("check=a&from=17-3", Some("18-9")), (Some("a".to_owned()), Some((18, 9))));
        assert_eq!(of("check=&from=x-1", Some("nonsense")), (None, None));
    }
}
