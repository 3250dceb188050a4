//! The metrics: one table of families, each a pure function from a check's state to sample lines. Reading the tables is reading the reference.
//!
//! Text exposition format 0.0.4. A check's lines are rendered when its state changes; a scrape writes, family by family, the header and every
//! check's slice. The writer is ours and small because HELP and TYPE stand once a family over all checks; tests hold it against the prometheus crate.

use crate::board::{Board, CheckState, Drift, Dropped, Skip};
use crate::check::{Check, Reader};
use crate::snapshot::{Snapshot, View};
use driftrun_parsers::{Action, Class, Reading, Source, Verdict};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

/// The content type of what [`render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric family of a check.
pub struct Family {
    /// The metric's name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Its TYPE.
    pub kind: Kind,
    /// What it tells about.
    pub about: About,
    /// Writes its samples for one check; none is "has not happened yet".
    pub samples: fn(&Check, &CheckState, &mut Samples<'_>),
}

/// Prometheus' metric types, as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up, from 0 when the configuration is loaded.
    Counter,
    /// `_sum` and `_count`, without quantiles.
    Summary,
}

/// What a family tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The check and its schedule, while driftrun lives.
    Check,
    /// A run.
    Run,
    /// What a run's output says.
    Report,
    /// When that was said first: known only to who remembers earlier runs.
    History,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
        }
    }
}

/// Families that change while a check waits and runs.
pub static LIVE: [Family; 3] = [
    Family {
        name: "driftrun_check_running",
        help: "Whether a run of the check is under way.",
        kind: Kind::Gauge,
        about: About::Check,
        samples: |_, state, out| out.add(&[], f64::from(u8::from(state.running.is_some()))),
    },
    Family {
        name: "driftrun_check_next_run_timestamp_seconds",
        help: "When the next run of the check is due.",
        kind: Kind::Gauge,
        about: About::Check,
        samples: |_, state, out| out.timestamp(state.next_run),
    },
    Family {
        name: "driftrun_check_skipped_runs_total",
        help: "Slots of the schedule in which the check did not run.",
        kind: Kind::Counter,
        about: About::Check,
        samples: |_, state, out| {
            let skipped = &state.counters.skipped;
            out.count(&[("reason", "overrun")], skipped.get(&Skip::Overrun).copied().unwrap_or_default());
            // The others when they happen: a check without drift stays within 40 series.
            for (why, slots) in skipped.iter().filter(|(why, _)| **why != Skip::Overrun) {
                out.count(&[("reason", why.as_str())], *slots);
            }
        },
    },
];

