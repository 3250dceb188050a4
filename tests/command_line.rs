//! The command line as a new user meets it: what a slip is answered with.

mod support;

use support::{Folder, ended};

/// What stands on standard error after a slip; nothing on stdout, and the exit code of a usage error.
fn complaint(arguments: &[&str]) -> String {
    let (stdout, stderr, code) = ended(arguments);
    assert_eq!((stdout.as_str(), code), ("", Some(1)), "{arguments:?}: {stderr}");
    stderr
}

const WATCH: &str = "driftrun watch [OPTIONS] -- COMMAND [ARG]...";
const ONCE: &str =
    "driftrun once [OPTIONS] --config.file FILE\n       driftrun once [OPTIONS] -- COMMAND [ARG]...";

#[test]
fn a_slip_is_answered_with_what_to_write_instead() {
    for (arguments, error, tips, usage) in [
        (
            &["wach", "--", "true"][..],
            "unrecognized subcommand 'wach'",
            &["a similar subcommand exists: 'watch'"][..],
            "driftrun [OPTIONS] <COMMAND>",
        ),
        (
            &["terraform", "plan"],
            "unrecognized subcommand 'terraform'",
            &[
                "to run a command on a schedule: driftrun watch -- terraform ...",
                "to run it once: driftrun once -- terraform ...",
            ],
            "driftrun [OPTIONS] <COMMAND>",
        ),
        (
            &["driftrun.yaml"],
            "unrecognized subcommand 'driftrun.yaml'",
            &["to run the checks of a file: driftrun serve --config.file driftrun.yaml"],
            "driftrun [OPTIONS] <COMMAND>",
        ),
        (
            &["config", "driftrun.yaml"],
            "unrecognized subcommand 'driftrun.yaml'",
            &["to look at a file: driftrun config check driftrun.yaml"],
            "driftrun config [OPTIONS] <COMMAND>",
        ),
        (
            &["watch", "--interval", "5m", "terraform", "plan"],
            "unexpected argument 'terraform' found",
            &["a command stands after '--': driftrun watch [OPTIONS] -- terraform ..."],
            WATCH,
        ),
        (
            &["once", "kubectl", "diff", "-f", "k8s"],
            "unexpected argument 'kubectl' found",
            &["a command stands after '--': driftrun once [OPTIONS] -- kubectl ..."],
            ONCE,
        ),
        (
            &["once", "driftrun.yaml"],
            "unexpected argument 'driftrun.yaml' found",
            &["the configuration file is named by '--config.file': --config.file driftrun.yaml"],
            ONCE,
        ),
        (
            &["once", "--config", "driftrun.yaml"],
            "unexpected argument '--config' found",
            &["a similar argument exists: '--config.file'"],
            ONCE,
        ),
        (
            &["serve", "--config", "driftrun.yaml"],
            "unexpected argument '--config' found",
            &["a similar argument exists: '--config.file'"],
            "driftrun serve --config.file <FILE>",
        ),
        (
            &["serve", "-c", "driftrun.yaml"],
            "unexpected argument '-c' found",
            &["the configuration file is named by '--config.file'"],
            "driftrun serve [OPTIONS] --config.file <FILE>",
        ),
        (
            &["watch", "--intervall", "5m", "--", "true"],
            "unexpected argument '--intervall' found",
            &["a similar argument exists: '--interval'"],
            WATCH,
        ),
        (&["watch", "-x", "--", "true"], "unexpected argument '-x' found", &[], WATCH),
    ] {
        let tips = tips.iter().map(|tip| format!("  tip: {tip}\n")).collect::<Vec<_>>().concat();
        let tips = if tips.is_empty() { tips } else { tips + "\n" };
        let want = format!("error: {error}\n\n{tips}Usage: {usage}\n\nFor more information, try '--help'.\n");
        assert_eq!(complaint(arguments), want, "{arguments:?}");
    }
    assert_eq!(
        complaint(&["completions", "bsh"]),
        "error: invalid value 'bsh' for '<SHELL>'\n  [possible values: bash, zsh, fish]\n\n  tip: a similar value exists: 'bash'\n\nFor more information, try '--help'.\n"
    );
}

