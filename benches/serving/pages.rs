//! What a look at the pages costs: the overview of 2,000 checks, a check with 10,000 drifting resources, one with a long output; and the same over the API.
//! Beside nginx with the same bytes as a file, which has nothing to render.

use super::beside::{Asked, Ended, free_address, get, megabytes, memory, nginx, tools};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const CHECKS: usize = 2_000;
const RESOURCES: usize = 10_000;

/// Removed with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn pages() {
    let folder = Folder(std::env::temp_dir().join(format!("driftrun-pages-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let (server, address) = start(&folder);
    let after = 2_000 + 2;
    let began = Instant::now();
    while ran(&address) < after {
        assert!(began.elapsed() < Duration::from_mins(5), "the checks don't run");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "pages: {CHECKS} checks, each of which drifts; driftrun has {:.0} MiB",
        memory(&server, "VmRSS:")
    );
    let Some(tools) = tools() else { return };
    for (what, path) in [
        ("overview, first page", "/"),
        ("overview, last page by name from the end", "/?sort=-name&page=20"),
        ("overview, filtered by text", "/?q=c-19"),
        ("a check with 10,000 resources", "/checks/large"),
        ("the same, filtered", "/checks/large?q=item-0999"),
        ("a check with 1 MiB of output", "/checks/long"),
        ("API, 1,000 checks", "/api/v1/checks?limit=1000"),
        ("API, 1,000 resources", "/api/v1/checks/large/resources?limit=1000"),
    ] {
        let body = get(&address, path, "").unwrap();
        let packed = get(&address, path, "Accept-Encoding: gzip\r\n").unwrap();
        println!(" {what}: {:.2} MB, {:.3} MB as gzip", megabytes(body.len()), megabytes(packed.len()));
        for (how, gzip) in [("", false), (", gzip", true)] {
            let page = Asked::of(&tools, &address, &server, path, gzip);
            let file = nginx(&tools, &folder.0, "page", &body, &packed);
            let file = Asked::of(&tools, &file.1, &file.0, "/page", gzip);
            page.print(&format!("driftrun{how}"), Some(page.ratio(&file)));
        }
    }
    println!(
        "  driftrun has {:.0} MiB afterwards, at most {:.0} MiB",
        memory(&server, "VmRSS:"),
        memory(&server, "VmHWM:")
    );
}

fn start(folder: &Folder) -> (Ended, String) {
    let item = |n: usize| {
        format!("module.network/aws_instance/module.network.aws_instance.web[\"item-{n:06}\"] update\n")
    };
    let few: String = (0..3).map(item).collect::<Vec<_>>().concat();
    let many: String = (0..RESOURCES).map(item).collect::<Vec<_>>().concat();
    let long: String =
        (0..30_000).map(|n| format!("line {n} of an output that is long\n")).collect::<Vec<_>>().concat()
            + &item(0);
    for (name, text) in [("few", few), ("many", many), ("long", long)] {
        std::fs::write(folder.0.join(name), text).unwrap();
    }
    let mut text =
        "max_total_resources: 1000000\ndefaults: { interval: 10h, splay: 0s, parser: lines }\nchecks:\n"
            .to_owned();
    for n in 0..CHECKS {
        let _ = writeln!(
            text,
            "- {{ name: c-{n:04}, command: [cat, few], labels: {{ env: e{}, team: t{} }} }}",
            n % 5,
            n % 20
        );
    }
    text += "- { name: large, command: [cat, many], max_resources: 20000 }\n- { name: long, command: [cat, long] }\n";
    text += r"parsers: { lines: { regex: '^(?P<scope>[^/]+)/(?P<kind>[^/]+)/(?P<name>\S+) (?P<action>\w+)$', clean: '^none$' } }";
    let (config, address) = (folder.0.join("driftrun.yaml"), free_address());
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftrun"));
    command.args(["serve", "--log.level=error", "--web.listen-address", &address, "--config.file"]);
    (Ended::start(command.arg(config)), address)
}

/// How many checks have run.
fn ran(address: &str) -> usize {
    let text = get(address, "/metrics", "").map(|body| String::from_utf8(body).unwrap()).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("driftrun_check_success{") && line.ends_with(" 1")).count()
}
