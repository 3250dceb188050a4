//! 2,000 checks in one `driftrun serve`: how late runs start, and how much memory it holds.
//!
//! Each check runs `true` once in [`INTERVAL`], six times as often as a minute would have it. A run's lateness is the time between its slot and its start, as the
//! metrics tell both; the queue for `max_concurrent` is kept out of it by allowing as many runs at once as there are checks.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CHECKS: usize = 2_000;
const INTERVAL: u32 = 10;

/// How long it runs before it is looked at: every check has run several times.
const TIME: Duration = Duration::from_secs(45);

fn main() {
    let folder = std::env::temp_dir().join(format!("driftrun-fleet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let items: Vec<String> = (0..CHECKS).map(|n| format!("    - {{ n: \"{n:04}\" }}")).collect();
    let items = items.join("\n");
    let config = folder.join("driftrun.yaml");
    let text = format!(
        "max_concurrent: {CHECKS}\nlists:\n  all:\n{items}\nchecks:\n- name: \"c-{{n}}\"\n  for_each: {{ list: all }}\n  interval: {INTERVAL}s\n  parser: none\n  command: [\"true\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let began = Instant::now();
    let mut server = Ended(
        Command::new(env!("CARGO_BIN_EXE_driftrun"))
            .args(["serve", "--log.level=error", "--web.listen-address", &address, "--config.file"])
            .arg(&config)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let first = loop {
        match scrape(&address) {
            Some(_) => break began.elapsed(),
            None => assert!(began.elapsed() < Duration::from_mins(1), "it doesn't answer"),
        }
    };
    std::thread::sleep(TIME);
    let text = scrape(&address).unwrap();
    let pid = server.0.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u32 =
        stat.rsplit(')').next().unwrap().split(' ').skip(12).take(2).map(|t| t.parse::<u32>().unwrap()).sum();
    let mut late = Vec::new();
    let mut runs = 0.0;
    for n in 0..CHECKS {
        let value = |name: &str| {
            let series = format!("{name}{{check=\"c-{n:04}\"}} ");
            text.lines()
                .find_map(|line| line.strip_prefix(&series))
                .map(|value| value.parse::<f64>().unwrap())
        };
        runs += value("driftrun_check_run_duration_seconds_count").unwrap();
        let (Some(end), Some(took), Some(next)) = (
            value("driftrun_check_last_run_timestamp_seconds"),
            value("driftrun_check_last_run_duration_seconds"),
            value("driftrun_check_next_run_timestamp_seconds"),
        ) else {
            continue;
        };
        // One that is under way just now has another slot as its next.
        let began = end - took;
        let slot = next - f64::from(INTERVAL);
        if began > slot - 1.0 && began < slot + f64::from(INTERVAL) {
            late.push(began - slot);
        }
    }
    late.sort_by(f64::total_cmp);
    let at = |percent: usize| late[(late.len() - 1) * percent / 100] * 1e3;
    println!("fleet: {CHECKS} checks of `true`, each every {INTERVAL} s, in one process");
    println!(
        "  first scrape after {:.0} ms; {runs:.0} runs in {:.0} s, {} looked at",
        first.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64(),
        late.len()
    );
    println!(
        "  late: median {:.1} ms, 99 % {:.1} ms, most {:.1} ms   (target: 99 % at most 100 ms)",
        at(50),
        at(99),
        at(100)
    );
    println!(
        "  resident {resident}, {descriptors} descriptors, {:.1} s of CPU   (target: at most 65536 kB)",
        f64::from(ticks) / 100.0
    );
    let _ = server.0.kill();
    let _ = server.0.wait();
    std::fs::remove_dir_all(&folder).unwrap();
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scrape(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.starts_with("HTTP/1.1 200"))
}
