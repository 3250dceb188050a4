//! Runs that end well and say less than they seem to: none of them may be called clean.

mod support;

use driftrun::check::{Check, Reader, ReaderChoice};
use driftrun::outcome::{Captured, Outcome, Stage};
use driftrun::reader::{Judgement, judge};
use driftrun_parsers::pattern::Finder;
use driftrun_parsers::{Class, ExitCodes, Pattern, Verdict, by_name};
use jiff::Timestamp;
use std::sync::Arc;
use support::ended;

const NOTHING: &str = "No changes. Your infrastructure matches the configuration.\n";

fn captured(text: &str) -> Captured {
    Captured { bytes: text.as_bytes().to_vec(), tail: Vec::new(), total: text.len() as u64 }
}

/// A check of a script; `parser` as in the configuration.
fn script(parser: &str) -> Check {
    let command = vec!["./check.sh".to_owned()];
    let reader = match parser {
        "auto" => ReaderChoice::auto(&command),
        "none" => ReaderChoice::ExitCode,
        name => ReaderChoice::Known(Reader::Builtin(by_name(name).unwrap())),
    };
    Check { command, reader, ..Check::recorded("c") }
}

fn outcome(stdout: &str, stderr: &str) -> Outcome {
    Outcome { stdout: captured(stdout), stderr: captured(stderr), ..Outcome::recorded(Timestamp::UNIX_EPOCH) }
}

fn judged(check: &Check, outcome: &Outcome) -> (Verdict, Option<Class>) {
    let Judgement { verdict, class, .. } = judge(check, None, outcome, Timestamp::UNIX_EPOCH);
    (verdict, class)
}

#[test]
fn a_report_that_no_parser_reads_is_not_judged_by_the_exit_code_alone() {
    let unreadable = (Verdict::Unreadable, Some(Class::UnreadableFormat));
    let clean = (Verdict::Clean, None);
    for report in [
        "Previewing update (dev)\n",
        "Succeeded: 3 (changed=1)\n",
        "[log] web1 : ok=1 changed=0 unreachable=0 failed=0\n",
    ] {
        assert_eq!(judged(&script("auto"), &outcome(report, "")), unreadable, "{report}");
        assert_eq!(judged(&script("auto"), &outcome("", report)), unreadable, "{report}");
        // Whoever says so himself is believed.
        assert_eq!(judged(&script("none"), &outcome(report, "")), clean, "{report}");
        let mut check = script("auto");
        check.exit_codes = Some(ExitCodes { clean: vec![0], drifted: vec![2] });
        assert_eq!(judged(&check, &outcome(report, "")), clean, "{report}");
    }
    assert_eq!(judged(&script("auto"), &outcome("all fine\n", "")), clean);
}

#[test]
fn files_that_nobody_recognised_are_not_judged_by_the_exit_code() {
    let check = Check { files: vec!["*.yaml".to_owned()], ..script("auto") };
    let unreadable = (Verdict::Unreadable, Some(Class::UnreadableFormat));
    let mut outcome = outcome("all fine\n", "");
    assert_eq!(judged(&check, &outcome), unreadable);
    outcome.files.list.push(("x.yaml".to_owned(), b"a: b\n".to_vec()));
    assert_eq!(judged(&check, &outcome), unreadable);
    // One that could not be read, or not be kept, speaks for any parser.
    let check = Check { files: check.files, ..script("puppet") };
    outcome.files.unread = Some("x: no".to_owned());
    assert_eq!(judged(&check, &outcome), (Verdict::Unreadable, Some(Class::UnreadableCut)));
    (outcome.files.unread, outcome.files.left_out) = (None, 1);
    assert_eq!(judged(&check, &outcome), (Verdict::Unreadable, Some(Class::OutputLimit)));
}

