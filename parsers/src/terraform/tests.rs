use super::words::{Counts, counts};
use super::*;
use crate::error::Class;
use crate::report::{Action, Diagnostic, Resource, Said, Source, Span};
use crate::{Reading, Stream, Verdict, read};

const DETAILED: &[&str] = &["terraform", "plan", "-detailed-exitcode"];
const PERFORM: &str = "Terraform will perform the following actions:\n\n";

fn input<'a>(argv: &'a [&'a str], exit: Option<i32>, stdout: &'a str, stderr: &'a str) -> Input<'a> {
    let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
    Input { argv, exit, stdout, stderr, files: &[] }
}

fn run(argv: &[&str], exit: Option<i32>, stdout: &str) -> Reading {
    read(&PARSER, None, &input(argv, exit, stdout, ""))
}

fn verdict(argv: &[&str], exit: Option<i32>, stdout: &str) -> Verdict {
    run(argv, exit, stdout).verdict()
}

fn parsed(stdout: &str) -> Result<Parsed, ParseError> {
    parse(&input(DETAILED, Some(2), stdout, ""))
}

fn refused(stdout: &str) -> (Class, Option<u32>) {
    let error = parsed(stdout).unwrap_err();
    (error.class, error.line)
}

fn found(stdout: &str) -> Vec<(Source, String, Action)> {
    parsed(stdout).unwrap().resources.into_iter().map(|r| (r.source, r.name, r.action)).collect()
}

fn block(header: &str, symbol: &str) -> String {
    format!("  # {header}\n{symbol}resource \"t\" \"n\" {{\n      ~ a = 1 -> 2\n    }}\n\n")
}

/// What OpenTofu forgets, it prints further left.
fn forgotten(header: &str) -> String {
    format!(
        "  # {header}\n  . resource \"t\" \"n\" {{\n    a = {{\n        b = 1\n    }}\n    c = <<-EOT\n        }}\n    EOT\n\n    d {{\n      # so its contents will not be displayed.\n    }}\n}}\n\n"
    )
}

#[test]
fn every_header_has_an_action_a_symbol_and_its_place_in_the_counts() {
    let line = |a: [u64; 4]| {
        format!("Plan: {} to import, {} to add, {} to change, {} to destroy.\n", a[0], a[1], a[2], a[3])
    };
    for (words, symbol, action, counts) in [
        ("will be created", "  + ", Action::Create, [0, 1, 0, 0]),
        ("will be updated in-place", "  ~ ", Action::Update, [0, 0, 1, 0]),
        ("will be destroyed", "  - ", Action::Delete, [0, 0, 0, 1]),
        ("must be replaced", "-/+ ", Action::Replace, [0, 1, 0, 1]),
        ("is tainted, so must be replaced", "+/- ", Action::Replace, [0, 1, 0, 1]),
        ("is tainted, so it must be replaced", "-/+ ", Action::Replace, [0, 1, 0, 1]),
        ("will be replaced, as requested", "-/+ ", Action::Replace, [0, 1, 0, 1]),
        ("will be replaced due to changes in replace_triggered_by", "-/+ ", Action::Replace, [0, 1, 0, 1]),
        ("will be imported", "    ", Action::Import, [1, 0, 0, 0]),
        ("will no longer be managed by Terraform, but will not be destroyed", " . ", Action::Forget, [0; 4]),
        (
            "(deposed object 0123abcd) will be removed from Terraform state, but will not be destroyed",
            " . ",
            Action::Forget,
            [0; 4],
        ),
        (
            "must be replaced, but the existing object will not be destroyed",
            " +/. ",
            Action::Replace,
            [0, 1, 0, 0],
        ),
    ] {
        let text = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line(counts));
        let name = if words.contains("deposed") { "t.n (deposed)" } else { "t.n" };
        assert_eq!(found(&text), [(Source::Plan, name.to_owned(), action)], "{words}");
        assert_eq!(verdict(DETAILED, Some(2), &text), Verdict::Drifted, "{words}");
        let wrong = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line([0, 7, 0, 0]));
        assert_eq!(refused(&wrong), (Class::UnreadableContradiction, Some(8)), "{words}");
        let symbol = if symbol == "  ~ " { "  + " } else { "  ~ " };
        let wrong = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line(counts));
        assert_eq!(refused(&wrong), (Class::UnreadableFormat, Some(4)), "{words}");
    }
    assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n will be exploded", "  ~ "))).1, Some(3));
    assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n was deferred", "  + "))).1, Some(3));
    assert_eq!(refused(&(PERFORM.to_owned() + &block("other.n will be created", "  + "))).1, Some(4));
}

