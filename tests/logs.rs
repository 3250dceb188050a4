//! What the log says of runs: one line each, in the form that was asked for, and nothing of what was found but how much.

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::{Folder, driftrun};

const CHECKS: &str = "defaults: { interval: 1h, splay: 0s }
checks:
- { name: clean, parser: none, command: [\"true\"] }
- { name: drifted, parser: kubectl, command: [sh, -c, 'cat changed; exit 1'] }
- { name: ignored, parser: kubectl, command: [sh, -c, 'cat changed; exit 1'], ignore: [{ kind: Deployment.apps }] }
- { name: fails, parser: none, command: [sh, -c, 'echo password=hunter2 is wrong >&2; exit 3'] }
- { name: killed, parser: none, command: [sh, -c, 'kill -9 $$'] }
- { name: slow, parser: none, timeout: 100ms, command: [sleep, '60'] }
- { name: unreadable, parser: terraform, command: [echo, what] }
";

/// What a round of them logs.
fn lines(flags: &[&str]) -> Vec<String> {
    let folder = Folder::new("logs");
    std::fs::copy(changed(), folder.path().join("changed")).unwrap();
    let config = folder.write("driftrun.yaml", CHECKS);
    let output = driftrun().args(["once", "--config.file"]).arg(config).args(flags).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
}

/// A Deployment that has drifted.
fn changed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubectl/changed/stdout")
}

fn runs(lines: &[String]) -> BTreeMap<String, Value> {
    // The last line is for people: what the round came to.
    let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects
        .filter(|object| object["msg"] == "run")
        .map(|mut object| {
            let fields = object.as_object_mut().unwrap();
            let keys: Vec<&str> = fields.keys().map(String::as_str).take(3).collect();
            assert_eq!(keys, ["ts", "level", "msg"]);
            let ts = fields.remove("ts").unwrap();
            assert_eq!(ts.as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
            assert!(fields.remove("seconds").unwrap().as_f64().unwrap() > 0.0);
            let check = fields.remove("check").unwrap();
            (check.as_str().unwrap().to_owned(), object)
        })
        .collect()
}

#[test]
fn each_run_is_a_line_with_its_verdict_code_and_counts() {
    let run = |level: &str, rest: Value| {
        let mut all = json!({"level": level, "msg": "run"});
        all.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        all
    };
    let want = [
        ("clean", run("info", json!({"verdict": "clean", "code": 0}))),
        ("drifted", run("info", json!({"verdict": "drifted", "code": 1, "drifted": 1, "ignored": 0}))),
        (
            "fails",
            run(
                "warn",
                json!({"verdict": "failed", "code": 3, "class": "exit", "reason": "command exited with code 3: password=(redacted) is wrong"}),
            ),
        ),
        ("ignored", run("info", json!({"verdict": "clean", "code": 1, "drifted": 0, "ignored": 1}))),
        (
            "killed",
            run(
                "warn",
                json!({"verdict": "failed", "signal": 9, "class": "signal", "reason": "command was ended by signal 9 (KILL)"}),
            ),
        ),
        (
            "unreadable",
            run(
                "warn",
                json!({"verdict": "unreadable", "code": 0, "class": "unreadable_cut", "reason": "the output ends before its statement (a \"Plan:\" line, \"No changes.\", or \"You can apply this plan…\"); this parser reads what `terraform plan` prints, as it is"}),
            ),
        ),
        (
            "slow",
            run(
                "warn",
                json!({"verdict": "timeout", "class": "timeout", "reason": "still running after 100ms"}),
            ),
        ),
    ];
    let found = runs(&lines(&["--log.format=json"]));
    assert_eq!(found, want.map(|(name, run)| (name.to_owned(), run)).into());
}

#[test]
fn lines_are_logfmt_by_themselves_and_hold_nothing_that_was_found() {
    let lines = lines(&["--log.level=debug"]);
    let clean = lines.iter().find(|line| line.contains("check=clean ")).unwrap();
    let (ts, rest) = clean.split_once(' ').unwrap();
    assert!(ts.starts_with("ts=2") && ts.ends_with('Z'), "{clean}");
    assert!(rest.starts_with("level=info msg=run check=clean verdict=clean code=0 seconds="), "{clean}");
    let fixture = std::fs::read_to_string(changed()).unwrap();
    let values: Vec<&str> = fixture
        .lines()
        .filter(|line| line.starts_with('+') && !line.starts_with("+++"))
        .filter_map(|line| line.split_once(": "))
        .map(|(_, value)| value.trim())
        .filter(|value| value.len() > 3)
        .collect();
    assert!(!values.is_empty());
    for value in values {
        assert!(!lines.iter().any(|line| line.contains(value)), "{value}");
    }
}

#[test]
fn only_lines_of_the_level_that_was_asked_for_are_written() {
    for (level, levels) in [("warn", &["warn"][..]), ("error", &[])] {
        let lines = lines(&[&format!("--log.level={level}")]);
        let found: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.split_once(" level=")?.1.split(' ').next()).collect();
        assert_eq!(found, levels.iter().copied().collect(), "{lines:?}");
    }
}
