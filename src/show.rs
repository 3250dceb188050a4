//! Reports for terminals: what `once` and `parse` print for people, drawn by pure functions. Looks at no terminal.

pub mod markdown;
mod round;
mod table;
pub mod text;

pub use markdown::markdown;
pub use round::{Round, Size};
pub use table::table;

use driftrun_parsers::{Action, Document, Resource, Verdict};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one check came to, for printing.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The check's name; `None` where there is only one thing.
    pub name: Option<&'a str>,
    /// How long its run took, where there was one.
    pub took: Option<Duration>,
    /// The report.
    pub document: Document<'a>,
    /// When each of the report's resources was seen first, in their order; empty where nobody remembers.
    pub first_seen: &'a [Timestamp],
    /// Drift that is counted, and not among the report's resources.
    pub unlisted: BTreeMap<Action, u64>,
}

impl Shown<'_> {
    /// What drifts, also what isn't listed.
    fn counts(&self) -> Counts {
        Counts::of(table::drifted(self).map(|(resource, _)| resource)).plus(&self.unlisted)
    }
}

/// What there is to say of a round as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// How long it took.
    pub took: Duration,
    /// Checks that it was stopped before, of which nothing is known.
    pub not_run: usize,
}

/// The exit code of `once` and `parse`: 0 all clean, 2 something drifted and everything was read, 1 anything else.
pub fn exit_code(verdicts: impl Iterator<Item = Verdict>) -> u8 {
    let mut code = 0;
    for verdict in verdicts {
        match verdict {
            Verdict::Clean => {}
            Verdict::Drifted => code = 2,
            Verdict::Partial | Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => return 1,
        }
    }
    code
}

/// What stands beside a verdict's word, as on the pages: no verdict is told by its colour alone.
pub const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "✓",
        Verdict::Drifted => "≠",
        Verdict::Partial => "◐",
        Verdict::Failed => "✕",
        Verdict::Timeout => "◷",
        Verdict::Unreadable => "?",
    }
}

/// How many resources there are, by action, gravest first.
struct Counts(BTreeMap<Action, usize>);

impl Counts {
    fn of<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> Self {
        let mut counts = BTreeMap::new();
        for resource in resources {
            *counts.entry(resource.action).or_default() += 1;
        }
        Self(counts)
    }

    fn and(self, other: Self) -> Self {
        other.0.into_iter().fold(self, |mut all, (action, count)| {
            *all.0.entry(action).or_default() += count;
            all
        })
    }

    fn plus(mut self, more: &BTreeMap<Action, u64>) -> Self {
        for (action, count) in more {
            *self.0.entry(*action).or_default() += usize::try_from(*count).unwrap_or(usize::MAX);
        }
        self
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// `1 resource`, `4 resources`
    fn resources(&self) -> String {
        counted(self.total(), "resource")
    }

    /// `2 update, 1 delete`
    fn by_action(&self) -> String {
        let counts: Vec<String> =
            self.0.iter().map(|(action, count)| format!("{count} {}", action.as_str())).collect();
        counts.join(", ")
    }
}

/// `1 check`, `8 checks`
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A duration for people: `12 ms`, `3.2 s`, `4 min 5 s`, `2 h 30 min`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        // Cut and not rounded, so that nothing becomes 60.0 s.
        ms @ 1_000..60_000 => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_beside_drift_is_1() {
        use Verdict::{Clean, Drifted, Failed, Partial};
        let code = |verdicts: &[Verdict]| exit_code(verdicts.iter().copied());
        assert_eq!((code(&[]), code(&[Clean]), code(&[Clean, Drifted, Clean])), (0, 0, 2));
        assert_eq!((code(&[Drifted, Failed]), code(&[Partial, Clean])), (1, 1));
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        let shown = [0, 999, 1_000, 59_999, 60_000, 3_599_000, 3_600_000, 90_000_000]
            .map(|ms| took(Duration::from_millis(ms)));
        let want =
            ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 0 min"];
        assert_eq!(shown, want);
    }
}
