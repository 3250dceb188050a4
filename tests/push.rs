//! `once --push`: what the real Pushgateway has of it, and what is said when it can't have it.

mod support;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use support::{Folder, Listening, Series, driftrun, series, tool};

/// A user and a password with everything that a URL can't hold, and as the gateway's configuration has them.
const USER: &str = "drift run";
const PASSWORD: &str = "p@ss:w/rd";
const HASHED: &str = "$2b$05$abcdefghijklmnopqrstuuyFXzjaQqXJ2uJJLSYkOJMLSB1Af16VO";

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::fs::read_to_string(folder.join(name).join("stdout")).unwrap()
}

/// A configuration of checks that each print what the file `NAME.out` holds and exit as `NAME.code` says.
fn configured(folder: &Folder, checks: &[(&str, &str)]) -> PathBuf {
    let mut text = "checks:\n".to_owned();
    for (name, parser) in checks {
        prints(folder, name, "", 0);
        let command = format!("[sh, -c, \"cat {name}.out; exit $(cat {name}.code)\"]");
        let _ = writeln!(
            text,
            "  - {{ name: {name}, parser: {parser}, command: {command}, labels: {{ layer: l }} }}"
        );
    }
    folder.write("driftrun.yaml", &text)
}

fn prints(folder: &Folder, name: &str, text: &str, code: u8) {
    folder.write(&format!("{name}.out"), text);
    folder.write(&format!("{name}.code"), &code.to_string());
}

/// `driftrun once --config.file CONFIG --push URL --format prometheus MORE`, which waits for nothing long.
fn command(config: &Path, url: &str, more: &[&str]) -> Command {
    let mut command = driftrun();
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.args(["once", "--push.pause=1ms", "--format=prometheus", "--push", url, "--config.file"]);
    command.arg(config).args(more);
    command
}

fn once(config: &Path, url: &str, more: &[&str]) -> Output {
    command(config, url, more).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exit code, and what it says on stderr beside the log. Nothing that it says anywhere holds the password.
fn said(output: &Output) -> (Option<i32>, Vec<String>) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!text.contains(PASSWORD) && !text.contains("p%40"), "{text}");
    let lines = text.lines().filter(|line| line.starts_with("driftrun: ")).map(str::to_owned);
    (output.status.code(), lines.collect())
}

