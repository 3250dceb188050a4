//! The lives of checks under a paused clock: hours in milliseconds.

use driftrun::board::{Board, Skip};
use driftrun::check::{Check, Reader, ReaderChoice};
use driftrun::fleet::{Changes, Fleet};
use driftrun::outcome::{Captured, End, Outcome, Usage};
use driftrun::run::{Memory, Stop};
use driftrun::schedule::{Cron, Schedule};
use driftrun::supervise::{Clock, Limits};
use driftrun_parsers::Verdict;
use jiff::{SignedDuration, Timestamp};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
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

fn check(name: &str) -> Check {
    Check {
        reader: ReaderChoice::ExitCode,
        interval: Duration::from_mins(1),
        splay: Some(Duration::ZERO),
        ..Check::recorded(name)
    }
}

fn done() -> Outcome {
    Outcome::recorded(wall())
}

/// What ran when: names and seconds since the test began.
type Started = Arc<Mutex<Vec<(String, u64)>>>;

/// A run that takes what `takes` says of the check's name and how many began before it, and ends as `ends` says.
fn runs(
    started: &Started,
    takes: impl Fn(&str, usize) -> u64 + Clone + Send + 'static,
    ends: impl Fn(usize) -> Outcome + Clone + Send + 'static,
) -> impl Fn(Arc<Check>, Stop) -> BoxFuture + Clone + Send + 'static {
    let (started, began) = (Arc::clone(started), Instant::now());
    let numbers: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    move |check, stop| {
        started.lock().unwrap().push((check.name.clone(), second(began)));
        let number = {
            let mut numbers = numbers.lock().unwrap();
            let next = numbers.entry(check.name.clone()).or_default();
            *next += 1;
            *next - 1
        };
        let (seconds, ends) = (takes(&check.name, number), ends.clone());
        Box::pin(async move {
            tokio::select! {
                () = sleep(Duration::from_secs(seconds)) => ends(number),
                () = stop.soft.cancelled() => Outcome { end: End::Cancelled, ..done() },
            }
        })
    }
}

type BoxFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Checks on the paused clock, from `first` on.
fn fleet<F>(checks: Vec<Check>, permits: usize, stop: &Stop, run: F) -> (Arc<Board>, Fleet<F>)
where
    F: Fn(Arc<Check>, Stop) -> BoxFuture + Clone + Send + 'static,
{
    let board = Arc::new(Board::new(checks, wall()));
    let fleet = Fleet::start(
        Arc::clone(&board),
        Arc::new(Limits::new(permits, Arc::new(Memory::new(usize::MAX)))),
        Clock::of(wall),
        stop.clone(),
        tokio::runtime::Handle::current(),
        run,
        |check| Schedule::of(check, wall()),
    );
    (board, fleet)
}

fn skipped(board: &Board, name: &str) -> BTreeMap<Skip, u64> {
    board.snapshot().get(name).unwrap().state.counters.skipped.clone()
}

/// Runs one check until `until` seconds; its runs take what `takes` says, in turn. Start seconds, and skipped slots. `jump`: at that second the wall clock is
/// set by so many.
async fn starts(
    takes: &'static [u64],
    until: u64,
    jump: Option<(u64, i64)>,
) -> (Vec<u64>, BTreeMap<Skip, u64>) {
    let (started, stop) = (Started::default(), Stop::default());
    let run = runs(&started, |_, number| takes.get(number).copied().unwrap_or(0), |_| done());
    let (board, fleet) = fleet(vec![check("c0")], 1, &stop, run);
    if let Some((at, by)) = jump {
        sleep(Duration::from_secs(at)).await;
        STEPPED.set(by);
        sleep(Duration::from_secs(until - at)).await;
    } else {
        sleep(Duration::from_secs(until)).await;
    }
    stop.soft.cancel();
    fleet.ended().await;
    let started = started.lock().unwrap();
    (started.iter().map(|(_, second)| *second).collect(), skipped(&board, "c0"))
}

fn none() -> BTreeMap<Skip, u64> {
    BTreeMap::new()
}

#[tokio::test(start_paused = true)]
async fn runs_stay_on_the_grid() {
    assert_eq!(starts(&[], 250, None).await, (vec![0, 60, 120, 180, 240], none()));
}

