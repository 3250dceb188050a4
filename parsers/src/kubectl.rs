//! Reads `kubectl diff` with a unified differ: the default `diff -u -N`, any context width, colours, colordiff, busybox, git.
//!
//! ```text
//! diff -u -N /tmp/LIVE-2148/apps.v1.Deployment.shop.web /tmp/MERGED-9183/apps.v1.Deployment.shop.web
//! --- /tmp/LIVE-2148/apps.v1.Deployment.shop.web  2026-11-23 00:53:09.561415209 +0000
//! +++ /tmp/MERGED-9183/apps.v1.Deployment.shop.web  2026-11-23 00:53:09.565415209 +0000
//! @@ -14,7 +14,7 @@
//!  spec:
//!    progressDeadlineSeconds: 600
//! -  replicas: 3
//! +  replicas: 5
//! ```
//!
//! An object's identity is its file's name; hunks rarely hold one. Nothing that differs prints nothing, so an empty output is
//! clean with exit code 0 and by nothing else. What it can't tell: how many objects were compared.

pub(crate) mod attributes;
mod object;
pub(crate) mod stderr;

use crate::error::ParseError;
use crate::input::{Input, arguments_of};
use crate::report::{Action, Diagnostic, Parsed, Resource, Said, Severity, Source};
use crate::text;
use crate::udiff::{Body, Event, Hunk, Reader, Side, Sign, unquote};
use crate::{Claim, Parser};
use attributes::Attributes;
use memchr::{memchr, memmem, memrchr};
use object::Evidence;
use std::borrow::Cow;
use stderr::Notes;

/// `kubectl diff`.
pub static PARSER: Parser = Parser {
    name: "kubectl",
    about: "kubectl diff with a unified differ",
    recommended: "kubectl diff -R -f DIR",
    actions: &[Action::Delete, Action::Create, Action::Update],
    drift_codes: &[1],
    runs,
    recognise,
    claim,
    parse,
};

const HINT: &str = "set KUBECTL_EXTERNAL_DIFF=\"diff -u -N\"";
const FULL: &str = "KUBECTL_EXTERNAL_DIFF=\"diff -u -N -U 9999\" shows it";

/// Global flags of kubectl whose value is the next argument.
const VALUE_FLAGS: &[&str] = &[
    "--as",
    "--as-group",
    "--as-uid",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--cluster",
    "--context",
    "--kubeconfig",
    "--kuberc",
    "--log-flush-frequency",
    "--namespace",
    "--password",
    "--profile",
    "--profile-output",
    "--request-timeout",
    "--server",
    "--tls-server-name",
    "--token",
    "--user",
    "--username",
    "--v",
    "--vmodule",
    "-n",
    "-s",
    "-v",
];

fn runs(argv: &[&str]) -> bool {
    arguments(argv).is_some()
}

/// The arguments after `kubectl … diff`.
fn arguments<'a>(argv: &'a [&'a str]) -> Option<&'a [&'a str]> {
    // Installations keep several side by side: `kubectl.1.32`, `kubectl-1.36`.
    let program = argv.iter().map(|arg| arg.rsplit('/').next().unwrap_or(arg)).find(|base| {
        *base == "oc"
            || base.strip_prefix("kubectl").is_some_and(|rest| {
                rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | 'v'))
            })
    })?;
    let mut rest = arguments_of(argv, &[program])?.iter();
    while let Some(arg) = rest.next() {
        if VALUE_FLAGS.contains(arg) {
            rest.next();
        } else if !arg.starts_with('-') {
            return (*arg == "diff").then_some(rest.as_slice());
        }
    }
    None
}

/// Whether the objects come from standard input.
fn reads_stdin(argv: &[&str]) -> bool {
    const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    let Some(flags) = arguments(argv) else { return false };
    // Several files may stand in one value.
    let is_stdin = |value: &str| value.split(',').any(|file| STDIN.contains(&file));
    flags.iter().enumerate().any(|(at, flag)| {
        let Some(value) = file_value(flag) else { return false };
        let next = at.checked_add(1).and_then(|at| flags.get(at));
        if value.is_empty() { next.is_some_and(|value| is_stdin(value)) } else { is_stdin(value) }
    })
}

