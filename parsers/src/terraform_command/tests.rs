use super::*;
use crate::Claim::{Clean, Drifted, Failed, Silent};
use crate::Stream;

fn claims(argv: &[&str], exit: Option<i32>) -> Claim {
    let empty = Stream::whole(b"");
    claim(&Input { argv, exit, stdout: empty, stderr: empty, files: &[] })
}

#[test]
fn what_a_plan_can_t_say_is_told_by_its_command_line() {
    let of = |argv: &[&str]| limits(argv).into_iter().map(|d| d.summary).collect::<Vec<_>>();
    let stale = "-refresh=false: compared with the state, not with what is there".to_owned();
    let destroy = "-destroy: a plan to destroy: it doesn't say what drifted".to_owned();
    for argv in [
        &["terraform", "plan", "-refresh=false"][..],
        &["terragrunt", "run", "--all", "--", "plan", "--refresh=0"],
        &["terraform", "plan", "-refresh", "-refresh=false"],
        &["sh", "-c", "cd a && terraform plan -refresh=false; true"],
        &["env", "TF_CLI_ARGS_plan=-refresh=false", "terraform", "plan"],
        &["sh", "-c", "TF_CLI_ARGS='-refresh=false' ./plan.sh"],
    ] {
        assert_eq!(of(argv), std::slice::from_ref(&stale), "{argv:?}");
    }
    assert_eq!(of(&["tofu", "plan", "-destroy", "-refresh=false"]), [stale, destroy.clone()]);
    assert_eq!(of(&["sh", "-c", "tofu plan --destroy=true"]), [destroy]);
    for argv in [
        &["terraform", "plan", "-refresh-only"][..],
        &["terraform", "plan", "-refresh=false", "-refresh=true", "-destroy=false"],
        &["./destroy", "refresh=false"],
        &[],
    ] {
        assert!(of(argv).is_empty(), "{argv:?}");
    }
}

#[test]
fn the_code_2_means_drift_only_where_it_can() {
    let plain = ["terraform", "-chdir=x", "plan", "-no-color"];
    let detailed = ["env", "A=b", "tofu", "-chdir=x", "plan", "--detailed-exitcode"];
    let shell = ["sh", "-c", "terraform plan"];
    let show = ["terraform", "show", "-json", "p"];
    let of = |argv: &[&str]| [None, Some(0), Some(1), Some(2), Some(11)].map(|code| claims(argv, code));
    assert_eq!(of(&plain), [Silent, Silent, Failed, Failed, Failed]);
    assert_eq!(of(&detailed), [Silent, Clean, Failed, Drifted, Failed]);
    assert_eq!(of(&[]), [Silent, Silent, Failed, Drifted, Failed]);
    assert_eq!(of(&shell), [Silent, Silent, Failed, Drifted, Failed]);
    assert_eq!(of(&show), [Silent, Silent, Failed, Failed, Failed]);
}

#[test]
fn terragrunt_s_command_is_found_among_its_options() {
    let of = |line: &str| {
        let argv: Vec<&str> = line.split(' ').collect();
        let found = call(&argv).map(|call| (call.subcommand.to_owned(), call.flag("detailed-exitcode")));
        (found, runs_all(&argv), json_folder(&argv).map(str::to_owned))
    };
    let plan = |detailed| Some(("plan".to_owned(), detailed));
    assert_eq!(of("terragrunt plan -no-color"), (plan(false), false, None));
    assert_eq!(
        of("env A=b terragrunt run --all --json-out-dir out --working-dir live -- plan -detailed-exitcode"),
        (plan(true), true, Some("out".to_owned()))
    );
    assert_eq!(
        of("terragrunt run-all plan --terragrunt-json-out-dir=/tmp/x -detailed-exitcode"),
        (plan(true), true, Some("/tmp/x".to_owned()))
    );
    assert_eq!(of("terragrunt plan-all"), (plan(false), true, None));
    assert_eq!(
        of("terragrunt run --all --json-out-dirs x --json-out-dir=out -- plan"),
        (plan(false), true, Some("out".to_owned()))
    );
    assert_eq!(of("terragrunt run --all apply -auto-approve plan").0, Some(("apply".to_owned(), false)));
    assert_eq!(of("terragrunt hcl fmt").0, Some(("hcl".to_owned(), false)));
    assert_eq!(of("terragrunt --version").0, None);
    let codes = |line: &str| {
        let argv: Vec<&str> = line.split(' ').collect();
        let empty = Stream::whole(b"");
        [None, Some(0), Some(1), Some(2), Some(7), Some(137)].map(|exit| {
            claim_of_units(&Input { argv: &argv, exit, stdout: empty, stderr: empty, files: &[] })
        })
    };
    assert_eq!(codes("terragrunt run --all -- plan"), [Silent, Silent, Silent, Drifted, Silent, Failed]);
    assert_eq!(
        codes("terragrunt run --all -- plan -detailed-exitcode"),
        [Silent, Clean, Silent, Drifted, Silent, Failed]
    );
    assert_eq!(codes("terragrunt plan"), [Silent, Silent, Failed, Drifted, Failed, Failed]);
}

