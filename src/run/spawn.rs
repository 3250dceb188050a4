//! The one thread that starts processes, and the table of those it started.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::oneshot;

/// A process that was just started.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Processes that some run waits for: the sweep never touches them.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaders(Arc<Mutex<BTreeSet<i32>>>);

impl Leaders {
    pub(super) fn remove(&self, pid: Pid) {
        self.with(|pids| pids.remove(&pid.as_raw_pid()));
    }

    /// The lock is held across `spawn` too, so that nobody sees a child that is not in the table yet.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut BTreeSet<i32>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Order {
    command: Command,
    reply: oneshot::Sender<Result<Spawned, String>>,
}

/// Starts processes on a thread of its own: `fork` and `exec` of a large program can take milliseconds, and a runtime worker serves scrapes.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
    leaders: Leaders,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let leaders = Leaders::default();
        let table = leaders.clone();
        std::thread::Builder::new().name("spawn".to_owned()).stack_size(256 << 10).spawn(move || {
            for Order { command, reply } in inbox {
                if let Err(Ok(orphan)) = reply.send(spawn(command, &table)) {
                    // Nobody waits for it any more.
                    abandon(orphan, &table);
                }
            }
        })?;
        Ok(Self { orders, leaders })
    }

    pub(super) fn leaders(&self) -> &Leaders {
        &self.leaders
    }

    /// # Errors
    /// Why it could not be started, for people.
    pub(super) async fn spawn(&self, command: Command) -> Result<Spawned, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the spawning thread is gone".to_owned();
        self.orders.send(Order { command, reply }).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn spawn(mut command: Command, leaders: &Leaders) -> Result<Spawned, String> {
    let pipes = || -> io::Result<_> { Ok((io::pipe()?, io::pipe()?)) };
    let ((stdout, out), (stderr, err)) = pipes().map_err(|error| format!("no pipe: {error}"))?;
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
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

fn abandon(orphan: Spawned, leaders: &Leaders) {
    kill(orphan.child, orphan.pid, leaders);
}

fn kill(mut child: Child, pid: Pid, leaders: &Leaders) {
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    let _ = child.wait();
    leaders.remove(pid);
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
