//! The `json` callback of ansible (`ANSIBLE_STDOUT_CALLBACK=ansible.posix.json`, `json` before 2.10): one document at the end
//! of each playbook, with every result and the statistics. Each document repeats the plays of those before it.
//!
//! ```text
//! {
//!     "custom_stats": {},
//!     "global_custom_stats": {},
//!     "plays": [ { "play": { "id": "02fc…", "name": "web" },
//!                  "tasks": [ { "hosts": { "web1": { "action": "copy", "changed": true, … } },
//!                               "task": { "id": "02fc…", "name": "nginx : Install" } } ] } ],
//!     "stats": { "web1": { "changed": 1, "failures": 0, "ignored": 0, "ok": 4, "rescued": 0, "skipped": 1, "unreachable": 0 } }
//! }
//! ```
//!
//! Verbose runs and a merged stderr put other lines before it. The results hold file contents and secrets: only flags, the
//! action, names and the keys of a file's state in diffs are looked at. Which failures were ignored the format doesn't tell.

use crate::ansible::attributes;
use crate::ansible_playbook::{self as playbook, Finding, Recap, Run, Stats};
use crate::report::{Parsed, Span};
use crate::{Input, ParseError, Parser, text};
use memchr::memmem;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The parser.
pub static PARSER: Parser = Parser {
    name: "ansible-json",
    about: "ansible-playbook --check, callback json",
    recommended: "ansible-playbook site.yml --check --diff (with ANSIBLE_STDOUT_CALLBACK=ansible.posix.json)",
    actions: playbook::ACTIONS,
    drift_codes: &[],
    runs: playbook::runs,
    recognise,
    claim: playbook::claim,
    parse,
};

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let stdout = input.stdout.bytes();
    let head = stdout.get(document(stdout)?..)?;
    let head = head.get(..head.len().min(4096)).unwrap_or_default();
    let has = |key: &[u8]| memmem::find(head, key).is_some();
    (has(b"\"custom_stats\"") || has(b"\"plays\"")).then_some("a JSON document with plays and stats")
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    match read(playbook::output(input.stdout)?) {
        Ok(run) => playbook::settle(input, run),
        Err(error) => playbook::failed_or(input, error),
    }
}

/// Where the first line begins that begins a document: `{` and then one of its keys.
fn document(stdout: &[u8]) -> Option<usize> {
    const KEYS: [&[u8]; 4] = [b"\"custom_stats\"", b"\"global_custom_stats\"", b"\"plays\"", b"\"stats\""];
    let first = stdout.starts_with(b"{").then_some(0);
    let rest = memmem::find_iter(stdout, b"\n{").map(|at| at.saturating_add(1));
    first.into_iter().chain(rest).find(|at| {
        let inner = stdout.get(at.saturating_add(1)..).unwrap_or_default().trim_ascii_start();
        // A document that is cut within its first key is still one.
        KEYS.iter().any(|key| inner.starts_with(key) || key.starts_with(inner))
    })
}

fn read(stdout: &[u8]) -> Result<Run, ParseError> {
    let mut rest = stdout;
    let mut documents: Vec<Document<'_>> = Vec::new();
    while let Some(at) = document(rest) {
        let here = rest.get(at..).unwrap_or_default();
        let first =
            text::count_lines(stdout.get(..stdout.len().saturating_sub(here.len())).unwrap_or_default());
        nothing_between(rest.get(..at).unwrap_or_default(), first)?;
        let mut stream = serde_json::Deserializer::from_slice(here).into_iter::<Document<'_>>();
        match stream.next() {
            Some(Ok(document)) => documents.push(document),
            Some(Err(error)) => return Err(broken(&error, first)),
            None => break,
        }
        rest = here.get(stream.byte_offset()..).unwrap_or_default();
    }
    nothing_between(rest, text::count_lines(stdout))?;
    let Some(mut last) = documents.pop() else {
        return Err(ParseError::format("no JSON document of ansible's json callback").hint(
            "it is printed at the end only: the run was stopped, or ANSIBLE_STDOUT_CALLBACK is another one",
        ));
    };
    let plays: BTreeSet<&str> = last.plays.iter().map(|play| &*play.play.id).collect();
    if documents.iter().flat_map(|d| &d.plays).any(|play| !plays.contains(&*play.play.id)) {
        return Err(ParseError::contradiction(
            "a later document lacks an earlier play: the output holds several runs",
        )
        .hint("make each run of ansible-playbook a check of its own"));
    }
    let mut run = Run { shows_failures: true, ..Run::default() };
    for play in std::mem::take(&mut last.plays) {
        run.in_last_play.clear();
        run.failed_last.clear();
        for task in play.tasks {
            run.failed_last.clear();
            for (host, outcome) in task.hosts {
                outcome.note(&host, &task.task.name, None, false, &mut run);
            }
        }
    }
    run.recaps = documents.into_iter().chain([last]).map(|document| recap(document.stats)).collect();
    Ok(run)
}

