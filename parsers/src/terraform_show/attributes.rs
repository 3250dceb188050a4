//! Which attributes of a resource differ between the two sides of its change.
//!
//! Both sides are secrets in clear text: they are compared where they stand in the output, and only paths leave this file.

use super::{Change, Text};
use crate::terraform_address::is_plain;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Paths of the leaves that differ; `None` when nothing visible does (a change of marks or of private data only).
pub(super) fn attributes(change: &Change<'_>) -> Option<Vec<String>> {
    let sides =
        [change.before, change.after, change.after_unknown, change.before_sensitive, change.after_sensitive]
            .map(|side| side.map_or("null", RawValue::get));
    // Few plans hold a number that isn't whole.
    let paths = paths(sides).or_else(|_| {
        let exact = sides.map(exact_numbers);
        self::paths(exact.each_ref().map(|side| &**side))
    });
    // The whole object unknown, or sensitive: there is no path to it.
    paths.ok().filter(|paths| !paths.is_empty() && !paths.iter().any(String::is_empty))
}

/// Sorted.
fn paths(
    [before, after, unknown, before_sensitive, after_sensitive]: [&str; 5],
) -> serde_json::Result<Vec<String>> {
    let sides = Sides {
        before: &serde_json::from_str(before)?,
        after: &serde_json::from_str(after)?,
        unknown: &serde_json::from_str(unknown)?,
        before_sensitive: &serde_json::from_str(before_sensitive)?,
        after_sensitive: &serde_json::from_str(after_sensitive)?,
    };
    let mut paths = Paths::default();
    sides.compare(&mut paths);
    paths.found.sort_unstable();
    paths.found.shrink_to_fit();
    Ok(paths.found)
}

/// The same JSON with each number that a float would round as a text of its digits: two of them are equal where their digits are. No
/// value of Terraform's begins with U+0000.
pub(super) fn exact_numbers(json: &str) -> Cow<'_, str> {
    let (mut exact, mut kept, mut rest) = (String::new(), json, json);
    while let Some((_, from)) = rest
        .find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
        .and_then(|at| rest.split_at_checked(at))
    {
        let end = if from.starts_with('"') { end_of_text(from) } else { from.find(|c| !is_numeral(c)) };
        let Some((token, behind)) = end.map_or(Some((from, "")), |end| from.split_at_checked(end)) else {
            break;
        };
        rest = behind;
        if token.starts_with('"') || is_whole(token) {
            continue;
        }
        let before = kept.len().saturating_sub(from.len());
        exact.push_str(kept.get(..before).unwrap_or_default());
        exact.push_str("\"\\u0000");
        exact.push_str(token);
        exact.push('"');
        kept = behind;
    }
    if exact.is_empty() {
        return Cow::Borrowed(json);
    }
    exact.push_str(kept);
    Cow::Owned(exact)
}

/// What isn't read as a float: `-0` is.
fn is_whole(token: &str) -> bool {
    token != "-0" && (token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok())
}

fn is_numeral(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')
}

/// Where a JSON text ends that begins here, its quotes included.
fn end_of_text(from: &str) -> Option<usize> {
    let mut escaped = false;
    let end = from.bytes().skip(1).position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    end?.checked_add(2)
}

