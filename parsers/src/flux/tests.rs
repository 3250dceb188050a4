use super::*;
use crate::error::Class;
use crate::input::Stream;
use crate::report::Verdict;
use crate::testing::drifting as of;
use crate::{Reading, testing};

const KS: &[&str] = &["flux", "diff", "kustomization", "shop", "--path", "./shop"];
const CHANGED: &str = "\u{26a0}\u{fe0f} identified at least one change, exiting with non-zero exit code\n";
const WEB: &str = "\u{25ba} Deployment/shop/web drifted\n\nspec.replicas\n\u{b1} value change\n- 3\n+ 5\n\n";
const NEW: &str = "\u{25ba} ConfigMap/shop/new created\n";

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    testing::run(&PARSER, argv, exit, stdout, stderr)
}

fn resources(stdout: &str) -> Vec<Resource> {
    testing::resources(&run(KS, Some(1), stdout, CHANGED))
}

fn verdict(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
    testing::judged(&run(argv, exit, stdout, stderr))
}

fn attributes(text: &str) -> Option<Vec<String>> {
    resources(text)[0].attributes.clone()
}

#[test]
fn each_line_is_an_object() {
    let mut web = of("shop", "Deployment", "web", Action::Update, (1, 6));
    web.attributes = Some(vec!["spec.replicas".to_owned()]);
    let text = format!("{WEB}{NEW}\u{25ba} Namespace/old deleted\n\u{25ba} Secret/shop/x skipped\n");
    let expected = [
        of("", "Namespace", "old", Action::Delete, (9, 9)),
        of("shop", "ConfigMap", "new", Action::Create, (8, 8)),
        web,
    ];
    assert_eq!(resources(&text), expected);
    let coloured = text.replace(
        "\u{25ba} Namespace/old deleted",
        "\u{1b}[38;2;255;69;0m\u{25ba} Namespace/old deleted\u{1b}[0m",
    );
    assert_eq!(resources(&coloured), expected);
    let progress = format!("\u{2713} Kustomization diffing...: processing inventory\n{NEW}");
    assert_eq!(resources(&progress), [of("shop", "ConfigMap", "new", Action::Create, (2, 2))]);
}

#[test]
fn what_the_progress_bar_overwrites_hides_no_object() {
    let two = format!(
        "\r\u{2713} Kustomization diffing...\r\u{1b}[K{NEW}\u{2713} Kustomization diffing...\r\u{25ba} Namespace/old deleted\n"
    );
    let expected = [
        of("", "Namespace", "old", Action::Delete, (2, 2)),
        of("shop", "ConfigMap", "new", Action::Create, (1, 1)),
    ];
    assert_eq!(resources(&two), expected);
    let old = "\u{2713} Kustomization diffing...\r\u{25ba} Namespace/old deleted\n";
    assert_eq!(verdict(KS, Some(0), old, "").0, Verdict::Drifted);
}

#[test]
fn a_change_that_isn_t_known_leaves_no_list_of_fields() {
    let more = format!("{WEB}spec.image\n\u{b1} minor value change\n- 3\n+ 5\n\n");
    assert_eq!(attributes(&more), None);
}

#[test]
fn fields_are_those_that_dyff_names() {
    let two = WEB.replace("+ 5\n\n", "+ 5\n\nmetadata.labels.a.b/c\n\u{b1} type change from int to string\n- 1\n+ x\n\nspec.template\n- one map entry removed:   + one map entry added:\na: \"x\"                   b: \"y\"\n\n");
    let paths = ["metadata.labels[\"a.b/c\"]", "spec.replicas", "spec.template"];
    assert_eq!(attributes(&two), Some(paths.map(str::to_owned).to_vec()));
    assert_eq!(attributes(&WEB.replace("spec.replicas", "(root level)")), None);
    assert_eq!(attributes("\u{25ba} Deployment/shop/web drifted\n\n"), None);
    let order = WEB.replace("\u{b1} value change\n- 3\n+ 5", "\u{21c6} order changed\n- a, b\n+ b, a");
    assert_eq!(attributes(&order), Some(vec!["spec.replicas".to_owned()]));
    // A path stands below an empty line, and isn't one.
    let entry = WEB.replace(
        "\u{b1} value change\n- 3\n+ 5\n",
        "+ one map entry added:\na:\n\u{b1} value change\n\n\n\u{b1} value change\n",
    );
    assert_eq!(attributes(&entry), Some(vec!["spec.replicas".to_owned()]));
    // What looks like a path in a value has no difference below it.
    let value = "\u{25ba} ConfigMap/shop/a drifted\n\ndata.a.txt\n\u{b1} value change in multiline text (one insert, no deletions)\n+ x\n+ \n+ spec.y\n+ \u{b1} value change\n\n\n";
    assert_eq!(attributes(value), Some(vec!["data[\"a.txt\"]".to_owned()]));
}

