use super::*;
use crate::testing::run;

const SAYS: [Said; 3] = [Said::NoChanges, Said::Changes, Said::Nothing];

fn verdict(claim: Claim, said: Said, resources: &[Resource]) -> Verdict {
    let parsed = Parsed { said, resources: resources.to_vec(), ..Parsed::new("test") };
    agree(claim, Some(0), parsed).unwrap_or_else(Reading::Unreadable).verdict()
}

#[test]
fn witnesses_that_agree_are_believed_and_no_others() {
    use Verdict::{Clean, Drifted, Unreadable};
    let update = [Resource::new(Source::Plan, "", "t", "a", Action::Update)];
    let read = [Resource::new(Source::Plan, "", "t", "a", Action::Read)];
    let refresh = [Resource::new(Source::Refresh, "", "t", "a", Action::Update)];
    let table = |resources: &[Resource]| {
        [Claim::Clean, Claim::Drifted, Claim::Silent]
            .map(|claim| SAYS.map(|said| verdict(claim, said, resources)))
    };
    assert_eq!(
        table(&[]),
        [[Clean, Unreadable, Unreadable], [Unreadable; 3], [Clean, Unreadable, Unreadable]]
    );
    assert_eq!(table(&update), [[Unreadable, Drifted, Unreadable]; 3]);
    assert_eq!(
        table(&read),
        [[Clean, Clean, Unreadable], [Unreadable, Clean, Unreadable], [Clean, Clean, Unreadable]]
    );
    assert_eq!(table(&refresh), [[Clean, Clean, Unreadable], [Unreadable; 3], [Clean, Clean, Unreadable]]);
}

#[test]
fn a_sentence_explains_a_code_and_leaves_a_warning() {
    let parsed = Parsed { said: Said::NoChanges, stated_in_words: true, ..Parsed::new("test") };
    let Ok(Reading::Read(report)) = agree(Claim::Drifted, Some(2), parsed) else { panic!("not read") };
    assert_eq!((report.verdict(), report.diagnostics().len()), (Verdict::Clean, 1));
}

#[test]
fn changes_beside_a_clean_code_leave_a_remark_where_they_count() {
    let remarks = |action| {
        let resources = vec![Resource::new(Source::Plan, "", "t", "a", action)];
        let parsed = Parsed { said: Said::Changes, resources, ..Parsed::new("test") };
        let Ok(Reading::Read(report)) = agree(Claim::Clean, Some(0), parsed) else { panic!("not read") };
        report.diagnostics().iter().map(|remark| remark.summary.clone()).collect::<Vec<_>>()
    };
    assert_eq!(remarks(Action::Update), ["exit code 0 says that nothing differs, the output lists 1 change"]);
    assert_eq!(remarks(Action::Read), [""; 0]);
}

#[test]
fn files_are_not_passed_over() {
    for parser in ALL {
        let files = [File { path: "x.txt", bytes: b"" }];
        let (stdout, stderr) = (Stream::whole(b"No changes.\n"), Stream::whole(b""));
        let input = Input { argv: &[], exit: Some(0), stdout, stderr, files: &files };
        let reason = read(parser, None, &input).reason().unwrap();
        let refused =
            format!("{} reads no files, and there are 1; let the command print its report", parser.name);
        assert_eq!(reason == refused, !["puppet", "terraform-show"].contains(&parser.name), "{reason}");
    }
}

#[test]
fn what_was_found_stands_in_the_reason_once() {
    let reason = |stdout| run(by_name("terraform").unwrap(), &[], Some(0), stdout, "").reason().unwrap();
    assert_eq!(
        reason("x\nPlan: many to add, secret = 1\n"),
        "line 2: not the counts of a plan; found \"Plan: …\""
    );
    let list = "Terraform will perform the following actions:\n\n";
    assert_eq!(
        reason(&format!("{list}Plan: 1 to add, 0 to change, 0 to destroy.\n")),
        "line 3: the line \"Plan: 1 to add, 0 to change, 0 to destroy.\" and the 0 to import, 0 to add, 0 to change, 0 to destroy, 0 to forget that are listed"
    );
}

