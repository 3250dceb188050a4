//! What runs in the pods: the real driftrun with each container's arguments, configuration and environment, on this machine.

use crate::support::{self, Folder, Server, driftrun, ended, tool};
use crate::{
    PODS, READ, Rendered, arguments, at, containers, driftrun_of, kind, list, name, python, rendered, string,
    template, text, workload,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// A pod's driftrun container on this machine: each mounted volume a folder below one of its own.
struct Pod {
    root: Folder,
    arguments: Vec<String>,
    container: Value,
}

impl Pod {
    fn new(all: &Rendered, folder: &str) -> Self {
        let template = template(all, folder);
        let container = driftrun_of(template).clone();
        let root = Folder::new("pod");
        let mounts: Vec<&str> =
            list(&container, "/volumeMounts").iter().map(|mount| string(mount, "/mountPath")).collect();
        // A path begins where a word begins, and it is the volume's own or one below it; or the program's.
        let pattern = format!(r#"(^|[\s="'\[,])({}|/usr/bin/driftrun)([/"'\],\s]|$)"#, mounts.join("|"));
        let pattern = regex::Regex::new(&pattern).unwrap();
        let here = root.path().to_str().unwrap().to_owned();
        let moved = |text: &str| pattern.replace_all(text, format!("$1{here}$2$3")).into_owned();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_driftrun"), root.path().join("usr/bin/driftrun")).unwrap();
        for mount in &mounts {
            fs::create_dir_all(root.path().join(&mount[1..])).unwrap();
        }
        let config = list(template, "/spec/volumes")
            .iter()
            .find(|volume| string(volume, "/name") == "config")
            .unwrap();
        let maps = all[folder].iter().filter(|object| kind(object) == "ConfigMap");
        let map = maps.filter(|map| name(map) == string(config, "/configMap/name")).collect::<Vec<_>>();
        for (file, text) in at(map[0], "/data").as_object().unwrap() {
            root.write(&format!("etc/driftrun/{file}"), &moved(text.as_str().unwrap()));
        }
        if mounts.contains(&"/git") {
            // As git-sync leaves it.
            for file in ["terraform/dns/main.tf", "terraform/network/main.tf", "kubernetes/shop/web.yaml"] {
                root.write(&format!("git/.worktrees/c0ffee/{file}"), "");
            }
            symlink(".worktrees/c0ffee", root.path().join("git/current")).unwrap();
        }
        if mounts.contains(&"/etc/driftrun-secrets") {
            root.write("etc/driftrun-secrets/terraform.env", "AWS_PROFILE=reader\n");
        }
        let arguments = arguments(&container).into_iter().map(moved).collect();
        Self { root, arguments, container }
    }

    /// Makes `program` one that does this. A shell writes it: while this process has it open, a child that another thread starts has, too, and then it
    /// can't be executed.
    fn tool(&self, program: &str, script: &str) {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let path = self.root.path().join("bin").join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let written = Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(script).status().unwrap();
        assert!(written.success(), "{program}");
    }

    /// driftrun with the container's environment, and the tools made here before all others.
    fn command(&self) -> Command {
        // The arguments are those of the image's ENTRYPOINT.
        assert_eq!(*at(&self.container, "/command"), Value::Null);
        let env = list(&self.container, "/env");
        assert!(env.contains(&json!({"name": "HOME", "value": "/tmp"})), "{env:?}");
        let pod_name = json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        let named = self.arguments.iter().any(|argument| argument.contains("$(POD_NAME)"));
        assert_eq!(env.contains(&pod_name), named, "{env:?}");
        let bin = self.root.path().join("bin");
        let mut command = driftrun();
        command
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.root.path().join("tmp"));
        command.current_dir(self.root.path());
        command
    }

    fn config(&self) -> PathBuf {
        self.root.path().join("etc/driftrun/driftrun.yaml")
    }
}

/// What each folder's configuration comes to over that checkout.
const CHECKS: [(&str, &[&str]); 6] = [
    ("base", &["configuration"]),
    ("sidecar", &["kubediff-shop", "terradiff-dns", "terradiff-network"]),
    ("sharded", &["kubediff-shop", "terradiff-dns", "terradiff-network"]),
    ("cronjob/base", &["kubediff-shop"]),
    ("cronjob/push", &["kubediff-shop"]),
    ("cronjob/textfile", &["kubediff-shop"]),
];

#[test]
fn every_configuration_is_good() {
    let Some(all) = rendered() else { return };
    assert_eq!(CHECKS.map(|(folder, _)| folder), PODS);
    for (folder, checks) in CHECKS {
        let pod = Pod::new(all, folder);
        let config = pod.config();
        let config = config.to_str().unwrap();
        assert!(pod.arguments.contains(&format!("--config.file={config}")), "{folder}: {:?}", pod.arguments);
        let s = if checks.len() == 1 { "" } else { "s" };
        let said = format!("{config} is good: {} check{s}\n", checks.len());
        assert_eq!(ended(&["config", "check", config]), (said, String::new(), Some(0)), "{folder}");
        // Nothing in it is outside of what is mounted, and how many run at once is said.
        let text = text(&pod.config());
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(|line| line.split([' ', '"', '\'', '[', ']', ',', '=']));
        let paths: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
        let here = pod.root.path().to_str().unwrap();
        assert!(paths.len() > 1 && paths.iter().all(|path| path.starts_with(here)), "{folder}: {paths:?}");
        // The one check that needs no other tool works.
        if folder == "base" {
            let (table, _, code) = ended(&["once", "--config.file", config]);
            assert!(table.starts_with("✓ clean  configuration ") && code == Some(0), "{table}");
        }
        assert!(text.contains("\nmax_concurrent: ") || text.starts_with("max_concurrent: "), "{folder}");
    }
}

#[test]
fn servers_start_with_the_pods_arguments_and_answer_the_probes() {
    let Some(all) = rendered() else { return };
    for (folder, checks) in &CHECKS[..3] {
        let pod = Pod::new(all, folder);
        pod.tool("kubectl", "exit 0");
        pod.tool("terraform", "exit 1");
        let replicas = at(workload(&all[folder]).unwrap().0, "/spec/replicas").as_u64().unwrap();
        let mut found = Vec::new();
        for index in 0..replicas {
            // A pod has its number from its host's name, which is its own.
            let pod_name = format!("driftrun-{index}");
            let number = (replicas > 1).then(|| format!("--shard.index={index}"));
            let arguments: Vec<String> =
                pod.arguments.iter().map(|argument| argument.replace("$(POD_NAME)", &pod_name)).collect();
            let arguments: Vec<&str> = arguments.iter().chain(&number).map(String::as_str).collect();
            assert!(!arguments.iter().any(|argument| argument.contains("$(")), "{arguments:?}");
            let server = Server::start(pod.command(), &arguments, &[]);
            for (probe, path) in [
                ("startupProbe", "/-/ready"),
                ("readinessProbe", "/-/ready"),
                ("livenessProbe", "/-/healthy"),
            ] {
                let get = at(&pod.container, &format!("/{probe}/httpGet"));
                assert_eq!(*get, json!({"path": path, "port": "http"}), "{folder}: {probe}");
                let (head, _) = server.get(path);
                assert!(head.starts_with("HTTP/1.1 200 "), "{folder}: {probe}: {head}");
                // What README.md has a probe run where users are asked for.
                let url = format!("http://{}{path}", server.address);
                assert_eq!(ended(&["health", &url]), (format!("{url}: 200 OK\n"), String::new(), Some(0)));
            }
            let scrape = server.scrape();
            let series = support::series(&scrape.0, "driftrun_");
            for (metric, labels) in series.keys() {
                if metric == "driftrun_check_info" {
                    let host = if replicas > 1 { format!("{pod_name}.") } else { String::new() };
                    let url = format!("https://{host}driftrun.example.com/checks/{}", labels["check"]);
                    assert_eq!(labels.get("url"), Some(&url), "{folder}");
                    found.push(labels["check"].clone());
                }
            }
            let total = series.get(&("driftrun_total_shards".to_owned(), BTreeMap::new()));
            #[expect(clippy::cast_precision_loss, reason = "four")]
            let wanted = (replicas > 1).then_some(replicas as f64);
            assert_eq!(total.copied(), wanted, "{folder}");
            assert_eq!(server.stop(), Some(0), "{folder}");
        }
        found.sort();
        assert_eq!(found, *checks, "{folder}: each check on one pod");
    }
}

/// What `kubectl diff` prints when the `ConfigMap` `web` of `shop` differs.
const DRIFT: &str = "cat <<'END'
diff -u -N /tmp/LIVE-1/v1.ConfigMap.shop.web /tmp/MERGED-2/v1.ConfigMap.shop.web
--- /tmp/LIVE-1/v1.ConfigMap.shop.web
+++ /tmp/MERGED-2/v1.ConfigMap.shop.web
@@ -1,7 +1,7 @@
 apiVersion: v1
 data:
-  x: a
+  x: b
 kind: ConfigMap
 metadata:
   name: web
   namespace: shop
END
exit 1";

#[test]
fn rounds_deliver_and_end_with_the_code_that_the_job_is_told_of() {
    let Some(all) = rendered() else { return };
    let rounds = [("exit 0", 0), (DRIFT, 2), ("echo refused >&2; exit 2", 1)];
    for (folder, _) in &CHECKS[3..] {
        for (script, code) in rounds {
            let pod = Pod::new(all, folder);
            pod.tool("kubectl", script);
            let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = gateway.local_addr().unwrap();
            let pushed = std::thread::spawn(move || pushed(&gateway));
            let arguments = pod
                .arguments
                .iter()
                .map(|argument| argument.replace("pushgateway.monitoring.svc:9091", &address.to_string()));
            let output = pod.command().args(arguments).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{folder}: {stderr}");
            if *folder != "cronjob/push" {
                // Nobody else has come.
                TcpStream::connect(address).unwrap().write_all(b"NONE / HTTP/1.0\r\n\r\n").unwrap();
            }
            let (request, body) = pushed.join().unwrap();
            let group = "/metrics/job/driftrun/check/kubediff-shop HTTP/1.1";
            let metrics = match *folder {
                "cronjob/push" => {
                    assert_eq!(request, format!("{} {group}", if code == 1 { "POST" } else { "PUT" }));
                    Some(body)
                }
                "cronjob/textfile" => {
                    Some(text(&pod.root.path().join("textfile/driftrun_kubediff-shop.prom")))
                }
                _ => None,
            };
            assert_eq!(metrics.is_none(), *folder == "cronjob/base");
            if let Some(metrics) = metrics {
                // `check` is in the group's name where it is pushed.
                let value = |name: &str| {
                    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
                    lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
                };
                assert_eq!(value("driftrun_check_interval_seconds"), ["3600"], "{folder}\n{metrics}");
                assert_eq!(value("driftrun_check_success"), [if code == 1 { "0" } else { "1" }], "{folder}");
                assert_eq!(value("driftrun_resource_drift").len(), usize::from(code == 2), "{folder}");
                assert!(pod.root.path().join("var/lib/driftrun/state/checks").is_dir(), "{folder}");
            }
        }
    }
}

/// The first request that comes, answered with 200: its line and body.
fn pushed(gateway: &TcpListener) -> (String, String) {
    let (stream, _) = gateway.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request).unwrap();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim_end().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (request.trim_end().to_owned(), String::from_utf8(body).unwrap())
}

