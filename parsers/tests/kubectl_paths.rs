//! The paths of changed fields in `kubectl diff` with full context are those in which the objects differ: random objects, written as
//! kubectl writes them, compared by the real `diff -u -N -U 9999` and by their values.

use driftrun_parsers::{Action, Input, Stream, by_name, read};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// xorshift64*: this is about spread, not secrecy.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const KEYS: &[&str] = &[
    "a",
    "b",
    "c",
    "image",
    "name",
    "app.kubernetes.io/name",
    "f:x",
    "k:{\"p\":1}",
    ".",
    "a b",
    "colon: x",
    "- x",
    "1",
    "true",
    "it's",
    "kubectl.kubernetes.io/last-applied-configuration",
    "x/y",
    "é",
];

const STRINGS: &[&str] = &[
    "x",
    "y",
    "",
    "true",
    "12",
    "a: b",
    "- x",
    "# x",
    "nginx:1.27",
    "{x}",
    "it's",
    "a\nb\n",
    "a\nb",
    "a\nc\nb\n\n",
    "  lead\nx\n",
    "- x\nk: v\n- y\n",
    "x\n\ny\n",
    "k: v\n",
    "é",
    "tab\there",
    "/bin/sh -c",
    "-x",
    "?",
    "? x",
    "--- a",
];

fn scalar(dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => json!(dice.below(3)),
        1 => json!(dice.below(2) == 0),
        2 => [Value::Null, json!({}), json!([])][dice.below(3)].clone(),
        _ => json!(dice.one(STRINGS)),
    }
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match if depth == 0 { 9 } else { dice.below(10) } {
        0..=2 => Value::Object(
            (0..dice.below(4)).map(|_| (dice.one(KEYS).to_owned(), value(dice, depth - 1))).collect(),
        ),
        3..=5 => Value::Array((0..dice.below(4)).map(|_| value(dice, depth - 1)).collect()),
        _ => scalar(dice),
    }
}

/// Changes something somewhere.
fn mutate(at: &mut Value, dice: &mut Dice) {
    match at {
        Value::Object(map) if !map.is_empty() && dice.below(8) > 0 => {
            let key = map.keys().nth(dice.below(map.len())).unwrap().clone();
            match dice.below(8) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(dice.one(KEYS).to_owned(), value(dice, 2))),
                2 => {
                    let moved = map.remove(&key).unwrap();
                    map.insert(dice.one(KEYS).to_owned(), moved);
                }
                _ => mutate(map.get_mut(&key).unwrap(), dice),
            }
        }
        Value::Array(list) if !list.is_empty() && dice.below(8) > 0 => {
            let n = dice.below(list.len());
            match dice.below(8) {
                0 => drop(list.remove(n)),
                1 => list.insert(n, value(dice, 2)),
                2 => list.push(value(dice, 2)),
                _ => mutate(&mut list[n], dice),
            }
        }
        other => *other = value(dice, 2),
    }
}

/// As kubectl's YAML library writes a string on one line, or the head of a block.
fn text(string: &str) -> String {
    let plain = !string.is_empty()
        && string.chars().all(|c| c.is_alphanumeric() || "-./:{}\" '".contains(c))
        && string.starts_with(char::is_alphabetic)
        && !string.contains(": ")
        && !string.ends_with(':')
        && !["true", "null"].contains(&string);
    if plain {
        string.to_owned()
    } else if string.contains('\t') || string.chars().all(|c| c.is_ascii_digit()) || string == "true" {
        format!("{string:?}")
    } else {
        format!("'{}'", string.replace('\'', "''"))
    }
}

/// The value after `key:` or `-`; `column` is where keys of a map below stand.
fn yaml(out: &mut String, value: &Value, column: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (n, (key, value)) in map.iter().enumerate() {
                if n > 0 {
                    let _ = write!(out, "{:column$}", "");
                }
                let _ = write!(out, "{}:", text(key));
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        let _ = write!(out, "\n{:1$}", "", column + 2);
                        yaml(out, value, column + 2);
                    }
                    Value::Array(list) if !list.is_empty() => {
                        let _ = write!(out, "\n{:column$}", "");
                        yaml(out, value, column);
                    }
                    _ => {
                        out.push(' ');
                        yaml(out, value, column);
                    }
                }
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (n, value) in list.iter().enumerate() {
                if n > 0 {
                    let _ = write!(out, "{:column$}", "");
                }
                out.push_str("- ");
                yaml(out, value, column + 2);
            }
        }
        Value::String(string) if string.contains('\n') => {
            let lead = if string.starts_with(' ') { "2" } else { "" };
            let chomp = match string.len() - string.trim_end_matches('\n').len() {
                0 => "-",
                1 => "",
                _ => "+",
            };
            let _ = writeln!(out, "|{lead}{chomp}");
            // Below a key two columns deeper, below a dash at the column of what stands behind it.
            let inner = block_column(out, column);
            for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
                if line.is_empty() {
                    out.push('\n');
                } else {
                    let _ = writeln!(out, "{:inner$}{line}", "");
                }
            }
        }
        Value::String(string) => {
            let _ = writeln!(out, "{}", text(string));
        }
        other => {
            let _ = writeln!(out, "{other}");
        }
    }
}

