//! docs/migrating.md can be followed: what it shows is loaded here.

mod support;

use driftrun::config;
use driftrun::metrics::{Kind, LIVE, PROM_RUN, RUN};
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Folder, tool};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrating.md")).unwrap()
}

/// The blocks of YAML that begin so.
fn yaml(begin: &str) -> Vec<String> {
    let page = page();
    let blocks = page.split("\n```").filter_map(|part| part.strip_prefix("yaml\n"));
    blocks.filter(|block| block.starts_with(begin)).map(str::to_owned).collect()
}

#[test]
fn each_configuration_is_a_good_one() {
    let found: Vec<Vec<String>> = [yaml("lists:"), yaml("checks:")]
        .concat()
        .iter()
        .map(|block| {
            let folder = Folder::new("migrating");
            folder.write("infra/main.tf", "");
            folder.write("ping.sh", "");
            let block = block.replace("/data/repo", folder.path().to_str().unwrap());
            let config = config::parse(&block, folder.path(), &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{error:?}\n{block}"));
            assert_eq!(config.warnings, Vec::<String>::new(), "{block}");
            config.checks.iter().map(|check| format!("{} {}", check.name, check.command.join(" "))).collect()
        })
        .collect();
    let plan = "terradiff terraform plan -input=false -lock=false -no-color -detailed-exitcode";
    let want: [&[&str]; 5] = [
        &["ping-example.com ./ping.sh example.com", "ping-example.org ./ping.sh example.org"],
        &["kubediff kubectl diff -R -f k8s"],
        &["terradiff terraform plan -input=false -lock=false -no-color -detailed-exitcode -out={tmp}/plan"],
        &[plan],
        &[plan],
    ];
    assert_eq!(found, want);
}

#[test]
fn each_rule_is_one_for_prometheus() {
    let rules = yaml("groups:");
    assert_eq!(rules.len(), 3);
    let Some(promtool) = tool("promtool") else { return };
    for block in rules {
        let folder = Folder::new("rules");
        let file = folder.write("rules.yaml", &block);
        let output = Command::new(&promtool).args(["check", "rules"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}\n{block}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Every metric that the page tells to use is one.
#[test]
fn each_metric_is_one_of_the_tables() {
    let text = page();
    let families: Vec<_> = LIVE.iter().chain(&RUN).chain(&PROM_RUN).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut seen = 0;
    for word in text.split(|c: char| !is_name(c)) {
        let prefixed = ["driftrun_", "promrun_"]
            .iter()
            .any(|prefix| word.len() > prefix.len() && word.starts_with(prefix));
        if prefixed {
            let known = families.iter().any(|family| family.name == word);
            assert!(known, "{word} is no metric");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    // Each of prom-run's is told of.
    for family in &PROM_RUN {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Summary => "summary",
        };
        let row =
            text.lines().find(|line| line.starts_with(&format!("| `{}", family.name))).unwrap_or_default();
        assert!(row.contains(&format!("| {kind}")), "{}: {row}", family.name);
    }
}

/// The line of the crontab writes a file whatever the exit code is, and takes none away.
#[test]
fn the_crontab_s_line_writes_a_file() {
    let lines = page();
    let line = lines
        .lines()
        .find_map(|line| line.strip_prefix("*/30 * * * * root /usr/local/bin/driftrun once "))
        .unwrap();
    let folder = Folder::new("cron");
    let prom = folder.write("prom/driftrun_t.prom", "");
    fs::remove_file(&prom).unwrap();
    let config = folder.write("driftrun.yaml", "checks: [{ name: t, command: ['false'], parser: none }]\n");
    let mut line = format!("'{}' once {line}", env!("CARGO_BIN_EXE_driftrun"));
    for (theirs, ours) in [
        ("/srv/driftrun.yaml", config.as_path()),
        ("/var/lib/node_exporter", prom.parent().unwrap()),
        ("/var/lib/driftrun", &folder.path().join("state")),
    ] {
        assert!(line.contains(theirs), "{line}");
        line = line.replace(theirs, ours.to_str().unwrap());
    }
    let run = || Command::new("sh").args(["-c", &line]).output().unwrap();
    run();
    let written = fs::read_to_string(&prom).unwrap();
    assert!(written.contains("\ndriftrun_check_success{check=\"t\"} 0\n"), "{written}");
    folder.write("driftrun.yaml", "checks: []\n");
    run();
    assert_eq!(fs::read_to_string(&prom).unwrap(), written);
}