/// Other words stand between documents, but no document that doesn't begin its line, nor a part of one.
fn nothing_between(words: &[u8], line: u32) -> Result<(), ParseError> {
    let has = |key: &[u8]| memmem::find(words, key).is_some();
    let end_of_one = has(b"\"stats\": {");
    if end_of_one || (has(b"\"plays\":") && has(b"\"stats\":")) {
        return Err(ParseError::format("a document, or a part of one, that doesn't begin its line")
            .at(line)
            .hint("make each run of ansible-playbook a check of its own"));
    }
    Ok(())
}

fn broken(error: &serde_json::Error, first: u32) -> ParseError {
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX).saturating_add(first);
    let built = if error.is_eof() {
        ParseError::cut("the JSON document ends before its end")
    } else {
        // serde's words can quote a value: name the place only.
        ParseError::format("not a JSON document of ansible's json callback")
    };
    built.at(line)
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    plays: Vec<Play<'a>>,
    stats: BTreeMap<String, JsonStats>,
}

#[derive(Deserialize)]
struct Play<'a> {
    #[serde(borrow)]
    play: PlayInfo<'a>,
    #[serde(borrow)]
    tasks: Vec<Task<'a>>,
}

#[derive(Deserialize)]
struct PlayInfo<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(borrow)]
    task: TaskInfo<'a>,
    #[serde(borrow)]
    hosts: BTreeMap<String, Outcome<'a>>,
}

/// What a task is called, with its role as the banners of the text format have it: `ROLE : NAME`.
#[derive(Deserialize)]
pub(crate) struct TaskInfo<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

/// One host's line of `stats`.
#[derive(Deserialize)]
pub(crate) struct JsonStats {
    ok: u32,
    changed: u32,
    failures: u32,
    unreachable: u32,
    rescued: Option<u32>,
    ignored: Option<u32>,
}

pub(crate) fn recap(stats: BTreeMap<String, JsonStats>) -> Recap {
    let counts = |s: &JsonStats| Stats {
        ok: s.ok,
        changed: s.changed,
        unreachable: s.unreachable,
        failed: s.failures,
        rescued: s.rescued,
        ignored: s.ignored,
        line: None,
    };
    stats.into_iter().map(|(host, stats)| (host, counts(&stats))).collect()
}

/// A task's result on one host.
#[derive(Deserialize)]
pub(crate) struct Outcome<'a> {
    #[serde(default)]
    changed: Truth,
    #[serde(default)]
    failed: Truth,
    #[serde(default)]
    skipped: Truth,
    #[serde(default)]
    unreachable: Truth,
    exception: Option<IgnoredAny>,
    #[serde(default, borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    results: Option<&'a RawValue>,
    #[serde(default, borrow)]
    diff: Option<&'a RawValue>,
}

