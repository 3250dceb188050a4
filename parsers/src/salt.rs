//! Salt states in test mode, as JSON: `salt-call --local state.apply test=True --out json`, and `salt '*' …` with a document for
//! each minion.
//!
//! ```text
//! {
//!     "local": {
//!         "file_|-motd_|-/etc/motd_|-managed": {
//!             "changes": { "diff": "…", "mode": "0644" },
//!             "comment": "The file /etc/motd is set to be changed …",
//!             "result": null,
//!             "__sls__": "site",
//!             "__run_num__": 0,
//!             "__id__": "motd"
//!         }
//!     }
//! }
//! ```
//!
//! `result` is `null` for what would change, `true` for what is right (or, with changes, was just made so), `false` for what failed.
//! A minion whose states could not be compiled has a list of words instead, one that didn't answer a text. The exit code is 0
//! unless something failed. Nothing counts the states: what tells a whole output is the end of its JSON. How many minions were
//! meant the output doesn't tell, but those that don't answer are named in a document of their own (not with `--static`). Values in
//! `changes` and `comment` hold file contents: only the keys of known functions' changes are looked at.

#[cfg(test)]
mod tests;

use crate::error::{Class, Failure};
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Source, Unread, UnreadReason};
use crate::{Claim, Input, ParseError, Parser, input, text};
use memchr::memmem;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "salt",
    about: "salt states with test=True, --out json",
    recommended: "salt-call --local state.apply test=True --out json",
    actions: &[Action::Delete, Action::Create, Action::Update, Action::Change],
    drift_codes: &[],
    runs,
    recognise,
    claim,
    parse,
};

const HINT: &str = "add --out json";

fn arguments<'a>(argv: &'a [&'a str]) -> Option<&'a [&'a str]> {
    input::arguments_of(argv, &["salt-call", "salt", "salt-ssh"])
}

fn runs(argv: &[&str]) -> bool {
    arguments(argv).is_some_and(|arguments| arguments.iter().any(|argument| argument.starts_with("state.")))
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let stdout = input.stdout.bytes();
    let head = stdout.get(..stdout.len().min(64 * 1024)).unwrap_or_default();
    let has = |words: &str| memmem::find(head, words.as_bytes()).is_some();
    let words = ["Rendering SLS '", "No matching sls found for '", "Minion did not return. ["];
    if has("_|-") && has("\": {") {
        Some("keys of salt's states")
    } else if has("Total states run: ") {
        Some("a summary of salt for people")
    } else if has("{") && words.iter().any(|words| has(words)) {
        Some("words of salt in JSON")
    } else {
        None
    }
}

/// 1 and 2 (`--retcode-passthrough`, `salt`) say that something failed, and so does 11; the output says on which minion.
fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        None | Some(0 | 1 | 2 | 11) => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let failing = !matches!(input.exit, None | Some(0));
    match read(input) {
        Ok(minions) => settle(input, minions),
        Err(error) => match failure(input).filter(|_| failing) {
            Some(failure) => Ok(Parsed { failure: Some(failure), ..Parsed::new("salt") }),
            None => Err(error),
        },
    }
}

/// The tool's own words, where it ended before it printed any result.
fn failure(input: &Input<'_>) -> Option<Failure> {
    let said = |bytes: &[u8], starts: &[&str]| {
        text::lines(bytes).find_map(|line| {
            let line = text::string(&line.plain());
            starts.iter().any(|start| line.starts_with(start)).then_some(line)
        })
    };
    let nobody = said(input.stdout.bytes(), &["No minions matched the target"]);
    if let Some(words) = nobody {
        return Some(Failure::new(Class::NoScopes, text::first_words(words.as_bytes())));
    }
    let words = said(
        input.stderr.bytes(),
        &["[CRITICAL]", "[ERROR ", "ERROR: ", "Error: ", "'", "Salt request timed out"],
    )?;
    let class = if words.contains("timed out") || words.contains("connect") {
        Class::Unreachable
    } else {
        Class::Other
    };
    Some(Failure::new(class, text::first_words(words.as_bytes())))
}

