//! `/api/v1`: every answer is held against docs/api.schema.json, and says what the checks have done.

mod support;

use boon::{Compiler, SchemaIndex, Schemas};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use support::{Folder, HANG, Server, driftrun, poll};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The definitions of the API, and the form of reports.
struct Forms {
    schemas: Schemas,
    compiler: Compiler,
}

impl Forms {
    fn new() -> Self {
        let (schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        for file in ["api.schema.json", "report.schema.json"] {
            let json =
                serde_json::from_slice(&fs::read(Path::new(ROOT).join("docs").join(file)).unwrap()).unwrap();
            compiler.add_resource(file, json).unwrap();
        }
        Self { schemas, compiler }
    }

    fn index(&mut self, form: &str) -> SchemaIndex {
        let at = if form == "report" {
            "report.schema.json".to_owned()
        } else {
            format!("api.schema.json#/$defs/{form}")
        };
        self.compiler.compile(&at, &mut self.schemas).unwrap()
    }

    /// The answer, which has that form.
    fn hold(&mut self, form: &str, what: &str, body: &str) -> Value {
        let json: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error}: {body}"));
        let index = self.index(form);
        self.schemas.validate(&json, index).unwrap_or_else(|error| panic!("{what}: {error:#}\n{json:#}"));
        json
    }

    /// What a path answers with 200, in that form.
    fn get(&mut self, server: &Server, path: &str, form: &str) -> Value {
        let (head, body) = server.get(path);
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json\r\n"),
            "{path}: {head}\n{body}"
        );
        self.hold(form, path, &body)
    }
}

/// The demo's checks and some more, so many of which have run once; with a state folder.
fn demo(folder: &Folder, more: &str, run: usize) -> Server {
    let demo = Path::new(ROOT).join("examples/demo");
    let text = fs::read_to_string(demo.join("driftrun.yaml")).unwrap();
    let quick = "defaults: { interval: 5s,";
    assert!(text.contains(quick), "{text}");
    let once =
        format!("state_dir: state\ndefaults: {{ workdir: '{}', interval: 1d, splay: 0s,", demo.display());
    let text = text.replace(quick, &once).replace("\nchecks:\n", &format!("\nchecks:\n{more}"));
    let config = folder.write("driftrun.yaml", &text);
    let mut server = Server::serve(&config);
    let mut ran = BTreeSet::new();
    while ran.len() < run {
        let line = server.wait_for("msg=run check=");
        ran.insert(line.split("check=").nth(1).unwrap().split(' ').next().unwrap().to_owned());
    }
    server
}

