//! The container's image, without an engine: its files, laid out as the Dockerfile lays them out, are the read-only root of a process 1 that may
//! nothing. And the Dockerfiles, as hadolint sees them.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Folder, Server, tool, tools_required, words};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program that deploy/container/static builds, where it did.
fn static_program() -> Option<PathBuf> {
    let target = Command::new("rustc").arg("-vV").output().unwrap();
    let target = String::from_utf8(target.stdout).unwrap();
    let host = target.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let path = project().join("target/static").join(host).join("release/driftrun");
    if !path.is_file() {
        assert!(!tools_required(), "no static program; deploy/container/static builds it");
        println!("skipped: no static program; deploy/container/static builds it");
        return None;
    }
    Some(path)
}

/// A root with the image's files, a state folder on a volume, a configuration, and whether somebody may make namespaces.
fn image(folder: &Folder) -> Option<PathBuf> {
    let (program, _, _) = (static_program()?, tool("unshare")?, tool("chroot")?);
    let namespaces = Command::new("unshare").args(["--pid", "--fork", "--mount", "true"]).output().unwrap();
    if !namespaces.status.success() {
        assert!(!tools_required(), "{namespaces:?}");
        println!("skipped: only root may make namespaces");
        return None;
    }
    let root = folder.path().join("root");
    let laid =
        Command::new(project().join("deploy/container/layout")).arg(program).arg(&root).output().unwrap();
    assert!(laid.status.success(), "{laid:?}");
    // Where a container's engine mounts.
    for mounted in ["proc", "dev"] {
        std::fs::create_dir(root.join(mounted)).unwrap();
    }
    Some(root)
}

/// The image's root becomes read-only, with what an engine mounts in it, and the program its process 1.
const START: &str = r#"
mount --bind "$0" "$0"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$0/tmp"
mount -t tmpfs -o mode=0700,uid=65532,gid=65532,size=16m tmpfs "$0/var/lib/driftrun"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount -o remount,bind,ro "$0"
exec env -i HOME=/var/lib/driftrun setpriv --no-new-privs "$(command -v chroot)" --userspec=65532:65532 "$0" "$@"
"#;

const CONFIG: &str = r"
state_dir: /var/lib/driftrun
defaults: { interval: 1h, splay: 0s }
checks:
  - { name: version, command: [/usr/bin/driftrun, --version], parser: none }
  - { name: formats, command: [/usr/bin/driftrun, parsers], parser: formats }
parsers:
  formats: { regex: '^(?P<name>kubediff) ', clean: '^nothing$' }
";

#[test]
fn the_image_serves_and_ends_as_process_1_with_a_read_only_root() {
    let folder = Folder::new("container");
    let Some(root) = image(&folder) else { return };
    std::fs::write(root.join("etc/driftrun/driftrun.yaml"), CONFIG).unwrap();
    let files: Vec<String> = walk(&root);
    let want = [
        "dev",
        "etc",
        "etc/driftrun",
        "etc/driftrun/driftrun.yaml",
        "etc/group",
        "etc/passwd",
        "etc/ssl",
        "etc/ssl/certs",
        "etc/ssl/certs/ca-certificates.crt",
        "proc",
        "tmp",
        "usr",
        "usr/bin",
        "usr/bin/driftrun",
        "var",
        "var/lib",
        "var/lib/driftrun",
    ];
    assert_eq!(files, want);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "--kill-child", "sh", "-euc", START]).arg(&root);
    command.args([
        "/usr/bin/driftrun",
        "serve",
        "--config.file=/etc/driftrun/driftrun.yaml",
        "--web.listen-address=127.0.0.1:0",
    ]);
    let mut server = Server::of(command);
    for check in ["version", "formats"] {
        if !server.seen.iter().any(|line| line.contains(&format!("msg=run check={check} "))) {
            server.wait_for(&format!("msg=run check={check} "));
        }
    }
    let scrape = server.scrape();
    assert_eq!(scrape.verdict("version").as_deref(), Some("clean"));
    let drift = r#"scope="",kind="",name="kubediff",action="change",outside="false""#;
    assert_eq!(scrape.good("formats"), ("drifted".to_owned(), vec![drift.to_owned()]));
    assert!(words(&server.get("/").1).contains("formats"));

    // Who is asked in the image, as HEALTHCHECK does.
    let health = |url: &str| {
        let mut command = Command::new(tool("chroot").unwrap());
        command.arg("--userspec=65532:65532").arg(&root).args(["/usr/bin/driftrun", "health", url]);
        let output = command.env_clear().stdin(Stdio::null()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let url = format!("http://{}/-/healthy", server.address);
    assert_eq!(health(&url), format!("{url}: 200 OK\n"));
    // A name, which a static program asks of DNS and /etc/hosts without a library.
    std::fs::write(root.join("etc/hosts"), "127.0.0.1 itself\n").unwrap();
    let url = url.replace("127.0.0.1", "itself");
    assert_eq!(health(&url), format!("{url}: 200 OK\n"));

    // Process 1, whom unshare waits for.
    let parent = format!("\nPPid:\t{}\n", server.pid());
    let statuses = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        // A process may be gone by now.
        std::fs::read_to_string(entry.unwrap().path().join("status")).ok()
    });
    let status = statuses.into_iter().find(|status| status.contains(&parent)).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(
        (line("Name:"), line("Uid:"), line("CapEff:")),
        ("driftrun".into(), "65532\t65532\t65532\t65532".into(), "0000000000000000".into())
    );
    assert!(line("NSpid:").ends_with("\t1"), "{status}");
    assert_eq!(line("NoNewPrivs:"), "1");
    let killed = Command::new("kill").args(["-TERM", &line("Pid:")]).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.wait(), Some(0));
}

/// Everything below a folder, sorted.
fn walk(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

fn dockerfiles() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(project().join("deploy/container")).unwrap();
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with("Dockerfile"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 4);
    files
}

#[test]
fn hadolint_has_nothing_to_say_of_the_dockerfiles() {
    let Some(hadolint) = tool("hadolint") else { return };
    let output = Command::new(&hadolint).args(dockerfiles()).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stdout).as_ref(), output.status.code()), ("", Some(0)));
    let folder = Folder::new("hadolint");
    let bad = folder.write("Dockerfile", "FROM debian:latest\nRUN cd /tmp\n");
    assert!(!Command::new(&hadolint).arg(bad).output().unwrap().status.success());
}

#[test]
fn every_image_runs_as_nobody_in_particular_and_says_whether_it_is_well() {
    for file in dockerfiles() {
        let text = std::fs::read_to_string(&file).unwrap();
        let last = &text[text.rfind("\nFROM ").unwrap()..];
        for line in [
            "\nUSER 65532:65532\n",
            "\nENV HOME=/var/lib/driftrun\n",
            "\nEXPOSE 9152\n",
            "\nENTRYPOINT [\"/usr/bin/driftrun\"]\n",
            "\nCMD [\"serve\", \"--config.file=/etc/driftrun/driftrun.yaml\"]\n",
            "CMD [\"/usr/bin/driftrun\", \"health\"]\n",
        ] {
            assert_eq!(last.matches(line).count(), 1, "{}: {line}", file.display());
        }
    }
}
