use super::*;
use crate::error::Class;
use crate::input::Stream;
use crate::report::Verdict;
use crate::{Reading, testing};

const DETAILED: &[&str] = &["helm", "-n", "shop", "diff", "upgrade", "web", "./web", "--detailed-exitcode"];
const WEB: &str = "shop, web, Deployment (apps) has changed:\n\n  # Source: web/templates/web.yaml\n  apiVersion: apps/v1\n  kind: Deployment\n  spec:\n-   replicas: 3\n+   replicas: 5\n";
const GONE: &str =
    "shop, old, ConfigMap (v1) has been removed:\n\n- apiVersion: v1\n- kind: ConfigMap\n- \n+ \n";

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    testing::run(&PARSER, argv, exit, stdout, stderr)
}

fn resources(argv: &[&str], stdout: &str) -> Vec<Resource> {
    testing::resources(&run(argv, Some(2), stdout, ""))
}

fn object(scope: &str, kind: &str, name: &str, action: Action) -> Resource {
    let mut resource = Resource::new(Source::Plan, scope, kind, name, action);
    resource.drift = true;
    resource
}

fn verdict(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
    testing::judged(&run(argv, exit, stdout, stderr))
}

fn with(mut resource: Resource, attributes: &[&str]) -> Resource {
    resource.attributes = Some(attributes.iter().map(ToString::to_string).collect());
    resource
}

#[test]
fn helm_s_word_of_a_change_speaks_against_an_output_without_one() {
    let stderr = "Error: identified at least one change, exiting with non-zero exit code (detailed-exitcode parameter enabled)\n";
    let argv = ["sh", "-c", "! helm diff upgrade web ./web --detailed-exitcode >/dev/null"];
    let refused = (Verdict::Unreadable, Some(Class::UnreadableContradiction));
    assert_eq!(verdict(&argv, Some(0), "", stderr), refused);
    assert_eq!(verdict(&argv, None, "", stderr), refused);
}

#[test]
fn each_header_is_an_object() {
    let more = "shop, a:b, ClusterRole (rbac.authorization.k8s.io) has been added:\n+ kind: ClusterRole\nshop, s, Secret (v1) has changed:\n+ Changes suppressed on sensitive content of type Secret\nshop, x, ConfigMap (v1) changed ownership:\n- shop/a\n+ shop/b\nshop, z, Service (v1) has changed, but diff is empty after suppression.\n";
    let web = with(object("shop", "Deployment.apps", "web", Action::Update), &["spec.replicas"]);
    assert_eq!(
        resources(&[], &format!("{WEB}{GONE}{more}")),
        [
            object("shop", "ClusterRole.rbac.authorization.k8s.io", "a:b", Action::Create).with_span(15, 16),
            object("shop", "ConfigMap", "old", Action::Delete).with_span(9, 14),
            object("shop", "ConfigMap", "x", Action::Change).with_span(19, 21),
            web.with_span(1, 8),
            object("shop", "Secret", "s", Action::Update).with_span(17, 18),
            object("shop", "Service", "z", Action::Update).with_span(22, 22),
        ]
    );
    let colours = WEB
        .replace(
            "shop, web, Deployment (apps) has changed:",
            "\x1b[33mshop, web, Deployment (apps) has changed:\x1b[0m",
        )
        .replace("-   replicas: 3", "\x1b[31m-   replicas: 3\x1b[0m");
    assert_eq!(resources(&[], &colours), resources(&[], WEB));
    let file = "web/templates/web.yaml has changed:\n- a\n+ b\n";
    assert_eq!(resources(&["helm", "diff", "release", "a", "b"], file)[0].name, "web/templates/web.yaml");
}

#[test]
fn fields_are_told_only_where_everything_is_shown() {
    let told = |argv: &[&str], text: &str| resources(argv, text)[0].attributes.is_some();
    assert!(told(&[], WEB) && told(DETAILED, WEB));
    assert!(!told(&[], &WEB.replace("  spec:", "...")));
    assert!(!told(&["sh", "-c", "x"], WEB));
    assert!(!told(&["helm", "diff", "upgrade", "--suppress-output-line-regex=a"], WEB));
}

