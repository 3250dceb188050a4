//! What one run found: resources with unique identities, the scopes that were read, and the verdict that follows.
//!
//! Knows how findings are merged, sorted and counted. Knows nothing of any tool's format.

mod merged;
#[cfg(test)]
mod tests;

use crate::error::{Class, Failure, ParseError};
use merged::merged;
pub(crate) use merged::{alike, head};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Where a tool says that something would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the tool would do.
    Plan,
    /// What changed outside since the tool last looked (Terraform's refresh).
    Refresh,
}

impl Source {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Refresh => "refresh",
        }
    }
}

/// What would happen to a resource. The order is gravity: when equal identities merge, the gravest action stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Destroyed and created again, in either order.
    Replace,
    /// Destroyed or removed.
    Delete,
    /// Created.
    Create,
    /// Changed in place.
    Update,
    /// Only its address changes.
    Move,
    /// Taken under management.
    Import,
    /// Left alone but no longer managed.
    Forget,
    /// It differs; the tool doesn't say how.
    Change,
    /// A data source that is read while applying: reported, never drift.
    Read,
}

impl Action {
    /// Every action, gravest first.
    pub const ALL: [Self; 9] = [
        Self::Replace,
        Self::Delete,
        Self::Create,
        Self::Update,
        Self::Move,
        Self::Import,
        Self::Forget,
        Self::Change,
        Self::Read,
    ];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Create => "create",
            Self::Update => "update",
            Self::Move => "move",
            Self::Import => "import",
            Self::Forget => "forget",
            Self::Change => "change",
            Self::Read => "read",
        }
    }
}

/// The kind of a change of a root module's output: reported, never drift.
pub const OUTPUT_KIND: &str = "output";

/// First and last line of a resource's part of the raw standard output, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span(pub u32, pub u32);

impl Span {
    /// Both together, where nothing stands between them.
    fn and(self, other: Self) -> Option<Self> {
        let (Self(first, last), Self(from, to)) = (self.min(other), self.max(other));
        (from <= last.saturating_add(1)).then(|| Self(first, last.max(to)))
    }
}

/// What a planned change and one from outside have in common when they are of the same resource: scope, kind, name.
type Key<'a> = (&'a str, &'a str, &'a str);

/// One thing that the tool says would change or has changed. Identity: source, scope, kind, name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Plan or refresh.
    pub source: Source,
    /// Module path, inventory host or namespace; empty at the root.
    pub scope: String,
    /// Resource type, module or `Kind.group`; empty where the format doesn't tell.
    pub kind: String,
    /// Full address, role and task, or object name; never empty.
    pub name: String,
    /// The gravest thing that would happen to it.
    pub action: Action,
    /// The name it had before a move.
    pub previous_name: Option<String>,
    /// Paths of the changed attributes, sorted, never their values; `None` where the format doesn't show them.
    pub attributes: Option<Vec<String>>,
    /// Whether it counts as drift. Set by [`DriftReport`].
    pub drift: bool,
    /// A planned resource that has also changed outside. Set by [`DriftReport`].
    pub outside: bool,
    /// Taken out of the drift by an ignore rule.
    pub ignored: bool,
    /// How many findings of the same identity were merged into this one.
    pub count: u32,
    /// Where its part of the raw standard output stands; `None` where the format is one line, or a merge has several that don't adjoin.
    pub span: Option<Span>,
}

impl Resource {
    /// A finding with nothing known but its identity and action.
    pub fn new(
        source: Source,
        scope: impl Into<String>,
        kind: impl Into<String>,
        name: impl Into<String>,
        action: Action,
    ) -> Self {
        Self {
            source,
            scope: scope.into(),
            kind: kind.into(),
            name: name.into(),
            action,
            previous_name: None,
            attributes: None,
            drift: false,
            outside: false,
            ignored: false,
            count: 1,
            span: None,
        }
    }

    /// The same finding with its place in the output.
    #[must_use]
    pub fn with_span(mut self, first: u32, last: u32) -> Self {
        self.span = Some(Span(first, last));
        self
    }

    fn identity(&self) -> (Source, &str, &str, &str) {
        (self.source, &self.scope, &self.kind, &self.name)
    }

    fn place(&self) -> (Source, &str, &str) {
        (self.source, &self.scope, &self.kind)
    }

