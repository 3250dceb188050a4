//! The mistakes a person makes: every one at once, each with its place and what to write instead; exit 1, nothing started.

mod support;

use support::{Folder, ended};

#[test]
fn every_mistake_of_a_configuration_is_reported_at_once() {
    let folder = Folder::new("config");
    folder.write("file", "");
    let file = folder.write(
        "driftrun.yaml",
        "\
defaults: { interval: 5, timeot: 1m }
lists:
  envs: [{ env: dev }, { env: prod, set: { intervall: 1m } }]
checks:
  - name: one
    command: terraform plan
  - name: two
    command: [true]
    parser: terraform-jsn
    workdir: nowhere
    labels: { job: x, layer: \"${DRIFTRUN_TEST_UNSET}\" }
  - name: same
    command: [\"true\"]
  - { name: same, command: [\"true\"] }
  - name: \"bad name\"
    shell: echo
    command: [echo]
    workdir: file
    max_output: 10
    max_output: 64M
  - name: all
    for_each: { list: envz }
    command: [\"true\"]
  - name: clash
    for_each: { list: envs }
    command: [\"true\"]
  - name: \"glob-{x}\"
    for_each: { glob: \"k8s/{x}/\" }
    command: [\"true\"]
    ignore: [{ reason: all }, { until: soon, name: \"re:(\" }]
    exit_codes: { clean: [300] }
  - command: []
max_concurent: 3
",
    );
    let file = file.to_str().unwrap();
    let shown = folder.path().display();
    let known: Vec<&str> = driftrun_parsers::ALL.iter().map(|parser| parser.name).collect();
    let known = known.join(", ");
    let want = [
        "1:23: \"5\" is no duration; write it like 30s, 10m or 1h30m".to_owned(),
        "1:26: unknown key \"timeot\" in defaults; did you mean \"timeout\"?".to_owned(),
        "3:44: unknown key \"intervall\" in set; did you mean \"interval\"?".to_owned(),
        "6:14: a command must be a list of program and arguments, such as [terraform, plan, -input=false], not a value; a check's shell line goes under `shell:`".to_owned(),
        format!("9:13: unknown parser \"terraform-jsn\"; did you mean \"terraform-json\"? known: {known}, auto, none"),
        format!("10:14: folder {shown}/nowhere: No such file or directory (os error 2); relative paths are relative to the configuration file"),
        "11:15: label name \"job\" is used by driftrun or Prometheus itself; choose another".to_owned(),
        "11:30: environment variable \"DRIFTRUN_TEST_UNSET\" is not set; set it, write ${DRIFTRUN_TEST_UNSET:-default}, or $$ for a dollar sign".to_owned(),
        "15:11: check name \"bad name\": use 1 to 128 letters, digits, '_', '.', '-', and begin with a letter or digit".to_owned(),
        "16:12: both `command` and `shell`; keep one".to_owned(),
        format!("18:14: {shown}/file is no folder"),
        "20:5: key \"max_output\" stands twice; first at line 19".to_owned(),
        "22:23: no list \"envz\"; `lists:` defines envs".to_owned(),
        format!("28:23: nothing matches \"k8s/{{x}}/\" in {shown}, so the check would never run; correct it, or write `allow_empty: true` beside it"),
        "32:5: a check without `name`".to_owned(),
        "32:14: a command without a program".to_owned(),
        "33:1: unknown key \"max_concurent\" in the configuration; did you mean \"max_concurrent\"?".to_owned(),
    ];
    let want = want.map(|line| format!("{file}:{line}\n")).concat();
    for arguments in [
        vec!["config", "check", file],
        vec!["serve", "--config.file", file],
        vec!["once", "--config.file", file],
    ] {
        let (stdout, stderr, code) = ended(&arguments);
        assert_eq!((stdout.as_str(), code), ("", Some(1)), "{arguments:?}");
        assert_eq!(stderr, format!("driftrun: {file} has 17 mistakes:\n{want}"), "{arguments:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn mistakes_that_need_a_whole_check_to_be_seen() {
    let folder = Folder::new("whole");
    folder.write("k8s/web/x", "");
    let check = |text: &str| {
        let file = folder.write("c.yaml", text);
        let (stdout, stderr, code) = ended(&["config", "check", file.to_str().unwrap()]);
        (stdout + &stderr.replace(&format!("{}:", file.display()), ""), code)
    };
    for (text, says) in [
        ("", "is empty; it needs a list of checks under `checks:`"),
        ("checks: []", "1:9: `checks` is empty; list at least one"),
        ("checks: {a: b}", "1:9: `checks` must be a list, not a mapping"),
        ("a: [", "not valid YAML"),
        (
            "checks:\n- name: a\n  command: [x]\n  ignore: [{ reason: r }]",
            "4:12: an ignore rule that names no resource would ignore everything",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  ignore: [{ name: \"re:(\" }]",
            "4:20: \"re:(\" is no regular expression",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  ignore: [{ name: a, until: soon }]",
            "4:30: \"soon\" is no date; write it like 2027-06-30",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  exit_codes: { clean: [300] }",
            "4:25: an exit code is a number from 0 to 255",
        ),
        (
            "checks:\n- name: a\n  command: [pulumi, preview]",
            "2:3: `parser`: no parser reads pulumi; write `none` to judge it by its exit code alone",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  exit_codes: { clean: [0], drifted: [0] }",
            "4:15: exit code 0 can't mean both clean and drifted",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  ignore: [{ action: delete, attribute: x }]",
            "4:12: a rule with `attribute` matches updates only",
        ),
        (
            "checks:\n- name: \"a-{env}\"\n  command: [x]",
            "2:9: check name \"a-{env}\": what stands in braces is no variable of this check; known: none",
        ),
        ("checks:\n- name: a\n  command: [x]\n  interval: 0s", "4:13: \"0s\" is no time at all"),
        (
            "checks:\n- name: a\n  command: [x]\n- name: a\n  command: [x]",
            "4:9: check name \"a\" is given twice: by line 2 and by line 4",
        ),
        (
            "checks:\n- name: \"a-{app}\"\n  command: [x]\n  for_each: { list: [{app: web}, {app: web}] }",
            "2:9: check name \"a-web\" is given twice: by line 2 with app=web and by line 2 with app=web; put a variable into the name",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  for_each: { glob: \"k8s/**/x\" }",
            "4:21: \"**\" in \"**\" is not supported",
        ),
        ("checks:\n- name: a\n\tcommand: [x]", "3:1: a tab in the indentation; YAML is indented with spaces"),
        ("checks:\n- name: a\n  shell: echo a: b", "keys of one mapping begin in one column"),
        (
            "checks:\n- name: a\n  command: [x]\n  setup: [terraform, init]",
            "4:10: `setup` is a list of commands, each of them a list; write [[terraform, init]]",
        ),
        (
            "checks:\n- name: a\n  comand: [x]",
            "3:3: unknown key \"comand\" in a check; did you mean \"command\"?\n",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  max_concurrent: 2",
            "4:3: unknown key \"max_concurrent\" in a check; it belongs to the top of the file",
        ),
        (
            "interval: 5m\nchecks:\n- name: a\n  command: [x]",
            "1:1: unknown key \"interval\" in the configuration; it belongs into a check, or under `defaults`",
        ),
        (
            "checks:\n- name: a\n  command: [x, {env}]",
            "3:16: a text belongs here, not a mapping; put quotes around it: \"{env}\"",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  for_each: [dev]",
            "4:13: for_each must be a mapping such as {list: envs} or",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  exit_codes: [0]",
            "4:15: exit_codes must be a mapping such as {clean: [0]",
        ),
        (
            "checks:\n- name: a\n  command: [x]\n  ignore: [{ action: destroy }]",
            "4:22: \"destroy\" is not one of replace",
        ),
        ("checks:\n- name: a\n  command: [x]\n  cron: \"0 6 * *\"", "4:9: \"0 6 * *\" is no crontab"),
        (
            "checks:\n- name: a\n  command: [x]\n  cron: \"0 6 * * *\"\n  interval: 5m",
            "5:13: both `cron` and `interval`; keep one",
        ),
        ("checks:\n- name: a\n  command: [x]\n  retries: -1", "4:12: \"-1\" is no number from 0 to 300"),
        ("checks:\n- name: a\n  command: [x]\n  env_file: x", "4:13: must be a list of files"),
        (
            "checks:\n- name: a\n  command: [x]\n  concurrency_group: \"\"",
            "4:22: an empty name for a concurrency group",
        ),
        ("checks:\n- name: a\n  command: [x]\n  splay: soon", "4:10: \"soon\" is no duration"),
        (
            "checks:\n- name: a\n  command: [x]\n  resource_metrics: count",
            "4:21: \"count\" is not one of full, counts, off",
        ),
        ("max_total_resources: 0\nchecks:\n- name: a\n  command: [x]", "1:22: \"0\" is no number from 1"),
    ] {
        let (got, code) = check(text);
        assert!(got.contains(says) && code == Some(1), "{text:?} gives {got:?}, not {says:?}");
    }
    let good =
        "checks:\n- name: \"a-{app}\"\n  command: [terraform, plan]\n  for_each: { glob: \"k8s/{app}/\" }";
    let (got, code) = check(good);
    assert_eq!(
        (got.trim_end(), code),
        (format!("{} is good: 1 check", folder.path().join("c.yaml").display()).as_str(), Some(0))
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let (_, stderr, code) = ended(&["serve", "--config.file", "/nowhere/driftrun.yaml"]);
    assert_eq!(
        stderr,
        "driftrun: /nowhere/driftrun.yaml: can't read it: No such file or directory (os error 2)\n"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_usage_error_is_1_and_help_is_0() {
    for arguments in [
        &["once"][..],
        &["watch"],
        &["serve"],
        &["nonsense"],
        &[],
        &["watch", "--interval", "5", "--", "true"],
        &["watch", "--nonsense", "--", "true"],
        &["watch", "--label", "job=x", "--", "true"],
        &["watch", "--parser", "x", "--", "true"],
        &["once", "--", "pulumi", "preview"],
        &["watch", "--workdir", "/nowhere", "--", "true"],
        &["watch", "--name", "a b", "--", "true"],
        &["once", "--config.file", "x", "--", "true"],
        &["parse", "--parser", "x", "/dev/null"],
        &["parse", "/nowhere"],
        &["parsers", "x"],
        &["once", "--format=json"],
        &["watch", "--web.telemetry-path=/-/ready", "--", "true"],
        &["parse", "--parser=none", "/dev/null"],
        &["parse", "--exit-code=300", "/dev/null"],
        &["watch", "--label", "a=b", "--label", "a=c", "--", "true"],
        &["watch", "--workdir", "/etc/passwd", "--", "true"],
        &["serve", "--config.file", "x", "--shard.index", "1"],
    ] {
        let (stdout, stderr, code) = ended(arguments);
        assert_eq!((stdout.as_str(), code), ("", Some(1)), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["watch", "--help"], &["--version"]] {
        let (stdout, stderr, code) = ended(arguments);
        assert!(!stdout.is_empty() && stderr.is_empty() && code == Some(0), "{arguments:?}");
    }
}

#[test]
fn a_temporary_folder_that_cannot_be_written_is_told_before_anything_starts() {
    let output =
        support::driftrun().args(["once", "--", "true"]).env("TMPDIR", "/nowhere/tmp").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no temporary folder can be made in /nowhere/tmp"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, stderr, code) = ended(&["watch", "--web.listen-address", &address, "--", "true"]);
    let want = format!(
        "driftrun: can't listen on {address}: the port is in use; stop whoever has it, or choose another with --web.listen-address\n"
    );
    assert_eq!((stderr, code), (want, Some(1)));
}
