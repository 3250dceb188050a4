//! A reader's shell: one bash that runs the blocks of a page one after the other in a folder of the page's own.

use crate::docs::page::ROOT;
use crate::support::{Folder, HANG, exchange, words};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Ports that pages name. Each page has free ones in their place.
const PORTS: [&str; 2] = ["9152", "9091"];

/// What pages name and what stands for it here, below the page's folder where it begins with `/`.
const PLACES: [(&str, &str); 4] = [
    ("/usr/local/bin/driftrun", "driftrun"),
    ("/etc/driftrun", "/etc/driftrun"),
    ("/var/lib/", "/var/lib/"),
    ("/run/secrets", "/run/secrets"),
];

/// What a block printed, and its exit code.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    /// `None`: the shell has ended with it.
    pub code: Option<i32>,
}

/// bash with `-eu`.
pub struct Shell {
    folder: Folder,
    bash: Child,
    answers: Receiver<String>,
    /// What a page names, and what it is here, in the order in which it is replaced.
    here: Vec<(String, String)>,
    /// The page's ports, and those here.
    ports: Vec<(String, String)>,
    blocks: usize,
    /// Whether a block that serves is under way.
    serving: bool,
}

impl Shell {
    /// In a folder with these files (a name that ends in `/` is a folder) and these variables. Everything that a reader
    /// has installed is on the path, and driftrun is this build. `instead` is what stands here for texts of the page.
    pub fn start(
        name: &str,
        files: &[(&str, &str)],
        instead: &[(&str, &str)],
        environment: &[(&str, PathBuf)],
    ) -> Self {
        let folder = Folder::new(name);
        let ports: Vec<(String, String)> =
            PORTS.iter().map(|port| ((*port).to_owned(), free_port().to_string())).collect();
        let port = ports[0].1.clone();
        let places = PLACES.iter().map(|(theirs, ours)| {
            let ours = match ours.strip_prefix('/') {
                Some(below) => folder.path().join(below).display().to_string(),
                None => (*ours).to_owned(),
            };
            ((*theirs).to_owned(), ours)
        });
        // Places after ports: a folder's name could hold the digits of one.
        let here = instead
            .iter()
            .map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned()))
            .chain(ports.clone())
            .chain(places)
            .collect();
        for (name, text) in files {
            if let Some(ours) = text.strip_prefix("-> ") {
                std::os::unix::fs::symlink(Path::new(ROOT).join(ours), folder.path().join(name)).unwrap();
            } else if name.ends_with('/') {
                fs::create_dir_all(folder.path().join(name)).unwrap();
            } else {
                let path = folder.write(name, text);
                let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        // A server that isn't told where to listen takes port 9152 on every address: here the free one, on the loopback.
        let wrapper = format!(
            "#!/bin/bash\ncase \" $* \" in *' --web.listen-address'*|*' --web.systemd-socket'*) ;; ' serve '*|' watch '*)\n\
             set -- \"$1\" --web.listen-address=127.0.0.1:{port} \"${{@:2}}\" ;; esac\nexec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_driftrun")
        );
        let wrapper = folder.write(".reader/bin/driftrun", &wrapper);
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let home = folder.path().join(".reader/home");
        fs::create_dir_all(&home).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let tools = Path::new(ROOT).join("target/test-tools/bin");
        let path = format!("{}:{}:{path}", wrapper.parent().unwrap().display(), tools.display());
        let mut bash = Command::new("bash")
            .arg("-eu")
            .current_dir(folder.path())
            .env("PATH", path)
            .env("HOME", &home)
            .env("LC_ALL", "C.UTF-8")
            .env("CHECKPOINT_DISABLE", "1")
            .env("DISK_FOLDER", folder.path())
            .env_remove("TF_CLI_CONFIG_FILE")
            .env_remove("KUBECONFIG")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (send, answers) = channel();
        let stdout = BufReader::new(bash.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { folder, bash, answers, here, ports, blocks: 0, serving: false }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A page's text with what there is here.
    pub fn ours(&self, text: &str) -> String {
        self.here.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    /// What was printed here, as a page has it.
    pub fn theirs(&self, text: &str) -> String {
        let text = text.replace(self.path().to_str().unwrap(), "");
        self.ports.iter().fold(text, |text, (theirs, ours)| text.replace(ours, theirs))
    }

    /// Runs a block to its end.
    pub fn run(&mut self, block: &str) -> Ran {
        self.give(block, "")
    }

    /// Runs a block of one command to its end, which is no reason for the shell to end.
    pub fn run_to_code(&mut self, block: &str) -> Ran {
        self.give(block, " || code=$?")
    }

    /// Starts a block whose last line is a server, ends the one before, and waits until it listens.
    pub fn serve(&mut self, block: &str) -> Result<(), String> {
        if std::mem::replace(&mut self.serving, true) {
            self.run("kill \"$served\"; wait \"$served\" || true");
        }
        let ran = self.run(&format!("{} &\nserved=$!\n", block.trim_end()));
        let log = self.file("stderr");
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            // driftrun's line, and that of Prometheus' programs.
            if text.contains("msg=listening") || text.contains("msg=\"Listening on\"") {
                return Ok(());
            }
            let alive = self.run_to_code("kill -0 \"$served\"").code == Some(0);
            if ran.code != Some(0) || !alive || began.elapsed() > HANG {
                return Err(format!("it doesn't serve:\n{}{text}", ran.stdout));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until driftrun's page at `path` shows `text`.
    pub fn shows(&self, path: &str, text: &str) -> Result<(), String> {
        let address = format!("127.0.0.1:{}", self.ports[0].1);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let began = Instant::now();
        loop {
            let (_, body) = exchange(&address, &request);
            let seen = words(&body);
            if seen.contains(text) {
                return Ok(());
            }
            if began.elapsed() > HANG {
                return Err(format!("{path} doesn't show {text}:\n{seen}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn file(&self, stream: &str) -> PathBuf {
        self.path().join(format!(".reader/{}.{stream}", self.blocks))
    }

    fn give(&mut self, block: &str, then: &str) -> Ran {
        self.blocks += 1;
        let ours = self.ours(block);
        let script = self.folder.write(&format!(".reader/{}.sh", self.blocks), &ours);
        let (stdout, stderr) = (self.file("stdout"), self.file("stderr"));
        let line = format!(
            "code=0; . '{}' </dev/null >'{}' 2>'{}'{then}; echo \"$code\"\n",
            script.display(),
            stdout.display(),
            stderr.display()
        );
        // A shell that has ended answers nothing.
        let _ = self.bash.stdin.as_mut().unwrap().write_all(line.as_bytes());
        let code = match self.answers.recv_timeout(HANG) {
            Ok(code) => Some(code.parse().unwrap()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it never ends: {ours}"),
        };
        let text = |path: &Path| fs::read(path).unwrap_or_default();
        let text = |path: &Path| String::from_utf8_lossy(&text(path)).into_owned();
        Ran { stdout: text(&stdout), stderr: text(&stderr), code }
    }
}

/// A port that nobody listens on, and that the kernel gives nobody who asks for any (it gives those from 32768 on): it is still free when a
/// page's server wants it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 200).unwrap() * 100 + 10_000;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Drop for Shell {
    /// Ends the page's background processes, then the shell.
    fn drop(&mut self) {
        let _ = self.bash.stdin.as_mut().unwrap().write_all(b"kill $(jobs -p); wait; exit 0\n");
        drop(self.bash.stdin.take());
        let late = self.answers.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout);
        // Where a block has ended the shell, its background processes are still there. Nobody else has the group's number yet.
        let group = i32::try_from(self.bash.id()).ok().and_then(Pid::from_raw).unwrap();
        let _ = kill_process_group(group, if late { Signal::KILL } else { Signal::TERM });
        let _ = self.bash.wait();
    }
}
