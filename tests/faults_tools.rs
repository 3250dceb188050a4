//! The fault matrix, real tools: ansible, terraform and kubectl at their deadline while what they started hangs. All that they started is ended,
//! also what has left their process group, and what they put into temporary folders is gone.

#[path = "support/host.rs"]
mod host;
#[path = "support/kube_api.rs"]
mod kube_api;
mod support;

use host::{Ended, Host, until};
use kube_api::KubeApi;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::process::Command;
use support::{REQUIRED, disk_files, tool};

/// A tool has begun its work long before.
const DEADLINE: &str = "15s";

/// The outcome of a tool that was ended; what it said and whom the sweep met is its own.
fn expected(ended: &Ended) -> Ended {
    let Ended { reason, stdout, stderr, leftover, .. } = ended.clone();
    assert!(
        reason.as_ref().is_some_and(|reason| reason.starts_with("still running after 15s")),
        "{reason:?}"
    );
    Ended { reason, stdout, stderr, leftover, ..Ended::timed_out(DEADLINE) }
}

/// How many processes of the run are called so.
fn running(host: &Host, name: &str) -> usize {
    let all = host.survivors();
    all.iter().filter(|process| process.contains(&format!("{name:?}"))).count()
}

/// `ansible-core` puts each worker into a session of its own, where no signal to the group reaches it.
fn ansible(name: &str, grace: &str) {
    let Some(ansible) = tool("ansible-playbook") else { return };
    let mut host = Host::start(name);
    let path = host.folder.path().to_owned();
    let playbook = json!([{"hosts": "all", "gather_facts": false, "tasks": [
        {"name": "Slow", "ansible.builtin.shell": "exec sleep 9000", "check_mode": false},
    ]}]);
    host.folder.write("site.yml", &playbook.to_string());
    let variables =
        "[all:vars]\nansible_python_interpreter={{ ansible_playbook_python }}\nansible_connection=local\n";
    host.folder.write("inventory", &format!("a\nb\nc\n\n{variables}"));
    let check = host.begin(json!({
        "command": [ansible, "-i", "inventory", "site.yml", "--check", "--diff"],
        "env": {"HOME": path, "ANSIBLE_HOME": path.join("ansible-home")},
        "parser": "ansible", "timeout": DEADLINE, "kill_grace": grace,
    }));
    until("the tasks of all three hosts", || running(&host, "sleep") == 3);
    let ended = host.ended(&check);
    assert_eq!(ended, expected(&ended));
    host.assert_calm();
    host.stop();
}

#[test]
fn ansible_in_a_slow_task_ends_with_its_workers() {
    ansible("ansible", "1m");
}

#[test]
fn ansible_that_is_killed_at_once_leaves_no_worker() {
    ansible("ansible-killed", "1ms");
}

#[test]
fn terraform_whose_provider_hangs_is_killed_with_it() {
    let (Some(terraform), Some(provider)) = (tool("terraform"), tool("terraform-provider-disk")) else {
        return;
    };
    let mut host = Host::start("terraform");
    let folder = &host.folder;
    let overrides = json!(provider.parent().unwrap());
    folder.write(
        "terraform.rc",
        &format!("provider_installation {{\n  dev_overrides {{ \"example.com/test/disk\" = {overrides} }}\n  direct {{}}\n}}\n"),
    );
    disk_files(folder, REQUIRED, "welcome");
    let path = folder.path().to_owned();
    fs::create_dir(path.join("files")).unwrap();
    let environment = [
        ("CHECKPOINT_DISABLE", "1".into()),
        ("DISK_FOLDER", path.join("files")),
        ("HOME", path.clone()),
        ("TF_CLI_CONFIG_FILE", path.join("terraform.rc")),
    ];
    for arguments in [&["get"][..], &["apply", "-auto-approve", "-input=false"]] {
        let mut command = Command::new(&terraform);
        let output = command.args(arguments).current_dir(&path).envs(environment.clone()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    // The provider waits for whoever writes into this file, and then for the end of what is written.
    let motd = path.join("files/motd");
    fs::remove_file(&motd).unwrap();
    assert!(Command::new("mkfifo").arg(&motd).status().unwrap().success());
    let environment: serde_json::Map<String, serde_json::Value> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let check = host.begin(json!({
        "command": [terraform, "plan", "-input=false", "-lock=false", "-no-color", "-detailed-exitcode"],
        "env": environment, "parser": "terraform", "timeout": DEADLINE, "kill_grace": "1s",
    }));
    // A pipe that nobody reads is an error then, and not waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut pipe = None;
    until("the provider to read", || {
        let opened = OpenOptions::new().write(true).custom_flags(nonblock).open(&motd);
        pipe = opened.ok();
        pipe.is_some()
    });
    let ended = host.ended(&check);
    assert_eq!(ended, expected(&ended));
    host.assert_calm();
    drop(pipe);
    host.stop();
}

#[test]
fn kubectl_whose_differ_hangs_leaves_neither_it_nor_folders() {
    let Some(kubectl) = tool("kubectl") else { return };
    let api = KubeApi::start();
    let mut host = Host::start("kubectl");
    let path = host.folder.path().to_owned();
    let kubeconfig = api.kubeconfig(&path);
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}, "metadata": {"name": "settings", "namespace": "shop"}});
    api.set_object(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "2"}, "metadata": {"name": "settings", "namespace": "shop"}}));
    let manifest = host.folder.write("manifest.json", &manifest.to_string());
    // A group of its own, as an editor has.
    let differ = host.folder.write("differ", "#!/bin/sh\necho \"$@\" > \"$HOME/up.new\"; mv \"$HOME/up.new\" \"$HOME/up\"; setsid sleep 9000 & exec sleep 9000\n");
    fs::set_permissions(&differ, fs::Permissions::from_mode(0o755)).unwrap();
    let check = host.begin(json!({
        "command": [kubectl, "--kubeconfig", kubeconfig, "diff", "-f", manifest],
        "env": {"HOME": path, "KUBECTL_EXTERNAL_DIFF": differ},
        "parser": "kubectl", "timeout": DEADLINE, "kill_grace": "1m",
    }));
    host.wait_for_file("up");
    // They are in the run's private folder, which goes with it.
    let folders = fs::read_to_string(path.join("up")).unwrap();
    let folders: Vec<&str> = folders.split_whitespace().collect();
    assert_eq!(folders.len(), 2, "{folders:?}");
    for folder in &folders {
        assert!(
            folder.starts_with(&*path.join("tmp").to_string_lossy()) && fs::exists(folder).unwrap(),
            "{folder}"
        );
    }
    let ended = host.ended(&check);
    assert_eq!(ended, expected(&ended));
    for folder in &folders {
        assert!(!fs::exists(folder).unwrap(), "{folder}");
    }
    host.assert_calm();
    host.stop();
}
