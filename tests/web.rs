//! Answers to requests: what is escaped, what is shown to whom, what is refused.

mod support;

use support::{Folder, Server, ended, words};

const EVIL: &str = "<script>alert(1)</script>&\"'";

#[test]
fn whatever_a_command_prints_is_escaped() {
    let server = {
        let mut server = Server::watch(
            &["--name=evil", "--interval=1h", "--label=note=<b>&\"x\""],
            &[
                "sh",
                "-c",
                &format!(
                    "printf '%s\\n\\033[31mred\\033[0m\\n' '{}'; echo '<i>' >&2; exit 1",
                    EVIL.replace('\'', "'\\''")
                ),
            ],
        );
        server.wait_for_run("evil");
        server
    };
    for path in ["/", "/checks/evil"] {
        let (head, body) = server.get(path);
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/html; charset=utf-8"),
            "{head}"
        );
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        for raw in ["<script>", "<b>", "<i>", "\u{1b}"] {
            assert!(!body.contains(raw), "{raw:?} in {path}");
        }
    }
    let (_, body) = server.get("/checks/evil");
    assert!(body.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;'\n"), "{body}");
    assert!(body.contains("<span class=\"c1\">red</span>\n"), "{body}");
    assert!(body.contains("failed (exit): </strong>command exited with code 1: &lt;i&gt;"), "{body}");
}

#[test]
fn an_output_is_shown_on_loopback_addresses_only_unless_told_otherwise() {
    for (flags, shown) in [
        (&[][..], true),
        (&["--web.output=never"], false),
        (&["--web.listen-address=0.0.0.0:0"], false),
        (&["--web.listen-address=0.0.0.0:0", "--web.output=always"], true),
    ] {
        let mut all = vec!["--name=t", "--interval=1h"];
        all.extend(flags);
        let mut server = Server::watch(&all, &["echo", "s3cret"]);
        server.wait_for_run("t");
        // The first address is the one that the flags name, if they do.
        let port = server.seen[0]
            .rsplit("address=")
            .next()
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap();
        server.address = format!("127.0.0.1:{port}");
        let (_, body) = server.get("/checks/t");
        assert_eq!(words(&body).contains("s3cret\n"), shown, "{flags:?}");
        assert_eq!(body.contains("--web.output=always"), !shown, "{flags:?}");
    }
}

#[test]
fn pages_count_what_they_have_no_room_to_list() {
    let folder = Folder::new("room");
    let text = "max_total_resources: 2\ndefaults: { interval: 1h, splay: 0s, parser: lines }\nchecks:\n- { name: a, command: [printf, 'x\\ny\\n'] }\n- { name: b, command: [printf, 'x\\ny\\nz\\n'], cron: \"H H 1 1 *\" }\nparsers: { lines: { regex: '^(?P<name>[xyz])$', clean: '^none$' } }\n";
    let config = folder.write("driftrun.yaml", text);
    let mut server = Server::serve(&config);
    server.wait_for_run("a");
    // Only now, as room goes to whoever comes first.
    folder.write("driftrun.yaml", &text.replace(", cron: \"H H 1 1 *\"", ""));
    server.signal("HUP");
    server.wait_for_run("b");
    let (_, all) = server.get("/");
    let all = words(&all);
    assert!(all.contains("5 resources drift: 5 change") && all.contains("drifted3 change"), "{all}");
    let (_, page) = server.get("/checks/b");
    assert!(page.contains("3 resources drift; 3 of them are counted only"), "{page}");
    assert!(!page.contains("Nothing drifts"), "{page}");
}

#[test]
fn a_check_that_comes_near_its_limit_says_so_in_log_and_page() {
    let folder = Folder::new("near");
    let config = folder.write(
        "driftrun.yaml",
        "defaults: { interval: 1h, splay: 0s, parser: lines, max_resources: 5 }\nchecks:\n- { name: far, command: [printf, '1\\n2\\n3\\n4\\n'] }\n- { name: near, command: [printf, '1\\n2\\n3\\n4\\n5\\n'] }\n- { name: over, command: [printf, '1\\n2\\n3\\n4\\n5\\n6\\n'] }\nparsers: { lines: { regex: '^(?P<name>[1-6])$', clean: '^none$' } }\n",
    );
    let mut server = Server::serve(&config);
    let mut missing = vec!["far", "near", "over"];
    while !missing.is_empty() {
        let line = server.wait_for("msg=run check=");
        missing.retain(|check| !line.contains(&format!("check={check} ")));
    }
    let warned: Vec<&str> = server
        .seen
        .iter()
        .filter_map(|line| line.split_once("level=warn msg=")?.1.split_once(" max_resources=5"))
        .map(|(line, _)| line)
        .collect();
    let near = "\"drifting resources come near max_resources; those over it will be counted only\" check=near drifted=5";
    let over = "\"more resources drift than max_resources allows: those over it are counted only\" check=over drifted=6 dropped=1";
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned.contains(&near) && warned.contains(&over), "{warned:?}");
    for (check, says) in [
        ("far", None),
        ("near", Some("5 resources drift, which comes near <code>max_resources</code>, 5")),
        ("over", Some("6 resources drift; 1 of them are counted only")),
    ] {
        let (_, page) = server.get(&format!("/checks/{check}"));
        assert_eq!(page.contains("counted only"), says.is_some(), "{check}: {page}");
        assert!(says.is_none_or(|says| page.contains(says)), "{check}: {page}");
    }
}

