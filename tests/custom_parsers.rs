//! Parsers that a configuration defines, and reports in files, through the real binary.

mod support;

use std::os::unix::fs::PermissionsExt;
use support::{Folder, ended, timeless};

const CONFIG: &str = r#"
parsers:
  backup:
    regex: '^(?P<name>\S+) is (?P<kind>stale|missing)'
    clean: '^all \d+ backups fresh'
    exit_codes: { clean: [0], drifted: [3] }
  blocks:
    begin: '^== '
    end: '^-- end'
    regex: '^object: (?P<scope>\w+)/(?P<name>\w+) (?P<action>\w+)'
    actions: { missing: create }
    clean: '^in sync$'
  program: { command: [./read.sh, x], exit_codes: { clean: [0], drifted: [3] } }
  slow: { command: [sleep, "60"], timeout: 50ms }
  wordy: { command: [./wordy.sh] }
  odd: { command: [sh, -c, 'echo "bad thing" >&2; exit 7'] }
  gone: { command: [./gone.sh] }
checks:
  - { name: fresh, command: [echo, all 12 backups fresh], parser: backup }
  - { name: stale, shell: 'echo db is stale; exit 3', parser: backup }
  - { name: program, shell: 'echo a; echo b; exit 3', parser: program }
  - { name: slow, command: [echo, a], parser: slow }
  - { name: wordy, command: [echo, a], parser: wordy, max_output: 1MB }
  - { name: odd, command: [echo, a], parser: odd }
  - { name: gone, command: [echo, a], parser: gone }
  - { name: failed, shell: 'echo no >&2; exit 4', parser: program }
"#;

/// Every line of the output is a resource; the code comes in the environment, and a second argument from the configuration.
const READ: &str = r#"#!/bin/sh
printf '{"verdict":"%s","tool":"mine","tool_version":"1","resources":[' "$([ "$DRIFTRUN_EXIT_CODE" = 3 ] && echo drifted || echo clean)"
separator=
while read -r name; do
    printf '%s{"scope":"%s","kind":"k","name":"%s","action":"update","attributes":["a.b"]}' "$separator" "$1" "$name"
    separator=,
done
echo ']}'
"#;