fn names(json: &Value, list: &str) -> Vec<String> {
    json[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_answer_has_its_form() {
    let folder = Folder::new("api");
    let more = "  - { name: cut, command: [head, -c, '900', ../../fixtures/terraform/everything/stdout], parser: terraform }\n  - { name: later, command: [id], parser: none, cron: '0 0 29 2 *' }\n";
    let server = demo(&folder, more, 9);
    let mut forms = Forms::new();
    let all = forms.get(&server, "/api/v1/checks", "checks");
    assert_eq!(
        (all["total"].as_u64(), all["next"].is_null(), names(&all, "checks").len()),
        (Some(10), true, 10)
    );
    for name in names(&all, "checks") {
        let check = forms.get(&server, &format!("/api/v1/checks/{name}"), "check");
        let (resources, report) =
            (format!("/api/v1/checks/{name}/resources"), format!("/api/v1/checks/{name}/report"));
        if check["drift"].is_null() {
            for path in [resources, report] {
                let (head, body) = server.get(&path);
                assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
                forms.hold("error", &path, &body);
            }
        } else {
            let resources = forms.get(&server, &resources, "resources");
            let report = forms.get(&server, &report, "report");
            assert_eq!(
                report["resources"].as_array().unwrap().len(),
                usize::try_from(resources["total"].as_u64().unwrap()).unwrap(),
                "{name}"
            );
            assert_eq!(
                (&resources["dropped"], &resources["reported"]),
                (&json!(0), &check["drift"]["reported"]),
                "{name}"
            );
            assert_eq!(report["verdict"], check["verdict"], "{name}");
        }
        let runs = forms.get(&server, &format!("/api/v1/checks/{name}/runs"), "runs");
        assert_eq!(runs["runs"].get(0).unwrap_or(&Value::Null), &check["last_run"], "{name}");
        let Some(id) = runs["runs"][0]["id"].as_str() else { continue };
        let run = forms.get(&server, &format!("/api/v1/checks/{name}/runs/{id}"), "run");
        assert_eq!((&run["verdict"], &run["used"]), (&check["verdict"], &check["used"]), "{name}");
    }
    let check = forms.get(&server, "/api/v1/checks/cut", "check");
    assert_eq!(check["verdict"], "unreadable");
    let check = forms.get(&server, "/api/v1/checks/later", "check");
    assert_eq!((&check["configuration"]["cron"], &check["verdict"]), (&json!("0 0 29 2 *"), &Value::Null));
    let check = forms.get(&server, "/api/v1/checks/ansiblediff-prod", "check");
    assert_eq!(check["scopes"]["unread"], json!([{ "scope": "db1", "reason": "unreachable" }]));
    let (_, page) = server.get("/docs");
    assert!(page.contains("Not found"));
    for (path, status) in [
        ("/api/v1/nothing", 404),
        ("/api/v1/checks/none", 404),
        ("/api/v1/checks/cut/nothing", 404),
        ("/api/v1/checks/cut/runs/1", 404),
        ("/api/v1/checks/cut/runs/../../x", 404),
        ("/api/v1/checks/cut/runs/1/output", 404),
        ("/api/v1/checks?limit=0", 400),
        ("/api/v1/checks?limit=1001", 400),
        ("/api/v1/checks?limit=x", 400),
        ("/api/v1/checks?verdict=bad", 400),
        ("/api/v1/checks?label=env", 400),
        ("/api/v1/checks?lable=env%3Dprod", 400),
        ("/api/v1/checks/terradiff-prod/resources?action=destroy", 400),
        ("/api/v1/events?check=none", 404),
        ("/api/v1/checks/cut/runs?after=17", 400),
        ("/api/v1/checks/cut/run", 405),
    ] {
        let (head, body) = server.get(path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        forms.hold("error", path, &body);
    }
    let (head, body) =
        server.request("DELETE /api/v1/checks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD\r\n"), "{head}");
    forms.hold("error", "DELETE", &body);
}

#[test]
fn lists_come_in_pages_and_as_they_are_asked_for() {
    let folder = Folder::new("pages");
    let server = demo(&folder, "", 8);
    let mut forms = Forms::new();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = forms.get(&server, &format!("/api/v1/checks?limit=3{after}"), "checks");
        assert_eq!(page["total"], 8);
        seen.extend(names(&page, "checks"));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let all = names(&forms.get(&server, "/api/v1/checks", "checks"), "checks");
    assert!(seen == all && seen.is_sorted(), "{seen:?}");
    let mut asked =
        |query: &str| names(&forms.get(&server, &format!("/api/v1/checks?{query}"), "checks"), "checks");
    assert_eq!(
        asked("verdict=drifted&verdict=partial"),
        ["ansiblediff-prod", "kubediff-prod", "terradiff-prod"]
    );
    assert_eq!(asked("verdict=waiting"), [""; 0]);
    assert_eq!(asked("label=env%3Dstaging"), ["terradiff-staging"]);
    assert_eq!(asked("q=PROD+kube"), ["kubediff-prod"]);
    assert_eq!(asked("q=state+lock"), ["terradiff-staging"]);
    assert_eq!(
        asked("after=kubediff-dex"),
        ["kubediff-prod", "terradiff-dev", "terradiff-prod", "terradiff-staging"]
    );
    let resources = "/api/v1/checks/terradiff-prod/resources";
    let first = forms.get(&server, &format!("{resources}?limit=2"), "resources");
    let next = first["next"].as_str().unwrap();
    let second = forms.get(&server, &format!("{resources}?limit=1000&after={next}"), "resources");
    let every = forms.get(&server, resources, "resources");
    let both = [names(&first, "resources"), names(&second, "resources")].concat();
    assert_eq!((both, second["next"].is_null()), (names(&every, "resources"), true));
    let ids: BTreeSet<&str> =
        every["resources"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len() as u64, every["total"].as_u64().unwrap());
    let deleted = forms.get(&server, &format!("{resources}?action=delete"), "resources");
    assert_eq!(names(&deleted, "resources"), ["terraform_data.gone"]);
    assert_eq!(deleted["resources"][0]["span"], json!([44, 50]));
}

#[test]
fn an_answer_that_is_the_same_has_the_same_tag() {
    let folder = Folder::new("etag");
    let server = demo(&folder, "", 8);
    // When they run next is said a moment after their end.
    let soon = Timestamp::now();
    let is_set = |check: &Value| {
        check["next_run"].as_str().is_some_and(|next| next.parse::<Timestamp>().unwrap() > soon)
    };
    poll(|| {
        let all: Value = serde_json::from_str(&server.get("/api/v1/checks").1).unwrap();
        all["checks"].as_array().unwrap().iter().all(is_set)
    });
    for path in ["/api/v1/checks", "/api/v1/checks/terradiff-prod/resources"] {
        let (head, body) = server.get(path);
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        assert!(head.contains("cache-control: private, no-cache\r\n"), "{head}");
        let again = |tags: &str| {
            server.request(&format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tags}\r\nConnection: close\r\n\r\n"
            ))
        };
        for tags in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let (head, body) = again(&tags);
            assert!(head.starts_with("HTTP/1.1 304 ") && head.contains(&format!("etag: {tag}")), "{head}");
            assert_eq!(body, "");
        }
        let (head, packed) = unpacked(&server, path);
        assert!(head.contains(&format!("etag: W/{tag}\r\n")), "{head}");
        assert!(head.contains("vary: Accept-Encoding\r\n"), "{head}");
        assert_eq!(packed, body);
        let (head, same) = again("\"x\"");
        assert!(head.starts_with("HTTP/1.1 200 ") && same == body, "{head}");
    }
}

