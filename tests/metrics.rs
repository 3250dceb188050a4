//! From outcomes to samples, over every recorded output: the invariants that alerts rest on.

#![allow(clippy::format_push_string, reason = "a test's text is short")]

#[path = "../parsers/tests/support/mod.rs"]
mod support;

use driftrun::board::Board;
use driftrun::check::{Check, Program, Reader, ReaderChoice};
use driftrun::metrics::{self, Kind};
use driftrun::outcome::{Captured, End, Finished, Killed, Outcome, Stage};
use driftrun::reader::judge;
use driftrun_parsers::{Class, Parser, Verdict};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::{Fixture, fixture, fixtures};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn captured(bytes: &[u8]) -> Captured {
    Captured { bytes: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 }
}

fn outcome(code: i32, stdout: &[u8], stderr: &[u8]) -> Outcome {
    Outcome {
        end: End::Exited(code),
        stdout: captured(stdout),
        stderr: captured(stderr),
        duration: std::time::Duration::from_millis(1500),
        ..Outcome::recorded(at(0))
    }
}

/// A check read by `parser`, named `c`.
fn check(parser: &'static Parser) -> Check {
    Check { reader: ReaderChoice::Known(Reader::Builtin(parser)), ..Check::recorded("c") }
}

fn run(board: &Board, outcome: Outcome, second: i64) -> Verdict {
    let check = &board.checks()[0];
    let judgement = judge(check, board.pinned(&check.name), &outcome, at(second));
    let verdict = judgement.verdict;
    board.apply(check, outcome, judgement, at(second));
    verdict
}

/// Series → value; panics on a series that stands twice.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(found.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {series}");
    }
    found
}