fn folder() -> (Folder, String) {
    let folder = Folder::new("parsers");
    for (name, text) in [("read.sh", READ), ("wordy.sh", "#!/bin/sh\nhead -c 2000000 /dev/zero\n")] {
        let path = folder.write(name, text);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let config = folder.write("driftrun.yaml", CONFIG).to_str().unwrap().to_owned();
    (folder, config)
}

#[test]
fn checks_are_read_by_expressions_and_by_programs() {
    let (folder, config) = folder();
    let (out, _, code) = ended(&["once", "--config.file", &config]);
    let want = format!(
        "\
✕ failed      failed
    exit code 4: no

✓ clean       fresh

? unreadable  gone
    parser gone did not start: command not found: {gone}

? unreadable  odd
    parser odd exited with code 7: bad thing

≠ drifted     program  2 resources: 2 update
    update  x  k  a  a.b
    update  x  k  b  a.b

? unreadable  slow
    parser slow was still running after 50ms, or at the run's deadline

≠ drifted     stale  1 resource: 1 change
    change  stale  db

? unreadable  wordy
    parser wordy printed 2000000 bytes, more than are kept

8 checks: 1 clean, 2 drifted, 1 failed, 4 unreadable, 3 resources (2 update, 1 change)
",
        gone = folder.path().join("./gone.sh").display()
    );
    assert_eq!((timeless(&out), code), (want, Some(1)));
}

#[test]
fn parsers_can_be_tried_on_a_recorded_output() {
    let (folder, config) = folder();
    let recorded = |parser: &str, exit: &str, text: &str| {
        let file = folder.write("recorded", text);
        let file = file.to_str().unwrap();
        let (out, err, code) =
            ended(&["parse", "--config.file", &config, "--parser", parser, "--exit-code", exit, file]);
        assert_eq!(err, "");
        (out, code.unwrap())
    };
    let of = |out: &str, code| (out.to_owned(), code);
    assert_eq!(recorded("backup", "0", "all 3 backups fresh\n"), of("✓ clean\n", 0));
    assert_eq!(
        recorded("blocks", "0", "== 1\nobject: ns/a missing\n-- end\n"),
        of("≠ drifted  1 resource: 1 create\n    create  ns  a\n", 2)
    );
    assert_eq!(
        recorded("blocks", "0", "== 1\nobject: ns/a missing\n"),
        of("? unreadable\n    line 1: a block without its end\n", 1)
    );
    assert_eq!(recorded("program", "0", ""), of("✓ clean\n", 0));
    assert_eq!(
        recorded("program", "3", "web\n"),
        of("≠ drifted  1 resource: 1 update\n    update  x  k  web  a.b\n", 2)
    );
    assert_eq!(
        recorded("program", "0", "web\n"),
        of("? unreadable\n    the output says that nothing changes and lists 1 change\n", 1)
    );
    let file = folder.write("recorded", "web\n");
    let (out, _, _) = ended(&[
        "parse",
        "--config.file",
        &config,
        "--parser",
        "program",
        "--exit-code",
        "3",
        "--format",
        "prometheus",
        file.to_str().unwrap(),
    ]);
    assert!(out.contains("driftrun_check_tool_info{check=\"parse\",tool=\"mine\",tool_version=\"1\",parser=\"program\"} 1\n"), "{out}");
    let (_, err, code) =
        ended(&["parse", "--config.file", &config, "--parser", "backups", file.to_str().unwrap()]);
    assert!(
        err.contains("unknown parser \"backups\"") && err.contains("kubectl") && err.contains(", backup, "),
        "{err}"
    );
    assert_eq!(code, Some(1));
    let (_, err, _) = ended(&["parse", "--parser", "backup", file.to_str().unwrap()]);
    assert!(err.ends_with("; one that a configuration defines needs --config.file\n"), "{err}");
}

#[test]
fn mistakes_in_parsers_are_reported_each_with_its_place() {
    let folder = Folder::new("parsers");
    let file = folder.write(
        "driftrun.yaml",
        r#"parsers:
  kubectl: { regex: '(?P<name>x)', clean: y }
  "a b": { regex: '(?P<name>x)', clean: y }
  empty: { clean: x }
  both: { regex: '(?P<name>x)', command: [x] }
  nothing: { regex: '(?P<name>.*)', clean: 'y*' }
  nameless: { regex: 'x', clean: y }
  groups: { regex: '(?P<name>x)(?P<host>y)', clean: y }
  broken: { regex: '(?P<name>x', clean: '(' }
  silent: { regex: '(?P<name>x)' }
  ends: { regex: '(?P<name>x)', end: z, clean: y }
  words: { regex: '(?P<name>x)', clean: y, actions: { gone: remove } }
  keys: { regex: '(?P<name>x)', cleen: y, exit_codes: { clean: [0] } }
  program: { command: ./x, timeout: 0s }
checks:
  - { name: a, command: ["true"], parser: nameles }
  - { name: b, command: ["true"], parser: none, files: [ "a/***/b" ], max_resources: 0 }
"#,
    );
    let file = file.to_str().unwrap();
    let (_, err, code) = ended(&["config", "check", file]);
    let lines: Vec<String> =
        err.lines().skip(1).map(|line| line.replacen(&format!("{file}:"), "", 1)).collect();
    let want = [
        "2:3: parser name \"kubectl\" is driftrun's own; choose another",
        "3:3: parser name \"a b\": use 1 to 128 letters, digits, '_', '.', '-', and begin with a letter or digit",
        "4:10: a parser without `regex` (an expression with a group \"name\") or `command` (a program that prints a report)",
        "5:42: both `regex` and `command`; keep one",
        "6:21: \"(?P<name>.*)\" could match an empty text, and so everywhere; let it demand a character",
        "6:44: \"y*\" could match an empty text, and so everywhere; let it demand a character",
        "7:22: \"x\" has no group \"name\"; write (?P<name>…) around what names the resource",
        "8:20: group \"host\" in \"(?P<name>x)(?P<host>y)\" means nothing; known: action, kind, name, scope",
        "9:20: \"(?P<name>x\" is no regular expression: unclosed group",
        "9:41: \"(\" is no regular expression: unclosed group",
        "10:20: nothing could ever be read as clean; give the parser `clean` (an expression for what is printed then) or `exit_codes`",
        "11:38: `end` without `begin`; a block needs its beginning",
        "12:61: \"remove\" is not one of replace, delete, create, update, move, import, forget, change",
        "13:33: unknown key \"cleen\" in a parser with `regex`; did you mean \"clean\"?",
        "14:23: a command must be a list of program and arguments, such as [terraform, plan, -input=false], not a value; a check's shell line goes under `shell:`",
        "14:37: \"0s\" is no time at all; write a duration such as 10m",
    ];
    assert_eq!(lines[..want.len()], want, "{err}");
    let rest = lines[want.len()..].join("\n");
    assert_eq!(lines.len(), want.len() + 3, "{rest}");
    assert!(rest.contains("16:43: unknown parser \"nameles\"; did you mean \"nameless\"? known: "), "{rest}");
    assert!(rest.contains("17:58: \"a/***/b\" is no glob: "), "{rest}");
    assert!(rest.contains("17:86: \"0\" is no number from 1"), "{rest}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_folder_is_read_whole_or_not_at_all() {
    let folder = Folder::new("reports");
    let plan = r#"{"format_version":"1.2","planned_values":{},"resource_changes":[]}"#;
    folder.write("all/vpc/tfplan.json", plan);
    folder.write(
        "elsewhere/tfplan.json",
        &plan.replace("[]", r#"[{"address":"t.n","type":"t","change":{"actions":["create"]}}]"#),
    );
    let all = folder.path().join("all");
    let parse = || ended(&["parse", "--parser", "terraform-show", "--exit-code", "0", all.to_str().unwrap()]);
    let (out, err, code) = parse();
    assert_eq!((out.as_str(), err.as_str(), code), ("✓ clean\n", "", Some(0)));
    std::os::unix::fs::symlink("../elsewhere", all.join("dns")).unwrap();
    let (out, err, code) = parse();
    assert_eq!((out.as_str(), code), ("", Some(1)));
    assert!(err.contains("all/dns is a link to a folder"), "{err}");
}
