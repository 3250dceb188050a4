//! Old and new versions of the real tools: driftrun's reading of what each prints is held against what was done.
//!
//! Knows what tests/run puts into `target/test-tools/versions/`; a version that isn't there is skipped, with a line.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Folder, REQUIRED, disk_files, driftrun, ended, tool, tools_required};

/// What a version of Terraform can be asked for, besides the text.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Forms {
    /// Before 0.12. Its providers speak a protocol that nobody but Go programs does, so it gets the null provider: nothing that could
    /// be edited from outside.
    Text,
    /// 0.12: `show -json PLANFILE`.
    Shown,
    /// 0.15.3: `plan -json` too. What changed outside stands in both since 0.15.4.
    Stream,
}

/// Versions from tests/run, the oldest first. `None`: the terraform on the search path, whatever its version.
const TERRAFORM: &[(Option<&str>, Forms)] = &[
    (Some("0.11.11"), Forms::Text),
    (Some("0.12.29"), Forms::Shown),
    (Some("0.14.6"), Forms::Shown),
    (Some("1.6.6"), Forms::Stream),
    (None, Forms::Stream),
    (Some("1.15.5"), Forms::Stream),
];

/// The oldest that runs on the Python of the tests, and the newest that does (which the other tests use, too).
const ANSIBLE: &[Option<&str>] = &[Some("2.9.27"), None];

/// Where tests/run puts them.
fn versions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/versions")
}

/// A tool of that version. `None`: skipped, and a line says so.
fn version_of(name: &str, version: Option<&str>) -> Option<PathBuf> {
    let Some(version) = version else { return tool(name) };
    let path = versions().join(format!("{name}-{version}")).join(name);
    if path.is_file() {
        let output = Command::new(&path)
            .arg("version")
            .arg("--version")
            .env("CHECKPOINT_DISABLE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.lines().next().unwrap_or_default();
        assert!(
            said.ends_with(version) || said.ends_with(&format!("v{version}")),
            "{}: {said:?}",
            path.display()
        );
        return Some(path);
    }
    assert!(!tools_required(), "{name} {version} is not installed, and DRIFTRUN_TOOLS=required");
    println!("skipped: {name} {version} is not installed");
    None
}

/// Runs `hold` on each, as many at once as there are processors; fails with the names of all that failed.
fn each<T: Copy + Sync>(items: &[T], name: impl Fn(T) -> String + Sync, hold: impl Fn(T) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(&item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hold(item)));
                    if let Err(panic) = ended {
                        let message = panic.downcast_ref::<String>().cloned();
                        let message =
                            message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                        failed.lock().unwrap().push(format!(
                            "{}: {}",
                            name(item),
                            message.unwrap_or_default()
                        ));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// What a document says: verdict, and of each resource source, name, action, attributes, outside.
fn said(document: &Value) -> Value {
    let one =
        |r: &Value| json!([r["source"], r["scope"], r["name"], r["action"], r["attributes"], r["outside"]]);
    let resources: Vec<_> = document["resources"].as_array().unwrap().iter().map(one).collect();
    json!([document["verdict"], resources])
}

/// `driftrun once` on these checks, in `folder`: exit code, and what each check says.
fn once(
    folder: &Folder,
    environment: &BTreeMap<&str, String>,
    checks: &BTreeMap<&str, Value>,
) -> (Option<i32>, Value) {
    let checks: Vec<_> =
        checks.iter().map(|(name, command)| json!({"name": name, "command": command})).collect();
    let config = json!({
        "defaults": {"workdir": ".", "interval": "1h", "env": environment},
        "max_concurrent": 1,
        "checks": checks,
    });
    let config = folder.write("driftrun.yaml", &config.to_string());
    let output = driftrun().args(["once", "--format", "json", "--config.file"]).arg(config).output().unwrap();
    let documents: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), documents)
}

/// What each check says.
fn all_said(documents: &Value) -> Value {
    let documents = documents.as_object().unwrap().iter();
    documents.map(|(name, document)| (name.clone(), said(document))).collect::<serde_json::Map<_, _>>().into()
}