#[test]
fn a_jobs_failures_are_answers_and_not_tried_again() {
    let Some(all) = rendered() else { return };
    for folder in &PODS[3..] {
        let (cron, template) = workload(&all[folder]).unwrap();
        assert_eq!(string(cron, "/spec/concurrencyPolicy"), "Forbid");
        let job = at(cron, "/spec/jobTemplate/spec");
        assert_eq!((at(job, "/backoffLimit"), string(template, "/spec/restartPolicy")), (&json!(0), "Never"));
        // In this order: a pod that is taken away ends with 1, too.
        let rules = json!([
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "driftrun", "operator": "In", "values": [1, 2]}},
        ]);
        assert_eq!(*at(job, "/podFailurePolicy/rules"), rules, "{folder}");
        // Every hour, which is what alerts are told, and a round ends before the next one.
        assert_eq!(string(cron, "/spec/schedule"), "7 * * * *");
        assert!(at(job, "/activeDeadlineSeconds").as_u64().unwrap() < 3600, "{folder}");
        let told = arguments(driftrun_of(template)).contains(&"--expected-interval=1h");
        assert_eq!(told, *folder != "cronjob/base", "{folder}");
    }
}

/// `10m`, `3h` in seconds.
fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("{duration}"),
    };
    number.parse::<u64>().unwrap() * unit
}

