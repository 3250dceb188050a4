//! Recorded outputs from `fixtures/<parser>/<case>/`: what made them, what they print, what must be read from them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use driftrun_parsers::{File, Input, Parser, Reading, Stream};
use std::fs;
use std::path::{Path, PathBuf};

/// One recorded run.
pub struct Fixture {
    pub parser: &'static Parser,
    pub dir: PathBuf,
    /// The command line whose exit code counts.
    pub command: Vec<String>,
    /// The command line that printed `stdout`: `command`, or the report command after it.
    pub report: Vec<String>,
    pub exit: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Fixture {
    pub fn name(&self) -> String {
        format!("{}/{}", self.parser.name, self.dir.file_name().unwrap().to_string_lossy())
    }

    /// Reads the fixture with `stdout` in place of the recorded one.
    pub fn read(&self, stdout: &[u8]) -> Reading {
        self.read_with(stdout, None)
    }

    /// The same with the file at a position of `files` replaced, too.
    pub fn read_with(&self, stdout: &[u8], replaced: Option<(usize, &[u8])>) -> Reading {
        let argv: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let mut files: Vec<File<'_>> = self.files.iter().map(|(path, bytes)| File { path, bytes }).collect();
        if let Some((position, bytes)) = replaced {
            files[position].bytes = bytes;
        }
        let input = Input {
            argv: &argv,
            exit: Some(self.exit),
            stdout: Stream::whole(stdout),
            stderr: Stream::whole(&self.stderr),
            files: &files,
        };
        driftrun_parsers::read(self.parser, None, &input)
    }
}

/// Every fixture. Panics when there is none: a walker that walks nothing proves nothing.
pub fn fixtures() -> Vec<Fixture> {
    // Of this package, or of the program's, whose tests use them, too.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = [package.join("fixtures"), package.join("../fixtures")];
    let root = root.into_iter().find(|root| root.is_dir()).expect("a folder of fixtures");
    let mut found = Vec::new();
    for folder in folders(&root) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let parser =
            driftrun_parsers::by_name(&name).unwrap_or_else(|| panic!("fixtures/{name}: no such parser"));
        let before = found.len();
        found.extend(folders(&folder).into_iter().map(|dir| load(parser, dir)));
        assert!(found.len() > before, "fixtures/{name} is empty");
    }
    for parser in driftrun_parsers::ALL {
        assert!(found.iter().any(|fixture| fixture.parser == *parser), "no fixtures/{}", parser.name);
    }
    assert!(!found.is_empty(), "no fixtures");
    found
}

/// The one of that name, `PARSER/CASE`.
pub fn fixture(name: &str) -> Fixture {
    fixtures()
        .into_iter()
        .find(|fixture| fixture.name() == name)
        .unwrap_or_else(|| panic!("no fixtures/{name}"))
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .unwrap_or_else(|e| panic!("{}: {e}", root.display()))
        .map(|e| e.unwrap().path())
        .collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

fn load(parser: &'static Parser, dir: PathBuf) -> Fixture {
    let bytes =
        |name: &str| fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", dir.display()));
    let text = |name: &str| String::from_utf8(bytes(name)).unwrap();
    let commands = text("command");
    let mut commands = commands
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| words(line).collect());
    let command: Vec<String> = commands.next().unwrap_or_else(|| panic!("{}: no command", dir.display()));
    let report = commands.next().unwrap_or_else(|| command.clone());
    let mut files = Vec::new();
    collect(&dir.join("files"), "", &mut files);
    files.sort();
    Fixture {
        parser,
        command,
        report,
        exit: text("exit").trim().parse().unwrap(),
        stdout: bytes("stdout"),
        stderr: bytes("stderr"),
        files,
        dir,
    }
}

/// The files below `dir`, if it is there, each with its path from there.
fn collect(dir: &Path, prefix: &str, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), into);
        } else {
            into.push((name, fs::read(&path).unwrap()));
        }
    }
}

/// Splits on blanks; single quotes hold blanks together.
pub fn words(line: &str) -> impl Iterator<Item = String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words.into_iter()
}
