//! A root module of real terraform, whose resources are files.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::support::{Folder, REQUIRED, disk_files, tool};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// A root module with its state, applied; the provider's files are in `files/`.
pub struct Infra {
    pub folder: Folder,
    pub terraform: PathBuf,
}

impl Infra {
    /// The files of [`disk_files`]. `None` where a tool is missing.
    pub fn applied(name: &str) -> Option<Self> {
        Self::of(name, |folder| disk_files(folder, REQUIRED, "welcome"))
    }

    /// Those that `write` writes.
    pub fn of(name: &str, write: impl FnOnce(&Folder)) -> Option<Self> {
        let (terraform, provider) = (tool("terraform")?, tool("terraform-provider-disk")?);
        let folder = Folder::new(name);
        let overrides = json!(provider.parent().unwrap());
        folder.write(
            "terraform.rc",
            &format!("provider_installation {{\n  dev_overrides {{ \"example.com/test/disk\" = {overrides} }}\n  direct {{}}\n}}\n"),
        );
        write(&folder);
        std::fs::create_dir(folder.path().join("files")).unwrap();
        let infra = Self { folder, terraform };
        infra.terraform(&["get"]);
        infra.apply();
        Some(infra)
    }

    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        let below = |name: &str| self.folder.path().join(name);
        [
            ("CHECKPOINT_DISABLE", "1".into()),
            ("DISK_FOLDER", below("files")),
            // The provider keeps its certificate there.
            ("HOME", below("")),
            ("TF_CLI_CONFIG_FILE", below("terraform.rc")),
        ]
    }

    pub fn terraform(&self, arguments: &[&str]) {
        let output = Command::new(&self.terraform)
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(self.environment())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    pub fn apply(&self) {
        self.terraform(&["apply", "-auto-approve", "-input=false", "-no-color"]);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// Writes a configuration with these checks; each runs in the root module with its environment.
    pub fn config(&self, checks: &[Value]) -> PathBuf {
        let environment: serde_json::Map<String, Value> =
            self.environment().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let defaults = json!({"workdir": ".", "interval": "1s", "env": environment});
        let config = json!({"defaults": defaults, "max_concurrent": checks.len(), "checks": checks});
        self.folder.write("driftrun.yaml", &config.to_string())
    }

    /// `terraform plan FLAGS`
    pub fn plan(&self, flags: &[&str]) -> Value {
        let mut argv = vec![self.terraform.to_str().unwrap()];
        argv.extend(["plan", "-input=false", "-lock=false", "-no-color", "-detailed-exitcode"]);
        argv.extend(flags);
        json!(argv)
    }

    /// A check that parses what `terraform show -json` says of the plan.
    pub fn shown(&self, name: &str, ignore: &Value) -> Value {
        let show = json!([self.terraform, "show", "-json", "{tmp}/plan"]);
        json!({"name": name, "command": self.plan(&["-out={tmp}/plan"]), "report": show, "ignore": ignore})
    }
}