/// A JSON value whose texts stay where they are. A number that would be rounded is an error.
#[derive(Debug, PartialEq, Eq)]
enum Json<'a> {
    Null,
    Bool(bool),
    Positive(u64),
    Negative(i64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// Sorted by key, each of which stands there once.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    fn members(&'a self) -> Members<'a> {
        match self {
            Self::Object(members) => Members(members),
            _ => Members(&[]),
        }
    }

    /// Of a value's marks: one is set somewhere.
    fn holds_true(&self) -> bool {
        match self {
            Self::Bool(set) => *set,
            Self::List(elements) => elements.iter().any(Self::holds_true),
            Self::Object(members) => members.iter().any(|(_, member)| member.holds_true()),
            Self::Null | Self::Positive(_) | Self::Negative(_) | Self::Text(_) => false,
        }
    }

    fn elements(&'a self) -> &'a [Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value without a number that would be rounded")
            }

            fn visit_unit<E>(self) -> Result<Json<'de>, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
                Ok(Json::Positive(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
                Ok(Json::Negative(value))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Json::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    members.push((key, map.next_value()?));
                }
                // Terraform sorts them. Of two with the same key the last one counts.
                if !members.is_sorted_by(|(a, _), (b, _)| a < b) {
                    members.reverse();
                    members.sort_by(|(a, _), (b, _)| a.cmp(b));
                    members.dedup_by(|(a, _), (b, _)| a == b);
                }
                Ok(Json::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What is left of an object's members.
#[derive(Clone, Copy)]
struct Members<'a>(&'a [(Cow<'a, str>, Json<'a>)]);

impl<'a> Members<'a> {
    fn next_key(&self) -> Option<&'a str> {
        self.0.first().map(|(key, _)| &**key)
    }

    /// Whether `key`, which is not before any that was asked for, is there.
    fn has(&self, key: &str) -> bool {
        self.next_key() == Some(key)
    }

    /// The member `key`, behind all that were asked for before; null if there is none.
    fn take(&mut self, key: &str) -> &'a Json<'a> {
        while let Some(((found, value), rest)) = self.0.split_first()
            && **found <= *key
        {
            self.0 = rest;
            if **found == *key {
                return value;
            }
        }
        &Json::Null
    }
}

/// The paths that were found, and the one that is being looked at.
#[derive(Default)]
struct Paths {
    found: Vec<String>,
    here: String,
}

impl Paths {
    fn add(&mut self) {
        self.found.push(self.here.clone());
    }
}

/// One place in a resource, as it was and as it would be.
#[derive(Clone, Copy)]
struct Sides<T> {
    before: T,
    after: T,
    unknown: T,
    before_sensitive: T,
    after_sensitive: T,
}

impl<'a> Sides<&'a Json<'a>> {
    /// Equal and known, as most members are: whatever is sensitive of them, there is nothing to find.
    fn stays(&self) -> bool {
        *self.unknown == Json::Null && self.before == self.after
    }

    fn compare(self, paths: &mut Paths) {
        let [unknown, sensitive_before, sensitive_after] =
            [self.unknown, self.before_sensitive, self.after_sensitive]
                .map(|mark| matches!(mark, Json::Bool(true)));
        if unknown {
            return paths.add();
        }
        if sensitive_before || sensitive_after {
            // An element that isn't known yet is a change as well, and is not looked for below.
            if self.before != self.after || self.unknown.holds_true() {
                paths.add();
            }
            return;
        }
        let (found, here) = (paths.found.len(), paths.here.len());
        match (self.before, self.after) {
            (Json::Object(_) | Json::Null, Json::Object(_)) | (Json::Object(_), Json::Null) => {
                // A resource has all its attributes, null or not.
                let both =
                    here > 0 && !matches!((self.before, self.after), (Json::Null, _) | (_, Json::Null));
                let mut sides = self.each(Json::members);
                while let Some(key) = sides.next_key() {
                    // A key that is missing on one side and null on the other, in a value of any type: Terraform shows it.
                    let appears = both && sides.before.has(key) != sides.after.has(key);
                    let member = sides.take(key);
                    if !member.stays() || appears {
                        push_member(&mut paths.here, key);
                        let before = paths.found.len();
                        member.compare(paths);
                        if appears && paths.found.len() == before {
                            paths.add();
                        }
                        paths.here.truncate(here);
                    }
                }
            }
            (Json::List(_) | Json::Null, Json::List(_)) | (Json::List(_), Json::Null) => {
                let lists = self.each(Json::elements);
                let length = lists.before.len().max(lists.after.len()).max(lists.unknown.len());
                let shorter = lists.before.len().min(lists.after.len());
                let both = !matches!((self.before, self.after), (Json::Null, _) | (_, Json::Null));
                for index in 0..length {
                    let _ = write!(paths.here, "[{index}]");
                    let before = paths.found.len();
                    lists.each(|list| list.get(index).unwrap_or(&Json::Null)).compare(paths);
                    if both && index >= shorter && paths.found.len() == before {
                        paths.add();
                    }
                    paths.here.truncate(here);
                }
            }
            _ => {}
        }
        // An empty list that was none, a null key that was missing beside one: the difference is here, not below.
        if paths.found.len() == found && (!same(self.before, self.after) || self.unknown.holds_true()) {
            paths.add();
        }
    }
}

impl<'a> Sides<Members<'a>> {
    /// The first key that any of the values has. What is sensitive has no others.
    fn next_key(&self) -> Option<&'a str> {
        [self.before, self.after, self.unknown].iter().filter_map(Members::next_key).min()
    }

    fn take(&mut self, key: &str) -> Sides<&'a Json<'a>> {
        Sides {
            before: self.before.take(key),
            after: self.after.take(key),
            unknown: self.unknown.take(key),
            before_sensitive: self.before_sensitive.take(key),
            after_sensitive: self.after_sensitive.take(key),
        }
    }
}

impl<T: Copy> Sides<T> {
    fn each<U>(self, of: impl Fn(T) -> U) -> Sides<U> {
        Sides {
            before: of(self.before),
            after: of(self.after),
            unknown: of(self.unknown),
            before_sensitive: of(self.before_sensitive),
            after_sensitive: of(self.after_sensitive),
        }
    }
}

/// Equal, where a member that is null and one that is missing are the same.
fn same<'a>(a: &'a Json<'a>, b: &'a Json<'a>) -> bool {
    match (a, b) {
        (Json::Object(_), Json::Object(_)) => {
            let (mut a, mut b) = (a.members(), b.members());
            while let Some(key) = [a, b].iter().filter_map(Members::next_key).min() {
                if !same(a.take(key), b.take(key)) {
                    return false;
                }
            }
            true
        }
        (Json::List(a), Json::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

/// `tags.env`, or `tags["a.b"]` where the key is no identifier.
pub(crate) fn member(path: &str, key: &str) -> String {
    if path.is_empty() && is_identifier(key) {
        return key.to_owned();
    }
    let mut member = String::with_capacity(path.len().saturating_add(key.len()).saturating_add(1));
    member.push_str(path);
    push_member(&mut member, key);
    member
}

/// Makes `path` that of its member.
fn push_member(path: &mut String, key: &str) {
    if !is_identifier(key) {
        let _ = write!(path, "[{}]", Value::from(key));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

fn is_identifier(key: &str) -> bool {
    // Nearly always it is of ASCII.
    if let [b'a'..=b'z' | b'A'..=b'Z' | b'_', rest @ ..] = key.as_bytes()
        && rest.iter().all(|b| is_plain(*b))
    {
        return true;
    }
    let mut chars = key.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}
