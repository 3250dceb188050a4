//! The rules of Grafana's dashboard-linter, by its names for them. Where it looks at some kinds of panels only, all are looked at here.

use crate::promql::{Selector, selectors};
use serde_json::Value;

/// Looks at a dashboard; what is wrong, and where.
type Rule = fn(&Value) -> Vec<String>;

/// All but `target-promql-rule`, which is Prometheus' to say, and those about other data sources.
pub const RULES: [(&str, Rule); 14] = [
    ("template-datasource-rule", template_datasource),
    ("template-job-rule", |dashboard| template(dashboard, "job", "Job")),
    ("template-instance-rule", |dashboard| template(dashboard, "instance", "Instance")),
    ("template-label-promql-rule", template_label_promql),
    ("template-on-time-change-reload-rule", template_on_time_change_reload),
    ("panel-datasource-rule", panel_datasource),
    ("panel-title-description-rule", panel_title_description),
    ("panel-units-rule", panel_units),
    ("panel-no-targets-rule", panel_no_targets),
    ("target-rate-interval-rule", target_rate_interval),
    ("target-job-rule", |dashboard| target_matcher(dashboard, "job=~\"$job\"")),
    ("target-instance-rule", |dashboard| target_matcher(dashboard, "instance=~\"$instance\"")),
    ("target-counter-agg-rule", target_counter_agg),
    ("uneditable-dashboard-rule", uneditable),
];

/// Those of Grafana's units that the dashboards have.
const UNITS: [&str; 10] = [
    "bool_yes_no",
    "bytes",
    "cps",
    "dateTimeAsLocal",
    "dateTimeFromNow",
    "dtdurations",
    "none",
    "percentunit",
    "s",
    "string",
];

/// What can be asked for in a variable.
const FUNCTIONS: [&str; 4] = ["label_names", "label_values", "metrics", "query_result"];

/// The rules that a dashboard breaks, each with where and how.
pub fn broken(dashboard: &Value) -> Vec<(&'static str, String)> {
    let told = RULES.iter().flat_map(|(name, rule)| rule(dashboard).into_iter().map(|what| (*name, what)));
    told.collect()
}

pub fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The text at a place, empty where there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/templating/list")
}

/// Everything that shows something: no rows.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all =
        list(dashboard, "/panels").flat_map(|panel| std::iter::once(panel).chain(list(panel, "/panels")));
    all.filter(|panel| panel["type"] != "row")
}

/// How a panel is called in what is told.
pub fn called(panel: &Value) -> String {
    format!("panel {:?}", text(panel, "/title"))
}

/// The targets of all panels, with what they are called.
pub fn targets(dashboard: &Value) -> impl Iterator<Item = (String, &Value)> {
    panels(dashboard).flat_map(|panel| {
        let called = move |target| format!("{}, target {}", called(panel), text(target, "/refId"));
        list(panel, "/targets").map(move |target| (called(target), target))
    })
}

/// What is wrong with selectors, each with its target and itself.
fn wrong_selectors(dashboard: &Value, wrong: impl Fn(&Selector) -> Option<String>) -> Vec<String> {
    let mut told = Vec::new();
    for (called, target) in targets(dashboard) {
        for selector in selectors(text(target, "/expr")) {
            told.extend(wrong(&selector).map(|what| format!("{called}: {}: {what}", selector.metric)));
        }
    }
    told
}

fn wrong_variables(dashboard: &Value, wrong: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let told = variables(dashboard)
        .filter(|variable| variable["type"] == "query")
        .filter_map(|variable| Some(format!("variable {:?}: {}", text(variable, "/name"), wrong(variable)?)));
    told.collect()
}

fn wrong_panels(dashboard: &Value, wrong: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    panels(dashboard).filter_map(|panel| Some(format!("{}: {}", called(panel), wrong(panel)?))).collect()
}

fn template_datasource(dashboard: &Value) -> Vec<String> {
    let sources: Vec<[&str; 3]> = variables(dashboard)
        .filter(|variable| variable["type"] == "datasource")
        .map(|variable| ["/name", "/label", "/query"].map(|pointer| text(variable, pointer)))
        .collect();
    let right = sources == [["datasource", "Data source", "prometheus"]];
    if right { Vec::new() } else { vec![format!("data sources {sources:?}")] }
}