impl Outcome<'_> {
    /// Adds what this result says to `run`, in the order of the output.
    ///
    /// `unreachable`: told beside the result. `no_log` leaves little of one, and that isn't in it.
    pub(crate) fn note(
        mut self,
        host: &str,
        task: &str,
        span: Option<Span>,
        unreachable: bool,
        run: &mut Run,
    ) {
        // From ansible-core 2.19 on this much is left of it, which no result has that is none of both.
        self.unreachable.0 |= self.exception.is_some() && !self.failed.0;
        self.unreachable.0 |= unreachable;
        run.in_last_play.insert(host.to_owned());
        if self.unreachable.0 {
            run.unreachable.insert(host.to_owned());
        }
        if self.unreachable.0 || self.failed.0 {
            run.failed_last.insert(host.to_owned());
        }
        // A failure may be skipped as well: 2.9 says so of a lost connection that is ignored.
        let counts = if self.failed.0 || self.unreachable.0 {
            Some(&mut run.failures)
        } else if self.skipped.0 || self.includes() {
            None
        } else {
            Some(&mut run.succeeded)
        };
        if let Some(counts) = counts {
            let count = counts.entry(host.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        if self.skipped.0 {
            return;
        }
        if !run.answered.contains_key(host) {
            run.answered.insert(host.to_owned(), span.map(|Span(line, _)| line));
        }
        if self.changed.0 {
            let failed = self.failed.0 || self.unreachable.0;
            let (host, task) = (run.host(host), run.task(task));
            let attributes = self.attributes();
            run.findings.push(Finding {
                host,
                task,
                kind: self.action.unwrap_or_default().into_owned(),
                span,
                failed,
                ignored: false,
                shown: !failed || self.results.is_some_and(an_item_changed),
                play: None,
                attributes,
            });
        }
    }
}

impl Outcome<'_> {
    /// A role or file with tasks was included: not counted for each that this is said of.
    fn includes(&self) -> bool {
        let action = self.action.as_deref().unwrap_or_default();
        action.rsplit('.').next().is_some_and(|module| module.starts_with("include"))
    }

    /// What the diffs show as changed, where they show everything: of the task, or of each item that has changed something.
    fn attributes(&self) -> Option<Vec<String>> {
        if self.failed.0 || self.unreachable.0 {
            return None;
        }
        let Some(results) = self.results else { return shown(self.diff?) };
        let items: Vec<LoopItem<'_>> = serde_json::from_str(results.get()).ok()?;
        let mut changed = items.iter().filter(|item| item.changed.0).map(|item| shown(item.diff?));
        let first = changed.next()?;
        changed.fold(first, attributes::both)
    }
}

/// An item of a loop with its diff.
#[derive(Deserialize)]
struct LoopItem<'a> {
    #[serde(default)]
    changed: Truth,
    #[serde(default, borrow)]
    diff: Option<&'a RawValue>,
}

/// One diff of a result. Modules add keys of their own: what they mean nobody knows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Diff {
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    before_header: Option<String>,
    after_header: Option<String>,
}

/// What a `diff` shows, one or a list of several.
fn shown(diff: &RawValue) -> Option<Vec<String>> {
    let diffs: Vec<Diff> = if diff.get().starts_with('[') {
        serde_json::from_str(diff.get()).ok()?
    } else {
        vec![serde_json::from_str(diff.get()).ok()?]
    };
    let mut found: Option<Vec<String>> = None;
    for diff in diffs.into_iter().filter(|diff| diff.before != diff.after) {
        let shown = diff.shown()?;
        found = match found {
            Some(before) => attributes::both(Some(before), Some(shown)),
            None => Some(shown),
        };
    }
    found
}

impl Diff {
    fn shown(self) -> Option<Vec<String>> {
        let header = match (self.before_header.as_deref(), self.after_header.as_deref()) {
            (Some(before), Some(after)) if before == after => Some(before),
            (None, None) => None,
            _ => return None,
        };
        match (header, self.before, self.after) {
            (Some(header), Value::String(_), Value::String(_)) if header.ends_with(" (content)") => {
                Some(vec!["content".to_owned()])
            }
            (header, Value::Object(before), Value::Object(after))
                if header.is_none_or(|header| header.ends_with(" (file attributes)")) =>
            {
                attributes::between(&before.into_iter().collect(), &after.into_iter().collect())
            }
            _ => None,
        }
    }
}

/// An item of a loop in `results`.
#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    changed: Truth,
    #[serde(default)]
    failed: Truth,
    #[serde(default)]
    skipped: Truth,
    #[serde(default)]
    unreachable: Truth,
}

/// Whether `results` is a loop's list in which an item changed something and didn't fail. Modules use that key for other things.
fn an_item_changed(results: &RawValue) -> bool {
    let items: Vec<&RawValue> = serde_json::from_str(results.get()).unwrap_or_default();
    items.iter().any(|item| {
        serde_json::from_str::<Item>(item.get())
            .is_ok_and(|item| item.changed.0 && !(item.failed.0 || item.skipped.0 || item.unreachable.0))
    })
}