#[test]
fn kustomizations_inside_are_read_and_those_of_other_clusters_are_not() {
    let inside = format!("\u{1f4c1} Kustomization/flux-system/apps changed\n{NEW}");
    assert_eq!(resources(&inside).len(), 1);
    let remote =
        "\u{26a0}\u{fe0f} Kustomization/flux-system/remote skipped: diff not supported for remote clusters\n";
    let reading = run(KS, Some(1), &format!("{NEW}{remote}"), CHANGED);
    let unread =
        Unread { scope: "Kustomization/flux-system/remote".to_owned(), reason: UnreadReason::Failed };
    assert_eq!(reading.verdict(), Verdict::Partial);
    assert_eq!(reading.report().unwrap().scopes().unread, [unread]);
    assert_eq!(verdict(KS, Some(0), remote, ""), (Verdict::Partial, Some(Class::ScopeFailed)));
}

#[test]
fn nothing_but_an_empty_output_with_code_0_is_clean() {
    use Verdict::{Clean, Drifted, Failed, Unreadable};
    assert_eq!(verdict(KS, Some(0), "", "\u{2713}  Kustomization diffing...\n"), (Clean, None));
    assert_eq!(verdict(KS, Some(0), "\u{2713} Kustomization diffing...\n", ""), (Clean, None));
    assert_eq!(verdict(KS, Some(0), "\u{25ba} Secret/shop/x skipped\n", "").0, Clean);
    assert_eq!(verdict(&[], None, "\u{25ba} Secret/shop/x skipped\n", "").0, Unreadable);
    assert_eq!(verdict(&[], None, "", "").0, Unreadable);
    assert_eq!(verdict(KS, Some(1), "", CHANGED).1, Some(Class::UnreadableContradiction));
    assert_eq!(verdict(KS, Some(0), "", CHANGED).1, Some(Class::UnreadableContradiction));
    assert_eq!(verdict(KS, Some(0), NEW, "").0, Drifted);
    assert_eq!(verdict(KS, Some(0), "", "\u{2717} x\n").0, Unreadable);
    assert_eq!(
        verdict(KS, Some(1), "", "\u{2717} Kustomization name is required\n"),
        (Failed, Some(Class::Exit))
    );
    let denied = "\u{2717} Deployment/shop/web dry-run failed (Forbidden): deployments.apps \"web\" is forbidden: User \"x\"\n";
    assert_eq!(verdict(KS, Some(2), NEW, denied), (Failed, Some(Class::Forbidden)));
    assert_eq!(verdict(KS, Some(1), NEW, denied), (Failed, Some(Class::Forbidden)));
    let down = "\u{2717} Get \"https://x\": dial tcp: connect: connection refused\n";
    assert_eq!(verdict(KS, Some(2), "", down), (Failed, Some(Class::Unreachable)));
}