/// Families that change with a run. Everything in them is from the last run, or from the last good report, as HELP says.
pub static RUN: [Family; 32] = [
    Family {
        name: "driftrun_check_info",
        help: "A check that is configured; always 1.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, _, out| out.add(&[], 1.0),
    },
    Family {
        name: "driftrun_check_tool_info",
        help: "The tool that the check's last good report came from; always 1.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            if let Some(drift) = &state.drift {
                let version = drift.tool.version.as_deref().unwrap_or_default();
                out.add(
                    &[("tool", &drift.tool.name), ("tool_version", version), ("parser", drift.parser.name())],
                    1.0,
                );
            }
        },
    },
    Family {
        name: "driftrun_check_revision_info",
        help: "The git commit that the working folder stood at in the last run; always 1.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(revision) = state.last.as_ref().and_then(|last| last.revision.as_deref()) {
                out.add(&[("revision", revision)], 1.0);
            }
        },
    },
    Family {
        name: "driftrun_check_loaded_timestamp_seconds",
        help: "When the check was loaded.",
        kind: Kind::Gauge,
        about: About::Check,
        samples: |_, state, out| out.timestamp(Some(state.loaded)),
    },
    Family {
        name: "driftrun_check_interval_seconds",
        help: "Time between two starts of the check; with a crontab the longest one of the next eight days.",
        kind: Kind::Gauge,
        about: About::Check,
        samples: |_, state, out| out.add(&[], state.interval.as_secs_f64()),
    },
    Family {
        name: "driftrun_check_timeout_seconds",
        help: "How long a run of the check may take.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |check, _, out| out.add(&[], check.timeout.as_secs_f64()),
    },
    Family {
        name: "driftrun_check_success",
        help: "Whether the last run was clean or drifted.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                out.add(&[], f64::from(u8::from(last.verdict.is_success())));
            }
        },
    },
    Family {
        name: "driftrun_check_verdict",
        help: "The verdict of the last run: 1 for it, 0 for the others.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                for verdict in Verdict::ALL {
                    out.add(&[("verdict", verdict.as_str())], f64::from(u8::from(verdict == last.verdict)));
                }
            }
        },
    },
    Family {
        name: "driftrun_check_failure_info",
        help: "The class of the last run, if it was neither clean nor drifted; always 1.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            if let Some(class) = state.last.as_ref().and_then(|last| last.class) {
                out.add(&[("class", class.as_str())], 1.0);
            }
        },
    },
    Family {
        name: "driftrun_check_last_exit_code",
        help: "Exit code of the last run's command; absent when it was ended by a signal or at its deadline, or never started.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(code) = state.last.as_ref().and_then(|last| last.code) {
                out.add(&[], f64::from(code));
            }
        },
    },
    Family {
        name: "driftrun_check_last_run_duration_seconds",
        help: "How long the last run took.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                out.add(&[], last.duration.as_secs_f64());
            }
        },
    },
    Family {
        name: "driftrun_check_last_run_timestamp_seconds",
        help: "When the last run ended.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| out.timestamp(state.last.as_ref().map(|last| last.ended)),
    },
    Family {
        name: "driftrun_check_last_success_timestamp_seconds",
        help: "When the last run ended that was clean or drifted.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| out.timestamp(state.last_success),
    },
    Family {
        name: "driftrun_check_run_duration_seconds",
        help: "How long runs take.",
        kind: Kind::Summary,
        about: About::Run,
        samples: |_, state, out| {
            out.suffixed("_sum", state.counters.duration.as_secs_f64());
            out.suffixed("_count", number(state.counters.runs.values().sum()));
        },
    },
    Family {
        name: "driftrun_check_runs_total",
        help: "Runs that came to an end, by verdict.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |_, state, out| {
            // Two from the start, the others when they happen: a check without drift stays within 40 series.
            for verdict in Verdict::ALL {
                let runs = state.counters.runs.get(&verdict).copied();
                if let Some(runs) = runs.or(matches!(verdict, Verdict::Clean | Verdict::Failed).then_some(0))
                {
                    out.count(&[("verdict", verdict.as_str())], runs);
                }
            }
        },
    },
    Family {
        name: "driftrun_check_exits_total",
        help: "Runs whose command exited by itself, by exit code.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |check, state, out| {
            let exits = &state.counters.exits;
            let expected = expected_codes(check, state);
            for code in expected.iter().filter(|code| !exits.contains_key(code)) {
                out.count(&[("code", &code.to_string())], 0);
            }
            for (code, runs) in exits {
                out.count(&[("code", &code.to_string())], *runs);
            }
        },
    },
    Family {
        name: "driftrun_check_failures_total",
        help: "Runs that were neither clean nor drifted, by class.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |_, state, out| {
            for (class, runs) in &state.counters.failures {
                out.count(&[("class", class.as_str())], *runs);
            }
        },
    },
    Family {
        name: "driftrun_check_killed_processes_total",
        help: "Processes that had to be ended: at their deadline, or left over after their leader's exit.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |_, state, out| {
            let killed =
                [("deadline", state.counters.killed_deadline), ("leftover", state.counters.killed_leftover)];
            for (reason, processes) in killed.into_iter().filter(|(_, processes)| *processes > 0) {
                out.count(&[("reason", reason)], processes);
            }
        },
    },
    Family {
        name: "driftrun_check_output_bytes",
        help: "Bytes that the last run's command wrote.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                out.add(&[("stream", "stdout")], number(last.stdout_bytes));
                out.add(&[("stream", "stderr")], number(last.stderr_bytes));
            }
        },
    },
    Family {
        name: "driftrun_check_output_truncated",
        help: "Whether output of the last run went over the limit and was cut.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                out.add(&[], f64::from(u8::from(last.truncated)));
            }
        },
    },
    Family {
        name: "driftrun_check_cpu_seconds_total",
        help: "CPU time of the check's processes.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |_, state, out| {
            out.add(&[("mode", "user")], state.counters.cpu_user.as_secs_f64());
            out.add(&[("mode", "system")], state.counters.cpu_system.as_secs_f64());
        },
    },
    Family {
        name: "driftrun_check_max_resident_memory_bytes",
        help: "The largest resident set of any process of the last run.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            if let Some(last) = &state.last {
                out.add(&[], number(last.max_resident));
            }
        },
    },
    Family {
        name: "driftrun_drift_resources",
        help: "Resources that drift and are not ignored, by action, from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            let Some(drift) = &state.drift else { return };
            let given = drift.parser.actions();
            for action in Action::ALL {
                let drifted = drift
                    .resources
                    .iter()
                    .filter(|seen| seen.counts() && seen.resource.action == action)
                    .count() as u64
                    + dropped(drift, |dropped| dropped.drift.get(&action).copied().unwrap_or_default());
                if drifted > 0 || (action != Action::Read && given.contains(&action)) {
                    out.count(&[("action", action.as_str())], drifted);
                }
            }
        },
    },
    Family {
        name: "driftrun_drift_outside_resources",
        help: "Drifting resources that were changed outside, from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            let Some(drift) = &state.drift else { return };
            let outside = drift.resources.iter().filter(|seen| seen.counts() && seen.resource.outside).count()
                as u64
                + dropped(drift, |dropped| dropped.outside);
            if outside > 0 || drift.parser.actions().contains(&Action::Move) {
                out.count(&[], outside);
            }
        },
    },
    Family {
        name: "driftrun_drift_informational_resources",
        help: "Resources that are reported and are no drift (reads, outputs, changes outside that nobody plans for), from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            let Some(drift) = &state.drift else { return };
            for source in [Source::Plan, Source::Refresh] {
                for action in Action::ALL {
                    let is =
                        |r: &driftrun_parsers::Resource| !r.drift && r.source == source && r.action == action;
                    let resources = drift.resources.iter().filter(|seen| is(&seen.resource)).count() as u64
                        + dropped(drift, |dropped| {
                            dropped.informational.get(&(source, action)).copied().unwrap_or_default()
                        });
                    if resources > 0 {
                        out.count(&[("source", source.as_str()), ("action", action.as_str())], resources);
                    }
                }
            }
        },
    },
    Family {
        name: "driftrun_drift_ignored_resources",
        help: "Resources that would be drift but for an ignore rule, from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| {
            let Some(drift) = &state.drift else { return };
            let ignored = drift.resources.iter().filter(|seen| seen.resource.ignored).count() as u64
                + dropped(drift, |dropped| dropped.ignored);
            if ignored > 0 || !check.ignore.is_empty() {
                out.count(&[], ignored);
            }
        },
    },
    Family {
        name: "driftrun_drift_dropped_resources",
        help: "Drifting resources over the check's max_resources, from the last good report: counted, without series of their own.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            let Some(drift) = &state.drift else { return };
            let dropped = dropped(drift, |dropped| dropped.drift.values().sum());
            if dropped > 0 {
                out.count(&[], dropped);
            }
        },
    },
    Family {
        name: "driftrun_drift_ignore_rules_unused",
        help: "Ignore rules of the check that matched nothing in the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| {
            let Some(drift) = state.drift.as_ref().filter(|_| !check.ignore.is_empty()) else { return };
            out.add(&[], number(drift.unused_rules as u64));
        },
    },
    Family {
        name: "driftrun_resource_drift",
        help: "A resource that drifts, from the last good report; always 1.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| each_drifted(state, |labels, _| out.add(labels, 1.0)),
    },
    Family {
        name: "driftrun_resource_drift_first_seen_timestamp_seconds",
        help: "When the resource was first seen to drift, whatever the action was then.",
        kind: Kind::Gauge,
        about: About::History,
        samples: |_, state, out| {
            each_drifted(state, |labels, first_seen| out.add(labels, seconds(first_seen)));
        },
    },
    Family {
        name: "driftrun_check_scopes",
        help: "Hosts, modules or namespaces that the last report read and those that it couldn't.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            let scopes = state.last.as_ref().and_then(|last| last.scopes.as_ref());
            if let Some(scopes) = scopes.filter(|scopes| !scopes.read.is_empty() || !scopes.unread.is_empty())
            {
                out.add(&[("state", "read")], number(scopes.read.len() as u64));
                out.add(&[("state", "unread")], number(scopes.unread.len() as u64));
            }
        },
    },
    Family {
        name: "driftrun_scope_unread",
        help: "A scope that the last report couldn't read; always 1.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |_, state, out| {
            if let Some(scopes) = state.last.as_ref().and_then(|last| last.scopes.as_ref()) {
                for unread in &scopes.unread {
                    out.add(&[("scope", &unread.scope), ("reason", unread.reason.as_str())], 1.0);
                }
            }
        },
    },
];

