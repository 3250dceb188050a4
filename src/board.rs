//! What is known of every check: the only place where state changes, by [`CheckState::apply`] alone.

use crate::check::{Check, Reader, ReaderChoice};
use crate::metrics::{self, Rendered};
use crate::outcome::{Captured, End, Outcome, Stage};
use crate::reader::{self, Judgement};
use crate::redact::{Part, Secret, redacted_part, redacted_text};
use crate::schedule::Schedule;
use crate::shard::Shard;
use crate::snapshot::{Snapshot, View};
use crate::state::Store;
use driftrun_parsers::{Action, Class, Diagnostic, Parser, Reading, Resource, Scopes, Source, Tool, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Bytes of each stream of the last run that are kept for its page.
const KEPT: usize = 1 << 20;

/// Everything known of one check.
#[derive(Clone, Debug)]
pub struct CheckState {
    /// When its configuration was loaded.
    pub loaded: Timestamp,
    /// Since when a run is under way.
    pub running: Option<Timestamp>,
    /// When the next run is due.
    pub next_run: Option<Timestamp>,
    /// The longest time between two starts that is to be expected.
    pub interval: Duration,
    /// The last run that came to an end.
    pub last: Option<Arc<LastRun>>,
    /// When the last run that was clean or drifted ended.
    pub last_success: Option<Timestamp>,
    /// When the last run ended whose command gave exit code 0, whatever the verdict.
    pub last_zero: Option<Timestamp>,
    /// Counts since loading.
    pub counters: Counters,
    /// What is known is of another command than the one that is configured now, which hasn't run yet.
    pub changed_since: bool,
    /// What the last good report said; kept through failures.
    pub drift: Option<Drift>,
    /// Who reads this check, as far as it is known.
    pub parser: Option<Reader>,
}

/// Counts since the configuration was loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Runs by verdict.
    pub runs: BTreeMap<Verdict, u64>,
    /// Runs by exit code.
    pub exits: BTreeMap<i32, u64>,
    /// Runs that were neither clean nor drifted, by class.
    pub failures: BTreeMap<Class, u64>,
    /// Slots that went by without a run.
    pub skipped: BTreeMap<Skip, u64>,
    /// Processes ended because their time was over.
    pub killed_deadline: u64,
    /// Processes ended because their leader had left them.
    pub killed_leftover: u64,
    /// User CPU time.
    pub cpu_user: Duration,
    /// System CPU time.
    pub cpu_system: Duration,
    /// Sum of the runs' durations.
    pub duration: Duration,
}

/// Why a slot went by without a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// The run before it was still under way.
    Overrun,
    /// The run before it waited for its turn: for `max_concurrent`, or for its concurrency group.
    Queue,
    /// driftrun or the machine was stopped or asleep, or its clock was set.
    Asleep,
}

impl Skip {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::Queue => "queue",
            Self::Asleep => "asleep",
        }
    }
}

/// The last run that came to an end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastRun {
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The git commit that the working folder stood at.
    pub revision: Option<String>,
    /// How long it took, by the monotonic clock.
    pub duration: Duration,
    /// The verdict.
    pub verdict: Verdict,
    /// Its class, when it is neither clean nor drifted.
    pub class: Option<Class>,
    /// Why, when it is neither clean nor drifted.
    pub reason: Option<String>,
    /// The command's exit code; `None` when it ended otherwise or never ran.
    pub code: Option<i32>,
    /// Which command ended it.
    pub stage: Stage,
    /// How it ended.
    pub end: End,
    /// Bytes on standard output.
    pub stdout_bytes: u64,
    /// Bytes on standard error.
    pub stderr_bytes: u64,
    /// Whether output went over the limit.
    pub truncated: bool,
    /// The largest resident set of any of its processes, in bytes.
    pub max_resident: u64,
    /// A process that outlived the run held a pipe.
    pub leaked: bool,
    /// Remarks of the tool, the parser and the ignore rules.
    pub diagnostics: Vec<Diagnostic>,
    /// Standard output for the page, at most its first and last parts, redacted.
    #[serde(skip)]
    pub stdout: Captured,
    /// Standard error for the page.
    #[serde(skip)]
    pub stderr: Captured,
    /// The scopes of its report, where it has one.
    pub scopes: Option<Scopes>,
}

