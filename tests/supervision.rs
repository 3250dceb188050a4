//! Runs that end in every way a process can end: the outcome, its time bound, and nobody left behind.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};
use support::{Scrape, Server};

/// One run of a shell script under `watch`, and what a scrape then says.
fn run(flags: &[&str], script: &str) -> (Scrape, Duration) {
    let began = Instant::now();
    let mut all = vec!["--name=t", "--interval=1h", "--parser=none"];
    all.extend(flags);
    let mut server = Server::watch(&all, &["sh", "-c", script]);
    server.wait_for_run("t");
    let scrape = server.scrape();
    let took = began.elapsed();
    assert_eq!(server.stop(), Some(0));
    (scrape, took)
}

fn class(scrape: &Scrape) -> Option<String> {
    scrape.samples("driftrun_check_failure_info", "t").into_keys().next()
}

/// Processes whose command line holds `mark`, except this test's own.
fn alive(mark: &str) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pid,stat,args"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains(mark) && !line.contains(" ps ")).map(str::to_owned).collect()
}

#[test]
fn exit_codes_are_what_they_are() {
    for code in [0, 1, 2, 77, 126, 127, 255] {
        let (scrape, _) = run(&[], &format!("exit {code}"));
        assert_eq!(scrape.value("driftrun_check_last_exit_code", "t"), Some(f64::from(code)));
        assert_eq!(scrape.verdict("t").as_deref(), Some(if code == 0 { "clean" } else { "failed" }));
        assert_eq!(class(&scrape), (code != 0).then(|| "class=\"exit\"".to_owned()));
    }
}

#[test]
fn a_signal_is_not_an_exit_code() {
    let (scrape, _) = run(&[], "kill -SEGV $$");
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "t"), None);
    assert_eq!(
        (scrape.verdict("t").as_deref(), class(&scrape).as_deref()),
        (Some("failed"), Some("class=\"signal\""))
    );
}

#[test]
fn what_cannot_start_is_an_outcome() {
    let folder = support::Folder::new("spawn");
    let interpreter = folder.write("bad-interpreter", "#!/nowhere/sh\n");
    let plain = folder.write("not-executable", "hello");
    let chmod = |mode: &str, path: &std::path::Path| {
        assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
    };
    chmod("755", &interpreter);
    chmod("644", &plain);
    for (command, says) in [
        ("no-such-program-anywhere", "command not found: no-such-program-anywhere"),
        (interpreter.to_str().unwrap(), "interpreter"),
        (plain.to_str().unwrap(), "is not executable"),
        (folder.path().to_str().unwrap(), "is a directory"),
    ] {
        let mut server = Server::watch(&["--name=t", "--interval=1h", "--parser=none"], &[command]);
        let line = server.wait_for_run("t");
        assert!(line.contains(says), "{line}");
        let scrape = server.scrape();
        assert_eq!(scrape.value("driftrun_check_last_exit_code", "t"), None);
        assert_eq!(
            (scrape.verdict("t").as_deref(), class(&scrape).as_deref()),
            (Some("failed"), Some("class=\"spawn\""))
        );
    }
}

#[test]
fn a_deadline_ends_the_whole_group() {
    let (scrape, took) = run(&["--timeout=300ms", "--kill-grace=30s"], "sleep 7001 & echo hi; sleep 7001");
    assert_eq!(
        (scrape.verdict("t").as_deref(), class(&scrape).as_deref()),
        (Some("timeout"), Some("class=\"timeout\""))
    );
    assert_eq!(scrape.samples("driftrun_check_output_bytes", "t").get("stream=\"stdout\""), Some(&3.0));
    assert!(took < Duration::from_secs(20), "TERM was enough, but it took {took:?}");
    assert_eq!(alive("sleep 7001"), Vec::<String>::new());
}

#[test]
fn who_ignores_term_is_killed_after_the_grace() {
    let (scrape, _) =
        run(&["--timeout=200ms", "--kill-grace=200ms"], "trap '' TERM; while :; do sleep 7002; done");
    assert_eq!(scrape.verdict("t").as_deref(), Some("timeout"));
    assert_eq!(alive("sleep 7002"), Vec::<String>::new());
}

#[test]
fn a_stopped_process_gets_its_term() {
    let (scrape, took) = run(&["--timeout=200ms", "--kill-grace=60s"], "kill -STOP $$");
    assert_eq!(scrape.verdict("t").as_deref(), Some("timeout"));
    assert!(took < Duration::from_secs(30), "it took {took:?}");
}

#[test]
fn exit_0_after_the_deadline_is_still_a_timeout() {
    let (scrape, _) =
        run(&["--timeout=200ms", "--kill-grace=60s"], "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    assert_eq!(scrape.verdict("t").as_deref(), Some("timeout"));
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "t"), None);
}

#[test]
fn a_child_that_holds_the_pipe_does_not_hold_the_run() {
    let (scrape, took) = run(&["--timeout=1h"], "sleep 7003 & exit 4");
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "t"), Some(4.0));
    assert_eq!(
        scrape.samples("driftrun_check_killed_processes_total", "t").get("reason=\"leftover\""),
        Some(&1.0)
    );
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    assert_eq!(alive("sleep 7003"), Vec::<String>::new());
}

#[test]
fn a_daemon_in_its_own_session_is_found_and_ended() {
    let (scrape, took) = run(
        &["--timeout=1h"],
        "(setsid sh -c ': > $TMPDIR/a; exec sleep 7004' &); (setsid sh -c ': > $TMPDIR/b; exec sleep 7004' &); until test -e $TMPDIR/a && test -e $TMPDIR/b; do :; done",
    );
    assert_eq!(scrape.verdict("t").as_deref(), Some("clean"));
    assert_eq!(
        scrape.samples("driftrun_check_killed_processes_total", "t").get("reason=\"leftover\""),
        Some(&2.0)
    );
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    assert_eq!(alive("sleep 7004"), Vec::<String>::new());
}

