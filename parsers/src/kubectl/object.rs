//! Which object a file of kubectl's stands for.
//!
//! `[group.]version.Kind.namespace.name`, the core group without its dot, the namespace empty for cluster-scoped objects:
//! `v1.ConfigMap.shop.web`, `rbac.authorization.k8s.io.v1.ClusterRole..system:node`. Only names may hold capitals, colons or
//! further dots, so the first part with a capital is the kind. Kinds without any capital (rare, legal) need more evidence.

use crate::error::ParseError;
use crate::kube;
use crate::text;
use crate::udiff::{Body, Sign};

/// What the hunks of one file tell of its object.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// An `apiVersion:` at the top level is among the added or removed lines.
    pub has_version: bool,
    version: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
    /// The file's name doesn't tell everything: look closer.
    pub closely: bool,
    /// The line above announces the last applied object.
    announced: bool,
}

impl Evidence {
    /// Nothing known yet of `file`.
    pub fn of(file: &[u8]) -> Self {
        Self { closely: !file.iter().any(u8::is_ascii_uppercase), ..Self::default() }
    }

    /// Keys of the top level stand at the first column; what block scalars hold never does.
    #[inline]
    pub fn line(&mut self, body: Body<'_>) {
        match body.text {
            [b'a' | b'k' | 0x1b, ..] => self.top_level(body),
            [b' ', ..] if self.closely => self.nested(&text::strip_ansi(body.text)),
            _ => {}
        }
    }

    fn top_level(&mut self, body: Body<'_>) {
        let line = text::strip_ansi(body.text);
        if let Some(value) = line.strip_prefix(b"apiVersion: ") {
            self.has_version |= body.sign != Sign::Context;
            // Only the file's name is ever asked when it has a capital.
            if self.closely {
                self.version = Some(scalar(value));
            }
        } else if let Some(value) = line.strip_prefix(b"kind: ") {
            self.kind = Some(scalar(value));
        } else if self.closely {
            self.nested(&line);
        }
    }

    /// `kubectl.kubernetes.io/last-applied-configuration: |`, and below it the object as JSON, keys sorted. Only in the
    /// object's own metadata: a template's annotations stand deeper.
    fn nested(&mut self, line: &[u8]) {
        if self.announced
            && self.version.is_none()
            && let Some(rest) = line.strip_prefix(b"      {\"apiVersion\":\"")
            && let Some(value) = rest.split(|b| *b == b'"').next()
        {
            self.version = Some(value.to_vec());
        }
        self.announced = line == b"    kubectl.kubernetes.io/last-applied-configuration: |";
    }
}

fn scalar(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
    inner.unwrap_or(value).to_vec()
}

/// Namespace, `Kind.group` and name.
pub(super) type Object = (String, String, String);

/// The object that `file` stands for; `None` where the kind has no capital and nothing else tells where it stands.
pub(super) fn decode(file: &str, evidence: &Evidence) -> Result<Option<Object>, ParseError> {
    let other = || {
        ParseError::format("expected a file named [group.]version.Kind.namespace.name")
            .hint("only kubectl diff is read here")
    };
    let Some(capital) = file.bytes().position(|b| b.is_ascii_uppercase()) else {
        // Groups of custom resources, the only ones with such kinds, have a dot at least: two parts, then the version.
        let places =
            file.match_indices('.').skip(2).filter_map(|(dot, _)| assemble(file, dot.checked_add(1)?));
        let places: Vec<_> = places.collect();
        return if places.is_empty() { Err(other()) } else { Ok(lower_case(places, evidence)) };
    };
    let dot = file.bytes().take(capital).rposition(|b| b == b'.').ok_or_else(other)?;
    let (kind, object) = assemble(file, dot.saturating_add(1)).ok_or_else(other)?;
    if evidence.kind.as_deref().is_some_and(|named| named != kind.as_bytes()) {
        return Err(ParseError::contradiction("the file's name and the object in it name different kinds"));
    }
    Ok(Some(object))
}

/// The object at the one place of its kind that nothing known speaks against; `None` if there are several.
fn lower_case(places: Vec<(&str, Object)>, evidence: &Evidence) -> Option<Object> {
    let group = evidence.version.as_deref().and_then(|version| version.split(|b| *b == b'/').next());
    let mut left = places.into_iter().filter(|(kind, (_, of_group, _))| {
        let of_group = of_group.split_once('.').map(|(_, group)| group.as_bytes());
        evidence.kind.as_deref().is_none_or(|known| known == kind.as_bytes())
            && (group.is_none() || group == of_group)
    });
    left.next().filter(|_| left.next().is_none()).map(|(_, object)| object)
}

