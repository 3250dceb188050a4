//! Each way to break a dashboard, and the one rule that is to tell.

use serde_json::{Value, json};

/// Breaks a dashboard: the rule that is to tell, and how it is broken.
pub type Mutation = (&'static str, fn(&mut Value));

fn first_of<'d>(dashboard: &'d mut Value, kind: &str) -> &'d mut Value {
    let mut panels = dashboard["panels"].as_array_mut().unwrap().iter_mut();
    panels.find(|panel| panel["type"] == kind).unwrap()
}

/// The first target asks `expression` instead.
fn asks(dashboard: &mut Value, expression: &str) {
    let matched = expression.replace("{}", "{job=~\"$job\", instance=~\"$instance\"}");
    first_of(dashboard, "stat")["targets"][0]["expr"] = json!(matched);
}

/// As `asks`, what it asks already with another text in place of one.
fn asks_without(dashboard: &mut Value, text: &str, other: &str) {
    let expression = &mut first_of(dashboard, "stat")["targets"][0]["expr"];
    let old = expression.as_str().unwrap().to_owned();
    assert!(old.contains(text), "{old}");
    *expression = json!(old.replacen(text, other, 1));
}

pub const MUTATIONS: [Mutation; 39] = [
    ("template-datasource-rule", |d| d["templating"]["list"][0]["label"] = json!("Prometheus")),
    ("template-datasource-rule", |d| d["templating"]["list"][0]["name"] = json!("ds")),
    ("template-datasource-rule", |d| d["templating"]["list"][0]["query"] = json!("loki")),
    ("template-datasource-rule", |d| drop(d["templating"]["list"].as_array_mut().unwrap().remove(0))),
    ("template-job-rule", |d| drop(d["templating"]["list"].as_array_mut().unwrap().remove(1))),
    ("template-job-rule", |d| d["templating"]["list"][1]["allValue"] = json!(".*")),
    ("template-job-rule", |d| d["templating"]["list"][1]["datasource"]["uid"] = json!("prometheus")),
    ("template-job-rule", |d| d["templating"]["list"][1]["label"] = json!("job")),
    ("template-job-rule", |d| d["templating"]["list"][1]["multi"] = json!(false)),
    ("template-instance-rule", |d| drop(d["templating"]["list"].as_array_mut().unwrap().remove(2))),
    ("template-instance-rule", |d| d["templating"]["list"][2]["includeAll"] = json!(false)),
    ("template-instance-rule", |d| d["templating"]["list"][2]["type"] = json!("custom")),
    ("template-label-promql-rule", |d| d["templating"]["list"][1]["query"]["query"] = json!("up")),
    ("template-label-promql-rule", |d| d["templating"]["list"][2]["query"]["query"] = json!("labels(up)")),
    ("template-on-time-change-reload-rule", |d| d["templating"]["list"][1]["refresh"] = json!(1)),
    ("template-on-time-change-reload-rule", |d| d["templating"]["list"][3]["refresh"] = json!(0)),
    ("panel-datasource-rule", |d| first_of(d, "timeseries")["datasource"]["uid"] = json!("prometheus")),
    ("panel-datasource-rule", |d| first_of(d, "table")["datasource"] = json!(null)),
    ("panel-datasource-rule", |d| first_of(d, "stat")["targets"][0]["datasource"]["uid"] = json!("x")),
    ("panel-title-description-rule", |d| first_of(d, "stat")["title"] = json!("")),
    ("panel-title-description-rule", |d| {
        first_of(d, "table").as_object_mut().unwrap().shift_remove("description");
    }),
    ("panel-units-rule", |d| first_of(d, "stat")["fieldConfig"]["defaults"]["unit"] = json!("seconds")),
    ("panel-units-rule", |d| {
        first_of(d, "timeseries")["fieldConfig"]["defaults"].as_object_mut().unwrap().shift_remove("unit");
    }),
    ("panel-units-rule", |d| {
        let unit = json!({"matcher": {"id": "byName", "options": "x"}, "properties": [{"id": "unit", "value": "x"}]});
        first_of(d, "table")["fieldConfig"]["overrides"].as_array_mut().unwrap().push(unit);
    }),
    ("panel-no-targets-rule", |d| first_of(d, "timeseries")["targets"] = json!([])),
    ("panel-no-targets-rule", |d| {
        first_of(d, "stat").as_object_mut().unwrap().shift_remove("targets");
    }),
    ("target-promql-rule", |d| asks(d, "sum(up{}")),
    ("target-promql-rule", |d| asks(d, "up{} and")),
    ("target-promql-rule", |d| asks(d, "")),
    ("target-rate-interval-rule", |d| asks(d, "rate(x_total{}[5m])")),
    ("target-rate-interval-rule", |d| asks(d, "sum by (x) (increase(x_total{}[$__range]))")),
    ("target-job-rule", |d| asks_without(d, "job=~\"$job\", ", "")),
    ("target-job-rule", |d| asks_without(d, "job=~\"$job\"", "job=\"$job\"")),
    ("target-instance-rule", |d| asks_without(d, ", instance=~\"$instance\"", "")),
    ("target-instance-rule", |d| asks_without(d, "\"$instance\"", "\"$job\"")),
    ("target-counter-agg-rule", |d| asks(d, "sum(x_total{})")),
    ("target-counter-agg-rule", |d| asks(d, "max_over_time(x_total{}[$__rate_interval])")),
    ("uneditable-dashboard-rule", |d| d["editable"] = json!(true)),
    ("uneditable-dashboard-rule", |d| drop(d.as_object_mut().unwrap().shift_remove("editable"))),
];
