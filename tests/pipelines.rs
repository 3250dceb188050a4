//! The pipelines of `deploy/ci`: their steps are run as the services run them, with what they call beside driftrun replaced by programs that tell.

#[path = "support/yaml.rs"]
mod documents;
mod support;

use documents::yaml;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use support::Folder;

const CLEAN: &str = "checks: [{ name: a, command: ['true'], parser: none }]\n";
const DRIFTED: &str = "checks: [{ name: a, command: [echo, thing], parser: p }]\nparsers: { p: { regex: '^(?P<name>thing)$', clean: '^none$' } }\n";
const FAILED: &str = "checks: [{ name: a, command: ['false'], parser: none }]\n";

fn pipeline(name: &str) -> Option<Value> {
    Some(yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/ci").join(name))?.remove(0))
}

/// A repository with a configuration, and programs that write down how they are called.
fn repository(config: &str) -> Folder {
    let folder = Folder::new("pipeline");
    folder.write("driftrun.yaml", config);
    for program in ["gh", "curl"] {
        let path = folder.write(&format!("bin/{program}"), "#!/bin/sh\necho \"$0 $*\" >>\"$CALLED\"\n");
        assert!(Command::new("chmod").arg("+x").arg(path).status().unwrap().success());
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_driftrun"), folder.path().join("bin/driftrun")).unwrap();
    folder
}

/// Runs a script there, with these variables and none of this process' but the search path.
fn run(folder: &Folder, shell: &[&str], script: &str, variables: &[(&str, &str)]) -> Output {
    let below = |name: &str| folder.path().join(name);
    let path = std::env::var("PATH").unwrap();
    Command::new(shell[0])
        .args(&shell[1..])
        .arg(script)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", below("bin").display()))
        .env("CALLED", below("called"))
        .env("GITHUB_STEP_SUMMARY", below("summary"))
        .env("GITHUB_OUTPUT", below("output"))
        .env("GITHUB_REPOSITORY", "acme/infra")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

/// How a service's shell is started for a step.
const BASH: [&str; 5] = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];

/// Whether the job succeeds, and what it calls.
fn github(config: &str, event: &str) -> Option<(bool, String)> {
    let workflow = pipeline("github-workflow.yaml")?;
    let steps = workflow["jobs"]["drift"]["steps"].as_array().unwrap();
    let named = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap();
    let script = |name: &str| named(name)["run"].as_str().unwrap();
    let folder = repository(config);
    let shell = [&BASH[..], &["-c"]].concat();
    let checked = run(&folder, &shell, script("Check"), &[]);
    assert!(checked.status.success(), "{checked:?}");
    let comment = read(&folder, "drift.md");
    assert!(comment.starts_with("##") && read(&folder, "summary") == comment, "{comment}");
    assert_eq!(named("Comment")["if"], "github.event_name == 'pull_request'");
    if event == "pull_request" {
        assert!(run(&folder, &shell, script("Comment"), &[("NUMBER", "7")]).status.success());
    }
    let output = read(&folder, "output");
    let code = output.trim().strip_prefix("code=").unwrap();
    let verdict = run(&folder, &shell, script("Verdict"), &[("CODE", code), ("EVENT", event)]);
    let called = read(&folder, "called").replace(&format!("{}/", folder.path().join("bin").display()), "");
    Some((verdict.status.success(), called))
}

#[test]
fn github_comments_on_pull_requests_and_fails_at_night_when_something_drifted() {
    let comment = "gh pr comment 7 --repo acme/infra --body-file drift.md --edit-last --create-if-none\n";
    for (config, pull_request, night) in [(CLEAN, true, true), (DRIFTED, true, false), (FAILED, false, false)]
    {
        let Some(asked) = github(config, "pull_request") else { return };
        assert_eq!(asked, (pull_request, comment.to_owned()), "{config}");
        assert_eq!(github(config, "schedule"), Some((night, String::new())), "{config}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_no_drift() {
    let Some(pipeline) = pipeline("gitlab-ci.yml") else { return };
    let lines: Vec<&str> =
        pipeline["drift"]["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let folder = repository(CLEAN);
    std::fs::create_dir(folder.path().join("drift.md")).unwrap();
    let request = [("CI_PIPELINE_SOURCE", "merge_request_event")];
    for shell in ["sh", "bash", "dash"] {
        let output = run(&folder, &[shell, "-ec"], &lines.join("\n"), &request);
        assert!(!output.status.success(), "{shell}: {output:?}");
    }
}

/// The job's exit code and what it calls.
fn gitlab(config: &str, variables: &[(&str, &str)]) -> Option<(Option<i32>, String)> {
    let pipeline = pipeline("gitlab-ci.yml")?;
    // All lines in one shell, which ends at the first that fails.
    let lines: Vec<&str> =
        pipeline["drift"]["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let folder = repository(config);
    let fixed = [("CI_API_V4_URL", "https://gitlab.example.com/api/v4"), ("CI_PROJECT_ID", "3")];
    let output = run(&folder, &["sh", "-ec"], &lines.join("\n"), &[&fixed[..], variables].concat());
    assert!(read(&folder, "drift.md").starts_with("##"), "{output:?}");
    let called = read(&folder, "called").replace(&format!("{}/", folder.path().join("bin").display()), "");
    Some((output.status.code(), called))
}

#[test]
fn gitlab_comments_on_merge_requests_and_fails_in_a_schedule_when_something_drifted() {
    let request = [("CI_PIPELINE_SOURCE", "merge_request_event"), ("CI_MERGE_REQUEST_IID", "5")];
    let with_token = [&request[..], &[("DRIFT_TOKEN", "t")]].concat();
    let comment = "curl --fail --silent --show-error --request POST --header PRIVATE-TOKEN: t --data-urlencode body@drift.md https://gitlab.example.com/api/v4/projects/3/merge_requests/5/notes\n";
    for (config, on_request, scheduled) in [(CLEAN, 0, 0), (DRIFTED, 0, 2), (FAILED, 1, 1)] {
        let Some(asked) = gitlab(config, &with_token) else { return };
        assert_eq!(asked, (Some(on_request), comment.to_owned()), "{config}");
        assert_eq!(gitlab(config, &request), Some((Some(on_request), String::new())), "{config}");
        let night = gitlab(config, &[("CI_PIPELINE_SOURCE", "schedule")]);
        assert_eq!(night, Some((Some(scheduled), String::new())), "{config}");
    }
}
