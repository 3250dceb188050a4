use super::*;
use crate::{Reading, Stream, Verdict};

const STDOUT: &[u8] = include_bytes!("../../../fixtures/puppet/drifted/stdout");
const DRIFTED: &[u8] = include_bytes!("../../../fixtures/puppet/drifted/files/last_run_report.yaml");
const CHANGED_ONLY: &[u8] =
    include_bytes!("../../../fixtures/puppet/unchanged-excluded/files/last_run_report.yaml");
const CLEAN: &[u8] = include_bytes!("../../../fixtures/puppet/clean/files/last_run_report.yaml");

fn reading(exit: i32, stdout: &[u8], reports: &[&[u8]]) -> Reading {
    let files: Vec<File<'_>> =
        reports.iter().map(|bytes| File { path: "state/last_run_report.yaml", bytes }).collect();
    let argv = &["puppet", "apply", "--noop", "site.pp"];
    let (stdout, stderr) = (Stream::whole(stdout), Stream::whole(b""));
    crate::read(&PARSER, None, &Input { argv, exit: Some(exit), stdout, stderr, files: &files })
}

/// Without any line on standard output to speak for the run.
fn verdict(report: &[u8]) -> Verdict {
    reading(0, b"", &[report]).verdict()
}

#[test]
fn no_cut_no_deleted_line_and_no_flipped_bit_makes_drift_clean() {
    for report in [DRIFTED, CHANGED_ONLY] {
        assert_eq!(verdict(report), Verdict::Drifted);
        let lines: Vec<&[u8]> = report.split_inclusive(|b| *b == b'\n').collect();
        for at in 0..lines.len() {
            let without = [&lines[..at], &lines[at + 1..]].concat().concat();
            assert_ne!(verdict(&without), Verdict::Clean, "without line {}", at + 1);
            assert_ne!(verdict(&lines[..at].concat()), Verdict::Clean, "cut at line {}", at + 1);
        }
    }
    // Each byte's own bit, another one in the next; of the shorter report, since each is read whole.
    for at in (0..CHANGED_ONLY.len()).step_by(3) {
        let mut flipped = CHANGED_ONLY.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert_ne!(verdict(&flipped), Verdict::Clean, "bit {} of byte {at}", at % 8);
    }
}

#[test]
fn a_report_of_another_run_or_none_is_refused() {
    assert_eq!(reading(0, STDOUT, &[DRIFTED]).verdict(), Verdict::Drifted);
    let class = |reading: Reading| reading.class();
    assert_eq!(class(reading(0, STDOUT, &[CLEAN])), Some(Class::UnreadableContradiction));
    assert_eq!(
        class(reading(0, b"Notice: Applied catalog in 9.99 seconds\n", &[CLEAN])),
        Some(Class::UnreadableContradiction)
    );
    assert_eq!(class(reading(0, STDOUT, &[])), Some(Class::UnreadableFormat));
    assert_eq!(class(reading(2, b"", &[CLEAN])), Some(Class::UnreadableContradiction));
    assert_eq!(class(reading(0, b"", &[CLEAN, DRIFTED])), Some(Class::UnreadableContradiction));
}

#[test]
fn several_hosts_are_scopes_of_their_own() {
    let other = String::from_utf8_lossy(CLEAN).replace("host: web1.", "host: web2.");
    let read = reading(0, b"", &[DRIFTED, other.as_bytes()]);
    assert_eq!(read.verdict(), Verdict::Drifted);
    assert_eq!(read.report().unwrap().scopes().read, ["web1.example.com", "web2.example.com"]);
    let failed = other.replace("status: unchanged", "status: failed");
    assert_eq!(reading(0, b"", &[DRIFTED, failed.as_bytes()]).verdict(), Verdict::Partial);
}

