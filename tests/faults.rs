//! The fault matrix, one process and its children: each row is a run that goes wrong in one way, and its whole outcome. After each no process
//! of the run is left, no descriptor of driftrun's is open that was not before, and no private folder (`Host::assert_calm`). What
//! tests/supervision.rs proves is not repeated; docs/reliability.md is the whole table.

#[path = "support/host.rs"]
mod host;
mod support;

use host::{Ended, Host, fault, lives, named, slow, until};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn every_exit_code_in_one_driftrun() {
    let mut host = Host::start("codes");
    let checks: Vec<_> =
        (0..=255).map(|code| named(&format!("e{code}"), json!({"shell": format!("exit {code}")}))).collect();
    host.configure(&checks);
    let mut missing = checks.len();
    let mut reasons = BTreeMap::new();
    while missing > 0 {
        let line = host.server.wait_for("msg=run check=e");
        reasons.insert(host::field(&line, "check").unwrap(), host::field(&line, "reason"));
        missing -= 1;
    }
    let scrape = host.server.scrape();
    for code in 0..=255 {
        let name = format!("e{code}");
        let ended = Ended { reason: reasons[&name].clone(), ..host::of(&scrape, &name) };
        assert_eq!(ended, Ended::exited(code));
        let exits = scrape.samples("driftrun_check_exits_total", &name);
        assert_eq!(exits.get(&format!("code=\"{code}\"")), Some(&1.0), "{exits:?}");
    }
    host.assert_calm();
    host.stop();
}

/// All that end a process which does nothing about them; 32 and 33 the C library keeps for itself, and children ignore them.
#[test]
fn every_signal_that_ends_a_process() {
    let mut host = Host::start("signals");
    let named = [
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
        (6, "ABRT"),
        (9, "KILL"),
        (11, "SEGV"),
        (13, "PIPE"),
        (15, "TERM"),
    ];
    let named = BTreeMap::from(named);
    let others = [17, 18, 19, 20, 21, 22, 23, 28, 32, 33];
    for signal in (1..=64).filter(|signal| !others.contains(signal)) {
        // Whoever started the tests may ignore QUIT, and that is inherited.
        let script = format!("ulimit -c 0; kill -{signal} $$; exit 99");
        let command = ["env", "--default-signal=QUIT", "sh", "-c", &script];
        let name = named.get(&signal).map(|name| format!(" ({name})")).unwrap_or_default();
        let expected = Ended {
            verdict: "failed".to_owned(),
            class: Some("signal".to_owned()),
            reason: Some(format!("command was ended by signal {signal}{name}")),
            ..Ended::default()
        };
        assert_eq!(host.run(json!({"command": command})), expected, "{signal}");
        let line = host.server.seen.last().unwrap();
        assert_eq!(
            [host::field(line, "code"), host::field(line, "signal")],
            [None, Some(signal.to_string())]
        );
    }
    host.stop();
}

#[test]
fn a_working_folder_that_vanishes_is_an_outcome_until_it_is_back() {
    let mut host = Host::start("vanished");
    let workdir = host.folder.path().join("work");
    fs::create_dir(&workdir).unwrap();
    let name =
        host.begin(json!({"workdir": workdir, "interval": "200ms", "command": ["rmdir", workdir.to_str()]}));
    assert_eq!(host.ended(&name), Ended::exited(0));
    let gone = format!("working directory {} is not there", workdir.display());
    assert_eq!(host.ended(&name), Ended::not_started(&gone));
    fs::create_dir(&workdir).unwrap();
    host.server.wait_for("verdict=clean");
    host.clear();
    host.stop();
}

#[test]
fn a_double_fork_is_found() {
    // The script goes on when the grandchild's parent is gone: then it is driftrun's child, as the script itself is.
    let script = "((sh -c 'echo $$ > $TMPDIR/pid; exec sleep 9000' &) &)
        until test -s $TMPDIR/pid && test $(ps -o ppid= -p $(cat $TMPDIR/pid)) = $PPID; do :; done; exit 3";
    assert_eq!(fault("double", json!({"shell": script})), Ended { leftover: 1.0, ..Ended::exited(3) });
}

