//! `once --textfile`: what the real `node_exporter` serves of it, whose files are whose, and what a state folder keeps.

mod support;

use clap::Parser as _;
use driftrun::cli::Cli;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{Folder, Listening, Series, Server, driftrun, series, timeless, tool};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).join("stdout")
}

/// A check that prints what the file `NAME.out` holds and exits as `NAME.code` says.
fn check(name: &str, parser: &str) -> String {
    format!(
        "  - {{ name: {name}, parser: {parser}, workdir: ., command: [sh, -c, \"cat {name}.out; exit $(cat {name}.code)\"], labels: {{ layer: l }} }}\n"
    )
}

fn prints(folder: &Folder, name: &str, text: &str, code: u8) {
    folder.write(&format!("{name}.out"), text);
    folder.write(&format!("{name}.code"), &code.to_string());
}

fn prints_fixture(folder: &Folder, name: &str, from: &str, code: u8) {
    prints(folder, name, &std::fs::read_to_string(fixture(from)).unwrap(), code);
}

/// Three checks: `broken` fails, `hosts` is partial, `plan` drifts.
fn three(folder: &Folder) -> PathBuf {
    prints(folder, "broken", "", 3);
    prints_fixture(folder, "hosts", "ansible/unreachable-partial", 4);
    prints_fixture(folder, "plan", "terraform-show/odd_keys", 0);
    let checks = check("broken", "terraform") + &check("hosts", "ansible") + &check("plan", "terraform-show");
    folder.write("driftrun.yaml", &format!("checks:\n{checks}"))
}

/// `driftrun once --config.file CONFIG --textfile FOLDER/prom MORE`, under a umask that leaves others nothing.
fn once(folder: &Folder, config: &Path, more: &[&str]) -> Output {
    std::fs::create_dir_all(folder.path().join("prom")).unwrap();
    Command::new("sh")
        .args([
            "-c",
            "umask 077; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_driftrun"),
            "once",
            "--config.file",
        ])
        .arg(config)
        .arg("--textfile")
        .arg(folder.path().join("prom"))
        .args(more)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it prints for people, whatever the clock says.
fn table(output: &Output) -> String {
    timeless(&stdout(output))
}

/// What it says on stderr beside the log.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().filter(|line| line.starts_with("driftrun: ")).map(str::to_owned).collect()
}

/// What is in the folder, by name.
fn files(folder: &Folder) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder.path().join("prom")).unwrap().flatten();
    let entries = entries.map(|entry| {
        (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
    });
    entries.collect()
}

fn names(folder: &Folder) -> Vec<String> {
    files(folder).into_keys().collect()
}

/// What `--format prometheus` printed, but for driftrun itself.
fn printed(output: &Output) -> Series {
    let mut all = series(&stdout(output), "driftrun_");
    all.retain(|(name, _), _| name != "driftrun_build_info");
    assert!(!all.is_empty());
    all
}

fn of_check(all: &Series, check: &str) -> Series {
    let of = all.iter().filter(|((_, labels), _)| labels["check"] == check);
    of.map(|(series, value)| (series.clone(), *value)).collect()
}

fn node_exporter(folder: &Folder) -> Option<Listening> {
    let program = tool("prometheus-node-exporter")?;
    let mut command = Command::new(program);
    command
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--collector.textfile.directory={}", folder.path().join("prom").display()));
    Some(Listening::start(&mut command))
}

