//! Whole comments, and what hostile text makes of them: nothing.

use super::*;
use crate::outcome::Captured;
use crate::printed::Printed;
use crate::redact::Marked;
use driftrun_parsers::{Action, Diagnostic, Document, Scopes, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use pulldown_cmark::{Options, Parser, html};
use std::collections::BTreeMap;
use std::time::Duration;

/// A check as these tests have it.
#[derive(Debug, Default)]
struct Check {
    name: String,
    verdict: Option<Verdict>,
    reason: Option<String>,
    resources: Vec<Resource>,
    diagnostics: Vec<Diagnostic>,
    printed: Printed,
}

impl Check {
    fn new(name: &str, verdict: Verdict) -> Self {
        Self { name: name.to_owned(), verdict: Some(verdict), ..Self::default() }
    }

    fn printing(self, text: &str) -> Self {
        let whole = Captured { bytes: text.as_bytes().to_vec(), tail: Vec::new(), total: text.len() as u64 };
        Self { printed: Printed::of(whole, Captured::default(), &[], &Marked::default(), false), ..self }
    }
}

fn drifts(scope: &str, kind: &str, name: &str, action: Action, span: Option<Span>) -> Resource {
    Resource { drift: true, span, ..Resource::new(Source::Plan, scope, kind, name, action) }
}

fn told<'c>(check: &'c Check, printed: &'c Opened<'c>, style: Style) -> Told<'c> {
    let shown = Shown {
        name: Some(&check.name),
        took: Some(Duration::from_millis(1_500)),
        document: Document {
            parser: "kubectl",
            tool: Some("kubectl"),
            tool_version: None,
            verdict: check.verdict.unwrap_or(Verdict::Clean),
            reason: check.reason.clone(),
            resources: &check.resources,
            scopes: Scopes::default(),
            totals: std::collections::BTreeMap::new(),
            diagnostics: &check.diagnostics,
        },
        first_seen: &[],
        unlisted: BTreeMap::new(),
    };
    Told { shown, printed: Some(printed), style }
}

fn comment(checks: &[Check], style: Style) -> String {
    let opened: Vec<Opened<'_>> = checks.iter().map(|check| check.printed.stdout.open()).collect();
    let told: Vec<Told<'_>> =
        checks.iter().zip(&opened).map(|(check, opened)| told(check, opened, style)).collect();
    markdown(&told, Some(Whole { took: Duration::from_secs(2), not_run: 0 }))
}

#[test]
fn clean() {
    assert_eq!(
        comment(&[Check::new("a", Verdict::Clean)], Style::Column),
        "\
### ✓ driftrun: 1 check: 1 clean

The round took 2.0 s.

| | check | verdict | drift | took |
|---|---|---|---|---|
| ✓ | `a` | clean |  | 1.5 s |
"
    );
}

#[test]
fn a_round_that_was_stopped_is_not_clean() {
    let check = Check::new("a", Verdict::Clean);
    let opened = check.printed.stdout.open();
    let heading = |told: &[Told<'_>]| {
        let text = markdown(told, Some(Whole { took: Duration::from_secs(2), not_run: 2 }));
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        heading(&[told(&check, &opened, Style::Column)]),
        "### ? driftrun: 3 checks: 1 clean, 2 not run"
    );
    assert_eq!(heading(&[]), "### ? driftrun: 2 checks: 2 not run");
}