fn sum(samples: &BTreeMap<String, f64>, name: &str) -> Option<f64> {
    let values: Vec<f64> = samples
        .iter()
        .filter(|(series, _)| series.starts_with(&format!("{name}{{")))
        .map(|(_, v)| *v)
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// The run that a fixture recorded.
fn recorded(fixture: &Fixture) -> Outcome {
    let mut outcome = outcome(fixture.exit, &fixture.stdout, &fixture.stderr);
    outcome.files.list.clone_from(&fixture.files);
    outcome
}

#[test]
fn drifted_is_exactly_a_sum_above_zero_and_a_clean_check_costs_at_most_40_series() {
    let mut verdicts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for fixture in fixtures() {
        let check = Check { command: fixture.command.clone(), ..check(fixture.parser) };
        let board = Board::new(vec![check], at(0));
        // In a git tree it costs a series more.
        let outcome = Outcome { revision: Some("x".to_owned()), ..recorded(&fixture) };
        let verdict = run(&board, outcome, 10);
        *verdicts.entry(verdict).or_default() += 1;
        let text = metrics::render(&board.snapshot());
        let samples = samples(&text);
        let drifted = sum(&samples, "driftrun_drift_resources");
        let listed = samples.keys().filter(|series| series.starts_with("driftrun_resource_drift{")).count();
        let name = fixture.name();
        match verdict {
            Verdict::Drifted => assert!(drifted > Some(0.0), "{name}"),
            Verdict::Clean => assert_eq!(drifted, Some(0.0), "{name}"),
            Verdict::Partial => assert!(drifted.is_some(), "{name}"),
            Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => assert_eq!(drifted, None, "{name}"),
        }
        assert_eq!(drifted.unwrap_or_default().to_string(), listed.to_string(), "{name}");
        // What is reported and no drift (reads, outputs) comes on top, a series for each action.
        if verdict == Verdict::Clean && !text.contains("driftrun_drift_informational_resources{") {
            let series = samples.keys().filter(|series| series.contains("{check=\"c\"")).count();
            assert!(series <= 40, "{name}: {series} series\n{text}");
        }
    }
    for verdict in [Verdict::Clean, Verdict::Drifted, Verdict::Partial, Verdict::Failed, Verdict::Unreadable]
    {
        assert!(verdicts.contains_key(&verdict), "no fixture is {verdict:?}");
    }
}

#[test]
fn what_has_not_happened_is_absent() {
    let board = Board::new(vec![check(driftrun_parsers::by_name("terraform").unwrap())], at(0));
    let text = metrics::render(&board.snapshot());
    let series: Vec<String> = samples(&text)
        .into_keys()
        .filter(|series| series.contains("check="))
        .map(|s| s.replace("check=\"c\"", ""))
        .collect();
    assert_eq!(
        series,
        [
            "driftrun_check_cpu_seconds_total{,mode=\"system\"}",
            "driftrun_check_cpu_seconds_total{,mode=\"user\"}",
            "driftrun_check_exits_total{,code=\"0\"}",
            "driftrun_check_exits_total{,code=\"2\"}",
            "driftrun_check_info{}",
            "driftrun_check_interval_seconds{}",
            "driftrun_check_loaded_timestamp_seconds{}",
            "driftrun_check_run_duration_seconds_count{}",
            "driftrun_check_run_duration_seconds_sum{}",
            "driftrun_check_running{}",
            "driftrun_check_runs_total{,verdict=\"clean\"}",
            "driftrun_check_runs_total{,verdict=\"failed\"}",
            "driftrun_check_skipped_runs_total{,reason=\"overrun\"}",
            "driftrun_check_timeout_seconds{}",
        ]
    );
}

/// `ansible` text of one play: a changed task or none on each host, and hosts that are down.
fn ansible(hosts: &[(&str, &[&str])], down: &[&str]) -> Outcome {
    let mut tasks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, changed) in hosts {
        for task in *changed {
            tasks.entry(task).or_default().push(host);
        }
    }
    let mut text = "\nPLAY [all] ****\n\nTASK [Gathering Facts] ****\n".to_owned();
    for (host, _) in hosts {
        text += &format!("ok: [{host}]\n");
    }
    for host in down {
        text += &format!("fatal: [{host}]: UNREACHABLE! => {{\"changed\": false, \"unreachable\": true}}\n");
    }
    for (task, on) in tasks {
        text += &format!("\nTASK [{task}] ****\n");
        for (host, _) in hosts {
            text += &format!("{}: [{host}]\n", if on.contains(host) { "changed" } else { "ok" });
        }
    }
    let tasks =
        hosts.iter().flat_map(|(_, changed)| changed.iter()).collect::<std::collections::BTreeSet<_>>().len();
    text += "\nPLAY RECAP ****\n";
    for (host, changed) in hosts {
        text += &format!(
            "{host:<26} : ok={} changed={} unreachable=0 failed=0 skipped=0 rescued=0 ignored=0\n",
            tasks + 1,
            changed.len()
        );
    }
    for host in down {
        text +=
            &format!("{host:<26} : ok=0 changed=0 unreachable=1 failed=0 skipped=0 rescued=0 ignored=0\n");
    }
    outcome(if down.is_empty() { 0 } else { 4 }, (text + "\n").as_bytes(), b"")
}

/// Host, task and second of its first sight, of every drifting resource.
fn drift(board: &Board) -> Vec<(String, String, i64)> {
    let snapshot = board.snapshot();
    let drift = snapshot.views.iter().next().unwrap().state.drift.as_ref();
    let seen = drift.iter().flat_map(|drift| drift.resources.iter()).filter(|seen| seen.counts());
    seen.map(|seen| {
        (
            seen.resource.scope.clone(),
            seen.resource.name.clone(),
            seen.first_seen.as_second() - at(0).as_second(),
        )
    })
    .collect()
}

