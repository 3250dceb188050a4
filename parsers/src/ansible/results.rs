//! Results of tasks on hosts: the lines that begin with `ok:`, `changed:`, `skipping:`, `fatal:` and `failed:`, and `...ignoring`.

use super::Pending;
use super::attributes;
use super::lines::{after_colour, bracketed, failed_after_change, label_ends};
use super::reader::{MANY_LINES, Reader};
use crate::ParseError;
use crate::report::{Diagnostic, Span};
use crate::text::{Line, strip_ansi};
use memchr::memchr;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What a result line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Changed,
    Skipping,
    /// `fatal:` and, for items, `failed:`.
    Failed,
}

/// A host as the result lines write it, with the delegate if there is one.
pub(super) struct Host {
    pub(super) written: Vec<u8>,
    /// First line with a result that isn't `skipping`.
    pub(super) answered: Option<u32>,
    pub(super) unreachable: bool,
    /// How many of its lines say `ok` or `changed` of a whole task.
    pub(super) succeeded: u32,
    /// The last play in which it has a result.
    pub(super) play: u32,
    /// Its last finding.
    pub(super) current: Option<usize>,
    /// The task of that finding.
    pub(super) task: usize,
    /// Nothing in its name can be taken for a colour.
    pub(super) plain: bool,
    /// Its `ok: [HOST]` and `skipping: [HOST]`, byte for byte, with colours and line end; empty before the first.
    pub(super) ok: Vec<u8>,
    pub(super) skipping: Vec<u8>,
    /// The host whose result came after its last one: likely to come again.
    pub(super) next: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that its lines said")]
/// The results of one task on one host, as long as there is a change among them.
pub(super) struct Found {
    pub(super) host: usize,
    pub(super) task: usize,
    /// Where the first result line stands, with its pretty JSON.
    pub(super) first: (u32, u32),
    pub(super) last: u32,
    /// Where the diff before the first result line begins.
    pub(super) diff: Option<u32>,
    /// That diff is its own.
    pub(super) certain: bool,
    /// Lines of other hosts stand between its own.
    pub(super) mixed: bool,
    pub(super) items: bool,
    /// A `changed:` line.
    pub(super) shown: bool,
    /// `"changed": true` in a failure.
    pub(super) after_failure: bool,
    pub(super) failed: bool,
    pub(super) ignored: bool,
    /// What the diffs of all its changes show; `None` where one of them doesn't show everything.
    pub(super) attributes: Option<Vec<String>>,
}

/// Hosts by the numbers of their lines. Two lines may have one number: who asks compares the lines.
pub(super) type ByLine = HashMap<u64, usize, BuildHasherDefault<Same>>;

/// Takes a number for its own hash.
#[derive(Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = number(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A number for a line, in less time than comparing it takes.
#[inline]
fn number(line: &[u8]) -> u64 {
    let mix = |number: u64, word: [u8; 8]| {
        (number.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let (words, _) = line.as_chunks::<8>();
    // What is left over, with what stands before it.
    let last = line.last_chunk().copied().unwrap_or_default();
    let number = mix(words.iter().fold(0, |number, word| mix(number, *word)), last);
    // The upper half is the better mixed one.
    number ^ (number >> 32)
}

impl<'a> Reader<'a> {
    /// Takes the lines that are, byte for byte, what the hosts that come next had before: most lines of most outputs.
    #[inline]
    pub(super) fn repeated(&mut self) {
        let Some(task) = self.tasks.len().checked_sub(1) else { return };
        let Some(first) = self.hosts.get(self.before).map(|host| host.next) else { return };
        if self.ended || !matches!(self.lines.rest().first(), Some(b'o' | b's' | 0x1b)) {
            return;
        }
        let (mut expected, mut begun, mut several) = (first, None, false);
        loop {
            // Written out: this is where most of the time goes.
            while let Some(host) =
                self.hosts.get_mut(expected).filter(|host| self.orderly && host.task != task)
            {
                if self.lines.take_same(&host.ok) {
                    host.succeeds(self.lines.number());
                } else if !self.lines.take_same(&host.skipping) {
                    break;
                }
                host.play = self.plays;
                several |= begun.is_some_and(|begun| begun != expected);
                begun = begun.or(Some(expected));
                self.before = expected;
                expected = host.next;
            }
            let Some(at) = self.had().filter(|at| self.take(*at, task).is_some()) else { break };
            // Where one came out of turn, so does the next.
            self.orderly = at == expected;
            self.follows(at);
            several |= begun.is_some_and(|begun| begun != at);
            begun = begun.or(Some(at));
            expected = self.hosts.get(at).map_or(at, |host| host.next);
        }
        if begun.is_some() {
            self.blank = false;
            self.after_result(self.before);
            if let Some((_, more)) = self.play_hosts.last_mut() {
                *more |= several;
            }
        }
    }

    /// Takes the next line if the host at `at` had the same before. Gives the host that is likely to come next.
    #[inline]
    fn take(&mut self, at: usize, task: usize) -> Option<usize> {
        // A finding of this task goes on.
        let host = self.hosts.get_mut(at).filter(|host| host.task != task)?;
        if self.lines.take_same(&host.ok) {
            host.succeeds(self.lines.number());
        } else if !self.lines.take_same(&host.skipping) {
            return None;
        }
        host.play = self.plays;
        Some(host.next)
    }

    /// The host that had a line like the next: hosts answer in an order of their own.
    fn had(&self) -> Option<usize> {
        let rest = self.lines.rest();
        if !matches!(rest.first(), Some(b'o' | b's' | 0x1b)) {
            return None;
        }
        let line = rest.get(..=memchr(b'\n', rest)?)?;
        self.by_line.get(&number(line)).copied()
    }

    /// What is the same after any result. Gives what stood before it, and the host of the result before.
    fn after_result(&mut self, host: usize) -> (Option<Pending<'a>>, Option<usize>) {
        self.in_error = false;
        if let Some((only, several)) = self.play_hosts.last_mut() {
            *several |= only.is_some_and(|only| only != host);
            *only = Some(host);
        }
        (self.pending.take(), self.last_host.replace(host))
    }

    pub(super) fn maybe_result(&mut self, line: Line<'a>, body: &'a [u8]) -> Result<(), ParseError> {
        let Some((beginning, status)) = status(body) else {
            if body.starts_with(b"skipping: no hosts matched") {
                let summary = format!("no hosts matched for play {:?}", self.play);
                self.diagnostics.push(Diagnostic { line: Some(line.number), ..Diagnostic::warning(summary) });
                self.pending = None;
            } else {
                self.text(line, body);
            }
            return Ok(());
        };
        if status != Status::Failed
            && let Some(host) = self.known(body.get(beginning..).unwrap_or_default())
        {
            self.goes_on(line.number);
            self.keep(host, status, line);
            let lines = (line.number, line.number);
            return self.result(host, lines, status, false, status == Status::Changed, false);
        }
        let plain = strip_ansi(body);
        let rest = plain.get(beginning..).unwrap_or_default();
        let Some((host, tail)) = bracketed(rest) else {
            self.text(line, body);
            return Ok(());
        };
        self.goes_on(line.number);
        let item = tail.starts_with(b" => (item=") || tail.starts_with(b" (item=");
        let mut end = line.number;
        let mut tail = Cow::Borrowed(tail);
        if item && !label_ends(&tail) {
            (end, tail) = self.rest_of_label(end, tail);
        }
        let mut changed = status == Status::Failed && failed_after_change(&tail, &mut self.lines.clone());
        if tail.ends_with(b" => {") {
            end = self.skip_json(end);
        }
        changed |= status == Status::Changed;
        let host = self.host(host);
        if tail.is_empty() {
            self.keep(host, status, line);
        }
        let unreachable = tail.starts_with(b": UNREACHABLE!");
        self.result(host, (line.number, end), status, item, changed, unreachable)
    }

    /// Keeps a line that the host is likely to have again.
    fn keep(&mut self, host: usize, status: Status, line: Line<'a>) {
        let at = host;
        let Some(host) = self.hosts.get_mut(at) else { return };
        let kept = match status {
            Status::Ok => &mut host.ok,
            Status::Skipping => &mut host.skipping,
            Status::Changed | Status::Failed => return,
        };
        if kept.is_empty() && !self.lines.rest().is_empty() {
            kept.extend_from_slice(line.bytes);
            let before = self.stdout.len().saturating_sub(self.lines.rest().len());
            let end: &[u8] = if self.stdout.get(..before).is_some_and(|all| all.ends_with(b"\r\n")) {
                b"\r\n"
            } else {
                b"\n"
            };
            kept.extend_from_slice(end);
            self.by_line.insert(number(kept), at);
        }
    }

    fn result(
        &mut self,
        host: usize,
        lines: (u32, u32),
        status: Status,
        item: bool,
        changed: bool,
        unreachable: bool,
    ) -> Result<(), ParseError> {
        let (text, before) = self.after_result(host);
        let Some(entry) = self.hosts.get_mut(host) else { return Ok(()) };
        entry.play = self.plays;
        match status {
            Status::Ok | Status::Changed if !item => entry.succeeds(lines.0),
            Status::Ok | Status::Changed | Status::Failed => entry.answers(lines.0),
            Status::Skipping => {}
        }
        entry.unreachable |= unreachable;
        let (failed, shown) = (status == Status::Failed, status == Status::Changed);
        let Some(task) = self.tasks.len().checked_sub(1) else {
            // A merged stderr can bring a failure before its banner; a change without a task is something else.
            return if shown {
                Err(ParseError::format("a changed: line before any TASK").at(lines.0))
            } else {
                Ok(())
            };
        };
        // The diff of an item can come before another host's item: it is this one's where no other diff waits.
        let certain = !item || self.owed == 1;
        if shown {
            self.owed = if item { self.owed.saturating_sub(1) } else { 0 };
        }
        let attributes = text.as_ref().filter(|_| shown).and_then(|text| attributes::of(text, lines.0));
        let current = entry.current.filter(|_| entry.task == task);
        if let Some(found) = current.and_then(|at| self.found.get_mut(at)) {
            found.mixed |= before != Some(host);
            found.last = lines.1;
            found.items |= item;
            found.failed |= failed;
            if shown {
                found.attributes = attributes::both(found.attributes.take(), attributes);
            }
            found.shown |= shown;
            found.after_failure |= failed && changed;
        } else if changed || failed {
            entry.current = Some(self.found.len());
            entry.task = task;
            self.found.push(Found {
                host,
                task,
                first: lines,
                last: lines.1,
                diff: text.filter(|_| !failed).map(|text| text.first.number),
                certain,
                mixed: false,
                items: item,
                shown,
                after_failure: failed && changed,
                failed,
                ignored: false,
                attributes,
            });
        }
        Ok(())
    }

    /// Belongs to the result line before it, or, where a looped task or a merged stderr parts the two, to a failure of the
    /// same task that isn't ignored yet.
    pub(super) fn ignoring(&mut self) {
        self.pending = None;
        let tasks = self.tasks.len();
        let open = |found: &Found| found.task.saturating_add(1) == tasks && found.failed && !found.ignored;
        let before = self.last_host.and_then(|host| self.hosts.get(host)).and_then(|host| host.current);
        let before = before.filter(|at| self.found.get(*at).is_some_and(open));
        let at = before.or_else(|| {
            let mut current = self
                .found
                .iter()
                .enumerate()
                .rev()
                .take_while(|(_, found)| found.task.saturating_add(1) == tasks);
            current.find(|(_, found)| open(found)).map(|(at, _)| at)
        });
        if let Some(found) = at.and_then(|at| self.found.get_mut(at)) {
            found.ignored = true;
        }
    }

    fn host(&mut self, written: &[u8]) -> usize {
        let next = self.hosts.get(self.before).map_or(0, |host| host.next);
        let known = self.hosts.get(next).is_some_and(|host| host.written == written);
        let at = if known { next } else { self.look_up(written) };
        self.follows(at);
        at
    }

    /// The host of a line, if `rest` is its name and a bracket and nothing else: most lines of a run are such lines.
    #[inline]
    fn known(&mut self, rest: &[u8]) -> Option<usize> {
        let written = rest.strip_suffix(b"]")?;
        let next = self.hosts.get(self.before)?.next;
        let at = match self.hosts.get(next) {
            Some(host) if host.written == written => next,
            _ => *self.by_name.get(written)?,
        };
        self.hosts.get(at).filter(|host| host.plain)?;
        self.follows(at);
        Some(at)
    }

    /// Learns that `at` comes after the host before.
    fn follows(&mut self, at: usize) {
        if let Some(host) = self.hosts.get_mut(self.before) {
            host.next = at;
        }
        self.before = at;
    }

    fn look_up(&mut self, written: &[u8]) -> usize {
        if let Some(at) = self.by_name.get(written) {
            return *at;
        }
        let at = self.hosts.len();
        self.by_name.insert(written.to_vec(), at);
        self.hosts.push(Host {
            written: written.to_vec(),
            answered: None,
            unreachable: false,
            succeeded: 0,
            play: 0,
            current: None,
            task: usize::MAX,
            plain: !written.contains(&0x1b),
            ok: Vec::new(),
            skipping: Vec::new(),
            next: 0,
        });
        at
    }

    /// A label is printed raw and may hold anything, newlines too. Reads on to the line that ends it.
    fn rest_of_label<'t>(&mut self, at: u32, tail: Cow<'t, [u8]>) -> (u32, Cow<'t, [u8]>) {
        let mut ahead = self.lines.clone();
        for _ in 0..MANY_LINES {
            let Some(next) = ahead.next() else { break };
            let plain = next.plain();
            if label_ends(&plain) {
                self.lines = ahead;
                return (next.number, Cow::Owned(plain.into_owned()));
            }
        }
        (at, tail)
    }

    /// Skips pretty JSON: indented lines and a closing brace. Says where it ends.
    fn skip_json(&mut self, mut end: u32) -> u32 {
        loop {
            let mut ahead = self.lines.clone();
            let Some(next) = ahead.next() else { return end };
            match after_colour(next.bytes).first() {
                Some(b' ') => {}
                Some(b'}') => {
                    self.lines = ahead;
                    self.closed = next.number;
                    return next.number;
                }
                _ => return end,
            }
            end = next.number;
            self.lines = ahead;
        }
    }
}

impl Host {
    /// A result that isn't `skipping`, on this line.
    #[inline]
    fn answers(&mut self, line: u32) {
        if self.answered.is_none() {
            self.answered = Some(line);
        }
    }

    /// A whole task is `ok` or `changed`, as this line says.
    #[inline]
    fn succeeds(&mut self, line: u32) {
        self.answers(line);
        self.succeeded = self.succeeded.saturating_add(1);
    }
}

impl Found {
    pub(super) fn absorb(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        self.mixed = true;
        self.items |= other.items;
        self.shown |= other.shown;
        self.after_failure |= other.after_failure;
        self.failed |= other.failed;
        self.ignored |= other.ignored;
        self.attributes = attributes::both(self.attributes.take(), other.attributes.clone());
    }

    pub(super) fn span(&self, several_hosts: bool) -> Span {
        let shared = self.items && several_hosts;
        let first = self.diff.filter(|_| self.certain || !shared).unwrap_or(self.first.0);
        Span(first, if shared && self.mixed { self.first.1 } else { self.last })
    }
}

/// What a result line begins with, and how long that is. One comparison each: most lines of most outputs are such lines.
#[inline]
fn status(body: &[u8]) -> Option<(usize, Status)> {
    if body.starts_with(b"ok: [") {
        Some((5, Status::Ok))
    } else if body.starts_with(b"changed: [") {
        Some((10, Status::Changed))
    } else if body.starts_with(b"skipping: [") {
        Some((11, Status::Skipping))
    } else if body.starts_with(b"fatal: [") || body.starts_with(b"failed: [") {
        Some((if body.starts_with(b"fatal") { 8 } else { 9 }, Status::Failed))
    } else {
        None
    }
}
