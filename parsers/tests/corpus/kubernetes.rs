//! Recorded runs of kubectl 1.27 to 1.36 and of kubediff, and what public repositories hold of their output and of that of
//! helm diff, flux and argocd.

use crate::Case;
use driftrun_parsers::{Action, DriftReport, Verdict};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Namespace, kind with group, name, action.
type Object = (String, String, String, Action);

pub fn cases(root: &Path) -> Vec<Case> {
    let root = root.join("kubernetes");
    let mut cases = generated(&root);
    cases.extend(public(&root));
    cases
}

/// Every output as another tool's, with a code that says nothing.
pub fn mistaken(root: &Path) -> Vec<Case> {
    cases(root).iter().flat_map(foreign).collect()
}

fn foreign(case: &Case) -> Vec<Case> {
    const PEERS: [&str; 4] = ["argocd", "flux", "helm-diff", "kubediff"];
    // An empty line is nothing, whoever printed it.
    let empty = case.stdout.iter().all(u8::is_ascii_whitespace);
    let others = PEERS.iter().filter(|peer| **peer != case.parser && !empty);
    others
        .map(|parser| Case {
            path: format!("{} as {parser}", case.path),
            parser,
            argv: Vec::new(),
            exit: None,
            stdout: case.stdout.clone(),
            stderr: case.stderr.clone(),
            promised: false,
            check: Box::new(|_| Err("read as another tool's".to_owned())),
            verdicts: vec![Verdict::Unreadable, Verdict::Failed],
        })
        .collect()
}

/// A differ without a voice: same bytes and same code as a clean run, with or without drift.
const SILENT_DIFFER: &[&str] = &["ext-true"];

/// What kubectl said to kubediff was an error.
const FAILED: &[&str] = &["kubediff/forbidden", "kubediff/unreachable"];

/// Other formats, or run through another program that changes the text: refused or read right, never clean.
const OTHER: &[&str] = &["ext-icdiff", "kubecolor-", "toybox-"];

/// Runs of dyff that name their objects.
const DYFF: &[&str] =
    &["dyff-custom-resources", "dyff-many", "dyff-mixed", "dyff-same-name-two-namespaces", "dyff-single-new"];

fn generated(root: &Path) -> Vec<Case> {
    let root = root.join("generated");
    let mut found: Vec<PathBuf> = ["", "argocd-emulated", "kubediff", "trace"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|e| e == "stdout"))
        .collect();
    found.sort();
    found.into_iter().map(|stdout| recorded(&root, &stdout)).collect()
}

fn recorded(root: &Path, stdout: &Path) -> Case {
    let name = stdout.strip_prefix(root).unwrap().with_extension("").to_string_lossy().into_owned();
    let bytes = fs::read(stdout).unwrap();
    let meta = fs::read(stdout.with_extension("meta.json"))
        .map_or(Value::Null, |meta| serde_json::from_slice(&meta).unwrap());
    let exit = match meta["exit_code"].as_i64() {
        Some(code) => i32::try_from(code).unwrap(),
        // Request logs come without one.
        None => i32::from(!bytes.is_empty()),
    };
    let argv: Vec<String> = meta["command"]
        .as_array()
        .map(|words| words.iter().map(|word| word.as_str().unwrap().to_owned()).collect())
        .unwrap_or_default();
    let env = meta["env"]["KUBECTL_EXTERNAL_DIFF"].as_str().unwrap_or("diff -u -N");
    let unified = env.contains("-u") || env.contains("-U") || env.contains("/git-diff-");
    let parser = match name.split_once('/') {
        Some(("argocd-emulated", _)) => "argocd",
        Some(("kubediff", _)) => "kubediff",
        _ => "kubectl",
    };
    // Messages of plain diff in other languages are refused.
    let plain = env == "diff" && !name.starts_with("lang-");
    let read = unified || plain || parser != "kubectl" || DYFF.contains(&name.as_str());
    let promised = read && !OTHER.iter().any(|other| name.starts_with(other));
    let stderr = fs::read(stdout.with_extension("stderr")).unwrap_or_default();
    let expected = objects(&meta["expect"]).or_else(|| truth(&name));
    let verdicts = match (exit, bytes.is_empty()) {
        _ if name.starts_with("stdin-") && exit == 0 => vec![Verdict::Unreadable],
        _ if name.starts_with("prune-partial-failure-exit") => vec![Verdict::Failed],
        (1, _) if parser == "kubediff" => vec![Verdict::Failed],
        (2, _) if parser == "kubediff" && !FAILED.contains(&name.as_str()) => {
            vec![if name.contains("/all") { Verdict::Failed } else { Verdict::Drifted }]
        }
        (0, false) if name == "kubediff/no-error-on-diff" => vec![Verdict::Drifted],
        (0, true) if expected.as_ref().is_some_and(Vec::is_empty) => vec![Verdict::Clean],
        (0, true) if SILENT_DIFFER.contains(&name.as_str()) => vec![Verdict::Clean],
        // A path that isn't there: kubediff's code is 0.
        (0, true) if parser != "kubectl" => vec![Verdict::Clean],
        (0, true) => vec![],
        // dyff prints an empty line when nothing differs.
        (0, false) if name == "dyff-nodiff" => vec![Verdict::Clean],
        (1, false) if promised => vec![Verdict::Drifted],
        (0 | 1, false) => vec![Verdict::Drifted, Verdict::Unreadable],
        _ => vec![Verdict::Failed],
    };
    let read = verdicts == [Verdict::Drifted] || verdicts == [Verdict::Partial];
    assert!(!read || !promised || bytes.is_empty() || expected.is_some(), "{name}: no truth");
    Case {
        path: format!("kubernetes/generated/{name}"),
        parser,
        argv,
        exit: Some(exit),
        stdout: bytes,
        stderr,
        promised,
        check: Box::new(move |report| compare(report, expected.as_deref())),
        verdicts,
    }
}

