//! TLS, users and sockets of systemd as the binary serves them: what a client gets, what Prometheus sees, what the log says.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "support/secure.rs"]
mod secure;
mod support;

use prometheus::Prometheus;
use rcgen::SanType;
use secure::{MUTUAL, Place, TLS, answer, basic, body, get, next, request, rest, shown, users};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use support::{Server, ended, exchange, poll, tool, words};

/// A check whose output is a secret, at whose end the page has it.
const CHECKS: &str =
    "checks: [{ name: t, command: [echo, s3cret], parser: none, interval: 1h, splay: 0s }]\n";

const HEADERS: &str = "http_server_config:
  headers:
    Content-Security-Policy: default-src 'self'
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: '0'
";

fn dns(name: &str) -> Vec<SanType> {
    vec![SanType::DnsName(name.try_into().unwrap())]
}

/// The status, and the headers that a test looks at, without those that each answer has its own value of.
fn head(head: &str) -> (String, BTreeMap<String, String>) {
    let mut lines = head.lines();
    let status = lines.next().unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let mut headers: BTreeMap<String, String> =
        headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for own in ["connection", "content-length", "date"] {
        headers.remove(own);
    }
    (status, headers)
}

fn status(answer: &(String, String)) -> &str {
    answer.0.lines().next().unwrap_or_default()
}

