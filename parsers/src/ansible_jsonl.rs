//! The `jsonl` callback of ansible (`ANSIBLE_STDOUT_CALLBACK=ansible.posix.jsonl`): one event a line while the run goes on,
//! and the statistics as the last one.
//!
//! ```text
//! {"_event":"v2_playbook_on_play_start","_timestamp":"…","play":{…},"tasks":[]}
//! {"_event":"v2_playbook_on_task_start","_timestamp":"…","hosts":{},"task":{"id":"…","name":"nginx : Install"}}
//! {"_event":"v2_runner_on_ok","_timestamp":"…","hosts":{"web1":{"action":"copy","changed":true,…}},"task":{"name":"nginx : Install"}}
//! {"_event":"v2_playbook_on_stats","_timestamp":"…","stats":{"web1":{"changed":1,"failures":0,"ok":4,"unreachable":0,…}}}
//! ```
//!
//! Every result is one event, also under strategy `free`; there are none for items. Verbose runs put other lines between.

use crate::ansible_json::{JsonStats, Outcome, TaskInfo, recap};
use crate::ansible_playbook::{self as playbook, Run};
use crate::report::{Parsed, Span};
use crate::{Input, ParseError, Parser, error, text};
use memchr::memmem;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "ansible-jsonl",
    about: "ansible-playbook --check, callback jsonl",
    recommended: "ansible-playbook site.yml --check --diff (with ANSIBLE_STDOUT_CALLBACK=ansible.posix.jsonl)",
    actions: playbook::ACTIONS,
    drift_codes: &[],
    runs: playbook::runs,
    recognise,
    claim: playbook::claim,
    parse,
};

/// Keys are sorted, so every event begins like this.
const BEGINNING: &[u8] = b"{\"_event\":";

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let stdout = input.stdout.bytes();
    let stdout = stdout.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stdout);
    let begins_line = |at: usize| at.checked_sub(1).is_none_or(|before| stdout.get(before) == Some(&b'\n'));
    if memmem::find_iter(stdout, BEGINNING).any(begins_line) {
        return Some("lines of JSON with _event");
    }
    let indented = memmem::find_iter(stdout, b"\"_event\":").any(|at| {
        let before = stdout.get(..at).unwrap_or_default().trim_ascii_end();
        before.strip_suffix(b"{").is_some_and(|before| begins_line(before.len()))
    });
    indented.then_some("indented JSON with _event")
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    match read(playbook::output(input.stdout)?) {
        Ok(run) => playbook::settle(input, run),
        Err(error) => playbook::failed_or(input, error),
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "_event", borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    task: Option<TaskInfo<'a>>,
    #[serde(borrow)]
    hosts: Option<BTreeMap<String, Outcome<'a>>>,
    stats: Option<BTreeMap<String, JsonStats>>,
}