    fn key(&self) -> Key<'_> {
        (&self.scope, &self.kind, &self.name)
    }

    fn can_drift(&self) -> bool {
        self.action != Action::Read && self.kind != OUTPUT_KIND
    }

    /// Takes in another finding of the same identity.
    fn merge(&mut self, other: &mut Self) {
        self.action = self.action.min(other.action);
        self.count = self.count.saturating_add(other.count);
        self.previous_name = self.previous_name.take().or(other.previous_name.take());
        self.attributes = match (self.attributes.take(), other.attributes.take()) {
            (Some(mut a), Some(b)) => {
                a.extend(b);
                a.sort_unstable();
                a.dedup();
                Some(a)
            }
            // One of them hides its attributes: the list would be incomplete, and a rule must not rely on it.
            _ => None,
        };
        self.span = self.span.zip(other.span).and_then(|(a, b)| a.and(b));
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    /// Scopes whose state is known from this run, sorted.
    pub read: Vec<String>,
    /// Scopes that this run says nothing certain about, sorted.
    pub unread: Vec<Unread>,
}

/// A scope that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unread {
    /// The scope.
    pub scope: String,
    /// Why.
    pub reason: UnreadReason,
}

/// Why a scope is unread; label `reason` of `driftrun_scope_unread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreadReason {
    /// No connection.
    Unreachable,
    /// It failed on the way.
    Failed,
}

impl UnreadReason {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }
}

/// The tool that wrote the output, as far as the output tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// `terraform`, `opentofu`, `ansible`, `kubectl` …
    pub name: Cow<'static, str>,
    /// Its version, where the output names it.
    pub version: Option<String>,
}

/// How grave a remark of the tool or of the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The tool calls it an error.
    Error,
    /// The tool calls it a warning, or the parser found something odd that doesn't change the verdict.
    Warning,
}

/// A remark of the tool or of the parser, without any attribute's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How grave.
    pub severity: Severity,
    /// One line.
    pub summary: String,
    /// Line of the raw standard output, from 1.
    pub line: Option<u32>,
}

impl Diagnostic {
    /// A warning without a place.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, summary: summary.into(), line: None }
    }

    /// An error without a place.
    pub fn error(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), line: None }
    }
}

/// What the output itself says; never derived from the number of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// "Nothing would change", by the format's own statement (a line, a summary, a recap, an allowed emptiness).
    NoChanges,
    /// "Something would change", by the format's own statement.
    Changes,
    /// Neither.
    Nothing,
}

/// What a parser understood, before it is held against the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The output's own statement.
    pub said: Said,
    /// The statement is a sentence of the tool (`No changes.`): it explains an exit code that says "differences".
    pub stated_in_words: bool,
    /// Findings in the order of the output; identities may repeat.
    pub resources: Vec<Resource>,
    /// What was looked at.
    pub scopes: Scopes,
    /// The tool says that it failed as a whole.
    pub failure: Option<Failure>,
    /// Remarks.
    pub diagnostics: Vec<Diagnostic>,
    /// The tool.
    pub tool: Tool,
    /// A refresh-only plan: what changed outside is all there is, so it is drift.
    pub refresh_only: bool,
    /// What speaks against "clean", should nothing of what was found count: there may be nothing, or rules may take all of it out.
    pub doubt: Option<ParseError>,
}

impl Parsed {
    /// Nothing understood yet.
    pub fn new(tool: impl Into<Cow<'static, str>>) -> Self {
        Self {
            said: Said::Nothing,
            stated_in_words: false,
            resources: Vec::new(),
            scopes: Scopes::default(),
            failure: None,
            diagnostics: Vec::new(),
            tool: Tool { name: tool.into(), version: None },
            refresh_only: false,
            doubt: None,
        }
    }
}

/// How one run of a check is judged; label `verdict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was read, nothing drifted.
    Clean,
    /// Everything was read, something drifted.
    Drifted,
    /// Some scopes were read and others not.
    Partial,
    /// The command failed.
    Failed,
    /// The command ran past its deadline.
    Timeout,
    /// The output was not understood, cut, or contradicts itself.
    Unreadable,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 6] =
        [Self::Clean, Self::Drifted, Self::Partial, Self::Failed, Self::Timeout, Self::Unreadable];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Drifted => "drifted",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Unreadable => "unreadable",
        }
    }

    /// Clean or drifted: the check did its job.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Clean | Self::Drifted)
    }
}

/// What one run found. Identities are unique; resources and scopes are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftReport {
    resources: Vec<Resource>,
    scopes: Scopes,
    diagnostics: Vec<Diagnostic>,
    tool: Tool,
    doubt: Option<ParseError>,
}