#[test]
fn a_pipeline_of_six_ends_at_the_deadline() {
    // The shell waits for all six, so none is left for the sweep; what it says of them is not told.
    let script = "exec 2>&-; trap : TERM; sleep 9000 | cat | cat | cat | cat | cat; exit 0";
    assert_eq!(fault("pipeline", json!({"shell": script, "timeout": "300ms"})), Ended::timed_out("300ms"));
}

#[test]
fn five_hundred_processes_left_behind_are_ended_one_and_all() {
    let script = "n=0; while test $n -lt 500; do sleep 9000 & n=$((n + 1)); done; exit 3";
    assert_eq!(fault("storm", json!({"shell": script})), Ended { leftover: 500.0, ..Ended::exited(3) });
}

#[test]
fn a_fork_storm_still_under_way_is_ended() {
    let mut host = Host::start("tree");
    // A tree of at most 511 processes that grows while it is swept; whoever calls `setsid` has left the group.
    let tree = "test $1 -gt 0 && { sh $0 $(($1 - 1)) & setsid sh $0 $(($1 - 1)) & }; exec sleep 9000";
    let tree = host.folder.write("tree.sh", tree);
    let script =
        format!("sh {} 8 & until test -e /proc/$!/task/$!/children; do :; done; exit 3", tree.display());
    let ended = host.run(json!({"shell": script}));
    assert!(ended.leftover > 0.0, "{ended:?}");
    assert_eq!(ended, Ended { leftover: ended.leftover, ..Ended::exited(3) });
    host.stop();
}

/// What floods a stream until its deadline: everything is drained, at full speed, and nothing but both ends is kept.
fn flood(name: &str, shell: &str, timeout: &str) -> Ended {
    let mut host = Host::start(name);
    let before = host.memory("VmRSS:");
    let check = host.begin(json!({"shell": shell, "timeout": timeout, "max_output": "1MiB"}));
    // A scrape is answered meanwhile.
    let running = || host.server.scrape().value("driftrun_check_running", &check) == Some(1.0);
    until("the run to begin", running);
    let ended = host.ended(&check);
    host.assert_calm();
    let grown = host.memory("VmHWM:").saturating_sub(before);
    assert!(grown < 24 << 20, "a limit of 1 MiB took {grown} bytes");
    host.stop();
    ended
}

/// The bytes that a flood of `yes` wrote: more than any buffer holds.
fn assert_flooded(bytes: f64) {
    assert!(bytes > f64::from(16 << 20), "{bytes} bytes are no flood");
}

#[test]
fn a_flood_of_stdout_for_the_whole_timeout() {
    let ended = flood("out", "exec yes", "1s");
    assert_flooded(ended.stdout);
    assert_eq!(ended, Ended { stdout: ended.stdout, cut: true, ..Ended::timed_out("1s") });
}

#[test]
fn a_flood_of_stderr_for_the_whole_timeout() {
    let ended = flood("err", "exec yes >&2", "1s");
    assert_flooded(ended.stderr);
    assert_eq!(ended, Ended { stderr: ended.stderr, cut: true, ..Ended::timed_out("1s") });
}

#[test]
fn a_flood_of_both_for_a_minute() {
    if slow() {
        let ended = flood("minute", "yes & exec yes >&2", "60s");
        assert_flooded(ended.stdout);
        assert_flooded(ended.stderr);
        let Ended { stdout, stderr, leftover, .. } = ended;
        assert_eq!(ended, Ended { stdout, stderr, leftover, cut: true, ..Ended::timed_out("1m") });
    }
}

#[test]
fn one_line_of_64_mb() {
    line("line", 64_000_000);
}

#[test]
fn one_line_of_a_gigabyte() {
    if slow() {
        line("gigabyte", 1_000_000_000);
    }
}

fn line(name: &str, bytes: u32) {
    let shell = format!("head -c {bytes} /dev/zero | tr '\\0' x");
    let expected = Ended { stdout: f64::from(bytes), cut: true, ..Ended::exited(0) };
    assert_eq!(flood(name, &shell, "1h"), expected);
}

