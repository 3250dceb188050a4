//! What `ansible HOSTS -m MODULE --check --diff` prints: callbacks `minimal` and, with `-o`, `oneline`. Also a playbook's
//! output under either, as far as it shows a change.
//!
//! ```text
//! --- before: /etc/motd
//! +++ after: /etc/motd
//! @@ -1 +1 @@
//! -old
//! +new
//!
//! web1 | CHANGED => {
//!     "changed": true
//! }
//! web2 | SUCCESS => {"changed": false,"ping": "pong"}
//! web3 | FAILED | rc=1 >>
//! non-zero return code
//! ```
//!
//! There is no end, no count and no list of hosts: a block that is missing can't be missed. So nothing is clean here unless the
//! command line is known to be `ansible` itself, with exit code 0, one result for each host, and not a line that belongs to
//! none of them. The state in a header and `changed` in the result must agree; before 2.6 `SUCCESS` was printed for both, and
//! the result decides. What a program printed, after `>>`, can forge any line, but stands only where something changed or failed.

#[cfg(test)]
mod tests;

use crate::ansible::Pending;
use crate::ansible::attributes;
use crate::ansible::lines::after_colour;
use crate::ansible_json::Truth;
use crate::ansible_playbook as playbook;
use crate::report::{Action, Parsed, Resource, Said, Source, Span, Unread, UnreadReason};
use crate::text::{self, Line, Lines};
use crate::{Input, ParseError, Parser};
use memchr::memmem;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "ansible-minimal",
    about: "ansible HOSTS -m MODULE --check --diff, callbacks minimal and oneline",
    recommended: "ansible all -m MODULE -a ARGUMENTS --check --diff",
    actions: playbook::ACTIONS,
    drift_codes: &[],
    runs: |argv| playbook::ad_hoc(argv).is_some(),
    recognise,
    claim: playbook::claim,
    parse,
};

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    text::lines(input.stdout.bytes())
        .any(|line| memmem::find(line.bytes, b" | ").is_some() && is_result(&line.plain()))
        .then_some("a line HOST | CHANGED, SUCCESS, SKIPPED, FAILED or UNREACHABLE!")
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    match read(input) {
        Ok(parsed) => Ok(parsed),
        Err(error) => playbook::failed_or(input, error),
    }
}

/// What a result's first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Success,
    Changed,
    Skipped,
    Failed,
    Unreachable,
}

/// What follows it.
#[derive(Debug, PartialEq, Eq)]
enum Rest<'a> {
    /// `=> {`, from the brace.
    Json(&'a [u8]),
    /// `=>`, where results are YAML (`ANSIBLE_CALLBACK_RESULT_FORMAT=yaml`): indented, on the next lines.
    Yaml,
    /// `| rc=0 >>`: what a program printed, on the next lines.
    Output,
    /// `| rc=0 | (stdout) …`: the same on this line.
    OutputHere,
    Nothing,
}

/// A result's first line. A host's name has no spaces: what a program prints is seldom taken for one.
fn header(line: &[u8]) -> Option<(&[u8], State, Rest<'_>)> {
    const STATES: [(&[u8], State); 5] = [
        (b"SUCCESS", State::Success),
        (b"CHANGED", State::Changed),
        (b"SKIPPED", State::Skipped),
        (b"FAILED", State::Failed),
        (b"UNREACHABLE", State::Unreachable),
    ];
    let at = memmem::find(line, b" | ")?;
    let (host, rest) = (line.get(..at)?, line.get(at.checked_add(3)?..)?);
    if host.is_empty() || host.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let (rest, state) = STATES.iter().find_map(|(word, state)| Some((rest.strip_prefix(*word)?, *state)))?;
    // Callback oneline: the message of a host that was not reached stands behind it.
    if state == State::Unreachable && rest.starts_with(b"!: ") {
        return Some((host, state, Rest::Nothing));
    }
    let rest = rest.strip_prefix(b"!").unwrap_or(rest).trim_ascii_end();
    if rest.is_empty() {
        return Some((host, state, Rest::Nothing));
    }
    if rest == b" =>" {
        return Some((host, state, Rest::Yaml));
    }
    if let Some(json) = rest.strip_prefix(b" => ").filter(|json| json.starts_with(b"{")) {
        return Some((host, state, Rest::Json(json)));
    }
    let code = rest.strip_prefix(b" | rc=")?;
    let digits = code.iter().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
    let (digits, after) = code.split_at_checked(digits)?;
    match after {
        _ if digits.is_empty() => None,
        b" >>" => Some((host, state, Rest::Output)),
        _ if after.starts_with(b" | (std") => Some((host, state, Rest::OutputHere)),
        _ => None,
    }
}

/// Whether a line is a result's first.
pub(crate) fn is_result(line: &[u8]) -> bool {
    memmem::find(line, b" | ").is_some() && header(line).is_some()
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    changed: Truth,
}

/// One host's result.
struct Block {
    host: String,
    state: State,
    changed: bool,
    /// Its diff, header and what follows.
    span: Span,
    attributes: Option<Vec<String>>,
}

