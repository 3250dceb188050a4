//! Parsers that somebody wrote as regular expressions, without a line of Rust: pure data and matching.
//!
//! ```text
//! db is stale                        '^(?P<name>\S+) is (?P<kind>stale|missing)'
//! all 12 backups fresh               clean: '^all \d+ backups fresh'
//! ```
//!
//! A line is looked at without colours and line end, every match in it is a resource. With `begin`, the lines from one that matches it to
//! one that matches `end` (or to the next beginning) are one block, and the expression must match in each. Witnesses: the exit code where its meaning
//! is given, the `clean` line, the end of each block.

use crate::error::{ParseError, quote};
use crate::input::Input;
use crate::report::{Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Source};
use crate::text::{self, Line};
use crate::{Claim, ExitCodes};
use regex::bytes::{Captures, Regex};
use std::borrow::Cow;

/// The groups that mean something.
pub const GROUPS: [&str; 4] = ["action", "kind", "name", "scope"];

/// A parser as somebody configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Its name in the configuration.
    pub name: String,
    /// Finds a resource.
    pub resource: Finder,
    /// Finds the line that says that nothing differs.
    pub clean: Option<Expression>,
    /// Where a resource takes several lines: how they begin, and how they end.
    pub block: Option<(Expression, Option<Expression>)>,
    /// What words in the group `action` mean, beside the actions' own names.
    pub actions: Vec<(String, Action)>,
    /// What exit codes mean; without it 0 says nothing and any other is failure.
    pub exit_codes: Option<ExitCodes>,
}

/// A regular expression that never matches an empty text.
#[derive(Clone, Debug)]
pub struct Expression(Regex);

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
impl Eq for Expression {}

/// An expression with a group `name`, and perhaps `scope`, `kind` and `action`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finder(Expression);

impl Expression {
    /// Compiles `text`; `^` and `$` are the ends of any line.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment.
    pub fn new(text: &str) -> Result<Self, String> {
        let last =
            |error: String| error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let mut parser = regex_syntax::ParserBuilder::new().utf8(false).multi_line(true).build();
        let hir = parser
            .parse(text)
            .map_err(|error| format!("{text:?} is no regular expression: {}", last(error.to_string())))?;
        match hir.properties().minimum_len() {
            Some(1..) => {}
            Some(0) => {
                return Err(format!(
                    "{text:?} could match an empty text, and so everywhere; let it demand a character"
                ));
            }
            None => return Err(format!("{text:?} can never match")),
        }
        regex::bytes::RegexBuilder::new(text)
            .multi_line(true)
            .build()
            .map(Self)
            .map_err(|error| format!("{text:?} is no regular expression: {}", last(error.to_string())))
    }
}

impl Finder {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment.
    pub fn new(text: &str) -> Result<Self, String> {
        let expression = Expression::new(text)?;
        let mut named = expression.0.capture_names().flatten();
        if let Some(odd) = named.find(|name| !GROUPS.contains(name)) {
            return Err(format!("group {odd:?} in {text:?} means nothing; known: {}", GROUPS.join(", ")));
        }
        if expression.0.capture_names().flatten().all(|name| name != "name") {
            return Err(format!(
                "{text:?} has no group \"name\"; write (?P<name>…) around what names the resource"
            ));
        }
        Ok(Self(expression))
    }
}

impl Pattern {
    /// The actions that it can give, in the order of [`Action::ALL`].
    pub fn gives(&self) -> Vec<Action> {
        if self.resource.0.0.capture_names().flatten().any(|name| name == "action") {
            Action::ALL.to_vec()
        } else {
            vec![Action::Change]
        }
    }

