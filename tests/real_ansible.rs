//! Real ansible-playbook on hosts that are folders of this machine, run by driftrun: what somebody edits on a host is in the next
//! scrape with its host and task, and a host that can't be reached keeps what was last known of it.

mod support;

use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use support::{Folder, Server, tool};

const PLAYBOOK: &str = r#"
- name: Everything
  hosts: all
  gather_facts: false
  tasks:
    - name: Motd
      ansible.builtin.template: { src: motd.j2, dest: "{{ folder }}/motd" }
- name: Databases
  hosts: db*
  gather_facts: false
  tasks:
    - name: Settings
      ansible.builtin.copy: { content: "a = 1\n", dest: "{{ folder }}/settings" }
- name: Webservers
  hosts: web*
  gather_facts: false
  tasks:
    - name: Logging is "on"
      ansible.builtin.lineinfile: { path: "{{ folder }}/logging", line: log=on, create: true, mode: "0644" }
"#;

/// Three hosts that have what the playbook says.
struct Hosts {
    folder: Folder,
    ansible: PathBuf,
}

impl Hosts {
    /// `None` where a tool is missing.
    fn converged(name: &str) -> Option<Self> {
        let (ansible, _) = (tool("ansible-playbook")?, tool("ssh")?);
        let folder = Folder::new(name);
        folder.write("site.yml", PLAYBOOK);
        folder.write("motd.j2", "Welcome to {{ inventory_hostname }}\n");
        for host in ["db1", "web1", "web2"] {
            std::fs::create_dir_all(folder.path().join("hosts").join(host)).unwrap();
        }
        let hosts = Self { folder, ansible };
        hosts.inventory("ansible_connection=local");
        hosts.converge("all");
        Some(hosts)
    }

    /// Writes the inventory; `db1` is reached in a way of its own.
    fn inventory(&self, db1: &str) {
        let hosts = self.folder.path().join("hosts");
        let hosts = hosts.display();
        self.folder.write(
            "inventory",
            &format!(
                "db1 {db1}\nweb1 ansible_connection=local\nweb2 ansible_connection=local\n\n\
                 [all:vars]\nansible_python_interpreter={{{{ ansible_playbook_python }}}}\nfolder={hosts}/{{{{ inventory_hostname }}}}\n"
            ),
        );
    }

    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        let path = self.folder.path();
        [("HOME", path.to_owned()), ("ANSIBLE_HOME", path.join("ansible-home"))]
    }

    fn converge(&self, limit: &str) {
        let output = Command::new(&self.ansible)
            .args(["-i", "inventory", "site.yml", "--limit", limit])
            .current_dir(self.folder.path())
            .envs(self.environment())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Somebody writes a file on a host.
    fn write(&self, host: &str, file: &str, text: &str) {
        self.folder.write(&format!("hosts/{host}/{file}"), text);
    }

    fn config(&self) -> PathBuf {
        let config = json!({"checks": [{
            "name": "ansiblediff",
            "command": [self.ansible, "-i", "inventory", "site.yml", "--check", "--diff"],
            "workdir": ".",
            "interval": "1s",
            "env": self.environment().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }]});
        self.folder.write("driftrun.yaml", &config.to_string())
    }
}

/// A port of the loopback where nobody listens.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn hosts_that_drift_are_named_and_one_out_of_reach_keeps_what_was_known() {
    const CHECKS: &[&str] = &["ansiblediff"];
    let Some(hosts) = Hosts::converged("ansible") else { return };
    let mut server = Server::serve(&hosts.config());
    server.wait_for_run("ansiblediff");
    assert_eq!(server.scrape().good("ansiblediff"), ("clean".to_owned(), vec![]));

    let drift = |host: &str, task: &str| {
        format!("scope=\"{host}\",kind=\"\",name=\"{task}\",action=\"change\",outside=\"false\"")
    };
    hosts.write("web1", "motd", "Welcome, stranger\n");
    hosts.write("db1", "settings", "a = 2\n");
    server.wait_for_fresh_runs(CHECKS);
    let (settings, motd) = (drift("db1", "Settings"), drift("web1", "Motd"));
    assert_eq!(server.scrape().good("ansiblediff"), ("drifted".to_owned(), vec![settings.clone(), motd]));

    let port = closed_port();
    hosts.inventory(&format!(
        "ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_common_args='-o ConnectTimeout=5 -F none'"
    ));
    hosts.converge("web1");
    hosts.write("web2", "logging", "log=off\n");
    server.wait_for_fresh_runs(CHECKS);
    let scrape = server.scrape();
    let logging = drift("web2", "Logging is \\\"on\\\"");
    assert_eq!(
        (scrape.verdict("ansiblediff").as_deref(), scrape.drift("ansiblediff")),
        (Some("partial"), vec![settings, logging])
    );
    let unread = scrape.samples("driftrun_scope_unread", "ansiblediff");
    assert_eq!(unread.into_keys().collect::<Vec<_>>(), [r#"scope="db1",reason="unreachable""#]);
    let scopes = scrape.samples("driftrun_check_scopes", "ansiblediff");
    assert_eq!((scopes["state=\"read\""], scopes["state=\"unread\""]), (2.0, 1.0));
    assert_eq!(scrape.value("driftrun_check_success", "ansiblediff"), Some(0.0));
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "ansiblediff"), Some(4.0));

    hosts.inventory("ansible_connection=local");
    hosts.converge("all");
    server.wait_for_fresh_runs(CHECKS);
    let scrape = server.scrape();
    assert_eq!(scrape.good("ansiblediff"), ("clean".to_owned(), vec![]));
    assert_eq!(scrape.samples("driftrun_scope_unread", "ansiblediff").len(), 0);
    assert_eq!(server.stop(), Some(0));
}
