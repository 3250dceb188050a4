//! docs/troubleshooting.md quotes messages: each is still in the source.

use crate::docs::page::{Page, ROOT};
use crate::support;
use driftrun_parsers::Class;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the tables whose first heading is `message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quoted {
    pub message: String,
    /// The class of failure that the row says, where it says one.
    class: Option<String>,
    line: usize,
}

/// All of a page.
pub fn quoted(page: &Page) -> Vec<Quoted> {
    let (mut quoted, mut inside) = (vec![], false);
    for (number, line) in page.text.lines().enumerate() {
        let Some(row) = line.strip_prefix("| ") else {
            inside &= line.starts_with("|-");
            continue;
        };
        if row.starts_with("message |") {
            inside = true;
        } else if inside {
            let row = row.replace("\\|", "¦");
            let mut cells = row.split(" | ");
            let cell = cells.next().unwrap().replace('¦', "|");
            let class = cells.next().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
            let class = class.filter(|class| Class::ALL.iter().any(|known| known.as_str() == *class));
            // With a backtick in it, it stands between two of them.
            let between = |mark: &str| cell.trim().strip_prefix(mark)?.strip_suffix(mark);
            let text = between("``").or_else(|| between("`")).map(str::trim);
            let text = text.unwrap_or_else(|| panic!("{}:{}: no message: {cell}", page.path, number + 1));
            quoted.push(Quoted {
                message: text.to_owned(),
                class: class.map(str::to_owned),
                line: number + 1,
            });
        }
    }
    quoted
}

/// Whether each part of a message, between its `…`, stands in a text of the source, and one of them is long enough to be known by.
pub fn is_said(message: &str, source: &str) -> bool {
    let parts: Vec<&str> = message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
    let longest = parts.iter().map(|part| part.chars().count()).max().unwrap_or_default();
    longest >= 12 && parts.iter().all(|part| source.contains(part))
}

/// The source of what driftrun says, without its tests: lines that end in `\` joined, quotes as they are printed.
pub fn source() -> String {
    let mut folders = vec![Path::new(ROOT).join("src"), Path::new(ROOT).join("parsers/src")];
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                all.push_str(text.split("\n#[cfg(test)]\nmod tests {").next().unwrap());
            }
        }
    }
    let joined = regex::Regex::new(r"\\\n\s*").unwrap().replace_all(&all, "").into_owned();
    joined.replace("\\\"", "\"").replace("{{", "{").replace("}}", "}")
}

/// The page's messages, and which of them driftrun has really printed.
pub struct Told {
    quoted: Vec<Quoted>,
    told: BTreeSet<Quoted>,
}

impl Told {
    pub fn new() -> Self {
        Self { quoted: quoted(&Page::read("docs/troubleshooting.md")), told: BTreeSet::new() }
    }

    /// Runs driftrun: it says one of the messages, and none before has made it say that one.
    pub fn see(&mut self, what: &str, arguments: &[&str]) {
        let (stdout, stderr, _) = support::ended(arguments);
        let output = format!("{stdout}{stderr}");
        let before = self.told.len();
        let said = |quoted: &&Quoted| quoted.message.split('…').all(|part| output.contains(part.trim()));
        for quoted in self.quoted.iter().filter(said) {
            // The log line has the class.
            let class = quoted.class.as_ref().filter(|_| output.contains(" class="));
            if self.told.insert(quoted.clone())
                && let Some(class) = class
            {
                assert!(
                    output.contains(&format!(" class={class} ")),
                    "{quoted:?} is not of this class:\n{output}"
                );
            }
        }
        assert!(self.told.len() > before, "{what}: no message of the page that is new is in\n{output}");
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} messages of docs/troubleshooting.md provoked", self.told.len(), self.quoted.len())
    }
}