fn read(stdout: &[u8]) -> Result<Run, ParseError> {
    let mut run = Run { shows_failures: true, ..Run::default() };
    let (mut any, mut ended) = (false, false);
    for line in text::lines(stdout).filter(|line| line.bytes.first() == Some(&b'{')) {
        if line.bytes == b"{" {
            return Err(ParseError::format("indented JSON")
                .at(line.number)
                .hint("unset ANSIBLE_JSON_INDENT: every event has to be one line"));
        }
        if !line.bytes.starts_with(BEGINNING) {
            return Err(
                ParseError::format("a line of JSON without an event at its beginning").at(line.number)
            );
        }
        let event: Event<'_> = serde_json::from_slice(line.bytes).map_err(|e| {
            let broken = ParseError::format("not an event of ansible.posix.jsonl").at(line.number);
            if e.is_eof() { ParseError::cut("the line ends before its end").at(line.number) } else { broken }
        })?;
        any = true;
        if ended && event.name != "v2_playbook_on_play_start" {
            return Err(ParseError::contradiction("an event between the statistics and the next play")
                .at(line.number));
        }
        ended = false;
        let incomplete = || ParseError::format(format!("event {} lacks a part", event.name)).at(line.number);
        match &*event.name {
            "v2_playbook_on_play_start" => {
                run.in_last_play.clear();
                run.failed_last.clear();
            }
            "v2_playbook_on_task_start" | "v2_playbook_on_handler_task_start" | "v2_runner_on_start" => {
                run.failed_last.clear();
            }
            "v2_runner_on_ok"
            | "v2_runner_on_failed"
            | "v2_runner_on_skipped"
            | "v2_runner_on_unreachable" => {
                let (Some(task), Some(hosts)) = (&event.task, event.hosts) else { return Err(incomplete()) };
                let unreachable = event.name == "v2_runner_on_unreachable";
                for (host, outcome) in hosts {
                    let span = Some(Span(line.number, line.number));
                    outcome.note(&host, &task.name, span, unreachable, &mut run);
                }
            }
            "v2_playbook_on_stats" => {
                let Some(stats) = event.stats else { return Err(incomplete()) };
                run.recaps.push(recap(stats));
                ended = true;
            }
            unknown => {
                let name = error::quote(unknown.as_bytes());
                return Err(ParseError::format(format!("unknown event {name}")).at(line.number));
            }
        }
    }
    if !any {
        return Err(ParseError::format("no event of ansible.posix.jsonl")
            .hint("set ANSIBLE_STDOUT_CALLBACK=ansible.posix.jsonl; it needs the collection ansible.posix"));
    }
    if !ended {
        return Err(ParseError::cut("the last event is not the statistics")
            .hint("the run was stopped before its end"));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Reading, Stream, Verdict};

    const START: &str = r#"{"_event":"v2_playbook_on_play_start","play":{"id":"1"},"tasks":[]}"#;
    const OK: &str =
        r#"{"_event":"v2_runner_on_ok","hosts":{"h":{"action":"copy","changed":false}},"task":{"name":"t"}}"#;
    const STATS: &str = r#"{"_event":"v2_playbook_on_stats","stats":{"h":{"ok":1,"changed":0,"failures":0,"unreachable":0}}}"#;

    fn reading(lines: &[&str]) -> Reading {
        let stdout = lines.join("\n") + "\n";
        let stdout = Stream::whole(stdout.as_bytes());
        let input = Input { argv: &[], exit: Some(0), stdout, stderr: Stream::whole(b""), files: &[] };
        crate::read(&PARSER, None, &input)
    }

    fn refused(lines: &[&str]) -> (Class, Option<u32>) {
        match reading(lines) {
            Reading::Unreadable(error) => (error.class, error.line),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_are_recognised_where_they_begin_a_line() {
        let of = |stdout: &str| {
            let stdout = Stream::whole(stdout.as_bytes());
            recognise(&Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] })
        };
        for whole in [START.to_owned(), format!("\u{feff}{START}"), format!("Using x\n{START}\n")] {
            assert_eq!(of(&whole), Some("lines of JSON with _event"), "{whole}");
        }
        for indented in ["{\n    \"_event\": 1", "Using x\n{\n    \"_event\": 1"] {
            assert_eq!(of(indented), Some("indented JSON with _event"), "{indented}");
        }
        for other in [format!("x {START}"), "x {\n \"_event\": 1".to_owned(), "\"_event\":".to_owned()] {
            assert_eq!(of(&other), None, "{other}");
        }
    }

    #[test]
    fn the_statistics_are_the_end() {
        assert_eq!(reading(&["Using x", START, OK, STATS, ""]).verdict(), Verdict::Clean);
        assert_eq!(refused(&[START, OK]).0, Class::UnreadableCut);
        assert_eq!(refused(&[START, OK, STATS, START]).0, Class::UnreadableCut);
        assert_eq!(refused(&[START, OK, STATS, OK]), (Class::UnreadableContradiction, Some(4)));
    }

    #[test]
    fn nothing_that_may_be_an_event_is_passed_over() {
        let unknown = OK.replace("on_ok", "on_new");
        assert_eq!(refused(&[START, &unknown, STATS]), (Class::UnreadableFormat, Some(2)));
        assert_eq!(refused(&[START, "{\"x\":1}", STATS]), (Class::UnreadableFormat, Some(2)));
        assert_eq!(refused(&[START, &OK[..40], STATS]), (Class::UnreadableCut, Some(2)));
        assert_eq!(
            refused(&[START, &OK.replace("hosts", "host"), STATS]),
            (Class::UnreadableFormat, Some(2))
        );
    }

    #[test]
    fn more_successes_than_the_statistics_count_are_another_run_s() {
        assert_eq!(refused(&[START, OK, START, OK, STATS]), (Class::UnreadableContradiction, None));
        let skipped = OK.replace("\"changed\":false", "\"skipped\":true");
        let included = OK.replace("\"copy\"", "\"ansible.builtin.include_role\"");
        assert_eq!(reading(&[START, OK, &skipped, &included, STATS]).verdict(), Verdict::Clean);
    }

    #[test]
    fn more_failures_than_the_statistics_count_are_another_run_s() {
        let zeros = "\"unreachable\":0,\"rescued\":0,\"ignored\":0";
        let stats = STATS.replace("\"unreachable\":0", zeros);
        let failed = OK.replace("on_ok", "on_failed").replace("false", "false,\"failed\":true");
        assert_eq!(refused(&[START, OK, &failed, &stats]).0, Class::UnreadableContradiction);
    }

    #[test]
    fn an_unreachable_host_is_unread_even_where_that_is_ignored() {
        let down = OK.replace("on_ok", "on_unreachable").replace("false", "false,\"unreachable\":true");
        let reading = reading(&[START, &down, STATS]);
        assert_eq!((reading.verdict(), reading.class()), (Verdict::Failed, Some(Class::Unreachable)));
    }
}
