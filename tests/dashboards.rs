//! The Grafana dashboards in `deploy/grafana`: they keep the rules of Grafana's dashboard-linter, and a real Prometheus that scrapes
//! driftrun answers everything they ask.

#[path = "dashboards/lint.rs"]
mod lint;
#[path = "dashboards/live.rs"]
mod live;
#[path = "dashboards/mutations.rs"]
mod mutations;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "dashboards/promql.rs"]
mod promql;
mod support;

use lint::{called, list, panels, targets, text, variables};
use live::{CHECKS, Live, Series, ask, filled};
use mutations::MUTATIONS;
use prometheus::Prometheus;
use regex::{Captures, Regex};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use support::{Folder, poll, tool};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const DASHBOARDS: [&str; 3] = ["driftrun-check", "driftrun-fleet", "driftrun-overview"];

fn written(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(format!("deploy/grafana/{name}.json"))).unwrap()
}

fn dashboards() -> Vec<(&'static str, Value)> {
    DASHBOARDS.iter().map(|name| (*name, serde_json::from_str(&written(name)).unwrap())).collect()
}

fn dashboard(name: &str) -> Value {
    dashboards().into_iter().find(|(other, _)| *other == name).unwrap().1
}

#[test]
fn the_linter_has_nothing_to_say() {
    let told = dashboards().into_iter().flat_map(|(name, dashboard)| {
        let broken = lint::broken(&dashboard).into_iter();
        broken.map(move |(rule, what)| format!("{name}: {rule}: {what}"))
    });
    assert_eq!(told.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_rule_tells_what_breaks_it_and_no_other_does() {
    let program = tool("prometheus");
    let folder = Folder::new("mutations");
    let prometheus = program.as_ref().map(|program| {
        let prometheus = Prometheus::with_jobs(program, &folder, &json!([]));
        poll(|| ask(&prometheus, "query", &[("query", "vector(1)")]).is_ok());
        prometheus
    });
    let mut rules: BTreeSet<&str> = lint::RULES.iter().map(|(rule, _)| *rule).collect();
    rules.insert("target-promql-rule");
    for (number, (rule, breaks)) in MUTATIONS.into_iter().enumerate() {
        let mut mutant = dashboard("driftrun-overview");
        breaks(&mut mutant);
        let mut told: Vec<&str> = lint::broken(&mutant).into_iter().map(|(rule, _)| rule).collect();
        if prometheus.as_ref().is_some_and(|prometheus| !not_promql(prometheus, &mutant).is_empty()) {
            told.push("target-promql-rule");
        }
        told.dedup();
        let expected = if rule == "target-promql-rule" && prometheus.is_none() { vec![] } else { vec![rule] };
        assert_eq!(told, expected, "mutation {number}");
        rules.remove(rule);
    }
    assert!(rules.is_empty(), "nothing breaks {rules:?}");
}

/// `target-promql-rule`: what Prometheus has against targets.
fn not_promql(prometheus: &Prometheus, dashboard: &Value) -> Vec<String> {
    let asked = targets(dashboard).filter_map(|(called, target)| {
        let said =
            ask(prometheus, "query", &[("query", &filled(text(target, "/expr"), dashboard, ".+", "x"))]);
        Some(format!("{called}: {}", said.err()?))
    });
    asked.collect()
}

#[test]
fn prometheus_answers_what_the_dashboards_ask() {
    let Some(live) = Live::start() else { return };
    everything_asked_has_an_answer(&live);
    variables_have_values(&live);
    columns_and_legends_that_are_named_are_there(&live);
    two_instances_count_a_check_once(&live);
    what_is_not_known_is_not_clean(&live);
    for (server, _) in live.servers {
        assert_eq!(server.stop(), Some(0));
    }
}

fn everything_asked_has_an_answer(live: &Live) {
    for (name, dashboard) in dashboards() {
        for (called, target) in targets(&dashboard) {
            // The last line is what has no answer, if one hasn't.
            println!("{name}: {called}: {}", text(target, "/expr"));
            poll(|| !live.for_any_check(&dashboard, target).unwrap().is_empty());
        }
    }
}

fn variables_have_values(live: &Live) {
    for (name, dashboard) in dashboards() {
        for variable in variables(&dashboard).filter(|variable| variable["type"] == "query") {
            let query = text(variable, "/query/query");
            assert_eq!(text(variable, "/definition"), query, "{name}");
            let inner =
                query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')')).unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            let selector = filled(selector, &dashboard, ".+", "");
            let values =
                ask(&live.prometheus, &format!("label/{label}/values"), &[("match[]", &selector)]).unwrap();
            assert!(!values.is_empty(), "{name}: {query}");
        }
    }
}

