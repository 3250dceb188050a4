use crate::{Class, DriftReport, File, Input, Reading, Stream, Verdict, by_name, read};

const ALL: &[&str] = &["terragrunt", "run", "--all", "--", "plan", "-detailed-exitcode"];
const PLAIN: &[&str] = &["terragrunt", "run", "--all", "--", "plan"];
const NOTHING: &str = "No changes. Your infrastructure matches the configuration.\n";
const PLAN: &str = "Terraform will perform the following actions:\n\n  # module.m[0].t.n will be created\n  + resource \"t\" \"n\" {\n    }\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n";

fn run(argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
    read(by_name("terraform").unwrap(), None, &Input { argv, exit, stdout, stderr, files: &[] })
}

fn of(level: &str, unit: &str, text: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!("[{unit}] ") };
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.fold(String::new(), |all, line| all + &format!("10:00:00.000 {level} {unit}tofu: {line}\n"))
}

fn out(unit: &str, text: &str) -> String {
    of("STDOUT", unit, text)
}

fn summary(counts: &[(&str, u64)]) -> String {
    let total: u64 = counts.iter().map(|(_, n)| n).sum();
    let lines = counts.iter().fold(String::new(), |all, (label, n)| all + &format!("   {label}    {n}\n"));
    format!("\n❯❯ Run Summary  {total} units  1ms\n   ────\n{lines}\n")
}

/// Verdict, scopes read, scopes unread, resources as scope and name.
type View = (Verdict, Vec<String>, Vec<String>, Vec<(String, String)>);

fn view(reading: &Reading) -> View {
    let report = reading.report();
    let scopes = report.map(|report| report.scopes().clone()).unwrap_or_default();
    let resources = report.map(DriftReport::resources).unwrap_or_default();
    (
        reading.verdict(),
        scopes.read,
        scopes.unread.into_iter().map(|unread| unread.scope).collect(),
        resources.iter().map(|r| (r.scope.clone(), r.name.clone())).collect(),
    )
}

fn is(verdict: Verdict, read: &[&str], unread: &[&str], resources: &[(&str, &str)]) -> View {
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let resources = resources.iter().map(|(scope, name)| ((*scope).to_owned(), (*name).to_owned())).collect();
    (verdict, all(read), all(unread), resources)
}

#[test]
fn a_unit_is_a_scope_and_its_modules_stand_behind_two_slashes() {
    let text = out("b", NOTHING) + &out("a/x", PLAN);
    let drifted = is(Verdict::Drifted, &["a/x", "b"], &[], &[("a/x//module.m[0]", "module.m[0].t.n")]);
    assert_eq!(view(&run(ALL, Some(2), &text, "")), drifted);
    assert_eq!(view(&run(&[], None, &text, "")), drifted);
    // A code that says otherwise: the plan counts, and a warning stands beside it.
    assert_eq!(view(&run(ALL, Some(0), &text, "")), drifted);
    let clean = out("b", NOTHING) + &out("a", NOTHING);
    assert_eq!(view(&run(ALL, Some(0), &clean, "")), is(Verdict::Clean, &["a", "b"], &[], &[]));
    // Of which one is missing?
    assert_eq!(run(ALL, Some(2), &clean, "").class(), Some(Class::UnreadableContradiction));
    assert_eq!(run(ALL, Some(2), &out("b", NOTHING), "").class(), Some(Class::UnreadableContradiction));
    let alone = out("", PLAN);
    let argv = ["terragrunt", "plan", "-detailed-exitcode"];
    assert_eq!(
        view(&run(&argv, Some(2), &alone, "")),
        is(Verdict::Drifted, &[], &[], &[("module.m[0]", "module.m[0].t.n")])
    );
    assert_eq!(
        view(&run(ALL, Some(2), &(alone + &out("b", NOTHING)), "")),
        is(Verdict::Drifted, &[".", "b"], &[], &[(".//module.m[0]", "module.m[0].t.n")])
    );
}