#[test]
fn what_a_run_printed_can_be_had_also_of_an_earlier_one() {
    let folder = Folder::new("earlier");
    let config = folder.write(
        "driftrun.yaml",
        "state_dir: state\nchecks:\n- name: c\n  interval: 1h\n  splay: 0s\n  parser: lines\n  shell: 'n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; printf \"drift r$n\\n\\033[31mred\\033[0m\\n\"; echo err >&2'\nparsers: { lines: { regex: '^drift (?P<name>.+)$', clean: '^none$' } }\n",
    );
    let mut command = driftrun();
    command.args([
        "serve",
        "--config.file",
        config.to_str().unwrap(),
        "--web.enable-lifecycle",
        "--web.listen-address=127.0.0.1:0",
    ]);
    let mut server = Server::of(command);
    server.wait_for_run("c");
    for _ in 0..2 {
        let (head, body) =
            server.request("POST /api/v1/checks/c/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 202 "), "{head}{body}");
        server.wait_for("a run is asked for");
        server.wait_for_run("c");
    }
    let mut forms = Forms::new();
    let runs = forms.get(&server, "/api/v1/checks/c/runs", "runs");
    let change = |n: usize| runs["runs"][n]["change"].clone();
    let named = |name: &str| json!([{ "scope": "", "kind": "", "name": name }]);
    assert_eq!(change(2), Value::Null);
    assert_eq!(
        change(0),
        json!({ "new": 1, "new_resources": named("r2"), "resolved": 1, "resolved_resources": named("r1") })
    );
    for n in 0..3 {
        let id = runs["runs"][n]["id"].as_str().unwrap();
        assert_eq!(runs["runs"][n]["output_kept"], true);
        let path = format!("/api/v1/checks/c/runs/{id}/output");
        let (head, body) = server.get(&path);
        assert!(head.contains("content-type: text/plain; charset=utf-8\r\n"), "{head}");
        assert!(
            head.contains(&format!("content-disposition: attachment; filename=\"c-{id}-stdout.txt\"")),
            "{head}"
        );
        assert_eq!(body, format!("drift r{}\n\u{1b}[31mred\u{1b}[0m\n", 2 - n));
        assert_eq!(server.get(&format!("{path}?stream=stderr")).1, "err\n");
        let (head, body) = server.get(&format!("{path}?stream=both"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        forms.hold("error", &path, &body);
        let (_, page) = server.get(&format!("/checks/c/runs/{id}"));
        assert!(support::words(&page).contains(&format!("drift r{}\nred\n", 2 - n)), "{page}");
    }
    // After a restart they are there all the same.
    assert_eq!(server.stop(), Some(0));
    let server = Server::serve(&config);
    assert_eq!(forms.get(&server, "/api/v1/checks/c/runs", "runs"), runs);
}

/// An answer that was sent compressed.
fn unpacked(server: &Server, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\n\r\n").unwrap();
    let (head, body) = support::answer(&mut stream);
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    let mut text = String::new();
    GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
    (head, text)
}

/// What one answers to `POST /api/v1/checks/c/run` with these headers.
fn asks(server: &Server, headers: &str) -> (String, String) {
    let (head, body) = server.request(&format!(
        "POST /api/v1/checks/c/run HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n"
    ));
    (
        head.lines().next().unwrap().strip_prefix("HTTP/1.1 ").unwrap().to_owned()
            + &head
                .lines()
                .find_map(|line| line.strip_prefix("location: "))
                .map(|to| format!(" -> {to}"))
                .unwrap_or_default(),
        body,
    )
}

#[test]
fn a_run_is_asked_for_by_who_may() {
    let folder = Folder::new("ask");
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let shell = format!("cat {}", fifo.display());
    let arguments = ["watch", "--name=c", "--interval=1d", "--parser=none"];
    let rest = ["--web.external-url=https://ops.example/x", "--", "sh", "-c", &shell];
    let closed = Server::start(driftrun(), &arguments, &["--", "true"]);
    let mut forms = Forms::new();
    let (status, body) = asks(&closed, "Host: localhost\r\n");
    assert_eq!(status, "403 Forbidden");
    assert!(
        forms.hold("error", "closed", &body)["error"].as_str().unwrap().contains("--web.enable-lifecycle")
    );
    let (_, page) = closed.get("/checks/c");
    assert!(!page.contains("Run now"));
    drop(closed);
    let open = [&arguments[..], &["--web.enable-lifecycle", "--web.route-prefix=/"]].concat();
    let mut server = Server::start(driftrun(), &open, &rest);
    // It runs until somebody writes.
    let page = || server.get("/checks/c").1;
    poll(|| page().contains("id=\"live\"") && !page().contains("hidden><h2>Running"));
    let (status, body) = asks(&server, "Host: localhost\r\n");
    assert_eq!(status, "409 Conflict");
    forms.hold("error", "busy", &body);
    fs::write(&fifo, "first\n").unwrap();
    server.wait_for_run("c");
    for (headers, status) in [
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", "403 Forbidden"),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "403 Forbidden"),
        ("Host: localhost\r\nSec-Fetch-Site: same-site\r\n", "403 Forbidden"),
        ("Host: localhost\r\nOrigin: null\r\n", "403 Forbidden"),
        // A name that somebody else has given us.
        (
            "Host: rebound.example\r\nOrigin: http://rebound.example\r\nSec-Fetch-Site: same-origin\r\n",
            "403 Forbidden",
        ),
        ("Host: x.localhost.evil.example\r\nSec-Fetch-Site: same-origin\r\n", "403 Forbidden"),
    ] {
        let (is, body) = asks(&server, headers);
        assert_eq!(is, status, "{headers}");
        forms.hold("error", headers, &body);
    }
    assert_eq!(forms.get(&server, "/api/v1/checks/c", "check")["run_asked_for"], false);
    for (headers, status) in [
        (
            "Host: 127.0.0.1:1\r\nOrigin: http://127.0.0.1:1\r\nSec-Fetch-Site: same-origin\r\n",
            "202 Accepted",
        ),
        ("Host: driftrun:9152\r\nSec-Fetch-Site: same-origin\r\n", "202 Accepted"),
        (
            "Host: ops.example\r\nOrigin: https://ops.example\r\nSec-Fetch-Site: same-origin\r\n",
            "202 Accepted",
        ),
        ("Host: anything.example\r\n", "202 Accepted"),
        (
            "Host: localhost\r\nSec-Fetch-Site: same-origin\r\nAccept: text/html,*/*\r\n",
            "303 See Other -> /x/checks/c",
        ),
    ] {
        // It isn't said in the log before the answer.
        let (is, body) = asks(&server, headers);
        assert_eq!(is, status, "{headers}");
        if status.starts_with("202") {
            assert_eq!(forms.hold("asked", headers, &body)["asked_for"], "c");
        }
        server.wait_for("a run is asked for");
        fs::write(&fifo, "again\n").unwrap();
        server.wait_for_run("c");
    }
    let (head, body) =
        server.request("POST /api/v1/checks/d/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    forms.hold("error", "d", &body);
    assert_eq!(server.scrape().value("driftrun_check_run_duration_seconds_count", "c"), Some(6.0));
}

/// A stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(server: &Server, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        write!(stream, "GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        let head = events.until("\r\n");
        assert!(
            head[0].starts_with("HTTP/1.1 200 ")
                && head.iter().any(|line| line == "content-type: text/event-stream\r\n"),
            "{head:?}"
        );
        events
    }

    fn until(&mut self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "ended: {lines:?}");
            if line == end {
                return lines;
            }
            lines.push(line);
        }
    }

    /// The next event of these kinds: kind, id, data.
    fn next(&mut self, kinds: &[&str]) -> (String, String, Value) {
        loop {
            let lines = self.until("\n");
            let field = |name: &str| {
                lines
                    .iter()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                    .unwrap_or_default()
                    .trim_end()
                    .to_owned()
            };
            let (kind, data) = (field("event"), field("data"));
            if kinds.contains(&kind.as_str()) {
                return (kind, field("id"), serde_json::from_str(&data).unwrap());
            }
        }
    }
}