impl DriftReport {
    /// Sorts and merges the findings and decides which of them are drift.
    ///
    /// # Errors
    /// [`Class::UnreadableFormat`] for a finding without a name: a series without one would help nobody, and two of them
    /// would be the same.
    pub fn new(parsed: Parsed) -> Result<Self, ParseError> {
        let Parsed { resources, mut scopes, diagnostics, tool, refresh_only, doubt, .. } = parsed;
        if let Some(nameless) = resources.iter().find(|r| r.name.is_empty()) {
            let mut error =
                ParseError::format(format!("a resource of kind {:?} without a name", nameless.kind));
            error.line = nameless.span.map(|Span(first, _)| first);
            return Err(error);
        }
        let mut merged = merged(resources);
        for resource in &mut merged {
            if let Some(attributes) = &mut resource.attributes
                && !attributes.is_sorted_by(|a, b| a < b)
            {
                attributes.sort_unstable();
                attributes.dedup();
            }
            resource.drift = resource.source == Source::Plan && resource.can_drift();
        }
        scopes.read.sort_unstable();
        scopes.read.dedup();
        scopes.unread.sort_unstable();
        scopes.unread.dedup();
        let mut report = Self { resources: merged, scopes, diagnostics, tool, doubt };
        let (planned, refreshed) = report.by_source();
        if !refreshed.is_empty() {
            let mut is_refreshed = among(refreshed.iter().map(Resource::key));
            for resource in planned {
                resource.outside = is_refreshed(resource.key());
            }
        }
        if refresh_only {
            report.count_refresh();
        }
        Ok(report)
    }

    /// What is planned and what changed outside, which stands behind it, each in the order of its keys.
    fn by_source(&mut self) -> (&mut [Resource], &mut [Resource]) {
        let planned = self.resources.partition_point(|r| r.source == Source::Plan);
        self.resources.split_at_mut_checked(planned).unwrap_or_default()
    }

    /// The resources, sorted by identity.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The same, to keep.
    pub fn into_resources(self) -> Vec<Resource> {
        self.resources
    }

    /// Resources that are drift and not ignored.
    pub fn drifted(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|r| r.drift && !r.ignored)
    }

    /// What was looked at.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Remarks.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The tool.
    pub const fn tool(&self) -> &Tool {
        &self.tool
    }

    /// Clean, drifted or partial.
    pub fn verdict(&self) -> Verdict {
        if !self.scopes.unread.is_empty() {
            Verdict::Partial
        } else if self.drifted().next().is_some() {
            Verdict::Drifted
        } else {
            Verdict::Clean
        }
    }

    /// What speaks against [`Verdict::Clean`], which a report can also become by [`Self::ignore`].
    pub const fn doubt(&self) -> Option<&ParseError> {
        self.doubt.as_ref()
    }

    /// Resources by source and action, merged ones counted once.
    pub fn totals(&self) -> BTreeMap<Source, BTreeMap<Action, u64>> {
        Self::totals_of(&self.resources)
    }

    /// Resources by source and action, merged ones counted once.
    pub fn totals_of(resources: &[Resource]) -> BTreeMap<Source, BTreeMap<Action, u64>> {
        let mut totals: BTreeMap<Source, BTreeMap<Action, u64>> = BTreeMap::new();
        for resource in resources {
            let n = totals.entry(resource.source).or_default().entry(resource.action).or_default();
            *n = n.saturating_add(1);
        }
        totals
    }

    /// The class of a partial report: unreachable when any scope was, else failed.
    pub fn partial_class(&self) -> Class {
        if self.scopes.unread.iter().any(|u| u.reason == UnreadReason::Unreachable) {
            Class::Unreachable
        } else {
            Class::ScopeFailed
        }
    }

    /// Lets refresh entries without a planned change count as drift. A planned change that is ignored explains nothing: what changed outside may be more.
    pub fn count_refresh(&mut self) {
        let (planned, refreshed) = self.by_source();
        let mut is_planned = among(planned.iter().filter(|r| r.drift && !r.ignored).map(Resource::key));
        for resource in refreshed {
            resource.drift = resource.can_drift() && !is_planned(resource.key());
            resource.outside = resource.drift;
        }
    }

    /// Marks the drifting resources for which `ignored` says so. Asked once for each of them, in their order, and for no other.
    pub fn ignore(&mut self, mut ignored: impl FnMut(&Resource) -> bool) {
        for resource in self.resources.iter_mut().filter(|resource| resource.drift) {
            resource.ignored = ignored(resource);
        }
    }

    /// Gives each resource the place that `printed`, a report of what people read instead, has for the same one; none where it has none.
    pub fn place(&mut self, printed: Option<&Self>) {
        let mut others = printed.map_or(&[][..], |printed| &printed.resources).iter().peekable();
        for resource in &mut self.resources {
            while others.next_if(|other| other.identity() < resource.identity()).is_some() {}
            let same = others.peek().filter(|other| other.identity() == resource.identity());
            resource.span = same.and_then(|other| other.span);
        }
    }

    /// Adds a remark.
    pub fn remark(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// Says whether a key is among `keys`, which are sorted. It must be asked in the same order.
fn among<'a>(keys: impl Iterator<Item = Key<'a>>) -> impl FnMut(Key<'_>) -> bool {
    let mut keys = keys.peekable();
    move |key| {
        while keys.next_if(|smaller| *smaller < key).is_some() {}
        keys.peek().is_some_and(|same| *same == key)
    }
}
