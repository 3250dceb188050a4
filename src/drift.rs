//! What drifts, as the last good reports say: kept scope by scope, each resource with the time it was seen first. Plain data and its arithmetic.

use crate::check::Reader;
use crate::printed::Printed;
use driftrun_parsers::{Action, DriftReport, Resource, Scopes, Source, Tool, Verdict};
use jiff::Timestamp;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What drifts, as the last good reports say, scope by scope.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Sorted by identity: source, scope, kind, name. At most `max_resources` that count, and as many others.
    pub resources: Arc<Vec<Seen>>,
    /// Positions in `resources` of those that the last report didn't show, in scopes that it couldn't read.
    pub older: Arc<Vec<usize>>,
    /// What was left out of `resources`, by scope.
    pub dropped: Arc<BTreeMap<String, Tally>>,
    /// All of them, counted.
    pub tally: Tally,
    /// Since when the oldest of what counts has been seen, as far as they are kept.
    pub oldest: Option<Timestamp>,
    /// The tool.
    pub tool: Tool,
    /// Who read it.
    pub parser: Reader,
    /// Ignore rules that matched nothing in the last good report.
    pub unused_rules: usize,
    /// When the last good or partial report was made.
    pub reported: Timestamp,
    /// What the run of that report printed: where the resources' places are.
    pub printed: Arc<Printed>,
    /// And when it began.
    pub run: Timestamp,
    /// What that report read, and what it didn't.
    pub scopes: Arc<Scopes>,
    /// Whether some report before, or this one, read everything: then this is all that is known to drift.
    pub whole: bool,
}

/// How many resources there are, of which sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Drift that counts, by action.
    pub drift: BTreeMap<Action, u64>,
    /// How many of these changed outside.
    pub outside: u64,
    /// Taken out of the drift by an ignore rule.
    pub ignored: u64,
    /// No drift, by source and action.
    pub informational: BTreeMap<(Source, Action), u64>,
}

impl Tally {
    fn add(&mut self, seen: &Seen) {
        let r = &seen.resource;
        if seen.counts() {
            self.outside += u64::from(r.outside);
            *self.drift.entry(r.action).or_default() += 1;
        } else {
            // An ignored one isn't also informational, unless it would be no drift anyway.
            self.ignored += u64::from(r.ignored);
            if !r.drift {
                *self.informational.entry((r.source, r.action)).or_default() += 1;
            }
        }
    }

    fn add_all(&mut self, other: &Self) {
        let Self { drift, outside, ignored, informational } = other;
        for (action, n) in drift {
            *self.drift.entry(*action).or_default() += n;
        }
        for (key, n) in informational {
            *self.informational.entry(*key).or_default() += n;
        }
        self.outside += outside;
        self.ignored += ignored;
    }

    /// Drift that counts, whatever the action.
    pub fn drifted(&self) -> u64 {
        self.drift.values().sum()
    }
}

/// A resource and since when it has been seen, whatever its action was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The resource as it was seen last.
    pub resource: Resource,
    /// When it was seen first.
    pub first_seen: Timestamp,
}

impl Seen {
    /// Whether it is drift that counts.
    pub const fn counts(&self) -> bool {
        self.resource.drift && !self.resource.ignored
    }

    /// What it is sorted by and known by: source, scope, kind, name.
    pub fn identity(&self) -> (Source, &str, &str, &str) {
        identity(&self.resource)
    }
}

impl Drift {
    /// What is known after a report.
    ///
    /// A partial report only replaces the scopes that it read: a host that it doesn't name may have left, or the run may have ended before it came to
    /// it. Of what counts, and of what doesn't, the first `max` are kept.
    pub fn after(
        before: Option<&Self>,
        report: DriftReport,
        parser: Reader,
        unused_rules: usize,
        max: usize,
        now: Timestamp,
    ) -> Self {
        let (tool, scopes) = (report.tool().clone(), report.scopes().clone());
        let whole = scopes.unread.is_empty() || before.is_some_and(|before| before.whole);
        let Merged { resources, older, dropped } = merge(before, report.into_resources(), &scopes, max, now);
        Self {
            older: Arc::new(older),
            scopes: Arc::new(scopes),
            whole,
            ..Self::of(resources, dropped, tool, parser, unused_rules, now)
        }
    }

    /// These, counted, as a report that read everything. `resources` are sorted by identity.
    pub fn of(
        resources: Vec<Seen>,
        dropped: BTreeMap<String, Tally>,
        tool: Tool,
        parser: Reader,
        unused_rules: usize,
        reported: Timestamp,
    ) -> Self {
        let (resources, older, dropped) = (Arc::new(resources), Arc::default(), Arc::new(dropped));
        let tally = Tally::default();
        let whole = true;
        let mut drift = Self {
            resources,
            older,
            dropped,
            tally,
            oldest: None,
            tool,
            parser,
            unused_rules,
            reported,
            printed: Arc::default(),
            run: reported,
            scopes: Arc::default(),
            whole,
        };
        drift.count();
        drift
    }

    fn count(&mut self) {
        let mut tally = Tally::default();
        self.resources.iter().for_each(|seen| tally.add(seen));
        self.dropped.values().for_each(|dropped| tally.add_all(dropped));
        self.tally = tally;
        let counting = self.resources.iter().filter(|seen| seen.counts());
        self.oldest = counting.map(|seen| seen.first_seen).min();
    }

