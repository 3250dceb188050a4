use super::*;
use crate::input::Stream;
use crate::report::Verdict;
use crate::{Reading, testing};

const REPLICAS: &str = "## shop/web (Deployment.v1.apps)\n\n.spec.replicas: '5' != '3'\n";

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    testing::run(&PARSER, argv, exit, stdout, stderr)
}

fn update(scope: &str, kind: &str, name: &str, attributes: &[&str]) -> Resource {
    let mut resource = Resource::new(Source::Plan, scope, kind, name, Action::Update);
    resource.attributes = Some(attributes.iter().map(ToString::to_string).collect());
    resource.drift = true;
    resource
}

fn resources(stdout: &str) -> Vec<Resource> {
    testing::resources(&run(&[], Some(2), stdout, ""))
}

fn class(exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
    testing::judged(&run(&["kubediff", "k8s"], exit, stdout, stderr))
}

#[test]
fn differences_of_one_object_are_one_resource() {
    let second = REPLICAS.replace(".spec.replicas: '5' != '3'", ".spec.template: 'spec' missing");
    let both = Resource {
        count: 2,
        ..update("shop", "Deployment.apps", "web", &["spec.replicas", "spec.template.spec"]).with_span(1, 6)
    };
    assert_eq!(resources(&format!("{REPLICAS}{second}")), [both]);
}

#[test]
fn lines_of_values_are_no_headers() {
    let diff = "## shop/a (ConfigMap.v1.)\n\n.data.x.y: Diff:\n--- .data.x.y\n+++ running\n@@ -1,2 +1,2 @@\n a\n-## shop/b (Secret.v1.)\n+--- c\n";
    assert_eq!(resources(diff), [update("shop", "ConfigMap", "a", &["data[\"x.y\"]"]).with_span(1, 9)]);
    let value = "## shop/a (ConfigMap.v1.)\n\n.data.x: 'a' != 'b\n## shop/b (Secret.v1.)\n\n+ x\nc'\n";
    assert_eq!(resources(value), [update("shop", "ConfigMap", "a", &["data.x"]).with_span(1, 7)]);
    let ends = "## shop/a (ConfigMap.v1.)\n\n.data.x: Diff:\n\n";
    assert_eq!(resources(&format!("{ends}{REPLICAS}")).len(), 2);
    let command = "## shop/a (ConfigMap.v1.)\n\n.data.x: 'a' != 'b'\ndiff a b\nOnly in a: b\nc'\n";
    assert_eq!(resources(command), [update("shop", "ConfigMap", "a", &["data.x"]).with_span(1, 6)]);
}

#[test]
fn paths_are_written_in_one_notation() {
    let of = |kind: &str, line: &str| match message(line, kind) {
        Message::Field(path) | Message::Values(path, _) | Message::Diff(path, _) => path,
        Message::Words => panic!("{line}"),
    };
    assert_eq!(of("Deployment.apps", ".spec.containers: 'element [0]' missing"), "spec.containers[0]");
    assert_eq!(of("Deployment.apps", ".spec.containers[0].image: 'a' != 'b'"), "spec.containers[0].image");
    assert_eq!(of("Pod", ".metadata.labels.a.b/c: 'x' != 'y'"), "metadata.labels[\"a.b/c\"]");
    assert_eq!(of("Pod", ".metadata.annotations: 'a.b/c' missing"), "metadata.annotations[\"a.b/c\"]");
    assert_eq!(of("Secret", ".data: 'a: b' missing"), "data[\"a: b\"]");
    assert_eq!(of("Widget.example.com", ".data.a.b: 'x' != 'y'"), "data.a.b");
    assert_eq!(of("Pod", ": 'spec' missing"), "spec");
    assert_eq!(of("Pod", ".spec.x: Unequal lengths: 2 != 1"), "spec.x");
    assert_eq!(of("Pod", "len(.spec.x): 2 != 1"), "spec.x");
    assert_eq!(of("ConfigMap", ".data: 'element x' missing"), "data[\"element x\"]");
    for line in [
        "spec: 'x' missing",
        ".spec.x: Unequal lengths: 2 != x",
        ".spec.x: Unequal lengths: x != 2",
        "len(.spec.x):  != 1",
    ] {
        assert!(matches!(message(line, "Pod"), Message::Words), "{line}");
    }
}