/// What drifts, as the last good reports say, scope by scope.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Sorted by identity: source, scope, kind, name. At most `max_resources` that count, and as many others.
    pub resources: Arc<Vec<Seen>>,
    /// Positions in `resources` of those that the last report didn't show, in scopes that it couldn't read.
    pub older: Arc<Vec<usize>>,
    /// What was left out of `resources`, by scope.
    pub dropped: Arc<BTreeMap<String, Dropped>>,
    /// The tool.
    pub tool: Tool,
    /// Who read it.
    pub parser: Reader,
    /// Ignore rules that matched nothing in the last good report.
    pub unused_rules: usize,
    /// When the last good or partial report was made.
    pub reported: Timestamp,
}

/// How many resources of one scope are over the check's limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Drift that counts, by action.
    pub drift: BTreeMap<Action, u64>,
    /// How many of these changed outside.
    pub outside: u64,
    /// Taken out of the drift by an ignore rule.
    pub ignored: u64,
    /// No drift, by source and action.
    pub informational: BTreeMap<(Source, Action), u64>,
}

impl Dropped {
    fn add(&mut self, seen: &Seen) {
        let r = &seen.resource;
        let n = if seen.counts() {
            self.outside += u64::from(r.outside);
            self.drift.entry(r.action).or_default()
        } else if r.ignored {
            &mut self.ignored
        } else {
            self.informational.entry((r.source, r.action)).or_default()
        };
        *n += 1;
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
}

type Identity = (Source, String, String, String);

fn identity(resource: &Resource) -> Identity {
    (resource.source, resource.scope.clone(), resource.kind.clone(), resource.name.clone())
}

impl CheckState {
    /// The last run, if it ended since the check was loaded: one that a folder kept is from before.
    pub fn own_run(&self) -> Option<&Arc<LastRun>> {
        self.last.as_ref().filter(|_| !self.counters.runs.is_empty())
    }

    /// What the last run itself reported, without what earlier ones left.
    pub fn reported(&self) -> Option<(&Drift, Vec<Resource>)> {
        let (last, drift) = (self.own_run()?, self.drift.as_ref()?);
        let shown = drift.resources.iter().enumerate().filter(|(n, _)| drift.older.binary_search(n).is_err());
        (drift.reported == last.ended)
            .then(|| (drift, shown.map(|(_, seen)| seen.resource.clone()).collect()))
    }

    /// The check's configuration has changed from `old` to `new`. What was found stays, with its times.
    fn configured(&mut self, old: &Check, new: &Check, now: Timestamp) {
        self.interval = Schedule::of(new, now).interval(now);
        if !new.runs_like(old) {
            // What was recognised in another command's output says nothing of this one's.
            self.parser = Self::known_parser(new);
        }
        if old.redact != new.redact {
            self.redact(&new.redact);
        }
        self.forget_unreadable(new);
    }

    /// Takes out of what is kept of the last run what a new pattern would have taken out.
    pub fn redact(&mut self, secrets: &[Secret]) {
        let Some(last) = &mut self.last else { return };
        let last = Arc::make_mut(last);
        for part in
            [&mut last.stdout.bytes, &mut last.stdout.tail, &mut last.stderr.bytes, &mut last.stderr.tail]
        {
            if let Cow::Owned(clean) = redacted_part(part, secrets, Part::Whole) {
                *part = clean;
            }
        }
        last.reason = last.reason.take().map(|reason| redacted_text(reason, secrets));
        for diagnostic in &mut last.diagnostics {
            diagnostic.summary = redacted_text(std::mem::take(&mut diagnostic.summary), secrets);
        }
    }