#[tokio::test(start_paused = true)]
async fn missed_slots_are_skipped_and_counted_and_nothing_runs_back_to_back() {
    assert_eq!(
        starts(&[0, 150], 310, None).await,
        (vec![0, 60, 240, 300], BTreeMap::from([(Skip::Overrun, 2)]))
    );
}

#[tokio::test(start_paused = true)]
async fn a_week_of_minutes() {
    let (starts, skipped) = starts(&[], 7 * 86_400 - 1, None).await;
    assert_eq!((starts.len(), skipped), (7 * 24 * 60, none()));
    assert!(starts.iter().enumerate().all(|(n, second)| *second == 60 * n as u64));
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_it_runs_within_half_a_minute_and_counts_what_it_slept_through() {
    // The wall clock jumps by an hour in the middle of a wait; monotonic time does not.
    let (starts, skipped) = starts(&[], 200, Some((70, 3_600))).await;
    assert_eq!(starts[..3], [0, 60, 90]);
    assert_eq!(skipped, BTreeMap::from([(Skip::Asleep, 59)]));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_stop_the_runs() {
    let (starts, _) = starts(&[], 400, Some((70, -7_200))).await;
    assert!(starts.len() >= 6, "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_queueing_and_no_skip() {
    let (started, stop) = (Started::default(), Stop::default());
    let run = runs(&started, |_, _| 20, |_| done());
    let (board, fleet) = fleet(vec![check("c0"), check("c1")], 1, &stop, run);
    sleep(Duration::from_secs(110)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let started = started.lock().unwrap().clone();
    let mut seconds: Vec<u64> = started.iter().map(|(_, second)| *second).collect();
    seconds.sort_unstable();
    assert_eq!(seconds, [0, 20, 60, 80]);
    assert_eq!(started.iter().filter(|(check, _)| check == "c0").count(), 2);
    assert_eq!((skipped(&board, "c0"), skipped(&board, "c1")), (none(), none()));
}

#[tokio::test(start_paused = true)]
async fn slots_that_go_by_in_the_queue_are_counted_as_such() {
    let (started, stop) = (Started::default(), Stop::default());
    let long = |name: &str, _| if name == "c0" { 130 } else { 0 };
    let (board, fleet) = fleet(vec![check("c0"), check("c1")], 1, &stop, runs(&started, long, |_| done()));
    sleep(Duration::from_secs(170)).await;
    stop.soft.cancel();
    fleet.ended().await;
    // Its first slot was second 0; those of 60 and 120 went by while it waited.
    assert_eq!(*started.lock().unwrap(), [("c0".to_owned(), 0), ("c1".to_owned(), 130)]);
    assert_eq!(skipped(&board, "c0"), BTreeMap::from([(Skip::Overrun, 2)]));
    assert_eq!(skipped(&board, "c1"), BTreeMap::from([(Skip::Queue, 2)]));
}

#[tokio::test(start_paused = true)]
async fn checks_of_one_group_never_overlap_and_hold_up_nobody_else() {
    let (started, stop) = (Started::default(), Stop::default());
    let grouped = |name: &str| Check { concurrency_group: Some("backend".to_owned()), ..check(name) };
    let checks = vec![grouped("a"), grouped("b"), grouped("c"), check("d")];
    // Two places: one that waits for its group takes none.
    let (_, fleet) = fleet(checks, 2, &stop, runs(&started, |_, _| 15, |_| done()));
    sleep(Duration::from_secs(59)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let started = started.lock().unwrap().clone();
    let grouped: Vec<u64> = started.iter().filter(|(name, _)| name != "d").map(|(_, s)| *s).collect();
    assert_eq!(grouped, [0, 15, 30]);
    assert!(started.contains(&("d".to_owned(), 0)), "{started:?}");
}

/// What Terraform says of a lock.
fn locked() -> Outcome {
    let error =
        "\nError: Error acquiring the state lock\n\nError message: resource temporarily unavailable\n";
    let stderr = Captured { bytes: error.into(), tail: Vec::new(), total: error.len() as u64 };
    let usage = Usage { user: Duration::from_secs(1), ..Usage::default() };
    Outcome { end: End::Exited(1), stderr, usage, ..done() }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_meets_a_lock_is_made_again_and_gives_one_verdict() {
    for (retries, starts, verdict) in [
        (0, vec![0, 600], Verdict::Failed),
        (2, vec![0, 10, 30, 600], Verdict::Failed),
        (9, vec![0, 10, 30, 70, 600], Verdict::Clean),
    ] {
        let (started, stop) = (Started::default(), Stop::default());
        let terraform = driftrun_parsers::by_name("terraform").unwrap();
        let check = Check {
            retries,
            interval: Duration::from_mins(10),
            reader: ReaderChoice::Known(Reader::Builtin(terraform)),
            command: ["terraform", "plan", "-detailed-exitcode"].map(str::to_owned).to_vec(),
            ..check("c0")
        };
        // The lock is gone at the fourth attempt.
        let ends = |number| {
            let clean = "No changes. Your infrastructure matches the configuration.\n";
            let stdout = Captured { bytes: clean.into(), tail: Vec::new(), total: clean.len() as u64 };
            if number < 3 { locked() } else { Outcome { stdout, ..done() } }
        };
        let (board, fleet) = fleet(vec![check], 1, &stop, runs(&started, |_, _| 0, ends));
        sleep(Duration::from_secs(599)).await;
        let state = board.snapshot().get("c0").unwrap().state.clone();
        assert_eq!(state.counters.runs, BTreeMap::from([(verdict, 1)]), "{retries}");
        // What the attempts before it used counts.
        let attempts = starts.len() as u64 - 1;
        assert_eq!(state.counters.cpu_user.as_secs(), attempts.min(3), "{retries}");
        assert_eq!(state.counters.skipped, none());
        sleep(Duration::from_secs(2)).await;
        stop.soft.cancel();
        fleet.ended().await;
        let seconds: Vec<u64> = started.lock().unwrap().iter().map(|(_, second)| *second).collect();
        assert_eq!(seconds[..starts.len()], starts, "{retries}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crontab_runs_at_its_times_and_tells_its_longest_gap() {
    let (started, stop) = (Started::default(), Stop::default());
    // Base is a Wednesday, 2026-11-18 10:26:40 UTC.
    let cron = Cron::new("30 6 * * 1-5 Europe/Berlin", "c0", base()).unwrap();
    let check = Check { cron: Some(cron), ..check("c0") };
    let (board, fleet) = fleet(vec![check], 1, &stop, runs(&started, |_, _| 600, |_| done()));
    sleep(Duration::from_hours(24 * 7)).await;
    let state = board.snapshot().get("c0").unwrap().state.clone();
    stop.soft.cancel();
    fleet.ended().await;
    let times: Vec<String> = started
        .lock()
        .unwrap()
        .iter()
        .map(|(_, second)| (base() + Duration::from_secs(*second)).to_string())
        .collect();
    let days = ["19", "20", "23", "24", "25"].map(|day| format!("2026-11-{day}T05:30:00Z"));
    assert_eq!(times, days);
    assert_eq!(state.interval, Duration::from_hours(72));
    assert_eq!(state.next_run.unwrap().to_string(), "2026-11-26T05:30:00Z");
    assert_eq!(state.counters.skipped, none());
}

/// A fleet of three whose runs take 30 seconds of every minute.
async fn reloaded(with: impl FnOnce(&mut Vec<Check>)) -> (Vec<(String, u64)>, Changes, Arc<Board>) {
    let (started, stop) = (Started::default(), Stop::default());
    let mut checks = vec![check("a"), check("b"), check("c")];
    let (board, mut fleet) = fleet(checks.clone(), 9, &stop, runs(&started, |_, _| 30, |_| done()));
    sleep(Duration::from_secs(70)).await;
    with(&mut checks);
    let changes = fleet.apply(checks);
    sleep(Duration::from_secs(65)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let mut started = started.lock().unwrap().clone();
    started.sort();
    (started, changes, board)
}

#[tokio::test(start_paused = true)]
async fn a_reload_adds_changes_and_removes_checks_and_touches_no_other() {
    let of = |name: &str, seconds: &[u64]| -> Vec<(String, u64)> {
        seconds.iter().map(|second| (name.to_owned(), *second)).collect()
    };
    let whole = |parts: [Vec<(String, u64)>; 4]| parts.concat();
    let (started, changes, board) = reloaded(|checks| {
        checks.remove(0);
        checks[0].labels.insert("team".to_owned(), "x".to_owned());
        checks.push(check("d"));
    })
    .await;
    assert_eq!(changes, Changes { added: 1, changed: 1, removed: 1 });
    let all = [of("a", &[0, 60]), of("b", &[0, 60, 120]), of("c", &[0, 60, 120]), of("d", &[70, 130])];
    assert_eq!(started, whole(all));
    // The run of `b` that was under way counts, that of `a` is no record, and nothing of `a` is left.
    let snapshot = board.snapshot();
    let runs = |name: &str| snapshot.get(name).map(|view| view.state.counters.runs.values().sum::<u64>());
    assert_eq!((runs("a"), runs("b"), runs("c"), runs("d")), (None, Some(2), Some(2), Some(1)));
    assert!(snapshot.get("b").unwrap().check.labels.contains_key("team"));
    assert_eq!(snapshot.loaded, base() + Duration::from_secs(70));
}

#[tokio::test(start_paused = true)]
async fn another_command_cancels_the_run_under_way_and_another_schedule_does_not() {
    let (started, changes, board) = reloaded(|checks| {
        checks[0].command = vec!["other".to_owned()];
        checks[1].interval = Duration::from_secs(20);
    })
    .await;
    assert_eq!(changes, Changes { added: 0, changed: 2, removed: 0 });
    let of = |wanted: &str| -> Vec<u64> {
        started.iter().filter(|(name, _)| name == wanted).map(|(_, second)| *second).collect()
    };
    // `a`: the run of second 60 is cancelled, and a new grid begins. `b`: its run ends at 90, and a new grid of 20 seconds begins then.
    assert_eq!((of("a"), of("b")), (vec![0, 60, 70, 130], vec![0, 60, 90, 130]));
    let state = |name: &str| board.snapshot().get(name).unwrap().state.clone();
    assert_eq!(state("a").counters.runs, BTreeMap::from([(Verdict::Clean, 2)]));
    assert_eq!(state("b").interval, Duration::from_secs(20));
    // What was known before is still known.
    assert_eq!(state("a").loaded, base());
}

#[tokio::test]
async fn a_check_that_reads_nothing_any_more_forgets_what_it_had_found() {
    let terraform = ReaderChoice::Known(Reader::Builtin(driftrun_parsers::by_name("terraform").unwrap()));
    let reads = Check { reader: terraform, ..check("c") };
    let board = Board::new(vec![reads.clone()], base());
    let plan = "Terraform will perform the following actions:\n\n  # t.a will be created\n  + resource \"t\" \"a\" {\n    }\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n";
    let stdout = Captured { bytes: plan.into(), tail: Vec::new(), total: plan.len() as u64 };
    let outcome = Outcome { stdout, ..Outcome::recorded(base()) };
    let judgement = driftrun::reader::judge(&reads, None, &outcome, base());
    assert!(board.apply(&reads, outcome, judgement, base()));
    let drift =
        |board: &Board| board.snapshot().get("c").unwrap().state.drift.as_ref().map(|d| d.resources.len());
    assert_eq!(drift(&board), Some(1));
    // Another interval changes nothing, another way to read takes it out.
    board.replace(vec![Check { interval: Duration::from_secs(1), ..reads }], base());
    assert_eq!(drift(&board), Some(1));
    board.replace(vec![check("c")], base());
    assert_eq!(drift(&board), None);
}

/// 2,000 checks of a minute, each in a place of its own within it: for an hour with `DRIFTRUN_SLOW=1`, else for two minutes.
#[tokio::test(start_paused = true)]
async fn many_checks_keep_to_their_slots() {
    let minutes = if std::env::var_os("DRIFTRUN_SLOW").is_some() { 60 } else { 2 };
    let (started, stop) = (Started::default(), Stop::default());
    let checks: Vec<Check> =
        (0..2_000).map(|n| Check { splay: None, ..check(&format!("c{n:04}")) }).collect();
    let (board, fleet) = fleet(checks, 2_000, &stop, runs(&started, |_, _| 3, |_| done()));
    sleep(Duration::from_mins(minutes)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let mut by_check: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (name, second) in started.lock().unwrap().iter() {
        by_check.entry(name.clone()).or_default().push(*second);
    }
    assert_eq!(by_check.len(), 2_000);
    for (name, seconds) in by_check {
        let first = seconds[0];
        assert!(first < 60, "{name}");
        let grid: Vec<u64> = (0..minutes).map(|n| first + 60 * n).collect();
        assert_eq!(seconds, grid, "{name}");
        assert_eq!(skipped(&board, &name), none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_run_waits_counts_for_it() {
    let (started, stop) = (Started::default(), Stop::default());
    let mut checks = vec![check("a"), check("b")];
    // `b` waits for `a`, and is told meanwhile that both belong to one group.
    let long = |name: &str, _| if name == "a" { 40 } else { 10 };
    let (board, mut fleet) = fleet(checks.clone(), 1, &stop, runs(&started, long, |_| done()));
    sleep(Duration::from_secs(20)).await;
    checks[1].labels.insert("team".to_owned(), "x".to_owned());
    checks[1].interval = Duration::from_secs(30);
    fleet.apply(checks);
    sleep(Duration::from_mins(1)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let of = |wanted: &str| -> Vec<u64> {
        started.lock().unwrap().iter().filter(|(name, _)| name == wanted).map(|(_, second)| *second).collect()
    };
    // Its new grid begins when it has its turn.
    assert_eq!((of("a"), of("b")), (vec![0, 60], vec![40]));
    assert_eq!(board.snapshot().get("b").unwrap().state.interval, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_to_be_made_again_is_given_up_for_another_configuration() {
    let (started, stop) = (Started::default(), Stop::default());
    let terraform = ReaderChoice::Known(Reader::Builtin(driftrun_parsers::by_name("terraform").unwrap()));
    let command = ["terraform", "plan", "-detailed-exitcode"].map(str::to_owned).to_vec();
    let locks =
        Check { retries: 9, interval: Duration::from_hours(1), reader: terraform, command, ..check("c0") };
    let run = runs(&started, |_, _| 0, |_| locked());
    let (board, mut fleet) = fleet(vec![locks.clone()], 1, &stop, run);
    // Attempts at 0, 10, 30; the next would be at 70.
    sleep(Duration::from_secs(45)).await;
    fleet.apply(vec![Check { retries: 0, ..locks }]);
    sleep(Duration::from_secs(5)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let seconds: Vec<u64> = started.lock().unwrap().iter().map(|(_, second)| *second).collect();
    assert_eq!(seconds, [0, 10, 30, 45]);
    let runs = board.snapshot().get("c0").unwrap().state.counters.runs.clone();
    assert_eq!(runs, BTreeMap::from([(Verdict::Failed, 1)]));
}

#[tokio::test(start_paused = true)]
async fn fewer_places_count_as_soon_as_runs_have_left_theirs() {
    let (started, stop) = (Started::default(), Stop::default());
    let checks: Vec<Check> = (0..6).map(|n| check(&format!("c{n}"))).collect();
    let board = Arc::new(Board::new(checks, wall()));
    let limits = Arc::new(Limits::new(3, Arc::new(Memory::new(usize::MAX))));
    let fleet = Fleet::start(
        Arc::clone(&board),
        Arc::clone(&limits),
        Clock::of(wall),
        stop.clone(),
        tokio::runtime::Handle::current(),
        runs(&started, |_, _| 10, |_| done()),
        |check| Schedule::of(check, wall()),
    );
    sleep(Duration::from_secs(5)).await;
    for places in [1, 3, 1] {
        limits.set_max_concurrent(places);
    }
    sleep(Duration::from_secs(20)).await;
    limits.set_max_concurrent(2);
    sleep(Duration::from_secs(20)).await;
    stop.soft.cancel();
    fleet.ended().await;
    let seconds: Vec<u64> = started.lock().unwrap().iter().map(|(_, second)| *second).collect();
    assert_eq!(seconds, [0, 0, 0, 10, 20, 25]);
}

#[tokio::test]
async fn a_run_that_a_reload_has_overtaken_leaves_no_record() {
    let old = Check { command: vec!["old".to_owned()], ..check("c") };
    let board = Board::new(vec![old.clone()], base());
    let new = Check { command: vec!["new".to_owned()], ..old.clone() };
    let judged = |check: &Check| driftrun::reader::judge(check, None, &done(), base());
    board.replace(vec![new.clone()], base());
    assert!(!board.apply(&old, done(), judged(&old), base()));
    assert!(board.snapshot().get("c").unwrap().state.last.is_none());
    assert!(board.apply(&new, done(), judged(&new), base()));
    assert!(board.snapshot().get("c").unwrap().state.last.is_some());
}
