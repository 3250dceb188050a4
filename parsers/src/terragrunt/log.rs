//! Terragrunt's log: which unit a forwarded line belongs to, in every format that has a name for the unit.
//!
//! ```text
//! 14:27:45.422 STDOUT [vpc] tofu: No changes. Your infrastructure matches the configuration.        pretty, the default
//! 14:27:45.422 STDOUT tofu: No changes. Your infrastructure matches the configuration.              pretty, the unit in the folder itself
//! time=2026-05-01T14:27:45Z level=stdout prefix=vpc tf-path=tofu msg=No changes. Your …             key-value
//! {"time":"…", "level":"stdout", "working-dir":"/srv/live/vpc", "tf-path":"tofu", "msg":"No changes. Your …"}     json
//! [/srv/live/vpc] No changes. Your infrastructure matches the configuration.                        before 0.67, with a flag
//! ```
//!
//! Empty lines are missing, the indentation behind the prefix is Terraform's own. `json` has one message per write, of many lines or
//! of half a one. `bare` and `--tf-forward-stdout` have no prefix at all: nothing of them is known here.

use crate::text::{self, Line};
use crate::{error::ParseError, terraform};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What was written, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Log<'a> {
    /// What each unit's Terraform wrote to standard output; the unit in the folder itself has no name.
    pub units: BTreeMap<String, Lines<'a>>,
    /// What it wrote to standard error.
    pub errors: BTreeMap<String, Lines<'a>>,
    /// Units of which Terragrunt itself reports an error.
    pub marked: BTreeSet<String>,
    /// Lines without a prefix.
    pub outside: Vec<Line<'a>>,
}

/// Lines with their numbers in the raw output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines<'a> {
    lines: Vec<(u32, Cow<'a, [u8]>)>,
    /// The last line has not ended yet.
    open: bool,
}

impl<'a> Lines<'a> {
    /// The lines in their order.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> + Clone {
        self.lines.iter().map(|(number, bytes)| Line { number: *number, bytes })
    }

    fn push(&mut self, number: u32, line: Cow<'a, [u8]>) {
        self.lines.push((number, line));
    }

    /// A part of the output as it was written: its last line may go on in the next part.
    fn join(&mut self, number: u32, part: &[u8]) {
        for line in part.split_inclusive(|b| *b == b'\n') {
            let open = std::mem::replace(&mut self.open, !line.ends_with(b"\n"));
            let bytes = line.strip_suffix(b"\n").unwrap_or(line);
            match self.lines.last_mut() {
                Some((_, last)) if open => last.to_mut().extend_from_slice(bytes),
                Some(_) | None => self.lines.push((number, Cow::Owned(bytes.to_vec()))),
            }
        }
    }
}

/// Who wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Stdout,
    Stderr,
    Error,
    Other,
}

impl Level {
    fn of(word: &[u8]) -> Option<Self> {
        match word {
            b"STDOUT" | b"stdout" => Some(Self::Stdout),
            b"STDERR" | b"stderr" => Some(Self::Stderr),
            b"ERROR" | b"error" => Some(Self::Error),
            b"WARN" | b"INFO" | b"DEBUG" | b"TRACE" | b"warn" | b"warning" | b"info" | b"debug"
            | b"trace" => Some(Self::Other),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record<'a> {
    level: Level,
    unit: Cow<'a, str>,
    text: Cow<'a, [u8]>,
    /// One message of many lines, or of a part of one.
    raw: bool,
}

impl<'a> Log<'a> {
    /// Takes an output apart; `None` where no line of it has a prefix.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut log = Self::default();
        let any = log.records(bytes);
        let in_brackets = |line: Line<'_>| {
            let plain = line.plain();
            bracketed(&plain).is_some_and(|(_, rest)| terraform::is_evidence(rest) || is_error(rest))
        };
        if log.units.is_empty() && log.errors.is_empty() && text::lines(bytes).any(in_brackets) {
            // Terragrunt's own lines beside them are records.
            log = Self { marked: log.marked, ..Self::default() };
            log.bracketed(bytes);
            return Some(log);
        }
        any.then_some(log)
    }

