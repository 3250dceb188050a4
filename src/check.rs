//! One check, validated: nothing optional is left that a run would have to decide.

use crate::ignore::IgnoreRule;
use crate::redact::Secret;
use crate::schedule::Cron;
use driftrun_parsers::{Action, Claim, ExitCodes, Input, Parser, Pattern, Stream};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The values a check has when nobody says otherwise.
pub mod default {
    use std::time::Duration;

    /// Time between two starts.
    pub const INTERVAL: Duration = Duration::from_mins(10);
    /// How long a whole run may take.
    pub const TIMEOUT: Duration = Duration::from_mins(10);
    /// Time between TERM and KILL.
    pub const KILL_GRACE: Duration = Duration::from_secs(10);
    /// Bytes of each stream that are kept for the parser.
    pub const MAX_OUTPUT: u64 = 64 << 20;
    /// Bytes of output that all runs under way hold before a new one waits.
    pub const MAX_CAPTURE_MEMORY: u64 = 256 << 20;
    /// Resources of a report that are kept, each of them two series.
    pub const MAX_RESOURCES: usize = 10_000;
    /// The same over all checks.
    pub const MAX_TOTAL_RESOURCES: usize = 250_000;
    /// How long a program may take that reads an output.
    pub const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);
}

/// One configured command with its schedule, limits and reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The metric label `check`; see [`is_name`].
    pub name: String,
    /// The check's own labels, on each of its series.
    pub labels: BTreeMap<String, String>,
    /// Commands that run before each run's command; the first that fails ends the run.
    pub setup: Vec<Vec<String>>,
    /// The command; its exit code is the run's.
    pub command: Vec<String>,
    /// The command that prints what is parsed, where that is not what `command` prints.
    pub report: Option<Vec<String>>,
    /// Where all of them run. `None`: where driftrun itself was started.
    pub workdir: Option<PathBuf>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Files of further variables, read at each start; see [`crate::run`].
    pub env_file: Vec<PathBuf>,
    /// Nothing of driftrun's own environment is passed on but `PATH`, `HOME` and what driftrun sets itself.
    pub clear_env: bool,
    /// Who reads the output.
    pub reader: ReaderChoice,
    /// What exit codes mean, where the check says so itself.
    pub exit_codes: Option<ExitCodes>,
    /// Time between two starts, where there is no `cron`.
    pub interval: Duration,
    /// The times at which it starts instead.
    pub cron: Option<Cron>,
    /// By how much starts may be put off, so that not all checks start at once; see [`crate::schedule::Schedule::of`].
    pub splay: Option<Duration>,
    /// Checks with the same one never run at the same time.
    pub concurrency_group: Option<String>,
    /// How often a run that met a lock of its state is made again before it counts.
    pub retries: u32,
    /// How long a whole run may take.
    pub timeout: Duration,
    /// Time between TERM and KILL.
    pub kill_grace: Duration,
    /// Bytes of each stream that are kept for the parser.
    pub max_output: usize,
    /// Where private folders of runs are made.
    pub tmp_base: PathBuf,
    /// Globs of files that the command writes its report to, relative to `workdir`; `{tmp}` is the run's private folder.
    pub files: Vec<String>,
    /// Refresh entries without a planned change count as drift.
    pub count_refresh: bool,
    /// What is no drift.
    pub ignore: Vec<IgnoreRule>,
    /// Whether what always differs in Kubernetes is no drift either; see [`crate::ignore::NOISE`].
    pub ignore_defaults: bool,
    /// How many resources of a report are kept; the rest is counted.
    pub max_resources: usize,
    /// What of its reports becomes metrics.
    pub resource_metrics: ResourceMetrics,
    /// Where its page is, for people; only with an external URL.
    pub url: Option<String>,
    /// What is taken out of its output wherever it is shown or kept, beside secrets of known forms.
    pub redact: Vec<Secret>,
}

/// What of a check's reports becomes metrics. Pages show everything all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceMetrics {
    /// Series for each resource that drifts and each scope that wasn't read, and the counts.
    Full,
    /// The counts.
    Counts,
    /// Nothing but the verdict.
    Off,
}

