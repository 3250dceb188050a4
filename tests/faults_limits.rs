//! The fault matrix, driftrun's own limits: it runs out of descriptors, or of processes, while it is at work. Each step of a run that needs one
//! is in turn the first to go without; the run then has an outcome, nothing of it stays, and all is as before when there is enough again.

#[path = "support/host.rs"]
mod host;
mod support;

use host::{Ended, Host};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use support::{Folder, HANG};

/// Sets a soft limit of a process that runs. `as_user` begins the command: who may do that is the process' own user.
fn limit(as_user: &[&str], pid: u32, what: &str, value: usize) {
    let (pid, limit) = (pid.to_string(), format!("--{what}={value}:"));
    let words = [as_user, &["prlimit", "--pid", &pid, &limit]].concat();
    assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
}

/// The verdict and the reason of a run that began after now.
fn fresh(host: &mut Host, check: &str) -> (String, String) {
    host.server.wait_for_fresh_runs(&[check]);
    let line = host.server.seen.last().unwrap();
    (host::field(line, "verdict").unwrap(), host::field(line, "reason").unwrap_or_default())
}

#[test]
fn out_of_descriptors_at_every_step_of_a_run() {
    let mut host = Host::start("descriptors");
    // The limit is one of numbers: from the lowest free one on there is nothing, then one, then two.
    let is_free = |number: &usize| !Path::new(&format!("/proc/{}/fd/{number}", host.pid)).exists();
    let free = (0..1000).find(is_free).unwrap();
    // Whoever is left behind is found through a descriptor, too.
    let name = host.begin(json!({"interval": "100ms", "shell": "sleep 9000 & exit 0"}));
    assert_eq!(host.ended(&name), Ended { leftover: 1.0, ..Ended::exited(0) });
    let enough = (0..1000).position(|more| {
        limit(&[], host.pid, "nofile", free + more);
        let (verdict, reason) = fresh(&mut host, &name);
        if verdict == "failed" {
            assert!(
                reason == "no pipe: Too many open files (os error 24)"
                    || reason == "sh: Too many open files (os error 24)",
                "{reason}"
            );
        }
        verdict == "clean"
    });
    // Two pipes, and one for what the child reads.
    assert_eq!(enough, Some(5));

    // A connection that finds none is answered as soon as there is one.
    limit(&[], host.pid, "nofile", free);
    let mut stream = TcpStream::connect(&host.server.address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    host.server.wait_for("connection not accepted");
    limit(&[], host.pid, "nofile", 4096);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    assert_eq!(fresh(&mut host, &name), ("clean".to_owned(), String::new()));
    let scrape = host.server.scrape();
    let clean = scrape.samples("driftrun_check_runs_total", &name)["verdict=\"clean\""];
    let killed = &scrape.samples("driftrun_check_killed_processes_total", &name)["reason=\"leftover\""];
    assert!(clean - killed <= 1.0 && *killed > 2.0, "{killed} of {clean}");
    host.clear();
    host.stop();
}

#[test]
fn out_of_descriptors_when_a_run_ends() {
    let mut host = Host::start("sweep");
    let go = host.folder.path().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    // Its output is not held, so that nothing but the sweep meets it.
    let name = host.begin(json!({"shell": "sleep 9000 > /dev/null 2>&1 & : > up; read line < go; exit 3"}));
    host.wait_for_file("up");
    limit(&[], host.pid, "nofile", 0);
    std::fs::write(&go, "\n").unwrap();
    let line = host.server.wait_for_run(&name);
    limit(&[], host.pid, "nofile", 4096);
    let reason = host::field(&line, "reason");
    let ended = Ended { reason, ..host::of(&host.server.scrape(), &name) };
    assert_eq!(ended, Ended { leftover: 1.0, ..Ended::exited(3) });
    host.assert_calm();
    host.stop();
}

/// A driftrun of its own user, as limits count all processes and threads of a user, and the beginning of a command of that user. `None`: the
/// test is to be skipped.
fn of_user(name: &str, user: &'static str) -> Option<(Host, [&'static str; 6], Folder)> {
    if !host::is_root() {
        return None;
    }
    let copy = Folder::new("copy");
    let binary = host::copy_for_everybody(&copy);
    let as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"];
    Some((Host::under(name, &as_user, binary.to_str().unwrap()), as_user, copy))
}

#[test]
fn out_of_processes_at_every_step_of_a_run() {
    let Some((mut host, as_user, _copy)) = of_user("processes", "64123") else { return };
    let name = host.begin(json!({"interval": "100ms", "shell": "sleep 9000 & exit 0"}));
    assert_eq!(host.ended(&name), Ended { leftover: 1.0, ..Ended::exited(0) });
    let mut seen = Vec::new();
    for most in 0..1000 {
        limit(&as_user, host.pid, "nproc", most);
        let ended = fresh(&mut host, &name);
        let is_enough = ended.0 == "clean";
        seen.push(ended);
        seen.dedup();
        if is_enough {
            break;
        }
    }
    let failed = |reason: &str| ("failed".to_owned(), reason.to_owned());
    let expected = [
        failed("sh: Resource temporarily unavailable (os error 11)"),
        // Enough for the command, and none for what the command starts.
        failed("command exited with code 2: sh: 0: Cannot fork"),
        ("clean".to_owned(), String::new()),
    ];
    assert_eq!(seen, expected);
    host.clear();
    host.stop();
}

/// A run during which no process and no thread can be started any more, for longer than a thread without work stays.
fn no_thread_to_be_had(name: &str, user: &'static str, seconds: u32) {
    let Some((mut host, as_user, _copy)) = of_user(name, user) else { return };
    let check = host.begin(json!({"shell": format!("sleep 9000 & : > up; sleep {seconds}; exit 3")}));
    host.wait_for_file("up");
    limit(&as_user, host.pid, "nproc", 0);
    assert_eq!(host.ended(&check), Ended { leftover: 1.0, ..Ended::exited(3) });
    host.assert_calm();
    limit(&as_user, host.pid, "nproc", 1000);
    assert_eq!(host.run(json!({"command": ["true"]})), Ended::exited(0));
    host.stop();
}

#[test]
fn a_run_at_whose_end_no_thread_can_be_started_is_swept_and_recorded() {
    no_thread_to_be_had("threads", "64124", 12);
}

#[test]
fn a_run_at_whose_end_no_thread_can_be_started_is_scraped() {
    if host::slow() {
        no_thread_to_be_had("scraped", "64125", 65);
    }
}
