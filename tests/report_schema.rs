//! docs/report.schema.json says what reports are: every report of a recorded output fits it, and it and the reader of such reports refuse the same.
//! docs/round.schema.json says what `once` prints of them.

mod support;

use boon::{Compiler, SchemaIndex, Schemas};
use driftrun_parsers::{Input, Stream, Verdict, read_by_program};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// One of the schemas in docs/, with what it refers to.
fn schema(name: &str) -> (Schemas, SchemaIndex) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    for name in ["report.schema.json", "round.schema.json"] {
        let json = serde_json::from_slice(&fs::read(root.join(name)).unwrap()).unwrap();
        compiler.add_resource(name, json).unwrap();
    }
    let index = compiler.compile(name, &mut schemas).unwrap();
    (schemas, index)
}

/// Whether a program's report is understood, whatever it says.
fn is_read(json: &str) -> bool {
    let empty = Stream::whole(b"");
    let input = Input { argv: &[], exit: Some(0), stdout: empty, stderr: empty, files: &[] };
    let reading = read_by_program("p", None, &input, || Ok(json.as_bytes()));
    let refused =
        |reason: &str| reason.starts_with("the parser's report") || reason.contains("without a name");
    reading.verdict() != Verdict::Unreadable || !refused(&reading.reason().unwrap_or_default())
}

#[test]
fn every_report_of_a_recorded_output_fits_the_schema_and_is_read_back() {
    let (schemas, index) = schema("report.schema.json");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut checked = 0;
    for parser in driftrun_parsers::ALL {
        for case in fs::read_dir(root.join(parser.name)).unwrap() {
            let path = case.unwrap().path().join("expected");
            let text = fs::read_to_string(&path).unwrap();
            let json: Value = serde_json::from_str(&text).unwrap();
            schemas.validate(&json, index).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(is_read(&text), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn schema_and_reader_agree_on_what_a_report_is() {
    let (schemas, index) = schema("report.schema.json");
    let resource = |more: &str| {
        format!(r#"{{"verdict":"drifted","resources":[{{"name":"a","action":"update"{more}}}]}}"#)
    };
    for (json, good) in [
        (r#"{"verdict":"clean"}"#.to_owned(), true),
        (r#"{"verdict":"clean","totals":null,"tool":null,"reason":null}"#.to_owned(), true),
        (
            r#"{"verdict":"failed","diagnostics":[{"severity":"error","summary":"x","line":3}]}"#.to_owned(),
            true,
        ),
        (resource(""), true),
        (resource(r#","attributes":null,"span":null,"count":3,"source":"plan","outside":true"#), true),
        (resource(r#","attributes":["a.b"],"span":[1,2]"#), true),
        ("{}".to_owned(), false),
        ("[]".to_owned(), false),
        (r#"{"verdict":"ok"}"#.to_owned(), false),
        (r#"{"verdict":"clean","extra":1}"#.to_owned(), false),
        (r#"{"verdict":"clean","scopes":{"unread":[{"scope":"a","reason":"tired"}]}}"#.to_owned(), false),
        (r#"{"verdict":"clean","diagnostics":[{"severity":"info","summary":"x"}]}"#.to_owned(), false),
        (r#"{"verdict":"drifted","resources":[{"name":"a"}]}"#.to_owned(), false),
        (r#"{"verdict":"drifted","resources":[{"name":"","action":"update"}]}"#.to_owned(), false),
        (resource(r#","count":0"#), false),
        (resource(r#","span":[0,1]"#), false),
        (resource(r#","span":[1]"#), false),
        (resource(r#","attributes":[1]"#), false),
        (resource(r#","source":"state""#), false),
        (resource(r#","atributes":[]"#), false),
    ] {
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(schemas.validate(&value, index).is_ok(), good, "schema: {json}");
        assert_eq!(is_read(&json), good, "reader: {json}");
    }
}

#[test]
fn a_round_fits_its_schema() {
    let (schemas, index) = schema("round.schema.json");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/driftrun.yaml");
    let round = ["once", "--format=json", "--config.file", demo.to_str().unwrap()];
    let (stdout, _, _) = support::ended(&round);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 8);
    schemas.validate(&json, index).unwrap_or_else(|error| panic!("{error}"));

    let verdict = |name: &str, verdict: &str| serde_json::json!({ name: { "verdict": verdict } });
    for (json, good) in [
        (verdict("a-1.b_c", "clean"), true),
        (serde_json::json!({}), true),
        (serde_json::json!([]), false),
        (verdict("a", "fine"), false),
        (verdict("", "clean"), false),
        (verdict("a b", "clean"), false),
    ] {
        assert_eq!(schemas.validate(&json, index).is_ok(), good, "{json}");
    }
}