impl Check {
    /// A check with nothing to run and every default: for outputs that somebody else recorded, and to be filled in.
    pub fn recorded(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            setup: Vec::new(),
            command: Vec::new(),
            report: None,
            workdir: None,
            env: BTreeMap::new(),
            env_file: Vec::new(),
            clear_env: false,
            reader: ReaderChoice::Any,
            exit_codes: None,
            interval: default::INTERVAL,
            cron: None,
            splay: None,
            concurrency_group: None,
            retries: 0,
            timeout: default::TIMEOUT,
            kill_grace: default::KILL_GRACE,
            max_output: usize::try_from(default::MAX_OUTPUT).unwrap_or(usize::MAX),
            tmp_base: std::env::temp_dir(),
            files: Vec::new(),
            count_refresh: false,
            ignore: Vec::new(),
            ignore_defaults: true,
            max_resources: default::MAX_RESOURCES,
            resource_metrics: ResourceMetrics::Full,
            url: None,
            redact: Vec::new(),
        }
    }

    /// Whether a run of this check is one of `other` as well: what is run, where, and who reads it.
    pub fn runs_like(&self, other: &Self) -> bool {
        let what = |check: &Self| {
            let Self { command, report, workdir, reader, .. } = check;
            (command.clone(), report.clone(), workdir.clone(), reader.clone())
        };
        what(self) == what(other)
    }

    /// Whether its command prints Terraform's raw plan or state, which holds every value; `parser` is who reads it, as far as it is known.
    pub fn prints_raw_plan(&self, parser: Option<&Reader>) -> bool {
        const RAW: &str = "terraform-show";
        self.report.is_none()
            && match &self.reader {
                ReaderChoice::Known(reader) => reader.name() == RAW,
                ReaderChoice::OneOf(parsers) if parsers.len() == 1 => parsers[0].name == RAW,
                ReaderChoice::ExitCode | ReaderChoice::OneOf(_) | ReaderChoice::Any => {
                    parser.is_some_and(|parser| parser.name() == RAW)
                }
            }
    }

    /// What is valid and yet probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.name;
        let mut warnings = Vec::new();
        let commands = self.setup.iter().chain([&self.command]).chain(&self.report);
        warnings.extend(
            commands
                .filter_map(|argv| driftrun_parsers::changing(argv))
                .map(|what| format!("check {name:?}: {what} changes things, at every run")),
        );
        let printed: Vec<&str> =
            self.report.as_ref().unwrap_or(&self.command).iter().map(String::as_str).collect();
        match &self.reader {
            ReaderChoice::Any => warnings.push(format!("check {name:?}: its command line names no known tool, so the output decides, and an output that nothing recognises is judged by its exit code alone; set `parser` (`none` for the exit code)")),
            ReaderChoice::Known(Reader::Builtin(parser)) => {
                let prints = driftrun_parsers::by_command(&printed);
                if !prints.is_empty() && !prints.contains(parser) {
                    let names: Vec<&str> = prints.iter().map(|parser| parser.name).collect();
                    warnings.push(format!("check {name:?}: its command line prints what {} reads, not {}", names.join(", "), parser.name));
                }
            }
            ReaderChoice::ExitCode if self.report.is_some() => {
                warnings.push(format!("check {name:?}: with `parser: none` nothing is read, so `report` does nothing"));
            }
            ReaderChoice::ExitCode
            | ReaderChoice::OneOf(_)
            | ReaderChoice::Known(Reader::Pattern(_) | Reader::Program(_)) => {}
        }
        let reads_files = match &self.reader {
            ReaderChoice::Known(Reader::Builtin(parser)) => parser.reads_files(),
            ReaderChoice::OneOf(parsers) => parsers.iter().any(|parser| parser.reads_files()),
            ReaderChoice::Any => true,
            ReaderChoice::ExitCode | ReaderChoice::Known(Reader::Pattern(_) | Reader::Program(_)) => false,
        };
        if !self.files.is_empty() && !reads_files {
            warnings.push(format!(
                "check {name:?}: its parser reads standard output alone, and `files` is for parsers that read some"
            ));
        }
        warnings
    }

    /// Whether `code` of the command says that it failed, so that there is nothing to report.
    pub fn is_failure(&self, code: i32) -> bool {
        let argv: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let empty = Stream::whole(b"");
        let input = Input { argv: &argv, exit: Some(code), stdout: empty, stderr: empty, files: &[] };
        let claim = match (&self.exit_codes, &self.reader) {
            (Some(codes), _) => codes.claim(Some(code)),
            (None, ReaderChoice::Known(reader)) => reader.claim(&input),
            (None, ReaderChoice::OneOf(parsers)) => {
                return parsers.iter().all(|parser| (parser.claim)(&input) == Claim::Failed);
            }
            (None, ReaderChoice::ExitCode | ReaderChoice::Any) => return code != 0,
        };
        claim == Claim::Failed
    }
}

/// Somebody who reads outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A parser of driftrun's own.
    Builtin(&'static Parser),
    /// Regular expressions from the configuration.
    Pattern(Arc<Pattern>),
    /// A program from the configuration.
    Program(Arc<Program>),
}

/// A program that reads an output on standard input and prints a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in the configuration.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// What the exit codes of the command mean whose output it reads.
    pub exit_codes: Option<ExitCodes>,
}

