//! The runs of a check that came to an end: when, how long, what each came to, what newly drifted and what no longer did. What they printed is kept
//! elsewhere, if at all. Plain data and its arithmetic.

use crate::drift::{Drift, Seen};
use crate::redact::{Secret, redacted_text};
use driftrun_parsers::{Class, Resource, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// How many resources a run names that newly drifted, and that no longer did; the rest is counted.
const NAMED: usize = 20;

/// How many characters of a reason are kept, and of each part of a name.
const REASON: usize = 300;
const NAME: usize = 200;

/// The runs of one check, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    most: usize,
    runs: Arc<Vec<Arc<PastRun>>>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took, by the monotonic clock.
    pub duration: Duration,
    /// The verdict.
    pub verdict: Verdict,
    /// Its class, when it is neither clean nor drifted.
    pub class: Option<Class>,
    /// The beginning of the reason, when there is one.
    pub reason: Option<Box<str>>,
    /// The command's exit code, if it gave one.
    pub code: Option<i32>,
    /// How many resources drifted by its report; `None`: it has none.
    pub drifted: Option<u64>,
    /// What its report changed.
    pub against: Against,
}

/// A report, held against what was known to drift before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The run has no report, or there was none before.
    Nothing,
    /// The same drifts.
    Same,
    /// Something else does. There are many runs, and of few this is known.
    Changed(Box<Change>),
}

/// What a report changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What newly drifts, as far as it is named.
    pub appeared: Vec<Named>,
    /// How many that are.
    pub appeared_count: u64,
    /// What drifted and no longer does, as far as it is named.
    pub resolved: Vec<Named>,
    /// How many that are.
    pub resolved_count: u64,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its scope.
    pub scope: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl PastRun {
    /// The name of the run, unique within its check: its beginning in milliseconds.
    pub fn id(&self) -> i64 {
        self.started.as_millisecond()
    }

    /// Whether it was clean or drifted.
    pub fn is_good(&self) -> bool {
        self.verdict.is_success()
    }

    /// As much of a reason as is kept.
    pub fn shortened(reason: &str) -> Box<str> {
        shortened(reason, REASON)
    }
}

fn shortened(text: &str, most: usize) -> Box<str> {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}

impl History {
    /// None yet, and at most so many.
    pub fn new(most: usize) -> Self {
        Self { most, runs: Arc::default() }
    }

    /// These, oldest first, as far as they are kept.
    pub fn of(runs: Vec<PastRun>, most: usize) -> Self {
        let mut history = Self { most, runs: Arc::new(runs.into_iter().map(Arc::new).collect()) };
        history.forget();
        history
    }

    /// Oldest first.
    pub fn runs(&self) -> &[Arc<PastRun>] {
        &self.runs
    }

    /// The run of that name.
    pub fn get(&self, id: i64) -> Option<&Arc<PastRun>> {
        self.runs.iter().rev().find(|run| run.id() == id)
    }

    /// Adds the newest.
    pub fn push(&mut self, run: PastRun) {
        Arc::make_mut(&mut self.runs).push(Arc::new(run));
        self.forget();
    }

    fn forget(&mut self) {
        while self.runs.len() > self.most {
            let runs = Arc::make_mut(&mut self.runs);
            let at = first_to_go(runs.len(), |n| runs[n].is_good());
            runs.remove(at);
        }
    }

    /// Takes out of the reasons what a new pattern would have taken out.
    pub fn redact(&mut self, secrets: &[Secret]) {
        for run in Arc::make_mut(&mut self.runs) {
            if let Some(reason) = &run.reason {
                let clean = redacted_text(reason.to_string(), secrets);
                if *clean != **reason {
                    Arc::make_mut(run).reason = Some(clean.into());
                }
            }
        }
    }

    /// How long a run takes usually: the median of the good ones, else of those that didn't run out of time.
    pub fn usual_duration(&self) -> Option<Duration> {
        let median = |of: fn(&PastRun) -> bool| {
            let mut all: Vec<Duration> =
                self.runs.iter().filter(|run| of(run)).map(|run| run.duration).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied()
        };
        median(PastRun::is_good).or_else(|| median(|run| run.verdict != Verdict::Timeout))
    }
}

/// Which of `len` runs, oldest first, is given up first: the oldest good one, as failures are looked at later. The newer half stays whole, so that it
/// tells how the check has fared lately.
pub fn first_to_go(len: usize, is_good: impl Fn(usize) -> bool) -> usize {
    (0..len / 2).find(|n| is_good(*n)).unwrap_or(0)
}

