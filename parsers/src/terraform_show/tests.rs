use super::attributes::exact_numbers;
use super::*;
use crate::{Reading, Stream, Verdict, read};
use serde_json::{Value, json};

const DETAILED: &[&str] = &["terraform", "plan", "-detailed-exitcode", "-out=p"];

fn run(argv: &[&str], exit: Option<i32>, plan: &str) -> Reading {
    let stream = Stream::whole;
    read(
        &PARSER,
        None,
        &Input { argv, exit, stdout: stream(plan.as_bytes()), stderr: stream(b""), files: &[] },
    )
}

fn verdict(argv: &[&str], exit: Option<i32>, plan: &Value) -> Verdict {
    run(argv, exit, &plan.to_string()).verdict()
}

fn class(plan: &str) -> Option<Class> {
    run(DETAILED, Some(0), plan).class()
}

#[test]
fn changes_under_a_key_that_is_not_known_are_not_passed_over() {
    let outputs = json!({"output_changes": {"o": {"actions": ["update"]}}});
    let known = plan(&json!([change(&json!(["update"]))]), &json!([]), &outputs);
    assert_eq!(verdict(DETAILED, Some(2), &known), Verdict::Drifted);
    for text in [known.to_string(), serde_json::to_string_pretty(&known).unwrap()] {
        let reading = run(DETAILED, Some(2), &text.replace("resource_changes", "resource_chances"));
        let want = "changes under \"resource_chances\", which is no known key; a newer Terraform may list them there: use a driftrun that knows it, or the parser terraform-json";
        assert_eq!(
            (reading.class(), reading.reason().unwrap().as_str()),
            (Some(Class::UnreadableFormat), want)
        );
    }
    let more = json!({"variables": {"actions": {"actions": ["update"]}}, "news": {"actions": ["notify"]}, "timestamp": "t"});
    let quiet = plan(&json!([change(&json!(["no-op"]))]), &json!([]), &more);
    assert_eq!(verdict(DETAILED, Some(0), &quiet), Verdict::Clean);
    let twice = quiet.to_string().replacen('{', "{\"timestamp\":1,", 1);
    assert_eq!(class(&twice), Some(Class::UnreadableFormat));
}

fn change(actions: &Value) -> Value {
    json!({"address": "t.a", "type": "t", "change": {"actions": actions}})
}

fn plan(changes: &Value, drift: &Value, more: &Value) -> Value {
    let mut plan = json!({"format_version": "1.2", "planned_values": {}, "resource_changes": changes, "resource_drift": drift});
    plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan
}

