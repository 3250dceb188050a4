//! driftrun from outside: the real binary, its log lines, its scrapes.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes that long: whoever waits longer hangs.
pub const HANG: Duration = Duration::from_mins(2);

/// The binary under test.
pub fn driftrun() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftrun"));
    command.stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn output(arguments: &[&str]) -> Output {
    driftrun().args(arguments).output().unwrap()
}

/// stdout and stderr as text, and the exit code.
pub fn ended(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = output(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// A table of `once` without what only clocks know: how long runs took, and since when something drifts.
pub fn timeless(table: &str) -> String {
    let took = r"(\d+ ms|\d+\.\d s|\d+ min \d+ s)";
    [
        (format!("(?m)^([✓≠◐✕◷?] [a-z]+ +[^ \n]+) +{took}"), "$1"),
        (format!("(?m), {took}$"), ""),
        ("(?m) +since [-0-9]+ [:0-9]+ UTC$".to_owned(), ""),
    ]
    .into_iter()
    .fold(table.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(&pattern).unwrap().replace_all(&text, with).into_owned()
    })
}

/// A folder of this test alone, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("drt-{}-{number}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with its folders.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where Terraform finds the provider of `disk_file`s.
pub const REQUIRED: &str =
    "terraform {\n  required_providers {\n    disk = { source = \"example.com/test/disk\" }\n  }\n}\n";

/// A configuration of `disk_file`s, of which `motd` has that line; `required` stands before each module.
pub fn disk_files(folder: &Folder, required: &str, motd: &str) {
    let main = r#"
resource "disk_file" "motd" {
  path    = "motd"
  content = "MOTD\n"
  tags    = { env = "dev", team = "core" }
}

resource "disk_file" "each" {
  for_each = { plain = "plain", "a \"b\"" = "odd" }
  path     = each.value
  content  = "this is ${each.key}\n"
}

module "inner" {
  source = "./inner"
}
"#;
    let inner = "resource \"disk_file\" \"conf\" {\n  path    = \"conf\"\n  content = \"x = 1\\n\"\n}\n";
    folder.write("main.tf", &format!("{required}{}", main.replace("MOTD", motd)));
    folder.write("inner/main.tf", &format!("{required}{inner}"));
}

/// A driftrun that serves on a port of its own.
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Everything logged so far that a wait has seen.
    pub seen: Vec<String>,
    pub address: String,
}

impl Server {
    /// Starts `driftrun ARGUMENTS --web.listen-address=127.0.0.1:0 REST` and waits until it listens.
    pub fn start(mut command: Command, arguments: &[&str], rest: &[&str]) -> Self {
        command.args(arguments).arg("--web.listen-address=127.0.0.1:0").args(rest);
        Self::of(command)
    }

    /// Starts `command`, which serves, and waits until it listens.
    pub fn of(mut command: Command) -> Self {
        command.stdout(Stdio::null());
        Self::as_it_is(command)
    }

    /// As `of`, and stdout stays what it was set to.
    pub fn as_it_is(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut server = Self { child, lines, seen: Vec::new(), address: String::new() };
        let line = server.wait_for("msg=listening");
        let address = line.split("address=").nth(1).unwrap();
        address.split(' ').next().unwrap().clone_into(&mut server.address);
        server
    }

    /// `driftrun serve` with the file at `config`.
    pub fn serve(config: &Path) -> Self {
        Self::start(driftrun(), &["serve", "--config.file", config.to_str().unwrap()], &[])
    }