/// The column of a block's content, whose head has just been written.
fn block_column(out: &str, column: usize) -> usize {
    let line = out.trim_end_matches('\n').rsplit('\n').next().unwrap();
    let is_element = line.trim_start().strip_prefix("- ").is_some_and(|rest| {
        let rest = rest.trim_start_matches("- ");
        rest.starts_with('|')
    });
    if is_element { column } else { column + 2 }
}

/// Every scalar and every empty collection by its path.
fn leaves(value: &Value, path: &str, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_/$".contains(c));
                let path = match (plain, path) {
                    (true, "") => key.clone(),
                    (true, path) => format!("{path}.{key}"),
                    (false, path) => format!("{path}[{key:?}]"),
                };
                leaves(value, &path, all);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (n, value) in list.iter().enumerate() {
                leaves(value, &format!("{path}[{n}]"), all);
            }
        }
        leaf => drop(all.insert(path.to_owned(), leaf.clone())),
    }
}

fn differ(dir: &Path, old: &str, new: &str) -> String {
    const FILE: &str = "v1.ConfigMap.shop.web";
    let (live, merged) = (dir.join("LIVE-1"), dir.join("MERGED-2"));
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&merged).unwrap();
    fs::write(live.join(FILE), old).unwrap();
    fs::write(merged.join(FILE), new).unwrap();
    let output = Command::new("diff").args(["-u", "-N", "-U", "9999"]).args([live, merged]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn paths_of_changed_fields_are_those_in_which_the_objects_differ() {
    if Command::new("diff").arg("--version").output().is_err() {
        eprintln!("skipped: no diff");
        return;
    }
    let cases = env::var("KUBECTL_PATHS_CASES").map_or(1_000, |n| n.parse::<u64>().unwrap());
    let dir = env::temp_dir().join(format!("kubectl-paths-{}", std::process::id()));
    let parser = by_name("kubectl").unwrap();
    let (mut told, mut all) = (0, 0);
    for seed in 1..=cases {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!("v1"));
        object.insert("kind".to_owned(), json!("ConfigMap"));
        for key in ["data", "metadata", "spec", "rules"] {
            object.insert(key.to_owned(), value(&mut dice, 4));
        }
        let old = Value::Object(object);
        let mut new = old.clone();
        for _ in 0..=dice.below(3) {
            let key = dice.one(&["data", "metadata", "spec", "rules"]);
            mutate(&mut new[key], &mut dice);
        }
        let (mut before, mut after) = (String::new(), String::new());
        yaml(&mut before, &old, 0);
        yaml(&mut after, &new, 0);
        let diff = differ(&dir, &before, &after);
        if diff.is_empty() {
            assert_eq!(old, new, "seed {seed}");
            continue;
        }
        let input = Input {
            argv: &[],
            exit: Some(1),
            stdout: Stream::whole(diff.as_bytes()),
            stderr: Stream::whole(b""),
            files: &[],
        };
        let reading = read(parser, None, &input);
        let report =
            reading.report().unwrap_or_else(|| panic!("seed {seed}: {:?}\n{diff}", reading.reason()));
        let [resource] = report.resources() else { panic!("seed {seed}: {:?}", report.resources()) };
        assert_eq!(resource.action, Action::Update, "seed {seed}");
        all += 1;
        let Some(paths) = &resource.attributes else { continue };
        told += 1;
        let (mut old_leaves, mut new_leaves) = (BTreeMap::new(), BTreeMap::new());
        leaves(&old, "", &mut old_leaves);
        leaves(&new, "", &mut new_leaves);
        let differing: BTreeSet<&String> = old_leaves
            .keys()
            .chain(new_leaves.keys())
            .filter(|path| old_leaves.get(*path) != new_leaves.get(*path))
            .collect();
        let paths: BTreeSet<&String> = paths.iter().collect();
        let missing: Vec<_> = differing.difference(&paths).collect();
        // Of a text of several lines that has moved, not all lines may be in the diff.
        let long =
            |path: &str| old_leaves.get(path).and_then(Value::as_str).is_some_and(|text| text.contains('\n'));
        let extra: Vec<_> = paths.difference(&differing).filter(|path| !long(path)).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "seed {seed}: missing {missing:?}, too many {extra:?}\n{diff}"
        );
    }
    let _ = fs::remove_dir_all(&dir);
    println!("paths of {told} of {all} objects told");
    assert!(told * 10 >= all * 8, "only {told} of {all}");
}
