//! A real Prometheus that scrapes.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::support::{Folder, exchange, poll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A Prometheus on a port of its own.
pub struct Prometheus {
    child: Child,
    pub address: String,
}

impl Prometheus {
    /// Scrapes `target` once a second.
    pub fn start(program: &Path, folder: &Folder, target: &str) -> Self {
        let jobs = json!([{"job_name": "driftrun", "static_configs": [{"targets": [target]}]}]);
        Self::with_jobs(program, folder, &jobs)
    }

    pub fn with_jobs(program: &Path, folder: &Folder, jobs: &Value) -> Self {
        let config = json!({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs});
        Self::configured(program, folder, &config.to_string())
    }

    pub fn configured(program: &Path, folder: &Folder, config: &str) -> Self {
        let config = folder.write("prometheus.yml", config);
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.to_owned())
        });
        // Nobody reads the rest, but the pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("Prometheus listens") }
    }

    /// Takes another configuration than the one it was started with.
    pub fn reload(&self, folder: &Folder, config: &str) {
        folder.write("prometheus.yml", config);
        let done = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub fn api(&self, path: &str) -> Value {
        let request = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: x\r\n\r\n");
        let (head, body) = exchange(&self.address, &request);
        assert!(head.contains(" 200 "), "{head}\n{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The samples that `query` (percent-encoded) gives: labels and value.
    pub fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, String)> {
        let answer = self.api(&format!("query?query={query}"));
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|sample| {
                let labels = serde_json::from_value(sample["metric"].clone()).unwrap();
                (labels, sample["value"][1].as_str().unwrap().to_owned())
            })
            .collect()
    }

    /// Waits until it answers, and has taken a whole scrape.
    pub fn wait_for_scrape(&self) {
        let ready =
            || exchange(&self.address, "GET /-/ready HTTP/1.0\r\nHost: x\r\n\r\n").0.contains(" 200 ");
        poll(ready);
        poll(|| !self.query("up==1").is_empty());
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