#[test]
fn opentofu_counts_what_it_forgets() {
    let older = "t.n must be replaced - older instance will not be destroyed (lifecycle.destroy = false)";
    let gone = "t.m will be removed from the OpenTofu state but will not be destroyed";
    let text = |plan: &str| {
        let perform = "OpenTofu will perform the following actions:\n\n";
        format!("{perform}{}{}Plan: {plan}.\n", block(older, "  ./+ "), forgotten(gone))
    };
    let all = parsed(&text("1 to add, 0 to change, 0 to destroy, 2 to forget")).unwrap();
    assert_eq!(all.tool.name, "opentofu");
    assert_eq!(all.resources.iter().map(|r| r.action).collect::<Vec<_>>(), [Action::Replace, Action::Forget]);
    let span = |name: &str| all.resources.iter().find(|r| r.name == name).and_then(|r| r.span);
    assert_eq!((span("t.n"), span("t.m")), (Some(Span(3, 6)), Some(Span(8, 20))));
    // Its closing brace has to be there.
    assert_eq!(
        refused(&text("1 to add, 0 to change, 0 to destroy, 2 to forget").replace("}\n\nPlan", "\nPlan")).0,
        Class::UnreadableFormat
    );
    // Before 1.10 the number isn't there.
    assert!(parsed(&text("1 to add, 0 to change, 0 to destroy")).is_ok());
    assert_eq!(
        refused(&text("1 to add, 0 to change, 0 to destroy, 1 to forget")).0,
        Class::UnreadableContradiction
    );
}

#[test]
fn the_line_of_counts_is_read_whole_or_not_at_all() {
    let of = |import, add, change, destroy, forget| Counts { import, add, change, destroy, forget };
    assert_eq!(counts(b"Plan: 1 to add, 2 to change, 3 to destroy."), Some((of(0, 1, 2, 3, 0), false)));
    assert_eq!(
        counts(b"Plan: 4 to import, 1 to add, 2 to change, 3 to destroy, 5 to forget. Actions: 1 to invoke."),
        Some((of(4, 1, 2, 3, 5), true))
    );
    for cut in [
        "Plan: 1 to add, 2 to change, 3 to destroy",
        "Plan: 1 to add, 2 to change.",
        "Plan: 1 to add.",
        "Plan: 2 to change, 1 to add, 3 to destroy.",
        "Plan: x to add, 2 to change, 3 to destroy.",
        "Plan: 1 to add, 2 to change, 3 to destroy. Actions: 1",
    ] {
        assert_eq!(counts(cut.as_bytes()), None, "{cut}");
    }
}

#[test]
fn notes_tell_moves_and_imports() {
    let text = format!(
        "{PERFORM}  # t.n[\"a will be created\"] will be updated in-place\n  # (moved from t.n[\" has moved to t.x\"])\n  # (imported from \"will be destroyed\")\n  ~ resource \"t\" \"n\" {{\n    }}\n\n  # t.a[\" has moved to t.b\"] has moved to t.b\n    resource \"t\" \"b\" {{\n    }}\n\nPlan: 1 to import, 0 to add, 1 to change, 0 to destroy.\n"
    );
    let mut update =
        Resource::new(Source::Plan, "", "t", "t.n[\"a will be created\"]", Action::Update).with_span(3, 7);
    update.previous_name = Some("t.n[\" has moved to t.x\"]".to_owned());
    let mut moved = Resource::new(Source::Plan, "", "t", "t.b", Action::Move).with_span(9, 11);
    moved.previous_name = Some("t.a[\" has moved to t.b\"]".to_owned());
    assert_eq!(parsed(&text).unwrap().resources, [update, moved]);
}

#[test]
fn a_deposed_object_is_another_resource() {
    let text = format!(
        "{PERFORM}{}{}Plan: 0 to add, 1 to change, 1 to destroy.\n",
        block("t.n will be updated in-place", "  ~ "),
        block("t.n (deposed object 0123abcd) will be destroyed", "  - ")
    );
    let of = |name: &str, action| (Source::Plan, name.to_owned(), action);
    assert_eq!(found(&text), [of("t.n", Action::Update), of("t.n (deposed)", Action::Delete)]);
}