#[test]
fn a_host_that_is_down_keeps_its_drift_and_the_others_are_replaced() {
    let row = |host: &str, task: &str, second| (host.to_owned(), task.to_owned(), second);
    let board = Board::new(vec![check(driftrun_parsers::by_name("ansible").unwrap())], at(0));
    assert_eq!(run(&board, ansible(&[("a", &["motd"]), ("b", &["motd", "ntp"])], &[]), 1), Verdict::Drifted);
    assert_eq!(drift(&board), [row("a", "motd", 1), row("b", "motd", 1), row("b", "ntp", 1)]);
    // b is down; on a something else has drifted.
    assert_eq!(run(&board, ansible(&[("a", &["ssh"])], &["b"]), 2), Verdict::Partial);
    assert_eq!(drift(&board), [row("a", "ssh", 2), row("b", "motd", 1), row("b", "ntp", 1)]);
    let text = samples(&metrics::render(&board.snapshot()));
    assert_eq!(text.get("driftrun_scope_unread{check=\"c\",scope=\"b\",reason=\"unreachable\"}"), Some(&1.0));
    assert_eq!(text.get("driftrun_check_success{check=\"c\"}"), Some(&0.0));
    // A failed run changes nothing but the facts of the run.
    assert_eq!(run(&board, outcome(250, b"", b"ERROR! Unexpected Exception"), 3), Verdict::Failed);
    assert_eq!(drift(&board), [row("a", "ssh", 2), row("b", "motd", 1), row("b", "ntp", 1)]);
    assert_eq!(
        run(&board, Outcome { end: End::TimedOut, ..ansible(&[("a", &[])], &[]) }, 4),
        Verdict::Timeout
    );
    // Back again: what still drifts has been drifting all the time.
    assert_eq!(run(&board, ansible(&[("a", &["ssh"]), ("b", &["ntp"])], &[]), 5), Verdict::Drifted);
    assert_eq!(drift(&board), [row("a", "ssh", 2), row("b", "ntp", 1)]);
    assert_eq!(run(&board, ansible(&[("a", &[]), ("b", &[])], &[]), 6), Verdict::Clean);
    assert_eq!(drift(&board), []);
    // Gone and come back: first seen anew.
    assert_eq!(run(&board, ansible(&[("a", &["ssh"]), ("b", &[])], &[]), 7), Verdict::Drifted);
    assert_eq!(drift(&board), [row("a", "ssh", 7)]);
    // A host that left the inventory takes its drift along.
    assert_eq!(run(&board, ansible(&[("b", &[])], &[]), 8), Verdict::Clean);
}

#[test]
fn a_host_that_a_partial_run_never_came_to_keeps_its_drift() {
    let row = |host: &str, task: &str, second| (host.to_owned(), task.to_owned(), second);
    let board = Board::new(vec![check(driftrun_parsers::by_name("ansible").unwrap())], at(0));
    let all: &[(&str, &[&str])] = &[("a", &["motd"]), ("b", &["motd"]), ("c", &["ntp"])];
    assert_eq!(run(&board, ansible(all, &[]), 1), Verdict::Drifted);
    // With `serial`, a batch that fails ends the play: the hosts of later batches stand in no recap.
    assert_eq!(run(&board, ansible(&[("a", &[])], &["b"]), 2), Verdict::Partial);
    assert_eq!(drift(&board), [row("b", "motd", 1), row("c", "ntp", 1)]);
    // A run that read everything knows that it is gone.
    assert_eq!(run(&board, ansible(&[("a", &[]), ("b", &["motd"])], &[]), 3), Verdict::Drifted);
    assert_eq!(drift(&board), [row("b", "motd", 1)]);
}