fn template(dashboard: &Value, name: &str, label: &str) -> Vec<String> {
    let Some(variable) = variables(dashboard).find(|variable| text(variable, "/name") == name) else {
        return vec![format!("no variable {name:?}")];
    };
    let texts = ["/type", "/label", "/allValue", "/datasource/uid"].map(|pointer| text(variable, pointer));
    let right = texts == ["query", label, ".+", "${datasource}"]
        && variable["multi"] == true
        && variable["includeAll"] == true;
    if right { Vec::new() } else { vec![format!("variable {name:?}: {variable}")] }
}

fn template_label_promql(dashboard: &Value) -> Vec<String> {
    wrong_variables(dashboard, |variable| {
        let query = text(variable, "/query/query");
        let function = query.strip_suffix(')').and_then(|query| query.split_once('('));
        let right = function.is_some_and(|(name, _)| FUNCTIONS.contains(&name));
        (!right).then(|| format!("asks for {query:?}"))
    })
}

fn template_on_time_change_reload(dashboard: &Value) -> Vec<String> {
    wrong_variables(dashboard, |variable| {
        (variable["refresh"] != 2).then(|| format!("is refreshed by {}", variable["refresh"]))
    })
}

fn panel_datasource(dashboard: &Value) -> Vec<String> {
    wrong_panels(dashboard, |panel| {
        let mut sources = std::iter::once(panel).chain(list(panel, "/targets"));
        let other = sources.find(|source| text(source, "/datasource/uid") != "${datasource}")?;
        Some(format!("has the data source {}", other["datasource"]))
    })
}

fn panel_title_description(dashboard: &Value) -> Vec<String> {
    wrong_panels(dashboard, |panel| {
        let missing =
            ["title", "description"].into_iter().find(|key| text(panel, &format!("/{key}")).is_empty())?;
        Some(format!("has no {missing}"))
    })
}

fn panel_units(dashboard: &Value) -> Vec<String> {
    wrong_panels(dashboard, |panel| {
        let overrides = list(panel, "/fieldConfig/overrides").flat_map(|one| list(one, "/properties"));
        let of_fields =
            overrides.filter(|property| property["id"] == "unit").map(|property| text(property, "/value"));
        let mut units = std::iter::once(text(panel, "/fieldConfig/defaults/unit")).chain(of_fields);
        let other = units.find(|unit| !UNITS.contains(unit))?;
        Some(format!("has the unit {other:?}"))
    })
}

fn panel_no_targets(dashboard: &Value) -> Vec<String> {
    wrong_panels(dashboard, |panel| {
        list(panel, "/targets").next().is_none().then(|| "has no targets".to_owned())
    })
}

fn target_rate_interval(dashboard: &Value) -> Vec<String> {
    wrong_selectors(dashboard, |selector| {
        let (function, range) = (selector.function.as_deref()?, selector.range.as_deref()?);
        let rate = matches!(function, "rate" | "irate" | "increase");
        (rate && range != "$__rate_interval").then(|| format!("{function} over {range}"))
    })
}

fn target_matcher(dashboard: &Value, matcher: &str) -> Vec<String> {
    wrong_selectors(dashboard, |selector| {
        let there = selector.matchers.iter().any(|one| one == matcher);
        (!there).then(|| format!("no {matcher} in {:?}", selector.matchers))
    })
}

fn target_counter_agg(dashboard: &Value) -> Vec<String> {
    wrong_selectors(dashboard, |selector| {
        let counted = matches!(selector.function.as_deref(), Some("rate" | "irate" | "increase"))
            && selector.range.is_some();
        (selector.metric.ends_with("_total") && !counted).then(|| format!("in {:?}", selector.function))
    })
}

fn uneditable(dashboard: &Value) -> Vec<String> {
    let right = dashboard["editable"] == false;
    if right { Vec::new() } else { vec![format!("editable: {}", dashboard["editable"])] }
}