#[test]
fn drifted_beside_failed() {
    let resources = vec![
        Resource {
            attributes: Some(vec!["data.a".to_owned()]),
            outside: true,
            ..drifts("shop", "ConfigMap", "keep", Action::Update, Some(Span(1, 4)))
        },
        Resource { count: 2, ..drifts("shop", "ConfigMap", "a|b`c", Action::Create, None) },
        drifts("shop", "Secret", "s", Action::Delete, Some(Span(5, 6))),
        Resource { previous_name: Some("x".to_owned()), ..drifts("", "", "y", Action::Move, None) },
        Resource { ignored: true, ..drifts("", "", "z", Action::Update, Some(Span(1, 1))) },
    ];
    let drifted = Check { resources, ..Check::new("kubediff", Verdict::Drifted) }
        .printing("@@ -1 +1 @@\n-old ```\n+new\t@you\n \x1b[31mred\x1b[0m\n--- a\n-secret\n");
    let failed = Check {
        reason: Some("no *luck* @here".to_owned()),
        diagnostics: (0..7).map(|n| Diagnostic::warning(format!("remark {n}"))).collect(),
        ..Check::new("plan", Verdict::Failed)
    };
    assert_eq!(
        comment(&[Check::new("clean", Verdict::Clean), drifted, failed], Style::Column),
        "\
### ✕ driftrun: 3 checks: 1 clean, 1 drifted, 1 failed

4 resources: 1 delete, 1 create, 1 update, 1 move. The round took 2.0 s.

| | check | verdict | drift | took |
|---|---|---|---|---|
| ✓ | `clean` | clean |  | 1.5 s |
| ≠ | `kubediff` | drifted | 4 resources: 1 delete, 1 create, 1 update, 1 move | 1.5 s |
| ✕ | `plan` | failed |  | 1.5 s |

#### ≠ `kubediff`

| action | scope | kind | name | changed | |
|---|---|---|---|---|---|
| update | `shop` | `ConfigMap` | `keep` | `data.a` | also changed outside |
| create | `shop` | `ConfigMap` | <code>a&#124;b&#96;c</code> |  | × 2 |
| delete | `shop` | `Secret` | `s` |  |  |
| move |  |  | `y` |  | was `x` |

<details><summary><code>update shop ConfigMap keep</code></summary>

````diff
@@ -1 +1 @@
-old ```
+new\t@you
 red
````

</details>

1 diff of Secrets is not shown.

Ignored: 1 update.

#### ✕ `plan`

failed: `no *luck* @here`

- warning: `remark 0`
- warning: `remark 1`
- warning: `remark 2`
- warning: `remark 3`
- warning: `remark 4`
- and 2 more remarks
"
    );
}

#[test]
fn messages_for_programs_are_no_diffs() {
    let text = r#"{"type":"planned_change"}"#;
    let resources = vec![drifts("", "t", "t.a", Action::Update, Some(Span(1, 1)))];
    let check = Check { resources, ..Check::new("plan", Verdict::Drifted) }.printing(text);
    let text = comment(&[check], Style::Sign);
    assert!(text.contains("`t.a`") && !text.contains("<details>") && !text.contains("left out"), "{text}");
}

#[test]
fn signs_of_a_plan_stand_in_the_first_column() {
    let resources = vec![drifts("", "t", "t.a", Action::Update, Some(Span(1, 6)))];
    let check = Check { resources, ..Check::new("plan", Verdict::Drifted) }.printing(
        "  # t.a will be updated\n  ~ resource \"t\" \"a\" {\n      + new = 1\n      - old = 2\n        same = 3\n    }\n",
    );
    let text = comment(&[check], Style::Sign);
    let diff = text.split("```diff\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(
        diff,
        "  # t.a will be updated\n! ~ resource \"t\" \"a\" {\n+       new = 1\n-       old = 2\n        same = 3\n    }\n"
    );
}

/// Many checks, each with many resources, each with a diff.
fn many(checks: usize, resources: usize, lines: usize) -> Vec<Check> {
    let text = "-old line\n+new line\n".repeat(lines);
    (0..checks)
        .map(|n| {
            let last = u32::try_from(2 * lines).unwrap();
            let resource =
                |m| drifts("shop", "ConfigMap", &format!("object-{m}"), Action::Update, Some(Span(1, last)));
            let verdict = if n % 3 == 0 { Verdict::Clean } else { Verdict::Drifted };
            let resources =
                if verdict == Verdict::Clean { Vec::new() } else { (0..resources).map(resource).collect() };
            Check { resources, ..Check::new(&format!("check-{n}"), verdict) }.printing(&text)
        })
        .collect()
}

#[test]
fn diffs_go_first_then_resources_then_checks_and_all_are_counted() {
    let has = |text: &str, parts: &[&str]| {
        assert!(text.len() <= MOST, "{}", text.len());
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    };
    let text = comment(&many(6, 10, 200), Style::Column);
    has(&text, &["### ≠ driftrun: 6 checks: 2 clean, 4 drifted\n", "diffs are left out here."]);
    assert_eq!((text.matches("| update |").count(), text.contains("more resource")), (40, false));

    let text = comment(&many(6, 2_000, 200), Style::Column);
    has(
        &text,
        &[
            "6 checks: 2 clean, 4 drifted\n",
            "more resources are left out here: ",
            " update.\n",
            "2000 diffs are left out here.",
        ],
    );
    assert_eq!(text.matches("#### ≠ `check-").count(), 4);

    let text = comment(&many(3_000, 10, 1), Style::Column);
    has(
        &text,
        &[
            "3000 checks: 1000 clean, 2000 drifted\n",
            "20000 resources: 20000 update.",
            "that are not clean are not listed.",
            "1000 checks that are clean are not listed.",
        ],
    );
}

#[test]
fn of_many_checks_the_clean_ones_are_only_counted() {
    let mut checks: Vec<Check> = (0..60).map(|n| Check::new(&format!("check-{n}"), Verdict::Clean)).collect();
    checks[30] = Check { reason: Some("why".to_owned()), ..Check::new("check-30", Verdict::Timeout) };
    assert_eq!(
        comment(&checks, Style::Column),
        "\
### ◷ driftrun: 60 checks: 59 clean, 1 timeout

The round took 2.0 s.

| | check | verdict | drift | took |
|---|---|---|---|---|
| ◷ | `check-30` | timeout |  | 1.5 s |

59 checks that are clean are not listed.

#### ◷ `check-30`

timeout: `why`
"
    );
}

/// HTML, as a site shows it.
fn rendered(markdown: &str) -> String {
    let mut out = String::new();
    html::push_html(
        &mut out,
        Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH),
    );
    out
}

