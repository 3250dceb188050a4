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

/// Programs that run the command given to them, each with the letters of its options that take a value: what stands behind them decides
/// the format.
const WRAPPERS: &[(&str, &str)] = &[
    ("chpst", "uUbemdofcrtn"),
    ("doas", "uC"),
    ("env", "uCS"),
    ("ionice", "cnpPu"),
    ("nice", "n"),
    ("nohup", ""),
    ("setpriv", ""),
    ("stdbuf", "ioe"),
    ("sudo", "ugpCDRhTU"),
    ("timeout", "sk"),
];

/// Options of theirs in words, which take a value that stands apart.
const VALUES: &[&str] = &[
    "--adjustment",
    "--ambient-caps",
    "--bounding-set",
    "--chdir",
    "--class",
    "--classdata",
    "--error",
    "--group",
    "--groups",
    "--host",
    "--inh-caps",
    "--input",
    "--kill-after",
    "--output",
    "--prompt",
    "--regid",
    "--reuid",
    "--signal",
    "--unset",
    "--user",
];

/// Programs with words of their own before the command: the subcommand that runs one, how many words of its own follow it, and its options that
/// take a value. Of those with `usize::MAX` only what stands behind `--` is the command.
const RUNNERS: &[(&str, &[&str], usize, &[&str])] = &[
    (
        "aws-vault",
        &["exec"],
        1,
        &["--backend", "--duration", "--mfa-token", "--prompt", "--region", "-d", "-t"],
    ),
    ("chamber", &["exec"], usize::MAX, &[]),
    ("direnv", &["exec"], 1, &[]),
    ("doppler", &["run"], usize::MAX, &[]),
    ("mise", &["exec", "x"], usize::MAX, &[]),
    ("op", &["run"], usize::MAX, &[]),
    ("pipx", &["run"], 0, &["--fetch-python", "--index-url", "--pip-args", "--python", "--spec", "-i"]),
    ("poetry", &["run"], 0, &["--directory", "--project", "-C", "-P"]),
    ("uv", &["run"], 0, UV),
    ("uvx", &[], 0, UV),
];

const UV: &[&str] = &[
    "--directory",
    "--env-file",
    "--extra",
    "--extra-index-url",
    "--from",
    "--group",
    "--index",
    "--index-url",
    "--package",
    "--project",
    "--python",
    "--with",
    "--with-editable",
    "--with-requirements",
    "-p",
    "-w",
];

/// The command that a runner runs.
fn run_by<'a>(runner: &str, mut rest: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let (_, subcommands, own, valued) = RUNNERS.iter().find(|(name, ..)| *name == runner)?;
    if let Some(at) = rest.iter().position(|arg| *arg == "--") {
        return rest.get(at.checked_add(1)?..);
    }
    let mut wanted = usize::from(!subcommands.is_empty()).checked_add(*own)?;
    loop {
        let (arg, behind) = rest.split_first()?;
        rest = match arg.starts_with('-') {
            true if valued.contains(arg) => behind.get(1..)?,
            true => behind,
            false if wanted == 0 => return Some(rest),
            false => {
                wanted = wanted.saturating_sub(1);
                behind
            }
        };
    }
}

/// The arguments of the first of `programs` that `argv` runs, directly or behind a wrapper such as `timeout 60` or `env A=b`.
///
/// A shell command line (`sh -c "…"`) is opaque: `None`. A user, a path or a script's argument of that name is no program.
pub fn arguments_of<'a>(argv: &'a [&'a str], programs: &[&str]) -> Option<&'a [&'a str]> {
    let base = |arg: &'a str| arg.rsplit('/').next().unwrap_or(arg);
    let (first, mut rest) = argv.split_first()?;
    let first = base(first);
    if programs.contains(&first) {
        return Some(rest);
    }
    if RUNNERS.iter().any(|(runner, ..)| *runner == first) {
        return arguments_of(run_by(first, rest)?, programs);
    }
    let (_, valued) = WRAPPERS.iter().find(|(name, _)| *name == first)?;
    let mut time = first == "timeout";
    loop {
        let (arg, behind) = rest.split_first()?;
        if *arg == "--" {
            return arguments_of(behind, programs);
        }
        let takes_value = VALUES.contains(arg)
            || (!arg.starts_with("--") && arg.chars().last().is_some_and(|last| valued.contains(last)));
        rest = match arg.strip_prefix('-') {
            Some(_) if takes_value => behind.get(1..)?,
            Some(_) => behind,
            _ if arg.contains('=') => behind,
            _ if std::mem::take(&mut time) => behind,
            _ => return arguments_of(rest, programs),
        };
    }
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
        let plan = Some(vec!["plan".to_owned()]);
        for argv in [
            &["sudo", "-E", "-u", "ci", "terraform", "plan"][..],
            &["sudo", "-nu", "ci", "--", "env", "-i", "A=/x/tofu", "nice", "-n", "10", "tofu", "plan"],
            &["env", "-", "A=b", "terraform", "plan"],
            &["timeout", "-s", "KILL", "--kill-after", "9", "60", "terraform", "plan"],
            &["aws-vault", "exec", "prod", "--", "terraform", "plan"],
            &["uv", "run", "terraform", "plan"],
            &["uv", "run", "--with", "ansible", "terraform", "plan"],
            &["uvx", "--from=x", "terraform", "plan"],
            &["aws-vault", "exec", "--duration", "1h", "terraform", "terraform", "plan"],
            &["direnv", "exec", "infra/terraform", "tofu", "plan"],
        ] {
            assert_eq!(find(argv), plan, "{argv:?}");
        }
        for argv in [
            &["sudo", "-u", "terraform", "./check.sh", "plan"][..],
            &["env", "TF_CLI_CONFIG_FILE=/etc/terraform", "./check.sh"],
            &["sudo", "check.sh", "terraform", "plan"],
            &["timeout", "60", "sh", "-c", "terraform plan"],
            &["doppler", "run", "--", "./check.sh", "terraform"],
            &["doppler", "run", "terraform", "plan"],
            &["aws-vault", "exec", "terraform", "./plan.sh"],
            &["direnv", "exec", "terraform", "./plan.sh"],
            &["uv", "run", "--with", "terraform", "./plan.sh", "terraform", "plan"],
            &["timeout", "terraform"],
        ] {
            assert_eq!(find(argv), None, "{argv:?}");
        }
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
