//! Secrets planted in everything that a run touches are nowhere to be found where anybody could look: pages, API, event stream, metrics, log, disk, files
//! for `node_exporter`, and what `once` prints.

mod support;

use flate2::read::GzDecoder;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use support::{Folder, HANG, Server, driftrun, tool, words};

/// What must not be seen, in parts that no cut makes harmless.
const PLANTED: [&str; 13] = [
    "AKIAIOSFODNN7EXAMPLE",
    "hunter-two",
    "pg-pass-99",
    "bearer-abcdefgh",
    "MIIEsecretbody",
    "48151623",
    "raw-plan-value",
    "IOSFODNN7COLOURS",
    "ghp_0123456789012345678901234567890123456789",
    "argument-secret",
    "setup-secret",
    "env-secret",
    "AKIAWIDEWIDEWIDEWIDE",
];

/// Lines with a secret of each sort; the rest of each line is to be seen.
const LINES: &str = concat!(
    "key AKIAIOSFODNN7EXAMPLE is here\n",
    "      ~ password = \"hunter-two\" -> \"hunter-two-b\"\n",
    "url postgres://app:pg-pass-99@db/x\n",
    "Authorization: Bearer bearer-abcdefgh\n",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEsecretbody\nMIIEsecretbody2\n-----END RSA PRIVATE KEY-----\n",
    "own pin=48151623 of the check\n",
    "{\"format_version\":\"1.2\",\"resource_changes\":[{\"change\":{\"after\":{\"x\":\"raw-plan-value\"}}}]}\n",
    "\u{1b}[31mAKIA\u{1b}[0mIOSFODNN7COLOURS coloured\n",
);

fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            if path.extension().is_some_and(|end| end == "gz") {
                let mut text = Vec::new();
                GzDecoder::new(bytes.as_slice()).read_to_end(&mut text).unwrap();
                bytes = text;
            }
            into.push((path.display().to_string(), bytes));
        }
    }
}

/// None of the planted ones is there, in whatever spelling.
fn is_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // JSON and HTML write some characters otherwise; ANSI may stand within; UTF-16 has NULs between.
    let plain: String = text.chars().filter(|c| *c != '\0').collect();
    let bare = String::from_utf8(driftrun_parsers::text::strip_ansi(plain.as_bytes()).into_owned()).unwrap();
    for planted in PLANTED {
        for text in [&*text, &plain, &bare] {
            assert!(!text.contains(planted), "{planted} in {what}:\n{text}");
        }
    }
}

const CONFIG: &str = r#"
state_dir: state
defaults: { interval: 1d, splay: 0s, redact: ['pin=[0-9]+'], workdir: . }
checks:
  - name: drifts
    setup: [[cat, setup]]
    command: [./prints, --password=argument-secret, --token, argument-secret, "https://u:argument-secret@host/"]
    env: { SECRET: env-secret }
    parser: lines
  - { name: fails, command: [sh, -c, "cat lines; echo 'Error: token ghp_0123456789012345678901234567890123456789 refused' >&2; exit 1"], parser: none }
  - { name: absent, command: [/nowhere/AKIAIOSFODNN7EXAMPLE], parser: none }
  - { name: setup, setup: [[sh, -c, "cat setup; cat setup >&2; exit 3"]], command: ["true"], parser: none }
  - { name: wide, command: [cat, wide], parser: none }
  - { name: long, command: [cat, long], parser: none }
  - { name: raw, command: [cat, raw], parser: terraform-show }
  - { name: unread, command: [cat, lines], parser: terraform-json }
parsers: { lines: { regex: '^drift (?P<name>\S+)', clean: '^none$' } }
"#;

fn configured(folder: &Folder) -> std::path::PathBuf {
    folder.write("lines", LINES);
    folder.write("setup", "passwd=setup-secret\n");
    // Waits until somebody has seen what it has printed so far.
    let prints = folder.write(
        "prints",
        "#!/bin/sh\necho drift db\ncat lines\ncat lines >&2\n[ -p gate ] && cat gate\necho last\n",
    );
    let mut mode = fs::metadata(&prints).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&prints, mode).unwrap();
    let wide: Vec<u8> =
        "\u{feff}key AKIAWIDEWIDEWIDEWIDE wide\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("wide"), wide).unwrap();
    // A line of 3 MB whose cut is in the middle of a key, wherever that is.
    fs::write(folder.path().join("long"), "AKIAIOSFODNN7EXAMPLE ".repeat(150_000)).unwrap();
    let plan = r#"{"format_version":"1.2","terraform_version":"1.11.4","variables":{"p":{"value":"raw-plan-value"}}}"#;
    fs::write(folder.path().join("raw"), plan).unwrap();
    folder.write("driftrun.yaml", CONFIG)
}

