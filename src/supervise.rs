//! One check's life: wait for the slot, wait for a place, run, judge, record; until somebody says stop.

use crate::board::{Board, Skip};
use crate::check::{Check, Reader};
use crate::log;
use crate::outcome::{End, Killed, Outcome, Usage};
use crate::reader;
use crate::run::{Memory, Stop};
use crate::schedule::Schedule;
use driftrun_parsers::Class;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A sleeper looks at the wall clock at least this often: after a suspend, or a step of the clock, it is at most this late.
const LOOK: Duration = Duration::from_secs(30);

/// Tells the time of day.
#[derive(Clone, Copy)]
pub struct Clock {
    now: fn() -> Timestamp,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The system's.
    pub const SYSTEM: Self = Self { now: Timestamp::now };

    /// One for tests.
    pub const fn of(now: fn() -> Timestamp) -> Self {
        Self { now }
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }
}

/// How long a run that met a lock waits before it is made again; twice as long each time.
const RETRY: Duration = Duration::from_secs(10);

/// And at most so long.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// How old the expected interval of a crontab may become.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// How many runs may be under way at once.
#[derive(Debug)]
pub struct Limits {
    /// How many places there are to be, and the places.
    places: Mutex<usize>,
    permits: Arc<Semaphore>,
    /// How many of them go when those who have them leave.
    surplus: Arc<AtomicUsize>,
    memory: Arc<Memory>,
    groups: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Limits {
    /// So many over all checks, one of each concurrency group, and none while `memory` has no room.
    pub fn new(max_concurrent: usize, memory: Arc<Memory>) -> Self {
        let max_concurrent = max_concurrent.min(Semaphore::MAX_PERMITS);
        Self {
            places: Mutex::new(max_concurrent),
            permits: Arc::new(Semaphore::new(max_concurrent)),
            surplus: Arc::default(),
            memory,
            groups: Mutex::default(),
        }
    }

    /// From now on so many. Where more are under way, as many must end before another begins.
    pub fn set_max_concurrent(&self, max_concurrent: usize) {
        let max_concurrent = max_concurrent.min(Semaphore::MAX_PERMITS);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (more, less) = (max_concurrent.saturating_sub(*places), places.saturating_sub(max_concurrent));
        *places = max_concurrent;
        let taken_back = take(&self.surplus, more);
        self.permits.add_permits(more - taken_back);
        self.surplus.fetch_add(less - self.permits.forget_permits(less), Ordering::AcqRel);
    }

    /// Waits for a place: first for one of the group, so that those who wait for it take none from the others.
    async fn enter(&self, group: Option<&str>) -> Option<Entered> {
        let group = match group {
            Some(group) => {
                let one = {
                    let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
                    let one = groups.entry(group.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1)));
                    Arc::clone(one)
                };
                Some(one.acquire_owned().await.ok()?)
            }
            None => None,
        };
        self.memory.room().await;
        let one = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(Entered { _group: group, one: Some(one), surplus: Arc::clone(&self.surplus) })
    }
}

/// A place for one run, until it is dropped.
struct Entered {
    _group: Option<OwnedSemaphorePermit>,
    one: Option<OwnedSemaphorePermit>,
    surplus: Arc<AtomicUsize>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(one) = self.one.take().filter(|_| take(&self.surplus, 1) == 1) {
            one.forget();
        }
    }
}

/// Takes at most so many of a number; how many it were.
fn take(number: &AtomicUsize, most: usize) -> usize {
    let left = |number: usize| Some(number - number.min(most));
    let before = number.fetch_update(Ordering::AcqRel, Ordering::Acquire, left);
    before.unwrap_or_else(|before| before).min(most)
}

/// Where a check stands and who limits it.
#[derive(Clone, Debug)]
pub struct Place {
    /// What is known of all checks.
    pub board: Arc<Board>,
    /// The check's name on it.
    pub name: Arc<str>,
    /// Who else runs.
    pub limits: Arc<Limits>,
    /// The time of day.
    pub clock: Clock,
}