#[test]
fn a_rule_takes_out_what_it_names_and_nothing_else() {
    use driftrun::ignore::{IgnoreRule, Pattern};
    let mut check = check(driftrun_parsers::by_name("terraform-show").unwrap());
    let rule = |name: &str| IgnoreRule { name: Some(Pattern::new(name).unwrap()), ..IgnoreRule::default() };
    check.ignore = vec![rule("terraform_data.upd"), rule("nothing")];
    let board = Board::new(vec![check], at(0));
    assert_eq!(run(&board, recorded(&fixture("terraform-show/everything")), 1), Verdict::Drifted);
    let snapshot = board.snapshot();
    let seen = &snapshot.views.iter().next().unwrap().state.drift.as_ref().unwrap().resources;
    assert!(seen.iter().any(|seen| !seen.resource.drift), "what is no drift stands among the rest");
    let ignored: Vec<&str> =
        seen.iter().filter(|s| s.resource.ignored).map(|s| s.resource.name.as_str()).collect();
    assert_eq!(ignored, ["terraform_data.upd"]);
    let samples = samples(&metrics::render(&snapshot));
    assert_eq!(sum(&samples, "driftrun_drift_ignored_resources"), Some(1.0));
    assert_eq!(sum(&samples, "driftrun_drift_ignore_rules_unused"), Some(1.0));
    assert!(!samples.keys().any(
        |series| series.starts_with("driftrun_resource_drift{") && series.contains("terraform_data.upd")
    ));
}

#[test]
fn label_values_are_escaped_as_the_format_wants() {
    let address = "module.m[\"a b\"].x.y[\"q\\\"z\\\\é\"]";
    let stream = [
        r#"{"@level":"info","@module":"terraform.ui","type":"version","terraform":"1.11.4","ui":"1.2"}"#.to_owned(),
        serde_json::json!({"@level":"info","@module":"terraform.ui","type":"planned_change","change":{"action":"update","resource":{
            "addr": address, "module": "module.m[\"a b\"]", "resource_type": "x"}}})
        .to_string(),
        r#"{"@level":"info","@module":"terraform.ui","type":"change_summary","changes":{"add":0,"change":1,"remove":0,"import":0,"operation":"plan"}}"#.to_owned(),
    ]
    .join("\n")
        + "\n";
    let mut check = check(driftrun_parsers::by_name("terraform-json").unwrap());
    check.labels.insert("team".to_owned(), "a\\b\n\"c\"".to_owned());
    let board = Board::new(vec![check], at(0));
    assert_eq!(run(&board, outcome(2, stream.as_bytes(), b""), 1), Verdict::Drifted);
    let text = metrics::render(&board.snapshot());
    let line = text.lines().find(|line| line.starts_with("driftrun_resource_drift{")).unwrap();
    assert_eq!(
        line,
        r#"driftrun_resource_drift{check="c",team="a\\b\n\"c\"",scope="module.m[\"a b\"]",kind="x",name="module.m[\"a b\"].x.y[\"q\\\"z\\\\é\"]",action="update",outside="false"} 1"#
    );
}

