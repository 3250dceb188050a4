//! `once`: every check one time, and what came of it.

use super::{
    Error, Result, from_flags, print, print_json, run_with, runtime, stop_on_signals, try_folders, warn,
};
use crate::board::{Board, LastRun};
use crate::check::Reader;
use crate::cli::{Format, Once};
use crate::config::{self, Config};
use crate::metrics;
use crate::run::{Memory, Runner};
use crate::show::{self, Shown};
use crate::state::Store;
use crate::supervise::{Clock, Limits, Place, run_now};
use driftrun_parsers::{Document, DriftReport, Resource, Tool};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Every check once, as many at a time as the configuration allows.
pub(super) fn once(arguments: &Once) -> Result<ExitCode> {
    let Config { checks, parsers: _, max_concurrent, max_capture_memory, warnings, state_dir, .. } =
        match &arguments.config {
            Some(file) => config::load(file)?,
            None if arguments.command.is_empty() => {
                return Err(Error(
                    "nothing to run: name a file with --config.file, or a command after --".to_owned(),
                ));
            }
            None => {
                let check = from_flags(&arguments.check, &arguments.command)?;
                Config::of_one(check)
            }
        };
    warn(&warnings);
    if let Some(folder) = &state_dir {
        Store::make_tmp(folder).map_err(Error)?;
    }
    try_folders(&checks)?;
    runtime()?.block_on(async {
        let stop = stop_on_signals(true)?;
        let memory = Arc::new(Memory::new(max_capture_memory));
        let runner = Arc::new(Runner::with(Arc::clone(&memory))?);
        let board = Arc::new(Board::new(checks, Clock::SYSTEM.now()));
        let limits = Arc::new(Limits::new(max_concurrent, memory));
        let mut lives = JoinSet::new();
        for check in board.checks() {
            let place = Place {
                board: Arc::clone(&board),
                name: check.name.as_str().into(),
                limits: Arc::clone(&limits),
                clock: Clock::SYSTEM,
            };
            let (run, stop) = (run_with(&runner), stop.clone());
            lives.spawn(async move { run_now(&check, &place, &stop, run).await });
        }
        lives.join_all().await;
        runner.end_strays().await;
        let snapshot = board.snapshot();
        let mut shown = Vec::new();
        let mut verdicts = Vec::new();
        for view in &snapshot.views {
            let Some(last) = &view.state.last else { continue };
            verdicts.push(last.verdict);
            let resources: Vec<Resource> = view
                .state
                .drift
                .iter()
                .flat_map(|drift| drift.resources.iter())
                .map(|seen| seen.resource.clone())
                .collect();
            shown.push((
                view.check.name.as_str(),
                last,
                view.state.drift.as_ref().map(|drift| &drift.tool),
                view.state.parser.as_ref(),
                resources,
            ));
        }
        let documents: Vec<Shown<'_>> = shown
            .iter()
            .map(|(name, last, tool, parser, resources)| Shown {
                name: Some(name),
                document: document(last, *tool, *parser, resources),
            })
            .collect();
        match arguments.format {
            Format::Table => print(&show::table(&documents))?,
            Format::Prometheus => print(&metrics::render_once(&snapshot))?,
            Format::Json => {
                let by_name: serde_json::Map<String, serde_json::Value> = documents
                    .iter()
                    .filter_map(|shown| {
                        Some((shown.name?.to_owned(), serde_json::to_value(&shown.document).ok()?))
                    })
                    .collect();
                print_json(&by_name)?;
            }
        }
        if verdicts.len() < snapshot.views.len() {
            return Err(Error("stopped before every check had run".to_owned()));
        }
        Ok(ExitCode::from(show::exit_code(verdicts.into_iter())))
    })
}

/// The report of a check's only run.
fn document<'a>(
    last: &'a LastRun,
    tool: Option<&'a Tool>,
    parser: Option<&'a Reader>,
    resources: &'a [Resource],
) -> Document<'a> {
    Document {
        parser: parser.map_or("none", Reader::name),
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