#[test]
fn times_fit_each_other() {
    let Some(all) = rendered() else { return };
    let program = tool("python-of-tests").unwrap();
    for folder in PODS {
        let template = template(all, folder);
        let config = all[folder].iter().find(|object| kind(object) == "ConfigMap").unwrap();
        let config = python(&program, READ, &json!([string(config, "/data/driftrun.yaml")]));
        let config = &config[0][0];
        let every = |key: &str| -> Vec<u64> {
            let checks = list(config, "/checks").iter().chain([at(config, "/defaults")]);
            checks.filter_map(|check| at(check, &format!("/{key}")).as_str()).map(seconds).collect()
        };
        // TERM, `kill_grace`, KILL; then the killed die, their leftovers, folders and the last scrapes: docs in base/deployment.yaml.
        let grace = every("kill_grace").into_iter().max().unwrap_or(10) + 15;
        assert!(at(template, "/spec/terminationGracePeriodSeconds").as_u64().unwrap() >= grace, "{folder}");
        let longest = every("timeout").into_iter().max().unwrap();
        let stale = containers(template)
            .flat_map(arguments)
            .find_map(|argument| argument.strip_prefix("--stale-worktree-timeout="));
        assert_eq!(stale.is_some(), ["sidecar", "sharded"].contains(&folder), "{folder}");
        assert!(stale.is_none_or(|stale| seconds(stale) > longest), "{folder}");
        let deadline =
            at(workload(&all[folder]).unwrap().0, "/spec/jobTemplate/spec/activeDeadlineSeconds").as_u64();
        assert!(deadline.is_none_or(|deadline| deadline > longest), "{folder}");
    }
    let (stateful, template) = workload(&all["sharded"]).unwrap();
    let total = format!("--shard.total={}", at(stateful, "/spec/replicas"));
    assert!(arguments(driftrun_of(template)).contains(&total.as_str()));
    assert_eq!(string(workload(&all["base"]).unwrap().0, "/spec/strategy/type"), "Recreate");
}
