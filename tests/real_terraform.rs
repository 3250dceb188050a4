//! Real terraform with a provider of the tests' own (`tests/provider/`), whose resources are files: somebody edits one behind
//! terraform's back, and a scrape of driftrun names it.

#[path = "support/infra.rs"]
mod infra;
mod support;

use infra::Infra;
use serde_json::{Value, json};
use std::path::Path;
use support::{REQUIRED, Server, disk_files, driftrun};

/// The exit code and the documents of `driftrun once`.
fn once(config: &Path) -> (Option<i32>, Value) {
    let output = driftrun().args(["once", "--format", "json", "--config.file"]).arg(config).output().unwrap();
    let documents = serde_json::from_slice(&output.stdout);
    (output.status.code(), documents.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[test]
fn a_file_edited_by_hand_and_one_removed_are_the_drift_until_somebody_applies() {
    let Some(infra) = Infra::applied("tamper") else { return };
    let checks = ["json", "text", "shown"];
    let config = infra.config(&[
        json!({"name": "json", "command": infra.plan(&["-json"])}),
        json!({"name": "text", "command": infra.plan(&[])}),
        infra.shown("shown", &json!([])),
    ]);
    let mut server = Server::serve(&config);
    server.wait_for_fresh_runs(&checks);
    for check in checks {
        assert_eq!(server.scrape().good(check), ("clean".to_owned(), vec![]), "{check}");
    }

    std::fs::write(infra.file("odd"), "this is something else\n").unwrap();
    std::fs::remove_file(infra.file("conf")).unwrap();
    server.wait_for_fresh_runs(&checks);
    let drift = [
        r#"scope="",kind="disk_file",name="disk_file.each[\"a \\\"b\\\"\"]",action="update",outside="true""#,
        r#"scope="module.inner",kind="disk_file",name="module.inner.disk_file.conf",action="create",outside="true""#,
    ]
    .map(str::to_owned);
    // The text for people doesn't list what changed outside unless another resource's change depends on it.
    let drift_in_text = drift.clone().map(|labels| labels.replace("outside=\"true\"", "outside=\"false\""));
    let drift = |check: &str| if check == "text" { drift_in_text.to_vec() } else { drift.to_vec() };
    for check in checks {
        assert_eq!(server.scrape().good(check), ("drifted".to_owned(), drift(check)), "{check}");
    }

    // A failure says nothing about drift: the last good report's series stay.
    infra.folder.write("broken.tf", "resource \"disk_file\" {\n");
    server.wait_for_fresh_runs(&checks);
    let scrape = server.scrape();
    for check in checks {
        assert_eq!((scrape.verdict(check).as_deref(), scrape.drift(check)), (Some("failed"), drift(check)));
        let success = scrape.value("driftrun_check_success", check);
        assert_eq!(success, Some(0.0), "{check}");
    }

    std::fs::remove_file(infra.folder.path().join("broken.tf")).unwrap();
    infra.apply();
    server.wait_for_fresh_runs(&checks);
    for check in checks {
        assert_eq!(server.scrape().good(check), ("clean".to_owned(), vec![]), "{check}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_rule_ignores_the_attributes_that_it_names_and_no_others() {
    let Some(infra) = Infra::applied("ignore") else { return };
    std::fs::write(infra.file("motd.tags"), "env=prod\nteam=core\n").unwrap();
    std::fs::write(infra.file("plain"), "edited\n").unwrap();
    let config = infra.config(&[
        infra.shown("all", &json!([])),
        infra.shown("but-env", &json!([{"kind": "disk_file", "attribute": "tags.env"}])),
        infra.shown("but-team", &json!([{"kind": "disk_file", "attribute": "tags.team"}])),
        infra.shown("but-files", &json!([{"kind": "disk_file", "action": "update"}])),
    ]);
    let (code, documents) = once(&config);
    let (motd, plain) = ("disk_file.motd", "disk_file.each[\"plain\"]");
    let findings = |check: &str| -> Vec<Value> {
        let resources = documents[check]["resources"].as_array().unwrap().iter();
        let planned = resources.filter(|resource| resource["source"] == "plan");
        planned
            .map(|r| json!([r["name"], r["action"], r["attributes"], r["outside"], r["ignored"]]))
            .collect()
    };
    let expected = |ignores_plain: bool, ignores_motd: bool| {
        vec![
            json!([plain, "update", ["content"], true, ignores_plain]),
            json!([motd, "update", ["tags.env"], true, ignores_motd]),
        ]
    };
    assert_eq!(findings("all"), expected(false, false));
    assert_eq!(findings("but-env"), expected(false, true));
    assert_eq!(findings("but-team"), expected(false, false));
    assert_eq!(findings("but-files"), expected(true, true));
    let verdicts =
        ["all", "but-env", "but-team", "but-files"].map(|check| documents[check]["verdict"].clone());
    assert_eq!(verdicts, ["drifted", "drifted", "drifted", "clean"]);
    assert_eq!(code, Some(2));

    // What nobody applied yet is drift, too, but it didn't come from outside.
    infra.apply();
    disk_files(&infra.folder, REQUIRED, "good evening");
    let (code, documents) = once(&infra.config(&[infra.shown("all", &json!([]))]));
    let resource = &documents["all"]["resources"][0];
    assert_eq!(
        (&resource["name"], &resource["attributes"], &resource["outside"]),
        (&json!(motd), &json!(["content"]), &json!(false))
    );
    assert_eq!((documents["all"]["resources"].as_array().unwrap().len(), code), (1, Some(2)));
}
