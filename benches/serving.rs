//! What a scrape costs: of 0 to 1,000,000 series, plain and gzip, beside nginx with the same bytes as a file (the limit) and `node_exporter`'s textfile
//! collector with the same lines (what people do today); and what a new report costs, and whether scrapes notice it.
//!
//! `cargo bench --bench serving [-- apply | scrape | replace | memory | SERIES...]`. The programs it compares with come from `benches/tools`.

use driftrun::board::Board;
use driftrun::check::{Check, Program, Reader, ReaderChoice};
use driftrun::outcome::{Captured, End, Finished, Outcome};
use driftrun::reader::judge;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each server is asked.
const SECONDS: &str = "5s";
/// Over so many checks the resources are spread.
const CHECKS: usize = 10;
const ALL: [usize; 4] = [0, 1_000, 100_000, 1_000_000];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wants = |word: &str| words.is_empty() || words.iter().any(|wanted| wanted == word);
    if wants("apply") {
        apply();
    }
    let sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() && wants("scrape") { ALL.to_vec() } else { sizes };
    for series in sizes {
        scrape(series);
    }
    if wants("replace") {
        replace(100_000);
    }
    if wants("memory") {
        replaced_memory(1_000_000);
    }
}

/// A resource as the checks print it; its two sample lines have 130 and 160 bytes.
fn line(n: usize, action: &str) -> String {
    format!("module.network/aws_instance/module.network.aws_instance.web[\"item-00-{n:06}\"] {action}\n")
}

/// CPU of taking in a report: `Board::apply`, which merges it with what was known, renders its lines and shows them.
fn apply() {
    const RESOURCES: usize = 100_000;
    let program = Program {
        name: "mine".to_owned(),
        command: vec!["x".to_owned()],
        timeout: Duration::from_secs(1),
        exit_codes: None,
    };
    let check = Check {
        reader: ReaderChoice::Known(Reader::Program(Arc::new(program))),
        max_resources: RESOURCES,
        ..Check::recorded("c")
    };
    let report = |action: &str| {
        let mut text = "{\"verdict\":\"drifted\",\"resources\":[".to_owned();
        for n in 0..RESOURCES {
            let comma = if n == 0 { "" } else { "," };
            let name = format!("module.network.aws_instance.web[\\\"item-{n:06}\\\"]");
            let _ = write!(
                text,
                "{comma}{{\"scope\":\"module.network\",\"kind\":\"aws_instance\",\"name\":\"{name}\",\"action\":\"{action}\"}}"
            );
        }
        text + "]}"
    };
    println!("apply: a report of {RESOURCES} drifting resources, {} series", 2 * RESOURCES);
    for packed in [false, true] {
        let board = Board::new(vec![check.clone()], Timestamp::now());
        if packed {
            board.pack_from_now_on();
        }
        let mut times = Vec::new();
        for round in 0..6 {
            let text = report(["update", "delete"][round % 2]);
            let bytes = text.into_bytes();
            let stdout = Captured { total: bytes.len() as u64, bytes, tail: Vec::new() };
            let finished = Finished { end: End::Exited(0), stdout, ..Finished::not_started(String::new()) };
            let now = Timestamp::now();
            let outcome = Outcome { end: End::Exited(0), parsed: Some(finished), ..Outcome::recorded(now) };
            let judgement = judge(&check, None, &outcome, now);
            let cpu = || {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
            };
            let began = cpu();
            assert!(board.apply(&check, outcome, judgement, now));
            times.push(cpu().saturating_sub(began));
        }
        times.sort_unstable();
        let what =
            if packed { "and compressing them, as a scraper wants gzip" } else { "rendering its lines" };
        println!(
            "  {what}: best {:.0} ms, worst {:.0} ms of CPU   (target: at most 150 ms)",
            times[0].as_secs_f64() * 1e3,
            times[5].as_secs_f64() * 1e3
        );
    }
}