#[test]
fn node_exporter_serves_what_is_printed() {
    let folder = Folder::new("node");
    let config = three(&folder);
    let other = folder.write("other.yaml", &format!("checks:\n{}", check("again", "terraform-show")));
    prints_fixture(&folder, "again", "terraform-show/odd_keys", 0);
    let output = once(&folder, &config, &["--format=prometheus", "--expected-interval=1h"]);
    assert_eq!((output.status.code(), said(&output)), (Some(1), Vec::new()));
    let mut want = printed(&output);
    // Two configurations, one folder.
    let output = once(&folder, &other, &["--format=prometheus"]);
    assert_eq!((output.status.code(), said(&output)), (Some(2), Vec::new()));
    want.extend(printed(&output));
    let files = ["again", "broken", "hosts", "plan"].map(|check| format!("driftrun_{check}.prom"));
    assert_eq!(names(&folder), files);
    for file in &files {
        let meta = std::fs::metadata(folder.path().join("prom").join(file)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o644, "{file}");
    }
    // What a killed one leaves is passed over.
    let half = &std::fs::read_to_string(folder.path().join("prom/driftrun_plan.prom")).unwrap()[..900];
    folder.write("prom/.driftrun_plan.prom.1-2.new", half);
    let Some(node_exporter) = node_exporter(&folder) else { return };
    let served = node_exporter.get("/metrics");
    assert_eq!(series(&served, "driftrun_"), want);
    let errors = ("node_textfile_scrape_error".to_owned(), BTreeMap::new());
    assert_eq!(series(&served, "node_textfile_scrape_error"), Series::from([(errors, 0.0)]));
    let intervals: Vec<(&str, f64)> = want
        .iter()
        .filter(|((name, _), _)| name == "driftrun_check_interval_seconds")
        .map(|((_, labels), value)| (labels["check"].as_str(), *value))
        .collect();
    assert_eq!(intervals, [("broken", 3600.0), ("hosts", 3600.0), ("plan", 3600.0)]);
}

#[test]
fn only_its_own_files_are_removed_and_written() {
    let folder = Folder::new("owners");
    let config = three(&folder);
    assert_eq!(said(&once(&folder, &config, &[])), Vec::<String>::new());
    prints(&folder, "else", "", 0);
    let other = folder.write("other.yaml", &format!("checks:\n{}", check("else", "none")));
    once(&folder, &other, &[]);
    let command = |name: &str| {
        let prom = folder.path().join("prom");
        driftrun()
            .args(["once", "--name", name, "--textfile"])
            .arg(prom)
            .args(["--", "true"])
            .output()
            .unwrap()
    };
    assert_eq!(command("line").status.code(), Some(0));
    let foreign = [
        ("driftrun_hand.prom", "# driftrun is fine\n"),
        ("driftrun_empty.prom", ""),
        ("node.prom", "# driftrun once --config.file \"x\"\n"),
        (".driftrun_x.prom.1-2.new", "# driftrun onc"),
    ];
    for (name, text) in foreign {
        folder.write(&format!("prom/{name}"), text);
    }
    // What a killed one of this configuration left, and one of another.
    let before = files(&folder);
    let half = &before["driftrun_plan.prom"][..500];
    folder.write("prom/.driftrun_plan.prom.77-1.new", half);
    folder.write("prom/.driftrun_else.prom.77-1.new", &before["driftrun_else.prom"][..200]);
    let before = files(&folder);

    // `broken` goes, `hand` and `else` come.
    prints(&folder, "hand", "", 0);
    let checks = ["hosts", "plan", "hand", "else"].map(|name| check(name, "none"));
    std::fs::write(&config, format!("checks:\n{}", checks.concat())).unwrap();
    let output = once(&folder, &config, &[]);
    let prom = folder.path().join("prom");
    let want = [
        format!(
            "driftrun: --textfile {}: driftrun_else.prom belongs to another configuration or command (driftrun once --config.file {other:?}); give the check another name, or this one another folder, or remove the file",
            prom.display()
        ),
        format!(
            "driftrun: --textfile {}: driftrun_hand.prom is there and is not driftrun's; give the check another name, or remove the file",
            prom.display()
        ),
    ];
    assert_eq!((output.status.code(), said(&output)), (Some(1), want.to_vec()));
    assert!(table(&output).ends_with("4 checks: 3 clean, 1 failed\n"), "{}", stdout(&output));
    let mut after = files(&folder);
    let mut kept = before.clone();
    for gone in ["driftrun_broken.prom", ".driftrun_plan.prom.77-1.new"] {
        assert!(kept.remove(gone).is_some());
    }
    for new in ["driftrun_plan.prom", "driftrun_hosts.prom"] {
        let (new, old) = (after.remove(new).unwrap(), kept.remove(new).unwrap());
        assert!(new != old && new.lines().next() == old.lines().next(), "{new}");
    }
    assert_eq!(after, kept);
    // A command line has its own file again and again, and removes none.
    assert_eq!(command("line").status.code(), Some(0));
    assert_eq!(
        files(&folder).into_keys().collect::<BTreeSet<_>>(),
        kept.into_keys().chain(["driftrun_plan.prom".to_owned(), "driftrun_hosts.prom".to_owned()]).collect()
    );
    let output = command("plan");
    assert!(
        said(&output)[0].contains("driftrun_plan.prom belongs to another configuration or command"),
        "{:?}",
        said(&output)
    );
}