/// prom-run's own families, as its last version had them: without a label for the check, from 0 on, and only where driftrun is prom-run.
/// Its `code` is Go's: -1 for a command that a signal ended, its own KILL at the timeout included, and 255 for one that never started.
pub static PROM_RUN: [Family; 5] = [
    Family {
        name: "promrun_command_exits_total",
        help: "Counts the number of times the command ran by exit code.",
        kind: Kind::Counter,
        about: About::Run,
        samples: |_, state, out| {
            let mut exits = state.counters.exits.clone();
            for (class, code) in [(Class::Signal, -1), (Class::Timeout, -1), (Class::Spawn, 255)] {
                if let Some(runs) = state.counters.failures.get(&class) {
                    *exits.entry(code).or_default() += runs;
                }
            }
            for (code, runs) in exits {
                out.count(&[("code", &code.to_string())], runs);
            }
        },
    },
    Family {
        name: "promrun_command_duration_seconds",
        help: "Time spent running command.",
        kind: Kind::Summary,
        about: About::Run,
        samples: |_, state, out| {
            out.suffixed("_sum", state.counters.duration.as_secs_f64());
            out.suffixed("_count", number(state.counters.runs.values().sum()));
        },
    },
    Family {
        name: "promrun_command_last_success_timestamp_seconds",
        help: "The timestamp of the last successful run.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| out.add(&[], state.last_zero.map_or(0.0, seconds)),
    },
    Family {
        name: "promrun_command_last_run_timestamp_seconds",
        help: "The timestamp of the last run.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| out.add(&[], state.last.as_ref().map_or(0.0, |last| seconds(last.ended))),
    },
    Family {
        name: "promrun_command_last_run_duration_seconds",
        help: "The duration of the last run.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |_, state, out| {
            out.add(&[], state.last.as_ref().map_or(0.0, |last| last.duration.as_secs_f64()));
        },
    },
];