/// What the recorder didn't note, read from the outputs by a person.
fn truth(name: &str) -> Option<Vec<Object>> {
    let web = "shop Deployment.apps web changed";
    let rewritten =
        "shop Deployment.apps web changed, shop ConfigMap settings changed, shop Service web changed";
    let new = "shop Deployment.apps api added, shop ConfigMap api-settings added";
    let mut all: Vec<Object> = match name {
        "manual-extra-label" | "readonly-user-nodiff" => "",
        "deployment-image-replicas-ssa-conflict"
        | "srv1.20-kubectl-dispatcher"
        | "kubecolor-diff"
        | "kubecolor-diff-force"
        | "trace/cold-client-side"
        | "trace/cold2-server-side"
        | "trace/warm-client-side"
        | "kubediff/drift"
        | "kubediff/no-error-on-diff" => web,
        "dyff-single-new" | "trace/new-client-side" | "trace/new-server-side" => new,
        "dyff-same-name-two-namespaces" => "default ConfigMap settings added, shop ConfigMap settings changed",
        "rbac-colon-plain-diff" => {
            " ClusterRole.rbac.authorization.k8s.io acme.io:viewer changed, \
             \x20ClusterRole.rbac.authorization.k8s.io brand:new added, \
             \x20ClusterRole.rbac.authorization.k8s.io custom:node.reader changed, \
             \x20ClusterRole.rbac.authorization.k8s.io system:node changed"
        }
        "trace/prune" => {
            "shop ConfigMap keep changed, shop ConfigMap old-settings deleted, shop ConfigMap prune-new added"
        }
        "dyff-custom-resources" | "trace/crd-client-side" => {
            "shop lowerkind.acme.example.com low.v1.name changed, shop Thing-With-Dash.acme.example.com dash changed, \
             shop Widget.acme.example.com w.one.example.com changed"
        }
        "busybox-adversarial" => "shop Widget.acme.example.com evil changed",
        "ext-ignore-all-space" => "shop ConfigMap blank changed",
        "prune-forbidden-list" => "shop ConfigMap old-settings deleted",
        "prune-partial-failure-exit1" => "shop ConfigMap keep changed, shop ConfigMap prune-new added",
        "same-object-two-api-versions" => "shop HorizontalPodAutoscaler.autoscaling web changed",
        "ssa-of-client-side-applied-unchanged" | "ssa-of-client-side-applied-unchanged-force" => rewritten,
        "ver1.36-secret-changed-show-secrets" => "shop Secret db changed",
        "ver1.36-secret-new-show-secrets" => "shop Secret fresh added",
        "warning-unknown-field" => "shop ConfigMap settings changed",
        "warnings-as-errors" => "shop Endpoints legacy added",
        "kubediff/drift-json" => "- - kd/drift/dep-changed.yaml changed",
        "kubediff/lists" => {
            "shop Deployment.apps web changed, shop ConfigMap adversarial changed, default ConfigMap settings added, \
             default ClusterRole.rbac.authorization.k8s.io custom:node.reader changed"
        }
        "kubediff/lists-json" => "- - kd/lists/a.yaml changed",
        "kubediff/missing-json" => "- - kd/missing/new.yaml added",
        "kubediff/secret-json" => "- - kd/secret/sec2.yaml changed",
        "kubediff/all" => {
            "shop Deployment.apps api added, shop ConfigMap api-settings added, shop Secret db changed, \
             shop Deployment.apps web changed, shop ConfigMap adversarial changed, default ConfigMap settings added, \
             default ClusterRole.rbac.authorization.k8s.io custom:node.reader changed"
        }
        "kubediff/all-json" => {
            "- - kd/drift/dep-changed.yaml changed, - - kd/lists/a.yaml changed, - - kd/missing/new.yaml added, \
             - - kd/secret/sec2.yaml changed"
        }
        _ => return None,
    }
    .split(", ")
    .filter(|object| !object.is_empty())
    .map(|object| match object.split(' ').collect::<Vec<_>>()[..] {
        // Files have neither namespace nor kind.
        ["-", "-", name, word] => (String::new(), String::new(), name.to_owned(), action(word)),
        [scope, kind, name, word] => (scope.to_owned(), kind.to_owned(), name.to_owned(), action(word)),
        _ => panic!("{object}"),
    })
    .collect();
    all.sort();
    Some(all)
}