/// The tags of HTML in their order, without the comments that part addresses.
fn tags(html: &str) -> Vec<&str> {
    let tags = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap());
    tags.filter(|tag| *tag != "!----").collect()
}

/// What stands outside of code.
fn outside_of_code(html: &str) -> String {
    let mut out = String::new();
    for (n, part) in html.split("<code").enumerate() {
        out.push_str(if n == 0 { part } else { part.split_once("</code>").unwrap().1 });
    }
    out
}

/// Pieces of what would be markup anywhere else.
const PIECES: &[&str] = &[
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "|",
    "\\",
    "\\|",
    "\n",
    "\n\n",
    "\r",
    "<",
    "</code>",
    "</details>",
    "</summary>",
    "<script>",
    "<!--",
    "-->",
    "&#96;",
    "&lt;",
    "*",
    "**",
    "_",
    "~~",
    "[x](http://x)",
    "![",
    "]",
    "http://x.example",
    "@zqz",
    "#1",
    "# ",
    "- ",
    "    ",
    "\t",
    " ",
    "\u{202e}",
    "\u{2028}",
    "\x1b[31m",
    "a",
    "zqz",
    "é",
    "漢",
    "$`",
    "`$",
    ":x:",
];

fn hostile() -> impl Strategy<Value = String> {
    vec(prop::sample::select(PIECES), 1..12).prop_map(|parts| "zqz".to_owned() + &parts.concat())
}

fn with(texts: &[String; 8]) -> Vec<Check> {
    let [scope, kind, name, previous, attribute, reason, remark, output] = texts.clone();
    let resource = Resource {
        previous_name: Some(previous),
        attributes: Some(vec![attribute]),
        ..drifts(&scope, &kind, &name, Action::Update, Some(Span(1, 1)))
    };
    // One line each, as what a line is made of must not make two.
    let output = output.replace('\n', " ");
    let check = Check {
        reason: Some(reason),
        resources: vec![resource],
        // A remark that is the reason would be left out.
        diagnostics: vec![Diagnostic::warning(format!("remark {remark}"))],
        ..Check::new("check", Verdict::Drifted)
    };
    vec![check.printing(&format!("-{output}\nrest\n"))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_printed_makes_markup(texts in [(); 8].map(|()| hostile())) {
        let plain = rendered(&comment(&with(&[(); 8].map(|()| "zqz".to_owned())), Style::Column));
        let html = rendered(&comment(&with(&texts), Style::Column));
        prop_assert_eq!(tags(&html), tags(&plain), "{}", html);
        let outside = outside_of_code(&html);
        prop_assert!(!outside.contains("zqz"), "{}", outside);
    }

    #[test]
    fn the_whole_is_bounded_and_a_check_that_is_not_clean_never_looks_so(
        checks in vec((0_usize..6, 0_usize..12, 0_usize..2_000, 0_usize..2_000), 0..30)
    ) {
        let checks: Vec<Check> = checks
            .into_iter()
            .enumerate()
            .map(|(n, (verdict, resources, long, output))| {
                let verdict = Verdict::ALL[verdict];
                let name = "|".repeat(long);
                let resource = |m: usize| drifts("", "", &format!("{m}{name}"), Action::Delete, Some(Span(1, 1)));
                let resources = if verdict == Verdict::Clean { Vec::new() } else { (0..resources).map(resource).collect() };
                let reason = Some("`".repeat(long));
                Check { reason, resources, ..Check::new(&format!("check-{n}"), verdict) }
                    .printing(&format!("-{}\n", "`".repeat(output)))
            })
            .collect();
        let text = comment(&checks, Style::Column);
        prop_assert!(text.len() <= MOST, "{}", text.len());
        let heading = text.lines().next().unwrap();
        for verdict in Verdict::ALL {
            let count = checks.iter().filter(|check| check.verdict == Some(verdict)).count();
            prop_assert_eq!(count > 0, heading.contains(&format!(" {count} {}", verdict.as_str())), "{}", heading);
        }
    }
}
