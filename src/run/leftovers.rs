//! What a run leaves behind: processes that outlive their leader. driftrun is their reaper (`PR_SET_CHILD_SUBREAPER`), so every orphan becomes
//! its child; an orphan that no run waits for belongs to the run of its process group, else to the run whose cookie is in its environment.
//!
//! Found in `/proc/self/task/TID/children` of the main thread, and where the kernel has no such file, and for strays, through every `/proc/PID/stat`; works the same
//! as PID 1 and everywhere else. Never `waitpid(-1)`: that would steal the status of a leader.

use super::spawn::Leaders;
use super::{COOKIE, is_private_folder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpgid, kill_process, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid,
};
use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 64;
const TIME: Duration = Duration::from_secs(2);

/// How long a process may show no environment: amid `exec` the old one is gone and the new one not there yet.
const EXEC: Duration = Duration::from_millis(20);

/// Whether there is nothing to look at, as almost always: a look that costs microseconds. `false` when somebody holds the table just now.
pub(super) fn surely_none(leaders: &Leaders) -> bool {
    leaders
        .try_with(|table| leaders.orphans(table).is_some_and(|orphans| orphans.is_empty()))
        .unwrap_or(false)
}

/// Ends and reaps everything that the run of `leader` left behind. Call it between the leader's exit and its reaping. Blocks for at most two
/// seconds; returns how many living processes were ended.
pub(super) fn end_all(leader: Pid, cookie: &str, leaders: &Leaders) -> u32 {
    let began = Instant::now();
    let mut ended = HashSet::new();
    for round in 0..ROUNDS {
        let orphans: Vec<Orphan> = orphans(leaders, Some(leader))
            .into_iter()
            .filter(|orphan| orphan.group == leader.as_raw_pid() || orphan.carries(cookie))
            .collect();
        if orphans.is_empty() || began.elapsed() > TIME {
            break;
        }
        kill(&orphans, leaders, &mut ended);
        if round == 0 {
            // Also those whose parent still lives and who are therefore not ours yet.
            let _ = kill_process_group(leader, Signal::KILL);
        }
        reap(&orphans, leaders);
    }
    u32::try_from(ended.len()).unwrap_or(u32::MAX)
}

/// Ends and reaps every orphan that belongs to no run. Only when no run is active: a run's escaped process may still be on its way to us.
/// Trusts no list of children but looks at every process.
pub(super) fn end_strays(leaders: &Leaders) -> u32 {
    let mut ended = HashSet::new();
    for _ in 0..ROUNDS {
        let orphans = scan(leaders, None);
        if orphans.is_empty() {
            break;
        }
        kill(&orphans, leaders, &mut ended);
        reap(&orphans, leaders);
    }
    u32::try_from(ended.len()).unwrap_or(u32::MAX)
}

/// How long processes of an earlier driftrun may take to end after TERM.
const GRACE: Duration = Duration::from_secs(5);

/// Ends every process whose cookie begins so, by TERM and then by KILL, and removes the temporary folders that they name. They are no children of ours:
/// they are known by their environment, and held by a pidfd while that is looked at.
pub(super) fn end_instance(prefix: &str, bases: &[PathBuf]) -> u32 {
    let found = of_instance(prefix);
    for (process, _) in &found {
        let _ = pidfd_send_signal(process, Signal::TERM);
        let _ = pidfd_send_signal(process, Signal::CONT);
    }
    let patience = Instant::now() + GRACE;
    for (process, _) in &found {
        if !has_ended(process, patience.saturating_duration_since(Instant::now())) {
            let _ = pidfd_send_signal(process, Signal::KILL);
            has_ended(process, GRACE);
        }
    }
    // Those that were started meanwhile.
    for (process, _) in of_instance(prefix) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
        has_ended(&process, GRACE);
    }
    // A user's own TMPDIR is no folder of ours.
    let is_ours = |folder: &&PathBuf| {
        is_private_folder(folder) && folder.parent().is_some_and(|base| bases.iter().any(|own| own == base))
    };
    for folder in found.iter().filter_map(|(_, folder)| folder.as_ref()).filter(is_ours) {
        let _ = fs::remove_dir_all(folder);
    }
    u32::try_from(found.len()).unwrap_or(u32::MAX)
}

/// Processes with such a cookie, and the private folder of their run.
fn of_instance(prefix: &str) -> Vec<(OwnedFd, Option<PathBuf>)> {
    let wanted = format!("{COOKIE}={prefix}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let entries = || environ.split(|byte| *byte == 0);
        entries().find(|entry| entry.starts_with(wanted.as_bytes()))?;
        let tmp = entries().find_map(|entry| entry.strip_prefix(b"TMPDIR="));
        let tmp = tmp.and_then(|path| std::str::from_utf8(path).ok()).map(PathBuf::from);
        Some((process, tmp))
    })
    .collect()
}

