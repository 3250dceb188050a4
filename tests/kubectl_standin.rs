//! Real kubectl against the stand-in API server: what `kubectl diff` prints there is what its parser reads.
//!
//! Without kubectl or diff in PATH these tests skip with a line; with `DRIFTRUN_TOOLS=required` they fail.

#[path = "support/kube_api.rs"]
mod kube_api;

use driftrun_parsers::{Action, Class, DriftReport, Input, Reading, Source, Stream, Verdict};
use kube_api::KubeApi;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One test's server and folder.
struct Cluster {
    api: KubeApi,
    dir: PathBuf,
}

impl Cluster {
    /// `None` where the tools are missing.
    fn start(name: &str) -> Option<Self> {
        for (program, version) in [("kubectl", &["version", "--client"][..]), ("diff", &["--version"])] {
            let found =
                Command::new(program).args(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if found.is_ok_and(|status| status.success()) {
                continue;
            }
            assert_ne!(std::env::var("DRIFTRUN_TOOLS").as_deref(), Ok("required"), "no {program} in PATH");
            eprintln!("skipped: no {program} in PATH");
            return None;
        }
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubectl-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let api = KubeApi::start();
        api.kubeconfig(&dir);
        Some(Self { api, dir })
    }

    /// `kubectl diff FLAGS -f` with these objects as its manifest.
    fn diff(&self, objects: &[Value], flags: &[&str]) -> (Output, Reading) {
        let manifest = self.dir.join("manifest.json");
        fs::write(&manifest, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
            .unwrap();
        let mut argv = vec!["kubectl", "diff", "-f", manifest.to_str().unwrap()];
        argv.extend(flags);
        let output = Command::new(argv[0])
            .args(&argv[1..])
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .env("HOME", &self.dir)
            .env("TMPDIR", &self.dir)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("KUBECTL_EXTERNAL_DIFF")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let input = Input {
            argv: &argv,
            exit: output.status.code(),
            stdout: Stream::whole(&output.stdout),
            stderr: Stream::whole(&output.stderr),
            files: &[],
        };
        let parser = driftrun_parsers::by_name("kubectl").unwrap();
        let reading = driftrun_parsers::read(parser, None, &input);
        (output, reading)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "shop"}}})
}

fn deployment(image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
            {"name": "app", "image": image, "ports": [{"containerPort": 80}]},
            {"name": "sidecar", "image": "proxy:1"},
        ]}},
    }})
}

fn role(verbs: &Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "shop:Read Only"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]})
}

/// An object as `kubectl apply` leaves it: with the manifest in an annotation.
fn applied(mut object: Value) -> Value {
    let text = object.to_string() + "\n";
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": text});
    object
}

type Finding<'a> = (&'a str, &'a str, &'a str, Action);

fn findings(reading: &Reading) -> Vec<Finding<'_>> {
    let resources = reading.report().map(DriftReport::resources).unwrap_or_default();
    assert!(resources.iter().all(|r| r.source == Source::Plan && r.drift), "{resources:?}");
    resources.iter().map(|r| (r.scope.as_str(), r.kind.as_str(), r.name.as_str(), r.action)).collect()
}

fn code_and_verdict(output: &Output, reading: &Reading) -> (Option<i32>, Verdict) {
    (output.status.code(), reading.verdict())
}

#[test]
fn objects_as_in_the_manifest_are_clean_and_nothing_is_sent() {
    let Some(cluster) = Cluster::start("unchanged") else { return };
    let objects = [config_map("settings", &json!({"a": "1"})), deployment("web:1"), role(&json!(["get"]))];
    for object in &objects {
        cluster.api.set_object(applied(object.clone()));
    }
    let (output, reading) = cluster.diff(&objects, &[]);
    assert_eq!((String::from_utf8_lossy(&output.stderr), &*output.stdout), ("".into(), &b""[..]));
    assert_eq!(code_and_verdict(&output, &reading), (Some(0), Verdict::Clean));
    let sent: Vec<String> =
        cluster.api.requests().into_iter().filter(|request| !request.starts_with("GET ")).collect();
    assert_eq!(sent, [""; 0]);
}

