//! Instances that share the checks, renewed one after the other, as a `StatefulSet` does it: no check is lost, and none is run twice.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use support::{Folder, Server, driftrun, poll};

const SHARDS: usize = 3;

const CHECKS: usize = 20;

/// One of the instances, with the state of its own volume.
fn shard(folder: &Folder, index: usize) -> Server {
    let mut config = format!(
        "state_dir: state-{index}\ndefaults: {{ interval: 1h, splay: 0s, parser: none, workdir: . }}\nchecks:\n"
    );
    for n in 0..CHECKS {
        let _ = writeln!(config, "- {{ name: c{n}, command: [sh, -c, 'echo run >>runs-$0', c{n}] }}");
    }
    let config = folder.write(&format!("driftrun-{index}.yaml"), &config);
    let flags = [format!("--shard.total={SHARDS}"), format!("--shard.index={index}")];
    let mut command = driftrun();
    command.args(["serve", "--config.file"]).arg(config).args(flags);
    Server::start(command, &[], &[])
}

/// The checks that an instance has, and those of which it knows a good run.
fn checks(server: &Server) -> (BTreeSet<String>, BTreeSet<String>) {
    let scrape = server.scrape();
    let all = (0..CHECKS).map(|n| format!("c{n}"));
    let its: BTreeSet<String> =
        all.filter(|name| scrape.value("driftrun_check_info", name).is_some()).collect();
    let known = its.iter().filter(|name| scrape.verdict(name).as_deref() == Some("clean")).cloned().collect();
    (its, known)
}

#[test]
fn a_roll_loses_no_check_and_runs_none_twice() {
    let folder = Folder::new("shards");
    let mut servers: Vec<Server> = (0..SHARDS).map(|index| shard(&folder, index)).collect();
    let parts: Vec<BTreeSet<String>> = servers.iter().map(|server| checks(server).0).collect();
    assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), CHECKS, "each has one instance: {parts:?}");
    assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
    assert_eq!(parts.iter().flatten().collect::<BTreeSet<_>>().len(), CHECKS, "{parts:?}");
    for (server, part) in servers.iter().zip(&parts) {
        poll(|| checks(server).1 == *part);
    }
    // From the highest number, each when the one before is there again.
    for index in (0..SHARDS).rev() {
        assert_eq!(servers.remove(index).stop(), Some(0));
        let server = shard(&folder, index);
        assert_eq!(checks(&server), (parts[index].clone(), parts[index].clone()), "shard {index}");
        servers.insert(index, server);
    }
    for n in 0..CHECKS {
        let runs = std::fs::read_to_string(folder.path().join(format!("runs-c{n}"))).unwrap();
        assert_eq!(runs, "run\n", "c{n}");
    }
}
