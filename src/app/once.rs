//! `once`: every check one time, and what came of it, to stdout, to files and to a Pushgateway.

use super::serve::clear;
use super::{
    Error, Result, from_flags, ink, print, print_json, run_with, runtime, stop_on_signals, try_folders, warn,
};
use crate::board::{Board, LastRun};
use crate::check::{self, Check, Reader};
use crate::cli::{Format, Once, PushFlags};
use crate::config::{self, Config};
use crate::diff::Style;
use crate::metrics;
use crate::oneshot::{self, Known};
use crate::printed::Opened;
use crate::progress::Screen;
use crate::push::{Gateway, Target};
use crate::run::{Memory, Runner, Stop};
use crate::shard::Shard;
use crate::show::markdown::Told;
use crate::show::{self, Shown, Whole};
use crate::snapshot::{Snapshot, View};
use crate::state::Store;
use crate::supervise::{Clock, Limits, Place, run_now};
use crate::textfile::{self, Owner};
use driftrun_parsers::{Action, Document, DriftReport, Resource, Tool};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Every check once, as many at a time as the configuration allows.
pub(super) fn once(arguments: &Once, screen: Option<&Screen>) -> Result<ExitCode> {
    let mut config = match &arguments.config {
        Some(file) => config::load(file)?,
        None if arguments.command.is_empty() => {
            return Err(Error(
                "nothing to run: name a file with --config.file, or a command after --".to_owned(),
            ));
        }
        None => Config::of_one(from_flags(&arguments.check, &arguments.command)?),
    };
    only(&mut config.checks, &arguments.only)?;
    warn(&std::mem::take(&mut config.warnings));
    let round = Round::new(arguments, &config)?;
    // Temporary folders are there also where --state-dir names another one.
    if let Some(folder) = &config.state_dir {
        Store::make_tmp(folder).map_err(Error)?;
    }
    try_folders(&config.checks)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = stop_on_signals(true)?;
        let began = Instant::now();
        let snapshot = round.run(config, &stop, screen).await?;
        let printed = print_round(arguments.format, &snapshot, round.known, began.elapsed());
        // One signal ends the runs, and what they came to is delivered all the same.
        let stopped = if stop.soft.is_cancelled() { stop.hard } else { stop.soft };
        let delivered = tokio::task::spawn_blocking({
            let snapshot = Arc::clone(&snapshot);
            move || round.deliver(&snapshot)
        });
        let mut problems = tokio::select! {
            problems = delivered => problems?,
            () = stopped.cancelled() => vec!["stopped before everything was delivered".to_owned()],
        };
        if snapshot.views.iter().any(|view| view.state.own_run().is_none()) {
            problems.insert(0, "stopped before every check had run".to_owned());
        }
        problems.extend(printed.err().map(|Error(why)| why));
        if problems.is_empty() {
            let verdicts = snapshot.views.iter().filter_map(|view| view.state.own_run());
            Ok(ExitCode::from(show::exit_code(verdicts.map(|last| last.verdict))))
        } else {
            Err(Error(problems.join("\ndriftrun: ")))
        }
    });
    // A push that nobody waits for any more is not waited for.
    runtime.shutdown_background();
    ended
}

/// Leaves of the checks those of these names, where there are any.
fn only(checks: &mut Vec<Check>, names: &[String]) -> Result<()> {
    for name in names {
        if !checks.iter().any(|check| check.name == *name) {
            let known: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
            let hint = match check::nearest(name, &known) {
                Some(meant) => format!("; did you mean {meant:?}?"),
                None => String::new(),
            };
            return Err(Error(format!("--check: the configuration has no check {name:?}{hint}")));
        }
    }
    checks.retain(|check| names.is_empty() || names.contains(&check.name));
    Ok(())
}

/// What a round has beside its checks: where it delivers to, and what it remembers.
struct Round {
    files: Option<(PathBuf, Owner)>,
    gateway: Option<Gateway>,
    store: Option<(PathBuf, Arc<Store>)>,
    known: Known,
    interval: Option<Duration>,
}

