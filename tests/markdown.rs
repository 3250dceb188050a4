//! `--format markdown` from outside: what stands in a comment, and what must not.

mod support;

use support::{Folder, ended};

#[test]
fn a_round_is_a_comment_with_the_diffs_of_what_drifts() {
    let demo = format!("{}/examples/demo/driftrun.yaml", env!("CARGO_MANIFEST_DIR"));
    let (text, _, code) = ended(&["once", "--format=markdown", "--config.file", &demo]);
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with(
            "### ✕ driftrun: 8 checks: 4 clean, 2 drifted, 1 partial, 1 failed\n\n17 resources: "
        ),
        "{text}"
    );
    let sections: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("#### ")).map(str::trim_end).collect();
    assert_eq!(
        sections,
        ["◐ `ansiblediff-prod`", "≠ `kubediff-prod`", "≠ `terradiff-prod`", "✕ `terradiff-staging`"]
    );
    assert!(text.contains("\n-Welcome to nowhere\n+Welcome to web1\n"), "{text}");
    // What a Secret held that is not there any more, nobody has masked.
    assert!(text.contains("\n1 diff of Secrets is not shown.\n") && !text.contains("kind: Secret"), "{text}");
}

#[test]
fn secrets_are_taken_out_and_nothing_is_cut_from_an_output_that_was_not_read() {
    let diff = "diff -u -N /tmp/LIVE-1/v1.ConfigMap.shop.a /tmp/MERGED-2/v1.ConfigMap.shop.a
--- /tmp/LIVE-1/v1.ConfigMap.shop.a
+++ /tmp/MERGED-2/v1.ConfigMap.shop.a
@@ -1,7 +1,7 @@
 apiVersion: v1
 data:
-  x: token-1
+  x: token-2
 kind: ConfigMap
 metadata:
   name: a
   namespace: shop
";
    let folder = Folder::new("markdown");
    folder.write("diff", diff);
    folder.write("other", &diff.replace("token", "other"));
    let config = folder.write(
        "driftrun.yaml",
        "checks:
- { name: own, parser: kubectl, command: [sh, -c, cat diff; exit 1], redact: ['token-\\d'] }
- { name: reported, parser: kubectl, command: [sh, -c, cat other; exit 1], report: [cat, diff] }
- { name: unrelated, parser: kubectl, command: [sh, -c, seq 1 20; echo nothing like it; exit 1], report: [cat, diff] }
",
    );
    let (text, _, code) = ended(&["once", "--format=markdown", "--config.file", config.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{text}");
    let (own, others) = text.split_once("#### ≠ `reported`").unwrap();
    let (reported, unrelated) = others.split_once("#### ≠ `unrelated`").unwrap();
    assert!(own.contains("\n-  x: (redacted)\n+  x: (redacted)\n") && !own.contains("token"), "{own}");
    // The resources' places are in the report, of which nothing is kept: they are looked for in what the command itself has printed.
    assert!(
        reported.contains("\n-  x: other-1\n+  x: other-2\n") && !reported.contains("token"),
        "{reported}"
    );
    assert!(unrelated.contains("| update | `shop` | `ConfigMap` | `a` |"), "{unrelated}");
    assert!(!unrelated.contains("<details>") && !unrelated.contains("nothing like it"), "{unrelated}");

    let file = folder.path().join("diff");
    let (text, _, code) = ended(&["parse", "--format=markdown", "--exit-code=1", file.to_str().unwrap()]);
    assert!(text.starts_with("### ≠ driftrun: drifted\n\n1 resource: 1 update.\n\n| action |"), "{text}");
    assert!(text.contains("\n-  x: token-1\n+  x: token-2\n"), "{text}");
    assert_eq!(code, Some(2));
}