/// What stands behind `-f` or `--filename` in the same argument: `-fX`, `-f=X`, `-RfX`, `--filename=X`; empty when the value is the
/// next argument.
fn file_value(flag: &str) -> Option<&str> {
    if let Some(rest) = flag.strip_prefix("--filename") {
        return if rest.is_empty() { Some("") } else { rest.strip_prefix('=') };
    }
    let letters = flag.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    // The only flag of `diff` that may stand before it in a group.
    let value = letters.trim_start_matches('R').strip_prefix('f')?;
    Some(value.strip_prefix('=').unwrap_or(value))
}

/// Whether a shell's line pipes `kubectl … diff` into something, so that the exit code is that something's.
fn is_piped(argv: &[&str]) -> bool {
    if argv.iter().any(|arg| arg.contains("pipefail")) {
        return false;
    }
    argv.iter().any(|line| {
        memmem::find_iter(line.as_bytes(), "kubectl").any(|at| {
            let rest = line.as_bytes().get(at..).unwrap_or_default();
            let end = command_end(rest);
            let (command, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            let pipe = after.starts_with(b"|") && !after.starts_with(b"||");
            pipe && memmem::find(command, b" diff").is_some()
        })
    })
}

/// Where the first command of a shell's text ends. `2>&1` and `&>log` don't end it.
fn command_end(text: &[u8]) -> usize {
    let beside = |at: Option<usize>| at.and_then(|at| text.get(at)) == Some(&b'>');
    let ends = |at: usize, b: u8| match b {
        b'|' | b';' | b'\n' => true,
        b'&' => !beside(at.checked_sub(1)) && !beside(at.checked_add(1)),
        _ => false,
    };
    text.iter().enumerate().find(|(at, b)| ends(*at, **b)).map_or(text.len(), |(at, _)| at)
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    const HEADERS: [&[u8]; 5] = [b"diff ", b"--- ", b"+++ ", b"Only in ", b"Files "];
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let found = memmem::find_iter(head, "LIVE-").chain(memmem::find_iter(head, "MERGED-"));
    for at in found.take(64) {
        let start = memrchr(b'\n', head.get(..at)?).map_or(0, |at| at.saturating_add(1));
        let line = text::lines(head.get(start..)?).next()?.plain();
        let named = [&b"LIVE-"[..], b"MERGED-"].map(|side| folder(&line, side).is_some());
        let header = HEADERS.iter().any(|word| line.starts_with(word));
        if named == [true, true] || (header && named != [false, false]) {
            return Some("paths in kubectl's LIVE- and MERGED- folders");
        }
    }
    None
}

fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        Some(0) => Claim::Clean,
        Some(1) => Claim::Drifted,
        None => Claim::Silent,
        Some(_) => Claim::Failed,
    }
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let out = input.stdout.bytes();
    let mut notes = Notes::read(input.stderr.bytes());
    let warnings = std::mem::take(&mut notes.warnings);
    let mut parsed = Parsed::new("kubectl");
    if let (Some(0), Some(error)) = (input.exit, &notes.error) {
        return Err(ParseError::contradiction(format!(
            "exit code 0, but standard error says: {}",
            error.summary
        ))
        .hint("let the command's own exit code through"));
    }
    if out.iter().all(u8::is_ascii_whitespace) {
        match input.exit {
            Some(0) if notes.pruning.is_some() => parsed.failure = notes.pruning,
            Some(0) if reads_stdin(input.argv) => {
                return Err(ParseError::no_scopes(
                    "`-f -` reads standard input, where there was nothing to compare",
                )
                .hint("name files, or pipe them within `shell`"));
            }
            Some(0) if let Some(words) = notes.shell => {
                return Err(ParseError::contradiction(format!(
                    "no output and exit code 0, but standard error says: {words}"
                ))
                .hint("let the command's own exit code through"));
            }
            Some(0) if is_piped(input.argv) => {
                return Err(ParseError::format(
                    "no output, and the exit code is not kubectl's but that of the program behind its pipe",
                )
                .hint("write `set -o pipefail` before it (bash), or leave the pipe out"));
            }
            // kubectl's clean is empty: nothing differed, or nothing was compared.
            Some(0) => parsed.said = Said::NoChanges,
            Some(code) => parsed.failure = Some(notes.failure(code)),
            None if notes.error.is_some() => parsed.failure = notes.error,
            None => {
                return Err(ParseError::format("no output, and no exit code to say that nothing differs")
                    .hint("tell the exit code: --exit-code"));
            }
        }
    } else {
        match objects(out) {
            Ok((resources, remarks)) => {
                parsed.said = Said::Changes;
                parsed.resources = resources;
                parsed.diagnostics = remarks;
                // Objects that should be gone may be missing from the list: it must not replace one that had them.
                parsed.failure = notes.error.or(notes.pruning);
            }
            Err(error) if notes.error.is_none() => return Err(error),
            Err(_) => parsed.failure = notes.error,
        }
    }
    parsed.diagnostics.extend(warnings);
    Ok(parsed)
}

