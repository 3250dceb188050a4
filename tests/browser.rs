//! The pages in a real browser: what people see with and without JavaScript, in the dark, on a phone, by keyboard, and what an output may do there.
//!
//! Knows which server a scenario wants, and how to start one. What is looked for is in `tests/browser/`, which sees nothing but the pages.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use support::{Folder, HANG, Server, tool};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whatever an output could try, each element with the class that `tests/browser/scenarios.py` looks for.
const MARKUP: &str = concat!(
    "</pre></main><script class=pwned>window.__pwned = 1; alert(1)</script>",
    "<img class=pwned src=/x onerror=\"window.__pwned = 1\"><svg class=pwned onload=\"window.__pwned = 1\">",
    "<iframe class=pwned srcdoc=\"<script>parent.__pwned = 1</script>\"></iframe>",
    "<base class=pwned href=\"http://127.0.0.2/\"><style class=pwned>* { display: none }</style>",
    "<meta class=pwned http-equiv=refresh content=\"0;url=/-/healthy\">",
    "<a class=pwned href=\"javascript:window.__pwned = 1\">here</a></title></textarea><!-- ]]>",
    "&lt;script&gt; &#60;script>\" onload=\"window.__pwned = 1",
);

/// For terminals: a colour, a title, a link, a clear screen, hidden text. Then NUL, text that runs the other way, no UTF-8, and going back.
const BYTES: &[u8] = b"\x1b[31mred\x1b]0;title\x07\x1b]8;;http://127.0.0.2/\x1b\\link\x1b[2J\x1b[8m \
    \0 \xe2\x80\xae desrever \xe2\x81\xa7 \xff\xfe \xc3 \xed\xa0\x80 \r over \x08\x08";

/// A scenario's process, and with it the browser: neither outlives the test.
struct Group(Child);

