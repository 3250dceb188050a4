//! Clients that are slow, greedy, broken or hostile: each gets what it deserves, and a scrape beside it gets its metrics.

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use support::{Folder, HANG, Server, answer};

/// More connections than driftrun has places for.
const CROWD: usize = 1_000;

const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// A driftrun with a check that runs every second and one that has found 10,000 drifting resources: 3 MB of metrics.
fn server(folder: &Folder, flags: &[&str]) -> Server {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let config = json!({
        "checks": [
            {"name": "many", "command": ["seq", "-f", "%06g is stale", "10000"], "parser": "lines", "interval": "1h", "splay": "0s"},
            {"name": "often", "command": ["true"], "parser": "none", "interval": "1s"},
        ],
        "parsers": {"lines": {"regex": "^(?P<name>\\S+) is (?P<kind>stale)$", "clean": "^fresh$"}},
    });
    let config = folder.write("driftrun.yaml", &config.to_string());
    let mut server =
        Server::start(support::driftrun(), &["serve", "--config.file", config.to_str().unwrap()], flags);
    let line = server.wait_for_run("many");
    assert!(line.contains("verdict=drifted") && line.contains("drifted=10000"), "{line}");
    server
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream
}

/// Sends `bytes`; the stream stays open.
fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    stream
}

/// Everything that comes until the other side closes, which it may do rudely.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return bytes,
            Ok(n) => bytes.extend(&part[..n]),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "nobody closes");
                return bytes;
            }
        }
    }
}

/// A scrape is whole, and runs go on.
fn all_is_well(server: &mut Server) {
    let scrape = server.scrape();
    assert_eq!(scrape.samples("driftrun_resource_drift", "many").len(), 10_000);
    assert!(scrape.0.ends_with('\n') && scrape.0.contains("\nprocess_open_fds "));
    server.wait_for_fresh_run("often");
}

