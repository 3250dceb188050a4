//! `watch` and `serve`: listens, runs the checks on their schedules, takes in new configurations, and ends when a signal says so.

use super::{Error, Result, build, run_with, stop_on_signals, try_folders, warn};
use crate::board::Board;
use crate::check::Check;
use crate::cli::{ShowOutput, WebFlags};
use crate::config::{Config, Source};
use crate::fleet::{Changes, Fleet};
use crate::outcome::Outcome;
use crate::run::{Runner, Stop};
use crate::schedule::Schedule;
use crate::shard::Shard;
use crate::supervise::{Clock, Limits};
use crate::web::{self, Bound, Show};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How often orphans that belong to no run are looked for.
const STRAYS: Duration = Duration::from_secs(30);

/// How often the configuration file and the matches of its globs are looked at.
const LOOK: Duration = Duration::from_secs(30);

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

/// Listens, runs the checks on their schedules, and ends when a signal says so. Without `reload` there is one check, whose first run starts at once.
pub(super) fn serve(config: Config, flags: &WebFlags, reload: Option<Reload>) -> Result<ExitCode> {
    let Config { checks, parsers: _, max_concurrent, warnings, looks } = config;
    let shard = reload.as_ref().map_or(Shard::ALL, |reload| reload.shard);
    try_folders(&checks)?;
    let checks = shard.of(checks);
    super::runtime()?.block_on(async {
        let stop = stop_on_signals(reload.is_none())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut listeners = Vec::new();
        for address in &flags.listen {
            listeners.push(web::bind(address).await.map_err(Error)?);
        }
        let runner = Arc::new(Runner::start()?);
        let runs = RunsThread::start()?;
        let now = Clock::SYSTEM.now();
        for listener in &listeners {
            tracing::info!(address = %listener.address, checks = checks.len(), "listening");
        }
        warn(&warnings);
        let board = Arc::new(Board::sharded(checks, now, shard));
        let bound = Bound {
            listeners,
            metrics_path: flags.telemetry_path.clone(),
            show: match flags.output {
                ShowOutput::Auto => None,
                ShowOutput::Always => Some(Show::Output),
                ShowOutput::Never => Some(Show::TablesOnly),
            },
        };
        // The server outlives the runs: a last scrape can still see how they ended.
        let server_stop = tokio_util::sync::CancellationToken::new();
        let server = tokio::spawn(bound.serve(Arc::clone(&board), server_stop.clone()));
        let limits = Arc::new(Limits::new(max_concurrent));
        let first = |check: &Check| match reload {
            Some(_) => Schedule::of(check, now),
            None => Schedule::at_once(now, check.interval),
        };
        let mut fleet = Fleet::start(
            Arc::clone(&board),
            Arc::clone(&limits),
            Clock::SYSTEM,
            stop.clone(),
            runs.runtime.clone(),
            run_with(&runner),
            first,
        );
        let strays = tokio::spawn(end_strays(Arc::clone(&runner)));
        match reload {
            None => stop.soft.cancelled().await,
            Some(mut reload) => {
                reload.looks = looks;
                let mut look = tokio::time::interval(LOOK);
                look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                look.tick().await;
                loop {
                    let why = tokio::select! {
                        () = stop.soft.cancelled() => break,
                        _ = hangup.recv() => Why::Asked,
                        _ = look.tick() => Why::Time,
                    };
                    reload.go(why, &board, &limits, &mut fleet).await;
                }
            }
        }
        tracing::info!("stopping");
        fleet.ended().await;
        strays.abort();
        runner.end_strays().await;
        server_stop.cancel();
        let _ = server.await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

async fn end_strays(runner: Arc<Runner>) {
    loop {
        tokio::time::sleep(STRAYS).await;
        let ended = runner.end_strays().await;
        if ended > 0 {
            tracing::warn!(processes = ended, "ended orphans that belong to no run");
        }
    }
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
    shard: Shard,
}

impl Reload {
    pub(super) fn new(path: PathBuf, accepted: Source, auto: bool, shard: Shard) -> Self {
        Self { path, accepted, looks: false, auto, complaint: None, shard }
    }

    /// Takes in the configuration, whole or not at all.
    async fn go<F, R>(&mut self, why: Why, board: &Board, limits: &Limits, fleet: &mut Fleet<F>)
    where
        F: Fn(Arc<Check>, Stop) -> R + Clone + Send + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        // Files on a slow disk are not for a runtime worker.
        let reload = self.clone();
        let found = match tokio::task::spawn_blocking(move || reload.look(why)).await {
            Ok(found) => found,
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(None) => {}
            Ok(Some((source, config))) => {
                let Config { checks, parsers: _, max_concurrent, warnings, looks } = config;
                limits.set_max_concurrent(max_concurrent);
                let changes = fleet.apply(self.shard.of(checks));
                let is_news = why == Why::Asked || source != self.accepted || changes != Changes::default();
                if is_news || self.complaint.is_some() {
                    let Changes { added, changed, removed } = changes;
                    board.reload_succeeded(Clock::SYSTEM.now());
                    warn(&warnings);
                    tracing::info!(added, changed, removed, "configuration loaded");
                }
                (self.accepted, self.looks, self.complaint) = (source, looks, None);
            }
            Err(problems) => {
                board.reload_failed();
                if why == Why::Asked || self.complaint.as_ref() != Some(&problems) {
                    for problem in problems.lines() {
                        tracing::error!(problem, "configuration not loaded, the old one goes on");
                    }
                }
                self.complaint = Some(problems);
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
