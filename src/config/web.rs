//! The file of `--web.config.file` → [`WebConfig`]: exporter-toolkit's keys, or every problem at once, each with its place.
//!
//! It reads the files that the configuration names, and knows what can be served with them. It opens no port and keeps nothing for later:
//! what is served is made from a [`WebConfig`] by `web::access`. No message quotes a password, a hash or a key.

mod pem;
mod tls;
mod users;

pub use tls::{CipherSuite, ClientAuth, Curve, Order, Tls, TlsVersion};

use super::yaml::{self, Entry, Node, Value};
use super::{Invalid, Place, Problem, units};
use crate::check::nearest;
use ring::digest::{Digest, SHA256, digest};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOT_KEYS: &[&str] = &["basic_auth_users", "http_server_config", "rate_limit", "tls_server_config"];
const HTTP_KEYS: &[&str] = &["headers", "http2"];
const RATE_KEYS: &[&str] = &["burst", "interval"];

/// The headers that may be set, as exporter-toolkit has them, and the only values that some of them may have.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Nobody's certificates are larger; a name that leads to a device or a disk image must not fill the memory.
const MAX_FILE: u64 = 1 << 20;

/// A valid web configuration.
#[derive(PartialEq, Eq)]
pub struct WebConfig {
    /// What TLS is made of; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is offered, which happens under TLS only.
    pub http2: bool,
    /// What every answer carries: the name as it is usually written, and the value. Printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// User names and their bcrypt hashes; empty where everybody is let in.
    pub users: BTreeMap<String, String>,
    /// How many requests are answered.
    pub rate_limit: Option<RateLimit>,
    sources: Vec<Source>,
}

/// A token bucket: `burst` requests at once, and one more each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The time in which one request becomes possible; zero for no limit.
    pub interval: Duration,
    /// At least 1.
    pub burst: u32,
}

/// A file that was read, and what stood in it.
struct Source {
    path: PathBuf,
    digest: Digest,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.digest.as_ref() == other.digest.as_ref()
    }
}

impl Eq for Source {}

impl WebConfig {
    /// What holds where there is no file: plain HTTP for everybody.
    pub fn none() -> Self {
        Self {
            tls: None,
            http2: true,
            headers: Vec::new(),
            users: BTreeMap::new(),
            rate_limit: None,
            sources: Vec::new(),
        }
    }

    /// The files that it was made of, itself first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| source.path.as_path())
    }

    /// Whether all its files still have the content that it was made of. By content, not by time: a secret that is mounted changes through symbolic
    /// links, and within one second.
    pub fn is_up_to_date(&self) -> bool {
        self.sources.iter().all(|source| {
            read(&source.path).is_ok_and(|bytes| digest(&SHA256, &bytes).as_ref() == source.digest.as_ref())
        })
    }
}

/// Names what there is; hashes and keys stay out of every log.
impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfig")
            .field("tls", &self.tls)
            .field("http2", &self.http2)
            .field("headers", &self.headers)
            .field("users", &self.users.keys())
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}

/// Reads and validates the web configuration at `path`, and the files that it names.
///
/// # Errors
/// Every problem that it has.
pub fn load_web(path: &Path) -> Result<WebConfig, Invalid> {
    let bytes = read(path).map_err(|error| super::whole(path, format!("can't read it: {error}")))?;
    let source = Source { path: path.to_owned(), digest: digest(&SHA256, &bytes) };
    // Not the error's text: it is about bytes, which may be those of a key.
    let text = String::from_utf8(bytes).map_err(|_| super::whole(path, "not UTF-8".to_owned()))?;
    let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    let folder = folder.ok_or_else(|| super::whole(path, "has no folder".to_owned()))?;
    let mut problems = Vec::new();
    let root = yaml::load(&text, &mut problems);
    let mut decoder = Decoder { folder: &folder, problems: &mut problems, sources: vec![source] };
    let config = decoder.root(root.as_ref());
    problems.sort();
    problems.dedup();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Invalid { file: path.to_owned(), problems }),
    }
}

/// The bytes of a regular file that isn't too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe without a writer would wait for one.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(bytes)
}

struct Decoder<'p> {
    folder: &'p Path,
    problems: &'p mut Vec<Problem>,
    sources: Vec<Source>,
}