/// What the event stream of the check has until its run ends; `seen` is called once the first lines have come.
fn events(server: &Server, seen: impl FnOnce()) -> String {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(b"GET /api/v1/events?check=drifts HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut text = String::new();
    let mut until = |what: &str| {
        for line in lines.by_ref() {
            text.push_str(&line);
            text.push('\n');
            if line.contains(what) {
                return;
            }
        }
        panic!("no {what}: {text}");
    };
    until("coloured");
    seen();
    until("event: end");
    text
}

#[test]
fn no_secret_is_to_be_found_where_anybody_could_look() {
    let folder = Folder::new("secrets");
    let config = configured(&folder);
    let gate = folder.path().join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let mut command = driftrun();
    command.args([
        "serve",
        "--config.file",
        config.to_str().unwrap(),
        "--web.listen-address=127.0.0.1:0",
        "--log.level=debug",
    ]);
    let mut server = Server::of(command);
    let live = events(&server, || {
        // The page of a run under way has what was printed so far.
        let (_, page) = server.get("/checks/drifts");
        assert!(page.contains("own (redacted) of the check"), "{page}");
        is_clean("the page while it runs", page.as_bytes());
        fs::write(&gate, "through the gate\n").unwrap();
    });
    for seen in [
        "key (redacted) is here",
        "own (redacted) of the check",
        "(redacted) coloured",
        "through the gate",
        "last",
    ] {
        assert!(live.contains(seen), "{seen}: {live}");
    }
    is_clean("the event stream", live.as_bytes());
    let names = ["drifts", "fails", "absent", "setup", "wide", "long", "raw", "unread"];
    let scrape = || server.scrape();
    support::poll(|| names.iter().all(|name| scrape().verdict(name).is_some()));
    let mut looked = vec![("/".to_owned(), server.get("/").1), ("/metrics".to_owned(), scrape().0)];
    for name in names {
        for path in ["", "/report", "/resources", "/runs"] {
            let path = format!("/api/v1/checks/{name}{path}");
            looked.push((path.clone(), server.get(&path).1));
        }
        let runs: serde_json::Value = serde_json::from_str(&looked.last().unwrap().1).unwrap();
        let id = runs["runs"][0]["id"].as_str().unwrap();
        for path in [
            format!("/checks/{name}"),
            format!("/checks/{name}/runs/{id}"),
            format!("/api/v1/checks/{name}/runs/{id}"),
        ] {
            looked.push((path.clone(), server.get(&path).1));
        }
        for stream in ["stdout", "stderr"] {
            let path = format!("/api/v1/checks/{name}/runs/{id}/output?stream={stream}");
            looked.push((path.clone(), server.get(&path).1));
        }
    }
    for (what, text) in &looked {
        is_clean(what, text.as_bytes());
    }
    // What is left of the lines is there, and as many of them.
    let of = |path: &str| looked.iter().find(|(what, _)| what.contains(path)).unwrap().1.clone();
    let page = words(&server.get("/checks/drifts").1);
    for seen in [
        "key (redacted) is here",
        "password = (redacted)",
        "url postgres://app:(redacted)@db/x",
        "Bearer (redacted)",
        "own (redacted) of the check",
        "(redacted) coloured",
    ] {
        assert!(page.contains(seen), "{seen}: {page}");
    }
    let output = server.get("/api/v1/checks/fails/runs").1;
    assert!(output.contains("token (redacted) refused"), "{output}");
    assert!(of("/checks/absent").contains("(redacted)"), "{}", of("/checks/absent"));
    let id = serde_json::from_str::<serde_json::Value>(&output).unwrap()["runs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let output = server.get(&format!("/api/v1/checks/fails/runs/{id}/output")).1;
    assert_eq!(output.lines().count(), LINES.lines().count());
    assert!(
        words(&server.get("/checks/raw").1).contains("Not kept: this is the raw plan or state of Terraform")
    );
    assert!(words(&server.get("/checks/wide").1).contains("key (redacted) wide\n"));
    server.signal("TERM");
    server.wait_for("msg=stopped");
    let log = server.seen.join("\n");
    is_clean("the log", log.as_bytes());
    let mut kept = Vec::new();
    files(&folder.path().join("state"), &mut kept);
    assert!(kept.iter().any(|(path, bytes)| path.contains("runs/drifts/")
        && String::from_utf8_lossy(bytes).contains("own (redacted) of")));
    for (path, bytes) in kept {
        is_clean(&path, &bytes);
    }
    // A reload with another pattern takes what it matches out of what is kept, after a restart as well.
    fs::write(&config, CONFIG.replace("'pin=[0-9]+'", "'pin=[0-9]+', 'is here'")).unwrap();
    let server = Server::serve(&config);
    let page = words(&server.get("/checks/drifts").1);
    assert!(page.contains("key (redacted) (redacted)\n"), "{page}");
}

#[test]
fn nor_in_what_a_round_prints_and_writes() {
    let folder = Folder::new("round");
    let config = configured(&folder);
    let textfiles = folder.path().join("textfiles");
    fs::create_dir(&textfiles).unwrap();
    for format in ["table", "json", "prometheus"] {
        let output = driftrun()
            .args([
                "once",
                "--config.file",
                config.to_str().unwrap(),
                "--format",
                format,
                "--textfile",
                textfiles.to_str().unwrap(),
            ])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said);
        assert!(text.contains("token (redacted) refused") && text.contains("db"), "{text}");
        is_clean(format, &said);
    }
    let mut written = Vec::new();
    files(&textfiles, &mut written);
    files(&folder.path().join("state"), &mut written);
    assert!(written.len() > 16, "{}", written.len());
    for (path, bytes) in written {
        is_clean(&path, &bytes);
    }
}

/// Terraform masks what is marked as sensitive where the mark has come along; `terraform_data` loses it in its output.
#[test]
fn what_terraform_marks_as_sensitive_is_shown_nowhere_and_the_diff_is() {
    let Some(terraform) = tool("terraform") else { return };
    let folder = Folder::new("marked");
    let main = "variable \"secret\" {\n  default   = \"horse-battery\"\n  sensitive = true\n}\nresource \"terraform_data\" \"a\" {\n  input = { size = 1, pw = var.secret }\n}\n";
    folder.write("main.tf", main);
    for arguments in [&["init"][..], &["apply", "-auto-approve"]] {
        let output = std::process::Command::new(&terraform)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder.write("main.tf", &main.replace("size = 1", "size = 2"));
    let config = folder.write(
        "driftrun.yaml",
        &format!(
            "state_dir: state\nchecks:\n- name: tf\n  interval: 1d\n  splay: 0s\n  workdir: .\n  command: [{terraform}, plan, -input=false, -lock=false, -no-color, -detailed-exitcode, '-out={{tmp}}/plan']\n  report: [{terraform}, show, -json, '{{tmp}}/plan']\n",
            terraform = terraform.display()
        ),
    );
    let mut server = Server::serve(&config);
    let line = server.wait_for_run("tf");
    assert!(line.contains("verdict=drifted"), "{line}");
    let page = server.get("/checks/tf").1;
    let text = words(&page);
    // The diff of the resource, which is read from the report, is cut from what the command itself has printed.
    let diff = text
        .split("Diff")
        .nth(1)
        .unwrap_or_else(|| panic!("no diff: {text}"))
        .split("Output")
        .next()
        .unwrap()
        .to_owned();
    assert!(
        diff.contains("~ size = 1 -> 2") && diff.contains("terraform_data.a will be updated in-place"),
        "{diff}"
    );
    assert!(diff.contains("- pw   = \"(redacted)\""), "{diff}");
    assert!(text.contains("1 resource drifts: 1 update") && text.contains("input.size"), "{text}");
    server.signal("TERM");
    server.wait_for("msg=stopped");
    let mut kept = Vec::new();
    files(&folder.path().join("state"), &mut kept);
    assert!(kept.len() > 2, "{}", kept.len());
    kept.push(("the page".to_owned(), page.into_bytes()));
    for (path, bytes) in kept {
        assert!(!String::from_utf8_lossy(&bytes).contains("horse-battery"), "{path}");
    }
}