/// Every object of a unified diff.
fn objects(out: &[u8]) -> Result<(Vec<Resource>, Vec<Diagnostic>), ParseError> {
    let out = out.strip_prefix(b"\xef\xbb\xbf").unwrap_or(out);
    if memchr(0, out).is_some() {
        return Err(ParseError::format("binary output, or text in UTF-16").hint("write UTF-8"));
    }
    let (mut found, mut remarks) = (Vec::new(), Vec::new());
    let mut command: Option<(u32, Cow<'_, [u8]>)> = None;
    let mut block: Option<Block<'_>> = None;
    for event in Reader::new(out) {
        // A line of a hunk or the next hunk belongs to the block; whatever else comes ends it.
        match event? {
            Event::Body(body) => {
                if let Some(block) = &mut block {
                    block.body(body);
                }
                continue;
            }
            Event::Hunk(line, hunk) => {
                block.as_mut().ok_or_else(|| stray(line))?.hunk(line, hunk)?;
                continue;
            }
            Event::NoNewline(line) => {
                block.as_mut().filter(|block| block.hunks > 0).ok_or_else(|| stray(line))?.last = line;
                continue;
            }
            // git's remarks stand between the command and the paths.
            Event::Remark(line) => {
                command.as_ref().ok_or_else(|| stray(line))?;
                continue;
            }
            Event::Paths(line, old, new) => {
                finish(&mut block, &mut found, &mut remarks)?;
                block = Some(Block::new(command.take(), line, &old, &new)?);
                continue;
            }
            Event::Command(line, text) => {
                only_command(command.as_ref())?;
                command = Some((line, text));
            }
            Event::OnlyIn(line, text) => {
                only_command(command.as_ref())?;
                found.push(only_in(line, &text)?);
            }
            Event::Blank(line) => {
                if command.is_some() {
                    return Err(stray(line));
                }
            }
            Event::Other(line) => return Err(stray(line.number)),
        }
        finish(&mut block, &mut found, &mut remarks)?;
    }
    finish(&mut block, &mut found, &mut remarks)?;
    if let Some((line, _)) = command {
        return Err(ParseError::cut("the output ends after a `diff` line").at(line).hint(HINT));
    }
    if out.last() != Some(&b'\n') {
        return Err(ParseError::cut("the last line has no end").at(text::count_lines(out)));
    }
    Ok((found, remarks))
}

fn stray(line: u32) -> ParseError {
    ParseError::format("a line that belongs to no unified diff").at(line).hint(HINT)
}

fn only_command(command: Option<&(u32, Cow<'_, [u8]>)>) -> Result<(), ParseError> {
    match command {
        Some((line, _)) => Err(ParseError::format("a `diff` line without the `---` line of a unified diff")
            .at(*line)
            .hint(HINT)),
        None => Ok(()),
    }
}

fn finish(
    block: &mut Option<Block<'_>>,
    found: &mut Vec<Resource>,
    remarks: &mut Vec<Diagnostic>,
) -> Result<(), ParseError> {
    let Some(block) = block.take() else { return Ok(()) };
    let action = block.action()?;
    let mut object = resource(&block.file, &block.evidence, action, block.first, block.last, remarks)?;
    if action == Action::Update {
        object.attributes = block.attributes.and_then(Attributes::paths);
    }
    found.push(object);
    Ok(())
}

/// The object that a file of kubectl's stands for.
fn resource(
    file: &[u8],
    evidence: &Evidence,
    action: Action,
    first: u32,
    last: u32,
    remarks: &mut Vec<Diagnostic>,
) -> Result<Resource, ParseError> {
    let file = std::str::from_utf8(file)
        .map_err(|_| ParseError::format("a file name that isn't UTF-8").at(first))?;
    let object = object::decode(file, evidence).map_err(|error| error.at(first))?;
    let (scope, kind, name) = object.unwrap_or_else(|| {
        remarks.push(Diagnostic {
            severity: Severity::Warning,
            summary: format!("the name of the file doesn't tell kind and namespace of {file}; {FULL}"),
            line: Some(first),
        });
        (String::new(), String::new(), file.to_owned())
    });
    Ok(Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last))
}

/// `Only in /tmp/LIVE-1234: v1.ConfigMap.shop.web`: what a differ without `-N` says of a pruned object.
fn only_in(number: u32, line: &[u8]) -> Result<Resource, ParseError> {
    let (action, rest) = match (folder(line, b"LIVE-"), folder(line, b"MERGED-")) {
        (Some(rest), None) => (Action::Delete, rest),
        (None, Some(rest)) => (Action::Create, rest),
        _ => return Err(stray(number)),
    };
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let name = rest.strip_prefix(b": ").ok_or_else(|| stray(number))?;
    let file = if name.starts_with(b"\"") {
        Cow::Owned(unquote(name).ok_or_else(|| stray(number))?)
    } else {
        Cow::Borrowed(name)
    };
    resource(&file, &Evidence::default(), action, number, number, &mut Vec::new())
}

/// Whether a differ called like this hides nothing: `-w`, `-B`, `-I` and the like pass changed lines off as context.
fn hides_nothing(command: &[u8]) -> bool {
    const LONG: [&[u8]; 6] = [b"--color", b"--git", b"--new-file", b"--recursive", b"--text", b"--unified"];
    let mut options = command.split(|b| *b == b' ').skip(1).take_while(|word| memchr(b'/', word).is_none());
    options.all(|word| {
        let word = word.strip_prefix(b"'").unwrap_or(word);
        let short = |b: &u8| b"uUNrap".contains(b) || b.is_ascii_digit();
        if word.starts_with(b"--") {
            LONG.iter().any(|known| word.starts_with(known))
        } else {
            word.strip_prefix(b"-").unwrap_or(word).iter().all(short)
        }
    })
}

/// What follows kubectl's temporary folder in `text`: `LIVE-` or `MERGED-` and a random number.
fn folder<'a>(text: &'a [u8], side: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let at = memmem::find(rest, side)?;
        let before = at.checked_sub(1).and_then(|at| rest.get(at));
        let tail = rest.get(at.checked_add(side.len())?..)?;
        let digits = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, after) = tail.split_at_checked(digits)?;
        if !number.is_empty()
            && matches!(before, None | Some(b'/' | b'\\'))
            && matches!(after.first(), Some(b'/' | b':' | b'"' | b'\\'))
        {
            return Some(after);
        }
        rest = tail;
    }
}

