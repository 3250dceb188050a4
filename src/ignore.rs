//! Ignore rules: which findings are no drift, by identity, action and changed attributes. Pure data and matching.

use driftrun_parsers::{Action, Resource, Source};
use jiff::civil::Date;
use regex::Regex;
use std::sync::LazyLock;

/// Tools whose reports [`NOISE`] is in.
pub const NOISY_TOOLS: [&str; 5] = ["argocd", "flux", "helm", "kubectl", "kubediff"];

/// What differs in nearly every Kubernetes object and is nobody's drift, unless a check says `ignore_defaults: false`.
pub static NOISE: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    ["metadata.generation", "metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]"]
        .into_iter()
        .filter_map(|path| Pattern::new(path).ok())
        .collect()
});

/// One rule: every field that is set must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IgnoreRule {
    /// Pattern of the resource's kind.
    pub kind: Option<Pattern>,
    /// Pattern of its scope.
    pub scope: Option<Pattern>,
    /// Pattern of its name.
    pub name: Option<Pattern>,
    /// Its action.
    pub action: Option<Action>,
    /// Plan or refresh.
    pub source: Option<Source>,
    /// Pattern that every changed attribute's path must match, together with the check's other rules. Updates only.
    pub attribute: Option<Pattern>,
    /// Why, for people.
    pub reason: Option<String>,
    /// The last day on which the rule counts.
    pub until: Option<Date>,
}

/// A glob (`*` any text, `?` one character) over the whole value, or `re:` and a regular expression somewhere in it.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with the regular expression, as a lowercase fragment.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = if let Some(regex) = text.strip_prefix("re:") {
            regex.to_owned()
        } else {
            let mut regex = String::from("(?s)^");
            for c in text.chars() {
                match c {
                    '*' => regex.push_str(".*"),
                    '?' => regex.push('.'),
                    _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                }
            }
            regex + "$"
        };
        let compiled = Regex::new(&regex).map_err(|error| {
            let last =
                error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{text:?} is no regular expression: {last}")
        })?;
        Ok(Self { text: text.to_owned(), regex: compiled })
    }

    fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

/// What a check's rules did to one report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rules that matched nothing, by position.
    pub unused: Vec<usize>,
    /// Rules past their last day, by position.
    pub expired: Vec<usize>,
    /// Attribute rules that met an update whose attributes aren't known, by position.
    pub blind: Vec<usize>,
}

/// Decides for every resource whether it is ignored, and says which rules did something.
#[derive(Debug)]
pub struct Matcher<'r> {
    rules: &'r [IgnoreRule],
    /// Attributes that count for nothing, whatever their resource is.
    noise: &'r [Pattern],
    used: Vec<bool>,
    blind: Vec<bool>,
    today: Date,
}

impl<'r> Matcher<'r> {
    /// A matcher for one report.
    pub fn new(rules: &'r [IgnoreRule], noise: &'r [Pattern], today: Date) -> Self {
        Self { rules, noise, used: vec![false; rules.len()], blind: vec![false; rules.len()], today }
    }

    /// Whether `resource` is ignored: a rule without `attribute` matches it, or the rules with `attribute` that match it cover
    /// every changed attribute of an update.
    pub fn ignores(&mut self, resource: &Resource) -> bool {
        let mut ignored = false;
        // A move beside them is a change that no path names.
        let is_update = resource.action == Action::Update;
        let mut uncovered =
            resource.attributes.clone().filter(|_| is_update && resource.previous_name.is_none());
        let mut covered = Vec::new();
        let mut noisy = false;
        if let Some(attributes) = &mut uncovered {
            let before = attributes.len();
            attributes.retain(|path| !self.noise.iter().any(|pattern| pattern.matches(path)));
            noisy = attributes.len() < before;
        }
        for (n, rule) in self.rules.iter().enumerate() {
            if rule.until.is_some_and(|until| self.today > until) || !rule.identifies(resource) {
                continue;
            }
            match (&rule.attribute, &mut uncovered) {
                (None, _) => {
                    self.used[n] = true;
                    ignored = true;
                }
                (Some(pattern), Some(attributes)) => {
                    let before = attributes.len();
                    attributes.retain(|path| !covers(pattern, path));
                    if attributes.len() < before {
                        covered.push(n);
                    }
                }
                (Some(_), None) => self.blind[n] |= resource.action == Action::Update,
            }
        }
        if uncovered.is_some_and(|rest| rest.is_empty()) && (noisy || !covered.is_empty()) {
            ignored = true;
        }
        for n in covered {
            self.used[n] = true;
        }
        ignored
    }

    /// What the rules did.
    pub fn applied(self) -> Applied {
        let positions = |of: &dyn Fn(usize) -> bool| (0..self.rules.len()).filter(|n| of(*n)).collect();
        let expired = |n: usize| self.rules[n].until.is_some_and(|until| self.today > until);
        Applied {
            unused: positions(&|n| !self.used[n] && !expired(n)),
            expired: positions(&expired),
            blind: positions(&|n| self.blind[n]),
        }
    }
}