/// A driftrun whose checks have found so many resources.
struct Driftrun {
    server: Ended,
    address: String,
    folder: Folder,
    checks: usize,
}

/// Removed with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Driftrun {
    fn start(series: usize, interval: &str) -> Self {
        Self::with(series, CHECKS, interval, "cat 0.txt")
    }

    /// So many checks with so many series together. Each runs `shell` in a folder with files `0.txt` and `1.txt`, which name the same resources
    /// with another action.
    fn with(series: usize, checks: usize, interval: &str, shell: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("driftrun-serving-{}-{series}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let folder = Folder(folder);
        for check in 0..checks {
            let below = folder.0.join(format!("c{check}"));
            std::fs::create_dir_all(&below).unwrap();
            print(&below, series / 2 / checks, "update", 0);
            print(&below, series / 2 / checks, "delete", 1);
        }
        let all: String = (0..checks)
            .map(|check| format!("- {{ name: c{check}, shell: '{shell}', workdir: c{check}, parser: lines, max_resources: 1000000, interval: {interval}, splay: 0s }}\n"))
            .collect::<Vec<_>>()
            .concat();
        let regex = r"^(?P<scope>[^/]+)/(?P<kind>[^/]+)/(?P<name>\S+) (?P<action>\w+)$";
        let text = format!(
            "max_total_resources: 1000000\nchecks:\n{all}parsers: {{ lines: {{ regex: '{regex}', clean: '^none$' }} }}\n"
        );
        let (config, address) = (folder.0.join("driftrun.yaml"), free_address());
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftrun"));
        command.args(["serve", "--log.level=error", "--web.listen-address", &address, "--config.file"]);
        let running = Self { server: Ended::start(command.arg(config)), address, folder, checks };
        running.wait_for_runs(1);
        running
    }

    /// How many runs the check with the fewest has made.
    fn runs(&self) -> u32 {
        let text = get(&self.address, "/metrics", "").map(|body| String::from_utf8(body).unwrap());
        let each = (0..self.checks).map(|check| {
            let series = format!("driftrun_check_run_duration_seconds_count{{check=\"c{check}\"}} ");
            let found = text.as_ref()?.lines().find_map(|line| line.strip_prefix(&series));
            found?.parse().ok()
        });
        each.map(Option::unwrap_or_default).min().unwrap_or_default()
    }

    /// Waits until each check has made so many runs.
    fn wait_for_runs(&self, runs: u32) {
        let began = Instant::now();
        while self.runs() < runs {
            assert!(began.elapsed() < Duration::from_mins(5), "the checks don't run");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Writes what a check will print.
fn print(folder: &Path, resources: usize, action: &str, file: u8) {
    let text = (0..resources).map(|n| line(n, action)).collect::<Vec<_>>().concat();
    let text = if resources == 0 { "none\n".to_owned() } else { text };
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(format!("{file}.txt"))).unwrap();
}

fn scrape(series: usize) {
    let running = Driftrun::start(series, "10h");
    let text = get(&running.address, "/metrics", "").unwrap();
    let packed = get(&running.address, "/metrics", "Accept-Encoding: gzip\r\n").unwrap();
    let own = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).count() - 1;
    println!(
        "scrape: {series} series of resources, {own} in all; {:.1} MB, {:.2} MB as gzip",
        megabytes(text.len()),
        megabytes(packed.len())
    );
    let Some(tools) = tools() else { return };
    let plain = Asked::of(&tools, &running.address, &running.server, "/metrics", false);
    let gzip = Asked::of(&tools, &running.address, &running.server, "/metrics", true);
    let resident = memory(&running.server, "VmRSS:");
    let nginx = nginx(&tools, &running.folder.0, &text, &packed);
    let file = Asked::of(&tools, &nginx.1, &nginx.0, "/metrics", false);
    let packed_file = Asked::of(&tools, &nginx.1, &nginx.0, "/metrics", true);
    plain.print("driftrun", None);
    file.print("the same as a file of nginx", Some(plain.ratio(&file)));
    gzip.print("driftrun, gzip", None);
    packed_file.print("the same as a compressed file of nginx", Some(gzip.ratio(&packed_file)));
    println!("  resident: driftrun {resident:.1} MiB");
    textfile(&tools, &running.folder.0, &text, &plain);
}

/// Scrapes, one every 50 ms, while a check's report of so many resources is replaced by another one, again and again, and while nothing is.
fn replace(resources: usize) {
    println!("replace: one check with {resources} resources, all replaced every 2 s, a scrape every 50 ms");
    for (what, interval) in [("while nothing changes", "10h"), ("while they are replaced", "2s")] {
        let running = Driftrun::with(2 * resources, 1, interval, "cat $(($(date +%s) / 2 % 2)).txt");
        let mut times = Vec::new();
        while times.len() < 300 {
            let began = Instant::now();
            get(&running.address, "/metrics", "").unwrap();
            times.push(began.elapsed());
            std::thread::sleep(Duration::from_millis(50).saturating_sub(began.elapsed()));
        }
        let runs = running.runs();
        let times = sorted(times);
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!(
            "  {what}: median {:.1} ms, 95 % {:.1} ms, 99 % {:.1} ms, longest {:.1} ms of {} scrapes; {runs} runs; resident at most {:.1} MiB",
            at(50),
            at(95),
            at(99),
            at(100),
            times.len(),
            memory(&running.server, "VmHWM:")
        );
    }
}

/// Memory while every report is replaced, and after it.
fn replaced_memory(series: usize) {
    let running = Driftrun::start(series, "30s");
    let before = memory(&running.server, "VmRSS:");
    for check in 0..CHECKS {
        print(&running.folder.0.join(format!("c{check}")), series / 2 / CHECKS, "delete", 0);
    }
    running.wait_for_runs(running.runs() + 2);
    let peak = memory(&running.server, "VmHWM:");
    std::thread::sleep(Duration::from_secs(10));
    let after = memory(&running.server, "VmRSS:");
    println!(
        "memory: {series} series: resident {before:.0} MiB, at most {peak:.0} MiB while all are replaced, {after:.0} MiB ten seconds later"
    );
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// What wrk says of a server, and what it cost.
struct Asked {
    median: f64,
    ninety_ninth: f64,
    per_second: f64,
    cpu: f64,
}

impl Asked {
    fn of(tools: &Path, address: &str, server: &Ended, path: &str, gzip: bool) -> Self {
        let mut command = Command::new(tools.join("usr/bin/wrk"));
        command.env("LD_LIBRARY_PATH", tools.join("usr/lib/x86_64-linux-gnu"));
        command.args(["-t1", "-c1", "-d", SECONDS, "--latency", "--timeout", "60s"]);
        if gzip {
            command.args(["-H", "Accept-Encoding: gzip"]);
        }
        let before = cpu(server);
        let output = command.arg(format!("http://{address}{path}")).output().unwrap();
        let spent = cpu(server) - before;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
        let word = |label: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
            line.unwrap_or_else(|| panic!("no {label:?} in {text}")).split_whitespace().next().unwrap()
        };
        let millis = |word: &str| {
            let (number, factor) = if let Some(number) = word.strip_suffix("us") {
                (number, 1e-3)
            } else if let Some(number) = word.strip_suffix("ms") {
                (number, 1.0)
            } else {
                (word.strip_suffix('s').unwrap(), 1e3)
            };
            number.parse::<f64>().unwrap() * factor
        };
        let requests: f64 = text
            .lines()
            .find_map(|line| line.split_once(" requests in "))
            .map(|(number, _)| number.trim().parse().unwrap())
            .unwrap();
        Self {
            median: millis(word("50%")),
            ninety_ninth: millis(word("99%")),
            per_second: word("Requests/sec:").parse().unwrap(),
            cpu: spent * 1e3 / requests,
        }
    }

    /// How many times as long a scrape of this takes.
    fn ratio(&self, other: &Self) -> f64 {
        self.median / other.median
    }

    fn print(&self, what: &str, ratio: Option<f64>) {
        let ratio =
            ratio.map(|ratio| format!("   driftrun takes {ratio:.2} times as long")).unwrap_or_default();
        println!(
            "  {what}: median {:.3} ms, 99 % {:.3} ms, {:.0} a second, {:.3} ms of CPU each{ratio}",
            self.median, self.ninety_ninth, self.per_second, self.cpu
        );
    }
}

/// nginx with both files.
fn nginx(tools: &Path, folder: &Path, text: &[u8], packed: &[u8]) -> (Ended, String) {
    let root = folder.join("www");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("metrics"), text).unwrap();
    std::fs::write(root.join("metrics.gz"), packed).unwrap();
    let address = free_address();
    let config = folder.join("nginx.conf");
    let here = folder.display();
    std::fs::write(
        &config,
        format!(
            "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/nginx.log;\nevents {{ }}\nhttp {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 100000000;\n  gzip_static on;\n  default_type text/plain;\n  client_body_temp_path {here};\n  proxy_temp_path {here};\n  fastcgi_temp_path {here};\n  uwsgi_temp_path {here};\n  scgi_temp_path {here};\n  server {{ listen {address}; root {}; }}\n}}\n",
            root.display()
        ),
    )
    .unwrap();
    let mut command = Command::new(tools.join("usr/sbin/nginx"));
    let server = Ended::start(command.arg("-c").arg(config).arg("-e").arg(folder.join("nginx.log")));
    wait(&address);
    (server, address)
}