#[test]
fn a_changed_field_is_an_update_of_its_object_alone() {
    let Some(cluster) = Cluster::start("changed") else { return };
    let settings = config_map("settings", &json!({"a": "1"}));
    cluster.api.set_object(applied(settings.clone()));
    cluster.api.set_object(applied(deployment("web:1")));
    let (output, reading) = cluster.diff(&[settings, deployment("web:2")], &[]);
    assert_eq!(findings(&reading), [("shop", "Deployment.apps", "web", Action::Update)]);
    assert_eq!(code_and_verdict(&output, &reading), (Some(1), Verdict::Drifted));
    let changed: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with(['-', '+']) && !line.starts_with("---") && !line.starts_with("+++"))
        .map(|line| line.trim_end().to_owned())
        .collect();
    assert_eq!(
        changed,
        ["-  generation: 1", "+  generation: 2", "-      - image: web:1", "+      - image: web:2"]
    );
}

#[test]
fn server_side_finds_the_same() {
    let Some(cluster) = Cluster::start("server-side") else { return };
    cluster.api.set_object(deployment("web:1"));
    let (output, reading) = cluster.diff(&[deployment("web:2")], &["--server-side"]);
    assert_eq!(findings(&reading), [("shop", "Deployment.apps", "web", Action::Update)]);
    assert_eq!(code_and_verdict(&output, &reading), (Some(1), Verdict::Drifted));
    let (output, reading) = cluster.diff(&[deployment("web:1")], &["--server-side"]);
    assert_eq!(code_and_verdict(&output, &reading), (Some(0), Verdict::Clean));
}

#[test]
fn new_and_removed_objects_of_every_sort_are_told_apart() {
    let Some(cluster) = Cluster::start("new") else { return };
    cluster.api.set_object(applied(config_map("settings", &json!({"a": "1"}))));
    cluster.api.set_object(applied(config_map("old", &json!({"a": "1"}))));
    cluster.api.set_object(applied(role(&json!(["get"]))));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"p": "aHVudGVyMg=="},
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "shop"}}});
    let manifest =
        [config_map("settings", &json!({"a": "2"})), config_map("fresh", &json!({"a": "1"})), secret];
    let prune = ["--prune", "-l", "app=shop", "--prune-allowlist", "core/v1/ConfigMap"];
    let (output, reading) = cluster.diff(&manifest, &prune);
    assert_eq!(
        findings(&reading),
        [
            ("shop", "ConfigMap", "fresh", Action::Create),
            ("shop", "ConfigMap", "old", Action::Delete),
            ("shop", "ConfigMap", "settings", Action::Update),
            ("shop", "Secret", "db", Action::Create),
        ],
        "{output:?}"
    );
    assert_eq!(code_and_verdict(&output, &reading), (Some(1), Verdict::Drifted));
    let (output, reading) = cluster.diff(&[role(&json!(["get", "list"]))], &[]);
    assert_eq!(
        findings(&reading),
        [("", "ClusterRole.rbac.authorization.k8s.io", "shop:Read Only", Action::Update)],
        "{output:?}"
    );
}

#[test]
fn what_may_not_be_looked_at_fails_and_is_never_clean() {
    let Some(cluster) = Cluster::start("forbidden") else { return };
    let settings = config_map("settings", &json!({"a": "1"}));
    cluster.api.set_object(applied(settings.clone()));
    cluster.api.deny("PATCH", "deployments");
    cluster.api.set_object(applied(deployment("web:1")));
    let (output, reading) = cluster.diff(&[settings.clone(), deployment("web:2")], &[]);
    assert_eq!((output.status.code(), reading.class()), (Some(2), Some(Class::Forbidden)), "{output:?}");
    let missing = json!({"apiVersion": "example.com/v1", "kind": "Unheard", "metadata": {"name": "x"}});
    let (output, reading) = cluster.diff(&[settings, missing], &[]);
    assert_eq!((output.status.code(), reading.class()), (Some(2), Some(Class::Exit)), "{output:?}");
}

#[test]
fn a_server_that_is_gone_is_unreachable() {
    let Some(cluster) = Cluster::start("gone") else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (output, reading) = cluster.diff(&[deployment("web:1")], &["--server", &format!("http://{free}")]);
    assert_eq!((output.status.code(), reading.class()), (Some(2), Some(Class::Unreachable)), "{output:?}");
}
