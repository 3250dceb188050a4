//! `watch` and `serve`: listens, runs the checks on their schedules, takes in new configurations, and ends when a signal says so.

use super::notify;
use super::prom_run::logging;
use super::{Error, Result, build, run_with, stop_on_signals, try_folders, warn};
use crate::board::Board;
use crate::check::Check;
use crate::cli::{ShowOutput, WebFlags};
use crate::config::{Config, Source};
use crate::fleet::{Changes, Fleet};
use crate::outcome::Outcome;
use crate::run::{Memory, Runner, Stop};
use crate::schedule::Schedule;
use crate::shard::Shard;
use crate::state::Store;
use crate::supervise::{Clock, Limits};
use crate::web::access::Access;
use crate::web::{self, Bound, Listener, Paths, Show};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How often orphans that belong to no run are looked for, and memory is given back that runs had.
const TIDY: Duration = Duration::from_secs(30);

/// How often the configuration file and the matches of its globs are looked at.
const LOOK: Duration = Duration::from_secs(30);

/// How long a configuration and what it names are waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The thread on which runs are started and followed. Starting a large program from a slow disk takes milliseconds, and must not hold up a
/// scrape; and a run that stays on one thread wakes no other. Ends with the value.
struct RunsThread {
    runtime: runtime::Handle,
    _end: oneshot::Sender<()>,
}

impl RunsThread {
    fn start() -> Result<Self> {
        let runtime = build(&mut runtime::Builder::new_current_thread())?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let drive = move || {
            let _ = runtime.block_on(ended);
        };
        std::thread::Builder::new().name("runs".to_owned()).stack_size(1 << 20).spawn(drive)?;
        Ok(Self { runtime: handle, _end: end })
    }
}

/// Whose manner it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// driftrun's own.
    Own,
    /// prom-run's: its metrics beside driftrun's, its page at every path, outputs in the log.
    PromRun {
        /// Whether outputs are logged.
        log_output: bool,
    },
}

/// Listens, runs the checks on their schedules, and ends when a signal says so. Without `reload` there is one check, whose first run starts at once.
pub(super) fn serve(
    config: Config,
    flags: &WebFlags,
    reload: Option<Reload>,
    manner: Manner,
) -> Result<ExitCode> {
    let Config {
        checks,
        parsers: _,
        max_concurrent,
        max_capture_memory,
        max_total_resources,
        warnings,
        state_dir,
        history,
        looks,
    } = config;
    let shard = reload.as_ref().map_or(Shard::ALL, |reload| reload.shard);
    // Before anything is begun.
    let access = match &flags.web_config {
        Some(file) => Access::load(file).map_err(Error)?,
        None => Access::for_everybody(),
    };
    let access = Arc::new(access);
    // Before the temporary folders are tried: they may be in it.
    let store =
        state_dir.map(|folder| Store::open(&folder, history)).transpose().map_err(Error)?.map(Arc::new);
    try_folders(&checks)?;
    let external = flags.external_url.as_ref().map(|external| external.url.clone());
    let checks = with_urls(shard.of(checks), external.as_deref());
    let runtime = super::runtime()?;
    let served = runtime.block_on(async {
        let stop = stop_on_signals(reload.is_none())?;
        let hangup = signal(SignalKind::hangup())?;
        let listeners = listen(flags).await?;
        let memory = Arc::new(Memory::new(max_capture_memory));
        let runner = Arc::new(Runner::with(Arc::clone(&memory))?);
        if let Some(store) = &store {
            let bases: BTreeSet<PathBuf> = checks.iter().map(|check| check.tmp_base.clone()).collect();
            clear(Arc::clone(store), &runner, bases.into_iter().collect()).await;
        }
        let runs = RunsThread::start()?;
        let now = Clock::SYSTEM.now();
        let current = access.current().await;
        let (tls, users) = (current.tls.is_some(), current.users.is_some());
        for listener in &listeners {
            tracing::info!(address = %listener.address, checks = checks.len(), tls, users, "listening");
        }
        warn(&warnings);
        let board = Arc::new(Board::kept(checks, now, shard, store, max_total_resources, history.runs));
        let (asking, asked) = mpsc::channel(1);
        let asking = (flags.lifecycle && reload.is_some()).then_some(asking);
        let bound = bound(flags, listeners, manner, asking, Arc::clone(&access), stop.soft.clone());
        // The server outlives the runs: a last scrape can still see how they ended.
        let server_stop = CancellationToken::new();
        let server = tokio::spawn(bound.serve(Arc::clone(&board), server_stop.clone()));
        let limits = Arc::new(Limits::new(max_concurrent, memory));
        let first = |check: &Check| match reload {
            Some(_) => after_restored(Schedule::of(check, now), check, &board, now),
            None => Schedule::at_once(now, check.interval),
        };
        let mut fleet = Fleet::start(
            Arc::clone(&board),
            Arc::clone(&limits),
            Clock::SYSTEM,
            stop.clone(),
            runs.runtime.clone(),
            logging(run_with(&runner, Some(&board)), manner),
            first,
        );
        let tidying = tokio::spawn(tidy(Arc::clone(&runner)));
        notify::ready(board.checks().len());
        let alive = notify::keep_alive(runs.runtime.clone());
        match reload {
            None => stop.soft.cancelled().await,
            Some(mut reload) => {
                (reload.looks, reload.external) = (looks, external);
                let asked = Asked { hangup, over_http: asked, stop: stop.soft.clone(), access };
                reload.follow(asked, &board, &limits, &mut fleet).await;
            }
        }
        tracing::info!("stopping");
        notify::stopping();
        fleet.ended().await;
        tidying.abort();
        runner.end_strays().await;
        server_stop.cancel();
        let _ = server.await;
        if let Some(alive) = alive {
            alive.abort();
        }
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    });
    // A thread that waits for a file system is not waited for.
    runtime.shutdown_background();
    served
}

