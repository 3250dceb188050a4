//! The only place that starts a process. A run never fails: whatever happens is an [`Outcome`].
//!
//! A run is the check's setup commands, its command and its report command, one deadline over all of them, in a private temporary folder
//! that is removed afterwards.

mod capture;
mod leftovers;
mod process;
mod revision;
mod spawn;

pub use process::Stop;

use crate::check::Check;
use crate::config::TMP;
use crate::outcome::{Captured, End, Finished, Killed, Outcome, Stage, Usage};
use jiff::Timestamp;
use process::{Limits, execute};
use spawn::{Leaders, Refused, Spawned};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::time::Instant;

/// The variable by which a run's processes are known when they leave their group.
const COOKIE: &str = "DRIFTRUN_RUN";

/// Set for every child unless the user did.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("ANSIBLE_NOCOLOR", "1"),
    ("ANSIBLE_NOCOWS", "1"),
    ("LC_ALL", "C.UTF-8"),
    ("PYTHONUNBUFFERED", "1"),
    ("TF_INPUT", "0"),
    ("TF_IN_AUTOMATION", "1"),
];

/// What the service manager said to driftrun is not for its children.
const NOT_INHERITED: [&str; 6] =
    ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Starts runs. One per process: it makes driftrun the reaper of every orphan.
#[derive(Debug)]
pub struct Runner {
    leaders: Leaders,
    /// Tells the runs of this process from those of any other.
    instance: u32,
    next: AtomicU64,
    active: AtomicUsize,
}

impl Runner {
    /// Makes this process a child subreaper.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn start() -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let now = Timestamp::now().as_nanosecond();
        let instance = u32::try_from(now & 0xffff_ffff).unwrap_or_default()
            ^ rustix::process::getpid().as_raw_pid().cast_unsigned();
        Ok(Self { leaders: Leaders::new(), instance, next: AtomicU64::new(0), active: AtomicUsize::new(0) })
    }

    /// One run of `check`. Starts processes where it is polled, which blocks for as long as that takes: not on a thread that serves scrapes. Ends early when `stop` says so, and leaves no process behind either way.
    pub async fn run(&self, check: &Check, stop: &Stop) -> Outcome {
        let (started, clock) = (Timestamp::now(), Instant::now());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let _active = Active::new(&self.active);
        let cookie = format!("{:08x}-{number:x}", self.instance);
        let (workdir, revision) = place(check.workdir.clone()).await;
        let mut run = Run {
            runner: self,
            check,
            workdir,
            stop,
            cookie: &cookie,
            deadline: clock + check.timeout,
            tmp: Folder::new(
                &check.tmp_base,
                self.instance.wrapping_add(u32::try_from(number).unwrap_or_default()),
            ),
            sums: Sums::default(),
        };
        let outcome = run.commands(started).await;
        if run.tmp.made {
            remove(run.tmp.path).await;
        }
        Outcome { revision, duration: clock.elapsed(), ..outcome }
    }

    /// Ends orphans that belong to no run, when no run is active. Returns how many that were.
    pub async fn end_strays(&self) -> u32 {
        if self.active.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let leaders = self.leaders.clone();
        tokio::task::spawn_blocking(move || leftovers::end_strays(&leaders)).await.unwrap_or(0)
    }
}

struct Active<'a>(&'a AtomicUsize);

impl<'a> Active<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the processes of a run used so far.
#[derive(Default)]
struct Sums {
    usage: Usage,
    killed: Killed,
    leaked: bool,
    unwaited: bool,
}

struct Run<'r> {
    runner: &'r Runner,
    check: &'r Check,
    workdir: Option<PathBuf>,
    stop: &'r Stop,
    cookie: &'r str,
    deadline: Instant,
    tmp: Folder,
    sums: Sums,
}

/// The private folder, `BASE/8 hex digits`: made on the way to the run's first process, removed after its last.
struct Folder {
    path: PathBuf,
    number: u32,
    made: bool,
}

impl Folder {
    fn new(base: &Path, number: u32) -> Self {
        Self { path: base.join(format!("{number:08x}")), number, made: false }
    }

    /// Another name: this one is taken, perhaps by what a crashed run left.
    fn rename(&mut self) {
        self.number = self.number.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        self.path.set_file_name(format!("{:08x}", self.number));
    }
}

