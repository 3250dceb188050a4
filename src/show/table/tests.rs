//! Whole tables, as people see them.

use super::*;
use driftrun_parsers::{Action, Document, Scopes};
use std::time::Duration;

/// A check as the golden tests have it; what they don't care for is empty.
struct Check {
    name: &'static str,
    verdict: Verdict,
    reason: Option<&'static str>,
    took: u64,
    resources: Vec<Resource>,
    first_seen: Vec<Timestamp>,
    diagnostics: Vec<Diagnostic>,
    unlisted: Vec<(Action, u64)>,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, took: u64) -> Self {
        let (resources, first_seen, diagnostics) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, verdict, reason: None, took, resources, first_seen, diagnostics, unlisted: Vec::new() }
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            name: Some(self.name),
            took: Some(Duration::from_millis(self.took)),
            document: Document {
                parser: "terraform",
                tool: Some("terraform"),
                tool_version: None,
                verdict: self.verdict,
                reason: self.reason.map(str::to_owned),
                resources: &self.resources,
                scopes: Scopes::default(),
                totals: std::collections::BTreeMap::new(),
                diagnostics: &self.diagnostics,
            },
            first_seen: &self.first_seen,
            unlisted: self.unlisted.iter().copied().collect(),
        }
    }
}

fn drifted(scope: &str, kind: &str, name: &str, action: Action) -> Resource {
    Resource { drift: true, ..Resource::new(Source::Plan, scope, kind, name, action) }
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|&path| path.to_owned()).collect()
}

fn round(checks: &[Check], took: u64) -> String {
    let shown: Vec<Shown<'_>> = checks.iter().map(Check::shown).collect();
    table(&shown, Some(Whole { took: Duration::from_millis(took), not_run: 0 }), Ink::Plain)
}

#[test]
fn what_is_not_listed_is_counted() {
    let check = Check {
        resources: vec![drifted("", "k", "a", Action::Update)],
        unlisted: vec![(Action::Update, 2), (Action::Delete, 1)],
        ..Check::new("c", Verdict::Drifted, 7)
    };
    assert_eq!(
        round(&[check], 9),
        "\
≠ drifted  c  7 ms  4 resources: 1 delete, 3 update
    update  k  a
    not listed: 1 delete, 2 update

1 check: 1 drifted, 4 resources (1 delete, 3 update), 9 ms
"
    );
}

/// Everything that a row can have.
fn decorated() -> Check {
    let many: Vec<String> = (1..=20).map(|n| format!("rule[{n}].from_port")).collect();
    let resources = vec![
        Resource {
            attributes: Some(many),
            ..drifted("", "aws_security_group", "aws_security_group.a", Action::Update)
        },
        Resource {
            attributes: Some(paths(&["tags.env"])),
            outside: true,
            ..drifted("module.vpc", "aws_subnet", "module.vpc.aws_subnet.a[\"x\"]", Action::Update)
        },
        Resource {
            previous_name: Some("aws_instance.old".to_owned()),
            ..drifted("", "aws_instance", "aws_instance.new", Action::Move)
        },
        Resource { count: 3, ..drifted("", "", "plain", Action::Delete) },
        Resource {
            source: Source::Refresh,
            ..drifted("", "aws_s3_bucket", "aws_s3_bucket.logs", Action::Update)
        },
        Resource { ignored: true, ..drifted("", "aws_autoscaling_group", "ignored", Action::Update) },
        Resource::new(Source::Plan, "", "output", "url", Action::Update),
        Resource::new(Source::Plan, "", "http", "data.http.x", Action::Read),
    ];
    let first_seen = (0..8).map(|n| Timestamp::from_second(1_790_000_000 + n * 86_400).unwrap()).collect();
    let diagnostics = vec![
        Diagnostic { line: Some(101), ..Diagnostic::warning("Check block assertion failed") },
        Diagnostic::error("no"),
    ];
    Check { resources, first_seen, diagnostics, ..Check::new("terradiff-prod", Verdict::Drifted, 12_345) }
}

#[test]
fn clean() {
    assert_eq!(
        round(&[Check::new("kubediff", Verdict::Clean, 80)], 12_345),
        "\
✓ clean  kubediff  80 ms

1 check: 1 clean, 12.3 s
"
    );
}

#[test]
fn no_check_at_all() {
    assert_eq!(round(&[], 1), "0 checks: 1 ms\n");
}

#[test]
fn a_round_that_was_stopped_is_not_clean() {
    let checks = [Check::new("a", Verdict::Clean, 1)];
    let shown: Vec<Shown<'_>> = checks.iter().map(Check::shown).collect();
    let whole = Whole { took: Duration::from_secs(1), not_run: 2 };
    let text = table(&shown, Some(whole), Ink::Plain);
    assert_eq!(text, "✓ clean  a  1 ms\n\n3 checks: 1 clean, 2 not run, 1.0 s\n");
}

