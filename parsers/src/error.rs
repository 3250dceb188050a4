//! Why a run gave no report: two kinds of answers, both with a class that becomes a metric label.

use crate::text::strip_ansi;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The one class of a run that is neither clean nor drifted; label `class` of `driftrun_check_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Ran past its deadline.
    Timeout,
    /// Wrote more than `max_output`.
    OutputLimit,
    /// Could not be started.
    Spawn,
    /// Ended by a signal.
    Signal,
    /// Exit code that means failure, nothing more exact known.
    Exit,
    /// A `setup` command failed.
    Setup,
    /// Output in no form that the parser knows.
    UnreadableFormat,
    /// Output that ends before its end.
    UnreadableCut,
    /// Witnesses (exit code, output, summary) that disagree.
    UnreadableContradiction,
    /// Nothing was looked at: no hosts matched.
    NoScopes,
    /// The state is locked by somebody else.
    StateLock,
    /// The working directory wants `init`.
    NeedsInit,
    /// Credentials missing, wrong or expired.
    Auth,
    /// Credentials good, permission denied.
    Forbidden,
    /// A provider or plugin failed.
    Provider,
    /// Nothing could be reached.
    Unreachable,
    /// Some scopes failed, others were read.
    ScopeFailed,
    /// Anything else.
    Other,
}

impl Class {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Timeout,
        Self::OutputLimit,
        Self::Spawn,
        Self::Signal,
        Self::Exit,
        Self::Setup,
        Self::UnreadableFormat,
        Self::UnreadableCut,
        Self::UnreadableContradiction,
        Self::NoScopes,
        Self::StateLock,
        Self::NeedsInit,
        Self::Auth,
        Self::Forbidden,
        Self::Provider,
        Self::Unreachable,
        Self::ScopeFailed,
        Self::Other,
    ];

    /// What it means, for the documentation.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Timeout => "it ran past its deadline and was ended",
            Self::OutputLimit => "it wrote more than `max_output`",
            Self::Spawn => {
                "it could not be started: not found, not executable, no working folder, no `env_file`"
            }
            Self::Signal => "somebody else ended it by a signal",
            Self::Exit => "its exit code means failure, and nothing more exact is known",
            Self::Setup => "a `setup` command failed",
            Self::UnreadableFormat => "the output is in no form that the parser knows",
            Self::UnreadableCut => "the output ends before its end",
            Self::UnreadableContradiction => "exit code, output, summary don't agree",
            Self::NoScopes => "nothing was looked at: no hosts matched, every task was skipped",
            Self::StateLock => "the state is locked by somebody else",
            Self::NeedsInit => "the working folder wants `init`",
            Self::Auth => "credentials are missing, wrong or expired",
            Self::Forbidden => "the credentials are good and may not do this",
            Self::Provider => "a provider or plugin failed",
            Self::Unreachable => "a server or host could not be reached",
            Self::ScopeFailed => "some hosts or units failed, others were read",
            Self::Other => "anything else",
        }
    }

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::OutputLimit => "output_limit",
            Self::Spawn => "spawn",
            Self::Signal => "signal",
            Self::Exit => "exit",
            Self::Setup => "setup",
            Self::UnreadableFormat => "unreadable_format",
            Self::UnreadableCut => "unreadable_cut",
            Self::UnreadableContradiction => "unreadable_contradiction",
            Self::NoScopes => "no_scopes",
            Self::StateLock => "state_lock",
            Self::NeedsInit => "needs_init",
            Self::Auth => "auth",
            Self::Forbidden => "forbidden",
            Self::Provider => "provider",
            Self::Unreachable => "unreachable",
            Self::ScopeFailed => "scope_failed",
            Self::Other => "other",
        }
    }
}

/// The tool itself says that it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub class: Class,
    /// One line for a person: the tool's own words where it has any, never an attribute's value.
    pub summary: String,
}

impl Failure {
    /// A failure of `class` with the tool's words.
    pub fn new(class: Class, summary: impl Into<String>) -> Self {
        Self { class, summary: summary.into() }
    }
}

/// Why output could not be read. Displayed as `line 12: expected …; found …; hint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// One of `UnreadableFormat`, `UnreadableCut`, `UnreadableContradiction`, `NoScopes`.
    pub class: Class,
    /// What is wrong, as a lowercase fragment. Quotes at most 80 characters of output, through [`quote`].
    pub message: String,
    /// Line of the raw standard output, from 1.
    pub line: Option<u32>,
    /// The beginning of that line, without any value; set by [`crate::read`].
    pub found: Option<String>,
    /// What to do instead, where that is known.
    pub hint: Option<String>,
}

