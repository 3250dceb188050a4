//! What `dyff between` prints of kubectl's folders, with its header or without.
//!
//! ```text
//!
//! spec.replicas  (apps.v1.Deployment.shop.web)
//!   ± value change
//!     - 3
//!     + 5
//!
//! (root level)  (v1.ConfigMap.shop.brand-new)
//! + four map entries added:
//!   apiVersion: v1
//!
//! ```
//!
//! Values are indented, so a path stands at the first column below an empty line, with what happened on the next line. The output
//! ends with an empty line; a header counts the differences. Where kubectl was given one object only, its name is not printed:
//! refused. Keys are joined by dots and not quoted: where a map is known to hold keys with dots, the rest of a path is one key.

use super::attributes::write_key;
use super::object::{self, Evidence, Object};
use super::{HINT, folder::stray};
use crate::error::ParseError;
use crate::report::{Action, Resource, Source, Span};
use crate::text::{self, Line};

/// Whether `out`, which has no colours, is dyff's: it begins with an empty line or its letters, then comes a path.
pub(super) fn is_dyff(out: &[u8]) -> bool {
    let mut lines = text::lines(out);
    let Some(first) = lines.next() else { return false };
    if is_banner(first.bytes) {
        return true;
    }
    let mut lines = lines.skip_while(|line| is_blank(line));
    is_blank(&first)
        && lines.next().is_some()
        && lines.next().is_some_and(|line| heading(line.bytes).is_some())
}

/// Whether a line of it names one of kubectl's objects.
pub(super) fn names_an_object(out: &[u8]) -> bool {
    text::lines(out).take(16).any(|line| root(line.bytes).is_some_and(|(_, root)| decode(root).is_some()))
}

fn is_banner(line: &[u8]) -> bool {
    line == b"     _        __  __"
}

fn is_blank(line: &Line<'_>) -> bool {
    line.bytes.iter().all(u8::is_ascii_whitespace)
}

/// What happened at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heading {
    Added,
    Removed,
    /// A change of a value, or removed and added entries side by side.
    Changed,
}

fn heading(line: &[u8]) -> Option<Heading> {
    const CHANGES: [&str; 6] = [
        "value change",
        "type change from ",
        "whitespace only change",
        "certificate change",
        "content change",
        "order changed",
    ];
    let line = std::str::from_utf8(line).ok()?.trim();
    if let Some(rest) = line.strip_prefix("± ").or_else(|| line.strip_prefix("⇆ ")) {
        return CHANGES.iter().any(|change| rest.starts_with(change)).then_some(Heading::Changed);
    }
    let entries = |rest: &str, end: &str| {
        let mut words = rest.split(' ');
        words.next().is_some_and(|n| count(n).is_some())
            && matches!(words.next(), Some("map" | "list" | "document" | "documents"))
            && rest.ends_with(end)
    };
    match line.split_once(' ')? {
        ("+", rest) if entries(rest, " added:") => Some(Heading::Added),
        ("-", rest) if entries(rest, " removed:") => Some(Heading::Removed),
        ("-", rest) if entries(rest, " added:") && rest.contains(" removed:") => Some(Heading::Changed),
        _ => None,
    }
}

/// A number, as dyff writes it: in words up to twelve.
fn count(word: &str) -> Option<usize> {
    const WORDS: [&str; 13] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    WORDS.iter().position(|known| *known == word).or_else(|| word.parse().ok())
}

/// Splits `PATH  (OBJECT)`.
fn root(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    line.strip_suffix(')')?.rsplit_once("  (")
}

/// `apps.v1.Deployment.shop.web`, the file's name, or where no file is new or gone `apps/v1/Deployment/shop/web`.
fn decode(root: &str) -> Option<Object> {
    let Some((version, rest)) = root.split_once('/') else {
        return object::decode(root, &Evidence::of(root.as_bytes())).ok().flatten();
    };
    // Only the core group has no name.
    let (group, rest) = if version == "v1" { (None, rest) } else { (Some(version), rest.split_once('/')?.1) };
    let (kind, rest) = rest.split_once('/')?;
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    let kind = group.map_or_else(|| kind.to_owned(), |group| format!("{kind}.{group}"));
    (!name.is_empty() && !name.contains('/')).then(|| (namespace.to_owned(), kind, name.to_owned()))
}