/// What one minion answered.
struct Minion {
    id: String,
    answer: Answer,
}

enum Answer {
    States {
        resources: Vec<Resource>,
        failed: u64,
        all: u64,
        first_failed: Option<String>,
        made: bool,
    },
    /// Words instead of states.
    Lost(UnreadReason, Failure),
}

fn read(input: &Input<'_>) -> Result<Vec<Minion>, ParseError> {
    let bytes = input.stdout.bytes();
    let stdout = std::str::from_utf8(bytes).map_err(|_| ParseError::format("not UTF-8 text").hint(HINT))?;
    let stdout = stdout.strip_prefix('\u{feff}').unwrap_or(stdout);
    let mut begin = 0_usize;
    for line in stdout.split_inclusive('\n') {
        if line.starts_with('{') {
            break;
        }
        if line.starts_with([' ', '}']) {
            // Of a document, so its beginning is lost.
            return Err(ParseError::cut("a JSON document without its beginning").at(1));
        }
        if line.starts_with("-------") || line.starts_with("Summary for ") {
            return Err(ParseError::format("salt's output for people").at(1).hint(HINT));
        }
        begin = begin.saturating_add(line.len());
    }
    let (before, documents) = stdout.split_at_checked(begin).unwrap_or((stdout, ""));
    if documents.is_empty() {
        let error = if stdout.trim().is_empty() {
            ParseError::cut("no output: salt prints at least an empty object")
        } else {
            ParseError::format("no JSON document of salt")
        };
        return Err(error.hint(HINT));
    }
    let first = text::count_lines(before.as_bytes());
    let places = Places { documents, before: first, last: Cell::default() };
    let stream = serde_json::Deserializer::from_str(documents).into_iter::<Object<'_>>();
    let mut minions = Vec::new();
    let mut names = BTreeSet::new();
    for document in stream {
        for (id, raw) in document.map_err(|error| broken(&error, first))?.0 {
            if !names.insert(id.to_string()) {
                return Err(ParseError::contradiction("a minion that answers twice")
                    .hint("make each run of salt a check of its own"));
            }
            let answer = answer(&id, raw, &places)?;
            minions.push(Minion { id: id.into_owned(), answer });
        }
    }
    Ok(minions)
}

fn broken(error: &serde_json::Error, first: u32) -> ParseError {
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX).saturating_add(first);
    let built = if error.is_eof() {
        ParseError::cut("the JSON document ends before its end")
    } else {
        // serde's words can quote a value: name the place only.
        ParseError::format("not a JSON document of salt, or a key that stands twice")
    };
    built.at(line)
}

/// Where values stand in the output.
struct Places<'a> {
    documents: &'a str,
    before: u32,
    /// A byte that was asked for, and how many lines end before it: values are asked for in the order of the text, and counting
    /// from the beginning for each would take a time that grows with the square.
    last: Cell<(usize, u32)>,
}

impl Places<'_> {
    /// First and last line of a value that is a part of the documents.
    fn of(&self, value: &str) -> (u32, u32) {
        let at = value.as_ptr().addr().saturating_sub(self.documents.as_ptr().addr());
        let newlines =
            |bytes: &[u8]| u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX);
        let (from, lines) = Some(self.last.get()).filter(|(from, _)| *from <= at).unwrap_or_default();
        let between = self.documents.as_bytes().get(from..at).unwrap_or_default();
        let before = lines.saturating_add(newlines(between));
        self.last.set((at, before));
        let first = before.saturating_add(self.before).saturating_add(1);
        (first, first.saturating_add(newlines(value.as_bytes())))
    }
}

/// An object in the order of the text, in which no key stands twice.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