#[test]
fn with_a_state_folder_a_check_that_fails_keeps_its_drift() {
    let folder = Folder::new("kept");
    let config = three(&folder);
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    let keep = ["--format=prometheus", "--state-dir", &state];
    let good = printed(&once(&folder, &config, &keep));
    let drift = |all: &Series| -> Series {
        let kept = [
            "driftrun_drift_",
            "driftrun_resource_drift",
            "driftrun_check_tool_info",
            "driftrun_check_last_success",
        ];
        let is = |name: &str| kept.iter().any(|kept| name.starts_with(kept));
        of_check(all, "plan").into_iter().filter(|((name, _), _)| is(name)).collect()
    };
    let seen = |all: &Series| {
        all.keys().filter(|(name, _)| name == "driftrun_resource_drift_first_seen_timestamp_seconds").count()
    };
    assert_eq!((seen(&drift(&good)), drift(&good).len()), (11, 33));
    prints(&folder, "plan", "", 7);
    let failed = once(&folder, &config, &keep);
    assert_eq!((failed.status.code(), said(&failed)), (Some(1), Vec::new()));
    let failed = printed(&failed);
    assert_eq!(drift(&failed), drift(&good));
    let plan = series(&files(&folder)["driftrun_plan.prom"], "driftrun_");
    assert_eq!(plan, of_check(&failed, "plan"));
    let verdict = |all: &Series, verdict: &str| {
        let labels = [("check", "plan"), ("layer", "l"), ("verdict", verdict)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        all[&("driftrun_check_verdict".to_owned(), labels)]
    };
    assert_eq!((verdict(&good, "drifted"), verdict(&failed, "failed")), (1.0, 1.0));
    // What is only remembered is not printed as found.
    for format in ["--format=table", "--format=json"] {
        let with = table(&once(&folder, &config, &[format, "--state-dir", &state]));
        assert_eq!(with, table(&once(&folder, &config, &[format])));
    }
    // Nothing is remembered without one.
    let forgot = printed(&once(&folder, &config, &["--format=prometheus"]));
    assert_eq!(drift(&forgot), Series::new());
    assert_eq!(seen(&forgot), 0);
    // And the folder of the configuration counts as well.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("state_dir: state\n{text}")).unwrap();
    assert_eq!(drift(&printed(&once(&folder, &config, &["--format=prometheus"]))), drift(&good));
    // Since when it drifts stays, also when it is seen again.
    prints_fixture(&folder, "plan", "terraform-show/odd_keys", 0);
    let again = drift(&printed(&once(&folder, &config, &["--format=prometheus"])));
    let without_success = |mut all: Series| {
        all.retain(|(name, _), _| !name.starts_with("driftrun_check_last_success"));
        all
    };
    assert!(again != drift(&good));
    assert_eq!(without_success(again), without_success(drift(&good)));
}

#[test]
fn a_host_that_is_down_keeps_its_drift_in_the_file_and_is_not_printed() {
    let folder = Folder::new("down");
    let config = three(&folder);
    let partial = std::fs::read_to_string(fixture("ansible/unreachable-partial")).unwrap();
    let (head, rest) = partial.split_once("[ERROR]").unwrap();
    let (_, rest) = rest.split_once("\"unreachable\": true}\n").unwrap();
    let whole =
        format!("{head}--- before: /motd\n+++ after: /motd\n@@ -1 +1 @@\n-a\n+b\n\nchanged: [db1]\n{rest}")
            .replace("ok=0    changed=0    unreachable=1", "ok=1    changed=1    unreachable=0");
    prints(&folder, "hosts", &whole, 0);
    let state = folder.path().join("state").to_str().unwrap().to_owned();
    let output = stdout(&once(&folder, &config, &["--state-dir", &state]));
    assert!(
        timeless(&output).contains("≠ drifted  hosts  5 resources: 5 change\n    change  db1   Motd\n"),
        "{output}"
    );
    let since = |output: &str| {
        let row = output.lines().find(|line| line.contains("web1  Modes of keys")).unwrap().to_owned();
        row.split_once("  since ").unwrap().1.to_owned()
    };
    let first = since(&output);
    prints(&folder, "hosts", &partial, 4);
    let output = stdout(&once(&folder, &config, &["--state-dir", &state]));
    assert!(
        timeless(&output).contains(
            "◐ partial  hosts  4 resources: 4 change\n    db1 unreachable\n    change  web1  Modes of keys\n"
        ),
        "{output}"
    );
    assert_eq!(since(&output), first);
    let file = series(&files(&folder)["driftrun_hosts.prom"], "driftrun_resource_drift{");
    let mut scopes: Vec<&str> = file.keys().map(|(_, labels)| labels["scope"].as_str()).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["db1", "web1", "web1", "web2", "web2"]);
}

