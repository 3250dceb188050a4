//! The objects by themselves and among each other: schemas, rights of pods, names, selectors, ports.

use crate::support::tool;
use crate::{
    FOLDERS, PODS, SECRETS, arguments, at, containers, driftrun_of, kind, list, name, one, python, rendered,
    string, template, workload,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Objects in; out, for each, what is wrong with it: for the oldest version of Kubernetes that the README names, and for the newest that is known.
const VALIDATE: &str = "
import json, sys, kubernetes_validate as k
def problems(object):
    for version in ['1.30', k.latest_version()]:
        try:
            k.validate(object, version, strict=True)
        except k.ValidationError as error:
            yield version + ': ' + '.'.join(map(str, error.path)) + ': ' + error.message
        except k.SchemaNotFoundError:
            yield version + ': no schema'
json.dump([list(problems(object)) for object in json.load(sys.stdin)], sys.stdout)
";

/// Kinds of the Prometheus operator; everything else is Kubernetes' own.
fn is_the_operators(object: &Value) -> bool {
    string(object, "/apiVersion") == "monitoring.coreos.com/v1"
}

#[test]
fn objects_of_kubernetes_fit_its_schemas_strictly() {
    let Some(all) = rendered() else { return };
    let program = tool("python-of-tests").unwrap();
    let objects: Vec<&Value> = all.values().flatten().filter(|object| !is_the_operators(object)).collect();
    let problems = python(&program, VALIDATE, &json!(objects));
    for (object, problems) in objects.iter().zip(problems.as_array().unwrap()) {
        assert_eq!(problems, &json!([]), "{} {}", kind(object), name(object));
    }
    assert_eq!(objects.len(), FOLDERS.iter().map(|(_, names)| names.len()).sum::<usize>() - 4);

    // And the validator finds what is wrong, wherever it stands.
    let (deployment, _) = workload(&all["sidecar"]).unwrap();
    let spoilt = |pointer: &str, value: Value| {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut object = deployment.clone();
        object.pointer_mut(parent).unwrap()[key] = value;
        object
    };
    let bad = [
        spoilt("/spec/replica", json!(1)),
        spoilt("/spec/replicas", json!("1")),
        spoilt("/spec/template/spec/containers/0/volumeMount", json!([])),
        spoilt("/spec/template/spec/initContainers/0/startupProbe/httpGet/prot", json!("http")),
        json!({"apiVersion": "apps/v1", "kind": "Deploiment", "metadata": {"name": "x"}}),
    ];
    let problems = python(&program, VALIDATE, &json!(bad));
    let counts: Vec<usize> =
        problems.as_array().unwrap().iter().map(|some| some.as_array().unwrap().len()).collect();
    assert_eq!(counts, [2; 5], "{problems}");
}

/// The fields of the operator's kinds that are used here, as its API reference (v1) has them. A text is the type, `[…]` a list, `*` any other key, `!` a key that
/// must be there.
fn operator(kind: &str) -> Value {
    let selector = json!({"matchLabels": {"*": "string"}, "matchExpressions": [{"!key": "string", "!operator": "string", "values": ["string"]}]});
    let endpoint = json!({"!port": "string", "path": "string", "interval": "string", "scrapeTimeout": "string",
        "relabelings": [{"sourceLabels": ["string"], "targetLabel": "string", "replacement": "string"}]});
    match kind {
        "ServiceMonitor" => {
            json!({"jobLabel": "string", "!selector": selector, "podTargetLabels": ["string"], "!endpoints": [endpoint]})
        }
        "PodMonitor" => {
            json!({"jobLabel": "string", "!selector": selector, "podTargetLabels": ["string"], "!podMetricsEndpoints": [endpoint]})
        }
        "PrometheusRule" => json!({"!groups": [{"!name": "string", "interval": "string", "!rules": [{
            "record": "string", "alert": "string", "!expr": "string", "for": "string", "keep_firing_for": "string",
            "labels": {"*": "string"}, "annotations": {"*": "string"}}]}]}),
        other => panic!("{other} is no kind of the operator's that is used here"),
    }
}

/// Holds a value against a shape; where it differs.
fn misfits(value: &Value, shape: &Value, path: &str) -> Vec<String> {
    match (shape, value) {
        (Value::String(_), Value::String(_)) => vec![],
        (Value::Array(shape), Value::Array(values)) => {
            let each = values.iter().enumerate();
            each.flat_map(|(n, value)| misfits(value, &shape[0], &format!("{path}/{n}"))).collect()
        }
        (Value::Object(shape), Value::Object(values)) => {
            let needed = shape.keys().filter_map(|key| key.strip_prefix('!'));
            let missing =
                needed.filter(|key| !values.contains_key(*key)).map(|key| format!("{path}/{key} is missing"));
            let inner = values.iter().flat_map(|(key, value)| {
                let inner =
                    shape.get(key).or_else(|| shape.get(&format!("!{key}"))).or_else(|| shape.get("*"));
                let path = format!("{path}/{key}");
                inner.map_or_else(|| vec![format!("{path} is unknown")], |inner| misfits(value, inner, &path))
            });
            missing.chain(inner).collect()
        }
        (shape, value) => vec![format!("{path} is {value} and no {shape}")],
    }
}

#[test]
fn objects_of_the_prometheus_operator_have_the_shape_that_it_knows() {
    let Some(all) = rendered() else { return };
    let objects: Vec<&Value> = all.values().flatten().filter(|object| is_the_operators(object)).collect();
    assert_eq!(objects.len(), 4);
    for object in objects {
        let spec = at(object, "/spec");
        assert_eq!(misfits(spec, &operator(kind(object)), ""), [""; 0], "{} {}", kind(object), name(object));
    }
    let bad =
        json!({"selector": {"matchLabels": {"a": 1}}, "endpoint": [], "endpoints": [{"path": "/metrics"}]});
    let mut found = misfits(&bad, &operator("ServiceMonitor"), "");
    found.sort();
    assert_eq!(
        found,
        [
            "/endpoint is unknown",
            "/endpoints/0/port is missing",
            "/selector/matchLabels/a is 1 and no \"string\""
        ]
    );
}

#[test]
fn pods_have_no_more_rights_than_they_need() {
    let Some(all) = rendered() else { return };
    let (mut seen, mut with_token) = (0, Vec::new());
    for folder in PODS {
        let template = template(all, folder);
        let is = |value: &Value, pointer: &str, wanted: Value, of: &str| {
            assert_eq!(*at(value, pointer), wanted, "{folder}: {of}{pointer}");
        };
        is(template, "/spec/automountServiceAccountToken", json!(false), "pod");
        is(template, "/spec/enableServiceLinks", json!(false), "pod");
        is(template, "/spec/securityContext/runAsNonRoot", json!(true), "pod");
        is(template, "/spec/securityContext/runAsUser", json!(65532), "pod");
        is(template, "/spec/securityContext/runAsGroup", json!(65532), "pod");
        is(template, "/spec/securityContext/fsGroup", json!(65532), "pod");
        is(template, "/spec/securityContext/seccompProfile", json!({"type": "RuntimeDefault"}), "pod");
        for shared in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
            is(template, &format!("/spec/{shared}"), Value::Null, "pod");
        }
        for container in containers(template) {
            seen += 1;
            let of = string(container, "/name");
            let own = at(container, "/securityContext").as_object().unwrap().clone();
            let user = own.get("runAsUser").cloned();
            assert_eq!(user, (of == "git-sync").then(|| json!(65533)), "{folder}: {of}");
            let mut wanted = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            if let Some(user) = user {
                (wanted["runAsUser"], wanted["runAsGroup"]) = (user.clone(), user);
            }
            assert_eq!(Value::Object(own), wanted, "{folder}: {of}");
            let resources = at(container, "/resources");
            let keys = |of: &str| at(resources, of).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(
                (keys("/requests"), keys("/limits")),
                (vec!["cpu".to_owned(), "memory".to_owned()], vec!["memory".to_owned()]),
                "{folder}: {of}"
            );
            let tag = string(container, "/image").rsplit_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag != "latest" && !tag.contains('/')), "{folder}: {of}");
            if list(container, "/volumeMounts").iter().any(|mount| string(mount, "/name") == "cluster-access")
            {
                with_token.push((folder, of));
            }
        }
        // As pod-security.kubernetes.io/enforce=restricted wants it, but for the one that says so.
        let allowed = ["configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
        for volume in list(template, "/spec/volumes") {
            let kinds: Vec<&str> =
                volume.as_object().unwrap().keys().map(String::as_str).filter(|key| *key != "name").collect();
            let textfile = folder == "cronjob/textfile" && kinds == ["hostPath"];
            assert!(kinds.len() == 1 && (textfile || allowed.contains(&kinds[0])), "{folder}: {volume}");
            if kinds == ["emptyDir"] {
                assert_ne!(string(volume, "/emptyDir/sizeLimit"), "", "{folder}: {volume}");
            }
            if kinds == ["secret"] {
                assert_eq!(*at(volume, "/secret/defaultMode"), json!(0o440), "{folder}: {volume}");
            }
        }
    }
    assert_eq!(seen, 11);
    // Whose checks ask the cluster, and in no container that doesn't.
    let wanted = PODS.into_iter().filter(|folder| *folder != "base").map(|folder| (folder, "driftrun"));
    assert_eq!(with_token, wanted.collect::<Vec<_>>());
}

