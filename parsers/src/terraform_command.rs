//! What every Terraform format shares: command line, exit code, and the class of a failure.
//!
//! Knows the words of Terraform's errors. Knows nothing of how a plan is printed.

#[cfg(test)]
mod tests;

use crate::error::{Class, Failure, ParseError};
use crate::input::{Input, arguments_of, go_flag};
use crate::report::{Action, Diagnostic, Tool};
use crate::text::Line;
use crate::{Claim, text};

/// The actions of a plan, gravest first.
pub(crate) const ACTIONS: &[Action] = &[
    Action::Replace,
    Action::Delete,
    Action::Create,
    Action::Update,
    Action::Move,
    Action::Import,
    Action::Forget,
    Action::Read,
];

/// What `-detailed-exitcode` says when something differs.
pub(crate) const DRIFT_CODES: &[i32] = &[2];

const PROGRAMS: &[&str] = &["terraform", "tofu"];

const TERRAGRUNT: &[&str] = &["terragrunt"];

/// Whose command lines are known here.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().chain(TERRAGRUNT).copied()
}

/// What makes Terragrunt run a command in many units.
const OF_ALL: &[&str] = &["run-all", "plan-all", "--all", "-a", "--graph", "graph", "stack"];

/// A command line as Terraform reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// `plan`, `show`; empty when there is none.
    pub subcommand: &'a str,
    /// What follows the subcommand.
    args: &'a [&'a str],
}

impl Call<'_> {
    /// Whether a boolean flag is on.
    pub fn flag(&self, name: &str) -> bool {
        go_flag(self.args, name)
    }
}