#[test]
fn one_state_folder_is_one_driftruns() {
    let folder = Folder::new("lock");
    let config = three(&folder);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("state_dir: state\n{text}")).unwrap();
    let server = Server::serve(&config);
    let output = once(&folder, &config, &[]);
    let want = format!(
        "driftrun: state_dir {}: another driftrun uses it; give each a folder of its own, this one with --state-dir",
        folder.path().join("state").display()
    );
    assert_eq!((output.status.code(), stdout(&output), said(&output)), (Some(1), String::new(), vec![want]));
    assert_eq!(names(&folder), [""; 0]);
    // For a look beside the server none is needed.
    let output = driftrun().args(["once", "--config.file"]).arg(&config).output().unwrap();
    assert!(table(&output).contains("\n3 checks: 1 drifted, 1 partial, 1 failed, "), "{}", stdout(&output));
    assert_eq!(server.stop(), Some(0));
    // Another folder will do, also where that of the configuration is not there.
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    let own = folder.path().join("own").to_str().unwrap().to_owned();
    let output = once(&folder, &config, &["--state-dir", &own]);
    assert_eq!((names(&folder).len(), said(&output)), (3, Vec::new()));
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_the_table_is_there() {
    let folder = Folder::new("unwritable");
    let config = three(&folder);
    folder.write("file", "");
    let into = |path: &str| {
        let path = folder.path().join(path);
        let output = driftrun()
            .args(["once", "--config.file"])
            .arg(&config)
            .arg("--textfile")
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            table(&output).contains("\n3 checks: 1 drifted, 1 partial, 1 failed, "),
            "{}",
            stdout(&output)
        );
        (output.status.code(), said(&output).join("\n").replace(path.to_str().unwrap(), "DIR"))
    };
    let missing = "driftrun: --textfile DIR: No such file or directory (os error 2); make the folder, or name the one of node_exporter's --collector.textfile.directory";
    assert_eq!(into("nowhere"), (Some(1), missing.to_owned()));
    let file = "driftrun: --textfile DIR: it is no folder; name the one that node_exporter reads";
    assert_eq!(into("file"), (Some(1), file.to_owned()));
}

/// docs/one-shot.md can be followed: every command line in it is one.
#[test]
fn the_page_can_be_followed() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/one-shot.md")).unwrap();
    let lines = page.lines().filter_map(|line| {
        let line = line
            .trim_start_matches(['-', ' '])
            .trim_start_matches("run: ")
            .trim_start_matches("ExecStart=/usr/local/bin/");
        let line = line.split(" > ").next().unwrap();
        line.strip_prefix("driftrun once ").map(|rest| rest.replace(['"', '\''], ""))
    });
    let args = page.lines().filter_map(|line| {
        let args = line.trim().strip_prefix("args: [once, ")?.strip_suffix(']')?;
        Some(args.replace(", ", " ").replace('"', ""))
    });
    let all: Vec<String> = lines.chain(args).collect();
    assert_eq!(all.len(), 7, "{all:?}");
    for line in &all {
        let words = ["driftrun", "once"].into_iter().chain(line.split(' '));
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{line}: {error}");
        }
    }
}

