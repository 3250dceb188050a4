//! Real puppet, its manifest applied with --noop by driftrun: what somebody edits on the host is in the next scrape, read from the
//! report file that each run leaves, and a manifest that doesn't compile keeps what was last known.

mod support;

use serde_json::json;
use std::process::Command;
use support::{Folder, Server, tool};

#[test]
fn what_differs_from_the_manifest_is_named_by_the_report() {
    const CHECKS: &[&str] = &["puppetdiff"];
    let Some(puppet) = tool("puppet") else { return };
    let folder = Folder::new("puppet");
    let path = folder.path().display().to_string();
    let manifest = format!(
        "file {{ '{path}/motd': content => \"Welcome\\n\", mode => '0644' }}\n\
         file {{ '{path}/gone': ensure => absent }}\n\
         exec {{ 'marker': command => '/usr/bin/touch {path}/marker', creates => '{path}/marker' }}\n"
    );
    folder.write("site.pp", &manifest);
    folder.write(
        "conf/puppet.conf",
        &format!(
            "[main]\ncertname = web1.example.com\nvardir = {path}/var\nssldir = {path}/var/ssl\npublicdir = {path}/var/public\n\
             rundir = {path}/var/run\nlogdir = {path}/var/log\n"
        ),
    );
    let confdir = format!("{path}/conf");
    let applied = Command::new(&puppet)
        .args(["apply", "--confdir", &confdir, "site.pp"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let config = json!({"checks": [{
        "name": "puppetdiff",
        "command": [puppet, "apply", "--confdir", confdir, "--noop", "--detailed-exitcodes", "site.pp"],
        "files": ["var/state/last_run_report.yaml"],
        "workdir": ".",
        "interval": "1s",
    }]});
    let mut server = Server::serve(&folder.write("driftrun.yaml", &config.to_string()));
    server.wait_for_run("puppetdiff");
    assert_eq!(server.scrape().good("puppetdiff"), ("clean".to_owned(), vec![]));

    let drift = |kind: &str, name: &str, action: &str| {
        format!(
            "scope=\"web1.example.com\",kind=\"{kind}\",name=\"{name}\",action=\"{action}\",outside=\"false\""
        )
    };
    folder.write("motd", "Welcome, stranger\n");
    folder.write("gone", "");
    std::fs::remove_file(folder.path().join("marker")).unwrap();
    server.wait_for_fresh_runs(CHECKS);
    let found = vec![
        drift("Exec", "marker", "update"),
        drift("File", &format!("{path}/gone"), "delete"),
        drift("File", &format!("{path}/motd"), "update"),
    ];
    let scrape = server.scrape();
    assert_eq!(scrape.good("puppetdiff"), ("drifted".to_owned(), found.clone()));
    assert_eq!(scrape.value("driftrun_check_last_exit_code", "puppetdiff"), Some(0.0));

    folder.write("site.pp", "file { '/x': ensure => \n");
    server.wait_for_fresh_runs(CHECKS);
    let scrape = server.scrape();
    assert_eq!(
        (scrape.verdict("puppetdiff").as_deref(), scrape.drift("puppetdiff")),
        (Some("failed"), found)
    );

    folder.write("site.pp", &manifest);
    folder.write("motd", "Welcome\n");
    folder.write("marker", "");
    std::fs::remove_file(folder.path().join("gone")).unwrap();
    server.wait_for_fresh_runs(CHECKS);
    assert_eq!(server.scrape().good("puppetdiff"), ("clean".to_owned(), vec![]));
    assert_eq!(server.stop(), Some(0));
}
