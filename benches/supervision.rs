//! What it costs driftrun itself to run a command: CPU time of this process, beside starting and waiting for the same command
//! with nothing around it, and beside `tokio::process`.
//!
//! The three take turns, so that whatever else the machine does hits all of them; the median of the rounds is printed.
//! `CLOCK_PROCESS_CPUTIME_ID` is user and system time of every thread of this process, as `getrusage(RUSAGE_SELF)` gives it, in
//! nanoseconds; children are not in it. CPU time is not what a run takes by the clock, which is mostly the child's own `exec`.

use driftrun::check::Check;
use driftrun::outcome::End;
use driftrun::run::{Runner, Stop};
use rustix::time::{ClockId, clock_gettime};
use std::future::Future;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: usize = 40;
const RUNS: u32 = 50;

fn main() {
    // As the product does (`RunsThread` in src/app.rs).
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(16).enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(on_both_filesystems())).join().unwrap();
}

/// A run makes and removes a folder: what that costs is the filesystem's affair, on a disk's more than all the rest.
async fn on_both_filesystems() {
    let runner = Runner::start().unwrap();
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        measure(&runner, memory).await;
    }
    measure(&runner, std::env::temp_dir()).await;
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
