use super::*;
use crate::error::Class;
use crate::input::Stream;
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
fn only_a_whole_header_names_an_object() {
    let names = |line: &str| header(line.as_bytes());
    let of = |scope: &str, kind: &str, name: &str| Some((scope.to_owned(), kind.to_owned(), name.to_owned()));
    assert_eq!(names("===== apps/Deployment shop/web ======"), of("shop", "Deployment.apps", "web"));
    assert_eq!(names("===== /Node /a/b ======"), of("", "Node", "a/b"));
    for line in [
        "===== Apps/Deployment shop/web ======",
        "===== apps/ shop/web ======",
        "===== apps/Deployment Shop/web ======",
        "===== apps/Deployment shop/ ======",
        "===== apps/Deployment shop/web =====",
    ] {
        assert_eq!(names(line), None, "{line}");
    }
    let known = |text: &str| {
        let stdout = Stream::whole(text.as_bytes());
        recognise(&Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] }).is_some()
    };
    assert!(known(WEB) && known(&format!("\x1b[1m{}\x1b[0m", WEB.trim())));
    assert!(!known("===== apps ======\n") && !known(&WEB.replace("=====", "==== =")));
}

#[test]
fn an_object_is_on_one_side_only_if_all_of_it_is() {
    let action = |changes: &str| {
        let found = resources(&format!("===== /ConfigMap shop/a ======\n{changes}"));
        found.into_iter().map(|found| (found.action, found.attributes)).collect::<Vec<_>>()
    };
    for (changes, expected) in [
        ("0a1,2\n> apiVersion: v1\n> kind: ConfigMap\n", Action::Create),
        ("1,2d0\n< apiVersion: v1\n< kind: ConfigMap\n", Action::Delete),
        ("1c1\n< apiVersion: v1beta1\n---\n> apiVersion: v1\n", Action::Update),
        ("0a1\n> apiVersion: v1\n5c6\n< a\n---\n> b\n", Action::Update),
        ("1d0\n< apiVersion: v1\n5c4\n< a\n---\n> b\n", Action::Update),
        ("0a1\n> a: b\n", Action::Update),
        ("1d0\n< a: b\n", Action::Update),
        ("--- /dev/null\n+++ b/x/a\n@@ -0,0 +1,2 @@\n+apiVersion: v1\n+kind: x\n", Action::Create),
        ("--- a/x/a-live.yaml\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-apiVersion: v1\n-kind: x\n", Action::Delete),
        ("--- x/a-live.yaml\n+++ x/a\n@@ -1 +1,2 @@\n-null\n+apiVersion: v1\n+kind: x\n", Action::Update),
        ("--- x/a-live.yaml\n+++ x/a\n@@ -1,2 +1 @@\n-apiVersion: v1\n-kind: x\n+null\n", Action::Update),
        ("--- x/a-live.yaml\n+++ x/a\n@@ -1 +1,2 @@\n a: 1\n+b: 2\n", Action::Update),
        ("--- x/a-live.yaml\n+++ x/a\n@@ -1,2 +1 @@\n a: 1\n-b: 2\n", Action::Update),
        ("--- x/a-live.yaml\n+++ x/a\n@@ -4,2 +4,2 @@\n-a: 1\n+a: 2\n b: 1\n", Action::Update),
    ] {
        assert_eq!(action(changes), [(expected, None)], "{changes}");
    }
}

#[test]
fn hunks_follow_each_other_without_overlap_on_either_side() {
    let class = |first: &str, second: &str| {
        let text =
            format!("===== /ConfigMap shop/a ======\n{first}\n< a\n---\n> b\n{second}\n< c\n---\n> d\n");
        verdict(&[], Some(1), &text, "")
    };
    let (drifted, refused) =
        ((Verdict::Drifted, None), (Verdict::Unreadable, Some(Class::UnreadableContradiction)));
    assert_eq!(class("3c3", "4c4"), drifted);
    assert_eq!(class("3c3", "9c7"), drifted);
    assert_eq!(class("3c3", "3c4"), refused);
    assert_eq!(class("3c3", "4c3"), refused);
}

#[test]
fn a_differ_s_other_lines_stand_where_it_prints_them() {
    let git = "===== /ConfigMap shop/a ======\ndiff --git a/x/a-live.yaml b/x/a\nindex 1..2 100644\n--- a/x/a-live.yaml\n+++ b/x/a\n@@ -1 +1 @@\n-a\n+b\n";
    assert_eq!(resources(git), [object("shop", "ConfigMap", "a", Action::Update, (1, 8))]);
    let alone = "===== /ConfigMap shop/a ======\n@@ -1 +1 @@\n-a\n+b\n";
    for text in [
        format!("{WEB}diff --git a b\n"),
        format!("{git}diff --git a b\n"),
        alone.to_owned(),
        format!("{git}\n@@ -9 +9 @@\n-a\n+b\n"),
        format!("{WEB}@@ -29 +29 @@\n-a\n+b\n"),
        format!("{git}\n--- a/x/a-live.yaml\n+++ b/x/a\n@@ -9 +9 @@\n-a\n+b\n"),
        format!("{git}Only in x: a\n"),
    ] {
        assert_eq!(verdict(&[], Some(1), &text, "").1, Some(Class::UnreadableFormat), "{text}");
    }
}

#[test]
fn what_is_cut_or_strange_is_refused() {
    use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
    let refused =
        |text: &str, expected| assert_eq!(verdict(&[], Some(1), text, "").1, Some(expected), "{text}");
    refused(WEB.trim_end(), UnreadableCut);
    refused(&WEB.replace(">   replicas: 5\n", ""), UnreadableCut);
    refused(&WEB.replace("---\n", "\n"), UnreadableCut);
    let open = WEB.replace(">   replicas: 5\n", WEB.trim_start());
    let reason = run(&[], Some(1), &open, "").reason().unwrap();
    assert!(reason.contains("something else follows 0 old and 1 new lines before the end"), "{reason}");
    refused(&format!("{WEB}hello\n"), UnreadableFormat);
    refused(&format!("{WEB}\n29c29\n< a\n---\n> b\n"), UnreadableFormat);
    refused(&format!("hello\n{WEB}"), UnreadableFormat);
    refused(&WEB.replace("=====\n", "====\n"), UnreadableFormat);
    refused(&WEB.replace("17c17", "17x17"), UnreadableFormat);
    refused(&format!("{WEB}9c9\n< a\n---\n> b\n"), UnreadableContradiction);
    let other = "===== /ConfigMap shop/a ======\n--- /tmp/x/b-live.yaml\n+++ /tmp/x/b\n@@ -1 +1 @@\n-a\n+b\n";
    refused(other, UnreadableContradiction);
    refused(&other.replace("b-live.yaml", "a-live.yaml"), UnreadableContradiction);
    refused(&other.replace("+++ /tmp/x/b", "+++ /tmp/x/a"), UnreadableContradiction);
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
    assert_eq!(verdict(&[], None, "", ""), (Unreadable, Some(Class::UnreadableFormat)));
    let reason = run(&argv, None, "", "").reason().unwrap();
    assert!(reason.contains("no exit code to say that nothing differs"), "{reason}");
    assert_eq!(value(&["--a=1", "--a", "2", "--ab", "3"], "--a"), Some("2"));
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
        for exit in [None, Some(1), Some(20)] {
            for stdout in ["", WEB, WEB.trim_end()] {
                assert_eq!(
                    verdict(&[], exit, stdout, stderr),
                    (Verdict::Failed, Some(class)),
                    "{stdout}{stderr}"
                );
            }
        }
    }
}
