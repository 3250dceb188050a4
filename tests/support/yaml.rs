//! YAML as other tools read it: through Python's.

use crate::support::tool;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The documents of a file. `None` where there is no Python of the tests.
pub fn yaml(file: &Path) -> Option<Vec<Value>> {
    let python = tool("python-of-tests")?;
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = Command::new(python).args(["-c", program]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
