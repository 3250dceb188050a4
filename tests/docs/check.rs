//! What a block that is no shell's is held against.

use crate::docs::shell::Shell;
use crate::support::tool;
use crate::yaml::yaml;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What became of it.
pub enum Checked {
    Good,
    /// Nothing here can tell whether it is right: an output without a mark, a Dockerfile.
    NothingToCheck,
    /// What could tell isn't installed.
    Skipped,
}

/// Holds a block against what reads it; `number` makes its file's name.
pub fn check(shell: &Shell, language: &str, text: &str, number: usize) -> Result<Checked, String> {
    match language {
        "yaml" => check_yaml(shell, &shell.ours(text), number),
        "json" => serde_json::from_str::<serde_json::Value>(text)
            .map(|_| Checked::Good)
            .map_err(|error| error.to_string()),
        "promql" => {
            let rule = serde_json::json!({"groups": [{"name": "block", "rules": [{"record": "a:b", "expr": text}]}]});
            promtool(shell, &["check", "rules"], &rule.to_string(), number)
        }
        "" | "dockerfile" | "ini" | "nginx" | "diff" => Ok(Checked::NothingToCheck),
        other => Err(format!("nobody knows what {other:?} is held against")),
    }
}

/// By the keys in its first column.
fn check_yaml(shell: &Shell, text: &str, number: usize) -> Result<Checked, String> {
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        .collect();
    let has = |names: &[&str]| names.iter().any(|name| keys.contains(name));
    if has(&["groups"]) {
        return promtool(shell, &["check", "rules"], text, number);
    }
    if text.starts_with("- alert:") || text.starts_with("- record:") {
        let group = format!("groups:\n  - name: block\n    rules:\n{}", indented(text, 6));
        return promtool(shell, &["check", "rules"], &group, number);
    }
    if has(&["scrape_configs", "rule_files", "alerting"]) {
        return promtool(shell, &["check", "config", "--syntax-only"], text, number);
    }
    if has(&["metric_relabel_configs", "relabel_configs"]) {
        let job = format!("scrape_configs:\n  - job_name: block\n{}", indented(text, 4));
        return promtool(shell, &["check", "config", "--syntax-only"], &job, number);
    }
    if has(&["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]) {
        return driftrun(shell, &["config", "check", "--web.config.file"], text, number);
    }
    if has(&["checks"]) {
        return driftrun(shell, &["config", "check"], text, number);
    }
    if has(&["parsers"]) {
        return driftrun(
            shell,
            &["config", "check"],
            &format!("{text}checks: [{{ name: block, command: [uptime], parser: none }}]\n"),
            number,
        );
    }
    // Some keys of a check.
    if has(&[
        "command",
        "shell",
        "report",
        "ignore",
        "env",
        "env_file",
        "exit_codes",
        "redact",
        "count_refresh",
    ]) {
        let command = if has(&["command", "shell"]) { "" } else { "command: [kubectl, diff, -f, k8s]\n" };
        let check = format!("checks:\n  - name: block\n{}", indented(&format!("{command}{text}"), 4));
        return driftrun(shell, &["config", "check"], &check, number);
    }
    let file = write(shell, text, number);
    Ok(match yaml(&file) {
        Some(documents) if documents.iter().all(|document| !document.is_null()) => Checked::Good,
        Some(_) => return Err("there is nothing in it".to_owned()),
        None => Checked::Skipped,
    })
}

fn indented(text: &str, by: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{:by$}{line}\n", "")).collect();
    lines.concat()
}

/// Beside what the page's own blocks have made.
fn write(shell: &Shell, text: &str, number: usize) -> std::path::PathBuf {
    let file = shell.path().join(format!("block-{number}.yaml"));
    fs::write(&file, text).unwrap();
    file
}

fn driftrun(shell: &Shell, arguments: &[&str], text: &str, number: usize) -> Result<Checked, String> {
    let program = Path::new(env!("CARGO_BIN_EXE_driftrun"));
    let said = accepts(program, shell, arguments, text, number)?;
    if said.contains("warning:") { Err(said) } else { Ok(Checked::Good) }
}

fn promtool(shell: &Shell, arguments: &[&str], text: &str, number: usize) -> Result<Checked, String> {
    let Some(program) = tool("promtool") else { return Ok(Checked::Skipped) };
    accepts(&program, shell, arguments, text, number)?;
    Ok(Checked::Good)
}

/// What a program says of a good file.
fn accepts(
    program: &Path,
    shell: &Shell,
    arguments: &[&str],
    text: &str,
    number: usize,
) -> Result<String, String> {
    let file = write(shell, text, number);
    let output = Command::new(program).args(arguments).arg(&file).current_dir(shell.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}