/// A flag as Python takes it: modules may return anything.
#[derive(Clone, Copy, Default)]
pub(crate) struct Truth(pub(crate) bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Null => false,
            Value::Bool(value) => value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Reading, Stream, Verdict};

    fn reading(stdout: &str) -> Reading {
        let stdout = Stream::whole(stdout.as_bytes());
        let input = Input { argv: &[], exit: Some(0), stdout, stderr: Stream::whole(b""), files: &[] };
        crate::read(&PARSER, None, &input)
    }

    /// A document with one task whose result on `h` is this, and `changed` in its statistics.
    fn document(result: &str, changed: u32) -> String {
        format!(
            r#"{{"plays":[{{"play":{{"id":"1"}},"tasks":[{{"task":{{"name":"t"}},"hosts":{{"h":{result}}}}}]}}],
"stats":{{"h":{{"ok":1,"changed":{changed},"failures":0,"unreachable":0,"skipped":0,"rescued":0,"ignored":0}}}}}}
"#
        )
    }

    #[test]
    fn flags_are_taken_as_python_takes_them() {
        for changed in ["true", "1", "\"yes\"", "[0]"] {
            let stdout = document(&format!(r#"{{"changed":{changed},"action":"copy"}}"#), 1);
            let reading = reading(&stdout);
            let names: Vec<_> =
                reading.report().unwrap().resources().iter().map(|r| r.name.clone()).collect();
            assert_eq!(names, ["t"], "{changed}");
        }
        for changed in ["false", "0", "null", "\"\"", "{}"] {
            let stdout = document(&format!(r#"{{"changed":{changed}}}"#), 0);
            assert_eq!(reading(&stdout).verdict(), Verdict::Clean, "{changed}");
        }
    }

    #[test]
    fn results_and_statistics_must_agree() {
        let Reading::Unreadable(error) = reading(&document(r#"{"changed":true}"#, 0)) else { panic!() };
        assert_eq!(error.class, Class::UnreadableContradiction);
        let hidden = reading(&document(r#"{"changed":false}"#, 1));
        assert_eq!(hidden.report().unwrap().resources().first().unwrap().name, "(1 changes not shown)");
    }

    #[test]
    fn a_host_with_results_stands_in_the_statistics() {
        let other = document(r#"{"changed":false}"#, 0).replace(r#"{"h":{"changed""#, r#"{"g":{"changed""#);
        let Reading::Unreadable(error) = reading(&other) else { panic!() };
        assert_eq!(
            (error.class, &*error.message),
            (Class::UnreadableContradiction, "host \"g\" has results and is not in the recap")
        );
    }

    #[test]
    fn a_change_of_a_task_that_failed_counts_where_it_is_shown() {
        let of = |result: &str, changed| {
            let ignored = document(result, changed).replace("\"ignored\":0", "\"ignored\":1");
            let reading = reading(&ignored);
            let attributes = reading
                .report()
                .and_then(|report| report.resources().first())
                .and_then(|resource| resource.attributes.clone());
            (reading.verdict(), reading.class(), attributes)
        };
        let diff = r#""diff":{"before":{"mode":"0644"},"after":{"mode":"0600"}}"#;
        let failed = format!(r#"{{"changed":true,"failed":true,{diff}}}"#);
        let item = r#"{"changed":true,"failed":true,"results":[{"changed":true},{"failed":true}]}"#;
        assert_eq!(of(&failed, 0), (Verdict::Clean, None, None));
        // What a failure has changed is not known to be all.
        assert_eq!(of(&failed, 1), (Verdict::Drifted, None, None));
        assert_eq!(of(item, 0), (Verdict::Unreadable, Some(Class::UnreadableContradiction), None));
        assert_eq!(of(item, 1), (Verdict::Drifted, None, None));
    }

    #[test]
    fn a_document_is_recognised_by_its_first_keys() {
        let of = |stdout: &str| {
            let stdout = Stream::whole(stdout.as_bytes());
            recognise(&Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] })
        };
        for document in
            ["{\"custom_stats\": {", "Using x\n{\n    \"plays\": [", "{\"stats\": {}, \"plays\": []}"]
        {
            assert_eq!(of(document), Some("a JSON document with plays and stats"), "{document}");
        }
        for other in ["{\"stats\": {}}", "{\"a\": {\"plays\": []}}", "x {\"plays\": []}", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn failures_that_the_statistics_do_not_count_are_another_run_s() {
        let class = |stdout: &str| match reading(stdout) {
            Reading::Unreadable(error) => error.class,
            other => panic!("{other:?}"),
        };
        let failed = document(r#"{"changed":false,"failed":true}"#, 0);
        assert_eq!(class(&failed), Class::UnreadableContradiction);
        assert_eq!(reading(&failed.replace("\"ignored\":0", "\"ignored\":1")).verdict(), Verdict::Clean);
        let skipped = document(r#"{"changed":false,"skipped":true}"#, 0).replace("\"ok\":1", "\"ok\":0");
        assert_eq!(class(&skipped), Class::NoScopes);
    }

    #[test]
    fn diffs_that_show_everything_name_it() {
        let named = |result: &str| {
            let reading = reading(&document(&format!("{{\"changed\":true,{result}}}"), 1));
            reading
                .report()
                .unwrap()
                .resources()
                .first()
                .unwrap()
                .attributes
                .clone()
                .unwrap_or_default()
                .join(" ")
        };
        let mode = r#"{"before":{"mode":"0644","path":"/m"},"after":{"mode":"0600","path":"/m"}}"#;
        let content =
            r#"{"before":"a","after":"b","before_header":"/m (content)","after_header":"/m (content)"}"#;
        let same = r#"{"before":{},"after":{},"before_header":"/m (file attributes)","after_header":"/m (file attributes)"}"#;
        assert_eq!(named(&format!(r#""diff":{mode}"#)), "mode");
        assert_eq!(named(&format!(r#""diff":[{content},{same}]"#)), "content");
        assert_eq!(named(&format!(r#""diff":[{content},{mode}]"#)), "content mode");
        let items = |second: &str| {
            format!(
                r#""results":[{{"changed":true,"diff":{mode}}},{{"changed":false}},{{"changed":true{second}}}]"#
            )
        };
        assert_eq!(named(&items(&format!(r#","diff":{content}"#))), "content mode");
        for silent in [
            items(""),
            r#""diff":{"before":"a","after":"b","before_header":"/m","after_header":"/m"}"#.to_owned(),
            r#""diff":{"before":"a","after":"b","before_header":"/m (content)","after_header":"/n (content)"}"#.to_owned(),
            r#""diff":{"before":"a","after":"b","before_header":"/m (content)"}"#.to_owned(),
            r#""diff":{"before":{"mode":"1"},"after":{"mode":"2"},"before_header":"/m","after_header":"/m"}"#.to_owned(),
            r#""diff":{"before":{"password":"a"},"after":{"password":"b"}}"#.to_owned(),
            r#""diff":{"prepared":"+a"}"#.to_owned(),
            format!(r#""diff":[{mode},{{"prepared":"+a"}}]"#),
            r#""diff":{"before":"","after":""}"#.to_owned(),
            r#""diff":[]"#.to_owned(),
            r#""msg":"x""#.to_owned(),
        ] {
            assert_eq!(named(&silent), "", "{silent}");
        }
    }

    #[test]
    fn results_of_modules_are_no_items() {
        let raw = |text: &str| an_item_changed(&RawValue::from_string(text.to_owned()).unwrap());
        assert!(raw(r#"["installed", {"item": "a", "changed": true}]"#));
        assert!(!raw(r#"["installed: changed"]"#));
        assert!(!raw(r#"[{"changed": true, "failed": true}]"#));
        assert!(!raw(r#"{"changed": true}"#));
    }

    #[test]
    fn lines_around_documents_are_passed_over_and_runs_are_not_mixed() {
        let clean = document(r#"{"changed":false}"#, 0);
        assert_eq!(
            reading(&format!("Using x\n{{junk}}\n{clean}[WARNING]: x\n{clean}")).verdict(),
            Verdict::Clean
        );
        // The end of another document, which has lost its beginning.
        let tail = "        }\n    ],\n    \"stats\": {\n        \"h\": {}\n    }\n}\n";
        for text in [format!("{tail}{clean}"), format!("{clean}{tail}")] {
            assert_eq!(reading(&text).verdict(), Verdict::Unreadable, "{text}");
        }
        for word in ["\"plays\":", "\"stats\":"] {
            assert_eq!(reading(&format!("[WARNING]: {word}\n{clean}")).verdict(), Verdict::Clean, "{word}");
        }
        let drifted = document(r#"{"changed":true}"#, 1);
        for glued in [
            format!("run a: {drifted}{clean}"),
            format!("{clean}run b: {drifted}"),
            format!("{clean}\r{drifted}"),
        ] {
            let Reading::Unreadable(error) = reading(&glued) else { panic!("{glued}") };
            assert_eq!(error.class, Class::UnreadableFormat);
        }
        let other = clean.replace(r#""id":"1""#, r#""id":"2""#);
        let Reading::Unreadable(error) = reading(&(clean + &other)) else { panic!() };
        assert_eq!(error.class, Class::UnreadableContradiction);
    }
}
