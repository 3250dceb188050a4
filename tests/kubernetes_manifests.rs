//! deploy/kubernetes: what each kustomization renders is valid, fits together, and is what the real driftrun and the real kubectl take.
//!
//! Kubernetes' own objects are held against its schemas, offline, by `kubernetes-validate` (`PyPI`) in strict mode. It knows none of the Prometheus operator's:
//! these are held against `operator` in objects.rs, which is kept by hand and knows the fields that are used here, no more. CEL expressions are read by nobody but us. No
//! test applies anything to a cluster.
//!
//! `UPDATE_DEPLOY=1` writes monitoring/rules/prometheusrule.yaml anew from deploy/prometheus/driftrun.rules.yaml.

#[path = "support/kube_api.rs"]
mod kube_api;
#[path = "kubernetes_manifests/objects.rs"]
mod objects;
#[path = "kubernetes_manifests/pods.rs"]
mod pods;
#[path = "kubernetes_manifests/rights.rs"]
mod rights;
mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use support::{Folder, tool};

/// Every folder that can be rendered, and what it renders. A `ConfigMap`'s name stands without the hash of its content.
const FOLDERS: [(&str, &[&str]); 13] = [
    (
        "base",
        &[
            "ServiceAccount driftrun/driftrun",
            "ConfigMap driftrun/driftrun",
            "Service driftrun/driftrun",
            "PersistentVolumeClaim driftrun/driftrun-state",
            "Deployment driftrun/driftrun",
        ],
    ),
    (
        "sidecar",
        &[
            "ServiceAccount driftrun/driftrun",
            "ConfigMap driftrun/driftrun",
            "Service driftrun/driftrun",
            "PersistentVolumeClaim driftrun/driftrun-state",
            "Deployment driftrun/driftrun",
        ],
    ),
    (
        "sharded",
        &[
            "ServiceAccount driftrun/driftrun",
            "ConfigMap driftrun/driftrun-shards",
            "Service driftrun/driftrun-shards",
            "StatefulSet driftrun/driftrun",
            "PodDisruptionBudget driftrun/driftrun-shards",
            "NetworkPolicy driftrun/driftrun-shards",
        ],
    ),
    ("cronjob/base", CRON_JOB),
    ("cronjob/push", CRON_JOB),
    ("cronjob/textfile", CRON_JOB),
    ("rbac/namespace", &["Role shop/driftrun-diff", "RoleBinding shop/driftrun-diff"]),
    ("rbac/cluster", &["ClusterRole /driftrun-diff", "ClusterRoleBinding /driftrun-diff"]),
    (
        "rbac/dry-run-only",
        &[
            "ValidatingAdmissionPolicy /driftrun-dry-run-only",
            "ValidatingAdmissionPolicyBinding /driftrun-dry-run-only",
        ],
    ),
    ("monitoring/servicemonitor", &["ServiceMonitor driftrun/driftrun"]),
    ("monitoring/podmonitor", &["PodMonitor driftrun/driftrun-shards"]),
    ("monitoring/git-sync", &["PodMonitor driftrun/driftrun-git-sync"]),
    ("monitoring/rules", &["PrometheusRule driftrun/driftrun"]),
];

const CRON_JOB: &[&str] = &[
    "ServiceAccount driftrun/driftrun",
    "ConfigMap driftrun/driftrun-once-…",
    "PersistentVolumeClaim driftrun/driftrun-once-state",
    "CronJob driftrun/driftrun",
];

/// The folders with pods, each with one kind of them.
const PODS: [&str; 6] = ["base", "sidecar", "sharded", "cronjob/base", "cronjob/push", "cronjob/textfile"];

/// The Secrets that people make.
const SECRETS: [&str; 2] = ["driftrun-credentials", "driftrun-git"];

