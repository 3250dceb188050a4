//! The fault matrix, the configuration: what becomes of its file while driftrun runs, and what reloads do to runs under way.

#[path = "support/host.rs"]
mod host;
mod support;

use host::{Ended, Host, field, named};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Folder, Scrape, Server};

fn hang_up(server: &Server) {
    kill_process(Pid::from_raw(server.pid().cast_signed()).unwrap(), Signal::HUP).unwrap();
}

/// A configuration whose checks are fine and run all the time.
fn configuration(names: &[&str]) -> String {
    let checks: Vec<Value> = names.iter().map(|name| named(name, json!({"command": ["true"]}))).collect();
    let defaults = json!({"parser": "none", "interval": "100ms", "splay": "0s"});
    json!({"defaults": defaults, "checks": checks}).to_string()
}

/// The checks that there are.
fn checks(scrape: &Scrape) -> Vec<String> {
    let names = scrape.0.lines().filter_map(|line| line.strip_prefix("driftrun_check_info{check=\""));
    names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

fn metric(scrape: &Scrape, name: &str) -> String {
    scrape.0.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

fn reloaded(scrape: &Scrape) -> (String, String) {
    let when = metric(scrape, "driftrun_config_last_reload_success_timestamp_seconds ");
    (metric(scrape, "driftrun_config_last_reload_successful "), when)
}

fn clear(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
}

#[test]
fn whatever_becomes_of_the_file_the_old_configuration_goes_on_until_it_is_repaired() {
    type Fault = (&'static str, fn(&Path), &'static str);
    let faults: [Fault; 6] = [
        ("deleted", |path| clear(path), "No such file or directory"),
        (
            "a folder",
            |path| {
                clear(path);
                fs::create_dir(path).unwrap();
            },
            "Is a directory",
        ),
        (
            "unreadable",
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap(),
            "Permission denied",
        ),
        (
            "a broken link",
            |path| {
                clear(path);
                symlink("nowhere", path).unwrap();
            },
            "No such file or directory",
        ),
        ("no YAML", |path| fs::write(path, "checks: [").unwrap(), "driftrun.yaml:2:1: not valid YAML"),
        (
            "an unknown key",
            |path| fs::write(path, "checks:\n  - {name: a, comand: [x]}\n").unwrap(),
            "driftrun.yaml:2:15",
        ),
    ];
    let (folder, copy) = (Folder::new("reload"), Folder::new("copy"));
    let path = folder.write("driftrun.yaml", &configuration(&["old"]));
    // Root may read everything.
    let command = if host::is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "64130", "--regid", "64130", "--clear-groups"]);
        command.arg(host::copy_for_everybody(&copy));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command
    } else {
        support::driftrun()
    };
    let mut server = Server::start(command, &["serve", "--config.file", path.to_str().unwrap()], &[]);
    server.wait_for_run("old");
    let mut known = vec!["old".to_owned()];
    for (what, make, says) in faults {
        let before = reloaded(&server.scrape());
        make(&path);
        hang_up(&server);
        let line = server.wait_for("configuration not loaded, the old one goes on");
        assert!(field(&line, "problem").is_some_and(|problem| problem.contains(says)), "{what}: {line}");
        let scrape = server.scrape();
        assert_eq!(before.0, "1", "{what}");
        assert_eq!(reloaded(&scrape), ("0".to_owned(), before.1.clone()), "{what}");
        assert_eq!(checks(&scrape), known, "{what}");
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        server.wait_for_fresh_runs(&names);
        assert_eq!(server.scrape().verdict("old").as_deref(), Some("clean"), "{what}");

        // What was never there before comes with the repair.
        let new = format!("after-{}", what.replace(' ', "-"));
        known = vec![new.clone(), "old".to_owned()];
        clear(&path);
        fs::write(&path, configuration(&[&new, "old"])).unwrap();
        hang_up(&server);
        server.wait_for("configuration loaded");
        let scrape = server.scrape();
        let after = reloaded(&scrape);
        assert_eq!((after.0.as_str(), checks(&scrape)), ("1", known.clone()), "{what}");
        assert!(after.1.parse::<f64>().unwrap() > before.1.parse::<f64>().unwrap(), "{what}");
        server.wait_for_run(&new);
    }
    assert_eq!(server.stop(), Some(0));
}