#[test]
fn only_a_whole_header_names_an_object() {
    let names = |line: &str| header(line.as_bytes()).map(|of| [of.scope, of.kind, of.name]);
    let of = |parts: [&str; 3]| Some(parts.map(str::to_owned));
    assert_eq!(names("## shop/web (Deployment.v1.apps)"), of(["shop", "Deployment.apps", "web"]));
    assert_eq!(names("## /a (b) (ClusterRole.v1.)"), of(["", "ClusterRole", "a (b)"]));
    for line in [
        "## shop/web (Deployment)",
        "## shop/web (Deploy ment.v1.apps)",
        "## Shop/web (Deployment.v1.apps)",
        "## shop/web (Deployment.v1.Apps)",
        "## shop/ (Deployment.v1.apps)",
    ] {
        assert_eq!(names(line), None, "{line}");
    }
}

#[test]
fn an_object_that_isn_t_there_is_created_and_one_that_can_t_be_read_is_not() {
    let words = |words: &str| format!("## shop/api (Deployment.v1.apps)\n\n{words}\n\n");
    let gone = words("Error from server (NotFound): deployments.apps \"api\" not found");
    let mut create = Resource::new(Source::Plan, "shop", "Deployment.apps", "api", Action::Create);
    create.drift = true;
    assert_eq!(resources(&gone), [create.with_span(1, 3)]);
    for (text, expected) in [
        ("Error from server (NotFound): namespaces \"shop\" not found", Class::Exit),
        ("error: the server doesn't have a resource type \"Widget\"", Class::Exit),
        (
            "Error from server (Forbidden): deployments.apps \"api\" is forbidden: User \"x\"",
            Class::Forbidden,
        ),
        ("error: You must be logged in to the server (Unauthorized)", Class::Auth),
        ("The connection to the server localhost:8080 was refused - did you", Class::Unreachable),
    ] {
        assert_eq!(class(Some(2), &words(text), ""), (Verdict::Failed, Some(expected)), "{text}");
    }
    // kubectl said nothing, or an empty line first.
    assert_eq!(class(Some(2), &words(""), ""), (Verdict::Failed, Some(Class::Exit)));
    assert_eq!(class(Some(2), &gone.replacen("\n\n", "\n\n\n", 1), ""), (Verdict::Drifted, None));
}

#[test]
fn objects_that_could_not_be_read_leave_their_namespace_unread() {
    let denied =
        "## db/x (Secret.v1.)\n\nError from server (Forbidden): secrets \"x\" is forbidden: User \"u\"\n\n";
    let reading = run(&[], Some(2), &format!("{REPLICAS}{denied}"), "");
    let unread = vec![Unread { scope: "db".to_owned(), reason: UnreadReason::Failed }];
    assert_eq!(reading.verdict(), Verdict::Partial);
    assert_eq!(reading.report().unwrap().scopes().unread, unread);
    let refused =
        denied.replace("(Forbidden): secrets \"x\" is forbidden: User \"u\"", "(ServiceUnavailable)");
    assert_eq!(class(Some(2), &format!("{REPLICAS}{refused}"), "").1, Some(Class::Unreachable));
    let unparsed = "Failed to parse Kubernetes object: {'kind': 'x'}\nMissing key: 'apiVersion'\n";
    assert_eq!(class(Some(0), unparsed, ""), (Verdict::Failed, Some(Class::ScopeFailed)));
    assert_eq!(class(Some(2), &format!("{unparsed}{REPLICAS}"), "").0, Verdict::Failed);
    assert_eq!(class(Some(0), &format!("{unparsed}{{}}\n"), "").0, Verdict::Failed);
}

#[test]
fn nothing_but_the_exit_code_makes_a_silence_clean() {
    use Verdict::{Clean, Failed, Unreadable};
    assert_eq!(class(Some(0), "", ""), (Clean, None));
    assert_eq!(class(None, "", "").0, Unreadable);
    assert_eq!(class(Some(2), "", ""), (Failed, Some(Class::Exit)));
    assert_eq!(run(&["kubediff", "-e", "k8s"], Some(0), "", "").verdict(), Unreadable);
    assert_eq!(run(&["kubediff", "-e", "k8s"], Some(0), REPLICAS, "").verdict(), Verdict::Drifted);
    let remarks = |argv: &[&str]| run(argv, Some(0), REPLICAS, "").report().unwrap().diagnostics().len();
    assert_eq!([remarks(&["kubediff", "k8s"]), remarks(&["kubediff", "-e", "k8s"])], [1, 0]);
    let ended =
        "Traceback (most recent call last):\n  File \"x\", line 1\nyaml.scanner.ScannerError: secret\n";
    let Reading::Failed { failure, .. } = run(&[], Some(1), "", ended) else { panic!("not failed") };
    assert_eq!(failure, Failure::new(Class::Exit, "kubediff ended with yaml.scanner.ScannerError"));
    let later = format!("a: b\nc: d\n{}", ended.replace("yaml", "of two words: x\nyaml"));
    assert_eq!(traceback(later.as_bytes()), Some(failure));
    assert_eq!(traceback(b"KeyError: x\nKeyError: y\n"), None);
}