/// The part of the output that shows one difference.
struct Difference {
    object: Object,
    /// `None` at the root of an object.
    path: Option<String>,
    first: u32,
    last: u32,
    heading: Heading,
    /// Several headings, or none of a whole object.
    mixed: bool,
    /// The lines below show a whole object.
    whole: bool,
    shown: bool,
}

/// Every object that dyff shows.
pub(super) fn objects(out: &[u8]) -> Result<Vec<Resource>, ParseError> {
    let (mut found, mut promised, mut seen) = (Vec::new(), None, 0_usize);
    let mut current: Option<Difference> = None;
    let mut lines = text::lines(out).peekable();
    let mut blank = true;
    let mut banner = lines.peek().is_some_and(|line| is_banner(line.bytes));
    while let Some(line) = lines.next() {
        if is_blank(&line) {
            (blank, banner) = (true, false);
            continue;
        }
        if banner {
            promised = promised.or_else(|| returned(line.bytes));
            continue;
        }
        let next = lines.peek().and_then(|line| heading(line.bytes));
        if line.bytes.starts_with(b" ") {
            let difference = current.as_mut().ok_or_else(|| stray(line.number))?;
            difference.last = line.number;
            difference.shown = true;
            difference.whole |= line.bytes.starts_with(b"  apiVersion: ");
        } else if let (true, Some(next)) = (blank, next) {
            close(current.take(), &mut found)?;
            seen = seen.saturating_add(1);
            current = Some(difference(&line, next)?);
            // The heading.
            lines.next();
        } else if let Some(difference) = &mut current
            && difference.path.is_none()
            && heading(line.bytes).is_some()
        {
            difference.mixed = true;
        } else {
            return Err(ParseError::format("a line that dyff doesn't print between two differences")
                .at(line.number)
                .hint(HINT));
        }
        blank = false;
    }
    let last = current.as_ref().map_or(1, |difference| difference.last);
    close(current, &mut found)?;
    if !blank || !out.ends_with(b"\n") {
        return Err(ParseError::cut("dyff's last, empty line is missing").at(last));
    }
    if seen == 0 {
        return Err(ParseError::cut("dyff's header and no difference below it"));
    }
    if let Some(promised) = promised.filter(|promised| *promised != seen) {
        return Err(ParseError::contradiction(format!(
            "dyff counts {promised} differences and shows {seen}"
        )));
    }
    Ok(found)
}

/// ` \__,_|\__, |_| |_|   returned two differences`
fn returned(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once(" returned ")?;
    let (number, rest) = rest.split_once(' ')?;
    if rest.starts_with("difference") { count(number) } else { None }
}

fn difference(line: &Line<'_>, heading: Heading) -> Result<Difference, ParseError> {
    let (path, root) = root(line.bytes).ok_or_else(|| {
        ParseError::format("dyff doesn't print the name of an object that is the only one")
            .at(line.number)
            .hint(HINT)
    })?;
    let object = decode(root).ok_or_else(|| {
        ParseError::format("expected the name of an object behind the path").at(line.number).hint(HINT)
    })?;
    Ok(Difference {
        object,
        path: (path != "(root level)").then(|| path.to_owned()),
        first: line.number,
        last: line.number.saturating_add(1),
        heading,
        mixed: false,
        whole: false,
        shown: false,
    })
}

