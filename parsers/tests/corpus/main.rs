//! Walks a corpus of real outputs that stands beside the project (`../shared/corpus`, or `$DRIFTRUN_CORPUS`) and holds what
//! is read against what is known of each file. Prints how many were read exactly, refused, or wrong. Skips with a line when the
//! corpus is not there; with `DRIFTRUN_CORPUS` set it must be.

mod ansible;
mod kubernetes;
mod terraform;

use driftrun_parsers::{DriftReport, Input, Reading, Stream, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Check = Box<dyn Fn(&DriftReport) -> Result<(), String>>;

/// One file of the corpus with what is known of it.
struct Case {
    /// Path below the corpus, for people.
    path: String,
    parser: &'static str,
    /// The command line whose exit code counts, where known.
    argv: Vec<String>,
    exit: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// A recorded run of a version that this project promises to read exactly: refusing is wrong, too.
    promised: bool,
    /// Says what is wrong with a report that was read.
    check: Check,
    /// Verdicts that are right.
    verdicts: Vec<Verdict>,
}

impl Case {
    fn read(&self) -> Reading {
        let argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        let input = Input {
            argv: &argv,
            exit: self.exit,
            stdout: Stream::whole(&self.stdout),
            stderr: Stream::whole(&self.stderr),
            files: &[],
        };
        let parser = driftrun_parsers::by_name(self.parser).expect("a parser's name");
        driftrun_parsers::read(parser, None, &input)
    }

    /// `Ok(true)`: read exactly; `Ok(false)`: refused; `Err`: wrong, and why.
    fn judge(&self) -> Result<bool, String> {
        let reading = self.read();
        let verdict = reading.verdict();
        let reason = reading.reason().unwrap_or_default();
        match &reading {
            Reading::Unreadable(_) if !self.promised || self.verdicts.contains(&Verdict::Unreadable) => {
                Ok(false)
            }
            _ if !self.verdicts.contains(&verdict) => {
                Err(format!("{} instead of {:?}: {reason}", verdict.as_str(), self.verdicts))
            }
            Reading::Read(report) => (self.check)(report).map(|()| true),
            Reading::Failed { .. } => Ok(true),
            Reading::Unreadable(_) => Ok(false),
        }
    }
}

/// Where the corpus is, if it is anywhere.
fn root() -> Option<PathBuf> {
    let named = std::env::var_os("DRIFTRUN_CORPUS").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    if let Some(named) = named {
        assert!(named.is_dir(), "DRIFTRUN_CORPUS={} is no folder", named.display());
        return Some(named);
    }
    usual.is_dir().then_some(usual)
}

fn walk(tool: &str, cases: fn(&Path) -> Vec<Case>) {
    let Some(root) = root() else {
        eprintln!("skipped: no corpus at ../shared/corpus and DRIFTRUN_CORPUS is not set");
        return;
    };
    let cases = cases(&root);
    assert!(!cases.is_empty(), "no case of {tool} in {}", root.display());
    let mut table: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let row = table.entry(case.parser).or_default();
        match case.judge() {
            Ok(true) => row[0] += 1,
            Ok(false) => {
                row[1] += 1;
                if std::env::var_os("CORPUS_REFUSED").is_some() {
                    println!(
                        "refused {} {}: {}",
                        case.parser,
                        case.path,
                        case.read().reason().unwrap_or_default()
                    );
                }
            }
            Err(why) => {
                row[2] += 1;
                wrong.push(format!("{} {} (exit {:?}): {why}", case.parser, case.path, case.exit));
            }
        }
    }
    for (parser, [exact, refused, wrong]) in &table {
        println!(
            "corpus: {tool}: {parser}: {} outputs: {exact} exact, {refused} refused, {wrong} wrong",
            exact + refused + wrong
        );
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn terraform_and_opentofu() {
    walk("terraform", terraform::cases);
}

#[test]
fn units_of_terragrunt_read_as_their_plans_do() {
    walk("terragrunt", terraform::units);
}

#[test]
fn one_form_of_a_plan_is_never_read_as_another() {
    walk("terraform, other forms", terraform::mistaken);
}

#[test]
fn ansible_is_read_exactly_or_refused() {
    walk("ansible", ansible::cases);
}

#[test]
fn kubernetes_outputs_read_as_they_are_known() {
    walk("kubernetes", kubernetes::cases);
}

#[test]
fn one_tool_s_difference_is_never_read_as_another_s() {
    walk("kubernetes, other tools", kubernetes::mistaken);
}

#[test]
fn no_beginning_of_ansible_s_output_reads_as_clean() {
    if let Some(root) = root() {
        ansible::no_beginning_reads_as_clean(&root);
    }
}