    /// Understands an output whose exit code says `claim`.
    pub(crate) fn parse(&self, claim: Claim, input: &Input<'_>) -> Result<Parsed, ParseError> {
        let mut reading = Reading { pattern: self, parsed: Parsed::new(self.name.clone()), odd: Vec::new() };
        let mut clean = false;
        let mut open: Option<(u32, Vec<u8>)> = None;
        for line in text::lines(input.stdout.bytes()) {
            let plain = in_utf8(line.plain());
            clean |= self.clean.as_ref().is_some_and(|clean| clean.0.is_match(&plain));
            match &self.block {
                None => reading.line(&line, &plain)?,
                Some((begin, end)) => {
                    let begins = begin.0.is_match(&plain);
                    if begins && open.is_some() && end.is_some() {
                        let (first, _) = open.take().unwrap_or_default();
                        return Err(ParseError::cut("another block begins before this one's end").at(first));
                    }
                    if begins && let Some((first, block)) = open.take() {
                        reading.block(first, line.number.saturating_sub(1), &block)?;
                    }
                    match &mut open {
                        None if begins => open = Some((line.number, plain.into_owned())),
                        None => continue,
                        Some((_, block)) => {
                            block.push(b'\n');
                            block.extend_from_slice(&plain);
                        }
                    }
                    let last = open.as_ref().and_then(|(_, block)| block.rsplit(|b| *b == b'\n').next());
                    let ends = end.as_ref().zip(last).is_some_and(|(end, last)| end.0.is_match(last));
                    if ends && let Some((first, block)) = open.take() {
                        reading.block(first, line.number, &block)?;
                    }
                }
            }
        }
        if let Some((first, block)) = open {
            if self.block.as_ref().is_some_and(|(_, end)| end.is_some()) {
                return Err(ParseError::cut("a block without its end").at(first));
            }
            reading.block(first, text::count_lines(input.stdout.bytes()), &block)?;
        }
        let Reading { mut parsed, odd, .. } = reading;
        parsed.said = if clean {
            Said::NoChanges
        } else if !parsed.resources.is_empty() {
            Said::Changes
        } else if self.clean.is_none() && claim == Claim::Clean {
            // Its exit code was given a meaning, and nothing in the output speaks against it.
            Said::NoChanges
        } else if self.clean.is_some() {
            return Err(ParseError::format("neither `regex` nor `clean` matches anything in the output"));
        } else {
            let error = ParseError::format(
                "`regex` matches nothing in the output, and the exit code doesn't say \"clean\"",
            );
            return Err(error.hint("give the parser `clean`, an expression for what is printed then"));
        };
        parsed.diagnostics.extend(odd.into_iter().map(|(line, word)| {
            let word = quote(word.as_bytes());
            let summary =
                format!("{word} is no action, so it counts as \"change\"; say what it means in `actions`");
            Diagnostic { line: Some(line), ..Diagnostic::warning(summary) }
        }));
        Ok(parsed)
    }
}

/// A line with its odd bytes replaced: a dot matches a character, and what is none would pass unseen.
fn in_utf8(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if std::str::from_utf8(&line).is_ok() {
        return line;
    }
    Cow::Owned(text::string(&line).into_bytes())
}

struct Reading<'p> {
    pattern: &'p Pattern,
    parsed: Parsed,
    /// Words that are no action, each with its first line.
    odd: Vec<(u32, String)>,
}

