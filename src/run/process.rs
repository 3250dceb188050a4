//! One process: spawned in its own group, drained, bounded in time, swept and reaped. Never fails: an error is an ending.
//!
//! Knows nothing of checks. The order of operations is what makes it safe: the leader's exit is seen through a pidfd *before* it is reaped, so
//! its process group's number can't be given to anybody else while leftovers are looked for; it is reaped last.

use super::capture::{Capture, Memory};
use super::leftovers;
use super::spawn::{self, Leaders, Spawned};
use crate::live::{Live, Stream};
use crate::outcome::{End, Finished, Killed, Usage};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wait4::Wait4 as _;

/// How long a pipe may stay open after the leader's exit and the sweep. Never re-armed, so a chatty leaker can't prolong it.
const DRAIN: Duration = Duration::from_millis(500);

/// How long a killed process may take to die before it is given up (a process in an uninterruptible system call dies later).
const DEATH: Duration = Duration::from_secs(5);

/// Asks runs to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// TERM now, KILL after the grace.
    pub soft: CancellationToken,
    /// KILL now.
    pub hard: CancellationToken,
}

impl Stop {
    /// One that ends with this one, and can end alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }
}

/// Limits of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    pub(super) deadline: Instant,
    pub(super) grace: Duration,
    pub(super) max_output: usize,
    /// What all runs under way hold.
    pub(super) memory: &'a Memory,
    /// The value of the run's cookie variable, by which its escaped processes are known.
    pub(super) cookie: &'a str,
    /// Who may look at what it prints meanwhile.
    pub(super) live: Option<&'a Live>,
}

/// Follows a process to its end, whatever that is.
pub(super) async fn execute(
    started: Spawned,
    leaders: &Leaders,
    limits: Limits<'_>,
    stop: &Stop,
) -> Finished {
    let capture =
        |stream| Capture::new(limits.max_output, limits.memory, limits.live.map(|live| (live, stream)));
    let (mut out, mut err) = (capture(Stream::Out), capture(Stream::Err));
    let ended = supervise(started, leaders, limits, stop, [&mut out, &mut err]).await;
    let ended = ended.unwrap_or_else(|error| Ended {
        end: End::NotStarted(format!("can't supervise it: {error}")),
        usage: Usage::default(),
        killed: Killed::default(),
        leaked: false,
    });
    Finished {
        end: ended.end,
        stdout: out.finish(),
        stderr: err.finish(),
        usage: ended.usage,
        killed: ended.killed,
        leaked: ended.leaked,
    }
}

struct Ended {
    end: End,
    usage: Usage,
    killed: Killed,
    leaked: bool,
}

/// Where a process is on its way.
enum Phase {
    Running,
    /// TERM was sent.
    Ending,
    /// KILL was sent.
    Killed,
    /// The leader has exited; its pipes may still be held.
    Draining,
}

async fn supervise(
    spawned: Spawned,
    leaders: &Leaders,
    limits: Limits<'_>,
    stop: &Stop,
    captures: [&mut Capture<'_>; 2],
) -> io::Result<Ended> {
    let Spawned { child, pid, pidfd, stdout, stderr } = spawned;
    // From here on the child must be ended and reaped on every path: what can fail comes first, and falls back to a kill.
    let prepared = prepare(pidfd, stdout, stderr);
    let (exit, stdout, stderr) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let leaders = leaders.clone();
            let _ = tokio::task::spawn_blocking(move || spawn::kill(child, pid, &leaders)).await;
            return Err(error);
        }
    };
    let [out, err] = captures;
    let mut streams = [Source::new(stdout), Source::new(stderr)];
    let mut phase = Phase::Running;
    // One timer, moved when the phase changes: to register one anew at every turn wakes the thread that waits for events.
    let mut until = pin!(sleep_until(limits.deadline));
    let mut ended_by = None;
    let mut killed = Killed::default();
    loop {
        let [first, second] = &mut streams;
        tokio::select! {
            biased;
            () = stop.hard.cancelled(), if matches!(phase, Phase::Running | Phase::Ending) => {
                ended_by.get_or_insert(End::Cancelled);
                signal(pid, Signal::KILL);
                phase = Phase::Killed;
                until.as_mut().reset(Instant::now() + DEATH);
            }
            () = stop.soft.cancelled(), if matches!(phase, Phase::Running) => {
                ended_by = Some(End::Cancelled);
                terminate(pid);
                phase = Phase::Ending;
                until.as_mut().reset(Instant::now() + limits.grace);
            }
            ready = exit.readable(), if !matches!(phase, Phase::Draining) => {
                ready?.retain_ready();
                killed.leftover += sweep(pid, limits.cookie, leaders).await;
                phase = Phase::Draining;
                // Almost always the pipes have ended by now, and there is nothing to wait for.
                first.read_now(out);
                second.read_now(err);
                if first.open || second.open {
                    until.as_mut().reset(Instant::now() + DRAIN);
                }
            }
            () = &mut until => match phase {
                Phase::Running => {
                    ended_by = Some(End::TimedOut);
                    killed.deadline += 1;
                    terminate(pid);
                    phase = Phase::Ending;
                    until.as_mut().reset(Instant::now() + limits.grace);
                }
                Phase::Ending => {
                    signal(pid, Signal::KILL);
                    phase = Phase::Killed;
                    until.as_mut().reset(Instant::now() + DEATH);
                }
                Phase::Killed => {
                    tokio::spawn(reap_late(exit, child, pid, leaders.clone()));
                    let end = ended_by.unwrap_or(End::TimedOut);
                    return Ok(Ended { end, usage: Usage::default(), killed, leaked: true });
                }
                Phase::Draining => break,
            },
            () = first.read(out), if first.open => {}
            () = second.read(err), if second.open => {}
        }
        if matches!(phase, Phase::Draining) && streams.iter().all(|stream| !stream.open) {
            break;
        }
    }
    let leaked = streams.iter().any(|stream| stream.open);
    drop(streams);
    let (status, usage) = reap(child, pid, leaders).await?;
    let end = ended_by.unwrap_or_else(|| match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or_default()),
    });
    Ok(Ended { end, usage, killed, leaked })
}