/// Waits for a process to end.
fn has_ended(process: &OwnedFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    poll(&mut [PollFd::new(process, PollFlags::IN)], timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Notes which of them lived: one that takes long to die is met, and killed, again.
fn kill(orphans: &[Orphan], leaders: &Leaders, ended: &mut HashSet<Pid>) {
    for orphan in orphans.iter().filter(|orphan| !orphan.dying) {
        // Another run's sweep may have reaped it; while we hold the table nobody does, and its number can't change hands.
        leaders.with(|_| {
            if state(orphan, WaitIdOptions::NOWAIT).is_ok() && kill_process(orphan.pid, Signal::KILL).is_ok()
            {
                ended.insert(orphan.pid);
            }
        });
    }
}

fn reap(orphans: &[Orphan], leaders: &Leaders) {
    let patience = Instant::now() + Duration::from_millis(200);
    for orphan in orphans {
        while let Ok(None) = leaders.with(|_| state(orphan, WaitIdOptions::empty())) {
            if Instant::now() > patience {
                break;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Whether it has ended; an error if it is no child of ours any more.
fn state(orphan: &Orphan, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
    waitid(WaitId::Pid(orphan.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | options)
}

#[derive(Debug)]
struct Orphan {
    pid: Pid,
    group: i32,
    /// A zombie, or on the way there.
    dying: bool,
}

impl Orphan {
    /// The process of that number, if it is a child of ours.
    fn of(pid: i32) -> Option<Self> {
        let own = rustix::process::getpid().as_raw_pid();
        let number = Pid::from_raw(pid)?;
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return Self::asked_for(number) };
        let Stat { dying, parent, group } = Stat::parse(&stat)?;
        (parent == own).then_some(Self { pid: number, group, dying })
    }

    /// The same by calls that need no descriptor: there may be none left.
    fn asked_for(pid: Pid) -> Option<Self> {
        let group = getpgid(Some(pid)).ok()?.as_raw_pid();
        let child = Self { pid, group, dying: false };
        let ended = state(&child, WaitIdOptions::NOWAIT).ok()?;
        Some(Self { dying: ended.is_some(), ..child })
    }

    /// Whether the cookie stands in its environment. Who is dying has none left, and belongs to everybody, as it only wants reaping: it may have been ours, and its
    /// children become ours when it is dead.
    fn carries(&self, cookie: &str) -> bool {
        if self.dying {
            return true;
        }
        let wanted = format!("{COOKIE}={cookie}");
        let patience = Instant::now() + EXEC;
        loop {
            let Ok(environ) = fs::read(format!("/proc/{}/environ", self.pid.as_raw_pid())) else {
                return false;
            };
            if !environ.is_empty() || Instant::now() > patience {
                return environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Our children that no run waits for.
fn orphans(leaders: &Leaders, after: Option<Pid>) -> Vec<Orphan> {
    match leaders.with(|table| leaders.orphans(table)) {
        Some(pids) => pids.into_iter().filter_map(Orphan::of).collect(),
        None => scan(leaders, after),
    }
}

/// Our children that no run waits for, among all processes. With `after`, only those started after it: the rest can't be its run's (unless the
/// numbers have wrapped round, which `/proc/loadavg` tells).
fn scan(leaders: &Leaders, after: Option<Pid>) -> Vec<Orphan> {
    let floor =
        after.map(Pid::as_raw_pid).filter(|pid| last_pid().is_some_and(|last| last >= *pid)).unwrap_or(0);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid > floor);
    let ours: Vec<Orphan> = pids.filter_map(Orphan::of).collect();
    if ours.is_empty() {
        return ours;
    }
    leaders.with(|pids| ours.into_iter().filter(|orphan| !pids.contains(&orphan.pid.as_raw_pid())).collect())
}

/// `PF_EXITING` of the kernel's `sched.h`: it is being shut down. It has no environment any more, but is no zombie yet.
const EXITING: u32 = 0x4;

/// What counts of `PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS …`; the name may hold anything (`proc_pid_stat(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    dying: bool,
    parent: i32,
    group: i32,
}

impl Stat {
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let flags: u32 = fields.nth(3)?.parse().ok()?;
        Some(Self { dying: state == "Z" || flags & EXITING != 0, parent, group })
    }
}

/// The number given last in this PID namespace.
fn last_pid() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_stat_may_hold_anything() {
        let of = |dying, parent, group| Some(Stat { dying, parent, group });
        assert_eq!(Stat::parse(b"12 (a) S 3) Z 7 8 9 0 -1 4228108 0"), of(true, 7, 8));
        assert_eq!(Stat::parse(b"12 (sleep) S 1 12 12 0 -1 4194304 0"), of(false, 1, 12));
        assert_eq!(Stat::parse(b"12 (sleep"), None);
    }

    #[test]
    fn who_is_being_shut_down_is_dying_before_it_is_a_zombie() {
        let exiting = Stat { dying: true, parent: 1, group: 12 };
        assert_eq!(Stat::parse(b"12 (sleep) R 1 12 12 0 -1 4228100 0"), Some(exiting));
    }
}
