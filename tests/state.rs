//! What survives a restart, a crash, and damage; what never reaches the disk.

mod support;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Folder, Scrape, Server, driftrun, poll};

/// What `kubectl diff` prints of one object that differs, called `$1`.
const DIFF: &str = r#"#!/bin/sh
printf '%s\n' "diff -u -N /tmp/LIVE-1/v1.ConfigMap.shop.$1 /tmp/MERGED-2/v1.ConfigMap.shop.$1"
printf -- '--- /tmp/LIVE-1/v1.ConfigMap.shop.%s\t2026-11-24 02:41:19.466553059 +0000\n' "$1"
printf -- '+++ /tmp/MERGED-2/v1.ConfigMap.shop.%s\t2026-11-24 02:41:19.466553059 +0000\n' "$1"
printf '%s\n' '@@ -1,6 +1,6 @@' ' apiVersion: v1' ' data:' '-  a: x' '+  a: y' ' kind: ConfigMap' ' metadata:' "   name: $1"
exit 1
"#;

/// A configuration with `state_dir`, whose one check runs `shell` every `interval`.
fn configured(folder: &Folder, interval: &str, shell: &str) -> PathBuf {
    let script = folder.write("diff.sh", DIFF);
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "state_dir: state\nchecks:\n  - name: c\n    parser: kubectl\n    interval: {interval}\n    splay: 0s\n    redact: ['pin=\\d+']\n    kill_grace: 1s\n    shell: |\n      {}\n",
        shell.replace('\n', "\n      ")
    );
    folder.write("driftrun.yaml", &text)
}