impl Place {
    /// Counts the slots between two times, and says so.
    fn skip(&self, schedule: &Schedule, why: Skip, from: Timestamp, to: Timestamp) {
        let slots = schedule.passed(from, to);
        if slots > 0 {
            let reason = why.as_str();
            tracing::warn!(check = %self.name, slots, reason, "slots of the schedule went by without a run");
            self.board.skipped(&self.name, why, slots);
        }
    }
}

/// Runs a check in every slot of `schedule` until `stop`. `run` makes one run. `configured` gives the check's configuration, and tells when
/// it has changed: what is under way ends under the old one.
pub async fn supervise<R: Future<Output = Outcome>>(
    mut configured: watch::Receiver<Arc<Check>>,
    mut schedule: Schedule,
    place: Place,
    stop: Stop,
    mut run: impl FnMut(Arc<Check>, Stop) -> R,
) {
    let Place { board, name, limits, clock } = &place;
    let mut check = Arc::clone(&configured.borrow_and_update());
    let mut slot = schedule.first();
    let mut looked: Option<Timestamp> = None;
    // Where nobody can change it any more, nothing is waited for.
    let mut can_change = true;
    // A check that is gone by now is stopped soon.
    let asked = board.asked(name).unwrap_or_default();
    loop {
        let now = clock.now();
        let stale = looked.is_none_or(|at| now.duration_since(at) > STALE);
        let interval = stale.then(|| schedule.interval(now));
        looked = if stale { Some(now) } else { looked };
        board.scheduled(name, Some(slot), interval);
        let mut due = slot;
        tokio::select! {
            biased;
            changed = configured.changed(), if can_change => {
                can_change = changed.is_ok();
                (check, schedule, slot) = anew(&mut configured, &schedule, slot, clock.now());
                looked = None;
                continue;
            }
            () = asked.notified() => {
                tracing::info!(check = %name, "a run is asked for");
                due = clock.now();
            }
            woken = sleep_until(&schedule, slot, *clock, &stop) => match woken {
                Woken::InTime => {}
                Woken::SetBack => {
                    slot = schedule.after(clock.now());
                    continue;
                }
                Woken::Stopped => break,
            },
        }
        let woken = clock.now();
        place.skip(&schedule, Skip::Asleep, due, woken);
        // Waiting for a place is queueing; only slots that go by meanwhile are skipped.
        let Some(entered) = enter(&check, limits, &stop).await else { break };
        // Whoever asked for a run while it waited gets this one.
        tokio::select! {
            biased;
            () = asked.notified() => {}
            () = std::future::ready(()) => {}
        }
        if configured.has_changed().unwrap_or(false) {
            // What was changed while it waited counts for this run, the group that it waits for included. It stays due.
            let now = clock.now();
            place.skip(&schedule, Skip::Queue, due.max(woken), now);
            (check, schedule, slot) = anew(&mut configured, &schedule, now, now);
            looked = None;
            continue;
        }
        let began = clock.now();
        place.skip(&schedule, Skip::Queue, due.max(woken), began);
        let entered = Some(entered);
        match attempts(&check, &place, &stop, entered, &mut run, Some(&mut configured)).await {
            Attempted::Ended => {}
            Attempted::Changed => {
                let now = clock.now();
                place.skip(&schedule, Skip::Overrun, due.max(began), now);
                (check, schedule, slot) = anew(&mut configured, &schedule, now, now);
                looked = None;
                continue;
            }
            Attempted::Stopped => break,
        }
        let now = clock.now();
        place.skip(&schedule, Skip::Overrun, due.max(began), now);
        // One that was asked for takes no slot that is still to come.
        slot = if due < slot && now < slot { slot } else { schedule.next(slot, now) };
    }
    board.running(name, None);
    board.scheduled(name, None, None);
}

