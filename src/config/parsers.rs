//! Parsers that the configuration defines: regular expressions, or a program.

use super::decode::{Decoder, misspelt, one_of};
use super::template::Variables;
use super::yaml::{Entry, Node, Value};
use crate::check::{Program, Reader, default, is_name};
use driftrun_parsers::pattern::{Expression, Finder};
use driftrun_parsers::{Action, Pattern};
use std::collections::BTreeMap;
use std::sync::Arc;

const PATTERN_KEYS: &[&str] = &["actions", "begin", "clean", "end", "exit_codes", "regex"];
const PROGRAM_KEYS: &[&str] = &["command", "exit_codes", "timeout"];

/// The mapping under `parsers`; `None` for those that have a problem.
pub(super) fn parsers(decoder: &mut Decoder<'_>, node: &Node) -> BTreeMap<String, Option<Reader>> {
    let mut parsers = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        decoder.problem(
            node.place,
            format!("`parsers` must be a mapping from names to parsers, not {}", node.kind()),
        );
        return parsers;
    };
    for Entry { key, place, value } in entries {
        if !is_name(key) {
            decoder.problem(*place, format!("parser name {key:?}: use 1 to 128 letters, digits, '_', '.', '-', and begin with a letter or digit"));
        } else if driftrun_parsers::by_name(key).is_some() || matches!(key.as_str(), "auto" | "none") {
            decoder.problem(*place, format!("parser name {key:?} is driftrun's own; choose another"));
        } else {
            let reader = decoder.parser(key, value);
            parsers.insert(key.clone(), reader);
        }
    }
    parsers
}

impl Decoder<'_> {
    fn parser(&mut self, name: &str, node: &Node) -> Option<Reader> {
        match (node.get("regex"), node.get("command")) {
            (Some(_), Some(command)) => {
                self.problem(command.place, "both `regex` and `command`; keep one");
                None
            }
            (Some(regex), None) => self.pattern(name, node, regex),
            (None, Some(command)) => self.program(name, node, command),
            (None, None) => {
                let known = [PATTERN_KEYS, PROGRAM_KEYS].concat();
                self.keys(node, &known, "a parser")?;
                if misspelt(node, &["regex", "command"], &known) {
                    return None;
                }
                self.problem(node.place, "a parser without `regex` (an expression with a group \"name\") or `command` (a program that prints a report)");
                None
            }
        }
    }

    fn pattern(&mut self, name: &str, node: &Node, regex: &Node) -> Option<Reader> {
        self.keys(node, PATTERN_KEYS, "a parser with `regex`")?;
        let resource = self.text(regex).map(|text| Finder::new(&text));
        let resource = self.sound(regex, resource);
        let mut expression = |key: &str| {
            node.get(key).map(|value| {
                let expression = self.text(value).map(|text| Expression::new(&text));
                self.sound(value, expression)
            })
        };
        let (clean, begin, end) = (expression("clean"), expression("begin"), expression("end"));
        let exit_codes = node.get("exit_codes").map(|codes| self.exit_codes(codes));
        let actions = node.get("actions").map(|actions| self.actions(actions)).unwrap_or_default();
        if clean.is_none() && exit_codes.is_none() {
            self.problem(regex.place, "nothing could ever be read as clean; give the parser `clean` (an expression for what is printed then) or `exit_codes`");
        }
        if let (None, Some(end)) = (&begin, node.get("end")) {
            self.problem(end.place, "`end` without `begin`; a block needs its beginning");
        }
        let block = match (begin, end) {
            (None, _) => None,
            (Some(begin), None) => Some((begin?, None)),
            (Some(begin), Some(end)) => Some((begin?, Some(end?))),
        };
        let clean = match clean {
            None => None,
            Some(clean) => Some(clean?),
        };
        let name = name.to_owned();
        Some(Reader::Pattern(Arc::new(Pattern {
            name,
            resource: resource?,
            clean,
            block,
            actions,
            exit_codes,
        })))
    }

    fn sound<T>(&mut self, node: &Node, compiled: Option<Result<T, String>>) -> Option<T> {
        match compiled? {
            Ok(expression) => Some(expression),
            Err(message) => {
                self.problem(node.place, message);
                None
            }
        }
    }

    fn actions(&mut self, node: &Node) -> Vec<(String, Action)> {
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!("`actions` must be a mapping such as {{missing: create}}, not {}", node.kind()),
            );
            return Vec::new();
        };
        // A read is never drift, and a match is.
        let known: Vec<(&str, Action)> = Action::ALL
            .into_iter()
            .filter(|action| *action != Action::Read)
            .map(|action| (action.as_str(), action))
            .collect();
        let mut actions = Vec::new();
        for Entry { key, value, .. } in entries {
            match self.text(value).map(|text| one_of(&text, &known)) {
                Some(Ok(action)) => actions.push((key.clone(), action)),
                Some(Err(message)) => self.problem(value.place, message),
                None => {}
            }
        }
        actions
    }

    fn program(&mut self, name: &str, node: &Node, command: &Node) -> Option<Reader> {
        self.keys(node, PROGRAM_KEYS, "a parser with `command`")?;
        let argv = self.argv(command, &Variables::new());
        let timeout = self.duration(node.get("timeout"), default::PROGRAM_TIMEOUT);
        let exit_codes = node.get("exit_codes").map(|codes| self.exit_codes(codes));
        let mut argv = argv?;
        // Checks have working folders of their own: `./read.py` is the one beside the configuration.
        if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
            *program = self.folder.join(&*program).to_string_lossy().into_owned();
        }
        let name = name.to_owned();
        Some(Reader::Program(Arc::new(Program { name, command: argv, timeout, exit_codes })))
    }
}