#[test]
fn a_name_that_leads_here_is_not_this_machine() {
    let mut server = Server::watch(&["--name=t", "--interval=1h"], &["echo", "s3cret"]);
    server.wait_for_run("t");
    for (host, shown) in [
        ("localhost", true),
        ("LOCALHOST:9152", true),
        ("127.0.0.1:9152", true),
        ("127.7.7.7", true),
        ("[::1]:9152", true),
        ("evil.example", false),
        ("localhost.evil.example:9152", false),
        ("10.0.0.1", false),
        ("", false),
    ] {
        let (_, body) =
            server.request(&format!("GET /checks/t HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(words(&body).contains("s3cret\n"), shown, "{host:?}");
    }
    // Nor is whoever asks a proxy that runs on it.
    for by in
        ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "Via: 1.1 proxy", "X-Real-IP: 10.0.0.1"]
    {
        let (_, body) = server.request(&format!(
            "GET /checks/t HTTP/1.1\r\nHost: localhost\r\n{by}\r\nConnection: close\r\n\r\n"
        ));
        assert!(!words(&body).contains("s3cret\n") && body.contains("--web.output=always"), "{by}");
    }
}

#[test]
fn paths_and_methods() {
    let mut server = Server::watch(&["--name=t", "--interval=1h", "--web.telemetry-path=/m"], &["true"]);
    server.wait_for_run("t");
    let status = |request: &str| server.request(request).0.lines().next().unwrap().to_owned();
    let get = |path: &str| status(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    for path in ["/", "/checks/t", "/m", "/-/healthy", "/-/ready", "/assets/style.css", "/?x=y"] {
        assert_eq!(get(path), "HTTP/1.1 200 OK", "{path}");
    }
    for path in [
        "/metrics",
        "/checks/",
        "/checks/u",
        "/checks/t/",
        "/../etc/passwd",
        "/checks/%2e%2e",
        "//",
        "/assets/../x",
    ] {
        assert_eq!(get(path), "HTTP/1.1 404 Not Found", "{path}");
    }
    let (head, body) =
        server.request("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 405") && head.contains("allow: GET, HEAD") && !body.is_empty(),
        "{head}"
    );
    let (head, body) = server.request("HEAD /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
    let (head, body) = server.get("/m");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
    assert!(status("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn the_demo_shows_every_check_within_ten_seconds_of_its_own_clock() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut server = Server::serve(&std::path::Path::new(root).join("examples/demo/driftrun.yaml"));
    let verdicts = [
        ("ansiblediff-dev", "clean"),
        ("ansiblediff-prod", "partial"),
        ("backup-age", "clean"),
        ("kubediff-dev", "clean"),
        ("kubediff-prod", "drifted"),
        ("terradiff-dev", "clean"),
        ("terradiff-prod", "drifted"),
        ("terradiff-staging", "failed"),
    ];
    // Runs of different checks end in any order.
    while !verdicts
        .iter()
        .all(|(check, _)| server.seen.iter().any(|line| line.contains(&format!("msg=run check={check} "))))
    {
        server.wait_for("msg=run ");
    }
    let scrape = server.scrape();
    for (check, verdict) in verdicts {
        let (_, page) = server.get(&format!("/checks/{check}"));
        assert!(page.contains(&format!("</span> {verdict}</span>")), "{check}");
        assert!(scrape.0.contains(&format!("driftrun_check_verdict{{check=\"{check}\",")), "{check}");
        let line = server.seen.iter().find(|line| line.contains(&format!("msg=run check={check} "))).unwrap();
        assert!(line.contains(&format!("verdict={verdict} ")), "{line}");
    }
    assert_eq!(server.stop(), Some(0));
    // The intervals are 5 s, so that the splay is at most that.
    let config =
        std::fs::read_to_string(std::path::Path::new(root).join("examples/demo/driftrun.yaml")).unwrap();
    assert!(config.contains("defaults: { interval: 5s"));
}

#[test]
fn once_and_parse_say_it_in_their_exit_codes() {
    let root = env!("CARGO_MANIFEST_DIR");
    let fixture = |name: &str| format!("{root}/fixtures/{name}/stdout");
    let (stdout, stderr, code) = ended(&["parse", &fixture("terraform/drift_and_plan")]);
    assert!(
        stdout.starts_with("≠ drifted  1 resource: 1 update\n")
            && stderr.contains("detected terraform because of "),
        "{stdout}{stderr}"
    );
    assert_eq!(code, Some(2));
    let (stdout, _, code) =
        ended(&["parse", "--parser", "terraform", "--exit-code", "0", &fixture("terraform/clean")]);
    assert_eq!((stdout.as_str(), code), ("✓ clean\n", Some(0)));
    let (stdout, _, code) =
        ended(&["parse", "--exit-code", "4", "--format", "json", &fixture("ansible/unreachable-partial")]);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (report["verdict"].as_str(), report["scopes"]["unread"][0]["scope"].as_str(), code),
        (Some("partial"), Some("db1"), Some(1))
    );
    let (stdout, _, code) =
        ended(&["parse", "--format", "prometheus", "--exit-code", "1", &fixture("kubectl/changed")]);
    assert!(
        stdout.contains("\ndriftrun_resource_drift{check=\"parse\",") && !stdout.contains("_total"),
        "{stdout}"
    );
    assert_eq!(code, Some(2));
    let folder = Folder::new("parse");
    let nothing = folder.write("nothing", "hello\n");
    let (stdout, _, code) = ended(&["parse", nothing.to_str().unwrap()]);
    assert!(
        stdout.starts_with("? unreadable\n    no parser recognises this output; name one with --parser"),
        "{stdout}"
    );
    assert_eq!(code, Some(1));
    let (stdout, _, code) = ended(&["once", "--name=t", "--parser=none", "--", "true"]);
    let (head, sum) = stdout.split_once("\n\n").unwrap();
    assert!(head.starts_with("✓ clean  t  ") && sum.starts_with("1 check: 1 clean, "), "{stdout}");
    assert_eq!(code, Some(0));
    let (stdout, stderr, _) = ended(&["once", "--name=t", "--", "true"]);
    assert!(stdout.contains("warning: no parser recognised the output"), "{stdout}");
    assert!(stderr.contains("its command line names no known tool"), "{stderr}");
    let (stdout, _, code) = ended(&["once", "--name=t", "--format=prometheus", "--", "false"]);
    assert!(stdout.contains("driftrun_check_last_exit_code{check=\"t\"} 1\n"), "{stdout}");
    for absent in ["_total", "first_seen", "running", "next_run", "_sum"] {
        assert!(!stdout.contains(absent), "{absent} in {stdout}");
    }
    assert_eq!(code, Some(1));
    let (stdout, _, code) =
        ended(&["once", "--config.file", &format!("{root}/examples/demo/driftrun.yaml"), "--format=json"]);
    let reports: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(reports["kubediff-prod"]["totals"]["plan"]["delete"], 2);
    assert_eq!((reports.as_object().unwrap().len(), code), (8, Some(1)));
}

#[test]
fn parsers_are_listed_with_their_command_lines() {
    let (stdout, _, code) = ended(&["parsers"]);
    assert_eq!(code, Some(0));
    for parser in driftrun_parsers::ALL {
        assert!(stdout.contains(parser.name) && stdout.contains(parser.recommended), "{}", parser.name);
        let (one, _, code) = ended(&["parsers", parser.name]);
        assert!(one.contains(parser.about) && code == Some(0), "{one}");
    }
}

#[test]
fn what_is_not_known_any_more_is_not_shown_as_nothing() {
    let folder = Folder::new("stale");
    let shell = |first: &str| {
        format!("if [ -e $0.ran ]; then echo broken >&2; exit 1; fi; touch $0.ran; echo {first}")
    };
    let check = |name: &str, first: &str| {
        format!("- {{ name: {name}, command: [sh, -c, '{}', {name}] }}\n", shell(first))
    };
    let text = format!(
        "defaults: {{ interval: 1d, splay: 0s, parser: lines }}\nchecks:\n{}{}parsers: {{ lines: {{ regex: '^drift (?P<name>.+)$', clean: '^none$' }} }}\n",
        check("was-clean", "none"),
        check("was-drifted", "drift db")
    );
    let config = folder.write("driftrun.yaml", &text);
    let mut command = support::driftrun();
    command.args([
        "serve",
        "--config.file",
        config.to_str().unwrap(),
        "--web.enable-lifecycle",
        "--web.listen-address=127.0.0.1:0",
    ]);
    let server = Server::of(command);
    let ask = |name: &str| {
        let path = format!("/api/v1/checks/{name}/run");
        let (head, _) =
            server.request(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        head.starts_with("HTTP/1.1 202 ")
    };
    // Both have run once by then.
    for name in ["was-clean", "was-drifted"] {
        support::poll(|| {
            server.scrape().value("driftrun_check_run_duration_seconds_count", name) == Some(1.0)
        });
        support::poll(|| ask(name));
        support::poll(|| {
            server.scrape().value("driftrun_check_run_duration_seconds_count", name) == Some(2.0)
        });
    }
    let page = |path: &str| words(&server.get(path).1);
    let clean = page("/checks/was-clean");
    assert!(clean.starts_with("All checkswas-clean ✕ failed"), "{clean}");
    assert!(
        clean.contains("Whether anything drifts is not known: nothing did in the last good report, "),
        "{clean}"
    );
    assert!(!clean.contains("Nothing drifts"), "{clean}");
    let drifted = page("/checks/was-drifted");
    assert!(drifted.contains("1 resource drifts: 1 change. Oldest: "), "{drifted}");
    assert!(drifted.contains("This is what the last good report said, "), "{drifted}");
    let all = page("/");
    let row = |name: &str| all.split(name).nth(1).unwrap().split("in 23 h").next().unwrap().to_owned();
    assert!(row("was-clean").contains("not knownas of "), "{all}");
    assert!(row("was-drifted").contains("1 changeas of "), "{all}");
}

#[test]
fn a_line_that_could_not_be_read_is_pointed_at() {
    let folder = Folder::new("line");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/terraform-json/clean/stdout");
    let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    lines.insert(2, "{\"@level\": garbage <b>here</b>".to_owned());
    folder.write("plan", &lines.join("\n"));
    let plan = folder.path().join("plan");
    let mut server = Server::watch(
        &["--name=t", "--interval=1d", "--parser=terraform-json"],
        &["cat", plan.to_str().unwrap()],
    );
    assert!(server.wait_for_run("t").contains("verdict=unreadable"));
    let (_, page) = server.get("/checks/t");
    let marked: Vec<&str> = page.split("<span class=\"l mark").skip(1).collect();
    // In the reason, and in the output.
    assert_eq!(marked.len(), 2, "{page}");
    for line in marked {
        assert!(line.split("</span>").any(|part| part.contains("garbage &lt;b&gt;here&lt;/b&gt;")), "{line}");
    }
    assert!(words(&page).contains("unreadable (unreadable_format): line 3: "), "{page}");
}

#[test]
fn many_checks_come_in_pages() {
    let folder = Folder::new("pages");
    let items: Vec<String> = (0..250).map(|n| format!("{{ n: \"{n:03}\" }}")).collect();
    let config = folder.write(
        "driftrun.yaml",
        &format!("lists: {{ all: [{}] }}\nchecks:\n- {{ name: \"c-{{n}}\", for_each: {{ list: all }}, cron: '0 0 29 2 *', parser: none, command: [id] }}\n", items.join(", ")),
    );
    let server = Server::serve(&config);
    let names = |path: &str| -> Vec<String> {
        let (_, page) = server.get(path);
        page.split("href=\"/checks/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let want = |range: std::ops::Range<u32>| range.map(|n| format!("c-{n:03}")).collect::<Vec<_>>();
    assert_eq!(names("/"), want(0..100));
    assert_eq!(names("/?page=3"), want(200..250));
    assert_eq!(names("/?page=99"), want(200..250));
    assert_eq!(names("/?q=c-24"), want(240..250));
    let mut backwards = want(150..250);
    backwards.reverse();
    assert_eq!(names("/?sort=-name"), backwards);
    let (_, page) = server.get("/?sort=-name&page=2");
    assert!(
        page.contains("href=\"?sort=-name\"") && page.contains("href=\"?sort=-name&amp;page=3\""),
        "{page}"
    );
    assert!(words(&page).contains("101–200 of 250 checks"), "{page}");
}
