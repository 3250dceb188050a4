//! The whole way: somebody changes a file, and a message in Slack's form names it; it is as defined again, and a message says so. With real tools, real
//! Prometheus and real Alertmanager, and what `deploy/` has for them, in the short times of `deploy/fast.sed`.

#[path = "support/infra.rs"]
mod infra;
#[path = "support/kube_api.rs"]
mod kube_api;
#[path = "support/prometheus.rs"]
mod prometheus;
mod support;

use infra::Infra;
use kube_api::KubeApi;
use prometheus::Prometheus;
use regex::Regex;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;
use support::{Folder, HANG, Listening, REQUIRED, Server, driftrun, poll, tool};

/// What stands in for Slack: takes messages, and says nothing.
struct Slack {
    address: String,
    messages: Receiver<Value>,
}

impl Slack {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, send) = (stream.unwrap(), send.clone());
                std::thread::spawn(move || take(stream, &send));
            }
        });
        Self { address, messages }
    }

    /// The next message about `check` that is sent to where drift is told.
    fn next(&self, check: &str) -> Message {
        loop {
            let message = self.messages.recv_timeout(HANG).unwrap_or_else(|error| panic!("{check}: {error}"));
            if message["channel"] != "#drift" {
                continue;
            }
            let message = Message::of(&message);
            if message.title.contains(&format!("] {check} (")) {
                return message;
            }
        }
    }
}

fn take(stream: TcpStream, send: &Sender<Value>) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line).unwrap() > 2 {
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    // The test may be over.
    let _ = send.send(serde_json::from_slice(&body).unwrap());
}

/// What people see of a message, with T for each time.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    title: String,
    link: String,
    color: String,
    text: String,
}

impl Message {
    fn of(message: &Value) -> Self {
        let [attachment] = &message["attachments"].as_array().unwrap()[..] else { panic!("{message}") };
        let part = |name: &str| attachment[name].as_str().unwrap().to_owned();
        let times = Regex::new(r"\b(\d+h )?(\d+m )?\d+(\.\d+)?m?s\b").unwrap();
        let text = times.replace_all(&part("text"), "T").into_owned();
        Self { title: part("title"), link: part("title_link"), color: part("color"), text }
    }

    fn new(title: &str, check: &str, color: &str, text: &str) -> Self {
        let link = format!("https://drift.example.com/checks/{check}");
        Self { title: title.to_owned(), link, color: color.to_owned(), text: text.to_owned() }
    }
}

