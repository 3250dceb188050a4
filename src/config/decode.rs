//! The tree of a configuration → checks: defaults, `for_each`, `set`, keys and values. Collects problems and goes on.

use super::template::{Environment, TMP, Variables, expand, fill};
use super::units;
use super::yaml::{Entry, Node, Value};
use super::{Config, Place, Problem, for_each, parsers};
use crate::check::{self, Check, Reader, ReaderChoice, ResourceMetrics, default, nearest};
use crate::ignore::{IgnoreRule, Pattern};
use crate::redact::Secret;
use crate::schedule::Cron;
use crate::state::{KeptRuns, Store};
use driftrun_parsers::{Action, ExitCodes, Source};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROOT_KEYS: &[&str] = &[
    "checks",
    "defaults",
    "history",
    "lists",
    "max_capture_memory",
    "max_concurrent",
    "max_total_resources",
    "parsers",
    "state_dir",
    "tmp_dir",
];
const CHECK_KEYS: &[&str] = &[
    "clear_env",
    "command",
    "concurrency_group",
    "count_refresh",
    "cron",
    "env",
    "env_file",
    "exit_codes",
    "files",
    "ignore",
    "ignore_defaults",
    "interval",
    "kill_grace",
    "labels",
    "max_output",
    "max_resources",
    "parser",
    "redact",
    "report",
    "resource_metrics",
    "retries",
    "setup",
    "shell",
    "splay",
    "timeout",
    "workdir",
];
const RULE_KEYS: &[&str] = &["action", "attribute", "kind", "name", "reason", "scope", "source", "until"];
/// Lists that grow from `defaults` through the check to `set`; any other list replaces.
const APPENDING: &[&str] = &["env_file", "ignore", "redact"];

/// More runs at once than any machine can do.
const MOST_CONCURRENT: usize = 100_000;

/// Starts can be put off by so much.
const LONGEST_SPLAY: Duration = Duration::from_hours(24);

/// With the longest pause between them that is more than a day.
const MOST_RETRIES: u32 = 300;

/// `unix(7)`: 108 bytes for the path of a socket. Plugins put theirs into TMPDIR, with names of up to 28 bytes.
const MAX_TMP: usize = 80;

