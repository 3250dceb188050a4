//! The rules, Alertmanager's configuration and what makes both fast, held against each other, the documentation and the tools that are for them.

#[path = "support/yaml.rs"]
mod documents;
#[path = "support/host.rs"]
mod host;
mod support;

use documents::yaml;
use host::slow;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Folder, tool};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(name: &str) -> PathBuf {
    project().join("deploy").join(name)
}

/// What a tool says of files of `deploy/`, in their folder; it must be content.
fn content(program: &Path, folder: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(deploy(folder)).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// The alerts and the recording rules, by name.
fn rules() -> Option<BTreeMap<String, Value>> {
    let file = yaml(&deploy("prometheus/driftrun.rules.yaml"))?;
    let [group] = &file[0]["groups"].as_array().unwrap()[..] else { panic!("more than one group") };
    let rules = group["rules"].as_array().unwrap().iter().map(|rule| {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
        (name.to_owned(), rule.clone())
    });
    Some(rules.collect())
}

fn alerts() -> Option<BTreeMap<String, Value>> {
    Some(rules()?.into_iter().filter(|(_, rule)| rule["alert"].is_string()).collect())
}

#[test]
fn promtool_finds_the_rules_right_and_they_do_what_their_tests_say() {
    let Some(promtool) = tool("promtool") else { return };
    let said = content(&promtool, "prometheus", &["check", "rules", "driftrun.rules.yaml"]);
    assert!(said.contains("SUCCESS: 25 rules found"), "{said}");
    let said = content(&promtool, "prometheus", &["check", "config", "prometheus.yaml"]);
    assert!(said.contains("SUCCESS: prometheus.yaml is valid prometheus config file syntax"), "{said}");
    let said = content(&promtool, "prometheus", &["test", "rules", "driftrun.rules.test.yaml"]);
    assert!(said.contains("SUCCESS") && !said.contains("FAILED"), "{said}");
}

/// What of the rules could be lost without anybody seeing it, and what it is made then: what makes alerts survive, each limit, each case.
const MUTATIONS: [(&str, &str); 28] = [
    (
        "            and\n            max without (verdict, instance, pod, container, endpoint) (driftrun_check_verdict{verdict=~\"clean|drifted\"}) == 1\n",
        "",
    ),
    (
        "            max without (url, instance, pod, container, endpoint) (driftrun_check_info)\n            or\n            last_over_time(check",
        "            last_over_time(check",
    ),
    ("            or\n            last_over_time(check:driftrun_drift_resources:sum[1h]) >= bool 0\n", ""),
    (
        "          unless check:driftrun_drift_resources:sum\n",
        "          and check:driftrun_drift_resources:sum\n",
    ),
    (
        "          resource:driftrun_resource_drift:held and ignoring (scope, kind, name) check:driftrun_drift_unknown:max\n          or\n",
        "",
    ),
    ("            and ignoring (kind, name)\n", "            unless ignoring (kind, name)\n"),
    (
        "          resource:driftrun_resource_drift_since_timestamp_seconds:min and resource:driftrun_resource_drift:held\n          or\n",
        "",
    ),
    (
        "          time() + 0 * resource:driftrun_resource_drift:held\n",
        "          time() + 0 * (resource:driftrun_resource_drift:held > 1)\n",
    ),
    (
        "          check:driftrun_drift_resources:sum > 10\n",
        "          check:driftrun_drift_resources:sum > 11\n",
    ),
    (
        "          check:driftrun_drift_resources:sum > check:driftrun_resource_drift:count\n",
        "          check:driftrun_drift_resources:sum > 100\n",
    ),
    (
        "          (check:driftrun_drift_resources:sum > 0) unless check:driftrun_resource_drift:count\n",
        "          check:driftrun_drift_resources:sum > 100\n",
    ),
    (
        "          check:driftrun_drift_resources:together and check:driftrun_drift_unknown:max\n",
        "          check:nothing\n",
    ),
    (
        "(driftrun_check_verdict{verdict=\"partial\"}) == 1\n\n",
        "(driftrun_check_verdict{verdict=\"partial\"}) == 2\n\n",
    ),
    (
        "          time() + 0 * (check:driftrun_drift_resources:sum > 0)\n",
        "          time() + 0 * (check:driftrun_drift_resources:sum > 100)\n",
    ),
    (
        "          last_over_time(check:driftrun_check_last_good_timestamp_seconds:max[1h])\n",
        "          last_over_time(check:nothing[1h])\n",
    ),
    (
        "          or\n          min without (instance, pod, container, endpoint) (driftrun_check_last_run_timestamp_seconds)\n",
        "",
    ),
    ("          2 * max without", "          1 * max without"),
    ("          2 * 86400", "          1 * 86400"),
    ("          unless ignoring (scope, kind, name) check:driftrun_drift_resources:together\n", ""),
    ("verdict=~\"failed|timeout|unreadable\"", "verdict=~\"failed|timeout\""),
    (
        "          unless\n          max without (verdict, instance, pod, container, endpoint) (min_over_time",
        "          and\n          max without (verdict, instance, pod, container, endpoint) (min_over_time",
    ),
    (" unless on (job, instance) driftrun_build_info\n", "\n"),
    ("            unless on (job, check, cluster, namespace) driftrun_check_info\n", ""),
    ("up{job=~\".*driftrun.*\"} == 0\n          or", "up{job=\"none\"} == 0\n          or"),
    ("          or\n          absent(driftrun_check_info) unless on () up{job=~\".*driftrun.*\"} == 0\n", ""),
    ("          or\n          driftrun_web_config_last_reload_successful == 0\n", ""),
    ("          count without (shard) (\n", "          sum without (shard) (\n"),
    ("changed outside", "outside"),
];

#[test]
fn a_changed_rule_fails_its_test() {
    if !slow() {
        return;
    }
    let Some(promtool) = tool("promtool") else { return };
    let folder = Folder::new("rules");
    let rules = std::fs::read_to_string(deploy("prometheus/driftrun.rules.yaml")).unwrap();
    let tests = std::fs::read_to_string(deploy("prometheus/driftrun.rules.test.yaml")).unwrap();
    // A file each, so that the first one that fails is the last one that is run.
    let (head, groups) = tests.split_once("\ntests:\n").unwrap();
    let groups: Vec<String> =
        groups.split("\n\n").map(|group| format!("{head}\ntests:\n{group}\n")).collect();
    assert!(groups.len() > 20 && groups.iter().all(|group| group.matches("\n  - name: ").count() == 1));
    // Whether all groups that have `part` in them are content.
    let run = |name: &str, rules: &str, part: &str| {
        folder.write(&format!("{name}/driftrun.rules.yaml"), rules);
        let mut those = groups.iter().filter(|group| group.contains(part)).peekable();
        assert!(those.peek().is_some(), "{part}");
        those.all(|group| {
            folder.write(&format!("{name}/driftrun.rules.test.yaml"), group);
            let mut command = Command::new(&promtool);
            command.args(["test", "rules", "driftrun.rules.test.yaml"]).current_dir(folder.path().join(name));
            command.output().unwrap().status.success()
        })
    };
    assert!(run("same", &rules, ""));
    let mut changed: Vec<(String, String, &str)> = Vec::new();
    for (from, to) in MUTATIONS {
        assert_eq!(rules.matches(from).count(), 1, "{from}");
        changed.push((format!("{from:?} became {to:?}"), rules.replace(from, to), ""));
    }
    let times = Regex::new(r"(?m)^ +(?:keep_firing_)?for: (\w+)$").unwrap();
    for line in times.captures_iter(&rules) {
        let time = line.get(1).unwrap();
        let alert = rules[..time.start()].rsplit("- alert: ").next().unwrap().lines().next().unwrap();
        let what = format!("{} of {alert}", line[0].trim());
        changed.push((what, [&rules[..time.start()], "25m", &rules[time.end()..]].concat(), alert));
    }
    assert_eq!(changed.len(), MUTATIONS.len() + 20);
    // The one takes those at even places, the other those at odd ones.
    let unseen = |name: &str, first: usize| -> Vec<String> {
        let those = changed.iter().skip(first).step_by(2);
        those.filter(|(_, rules, part)| run(name, rules, part)).map(|(what, ..)| what.clone()).collect()
    };
    let unseen = std::thread::scope(|scope| {
        let even = scope.spawn(|| unseen("even", 0));
        [unseen("odd", 1), even.join().unwrap()].concat()
    });
    assert_eq!(unseen, [""; 0], "no test sees it");
}

#[test]
fn every_alert_says_what_it_is_and_what_to_do() {
    let Some(alerts) = alerts() else { return };
    let tests = std::fs::read_to_string(deploy("prometheus/driftrun.rules.test.yaml")).unwrap();
    let documented = std::fs::read_to_string(project().join("docs/alerts.md")).unwrap();
    for (name, alert) in &alerts {
        let text = |pointer: &str| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(matches!(text("/labels/severity"), "info" | "warning" | "critical"), "{name}");
        assert!(text("/annotations/summary").ends_with('.'), "{name}");
        assert!(!text("/annotations/summary").contains("{{"), "{name}");
        assert!(
            !text("/annotations/description").contains('\n'),
            "{name}: a line is indented more than its first"
        );
        let runbook = format!("https://driftrun.example.com/runbooks/{name}.md");
        assert_eq!(text("/annotations/runbook_url"), runbook, "{name}");
        let runbook =
            std::fs::read_to_string(project().join("docs/runbooks").join(format!("{name}.md"))).unwrap();
        let heads: Vec<&str> = runbook.lines().filter(|line| line.starts_with('#')).collect();
        let want = [&*format!("# {name}"), "## What it means", "## What to do", "## When it ends"];
        assert_eq!(heads, want, "{name}");
        assert!(
            documented.contains(&format!("| [{name}](runbooks/{name}.md) | {} |", text("/labels/severity"))),
            "{name}"
        );
        assert!(
            tests.contains(&format!("alertname: {name}\n        exp_alerts:")),
            "{name} fires in no test"
        );
        // Where nothing follows its name, it must not fire.
        let silent =
            tests.split(&format!("alertname: {name}\n")).skip(1).any(|rest| !rest.starts_with("        exp"));
        assert!(silent, "{name} is silent in no test");
    }
    let runbooks: BTreeSet<String> = std::fs::read_dir(project().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(runbooks, alerts.into_keys().collect());
}

#[test]
fn rules_ask_for_metrics_that_there_are() {
    let Some(rules) = rules() else { return };
    let reference = std::fs::read_to_string(project().join("docs/metrics.md")).unwrap();
    let names = Regex::new(r"(?:[a-z_]+:)?driftrun_[a-z_]+(?::[a-z]+)?").unwrap();
    let mut seen = 0;
    for (rule, body) in &rules {
        for name in names.find_iter(&body.to_string().replace("\\n", " ")).map(|found| found.as_str()) {
            seen += 1;
            let known = rules.contains_key(name) || reference.contains(&format!("| `{name}` |"));
            assert!(known, "{rule}: {name}");
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn a_fast_overlay_changes_times_and_nothing_else() {
    let time = Regex::new(r"\b(\d+[smh]|900|5)\b").unwrap();
    let expected = [
        ("prometheus/driftrun.rules.yaml", 24),
        ("prometheus/prometheus.yaml", 2),
        ("alertmanager/alertmanager.yaml", 2),
    ];
    for (name, changed) in expected {
        let output = Command::new("sed").arg("-f").args([deploy("fast.sed"), deploy(name)]).output().unwrap();
        let (fast, slow) =
            (String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(deploy(name)).unwrap());
        let pairs: Vec<(&str, &str)> = slow.lines().zip(fast.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!((fast.lines().count(), pairs.len()), (slow.lines().count(), changed), "{name}");
        for (slow, fast) in pairs {
            assert_eq!(time.replace_all(slow, "T"), time.replace_all(fast, "T"));
        }
    }
}

#[test]
fn amtool_finds_the_configuration_right() {
    let Some(amtool) = tool("amtool") else { return };
    let said = content(&amtool, "alertmanager", &["check-config", "alertmanager.yaml"]);
    assert!(said.contains(" - 3 receivers\n - 1 templates\n  SUCCESS"), "{said}");
    let route = |labels: &[&str]| {
        let arguments = [&["config", "routes", "test", "--config.file=alertmanager.yaml"], labels].concat();
        content(&amtool, "alertmanager", &arguments).lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(route(&["severity=info"]), "slack-news");
    assert_eq!(route(&["severity=warning"]), "slack");
    assert_eq!(route(&["alertname=DriftrunCheckFailing", "severity=warning"]), "slack");
    assert_eq!(route(&["severity=critical"]), "pager,slack");
    assert_eq!(route(&["alertname=SomebodyElses"]), "slack");
}

#[test]
fn drift_is_inhibited_by_nothing() {
    let Some(file) = yaml(&deploy("alertmanager/alertmanager.yaml")) else { return };
    assert_eq!(file[0]["inhibit_rules"], Value::Null);
}
