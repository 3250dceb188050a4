//! Files that a command writes its report to: which of them this run wrote, and what is in them.
//!
//! A file counts when it was not there before the command, or is another one now (by inode, size and time of change): the clock of a
//! network's file system needn't be ours, so times are compared with each other alone.

use crate::config::TMP_HOLE;
use crate::outcome::Files;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How many files a run may have written; more is a glob that means something else.
const MOST_READ: usize = 10_000;

/// How many paths a glob may match, old files among them.
const MOST_SEEN: usize = 100_000;

/// By what a file is known to be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The files that a check names, and those of them that were there before.
pub(super) struct Wanted {
    globs: Vec<String>,
    folder: PathBuf,
    before: HashMap<PathBuf, Stamp>,
}

impl Wanted {
    /// Notes what is there. `folder` is what relative globs are relative to.
    pub(super) async fn before(globs: Vec<String>, folder: PathBuf) -> Self {
        let look = move || {
            // The private folder is new: nothing in it was there before.
            let lasting = globs.iter().filter(|glob| !glob.contains(TMP_HOLE));
            let before = lasting
                .flat_map(|glob| matches(glob, &folder))
                .flatten()
                .map(|found| (found.path, found.stamp))
                .collect();
            Self { globs, folder, before }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Self {
            globs: Vec::new(),
            folder: PathBuf::new(),
            before: HashMap::new(),
        })
    }

    /// Reads what this run wrote, at most `limit` bytes together. `tmp` is the run's private folder.
    pub(super) async fn read(self, tmp: &Path, limit: usize) -> Files {
        let tmp = glob::Pattern::escape(&tmp.to_string_lossy());
        let read = move || self.read_now(&tmp, limit);
        tokio::task::spawn_blocking(read).await.unwrap_or(Files { left_out: 1, ..Files::default() })
    }

    fn read_now(&self, tmp: &str, limit: usize) -> Files {
        let (mut found, mut files) = (BTreeMap::new(), Files::default());
        for glob in &self.globs {
            for file in matches(&glob.replace(TMP_HOLE, tmp), &self.folder) {
                match file {
                    Ok(file) if self.before.get(&file.path) == Some(&file.stamp) => {}
                    Ok(file) => {
                        found.insert(file.path, file.name);
                    }
                    Err(why) => {
                        files.unread.get_or_insert(why);
                    }
                }
            }
        }
        if found.len() > MOST_READ {
            files.unread.get_or_insert(format!("{} files, more than {MOST_READ}", found.len()));
            return files;
        }
        let mut names: HashMap<&str, usize> = HashMap::new();
        for name in found.values() {
            *names.entry(name).or_default() += 1;
        }
        let mut left = limit as u64;
        for (path, name) in &found {
            let mut bytes = Vec::new();
            // One byte more than fits tells that there is more.
            let read =
                File::open(path).and_then(|file| file.take(left.saturating_add(1)).read_to_end(&mut bytes));
            match read {
                Ok(_) if bytes.len() as u64 > left => files.left_out += bytes.len() as u64,
                Ok(_) => {
                    left -= bytes.len() as u64;
                    // Two globs may leave the same path open in two folders.
                    let alone = names.get(name.as_str()) == Some(&1);
                    let name = if alone { name.clone() } else { path.to_string_lossy().into_owned() };
                    files.list.push((name, bytes));
                }
                // One that is gone again was not the report.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Its content isn't known, and the others must not stand for it.
                Err(error) => {
                    files.unread.get_or_insert(format!("{}: {error}", path.display()));
                }
            }
        }
        files.list.sort();
        files
    }
}

struct Found {
    /// Relative to the last folder that the glob names.
    name: String,
    path: PathBuf,
    stamp: Stamp,
}

