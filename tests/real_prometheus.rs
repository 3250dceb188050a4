//! Real Prometheus scrapes driftrun: every label arrives as the tool printed it, and promtool finds nothing to say.

#[path = "support/prometheus.rs"]
mod prometheus;
mod support;

use prometheus::Prometheus;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use support::{Folder, Server, driftrun, exchange, poll, promtool, tool};

/// Labels and what isn't a name in YAML, in one.
const ODD: &str = "a \"b\"\\c\nd é\t{}";

const CHECKS: [&str; 7] = ["broken", "clean", "gone", "hosts", "plan", "slow", "unreadable"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("stdout")
}

/// A driftrun with checks of every verdict, all of which have run.
fn server(folder: &Folder) -> Server {
    let print = |name: &str, code: u8| json!(["sh", "-c", format!("cat \"$0\"; exit {code}"), fixture(name)]);
    let config = json!({
        "defaults": {"interval": "1s"},
        "checks": [
            {"name": "broken", "command": ["sh", "-c", "echo no >&2; exit 3"], "parser": "terraform"},
            {"name": "clean", "command": ["true"], "parser": "kubectl"},
            {"name": "gone", "command": ["no-such-program-anywhere"], "parser": "none"},
            {"name": "hosts", "command": print("ansible/unreachable-partial", 4), "parser": "ansible"},
            {
                "name": "plan", "command": print("terraform-show/odd_keys", 0), "parser": "terraform-show",
                "labels": {"note": ODD, "layer": "infrastructure"}, "ignore": [{"name": "*no such*"}],
            },
            {"name": "slow", "command": ["sleep", "60"], "timeout": "100ms", "parser": "none"},
            {"name": "unreadable", "command": ["echo", "hello"], "parser": "terraform-json"},
        ],
    });
    let mut server = Server::serve(&folder.write("driftrun.yaml", &config.to_string()));
    server.wait_for_fresh_runs(&CHECKS);
    server
}

fn verdicts() -> BTreeMap<String, String> {
    let verdicts = ["failed", "clean", "failed", "partial", "drifted", "timeout", "unreadable"];
    CHECKS.into_iter().zip(verdicts).map(|(check, verdict)| (check.to_owned(), verdict.to_owned())).collect()
}

/// What `driftrun parse` says drifts: scope, kind, name, action, outside.
fn parsed(parser: &str, name: &str, code: u8) -> BTreeSet<[String; 5]> {
    let output = driftrun()
        .args(["parse", "--format=json", "--parser", parser, "--exit-code", &code.to_string()])
        .arg(fixture(name))
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let resources = document["resources"].as_array().unwrap().iter().filter(|r| r["drift"] == true);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    resources.map(|r| ["scope", "kind", "name", "action", "outside"].map(|key| text(&r[key]))).collect()
}