/// What a restart must not change.
fn lasting(scrape: &Scrape) -> Vec<String> {
    const LASTING: [&str; 7] = [
        "driftrun_resource_drift",
        "driftrun_drift_resources",
        "driftrun_check_last_",
        "driftrun_check_verdict",
        "driftrun_check_loaded_timestamp_seconds",
        "driftrun_check_tool_info",
        "driftrun_check_output_bytes",
    ];
    let lines = scrape.0.lines().filter(|line| LASTING.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

/// Every file below a folder, unpacked where it is packed, by its path.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            if path.extension().is_some_and(|end| end == "gz") {
                let packed = std::mem::take(&mut bytes);
                flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
            }
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn after_a_restart_the_metrics_are_there_before_the_first_run() {
    let folder = Folder::new("restart");
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let mut server = Server::serve(&config);
    server.wait_for_run("c");
    let before = server.scrape();
    assert_eq!(before.verdict("c").as_deref(), Some("drifted"));
    assert_eq!(lasting(&before).len(), 19, "{:?}", lasting(&before));
    // Killed, or told to stop: the same is left.
    for signal in ["KILL", "TERM"] {
        server.signal(signal);
        drop(server);
        server = Server::serve(&config);
        let after = server.scrape();
        assert_eq!(lasting(&after), lasting(&before));
        // Counters live as long as the process, and what is younger than an interval is not run again at once.
        assert_eq!(after.value("driftrun_check_run_duration_seconds_count", "c"), Some(0.0));
        let began = before.value("driftrun_check_last_run_timestamp_seconds", "c").unwrap()
            - before.value("driftrun_check_last_run_duration_seconds", "c").unwrap();
        // The server answers before the checks have begun to wait.
        let next = std::iter::repeat_with(|| server.scrape())
            .find_map(|scrape| scrape.value("driftrun_check_next_run_timestamp_seconds", "c"))
            .unwrap();
        assert!((next - began - 3600.0).abs() < 1.0, "{next} is not an hour after {began}");
    }
    // The page shows the output of the run before.
    let (_, page) = server.get("/checks/c");
    assert!(page.contains("MERGED-2/v1.ConfigMap.shop.web"), "{page}");
    assert!(before.0.contains("driftrun_state_write_failures_total 0\n"), "{}", before.0);
}

#[test]
fn what_was_known_of_another_command_is_shown_and_run_anew_at_once() {
    let folder = Folder::new("another");
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let text = std::fs::read_to_string(&config).unwrap().replace("    parser: kubectl\n", "");
    std::fs::write(&config, &text).unwrap();
    let mut server = Server::serve(&config);
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=drifted"), "{line}");
    // Somebody's own folders beside those of runs.
    let own = folder.path().join("state/t/perl");
    std::fs::create_dir(&own).unwrap();
    assert_eq!(server.stop(), Some(0));
    std::fs::write(&config, text.replace("exec ./diff.sh web", "echo fine")).unwrap();
    let mut server = Server::serve(&config);
    assert_eq!(server.scrape().verdict("c").as_deref(), Some("drifted"));
    // The parser that was recognised before is none of this command's, and clean is clean.
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=clean"), "{line}");
    assert_eq!(server.scrape().drift("c"), [""; 0]);
    assert_eq!(server.stop(), Some(0));
    assert!(own.is_dir());
}

#[test]
fn what_a_wrong_clock_has_dated_in_the_future_is_run_anew_at_once_and_grows_old() {
    let folder = Folder::new("future");
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let mut server = Server::serve(&config);
    server.wait_for_run("c");
    assert_eq!(server.stop(), Some(0));
    for file in ["checks/c.json", "loaded.json"] {
        let path = folder.path().join("state").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"20", "\"21")).unwrap();
    }
    std::fs::write(folder.path().join("diff.sh"), "#!/bin/sh\nexit 7\n").unwrap();
    let mut server = Server::serve(&config);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let is_past = |scrape: &Scrape, name: &str| {
        scrape.value(name, "c").unwrap_or_else(|| panic!("no {name}: {}", scrape.0)) < now + 30.0
    };
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=failed"), "{line}");
    let scrape = server.scrape();
    for name in [
        "driftrun_check_last_success_timestamp_seconds",
        "driftrun_check_loaded_timestamp_seconds",
        "driftrun_resource_drift_first_seen_timestamp_seconds",
    ] {
        assert!(is_past(&scrape, name), "{}", scrape.0);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_is_damaged_or_newer_is_moved_aside_and_everything_else_goes_on() {
    let folder = Folder::new("damage");
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let run = |says: &str| {
        let mut server = Server::serve(&config);
        server.wait_for_run("c");
        let scrape = server.scrape();
        assert_eq!(scrape.verdict("c").as_deref(), Some("drifted"));
        assert!(scrape.0.contains(&format!("driftrun_state_discarded_files_total {says}\n")), "{}", scrape.0);
        assert_eq!(server.stop(), Some(0));
    };
    run("0");
    let state = folder.path().join("state");
    let check = state.join("checks/c.json");
    let good = std::fs::read_to_string(&check).unwrap();
    for (bad, loaded) in [
        (good[..good.len() / 2].to_owned(), None),
        (good.replacen("\"format\":1", "\"format\":9", 1), None),
        (String::new(), Some("{")),
    ] {
        std::fs::write(&check, &bad).unwrap();
        if let Some(loaded) = loaded {
            std::fs::write(state.join("loaded.json"), loaded).unwrap();
        }
        run(if loaded.is_some() { "2" } else { "1" });
        assert_eq!(std::fs::read_to_string(state.join("checks/c.json.discarded")).unwrap(), bad);
    }
}

#[test]
fn two_cannot_have_one_folder() {
    let folder = Folder::new("two");
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let server = Server::serve(&config);
    let second =
        driftrun().args(["serve", "--web.listen-address=127.0.0.1:0", "--config.file"]).arg(&config).output();
    let second = second.unwrap();
    let want = format!(
        "driftrun: state_dir {}: another driftrun uses it; give each a folder of its own\n",
        folder.path().join("state").display()
    );
    assert_eq!((String::from_utf8(second.stderr).unwrap(), second.status.code()), (want, Some(1)));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn nothing_secret_reaches_the_disk_the_page_or_the_log() {
    let folder = Folder::new("secrets");
    let shell = "echo \"Authorization: Bearer SECRET-bearer-0001\"\necho \"db postgres://app:SECRET-url-0002@db/x pin=123456\"\nprintf -- '-----BEGIN PRIVATE KEY-----\\nSECRETPEM0003\\n-----END PRIVATE KEY-----\\n'\necho 'error: cannot reach https://u:SECRET-err-0004@host' >&2\nexit 7";
    let config = configured(&folder, "1h", shell);
    let mut server = Server::serve(&config);
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=failed") && line.contains("https://u:(redacted)@host"), "{line}");
    let (_, page) = server.get("/checks/c");
    let scrape = server.scrape();
    assert_eq!(server.stop(), Some(0));
    let mut seen: Vec<(PathBuf, Vec<u8>)> = files(&folder.path().join("state"));
    assert!(seen.iter().any(|(path, bytes)| {
        path.to_string_lossy().contains(".failed.json.gz")
            && String::from_utf8_lossy(bytes).contains("cannot reach")
    }));
    seen.extend([
        ("log".into(), line.into()),
        ("page".into(), page.into()),
        ("metrics".into(), scrape.0.into()),
    ]);
    for (path, bytes) in seen {
        let text = String::from_utf8_lossy(&bytes);
        // Outputs are kept as numbers: look for these, too.
        let spelt = |word: &str| word.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
        for secret in ["SECRET", "123456"] {
            assert!(!text.contains(secret) && !text.contains(&spelt(secret)), "{}: {text}", path.display());
        }
    }
    let modes = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = folder.path().join("state");
    assert_eq!(modes(&state), 0o700);
    for (path, _) in files(&state) {
        assert_eq!(modes(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn what_a_killed_driftrun_left_is_ended_before_any_run() {
    let folder = Folder::new("orphans");
    let mark = format!("70{}", std::process::id() % 10_000);
    let shell = format!(
        "trap '' TERM\nsetsid sleep {mark} &\nmkdir \"$TMPDIR/x\"\necho $$ > started\nsleep {mark}\nsleep {mark}"
    );
    let config = configured(&folder, "1h", &shell);
    let fifo = folder.path().join("started");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let server = Server::serve(&config);
    let pid = std::fs::read_to_string(&fifo).unwrap();
    let tmp = folder.path().join("state/t");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 1);
    server.signal("KILL");
    drop(server);
    assert!(Path::new("/proc").join(pid.trim()).exists());
    let config = configured(&folder, "1h", "exec ./diff.sh web");
    let mut server = Server::serve(&config);
    let ended = server.seen.iter().find(|line| line.contains("earlier driftrun had left"));
    assert!(ended.is_some_and(|line| line.contains("processes=")), "{:?}", server.seen);
    server.wait_for_run("c");
    let alive = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let alive = String::from_utf8_lossy(&alive.stdout).into_owned();
    assert!(!alive.lines().any(|line| line.ends_with(&format!("sleep {mark}"))), "{alive}");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_written_is_counted_and_nothing_else_is_held_up() {
    let folder = Folder::new("unwritable");
    let config = configured(&folder, "100ms", "exec ./diff.sh web");
    let mut server = Server::serve(&config);
    server.wait_for_run("c");
    // Also root can make no file below a file.
    let checks = folder.path().join("state/checks");
    std::fs::rename(&checks, folder.path().join("away")).unwrap();
    std::fs::write(&checks, "").unwrap();
    server.wait_for("state not written");
    server.wait_for_fresh_run("c");
    let scrape = server.scrape();
    let failures =
        scrape.0.lines().find_map(|line| line.strip_prefix("driftrun_state_write_failures_total "));
    assert!(failures.unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(scrape.verdict("c").as_deref(), Some("drifted"));
    std::fs::remove_file(&checks).unwrap();
    std::fs::rename(folder.path().join("away"), &checks).unwrap();
    server.wait_for("state is written again");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_could_not_be_written_leaves_nothing_that_reads_as_clean() {
    let folder = Folder::new("stale");
    let config = configured(&folder, "100ms", "[ -f drifts ] || exit 0\nexec ./diff.sh web");
    let file = folder.path().join("state/checks/c.json");
    let mut server = Server::serve(&config);
    assert!(server.wait_for_run("c").contains("verdict=clean"));
    // No new file can be written in the old one's place.
    std::fs::create_dir(file.with_extension("json.new")).unwrap();
    server.wait_for("state not written");
    assert!(file.is_file(), "clean it was, and clean it is");
    folder.write("drifts", "");
    assert!(server.wait_for("verdict=drifted").contains("check=c"));
    assert!(!file.exists());
    std::fs::remove_dir(file.with_extension("json.new")).unwrap();
    poll(|| file.is_file());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_full_disk_is_counted_and_runs_go_on() {
    let folder = Folder::new("full");
    // 100 kB that no packing makes smaller, each run anew.
    let config = configured(&folder, "20ms", "head -c 75000 /dev/urandom | base64 -w 0\nexit 3");
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=300k none state && exec \"$0\" \"$@\"";
    command.args(["--mount", "sh", "-c", mount, env!("CARGO_BIN_EXE_driftrun")]).current_dir(folder.path());
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespace may be made here");
        return;
    }
    let mut server = Server::start(command, &["serve", "--config.file", config.to_str().unwrap()], &[]);
    let line = server.wait_for("state not written");
    assert!(line.contains("No space left on device"), "{line}");
    server.wait_for_fresh_run("c");
    let scrape = server.scrape();
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "c"), Some(3.0));
    assert!(!scrape.0.contains("driftrun_state_write_failures_total 0\n"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn history_is_bounded_and_failures_stay_longer() {
    let folder = Folder::new("history");
    // Every third run fails.
    let shell = "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n\n[ $((n % 3)) = 0 ] && exit 9\nexit 0";
    let config = configured(&folder, "20ms", shell);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("history: {{ runs: 6 }}\n{text}")).unwrap();
    let mut server = Server::serve(&config);
    for _ in 0..20 {
        server.wait_for_run("c");
    }
    server.signal("TERM");
    server.wait_for("stopped");
    let runs = std::fs::read_dir(folder.path().join("state/runs/c")).unwrap().flatten();
    let mut names: Vec<String> = runs.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    let failed: Vec<bool> = names.iter().map(|name| name.ends_with(".failed.json.gz")).collect();
    // The newer half is whole, what is older is of failures by now.
    assert!(failed.len() == 6 && failed[..2] == [true; 2] && failed[3..] != [true; 3], "{names:?}");
}

/// Kills driftrun at moments that nobody chooses: what a scrape has shown is there after the restart.
#[test]
fn nothing_that_a_scrape_had_shown_is_lost_by_a_crash() {
    let rounds: u32 = std::env::var("DRIFTRUN_CRASHES").map_or(20, |text| text.parse().unwrap());
    let folder = Folder::new("crash");
    let config = configured(
        &folder,
        "10ms",
        "n=$(cat n 2>/dev/null || echo 0); n=$(((n + 1) % 7)); echo $n > n\nexec ./diff.sh web$n",
    );
    let mut shown: Option<f64> = None;
    let mut first_loaded = None;
    for round in 0..rounds {
        let mut server = Server::serve(&config);
        let restored = server.scrape();
        let ended = |scrape: &Scrape| scrape.value("driftrun_check_last_run_timestamp_seconds", "c");
        assert!(ended(&restored) >= shown, "round {round}: {:?} after {shown:?}", ended(&restored));
        let loaded = restored.value("driftrun_check_loaded_timestamp_seconds", "c");
        assert_eq!(*first_loaded.get_or_insert(loaded), loaded);
        assert!(restored.0.contains("driftrun_state_discarded_files_total 0\n"), "round {round}");
        // A few runs more, and then amid one of them or amid its record.
        for _ in 0..=round % 3 {
            server.wait_for_run("c");
        }
        let scrape = server.scrape();
        server.signal("KILL");
        shown = ended(&scrape);
        assert!(shown.is_some());
        // What drifts is known with its beginning.
        let drift = scrape.samples("driftrun_resource_drift_first_seen_timestamp_seconds", "c");
        assert_eq!(drift.len(), 1, "{}", scrape.0);
    }
}