/// Over all scopes.
fn dropped(drift: &Drift, of: impl Fn(&Dropped) -> u64) -> u64 {
    drift.dropped.values().map(of).sum()
}

/// Exit codes that are no surprise: 0, and those that say "differences".
fn expected_codes(check: &Check, state: &CheckState) -> Vec<i32> {
    let mut codes = vec![0];
    match (&check.exit_codes, &state.parser) {
        (Some(own), _) => codes.extend(own.clean.iter().chain(&own.drifted)),
        (None, Some(reader)) => codes.extend(reader.codes()),
        (None, None) => {}
    }
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Resources that drift, without their source: what is planned and what changed outside is one series.
fn each_drifted(state: &CheckState, mut write: impl FnMut(&[(&str, &str)], Timestamp)) {
    let Some(drift) = &state.drift else { return };
    let counting = || drift.resources.iter().filter(|seen| seen.counts());
    let series = |r: &driftrun_parsers::Resource| {
        (r.scope.clone(), r.kind.clone(), r.name.clone(), r.action, r.outside)
    };
    let refreshed = counting().any(|seen| seen.resource.source == Source::Refresh);
    let planned: HashSet<_> = counting()
        .filter(|seen| refreshed && seen.resource.source == Source::Plan)
        .map(|seen| series(&seen.resource))
        .collect();
    for seen in counting() {
        let r = &seen.resource;
        // Of two runs, each of which read one of them.
        if r.source == Source::Refresh && planned.contains(&series(r)) {
            continue;
        }
        let outside = if r.outside { "true" } else { "false" };
        let labels = [
            ("scope", r.scope.as_str()),
            ("kind", &r.kind),
            ("name", &r.name),
            ("action", r.action.as_str()),
            ("outside", outside),
        ];
        write(&labels, seen.first_seen);
    }
}

/// The sample lines of one check, in the order of a table of families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    text: String,
    /// Where each family's lines end.
    ends: Vec<usize>,
}

