//! The text of a scrape: the whole of it as a golden file, and read by Prometheus' own parsers.

#[path = "../parsers/tests/support/mod.rs"]
mod fixtures;
mod support;

use driftrun::board::Board;
use driftrun::check::{Check, Program, Reader, ReaderChoice, ResourceMetrics};
use driftrun::drift::Drift;
use driftrun::metrics::{self, Encoding, Escaping, Exposition, Format};
use driftrun::outcome::{Captured, End, Finished, Outcome};
use driftrun::reader::judge;
use driftrun_parsers::Verdict::{self, Clean, Drifted, Failed, Partial, Timeout, Unreadable};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::{promtool, tool};

/// Labels and what isn't a name in YAML, in one.
const ODD: &str = "a \"b\"\\c\nd é\t{}";

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_795_000_000 + second, 250_000_000).unwrap()
}

fn captured(bytes: &[u8]) -> Captured {
    Captured { bytes: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 }
}

fn outcome(code: i32, stdout: &[u8]) -> Outcome {
    Outcome {
        end: End::Exited(code),
        stdout: captured(stdout),
        duration: Duration::from_millis(1500),
        revision: Some("5f3c".to_owned()),
        ..Outcome::recorded(at(0))
    }
}

fn run(board: &Board, name: &str, outcome: Outcome, second: i64) -> Verdict {
    let snapshot = board.snapshot();
    let check = &snapshot.get(name).unwrap().check;
    let judgement = judge(check, board.pinned(name), &outcome, at(second));
    let verdict = judgement.verdict;
    assert!(board.apply(check, outcome, judgement, at(second)));
    verdict
}

/// A report of `number` resources as a program would print it.
fn report(number: usize) -> Outcome {
    let resources: Vec<Value> = (0..number)
        .map(|n| json!({"scope": "s", "kind": "k", "name": format!("n{n}"), "action": "update"}))
        .collect();
    let text = json!({"verdict": "drifted", "resources": resources}).to_string();
    let finished = Finished {
        end: End::Exited(0),
        stdout: captured(text.as_bytes()),
        ..Finished::not_started(String::new())
    };
    Outcome { parsed: Some(finished), ..outcome(0, b"x") }
}

fn program() -> ReaderChoice {
    ReaderChoice::Known(Reader::Program(Arc::new(Program {
        name: "mine".to_owned(),
        command: vec!["x".to_owned()],
        timeout: Duration::from_secs(1),
        exit_codes: None,
    })))
}

/// Checks of every verdict, with every way of counting; `large` resources in one of them.
fn board(large: usize) -> Board {
    let builtin = |name: &str| ReaderChoice::Known(Reader::Builtin(driftrun_parsers::by_name(name).unwrap()));
    let check = |name: &str, reader: ReaderChoice| Check { reader, ..Check::recorded(name) };
    let plan = Check {
        labels: [("layer".to_owned(), "infrastructure".to_owned()), ("note".to_owned(), ODD.to_owned())]
            .into(),
        url: Some("https://ops.example.com/checks/plan".to_owned()),
        ..check("plan", builtin("terraform-show"))
    };
    let checks = vec![
        check("broken", builtin("terraform")),
        check("clean", builtin("kubectl")),
        Check { resource_metrics: ResourceMetrics::Counts, ..check("counts", program()) },
        check("hosts", builtin("ansible")),
        check("large", program()),
        Check { max_resources: 1, ..check("limited", program()) },
        Check { resource_metrics: ResourceMetrics::Off, ..check("off", program()) },
        plan,
        check("slow", ReaderChoice::ExitCode),
        check("unreadable", builtin("terraform-json")),
        check("waiting", ReaderChoice::ExitCode),
    ];
    let board = Board::new(checks, at(-10));
    let recorded = |name: &str| {
        let fixture = fixtures::fixtures().into_iter().find(|fixture| fixture.name() == name).unwrap();
        let stderr = captured(&fixture.stderr);
        Outcome { stderr, ..outcome(fixture.exit, &fixture.stdout) }
    };
    let timeout = Outcome { end: End::TimedOut, ..outcome(0, b"") };
    let verdicts = [
        run(&board, "broken", outcome(3, b""), 1),
        run(&board, "clean", outcome(0, b""), 1),
        run(&board, "counts", report(3), 1),
        run(&board, "hosts", recorded("ansible/unreachable-partial"), 1),
        run(&board, "large", report(large), 1),
        run(&board, "limited", report(3), 1),
        run(&board, "off", report(3), 1),
        run(&board, "plan", recorded("terraform-show/odd_keys"), 1),
        run(&board, "plan", recorded("terraform-show/odd_keys"), 11),
        run(&board, "slow", timeout, 1),
        run(&board, "unreadable", outcome(0, b"hello\n"), 1),
    ];
    let want =
        [Failed, Clean, Drifted, Partial, Drifted, Drifted, Drifted, Drifted, Drifted, Timeout, Unreadable];
    assert_eq!(verdicts, want);
    board.scheduled("waiting", Some(at(60)), None);
    board.running("waiting", Some(at(20)));
    board
}

