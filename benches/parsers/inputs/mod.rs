//! What is measured: one row for each form of output, with a function that makes one of any size from pieces of `fixtures/`.
//!
//! A format whose output is one part after another takes three lines in [`FORMATS`]: [`repeated`] finds the part in a fixture and
//! gives each copy a name of its own. A parser without a row is named at the end of every round.

mod ansible;
mod pieces;
mod puppet;
mod salt;
mod terraform;

use ansible::Play;
use pieces::{Piece, between, real};
use std::fmt::Write as _;

/// One output and how many resources must be found in it.
pub struct Output {
    pub text: String,
    pub resources: usize,
}

/// What a format's speed is held against.
#[derive(Clone, Copy)]
pub enum Target {
    /// At least 1 GB/s, and at least a third of an iteration over the lines.
    Lines,
    /// At most so many times what `serde_json` takes to throw the one value away.
    Ignored(f64),
    /// The same is printed for JSON, of one value or one a line; nothing is asked.
    Json,
    /// Printed beside the events of the YAML library, thrown away; nothing is asked.
    Yaml,
}

/// One form of output.
pub struct Format {
    /// What the table calls it, and what `--once` asks for.
    pub title: &'static str,
    pub parser: &'static str,
    /// What the parser is given: standard output, or a file of that name.
    pub file: Option<&'static str>,
    pub exit: i32,
    /// How many resources, tasks or objects the full input has.
    pub size: usize,
    pub target: Target,
    pub make: fn(usize) -> Output,
}

const MILLION: usize = 1_000_000;

/// Every form, in the order of the table.
#[rustfmt::skip]
pub const FORMATS: &[Format] = &[
    Format { title: "terraform-1%", parser: "terraform", file: None, exit: 2, size: MILLION, target: Target::Lines,
        make: |n| terraform::text(n, 100) },
    Format { title: "terraform-all", parser: "terraform", file: None, exit: 2, size: MILLION, target: Target::Lines,
        make: |n| terraform::text(n, 1) },
    Format { title: "terraform-json-1%", parser: "terraform-json", file: None, exit: 2, size: MILLION, target: Target::Json,
        make: |n| terraform::stream(n, 100) },
    Format { title: "terraform-json-all", parser: "terraform-json", file: None, exit: 2, size: MILLION, target: Target::Json,
        make: |n| terraform::stream(n, 1) },
    Format { title: "terraform-show-1%", parser: "terraform-show", file: None, exit: 2, size: MILLION, target: Target::Ignored(3.0),
        make: |n| terraform::show(n, 100) },
    Format { title: "terraform-show-all", parser: "terraform-show", file: None, exit: 2, size: MILLION / 10, target: Target::Ignored(12.0),
        make: |n| terraform::show(n, 1) },
    Format { title: "ansible-2%", parser: "ansible", file: None, exit: 0, size: 100_000, target: Target::Lines,
        make: |n| ansible::text(n, Play { hosts: 10, every: 50 }) },
    Format { title: "ansible-10%", parser: "ansible", file: None, exit: 0, size: 100_000, target: Target::Lines,
        make: |n| ansible::text(n, Play { hosts: 10, every: 10 }) },
    Format { title: "ansible-json", parser: "ansible-json", file: None, exit: 0, size: 100_000, target: Target::Json,
        make: |n| ansible::json(n, Play { hosts: 1, every: 50 }) },
    Format { title: "ansible-jsonl", parser: "ansible-jsonl", file: None, exit: 0, size: 100_000, target: Target::Json,
        make: |n| ansible::jsonl(n, Play { hosts: 2, every: 50 }) },
    Format { title: "kubectl", parser: "kubectl", file: None, exit: 1, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "kubectl/changed", "diff -u", "\ndiff -u", ".shop.web") },
    Format { title: "kubectl-U9999", parser: "kubectl", file: None, exit: 1, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "kubectl/full-context", "diff -u", "\ndiff -u", ".shop.web") },
    Format { title: "kubediff", parser: "kubediff", file: None, exit: 2, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "kubediff/drift", "## shop/web", "\n## ", "shop/web") },
    Format { title: "argocd", parser: "argocd", file: None, exit: 1, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "argocd/normal", "\n===== apps/Deployment shop/web", "\n=====", "shop/web") },
    Format { title: "helm-diff", parser: "helm-diff", file: None, exit: 2, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "helm-diff/changes", "shop, web, ", "\nshop, db", "shop, web") },
    Format { title: "flux", parser: "flux", file: None, exit: 1, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "flux/changes", "► Deployment/shop/web", "► ConfigMap", "Deployment/shop/web") },
    Format { title: "ansible-minimal", parser: "ansible-minimal", file: None, exit: 0, size: 50_000, target: Target::Lines,
        make: |n| repeated(n, "ansible-minimal/drifted", "--- before", "--- before: /srv/adhoc/target/web2", "web1") },
    Format { title: "salt", parser: "salt", file: None, exit: 0, size: 100_000, target: Target::Json,
        make: |n| salt::json(n, 50) },
    Format { title: "puppet", parser: "puppet", file: Some("last_run_report.yaml"), exit: 0, size: 20_000, target: Target::Yaml,
        make: |n| puppet::report(n, 50) },
];

/// The format of that title.
pub fn named(title: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.title == title)
}

/// Copies of the part of a fixture from `first` to before `next`, each with a number behind `name`: outputs without a beginning and an end.
fn repeated(size: usize, case: &str, first: &str, next: &str, name: &str) -> Output {
    let real = real(case);
    let part = between(&real, first, next);
    let part = part.strip_suffix('\n').unwrap_or(part).to_owned() + "\n";
    let part = Piece::new(&part, &[name]);
    let mut text = String::with_capacity(size * part.len());
    let mut own = String::new();
    for n in 0..size {
        own.clear();
        let _ = write!(own, "{name}{n}");
        part.put(&mut text, &[&own]);
    }
    Output { text, resources: size }
}
