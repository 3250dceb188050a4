use super::*;
use crate::{Class, Reading, Verdict, read};

const DETAILED: &[&str] = &["terraform", "plan", "-json", "-detailed-exitcode"];
const VERSION: &str =
    r#"{"@level":"info","@module":"terraform.ui","terraform":"1.11.4","type":"version","ui":"1.2"}"#;
const TOFU: &str = r#"{"@level":"info","@module":"tofu.ui","tofu":"1.12.0","type":"version","ui":"1.2"}"#;

fn change(kind: &str, addr: &str, action: &str) -> String {
    format!(
        r#"{{"@module":"terraform.ui","change":{{"resource":{{"addr":"{addr}","module":"","resource_type":"t"}},"action":"{action}"}},"type":"{kind}"}}"#
    )
}

fn planned(addr: &str, action: &str) -> String {
    change("planned_change", addr, action)
}

fn summary(counts: &str) -> String {
    format!(
        r#"{{"@module":"terraform.ui","changes":{{{counts},"operation":"plan"}},"type":"change_summary"}}"#
    )
}

fn counts(add: u64, change: u64, remove: u64) -> String {
    summary(&format!(r#""add":{add},"change":{change},"remove":{remove}"#))
}

fn output(action: &str) -> String {
    format!(
        r#"{{"@module":"terraform.ui","outputs":{{"o":{{"sensitive":false,"action":"{action}"}}}},"type":"outputs"}}"#
    )
}

fn run(argv: &[&str], exit: Option<i32>, lines: &[&str]) -> Reading {
    let stdout = lines.join("\n");
    let stream = crate::Stream::whole;
    read(
        &PARSER,
        None,
        &Input { argv, exit, stdout: stream(stdout.as_bytes()), stderr: stream(b""), files: &[] },
    )
}

fn found(lines: &[&str]) -> Result<Vec<(String, Action)>, Class> {
    match run(DETAILED, Some(2), lines) {
        Reading::Read(report) => Ok(report.resources().iter().map(|r| (r.name.clone(), r.action)).collect()),
        other => Err(other.class().unwrap()),
    }
}

fn is(rows: &[(&str, Action)]) -> Vec<(String, Action)> {
    rows.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect()
}

#[test]
fn the_summary_must_count_what_is_listed() {
    let (a, b) = (planned("t.a", "create"), planned("t.b", "replace"));
    let rows = Ok(is(&[("t.a", Action::Create), ("t.b", Action::Replace)]));
    assert_eq!(found(&[VERSION, &a, &b, &counts(2, 0, 1)]), rows);
    let contradiction = Err(Class::UnreadableContradiction);
    for wrong in [counts(3, 0, 1), counts(2, 1, 1), counts(2, 0, 2), counts(2, 0, 0), counts(1, 0, 1)] {
        assert_eq!(found(&[VERSION, &a, &b, &wrong]), contradiction, "{wrong}");
    }
    // A line that got lost.
    assert_eq!(found(&[VERSION, &a, &counts(2, 0, 1)]), contradiction);
    assert_eq!(found(&[VERSION, &counts(2, 0, 1)]), contradiction);
    let import = summary(r#""add":2,"change":0,"remove":1,"import":1"#);
    assert_eq!(found(&[VERSION, &a, &b, &import]), contradiction);
}

#[test]
fn create_then_forget_is_a_replace_that_terraform_does_not_count() {
    let (a, b) = (planned("t.a", "replace"), planned("t.b", "create"));
    let rows = Ok(is(&[("t.a", Action::Replace), ("t.b", Action::Create)]));
    assert_eq!(found(&[VERSION, &a, &b, &counts(1, 0, 0)]), rows);
    assert_eq!(found(&[VERSION, &a, &b, &counts(0, 0, 0)]), Err(Class::UnreadableContradiction));
}

#[test]
fn forget_then_create_is_a_noop_that_opentofu_counts() {
    let a = planned("t.a", "noop").replace("terraform.ui", "tofu.ui");
    let of = |counts: &str| summary(counts).replace("terraform.ui", "tofu.ui");
    let counted = of(r#""add":1,"change":0,"remove":0,"import":0,"forget":1"#);
    assert_eq!(found(&[TOFU, &a, &counted]), Ok(is(&[("t.a", Action::Replace)])));
    assert_eq!(found(&[TOFU, &counted]), Err(Class::UnreadableContradiction));
    for wrong in [
        r#""add":0,"change":0,"remove":0,"import":0,"forget":0"#,
        r#""add":0,"change":0,"remove":0,"import":0,"forget":1"#,
        r#""add":1,"change":0,"remove":1,"import":0,"forget":1"#,
        r#""add":1,"change":0,"remove":0,"import":0,"forget":0"#,
        r#""add":1,"change":0,"remove":0,"import":0,"forget":2"#,
        r#""add":1,"change":1,"remove":0,"import":0,"forget":1"#,
    ] {
        assert_eq!(found(&[TOFU, &a, &of(wrong)]), Err(Class::UnreadableContradiction), "{wrong}");
    }
    let report = run(&[], Some(2), &[TOFU, &a, &counted]);
    let tool = report.report().unwrap().tool().clone();
    assert_eq!((&*tool.name, tool.version.as_deref()), ("opentofu", Some("1.12.0")));
}

#[test]
fn what_is_forgotten_is_counted_where_the_summary_counts_it() {
    let forgotten = planned("t.a", "remove");
    let rows = Ok(is(&[("t.a", Action::Forget)]));
    let of = |n: u64| summary(&format!(r#""add":0,"change":0,"remove":0,"forget":{n}"#));
    assert_eq!(found(&[VERSION, &forgotten, &counts(0, 0, 0)]), rows);
    assert_eq!(found(&[TOFU, &forgotten, &of(1)]), rows);
    for wrong in [0, 2] {
        assert_eq!(found(&[TOFU, &forgotten, &of(wrong)]), Err(Class::UnreadableContradiction));
    }
    // A line that got lost.
    assert_eq!(found(&[TOFU, &of(1)]), Err(Class::UnreadableContradiction));
}

#[test]
fn the_second_of_an_address_is_deposed() {
    let (update, delete) = (planned("t.a", "update"), planned("t.a", "delete"));
    let rows = Ok(is(&[("t.a", Action::Update), ("t.a (deposed)", Action::Delete)]));
    assert_eq!(found(&[VERSION, &update, &delete, &counts(0, 1, 1)]), rows);
    // The stream isn't sorted.
    assert_eq!(found(&[VERSION, &delete, &update, &counts(0, 1, 1)]), rows);
    let both = Ok(is(&[("t.a", Action::Delete), ("t.a (deposed)", Action::Delete)]));
    assert_eq!(found(&[VERSION, &delete, &delete, &delete, &counts(0, 0, 3)]), both);
    let twice = [VERSION, &update, &update, &counts(0, 2, 0)];
    assert_eq!(found(&twice), Err(Class::UnreadableContradiction));
}

#[test]
fn a_stream_has_a_beginning_an_end_and_one_plan() {
    let (a, end) = (planned("t.a", "create"), counts(1, 0, 0));
    assert_eq!(found(&[VERSION, &a]), Err(Class::UnreadableCut));
    assert_eq!(found(&[&a, &end]), Err(Class::UnreadableCut));
    assert_eq!(found(&[VERSION, &a, &end[..end.len() - 2]]), Err(Class::UnreadableCut));
    assert_eq!(found(&[VERSION, &a[..40], &end]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, &a, &end, &end]), Err(Class::UnreadableContradiction));
    assert_eq!(found(&[VERSION, &a, &end, VERSION]), Err(Class::UnreadableContradiction));
    // Parts of another stream, of what the summary doesn't count.
    let (moved, none) = (planned("t.a", "move"), counts(0, 0, 0));
    assert_eq!(found(&[&moved, VERSION, &none]), Err(Class::UnreadableCut));
    assert_eq!(found(&[&output("update"), VERSION, &none]), Err(Class::UnreadableCut));
    assert_eq!(found(&[VERSION, &none, &moved]), Err(Class::UnreadableContradiction));
    assert_eq!(
        found(&[VERSION, &none, &change("resource_drift", "t.a", "update")]),
        Err(Class::UnreadableContradiction)
    );
    assert_eq!(
        found(&[VERSION, &none, &output("update"), &output("update")]),
        Err(Class::UnreadableContradiction)
    );
    assert_eq!(found(&[]), Err(Class::UnreadableFormat));
    assert_eq!(found(&["No changes."]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[&VERSION.replace("1.2", "2.0"), &counts(0, 0, 0)]), Err(Class::UnreadableFormat));
    let apply = counts(0, 0, 0).replace(r#""plan""#, r#""apply""#);
    assert_eq!(found(&[VERSION, &apply]), Err(Class::UnreadableFormat));
}

#[test]
fn other_lines_and_kinds_are_passed_over_and_unknown_actions_are_not() {
    let (a, end) = (planned("t.a", "create"), counts(1, 0, 0));
    let log = r#"{"@level":"debug","@message":"x","@module":"provider.toy","type":"planned_change"}"#;
    let new = r#"{"@level":"info","@module":"terraform.ui","type":"brand_new","change":7,"outputs":[1]}"#;
    let rows = Ok(is(&[("t.a", Action::Create)]));
    assert_eq!(found(&["[command]/bin/terraform", VERSION, log, new, &a, &end, "", "done"]), rows);
    let debug = format!("::debug::stdout: {VERSION}%0A{a}%0A{end}%0A");
    let set = debug.replace("::debug::stdout: ", "::set-output name=stdout::");
    assert_eq!(found(&[VERSION, &a, &end, "::debug::Terraform exited with code 2.", &debug, &set]), rows);
    assert_eq!(found(&[&debug]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, &a, &end, &format!("::debug::{a}")]), Err(Class::UnreadableFormat));
    for (kind, reason) in [
        ("planned_change", r#"line 2: a planned change "renew""#),
        ("resource_drift", r#"line 2: a drift "renew""#),
    ] {
        let reading = run(DETAILED, Some(2), &[VERSION, &change(kind, "t.a", "renew"), &counts(0, 0, 0)]);
        let said = reading.reason().unwrap();
        assert_eq!((reading.class(), &*said), (Some(Class::UnreadableFormat), reason));
    }
    // A move isn't counted: behind a word of stderr it would be gone without a trace.
    let moved = format!("\u{280b} {}", planned("t.a", "move"));
    assert_eq!(found(&[VERSION, &moved, &counts(0, 0, 0), &output("create")]), Err(Class::UnreadableFormat));
    let drift = change("resource_drift", "t.a", "create");
    assert_eq!(found(&[VERSION, &drift, &counts(0, 0, 0)]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, &counts(0, 0, 0), &output("explode")]), Err(Class::UnreadableFormat));
    let broken = a.replace("resource_type", "resource_kind");
    assert_eq!(found(&[VERSION, &broken, &end]), Err(Class::UnreadableFormat));
}

#[test]
fn a_plan_of_nothing_but_actions_is_neither_drift_nor_none() {
    let invoke = r#"{"@module":"terraform.ui","type":"planned_action_invocation","invocation":{"action_addr":{"addr":"action.a.b"}}}"#;
    let counted = |add: u64| summary(&format!(r#""add":{add},"change":0,"remove":0,"action_invocation":1"#));
    assert_eq!(found(&[VERSION, invoke, &counted(0)]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, &counted(0)]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, &planned("t.d", "read"), invoke, &counted(0)]), Err(Class::UnreadableFormat));
    // Either the message or the count is enough, and what isn't counted changes nothing.
    assert_eq!(found(&[VERSION, invoke, &counts(0, 0, 0)]), Err(Class::UnreadableFormat));
    let drift = change("resource_drift", "t.d", "update");
    assert_eq!(found(&[VERSION, &drift, invoke, &counted(0)]), Err(Class::UnreadableFormat));
    assert_eq!(found(&[VERSION, invoke, &counted(0), &output("update")]), Err(Class::UnreadableFormat));
    let rows = Ok(is(&[("t.a", Action::Create)]));
    assert_eq!(found(&[VERSION, &planned("t.a", "create"), invoke, &counted(1)]), rows);
}

#[test]
fn an_error_is_failure_whatever_the_code() {
    let error = r#"{"@module":"terraform.ui","type":"diagnostic","diagnostic":{"severity":"error","summary":"Failed to read file","detail":"connection refused s3cret"}}"#;
    for exit in [None, Some(0), Some(1), Some(2)] {
        let Reading::Failed { failure, .. } = run(&[], exit, &[VERSION, &counts(0, 0, 0), error]) else {
            panic!("{exit:?}")
        };
        assert_eq!((failure.class, &*failure.summary), (Class::Unreachable, "Failed to read file"));
    }
}

#[test]
fn an_error_on_stderr_tells_why_a_code_says_failure() {
    let (stdout, stderr) =
        (format!("{VERSION}\n{}", counts(0, 0, 0)), "\nError: Backend initialization required\n");
    let of = |argv, exit| {
        let reading = crate::testing::run(&PARSER, argv, exit, &stdout, stderr);
        (reading.class(), reading.reason())
    };
    let failed = (Some(Class::NeedsInit), Some("Backend initialization required".to_owned()));
    for (argv, exit) in [
        (DETAILED, Some(1)),
        (&["terraform", "plan", "-json"], Some(1)),
        (&[], Some(1)),
        // Nobody knows the code, or it is a script's.
        (DETAILED, None),
        (&["./plan.sh"], Some(0)),
    ] {
        assert_eq!(of(argv, exit), failed, "{argv:?} {exit:?}");
    }
    // Logs of providers look like errors.
    assert_eq!(of(DETAILED, Some(0)), (None, None));
}

#[test]
fn drift_alone_counts_where_it_must_be_the_reason() {
    let (drift, end) = (change("resource_drift", "t.a", "update"), counts(0, 0, 0));
    let only = ["terraform", "plan", "-json", "-refresh-only"];
    let alone = [VERSION, &*drift, &*end];
    let verdict = |argv: &[&str], exit, lines: &[&str]| run(argv, exit, lines).verdict();
    assert_eq!(verdict(&only, Some(0), &alone), Verdict::Drifted);
    assert_eq!(verdict(DETAILED, Some(2), &alone), Verdict::Drifted);
    assert_eq!(verdict(&[], Some(2), &alone), Verdict::Drifted);
    assert_eq!(verdict(&only, Some(0), &[VERSION, &end]), Verdict::Clean);
    // ignore_changes, or a configuration that says the same.
    assert_eq!(verdict(DETAILED, Some(0), &alone), Verdict::Clean);
    assert_eq!(verdict(&[], Some(0), &alone), Verdict::Clean);
    assert_eq!(verdict(&[], None, &alone), Verdict::Unreadable);
    // A shell's line shows what was asked for, a script's name doesn't.
    assert_eq!(verdict(&["sh", "-c", "cd x; terraform plan -json"], Some(0), &alone), Verdict::Clean);
    assert_eq!(
        verdict(&["sh", "-c", "terraform plan -refresh-only -json"], Some(0), &alone),
        Verdict::Drifted
    );
    assert_eq!(verdict(&["./plan.sh"], Some(0), &alone), Verdict::Unreadable);
    let output = output("update");
    let with_output = [VERSION, &*drift, &*end, &*output];
    assert_eq!(verdict(DETAILED, Some(2), &with_output), Verdict::Clean);
    assert_eq!(verdict(&[], Some(2), &with_output), Verdict::Drifted);
    let moved = change("resource_drift", "t.a", "move");
    assert_eq!(verdict(&[], Some(0), &[VERSION, &moved, &end]), Verdict::Drifted);
    // Nothing at all, and a code that says otherwise.
    assert_eq!(verdict(DETAILED, Some(0), &[VERSION, &end]), Verdict::Clean);
    assert_eq!(verdict(DETAILED, Some(2), &[VERSION, &end]), Verdict::Unreadable);
}