/// The subcommand and its arguments; `None` for another program, a shell, or nothing. Global options (`-chdir=DIR`) stand
/// before the subcommand.
pub(crate) fn call<'a>(line: &'a [&'a str]) -> Option<Call<'a>> {
    if let Some(all) = arguments_of(line, TERRAGRUNT) {
        return terragrunt(all);
    }
    let all = arguments_of(line, PROGRAMS)?;
    let at = all.iter().position(|arg| !arg.starts_with('-'))?;
    let (subcommand, args) = all.get(at..)?.split_first()?;
    Some(Call { subcommand, args })
}

/// Terragrunt's own options may stand before and behind the command, and may take values: the words alone are looked at.
fn terragrunt<'a>(all: &'a [&'a str]) -> Option<Call<'a>> {
    const OTHERS: &[&str] =
        &["apply", "destroy", "init", "output", "import", "refresh", "validate", "hcl", "state"];
    let command = |arg: &&&str| matches!(**arg, "plan" | "plan-all" | "show") || OTHERS.contains(*arg);
    let subcommand = match *all.iter().find(command)? {
        "plan-all" => "plan",
        other => other,
    };
    Some(Call { subcommand, args: all })
}

/// Whether the program is Terragrunt.
pub(crate) fn is_terragrunt(line: &[&str]) -> bool {
    arguments_of(line, TERRAGRUNT).is_some()
}

/// Whether the program is Terraform or OpenTofu itself: then no other wrote into its output.
pub(crate) fn is_terraform(line: &[&str]) -> bool {
    !is_terragrunt(line) && call(line).is_some()
}

/// Whether the exit code is that of one plan of Terraform, so that its "No changes." explains a 2: not of a script, which may have run
/// several, nor of Terragrunt's units, of which one may have printed nothing.
pub(crate) fn gives_its_own_code(line: &[&str]) -> bool {
    let detailed = || call(line).is_some_and(|call| call.flag("detailed-exitcode"));
    line.is_empty() || (gives_the_code(line) && !runs_all(line) && (!is_terragrunt(line) || detailed()))
}

/// Whether Terragrunt runs the command in many units.
pub(crate) fn runs_all(line: &[&str]) -> bool {
    arguments_of(line, TERRAGRUNT).is_some_and(|args| args.iter().any(|arg| OF_ALL.contains(arg)))
}

/// The folder in which Terragrunt writes each unit's plan as JSON.
pub(crate) fn json_folder<'a>(line: &'a [&'a str]) -> Option<&'a str> {
    let mut args = arguments_of(line, TERRAGRUNT)?.iter();
    while let Some(arg) = args.next() {
        let name = arg.trim_start_matches('-');
        let name = name.strip_prefix("terragrunt-").unwrap_or(name);
        match name.strip_prefix("json-out-dir").filter(|_| arg.starts_with('-')) {
            Some("") => return args.next().copied(),
            Some(value) if value.starts_with('=') => return value.strip_prefix('='),
            Some(_) | None => {}
        }
    }
    None
}

/// Whether the exit code is that of a run in many units of which one failed: the others' plans count.
pub(crate) fn some_unit_failed(input: &Input<'_>) -> bool {
    // Beyond 123 it is a signal's, or a shell's.
    runs_all(input.argv)
        && claim(input) == Claim::Failed
        && input.exit.is_some_and(|code| (1..=123).contains(&code))
}

/// What the exit code says where units can be told apart.
pub(crate) fn claim_of_units(input: &Input<'_>) -> Claim {
    if some_unit_failed(input) { Claim::Silent } else { claim(input) }
}

/// Whether the command line asks for a refresh-only plan; `None` when it isn't known what was run. Of a shell's line the words
/// are enough; a script shows nothing.
pub(crate) fn refresh_only(argv: &[&str]) -> Option<bool> {
    if let Some(call) = call(argv) {
        return (call.subcommand == "plan").then(|| call.flag("refresh-only"));
    }
    let says = |words: &str| argv.iter().any(|arg| arg.contains(words));
    if says("-refresh-only") {
        Some(true)
    } else {
        PROGRAMS.iter().chain(TERRAGRUNT).any(|program| says(&format!("{program} plan"))).then_some(false)
    }
}

/// What a plan that was asked for in this way doesn't say, whatever it finds. An option counts in any word of the command line: of a shell's,
/// and of `env TF_CLI_ARGS_plan=…`; of an option that is repeated the last one counts.
pub(crate) fn limits(argv: &[&str]) -> Vec<Diagnostic> {
    let (mut refresh, mut destroy) = (true, false);
    for word in argv.iter().flat_map(|arg| arg.split_ascii_whitespace()) {
        let word = word.trim_matches(|c| matches!(c, '\'' | '"' | ';'));
        let word = match word.split_once('=') {
            Some((name, value)) if name.starts_with("TF_CLI_ARGS") => value.trim_start_matches(['\'', '"']),
            _ => word,
        };
        if !word.starts_with('-') {
            continue;
        }
        let (name, value) = word.split_once('=').unwrap_or((word, "true"));
        let on = !matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False");
        match name.trim_start_matches('-') {
            "refresh" => refresh = on,
            "destroy" => destroy = on,
            _ => {}
        }
    }
    let without = (!refresh).then_some("-refresh=false: compared with the state, not with what is there");
    let destroys = destroy.then_some("-destroy: a plan to destroy: it doesn't say what drifted");
    without.into_iter().chain(destroys).map(Diagnostic::warning).collect()
}

/// The tool as far as the command line tells.
pub(crate) fn tool(argv: &[&str]) -> Tool {
    let tofu = arguments_of(argv, &["tofu"]).is_some();
    Tool { name: if tofu { "opentofu" } else { "terraform" }.into(), version: None }
}

/// What the exit code says. 2 means "differs" only with `-detailed-exitcode`, or where the command line isn't known: it is also
/// how a Go program dies of a fatal error.
pub(crate) fn claim(input: &Input<'_>) -> Claim {
    let Some(code) = input.exit else { return Claim::Silent };
    let detailed = call(input.argv).map(|call| call.subcommand == "plan" && call.flag("detailed-exitcode"));
    // Terragrunt's configuration can add the flag.
    let detailed = detailed.filter(|detailed| *detailed || !is_terragrunt(input.argv));
    match (code, detailed) {
        (0, Some(true)) => Claim::Clean,
        (0, Some(false) | None) => Claim::Silent,
        (2, Some(true) | None) => Claim::Drifted,
        _ => Claim::Failed,
    }
}

/// Whether an error on standard error makes a failure although the exit code doesn't: not where Terraform itself gave the
/// code (logs look like errors), but where a script did, or nobody knows it.
pub(crate) fn errors_count(input: &Input<'_>) -> bool {
    input.exit.is_none() || !gives_the_code(input.argv)
}

/// Whether the exit code is Terraform's own. Behind a wrapper its name can be a user's: `sudo -u terraform ./plan.sh`.
pub(crate) fn gives_the_code(argv: &[&str]) -> bool {
    call(argv).is_some_and(|call| matches!(call.subcommand, "plan" | "show"))
}

/// A plan that would invoke actions and change nothing (`-invoke`, Terraform ≥ 1.14): neither drift nor none.
pub(crate) fn only_actions() -> ParseError {
    ParseError::format("nothing but actions to invoke").hint("plan without -invoke")
}

/// One `Error:` or `Warning:` of human output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// `Error:`, not `Warning:`.
    pub error: bool,
    /// The words after `Error: `.
    pub summary: String,
    /// The line it stands in, from 1.
    pub line: u32,
}

/// The summary of a diagnostic that starts on this line of human output (without colours), plain or boxed.
///
/// `before` is the line before it, with or without colours: a diagnostic starts after an empty line or after the box's upper corner, its details don't.
pub(crate) fn remark(before: &[u8], line: &[u8], number: u32) -> Option<Remark> {
    if !matches!(line.first(), Some(b'E' | b'W' | 0xe2)) {
        return None;
    }
    let before = text::strip_ansi(before);
    let boxed = before.trim_ascii() == "╷".as_bytes();
    let words = match line.strip_prefix("│ ".as_bytes()) {
        Some(words) if boxed => words,
        None if before.trim_ascii().is_empty() => line,
        Some(_) | None => return None,
    };
    let (error, summary) = words
        .strip_prefix(b"Error: ")
        .map(|summary| (true, summary))
        .or_else(|| words.strip_prefix(b"Warning: ").map(|summary| (false, summary)))?;
    Some(Remark { error, summary: text::string(summary.trim_ascii()), line: number })
}

/// Whether the empty lines of an output are there: whoever forwards it line by line may drop them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blanks {
    Kept,
    Dropped,
}

impl Blanks {
    /// What to ask [`remark`] with of the line before: where empty lines are missing, any line may begin a diagnostic.
    pub(crate) fn before(self, line: &[u8]) -> &[u8] {
        match self {
            Self::Dropped if !text::strip_ansi(line).starts_with("╷".as_bytes()) => b"",
            Self::Kept | Self::Dropped => line,
        }
    }
}

/// The diagnostics on standard error, and the failure that the first error tells.
pub(crate) fn stderr(bytes: &[u8]) -> (Vec<Diagnostic>, Option<Failure>) {
    diagnostics(text::lines(bytes), Blanks::Kept)
}

/// The failure that the first error among these lines tells.
pub(crate) fn first_error<'a>(lines: impl Iterator<Item = Line<'a>>, blanks: Blanks) -> Option<Failure> {
    diagnostics(lines, blanks).1
}

