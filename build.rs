//! Tells the program what it is built from: the compiler, and the revision where the sources are in a git tree.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-env-changed=DRIFTRUN_REVISION");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version"]).and_then(|text| text.split(' ').nth(1).map(str::to_owned));
    let revision = std::env::var("DRIFTRUN_REVISION")
        .ok()
        .or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"]));
    println!("cargo::rustc-env=DRIFTRUN_RUSTC={}", version.unwrap_or_default());
    println!("cargo::rustc-env=DRIFTRUN_REVISION={}", revision.unwrap_or_default());
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
