use super::*;
use crate::report::Span;
use crate::{Class, DriftReport, Reading, Stream, Verdict};
use std::fmt::Write;

fn reading(stdout: &str, exit: Option<i32>) -> Reading {
    let stdout = Stream::whole(stdout.as_bytes());
    crate::read(&PARSER, None, &Input { argv: &[], exit, stdout, stderr: Stream::whole(b""), files: &[] })
}

/// A play on these lines with this recap: hosts with ok, changed, unreachable, failed, rescued.
fn play(lines: &str, recap: &[(&str, [u32; 5])]) -> String {
    let mut out = format!("\nPLAY [p] ****\n\nTASK [t] ****\n{lines}\n\nPLAY RECAP ****\n");
    for (host, [ok, changed, unreachable, failed, rescued]) in recap {
        let _ = writeln!(
            out,
            "{host:<26} : ok={ok:<4} changed={changed:<4} unreachable={unreachable:<4} failed={failed:<4} \
             skipped=0    rescued={rescued:<4} ignored=0   "
        );
    }
    out + "\n"
}

/// Scope, name, count and span of each resource.
fn seen(report: &DriftReport) -> Vec<(&str, &str, u32, Option<Span>)> {
    report.resources().iter().map(|r| (r.scope.as_str(), r.name.as_str(), r.count, r.span)).collect()
}

fn refused(stdout: &str, exit: Option<i32>) -> (Class, Option<u32>) {
    match reading(stdout, exit) {
        Reading::Unreadable(error) => (error.class, error.line),
        other => panic!("{other:?}"),
    }
}

#[test]
fn line_ends_colours_and_a_byte_order_mark_change_nothing() {
    let plain = play("--- before\n+++ after\n@@ -1 +1 @@\n-a\n+b\n\nchanged: [h]", &[("h", [1, 1, 0, 0, 0])]);
    let want = reading(&plain, Some(0));
    assert_eq!(seen(want.report().unwrap()), [("h", "t", 1, Some(Span(5, 11)))]);
    assert_eq!(reading(&plain.replace('\n', "\r\n"), Some(0)), want);
    assert_eq!(reading(&format!("\u{feff}{plain}"), Some(0)), want);
    let coloured = plain
        .replace("changed: [h]", "\x1b[0;33mchanged: [h]\x1b[0m")
        .replace("h                          :", "\x1b[0;33mh\x1b[0m                          :");
    assert_ne!(coloured, plain);
    assert_eq!(reading(&coloured, Some(0)), want);
    let wide: String = plain.chars().flat_map(|c| [c, '\0']).collect();
    assert_eq!(refused(&wide, Some(0)).0, Class::UnreadableFormat);
}

#[test]
fn changes_that_no_line_shows_are_a_resource() {
    let report = reading(&play("ok: [h]", &[("h", [3, 2, 0, 0, 0])]), Some(0));
    assert_eq!(report.verdict(), Verdict::Drifted);
    assert_eq!(seen(report.report().unwrap()), [("h", "(2 changes not shown)", 1, None)]);
    assert_eq!(report.report().unwrap().diagnostics().len(), 1);
}

#[test]
fn a_change_that_the_recap_does_not_count_is_a_contradiction() {
    let clean = [("h", [1, 0, 0, 0, 0])];
    assert_eq!(reading(&play("ok: [h]", &clean), Some(0)).verdict(), Verdict::Clean);
    let shown = play("changed: [h]", &clean);
    assert_eq!(refused(&shown, Some(0)), (Class::UnreadableContradiction, Some(5)));
    // Loop and failure explain it: the loop ended badly, its first item had changed something.
    let lines = "changed: [h] => (item=a)\nfailed: [h] (item=b) => {\"changed\": true, \"msg\": \"x\"}";
    assert_eq!(refused(&play(lines, &clean), Some(0)).0, Class::UnreadableContradiction);
    let rescued = reading(&play(lines, &[("h", [1, 0, 0, 0, 1])]), Some(0));
    assert_eq!(seen(rescued.report().unwrap()), [("h", "t", 1, Some(Span(5, 6)))]);
}

