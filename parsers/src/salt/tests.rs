use super::*;
use crate::{Reading, Stream, Verdict};

const CLEAN: &str = include_str!("../../../fixtures/salt/clean/stdout");

fn reading(argv: &[&str], exit: i32, stdout: &[u8]) -> Reading {
    let stdout = Stream::whole(stdout);
    crate::read(
        &PARSER,
        None,
        &Input { argv, exit: Some(exit), stdout, stderr: Stream::whole(b""), files: &[] },
    )
}

fn verdict(stdout: &[u8]) -> Verdict {
    reading(&["salt-call", "state.apply"], 0, stdout).verdict()
}

#[test]
fn a_failing_code_needs_a_failure() {
    let fails = reading(&["salt-call", "state.apply"], 2, CLEAN.as_bytes());
    assert_eq!(fails.class(), Some(Class::UnreadableContradiction));
    assert_eq!(verdict(CLEAN.as_bytes()), Verdict::Clean);
}

#[test]
fn a_command_that_hides_silent_minions_is_refused() {
    for argv in [
        &["salt", "--static", "*", "state.apply"][..],
        &["salt", "-s", "*", "state.apply"],
        &["salt", "-vs", "*", "state.apply"],
        &["sudo", "salt", "--hide-timeout", "*", "state.apply"],
        &["sh", "-c", "cd x && /usr/bin/salt '*' state.apply --out json --static | tee log"],
    ] {
        assert_eq!(reading(argv, 0, CLEAN.as_bytes()).class(), Some(Class::UnreadableFormat), "{argv:?}");
    }
    for argv in [
        &["salt", "-t", "5", "-lwarns", "--state-output=full", "web-s", "state.apply"][..],
        &["salt", "-v", "*", "state.apply"],
        &["salt-ssh", "-s", "*", "state.apply"],
        &["sh", "-c", "salt '*' state.apply --out json; grep -s x y"],
    ] {
        assert_eq!(reading(argv, 0, CLEAN.as_bytes()).verdict(), Verdict::Clean, "{argv:?}");
    }
}

#[test]
fn a_template_s_error_is_told_without_its_values() {
    let minion = b"{\n    \"a\": [\n        \"Rendering SLS 'base:x' failed: Jinja error: invalid literal for int() with base 10: 'hunter2'\"\n    ]\n}\n";
    let reading = reading(&["salt", "*", "state.apply"], 1, minion);
    assert_eq!(reading.reason().as_deref(), Some("a: Rendering SLS 'base:x' failed"));
}

#[test]
fn log_lines_stand_before_and_nothing_behind() {
    assert_eq!(verdict(format!("[INFO    ] Loading\n{CLEAN}").as_bytes()), Verdict::Clean);
    for other in
        [format!("{CLEAN}[INFO    ] x\n"), format!("{CLEAN}{CLEAN}"), format!("Summary for a\n{CLEAN}")]
    {
        assert_eq!(verdict(other.as_bytes()), Verdict::Unreadable);
    }
    for nothing in ["", "{}", "{\"local\": []}", "{\"local\": true}", "{\"local\": null}"] {
        assert_eq!(verdict(nothing.as_bytes()), Verdict::Unreadable, "{nothing}");
    }
    assert_eq!(verdict(b"{\"local\": {}}"), Verdict::Failed);
}

#[test]
fn keys_of_known_functions_tell_the_action() {
    let target = || Some(vec!["target".to_owned()]);
    for (kind, changes, want) in [
        ("file.absent", r#"{"removed":"/x"}"#, (Action::Delete, None)),
        ("file.absent", r#"{"removed":"/x","other":1}"#, (Action::Change, None)),
        ("file.missing", r#"{"moved":"/x"}"#, (Action::Change, None)),
        ("file.symlink", r#"{"new":"/x"}"#, (Action::Create, None)),
        ("file.symlink", r#"{"change":"/x"}"#, (Action::Update, target())),
        ("file.symlink", r#"{"change":"/x","user":"a"}"#, (Action::Change, None)),
        ("host.present", r#"{"added":{"192.0.2.1":["a"]}}"#, (Action::Create, None)),
        ("host.present", r#"{"added":{},"removed":{}}"#, (Action::Change, None)),
        ("pkg.installed", r#"{"a":{"new":"1","old":""},"b":{"new":"1","old":""}}"#, (Action::Create, None)),
        ("pkg.installed", r#"{"a":{"new":"1","old":""},"b":{"new":"2","old":"1"}}"#, (Action::Update, None)),
        ("pkg.latest", r#"{"a":{"new":"2","old":"1"}}"#, (Action::Update, None)),
        ("pkg.latest", r#"{"a":"2"}"#, (Action::Update, None)),
        ("pkg.purged", r#"{"a":{"new":"","old":"1"}}"#, (Action::Delete, None)),
        ("cmd.run", r#"{"removed":"/x"}"#, (Action::Change, None)),
    ] {
        let object: Object<'_> = serde_json::from_str(changes).unwrap();
        assert_eq!(told(kind, &object, None), want, "{kind} {changes}");
    }
}

#[test]
fn a_state_s_own_id_is_its_name_and_the_key_s_where_it_has_none() {
    let named = |id: &str| {
        let state = format!(r#"{{"result":null,"changes":{{"diff":""}},"__run_num__":0{id}}}"#);
        let reading = reading(
            &["salt-call", "state.apply"],
            0,
            format!("{{\"local\":{{\"file_|-a_|-b_|-/x_|-managed\":{state}}}}}").as_bytes(),
        );
        crate::testing::resources(&reading).into_iter().map(|r| r.name).collect::<Vec<_>>()
    };
    assert_eq!(named(r#","__id__":"a_|-b""#), ["a_|-b"]);
    assert_eq!(named(r#","__id__":"""#), ["a"]);
    assert_eq!(named(""), ["a"]);
}

#[test]
fn what_salt_says_before_any_result_tells_the_class() {
    for (stdout, stderr, class) in [
        ("", "Salt request timed out. The master is not responding.\n", Class::Unreachable),
        ("", "[ERROR   ] DNS lookup or connection check of 'salt' failed.\n", Class::Unreachable),
        ("", "ERROR: No return received\n", Class::Other),
        ("{}", "ERROR: No return received\n", Class::Other),
        ("No matching minions\n", "", Class::UnreadableFormat),
        ("No minions matched the target. No command was sent, no jid was assigned.\n", "", Class::NoScopes),
    ] {
        let argv = ["salt", "*", "state.apply"];
        let reading = crate::testing::run(&PARSER, &argv, Some(2), stdout, stderr);
        assert_eq!(reading.class(), Some(class), "{stdout} {stderr}");
    }
}

#[test]
fn its_output_is_recognised_by_the_keys_of_states_and_by_its_words() {
    let of = |stdout: &str| {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(b""));
        recognise(&Input { argv: &[], exit: None, stdout, stderr, files: &[] })
    };
    assert_eq!(of(CLEAN), Some("keys of salt's states"));
    assert_eq!(of("Total states run:     3\n"), Some("a summary of salt for people"));
    assert_eq!(of("{\"a\": [\"Rendering SLS 'x' failed\"]}"), Some("words of salt in JSON"));
    for other in ["{\"a\": {}}", "a_|-b", "Rendering SLS 'x' failed", "{}", ""] {
        assert_eq!(of(other), None, "{other}");
    }
}
