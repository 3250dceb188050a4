//! What stands behind the `?` of a path: which checks or resources are wanted, in which order, which page of them. Pure: text in, values out; what is not
//! understood is as good as not there.

use crate::snapshot::{View, Views};
use driftrun_parsers::{Action, Verdict};
use form_urlencoded::{Serializer, parse};
use std::cmp::Ordering;
use std::fmt::Write as _;

/// The pairs of a query, in order.
pub(super) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The last value of that name, without blanks around it.
pub(super) fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim()).filter(|v| !v.is_empty())
}

/// Which checks of all, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// Words that all stand in the name, a label, or the reason.
    pub text: String,
    /// These verdicts; `None` is a check that has not run yet. Empty: all.
    pub verdicts: Vec<Option<Verdict>>,
    /// A label and its value.
    pub label: Option<(String, String)>,
    /// By what.
    pub sort: Sort,
    /// The other way round.
    pub reverse: bool,
    /// From 1.
    pub page: usize,
}

/// What checks are sorted by; then by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// What somebody should look at first.
    #[default]
    Attention,
    /// The name.
    Name,
    /// How much drifts, most first.
    Drift,
    /// Since when something drifts, oldest first.
    Age,
    /// When it ran last, latest first.
    Last,
    /// How long it took, longest first.
    Duration,
    /// When it runs next.
    Next,
}

impl Sort {
    pub(super) const ALL: [Self; 7] =
        [Self::Attention, Self::Name, Self::Drift, Self::Age, Self::Last, Self::Duration, Self::Next];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Name => "name",
            Self::Drift => "drift",
            Self::Age => "age",
            Self::Last => "last",
            Self::Duration => "duration",
            Self::Next => "next",
        }
    }
}

/// The word for a check that has not run yet.
pub(super) const WAITING: &str = "waiting";

pub(super) fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or(WAITING, Verdict::as_str)
}