#[test]
fn an_output_that_was_cut_and_that_nobody_recognised_is_not_judged_by_the_exit_code() {
    let limit = (Verdict::Unreadable, Some(Class::OutputLimit));
    for stderr in [false, true] {
        let mut outcome = outcome("a lot\n", "a lot\n");
        let stream = if stderr { &mut outcome.stderr } else { &mut outcome.stdout };
        stream.total = 1 << 30;
        assert_eq!(judged(&script("auto"), &outcome), limit);
        // Nothing was to be read, or the command failed in any case.
        assert_eq!(judged(&script("none"), &outcome), (Verdict::Clean, None));
        outcome.end = driftrun::outcome::End::Exited(1);
        assert_eq!(judged(&script("auto"), &outcome), (Verdict::Failed, Some(Class::Exit)));
    }
}

#[test]
fn an_empty_output_of_a_command_that_left_processes_is_nothing_to_any_reader() {
    let pattern = Pattern {
        name: "p".to_owned(),
        resource: Finder::new("(?P<name>.+)").unwrap(),
        clean: None,
        block: None,
        actions: Vec::new(),
        exit_codes: Some(ExitCodes { clean: vec![0], drifted: vec![3] }),
    };
    let check = Check { reader: ReaderChoice::Known(Reader::Pattern(Arc::new(pattern))), ..script("none") };
    let mut outcome = outcome("", "");
    assert_eq!(judged(&check, &outcome), (Verdict::Clean, None));
    outcome.unwaited = true;
    assert_eq!(judged(&check, &outcome), (Verdict::Unreadable, Some(Class::UnreadableCut)));
}