#[test]
fn outputs_beside_moves_have_both_last_words() {
    let outputs =
        "Changes to Outputs:\n  + o = 1\n\nYou can apply this plan to save these new output values to the\n";
    let plan = |header: &str, symbol: &str, counts: &str| {
        format!("{PERFORM}{}Plan: {counts}.\n\n{outputs}", block(header, symbol))
    };
    let moved = plan("t.o has moved to t.n", "    ", "0 to add, 0 to change, 0 to destroy");
    let of = |name: &str, action| (Source::Plan, name.to_owned(), action);
    assert_eq!(found(&moved), [of("t.n", Action::Move), of("o", Action::Create)]);
    let update = plan("t.n will be updated in-place", "  ~ ", "0 to add, 1 to change, 0 to destroy");
    assert_eq!(refused(&update), (Class::UnreadableContradiction, Some(13)));
}

#[test]
fn nothing_in_a_value_counts() {
    let value = "            Plan: 7 to add, 0 to change, 0 to destroy.\n              # t.fake will be destroyed\n            No changes. x\n\n            \r\x1b[2K\x07Plan: 1 to add\x0b\n            Error: no\n";
    let text = format!(
        "{PERFORM}  # t.n will be created\n  + resource \"t\" \"n\" {{\n      + a = <<-EOT\n{value}        EOT\n    }}\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n\nChanges to Outputs:\n  + o = <<-EOT\n        Plan: 7 to add\n        # t.fake will be destroyed\n    EOT\n"
    );
    let of = |name: &str| (Source::Plan, name.to_owned(), Action::Create);
    assert_eq!(found(&text), [of("t.n"), of("o")]);
}