#[test]
fn a_run_under_way_is_followed_in_whole_lines_without_secrets() {
    let folder = Folder::new("events");
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let shell = format!("echo first; echo warning >&2; cat {}; echo last", fifo.display());
    let mut server = Server::watch(&["--name=c", "--interval=1d", "--parser=none"], &["sh", "-c", &shell]);
    let mut events = Events::open(&server, "?check=c", "");
    let (_, _, begin) = events.next(&["begin"]);
    let run = begin["run"].as_str().unwrap().to_owned();
    let mut texts = Vec::new();
    let mut ids = Vec::new();
    while texts.len() < 2 {
        let (_, id, data) = events.next(&["output"]);
        ids.push(id);
        texts.push((data["stream"].as_str().unwrap().to_owned(), data["text"].as_str().unwrap().to_owned()));
    }
    texts.sort();
    let pair = |stream: &str, text: &str| (stream.to_owned(), text.to_owned());
    assert_eq!(texts, [pair("stderr", "warning\n"), pair("stdout", "first\n")]);
    assert_eq!(ids, [format!("{run}-1"), format!("{run}-2")]);
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    pipe.write_all(b"token AKIAIOSFOD").unwrap();
    pipe.write_all(b"NN7EXAMPLE \x1b[31mred\x1b[0m\n").unwrap();
    let (_, id, data) = events.next(&["output"]);
    assert_eq!(data, json!({ "stream": "stdout", "text": "token (redacted) red\n" }));
    // Who comes again goes on where it was, who comes late begins at the beginning.
    let mut again = Events::open(&server, "?check=c", &format!("Last-Event-ID: {id}\r\n"));
    let mut late = Events::open(&server, "?check=c", "");
    assert_eq!(late.next(&["begin", "output"]).0, "begin");
    drop(pipe);
    let rest: Vec<_> = (0..2).map(|_| again.next(&["begin", "output", "end", "missed"])).collect();
    assert_eq!((rest[0].2["text"].as_str(), rest[1].0.as_str()), (Some("last\n"), "end"));
    assert_eq!(events.next(&["end"]).2, json!({ "run": run }));
    let (_, _, changed) = events.next(&["checks"]);
    assert_eq!(changed, json!({ "changed": ["c"], "more": false }));
    server.wait_for_run("c");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn where_outputs_are_not_shown_no_stream_has_them() {
    let folder = Folder::new("quiet");
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let shell = format!("echo s3cret; cat {}", fifo.display());
    let mut server = Server::watch(
        &["--name=c", "--interval=1d", "--parser=none", "--web.output=never"],
        &["sh", "-c", &shell],
    );
    let mut events = Events::open(&server, "?check=c", "");
    // It is there only when the first line has been seen.
    let scrape = || server.scrape().value("driftrun_check_running", "c");
    poll(|| scrape() == Some(1.0));
    fs::write(&fifo, "more\n").unwrap();
    let (kind, _, _) = events.next(&["output", "begin", "checks"]);
    assert_eq!(kind, "checks");
    server.wait_for_run("c");
    let mut forms = Forms::new();
    let runs = forms.get(&server, "/api/v1/checks/c/runs", "runs");
    let path = format!("/api/v1/checks/c/runs/{}", runs["runs"][0]["id"].as_str().unwrap());
    let (head, body) = server.get(&format!("{path}/output"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    forms.hold("error", &path, &body);
    for path in ["/checks/c".to_owned(), path.replace("/api/v1", "")] {
        let (_, page) = server.get(&path);
        assert!(
            !support::words(&page).contains("s3cret\n") && page.contains("--web.output=always"),
            "{page}"
        );
    }
}

#[test]
fn who_reads_events_slowly_holds_up_no_run() {
    let mut server = Server::watch(
        &["--name=c", "--interval=1d", "--parser=none"],
        &["sh", "-c", "yes some words of a line | head -c 40000000"],
    );
    // Takes nothing.
    let stuck: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.write_all(b"GET /api/v1/events?check=c HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert!(server.wait_for_run("c").contains("verdict=clean"));
    let scrape = server.scrape();
    assert!(
        scrape.0.contains("driftrun_check_output_bytes{check=\"c\",stream=\"stdout\"} 40000000\n"),
        "{}",
        scrape.0
    );
    drop(stuck);
}

/// A check whose output is what stands in `said`, and which is asked to run for each of `outputs`.
fn runs_of(folder: &Folder, options: &str, outputs: &[&str]) -> Server {
    folder.write("said", outputs[0]);
    let config = folder.write(
        "driftrun.yaml",
        &format!(
            "state_dir: state\nchecks:\n- {{ name: c, interval: 1d, splay: 0s, parser: p, workdir: ., shell: '. ./said'{options} }}\nparsers: {{ p: {{ command: [cat] }} }}\n"
        ),
    );
    let mut command = driftrun();
    command.args(["serve", "--config.file", config.to_str().unwrap(), "--web.enable-lifecycle"]);
    command.arg("--web.listen-address=127.0.0.1:0");
    let mut server = Server::of(command);
    server.wait_for_run("c");
    for output in &outputs[1..] {
        folder.write("said", output);
        let (head, body) =
            server.request("POST /api/v1/checks/c/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 202 "), "{head}{body}");
        server.wait_for_run("c");
    }
    server
}

fn says(verdict: &str, names: &[&str], unread: &str) -> String {
    let resources: Vec<Value> =
        names.iter().map(|name| json!({ "name": name, "action": "update" })).collect();
    let unread: Vec<Value> =
        unread.split_whitespace().map(|scope| json!({ "scope": scope, "reason": "unreachable" })).collect();
    let report =
        json!({ "verdict": verdict, "resources": resources, "scopes": { "read": ["h1"], "unread": unread } });
    format!("echo '{report}'\n")
}

#[test]
fn what_a_partial_report_could_not_read_is_not_clean_after_a_failure_either() {
    let folder = Folder::new("partial");
    let outputs = [says("clean", &[], ""), says("partial", &[], "h2"), "echo junk; exit 1\n".to_owned()];
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let server = runs_of(&folder, "", &outputs);
    let mut forms = Forms::new();
    let report = forms.get(&server, "/api/v1/checks/c/report", "report");
    assert_eq!(
        (&report["verdict"], &report["scopes"]["unread"][0]["scope"]),
        (&json!("partial"), &json!("h2"))
    );
    // Nor after a restart.
    assert_eq!(server.stop(), Some(0));
    let server = Server::serve(&folder.path().join("driftrun.yaml"));
    assert_eq!(forms.get(&server, "/api/v1/checks/c/report", "report"), report);
}

#[test]
fn nothing_is_resolved_that_is_only_not_listed_or_ignored() {
    let mut forms = Forms::new();
    let folder = Folder::new("dropped");
    let outputs = [says("drifted", &["a", "b"], ""), says("drifted", &["0new", "a", "b"], "")];
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let server = runs_of(&folder, ", max_resources: 2", &outputs);
    let run = forms.get(&server, "/api/v1/checks/c/runs?limit=1", "runs")["runs"][0].clone();
    assert_eq!((&run["drifted"], &run["change"]), (&json!(3), &Value::Null));
    let resources = forms.get(&server, "/api/v1/checks/c/resources", "resources");
    assert_eq!((&resources["total"], &resources["dropped"]), (&json!(2), &json!(1)));
    drop(server);
    // A rule that comes later takes out, and resolves nothing.
    let folder = Folder::new("ignored");
    let drifted = says("drifted", &["a", "b"], "");
    let mut server = runs_of(&folder, "", &[&drifted]);
    let config = folder.path().join("driftrun.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("shell:", "ignore: [{ name: a, reason: x }], shell:")).unwrap();
    server.signal("HUP");
    server.wait_for("configuration loaded");
    let (head, _) =
        server.request("POST /api/v1/checks/c/run HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 202 "), "{head}");
    server.wait_for_run("c");
    let run = forms.get(&server, "/api/v1/checks/c/runs?limit=1", "runs")["runs"][0].clone();
    assert_eq!((&run["drifted"], &run["change"]["resolved"]), (&json!(1), &json!(0)));
    // Another command says nothing of what the one before found.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(". ./said", ". ./said; true")).unwrap();
    folder.write("said", "sleep 1000\n");
    server.signal("HUP");
    server.wait_for("configuration loaded");
    let check = forms.get(&server, "/api/v1/checks/c", "check");
    assert_eq!((&check["command_changed"], &check["verdict"]), (&json!(true), &json!("drifted")));
    assert!(support::words(&server.get("/checks/c").1).contains("has another command by now"));
}