/// Differences of one object stand together.
fn close(difference: Option<Difference>, found: &mut Vec<Resource>) -> Result<(), ParseError> {
    let Some(Difference { object, path, first, last, heading, mixed, whole, shown }) = difference else {
        return Ok(());
    };
    if !shown {
        return Err(ParseError::cut("a difference without a value").at(last));
    }
    let action = match heading {
        Heading::Added if path.is_none() && whole && !mixed => Action::Create,
        Heading::Removed if path.is_none() && whole && !mixed => Action::Delete,
        Heading::Added | Heading::Removed | Heading::Changed => Action::Update,
    };
    let attribute = path.and_then(|path| attribute(&path));
    let (scope, kind, name) = object;
    if let Some(last_found) = found.last_mut()
        && (&last_found.scope, &last_found.kind, &last_found.name) == (&scope, &kind, &name)
    {
        last_found.action = last_found.action.min(action);
        last_found.span = last_found.span.map(|Span(begin, _)| Span(begin, last));
        match (&mut last_found.attributes, attribute) {
            (Some(all), Some(one)) => all.push(one),
            (all, _) => *all = None,
        }
        return Ok(());
    }
    let mut resource = Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last);
    if action == Action::Update {
        resource.attributes = attribute.map(|one| vec![one]);
    }
    found.push(resource);
    Ok(())
}

