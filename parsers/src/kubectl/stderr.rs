//! What kubectl says on standard error: why it failed, and its warnings.
//!
//! ```text
//! W1123 01:17:59.599585   23631 diff.go:760] pruning failed and could not be evaluated err: … secrets is forbidden: …
//! Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice
//! Error from server (Forbidden): deployments.apps "web" is forbidden: User "viewer" cannot patch resource …
//! ```

use crate::error::{Class, Failure};
use crate::report::Diagnostic;
use crate::{shell, text};

/// More than this many different warnings help nobody.
const MAX_WARNINGS: usize = 20;

/// Standard error, understood.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The first line that says that the command failed.
    pub error: Option<Failure>,
    /// Pruned objects could not be looked for.
    pub pruning: Option<Failure>,
    /// Warnings and logged errors, each once.
    pub warnings: Vec<Diagnostic>,
    /// What a shell says of a program that it could not run, or that a signal ended.
    pub shell: Option<String>,
    /// The first line that is none of these: what a differ or a wrapper says.
    other: Option<String>,
}

impl Notes {
    /// Reads all of standard error.
    pub fn read(stderr: &[u8]) -> Self {
        let mut notes = Self::default();
        for line in text::lines(stderr) {
            let line = text::string(&line.plain());
            let line = line.trim();
            if let Some((level, message)) = logged(line) {
                if message.starts_with("pruning failed and could not be evaluated") {
                    notes.pruning.get_or_insert_with(|| failure(message));
                }
                match level {
                    'F' => {
                        notes.error.get_or_insert_with(|| failure(message));
                    }
                    'E' => notes.warn(Diagnostic::error(summary(message))),
                    'W' => notes.warn(Diagnostic::warning(summary(message))),
                    _ => {}
                }
            } else if let Some(message) = line.strip_prefix("Warning: ") {
                notes.warn(Diagnostic::warning(summary(message)));
            } else if is_error(line) {
                notes.error.get_or_insert_with(|| failure(line));
            } else if line.chars().any(char::is_alphanumeric) {
                if shell::is_shell_s(line) {
                    notes.shell.get_or_insert_with(|| summary(line));
                }
                notes.other.get_or_insert_with(|| summary(line));
            }
        }
        notes
    }

    fn warn(&mut self, diagnostic: Diagnostic) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&diagnostic) {
            self.warnings.push(diagnostic);
        }
    }

    /// Why a run without any output exited with `code`.
    pub fn failure(self, code: i32) -> Failure {
        self.error.unwrap_or_else(|| {
            let said = self.other.unwrap_or_else(|| "nothing on standard error".to_owned());
            Failure::new(Class::Exit, format!("exit code {code} without a diff: {said}"))
        })
    }
}

/// Level and message of a line that kubectl's logger wrote: `W1123 01:17:59.599585   23631 diff.go:760] …`.
fn logged(line: &str) -> Option<(char, &str)> {
    let level = line.chars().next().filter(|c| matches!(c, 'I' | 'W' | 'E' | 'F'))?;
    let (head, message) = line.split_once("] ")?;
    let mut words = head.split_ascii_whitespace();
    let date = words.next()?.strip_prefix(level)?;
    let time = words.next()?;
    (date.len() == 4 && date.bytes().all(|b| b.is_ascii_digit()) && time.contains(':'))
        .then_some((level, message))
}

fn is_error(line: &str) -> bool {
    const STARTS: [&str; 19] = [
        "error: ",
        "Error: ",
        "ERROR: ",
        "Error from server",
        "Error in configuration:",
        "Unable to connect to the server",
        "The connection to the server",
        "fatal: ",
        "panic: ",
        // Several at once stand without the word.
        "error parsing ",
        "error validating ",
        "error when ",
        "no matches for kind ",
        "resource mapping not found for name: ",
        "the server could not find the requested resource",
        "the server doesn't have a resource type ",
        "unable to decode ",
        "unable to read ",
        "unable to recognize ",
    ];
    STARTS.iter().any(|start| line.starts_with(start))
        || (line.starts_with("the path \"") && line.ends_with("\" does not exist"))
        || (line.starts_with("The ") && line.contains(" is invalid: "))
}

/// The failure that a line of any of Kubernetes' tools tells.
pub(crate) fn failure(line: &str) -> Failure {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let class = if has(&["(Forbidden)", " is forbidden: ", "forbidden: User ", "code = PermissionDenied"]) {
        Class::Forbidden
    } else if has(&[
        "Unauthorized",
        "must be logged in",
        "getting credentials",
        "exec plugin",
        "credential plugin",
        "code = Unauthenticated",
    ]) {
        Class::Auth
    } else if has(&[
        "connection refused",
        "was refused",
        "no such host",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "handshake timeout",
        "deadline exceeded",
        "Client.Timeout",
        "(ServiceUnavailable)",
        "Unable to connect to the server",
        "Kubernetes cluster unreachable",
        "code = Unavailable",
        "code = DeadlineExceeded",
    ]) {
        Class::Unreachable
    } else {
        Class::Exit
    };
    Failure::new(class, summary(line))
}

