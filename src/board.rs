//! What is known of every check: the only place where state changes, by [`CheckState::apply`] alone.

use crate::check::{Check, Reader, ReaderChoice, ResourceMetrics};
use crate::drift::{Drift, Seen};
use crate::history::{self, Against, History, PastRun};
use crate::live::Live;
use crate::metrics::{self, Common, Rendered};
use crate::outcome::{Captured, End, Outcome, Stage};
use crate::printed::Printed;
use crate::reader::{self, Judgement};
use crate::redact::{Marked, Secret, redacted_text};
use crate::schedule::Schedule;
use crate::shard::Shard;
use crate::snapshot::{Snapshot, View, Views};
use crate::state::{KeptRuns, Store};
use driftrun_parsers::{Class, Diagnostic, Parser, Reading, Scopes, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Everything known of one check.
#[derive(Clone, Debug)]
pub struct CheckState {
    /// When its configuration was loaded.
    pub loaded: Timestamp,
    /// Since when a run is under way.
    pub running: Option<Timestamp>,
    /// A run is asked for and has not begun yet.
    pub wanted: bool,
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
    /// The runs that came to an end.
    pub history: History,
    /// What the run under way prints.
    pub live: Option<Arc<Live>>,
    /// What the last run that had a report has told to be secret.
    pub marked: Marked,
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

impl Counters {
    fn count(&mut self, verdict: Verdict, class: Option<Class>, code: Option<i32>, outcome: &Outcome) {
        *self.runs.entry(verdict).or_default() += 1;
        if let Some(code) = code {
            *self.exits.entry(code).or_default() += 1;
        }
        if let Some(class) = class {
            *self.failures.entry(class).or_default() += 1;
        }
        self.killed_deadline += u64::from(outcome.killed.deadline);
        self.killed_leftover += u64::from(outcome.killed.leftover);
        self.cpu_user += outcome.usage.user;
        self.cpu_system += outcome.usage.system;
        self.duration += outcome.duration;
    }
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
    /// User CPU time of its processes; not known of what an older driftrun wrote.
    #[serde(default)]
    pub cpu_user: Duration,
    /// System CPU time.
    #[serde(default)]
    pub cpu_system: Duration,
    /// The line of standard output, from 1, at which it became unreadable.
    #[serde(default)]
    pub line: Option<u32>,
    /// A process that outlived the run held a pipe.
    pub leaked: bool,
    /// Remarks of the tool, the parser and the ignore rules.
    pub diagnostics: Vec<Diagnostic>,
    /// What it printed, for people.
    #[serde(skip)]
    pub printed: Arc<Printed>,
    /// The scopes of its report, where it has one.
    pub scopes: Option<Scopes>,
}

impl LastRun {
    /// Takes out of what is kept of it what these patterns match.
    pub fn redact(&mut self, secrets: &[Secret]) {
        self.printed = Arc::new(self.printed.redacted(secrets));
        self.reason = self.reason.take().map(|reason| redacted_text(reason, secrets));
        for diagnostic in &mut self.diagnostics {
            diagnostic.summary = redacted_text(std::mem::take(&mut diagnostic.summary), secrets);
        }
    }
}

impl CheckState {
    /// The last run, if it ended since the check was loaded: one that a folder kept is from before.
    pub fn own_run(&self) -> Option<&Arc<LastRun>> {
        self.last.as_ref().filter(|_| !self.counters.runs.is_empty())
    }

    /// What the last run itself reported, without what earlier ones left.
    pub fn reported(&self) -> Option<(&Drift, impl Iterator<Item = &Seen>)> {
        let (last, drift) = (self.own_run()?, self.drift.as_ref()?);
        (drift.reported == last.ended).then(|| (drift, drift.shown()))
    }

    /// The check's configuration has changed from `old` to `new`. What was found stays, with its times.
    fn configured(&mut self, old: &Check, new: &Check, now: Timestamp) {
        self.interval = Schedule::of(new, now).interval(now);
        if !new.runs_like(old) {
            // What was recognised in another command's output says nothing of this one's.
            self.parser = Self::known_parser(new);
            self.forget_clean();
            self.changed_since = self.last.is_some() || self.drift.is_some();
        }
        if old.redact != new.redact {
            self.redact(&new.redact);
        }
        self.forget_unreadable(new);
    }

    /// Takes out of what is kept of the last run what a new pattern would have taken out.
    pub fn redact(&mut self, secrets: &[Secret]) {
        if let Some(drift) = &mut self.drift {
            drift.printed = Arc::new(drift.printed.redacted(secrets));
        }
        self.history.redact(secrets);
        if let Some(last) = &mut self.last {
            Arc::make_mut(last).redact(secrets);
        }
    }

    /// That another command was clean says nothing of this one, be its next run a week away. Drift that it has found stays until a run says more.
    pub fn forget_clean(&mut self) {
        if self.last.as_ref().is_some_and(|last| last.verdict == Verdict::Clean) {
            (self.last, self.last_success) = (None, None);
        }
        if self.drift.as_ref().is_some_and(|drift| drift.tally.drifted() == 0) {
            self.drift = None;
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

    /// Nothing has happened yet; at most `runs` are to be kept.
    pub fn new(check: &Check, loaded: Timestamp, runs: usize) -> Self {
        Self {
            loaded,
            running: None,
            wanted: false,
            next_run: None,
            interval: Schedule::of(check, loaded).interval(loaded),
            last: None,
            last_success: None,
            last_zero: None,
            counters: Counters::default(),
            changed_since: false,
            drift: None,
            parser: Self::known_parser(check),
            history: History::new(runs),
            live: None,
            marked: Marked::default(),
        }
    }

    /// Takes in one finished run, which ended at `ended`.
    ///
    /// Run-level facts are those of this run. Drift changes scope by scope: a good report replaces everything; a partial one replaces what it read, adds what
    /// it saw in scopes it couldn't read to their end, and leaves the last good resources of these and of scopes it doesn't name; any other run changes no
    /// drift.
    /// Of more than `max_resources` that count, the first by identity are kept and the rest is counted.
    pub fn apply(&mut self, check: &Check, outcome: Outcome, judgement: Judgement, ended: Timestamp) {
        let Judgement {
            verdict,
            class,
            reason,
            line,
            parser,
            evidence: _,
            report,
            diagnostics,
            unused_rules,
            marked,
        } = judgement;
        let code = match (&outcome.end, outcome.stage) {
            (End::Exited(code), Stage::Command) => Some(*code),
            (End::Exited(code), Stage::Report) if outcome.report.is_some() => Some(*code),
            (End::Exited(_) | End::Signalled(_) | End::TimedOut | End::Cancelled | End::NotStarted(_), _) => {
                None
            }
        };
        self.counters.count(verdict, class, code, &outcome);
        // Where the clock was set back, the one before is no later than this.
        self.last_success = self.last_success.map(|before| before.min(ended));
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
        let was_another = std::mem::replace(&mut self.changed_since, false);
        // What such a command prints is the raw plan.
        let raw = outcome.report.is_none() && check.prints_raw_plan(self.parser.as_ref());
        // A pattern may have come while the command ran: the judgement doesn't know of it.
        let reason = reason.map(|reason| redacted_text(reason, &check.redact));
        let redacted = |Diagnostic { severity, summary, line }| Diagnostic {
            severity,
            summary: redacted_text(summary, &check.redact),
            line,
        };
        let diagnostics = diagnostics.into_iter().map(redacted).collect();
        let (stdout_bytes, stderr_bytes) = (outcome.stdout.total, outcome.stderr.total);
        let truncated = outcome.stdout.is_cut()
            || outcome.stderr.is_cut()
            || outcome.report.as_ref().is_some_and(Captured::is_cut);
        // Where the report should tell what is secret, and can't, nobody knows what is.
        let raw = raw || marked.is_unknown();
        let printed = Arc::new(Printed::of(outcome.stdout, outcome.stderr, &check.redact, &marked, raw));
        if outcome.report.is_some() {
            self.marked = marked;
        }
        let (mut drifted, mut against) = (None, Against::Nothing);
        if let (Some(report), Some(parser)) = (report, parser) {
            let (before, max) = (self.drift.take(), check.max_resources);
            let mut drift = Drift::after(before.as_ref(), report, parser, unused_rules, max, ended);
            (drift.printed, drift.run) = (Arc::clone(&printed), outcome.started);
            drifted = Some(drift.tally.drifted());
            if let Some(before) = before.as_ref().filter(|_| !was_another) {
                against = history::against(before, &drift);
            }
            self.drift = Some(drift);
        }
        self.history.push(PastRun {
            started: outcome.started,
            ended,
            duration: outcome.duration,
            verdict,
            class,
            reason: reason.as_deref().map(PastRun::shortened),
            code,
            drifted,
            against,
        });
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
            stdout_bytes,
            stderr_bytes,
            truncated,
            max_resident: outcome.usage.max_resident,
            cpu_user: outcome.usage.user,
            cpu_system: outcome.usage.system,
            line,
            leaked: outcome.leaked,
            diagnostics,
            printed,
            scopes,
        }));
        self.running = None;
        self.set_live(None);
    }

    fn set_live(&mut self, live: Option<Arc<Live>>) {
        if let Some(before) = std::mem::replace(&mut self.live, live) {
            before.end();
        }
    }
}

/// What becomes of the wish for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFor {
    /// It comes.
    Asked,
    /// One is under way.
    Running,
    /// There is no check of that name.
    NoSuchCheck,
}

