//! `for_each`: one check in the text, many in the result. Lists give variables and overrides, a glob gives one item a match.

use super::template::{Variables, fill};
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// Every path below `root` that matches `pattern`, with the variables that its components capture, sorted by path.
///
/// A component may hold `*`, `?`, a variable of `known` (`{env}`, replaced) and new names (`{app}`, captured). A final `/` keeps folders
/// only. Hidden entries match only a component that begins with a dot.
///
/// # Errors
/// A pattern that makes no sense, or a folder that can't be read, as a lowercase fragment.
pub(super) fn matches(
    root: &Path,
    pattern: &str,
    known: &Variables,
) -> Result<Vec<(String, Variables)>, String> {
    let filled = fill(pattern, known);
    let (folders_only, pattern) = match filled.strip_suffix('/') {
        Some(pattern) => (true, pattern),
        None => (false, filled.as_str()),
    };
    let mut found: Vec<(PathBuf, Variables)> = if pattern.starts_with('/') {
        vec![(PathBuf::from("/"), Variables::new())]
    } else {
        vec![(PathBuf::new(), Variables::new())]
    };
    let mut names = Vec::new();
    let components: Vec<&str> = pattern.split('/').filter(|c| !c.is_empty()).collect();
    for (n, component) in components.iter().enumerate() {
        let last = n + 1 == components.len();
        let matcher = Component::new(component, &mut names)?;
        let mut deeper = Vec::new();
        for (path, variables) in found {
            match &matcher {
                Component::Literal(name) => {
                    let path = path.join(name);
                    let full = root.join(&path);
                    if full.exists() && (!last || !folders_only || full.is_dir()) {
                        deeper.push((path, variables));
                    }
                }
                Component::Pattern { regex, names, hidden } => {
                    let folder = root.join(&path);
                    let entries = match fs::read_dir(&folder) {
                        Ok(entries) => entries,
                        Err(_) if !folder.is_dir() => continue,
                        Err(error) => return Err(format!("can't list {}: {error}", folder.display())),
                    };
                    for entry in entries.flatten() {
                        let name = entry.file_name();
                        let Some(name) = name.to_str().filter(|name| *hidden || !name.starts_with('.'))
                        else {
                            continue;
                        };
                        let Some(captures) = regex.captures(name) else { continue };
                        let path = path.join(name);
                        if (!last || folders_only) && !root.join(&path).is_dir() {
                            continue;
                        }
                        let mut variables = variables.clone();
                        for (n, name) in names.iter().enumerate() {
                            variables.insert(
                                name.clone(),
                                captures.get(n + 1).map_or("", |m| m.as_str()).to_owned(),
                            );
                        }
                        deeper.push((path, variables));
                    }
                }
            }
        }
        found = deeper;
    }
    found.sort();
    Ok(found
        .into_iter()
        .map(|(path, mut variables)| {
            let path = path.to_string_lossy().into_owned();
            variables.insert("path".to_owned(), path.clone());
            (path, variables)
        })
        .collect())
}

enum Component {
    Literal(String),
    Pattern { regex: Regex, names: Vec<String>, hidden: bool },
}

impl Component {
    fn new(text: &str, taken: &mut Vec<String>) -> Result<Self, String> {
        if text.contains("**") {
            return Err(format!(
                "\"**\" in {text:?} is not supported; name each level, as in apps/{{team}}/{{app}}/"
            ));
        }
        let (mut regex, mut names, mut wild, mut rest) = (String::from("^"), Vec::new(), false, text);
        while let Some(c) = rest.chars().next() {
            let name = rest.strip_prefix('{').and_then(|hole| hole.split_once('}')).map(|(name, _)| name);
            if let Some(name) = name.filter(|name| is_name(name)) {
                if taken.iter().any(|other| other == name) {
                    return Err(format!("{{{name}}} stands twice in the glob"));
                }
                taken.push(name.to_owned());
                names.push(name.to_owned());
                regex.push_str("([^/]+?)");
                wild = true;
                rest = &rest[name.len() + 2..];
                continue;
            }
            match c {
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
            wild |= matches!(c, '*' | '?');
            rest = &rest[c.len_utf8()..];
        }
        regex.push('$');
        if !wild {
            return Ok(Self::Literal(text.to_owned()));
        }
        let regex = Regex::new(&regex).map_err(|error| format!("glob component {text:?}: {error}"))?;
        Ok(Self::Pattern { regex, names, hidden: text.starts_with('.') })
    }
}

/// A variable's name: letters, digits and `_`, not a digit first.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, paths: &[&str]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("driftrun-glob-{}-{name}", std::process::id()));
        for path in paths {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.to_string_lossy().ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, "").unwrap();
            }
        }
        root
    }

    #[test]
    fn a_new_name_captures_one_component_and_a_known_one_is_replaced() {
        let root = tree(
            "names",
            &["k8s/dev/web/", "k8s/dev/db/", "k8s/prod/web/", "k8s/dev/README", "k8s/dev/.git/"],
        );
        let known = Variables::from([("env".to_owned(), "dev".to_owned())]);
        let found = matches(&root, "k8s/{env}/{app}/", &known).unwrap();
        let apps: Vec<(&str, &str)> =
            found.iter().map(|(path, v)| (path.as_str(), v["app"].as_str())).collect();
        assert_eq!(apps, [("k8s/dev/db", "db"), ("k8s/dev/web", "web")]);
        let all = matches(&root, "k8s/{env}/w?b", &Variables::new()).unwrap();
        assert_eq!(
            all.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["k8s/dev/web", "k8s/prod/web"]
        );
        assert_eq!(matches(&root, "none/*", &known).unwrap(), []);
        assert!(matches(&root, "{a}/{a}", &known).unwrap_err().contains("twice"));
        assert!(matches(&root, "k8s/**/x", &known).unwrap_err().contains("not supported"));
        fs::remove_dir_all(root).unwrap();
    }
}
