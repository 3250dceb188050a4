//! The report of `puppet agent --noop` with any number of resources, of which every so manieth is out of sync.

use super::Output;
use super::pieces::{Piece, between, fixture};
use std::fmt::Write as _;

/// One host's report: the metrics fit the resources, as the parser demands.
pub fn report(size: usize, every: usize) -> Output {
    let real = fixture("puppet/drifted/files/last_run_report.yaml");
    let drifted = between(&real, "  File[/srv/y/www]:\n", "  File[/srv/y/current]:\n");
    let synced = between(&real, "  Exec[reload app]:\n", "  Exec[touch marker]:\n");
    let (drifted, synced) = (Piece::new(drifted, &["/srv/y/www"]), Piece::new(synced, &["reload app"]));
    let entry = "- level: notice\n  message: current_value '0700'";
    let logged = Piece::new(between(&real, entry, "- level: notice"), &["/srv/y/www"]);
    let resources = size.div_ceil(every);
    let (mut log, mut statuses) = (String::new(), String::with_capacity(size * synced.len()));
    let mut own = String::new();
    for n in 0..size {
        own.clear();
        if n % every == 0 {
            let _ = write!(own, "/srv/y/www{n}");
            logged.put(&mut log, &[&own]);
            drifted.put(&mut statuses, &[&own]);
        } else {
            let _ = write!(own, "reload app {n}");
            synced.put(&mut statuses, &[&own]);
        }
    }
    let head = between(&real, "--- !ruby", entry);
    let tail = between(&real, "- level: notice\n  message: Applied catalog", "  File[/srv/y/motd]:\n");
    let numbers = [
        "- Total\n      - 16\n",
        "- Out of sync\n      - 6\n",
        "- Total\n      - 7\n",
        "- Noop\n      - 7\n",
    ];
    let [total, out_of_sync, events, noop] = [
        format!("- Total\n      - {size}\n"),
        format!("- Out of sync\n      - {resources}\n"),
        format!("- Total\n      - {resources}\n"),
        format!("- Noop\n      - {resources}\n"),
    ];
    let mut text = String::with_capacity(head.len() + log.len() + tail.len() + statuses.len());
    // Entries of the resources that are left out.
    text += between(head, "--- !ruby", "- level: notice");
    text += &log;
    Piece::new(tail, &numbers).put(&mut text, &[&total, &out_of_sync, &events, &noop]);
    text += &statuses;
    Output { text, resources }
}