pub(super) fn config(
    root: &Node,
    folder: &Path,
    environment: Environment<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut decoder = Decoder { problems, folder, environment, parsers: BTreeMap::new(), looks: false };
    decoder.keys(root, ROOT_KEYS, "the configuration")?;
    let max_concurrent =
        root.get("max_concurrent").map_or_else(cores, |node| decoder.places(node).unwrap_or(1));
    let max_total_resources = root
        .get("max_total_resources")
        .map_or(Some(default::MAX_TOTAL_RESOURCES), |node| decoder.count(node))
        .unwrap_or(1);
    let max_capture_memory = root
        .get("max_capture_memory")
        .map_or(Some(default::MAX_CAPTURE_MEMORY), |node| decoder.size(node))
        .map_or(1, |size| usize::try_from(size).unwrap_or(usize::MAX).max(1));
    let state_dir = root.get("state_dir").and_then(|node| Some((decoder.path(node)?, node.place)));
    let history = root.get("history").map_or(Some(KeptRuns::default()), |node| decoder.history(node));
    let tmp_base = match (root.get("tmp_dir"), &state_dir) {
        (Some(node), _) => decoder.folder(node, &Variables::new()).map(|path| (path, Some(node.place))),
        (None, Some((folder, place))) => Some((Store::tmp(folder), Some(*place))),
        (None, None) => Some((std::env::temp_dir(), None)),
    };
    let tmp_base = tmp_base.and_then(|(path, place)| match tmp_base_problem(&path) {
        None => Some(path),
        Some(message) => {
            decoder.problems.push(Problem { place, message });
            None
        }
    });
    if let Some(node) = root.get("parsers") {
        decoder.parsers = parsers::parsers(&mut decoder, node);
    }
    let defaults = root.get("defaults");
    if let Some(defaults) = defaults {
        decoder.keys(defaults, CHECK_KEYS, "defaults");
    }
    let lists = root.get("lists");
    if let Some(node) = lists.filter(|lists| !lists.is_null() && !matches!(lists.value, Value::Map(_))) {
        decoder.problem(
            node.place,
            format!("`lists` must be a mapping from names to lists, not {}", node.kind()),
        );
    }
    let Some(list) = root.get("checks") else {
        decoder.problem(
            root.place,
            "no `checks:`; list at least one, as in `checks: [{name: uptime, command: [uptime]}]`",
        );
        return None;
    };
    let Value::List(nodes) = &list.value else {
        decoder.problem(list.place, format!("`checks` must be a list, not {}", list.kind()));
        return None;
    };
    if nodes.is_empty() {
        decoder.problem(list.place, "`checks` is empty; list at least one");
    }
    let mut named: HashMap<String, String> = HashMap::new();
    let (mut checks, mut warnings) = (Vec::new(), Vec::new());
    for node in nodes {
        let mut keys = CHECK_KEYS.to_vec();
        keys.extend(["name", "for_each"]);
        if decoder.keys(node, &keys, "a check").is_none() {
            continue;
        }
        for item in decoder.items(node, lists) {
            let layers = [defaults, Some(node), item.set.as_ref()];
            let merged = layers.into_iter().flatten().fold(None, |base, layer| Some(merge(base, layer)));
            let Some(merged) = merged else { continue };
            let base = tmp_base.clone().unwrap_or_default();
            let Some(check) = decoder.check(&merged, node, &item.variables, base, &mut warnings) else {
                continue;
            };
            let origin = format!("line {}{}", node.place.line, item.origin);
            if let Some(first) = named.get(&check.name) {
                let message = format!(
                    "check name {:?} is given twice: by {first} and by {origin}; put a variable into the name",
                    check.name
                );
                let place = node.get("name").map_or(node.place, |name| name.place);
                decoder.problem(place, message);
            } else {
                named.insert(check.name.clone(), origin);
                checks.push(check);
            }
        }
    }
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    let looks = decoder.looks;
    let parsers = decoder.parsers.into_iter().filter_map(|(name, reader)| Some((name, reader?))).collect();
    let state_dir = state_dir.map(|(folder, _)| folder);
    let history = history.unwrap_or_default();
    Some(Config {
        checks,
        parsers,
        max_concurrent,
        max_capture_memory,
        max_total_resources,
        warnings,
        state_dir,
        history,
        looks,
    })
}

/// What is wrong with a base for private folders, if anything.
pub(crate) fn tmp_base_problem(base: &Path) -> Option<String> {
    let longest = base.as_os_str().len() + "/01234567".len();
    (longest > MAX_TMP).then(|| {
        format!("{} is too long for a temporary folder: plugins put sockets there, and their paths end at 108 bytes; name one of at most {} bytes in `tmp_dir`", base.display(), MAX_TMP - 9)
    })
}

/// One core is one run.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `over` on top of `base`: mappings merge by key, some lists append, anything else replaces.
fn merge(base: Option<Node>, over: &Node) -> Node {
    let Some(base) = base else { return over.clone() };
    let (Value::Map(below), Value::Map(above)) = (&base.value, &over.value) else { return over.clone() };
    let mut entries = below.clone();
    // A command and a schedule of an upper layer replace whichever form the lower one has.
    let writes = |key: &str| above.iter().any(|entry| entry.key == key);
    let other = |key: &str| match key {
        "command" => "shell",
        "shell" => "command",
        "interval" => "cron",
        "cron" => "interval",
        _ => "",
    };
    entries.retain(|entry| writes(&entry.key) || !writes(other(&entry.key)));
    for entry in above {
        let Some(existing) = entries.iter_mut().find(|existing| existing.key == entry.key) else {
            entries.push(entry.clone());
            continue;
        };
        existing.place = entry.place;
        existing.value = match (&existing.value.value, &entry.value.value) {
            (Value::Map(_), Value::Map(_)) => merge(Some(existing.value.clone()), &entry.value),
            (Value::List(below), Value::List(above)) if APPENDING.contains(&entry.key.as_str()) => Node {
                place: entry.value.place,
                value: Value::List([below.as_slice(), above.as_slice()].concat()),
            },
            _ => entry.value.clone(),
        };
    }
    Node { place: over.place, value: Value::Map(entries) }
}

