//! What else stands in an output: reports of other tools than the one whose parser reads it, and reports in a form that no
//! parser reads.
//!
//! ```text
//! 10:00:00.000 STDOUT [vpc] tofu: Plan: 1 to add, 0 to change, 0 to destroy.
//! default, web, Deployment (apps) has changed:
//! web1 | CHANGED => {
//! ► Deployment/apps/web drifted
//! ```
//!
//! A script may run several tools. Every parser passes over lines that aren't its own, so one tool's "nothing changes" would
//! stand for all of them. Knows words that name a report, not what they say: it can only speak against "clean".

use crate::error::ParseError;
use crate::input::Input;
use crate::report::Verdict;
use crate::{ALL, ExitCodes, Parser, shell, terraform_command, text};
use memchr::{memmem, memrchr};

/// How much of an output is offered to the parsers at once: most of them look for evidence near the beginning.
const WINDOW: usize = 64 * 1024;

/// How much of one part is offered again with the next: evidence is a few lines long.
const OVERLAP: usize = 8 * 1024;

/// Words of a report.
struct Marker {
    /// What every such line holds, to find it quickly.
    needle: &'static str,
    /// Whether a line, without colours, is one.
    is: fn(&str) -> bool,
    /// What it is, for people.
    what: &'static str,
    /// A tool that a parser reads, in a form that none does. Beside a report in good form it may be quoted.
    decorated: bool,
}

const fn decorated(needle: &'static str, is: fn(&str) -> bool, what: &'static str) -> Marker {
    Marker { needle, is, what, decorated: true }
}

const fn unread(needle: &'static str, is: fn(&str) -> bool, what: &'static str) -> Marker {
    Marker { needle, is, what, decorated: false }
}

const MARKERS: &[Marker] = &[
    decorated(
        " to change, ",
        |line| line.contains("Plan: ") && line.contains(" to destroy"),
        "counts of a terraform plan",
    ),
    decorated(
        " the following actions",
        |line| ["Terraform ", "OpenTofu "].iter().any(|tool| line.contains(tool)),
        "a list of terraform's planned actions",
    ),
    decorated("# ", planned, "a resource of a terraform plan"),
    decorated("No changes. Your infrastructure", |_| true, "terraform's no changes"),
    decorated("No changes. Infrastructure is up-to-date", |_| true, "terraform's no changes"),
    decorated("Objects have changed outside of ", |_| true, "a list of changes from outside"),
    decorated("\"@module\":\"terraform.ui\"", |_| true, "messages of terraform's JSON stream"),
    decorated("\"@module\":\"tofu.ui\"", |_| true, "messages of terraform's JSON stream"),
    decorated("PLAY RECAP", |_| true, "a recap of ansible"),
    decorated(
        " unreachable=",
        |line| line.contains("ok=") && line.contains("changed="),
        "a recap of ansible",
    ),
    decorated("- Play recap -", |_| true, "a recap of ansible's callback unixy"),
    decorated(" | CHANGED", |_| true, "results of ansible"),
    decorated(" | SUCCESS", |_| true, "results of ansible"),
    decorated(" | UNREACHABLE!", |_| true, "results of ansible"),
    decorated(" | FAILED", |_| true, "results of ansible"),
    decorated("/LIVE-", |line| line.contains("/MERGED-"), "paths of kubectl diff"),
    decorated(
        "Only in ",
        |line| line.contains("/LIVE-") || line.contains("/MERGED-"),
        "paths of kubectl diff",
    ),
    decorated(" has changed:", helm, "a change that helm diff shows"),
    decorated(" has been added:", helm, "a change that helm diff shows"),
    decorated(" has been removed:", helm, "a change that helm diff shows"),
    decorated("\u{25ba} ", flux, "an object that flux diff shows"),
    decorated(
        "===== ",
        |line| line.contains('/') && line.ends_with(" ======"),
        "a difference that argocd shows",
    ),
    unread("Previewing update", |line| line.starts_with("Previewing update"), "a preview of pulumi"),
    decorated("## ", |line| line.contains(" (") && line.ends_with(".)"), "a difference that kubediff shows"),
    decorated("## ", |line| line.contains(".v1") && line.ends_with(')'), "a difference that kubediff shows"),
    unread("\u{b1} ", |line| dyff(line, "\u{b1} "), "a change that dyff shows"),
    unread("  + ", |line| dyff(line, "+ "), "a change that dyff shows"),
    unread("  - ", |line| dyff(line, "- "), "a change that dyff shows"),
    decorated("_|-", |line| line.matches("_|-").count() >= 3, "states of salt"),
    unread("(changed=", |line| line.starts_with("Succeeded: "), "a summary of salt"),
];

