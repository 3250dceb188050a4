//! The whole text of a scrape: families in the order of their tables, each with its header, each check's lines as they are ready.

use super::negotiation::{Encoding, Format};
use super::packed::{Bulk, Member, Run};
use super::{
    About, Family, INSTANCE, Kind, LIVE, OfInstance, PROM_RUN, RUN, Rendered, Samples, WEB_CONFIG,
    WebConfigState,
};
use crate::board::Board;
use crate::check::Reader;
use crate::snapshot::{Snapshot, View};
use bytes::Bytes;
use driftrun_parsers::Reading;
use jiff::Timestamp;
use prometheus::proto::{MetricFamily, MetricType};
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

/// What is sent for one scrape, piece by piece. What is large is not copied: it is the check's own.
pub struct Exposition<'s> {
    format: Format,
    parts: Vec<Part<'s>>,
    /// Small pieces, gathered until a large one comes.
    open: Vec<u8>,
}

enum Part<'s> {
    /// A few lines.
    Own(Bytes),
    Bulk(Arc<Bulk>),
    Common(&'s Lines),
}

/// What all scrapes of one snapshot have in common: the lines of its checks, joined by the first of them.
#[derive(Debug, Default)]
pub struct Common {
    text: OnceLock<Lines>,
    open_metrics: OnceLock<Lines>,
}

#[derive(Debug)]
struct Lines {
    bulks: Vec<Arc<Bulk>>,
    packed: OnceLock<Run>,
}

impl Common {
    fn lines(&self, format: Format, snapshot: &Snapshot) -> &Lines {
        let lines = match format {
            Format::Text | Format::TextUtf8(_) => &self.text,
            Format::OpenMetrics(_) => &self.open_metrics,
        };
        lines.get_or_init(|| {
            let mut joined = Exposition::new(format);
            for (n, family) in LIVE.iter().enumerate() {
                joined.family(family, n, snapshot.views.iter().map(|view| &view.live));
            }
            joined.add_run(&snapshot.views.iter(), |_| true);
            Lines { bulks: joined.bulks(), packed: OnceLock::new() }
        })
    }
}

/// Another snapshot has other lines.
impl Clone for Common {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<'s> Exposition<'s> {
    /// Nothing yet.
    pub fn new(format: Format) -> Self {
        Self { format, parts: Vec::new(), open: Vec::new() }
    }

    /// Everything of driftrun's own and of all checks.
    pub fn add_all(&mut self, snapshot: &'s Snapshot) {
        for family in &INSTANCE {
            self.instance_family(family, snapshot);
        }
        self.close();
        self.parts.push(Part::Common(snapshot.common.lines(self.format, snapshot)));
    }

    /// prom-run's families, of the only check that there is then.
    pub fn add_prom_run(&mut self, snapshot: &Snapshot) {
        for view in snapshot.views.iter().take(1) {
            for family in &PROM_RUN {
                let mut lines = String::new();
                (family.samples)(&view.check, &view.state, &mut Samples::new(&mut lines, family.name, ""));
                self.lines(family, &lines);
            }
        }
    }

    /// How the web configuration was loaded.
    pub fn add_web_config(&mut self, state: &WebConfigState) {
        for family in &WEB_CONFIG {
            let mut lines = String::new();
            (family.samples)(state, &mut Samples::new(&mut lines, family.name, ""));
            self.lines(family, &lines);
        }
    }

    /// The process' own, as the prometheus crate gathers them: counters and gauges without labels.
    pub fn add_process(&mut self, gathered: &[MetricFamily]) {
        for family in gathered {
            let kind = match family.get_field_type() {
                MetricType::COUNTER => Kind::Counter,
                MetricType::GAUGE | MetricType::SUMMARY | MetricType::HISTOGRAM | MetricType::UNTYPED => {
                    Kind::Gauge
                }
            };
            self.header(family.name(), family.help(), kind);
            for metric in family.get_metric() {
                let value = match kind {
                    Kind::Counter => metric.get_counter().get_value(),
                    Kind::Gauge | Kind::Summary => metric.get_gauge().get_value(),
                };
                let mut line = String::new();
                let _ = writeln!(line, "{} {value}", family.name());
                self.open.extend(line.as_bytes());
            }
        }
    }

    fn add_run<'v>(
        &mut self,
        views: &(impl Iterator<Item = &'v Arc<View>> + Clone),
        which: impl Fn(&Family) -> bool,
    ) {
        for (n, family) in RUN.iter().enumerate().filter(|(_, family)| which(family)) {
            self.family(family, n, views.clone().map(|view| &*view.run));
        }
    }

