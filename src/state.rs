//! What survives a restart, in a folder: the last good report of each check and since when its resources drift, its last run, its earlier runs with
//! what they printed. A run is on disk before anybody can see it.
//!
//! ```text
//! lock                 held by the driftrun that uses the folder
//! instance             its number, which its runs' processes have in their environment
//! loaded.json          when each check was configured first
//! checks/NAME.json     report, last run
//! runs/NAME/ID.VERDICT.json.gz   one run with its output; ID is its beginning in milliseconds
//! t/                   temporary folders of runs, unless `tmp_dir` names another
//! ```
//!
//! The folder is 0700, files are 0600, and nothing in it holds what was not redacted. Files are written anew and renamed. One that is damaged, or of a newer
//! format, is moved aside and counted; everything else goes on.

use crate::board::{CheckState, LastRun};
use crate::check::{Check, Reader, ReaderChoice};
use crate::drift::{Drift, Seen, Tally};
use crate::history::{History, PastRun, first_to_go};
use crate::printed::{Kept, Printed};
use crate::run::is_private_folder;
use crate::schedule::fnv1a;
use driftrun_parsers::{Action, Resource, Scopes, Source, Tool, Verdict};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The format of the files; a greater number is of a newer driftrun.
const FORMAT: u32 = 1;

/// How long what is known of a check is kept that isn't configured any more.
const KEPT_UNUSED: Duration = Duration::from_hours(30 * 24);

/// How much a run's file may hold when it is read back.
const MOST_READ: u64 = 64 << 20;

/// How many runs of a check are kept, and how many bytes they may have on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRuns {
    /// At most so many runs.
    pub runs: usize,
    /// And so many bytes.
    pub size: u64,
}

impl Default for KeptRuns {
    fn default() -> Self {
        Self { runs: 100, size: 16 << 20 }
    }
}

/// The folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    kept: KeptRuns,
    /// What can't be written is counted.
    failures: AtomicU64,
    /// The last attempt to write failed: said once.
    failing: AtomicBool,
    discarded: AtomicU64,
    loaded: Mutex<BTreeMap<String, Timestamp>>,
    /// Held as long as the value lives.
    _lock: File,
}

/// One earlier run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    format: u32,
    /// What is known of it.
    #[serde(rename = "run")]
    record: LastRun,
    /// What it printed, redacted.
    stdout: Kept,
    /// Its standard error, redacted.
    stderr: Kept,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    check: String,
    /// A number made of what was run.
    command: u64,
    last_success: Option<Timestamp>,
    /// The name of the parser that is kept.
    parser: Option<String>,
    last: Option<LastRun>,
    drift: Option<SavedDrift>,
    /// Not there in what an older driftrun wrote.
    #[serde(default)]
    history: Vec<PastRun>,
}

#[derive(Serialize, Deserialize)]
struct SavedDrift {
    resources: Vec<SavedSeen>,
    dropped: BTreeMap<String, SavedDropped>,
    tool: String,
    tool_version: Option<String>,
    parser: String,
    unused_rules: usize,
    reported: Timestamp,
    /// Not known of what an older driftrun wrote.
    #[serde(default)]
    whole: bool,
    /// When the run of the report began; neither is this.
    #[serde(default)]
    run: Option<Timestamp>,
    #[serde(default)]
    scopes: Scopes,
}

