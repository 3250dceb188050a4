//! What a run's processes are given, and which checks an instance runs.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use support::{Folder, Server, driftrun, ended, words};

/// The environment that `printenv` shows of a check with these keys, by name.
fn environment(folder: &Folder, keys: &str) -> Vec<(String, String)> {
    let config = folder.write(
        "driftrun.yaml",
        &format!(
            "checks:\n- name: c\n  interval: 1h\n  splay: 0s\n  parser: none\n  shell: env -0 > environment\n{keys}"
        ),
    );
    let mut command = driftrun();
    command.env("FROM_OUTSIDE", "x").env("NOTIFY_SOCKET", "/run/x").env("LISTEN_FDS", "1");
    let mut server = Server::start(command, &["serve", "--config.file", config.to_str().unwrap()], &[]);
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=clean"), "{line}");
    assert_eq!(server.stop(), Some(0));
    let text = std::fs::read_to_string(folder.path().join("environment")).unwrap();
    let mut all: Vec<(String, String)> = text
        .split_terminator('\0')
        .filter_map(|entry| entry.split_once('='))
        // The shell's own.
        .filter(|(name, _)| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.sort();
    all
}

fn names(environment: &[(String, String)]) -> Vec<&str> {
    environment.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_cleared_environment_holds_what_driftrun_and_the_check_set() {
    let folder = Folder::new("clear");
    folder.write("secrets.env", "# of the cloud\nTOKEN=a=b \"c\"\nBOTH=file\n");
    let keys = "  clear_env: true\n  env_file: [secrets.env]\n  env: { BOTH: check, OWN: \"1\" }\n";
    let cleared = environment(&folder, keys);
    assert_eq!(
        names(&cleared),
        [
            "ANSIBLE_NOCOLOR",
            "ANSIBLE_NOCOWS",
            "BOTH",
            "DRIFTRUN_RUN",
            "HOME",
            "KUBECTL_EXTERNAL_DIFF",
            "LC_ALL",
            "OWN",
            "PATH",
            "PYTHONUNBUFFERED",
            "TF_INPUT",
            "TF_IN_AUTOMATION",
            "TMPDIR",
            "TOKEN"
        ]
    );
    let value = |name: &str| cleared.iter().find(|(found, _)| found == name).unwrap().1.as_str();
    assert_eq!((value("TOKEN"), value("BOTH"), value("OWN")), ("a=b \"c\"", "check", "1"));
}

#[test]
fn an_environment_that_is_passed_on_lacks_what_was_said_to_driftrun_alone() {
    let folder = Folder::new("passed");
    let passed = environment(&folder, "");
    let passed = names(&passed);
    assert!(passed.contains(&"FROM_OUTSIDE") && passed.contains(&"TMPDIR"), "{passed:?}");
    assert!(!passed.contains(&"NOTIFY_SOCKET") && !passed.contains(&"LISTEN_FDS"), "{passed:?}");
}

#[test]
fn secrets_are_read_at_each_start_and_never_quoted() {
    let folder = Folder::new("secrets");
    let config = folder.write(
        "driftrun.yaml",
        "checks:\n- name: c\n  interval: 50ms\n  splay: 0s\n  parser: none\n  env_file: [secrets.env]\n  shell: '[ \"$A\" = hunter2 ]'\n",
    );
    let mut server = Server::serve(&config);
    let line = server.wait_for_run("c");
    assert!(line.contains("class=spawn") && line.contains("secrets.env: No such file"), "{line}");
    let new = folder.write("new.env", "hunter2\n");
    std::fs::rename(&new, folder.path().join("secrets.env")).unwrap();
    let line = server.wait_for_fresh_run("c");
    assert!(line.contains("class=spawn") && line.contains("line 1 has no '='"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
    let new = folder.write("new.env", "A=hunter2\n");
    std::fs::rename(&new, folder.path().join("secrets.env")).unwrap();
    let line = server.wait_for_fresh_run("c");
    assert!(line.contains("verdict=clean"), "{line}");
}

#[test]
fn what_never_answers_holds_up_one_run_and_nothing_else() {
    let folder = Folder::new("silent");
    for fifo in ["secrets.env", "tree/.git/HEAD"] {
        let path = folder.path().join(fifo);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    }
    let config = folder.write(
        "driftrun.yaml",
        "max_concurrent: 9\ndefaults: { splay: 0s, parser: none, command: [\"true\"] }\nchecks:\n- { name: env, interval: 1h, env_file: [secrets.env] }\n- { name: tree, interval: 200ms, timeout: 100ms, workdir: tree }\n- { name: other, interval: 50ms }\n",
    );
    let mut server = Server::serve(&config);
    let line = server.wait_for_run("env");
    assert!(line.contains("secrets.env: not a file of at most 1048576 bytes"), "{line}");
    let line = server.wait_for("msg=run check=tree ");
    assert!(line.contains("verdict=timeout"), "{line}");
    // The look before still waits: it holds one thread, and no more than one.
    let line = server.wait_for("msg=run check=tree ");
    assert!(line.contains("class=spawn") && line.contains("still waits for an answer"), "{line}");
    for _ in 0..30 {
        server.wait_for_run("other");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn every_check_runs_on_exactly_one_of_the_instances() {
    let folder = Folder::new("shards");
    let items: Vec<String> = (0..40).map(|n| format!("{{ n: \"{n}\" }}")).collect();
    let config = folder.write(
        "driftrun.yaml",
        &format!(
            "checks:\n- name: \"c-{{n}}\"\n  for_each: {{ list: [{}] }}\n  interval: 1h\n  parser: none\n  command: [\"true\"]\n",
            items.join(", ")
        ),
    );
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for index in 0..3 {
        let mut command = driftrun();
        command
            .args(["serve", "--shard.total=3", &format!("--shard.index={index}"), "--config.file"])
            .arg(&config);
        let server = Server::start(command, &[], &[]);
        let text = server.scrape().0;
        for said in [format!("driftrun_shard_ordinal {index}"), "driftrun_total_shards 3".to_owned()] {
            assert!(text.lines().any(|line| line == said), "{said}");
        }
        let own: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("driftrun_check_info{check=\"")?.split('"').next())
            .collect();
        assert!(own.len() > 5, "{own:?}");
        for name in own {
            assert!(seen.insert(name.to_owned()), "{name} twice");
        }
    }
    assert_eq!(seen.len(), 40);
    let file = config.to_str().unwrap();
    let (_, stderr, code) = ended(&["serve", "--config.file", file, "--shard.total=3", "--shard.index=3"]);
    assert_eq!(
        (stderr.as_str(), code),
        ("driftrun: shard 3 of 3: the index goes from 0 to one less than the total\n", Some(1))
    );
}

/// As in a container: another user, a root that can't be written, one folder that can.
#[test]
fn any_user_will_do_with_a_read_only_root_and_one_folder_to_write() {
    let folder = Folder::new("least");
    let inner = "mount -o remount,ro,bind / && mount -t tmpfs -o mode=0755,uid=65534 none \"$1\" && cd \"$1\" && printf %s \"$2\" > driftrun.yaml && shift 2 && exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \"$@\"";
    let tried = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            "mount -o remount,ro,bind / && setpriv --reuid=65534 --clear-groups true",
        ])
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("skipped: no mount namespace may be made here, or no other user be taken");
        return;
    }
    let config = "state_dir: state\nchecks:\n- name: c\n  interval: 1h\n  splay: 0s\n  parser: none\n  shell: 'id -u; touch /nowhere-to-write 2>/dev/null && exit 9; touch \"$TMPDIR/x\"'\n";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", inner, "sh"])
        .arg(folder.path())
        .args([config, env!("CARGO_BIN_EXE_driftrun")]);
    let file = folder.path().join("driftrun.yaml");
    let mut server = Server::start(command, &["serve", "--config.file", file.to_str().unwrap()], &[]);
    let line = server.wait_for_run("c");
    assert!(line.contains("verdict=clean"), "{line}");
    let (_, page) = server.get("/checks/c");
    assert!(words(&page).contains("65534\n"), "{page}");
    assert!(server.scrape().0.contains("driftrun_state_write_failures_total 0\n"));
    assert_eq!(server.stop(), Some(0));
}
