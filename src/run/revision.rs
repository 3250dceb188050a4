//! Which commit a working folder stands at, read from git's own files: no process is started for it.

use std::fs;
use std::path::{Path, PathBuf};

/// The commit that `HEAD` of the git tree around `folder` names, as 40 or 64 hexadecimal digits. `None` outside a tree, and where the files
/// are in a form that this doesn't read (`reftable`).
pub(super) fn of(folder: &Path) -> Option<String> {
    let dot_git = folder.ancestors().map(|ancestor| ancestor.join(".git")).find(|path| path.exists())?;
    // A linked work tree and a submodule have a file that names the folder; git-sync makes such trees.
    let git = if dot_git.is_file() {
        let text = fs::read_to_string(&dot_git).ok()?;
        dot_git.parent()?.join(text.strip_prefix("gitdir: ")?.trim_end())
    } else {
        dot_git
    };
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.strip_prefix("ref: ") else { return commit(&head) };
    let name = name.trim_end();
    let common = match fs::read_to_string(git.join("commondir")) {
        Ok(path) => git.join(path.trim_end()),
        Err(_) => git.clone(),
    };
    loose(&git, name).or_else(|| loose(&common, name)).or_else(|| packed(&common, name))
}

fn loose(git: &Path, name: &str) -> Option<String> {
    commit(&fs::read_to_string(git.join(PathBuf::from(name))).ok()?)
}

fn packed(git: &Path, name: &str) -> Option<String> {
    let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name).and_then(|(id, _)| commit(id)))
}

fn commit(text: &str) -> Option<String> {
    let id = text.trim_end();
    (matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("driftrun-git-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn every_way_that_git_writes_it() {
        let loose = format!("{ID}\n");
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted\nffff refs/heads/x\n{ID} refs/heads/main\n^ffff\n"
        );
        for (name, files) in [
            (
                "loose",
                vec![
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/refs/heads/main", &loose),
                    ("infra/prod/x", ""),
                ],
            ),
            (
                "packed",
                vec![
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/packed-refs", &packed),
                    ("infra/prod/x", ""),
                ],
            ),
            ("detached", vec![(".git/HEAD", &loose), ("infra/prod/x", "")]),
            (
                "linked",
                vec![
                    ("infra/prod/x", ""),
                    (".git", "gitdir: main/.git/worktrees/w\n"),
                    ("main/.git/worktrees/w/HEAD", "ref: refs/heads/main\n"),
                    ("main/.git/worktrees/w/commondir", "../..\n"),
                    ("main/.git/refs/heads/main", &loose),
                ],
            ),
        ] {
            let root = tree(name, &files);
            assert_eq!(of(&root.join("infra/prod")).as_deref(), Some(ID), "{name}");
            fs::remove_dir_all(root).unwrap();
        }
        let root = tree("none", &[(".git/HEAD", "ref: refs/heads/main\n")]);
        assert_eq!(of(&root), None);
        fs::remove_dir_all(root).unwrap();
    }
}