#[test]
fn a_unit_that_failed_is_unread_and_never_forgotten() {
    let text = out("a", PLAN) + &out("b", NOTHING);
    let error = of("STDERR", "c", "╷\n│ Error: dial tcp: connection refused\n│\n╵\n");
    let partial = is(Verdict::Partial, &["a", "b"], &["c"], &[("a//module.m[0]", "module.m[0].t.n")]);
    let reading = run(ALL, Some(1), &text, &error);
    assert_eq!((view(&reading), reading.class()), (partial.clone(), Some(Class::Unreachable)));
    assert_eq!(view(&run(PLAIN, Some(1), &text, &error)), partial);
    let own =
        "10:00:00.000 ERROR  [c] tofu invocation failed in ./c\n10:00:00.000 ERROR  error occurred:\n\n* x\n";
    assert_eq!(view(&run(ALL, Some(1), &text, own)), partial);
    assert_eq!(run(ALL, Some(1), &text, own).class(), Some(Class::ScopeFailed));
    // A unit that had printed its plan before it failed says nothing certain.
    let own = own.replace("[c]", "[a]");
    assert_eq!(view(&run(ALL, Some(1), &text, &own)), is(Verdict::Partial, &["b"], &["a"], &[]));
    // A plan without an end, with a code that says that something failed, and with one that doesn't.
    let cut = out("a", PLAN) + &out("b", "t.n: Refreshing state... [id=x]\n");
    let partial = is(Verdict::Partial, &["a"], &["b"], &[("a//module.m[0]", "module.m[0].t.n")]);
    assert_eq!(view(&run(ALL, Some(1), &cut, "")), partial);
    for exit in [Some(0), Some(2), None] {
        assert_eq!(run(ALL, exit, &cut, "").class(), Some(Class::UnreadableCut));
    }
    // Nobody says which.
    for (exit, argv) in [(1, ALL), (1, PLAIN), (7, ALL)] {
        let reading = run(argv, Some(exit), &text, "");
        assert_eq!((reading.verdict(), reading.class()), (Verdict::Failed, Some(Class::Exit)), "{exit}");
    }
    assert_eq!(run(ALL, Some(137), &text, &error).verdict(), Verdict::Failed);
    // The flag can stand in Terragrunt's configuration.
    assert_eq!(run(PLAIN, Some(2), &text, "").verdict(), Verdict::Drifted);
    let one = out("", NOTHING);
    assert_eq!(run(&["terragrunt", "plan"], Some(2), &one, "").verdict(), Verdict::Unreadable);
    assert_eq!(
        run(&["terragrunt", "plan", "-detailed-exitcode"], Some(2), &one, "").verdict(),
        Verdict::Clean
    );
    // No command line tells whether the code is the plan's own.
    assert_eq!(run(&[], Some(2), &one, "").class(), Some(Class::UnreadableContradiction));
    // All of them.
    let locked = of("STDERR", "a", "Error: Error acquiring the state lock\n") + &error;
    for stdout in [String::new(), summary(&[("Failed", 2)])] {
        let reading = run(ALL, Some(1), &stdout, &locked);
        assert_eq!(
            (view(&reading), reading.class()),
            (is(Verdict::Failed, &[], &["a", "c"], &[]), Some(Class::StateLock))
        );
    }
    // Terragrunt's own code: an error that it ignored, and one that it got over.
    let ignored = is(Verdict::Partial, &["a", "b"], &["c"], &[("a//module.m[0]", "module.m[0].t.n")]);
    assert_eq!(view(&run(ALL, Some(2), &text, &error)), ignored);
    let both = text.clone() + &summary(&[("Succeeded", 3)]);
    assert_eq!(view(&run(ALL, Some(2), &both, &error)), ignored);
    let clean = out("a", NOTHING) + &out("b", NOTHING);
    for argv in [ALL, PLAIN] {
        assert_eq!(view(&run(argv, Some(0), &clean, &error)), is(Verdict::Partial, &["a", "b"], &["c"], &[]));
    }
    let again = text.clone() + &out("c", NOTHING);
    assert_eq!(run(ALL, Some(2), &again, &error).verdict(), Verdict::Drifted);
    // One that ends the same is another unit: its plan excuses nobody.
    let other = clean + &out("prod/c", NOTHING);
    assert_eq!(
        view(&run(ALL, Some(0), &other, &error)),
        is(Verdict::Partial, &["a", "b", "prod/c"], &["c"], &[])
    );
}