/// Everything that stands in an output.
#[derive(Default)]
struct Found {
    blocks: Vec<Block>,
    /// The first line that belongs to no result, after the last change before it.
    odd: Option<u32>,
}

fn read(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let stdout = playbook::output(input.stdout)?;
    let found = blocks(stdout)?;
    let ad_hoc = playbook::ad_hoc(input.argv);
    if playbook::runs(input.argv) {
        return Err(ParseError::format(
            "output of ansible's callback minimal, without names of tasks and without a recap",
        )
        .hint("set ANSIBLE_STDOUT_CALLBACK=default"));
    }
    let warnings = playbook::Warnings::of(input);
    if found.blocks.is_empty() {
        let hint = warnings.hint("check inventory and pattern");
        return Err(ParseError::no_scopes("no result of any host").hint(hint));
    }
    let mut parsed = Parsed { diagnostics: warnings.of_less().collect(), ..playbook::parsed(input) };
    let hosts = hosts(&found.blocks, ad_hoc.as_ref().map(|(_, module)| module.as_str()))?;
    if hosts.values().all(|state| *state == State::Skipped) {
        return Err(ParseError::no_scopes("every host was skipped: nothing was looked at")
            .hint("in check mode, command, shell and raw run nothing: use a module that can check"));
    }
    for (host, state) in &hosts {
        let scope = (*host).to_owned();
        match state {
            State::Success | State::Changed => parsed.scopes.read.push(scope),
            State::Unreachable => {
                parsed.scopes.unread.push(Unread { scope, reason: UnreadReason::Unreachable });
            }
            State::Skipped | State::Failed => {
                parsed.scopes.unread.push(Unread { scope, reason: UnreadReason::Failed });
            }
        }
    }
    let lost = hosts.values().any(|state| matches!(state, State::Failed | State::Unreachable));
    if let (Some(code @ 2..=4), false) = (input.exit, lost) {
        return Err(ParseError::contradiction(format!(
            "exit code {code} says that a host failed or was unreachable, the results that none did"
        )));
    }
    if let (Some(0), true, true) = (input.exit, lost, ad_hoc.is_some()) {
        return Err(ParseError::contradiction("a host failed or was unreachable, and the exit code is 0"));
    }
    let (kind, name) = match &ad_hoc {
        Some((_, module)) => (module.as_str(), module.as_str()),
        None => ("", "(module not shown)"),
    };
    for block in found.blocks.into_iter().filter(|block| block.changed) {
        parsed.resources.push(Resource {
            span: Some(block.span),
            attributes: block.attributes,
            ..Resource::new(Source::Plan, block.host, kind, name, Action::Change)
        });
    }
    if ad_hoc.as_ref().is_some_and(|(check, _)| !check) {
        parsed.diagnostics.push(playbook::without_check(&parsed.resources));
    }
    parsed.said = if parsed.resources.is_empty() { Said::NoChanges } else { Said::Changes };
    parsed.scopes.unread.extend(warnings.lost_sources());
    parsed.doubt = may_be_clean(input, ad_hoc.is_some(), found.odd).err();
    Ok(parsed)
}

/// Nothing in this format says that it is whole, so everything around it must.
fn may_be_clean(input: &Input<'_>, ad_hoc: bool, odd: Option<u32>) -> Result<(), ParseError> {
    if !ad_hoc || input.exit != Some(0) {
        return Err(ParseError::format(
            "results without an end, of a command line or an exit code that isn't known",
        )
        .hint("make `ansible HOSTS -m MODULE` itself the check's command"));
    }
    match odd {
        Some(line) => Err(ParseError::format("a line that belongs to no result")
            .at(line)
            .hint("run ansible without -vvv; if it is a part of a result, the output was cut or changed")),
        None => Ok(()),
    }
}

/// The gravest state of each host. `ansible` prints one result for each, unless its module brings tasks of its own.
fn hosts<'b>(blocks: &'b [Block], module: Option<&str>) -> Result<BTreeMap<&'b str, State>, ParseError> {
    const SEVERAL: [&str; 4] = ["import_role", "import_tasks", "include_role", "include_tasks"];
    let one = module.is_some_and(|module| !SEVERAL.contains(&module.rsplit('.').next().unwrap_or(module)));
    let mut hosts: BTreeMap<&str, State> = BTreeMap::new();
    for block in blocks {
        let before = hosts.get(block.host.as_str()).copied();
        if before.is_some() && one {
            return Err(ParseError::contradiction("a host has two results").at(block.span.1));
        }
        let grave = |state: State| match state {
            State::Skipped => 0,
            State::Success => 1,
            State::Changed => 2,
            State::Failed => 3,
            State::Unreachable => 4,
        };
        if before.is_none_or(|before| grave(block.state) > grave(before)) {
            hosts.insert(&block.host, block.state);
        }
    }
    Ok(hosts)
}