#[derive(Serialize, Deserialize)]
struct SavedSeen {
    #[serde(flatten)]
    resource: Resource,
    first_seen: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SavedDropped {
    drift: BTreeMap<Action, u64>,
    outside: u64,
    ignored: u64,
    informational: Vec<(Source, Action, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Loaded {
    format: u32,
    checks: BTreeMap<String, Timestamp>,
}

impl Store {
    /// Takes the folder for this process, and makes it where it isn't there.
    ///
    /// # Errors
    /// For people: it can't be made or written, or another driftrun has it.
    pub fn open(folder: &Path, kept: KeptRuns) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("state_dir {}: {error}", folder.display());
        make(folder).map_err(wrong)?;
        for part in ["checks", "runs", "t"] {
            make(&folder.join(part)).map_err(wrong)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(folder.join("lock")).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "state_dir {}: another driftrun uses it; give each a folder of its own",
                    folder.display()
                ));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let store = Self {
            folder: folder.to_owned(),
            kept,
            failures: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            discarded: AtomicU64::new(0),
            loaded: Mutex::default(),
            _lock: lock,
        };
        let loaded: Option<Loaded> = store.read(&folder.join("loaded.json"), |loaded: &Loaded| loaded.format);
        *store.loaded.lock().unwrap_or_else(PoisonError::into_inner) =
            loaded.map(|loaded| loaded.checks).unwrap_or_default();
        // Whoever can't write here should hear of it now.
        write(&folder.join("probe"), b"")
            .and_then(|()| fs::remove_file(folder.join("probe")))
            .map_err(wrong)?;
        Ok(store)
    }

    /// Makes the folder for temporary folders of runs, for whoever needs nothing else of it.
    ///
    /// # Errors
    /// For people: it can't be made.
    pub fn make_tmp(folder: &Path) -> Result<(), String> {
        make(&Self::tmp(folder)).map_err(|error| format!("state_dir {}: {error}", folder.display()))
    }

    /// Where temporary folders of runs are.
    pub fn tmp(folder: &Path) -> PathBuf {
        folder.join("t")
    }

    /// The number of the driftrun that had the folder before, if it left one.
    pub fn earlier_instance(&self) -> Option<u32> {
        let text = fs::read_to_string(self.folder.join("instance")).ok()?;
        u32::from_str_radix(text.trim(), 16).ok()
    }

    /// Notes the number of this one. Before any run, and after what the one before has left is gone.
    pub fn set_instance(&self, instance: u32) {
        self.note(write(&self.folder.join("instance"), format!("{instance:08x}\n").as_bytes()));
    }

    /// Removes what runs of an earlier driftrun have left in its temporary folders.
    pub fn clear_tmp(&self) {
        for entry in fs::read_dir(Self::tmp(&self.folder)).into_iter().flatten().flatten() {
            // Whatever else is there is somebody's.
            if !is_private_folder(&entry.path()) {
                continue;
            }
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "temporary folder not removed");
            }
        }
    }

    /// How often something could not be written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many files were moved aside.
    pub fn discarded(&self) -> u64 {
        self.discarded.load(Ordering::Relaxed)
    }

    /// When each of these checks was configured first. Those that are new are so now.
    pub fn first_loaded(&self, names: &[&str], now: Timestamp) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let before = loaded.clone();
        loaded.retain(|name, _| names.contains(&name.as_str()) || !self.is_forgotten(name));
        for name in names {
            loaded.entry((*name).to_owned()).or_insert(now);
        }
        if *loaded != before {
            let checks = loaded.clone();
            self.write_json(&self.folder.join("loaded.json"), &Loaded { format: FORMAT, checks });
        }
    }

    /// Removes what is kept of a check that isn't configured, if its last run was long ago. Whether nothing is left of it.
    fn is_forgotten(&self, name: &str) -> bool {
        let file = self.check_file(name);
        let age = fs::metadata(&file)
            .and_then(|meta| meta.modified())
            .ok()
            .map(|time| time.elapsed().unwrap_or_default());
        if age.is_some_and(|age| age < KEPT_UNUSED) {
            return false;
        }
        let _ = fs::remove_dir_all(self.folder.join("runs").join(name));
        let _ = fs::remove_file(file);
        true
    }

    /// What is known of a check from before, on top of a fresh state. Nothing was seen later than now: the clock was wrong then, and what is younger
    /// than anything would be young for ever.
    pub fn restore(&self, check: &Check, state: &mut CheckState) {
        let now = state.loaded;
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = loaded.get(&check.name) {
            state.loaded = now.min(*first);
        }
        drop(loaded);
        let Some(saved) = self.read(&self.check_file(&check.name), |saved: &Saved| saved.format) else {
            return;
        };
        if saved.check != check.name {
            tracing::error!(check = %check.name, found = saved.check, "state of another check in its file: begun anew");
            return;
        }
        state.changed_since = saved.command != fingerprint(check);
        state.last_success = saved.last_success.map(|time| time.min(now));
        state.last = saved.last.map(|mut last| {
            last.printed = Arc::new(self.printed(&check.name, last.started));
            Arc::new(last)
        });
        state.history = History::of(saved.history, self.kept.runs);
        let pin = saved.parser.filter(|_| !state.changed_since);
        state.parser = state.parser.take().or_else(|| pinned(check, &pin?));
        state.drift = saved.drift.and_then(|drift| {
            let parser = reader_named(check, &drift.parser);
            if parser.is_none() {
                tracing::warn!(check = %check.name, parser = drift.parser, "its last report is forgotten: that parser is not there any more");
            }
            let mut drift = restored(drift, parser?, now);
            drift.printed = match &state.last {
                Some(last) if last.started == drift.run => Arc::clone(&last.printed),
                _ => Arc::new(self.printed(&check.name, drift.run)),
            };
            Some(drift)
        });
        state.redact(&check.redact);
        if state.changed_since {
            state.forget_clean();
        }
        state.forget_unreadable(check);
    }

    /// Writes down the run that has just ended, and what is known now. A scrape must not show it before.
    pub fn save(&self, check: &Check, state: &CheckState) {
        if let Some(last) = &state.last {
            self.keep_run(&check.name, last);
        }
        let saved = Saved {
            format: FORMAT,
            check: check.name.clone(),
            command: fingerprint(check),
            last_success: state.last_success,
            parser: state.parser.as_ref().map(|parser| parser.name().to_owned()),
            last: state.last.as_deref().cloned(),
            drift: state.drift.as_ref().map(saved),
            history: state.history.runs().iter().map(|run| PastRun::clone(run)).collect(),
        };
        let file = self.check_file(&check.name);
        if !self.write_json(&file, &saved) && verdict(&saved) != Some(Verdict::Clean) {
            // Better nothing than what reads as clean after a restart and isn't. A full disk lets files be removed.
            let before: Option<Saved> = self.read(&file, |saved: &Saved| saved.format);
            if before.is_some_and(|before| verdict(&before) == Some(Verdict::Clean)) {
                let _ = fs::remove_file(&file);
            }
        }
    }

    /// How many runs of a check are kept.
    pub const fn kept_runs(&self) -> usize {
        self.kept.runs
    }

    /// The earlier runs of a check that are kept: beginnings in milliseconds, oldest first.
    pub fn runs(&self, name: &str) -> Vec<i64> {
        self.run_files(name).into_iter().map(|file| file.id).collect()
    }

    /// One of them.
    pub fn run(&self, name: &str, id: i64) -> Option<Run> {
        let file = self.run_files(name).into_iter().find(|file| file.id == id)?;
        self.read(&file.path, |run: &Run| run.format)
    }

    /// What the run printed that began at `started`; nothing where it isn't kept.
    fn printed(&self, name: &str, started: Timestamp) -> Printed {
        self.run(name, started.as_millisecond()).map(Run::into_printed).unwrap_or_default()
    }

    fn keep_run(&self, name: &str, last: &LastRun) {
        let folder = self.folder.join("runs").join(name);
        let run = Run {
            format: FORMAT,
            record: last.clone(),
            stdout: last.printed.stdout.clone(),
            stderr: last.printed.stderr.clone(),
        };
        let file = folder.join(format!("{}.{}.json.gz", id(last), last.verdict.as_str()));
        let written = make(&folder).and_then(|()| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            serde_json::to_writer(&mut packed, &run).map_err(io::Error::from)?;
            write(&file, &packed.finish()?)
        });
        self.note(written);
        self.forget_runs(name);
    }

    /// Removes runs until the others fit, in the order in which the history forgets them. The last run stays.
    fn forget_runs(&self, name: &str) {
        let mut files = self.run_files(name);
        files.pop();
        let mut size: u64 = files.iter().map(|file| file.size).sum();
        while files.len() + 1 > self.kept.runs || size > self.kept.size {
            if files.is_empty() {
                break;
            }
            let file = files.remove(first_to_go(files.len() + 1, |n| files[n].good));
            let _ = fs::remove_file(&file.path);
            size -= file.size;
        }
    }

    fn run_files(&self, name: &str) -> Vec<RunFile> {
        let entries = fs::read_dir(self.folder.join("runs").join(name)).into_iter().flatten().flatten();
        let mut files: Vec<RunFile> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let (id, verdict) = name.to_str()?.strip_suffix(".json.gz")?.split_once('.')?;
                let good = [Verdict::Clean, Verdict::Drifted].iter().any(|good| good.as_str() == verdict);
                Some(RunFile {
                    id: id.parse().ok()?,
                    good,
                    size: entry.metadata().ok()?.len(),
                    path: entry.path(),
                })
            })
            .collect();
        files.sort_unstable_by_key(|file| file.id);
        files
    }

    fn check_file(&self, name: &str) -> PathBuf {
        self.folder.join("checks").join(format!("{name}.json"))
    }

    /// Reads a file. One that is damaged or of a newer format is moved aside.
    fn read<T: DeserializeOwned>(&self, path: &Path, format: impl Fn(&T) -> u32) -> Option<T> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "state not read");
                return None;
            }
        };
        let parsed = if path.extension().is_some_and(|end| end == "gz") {
            let mut text = Vec::new();
            GzDecoder::new(bytes.as_slice())
                .take(MOST_READ)
                .read_to_end(&mut text)
                .map_err(|e| e.to_string())
                .and_then(|_| serde_json::from_slice::<T>(&text).map_err(|e| e.to_string()))
        } else {
            serde_json::from_slice::<T>(&bytes).map_err(|e| e.to_string())
        };
        let why = match parsed {
            Ok(value) if format(&value) <= FORMAT => return Some(value),
            Ok(value) => format!("format {} is newer than this driftrun's {FORMAT}", format(&value)),
            Err(error) => error,
        };
        let mut aside = path.as_os_str().to_owned();
        aside.push(".discarded");
        let moved = fs::rename(path, &aside);
        self.discarded.fetch_add(1, Ordering::Relaxed);
        tracing::error!(path = %path.display(), why, moved = moved.is_ok(), "state not understood: moved aside, begun anew");
        None
    }

    /// Whether it is written.
    fn write_json(&self, path: &Path, value: &impl Serialize) -> bool {
        let text = serde_json::to_vec(value).map_err(io::Error::from);
        let written = text.and_then(|text| write(path, &text));
        let is_written = written.is_ok();
        self.note(written);
        is_written
    }

    /// Counts what failed, and says it when it begins and when it ends.
    fn note(&self, written: io::Result<()>) {
        match written {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(folder = %self.folder.display(), "state is written again");
                }
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(folder = %self.folder.display(), %error, "state not written: after a restart what is known now is lost");
                }
            }
        }
    }
}