#[test]
fn a_recap_without_its_beginning_is_another_run_s() {
    let clean = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
    let tail = "web1                       : ok=13   changed=9    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0   \n\n";
    assert_eq!(refused(&format!("{tail}{clean}"), Some(0)), (Class::UnreadableContradiction, Some(1)));
    assert_eq!(refused(&format!("{clean}{tail}"), Some(0)), (Class::UnreadableContradiction, Some(10)));
    // In a diff it is a line of a file's.
    let diff = format!(
        "--- before\n+++ after\n@@ -1 +1 @@\n-{}+{}\nchanged: [h]",
        tail.trim_end_matches('\n').to_owned() + "\n",
        tail.trim_end()
    );
    assert_eq!(reading(&play(&diff, &[("h", [1, 1, 0, 0, 0])]), Some(0)).verdict(), Verdict::Drifted);
}

#[test]
fn hosts_of_the_lines_are_hosts_of_the_recap() {
    let other = play("changed: [i]", &[("h", [1, 1, 0, 0, 0])]);
    assert_eq!(refused(&other, Some(0)), (Class::UnreadableContradiction, Some(5)));
    // `meta: end_host` prints a skip and counts nothing.
    assert_eq!(
        reading(&play("skipping: [i]\nok: [h]", &[("h", [1, 0, 0, 0, 0])]), Some(0)).verdict(),
        Verdict::Clean
    );
}

#[test]
fn odd_host_names_and_delegates_keep_to_the_inventory() {
    let lines = "changed: [fe80::1%eth0]\nchanged: [a -> b] => (item=1)\nchanged: [a -> b -> c(10.0.0.1)] => (item=2)\nchanged: [x] y]\nchanged: [with space -> d]";
    let one = [1, 1, 0, 0, 0];
    let hosts = [("a", [0; 5]), ("a -> b", one), ("fe80::1%eth0", one), ("with space", one), ("x] y", one)];
    let report = reading(&play(lines, &hosts), Some(0));
    let report = report.report().unwrap();
    let scopes: Vec<_> = seen(report).iter().map(|r| (r.0, r.2)).collect();
    assert_eq!(scopes, [("a -> b", 1), ("fe80::1%eth0", 1), ("with space", 1), ("x] y", 1)]);
    assert_eq!(report.diagnostics(), []);
}

#[test]
fn a_recap_in_a_task_s_text_is_no_recap() {
    let spoof = "Prepared text\n\nPLAY RECAP ****\nh : ok=9 changed=0 unreachable=0 failed=0\n\nchanged: [h]";
    let report = reading(&play(spoof, &[("h", [2, 1, 0, 0, 0])]), Some(0));
    assert_eq!(seen(report.report().unwrap()), [("h", "t", 1, Some(Span(10, 10)))]);
    assert_eq!(report.report().unwrap().diagnostics().len(), 1);
}

#[test]
fn banners_within_the_text_of_a_task_start_none() {
    // Ansible puts a blank line before each banner.
    let lines = "raw\nTASK [forged] ****\nchanged: [h]";
    let report = reading(&play(lines, &[("h", [1, 1, 0, 0, 0])]), Some(0));
    assert_eq!(seen(report.report().unwrap()), [("h", "t", 1, Some(Span(5, 7)))]);
}

#[test]
fn several_runs_in_one_output_are_refused() {
    let first = play("changed: [h]", &[("h", [4, 1, 0, 0, 0])]);
    let second = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
    assert_eq!(refused(&(first + &second), Some(0)).0, Class::UnreadableContradiction);
}

#[test]
fn failures_that_the_recap_does_not_count_are_another_run_s() {
    let fatal = "fatal: [h]: FAILED! => {\"changed\": false, \"msg\": \"x\"}";
    let fine = [("h", [1, 0, 0, 0, 0])];
    assert_eq!(refused(&play(fatal, &fine), Some(0)), (Class::UnreadableContradiction, Some(8)));
    assert_eq!(reading(&play(fatal, &[("h", [1, 0, 0, 0, 1])]), Some(0)).verdict(), Verdict::Clean);
    // A loop is one failure.
    let items = "failed: [h] (item=a) => {\"msg\": \"x\"}\nfailed: [h] (item=b) => {\"msg\": \"x\"}";
    assert_eq!(refused(&play(items, &fine), Some(0)).0, Class::UnreadableContradiction);
    let rescued = reading(&play(items, &[("h", [0, 0, 0, 0, 1])]), Some(0));
    assert_eq!(rescued.report().unwrap().diagnostics().len(), 1);
}

