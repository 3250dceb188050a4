//! The configuration file: YAML → [`Config`], or every problem at once, each with its place and what to write instead.
//!
//! The only module that knows YAML. Nothing is started here; the file system is looked at only for globs, working folders and what the web configuration
//! ([`web`]) names.

mod decode;
mod for_each;
mod parsers;
mod template;
pub mod units;
pub mod web;
mod yaml;

pub(crate) use decode::tmp_base_problem;
pub use template::TMP_HOLE;

use crate::check::{Check, Reader, nearest};
use crate::state::KeptRuns;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A valid configuration, every check expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The checks, sorted by name.
    pub checks: Vec<Check>,
    /// The parsers that it defines, by name.
    pub parsers: BTreeMap<String, Reader>,
    /// How many runs may be under way at once.
    pub max_concurrent: usize,
    /// How many bytes of output all runs under way may hold before a new one waits.
    pub max_capture_memory: usize,
    /// How many drifting resources all checks together may have series for.
    pub max_total_resources: usize,
    /// What is valid and yet probably not meant.
    pub warnings: Vec<String>,
    /// Where what is known survives a restart.
    pub state_dir: Option<PathBuf>,
    /// How many earlier runs are kept there.
    pub history: KeptRuns,
    /// Which checks there are depends on what is on disk: some `for_each` has a glob.
    pub looks: bool,
}

impl Config {
    /// One check that doesn't come from a file.
    pub fn of_one(check: Check) -> Self {
        let warnings = check.warnings();
        Self {
            checks: vec![check],
            parsers: BTreeMap::new(),
            max_concurrent: 1,
            max_capture_memory: usize::MAX,
            max_total_resources: usize::MAX,
            warnings,
            looks: false,
            state_dir: None,
            history: KeptRuns::default(),
        }
    }
}

/// Line and column in a text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands; `None` for the file as a whole.
    pub place: Option<Place>,
    /// What is wrong and what to write instead, as a lowercase fragment.
    pub message: String,
}

impl Problem {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), message: message.into() }
    }
}

/// Every mistake of one file, in the order of its lines. Displayed one a line, as `FILE:LINE:COLUMN: message`,
/// under a line of its own that counts them where there are several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The file as it was named.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.len() > 1 {
            writeln!(f, "{} has {} mistakes:", self.file.display(), self.problems.len())?;
        }
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(Place { line, column }) = problem.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// The text of a configuration file, which can be validated again when what is on disk around it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It can't be read, or is no text.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        let bytes = std::fs::read(path).map_err(|error| whole(path, unread(path, &error)))?;
        let text = String::from_utf8(bytes).map_err(|error| whole(path, format!("not UTF-8: {error}")))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Validates it, with the globs' matches of this moment.
    ///
    /// # Errors
    /// Every problem that it has.
    pub fn config(&self) -> Result<Config, Invalid> {
        let folder = std::path::absolute(&self.path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let folder = folder.ok_or_else(|| whole(&self.path, "has no folder".to_owned()))?;
        parse(&self.text, &folder, &|name| std::env::var(name).ok())
            .map_err(|problems| Invalid { file: self.path.clone(), problems })
    }
}

/// A problem of a file as a whole.
fn whole(path: &Path, message: String) -> Invalid {
    Invalid { file: path.to_owned(), problems: vec![Problem { place: None, message }] }
}

/// Whether a file is a configuration by its name.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Why a file can't be read, and the one beside it that was probably meant.
fn unread(path: &Path, error: &io::Error) -> String {
    let near = || {
        let name = path.file_name()?.to_str()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names =
            std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_yaml = |name: &String| is_yaml(Path::new(name));
        let mut names: Vec<String> = names.filter(is_yaml).collect();
        names.sort();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(path.with_file_name(nearest(name, &names)?))
    };
    let near = if error.kind() == io::ErrorKind::NotFound { near() } else { None };
    let hint = near.map(|near| format!("; did you mean {}?", near.display())).unwrap_or_default();
    format!("can't read it: {error}{hint}")
}

/// Reads and validates the file at `path`.
///
/// # Errors
/// Every problem that it has.
pub fn load(path: &Path) -> Result<Config, Invalid> {
    Source::read(path)?.config()
}

/// Validates `text`. `folder` (absolute) is what relative paths are relative to.
///
/// # Errors
/// Every problem that it has, in the order of the text.
pub fn parse(
    text: &str,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let root = yaml::load(text, &mut problems);
    let config = root.and_then(|root| decode::config(&root, folder, environment, &mut problems));
    if config.is_none() && problems.is_empty() {
        problems.push(Problem {
            place: None,
            message: "is empty; it needs a list of checks under `checks:`".to_owned(),
        });
    }
    problems.sort();
    problems.dedup();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}