#[test]
fn lines_that_somebody_forwarded_are_read_without_their_empty_ones() {
    let read = |text: &str| {
        let lines = text::lines(text.as_bytes()).filter(|line| !line.bytes.is_empty());
        read_text(lines, Tool::default(), Called::default())
    };
    let plan = format!(
        "Terraform used the selected providers to\n\n{PERFORM}{}{}Plan: 1 to add, 1 to change, 0 to destroy.\n\nChanges to Outputs:\n  + o = 1\n\nWarning: w\n\nd\n",
        block("t.n will be updated in-place", "  ~ "),
        block("t.m will be created", "  + ")
    );
    let whole = parsed(&plan).unwrap();
    assert_eq!(
        read(&plan).unwrap(),
        Parsed { tool: Tool { name: "terraform".into(), version: None }, ..whole }
    );
    let error = "Terraform planned the following actions, but then encountered a problem:\n\nPlan: x\n\n╷\n│ Error: No valid credential sources found\n│\n╵\n";
    let failure = read(error).unwrap().failure.unwrap();
    assert_eq!((failure.class, &*failure.summary), (Class::Auth, "No valid credential sources found"));
    let nothing = "No changes. Your infrastructure matches the configuration.\n";
    assert_eq!(read(nothing).unwrap().said, Said::NoChanges);
    for text in ["", "t.n: Refreshing state... [id=x]\n", &format!("{nothing}{plan}")] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn line_ends_colours_and_a_mark_change_nothing() {
    let plain = format!(
        "{PERFORM}{}Plan: 0 to add, 1 to change, 0 to destroy.\n",
        block("t.n will be updated in-place", "  ~ ")
    );
    let want = parsed(&plain).unwrap();
    assert_eq!(parsed(&plain.replace('\n', "\r\n")).unwrap(), want);
    assert_eq!(parsed(&format!("\u{feff}{plain}")).unwrap(), want);
    let coloured = plain
        .replace("  # t.n", "\x1b[1m  # t.n\x1b[0m")
        .replace("  ~ resource", "\x1b[0m  \x1b[33m~\x1b[0m\x1b[0m resource")
        .replace("Plan:", "\x1b[1mPlan:\x1b[0m");
    assert_eq!(parsed(&coloured).unwrap(), want);
    let utf16: Vec<u8> = "\u{feff}No changes.".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let stdout = Stream::whole(&utf16);
    let input = Input { argv: DETAILED, exit: Some(0), stdout, stderr: Stream::whole(b""), files: &[] };
    assert_eq!(read(&PARSER, None, &input).verdict(), Verdict::Clean);
}

#[test]
fn more_than_one_plan_is_none() {
    let plan = format!(
        "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
        block("t.n will be created", "  + ")
    );
    let nothing = "No changes. Your infrastructure matches the configuration.\n";
    let outputs =
        "Changes to Outputs:\n  + o = 1\n\nYou can apply this plan to save these new output values to the\n";
    for text in [
        format!("{plan}{plan}"),
        format!("{nothing}{plan}"),
        format!("{plan}{nothing}"),
        format!("{nothing}{nothing}"),
        format!("{nothing}Plan: 1 to add, 0 to change, 0 to destroy.\n"),
        format!("{nothing}{outputs}"),
        format!("{outputs}{plan}"),
        format!("{nothing}\nWarning: w\n\nd\n{plan}"),
        format!("{nothing}Note: Objects have changed outside of Terraform\n"),
    ] {
        assert_eq!(refused(&text).0, Class::UnreadableContradiction, "{text}");
        assert_eq!(verdict(&[], Some(0), &text), Verdict::Unreadable, "{text}");
    }
    let stray = format!("{nothing}{}", block("t.n will be created", "  + "));
    assert_eq!(refused(&stray), (Class::UnreadableFormat, Some(2)));
    // The end of a second one, as `tail` leaves it under the warning of the first.
    let tail = "      ~ a = 1 -> 2\n    }\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n";
    let text = format!("{nothing}\nWarning: w\n\nd\n{tail}");
    assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(9)));
    let text = format!("{outputs}\nWarning: w\n\nd\n{tail}");
    assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(12)));
    for below in ["Note: You didn't use the -out option to save this plan, so\n", "Saved the plan to: p\n"] {
        let text = format!("{nothing}\nWarning: w\n\nd\n{below}");
        assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(6)));
    }
    // The beginning of one that came to no end.
    let words = "Terraform used the selected providers to generate the following execution\nplan.\n";
    assert_eq!(refused(&format!("{words}{nothing}")), (Class::UnreadableContradiction, Some(3)));
    assert_eq!(refused(&format!("{words}{words}{plan}")), (Class::UnreadableContradiction, Some(3)));
    for begun in
        ["t.n: Refreshing state... [id=x]\n", "Acquiring state lock. This may take a few moments...\n"]
    {
        assert_eq!(refused(&format!("{nothing}{begun}")), (Class::UnreadableContradiction, Some(2)));
        let text = format!("{nothing}\nWarning: w\n\n{begun}");
        assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(5)));
    }
}

#[test]
fn a_warning_may_quote_a_plan() {
    let text = format!(
        "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n\nWarning: Check block assertion failed\n\nPlan: 7 to add, 0 to change, 0 to destroy.\nNo changes.\n\n─────\n\nNote: You didn't\n",
        block("t.n will be created", "  + ")
    );
    let read = parsed(&text).unwrap();
    let line = Some(10);
    assert_eq!(
        read.diagnostics,
        [Diagnostic { line, ..Diagnostic::warning("Check block assertion failed") }]
    );
    assert_eq!((read.said, read.resources.len()), (Said::Changes, 1));
}

#[test]
fn what_ends_too_early_is_cut() {
    let plan = format!(
        "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
        block("t.n will be created", "  + ")
    );
    for end in 0..plan.len() {
        let part = plan.get(..end).unwrap();
        if !part.ends_with("destroy.") {
            assert_eq!(verdict(DETAILED, Some(0), part), Verdict::Unreadable, "{part}");
        }
    }
    assert_eq!(refused("").0, Class::UnreadableCut);
    assert_eq!(refused("t.n: Refreshing state... [id=x]\n").0, Class::UnreadableCut);
    // Outputs alone have their own last words.
    assert_eq!(refused("Changes to Outputs:\n  + o = 1\n").0, Class::UnreadableCut);
}

