//! The text of `ansible-playbook --check --diff` as callback `default` prints it, ansible-core 2.13 and newer; older text
//! where it reads the same.
//!
//! ```text
//! PLAY [web] *********************************************************************
//!
//! TASK [nginx : Install nginx.conf] **********************************************
//! --- before: /etc/nginx/nginx.conf
//! +++ after: /root/.ansible/tmp/ansible-local-22646pokxzp32/tmpu0b50_y4/nginx.conf.j2
//! @@ -1 +1 @@
//! -worker_processes 1;
//! +worker_processes 4;
//!
//! changed: [web1]
//! changed: [web2 -> proxy] => (item=a)
//! fatal: [web3]: UNREACHABLE! => {"changed": false, "msg": "…", "unreachable": true}
//!
//! PLAY RECAP *********************************************************************
//! web1                       : ok=4    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
//! ```
//!
//! The recap decides what changed, the lines name it. Lines of a diff begin with one of ` +-@\`, so none of them can pass for
//! anything else; what can are loop labels, task names and prepared diffs, which print raw text: labels and names are read to
//! their end, and nothing counts for more than the recap says. The text doesn't name modules, and it doesn't say which of
//! several hosts a diff in a looped task belongs to: there only the result lines are a resource's part of the output.

use crate::ansible_lines::{
    Banner, after_colour, banner, bracketed, failed_after_change, inventory_name, label_ends, recap_line,
};
use crate::ansible_playbook::{self as playbook, Finding, Recap, Run};
use crate::error::quote;
use crate::report::{Diagnostic, Parsed, Span};
use crate::text::{self, Line, Lines, strip_ansi};
use crate::{Input, ParseError, Parser};
use memchr::memmem;
use std::borrow::Cow;
use std::collections::HashMap;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "ansible",
    about: "ansible-playbook --check --diff, callback default",
    recommended: "ansible-playbook site.yml --check --diff",
    actions: playbook::ACTIONS,
    drift_codes: &[],
    runs: playbook::runs,
    recognise,
    claim: playbook::claim,
    parse,
};

/// How many lines a task's name or a loop's label may have.
const MANY_LINES: usize = 400;

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 6] = [
        (b"PLAY [", "a line that begins with PLAY ["),
        (b"PLAY RECAP", "a line that begins with PLAY RECAP"),
        (b"TASK [", "a line that begins with TASK ["),
        (b"TASK: [", "a line that begins with TASK: ["),
        (b"< PLAY [", "a cow that says PLAY ["),
        (b"PLAYBOOK: ", "a line that begins with PLAYBOOK:"),
    ];
    text::lines(input.stdout.bytes()).find_map(|line| {
        let bytes = after_colour(line.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line.bytes));
        let first = bytes.first()?;
        matches!(first, b'P' | b'T' | b'<')
            .then(|| BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)))?
            .map(|(_, evidence)| *evidence)
    })
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let stdout = playbook::output(input.stdout)?;
    match Reader::new(stdout, input.exit.is_some()).read() {
        Ok(run) => playbook::settle(input, run),
        Err(error) => playbook::failed_or(input, error),
    }
}

/// What a result line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Changed,
    Skipping,
    /// `fatal:` and, for items, `failed:`.
    Failed,
}

