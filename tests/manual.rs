//! What is made of the command line's definitions: completions that shells take, manual pages that `man` shows.

mod support;

use driftrun::cli::Cli;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use support::{Folder, ended, tool};

/// Every subcommand that a user can name, as the words that name it.
fn subcommands() -> Vec<clap::Command> {
    fn add(all: &mut Vec<clap::Command>, command: &clap::Command) {
        all.push(command.clone());
        command.get_subcommands().for_each(|below| add(all, below));
    }
    use clap::CommandFactory as _;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut all = Vec::new();
    add(&mut all, &command);
    all
}

fn names(command: &clap::Command) -> (String, Vec<String>) {
    let flags = command.get_arguments().filter_map(|argument| argument.get_long());
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    (name.to_owned(), flags.map(|flag| format!("--{flag}")).collect())
}

#[test]
fn every_subcommand_and_flag_stands_in_the_manual() {
    let folder = Folder::new("man");
    let dir = folder.path().join("man1");
    let (stdout, stderr, code) = ended(&["man", "--dir", dir.to_str().unwrap()]);
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("", "", Some(0)));
    let files: BTreeSet<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let all = subcommands();
    assert_eq!(files, all.iter().map(|command| names(command).0 + ".1").collect());
    for command in &all {
        let (name, flags) = names(command);
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        let plain = page.replace("\\-", "-");
        for word in flags.iter().chain([&name]) {
            assert!(plain.contains(word.as_str()), "{name}: {word}");
        }
        for below in command.get_subcommands() {
            assert!(plain.contains(&format!("{}(1)", names(below).0)), "{name}: {}", below.get_name());
        }
    }
    let (stdout, _, code) = ended(&["man"]);
    assert_eq!((stdout, code), (std::fs::read_to_string(dir.join("driftrun.1")).unwrap(), Some(0)));
    let go = std::fs::read_to_string(dir.join("driftrun-prom-run.1")).unwrap().replace("\\-", "-");
    for flag in ["-listen-addr string", "-log-output", "-period duration", "-timeout duration"] {
        assert!(go.contains(flag), "{flag}: {go}");
    }

    let file = folder.write("file", "");
    let (_, stderr, _) = ended(&["man", "--dir", file.join("x").to_str().unwrap()]);
    assert_eq!(
        stderr,
        format!("driftrun: can't write {}: Not a directory (os error 20)\n", file.join("x").display())
    );

    let Some(groff) = tool("groff") else { return };
    for file in files {
        // -ww: every warning.
        let output = Command::new(&groff).args(["-man", "-ww", "-z"]).arg(dir.join(&file)).output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{file}"
        );
    }
}

#[test]
fn every_subcommand_and_flag_stands_in_each_shells_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, stderr, code) = ended(&["completions", shell]);
        assert_eq!((stderr.as_str(), code), ("", Some(0)));
        for command in subcommands() {
            let (_, flags) = names(&command);
            // fish writes them without dashes: `-l name`.
            for word in flags.iter().map(|flag| &flag[2..]).chain([command.get_name()]) {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let Some(program) = tool(shell) else { continue };
        let folder = Folder::new(shell);
        let file = folder.write("script", &script);
        let output = Command::new(program).arg("-n").arg(file).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{shell}");
    }
}

#[test]
fn bash_completes_a_subcommand_and_a_flag() {
    let Some(bash) = tool("bash") else { return };
    let folder = Folder::new("bash");
    let file = folder.write("script", &ended(&["completions", "bash"]).0);
    let complete = |words: &[&str]| {
        let script = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _driftrun driftrun {} {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new(&bash).args(["--norc", "-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["driftrun", "on"]), ["once"]);
    assert_eq!(complete(&["driftrun", "once", "--textf"]), ["--textfile"]);
    assert_eq!(complete(&["driftrun", "once", "--format", "j"]), ["json"]);
    assert_eq!(complete(&["driftrun", "completions", "f"]), ["fish"]);
    assert_eq!(complete(&["driftrun", "config", "ch"]), ["check"]);
    assert_eq!(complete(&["driftrun", "prom"]), ["prom-run"]);
}
