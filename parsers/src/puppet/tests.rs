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
fn a_catalog_of_the_cache_is_told() {
    let old = String::from_utf8_lossy(CLEAN)
        .replace("cached_catalog_status: not_used", "cached_catalog_status: on_failure");
    let read = reading(0, b"", &[old.as_bytes()]);
    let remark = Diagnostic::warning(
        "web1.example.com was compared with the catalog in its cache, an older one: no catalog came",
    );
    assert_eq!((read.verdict(), read.report().unwrap().diagnostics()), (Verdict::Clean, &[remark][..]));
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
}
