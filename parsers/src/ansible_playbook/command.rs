//! The command lines of `ansible-playbook` and `ansible`, as far as they matter.

use crate::input::arguments_of;

/// Options that take the next argument, when it isn't joined by `=`. From `ansible-playbook --help` of 2.4 to 2.20.
const VALUED: &[&str] = &[
    "--become-method",
    "--become-pass-file",
    "--become-password-file",
    "--become-user",
    "--conn-pass-file",
    "--connection",
    "--connection-password-file",
    "--extra-vars",
    "--forks",
    "--inventory",
    "--inventory-file",
    "--key-file",
    "--limit",
    "--module-path",
    "--private-key",
    "--scp-extra-args",
    "--sftp-extra-args",
    "--skip-tags",
    "--ssh-common-args",
    "--ssh-extra-args",
    "--start-at-task",
    "--su-user",
    "--sudo-user",
    "--tags",
    "--timeout",
    "--user",
    "--vault-id",
    "--vault-pass-file",
    "--vault-password-file",
];

/// The same as single letters: in `-iC`, the `C` is an inventory.
const VALUED_LETTERS: &str = "MTUcefiltuR";

/// What the command line says, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) check: bool,
    /// `--syntax-check`, `--list-hosts` and the like: nothing is run.
    pub(super) lists: bool,
    /// What stands in it without an option: playbooks, or the pattern of `ansible`.
    pub(super) playbooks: usize,
    /// `ansible -m`.
    pub(super) module: Option<String>,
}

pub(super) fn command_line(argv: &[&str]) -> Option<CommandLine> {
    Some(options(arguments_of(argv, &["ansible-playbook"])?, &[], ""))
}

/// Whether it is `ansible-playbook` at work: neither in check mode nor asked for a list.
pub(crate) fn changes(argv: &[&str]) -> bool {
    command_line(argv).is_some_and(|line| !line.check && !line.lists && line.playbooks > 0)
}

/// What the command line of `ansible`, which runs one module, says: whether it only checks, and the module.
pub(crate) fn ad_hoc(argv: &[&str]) -> Option<(bool, String)> {
    const MORE: [&str; 7] =
        ["--args", "--background", "--module-name", "--playbook-dir", "--poll", "--task-timeout", "--tree"];
    let line = options(arguments_of(argv, &["ansible"])?, &MORE, "aBmP");
    (!line.lists).then(|| (line.check, line.module.unwrap_or_else(|| "command".to_owned())))
}

fn options(arguments: &[&str], more: &[&str], letters_more: &str) -> CommandLine {
    let valued = |c: char| VALUED_LETTERS.contains(c) || letters_more.contains(c);
    let mut rest = arguments.iter();
    let mut line = CommandLine::default();
    while let Some(&arg) = rest.next() {
        if arg == "--" {
            line.playbooks = line.playbooks.saturating_add(rest.len());
            break;
        } else if arg.starts_with("--") {
            // argparse takes any unambiguous beginning: `--che` is `--check`.
            line.check |= arg.starts_with("--ch") && "--check".starts_with(arg);
            line.lists |= arg.starts_with("--list-")
                || arg.starts_with("--sy") && "--syntax-check".starts_with(arg)
                || matches!(arg, "--version" | "--help");
            let (option, mut value) =
                arg.split_once('=').map_or((arg, None), |(option, value)| (option, Some(value)));
            // `--become` is a flag and the beginning of three others.
            if value.is_none()
                && arg != "--become"
                && VALUED.iter().chain(more).any(|option| option.starts_with(arg))
            {
                value = rest.next().copied();
            }
            if !more.is_empty() && option.starts_with("--mod") && "--module-name".starts_with(option) {
                line.module = value.map(str::to_owned);
            }
        } else if let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let flags = letters.find(valued);
            line.check |= letters.chars().take(flags.unwrap_or(letters.len())).any(|c| c == 'C');
            let (_, value) = letters.split_at_checked(flags.unwrap_or(letters.len())).unwrap_or_default();
            let mut value = value.chars();
            let option = value.next();
            let mut value = Some(value.as_str()).filter(|value| !value.is_empty());
            if option.is_some() && value.is_none() {
                value = rest.next().copied();
            }
            if option == Some('m') {
                line.module = value.map(str::to_owned);
            }
        } else {
            line.playbooks = line.playbooks.saturating_add(1);
        }
    }
    line
}