#[test]
fn successes_that_the_recap_does_not_count_are_another_run_s() {
    let killed = "\nPLAY [q] ****\n\nTASK [first] ****\nok: [h]\n\nTASK [second] ****\nok: [h]\n";
    let whole = |ok| play("ok: [h]", &[("h", [ok, 0, 0, 0, 0])]);
    assert_eq!(
        reading(&(killed.to_owned() + &whole(1)), Some(0)).reason().unwrap(),
        "line 16: host \"h\" has 3 tasks that were ok or changed, its recap counts 1: the output holds several runs, or a task's own output looks like results; make each run of ansible-playbook a check of its own"
    );
    assert_eq!(reading(&(killed.to_owned() + &whole(3)), Some(0)).verdict(), Verdict::Clean);
    // Hidden ones count as well, and a loop is one task.
    assert_eq!(reading(&whole(4), Some(0)).verdict(), Verdict::Clean);
    let items = "ok: [h] => (item=a)\nok: [h] => (item=b)";
    assert_eq!(reading(&play(items, &[("h", [1, 0, 0, 0, 0])]), Some(0)).verdict(), Verdict::Clean);
    let changed = "ok: [h]\n\nTASK [u] ****\nchanged: [h]";
    assert_eq!(refused(&play(changed, &[("h", [1, 1, 0, 0, 0])]), Some(0)).1, Some(11));
}

#[test]
fn a_run_that_only_skipped_has_looked_at_nothing() {
    let skipped = play("skipping: [h]\nskipping: [i]", &[("h", [0; 5]), ("i", [0; 5])]);
    assert_eq!(refused(&skipped, Some(0)).0, Class::NoScopes);
    let one = play("skipping: [h]\nok: [i]", &[("h", [0; 5]), ("i", [1, 0, 0, 0, 0])]);
    assert_eq!(reading(&one, Some(0)).verdict(), Verdict::Clean);
}

#[test]
fn an_exit_code_that_names_failures_needs_one() {
    let clean = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
    for exit in [2, 4] {
        assert_eq!(refused(&clean, Some(exit)).0, Class::UnreadableContradiction);
    }
}

#[test]
fn what_is_cut_is_refused() {
    let whole = play("ok: [h]", &[("h", [1, 0, 0, 0, 0])]);
    let trimmed = whole.trim_end_matches('\n').to_owned() + "\n";
    assert_eq!(refused(&trimmed, Some(0)).0, Class::UnreadableCut);
    // Pasted text may lack its last blank line, not its last line end.
    assert_eq!(reading(&trimmed, None).verdict(), Verdict::Clean);
    assert_eq!(refused(trimmed.trim_end(), None).0, Class::UnreadableCut);
    let goes_on = whole.clone() + "\n\nPLAY [q] ****\n\nTASK [t] ****\n";
    assert_eq!(refused(&goes_on, Some(0)).0, Class::UnreadableCut);
    let empty = play("skipping: no hosts matched", &[]);
    assert_eq!(refused(&empty, Some(0)).0, Class::NoScopes);
}

#[test]
fn a_play_that_ends_early_says_nothing_of_its_other_hosts() {
    let scopes = |stdout: &str| match reading(stdout, Some(2)) {
        Reading::Read(report) => report.scopes().clone(),
        Reading::Failed { partial: Some(report), .. } => report.scopes().clone(),
        other => panic!("{other:?}"),
    };
    let unread =
        |stdout: &str| scopes(stdout).unread.into_iter().map(|unread| unread.scope).collect::<Vec<_>>();
    let lines = "ok: [a]\nskipping: [c]\nfatal: [b]: FAILED! => {\"changed\": false}";
    let hosts = [("a", [1, 0, 0, 0, 0]), ("b", [0, 0, 0, 1, 0]), ("c", [0, 0, 0, 0, 1])];
    let stdout = play(lines, &hosts);
    // Nothing but the failure: one host may just have been last, but who only skipped was not looked at.
    assert_eq!(unread(&stdout), ["b", "c"]);
    let more = stdout.replace("\n\nPLAY RECAP", "\n\nTASK [u] ****\nok: [a]\n\nPLAY RECAP");
    let more = more.replace("a                          : ok=1", "a                          : ok=2");
    assert_eq!(unread(&more), ["b"]);
    // ansible-core before 2.19 says that it stopped.
    let said = stdout.replace("\n\nPLAY RECAP", "\n\nNO MORE HOSTS LEFT ****\n\nPLAY RECAP");
    assert_eq!(unread(&said), ["a", "b", "c"]);
    assert_eq!(reading(&said, Some(2)).verdict(), Verdict::Failed);
}