/// The newest configuration, its schedule, and the slot that comes next.
fn anew(
    configured: &mut watch::Receiver<Arc<Check>>,
    schedule: &Schedule,
    slot: Timestamp,
    now: Timestamp,
) -> (Arc<Check>, Schedule, Timestamp) {
    let check = Arc::clone(&configured.borrow_and_update());
    let kept = schedule.kept_for(&check, now);
    let slot = if kept == *schedule { slot } else { kept.first() };
    (check, kept, slot)
}

/// Waits for a place for a run; `None` when it is time to stop.
async fn enter(check: &Check, limits: &Limits, stop: &Stop) -> Option<Entered> {
    tokio::select! {
        entered = limits.enter(check.concurrency_group.as_deref()) => entered,
        () = stop.soft.cancelled() => None,
    }
}

/// Makes one run of a check as soon as there is a place for it, with its retries, and records it.
pub async fn run_now<R: Future<Output = Outcome>>(
    check: &Arc<Check>,
    place: &Place,
    stop: &Stop,
    mut run: impl FnMut(Arc<Check>, Stop) -> R,
) {
    let entered = enter(check, &place.limits, stop).await;
    if entered.is_some() {
        let _ = attempts(check, place, stop, entered, &mut run, None).await;
    }
}

/// What became of a run and its retries.
enum Attempted {
    /// It is recorded.
    Ended,
    /// It met a lock, and the configuration changed before it was made again.
    Changed,
    /// It is time to stop.
    Stopped,
}

/// Makes a run and records it; one that meets a lock is made again as often as the check wants, and only the last counts.
async fn attempts<R: Future<Output = Outcome>>(
    check: &Arc<Check>,
    place: &Place,
    stop: &Stop,
    mut entered: Option<Entered>,
    run: &mut impl FnMut(Arc<Check>, Stop) -> R,
    mut configured: Option<&mut watch::Receiver<Arc<Check>>>,
) -> Attempted {
    let Place { board, name, limits, clock } = place;
    let mut spent = Spent::default();
    let mut wait = RETRY;
    let mut left = check.retries;
    loop {
        board.running(name, Some(clock.now()));
        let mut outcome = run(Arc::clone(check), stop.clone()).await;
        drop(entered.take());
        if outcome.end == End::Cancelled {
            return Attempted::Stopped;
        }
        spent.add_to(&mut outcome);
        match record(Arc::clone(check), place, outcome, left > 0).await {
            Recorded::Done => return Attempted::Ended,
            Recorded::Locked(all) => spent = all,
        }
        left -= 1;
        board.running(name, None);
        board.scheduled(name, clock.now().saturating_add(wait).ok(), None);
        let seconds = wait.as_secs();
        tracing::info!(check = %name, seconds, left, "the state is locked: the run is made again");
        let changed = async {
            let changed = match &mut configured {
                Some(configured) => configured.changed().await.is_ok(),
                None => false,
            };
            // Where nobody can change it any more, nothing is waited for.
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = changed => return Attempted::Changed,
            () = stop.soft.cancelled() => return Attempted::Stopped,
        }
        wait = (wait * 2).min(LONGEST_RETRY);
        entered = enter(check, limits, stop).await;
        if entered.is_none() {
            return Attempted::Stopped;
        }
    }
}

/// What attempts before the last one used: it counts for the check, though they give no verdict.
#[derive(Debug, Default)]
pub struct Spent {
    usage: Usage,
    killed: Killed,
}

impl Spent {
    fn add_to(&self, outcome: &mut Outcome) {
        outcome.usage = outcome.usage.plus(self.usage);
        outcome.killed = outcome.killed.plus(self.killed);
    }
}

/// What became of an outcome.
#[derive(Debug)]
pub enum Recorded {
    /// It stands on the board.
    Done,
    /// It met a lock and is to be made again: nothing is recorded but what it used.
    Locked(Spent),
}

