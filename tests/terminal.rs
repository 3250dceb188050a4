//! `once` on a terminal: a real one of the kernel's, and what a person sees on it.

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use support::{Folder, HANG, driftrun, timeless, tool};

const ROWS: u16 = 12;

/// What stands on a terminal, whose lines are never full: enough of one for what driftrun writes.
#[derive(Default)]
struct Shown {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// What an escape sequence has begun with.
    escape: String,
}

impl Shown {
    fn take(&mut self, c: char) {
        match (self.escape.is_empty(), c) {
            (true, '\x1b') | (false, '[' | '0'..='9' | ';') => self.escape.push(c),
            (true, '\r') => self.column = 0,
            (true, '\n') => self.row += 1,
            (true, c) => {
                assert!(!c.is_control(), "{c:?}");
                let column = self.column;
                let line = self.line();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                self.column += 1;
            }
            (false, c) => {
                let sequence = std::mem::take(&mut self.escape);
                let number = sequence.trim_start_matches("\x1b[");
                match c {
                    'A' => self.row -= number.parse::<usize>().unwrap(),
                    'K' | 'J' if number.is_empty() => {
                        let column = self.column;
                        self.line().truncate(column);
                        if c == 'J' {
                            let row = self.row;
                            self.lines.truncate(row + 1);
                        }
                    }
                    'm' => {}
                    other => panic!("{sequence:?}{other:?} is no sequence that is expected here"),
                }
            }
        }
    }

    fn line(&mut self) -> &mut Vec<char> {
        let row = self.row;
        self.lines.resize_with(self.lines.len().max(row + 1), Vec::new);
        &mut self.lines[row]
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| line.iter().collect()).collect();
        lines.join("\n")
    }
}

/// A driftrun on a terminal.
struct Terminal {
    child: Child,
    keys: File,
    bytes: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Runs `program`, with all three streams on a terminal of its own.
    fn start(mut program: Command, folder: &Path, arguments: &[&str]) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let screen = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&screen, size).unwrap();
        let stream = || screen.try_clone().unwrap();
        program.args(arguments).current_dir(folder).env("TERM", "xterm");
        // What else decides on colours: under a CI, a terminal that says nothing of itself is given them, too.
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            program.env_remove(variable);
        }
        let child = program.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        // Held by nobody else, the terminal ends with driftrun. `program` has the streams, too.
        drop((screen, program));
        let keys = File::from(keys);
        let mut output = keys.try_clone().unwrap();
        let (send, bytes) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut chunk) {
                if send.send(chunk[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, bytes, seen: Vec::new() }
    }

    fn shown(&self) -> Shown {
        let mut shown = Shown::default();
        String::from_utf8_lossy(&self.seen).chars().for_each(|c| shown.take(c));
        shown
    }

    /// Waits until all of `parts` are on the screen at once.
    fn wait_for(&mut self, parts: &[&str]) {
        let began = Instant::now();
        loop {
            let text = self.shown().text();
            if parts.iter().all(|part| text.contains(part)) {
                return;
            }
            assert!(began.elapsed() < HANG, "never {parts:?}:\n{text}");
            let more = self.bytes.recv_timeout(HANG);
            self.seen.extend(more.unwrap_or_else(|error| panic!("never {parts:?} ({error}):\n{text}")));
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// What is there at the end, without times; all bytes; the exit code.
    fn end(mut self) -> (String, String, Option<i32>) {
        while let Ok(more) = self.bytes.recv_timeout(HANG) {
            self.seen.extend(more);
        }
        let code = self.child.wait().unwrap().code();
        (timeless(&self.shown().text()), String::from_utf8(self.seen.clone()).unwrap(), code)
    }
}

/// Two checks: one ends at once, the other when somebody opens the gate.
fn folder() -> Folder {
    let folder = Folder::new("terminal");
    folder.write(
        "driftrun.yaml",
        "max_concurrent: 2
defaults: { parser: none }
checks:
- { name: a-quick, command: [sh, -c, 'exit 3'] }
- { name: b-held, command: [cat, gate] }
",
    );
    let made = Command::new("mkfifo").arg(folder.path().join("gate")).status().unwrap();
    assert!(made.success());
    folder
}

const ONCE: [&str; 3] = ["once", "--config.file", "driftrun.yaml"];

const TABLE: &str = "\
✕ failed  a-quick
    command exited with code 3

✓ clean   b-held

2 checks: 1 clean, 1 failed";

#[test]
fn progress_is_shown_and_leaves_nothing_behind() {
    let folder = folder();
    let mut terminal = Terminal::start(driftrun(), folder.path(), &ONCE);
    terminal.wait_for(&[" running     b-held   0."]);
    std::fs::write(folder.path().join("gate"), "").unwrap();
    let (shown, bytes, code) = terminal.end();
    assert_eq!((shown.as_str(), code), (TABLE, Some(1)));
    // The lines of the runs are no log lines here, and the cursor was never hidden.
    assert!(!bytes.contains("level=") && !bytes.contains("\x1b[?"), "{bytes:?}");
}

#[test]
fn log_lines_stand_above_the_progress_and_are_whole() {
    let folder = folder();
    let mut terminal =
        Terminal::start(driftrun(), folder.path(), &[&ONCE[..], &["--log.level=info"]].concat());
    terminal.wait_for(&[" running     b-held   0."]);
    std::fs::write(folder.path().join("gate"), "").unwrap();
    let (shown, _, code) = terminal.end();
    let (log, table) = shown.split_at(shown.find("✕ failed  a-quick").unwrap());
    assert_eq!((table, code), (TABLE, Some(1)));
    let mut checks: Vec<&str> = log
        .lines()
        .map(|line| {
            assert!(line.starts_with("ts=") && line.contains(" verdict="), "{log}");
            line.split(" msg=run check=").nth(1).unwrap().split(' ').next().unwrap()
        })
        .collect();
    checks.sort_unstable();
    assert_eq!(checks, ["a-quick", "b-held"]);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let folder = folder();
    let mut program = Command::new("env");
    program.args(["TERM=dumb", env!("CARGO_BIN_EXE_driftrun")]);
    let terminal = Terminal::start(program, folder.path(), &ONCE);
    // Nothing tells from outside that it waits: the gate is opened when it comes to it.
    std::fs::write(folder.path().join("gate"), "").unwrap();
    let (shown, bytes, code) = terminal.end();
    assert!(shown.ends_with(TABLE) && shown.matches(" msg=run check=").count() == 2, "{shown}");
    assert!(!bytes.contains('\x1b'), "{bytes:?}");
    assert_eq!(code, Some(1));
}

#[test]
fn an_interrupt_from_the_keyboard_ends_the_round_and_leaves_nothing_of_the_progress() {
    let Some(setsid) = tool("setsid") else { return };
    let folder = folder();
    // The terminal is to be the one whose keys are signals.
    let mut program = Command::new(setsid);
    program.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_driftrun")]);
    let mut terminal = Terminal::start(program, folder.path(), &ONCE);
    terminal.wait_for(&["✕ failed      a-quick", " running     b-held"]);
    terminal.press(b"\x03");
    let (shown, bytes, code) = terminal.end();
    let want = "\
✕ failed  a-quick
    command exited with code 3

2 checks: 1 failed, 1 not run
driftrun: stopped before every check had run";
    assert_eq!((shown.as_str(), code), (want, Some(1)));
    assert!(bytes.contains("^C"), "{bytes:?}");
}