fn paths(change: &Value) -> Option<Vec<String>> {
    let mut change = change.clone();
    change["actions"] = json!(["update"]);
    let text = change.to_string();
    attributes(&serde_json::from_str::<Change<'_>>(&text).unwrap())
}

#[test]
fn numbers_are_compared_by_their_digits() {
    let of = |before: &str, after: &str| {
        let text = format!(r#"{{"actions":["update"],"before":{before},"after":{after}}}"#);
        attributes(&serde_json::from_str::<Change<'_>>(&text).unwrap())
    };
    let big = |n: &str| format!(r#"{{"a\"1e5":"\\","n":{n},"l":[-7, {n},1]}}"#);
    for (before, after) in [
        ("18446744073709551617", "18446744073709551618"),
        ("-9223372036854775809", "-9223372036854775810"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1e400", "1e401"),
    ] {
        let paths = Some(vec!["l[1]".to_owned(), "n".to_owned()]);
        assert_eq!(of(&big(before), &big(after)), paths, "{before}");
        assert_eq!(of(&big(before), &big(before).replace("-7", "-8")), Some(vec!["l[0]".to_owned()]));
    }
    assert_eq!(exact_numbers(&big("1.5")), r#"{"a\"1e5":"\\","n":"\u00001.5","l":[-7, "\u00001.5",1]}"#);
    assert!(matches!(exact_numbers(&big("15")), Cow::Borrowed(_)));
}

#[test]
fn paths_of_the_leaves_that_differ() {
    let of = |before: Value, after: Value| paths(&json!({"before": before, "after": after}));
    let is = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        of(json!({"tags": {"env": "a", "b": 1}}), json!({"tags": {"env": "b", "b": 1}})),
        is(&["tags.env"])
    );
    assert_eq!(
        of(json!({"i": [{"c": ["x", "y"]}]}), json!({"i": [{"c": ["x", "z", "w"]}]})),
        is(&["i[0].c[1]", "i[0].c[2]"])
    );
    assert_eq!(
        of(json!({"t": {"a.b": 1, "x\"y": 1}}), json!({"t": {}})),
        is(&["t[\"a.b\"]", "t[\"x\\\"y\"]"])
    );
    assert_eq!(of(json!({"t": null, "u": null}), json!({"t": {"k": 1}, "u": []})), is(&["t.k", "u"]));
    assert_eq!(of(json!({"t": {"k": {"l": 1}}}), json!({"t": {"k": 1}})), is(&["t.k"]));
    assert_eq!(of(json!({"t": [{}]}), json!({"t": [{}, {}]})), is(&["t[1]"]));
    // Null and missing are one of an attribute, and two in a value of any type, as Terraform shows them.
    assert_eq!(of(json!({"a": null, "b": 1}), json!({"b": 2})), is(&["b"]));
    assert_eq!(of(json!({"a": {"x": null}}), json!({"a": {}})), is(&["a.x"]));
    assert_eq!(of(json!({"a": {}}), json!({"a": {"x": null}})), is(&["a.x"]));
    assert_eq!(of(json!({"l": [{"x": null}]}), json!({"l": [{}]})), is(&["l[0].x"]));
    assert_eq!(
        of(json!({"a": {"r": {"d": null}, "s": 1}}), json!({"a": {"r": {}, "s": 2}})),
        is(&["a.r.d", "a.s"])
    );
    assert_eq!(of(json!({"l": [1, null]}), json!({"l": [2]})), is(&["l[0]", "l[1]"]));
    let keys = json!({"t": {"_a": 1, "b-c": 1, "1d": 1, "": 1}});
    assert_eq!(of(keys, json!({"t": {}})), is(&["t._a", "t.b-c", "t[\"\"]", "t[\"1d\"]"]));
}

#[test]
fn unknown_and_sensitive_values_are_named_and_not_looked_into() {
    let unknown = json!({"before": {"id": "x", "o": {"k": 1}, "l": [1]}, "after": {"l": [1, null]}, "after_unknown": {"id": true, "o": true, "l": [false, true]}});
    assert_eq!(paths(&unknown), Some(vec!["id".to_owned(), "l[1]".to_owned(), "o".to_owned()]));
    let secret = json!({"before": {"s": {"key": "a"}, "same": {"k": 1}}, "after": {"s": {"key": "b"}, "same": {"k": 1}},
        "before_sensitive": {"s": true, "same": true}, "after_sensitive": {"s": true}});
    assert_eq!(paths(&secret), Some(vec!["s".to_owned()]));
    for side in ["before_sensitive", "after_sensitive"] {
        let one = json!({"before": {"s": {"key": "a"}}, "after": {"s": {"key": "b"}}, side: {"s": true}});
        assert_eq!(paths(&one), Some(vec!["s".to_owned()]), "{side}");
    }
    // Only a mark changes: nothing that a rule on attributes could match.
    let mark = json!({"before": {"s": 1}, "after": {"s": 1}, "before_sensitive": {}, "after_sensitive": {"s": true}});
    assert_eq!(paths(&mark), None);
    assert_eq!(paths(&json!({"before": {"s": 1}, "after_unknown": true})), None);
}

#[test]
fn no_value_leaves_the_parser() {
    let mut secret = change(&json!(["update"]));
    secret["change"]["before"] = json!({"a": "s3cret", "b": ["s3cret"]});
    secret["change"]["after"] = json!({"a": "n3w", "b": ["n3w"]});
    let text = plan(&json!([secret]), &json!([]), &json!({})).to_string();
    let reading = run(DETAILED, Some(2), &text);
    assert_eq!(
        reading.report().unwrap().resources()[0].attributes,
        Some(vec!["a".to_owned(), "b[0]".to_owned()])
    );
    assert!(!format!("{reading:?}").contains('3'), "{reading:?}");
    for broken in [
        text.replace("\"n3w\"", "n3w"),
        text.replace("[\"update\"]", "\"s3cret\""),
        text.replace("\"t.a\"", "3"),
    ] {
        let reading = run(DETAILED, Some(2), &broken);
        assert_eq!(reading.verdict(), Verdict::Unreadable);
        assert!(!format!("{reading:?}").contains('3'), "{reading:?}");
    }
}

#[test]
fn actions_are_read_from_a_closed_list() {
    let of = |change: &Value| {
        let text = plan(&json!([change]), &json!([]), &json!({})).to_string();
        run(&[], None, &text)
            .report()
            .map(|report| report.resources().iter().map(|r| r.action).collect::<Vec<_>>())
    };
    for (actions, action) in [
        (json!(["create"]), Action::Create),
        (json!(["read"]), Action::Read),
        (json!(["update"]), Action::Update),
        (json!(["delete"]), Action::Delete),
        (json!(["forget"]), Action::Forget),
        (json!(["delete", "create"]), Action::Replace),
        (json!(["create", "delete"]), Action::Replace),
        (json!(["create", "forget"]), Action::Replace),
        (json!(["forget", "create"]), Action::Replace),
    ] {
        assert_eq!(of(&change(&actions)), Some(vec![action]));
    }
    let with = |key: &str, value: Value| {
        let mut change = change(&json!(["no-op"]));
        if key == "importing" {
            change["change"][key] = value;
        } else {
            change[key] = value;
        }
        change
    };
    assert_eq!(of(&change(&json!(["no-op"]))), Some(vec![]));
    assert_eq!(of(&with("previous_address", json!("t.b"))), Some(vec![Action::Move]));
    assert_eq!(of(&with("importing", json!({"id": "x"}))), Some(vec![Action::Import]));
    assert_eq!(of(&with("importing", json!(null))), Some(vec![]));
    for odd in [json!([]), json!(["explode"]), json!(["update", "delete"]), json!("update"), json!([1])] {
        assert_eq!(of(&change(&odd)), None, "{odd}");
    }
}

#[test]
fn a_deposed_object_is_another_resource() {
    let mut deposed = change(&json!(["delete"]));
    deposed["deposed"] = json!("0123abcd");
    let text = plan(&json!([change(&json!(["update"])), deposed]), &json!([]), &json!({})).to_string();
    let reading = run(DETAILED, Some(2), &text);
    let rows: Vec<_> = reading.report().unwrap().resources().iter().map(|r| (&*r.name, r.action)).collect();
    assert_eq!(rows, [("t.a", Action::Update), ("t.a (deposed)", Action::Delete)]);
}

#[test]
fn the_plan_s_own_marks_must_agree_with_it() {
    let (none, update) = (json!([]), json!([change(&json!(["update"]))]));
    let outputs = json!({"applyable": true, "output_changes": {"o": {"actions": ["create"]}}});
    assert_eq!(verdict(DETAILED, Some(0), &plan(&none, &none, &json!({"applyable": false}))), Verdict::Clean);
    assert_eq!(
        verdict(DETAILED, Some(0), &plan(&none, &none, &json!({"applyable": true}))),
        Verdict::Unreadable
    );
    assert_eq!(verdict(DETAILED, Some(2), &plan(&none, &none, &json!({}))), Verdict::Unreadable);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&none, &none, &outputs)), Verdict::Clean);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&update, &none, &json!({"errored": true}))), Verdict::Failed);
    assert_eq!(verdict(&[], None, &plan(&none, &none, &json!({"errored": true}))), Verdict::Failed);
    let deferred = json!({"deferred_changes": [{"reason": "unknown"}], "complete": false});
    assert_eq!(verdict(DETAILED, Some(0), &plan(&none, &none, &deferred)), Verdict::Unreadable);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&update, &none, &deferred)), Verdict::Drifted);
    // Beside what never counts they are all there is.
    let read = json!([change(&json!(["read"]))]);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&read, &none, &json!({}))), Verdict::Clean);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&read, &none, &deferred)), Verdict::Unreadable);
    let actions = json!({"deferred_action_invocations": [{"reason": "unknown"}]});
    assert_eq!(verdict(DETAILED, Some(0), &plan(&none, &none, &actions)), Verdict::Unreadable);
    let invoked = json!({"applyable": true, "action_invocations": [{"address": "action.a.b"}]});
    assert_eq!(verdict(DETAILED, Some(2), &plan(&none, &none, &invoked)), Verdict::Unreadable);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&update, &none, &invoked)), Verdict::Drifted);
    // Neither an output nor what is only read, nor what has changed outside, is what would be invoked.
    let with_output = json!({"applyable": true, "action_invocations": [{}], "output_changes": {"o": {"actions": ["create"]}}});
    assert_eq!(verdict(DETAILED, Some(2), &plan(&none, &none, &with_output)), Verdict::Unreadable);
    let same = json!([change(&json!(["no-op"]))]);
    let unmarked = json!({"action_invocations": [{}]});
    assert_eq!(verdict(DETAILED, Some(0), &plan(&none, &none, &unmarked)), Verdict::Unreadable);
    assert_eq!(verdict(DETAILED, Some(0), &plan(&same, &update, &unmarked)), Verdict::Unreadable);
    assert_eq!(
        verdict(DETAILED, Some(0), &plan(&none, &none, &json!({"action_invocations": []}))),
        Verdict::Clean
    );
}

