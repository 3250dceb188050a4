//! The words of a plan: what a header says will happen, the counts of a `Plan:` line, and what no other tool prints.

use crate::report::Action;
use crate::terraform_address::leading;
use crate::text;
use memchr::memmem;

/// Lines at column 0 that no other tool prints.
pub(super) const SIGNS: &[(&str, &str)] = &[
    ("Terraform will perform the following actions:", "a list of planned actions"),
    ("OpenTofu will perform the following actions:", "a list of planned actions"),
    ("Terraform used the selected providers", "the words before a plan"),
    ("OpenTofu used the selected providers", "the words before a plan"),
    ("Terraform planned the following actions", "a list of planned actions"),
    ("OpenTofu planned the following actions", "a list of planned actions"),
    ("An execution plan has been generated and is shown below.", "the words before a plan"),
    ("Note: Objects have changed outside of ", "a list of changes from outside"),
    ("Planning failed. ", "a failed plan"),
    ("Running plan in ", "a remote plan"),
    ("Preparing the remote plan...", "a remote plan"),
    ("You can apply this plan to save these new output values", "a plan of outputs"),
    ("No changes. Your infrastructure ", "terraform's no changes"),
    ("No changes. Infrastructure is up-to-date.", "terraform's no changes"),
    ("No changes. No objects need to be destroyed.", "terraform's no changes"),
];

pub(super) fn evidence(raw: &[u8]) -> Option<&'static str> {
    if raw.first().is_none_or(|first| matches!(first, b' ' | b'{')) {
        return None;
    }
    let line = text::strip_ansi(raw);
    if let Some((_, sign)) = SIGNS.iter().find(|(words, _)| line.starts_with(words.as_bytes())) {
        return Some(sign);
    }
    if counts(&line).is_some() {
        return Some("a plan's counts");
    }
    refreshes(&line).then_some("a resource being refreshed")
}

/// `ADDR: Refreshing state... [id=x]`
pub(super) fn refreshes(line: &[u8]) -> bool {
    let address = memmem::find(line, b": Refreshing state...").and_then(|at| line.get(..at));
    address
        .and_then(|address| str::from_utf8(address).ok())
        .and_then(leading)
        .is_some_and(|(_, rest)| rest.is_empty())
}

/// What stands below a plan with changes, and never below "No changes."
pub(super) const BELOW: [&[u8]; 4] = [
    b"Note: You didn't use the -out option",
    b"Note: You didn't specify an \"-out\" parameter",
    b"Saved the plan to: ",
    b"This plan was saved to: ",
];

/// What may stand before `resource "T" "N" {`, without blanks.
pub(super) type Symbols = &'static [&'static str];

const REPLACES: Symbols = &["-/+", "+/-", "+/.", "./+"];

/// The words after an address that say what will happen to it, and the symbols that go with them.
pub(super) const PLANNED: &[(&str, Action, Symbols)] = &[
    (" will be created", Action::Create, &["+"]),
    (" will be updated in-place", Action::Update, &["~"]),
    (" will be destroyed", Action::Delete, &["-"]),
    (" must be replaced", Action::Replace, REPLACES),
    (" is tainted, so must be replaced", Action::Replace, REPLACES),
    (" is tainted, so it must be replaced", Action::Replace, REPLACES),
    (" will be replaced, as requested", Action::Replace, REPLACES),
    (" will be replaced due to changes in replace_triggered_by", Action::Replace, REPLACES),
    (" will be read during apply", Action::Read, &["<="]),
    (" will be imported", Action::Import, &[""]),
    (" will no longer be managed by Terraform, but will not be destroyed", Action::Forget, &["."]),
    (" will be removed from Terraform state, but will not be destroyed", Action::Forget, &["."]),
    (" will be removed from the OpenTofu state but will not be destroyed", Action::Forget, &["."]),
    (" must be replaced, but the existing object will not be destroyed", Action::Replace, REPLACES),
    (
        " must be replaced - older instance will not be destroyed (lifecycle.destroy = false)",
        Action::Replace,
        REPLACES,
    ),
];

pub(super) const DRIFTED: &[(&str, Action, Symbols)] = &[
    (" has changed", Action::Update, &["~"]),
    (" has been changed", Action::Update, &["~"]),
    (" has been deleted", Action::Delete, &["-"]),
];

/// The numbers of a `Plan:` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub import: u64,
    pub add: u64,
    pub change: u64,
    pub destroy: u64,
    pub forget: u64,
}

/// `Plan: [N to import, ]A to add, C to change, D to destroy[, N to forget].[ Actions: N to invoke.]`, and whether it counts
/// what is forgotten.
pub(super) fn counts(line: &[u8]) -> Option<(Counts, bool)> {
    let line = str::from_utf8(line).ok()?.strip_prefix("Plan: ")?.trim_end();
    let (line, actions) = line.split_once('.')?;
    if let Some(actions) = actions.strip_prefix(" Actions: ") {
        actions.strip_suffix(" to invoke.")?.parse::<u64>().ok()?;
    } else if !actions.is_empty() {
        return None;
    }
    let (mut counts, mut forgets) = (Counts::default(), false);
    let mut words: Vec<&str> = Vec::with_capacity(5);
    for item in line.split(", ") {
        let (number, word) = item.split_once(" to ")?;
        let number = number.parse().ok()?;
        match word {
            "import" => counts.import = number,
            "add" => counts.add = number,
            "change" => counts.change = number,
            "destroy" => counts.destroy = number,
            "forget" => {
                counts.forget = number;
                forgets = true;
            }
            _ => return None,
        }
        words.push(word);
    }
    let words = words.strip_prefix(&["import"]).unwrap_or(&words);
    let words = words.strip_suffix(&["forget"]).unwrap_or(words);
    (words == ["add", "change", "destroy"]).then_some((counts, forgets))
}