/// Borrowed where no escape stands in it.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                let mut keys = BTreeSet::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    if !keys.insert(key.clone()) {
                        return Err(serde::de::Error::custom("a key that stands twice"));
                    }
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn answer(id: &str, raw: &RawValue, places: &Places<'_>) -> Result<Answer, ParseError> {
    let (line, _) = places.of(raw.get());
    let lost = |words: &str| {
        let first = text::first_words(words.as_bytes());
        let (reason, class) = if words.starts_with("Minion did not return")
            || first.contains("Connection refused")
            || first.contains("timed out")
        {
            (UnreadReason::Unreachable, Class::Unreachable)
        } else if words.starts_with("No matching sls found") {
            (UnreadReason::Failed, Class::NoScopes)
        } else {
            (UnreadReason::Failed, Class::Other)
        };
        // Behind it stands what a template or a value is.
        let told = match first.split_once(": ") {
            Some((told, _)) if first.contains("Rendering SLS ") => told,
            _ => first.as_str(),
        };
        Answer::Lost(reason, Failure::new(class, format!("{id}: {told}")))
    };
    if let Ok(words) = serde_json::from_str::<String>(raw.get()) {
        return Ok(lost(&words));
    }
    if let Ok(words) = serde_json::from_str::<Vec<String>>(raw.get()) {
        return match words.first() {
            Some(first) => Ok(lost(first)),
            None => Err(ParseError::format("a list of nothing instead of states").at(line)),
        };
    }
    if !raw.get().starts_with('{') {
        return Err(ParseError::format("a value instead of states: no run of states")
            .at(line)
            .hint("run state.apply or state.highstate with test=True"));
    }
    let object: Object<'_> =
        serde_json::from_str(raw.get()).map_err(|error| broken(&error, line.saturating_sub(1)))?;
    // `--metadata` of salt-call.
    if let (Some(inner), Some(_)) = (object.get("return"), object.get("jid")) {
        return answer(id, inner, places);
    }
    // salt-ssh, where the connection or the remote Python failed.
    if let (Some(_), Some(words)) = (object.get("retcode"), object.get("stderr")) {
        return Ok(lost(&serde_json::from_str::<String>(words.get()).unwrap_or_default()));
    }
    let (mut resources, mut failed, mut first_failed, mut made) = (Vec::new(), 0_u64, None, false);
    let all = u64::try_from(object.0.len()).unwrap_or(u64::MAX);
    for (key, raw) in object.0 {
        let state = state(&key, raw, id, places)?;
        if state.failed {
            failed = failed.saturating_add(1);
            first_failed.get_or_insert(state.words);
        }
        made |= state.made;
        resources.extend(state.found);
    }
    Ok(Answer::States { resources, failed, all, first_failed, made })
}

/// One state's result.
struct State {
    words: String,
    failed: bool,
    made: bool,
    found: Option<Resource>,
}