/// The words of `line` up to anything that may be an attribute's value, 200 characters at most.
pub(crate) fn summary(line: &str) -> String {
    // `Invalid value: "x"`, `… in '{"data":…}'`, "cannot unmarshal !!str `x` into int", a webhook's own text.
    const BEFORE: [&str; 7] = [
        " value: ",
        "'{",
        "{\"",
        "`",
        " denied the request: ",
        " denied request: ",
        " cannot be handled as ",
    ];
    // What is wrong with an object is told in words that quote it.
    const BEHIND: &str = " is invalid: ";
    let invalid = line.find(BEHIND).and_then(|at| at.checked_add(BEHIND.len().saturating_sub(2)));
    let bad = line.strip_prefix("Error from server (BadRequest): ").and_then(|rest| {
        let end = [" in version ", ": "].iter().filter_map(|mark| rest.find(mark)).min()?;
        line.len().checked_sub(rest.len())?.checked_add(end)
    });
    let end = BEFORE.iter().filter_map(|mark| line.find(mark)).chain(invalid).chain(bad).min();
    let kept = end.and_then(|end| line.split_at_checked(end)).map_or(line, |(kept, _)| kept);
    let mut text: String = kept.trim_end().chars().filter(|c| !c.is_control()).take(200).collect();
    if kept.len() < line.len() || kept.chars().count() > 200 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stderr: &str) -> (Class, String) {
        let failure = Notes::read(stderr.as_bytes()).error.unwrap();
        (failure.class, failure.summary)
    }

    #[test]
    fn an_error_has_a_class() {
        let class = |line: &str| error(line).0;
        assert_eq!(
            class("Error from server (Forbidden): deployments.apps \"web\" is forbidden: User \"x\""),
            Class::Forbidden
        );
        assert_eq!(class("Error from server (NotFound): namespaces \"forbidden\" not found"), Class::Exit);
        assert!(is_error("the path \"x\" does not exist") && !is_error("the path \"x\" is odd"));
        assert!(!is_error("x \"y\" does not exist"));
        assert!(is_error("The Service \"x\" is invalid: spec") && !is_error("The Service \"x\" is odd"));
        assert!(!is_error("it is invalid: spec"));
        let log = "W1123 01:17:59.599585   23631 diff.go:760] m";
        assert_eq!(logged(log), Some(('W', "m")));
        for odd in ["1123", "W112", "W112x"] {
            assert_eq!(logged(&log.replace("W1123", odd)), None, "{odd}");
        }
        assert_eq!(logged(&log.replace(':', ".")), None);
        assert_eq!(class("error: You must be logged in to the server (Unauthorized)"), Class::Auth);
        assert_eq!(
            class("Unable to connect to the server: getting credentials: exec: executable x not found"),
            Class::Auth
        );
        assert_eq!(class("Unable to connect to the server: net/http: request canceled"), Class::Unreachable);
        assert_eq!(
            class("The connection to the server 127.0.0.1:1 was refused - did you"),
            Class::Unreachable
        );
        assert_eq!(
            class(
                "E1123 00:55:36.476713   12614 memcache.go:265] x\nerror: Get \"http://l\": dial tcp: connect: connection refused"
            ),
            Class::Unreachable
        );
        assert_eq!(class("F1123 00:55:36.476713   12614 main.go:1] gone"), Class::Exit);
    }

    #[test]
    fn errors_that_don_t_say_so_are_errors() {
        for line in [
            "Error in configuration:",
            "the path \"nope1\" does not exist",
            "unable to recognize \"x.yaml\": no matches for kind \"X\" in version \"x.io/v1\"",
        ] {
            assert_eq!(error(&format!("# Warning: x\n{line}\n")), (Class::Exit, line.trim().to_owned()));
        }
    }

    #[test]
    fn values_don_t_get_into_a_summary() {
        for (line, kept) in [
            (
                "The Secret \"db\" is invalid: data: Invalid value: {\"a\":\"hunter2\"}: too long",
                "The Secret \"db\" is invalid…",
            ),
            (
                "error: unable to decode \"s.yaml\": Object 'Kind' is missing in '{\"data\":{\"p\":\"hunter2\"}}'",
                "error: unable to decode \"s.yaml\": Object 'Kind' is missing in…",
            ),
            (
                "error: error parsing s.yaml: yaml: cannot unmarshal !!str `hunter2` into int",
                "error: error parsing s.yaml: yaml: cannot unmarshal !!str…",
            ),
            (
                "Error from server (BadRequest): Secret in version \"v1\" cannot be handled as a Secret: v1.Secret.Data: error found in #10 byte of ...|:\"hunter2\"},\"kind\"|...",
                "Error from server (BadRequest): Secret…",
            ),
            (
                "Error from server (BadRequest): error when replacing \"s.yaml\": p is hunter2",
                "Error from server (BadRequest): error when replacing \"s.yaml\"…",
            ),
            (
                "The deployments \"web\" is invalid: : ValidatingAdmissionPolicy 'p' with binding 'b' denied request: PASSWORD is hunter2",
                "The deployments \"web\" is invalid…",
            ),
            (
                "Error from server: admission webhook \"x\" denied the request: p is hunter2",
                "Error from server: admission webhook \"x\"…",
            ),
        ] {
            assert_eq!(error(line).1, kept);
        }
        assert_eq!(error(&format!("error: {}", "x".repeat(300))).1.chars().count(), 201);
    }

    #[test]
    fn warnings_are_told_once_and_not_without_end() {
        let notes = Notes::read(
            b"Warning: a\nW1123 01:17:59.599585   23631 prune.go:71] b\nWarning: a\nE1123 01:17:59.599585 1 x.go:1] c\nI1123 01:17:59.599585 1 x.go:1] d\n",
        );
        assert_eq!(
            notes.warnings,
            [Diagnostic::warning("a"), Diagnostic::warning("b"), Diagnostic::error("c")]
        );
        assert!(notes.error.is_none() && notes.pruning.is_none());
        let many: Vec<String> = (0..50).map(|n| format!("Warning: {n}")).collect();
        assert_eq!(Notes::read(many.join("\n").as_bytes()).warnings.len(), MAX_WARNINGS);
    }
}
