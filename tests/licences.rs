//! Every dependency's licence is on the list in `deny.toml`, which `cargo deny` reads, too; and docs/licences.md lists what the program is built from.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

/// Whether an SPDX expression can be satisfied by `allowed`: OR needs one side, AND both; `A WITH B` is one name.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_ascii_whitespace().peekable();
    let result = either(&mut words, allowed);
    assert_eq!(words.next(), None, "not an expression: {expression}");
    result
}

type Words<'a> = std::iter::Peekable<std::str::SplitAsciiWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        result |= both(words, allowed);
    }
    result
}

fn both(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let result = either(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return result;
    }
    let mut name = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&name)
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()]);
    let good =
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-3.0 OR MIT) AND Apache-2.0 WITH LLVM-exception"];
    assert_eq!(good.map(|expression| satisfied(expression, &allowed)), [true; 4]);
    let bad = ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT AND GPL-3.0) OR ISC", ""];
    assert_eq!(bad.map(|expression| satisfied(expression, &allowed)), [false; 5]);
}

/// What cargo knows of all packages.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let root = env!("CARGO_MANIFEST_DIR");
    let policy = std::fs::read_to_string(format!("{root}/deny.toml")).unwrap();
    let list = policy.split_once("\nallow = [").unwrap().1.split_once(']').unwrap().0;
    let allowed: BTreeSet<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(allowed.contains("MIT"), "{allowed:?}");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !satisfied(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert_eq!(refused, Vec::<String>::new(), "not on the list in deny.toml");
}

/// Name, version and licence of every package that is in the program, without this project's own and what only builds or tests it.
fn built_in(metadata: &Value) -> BTreeSet<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<String, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let driftrun = packages.iter().find(|(_, package)| package["name"] == "driftrun").unwrap().0;
    let (mut found, mut waiting) = (BTreeSet::new(), vec![driftrun.clone()]);
    while let Some(id) = waiting.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        let proc_macro = |id: &str| {
            let targets = packages[id]["targets"].as_array().unwrap();
            targets.iter().any(|target| target["kind"][0] == "proc-macro")
        };
        for dependency in nodes[&id]["deps"].as_array().unwrap() {
            let normal =
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            let id = text(&dependency["pkg"]);
            if normal && !proc_macro(&id) {
                waiting.push(id);
            }
        }
    }
    found
        .into_iter()
        .map(|id| packages[&id])
        .filter(|package| package["source"].is_string())
        .map(|package| ["name", "version", "license"].map(|key| text(&package[key])))
        .collect()
}

#[test]
fn what_the_program_is_built_from_is_listed() {
    let mut page = "# Licences\n\ndriftrun is under the [Apache License 2.0](../LICENSE). The program contains, on Linux:\n\n| package | version | licence |\n|---|---|---|\n".to_owned();
    let packages = built_in(&metadata());
    assert!(packages.len() > 50 && packages.iter().any(|[name, ..]| name == "tokio"), "{packages:?}");
    for [name, version, licence] in &packages {
        let _ = writeln!(page, "| {name} | {version} | {licence} |");
    }
    let path = format!("{}/docs/licences.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let listed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(listed == page, "docs/licences.md is not what Cargo.lock says; UPDATE_DOCS=1 writes it");
}