/// What was printed, with a group's labels, and without driftrun itself.
fn grouped(output: &Output, job: &str) -> Series {
    let all = series(&stdout(output), "driftrun_").into_iter();
    let mut all: Series = all
        .map(|((name, mut labels), value)| {
            labels.extend(
                [("job", job), ("instance", "")].map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            ((name, labels), value)
        })
        .collect();
    all.retain(|(name, _), _| name != "driftrun_build_info");
    assert!(!all.is_empty());
    all
}

/// Whether a family tells of the last good report.
fn of_report(name: &str) -> bool {
    ["driftrun_drift_", "driftrun_resource_drift", "driftrun_check_tool_info"]
        .iter()
        .any(|part| name.starts_with(part))
}

fn pushgateway(flags: &[&str]) -> Option<Listening> {
    let program = tool("prometheus-pushgateway")?;
    Some(Listening::start(Command::new(program).arg("--persistence.file=").args(flags)))
}

#[test]
fn a_good_run_replaces_its_group_and_any_other_leaves_the_drift() {
    let Some(gateway) = pushgateway(&[]) else { return };
    let url = format!("http://{}/", gateway.address);
    let has = || series(&gateway.get("/metrics"), "driftrun_");
    let folder = Folder::new("push");
    let config = configured(&folder, &[("hosts", "ansible"), ("plan", "terraform-show")]);

    // Drift, and hosts of which one is down: nothing of what these reported.
    let partial = fixture("ansible/unreachable-partial");
    prints(&folder, "plan", &fixture("terraform-show/odd_keys"), 0);
    prints(&folder, "hosts", &partial, 4);
    let output = once(&config, &url, &["--expected-interval=1h"]);
    assert_eq!(said(&output), (Some(1), Vec::new()));
    let mut want = grouped(&output, "driftrun");
    want.retain(|(name, labels), _| labels["check"] == "plan" || !of_report(name));
    let resources = |all: &Series| all.keys().filter(|(name, _)| name == "driftrun_resource_drift").count();
    assert_eq!((resources(&want), has()), (11, want.clone()));

    // A failure: what the run came to is new, every other family is as it was.
    prints(&folder, "plan", "", 7);
    let output = once(&config, &url, &["--expected-interval=1h"]);
    assert_eq!(said(&output), (Some(1), Vec::new()));
    let mut new = grouped(&output, "driftrun");
    new.retain(|(name, _), _| !of_report(name));
    let families: BTreeSet<(String, String)> =
        new.keys().map(|(name, labels)| (labels["check"].clone(), name.clone())).collect();
    want.retain(|(name, labels), _| !families.contains(&(labels["check"].clone(), name.clone())));
    want.extend(new);
    assert_eq!((resources(&want), has()), (11, want));

    // Another report, with other resources and without an interval: nothing is left of the old one.
    prints(&folder, "plan", &fixture("terraform-show/moved-and-imported-updates"), 0);
    prints(&folder, "hosts", "", 0);
    let output = once(&config, &url, &[]);
    let want = grouped(&output, "driftrun");
    let plan = |mut all: Series| {
        all.retain(|(_, labels), _| labels["check"] == "plan");
        all
    };
    assert_eq!(plan(has()), plan(want));
    prints(&folder, "plan", &fixture("terraform-show/clean"), 0);
    let output = once(&config, &url, &[]);
    let want = plan(grouped(&output, "driftrun"));
    assert_eq!((resources(&want), plan(has())), (0, want));
    let failures = series(&gateway.get("/metrics"), "push_failure_time_seconds{");
    assert_eq!(failures.into_values().collect::<Vec<_>>(), [0.0, 0.0]);
}

#[test]
fn with_a_state_folder_since_when_is_pushed_too_and_a_job_may_hold_anything() {
    let Some(gateway) = pushgateway(&["--web.route-prefix=/push/gw"]) else { return };
    let folder = Folder::new("job");
    let config = configured(&folder, &[("plan", "terraform-show")]);
    prints(&folder, "plan", &fixture("terraform-show/odd_keys"), 0);
    let state = folder.path().join("state");
    let job = "a/b \"ü\"..";
    let url = format!("http://{}/push/gw", gateway.address);
    let output = once(&config, &url, &["--push.job", job, "--state-dir", state.to_str().unwrap()]);
    assert_eq!(said(&output), (Some(2), Vec::new()));
    let want = grouped(&output, job);
    let seen = want.keys().filter(|(name, _)| name == "driftrun_resource_drift_first_seen_timestamp_seconds");
    assert_eq!((seen.count(), series(&gateway.get("/push/gw/metrics"), "driftrun_")), (11, want));
}

#[test]
fn a_partial_run_pushes_what_it_read_where_it_is_known_what_the_rest_was() {
    let Some(gateway) = pushgateway(&[]) else { return };
    let url = format!("http://{}", gateway.address);
    let has = || series(&gateway.get("/metrics"), "driftrun_");
    let folder = Folder::new("push-partial");
    let config = configured(&folder, &[("hosts", "ansible")]);
    let state = folder.path().join("state");
    let round = |text: &str, code: u8| {
        prints(&folder, "hosts", text, code);
        once(&config, &url, &["--state-dir", state.to_str().unwrap()])
    };
    let partial = fixture("ansible/unreachable-partial");
    // Nothing is known of db1: what web1 and web2 have is not everything.
    assert_eq!(said(&round(&partial, 4)), (Some(1), Vec::new()));
    assert!(!has().keys().any(|(name, _)| of_report(name)));
    // Motd of web1 and web2 drifts, and so does what is only on db1; then it is mended on web2, another one drifts on web1, and db1 is down.
    let recap = "\nPLAY RECAP *********************************************************************\n";
    let hosts = |db1: &str, web1: &str, web2: &str| {
        let host = |name: &str, counts: &str| {
            format!("{name:27}: {counts}    failed=0    skipped=0    rescued=0    ignored=0   \n")
        };
        format!("{recap}{}{}{}\n", host("db1", db1), host("web1", web1), host("web2", web2))
    };
    let play = "\nPLAY [all] *********************************************************************\n";
    let task = |name: &str| format!("\nTASK [{name}] {}\n", "*".repeat(60));
    let (one, none) = ("ok=1    changed=1    unreachable=0", "ok=1    changed=0    unreachable=0");
    let whole = format!(
        "{play}{}changed: [db1]\nchanged: [web1]\nchanged: [web2]\n{}",
        task("Motd"),
        hosts(one, one, one)
    );
    assert_eq!(said(&round(&whole, 0)), (Some(2), Vec::new()));
    let names = |all: &Series| -> Vec<String> {
        let resources = all.keys().filter(|(name, _)| name == "driftrun_resource_drift");
        resources.map(|(_, labels)| format!("{} {}", labels["scope"], labels["name"])).collect()
    };
    assert_eq!(names(&has()), ["db1 Motd", "web1 Motd", "web2 Motd"]);
    let later = format!(
        "{play}{}fatal: [db1]: UNREACHABLE! => {{\"changed\": false, \"msg\": \"down\", \"unreachable\": true}}\nchanged: [web1]\nok: [web2]\n{}",
        task("Keys"),
        hosts("ok=0    changed=0    unreachable=1", one, none)
    );
    let output = round(&later, 4);
    assert_eq!(said(&output), (Some(1), Vec::new()));
    assert_eq!(
        (names(&has()), has()),
        (vec!["web1 Keys".to_owned(), "db1 Motd".to_owned()], grouped(&output, "driftrun"))
    );
}

/// A certificate for 127.0.0.1, its key and who signed it, as files.
fn certificates(folder: &Folder, signer: &str) -> (PathBuf, PathBuf, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, signer);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (
        folder.write("ca.pem", &ca.pem()),
        folder.write("own.pem", &own.pem()),
        folder.write("own.key", &key.serialize_pem()),
    )
}