#[test]
fn the_text_is_what_the_prometheus_crate_writes_for_the_same_values() {
    use prometheus::{Encoder as _, GaugeVec, Opts, Registry, TextEncoder};
    let board = Board::new(vec![check(driftrun_parsers::by_name("kubectl").unwrap())], at(0));
    run(&board, recorded(&fixture("kubectl/odd-names-without-context")), 1);
    let text = metrics::render(&board.snapshot());
    let ours: Vec<&str> = text.lines().filter(|line| line.starts_with("driftrun_resource_drift{")).collect();
    assert!(ours.len() > 2, "{ours:?}");
    let registry = Registry::new();
    let names = ["check", "scope", "kind", "name", "action", "outside"];
    let gauges = GaugeVec::new(Opts::new("driftrun_resource_drift", "h"), &names).unwrap();
    registry.register(Box::new(gauges.clone())).unwrap();
    for seen in board.snapshot().views.iter().next().unwrap().state.drift.as_ref().unwrap().resources.iter() {
        let r = &seen.resource;
        gauges.with_label_values(&["c", &r.scope, &r.kind, &r.name, r.action.as_str(), "false"]).set(1.0);
    }
    let mut theirs = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut theirs).unwrap();
    // The crate sorts labels by name; ours keep theirs.
    let sorted = |line: &str| {
        let (head, labels) = line.split_once('{').unwrap();
        let (labels, value) = labels.rsplit_once('}').unwrap();
        let mut labels: Vec<&str> = labels.split("\",").collect();
        let last = labels.pop().unwrap().strip_suffix('"').unwrap();
        labels.push(last);
        labels.sort_unstable();
        format!("{head} {labels:?} {value}")
    };
    let mut ours: Vec<String> = ours.into_iter().map(sorted).collect();
    let theirs = String::from_utf8(theirs).unwrap();
    let mut theirs: Vec<String> = theirs.lines().filter(|line| !line.starts_with('#')).map(sorted).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn a_setup_that_fails_has_no_exit_code() {
    let board = Board::new(vec![check(driftrun_parsers::by_name("terraform").unwrap())], at(0));
    let outcome = Outcome { stage: Stage::Setup(0), ..outcome(1, b"", b"no network\n") };
    assert_eq!(run(&board, outcome, 1), Verdict::Failed);
    let samples = samples(&metrics::render(&board.snapshot()));
    assert!(!samples.contains_key("driftrun_check_last_exit_code{check=\"c\"}"));
    assert_eq!(samples.get("driftrun_check_failure_info{check=\"c\",class=\"setup\"}"), Some(&1.0));
}

/// Every label beside `check` that a family's samples have, over all fixtures and the endings that none of them shows.
fn labels() -> BTreeMap<String, BTreeSet<String>> {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut see = |text: &str| {
        for series in samples(text).into_keys() {
            let Some((name, rest)) = series.split_once('{') else { continue };
            // Values hold no `="`: those of the fixtures are escaped.
            let found = rest.split("=\"").filter_map(|part| part.rsplit([',', '"', '{']).next());
            let found =
                found.filter(|word| !word.is_empty() && !word.contains(['}', ' ']) && *word != "check");
            let known = labels.entry(name.trim_end_matches("_sum").trim_end_matches("_count").to_owned());
            known.or_default().extend(found.map(str::to_owned));
        }
    };
    for fixture in fixtures()
        .iter()
        .filter(|fixture| fixture.name().starts_with("terraform") || fixture.name().starts_with("ansible/"))
    {
        let url = Some("https://x/checks/c".to_owned());
        let check = Check { command: fixture.command.clone(), url, ..check(fixture.parser) };
        let board = Board::new(vec![check], at(0));
        let killed = Killed { deadline: 1, leftover: 1 };
        run(&board, Outcome { killed, revision: Some("x".to_owned()), ..recorded(fixture) }, 10);
        see(&metrics::render(&board.snapshot()));
    }
    labels
}