    /// Whether a line can have a prefix. Where none of an output's lines can, [`Log::read`] finds nothing.
    #[inline]
    pub fn may_have(line: &[u8]) -> bool {
        // `time=`, with a colour within these words or without.
        matches!(
            line,
            [b'0'..=b'9' | b'{' | b'[' | 0x1b, ..]
                | [b't', b'i', b'm', b'e', b'=' | 0x1b, ..]
                | [b't', 0x1b, ..]
                | [b't', b'i', 0x1b, ..]
                | [b't', b'i', b'm', 0x1b, ..]
        )
    }

    /// An output in which no unit has a line.
    pub fn without_units(bytes: &'a [u8]) -> Self {
        Self { outside: text::lines(bytes).collect(), ..Self::default() }
    }

    /// Whether there was any.
    fn records(&mut self, bytes: &'a [u8]) -> bool {
        let mut any = false;
        // A message that ends with a line's end is a write as it was; where none does, each is a line.
        let written = text::lines(bytes).filter_map(|line| message(line.bytes)).any(|record| {
            record.text.ends_with(b"\n") && matches!(record.level, Level::Stdout | Level::Stderr)
        });
        for line in text::lines(bytes) {
            let found = match line.plain() {
                Cow::Borrowed(plain) => record(plain),
                Cow::Owned(plain) => record(&plain).map(Record::into_owned),
            };
            let Some(Record { level, unit, text, raw }) = found else {
                self.outside.push(line);
                continue;
            };
            any = true;
            let lines = match level {
                Level::Stdout => self.units.entry(unit.into_owned()).or_default(),
                Level::Stderr => self.errors.entry(unit.into_owned()).or_default(),
                Level::Error => {
                    self.marked.insert(unit.into_owned());
                    continue;
                }
                Level::Other => continue,
            };
            if raw && written {
                lines.join(line.number, &text);
            } else {
                lines.push(line.number, text);
            }
        }
        any
    }

    fn bracketed(&mut self, bytes: &'a [u8]) {
        for line in text::lines(bytes) {
            let found = match line.plain() {
                Cow::Borrowed(plain) => {
                    bracketed(plain).map(|(unit, rest)| (unit.to_owned(), Cow::Borrowed(rest)))
                }
                Cow::Owned(plain) => {
                    bracketed(&plain).map(|(unit, rest)| (unit.to_owned(), Cow::Owned(rest.to_vec())))
                }
            };
            match found {
                Some((unit, rest)) => self.units.entry(unit).or_default().push(line.number, rest),
                None => self.outside.push(line),
            }
        }
    }

    /// Refuses a plan's line that no unit has: it is of a unit whose prefix got lost.
    pub fn no_plan_outside(&self) -> Result<(), ParseError> {
        // One record is enough to make the prefix of another format no prefix.
        let is_plan_s = |line: &&Line<'a>| {
            let plain = line.plain();
            terraform::is_evidence(&plain)
                || bracketed(&plain).is_some_and(|(_, rest)| terraform::is_evidence(rest))
        };
        match self.outside.iter().find(is_plan_s) {
            Some(line) => Err(ParseError::format("a plan's line without the prefix that the others have")
                .at(line.number)
                .hint("keep stdout apart from stderr, and let no hook plan")),
            None => Ok(()),
        }
    }
}

/// Evidence of a plan behind a prefix.
pub(crate) fn evidence(line: &[u8]) -> bool {
    let line = text::strip_ansi(line);
    let behind = record(&line).filter(|record| record.level == Level::Stdout).map(|record| record.text);
    behind.is_some_and(|text| text::lines(&text).any(|line| terraform::is_evidence(line.bytes)))
        || bracketed(&line).is_some_and(|(_, rest)| terraform::is_evidence(rest))
}

/// `Error: …`, boxed or not.
pub(super) fn is_error(line: &[u8]) -> bool {
    let line = text::strip_ansi(line);
    let line = line.strip_prefix("│ ".as_bytes()).unwrap_or(&line);
    line.starts_with(b"Error: ")
}

impl Record<'_> {
    fn into_owned<'b>(self) -> Record<'b> {
        Record {
            level: self.level,
            unit: Cow::Owned(self.unit.into_owned()),
            text: Cow::Owned(self.text.into_owned()),
            raw: self.raw,
        }
    }
}

/// A line of the log, without colours.
fn record(line: &[u8]) -> Option<Record<'_>> {
    match line.first()? {
        b'0'..=b'9' => pretty(line),
        b't' => key_value(line),
        b'{' => message(line),
        _ => None,
    }
}