/// As Kubernetes mounts a `ConfigMap`: the file is a link into a folder whose name is a link, and that link is replaced.
#[test]
fn a_swapped_link_is_the_new_configuration_and_the_run_under_way_counts() {
    let mut host = Host::start("swap");
    let below = |name: &str| host.folder.path().join(name);
    let (go, mount) = (below("go"), below("mount"));
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let waits =
        json!({"name": "waits", "workdir": host.folder.path(), "shell": ": > up; read line < go; exit 3"});
    let publish = |version: &str, checks: &[&Value]| {
        let defaults = json!({"parser": "none", "interval": "1h", "splay": "0s"});
        let text = json!({"defaults": defaults, "checks": checks}).to_string();
        host.folder.write(&format!("mount/{version}/driftrun.yaml"), &text);
        symlink(version, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    publish("..1", &[&waits]);
    symlink("..data/driftrun.yaml", mount.join("driftrun.yaml")).unwrap();
    let mut server = Server::serve(&mount.join("driftrun.yaml"));
    host.wait_for_file("up");
    publish("..2", &[&waits, &json!({"name": "new", "command": ["true"]})]);
    fs::remove_dir_all(mount.join("..1")).unwrap();
    hang_up(&server);
    let line = server.wait_for("configuration loaded");
    assert_eq!(["added", "changed", "removed"].map(|name| field(&line, name).unwrap()), ["1", "0", "0"]);
    // Its folder is the file's, which was never that of the first version.
    let line = server.wait_for_run("new");
    assert_eq!(field(&line, "verdict").as_deref(), Some("clean"), "{line}");
    fs::write(&go, "\n").unwrap();
    let line = server.wait_for_run("waits");
    assert_eq!(field(&line, "code").as_deref(), Some("3"), "{line}");
    let scrape = server.scrape();
    let runs = scrape.samples("driftrun_check_runs_total", "waits");
    assert_eq!((runs["verdict=\"failed\""], runs["verdict=\"clean\""]), (1.0, 0.0));
    assert_eq!(server.stop(), Some(0));
    host.server.signal("TERM");
    assert_eq!(host.server.wait(), Some(0));
}

#[test]
fn a_storm_of_hangups_touches_no_run_under_way() {
    let mut host = Host::start("hangups");
    let go: PathBuf = host.folder.path().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let waits = named("waits", json!({"shell": "echo x >> up; read line < go; exit 3"}));
    host.configure(std::slice::from_ref(&waits));
    host.wait_for_file("up");
    // Other checks come and go meanwhile, and one has another command each time.
    for turn in 0..300 {
        let other = named("other", json!({"shell": format!("exit {turn}")}));
        host.configure(&[waits.clone(), other]);
        hang_up(&host.server);
    }
    host.configure(&[waits.clone(), named("last", json!({"command": ["true"]}))]);
    host.server.wait_for_run("last");
    let running = host.server.scrape().value("driftrun_check_running", "waits");
    assert_eq!(running, Some(1.0));
    fs::write(&go, "\n").unwrap();
    assert_eq!(host.ended("waits"), Ended::exited(3));
    // It is the one that was there before the first of them.
    assert_eq!(fs::read_to_string(host.folder.path().join("up")).unwrap(), "x\n");
    let scrape = host.server.scrape();
    assert_eq!(
        scrape.samples("driftrun_check_exits_total", "waits"),
        [("code=\"0\"".to_owned(), 0.0), ("code=\"3\"".to_owned(), 1.0)].into()
    );
    assert_eq!(metric(&scrape, "driftrun_config_last_reload_successful "), "1");
    assert!(!host.server.seen.iter().any(|line| line.contains("not loaded")));
    host.assert_calm();
    host.stop();
}