/// `once` in a mount namespace of its own, with `mount` run before it.
fn mounted(folder: &Folder, config: &Path, mount: &str) -> Option<Output> {
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespace may be made here");
        return None;
    }
    let script = format!(
        "{mount} && \"$0\" \"$@\"; code=$?; cat prom/driftrun_plan.prom >kept; ls -A prom >left; exit $code"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_driftrun"), "once", "--config.file"]);
    command.arg(config).args(["--textfile", "prom"]).current_dir(folder.path());
    Some(command.output().unwrap())
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = Folder::new("full");
    let config = three(&folder);
    once(&folder, &config, &[]);
    let old = files(&folder)["driftrun_plan.prom"].clone();
    folder.write("old", &old);
    // Two pages are free, and each file wants one or more.
    let mount = "mount -t tmpfs -o size=16k none prom && cp old prom/driftrun_plan.prom";
    let Some(output) = mounted(&folder, &config, mount) else { return };
    let problems = said(&output);
    let full = "driftrun: --textfile prom: driftrun_plan.prom is not written: No space left on device (os error 28); what was there before stays; make room there";
    assert_eq!((output.status.code(), problems.last().map(String::as_str)), (Some(1), Some(full)));
    assert!(table(&output).contains("\n3 checks: 1 drifted, 1 partial, 1 failed, "), "{}", stdout(&output));
    assert_eq!(std::fs::read_to_string(folder.path().join("kept")).unwrap(), old);
    let left = std::fs::read_to_string(folder.path().join("left")).unwrap();
    assert!(!left.contains(".new"), "{left}");
}

#[test]
fn a_folder_that_is_read_only_is_told() {
    let folder = Folder::new("readonly");
    let config = three(&folder);
    once(&folder, &config, &[]);
    let Some(output) = mounted(&folder, &config, "mount -t tmpfs -o ro none prom") else { return };
    let want = ["broken", "hosts", "plan"].map(|check| {
        format!("driftrun: --textfile prom: driftrun_{check}.prom is not written: Read-only file system (os error 30); let this user write there, or name another folder")
    });
    assert_eq!((output.status.code(), said(&output)), (Some(1), want.to_vec()));
}

#[test]
fn one_that_is_killed_amid_a_file_leaves_the_old_one() {
    const ROUNDS: usize = 20;
    let folder = Folder::new("killed");
    // A file of some size, so that writing it takes a while.
    let mut diffs = String::new();
    for n in 0..4000 {
        let (live, merged) =
            (format!("LIVE-1/v1.ConfigMap.shop.web{n}"), format!("MERGED-2/v1.ConfigMap.shop.web{n}"));
        let time = "2026-01-01 00:00:00.000000000 +0000";
        let _ = writeln!(
            diffs,
            "diff -u -N /tmp/{live} /tmp/{merged}\n--- /tmp/{live}\t{time}\n+++ /tmp/{merged}\t{time}"
        );
        diffs.push_str("@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n");
    }
    prints(&folder, "many", &diffs, 1);
    let config = folder.write("driftrun.yaml", &format!("checks:\n{}", check("many", "kubectl")));
    let output = once(&folder, &config, &[]);
    assert_eq!((output.status.code(), said(&output)), (Some(2), Vec::new()));
    let shape = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .filter(|line| !line.contains("_last_"))
            .collect()
    };
    let whole = shape(&files(&folder)["driftrun_many.prom"]);
    assert!(whole.len() > 4000);
    let half = |folder: &Folder| {
        std::fs::read_dir(folder.path().join("prom"))
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().ends_with(".new"))
    };
    let mut killed = 0;
    for _ in 0..ROUNDS {
        let mut child = driftrun();
        child.args(["once", "--config.file"]).arg(&config).arg("--textfile").arg(folder.path().join("prom"));
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if half(&folder) {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
        }
        let text = &files(&folder)["driftrun_many.prom"];
        assert!(text.ends_with('\n'));
        assert_eq!(shape(text), whole);
    }
    assert!(killed > 0);
    // The next one that lives tidies up.
    once(&folder, &config, &[]);
    let left: Vec<(String, usize)> =
        files(&folder).into_iter().map(|(name, text)| (name, text.len())).collect();
    assert!(left.iter().all(|(name, size)| name == "driftrun_many.prom" || *size == 0), "{left:?}");
}
