//! The command lines that print what `kubectl diff` prints, and those whose exit code isn't kubectl's.

use crate::input::arguments_of;

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

pub(super) fn runs(argv: &[&str]) -> bool {
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
pub(super) fn reads_stdin(argv: &[&str]) -> bool {
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

/// Where a shell's line has pipes around `… diff` that nothing watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pipes {
    /// Something is piped into it: when that fails, there is nothing to compare, and no code tells.
    pub before: bool,
    /// It is piped into something, so that the exit code is that something's.
    pub behind: bool,
}

/// The pipes of a shell's line. Whatever kubectl is called there: `$KUBECTL diff`, `k diff`.
pub(super) fn pipes(argv: &[&str]) -> Pipes {
    let mut found = Pipes::default();
    if runs(argv) || argv.iter().any(|arg| arg.contains("pipefail")) {
        return found;
    }
    for line in argv {
        let (mut rest, mut piped, mut named, mut any) = (line.as_bytes(), false, false, false);
        while !rest.is_empty() {
            let (command, after) = rest.split_at_checked(command_end(rest)).unwrap_or((rest, b""));
            let behind = after.starts_with(b"|") && !after.starts_with(b"||");
            let operator = if after.starts_with(b"||") || after.starts_with(b"&&") { 2 } else { 1 };
            rest = after.get(operator..).unwrap_or_default();
            if command.iter().all(|b| b.is_ascii_whitespace() || matches!(b, b'\\' | b'&')) {
                // `|&`, and a pipe at the end of a line.
                continue;
            }
            any |= behind;
            if is_diff(command) {
                named = true;
                found.before |= piped;
                found.behind |= behind;
            }
            piped = behind;
        }
        // A script or a variable that kubectl stands in.
        found.behind |= any && !named;
    }
    found
}

/// Whether `diff` is a word of a command, and neither the command nor git's.
fn is_diff(command: &[u8]) -> bool {
    let text = String::from_utf8_lossy(command);
    let mut words = text.split_ascii_whitespace().map(|word| {
        let word = word.trim_matches(['"', '\'', '(', ')', '{', '}', '`']);
        word.rsplit('/').next().unwrap_or(word)
    });
    let first = words.next();
    first != Some("git") && words.take_while(|word| *word != "git").any(|word| word == "diff")
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_pipes_of_a_shell_s_line_are_seen() {
        for (line, before, behind) in [
            ("kubectl diff -f x", false, false),
            ("kubectl diff -f x 2>&1 | tee log", false, true),
            ("kubectl diff -f x |& tee log", false, true),
            ("kubectl diff -f x &>log || true", false, false),
            ("kustomize build |\n kubectl diff -f -", true, false),
            ("kustomize build | \\\n kubectl diff -f - | tee log", true, true),
            ("cat x | sort & kubectl diff -f x", false, false),
            ("cat x | sort; kubectl diff -f x", false, false),
            ("cat x | sort && kubectl diff -f x", false, false),
            ("cat x | sort || kubectl diff -f x", false, false),
            ("git diff x | kubectl diff -f -", true, false),
            ("$DIFF x | tee log", false, true),
            ("set -o pipefail; kubectl diff -f x | tee log", false, false),
        ] {
            assert_eq!(pipes(&["sh", "-c", line]), Pipes { before, behind }, "{line}");
        }
    }
}