impl Decoder<'_> {
    /// `None` where there are problems. Nothing in the file is a configuration, too.
    fn root(&mut self, root: Option<&Node>) -> Option<WebConfig> {
        let empty = WebConfig::none();
        let Some(root) = root.filter(|root| !root.is_null()) else {
            return self
                .problems
                .is_empty()
                .then(|| WebConfig { sources: std::mem::take(&mut self.sources), ..empty });
        };
        let entries = self.keys(root, ROOT_KEYS, "a web configuration")?;
        let mut config = empty;
        for Entry { key, place, value } in entries.iter().filter(|entry| !entry.value.is_null()) {
            match key.as_str() {
                "tls_server_config" => config.tls = self.tls(*place, value),
                "http_server_config" => self.http(value, &mut config),
                "basic_auth_users" => config.users = self.users(value),
                "rate_limit" => config.rate_limit = self.rate_limit(*place, value),
                _ => {}
            }
        }
        config.sources = std::mem::take(&mut self.sources);
        Some(config)
    }

    fn http(&mut self, node: &Node, config: &mut WebConfig) {
        if self.keys(node, HTTP_KEYS, "http_server_config").is_none() {
            return;
        }
        if let Some(http2) = node.get("http2") {
            config.http2 = self.boolean(http2).unwrap_or(true);
        }
        if let Some(headers) = node.get("headers").filter(|headers| !headers.is_null()) {
            config.headers = self.headers(headers);
        }
    }

    fn headers(&mut self, node: &Node) -> Vec<(&'static str, String)> {
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!("`headers` must be a mapping of names to values, not {}", node.kind()),
            );
            return Vec::new();
        };
        let mut headers: Vec<(&'static str, String)> = Vec::new();
        for Entry { key, place, value } in entries {
            let Some((name, allowed)) = HEADERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))
            else {
                let names: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
                self.problem(
                    *place,
                    format!("header {key:?} can't be set; those that can: {}", names.join(", ")),
                );
                continue;
            };
            if headers.iter().any(|(other, _)| other == name) {
                self.problem(*place, format!("header {name:?} stands twice: case makes no difference"));
                continue;
            }
            // Blank is how exporter-toolkit's documentation unsets one.
            if value.is_null() || matches!(&value.value, Value::Scalar { text, .. } if text.is_empty()) {
                continue;
            }
            let Some(text) = self.text(value) else { continue };
            if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&text)) {
                self.problem(
                    value.place,
                    format!("{text:?} is no value of {name}; write {}", allowed.join(" or ")),
                );
            } else if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                self.problem(value.place, format!("the value of {name} has a character that a header can't carry; printable ASCII in one line is what can"));
            } else {
                headers.push((name, text));
            }
        }
        headers
    }

    fn rate_limit(&mut self, place: Place, node: &Node) -> Option<RateLimit> {
        self.keys(node, RATE_KEYS, "rate_limit")?;
        let burst = node.get("burst").map(|node| self.count(node));
        let Some(interval) = node.get("interval") else {
            self.problem(
                place,
                "rate_limit needs `interval`, the time in which one request becomes possible, such as 1s",
            );
            return None;
        };
        let text = self.text(interval)?;
        let interval = match units::go_duration(&text) {
            Ok(interval) => interval,
            Err(message) => {
                self.problem(interval.place, message);
                return None;
            }
        };
        let burst = match burst {
            Some(burst) => burst?,
            // There is no limit that it could belong to.
            None if interval.is_zero() => 1,
            None => {
                self.problem(
                    place,
                    "rate_limit needs `burst`, how many requests may come at once, such as 10",
                );
                return None;
            }
        };
        Some(RateLimit { interval, burst })
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    /// The entries, with those reported whose key isn't known; `None` when the node is no mapping at all.
    fn keys<'n>(&mut self, node: &'n Node, known: &[&str], of: &str) -> Option<&'n [Entry]> {
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!("{of} must be a mapping of keys to values, not {}", node.kind()),
            );
            return None;
        };
        for Entry { key, place, .. } in entries {
            if !known.contains(&key.as_str()) {
                self.problem(*place, format!("unknown key {key:?} in {of}; {}", elsewhere(key, known)));
            }
        }
        Some(entries)
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        node.text().map_err(|message| self.problem(node.place, message)).ok()
    }

    fn boolean(&mut self, node: &Node) -> Option<bool> {
        node.boolean().map_err(|message| self.problem(node.place, message)).ok()
    }

    fn count(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        match text.parse::<u32>() {
            Ok(count) if count > 0 => Some(count),
            _ => {
                self.problem(node.place, format!("{text:?} is no number from 1"));
                None
            }
        }
    }
}

/// Where an unknown key may have been meant to stand, or what it may have been meant to be.
fn elsewhere(key: &str, known: &[&str]) -> String {
    let sections =
        [("tls_server_config", tls::KEYS), ("http_server_config", HTTP_KEYS), ("rate_limit", RATE_KEYS)];
    if key == "<<" {
        return "merge keys are not read".to_owned();
    }
    if let Some((section, _)) = sections.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("it belongs under `{section}`");
    }
    if ROOT_KEYS.contains(&key) {
        return "it belongs to the top of the file, in the first column".to_owned();
    }
    nearest(key, known)
        .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean {near:?}?"))
}
