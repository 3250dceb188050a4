//! The only place that starts a process. A run never fails: whatever happens is an [`Outcome`].
//!
//! A run is the check's setup commands, its command and its report command, one deadline over all of them, in a private temporary folder
//! that is removed afterwards.

mod capture;
mod environment;
mod files;
mod leftovers;
mod process;
mod revision;
mod spawn;

pub use capture::Memory;
pub use process::Stop;

use crate::check::{Check, Program, Reader, ReaderChoice};
use crate::config::TMP_HOLE;
use crate::live::Live;
use crate::outcome::{Captured, End, Files, Finished, Killed, Outcome, Stage, Usage};
use files::Wanted;
use jiff::Timestamp;
use process::{Limits, execute};
use spawn::{Leaders, Refused, Spawned};
use std::collections::HashSet;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The variable by which a run's processes are known when they leave their group.
const COOKIE: &str = "DRIFTRUN_RUN";

/// The variable that tells a program the exit code of the command whose output it reads.
const EXIT_CODE: &str = "DRIFTRUN_EXIT_CODE";

/// How long the removal of a private folder holds up the end of its run.
const REMOVAL: Duration = Duration::from_secs(5);

/// Set for every child unless the user did.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("ANSIBLE_NOCOLOR", "1"),
    ("ANSIBLE_NOCOWS", "1"),
    // The whole object in one hunk: paths of attributes can be told.
    ("KUBECTL_EXTERNAL_DIFF", "diff -u -N -U 9999"),
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
    memory: Arc<Memory>,
    /// Tells the runs of this process from those of any other.
    instance: u32,
    next: AtomicU64,
    active: AtomicUsize,
    /// Checks whose working folders are being looked at.
    looks: Arc<Mutex<HashSet<String>>>,
}

impl Runner {
    /// Makes this process a child subreaper.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn start() -> io::Result<Self> {
        Self::with(Arc::new(Memory::new(usize::MAX)))
    }

    /// As [`Self::start`]; what runs under way hold of their outputs is counted in `memory`.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn with(memory: Arc<Memory>) -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let now = Timestamp::now().as_nanosecond();
        let instance = u32::try_from(now & 0xffff_ffff).unwrap_or_default()
            ^ rustix::process::getpid().as_raw_pid().cast_unsigned();
        Ok(Self {
            leaders: Leaders::new(),
            memory,
            instance,
            next: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            looks: Arc::default(),
        })
    }

    /// Lets `program` read an output of a command that ended with `exit`; its standard output is the report. As a run of `check`, whose limits count.
    pub async fn parse(
        &self,
        check: &Check,
        program: &Program,
        exit: Option<i32>,
        output: &[u8],
        stop: &Stop,
    ) -> Finished {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let _active = Active::new(&self.active);
        let cookie = format!("{:08x}-{number:x}", self.instance);
        let mut run = self.begin(check, check.workdir.clone(), stop, &cookie, number);
        let finished = run.parse(program, exit, output).await;
        if run.tmp.made {
            remove(run.tmp.path).await;
        }
        finished
    }

    fn begin<'r>(
        &'r self,
        check: &'r Check,
        workdir: Option<PathBuf>,
        stop: &'r Stop,
        cookie: &'r str,
        number: u64,
    ) -> Run<'r> {
        Run {
            runner: self,
            check,
            workdir,
            variables: Vec::new(),
            stop,
            cookie,
            deadline: Instant::now() + check.timeout,
            tmp: Folder::new(
                &check.tmp_base,
                self.instance.wrapping_add(u32::try_from(number).unwrap_or_default()),
            ),
            sums: Sums::default(),
            live: None,
        }
    }

    /// One run of `check`. Starts processes where it is polled, which blocks for as long as that takes: not on a thread that serves scrapes. Ends early when `stop` says so, and leaves no process behind either way.
    pub async fn run(&self, check: &Check, stop: &Stop) -> Outcome {
        self.run_live(check, stop, None).await
    }

    /// As [`Self::run`]; what its setup commands and its command print goes to `live` while they print it. Not what is parsed instead.
    pub async fn run_live(&self, check: &Check, stop: &Stop, live: Option<&Live>) -> Outcome {
        let (started, clock) = (Timestamp::now(), Instant::now());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let _active = Active::new(&self.active);
        let cookie = format!("{:08x}-{number:x}", self.instance);
        let mut run = self.begin(check, check.workdir.clone(), stop, &cookie, number);
        (run.deadline, run.live) = (clock + check.timeout, live);
        let outcome =
            match run.within(self.ready(check)).await.and_then(|ready| ready.map_err(End::NotStarted)) {
                Err(end) => Outcome { end, ..Outcome::recorded(started) },
                Ok(Ready { workdir, revision, variables }) => {
                    (run.workdir, run.variables) = (workdir, variables);
                    Outcome { revision, ..run.commands(started).await }
                }
            };
        if run.tmp.made {
            remove(run.tmp.path).await;
        }
        Outcome { duration: clock.elapsed(), ..outcome }
    }

    /// Looks at what a run needs beside its command. A file system that doesn't answer holds a thread, but no more than one for each check.
    async fn ready(&self, check: &Check) -> Result<Ready, String> {
        let name = check.name.clone();
        if !self.lock_looks().insert(name.clone()) {
            return Err(
                "an earlier look at its working directory and env_file still waits for an answer".to_owned()
            );
        }
        let (workdir, files, looks) =
            (check.workdir.clone(), check.env_file.clone(), Arc::clone(&self.looks));
        let look = move || {
            let ready = ready(workdir, &files);
            looks.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            ready
        };
        tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?
    }

    fn lock_looks(&self) -> MutexGuard<'_, HashSet<String>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the processes of this runner have in their environment.
    pub const fn instance(&self) -> u32 {
        self.instance
    }

    /// Ends what is left of the runs of another runner, which is no more, and removes their temporary folders. Returns how many processes that were.
    /// Only folders directly below one of `bases` are.
    pub async fn end_earlier(&self, instance: u32, bases: Vec<PathBuf>) -> u32 {
        let end = move || leftovers::end_instance(&format!("{instance:08x}-"), &bases);
        tokio::task::spawn_blocking(end).await.unwrap_or(0)
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
    /// Those that stand in files.
    variables: Vec<(String, String)>,
    stop: &'r Stop,
    cookie: &'r str,
    deadline: Instant,
    tmp: Folder,
    sums: Sums,
    live: Option<&'r Live>,
}

