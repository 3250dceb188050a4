//! The tables of families: reading them is reading the reference.

use super::{About, Family, Kind, OfInstance, OfWebConfig, number, seconds};
use crate::board::{CheckState, Skip};
use crate::check::{Check, ResourceMetrics};
use crate::drift::Drift;
use driftrun_parsers::{Action, Resource, Source, Verdict};
use jiff::Timestamp;
use std::collections::HashSet;

/// Families of this driftrun itself.
pub static INSTANCE: [Family<OfInstance>; 7] = [
    Family {
        name: "driftrun_build_info",
        help: "What driftrun was built from; always 1.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |_, out| {
            let (version, revision, rustc) =
                (env!("CARGO_PKG_VERSION"), env!("DRIFTRUN_REVISION"), env!("DRIFTRUN_RUSTC"));
            out.add(&[("version", version), ("revision", revision), ("rustc", rustc)], 1.0);
        },
    },
    Family {
        name: "driftrun_config_last_reload_successful",
        help: "Whether the last attempt to load the configuration was a success.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |snapshot, out| out.add(&[], f64::from(u8::from(snapshot.reloaded))),
    },
    Family {
        name: "driftrun_config_last_reload_success_timestamp_seconds",
        help: "When the configuration was loaded last.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |snapshot, out| out.timestamp(Some(snapshot.loaded)),
    },
    Family {
        name: "driftrun_state_write_failures_total",
        help: "How often state could not be written; only with a state_dir.",
        kind: Kind::Counter,
        about: About::Instance,
        samples: |snapshot, out| {
            if let Some(store) = &snapshot.store {
                out.count(&[], store.failures());
            }
        },
    },
    Family {
        name: "driftrun_state_discarded_files_total",
        help: "Files with state that were damaged or of a newer format, and moved aside; only with a state_dir.",
        kind: Kind::Counter,
        about: About::Instance,
        samples: |snapshot, out| {
            if let Some(store) = &snapshot.store {
                out.count(&[], store.discarded());
            }
        },
    },
    Family {
        name: "driftrun_shard_ordinal",
        help: "Which of the instances that share the checks this is, from 0; only with --shard.total.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |snapshot, out| {
            if snapshot.shard.total > 1 {
                out.count(&[], snapshot.shard.ordinal.into());
            }
        },
    },
    Family {
        name: "driftrun_total_shards",
        help: "How many instances share the checks; only with --shard.total.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |snapshot, out| {
            if snapshot.shard.total > 1 {
                out.count(&[], snapshot.shard.total.into());
            }
        },
    },
];

/// Families of the web configuration, where there is one.
pub static WEB_CONFIG: [Family<OfWebConfig>; 2] = [
    Family {
        name: "driftrun_web_config_last_reload_successful",
        help: "Whether the last attempt to load the web configuration or its certificates was a success; only with --web.config.file.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |state, out| out.add(&[], f64::from(u8::from(state.reloaded))),
    },
    Family {
        name: "driftrun_web_config_last_reload_success_timestamp_seconds",
        help: "When the web configuration was loaded last; only with --web.config.file.",
        kind: Kind::Gauge,
        about: About::Instance,
        samples: |state, out| out.timestamp(Some(state.loaded)),
    },
];

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
        help: "A check that is configured, with the URL of its page where --web.external-url is set; always 1.",
        kind: Kind::Gauge,
        about: About::Run,
        samples: |check, _, out| match &check.url {
            Some(url) => out.add(&[("url", url)], 1.0),
            None => out.add(&[], 1.0),
        },
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
        samples: |check, state, out| {
            let Some(drift) = counted(check, state) else { return };
            let given = drift.parser.actions();
            for action in Action::ALL {
                let drifted = drift.tally.drift.get(&action).copied().unwrap_or_default();
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
        samples: |check, state, out| {
            let Some(drift) = counted(check, state) else { return };
            if drift.tally.outside > 0 || drift.parser.actions().contains(&Action::Move) {
                out.count(&[], drift.tally.outside);
            }
        },
    },
    Family {
        name: "driftrun_drift_informational_resources",
        help: "Resources that are reported and are no drift (reads, outputs, changes outside that nobody plans for), from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| {
            let Some(drift) = counted(check, state) else { return };
            for ((source, action), resources) in &drift.tally.informational {
                out.count(&[("source", source.as_str()), ("action", action.as_str())], *resources);
            }
        },
    },
    Family {
        name: "driftrun_drift_ignored_resources",
        help: "Resources that would be drift but for an ignore rule, from the last good report.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| {
            let Some(drift) = counted(check, state) else { return };
            if drift.tally.ignored > 0 || !check.ignore.is_empty() {
                out.count(&[], drift.tally.ignored);
            }
        },
    },
    Family {
        name: "driftrun_drift_dropped_resources",
        help: "Drifting resources over max_resources or max_total_resources, from the last good report: counted, without series of their own.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| {
            // Without series of single resources none lacks them.
            let full = check.resource_metrics == ResourceMetrics::Full;
            let dropped = counted(check, state).map_or(0, Drift::dropped);
            if full && dropped > 0 {
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
            let Some(drift) = counted(check, state).filter(|_| !check.ignore.is_empty()) else { return };
            out.add(&[], number(drift.unused_rules as u64));
        },
    },
    Family {
        name: "driftrun_resource_drift",
        help: "A resource that drifts, from the last good report; always 1.",
        kind: Kind::Gauge,
        about: About::Report,
        samples: |check, state, out| each_drifted(check, state, |labels, _| out.add(labels, 1.0)),
    },
    Family {
        name: "driftrun_resource_drift_first_seen_timestamp_seconds",
        help: "When the resource was first seen to drift, whatever the action was then.",
        kind: Kind::Gauge,
        about: About::History,
        samples: |check, state, out| {
            each_drifted(check, state, |labels, first_seen| out.add(labels, seconds(first_seen)));
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
        samples: |check, state, out| {
            let scopes = state.last.as_ref().and_then(|last| last.scopes.as_ref());
            if let Some(scopes) = scopes.filter(|_| check.resource_metrics == ResourceMetrics::Full) {
                for unread in scopes.unread.iter().take(check.max_resources) {
                    out.add(&[("scope", &unread.scope), ("reason", unread.reason.as_str())], 1.0);
                }
            }
        },
    },
];

/// What drifts, where it becomes metrics.
fn counted<'s>(check: &Check, state: &'s CheckState) -> Option<&'s Drift> {
    state.drift.as_ref().filter(|_| check.resource_metrics != ResourceMetrics::Off)
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

/// What tells a resource's series from the others of the check.
fn series(r: &Resource) -> (&str, &str, &str, Action, bool) {
    (&r.scope, &r.kind, &r.name, r.action, r.outside)
}

/// Resources that drift, without their source: what is planned and what changed outside is one series.
fn each_drifted(check: &Check, state: &CheckState, mut write: impl FnMut(&[(&str, &str)], Timestamp)) {
    let full = check.resource_metrics == ResourceMetrics::Full;
    let Some(drift) = state.drift.as_ref().filter(|_| full) else { return };
    let counting = || drift.resources.iter().filter(|seen| seen.counts());
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