/// What newly drifts in `after`, and what of `before` doesn't any more. What a rule ignores by now is not resolved; and where some of either are only
/// counted nobody can tell.
pub fn against(before: &Drift, after: &Drift) -> Against {
    if before.dropped() + after.dropped() > 0 {
        return Against::Nothing;
    }
    let mut change = Change::default();
    let mut note = |seen: &Seen, appeared: bool| {
        let (list, count) = if appeared {
            (&mut change.appeared, &mut change.appeared_count)
        } else {
            (&mut change.resolved, &mut change.resolved_count)
        };
        *count += 1;
        if list.len() < NAMED {
            let Resource { scope, kind, name, .. } = &seen.resource;
            let short = |text: &str| shortened(text, NAME).into();
            list.push(Named { scope: short(scope), kind: short(kind), name: short(name) });
        }
    };
    let mut old = before.resources.iter().filter(|seen| seen.counts()).peekable();
    let mut new = after.resources.iter().filter(|seen| seen.counts()).peekable();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.identity().cmp(&new.identity()),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let come = if order.is_ge() { new.next() } else { None };
        match (gone, come) {
            (Some(seen), None) if !after.has_ignored(seen) => note(seen, false),
            (None, Some(seen)) => note(seen, true),
            _ => {}
        }
    }
    if change.appeared_count + change.resolved_count == 0 {
        Against::Same
    } else {
        Against::Changed(Box::new(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Reader;
    use driftrun_parsers::{Action, Source, Tool};
    use std::collections::BTreeMap;

    fn run(second: i64, verdict: Verdict) -> PastRun {
        let started = Timestamp::from_second(second).unwrap();
        PastRun {
            started,
            ended: started,
            duration: Duration::from_secs(second.unsigned_abs()),
            verdict,
            class: None,
            reason: None,
            code: None,
            drifted: None,
            against: Against::Nothing,
        }
    }

    #[test]
    fn failures_are_kept_longer_and_the_newer_half_whole() {
        let mut history = History::new(6);
        for second in 0..12 {
            history.push(run(second, if second % 4 == 1 { Verdict::Failed } else { Verdict::Clean }));
        }
        let kept: Vec<i64> = history.runs().iter().map(|run| run.started.as_second()).collect();
        assert_eq!(kept, [1, 5, 8, 9, 10, 11]);
        // Where there is nothing but failures the oldest go.
        for second in 12..18 {
            history.push(run(second, Verdict::Timeout));
        }
        let kept: Vec<i64> = history.runs().iter().map(|run| run.started.as_second()).collect();
        assert_eq!(kept, [12, 13, 14, 15, 16, 17]);
        assert_eq!(history.get(13_000).map(|run| run.id()), Some(13_000));
        assert_eq!((history.get(11_000), history.usual_duration()), (None, None));
        assert_eq!(History::of(vec![run(1, Verdict::Clean), run(2, Verdict::Clean)], 1).runs().len(), 1);
    }

    #[test]
    fn the_usual_duration_is_that_of_good_runs() {
        let mut history = History::new(10);
        for (second, verdict) in
            [(9, Verdict::Failed), (1, Verdict::Clean), (2, Verdict::Drifted), (40, Verdict::Clean)]
        {
            history.push(run(second, verdict));
        }
        assert_eq!(history.usual_duration(), Some(Duration::from_secs(2)));
        let mut history = History::new(10);
        history
            .push(PastRun {
                reason: Some(PastRun::shortened(&"ä".repeat(1000))), ..run(7, Verdict::Failed)
            });
        assert_eq!(history.usual_duration(), Some(Duration::from_secs(7)));
        assert_eq!(history.runs()[0].reason.as_ref().unwrap().chars().count(), REASON + 1);
    }

    #[test]
    fn what_newly_drifts_and_what_is_resolved_is_told_by_identity() {
        let now = Timestamp::UNIX_EPOCH;
        let drift = |names: &[(&str, bool)]| {
            let seen = |(name, counts): &(&str, bool)| Seen {
                resource: Resource {
                    drift: *counts,
                    ..Resource::new(Source::Plan, "s", "k", *name, Action::Update)
                },
                first_seen: now,
            };
            let parser = Reader::Builtin(driftrun_parsers::by_name("kubectl").unwrap());
            Drift::of(names.iter().map(seen).collect(), BTreeMap::new(), Tool::default(), parser, 0, now)
        };
        let names = |list: &[Named]| list.iter().map(|named| named.name.clone()).collect::<Vec<_>>();
        let of =
            |before: &[(&str, bool)], after: &[(&str, bool)]| match against(&drift(before), &drift(after)) {
                Against::Changed(change) => *change,
                other => panic!("{other:?}"),
            };
        let change = of(
            &[("a", true), ("b", true), ("c", true), ("d", false)],
            &[("b", true), ("c", false), ("d", true), ("e", true)],
        );
        assert_eq!(
            (names(&change.appeared), names(&change.resolved)),
            (vec!["d".into(), "e".into()], vec!["a".into(), "c".into()])
        );
        let many: Vec<String> = (0..30).map(|n| format!("{n:02}")).collect();
        let many: Vec<(&str, bool)> = many.iter().map(|name| (&**name, true)).collect();
        let change = of(&[], &many);
        assert_eq!((change.appeared.len(), change.appeared_count, change.resolved_count), (NAMED, 30, 0));
        assert_eq!(against(&drift(&many), &drift(&many)), Against::Same);
    }
}