#[test]
fn json_tells_files() {
    let text = "{\n  \"k8s/a.yaml\": [\n    \".spec.replicas: '5' != '3'\",\n    \".data.x: Diff:\\n--- .data.x\\n\"\n  ],\n  \"k8s/b.yaml\": [\n    \"Error from server (NotFound): configmaps \\\"x\\\" not found\\n\"\n  ]\n}\n";
    let a = Resource { count: 2, ..update("", "", "k8s/a.yaml", &["data.x", "spec.replicas"]) };
    let mut b = Resource::new(Source::Plan, "", "", "k8s/b.yaml", Action::Create);
    b.drift = true;
    assert_eq!(resources(text), [a, b]);
    assert_eq!(class(Some(0), "{}\n", ""), (Verdict::Clean, None));
    assert_eq!(class(None, "{}\n", ""), (Verdict::Clean, None));
    assert_eq!(class(Some(2), "{}\n", "").1, Some(Class::UnreadableContradiction));
    assert_eq!(class(Some(2), "{\n  \"a.yaml\": [\n", "").1, Some(Class::UnreadableCut));
    assert_eq!(class(Some(2), "{\n  \"a\": 1\n}\n", "").1, Some(Class::UnreadableFormat));
    assert_eq!(class(Some(2), "{\n  \"a\": []\n}\n", "").1, Some(Class::UnreadableFormat));
    let denied = text.replace("(NotFound): configmaps", "(Forbidden): configmaps");
    assert_eq!(class(Some(2), &denied, ""), (Verdict::Failed, Some(Class::Forbidden)));
}

#[test]
fn the_first_versions_name_what_they_check() {
    let text = "Checking Deployment 'web'\n *** .spec.replicas: '5' != '3'\n *** .spec.template: 'x' missing\nChecking Service.v1. 'shop/web'\n";
    let web = Resource {
        count: 2,
        ..update("", "Deployment", "web", &["spec.replicas", "spec.template.x"]).with_span(2, 3)
    };
    assert_eq!(resources(text), [web]);
    assert_eq!(class(Some(0), "Checking Service 'web'\n", ""), (Verdict::Clean, None));
    assert_eq!(class(None, "Checking Service 'web'\n", "").0, Verdict::Unreadable);
    assert_eq!(class(Some(2), "Checking Service 'web'\n", "").1, Some(Class::UnreadableContradiction));
}

#[test]
fn what_is_cut_or_strange_is_refused() {
    use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
    let refused = |text: &str, expected| assert_eq!(class(Some(2), text, "").1, Some(expected), "{text}");
    refused(&format!("## shop/a (Secret.v1.)\n\n{REPLICAS}"), UnreadableFormat);
    refused("## shop/web (Deployment.v1.apps)\n", UnreadableCut);
    refused("## shop/web (Deployment.v1.apps)\n\n", UnreadableCut);
    refused(REPLICAS.trim_end(), UnreadableCut);
    refused(&REPLICAS.replace("'3'", "'3"), UnreadableCut);
    refused(".spec.replicas: '5' != '3'\n", UnreadableFormat);
    refused(&format!("hello\n{REPLICAS}"), UnreadableFormat);
    let diff = "## shop/a (ConfigMap.v1.)\n\n.data.x: Diff:\n--- .data.x\n+++ running\n@@ -1 +1 @@\n-a\n+b\n";
    refused(&diff.replace("--- .data.x", "--- .data.y"), UnreadableContradiction);
    refused(&diff.replace("+b\n", ""), UnreadableCut);
    refused(&format!("{diff}c\n"), UnreadableFormat);
    refused(&diff.replace("@@ -1 +1 @@\n-a\n+b\n", ""), UnreadableCut);
}

#[test]
fn its_output_is_known() {
    let known = |text: &str| {
        let stdout = Stream::whole(text.as_bytes());
        let input = Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] };
        recognise(&input).is_some()
    };
    assert!(known(REPLICAS) && known("x\n## /settings (ConfigMap.v1.)\n"));
    assert!(known("{\n  \"a.yaml\": [\n    \".spec: 'x' missing\"\n  ]\n}\n"));
    assert!(known("Checking Deployment 'web'\n *** .spec.replicas: '5' != '3'\n"));
    assert!(known("Failed to parse Kubernetes object: {'kind': 'x'}\n"));
    assert!(!known("Failed to parse it\n") && !known(" *** .spec.replicas: '5' != '3'\n"));
    assert!(!known("{\n  \"a.txt\": [\n    \".spec: 'x' missing\"\n  ]\n}\n"));
    assert!(!known("## Usage (short)\n") && !known("Checking Deployment 'web'\n") && !known("{}\n"));
}