#[test]
fn what_pods_name_is_there() {
    let Some(all) = rendered() else { return };
    for folder in PODS {
        let objects = &all[folder];
        let named = |wanted: &str| -> BTreeSet<&str> {
            objects.iter().filter(|object| kind(object) == wanted).map(name).collect()
        };
        let (workload, template) = workload(objects).unwrap();
        let mut volumes: BTreeSet<&str> =
            list(workload, "/spec/volumeClaimTemplates").iter().map(name).collect();
        for volume in list(template, "/spec/volumes") {
            assert!(volumes.insert(string(volume, "/name")), "{folder}: {volume}");
            if let Some(map) = at(volume, "/configMap/name").as_str() {
                assert!(named("ConfigMap").contains(map), "{folder}: {map}");
            }
            if let Some(claim) = at(volume, "/persistentVolumeClaim/claimName").as_str() {
                assert!(named("PersistentVolumeClaim").contains(claim), "{folder}: {claim}");
            }
            if let Some(secret) = at(volume, "/secret/secretName").as_str() {
                assert!(SECRETS.contains(&secret), "{folder}: {secret}");
            }
        }
        let mut mounted = BTreeSet::new();
        for container in containers(template) {
            let mut paths = BTreeSet::new();
            for mount in list(container, "/volumeMounts") {
                mounted.insert(string(mount, "/name"));
                assert!(paths.insert(string(mount, "/mountPath")), "{folder}: {mount}");
                assert_eq!(*at(mount, "/subPath"), Value::Null, "{folder}: a subPath never sees a change");
            }
            let ports: Vec<&str> =
                list(container, "/ports").iter().map(|port| string(port, "/name")).collect();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let port = at(container, &format!("/{probe}/httpGet/port"));
                assert!(
                    port.is_null() || ports.contains(&port.as_str().unwrap()),
                    "{folder}: {probe} {port}"
                );
            }
        }
        assert_eq!(mounted, volumes, "{folder}: what is mounted and what there is");
        assert!(named("ServiceAccount").contains(string(template, "/spec/serviceAccountName")), "{folder}");
        let headless =
            objects.iter().find(|object| *at(object, "/spec/clusterIP") == json!("None")).map(name);
        assert_eq!(at(workload, "/spec/serviceName").as_str(), headless, "{folder}");
    }
}

