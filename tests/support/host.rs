//! One driftrun to which checks are given one after another, and what is left of each run: its outcome, processes, descriptors, folders.

#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::support::{Folder, HANG, Scrape, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Everything that is known of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    pub verdict: String,
    pub class: Option<String>,
    /// The exit code as a metric, which only a command that exited by itself has.
    pub code: Option<f64>,
    pub reason: Option<String>,
    /// Bytes of both streams.
    pub stdout: f64,
    pub stderr: f64,
    pub cut: bool,
    /// Processes that were ended: at their deadline, and after their leader.
    pub deadline: f64,
    pub leftover: f64,
    /// Whether somebody out of reach still held the output.
    pub leaked: bool,
}

impl Ended {
    /// By itself, without a word.
    pub fn exited(code: u8) -> Self {
        let failed = code != 0;
        Self {
            verdict: if failed { "failed" } else { "clean" }.to_owned(),
            class: failed.then(|| "exit".to_owned()),
            code: Some(f64::from(code)),
            reason: failed.then(|| format!("command exited with code {code}")),
            ..Self::default()
        }
    }

    /// By driftrun at its deadline, without a word.
    pub fn timed_out(after: &str) -> Self {
        Self {
            verdict: "timeout".to_owned(),
            class: Some("timeout".to_owned()),
            reason: Some(format!("still running after {after}")),
            deadline: 1.0,
            ..Self::default()
        }
    }

    /// It never ran.
    pub fn not_started(why: &str) -> Self {
        Self {
            verdict: "failed".to_owned(),
            class: Some("spawn".to_owned()),
            reason: Some(why.to_owned()),
            ..Self::default()
        }
    }
}

/// Waits until `done`; `what` is said when that never comes.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < HANG, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A driftrun that has made one run, of a check that is fine.
pub struct Host {
    pub folder: Folder,
    pub server: Server,
    mark: String,
    /// driftrun itself, which needn't be the process that was started.
    pub pid: u32,
    /// Its descriptors while nothing runs.
    calm: BTreeMap<String, usize>,
    runs: u32,
}

impl Host {
    pub fn start(name: &str) -> Self {
        Self::under(name, &[], env!("CARGO_BIN_EXE_driftrun"))
    }