/// The state of all checks, and the snapshot that readers see.
#[derive(Debug)]
pub struct Board {
    /// By name, a lock each: rendering one check's lines must not hold up the others.
    entries: RwLock<BTreeMap<String, Arc<Mutex<Entry>>>>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Where what is known survives a restart.
    store: Option<Arc<Store>>,
    listed: Mutex<Listed>,
    /// Somebody fetches the metrics compressed: what is large is compressed before it is shown.
    packs: AtomicBool,
    /// How many runs of each check are remembered.
    runs: usize,
    /// Counts the snapshots.
    news: watch::Sender<u64>,
}

/// How many drifting resources the checks have series for.
#[derive(Debug)]
struct Listed {
    most: usize,
    total: usize,
    by_check: HashMap<String, usize>,
}

impl Listed {
    /// Room for up to `wanted` of a check, which gives up what it had.
    fn take(&mut self, name: &str, wanted: usize) -> usize {
        self.give_back(name);
        let room = wanted.min(self.most.saturating_sub(self.total));
        self.total += room;
        self.by_check.insert(name.to_owned(), room);
        room
    }

    fn give_back(&mut self, name: &str) {
        self.total -= self.by_check.remove(name).unwrap_or_default();
    }
}

#[derive(Debug)]
struct Entry {
    check: Arc<Check>,
    state: CheckState,
    view: Arc<View>,
    /// Somebody wants a run.
    asked: Arc<Notify>,
}