#[test]
fn the_redacted_plan_of_hcp_has_no_attributes() {
    let mut update = change(&json!(["update"]));
    update["change"]["before"] = json!({"a": 1, "s": "REDACTED"});
    update["change"]["after"] = json!({"a": 2, "s": "REDACTED"});
    let of = |changes: &Value| json!({"plan_format_version": "1.1", "resource_drift": null, "resource_changes": changes, "output_changes": null, "provider_schemas": {}});
    let text = of(&json!([update])).to_string();
    let input = Input {
        argv: &[],
        exit: None,
        stdout: Stream::whole(text.as_bytes()),
        stderr: Stream::whole(b""),
        files: &[],
    };
    assert_eq!(recognise(&input), Some("a plan as JSON object"));
    let reading = read(&PARSER, None, &input);
    let rows: Vec<_> = reading
        .report()
        .unwrap()
        .resources()
        .iter()
        .map(|r| (&*r.name, r.action, r.attributes.clone()))
        .collect();
    assert_eq!(rows, [("t.a", Action::Update, None)]);
    assert_eq!(verdict(&[], None, &of(&json!(null))), Verdict::Clean);
    assert_eq!(class(r#"{"plan_format_version":"2.0"}"#), Some(Class::UnreadableFormat));
}

#[test]
fn commands_of_a_workflow_may_stand_around_the_object() {
    let text = plan(&json!([change(&json!(["update"]))]), &json!([]), &json!({})).to_string();
    let command = "[command]/opt/bin/terraform-bin show -json p\n";
    let after = format!(
        "::debug::Terraform exited with code 0.\n::debug::stdout: {text}%0A\n::debug::stderr: \n::set-output name=exitcode::0\n"
    );
    for (glue, more) in [("", ""), ("\n", ""), ("\n\n", "")] {
        let whole = format!("{command}{text}{glue}{after}{more}");
        assert_eq!(run(&[], None, &whole).verdict(), Verdict::Drifted, "{glue:?}");
    }
    for (other, line) in [(text.clone(), 7), ("{}\n".to_owned(), 7), ("done\n".to_owned(), 7)] {
        let whole = format!("{command}{text}\n{after}{other}");
        let Reading::Unreadable(error) = run(&[], None, &whole) else { panic!("{other}") };
        assert_eq!((error.class, error.line), (Class::UnreadableFormat, Some(line)));
    }
}

#[test]
fn drift_alone_counts_where_it_must_be_the_reason() {
    let (none, update, same) =
        (json!([]), json!([change(&json!(["update"]))]), json!([change(&json!(["no-op"]))]));
    let is = |applyable: bool| json!({"applyable": applyable});
    let only = ["terraform", "plan", "-refresh-only", "-out=p"];
    assert_eq!(verdict(&only, Some(0), &plan(&none, &update, &json!({}))), Verdict::Drifted);
    assert_eq!(verdict(DETAILED, Some(2), &plan(&none, &update, &is(true))), Verdict::Drifted);
    assert_eq!(verdict(&[], None, &plan(&none, &update, &is(true))), Verdict::Drifted);
    // The code or the mark is enough, also where the plan lists what it leaves alone.
    assert_eq!(verdict(DETAILED, Some(2), &plan(&same, &update, &json!({}))), Verdict::Drifted);
    assert_eq!(verdict(&[], None, &plan(&same, &update, &is(true))), Verdict::Drifted);
    // Before 1.8, and OpenTofu: an ordinary plan would list what it leaves alone.
    assert_eq!(verdict(&[], None, &plan(&none, &update, &json!({}))), Verdict::Drifted);
    assert_eq!(verdict(&[], None, &plan(&same, &update, &json!({}))), Verdict::Clean);
    assert_eq!(verdict(DETAILED, Some(0), &plan(&same, &update, &is(false))), Verdict::Clean);
    let outputs = json!({"applyable": true, "output_changes": {"o": {"actions": ["update"]}}});
    assert_eq!(verdict(DETAILED, Some(2), &plan(&same, &update, &outputs)), Verdict::Clean);
    assert_eq!(verdict(&[], None, &plan(&none, &update, &outputs)), Verdict::Drifted);
}

#[test]
fn what_is_no_whole_plan_is_refused() {
    let text = plan(&json!([change(&json!(["update"]))]), &json!([]), &json!({})).to_string();
    for end in 0..text.len() {
        assert_eq!(class(text.get(..end).unwrap()), Some(Class::UnreadableCut), "{end}");
    }
    for other in [
        r#"{"format_version":"1.0","terraform_version":"1.11.4","values":{}}"#,
        r#"{"format_version":"1.0"}"#,
        r#"{"format_version":"1.0","valid":true}"#,
        r#"{"format_version":"2.0","planned_values":{}}"#,
        r#"{"planned_values":{}}"#,
        "{}",
        "[]",
        "No changes.",
    ] {
        assert_eq!(class(other), Some(Class::UnreadableFormat), "{other}");
    }
    assert_eq!(class(&format!("{text}{text}")), Some(Class::UnreadableFormat));
    let none = plan(&json!([]), &json!([]), &json!({}));
    assert_eq!(class(&format!("dir a: {text}\n{none}\n")), Some(Class::UnreadableContradiction));
    assert_eq!(class(&format!("dir a:\n{text}\ndir b: {none}\n")), Some(Class::UnreadableFormat));
    assert_eq!(class(&format!("[command]/bin/terraform show\n{text}\n")), None);
    assert_eq!(class(&format!("\u{feff}{text}")), None);
}

#[test]
fn a_refresh_only_plan_of_nothing_is_clean() {
    let none = plan(&json!([]), &json!([]), &json!({}));
    assert_eq!(verdict(&["terraform", "plan", "-refresh-only", "-out=p"], Some(0), &none), Verdict::Clean);
}

#[test]
fn what_a_later_plan_would_do_is_told_in_numbers() {
    let update = json!([change(&json!(["update"]))]);
    let remarks = |more: &Value| {
        let reading = run(DETAILED, Some(2), &plan(&update, &json!([]), more).to_string());
        let remarks = reading.report().unwrap().diagnostics().to_vec();
        remarks.into_iter().map(|remark| remark.summary).collect::<Vec<_>>()
    };
    assert_eq!(remarks(&json!({})), [""; 0]);
    let deferred = json!({"deferred_changes": [{}, {}], "deferred_action_invocations": [{}]});
    assert_eq!(remarks(&deferred), ["3 changes are deferred to a later plan"]);
}

#[test]
fn an_error_on_stderr_tells_why_there_is_no_plan() {
    let clean = plan(&json!([]), &json!([]), &json!({})).to_string();
    let of = |argv: &[&str], exit, stdout: &str| {
        let reading =
            crate::testing::run(&PARSER, argv, exit, stdout, "\nError: Backend initialization required\n");
        (reading.class(), reading.reason())
    };
    let show = &["terraform", "show", "-json", "p"][..];
    let failed = (Some(Class::NeedsInit), Some("Backend initialization required".to_owned()));
    for (argv, exit, stdout) in [
        (show, Some(1), ""),
        (show, Some(1), "x"),
        (show, Some(1), &clean),
        (&["./plan.sh"], Some(0), ""),
        (&["./plan.sh"], Some(0), &clean),
        (show, None, &clean),
    ] {
        assert_eq!(of(argv, exit, stdout), failed, "{argv:?} {exit:?} {stdout}");
    }
    assert_eq!(of(show, Some(0), &clean), (None, None));
}

#[test]
fn a_plan_is_recognised_by_its_version_and_a_key() {
    for (text, is_plan) in [
        (r#"{"format_version":"1.2","terraform_version":"1"}"#, true),
        (r#"{"format_version":"1.2","planned_values":{}}"#, true),
        (r#"{"format_version":"1.2","resource_changes":[]}"#, true),
        ("x\n{\"plan_format_version\":\"1.1\",\"resource_changes\":[]}", true),
        (r#"{"format_version":"1.0","valid":true}"#, false),
        (r#"{"terraform_version":"1"}"#, false),
        (r#"{"resource_changes":[]}"#, false),
        ("", false),
    ] {
        assert_eq!(evidence(text.as_bytes()).is_some(), is_plan, "{text}");
    }
}

#[test]
fn a_file_s_path_names_its_unit() {
    for (path, folder, want) in [
        ("out/a/tfplan.json", Some("out"), Some(("a", true))),
        ("./out//live/./b/tfplan.json", Some("./out/"), Some(("live/b", true))),
        ("/srv/out/a/tfplan.json", Some("/srv/out"), Some(("a", true))),
        ("/srv/out/a/tfplan.json", Some("out"), Some(("a", true))),
        ("srv/out/a/tfplan.json", Some("/srv/out"), Some(("srv/out/a", false))),
        ("out/a/tfplan.json", None, Some(("out/a", false))),
        ("plans//a.json", None, Some(("plans/a", false))),
        ("out/tfplan.json", Some("out"), Some(("", true))),
        ("out/a/log.txt", Some("out"), None),
    ] {
        let want = want.map(|(name, by_folder)| (name.to_owned(), by_folder));
        assert_eq!(unit(path, folder), want, "{path} {folder:?}");
    }
}

#[test]
fn an_element_that_is_not_known_changes_what_hides_it() {
    let of = |before: Value, after: Value, unknown: Value, sensitive: bool| {
        let mark = json!({"i": sensitive});
        paths(
            &json!({"before": {"i": before}, "after": {"i": after}, "after_unknown": {"i": unknown}, "before_sensitive": mark, "after_sensitive": mark}),
        )
    };
    let (i, same, new) = (Some(vec!["i".to_owned()]), json!({"y": "1"}), json!({"new": true}));
    assert_eq!(of(same.clone(), same.clone(), new.clone(), true), i);
    assert_eq!(of(same.clone(), same.clone(), json!({"new": false}), true), None);
    assert_eq!(of(same.clone(), same.clone(), new.clone(), false), Some(vec!["i.new".to_owned()]));
    // Hidden in what isn't looked into.
    assert_eq!(of(Value::Null, Value::Null, new.clone(), false), i);
    assert_eq!(of(json!("x"), json!("x"), json!([true]), false), i);
}