    /// A check that reads nothing would never replace what an earlier one has found.
    pub fn forget_unreadable(&mut self, check: &Check) {
        if check.reader == ReaderChoice::ExitCode {
            self.drift = None;
        }
    }

    fn known_parser(check: &Check) -> Option<Reader> {
        match &check.reader {
            ReaderChoice::Known(reader) => Some(reader.clone()),
            ReaderChoice::ExitCode | ReaderChoice::OneOf(_) | ReaderChoice::Any => None,
        }
    }

    /// Nothing has happened yet.
    pub fn new(check: &Check, loaded: Timestamp) -> Self {
        Self {
            loaded,
            running: None,
            next_run: None,
            interval: Schedule::of(check, loaded).interval(loaded),
            last: None,
            last_success: None,
            last_zero: None,
            counters: Counters::default(),
            changed_since: false,
            drift: None,
            parser: Self::known_parser(check),
        }
    }

    /// Takes in one finished run, which ended at `ended`.
    ///
    /// Run-level facts are those of this run. Drift changes scope by scope: a good report replaces everything; a partial one replaces what it read, adds what
    /// it saw in scopes it couldn't read to their end, and leaves the last good resources of these and of scopes it doesn't name; any other run changes no
    /// drift.
    /// Of more than `max_resources` that count, the first by identity are kept and the rest is counted.
    pub fn apply(&mut self, check: &Check, outcome: Outcome, judgement: Judgement, ended: Timestamp) {
        let max_resources = check.max_resources;
        let Judgement { verdict, class, reason, parser, evidence: _, report, diagnostics, unused_rules } =
            judgement;
        let code = match (&outcome.end, outcome.stage) {
            (End::Exited(code), Stage::Command) => Some(*code),
            (End::Exited(code), Stage::Report) if outcome.report.is_some() => Some(*code),
            (End::Exited(_) | End::Signalled(_) | End::TimedOut | End::Cancelled | End::NotStarted(_), _) => {
                None
            }
        };
        let counters = &mut self.counters;
        *counters.runs.entry(verdict).or_default() += 1;
        if let Some(code) = code {
            *counters.exits.entry(code).or_default() += 1;
        }
        if let Some(class) = class {
            *counters.failures.entry(class).or_default() += 1;
        }
        counters.killed_deadline += u64::from(outcome.killed.deadline);
        counters.killed_leftover += u64::from(outcome.killed.leftover);
        counters.cpu_user += outcome.usage.user;
        counters.cpu_system += outcome.usage.system;
        counters.duration += outcome.duration;
        if verdict.is_success() {
            self.last_success = Some(ended);
        }
        if code == Some(0) {
            self.last_zero = Some(ended);
        }
        self.parser = parser.clone().or_else(|| self.parser.take());
        let scopes = report.as_ref().map(|report| report.scopes().clone());
        if verdict == Verdict::Clean && report.is_none() {
            // Judged by its exit code: nothing is left of what a parser once read.
            self.drift = None;
        }
        self.changed_since = false;
        if let (Some(report), Some(parser)) = (report, parser) {
            let Merged { resources, older, dropped } =
                merge(self.drift.as_ref(), report.resources(), report.scopes(), max_resources, ended);
            self.drift = Some(Drift {
                resources: Arc::new(resources),
                older: Arc::new(older),
                dropped: Arc::new(dropped),
                tool: report.tool().clone(),
                parser,
                unused_rules,
                reported: ended,
            });
        }
        let truncated = outcome.stdout.is_cut()
            || outcome.stderr.is_cut()
            || outcome.report.as_ref().is_some_and(Captured::is_cut);
        self.last = Some(Arc::new(LastRun {
            started: outcome.started,
            ended,
            revision: outcome.revision,
            duration: outcome.duration,
            verdict,
            class,
            reason,
            code,
            stage: outcome.stage,
            end: match outcome.end {
                End::NotStarted(why) => End::NotStarted(redacted_text(why, &check.redact)),
                end => end,
            },
            stdout_bytes: outcome.stdout.total,
            stderr_bytes: outcome.stderr.total,
            truncated,
            max_resident: outcome.usage.max_resident,
            leaked: outcome.leaked,
            diagnostics,
            stdout: keep(outcome.stdout, &check.redact),
            stderr: keep(outcome.stderr, &check.redact),
            scopes,
        }));
        self.running = None;
    }
}

/// What is known of a check's resources after a report, as [`Drift`] has it.
struct Merged {
    resources: Vec<Seen>,
    older: Vec<usize>,
    dropped: BTreeMap<String, Dropped>,
}

/// The resources after a report, sorted by identity. A partial report only replaces the scopes that it read: a host that it doesn't
/// name may have left, or the run may have ended before it came to it.
/// Of what counts, and of what doesn't, the first `max` are kept.
fn merge(old: Option<&Drift>, new: &[Resource], scopes: &Scopes, max: usize, now: Timestamp) -> Merged {
    let old_resources = old.map(|drift| Arc::clone(&drift.resources)).unwrap_or_default();
    let old_dropped = old.map(|drift| Arc::clone(&drift.dropped)).unwrap_or_default();
    let (old, read): (&[Seen], HashSet<&str>) =
        (&old_resources, scopes.read.iter().map(String::as_str).collect());
    // A module of a unit that was read (`vpc//module.a` of `vpc`) was read with it.
    let was_read = |scope: &str| {
        read.contains(scope) || scope.split_once("//").is_some_and(|(unit, _)| read.contains(unit))
    };
    let partial = !scopes.unread.is_empty();
    let first_seen: HashMap<Identity, Timestamp> =
        old.iter().map(|seen| (identity(&seen.resource), seen.first_seen)).collect();
    let mut seen: BTreeMap<Identity, (Seen, Shown)> = old
        .iter()
        .filter(|seen| partial && !was_read(&seen.resource.scope))
        .map(|seen| (identity(&seen.resource), (seen.clone(), Shown::Before)))
        .collect();
    for resource in new {
        let identity = identity(resource);
        let first_seen = first_seen.get(&identity).copied().unwrap_or(now);
        seen.insert(identity, (Seen { resource: resource.clone(), first_seen }, Shown::Now));
    }
    let mut dropped: BTreeMap<String, Dropped> = old_dropped
        .iter()
        .filter(|(scope, _)| partial && !was_read(scope))
        .map(|(scope, dropped)| (scope.clone(), dropped.clone()))
        .collect();
    let counted: HashSet<String> = dropped.keys().cloned().collect();
    let (mut counting, mut others) = (0, 0);
    let keep = |(seen, _): &(Seen, Shown)| {
        let n = if seen.counts() { &mut counting } else { &mut others };
        *n += 1;
        // What was counted of a scope that wasn't read stays as it is: these may be among it.
        if *n > max && !counted.contains(seen.resource.scope.as_str()) {
            dropped.entry(seen.resource.scope.clone()).or_default().add(seen);
        }
        *n <= max
    };
    let mut kept: Vec<(Seen, Shown)> = seen.into_values().collect();
    kept.retain(keep);
    let older = kept.iter().enumerate().filter(|(_, (_, shown))| *shown == Shown::Before);
    let older = older.map(|(n, _)| n).collect();
    Merged { resources: kept.into_iter().map(|(seen, _)| seen).collect(), older, dropped }
}

/// Which report showed a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The last one.
    Now,
    /// One before it.
    Before,
}