fn exposition(board: &Board, format: Format, encoding: Encoding) -> Vec<u8> {
    let snapshot = board.snapshot();
    let mut exposition = Exposition::new(format);
    exposition.add_all(&snapshot);
    exposition.finish(encoding).concat()
}

fn text(board: &Board, format: Format) -> String {
    String::from_utf8(exposition(board, format, Encoding::Identity)).unwrap()
}

const OPEN: Format = Format::OpenMetrics(Escaping::AllowUtf8);

/// `UPDATE_FIXTURES=1` rewrites them.
#[test]
fn a_full_state_reads_so() {
    let board = board(2);
    for (format, name) in [(Format::Text, "full.prom"), (OPEN, "full.openmetrics")] {
        let lines = text(&board, format);
        // What differs from build to build.
        let lines: Vec<&str> = lines
            .lines()
            .map(|line| {
                if line.starts_with("driftrun_build_info{version=") {
                    "driftrun_build_info{version=\"…\",revision=\"…\",rustc=\"…\"} 1"
                } else {
                    line
                }
            })
            .collect();
        let found = lines.join("\n") + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exposition").join(name);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&path).unwrap(), "{name}; UPDATE_FIXTURES=1 rewrites it");
    }
}

#[test]
fn compressed_it_is_the_same_before_and_after_a_change() {
    // Large enough that its families are kept compressed.
    let board = board(1000);
    for _ in 0..2 {
        for format in [Format::Text, OPEN] {
            let packed = exposition(&board, format, Encoding::Gzip);
            let mut unpacked = String::new();
            GzDecoder::new(&*packed).read_to_string(&mut unpacked).unwrap();
            assert!(packed.len() * 8 < unpacked.len());
            assert!(unpacked == text(&board, format));
        }
        assert_eq!(run(&board, "large", report(999), 20), Verdict::Drifted);
        board.pack_from_now_on();
    }
}

/// Name and labels → value, as Prometheus' client for Python reads them.
fn parsed(python: &Path, format: &str, text: &str) -> BTreeMap<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exposition/parse.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(format)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), text.to_owned());
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let mut found = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let sample: (String, BTreeMap<String, String>, f64) = serde_json::from_str(line).unwrap();
        let series = format!("{} {:?}", sample.0, sample.1);
        assert!(found.insert(series, sample.2.to_string()).is_none(), "twice: {line}");
    }
    found
}

