use super::*;
use crate::error::Class;
use crate::report::Verdict;
use crate::testing::drifting as object;
use crate::{Reading, testing};

const WEB: &str = "\n===== apps/Deployment shop/web ======\n17c17\n<   replicas: 3\n---\n>   replicas: 5\n";

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    testing::run(&PARSER, argv, exit, stdout, stderr)
}

fn resources(stdout: &str) -> Vec<Resource> {
    testing::resources(&run(&[], Some(1), stdout, ""))
}

fn verdict(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
    testing::judged(&run(argv, exit, stdout, stderr))
}

#[test]
fn each_header_is_an_object() {
    let new = "\n===== /ConfigMap shop/new ======\n0a1,2\n> apiVersion: v1\n> kind: ConfigMap\n";
    let old =
        "===== rbac.authorization.k8s.io/ClusterRole /a:b c ======\n1,2d0\n< apiVersion: v1\n< kind: x\n";
    assert_eq!(
        resources(&format!("{WEB}{new}{old}")),
        [
            object("", "ClusterRole.rbac.authorization.k8s.io", "a:b c", Action::Delete, (12, 15)),
            object("shop", "ConfigMap", "new", Action::Create, (8, 11)),
            object("shop", "Deployment.apps", "web", Action::Update, (2, 6)),
        ]
    );
    let top = "===== /ConfigMap shop/a ======\n0a1\n> a: b\n";
    assert_eq!(resources(top), [object("shop", "ConfigMap", "a", Action::Update, (1, 3))]);
    let mute = "===== /ConfigMap shop/a ======\n\n===== /ConfigMap shop/b ======\n";
    assert_eq!(
        resources(mute),
        [
            object("shop", "ConfigMap", "a", Action::Change, (1, 1)),
            object("shop", "ConfigMap", "b", Action::Change, (3, 3)),
        ]
    );
}

#[test]
fn unified_diffs_are_read_and_tell_fields_when_they_show_everything() {
    let unified = |hunks: &str| {
        format!(
            "===== /ConfigMap shop/a ======\n--- /tmp/argocd-diff1/a-live.yaml\t2026-11-23 01:21:43.1 +0000\n+++ /tmp/argocd-diff1/a\t2026-11-23 01:21:43.1 +0000\n{hunks}"
        )
    };
    let mut all = object("shop", "ConfigMap", "a", Action::Update, (1, 8));
    all.attributes = Some(vec!["data.a".to_owned()]);
    assert_eq!(resources(&unified("@@ -1,3 +1,3 @@\n data:\n-  a: 1\n+  a: 2\n   b: 1\n")), [all]);
    let part = unified("@@ -4,2 +4,2 @@\n-  a: 1\n+  a: 2\n   b: 1\n");
    assert_eq!(resources(&part), [object("shop", "ConfigMap", "a", Action::Update, (1, 7))]);
    let new = unified("@@ -0,0 +1,2 @@\n+apiVersion: v1\n+kind: ConfigMap\n");
    assert_eq!(resources(&new), [object("shop", "ConfigMap", "a", Action::Create, (1, 6))]);
}

#[test]
fn what_is_cut_or_strange_is_refused() {
    use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
    let refused =
        |text: &str, expected| assert_eq!(verdict(&[], Some(1), text, "").1, Some(expected), "{text}");
    refused(WEB.trim_end(), UnreadableCut);
    refused(&WEB.replace(">   replicas: 5\n", ""), UnreadableCut);
    refused(&WEB.replace("---\n", "\n"), UnreadableCut);
    refused(&format!("{WEB}hello\n"), UnreadableFormat);
    refused(&format!("{WEB}\n29c29\n< a\n---\n> b\n"), UnreadableFormat);
    refused(&format!("hello\n{WEB}"), UnreadableFormat);
    refused(&WEB.replace("=====\n", "====\n"), UnreadableFormat);
    refused(&WEB.replace("17c17", "17x17"), UnreadableFormat);
    refused(&format!("{WEB}9c9\n< a\n---\n> b\n"), UnreadableContradiction);
    let other = "===== /ConfigMap shop/a ======\n--- /tmp/x/b-live.yaml\n+++ /tmp/x/b\n@@ -1 +1 @@\n-a\n+b\n";
    refused(other, UnreadableContradiction);
    let bare = "===== /ConfigMap shop/a ======\n--- /tmp/x/a-live.yaml\n+++ /tmp/x/a\n";
    refused(bare, UnreadableCut);
}

#[test]
fn the_exit_code_says_what_its_flags_say() {
    use Verdict::{Clean, Drifted, Failed, Unreadable};
    let argv = ["argocd", "--server", "x", "app", "diff", "shop"];
    assert_eq!(verdict(&argv, Some(0), "", ""), (Clean, None));
    assert_eq!(verdict(&argv, Some(1), WEB, ""), (Drifted, None));
    assert_eq!(verdict(&argv, Some(0), WEB, ""), (Drifted, None));
    assert_eq!(verdict(&[], None, "", "").0, Unreadable);
    let mute = ["argocd", "app", "diff", "shop", "--exit-code=false"];
    assert_eq!(verdict(&mute, Some(0), "", "").0, Unreadable);
    let code = ["argocd", "app", "diff", "shop", "--diff-exit-code", "5"];
    assert_eq!(verdict(&code, Some(5), WEB, ""), (Drifted, None));
    assert_eq!(verdict(&code, Some(1), WEB, "").0, Failed);
    assert_eq!(verdict(&argv, Some(1), "", "").0, Failed);
    assert!(runs(&argv) && !runs(&["argocd", "app", "get", "diff"]) && !runs(&["argocd", "version"]));
}

#[test]
fn a_failure_has_a_class() {
    for (stderr, class) in [
        (
            "time=\"2026-11-23T01:21:43Z\" level=fatal msg=\"rpc error: code = Unauthenticated desc = invalid session\"",
            Class::Auth,
        ),
        (
            "{\"level\":\"fatal\",\"msg\":\"rpc error: code = PermissionDenied desc = permission denied\",\"time\":\"x\"}",
            Class::Forbidden,
        ),
        ("FATA[0000] rpc error: code = Unavailable desc = connection error", Class::Unreachable),
        ("FATA[0000] rpc error: code = NotFound desc = error getting application", Class::Exit),
    ] {
        assert_eq!(verdict(&[], Some(20), "", stderr), (Verdict::Failed, Some(class)), "{stderr}");
        assert_eq!(verdict(&[], Some(20), WEB, stderr), (Verdict::Failed, Some(class)), "{stderr}");
    }
}