impl Rendered {
    fn new(families: &[Family], check: &Check, state: &CheckState) -> Self {
        let mut common = String::new();
        label(&mut common, "check", &check.name);
        for (name, value) in &check.labels {
            common.push(',');
            label(&mut common, name, value);
        }
        let mut text = String::new();
        let mut ends = Vec::with_capacity(families.len());
        for family in families {
            (family.samples)(
                check,
                state,
                &mut Samples { out: &mut text, name: family.name, common: &common },
            );
            ends.push(text.len());
        }
        text.shrink_to_fit();
        Self { text, ends }
    }

    fn family(&self, n: usize) -> &str {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[n]]
    }
}

/// The lines of [`LIVE`].
pub fn render_live(check: &Check, state: &CheckState) -> Rendered {
    Rendered::new(&LIVE, check, state)
}

/// The lines of [`RUN`].
pub fn render_run(check: &Check, state: &CheckState) -> Rendered {
    Rendered::new(&RUN, check, state)
}

/// Writes the samples of one family of one check.
#[derive(Debug)]
pub struct Samples<'a> {
    out: &'a mut String,
    name: &'static str,
    /// The check's name and its own labels, ready.
    common: &'a str,
}

impl Samples<'_> {
    fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, value);
    }

    fn count(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, number(value));
    }

    fn suffixed(&mut self, suffix: &str, value: f64) {
        self.line(suffix, &[], value);
    }

    fn timestamp(&mut self, time: Option<Timestamp>) {
        if let Some(time) = time {
            self.add(&[], seconds(time));
        }
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        let mut before = '{';
        if !self.common.is_empty() {
            self.out.push(before);
            self.out.push_str(self.common);
            before = ',';
        }
        for (name, text) in labels {
            self.out.push(before);
            label(self.out, name, text);
            before = ',';
        }
        let end = if before == ',' { "}" } else { "" };
        let _ = writeln!(self.out, "{end} {value}");
    }
}

/// `name="value"`, escaped as the format wants: backslash, double quote and newline.
fn label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Counts up to 2^53 are exact.
#[expect(clippy::cast_precision_loss, reason = "Prometheus' samples are doubles")]
const fn number(count: u64) -> f64 {
    count as f64
}

fn seconds(time: Timestamp) -> f64 {
    // Milliseconds are what Prometheus keeps of a time.
    let whole = Duration::from_millis(u64::try_from(time.as_millisecond()).unwrap_or_default());
    whole.as_secs_f64()
}

