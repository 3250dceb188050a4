//! What ansible itself says on standard error: why it failed, and what it left out.

use super::Recap;
use super::command::command_line;
use crate::ansible::{bracketed, inventory_name};
use crate::error::{Class, Failure};
use crate::input::Input;
use crate::report::{Diagnostic, Unread, UnreadReason};
use crate::text;
use memchr::memmem;
use std::collections::BTreeSet;

/// What another run of a script's says that ended before it reached any host: the recap and the exit code of a later one know
/// nothing of it. Where ansible-playbook itself gave the code, the code tells.
pub(super) fn failed_before(input: &Input<'_>) -> Option<Failure> {
    // Other programs of a script write `ERROR: …` as well.
    const OWN: [&[u8]; 4] = [b"ERROR! ", b"[ERROR]: ", b"ansible-playbook: error: ", b"[FATAL ERROR]: "];
    if !matches!(input.exit, None | Some(0)) || command_line(input.argv).is_some() {
        return None;
    }
    let words = text::lines(input.stderr.bytes()).find_map(|line| {
        let plain = line.plain();
        let own = OWN.iter().any(|beginning| plain.trim_ascii().starts_with(beginning));
        error_words(&plain).filter(|_| own)
    });
    words.and(failure(input))
}

/// How the warning of a source begins; the path can stand on the next line.
const LOST_SOURCE: &str = "Unable to parse";

/// The width at which ansible before 2.19 folds warnings where there is no terminal. On one they may be wider, never narrower.
const FOLD: usize = 79;

/// The warnings on either stream: with `2>&1` they stand among the results. What a task prints begins no line so.
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    pub(crate) fn of(input: &Input<'_>) -> Self {
        let mut all = unfolded(input.stderr.bytes());
        let stdout = input.stdout.bytes();
        if memmem::find(stdout, b"[WARNING]: ").is_some() {
            all.extend(unfolded(stdout));
        }
        Self(all)
    }

    /// Those that say that less was looked at than was asked for.
    pub(crate) fn of_less(&self) -> impl Iterator<Item = Diagnostic> {
        const BEGINNINGS: [&str; 2] = ["Could not match supplied host pattern", LOST_SOURCE];
        let less = |words: &&String| BEGINNINGS.iter().any(|beginning| words.starts_with(beginning));
        self.0.iter().filter(less).map(Diagnostic::warning)
    }

    /// The inventory sources that could not be read: nobody knows their hosts, so the recap can't miss them.
    pub(crate) fn lost_sources(&self) -> impl Iterator<Item = Unread> {
        // What is left of the sentence where standard error was cut.
        const ENDS: [&str; 4] = ["as an inventory source", "as an inventory", "as an", "as"];
        let path = |words: &String| {
            let path = words.strip_prefix(LOST_SOURCE)?.trim();
            let path = ENDS.iter().find_map(|end| path.strip_suffix(end)?.strip_suffix(' ')).unwrap_or(path);
            Some(format!("inventory {path}"))
        };
        let paths: BTreeSet<String> = self.0.iter().filter_map(path).collect();
        paths.into_iter().map(|scope| Unread { scope, reason: UnreadReason::Failed })
    }

    /// What to look at where no host was looked at.
    pub(crate) fn hint(&self, otherwise: &str) -> String {
        self.of_less()
            .next()
            .map_or_else(|| otherwise.to_owned(), |warning| format!("ansible warns: {}", warning.summary))
    }
}

/// The warnings of stderr, each in one line. Before 2.19 they are folded: between words, at a word's hyphen, and within a word that
/// is longer than a line.
pub(super) fn unfolded(stderr: &[u8]) -> Vec<String> {
    /// A path has not many more lines: what comes after them is somebody else's.
    const MANY: usize = 60;
    let mut all = Vec::new();
    let mut lines = text::lines(stderr).map(|line| text::string(&line.plain()).trim().to_owned()).peekable();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("[WARNING]:") else { continue };
        let (mut words, mut width) = (words.trim().to_owned(), line.chars().count());
        for _ in 0..MANY {
            let open = words.starts_with(LOST_SOURCE) && !words.ends_with("as an inventory source");
            let folded = |next: &String| {
                let part = next.split_inclusive([' ', '-']).next().unwrap_or_default().trim_end();
                let fits = width.saturating_add(1).saturating_add(part.chars().count()) <= FOLD;
                !next.is_empty() && !next.starts_with('[') && (open || !fits)
            };
            let Some(next) = lines.next_if(folded) else { break };
            if !joined(&words, width, &next) {
                words.push(' ');
            }
            words.push_str(&next);
            width = next.chars().count();
        }
        words.retain(|c| !c.is_control());
        all.push(words);
    }
    all
}

/// Whether a line was folded within a word: after a hyphen of it, or because it is longer than a line.
fn joined(line: &str, width: usize, next: &str) -> bool {
    if let Some(word) = line.strip_suffix('-') {
        return word.ends_with(|c: char| c.is_alphanumeric());
    }
    let last = line.rsplit([' ', '-']).next().unwrap_or_default();
    let first = next.split([' ', '-']).next().unwrap_or_default();
    width >= FOLD && last.chars().count().saturating_add(first.chars().count()) > FOLD
}

/// The hosts that could not be reached, where `display_failed_stderr` takes such results off standard output.
pub(super) fn unreachable(stderr: &[u8], recap: &Recap) -> Vec<String> {
    const BEGINNING: &[u8] = b"fatal: [";
    if memmem::find(stderr, BEGINNING).is_none() {
        return Vec::new();
    }
    let hosts = text::lines(stderr).filter_map(|line| {
        let plain = line.plain();
        let (host, tail) = bracketed(plain.strip_prefix(BEGINNING)?)?;
        tail.starts_with(b": UNREACHABLE!").then(|| inventory_name(host, recap))
    });
    hosts.collect()
}

/// The first line in which ansible itself (not a task on a host) says what is wrong.
pub(super) fn failure(input: &Input<'_>) -> Option<Failure> {
    let words = |bytes: &[u8]| text::lines(bytes).find_map(|line| error_words(&line.plain()));
    // From 2.19 on, tasks print `[ERROR]: …` to stdout as well: read there only what comes before any play.
    let summary = words(input.stderr.bytes()).or_else(|| {
        text::lines(input.stdout.bytes())
            .take_while(|line| !line.plain().starts_with(b"PLAY"))
            .find_map(|line| error_words(&line.plain()))
    })?;
    let lower = summary.to_lowercase();
    let vault = lower.contains("vault") || lower.contains("decrypt");
    let secret = ["secret", "password", "decrypt"].iter().any(|word| lower.contains(word));
    Some(Failure::new(if vault && secret { Class::Auth } else { Class::Exit }, summary))
}

pub(super) fn error_words(line: &[u8]) -> Option<String> {
    const BEGINNINGS: [&[u8]; 6] = [
        b"ERROR! ",
        b"[ERROR]: ",
        b"ansible-playbook: error: ",
        b"ansible: error: ",
        b"ERROR: ",
        b"[FATAL ERROR]: ",
    ];
    let line = line.trim_ascii();
    let rest = BEGINNINGS.iter().find_map(|beginning| line.strip_prefix(*beginning))?;
    let task = [&b"Task failed"[..], b"Error while"].iter().any(|words| rest.starts_with(words));
    (!task).then(|| text::string(rest).chars().filter(|c| !c.is_control()).take(300).collect())
}
