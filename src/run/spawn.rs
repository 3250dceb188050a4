//! Starts processes, and keeps the table of those that were started.
//!
//! Blocks while it does: `fork` and `exec` of a large program from a slow disk can take milliseconds. Whoever serves scrapes starts no run
//! (see `app`).

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// A process that was just started.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Processes that some run waits for: the sweep never touches them. Every child is made and reaped under its lock, so that whoever holds it
/// sees children that stay children, each of them in the table or an orphan.
#[derive(Clone, Debug)]
pub(super) struct Leaders(Arc<Table>);

#[derive(Debug)]
struct Table {
    pids: Mutex<BTreeSet<i32>>,
    /// The children of the main thread, to which orphans come. `None` where the kernel has no such file (`CONFIG_PROC_CHILDREN`).
    children: Option<File>,
}

impl Leaders {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        let main = rustix::process::getpid().as_raw_pid();
        let children = File::open(format!("/proc/self/task/{main}/children")).ok();
        Self(Arc::new(Table { pids: Mutex::default(), children }))
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut BTreeSet<i32>) -> T) -> T {
        act(&mut self.0.pids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Self::with`], unless somebody holds the lock: starting a large program can take milliseconds.
    pub(super) fn try_with<T>(&self, act: impl FnOnce(&mut BTreeSet<i32>) -> T) -> Option<T> {
        match self.0.pids.try_lock() {
            Ok(mut pids) => Some(act(&mut pids)),
            Err(TryLockError::Poisoned(poisoned)) => Some(act(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Our children that are no leaders. `None` where the kernel doesn't list them. Call it with the table of [`Self::with`]: the kernel
    /// promises a whole list only as long as nobody is reaped.
    pub(super) fn orphans(&self, table: &BTreeSet<i32>) -> Option<Vec<i32>> {
        let list = self.0.children.as_ref()?;
        let mut orphans = Vec::new();
        let mut text = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            match list.read_at(&mut chunk, text.len() as u64).ok()? {
                0 => break,
                n => text.extend_from_slice(chunk.get(..n)?),
            }
        }
        for word in text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
            let pid = std::str::from_utf8(word).ok()?.parse().ok()?;
            if !table.contains(&pid) {
                orphans.push(pid);
            }
        }
        Some(orphans)
    }

    /// Waits until `child` has ended, however long that takes, and reaps it.
    fn reap(&self, mut child: Child, pid: Pid) {
        let end = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let _ = rustix::io::retry_on_intr(end);
        self.with(|pids| {
            let _ = child.wait();
            pids.remove(&pid.as_raw_pid());
        });
    }
}

/// Why a process was not started.
pub(super) enum Refused {
    /// The folder that was to be made for it is there already.
    FolderTaken,
    /// For people.
    NotStarted(String),
}

/// Makes `folder`, if one is given, for this user only, and starts `command`. No folder is left where that fails.
pub(super) fn spawn(
    folder: Option<&Path>,
    command: Command,
    stdin: Stdio,
    leaders: &Leaders,
) -> Result<Spawned, Refused> {
    if let Some(folder) = folder {
        DirBuilder::new().mode(0o700).create(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Refused::FolderTaken,
            _ => Refused::NotStarted(format!("temporary folder {}: {error}", folder.display())),
        })?;
    }
    start(command, stdin, leaders).map_err(|why| {
        // It may hold something already only if the command was started, and then was ended at once. An empty one goes without a
        // descriptor, which may be just what was missing.
        if let Some(folder) = folder {
            let _ = std::fs::remove_dir(folder).or_else(|_| std::fs::remove_dir_all(folder));
        }
        Refused::NotStarted(why)
    })
}

fn start(mut command: Command, stdin: Stdio, leaders: &Leaders) -> Result<Spawned, String> {
    let pipes = || -> io::Result<_> {
        let (stdout, stderr) = (io::pipe()?, io::pipe()?);
        // Ours only: the child's ends block, as programs expect.
        rustix::io::ioctl_fionbio(&stdout.0, true)?;
        rustix::io::ioctl_fionbio(&stderr.0, true)?;
        Ok((stdout, stderr))
    };
    let ((stdout, out), (stderr, err)) = pipes().map_err(|error| format!("no pipe: {error}"))?;
    command.stdin(stdin).stdout(out).stderr(err).process_group(0);
    let (child, pid) = leaders.with(|pids| {
        let child = command.spawn().map_err(|error| explain(&command, &error))?;
        let pid = Pid::from_child(&child);
        pids.insert(pid.as_raw_pid());
        Ok::<_, String>((child, pid))
    })?;
    // Our copies of the write ends must go, or the pipes never end.
    drop(command);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Spawned { child, pid, pidfd, stdout: stdout.into(), stderr: stderr.into() }),
        Err(error) => {
            kill(child, pid, leaders);
            Err(format!("no pidfd: {error}"))
        }
    }
}

/// Ends and reaps a leader that can't be supervised. Blocks until it is dead.
pub(super) fn kill(child: Child, pid: Pid, leaders: &Leaders) {
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    leaders.reap(child, pid);
}

/// The kernel's "No such file or directory" can mean the program, its interpreter or the working directory: say which.
fn explain(command: &Command, error: &io::Error) -> String {
    let program = Path::new(command.get_program());
    if let Some(folder) = command.get_current_dir().filter(|folder| !folder.is_dir()) {
        return format!("working directory {} is not there", folder.display());
    }
    let shown = program.display();
    let found = locate(program, command);
    match (error.kind(), found) {
        (io::ErrorKind::NotFound, Some(path)) => {
            format!(
                "{} can't run: the interpreter in its first line, or its loader, is not there",
                path.display()
            )
        }
        (io::ErrorKind::NotFound, None) => format!("command not found: {shown}"),
        (io::ErrorKind::PermissionDenied, Some(path)) if path.is_dir() => {
            format!("{} is a directory", path.display())
        }
        (io::ErrorKind::PermissionDenied, _) => format!("{shown} is not executable"),
        _ => format!("{shown}: {error}"),
    }
}

/// The file that `program` names, by the search path that the child would have.
fn locate(program: &Path, command: &Command) -> Option<std::path::PathBuf> {
    let folder = command.get_current_dir().map(Path::to_owned).unwrap_or_default();
    if program.components().count() > 1 {
        return Some(folder.join(program)).filter(|path| path.exists());
    }
    let own = command
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value.map(std::ffi::OsStr::to_owned));
    let path = own.or_else(|| std::env::var_os("PATH"))?;
    std::env::split_paths(&path).map(|entry| entry.join(program)).find(|path| path.exists())
}
