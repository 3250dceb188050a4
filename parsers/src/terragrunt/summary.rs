//! The end of `terragrunt run --all`, on standard output behind everything else.
//!
//! ```text
//! ❯❯ Run Summary  4 units  62ms
//!    ────────────────────────────
//!    Succeeded    2                      or, with --summary-per-unit:      Succeeded (2)
//!    Failed       1                                                           vpc ............. 31ms
//!    Early Exits  1
//! ```

use crate::error::{ParseError, quote};
use crate::text::{Line, string};
use std::collections::BTreeMap;

/// How many units ended how, and which, where they are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// The line it begins at.
    pub line: u32,
    /// Units that ran to their end.
    pub succeeded: u64,
    /// Units that failed, or that didn't run because another did.
    pub failed: u64,
    /// Names of the latter.
    pub failed_units: Vec<String>,
}

/// Reads the summary among the lines that belong to no unit.
pub(super) fn read(lines: &[Line<'_>]) -> Result<Option<Summary>, ParseError> {
    let mut found: Option<(Summary, u64)> = None;
    let (mut open, mut counts, mut failing) = (false, BTreeMap::new(), false);
    for line in lines {
        let plain = string(&line.plain());
        let plain = plain.trim_end();
        if let Some(rest) = plain.strip_prefix("❯❯ Run Summary") {
            if found.is_some() {
                return Err(ParseError::contradiction("a second summary of a run")
                    .at(line.number)
                    .hint("one check reads one run: use a check for each"));
            }
            let total = rest.split_once(" units").and_then(|(n, _)| n.trim().parse().ok());
            let total = total.ok_or_else(|| {
                ParseError::format(format!("the line {}", quote(plain.as_bytes()))).at(line.number)
            })?;
            found = Some((Summary { line: line.number, ..Summary::default() }, total));
            open = true;
        } else if !open || plain.is_empty() {
            open = open && !plain.is_empty();
        } else if let Some(name) = plain.strip_prefix("      ") {
            if let (true, Some((summary, _)), Some(name)) = (failing, &mut found, unit(name)) {
                summary.failed_units.push(name.to_owned());
            }
        } else if let Some(words) = plain.strip_prefix("   ").filter(|words| !words.starts_with('─')) {
            let words = words.trim_end_matches(')').replace('(', " ");
            let entry =
                words.rsplit_once(' ').map(|(label, n)| (label.trim().to_owned(), n.parse::<u64>().ok()));
            let Some((label @ ("Succeeded" | "Failed" | "Early Exits" | "Excluded"), Some(n))) =
                entry.as_ref().map(|(label, n)| (label.as_str(), *n))
            else {
                return Err(ParseError::format(format!("the line {} of a summary", quote(plain.as_bytes())))
                    .at(line.number));
            };
            failing = matches!(label, "Failed" | "Early Exits");
            counts.insert(label.to_owned(), n);
        }
    }
    let Some((mut summary, total)) = found else { return Ok(None) };
    let count = |label: &str| counts.get(label).copied().unwrap_or_default();
    summary.succeeded = count("Succeeded");
    summary.failed = count("Failed").saturating_add(count("Early Exits"));
    let counted = summary.succeeded.saturating_add(summary.failed).saturating_add(count("Excluded"));
    if counted != total {
        return Err(ParseError::contradiction(format!("a summary of {total} units that counts {counted}"))
            .at(summary.line));
    }
    Ok(Some(summary))
}

/// `UNIT ....... 31ms`: dots or blanks fill the space between them.
fn unit(line: &str) -> Option<&str> {
    let (name, _) = line.trim_end().rsplit_once(' ')?;
    let name = name.trim_end();
    let dotless = name.trim_end_matches('.');
    let name = if dotless.ends_with(' ') { dotless.trim_end() } else { name };
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use crate::text::lines;

    fn of(text: &str) -> Result<Option<Summary>, Class> {
        read(&lines(text.as_bytes()).collect::<Vec<_>>()).map_err(|error| error.class)
    }

    #[test]
    fn counts_and_names_are_read_and_must_add_up() {
        let rule = "   ────────────────────────────\n";
        let text = format!(
            "x\n\n❯❯ Run Summary  7 units  62ms\n{rule}   Succeeded    2\n   Failed       1\n   Early Exits  3\n   Excluded     1\n\n   Failed 9\n"
        );
        let want = Summary { line: 3, succeeded: 2, failed: 4, failed_units: vec![] };
        assert_eq!(of(&text), Ok(Some(want.clone())));
        assert_eq!(
            of(&text.replace("Succeeded    2", "Succeeded    3")),
            Err(Class::UnreadableContradiction)
        );
        assert_eq!(of(&text.replace("   Excluded     1\n", "")), Err(Class::UnreadableContradiction));
        assert_eq!(of(&text.replace("Early", "Other")), Err(Class::UnreadableFormat));
        assert_eq!(of(&format!("{text}{text}")), Err(Class::UnreadableContradiction));
        let coloured =
            text.replace("Succeeded", "\u{1b}[32mSucceeded\u{1b}[0m").replace("❯❯", "\u{1b}[33m❯❯");
        assert_eq!(of(&coloured), Ok(Some(want)));
        let named = format!(
            "❯❯ Run Summary  4 units    62ms\n{rule}   Succeeded (2)\n      a ....... 1ms\n      b/c  2ms\n   Failed (1)\n      d/e ............ 3ms\n   Early Exits (1)\n      f.g  4ms\n"
        );
        let want = Summary {
            line: 1,
            succeeded: 2,
            failed: 2,
            failed_units: vec!["d/e".to_owned(), "f.g".to_owned()],
        };
        assert_eq!(of(&named), Ok(Some(want)));
        assert_eq!(of("No changes.\n"), Ok(None));
    }
}
