//! Many runs at a time that leave processes behind: every sweep finds its own and no other's.

use driftrun::check::Check;
use driftrun::outcome::End;
use driftrun::run::{Runner, Stop};
use std::sync::Arc;

/// One stays in the group, one leaves it, two more have a parent that is gone as well. Those that leave may be amid `exec` at the end.
const LEAVES: &str = "sleep 7900 & setsid sleep 7901 & (setsid sh -c 'sleep 7902 & sleep 7903' &) ; exit 3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sweeps_end_what_is_theirs() {
    let runner = Arc::new(Runner::start().unwrap());
    let mut lives = tokio::task::JoinSet::new();
    for number in 0..12 {
        let runner = Arc::clone(&runner);
        let leaves = number % 3 == 0;
        let script = if leaves { LEAVES } else { "exit 3" };
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let check = Check { command, ..Check::recorded(&format!("t{number}")) };
        lives.spawn(async move {
            for _ in 0..25 {
                let outcome = runner.run(&check, &Stop::default()).await;
                assert_eq!((&outcome.end, outcome.leaked), (&End::Exited(3), false));
                assert_eq!(outcome.killed.leftover >= 2, leaves, "{:?}", outcome.killed);
            }
        });
    }
    lives.join_all().await;
    assert_eq!(runner.end_strays().await, 0);
}