#[test]
fn a_unit_has_one_name_in_two_logs_and_the_folder_above_is_none() {
    let json = |level: &str, unit: &str, text: &str| {
        serde_json::json!({"level": level, "working-dir": unit, "tf-path": "tofu", "msg": text}).to_string()
            + "\n"
    };
    let text = json("stdout", "/srv/live/a", NOTHING) + &json("stdout", "/srv/live/b", NOTHING);
    let error = json("stderr", "/srv/live/c", "Error: x\n") + &json("error", "/srv/live", "error occurred");
    let partial = is(Verdict::Partial, &["/srv/live/a", "/srv/live/b"], &["/srv/live/c"], &[]);
    assert_eq!(view(&run(ALL, Some(1), &text, &error)), partial);
    let counted = "\n❯❯ Run Summary  3 units  1ms\n   ────\n   Succeeded (2)\n      a .... 1ms\n      b .... 1ms\n   Failed (1)\n      c .... 1ms\n\n";
    assert_eq!(view(&run(ALL, Some(1), &(text + counted), &error)), partial);
    // Nothing but the summary.
    let (_, failed) = counted.split_once("   Failed").unwrap();
    let failed = format!("\n❯❯ Run Summary  1 units  1ms\n   ────\n   Failed{failed}");
    assert_eq!(view(&run(ALL, Some(1), &failed, "")), is(Verdict::Failed, &[], &["c"], &[]));
}

#[test]
fn a_run_that_failed_is_told_by_its_log() {
    let error = of("STDERR", "c", "Error: dial tcp: connection refused\n");
    let told = |argv, exit, stdout: &str, stderr: &str| {
        let reading = run(argv, exit, stdout, stderr);
        (reading.verdict(), reading.class(), reading.reason())
    };
    let failed = |class, words: &str| (Verdict::Failed, Some(class), Some(words.to_owned()));
    let plan = &["terragrunt", "plan"][..];
    for stdout in ["", NOTHING] {
        let unreachable = failed(Class::Unreachable, "dial tcp: connection refused");
        assert_eq!(told(plan, Some(1), stdout, &error), unreachable, "{stdout}");
        let nobody = failed(Class::Exit, "exit code 1: a unit failed, and nothing says which");
        assert_eq!(told(plan, Some(1), stdout, ""), nobody, "{stdout}");
    }
    // An error of a script beside the plans counts, one beside Terragrunt's own code doesn't.
    let (clean, raw) = (out("a", NOTHING) + &out("b", NOTHING), "\nError: no such host\n");
    for (argv, exit) in [(&["./plan.sh"][..], Some(0)), (&[], None), (ALL, None)] {
        assert_eq!(told(argv, exit, &clean, raw), failed(Class::Unreachable, "no such host"), "{argv:?}");
    }
    assert_eq!(told(ALL, Some(0), &clean, raw), (Verdict::Clean, None, None));
}

#[test]
fn remarks_and_the_tool_are_those_of_the_units() {
    let text = out("a", &PLAN.replace("Terraform will", "OpenTofu will")) + &out("b", NOTHING);
    let error = of("STDERR", "c", "Error: x\n");
    let of = |counts: &[(&str, u64)]| {
        let reading = run(ALL, Some(1), &(text.clone() + &summary(counts)), &error);
        let report = reading.report().unwrap();
        assert_eq!(report.tool().name, "opentofu");
        report.diagnostics().iter().map(|remark| remark.summary.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&[("Succeeded", 2), ("Failed", 1)]), ["c: x"]);
    assert_eq!(
        of(&[("Succeeded", 2), ("Failed", 2)]),
        ["c: x", "the summary counts 2 units that failed, of which 1 are named"]
    );
}

