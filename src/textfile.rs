//! Files for `node_exporter`'s textfile collector: one `.prom` file a check, written whole or not at all. Knows nothing of checks but their names.
//!
//! ```text
//! # driftrun once --config.file "/srv/driftrun.yaml"
//! # HELP driftrun_check_info A check that is configured; always 1.
//! …
//! ```
//!
//! One file a check, not one for all: the collector takes all of a file or nothing, so what is wrong with one check's file is no other check's loss, and
//! `node_textfile_mtime_seconds` tells each check's age. The same HELP in many files is what it wants; the same series in two it refuses, so there is no
//! `driftrun_build_info`. The first line is a comment to it, and says to driftrun whose the file is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `node_exporter` is another user.
const MODE: u32 = 0o644;

/// A first line is shorter: a path has at most 4096 bytes, and may be written with escapes.
const FIRST_LINE: u64 = 32 * 1024;

/// How the first line of every file of driftrun's begins.
const MARK: &str = "# driftrun once ";

/// Whose a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    line: String,
    /// Whether it knows of all checks that it has: then a file of another one is of one that it had.
    knows_all: bool,
}

impl Owner {
    /// A configuration file, by its path; a link in it is not followed, so that an updated `ConfigMap` stays the same.
    pub fn config(file: &Path) -> io::Result<Self> {
        let path = std::path::absolute(file)?;
        #[expect(
            clippy::unnecessary_debug_formatting,
            reason = "a newline in the path must not end the line"
        )]
        let line = format!("{MARK}--config.file {path:?}");
        Ok(Self { line, knows_all: true })
    }

    /// A command line: each has one check, and knows nothing of others.
    pub fn command_line() -> Self {
        Self { line: format!("{MARK}-- COMMAND"), knows_all: false }
    }
}

/// Writes the files of the checks that ran, and removes those of checks that `owner` has no more. `configured`: the checks that it has. What went
/// wrong, for people; nothing keeps the other files from being written.
#[must_use]
pub fn write(folder: &Path, owner: &Owner, ran: &[(&str, String)], configured: &[&str]) -> Vec<String> {
    let wrong = |what: &str| format!("--textfile {}: {what}", folder.display());
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return vec![wrong("it is no folder; name the one that node_exporter reads")],
        Err(error) => {
            return vec![wrong(&format!(
                "{error}; make the folder, or name the one of node_exporter's --collector.textfile.directory"
            ))];
        }
    }
    let mut problems = Vec::new();
    for (check, text) in ran {
        let name = file_name(check);
        let why = match owner_of(&folder.join(&name)) {
            Found::Nothing => None,
            Found::Of(line) if line == owner.line => None,
            Found::Of(line) => Some(format!(
                "{name} belongs to another configuration or command ({}); give the check another name, or this one another folder, or remove the file",
                line.trim_start_matches("# ")
            )),
            Found::Foreign => Some(format!(
                "{name} is there and is not driftrun's; give the check another name, or remove the file"
            )),
        };
        let why = why.or_else(|| {
            replace(folder, &name, &format!("{}\n{text}", owner.line))
                .err()
                .map(|error| format!("{name} is not written: {error}; {}", remedy(&error)))
        });
        problems.extend(why.map(|why| wrong(&why)));
    }
    if owner.knows_all {
        for path in no_more(folder, owner, configured) {
            if let Err(error) = fs::remove_file(&path) {
                problems.push(wrong(&format!("{} is not removed: {error}", path.display())));
            }
        }
    }
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        problems.push(wrong(&format!("not known to be on disk: {error}")));
    }
    problems
}

fn file_name(check: &str) -> String {
    format!("driftrun_{check}.prom")
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "what was there before stays; make room there"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let this user write there, or name another folder"
        }
        _ => "see to the folder, or name another one",
    }
}

/// What is at a file's place.
enum Found {
    Nothing,
    /// A file with that first line.
    Of(String),
    /// Anything else.
    Foreign,
}

fn owner_of(path: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Ok(meta) if meta.is_file() => {}
        Ok(_) | Err(_) => return Found::Foreign,
    }
    File::open(path).ok().and_then(|file| first_line(&file)).map_or(Found::Foreign, Found::Of)
}

/// The first line, if it is one of driftrun's.
fn first_line(file: &File) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(FIRST_LINE).read_to_end(&mut bytes).ok()?;
    let (line, _) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b'\n')?)?;
    String::from_utf8(line.to_vec()).ok().filter(|line| line.starts_with(MARK))
}

/// Files of `owner` whose check it has no more, and what a killed one of it left half-written.
fn no_more(folder: &Path, owner: &Owner, configured: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { return false };
            let whole = name.strip_prefix("driftrun_").and_then(|rest| rest.strip_suffix(".prom"));
            let half = name.strip_prefix(".driftrun_").and_then(|rest| rest.strip_suffix(".new")).is_some();
            let unwanted = whole.is_some_and(|check| !configured.contains(&check)) || half;
            let file = || {
                entry
                    .file_type()
                    .ok()
                    .filter(fs::FileType::is_file)
                    .and_then(|_| File::open(entry.path()).ok())
            };
            unwanted
                && file().is_some_and(|file| {
                    // One that is being written is locked.
                    first_line(&file).as_ref() == Some(&owner.line) && (!half || file.try_lock().is_ok())
                })
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Writes a file anew: whoever reads it finds the old one or the new one, whole, also after a crash of the machine. Until then it has a name that the
/// collector, which takes `*.prom`, passes over.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let new = folder.join(format!(".{name}.{}-{now:x}.new", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(MODE).open(&new)?;
    // So that nobody takes it for one that was left; where files can't be locked, nobody takes any.
    let _ = file.lock();
    let written = file
        .write_all(text.as_bytes())
        // Whatever the umask took away.
        .and_then(|()| file.set_permissions(Permissions::from_mode(MODE)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
