use super::command::CommandLine;
use super::stderr::{error_words, failure, unfolded};
use super::*;
use crate::Class;

fn line(words: &str) -> Option<CommandLine> {
    command_line(&words.split(' ').collect::<Vec<_>>())
}

#[test]
fn the_command_line_tells_check_mode_and_playbooks() {
    let check = |playbooks| Some(CommandLine { check: true, lists: false, playbooks, module: None });
    assert_eq!(line("ansible-playbook -i hosts -vDC site.yml two.yml"), check(2));
    assert_eq!(line("timeout 60 ansible-playbook --check -e a=b -l web site.yml"), check(1));
    assert_eq!(line("ansible-playbook --che --limit=web --forks 5 -- a.yml"), check(1));
    assert_eq!(line("ansible-playbook -iC -tCD site.yml -CD"), check(1));
    assert_eq!(line("ansible-playbook --inv hosts --become --diff --check site.yml"), check(1));
    assert_eq!(
        line("ansible-playbook -iC -t C --connection local site.yml"),
        Some(CommandLine { check: false, lists: false, playbooks: 1, module: None })
    );
    assert_eq!(line("ansible -m ping all"), None);
    let ad_hoc = |words: &str| ad_hoc(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(ad_hoc("ansible -i h web -bCm copy -a x"), Some((true, "copy".to_owned())));
    assert_eq!(ad_hoc("ansible web -mfile --args=-C -a --check"), Some((false, "file".to_owned())));
    assert_eq!(ad_hoc("ansible web --module-name=a.b.c --check"), Some((true, "a.b.c".to_owned())));
    assert_eq!(ad_hoc("ansible web --module user -D"), Some((false, "user".to_owned())));
    assert_eq!(ad_hoc("ansible web -a uptime"), Some((false, "command".to_owned())));
    assert_eq!(ad_hoc("ansible web --list-hosts"), None);
    assert_eq!(ad_hoc("ansible web --module-path lib -m ping"), Some((false, "ping".to_owned())));
    assert_eq!(ad_hoc("ansible web --module-path lib"), Some((false, "command".to_owned())));
    assert_eq!(line("ansible-playbook --diff --check one.yml two.yml"), check(2));
    assert_eq!(line("ansible-playbook --module-path lib --check site.yml"), check(1));
    assert!(!runs(&["ansible-playbook", "--syntax-check", "site.yml"]));
    assert!(!runs(&["ansible-playbook", "--list-tasks", "site.yml"]));
    assert!(runs(&["sudo", "/usr/bin/ansible-playbook", "site.yml", "--check"]));
}

fn settled(argv: &[&str], exit: Option<i32>, recap: Stats, stderr: &str) -> crate::Verdict {
    let fine = Stats { ok: 1, ..Stats::default() };
    let recaps = vec![Recap::from([("h".to_owned(), recap), ("i".to_owned(), fine)])];
    let stdout = Stream::whole(b"");
    let input = Input { argv, exit, stdout, stderr: Stream::whole(stderr.as_bytes()), files: &[] };
    let parsed = settle(&input, Run { recaps, ..Run::default() }).unwrap();
    parsed.failure.clone().map_or_else(
        || crate::report::DriftReport::new(parsed).unwrap().verdict(),
        |_| crate::Verdict::Failed,
    )
}

#[test]
fn a_run_of_a_script_that_ended_before_any_host_is_a_failure() {
    use crate::Verdict::{Clean, Failed, Partial};
    let (script, own) =
        (["sh", "-c", "ansible-playbook a.yml; ansible-playbook b.yml"], ["ansible-playbook", "b.yml"]);
    let fine = Stats { ok: 1, ..Stats::default() };
    for error in
        ["ERROR! the playbook: a.yml could not be found\n", "x\n[ERROR]: the role 'x' was not found\n"]
    {
        assert_eq!(settled(&script, Some(0), fine, error), Failed);
        assert_eq!(settled(&[], None, fine, error), Failed);
        // Its own code tells more, and so does a recap with a failed host.
        assert_eq!(settled(&own, Some(0), fine, error), Clean);
        let lost = Stats { failed: 1, ..fine };
        assert_eq!(settled(&script, Some(2), lost, error), Partial);
    }
    for other in ["", "[WARNING]: x\n", "[ERROR]: Task failed: x\n", "ERROR: pip's dependency resolver\n"] {
        assert_eq!(settled(&script, Some(0), fine, other), Clean, "{other}");
    }
}

/// The sources that these streams call lost.
fn lost(stdout: &str, stderr: &str) -> Vec<String> {
    let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
    let input = Input { argv: &[], exit: Some(0), stdout, stderr, files: &[] };
    Warnings::of(&input).lost_sources().map(|unread| unread.scope).collect()
}

#[test]
fn an_inventory_source_that_was_not_read_is_unread() {
    let unread = |stderr: &str| lost("", stderr);
    let whole = "[WARNING]: Unable to parse /srv/a b.yml as an inventory source\n";
    assert_eq!(unread(whole), ["inventory /srv/a b.yml"]);
    let broken = "\u{1b}[1;35m[WARNING]: Unable to parse /srv/aws_ec2.yml as an\u{1b}[0m\ninventory source\n";
    assert_eq!(
        unread(&format!("{whole}{broken}{whole}")),
        ["inventory /srv/a b.yml", "inventory /srv/aws_ec2.yml"]
    );
    assert_eq!(unread("[WARNING]: No inventory was parsed, only implicit localhost is available\n"), [""; 0]);
    // `2>&1`: among the results, and behind whatever else is said of the source.
    for other in
        ["", "\nPLAY [p] ***\n", "{\n", "h | SUCCESS => {\n", "3     greeting: {{ name | default(\"x\") }}\n"]
    {
        assert_eq!(lost(&format!("{other}{broken}"), whole), unread(&format!("{whole}{broken}")), "{other}");
    }
    // What a file or a task holds stands behind something.
    for other in ["+", "-", "ok: [h] => "] {
        assert_eq!(lost(&format!("{other}{whole}"), ""), [""; 0]);
    }
    let fine = Stats { ok: 1, ..Stats::default() };
    assert_eq!(settled(&["ansible-playbook", "a.yml"], Some(0), fine, whole), crate::Verdict::Partial);
}

#[test]
fn warnings_stay_beside_results_and_beside_failures() {
    let warning = "[WARNING]: Could not match supplied host pattern, ignoring: web\n";
    let remarks = |exit, recaps, stderr: &str| {
        let (stdout, stderr) = (Stream::whole(b""), Stream::whole(stderr.as_bytes()));
        let input = Input { argv: &[], exit, stdout, stderr, files: &[] };
        let parsed = settle(&input, Run { recaps, ..Run::default() }).unwrap();
        (parsed.failure.is_some(), parsed.diagnostics)
    };
    let fine = Recap::from([("h".to_owned(), Stats { ok: 1, ..Stats::default() })]);
    let remark = vec![Diagnostic::warning("Could not match supplied host pattern, ignoring: web")];
    assert_eq!(remarks(Some(0), vec![fine], warning), (false, remark.clone()));
    assert_eq!(remarks(Some(1), vec![], &format!("{warning}ERROR! no such file\n")), (true, remark));
}

#[test]
fn a_folded_warning_is_read_as_one_line() {
    let unread = |stderr: &str| lost("", stderr);
    let end = "as an inventory source";
    let own_line = format!(
        "[WARNING]: Unable to parse\n/srv/infrastructure/ansible/inventories/production-eu-\ncentral-1/dynamic/netbox_inventory.yml {end}\n"
    );
    let whole = "inventory /srv/infrastructure/ansible/inventories/production-eu-central-1/dynamic/netbox_inventory.yml";
    assert_eq!(unread(&own_line), [whole]);
    assert_eq!(unread(&own_line.replace('\n', "\r\n")), [whole]);
    assert_eq!(
        unread(&format!(
            "[WARNING]: Unable to parse /srv/inv/production-\neu/aws_ec2.yml {end}\nother words\n"
        )),
        ["inventory /srv/inv/production-eu/aws_ec2.yml"]
    );
    // Longer than a line, and a name with a space in it.
    let (long, first) = ("x".repeat(90), "y".repeat(52));
    let split = format!("[WARNING]: Unable to parse {}\n{} {end}\n", &long[..52], &long[52..]);
    assert_eq!(unread(&split), [format!("inventory {long}")]);
    let apart = format!("[WARNING]: Unable to parse {first}\nb.yml {end}\n");
    assert_eq!(unread(&apart), [format!("inventory {first} b.yml")]);
    let cut = "[WARNING]: Unable to parse\n/srv/a\n[WARNING]: Unable to parse /srv/b as an\n\nx\n";
    assert_eq!(unread(cut), ["inventory /srv/a", "inventory /srv/b"]);
    let words = |stderr: &str| unfolded(stderr.as_bytes());
    assert_eq!(
        words("[WARNING]: Could not match supplied host pattern, ignoring: web\nother words\n"),
        ["Could not match supplied host pattern, ignoring: web"]
    );
    let fine = Stats { ok: 1, ..Stats::default() };
    assert_eq!(settled(&["ansible-playbook", "a.yml"], Some(0), fine, &own_line), crate::Verdict::Partial);
}

#[test]
fn forgiven_failures_are_a_remark() {
    let remark = |hosts: &[(&str, u32, u32)]| {
        let stats = |ignored, rescued| Stats {
            ok: 1,
            ignored: Some(ignored),
            rescued: Some(rescued),
            ..Stats::default()
        };
        let recap = hosts.iter().map(|(host, i, r)| ((*host).to_owned(), stats(*i, *r))).collect();
        forgiven(&recap).map(|remark| remark.summary)
    };
    assert_eq!(remark(&[("a", 0, 0)]), None);
    assert_eq!(
        remark(&[("a", 0, 0), ("b", 1, 0)]).unwrap(),
        "1 failure was ignored or rescued on b: what those tasks would have changed isn't known"
    );
    assert_eq!(
        remark(&[("a", 2, 0), ("b", 0, 1), ("c", 1, 1), ("d", 1, 0), ("e", 0, 3)]).unwrap(),
        "9 failures were ignored or rescued on a, b, c and 2 more: what those tasks would have changed isn't known"
    );
}

#[test]
fn words_of_tasks_are_no_failure_of_the_run() {
    assert_eq!(error_words(b"[ERROR]: Task failed: Action failed: x"), None);
    assert_eq!(error_words(b"fatal: [h]: FAILED! => {}"), None);
    assert_eq!(error_words(b"ERROR! the playbook: x could not be found").unwrap().len(), 34);
}

#[test]
fn the_tool_s_own_error_is_the_failure_and_has_a_class() {
    let failure = |stdout: &str, stderr: &str| {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
        let failure = failure(&Input { argv: &[], exit: Some(1), stdout, stderr, files: &[] })?;
        Some((failure.class, failure.summary))
    };
    let of = |class, summary: &str| Some((class, summary.to_owned()));
    assert_eq!(failure("", "x\nERROR! no such file\n"), of(Class::Exit, "no such file"));
    // `2>&1`: only what stands before any play is ansible's own.
    assert_eq!(failure("x\nERROR! no such file\n", ""), of(Class::Exit, "no such file"));
    assert_eq!(failure("\nPLAY [p] ***\nERROR! no such file\n", ""), None);
    for (summary, class) in [
        ("Attempting to decrypt but no vault secrets found", Class::Auth),
        ("Decryption failed: no password", Class::Auth),
        ("The vault password file was not found", Class::Auth),
        ("no role vault", Class::Exit),
        ("no secrets", Class::Exit),
    ] {
        assert_eq!(failure("", &format!("ERROR! {summary}\n")), of(class, summary), "{summary}");
    }
}

#[test]
fn the_version_stands_in_the_first_line_of_a_verbose_run() {
    assert_eq!(version(b"ansible-playbook [core 2.20.10]\n x").unwrap(), "2.20.10");
    assert_eq!(version(b"ansible-playbook 2.9.27\n").unwrap(), "2.9.27");
    assert_eq!(version(b"\nPLAY [x] ***\n"), None);
}

#[test]
fn a_later_recap_that_counts_less_is_another_run_s() {
    let counted = Stats { ok: 3, changed: 2, failed: 1, unreachable: 1, line: Some(7), ..Stats::default() };
    let after = |later: Stats| {
        let recaps = [counted, later].map(|stats| Recap::from([("h".to_owned(), stats)]));
        cumulative(recaps.to_vec()).map(|last| last.unwrap()["h"])
    };
    let more = Stats { ok: 4, changed: 3, failed: 2, unreachable: 2, ..counted };
    assert_eq!((after(counted), after(more)), (Ok(counted), Ok(more)));
    for less in [
        Stats { ok: 2, ..more },
        Stats { changed: 1, ..more },
        Stats { failed: 0, ..more },
        Stats { unreachable: 0, ..more },
    ] {
        assert_eq!(
            after(less).unwrap_err().to_string(),
            "line 7: a later recap counts less for host \"h\": the output holds several runs; make each run of ansible-playbook a check of its own"
        );
    }
    let other = Recap::from([("i".to_owned(), more)]);
    assert!(cumulative(vec![Recap::from([("h".to_owned(), counted)]), other]).is_err());
    assert_eq!(cumulative(vec![]), Ok(None));
}

#[test]
fn a_host_that_the_recap_calls_lost_is_unread() {
    let unread = |stats, unreachable: &[&str]| {
        let recap = Recap::from([("h".to_owned(), stats)]);
        let unreachable = unreachable.iter().map(ToString::to_string).collect();
        scopes(&recap, &unreachable).unread.first().map(|unread| unread.reason)
    };
    let fine = Stats { ok: 1, ..Stats::default() };
    assert_eq!(unread(fine, &[]), None);
    assert_eq!(unread(Stats { unreachable: 1, ..fine }, &[]), Some(UnreadReason::Unreachable));
    assert_eq!(unread(fine, &["h"]), Some(UnreadReason::Unreachable));
    assert_eq!(unread(Stats { failed: 1, ..fine }, &[]), Some(UnreadReason::Failed));
    assert_eq!(unread(Stats { failed: 1, ..fine }, &["h"]), Some(UnreadReason::Unreachable));
}

/// What [`account`] lists of the changes of a host, and its remarks.
fn accounted(stats: Stats, findings: &[Finding]) -> Result<(Vec<String>, Vec<String>), String> {
    let names = ["a", "b"].map(str::to_owned);
    let tasks = Tasks::new(&names, findings.iter().map(|finding| finding.task));
    let mut parsed = Parsed::new("ansible");
    account("h", &stats, findings.to_vec(), &tasks, &mut parsed).map_err(|error| error.to_string())?;
    let remarks = parsed.diagnostics.into_iter().map(|remark| remark.summary).collect();
    Ok((parsed.resources.into_iter().map(|resource| resource.name).collect(), remarks))
}

/// A change that task `task` shows.
fn shown(task: usize) -> Finding {
    Finding {
        host: 0,
        task,
        kind: String::new(),
        span: Some(Span(9, 9)),
        failed: false,
        ignored: false,
        shown: true,
        play: None,
        attributes: None,
    }
}

#[test]
fn changes_that_a_failed_loop_shows_are_not_counted_and_are_listed() {
    let fine = Stats { ok: 1, rescued: Some(0), ignored: Some(0), ..Stats::default() };
    let failed = Finding { failed: true, ..shown(0) };
    let listed = Ok((vec!["a".to_owned()], vec![]));
    for excused in [
        Stats { failed: 1, ..fine },
        Stats { unreachable: 1, ..fine },
        Stats { rescued: Some(1), ..fine },
        Stats { rescued: None, ..fine },
    ] {
        assert_eq!(accounted(excused, std::slice::from_ref(&failed)), listed, "{excused:?}");
    }
    assert_eq!(
        accounted(fine, std::slice::from_ref(&failed)),
        Err("line 9: host \"h\" has 1 changed tasks, its recap counts none".to_owned())
    );
    // One that shows no change is none.
    assert_eq!(accounted(fine, &[Finding { shown: false, ..failed.clone() }]), Ok((vec![], vec![])));
    // An ignored one counts where a count is left for it, and nothing is said of it where none is.
    let ignored = Finding { ignored: true, shown: false, ..failed };
    let one = Stats { changed: 1, ..fine };
    assert_eq!(accounted(one, std::slice::from_ref(&ignored)), listed);
    assert_eq!(accounted(one, &[ignored, shown(0)]), listed);
}

#[test]
fn loops_of_one_name_merge_and_others_don_t() {
    let looped = |task| Finding { play: Some(1), ..shown(task) };
    let fine = Stats { ok: 1, changed: 1, rescued: Some(0), ignored: Some(0), ..Stats::default() };
    assert_eq!(accounted(fine, &[looped(0), looped(0)]), Ok((vec!["a".to_owned()], vec![])));
    assert_eq!(
        accounted(fine, &[looped(1), looped(0)]),
        Ok((
            vec!["a".to_owned(), "b".to_owned()],
            vec!["h: recap says changed=1, result lines show 2".to_owned()]
        ))
    );
}