impl Round {
    /// Looks at every flag before anything is run.
    fn new(arguments: &Once, config: &Config) -> Result<Self> {
        let Once { textfile, push, state_dir, expected_interval, format, .. } = arguments;
        let delivers = textfile.is_some() || push.url.is_some();
        // Named after its program, a command that is clean would take the place of another one that drifts.
        if arguments.config.is_none() && arguments.check.name.is_none() {
            let kept = [
                (textfile.is_some(), "--textfile"),
                (push.url.is_some(), "--push"),
                (state_dir.is_some(), "--state-dir"),
            ];
            if let Some((_, flag)) = kept.into_iter().find(|(given, _)| *given) {
                return Err(Error(format!(
                    "{flag}: a command has no name of its own, and what another one brings there under the same name would replace it; add --name NAME"
                )));
            }
        }
        for (given, flag, what, shown_by) in [
            (
                state_dir.is_some(),
                "--state-dir",
                "what it keeps",
                &[Format::Table, Format::Markdown, Format::Prometheus][..],
            ),
            (expected_interval.is_some(), "--expected-interval", "the interval", &[Format::Prometheus]),
        ] {
            if given && !delivers && !shown_by.contains(format) {
                return Err(Error(format!(
                    "{flag}: nothing here shows {what}; add --textfile DIR, --push URL or --format prometheus"
                )));
            }
        }
        let owner = || match &arguments.config {
            Some(file) => Owner::config(file),
            None => Ok(Owner::command_line()),
        };
        let files = textfile.clone().map(|folder| Ok::<_, Error>((folder, owner()?))).transpose()?;
        let gateway = target(push).map(|target| Gateway::new(&target)).transpose().map_err(Error)?;
        // For a look beside a server, that of the configuration stays the server's.
        let folder = match state_dir {
            Some(folder) => Some(std::path::absolute(folder)?),
            None => config.state_dir.clone().filter(|_| delivers),
        };
        let open = |folder: PathBuf| {
            let store = Store::open(&folder, config.history).map_err(|why| {
                let own = "; give each a folder of its own";
                Error(why.replace(own, &format!("{own}, this one with --state-dir")))
            })?;
            Ok::<_, Error>((folder, Arc::new(store)))
        };
        let store = folder.map(open).transpose()?;
        let known = Known { earlier: store.is_some(), interval: expected_interval.is_some() };
        Ok(Self { files, gateway, store, known, interval: *expected_interval })
    }

    async fn run(&self, config: Config, stop: &Stop, screen: Option<&Screen>) -> Result<Arc<Snapshot>> {
        let Config { checks, max_concurrent, max_capture_memory, history, .. } = config;
        let memory = Arc::new(Memory::new(max_capture_memory));
        let runner = Arc::new(Runner::with(Arc::clone(&memory))?);
        let store = self.store.as_ref().map(|(_, store)| Arc::clone(store));
        if let Some(store) = &store {
            let bases: BTreeSet<PathBuf> = checks.iter().map(|check| check.tmp_base.clone()).collect();
            clear(Arc::clone(store), &runner, bases.into_iter().collect()).await;
        }
        let board =
            Arc::new(Board::kept(checks, Clock::SYSTEM.now(), Shard::ALL, store, usize::MAX, history.runs));
        let limits = Arc::new(Limits::new(max_concurrent, memory));
        // To the end of the round: what comes after it is printed where this was.
        let _shown = screen.and_then(|screen| screen.follow(Arc::clone(&board)));
        let mut lives = JoinSet::new();
        for check in board.checks() {
            if self.interval.is_some() {
                board.scheduled(&check.name, None, self.interval);
            }
            let place = Place {
                board: Arc::clone(&board),
                name: check.name.as_str().into(),
                limits: Arc::clone(&limits),
                clock: Clock::SYSTEM,
            };
            let (run, stop) = (run_with(&runner, None), stop.clone());
            lives.spawn(async move { run_now(&check, &place, &stop, run).await });
        }
        lives.join_all().await;
        runner.end_strays().await;
        Ok(board.snapshot())
    }

    /// Brings what ran to where it is wanted. What went wrong, for people.
    fn deliver(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut problems = Vec::new();
        let ran: Vec<(&str, &Arc<View>)> = snapshot
            .views
            .iter()
            .filter(|view| view.state.own_run().is_some())
            .map(|view| (view.check.name.as_str(), view))
            .collect();
        if let Some((folder, owner)) = &self.files {
            let texts: Vec<(&str, String)> =
                ran.iter().map(|(name, view)| (*name, oneshot::text(view, self.known))).collect();
            let configured: Vec<&str> = snapshot.views.iter().map(|view| view.check.name.as_str()).collect();
            problems.extend(textfile::write(folder, owner, &texts, &configured));
        }
        if let Some(gateway) = &self.gateway {
            let groups = ran.iter().map(|(name, view)| (*name, oneshot::push(view, self.known))).collect();
            problems.extend(gateway.push(groups));
        }
        problems.extend(self.store.as_ref().and_then(|(folder, store)| unwritten(folder, store)));
        problems
    }
}