#[test]
fn a_silence_is_clean_only_with_a_code_that_tells() {
    use Verdict::{Clean, Drifted, Failed, Unreadable};
    let plain = &["helm", "diff", "upgrade", "web", "./web"];
    assert_eq!(verdict(DETAILED, Some(0), "", ""), (Clean, None));
    assert_eq!(verdict(DETAILED, Some(0), "\n", ""), (Clean, None));
    assert_eq!(verdict(plain, Some(0), "", ""), (Unreadable, Some(Class::UnreadableFormat)));
    assert_eq!(verdict(&[], Some(0), "", "").0, Unreadable);
    assert_eq!(verdict(&[], None, "", "").0, Unreadable);
    assert_eq!(verdict(&["sh", "-c", "helm diff upgrade a b --detailed-exitcode"], Some(0), "", "").0, Clean);
    assert_eq!(
        verdict(&["sh", "-c", "helm diff upgrade a b --detailed-exitcode | cat"], Some(0), "", "").0,
        Unreadable
    );
    for line in [
        "helm diff upgrade a b",
        "helm upgrade a b --detailed-exitcode",
        "helm diff upgrade a b --detailed-exitcode; true",
        "helm diff upgrade a b --detailed-exitcode || true",
    ] {
        assert_eq!(verdict(&["sh", "-c", line], Some(0), "", "").0, Unreadable, "{line}");
    }
    let remarks = |argv: &[&str]| run(argv, Some(0), WEB, "").report().unwrap().diagnostics().len();
    assert_eq!([remarks(DETAILED), remarks(plain)], [1, 0]);
    assert_eq!(verdict(plain, Some(0), WEB, "").0, Drifted);
    let usual = "Error: identified at least one change, exiting with non-zero exit code (detailed-exitcode parameter enabled)\nError: plugin \"diff\" exited with error\n";
    assert_eq!(verdict(DETAILED, Some(2), WEB, usual).0, Drifted);
    assert_eq!(verdict(DETAILED, Some(2), "", usual), (Unreadable, Some(Class::UnreadableContradiction)));
    assert_eq!(verdict(DETAILED, Some(0), "", "Error: x\n").0, Unreadable);
    assert_eq!(verdict(DETAILED, Some(1), "", "Error: x\n"), (Failed, Some(Class::Exit)));
    let denied = "Error: Failed to get release web in namespace shop: exit status 1: Error: query: failed to query with labels: secrets is forbidden: User \"x\" cannot list\n";
    assert_eq!(verdict(DETAILED, Some(1), "", denied), (Failed, Some(Class::Forbidden)));
    let down = "Error: Kubernetes cluster unreachable: Get \"https://x\"\n";
    assert_eq!(verdict(DETAILED, Some(1), "", down), (Failed, Some(Class::Unreachable)));
    for exit in [Some(0), None, Some(2)] {
        for stdout in ["", WEB, WEB.trim_end()] {
            assert_eq!(
                verdict(plain, exit, stdout, down),
                (Failed, Some(Class::Unreachable)),
                "{exit:?} {stdout}"
            );
        }
    }
}

#[test]
fn the_simple_form_counts() {
    let list = "shop, web, Deployment (apps) to be changed.\nshop, old, ConfigMap (v1) to be removed.\nshop, z, Service (v1) has changed, but diff is empty after suppression.\n";
    let plan = "Plan: 0 to add, 1 to change, 1 to destroy, 0 to change ownership.\n";
    let text = format!("{list}{plan}");
    assert_eq!(
        resources(&[], &text),
        [
            object("shop", "ConfigMap", "old", Action::Delete).with_span(2, 2),
            object("shop", "Deployment.apps", "web", Action::Update).with_span(1, 1),
            object("shop", "Service", "z", Action::Update).with_span(3, 3),
        ]
    );
    let none = "Plan: 0 to add, 0 to change, 0 to destroy, 0 to change ownership.\n";
    assert_eq!(verdict(&[], Some(0), none, ""), (Verdict::Clean, None));
    assert_eq!(verdict(&[], Some(2), none, "").1, Some(Class::UnreadableContradiction));
    assert_eq!(verdict(&[], Some(0), list, "").1, Some(Class::UnreadableCut));
    for (from, to) in [
        ("1 to change,", "2 to change,"),
        ("0 to change o", "1 to change o"),
        ("1 to destroy", "0 to destroy"),
    ] {
        assert_eq!(
            verdict(&[], Some(0), &text.replace(from, to), "").1,
            Some(Class::UnreadableContradiction)
        );
    }
    let refused =
        |text: &str, expected| assert_eq!(verdict(&[], Some(0), text, "").1, Some(expected), "{text}");
    let one = "Plan: 0 to add, 1 to change, 0 to destroy, 0 to change ownership.\n";
    refused(&format!("{WEB}{one}"), Class::UnreadableContradiction);
    let two = one.replace("1 to change,", "2 to change,");
    refused(&format!("{WEB}{}\n{two}", list.lines().next().unwrap()), Class::UnreadableContradiction);
    refused(&format!("{none}x\n"), Class::UnreadableFormat);
    refused(&format!("{none}{list}"), Class::UnreadableFormat);
    refused(&text.replace("changed.\n", "changed.\n- a\n+ b\n"), Class::UnreadableFormat);
    refused(&format!("{}\n- a\n+ b\n", list.lines().last().unwrap()), Class::UnreadableFormat);
}

