//! Log lines as Prometheus' exporters write them: logfmt or JSON, with `ts`, `level` and `msg` first.

use crate::progress::Screen;
use jiff::Timestamp;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `key=value`
    Logfmt,
    /// One object a line.
    Json,
}

/// The least level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Threshold {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What may need a person.
    Warn,
    /// What does.
    Error,
}

impl From<Threshold> for Level {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Debug => Self::DEBUG,
            Threshold::Info => Self::INFO,
            Threshold::Warn => Self::WARN,
            Threshold::Error => Self::ERROR,
        }
    }
}

/// The target of the line that tells of a finished run.
pub const RUN: &str = "driftrun::finished_run";

/// Sends all events to stderr, above what `screen` shows there. Only the first call counts.
///
/// Without a threshold it is `info`. Where a screen shows what becomes of each run it is `warn`, and the runs' own lines are left out:
/// people would read everything twice.
pub fn init(format: Format, threshold: Option<Threshold>, screen: Option<&Screen>) {
    let (level, runs) = match (threshold, screen) {
        (Some(threshold), _) => (Level::from(threshold), LevelFilter::TRACE),
        (None, None) => (Level::INFO, LevelFilter::TRACE),
        (None, Some(_)) => (Level::WARN, LevelFilter::OFF),
    };
    // What libraries trace (each frame of HTTP/2) is no matter of driftrun's.
    let own = Targets::new()
        .with_target("driftrun", level)
        .with_target(RUN, runs.min(LevelFilter::from_level(level)));
    let writer = match screen {
        Some(screen) => BoxMakeWriter::new(screen.clone()),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .event_format(Lines(format))
        .finish();
    let _ = lines.with(own).try_init();
}

struct Lines(Format);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        // Milliseconds, so that lines sort as text.
        writeln!(writer, "{}", line(self.0, &format!("{:.3}", Timestamp::now()), level, fields))
    }
}

fn line(format: Format, ts: &str, level: &str, fields: Fields) -> String {
    let mut pairs =
        vec![("ts", Text(ts.to_owned())), ("level", Text(level.to_owned())), ("msg", Text(fields.message))];
    pairs.extend(fields.rest);
    match format {
        Format::Logfmt => {
            let words: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}={}", logfmt(value))).collect();
            words.join(" ")
        }
        Format::Json => {
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            serde_json::Value::Object(object).to_string()
        }
    }
}

/// A value, quoted only where a reader would stumble.
fn logfmt(value: &Value) -> String {
    let Text(text) = value else { return value.to_string() };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        text.clone()
    } else {
        serde_json::Value::from(text.as_str()).to_string()
    }
}

#[derive(Debug)]
enum Value {
    Text(String),
    Number(f64),
    Count(u64),
    Whole(i64),
    Bool(bool),
}
use Value::{Bool, Count, Number, Text, Whole};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text(text) => f.write_str(text),
            Number(number) => write!(f, "{number}"),
            Count(count) => write!(f, "{count}"),
            Whole(whole) => write!(f, "{whole}"),
            Bool(bool) => write!(f, "{bool}"),
        }
    }
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Text(text) => text.into(),
            Number(number) => number.into(),
            Count(count) => count.into(),
            Whole(whole) => whole.into(),
            Bool(bool) => bool.into(),
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.to_string();
        } else {
            self.rest.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Number(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Whole(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Count(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Bool(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Text(value.to_owned()));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Text(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logfmt_or_json_and_nothing_breaks_out_of_them() {
        let fields = || Fields {
            message: "run".to_owned(),
            rest: vec![
                ("check", Text("a b\n\"c\"".to_owned())),
                ("code", Whole(2)),
                ("seconds", Number(0.5)),
                ("none", Text(String::new())),
            ],
        };
        assert_eq!(
            line(Format::Logfmt, "T", "info", fields()),
            r#"ts=T level=info msg=run check="a b\n\"c\"" code=2 seconds=0.5 none="""#
        );
        assert_eq!(
            line(Format::Json, "T", "info", fields()),
            r#"{"ts":"T","level":"info","msg":"run","check":"a b\n\"c\"","code":2,"seconds":0.5,"none":""}"#
        );
    }
}