impl Entry {
    fn new(check: Check, state: CheckState) -> Self {
        let check = Arc::new(check);
        let run = Arc::new(metrics::render_run(&check, &state));
        let view = view(&check, &state, run);
        Self { check, state, view, asked: Arc::default() }
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
        Self::kept(checks, loaded, Shard::ALL, None, usize::MAX, KeptRuns::default().runs)
    }

    /// A board for the checks of one of several instances, with what `store` knows of them. All together may have series for `max_total_resources`; so many
    /// `runs` of each are remembered.
    pub fn kept(
        checks: Vec<Check>,
        loaded: Timestamp,
        shard: Shard,
        store: Option<Arc<Store>>,
        max_total_resources: usize,
        runs: usize,
    ) -> Self {
        let snapshot = Snapshot {
            loaded,
            reloaded: true,
            shard,
            store: store.clone(),
            views: Views::default(),
            common: Common::default(),
        };
        let listed = Listed { most: max_total_resources, total: 0, by_check: HashMap::new() };
        let board = Self {
            entries: RwLock::default(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            store,
            listed: Mutex::new(listed),
            packs: AtomicBool::new(false),
            runs,
            news: watch::Sender::new(0),
        };
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

    /// From now on, or from their next report, all checks together may have series for so many resources.
    pub fn set_max_total_resources(&self, most: usize) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).most = most;
    }

