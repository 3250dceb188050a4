//! What helm diff says above and below an object's lines.

use crate::kube;
use crate::report::Action;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Added,
    Removed,
    Changed,
    Suppressed,
    Ownership,
}

impl Word {
    pub(super) const fn action(self) -> Action {
        match self {
            Self::Added => Action::Create,
            Self::Removed => Action::Delete,
            Self::Changed | Self::Suppressed => Action::Update,
            Self::Ownership => Action::Change,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Diff,
    Simple,
    /// Both forms print the same.
    Either,
}

const WORDS: [(&str, Word, Form); 9] = [
    (" has been added:", Word::Added, Form::Diff),
    (" has been removed:", Word::Removed, Form::Diff),
    (" has changed:", Word::Changed, Form::Diff),
    (" changed ownership:", Word::Ownership, Form::Diff),
    (" has changed, but diff is empty after suppression.", Word::Suppressed, Form::Either),
    (" to be added.", Word::Added, Form::Simple),
    (" to be removed.", Word::Removed, Form::Simple),
    (" to be changed.", Word::Changed, Form::Simple),
    (" to change ownership.", Word::Ownership, Form::Simple),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) scope: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// `NAMESPACE, NAME, Kind (API) has changed:`
pub(super) fn header(line: &[u8]) -> Option<(Object, Word, Form)> {
    let line = std::str::from_utf8(line).ok()?;
    let (key, word, form) =
        WORDS.iter().find_map(|(end, word, form)| Some((line.strip_suffix(end)?, *word, *form)))?;
    Some((object(key)?, word, form))
}

/// `NAMESPACE, NAME, Kind (API)`; of `helm diff release`, which compares files, `chart/templates/file.yaml`.
pub(super) fn object(key: &str) -> Option<Object> {
    if key.contains("/templates/") && !key.contains(", ") {
        return Some(Object { scope: String::new(), kind: String::new(), name: key.to_owned() });
    }
    let (scope, rest) = key.split_once(", ")?;
    let (name, kind) = rest.rsplit_once(", ")?;
    let (kind, api) = kind.strip_suffix(')')?.split_once(" (")?;
    let sound = kube::is_namespace(scope) && kube::is_kind(kind) && !name.is_empty() && !api.contains(' ');
    sound.then(|| Object {
        scope: scope.to_owned(),
        kind: kube::kind(kind, kube::group(api)),
        name: name.to_owned(),
    })
}

/// The last line of `--output simple`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) added: u32,
    pub(super) changed: u32,
    pub(super) removed: u32,
    /// Older versions don't count these.
    pub(super) ownership: Option<u32>,
}

/// `Plan: 1 to add, 2 to change, 0 to destroy, 0 to change ownership.`
pub(super) fn counts(line: &[u8]) -> Option<Counts> {
    let line = std::str::from_utf8(line).ok()?;
    let mut parts = line.strip_prefix("Plan: ")?.strip_suffix('.')?.split(", ");
    let mut next = |what: &str| parts.next()?.strip_suffix(what)?.parse::<u32>().ok();
    let (added, changed, removed) = (next(" to add")?, next(" to change")?, next(" to destroy")?);
    let ownership = match parts.next() {
        Some(part) => Some(part.strip_suffix(" to change ownership")?.parse().ok()?),
        None => None,
    };
    parts.next().is_none().then_some(Counts { added, changed, removed, ownership })
}
