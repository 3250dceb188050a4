//! Reports for terminals and programs: what `once` and `parse` print.

use driftrun_parsers::{Action, Document, Resource, Source, Verdict};
use std::fmt::Write as _;

/// What one check came to, for printing.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The check's name; `None` where there is only one thing.
    pub name: Option<&'a str>,
    /// The report.
    pub document: Document<'a>,
}

/// The exit code of `once` and `parse`: 0 all clean, 2 something drifted and everything was read, 1 anything else.
pub fn exit_code(verdicts: impl Iterator<Item = Verdict>) -> u8 {
    let mut code = 0;
    for verdict in verdicts {
        match verdict {
            Verdict::Clean => {}
            Verdict::Drifted => code = 2,
            Verdict::Partial | Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => return 1,
        }
    }
    code
}

/// A table of the drift, and a line that sums it up.
pub fn table(all: &[Shown<'_>]) -> String {
    let mut out = String::new();
    let width = all.iter().filter_map(|shown| shown.name).map(|name| name.chars().count()).max().unwrap_or(0);
    for Shown { name, document } in all {
        let drifted: Vec<&Resource> = document.resources.iter().filter(|r| r.drift && !r.ignored).collect();
        if let Some(name) = name {
            let _ = write!(out, "{name:width$}  ");
        }
        let _ = write!(out, "{}", document.verdict.as_str());
        if !drifted.is_empty() {
            let _ = write!(out, ": {}", counts(&drifted));
        }
        if let Some(reason) = &document.reason {
            let _ = write!(out, ": {reason}");
        }
        out.push('\n');
        rows(&mut out, &drifted);
        let ignored: Vec<&Resource> = document.resources.iter().filter(|r| r.ignored).collect();
        if !ignored.is_empty() {
            let _ = writeln!(out, "  ignored: {}", counts(&ignored));
        }
        let rest: Vec<&Resource> = document.resources.iter().filter(|r| !r.drift).collect();
        if !rest.is_empty() {
            let _ = writeln!(out, "  no drift, but reported: {}", counts(&rest));
        }
        for remark in document.diagnostics {
            let line = remark.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let _ = writeln!(out, "  {:?}: {}{line}", remark.severity, remark.summary);
        }
    }
    if all.len() > 1 {
        let verdicts: Vec<String> = Verdict::ALL
            .into_iter()
            .map(|verdict| (verdict, all.iter().filter(|shown| shown.document.verdict == verdict).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {}", verdict.as_str()))
            .collect();
        let _ = writeln!(out, "\n{} checks: {}", all.len(), verdicts.join(", "));
    }
    out
}

fn rows(out: &mut String, resources: &[&Resource]) {
    let width =
        |text: fn(&Resource) -> &str| resources.iter().map(|r| text(r).chars().count()).max().unwrap_or(0);
    let (actions, scopes, kinds) = (width(|r| r.action.as_str()), width(|r| &r.scope), width(|r| &r.kind));
    for r in resources {
        let mut line = format!("  {:actions$}  ", r.action.as_str());
        for (text, width) in [(&r.scope, scopes), (&r.kind, kinds)] {
            if width > 0 {
                let _ = write!(line, "{text:width$}  ");
            }
        }
        line.push_str(&printable(&r.name));
        if r.count > 1 {
            let _ = write!(line, " × {}", r.count);
        }
        if let Some(previous) = &r.previous_name {
            let _ = write!(line, " (was {})", printable(previous));
        }
        if r.source == Source::Refresh {
            line.push_str(" (changed outside)");
        } else if r.outside {
            line.push_str(" (also changed outside)");
        }
        if let Some(paths) = r.attributes.as_ref().filter(|paths| !paths.is_empty()) {
            let _ = write!(line, ": {}", printable(&paths.join(", ")));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Nothing that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn counts(resources: &[&Resource]) -> String {
    let counts: Vec<String> = Action::ALL
        .into_iter()
        .map(|action| (action, resources.iter().filter(|r| r.action == action).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(action, count)| format!("{count} to {}", action.as_str()))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_beside_drift_is_1() {
        use Verdict::{Clean, Drifted, Failed, Partial};
        let code = |verdicts: &[Verdict]| exit_code(verdicts.iter().copied());
        assert_eq!((code(&[]), code(&[Clean]), code(&[Clean, Drifted, Clean])), (0, 0, 2));
        assert_eq!((code(&[Drifted, Failed]), code(&[Partial, Clean])), (1, 1));
    }
}