#[test]
fn who_writes_nothing_is_ended_at_the_deadline() {
    assert_eq!(
        fault("silent", json!({"command": ["sleep", "9000"], "timeout": "200ms"})),
        Ended::timed_out("200ms")
    );
}

#[test]
fn a_run_goes_on_when_its_streams_are_closed_and_costs_nothing_then() {
    let mut host = Host::start("closed");
    let name = host.begin(json!({"shell": "exec >&- 2>&-; : > up; sleep 1; exit 5"}));
    host.wait_for_file("up");
    let seconds = |host: &Host| -> f64 {
        let metrics = host.server.scrape().0;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap();
        line.parse().unwrap()
    };
    let before = seconds(&host);
    assert_eq!(host.ended(&name), Ended::exited(5));
    // Whoever looks at a closed pipe again and again needs the whole second.
    let used = seconds(&host) - before;
    assert!(used < 0.5, "{used} s of CPU time");
    host.assert_calm();
    // The other stream is still read.
    let one = host.run(json!({"shell": "exec >&-; echo still >&2; exit 5"}));
    let reason = Some("command exited with code 5: still".to_owned());
    assert_eq!(one, Ended { stderr: 6.0, reason, ..Ended::exited(5) });
    host.stop();
}

#[test]
fn nul_bytes_and_invalid_utf_8() {
    let mut host = Host::start("bytes");
    let shell = r"printf '\000\377\376\303(\n'; printf '\355\240\200\033[31m\000' >&2; exit 3";
    let bytes = Ended { stdout: 6.0, stderr: 9.0, ..Ended::exited(3) };
    assert_eq!(host.run(json!({"shell": shell})), bytes);
    // The page is UTF-8 as well, or this panics.
    let (head, page) = host.server.get("/checks/t1");
    assert!(head.starts_with("HTTP/1.1 200") && page.contains("6 bytes"), "{head}{page}");
    assert!(support::words(&page).contains("␀\u{fffd}\u{fffd}\u{fffd}(\n"), "{page}");
    let unreadable = host.run(json!({"shell": r"printf '\000\377\376\n'", "parser": "terraform-json"}));
    assert_eq!(
        unreadable,
        Ended {
            verdict: "unreadable".to_owned(),
            class: Some("unreadable_format".to_owned()),
            reason: unreadable.reason.clone(),
            stdout: 4.0,
            ..Ended::exited(0)
        }
    );
    host.stop();
}

#[test]
fn an_output_of_exactly_the_limit_is_whole_and_one_byte_more_is_cut() {
    let mut host = Host::start("limit");
    let check = |bytes: u32, parser: &str| json!({"shell": format!("head -c {bytes} /dev/zero"), "max_output": "1MiB", "parser": parser});
    let limit = 1_048_576;
    let whole = Ended { stdout: f64::from(limit), ..Ended::exited(0) };
    assert_eq!(host.run(check(limit, "none")), whole);
    let cut = Ended { stdout: f64::from(limit + 1), cut: true, ..Ended::exited(0) };
    assert_eq!(host.run(check(limit + 1, "none")), cut);
    // A parser doesn't read what is not whole.
    let refused = host.run(check(limit + 1, "terraform-json"));
    assert_eq!(
        refused,
        Ended {
            verdict: "unreadable".to_owned(),
            class: Some("output_limit".to_owned()),
            reason: refused.reason.clone(),
            ..cut
        }
    );
    host.stop();
}

