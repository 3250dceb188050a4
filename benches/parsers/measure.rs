//! Times of one format: the parser's, those of the baselines on the same bytes, and how the time grows with the input.
//!
//! Time is this thread's CPU time: nothing in here waits, and what else the machine does only takes the caches away.

use crate::inputs::{Format, Output, Target};
use driftrun_parsers::{DriftReport, File, Input, Reading, Stream, Verdict, by_name, read};
use memchr::{memchr, memchr_iter};
use rustix::time::{ClockId, clock_gettime};
use serde::de::IgnoredAny;
use std::hint::black_box;
use std::time::Duration;

/// The best of at most so many, and of no more than fit into [`PATIENCE`], but of two.
const TIMES: usize = 7;
const PATIENCE: Duration = Duration::from_millis(1500);

/// The smaller input of the comparison with ten times as much takes at least this: less is the clock's and the caches' affair.
const ENOUGH: Duration = Duration::from_millis(20);

/// Reads an output and throws the report away. Not inlined: callgrind counts what happens in here.
#[inline(never)]
pub fn parse_once(format: &Format, output: &Output) {
    drop(black_box(reading(format, output)));
}

fn reading(format: &Format, output: &Output) -> Reading {
    let (bytes, nothing) = (output.text.as_bytes(), b"".as_slice());
    let file = format.file.map(|path| File { path, bytes });
    let stdout = Stream::whole(if file.is_some() { nothing } else { bytes });
    let files = file.as_slice();
    let input = Input { argv: &[], exit: Some(format.exit), stdout, stderr: Stream::whole(nothing), files };
    read(by_name(format.parser).unwrap(), None, &input)
}

/// Demands that everything which was put into an output is found in it, each under a name of its own.
pub fn check(format: &Format, output: &Output) {
    let title = format.title;
    match reading(format, output) {
        Reading::Read(report) => {
            let found = (report.verdict(), report.resources().len());
            assert_eq!(found, (Verdict::Drifted, output.resources), "{title}");
            let once = |report: &DriftReport| report.resources().iter().all(|resource| resource.count == 1);
            assert!(once(&report), "{title}: a name stands for two");
        }
        other => panic!("{title}: {:?}", other.reason()),
    }
}

/// One row of the table.
pub struct Row {
    pub bytes: usize,
    pub resources: usize,
    pub parse: Duration,
    /// `memchr` called for each line.
    pub lines: Duration,
    /// `memchr_iter` over the line ends.
    pub ends: Duration,
    /// The library that reads the syntax, with nothing kept: `serde_json` into `IgnoredAny`, or `saphyr_parser`'s events.
    pub skipped: Option<Duration>,
    /// The time for ten times the input, in times for the input. The caches' growth is in it: how the work itself grows, the count of
    /// instructions tells.
    pub growth: f64,
}

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand million at most")]
    pub fn speed(&self, time: Duration) -> f64 {
        self.bytes as f64 / 1e6 / time.as_secs_f64()
    }

    /// Targets that are missed, in words.
    pub fn missed(&self, target: Target) -> Vec<String> {
        let mut missed = Vec::new();
        match (target, self.skipped) {
            (Target::Lines, _) => {
                if self.speed(self.parse) < 1000.0 {
                    missed.push("1 GB/s".to_owned());
                }
                if ratio(self.parse, self.lines) > 3.0 {
                    missed.push("1/3 of lines".to_owned());
                }
            }
            (Target::Ignored(most), Some(skipped)) if ratio(self.parse, skipped) > most => {
                missed.push(format!("{most} x IgnoredAny"));
            }
            (Target::Ignored(_) | Target::Json | Target::Yaml, _) => {}
        }
        missed
    }
}

/// Measures a format at its full size, and at a tenth of it, or of as much more as the clock needs.
pub fn measure(format: &Format) -> Row {
    let mut output = (format.make)(format.size);
    check(format, &output);
    let bytes = output.text.as_bytes();
    let mut row = Row {
        bytes: bytes.len(),
        resources: output.resources,
        parse: best(|| parse_once(format, &output)),
        lines: best(|| lines(bytes)),
        ends: best(|| ends(bytes)),
        skipped: skipped(format.target, &output.text),
        growth: 0.0,
    };
    let (mut small, mut large) = (format.size / 10, row.parse);
    let short = ratio(ENOUGH * 11, large);
    if short > 1.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let size = (small as f64 * short) as usize;
        small = size;
        output = (format.make)(10 * small);
        large = best(|| parse_once(format, &output));
    }
    drop(output);
    let output = (format.make)(small);
    row.growth = ratio(large, best(|| parse_once(format, &output)));
    row
}

fn lines(bytes: &[u8]) {
    let (mut rest, mut longest) = (black_box(bytes), 0);
    while let Some(end) = memchr(b'\n', rest) {
        longest = longest.max(end);
        rest = &rest[end + 1..];
    }
    black_box(longest);
}

fn ends(bytes: &[u8]) {
    let mut begin = 0;
    let lengths = memchr_iter(b'\n', black_box(bytes)).map(|end| end - std::mem::replace(&mut begin, end));
    black_box(lengths.max());
}

fn skipped(target: Target, text: &str) -> Option<Duration> {
    match target {
        Target::Lines => None,
        // One value or many: a stream is as fast.
        Target::Ignored(_) | Target::Json => Some(best(|| {
            let values =
                serde_json::Deserializer::from_slice(black_box(text.as_bytes())).into_iter::<IgnoredAny>();
            black_box(values.map(Result::unwrap).count());
        })),
        Target::Yaml => Some(best(|| {
            black_box(saphyr_parser::Parser::new_from_str(black_box(text)).map(Result::unwrap).count());
        })),
    }
}

pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn best(mut act: impl FnMut()) -> Duration {
    let began = now();
    let mut best = Duration::MAX;
    for round in 0..TIMES {
        let begins = now();
        if round >= 2 && begins.saturating_sub(began) > PATIENCE {
            break;
        }
        act();
        best = best.min(now().saturating_sub(begins));
    }
    best
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}