/// What a page can show: the whole, or both ends, without secrets.
fn keep(mut captured: Captured, secrets: &[Secret]) -> Captured {
    if captured.bytes.len() > KEPT {
        let half = KEPT / 2;
        if captured.tail.is_empty() {
            captured.tail = captured.bytes[captured.bytes.len() - half..].to_vec();
        }
        captured.bytes.truncate(half);
    }
    let parted = !captured.tail.is_empty();
    let clean = |bytes: &mut Vec<u8>, side| {
        if let Cow::Owned(clean) = redacted_part(bytes, secrets, side) {
            *bytes = clean;
        }
        bytes.shrink_to_fit();
    };
    clean(&mut captured.bytes, if parted { Part::Head } else { Part::Whole });
    clean(&mut captured.tail, Part::Tail);
    captured
}

/// The state of all checks, and the snapshot that readers see.
#[derive(Debug)]
pub struct Board {
    /// By name, a lock each: rendering one check's lines must not hold up the others.
    entries: RwLock<BTreeMap<String, Arc<Mutex<Entry>>>>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Where what is known survives a restart.
    store: Option<Arc<Store>>,
}

#[derive(Debug)]
struct Entry {
    check: Arc<Check>,
    state: CheckState,
    view: Arc<View>,
}

impl Entry {
    fn new(check: Check, state: CheckState) -> Self {
        let check = Arc::new(check);
        let run = Arc::new(metrics::render_run(&check, &state));
        let view = view(&check, &state, run);
        Self { check, state, view }
    }