    fn instance_family(&mut self, family: &Family<OfInstance>, snapshot: &Snapshot) {
        let mut lines = String::new();
        (family.samples)(snapshot, &mut Samples::new(&mut lines, family.name, ""));
        self.lines(family, &lines);
    }

    /// A few lines, with their header; nothing at all where there are none.
    fn lines<S>(&mut self, family: &Family<S>, lines: &str) {
        if !lines.is_empty() {
            self.header(family.name, family.help, family.kind);
            self.open.extend(lines.as_bytes());
        }
    }

    /// The lines of all checks for one family; nothing at all when none has any.
    fn family<'a>(&mut self, family: &Family, n: usize, checks: impl Iterator<Item = &'a Rendered>) {
        let mut begun = false;
        for rendered in checks {
            let lines = rendered.family(n);
            if lines.is_empty() {
                continue;
            }
            if !begun {
                self.header(family.name, family.help, family.kind);
                begun = true;
            }
            match rendered.bulk(n) {
                Some(bulk) => self.bulk(bulk),
                None => self.open.extend(lines),
            }
        }
    }

    fn bulk(&mut self, bulk: &Arc<Bulk>) {
        self.close();
        self.parts.push(Part::Bulk(Arc::clone(bulk)));
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.parts.push(Part::Own(open.into()));
        }
    }

    /// As what stays: every part of it can be kept compressed.
    fn bulks(mut self) -> Vec<Arc<Bulk>> {
        self.close();
        let bulks = self.parts.into_iter().flat_map(|part| match part {
            Part::Own(text) => vec![Arc::new(Bulk::new(text))],
            Part::Bulk(bulk) => vec![bulk],
            Part::Common(lines) => lines.bulks.clone(),
        });
        bulks.collect()
    }

    /// `OpenMetrics` names a family of counters without the `_total` of its samples, and escapes double quotes, too.
    fn header(&mut self, name: &str, help: &str, kind: Kind) {
        let (name, help) = match self.format {
            Format::Text | Format::TextUtf8(_) => (name, help.to_owned()),
            Format::OpenMetrics(_) => {
                let base = if kind == Kind::Counter { name.strip_suffix("_total") } else { None };
                (base.unwrap_or(name), help.replace('"', "\\\""))
            }
        };
        let text = format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
        self.open.extend(text.as_bytes());
    }

    /// The pieces, in order.
    pub fn finish(mut self, encoding: Encoding) -> Vec<Bytes> {
        match self.format {
            Format::Text | Format::TextUtf8(_) => {}
            Format::OpenMetrics(_) => self.open.extend(b"# EOF\n"),
        }
        self.close();
        if encoding == Encoding::Identity {
            return self.bulks().iter().map(|bulk| bulk.text.clone()).collect();
        }
        let mut member = Member::new();
        for part in self.parts {
            match part {
                Part::Own(text) => member.text(&text),
                Part::Bulk(bulk) => member.run(&Run::of(&[bulk])),
                Part::Common(lines) => member.run(lines.packed.get_or_init(|| Run::of(&lines.bulks))),
            }
        }
        member.finish()
    }

    fn text(write: impl FnOnce(&mut Self)) -> String {
        let mut exposition = Self::new(Format::Text);
        write(&mut exposition);
        String::from_utf8_lossy(&exposition.finish(Encoding::Identity).concat()).into_owned()
    }
}

/// What a scrape gets besides the process' own metrics, as text 0.0.4.
pub fn render(snapshot: &Snapshot) -> String {
    Exposition::text(|text| text.add_all(snapshot))
}

/// What one round of all checks prints: the families that [`crate::oneshot`] says there are.
pub fn render_once(snapshot: &Snapshot, which: impl Fn(&Family) -> bool) -> String {
    Exposition::text(|text| {
        text.instance_family(&INSTANCE[0], snapshot);
        text.add_run(&snapshot.views.iter(), which);
    })
}

/// The families of one check alone, with their headers.
pub fn families_of(view: &Arc<View>, which: impl Fn(&Family) -> bool) -> String {
    Exposition::text(|text| text.add_run(&std::iter::once(view), which))
}

/// What one recorded output says, as the families of a check called `name`.
pub fn render_report(name: &str, parser: Option<Reader>, reading: Reading, now: Timestamp) -> String {
    let board = Board::recorded(name, parser, reading, now);
    Exposition::text(|text| {
        text.add_run(&board.snapshot().views.iter(), |family| family.about == About::Report);
    })
}