fn action(word: &str) -> Action {
    match word {
        "added" => Action::Create,
        "changed" | "suppressed" => Action::Update,
        "ownership" => Action::Change,
        "deleted" => Action::Delete,
        other => panic!("{other}"),
    }
}

fn objects(expected: &Value) -> Option<Vec<Object>> {
    let mut all: Vec<Object> = expected
        .as_array()?
        .iter()
        .map(|object| {
            let part = |at: usize| object[at].as_str().unwrap();
            let kind = match part(0) {
                // Flux doesn't tell the group, and helm diff writes the core group's version.
                "" | "?" | "v1" => part(2).to_owned(),
                group => format!("{}.{group}", part(2)),
            };
            (part(3).to_owned(), kind, part(4).to_owned(), action(part(5)))
        })
        .collect();
    all.sort();
    // The gravest of an object's actions comes first.
    all.dedup_by(|b, a| (&a.0, &a.1, &a.2) == (&b.0, &b.1, &b.2));
    Some(all)
}

fn compare(report: &DriftReport, expected: Option<&[Object]>) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let got: Vec<Object> = report
        .resources()
        .iter()
        .map(|r| (r.scope.clone(), r.kind.clone(), r.name.clone(), r.action))
        .collect();
    if got == expected { Ok(()) } else { Err(format!("read {got:?}, expected {expected:?}")) }
}

fn public(root: &Path) -> Vec<Case> {
    let root = root.join("public");
    let index = fs::read_to_string(root.join("index.tsv")).unwrap();
    index
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let (file, format) = (fields[0], fields[2]);
            let kubectl = format.starts_with("kubectl-diff") || format == "tanka-diff";
            let (parser, exit) = match format {
                _ if format.starts_with("argocd-") => ("argocd", 1),
                _ if format.starts_with("flux-") => ("flux", 1),
                _ if format.starts_with("helm-diff-") => ("helm-diff", 2),
                // Objects that it can't parse don't change its code.
                _ if format.starts_with("kubediff-") => ("kubediff", 0),
                _ => ("kubectl", 1),
            };
            let peer = parser != "kubectl";
            let expected = serde_json::from_str(fields[3]).ok().filter(|_| kubectl || peer);
            let expected = expected.as_ref().and_then(objects);
            Case {
                path: format!("kubernetes/public/{file}"),
                parser,
                argv: Vec::new(),
                exit: Some(exit),
                stdout: fs::read(root.join(file)).unwrap(),
                stderr: Vec::new(),
                // A hunk that was shortened by hand.
                promised: peer && format != "argocd-app-diff-unified",
                check: Box::new(move |report| compare(report, expected.as_deref())),
                verdicts: match parser {
                    "kubediff" => vec![Verdict::Failed],
                    "argocd" => vec![Verdict::Drifted, Verdict::Unreadable],
                    _ if peer => vec![Verdict::Drifted],
                    _ => vec![Verdict::Drifted, Verdict::Unreadable, Verdict::Failed],
                },
            }
        })
        .collect()
}
