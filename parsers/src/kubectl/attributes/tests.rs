use super::*;

fn paths(diff: &str) -> Option<Vec<String>> {
    let mut lines = Collected::default();
    for line in diff.lines() {
        let (sign, text) = line.split_at_checked(1).unwrap_or((" ", ""));
        let sign = match sign {
            "-" => Sign::Removed,
            "+" => Sign::Added,
            _ => Sign::Context,
        };
        lines.line(sign, text.as_bytes());
    }
    lines.paths()
}

fn strings(paths: &[&str]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn a_changed_field_has_a_path() {
    let diff = " kind: X\n metadata:\n-  generation: 1\n+  generation: 2\n   labels:\n-    example.com/tier: a\n+    example.com/tier: b\n spec:\n   containers:\n   - args:\n     - --port\n-    - \"80\"\n+    - \"81\"\n     name: app\n-  - image: a:1\n+  - image: a:2\n     name: b\n";
    assert_eq!(
        paths(diff),
        Some(strings(&[
            "metadata.generation",
            "metadata.labels[\"example.com/tier\"]",
            "spec.containers[0].args[1]",
            "spec.containers[1].image",
        ]))
    );
}

#[test]
fn long_values_are_one_field_and_what_stands_in_them_is_none() {
    let diff = " data:\n   a: |\n     b: 1\n-    - c: 2\n+    - c: 3\n \n     d: 4\n   quoted: 'x\n-    y: 1'\n+    y: 2'\n   z: 1\n";
    assert_eq!(paths(diff), Some(strings(&["data.a", "data.quoted"])));
}

#[test]
fn a_new_element_moves_those_after_it() {
    let diff = " list:\n+- x\n - a\n - b\n other: 1\n";
    assert_eq!(paths(diff), Some(strings(&["list[0]", "list[1]", "list[2]"])));
    let diff = " list:\n - - a\n-  - b\n+  - c\n - k: 1\n-  l: 2\n";
    assert_eq!(paths(diff), Some(strings(&["list[0][1]", "list[1].l"])));
}

#[test]
fn a_renamed_or_retyped_parent_takes_its_unchanged_lines_along() {
    assert_eq!(paths("-a:\n+b:\n   c: 1\n d: 1\n"), Some(strings(&["a.c", "b.c"])));
    assert_eq!(paths("-a: |\n+a:\n   c: 1\n d: 1\n"), Some(strings(&["a", "a.c"])));
    assert_eq!(paths("-a: {}\n+a:\n+  c: 1\n d: 1\n"), Some(strings(&["a", "a.c"])));
}

#[test]
fn what_it_doesn_t_know_makes_it_silent() {
    assert_eq!(paths("-? a\n"), None);
    assert_eq!(paths(" \"a\\tb\":\n-  c: 1\n"), None);
    assert_eq!(paths(" a\n-  c: 1\n"), None);
    assert_eq!(paths(" a: 1\n"), None);
    assert_eq!(paths("-\u{1b}[31ma: 1\n"), None);
    assert_eq!(paths(" a:\n - {b: 1}\n-  c: 1\n"), None);
    assert_eq!(paths("-a:\n b: 1\n-c: 1\n"), None);
    assert_eq!(paths(" b: 1\n-c: 1\n+a:\n"), None);
    // Unless nothing differs below it.
    assert_eq!(paths(" ? a\n : b\n-c: 1\n"), Some(strings(&["c"])));
}

#[test]
fn a_line_that_moves_within_a_value_is_a_change() {
    let text = " a: |\n-  x\n   y\n+  x\n b:\n-  c: 1\n   d: 1\n+  c: 1\n-  e: 1\n";
    assert_eq!(paths(text), Some(strings(&["a", "b.e"])));
}

#[test]
fn the_last_key_of_a_map_has_its_own_path() {
    let text = " metadata:\n-  annotations:\n-    kubectl.kubernetes.io/last-applied-configuration: |\n-      {}\n-  generation: 1\n+  generation: 2\n   name: x\n";
    let applied = "metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]";
    assert_eq!(paths(text), Some(strings(&[applied, "metadata.generation"])));
}

#[test]
fn keys_with_colons_and_quotes_are_keys() {
    let diff = " f:spec:\n   k:{\"a\":1}:\n-    .: {}\n   \"true\": 1\n-  'a b': 1\n";
    assert_eq!(
        paths(diff),
        Some(strings(&["[\"f:spec\"][\"a b\"]", "[\"f:spec\"][\"k:{\\\"a\\\":1}\"][\".\"]"]))
    );
}

#[test]
fn an_empty_key_is_quoted() {
    let written = |begin: &str, key: &str| {
        let mut path = begin.as_bytes().to_vec();
        write_key(&mut path, 0, key.as_bytes());
        String::from_utf8(path).unwrap()
    };
    assert_eq!(written("spec", ""), "spec[\"\"]");
    assert_eq!(written("spec", "a"), "spec.a");
    assert_eq!(written("", "a.b"), "[\"a.b\"]");
}