#[test]
fn json_is_read_whole_and_not_where_objects_were_left_out() {
    let json = "[{\n  \"api\": \"apps\",\n  \"kind\": \"Deployment\",\n  \"namespace\": \"shop\",\n  \"name\": \"web\",\n  \"change\": \"MODIFY\"\n}]\n";
    assert_eq!(resources(&[], json), [object("shop", "Deployment.apps", "web", Action::Update)]);
    assert_eq!(verdict(&[], Some(0), "[]\n", ""), (Verdict::Clean, None));
    assert_eq!(
        verdict(&[], Some(0), "[]\n", "2026/11/24 02:00:00 error processing report entry\n").1,
        Some(Class::UnreadableFormat)
    );
    assert_eq!(verdict(&[], Some(0), json.trim_end_matches("]\n"), "").1, Some(Class::UnreadableCut));
    assert_eq!(verdict(&[], Some(0), &json.replace("MODIFY", "x"), "").1, Some(Class::UnreadableFormat));
    for (word, action) in [
        ("ADD", Action::Create),
        ("REMOVE", Action::Delete),
        ("MODIFY_SUPPRESSED", Action::Update),
        ("OWNERSHIP", Action::Change),
    ] {
        assert_eq!(
            resources(&[], &json.replace("MODIFY", word)),
            [object("shop", "Deployment.apps", "web", action)]
        );
    }
    let structured = r#"[{"apiVersion":"apps/v1","kind":"Deployment","namespace":"shop","name":"web","changeType":"MODIFY","resourceStatus":{"oldExists":true,"newExists":true},"changes":[{"path":"spec.template.spec.containers[0]","field":"image","change":"replace"},{"path":"metadata.labels","field":"a.b/c","change":"add"},{"path":"spec.args","field":"1","change":"add"}]},
        {"apiVersion":"v1","kind":"Secret","namespace":"shop","name":"s","changeType":"MODIFY","resourceStatus":{"oldExists":true,"newExists":true},"changesSuppressed":true},
        {"name":"shop, x, ConfigMap (v1)","changeType":"OWNERSHIP","resourceStatus":{"oldExists":false,"newExists":false}}]"#;
    let web = with(
        object("shop", "Deployment.apps", "web", Action::Update),
        &["metadata.labels[\"a.b/c\"]", "spec.args[1]", "spec.template.spec.containers[0].image"],
    );
    assert_eq!(
        resources(&[], structured),
        [
            object("shop", "ConfigMap", "x", Action::Change),
            web,
            object("shop", "Secret", "s", Action::Update)
        ]
    );
    let other = structured.replacen("\"newExists\":true", "\"newExists\":false", 1);
    assert_eq!(verdict(&[], Some(2), &other, "").1, Some(Class::UnreadableFormat));
}

#[test]
fn a_release_that_isn_t_there_is_said() {
    let banner = "********************\n\n\tRelease was not present in Helm.  Diff will show entire contents as new.\n\n********************\n";
    let new = "shop, web, Service (v1) has been added:\n+ kind: Service\n";
    let reading = run(&[], Some(2), &format!("{banner}{new}"), "");
    let report = reading.report().unwrap();
    assert_eq!((report.resources().len(), report.diagnostics().len()), (1, 1));
    let json = format!(
        "{banner}[{{\"api\": \"v1\", \"kind\": \"Service\", \"namespace\": \"shop\", \"name\": \"web\", \"change\": \"ADD\"}}]\n"
    );
    let reading = run(&[], Some(2), &json, "");
    let of_json = reading.report().unwrap();
    assert_eq!((of_json.resources().len(), of_json.diagnostics()), (1, report.diagnostics()));
    let stdout = Stream::whole(banner.as_bytes());
    let input = Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] };
    assert_eq!(recognise(&input), Some("helm diff's word of a release"));
    assert_eq!(verdict(&[], Some(0), banner, "").0, Verdict::Unreadable);
    assert_eq!(verdict(DETAILED, Some(0), banner, "").0, Verdict::Clean);
    let absent = banner.replace(
        "Diff will show entire contents as new.",
        "Include the `--allow-unreleased` to perform diff without exiting in error.",
    );
    assert_eq!(verdict(DETAILED, Some(1), &absent, "Error: release: not found\n").0, Verdict::Failed);
}