/// The regular files that `glob` matches, and why some can't be told.
fn matches(glob: &str, folder: &Path) -> impl Iterator<Item = Result<Found, String>> {
    let full = if glob.starts_with('/') {
        glob.to_owned()
    } else {
        format!("{}/{glob}", glob::Pattern::escape(&folder.to_string_lossy()))
    };
    // What stands before the first component that is open, without the brackets of an escaped name.
    let named = full.split('/').take_while(|part| !is_open(part)).count();
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let paths = glob::glob_with(&full, options).into_iter().flatten();
    paths.take(MOST_SEEN + 1).enumerate().filter_map(move |(n, path)| {
        if n == MOST_SEEN {
            return Some(Err(format!("more than {MOST_SEEN} paths match; let the glob match less")));
        }
        let path = match path {
            Ok(path) => path,
            Err(error) => return Some(Err(format!("{}: {}", error.path().display(), error.error()))),
        };
        let meta = match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return None,
            // Gone again, or a link to nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(format!("{}: {error}", path.display()))),
        };
        let stamp = Stamp {
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        };
        let text = path.to_string_lossy().into_owned();
        let parts: Vec<&str> = text.split('/').collect();
        let name = parts.get(named.min(parts.len() - 1)..).map(|rest| rest.join("/")).unwrap_or_default();
        Some(Ok(Found { name, path, stamp }))
    })
}

/// Whether a component of a glob can match more than one name.
fn is_open(part: &str) -> bool {
    let mut rest = part;
    while let Some(at) = rest.find(['*', '?', '[']) {
        // `[*]` is how an asterisk is escaped, and `[]]` a bracket.
        let Some(class) = rest[at..].strip_prefix('[') else { return true };
        let mut after = class.chars();
        after.next();
        let Some(left) = after.as_str().strip_prefix(']') else { return true };
        rest = left;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_meanwhile_counts_named_from_the_first_open_folder() {
        let folder = std::env::temp_dir().join(format!("driftrun-files-[{}]", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for path in ["old/report.yaml", "plans/old/plan.json", "same.txt"] {
            write(path, "before");
        }
        let globs = ["old/report.yaml", "plans/**/plan.json", "same.txt", "{tmp}/x/*", "none/*"];
        let globs: Vec<String> = globs.map(str::to_owned).to_vec();
        let before = globs[..3].iter().flat_map(|glob| matches(glob, &folder));
        let before: HashMap<PathBuf, Stamp> =
            before.flatten().map(|found| (found.path, found.stamp)).collect();
        assert_eq!(before.len(), 3);
        let wanted = Wanted { globs, folder: folder.clone(), before };
        // Put in its place, as tools do that write atomically.
        write("old/new", "after!");
        fs::rename(folder.join("old/new"), folder.join("old/report.yaml")).unwrap();
        write("plans/live/vpc/plan.json", "new");
        write("t[m]p/x/y", "tmp");
        fs::create_dir_all(folder.join("t[m]p/x/folder")).unwrap();
        let tmp = glob::Pattern::escape(&folder.join("t[m]p").to_string_lossy());
        let of = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let all = [of("live/vpc/plan.json", "new"), of("report.yaml", "after!"), of("y", "tmp")];
        assert_eq!(wanted.read_now(&tmp, 12), Files { list: all.to_vec(), ..Files::default() });
        let cut = wanted.read_now(&tmp, 8);
        assert_eq!((cut.left_out, cut.unread), (6, None));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_of_one_name_in_two_folders_are_two() {
        let folder = std::env::temp_dir().join(format!("driftrun-names-{}", std::process::id()));
        for host in ["a", "b"] {
            fs::create_dir_all(folder.join(host)).unwrap();
            fs::write(folder.join(host).join("report"), host).unwrap();
        }
        std::os::unix::fs::symlink("nothing", folder.join("a/link")).unwrap();
        std::os::unix::fs::symlink("loop", folder.join("a/loop")).unwrap();
        let read = |globs: &[&str]| {
            let globs = globs.iter().map(ToString::to_string).collect();
            Wanted { globs, folder: folder.clone(), before: HashMap::new() }.read_now("", 100)
        };
        let path = |host: &str| folder.join(host).join("report").to_string_lossy().into_owned();
        let of = |name: String, host: &str| (name, host.as_bytes().to_vec());
        assert_eq!(read(&["a/report", "b/report", "b/rep*"]).list, [of(path("a"), "a"), of(path("b"), "b")]);
        assert_eq!(read(&["a/re*", "b/re*"]).list, [of(path("a"), "a"), of(path("b"), "b")]);
        assert_eq!(
            read(&["*/report"]).list,
            [of("a/report".to_owned(), "a"), of("b/report".to_owned(), "b")]
        );
        assert_eq!(read(&["a/link"]), Files::default());
        assert!(read(&["a/loop"]).unread.unwrap().contains("a/loop: "));
        fs::remove_dir_all(folder).unwrap();
    }
}