impl Reader {
    /// The name in the configuration and in the label `parser`.
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin(parser) => parser.name,
            Self::Pattern(pattern) => &pattern.name,
            Self::Program(program) => &program.name,
        }
    }

    /// The actions that it can give, in the order of [`Action::ALL`].
    pub fn actions(&self) -> Cow<'static, [Action]> {
        match self {
            Self::Builtin(parser) => Cow::Borrowed(parser.actions),
            Self::Pattern(pattern) => Cow::Owned(pattern.gives()),
            Self::Program(_) => Cow::Borrowed(&Action::ALL),
        }
    }

    /// Exit codes that it expects.
    pub fn codes(&self) -> Vec<i32> {
        let of = |codes: &Option<ExitCodes>| {
            codes.iter().flat_map(|codes| codes.clean.iter().chain(&codes.drifted).copied()).collect()
        };
        match self {
            Self::Builtin(parser) => parser.drift_codes.to_vec(),
            Self::Pattern(pattern) => of(&pattern.exit_codes),
            Self::Program(program) => of(&program.exit_codes),
        }
    }

    /// What the exit code says. Reads `exit` and `argv` only.
    pub fn claim(&self, input: &Input<'_>) -> Claim {
        match self {
            Self::Builtin(parser) => (parser.claim)(input),
            Self::Pattern(pattern) => ExitCodes::claim_of_any(pattern.exit_codes.as_ref(), input.exit),
            Self::Program(program) => ExitCodes::claim_of_any(program.exit_codes.as_ref(), input.exit),
        }
    }

    /// The parser, where it is one of driftrun's own.
    pub const fn builtin(&self) -> Option<&'static Parser> {
        match self {
            Self::Builtin(parser) => Some(parser),
            Self::Pattern(_) | Self::Program(_) => None,
        }
    }
}

/// Who reads a check's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderChoice {
    /// Nobody: the exit code is all.
    ExitCode,
    /// This one.
    Known(Reader),
    /// The first of these that recognises the output; the command line names their tool.
    OneOf(Vec<&'static Parser>),
    /// The first of all that recognises the output; without one the exit code is all.
    Any,
}

impl ReaderChoice {
    /// `parser: auto` for what `argv` prints: the command line decides, else the output will.
    pub fn auto(argv: &[String]) -> Self {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        match driftrun_parsers::by_command(&argv).as_slice() {
            [] => Self::Any,
            [one] => Self::Known(Reader::Builtin(one)),
            several => Self::OneOf(several.to_vec()),
        }
    }
}

/// What to say of a parser that nobody knows; `defined` are those of the configuration.
pub fn unknown_parser<'d>(name: &str, defined: impl IntoIterator<Item = &'d String>) -> String {
    let mut known: Vec<&str> = driftrun_parsers::ALL.iter().map(|parser| parser.name).collect();
    known.extend(defined.into_iter().map(String::as_str));
    known.extend(["auto", "none"]);
    let hint = nearest(name, &known).map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
    format!("unknown parser {name:?}; {hint}known: {}", known.join(", "))
}

/// The known word that was probably meant.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to say of a tool that shows drift and that no parser reads: its exit code may be 0 either way.
pub fn no_parser(tool: &str) -> String {
    format!(
        "no parser reads {tool}; write `none` to judge it by its exit code alone, or the name of a parser if its output is in that form"
    )
}

/// Label names that driftrun, Prometheus or its alerts use themselves: a check's own labels can't be called so.
pub const RESERVED_LABELS: &[&str] = &[
    "action",
    "alertname",
    "attribute",
    "check",
    "class",
    "code",
    "instance",
    "job",
    "kind",
    "le",
    "mode",
    "name",
    "outside",
    "parser",
    "quantile",
    "reason",
    "revision",
    "rustc",
    "scope",
    "severity",
    "source",
    "state",
    "stream",
    "tool",
    "tool_version",
    "url",
    "verdict",
    "version",
];

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}`
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// What is wrong with a label's name, as a lowercase fragment.
///
/// # Errors
/// Not `[a-zA-Z_][a-zA-Z0-9_]*`, or reserved.
pub fn check_label_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "label name {name:?}: only letters, digits and _ can stand in it, and no digit first"
        ));
    }
    if RESERVED_LABELS.contains(&name) || name.starts_with("__") {
        return Err(format!("label name {name:?} is used by driftrun or Prometheus itself; choose another"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("terradiff-prod") && is_name("0.a_b"));
        assert!(
            !is_name("") && !is_name("-a") && !is_name("a b") && !is_name("é") && !is_name(&"x".repeat(129))
        );
    }

    #[test]
    fn labels_cannot_take_names_that_mean_something_else() {
        assert_eq!(check_label_name("layer"), Ok(()));
        assert!(check_label_name("check").unwrap_err().contains("itself"));
        assert!(
            check_label_name("__name__").is_err()
                && check_label_name("a-b").is_err()
                && check_label_name("1a").is_err()
        );
    }
}