    /// The same, with `wrapper` as the command that starts `binary`, the driftrun of this test.
    pub fn under(name: &str, wrapper: &[&str], binary: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = Folder::new(name);
        let mark = format!("FAULT_MARK={}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let tmp = folder.path().join("tmp");
        fs::create_dir(&tmp).unwrap();
        for open in [folder.path(), &tmp] {
            // For a driftrun of another user.
            fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let words = [wrapper, &[binary]].concat();
        let mut command = Command::new(words[0]);
        let (variable, value) = mark.split_once('=').unwrap();
        command.args(&words[1..]).env(variable, value).stdin(Stdio::null());
        let config = write_config(&folder, &[]);
        let server = Server::start(command, &["serve", "--config.file", config.to_str().unwrap()], &[]);
        let mut host = Self { folder, server, mark, pid: 0, calm: BTreeMap::new(), runs: 0 };
        host.server.wait_for_run("calm");
        let started = host.server.pid();
        host.pid = processes()
            .into_iter()
            .find(|process| {
                process.name == "driftrun" && (process.pid == started || process.parent == started)
            })
            .unwrap()
            .pid;
        host.calm = descriptors(host.pid);
        host
    }

    /// Adds a check (`name`, and how to read, are given to it) in place of the one before, and waits for its run; then nothing of it may
    /// be left.
    pub fn run(&mut self, check: Value) -> Ended {
        let name = self.begin(check);
        let ended = self.ended(&name);
        self.assert_calm();
        ended
    }

    /// Adds a check in place of the one before; its name.
    pub fn begin(&mut self, check: Value) -> String {
        self.runs += 1;
        let name = format!("t{}", self.runs);
        self.configure(&[named(&name, check)]);
        name
    }

    /// Gives driftrun these checks beside the one that is fine.
    pub fn configure(&mut self, checks: &[Value]) {
        write_config(&self.folder, checks);
        self.signal("HUP");
    }

    /// Takes all checks away but the one that is fine; nothing of a run that was under way may be left.
    pub fn clear(&mut self) {
        self.configure(&[]);
        self.server.wait_for("configuration loaded");
        until("the end of the run under way", || self.folders().is_empty());
        self.assert_calm();
    }

    /// Waits for the next run of a check.
    pub fn ended(&mut self, name: &str) -> Ended {
        let from = self.server.seen.len();
        let line = self.server.wait_for_run(name);
        let leaks = format!("check={name} ");
        let leaked = self.server.seen[from..]
            .iter()
            .any(|line| format!("{line} ").contains(&leaks) && line.contains("still holds its output"));
        Ended { leaked, reason: field(&line, "reason"), ..of(&self.server.scrape(), name) }
    }

    /// No process, no descriptor and no private folder of any run is there.
    pub fn assert_calm(&self) {
        assert_eq!(self.survivors(), Vec::<String>::new());
        assert_eq!(descriptors(self.pid), self.calm);
        assert_eq!(self.folders(), Vec::<PathBuf>::new());
    }

    /// Processes that runs of this driftrun started, in whatever state, wherever they went.
    pub fn survivors(&self) -> Vec<String> {
        let is_ours = |process: &Process| process.parent == self.pid || process.carries(&self.mark);
        let started = [self.pid, self.server.pid()];
        let all = processes().into_iter().filter(|process| !started.contains(&process.pid));
        all.filter(is_ours).map(|process| format!("{process:?}")).collect()
    }

    /// The private folders that are there.
    pub fn folders(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Waits until a run has made this file, whose path a check knows as `$PWD/NAME`.
    pub fn wait_for_file(&self, name: &str) {
        let path = self.folder.path().join(name);
        until(name, || path.exists());
    }

    pub fn signal(&self, signal: &str) {
        send(signal, self.pid);
    }

    /// Ends driftrun; nothing of it may be left.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.server.wait(), Some(0));
        assert_eq!(self.survivors(), Vec::<String>::new());
        assert_eq!(self.folders(), Vec::<PathBuf>::new());
    }

    /// A field of `/proc/PID/status` of driftrun, in bytes.
    pub fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Host {
    /// A test that failed leaves nobody behind either.
    fn drop(&mut self) {
        self.server.kill();
        for process in processes().iter().filter(|process| process.carries(&self.mark)) {
            let pid = Pid::from_raw(process.pid.cast_signed());
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// One run on a driftrun of its own.
pub fn fault(name: &str, check: Value) -> Ended {
    let mut host = Host::start(name);
    let ended = host.run(check);
    host.stop();
    ended
}

/// A check under this name.
pub fn named(name: &str, mut check: Value) -> Value {
    check["name"] = json!(name);
    check
}

fn write_config(folder: &Folder, checks: &[Value]) -> PathBuf {
    let calm = json!({"name": "calm", "command": ["true"]});
    let checks: Vec<&Value> = std::iter::once(&calm).chain(checks).collect();
    let defaults =
        json!({"parser": "none", "interval": "1h", "splay": "0s", "timeout": "1h", "kill_grace": "1h"});
    let config = json!({"tmp_dir": folder.path().join("tmp"), "defaults": defaults, "checks": checks});
    // Put in its place whole.
    let new = folder.write("new.yaml", &config.to_string());
    let path = folder.path().join("driftrun.yaml");
    fs::rename(new, &path).unwrap();
    path
}

/// What a scrape says of a check that has run once.
pub fn of(scrape: &Scrape, name: &str) -> Ended {
    let sample = |family: &str, label: &str| {
        scrape.samples(&format!("driftrun_check_{family}"), name).get(label).copied().unwrap_or_default()
    };
    let class = scrape.samples("driftrun_check_failure_info", name).into_keys().next();
    Ended {
        verdict: scrape.verdict(name).unwrap(),
        class: class.map(|labels| labels.trim_start_matches("class=").trim_matches('"').to_owned()),
        code: scrape.value("driftrun_check_last_exit_code", name),
        reason: None,
        stdout: sample("output_bytes", "stream=\"stdout\""),
        stderr: sample("output_bytes", "stream=\"stderr\""),
        cut: scrape.value("driftrun_check_output_truncated", name) == Some(1.0),
        deadline: sample("killed_processes_total", "reason=\"deadline\""),
        leftover: sample("killed_processes_total", "reason=\"leftover\""),
        leaked: false,
    }
}

/// The value of a field of a log line.
pub fn field(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    let mut quoted = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    match quoted.next() {
        Some(Ok(text)) => Some(text),
        _ => rest.split(' ').next().map(str::to_owned),
    }
}

/// Sends a signal, by its name, to a process that this test started.
pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// What a process' descriptors are, and how many of each; not sockets, as a scrape's may not be closed yet.
pub fn descriptors(pid: u32) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let kind = target.split(":[").next().unwrap().to_owned();
        if kind != "socket" {
            *found.entry(kind).or_default() += 1;
        }
    }
    found
}

#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub state: String,
    pub parent: u32,
}

impl Process {
    fn carries(&self, mark: &str) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    }
}

/// Every process there is.
pub fn processes() -> Vec<Process> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let process = |pid: u32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let (begin, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        Some(Process {
            pid,
            name: begin.split_once('(')?.1.to_owned(),
            state: words.next()?.to_owned(),
            parent: words.next()?.parse().ok()?,
        })
    };
    pids.filter_map(process).collect()
}

/// Whether the process of that number is there and alive.
pub fn lives(pid: u32) -> bool {
    processes().iter().any(|process| process.pid == pid && process.state != "Z")
}

/// Rows that take a minute or a gigabyte run only when they are asked for.
pub fn slow() -> bool {
    let asked = std::env::var_os("DRIFTRUN_SLOW").is_some_and(|value| value == "1");
    if !asked {
        println!("skipped: takes long; DRIFTRUN_SLOW=1 runs it");
    }
    asked
}

/// Whether this test may act as other users. `false`: it is to be skipped, and a line says so.
pub fn is_root() -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        println!("skipped: only root can start driftrun as another user");
    }
    root
}

/// A copy of driftrun that any user can start.
pub fn copy_for_everybody(folder: &Folder) -> PathBuf {
    let path = folder.path().join("driftrun");
    fs::copy(Path::new(env!("CARGO_BIN_EXE_driftrun")), &path).unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}