/// A file of `deploy/`, made fast.
fn fast(name: &str) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let output = Command::new("sed").args(["-f", "fast.sed", name]).current_dir(deploy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `text` with its only `from` as `to`.
fn with(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

/// Prometheus and Alertmanager as `deploy/` configures them, and who gets the messages.
struct Alarm {
    folder: Folder,
    slack: Slack,
    alertmanager: Listening,
    prometheus: Prometheus,
}

impl Alarm {
    /// Watches the driftrun at `target`. `None` where a tool is missing.
    fn start(target: &str) -> Option<Self> {
        let (prometheus, alertmanager) = (tool("prometheus")?, tool("prometheus-alertmanager")?);
        let folder = Folder::new("alarm");
        let slack = Slack::start();
        let url = folder.write("slack-url", &format!("http://{}/slack", slack.address));
        let config = with(
            &fast("alertmanager/alertmanager.yaml"),
            "https://pager.example.com/driftrun",
            &format!("http://{}/pager", slack.address),
        )
        .replace("/etc/alertmanager/slack-url", url.to_str().unwrap());
        let config = folder.write("alertmanager.yaml", &config);
        folder.write("driftrun.tmpl", &fast("alertmanager/driftrun.tmpl"));
        folder.write("driftrun.rules.yaml", &fast("prometheus/driftrun.rules.yaml"));
        let alertmanager = Listening::start(
            Command::new(alertmanager)
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.path={}", folder.path().join("alertmanager").display()))
                .arg("--cluster.listen-address="),
        );
        let config = Self::config(&alertmanager, target);
        let prometheus = Prometheus::configured(&prometheus, &folder, &config);
        prometheus.wait_for_scrape();
        Some(Self { folder, slack, alertmanager, prometheus })
    }

    fn config(alertmanager: &Listening, target: &str) -> String {
        let config = with(&fast("prometheus/prometheus.yaml"), "localhost:9093", &alertmanager.address);
        with(&config, "localhost:9152", target)
    }

    /// From now on driftrun is somewhere else.
    fn watch(&self, target: &str) {
        self.prometheus.reload(&self.folder, &Self::config(&self.alertmanager, target));
    }

    /// Waits until Prometheus has what `query` (percent-encoded) asks for.
    fn until(&self, query: &str) {
        poll(|| !self.prometheus.query(query).is_empty());
    }
}

fn serve(config: &Path) -> Server {
    let flags = ["--web.external-url=https://drift.example.com"];
    Server::start(driftrun(), &["serve", "--config.file", config.to_str().unwrap()], &flags)
}

/// Tampers, and waits for the message; repairs, and waits for the next.
fn tampered_and_repaired(
    config: &Path,
    check: &str,
    tamper: impl FnOnce(),
    repair: impl FnOnce(),
) -> Option<[Message; 2]> {
    let mut server = serve(config);
    let alarm = Alarm::start(&server.address)?;
    server.wait_for_fresh_run(check);
    assert_eq!(server.scrape().good(check), ("clean".to_owned(), vec![]));
    alarm.until("check:driftrun_drift_resources:sum==0");
    let began = Instant::now();
    tamper();
    let drifted = alarm.slack.next(check);
    println!("{check}: {:.1} s from the tampered file to the message", began.elapsed().as_secs_f64());
    let began = Instant::now();
    repair();
    let resolved = alarm.slack.next(check);
    println!("{check}: {:.1} s from its repair to the message", began.elapsed().as_secs_f64());
    assert_eq!(server.stop(), Some(0));
    Some([drifted, resolved])
}

const TOLD: &str = "Check CHECK read everything T ago. \
    <https://driftrun.example.com/runbooks/DriftrunResourceDrifted.md|What to do>\n";

#[test]
fn terraform() {
    let infra = Infra::of("message", |folder| {
        let resource =
            "resource \"disk_file\" \"a\" {\n  path    = \"a\"\n  content = \"as defined\\n\"\n}\n";
        folder.write("main.tf", &format!("{REQUIRED}{resource}"));
    });
    let Some(infra) = infra else { return };
    let mut check = infra.shown("terradiff-prod", &json!([]));
    check["labels"] = json!({"layer": "infrastructure"});
    let config = infra.config(&[check]);
    let messages = tampered_and_repaired(
        &config,
        "terradiff-prod",
        || std::fs::write(infra.file("a"), "as somebody wanted it\n").unwrap(),
        || infra.apply(),
    );
    let Some(messages) = messages else { return };
    let told = TOLD.replace("CHECK", "terradiff-prod");
    let want = [
        Message::new(
            "[FIRING 1] terradiff-prod (infrastructure)",
            "terradiff-prod",
            "warning",
            &format!("• disk_file disk_file.a has drifted for T (update, changed outside). {told}"),
        ),
        Message::new(
            "[RESOLVED] terradiff-prod (infrastructure)",
            "terradiff-prod",
            "good",
            "• no more: DriftrunResourceDrifted disk_file.a\n",
        ),
    ];
    assert_eq!(messages, want);
}

#[test]
fn ansible() {
    let Some(ansible) = tool("ansible-playbook") else { return };
    let folder = Folder::new("message-ansible");
    let motd = folder.write("motd", "welcome\n");
    folder.write(
        "inventory",
        "web1 ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n",
    );
    let task = json!({"name": "Motd", "ansible.builtin.copy": {"content": "welcome\n", "dest": motd}});
    let playbook = json!([{"name": "Everything", "hosts": "all", "gather_facts": false, "tasks": [task]}]);
    folder.write("site.yml", &playbook.to_string());
    let config = json!({"checks": [{
        "name": "ansiblediff-prod",
        "command": [ansible, "-i", "inventory", "site.yml", "--check", "--diff"],
        "workdir": ".",
        "interval": "1s",
        "labels": {"layer": "cluster"},
        "env": {"HOME": folder.path(), "ANSIBLE_HOME": folder.path().join("ansible")},
    }]});
    let config = folder.write("driftrun.yaml", &config.to_string());
    let messages = tampered_and_repaired(
        &config,
        "ansiblediff-prod",
        || std::fs::write(&motd, "go away\n").unwrap(),
        || std::fs::write(&motd, "welcome\n").unwrap(),
    );
    let Some(messages) = messages else { return };
    let told = TOLD.replace("CHECK", "ansiblediff-prod");
    let want = [
        Message::new(
            "[FIRING 1] ansiblediff-prod (cluster)",
            "ansiblediff-prod",
            "warning",
            &format!("• Motd in web1 has drifted for T (change). {told}"),
        ),
        Message::new(
            "[RESOLVED] ansiblediff-prod (cluster)",
            "ansiblediff-prod",
            "good",
            "• no more: DriftrunResourceDrifted Motd in web1\n",
        ),
    ];
    assert_eq!(messages, want);
}

#[test]
fn kubectl() {
    let Some(kubectl) = tool("kubectl").filter(|_| tool("diff").is_some()) else { return };
    let api = KubeApi::start();
    let folder = Folder::new("message-kubectl");
    let settings = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value}, "metadata": {"name": "settings", "namespace": "shop"}});
    let manifest = folder.write("settings.json", &settings("1").to_string());
    let applied = |value: &str| {
        let mut object = settings(value);
        object["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/last-applied-configuration": settings("1").to_string() + "\n"});
        object
    };
    api.set_object(applied("1"));
    let config = json!({"checks": [{
        "name": "kubediff-prod",
        "command": [kubectl, "--kubeconfig", api.kubeconfig(folder.path()), "diff", "-f", manifest],
        "interval": "1s",
        "labels": {"layer": "application"},
        "env": {"HOME": folder.path()},
    }]});
    let config = folder.write("driftrun.yaml", &config.to_string());
    let messages = tampered_and_repaired(
        &config,
        "kubediff-prod",
        || api.set_object(applied("2")),
        || api.set_object(applied("1")),
    );
    let Some(messages) = messages else { return };
    let told = TOLD.replace("CHECK", "kubediff-prod");
    let want = [
        Message::new(
            "[FIRING 1] kubediff-prod (application)",
            "kubediff-prod",
            "warning",
            &format!("• ConfigMap settings in shop has drifted for T (update). {told}"),
        ),
        Message::new(
            "[RESOLVED] kubediff-prod (application)",
            "kubediff-prod",
            "good",
            "• no more: DriftrunResourceDrifted settings in shop\n",
        ),
    ];
    assert_eq!(messages, want);
}