    /// Somebody fetches the metrics compressed.
    pub fn pack_from_now_on(&self) {
        self.packs.store(true, Ordering::Relaxed);
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
                        self.limit(&check, &mut entry.state);
                        entry.render(Change::Run);
                    }
                });
                let entry = kept.unwrap_or_else(|| {
                    let mut state = CheckState::new(&check, now, self.runs);
                    if let Some(store) = &self.store {
                        store.restore(&check, &mut state);
                        self.limit(&check, &mut state);
                    }
                    Arc::new(Mutex::new(Entry::new(check, state)))
                });
                (name, entry)
            });
            let fresh: BTreeMap<_, _> = fresh.collect();
            for (gone, entry) in entries.iter() {
                // Whoever follows what it prints is not to wait for ever.
                entry.lock().unwrap_or_else(PoisonError::into_inner).state.set_live(None);
                self.listed.lock().unwrap_or_else(PoisonError::into_inner).give_back(gone);
            }
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
        self.change(name, |check, state| {
            (state.running, state.wanted) = (since, false);
            state.set_live(since.map(|_| {
                let raw = check.prints_raw_plan(state.parser.as_ref());
                Arc::new(Live::new(check.redact.clone(), state.marked.clone(), raw))
            }));
            Change::Live
        });
    }

    /// Where what the check's run under way prints can be seen.
    pub fn live(&self, name: &str) -> Option<Arc<Live>> {
        self.snapshot().get(name)?.state.live.clone()
    }

    /// Tells when there is another snapshot, by a number that grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Asks for a run of the check as soon as there is a place for one, whatever its schedule says.
    pub fn ask_for_run(&self, name: &str) -> AskedFor {
        let (Some(entry), Some(asked)) = (self.entry(name), self.asked(name)) else {
            return AskedFor::NoSuchCheck;
        };
        let mut answer = AskedFor::Asked;
        self.change_of(&entry, |_, state| {
            if state.running.is_some() {
                answer = AskedFor::Running;
            } else if !std::mem::replace(&mut state.wanted, true) {
                asked.notify_one();
            }
            Change::Live
        });
        answer
    }

    /// Tells when a run of the check is asked for.
    pub fn asked(&self, name: &str) -> Option<Arc<Notify>> {
        let entry = self.entry(name)?;
        let entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&entry.asked))
    }

    /// A run of the check has ended. Writes it down and renders its lines: not for a runtime worker.
    ///
    /// `ran` is the check as it was run: where a reload has put another command in its place meanwhile, there is no record of it. Whether there is one.
    pub fn apply(&self, ran: &Check, outcome: Outcome, judgement: Judgement, ended: Timestamp) -> bool {
        let Some(entry) = self.entry(&ran.name) else { return false };
        self.apply_to(&entry, ran, outcome, judgement, ended)
    }

    fn apply_to(
        &self,
        entry: &Mutex<Entry>,
        ran: &Check,
        outcome: Outcome,
        judgement: Judgement,
        ended: Timestamp,
    ) -> bool {
        let mut recorded = false;
        self.change_of(entry, |check, state| {
            recorded = ran.runs_like(check);
            if recorded {
                let was_near = is_near_limit(check, state);
                let dropped = state.drift.as_ref().map_or(0, Drift::dropped);
                state.apply(check, outcome, judgement, ended);
                self.limit(check, state);
                warn_of_limit(check, state, was_near, dropped);
                if let Some(store) = &self.store {
                    store.save(check, state);
                }
            }
            Change::Run
        });
        // A reload may have taken the check out meanwhile: what has no series takes no room from others.
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(&ran.name) {
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).give_back(&ran.name);
        }
        recorded
    }

    /// Leaves out what there is no room for beside the other checks. One that has no series of single resources takes none from them.
    fn limit(&self, check: &Check, state: &mut CheckState) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.drift {
            Some(drift) if check.resource_metrics == ResourceMetrics::Full => {
                drift.limit(listed.take(&check.name, drift.listed()));
            }
            Some(_) | None => listed.give_back(&check.name),
        }
    }

    fn entry(&self, name: &str) -> Option<Arc<Mutex<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn change(&self, name: &str, act: impl FnOnce(&Check, &mut CheckState) -> Change) {
        if let Some(entry) = self.entry(name) {
            self.change_of(&entry, act);
        }
    }

    fn change_of(&self, entry: &Mutex<Entry>, act: impl FnOnce(&Check, &mut CheckState) -> Change) {
        let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
        let what = {
            let entry = &mut *entry;
            act(&entry.check, &mut entry.state)
        };
        entry.render(what);
        if self.packs.load(Ordering::Relaxed) {
            entry.view.run.pack();
        }
        self.put(&entry);
    }

    /// Shows readers what an entry has. Called with the entry's lock, so that an older view never comes after a newer one.
    fn put(&self, entry: &Entry) {
        // One that a reload has taken out meanwhile stays out.
        self.publish(|old| Snapshot { views: old.views.with(&entry.view), ..old.clone() });
    }

    fn publish(&self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(next(&snapshot));
        let old = std::mem::replace(&mut *snapshot, next);
        // What nobody reads any more may be large, and giving it back takes time: not while readers wait.
        drop(snapshot);
        drop(old);
        self.news.send_modify(|snapshots| *snapshots += 1);
    }
}

/// Whether a check has so many drifting resources that soon some will have no series.
pub fn is_near_limit(check: &Check, state: &CheckState) -> bool {
    let drifted = state.drift.as_ref().map_or(0, |drift| drift.tally.drifted());
    drifted.saturating_mul(5) > (check.max_resources as u64).saturating_mul(4)
}