#[test]
fn a_parser_or_a_file_that_is_not_there_is_answered_with_the_one_that_was_meant() {
    let known: Vec<&str> = driftrun_parsers::ALL.iter().map(|parser| parser.name).collect();
    let unknown = format!(
        "unknown parser \"terrafrm\"; did you mean \"terraform\"? known: {}, auto, none",
        known.join(", ")
    );
    for arguments in [&["watch", "--parser", "terrafrm", "--", "true"][..], &["parsers", "terrafrm"]] {
        assert_eq!(complaint(arguments), format!("driftrun: {unknown}\n"), "{arguments:?}");
    }
    assert_eq!(
        complaint(&["parse", "--parser", "terrafrm", "/dev/null"]),
        format!("driftrun: {unknown}; one that a configuration defines needs --config.file\n")
    );

    let folder = Folder::new("near");
    folder.write("driftrun.yaml", "");
    folder.write("other.txt", "");
    let missing = folder.path().join("driftun.yml");
    let missing = missing.to_str().unwrap();
    let near = folder.path().join("driftrun.yaml");
    for arguments in [
        ["serve", "--config.file", missing],
        ["once", "--config.file", missing],
        ["config", "check", missing],
    ] {
        assert_eq!(
            complaint(&arguments),
            format!(
                "driftrun: {missing}: can't read it: No such file or directory (os error 2); did you mean {}?\n",
                near.display()
            )
        );
    }
}

#[test]
fn parse_says_what_it_recognised_and_what_it_could_not() {
    let root = env!("CARGO_MANIFEST_DIR");
    let (_, stderr, _) = ended(&["parse", &format!("{root}/fixtures/kubectl/changed/stdout")]);
    assert_eq!(
        stderr,
        "driftrun: detected kubectl because of paths in kubectl's LIVE- and MERGED- folders\n"
    );
    let folder = Folder::new("unread");
    for (output, said) in [
        (
            "",
            "there is no output to read; where empty means clean, name the parser and its exit code: --parser kubectl --exit-code 0",
        ),
        (
            "hello\n",
            "no parser recognises this output; name one with --parser; `driftrun parsers` lists them",
        ),
        (
            "hello\n10:04 INFO Plan: 1 to add, 0 to change, 0 to destroy.\n",
            "no parser recognises this output: it holds counts of a terraform plan, in a form that none reads; name one with --parser; `driftrun parsers` lists them",
        ),
    ] {
        let file = folder.write("file", output);
        let (stdout, stderr, code) = ended(&["parse", "--format=json", file.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((report["reason"].as_str(), stderr.as_str(), code), (Some(said), "", Some(1)));
    }
}

#[test]
fn checks_of_a_configuration_are_run_by_name() {
    let folder = Folder::new("only");
    let config = folder.write(
        "driftrun.yaml",
        "state_dir: state\ndefaults: { parser: none }\nchecks:\n- { name: base-a, command: ['true'] }\n- { name: base-b, command: ['false'] }\n- { name: other, command: ['true'] }\n",
    );
    let file = config.to_str().unwrap();
    let run = |rest: &[&str]| ended(&[&["once", "--config.file", file, "--format", "json"], rest].concat());
    let names = |rest: &[&str]| {
        let (stdout, stderr, code) = run(rest);
        let reports: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}"));
        (reports.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" "), code)
    };
    assert_eq!(names(&["--check", "base-a"]), ("base-a".to_owned(), Some(0)));
    assert_eq!(names(&["--check", "other", "--check", "base-b"]), ("base-b other".to_owned(), Some(1)));
    // A look beside a server that has the folder.
    assert!(!folder.path().join("state/checks").exists());
    let (stdout, stderr, code) = run(&["--check", "base-c"]);
    let why = "driftrun: --check: the configuration has no check \"base-c\"; did you mean \"base-b\"?\n";
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("", why, Some(1)));
    for flag in ["--push=http://127.0.0.1:1", "--textfile=.", "--state-dir=."] {
        let (_, stderr, code) = run(&["--check", "other", flag]);
        let why = format!(
            "error: the argument '--check <NAME>' cannot be used with '{}",
            flag.split('=').next().unwrap()
        );
        assert!(stderr.starts_with(&why) && code == Some(1), "{stderr}");
    }
    let (_, stderr, code) = ended(&["once", "--check", "a", "--", "true"]);
    assert!(
        stderr.starts_with("error: the argument '--check <NAME>' cannot be used with") && code == Some(1),
        "{stderr}"
    );
}
