//! What one round of checks has to tell: the one place that says which families there are without a server, and what of them goes where. Pure:
//! [`crate::textfile`] knows the files, [`crate::push`] the network.

use crate::board::CheckState;
use crate::metrics::{About, Family, Kind, families_of, render_live, render_run};
use crate::snapshot::View;
use driftrun_parsers::Verdict;
use std::sync::Arc;

/// The family that only somebody outside can know: who starts the rounds.
const INTERVAL: &str = "driftrun_check_interval_seconds";

/// What is known beside the runs of this round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What earlier rounds have seen, from a state folder.
    pub earlier: bool,
    /// How often there is a round.
    pub interval: bool,
}

impl Known {
    /// Whether a one-shot has the family. It has no counters, and nothing about a schedule: these belong to a process that lives on.
    pub fn has(self, family: &Family) -> bool {
        family.kind == Kind::Gauge
            && match family.about {
                About::Run | About::Report => true,
                About::History => self.earlier,
                About::Check => self.interval && family.name == INTERVAL,
                About::Instance => false,
            }
    }
}

/// What a Pushgateway is to do with the group of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// The group is this and nothing else: PUT.
    Replace(String),
    /// These families are new, the others of the group stay: POST.
    Update(String),
}

/// All that is known of a check, as text format 0.0.4.
pub fn text(view: &Arc<View>, known: Known) -> String {
    families_of(view, |family| known.has(family))
}

/// What is pushed of a check. After a good run everything, and after a partial one where it is known what earlier rounds found in the rest; after
/// any other what that run itself came to, so that the series of the last good report stay as they are.
pub fn push(view: &Arc<View>, known: Known) -> Push {
    let verdict = view.state.last.as_ref().map(|last| last.verdict);
    let adds_up = known.earlier && view.state.drift.as_ref().is_some_and(|drift| drift.whole);
    if verdict.is_some_and(Verdict::is_success) || (verdict == Some(Verdict::Partial) && adds_up) {
        return Push::Replace(text(view, known));
    }
    // A family that tells of a report has nothing to tell without one.
    let state = CheckState { drift: None, ..view.state.clone() };
    let check = Arc::clone(&view.check);
    let (run, live) = (Arc::new(render_run(&check, &state)), render_live(&check, &state));
    Push::Update(text(&Arc::new(View { check, state, run, live }), known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{LIVE, RUN};

    #[test]
    fn what_only_a_process_that_lives_on_knows_is_not_there() {
        let names = |known: Known| -> Vec<&str> {
            LIVE.iter().chain(&RUN).filter(|family| known.has(family)).map(|family| family.name).collect()
        };
        let least = names(Known::default());
        let not = [
            "_total",
            "_running",
            "_next_run",
            "_interval",
            "_loaded",
            "_first_seen",
            "_run_duration_seconds",
        ];
        let odd: Vec<&str> = least
            .iter()
            .filter(|name| not.iter().any(|part| name.contains(part)) && !name.contains("_last_"))
            .copied()
            .collect();
        assert_eq!(odd, [""; 0]);
        assert!(least.len() > 20, "{least:?}");
        let more = |known| names(known).into_iter().filter(|name| !least.contains(name)).collect::<Vec<_>>();
        assert_eq!(more(Known { interval: true, earlier: false }), [INTERVAL]);
        assert_eq!(
            more(Known { interval: true, earlier: true }),
            [INTERVAL, "driftrun_resource_drift_first_seen_timestamp_seconds"]
        );
    }
}