#[test]
fn drifted_with_every_decoration() {
    assert_eq!(round(&[decorated()], 12_400), "\
≠ drifted  terradiff-prod  12.3 s  5 resources: 1 delete, 3 update, 1 move
    update              aws_security_group  aws_security_group.a          rule[1].from_port, rule[2].from_port, … 18 more  since 2026-09-21 14:13 UTC
    update  module.vpc  aws_subnet          module.vpc.aws_subnet.a[\"x\"]  tags.env                                         also changed outside, since 2026-09-22 14:13 UTC
    move                aws_instance        aws_instance.new                                                               was aws_instance.old, since 2026-09-23 14:13 UTC
    delete                                  plain × 3                                                                      since 2026-09-24 14:13 UTC
    update              aws_s3_bucket       aws_s3_bucket.logs                                                             changed outside, since 2026-09-25 14:13 UTC
    ignored: 1 update
    no drift, but reported: 1 update, 1 read
    warning: Check block assertion failed (line 101)
    error: no

1 check: 1 drifted, 5 resources (1 delete, 3 update, 1 move), 12.4 s
");
}

#[test]
fn one_resource() {
    let resources = vec![drifted("", "", "db", Action::Change)];
    let check = Check { resources, ..Check::new("backup-age", Verdict::Drifted, 1_000) };
    assert_eq!(
        round(&[check], 1_000),
        "\
≠ drifted  backup-age  1.0 s  1 resource: 1 change
    change  db

1 check: 1 drifted, 1 resource (1 change), 1.0 s
"
    );
}

#[test]
fn partial() {
    let resources =
        vec![drifted("web1", "", "Motd", Action::Change), drifted("web12", "", "Motd", Action::Change)];
    let check = Check {
        resources,
        reason: Some("db1 unreachable"),
        ..Check::new("ansible", Verdict::Partial, 65_000)
    };
    assert_eq!(
        round(&[check], 65_100),
        "\
◐ partial  ansible  1 min 5 s  2 resources: 2 change
    db1 unreachable
    change  web1   Motd
    change  web12  Motd

1 check: 1 partial, 2 resources (2 change), 1 min 5 s
"
    );
}

#[test]
fn failed_and_unreadable_with_their_reasons_once() {
    let failed = Check {
        reason: Some("Error acquiring the state lock"),
        diagnostics: vec![Diagnostic::error("Error acquiring the state lock"), Diagnostic::warning("old")],
        ..Check::new("a", Verdict::Failed, 5)
    };
    let unreadable = Check { reason: Some("cut"), ..Check::new("b", Verdict::Unreadable, 5) };
    let timeout =
        Check { reason: Some("still running after 10m"), ..Check::new("c", Verdict::Timeout, 600_000) };
    assert_eq!(
        round(&[failed, unreadable, timeout], 600_001),
        "\
✕ failed      a        5 ms
    Error acquiring the state lock
    warning: old

? unreadable  b        5 ms
    cut

◷ timeout     c  10 min 0 s
    still running after 10m

3 checks: 1 failed, 1 timeout, 1 unreadable, 10 min 0 s
"
    );
}

#[test]
fn many_checks_and_a_name_that_is_too_long() {
    let long = "x".repeat(100);
    let resources = vec![
        drifted("shop", "ConfigMap", &long, Action::Update),
        Resource {
            attributes: Some(paths(&["data.a"])),
            ..drifted("店", "Deployment.apps", "web", Action::Create)
        },
        Resource { attributes: Some(paths(&["data.b"])), ..drifted("shop", "Secret", "b", Action::Replace) },
    ];
    let name: &'static str = "kubediff-with-a-name-that-is-longer-than-sixty-columns-and-then-some";
    let checks = [
        Check::new("a", Verdict::Clean, 9),
        Check::new("b", Verdict::Clean, 10),
        Check { resources, ..Check::new("kubediff", Verdict::Drifted, 123_456) },
        Check::new(name, Verdict::Clean, 7),
        Check::new("z", Verdict::Clean, 8),
    ];
    assert_eq!(round(&checks, 123_500), "\
✓ clean    a              9 ms
✓ clean    b             10 ms

≠ drifted  kubediff  2 min 3 s  3 resources: 1 replace, 1 create, 1 update
    update   shop  ConfigMap        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    create   店    Deployment.apps  web  data.a
    replace  shop  Secret           b    data.b

✓ clean    kubediff-with-a-name-that-is-longer-than-sixty-columns-and-then-some       7 ms
✓ clean    z              8 ms

5 checks: 4 clean, 1 drifted, 3 resources (1 replace, 1 create, 1 update), 2 min 3 s
");
}

#[test]
fn what_a_tool_printed_reaches_no_terminal_as_it_is() {
    let hostile = "a\x1b]0;title\x07\nb\u{202e}c";
    let resource = Resource {
        attributes: Some(paths(&[hostile])),
        previous_name: Some(hostile.to_owned()),
        ..drifted(hostile, hostile, hostile, Action::Update)
    };
    let check = Check {
        resources: vec![resource],
        reason: Some("\x1b[2J"),
        diagnostics: vec![Diagnostic::warning(hostile)],
        ..Check::new("a", Verdict::Drifted, 1)
    };
    let text = round(&[check], 1);
    assert!(text.contains(r"a\u{1b}]0;title\u{7}\nb\u{202e}c"), "{text}");
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn a_filtered_output_has_neither_name_nor_sum() {
    let check = decorated();
    let shown = Shown { name: None, took: None, first_seen: &[], ..check.shown() };
    let text = table(&[shown], None, Ink::Plain);
    assert_eq!(text.lines().next(), Some("≠ drifted  5 resources: 1 delete, 3 update, 1 move"));
    assert_eq!(text.lines().last(), Some("    error: no"));
}

#[test]
fn colours_change_nothing_but_colours() {
    let checks = [decorated(), Check::new("clean", Verdict::Clean, 1)];
    let shown: Vec<Shown<'_>> = checks.iter().map(Check::shown).collect();
    let coloured = table(&shown, Some(Whole { took: Duration::from_secs(1), not_run: 0 }), Ink::Colours);
    let mut plain = String::new();
    for (n, part) in coloured.split('\x1b').enumerate() {
        plain.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, table(&shown, Some(Whole { took: Duration::from_secs(1), not_run: 0 }), Ink::Plain));
    assert!(coloured.starts_with("\x1b[1m\x1b[33m≠ drifted\x1b[0m  terradiff-prod"), "{coloured:?}");
    assert!(coloured.contains("\n    \x1b[31mdelete\x1b[0m  "), "{coloured:?}");
}
