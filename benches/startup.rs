//! How soon after its start the release binary answers a scrape, and how much memory it holds while it waits.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 50;

/// Runs of a check that are waited for before memory is looked at, and the quiet time after them.
const QUIET: Duration = Duration::from_secs(5);

fn main() {
    startup();
    memory();
}

fn startup() {
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let address = free_address();
            let mut command = driftrun();
            command.args(["watch", "--log.level=error", "--web.listen-address", &address, "--", "true"]);
            let began = Instant::now();
            let child = Ended(command.spawn().unwrap());
            let scrape = loop {
                match scrape(&address) {
                    Some(scrape) => break scrape,
                    None => assert!(began.elapsed() < Duration::from_mins(1), "it doesn't answer"),
                }
            };
            let took = began.elapsed();
            assert!(scrape.starts_with("HTTP/1.1 200") && scrape.contains("\ndriftrun_build_info{"));
            drop(child);
            took
        })
        .collect();
    times.sort_unstable();
    let millis = |at: usize| times[at].as_secs_f64() * 1e3;
    println!("startup: from exec of `driftrun watch -- true` to its first scrape, {STARTS} starts");
    println!(
        "  fastest {:.1} ms, median {:.1} ms, slowest {:.1} ms",
        millis(0),
        millis(STARTS / 2),
        millis(STARTS - 1)
    );
}

fn memory() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let folder = std::env::temp_dir().join(format!("driftrun-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let checks: String = ["terraform/everything", "ansible/drifted", "kubectl/changed"]
        .map(|case| {
            let parser = case.split('/').next().unwrap();
            let output = fixtures.join(case).join("stdout");
            let codes = if parser == "ansible" { "" } else { ", exit_codes: { drifted: [0] }" };
            format!(
                "  - {{ name: {parser}, command: [cat, '{}'], parser: {parser}{codes} }}\n",
                output.display()
            )
        })
        .concat();
    let config = folder.join("driftrun.yaml");
    std::fs::write(&config, format!("defaults: {{ interval: 20s }}\nchecks:\n{checks}")).unwrap();

    let address = free_address();
    let mut command = driftrun();
    command.arg("serve").arg("--config.file").arg(&config).args(["--web.listen-address", &address]);
    let mut child = Ended(command.stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let runs: Vec<String> = lines.filter(|line| line.contains("msg=run ")).take(3).collect();
    assert!(runs.len() == 3 && runs.iter().all(|line| line.contains("verdict=drifted")), "{runs:#?}");
    std::thread::sleep(QUIET);
    assert!(scrape(&address).is_some_and(|scrape| scrape.contains("\ndriftrun_resource_drift{")));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
    let value = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
    };
    println!(
        "memory: `driftrun serve` with 3 checks, {} s after their first runs and after a scrape",
        QUIET.as_secs()
    );
    println!(
        "  resident {:.1} MiB (target: at most 8), of which its own {:.1} MiB",
        value("VmRSS:"),
        value("RssAnon:")
    );
    drop(child);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn driftrun() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftrun"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The whole answer, if somebody gives one.
fn scrape(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A process that doesn't outlive this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