#[test]
fn a_crowd_of_idle_connections_leaves_room_for_a_scrape() {
    let folder = Folder::new("idle");
    let mut server = server(&folder, &[]);
    let crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| {
            let mut stream = send(&server, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n");
            let (head, body) = answer(&mut stream);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == b"driftrun is healthy.\n", "{head}");
            stream
        })
        .collect();
    all_is_well(&mut server);
    // Those that came last still have their connection.
    let mut last = crowd.last().unwrap().try_clone().unwrap();
    last.write_all(METRICS.as_bytes()).unwrap();
    assert!(answer(&mut last).0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_crowd_of_connections_that_say_nothing_or_half_a_word_leaves_room_for_a_scrape() {
    let folder = Folder::new("half");
    let mut server = server(&folder, &[]);
    for half in [&b""[..], b"G", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"] {
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| send(&server, half)).collect();
        all_is_well(&mut server);
        drop(crowd);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_crowd_that_asks_and_never_reads_leaves_room_for_a_scrape() {
    let folder = Folder::new("deaf");
    let mut server = server(&folder, &[]);
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| send(&server, METRICS.as_bytes())).collect();
    all_is_well(&mut server);
    // What was rendered is shared, not copied for each of them.
    let scrape = server.scrape();
    let resident = scrape.0.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let resident: f64 = resident.unwrap().parse().unwrap();
    assert!(resident < 400e6, "{resident}");
    drop(crowd);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let folder = Folder::new("slowloris");
    let mut server = server(&folder, &[]);
    // A byte now and then doesn't help.
    let mut dribble = send(&server, b"GET /metrics HTTP/1.1\r\n");
    let mut pen = dribble.try_clone().unwrap();
    let dribbler = std::thread::spawn(move || {
        while pen.write_all(b"X-A: b\r\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let mut silent = connect(&server);
    all_is_well(&mut server);
    assert_eq!((rest(&mut dribble), rest(&mut silent)), (Vec::new(), Vec::new()));
    dribbler.join().unwrap();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn requests_are_answered_by_the_letter() {
    let folder = Folder::new("letter");
    let mut server = server(&folder, &[]);
    let long = "x".repeat(300_000);
    let many = (0..200).map(|n| format!("X-{n}: y\r\n")).collect::<Vec<_>>().concat();
    let ok = "HTTP/1.1 200 OK";
    let rows = [
        (METRICS.to_owned(), ok),
        ("GET /metrics HTTP/1.0\r\n\r\n".to_owned(), "HTTP/1.0 200 OK"),
        ("GET http://other.example/metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ok),
        ("GET /metrics?name[]=up HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), ok),
        ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("GET /metrics HTTP/3.7\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("GET /metrics\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("GET /me trics HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", &long[..70_000]), "HTTP/1.1 414 URI Too Long"),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\n\r\n"),
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), "HTTP/1.1 431 Request Header Fields Too Large"),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
                .to_owned(),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n".to_owned(),
            "HTTP/1.1 400 Bad Request",
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /checks/..%2f..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /checks%2fmany HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /checks/many/../often HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET //metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /%6detrics HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
        ("GET /checks/many%00 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404 Not Found"),
    ];
    for (request, want) in &rows {
        let mut stream = send(&server, request.as_bytes());
        stream.shutdown(Shutdown::Write).unwrap();
        let said = String::from_utf8_lossy(&rest(&mut stream)).into_owned();
        assert_eq!(said.lines().next(), Some(*want), "{:?}", &request[..request.len().min(80)]);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "get"] {
        for (path, allow) in [("/", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/nowhere", "GET, HEAD")] {
            let (head, body) =
                server.request(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
            assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{method} {path}: {head}");
            assert!(head.contains(&format!("\r\nallow: {allow}\r\n")), "{head}");
            assert_eq!(body, "only GET and HEAD are answered here\n");
        }
    }
    let (head, _) = server.get("/-/reload");
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("\r\nallow: POST, PUT\r\n"), "{head}");
    all_is_well(&mut server);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let folder = Folder::new("head");
    let server = server(&folder, &[]);
    let heads = |method: &str, path: &str, more: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n");
        let mut stream = send(&server, request.as_bytes());
        let all = rest(&mut stream);
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let named = |line: &&str| !line.starts_with("date: ");
        (head.lines().filter(named).collect::<Vec<_>>().join("\n"), all.len() - end - 4)
    };
    for path in ["/-/healthy", "/nowhere", "/assets/style.css"] {
        let (get, length) = heads("GET", path, "");
        assert!(get.contains(&format!("\ncontent-length: {length}")), "{get}");
        assert_eq!(heads("HEAD", path, ""), (get, 0));
    }
    // The length of metrics differs from one scrape to the next, in the process' own.
    let kinds = |head: &str| {
        head.lines().filter(|line| !line.starts_with("content-length")).map(str::to_owned).collect::<Vec<_>>()
    };
    for more in ["", "Accept-Encoding: gzip\r\n", "Accept: application/openmetrics-text\r\n"] {
        let ((get, length), (head, none)) = (heads("GET", "/metrics", more), heads("HEAD", "/metrics", more));
        assert!(get.contains(&format!("\ncontent-length: {length}")), "{get}");
        assert!(head.contains("\ncontent-length: "), "{head}");
        assert_eq!((kinds(&head), none), (kinds(&get), 0));
    }
}

#[test]
fn one_after_another_and_all_at_once_on_one_connection() {
    let folder = Folder::new("pipeline");
    let server = server(&folder, &[]);
    let mut stream = connect(&server);
    // Each answered in turn, though all were sent before the first answer was read.
    let paths = ["/-/healthy", "/metrics", "/nowhere", "/-/ready", "/assets/style.css"];
    let all = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).concat();
    stream.write_all(all.as_bytes()).unwrap();
    let lines: Vec<String> =
        paths.iter().map(|_| answer(&mut stream).0.lines().next().unwrap().to_owned()).collect();
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(lines, [ok, ok, "HTTP/1.1 404 Not Found", ok, ok]);
    // Nobody who sends without reading is followed for ever: answers wait for room.
    let flood = METRICS.repeat(2_000);
    let _ = stream.set_write_timeout(Some(HANG));
    stream.write_all(flood.as_bytes()).unwrap();
    assert_eq!(server.scrape().samples("driftrun_resource_drift", "many").len(), 10_000);
    drop(stream);
    // A client that is done with asking still gets its answer; one with a body gets none of it read.
    let mut half = send(&server, METRICS.as_bytes());
    half.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut half).starts_with(b"HTTP/1.1 200 OK\r\n"));
    let mut heavy =
        send(&server, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
    let chunk = vec![b'x'; 1 << 20];
    // Its end of the line is closed, at some time.
    while heavy.write_all(&chunk).is_ok() {}
    assert_eq!(server.scrape().samples("driftrun_resource_drift", "many").len(), 10_000);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn answers_under_way_finish_when_it_ends() {
    let folder = Folder::new("finish");
    let mut server = server(&folder, &[]);
    let mut stream = send(&server, METRICS.as_bytes());
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    server.signal("TERM");
    server.wait_for("msg=stopping");
    let mut all = first.to_vec();
    all.extend(rest(&mut stream));
    let text = String::from_utf8(all).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(
        body.contains("\ndriftrun_resource_drift{check=\"many\",scope=\"\",kind=\"stale\",name=\"010000\""),
        "{head}"
    );
    assert_eq!(server.wait(), Some(0));
    // A client that doesn't read isn't waited for.
    let mut server = self::server(&folder, &[]);
    let deaf = send(&server, METRICS.repeat(50).as_bytes());
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    drop(deaf);
}

#[test]
fn the_configuration_is_loaded_by_a_post_of_somebody_who_may() {
    let folder = Folder::new("reload");
    let mut server =
        server(&folder, &["--web.enable-lifecycle", "--web.external-url=https://ops.example/x/"]);
    let post = |server: &Server, more: &str| {
        let request = format!(
            "POST /x/-/reload HTTP/1.1\r\nHost: ops.example\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let (head, body) = server.request(&request);
        (head.lines().next().unwrap().to_owned(), body)
    };
    let good = "checks:\n- { name: new, command: [\"true\"], parser: none, splay: 0s }\n";
    folder.write("driftrun.yaml", good);
    let loaded = ("HTTP/1.1 200 OK".to_owned(), "configuration loaded\n".to_owned());
    assert_eq!(post(&server, "Origin: https://ops.example\r\n"), loaded);
    server.wait_for_run("new");
    let (_, metrics) = server.get("/x/metrics");
    assert!(
        metrics.contains("\ndriftrun_check_info{check=\"new\",url=\"https://ops.example/x/checks/new\"} 1\n")
    );
    let (_, page) = server.get("/x/");
    assert!(
        page.contains("href=\"/x/checks/new\"") && page.contains("href=\"/x/assets/style.css?v="),
        "{page}"
    );
    assert!(server.get("/metrics").0.starts_with("HTTP/1.1 404"));
    let path = folder.write("driftrun.yaml", "checks: [");
    let (status, body) = post(&server, "");
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
    assert!(
        body.starts_with(&format!(
            "configuration not loaded, the old one goes on:\n{}:2:1: not valid YAML:",
            path.display()
        )),
        "{body}"
    );
    let (_, metrics) = server.get("/x/metrics");
    assert!(metrics.contains("\ndriftrun_config_last_reload_successful 0\n"));
    folder.write("driftrun.yaml", good);
    for foreign in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let refused = ("HTTP/1.1 403 Forbidden".to_owned(), "not for pages of other sites\n".to_owned());
        assert_eq!(post(&server, foreign), refused);
    }
    // Nobody's origin is not that of nobody's host.
    let (head, _) = server.request("POST /x/-/reload HTTP/1.0\r\nOrigin: null\r\n\r\n");
    assert!(head.starts_with("HTTP/1.0 403 "), "{head}");
    assert_eq!(post(&server, "Sec-Fetch-Site: same-origin\r\n"), loaded);
    assert_eq!(server.stop(), Some(0));
    // By itself it is off.
    let off = Server::watch(&["--name=t", "--interval=1h"], &["true"]);
    let (head, body) = off.request("PUT /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 403") && body.contains("--web.enable-lifecycle"), "{head}{body}");
}