/// Says once that a check comes near its limit, and that some of its resources have no series.
fn warn_of_limit(check: &Check, state: &CheckState, was_near: bool, dropped_before: u64) {
    let Some(drift) = &state.drift else { return };
    let (drifted, dropped, max_resources) = (drift.tally.drifted(), drift.dropped(), check.max_resources);
    let name = &check.name;
    if dropped > 0 && dropped_before == 0 {
        let over = drifted.saturating_sub(max_resources as u64);
        let bound = if dropped == over { "max_resources" } else { "max_total_resources" };
        tracing::warn!(check = %name, drifted, dropped, max_resources, "more resources drift than {bound} allows: those over it are counted only");
    } else if dropped == 0 && is_near_limit(check, state) && !was_near {
        tracing::warn!(check = %name, drifted, max_resources, "drifting resources come near max_resources; those over it will be counted only");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Program;
    use crate::outcome::Finished;

    fn check(name: &str) -> Check {
        let program = Program {
            name: "mine".to_owned(),
            command: vec!["x".to_owned()],
            timeout: Duration::from_secs(1),
            exit_codes: None,
        };
        let reader = ReaderChoice::Known(Reader::Program(Arc::new(program)));
        Check { reader, ..Check::recorded(name) }
    }

    /// A run that finds one resource, and how it is judged.
    fn drifted(check: &Check, now: Timestamp) -> (Outcome, Judgement) {
        reports(check, br#"{"verdict": "drifted", "resources": [{"name": "n", "action": "update"}]}"#, now)
    }

    /// A run that reports this, and how it is judged.
    fn reports(check: &Check, report: &[u8], now: Timestamp) -> (Outcome, Judgement) {
        let captured =
            |bytes: &[u8]| Captured { bytes: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 };
        let parsed = Finished {
            end: End::Exited(0),
            stdout: captured(report),
            ..Finished::not_started(String::new())
        };
        let outcome = Outcome {
            end: End::Exited(0),
            stdout: captured(b"x"),
            parsed: Some(parsed),
            ..Outcome::recorded(now)
        };
        let judgement = reader::judge(check, None, &outcome, now);
        (outcome, judgement)
    }

    #[test]
    fn what_another_command_was_is_not_clean() {
        let now = Timestamp::UNIX_EPOCH;
        let a = check("a");
        let other = Check { command: vec!["other".to_owned()], ..a.clone() };
        let board = Board::new(vec![a.clone()], now);
        let known = |board: &Board| {
            let state = board.snapshot().get("a").unwrap().state.clone();
            let drifted = state.drift.as_ref().map(|drift| drift.tally.drifted());
            (state.last.map(|last| last.verdict), drifted, state.last_success.is_some())
        };
        let (outcome, judgement) = drifted(&a, now);
        board.apply(&a, outcome, judgement, now);
        board.replace(vec![other.clone()], now);
        assert_eq!(known(&board), (Some(Verdict::Drifted), Some(1), true));
        let (outcome, judgement) = reports(&other, br#"{"verdict": "clean", "resources": []}"#, now);
        board.apply(&other, outcome, judgement, now);
        assert_eq!(known(&board), (Some(Verdict::Clean), Some(0), true));
        board.replace(vec![Check { max_resources: 7, ..other.clone() }], now);
        assert_eq!(known(&board), (Some(Verdict::Clean), Some(0), true));
        board.replace(vec![a], now);
        assert_eq!(known(&board), (None, None, false));
    }

    #[test]
    fn a_run_that_ends_after_its_check_is_gone_takes_no_room_from_others() {
        let now = Timestamp::UNIX_EPOCH;
        let (a, b) = (check("a"), check("b"));
        let board = Board::kept(vec![a.clone(), b.clone()], now, Shard::ALL, None, 1, 10);
        let entry = board.entry("a").unwrap();
        board.replace(vec![b.clone()], now);
        let (outcome, judgement) = drifted(&a, now);
        assert!(board.apply_to(&entry, &a, outcome, judgement, now));
        let (outcome, judgement) = drifted(&b, now);
        assert!(board.apply(&b, outcome, judgement, now));
        let snapshot = board.snapshot();
        let drift = snapshot.get("b").unwrap().state.drift.as_ref().unwrap();
        assert_eq!((snapshot.views.len(), drift.listed(), drift.dropped()), (1, 1, 0));
    }
}