    /// What the report itself came to.
    pub fn verdict(&self) -> Verdict {
        if !self.scopes.unread.is_empty() {
            Verdict::Partial
        } else if self.tally.drifted() > 0 {
            Verdict::Drifted
        } else {
            Verdict::Clean
        }
    }

    /// The resources that the last report showed.
    pub fn shown(&self) -> impl Iterator<Item = &Seen> {
        let mut older = self.older.iter().peekable();
        let all = self.resources.iter().enumerate();
        all.filter(move |(n, _)| older.next_if(|older| *older == n).is_none()).map(|(_, seen)| seen)
    }

    /// Whether this one is there, and a rule takes it out.
    pub fn has_ignored(&self, seen: &Seen) -> bool {
        let at = self.resources.binary_search_by(|other| other.identity().cmp(&seen.identity()));
        at.is_ok_and(|at| self.resources[at].resource.ignored)
    }

    /// Whether the last report didn't show the resource at that position.
    pub fn is_older(&self, position: usize) -> bool {
        self.older.binary_search(&position).is_ok()
    }

    /// How many resources that count are kept, each with series of its own.
    pub fn listed(&self) -> usize {
        usize::try_from(self.tally.drifted().saturating_sub(self.dropped())).unwrap_or(usize::MAX)
    }

    /// What counts and was left out, by action.
    pub fn unlisted(&self) -> BTreeMap<Action, u64> {
        let mut all = BTreeMap::new();
        for (action, count) in self.dropped.values().flat_map(|tally| &tally.drift) {
            *all.entry(*action).or_default() += count;
        }
        all
    }

    /// How many that count were left out.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().map(Tally::drifted).sum()
    }

    /// Leaves out what counts beyond the first `room`.
    pub fn limit(&mut self, room: usize) {
        if self.listed() > room {
            let (resources, dropped) = (Arc::make_mut(&mut self.resources), Arc::make_mut(&mut self.dropped));
            let (mut older, mut kept_older) = (self.older.iter().peekable(), Vec::new());
            let (mut counting, mut at, mut kept) = (0, 0, 0);
            resources.retain(|seen| {
                counting += usize::from(seen.counts());
                let stays = !seen.counts() || counting <= room;
                if older.next_if(|older| **older == at).is_some() && stays {
                    kept_older.push(kept);
                }
                at += 1;
                kept += usize::from(stays);
                if !stays {
                    dropped.entry(seen.resource.scope.clone()).or_default().add(seen);
                }
                stays
            });
            self.older = Arc::new(kept_older);
            self.count();
        }
    }
}

/// What a resource is sorted by and known by.
fn identity(resource: &Resource) -> (Source, &str, &str, &str) {
    (resource.source, &resource.scope, &resource.kind, &resource.name)
}

/// What there is after a report, as [`Drift`] has it.
struct Merged {
    resources: Vec<Seen>,
    older: Vec<usize>,
    dropped: BTreeMap<String, Tally>,
}

/// The resources after a report, sorted by identity, and what was left out. Both lists are sorted: one walk along both.
fn merge(before: Option<&Drift>, new: Vec<Resource>, scopes: &Scopes, max: usize, now: Timestamp) -> Merged {
    let read: HashSet<&str> = scopes.read.iter().map(String::as_str).collect();
    // A module of a unit that was read (`vpc//module.a` of `vpc`) was read with it.
    let was_read = |scope: &str| {
        read.contains(scope) || scope.split_once("//").is_some_and(|(unit, _)| read.contains(unit))
    };
    let partial = !scopes.unread.is_empty();
    let stays = |scope: &str| partial && !was_read(scope);
    let mut dropped: BTreeMap<String, Tally> = before
        .into_iter()
        .flat_map(|before| before.dropped.iter())
        .filter(|(scope, _)| stays(scope))
        .map(|(scope, dropped)| (scope.clone(), dropped.clone()))
        .collect();
    // What was counted of a scope that wasn't read stays as it is: what comes now may be among it.
    let counted: HashSet<String> = dropped.keys().cloned().collect();
    let mut kept = Vec::with_capacity(new.len());
    let (mut counting, mut others) = (0, 0);
    let mut older = Vec::new();
    let mut keep = |seen: Seen, shown: Shown| {
        let n = if seen.counts() { &mut counting } else { &mut others };
        *n += 1;
        if *n <= max {
            if shown == Shown::Before {
                older.push(kept.len());
            }
            kept.push(seen);
        } else if !counted.contains(seen.resource.scope.as_str()) {
            dropped.entry(seen.resource.scope.clone()).or_default().add(&seen);
        }
    };
    let mut old = before.map(|before| before.resources.iter()).unwrap_or_default().peekable();
    for resource in new {
        let mut first_seen = now;
        while let Some(seen) = old.peek() {
            match seen.identity().cmp(&identity(&resource)) {
                Ordering::Less if stays(&seen.resource.scope) => keep((*seen).clone(), Shown::Before),
                Ordering::Less => {}
                Ordering::Equal => first_seen = seen.first_seen,
                Ordering::Greater => break,
            }
            old.next();
        }
        keep(Seen { resource, first_seen }, Shown::Now);
    }
    old.filter(|seen| stays(&seen.resource.scope)).cloned().for_each(|seen| keep(seen, Shown::Before));
    Merged { resources: kept, older, dropped }
}

/// Which report showed a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The new one.
    Now,
    /// One before it.
    Before,
}
