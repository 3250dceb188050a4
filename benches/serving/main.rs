//! What a scrape costs: of 0 to 1,000,000 series, plain and gzip, beside nginx with the same bytes as a file (the limit) and `node_exporter`'s textfile
//! collector with the same lines (what people do today); and what a new report costs, and whether scrapes notice it.
//!
//! Also what pages and the API cost with 2,000 checks, a large report and a long output.
//!
//! `cargo bench --bench serving [-- apply | scrape | replace | memory | pages | SERIES...]`. The programs it compares with come from `benches/tools`.

mod beside;
mod pages;

use beside::{Asked, Ended, cpu, free_address, get, megabytes, memory, nginx, tools, wait};
use driftrun::board::Board;
use driftrun::check::{Check, Program, Reader, ReaderChoice};
use driftrun::outcome::{Captured, End, Finished, Outcome};
use driftrun::reader::judge;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    if wants("pages") {
        pages::pages();
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
    let nginx = nginx(&tools, &running.folder.0, "metrics", &text, &packed);
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
