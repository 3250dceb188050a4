//! Playbooks of any number of tasks on a few hosts, in ansible's three forms; one result in so many is a change, with its diff.

use super::Output;
use super::pieces::{Piece, between, line, object, real};
use std::fmt::Write as _;

/// How many hosts there are, and of how many results one is a change.
#[derive(Clone, Copy)]
pub struct Play {
    pub hosts: usize,
    pub every: usize,
}

impl Play {
    /// Whether a task has changed something on a host: not always on the same.
    fn differs(self, task: usize, host: usize) -> bool {
        (task + host).is_multiple_of(self.every)
    }

    /// How many of so many tasks have.
    fn changes(self, tasks: usize, host: usize) -> usize {
        (0..tasks).filter(|task| self.differs(*task, host)).count()
    }

    /// Room for the results of so many tasks, each with a part of its own.
    fn room(self, tasks: usize, own: usize, changed: usize, quiet: usize) -> usize {
        let results = tasks * self.hosts;
        tasks * (own + 64) + results * quiet + results.div_ceil(self.every) * changed + 65536
    }

    fn names(self) -> Vec<String> {
        (0..self.hosts).map(|host| format!("web{host:04}")).collect()
    }
}

/// The ordinary output.
pub fn text(tasks: usize, play: Play) -> Output {
    let real = real("ansible/drifted");
    let task = Piece::new(line(&real, "TASK [base : Set motd]"), &["Set motd"]);
    let before = "--- before: /srv/demo/target/";
    let changed = between(&real, &format!("{before}web1/motd"), &format!("{before}web2/motd"));
    let changed = Piece::new(changed, &["web1"]);
    let ok = "ok: [web1]\n";
    assert!(self::real("ansible/clean").contains(ok));
    let ok = Piece::new(ok, &["web1"]);
    let names = play.names();
    let mut text = String::with_capacity(play.room(tasks, task.len(), changed.len(), ok.len()));
    text += between(&real, "\nPLAY [Base]", "TASK [");
    let (mut resources, mut title) = (0, String::new());
    for n in 0..tasks {
        title.clear();
        let _ = write!(title, "Set motd {n}");
        task.put(&mut text, &[&title]);
        for (host, name) in names.iter().enumerate() {
            let differs = play.differs(n, host);
            let piece = if differs { &changed } else { &ok };
            piece.put(&mut text, &[name]);
            resources += usize::from(differs);
        }
        text.push('\n');
    }
    text += line(&real, "PLAY RECAP");
    let recap = line(&real, "web1                       :");
    let recap = Piece::new(recap, &["web1   ", "ok=5 ", "changed=4 "]);
    for (host, name) in names.iter().enumerate() {
        let count = play.changes(tasks, host);
        recap.put(&mut text, &[name, &format!("ok={tasks} "), &format!("changed={count} ")]);
    }
    text.push('\n');
    Output { text, resources }
}

/// `stdout_callback = json`.
pub fn json(tasks: usize, play: Play) -> Output {
    let real = real("ansible-json/drifted");
    let clean = self::real("ansible-json/clean");
    let changed = Piece::new(object(&real, "\"web1\":", "{"), &["web1"]);
    let ok = Piece::new(object(&clean, "\"web2\":", "{"), &["web2"]);
    let task = Piece::new(object(&real, "\"task\":", "{"), &["Set motd"]);
    let stats = object(&real, "\"stats\":", "{\n            \"changed\"");
    let stats = Piece::new(stats, &["\"changed\": 4", "\"ok\": 5"]);
    let names = play.names();
    let mut text = String::with_capacity(play.room(tasks, task.len() + 128, changed.len(), ok.len() + 48));
    text += between(&real, "{\n    \"custom_stats\"", "                {\n                    \"hosts\"");
    let (mut resources, mut title) = (0, String::new());
    for n in 0..tasks {
        text += if n > 0 { ",\n" } else { "" };
        text += "                {\n                    \"hosts\": {";
        for (host, name) in names.iter().enumerate() {
            text += if host > 0 { "," } else { "" };
            for part in ["\n                        \"", name, "\": "] {
                text += part;
            }
            let differs = play.differs(n, host);
            let piece = if differs { &changed } else { &ok };
            piece.put(&mut text, &[name]);
            resources += usize::from(differs);
        }
        title.clear();
        let _ = write!(title, "Set motd {n}");
        text += "\n                    },\n                    \"task\": ";
        task.put(&mut text, &[&title]);
        text += "\n                }";
    }
    text += "\n            ]\n        }\n    ],\n    \"stats\": {";
    for (host, name) in names.iter().enumerate() {
        let comma = if host > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\n        \"{name}\": ");
        let count = play.changes(tasks, host);
        stats.put(&mut text, &[&format!("\"changed\": {count}"), &format!("\"ok\": {tasks}")]);
    }
    text += "\n    }\n}\n";
    Output { text, resources }
}

/// `stdout_callback = ansible.posix.jsonl`.
pub fn jsonl(tasks: usize, play: Play) -> Output {
    let real = real("ansible-jsonl/drifted");
    let clean = self::real("ansible-jsonl/clean");
    let (task_id, clean_id) =
        ("02fc0000-0001-8af0-b1ff-000000000009", "02fc0000-0001-b5ea-15d4-000000000006");
    let task = Piece::new(line(&real, "v2_playbook_on_task_start"), &[task_id, "Set motd"]);
    let result = "\"web1\":{\"_ansible_no_log\"";
    let changed = Piece::new(line(&real, result), &[task_id, "Set motd", "web1"]);
    let ok = line(&clean, "\"web2\":{\"_ansible_no_log\"");
    let ok = Piece::new(ok, &[clean_id, "Motd", "web2"]);
    let names = play.names();
    let mut text = String::with_capacity(play.room(tasks, task.len(), changed.len(), ok.len()));
    text += line(&real, "v2_playbook_on_play_start");
    let (mut resources, mut id, mut title) = (0, String::new(), String::new());
    for n in 0..tasks {
        id.clear();
        title.clear();
        let _ = write!(id, "02fc0000-0001-8af0-b1ff-{n:012}");
        let _ = write!(title, "Set motd {n}");
        task.put(&mut text, &[&id, &title]);
        for (host, name) in names.iter().enumerate() {
            let differs = play.differs(n, host);
            let piece = if differs { &changed } else { &ok };
            piece.put(&mut text, &[&id, &title, name]);
            resources += usize::from(differs);
        }
    }
    let stats = line(&real, "v2_playbook_on_stats");
    text += &stats[..stats.find("\"web1\"").unwrap()];
    let one = Piece::new(object(stats, "\"web1\":", "{"), &["\"changed\":4", "\"ok\":5"]);
    for (host, name) in names.iter().enumerate() {
        let comma = if host > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\"{name}\":");
        let count = play.changes(tasks, host);
        one.put(&mut text, &[&format!("\"changed\":{count}"), &format!("\"ok\":{tasks}")]);
    }
    text += "}}\n";
    Output { text, resources }
}