fn utf8(bytes: &[u8]) -> Option<Cow<'_, str>> {
    str::from_utf8(bytes).ok().map(Cow::Borrowed)
}

/// `HH:MM:SS.mmm LEVEL [UNIT] BINARY: TEXT`
fn pretty(line: &[u8]) -> Option<Record<'_>> {
    let (time, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
    let shape: Vec<u8> = time.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect();
    let millis = shape.strip_prefix(b"00:00:00")?;
    if !(millis.is_empty() || millis == b".000") {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (word, behind) = rest.split_at_checked(rest.iter().position(|b| *b == b' ').unwrap_or(rest.len()))?;
    let level = Level::of(word).filter(|_| word.iter().all(u8::is_ascii_uppercase))?;
    // Levels are filled up to six characters.
    let width = 7_usize.saturating_sub(word.len()).max(1);
    let mut text = behind.get(width.min(behind.len())..)?;
    let mut unit = &b""[..];
    if let Some((name, after)) = bracketed(text) {
        unit = name.as_bytes();
        text = after;
    }
    match (level, binary(text)) {
        (Level::Stdout | Level::Stderr, Some(after)) => text = after,
        (Level::Stdout, None) => return None,
        _ => {}
    }
    Some(Record { level, unit: utf8(unit)?, text: Cow::Borrowed(text), raw: false })
}

/// What follows `tofu: `, the name of the program that wrote the line. An empty line has lost the blank.
fn binary(text: &[u8]) -> Option<&[u8]> {
    let at = text.iter().position(|b| matches!(b, b':' | b' '))?;
    let after = text.get(at..)?.strip_prefix(b":").filter(|_| at > 0)?;
    if after.is_empty() { Some(after) } else { after.strip_prefix(b" ") }
}

/// `time=… level=LEVEL prefix=UNIT tf-path=BINARY msg=TEXT`; `prefix=[UNIT]` stands at the end before 0.67.
fn key_value(line: &[u8]) -> Option<Record<'_>> {
    let rest = line.strip_prefix(b"time=")?;
    let rest = rest.get(memmem::find(rest, b" level=")?.checked_add(7)?..)?;
    let (word, rest) = rest.split_at_checked(rest.iter().position(|b| *b == b' ')?)?;
    let level = Level::of(word)?;
    let (fields, text) = rest.split_at_checked(memmem::find(rest, b" msg=")?)?;
    let mut text = text.strip_prefix(b" msg=")?;
    let path =
        [&b" tf-path="[..], b" tfpath=", b" binary="].into_iter().find_map(|key| memmem::find(fields, key));
    if level == Level::Stdout && path.is_none() {
        return None;
    }
    let before = fields.get(..path.unwrap_or(fields.len()))?;
    let mut unit = before.strip_prefix(b" prefix=").unwrap_or_default();
    if let Some(at) = memmem::rfind(text, b" prefix=[").filter(|_| unit.is_empty() && level != Level::Stdout)
    {
        let (message, prefix) = text.split_at_checked(at)?;
        text = message;
        unit = prefix.strip_prefix(b" prefix=[")?.trim_ascii_end().strip_suffix(b"]")?;
    }
    Some(Record { level, unit: utf8(unit)?, text: Cow::Borrowed(text), raw: false })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    msg: Cow<'a, str>,
    #[serde(borrow, rename = "working-dir", alias = "workingDir", alias = "prefix")]
    unit: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "tf-path", alias = "tfpath", alias = "binary")]
    path: Option<Cow<'a, str>>,
    /// Before 0.67 Terraform's lines have this and the level `info`.
    #[serde(borrow, rename = "executedCommandArgs")]
    executed: Option<&'a RawValue>,
}

/// `{"time":"…", "level":"stdout", "working-dir":"UNIT", …, "msg":"TEXT"}`
fn message(line: &[u8]) -> Option<Record<'_>> {
    if line.first() != Some(&b'{') || memmem::find(line, b"\"msg\"").is_none() {
        return None;
    }
    let Message { level, msg, unit, path, executed } = serde_json::from_slice(line).ok()?;
    let level = match (Level::of(level.as_bytes())?, executed.is_some()) {
        (Level::Other, true) => Level::Stdout,
        (Level::Error, true) => Level::Stderr,
        (level, _) => level,
    };
    if level == Level::Stdout && path.is_none() && executed.is_none() {
        return None;
    }
    let text = match msg {
        Cow::Borrowed(msg) => Cow::Borrowed(msg.as_bytes()),
        Cow::Owned(msg) => Cow::Owned(msg.into_bytes()),
    };
    Some(Record { level, unit: unit.unwrap_or_default(), text, raw: true })
}

