//! What a parser is given: one finished run, as plain data.
//!
//! Knows what an argument vector and a captured stream are. Knows nothing of processes, files on disk or time: whoever ran
//! the command hands its facts in.

/// One finished run of a command.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The command line, program first; empty when it isn't known (`driftrun parse` on a file).
    pub argv: &'a [&'a str],
    /// The exit code; `None` when it isn't known.
    pub exit: Option<i32>,
    /// What it wrote to standard output. Parsers read this.
    pub stdout: Stream<'a>,
    /// What it wrote to standard error. Parsers take failures and diagnostics from it, never resources.
    pub stderr: Stream<'a>,
    /// Files that the command left behind, for tools that write their report to one.
    pub files: &'a [File<'a>],
}

/// One captured stream, possibly cut.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    bytes: &'a [u8],
    total: u64,
}

/// One file that the command wrote.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Path relative to the command's working directory.
    pub path: &'a str,
    /// The whole content.
    pub bytes: &'a [u8],
}

impl<'a> Stream<'a> {
    /// A stream that was captured from its first byte to its last.
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, total: bytes.len() as u64 }
    }

    /// A stream of which `bytes` were kept out of `total` bytes written.
    pub const fn kept(bytes: &'a [u8], total: u64) -> Self {
        Self { bytes, total }
    }

    /// The bytes that were kept.
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes the command wrote.
    pub const fn total(self) -> u64 {
        self.total
    }

    /// Whether something is missing. A cut stream is never read as a report.
    pub const fn is_cut(self) -> bool {
        (self.bytes.len() as u64) < self.total
    }
}

/// Programs that run the command given to them: what stands behind them decides the format.
const WRAPPERS: &[&str] = &[
    "aws-vault",
    "chamber",
    "chpst",
    "direnv",
    "doas",
    "doppler",
    "env",
    "ionice",
    "mise",
    "nice",
    "nohup",
    "op",
    "pipx",
    "poetry",
    "setpriv",
    "stdbuf",
    "sudo",
    "timeout",
    "uv",
    "uvx",
];

/// The arguments of the first of `programs` that `argv` runs, directly or behind a wrapper such as `timeout 60` or `env A=b`.
///
/// A shell command line (`sh -c "…"`) is opaque: `None`.
pub fn arguments_of<'a>(argv: &'a [&'a str], programs: &[&str]) -> Option<&'a [&'a str]> {
    let base = |arg: &'a str| arg.rsplit('/').next().unwrap_or(arg);
    let first = base(argv.first()?);
    let at = if programs.contains(&first) {
        0
    } else if WRAPPERS.contains(&first) {
        argv.iter().position(|arg| programs.contains(&base(arg)))?
    } else {
        return None;
    };
    argv.get(at.checked_add(1)?..)
}

/// Whether a Go-style boolean flag is on in `args`: `-json`, `--json`, `-json=true`; the last one counts.
pub fn go_flag(args: &[&str], name: &str) -> bool {
    let mut on = false;
    for arg in args {
        let Some(rest) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else { continue };
        if rest == name {
            on = true;
        } else if let Some(value) = rest.strip_prefix(name).and_then(|tail| tail.strip_prefix('=')) {
            on = matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
        }
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_base_name_and_behind_wrappers_only() {
        let find = |argv: &[&str]| {
            arguments_of(argv, &["terraform", "tofu"])
                .map(|args| args.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(find(&["/usr/bin/terraform", "plan"]), Some(vec!["plan".to_owned()]));
        assert_eq!(find(&["timeout", "60", "tofu", "plan"]), Some(vec!["plan".to_owned()]));
        assert_eq!(find(&["env", "A=b", "sudo", "terraform"]), Some(vec![]));
        assert_eq!(find(&["echo", "terraform", "plan"]), None);
        assert_eq!(find(&["sh", "-c", "terraform plan"]), None);
        assert_eq!(find(&[]), None);
    }

    #[test]
    fn go_flags_take_one_or_two_dashes_and_a_value() {
        assert!(go_flag(&["plan", "-json"], "json"));
        assert!(go_flag(&["plan", "--json=true"], "json"));
        assert!(!go_flag(&["plan", "-json", "-json=false"], "json"));
        assert!(!go_flag(&["plan", "-jsonx", "json"], "json"));
    }

    #[test]
    fn a_stream_is_cut_when_more_was_written_than_kept() {
        assert!(!Stream::whole(b"abc").is_cut());
        assert!(Stream::kept(b"abc", 4).is_cut());
    }
}