/// `node_exporter` with the same lines in a file: a few scrapes, as it takes seconds for each.
fn textfile(tools: &Path, folder: &Path, text: &[u8], driftrun: &Asked) {
    let files = folder.join("textfile");
    std::fs::create_dir_all(&files).unwrap();
    let text = String::from_utf8_lossy(text);
    let own: String =
        text.lines().filter(|line| !line.contains("process_")).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(files.join("driftrun.prom"), own).unwrap();
    let address = free_address();
    let mut command = Command::new(tools.join("usr/bin/prometheus-node-exporter"));
    command.args(["--collector.disable-defaults", "--collector.textfile", "--log.level=error"]);
    command.arg(format!("--collector.textfile.directory={}", files.display()));
    let server = Ended::start(command.arg(format!("--web.listen-address={address}")));
    wait(&address);
    for (what, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
        let before = cpu(&server);
        let times = sorted(
            (0..5)
                .map(|_| {
                    let began = Instant::now();
                    get(&address, "/metrics", headers).unwrap();
                    began.elapsed()
                })
                .collect(),
        );
        let median = times[2].as_secs_f64() * 1e3;
        println!(
            "  node_exporter's textfile collector, {what}: median {median:.1} ms, {:.1} ms of CPU each, {:.0} times as long as driftrun; resident {:.1} MiB",
            (cpu(&server) - before) * 1e3 / 5.0,
            median / driftrun.median,
            memory(&server, "VmRSS:")
        );
    }
}

fn tools() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tools");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        println!("  skipped: what to compare with could not be fetched");
        return None;
    }
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

/// A process that is ended with the value.
struct Ended(Child);

impl Ended {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of CPU that a process has used.
fn cpu(server: &Ended) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.0.id())).unwrap();
    let ticks: u32 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split(' ')
        .skip(12)
        .take(2)
        .map(|ticks| ticks.parse::<u32>().unwrap())
        .sum();
    f64::from(ticks) / 100.0
}

/// A field of `/proc/PID/status`, in MiB.
fn memory(server: &Ended, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "to be printed")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait(address: &str) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_mins(1), "it doesn't listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The body of an answer.
fn get(address: &str, path: &str, headers: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    bytes.starts_with(b"HTTP/1.1 200").then(|| bytes.split_off(end + 4))
}
