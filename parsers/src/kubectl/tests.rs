use super::*;
use crate::error::Class;
use crate::input::Stream;
use crate::report::{Resource, Source, Verdict};
use crate::{Reading, testing};

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    testing::run(&PARSER, argv, exit, stdout, stderr)
}

fn verdict(exit: Option<i32>, stdout: &str, stderr: &str) -> (Verdict, Option<Class>) {
    testing::judged(&run(&[], exit, stdout, stderr))
}

/// One file's part with these hunks.
fn part(file: &str, hunks: &str) -> String {
    format!("--- /tmp/LIVE-1/{file}\n+++ /tmp/MERGED-2/{file}\n{hunks}")
}

fn action(hunks: &str) -> Action {
    match run(&[], Some(1), &part("v1.ConfigMap.shop.web", hunks), "") {
        Reading::Read(report) => report.resources().first().unwrap().action,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_object_on_one_side_is_created_or_deleted_and_a_first_line_isn_t() {
    assert_eq!(action("@@ -0,0 +1,2 @@\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Create);
    assert_eq!(action("@@ -1,2 +0,0 @@\n-apiVersion: v1\n-kind: ConfigMap\n"), Action::Delete);
    assert_eq!(action("@@ -1 +1,2 @@\n-null\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Create);
    assert_eq!(action("@@ -1,2 +1 @@\n-apiVersion: v1\n-kind: ConfigMap\n+null\n"), Action::Delete);
    // Without context, at the top of a file and in its middle.
    assert_eq!(action("@@ -0,0 +1 @@\n+aaa: 1\n"), Action::Update);
    assert_eq!(action("@@ -1 +0,0 @@\n-aaa: 1\n"), Action::Update);
    assert_eq!(action("@@ -17,0 +18 @@\n+  label: x\n"), Action::Update);
    assert_eq!(action("@@ -4 +4,2 @@\n-null\n+a: 1\n+b: 1\n"), Action::Update);
    // One line that isn't kubectl's mask, and a mask that isn't all there was.
    assert_eq!(action("@@ -1 +1,2 @@\n-a: 1\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Update);
    assert_eq!(action("@@ -1,2 +1 @@\n-apiVersion: v1\n-kind: ConfigMap\n+a: 1\n"), Action::Update);
    assert_eq!(action("@@ -1,2 +1,2 @@\n-null\n-x\n+apiVersion: v1\n+kind: ConfigMap\n"), Action::Update);
    assert_eq!(action("@@ -1,2 +1,2 @@\n-apiVersion: v1\n-kind: ConfigMap\n+null\n+x\n"), Action::Update);
    assert_eq!(
        action("@@ -0,0 +1 @@\n+aaa: 1\n@@ -3 +4 @@\n-apiVersion: a\n+apiVersion: b\n"),
        Action::Update
    );
}

#[test]
fn only_in_one_folder_is_created_or_deleted() {
    let text =
        "Only in /tmp/LIVE-12: v1.ConfigMap.shop.old\nOnly in /tmp/MERGED-3: \"v1.ConfigMap.shop.a\\tb\"\n";
    let reading = run(&[], Some(1), text, "");
    let report = reading.report().unwrap();
    let of = |name: &str, action, line| {
        let mut resource = Resource::new(Source::Plan, "shop", "ConfigMap", name, action);
        resource.drift = true;
        resource.with_span(line, line)
    };
    assert_eq!(report.resources(), [of("a\tb", Action::Create, 2), of("old", Action::Delete, 1)]);
}

#[test]
fn nothing_but_an_empty_output_with_code_0_is_clean() {
    use Verdict::{Clean, Failed, Unreadable};
    assert_eq!(verdict(Some(0), "", ""), (Clean, None));
    assert_eq!(verdict(Some(0), "\n", "Warning: v1 Endpoints is deprecated\n"), (Clean, None));
    assert_eq!(verdict(None, "", ""), (Unreadable, Some(Class::UnreadableFormat)));
    let reason = run(&[], None, "", "").reason().unwrap();
    assert!(reason.contains("no exit code to say that nothing differs"), "{reason}");
    assert_eq!(verdict(Some(1), "", ""), (Failed, Some(Class::Exit)));
    assert_eq!(verdict(Some(2), "", ""), (Failed, Some(Class::Exit)));
    assert_eq!(verdict(Some(0), "", "error: x\n"), (Unreadable, Some(Class::UnreadableContradiction)));
    assert_eq!(
        verdict(Some(1), "", "Error: unknown command \"difff\" for \"kubectl\"\n"),
        (Failed, Some(Class::Exit))
    );
    let prune = "W1123 01:17:59.599585   23631 diff.go:760] pruning failed and could not be evaluated err: secrets is forbidden: User \"x\"\n";
    assert_eq!(verdict(Some(0), "", prune), (Failed, Some(Class::Forbidden)));
    let text = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
    assert_eq!(verdict(Some(1), &text, prune), (Failed, Some(Class::Forbidden)));
    for argv in [
        &["kubectl", "diff", "-f", "-"][..],
        &["kubectl", "diff", "-f-"],
        &["kubectl", "diff", "-Rf", "-"],
        &["kubectl", "diff", "-Rf=-"],
        &["kubectl", "diff", "--filename", "-"],
        &["kubectl", "diff", "--filename=a.yaml,-"],
        &["kubectl", "diff", "-R", "-f", "a.yaml", "-f", "/dev/stdin"],
    ] {
        assert_eq!(run(argv, Some(0), "", "").class(), Some(Class::NoScopes), "{argv:?}");
    }
    for argv in
        [&["kubectl", "diff", "-l", "-", "-fx"][..], &["kubectl", "diff", "-Rfx-", "--force-conflicts"]]
    {
        assert_eq!(run(argv, Some(0), "", "").verdict(), Clean, "{argv:?}");
    }
    assert_eq!(run(&["kubectl", "diff", "-f", "x"], Some(0), "", "").verdict(), Clean);
}

#[test]
fn an_exit_code_that_isn_t_kubectl_s_makes_no_empty_output_clean() {
    let class = |argv: &[&str], stderr: &str| run(argv, Some(0), "", stderr).class();
    for line in [
        "kubectl diff -f x | tee log",
        "cd a; kubectl --context p diff -f x 2>&1 |cat",
        "kustomize build . | kubectl diff -f - | sed s/a/b/ || true",
        "oc diff -f x | tee log",
        "$KUBECTL diff -f x |& tee log",
        "k diff -f x 2>/dev/null | cat",
        "./check.sh | tee log",
        // kubectl with nothing on standard input prints nothing and exits with 0.
        "sops -d s.yaml | kubectl diff -f -",
        "curl -sf https://x/y.yaml |\n  kubectl diff -f -",
        "ls | xargs -r /usr/bin/kubectl diff -f",
    ] {
        assert_eq!(class(&["sh", "-c", line], ""), Some(Class::UnreadableFormat), "{line}");
    }
    for line in [
        "kubectl diff -f x || [ $? = 1 ]",
        "kubectl get x | cat; kubectl diff -f x",
        "git diff | cat; kubectl diff -f x && true",
        "kubectl diff -f - < x",
        "set -o pipefail; kustomize build . | kubectl diff -f -",
        "set -o pipefail; kubectl diff -f x | tee log",
    ] {
        assert_eq!(class(&["bash", "-c", line], ""), None, "{line}");
    }
    assert_eq!(class(&["bash", "-o", "pipefail", "-c", "kubectl diff -f x | tee log"], ""), None);
    for words in [
        "sh: 1: kubectl: not found",
        "./x.sh: line 3: kubectl: command not found",
        "/usr/bin/env: 'kubectl': No such file or directory",
        "sh: 1: /opt/kubectl: Permission denied",
        "./x.sh: line 7:  4711 Killed                  kubectl diff -f x",
        "Killed",
    ] {
        assert_eq!(class(&[], words), Some(Class::UnreadableContradiction), "{words}");
    }
    assert_eq!(class(&[], "# Warning: 'commonLabels' is deprecated\nnot found: nothing\n"), None);
}

#[test]
fn a_difference_is_drift_whatever_the_code_says_short_of_failure() {
    let text = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
    for exit in [Some(0), Some(1), None] {
        assert_eq!(verdict(exit, &text, "Warning: x\n"), (Verdict::Drifted, None));
    }
    for exit in [None, Some(1), Some(2)] {
        for stdout in ["", &text, text.trim_end()] {
            let denied = "Error from server (Forbidden): x\n";
            assert_eq!(verdict(exit, stdout, denied), (Verdict::Failed, Some(Class::Forbidden)), "{stdout}");
        }
    }
    let bom = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(verdict(Some(1), &bom, ""), (Verdict::Drifted, None));
}

#[test]
fn what_belongs_to_no_diff_of_kubectl_s_is_refused() {
    use Class::{UnreadableContradiction, UnreadableCut, UnreadableFormat};
    let class = |text: &str| match run(&[], Some(1), text, "") {
        Reading::Unreadable(error) => (error.class, error.line),
        other => panic!("{text}: {other:?}"),
    };
    let good = part("v1.ConfigMap.shop.web", "@@ -1 +1 @@\n-a\n+b\n");
    assert_eq!(class(&format!("{good}Error: exit status 1\n")), (UnreadableFormat, Some(6)));
    assert_eq!(class(&format!("{good} a\n")), (UnreadableFormat, Some(6)));
    assert_eq!(class(good.trim_end()), (UnreadableCut, Some(5)));
    assert_eq!(class(&format!("{good}diff -u -N a b\n")), (UnreadableCut, Some(6)));
    assert_eq!(class(&format!("diff a b\n{good}")), (UnreadableContradiction, Some(1)));
    assert_eq!(class("diff a b\ndiff c d\n"), (UnreadableFormat, Some(1)));
    assert_eq!(class("diff a b\n3c3\n"), (UnreadableFormat, Some(1)));
    assert_eq!(class("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"), (UnreadableFormat, Some(1)));
    assert_eq!(class(&part("v1.ConfigMap.shop.web", "")), (UnreadableCut, Some(1)));
    assert_eq!(class(&good.replace("MERGED-2/v1", "MERGED-2/v2")), (UnreadableContradiction, Some(1)));
    assert_eq!(class(&good.replace("v1.ConfigMap.shop.web", "web")), (UnreadableFormat, Some(1)));
    let overlap = part("v1.ConfigMap.shop.web", "@@ -5 +5 @@\n-a\n+b\n@@ -2 +2 @@\n-a\n+b\n");
    assert_eq!(class(&overlap), (UnreadableContradiction, Some(6)));
    let gone = good.replace("+++ /tmp/MERGED-2/v1.ConfigMap.shop.web", "+++ /dev/null");
    assert_eq!(class(&gone), (UnreadableContradiction, Some(1)));
    assert_eq!(class("a\0b\n"), (UnreadableFormat, None));
}

#[test]
fn fields_are_told_only_where_the_diff_shows_every_change() {
    let attributes = |text: &str| {
        let reading = run(&[], Some(1), text, "");
        reading.report().unwrap().resources().first().unwrap().attributes.clone()
    };
    let text = part("v1.ConfigMap.shop.web", "@@ -1,3 +1,3 @@\n data:\n-  a: 1\n+  a: 2\n   b: 1\n");
    let paths = "/tmp/LIVE-1/v1.ConfigMap.shop.web /tmp/MERGED-2/v1.ConfigMap.shop.web";
    let told = Some(vec!["data.a".to_owned()]);
    assert_eq!(attributes(&text), told);
    for options in ["-u -N", "-uN", "-u -N -U 9999", "-N -u '--color=always'", "-U9999 -N"] {
        assert_eq!(attributes(&format!("diff {options} {paths}\n{text}")), told, "{options}");
    }
    for options in ["-u -N -w", "-u -N -B", "-uNb", "-u -N --ignore-all-space", "-u -I generation"] {
        assert_eq!(attributes(&format!("diff {options} {paths}\n{text}")), None, "{options}");
    }
    assert_eq!(attributes(&text.replace("@@ -1,3 +1,3 @@", "@@ -2,3 +2,3 @@")), None);
    assert_eq!(attributes(&format!("{text}@@ -9 +9 @@\n-  c: 1\n+  c: 2\n")), None);
}

#[test]
fn a_kind_that_can_t_be_told_is_left_out_with_a_remark() {
    let file = "acme.example.com.stable.lowerkind.shop.low.v1.name";
    let reading = run(&[], Some(1), &part(file, "@@ -9 +9 @@\n-  a: 1\n+  a: 2\n"), "");
    let report = reading.report().unwrap();
    let mut expected = Resource::new(Source::Plan, "", "", file, Action::Update).with_span(1, 5);
    expected.drift = true;
    assert_eq!((report.resources(), report.diagnostics().len()), (&[expected][..], 1));
}

#[test]
fn plain_diff_is_read_and_refused_where_lines_are_missing() {
    let of =
        |file: &str, changes: &str| format!("diff -r /tmp/LIVE-1/{file} /tmp/MERGED-2/{file}\n{changes}");
    let read = |changes: &str| match run(&[], Some(1), &of("v1.ConfigMap.shop.web", changes), "") {
        Reading::Read(report) => Ok(report.resources().first().unwrap().action),
        Reading::Unreadable(error) => Err((error.class, error.line)),
        other @ Reading::Failed { .. } => panic!("{other:?}"),
    };
    assert_eq!(read("0a1,2\n> apiVersion: v1\n> kind: ConfigMap\n"), Ok(Action::Create));
    assert_eq!(read("1,2d0\n< apiVersion: v1\n< kind: ConfigMap\n"), Ok(Action::Delete));
    assert_eq!(read("1c1,2\n< null\n---\n> apiVersion: v1\n> kind: ConfigMap\n"), Ok(Action::Create));
    assert_eq!(read("0a1\n> aaa: 1\n"), Ok(Action::Update));
    assert_eq!(read("3c3\n<   a: 1\n---\n>   a: 2\n"), Ok(Action::Update));
    assert_eq!(read("3c3\n<   a: 1\n---\n"), Err((Class::UnreadableCut, Some(4))));
    assert_eq!(read("3c3\n<   a: 1\n---\n>   a: 2"), Err((Class::UnreadableCut, Some(5))));
    assert_eq!(read("3d2\n< a\n2d1\n< b\n"), Err((Class::UnreadableContradiction, Some(4))));
    let quoted = "diff \"/tmp/LIVE-1/v1.ConfigMap.shop.a \\\"b\" \"/tmp/MERGED-2/v1.ConfigMap.shop.a \\\"b\"\n3d2\n< a\n";
    let reading = run(&[], Some(1), quoted, "");
    assert_eq!(reading.report().unwrap().resources().first().unwrap().name, "a \"b");
}

#[test]
fn hunks_that_don_t_follow_from_those_above_are_refused() {
    let class = |hunks: &str| run(&[], Some(1), &part("v1.ConfigMap.shop.web", hunks), "").class();
    assert_eq!(class("@@ -3 +3,2 @@\n-a\n+b\n+c\n@@ -9 +10 @@\n-a\n+b\n"), None);
    assert_eq!(
        class("@@ -3 +3,2 @@\n-a\n+b\n+c\n@@ -9 +9 @@\n-a\n+b\n"),
        Some(Class::UnreadableContradiction)
    );
    assert_eq!(class("@@ -17 +18,2 @@\n-a\n+b\n+c\n"), Some(Class::UnreadableContradiction));
}

#[test]
fn other_forms_of_diff_are_refused_by_name() {
    let reason = |text: &str| run(&[], Some(1), text, "").reason().unwrap();
    let paths = "/tmp/LIVE-1/v1.ConfigMap.shop.web /tmp/MERGED-2/v1.ConfigMap.shop.web";
    for (text, words) in [
        (
            format!(
                "Only in /tmp/LIVE-1: v1.ConfigMap.shop.x\nFiles {} differ\n",
                paths.replace(' ', " and ")
            ),
            "line 2: names of files only (`-q`)",
        ),
        (format!("diff -y -N {paths}\na | b\n"), "line 1: side by side (`-y`), where long lines are cut"),
        (format!("diff -cN {paths}\n*** a\n"), "line 1: a context diff (`-c`)"),
    ] {
        assert_eq!(reason(&text), format!("{words}; {HINT}"));
    }
    for text in ["Files are here\n", "a and b differ\n"] {
        assert!(!reason(text).contains("names of files only"), "{text}");
    }
}

#[test]
fn its_output_is_known_by_kubectl_s_folders() {
    let known = |text: &str| {
        let stdout = Stream::whole(text.as_bytes());
        recognise(&Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] }).is_some()
    };
    let dyff = "\nspec.replicas  (apps.v1.Deployment.shop.web)\n  ± value change\n    - 3\n    + 5\n\n";
    for text in [
        "Only in /tmp/LIVE-1: v1.ConfigMap.shop.x\n",
        "+++ /tmp/MERGED-1/v1.ConfigMap.shop.x\n",
        "cmp /tmp/LIVE-1/x /tmp/MERGED-2/x\n",
        dyff,
    ] {
        assert!(known(text), "{text}");
    }
    for text in [
        "see /tmp/LIVE-1/x\n",
        "--- a/LIVE-x\n",
        dyff.trim_start(),
        &dyff.replace("  (apps.v1.Deployment.shop.web)", ""),
    ] {
        assert!(!known(text), "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_has_no_lines() {
    let of = |old: &str, new: &str, hunks: &str| {
        let diff = format!(
            "--- /tmp/LIVE-1/v1.ConfigMap.shop.web{old}\n+++ /tmp/MERGED-2/v1.ConfigMap.shop.web{new}\n{hunks}"
        );
        verdict(Some(1), &diff, "")
    };
    let (gone, contradiction) = (
        "\t1970-01-01 00:00:00.000000000 +0000",
        (Verdict::Unreadable, Some(Class::UnreadableContradiction)),
    );
    let drifted = (Verdict::Drifted, None);
    let (added, removed) = ("@@ -0,0 +1 @@\n+a: 1\n", "@@ -1 +0,0 @@\n-a: 1\n");
    assert_eq!((of(gone, "", added), of("", gone, removed)), (drifted, drifted));
    let both = "@@ -1 +1 @@\n-a: 1\n+a: 2\n";
    assert_eq!((of(gone, "", both), of("", gone, both)), (contradiction, contradiction));
    // A second hunk has the whole file above it.
    let (second_added, second_removed) = ("@@ -2,0 +4 @@\n+b: 1\n", "@@ -4 +2,0 @@\n-b: 1\n");
    assert_eq!(of(gone, "", &format!("{added}{second_added}")).0, Verdict::Unreadable);
    assert_eq!(of("", gone, &format!("{removed}{second_removed}")).0, Verdict::Unreadable);
}
