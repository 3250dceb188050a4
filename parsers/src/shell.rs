//! What a shell says of a program that it could not run, or that a signal ended.
//!
//! ```text
//! ./all.sh: line 3: terraform: command not found
//! sh: 1: terraform: not found
//! timeout: failed to run command 'terraform': No such file or directory
//! ./all.sh: line 7:  4711 Killed                  terraform -chdir=b plan
//! ```
//!
//! Knows these words alone, in English. A shell that is told to say nothing isn't seen.

const ENDS: [&str; 4] =
    [": not found", ": command not found", ": No such file or directory", ": Permission denied"];

const ENDINGS: [&str; 4] = ["Killed", "Terminated", "Segmentation fault", "Aborted"];

/// Whether a line, without colours and blanks around it, is a shell's.
pub(crate) fn is_shell_s(line: &str) -> bool {
    ENDS.iter().any(|end| line.ends_with(end)) || ENDINGS.iter().any(|word| ended(line, word))
}

/// `./x.sh: line 7:  4711 Killed    kubectl diff`; by itself where the shell is not a script's.
fn ended(line: &str, word: &str) -> bool {
    line == word || line.contains(": line ") && line.contains(&format!(" {word} "))
}

/// Whether it says that one of `programs` could not be run or was ended. What was killed or crashed is taken for one of them whatever
/// its name: it may be a script that runs one. Scripts end their helpers themselves, and files may be missing.
pub(crate) fn lost(line: &str, programs: &[&str]) -> bool {
    let is = |word: &str| {
        let word = word.trim_matches(|c| matches!(c, '\'' | '"' | '`' | '\u{2018}' | '\u{2019}'));
        word.rsplit('/').next().is_some_and(|name| programs.contains(&name))
    };
    let not_run = || {
        let name =
            ENDS.iter().find_map(|end| line.strip_suffix(end)).and_then(|line| line.rsplit(' ').next());
        // zsh has it the other way round.
        let name = name.or_else(|| line.split_once("command not found: ").map(|(_, name)| name));
        name.is_some_and(is)
    };
    ENDINGS.iter().any(|word| {
        ended(line, word) && (*word != "Terminated" || line == *word || line.split_ascii_whitespace().any(is))
    }) || not_run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_could_not_run_or_was_ended_is_known_by_its_name() {
        let programs = &["terraform", "tofu"];
        for line in [
            "./all.sh: line 3: terraform: command not found",
            "sh: 1: terraform: not found",
            "zsh: command not found: tofu",
            "./all.sh: line 3: /usr/bin/tofu: Permission denied",
            "timeout: failed to run command \u{2018}terraform\u{2019}: No such file or directory",
            "./all.sh: line 7:  4711 Killed                  terraform -chdir=b plan",
            "./all.sh: line 7:  4711 Killed                  ./plan.sh",
            "./all.sh: line 7:  4711 Segmentation fault      (core dumped) terraform plan",
            "./all.sh: line 7:  4711 Terminated              terraform plan",
            "Killed",
        ] {
            assert!(lost(line, programs) && (is_shell_s(line) || line.starts_with("zsh")), "{line}");
        }
        for line in [
            "./all.sh: line 3: jq: command not found",
            "cat: terraform.tfvars: No such file or directory",
            "./all.sh: line 9:  4711 Terminated              ssh -N bastion",
            "Killed by a rule",
            "",
        ] {
            assert!(!lost(line, programs), "{line}");
        }
    }
}