/// `docs/metrics.md` lists exactly the families of the tables; `UPDATE_DOCS=1` rewrites it.
#[test]
fn the_reference_is_the_table() {
    let labels = labels();
    let mut want = "# Metrics\n\nWritten from the tables in `src/metrics/families.rs`. Every sample of a check has the label `check` and the check's own labels, beside those listed.\nWhat has not happened yet is absent, never 0. Counters start at 0 when the configuration is loaded and live as long as the process;\nthose with a label that depends on what happens begin when it happens, except for `verdict=\"clean\"`, `verdict=\"failed\"`, `reason=\"overrun\"`, exit code 0 and the codes\nthat say \"differences\".\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    let mut row = |name: &str, kind: Kind, help: &str| {
        let labels: Vec<String> =
            labels.get(name).into_iter().flatten().map(|label| format!("`{label}`")).collect();
        let kind = format!("{kind:?}").to_lowercase();
        want += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(" "));
    };
    for family in metrics::LIVE.iter().chain(&metrics::RUN) {
        row(family.name, family.kind, family.help);
    }
    for family in &metrics::INSTANCE {
        row(family.name, family.kind, family.help);
    }
    for family in &metrics::WEB_CONFIG {
        row(family.name, family.kind, family.help);
    }
    want += "| `process_*` | | | CPU, memory and descriptors of driftrun itself. |\n\nAlways true after a good run of a check that a parser reads (`parser: none` and `resource_metrics: off` have no drift families): the verdict is `drifted` exactly when `sum by (check) (driftrun_drift_resources) > 0`. A check without drift costs at most 40 series.\n\n## Classes of failure\n\nA run that is neither `clean` nor `drifted` has exactly one `class`:\n\n| class | meaning |\n|---|---|\n";
    for class in Class::ALL {
        want += &format!("| `{}` | {} |\n", class.as_str(), class.about());
    }
    want += "\n`reason` of `driftrun_check_skipped_runs_total`: `overrun` (the run before was still under way), `queue` (it waited for `max_concurrent` or its `concurrency_group`), `asleep` (driftrun or the machine was stopped or asleep, or its clock was set).\n\n## Alerts\n\n[alerts.md](alerts.md) has them; [reading-metrics.md](reading-metrics.md) has queries for people.\n";
    want += "\nA check with `resource_metrics: counts` or `off` has no `driftrun_resource_drift`; of it `driftrun_check_verdict{verdict=\"drifted\"} == 1` tells.\n\n## How much there is\n\n- A drifting resource has two series, and is gone from the scrape as soon as a report doesn't show it. `max_resources` of a check (10,000) and `max_total_resources` (250,000) bound how many have series; the rest is counted in `driftrun_drift_resources` and `driftrun_drift_dropped_resources`. From eight tenths of `max_resources` on the log and the check's page say so, as they do when series are left out.\n- `resource_metrics: counts` of a check leaves out the series of single resources and scopes, `off` all drift families; verdict, exit code and times stay.\n- A label value of more than 512 bytes is cut to its beginning, `…` and 16 hexadecimal digits that are made of all of it: the same resource has the same label in every scrape and process, and two that begin alike stay two.\n\n## Formats\n\nText 0.0.4 unless `Accept` asks for more: OpenMetrics 1.0.0 or text 1.0.0 (`escaping=` is told back; no name of driftrun's needs any). The series are the same in all. gzip for who accepts it. In OpenMetrics a counter's family has its name without `_total`, as that format wants it; there are no `_created` series.\n";
    want += "\n## In the manner of prom-run\n\nOnly as `prom-run` (see [migrating.md](migrating.md#from-prom-run)), beside the others: prom-run's own, without a label for the check, and from 0 on.\n\n| metric | type | meaning |\n|---|---|---|\n";
    for family in &metrics::PROM_RUN {
        want += &format!(
            "| `{}` | {} | {} |\n",
            family.name,
            format!("{:?}", family.kind).to_lowercase(),
            family.help
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &want).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        want,
        "run UPDATE_DOCS=1 cargo test --test metrics"
    );
}

/// A run whose report says this, as a program would print it.
fn reported(board: &Board, json: &str, second: i64) -> Verdict {
    let finished = Finished {
        end: End::Exited(0),
        stdout: captured(json.as_bytes()),
        ..Finished::not_started(String::new())
    };
    run(board, Outcome { parsed: Some(finished), ..outcome(0, b"x", b"") }, second)
}

fn program(check: Check) -> Board {
    let program = Program {
        name: "mine".to_owned(),
        command: vec!["x".to_owned()],
        timeout: std::time::Duration::from_secs(1),
        exit_codes: None,
    };
    Board::new(
        vec![Check { reader: ReaderChoice::Known(Reader::Program(Arc::new(program))), ..check }],
        at(0),
    )
}

fn resource(scope: &str, name: &str) -> String {
    format!("{{\"scope\":\"{scope}\",\"name\":\"{name}\",\"action\":\"update\"}}")
}