#[test]
fn releases_of_helmfile_stand_one_below_the_other() {
    let names = ["Comparing release=web, chart=./web\n", "Comparing release=db, chart=./db\n"];
    let text = format!("{}{WEB}{}{GONE}", names[0], names[1]);
    assert_eq!(resources(&["helmfile", "-e", "prod", "diff"], &text).len(), 2);
    let none = "Plan: 0 to add, 0 to change, 0 to destroy, 0 to change ownership.\n";
    assert_eq!(verdict(&[], Some(0), &format!("{}{none}{}{none}", names[0], names[1]), "").0, Verdict::Clean);
    assert_eq!(verdict(&[], Some(0), &format!("{}{none}{}", names[0], names[1]), "").0, Verdict::Unreadable);
    assert_eq!(verdict(&["helmfile", "diff"], Some(0), names[0], "").0, Verdict::Unreadable);
}

#[test]
fn what_is_cut_or_strange_is_refused() {
    use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
    let refused =
        |text: &str, expected| assert_eq!(verdict(&[], Some(2), text, "").1, Some(expected), "{text}");
    refused("shop, web, Deployment (apps) has changed:\n", UnreadableCut);
    refused("shop, web, Deployment (apps) has changed:\n  kind: x\n", UnreadableCut);
    refused(WEB.trim_end(), UnreadableCut);
    refused("- a\n", UnreadableFormat);
    refused(&format!("{WEB}hello\n"), UnreadableFormat);
    refused("\nspec.replicas  (apps/v1/Deployment/web)\n  \u{b1} value change\n", UnreadableFormat);
    refused(&GONE.replace("- kind", "+ kind"), UnreadableContradiction);
    let taken = "shop, x, ConfigMap (v1) changed ownership:\n- shop/a\n+ shop/b\n";
    refused(&format!("{taken}{}", WEB.split_once('\n').unwrap().1), UnreadableContradiction);
    for more in ["- shop/c\n", "+ shop/c\n", "  shop/c\n"] {
        refused(&format!("{taken}{more}"), UnreadableContradiction);
    }
    assert_eq!(resources(&[], &format!("{taken}\n  \n")).len(), 1);
    let twice = format!("{GONE}{}", GONE.split_once('\n').unwrap().1);
    refused(&twice, UnreadableContradiction);
    refused(
        &twice.replace("- \n", "").replace("- ", "+ ").replace("removed", "added"),
        UnreadableContradiction,
    );
    let two = WEB.split_once('\n').unwrap().1;
    refused(&format!("{WEB}{two}"), UnreadableContradiction);
}

#[test]
fn only_a_whole_key_names_an_object() {
    let names = |key: &str| words::object(key).map(|of| [of.scope, of.kind, of.name]);
    let of = |parts: [&str; 3]| Some(parts.map(str::to_owned));
    assert_eq!(names("shop, web, Deployment (apps)"), of(["shop", "Deployment.apps", "web"]));
    assert_eq!(names(", a, b, ClusterRole (v1)"), of(["", "ClusterRole", "a, b"]));
    assert_eq!(names("web/templates/a.yaml"), of(["", "", "web/templates/a.yaml"]));
    assert_eq!(names("shop, a/templates/b, Role (x)"), of(["shop", "Role.x", "a/templates/b"]));
    for key in [
        "web/values.yaml",
        "Shop, web, Deployment (apps)",
        "shop, web, Deploy.ment (apps)",
        "shop, , Deployment (apps)",
        "shop, web, Deployment (a b)",
    ] {
        assert_eq!(names(key), None, "{key}");
    }
}

#[test]
fn command_lines_of_helm_diff_are_known() {
    for argv in [
        &["helm", "diff", "upgrade", "a", "b"][..],
        &["timeout", "60", "/usr/bin/helm", "--kube-context", "diff", "diff", "rollback", "a"],
        &["helmfile", "-f", "x", "diff"],
        &["helm", "secrets", "diff", "upgrade", "a", "b"],
    ] {
        assert!(runs(argv), "{argv:?}");
    }
    for argv in [&["helm", "upgrade", "diff"][..], &["helm", "diff", "version"], &["helm"], &["git", "diff"]]
    {
        assert!(!runs(argv), "{argv:?}");
    }
}
