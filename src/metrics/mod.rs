//! The metrics: tables of families, each a pure function from state to sample lines. Reading the tables is reading the reference.
//!
//! A check's lines are rendered when its state changes ([`Rendered`]); a scrape strings them together, family by family, each with its header
//! ([`Exposition`]). The writer is ours and small because HELP and TYPE stand once a family over all checks; tests hold it against the
//! prometheus crate, promtool and the parsers of Prometheus' own Python client.

mod exposition;
mod families;
mod negotiation;
mod packed;
mod prom_run;

pub use exposition::{Common, Exposition, families_of, render, render_once, render_report};
pub use families::{INSTANCE, LIVE, RUN, WEB_CONFIG};
pub use negotiation::{Encoding, Escaping, Format, encoding, format};
pub use prom_run::PROM_RUN;

use crate::board::CheckState;
use crate::check::Check;
use crate::schedule::fnv1a;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use jiff::Timestamp;
use packed::Bulk;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Longer label values are shortened: a name may come from anybody's configuration, and Prometheus keeps each value in memory.
const LONGEST_LABEL: usize = 512;

/// One metric family; `S` says what its samples are made of.
pub struct Family<S = OfCheck> {
    /// The metric's name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Its TYPE.
    pub kind: Kind,
    /// What it tells about.
    pub about: About,
    /// Writes its samples; none is "has not happened yet".
    pub samples: S,
}

/// Samples of one check.
pub type OfCheck = fn(&Check, &CheckState, &mut Samples<'_>);

/// Samples of driftrun itself.
pub type OfInstance = fn(&Snapshot, &mut Samples<'_>);

/// Samples of how the web configuration was loaded.
pub type OfWebConfig = fn(&WebConfigState, &mut Samples<'_>);

/// How the web configuration was loaded.
#[derive(Clone, Copy, Debug)]
pub struct WebConfigState {
    /// Whether the last attempt was a success.
    pub reloaded: bool,
    /// When what holds was loaded.
    pub loaded: Timestamp,
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
    /// driftrun itself.
    Instance,
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

/// The sample lines of one check, in the order of a table of families. The same in every format.
#[derive(Debug)]
pub struct Rendered {
    text: Bytes,
    /// Where each family's lines end.
    ends: Vec<usize>,
    /// Families with so many lines that they are worth keeping compressed.
    bulks: Vec<(usize, Arc<Bulk>)>,
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
            (family.samples)(check, state, &mut Samples::new(&mut text, family.name, &common));
            ends.push(text.len());
        }
        text.shrink_to_fit();
        let mut rendered = Self { text: text.into(), ends, bulks: Vec::new() };
        rendered.bulks = (0..families.len())
            .filter(|n| rendered.family(*n).len() >= packed::BULK)
            .map(|n| (n, Arc::new(Bulk::new(rendered.text.slice(rendered.range(n))))))
            .collect();
        rendered
    }

    fn range(&self, n: usize) -> std::ops::Range<usize> {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[n]
    }

    fn family(&self, n: usize) -> &[u8] {
        &self.text[self.range(n)]
    }

    fn bulk(&self, n: usize) -> Option<&Arc<Bulk>> {
        self.bulks.iter().find(|(family, _)| *family == n).map(|(_, bulk)| bulk)
    }

    /// Compresses what is large, so that no scrape has to.
    pub fn pack(&self) {
        for (_, bulk) in &self.bulks {
            bulk.packed();
        }
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

/// Writes the samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    out: &'a mut String,
    name: &'static str,
    /// Labels that stand on each sample, ready.
    common: &'a str,
}

impl<'a> Samples<'a> {
    const fn new(out: &'a mut String, name: &'static str, common: &'a str) -> Self {
        Self { out, name, common }
    }

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
        self.out.push_str(self.name);
        self.out.push_str(suffix);
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
        self.out.push_str(if before == ',' { "} " } else { " " });
        let _ = writeln!(self.out, "{value}");
    }
}

/// `name="value"`, escaped as both formats want: backslash, double quote and newline.
fn label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    let value = &*shortened(value);
    let mut from = 0;
    for at in memchr::memchr3_iter(b'\\', b'"', b'\n', value.as_bytes()) {
        out.push_str(&value[from..at]);
        out.push_str(match value.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        from = at + 1;
    }
    out.push_str(&value[from..]);
    out.push('"');
}

/// A value that is too long ends in a hash of the whole, so that two that begin alike stay apart and each is the same after a restart.
fn shortened(value: &str) -> Cow<'_, str> {
    if value.len() <= LONGEST_LABEL {
        return Cow::Borrowed(value);
    }
    let hash = format!("…{:016x}", fnv1a(value.as_bytes()));
    let end = value.floor_char_boundary(LONGEST_LABEL - hash.len());
    Cow::Owned(format!("{}{hash}", &value[..end]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_stay_short() {
        let written = |value: &str| {
            let mut out = String::new();
            label(&mut out, "n", value);
            out
        };
        assert_eq!(written("a\\b\"c\nd é\t{}"), "n=\"a\\\\b\\\"c\\nd é\t{}\"");
        assert_eq!(written(""), "n=\"\"");
        let limit = "x".repeat(LONGEST_LABEL);
        assert_eq!(written(&limit), format!("n=\"{limit}\""));
        let (long, other) = (format!("{limit}y"), format!("{limit}z"));
        let kept = "x".repeat(LONGEST_LABEL - "…".len() - 16);
        assert_eq!(written(&long), format!("n=\"{kept}…{:016x}\"", fnv1a(long.as_bytes())));
        assert_ne!(written(&long), written(&other));
        // Cut between characters, never within one.
        let wide = shortened(&"é".repeat(LONGEST_LABEL)).into_owned();
        assert!(wide.len() <= LONGEST_LABEL && wide.starts_with("éé"), "{wide}");
    }
}