fn state(key: &str, raw: &RawValue, minion: &str, places: &Places<'_>) -> Result<State, ParseError> {
    let (first, last) = places.of(raw.get());
    let parts: Vec<&str> = key.split("_|-").collect();
    let [module, id, .., _, function] = parts.as_slice() else {
        return Err(ParseError::format("a key that isn't a state's")
            .at(first)
            .hint("run state.apply or state.highstate with test=True"));
    };
    let kind = format!("{module}.{function}");
    let object: Object<'_> =
        serde_json::from_str(raw.get()).map_err(|error| broken(&error, first.saturating_sub(1)))?;
    let lacks = |what: &str| ParseError::format(format!("expected a state with {what}")).at(first);
    let result: Option<bool> = object
        .get("result")
        .and_then(|result| serde_json::from_str(result.get()).ok())
        .ok_or_else(|| lacks("a result of true, false or null"))?;
    let changes = object.get("changes").ok_or_else(|| lacks("changes"))?;
    if object.get("__run_num__").and_then(|number| number.get().parse::<u64>().ok()).is_none() {
        return Err(lacks("__run_num__"));
    }
    let own: Option<Cow<'_, str>> =
        object.get("__id__").and_then(|id| serde_json::from_str::<Key<'_>>(id.get()).ok()).map(|Key(id)| id);
    let id = own.filter(|id| !id.is_empty()).unwrap_or(Cow::Borrowed(id));
    let changes: Option<Object<'_>> = match changes.get() {
        "[]" | "null" => Some(Object(Vec::new())),
        changes => serde_json::from_str(changes).ok(),
    };
    let unchanged = changes.as_ref().is_some_and(|changes| changes.0.is_empty());
    let found = (result != Some(true) || !unchanged).then(|| {
        let (action, attributes) =
            changes.map_or((Action::Change, None), |changes| told(&kind, &changes, object.get("name")));
        let mut found = Resource::new(Source::Plan, minion, &kind, &*id, action);
        // Without indentation a document is one line.
        if first != last {
            // The key stands on the line of its value.
            found = found.with_span(first, last);
        }
        found.attributes = attributes;
        found
    });
    let failed = result == Some(false);
    Ok(State {
        words: format!("{kind} {id}"),
        failed,
        made: result == Some(true) && !unchanged,
        // A failed state shows what it had changed before, if anything.
        found: found.filter(|_| !(failed && unchanged)),
    })
}

/// What the keys of `changes` tell of the action and the attributes, for the functions whose keys are known.
fn told(kind: &str, changes: &Object<'_>, name: Option<&RawValue>) -> (Action, Option<Vec<String>>) {
    const NONE: (Action, Option<Vec<String>>) = (Action::Change, None);
    let keys: Vec<&str> = changes.0.iter().map(|(key, _)| &**key).collect();
    if keys.is_empty() {
        return NONE;
    }
    match kind {
        "file.absent" | "file.missing" if keys == ["removed"] => (Action::Delete, None),
        "file.symlink" if keys == ["new"] => (Action::Create, None),
        "file.symlink" if keys == ["change"] => (Action::Update, Some(vec!["target".to_owned()])),
        // In test mode, and when it was made.
        "file.managed"
            if keys.contains(&"newfile")
                || changes.get("diff").is_some_and(|diff| diff.get() == "\"New file\"") =>
        {
            (Action::Create, None)
        }
        "file.managed" | "file.replace" | "file.line" | "file.append" | "file.prepend"
        | "file.blockreplace" | "file.comment" | "file.uncomment" | "file.keyvalue" | "file.serialize" => {
            (Action::Update, keys.into_iter().map(of_file).collect())
        }
        "file.directory" => directory(changes, name),
        "pkg.installed" | "pkg.latest" => match packages(changes) {
            Some(pairs) if pairs.iter().all(|(old, _)| old.is_empty()) => (Action::Create, None),
            _ => (Action::Update, None),
        },
        "pkg.removed" | "pkg.purged" => (Action::Delete, None),
        "host.present" if keys == ["added"] => (Action::Create, None),
        _ => NONE,
    }
}

fn of_file(key: &str) -> Option<String> {
    match key {
        "diff" => Some("content".to_owned()),
        "mode" | "user" | "group" | "attrs" | "seuser" | "serole" | "setype" | "serange" => {
            Some(key.to_owned())
        }
        _ => None,
    }
}

/// `{PATH: {"directory": "new"}}`, `{PATH: {"mode": …}}`: with other paths in it, of what is below the directory.
fn directory(changes: &Object<'_>, name: Option<&RawValue>) -> (Action, Option<Vec<String>>) {
    let name = name.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    if let ([(path, inner)], Some(name)) = (changes.0.as_slice(), name)
        && path.trim_end_matches('/') == name.trim_end_matches('/')
        && let Ok(inner) = serde_json::from_str::<Object<'_>>(inner.get())
    {
        if inner.get("directory").is_some() {
            return (Action::Create, None);
        }
        return (Action::Update, inner.0.iter().map(|(key, _)| of_file(key)).collect());
    }
    (Action::Update, None)
}