#[test]
fn what_changed_outside_counts_in_a_refresh_only_plan() {
    let note = "Note: Objects have changed outside of Terraform\n\nTerraform detected the following changes made outside of Terraform since the\nlast \"terraform apply\":\n\n";
    let drift = |words: &str, symbol: &str| format!("{note}{}", block(words, symbol));
    let only = "This is a refresh-only plan, so Terraform will not take any actions to undo\nthese.\n";
    let changed = drift("t.n has changed", "  ~ ") + only;
    assert_eq!(verdict(DETAILED, Some(2), &changed), Verdict::Drifted);
    // A move alone leaves the exit code at 0.
    let moved = drift("t.o has moved to t.n", "    ") + only;
    assert_eq!(verdict(DETAILED, Some(0), &moved), Verdict::Drifted);
    // In an ordinary plan the plan decides.
    let nothing = drift("t.n has been changed", "  ~ ")
        + "Unless you have made equivalent changes to your configuration, or ignored\n\nNo changes. Your infrastructure matches the configuration.\n\nYour configuration already matches the changes detected above.\n";
    assert_eq!(found(&nothing), [(Source::Refresh, "t.n".to_owned(), Action::Update)]);
    assert_eq!(verdict(DETAILED, Some(0), &nothing), Verdict::Clean);
    // Only the words below it say what they mean.
    let lost = changed.replace(only, "these.\n") + PERFORM + "Plan: 0 to add, 0 to change, 0 to destroy.\n";
    assert_eq!(refused(&lost), (Class::UnreadableCut, Some(12)));
    let outputs = "Changes to Outputs:\n  ~ o = \"x\" -> \"y\"\n\nYou can apply this plan to save these new output values to the Terraform\nstate, without changing any real infrastructure.\n";
    let of_outputs = changed.clone() + "\n" + outputs;
    for (argv, exit) in [(DETAILED, Some(2)), (&["sh", "-c", "x"][..], Some(0))] {
        assert_eq!(verdict(argv, exit, &of_outputs), Verdict::Drifted);
    }
    assert_eq!(refused(&of_outputs.replace(only, "these.\n")), (Class::UnreadableCut, Some(13)));
    let both = of_outputs
        .replace(only, "these.\n")
        .replace(outputs, outputs.split_at(outputs.find("You").unwrap()).1);
    assert_eq!(refused(&both), (Class::UnreadableCut, Some(13)));
    // A planned action among them, or one of them among the plan's.
    assert_eq!(refused(&drift("t.n will be created", "  + ")), (Class::UnreadableFormat, Some(6)));
    assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n has changed", "  ~ "))).1, Some(3));
}

#[test]
fn what_failed_is_failed_whoever_gives_the_code() {
    let partial = format!(
        "Terraform planned the following actions, but then encountered a problem:\n\n{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
        block("t.n will be created", "  + ")
    );
    let nothing = "No changes. Your infrastructure matches the configuration.\n";
    let error = "\nError: Module not installed\n\nRun terraform init.\n";
    let of = |argv: &[&str], exit, stdout: &str, stderr: &str| match read(
        &PARSER,
        None,
        &input(argv, exit, stdout, stderr),
    ) {
        Reading::Failed { failure, .. } => Some((failure.class, failure.summary)),
        _ => None,
    };
    let init = Some((Class::NeedsInit, "Module not installed".to_owned()));
    let marked = Some((Class::Exit, "terraform encountered an error while planning".to_owned()));
    assert_eq!(of(DETAILED, Some(1), &partial, error), init);
    assert_eq!(of(DETAILED, Some(0), &partial, ""), marked);
    assert_eq!(of(&[], None, "Planning failed. Terraform encountered an error\n", ""), marked);
    // `terraform plan 2>&1 | tee`, and a script that goes on after an error.
    assert_eq!(of(&["sh", "-c", "x"], Some(0), error, ""), init);
    assert_eq!(of(&["sh", "-c", "x"], Some(0), nothing, error), init);
    // Terraform's own code counts for more than what its logs look like.
    assert_eq!(of(DETAILED, Some(0), nothing, error), None);
    assert_eq!(verdict(DETAILED, Some(0), nothing), Verdict::Clean);
    assert_eq!(verdict(DETAILED, Some(1), nothing), Verdict::Failed);
    // A bug of `-refresh-only -detailed-exitcode`; of a script, the code may be another plan's.
    assert_eq!(verdict(DETAILED, Some(2), nothing), Verdict::Clean);
    assert_eq!(verdict(&["sh", "-c", "./plans.sh"], Some(2), nothing), Verdict::Unreadable);
}

