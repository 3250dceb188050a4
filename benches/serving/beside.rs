//! Servers that are measured, driftrun's and others, and how.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long each server is asked.
const SECONDS: &str = "5s";

/// What wrk says of a server, and what it cost.
pub struct Asked {
    pub median: f64,
    ninety_ninth: f64,
    per_second: f64,
    cpu: f64,
}

impl Asked {
    pub fn of(tools: &Path, address: &str, server: &Ended, path: &str, gzip: bool) -> Self {
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
    pub fn ratio(&self, other: &Self) -> f64 {
        self.median / other.median
    }

    pub fn print(&self, what: &str, ratio: Option<f64>) {
        let ratio =
            ratio.map(|ratio| format!("   driftrun takes {ratio:.2} times as long")).unwrap_or_default();
        println!(
            "  {what}: median {:.3} ms, 99 % {:.3} ms, {:.0} a second, {:.3} ms of CPU each{ratio}",
            self.median, self.ninety_ninth, self.per_second, self.cpu
        );
    }
}

/// nginx with both files.
pub fn nginx(tools: &Path, folder: &Path, name: &str, text: &[u8], packed: &[u8]) -> (Ended, String) {
    let root = folder.join("www");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join(name), text).unwrap();
    std::fs::write(root.join(format!("{name}.gz")), packed).unwrap();
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

pub fn tools() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tools");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    if !output.status.success() {
        println!("  skipped: what to compare with could not be fetched");
        return None;
    }
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

/// A process that is ended with the value.
pub struct Ended(Child);

impl Ended {
    pub fn start(command: &mut Command) -> Self {
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
pub fn cpu(server: &Ended) -> f64 {
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
pub fn memory(server: &Ended, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "to be printed")]
pub fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub fn wait(address: &str) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_mins(1), "it doesn't listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The body of an answer.
pub fn get(address: &str, path: &str, headers: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    bytes.starts_with(b"HTTP/1.1 200").then(|| bytes.split_off(end + 4))
}