/// What the server serves, as the flags say.
fn bound(
    flags: &WebFlags,
    listeners: Vec<Listener>,
    manner: Manner,
    reload: Option<web::Asking>,
    access: Arc<Access>,
    stopping: CancellationToken,
) -> Bound {
    let host = flags.external_host().map(str::to_owned);
    Bound {
        listeners,
        prefix: flags.prefix().to_owned(),
        link: flags.link().to_owned(),
        reload,
        lifecycle: flags.lifecycle,
        own_names: host.into_iter().chain([super::host_name()]).collect(),
        external: flags.external_authority().map(str::to_owned),
        stopping,
        access,
        metrics_path: flags.telemetry_path.clone(),
        show: match flags.output {
            ShowOutput::Auto => None,
            ShowOutput::Always => Some(Show::Output),
            ShowOutput::Never => Some(Show::TablesOnly),
        },
        paths: match manner {
            Manner::Own => Paths::Own,
            Manner::PromRun { .. } => Paths::PromRun,
        },
    }
}

async fn listen(flags: &WebFlags) -> Result<Vec<Listener>> {
    if flags.systemd_socket {
        return web::activated().map_err(Error);
    }
    let mut listeners = Vec::new();
    for address in &flags.listen {
        listeners.push(web::bind(address).await.map_err(Error)?);
    }
    Ok(listeners)
}

/// Ends what a driftrun that was killed has left in this folder's name, before any run begins.
pub(super) async fn clear(store: Arc<Store>, runner: &Runner, bases: Vec<PathBuf>) {
    if let Some(earlier) = store.earlier_instance() {
        let ended = runner.end_earlier(earlier, bases).await;
        if ended > 0 {
            tracing::warn!(processes = ended, "ended processes of runs that an earlier driftrun had left");
        }
    }
    let instance = runner.instance();
    let clear = move || {
        store.clear_tmp();
        store.set_instance(instance);
    };
    if let Err(error) = tokio::task::spawn_blocking(clear).await {
        tracing::error!(%error, "temporary folders of an earlier driftrun were not looked for");
    }
}

/// What is known from before and is younger than an interval needs no run at once. What is from a time that is still to come is of unknown age.
fn after_restored(schedule: Schedule, check: &Check, board: &Board, now: Timestamp) -> Schedule {
    let snapshot = board.snapshot();
    let state = snapshot.get(&check.name).map(|view| &view.state).filter(|state| !state.changed_since);
    let last = state.and_then(|state| state.last.clone()).filter(|last| last.started <= now);
    let due = last.and_then(|last| last.started.checked_add(check.interval).ok());
    match due.filter(|_| check.cron.is_none()) {
        Some(due) => schedule.not_before(due),
        None => schedule,
    }
}

