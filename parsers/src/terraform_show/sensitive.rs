//! The values that a plan marks as sensitive: for whoever takes them out of what people see, and for nobody else.
//!
//! ```text
//! {"address":"x.a","change":{"before":{"pw":"s3cr3t"},"after":{…},"before_sensitive":{"pw":true},"after_sensitive":{"pw":true}}}
//! "configuration":{"root_module":{"variables":{"secret":{"sensitive":true}}}},"variables":{"secret":{"value":"s3cr3t"}}
//! ```
//!
//! Terraform masks them where the mark has come along, and providers and modules lose marks: the same value then stands in clear beside a masked one.

use super::start;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is shorter would be found everywhere.
const SHORTEST: usize = 4;

/// Digits of a number that says something.
const DIGITS: usize = 6;

#[derive(Deserialize)]
struct Plan<'a> {
    #[serde(borrow, default)]
    resource_drift: Vec<ResourceChange<'a>>,
    #[serde(borrow, default)]
    resource_changes: Vec<ResourceChange<'a>>,
    #[serde(borrow, default)]
    output_changes: BTreeMap<Cow<'a, str>, Change<'a>>,
    #[serde(borrow, default)]
    variables: BTreeMap<Cow<'a, str>, Variable<'a>>,
    #[serde(borrow, default)]
    configuration: Option<Configuration<'a>>,
}

#[derive(Deserialize)]
struct ResourceChange<'a> {
    #[serde(borrow)]
    change: Change<'a>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before_sensitive: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after_sensitive: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Variable<'a> {
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow, default)]
    root_module: Option<Module<'a>>,
}

#[derive(Deserialize)]
struct Module<'a> {
    #[serde(borrow, default)]
    variables: BTreeMap<Cow<'a, str>, Declared>,
}

#[derive(Deserialize)]
struct Declared {
    #[serde(default)]
    sensitive: bool,
}

/// The texts in `stdout` of `terraform show -json` that are marked as sensitive, and their lines where they have several, each as it is and as
/// Terraform writes it in a plan for people. Those of less than four characters are left out. `None` where it can't be read to its end.
pub fn sensitive_values(stdout: &[u8]) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let json = start(stdout)?;
    for plan in serde_json::Deserializer::from_slice(json).into_iter::<Plan<'_>>() {
        let plan = plan.ok()?;
        let resources =
            plan.resource_drift.iter().chain(&plan.resource_changes).map(|resource| &resource.change);
        for change in resources.chain(plan.output_changes.values()) {
            marked(change.before, change.before_sensitive, &mut values);
            marked(change.after, change.after_sensitive, &mut values);
        }
        let declared = plan.configuration.and_then(|configuration| configuration.root_module);
        let declared = declared.map(|module| module.variables).unwrap_or_default();
        for (name, variable) in &plan.variables {
            if declared.get(name).is_some_and(|declared| declared.sensitive)
                && let Some(Ok(value)) = variable.value.map(|value| serde_json::from_str(value.get()))
            {
                all(&value, &mut values);
            }
        }
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// What of a value its mask marks. Most masks are `{}`, and then nothing is built.
fn marked(value: Option<&RawValue>, mask: Option<&RawValue>, values: &mut Vec<String>) {
    let (Some(value), Some(mask)) = (value, mask) else { return };
    if !mask.get().contains("true") {
        return;
    }
    if let (Ok(value), Ok(mask)) = (serde_json::from_str(value.get()), serde_json::from_str(mask.get())) {
        walk(&value, &mask, values);
    }
}

fn walk(value: &Value, mask: &Value, values: &mut Vec<String>) {
    match (value, mask) {
        (value, Value::Bool(true)) => all(value, values),
        (Value::Object(entries), Value::Object(masks)) => {
            for (key, mask) in masks {
                if let Some(value) = entries.get(key) {
                    walk(value, mask, values);
                }
            }
        }
        (Value::Array(items), Value::Array(masks)) => {
            items.iter().zip(masks).for_each(|(value, mask)| walk(value, mask, values));
        }
        _ => {}
    }
}

fn all(value: &Value, values: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            for line in text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
                values.push(line.to_owned());
                let written = line.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${");
                if written != line {
                    values.push(written);
                }
            }
        }
        Value::Number(number) => {
            let text = number.to_string();
            if text.bytes().filter(u8::is_ascii_digit).count() >= DIGITS {
                values.push(text);
            }
        }
        Value::Array(items) => items.iter().for_each(|value| all(value, values)),
        Value::Object(entries) => entries.values().for_each(|value| all(value, values)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_found_and_nothing_else() {
        let plan = r#"{"format_version":"1.2","terraform_version":"1.11.4",
            "variables":{"secret":{"value":"of a variable"},"open":{"value":"not this"},"gone":{}},
            "configuration":{"root_module":{"variables":{"secret":{"sensitive":true},"open":{},"gone":{"sensitive":true}}}},
            "resource_drift":[{"address":"a","change":{"actions":["update"],"before":{"pin":1234567,"n":12,"b":true},"after":null,"before_sensitive":{"pin":true,"n":true,"b":true},"after_sensitive":false}}],
            "resource_changes":[
              {"address":"a","change":{"before":{"pw":"hunter\"2\"","name":"not this"},"after":{"list":[{"x":"not this"},{"x":"second one"}],"cert":"line one\n  line ${two}\nx"},
               "before_sensitive":{"pw":true},"after_sensitive":{"list":[{},{"x":true}],"cert":true,"missing":true}}},
              {"address":"b","change":{"before":null,"after":{"all":{"deep":["inner"]},"true":"not this"},"after_sensitive":true}},
              {"address":"c","change":{"before":{"true":"not this"},"after":{},"before_sensitive":{},"after_sensitive":{}}}],
            "output_changes":{"o":{"actions":["create"],"before":null,"after":"of an output","before_sensitive":false,"after_sensitive":true}}}"#;
        let want = [
            "1234567",
            "hunter\"2\"",
            "hunter\\\"2\\\"",
            "inner",
            "line $${two}",
            "line ${two}",
            "line one",
            "not this",
            "of a variable",
            "of an output",
            "second one",
        ];
        // Under a mark for all of `b` everything is, whatever it is called.
        let want: Vec<String> = want.map(str::to_owned).to_vec();
        assert_eq!(sensitive_values(plan.as_bytes()).as_ref(), Some(&want));
        let without =
            plan.replace(r#""true":"not this"},"after_sensitive":true"#, r#""t":1},"after_sensitive":true"#);
        assert!(!sensitive_values(without.as_bytes()).unwrap().contains(&"not this".to_owned()));
        assert_eq!(sensitive_values(["Reading...\n", plan].concat().as_bytes()), Some(want));
        for none in
            ["", "{", "[]", "no plan", &plan[..plan.len() / 2], r#"{"resource_changes":[{"change":7}]}"#]
        {
            assert_eq!(sensitive_values(none.as_bytes()), None, "{none}");
        }
    }
}