#[test]
fn prometheus_own_parsers_find_the_same_series_in_both_formats() {
    let Some(python) = tool("python-of-tests") else { return };
    let board = board(1000);
    let plain = text(&board, Format::Text);
    let found = parsed(&python, "text", &plain);
    assert_eq!(found, parsed(&python, "openmetrics", &text(&board, OPEN)));
    // None is passed over: as many as there are lines.
    assert_eq!(found.len(), plain.lines().filter(|line| !line.starts_with('#')).count());
    assert!(found.keys().filter(|series| series.starts_with("driftrun_resource_drift {")).count() > 1000);
    let odd =
        format!("{:?}", BTreeMap::from([("check", "plan"), ("layer", "infrastructure"), ("note", ODD)]));
    assert_eq!(found.get(&format!("driftrun_check_success {odd}")), Some(&"1".to_owned()));
}

#[test]
fn promtool_has_nothing_to_say_of_a_full_state() {
    let Some(program) = tool("promtool") else { return };
    assert_eq!(promtool(&program, &text(&board(2), Format::Text)), (String::new(), String::new(), Some(0)));
}

#[test]
fn all_checks_together_have_room_for_so_many_resources() {
    let check = |name: &str| Check { reader: program(), ..Check::recorded(name) };
    let board = Board::kept(vec![check("a"), check("b")], at(0), driftrun::shard::Shard::ALL, None, 5, 10);
    let listed = |board: &Board| -> Vec<(String, usize, u64)> {
        let snapshot = board.snapshot();
        let drifts = snapshot.views.iter().map(|view| (view.check.name.clone(), view.state.drift.clone()));
        drifts
            .map(|(name, drift)| {
                (name, drift.as_ref().map_or(0, Drift::listed), drift.as_ref().map_or(0, Drift::dropped))
            })
            .collect()
    };
    let are = |a: (usize, u64), b: (usize, u64)| vec![("a".to_owned(), a.0, a.1), ("b".to_owned(), b.0, b.1)];
    let rows = [
        ("a", 4, are((4, 0), (0, 0))),
        ("b", 3, are((4, 0), (1, 2))),
        ("b", 2, are((4, 0), (1, 1))),
        // What one gives up the other has at its next report.
        ("a", 1, are((1, 0), (1, 1))),
        ("b", 3, are((1, 0), (3, 0))),
        ("a", 9, are((2, 7), (3, 0))),
    ];
    for (second, (name, number, want)) in (1..).zip(rows) {
        assert_eq!(run(&board, name, report(number), second), Verdict::Drifted);
        assert_eq!(listed(&board), want, "{name} {number}");
        let text = metrics::render(&board.snapshot());
        let series = text.lines().filter(|line| line.starts_with("driftrun_resource_drift{")).count();
        assert_eq!(series, want.iter().map(|(_, listed, _)| listed).sum::<usize>());
        let sum: u64 = text
            .lines()
            .filter(|line| line.starts_with(&format!("driftrun_drift_resources{{check=\"{name}\"")))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(sum, number as u64);
    }
    // A check that is gone makes room.
    board.replace(vec![check("b")], at(20));
    assert_eq!(run(&board, "b", report(9), 21), Verdict::Drifted);
    assert_eq!(listed(&board), [("b".to_owned(), 5, 4)]);
    // One without series of single resources takes no room, and wants some when it gets them.
    let counts = |name: &str| Check { resource_metrics: ResourceMetrics::Counts, ..check(name) };
    board.replace(vec![check("a"), counts("b")], at(22));
    assert_eq!(run(&board, "a", report(9), 23), Verdict::Drifted);
    assert_eq!(run(&board, "b", report(9), 24), Verdict::Drifted);
    assert_eq!(listed(&board), are((5, 4), (9, 0)));
    assert!(!metrics::render(&board.snapshot()).contains("driftrun_drift_dropped_resources{check=\"b\""));
    board.replace(vec![check("a"), check("b")], at(25));
    assert_eq!(listed(&board), are((5, 4), (0, 9)));
    assert!(metrics::render(&board.snapshot()).contains("driftrun_drift_dropped_resources{check=\"b\"} 9"));
    board.replace(vec![counts("a"), check("b")], at(26));
    assert_eq!(run(&board, "b", report(9), 27), Verdict::Drifted);
    assert_eq!(listed(&board), are((5, 4), (5, 4)));
}
