//! The list of actions as Terraform 0.11 prints it: no headers, no braces.
//!
//! ```text
//! -/+ null_resource.a (tainted) (new resource required)
//!       id:         "5327819019879073733" => <computed> (forces new resource)
//!       triggers.%: "1" => "1"
//!       triggers.k: "1" => "2" (forces new resource)
//!
//!   - module.m.null_resource.b[1] (deposed)
//! Plan: 1 to add, 0 to change, 2 to destroy.
//! ```
//!
//! Without colours the first resource has lost its leading blanks. An attribute is named by its whole path, in which nothing tells a map's key that
//! holds a dot from what lies deeper: only `tags.env` is believed, of anything longer or with a number no more than the first name.

use crate::report::Action;
use crate::terraform_address::{Address, leading};
use crate::terraform_show::member;

const SYMBOLS: [(&str, Action); 5] = [
    ("  + ", Action::Create),
    ("  ~ ", Action::Update),
    ("  - ", Action::Delete),
    ("-/+ ", Action::Replace),
    (" <= ", Action::Read),
];

/// The action and the address that a resource begins with; its notes have to fit the action.
pub(super) fn header(line: &[u8], first: bool) -> Option<(Action, Address<'_>)> {
    let line = str::from_utf8(line).ok()?;
    let (action, words) = SYMBOLS.iter().find_map(|(symbol, action)| {
        let trimmed = line.strip_prefix(symbol.trim_start()).filter(|_| first);
        line.strip_prefix(symbol).or(trimmed).map(|words| (*action, words))
    })?;
    let (mut address, notes) = leading(words)?;
    let notes = notes.strip_prefix(" (tainted)").unwrap_or(notes);
    let (deposed, notes) = notes.strip_prefix(" (deposed)").map_or((false, notes), |notes| (true, notes));
    address.deposed = deposed;
    let all = if action == Action::Replace { " (new resource required)" } else { "" };
    (notes == all).then_some((action, address))
}

/// What a line of a resource's attributes says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// It changes; its path.
    Changed(String),
    /// It doesn't, or only counts others.
    Same,
}

/// Reads one line; `None`: not understood.
pub(super) fn attribute(words: &[u8]) -> Option<Attribute> {
    let words = str::from_utf8(words).ok()?;
    // A key may hold a colon: the values are what comes after the first one that they can follow.
    let (key, values) = words.match_indices(": ").find_map(|(at, colon)| {
        let (key, rest) = words.split_at_checked(at)?;
        let rest = rest.strip_prefix(colon)?.trim_start();
        rest.starts_with(['"', '<']).then_some((key, rest))
    })?;
    let (before, rest) = value(values)?;
    let (after, note) = value(rest.strip_prefix(" => ")?)?;
    if !matches!(note, "" | " (forces new resource)" | " (attribute changed)") || key.contains(' ') {
        return None;
    }
    let mut parts = key.split('.');
    let (name, second, third) = (parts.next()?, parts.next(), parts.next());
    if name.is_empty() {
        return None;
    }
    if matches!(second, Some("#" | "%")) && third.is_none() && after != "<computed>" {
        return Some(Attribute::Same);
    }
    // What is hidden may differ, what is shown twice doesn't.
    if before == after && before.starts_with('"') {
        return Some(Attribute::Same);
    }
    let numbered =
        |part: &str| part.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '~' | '#' | '%'));
    Some(Attribute::Changed(match (second, third) {
        (Some(key), None) if !numbered(key) => member(name, key),
        _ => name.to_owned(),
    }))
}

/// `"…"`, `<computed>` or `<sensitive>`, and what follows.
fn value(text: &str) -> Option<(&str, &str)> {
    for word in ["<computed>", "<sensitive>"] {
        if text.starts_with(word) {
            return text.split_at_checked(word.len());
        }
    }
    let mut escaped = false;
    let end = text.strip_prefix('"')?.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    });
    text.split_at_checked(end?.checked_add(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_begins_with_its_symbol() {
        let of = |line: &str, first| {
            header(line.as_bytes(), first).map(|(action, a)| (action, a.full.to_owned(), a.deposed))
        };
        let some = |action, name: &str, deposed| Some((action, name.to_owned(), deposed));
        assert_eq!(of("- t.gone", true), some(Action::Delete, "t.gone", false));
        assert_eq!(of("<= data.t.n", true), some(Action::Read, "data.t.n", false));
        assert_eq!(of("  ~ module.m.t.n[1]", false), some(Action::Update, "module.m.t.n[1]", false));
        assert_eq!(of("  - t.n (deposed)", false), some(Action::Delete, "t.n", true));
        assert_eq!(of("  - t.gone", true), some(Action::Delete, "t.gone", false));
        let replaced = "-/+ t.n (tainted) (new resource required)";
        assert_eq!(of(replaced, false), some(Action::Replace, "t.n", false));
        assert_eq!(of(replaced, true), some(Action::Replace, "t.n", false));
        for line in
            ["- t.gone", "  - t.n (new resource required)", "-/+ t.n", "  + t", "  + resource \"t\" \"n\" {"]
        {
            assert_eq!(of(line, false), None, "{line}");
        }
    }

    #[test]
    fn an_attribute_has_a_path_no_deeper_than_is_certain() {
        let of = |line: &str| attribute(line.as_bytes());
        let path = |path: &str| Some(Attribute::Changed(path.to_owned()));
        assert_eq!(of(r#"ami:   "a" => "b" (forces new resource)"#), path("ami"));
        assert_eq!(of(r#"tags.env: "a" => "" "#.trim_end()), path("tags.env"));
        assert_eq!(of(r#"tags.aws:stack: ": \"" => "x => y""#), path("tags[\"aws:stack\"]"));
        assert_eq!(of(r#"labels.app.kubernetes.io/name: "a" => "b""#), path("labels"));
        assert_eq!(of(r#"ingress.482069346.port: "80" => "0""#), path("ingress"));
        assert_eq!(of(r#"zones.0: "a" => "b""#), path("zones"));
        assert_eq!(of("password: <sensitive> => <sensitive> (attribute changed)"), path("password"));
        assert_eq!(of(r#"tags.%: "1" => <computed>"#), path("tags"));
        assert_eq!(of(r#"tags.%: "1" => "2""#), Some(Attribute::Same));
        assert_eq!(of(r#"ami: "a" => "a""#), Some(Attribute::Same));
        for line in [r#"ami: "a""#, r#"ami: "a" => "b" x"#, r#"ami: "a" => "b"#, "ami", ": \"a\" => \"b\""] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
