//! The documentation can be followed: every block of README, docs/, deploy/*/README.md and CONTRIBUTING that can run is run
//! here, as a reader would, and every link leads somewhere. tests/docs/page.rs says how a page marks what can't.

mod docs {
    pub mod check;
    pub mod follow;
    pub mod lessons;
    pub mod messages;
    pub mod page;
    pub mod shell;
}
#[path = "support/kube_api.rs"]
mod kube_api;
#[path = "support/prometheus.rs"]
mod prometheus;
mod support;
#[path = "support/yaml.rs"]
mod yaml;

use docs::follow::{follow, pattern, plain, run};
use docs::lessons::{ELSEWHERE, LESSONS, PROGRAMS, SHORT, WATCHED};
use docs::messages::{self, Told};
use docs::page::{Block, Mark, Page, ROOT, markdown};
use docs::shell::Shell;
use kube_api::KubeApi;
use prometheus::Prometheus;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Folder, HANG, Server, tool};

#[test]
fn the_readme() {
    follow("README.md", &[]);
}

#[test]
fn terraform() {
    follow("docs/getting-started/terraform.md", &[]);
}

#[test]
fn ansible() {
    follow("docs/getting-started/ansible.md", &[]);
}

/// On the stand-in for a cluster.
#[test]
fn kubernetes() {
    let (api, folder) = (KubeApi::start(), Folder::new("kubeconfig"));
    follow("docs/getting-started/kubernetes.md", &[("KUBECONFIG", api.kubeconfig(folder.path()))]);
}

#[test]
fn the_references() {
    for path in [
        "CONTRIBUTING.md",
        "docs/alerts.md",
        "docs/performance.md",
        "docs/configuration.md",
        "docs/parsers.md",
        "docs/installing.md",
        "deploy/grafana/README.md",
    ] {
        follow(path, &[]);
    }
}

#[test]
fn opentofu_and_terragrunt() {
    follow("docs/getting-started/opentofu.md", &[]);
    follow("docs/getting-started/terragrunt.md", &[]);
}

#[test]
fn false_positives() {
    follow("docs/false-positives.md", &[]);
}

#[test]
fn environments() {
    follow("docs/environments.md", &[]);
}