    fn render(&mut self, what: Change) {
        let run = match what {
            Change::Live => Arc::clone(&self.view.run),
            Change::Run => Arc::new(metrics::render_run(&self.check, &self.state)),
        };
        self.view = view(&self.check, &self.state, run);
    }
}

impl Board {
    /// A board on which nothing has happened yet.
    pub fn new(checks: Vec<Check>, loaded: Timestamp) -> Self {
        Self::kept(checks, loaded, Shard::ALL, None)
    }

    /// A board for the checks of one of several instances, with what `store` knows of them.
    pub fn kept(checks: Vec<Check>, loaded: Timestamp, shard: Shard, store: Option<Arc<Store>>) -> Self {
        let snapshot = Snapshot { loaded, reloaded: true, shard, store: store.clone(), views: Vec::new() };
        let board = Self { entries: RwLock::default(), snapshot: RwLock::new(Arc::new(snapshot)), store };
        board.replace(checks, loaded);
        board
    }

    /// A board with one check of which nothing is known but a reading.
    pub fn recorded(name: &str, parser: Option<Reader>, reading: Reading, now: Timestamp) -> Self {
        let check = Check { max_resources: usize::MAX, ..Check::recorded(name) };
        let judgement = reader::judge_reading(&check, reading, parser, None, false, now, |_| None);
        let board = Self::new(vec![check.clone()], now);
        board.apply(&check, Outcome::recorded(now), judgement, now);
        board
    }

    /// The checks, sorted by name.
    pub fn checks(&self) -> Vec<Arc<Check>> {
        self.snapshot().views.iter().map(|view| Arc::clone(&view.check)).collect()
    }

