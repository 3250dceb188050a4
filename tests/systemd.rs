//! systemd: what driftrun tells it, in its own protocol, and the units, as systemd itself sees them.

mod support;

use regex::Regex;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use support::{Folder, HANG, Server, driftrun, tool};

/// What stands in for the service manager.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn listen(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(HANG)).unwrap();
        Self { socket }
    }

    /// The next thing it is told.
    fn told(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        Regex::new("USEC=[0-9]{6,}").unwrap().replace(&text, "USEC=NOW").into_owned()
    }
}

const CONFIG: &str =
    "checks: [{ name: a, command: ['true'], parser: none }, { name: b, command: ['true'], parser: none }]\n";

fn served(folder: &Folder, variables: &[(&str, &str)]) -> Server {
    let config = folder.write("driftrun.yaml", CONFIG);
    let mut command = driftrun();
    command.env("NOTIFY_SOCKET", folder.path().join("notify")).envs(variables.iter().copied());
    Server::start(command, &["serve", "--config.file", config.to_str().unwrap()], &[])
}

#[test]
fn the_service_manager_is_told_of_each_state() {
    let folder = Folder::new("notify");
    let manager = Manager::listen(&folder);
    let server = served(&folder, &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=watching 2 checks\n");
    folder.write("driftrun.yaml", &CONFIG.replace("name: b", "name: a"));
    server.signal("HUP");
    assert_eq!(manager.told(), "RELOADING=1\nMONOTONIC_USEC=NOW\n");
    let old = "the configuration could not be loaded, and the one before goes on; the log says why";
    assert_eq!(manager.told(), format!("READY=1\nSTATUS={old}\n"));
    folder.write("driftrun.yaml", "checks: [{ name: a, command: ['true'], parser: none }]\n");
    server.signal("HUP");
    assert_eq!(manager.told(), "RELOADING=1\nMONOTONIC_USEC=NOW\n");
    assert_eq!(manager.told(), "READY=1\nSTATUS=watching 1 checks\n");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=ending the runs that are under way\n");
}

/// A file system that doesn't answer: the configuration is a pipe that nobody writes to.
#[test]
fn a_configuration_that_never_comes_holds_up_no_end() {
    let folder = Folder::new("never");
    let manager = Manager::listen(&folder);
    let server = served(&folder, &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=watching 2 checks\n");
    let config = folder.path().join("driftrun.yaml");
    std::fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    server.signal("HUP");
    assert_eq!(manager.told(), "RELOADING=1\nMONOTONIC_USEC=NOW\n");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=ending the runs that are under way\n");
}

#[test]
fn it_tells_that_it_is_alive_as_often_as_it_is_asked_to() {
    let folder = Folder::new("watchdog");
    let manager = Manager::listen(&folder);
    let server = served(&folder, &[("WATCHDOG_USEC", "20000")]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=watching 2 checks\n");
    for _ in 0..5 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
    assert_eq!(server.stop(), Some(0));
}

/// The units, with this build in the place of the installed one.
fn units(folder: &Folder) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    for name in ["driftrun.service", "driftrun.socket", "driftrun.service.d/socket.conf"] {
        let text = std::fs::read_to_string(deploy.join(name)).unwrap();
        folder.write(name, &text.replace("/usr/bin/driftrun", env!("CARGO_BIN_EXE_driftrun")));
    }
}

fn analyze(program: &Path, folder: &Folder, arguments: &[&str]) -> (String, bool) {
    let output = Command::new(program)
        .args(arguments)
        .args(["./driftrun.service"])
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .current_dir(folder.path())
        .output()
        .unwrap();
    (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.success())
}

#[test]
fn systemd_finds_the_units_right_and_the_service_little_exposed() {
    let Some(program) = tool("systemd-analyze") else { return };
    let folder = Folder::new("units");
    units(&folder);
    let verify = ["verify", "--man=no", "./driftrun.socket"];
    assert_eq!(analyze(&program, &folder, &verify), (String::new(), true));
    let security = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let (said, within) = analyze(&program, &folder, &security);
    assert!(within, "{said}");
    // A unit that is wrong, or protects nothing, is found.
    let unit = std::fs::read_to_string(folder.path().join("driftrun.service")).unwrap();
    folder.write("driftrun.service", &unit.replace("Type=notify\n", "Type=notif\n"));
    assert!(analyze(&program, &folder, &verify).0.contains("Failed to parse service type"));
    folder.write(
        "driftrun.service",
        &unit.replace("CapabilityBoundingSet=\n", "").replace("ProtectSystem=strict\n", ""),
    );
    assert!(!analyze(&program, &folder, &security).1);
}