/// `  # ADDRESS will be created`
fn planned(line: &str) -> bool {
    const ENDS: [&str; 5] = [
        " must be replaced",
        " will be created",
        " will be destroyed",
        " will be replaced",
        " will be updated in-place",
    ];
    let address = line.trim_start().strip_prefix("# ");
    address.is_some_and(|address| address.contains('.') && ENDS.iter().any(|end| address.ends_with(end)))
}

/// `NAMESPACE, NAME, Kind (GROUP) has changed:`
fn helm(line: &str) -> bool {
    let ends = [" has changed:", " has been added:", " has been removed:"];
    let object = ends.iter().find_map(|end| line.strip_suffix(end));
    object.is_some_and(|object| object.matches(", ").count() >= 2 && object.ends_with(')'))
}

/// `  + two map entries added:`
fn dyff(line: &str, sign: &str) -> bool {
    let Some(words) =
        line.trim_start().strip_prefix(sign).and_then(|words| words.strip_suffix(':').or(Some(words)))
    else {
        return false;
    };
    let what = [" map entry ", " map entries ", " list entry ", " list entries ", " document"];
    (what.iter().any(|what| words.contains(what))
        && ["added", "removed"].iter().any(|end| words.ends_with(end)))
        || words == "value change"
        || words.starts_with("type change from ")
}

/// `► Kind/NAMESPACE/NAME drifted`
fn flux(line: &str) -> bool {
    line.contains("\u{25ba} ") && ["created", "drifted", "deleted"].iter().any(|word| line.ends_with(word))
}

/// What report stands in `bytes` that no parser reads, as a few words for people. `None` says little.
pub fn unread_report(bytes: &[u8]) -> Option<&'static str> {
    MARKERS.iter().find(|marker| marker.stands_in(bytes)).map(|marker| marker.what)
}

impl Marker {
    fn stands_in(&self, bytes: &[u8]) -> bool {
        memmem::find_iter(bytes, self.needle).any(|at| {
            let begin = bytes.get(..at).and_then(|before| memrchr(b'\n', before));
            let begin = begin.map_or(0, |at| at.saturating_add(1));
            let line = bytes.get(begin..).and_then(|rest| text::lines(rest).next());
            line.is_some_and(|line| (self.is)(text::string(&line.plain()).trim_end()))
        })
    }
}