#[test]
fn the_summary_counts_what_was_read() {
    let text = out("a", NOTHING) + &out("b", NOTHING);
    let class = |argv, exit, text: &str, counts: &[(&str, u64)]| {
        let reading = run(argv, exit, &(text.to_owned() + &summary(counts)), "");
        (reading.verdict(), reading.class())
    };
    assert_eq!(class(PLAIN, Some(0), &text, &[("Succeeded", 2)]), (Verdict::Clean, None));
    assert_eq!(class(PLAIN, Some(0), &text, &[("Succeeded", 2), ("Excluded", 3)]), (Verdict::Clean, None));
    let contradiction = (Verdict::Unreadable, Some(Class::UnreadableContradiction));
    assert_eq!(class(PLAIN, Some(0), &text, &[("Succeeded", 3)]), contradiction);
    assert_eq!(class(PLAIN, Some(0), &text, &[("Succeeded", 1)]), contradiction);
    assert_eq!(class(PLAIN, Some(0), NOTHING, &[("Succeeded", 2)]), contradiction);
    assert_eq!(class(PLAIN, Some(0), NOTHING, &[("Succeeded", 1)]), (Verdict::Clean, None));
    let failed = (Verdict::Failed, Some(Class::Exit));
    for exit in [Some(0), Some(1), None] {
        assert_eq!(class(PLAIN, exit, &text, &[("Succeeded", 2), ("Failed", 1)]), failed, "{exit:?}");
        assert_eq!(class(PLAIN, exit, NOTHING, &[("Succeeded", 1), ("Early Exits", 1)]), failed, "{exit:?}");
    }
    let named = "\n❯❯ Run Summary  3 units  1ms\n   ────\n   Succeeded (2)\n      a .... 1ms\n      b .... 1ms\n   Failed (1)\n      c/d .... 1ms\n\n";
    assert_eq!(
        view(&run(PLAIN, Some(1), &(text.clone() + named), "")),
        is(Verdict::Partial, &["a", "b"], &["c/d"], &[])
    );
}

#[test]
fn plans_without_names_are_not_mixed() {
    for text in
        [format!("{NOTHING}{NOTHING}"), format!("{PLAN}{NOTHING}"), format!("{NOTHING}{}", out("a", NOTHING))]
    {
        assert_eq!(run(PLAIN, Some(0), &text, "").verdict(), Verdict::Unreadable, "{text}");
    }
    let Reading::Unreadable(error) = run(PLAIN, Some(0), &format!("{NOTHING}{NOTHING}"), "") else {
        panic!()
    };
    assert!(error.hint.unwrap().contains("--json-out-dir"));
    // Advice for Terragrunt is for Terragrunt, and for what it is about.
    for (argv, text) in [
        (&["terraform", "plan"][..], format!("{NOTHING}{NOTHING}")),
        (&["terragrunt", "plan"], PLAN.replace("1 to add", "2 to add")),
        (&["terragrunt", "plan"], "t.n: Refreshing state... [id=x]\n".to_owned()),
    ] {
        let Reading::Unreadable(error) = run(argv, Some(0), &text, "") else { panic!("{text}") };
        assert!(!error.hint.unwrap_or_default().contains("--json-out-dir"), "{text}");
    }
    // Between the lines of one plan those of another, of one unit.
    let twice = out("a", PLAN) + &out("a", NOTHING);
    assert_eq!(run(PLAIN, Some(0), &twice, "").class(), Some(Class::UnreadableContradiction));
    let stream =
        r#"{"@level":"info","@module":"terraform.ui","terraform":"1.11.4","type":"version","ui":"1.2"}"#;
    let two = format!("{stream}\n{stream}\n");
    let argv = ["terragrunt", "run", "--all", "--", "plan", "-json"];
    let input = Input {
        argv: &argv,
        exit: Some(0),
        stdout: Stream::whole(two.as_bytes()),
        stderr: Stream::whole(b""),
        files: &[],
    };
    let Reading::Unreadable(error) = read(by_name("terraform-json").unwrap(), None, &input) else { panic!() };
    assert!(error.hint.unwrap().contains("--json-out-dir"));
}

#[test]
fn units_in_two_formats_of_the_log_are_not_half_read() {
    let record = format!("time=2026-05-01T10:00:00Z level=stdout prefix=b tf-path=tofu msg={NOTHING}");
    let brackets = PLAN.lines().fold(String::new(), |all, line| all + &format!("[/srv/live/a] {line}\n"));
    for (text, line) in [(format!("{brackets}{record}"), 1), (format!("{record}{brackets}"), 2)] {
        for argv in [PLAIN, &["sh", "-c", "x"]] {
            let Reading::Unreadable(error) = run(argv, Some(0), &text, "") else { panic!("{text}") };
            assert_eq!((error.class, error.line), (Class::UnreadableFormat, Some(line)));
        }
    }
}