/// Texts of YAML in, their documents out. Dates would be no JSON: there are none.
const READ: &str = "
import json, sys, yaml
json.dump([list(yaml.safe_load_all(text)) for text in json.load(sys.stdin)], sys.stdout)
";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes").join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a script prints for a value.
fn python(program: &Path, script: &str, input: &Value) -> Value {
    let mut child = Command::new(program)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_string());
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{script}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn kustomize(kubectl: &Path, folder: &Path) -> String {
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", folder.display());
    String::from_utf8(output.stdout).unwrap()
}

type Rendered = BTreeMap<&'static str, Vec<Value>>;

/// The objects of every folder. `None`: a tool is missing, and a line says so.
fn rendered() -> Option<&'static Rendered> {
    static ALL: OnceLock<Rendered> = OnceLock::new();
    let (kubectl, program) = (tool("kubectl")?, tool("python-of-tests")?);
    Some(ALL.get_or_init(|| {
        let texts = FOLDERS.map(|(name, _)| kustomize(&kubectl, &folder(name)));
        let objects = python(&program, READ, &json!(texts));
        let objects: Vec<Vec<Value>> = serde_json::from_value(objects).unwrap();
        FOLDERS.into_iter().map(|(name, _)| name).zip(objects).collect()
    }))
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn string<'v>(value: &'v Value, pointer: &str) -> &'v str {
    at(value, pointer).as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    at(value, pointer).as_array().map(Vec::as_slice).unwrap_or_default()
}

fn kind(object: &Value) -> &str {
    string(object, "/kind")
}

fn name(object: &Value) -> &str {
    string(object, "/metadata/name")
}

/// The one object of a kind.
fn one<'o>(objects: &'o [Value], wanted: &str) -> &'o Value {
    let found: Vec<&Value> = objects.iter().filter(|object| kind(object) == wanted).collect();
    assert_eq!(found.len(), 1, "{wanted}");
    found[0]
}

/// What makes pods, and the template that it makes them of.
fn workload(objects: &[Value]) -> Option<(&Value, &Value)> {
    objects.iter().find_map(|object| match kind(object) {
        "Deployment" | "StatefulSet" => Some((object, at(object, "/spec/template"))),
        "CronJob" => Some((object, at(object, "/spec/jobTemplate/spec/template"))),
        _ => None,
    })
}

fn template<'a>(all: &'a Rendered, folder: &str) -> &'a Value {
    workload(&all[folder]).unwrap_or_else(|| panic!("{folder} has no pods")).1
}

/// Every container of a pod, those that run before the others too.
fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    list(template, "/spec/initContainers").iter().chain(list(template, "/spec/containers"))
}

fn driftrun_of(template: &Value) -> &Value {
    list(template, "/spec/containers")
        .iter()
        .find(|container| string(container, "/name") == "driftrun")
        .unwrap()
}

fn arguments(container: &Value) -> Vec<&str> {
    list(container, "/args").iter().map(|argument| argument.as_str().unwrap()).collect()
}

#[test]
fn each_folder_renders_exactly_what_it_should() {
    let Some(all) = rendered() else { return };
    for (folder, wanted) in FOLDERS {
        let found: BTreeSet<String> = all[folder]
            .iter()
            .map(|object| {
                let name = match (kind(object), name(object)) {
                    ("ConfigMap", name) if folder.starts_with("cronjob/") => {
                        format!("{}…", name.trim_end_matches(|c: char| c.is_ascii_alphanumeric()))
                    }
                    (_, name) => name.to_owned(),
                };
                format!("{} {}/{name}", kind(object), string(object, "/metadata/namespace"))
            })
            .collect();
        assert_eq!(found, wanted.iter().map(|&name| name.to_owned()).collect(), "{folder}");
        assert_eq!(all[folder].len(), wanted.len(), "{folder}");
    }
    let with_pods: Vec<&str> =
        FOLDERS.iter().map(|(name, _)| *name).filter(|name| workload(&all[name]).is_some()).collect();
    assert_eq!(with_pods, PODS);
}