struct RunFile {
    id: i64,
    /// Clean or drifted.
    good: bool,
    size: u64,
    path: PathBuf,
}

impl Run {
    /// With what it printed.
    pub fn into_run(self) -> LastRun {
        let printed = Arc::new(Printed { stdout: self.stdout, stderr: self.stderr });
        LastRun { printed, ..self.record }
    }

    /// What it printed.
    pub fn into_printed(self) -> Printed {
        Printed { stdout: self.stdout, stderr: self.stderr }
    }
}

/// A run is called by its beginning, in milliseconds.
fn id(run: &LastRun) -> i64 {
    run.started.as_millisecond()
}

/// A number made of what a check runs, where, and who reads it.
fn fingerprint(check: &Check) -> u64 {
    let Check { command, report, workdir, reader, .. } = check;
    let reader = match reader {
        ReaderChoice::Known(reader) => reader.name(),
        ReaderChoice::ExitCode => "none",
        ReaderChoice::OneOf(_) | ReaderChoice::Any => "auto",
    };
    fnv1a(format!("{command:?} {report:?} {workdir:?} {reader}").as_bytes())
}

/// The parser that is kept, where the check still lets the output decide.
fn pinned(check: &Check, name: &str) -> Option<Reader> {
    let parser = driftrun_parsers::by_name(name)?;
    let allowed = match &check.reader {
        ReaderChoice::Any => true,
        ReaderChoice::OneOf(parsers) => parsers.contains(&parser),
        ReaderChoice::ExitCode | ReaderChoice::Known(_) => false,
    };
    allowed.then_some(Reader::Builtin(parser))
}

