//! `--output json`, `template` as it comes, and `structured`: an array with an entry for each object.

use super::words::{Object, Word, object};
use super::{Walk, is_banner};
use crate::error::ParseError;
use crate::kube;
use crate::report::{Resource, Source};
use crate::text;
use serde_json::Value;

impl Walk {
    pub(super) fn json(&mut self, out: &[u8]) -> Result<(), ParseError> {
        let rest = Self::skip_banner(out);
        for line in text::lines(out).take_while(|line| !line.bytes.starts_with(b"[")) {
            if is_banner(line.bytes) {
                self.release_is_absent(line.bytes);
            }
        }
        let before = text::count_lines(out.get(..out.len().saturating_sub(rest.len())).unwrap_or_default());
        let entries: Vec<Value> = serde_json::from_slice(rest).map_err(|error| {
            let at = before.saturating_add(u32::try_from(error.line()).unwrap_or_default());
            if error.is_eof() {
                ParseError::cut("the JSON ends before its end").at(at)
            } else {
                ParseError::format("not the JSON of helm diff").at(at)
            }
        })?;
        for entry in &entries {
            let found = match entry.get("changeType") {
                Some(_) => structured(entry),
                None => plain(entry),
            };
            self.found.push(found.ok_or_else(|| {
                ParseError::format("an entry that is none of helm diff's")
                    .hint("a template of your own is not read: leave HELM_DIFF_TPL out")
            })?);
        }
        self.none = entries.is_empty();
        Ok(())
    }
}

fn word(text: &str) -> Option<Word> {
    Some(match text {
        "ADD" => Word::Added,
        "REMOVE" => Word::Removed,
        "MODIFY" => Word::Changed,
        "MODIFY_SUPPRESSED" => Word::Suppressed,
        "OWNERSHIP" => Word::Ownership,
        _ => return None,
    })
}

/// `{"api": "apps", "kind": "Deployment", "namespace": "shop", "name": "web", "change": "MODIFY"}`
fn plain(entry: &Value) -> Option<Resource> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let kind = text("kind").filter(|kind| kube::is_kind(kind))?;
    let kind = kube::kind(kind, kube::group(text("api")?));
    let action = word(text("change")?)?.action();
    Some(Resource::new(Source::Plan, text("namespace")?, kind, text("name")?, action))
}

/// `{"apiVersion": "apps/v1", …, "changeType": "MODIFY", "resourceStatus": {…}, "changes": [{"path": "spec", "field": "replicas", …}]}`
fn structured(entry: &Value) -> Option<Resource> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let word = word(text("changeType")?)?;
    let status = entry.get("resourceStatus")?;
    let exists = |key: &str| status.get(key).and_then(Value::as_bool);
    let exists = (exists("oldExists")?, exists("newExists")?);
    let name = text("name")?;
    let Some(kind) = text("kind") else {
        // Where it could not read the object, all it knows is the header of its text.
        let Object { scope, kind, name } = object(name)?;
        return Some(Resource::new(Source::Plan, scope, kind, name, word.action()));
    };
    let agrees = match word {
        Word::Added => exists == (false, true),
        Word::Removed => exists == (true, false),
        Word::Changed | Word::Suppressed => exists == (true, true),
        Word::Ownership => true,
    };
    if !agrees || !kube::is_kind(kind) {
        return None;
    }
    let kind = kube::kind(kind, text("apiVersion").map(kube::group).unwrap_or_default());
    let scope = text("namespace").unwrap_or_default();
    let mut found = Resource::new(Source::Plan, scope, kind, name, word.action());
    let suppressed = entry.get("changesSuppressed").and_then(Value::as_bool) == Some(true);
    if word == Word::Changed && !suppressed {
        let changes = entry.get("changes").and_then(Value::as_array)?;
        found.attributes = changes.iter().map(attribute).collect();
    }
    Some(found)
}

/// The place of one change: `path` in nearly our notation, `field` a key or an index.
fn attribute(change: &Value) -> Option<String> {
    let text = |key: &str| change.get(key).map_or(Some(""), Value::as_str);
    let (mut path, field) = (text("path")?.to_owned(), text("field")?);
    if !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()) {
        path.push('[');
        path.push_str(field);
        path.push(']');
    } else {
        kube::push_key(&mut path, field);
    }
    Some(path)
}