/// `[UNIT] TEXT`, as `--terragrunt-include-module-prefix` wrote it; not a log's `[DEBUG] …`.
fn bracketed(line: &[u8]) -> Option<(&str, &[u8])> {
    let inside = line.strip_prefix(b"[")?;
    let (unit, rest) = inside.split_at_checked(inside.iter().position(|b| *b == b']')?)?;
    let rest = rest.strip_prefix(b"]")?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
    (Level::of(unit).is_none() && !unit.is_empty()).then_some((str::from_utf8(unit).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_line_may_have_a_prefix_nothing_is_found() {
        for line in [
            "14:27:45.422 STDOUT [vpc] tofu: No changes. Your infrastructure matches the configuration.",
            "time=2026-05-01T14:27:45Z level=stdout prefix=vpc tf-path=tofu msg=No changes. Your infrastructure",
            "{\"level\":\"stdout\", \"working-dir\":\"/srv/vpc\", \"tf-path\":\"tofu\", \"msg\":\"No changes.\"}",
            "[/srv/live/vpc] No changes. Your infrastructure matches the configuration.",
        ] {
            // Colours may begin anywhere.
            for at in 0..8 {
                let (before, after) = line.split_at(at);
                let coloured = format!("{before}\u{1b}[0m{after}\n");
                assert!(
                    Log::read(coloured.as_bytes()).is_some() && Log::may_have(coloured.as_bytes()),
                    "{coloured}"
                );
            }
            assert!(Log::may_have(line.as_bytes()), "{line}");
        }
        for line in
            ["", "time_sleep.a: Refreshing state... [id=x]", "toy_file.a: Refreshing", "  # [a", "Plan: 1"]
        {
            assert!(!Log::may_have(line.as_bytes()), "{line}");
            assert!(Log::read(line.as_bytes()).is_none(), "{line}");
        }
    }

    fn all(lines: &Lines<'_>) -> Vec<(u32, String)> {
        lines.iter().map(|line| (line.number, text::string(line.bytes))).collect()
    }

    fn units(text: &str) -> Vec<(String, Vec<(u32, String)>)> {
        let log = Log::read(text.as_bytes()).unwrap_or_default();
        log.units.iter().map(|(unit, lines)| (unit.clone(), all(lines))).collect()
    }

    fn is(unit: &str, lines: &[(u32, &str)]) -> (String, Vec<(u32, String)>) {
        (unit.to_owned(), lines.iter().map(|(n, line)| (*n, (*line).to_owned())).collect())
    }

    #[test]
    fn every_format_names_the_unit_and_keeps_the_indentation() {
        let want = [is("a/b", &[(1, "  # t.n will be created"), (3, "")]), is("vpc", &[(2, "    }")])];
        for text in [
            "10:00:00.000 STDOUT [a/b] tofu:   # t.n will be created\n10:00:00.000 STDOUT [vpc] tofu:     }\n10:00:00.001 STDOUT [a/b] tofu:\n",
            "10:00:00 STDOUT [a/b] terraform:   # t.n will be created\r\n10:00:00 STDOUT [vpc] terraform:     }\r\n10:00:00 STDOUT [a/b] terraform: \r\n",
            "\u{1b}[90m10:00:00.000\u{1b}[0m STDOUT \u{1b}[36m[a/b] \u{1b}[0m\u{1b}[36mtofu: \u{1b}[0m\u{1b}[1m  # t.n\u{1b}[0m will be created\u{1b}[0m\n10:00:00.000 STDOUT [vpc] tofu:     }\n10:00:00.000 STDOUT [a/b] tofu: \u{1b}[0m\u{1b}[0m\n",
            "time=2026-05-01T10:00:00Z level=stdout prefix=a/b tf-path=tofu msg=  # t.n will be created\ntime=2026-05-01T10:00:00Z level=stdout prefix=vpc tf-path=tofu msg=    }\ntime=2026-05-01T10:00:00Z level=stdout prefix=a/b tf-path=tofu msg=\n",
            "{\"time\":\"x\", \"level\":\"stdout\", \"working-dir\":\"a/b\", \"tf-path\":\"tofu\", \"tf-command-args\":[\"plan\"], \"msg\":\"  # t.n will be created\"}\n{\"level\":\"stdout\",\"working-dir\":\"vpc\",\"tf-path\":\"tofu\",\"msg\":\"    }\"}\n{\"level\":\"stdout\",\"working-dir\":\"a/b\",\"tf-path\":\"tofu\",\"msg\":\"\"}\n",
        ] {
            assert_eq!(units(text), want, "{text}");
        }
        let old = "[/srv/a b] No changes. Your infrastructure matches\n[/srv/a b] \n[/srv/c]     }\nGroup 1\n[DEBUG] x\n";
        assert_eq!(
            units(old),
            [
                is("/srv/a b", &[(1, "No changes. Your infrastructure matches"), (2, "")]),
                is("/srv/c", &[(3, "    }")])
            ]
        );
        let beside = "time=2024-01-01T00:00:00Z level=info msg=Executing hook: a prefix=[/c] \n[/c] No changes. Your infrastructure matches\n";
        assert_eq!(units(beside), [is("/c", &[(2, "No changes. Your infrastructure matches")])]);
        // Raw lines between Terragrunt's own are no unit's.
        assert_eq!(units(&beside.replace("[/c] No", "No")), []);
        assert_eq!(units("10:00:00.000 STDOUT tofu: No changes.\n"), [is("", &[(1, "No changes.")])]);
        // What a plan prints names no unit, nor does what stands behind one.
        let time = "time=2026-05-01T10:00:00Z";
        let value = format!("{time} level=stdout tf-path=tofu msg=  + a = \"x prefix=[vpc]\n");
        assert_eq!(units(&value), [is("", &[(1, "  + a = \"x prefix=[vpc]")])]);
        let named = format!("{time} level=error prefix=a msg=failed prefix=[vpc]\n");
        assert_eq!(Log::read(named.as_bytes()).unwrap().marked, BTreeSet::from(["a".to_owned()]));
    }

    #[test]
    fn a_message_of_json_is_a_write_of_any_length() {
        let text = |parts: &[(&str, &str)]| {
            parts.iter().fold(String::new(), |all, (unit, part)| {
                all + &serde_json::json!({"level": "stdout", "working-dir": unit, "tf-path": "tofu", "msg": part}).to_string() + "\n"
            })
        };
        let split = text(&[("a", "one\n\ntw"), ("b", "b\n"), ("a", "o\n"), ("a", "three")]);
        assert_eq!(
            units(&split),
            [is("a", &[(1, "one"), (1, ""), (1, "two"), (4, "three")]), is("b", &[(2, "b")])]
        );
        let old = "{\"executedCommandArgs\":[\"plan\"],\"level\":\"info\",\"msg\":\"No changes.\",\"workingDir\":\"/a\"}\n{\"level\":\"info\",\"msg\":\"other\"}\n";
        assert_eq!(units(old), [is("/a", &[(1, "No changes.")])]);
    }

    #[test]
    fn errors_are_told_apart_from_what_a_plan_prints() {
        let text = "10:00:00.000 STDERR [a] tofu: Error: x\n10:00:00.000 ERROR  [b] tofu invocation failed in ./b\n10:00:00.000 INFO   [c] tofu: Initializing\n10:00:00.000 ERROR  error occurred:\n\n* x\ntime=2024-01-01T00:00:00Z level=error msg=Module /d has finished with an error: exit status 1 prefix=[/d] \n";
        let log = Log::read(text.as_bytes()).unwrap();
        assert_eq!(log.units, BTreeMap::new());
        assert_eq!(log.errors.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(log.marked.iter().map(String::as_str).collect::<Vec<_>>(), ["", "/d", "b"]);
        assert_eq!(log.outside.iter().map(|line| line.number).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn what_has_no_prefix_is_no_log() {
        for text in [
            "",
            "No changes. Your infrastructure matches the configuration.\n",
            "10:00 STDOUT [a] tofu: x\n",
            "10:00:00.000 STDOUT [a] x\n",
            "10:00:00.000 STDOUT [a] : x\n",
            "10:00:00.000 stdout [a] tofu: x\n",
            "time=x msg=y\n",
            "{\"level\":\"stdout\",\"msg\":\"x\"}\n",
            "[command]/bin/terraform plan\n[a] x\n",
            "{\"@level\":\"info\",\"@message\":\"x\"}\n",
        ] {
            assert!(Log::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