async fn tidy(runner: Arc<Runner>) {
    loop {
        tokio::time::sleep(TIDY).await;
        drop(tokio::task::spawn_blocking(driftrun_heap::give_free_pages_back));
        let ended = runner.end_strays().await;
        if ended > 0 {
            tracing::warn!(processes = ended, "ended orphans that belong to no run");
        }
    }
}

/// Who asks for the configuration to be loaded, and for an end of it all.
struct Asked {
    hangup: Signal,
    over_http: mpsc::Receiver<oneshot::Sender<std::result::Result<(), String>>>,
    stop: CancellationToken,
    /// What is loaded again with the configuration.
    access: Arc<Access>,
}

/// Each check with the URL of its page.
fn with_urls(mut checks: Vec<Check>, external: Option<&str>) -> Vec<Check> {
    for check in &mut checks {
        check.url = external.map(|external| format!("{external}/checks/{}", check.name));
    }
    checks
}

/// Why the configuration is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Somebody wants it loaded.
    Asked,
    /// It is time to see whether something has changed.
    Time,
}

/// Where the configuration comes from, and what of it was taken in.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    path: PathBuf,
    /// What runs now.
    accepted: Source,
    /// Which checks that are depends on what is on disk.
    looks: bool,
    /// Also without being asked.
    auto: bool,
    /// What was wrong when it was looked at last: said once.
    complaint: Option<String>,
    /// Somebody looks at it right now, on a thread that others wait for.
    looking: Arc<Mutex<()>>,
    shard: Shard,
    /// Where people find the pages.
    external: Option<String>,
}

impl Reload {
    pub(super) fn new(path: PathBuf, accepted: Source, auto: bool, shard: Shard) -> Self {
        Self {
            path,
            accepted,
            looks: false,
            auto,
            complaint: None,
            looking: Arc::default(),
            shard,
            external: None,
        }
    }

