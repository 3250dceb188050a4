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
        &["salt", "-vs", "*", "state.apply"],
        &["sudo", "salt", "--hide-timeout", "*", "state.apply"],
        &["sh", "-c", "cd x && /usr/bin/salt '*' state.apply --out json --static | tee log"],
    ] {
        assert_eq!(reading(argv, 0, CLEAN.as_bytes()).class(), Some(Class::UnreadableFormat), "{argv:?}");
    }
    for argv in [
        &["salt", "-t", "5", "-lwarns", "--state-output=full", "web-s", "state.apply"][..],
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