/// A host as the result lines write it, with the delegate if there is one.
struct Host {
    written: Vec<u8>,
    /// First line with a result that isn't `skipping`.
    answered: Option<u32>,
    unreachable: bool,
    /// The last play in which it has a result.
    play: u32,
    /// Its finding in the current task.
    current: Option<usize>,
    /// Nothing in its name can be taken for a colour.
    plain: bool,
    /// The host whose result came after its last one: likely to come again.
    next: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that its lines said")]
/// The results of one task on one host, as long as there is a change among them.
struct Found {
    host: usize,
    task: usize,
    /// Where the first result line stands, with its pretty JSON.
    first: (u32, u32),
    last: u32,
    /// Where the diff before the first result line begins.
    diff: Option<u32>,
    /// Lines of other hosts stand between its own.
    mixed: bool,
    items: bool,
    /// A `changed:` line.
    shown: bool,
    /// `"changed": true` in a failure.
    after_failure: bool,
    failed: bool,
    ignored: bool,
}

struct Task {
    name: String,
    play: u32,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the last lines said")]
struct Reader<'a> {
    lines: Lines<'a>,
    /// The exit code is known: this is a whole run, not something pasted.
    whole: bool,
    stdout: &'a [u8],
    hosts: Vec<Host>,
    by_name: HashMap<Vec<u8>, usize>,
    /// The host of the last result line.
    before: usize,
    tasks: Vec<Task>,
    plays: u32,
    /// The only host of the current play, and whether there are several; one entry a play.
    play_hosts: Vec<(Option<usize>, bool)>,
    found: Vec<Found>,
    recaps: Vec<Recap>,
    /// A recap was the last thing.
    ended: bool,
    /// The current play was ended for every host.
    no_more_hosts: bool,
    /// Where text that can belong to the next result line begins.
    pending: Option<u32>,
    /// Within the `[ERROR]: …` that 2.19 and newer print before a failure.
    in_error: bool,
    /// The line that was read last is blank.
    blank: bool,
    /// The one before it is.
    after_blank: bool,
    /// Whether banners follow a blank line here, as ansible prints them. Pasted logs lose it.
    spaced: Option<bool>,
    last_host: Option<usize>,
    /// The line of the `}` that closed pretty JSON.
    closed: u32,
    /// The first line of a recap that stands in none.
    stray: Option<u32>,
    play: String,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(stdout: &'a [u8], whole: bool) -> Self {
        Self {
            lines: text::lines(stdout),
            whole,
            stdout,
            hosts: Vec::new(),
            by_name: HashMap::new(),
            before: 0,
            tasks: Vec::new(),
            plays: 0,
            play_hosts: vec![(None, false)],
            found: Vec::new(),
            recaps: Vec::new(),
            ended: false,
            no_more_hosts: false,
            pending: None,
            in_error: false,
            blank: false,
            after_blank: false,
            spaced: None,
            last_host: None,
            closed: 0,
            stray: None,
            play: String::new(),
            diagnostics: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Run, ParseError> {
        while let Some(line) = self.lines.next() {
            let body = after_colour(line.bytes);
            let Some(first) = body.first() else {
                self.blank = true;
                continue;
            };
            self.after_blank = std::mem::take(&mut self.blank);
            // In a diff it is a file's.
            if self.stray.is_none()
                && !matches!(first, b' ' | b'+' | b'-' | b'@' | b'\\')
                && memmem::find(body, b" unreachable=").is_some()
                && recap_line(&line.plain(), line.number).is_some()
            {
                self.stray = Some(line.number);
            }
            match first {
                b' ' | b'+' | b'@' | b'\\' | b'<' | b'}' => {}
                b'o' | b'c' | b's' | b'f' => self.maybe_result(line, body)?,
                b'P' | b'T' | b'R' | b'C' | b'N' | b'D' | b'G' => self.maybe_banner(line, body)?,
                b'.' if body.starts_with(b"...ignoring") => self.ignoring(),
                b'i' if body.starts_with(b"included: ") => self.pending = None,
                b'[' | b'E' if body.starts_with(b"[ERROR]: ") || body.starts_with(b"ERROR! ") => {
                    self.in_error = true;
                    self.pending = None;
                }
                b'F' | b'A' if body.starts_with(b"FAILED - RETRYING") || body.starts_with(b"ASYNC ") => {
                    self.pending = None;
                }
                b'S' | b'M' => self.maybe_raw_output(line)?,
                b'-' if !body.starts_with(b"--- ") => {}
                _ => self.text(line.number, body),
            }
        }
        if !self.ended {
            return Err(self.no_recap());
        }
        if let Some(line) = self.stray {
            return Err(ParseError::contradiction("a host's line of a recap that has lost its beginning")
                .at(line)
                .hint("make each run of ansible-playbook a check of its own, with its output as it is"));
        }
        self.run()
    }

    /// Text that can be the diff of the next result: a diff's header, or a prepared diff, which has none.
    fn text(&mut self, line: u32, body: &[u8]) {
        if self.pending.is_some() {
            return;
        }
        let noise = self.in_error
            || body.ends_with(b"*** ")
            || [&b"Using "[..], b"task path: ", b"META: ", b"redirecting ", b"["]
                .iter()
                .any(|beginning| body.starts_with(beginning));
        if !noise {
            self.pending = Some(line);
        }
    }

    fn no_recap(&self) -> ParseError {
        let default = "set ANSIBLE_STDOUT_CALLBACK=default";
        if memmem::find(self.stdout, b"< PLAY RECAP >").is_some() {
            return ParseError::format("banners drawn by cowsay").hint("set ANSIBLE_NOCOWS=1");
        }
        if self.tasks.is_empty() && self.plays == 0 {
            return ParseError::format("no text of ansible's callback default").hint(default);
        }
        ParseError::cut("no PLAY RECAP at the end")
            .at(text::count_lines(self.stdout))
            .hint(format!("the run was stopped before its end, or its callback prints none: {default}"))
    }

    /// `debug` and others print what a program wrote as it is, below a heading and a blank line after the JSON: that can
    /// forge every line.
    fn maybe_raw_output(&mut self, line: Line<'a>) -> Result<(), ParseError> {
        const HEADINGS: [&[u8]; 5] = [b"STDOUT:", b"STDERR:", b"MSG:", b"MODULE_STDOUT:", b"MODULE_STDERR:"];
        let plain = line.plain();
        if HEADINGS.contains(&plain.trim_ascii()) && self.closed.saturating_add(2) == line.number {
            return Err(ParseError::format("output of ansible's callback debug")
                .at(line.number)
                .hint("set ANSIBLE_STDOUT_CALLBACK=default"));
        }
        self.text(line.number, &plain);
        Ok(())
    }

    // ---- banners ----

    fn maybe_banner(&mut self, line: Line<'a>, body: &[u8]) -> Result<(), ParseError> {
        const BEGINNINGS: [&[u8]; 12] = [
            b"TASK [",
            b"PLAY [",
            b"PLAY RECAP",
            b"PLAY ",
            b"RUNNING HANDLER [",
            b"CLEANUP TASK [",
            b"NO MORE HOSTS LEFT",
            b"DRY RUN ",
            b"CUSTOM STATS: ",
            b"TASK: [",
            b"NOTIFIED: [",
            b"GATHERING FACTS ",
        ];
        if !BEGINNINGS.iter().any(|beginning| body.starts_with(beginning)) {
            self.text(line.number, body);
            return Ok(());
        }
        if line.number > 1 && self.spaced.is_none() {
            self.spaced = Some(self.after_blank);
        }
        if self.spaced == Some(true) && !self.after_blank {
            self.text(line.number, body);
            return Ok(());
        }
        let plain = line.plain();
        if let Some(found) = banner(&plain) {
            return self.banner(line.number, found);
        }
        if !plain.contains(&b'[') {
            self.text(line.number, body);
            return Ok(());
        }
        // A name of several lines: the stars come at its end.
        let (mut ahead, mut name) = (self.lines.clone(), plain.into_owned());
        for _ in 0..MANY_LINES {
            let Some(next) = ahead.next() else {
                return Err(ParseError::cut("the output ends within a banner").at(line.number));
            };
            name.push(b'\n');
            name.extend_from_slice(&next.plain());
            if next.bytes.contains(&b'*')
                && let Some(found) = banner(&name)
            {
                self.lines = ahead;
                return self.banner(line.number, found);
            }
        }
        Err(ParseError::format("a banner without stars at its end").at(line.number))
    }

    fn banner(&mut self, line: u32, banner: Banner<'_>) -> Result<(), ParseError> {
        self.pending = None;
        self.in_error = false;
        match banner {
            Banner::Play(name) => {
                self.ended = false;
                self.no_more_hosts = false;
                self.plays = self.plays.saturating_add(1);
                self.play_hosts.push((None, false));
                self.play = text::string(&name);
            }
            Banner::Task(name) => {
                self.goes_on(line);
                self.tasks.push(Task { name: text::string(&name), play: self.plays });
                self.last_host = None;
            }
            Banner::Recap => {
                let recap = self.recap()?;
                self.recaps.push(recap);
                self.ended = true;
            }
            Banner::NoMoreHosts => self.no_more_hosts = true,
            Banner::Other => {}
        }
        Ok(())
    }

    /// What looked like a recap wasn't one: a task follows, no play.
    fn goes_on(&mut self, line: u32) {
        if self.ended {
            self.ended = false;
            self.recaps.pop();
            let summary = "a recap stands in the middle of a play and is taken for output of a task";
            self.diagnostics.push(Diagnostic { line: Some(line), ..Diagnostic::warning(summary) });
        }
    }

    /// The lines of the recap, to the blank line that ends it.
    fn recap(&mut self) -> Result<Recap, ParseError> {
        let mut recap = Recap::new();
        for line in self.lines.by_ref() {
            let plain = line.plain();
            if plain.trim_ascii().is_empty() {
                self.blank = true;
                return Ok(recap);
            }
            let Some((host, stats)) = recap_line(&plain, line.number) else {
                // profile_tasks writes its table here, under a time and stars, where the blank line was taken out.
                if !recap.is_empty() && plain.trim_ascii_end().ends_with(b"***") {
                    return Ok(recap);
                }
                let found = quote(&plain);
                return Err(ParseError::format(format!(
                    "expected a host's line of the recap, found {found}"
                ))
                .at(line.number));
            };
            if recap.insert(host, stats).is_some() {
                return Err(ParseError::contradiction("a host stands in the recap twice").at(line.number));
            }
        }
        if self.whole || !self.stdout.ends_with(b"\n") {
            return Err(ParseError::cut("the recap ends without its blank line")
                .at(text::count_lines(self.stdout))
                .hint("the output was cut or trimmed"));
        }
        Ok(recap)
    }

    // ---- results ----

    fn maybe_result(&mut self, line: Line<'a>, body: &[u8]) -> Result<(), ParseError> {
        let Some((beginning, status)) = status(body) else {
            if body.starts_with(b"skipping: no hosts matched") {
                let summary = format!("no hosts matched for play {:?}", self.play);
                self.diagnostics.push(Diagnostic { line: Some(line.number), ..Diagnostic::warning(summary) });
                self.pending = None;
            } else {
                self.text(line.number, body);
            }
            return Ok(());
        };
        if status != Status::Failed
            && let Some(host) = self.expected(body.get(beginning..).unwrap_or_default())
        {
            self.goes_on(line.number);
            let lines = (line.number, line.number);
            return self.result(host, lines, status, false, status == Status::Changed, false);
        }
        let plain = strip_ansi(body);
        let rest = plain.get(beginning..).unwrap_or_default();
        let Some((host, tail)) = bracketed(rest) else {
            self.text(line.number, body);
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
        let unreachable = tail.starts_with(b": UNREACHABLE!");
        self.result(host, (line.number, end), status, item, changed, unreachable)
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
        let diff = self.pending.take();
        self.in_error = false;
        let before = self.last_host.replace(host);
        if let Some((only, several)) = self.play_hosts.last_mut() {
            *several |= only.is_some_and(|only| only != host);
            *only = Some(host);
        }
        let Some(entry) = self.hosts.get_mut(host) else { return Ok(()) };
        entry.play = self.plays;
        if status != Status::Skipping && entry.answered.is_none() {
            entry.answered = Some(lines.0);
        }
        entry.unreachable |= unreachable;
        let failed = status == Status::Failed;
        let Some(task) = self.tasks.len().checked_sub(1) else {
            // A merged stderr can bring a failure before its banner; a change without a task is something else.
            return if status == Status::Changed {
                Err(ParseError::format("a changed: line before any TASK").at(lines.0))
            } else {
                Ok(())
            };
        };
        let current = entry.current.filter(|at| self.found.get(*at).is_some_and(|found| found.task == task));
        if let Some(found) = current.and_then(|at| self.found.get_mut(at)) {
            found.mixed |= before != Some(host);
            found.last = lines.1;
            found.items |= item;
            found.failed |= failed;
            found.shown |= status == Status::Changed;
            found.after_failure |= failed && changed;
        } else if changed || failed {
            entry.current = Some(self.found.len());
            self.found.push(Found {
                host,
                task,
                first: lines,
                last: lines.1,
                diff: diff.filter(|_| !failed),
                mixed: false,
                items: item,
                shown: status == Status::Changed,
                after_failure: failed && changed,
                failed,
                ignored: false,
            });
        }
        Ok(())
    }

    /// Belongs to the result line before it, or, where a looped task or a merged stderr parts the two, to a failure of the
    /// same task that isn't ignored yet.
    fn ignoring(&mut self) {
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
        let before = std::mem::take(&mut self.before);
        let next = self.hosts.get(before).map_or(0, |host| host.next);
        let at = if self.hosts.get(next).is_some_and(|host| host.written == written) {
            next
        } else {
            self.look_up(written)
        };
        if let Some(host) = self.hosts.get_mut(before) {
            host.next = at;
        }
        self.before = at;
        at
    }

    /// The host that is likely to come next, if `rest` is its name and a bracket and nothing else: most lines of a run are such lines.
    #[inline]
    fn expected(&mut self, rest: &[u8]) -> Option<usize> {
        let next = self.hosts.get(self.before)?.next;
        let host = self.hosts.get(next)?;
        (host.plain && rest.strip_suffix(b"]")? == host.written).then(|| {
            self.before = next;
            next
        })
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
            play: 0,
            current: None,
            plain: !written.contains(&0x1b),
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

    // ---- the end ----

    fn run(self) -> Result<Run, ParseError> {
        let Self { hosts, tasks, plays, play_hosts, found, recaps, no_more_hosts, diagnostics, .. } = self;
        let empty = Recap::new();
        let last = recaps.last().unwrap_or(&empty);
        let names: Vec<String> = hosts.iter().map(|host| inventory_name(&host.written, last)).collect();
        let mut run = Run { no_more_hosts, diagnostics, ..Run::default() };
        for (host, name) in hosts.iter().zip(&names) {
            if host.unreachable {
                run.unreachable.insert(name.clone());
            }
            if let Some(line) = host.answered {
                run.answered.entry(name.clone()).or_insert(Some(line));
            }
            if host.play == plays {
                run.in_last_play.insert(name.clone());
            }
        }
        let of_last_task = found.iter().rev().take_while(|found| found.task.saturating_add(1) == tasks.len());
        for found in
            of_last_task.filter(|found| found.failed && tasks.last().is_some_and(|t| t.play == plays))
        {
            run.failed_last.extend(names.get(found.host).cloned());
        }
        let found = one_per_host(found, &names);
        for found in found.into_iter().filter(|found| found.shown || found.after_failure) {
            let (Some(host), Some(task)) = (names.get(found.host), tasks.get(found.task)) else { continue };
            let play = usize::try_from(task.play).ok().and_then(|play| play_hosts.get(play));
            let several = play.is_some_and(|(_, several)| *several);
            if task.name.is_empty() {
                return Err(ParseError::format("a task without a name").at(found.first.0));
            }
            run.findings.push(Finding {
                host: host.clone(),
                kind: String::new(),
                name: task.name.clone(),
                span: Some(found.span(several)),
                failed: found.failed,
                ignored: found.ignored,
                shown: found.shown,
                play: found.items.then_some(task.play),
            });
        }
        run.recaps = recaps;
        Ok(run)
    }
}

/// Merges what one task did on one host where the result lines name the host in several ways, with and without delegates.
fn one_per_host(found: Vec<Found>, names: &[String]) -> Vec<Found> {
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        first_of.entry(name).or_insert(at);
    }
    let mut last_of: Vec<Option<usize>> = vec![None; names.len()];
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for mut one in found {
        let Some(host) = names.get(one.host).and_then(|name| first_of.get(name.as_str())) else { continue };
        one.host = *host;
        let Some(last) = last_of.get_mut(one.host) else { continue };
        let same = last.and_then(|at| merged.get_mut(at)).filter(|before| before.task == one.task);
        if let Some(before) = same {
            before.absorb(&one);
        } else {
            *last = Some(merged.len());
            merged.push(one);
        }
    }
    merged
}

impl Found {
    fn absorb(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        self.mixed = true;
        self.items |= other.items;
        self.shown |= other.shown;
        self.after_failure |= other.after_failure;
        self.failed |= other.failed;
        self.ignored |= other.ignored;
    }

    fn span(&self, several_hosts: bool) -> Span {
        if self.items && several_hosts {
            Span(self.first.0, if self.mixed { self.first.1 } else { self.last })
        } else {
            Span(self.diff.unwrap_or(self.first.0), self.last)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, DriftReport, Reading, Stream, Verdict};
    use std::fmt::Write;

    fn reading(stdout: &str, exit: Option<i32>) -> Reading {
        let stdout = Stream::whole(stdout.as_bytes());
        crate::read(&PARSER, None, &Input { argv: &[], exit, stdout, stderr: Stream::whole(b""), files: &[] })
    }

    /// A play on these lines with this recap: hosts with ok, changed, unreachable, failed, rescued.
    fn play(lines: &str, recap: &[(&str, [u32; 5])]) -> String {
        let mut out = format!("\nPLAY [p] ****\n\nTASK [t] ****\n{lines}\n\nPLAY RECAP ****\n");
        for (host, [ok, changed, unreachable, failed, rescued]) in recap {
            let _ = writeln!(
                out,
                "{host:<26} : ok={ok:<4} changed={changed:<4} unreachable={unreachable:<4} failed={failed:<4} \
                 skipped=0    rescued={rescued:<4} ignored=0   "
            );
        }
        out + "\n"
    }

    /// Scope, name, count and span of each resource.
    fn seen(report: &DriftReport) -> Vec<(&str, &str, u32, Option<Span>)> {
        report.resources().iter().map(|r| (r.scope.as_str(), r.name.as_str(), r.count, r.span)).collect()
    }

    fn refused(stdout: &str, exit: Option<i32>) -> (Class, Option<u32>) {
        match reading(stdout, exit) {
            Reading::Unreadable(error) => (error.class, error.line),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn line_ends_colours_and_a_byte_order_mark_change_nothing() {
        let plain =
            play("--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n\nchanged: [h]", &[("h", [1, 1, 0, 0, 0])]);
        let want = reading(&plain, Some(0));
        assert_eq!(seen(want.report().unwrap()), [("h", "t", 1, Some(Span(5, 11)))]);
        assert_eq!(reading(&plain.replace('\n', "\r\n"), Some(0)), want);
        assert_eq!(reading(&format!("\u{feff}{plain}"), Some(0)), want);
        let coloured = plain
            .replace("changed: [h]", "\x1b[0;33mchanged: [h]\x1b[0m")
            .replace("h                          :", "\x1b[0;33mh\x1b[0m                          :");
        assert_ne!(coloured, plain);
        assert_eq!(reading(&coloured, Some(0)), want);
        let wide: String = plain.chars().flat_map(|c| [c, '\0']).collect();
        assert_eq!(refused(&wide, Some(0)).0, Class::UnreadableFormat);
    }

    #[test]
    fn changes_that_no_line_shows_are_a_resource() {
        let report = reading(&play("ok: [h]", &[("h", [3, 2, 0, 0, 0])]), Some(0));
        assert_eq!(report.verdict(), Verdict::Drifted);
        assert_eq!(seen(report.report().unwrap()), [("h", "(2 changes not shown)", 1, None)]);
        assert_eq!(report.report().unwrap().diagnostics().len(), 1);
    }

    #[test]
    fn a_change_that_the_recap_does_not_count_is_a_contradiction() {
        let clean = [("h", [1, 0, 0, 0, 0])];
        assert_eq!(reading(&play("ok: [h]", &clean), Some(0)).verdict(), Verdict::Clean);
        let shown = play("changed: [h]", &clean);
        assert_eq!(refused(&shown, Some(0)), (Class::UnreadableContradiction, Some(5)));
        // Loop and failure explain it: the loop ended badly, its first item had changed something.
        let lines = "changed: [h] => (item=a)\nfailed: [h] (item=b) => {\"changed\": true, \"msg\": \"x\"}";
        assert_eq!(refused(&play(lines, &clean), Some(0)).0, Class::UnreadableContradiction);
        let rescued = reading(&play(lines, &[("h", [1, 0, 0, 0, 1])]), Some(0));
        assert_eq!(seen(rescued.report().unwrap()), [("h", "t", 1, Some(Span(5, 6)))]);
    }

    #[test]
    fn a_recap_without_its_beginning_is_another_run_s() {
        let clean = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
        let tail = "web1                       : ok=13   changed=9    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0   \n\n";
        assert_eq!(refused(&format!("{tail}{clean}"), Some(0)), (Class::UnreadableContradiction, Some(1)));
        assert_eq!(refused(&format!("{clean}{tail}"), Some(0)), (Class::UnreadableContradiction, Some(10)));
        // In a diff it is a line of a file's.
        let diff = format!(
            "--- before\n+++ after\n@@ -1 +1 @@\n-{}+{}\nchanged: [h]",
            tail.trim_end_matches('\n').to_owned() + "\n",
            tail.trim_end()
        );
        assert_eq!(reading(&play(&diff, &[("h", [1, 1, 0, 0, 0])]), Some(0)).verdict(), Verdict::Drifted);
    }

    #[test]
    fn hosts_of_the_lines_are_hosts_of_the_recap() {
        let other = play("changed: [i]", &[("h", [1, 1, 0, 0, 0])]);
        assert_eq!(refused(&other, Some(0)), (Class::UnreadableContradiction, Some(5)));
        // `meta: end_host` prints a skip and counts nothing.
        assert_eq!(
            reading(&play("skipping: [i]\nok: [h]", &[("h", [1, 0, 0, 0, 0])]), Some(0)).verdict(),
            Verdict::Clean
        );
    }

    #[test]
    fn odd_host_names_and_delegates_keep_to_the_inventory() {
        let lines = "changed: [fe80::1%eth0]\nchanged: [a -> b] => (item=1)\nchanged: [a -> b -> c(10.0.0.1)] => (item=2)\nchanged: [x] y]\nchanged: [with space -> d]";
        let one = [1, 1, 0, 0, 0];
        let hosts =
            [("a", [0; 5]), ("a -> b", one), ("fe80::1%eth0", one), ("with space", one), ("x] y", one)];
        let report = reading(&play(lines, &hosts), Some(0));
        let report = report.report().unwrap();
        let scopes: Vec<_> = seen(report).iter().map(|r| (r.0, r.2)).collect();
        assert_eq!(scopes, [("a -> b", 1), ("fe80::1%eth0", 1), ("with space", 1), ("x] y", 1)]);
        assert_eq!(report.diagnostics(), []);
    }

    #[test]
    fn a_recap_in_a_task_s_text_is_no_recap() {
        let spoof =
            "Prepared text\n\nPLAY RECAP ****\nh : ok=9 changed=0 unreachable=0 failed=0\n\nchanged: [h]";
        let report = reading(&play(spoof, &[("h", [2, 1, 0, 0, 0])]), Some(0));
        assert_eq!(seen(report.report().unwrap()), [("h", "t", 1, Some(Span(10, 10)))]);
        assert_eq!(report.report().unwrap().diagnostics().len(), 1);
    }

    #[test]
    fn banners_within_the_text_of_a_task_start_none() {
        // Ansible puts a blank line before each banner.
        let lines = "raw\nTASK [forged] ****\nchanged: [h]";
        let report = reading(&play(lines, &[("h", [1, 1, 0, 0, 0])]), Some(0));
        assert_eq!(seen(report.report().unwrap()), [("h", "t", 1, Some(Span(5, 7)))]);
    }

    #[test]
    fn several_runs_in_one_output_are_refused() {
        let first = play("changed: [h]", &[("h", [4, 1, 0, 0, 0])]);
        let second = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
        assert_eq!(refused(&(first + &second), Some(0)).0, Class::UnreadableContradiction);
    }

    #[test]
    fn an_exit_code_that_names_failures_needs_one() {
        let clean = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
        for exit in [2, 4] {
            assert_eq!(refused(&clean, Some(exit)).0, Class::UnreadableContradiction);
        }
    }

    #[test]
    fn what_is_cut_is_refused() {
        let whole = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
        let trimmed = whole.trim_end_matches('\n').to_owned() + "\n";
        assert_eq!(refused(&trimmed, Some(0)).0, Class::UnreadableCut);
        // Pasted text may lack its last blank line, not its last line end.
        assert_eq!(reading(&trimmed, None).verdict(), Verdict::Clean);
        assert_eq!(refused(trimmed.trim_end(), None).0, Class::UnreadableCut);
        let goes_on = whole.clone() + "\n\nPLAY [q] ****\n\nTASK [t] ****\n";
        assert_eq!(refused(&goes_on, Some(0)).0, Class::UnreadableCut);
        let empty = play("skipping: no hosts matched", &[]);
        assert_eq!(refused(&empty, Some(0)).0, Class::NoScopes);
    }

    #[test]
    fn a_play_that_ends_early_says_nothing_of_its_other_hosts() {
        let scopes = |stdout: &str| match reading(stdout, Some(2)) {
            Reading::Read(report) => report.scopes().clone(),
            Reading::Failed { partial: Some(report), .. } => report.scopes().clone(),
            other => panic!("{other:?}"),
        };
        let unread =
            |stdout: &str| scopes(stdout).unread.into_iter().map(|unread| unread.scope).collect::<Vec<_>>();
        let lines = "ok: [a]\nskipping: [c]\nfatal: [b]: FAILED! => {\"changed\": false}";
        let hosts = [("a", [1, 0, 0, 0, 0]), ("b", [0, 0, 0, 1, 0]), ("c", [0, 0, 0, 0, 1])];
        let stdout = play(lines, &hosts);
        // Nothing but the failure: one host may just have been last, but who only skipped was not looked at.
        assert_eq!(unread(&stdout), ["b", "c"]);
        let more = stdout.replace("\n\nPLAY RECAP", "\n\nTASK [u] ****\nok: [a]\n\nPLAY RECAP");
        let more = more.replace("a                          : ok=1", "a                          : ok=2");
        assert_eq!(unread(&more), ["b"]);
        // ansible-core before 2.19 says that it stopped.
        let said = stdout.replace("\n\nPLAY RECAP", "\n\nNO MORE HOSTS LEFT ****\n\nPLAY RECAP");
        assert_eq!(unread(&said), ["a", "b", "c"]);
        assert_eq!(reading(&said, Some(2)).verdict(), Verdict::Failed);
    }
}
