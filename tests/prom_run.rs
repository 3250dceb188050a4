//! driftrun in prom-run's place: the binary under its name, its flags, its five metrics, its page.
//!
//! What is expected is written from the source of prom-run's last version (github.com/tomwilkie/prom-run, `main.go`).

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Folder, Scrape, Server, driftrun, ended, words};

/// The binary through a link named `prom-run`.
fn prom_run(folder: &Folder) -> Command {
    let link = folder.path().join("prom-run");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_driftrun"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.stdin(Stdio::null());
    command
}

/// `prom-run FLAGS COMMAND`, on a port of its own.
fn serve(folder: &Folder, flags: &[&str], command: &[&str]) -> Server {
    let mut prom_run = prom_run(folder);
    prom_run.arg("-listen-addr=127.0.0.1:0").args(flags).args(command);
    Server::of(prom_run)
}

fn script(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let path = folder.write(name, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The lines of prom-run's families, HELP and TYPE included, in their order.
fn promrun(scrape: &Scrape) -> String {
    let of = |line: &&str| {
        line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("promrun_")
    };
    scrape.0.lines().filter(of).flat_map(|line| [line, "\n"]).collect()
}

/// What prom-run says after these runs. How long they took and when they ended are taken from driftrun's own metrics of the check.
fn expected(scrape: &Scrape, check: &str, exits: &[(&str, u32)], success: f64) -> String {
    let own = |name: &str| scrape.value(&format!("driftrun_check_{name}"), check).unwrap_or_default();
    let mut out = String::new();
    if !exits.is_empty() {
        out += "# HELP promrun_command_exits_total Counts the number of times the command ran by exit code.\n\
                # TYPE promrun_command_exits_total counter\n";
    }
    for (code, runs) in exits {
        out += &["promrun_command_exits_total{code=\"", code, "\"} ", &runs.to_string(), "\n"].concat();
    }
    let runs: u32 = exits.iter().map(|(_, runs)| runs).sum();
    let (sum, last, took) = (
        own("run_duration_seconds_sum"),
        own("last_run_timestamp_seconds"),
        own("last_run_duration_seconds"),
    );
    out + &format!(
        "# HELP promrun_command_duration_seconds Time spent running command.\n\
         # TYPE promrun_command_duration_seconds summary\n\
         promrun_command_duration_seconds_sum {sum}\n\
         promrun_command_duration_seconds_count {runs}\n\
         # HELP promrun_command_last_success_timestamp_seconds The timestamp of the last successful run.\n\
         # TYPE promrun_command_last_success_timestamp_seconds gauge\n\
         promrun_command_last_success_timestamp_seconds {success}\n\
         # HELP promrun_command_last_run_timestamp_seconds The timestamp of the last run.\n\
         # TYPE promrun_command_last_run_timestamp_seconds gauge\n\
         promrun_command_last_run_timestamp_seconds {last}\n\
         # HELP promrun_command_last_run_duration_seconds The duration of the last run.\n\
         # TYPE promrun_command_last_run_duration_seconds gauge\n\
         promrun_command_last_run_duration_seconds {took}\n"
    )
}

fn last_run(scrape: &Scrape, check: &str) -> f64 {
    scrape.value("driftrun_check_last_run_timestamp_seconds", check).unwrap()
}

/// One run of `command`; what prom-run's families say then, which are to be those of `code`.
#[track_caller]
fn one_run_counts_as(code: &str, flags: &[&str], command: &[&str], check: &str) -> Scrape {
    let folder = Folder::new("promrun");
    let mut all = vec!["-period=1h"];
    all.extend(flags);
    let mut server = serve(&folder, &all, command);
    server.wait_for_run(check);
    let scrape = server.scrape();
    let success = if code == "0" { last_run(&scrape, check) } else { 0.0 };
    assert_eq!(promrun(&scrape), expected(&scrape, check, &[(code, 1)], success), "{command:?}");
    assert!(last_run(&scrape, check) > 1_700_000_000.0);
    assert_eq!(server.stop(), Some(0));
    scrape
}

#[test]
fn each_ending_has_the_code_that_go_gives_it() {
    one_run_counts_as("0", &[], &["true"], "true");
    one_run_counts_as("3", &[], &["sh", "-c", "exit 3"], "sh");
    one_run_counts_as("255", &[], &["sh", "-c", "exit 255"], "sh");
    one_run_counts_as("-1", &[], &["sh", "-c", "kill -KILL $$"], "sh");
    // Out of time: prom-run's own KILL is a signal, too, whatever the command would have said to TERM.
    one_run_counts_as("-1", &["-timeout=100ms"], &["sleep", "1000"], "sleep");
    one_run_counts_as(
        "-1",
        &["-timeout=100ms"],
        &["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"],
        "sh",
    );
    one_run_counts_as("255", &[], &["/nowhere/kubediff", "k8s"], "kubediff");
    one_run_counts_as("255", &["-working-dir=/nowhere"], &["true"], "true");
}

#[test]
fn a_success_is_an_exit_code_of_0_even_where_another_is_no_failure_for_driftrun() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/terraform/drift_and_plan/stdout");
    let folder = Folder::new("terraform");
    let terraform = script(&folder, "terraform", &format!("cat '{root}'; exit 2"));
    let mut command = prom_run(&folder);
    command.args(["--period", "1h", "--listen-addr", "127.0.0.1:0"]).arg(terraform);
    command.args(["plan", "-detailed-exitcode", "-no-color"]);
    let mut server = Server::of(command);
    server.wait_for_run("terraform");
    let scrape = server.scrape();
    assert_eq!(promrun(&scrape), expected(&scrape, "terraform", &[("2", 1)], 0.0));
    assert_eq!(scrape.verdict("terraform").as_deref(), Some("drifted"));
    assert_eq!(
        scrape.value("driftrun_check_last_success_timestamp_seconds", "terraform"),
        Some(last_run(&scrape, "terraform"))
    );
}

#[test]
fn everything_begins_at_0_and_counts_from_run_to_run() {
    let folder = Folder::new("runs");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Each run ends with the code that somebody writes.
    let check = script(&folder, "check", "read -r code <\"$1\" && exit \"$code\"");
    let mut server = serve(&folder, &["-period=1ms"], &[check.to_str().unwrap(), fifo.to_str().unwrap()]);
    let scrape = server.scrape();
    assert_eq!(promrun(&scrape), expected(&scrape, "check", &[], 0.0));
    let mut success = 0.0;
    let after: [(&str, &[(&str, u32)]); 4] = [
        ("3", &[("3", 1)]),
        ("0", &[("0", 1), ("3", 1)]),
        ("3", &[("0", 1), ("3", 2)]),
        ("4", &[("0", 1), ("3", 2), ("4", 1)]),
    ];
    for (code, exits) in after {
        fs::write(&fifo, format!("{code}\n")).unwrap();
        server.wait_for_run("check");
        let scrape = server.scrape();
        success = if code == "0" { last_run(&scrape, "check") } else { success };
        assert_eq!(promrun(&scrape), expected(&scrape, "check", exits, success), "after {code}");
    }
    assert!(success > 1_700_000_000.0);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_five_families_are_there_in_this_manner_only() {
    let mut server = Server::watch(&["--name=t", "--interval=1h"], &["true"]);
    server.wait_for_run("t");
    let scrape = server.scrape();
    assert_eq!(
        (promrun(&scrape), scrape.value("driftrun_check_last_exit_code", "t")),
        (String::new(), Some(0.0))
    );
}

/// The arguments of kubediff's own manifest (k8s/kubediff-rc.yaml), but for the port and the folder.
#[test]
fn kubediff_s_manifest_works_as_it_is() {
    let folder = Folder::new("kubediff");
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kubediff/drift/stdout");
    let kubediff =
        script(&folder, "kubediff", &format!("[ \"$1\" = /data/repo/k8s ] && cat '{recorded}' && exit 2"));
    let mut command = prom_run(&folder);
    command.args(["-period=60s", "-listen-addr=127.0.0.1:0"]).arg(kubediff).arg("/data/repo/k8s");
    let mut server = Server::of(command);
    let line = server.wait_for_run("kubediff");
    assert!(line.contains(" verdict=drifted code=2 ") && line.contains(" drifted=1"), "{line}");
    let scrape = server.scrape();
    assert_eq!(promrun(&scrape), expected(&scrape, "kubediff", &[("2", 1)], 0.0));
    assert_eq!(scrape.value("driftrun_check_interval_seconds", "kubediff"), Some(60.0));
    assert_eq!(scrape.value("driftrun_check_timeout_seconds", "kubediff"), Some(600.0));
    assert_eq!(
        scrape.drift("kubediff"),
        ["scope=\"shop\",kind=\"Deployment.apps\",name=\"web\",action=\"update\",outside=\"false\""]
    );
    let (head, page) = server.get("/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let output = fs::read_to_string(recorded).unwrap();
    assert!(words(&page).contains(&output), "{page}");
}

#[test]
fn the_subcommand_is_the_same_as_the_link() {
    let mut command = driftrun();
    command.args([
        "--log.format=logfmt",
        "prom-run",
        "-listen-addr",
        "127.0.0.1:0",
        "--period=1h",
        "--",
        "sh",
        "-c",
        "exit 3",
    ]);
    let mut server = Server::of(command);
    server.wait_for_run("sh");
    let scrape = server.scrape();
    assert_eq!(promrun(&scrape), expected(&scrape, "sh", &[("3", 1)], 0.0));
}

#[test]
fn the_command_runs_in_its_folder_which_may_come_later() {
    let folder = Folder::new("workdir");
    let repo = folder.path().join("repo");
    let mut server =
        serve(&folder, &["-period=20ms", "-working-dir", repo.to_str().unwrap()], &["cat", "here"]);
    let line = server.wait_for_run("cat");
    let absent = format!("class=spawn reason=\"working directory {} is not there\"", repo.display());
    assert!(line.contains(&absent), "{line}");
    folder.write("here", "");
    let incoming = Folder::new("repo");
    incoming.write("here", "found\n");
    fs::rename(incoming.path(), &repo).unwrap();
    server.wait_for("msg=output check=cat stdout=\"found\\n\"");
    server.wait_for_run("cat");
    let (_, page) = server.get("/");
    assert!(words(&page).contains("found\n"), "{page}");
}

#[test]
fn the_page_is_at_every_path_with_the_output_on_every_address() {
    let folder = Folder::new("page");
    let mut command = prom_run(&folder);
    command.args(["-period=1h", "-listen-addr=0.0.0.0:0", "sh", "-c", "echo '<b>out'; echo err >&2"]);
    let mut server = Server::of(command);
    server.wait_for_run("sh");
    server.address = server.address.replace("0.0.0.0", "127.0.0.1");
    let main = |path: &str| {
        let (head, page) = server.get(path);
        let main = words(&page);
        (head.lines().next().unwrap_or_default().to_owned(), main)
    };
    for path in ["/", "/index.html", "/healthz", "/checks/sh", "/checks/other"] {
        let (status, main) = main(path);
        assert_eq!(status, "HTTP/1.1 200 OK", "{path}");
        assert!(main.starts_with("sh ✓ clean"), "{path}: {main}");
        assert!(main.contains("Download<b>out\n"), "{path}: {main}");
        assert!(main.contains("Downloaderr\n"), "{path}: {main}");
    }
    let (head, _) = server.get("/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
}

#[test]
fn outputs_are_logged_unless_told_otherwise() {
    let print = "printf '\\033[31mred\\033[0m \"x\"\\n'; echo err >&2; exit 3";
    for (flags, logged) in [
        (&[][..], vec!["level=info msg=output check=sh stdout=\"red \\\"x\\\"\\n\" stderr=\"err\\n\""]),
        (
            &["-log-output"],
            vec!["level=info msg=output check=sh stdout=\"red \\\"x\\\"\\n\" stderr=\"err\\n\""],
        ),
        (&["-log-output=false"], vec![]),
    ] {
        let folder = Folder::new("log");
        let mut all = vec!["-period=1h"];
        all.extend(flags);
        let mut server = serve(&folder, &all, &["sh", "-c", print]);
        server.wait_for_run("sh");
        let lines: Vec<&str> = server
            .seen
            .iter()
            .filter(|line| line.contains(" msg=output "))
            .filter_map(|line| Some(line.split_once(' ')?.1))
            .collect();
        assert_eq!(lines, logged, "{flags:?}");
    }
}

#[test]
fn no_output_and_one_of_a_run_that_is_cancelled_are_not_logged() {
    let folder = Folder::new("nothing");
    let mut server = serve(&folder, &["-period=1h"], &["true"]);
    server.wait_for_run("true");
    assert!(!server.seen.iter().any(|line| line.contains("msg=output")), "{:?}", server.seen);
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let print = "echo out; echo printed >\"$0\"; exec sleep 1000";
    let mut server = serve(&folder, &["-period=1h"], &["sh", "-c", print, fifo.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "printed\n");
    server.signal("TERM");
    server.wait_for("msg=stopped");
    assert!(!server.seen.iter().any(|line| line.contains("msg=output")), "{:?}", server.seen);
}

#[test]
fn both_ends_of_a_long_output_are_logged() {
    let folder = Folder::new("long");
    let mut server =
        serve(&folder, &["-period=1h"], &["sh", "-c", "echo a; yes bbbbbbbbb | head -n 10000; echo c"]);
    let line = server.wait_for("msg=output");
    let text = format!("a\n{}c\n", "bbbbbbbbb\n".repeat(10_000));
    let (head, tail) = (&text[..32 << 10], &text[text.len() - (32 << 10)..]);
    // Only whole lines: a secret that the cut has parted would be known on neither side.
    let head = &head[..=head.rfind('\n').unwrap()];
    let tail = tail.split_once('\n').unwrap().1;
    let shown = format!("{head}\n[34468 bytes are left out here]\n{tail}").replace('\n', "\\n");
    let want = format!("stdout=\"{shown}\" stderr=\"\"");
    assert_eq!(line.split_once(" stdout=").map(|(_, rest)| format!("stdout={rest}")), Some(want));
}

#[test]
fn usage_and_its_errors_end_as_with_go() {
    let folder = Folder::new("usage");
    let (usage, nothing, code) = ended(&["prom-run", "-h"]);
    assert!(usage.starts_with("Usage: prom-run (options) command...\n  -listen-addr string\n"), "{usage}");
    assert_eq!((nothing.as_str(), code), ("", Some(0)));
    for (arguments, error) in [
        (&[][..], "no command: it comes after the flags, as in prom-run -period=60s /kubediff /data/repo"),
        (&["-perod=1s", "true"], "flag provided but not defined: -perod; did you mean -period?"),
        (&["-period"], "flag needs an argument: -period; write -period=60s"),
    ] {
        let output = prom_run(&folder).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(text(output.stderr), format!("prom-run: {error}\n\n{usage}\n"), "{arguments:?}");
        assert_eq!((text(output.stdout).as_str(), output.status.code()), ("", Some(2)), "{arguments:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, error, code) = ended(&["prom-run", "-listen-addr", &address, "true"]);
    assert_eq!(
        error,
        format!(
            "driftrun: can't listen on {address}: the port is in use; stop whoever has it, or choose another with -listen-addr\n"
        )
    );
    assert_eq!(code, Some(1));
    let (help, _, _) = ended(&["--help"]);
    assert!(help.contains("\n  prom-run  "), "{help}");
}

/// prom-run runs what driftrun wants to be told more about, and so does this.
#[test]
fn what_no_parser_reads_is_judged_by_its_exit_code() {
    let folder = Folder::new("pulumi");
    let pulumi = script(&folder, "pulumi", "echo preview");
    let mut server = serve(&folder, &["-period=1h"], &[pulumi.to_str().unwrap(), "preview"]);
    server.wait_for_run("pulumi");
    let scrape = server.scrape();
    let success = last_run(&scrape, "pulumi");
    assert_eq!(promrun(&scrape), expected(&scrape, "pulumi", &[("0", 1)], success));
    assert!(!server.seen.iter().any(|line| line.contains("level=warn")), "{:?}", server.seen);
    assert_eq!(scrape.verdict("pulumi").as_deref(), Some("clean"));
}

/// As in a container whose root is read-only: prom-run has no use for a temporary folder.
#[test]
fn without_a_temporary_folder_shared_memory_is_taken() {
    let folder = Folder::new("tmpdir");
    let mut command = prom_run(&folder);
    command.env("TMPDIR", "/nowhere").args([
        "-listen-addr=127.0.0.1:0",
        "-period=1h",
        "sh",
        "-c",
        "dirname $TMPDIR",
    ]);
    let mut server = Server::of(command);
    let warning = "no temporary folder can be made in /nowhere: No such file or directory (os error 2); set TMPDIR, or `tmp_dir` in the configuration; /dev/shm is taken";
    server.wait_for(&format!("level=warn msg=\"{warning}\""));
    server.wait_for("msg=output check=sh stdout=\"/dev/shm\\n\" stderr=\"\"");
    server.wait_for_run("sh");
    let scrape = server.scrape();
    let success = last_run(&scrape, "sh");
    assert_eq!(promrun(&scrape), expected(&scrape, "sh", &[("0", 1)], success));
}
