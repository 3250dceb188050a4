//! What the tools around Kubernetes have in common: how objects and fields are written, and when a silence may be believed.
//!
//! Knows no tool's format.

use crate::Claim;
use crate::error::ParseError;
use crate::input::Input;
use crate::kubectl::attributes::is_plain;
use crate::kubectl::stderr::Notes;
use std::fmt::Write as _;

/// `Kind.group`; the core group has no name.
pub(crate) fn kind(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { [kind, ".", group].concat() }
}

/// The group in an `apiVersion`, or in what a tool prints in its place: `apps/v1`, `apps`, `v1`.
pub(crate) fn group(api: &str) -> &str {
    match api.rsplit_once('/') {
        Some((group, _)) => group,
        None if is_version(api) => "",
        None => api,
    }
}

/// `v1`, `v1beta2`.
fn is_version(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('v') else { return false };
    match ["alpha", "beta"].iter().find_map(|stage| rest.split_once(stage)) {
        Some((major, minor)) => digits(major) && digits(minor),
        None => digits(rest),
    }
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

/// A path whose keys some tool joined by dots without quotes, `.metadata.labels.example.com/tier`, in driftrun's notation. What
/// stands below labels, annotations and the data of a `ConfigMap` or `Secret` is a single key whatever it holds.
pub(crate) fn dotted(kind: &str, path: &str) -> String {
    const MAPS: [&str; 4] =
        [".metadata.labels.", ".metadata.annotations.", ".matchLabels.", ".nodeSelector."];
    const DATA: [&str; 3] = [".data.", ".stringData.", ".binaryData."];
    let inside = |map: &&str| path.find(*map).and_then(|at| at.checked_add(map.len()));
    let data = DATA.iter().find(|map| path.starts_with(**map) && matches!(kind, "ConfigMap" | "Secret"));
    let split = data.map(|map| map.len()).or_else(|| MAPS.iter().filter_map(inside).min());
    let (parents, key) = match split.and_then(|at| path.split_at_checked(at)) {
        Some((parents, key)) => (parents, Some(key)),
        None => (path, None),
    };
    let mut out = String::new();
    for part in parents.split('.').filter(|part| !part.is_empty()) {
        let index = part.find('[').filter(|_| part.ends_with(']'));
        let (name, index) = index.and_then(|at| part.split_at_checked(at)).unwrap_or((part, ""));
        push_key(&mut out, name);
        out.push_str(index);
    }
    if let Some(key) = key {
        push_key(&mut out, key);
    }
    out
}

/// The exit codes of `diff`, which its users pass on: 1 is a difference, more is trouble.
pub(crate) fn claim(input: &Input<'_>) -> Claim {
    match input.exit {
        Some(0) => Claim::Clean,
        Some(1) => Claim::Drifted,
        None => Claim::Silent,
        Some(_) => Claim::Failed,
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

/// What speaks against "nothing differs" where objects are named, should none of them count: one of several programs may not have come to its end.
pub(crate) fn doubt(input: &Input<'_>, notes: &Notes, runs: bool) -> Option<ParseError> {
    let own = "let the command's own exit code through";
    if let Some(words) = &notes.shell {
        return Some(ParseError::contradiction(format!("standard error says: {words}")).hint(own));
    }
    (input.exit == Some(0) && !runs && is_piped(input.argv)).then(|| {
        ParseError::format("the exit code is that of the program behind a pipe")
            .hint("write `set -o pipefail` before it (bash), or leave the pipe out")
    })
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
    fn groups_are_told_from_versions() {
        let of = ["v1", "apps/v1", "apps", "v1beta1", "cert-manager.io/v1", "v1alpha", "vault"].map(group);
        assert_eq!(of, ["", "apps", "apps", "", "cert-manager.io", "v1alpha", "vault"]);
        assert_eq!([kind("Secret", ""), kind("Deployment", "apps")], ["Secret", "Deployment.apps"]);
    }

    #[test]
    fn names_of_kubernetes_hold_what_they_may_hold() {
        let hold = |is: fn(&str) -> bool| ["Pod", "a-b", "a_b", "a.b1", "a b", ""].map(is);
        assert_eq!(hold(is_kind), [true, true, true, false, false, false]);
        assert_eq!(hold(is_namespace), [false, true, false, false, false, true]);
        assert_eq!(hold(is_group), [false, true, false, true, false, true]);
    }

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