#[test]
fn a_plan_without_refresh_is_clean_with_a_remark_in_every_form() {
    let text = "No changes. Your infrastructure matches the configuration.\n";
    let show = r#"{"format_version":"1.2","planned_values":{},"resource_changes":[]}"#;
    let stream = "{\"@level\":\"info\",\"@module\":\"terraform.ui\",\"terraform\":\"1.11.4\",\"type\":\"version\",\"ui\":\"1.2\"}\n{\"@level\":\"info\",\"@module\":\"terraform.ui\",\"changes\":{\"add\":0,\"change\":0,\"import\":0,\"remove\":0,\"operation\":\"plan\"},\"type\":\"change_summary\"}\n";
    let unit = format!("10:00:00.000 STDOUT [a] tofu: {text}");
    let remark = "-refresh=false: compared with the state, not with what is there";
    let plan = ["terraform", "plan", "-refresh=false", "-detailed-exitcode"];
    let all = ["terragrunt", "run", "--all", "--", "plan", "-refresh=false", "-detailed-exitcode"];
    for (parser, argv, stdout) in [
        ("terraform", &plan[..], text),
        ("terraform-show", &plan, show),
        ("terraform-json", &plan, stream),
        ("terraform", &all, &unit),
    ] {
        let reading = read(crate::by_name(parser).unwrap(), None, &input(argv, Some(0), stdout, ""));
        assert_eq!(reading.verdict(), Verdict::Clean, "{parser}");
        assert_eq!(reading.report().unwrap().diagnostics(), [Diagnostic::warning(remark)], "{parser}");
    }
}

#[test]
fn what_is_no_plan_is_refused() {
    let plan = format!(
        "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
        block("t.n will be created", "  + ")
    );
    for (text, line) in [
        ("No changes. Your infrastructure\n\nApply complete! Resources: 0 added\n".to_owned(), 3),
        (format!("{plan}\nDo you want to perform these actions?\n"), 10),
        ("No current changes. This plan requires another plan to be applied first.\n".to_owned(), 1),
        // Neither of Terraform 0.11 nor newer.
        ("Plan: 1 to add, 0 to change, 0 to destroy.\n".to_owned(), 1),
        (
            format!(
                "{PERFORM}+ t.n\n      id: <computed>\n\n- t.m\n\nPlan: 1 to add, 0 to change, 1 to destroy.\n"
            ),
            6,
        ),
        (
            format!(
                "{PERFORM}+ t.n\n      id: <computed>\n\n  # t.m will be destroyed\n  - resource \"t\" \"m\" {{\n"
            ),
            6,
        ),
        (
            format!(
                "{PERFORM}{}  + t.m\n\nPlan: 2 to add, 0 to change, 0 to destroy.\n",
                block("t.n will be created", "  + ")
            ),
            8,
        ),
        // Logs between the lines.
        (plan.replace("      ~ a", "2026-01-01T00:00:00Z [DEBUG] x\n      ~ a"), 5),
        (plan.replace("\nPlan", "2026-01-01T00:00:00Z [DEBUG] x\n\nPlan"), 7),
    ] {
        assert_eq!(refused(&text), (Class::UnreadableFormat, Some(line)), "{text}");
    }
    // A log's prefix, another tool.
    for text in ["10:00:00 INFO tofu: No changes.\n", "| No changes.\n", "ok: [web1]\n"] {
        assert_eq!(refused(text).0, Class::UnreadableCut, "{text}");
        assert_eq!(recognise(&input(&[], None, text, "")), None, "{text}");
    }
}