/// The columns of a table, by the names under which a panel speaks of them: as they come, or after they are renamed.
fn columns(live: &Live, dashboard: &Value, panel: &Value) -> BTreeSet<String> {
    let all = list(panel, "/targets").count();
    let mut columns = BTreeSet::from(["Time".to_owned()]);
    for target in list(panel, "/targets") {
        let series = live.for_any_check(dashboard, target).unwrap();
        let matrix = list(panel, "/transformations").find(|one| one["id"] == "groupingToMatrix");
        if let Some(matrix) = matrix {
            let [row, column] = ["row", "column"].map(|what| text(matrix, &format!("/options/{what}Field")));
            columns.clear();
            columns.insert(format!("{row}\\{column}"));
            columns.extend(series.into_iter().map(|(mut labels, _)| labels.remove(column).unwrap()));
        } else {
            columns.extend(series.into_iter().flat_map(|(labels, _)| labels.into_keys()));
            columns.insert(if all > 1 {
                format!("Value #{}", text(target, "/refId"))
            } else {
                "Value".to_owned()
            });
        }
    }
    columns.extend(
        list(panel, "/transformations").filter_map(|one| Some(one["options"]["alias"].as_str()?.to_owned())),
    );
    columns
}

fn columns_and_legends_that_are_named_are_there(live: &Live) {
    let placeholder = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let called = format!("{name}: {}", called(panel));
            let mut there = BTreeSet::new();
            if panel["type"] == "table" {
                there = columns(live, &dashboard, panel);
                let organized = list(panel, "/transformations").find(|one| one["id"] == "organize").unwrap();
                for what in ["excludeByName", "indexByName", "renameByName"] {
                    for column in organized["options"][what].as_object().unwrap().keys() {
                        assert!(there.contains(column), "{called}: {what} {column:?} of {there:?}");
                    }
                }
                for column in organized["options"]["excludeByName"].as_object().unwrap().keys() {
                    there.remove(column);
                }
                for (column, renamed) in organized["options"]["renameByName"].as_object().unwrap() {
                    there.remove(column);
                    assert!(
                        there.insert(renamed.as_str().unwrap().to_owned()),
                        "{called}: two columns {renamed}"
                    );
                }
                for sorted in list(panel, "/options/sortBy") {
                    assert!(
                        there.contains(text(sorted, "/displayName")),
                        "{called}: sorted by {sorted} of {there:?}"
                    );
                }
            } else {
                for target in list(panel, "/targets") {
                    let series = live.for_any_check(&dashboard, target).unwrap();
                    there.extend(series.into_iter().map(|(labels, _)| {
                        let label = |found: &Captures<'_>| labels.get(&found[1]).cloned().unwrap_or_default();
                        placeholder.replace_all(text(target, "/legendFormat"), label).into_owned()
                    }));
                }
            }
            for field in list(panel, "/fieldConfig/overrides") {
                assert_eq!(field["matcher"]["id"], "byName", "{called}");
                assert!(
                    there.contains(text(field, "/matcher/options")),
                    "{called}: {} of {there:?}",
                    field["matcher"]
                );
            }
        }
    }
}

/// Two instances with the same checks give what one gives: as many series with the same labels, and the same counts.
fn two_instances_count_a_check_once(live: &Live) {
    for name in ["driftrun-overview", "driftrun-check"] {
        let dashboard = dashboard(name);
        for (called, target) in targets(&dashboard) {
            let expression = text(target, "/expr");
            // Runs of both are runs. When something was and what it took is each one's own.
            if expression.contains("increase(") {
                continue;
            }
            let own = expression.starts_with("time()") || expression.ends_with("* 1000") || {
                let metrics = promql::selectors(expression).into_iter().map(|selector| selector.metric);
                metrics.into_iter().any(|metric| metric.contains("_bytes") || metric.contains("_duration_"))
            };
            let given = |job: &str, check: &str| -> BTreeSet<Series> {
                let series = live.answer(&dashboard, target, job, check).unwrap().into_iter();
                let series = series.map(|(mut labels, value)| {
                    labels.remove("job");
                    (labels, if own { String::new() } else { value })
                });
                series.collect()
            };
            for (check, _) in CHECKS {
                assert_eq!(given("one", check), given("two", check), "{name}: {called}, {check}");
            }
        }
    }
}

/// What a target of the overview gives: the values of labels, and the value.
fn overview(live: &Live, panel: &str, reference: &str, labels: &[&str]) -> BTreeSet<String> {
    let dashboard = dashboard("driftrun-overview");
    let target = panels(&dashboard)
        .filter(|other| text(other, "/title") == panel)
        .flat_map(|panel| list(panel, "/targets"))
        .find(|target| text(target, "/refId") == reference)
        .unwrap();
    let series = live.answer(&dashboard, target, "two", "").unwrap().into_iter();
    let told = |(mut all, value): Series| {
        let labels = labels.iter().map(|label| all.remove(*label).unwrap_or_default() + " ");
        labels.collect::<String>() + &value
    };
    series.map(told).collect()
}