/// What in the output of a script speaks against `parser`'s "clean": another tool's report that isn't clean as well.
///
/// Where the command line names the parser's own tool, no other can have written anything.
pub(crate) fn against_clean(
    parser: &Parser,
    codes: Option<&ExitCodes>,
    input: &Input<'_>,
) -> Result<(), ParseError> {
    if (parser.runs)(input.argv) {
        return Ok(());
    }
    let hint = "one check reads one tool: make each command of a script a check of its own";
    let bytes = input.stdout.bytes();
    for other in ALL.iter().filter(|other| **other != parser) {
        let within = || {
            windows(bytes).find_map(|part| {
                (other.recognise)(&Input { stdout: crate::Stream::whole(part), files: &[], ..*input })
            })
        };
        let Some(evidence) = (other.recognise)(input).or_else(within) else { continue };
        if crate::read_alone(other, codes, input).verdict() != Verdict::Clean {
            return Err(ParseError::contradiction(format!(
                "nothing changes for {}, but there is {evidence}, and {} doesn't read it as clean",
                parser.name, other.name
            ))
            .hint(hint));
        }
    }
    if parser.name.starts_with("terraform") {
        for (stream, bytes) in [("standard output", bytes), ("standard error", input.stderr.bytes())] {
            if let Some(what) = died(bytes) {
                return Err(ParseError::contradiction(format!(
                    "nothing changes for {}, but {what} on {stream}",
                    parser.name
                ))
                .hint(hint));
            }
        }
    }
    if parser.name.starts_with("ansible") {
        // On standard output it may be a task's.
        let lost = text::lines(input.stderr.bytes())
            .any(|line| shell::lost(text::string(&line.plain()).trim(), &["ansible", "ansible-playbook"]));
        if lost {
            return Err(ParseError::contradiction(format!(
                "nothing changes for {}, but {LOST} on standard error",
                parser.name
            ))
            .hint(hint));
        }
    }
    // Two parsers read what dyff shows of objects.
    let own =
        |marker: &Marker| matches!(parser.name, "flux" | "kubectl") && marker.what.ends_with("dyff shows");
    let speaks = |marker: &&Marker| !marker.decorated && !own(marker) && marker.stands_in(bytes);
    match MARKERS.iter().find(speaks) {
        Some(marker) => Err(ParseError::contradiction(format!(
            "nothing changes for {}, but there is {}, which no parser reads",
            parser.name, marker.what
        ))
        .hint(hint)),
        None => Ok(()),
    }
}

/// The parts of an output, each from the beginning of a line where there is one.
fn windows(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let from = rest.take()?;
        let part = from.get(..WINDOW).unwrap_or(from);
        if part.len() < from.len() {
            let most = WINDOW.saturating_sub(OVERLAP);
            let line = part.get(..most).and_then(|part| memrchr(b'\n', part)).map(|at| at.saturating_add(1));
            rest = from.get(line.filter(|at| *at > 0).unwrap_or(most)..);
        }
        Some(part)
    })
}

const LOST: &str = "a shell's words of a program that did not run to its end";

