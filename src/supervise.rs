//! One check's life: wait for the slot, wait for a place, run, judge, record; until somebody says stop.

use crate::board::Board;
use crate::check::{Check, Reader};
use crate::outcome::{End, Outcome};
use crate::reader;
use crate::run::Stop;
use crate::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

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

/// Where a check stands and who limits it.
#[derive(Clone, Debug)]
pub struct Place {
    /// What is known of all checks.
    pub board: Arc<Board>,
    /// The check's position on it.
    pub position: usize,
    /// One permit a run.
    pub permits: Arc<Semaphore>,
    /// The time of day.
    pub clock: Clock,
}

/// Runs `check` in every slot of `schedule` until `stop`. `run` makes one run.
pub async fn supervise<R: Future<Output = Outcome>>(
    check: Arc<Check>,
    schedule: Schedule,
    place: Place,
    stop: Stop,
    mut run: impl FnMut(Arc<Check>, Stop) -> R,
) {
    let Place { board, position, permits, clock } = &place;
    let mut slot = schedule.first();
    loop {
        board.scheduled(*position, Some(slot), 0);
        if sleep_until(&schedule, slot, *clock, &stop).await.is_break() {
            break;
        }
        // Waiting for a place is queueing, not a skipped slot; slots that go by meanwhile are counted with those of the run.
        let permit = tokio::select! {
            permit = permits.acquire() => permit,
            () = stop.soft.cancelled() => break,
        };
        board.running(*position, Some(clock.now()));
        let outcome = run(Arc::clone(&check), stop.clone()).await;
        drop(permit);
        if outcome.end == End::Cancelled {
            board.running(*position, None);
            break;
        }
        record(Arc::clone(&check), &place, outcome).await;
        let next = schedule.after(slot, clock.now());
        if next.skipped > 0 {
            tracing::warn!(check = %check.name, skipped = next.skipped, "run took longer than the interval: slots skipped");
            board.scheduled(*position, None, next.skipped);
        }
        slot = next.slot;
    }
    board.scheduled(*position, None, 0);
}

/// Judges and records an outcome, away from the runtime's workers: parsing and rendering take time.
pub async fn record(check: Arc<Check>, place: &Place, outcome: Outcome) {
    let (place, now) = (place.clone(), place.clock.now());
    let work = move || {
        let pinned = place.board.pinned(place.position);
        let judgement = reader::judge(&check, pinned, &outcome, now);
        let summary = Summary::of(&outcome, &judgement);
        place.board.apply(place.position, outcome, judgement, now);
        // Last, so that whoever reads the line finds its run in a scrape.
        summary.log(&check.name);
    };
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%error, "a run could not be recorded");
    }
}

/// What the log says about a run.
struct Summary {
    verdict: &'static str,
    class: Option<&'static str>,
    code: String,
    seconds: f64,
    /// Without a report nothing is known.
    drifted: Option<usize>,
    reason: String,
    recognised: Option<(&'static str, &'static str)>,
    leaked: bool,
}

impl Summary {
    fn of(outcome: &Outcome, judgement: &reader::Judgement) -> Self {
        Self {
            verdict: judgement.verdict.as_str(),
            class: judgement.class.map(driftrun_parsers::Class::as_str),
            code: match outcome.end {
                End::Exited(code) => code.to_string(),
                End::Signalled(signal) => format!("signal {signal}"),
                End::TimedOut | End::Cancelled | End::NotStarted(_) => "none".to_owned(),
            },
            seconds: outcome.duration.as_secs_f64(),
            drifted: judgement.report.as_ref().map(|report| report.drifted().count()),
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
        let Self { verdict, class, code, seconds, drifted, reason, recognised, leaked } = self;
        if let Some((parser, because)) = recognised {
            tracing::info!(check, parser, because, "output recognised");
        }
        if *leaked {
            tracing::warn!(check, "a process that outlived the run still holds its output");
        }
        match class {
            None => tracing::info!(check, verdict, code, seconds, drifted, "run"),
            Some(class) => tracing::warn!(check, verdict, code, seconds, drifted, class, reason, "run"),
        }
    }
}

/// Sleeps until the wall clock says `slot`, looking at it now and then; breaks when it is time to stop.
async fn sleep_until(
    schedule: &Schedule,
    slot: Timestamp,
    clock: Clock,
    stop: &Stop,
) -> std::ops::ControlFlow<()> {
    loop {
        let now = clock.now();
        let left = slot.duration_since(now);
        if left <= SignedDuration::ZERO || schedule.is_too_far(slot, now) {
            return if stop.soft.is_cancelled() {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            };
        }
        let left = Duration::try_from(left).unwrap_or(LOOK).min(LOOK);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = stop.soft.cancelled() => return std::ops::ControlFlow::Break(()),
        }
    }
}
