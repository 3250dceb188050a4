//! Goes through the lines of an output: which of them are banners, results, the recap, and which are text of a task.

use super::Pending;
use super::lines::{Banner, after_colour, banner, recap_line};
use super::results::{ByLine, Found, Host};
use crate::ParseError;
use crate::ansible_playbook::{Recap, Run};
use crate::error::quote;
use crate::report::Diagnostic;
use crate::text::{self, Line, Lines, strip_ansi};
use memchr::memmem;
use std::borrow::Cow;
use std::collections::HashMap;

/// How many lines a task's name or a loop's label may have.
pub(super) const MANY_LINES: usize = 400;

pub(super) struct Task<'a> {
    /// As it is written: few of many tasks are asked for theirs.
    pub(super) name: Cow<'a, [u8]>,
    pub(super) play: u32,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the last lines said")]
pub(super) struct Reader<'a> {
    pub(super) lines: Lines<'a>,
    /// The exit code is known: this is a whole run, not something pasted.
    pub(super) whole: bool,
    pub(super) stdout: &'a [u8],
    pub(super) hosts: Vec<Host>,
    pub(super) by_name: HashMap<Vec<u8>, usize>,
    /// The hosts that had a line, by a number made of it.
    pub(super) by_line: ByLine,
    /// The last line that repeats came from the host that was expected.
    pub(super) orderly: bool,
    /// The host of the last result line.
    pub(super) before: usize,
    pub(super) tasks: Vec<Task<'a>>,
    pub(super) plays: u32,
    /// The only host of the current play, and whether there are several; one entry a play.
    pub(super) play_hosts: Vec<(Option<usize>, bool)>,
    pub(super) found: Vec<Found>,
    pub(super) recaps: Vec<Recap>,
    /// A recap was the last thing.
    pub(super) ended: bool,
    /// The current play was ended for every host.
    pub(super) no_more_hosts: bool,
    /// Where text that can belong to the next result line begins.
    pub(super) pending: Option<Pending<'a>>,
    /// Diffs of the current task whose results did not come yet.
    pub(super) owed: u32,
    /// The last of them is of a file's content, and one of its attributes can follow.
    content: bool,
    /// Within the `[ERROR]: …` that 2.19 and newer print before a failure.
    pub(super) in_error: bool,
    /// The line that was read last is blank.
    pub(super) blank: bool,
    /// The one before it is.
    pub(super) after_blank: bool,
    /// Whether banners follow a blank line here, as ansible prints them. Pasted logs lose it.
    pub(super) spaced: Option<bool>,
    pub(super) last_host: Option<usize>,
    /// The line of the `}` that closed pretty JSON.
    pub(super) closed: u32,
    /// The first line of a recap that stands in none.
    pub(super) stray: Option<u32>,
    pub(super) play: String,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stdout: &'a [u8], whole: bool) -> Self {
        Self {
            lines: text::lines(stdout),
            whole,
            stdout,
            hosts: Vec::new(),
            by_name: HashMap::new(),
            by_line: ByLine::default(),
            orderly: true,
            before: 0,
            tasks: Vec::new(),
            plays: 0,
            play_hosts: vec![(None, false)],
            found: Vec::new(),
            recaps: Vec::new(),
            ended: false,
            no_more_hosts: false,
            pending: None,
            owed: 0,
            content: false,
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

    pub(super) fn read(mut self) -> Result<Run, ParseError> {
        loop {
            self.repeated();
            let Some(line) = self.lines.next() else { break };
            let body = after_colour(line.bytes);
            let Some(first) = body.first() else {
                self.blank = true;
                continue;
            };
            self.after_blank = std::mem::take(&mut self.blank);
            match first {
                b' ' | b'+' | b'@' | b'\\' => {}
                b'-' => self.maybe_diff(line, body),
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
                b'<' | b'}' => self.maybe_recap(line, body),
                _ => self.text(line, body),
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
    pub(super) fn text(&mut self, line: Line<'a>, body: &'a [u8]) {
        self.maybe_recap(line, body);
        if self.pending.is_some() {
            return;
        }
        let noise = self.in_error
            || body.ends_with(b"*** ")
            || [&b"Using "[..], b"task path: ", b"META: ", b"redirecting ", b"["]
                .iter()
                .any(|beginning| body.starts_with(beginning));
        if !noise {
            self.pending = Some(Pending { first: line, after: self.lines.clone() });
        }
    }

    /// A diff's header, or a line that a diff removes.
    fn maybe_diff(&mut self, line: Line<'a>, body: &[u8]) {
        if !body.starts_with(b"--- ") {
            return;
        }
        if body.starts_with(b"--- before") {
            let plain = strip_ansi(body);
            let more = self.content && plain.ends_with(b" (file attributes)");
            self.owed = self.owed.saturating_add(u32::from(!more));
            self.content = plain.ends_with(b" (content)");
        }
        if self.pending.is_none() && !self.in_error {
            self.pending = Some(Pending { first: line, after: self.lines.clone() });
        }
    }

    /// Keeps a host's line of a recap that stands in none. In a diff it would be a file's, so nobody asks there.
    fn maybe_recap(&mut self, line: Line<'a>, body: &[u8]) {
        if self.stray.is_none()
            && memmem::find(body, b": ok=").is_some()
            && recap_line(&line.plain(), line.number).is_some()
        {
            self.stray = Some(line.number);
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
        self.text(line, after_colour(line.bytes));
        Ok(())
    }

    // ---- banners ----

    fn maybe_banner(&mut self, line: Line<'a>, body: &'a [u8]) -> Result<(), ParseError> {
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
            self.text(line, body);
            return Ok(());
        }
        if line.number > 1 && self.spaced.is_none() {
            self.spaced = Some(self.after_blank);
        }
        if self.spaced == Some(true) && !self.after_blank {
            self.text(line, body);
            return Ok(());
        }
        let plain = line.plain();
        let found = match &plain {
            Cow::Borrowed(plain) => banner(plain),
            Cow::Owned(plain) => banner(plain).map(Banner::into_owned),
        };
        if let Some(found) = found {
            return self.banner(line.number, found);
        }
        if !plain.contains(&b'[') {
            self.text(line, body);
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
                return self.banner(line.number, found.into_owned());
            }
        }
        Err(ParseError::format("a banner without stars at its end").at(line.number))
    }

    fn banner(&mut self, line: u32, banner: Banner<'a>) -> Result<(), ParseError> {
        self.pending = None;
        self.owed = 0;
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
                self.tasks.push(Task { name, play: self.plays });
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
    pub(super) fn goes_on(&mut self, line: u32) {
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
}