#[test]
fn a_file_where_reports_stand_is_one_or_refused() {
    let run = |path, text: &[u8]| {
        let files = [File { path: "h1/202611240101.yaml", bytes: CLEAN }, File { path, bytes: text }];
        let argv = &["puppet", "agent", "--noop", "--onetime"];
        let (stdout, stderr) = (Stream::whole(b""), Stream::whole(b""));
        crate::read(&PARSER, None, &Input { argv, exit: Some(0), stdout, stderr, files: &files }).verdict()
    };
    for text in ["", "host: h2\nstatus: unchanged\n"] {
        assert_eq!(run("h2/202611240101.yaml", text.as_bytes()), Verdict::Unreadable, "{text:?}");
        assert_eq!(run("state/last_run_summary.yaml", text.as_bytes()), Verdict::Clean, "{text:?}");
    }
}

#[test]
fn a_report_is_one_by_its_first_line_its_name_or_its_keys() {
    let run = |files: &[(&str, &[u8])]| {
        let files: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes }).collect();
        let argv = &["./all-hosts.sh"];
        let (stdout, stderr) = (Stream::whole(b""), Stream::whole(b""));
        let input = Input { argv, exit: Some(0), stdout, stderr, files: &files };
        (recognise(&input).is_some(), crate::read(&PARSER, None, &input).verdict())
    };
    for (path, text, is_one) in [
        ("report", TAG, true),
        ("state/last_run_report.yaml", b"", true),
        ("report", b"host: a\nresource_statuses: {}\n", true),
        ("state/state.yaml", b"host: a\n", false),
    ] {
        assert_eq!(run(&[(path, text)]).0, is_one, "{path}");
    }
    let other = edited(DRIFTED, &[("host: web1.", "host: web2.")]);
    assert_eq!(run(&[("web1.yaml", CLEAN), ("web2", other.as_bytes())]), (true, Verdict::Drifted));
}

/// A report in which the first of each text stands as another.
fn edited(report: &[u8], edits: &[(&str, &str)]) -> String {
    let report = String::from_utf8_lossy(report).into_owned();
    edits.iter().fold(report, |report, (from, to)| {
        assert!(report.contains(from), "{from}");
        report.replacen(from, to, 1)
    })
}

#[test]
fn counts_flags_and_names_must_be_those_of_the_resources() {
    let (of_sync, skipped) = ("Out of sync\n      - 6", "Skipped\n      - 0");
    for edits in [
        &[(of_sync, "Out of sync\n      - 7")][..],
        &[(of_sync, "Out of sync\n      - 5")],
        &[(of_sync, "Out of sync\n      - 5"), ("out_of_sync: true", "out_of_sync: false")],
        &[("out_of_sync_count: 2", "out_of_sync_count: 3")],
        &[("skipped: false", "skipped: true")],
        &[("title: \"/srv/y/motd\"", "title: \"/srv/y/other\"")],
        &[("resource: File[/srv/y/motd]", "resource: File[/srv/y/other]")],
    ] {
        let report = edited(CHANGED_ONLY, edits);
        let class = reading(0, b"", &[report.as_bytes()]).class();
        assert_eq!(class, Some(Class::UnreadableContradiction), "{edits:?}");
    }
    // `exclude_unchanged_resources` leaves skipped ones out.
    let more = edited(CHANGED_ONLY, &[(skipped, "Skipped\n      - 1")]);
    assert_eq!(verdict(more.as_bytes()), Verdict::Drifted);
    let total = "    - - total\n      - Total\n      - 16\n";
    let success = "    - - success\n      - Success\n      - 0\n";
    for (from, more) in [(total, total), (success, "    - - noop\n      - Noop\n      - many\n")] {
        let report = edited(CLEAN, &[(from, &format!("{from}{more}"))]);
        let class = reading(0, b"", &[report.as_bytes()]).class();
        assert_eq!(class, Some(Class::UnreadableFormat), "{more}");
    }
}

