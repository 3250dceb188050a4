//! What the service account may do, beside what a real `kubectl diff` asks for.

use crate::kube_api::KubeApi;
use crate::support::{Folder, tool};
use crate::{at, list, name, one, rendered, string};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value},
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "shop"}}})
}

/// An object as `kubectl apply` leaves it.
fn applied(mut object: Value) -> Value {
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": object.to_string() + "\n"});
    object
}

/// Verb, group and resource of each request that is no discovery, as RBAC sees them.
fn asked(requests: &[String]) -> BTreeSet<(&'static str, String, String)> {
    let mut found = BTreeSet::new();
    for request in requests {
        let (method, path) = request.split_once(' ').unwrap();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match &parts[..] {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => continue,
        };
        let rest = match rest {
            ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
            rest => rest,
        };
        let verb = match (method, rest) {
            (_, []) => continue,
            ("GET", [_]) => "list",
            ("GET", _) => "get",
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            _ => panic!("{request}"),
        };
        found.insert((verb, group.to_owned(), rest[0].to_owned()));
    }
    found
}

#[test]
fn roles_allow_what_kubectl_diff_asks_and_no_other_verb() {
    let Some(all) = rendered() else { return };
    let Some(kubectl) = tool("kubectl").filter(|_| tool("diff").is_some()) else { return };
    let folder = Folder::new("rights");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "shop"}}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}},
    }});
    let manifest = json!({"apiVersion": "v1", "kind": "List", "items": [config_map("changed", "1"), config_map("same", "1"), deployment]});
    let manifest = folder.write("manifest.json", &manifest.to_string());
    let diff = |flags: &[&str]| {
        let api = KubeApi::start();
        let mut edited = applied(config_map("changed", "1"));
        edited["data"]["a"] = json!("2");
        api.set_object(edited);
        api.set_object(applied(config_map("same", "1")));
        let kubeconfig = api.kubeconfig(folder.path());
        // Its namespace is asked for, so that the error can name it; that this is refused is nothing to kubectl.
        api.deny("GET", "namespaces");
        let output = Command::new(&kubectl)
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["diff", "-f", manifest.to_str().unwrap()])
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let mut asked = asked(&api.requests());
        assert!(asked.remove(&("get", String::new(), "namespaces".to_owned())), "{asked:?}");
        asked
    };
    let of = |verb, group: &str, resource: &str| (verb, group.to_owned(), resource.to_owned());
    let plain = diff(&[]);
    let wanted = [
        of("get", "", "configmaps"),
        of("patch", "", "configmaps"),
        of("get", "apps", "deployments"),
        of("create", "apps", "deployments"),
    ];
    assert_eq!(plain, BTreeSet::from(wanted));
    for (folder, kind) in [("rbac/namespace", "Role"), ("rbac/cluster", "ClusterRole")] {
        let role = one(&all[folder], kind);
        let verbs: BTreeSet<&str> = list(role, "/rules")
            .iter()
            .flat_map(|rule| list(rule, "/verbs"))
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            verbs,
            plain.iter().map(|(verb, ..)| *verb).collect(),
            "{kind}: the verbs that were asked for, and no other"
        );
        for (verb, group, resource) in &plain {
            let allows = |rule: &Value| {
                let has = |key: &str, value: &str| list(rule, key).contains(&json!(value));
                has("/apiGroups", group) && has("/resources", resource) && has("/verbs", verb)
            };
            assert!(list(role, "/rules").iter().any(allows), "{kind}: {verb} {resource}.{group}");
        }
        // Those that can be used to get more rights, or to read what nobody should.
        let resources: BTreeSet<&str> = list(role, "/rules")
            .iter()
            .flat_map(|rule| list(rule, "/resources"))
            .filter_map(Value::as_str)
            .collect();
        for bad in [
            "*",
            "secrets",
            "pods",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
            "validatingadmissionpolicies",
        ] {
            assert!(!resources.contains(bad), "{kind}: {bad}");
        }
    }
    // With --prune also `list`, and nothing else; only that the Role leaves out.
    let pruning = ["--prune", "-l", "app=shop", "--prune-allowlist=core/v1/ConfigMap"];
    let more: BTreeSet<_> = diff(&pruning).difference(&plain).cloned().collect();
    assert_eq!(more, BTreeSet::from([of("list", "", "configmaps")]));
}

#[test]
fn the_policy_is_about_the_account_that_the_roles_are_for() {
    let Some(all) = rendered() else { return };
    let account = one(&all["base"], "ServiceAccount");
    let subject = json!({"kind": "ServiceAccount", "name": name(account), "namespace": string(account, "/metadata/namespace")});
    for (folder, kind) in [("rbac/namespace", "RoleBinding"), ("rbac/cluster", "ClusterRoleBinding")] {
        let binding = one(&all[folder], kind);
        assert_eq!(*at(binding, "/subjects"), json!([subject]));
        let role = one(&all[folder], string(binding, "/roleRef/kind"));
        assert_eq!(string(binding, "/roleRef/name"), name(role));
        assert_eq!(at(binding, "/metadata/namespace"), at(role, "/metadata/namespace"));
    }
    let policy = one(&all["rbac/dry-run-only"], "ValidatingAdmissionPolicy");
    let binding = one(&all["rbac/dry-run-only"], "ValidatingAdmissionPolicyBinding");
    assert_eq!(
        *at(binding, "/spec"),
        json!({"policyName": name(policy), "validationActions": ["Deny", "Audit"]})
    );
    let who = format!(
        "request.userInfo.username == \"system:serviceaccount:{}:{}\"",
        string(&subject, "/namespace"),
        name(account)
    );
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]},
        "matchConditions": [{"name": "is-driftrun", "expression": who}],
        "validations": [{
            "expression": "has(request.dryRun) && request.dryRun",
            "message": "driftrun's service account may only ask for dry runs",
            "reason": "Forbidden",
        }],
    });
    assert_eq!(*at(policy, "/spec"), spec);
}