/// A real Prometheus that scrapes the demo answers every query of the page.
#[test]
fn reading_the_metrics() {
    follow("docs/reading-metrics.md", &[]);
    let Some(program) = tool("prometheus") else { return };
    // The demo, and a plan that knows what was changed outside.
    let demo = Path::new(ROOT).join("examples/demo");
    let replay = demo.join("replay").display().to_string();
    let text = std::fs::read_to_string(demo.join("driftrun.yaml")).unwrap().replace("./replay", &replay);
    let plan = Path::new(ROOT).join("fixtures/terraform-show/everything/stdout");
    let outside =
        format!("\n  - {{ name: outside, command: [cat, '{}'], parser: terraform-show }}\n", plan.display());
    let folder = Folder::new("queries");
    folder.write(".git/HEAD", "8a1f0c2d4e6b8091a2b3c4d5e6f708192a3b4c5d\n");
    let server = Server::serve(&folder.write("driftrun.yaml", &(text + &outside)));
    let config = serde_json::json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [Path::new(ROOT).join("deploy/prometheus/driftrun.rules.yaml")],
        "scrape_configs": [{"job_name": "driftrun", "static_configs": [{"targets": [server.address]}]}],
    });
    let prometheus = Prometheus::configured(&program, &folder, &config.to_string());
    prometheus.wait_for_scrape();
    let mut asked = 0;
    for block in
        Page::read("docs/reading-metrics.md").blocks.iter().filter(|block| block.language == "promql")
    {
        // Nobody here has scraped for a day.
        let query =
            SHORT.iter().fold(block.text.clone(), |query, (theirs, ours)| query.replace(theirs, ours));
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let began = Instant::now();
        // Prometheus has answered, so it is one; an answer that is empty may still come.
        while prometheus.query(&query).is_empty() && !matches!(block.mark, Mark::EmptyHere(_)) {
            assert!(began.elapsed() < HANG, "line {}: no answer to {}", block.line, block.text);
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("{}: {:?}", block.text.trim(), prometheus.query(&query).first());
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn the_api() {
    follow("docs/api.md", &[]);
}

#[test]
fn one_round() {
    follow("docs/one-shot.md", &[]);
}

#[test]
fn the_web_configuration() {
    follow("docs/web-configuration.md", &[]);
}

/// A page that has blocks is followed here or elsewhere; and no file of the lists is gone.
#[test]
fn every_page_with_blocks_is_followed() {
    let followed: BTreeSet<&str> = LESSONS.iter().map(|lesson| lesson.path).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(path, _)| *path).collect();
    let here = include_str!("docs.rs");
    for path in &followed {
        assert!(here.contains(&format!("\"{path}\"")), "no test follows {path}");
    }
    let mut seen = 0;
    for path in markdown() {
        let page = Page::read(&path);
        let can_run = |block: &&Block| matches!(block.language.as_str(), "sh" | "yaml" | "json" | "promql");
        // What is a reader's command is in a block that is run, or says why not.
        for block in page.blocks.iter().filter(|block| block.language.is_empty()) {
            let first = block.text.split(' ').next().unwrap_or_default();
            assert!(!PROGRAMS.contains(&first), "{}: a command, in no block of sh", page.place(block));
        }
        if page.blocks.iter().any(|block| can_run(&block)) {
            seen += 1;
            assert!(followed.contains(&*path) || elsewhere.contains(&*path), "{path} is in no list");
        }
    }
    assert!(seen >= followed.len(), "{seen} pages with blocks, and {} in the list", followed.len());
    for (path, reason) in ELSEWHERE {
        println!("{path}: not here: {reason}");
        assert!(Path::new(ROOT).join(path).is_file(), "{path}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> =
        markdown().iter().map(|path| (PathBuf::from(path), Page::read(path))).collect();
    let (mut links, mut anchors, mut broken) = (0, 0, vec![]);
    for page in pages.values() {
        for (line, target, anchor) in page.targets() {
            links += 1;
            if !Path::new(ROOT).join(&target).exists() {
                broken.push(format!("{}:{line}: there is no {}", page.path, target.display()));
            }
            if let Some(anchor) = anchor {
                anchors += 1;
                let known = pages.get(&target).is_some_and(|page| page.anchors.contains(&anchor));
                if !known {
                    broken.push(format!("{}:{line}: {} has no #{anchor}", page.path, target.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(links > 100 && anchors > 20, "{links} links, {anchors} anchors");
}

#[test]
fn every_page_can_be_found_from_the_index() {
    let mut found: BTreeSet<PathBuf> = BTreeSet::new();
    let mut waiting: VecDeque<PathBuf> = VecDeque::from([PathBuf::from("docs/README.md")]);
    while let Some(path) = waiting.pop_front() {
        if !found.insert(path.clone()) {
            continue;
        }
        let links = Page::read(path.to_str().unwrap()).targets().into_iter().map(|(_, target, _)| target);
        waiting.extend(links.filter(|target| {
            target.extension().is_some_and(|extension| extension == "md")
                && Path::new(ROOT).join(target).is_file()
        }));
    }
    let all: Vec<String> = markdown().into_iter().filter(|path| path.starts_with("docs/")).collect();
    let lost: Vec<&String> = all.iter().filter(|path| !found.contains(Path::new(path))).collect();
    assert!(lost.is_empty(), "not to be found from docs/README.md: {lost:?}");
    assert!(all.len() > 20, "{all:?}");
}

#[test]
fn the_runner_sees_what_is_wrong() {
    let page = |text: &str| Page::of("page.md", text.to_owned());
    let mut shell = Shell::start("runner", &[], &[], &[]);
    let mut one = |text: &str| {
        let page = page(text);
        let block = &page.blocks[0];
        run(&mut shell, block, &block.mark).map(|ran| ran.stdout)
    };
    assert_eq!(one("```sh\na=1; echo $a\n```\n").as_deref(), Ok("1\n"));
    assert_eq!(one("```sh\necho $a; cd /; pwd\n```\n").as_deref(), Ok("1\n/\n"), "one shell");
    assert_eq!(one("<!-- exit code: 2 -->\n```sh\n(exit 2)\n```\n").as_deref(), Ok(""));
    assert!(one("<!-- exit code: 2 -->\n```sh\n(exit 1)\n```\n").unwrap_err().contains("code 1, not 2"));
    assert!(one("<!-- exit code: 2 -->\n```sh\nfalse\n(exit 2)\n```\n").unwrap_err().contains("one command"));
    assert!(one("<!-- output -->\n```sh\ntrue\n```\n").unwrap_err().contains("before a block of \"sh\""));
    assert!(one("<!-- serves -->\n```sh\ntrue\n```\n").unwrap_err().contains("it doesn't serve"));
    // A failure in the middle ends the shell, and so does a variable that isn't set.
    assert!(one("```sh\nfalse\necho on\n```\n").unwrap_err().contains("another code than 0"));
    assert!(one("```sh\ntrue\n```\n").unwrap_err().contains("another code than 0"));

    for (shown, printed, same) in [
        ("a\n…\nd\n", "a\nb\nc\nd\n", true),
        ("a\n…\nd\n", "a\nb\nc\n", false),
        ("a{…} 1\n", "a{x=\"y\"} 1\n", true),
        ("a{…} 1\n", "a{x=\"y\"} 2\n", false),
        ("✓ clean  plan  74 ms\n", "✓ clean  plan  1.2 s\n", true),
        ("a\n", "a\nb\n", false),
    ] {
        assert_eq!(pattern(shown).is_match(&plain(printed)), same, "{shown:?} {printed:?}");
    }
    let marked = page(
        "# A `b` c!\n\n<!-- not run: needs a cluster -->\n```sh\nx\n```\n\n## A b c\n\n[l](docs/../x.md#y)\n",
    );
    assert_eq!(marked.blocks[0].mark, Mark::NotRun("needs a cluster".to_owned()));
    assert_eq!(marked.anchors, ["a-b-c", "a-b-c-1"]);
    assert_eq!(marked.targets(), [(10, PathBuf::from("x.md"), Some("y".to_owned()))]);
}

#[test]
fn every_message_of_the_troubleshooting_page_is_still_said() {
    let page = Page::read("docs/troubleshooting.md");
    let (quoted, source) = (messages::quoted(&page), messages::source());
    let gone: Vec<_> = quoted.iter().filter(|quoted| !messages::is_said(&quoted.message, &source)).collect();
    assert!(gone.is_empty(), "nobody says: {gone:#?}");
    assert!(quoted.len() > 80, "{}", quoted.len());
    assert!(!messages::is_said("nobody says this … at all", &source));
    assert!(!messages::is_said("…", &source) && !messages::is_said("can't read", &source), "too short");
}

#[test]
fn mistakes_of_a_configuration_are_on_the_troubleshooting_page() {
    let (mut told, folder) = (Told::new(), Folder::new("mistakes"));
    let configurations = [
        "",
        "checks:\n- name: a\n\tcommand: [x]\n",
        "checks: [{ name: a, name: b, command: [x] }]",
        "checks: [{ name: a, comand: [x] }]",
        "interval: 10m\nchecks: [{ name: a, command: [x] }]",
        "checks: [{ name: a, command: [x], max_concurrent: 2 }]",
        "checks: [{ name: a }]",
        "checks: [{ name: a, command: terraform plan }]",
        "checks: [{ name: a, command: [x], shell: y }]",
        "checks: [{ name: a, command: [x], interval: 10 }]",
        "checks: [{ name: a, command: [x], cron: daily }]",
        "checks: [{ name: 'a-{env}', command: [x] }]",
        "checks: [{ name: a, command: [x], for_each: { list: envs } }]",
        "checks: [{ name: 'a-{app}', command: [x], for_each: { glob: 'k8s/{app}/' } }]",
        "checks: [{ name: a, command: [x] }, { name: a, command: [y] }]",
        "checks: [{ name: a, command: [x], workdir: nowhere }]",
        "checks: [{ name: a, command: [x], env: { A: '${NOT_SET_ANYWHERE}' } }]",
        "checks: [{ name: a, command: [x], labels: { job: y } }]",
        "checks: [{ name: a, command: [x], parser: terrafrom }]",
        "checks: [{ name: a, command: [pulumi, preview] }]",
        "checks: [{ name: a, command: [x], ignore: [{ reason: y }] }]",
        "checks: [{ name: a, command: [x], ignore: [{ attribute: y, action: delete }] }]",
        "checks: [{ name: a, command: [x] }]",
        "checks: [{ name: a, command: [terraform, apply] }]",
        "checks: [{ name: a, command: [x], workdir: {env} }]",
    ];
    for text in configurations {
        let file = folder.write("driftrun.yaml", text);
        told.see(text, &["config", "check", file.to_str().unwrap()]);
    }
    println!("{told}");
}

#[test]
fn what_goes_wrong_in_a_run_is_on_the_troubleshooting_page() {
    let (mut told, folder) = (Told::new(), Folder::new("trouble"));
    let write = |name: &str, text: &str| folder.write(name, text).to_str().unwrap().to_owned();
    let config = &*write("driftrun.yaml", WATCHED);
    let executable = write("not-executable", "");
    write("bare", "bare\n");
    let broken = write("broken.yaml", "checks: [{ name: a, command: [x], parser: none, env_file: [bare] }]");
    let setup = write("setup.yaml", "checks: [{ name: a, command: [x], parser: none, setup: [['false']] }]");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("--web.listen-address={}", taken.local_addr().unwrap());
    let own = "parsers: { own: { regex: '^(?P<name>x)$', clean: '^no$' } }\n\
               checks: [{ name: a, command: [echo, y], parser: own }]";
    let own = write("own.yaml", own);
    let version = r#"{"@level":"info","@message":"Terraform 1.11.4","@module":"terraform.ui","type":"version","terraform":"1.11.4","ui":"1.2"}"#;
    let two = "No changes. Your infrastructure matches the configuration.\n".repeat(2);
    let nobody = "\nPLAY [all] ***\nskipping: no hosts matched\n\nPLAY RECAP ***\n\n";
    let counts = "ok=0    changed=0    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0   ";
    let skipped = format!(
        "\nPLAY [all] ***\n\nTASK [a] ***\nskipping: [h]\n\nPLAY RECAP ***\n{:27}: {counts}\n\n",
        "h"
    );
    let lines: &[&[&str]] = &[
        &["config", "check", "nowhere.yaml"],
        &["serve", "--config.file", config, "--web.listen-address=192.0.2.1:9152"],
        &["serve", "--config.file", config, "--web.listen-address=localhost"],
        &["serve", "--config.file", config, "--shard.total=2", "--shard.index=2"],
        &["once"],
        &["once", "--push=http://127.0.0.1:9", "--", "true"],
        &["once", "--config.file", config, "--textfile=/nowhere"],
        &["once", "--config.file", config, "--push=http://127.0.0.1:9", "--push.pause=1ms"],
        &["once", "--", "nonesuch"],
        &["once", "--", &executable],
        &["once", "--parser=none", "--", "false"],
        &["once", "--config.file", &broken],
        &["once", "--config.file", &setup],
        &["once", "--parser=none", "--timeout=100ms", "--kill-grace=100ms", "--", "sleep", "60"],
        &["once", "--parser=none", "--", "sh", "-c", "kill -9 $$"],
        &["once", "--parser=kubectl", "--max-output=1KiB", "--", "seq", "10000"],
        &["once", "--parser=terraform", "--", "echo", "hi"],
        &[
            "once",
            "--parser=terraform",
            "--",
            "sh",
            "-c",
            "echo No changes. Your infrastructure matches the configuration.; exit 2",
        ],
        &["once", "--", "true"],
        &["health", "http://127.0.0.1:9/-/healthy"],
        &["once", "--", "/tmp"],
        &["once", "--parser=terraform-show", "--", "echo", "no"],
        &["once", "--parser=terraform-show", "--", "echo", "{\"format_version\":\"1.0\"}"],
        &["once", "--parser=terraform-json", "--", "echo", version],
        &["once", "--parser=terraform", "--", "printf", "%s", &two],
        &["once", "--parser=ansible", "--", "printf", "%s", nobody],
        &["once", "--parser=ansible", "--", "printf", "%s", &skipped],
        &["once", "--parser=ansible", "--", "echo", "h | SUCCESS => {"],
        &["once", "--parser=ansible", "--", "true"],
        &["once", "--parser=kubectl", "--", "sh", "-c", "echo error: no >&2"],
        &["once", "--parser=kubectl", "--", "sh", "-c", "sleep 60 & exit 0"],
        &["once", "--config.file", &own],
        &["once", "--parser=ansible", "--", "printf", "\\nPLAY [all] ***\\n"],
        &["once", "--parser=puppet", "--", "echo", "hi"],
        &["once", "--parser=kubectl", "--", "sh", "-c", "kubectl() { :; }; kubectl diff | cat"],
        &["once", "--", "kubectl", "diff", "-f", "-"],
        &["parse", "--parser=kubectl", "/dev/null"],
        &["serve", "--config.file", config, "--shard.total=2"],
        &["serve", "--config.file", config, &taken],
    ];
    for line in lines {
        told.see(&line.join(" "), line);
    }
    println!("{told}");
}
