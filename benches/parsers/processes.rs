//! What is measured from outside: `driftrun parse` beside `jq` on the same file, time and memory, and instructions under callgrind.

use crate::inputs::{FORMATS, Format};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4 as _;

/// Resources in the plans that both read.
const RESOURCES: usize = 100_000;

/// What people ask `jq` for: the address of all that changes.
const QUESTION: &str = r#".resource_changes[]|select(.change.actions!=["no-op"])|.address"#;

/// `jq` must take so many times as long.
const FASTER: f64 = 12.0;

/// Bytes that a drifted resource may take beside the input and the process itself.
const EACH: u64 = 512;

/// How often each is started; the best time and the least memory are printed.
const STARTS: usize = 3;

/// A process that ended well.
struct Used {
    wall: Duration,
    /// User and system time: neither program has a second thread at work.
    cpu: Duration,
    memory: u64,
}

/// Compares `driftrun parse` with `jq`. Must come before this process has become large: Linux counts the memory of whoever starts a
/// program as the program's.
pub fn beside_jq() {
    println!(
        "\nbeside jq: {RESOURCES} resources in one plan; at least {FASTER} times the CPU time; memory at most plan, process and {EACH} bytes a drifted resource"
    );
    let folder = std::env::temp_dir().join(format!("driftrun-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let empty = folder.join("empty.json");
    std::fs::write(&empty, r#"{"format_version":"1.2","resource_changes":[]}"#).unwrap();
    let base = driftrun(&empty, 0).memory;
    println!("  {:<20}{:>11}{:>11}{:>13}", "", "wall", "CPU", "memory");
    for (title, drifted) in [("terraform-show-1%", RESOURCES / 100), ("terraform-show-all", RESOURCES)] {
        let file = folder.join("plan.json");
        let own = std::env::current_exe().unwrap();
        let made = Command::new(own).args(["--write", title, &RESOURCES.to_string()]).arg(&file).status();
        assert!(made.unwrap().success());
        let bytes = file.metadata().unwrap().len();
        let ours = driftrun(&file, 2);
        let allowed = base + bytes + EACH * drifted as u64;
        let over = ours.memory.saturating_sub(allowed);
        let fits = if over > 0 { vec![format!("by {:.1} MB", megabytes(over))] } else { Vec::new() };
        println!("  {title}: {:.1} MB; {:.1} MB for the process alone", megabytes(bytes), megabytes(base));
        print("  driftrun", &ours, &format!("of {:.1} MB: {}", megabytes(allowed), verdict(&fits)));
        match jq(&file) {
            None => println!("    jq: not found"),
            Some(jq) => {
                let times = jq.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
                let missed = if times < FASTER { vec![String::new()] } else { Vec::new() };
                print("  jq", &jq, &format!("{times:.1} times: {}", verdict(&missed).trim_end()));
            }
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn print(program: &str, used: &Used, words: &str) {
    let [wall, cpu] = [used.wall, used.cpu].map(|time| time.as_secs_f64() * 1e3);
    println!("  {program:<20}{wall:>8.0} ms{cpu:>8.0} ms{:>10.1} MB   {words}", megabytes(used.memory));
}

fn driftrun(file: &Path, code: i32) -> Used {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftrun"));
    command.args(["parse", "--parser", "terraform-show", "--format", "json"]).arg(file);
    run(&mut command, code).unwrap()
}

/// `None` where there is none.
fn jq(file: &Path) -> Option<Used> {
    run(Command::new("jq").args(["-r", QUESTION]).arg(file), 0)
}

fn run(command: &mut Command, code: i32) -> Option<Used> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut best = Used { wall: Duration::MAX, cpu: Duration::MAX, memory: u64::MAX };
    for _ in 0..STARTS {
        let began = Instant::now();
        let ended = command.spawn().ok()?.wait4().unwrap();
        let wall = began.elapsed();
        assert_eq!(ended.status.code(), Some(code), "{command:?}");
        let used = ended.rusage;
        best = Used {
            wall: best.wall.min(wall),
            cpu: best.cpu.min(used.utime + used.stime),
            memory: best.memory.min(used.maxrss),
        };
    }
    Some(best)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand million at most")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// `ok`, or what is missed.
pub fn verdict(missed: &[String]) -> String {
    if missed.is_empty() { "ok".to_owned() } else { format!("MISSED {}", missed.join(", ")) }
}

/// Ten times the input may take so many times the instructions: times have the caches' growth in them, too.
const LINEAR: f64 = 11.0;

/// Instructions a byte of every chosen format, counted by callgrind, and how they grow: the same on a busy machine.
pub fn instructions(chosen: impl Fn(&Format) -> bool) {
    println!("instructions of one parse, by callgrind; ten times the input at most {LINEAR} times as many");
    println!("  {:<22}{:>12}{:>16}{:>10}{:>9}", "", "bytes", "instructions", "a byte", "growth");
    for format in FORMATS.iter().filter(|format| chosen(format)) {
        // A twentieth: valgrind is fifty times as slow, and makes the input, too.
        let size = format.size / 20;
        let (Some(small), Some(count)) = (counted(format, size / 10), counted(format, size)) else { return };
        let bytes = (format.make)(size).text.len();
        #[expect(clippy::cast_precision_loss, reason = "a few million at most")]
        let (each, growth) = (count / bytes as f64, count / small);
        let missed = if growth > LINEAR { vec![String::new()] } else { Vec::new() };
        println!(
            "  {:<22}{bytes:>12}{count:>16.0}{each:>10.2}{growth:>9.2}   {}   {}",
            format.title,
            verdict(&missed).trim_end(),
            out(format.title).display()
        );
    }
}

/// Instructions of one parse of an input of that size; `None` where there is no valgrind.
fn counted(format: &Format, size: usize) -> Option<f64> {
    let counts = out(format.title);
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*parse_once*", "-q"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--once", format.title, &size.to_string()])
        .stdout(Stdio::null())
        .status();
    match ended {
        Ok(status) => assert!(status.success(), "{}: {status}", format.title),
        Err(error) => {
            println!("  valgrind: {error}");
            return None;
        }
    }
    let text = std::fs::read_to_string(&counts).unwrap();
    let count =
        text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    Some(count.unwrap().trim().parse().unwrap())
}

/// Where callgrind leaves what `callgrind_annotate` reads; `%` means something to it.
fn out(title: &str) -> PathBuf {
    std::env::temp_dir().join(format!("callgrind.{}", title.replace('%', "")))
}

/// Writes an output to a file, for other programs to read.
pub fn write(text: &str, file: &str) {
    std::io::Write::write_all(&mut File::create(file).unwrap(), text.as_bytes()).unwrap();
}