#[test]
fn a_gateway_with_tls_and_users() {
    let folder = Folder::new("tls");
    let (ca, own, key) = certificates(&folder, "ours");
    let stranger = Folder::new("stranger");
    let (stranger, ..) = certificates(&stranger, "another");
    let web = format!(
        "tls_server_config: {{ cert_file: {}, key_file: {} }}\nbasic_auth_users: {{ {USER}: {HASHED} }}\n",
        own.display(),
        key.display()
    );
    let web = format!("--web.config.file={}", folder.write("web.yaml", &web).display());
    let Some(gateway) = pushgateway(&[&web]) else { return };
    let config = configured(&folder, &[("c", "none")]);
    let base = format!("https://{}", gateway.address);
    let ca_file = format!("--push.ca-file={}", ca.display());
    let good = format!("--push.password-file={}", folder.write("good", &format!("{PASSWORD}\n")).display());
    let bad = format!("--push.password-file={}", folder.write("bad", "wrong").display());
    let user = format!("--push.user={USER}");
    let not = |why: &str| (Some(1), vec![format!("driftrun: --push {base}: check c is not pushed: {why}")]);

    // The system's roots are where the environment says.
    let trusting =
        |file: &Path, url: &str| command(&config, url, &[]).env("SSL_CERT_FILE", file).output().unwrap();
    let unknown =
        not("TLS: invalid peer certificate: UnknownIssuer; --push.ca-file names certificates to trust");
    assert_eq!(said(&trusting(&stranger, &base)), unknown);
    let none = "the gateway answers 401 Unauthorized: Unauthorized; name a user with --push.user and --push.password-file";
    assert_eq!(said(&once(&config, &base, &[&ca_file])), not(none));
    let wrong =
        "the gateway answers 401 Unauthorized: Unauthorized; the user or the password is not the gateway's";
    assert_eq!(said(&once(&config, &base, &[&ca_file, &user, &bad])), not(wrong));
    let in_url = base.replace("https://", "https://drift%20run:p%40ss%3aw%2frd@");
    assert_eq!(said(&trusting(&stranger, &in_url)), unknown);
    assert_eq!(said(&once(&config, &base, &[&ca_file, &user, &good])), (Some(0), Vec::new()));
    assert_eq!(said(&once(&config, &in_url, &[&ca_file])), (Some(0), Vec::new()));
    assert_eq!(said(&trusting(&ca, &in_url)), (Some(0), Vec::new()));
}

