//! prom-run's own families, beside driftrun's.

use super::{About, Family, Kind, number, seconds};
use driftrun_parsers::Class;

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