/// What says that a program of Terraform's died, or never ran: in a script it can be another than the one that found nothing.
fn died(bytes: &[u8]) -> Option<&'static str> {
    let programs: Vec<&str> = terraform_command::programs().collect();
    text::lines(bytes).find_map(|line| {
        let plain = line.plain();
        if plain.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        let line = String::from_utf8_lossy(&plain);
        let line = line.trim_end();
        if line.starts_with("panic: ")
            || line.starts_with("fatal error: ")
            || line.contains(" TERRAFORM CRASH ")
        {
            Some("a program's crash")
        } else if ["Terraform", "OpenTofu"].iter().any(|name| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" has no command named "))
        }) {
            Some("a command that there is not")
        } else {
            shell::lost(line, &programs).then_some(LOST)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Reading, Stream, by_name, read};

    const TERRAFORM: &str = "No changes. Your infrastructure matches the configuration.\n";
    const ANSIBLE: &str = "\nPLAY [p] ***\n\nTASK [t] ***\nok: [h]\n\nPLAY RECAP ***\nh : ok=1 changed=0 unreachable=0 failed=0\n\n";
    const KUBECTL: &str = "--- /tmp/LIVE-1/v1.ConfigMap.shop.web\n+++ /tmp/MERGED-2/v1.ConfigMap.shop.web\n@@ -1 +1 @@\n-a\n+b\n";

    fn reading(parser: &str, argv: &[&str], stdout: &str) -> Reading {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(b""));
        read(by_name(parser).unwrap(), None, &Input { argv, exit: Some(0), stdout, stderr, files: &[] })
    }

    #[test]
    fn one_tool_s_clean_is_not_another_s() {
        let changed = ANSIBLE.replace("ok: [h]", "changed: [h]").replace("changed=0", "changed=1");
        let script = ["sh", "-c", "./all.sh"];
        for (parser, clean, drifted) in [
            ("terraform", TERRAFORM, KUBECTL),
            ("terraform", TERRAFORM, &changed),
            ("ansible", ANSIBLE, KUBECTL),
            ("ansible", ANSIBLE, "Plan: 1 to add, 0 to change, 0 to destroy.\n"),
            ("ansible", ANSIBLE, "default, web, Deployment (apps) has changed:\n"),
            ("terraform", TERRAFORM, "\u{25ba} Deployment/apps/web drifted\n"),
            ("terraform", TERRAFORM, "===== /ConfigMap shop/a ======\n1c1\n< a\n---\n> b\n"),
            ("ansible", ANSIBLE, "## shop/web (Deployment.v1.apps)\n\n.spec.replicas: '5' != '3'\n"),
        ] {
            for text in [format!("{clean}{drifted}"), format!("{drifted}{clean}")] {
                for argv in [&script[..], &[]] {
                    let verdict = reading(parser, argv, &text).verdict();
                    assert_eq!(verdict, Verdict::Unreadable, "{parser}: {text}");
                }
            }
        }
        // Amid an output whose beginning and end say nothing of it, on a line of its own and longer than any window.
        let long = |tool: &str| {
            format!(
                "{{\"format_version\":\"1.2\",\"terraform_version\":\"1\",\"planned_values\":{{}},\"resource_changes\":[{{\"address\":\"t.a\",\"type\":\"t\",\"change\":{{\"actions\":[\"{tool}\"]}}}}],\"variables\":{{\"x\":\"{}\"}}}}\n",
                "y".repeat(300_000)
            )
        };
        let before = format!("{ANSIBLE}{}", "Using x\n".repeat(20_000));
        let amid = format!("{before}{}{}", long("create"), "Using x\n".repeat(20_000));
        assert_eq!(reading("ansible", &script, &amid).class(), Some(Class::UnreadableContradiction));
        // Far behind the place where evidence is looked for.
        let stream = r#"{"@level":"info","@module":"terraform.ui","type":"version","ui":"1.2"}"#;
        let far = format!("{ANSIBLE}{}{stream}\n", "Using x\n".repeat(20_000));
        assert_eq!(reading("ansible", &script, &far).class(), Some(Class::UnreadableContradiction));
    }

    #[test]
    fn clean_reports_of_two_tools_are_clean_and_words_of_a_tool_run_by_itself_are_its_own() {
        let both = format!("{ANSIBLE}{TERRAFORM}");
        assert_eq!(reading("terraform", &[], &both).verdict(), Verdict::Clean);
        assert_eq!(reading("ansible", &[], &both).verdict(), Verdict::Clean);
        let quoted = format!("{TERRAFORM}\nWarning: w\n\nTASK [t] ***\n");
        assert_eq!(reading("terraform", &["terraform", "plan"], &quoted).verdict(), Verdict::Clean);
        assert_eq!(reading("terraform", &["sh", "-c", "x"], &quoted).verdict(), Verdict::Unreadable);
    }

    #[test]
    fn a_second_plan_of_a_script_that_died_leaves_words() {
        let crash = "a program's crash on standard output";
        let lost = "a shell's words of a program that did not run to its end on standard error";
        for (out, err, want) in [
            ("\npanic: runtime error: invalid memory address\n\ngoroutine 1 [running]:\n", "", crash),
            (
                "\nTerraform has no command named \"plann\". Did you mean \"plan\"?\n",
                "",
                "a command that there is not on standard output",
            ),
            ("", "sh: line 1: 12345 Killed   terraform -chdir=a plan\n", lost),
            ("", "./all.sh: line 3: terraform: command not found\n", lost),
            ("", "\u{1b}[31mKilled\u{1b}[0m\n", lost),
        ] {
            let text = format!("t.a: Refreshing state... [id=a]\n\n{TERRAFORM}{out}");
            let of = |argv: &[&str]| {
                let (stdout, stderr) = (Stream::whole(text.as_bytes()), Stream::whole(err.as_bytes()));
                let input = Input { argv, exit: Some(0), stdout, stderr, files: &[] };
                read(by_name("terraform").unwrap(), None, &input)
            };
            let hint = "one check reads one tool: make each command of a script a check of its own";
            for argv in [&["sh", "-c", "./all.sh"][..], &[]] {
                assert_eq!(
                    of(argv).reason(),
                    Some(format!("nothing changes for terraform, but {want}; {hint}")),
                    "{out}{err}"
                );
            }
            // Terraform's own exit code says that it ran to its end.
            assert_eq!(of(&["terraform", "plan"]).verdict(), Verdict::Clean);
        }
        for err in ["./all.sh: line 3: jq: command not found\n", "cat: x: No such file or directory\n"] {
            let (stdout, stderr) = (Stream::whole(TERRAFORM.as_bytes()), Stream::whole(err.as_bytes()));
            let input = Input { argv: &["sh"], exit: Some(0), stdout, stderr, files: &[] };
            assert_eq!(read(by_name("terraform").unwrap(), None, &input).verdict(), Verdict::Clean);
        }
    }

    #[test]
    fn a_run_of_ansible_s_that_died_before_another_leaves_words() {
        let of = |argv: &[&str], err: &str| {
            let (stdout, stderr) = (Stream::whole(ANSIBLE.as_bytes()), Stream::whole(err.as_bytes()));
            let input = Input { argv, exit: Some(0), stdout, stderr, files: &[] };
            read(by_name("ansible").unwrap(), None, &input).verdict()
        };
        for err in [
            "run.sh: line 2: 4242 Killed                  ansible-playbook a.yml\n",
            "Killed\n",
            "sh: 1: ansible-playbook: not found\n",
        ] {
            assert_eq!(of(&["sh", "-c", "./all.sh"], err), Verdict::Unreadable, "{err}");
            assert_eq!(of(&["ansible-playbook", "a.yml"], err), Verdict::Clean, "{err}");
        }
        assert_eq!(of(&["sh", "-c", "./all.sh"], "sh: 1: jq: not found\n"), Verdict::Clean);
    }

    #[test]
    fn reports_that_no_parser_reads_are_known_by_their_words() {
        for text in [
            "10:00:00.000 STDOUT [vpc] tofu: \u{1b}[1mPlan:\u{1b}[0m 1 to add, 0 to change, 0 to destroy.\n",
            "| Terraform will perform the following actions:\n",
            "web1 | CHANGED => {\n",
            "web1 | SUCCESS | rc=0 >>\n",
            "[log] web1 : ok=1 changed=0 unreachable=0 failed=0\n",
            "< PLAY RECAP >\n",
            "a\nns, web, ConfigMap (v1) has been added:\n",
            "===== apps/Deployment shop/web ======\n",
            "===== /ConfigMap shop/web ======\n",
            "## shop/web (Deployment.v1.apps)\n",
            "## shop/web (ConfigMap.v1.)\n",
            "Succeeded: 3 (changed=1)\n",
            "log: \u{25ba} Deployment/apps/web drifted\n",
            "  # module.a.terraform_data.b[0] will be updated in-place\n",
            "spec.replicas  (apps/v1/Deployment/web)\n  \u{b1} value change\n    - 1\n    + 2\n",
            "data  (v1/ConfigMap/a)\n  + one map entry added:\n    k: v\n",
            "metadata\n  - two list entries removed:\n",
            "local:\n  file_|-motd_|-/srv/x/motd_|-managed:\n    result: null\n",
        ] {
            assert!(unread_report(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "",
            "done\n",
            "nothing has changed:\n",
            "a, b has changed:\n",
            "# Plan: to change, x\n",
            "a, b, c has changed:\n",
            "\u{25ba} building a Kustomization\n",
            "it has drifted\n",
            "=====\n",
            "# nothing will be created\n",
            "  + 2 files added\n  - item\n",
            "a_|-b\n",
        ] {
            assert_eq!(unread_report(text.as_bytes()), None, "{text}");
        }
    }
}