struct Item {
    variables: Variables,
    set: Option<Node>,
    origin: String,
}

pub(super) struct Decoder<'d> {
    problems: &'d mut Vec<Problem>,
    pub(super) folder: &'d Path,
    environment: Environment<'d>,
    /// Those that the configuration defines; `None` where that is a problem already.
    parsers: BTreeMap<String, Option<Reader>>,
    /// A glob was expanded.
    looks: bool,
}

impl Decoder<'_> {
    pub(super) fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    /// Reports keys that aren't known; `None` when the node is no mapping at all.
    pub(super) fn keys(&mut self, node: &Node, known: &[&str], of: &str) -> Option<()> {
        let Value::Map(entries) = &node.value else {
            self.problem(node.place, format!("{of} must be a mapping{}, not {}", example(of), node.kind()));
            return None;
        };
        for Entry { key, place, .. } in entries {
            if !known.contains(&key.as_str()) {
                let elsewhere = |other: &[&str]| other.contains(&key.as_str());
                let hint = if known != ROOT_KEYS && elsewhere(ROOT_KEYS) {
                    "it belongs to the top of the file, beside `checks`".to_owned()
                } else if known == ROOT_KEYS && elsewhere(CHECK_KEYS) {
                    "it belongs into a check, or under `defaults` for all of them".to_owned()
                } else if key == "<<" {
                    "merge keys are not read; what checks share goes under `defaults`".to_owned()
                } else {
                    nearest(key, known).map_or_else(
                        || format!("known here: {}", known.join(", ")),
                        |near| format!("did you mean {near:?}?"),
                    )
                };
                self.problem(*place, format!("unknown key {key:?} in {of}; {hint}"));
            }
        }
        Some(())
    }

    /// The items that `for_each` makes of a check; one without variables where there is none.
    fn items(&mut self, node: &Node, lists: Option<&Node>) -> Vec<Item> {
        let Some(each) = node.get("for_each") else {
            return vec![Item { variables: Variables::new(), set: None, origin: String::new() }];
        };
        if self.keys(each, &["allow_empty", "glob", "list"], "for_each").is_none() {
            return Vec::new();
        }
        if each.get("list").is_none() && each.get("glob").is_none() {
            self.problem(
                each.place,
                "for_each needs `list` (the name of a list) or `glob` (a path with {names})",
            );
            return Vec::new();
        }
        let before = self.problems.len();
        let mut items = match each.get("list") {
            Some(list) => self.list(list, lists),
            None => vec![Item { variables: Variables::new(), set: None, origin: String::new() }],
        };
        if let Some(glob) = each.get("glob") {
            self.looks = true;
            let Some(pattern) = self.text(glob) else { return Vec::new() };
            let mut matched = Vec::new();
            for item in items {
                match for_each::matches(self.folder, &pattern, &item.variables) {
                    Ok(found) => matched.extend(found.into_iter().map(|(path, captured)| {
                        let mut variables = item.variables.clone();
                        variables.extend(captured);
                        Item {
                            variables,
                            set: item.set.clone(),
                            origin: format!("{} for {path}", item.origin),
                        }
                    })),
                    Err(message) => self.problem(glob.place, message),
                }
            }
            items = matched;
        }
        let allow_empty = each.get("allow_empty").is_some_and(|node| self.boolean(node).unwrap_or(false));
        if items.is_empty() && !allow_empty && self.problems.len() == before {
            let place = each.get("glob").or_else(|| each.get("list")).map_or(each.place, |node| node.place);
            let what = match each.get("glob").map(|glob| &glob.value) {
                Some(Value::Scalar { text, .. }) => {
                    format!("nothing matches {text:?} in {}", self.folder.display())
                }
                _ => "matches nothing".to_owned(),
            };
            self.problem(
                place,
                format!(
                    "{what}, so the check would never run; correct it, or write `allow_empty: true` beside it"
                ),
            );
        }
        items
    }

    fn list(&mut self, node: &Node, lists: Option<&Node>) -> Vec<Item> {
        let list = match &node.value {
            Value::List(_) => node,
            Value::Map(_) | Value::Scalar { .. } => {
                let Some(name) = self.text(node) else { return Vec::new() };
                let Some(list) = lists.and_then(|lists| lists.get(&name)) else {
                    let known: Vec<&str> = match lists.map(|lists| &lists.value) {
                        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
                        _ => Vec::new(),
                    };
                    let known = if known.is_empty() {
                        "`lists:` defines none".to_owned()
                    } else {
                        format!("`lists:` defines {}", known.join(", "))
                    };
                    self.problem(node.place, format!("no list {name:?}; {known}"));
                    return Vec::new();
                };
                list
            }
        };
        let Value::List(nodes) = &list.value else {
            self.problem(
                list.place,
                format!("must be a list of mappings such as {{env: dev}}, not {}", list.kind()),
            );
            return Vec::new();
        };
        let mut items = Vec::new();
        for node in nodes {
            let Value::Map(entries) = &node.value else {
                self.problem(
                    node.place,
                    format!("an item must be a mapping such as {{env: dev}}, not {}", node.kind()),
                );
                continue;
            };
            let mut item = Item { variables: Variables::new(), set: None, origin: String::new() };
            for Entry { key, place, value } in entries {
                if key == "set" {
                    self.keys(value, CHECK_KEYS, "set");
                    item.set = Some(value.clone());
                } else if !for_each::is_name(key) || matches!(key.as_str(), TMP | "path") {
                    self.problem(*place, format!("{key:?} can't be a variable; use letters, digits and _, and neither \"tmp\" nor \"path\""));
                } else if let Some(text) = self.text(value) {
                    item.variables.insert(key.clone(), text);
                }
            }
            let values: Vec<String> =
                item.variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
            item.origin = format!(" with {}", values.join(","));
            items.push(item);
        }
        items
    }

    fn check(
        &mut self,
        merged: &Node,
        own: &Node,
        variables: &Variables,
        tmp_base: PathBuf,
        warnings: &mut Vec<String>,
    ) -> Option<Check> {
        let before = self.problems.len();
        let name = self.name(own, variables);
        let command = self.command(merged, own, variables);
        let report = merged.get("report").map(|node| self.argv(node, variables));
        let labels = self.map(merged.get("labels"), variables, "labels", check::check_label_name);
        let env = self.map(merged.get("env"), variables, "env", |key| {
            if key.is_empty() || key.contains(['=', '\0']) {
                Err(format!("{key:?} can't be a variable's name"))
            } else {
                Ok(())
            }
        });
        let env_file = self.env_files(merged.get("env_file"), variables);
        let clear_env = merged.get("clear_env").and_then(|node| self.boolean(node)).unwrap_or(false);
        let setup = self.setup(merged.get("setup"), variables);
        let workdir = merged
            .get("workdir")
            .map_or_else(|| Some(self.folder.to_owned()), |node| self.folder(node, variables));
        let interval = self.duration(merged.get("interval"), default::INTERVAL);
        let cron = self.cron(merged, name.as_deref().unwrap_or_default());
        let splay = merged.get("splay").and_then(|node| self.splay(node));
        let concurrency_group = merged.get("concurrency_group").and_then(|node| self.group(node, variables));
        let retries = merged.get("retries").map_or(Some(0), |node| self.retries(node));
        let timeout = self.duration(merged.get("timeout"), default::TIMEOUT);
        let kill_grace = self.duration(merged.get("kill_grace"), default::KILL_GRACE);
        let max_output = merged.get("max_output").map_or(Some(default::MAX_OUTPUT), |node| self.size(node));
        let ignore = merged.get("ignore").map(|node| self.rules(node)).unwrap_or_default();
        let count_refresh = merged.get("count_refresh").and_then(|node| self.boolean(node)).unwrap_or(false);
        let files = merged.get("files").map(|node| self.globs(node, variables)).unwrap_or_default();
        let ignore_defaults =
            merged.get("ignore_defaults").and_then(|node| self.boolean(node)).unwrap_or(true);
        let max_resources =
            merged.get("max_resources").map_or(Some(default::MAX_RESOURCES), |node| self.count(node));
        let resource_metrics = merged
            .get("resource_metrics")
            .and_then(|node| self.resource_metrics(node))
            .unwrap_or(ResourceMetrics::Full);
        let redact = merged.get("redact").map(|node| self.secrets(node)).unwrap_or_default();
        let exit_codes = merged.get("exit_codes").map(|node| self.exit_codes(node));
        let printed = report.as_ref().unwrap_or(&command).clone();
        let reader = self.reader(merged.get("parser"), own, printed.as_deref().unwrap_or_default());
        let (name, command, reader) = (name?, command?, reader?);
        if self.problems.len() > before {
            return None;
        }
        let check = Check {
            name,
            labels,
            setup,
            command,
            report: match report {
                Some(report) => Some(report?),
                None => None,
            },
            workdir: Some(workdir?),
            env,
            env_file,
            clear_env,
            reader,
            exit_codes,
            interval,
            cron,
            splay,
            concurrency_group,
            retries: retries?,
            timeout,
            kill_grace,
            max_output: usize::try_from(max_output?).unwrap_or(usize::MAX),
            tmp_base,
            files,
            count_refresh,
            ignore,
            ignore_defaults,
            max_resources: max_resources?,
            resource_metrics,
            url: None,
            redact,
        };
        warnings.extend(check.warnings());
        Some(check)
    }

    fn name(&mut self, own: &Node, variables: &Variables) -> Option<String> {
        let Some(node) = own.get("name") else {
            self.problem(own.place, "a check without `name`");
            return None;
        };
        let name = fill(&self.text(node)?, variables);
        if check::is_name(&name) {
            return Some(name);
        }
        let rule = if name.contains('{') {
            let known: Vec<&str> = variables.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none, as there is no `for_each`".to_owned()
            } else {
                known.join(", ")
            };
            format!("what stands in braces is no variable of this check; known: {known}")
        } else {
            "use 1 to 128 letters, digits, '_', '.', '-', and begin with a letter or digit".to_owned()
        };
        self.problem(node.place, format!("check name {name:?}: {rule}"));
        None
    }

    fn command(&mut self, merged: &Node, own: &Node, variables: &Variables) -> Option<Vec<String>> {
        match (merged.get("command"), merged.get("shell")) {
            (Some(_), Some(shell)) => {
                self.problem(shell.place, "both `command` and `shell`; keep one");
                None
            }
            // It is there, but misspelt.
            (None, None) if misspelt(merged, &["command", "shell"], CHECK_KEYS) => None,
            (None, None) => {
                self.problem(own.place, "a check without `command`; write `command: [program, argument]`, or `shell:` for a shell's line");
                None
            }
            (Some(command), None) => self.argv(command, variables),
            (None, Some(shell)) => {
                let text = self.text(shell)?;
                Some(vec!["sh".to_owned(), "-c".to_owned(), fill(&text, variables)])
            }
        }
    }

    fn setup(&mut self, node: Option<&Node>, variables: &Variables) -> Vec<Vec<String>> {
        let Some(node) = node else { return Vec::new() };
        match &node.value {
            Value::List(words) if words.iter().any(|word| matches!(word.value, Value::Scalar { .. })) => {
                self.problem(
                    node.place,
                    "`setup` is a list of commands, each of them a list; write [[terraform, init]]",
                );
                Vec::new()
            }
            Value::List(commands) => {
                commands.iter().filter_map(|command| self.argv(command, variables)).collect()
            }
            Value::Map(_) | Value::Scalar { .. } => {
                self.problem(
                    node.place,
                    format!("must be a list of commands such as [[terraform, init]], not {}", node.kind()),
                );
                Vec::new()
            }
        }
    }

    fn cron(&mut self, merged: &Node, name: &str) -> Option<Cron> {
        let node = merged.get("cron")?;
        if let Some(interval) = merged.get("interval") {
            self.problem(interval.place, "both `cron` and `interval`; keep one");
        }
        let text = self.text(node)?;
        Cron::new(&text, name, Timestamp::now()).map_err(|message| self.problem(node.place, message)).ok()
    }

    fn places(&mut self, node: &Node) -> Option<usize> {
        let count = self.count(node)?;
        if count > MOST_CONCURRENT {
            self.problem(node.place, format!("{count} runs at once are more than {MOST_CONCURRENT}"));
            return None;
        }
        Some(count)
    }

    /// More than nothing.
    fn size(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node)?;
        let size = units::size(&text).and_then(|size| match size {
            0 => Err(format!("{text:?} keeps nothing at all; write a size such as 64MiB")),
            size => Ok(size),
        });
        size.map_err(|message| self.problem(node.place, message)).ok()
    }

    /// How far starts may be put off: zero is a value of its own.
    fn splay(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        let splay = units::duration(&text).and_then(|splay| match splay {
            splay if splay > LONGEST_SPLAY => Err(format!("{text:?} is more than a day; write at most 1d")),
            splay => Ok(splay),
        });
        splay.map_err(|message| self.problem(node.place, message)).ok()
    }

    fn group(&mut self, node: &Node, variables: &Variables) -> Option<String> {
        let text = fill(&self.text(node)?, variables);
        if text.is_empty() {
            self.problem(
                node.place,
                "an empty name for a concurrency group; leave the key out, or name what is shared",
            );
            return None;
        }
        Some(text)
    }

    fn retries(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        match text.parse::<u32>() {
            Ok(retries) if retries <= MOST_RETRIES => Some(retries),
            _ => {
                self.problem(node.place, format!("{text:?} is no number from 0 to {MOST_RETRIES}"));
                None
            }
        }
    }

    /// Paths, relative to the configuration file. That a file is there is each run's affair: secrets come and are replaced while driftrun runs.
    fn env_files(&mut self, node: Option<&Node>, variables: &Variables) -> Vec<PathBuf> {
        let Some(node) = node else { return Vec::new() };
        let Value::List(files) = &node.value else {
            self.problem(
                node.place,
                format!("must be a list of files such as [/etc/driftrun/cloud.env], not {}", node.kind()),
            );
            return Vec::new();
        };
        let folder = self.folder;
        files.iter().filter_map(|file| Some(folder.join(self.expanded(file, variables)?))).collect()
    }

    fn globs(&mut self, node: &Node, variables: &Variables) -> Vec<String> {
        let Value::List(items) = &node.value else {
            self.problem(
                node.place,
                format!("must be a list of globs such as [\"reports/*.yaml\"], not {}", node.kind()),
            );
            return Vec::new();
        };
        let mut globs = Vec::new();
        for item in items {
            let Some(text) = self.text(item).map(|text| fill(&text, variables)) else { continue };
            match glob::Pattern::new(&text) {
                Ok(_) if !text.is_empty() => globs.push(text),
                Ok(_) => self.problem(item.place, "an empty glob matches no file"),
                Err(error) => {
                    let at = error.pos + 1;
                    self.problem(item.place, format!("{text:?} is no glob: {} (character {at})", error.msg));
                }
            }
        }
        globs
    }

    pub(super) fn argv(&mut self, node: &Node, variables: &Variables) -> Option<Vec<String>> {
        let Value::List(words) = &node.value else {
            self.problem(node.place, format!("a command must be a list of program and arguments, such as [terraform, plan, -input=false], not {}; a check's shell line goes under `shell:`", node.kind()));
            return None;
        };
        let argv: Option<Vec<String>> =
            words.iter().map(|word| self.text(word).map(|text| fill(&text, variables))).collect();
        let argv = argv?;
        if argv.first().is_none_or(String::is_empty) {
            self.problem(node.place, "a command without a program");
            return None;
        }
        if argv.iter().any(|word| word.contains('\0')) {
            self.problem(node.place, "a command can't hold a NUL character");
            return None;
        }
        Some(argv)
    }

    fn reader(&mut self, node: Option<&Node>, own: &Node, printed: &[String]) -> Option<ReaderChoice> {
        let name = match node {
            Some(node) => self.text(node)?,
            None => "auto".to_owned(),
        };
        let place = node.map_or(own.place, |node| node.place);
        match name.as_str() {
            "auto" => match driftrun_parsers::unread_tool(printed) {
                Some(tool) => {
                    self.problem(place, format!("`parser`: {}", check::no_parser(tool)));
                    None
                }
                None => Some(ReaderChoice::auto(printed)),
            },
            "none" => Some(ReaderChoice::ExitCode),
            name => {
                if let Some(parser) = driftrun_parsers::by_name(name) {
                    return Some(ReaderChoice::Known(Reader::Builtin(parser)));
                }
                if let Some(reader) = self.parsers.get(name) {
                    return reader.clone().map(ReaderChoice::Known);
                }
                let message = check::unknown_parser(name, self.parsers.keys());
                self.problem(place, message);
                None
            }
        }
    }

    fn secrets(&mut self, node: &Node) -> Vec<Secret> {
        let Value::List(patterns) = &node.value else {
            self.problem(
                node.place,
                format!("must be a list of regular expressions such as ['pin=\\d+'], not {}", node.kind()),
            );
            return Vec::new();
        };
        let mut secrets = Vec::new();
        for pattern in patterns {
            match self.text(pattern).map(|text| Secret::new(&text)) {
                Some(Ok(secret)) => secrets.push(secret),
                Some(Err(message)) => self.problem(pattern.place, message),
                None => {}
            }
        }
        secrets
    }

    pub(super) fn exit_codes(&mut self, node: &Node) -> ExitCodes {
        let mut codes = ExitCodes::default();
        if self.keys(node, &["clean", "drifted"], "exit_codes").is_none() {
            return codes;
        }
        for (key, into) in [("clean", &mut codes.clean), ("drifted", &mut codes.drifted)] {
            let Some(list) = node.get(key) else { continue };
            let Value::List(items) = &list.value else {
                self.problem(
                    list.place,
                    format!("must be a list of exit codes such as [0], not {}", list.kind()),
                );
                continue;
            };
            for item in items {
                match self.text(item).map(|text| text.parse::<u8>()) {
                    Some(Ok(code)) => into.push(i32::from(code)),
                    Some(Err(_)) => self.problem(item.place, "an exit code is a number from 0 to 255"),
                    None => {}
                }
            }
        }
        if let Some(code) = codes.clean.iter().find(|code| codes.drifted.contains(code)) {
            self.problem(node.place, format!("exit code {code} can't mean both clean and drifted"));
        }
        codes
    }

    fn rules(&mut self, node: &Node) -> Vec<IgnoreRule> {
        let Value::List(nodes) = &node.value else {
            self.problem(
                node.place,
                format!("must be a list of rules such as [{{kind: aws_instance}}], not {}", node.kind()),
            );
            return Vec::new();
        };
        nodes.iter().filter_map(|node| self.rule(node)).collect()
    }

    fn rule(&mut self, node: &Node) -> Option<IgnoreRule> {
        self.keys(node, RULE_KEYS, "an ignore rule")?;
        let mut rule = IgnoreRule::default();
        let Value::Map(entries) = &node.value else { return None };
        for Entry { key, value, .. } in entries {
            let Some(text) = self.text(value) else { continue };
            let problem = match key.as_str() {
                "kind" => Pattern::new(&text).map(|pattern| rule.kind = Some(pattern)),
                "scope" => Pattern::new(&text).map(|pattern| rule.scope = Some(pattern)),
                "name" => Pattern::new(&text).map(|pattern| rule.name = Some(pattern)),
                "attribute" => Pattern::new(&text).map(|pattern| rule.attribute = Some(pattern)),
                "action" => one_of(&text, &Action::ALL.map(|action| (action.as_str(), action)))
                    .map(|action| rule.action = Some(action)),
                "source" => {
                    one_of(&text, &[Source::Plan, Source::Refresh].map(|source| (source.as_str(), source)))
                        .map(|source| rule.source = Some(source))
                }
                "until" => text
                    .parse()
                    .map(|date| rule.until = Some(date))
                    .map_err(|_| format!("{text:?} is no date; write it like 2027-06-30")),
                "reason" => {
                    rule.reason = Some(text);
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(message) = problem {
                self.problem(value.place, message);
            }
        }
        if rule.attribute.is_some() && rule.action.is_some_and(|action| action != Action::Update) {
            self.problem(node.place, "a rule with `attribute` matches updates only; leave `action` out");
        }
        if entries.iter().all(|entry| matches!(entry.key.as_str(), "reason" | "until")) {
            self.problem(node.place, "an ignore rule that names no resource would ignore everything; give it kind, scope, name, action, source or attribute");
            return None;
        }
        Some(rule)
    }

    fn map(
        &mut self,
        node: Option<&Node>,
        variables: &Variables,
        what: &str,
        valid: impl Fn(&str) -> Result<(), String>,
    ) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let Some(node) = node else { return map };
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!("`{what}` must be a mapping of names to values, not {}", node.kind()),
            );
            return map;
        };
        for Entry { key, place, value } in entries {
            if let Err(message) = valid(key) {
                self.problem(*place, message);
            }
            if let Some(text) = self.expanded(value, variables) {
                map.insert(key.clone(), text);
            }
        }
        map
    }

    /// A path, absolute; what stands there is made when it is needed.
    fn path(&mut self, node: &Node) -> Option<PathBuf> {
        let folder = self.folder;
        self.expanded(node, &Variables::new()).map(|text| folder.join(text))
    }

    fn history(&mut self, node: &Node) -> Option<KeptRuns> {
        self.keys(node, &["runs", "size"], "history")?;
        let default = KeptRuns::default();
        let runs = node.get("runs").map_or(Some(default.runs), |node| self.count(node))?;
        let size = node.get("size").map_or(Some(default.size), |node| self.size(node))?;
        Some(KeptRuns { runs, size })
    }

    /// A folder that exists, absolute.
    fn folder(&mut self, node: &Node, variables: &Variables) -> Option<PathBuf> {
        let text = self.expanded(node, variables)?;
        let path = self.folder.join(&text);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => Some(path),
            Ok(_) => {
                self.problem(node.place, format!("{} is no folder", path.display()));
                None
            }
            Err(error) => {
                self.problem(
                    node.place,
                    format!(
                        "folder {}: {error}; relative paths are relative to the configuration file",
                        path.display()
                    ),
                );
                None
            }
        }
    }

    /// Text with variables of the check and of the environment filled in.
    fn expanded(&mut self, node: &Node, variables: &Variables) -> Option<String> {
        let text = self.text(node)?;
        match expand(&fill(&text, variables), self.environment) {
            Ok(text) => Some(text),
            Err(message) => {
                self.problem(node.place, message);
                None
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        node.text().map_err(|message| self.problem(node.place, message)).ok()
    }

    fn boolean(&mut self, node: &Node) -> Option<bool> {
        node.boolean().map_err(|message| self.problem(node.place, message)).ok()
    }

    fn resource_metrics(&mut self, node: &Node) -> Option<ResourceMetrics> {
        let known = [
            ("full", ResourceMetrics::Full),
            ("counts", ResourceMetrics::Counts),
            ("off", ResourceMetrics::Off),
        ];
        let text = self.text(node)?;
        one_of(&text, &known).map_err(|message| self.problem(node.place, message)).ok()
    }

    fn count(&mut self, node: &Node) -> Option<usize> {
        let text = self.text(node)?;
        match text.parse::<usize>() {
            Ok(count) if count > 0 => Some(count),
            _ => {
                self.problem(node.place, format!("{text:?} is no number from 1"));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: Option<&Node>, default: Duration) -> Duration {
        let Some(node) = node else { return default };
        let Some(text) = self.text(node) else { return default };
        match units::duration(&text) {
            Ok(duration) if duration.is_zero() => {
                self.problem(node.place, format!("{text:?} is no time at all; write a duration such as 10m"));
                default
            }
            Ok(duration) => duration,
            Err(message) => {
                self.problem(node.place, message);
                default
            }
        }
    }
}

/// What a mapping looks like, where people write something else.
fn example(of: &str) -> &'static str {
    match of {
        "for_each" => " such as {list: envs} or {glob: \"apps/{app}/\"}",
        "exit_codes" => " such as {clean: [0], drifted: [2]}",
        "an ignore rule" => " such as {kind: aws_instance, attribute: tags.env}",
        _ => " of keys to values",
    }
}

/// Whether a key that isn't known was meant to be one of `wanted`.
pub(super) fn misspelt(node: &Node, wanted: &[&str], known: &[&str]) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let unknown = entries.iter().map(|entry| entry.key.as_str()).filter(|key| !known.contains(key));
    unknown.filter_map(|key| nearest(key, known)).any(|meant| wanted.contains(&meant))
}

pub(super) fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{text:?} is not one of {}", names.join(", "))
    })
}