fn target(flags: &PushFlags) -> Option<Target> {
    let PushFlags { url, job, user, password_file, ca_file, timeout, pause } = flags;
    Some(Target {
        url: url.clone()?,
        job: job.clone(),
        user: user.clone().zip(password_file.clone()),
        ca_file: ca_file.clone(),
        timeout: *timeout,
        pause: *pause,
    })
}

fn unwritten(folder: &Path, store: &Store) -> Option<String> {
    let written = store.failures() == 0;
    (!written).then(|| {
        format!(
            "state_dir {}: not everything could be written (the log says why), and the next round will not know of it",
            folder.display()
        )
    })
}

/// To stdout: what this round found, and nothing that is only remembered but since when. The metrics are those of the files.
fn print_round(format: Format, snapshot: &Snapshot, known: Known, took: Duration) -> Result<()> {
    if format == Format::Prometheus {
        return print(&metrics::render_once(snapshot, |family| known.has(family)));
    }
    let ran: Vec<Ran<'_>> = snapshot.views.iter().filter_map(|view| Ran::of(view, known)).collect();
    let whole = Whole { took, not_run: snapshot.views.len() - ran.len() };
    match format {
        Format::Table => {
            let shown: Vec<Shown<'_>> = ran.iter().map(Ran::shown).collect();
            print(&show::table(&shown, Some(whole), ink()))
        }
        Format::Markdown => {
            let told: Vec<Told<'_>> = ran.iter().map(Ran::told).collect();
            print(&show::markdown(&told, Some(whole)))
        }
        Format::Json => {
            let by_name: serde_json::Map<String, serde_json::Value> = ran
                .iter()
                .filter_map(|ran| Some((ran.name.to_owned(), serde_json::to_value(ran.document()).ok()?)))
                .collect();
            print_json(&by_name)
        }
        Format::Prometheus => Ok(()),
    }
}

/// A check that ran, and what its report is made of.
struct Ran<'s> {
    name: &'s str,
    last: &'s LastRun,
    tool: Option<&'s Tool>,
    parser: Option<&'s Reader>,
    resources: Vec<Resource>,
    /// When each of them was seen first, where earlier rounds are remembered.
    first_seen: Vec<Timestamp>,
    /// Drift that is counted only.
    unlisted: BTreeMap<Action, u64>,
    /// What their places are places in.
    printed: Option<Opened<'s>>,
}

impl<'s> Ran<'s> {
    fn of(view: &'s View, known: Known) -> Option<Self> {
        let state = &view.state;
        let reported = state.reported();
        let tool = reported.as_ref().map(|(drift, _)| &drift.tool);
        let unlisted = reported.as_ref().map(|(drift, _)| drift.unlisted()).unwrap_or_default();
        let printed = reported.as_ref().map(|(drift, _)| drift.printed.stdout.open());
        let (resources, first_seen): (_, Vec<Timestamp>) = reported
            .into_iter()
            .flat_map(|(_, seen)| seen.map(|seen| (seen.resource.clone(), seen.first_seen)))
            .unzip();
        Some(Self {
            name: &view.check.name,
            last: state.own_run()?,
            tool,
            parser: state.parser.as_ref(),
            resources,
            first_seen: if known.earlier { first_seen } else { Vec::new() },
            unlisted,
            printed,
        })
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            name: Some(self.name),
            took: Some(self.last.duration),
            document: self.document(),
            first_seen: &self.first_seen,
            unlisted: self.unlisted.clone(),
        }
    }

    fn told(&self) -> Told<'_> {
        let style = Style::of(self.parser.map_or("none", Reader::name));
        Told { shown: self.shown(), printed: self.printed.as_ref(), style }
    }

    /// The report of the check's only run.
    fn document(&self) -> Document<'_> {
        let Self { last, tool, resources, .. } = self;
        Document {
            parser: self.parser.map_or("none", Reader::name),
            tool: tool.map(|tool| &*tool.name),
            tool_version: tool.and_then(|tool| tool.version.as_deref()),
            verdict: last.verdict,
            reason: last.reason.clone(),
            resources,
            scopes: last.scopes.clone().unwrap_or_default(),
            totals: DriftReport::totals_of(resources),
            diagnostics: &last.diagnostics,
        }
    }
}
