//! Command lines that change what they look at: a schedule would run them over and over.

use crate::ansible_playbook::{ad_hoc, changes};
use crate::input::arguments_of;

/// What a tool's subcommands are called that change something, and the option with which they don't.
const CHANGING: &[(&[&str], &[&str], &[&str])] = &[
    (&["terraform", "tofu", "terragrunt"], &["apply", "destroy", "import", "taint", "untaint"], &[]),
    (
        &["kubectl"],
        &["annotate", "apply", "create", "delete", "edit", "label", "patch", "replace", "scale"],
        &["--dry-run"],
    ),
    (&["helm"], &["install", "rollback", "uninstall", "upgrade"], &["--dry-run"]),
    (&["flux"], &["reconcile"], &[]),
    (&["puppet"], &["agent", "apply"], &["--noop"]),
    (&["salt", "salt-call"], &["state.apply", "state.highstate", "state.sls"], &["test="]),
];

/// The subcommand that makes a command line change things, if it does: `terraform apply`, a playbook without `--check`.
pub fn changing<S: AsRef<str>>(argv: &[S]) -> Option<String> {
    let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    if changes(&argv) {
        return Some("ansible-playbook without --check".to_owned());
    }
    if let Some((false, module)) = ad_hoc(&argv) {
        // Modules that only ask.
        let asks = ["debug", "ping", "setup", "stat"];
        let name = module.rsplit('.').next().unwrap_or_default();
        return (!asks.contains(&name)).then(|| format!("ansible -m {module} without --check"));
    }
    CHANGING.iter().find_map(|(tools, subcommands, harmless)| {
        let tool = tools.iter().find(|tool| arguments_of(&argv, &[tool]).is_some())?;
        let arguments = arguments_of(&argv, &[tool])?;
        // The first of them decides: what follows is a name.
        let known = |argument: &&&str| {
            subcommands.contains(*argument) || **argument == "plan" || **argument == "diff"
        };
        let subcommand = arguments.iter().find(known).filter(|found| subcommands.contains(*found))?;
        let spared =
            arguments.iter().any(|argument| harmless.iter().any(|option| argument.starts_with(option)));
        (!spared).then(|| match harmless.first() {
            Some(option) => format!("{tool} {subcommand} without {option}"),
            None => format!("{tool} {subcommand}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_things_is_told_from_what_looks() {
        let of = |line: &str| changing(&line.split(' ').collect::<Vec<_>>());
        for (line, what) in [
            ("terraform -chdir=x apply -auto-approve", "terraform apply"),
            ("sudo -u ci tofu destroy", "tofu destroy"),
            ("terragrunt run --all apply", "terragrunt apply"),
            ("ansible-playbook site.yml --diff", "ansible-playbook without --check"),
            ("ansible all -m copy -a x", "ansible -m copy without --check"),
            ("kubectl --context c apply -f x", "kubectl apply without --dry-run"),
            ("helm upgrade web ./chart", "helm upgrade without --dry-run"),
            ("salt-call --local state.apply", "salt-call state.apply without test="),
            ("puppet agent --test", "puppet agent without --noop"),
        ] {
            assert_eq!(of(line).as_deref(), Some(what), "{line}");
        }
        for line in [
            "terraform plan -target=apply",
            "terraform plan apply",
            "ansible-playbook site.yml -CD",
            "ansible-playbook --list-hosts site.yml",
            "ansible all -m ping",
            "kubectl diff -f apply",
            "kubectl apply --dry-run=server -f x",
            "helm diff upgrade web ./chart",
            "salt-call --local state.apply test=True",
            "puppet agent --test --noop",
            "./apply.sh",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