#[test]
fn an_escaped_process_that_dropped_its_cookie_costs_the_drain_time_and_no_more() {
    let began = Instant::now();
    // The mark is made when the cookie is gone already.
    let script = "setsid env -i PATH=$PATH sh -c \": > $TMPDIR/up; exec sleep 7005\" & until test -e $TMPDIR/up; do :; done";
    let mut server =
        Server::watch(&["--name=t", "--interval=1h", "--parser=none", "--timeout=1h"], &["sh", "-c", script]);
    server.wait_for("a process that outlived the run still holds its output");
    assert_eq!(server.scrape().verdict("t").as_deref(), Some("clean"));
    assert!(server.get("/checks/t").1.contains("A process that outlived the run still held its output"));
    // It belongs to no run; it is ended when driftrun stops, as no run is active then.
    assert_eq!(server.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    assert_eq!(alive("sleep 7005"), Vec::<String>::new());
}

#[test]
fn stdin_is_empty_and_the_environment_says_who_runs_it() {
    let (scrape, _) = run(
        &[],
        "read x && exit 9; test \"$TF_IN_AUTOMATION$ANSIBLE_NOCOWS\" = 11 && test -d \"$TMPDIR\" && touch \"$TMPDIR/left\"",
    );
    assert_eq!(scrape.verdict("t").as_deref(), Some("clean"));
}

#[test]
fn a_flood_is_drained_and_bounded() {
    let script = "head -c 50000000 /dev/zero; head -c 3000000 /dev/zero >&2";
    let (scrape, _) = run(&["--max-output=1MiB"], script);
    let bytes = scrape.samples("driftrun_check_output_bytes", "t");
    assert_eq!((bytes["stream=\"stdout\""], bytes["stream=\"stderr\""]), (50_000_000.0, 3_000_000.0));
    assert_eq!(scrape.value("driftrun_check_output_truncated", "t"), Some(1.0));
}

#[test]
fn a_signal_to_driftrun_ends_everything_within_the_grace() {
    let mut server = Server::watch(
        &["--name=t", "--interval=1h", "--timeout=1h"],
        &["sh", "-c", "echo up >&2; sleep 7006 & sleep 7006"],
    );
    while alive("sleep 7006").len() < 2 {
        std::thread::yield_now();
    }
    let began = Instant::now();
    server.signal("TERM");
    server.wait_for("msg=stopped");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(alive("sleep 7006"), Vec::<String>::new());
    assert!(!server.seen.iter().any(|line| line.contains("msg=run")), "a cancelled run leaves no record");
}

#[test]
fn the_next_run_happens_whatever_the_last_one_did() {
    let folder = support::Folder::new("next");
    let counter = folder.path().join("n");
    let script = format!(
        "echo x >> {0}; case $(wc -l < {0}) in 1) kill -KILL $$;; 2) sleep 60;; *) exit 0;; esac",
        counter.display()
    );
    let mut server = Server::watch(
        &["--name=t", "--interval=100ms", "--timeout=1s", "--kill-grace=1s", "--parser=none"],
        &["sh", "-c", &script],
    );
    let verdicts: Vec<String> = (0..3)
        .map(|_| {
            server.wait_for_run("t").split("verdict=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(verdicts, ["failed", "timeout", "clean"]);
    let skipped = server.scrape().samples("driftrun_check_skipped_runs_total", "t")["reason=\"overrun\""];
    assert!(skipped >= 5.0, "a run of a second at an interval of 100 ms skips slots, not {skipped}");
}

#[test]
fn a_linked_folder_is_resolved_once_a_run_and_its_commit_is_told() {
    let folder = support::Folder::new("linked");
    let id = "0123456789abcdef0123456789abcdef01234567";
    folder.write("a/.git/HEAD", id);
    folder.write("a/infra/x", "");
    let link = folder.path().join("current");
    std::os::unix::fs::symlink(folder.path().join("a"), &link).unwrap();
    let workdir = link.join("infra");
    // The link is swapped while the run is under way.
    let script = format!(
        "ln -sfn {0}/b {0}/current && test -e x && test $(pwd -P) = {0}/a/infra",
        folder.path().display()
    );
    let mut server = Server::watch(
        &["--name=t", "--interval=1h", "--parser=none", "--workdir", workdir.to_str().unwrap()],
        &["sh", "-c", &script],
    );
    server.wait_for_run("t");
    let scrape = server.scrape();
    assert_eq!(scrape.verdict("t").as_deref(), Some("clean"));
    let revisions: Vec<String> = scrape.samples("driftrun_check_revision_info", "t").into_keys().collect();
    assert_eq!(revisions, [format!("revision=\"{id}\"")]);
}

#[test]
fn the_private_folder_is_ours_alone_and_gone_afterwards_whatever_is_in_it() {
    let folder = support::Folder::new("private");
    for fill in ["true", "mkdir -p $TMPDIR/a/b && touch $TMPDIR/a/b/c"] {
        let said = folder.path().join("said");
        let script = format!("{fill} && stat -c %a $TMPDIR > {0} && echo $TMPDIR >> {0}", said.display());
        let (scrape, _) = run(&[], &script);
        assert_eq!(scrape.verdict("t").as_deref(), Some("clean"));
        let said = std::fs::read_to_string(said).unwrap();
        let (mode, path) = said.trim_end().split_once('\n').unwrap();
        assert_eq!(mode, "700");
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
}