/// `{PACKAGE: {"old": …, "new": …}}`
fn packages(changes: &Object<'_>) -> Option<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Versions {
        old: String,
        new: String,
    }
    let pair = |raw: &RawValue| serde_json::from_str::<Versions>(raw.get()).ok().map(|v| (v.old, v.new));
    changes.0.iter().map(|(_, raw)| pair(raw)).collect()
}

/// Whether `salt` itself, also on a shell's line, is told to leave out minions that don't answer.
fn hides_silent(argv: &[&str]) -> bool {
    let is_salt = |word: &&str| word.rsplit('/').next() == Some("salt");
    let hides = |words: &[&str]| {
        words.iter().skip_while(|word| !is_salt(word)).skip(1).any(|word| {
            // Options may be cut short, and letters stand together; behind some of them stands a value.
            let long = |option: &str, least: usize| word.len() >= least && option.starts_with(word);
            let letters = word.strip_prefix('-').filter(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic()));
            long("--static", "--stati".len())
                || long("--hide-timeout", "--hi".len())
                || letters.is_some_and(|letters| {
                    letters.chars().take_while(|c| !"abcltuTW".contains(*c)).any(|c| c == 's')
                })
        })
    };
    if arguments(argv).is_some() {
        return hides(argv);
    }
    argv.iter().flat_map(|line| line.split(['|', ';', '&', '\n'])).any(|command| {
        let words =
            command.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'', '(', ')', '`']));
        hides(&words.collect::<Vec<_>>())
    })
}

fn settle(input: &Input<'_>, minions: Vec<Minion>) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::new("salt");
    let failing = !matches!(input.exit, None | Some(0));
    if hides_silent(input.argv) {
        return Err(ParseError::format(
            "with --static or --hide-timeout a minion that doesn't answer is left out without a word",
        )
        .hint("leave it out: a document for each minion is read"));
    }
    if minions.is_empty() {
        let error = ParseError::no_scopes("no minion answered").hint("check the target");
        return match failure(input).filter(|_| failing) {
            Some(failure) => Ok(Parsed { failure: Some(failure), ..parsed }),
            None => Err(error),
        };
    }
    let mut first: Option<Failure> = None;
    let mut made = false;
    for Minion { id, answer } in minions {
        let (reason, failure) = match answer {
            Answer::Lost(reason, failure) => (reason, failure),
            Answer::States { all: 0, .. } => {
                (UnreadReason::Failed, Failure::new(Class::NoScopes, format!("{id} has no states")))
            }
            Answer::States { resources, failed, all, first_failed, made: here } => {
                made |= here;
                parsed.resources.extend(resources);
                let Some(words) = first_failed else {
                    parsed.scopes.read.push(id);
                    continue;
                };
                // `no_|-states_|-states_|-None`: no top file, or nothing in it for this minion.
                let failure = if words == "no.None states" {
                    Failure::new(Class::NoScopes, format!("no states are named for {id} in the top file"))
                } else {
                    let words = format!("{failed} of {all} states of {id} failed, first {words}");
                    Failure::new(Class::ScopeFailed, words)
                };
                (UnreadReason::Failed, failure)
            }
        };
        parsed.diagnostics.push(Diagnostic::error(failure.summary.clone()));
        parsed.scopes.unread.push(Unread { scope: id, reason });
        first.get_or_insert(failure);
    }
    if failing && parsed.scopes.unread.is_empty() {
        let code = input.exit.unwrap_or_default();
        return Err(ParseError::contradiction(format!(
            "exit code {code} says that something failed, the output that nothing did"
        )));
    }
    parsed.failure = first.filter(|_| parsed.scopes.read.is_empty());
    if made {
        parsed.diagnostics.push(Diagnostic::warning("ran without test=True: changes were made"));
    }
    parsed.said = if parsed.resources.is_empty() { Said::NoChanges } else { Said::Changes };
    Ok(parsed)
}
