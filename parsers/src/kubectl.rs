//! Reads `kubectl diff` with the default `diff -u -N`, any context width, colours, colordiff, busybox, git, plain `diff` or dyff.
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
mod block;
mod command;
mod dyff;
mod folder;
mod normal;
mod object;
pub(crate) mod stderr;
#[cfg(test)]
mod tests;
mod unified;

use crate::Parser;
use crate::error::ParseError;
use crate::input::Input;
use crate::kube;
use crate::report::{Action, Diagnostic, Parsed, Resource, Said};
use crate::text;
use command::{pipes, reads_stdin, runs};
use folder::folder;
use memchr::{memchr, memmem, memrchr};
use std::borrow::Cow;
use stderr::Notes;

/// `kubectl diff`.
pub static PARSER: Parser = Parser {
    name: "kubectl",
    about: "kubectl diff with a unified differ, plain diff or dyff",
    recommended: "kubectl diff -R -f DIR",
    actions: &[Action::Delete, Action::Create, Action::Update],
    drift_codes: &[1],
    runs,
    recognise,
    claim: kube::claim,
    parse,
};

const HINT: &str = "set KUBECTL_EXTERNAL_DIFF=\"diff -u -N\"";
const FULL: &str = "KUBECTL_EXTERNAL_DIFF=\"diff -u -N -U 9999\" shows it";

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    const HEADERS: [&[u8]; 5] = [b"diff ", b"--- ", b"+++ ", b"Only in ", b"Files "];
    let out = input.stdout.bytes();
    let head = out.get(..1 << 20).unwrap_or(out);
    let beginning = text::strip_ansi(head.get(..4096).unwrap_or(head));
    if dyff::is_dyff(&beginning) && dyff::names_an_object(&beginning) {
        return Some("objects that dyff names");
    }
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
                .hint("name files, or pipe them within `shell`, with `set -o pipefail`"));
            }
            Some(0) if let Some(words) = notes.shell => {
                return Err(ParseError::contradiction(format!(
                    "no output and exit code 0, but standard error says: {words}"
                ))
                .hint("let the command's own exit code through"));
            }
            Some(0) if pipes(input.argv).before => {
                return Err(ParseError::format(
                    "no output, and nothing tells whether what is piped into kubectl was there",
                )
                .hint("write `set -o pipefail` before it (bash), or name files"));
            }
            Some(0) if pipes(input.argv).behind => {
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
        parsed.doubt = kube::doubt(input, &notes, runs(input.argv));
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

/// Every object that differs.
fn objects(out: &[u8]) -> Result<(Vec<Resource>, Vec<Diagnostic>), ParseError> {
    let out = out.strip_prefix(b"\xef\xbb\xbf").unwrap_or(out);
    if memchr(0, out).is_some() {
        return Err(ParseError::format("binary output, or text in UTF-16").hint("write UTF-8"));
    }
    // Values hold no ESC: kubectl quotes and escapes them.
    let plain = text::strip_ansi(out);
    if matches!(plain, Cow::Owned(_)) && text::count_lines(&plain) != text::count_lines(out) {
        return Err(
            ParseError::format("an escape sequence that holds an end of a line").hint("leave colours out")
        );
    }
    if dyff::is_dyff(&plain) {
        return Ok((dyff::objects(&plain)?, Vec::new()));
    }
    other_form(&plain)?;
    if is_normal(&plain) { normal::objects(&plain) } else { unified::objects(&plain) }
}

/// Whether what follows the first `diff` line is the change of a normal diff.
fn is_normal(out: &[u8]) -> bool {
    let mut lines = text::lines(out).skip_while(|line| !line.bytes.starts_with(b"diff "));
    lines.nth(1).and_then(|line| line.bytes.first()).is_some_and(u8::is_ascii_digit)
}

/// Says which form of `diff` it is that hides what is needed.
fn other_form(out: &[u8]) -> Result<(), ParseError> {
    const FORMS: [(u8, &str, &str); 5] = [
        (b'y', "--side-by-side", "side by side (`-y`), where long lines are cut"),
        (b'c', "--context", "a context diff (`-c`)"),
        (b'q', "--brief", "names of files only (`-q`)"),
        (b'e', "--ed", "an ed script (`-e`)"),
        (b'n', "--rcs", "an RCS script (`-n`)"),
    ];
    let is_listed = |line: &text::Line<'_>| line.bytes.is_empty() || line.bytes.starts_with(b"Only in ");
    let Some(line) = text::lines(out).find(|line| !is_listed(line)) else { return Ok(()) };
    let refused = |what: &str| Err(ParseError::format(what).at(line.number).hint(HINT));
    if line.bytes.starts_with(b"Files ") && line.bytes.ends_with(b" differ") {
        return refused("names of files only (`-q`)");
    }
    let Some(command) = line.bytes.strip_prefix(b"diff ") else { return Ok(()) };
    let options = command.split(|b| *b == b' ').take_while(|word| memchr(b'/', word).is_none());
    for option in options {
        let short = option.strip_prefix(b"-").filter(|rest| rest.iter().all(u8::is_ascii_alphabetic));
        for (letter, long, what) in FORMS {
            if option.starts_with(long.as_bytes()) || short.is_some_and(|letters| letters.contains(&letter)) {
                return refused(what);
            }
        }
    }
    Ok(())
}
