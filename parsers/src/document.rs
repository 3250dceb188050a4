//! The report's JSON form, read back: what a program prints that reads an output for driftrun.
//!
//! ```json
//! { "verdict": "drifted", "resources": [ { "kind": "backup", "name": "db", "action": "update" } ] }
//! ```
//!
//! Everything that [`Document`](crate::Document) writes is read, so that a program may pass a report on. Only `verdict`, and a
//! resource's `name` and `action`, must be there. What follows from the rest (`drift`, `outside`, `ignored`) is not believed but
//! found out again; `totals`, where they are given, must fit the resources. docs/report.schema.json says the same for other programs.

use crate::error::{Class, Failure, ParseError};
use crate::report::{
    Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Scopes, Severity, Source, Span, Tool, Unread,
    UnreadReason, Verdict,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    parser: Option<String>,
    #[serde(default)]
    tool: Option<String>,
    #[serde(default)]
    tool_version: Option<String>,
    verdict: Verdict,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    resources: Vec<Object<Found>>,
    #[serde(default)]
    scopes: Object<FoundScopes>,
    #[serde(default)]
    totals: Option<BTreeMap<Source, BTreeMap<Action, u64>>>,
    #[serde(default)]
    diagnostics: Vec<Object<Remark>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    #[serde(default = "plan")]
    source: Source,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    kind: String,
    name: String,
    action: Action,
    #[serde(default)]
    previous_name: Option<String>,
    #[serde(default)]
    attributes: Option<Vec<String>>,
    #[serde(default)]
    drift: Option<bool>,
    #[serde(default, rename = "outside")]
    _outside: Option<bool>,
    #[serde(default, rename = "ignored")]
    _ignored: Option<bool>,
    #[serde(default = "one")]
    count: u32,
    #[serde(default)]
    span: Option<(u32, u32)>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundScopes {
    #[serde(default)]
    read: Vec<String>,
    #[serde(default)]
    unread: Vec<Object<FoundUnread>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundUnread {
    scope: String,
    reason: UnreadReason,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remark {
    severity: Severity,
    summary: String,
    #[serde(default)]
    line: Option<u32>,
}

/// A value that must be written as an object: serde takes a list of the fields' values as well.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

const fn plan() -> Source {
    Source::Plan
}

const fn one() -> u32 {
    1
}

/// Reads a report that a program printed for an output whose tool is called `tool` unless the report says otherwise.
///
/// # Errors
/// What is not the report's form, with what was expected; what contradicts itself; and, with the program's own reason, a report
/// whose verdict is `unreadable`.
pub(crate) fn read_document(tool: &str, json: &[u8]) -> Result<Parsed, ParseError> {
    if json.trim_ascii().is_empty() {
        return Err(ParseError::cut("the parser printed nothing")
            .hint("it must print a report: docs/report.schema.json has its form"));
    }
    let Object(document): Object<Document> = serde_json::from_slice(json).map_err(|error| {
        let class = if error.is_eof() { ParseError::cut } else { ParseError::format };
        // serde quotes keys and types, and a value only where one of a few words was expected.
        class(format!("the parser's report: {error}")).hint("docs/report.schema.json has its form")
    })?;
    let _ = document.parser;
    let reason = document.reason.unwrap_or_else(|| format!("the parser says {}", document.verdict.as_str()));
    if document.verdict == Verdict::Unreadable {
        return Err(ParseError::format(reason));
    }
    let mut parsed = Parsed::new(document.tool.unwrap_or_else(|| tool.to_owned()));
    parsed.tool = Tool { version: document.tool_version, ..parsed.tool };
    // Changes from outside are drift where the report counts one as such, or says "drifted" and lists nothing that is planned.
    let counted = |found: &Found| found.source == Source::Refresh && found.drift == Some(true);
    let drifts = |found: &Found| {
        found.source == Source::Plan && found.action != Action::Read && found.kind != OUTPUT_KIND
    };
    parsed.refresh_only = document.resources.iter().any(|Object(found)| counted(found))
        || (document.verdict == Verdict::Drifted
            && !document.resources.iter().any(|Object(found)| drifts(found)));
    parsed.resources =
        document.resources.into_iter().map(|Object(found)| resource(found)).collect::<Result<_, _>>()?;
    let Object(FoundScopes { read, unread }) = document.scopes;
    let unread = unread.into_iter().map(|Object(FoundUnread { scope, reason })| Unread { scope, reason });
    parsed.scopes = Scopes { read, unread: unread.collect() };
    parsed.diagnostics = document
        .diagnostics
        .into_iter()
        .map(|Object(Remark { severity, summary, line })| Diagnostic { severity, summary, line })
        .collect();
    if let Some(totals) = document.totals.filter(|totals| *totals != count(&parsed.resources)) {
        let said: u64 = totals.values().flat_map(BTreeMap::values).sum();
        return Err(ParseError::contradiction(format!(
            "the parser's report counts {said} resources in its totals, by other actions than it lists or not as many"
        )));
    }
    let unread = !parsed.scopes.unread.is_empty();
    match document.verdict {
        Verdict::Clean | Verdict::Drifted if unread => {
            return Err(ParseError::contradiction(
                "the parser's report names unread scopes, and its verdict isn't partial",
            ));
        }
        Verdict::Partial if !unread => {
            return Err(ParseError::contradiction(
                "the parser's report is partial, and names no unread scope",
            ));
        }
        Verdict::Drifted
            if !parsed.resources.iter().any(|r| {
                r.source == Source::Refresh || (r.action != Action::Read && r.kind != OUTPUT_KIND)
            }) =>
        {
            return Err(ParseError::contradiction(
                "the parser's report says drifted, and lists nothing that is drift",
            ));
        }
        Verdict::Clean => parsed.said = Said::NoChanges,
        Verdict::Partial if parsed.resources.is_empty() => parsed.said = Said::NoChanges,
        Verdict::Drifted | Verdict::Partial => parsed.said = Said::Changes,
        Verdict::Failed | Verdict::Timeout | Verdict::Unreadable => {
            parsed.failure = Some(Failure::new(Class::Other, reason));
        }
    }
    Ok(parsed)
}

fn resource(found: Found) -> Result<Resource, ParseError> {
    let Found { source, scope, kind, name, action, .. } = found;
    let mut resource = Resource::new(source, scope, kind, name, action);
    resource.previous_name = found.previous_name;
    resource.attributes = found.attributes;
    resource.count = found.count;
    resource.span = match found.span {
        Some((first, last)) if first == 0 || last < first => {
            return Err(ParseError::format(format!(
                "the parser's report: lines {first} to {last} are no span; lines count from 1"
            )));
        }
        Some((first, last)) => Some(Span(first, last)),
        None => None,
    };
    if resource.count == 0 {
        return Err(ParseError::format("the parser's report: a resource with a count of 0"));
    }
    Ok(resource)
}

/// By source and action, as the report's own totals: equal identities once, the gravest action.
fn count(resources: &[Resource]) -> BTreeMap<Source, BTreeMap<Action, u64>> {
    let mut actions: BTreeMap<(Source, &str, &str, &str), Action> = BTreeMap::new();
    for r in resources {
        let action = actions.entry((r.source, &r.scope, &r.kind, &r.name)).or_insert(r.action);
        *action = r.action.min(*action);
    }
    let mut totals: BTreeMap<Source, BTreeMap<Action, u64>> = BTreeMap::new();
    for ((source, ..), action) in actions {
        let n = totals.entry(source).or_default().entry(action).or_default();
        *n = n.saturating_add(1);
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, Input, Reading, Stream, judge};

    fn reading(exit: i32, json: &str) -> Reading {
        let empty = Stream::whole(b"");
        let input = Input { argv: &[], exit: Some(exit), stdout: empty, stderr: empty, files: &[] };
        let claim = if exit == 0 { Claim::Silent } else { Claim::Failed };
        judge(claim, &input, |_| read_document("mine", json.as_bytes()))
    }

    #[test]
    fn a_report_that_was_written_is_read_back() {
        let mut plan = Resource::new(Source::Plan, "ns", "Pod", "a", Action::Update).with_span(2, 9);
        plan.attributes = Some(vec!["spec.x".to_owned()]);
        let refresh = Resource::new(Source::Refresh, "ns", "Pod", "a", Action::Delete);
        let parsed = Parsed {
            said: Said::Changes,
            resources: vec![plan, refresh],
            diagnostics: vec![Diagnostic { line: Some(3), ..Diagnostic::warning("w") }],
            tool: Tool { name: "kubectl".into(), version: Some("1.32".to_owned()) },
            ..Parsed::new("kubectl")
        };
        let empty = Stream::whole(b"");
        let input = Input { argv: &[], exit: Some(1), stdout: empty, stderr: empty, files: &[] };
        let first = judge(Claim::Drifted, &input, |_| Ok(parsed));
        let json = serde_json::to_string(&first.document("kubectl")).unwrap();
        assert_eq!(reading(0, &json), first);
    }

    #[test]
    fn the_verdict_must_fit_what_is_listed() {
        let update = r#""resources":[{"name":"a","action":"update"}]"#;
        for (json, verdict) in [
            (r#"{"verdict":"clean"}"#.to_owned(), Verdict::Clean),
            (format!(r#"{{"verdict":"drifted",{update}}}"#), Verdict::Drifted),
            (format!(r#"{{"verdict":"clean",{update}}}"#), Verdict::Unreadable),
            (r#"{"verdict":"drifted"}"#.to_owned(), Verdict::Unreadable),
            (r#"{"verdict":"partial"}"#.to_owned(), Verdict::Unreadable),
            (
                r#"{"verdict":"clean","scopes":{"read":["a"],"unread":[{"scope":"b","reason":"failed"}]}}"#
                    .to_owned(),
                Verdict::Unreadable,
            ),
            (
                r#"{"verdict":"partial","scopes":{"read":["a"],"unread":[{"scope":"b","reason":"failed"}]}}"#
                    .to_owned(),
                Verdict::Partial,
            ),
            (r#"{"verdict":"failed","reason":"no"}"#.to_owned(), Verdict::Failed),
            (r#"{"verdict":"unreadable","reason":"no"}"#.to_owned(), Verdict::Unreadable),
            (
                format!(r#"{{"verdict":"drifted",{update},"totals":{{"plan":{{"update":2}}}}}}"#),
                Verdict::Unreadable,
            ),
            (
                format!(r#"{{"verdict":"drifted",{update},"totals":{{"plan":{{"update":1}}}}}}"#),
                Verdict::Drifted,
            ),
        ] {
            assert_eq!(reading(0, &json).verdict(), verdict, "{json}");
            assert_ne!(reading(1, &json).verdict(), Verdict::Clean, "{json}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused_with_what_was_expected() {
        for (json, part) in [
            ("", "the parser printed nothing"),
            ("{", "EOF"),
            (r#"["x","y",null,"clean",null,[],{"read":[],"unread":[]},null,[]]"#, "expected an object"),
            (r#"{"verdict":"drifted","resources":[["plan","s","k","a","change"]]}"#, "expected an object"),
            (r#"{"verdict":"clean","scopes":[["a"],[]]}"#, "expected an object"),
            ("{}", "missing field `verdict`"),
            (r#"{"verdict":"fine"}"#, "expected one of `clean`"),
            (r#"{"verdict":"drifted","resources":[{"name":"a"}]}"#, "missing field `action`"),
            (
                r#"{"verdict":"drifted","resources":[{"name":"a","action":"change","atributes":[]}]}"#,
                "unknown field `atributes`",
            ),
            (r#"{"verdict":"drifted","resources":[{"name":"","action":"change"}]}"#, "without a name"),
            (
                r#"{"verdict":"drifted","resources":[{"name":"a","action":"change","span":[0,2]}]}"#,
                "are no span",
            ),
            (r#"{"verdict":"drifted","resources":[{"name":"a","action":"change","count":0}]}"#, "count of 0"),
            (r#"{"verdict":"clean"} {"verdict":"clean"}"#, "trailing characters"),
        ] {
            let reading = reading(0, json);
            let reason = reading.reason().unwrap_or_default();
            assert!(reading.verdict() == Verdict::Unreadable && reason.contains(part), "{json}: {reason}");
        }
    }

    #[test]
    fn changes_from_outside_alone_are_drift_when_the_report_says_so() {
        let json = |drift| {
            format!(
                r#"{{"verdict":"{}","resources":[{{"source":"refresh","name":"a","action":"update","drift":{drift}}}]}}"#,
                if drift { "drifted" } else { "clean" }
            )
        };
        assert_eq!(reading(0, &json(true)).verdict(), Verdict::Drifted);
        assert_eq!(reading(0, &json(false)).verdict(), Verdict::Clean);
        for (resources, verdict) in [
            (r#"{"source":"refresh","name":"a","action":"update"}"#, Verdict::Drifted),
            (
                r#"{"kind":"output","name":"o","action":"update"},{"source":"refresh","name":"a","action":"update","drift":true}"#,
                Verdict::Drifted,
            ),
            (r#"{"name":"a","action":"read"}"#, Verdict::Unreadable),
            (r#"{"kind":"output","name":"o","action":"update"}"#, Verdict::Unreadable),
        ] {
            let json = format!(r#"{{"verdict":"drifted","resources":[{resources}]}}"#);
            assert_eq!(reading(0, &json).verdict(), verdict, "{json}");
        }
    }

    #[test]
    fn changes_from_outside_beside_planned_ones_are_no_drift_unless_they_are_said_to_be() {
        let drifted = |planned: &str, drift: &str| {
            let json = format!(
                r#"{{"verdict":"drifted","resources":[{planned},{{"source":"refresh","name":"b","action":"update"{drift}}}]}}"#
            );
            let reading = reading(0, &json);
            let names = reading.report().unwrap().drifted().map(|r| r.name.clone()).collect::<Vec<_>>();
            (reading.verdict(), names)
        };
        let update = r#"{"name":"a","action":"update","drift":true}"#;
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(drifted(update, ""), (Verdict::Drifted, vec![a.clone()]));
        assert_eq!(drifted(update, r#","drift":true"#), (Verdict::Drifted, vec![a, b.clone()]));
        // Nothing that is planned can be why the report says "drifted".
        for other in [r#"{"name":"a","action":"read"}"#, r#"{"kind":"output","name":"a","action":"update"}"#]
        {
            assert_eq!(drifted(other, ""), (Verdict::Drifted, vec![b.clone()]), "{other}");
        }
    }

    #[test]
    fn a_partial_report_keeps_what_it_lists_and_a_span_may_be_one_line() {
        let json = |span: &str| {
            format!(
                r#"{{"verdict":"partial","resources":[{{"scope":"a","name":"x","action":"change","span":{span}}}],"scopes":{{"read":["a"],"unread":[{{"scope":"b","reason":"failed"}}]}}}}"#
            )
        };
        let one = reading(0, &json("[5,5]"));
        assert_eq!((one.verdict(), one.report().unwrap().resources().len()), (Verdict::Partial, 1));
        assert_eq!(reading(0, &json("[5,6]")).verdict(), Verdict::Partial);
        assert_eq!(reading(0, &json("[5,4]")).verdict(), Verdict::Unreadable);
    }
}
