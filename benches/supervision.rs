//! What it costs driftrun itself to run a command: CPU time of this process, beside starting and waiting for the same command
//! with nothing around it, and beside `tokio::process`.
//!
//! The three take turns, so that whatever else the machine does hits all of them; the median of the rounds is printed.
//! `CLOCK_PROCESS_CPUTIME_ID` is user and system time of every thread of this process, as `getrusage(RUSAGE_SELF)` gives it, in
//! nanoseconds; children are not in it. CPU time is not what a run takes by the clock, which is mostly the child's own `exec`.
//!
//! ```text
//! cargo bench --bench supervision                a run of `true`, and a gigabyte of output
//! cargo bench --bench supervision -- soak        100,000 runs, a few minutes: does memory grow?
//! ```

use driftrun::check::Check;
use driftrun::outcome::End;
use driftrun::run::{Runner, Stop};
use rustix::time::{ClockId, clock_gettime};
use std::future::Future;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;
const RUNS: u32 = 50;

/// How many runs `soak` makes, and after how many memory is looked at first.
const SOAK: u32 = 100_000;
const BEGINNING: u32 = 1_000;

/// How much the command writes that is drained.
const OUTPUT: u64 = 1_000_000_000;

fn main() {
    let soak = std::env::args().any(|argument| argument == "soak");
    // As the product does (`RunsThread` in src/app/serve.rs).
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(16).enable_all().build().unwrap();
    let work = async move {
        let runner = Runner::start().unwrap();
        if soak {
            endure(&runner).await;
        } else {
            on_both_filesystems(&runner).await;
            drain(&runner).await;
        }
    };
    std::thread::spawn(move || runtime.block_on(work)).join().unwrap();
}

/// A gigabyte that nobody wants, by the clock: through driftrun, which keeps both ends, and through a pipe into `cat`.
async fn drain(runner: &Runner) {
    let command = ["head", "-c", &OUTPUT.to_string(), "/dev/zero"].map(str::to_owned).to_vec();
    let check = Check { command: command.clone(), max_output: 1 << 20, ..Check::recorded("bench") };
    let mut best = [Duration::MAX; 2];
    for _ in 0..5 {
        let began = Instant::now();
        let outcome = runner.run(&check, &Stop::default()).await;
        best[0] = best[0].min(began.elapsed());
        assert_eq!((outcome.end, outcome.stdout.total), (End::Exited(0), OUTPUT));
        let began = Instant::now();
        let piped = Command::new("sh").arg("-c").arg(command.join(" ") + " | cat >/dev/null").status();
        best[1] = best[1].min(began.elapsed());
        assert!(piped.unwrap().success());
    }
    let [ours, cat] = best;
    println!("draining 1 GB of output, wall time, best of 5");
    println!("  driftrun                 {:>8.0} ms", ours.as_secs_f64() * 1e3);
    println!("  | cat >/dev/null         {:>8.0} ms", cat.as_secs_f64() * 1e3);
    println!("  driftrun / cat           {:>8.2}      (target: at most 1.5)", ratio(ours, cat));
}

/// Resident memory after the first runs and after all of them.
async fn endure(runner: &Runner) {
    let check = Check { command: vec!["true".to_owned()], ..Check::recorded("bench") };
    let (stop, began) = (Stop::default(), Instant::now());
    let mut first = 0;
    for number in 1..=SOAK {
        let outcome = runner.run(&check, &stop).await;
        assert_eq!(outcome.end, End::Exited(0));
        if number == BEGINNING {
            first = resident();
        }
    }
    let last = resident();
    let kib = |bytes: u64| bytes >> 10;
    println!("soak: {SOAK} runs of `true` in {:.0} s", began.elapsed().as_secs_f64());
    println!(
        "  resident after {BEGINNING}: {} KiB, at the end {} KiB (target: at most 1024 KiB more)",
        kib(first),
        kib(last)
    );
    println!("  descriptors at the end: {}", std::fs::read_dir("/proc/self/fd").unwrap().count());
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

/// A run makes and removes a folder: what that costs is the filesystem's affair, on a disk's more than all the rest.
async fn on_both_filesystems(runner: &Runner) {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        measure(runner, memory).await;
    }
    measure(runner, std::env::temp_dir()).await;
}

async fn measure(runner: &Runner, tmp_base: PathBuf) {
    // As in the product, where a schedule always sleeps for less than any deadline.
    let schedule = tokio::spawn(tokio::time::sleep(Duration::from_secs(30)));
    let place = tmp_base.display().to_string();
    let stop = Stop::default();
    let check = Check { command: vec!["true".to_owned()], tmp_base, ..Check::recorded("bench") };
    let whole = async || {
        let outcome = runner.run(&check, &stop).await;
        assert_eq!(outcome.end, End::Exited(0));
    };
    let bare = async || {
        let mut child = Command::new("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
    };
    let tokios = async || {
        let output = tokio::process::Command::new("true").stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success());
    };
    let mut times = [const { Vec::new() }; 3];
    // The first round warms up.
    for round in 0..=ROUNDS {
        let costs = [cost(&whole).await, cost(&bare).await, cost(&tokios).await];
        if round > 0 {
            times.iter_mut().zip(costs).for_each(|(times, cost)| times.push(cost));
        }
    }
    schedule.abort();
    let [whole, bare, tokios] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!(
        "supervision: own CPU per run of `true`, median of {ROUNDS} rounds of {RUNS} runs each, folders in {place}"
    );
    println!("  driftrun, whole run      {:>8.1} us   (target: at most 200 us)", micros(whole));
    println!("  bare spawn and wait      {:>8.1} us", micros(bare));
    println!("  tokio::process output()  {:>8.1} us", micros(tokios));
    println!("  driftrun / bare          {:>8.2}      (target: at most 4)", ratio(whole, bare));
    println!("  driftrun / tokio         {:>8.2}      (target: at most 1.5)", ratio(whole, tokios));
}

/// Own CPU per run over one round.
async fn cost<F: Future<Output = ()>>(run: impl Fn() -> F) -> Duration {
    let before = own_cpu();
    for _ in 0..RUNS {
        run().await;
    }
    own_cpu().saturating_sub(before) / RUNS
}

fn own_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
