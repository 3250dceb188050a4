//! What the tools around Kubernetes have in common: how objects and fields are written, and when a silence may be believed.
//!
//! Knows no tool's format.

use crate::error::ParseError;
use crate::input::Input;
use crate::kubectl::attributes::is_plain;
use crate::kubectl::stderr::Notes;
use std::fmt::Write as _;

/// `Kind.group`; the core group has no name.
pub(crate) fn kind(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// Whether it can be a kind.
pub(crate) fn is_kind(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether it can be a namespace: a DNS label, or empty.
pub(crate) fn is_namespace(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether it can be a group: DNS labels, or empty.
pub(crate) fn is_group(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

/// Appends one key to a path: `.replicas`, `["example.com/tier"]`.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if key.is_empty() || !key.bytes().all(is_plain) {
        // Writing to a string doesn't fail.
        let _ = write!(path, "[{key:?}]");
    } else {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    }
}

/// Whether an output without a word may stand for "nothing differs": the exit code says so, and it is the tool's own.
pub(crate) fn believe_silence(input: &Input<'_>, notes: &Notes, runs: bool) -> Result<(), ParseError> {
    let own = "let the command's own exit code through";
    if let Some(error) = &notes.error {
        return Err(ParseError::contradiction(format!(
            "exit code 0, but standard error says: {}",
            error.summary
        ))
        .hint(own));
    }
    if let Some(words) = &notes.shell {
        return Err(ParseError::contradiction(format!(
            "no output and exit code 0, but standard error says: {words}"
        ))
        .hint(own));
    }
    if input.exit.is_none() {
        return Err(ParseError::format("no output, and no exit code to say that nothing differs")
            .hint("tell the exit code: --exit-code"));
    }
    if !runs && is_piped(input.argv) {
        return Err(ParseError::format("no output, and the exit code is that of the program behind a pipe")
            .hint("write `set -o pipefail` before it (bash), or leave the pipe out"));
    }
    Ok(())
}

/// Whether a shell's line has a pipe, so that its exit code may be another program's.
fn is_piped(argv: &[&str]) -> bool {
    !argv.iter().any(|arg| arg.contains("pipefail"))
        && argv.iter().any(|line| line.replace("||", "").contains('|'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Stream;

    #[test]
    fn keys_are_quoted_where_they_are_odd() {
        let mut path = String::new();
        for key in ["metadata", "labels", "a.b/c", "x"] {
            push_key(&mut path, key);
        }
        assert_eq!(path, "metadata.labels[\"a.b/c\"].x");
    }

    #[test]
    fn a_silence_is_believed_only_with_the_tool_s_own_code() {
        let believed = |argv: &[&str], exit, stderr: &str, runs| {
            let stderr = Stream::whole(stderr.as_bytes());
            let input = Input { argv, exit, stdout: Stream::whole(b""), stderr, files: &[] };
            believe_silence(&input, &Notes::read(stderr.bytes()), runs).is_ok()
        };
        assert!(believed(&[], Some(0), "Warning: x\n", false));
        assert!(believed(&["sh", "-c", "a || b"], Some(0), "", false));
        assert!(!believed(&[], None, "", true));
        assert!(!believed(&[], Some(0), "Error: x\n", true));
        assert!(!believed(&[], Some(0), "sh: 1: helm: not found\n", false));
        assert!(!believed(&["sh", "-c", "a | tee b"], Some(0), "", false));
        assert!(believed(&["bash", "-c", "set -o pipefail; a | tee b"], Some(0), "", false));
    }
}