impl ParseError {
    /// Output in a form that the parser doesn't know.
    pub fn format(message: impl Into<String>) -> Self {
        Self::new(Class::UnreadableFormat, message)
    }

    /// Output that stops before its end.
    pub fn cut(message: impl Into<String>) -> Self {
        Self::new(Class::UnreadableCut, message)
    }

    /// Two witnesses that disagree.
    pub fn contradiction(message: impl Into<String>) -> Self {
        Self::new(Class::UnreadableContradiction, message)
    }

    /// Complete output in which nothing was looked at.
    pub fn no_scopes(message: impl Into<String>) -> Self {
        Self::new(Class::NoScopes, message)
    }

    fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), line: None, found: None, hint: None }
    }

    /// The same error at a line of the raw standard output, from 1.
    #[must_use]
    pub fn at(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// The same error with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {}

/// What stands before the value in a line that may hold one, quoted, control characters escaped: `"  + password = …"`. `None` where
/// nothing tells a value's beginning, or the line says too little.
pub fn quote_key(line: &[u8]) -> Option<String> {
    let line = strip_ansi(line);
    let signs = [(&b" = "[..], 2), (b": ", 1), (b" => ", 3), (b"=\"", 1)];
    let end = signs
        .into_iter()
        .filter_map(|(sign, kept): (_, usize)| Some(memmem::find(&line, sign)?.saturating_add(kept)));
    let key = line.get(..end.min()?)?;
    // A quote before it begins a value, or a key that is one.
    let plain = key.len() <= 80 && key.iter().any(u8::is_ascii_alphabetic) && !key.contains(&b'"');
    plain.then(|| {
        let quoted = quote(key);
        format!("{} …\"", quoted.strip_suffix('"').unwrap_or(&quoted))
    })
}

/// At most 80 characters of a line of output, quoted, control characters escaped.
///
/// Only for lines whose words belong to the format (headers, recaps): a line that can hold an attribute's value is never quoted.
pub fn quote(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(84);
    out.push('"');
    for (n, c) in text.chars().enumerate() {
        if n >= 80 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_class_is_its_json_form() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("{:?}", class.as_str()));
        }
    }

    #[test]
    fn an_error_says_where_what_and_what_to_do() {
        let error = ParseError::format("expected a task banner").at(12).hint("use another callback");
        assert_eq!(error.to_string(), "line 12: expected a task banner; use another callback");
    }

    #[test]
    fn a_line_is_quoted_up_to_its_value() {
        let of = |line: &str| quote_key(line.as_bytes());
        assert_eq!(of("      + password = \"hunter2\"").as_deref(), Some("\"      + password = …\""));
        assert_eq!(of("\x1b[31mtoken: abc = d\x1b[0m").as_deref(), Some("\"token: …\""));
        assert_eq!(of("a=\"b\"").as_deref(), Some("\"a= …\""));
        for line in ["hunter2", "", " = x", "\"hunter2\" = 1", "hunter2=", &format!("{} = x", "a".repeat(90))]
        {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn quotes_are_short_and_printable() {
        assert_eq!(quote(b"a\x1b[0m"), "\"a\\u{1b}[0m\"");
        assert_eq!(quote(&[b'x'; 200]).chars().count(), 83);
    }
}