/// A request: its first line, its headers (names in lower case), its body.
#[derive(Debug)]
struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What stands in for a gateway: gives these answers, one a connection, and returns the requests.
fn answers(all: &[&str]) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let all: Vec<String> = all.iter().map(|answer| (*answer).to_owned()).collect();
    let serve = move || {
        all.iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read(&stream);
                let (status, rest) = answer.split_once('\n').unwrap_or((answer, ""));
                let (headers, body) = rest.rsplit_once("\r\n").map_or((String::new(), rest), |(h, b)| (format!("{h}\r\n"), b));
                let length = body.len();
                write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}").unwrap();
                request
            })
            .collect()
    };
    (url, std::thread::spawn(serve))
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut lines = (&mut reader).lines().map(|line| line.unwrap());
    let line = lines.next().unwrap();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).unwrap()
        })
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request { line, headers, body: String::from_utf8(body).unwrap() }
}

#[test]
fn what_a_gateway_cannot_take_yet_is_tried_again() {
    let folder = Folder::new("again");
    let config = configured(&folder, &[("plan", "terraform-show")]);
    prints(&folder, "plan", &fixture("terraform-show/odd_keys"), 0);
    let busy =
        ["500 Oops\nno\nreally", "429 Too Many Requests\n", "503 Service Unavailable\n", "202 Accepted\n"];
    let (url, requests) = answers(&busy);
    let file = folder.write("password", &format!("{PASSWORD}\r\n"));
    let login = [format!("--push.user={USER}"), format!("--push.password-file={}", file.display())];
    let output = once(&config, &url, &[&login[0], &login[1]]);
    assert_eq!(said(&output), (Some(2), Vec::new()));
    let requests = requests.join().unwrap();
    for request in &requests {
        assert_eq!(request.line, "PUT /metrics/job/driftrun/check/plan HTTP/1.1");
        assert_eq!(request.headers["authorization"], "Basic ZHJpZnQgcnVuOnBAc3M6dy9yZA==");
        assert_eq!(request.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let (_, printed) = stdout(&output)
            .split_once("# HELP driftrun_check_info")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(request.body, format!("# HELP driftrun_check_info{printed}"));
    }
    assert_eq!(requests.len(), 4);

    // Not for ever.
    let (url, requests) = answers(&["503 Service Unavailable\n"; 4]);
    let want = format!(
        "driftrun: --push {url}: check plan is not pushed: the gateway answers 503 Service Unavailable"
    );
    assert_eq!(said(&once(&config, &url, &[])), (Some(1), vec![want]));
    assert_eq!(requests.join().unwrap().len(), 4);
}

#[test]
fn what_a_gateway_refuses_is_not_tried_again() {
    let folder = Folder::new("refused");
    let config = configured(&folder, &[("c", "none")]);
    prints(&folder, "c", "", 3);
    for (answer, says) in [
        (
            "400 Bad Request\n\n  pushed metrics are invalid\u{7}\nand more\n",
            "the gateway answers 400 Bad Request: pushed metrics are invalid",
        ),
        (
            "404 Not Found\nno page",
            "the gateway answers 404 Not Found: no page; the URL is the gateway's own, without /metrics",
        ),
        (
            "308 Permanent Redirect\nLocation: https://elsewhere/\r\n",
            "the gateway answers 308 Permanent Redirect to https://elsewhere/; name that URL",
        ),
        (
            "200 OK\nContent-Type: text/html; charset=UTF-8\r\n<h1>Node Exporter</h1>",
            "what answers is no Pushgateway: it sends a page for people; the URL is the gateway's own, without /metrics",
        ),
        (
            "403 Forbidden\np@ss:w/rd is not the one",
            "the gateway answers 403 Forbidden: (redacted) is not the one; the user or the password is not the gateway's",
        ),
    ] {
        let (url, requests) = answers(&[answer]);
        let with_user = url.replace("http://", "http://u:p%40ss:w%2Frd@");
        let want = format!("driftrun: --push {url}: check c is not pushed: {says}");
        assert_eq!(said(&once(&config, &with_user, &[])), (Some(1), vec![want]));
        let lines: Vec<String> = requests.join().unwrap().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, ["POST /metrics/job/driftrun/check/c HTTP/1.1"]);
    }
}