/// Whether a folder is called as those are that runs get.
pub fn is_private_folder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
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

/// An output that a program reads on standard input, and the exit code of the command that printed it.
struct Output {
    file: std::fs::File,
    exit: Option<i32>,
}

/// A file that is nowhere on disk: outputs hold secrets.
fn in_memory(output: &[u8]) -> io::Result<std::fs::File> {
    let file = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(output)?;
    file.rewind()?;
    Ok(file)
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
        let wanted = match self.look().await {
            Ok(wanted) => wanted,
            Err(end) => {
                let finished = Finished { end, ..Finished::not_started(String::new()) };
                return self.outcome(started, Stage::Command, finished, None);
            }
        };
        let command = self.execute(&check.command).await;
        let End::Exited(code) = command.end else {
            return self.outcome(started, Stage::Command, command, None);
        };
        let failed = check.is_failure(code);
        let (stage, report) = match &check.report {
            Some(argv) if !failed => {
                let report = self.follow(argv, None, self.deadline, None).await;
                if report.end != End::Exited(0) {
                    // Its standard output is the raw report and must not be shown.
                    let report = Finished { stdout: Captured::default(), ..report };
                    return self.outcome(started, Stage::Report, report, None);
                }
                (Stage::Report, Some(report.stdout))
            }
            Some(_) | None => (Stage::Command, None),
        };
        let printed = report.as_ref().unwrap_or(&command.stdout);
        let parsed = match &check.reader {
            ReaderChoice::Known(Reader::Program(program)) if !failed && !printed.is_cut() => {
                let parsed = self.parse(program, Some(code), &printed.bytes).await;
                if parsed.end == End::Cancelled {
                    return self.outcome(started, stage, parsed, None);
                }
                Some(parsed)
            }
            _ => None,
        };
        let files = match wanted {
            Some(wanted) => match self.within(wanted.read(&self.tmp.path, self.check.max_output)).await {
                Ok(files) => files,
                Err(End::Cancelled) => {
                    let finished = Finished { end: End::Cancelled, ..Finished::not_started(String::new()) };
                    return self.outcome(started, stage, finished, None);
                }
                Err(_) => {
                    Files { unread: Some("not all of them by the deadline".to_owned()), ..Files::default() }
                }
            },
            None => Files::default(),
        };
        Outcome { files, parsed, ..self.outcome(started, stage, command, report) }
    }

    /// Notes which of the files that the check names are there already.
    async fn look(&mut self) -> Result<Option<Wanted>, End> {
        if self.check.files.is_empty() {
            return Ok(None);
        }
        let folder = self.workdir.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
        self.within(Wanted::before(self.check.files.clone(), folder)).await.map(Some)
    }

    /// What `work` gives, unless the run's time is over before, or somebody wants it to end. What can't be stopped goes on alone.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            () = self.stop.soft.cancelled() => Err(End::Cancelled),
            () = self.stop.hard.cancelled() => Err(End::Cancelled),
            done = work => Ok(done),
            () = tokio::time::sleep_until(self.deadline) => Err(End::TimedOut),
        }
    }

    /// Lets a program read an output.
    async fn parse(&mut self, program: &Program, exit: Option<i32>, output: &[u8]) -> Finished {
        let reads = match in_memory(output) {
            Ok(file) => Output { file, exit },
            Err(error) => return Finished::not_started(format!("no memory for its input: {error}")),
        };
        let deadline = self.deadline.min(Instant::now() + program.timeout);
        // What it leaves behind has nothing to do with whether the command's output is whole.
        let unwaited = self.sums.unwaited;
        let finished = self.follow(&program.command, Some(&reads), deadline, None).await;
        self.sums.unwaited = unwaited;
        finished
    }

    async fn execute(&mut self, argv: &[String]) -> Finished {
        self.follow(argv, None, self.deadline, self.live).await
    }

    async fn follow(
        &mut self,
        argv: &[String],
        reads: Option<&Output>,
        deadline: Instant,
        live: Option<&Live>,
    ) -> Finished {
        let limits = Limits {
            deadline,
            grace: self.check.kill_grace,
            max_output: self.check.max_output,
            memory: &self.runner.memory,
            cookie: self.cookie,
            live,
        };
        if self.stop.soft.is_cancelled() || self.stop.hard.is_cancelled() {
            return Finished { end: End::Cancelled, ..Finished::not_started(String::new()) };
        }
        let finished = match self.spawn(argv, reads) {
            Ok(spawned) => execute(spawned, &self.runner.leaders, limits, self.stop).await,
            Err(why) => Finished::not_started(why),
        };
        self.sums.usage = self.sums.usage.plus(finished.usage);
        self.sums.killed = self.sums.killed.plus(finished.killed);
        self.sums.leaked |= finished.leaked;
        self.sums.unwaited |= finished.leaked || finished.killed.leftover > 0;
        finished
    }

    fn spawn(&mut self, argv: &[String], reads: Option<&Output>) -> Result<Spawned, String> {
        for _ in 0..100 {
            let folder = (!self.tmp.made).then(|| self.tmp.path.clone());
            let mut command = self.command(argv);
            let stdin = match reads {
                None => Stdio::null(),
                Some(output) => {
                    match output.exit {
                        Some(code) => command.env(EXIT_CODE, code.to_string()),
                        None => command.env_remove(EXIT_CODE),
                    };
                    output.file.try_clone().map_err(|error| format!("its input: {error}"))?.into()
                }
            };
            match spawn::spawn(folder.as_deref(), command, stdin, &self.runner.leaders) {
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

    /// `text` with the name of the private folder in it.
    fn fill(&self, text: &str) -> String {
        text.replace(TMP_HOLE, &self.tmp.path.to_string_lossy())
    }

    fn command(&self, argv: &[String]) -> Command {
        let mut words = argv.iter().map(|word| self.fill(word));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        if let Some(workdir) = &self.workdir {
            command.current_dir(workdir);
        }
        let clear = self.check.clear_env;
        if clear {
            command.env_clear();
            command.envs(environment::ALWAYS.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        } else {
            for name in NOT_INHERITED {
                command.env_remove(name);
            }
        }
        for (name, value) in ENVIRONMENT {
            if clear || std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command.env("TMPDIR", &self.tmp.path);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.check.env.iter().map(|(name, value)| (name, self.fill(value))));
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
            files: Files::default(),
            parsed: None,
            started,
            revision: None,
            duration: Duration::ZERO,
            usage,
            killed,
            leaked,
            unwaited,
        }
    }
}

/// What a run needs beside its command.
struct Ready {
    workdir: Option<PathBuf>,
    revision: Option<String>,
    variables: Vec<(String, String)>,
}

/// The working folder with symbolic links resolved once, so that all commands of a run see the same tree while git-sync swaps it, the commit
/// that it stands at, and the variables in files. A folder that is gone stays as it is: starting the command says so.
fn ready(workdir: Option<PathBuf>, files: &[PathBuf]) -> Result<Ready, String> {
    let workdir = workdir.map(|workdir| workdir.canonicalize().unwrap_or(workdir));
    let revision = workdir.as_deref().and_then(revision::of);
    Ok(Ready { workdir, revision, variables: environment::read(files)? })
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
    // Very many files may take longer, and nobody needs to wait for them.
    let _ = tokio::time::timeout(REMOVAL, tokio::task::spawn_blocking(remove)).await;
}
