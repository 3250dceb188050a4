//! A good configuration: what every check of it comes to.

#![allow(clippy::format_push_string, reason = "a test's text is short")]

mod support;

use driftrun::check::{Check, Reader, ReaderChoice};
use driftrun::config::{self, Config};
use std::time::Duration;
use support::Folder;

const TEAM: &str = r#"
defaults: { interval: 30m, timeout: 10m, labels: { team: platform }, env: { A: "1", B: "2" }, ignore: [{ name: "*.noise" }] }
lists:
  envs:
    - { env: dev,  ctx: dev }
    - { env: prod, ctx: live, set: { interval: 10m, labels: { page: "yes" }, ignore: [{ kind: Job }] } }
checks:
  - name: "terradiff-{env}"
    for_each: { list: envs }
    workdir: "infra/${REGION}-{env}"
    setup:   [[terraform, init, -input=false, -lockfile=readonly]]
    command: [terraform, plan, -input=false, -lock=false, -no-color, -detailed-exitcode, "-out={tmp}/plan"]
    report:  [terraform, show, -json, "{tmp}/plan"]
    labels:  { layer: infrastructure, env: "{env}" }
    env:     { B: "{env}-${REGION}", COST: "5$$" }
  - name: "kubediff-{env}-{app}"
    for_each: { list: envs, glob: "k8s/{env}/{app}/" }
    command: [kubectl, --context, "{ctx}", diff, -R, -f, "{path}", "{other}", "${REGION}"]
  - { name: site, command: [ansible-playbook, site.yml, --check, --diff] }
  - name: script
    shell: 'for f in *.sh; do "./${f}" {} ; done'
    parser: kubectl
    exit_codes: { clean: [0], drifted: [3] }
    max_output: 10MB
    count_refresh: true
  - { name: backup, command: [./age.sh], parser: none, kill_grace: 1s }
max_concurrent: 3
"#;

fn team() -> (Folder, Config) {
    let folder = Folder::new("team");
    for path in [
        "infra/eu-dev/x",
        "infra/eu-prod/x",
        "k8s/dev/web/x",
        "k8s/dev/db/x",
        "k8s/prod/web/x",
        "k8s/prod/.git/x",
    ] {
        folder.write(path, "");
    }
    let environment = |name: &str| (name == "REGION").then(|| "eu".to_owned());
    let config = config::parse(TEAM, folder.path(), &environment).unwrap();
    (folder, config)
}

fn get<'c>(config: &'c Config, name: &str) -> &'c Check {
    config.checks.iter().find(|check| check.name == name).unwrap()
}

#[test]
fn lists_and_globs_make_checks() {
    let (_folder, config) = team();
    let names: Vec<&str> = config.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "backup",
            "kubediff-dev-db",
            "kubediff-dev-web",
            "kubediff-prod-web",
            "script",
            "site",
            "terradiff-dev",
            "terradiff-prod"
        ]
    );
    assert_eq!(config.max_concurrent, 3);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn layers_merge_and_variables_are_filled_in_where_they_may() {
    let (folder, config) = team();
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let prod = get(&config, "terradiff-prod");
    assert_eq!(prod.interval, Duration::from_mins(10));
    assert_eq!(
        prod.labels,
        map(&[("env", "prod"), ("layer", "infrastructure"), ("page", "yes"), ("team", "platform")])
    );
    assert_eq!(prod.env, map(&[("A", "1"), ("B", "prod-eu"), ("COST", "5$")]));
    assert_eq!(prod.workdir.as_deref(), Some(folder.path().join("infra/eu-prod").as_path()));
    assert_eq!(prod.setup, [words("terraform init -input=false -lockfile=readonly")]);
    assert_eq!(prod.report, Some(words("terraform show -json {tmp}/plan")));
    assert_eq!(prod.ignore.len(), 2);
    let dev = get(&config, "terradiff-dev");
    assert_eq!(
        (dev.interval, dev.timeout, dev.ignore.len()),
        (Duration::from_mins(30), Duration::from_mins(10), 1)
    );
    let web = get(&config, "kubediff-prod-web");
    assert_eq!(web.command, words("kubectl --context live diff -R -f k8s/prod/web {other} ${REGION}"));
    assert_eq!(web.workdir.as_deref(), Some(folder.path()));
    let script = get(&config, "script");
    assert_eq!(script.command, ["sh", "-c", "for f in *.sh; do \"./${f}\" {} ; done"]);
    assert_eq!((script.max_output, script.count_refresh), (10_000_000, true));
}

#[test]
fn the_command_line_names_the_reader_and_the_report_s_does_where_there_is_one() {
    let (_folder, config) = team();
    let reader = |name: &str| get(&config, name).reader.clone();
    let by_name = |name: &str| ReaderChoice::Known(Reader::Builtin(driftrun_parsers::by_name(name).unwrap()));
    assert_eq!(reader("terradiff-dev"), by_name("terraform-show"));
    assert_eq!(reader("kubediff-dev-db"), by_name("kubectl"));
    assert_eq!(reader("script"), by_name("kubectl"));
    assert_eq!(reader("backup"), ReaderChoice::ExitCode);
    let ReaderChoice::OneOf(parsers) = reader("site") else { panic!("{:?}", reader("site")) };
    let names: Vec<&str> = parsers.iter().map(|parser| parser.name).collect();
    assert_eq!(names, ["ansible-jsonl", "ansible-json", "ansible"]);
}

#[test]
fn a_command_that_names_no_tool_is_a_warning() {
    let folder = Folder::new("warning");
    let config = config::parse("checks: [{ name: a, command: [./x.sh] }]", folder.path(), &|_| None).unwrap();
    assert_eq!(get(&config, "a").reader, ReaderChoice::Any);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("set `parser`"), "{:?}", config.warnings);
}

#[test]
fn anchors_are_copied_and_bombs_refused() {
    let folder = Folder::new("anchors");
    let text = "defaults: &d { interval: 1m }\nchecks:\n- &a { name: a, command: [x], parser: none }\n- { name: b, command: [x], parser: none, labels: &l { x: y } }\n- { name: c, command: [x], parser: none, labels: *l }";
    let config = config::parse(text, folder.path(), &|_| None).unwrap();
    assert_eq!(get(&config, "c").labels, get(&config, "b").labels);
    let mut bomb = "lists:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("  a{n}: &a{n} [{aliases}]\n");
    }
    let problems = config::parse(&bomb, folder.path(), &|_| None).unwrap_err();
    assert!(problems[0].message.contains("more than"), "{problems:?}");
}
