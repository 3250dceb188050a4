use super::*;
use crate::{Class, Reading, Stream, Verdict};

const ARGV: [&str; 5] = ["ansible", "web", "-m", "copy", "--check"];
const OK: &str = "web1 | SUCCESS => {\n    \"changed\": false\n}\n";
const CHANGED: &str = "web2 | CHANGED => {\n    \"changed\": true\n}\n";

fn reading(argv: &[&str], exit: Option<i32>, stdout: &str) -> Reading {
    let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(b""));
    crate::read(&PARSER, None, &Input { argv, exit, stdout, stderr, files: &[] })
}

fn refused(stdout: &str) -> (Class, Option<u32>) {
    match reading(&ARGV, Some(0), stdout) {
        Reading::Unreadable(error) => (error.class, error.line),
        other => panic!("{other:?}"),
    }
}

#[test]
fn first_lines_name_a_host_and_a_state() {
    let read = |line: &'static str| {
        header(line.as_bytes()).map(|(host, state, rest)| (text::string(host), state, rest))
    };
    let some = |state, rest| Some(("h".to_owned(), state, rest));
    assert_eq!(read("h | SUCCESS => {"), some(State::Success, Rest::Json(b"{")));
    assert_eq!(
        read("h | CHANGED => {\"changed\": true}"),
        some(State::Changed, Rest::Json(b"{\"changed\": true}"))
    );
    assert_eq!(read("h | FAILED! => {"), some(State::Failed, Rest::Json(b"{")));
    assert_eq!(read("h | FAILED | rc=-9 >>"), some(State::Failed, Rest::Output));
    assert_eq!(read("h | CHANGED | rc=0 | (stdout) a"), some(State::Changed, Rest::OutputHere));
    assert_eq!(read("h | SKIPPED"), some(State::Skipped, Rest::Nothing));
    assert_eq!(read("h | UNREACHABLE! => {"), some(State::Unreachable, Rest::Json(b"{")));
    assert_eq!(read("h | UNREACHABLE!: Task failed: x"), some(State::Unreachable, Rest::Nothing));
    for line in [
        "h | success >> {",
        "h | SUCCESSFUL",
        "a b | SUCCESS => {",
        "h | CHANGED | rc= >>",
        "h | CHANGED | rc=0 words",
        "h | FAILED!: words",
        " | SKIPPED",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

#[test]
fn a_module_that_brings_tasks_gives_a_host_several_results() {
    let two = OK.to_owned() + &CHANGED.replace("web2", "web1");
    let of = |module| reading(&["ansible", "web", "-m", module, "--check"], Some(0), &two);
    for module in ["include_role", "ansible.builtin.import_role"] {
        let report = of(module);
        let found = report.report().unwrap().resources().first().map(|r| r.scope.clone());
        assert_eq!((report.verdict(), found.as_deref()), (Verdict::Drifted, Some("web1")), "{module}");
    }
    assert_eq!(of("copy").class(), Some(Class::UnreadableContradiction));
}

#[test]
fn only_ansible_itself_with_its_exit_code_can_say_clean() {
    assert_eq!(reading(&ARGV, Some(0), OK).verdict(), Verdict::Clean);
    for (argv, exit) in [(&ARGV[..], None), (&[][..], Some(0)), (&["sh", "-c", "x"][..], Some(0))] {
        assert_eq!(reading(argv, exit, OK).verdict(), Verdict::Unreadable);
    }
    let both = OK.to_owned() + CHANGED;
    let seen = |argv: &[&str]| {
        let reading = reading(argv, Some(0), &both);
        let resource = reading.report().unwrap().resources().first().unwrap();
        (reading.verdict(), resource.scope.clone(), resource.kind.clone(), resource.name.clone())
    };
    let drifted =
        |kind: &str, name: &str| (Verdict::Drifted, "web2".to_owned(), kind.to_owned(), name.to_owned());
    assert_eq!(seen(&ARGV), drifted("copy", "copy"));
    assert_eq!(seen(&[]), drifted("", "(module not shown)"));
    assert_eq!(reading(&["ansible-playbook", "a.yml"], Some(0), &both).verdict(), Verdict::Unreadable);
}

#[test]
fn what_belongs_to_no_result_is_not_passed_over() {
    let diff = "--- before\n+++ after: /m\n@@ -0,0 +1 @@\n+a\n\n";
    assert_eq!(refused(&format!("{OK}{diff}")), (Class::UnreadableFormat, Some(4)));
    assert_eq!(refused(&format!("{diff}{OK}")), (Class::UnreadableFormat, Some(1)));
    // A result without its first line, without its last, and one that ends early.
    let headless = CHANGED.split_once('\n').unwrap().1;
    assert_eq!(refused(&format!("{OK}{headless}")), (Class::UnreadableFormat, Some(4)));
    assert_eq!(refused(&OK.replace("}\n", "")), (Class::UnreadableCut, Some(2)));
    assert_eq!(refused(&format!("{OK}web2 | CHAN")), (Class::UnreadableFormat, Some(4)));
    assert_eq!(refused("web2 | CHANGED => {\"changed\": tr"), (Class::UnreadableCut, Some(1)));
    assert_eq!(refused("web2 | CHANGED => {\"changed\": yes}"), (Class::UnreadableFormat, Some(1)));
    assert_eq!(reading(&ARGV, Some(0), &format!("[WARNING]: x\n\n{OK}")).verdict(), Verdict::Clean);
}

#[test]
fn states_results_and_exit_codes_must_agree() {
    let old = OK.replace("false", "true");
    assert_eq!(reading(&ARGV, Some(0), &old).verdict(), Verdict::Drifted);
    assert_eq!(refused(&format!("{OK}{OK}")), (Class::UnreadableContradiction, Some(6)));
    let down = OK.replace("SUCCESS", "UNREACHABLE!");
    assert_eq!(refused(&down), (Class::UnreadableContradiction, None));
    let mixed = reading(&ARGV, Some(4), &(down.replace("web1", "web3") + OK));
    assert_eq!((mixed.verdict(), mixed.class()), (Verdict::Partial, Some(Class::Unreachable)));
    let Reading::Unreadable(error) = reading(&ARGV, Some(2), OK) else { panic!() };
    assert_eq!(error.class, Class::UnreadableContradiction);
}

#[test]
fn of_several_results_of_a_host_the_gravest_counts() {
    let (failed, down) =
        ("web2 | FAILED! => {\"changed\": false}\n", "web2 | UNREACHABLE! => {\"changed\": false}\n");
    let scopes = |results: &[&str]| {
        let reading = reading(&["sh", "-c", "x"], Some(4), &results.concat());
        let scopes = reading.report().unwrap().scopes();
        let unread = scopes.unread.iter().map(|unread| (unread.scope.clone(), unread.reason));
        (scopes.read.clone(), unread.collect::<Vec<_>>())
    };
    let unread = |reason| (vec!["web1".to_owned()], vec![("web2".to_owned(), reason)]);
    for results in [[OK, CHANGED, failed], [OK, failed, CHANGED]] {
        assert_eq!(scopes(&results), unread(UnreadReason::Failed), "{results:?}");
    }
    for results in [[OK, failed, down], [OK, down, failed], [down, CHANGED, OK]] {
        assert_eq!(scopes(&results), unread(UnreadReason::Unreachable), "{results:?}");
    }
}

#[test]
fn a_command_under_success_may_have_changed_something() {
    assert_eq!(refused("web1 | SUCCESS | rc=0 >>\nx\n").0, Class::UnreadableFormat);
    let skipped = "web1 | SUCCESS | rc=0 >>\nskipped, since /m exists\n";
    assert_eq!(reading(&ARGV, Some(0), skipped).verdict(), Verdict::Clean);
}

#[test]
fn results_may_be_yaml() {
    let ok = "web1 | SUCCESS => \n    changed: false\n    msg: |-\n        a\n\n        changed: true\n";
    let changed = "web2 | CHANGED => \n    changed: true\n    mode: '0644'\n";
    assert_eq!(reading(&ARGV, Some(0), ok).verdict(), Verdict::Clean);
    assert_eq!(
        reading(&ARGV, Some(0), &ok.replace("    changed: false", "    changed: true")).verdict(),
        Verdict::Drifted
    );
    let both = reading(&ARGV, Some(0), &(ok.to_owned() + changed));
    let spans: Vec<_> =
        both.report().unwrap().resources().iter().map(|r| (r.scope.as_str(), r.span)).collect();
    assert_eq!(spans, [("web2", Some(Span(7, 9)))]);
    assert_eq!(refused("web1 | SUCCESS =>"), (Class::UnreadableCut, Some(1)));
    assert_eq!(
        refused(&ok.replace("    changed: false\n", "    changed: 'no'\n")),
        (Class::UnreadableFormat, Some(2))
    );
}

#[test]
fn skipped_everywhere_is_nothing_looked_at() {
    assert_eq!(refused("web1 | SKIPPED\nweb2 | SKIPPED\n").0, Class::NoScopes);
    assert_eq!(refused("").0, Class::NoScopes);
}