#[test]
fn prometheus_gets_in_with_what_it_was_given_and_not_without_any_of_it() {
    let Some(program) = tool("prometheus") else { return };
    let place = Place::new("secure-prometheus");
    let checks =
        "checks: [{ name: t, command: [\"echo\", \"a is stale\"], parser: lines, interval: 1h, splay: 0s }]
parsers: { lines: { regex: '^(?P<name>\\S+) is (?P<kind>stale)$', clean: '^fresh$' } }
";
    let web = format!("{MUTUAL}{}", users(&[("prometheus", "right")]));
    let mut server = place.serve(checks, &web, &[]);
    server.wait_for_run("t");
    let file = |name: &str, text: &str| place.folder.write(name, text).display().to_string();
    let certificate = |name: &str, signed: &certificates::Signed| {
        json!({
            "ca_file": file("ca.pem", &place.authority.pem), "server_name": "localhost",
            "cert_file": file(&format!("{name}.pem"), &signed.pem),
            "key_file": file(&format!("{name}.key"), &signed.key_pem()),
        })
    };
    let known = certificate("known", &place.authority.client(dns("prometheus.example")));
    let other_name = certificate("named", &place.authority.client(dns("other.example")));
    let stranger = certificate("stranger", &place.elsewhere.client(dns("prometheus.example")));
    let nothing = json!({"ca_file": known["ca_file"], "server_name": "localhost"});
    let nobody_s =
        json!({"ca_file": file("elsewhere.pem", &place.elsewhere.pem), "server_name": "localhost"});
    let job = |name: &str, scheme: &str, tls: &Value, password: &str| {
        let mut job = json!({
            "job_name": name, "scheme": scheme, "static_configs": [{"targets": [server.address]}],
            "basic_auth": {"username": "prometheus", "password_file": file(&format!("{name}.password"), password)},
        });
        if scheme == "https" {
            job["tls_config"] = tls.clone();
        }
        job
    };
    let jobs = json!([
        job("good", "https", &known, "right"),
        job("password", "https", &known, "wrong"),
        job("no_certificate", "https", &nothing, "right"),
        job("other_name", "https", &other_name, "right"),
        job("stranger", "https", &stranger, "right"),
        job("distrust", "https", &nobody_s, "right"),
        job("plain", "http", &nothing, "right"),
    ]);
    let prometheus = Prometheus::with_jobs(&program, &place.folder, &jobs);
    prometheus.wait_for_scrape();
    let targets = || {
        let answer = prometheus.api("targets");
        let targets = answer["data"]["activeTargets"].as_array().unwrap().iter();
        let told = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
        targets
            .map(|target| {
                let job = target["labels"]["job"].as_str().unwrap().to_owned();
                (job, (told(target, "health"), told(target, "lastError")))
            })
            .collect::<BTreeMap<String, (String, String)>>()
    };
    poll(|| targets().values().all(|(health, _)| health != "unknown"));
    // By the highest of all scrapes: nobody came in, not even once.
    let by_job = |query: &str| -> BTreeMap<String, String> {
        prometheus.query(query).into_iter().map(|(labels, value)| (labels["job"].clone(), value)).collect()
    };
    let expected = ["distrust", "good", "no_certificate", "other_name", "password", "plain", "stranger"]
        .map(|job| (job.to_owned(), u8::from(job == "good").to_string()));
    poll(|| by_job("up").len() == expected.len());
    assert_eq!(by_job("max_over_time(up[5m])"), expected.into(), "{:?}", targets());
    let (_, refused) = &targets()["password"];
    assert_eq!(refused, "server returned HTTP status 401 Unauthorized");
    let (_, refused) = &targets()["plain"];
    assert_eq!(refused, "server returned HTTP status 400 Bad Request");
    let drift: Vec<_> = prometheus
        .query("driftrun_resource_drift")
        .into_iter()
        .map(|(labels, value)| (labels["job"].clone(), labels["name"].clone(), value))
        .collect();
    assert_eq!(drift, [("good".to_owned(), "a".to_owned(), "1".to_owned())]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn every_answer_has_the_headers_that_are_configured() {
    let place = Place::new("secure-headers");
    let limit = "rate_limit: { interval: 1h, burst: 3 }\n";
    let web = format!("{TLS}{HEADERS}{limit}{}", users(&[("ann", "right")]));
    let mut server = place.serve(CHECKS, &web, &[]);
    server.wait_for_run("t");
    let client = place.anybody();
    let ask = |path: &str, more: &str| {
        let (top, body) = client.ask(&server.address, &get(path, more)).unwrap();
        (head(&top), body)
    };
    let expected = |status: &str, more: &[(&str, &str)]| {
        let own = [
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'self'"),
            ("content-type", "text/plain; charset=utf-8"),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "deny"),
            ("x-xss-protection", "0"),
        ];
        let headers = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (format!("HTTP/1.1 {status}"), headers.collect::<BTreeMap<_, _>>())
    };
    let realm = ("www-authenticate", "Basic realm=\"driftrun\", charset=\"UTF-8\"");
    let unauthorized = (expected("401 Unauthorized", &[realm]), "unauthorized\n".to_owned());
    assert_eq!(ask("/metrics", ""), unauthorized);
    assert_eq!(ask("/nowhere", &basic("ann", "wrong")), unauthorized);
    let page = [("content-type", "text/html; charset=utf-8"), ("referrer-policy", "same-origin")];
    assert_eq!(ask("/", &basic("ann", "right")).0, expected("200 OK", &page));
    // Whoever it is.
    let many = (expected("429 Too Many Requests", &[]), "too many requests\n".to_owned());
    for more in [String::new(), basic("ann", "wrong"), basic("ann", "right")] {
        assert_eq!(ask("/metrics", &more), many);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn plain_http_to_a_port_of_tls_is_told_so() {
    let place = Place::new("secure-plain");
    let web = format!("{TLS}{HEADERS}{}", users(&[("ann", "right")]));
    let server = place.serve(CHECKS, &web, &[]);
    for request in [
        get("/metrics", &basic("ann", "right")),
        "POST /-/reload HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let (top, body) = exchange(&server.address, &request);
        let (status, headers) = head(&top);
        assert!(status.ends_with(" 400 Bad Request"), "{request:?}: {top}");
        let own = ["cache-control", "content-type", "x-content-type-options"];
        assert_eq!(headers.keys().collect::<Vec<_>>(), own);
        assert_eq!(body, "Client sent an HTTP request to an HTTPS server.\n");
    }
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn http_2_answers_many_at_once_and_one_that_is_reset_harms_no_other() {
    let place = Place::new("secure-http2");
    // A megabyte or so of metrics: more than a client takes at once.
    let checks = "checks: [{ name: t, command: [seq, -f, \"%05g is stale\", '4000'], parser: lines, interval: 1h, splay: 0s }]
parsers: { lines: { regex: '^(?P<name>\\S+) is (?P<kind>stale)$', clean: '^fresh$' } }
";
    let mut server = place.serve(checks, &format!("{TLS}{HEADERS}"), &[]);
    server.wait_for_run("t");
    let mut send = place.anybody().multiplexed(&server.address).await;
    // With the first answer it knows how many may be under way. These are more: the rest wait.
    assert_eq!(body(send.send_request(request("/-/healthy")).await.unwrap()).await, "driftrun is healthy.\n");
    let answers: Vec<_> = (0..200)
        .map(|n| {
            let path = if n % 2 == 0 { "/-/healthy" } else { "/-/ready" };
            tokio::spawn(send.send_request(request(path)))
        })
        .collect();
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-frame-options"]),
            (200, &"deny".parse().unwrap())
        );
        let said = if n % 2 == 0 { "driftrun is healthy.\n" } else { "driftrun is ready.\n" };
        assert_eq!(body(answer).await, said);
    }
    // One amid its body, one before its answer.
    let mut answer = send.send_request(request("/metrics")).await.unwrap();
    assert!(next(answer.body_mut()).await.is_some());
    drop(answer);
    drop(send.send_request(request("/metrics")));
    for _ in 0..3 {
        let metrics = body(send.send_request(request("/metrics")).await.unwrap()).await;
        assert_eq!(metrics.matches("\ndriftrun_resource_drift{").count(), 4000);
    }
    // And so is HTTP/1.1 beside it.
    let client = place.anybody();
    let address = server.address.clone();
    let scrape =
        tokio::task::spawn_blocking(move || client.get(&address, "/metrics")).await.unwrap().unwrap();
    assert_eq!(
        (status(&scrape), scrape.1.matches("\ndriftrun_resource_drift{").count()),
        ("HTTP/1.1 200 OK", 4000)
    );
    drop(send);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn pages_show_outputs_to_those_who_are_known() {
    let place = Place::new("secure-pages");
    let known = place.client(&place.authority.client(dns("prometheus.example")));
    let unverified = TLS.replace(" }", ", client_auth_type: RequestClientCert }");
    let ann = users(&[("ann", "right")]);
    for (web, flags, shown) in [
        (TLS.to_owned(), &[][..], false),
        (unverified.clone(), &[], false),
        (format!("{unverified}{ann}"), &[], true),
        (format!("{TLS}{ann}"), &[], true),
        (MUTUAL.to_owned(), &[], true),
        (TLS.to_owned(), &["--web.output=always"], true),
        (format!("{MUTUAL}{ann}"), &["--web.output=never"], false),
    ] {
        let mut command = place.command(CHECKS, &web, flags);
        command.arg("--web.listen-address=0.0.0.0:0");
        let mut server = Server::of(command);
        server.wait_for_run("t");
        let address = server.address.replace("0.0.0.0", "127.0.0.1");
        let asked = get("/checks/t", &basic("ann", "right"));
        // By a name of this machine, and by another one.
        for asked in [asked.replace("localhost", "ops.example"), asked] {
            let (top, page) = known.ask(&address, &asked).unwrap();
            assert!(top.starts_with("HTTP/1.1 200 OK\r\n"), "{top}");
            assert_eq!(words(&page).contains("s3cret\n"), shown, "{web} {flags:?}");
            assert_eq!(page.contains("--web.output=always"), !shown, "{web} {flags:?}");
        }
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_bad_web_configuration_is_told_with_its_line_before_anything_begins() {
    let place = Place::new("secure-bad");
    let ran = place.folder.path().join("ran");
    let checks =
        format!("checks: [{{ name: t, command: [touch, {}], parser: none, interval: 1s }}]\n", ran.display());
    let ann = "basic_auth_users:\n  ann: hunter2\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Whoever listened first would say that the port is in use.
    let address = format!("--web.listen-address={}", listener.local_addr().unwrap());
    let mut command = place.command(&checks, &format!("{TLS}{ann}"), &[&address, "--log.level=debug"]);
    let output = command.output().unwrap();
    let web = place.folder.path().join("web.yml");
    let expected = format!(
        "driftrun: {}:3:8: the hash of user \"ann\" is no bcrypt hash ($2a$, $2b$ or $2y$, 60 characters); make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'\n",
        web.display()
    );
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (expected, Some(1)));
    assert!(output.stdout.is_empty() && !ran.exists());
    std::fs::remove_file(&web).unwrap();
    let config = place.folder.path().join("driftrun.yaml");
    let (_, stderr, code) = ended(&[
        "serve",
        "--config.file",
        config.to_str().unwrap(),
        "--web.config.file",
        web.to_str().unwrap(),
    ]);
    assert!(stderr.contains(web.to_str().unwrap()) && stderr.contains("No such file"), "{stderr}");
    assert_eq!((code, ran.exists()), (Some(1), false));
}

#[test]
fn a_bad_web_configuration_that_is_loaded_changes_nothing_and_says_why() {
    let place = Place::new("secure-reload");
    let mut server = place.serve(CHECKS, TLS, &["--web.enable-lifecycle"]);
    let client = place.anybody();
    let reload =
        "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let post = |server: &Server| {
        let answer = client.ask(&server.address, reload).unwrap();
        (status(&answer).to_owned(), answer.1)
    };
    let metric = |server: &Server, name: &str| {
        let (_, metrics) = client.get(&server.address, "/metrics").unwrap();
        metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let state = |server: &Server| {
        ["driftrun_config_last_reload_successful ", "driftrun_web_config_last_reload_successful "]
            .map(|name| metric(server, name))
    };
    assert_eq!(state(&server), ["1", "1"]);
    let since = metric(&server, "driftrun_web_config_last_reload_success_timestamp_seconds ");
    let web = place.replace("web.yml", &format!("{TLS}rate_limit: 5\n"));
    let problem = format!("{}:2:13: ", web.display());
    // Each time that somebody asks, though it is the same.
    for _ in 0..2 {
        server.signal("HUP");
        let line = server.wait_for("msg=\"configuration loaded\"");
        assert!(line.contains("level=info"), "{line}");
        let line = server.wait_for("msg=\"web configuration not taken in, the last good one holds\"");
        assert!(line.contains(&problem) && line.contains("level=error"), "{line}");
    }
    assert_eq!(state(&server), ["1", "0"]);
    let (status, body) = post(&server);
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
    let told = format!("web configuration not taken in, the last good one holds:\n{problem}");
    assert!(body.starts_with(&told), "{body}");
    // Both are told where both are bad.
    place.replace("driftrun.yaml", "checks: [");
    let (status, body) = post(&server);
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
    assert!(
        body.starts_with("configuration not loaded, the old one goes on:\n") && body.contains(&told),
        "{body}"
    );
    assert_eq!(state(&server), ["0", "0"]);
    assert_eq!(metric(&server, "driftrun_web_config_last_reload_success_timestamp_seconds "), since);
    place.replace("driftrun.yaml", CHECKS);
    place.replace("web.yml", &format!("{TLS}{HEADERS}"));
    assert_eq!(post(&server), ("HTTP/1.1 200 OK".to_owned(), "configuration loaded\n".to_owned()));
    assert_eq!(state(&server), ["1", "1"]);
    let (top, _) = client.get(&server.address, "/-/healthy").unwrap();
    assert_eq!(head(&top).1["x-frame-options"], "deny");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_certificate_that_is_renewed_is_shown_to_new_connections_and_old_ones_go_on() {
    let place = Place::new("secure-renew");
    let server = place.serve(CHECKS, TLS, &[]);
    let client = place.anybody();
    let healthy = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ask = |stream: &mut secure::Tls| {
        stream.write_all(healthy.as_bytes()).unwrap();
        answer(stream).1
    };
    let mut old = client.connect(&server.address);
    assert_eq!(ask(&mut old), "driftrun is healthy.\n");
    let renewed = place.authority.server();
    place.renew(&renewed);
    poll(|| {
        let mut new = client.connect(&server.address);
        ask(&mut new) == "driftrun is healthy.\n" && shown(&new) == renewed.der
    });
    assert_eq!(ask(&mut old), "driftrun is healthy.\n");
    assert_ne!(shown(&old), renewed.der);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_no_longer_than_its_certificate_or_the_lack_of_one_will_do() {
    let place = Place::new("secure-narrowed");
    let mut server = place.serve(CHECKS, TLS, &[]);
    server.wait_for_run("t");
    let (anybody, address) = (place.anybody(), server.address.clone());
    let page = get("/checks/t", "").replace("Connection: close\r\n", "");
    let mut old = anybody.connect(&address);
    old.write_all(page.as_bytes()).unwrap();
    assert!(answer(&mut old).0.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut multiplexed = anybody.multiplexed(&address).await;
    assert_eq!(multiplexed.send_request(request("/checks/t")).await.unwrap().status(), 200);
    place.replace("web.yml", MUTUAL);
    let known = place.client(&place.authority.client(dns("prometheus.example")));
    poll(|| anybody.get(&address, "/-/healthy").is_err());
    // Nobody has seen a certificate of these two.
    old.write_all(page.as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest(&mut old)), "");
    assert!(multiplexed.send_request(request("/checks/t")).await.is_err());
    let mut new = known.connect(&address);
    let ask = |stream: &mut secure::Tls| {
        stream.write_all(page.as_bytes()).unwrap();
        answer(stream).0
    };
    assert!(ask(&mut new).starts_with("HTTP/1.1 200 OK\r\n"));
    // Other users are no reason.
    place.replace("web.yml", &format!("{MUTUAL}{}", users(&[("ann", "right")])));
    poll(|| known.get(&address, "/-/healthy").unwrap().0.starts_with("HTTP/1.1 401 "));
    assert!(ask(&mut new).starts_with("HTTP/1.1 401 "));
    // Another name is.
    place.replace("web.yml", &MUTUAL.replace("prometheus.example", "other.example"));
    poll(|| known.get(&address, "/-/healthy").is_err());
    new.write_all(page.as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest(&mut new)), "");
    assert_eq!(server.stop(), Some(0));
}

/// `driftrun ARGUMENTS` that is handed what its stdin and stdout are, as systemd hands over sockets.
fn handed(count: u8, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=$0 exec \"$@\"";
    command.args(["-c", script, &count.to_string(), env!("CARGO_BIN_EXE_driftrun")]).args(arguments);
    command
}

#[test]
fn sockets_of_systemd_are_served_tcp_and_unix_at_once() {
    let place = Place::new("secure-systemd");
    let config = place.folder.write("driftrun.yaml", CHECKS);
    let arguments = ["serve", "--config.file", config.to_str().unwrap(), "--web.systemd-socket"];
    let path = place.folder.path().join("driftrun.sock");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = tcp.local_addr().unwrap().to_string();
    let over_unix = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(support::HANG)).unwrap();
        stream.write_all(get("/checks/t", "").replace("localhost", "ops.example").as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    let sockets = [OwnedFd::from(tcp), OwnedFd::from(unix)];
    let again = || sockets.each_ref().map(|socket| Stdio::from(socket.try_clone().unwrap()));
    // Both, and each alone: a socket outlives the driftrun that served it.
    let [stdin, stdout] = again();
    let mut command = handed(2, &arguments);
    command.stdin(stdin).stdout(stdout);
    let mut server = Server::as_it_is(command);
    assert_eq!(server.address, address);
    server.wait_for(&format!("msg=listening address=unix:{} ", path.display()));
    server.wait_for_run("t");
    assert!(words(&server.get("/checks/t").1).contains("s3cret\n"));
    // Whoever may open it is on this machine, whatever he calls it.
    assert!(words(&over_unix()).contains("s3cret\n"));
    assert_eq!(server.stop(), Some(0));
    let [stdin, _] = again();
    let mut command = handed(1, &arguments);
    command.stdin(stdin);
    let server = Server::of(command);
    assert_eq!(server.get("/-/healthy").1, "driftrun is healthy.\n");
    assert_eq!(server.stop(), Some(0));
    let [_, stdin] = again();
    let mut command = handed(1, &arguments);
    command.stdin(stdin);
    let mut server = Server::of(command);
    assert_eq!(server.address, format!("unix:{}", path.display()));
    server.wait_for_run("t");
    assert!(words(&over_unix()).contains("s3cret\n"));
    assert_eq!(server.stop(), Some(0));
    assert!(TcpStream::connect(&address).is_ok() && path.exists(), "they are systemd's");
}

#[test]
fn without_a_socket_of_systemd_or_with_an_address_beside_it_nothing_begins() {
    let place = Place::new("secure-no-socket");
    let config = place.folder.write("driftrun.yaml", CHECKS);
    let serve = ["serve", "--config.file", config.to_str().unwrap(), "--web.systemd-socket"];
    let none = "driftrun: --web.systemd-socket: no socket was handed over; start driftrun by a .socket unit, or name a --web.listen-address instead\n";
    assert_eq!(ended(&serve), (String::new(), none.to_owned(), Some(1)));
    // Meant for another process.
    let output =
        support::driftrun().args(serve).envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]).output().unwrap();
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (none.to_owned(), Some(1)));
    // What can't be served: a file.
    let mut command = handed(1, &serve);
    let output = command.stdin(std::fs::File::open(&config).unwrap()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("driftrun: --web.systemd-socket: socket 0: "), "{stderr}");
    assert!(stderr.ends_with("; TCP and Unix stream sockets are served\n"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    // A connection, as `Accept=yes` hands it over.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let mut command = handed(1, &serve);
    let output = command.stdin(OwnedFd::from(accepted)).output().unwrap();
    drop(client);
    let says = "driftrun: --web.systemd-socket: socket 0: it is no listening socket: the .socket unit must not have Accept=yes; TCP and Unix stream sockets are served\n";
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (says.to_owned(), Some(1)));
    let both = [&serve[..], &["--web.listen-address=127.0.0.1:0"]].concat();
    let (_, stderr, code) = ended(&both);
    let expected =
        "error: the argument '--web.systemd-socket' cannot be used with '--web.listen-address <ADDRESS>'\n";
    assert!(stderr.starts_with(expected), "{stderr}");
    assert_eq!(code, Some(1));
}

#[test]
fn what_is_refused_and_a_certificate_that_has_ended_are_told_once_a_minute() {
    let place = Place::new("secure-told");
    place.renew(&place.authority.server_of_2000());
    let web =
        format!("{TLS}{}rate_limit: {{ interval: 1h, burst: 3 }}\n", users(&[("ann", "correct-horse")]));
    let mut server = place.serve(CHECKS, &web, &[]);
    let ended = server.seen.iter().find(|line| line.contains("out of date")).unwrap().clone();
    let file = place.folder.path().join("web.yml");
    assert!(
        ended.ends_with(&format!(
            " level=warn msg=\"the certificate is out of date: clients will refuse it\" file={} end=2000-01-03T00:00:00Z",
            file.display()
        )),
        "{ended}"
    );
    let refused = place.anybody().ask(&server.address, &get("/metrics", "")).unwrap_err();
    assert!(refused.to_string().contains("certificate expired"), "{refused}");
    let line = server.wait_for("level=warn msg=\"no TLS connection\" client=127.0.0.1:");
    assert!(line.ends_with(" error=\"received fatal alert: CertificateExpired\" times=1"), "{line}");
    place.renew(&place.authority.server());
    server.signal("HUP");
    server.wait_for("web configuration taken in");
    let client = place.anybody();
    let statuses: Vec<String> = ["", "tr0ub4dor", "tr0ub4dor", "correct-horse", "correct-horse"]
        .map(|password| {
            let authorization = if password.is_empty() { String::new() } else { basic("ann", password) };
            let (top, _) = client.ask(&server.address, &get("/-/healthy", &authorization)).unwrap();
            top.split(' ').nth(1).unwrap().to_owned()
        })
        .into();
    assert_eq!(statuses, ["401", "401", "401", "429", "429"]);
    server.signal("TERM");
    server.wait_for("msg=stopped");
    assert_eq!(server.wait(), Some(0));
    let lines = server.seen.iter().filter_map(|line| line.split_once("msg=\"request refused: "));
    let told: Vec<[&str; 2]> = lines
        .map(|(_, rest)| [rest.split_once(':').unwrap().0, rest.split_once(" times=").unwrap().1])
        .collect();
    let client = "\" client=127.0.0.1";
    let [user, rate] =
        ["no such user, or another password", "over rate_limit"].map(|why| format!("{why}{client}"));
    assert_eq!(told, [[user.as_str(), "1"], [rate.as_str(), "1"]]);
}

#[test]
fn neither_passwords_nor_hashes_nor_what_was_sent_are_told_to_anybody() {
    let place = Place::new("secure-secrets");
    let users = users(&[("ann", "correct-horse"), ("ben", "battery-staple")]);
    let web = format!("{TLS}{users}");
    let mut server = place.serve(CHECKS, &web, &["--log.level=debug", "--web.enable-lifecycle"]);
    server.wait_for_run("t");
    let client = place.anybody();
    let mut said = Vec::new();
    let mut secrets: Vec<String> =
        ["correct-horse", "battery-staple", "tr0ub4dor", "Basic "].map(str::to_owned).into();
    // The hashes themselves; how they begin is told to those who forgot it.
    secrets
        .extend(users.lines().filter_map(|line| line.split_once(": ")).map(|(_, hash)| hash[4..].to_owned()));
    for (user, password) in
        [("ann", "correct-horse"), ("ann", "tr0ub4dor"), ("eve", "tr0ub4dor"), ("ben", "battery-staple")]
    {
        let authorization = basic(user, password);
        secrets.push(authorization.trim().rsplit(' ').next().unwrap().to_owned());
        for path in ["/", "/checks/t", "/metrics", "/nowhere", "/-/reload"] {
            let (top, body) = client.ask(&server.address, &get(path, &authorization)).unwrap();
            let top = top.replace("Basic realm=", "");
            said.extend([top, body]);
        }
    }
    // Not the kind of thing that is read, nor what isn't understood.
    for authorization in
        ["Authorization: Bearer tr0ub4dor\r\n", "Authorization: tr0ub4dor\r\n", "tr0ub4dor\r\n"]
    {
        let (top, body) = client.ask(&server.address, &get("/metrics", authorization)).unwrap();
        said.extend([top.replace("Basic realm=", ""), body]);
    }
    // Nor where the file is wrong: what stands at the wrong place may be a password.
    place.replace("web.yml", &web.replace("  ben: ", "  ben: tr0ub4dor\n  : "));
    let reload = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n";
    let request = format!("{reload}{}\r\n", basic("ann", "correct-horse"));
    let (top, body) = client.ask(&server.address, &request).unwrap();
    assert!(top.starts_with("HTTP/1.1 500 ") && body.contains("web.yml:"), "{top}{body}");
    said.extend([top, body]);
    server.signal("TERM");
    server.wait_for("msg=stopped");
    assert_eq!(server.wait(), Some(0));
    assert!(server.seen.iter().any(|line| line.contains("level=debug")), "{:?}", server.seen);
    said.extend(server.seen.clone());
    for secret in &secrets {
        let told = said.iter().find(|text| text.contains(secret));
        assert_eq!(told, None, "{secret}");
    }
}

#[test]
fn whoever_asks_while_it_stops_is_told_that_it_is_healthy_and_not_ready() {
    let place = Place::new("secure-stopping");
    let fifo = place.folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Ends when somebody writes.
    let script = format!("trap '' TERM; echo begun >&2; read line <{}", fifo.display());
    let checks = json!({"checks": [{
        "name": "slow", "command": ["sh", "-c", script], "parser": "none", "interval": "1h", "splay": "0s", "kill_grace": "2m",
    }]});
    let mut server = place.serve(&checks.to_string(), TLS, &[]);
    let client = place.anybody();
    let state = |server: &Server| {
        ["/-/healthy", "/-/ready"].map(|path| {
            let answer = client.get(&server.address, path).unwrap();
            (status(&answer).to_owned(), answer.1)
        })
    };
    let told = |status: &str, body: &str| (format!("HTTP/1.1 {status}"), body.to_owned());
    let healthy = told("200 OK", "driftrun is healthy.\n");
    // It has begun.
    let running = "driftrun_check_running{check=\"slow\"} 1\n";
    poll(|| client.get(&server.address, "/metrics").unwrap().1.contains(running));
    assert_eq!(state(&server), [healthy.clone(), told("200 OK", "driftrun is ready.\n")]);
    server.signal("TERM");
    server.wait_for("msg=stopping");
    assert_eq!(state(&server), [healthy, told("503 Service Unavailable", "driftrun is stopping.\n")]);
    std::fs::write(&fifo, "go\n").unwrap();
    assert_eq!(server.wait(), Some(0));
}