#[test]
fn a_gateway_without_tls_is_no_https_one() {
    let Some(gateway) = pushgateway(&[]) else { return };
    let folder = Folder::new("plain");
    let config = configured(&folder, &[("c", "none")]);
    let (ca, ..) = certificates(&folder, "ours");
    let base = format!("https://{}", gateway.address);
    let output = once(&config, &base, &["--push.ca-file", ca.to_str().unwrap()]);
    let want = format!(
        "driftrun: --push {base}: check c is not pushed: TLS: received corrupt message of type InvalidContentType; does the gateway speak https?"
    );
    assert_eq!(said(&output), (Some(1), vec![want]));
}

#[test]
fn one_that_never_answers_is_given_up_and_every_check_is_named() {
    let folder = Folder::new("hang");
    let config = configured(&folder, &[("a", "none"), ("b", "none"), ("c", "none")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let output = once(&config, &url, &["--push.timeout=300ms"]);
    let want = ["a", "b", "c"]
        .map(|check| format!("driftrun: --push {url}: check {check} is not pushed: no answer within 300ms"));
    assert_eq!(said(&output), (Some(1), want.to_vec()));
    // One try a round: many checks take no longer than one.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(std::iter::from_fn(|| listener.accept().ok()).count(), 4);
}

#[test]
fn one_check_that_is_never_answered_is_no_other_ones_loss() {
    let folder = Folder::new("starve");
    let config = configured(&folder, &[("a", "none"), ("b", "none"), ("c", "none")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Whatever is said of `a`, the connection closes; four times, and `b` and `c` between.
    let serve = std::thread::spawn(move || {
        let mut lines = Vec::new();
        while lines.len() < 6 {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read(&stream);
            if !request.line.contains("/check/a ") {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
            lines.push(request.line.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned());
        }
        lines
    });
    let (code, problems) = said(&once(&config, &url, &[]));
    assert_eq!(serve.join().unwrap(), ["a", "b", "c", "a", "a", "a"]);
    assert_eq!((code, problems.len()), (Some(1), 1));
    assert!(
        problems[0].starts_with(&format!("driftrun: --push {url}: check a is not pushed: ")),
        "{problems:?}"
    );
}

#[test]
fn no_gateway_is_told_and_the_files_are_written() {
    let folder = Folder::new("nobody");
    let config = configured(&folder, &[("c", "none")]);
    let prom = folder.path().join("prom");
    std::fs::create_dir(&prom).unwrap();
    // Nobody has a Pushgateway on tcpmux's port.
    let output = once(&config, "http://127.0.0.1:1", &["--textfile", prom.to_str().unwrap()]);
    let want = "driftrun: --push http://127.0.0.1:1: check c is not pushed: connection refused; is there a Pushgateway?";
    assert_eq!(said(&output), (Some(1), vec![want.to_owned()]));
    assert!(prom.join("driftrun_c.prom").is_file());
}

#[test]
fn one_that_is_told_to_stop_amid_a_push_stops() {
    let folder = Folder::new("stop");
    let config = configured(&folder, &[("c", "none")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = command(&config, &url, &["--push.timeout=1h"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stream, _) = listener.accept().unwrap();
    assert_eq!(read(&stream).line, "PUT /metrics/job/driftrun/check/c HTTP/1.1");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let want = "driftrun: stopped before everything was delivered".to_owned();
    assert_eq!(said(&output), (Some(1), vec![want]));
}

#[test]
fn flags_that_do_not_fit_are_told_before_anything_is_run() {
    let folder = Folder::new("flags");
    let config = configured(&folder, &[("c", "none")]);
    folder.write("empty", "\n");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (empty, nowhere) = (path("empty"), path("nowhere"));
    let no_url = "--push: that is no URL of a Pushgateway; write one such as http://pushgateway:9091, with every special character of a user and password as %XX";
    for (flags, says) in [
        (vec!["--state-dir=s", "--format=json"], "--state-dir: nothing here shows what it keeps; add --textfile DIR, --push URL or --format prometheus".to_owned()),
        (vec!["--expected-interval=1h"], "--expected-interval: nothing here shows the interval; add --textfile DIR, --push URL or --format prometheus".to_owned()),
        (vec!["--push=http://u:p@ss:w/rd@h"], no_url.to_owned()),
        (vec!["--push=gateway:9091"], no_url.to_owned()),
        (vec!["--push=http://h", "--push.job="], "--push.job: a Pushgateway takes no empty job; leave the flag out for driftrun".to_owned()),
        (vec!["--push=http://h", "--push.user=u", "--push.password-file", &empty], format!("--push.password-file {empty}: it is empty; it holds the password and nothing else")),
        (vec!["--push=http://h", "--push.user=u", "--push.password-file", &nowhere], format!("--push.password-file {nowhere}: No such file or directory (os error 2)")),
        (vec!["--push=http://u:x@h", "--push.user=u", "--push.password-file", &empty], "--push.user: the URL of --push names a user, too; keep one".to_owned()),
        (vec!["--push=http://h", "--push.ca-file", &nowhere], "--push.ca-file: the URL of --push is http://, so that nobody shows a certificate; write https://, or leave the flag out".to_owned()),
        (vec!["--push=https://h", "--push.ca-file", &empty], format!("--push.ca-file {empty}: it holds no certificate in PEM form")),
    ] {
        let output = driftrun().args(["once", "--config.file"]).arg(&config).args(&flags).output().unwrap();
        assert_eq!((said(&output), stdout(&output)), ((Some(1), vec![format!("driftrun: {says}")]), String::new()), "{flags:?}");
    }
    // A command without a name would take the place of another one of the same program.
    for flag in ["--push=http://h", "--textfile=DIR", "--state-dir=DIR"] {
        let output = driftrun().args(["once", flag, "--format=prometheus", "--", "true"]).output().unwrap();
        let says = format!(
            "driftrun: {}: a command has no name of its own, and what another one brings there under the same name would replace it; add --name NAME",
            flag.split('=').next().unwrap()
        );
        assert_eq!((said(&output), stdout(&output)), ((Some(1), vec![says]), String::new()));
    }
    for flags in [
        &["--push.job=x"][..],
        &["--push.user=u", "--push=http://h"],
        &["--push.password-file=f", "--push=http://h"],
        &["--expected-interval=5", "--push=http://h"],
    ] {
        let output = driftrun().args(["once", "--config.file"]).arg(&config).args(flags).output().unwrap();
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(output.status.code() == Some(1) && stderr.starts_with("error: "), "{flags:?}: {stderr}");
    }
}