#[test]
fn five_thousand_zombies_adopted_as_pid_1() {
    let wrapper = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"];
    let permitted = std::process::Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        println!("skipped: a PID namespace of one's own is not permitted here");
        return;
    }
    let mut host = Host::under("zombies", &wrapper, env!("CARGO_BIN_EXE_driftrun"));
    // Most are in the run's group, some in sessions of their own.
    let script = "n=0; while test $n -lt 4900; do (: &); n=$((n + 1)); done
        while test $n -lt 5000; do (setsid true &); n=$((n + 1)); done; : > made; cat go; exit 3";
    let go = host.folder.path().join("go");
    assert!(std::process::Command::new("mkfifo").arg(&go).status().unwrap().success());
    let name = host.begin(json!({"shell": script}));
    host.wait_for_file("made");
    let pid = host.pid;
    let zombies = || {
        let all = host::processes();
        all.iter().filter(|process| process.parent == pid && process.state == "Z").count()
    };
    until("every orphan to end", || zombies() == 5000);
    assert_eq!(
        fs::read_to_string(format!("/proc/{pid}/status"))
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
            .count(),
        1
    );
    fs::write(&go, "").unwrap();
    // They had ended: none had to be.
    assert_eq!(host.ended(&name), Ended::exited(3));
    host.assert_calm();
    host.stop();
}

#[test]
fn what_a_killed_driftrun_leaves_ends_when_it_writes_and_hinders_no_other() {
    let mut host = Host::start("killed");
    // One that writes, one that doesn't.
    let script = "yes & echo $! > writes.new; mv writes.new writes; echo $$ > sleeps.new; mv sleeps.new sleeps; exec sleep 9000";
    host.begin(json!({"shell": script}));
    let number = |file: &str| -> u32 {
        host.wait_for_file(file);
        fs::read_to_string(host.folder.path().join(file)).unwrap().trim().parse().unwrap()
    };
    let (writes, sleeps) = (number("writes"), number("sleeps"));
    assert!(lives(writes) && lives(sleeps));
    host.signal("KILL");
    assert_eq!(host.server.wait(), None);
    until("the end of the one that writes", || !lives(writes));
    assert!(lives(sleeps), "nobody was there to end it");
    assert_eq!(host.folders().len(), 1);
    // The next driftrun is not held up, and touches neither.
    let config = host.folder.path().join("driftrun.yaml");
    let calm = json!({"tmp_dir": host.folder.path().join("tmp"), "checks": [{"name": "calm", "command": ["true"], "parser": "none", "splay": "0s"}]});
    fs::write(&config, calm.to_string()).unwrap();
    let mut next = support::Server::serve(&config);
    next.wait_for_run("calm");
    assert_eq!(next.scrape().verdict("calm").as_deref(), Some("clean"));
    assert_eq!(next.stop(), Some(0));
    assert!(lives(sleeps));
    assert_eq!(host.folders().len(), 1);
    host::send("KILL", sleeps);
    until("its end", || !lives(sleeps));
}

/// Names of the tests in a file, in its order.
fn tests_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_attribute = |line: &str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let functions = lines.windows(2).filter(|pair| is_attribute(pair[0])).map(|pair| pair[1]);
    let name = |line: &str| line.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
    functions.filter_map(name).collect()
}

#[test]
fn the_table_of_faults_and_the_tests_name_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut named: Vec<(&str, &str)> = Vec::new();
    for row in table.lines().filter(|line| line.starts_with('|')) {
        // FILE: `TEST`, `TEST`, FILE: `TEST`
        let mut file = "";
        for word in row.rsplit(" | ").next().unwrap_or_default().split([' ', ',']) {
            match (word.strip_suffix(':'), word.strip_prefix('`').and_then(|word| word.strip_suffix('`'))) {
                (Some(name), _) => file = name,
                (None, Some(test)) if !file.is_empty() => named.push((file, test)),
                (None, _) => {}
            }
        }
    }
    assert!(named.len() > 30, "{named:?}");
    for (file, test) in &named {
        let tests = tests_of(&root.join(format!("tests/{file}.rs")));
        assert!(tests.iter().any(|name| name == test), "no {test} in {file}");
    }
    for file in ["faults", "faults_limits", "faults_reload", "faults_tools"] {
        for test in tests_of(&root.join(format!("tests/{file}.rs"))) {
            let is_named = test.starts_with("the_table") || named.contains(&(file, &test));
            assert!(is_named, "docs/reliability.md has no {test} of {file}");
        }
    }
}