#[test]
fn scopes_that_were_not_read_are_partial_and_none_read_is_failed() {
    let unread = vec![Unread { scope: "web3".to_owned(), reason: UnreadReason::Unreachable }];
    let parsed = |read: &[&str]| Parsed {
        said: Said::NoChanges,
        scopes: Scopes { read: read.iter().map(ToString::to_string).collect(), unread: unread.clone() },
        ..Parsed::new("test")
    };
    let some = agree(Claim::Silent, Some(4), parsed(&["web1"])).unwrap();
    assert_eq!((some.verdict(), some.class()), (Verdict::Partial, Some(Class::Unreachable)));
    let none = agree(Claim::Silent, Some(4), parsed(&[])).unwrap();
    assert_eq!((none.verdict(), none.class()), (Verdict::Failed, Some(Class::Unreachable)));
}

#[test]
fn tools_that_nobody_reads_are_known_by_name() {
    assert_eq!(unread_tool(&["env", "A=b", "/usr/bin/pulumi", "preview"]), Some("pulumi"));
    assert_eq!(unread_tool(&["helm", "upgrade", "web", "chart"]), None);
    assert_eq!(unread_tool(&["terraform", "plan"]), None);
    assert_eq!(unread_tool(&["sh", "-c", "pulumi preview"]), None);
}

#[test]
fn exit_codes_of_a_check_mean_what_it_says() {
    let codes = ExitCodes { clean: vec![0, 5], drifted: vec![3, 5] };
    assert_eq!(
        [Some(0), Some(3), Some(5), Some(1), None].map(|exit| codes.claim(exit)),
        [Claim::Clean, Claim::Drifted, Claim::Silent, Claim::Failed, Claim::Silent]
    );
}

#[test]
fn what_powershell_writes_is_read_and_cut_as_it_is() {
    let utf16 = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
    };
    let text = "No changes. Your infrastructure matches the configuration.\r\n";
    let terraform = by_name("terraform").unwrap();
    for bytes in [utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)] {
        let of = |stdout: Stream<'_>| {
            let input = Input {
                argv: &["terraform", "plan"],
                exit: Some(0),
                stdout,
                stderr: Stream::whole(b""),
                files: &[],
            };
            (read(terraform, None, &input).class(), recognise(ALL, &input).map(|(parser, _)| parser.name))
        };
        assert_eq!(of(Stream::whole(&bytes)), (None, Some("terraform")));
        assert_eq!(of(Stream::kept(&bytes, bytes.len() as u64 + 9)).0, Some(Class::UnreadableCut));
    }
    let stderr = utf16("\nError: No valid credential sources found\n", u16::to_le_bytes);
    let input = Input {
        argv: &["terraform", "plan"],
        exit: Some(1),
        stdout: Stream::whole(b""),
        stderr: Stream::whole(&stderr),
        files: &[],
    };
    assert_eq!(read(terraform, None, &input).reason().unwrap(), "No valid credential sources found");
}

#[test]
fn a_command_line_names_the_formats_that_it_can_print() {
    let named = |line: &str| {
        let argv: Vec<&str> = line.split(' ').collect();
        by_command(&argv).iter().map(|parser| parser.name).collect::<Vec<_>>()
    };
    for (line, parsers) in [
        ("terraform plan", &["terraform"][..]),
        ("tofu -chdir=a plan -json", &["terraform-json"]),
        ("terraform show plan", &["terraform"]),
        ("terraform show -json plan", &["terraform-show"]),
        ("terraform apply", &[]),
        ("terragrunt run --all --json-out-dir plans -- plan", &["terraform-show", "terraform"]),
        ("ansible-playbook site.yml", &["ansible-jsonl", "ansible-json", "ansible"]),
        ("ansible all -m ping", &["ansible-minimal"]),
        ("kubectl diff -f x", &["kubectl"]),
        ("kubectl get pods", &[]),
        ("kubediff x", &["kubediff"]),
        ("helm diff upgrade a b", &["helm-diff"]),
        ("helm upgrade a b", &[]),
        ("argocd app diff a", &["argocd"]),
        ("argocd app get a", &[]),
        ("flux diff kustomization a", &["flux"]),
        ("flux get kustomizations", &[]),
        ("puppet agent --noop", &["puppet"]),
        ("salt-call --local state.apply test=True", &["salt"]),
        ("sh -c terraform", &[]),
    ] {
        assert_eq!(named(line), parsers, "{line}");
    }
}