#[test]
fn over_max_resources_the_first_are_kept_and_the_rest_is_counted() {
    let board = program(Check { max_resources: 2, ..Check::recorded("c") });
    let all = ["a", "b", "c", "d"].map(|name| resource("s", name)).join(",");
    let read = "{\"source\":\"plan\",\"name\":\"z\",\"action\":\"read\"}";
    assert_eq!(
        reported(&board, &format!("{{\"verdict\":\"drifted\",\"resources\":[{all},{read}]}}"), 10),
        Verdict::Drifted
    );
    let samples_of = |board: &Board| samples(&metrics::render(&board.snapshot()));
    let of = |samples: &BTreeMap<String, f64>, name: &str| {
        samples.keys().filter(|series| series.starts_with(&format!("{name}{{"))).cloned().collect::<Vec<_>>()
    };
    let first = samples_of(&board);
    let labels = |name: &str| {
        format!(
            "driftrun_resource_drift{{check=\"c\",scope=\"s\",kind=\"\",name=\"{name}\",action=\"update\",outside=\"false\"}}"
        )
    };
    assert_eq!(of(&first, "driftrun_resource_drift"), [labels("a"), labels("b")]);
    assert_eq!(sum(&first, "driftrun_drift_resources"), Some(4.0));
    assert_eq!(sum(&first, "driftrun_drift_dropped_resources"), Some(2.0));
    assert_eq!(sum(&first, "driftrun_drift_informational_resources"), Some(1.0));
    // What is repaired makes room.
    let two = ["b", "c"].map(|name| resource("s", name)).join(",");
    reported(&board, &format!("{{\"verdict\":\"drifted\",\"resources\":[{two}]}}"), 20);
    let second = samples_of(&board);
    assert_eq!(of(&second, "driftrun_resource_drift"), [labels("b"), labels("c")]);
    assert_eq!(sum(&second, "driftrun_drift_dropped_resources"), None);
}

#[test]
fn partial_runs_over_max_resources_count_nobody_twice() {
    let board = program(Check { max_resources: 2, ..Check::recorded("c") });
    let all = ["r1", "r2", "r3"].map(|name| resource("u", name)).join(",");
    reported(&board, &format!("{{\"verdict\":\"drifted\",\"resources\":[{all}]}}"), 10);
    let partial = format!(
        "{{\"verdict\":\"partial\",\"resources\":[{}],\"scopes\":{{\"read\":[\"v\"],\"unread\":[{{\"scope\":\"u\",\"reason\":\"failed\"}}]}}}}",
        resource("u", "r3")
    );
    for second in [20, 30, 40] {
        assert_eq!(reported(&board, &partial, second), Verdict::Partial);
        let samples = samples(&metrics::render(&board.snapshot()));
        assert_eq!(sum(&samples, "driftrun_drift_resources"), Some(3.0), "{second}");
        assert_eq!(sum(&samples, "driftrun_drift_dropped_resources"), Some(1.0), "{second}");
    }
}

#[test]
fn a_partial_report_of_units_replaces_the_modules_of_those_it_read() {
    let board = program(Check::recorded("c"));
    let all = [("vpc", "a"), ("vpc//module.m", "b"), ("dns", "c"), ("dns//module.m", "d")];
    let all = all.map(|(scope, name)| resource(scope, name)).join(",");
    assert_eq!(
        reported(&board, &format!("{{\"verdict\":\"drifted\",\"resources\":[{all}]}}"), 10),
        Verdict::Drifted
    );
    let partial = "{\"verdict\":\"partial\",\"scopes\":{\"read\":[\"vpc\"],\"unread\":[{\"scope\":\"dns\",\"reason\":\"failed\"}]}}";
    assert_eq!(reported(&board, partial, 20), Verdict::Partial);
    let left = samples(&metrics::render(&board.snapshot()));
    let names: Vec<&str> = left
        .keys()
        .filter(|series| series.starts_with("driftrun_resource_drift{"))
        .filter_map(|series| series.split("name=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(names, ["c", "d"]);
}