#[test]
fn files_are_units_and_one_that_is_missing_is_missed() {
    let plan = |action: &str| {
        format!(
            r#"{{"format_version":"1.2","planned_values":{{}},"resource_changes":[{{"address":"t.a","type":"t","change":{{"actions":["{action}"]}}}}]}}"#
        )
    };
    let (none, update) = (plan("no-op"), plan("update"));
    let errored = none.replace("\"planned_values\"", "\"errored\":true,\"planned_values\"");
    let argv = ["terragrunt", "run", "--all", "--json-out-dir", "./out", "--", "plan", "-detailed-exitcode"];
    let of = |exit, stdout: &str, stderr: &str, files: &[(&str, &str)]| {
        let files: Vec<File<'_>> =
            files.iter().map(|(path, text)| File { path, bytes: text.as_bytes() }).collect();
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
        view(&read(
            by_name("terraform-show").unwrap(),
            None,
            &Input { argv: &argv, exit, stdout, stderr, files: &files },
        ))
    };
    let two = [("out/a/tfplan.json", &*none), ("out/live/b/tfplan.json", &*update)];
    let both = out("a", NOTHING) + &out("live/b", PLAN);
    let drifted = is(Verdict::Drifted, &["a", "live/b"], &[], &[("live/b", "t.a")]);
    assert_eq!(of(Some(2), "", "", &two), drifted);
    assert_eq!(of(Some(0), &both, "", &two), drifted);
    assert_eq!(of(Some(2), &(both.clone() + &summary(&[("Succeeded", 2)])), "", &two), drifted);
    assert_eq!(of(Some(2), "", "", &two[..1]).0, Verdict::Unreadable);
    assert_eq!(of(Some(0), "", "", &two[..1]), is(Verdict::Clean, &["a"], &[], &[]));
    assert_eq!(of(Some(0), &both, "", &two[..1]).0, Verdict::Unreadable);
    assert_eq!(of(Some(0), &summary(&[("Succeeded", 2)]), "", &two[..1]).0, Verdict::Unreadable);
    // Of three that were printed one has no file.
    let three = both.clone() + &out("z", PLAN);
    assert_eq!(of(Some(0), &three, "", &two).0, Verdict::Unreadable);
    let all = [two[0], two[1], ("out/z/tfplan.json", &*none)];
    assert_eq!(
        of(Some(0), &three, "", &all),
        is(Verdict::Drifted, &["a", "live/b", "z"], &[], &[("live/b", "t.a")])
    );
    // Whole paths, below one folder at most.
    let (vpc, prod_vpc) = (("out/vpc/tfplan.json", &*none), ("out/prod/vpc/tfplan.json", &*none));
    let both_vpcs = out("prod/vpc", NOTHING) + &out("vpc", PLAN);
    let absolute = out("/srv/prod/vpc", NOTHING) + &out("/srv/vpc", NOTHING);
    for text in [&both_vpcs, &absolute] {
        assert_eq!(of(Some(0), text, "", &[prod_vpc]).0, Verdict::Unreadable);
        assert_eq!(of(Some(0), text, "", &[vpc]).0, Verdict::Unreadable);
        assert_eq!(of(Some(0), text, "", &[vpc, prod_vpc]).0, Verdict::Clean);
        let elsewhere = [("x/prod/vpc/tfplan.json", &*none), ("x/vpc/tfplan.json", &*none)];
        let want = if text == &absolute { Verdict::Unreadable } else { Verdict::Clean };
        assert_eq!(of(Some(0), text, "", &elsewhere).0, want);
    }
    assert_eq!(of(Some(0), &out("vpc", PLAN), "", &[prod_vpc]).0, Verdict::Unreadable);
    let error = super::tests::of("STDERR", "c", "Error: x\n");
    assert_eq!(
        of(Some(1), &both, &error, &two),
        is(Verdict::Partial, &["a", "live/b"], &["c"], &[("live/b", "t.a")])
    );
    assert_eq!(of(Some(1), &three, &error, &two).0, Verdict::Partial);
    assert_eq!(of(Some(1), &both, "", &two).0, Verdict::Failed);
    let bad = [two[1], ("out/a/tfplan.json", &*errored)];
    assert_eq!(of(Some(1), "", "", &bad), is(Verdict::Partial, &["live/b"], &["a"], &[("live/b", "t.a")]));
    for files in [
        &[("out/a/tfplan.json", "{}")][..],
        &[("out/a.json", &none), ("out/a/tfplan.json", &none)],
        &[("out/a/log.txt", "")],
    ] {
        assert_eq!(of(Some(0), "", "", files).0, Verdict::Unreadable, "{files:?}");
    }
    assert_eq!(
        of(Some(2), "", "", &[("out/tfplan.json", &*update)]),
        is(Verdict::Drifted, &[], &[], &[("", "t.a")])
    );
}