/// The file that a side names in kubectl's folder; `None` for `/dev/null`.
fn file_in(side: &Side<'_>, name: &[u8], line: u32) -> Result<Option<Vec<u8>>, ParseError> {
    if side.is_null() {
        return Ok(None);
    }
    let file = || {
        let at = memrchr(b'/', &side.path)?;
        let (folders, file) = side.path.split_at_checked(at)?;
        let file = file.split_first()?.1;
        let last = folders.rsplit(|b| *b == b'/').next()?;
        let digits = last.strip_prefix(name)?;
        (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| file.to_vec())
    };
    let expected = || {
        let name = text::string(name);
        ParseError::format(format!("expected a file in kubectl's {name} folder")).at(line)
    };
    file().map(Some).ok_or_else(expected)
}

/// The part of the output that compares one file.
struct Block<'a> {
    first: u32,
    last: u32,
    file: Vec<u8>,
    /// A header says that the old or the new file isn't there.
    absent: (bool, bool),
    hunks: u32,
    hunk: Hunk,
    /// First lines after the last hunk.
    next: (u64, u64),
    /// `null` stands on that side: how kubectl masks a Secret that isn't there.
    null: (bool, bool),
    evidence: Evidence,
    /// Context lines are equal on both sides.
    exact: bool,
    /// While everything above the lines at hand was shown.
    attributes: Option<Attributes<'a>>,
}

