//! Real salt-call with test=True, run by driftrun: what somebody edits on the host is in the next scrape with its function and
//! state ID, and a state file that can't be rendered keeps what was last known.

mod support;

use serde_json::json;
use std::process::Command;
use support::{Folder, Server, tool};

#[test]
fn what_differs_from_the_states_is_named() {
    const CHECKS: &[&str] = &["saltdiff"];
    let Some(salt) = tool("salt-call") else { return };
    let folder = Folder::new("salt");
    let path = folder.path().display().to_string();
    let states = format!(
        "motd:\n  file.managed:\n    - name: {path}/motd\n    - contents: Welcome\n\
         gone:\n  file.absent:\n    - name: {path}/gone\n\
         marker:\n  cmd.run:\n    - name: touch {path}/marker\n    - creates: {path}/marker\n"
    );
    folder.write("states/site.sls", &states);
    folder.write("conf/minion", &format!("file_client: local\nid: web1\nroot_dir: {path}/root\n"));
    let arguments = |test: &'static str| {
        let (conf, states) = (format!("{path}/conf"), format!("{path}/states"));
        ["--local", "-c", &conf, "--file-root", &states, "state.apply", "site", test, "--out", "json"]
            .map(str::to_owned)
    };
    let applied = Command::new(&salt).args(arguments("test=False")).output().unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let command: Vec<String> =
        std::iter::once(salt.display().to_string()).chain(arguments("test=True")).collect();
    let config =
        json!({"checks": [{"name": "saltdiff", "command": command, "workdir": ".", "interval": "1s"}]});
    let mut server = Server::serve(&folder.write("driftrun.yaml", &config.to_string()));
    server.wait_for_run("saltdiff");
    assert_eq!(server.scrape().good("saltdiff"), ("clean".to_owned(), vec![]));

    let drift = |kind: &str, name: &str, action: &str| {
        format!("scope=\"local\",kind=\"{kind}\",name=\"{name}\",action=\"{action}\",outside=\"false\"")
    };
    folder.write("motd", "Welcome, stranger\n");
    folder.write("gone", "");
    std::fs::remove_file(folder.path().join("marker")).unwrap();
    server.wait_for_fresh_runs(CHECKS);
    let found = vec![
        drift("cmd.run", "marker", "change"),
        drift("file.absent", "gone", "delete"),
        drift("file.managed", "motd", "update"),
    ];
    assert_eq!(server.scrape().good("saltdiff"), ("drifted".to_owned(), found.clone()));

    folder.write("states/site.sls", "motd: {{ nothing.here }}\n");
    server.wait_for_fresh_runs(CHECKS);
    let scrape = server.scrape();
    assert_eq!((scrape.verdict("saltdiff").as_deref(), scrape.drift("saltdiff")), (Some("failed"), found));

    folder.write("states/site.sls", &states);
    folder.write("motd", "Welcome\n");
    folder.write("marker", "");
    std::fs::remove_file(folder.path().join("gone")).unwrap();
    server.wait_for_fresh_runs(CHECKS);
    assert_eq!(server.scrape().good("saltdiff"), ("clean".to_owned(), vec![]));
    assert_eq!(server.stop(), Some(0));
}
