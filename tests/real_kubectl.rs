//! Real kubectl and real diff against the stand-in API server, run by driftrun: what somebody edits in the cluster is in the next
//! scrape, and gone from it when it is as in the manifest again.

#[path = "support/kube_api.rs"]
mod kube_api;
mod support;

use kube_api::KubeApi;
use serde_json::{Value, json};
use support::{Folder, Server, tool};

fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value}, "metadata": {"name": "settings", "namespace": "shop"}})
}

fn deployment(image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": image}]}},
    }})
}

/// An object as `kubectl apply` leaves it: with the manifest in an annotation.
fn applied(mut object: Value) -> Value {
    let text = object.to_string() + "\n";
    object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": text});
    object
}

/// An object that somebody edited in the cluster: its annotation still says what was applied.
fn edited(applied: &Value, pointer: &str, value: Value) -> Value {
    let mut object = applied.clone();
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

#[test]
fn a_field_edited_in_the_cluster_is_drift_of_its_object_until_it_is_restored() {
    let Some(kubectl) = tool("kubectl").filter(|_| tool("diff").is_some()) else { return };
    let api = KubeApi::start();
    let folder = Folder::new("kubectl");
    let kubeconfig = api.kubeconfig(folder.path());
    let objects = [config_map("1"), deployment("web:1")];
    let manifest = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let manifest = folder.write("manifest.json", &manifest.to_string());
    let [settings, web] = objects.map(applied);
    api.set_object(settings);
    api.set_object(web.clone());
    let config = json!({"checks": [{
        "name": "kubediff",
        "command": [kubectl, "--kubeconfig", kubeconfig, "diff", "-f", manifest],
        "interval": "500ms",
        "env": {"HOME": folder.path()},
        "labels": {"layer": "application"},
    }]});
    let config = folder.write("driftrun.yaml", &config.to_string());
    let mut server = Server::serve(&config);
    server.wait_for_run("kubediff");
    let good = |server: &Server| server.scrape().good("kubediff");
    assert_eq!(good(&server), ("clean".to_owned(), vec![]));

    api.set_object(edited(&web, "/spec/replicas", json!(5)));
    server.wait_for_fresh_runs(&["kubediff"]);
    let labels = r#"layer="application",scope="shop",kind="Deployment.apps",name="web",action="update",outside="false""#;
    assert_eq!(good(&server), ("drifted".to_owned(), vec![labels.to_owned()]));

    // A server that refuses says nothing about drift: the last good report's series stay.
    api.deny("GET", "deployments");
    server.wait_for_fresh_runs(&["kubediff"]);
    let scrape = server.scrape();
    assert_eq!(
        (scrape.verdict("kubediff").as_deref(), scrape.drift("kubediff")),
        (Some("failed"), vec![labels.to_owned()])
    );
    let failure = scrape.samples("driftrun_check_failure_info", "kubediff");
    assert_eq!(failure.into_keys().collect::<Vec<_>>(), [r#"layer="application",class="forbidden""#]);

    api.allow_all();
    api.set_object(web);
    server.wait_for_fresh_runs(&["kubediff"]);
    assert_eq!(good(&server), ("clean".to_owned(), vec![]));
    assert_eq!(server.stop(), Some(0));
}