fn reader_named(check: &Check, name: &str) -> Option<Reader> {
    if let ReaderChoice::Known(reader) = &check.reader
        && reader.name() == name
    {
        return Some(reader.clone());
    }
    // One that was renamed: what it had found stands until the next report.
    let renamed = match &check.reader {
        ReaderChoice::Known(reader) => Some(reader.clone()),
        ReaderChoice::ExitCode | ReaderChoice::OneOf(_) | ReaderChoice::Any => None,
    };
    driftrun_parsers::by_name(name).map(Reader::Builtin).or(renamed)
}

fn verdict(saved: &Saved) -> Option<Verdict> {
    saved.last.as_ref().map(|last| last.verdict)
}

fn saved(drift: &Drift) -> SavedDrift {
    let dropped = |dropped: &Tally| SavedDropped {
        drift: dropped.drift.clone(),
        outside: dropped.outside,
        ignored: dropped.ignored,
        informational: dropped
            .informational
            .iter()
            .map(|((source, action), n)| (*source, *action, *n))
            .collect(),
    };
    let seen = |seen: &Seen| SavedSeen { resource: seen.resource.clone(), first_seen: seen.first_seen };
    SavedDrift {
        resources: drift.resources.iter().map(seen).collect(),
        dropped: drift.dropped.iter().map(|(scope, counts)| (scope.clone(), dropped(counts))).collect(),
        tool: drift.tool.name.to_string(),
        tool_version: drift.tool.version.clone(),
        parser: drift.parser.name().to_owned(),
        unused_rules: drift.unused_rules,
        reported: drift.reported,
        whole: drift.whole,
        run: Some(drift.run),
        scopes: Scopes::clone(&drift.scopes),
    }
}

fn restored(saved: SavedDrift, parser: Reader, now: Timestamp) -> Drift {
    let dropped = |saved: SavedDropped| Tally {
        drift: saved.drift,
        outside: saved.outside,
        ignored: saved.ignored,
        informational: saved
            .informational
            .into_iter()
            .map(|(source, action, n)| ((source, action), n))
            .collect(),
    };
    let seen = |SavedSeen { resource, first_seen }| Seen { resource, first_seen: first_seen.min(now) };
    let (whole, run) = (saved.whole, saved.run.unwrap_or(saved.reported));
    let scopes = Arc::new(saved.scopes);
    let drift = Drift::of(
        saved.resources.into_iter().map(seen).collect(),
        saved.dropped.into_iter().map(|(scope, counts)| (scope, dropped(counts))).collect(),
        Tool { name: saved.tool.into(), version: saved.tool_version },
        parser,
        saved.unused_rules,
        saved.reported,
    );
    Drift { run, scopes, whole, ..drift }
}

/// A folder for this user only, with those above it.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file anew: whoever reads it finds the old or the new one, whole, also after a crash of the machine.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