impl Run<'_> {
    async fn commands(&mut self, started: Timestamp) -> Outcome {
        let check = self.check;
        for (n, argv) in check.setup.iter().enumerate() {
            let finished = self.execute(argv).await;
            if finished.end != End::Exited(0) {
                return self.outcome(started, Stage::Setup(n), finished, None);
            }
        }
        // What a setup command leaves behind prints nothing that is parsed.
        self.sums.unwaited = false;
        let command = self.execute(&check.command).await;
        let (Some(argv), End::Exited(code)) = (&check.report, &command.end) else {
            return self.outcome(started, Stage::Command, command, None);
        };
        if check.is_failure(*code) {
            return self.outcome(started, Stage::Command, command, None);
        }
        let report = self.execute(argv).await;
        if report.end != End::Exited(0) {
            // Its standard output is the raw report and must not be shown.
            let report = Finished { stdout: Captured::default(), ..report };
            return self.outcome(started, Stage::Report, report, None);
        }
        self.outcome(started, Stage::Report, command, Some(report.stdout))
    }

    async fn execute(&mut self, argv: &[String]) -> Finished {
        let limits = Limits {
            deadline: self.deadline,
            grace: self.check.kill_grace,
            max_output: self.check.max_output,
            cookie: self.cookie,
        };
        if self.stop.soft.is_cancelled() || self.stop.hard.is_cancelled() {
            return Finished { end: End::Cancelled, ..Finished::not_started(String::new()) };
        }
        let finished = match self.spawn(argv) {
            Ok(spawned) => execute(spawned, &self.runner.leaders, limits, self.stop).await,
            Err(why) => Finished::not_started(why),
        };
        self.sums.usage = self.sums.usage.plus(finished.usage);
        self.sums.killed = self.sums.killed.plus(finished.killed);
        self.sums.leaked |= finished.leaked;
        self.sums.unwaited |= finished.leaked || finished.killed.leftover > 0;
        finished
    }

    fn spawn(&mut self, argv: &[String]) -> Result<Spawned, String> {
        for _ in 0..100 {
            let folder = (!self.tmp.made).then(|| self.tmp.path.clone());
            match spawn::spawn(folder.as_deref(), self.command(argv), &self.runner.leaders) {
                Ok(spawned) => {
                    self.tmp.made = true;
                    return Ok(spawned);
                }
                Err(Refused::FolderTaken) => self.tmp.rename(),
                Err(Refused::NotStarted(why)) => return Err(why),
            }
        }
        Err(format!("temporary folder in {}: every name is taken", self.check.tmp_base.display()))
    }

    fn command(&self, argv: &[String]) -> Command {
        let hole = format!("{{{TMP}}}");
        let tmp = self.tmp.path.to_string_lossy();
        let fill = |text: &String| text.replace(&hole, &tmp);
        let mut words = argv.iter().map(fill);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        if let Some(workdir) = &self.workdir {
            command.current_dir(workdir);
        }
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        for (name, value) in ENVIRONMENT {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command.env("TMPDIR", &self.tmp.path);
        command.envs(self.check.env.iter().map(|(name, value)| (name, fill(value))));
        command.env(COOKIE, self.cookie);
        command
    }

    fn outcome(
        &mut self,
        started: Timestamp,
        stage: Stage,
        last: Finished,
        report: Option<Captured>,
    ) -> Outcome {
        let Sums { usage, killed, leaked, unwaited } = std::mem::take(&mut self.sums);
        Outcome {
            stage,
            end: last.end,
            stdout: last.stdout,
            stderr: last.stderr,
            report,
            started,
            revision: None,
            duration: std::time::Duration::ZERO,
            usage,
            killed,
            leaked,
            unwaited,
        }
    }
}

/// The working folder with symbolic links resolved once, so that all commands of a run see the same tree while git-sync swaps it, and the commit
/// that it stands at. A folder that is gone stays as it is: starting the command says so.
async fn place(workdir: Option<PathBuf>) -> (Option<PathBuf>, Option<String>) {
    let Some(workdir) = workdir else { return (None, None) };
    let kept = workdir.clone();
    let look = move || {
        let workdir = workdir.canonicalize().unwrap_or(workdir);
        let revision = revision::of(&workdir);
        (Some(workdir), revision)
    };
    tokio::task::spawn_blocking(look).await.unwrap_or((Some(kept), None))
}

async fn remove(tmp: PathBuf) {
    // Almost always it is empty, and one call is less than waking a thread for it. Looking through it is not for a worker.
    if std::fs::remove_dir(&tmp).is_ok() {
        return;
    }
    let remove = move || {
        if let Err(error) = std::fs::remove_dir_all(&tmp)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %tmp.display(), %error, "temporary folder not removed");
        }
    };
    let _ = tokio::task::spawn_blocking(remove).await;
}