/// A pattern covers a path, and everything below it.
fn covers(pattern: &Pattern, path: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let mut ends = |c: char| {
        let end = !quoted && matches!(c, '.' | '[');
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    };
    pattern.matches(path)
        || path.char_indices().any(|(at, c)| ends(c) && at > 0 && pattern.matches(&path[..at]))
}

impl IgnoreRule {
    fn identifies(&self, resource: &Resource) -> bool {
        let fits = |pattern: &Option<Pattern>, value: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(value))
        };
        fits(&self.kind, &resource.kind)
            && fits(&self.scope, &resource.scope)
            && fits(&self.name, &resource.name)
            && self.action.is_none_or(|action| action == resource.action)
            && self.source.is_none_or(|source| source == resource.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(fields: &[(&str, &str)]) -> IgnoreRule {
        let mut rule = IgnoreRule::default();
        for (key, value) in fields {
            let pattern = Some(Pattern::new(value).unwrap());
            match *key {
                "kind" => rule.kind = pattern,
                "name" => rule.name = pattern,
                "attribute" => rule.attribute = pattern,
                "until" => rule.until = Some(value.parse().unwrap()),
                other => panic!("{other}"),
            }
        }
        rule
    }

    fn update(name: &str, attributes: Option<&[&str]>) -> Resource {
        let mut resource = Resource::new(Source::Plan, "", "aws_asg", name, Action::Update);
        resource.attributes = attributes.map(|paths| paths.iter().map(ToString::to_string).collect());
        resource
    }

    #[test]
    fn a_move_beside_an_update_is_covered_by_no_attribute() {
        let rules = [rule(&[("attribute", "tags")])];
        let moved = Resource { previous_name: Some("old".to_owned()), ..update("web", Some(&["tags"])) };
        let mut matcher = Matcher::new(&rules, &[], Date::constant(2026, 1, 1));
        assert!(matcher.ignores(&update("web", Some(&["tags"]))) && !matcher.ignores(&moved));
        let rules = [rule(&[("name", "web")])];
        let mut matcher = Matcher::new(&rules, &[], Date::constant(2026, 1, 1));
        assert!(matcher.ignores(&moved));
    }

    #[test]
    fn an_update_is_ignored_when_rules_cover_all_its_attributes() {
        let rules = [
            rule(&[("kind", "aws_*"), ("attribute", "desired_capacity")]),
            rule(&[("attribute", "tags")]),
            rule(&[("name", "re:^none$")]),
        ];
        let mut matcher = Matcher::new(&rules, &[], "2026-11-23".parse().unwrap());
        assert!(matcher.ignores(&update("a", Some(&["desired_capacity"]))));
        assert!(matcher.ignores(&update("a", Some(&["desired_capacity", "tags.env", "tags[\"b\"]"]))));
        assert!(!matcher.ignores(&update("a", Some(&["desired_capacity", "tagsx"]))));
        // A dot in a key ends nothing.
        let dots = [rule(&[("attribute", "*.image")])];
        let mut keys = Matcher::new(&dots, &[], "2026-11-23".parse().unwrap());
        assert!(!keys.ignores(&update("a", Some(&["data[\"app.image.tag\"]"]))));
        assert!(!keys.ignores(&update("a", Some(&["data[\"x\\\".image.tag\"]"]))));
        assert!(keys.ignores(&update("a", Some(&["data[\"app\"].image.tag", "spec.image"]))));
        assert!(!matcher.ignores(&update("a", Some(&[]))));
        assert!(!matcher.ignores(&update("a", None)), "unknown attributes are never ignored");
        assert!(!matcher.ignores(&Resource { action: Action::Replace, ..update("a", Some(&["tags"])) }));
        assert_eq!(matcher.applied(), Applied { unused: vec![2], expired: vec![], blind: vec![0, 1] });
    }

    #[test]
    fn noise_alone_is_no_drift_and_hides_none() {
        let (generation, applied) = (
            "metadata.generation",
            "metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]",
        );
        let ignored = |noise: &[Pattern], rules: &[IgnoreRule], paths: &[&str]| {
            Matcher::new(rules, noise, "2026-11-23".parse().unwrap()).ignores(&update("a", Some(paths)))
        };
        assert!(ignored(&NOISE, &[], &[generation]) && ignored(&NOISE, &[], &[generation, applied]));
        assert!(!ignored(&[], &[], &[generation]), "a check can say that it counts");
        for more in [
            "metadata.annotations.x",
            "metadata.annotations",
            "metadata.generationx",
            "spec.metadata.generation",
        ] {
            assert!(!ignored(&NOISE, &[], &[generation, more]), "{more}");
            assert!(ignored(&NOISE, &[rule(&[("attribute", more)])], &[generation, more]), "{more}");
        }
        assert!(!ignored(&NOISE, &[], &[]));
    }

    #[test]
    fn a_rule_counts_until_the_end_of_its_last_day() {
        let rules = [rule(&[("name", "a"), ("until", "2026-11-23")])];
        let ignored = |today: &str| {
            let mut matcher = Matcher::new(&rules, &[], today.parse().unwrap());
            (matcher.ignores(&update("a", None)), matcher.applied().expired)
        };
        assert_eq!(ignored("2026-11-23"), (true, vec![]));
        assert_eq!(ignored("2026-11-24"), (false, vec![0]));
    }
}