#[test]
fn prometheus_has_every_resource_with_the_labels_that_were_printed() {
    let Some(program) = tool("prometheus") else { return };
    let folder = Folder::new("prometheus");
    let server = server(&folder);
    let prometheus = Prometheus::start(&program, &folder, &server.address);
    prometheus.wait_for_scrape();

    let mut drift: BTreeMap<String, BTreeSet<[String; 5]>> = BTreeMap::new();
    for (mut labels, value) in prometheus.query("driftrun_resource_drift") {
        let mut take = |name: &str| labels.remove(name).unwrap_or_default();
        assert_eq!((take("__name__"), value), ("driftrun_resource_drift".to_owned(), "1".to_owned()));
        assert_eq!((take("job"), take("instance")), ("driftrun".to_owned(), server.address.clone()));
        let check = take("check");
        let resource = ["scope", "kind", "name", "action", "outside"].map(&mut take);
        let own: Vec<(String, String)> = labels.into_iter().collect();
        let expected: &[(&str, &str)] =
            if check == "plan" { &[("layer", "infrastructure"), ("note", ODD)] } else { &[] };
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(own, expected, "{check}");
        assert!(drift.entry(check).or_default().insert(resource), "twice the same");
    }
    let expected = [
        ("hosts", parsed("ansible", "ansible/unreachable-partial", 4)),
        ("plan", parsed("terraform-show", "terraform-show/odd_keys", 0)),
    ];
    assert_eq!(drift, expected.map(|(check, resources)| (check.to_owned(), resources)).into());

    let by_check = |query: &str, label: &str| -> BTreeMap<String, String> {
        let samples = prometheus.query(query);
        samples
            .into_iter()
            .map(|(labels, value)| {
                let told = if label.is_empty() { value } else { labels[label].clone() };
                (labels["check"].clone(), told)
            })
            .collect()
    };
    assert_eq!(by_check("driftrun_check_verdict==1", "verdict"), verdicts());
    let counts = by_check("sum+by(check)(driftrun_drift_resources)", "");
    let expected = [("clean", 0), ("hosts", drift["hosts"].len()), ("plan", drift["plan"].len())];
    assert_eq!(counts, expected.map(|(check, count)| (check.to_owned(), count.to_string())).into());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn promtool_has_nothing_to_say() {
    let Some(program) = tool("promtool") else { return };
    let folder = Folder::new("promtool");
    let server = server(&folder);
    let scrape = server.scrape();
    let seen = CHECKS.map(|check| (check.to_owned(), scrape.verdict(check).unwrap_or_default()));
    assert_eq!(BTreeMap::from(seen), verdicts());
    assert_eq!(promtool(&program, &scrape.0), (String::new(), String::new(), Some(0)));
}

/// Answers each request at an address of its own with what `target` has as text 0.0.4, whatever was asked for.
fn plain_text_only(target: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, target) = (listener.local_addr().unwrap().to_string(), target.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let request = "GET /metrics HTTP/1.0\r\nHost: x\r\nAccept: text/plain;version=0.0.4\r\n\r\n";
            let (head, body) = exchange(&target, request);
            // Prometheus may have gone away meanwhile.
            let _ = write!(stream.get_mut(), "{head}\r\n\r\n{body}");
        }
    });
    address
}

#[test]
fn both_formats_give_the_same_series() {
    let Some(program) = tool("prometheus") else { return };
    let folder = Folder::new("formats");
    let server = server(&folder);
    let plain = plain_text_only(&server.address);
    let jobs = json!([
        {"job_name": "open", "static_configs": [{"targets": [server.address]}]},
        {"job_name": "plain", "static_configs": [{"targets": [plain]}]},
    ]);
    let prometheus = Prometheus::with_jobs(&program, &folder, &jobs);
    prometheus.wait_for_scrape();
    poll(|| prometheus.query("up==1").len() == 2);
    // A family of counters is named without `_total` in OpenMetrics: so the formats are what they should be.
    let named = |job: &str| -> BTreeSet<String> {
        let path = format!("targets/metadata?match_target=%7Bjob%3D%22{job}%22%7D");
        let metadata = prometheus.api(&path);
        let families = metadata["data"].as_array().unwrap().iter();
        let counters = families.filter(|family| family["type"] == "counter");
        counters.map(|family| family["metric"].as_str().unwrap().to_owned()).collect()
    };
    let (open, with_total) = (named("open"), named("plain"));
    assert!(open.contains("driftrun_check_runs") && open.contains("process_cpu_seconds"), "{open:?}");
    assert_eq!(open.iter().map(|name| format!("{name}_total")).collect::<BTreeSet<_>>(), with_total);
    let series = |job: &str| -> BTreeSet<String> {
        let query = format!("%7B__name__%3D~%22(driftrun|process)_.*%22%2Cjob%3D%22{job}%22%7D");
        let samples = prometheus.query(&query).into_iter();
        samples
            .map(|(mut labels, _)| {
                labels.retain(|name, _| name != "job" && name != "instance");
                format!("{labels:?}")
            })
            .collect()
    };
    let open = series("open");
    assert!(open.len() > 200, "{}", open.len());
    assert_eq!(open, series("plain"));
    assert_eq!(server.stop(), Some(0));
}