impl Reading<'_> {
    fn line(&mut self, line: &Line<'_>, plain: &[u8]) -> Result<(), ParseError> {
        for found in self.pattern.resource.0.0.captures_iter(plain) {
            self.add(&found, line.number, line.number)?;
        }
        Ok(())
    }

    fn block(&mut self, first: u32, last: u32, block: &[u8]) -> Result<(), ParseError> {
        match self.pattern.resource.0.0.captures(block) {
            Some(found) => self.add(&found, first, last),
            None => {
                Err(ParseError::format("expected a resource in this block, and `regex` finds none").at(first))
            }
        }
    }

    fn add(&mut self, found: &Captures<'_>, first: u32, last: u32) -> Result<(), ParseError> {
        let group =
            |name: &str| found.name(name).map(|group| text::string(group.as_bytes()).trim().to_owned());
        let name = group("name").filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| ParseError::format("a match whose group \"name\" is empty").at(first))?;
        let action = group("action").map_or(Action::Change, |word| self.action(first, word));
        let (scope, kind) = (group("scope").unwrap_or_default(), group("kind").unwrap_or_default());
        if kind == OUTPUT_KIND {
            let error = ParseError::format(format!("kind {OUTPUT_KIND:?} is never drift")).at(first);
            return Err(error.hint("let the group \"kind\" match another word"));
        }
        let resource = Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last);
        self.parsed.resources.push(resource);
        Ok(())
    }

    fn action(&mut self, line: u32, word: String) -> Action {
        let own = self.pattern.actions.iter().find(|(known, _)| *known == word).map(|(_, action)| *action);
        // A read is never drift, and a match is.
        let drifts = |action: &Action| *action != Action::Read && action.as_str() == word;
        let plain = || Action::ALL.into_iter().find(drifts);
        own.or_else(plain).unwrap_or_else(|| {
            if self.odd.len() < 10 && self.odd.iter().all(|(_, known)| *known != word) {
                self.odd.push((line, word));
            }
            Action::Change
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Reading as Read, Stream, Verdict, read_by_pattern};

    fn pattern(regex: &str) -> Pattern {
        Pattern {
            name: "backup".to_owned(),
            resource: Finder::new(regex).unwrap(),
            clean: None,
            block: None,
            actions: Vec::new(),
            exit_codes: None,
        }
    }

    fn backup() -> Pattern {
        Pattern {
            clean: Some(Expression::new(r"^all \d+ backups fresh").unwrap()),
            exit_codes: Some(ExitCodes { clean: vec![0], drifted: vec![3] }),
            ..pattern(r"^(?P<name>\S+) is (?P<kind>stale|missing)")
        }
    }

    fn read(pattern: &Pattern, exit: i32, stdout: &str) -> Read {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(b""));
        let input = Input { argv: &[], exit: Some(exit), stdout, stderr, files: &[] };
        read_by_pattern(pattern, None, &input)
    }

    fn found(reading: &Read) -> Vec<Resource> {
        reading.report().map(|report| report.resources().to_vec()).unwrap_or_default()
    }

    #[test]
    fn exit_code_clean_line_and_matches_must_agree() {
        use Verdict::{Clean, Drifted, Failed, Unreadable};
        let (drift, fresh) = ("db is stale\nweb is missing\r\n", "all 12 backups fresh\n");
        let both = format!("{drift}{fresh}");
        for (exit, text, verdict) in [
            (0, fresh, Clean),
            (3, drift, Drifted),
            // The tool works so: understood drift is drift whatever the code says.
            (0, drift, Drifted),
            (3, fresh, Unreadable),
            (0, &both, Unreadable),
            (3, &both, Unreadable),
            (0, "", Unreadable),
            (3, "", Unreadable),
            (0, "all x backups fresh\n", Unreadable),
            (1, fresh, Failed),
            (1, drift, Failed),
        ] {
            assert_eq!(read(&backup(), exit, text).verdict(), verdict, "{exit} {text}");
        }
        let of = |name: &str, kind: &str, line| Resource {
            drift: true,
            ..Resource::new(Source::Plan, "", kind, name, Action::Change).with_span(line, line)
        };
        assert_eq!(
            found(&read(&backup(), 3, "\x1b[31mdb is stale\x1b[0m\nx\nweb is missing\n")),
            [of("web", "missing", 3), of("db", "stale", 1)]
        );
    }

    #[test]
    fn a_byte_that_is_no_character_hides_no_resource() {
        let wide =
            Pattern { clean: Some(Expression::new("^none$").unwrap()), ..pattern("^drift (?P<name>.+)$") };
        let read = |stdout: &[u8]| {
            let (stdout, stderr) = (Stream::whole(stdout), Stream::whole(b""));
            read_by_pattern(&wide, None, &Input { argv: &[], exit: Some(0), stdout, stderr, files: &[] })
        };
        let drifted = read(b"drift x\xffy\n");
        assert_eq!((drifted.verdict(), &*found(&drifted)[0].name), (Verdict::Drifted, "x\u{fffd}y"));
        assert_eq!(read(b"none\ndrift x\xffy\n").verdict(), Verdict::Unreadable);
    }

    #[test]
    fn expressions_are_equal_where_their_texts_are() {
        assert_eq!(Expression::new("a").unwrap(), Expression::new("a").unwrap());
        assert_ne!(Expression::new("a").unwrap(), Expression::new("b").unwrap());
    }

    #[test]
    fn what_matches_nothing_says_so() {
        let reason = |pattern: &Pattern| read(pattern, 0, "x\n").reason().unwrap();
        assert_eq!(reason(&backup()), "neither `regex` nor `clean` matches anything in the output");
        assert_eq!(
            reason(&pattern("^(?P<name>.+) differs$")),
            "`regex` matches nothing in the output, and the exit code doesn't say \"clean\"; give the parser `clean`, an expression for what is printed then"
        );
        // A failed command says why itself.
        assert_eq!(read(&backup(), 1, "x\n").reason().unwrap(), "exit code 1");
    }

    #[test]
    fn a_silent_code_needs_a_word() {
        let silent = pattern("^(?P<name>.+) differs$");
        assert_eq!(read(&silent, 0, "").verdict(), Verdict::Unreadable);
        assert_eq!(read(&silent, 0, "a differs\n").verdict(), Verdict::Drifted);
        assert_eq!(read(&silent, 2, "a differs\n").verdict(), Verdict::Failed);
        let spoken = Pattern { exit_codes: Some(ExitCodes { clean: vec![0], drifted: vec![2] }), ..silent };
        assert_eq!(read(&spoken, 0, "").verdict(), Verdict::Clean);
        assert_eq!(read(&spoken, 2, "").verdict(), Verdict::Unreadable);
    }

    #[test]
    fn groups_give_identity_and_action() {
        let words = Pattern {
            actions: vec![("gone".to_owned(), Action::Create)],
            ..pattern(r"(?P<scope>\w+)/(?P<name>\w+) (?P<action>\w+)")
        };
        let reading = read(&words, 0, "ns/a gone, ns/b delete\nns/c odd\nns/d odd\n");
        let of = |name: &str, action, line| Resource {
            drift: true,
            ..Resource::new(Source::Plan, "ns", "", name, action).with_span(line, line)
        };
        assert_eq!(
            found(&reading),
            [
                of("a", Action::Create, 1),
                of("b", Action::Delete, 1),
                of("c", Action::Change, 2),
                of("d", Action::Change, 3)
            ]
        );
        let remark = "\"odd\" is no action, so it counts as \"change\"; say what it means in `actions`";
        assert_eq!(
            reading.report().unwrap().diagnostics(),
            [Diagnostic { line: Some(2), ..Diagnostic::warning(remark) }]
        );
        assert_eq!(words.gives(), Action::ALL);
        assert_eq!(backup().gives(), [Action::Change]);
    }

    #[test]
    fn what_is_never_drift_for_terraform_is_no_way_out() {
        let words = pattern(r"^(?P<kind>\w+) (?P<name>\w+) (?P<action>\w+)$");
        assert_eq!(read(&words, 0, "pod a read\n").verdict(), Verdict::Drifted);
        let output = read(&words, 0, "output a update\n");
        assert_eq!(
            output.reason().unwrap(),
            "line 1: kind \"output\" is never drift; let the group \"kind\" match another word"
        );
    }

    #[test]
    fn a_block_is_one_resource() {
        let block = |end: Option<&str>| Pattern {
            block: Some((Expression::new("^=== ").unwrap(), end.map(|end| Expression::new(end).unwrap()))),
            ..pattern(r"^file: (?P<name>.+)$")
        };
        let of = |name: &str, first, last| Resource {
            drift: true,
            ..Resource::new(Source::Plan, "", "", name, Action::Change).with_span(first, last)
        };
        let text = "file: no\n=== 1\nfile: a\n--- end\nfile: no\n=== 2\nx\nfile: b\n--- end\n";
        assert_eq!(found(&read(&block(Some("^--- end")), 0, text)), [of("a", 2, 4), of("b", 6, 9)]);
        assert_eq!(found(&read(&block(None), 0, text)), [of("a", 2, 5), of("b", 6, 9)]);
        let error = |pattern: &Pattern, text: &str| match read(pattern, 0, text) {
            Read::Unreadable(error) => (error.class, error.line),
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&block(Some("^--- end")), "=== 1\nfile: a\n"), (Class::UnreadableCut, Some(1)));
        assert_eq!(
            error(&block(Some("^--- end")), "=== 1\nfile: a\n=== 2\n"),
            (Class::UnreadableCut, Some(1))
        );
        assert_eq!(error(&block(None), "x\n=== 1\nnothing\n"), (Class::UnreadableFormat, Some(2)));
    }

    #[test]
    fn a_match_without_a_name_is_refused() {
        let reading = read(&pattern("^x(?P<name> *)"), 0, "a\nx \n");
        assert_eq!(reading.reason().unwrap(), "line 2: a match whose group \"name\" is empty");
    }

    #[test]
    fn expressions_that_could_not_work_are_refused() {
        let of = |text: &str| Finder::new(text).unwrap_err();
        assert!(of("(?P<name>.*)").contains("could match an empty text"));
        assert!(of("^(?P<name>x)?$").contains("could match an empty text"));
        assert!(of("(?P<name>.+").contains("no regular expression: unclosed group"));
        assert!(of("a+").contains("has no group \"name\""));
        assert!(of("(?P<name>a)(?P<host>b)").contains("group \"host\""));
        assert!(of(r"(?P<name>[^\s\S])").contains("can never match"));
        assert!(Finder::new(r"(?P<name>\xFF)").is_ok());
    }
}