/// The path as an attribute; `None` where it can't be told which dots divide keys.
fn attribute(path: &str) -> Option<String> {
    /// Maps whose keys may hold dots.
    const MAPS: [&str; 7] = [
        "metadata.annotations.",
        "metadata.labels.",
        "matchLabels.",
        "nodeSelector.",
        "limits.",
        "requests.",
        "selector.",
    ];
    let top = ["data.", "stringData.", "binaryData."]
        .iter()
        .find(|map| path.starts_with(*map))
        .map(|map| map.len());
    let inner = || {
        let ends = MAPS.iter().filter_map(|map| {
            let at = path.find(map)?;
            let begins = at == 0 || path.get(..at)?.ends_with('.');
            begins.then(|| at.saturating_add(map.len()))
        });
        ends.min()
    };
    let (keys, last) = match top.or_else(inner) {
        Some(end) => {
            let (keys, last) = path.split_at_checked(end)?;
            (keys.strip_suffix('.')?, Some(last))
        }
        None => (path, None),
    };
    let plain = |key: &str| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'$'))
    };
    if !keys.split('.').all(plain) {
        return None;
    }
    let mut attribute = keys.as_bytes().to_vec();
    if let Some(last) = last {
        write_key(&mut attribute, 0, last.as_bytes());
    }
    String::from_utf8(attribute).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    const TWO: &str = "\nspec.replicas  (apps.v1.Deployment.shop.web)\n  ± value change\n    - 3\n    + 5\n\n(root level)  (v1.ConfigMap.shop.new)\n+ two map entries added:\n  apiVersion: v1\n  kind: ConfigMap\n\n";

    fn class(text: &str) -> (Class, Option<u32>) {
        let error = objects(text.as_bytes()).unwrap_err();
        (error.class, error.line)
    }

    #[test]
    fn each_object_has_its_action_fields_and_place() {
        let mut web =
            Resource::new(Source::Plan, "shop", "Deployment.apps", "web", Action::Update).with_span(2, 5);
        web.attributes = Some(vec!["spec.replicas".to_owned()]);
        let new = Resource::new(Source::Plan, "shop", "ConfigMap", "new", Action::Create).with_span(7, 10);
        assert!(is_dyff(TWO.as_bytes()) && names_an_object(TWO.as_bytes()));
        assert_eq!(objects(TWO.as_bytes()).unwrap(), [web, new]);
        let banner = "     _        __  __\n   _| |_   _ / _|/ _|  between /tmp/LIVE-1, two documents\n / _' | | | | |_| |_       and /tmp/MERGED-2, two documents\n| (_| | |_| |  _|  _|\n \\__,_|\\__, |_| |_|   returned two differences\n        |___/\n";
        assert_eq!(objects(format!("{banner}{TWO}").as_bytes()).unwrap().len(), 2);
        let three = banner.replace("returned two", "returned three");
        assert_eq!(class(&format!("{three}{TWO}")).0, Class::UnreadableContradiction);
        assert_eq!(class(banner).0, Class::UnreadableCut);
    }

    #[test]
    fn an_object_is_on_one_side_only_if_all_of_it_is() {
        let action = |path: &str, lines: &str| {
            let text = format!("\n{path}  (v1.ConfigMap.shop.a)\n{lines}\n");
            objects(text.as_bytes()).unwrap().into_iter().map(|found| found.action).collect::<Vec<_>>()
        };
        for (mark, word, one_side) in [("+", "added", Action::Create), ("-", "removed", Action::Delete)] {
            let all = format!("{mark} two map entries {word}:\n  apiVersion: v1\n  kind: ConfigMap\n");
            let part = all.replace("apiVersion", "data");
            let mixed = format!("{all}+ one map entry added:\n  a: b\n");
            assert_eq!(action("(root level)", &all), [one_side], "{all}");
            assert_eq!(action("(root level)", &part), [Action::Update], "{part}");
            assert_eq!(action("(root level)", &mixed), [Action::Update], "{mixed}");
            assert_eq!(action("data", &all), [Action::Update], "{all}");
        }
    }

    #[test]
    fn a_heading_says_what_happened_in_dyff_s_words() {
        use Heading::{Added, Changed, Removed};
        for (line, expected) in [
            ("+ one map entry added:", Some(Added)),
            ("+ 13 documents added:", Some(Added)),
            ("- two list entries removed:", Some(Removed)),
            ("- one list entry removed:     + two list entries added:", Some(Changed)),
            ("± type change from int to string", Some(Changed)),
            ("⇆ order changed", Some(Changed)),
            ("± hello", None),
            ("+ one map entry", None),
            ("+ some map entries added:", None),
            ("+ one odd entry added:", None),
            ("+ one map entry removed:", None),
            ("- one map entry added:", None),
            ("- a removed: b added:", None),
            ("- hello", None),
            ("+ hello", None),
        ] {
            assert_eq!(heading(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn dyff_s_output_is_known_and_kubectl_s_in_it() {
        let other = TWO
            .replace("(apps.v1.Deployment.shop.web)", "(document one)")
            .replace("(v1.ConfigMap.shop.new)", "");
        assert!(is_dyff(other.as_bytes()) && !names_an_object(other.as_bytes()));
        assert!(!is_dyff(TWO.trim_start().as_bytes()) && !is_dyff(b"\nhello\nworld\n") && !is_dyff(b"\n\n"));
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        let nameless = "\nspec.replicas\n  ± value change\n    - 3\n    + 5\n\n";
        assert_eq!(class(nameless), (Class::UnreadableFormat, Some(2)));
        for end in ["", "\n", "\n  "] {
            assert_eq!(
                class(&format!("{}{end}", TWO.trim_end())),
                (Class::UnreadableCut, Some(10)),
                "{end:?}"
            );
        }
        assert_eq!(
            class("\na  (v1/ConfigMap/shop/x)\n  ± value change\n\n"),
            (Class::UnreadableCut, Some(3))
        );
        assert_eq!(class(&TWO.replace("± value", "± valve")), (Class::UnreadableFormat, Some(2)));
        assert_eq!(class(&TWO.replace("    + 5\n\n", "    + 5\n")), (Class::UnreadableFormat, Some(6)));
    }

    #[test]
    fn objects_are_named_in_two_ways() {
        let object =
            |scope: &str, kind: &str, name: &str| Some((scope.to_owned(), kind.to_owned(), name.to_owned()));
        assert_eq!(decode("v1/ConfigMap/bulk/a"), object("bulk", "ConfigMap", "a"));
        assert_eq!(decode("v1/Namespace/a"), object("", "Namespace", "a"));
        assert_eq!(decode("acme.io/stable/low/shop/a.b"), object("shop", "low.acme.io", "a.b"));
        assert_eq!(decode("apps.v1.Deployment.shop.web"), object("shop", "Deployment.apps", "web"));
        for other in ["document #1", "v1/ConfigMap/shop/", "v1/ConfigMap/shop/a/b"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }

    #[test]
    fn a_path_is_an_attribute_where_its_keys_are_certain() {
        let of = |path: &str| attribute(path).unwrap_or_default();
        assert_eq!(of("spec.template.spec.containers.web.image"), "spec.template.spec.containers.web.image");
        assert_eq!(of("data.a.yaml"), "data[\"a.yaml\"]");
        assert_eq!(
            of("metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"),
            "metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]"
        );
        assert_eq!(of("spec.x.a/b"), "");
    }
}