#[test]
fn flags_that_came_with_format_11_are_missing_before_it_only() {
    let pending = "noop_pending: false\n";
    for (format, flag, want) in [
        (12, "", Verdict::Unreadable),
        (11, "", Verdict::Unreadable),
        (10, "", Verdict::Clean),
        (10, pending, Verdict::Clean),
        (10, "noop_pending: true\n", Verdict::Unreadable),
        (12, "noop_pending: true\n", Verdict::Unreadable),
        (12, "noop_pending: maybe\n", Verdict::Unreadable),
    ] {
        let report =
            edited(CLEAN, &[("report_format: 12", &format!("report_format: {format}")), (pending, flag)]);
        assert_eq!(verdict(report.as_bytes()), want, "{format} {flag}");
    }
    let ended = edited(CLEAN, &[("transaction_completed: true", "transaction_completed: false")]);
    assert_eq!(verdict(ended.as_bytes()), Verdict::Failed);
}

#[test]
fn a_resource_that_failed_in_any_way_is_told() {
    for edit in [
        (" failed: false", " failed: true"),
        ("failed_to_restart: false", "failed_to_restart: true"),
        ("      status: noop", "      status: failure"),
    ] {
        let report = edited(CHANGED_ONLY, &[edit]);
        let reading = reading(0, b"", &[report.as_bytes()]);
        let reason = "a resource of web1.example.com failed, File[/srv/y/motd]".to_owned();
        assert_eq!((reading.class(), reading.reason()), (Some(Class::ScopeFailed), Some(reason)), "{edit:?}");
    }
}

#[test]
fn ensure_creates_deletes_or_updates() {
    for (property, before, after, name, want) in [
        ("ensure", "file", "absent", "ensure_changed", Action::Delete),
        ("ensure", "present", "purged", "ensure_changed", Action::Delete),
        ("ensure", "absent", "present", "ensure_changed", Action::Create),
        ("ensure", "'[redacted]'", "'[redacted]'", "user_created", Action::Create),
        ("ensure", "'[redacted]'", "'[redacted]'", "user_removed", Action::Delete),
        ("ensure", "stopped", "running", "ensure_changed", Action::Update),
        ("mode", "absent", "'0644'", "mode_created", Action::Update),
    ] {
        let event =
            format!("property: {property}\nprevious_value: {before}\ndesired_value: {after}\nname: {name}\n");
        assert_eq!(action_of(&yaml::load(&event).unwrap()), want, "{event}");
    }
}

#[test]
fn a_catalog_of_the_cache_is_told() {
    for (status, why) in
        [("on_failure", "no catalog came"), ("explicitly_requested", "its settings ask for it")]
    {
        let old = edited(CLEAN, &[("status: not_used", &format!("status: {status}"))]);
        let read = reading(0, b"", &[old.as_bytes()]);
        let remark = Diagnostic::warning(format!(
            "web1.example.com was compared with the catalog in its cache, an older one: {why}"
        ));
        assert_eq!((read.verdict(), read.report().unwrap().diagnostics()), (Verdict::Clean, &[remark][..]));
    }
}

#[test]
fn the_first_error_tells_the_class() {
    for (words, class) in [
        (
            "\u{1b}[1;31mError: Facter: x\u{1b}[0m\nError: Could not parse for environment production: x\n",
            Class::Other,
        ),
        (
            "Error: Request to https://p:8140 failed: Failed to open TCP connection to p:8140\n",
            Class::Unreachable,
        ),
        ("Error: certificate verify failed\n", Class::Auth),
        (
            "Error: Could not retrieve catalog from remote server: Error 403 on SERVER: Forbidden request\n",
            Class::Forbidden,
        ),
        ("Error: Facter: x\n", Class::Exit),
    ] {
        let (stdout, stderr) = (Stream::whole(b""), Stream::whole(words.as_bytes()));
        let input = Input { argv: &[], exit: Some(1), stdout, stderr, files: &[] };
        assert_eq!(crate::read(&PARSER, None, &input).class(), Some(class), "{words}");
    }
    for (words, class) in [
        ("Run of Puppet configuration client already in progress; skipping  (/x exists)", Class::StateLock),
        (
            "Skipping run of Puppet configuration client; administratively disabled (Reason: 'x');",
            Class::Other,
        ),
        ("Applied catalog in 0.01 seconds", Class::Exit),
    ] {
        let reading = reading(1, format!("Notice: {words}\n").as_bytes(), &[]);
        assert_eq!(reading.class(), Some(class), "{words}");
    }
}