impl Group {
    /// Its end; nothing if it hangs.
    fn end(&mut self) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < HANG {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// The browser and what drives it, or a line that says why the test is skipped.
fn tools() -> Option<(PathBuf, PathBuf)> {
    Some((tool("python-of-tests")?, tool("chromium")?))
}

/// Runs a scenario against the server to its end. `gate`: what holds up a run until somebody writes there.
fn plays(scenario: &str, (python, chromium): &(PathBuf, PathBuf), server: &Server, gate: &Path) {
    let folder = Folder::new(scenario);
    let path = folder.path().join("said");
    let said = File::create(&path).unwrap();
    let mut command = Command::new(python);
    command
        .arg(Path::new(ROOT).join("tests/browser/run.py"))
        .args([scenario, &format!("http://{}", server.address)])
        .arg(Path::new(ROOT).join("target/screenshots"))
        .env("CHROMIUM", chromium)
        .env("GATE", gate)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .process_group(0);
    let end = Group(command.spawn().unwrap()).end();
    println!("{}", std::fs::read_to_string(path).unwrap());
    let end = end.unwrap_or_else(|| panic!("{scenario} hangs"));
    assert!(end.success(), "{scenario}: {end}; what it said is above");
}

/// Serves a configuration until that many checks have run.
fn serve(config: &Path, checks: usize) -> Server {
    let mut server = Server::serve(config);
    let mut ran = BTreeSet::new();
    while ran.len() < checks {
        let line = server.wait_for("msg=run check=");
        ran.insert(line.split("check=").nth(1).unwrap().split(' ').next().unwrap().to_owned());
    }
    server
}

/// Plays a scenario with the checks of examples/demo, each of which runs once.
fn with_the_demo(scenario: &str) {
    let Some(tools) = tools() else { return };
    let demo = Path::new(ROOT).join("examples/demo");
    let text = std::fs::read_to_string(demo.join("driftrun.yaml")).unwrap();
    let quick = "defaults: { interval: 5s,";
    assert!(text.contains(quick), "{text}");
    let once = format!("defaults: {{ workdir: '{}', interval: 1d, splay: 0s,", demo.display());
    let folder = Folder::new("demo");
    let server = serve(&folder.write("driftrun.yaml", &text.replace(quick, &once)), 8);
    plays(scenario, &tools, &server, Path::new(""));
}

/// Plays a scenario with a check that has run once, can be asked to run, and then waits for the gate.
fn with_a_gate(scenario: &str) {
    let Some(tools) = tools() else { return };
    let folder = Folder::new(scenario);
    let gate = folder.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let config = folder.write(
        "driftrun.yaml",
        r#"
state_dir: state
defaults: { interval: 1d, splay: 0s, parser: lines }
checks:
- name: gated
  shell: |
    if [ ! -e ran ]; then touch ran; echo none; exit 0; fi
    echo "first <b>line</b>"
    echo "a warning" >&2
    cat gate
    echo "drift db"
parsers: { lines: { regex: '^drift (?P<name>.+)$', clean: '^none$' } }
"#,
    );
    let mut command = support::driftrun();
    command.args(["serve", "--config.file", config.to_str().unwrap(), "--web.enable-lifecycle"]);
    command.arg("--web.listen-address=127.0.0.1:0");
    let mut server = Server::of(command);
    server.wait_for_run("gated");
    plays(scenario, &tools, &server, &gate);
}

#[test]
fn a_list_follows_what_is_typed_and_chosen() {
    with_the_demo("filter");
}

#[test]
fn each_resource_opens_its_own_diff() {
    with_the_demo("diff");
}

#[test]
fn a_run_is_asked_for_and_followed_on_the_page() {
    with_a_gate("live");
}

#[test]
fn a_run_is_asked_for_without_scripts() {
    with_a_gate("run_now");
}

#[test]
fn the_overview_shows_every_check_and_leads_to_it() {
    with_the_demo("overview");
}

#[test]
fn the_page_of_a_check_shows_its_drift_and_its_output() {
    with_the_demo("check");
}

/// `UPDATE_DOCS=1` puts them there.
#[test]
fn the_readme_has_pictures_of_these_pages() {
    with_the_demo("readme");
    let images = Path::new(ROOT).join("docs/images");
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    for name in ["overview", "check"] {
        let image = images.join(format!("{name}.png"));
        let made = Path::new(ROOT).join(format!("target/screenshots/readme-{name}.png"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&images).unwrap();
            std::fs::copy(&made, &image).unwrap();
        }
        assert!(std::fs::read(image).unwrap().starts_with(b"\x89PNG"), "{name}");
        assert!(readme.contains(&format!("(docs/images/{name}.png)")), "{name}");
    }
}

#[test]
fn pages_are_dark_for_who_prefers_it() {
    with_the_demo("dark");
}

#[test]
fn pages_show_everything_without_scripts() {
    with_the_demo("no_script");
}

#[test]
fn pages_fit_a_phone() {
    with_the_demo("phone");
}

#[test]
fn the_keyboard_reaches_every_link() {
    with_the_demo("keyboard");
}

#[test]
fn scenarios_can_fail() {
    with_the_demo("watch");
}

#[test]
fn nothing_in_an_output_runs_or_spoils_a_page() {
    let Some(tools) = tools() else { return };
    let folder = Folder::new("hostile");
    let mut flood = [MARKUP.as_bytes(), b"\n", BYTES, b"\n"].concat();
    for number in 0..100_000 {
        flood.extend(format!("line {number} of a flood, 50 bytes or so, 5 MB in all\n").bytes());
    }
    let mut wide = b"one line without end ".repeat(250_000);
    wide.extend([MARKUP.as_bytes(), BYTES].concat());
    let names = [
        b"drift ",
        MARKUP.as_bytes(),
        "\ndrift \u{202e}desrever".as_bytes(),
        b"\ndrift ",
        "x".repeat(5_000).as_bytes(),
        b"\n",
    ]
    .concat();
    for (name, bytes) in [("flood", &flood), ("wide", &wide), ("names", &names)] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("markup"), [MARKUP.as_bytes(), BYTES].concat()).unwrap();
    let config = folder.write(
        "driftrun.yaml",
        r#"
defaults: { interval: 1d, splay: 0s, parser: none }
checks:
- { name: flood, command: [cat, flood] }
- { name: wide, command: [cat, wide] }
- { name: names, command: [cat, names], parser: lines }
- { name: broken, shell: "cat markup >&2; exit 1", labels: { note: "</span><script class=pwned>window.__pwned = 1</script>" } }
parsers: { lines: { regex: '^drift (?P<name>.+)$', clean: '^none$' } }
"#,
    );
    let server = serve(&config, 4);
    plays("hostile", &tools, &server, Path::new(""));
}
