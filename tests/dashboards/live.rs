//! driftruns with a check of every kind, and a real Prometheus that scrapes them and is asked what a dashboard asks.

use crate::lint::{text, variables};
use crate::prometheus::Prometheus;
use crate::support::{Folder, Server, driftrun, exchange, poll, tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The checks that are served, and the verdict of each when all have run: one of every kind, and one that has not run.
pub const CHECKS: [(&str, &str); 10] = [
    ("broken", "failed"),
    ("clean", "clean"),
    ("gone", "failed"),
    ("hosts", "partial"),
    ("never", ""),
    ("overrun", "clean"),
    ("plan", "drifted"),
    ("slow", "timeout"),
    ("unreadable", "unreadable"),
    ("worked-once", "failed"),
];

/// What Grafana puts in place of its own variables; none is the beginning of a later one.
const GLOBALS: [(&str, &str); 4] =
    [("$__rate_interval", "1m"), ("$__interval_ms", "3600000"), ("$__range_s", "3600"), ("$__range", "1h")];

/// An expression with its variables replaced, as Grafana does while all jobs and instances are selected; `job` in place of all.
pub fn filled(expression: &str, dashboard: &Value, job: &str, check: &str) -> String {
    let mut expression = expression.to_owned();
    for (name, with) in GLOBALS {
        expression = expression.replace(name, with);
    }
    for variable in variables(dashboard) {
        let name = text(variable, "/name");
        let with = match name {
            "job" => job,
            "check" => check,
            _ => text(variable, "/allValue"),
        };
        expression = expression.replace(&format!("${name}"), with);
    }
    expression
}

/// What Prometheus answers: the result, or what it has against the question.
pub fn ask(prometheus: &Prometheus, path: &str, pairs: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = format!("GET /api/v1/{path}?{pairs} HTTP/1.0\r\nHost: x\r\n\r\n");
    let (head, body) = exchange(&prometheus.address, &request);
    let answer: Value = serde_json::from_str(&body).map_err(|_| format!("{head}\n{body}"))?;
    let data = if answer["data"].is_array() { &answer["data"] } else { &answer["data"]["result"] };
    data.as_array().cloned().ok_or_else(|| answer["error"].to_string())
}

/// A series of an answer: its labels, and its last value.
pub type Series = (BTreeMap<String, String>, String);

/// What a target gives, over the last minute where it asks for a range.
fn answer(prometheus: &Prometheus, target: &Value, expression: &str) -> Result<Vec<Series>, String> {
    let result = if target["instant"] == true {
        ask(prometheus, "query", &[("query", expression)])
    } else {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (start, end) = ((end - 60).to_string(), end.to_string());
        ask(
            prometheus,
            "query_range",
            &[("query", expression), ("start", &start), ("end", &end), ("step", "1")],
        )
    };
    let series = |one: &Value| {
        let labels = serde_json::from_value(one["metric"].clone()).unwrap();
        let last = one["values"].as_array().map_or(&one["value"], |values| &values[values.len() - 1]);
        (labels, last[1].as_str().unwrap().to_owned())
    };
    Ok(result.map_err(|error| format!("{error}: {expression}"))?.iter().map(series).collect())
}

/// driftruns, and a Prometheus that has scraped them after all of their checks had run. Job `one` is one of them, job `two` is it and another that
/// runs the same checks, as in a rolling update, and `shards` the first of two that share the checks, and an instance that is down.
pub struct Live {
    pub prometheus: Prometheus,
    pub servers: Vec<(Server, Folder)>,
    _folder: Folder,
}

impl Live {
    pub fn start() -> Option<Self> {
        let program = tool("prometheus")?;
        let shard = ["--shard.total=2", "--shard.index=0"];
        let servers: Vec<(Server, Folder)> = [&[][..], &[], &shard].into_iter().map(serve).collect();
        for (server, _) in &servers[..2] {
            poll(|| {
                let scrape = server.scrape();
                let skipped =
                    scrape.samples("driftrun_check_skipped_runs_total", "overrun")["reason=\"overrun\""];
                let verdicts = CHECKS.map(|(check, _)| scrape.verdict(check).unwrap_or_default());
                verdicts == CHECKS.map(|(_, verdict)| verdict) && skipped > 0.0
            });
        }
        let target = |pod: &str, address: &str| {
            let labels = json!({"namespace": "ops", "service": "driftrun", "pod": pod, "container": "driftrun", "endpoint": "http"});
            json!({"targets": [address], "labels": labels})
        };
        let [one, other, shard] =
            [0, 1, 2].map(|at| target(&format!("driftrun-{at}"), &servers[at].0.address));
        let jobs = json!([
            {"job_name": "one", "static_configs": [one]},
            {"job_name": "two", "static_configs": [one, other]},
            {"job_name": "shards", "static_configs": [shard, target("driftrun-3", "127.0.0.1:1")]},
        ]);
        let folder = Folder::new("scraping");
        let prometheus = Prometheus::with_jobs(&program, &folder, &jobs);
        prometheus.wait_for_scrape();
        poll(|| prometheus.query("up==1").len() == 4);
        Some(Self { prometheus, servers, _folder: folder })
    }

    pub fn answer(
        &self,
        dashboard: &Value,
        target: &Value,
        job: &str,
        check: &str,
    ) -> Result<Vec<Series>, String> {
        answer(&self.prometheus, target, &filled(text(target, "/expr"), dashboard, job, check))
    }

    /// What a target gives for any of the checks.
    pub fn for_any_check(&self, dashboard: &Value, target: &Value) -> Result<Vec<Series>, String> {
        let checks = if text(target, "/expr").contains("$check") { &CHECKS[..] } else { &CHECKS[..1] };
        let mut all = Vec::new();
        for (check, _) in checks {
            all.extend(self.answer(dashboard, target, ".+", check)?);
        }
        Ok(all)
    }
}

/// A driftrun with those checks, in a folder of its own.
fn serve(flags: &[&str]) -> (Server, Folder) {
    let folder = Folder::new("dashboards");
    let fixture =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("stdout");
    let print = |name: &str, code: u8| json!(["sh", "-c", format!("cat \"$0\"; exit {code}"), fixture(name)]);
    // Its first run drifts, the others fail.
    let once =
        format!("test -e ran && exit 9; touch ran; cat '{}'; exit 1", fixture("kubectl/changed").display());
    let config = json!({
        "state_dir": "state",
        "defaults": {"interval": "1d", "splay": "0s"},
        "checks": [
            {"name": "broken", "shell": "echo no >&2; exit 3", "parser": "terraform"},
            {"name": "clean", "command": ["true"], "parser": "kubectl", "labels": {"layer": "application"}},
            {"name": "gone", "command": ["no-such-program-anywhere"], "parser": "none", "labels": {"layer": "application"}},
            {
                "name": "hosts", "command": print("ansible/unreachable-partial", 4), "parser": "ansible",
                "labels": {"layer": "cluster"},
            },
            {"name": "never", "command": ["true"], "parser": "none", "cron": "0 0 29 2 *"},
            {"name": "overrun", "command": ["sleep", "1.2"], "parser": "none", "interval": "1s"},
            {
                "name": "plan", "command": print("terraform-show/everything", 0), "parser": "terraform-show", "workdir": "tree",
                "labels": {"layer": "infrastructure", "env": "prod"}, "max_resources": 5,
                "ignore": [{"kind": "terraform_data", "action": "create"}, {"name": "*no such*"}],
            },
            {"name": "slow", "command": ["sleep", "60"], "timeout": "100ms", "parser": "none"},
            {
                "name": "unreadable", "command": ["echo", "hello"], "parser": "terraform-json",
                "labels": {"layer": "infrastructure"},
            },
            {
                "name": "worked-once", "shell": once, "parser": "kubectl", "interval": "1s",
                "labels": {"layer": "application"},
            },
        ],
    });
    folder.write("tree/.git/HEAD", "0123456789abcdef0123456789abcdef01234567");
    let config = folder.write("driftrun.yaml", &config.to_string());
    let web = folder.write("web.yml", "http_server_config: { headers: { X-Frame-Options: deny } }\n");
    let arguments =
        ["serve", "--config.file", config.to_str().unwrap(), "--web.config.file", web.to_str().unwrap()];
    let external = ["--web.external-url=https://ops.example.com/driftrun", "--web.route-prefix=/"];
    (Server::start(driftrun(), &arguments, &[&external, flags].concat()), folder)
}