#[expect(
    deprecated,
    reason = "its successor is unsafe to call; here the descriptor is owned, and closed with the AsyncFd"
)]
fn prepare(
    pidfd: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
) -> io::Result<(AsyncFd<OwnedFd>, Receiver, Receiver)> {
    Ok((
        AsyncFd::with_interest(pidfd, Interest::READABLE)?,
        Receiver::from_owned_fd_unchecked(stdout)?,
        Receiver::from_owned_fd_unchecked(stderr)?,
    ))
}

/// What a pipe holds unless somebody made it larger.
const PIPE: usize = 64 << 10;

/// One end of a pipe that is read for as long as anybody writes.
struct Source {
    pipe: Receiver,
    open: bool,
    chunk: Vec<u8>,
}

impl Source {
    fn new(pipe: Receiver) -> Self {
        Self { pipe, open: true, chunk: Vec::new() }
    }

    /// Waits until there is something and takes what is there, at most one pipe's worth.
    async fn read(&mut self, into: &mut Capture<'_>) {
        if self.pipe.readable().await.is_err() {
            self.open = false;
            return;
        }
        self.room();
        let read = self.pipe.try_read(&mut self.chunk);
        self.took(read, into);
    }

    /// Takes what is there without waiting for the runtime to hear of it, a little more than a pipe's worth at most: somebody may still write.
    fn read_now(&mut self, into: &mut Capture<'_>) {
        let mut taken = 0;
        while self.open && taken <= PIPE {
            self.room();
            let read = rustix::io::read(&self.pipe, &mut self.chunk).map_err(io::Error::from);
            match self.took(read, into) {
                0 => break,
                n => taken += n,
            }
        }
    }

    /// A quiet stream costs little: the first buffer is small.
    fn room(&mut self) {
        if self.chunk.is_empty() {
            self.chunk.resize(4 << 10, 0);
        }
    }

    fn took(&mut self, read: io::Result<usize>, into: &mut Capture<'_>) -> usize {
        match read {
            Ok(0) => self.open = false,
            Ok(n) => {
                into.take(&self.chunk[..n]);
                if n == self.chunk.len() && n < PIPE {
                    self.chunk.resize(PIPE, 0);
                }
                return n;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.open = false,
        }
        0
    }
}

/// TERM, and CONT so that a stopped process gets it.
fn terminate(pid: Pid) {
    signal(pid, Signal::TERM);
    signal(pid, Signal::CONT);
}

/// To the whole group. The group may be gone, or belong to root (sudo): nothing to be done then but to wait for the next deadline.
fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(pid, signal) {
        tracing::debug!(pid = pid.as_raw_pid(), ?signal, %error, "signal not sent");
    }
}

/// Ends what the run left behind; how many that were.
async fn sweep(pid: Pid, cookie: &str, leaders: &Leaders) -> u32 {
    if leftovers::surely_none(leaders) {
        return 0;
    }
    let (cookie, leaders) = (cookie.to_owned(), leaders.clone());
    tokio::task::spawn_blocking(move || leftovers::end_all(pid, &cookie, &leaders)).await.unwrap_or(0)
}

/// Reaps a leader that has exited.
async fn reap(mut child: Child, pid: Pid, leaders: &Leaders) -> io::Result<(ExitStatus, Usage)> {
    let mut reap = move |pids: &mut BTreeSet<i32>| {
        let reaped = child.try_wait4();
        pids.remove(&pid.as_raw_pid());
        reaped
    };
    let reaped = if let Some(reaped) = leaders.try_with(&mut reap) {
        reaped
    } else {
        // A process is being started: not for a runtime worker to wait for.
        let leaders = leaders.clone();
        tokio::task::spawn_blocking(move || leaders.with(reap)).await.map_err(io::Error::other)?
    };
    match reaped? {
        Some(used) => Ok((
            used.status,
            Usage { user: used.rusage.utime, system: used.rusage.stime, max_resident: used.rusage.maxrss },
        )),
        // The pidfd said that it has exited.
        None => Err(io::Error::other("the process has exited and can't be reaped")),
    }
}

/// For a process that outlived its KILL: it is reaped when the kernel lets it go.
async fn reap_late(exit: AsyncFd<OwnedFd>, child: Child, pid: Pid, leaders: Leaders) {
    tracing::error!(pid = pid.as_raw_pid(), "process survives KILL; it is reaped when the kernel lets it go");
    if exit.readable().await.is_ok() {
        let _ = reap(child, pid, &leaders).await;
    }
}