impl Checks {
    pub(super) fn of(query: Option<&str>) -> Self {
        let pairs = pairs(query);
        let sort = value(&pairs, "sort").unwrap_or_default();
        let (sort, reverse) = sort.strip_prefix('-').map_or((sort, false), |sort| (sort, true));
        let known = Sort::ALL.into_iter().find(|known| known.as_str() == sort);
        let mut verdicts: Vec<Option<Verdict>> = pairs
            .iter()
            .filter(|(name, _)| name == "verdict")
            .flat_map(|(_, words)| words.split(','))
            .filter_map(|word| {
                let mut known = Verdict::ALL.into_iter().map(Some).chain([None]);
                known.find(|verdict| verdict_word(*verdict) == word.trim())
            })
            .collect();
        verdicts.dedup();
        Self {
            text: value(&pairs, "q").unwrap_or_default().to_owned(),
            verdicts,
            label: value(&pairs, "label").and_then(|label| {
                label.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
            }),
            sort: known.unwrap_or_default(),
            reverse: reverse && known.is_some(),
            page: value(&pairs, "page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
        }
    }

    /// What a program has asked that nobody understands. People may send an old link.
    pub(super) fn check(query: Option<&str>) -> Result<(), String> {
        for (name, text) in pairs(query) {
            match (&*name, text.trim()) {
                (_, "") | ("q" | "limit" | "after", _) => {}
                ("verdict", words) => {
                    let known: Vec<&str> =
                        Verdict::ALL.map(Verdict::as_str).into_iter().chain([WAITING]).collect();
                    if let Some(word) = words.split(',').map(str::trim).find(|word| !known.contains(word)) {
                        return Err(format!("verdict: {word:?} is none; write one of {}", known.join(", ")));
                    }
                }
                ("label", text) if text.contains('=') => {}
                ("label", text) => return Err(format!("label: {text:?} is no pair; write NAME=VALUE")),
                (name, _) => return Err(unknown(name, "q, verdict, label, limit, after")),
            }
        }
        Ok(())
    }

    /// Those of `views` that are wanted, in their order.
    pub(super) fn select<'v>(&self, views: &'v Views) -> Vec<&'v View> {
        let words: Vec<String> = self.text.split_whitespace().map(str::to_lowercase).collect();
        let mut found: Vec<&View> =
            views.iter().map(AsRef::as_ref).filter(|view: &&View| self.wants(view, &words)).collect();
        // They come sorted by name.
        found.sort_by(|a, b| {
            let order = self.order(a, b);
            if self.reverse { order.reverse() } else { order }
        });
        found
    }

    /// Whether any filter is set.
    pub(super) fn is_filtered(&self) -> bool {
        !self.text.is_empty() || !self.verdicts.is_empty() || self.label.is_some()
    }

    fn wants(&self, view: &View, words: &[String]) -> bool {
        let verdict = view.state.last.as_ref().map(|last| last.verdict);
        (self.verdicts.is_empty() || self.verdicts.contains(&verdict))
            && self.label.as_ref().is_none_or(|(name, value)| view.check.labels.get(name) == Some(value))
            && has_all(words, || {
                let mut text = view.check.name.clone();
                for (name, value) in &view.check.labels {
                    let _ = write!(text, "\n{name}={value}");
                }
                if let Some(reason) = view.state.last.as_ref().and_then(|last| last.reason.as_ref()) {
                    text.push('\n');
                    text.push_str(reason);
                }
                text
            })
    }

    fn order(&self, a: &View, b: &View) -> Ordering {
        // What is not there comes last.
        let first = |a: Option<_>, b: Option<_>| match (a, b) {
            (Some(a), Some(b)) => Ord::cmp(&a, &b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let last = |view: &View| view.state.last.as_ref().map(|last| last.ended.as_nanosecond());
        match self.sort {
            Sort::Attention => attention(a).cmp(&attention(b)),
            Sort::Name => a.check.name.cmp(&b.check.name),
            Sort::Drift => drifted(b).cmp(&drifted(a)),
            Sort::Age => first(oldest(a), oldest(b)),
            Sort::Last => last(b).cmp(&last(a)),
            Sort::Duration => {
                let took = |view: &View| view.state.last.as_ref().map(|last| last.duration);
                took(b).cmp(&took(a))
            }
            Sort::Next => {
                let next = |view: &View| view.state.next_run.map(jiff::Timestamp::as_nanosecond);
                first(next(a), next(b))
            }
        }
    }

    /// The same without its page, as a query; with `?`, unless it is empty.
    pub(super) fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        for verdict in &self.verdicts {
            query.append_pair("verdict", verdict_word(*verdict));
        }
        if let Some((name, value)) = &self.label {
            query.append_pair("label", &format!("{name}={value}"));
        }
        if self.sort != Sort::default() || self.reverse {
            query.append_pair(
                "sort",
                &format!("{}{}", if self.reverse { "-" } else { "" }, self.sort.as_str()),
            );
        }
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        behind_mark(&query.finish())
    }
}

fn unknown(name: &str, known: &str) -> String {
    format!("unknown parameter {name:?}; known: {known}")
}

/// A query with its `?`; nothing for none.
pub(super) fn behind_mark(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

fn has_all(words: &[String], text: impl FnOnce() -> String) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = text().to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Smaller: more in need of somebody.
fn attention(view: &View) -> u8 {
    match view.state.last.as_ref().map(|last| last.verdict) {
        Some(Verdict::Unreadable) => 0,
        Some(Verdict::Failed) => 1,
        Some(Verdict::Timeout) => 2,
        Some(Verdict::Partial) => 3,
        Some(Verdict::Drifted) => 4,
        None => 5,
        Some(Verdict::Clean) => 6,
    }
}

fn drifted(view: &View) -> Option<u64> {
    view.state.drift.as_ref().map(|drift| drift.tally.drifted())
}

fn oldest(view: &View) -> Option<i128> {
    view.state.drift.as_ref()?.oldest.map(jiff::Timestamp::as_nanosecond)
}

/// Which of a check's resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    /// Words that all stand in the scope, kind, name or an attribute's path.
    pub text: String,
    /// This action.
    pub action: Option<Action>,
    /// From 1.
    pub page: usize,
}