#[test]
fn an_error_beside_a_script_s_code_counts() {
    let empty = Stream::whole(b"");
    let counts =
        |argv: &[&str], exit| errors_count(&Input { argv, exit, stdout: empty, stderr: empty, files: &[] });
    assert!(!counts(&["sudo", "-u", "ops", "terraform", "plan"], Some(0)));
    assert!(!counts(&["terraform", "show", "p"], Some(0)));
    assert!(counts(&["terraform", "plan"], None));
    assert!(counts(&["sh", "-c", "terraform plan | tee log"], Some(0)));
    assert!(counts(&["sudo", "-u", "terraform", "./plan.sh"], Some(0)));
}

#[test]
fn terraform_itself_is_told_from_what_runs_it() {
    for (argv, itself) in [
        (&["terraform", "plan"][..], true),
        (&["env", "A=b", "tofu", "-chdir=x", "show"], true),
        (&["terragrunt", "plan"], false),
        (&["sh", "-c", "terraform plan"], false),
        (&["terraform"], false),
        (&[], false),
    ] {
        assert_eq!(is_terraform(argv), itself, "{argv:?}");
    }
}

#[test]
fn refresh_only_is_known_from_a_plan_only() {
    assert_eq!(refresh_only(&["terraform", "plan", "-refresh-only"]), Some(true));
    assert_eq!(refresh_only(&["terraform", "plan"]), Some(false));
    assert_eq!(refresh_only(&["terraform", "show", "-json", "p"]), None);
    assert_eq!(refresh_only(&["make", "plan"]), None);
    assert_eq!(refresh_only(&["sh", "-c", "cd x && terraform plan -refresh-only -json"]), Some(true));
    assert_eq!(refresh_only(&["sh", "-c", "cd x && tofu plan -json"]), Some(false));
    assert_eq!(refresh_only(&["sh", "-c", "./terraform-plan.sh"]), None);
}

#[test]
fn the_first_error_gives_the_class_and_its_summary() {
    let read = |text: &str| stderr(text.as_bytes()).1.map(|f| (f.class, f.summary));
    let of = |class, summary: &str| Some((class, summary.to_owned()));
    let lock = "\nWarning: w\n\nError: Error acquiring the state lock\n\nAccessDenied\n";
    assert_eq!(read(lock), of(Class::StateLock, "Error acquiring the state lock"));
    let boxed = "\x1b[31m╷\x1b[0m\x1b[0m\n\x1b[31m│\x1b[0m \x1b[0m\x1b[1m\x1b[31mError: \x1b[0m\x1b[0m\x1b[1mModule not installed\x1b[0m\n│ \n╵\n";
    assert_eq!(read(boxed), of(Class::NeedsInit, "Module not installed"));
    let detail = "\nError: Failed to read file\n\n  with toy_file.a,\n\ndial tcp 127.0.0.1:9: connect: connection refused\n";
    assert_eq!(read(detail), of(Class::Unreachable, "Failed to read file"));
    let denied = "\nError: reading S3 Bucket\n\nStatusCode: 403, RequestID: 4011\n";
    assert_eq!(read(denied), of(Class::Forbidden, "reading S3 Bucket"));
    assert_eq!(
        read("\nError: reading\n\nStatusCode: 401\n\nError: Module not installed\n"),
        of(Class::Auth, "reading")
    );
    assert_eq!(read("\nError: Invalid expression\n"), of(Class::Exit, "Invalid expression"));
    // What stands before the first error, or behind the second, is no detail of it.
    let beside = "\nWarning: w\n\naccess denied\n\nError: one\n\nx\n\nError: two\n\nno such host\n";
    assert_eq!(read(beside), of(Class::Exit, "one"));
    for (summary, class) in [
        ("Backend initialization required, please run \"terraform init\"", Class::NeedsInit),
        ("Required plugins are not installed", Class::NeedsInit),
        ("No valid credential sources found", Class::Auth),
        ("operation error STS: ExpiredToken: StatusCode: 403", Class::Auth),
        ("UnauthorizedOperation: You are not authorized", Class::Forbidden),
        ("error: 401 Unauthorized", Class::Auth),
        ("403 Forbidden", Class::Forbidden),
        ("Failed to load plugin schemas", Class::Provider),
        ("Plugin did not respond", Class::Provider),
        ("Get https://x: dial tcp: lookup x: no such host", Class::Unreachable),
        ("Get \"https://x/\": dial tcp 10.0.0.1:443: connect: connection refused", Class::Unreachable),
        ("Inconsistent dependency lock file", Class::NeedsInit),
        ("Module not installed", Class::NeedsInit),
        ("Provider produced invalid plan", Class::Provider),
        ("timeout while waiting for plugin to start", Class::Provider),
        ("ExpiredTokenException: The security token included in the request is expired", Class::Auth),
        ("NoCredentialProviders: no valid providers in chain", Class::Auth),
        ("google: could not find default credentials.", Class::Auth),
        ("oauth2: \"invalid_grant\" \"reauth related error (invalid_rapt)\"", Class::Auth),
        (
            "building account: could not acquire access token: Please run 'az login' to setup account",
            Class::Auth,
        ),
        ("AccessDenied: Access Denied, status code: 403", Class::Forbidden),
        ("googleapi: Error 403: The caller does not have permission, forbidden", Class::Forbidden),
        ("AuthorizationFailed: The client does not have authorization to perform action", Class::Forbidden),
        ("Unsupported argument: timeout", Class::Exit),
    ] {
        assert_eq!(failure(summary, ""), Failure::new(class, summary));
    }
    // In the middle of a paragraph it is somebody's detail.
    assert_eq!(read("some words\nError: quoted\n│ Error: quoted\n"), None);
}