/// A check of the lines of a file, each of which is a resource that drifts.
fn lines(folder: &Folder) -> (PathBuf, PathBuf) {
    let list = folder.write("list", "none\n");
    let config = json!({
        "checks": [{"name": "lines", "command": ["cat", list], "interval": "1s", "parser": "lines", "labels": {"layer": "base"}}],
        "parsers": {"lines": {"regex": r"^(?P<kind>\w+) (?P<name>\S+)$", "clean": "^none$"}},
    });
    let config = folder.write("driftrun.yaml", &config.to_string());
    (config, list)
}

#[test]
fn five_thousand_resources_are_one_message() {
    let folder = Folder::new("message-many");
    let (config, list) = lines(&folder);
    let many: Vec<String> = (0..5_000).map(|n| format!("file f{n}")).collect();
    let messages = tampered_and_repaired(
        &config,
        "lines",
        || std::fs::write(&list, many.join("\n") + "\n").unwrap(),
        || std::fs::write(&list, "none\n").unwrap(),
    );
    let Some(messages) = messages else { return };
    let text = "• 5000 resources of check lines have drifted. It has had drift for T. It read everything T ago. \
        <https://driftrun.example.com/runbooks/DriftrunCheckDrifted.md|What to do>\n";
    let want = [
        Message::new("[FIRING 1] lines (base)", "lines", "warning", text),
        Message::new("[RESOLVED] lines (base)", "lines", "good", "• no more: DriftrunCheckDrifted\n"),
    ];
    assert_eq!(messages, want);
}

#[test]
fn a_driftrun_that_is_moved_and_knows_nothing_neither_resolves_nor_repeats() {
    let folder = Folder::new("message-moved");
    let (config, list) = lines(&folder);
    std::fs::write(&list, "file a<!channel>&b\n").unwrap();
    let mut server = serve(&config);
    let Some(alarm) = Alarm::start(&server.address) else { return };
    let told = TOLD.replace("CHECK", "lines");
    let drifted = Message::new(
        "[FIRING 1] lines (base)",
        "lines",
        "warning",
        &format!("• file a&lt;!channel&gt;&amp;b has drifted for T (change). {told}"),
    );
    assert_eq!(alarm.slack.next("lines"), drifted);
    // Its end is seen by Prometheus, and takes longer than any alert goes on by itself.
    server.kill();
    alarm.until("up==0");
    alarm.until("absent_over_time(driftrun_check_info[4s])");
    let server = serve(&config);
    alarm.watch(&server.address);
    alarm.until(&format!("driftrun_resource_drift%7Binstance=\"{}\"%7D", server.address));
    std::fs::write(&list, "none\n").unwrap();
    let resolved = Message::new(
        "[RESOLVED] lines (base)",
        "lines",
        "good",
        "• no more: DriftrunResourceDrifted a&lt;!channel&gt;&amp;b\n",
    );
    assert_eq!(alarm.slack.next("lines"), resolved);
    assert_eq!(server.stop(), Some(0));
}