fn diagnostics<'a>(
    lines: impl Iterator<Item = Line<'a>>,
    blanks: Blanks,
) -> (Vec<Diagnostic>, Option<Failure>) {
    let (mut remarks, mut before, mut detail) = (Vec::<Remark>::new(), Vec::new(), String::new());
    for line in lines {
        let plain = line.plain();
        if let Some(found) = remark(&before, &plain, line.number) {
            remarks.push(found);
        } else if remarks.iter().filter(|remark| remark.error).count() == 1 && detail.len() < 4096 {
            detail.push_str(&text::string(&plain));
            detail.push('\n');
        }
        before = blanks.before(&plain).to_vec();
    }
    let failure = remarks.iter().find(|remark| remark.error).map(|first| failure(&first.summary, &detail));
    let diagnostics = remarks
        .into_iter()
        .map(|r| if r.error { Diagnostic::error(r.summary) } else { Diagnostic::warning(r.summary) })
        .collect();
    (diagnostics, failure)
}

/// The failure that an error tells. Its detail is only looked at for the class, never quoted: it may hold values.
pub(crate) fn failure(summary: &str, detail: &str) -> Failure {
    let class = class(summary).or_else(|| class(detail)).unwrap_or(Class::Exit);
    Failure::new(class, summary)
}