/// The kind's name and the object, if the kind begins at byte `begin` of the file's name.
fn assemble(file: &str, begin: usize) -> Option<(&str, Object)> {
    let (before, rest) = file.split_at_checked(begin)?;
    let before = before.strip_suffix('.')?;
    let (group, version) =
        before.rsplit_once('.').map_or((None, before), |(group, version)| (Some(group), version));
    let (kind, rest) = split_dot(rest)?;
    let (namespace, name) = split_dot(rest)?;
    let label = |part: &[u8]| {
        !part.is_empty() && part.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    let kind_like = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !kind.is_empty();
    let group_like = group.is_none_or(|group| group.as_bytes().split(|b| *b == b'.').all(label));
    if !label(version.as_bytes()) || !group_like || !kind_like {
        return None;
    }
    if !(namespace.is_empty() || label(namespace.as_bytes())) {
        return None;
    }
    // Only RBAC's names may have an empty part, and its kinds have capitals.
    if name.is_empty()
        || (kind.bytes().all(|b| !b.is_ascii_uppercase()) && name.split('.').any(str::is_empty))
    {
        return None;
    }
    Some((kind, (namespace.to_owned(), kube::kind(kind, group.unwrap_or_default()), name.to_owned())))
}

/// Splits at the first dot. It is never far: a search that is made for long texts takes longer.
fn split_dot(text: &str) -> Option<(&str, &str)> {
    let (head, tail) = text.split_at_checked(text.bytes().position(|b| b == b'.')?)?;
    Some((head, tail.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(file: &str) -> Option<Object> {
        decode(file, &Evidence::of(file.as_bytes())).unwrap()
    }

    fn object(scope: &str, kind: &str, name: &str) -> Object {
        (scope.to_owned(), kind.to_owned(), name.to_owned())
    }

    #[test]
    fn the_first_part_with_a_capital_is_the_kind() {
        assert_eq!(plain("v1.ConfigMap.shop.web"), Some(object("shop", "ConfigMap", "web")));
        assert_eq!(plain("v1.Namespace..shop"), Some(object("", "Namespace", "shop")));
        assert_eq!(plain("apps.v1.Deployment.shop.a.b"), Some(object("shop", "Deployment.apps", "a.b")));
        let rbac = "ClusterRole.rbac.authorization.k8s.io";
        for name in ["system:node", "v1.Kind.x.Y", "new\nline", " lead", "trail ", "a..b", ".", "č🚀"] {
            let file = format!("rbac.authorization.k8s.io.v1.ClusterRole..{name}");
            assert_eq!(plain(&file), Some(object("", rbac, name)));
        }
    }

    #[test]
    fn other_names_are_refused() {
        for file in [
            "Web",
            "v1.ConfigMap",
            "v1.ConfigMap.shop",
            "v1.ConfigMap.shop.",
            "c-Deployment-web",
            "V1.x.y.z",
            "a b.Kind.n.x",
        ] {
            assert!(decode(file, &Evidence::of(file.as_bytes())).is_err(), "{file}");
        }
    }

    #[test]
    fn a_kind_without_capitals_is_told_where_it_is_certain_and_never_guessed() {
        let low = object("shop", "low.example.com", "x");
        assert_eq!(plain("example.com.v1.low.shop.x"), Some(low));
        assert_eq!(plain("a.example.com.v1.low..x.y"), Some(object("", "low.a.example.com", "x.y")));
        let file = "acme.example.com.stable.lowerkind.shop.low.v1.name";
        assert_eq!(plain(file), None);
        let object = Some(object("shop", "lowerkind.acme.example.com", "low.v1.name"));
        let line = |text: &'static str| Body { number: 1, sign: Sign::Context, text: text.as_bytes() };
        let seen = |lines: &[&'static str]| {
            let mut evidence = Evidence::of(file.as_bytes());
            for text in lines {
                evidence.line(line(text));
            }
            decode(file, &evidence).unwrap()
        };
        let announce = "    kubectl.kubernetes.io/last-applied-configuration: |";
        let applied = "      {\"apiVersion\":\"acme.example.com/stable\",\"kind\":\"lowerkind\"}";
        assert_eq!(seen(&["kind: lowerkind"]), object);
        assert_eq!(seen(&["apiVersion: acme.example.com/stable"]), object);
        assert_eq!(seen(&[announce, applied]), object);
        assert_eq!(seen(&[applied]), None);
        assert_eq!(seen(&["  kind: lowerkind"]), None);
    }

    #[test]
    fn an_object_of_another_kind_than_its_file_s_name_is_refused() {
        let mut evidence = Evidence::of(b"v1.ConfigMap.shop.web");
        evidence.line(Body { number: 1, sign: Sign::Added, text: b"kind: Secret" });
        assert!(decode("v1.ConfigMap.shop.web", &evidence).is_err());
    }
}