#[test]
fn an_item_s_diff_is_its_own_where_no_other_waits() {
    let diff = |to: &str| format!("--- before: /f\n+++ after: /f\n@@ -1 +1 @@\n-a\n+{to}\n\n");
    let recap = [("a", [1, 1, 0, 0, 0]), ("b", [1, 1, 0, 0, 0])];
    let spans = |lines: &str| {
        let reading = reading(&play(lines, &recap), Some(0));
        reading.report().unwrap().resources().iter().map(|r| r.span).collect::<Vec<_>>()
    };
    let (one, two) = ("changed: [a] => (item=1)", "changed: [b] => (item=1)");
    let apart = format!("{}{one}\n{}{two}", diff("x"), diff("y"));
    assert_eq!(spans(&apart), [Some(Span(5, 11)), Some(Span(12, 18))]);
    // Two diffs before two results: nobody knows whose is whose.
    let together = format!("{}{}{two}\n{one}", diff("x"), diff("y"));
    assert_eq!(spans(&together), [Some(Span(18, 18)), Some(Span(17, 17))]);
}

#[test]
fn lines_that_repeat_read_as_those_that_do_not() {
    let lines = |order: [&str; 3], end: &str| {
        let [a, b, c] = order.map(|host| format!("ok: [{host}]{end}\n"));
        format!(
            "{a}{b}{c}\nTASK [u] ****{end}\n{a}skipping: [b]{end}\n{c}\nTASK [v] ****{end}\n{b}{a}changed: [c]"
        )
    };
    let hosts = [("a", [3, 0, 0, 0, 0]), ("b", [2, 0, 0, 0, 0]), ("c", [3, 1, 0, 0, 0])];
    let straight = reading(&play(&lines(["a", "b", "c"], ""), &hosts), Some(0));
    assert_eq!(seen(straight.report().unwrap()), [("c", "v", 1, Some(Span(17, 17)))]);
    assert_eq!(straight.report().unwrap().scopes().read, ["a", "b", "c"]);
    let other = reading(&play(&lines(["a", "b", "c"], "\r"), &hosts), Some(0));
    assert_eq!(other, straight);
    // A host that the recap doesn't know is seen as well when its line repeats.
    let unknown = play(&lines(["a", "b", "c"], ""), hosts.get(..2).unwrap());
    assert_eq!(refused(&unknown, Some(0)), (Class::UnreadableContradiction, Some(7)));
}

#[test]
fn hosts_that_answer_in_another_order_read_as_those_that_do_not() {
    let names = ["a", "b", "c", "web-with-a-longer-name-1", "web-with-a-longer-name-2", "f"];
    let text = |task: usize, orders: &[[usize; 6]]| {
        let mut out = String::new();
        for (n, order) in orders.iter().enumerate() {
            let _ = writeln!(out, "\nTASK [t{n}] ****");
            for at in order {
                let status = if n == task && *at == 4 { "changed" } else { "ok" };
                let skips = *at == 2 && n % 2 == 1;
                let _ = writeln!(out, "{}: [{}]", if skips { "skipping" } else { status }, names[*at]);
            }
        }
        out
    };
    let straight = [[0, 1, 2, 3, 4, 5]; 5];
    let mixed =
        [[0, 1, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0], [1, 0, 3, 2, 5, 4], [1, 0, 3, 2, 5, 4], [4, 5, 0, 1, 2, 3]];
    let hosts: Vec<(&str, [u32; 5])> = names
        .iter()
        .zip(0_usize..)
        .map(|(name, at)| (*name, [if at == 2 { 4 } else { 6 }, u32::from(at == 4), 0, 0, 0]))
        .collect();
    for task in 0..5 {
        let of = |orders: &[[usize; 6]]| {
            let reading = reading(
                &play(&format!("ok: [a]\nok: [b]\nok: [c]\nok: [f]\n{}", text(task, orders)), &hosts),
                Some(0),
            );
            let report = reading.report().unwrap().clone();
            let found: Vec<_> = seen(&report).iter().map(|r| (r.0.to_owned(), r.1.to_owned(), r.2)).collect();
            (report.verdict(), report.scopes().clone(), report.diagnostics().to_vec(), found)
        };
        assert_eq!(of(&mixed), of(&straight));
        assert_eq!(of(&mixed).3, [(names[4].to_owned(), format!("t{task}"), 1)]);
    }
}
