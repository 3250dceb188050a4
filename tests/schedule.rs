//! One check's life under a paused clock: hours in milliseconds.

use driftrun::board::Board;
use driftrun::check::{Check, ReaderChoice};
use driftrun::outcome::{End, Outcome};
use driftrun::run::Stop;
use driftrun::schedule::Schedule;
use driftrun::supervise::{Clock, Place, supervise};
use jiff::{SignedDuration, Timestamp};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

thread_local! {
    /// When the test began, and what was added to the wall clock since.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static STEPPED: Cell<i64> = const { Cell::new(0) };
}

fn base() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

/// The wall clock: the paused one, and the steps made so far.
fn wall() -> Timestamp {
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    let passed =
        SignedDuration::try_from(began.elapsed()).unwrap() + SignedDuration::from_secs(STEPPED.get());
    base() + passed
}

/// Seconds since the test began, by the monotonic clock.
fn second(began: Instant) -> u64 {
    began.elapsed().as_secs()
}

fn place(checks: usize, permits: usize) -> (Arc<Board>, Vec<Place>) {
    let check = |n| Check {
        reader: ReaderChoice::ExitCode,
        interval: Duration::from_mins(1),
        ..Check::recorded(&format!("c{n}"))
    };
    let board = Arc::new(Board::new((0..checks).map(check).collect(), wall()));
    let permits = Arc::new(Semaphore::new(permits));
    let place = |position| Place {
        board: Arc::clone(&board),
        position,
        permits: Arc::clone(&permits),
        clock: Clock::of(wall),
    };
    let places = (0..checks).map(place).collect();
    (board, places)
}

fn done() -> Outcome {
    Outcome::recorded(wall())
}

/// Runs one check until `until` seconds; its runs take what `takes` says, in turn. Start seconds, and skipped slots.
async fn starts(takes: &'static [u64], until: u64, jump: Option<(u64, i64)>) -> (Vec<u64>, u64) {
    let (board, places) = place(1, 1);
    let began = Instant::now();
    let started: Arc<Mutex<Vec<u64>>> = Arc::default();
    let stop = Stop::default();
    let check = Arc::clone(&board.checks()[0]);
    let schedule = Schedule::at_once(wall(), check.interval);
    let run = {
        let started = Arc::clone(&started);
        move |_: Arc<Check>, stop: Stop| {
            let started = Arc::clone(&started);
            async move {
                let number = {
                    let mut started = started.lock().unwrap();
                    started.push(second(began));
                    started.len() - 1
                };
                tokio::select! {
                    () = sleep(Duration::from_secs(takes.get(number).copied().unwrap_or(0))) => done(),
                    () = stop.soft.cancelled() => Outcome { end: End::Cancelled, ..done() },
                }
            }
        }
    };
    let life = supervise(check, schedule, places.into_iter().next().unwrap(), stop.clone(), run);
    let clock = async {
        if let Some((at, by)) = jump {
            sleep(Duration::from_secs(at)).await;
            STEPPED.set(by);
            sleep(Duration::from_secs(until - at)).await;
        } else {
            sleep(Duration::from_secs(until)).await;
        }
        stop.soft.cancel();
    };
    tokio::join!(life, clock);
    let skipped = board.snapshot().views[0].state.counters.skipped;
    let started = started.lock().unwrap().clone();
    (started, skipped)
}

#[tokio::test(start_paused = true)]
async fn runs_stay_on_the_grid() {
    assert_eq!(starts(&[], 250, None).await, (vec![0, 60, 120, 180, 240], 0));
}

#[tokio::test(start_paused = true)]
async fn missed_slots_are_skipped_and_counted_and_nothing_runs_back_to_back() {
    assert_eq!(starts(&[0, 150], 310, None).await, (vec![0, 60, 240, 300], 2));
}

#[tokio::test(start_paused = true)]
async fn a_week_of_minutes() {
    let (starts, skipped) = starts(&[], 7 * 86_400 - 1, None).await;
    assert_eq!((starts.len(), skipped), (7 * 24 * 60, 0));
    assert!(starts.iter().enumerate().all(|(n, second)| *second == 60 * n as u64));
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_it_runs_within_half_a_minute_and_counts_what_it_slept_through() {
    // The wall clock jumps by an hour in the middle of a wait; monotonic time does not.
    let (starts, skipped) = starts(&[], 200, Some((70, 3_600))).await;
    assert_eq!(starts[..3], [0, 60, 90]);
    assert_eq!(skipped, 59);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_stop_the_runs() {
    let (starts, _) = starts(&[], 400, Some((70, -7_200))).await;
    assert!(starts.len() >= 6, "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_queueing_and_no_skip() {
    let (board, places) = place(2, 1);
    let began = Instant::now();
    let started: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let stop = Stop::default();
    let mut lives = tokio::task::JoinSet::new();
    let local = tokio::task::LocalSet::new();
    for place in places {
        let check = Arc::clone(&board.checks()[place.position]);
        let started = Arc::clone(&started);
        let run = move |check: Arc<Check>, _: Stop| {
            started.lock().unwrap().push((check.name.clone(), second(began)));
            async {
                sleep(Duration::from_secs(20)).await;
                done()
            }
        };
        let schedule = Schedule::at_once(wall(), check.interval);
        lives.spawn_local_on(supervise(check, schedule, place, stop.clone(), run), &local);
    }
    local
        .run_until(async {
            sleep(Duration::from_secs(110)).await;
            stop.soft.cancel();
            while lives.join_next().await.is_some() {}
        })
        .await;
    let started = started.lock().unwrap().clone();
    let mut seconds: Vec<u64> = started.iter().map(|(_, second)| *second).collect();
    seconds.sort_unstable();
    assert_eq!(seconds, [0, 20, 60, 80]);
    assert_eq!(started.iter().filter(|(check, _)| check == "c0").count(), 2);
    assert_eq!(board.snapshot().views.iter().map(|view| view.state.counters.skipped).sum::<u64>(), 0);
}