#[test]
fn an_error_is_a_failure_whatever_else_was_printed() {
    use Verdict::{Failed, Unreadable};
    let progress = "\u{2713} Kustomization diffing...\n";
    let denied = "\u{2717} Deployment/shop/web dry-run failed (Forbidden): deployments.apps \"web\" is forbidden: User \"x\"\n";
    for exit in [None, Some(1), Some(2)] {
        for stdout in ["", progress, NEW, NEW.trim_end(), "hello\n"] {
            for stderr in [denied.to_owned(), format!("{denied}{CHANGED}")] {
                let expected = (Failed, Some(Class::Forbidden));
                assert_eq!(verdict(KS, exit, stdout, &stderr), expected, "{exit:?} {stdout}");
            }
        }
    }
    for stdout in ["", progress] {
        let contradiction = (Unreadable, Some(Class::UnreadableContradiction));
        assert_eq!(verdict(KS, Some(0), stdout, CHANGED), contradiction, "{stdout}");
        assert_eq!(verdict(KS, Some(0), stdout, denied), contradiction, "{stdout}");
        assert_eq!(verdict(KS, Some(1), stdout, ""), (Failed, Some(Class::Exit)), "{stdout}");
        let reason = run(KS, None, stdout, "").reason().unwrap();
        assert!(reason.contains("no exit code to say that nothing differs"), "{reason}");
    }
}

#[test]
fn only_what_can_be_an_object_is_one() {
    let of = |scope: &str, kind: &str, name: &str| {
        Some(Object { scope: scope.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
    };
    assert_eq!(object("ClusterRole/a:b c"), of("", "ClusterRole", "a:b c"));
    assert_eq!(object("Pod/shop/a"), of("shop", "Pod", "a"));
    for subject in ["Po.d/shop/a", "/shop/a", "Pod/Shop/a", "Pod/shop/", "Pod/", "Pod", "Pod/shop/a/b"] {
        assert_eq!(object(subject), None, "{subject}");
    }
    let known = |text: &str| {
        let stdout = Stream::whole(text.as_bytes());
        recognise(&Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] }).is_some()
    };
    assert!(known(NEW) && known(&format!("\u{1b}[1m{NEW}")) && known(&format!("x\n{WEB}")));
    assert!(!known(&format!("x {NEW}")) && !known("\u{25ba} hello\n"));
}

#[test]
fn an_artifact_is_one_thing() {
    let argv = ["flux", "diff", "artifact", "oci://example.com/a:b", "--path=x"];
    assert_eq!(verdict(&argv, Some(0), "", "\u{2714} no changes detected\n"), (Verdict::Clean, None));
    let differs = "\u{2717} the remote artifact contents differs from the local one\n";
    let reading = run(&argv, Some(1), "", differs);
    let mut found = Resource::new(Source::Plan, "", "Artifact", "oci://example.com/a:b", Action::Change);
    found.drift = true;
    assert_eq!(reading.report().unwrap().resources(), [found]);
    assert_eq!(verdict(&argv, Some(1), "", "\u{2717} not found\n").0, Verdict::Failed);
    assert_eq!(verdict(&argv, Some(1), "", ""), (Verdict::Failed, Some(Class::Exit)));
}

#[test]
fn what_is_cut_or_strange_is_refused() {
    use Class::{UnreadableCut, UnreadableFormat};
    let refused = |text: &str, expected| {
        assert_eq!(verdict(KS, Some(1), text, CHANGED).1, Some(expected), "{text}");
    };
    refused("\u{25ba} Deployment/shop/web drifted\n", UnreadableCut);
    refused(NEW.trim_end(), UnreadableCut);
    refused(&format!("{NEW}hello\n"), UnreadableFormat);
    refused(&WEB.replace("\u{b1} value change\n", ""), UnreadableFormat);
    refused(&WEB.replacen("\n\n", "\n", 1), UnreadableFormat);
    refused(&WEB.replacen("\n\n", "\n\nhello\n\n", 1), UnreadableFormat);
    refused(&WEB.replacen("\u{25ba}", ">", 1), UnreadableFormat);
    refused("\u{25ba} Deployment/shop/web exploded\n", UnreadableFormat);
    for line in ["\u{25ba} Deployment/shop/api recreated", "\u{2717} Deployment/shop/api dry-run failed"] {
        refused(&format!("{WEB}{line}\n"), UnreadableFormat);
    }
    refused("\u{2713} Kustomization diffing...\u{25ba} Namespace/old deleted\n", UnreadableFormat);
}