#[test]
fn terraform_0_11_is_read_by_its_symbols_and_its_counts() {
    let head = "Refreshing Terraform state in-memory prior to plan...\n\nt.a: Refreshing state... (ID: 1)\n\n------\n\nAn execution plan has been generated and is shown below.\nResource actions are indicated with the following symbols:\n  + create\n <= read (data resources)\n\n";
    let list = "<= data.t.d\n      id:     <computed>\n\n  ~ module.m.t.a\n      tags.%: \"1\" => \"2\"\n      tags.k: \"\" => \"\\nPlan: 1 to add\"\n      size:   \"1\" => \"2\"\n\n-/+ t.b (tainted) (new resource required)\n      id:     \"x\" => <computed> (forces new resource)\n\n  - t.b (deposed)\n";
    let text = format!("{head}{PERFORM}{list}Plan: 1 to add, 1 to change, 2 to destroy.\n\n------\n");
    let some = |paths: &[&str]| Some(paths.iter().map(ToString::to_string).collect());
    let of = |scope: &str, name: &str, action, first, last| {
        Resource::new(Source::Plan, scope, "t", name, action).with_span(first, last)
    };
    let want = [
        of("", "data.t.d", Action::Read, 14, 15),
        Resource {
            attributes: some(&["size", "tags.k"]),
            ..of("module.m", "module.m.t.a", Action::Update, 17, 20)
        },
        Resource { attributes: some(&["id"]), ..of("", "t.b", Action::Replace, 22, 23) },
        of("", "t.b (deposed)", Action::Delete, 25, 25),
    ];
    assert_eq!(parsed(&text).unwrap().resources, want);
    // Nothing tells one resource's end but the next one: the counts do.
    for line in list.lines().filter(|line| !line.starts_with("      ") && line.contains("t.")) {
        let without = text.replace(&format!("{line}\n"), "");
        if line.contains("data.") {
            assert_eq!(refused(&without).0, Class::UnreadableFormat, "{line}");
        } else {
            assert_eq!(refused(&without).0, Class::UnreadableContradiction, "{line}");
        }
    }
}

#[test]
fn a_remote_plan_is_read_among_its_words_and_failed_with_them() {
    let begin = |place: &str| {
        format!(
            "Running plan in {place}. Output will stream here. Pressing Ctrl-C\nwill stop streaming the logs, but will not stop the plan running remotely.\n\nPreparing the remote plan...\n\nTo view this run in a browser, visit:\nhttps://app.example/run-1\n\nWaiting for the plan to start...\n\nTerraform v1.9.1\non linux_amd64\nInitializing plugins and modules...\nt.n: Refreshing state... [id=x]\n\n"
        )
    };
    let plan = format!(
        "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n\n------\n\n",
        block("t.n will be created", "  + ")
    );
    let cost = "Cost Estimation:\n\nWaiting for cost estimate to complete...\n\nResources: 1 of 1 estimated\n           $0.0/mo +$0.0\n\n------\n\n";
    let policy = |result: &str| {
        format!(
            "Organization Policy Check:\n\nSentinel Result: {result}\n\n1 policies evaluated.\n\n## Policy 1: p (hard-mandatory)\n\nResult: {result}\n\n./p.sentinel:1:1 - Rule \"main\"\n  Value:\n    {result}\n\n"
        )
    };
    let failed = |text: &str| match run(&[], None, text) {
        Reading::Failed { failure, .. } => failure.summary,
        other => panic!("{other:?}"),
    };
    for place in ["HCP Terraform", "Terraform Cloud", "the remote backend"] {
        let text = begin(place) + &plan + cost + &policy("true");
        let read = parsed(&text).unwrap();
        assert_eq!((read.resources.len(), read.tool.version.as_deref()), (1, Some("1.9.1")));
        assert_eq!(recognise(&input(&[], None, &begin(place), "")), Some("a remote plan"));
        assert_eq!(verdict(DETAILED, Some(2), &text), Verdict::Drifted);
        let soft = begin(place) + &plan + &policy("false");
        let line = Some(29);
        assert_eq!(
            parsed(&soft).unwrap().diagnostics,
            [Diagnostic { line, ..Diagnostic::warning("a Sentinel policy check failed") }]
        );
        let hard = soft + "Error: Organization policy check hard failed.\n";
        assert_eq!(failed(&hard), "Organization policy check hard failed.");
        let nothing = begin(place) + "No changes. Your infrastructure matches the configuration.\n\n";
        assert_eq!(verdict(DETAILED, Some(0), &(nothing.clone() + cost)), Verdict::Clean);
        assert_eq!(
            failed(&(nothing + "Operation failed: failed running terraform plan (exit 1)\n")),
            "terraform encountered an error while planning"
        );
        assert_eq!(refused(&begin(place)).0, Class::UnreadableCut);
        assert_eq!(
            refused(&(begin(place).replace("Running plan", "Running apply") + &plan)).0,
            Class::UnreadableFormat
        );
    }
}