#[test]
fn every_kustomization_is_looked_at() {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder("")]);
    while let Some(open) = folders.pop() {
        for entry in fs::read_dir(&open).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("kustomization.yaml") && !text(&path).contains("kind: Component") {
                let name = open.strip_prefix(folder("")).unwrap().to_str().unwrap();
                found.insert(name.to_owned());
            }
        }
    }
    assert_eq!(found, FOLDERS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

/// The rules file as an object of the operator: its groups, with their comments, below `spec`.
fn rule_object(rules: &str) -> String {
    let (_, groups) = rules.split_once("\ngroups:\n").expect("groups");
    let mut text = "# Written from deploy/prometheus/driftrun.rules.yaml, where what there is to say about it stands (kustomization.yaml).
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: driftrun
  labels:
    app.kubernetes.io/name: driftrun
    # release: kube-prometheus-stack
spec:
  groups:
"
    .to_owned();
    for line in groups.lines() {
        text.push_str(if line.is_empty() { "" } else { "  " });
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn the_operators_rules_are_those_of_the_rules_file() {
    let Some(program) = tool("python-of-tests") else { return };
    let rules = text(&folder("../prometheus/driftrun.rules.yaml"));
    let path = folder("monitoring/rules/prometheusrule.yaml");
    let written = rule_object(&rules);
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let read = python(&program, READ, &json!([rules, text(&path), written]));
    let (theirs, ours) = (&read[0][0]["groups"], &read[1][0]["spec"]["groups"]);
    let rules = |groups: &Value| -> Vec<Value> {
        list(groups, "").iter().flat_map(|group| list(group, "/rules")).cloned().collect()
    };
    let (their_rules, our_rules) = (rules(theirs), rules(ours));
    assert!(their_rules.len() > 10, "{theirs}");
    let named = |rule: &Value| format!("{}{}", string(rule, "/record"), string(rule, "/alert"));
    let news: Vec<String> = their_rules.iter().filter(|rule| !our_rules.contains(rule)).map(named).collect();
    assert_eq!(news, [""; 0], "UPDATE_DEPLOY=1 writes {} anew", path.display());
    assert!(theirs == ours && read[1] == read[2], "UPDATE_DEPLOY=1 writes {} anew", path.display());
}

#[test]
fn the_readme_names_every_folder_and_its_example_renders() {
    let readme = text(&folder("README.md"));
    for (folder, _) in FOLDERS {
        assert!(readme.contains(&format!("]({folder})")), "{folder}");
    }
    for secret in SECRETS {
        assert!(readme.contains(&format!("`{secret}`")), "{secret}");
    }
    let (Some(kubectl), Some(program)) = (tool("kubectl"), tool("python-of-tests")) else { return };
    let example = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    // Below the project, as kustomize wants a way to it without its root.
    let own = Folder::new("example");
    let up = "../".repeat(own.path().components().count() - 1);
    let theirs = format!("{up}{}/sidecar", folder("").to_str().unwrap().trim_matches('/'));
    own.write("kustomization.yaml", &example.replace("../driftrun/deploy/kubernetes/sidecar", &theirs));
    own.write("driftrun.yaml", "checks: []\n");
    let objects = python(&program, READ, &json!([kustomize(&kubectl, own.path())]));
    let objects = objects[0].as_array().unwrap();
    let map = one(objects, "ConfigMap");
    assert_eq!((name(map), at(map, "/data")), ("driftrun", &json!({"driftrun.yaml": "checks: []\n"})));
    let (_, template) = workload(objects).unwrap();
    let driftrun = driftrun_of(template);
    assert_eq!(string(driftrun, "/image"), "registry.example.com/driftrun-tools:1");
    assert_eq!(arguments(driftrun).last(), Some(&"--web.external-url=https://drift.example.com"));
    let git: Vec<&Value> =
        containers(template).filter(|container| string(container, "/name") == "git-sync").collect();
    assert_eq!(
        *at(git[0], "/env/0"),
        json!({"name": "GITSYNC_REPO", "value": "git@github.com:example/infrastructure.git"})
    );
}