/// Words of errors, in the order in which they are asked: a lock that could not be taken for want of credentials is a matter
/// of the lock's summary, credentials named in a provider's error are a matter of credentials.
const CLASSES: &[(Class, &[&str])] = &[
    (
        Class::StateLock,
        &["error acquiring the state lock", "error locking state", "workspace already locked"],
    ),
    (
        Class::NeedsInit,
        &[
            "inconsistent dependency lock file",
            "backend initialization required",
            "backend configuration changed",
            "backend type changed",
            "initialization required",
            "required plugins are not installed",
            "module not installed",
            "module source has changed",
            "module version requirements have changed",
            "missing required provider",
            "could not load plugin",
            "provider requirements cannot be satisfied by locked dependencies",
        ],
    ),
    (
        Class::Auth,
        &[
            "no valid credential sources",
            "no valid credential",
            "could not find default credentials",
            "failed to refresh cached credentials",
            "invalid credentials",
            "invalidclienttokenid",
            "signaturedoesnotmatch",
            "expiredtoken",
            "expired token",
            "nocredentialproviders",
            "unrecognizedclientexception",
            "authfailure",
            "default credentials",
            "invalid_grant",
            "please run 'az login'",
            "obtain a token",
            "token has expired",
            "token is expired",
            "authentication failed",
            "required token could not be found",
            "error building azurerm client",
        ],
    ),
    (
        Class::Forbidden,
        &[
            "accessdenied",
            "access denied",
            "permission denied",
            "permission_denied",
            "unauthorizedoperation",
            "not authorized to perform",
            "authorizationfailed",
            "does not have permission",
            "insufficient permissions",
            "insufficient authentication scopes",
        ],
    ),
    (
        Class::Provider,
        &[
            "plugin did not respond",
            "plugin crashed",
            "provider crashed",
            "failed to load plugin schemas",
            "failed to instantiate provider",
            "provider produced inconsistent",
            "provider produced invalid",
            "timeout while waiting for plugin",
            "failed to retrieve plugin schemas",
        ],
    ),
    (
        Class::Unreachable,
        &[
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "tls handshake timeout",
            "client.timeout exceeded",
            "deadline exceeded",
            "timed out",
            "timeout while",
            "timeout awaiting",
            "gateway timeout",
        ],
    ),
];

/// What counts only as a word of its own: `401` in `(401)`, not in `i-4011`; `UnauthorizedOperation` is a permission that lacks.
const WORDS: &[(Class, &[&str])] =
    &[(Class::Auth, &["401", "unauthorized", "unauthenticated"]), (Class::Forbidden, &["403", "forbidden"])];

fn class(text: &str) -> Option<Class> {
    let text = text.to_lowercase();
    let is_word =
        |word: &str| text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|part| part == word);
    let by_word =
        |class: Class| WORDS.iter().any(|(of, words)| *of == class && words.iter().any(|word| is_word(word)));
    CLASSES
        .iter()
        .find(|(class, phrases)| phrases.iter().any(|phrase| text.contains(phrase)) || by_word(*class))
        .map(|(class, _)| *class)
}
