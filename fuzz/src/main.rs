//! Any bytes in any stream or file: the parser that `DRIFTRUN_FUZZ` names (`auto`: whichever recognises them; `report`: a
//! program's report) must not panic, and what it reads must keep the promises of a report.
//!
//! An input is one byte for the exit code, then standard output, then parts that begin with a line `\0stderr` or `\0file NAME`.

#![no_main]

use driftrun_parsers::{
    ALL, DriftReport, File, Input, Parser, Reading, Stream, Verdict, by_name, read, read_by_program,
    recognise,
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

enum Target {
    Parser(&'static Parser),
    Auto,
    Report,
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("DRIFTRUN_FUZZ").unwrap_or_else(|_| "auto".to_owned());
    match (name.as_str(), by_name(&name)) {
        ("auto", _) => Target::Auto,
        ("report", _) => Target::Report,
        (_, Some(parser)) => Target::Parser(parser),
        (_, None) => panic!("DRIFTRUN_FUZZ={name}: no such parser"),
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let exit = if *first == 255 { None } else { Some(i32::from(*first % 8)) };
    let (mut stdout, mut stderr, mut files) = (rest, &[][..], Vec::new());
    let mut names = Vec::new();
    let mut parts = split(rest);
    if let Some(head) = parts.next() {
        stdout = head;
    }
    for part in parts {
        let end = part.iter().position(|b| *b == b'\n').map_or(part.len(), |at| at + 1);
        let (line, body) = part.split_at(end);
        if line.starts_with(b"\0stderr") {
            stderr = body;
        } else if let Some(name) = line.strip_prefix(b"\0file ") {
            names.push(String::from_utf8_lossy(name).trim_end().to_owned());
            files.push(body);
        }
    }
    let files: Vec<File<'_>> = names.iter().zip(&files).map(|(path, bytes)| File { path, bytes }).collect();
    let input = Input {
        argv: &[],
        exit,
        stdout: Stream::whole(stdout),
        stderr: Stream::whole(stderr),
        files: &files,
    };
    let lines = stdout.split(|b| *b == b'\n').count();
    match &*TARGET {
        Target::Parser(parser) => {
            let _ = (parser.recognise)(&input);
            hold(parser.name, &read(parser, None, &input), lines);
        }
        Target::Auto => {
            if let Some((parser, _)) = recognise(ALL, &input) {
                hold(parser.name, &read(parser, None, &input), lines);
            }
        }
        Target::Report => {
            let reading = read_by_program("p", None, &input, || Ok(stdout));
            hold("p", &reading, usize::MAX);
        }
    }
});

/// The parts of an input: standard output, then each that begins with a NUL at the start of a line.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = bytes.windows(2).enumerate().filter(|(_, two)| *two == b"\n\0").map(|(at, _)| at + 1);
    let mut ends: Vec<usize> = starts.collect();
    ends.push(bytes.len());
    let mut from = 0;
    ends.into_iter().map(move |to| {
        let part = &bytes[from..to];
        from = to;
        part
    })
}

/// What a report promises, whatever it was read from.
fn hold(parser: &str, reading: &Reading, lines: usize) {
    let json = serde_json::to_string(&reading.document(parser)).expect("a report is JSON");
    assert!(!json.is_empty());
    let Some(report) = reading.report() else { return };
    let identity =
        |r: &driftrun_parsers::Resource| (r.source, r.scope.clone(), r.kind.clone(), r.name.clone());
    assert!(report.resources().windows(2).all(|pair| identity(&pair[0]) < identity(&pair[1])));
    for resource in report.resources() {
        assert!(!resource.name.is_empty() && resource.count > 0);
        if let Some(span) = resource.span {
            assert!(span.0 >= 1 && span.0 <= span.1 && span.1 as usize <= lines, "{span:?} of {lines} lines");
        }
    }
    let drifted = DriftReport::drifted(report).next().is_some();
    match reading.verdict() {
        Verdict::Clean => assert!(!drifted),
        Verdict::Drifted => assert!(drifted),
        Verdict::Partial => assert!(!report.scopes().unread.is_empty()),
        Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => {}
    }
}