#[test]
fn what_a_wrapper_adds_is_no_plan() {
    let plan = format!(
        "[command]/tools/terraform-bin plan\n{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
        block("t.n will be created", "  + ")
    );
    let ends = |code: u8| {
        format!(
            "{plan}::debug::Terraform exited with code {code}.\n::debug::stdout: No changes.%0A\n::set-output name=stdout::x%0APlan: 7 to add\n"
        )
    };
    assert_eq!(found(&ends(2)), [(Source::Plan, "t.n".to_owned(), Action::Create)]);
    assert_eq!(run(&[], None, &ends(2)).verdict(), Verdict::Drifted);
    assert_eq!(run(&[], None, &ends(1)).verdict(), Verdict::Failed);
    let inside = plan.replace("\nPlan:", "::debug::x\n\nPlan:");
    assert_eq!(refused(&inside), (Class::UnreadableFormat, Some(8)));
}

#[test]
fn the_actions_that_a_change_invokes_are_no_resources() {
    let text = format!(
        "{PERFORM}{}    # Actions to be invoked after this change in order:\n    action \"x\" \"y\" {{\n        config {{\n        }}\n    }}\n\nPlan: 1 to add, 0 to change, 0 to destroy. Actions: 1 to invoke.\n",
        block("t.n will be created", "  + ")
    );
    assert_eq!(found(&text), [(Source::Plan, "t.n".to_owned(), Action::Create)]);
}

#[test]
fn output_is_recognised_by_any_line_of_its_own() {
    let sign = |text: &str| recognise(&input(&[], None, text, ""));
    assert_eq!(
        sign("x\nmodule.m[\"a b\"].t.n: Refreshing state... [id=1]\n"),
        Some("a resource being refreshed")
    );
    assert_eq!(sign("\x1b[1mPlan:\x1b[0m 1 to add, 0 to change, 0 to destroy.\n"), Some("a plan's counts"));
    assert_eq!(sign("some of it: Refreshing state...\nNo changes.\n"), None);
    assert_eq!(sign("{\"@message\":\"t.n: Refreshing state...\"}\n"), None);
}

#[test]
fn a_plan_of_outputs_alone_announces_nothing() {
    let outputs = "Changes to Outputs:\n  + o = 1\n\nYou can apply this plan to save these new output values to the Terraform\nstate, without changing any real infrastructure.\n";
    let verdict = |stdout: &str| crate::testing::run(&PARSER, &[], Some(0), stdout, "").verdict();
    assert_eq!(verdict(outputs), crate::Verdict::Clean);
    for cut in [
        "Terraform used the selected providers to generate the following execution plan. Resource actions are\n",
        "Terraform will perform the following actions:\n",
        "An execution plan has been generated and is shown below.\n",
    ] {
        let both = format!("{cut}\nt.a: Refreshing state... [id=a]\n\n{outputs}");
        assert_eq!(verdict(&both), crate::Verdict::Unreadable, "{cut}");
    }
    let clean = "No changes. Your infrastructure matches the configuration.\n";
    for end in [
        "Note: You didn't use the -out option to save",
        "Note: You didn't specify an \"-out\" parameter to save",
        "Saved the plan to: p",
        "This plan was saved to: p",
    ] {
        assert_eq!(verdict(&format!("{clean}\n{end}\n")), crate::Verdict::Unreadable, "{end}");
    }
}

#[test]
fn a_list_that_begins_twice_or_has_no_statement_is_refused() {
    let (a, b) =
        (block("t.a will be updated in-place", "  ~ "), block("t.b will be updated in-place", "  ~ "));
    let plan = "Plan: 0 to add, 2 to change, 0 to destroy.\n";
    assert_eq!(found(&format!("{PERFORM}{a}{b}{plan}")).len(), 2);
    assert_eq!(refused(&format!("{PERFORM}{a}{PERFORM}{b}{plan}")).0, Class::UnreadableContradiction);
    // Changes from outside, of an ordinary plan whose end is missing; behind it another's beginning.
    let outside = "Note: Objects have changed outside of Terraform\n\n";
    let drift = block("t.a has changed", "  ~ ");
    let cut = format!("{outside}{drift}Unless you have made equivalent changes to your configuration\n");
    assert_eq!(refused(&cut).0, Class::UnreadableCut);
    let clean = "\nNo changes. Your infrastructure matches the configuration.\n";
    let other = format!("{cut}\nt.b: Refreshing state... [id=b]\n{clean}");
    assert_eq!(verdict(&[], Some(0), &format!("{cut}{clean}")), Verdict::Clean);
    assert_eq!(run(&[], Some(0), &other).class(), Some(Class::UnreadableContradiction));
}