impl Resources {
    pub(super) fn of(query: Option<&str>) -> Self {
        let pairs = pairs(query);
        let action = value(&pairs, "action")
            .and_then(|word| Action::ALL.into_iter().find(|action| action.as_str() == word));
        Self {
            text: value(&pairs, "q").unwrap_or_default().to_owned(),
            action,
            page: value(&pairs, "page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
        }
    }

    /// What a program has asked that nobody understands.
    pub(super) fn check(query: Option<&str>) -> Result<(), String> {
        for (name, text) in pairs(query) {
            match (&*name, text.trim()) {
                (_, "") | ("q" | "limit" | "after", _) => {}
                ("action", word) => {
                    let known = Action::ALL.map(Action::as_str);
                    if !known.contains(&word) {
                        return Err(format!("action: {word:?} is none; write one of {}", known.join(", ")));
                    }
                }
                (name, _) => return Err(unknown(name, "q, action, limit, after")),
            }
        }
        Ok(())
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.text.is_empty() || self.action.is_some()
    }

    pub(super) fn wants(&self) -> impl Fn(&driftrun_parsers::Resource) -> bool {
        let words: Vec<String> = self.text.split_whitespace().map(str::to_lowercase).collect();
        move |r| {
            self.action.is_none_or(|action| r.action == action)
                && has_all(&words, || {
                    let mut text = [&*r.scope, &r.kind, &r.name].join("\n");
                    for path in r.attributes.iter().flatten() {
                        text.push('\n');
                        text.push_str(path);
                    }
                    text
                })
        }
    }

    pub(super) fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        if let Some(action) = self.action {
            query.append_pair("action", action.as_str());
        }
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        behind_mark(&query.finish())
    }
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1, and at most `pages`.
    pub number: usize,
    /// At least one.
    pub pages: usize,
    /// What is before it.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// How long the whole list is.
    pub of: usize,
}

impl Page {
    /// Page `wanted`, or the last one, of a list of `of` with `size` on each.
    pub(super) fn new(wanted: usize, size: usize, of: usize) -> Self {
        let pages = of.div_ceil(size).max(1);
        let number = wanted.clamp(1, pages);
        let from = (number - 1) * size;
        Self { number, pages, from, to: (from + size).min(of), of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_a_query_says() {
        for (query, link) in [
            ("", ""),
            ("q=&verdict=&label=&sort=&page=", ""),
            ("q=%20a+b%26%20", "?q=a+b%26"),
            ("verdict=failed,waiting&verdict=nonsense", "?verdict=failed&verdict=waiting"),
            ("label=env%3Dprod%3D1&sort=-age&page=3", "?label=env%3Dprod%3D1&sort=-age&page=3"),
            ("sort=attention&sort=-nothing&page=0&label=x", ""),
            ("sort=-attention&page=99999999999999999999999", "?sort=-attention"),
            ("q=%ff%3Cscript%3E", "?q=%EF%BF%BD%3Cscript%3E"),
        ] {
            assert_eq!(Checks::of(Some(query)).link(), link, "{query}");
        }
        assert_eq!(Resources::of(Some("q=x&action=delete&page=2")).link(), "?q=x&action=delete&page=2");
        assert_eq!(Resources::of(Some("action=destroy&page=-1")).link(), "");
        assert_eq!(Checks::of(None), Checks { page: 1, ..Checks::default() });
    }

    #[test]
    fn a_page_that_is_not_there_is_the_last_one() {
        let page = |wanted, of| {
            let Page { number, pages, from, to, .. } = Page::new(wanted, 100, of);
            (number, pages, from, to)
        };
        assert_eq!(page(1, 0), (1, 1, 0, 0));
        assert_eq!(page(2, 100), (1, 1, 0, 100));
        assert_eq!(page(2, 101), (2, 2, 100, 101));
        assert_eq!(page(usize::MAX, 2_000), (20, 20, 1_900, 2_000));
    }
}