/// Judges and records an outcome, away from the runtime's workers: parsing and rendering take time. With `again`, one that met a lock of its state is not recorded.
pub async fn record(check: Arc<Check>, place: &Place, outcome: Outcome, again: bool) -> Recorded {
    let (place, now) = (place.clone(), place.clock.now());
    let work = move || {
        let Place { board, name, .. } = &place;
        let judgement = reader::judge(&check, board.pinned(name), &outcome, now);
        if again && judgement.class == Some(Class::StateLock) {
            return Recorded::Locked(Spent { usage: outcome.usage, killed: outcome.killed });
        }
        let summary = Summary::of(&outcome, &judgement);
        // Last, so that whoever reads the line finds its run in a scrape.
        if board.apply(&check, outcome, judgement, now) {
            summary.log(name);
        }
        Recorded::Done
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a run could not be recorded");
        Recorded::Done
    })
}

/// What the log says about a run.
struct Summary {
    verdict: &'static str,
    class: Option<&'static str>,
    /// What it exited with, if it did.
    code: Option<i32>,
    /// What ended it.
    signal: Option<i32>,
    seconds: f64,
    /// Without a report nothing is known.
    drifted: Option<usize>,
    /// Drift that an ignore rule takes out.
    ignored: Option<usize>,
    reason: String,
    recognised: Option<(&'static str, &'static str)>,
    leaked: bool,
}

impl Summary {
    fn of(outcome: &Outcome, judgement: &reader::Judgement) -> Self {
        let report = judgement.report.as_ref();
        Self {
            verdict: judgement.verdict.as_str(),
            class: judgement.class.map(driftrun_parsers::Class::as_str),
            code: if let End::Exited(code) = outcome.end { Some(code) } else { None },
            signal: if let End::Signalled(signal) = outcome.end { Some(signal) } else { None },
            seconds: outcome.duration.as_secs_f64(),
            drifted: report.map(|report| report.drifted().count()),
            ignored: report.map(|report| report.resources().iter().filter(|r| r.drift && r.ignored).count()),
            reason: judgement.reason.clone().unwrap_or_default(),
            recognised: judgement
                .parser
                .as_ref()
                .and_then(Reader::builtin)
                .map(|parser| parser.name)
                .zip(judgement.evidence),
            leaked: outcome.leaked,
        }
    }

    /// One line a run, and one for what is odd about it.
    fn log(&self, check: &str) {
        let Self { verdict, class, code, signal, seconds, drifted, ignored, reason, recognised, leaked } =
            self;
        if let Some((parser, because)) = recognised {
            tracing::info!(check, parser, because, "output recognised");
        }
        if *leaked {
            tracing::warn!(check, "a process that outlived the run still holds its output");
        }
        match class {
            None => {
                tracing::info!(target: log::RUN, check, verdict, code, seconds, drifted, ignored, "run");
            }
            Some(class) => {
                tracing::warn!(target: log::RUN, check, verdict, code, signal, seconds, drifted, ignored, class, reason, "run");
            }
        }
    }
}

/// Why a sleeper is awake.
enum Woken {
    /// Its slot has come.
    InTime,
    /// The clock was set back: another slot comes before.
    SetBack,
    /// It is time to stop.
    Stopped,
}

/// Sleeps until the wall clock says `slot`, looking at it now and then.
async fn sleep_until(schedule: &Schedule, slot: Timestamp, clock: Clock, stop: &Stop) -> Woken {
    loop {
        let now = clock.now();
        let left = slot.duration_since(now);
        if left <= SignedDuration::ZERO || schedule.is_too_far(slot, now) {
            return match stop.soft.is_cancelled() {
                true => Woken::Stopped,
                false if left <= SignedDuration::ZERO => Woken::InTime,
                false => Woken::SetBack,
            };
        }
        let left = Duration::try_from(left).unwrap_or(LOOK).min(LOOK);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = stop.soft.cancelled() => return Woken::Stopped,
        }
    }
}