fn what_is_not_known_is_not_clean(live: &Live) {
    let set = |lines: &[&str]| -> BTreeSet<String> { lines.iter().map(|line| (*line).to_owned()).collect() };
    // No check of those without a layer has told of resources: no count of them, not 0.
    let layers = [
        "application clean 1",
        "application failed 2",
        "application resources 1",
        "cluster partial 1",
        "cluster resources 4",
        "infrastructure drifted 1",
        "infrastructure resources 8",
        "infrastructure unreadable 1",
        "no layer clean 1",
        "no layer failed 1",
        "no layer no run yet 1",
        "no layer timeout 1",
    ];
    assert_eq!(overview(live, "Layers", "A", &["layer", "verdict"]), set(&layers));
    let by_layer = ["application 1", "cluster 4", "infrastructure 8"];
    assert_eq!(overview(live, "Drifting resources by layer", "A", &["layer"]), set(&by_layer));
    let drifting = ["clean 0", "hosts 4", "plan 8", "worked-once 1"];
    assert_eq!(overview(live, "Checks", "C", &["check"]), set(&drifting));
    let classes = [
        "broken exit",
        "gone spawn",
        "hosts unreachable",
        "slow timeout",
        "unreadable unreadable_format",
        "worked-once exit",
    ];
    let told = overview(live, "Checks that need a look", "A", &["check", "class"]);
    assert_eq!(told, set(&classes.map(|line| format!("{line} 1")).each_ref().map(String::as_str)));
    let tiles = [
        ("Checks", "10"),
        ("Never a good run", "6"),
        ("Drifting resources", "13"),
        ("From an old report", "5"),
        ("Changed outside", "1"),
        ("Counted only", "3"),
        ("New drift", "10"),
    ];
    for (title, value) in tiles {
        assert_eq!(overview(live, title, "A", &[]), set(&[value]), "{title}");
    }
}

#[test]
fn every_metric_is_in_the_reference() {
    let reference = std::fs::read_to_string(Path::new(ROOT).join("docs/metrics.md")).unwrap();
    let mut known = BTreeSet::from(["up".to_owned()]);
    for line in reference.lines() {
        let mut cells = line.split(" | ");
        let name = cells.next().and_then(|cell| cell.strip_prefix("| `")?.strip_suffix('`'));
        if let (Some(name), Some(kind)) = (name, cells.next()) {
            known.insert(name.to_owned());
            if kind == "summary" {
                known.extend(["_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
            }
        }
    }
    for (name, dashboard) in dashboards() {
        let asked = variables(&dashboard).map(|variable| text(variable, "/query/query"));
        for expression in asked.chain(targets(&dashboard).map(|(_, target)| text(target, "/expr"))) {
            // The label of a variable is asked for by name, too.
            let expression = expression
                .rsplit_once(", ")
                .filter(|_| expression.starts_with("label_values"))
                .map_or(expression, |(inner, _)| inner);
            for selector in promql::selectors(expression) {
                let metric = selector.metric;
                let others = metric.starts_with("scrape_") || metric.starts_with("process_");
                assert!(others || known.contains(&metric), "{name}: {metric} in {expression}");
            }
        }
    }
}

#[test]
fn they_can_be_imported_and_lead_to_each_other() {
    let files = std::fs::read_dir(Path::new(ROOT).join("deploy/grafana")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    assert_eq!(names, DASHBOARDS.map(str::to_owned).into(), "the dashboards that are tested");
    let link = Regex::new("/d/([a-z-]+)/").unwrap();
    for (name, dashboard) in dashboards() {
        let written = written(name);
        assert_eq!(serde_json::to_string_pretty(&dashboard).unwrap() + "\n", written, "{name}: form");
        assert!(sorted(&dashboard), "{name}: keys are not sorted");
        assert_eq!(
            (text(&dashboard, "/uid"), &dashboard["schemaVersion"], &dashboard["tags"]),
            (name, &json!(38), &json!(["driftrun"]))
        );
        // A link by tag leads to all that have it, and takes along what is selected.
        let [shown] = &dashboard["links"].as_array().unwrap()[..] else { panic!("{name}: links") };
        assert_eq!(
            ["type", "tags", "includeVars", "keepTime"].map(|key| shown[key].clone()),
            [json!("dashboards"), json!(["driftrun"]), json!(true), json!(true)],
            "{name}"
        );
        for found in link.captures_iter(&written) {
            assert!(DASHBOARDS.contains(&&found[1]), "{name}: {}", &found[0]);
        }
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{name}: {}", called(panel));
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(place), "{name}: {} lies over another", called(panel));
            }
            let references: Vec<&str> =
                list(panel, "/targets").map(|target| text(target, "/refId")).collect();
            assert!(
                references.is_sorted_by(|one, next| one < next),
                "{name}: {}: {references:?}",
                called(panel)
            );
        }
        for (called, target) in targets(&dashboard) {
            let left = filled(text(target, "/expr"), &dashboard, ".+", "x");
            assert!(!left.contains('$'), "{name}: {called}: a variable that there is not: {left}");
            assert!(target["instant"] != target["range"], "{name}: {called}");
        }
    }
}

/// Whether the keys of every object are in order.
fn sorted(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.keys().is_sorted() && object.values().all(sorted),
        Value::Array(items) => items.iter().all(sorted),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