/// What a scrape gets: driftrun's own families, then every check's.
pub fn render(snapshot: &Snapshot) -> String {
    let size: usize = snapshot.views.iter().map(|view| view.run.text.len() + view.live.text.len()).sum();
    let mut out = String::with_capacity(size + 8192);
    build_info(&mut out);
    header(
        &mut out,
        "driftrun_config_last_reload_successful",
        "Whether the last attempt to load the configuration was a success.",
        Kind::Gauge,
    );
    let reloaded = u8::from(snapshot.reloaded);
    let _ = writeln!(out, "driftrun_config_last_reload_successful {reloaded}");
    header(
        &mut out,
        "driftrun_config_last_reload_success_timestamp_seconds",
        "When the configuration was loaded last.",
        Kind::Gauge,
    );
    let _ =
        writeln!(out, "driftrun_config_last_reload_success_timestamp_seconds {}", seconds(snapshot.loaded));
    if let Some(store) = &snapshot.store {
        for (name, help, count) in [
            (
                "driftrun_state_write_failures_total",
                "How often state could not be written.",
                store.failures(),
            ),
            (
                "driftrun_state_discarded_files_total",
                "Files with state that were damaged or of a newer format, and moved aside.",
                store.discarded(),
            ),
        ] {
            header(&mut out, name, help, Kind::Counter);
            let _ = writeln!(out, "{name} {count}");
        }
    }
    if snapshot.shard.total > 1 {
        header(
            &mut out,
            "driftrun_shard_ordinal",
            "Which of the instances that share the checks this is, from 0.",
            Kind::Gauge,
        );
        let _ = writeln!(out, "driftrun_shard_ordinal {}", snapshot.shard.ordinal);
        header(&mut out, "driftrun_total_shards", "How many instances share the checks.", Kind::Gauge);
        let _ = writeln!(out, "driftrun_total_shards {}", snapshot.shard.total);
    }
    for (n, family) in LIVE.iter().enumerate() {
        write_family(&mut out, family, snapshot.views.iter().map(|view| view.live.family(n)));
    }
    write_run(&mut out, snapshot, |_| true);
    out
}

/// What one round of all checks prints: the families that [`crate::oneshot`] says there are.
pub fn render_once(snapshot: &Snapshot, which: impl Fn(&Family) -> bool) -> String {
    let mut out = String::new();
    build_info(&mut out);
    write_run(&mut out, snapshot, which);
    out
}

/// The families of one check alone, with their headers.
pub fn families_of(view: &View, which: impl Fn(&Family) -> bool) -> String {
    let mut out = String::new();
    for (n, family) in RUN.iter().enumerate().filter(|(_, family)| which(family)) {
        write_family(&mut out, family, std::iter::once(view.run.family(n)));
    }
    out
}

/// What one recorded output says, as the families of a check called `name`.
pub fn render_report(name: &str, parser: Option<Reader>, reading: Reading, now: Timestamp) -> String {
    let board = Board::recorded(name, parser, reading, now);
    let mut out = String::new();
    write_run(&mut out, &board.snapshot(), |family| family.about == About::Report);
    out
}

/// The lines of [`PROM_RUN`], of the only check that there is then. A dozen lines: they are not kept.
pub fn render_prom_run(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for view in snapshot.views.iter().take(1) {
        for family in &PROM_RUN {
            let mut lines = String::new();
            let samples = &mut Samples { out: &mut lines, name: family.name, common: "" };
            (family.samples)(&view.check, &view.state, samples);
            write_family(&mut out, family, std::iter::once(lines.as_str()));
        }
    }
    out
}

fn build_info(out: &mut String) {
    header(out, "driftrun_build_info", "What driftrun was built from; always 1.", Kind::Gauge);
    let (version, rustc, revision) =
        (env!("CARGO_PKG_VERSION"), env!("DRIFTRUN_RUSTC"), env!("DRIFTRUN_REVISION"));
    let _ = writeln!(
        out,
        "driftrun_build_info{{version=\"{version}\",revision=\"{revision}\",rustc=\"{rustc}\"}} 1"
    );
}

fn write_run(out: &mut String, snapshot: &Snapshot, which: impl Fn(&Family) -> bool) {
    for (n, family) in RUN.iter().enumerate().filter(|(_, family)| which(family)) {
        write_family(out, family, snapshot.views.iter().map(|view| view.run.family(n)));
    }
}

/// The lines of all checks for one family; nothing at all when none has any.
fn write_family<'a>(out: &mut String, family: &Family, slices: impl Iterator<Item = &'a str>) {
    let mut begun = false;
    for slice in slices.filter(|slice| !slice.is_empty()) {
        if !begun {
            header(out, family.name, family.help, family.kind);
            begun = true;
        }
        out.push_str(slice);
    }
}

fn header(out: &mut String, name: &str, help: &str, kind: Kind) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
}
