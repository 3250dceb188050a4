//! What the service manager is told by systemd's protocol: ready, loading its configuration again, stopping, alive. Where nobody listens
//! (`NOTIFY_SOCKET` is unset) nothing is said.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// It serves, and every check has its schedule.
pub(super) fn ready(checks: usize) {
    say(&[NotifyState::Ready, NotifyState::Status(&format!("watching {checks} checks"))]);
}

/// It looks at its configuration because somebody asked for it; [`reloaded`] ends that.
pub(super) fn reloading() {
    // With the time, by which systemd tells this answer to its signal from an earlier one.
    let now = NotifyState::monotonic_usec_now();
    say(&now.map_or_else(|_| vec![NotifyState::Reloading], |now| vec![NotifyState::Reloading, now]));
}

/// It has taken in the configuration, or goes on with the one before.
pub(super) fn reloaded(checks: usize, wrong: bool) {
    if wrong {
        let status = "the configuration could not be loaded, and the one before goes on; the log says why";
        say(&[NotifyState::Ready, NotifyState::Status(status)]);
    } else {
        ready(checks);
    }
}

/// It ends its runs, and then itself.
pub(super) fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("ending the runs that are under way")]);
}

/// Tells that it is alive, twice in the time that the service manager waits, for as long as the threads that serve and the one at `runs` do their
/// work. `None` where nobody waits for it.
#[must_use = "to be aborted at the end"]
pub(super) fn keep_alive(runs: Handle) -> Option<JoinHandle<()>> {
    let pause = sd_notify::watchdog_enabled()? / 2;
    Some(tokio::spawn(tell_alive(runs, pause, || say(&[NotifyState::Watchdog]))))
}

async fn tell_alive(runs: Handle, pause: Duration, alive: impl Fn()) {
    loop {
        // A thread that is stuck never comes to it, and then nothing is said any more.
        if runs.spawn(async {}).await.is_ok() {
            alive();
        }
        tokio::time::sleep(pause).await;
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use tokio::runtime::Builder;

    #[test]
    fn a_stuck_thread_of_the_runs_is_told_by_silence() {
        let own = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let runs = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (send, told) = channel();
        own.spawn(tell_alive(runs.handle().clone(), Duration::from_millis(1), move || {
            let _ = send.send(());
        }));
        for _ in 0..3 {
            told.recv().unwrap();
        }
        let (free, stuck) = channel::<()>();
        let (enter, entered) = channel();
        runs.spawn(async move {
            enter.send(()).unwrap();
            let _ = stuck.recv();
        });
        entered.recv().unwrap();
        // What was on its way is told still, and then nothing.
        while told.recv_timeout(Duration::from_millis(200)) != Err(RecvTimeoutError::Timeout) {}
        drop(free);
        told.recv().unwrap();
    }
}