/// Whether labels are what a selector asks for.
fn selects(selector: &Value, labels: &Value) -> bool {
    let matching = at(selector, "/matchLabels").as_object().cloned().unwrap_or_default();
    let expressions = list(selector, "/matchExpressions");
    assert!(!(matching.is_empty() && expressions.is_empty()), "it selects everything");
    matching.iter().all(|(key, value)| labels[key] == *value)
        && expressions.iter().all(|expression| {
            assert_eq!(string(expression, "/operator"), "In");
            list(expression, "/values").contains(&labels[string(expression, "/key")])
        })
}

#[test]
fn selectors_select_what_they_are_meant_to_and_nothing_else() {
    let Some(all) = rendered() else { return };
    // As if all of it were in one namespace: whom each selector finds.
    let pods: Vec<(&str, &Value)> = PODS.iter().map(|folder| (*folder, template(all, folder))).collect();
    let services: Vec<(&str, &Value)> = all
        .iter()
        .flat_map(|(folder, objects)| objects.iter().map(|object| (*folder, object)))
        .filter(|(_, object)| kind(object) == "Service")
        .collect();
    let found = |selector: &Value, among: &[(&'static str, &Value)]| -> Vec<&'static str> {
        among
            .iter()
            .filter(|(_, object)| selects(selector, at(object, "/metadata/labels")))
            .map(|(folder, _)| *folder)
            .collect()
    };
    let mut selected = BTreeMap::new();
    for (folder, objects) in all {
        for object in objects {
            let mut add = |what: &str, selector: &Value, among: &[(&'static str, &Value)]| {
                selected.insert(format!("{folder}: {what}"), found(selector, among));
            };
            let spec = at(object, "/spec");
            match kind(object) {
                "Service" => add("Service", &json!({"matchLabels": at(spec, "/selector")}), &pods),
                "NetworkPolicy" => add("NetworkPolicy", at(spec, "/podSelector"), &pods),
                kind @ ("Deployment" | "StatefulSet" | "PodDisruptionBudget" | "PodMonitor") => {
                    add(kind, at(spec, "/selector"), &pods);
                }
                "ServiceMonitor" => add("ServiceMonitor", at(spec, "/selector"), &services),
                _ => {}
            }
            for constraint in list(spec, "/template/spec/topologySpreadConstraints") {
                add("spread", at(constraint, "/labelSelector"), &pods);
            }
            let affinity =
                "/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
            for term in list(spec, affinity) {
                add("apart", at(term, "/podAffinityTerm/labelSelector"), &pods);
            }
        }
    }
    let servers = ["base", "sidecar"].as_slice();
    let shards = ["sharded"].as_slice();
    let wanted = [
        ("base: Service", servers),
        ("base: Deployment", servers),
        ("sidecar: Service", servers),
        ("sidecar: Deployment", servers),
        ("sharded: Service", shards),
        ("sharded: StatefulSet", shards),
        ("sharded: PodDisruptionBudget", shards),
        ("sharded: NetworkPolicy", shards),
        ("sharded: spread", shards),
        ("sharded: apart", shards),
        ("monitoring/servicemonitor: ServiceMonitor", servers),
        ("monitoring/podmonitor: PodMonitor", shards),
        ("monitoring/git-sync: PodMonitor", &["base", "sidecar", "sharded"]),
    ];
    assert_eq!(selected, wanted.into_iter().map(|(what, whom)| (what.to_owned(), whom.to_vec())).collect());
}

/// The number of a port by its name, in whichever container has it.
fn port(template: &Value, name: &str) -> Option<u64> {
    let ports = containers(template).flat_map(|container| list(container, "/ports"));
    ports.filter(|port| string(port, "/name") == name).find_map(|port| at(port, "/containerPort").as_u64())
}

#[test]
fn ports_are_called_the_same_everywhere() {
    let Some(all) = rendered() else { return };
    for folder in ["base", "sidecar", "sharded"] {
        let service = one(&all[folder], "Service");
        assert_eq!(string(service, "/spec/ports/0/targetPort"), "http", "{folder}");
        assert_eq!(string(service, "/spec/ports/0/name"), "http", "{folder}");
        let template = template(all, folder);
        // Where driftrun listens unless it is told otherwise.
        assert_eq!(port(template, "http"), Some(9152), "{folder}");
        assert!(
            !arguments(driftrun_of(template)).iter().any(|argument| argument.contains("listen")),
            "{folder}"
        );
        let bound = containers(template)
            .flat_map(arguments)
            .find_map(|argument| argument.strip_prefix("--http-bind=:"));
        assert_eq!(bound.map(|port| port.parse().unwrap()), port(template, "git-sync"), "{folder}");
    }
    let policy = one(&all["sharded"], "NetworkPolicy");
    assert_eq!(
        *at(policy, "/spec/ingress/0/ports"),
        json!([{"port": "http"}, {"port": port(template(all, "sharded"), "git-sync")}])
    );
    let endpoint = |folder: &str, kind: &str, endpoints: &str| {
        let endpoints = list(one(&all[folder], kind), endpoints);
        assert_eq!(endpoints.len(), 1, "{folder}");
        (string(&endpoints[0], "/port").to_owned(), string(&endpoints[0], "/path").to_owned())
    };
    let metrics = |port: &str| (port.to_owned(), "/metrics".to_owned());
    assert_eq!(endpoint("monitoring/servicemonitor", "ServiceMonitor", "/spec/endpoints"), metrics("http"));
    assert_eq!(endpoint("monitoring/podmonitor", "PodMonitor", "/spec/podMetricsEndpoints"), metrics("http"));
    assert_eq!(
        endpoint("monitoring/git-sync", "PodMonitor", "/spec/podMetricsEndpoints"),
        metrics("git-sync")
    );
    // The label that becomes `job`, by which the alerts know driftrun.
    for (folder, kind, of) in [
        ("monitoring/servicemonitor", "ServiceMonitor", one(&all["base"], "Service")),
        ("monitoring/podmonitor", "PodMonitor", template(all, "sharded")),
    ] {
        let label = string(one(&all[folder], kind), "/spec/jobLabel");
        assert_eq!(at(of, "/metadata/labels")[label], json!("driftrun"), "{folder}");
    }
}