    /// Loads the configuration whenever somebody asks for it, and when it is time to see whether something has changed.
    async fn follow<F, R>(&mut self, mut asked: Asked, board: &Board, limits: &Limits, fleet: &mut Fleet<F>)
    where
        F: Fn(Arc<Check>, Stop) -> R + Clone + Send + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look.tick().await;
        loop {
            let (why, answer): (_, Option<oneshot::Sender<_>>) = tokio::select! {
                () = asked.stop.cancelled() => break,
                _ = asked.hangup.recv() => (Why::Asked, None),
                Some(answer) = asked.over_http.recv() => (Why::Asked, Some(answer)),
                _ = look.tick() => (Why::Time, None),
            };
            let complained = self.complaint.is_some();
            if why == Why::Asked {
                notify::reloading();
            }
            let access = (why == Why::Asked).then(|| Arc::clone(&asked.access));
            // A file system that doesn't answer holds up neither an end nor what is known of it.
            let taken_in = tokio::select! {
                () = asked.stop.cancelled() => break,
                taken_in = tokio::time::timeout(PATIENCE, self.take_in(why, access, board, limits, fleet)) => taken_in,
            };
            let wrong = taken_in.unwrap_or_else(|_| {
                board.reload_failed();
                let problem =
                    format!("no answer from {} within {} seconds", self.path.display(), PATIENCE.as_secs());
                tracing::error!(problem, "configuration not loaded, the old one goes on");
                self.complaint = Some(problem.clone());
                vec![problem]
            });
            if why == Why::Asked || complained != self.complaint.is_some() {
                notify::reloaded(board.checks().len(), !wrong.is_empty());
            }
            if let Some(answer) = answer {
                let _ = answer.send(if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) });
            }
        }
    }

    /// Takes in the configuration and, with it, who may come in: what is wrong with them.
    async fn take_in<F, R>(
        &mut self,
        why: Why,
        access: Option<Arc<Access>>,
        board: &Board,
        limits: &Limits,
        fleet: &mut Fleet<F>,
    ) -> Vec<String>
    where
        F: Fn(Arc<Check>, Stop) -> R + Clone + Send + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let mut wrong = Vec::new();
        if let Err(problems) = self.go(why, board, limits, fleet).await {
            wrong.push(format!("configuration not loaded, the old one goes on:\n{problems}"));
        }
        if let Some(access) = access {
            let web = tokio::task::spawn_blocking(move || access.reload()).await;
            if let Err(problems) = web.unwrap_or_else(|error| Err(error.to_string())) {
                wrong.push(format!("web configuration not taken in, the last good one holds:\n{problems}"));
            }
        }
        wrong
    }

    /// Takes in the configuration, whole or not at all; then why not.
    async fn go<F, R>(
        &mut self,
        why: Why,
        board: &Board,
        limits: &Limits,
        fleet: &mut Fleet<F>,
    ) -> std::result::Result<(), String>
    where
        F: Fn(Arc<Check>, Stop) -> R + Clone + Send + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        // Files on a slow disk are not for a runtime worker.
        let reload = self.clone();
        let look = move || {
            // One thread is enough to wait for a file system that doesn't answer.
            match reload.looking.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    Err(format!("still no answer from {}", reload.path.display()))
                }
                Ok(_) | Err(TryLockError::Poisoned(_)) => reload.look(why),
            }
        };
        let found = match tokio::task::spawn_blocking(look).await {
            Ok(found) => found,
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(None) => Ok(()),
            Ok(Some((source, config))) => {
                let Config { checks, max_concurrent, max_total_resources, warnings, looks, .. } = config;
                limits.set_max_concurrent(max_concurrent);
                board.set_max_total_resources(max_total_resources);
                let changes = fleet.apply(with_urls(self.shard.of(checks), self.external.as_deref()));
                let is_news = why == Why::Asked || source != self.accepted || changes != Changes::default();
                if is_news || self.complaint.is_some() {
                    let Changes { added, changed, removed } = changes;
                    board.reload_succeeded(Clock::SYSTEM.now());
                    warn(&warnings);
                    tracing::info!(added, changed, removed, "configuration loaded");
                }
                (self.accepted, self.looks, self.complaint) = (source, looks, None);
                Ok(())
            }
            Err(problems) => {
                board.reload_failed();
                if why == Why::Asked || self.complaint.as_ref() != Some(&problems) {
                    for problem in problems.lines() {
                        tracing::error!(problem, "configuration not loaded, the old one goes on");
                    }
                }
                self.complaint = Some(problems.clone());
                Err(problems)
            }
        }
    }

    /// What the configuration says now; nothing where it can't say anything else.
    fn look(&self, why: Why) -> std::result::Result<Option<(Source, Config)>, String> {
        let source = if why == Why::Asked || self.auto {
            Source::read(&self.path).map_err(|error| error.to_string())?
        } else {
            self.accepted.clone()
        };
        let is_same = source == self.accepted && self.complaint.is_none();
        if why == Why::Time && is_same && !self.looks {
            return Ok(None);
        }
        let config = source.config().map_err(|error| error.to_string())?;
        try_folders(&config.checks).map_err(|error| error.to_string())?;
        Ok(Some((source, config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::pin::Pin;

    type Run = fn(Arc<Check>, Stop) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

    /// A fleet whose runs end at once, with the configuration of a file.
    struct Running {
        folder: PathBuf,
        file: PathBuf,
        board: Arc<Board>,
        limits: Arc<Limits>,
        fleet: Fleet<Run>,
        reload: Reload,
    }

    impl Running {
        fn new(name: &str, text: &str, auto: bool) -> Self {
            let folder = std::env::temp_dir().join(format!("driftrun-reload-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            for app in ["web", "db"] {
                std::fs::create_dir_all(folder.join("apps").join(app)).unwrap();
            }
            let file = folder.join("driftrun.yaml");
            std::fs::write(&file, text).unwrap();
            let source = Source::read(&file).unwrap();
            let config = source.config().unwrap();
            let mut reload = Reload::new(file.clone(), source, auto, Shard::ALL);
            reload.looks = config.looks;
            let now = Clock::SYSTEM.now();
            let board = Arc::new(Board::new(config.checks, now));
            let limits = Arc::new(Limits::new(1, Arc::new(Memory::new(1))));
            let run: Run = |_, _| Box::pin(async { Outcome::recorded(Clock::SYSTEM.now()) });
            let fleet = Fleet::start(
                Arc::clone(&board),
                Arc::clone(&limits),
                Clock::SYSTEM,
                Stop::default(),
                tokio::runtime::Handle::current(),
                run,
                |check| Schedule::of(check, now),
            );
            Self { folder, file, board, limits, fleet, reload }
        }

        /// The checks after a look, and whether the metric says that it was a success.
        async fn look(&mut self, why: Why) -> (Vec<String>, bool) {
            let _ = self.reload.go(why, &self.board, &self.limits, &mut self.fleet).await;
            let snapshot = self.board.snapshot();
            (snapshot.views.iter().map(|view| view.check.name.clone()).collect(), snapshot.reloaded)
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    const GLOB: &str = "checks:\n- name: \"k-{app}\"\n  for_each: { glob: \"apps/{app}/\" }\n  command: [kubectl, diff, -f, \"{path}\"]\n";

    fn is(names: &[&str], reloaded: bool) -> (Vec<String>, bool) {
        (names.iter().map(ToString::to_string).collect(), reloaded)
    }

    #[tokio::test]
    async fn globs_are_looked_at_again_and_an_empty_folder_changes_nothing() {
        let mut running = Running::new("globs", GLOB, false);
        let loaded = running.board.snapshot().loaded;
        assert_eq!(running.look(Why::Time).await, is(&["k-db", "k-web"], true));
        // Nothing new is no load.
        assert_eq!(running.board.snapshot().loaded, loaded);
        std::fs::create_dir(running.folder.join("apps/cache")).unwrap();
        std::fs::remove_dir(running.folder.join("apps/db")).unwrap();
        assert_eq!(running.look(Why::Time).await, is(&["k-cache", "k-web"], true));
        // All gone at once: more likely a mount that isn't there.
        std::fs::rename(running.folder.join("apps"), running.folder.join("away")).unwrap();
        for _ in 0..2 {
            assert_eq!(running.look(Why::Time).await, is(&["k-cache", "k-web"], false));
        }
        std::fs::rename(running.folder.join("away"), running.folder.join("apps")).unwrap();
        assert_eq!(running.look(Why::Time).await, is(&["k-cache", "k-web"], true));
    }

    #[tokio::test]
    async fn a_file_is_loaded_when_somebody_asks_or_by_its_content() {
        let one = "checks:\n- { name: a, command: [\"true\"] }\n";
        let two = "checks:\n- { name: a, command: [\"true\"] }\n- { name: b, command: [\"true\"] }\n";
        let swap = |running: &Running, text: &str, version: &str| {
            // As a mounted ConfigMap does it: a link to a link to a folder, which is renamed over.
            let folder = running.folder.join(version);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("driftrun.yaml"), text).unwrap();
            let link = running.folder.join("new-link");
            std::os::unix::fs::symlink(Path::new(version).join("driftrun.yaml"), &link).unwrap();
            std::fs::rename(&link, &running.file).unwrap();
        };
        let mut asked = Running::new("asked", one, false);
        swap(&asked, two, "v1");
        assert_eq!(asked.look(Why::Time).await, is(&["a"], true));
        assert_eq!(asked.look(Why::Asked).await, is(&["a", "b"], true));
        let mut auto = Running::new("auto", one, true);
        assert_eq!(auto.look(Why::Time).await, is(&["a"], true));
        swap(&auto, two, "v1");
        assert_eq!(auto.look(Why::Time).await, is(&["a", "b"], true));
        // Wrong, gone, and as it was: the old one goes on.
        swap(&auto, "checks: [", "v2");
        assert_eq!(auto.look(Why::Time).await, is(&["a", "b"], false));
        std::fs::remove_file(&auto.file).unwrap();
        assert_eq!(auto.look(Why::Time).await, is(&["a", "b"], false));
        swap(&auto, two, "v3");
        assert_eq!(auto.look(Why::Time).await, is(&["a", "b"], true));
        swap(&auto, one, "v4");
        assert_eq!(auto.look(Why::Time).await, is(&["a"], true));
        assert!(auto.reload.complaint.is_none());
    }
}
