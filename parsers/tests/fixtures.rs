//! Every recorded output reads as its `expected` says, and no bytes make a parser panic.
//!
//! `UPDATE_FIXTURES=1` rewrites `expected`; read the difference before it is committed.

mod support;

use driftrun_parsers::{Verdict, by_command, by_name, recognise};
use proptest::prelude::*;
use std::fs;
use support::fixtures;

#[test]
fn every_fixture_reads_as_expected() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let reading = fixture.read(&fixture.stdout);
        let got = serde_json::to_string_pretty(&reading.document(fixture.parser.name)).unwrap() + "\n";
        let path = fixture.dir.join("expected");
        if update {
            fs::write(&path, &got).unwrap();
        }
        let want = fs::read_to_string(&path).unwrap_or_else(|e| format!("{}: {e}", path.display()));
        if got != want {
            wrong.push(format!("{}\n--- want\n{want}\n--- got\n{got}", fixture.name()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_fixture_is_found_by_its_command_line_or_its_output() {
    for fixture in fixtures() {
        let argv: Vec<&str> = fixture.report.iter().map(String::as_str).collect();
        let candidates = by_command(&argv);
        assert!(candidates.contains(&fixture.parser), "{}: {argv:?} names {candidates:?}", fixture.name());
        if fixture.stdout.is_empty() {
            continue;
        }
        let files: Vec<_> =
            fixture.files.iter().map(|(path, bytes)| driftrun_parsers::File { path, bytes }).collect();
        let input = driftrun_parsers::Input {
            argv: &[],
            exit: None,
            stdout: driftrun_parsers::Stream::whole(&fixture.stdout),
            stderr: driftrun_parsers::Stream::whole(&fixture.stderr),
            files: &files,
        };
        // What failed before it printed anything of the format can't be told from its output.
        let failed = fixture.read(&fixture.stdout).verdict() == Verdict::Failed;
        let found = recognise(driftrun_parsers::ALL, &input).map(|(parser, _)| parser);
        assert!(
            found == Some(fixture.parser) || (failed && found.is_none()),
            "{}: {found:?}",
            fixture.name()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), exit in prop::option::of(0..4_i32)) {
        for parser in driftrun_parsers::ALL {
            let input = driftrun_parsers::Input {
                argv: &[],
                exit,
                stdout: driftrun_parsers::Stream::whole(&bytes),
                stderr: driftrun_parsers::Stream::whole(&bytes),
                files: &[],
            };
            let _ = (parser.recognise)(&input);
            let _ = driftrun_parsers::read(by_name(parser.name).unwrap(), None, &input);
        }
    }
}