    /// `driftrun watch FLAGS -- COMMAND`.
    pub fn watch(flags: &[&str], command: &[&str]) -> Self {
        let mut arguments = vec!["watch"];
        arguments.extend(flags);
        let mut rest = vec!["--"];
        rest.extend(command);
        Self::start(driftrun(), &arguments, &rest)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next log line that holds `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(HANG);
            let line = line.unwrap_or_else(|error| {
                panic!("no line with {text:?} ({error}); log:\n{}", self.seen.join("\n"))
            });
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the end of the next run of `check`; its log line. The run is in every later scrape.
    pub fn wait_for_run(&mut self, check: &str) -> String {
        self.wait_for(&format!("msg=run check={check} "))
    }

    /// Waits for a run of `check` that began after now: the end of the next but one.
    pub fn wait_for_fresh_run(&mut self, check: &str) -> String {
        while self.lines.try_recv().is_ok() {}
        self.wait_for_run(check);
        self.wait_for_run(check)
    }

    /// Waits until each of `checks` has ended a run that began after now.
    pub fn wait_for_fresh_runs(&mut self, checks: &[&str]) {
        while self.lines.try_recv().is_ok() {}
        let mut missing: BTreeMap<&str, u32> = checks.iter().map(|check| (*check, 2)).collect();
        while !missing.is_empty() {
            let line = self.wait_for("msg=run check=");
            missing.retain(|check, runs| {
                *runs -= u32::from(line.contains(&format!("msg=run check={check} ")));
                *runs > 0
            });
        }
    }

    /// Status line, headers and body of a request.
    pub fn request(&self, request: &str) -> (String, String) {
        exchange(&self.address, request)
    }

    pub fn get(&self, path: &str) -> (String, String) {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    pub fn scrape(&self) -> Scrape {
        let (head, body) = self.get("/metrics");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Scrape(body)
    }

    /// Sends TERM, waits for the end; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").args([format!("-{signal}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a request and reads to the end of the connection: status line with headers, and body.
pub fn exchange(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

/// One answer of a known length from a connection that stays open: its head and body.
pub fn answer(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// What `promtool check metrics` has to say of an exposition, and its exit code.
pub fn promtool(program: &Path, text: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (said(&output.stdout), said(&output.stderr), output.status.code())
}

/// A program that logs where it listens, as Prometheus' own do.
pub struct Listening {
    child: Child,
    pub address: String,
}

impl Listening {
    /// Starts it, and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.arg("--web.listen-address=127.0.0.1:0").spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            Some(address.to_owned())
        });
        // Nobody reads the rest, but the pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it listens") }
    }

    /// The body of what `path` gives.
    pub fn get(&self, path: &str) -> String {
        let (head, body) = exchange(&self.address, &format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"));
        assert!(head.contains(" 200 "), "{head}\n{body}");
        body
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Series by name and labels, with their values.
pub type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// All series of a text exposition whose names begin with `prefix`; none stands twice.
pub fn series(text: &str, prefix: &str) -> Series {
    let mut all = Series::new();
    for line in text.lines().filter(|line| line.starts_with(prefix)) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, mut rest) = series.split_once('{').unwrap_or((series, ""));
        let mut labels = BTreeMap::new();
        while let Some((label, quoted)) = rest.split_once("=\"") {
            let (mut text, mut chars) = (String::new(), quoted.char_indices());
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().unwrap().1 {
                        'n' => text.push('\n'),
                        c => text.push(c),
                    },
                    (_, c) => text.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), text).is_none(), "{line}");
            rest = quoted[end + 1..].trim_start_matches(',');
        }
        let twice = all.insert((name.to_owned(), labels), value.parse().unwrap());
        assert!(twice.is_none(), "twice: {line}");
    }
    all
}

/// A text exposition.
pub struct Scrape(pub String);

impl Scrape {
    /// The samples of one name: labels (as written, without the check's) and value.
    pub fn samples(&self, name: &str, check: &str) -> BTreeMap<String, f64> {
        let prefix = format!("{name}{{check=\"{check}\"");
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(&prefix));
        lines
            .map(|rest| {
                let (labels, value) = rest.rsplit_once("} ").unwrap();
                (labels.trim_start_matches(',').to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// The one sample of that name, if there is any.
    pub fn value(&self, name: &str, check: &str) -> Option<f64> {
        let samples = self.samples(name, check);
        assert!(samples.len() <= 1, "{name}: {samples:?}");
        samples.into_values().next()
    }

    /// The verdict of the last run.
    pub fn verdict(&self, check: &str) -> Option<String> {
        let samples = self.samples("driftrun_check_verdict", check);
        let (labels, _) = samples.into_iter().find(|(_, value)| (*value - 1.0).abs() < f64::EPSILON)?;
        Some(labels.split("verdict=\"").nth(1)?.trim_end_matches('"').to_owned())
    }

    /// The verdict after a run that read everything, and the drifting resources. Holds the verdict against the counts of resources: both
    /// say drift, or neither does.
    pub fn good(&self, check: &str) -> (String, Vec<String>) {
        let verdict = self.verdict(check).unwrap_or_default();
        let counted: f64 = self.samples("driftrun_drift_resources", check).values().sum();
        assert!(matches!(verdict.as_str(), "clean" | "drifted"), "{verdict}:\n{}", self.0);
        assert_eq!(verdict == "drifted", counted > 0.0, "{verdict} with {counted} resources:\n{}", self.0);
        (verdict, self.drift(check))
    }

    /// The drifting resources: labels as written after the check's own.
    pub fn drift(&self, check: &str) -> Vec<String> {
        self.samples("driftrun_resource_drift", check).into_keys().collect()
    }
}

/// What of a page people see, without the numbers of lines.
pub fn words(page: &str) -> String {
    let main =
        page.split_once("<main").map_or(page, |(_, rest)| rest).split("</main>").next().unwrap_or_default();
    let mut text = String::new();
    let mut numbers = false;
    for part in main.split('<').skip(1) {
        let (tag, words) = part.split_once('>').unwrap_or((part, ""));
        numbers = tag.starts_with("a class=\"n\"") || tag == "span class=\"n\"";
        if !numbers {
            text.push_str(words);
        }
    }
    assert!(!numbers, "a page ends in the number of a line");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Asks again until it is so.
pub fn poll(so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < HANG, "it never is");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a missing tool fails the test instead of skipping it.
pub fn tools_required() -> bool {
    std::env::var("DRIFTRUN_TOOLS").is_ok_and(|value| value == "required")
}

/// The path of a tool, from the test tools' own environment or the search path. `None`: the test is to be skipped, and a line says so.
pub fn tool(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(own)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(!tools_required(), "{name} is not installed, and DRIFTRUN_TOOLS=required");
        println!("skipped: {name} is not installed");
    }
    found
}