    /// What is known now, for readers. Immutable; never half of a change.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The parser that an earlier run of the check recognised.
    pub fn pinned(&self, name: &str) -> Option<&'static Parser> {
        let entry = self.entry(name)?;
        let entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        entry.state.parser.as_ref()?.builtin()
    }

    /// Takes in a configuration that was loaded `now`. State is keyed by name: a check that was there keeps what is known of it, one that
    /// is gone is forgotten.
    pub fn replace(&self, checks: Vec<Check>, now: Timestamp) {
        if let Some(store) = &self.store {
            let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
            store.first_loaded(&names, now);
        }
        let fresh: BTreeMap<String, Arc<Mutex<Entry>>> = {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = checks.into_iter().map(|check| {
                let name = check.name.clone();
                let kept = entries.remove(&name).inspect(|entry| {
                    let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
                    if *entry.check != check {
                        let old = std::mem::replace(&mut entry.check, Arc::new(check.clone()));
                        entry.state.configured(&old, &check, now);
                        entry.render(Change::Run);
                    }
                });
                let entry = kept.unwrap_or_else(|| {
                    let mut state = CheckState::new(&check, now);
                    if let Some(store) = &self.store {
                        store.restore(&check, &mut state);
                    }
                    Arc::new(Mutex::new(Entry::new(check, state)))
                });
                (name, entry)
            });
            let fresh: BTreeMap<_, _> = fresh.collect();
            entries.clone_from(&fresh);
            fresh
        };
        // Changes go on meanwhile, each under its entry's lock: the new list first, then what each entry has by now.
        let view =
            |entry: &Mutex<Entry>| Arc::clone(&entry.lock().unwrap_or_else(PoisonError::into_inner).view);
        let views = fresh.values().map(|entry| view(entry)).collect();
        self.publish(|old| Snapshot { loaded: now, reloaded: true, views, ..old.clone() });
        for entry in fresh.values() {
            self.put(&entry.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// A configuration could not be taken in: the one before goes on.
    pub fn reload_failed(&self) {
        self.publish(|old| Snapshot { reloaded: false, ..old.clone() });
    }

    /// The configuration is what it was: whatever went wrong before is mended.
    pub fn reload_succeeded(&self, now: Timestamp) {
        self.publish(|old| Snapshot { loaded: now, reloaded: true, ..old.clone() });
    }

    /// The check's next run is due at `slot`, and the one after it within `interval`.
    pub fn scheduled(&self, name: &str, slot: Option<Timestamp>, interval: Option<Duration>) {
        let mut what = Change::Live;
        self.change(name, |_, state| {
            state.next_run = slot;
            if let Some(interval) = interval.filter(|interval| *interval != state.interval) {
                state.interval = interval;
                what = Change::Run;
            }
            what
        });
    }

    /// Slots of the check went by.
    pub fn skipped(&self, name: &str, why: Skip, slots: u64) {
        self.change(name, |_, state| {
            *state.counters.skipped.entry(why).or_default() += slots;
            Change::Live
        });
    }

    /// A run of the check has begun, or ended without a record.
    pub fn running(&self, name: &str, since: Option<Timestamp>) {
        self.change(name, |_, state| {
            state.running = since;
            Change::Live
        });
    }

    /// A run of the check has ended. Writes it down and renders its lines: not for a runtime worker.
    ///
    /// `ran` is the check as it was run: where a reload has put another command in its place meanwhile, there is no record of it. Whether there is one.
    pub fn apply(&self, ran: &Check, outcome: Outcome, judgement: Judgement, ended: Timestamp) -> bool {
        let mut recorded = false;
        self.change(&ran.name, |check, state| {
            recorded = ran.runs_like(check);
            if recorded {
                state.apply(check, outcome, judgement, ended);
                if let Some(store) = &self.store {
                    store.save(check, state);
                }
            }
            Change::Run
        });
        recorded
    }

    fn entry(&self, name: &str) -> Option<Arc<Mutex<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn change(&self, name: &str, act: impl FnOnce(&Check, &mut CheckState) -> Change) {
        let Some(entry) = self.entry(name) else { return };
        let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        let what = {
            let entry = &mut *entry;
            act(&entry.check, &mut entry.state)
        };
        entry.render(what);
        self.put(&entry);
    }

    /// Shows readers what an entry has. Called with the entry's lock, so that an older view never comes after a newer one.
    fn put(&self, entry: &Entry) {
        self.publish(|old| {
            let mut views = old.views.clone();
            // One that a reload has taken out meanwhile stays out.
            if let Ok(at) = views.binary_search_by(|view| view.check.name.cmp(&entry.check.name)) {
                views[at] = Arc::clone(&entry.view);
            }
            Snapshot { views, ..old.clone() }
        });
    }

    fn publish(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        *snapshot = Arc::new(next(&snapshot));
    }
}

/// What part of a check's lines a change touches.
#[derive(Clone, Copy)]
enum Change {
    Live,
    Run,
}

fn view(check: &Arc<Check>, state: &CheckState, run: Arc<Rendered>) -> Arc<View> {
    let live = metrics::render_live(check, state);
    Arc::new(View { check: Arc::clone(check), state: state.clone(), run, live })
}