/// All results, in the order of the output.
fn blocks(stdout: &[u8]) -> Result<Found, ParseError> {
    let mut lines = text::lines(stdout);
    let mut found = Found::default();
    let mut pending: Option<Pending<'_>> = None;
    // The last result is what a program printed: it has no end.
    let mut open = false;
    while let Some(line) = lines.next() {
        let plain = line.plain();
        let Some((host, state, rest)) = header(&plain) else {
            let odd = !(open || plain.trim_ascii().is_empty() || is_noise(&plain));
            if odd && pending.is_none() {
                pending = Some(Pending { first: line, after: lines.clone() });
            }
            continue;
        };
        let (last, changed) = match rest {
            Rest::Json(json) => result(line, json, &mut lines)?,
            Rest::Yaml => yaml(line, &mut lines)?,
            Rest::Output | Rest::OutputHere | Rest::Nothing => (line.number, false),
        };
        open = rest == Rest::Output;
        if state == State::Success && matches!(rest, Rest::Output | Rest::OutputHere) {
            // Before 2.6 a command that changed something prints the same.
            let next = lines.clone().next();
            let here =
                if rest == Rest::OutputHere { Some(plain.clone()) } else { next.map(|line| line.plain()) };
            if !here
                .is_some_and(|text| SKIPPED_COMMAND.iter().any(|words| memmem::find(&text, words).is_some()))
            {
                return Err(ParseError::format(
                    "a command's output under SUCCESS, which doesn't say whether it changed something",
                )
                .at(line.number)
                .hint("use ansible-core, and --check"));
            }
        }
        let changed = match state {
            State::Changed => true,
            State::Success => changed,
            // What a failure has changed is not known to be all.
            State::Skipped | State::Failed | State::Unreachable => false,
        };
        if let Some(text) = pending.as_ref().filter(|_| !changed) {
            found.odd.get_or_insert(text.first.number);
        }
        let attributes =
            pending.as_ref().filter(|_| changed).and_then(|text| attributes::of(text, line.number));
        let first = pending.take().filter(|_| changed).map_or(line.number, |text| text.first.number);
        found.blocks.push(Block {
            host: text::string(host),
            state: if changed { State::Changed } else { state },
            changed,
            span: Span(first, last),
            attributes,
        });
    }
    if let Some(text) = pending {
        // A diff whose result never came.
        found.odd.get_or_insert(text.first.number);
    }
    Ok(found)
}

/// What `command` and its like say where `creates` or `removes` kept them from running.
const SKIPPED_COMMAND: [&[u8]; 2] = [b"skipped, since ", b"Did not run command since "];

/// The JSON of a result, which goes on to a line with its closing brace: where it ends, and whether it says `changed`.
fn result(first: Line<'_>, json: &[u8], lines: &mut Lines<'_>) -> Result<(u32, bool), ParseError> {
    let (mut whole, mut last) = (json.to_vec(), first.number);
    if json == b"{" {
        loop {
            let Some(line) = lines.next() else {
                return Err(ParseError::cut("the output ends within a result").at(last));
            };
            let plain = line.plain();
            last = line.number;
            whole.push(b'\n');
            whole.extend_from_slice(&plain);
            match plain.first() {
                Some(b' ') => {}
                Some(b'}') => break,
                _ => return Err(ParseError::format("a result that isn't JSON").at(last)),
            }
        }
    }
    // serde's words can quote a value: name the place only.
    match serde_json::from_slice::<Outcome>(&whole) {
        Ok(result) => Ok((last, result.changed.0)),
        Err(error) if error.is_eof() => Err(ParseError::cut("a result ends before its end").at(last)),
        Err(_) => Err(ParseError::format("a result that isn't JSON").at(last)),
    }
}

/// The YAML of a result, which has no end of its own: where it stops, and whether it says `changed`.
fn yaml(first: Line<'_>, lines: &mut Lines<'_>) -> Result<(u32, bool), ParseError> {
    let (mut last, mut changed) = (first.number, None);
    loop {
        let mut ahead = lines.clone();
        // Blank lines stand in long texts.
        let Some(line) = ahead.find(|line| !line.plain().is_empty()) else { break };
        let plain = line.plain();
        if !plain.starts_with(b"    ") {
            break;
        }
        last = line.number;
        // Its own keys stand in this column, and nothing else.
        if let Some(value) = plain.strip_prefix(b"    changed: ") {
            let known = matches!(value, b"true" | b"false");
            if !known || changed.replace(value == b"true").is_some() {
                return Err(ParseError::format("a result that says `changed` in an unknown way").at(last));
            }
        }
        *lines = ahead;
    }
    if last == first.number {
        return Err(ParseError::cut("the output ends within a result").at(last));
    }
    // `debug` and many failures don't say it; the first line does.
    Ok((last, changed == Some(true)))
}

/// Lines that ansible prints beside results.
fn is_noise(plain: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] =
        [b"[WARNING]: ", b"[DEPRECATION WARNING]: ", b"Using ", b"No config file found"];
    let plain = after_colour(plain);
    BEGINNINGS.iter().any(|beginning| plain.starts_with(beginning))
}
