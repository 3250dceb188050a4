//! The version is in one place, `Cargo.toml`; wherever else one has to stand, it is that one.

use regex::Regex;
use std::path::{Path, PathBuf};

/// The files below a folder that have text in them.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn images_are_called_by_the_version_that_they_are_of() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![project.join("README.md")];
    files(&project.join("deploy"), &mut all);
    files(&project.join("docs"), &mut all);
    let image = Regex::new(r"\bdriftrun(?:-[a-z]+)?:v?(\d+\.\d+\.\d+)\b").unwrap();
    let mut seen = 0;
    for file in all {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for version in image.captures_iter(&text) {
            assert_eq!(&version[1], env!("CARGO_PKG_VERSION"), "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
    let tag = Regex::new(r"(?m)^\s+newTag: (\S+)$").unwrap();
    let mut folders = Vec::new();
    files(&project.join("deploy/kubernetes"), &mut folders);
    let kustomizations = folders.iter().filter(|file| file.ends_with("kustomization.yaml"));
    let texts: Vec<String> = kustomizations.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let tags: Vec<&str> = texts
        .iter()
        .flat_map(|text| tag.captures_iter(text))
        .map(|tag| tag.get(1).unwrap().as_str())
        .collect();
    assert!(tags.len() > 2 && tags.iter().all(|tag| *tag == env!("CARGO_PKG_VERSION")), "{tags:?}");
}

#[test]
fn the_changelog_tells_of_this_version_or_of_what_comes() {
    let changelog =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let first = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(first == "Unreleased" || first.starts_with(&format!("{version} (")), "{first}");
}