impl<'a> Block<'a> {
    fn new(
        command: Option<(u32, Cow<'_, [u8]>)>,
        line: u32,
        old: &Side<'_>,
        new: &Side<'_>,
    ) -> Result<Self, ParseError> {
        let first = command.as_ref().map_or(line, |(line, _)| *line);
        let below = line.saturating_add(1);
        let file = match (file_in(old, b"LIVE-", line)?, file_in(new, b"MERGED-", below)?) {
            (Some(before), Some(after)) if before == after => before,
            (Some(file), None) | (None, Some(file)) => file,
            (Some(_), Some(_)) => {
                return Err(ParseError::contradiction("two files of different names are compared").at(line));
            }
            (None, None) => {
                return Err(ParseError::contradiction("nothing is compared with nothing").at(line));
            }
        };
        let exact = command.as_ref().is_none_or(|(_, command)| hides_nothing(command));
        if let Some((at, command)) = command {
            let named = if old.is_null() { &new.raw } else { &old.raw };
            if memmem::find(&command, named).is_none() {
                return Err(ParseError::contradiction(
                    "the `diff` line names other files than the paths below it",
                )
                .at(at));
            }
        }
        Ok(Self {
            first,
            last: line,
            absent: (old.is_null() || old.epoch, new.is_null() || new.epoch),
            hunks: 0,
            hunk: Hunk { old: (0, 0), new: (0, 0) },
            next: (0, 0),
            null: (false, false),
            evidence: Evidence::of(&file),
            exact,
            attributes: None,
            file,
        })
    }

    fn hunk(&mut self, line: u32, hunk: Hunk) -> Result<(), ParseError> {
        if self.hunks > 0 && (hunk.old.0 < self.next.0 || hunk.new.0 < self.next.1) {
            return Err(ParseError::contradiction("hunks of one file overlap").at(line));
        }
        let end = |(start, count): (u64, u64)| start.saturating_add(count);
        (self.next, self.hunk, self.last) = ((end(hunk.old), end(hunk.new)), hunk, line);
        // An object on one side only has no changed fields.
        let both = hunk.old.1 > 1 && hunk.new.1 > 1;
        let all = self.exact && self.hunks == 0 && both && (hunk.old.0, hunk.new.0) == (1, 1);
        self.attributes = all.then(Attributes::default);
        self.hunks = self.hunks.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn body(&mut self, body: Body<'a>) {
        self.last = body.number;
        if let [b'n' | 0x1b, ..] = body.text
            && *text::strip_ansi(body.text) == *b"null"
        {
            match body.sign {
                Sign::Removed => self.null.0 = true,
                Sign::Added => self.null.1 = true,
                Sign::Context => {}
            }
        }
        self.evidence.line(body);
        if let Some(attributes) = &mut self.attributes {
            attributes.line(body);
        }
    }

    /// Added objects have an empty live file, pruned ones no merged file. A range alone doesn't say so: without context,
    /// `-0,0` is also what stands above a line that is new at the top. Only a whole object holds its `apiVersion`.
    fn action(&self) -> Result<Action, ParseError> {
        if self.hunks == 0 {
            return Err(ParseError::cut("paths without a hunk below them").at(self.last));
        }
        let Hunk { old, new } = self.hunk;
        let whole = self.hunks == 1;
        if (self.absent.0 && (!whole || old.1 != 0)) || (self.absent.1 && (!whole || new.1 != 0)) {
            return Err(ParseError::contradiction("a file that isn't there has lines").at(self.first));
        }
        let (create, delete) = (
            self.absent.0
                || (whole && old == (0, 0) && self.evidence.has_version)
                || (whole && old == (1, 1) && self.null.0 && self.evidence.has_version),
            self.absent.1
                || (whole && new == (0, 0) && self.evidence.has_version)
                || (whole && new == (1, 1) && self.null.1 && self.evidence.has_version),
        );
        match (create, delete) {
            (true, false) => Ok(Action::Create),
            (false, true) => Ok(Action::Delete),
            (false, false) => Ok(Action::Update),
            (true, true) => {
                Err(ParseError::contradiction("an object that is neither live nor wanted").at(self.first))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use crate::input::Stream;
    use crate::report::Verdict;
    use crate::{Reading, read};

    fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
        read(&PARSER, None, &Input { argv, exit, stdout, stderr, files: &[] })
    }

    fn verdict(exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
        let reading = run(&[], exit, stdout, stderr);
        (reading.verdict(), reading.class())
    }

    /// One file's part with these hunks.
    fn part(file: &str, hunks: &str) -> String {
        format!("--- /tmp/LIVE-1/{file}\n+++ /tmp/MERGED-2/{file}\n{hunks}")
    }

    fn action(hunks: &str) -> Action {
        match run(&[], Some(1), &part("v1.ConfigMap.shop.web", hunks), "") {
            Reading::Read(report) => report.resources().first().unwrap().action,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_object_on_one_side_is_created_or_deleted_and_a_first_line_isn_t() {
        assert_eq!(action("@@ -0,0 +1,2 @@\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Create);
        assert_eq!(action("@@ -1,2 +0,0 @@\n-apiVersion: v1\n-kind: ConfigMap\n"), Action::Delete);
        assert_eq!(action("@@ -1 +1,2 @@\n-null\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Create);
        assert_eq!(action("@@ -1,2 +1 @@\n-apiVersion: v1\n-kind: ConfigMap\n+null\n"), Action::Delete);
        // Without context, at the top of a file and in its middle.
        assert_eq!(action("@@ -0,0 +1 @@\n+aaa: 1\n"), Action::Update);
        assert_eq!(action("@@ -1 +0,0 @@\n-aaa: 1\n"), Action::Update);
        assert_eq!(action("@@ -17,0 +18 @@\n+  label: x\n"), Action::Update);
        assert_eq!(action("@@ -4 +4,2 @@\n-null\n+a: 1\n+b: 1\n"), Action::Update);
        assert_eq!(
            action("@@ -0,0 +1 @@\n+aaa: 1\n@@ -3 +4 @@\n-apiVersion: a\n+apiVersion: b\n"),
            Action::Update
        );
    }

    #[test]
    fn only_in_one_folder_is_created_or_deleted() {
        let text = "Only in /tmp/LIVE-12: v1.ConfigMap.shop.old\nOnly in /tmp/MERGED-3: \"v1.ConfigMap.shop.a\\tb\"\n";
        let reading = run(&[], Some(1), text, "");
        let report = reading.report().unwrap();
        let of = |name: &str, action, line| {
            let mut resource = Resource::new(Source::Plan, "shop", "ConfigMap", name, action);
            resource.drift = true;
            resource.with_span(line, line)
        };
        assert_eq!(report.resources(), [of("a\tb", Action::Create, 2), of("old", Action::Delete, 1)]);
    }

    #[test]
    fn nothing_but_an_empty_output_with_code_0_is_clean() {
        use Verdict::{Clean, Failed, Unreadable};
        assert_eq!(verdict(Some(0), "", ""), (Clean, None));
        assert_eq!(verdict(Some(0), "\n", "Warning: v1 Endpoints is deprecated\n"), (Clean, None));
        assert_eq!(verdict(None, "", ""), (Unreadable, Some(Class::UnreadableFormat)));
        assert_eq!(verdict(Some(1), "", ""), (Failed, Some(Class::Exit)));
        assert_eq!(verdict(Some(2), "", ""), (Failed, Some(Class::Exit)));
        assert_eq!(verdict(Some(0), "", "error: x\n"), (Unreadable, Some(Class::UnreadableContradiction)));
        assert_eq!(
            verdict(Some(1), "", "Error: unknown command \"difff\" for \"kubectl\"\n"),
            (Failed, Some(Class::Exit))
        );
        let prune = "W1123 01:17:59.599585   23631 diff.go:760] pruning failed and could not be evaluated err: secrets is forbidden: User \"x\"\n";
        assert_eq!(verdict(Some(0), "", prune), (Failed, Some(Class::Forbidden)));
        let text = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(verdict(Some(1), &text, prune), (Failed, Some(Class::Forbidden)));
        for argv in [
            &["kubectl", "diff", "-f", "-"][..],
            &["kubectl", "diff", "-f-"],
            &["kubectl", "diff", "-Rf", "-"],
            &["kubectl", "diff", "-Rf=-"],
            &["kubectl", "diff", "--filename", "-"],
            &["kubectl", "diff", "--filename=a.yaml,-"],
            &["kubectl", "diff", "-R", "-f", "a.yaml", "-f", "/dev/stdin"],
        ] {
            assert_eq!(run(argv, Some(0), "", "").class(), Some(Class::NoScopes), "{argv:?}");
        }
        for argv in
            [&["kubectl", "diff", "-l", "-", "-fx"][..], &["kubectl", "diff", "-Rfx-", "--force-conflicts"]]
        {
            assert_eq!(run(argv, Some(0), "", "").verdict(), Clean, "{argv:?}");
        }
        assert_eq!(run(&["kubectl", "diff", "-f", "x"], Some(0), "", "").verdict(), Clean);
    }

    #[test]
    fn an_exit_code_that_isn_t_kubectl_s_makes_no_empty_output_clean() {
        let class = |argv: &[&str], stderr: &str| run(argv, Some(0), "", stderr).class();
        for line in [
            "kubectl diff -f x | tee log",
            "cd a; kubectl --context p diff -f x 2>&1 |cat",
            "kustomize build . | kubectl diff -f - | sed s/a/b/ || true",
        ] {
            assert_eq!(class(&["sh", "-c", line], ""), Some(Class::UnreadableFormat), "{line}");
        }
        for line in [
            "kustomize build . | kubectl diff -f -",
            "kubectl diff -f x || [ $? = 1 ]",
            "kubectl get x | cat; kubectl diff -f x",
            "set -o pipefail; kubectl diff -f x | tee log",
        ] {
            assert_eq!(class(&["bash", "-c", line], ""), None, "{line}");
        }
        assert_eq!(class(&["bash", "-o", "pipefail", "-c", "kubectl diff -f x | tee log"], ""), None);
        for words in [
            "sh: 1: kubectl: not found",
            "./x.sh: line 3: kubectl: command not found",
            "/usr/bin/env: 'kubectl': No such file or directory",
            "sh: 1: /opt/kubectl: Permission denied",
            "./x.sh: line 7:  4711 Killed                  kubectl diff -f x",
            "Killed",
        ] {
            assert_eq!(class(&[], words), Some(Class::UnreadableContradiction), "{words}");
        }
        assert_eq!(class(&[], "# Warning: 'commonLabels' is deprecated\nnot found: nothing\n"), None);
    }

    #[test]
    fn a_difference_is_drift_whatever_the_code_says_short_of_failure() {
        let text = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
        for exit in [Some(0), Some(1), None] {
            assert_eq!(verdict(exit, &text, "Warning: x\n"), (Verdict::Drifted, None));
        }
        assert_eq!(verdict(Some(1), &text, "error: x\n"), (Verdict::Failed, Some(Class::Exit)));
        assert_eq!(verdict(Some(2), &text, "error: x\n"), (Verdict::Failed, Some(Class::Exit)));
        let bom = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(verdict(Some(1), &bom, ""), (Verdict::Drifted, None));
    }

    #[test]
    fn what_belongs_to_no_diff_of_kubectl_s_is_refused() {
        use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
        let class = |text: &str| match run(&[], Some(1), text, "") {
            Reading::Unreadable(error) => (error.class, error.line),
            other => panic!("{text}: {other:?}"),
        };
        let good = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(class(&format!("{good}Error: exit status 1\n")), (UnreadableFormat, Some(6)));
        assert_eq!(class(&format!("{good} a\n")), (UnreadableFormat, Some(6)));
        assert_eq!(class(good.trim_end()), (UnreadableCut, Some(5)));
        assert_eq!(class(&format!("{good}diff -u -N a b\n")), (UnreadableCut, Some(6)));
        assert_eq!(class(&format!("diff a b\n{good}")), (UnreadableContradiction, Some(1)));
        assert_eq!(class("diff a b\ndiff c d\n"), (UnreadableFormat, Some(1)));
        assert_eq!(class("diff a b\n3c3\n"), (UnreadableFormat, Some(2)));
        assert_eq!(class("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"), (UnreadableFormat, Some(1)));
        assert_eq!(class(&part("v1.ConfigMap.shop.web", "")), (UnreadableCut, Some(1)));
        assert_eq!(class(&good.replace("MERGED-2/v1", "MERGED-2/v2")), (UnreadableContradiction, Some(1)));
        assert_eq!(class(&good.replace("v1.ConfigMap.shop.web", "web")), (UnreadableFormat, Some(1)));
        let overlap = part("v1.ConfigMap.shop.web", "@@ -5 +5 @@\n-a\n+b\n@@ -2 +2 @@\n-a\n+b\n");
        assert_eq!(class(&overlap), (UnreadableContradiction, Some(6)));
        let gone = good.replace("+++ /tmp/MERGED-2/v1.ConfigMap.shop.web", "+++ /dev/null");
        assert_eq!(class(&gone), (UnreadableContradiction, Some(1)));
        assert_eq!(class("a\0b\n"), (UnreadableFormat, None));
    }

    #[test]
    fn fields_are_told_only_where_the_diff_shows_every_change() {
        let attributes = |text: &str| {
            let reading = run(&[], Some(1), text, "");
            reading.report().unwrap().resources().first().unwrap().attributes.clone()
        };
        let text = part("v1.ConfigMap.shop.web", "@@ -1,3 +1,3 @@\n data:\n-  a: 1\n+  a: 2\n   b: 1\n");
        let paths = "/tmp/LIVE-1/v1.ConfigMap.shop.web /tmp/MERGED-2/v1.ConfigMap.shop.web";
        let told = Some(vec!["data.a".to_owned()]);
        assert_eq!(attributes(&text), told);
        for options in ["-u -N", "-uN", "-u -N -U 9999", "-N -u '--color=always'", "-U9999 -N"] {
            assert_eq!(attributes(&format!("diff {options} {paths}\n{text}")), told, "{options}");
        }
        for options in ["-u -N -w", "-u -N -B", "-uNb", "-u -N --ignore-all-space", "-u -I generation"] {
            assert_eq!(attributes(&format!("diff {options} {paths}\n{text}")), None, "{options}");
        }
        assert_eq!(attributes(&text.replace("@@ -1,3 +1,3 @@", "@@ -2,3 +2,3 @@")), None);
        assert_eq!(attributes(&format!("{text}@@ -9 +9 @@\n-  c: 1\n+  c: 2\n")), None);
    }

    #[test]
    fn a_kind_that_can_t_be_told_is_left_out_with_a_remark() {
        let file = "acme.example.com.stable.lowerkind.shop.low.v1.name";
        let reading = run(&[], Some(1), &part(file, "@@ -9 +9 @@\n-  a: 1\n+  a: 2\n"), "");
        let report = reading.report().unwrap();
        let mut expected = Resource::new(Source::Plan, "", "", file, Action::Update).with_span(1, 5);
        expected.drift = true;
        assert_eq!((report.resources(), report.diagnostics().len()), (&[expected][..], 1));
    }

    #[test]
    fn command_lines_of_kubectl_diff_are_known() {
        for argv in [
            &["kubectl", "diff", "-f", "x"][..],
            &["timeout", "60", "/usr/bin/kubectl", "--context", "prod", "-n=x", "diff", "-R", "-f", "."],
            &["kubectl.1.32", "-n", "get", "diff"],
            &["env", "A=b", "/srv/kubectl-1.36", "--kubeconfig=x", "diff"],
            &["oc", "diff", "-k", "."],
        ] {
            assert!(runs(argv), "{argv:?}");
        }
        for argv in [
            &["kubectl", "get", "diff"][..],
            &["kubectl"],
            &["kubediff", "diff"],
            &["kubectl-neat-diff", "diff"],
            &["git", "diff"],
        ] {
            assert!(!runs(argv), "{argv:?}");
        }
    }
}