/// A root module of one version of Terraform; its provider's files are in `files/`.
struct Root {
    folder: Folder,
    terraform: PathBuf,
    forms: Forms,
    environment: BTreeMap<&'static str, String>,
}

impl Root {
    fn new(name: &str, terraform: PathBuf, forms: Forms) -> Self {
        let folder = Folder::new(name);
        std::fs::create_dir(folder.path().join("files")).unwrap();
        let below = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        folder.write("terraform.rc", "");
        let environment = BTreeMap::from([
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            ("DISK_FOLDER", below("files")),
            ("HOME", below("")),
            ("TF_CLI_CONFIG_FILE", below("terraform.rc")),
        ]);
        Self { folder, terraform, forms, environment }
    }

    fn terraform(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.terraform);
        command.args(arguments).current_dir(self.folder.path()).envs(&self.environment).output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> Output {
        let output = self.terraform(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// `terraform init` with the plugins of tests/run only, and `apply`.
    fn applied(&self) {
        let plugins = format!("-plugin-dir={}", versions().join("plugins").display());
        self.succeeds(&["init", "-input=false", "-no-color", &plugins]);
        self.succeeds(&["apply", "-auto-approve", "-input=false", "-no-color"]);
    }

    /// The exit code of `driftrun once`, and what the text, the stream and the plan file of the text's plan say.
    fn read(&self) -> (Option<i32>, Value) {
        let plan = |flags: &[&str]| {
            let mut argv =
                vec![self.terraform.to_str().unwrap(), "plan", "-input=false", "-lock=false", "-no-color"];
            argv.push("-detailed-exitcode");
            argv.extend(flags);
            json!(argv)
        };
        let mut checks = BTreeMap::from([("text", plan(&["-out=plan"]))]);
        if self.forms >= Forms::Stream {
            checks.insert("stream", plan(&["-json"]));
        }
        let (code, documents) = once(&self.folder, &self.environment, &checks);
        let mut said = all_said(&documents);
        let verdict = said["text"][0].clone();
        if self.forms >= Forms::Shown && verdict != "failed" {
            let shown = self.succeeds(&["show", "-json", "plan"]).stdout;
            let shown = self.folder.write("shown.json", std::str::from_utf8(&shown).unwrap());
            let exit = if verdict == "drifted" { "2" } else { "0" };
            let parse = ["parse", "--format", "json", "--parser", "terraform-show", "--exit-code", exit];
            let (stdout, stderr, read) = ended(&[&parse[..], &[shown.to_str().unwrap()]].concat());
            let document = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
            assert_eq!(read, code);
            said["shown"] = self::said(&document);
        }
        (code, said)
    }

    /// The same verdict without a resource in every form that can be had.
    fn nothing(&self, verdict: &str) -> Value {
        let mut forms = vec!["text"];
        forms.extend((self.forms >= Forms::Stream).then_some("stream"));
        forms.extend((self.forms >= Forms::Shown && verdict != "failed").then_some("shown"));
        forms
            .into_iter()
            .map(|form| (form.to_owned(), json!([verdict, []])))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// 0.12 knows no addresses of providers.
fn required(version: &str) -> &'static str {
    if version == "0.12.29" { "" } else { REQUIRED }
}

/// Not initialised, applied, changed in the configuration and behind Terraform's back, and broken.
fn hold_with_a_provider(version: &str, root: &Root) {
    disk_files(&root.folder, required(version), "welcome");
    assert_eq!(root.read(), (Some(1), root.nothing("failed")), "before init");
    root.applied();
    assert_eq!(root.read(), (Some(0), root.nothing("clean")), "after apply");

    disk_files(&root.folder, required(version), "good evening");
    let file = |name: &str| root.folder.path().join("files").join(name);
    std::fs::write(file("odd"), "this is something else\n").unwrap();
    std::fs::remove_file(file("conf")).unwrap();
    let (odd, motd, conf) =
        ("disk_file.each[\"a \\\"b\\\"\"]", "disk_file.motd", "module.inner.disk_file.conf");
    // The stream tells no attributes; what changed outside is in no text unless another resource's change depends on it.
    let planned = |content: &Value, outside: bool| {
        vec![
            json!(["plan", "", odd, "update", content, outside]),
            json!(["plan", "", motd, "update", content, false]),
            json!(["plan", "module.inner", conf, "create", null, outside]),
        ]
    };
    let outside = |content: &Value| {
        vec![
            json!(["refresh", "", odd, "update", content, false]),
            json!(["refresh", "module.inner", conf, "delete", null, false]),
        ]
    };
    let content = json!(["content"]);
    let mut expected = json!({"text": ["drifted", planned(&content, false)]});
    if root.forms == Forms::Stream {
        let both = |content: &Value| {
            json!(["drifted", planned(content, true).into_iter().chain(outside(content)).collect::<Vec<_>>()])
        };
        (expected["shown"], expected["stream"]) = (both(&content), both(&Value::Null));
    } else {
        expected["shown"] = json!(["drifted", planned(&content, false)]);
    }
    assert_eq!(root.read(), (Some(2), expected), "changed and tampered with");

    root.folder.write("broken.tf", "resource \"disk_file\" {\n");
    assert_eq!(root.read(), (Some(1), root.nothing("failed")), "a syntax error");
}

/// The same without anything that could be edited: a replacement, a removal, an addition.
fn hold_with_null_resources(root: &Root) {
    let main = |trigger: &str, other: &str| {
        let main = "resource \"null_resource\" \"a\" {\n  count = 2\n  triggers = { k = \"TRIGGER\" }\n}\nresource \"null_resource\" \"OTHER\" {}\n";
        root.folder.write("main.tf", &main.replace("TRIGGER", trigger).replace("OTHER", other));
    };
    main("1", "gone");
    assert_eq!(root.read(), (Some(1), root.nothing("failed")), "before init");
    root.applied();
    assert_eq!(root.read(), (Some(0), root.nothing("clean")), "after apply");
    main("${1 + count.index}", "new");
    let planned =
        |name: &str, action: &str, attributes: Value| json!(["plan", "", name, action, attributes, false]);
    let planned = [
        planned("null_resource.a[1]", "replace", json!(["id", "triggers.k"])),
        planned("null_resource.gone", "delete", Value::Null),
        planned("null_resource.new", "create", Value::Null),
    ];
    assert_eq!(root.read(), (Some(2), json!({"text": ["drifted", planned]})), "changed");
    root.folder.write("broken.tf", "resource \"null_resource\" {\n");
    assert_eq!(root.read(), (Some(1), root.nothing("failed")), "a syntax error");
}

#[test]
fn what_each_terraform_prints_is_read_as_what_was_done() {
    let name = |(version, _): (Option<&str>, Forms)| {
        format!("terraform {}", version.unwrap_or("on the search path"))
    };
    each(TERRAFORM, name, |(version, forms)| {
        let Some(terraform) = version_of("terraform", version) else { return };
        let root = Root::new("versions", terraform, forms);
        if forms == Forms::Text {
            hold_with_null_resources(&root);
        } else {
            hold_with_a_provider(version.unwrap_or_default(), &root);
        }
    });
}

const PLAYBOOK: &str = r#"
- name: Everything
  hosts: all
  gather_facts: false
  tasks:
    - name: Motd
      copy: { content: "Welcome to {{ inventory_hostname }}\n", dest: "{{ folder }}/motd" }
      notify: Restarted
    - name: Loop
      copy: { content: "{{ item }}\n", dest: "{{ folder }}/{{ item }}" }
      loop: [one, two]
    - name: Skipped
      copy: { content: "no\n", dest: "{{ folder }}/no" }
      when: false
    - name: Fails
      fail: { msg: on purpose }
      ignore_errors: true
  handlers:
    - name: Restarted
      copy: { content: "restarted\n", dest: "{{ folder }}/restarted" }
- name: Free
  hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - name: Settings
      lineinfile: { path: "{{ folder }}/settings", line: log=on }
"#;

/// Two hosts that have what the playbook says, edited behind its back, and one of them out of reach.
fn hold_ansible(version: &str, ansible: &Path) {
    let folder = Folder::new("versions-ansible");
    folder.write("site.yml", PLAYBOOK);
    for host in ["db1", "web1"] {
        let motd = format!("Welcome to {host}\n");
        let files = [("motd", &*motd), ("one", "one\n"), ("two", "two\n"), ("settings", "log=on\n")];
        for (name, text) in files {
            folder.write(&format!("hosts/{host}/{name}"), text);
        }
    }
    let hosts = folder.path().join("hosts");
    let inventory = |db1: &str| {
        let text = format!(
            "db1 {db1}\nweb1 ansible_connection=local\n\n[all:vars]\nansible_python_interpreter={{{{ ansible_playbook_python }}}}\n\
             folder={}/{{{{ inventory_hostname }}}}\n",
            hosts.display()
        );
        folder.write("inventory", &text);
    };
    inventory("ansible_connection=local");
    let below = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let environment = BTreeMap::from([
        ("ANSIBLE_HOME", below("ansible-home")),
        // Faster, and nothing else.
        ("ANSIBLE_PIPELINING", "true".to_owned()),
        ("HOME", below("")),
    ]);
    let playbook = json!([ansible, "-i", "inventory", "site.yml", "--check", "--diff"]);
    let default = BTreeMap::from([("default", playbook.clone())]);
    let mut formats = default.clone();
    // Since ansible-core 2.13.
    if version != "2.9.27" {
        let mut yaml = vec![json!("env"), json!("ANSIBLE_CALLBACK_RESULT_FORMAT=yaml")];
        yaml.extend(playbook.as_array().unwrap().iter().cloned());
        formats.insert("yaml", json!(yaml));
    }
    let read = |checks: &BTreeMap<&str, Value>| {
        let (code, documents) = once(&folder, &environment, checks);
        let documents = documents.as_object().unwrap().iter();
        let one = |document: &Value| json!([said(document), document["scopes"]]);
        let documents: BTreeMap<_, _> =
            documents.map(|(name, document)| (name.clone(), one(document))).collect();
        (code, documents)
    };
    let each = |checks: &BTreeMap<&str, Value>, said: &Value| -> BTreeMap<String, Value> {
        checks.keys().map(|name| ((*name).to_owned(), said.clone())).collect()
    };
    let both = json!({"read": ["db1", "web1"], "unread": []});
    let clean = json!([["clean", []], both]);
    assert_eq!(read(&default), (Some(0), each(&default, &clean)), "as the playbook says");

    folder.write("hosts/web1/motd", "Welcome, stranger\n");
    folder.write("hosts/web1/two", "three\n");
    folder.write("hosts/db1/settings", "log=off\n");
    let drift =
        |host: &str, task: &str, attributes: Value| json!(["plan", host, task, "change", attributes, false]);
    let web1 = ["Loop", "Motd", "Restarted"].map(|task| drift("web1", task, Value::Null)).to_vec();
    // The one diff that says of itself what it shows.
    let mut drifted = vec![drift("db1", "Settings", json!(["content"]))];
    drifted.extend(web1.clone());
    let drifted = json!([["drifted", drifted], both]);
    assert_eq!(read(&formats), (Some(2), each(&formats, &drifted)), "tampered with");

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    inventory(&format!(
        "ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_common_args='-o ConnectTimeout=5 -F none'"
    ));
    let scopes = json!({"read": ["web1"], "unread": [{"scope": "db1", "reason": "unreachable"}]});
    let partial = json!([["partial", web1], scopes]);
    assert_eq!(read(&default), (Some(1), each(&default, &partial)), "out of reach");
}

#[test]
fn what_each_ansible_prints_is_read_as_what_was_done() {
    let name = |version: Option<&str>| format!("ansible {}", version.unwrap_or("of the other tests"));
    each(ANSIBLE, name, |version| {
        let (Some(ansible), Some(_)) = (version_of("ansible-playbook", version), tool("ssh")) else {
            return;
        };
        hold_ansible(version.unwrap_or_default(), &ansible);
    });
}