/// Nothing that speaks against "clean" is asked of what drifts; when rules take all of that out it is asked then.
#[test]
fn what_only_rules_make_clean_bears_the_same_questions() {
    let drifted = "Terraform will perform the following actions:\n\n  # t.a will be created\n  + resource \"t\" \"a\" {\n    }\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n";
    let kubectl = "diff -u -N /tmp/LIVE-1/v1.ConfigMap.shop.web /tmp/MERGED-2/v1.ConfigMap.shop.web\n--- /tmp/LIVE-1/v1.ConfigMap.shop.web\t2026-11-24 02:41:19.466553059 +0000\n+++ /tmp/MERGED-2/v1.ConfigMap.shop.web\t2026-11-24 02:41:19.466553059 +0000\n@@ -1,6 +1,6 @@\n apiVersion: v1\n kind: ConfigMap\n metadata:\n-  generation: 1\n+  generation: 2\n   name: web\n   namespace: shop\n";
    let plan = |more: &str| {
        format!(
            r#"{{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{{}},"resource_changes":[{{"address":"t.a","type":"t","change":{{"actions":["create"]}}}}]{more}}}"#
        )
    };
    let adhoc = "a | CHANGED => {\n    \"changed\": true\n}\n";
    let killed = "./check.sh: line 3: 4711 Killed                  terraform -chdir=b plan\n";
    let other = format!("{drifted}\n{kubectl}");
    let (deferred, whole) = (plan(r#","deferred_changes":[{}]"#), plan(r#","deferred_changes":[]"#));
    let clean = (Verdict::Clean, None);
    let (format, contradiction) = (Class::UnreadableFormat, Class::UnreadableContradiction);
    let unreadable = |class| (Verdict::Unreadable, Some(class));
    for (parser, stdout, stderr, rule, want) in [
        ("terraform", drifted, "", true, clean),
        ("terraform", &other, "", true, unreadable(contradiction)),
        ("terraform", drifted, killed, true, unreadable(contradiction)),
        // Without any rule of the user's.
        ("kubectl", kubectl, "", false, clean),
        (
            "kubectl",
            kubectl,
            "./check.sh: line 3: 4711 Killed   kubectl diff -f b\n",
            false,
            unreadable(contradiction),
        ),
        ("terraform-show", &whole, "", true, clean),
        ("terraform-show", &deferred, "", true, unreadable(format)),
        ("ansible-minimal", adhoc, "", true, unreadable(format)),
    ] {
        let mut check = script(parser);
        assert_eq!(judged(&check, &outcome(stdout, stderr)).0, if rule { Verdict::Drifted } else { want.0 });
        if rule {
            let name = Some(driftrun::ignore::Pattern::new("*").unwrap());
            check.ignore = vec![driftrun::ignore::IgnoreRule { name, ..Default::default() }];
        }
        assert_eq!(judged(&check, &outcome(stdout, stderr)), want, "{parser} {stderr}\n{stdout}");
    }
}

#[test]
fn a_report_of_another_plan_doesn_t_explain_the_exit_code() {
    let command = ["terraform", "plan", "-detailed-exitcode", "-out=p"].map(str::to_owned).to_vec();
    let reader = ReaderChoice::Known(Reader::Builtin(by_name("terraform").unwrap()));
    let check = Check { command, reader, ..Check::recorded("c") };
    let run = |code, report: &str| Outcome {
        end: driftrun::outcome::End::Exited(code),
        stage: Stage::Report,
        report: Some(captured(report)),
        ..outcome("", "")
    };
    let contradiction = (Verdict::Unreadable, Some(Class::UnreadableContradiction));
    assert_eq!(judged(&check, &run(2, NOTHING)), contradiction);
    assert_eq!(judged(&check, &run(0, NOTHING)), (Verdict::Clean, None));
    let outputs =
        "Changes to Outputs:\n  + o = 1\n\nYou can apply this plan to save these new output values to the\n";
    assert_eq!(judged(&check, &run(2, outputs)), (Verdict::Clean, None));
}

#[test]
fn a_planned_change_that_is_ignored_explains_no_change_from_outside() {
    let changed = |attributes: [&str; 2]| {
        let [one, other] = attributes;
        format!(
            r#"{{"address":"t.a","type":"t","change":{{"actions":["update"],"before":{{"content":"a","tags":"a"}},"after":{{"content":"{one}","tags":"{other}"}}}}}}"#
        )
    };
    let plan = |outside: [&str; 2]| {
        format!(
            r#"{{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{{}},"resource_changes":[{}],"resource_drift":[{}]}}"#,
            changed(["a", "b"]),
            changed(outside)
        )
    };
    let attribute = Some(driftrun::ignore::Pattern::new("tags").unwrap());
    let ignore = vec![driftrun::ignore::IgnoreRule { attribute, ..Default::default() }];
    for (count_refresh, outside, want) in [
        (true, ["b", "b"], Verdict::Drifted),
        (true, ["a", "b"], Verdict::Clean),
        (false, ["b", "b"], Verdict::Clean),
    ] {
        let check = Check { count_refresh, ignore: ignore.clone(), ..script("terraform-show") };
        assert_eq!(judged(&check, &outcome(&plan(outside), "")).0, want, "{count_refresh} {outside:?}");
    }
}

#[test]
fn an_error_at_the_end_of_a_flood_on_stderr_is_seen() {
    let mut outcome = outcome("", "I1123 00:00:00.000000 1 round_trippers.go:1] x\n");
    outcome.stderr.tail = b"x\nerror: You must be logged in to the server (Unauthorized)\n".to_vec();
    outcome.stderr.total = 1 << 30;
    let contradiction = (Verdict::Unreadable, Some(Class::UnreadableContradiction));
    assert_eq!(judged(&script("kubectl"), &outcome), contradiction);
    outcome.stderr.tail = b"I1123 00:00:00.000000 1 round_trippers.go:1] y\n".to_vec();
    assert_eq!(judged(&script("kubectl"), &outcome), (Verdict::Clean, None));
}

#[test]
fn an_empty_output_is_nothing_when_the_command_didn_t_wait_for_its_processes() {
    let once = |script: &str| {
        let (stdout, _, code) =
            ended(&["once", "--parser=kubectl", "--format=json", "--", "sh", "-c", script]);
        let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        (document["sh"]["verdict"].as_str().unwrap().to_owned(), code)
    };
    assert_eq!(once("exit 0"), ("clean".to_owned(), Some(0)));
    assert_eq!(once("sleep 7021 & exit 0"), ("unreadable".to_owned(), Some(1)));
    assert_eq!(once("sleep 0 & wait; exit 0"), ("clean".to_owned(), Some(0)));
}
