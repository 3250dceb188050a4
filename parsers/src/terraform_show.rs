//! `terraform show -json PLANFILE` and `tofu show -json PLANFILE`: the whole plan as one JSON object.
//!
//! ```text
//! {"format_version":"1.2","terraform_version":"1.11.4","planned_values":{…},
//!  "resource_drift":[{"address":"toy_file.dr","mode":"managed","type":"toy_file",…,
//!                     "change":{"actions":["update"],"before":{…},"after":{…},"after_unknown":{},…}}],
//!  "resource_changes":[{"address":"module.m[0].toy_file.a","module_address":"module.m[0]","previous_address":"toy_file.b",
//!                       "deposed":"e44bc0d3",…,"change":{"actions":["delete","create"],…,"importing":{"id":"x"}}}],
//!  "output_changes":{"o":{"actions":["update"],…}},…,"applyable":true,"complete":true,"errored":false}
//! ```
//!
//! Also from files: `terragrunt run --all --json-out-dir DIR -- plan` writes `DIR/UNIT/tfplan.json` for each unit. A unit that failed
//! leaves none: it must be named by what Terragrunt prints.
//!
//! It holds secrets in clear text, so nothing but names leaves this file: no value is built except to compare the two sides of
//! a resource that changes, and what is marked sensitive is never looked into. The exit code is that of the plan command.

#[cfg(test)]
mod tests;

mod attributes;
mod sensitive;

use crate::error::{Class, Failure, ParseError, quote};
use crate::input::Input;
use crate::report::{Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Source};
use crate::terragrunt::{self, Unit};
use crate::{Claim, Parser, terraform_command as command, text};
use attributes::attributes;
pub(crate) use attributes::member;
use memchr::memmem;
pub use sensitive::sensitive_values;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The parser.
pub(crate) static PARSER: Parser = Parser {
    name: "terraform-show",
    about: "a saved plan as `terraform show -json PLANFILE` and `tofu show -json PLANFILE` print it, or the files of `terragrunt --json-out-dir`, with attributes",
    recommended: "terraform show -json PLANFILE",
    actions: command::ACTIONS,
    drift_codes: command::DRIFT_CODES,
    runs: |argv| {
        command::call(argv).is_some_and(|call| match call.subcommand {
            "show" => call.flag("json"),
            "plan" => command::json_folder(argv).is_some(),
            _ => false,
        })
    },
    recognise,
    claim: command::claim_of_units,
    parse,
};

/// How much of an output is searched for the object's beginning: wrappers print a few lines before it.
const HEAD: usize = 64 * 1024;

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let in_file = || {
        input.files.iter().find_map(|file| evidence(file.bytes)).map(|_| "a plan as JSON object in a file")
    };
    evidence(input.stdout.bytes()).or_else(in_file)
}

fn evidence(bytes: &[u8]) -> Option<&'static str> {
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let object = start(head)?;
    let has = |needle: &[u8]| memmem::find(object, needle).is_some();
    let version = has(br#""format_version""#) || has(br#""plan_format_version""#);
    let terraform =
        has(br#""terraform_version""#) || has(br#""planned_values""#) || has(br#""resource_changes""#);
    // `validate`, `providers schema` and `metadata functions` have a format version, too.
    (version && terraform).then_some("a plan as JSON object")
}

/// The output from the line on that begins the object.
fn start(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return Some(bytes);
    }
    let at = memmem::find(bytes, b"\n{")?;
    bytes.get(at..)
}

#[derive(Default)]
struct Plan<'a> {
    format_version: Option<Text<'a>>,
    /// HCP Terraform's redacted plan has this in its place.
    redacted_version: Option<Text<'a>>,
    terraform_version: Option<Text<'a>>,
    planned_values: Option<IgnoredAny>,
    resource_drift: Option<Changes>,
    resource_changes: Option<Changes>,
    output_changes: Option<BTreeMap<Cow<'a, str>, OutputChange<'a>>>,
    deferred_changes: Option<Vec<IgnoredAny>>,
    action_invocations: Option<Vec<IgnoredAny>>,
    deferred_action_invocations: Option<Vec<IgnoredAny>>,
    checks: Option<Vec<CheckResult<'a>>>,
    applyable: Option<bool>,
    complete: Option<bool>,
    errored: Option<bool>,
    /// A key that isn't known, with changes below it.
    stranger: Option<Cow<'a, str>>,
}

/// Borrowed where no escape stands in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// By hand, for what a derived one doesn't see: changes under a key that a newer Terraform may have, or that is damaged.
impl<'de: 'a, 'a> Deserialize<'de> for Plan<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Plan<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plan")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plan<'de>, A::Error> {
                let mut plan = Plan::default();
                let mut keys = BTreeSet::new();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    // Go writes an empty list as `null`.
                    match &*key {
                        "format_version" => plan.format_version = map.next_value()?,
                        "plan_format_version" => plan.redacted_version = map.next_value()?,
                        "terraform_version" => plan.terraform_version = map.next_value()?,
                        "planned_values" => plan.planned_values = map.next_value()?,
                        "resource_drift" => plan.resource_drift = map.next_value()?,
                        "resource_changes" => plan.resource_changes = map.next_value()?,
                        "output_changes" => plan.output_changes = map.next_value()?,
                        "deferred_changes" => plan.deferred_changes = map.next_value()?,
                        "action_invocations" => plan.action_invocations = map.next_value()?,
                        "deferred_action_invocations" => {
                            plan.deferred_action_invocations = map.next_value()?;
                        }
                        "checks" => plan.checks = map.next_value()?,
                        "applyable" => plan.applyable = map.next_value()?,
                        "complete" => plan.complete = map.next_value()?,
                        "errored" => plan.errored = map.next_value()?,
                        // What they hold is no change, whatever attributes are called there.
                        "configuration" | "prior_state" | "provider_schemas" | "variables" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        _ => {
                            let value: &RawValue = map.next_value()?;
                            if holds_changes(value.get().as_bytes()) {
                                plan.stranger = Some(key.clone());
                            }
                        }
                    }
                    if !keys.insert(key) {
                        return Err(serde::de::Error::custom("a key that stands twice"));
                    }
                }
                Ok(plan)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Whether the actions of a change stand in a JSON value.
fn holds_changes(json: &[u8]) -> bool {
    const ACTIONS: [&[u8]; 6] =
        [b"\"create\"", b"\"delete\"", b"\"forget\"", b"\"no-op\"", b"\"read\"", b"\"update\""];
    memmem::find_iter(json, b"\"actions\"").any(|at| {
        let list = json.get(at..).and_then(|rest| rest.strip_prefix(b"\"actions\""));
        let list = list.and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"));
        let list = list.and_then(|rest| rest.trim_ascii_start().strip_prefix(b"["));
        list.is_some_and(|list| ACTIONS.iter().any(|action| list.trim_ascii_start().starts_with(action)))
    })
}

impl Plan<'_> {
    /// Changes and actions that this plan puts off: it can't say what they would do.
    fn deferred(&self) -> usize {
        let count = |list: &Option<Vec<IgnoredAny>>| list.as_ref().map_or(0, Vec::len);
        count(&self.deferred_changes).saturating_add(count(&self.deferred_action_invocations))
    }

    /// HCP Terraform took the sensitive values out: two of them that differ look the same.
    fn is_redacted(&self) -> bool {
        self.redacted_version.is_some()
    }
}

/// What a list of changes says. Those that change nothing are only counted: a plan lists every resource.
#[derive(Default)]
struct Changes {
    /// Of what changes, each as if it were planned: a list of the changes themselves would take as much memory again.
    found: Vec<Resource>,
    /// Why there are no more of them.
    error: Option<ParseError>,
    all: usize,
}

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Changes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of changes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Changes, A::Error> {
                let mut changes = Changes::default();
                while let Some(change) = list.next_element::<ResourceChange<'de>>()? {
                    changes.add(&change);
                }
                Ok(changes)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

impl Changes {
    fn add(&mut self, change: &ResourceChange<'_>) {
        self.all = self.all.saturating_add(1);
        if self.error.is_none() {
            match resource(change) {
                Ok(found) => self.found.extend(found),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Hands over what was found before anything that isn't understood.
    fn take(&mut self, source: Source, resources: &mut Vec<Resource>) -> Result<(), ParseError> {
        for resource in &mut self.found {
            resource.source = source;
        }
        if resources.is_empty() {
            *resources = std::mem::take(&mut self.found);
        } else {
            resources.append(&mut self.found);
        }
        self.error.take().map_or(Ok(()), Err)
    }
}

#[derive(Deserialize)]
struct ResourceChange<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    previous_address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    module_address: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    deposed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    change: Change<'a>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    actions: &'a RawValue,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    after_unknown: Option<&'a RawValue>,
    #[serde(borrow)]
    before_sensitive: Option<&'a RawValue>,
    #[serde(borrow)]
    after_sensitive: Option<&'a RawValue>,
    importing: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct OutputChange<'a> {
    #[serde(borrow)]
    actions: &'a RawValue,
}

#[derive(Deserialize)]
struct CheckResult<'a> {
    #[serde(borrow)]
    address: CheckAddress<'a>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[derive(Deserialize)]
struct CheckAddress<'a> {
    #[serde(borrow)]
    to_display: Option<Cow<'a, str>>,
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    if input.files.is_empty() { parse_output(input) } else { terragrunt::settle(input, parse_files(input)) }
}

/// Each file is the plan of a unit.
fn parse_files(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let log =
        if command::is_terraform(input.argv) { None } else { terragrunt::Log::read(input.stdout.bytes()) };
    let run = terragrunt::outside(input, log.as_ref())?;
    let mut units: Vec<Unit> = Vec::with_capacity(input.files.len());
    let mut named_by_folder = true;
    for file in input.files {
        let (name, by_folder) = unit(file.path, command::json_folder(input.argv)).ok_or_else(|| {
            of_file(
                file.path,
                ParseError::format("not a file that holds a plan").hint("leave all but *.json out"),
            )
        })?;
        if units.iter().any(|unit| unit.name == name) {
            return Err(of_file(file.path, ParseError::contradiction("a second plan of the same unit")));
        }
        named_by_folder &= by_folder;
        units.push(Unit {
            name,
            read: read_file(file.bytes, input.argv).map_err(|error| of_file(file.path, error)),
        });
    }
    match run.without(&units, named_by_folder) {
        Some(name) if !command::some_unit_failed(input) => {
            Err(ParseError::cut(format!("no file holds the plan of the unit {}", quote(name.as_bytes())))
                .hint("let `files` name every unit's file"))
        }
        Some(_) | None => terragrunt::merge(input, units, run),
    }
}

/// The unit whose plan `DIR/UNIT/tfplan.json` is, and whether DIR is in the path; of another `*.json` its path.
fn unit(path: &str, folder: Option<&str>) -> Option<(String, bool)> {
    let clean = |path: &str| {
        let parts =
            path.split('/').enumerate().filter(|(at, part)| *part != "." && !(part.is_empty() && *at > 0));
        parts.map(|(_, part)| part.to_owned()).collect::<Vec<_>>().join("/")
    };
    let mut path = format!("/{}", clean(path));
    let mut by_folder = false;
    if let Some(folder) = folder.map(clean).filter(|folder| !folder.is_empty()) {
        let folder = format!("/{folder}/");
        if let Some(at) = path.find(&folder) {
            path = format!("/{}", path.get(at.checked_add(folder.len())?..)?);
            by_folder = true;
        }
    }
    let stem = path.strip_suffix(".json")?;
    Some((stem.strip_suffix("/tfplan").unwrap_or(stem).trim_start_matches('/').to_owned(), by_folder))
}

fn of_file(path: &str, mut error: ParseError) -> ParseError {
    error.message = match error.line.take() {
        Some(line) => format!("{path}, line {line}: {}", error.message),
        None => format!("{path}: {}", error.message),
    };
    error
}

/// The exit code is that of all files: none of them is held against it alone.
fn read_file(bytes: &[u8], argv: &[&str]) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed { tool: command::tool(argv), ..Parsed::new("terraform") };
    let mut plan = plan(bytes)?;
    parsed.tool.version = plan.terraform_version.as_ref().map(|Text(version)| version.to_string());
    let read = fill(&mut parsed, &mut plan);
    if plan.errored == Some(true) {
        parsed.failure = Some(errored());
        return Ok(parsed);
    }
    read?;
    judge(&mut parsed, &plan, Claim::Silent, command::refresh_only(argv))?;
    Ok(parsed)
}

fn errored() -> Failure {
    Failure::new(Class::Exit, "the plan is marked as errored")
}

fn parse_output(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let claim = command::claim(input);
    let mut parsed = Parsed { tool: command::tool(input.argv), ..Parsed::new("terraform") };
    let (remarks, said) = command::stderr(input.stderr.bytes());
    if said.is_some() && (claim == Claim::Failed || command::errors_count(input)) {
        parsed.failure.clone_from(&said);
        parsed.diagnostics.extend(remarks);
    }
    let mut plan = match plan(input.stdout.bytes()) {
        Ok(plan) => plan,
        Err(_) if parsed.failure.is_some() => return Ok(parsed),
        Err(error) => return Err(error),
    };
    parsed.tool.version = plan.terraform_version.as_ref().map(|Text(version)| version.to_string());
    let read = fill(&mut parsed, &mut plan);
    if plan.errored == Some(true) && parsed.failure.is_none() {
        parsed.failure = Some(said.unwrap_or_else(errored));
    }
    if parsed.failure.is_some() {
        return Ok(parsed);
    }
    read?;
    judge(&mut parsed, &plan, claim, command::refresh_only(input.argv))?;
    parsed.diagnostics.extend(command::limits(input.argv));
    Ok(parsed)
}

/// Reads the object, its version first.
fn plan(stdout: &[u8]) -> Result<Plan<'_>, ParseError> {
    let hint = "the parser terraform-show reads what `terraform show -json PLANFILE` prints";
    if stdout.trim_ascii().is_empty() {
        return Err(ParseError::cut("no output").hint(hint));
    }
    let object =
        start(stdout).ok_or_else(|| ParseError::format("no JSON object in the output").hint(hint))?;
    // `dir a: {…}` and then another: the first doesn't begin its line, so it isn't the one that was found.
    let before = stdout.get(..stdout.len().saturating_sub(object.len())).unwrap_or_default();
    if let Some(at) = memmem::find(before, br#""format_version""#) {
        let line = text::count_lines(before.get(..at).unwrap_or_default());
        return Err(ParseError::contradiction("a plan before the plan")
            .at(line)
            .hint("one check reads one plan: use a check for each directory"));
    }
    let line = |error: &serde_json::Error| {
        let before = text::count_lines(before);
        u32::try_from(error.line()).unwrap_or(u32::MAX).saturating_add(before)
    };
    // serde's own words may quote a value of the plan: only their place is used.
    let wrong = |error: serde_json::Error| {
        if error.is_eof() {
            ParseError::cut("the JSON object ends before its end").at(line(&error))
        } else if error.is_syntax() {
            ParseError::format("not one JSON object").at(line(&error)).hint(hint)
        } else {
            ParseError::format("a JSON object, but not of a plan's form").at(line(&error)).hint(hint)
        }
    };
    let mut stream = serde_json::Deserializer::from_slice(object).into_iter::<Plan<'_>>();
    let plan = stream.next().unwrap_or_else(|| serde_json::from_slice(object)).map_err(wrong)?;
    let rest = object.get(stream.byte_offset()..).unwrap_or_default();
    // The wrapper of the GitHub action `setup-terraform` repeats what it ran as commands of the workflow.
    if let Some(other) = text::lines(rest.trim_ascii())
        .find(|line| !line.bytes.trim_ascii().is_empty() && !line.bytes.starts_with(b"::"))
    {
        let blanks = rest.len().saturating_sub(rest.trim_ascii_start().len());
        let end = stdout.len().saturating_sub(rest.len()).saturating_add(blanks);
        let before = text::count_lines(stdout.get(..end).unwrap_or_default());
        let line = before.saturating_add(other.number).saturating_sub(u32::from(!rest.starts_with(b"\n")));
        return Err(ParseError::format("not one JSON object").at(line).hint(hint));
    }
    match plan.format_version.as_ref().or(plan.redacted_version.as_ref()).map(|Text(version)| &**version) {
        Some(version) if matches!(version.split('.').next(), Some("0" | "1")) => {}
        Some(version) => {
            return Err(ParseError::format(format!("format_version {}", quote(version.as_bytes())))
                .hint("versions 0.x and 1.x are read"));
        }
        None => return Err(ParseError::format("a JSON object without format_version").hint(hint)),
    }
    if let Some(key) = &plan.stranger {
        return Err(ParseError::format(format!("changes under {}, which is no known key", quote(key.as_bytes())))
            .hint("a newer Terraform may list them there: use a driftrun that knows it, or the parser terraform-json"));
    }
    if plan.planned_values.is_none() && plan.resource_changes.is_none() && !plan.is_redacted() {
        return Err(ParseError::format("a state, not a plan: neither planned_values nor resource_changes")
            .hint("give `terraform show -json` the file that `terraform plan -out=FILE` wrote"));
    }
    Ok(plan)
}

fn fill(parsed: &mut Parsed, plan: &mut Plan<'_>) -> Result<(), ParseError> {
    if let Some(changes) = &mut plan.resource_changes {
        changes.take(Source::Plan, &mut parsed.resources)?;
    }
    if let Some(changes) = &mut plan.resource_drift {
        changes.take(Source::Refresh, &mut parsed.resources)?;
    }
    if plan.is_redacted() {
        for resource in &mut parsed.resources {
            resource.attributes = None;
        }
    }
    for (name, change) in plan.output_changes.iter().flatten() {
        let actions = actions(change.actions)?;
        let action = match actions.as_slice() {
            ["no-op"] => continue,
            ["create"] => Action::Create,
            ["update"] => Action::Update,
            ["delete"] => Action::Delete,
            _ => return Err(unknown(&actions)),
        };
        parsed.resources.push(Resource::new(Source::Plan, "", OUTPUT_KIND, name.as_ref(), action));
    }
    let mut remark = |words: String| parsed.diagnostics.push(Diagnostic::warning(words));
    for check in plan.checks.iter().flatten().filter(|check| matches!(&*check.status, "fail" | "error")) {
        let address = check.address.to_display.as_deref().unwrap_or("a check");
        remark(format!(
            "{address}: {}",
            if check.status == "fail" { "check failed" } else { "check errored" }
        ));
    }
    if plan.deferred() > 0 {
        remark(format!("{} changes are deferred to a later plan", plan.deferred()));
    }
    if plan.complete == Some(false) && plan.errored != Some(true) {
        remark("the plan is incomplete: -target, or changes that are deferred".to_owned());
    }
    Ok(())
}

/// The actions of nearly every resource, as Terraform writes them.
const NO_OP: &str = r#"["no-op"]"#;

/// `None` for what stays as it is.
fn resource(change: &ResourceChange<'_>) -> Result<Option<Resource>, ParseError> {
    if change.change.actions.get() == NO_OP
        && change.previous_address.is_none()
        && change.change.importing.is_none()
    {
        return Ok(None);
    }
    let actions = actions(change.change.actions)?;
    let action = match actions.as_slice() {
        ["no-op"] if change.previous_address.is_some() => Action::Move,
        ["no-op"] if change.change.importing.is_some() => Action::Import,
        ["no-op"] => return Ok(None),
        ["create"] => Action::Create,
        ["read"] => Action::Read,
        ["update"] => Action::Update,
        ["delete"] => Action::Delete,
        ["delete" | "forget", "create"] | ["create", "delete" | "forget"] => Action::Replace,
        ["forget"] => Action::Forget,
        _ => return Err(unknown(&actions)),
    };
    let mut name = change.address.to_string();
    if change.deposed.as_deref().is_some_and(|key| !key.is_empty()) {
        name.push_str(" (deposed)");
    }
    let module = change.module_address.as_deref().unwrap_or_default();
    let mut found = Resource::new(Source::Plan, module, change.kind.as_ref(), name, action);
    found.previous_name = change.previous_address.as_deref().map(str::to_owned);
    // An import beside them is a change that no path names.
    if matches!(action, Action::Update | Action::Replace) && change.change.importing.is_none() {
        found.attributes = attributes(&change.change);
    }
    Ok(Some(found))
}

fn actions(raw: &RawValue) -> Result<Vec<&str>, ParseError> {
    serde_json::from_str(raw.get()).map_err(|_| ParseError::format("actions that are no list of words"))
}

fn unknown(actions: &[&str]) -> ParseError {
    ParseError::format(format!("a change with the actions {}", quote(actions.join(", ").as_bytes())))
}

/// What the plan says as a whole, and whether its own marks agree with it.
fn judge(parsed: &mut Parsed, plan: &Plan<'_>, claim: Claim, asked: Option<bool>) -> Result<(), ParseError> {
    let planned = parsed.resources.iter().any(|r| r.source == Source::Plan && r.kind != OUTPUT_KIND);
    let outputs = parsed.resources.iter().any(|r| r.source == Source::Plan && r.kind == OUTPUT_KIND);
    let drift = parsed.resources.iter().any(|r| r.source == Source::Refresh);
    // An ordinary plan lists what it leaves alone, too; a refresh-only one lists no resource at all.
    let nothing_listed = plan.resource_changes.as_ref().is_none_or(|changes| changes.all == 0);
    let unexplained = !planned && !outputs && (claim == Claim::Drifted || plan.applyable == Some(true));
    let looks = asked.is_none() && nothing_listed && plan.applyable != Some(false);
    parsed.refresh_only = asked == Some(true) || (drift && (unexplained || looks));
    let changes = planned || outputs || (parsed.refresh_only && drift);
    // What isn't said can be drift: beside drift that is no news, beside none it would be called clean.
    if plan.deferred() > 0 {
        parsed.doubt = Some(
            ParseError::format("nothing but deferred changes: what they would do isn't known yet")
                .hint("apply what they wait for, then plan again"),
        );
    } else if plan.action_invocations.as_ref().is_some_and(|actions| !actions.is_empty()) {
        parsed.doubt = Some(command::only_actions());
    }
    if plan.applyable == Some(true) && !changes {
        return Err(ParseError::contradiction("the plan is marked as applyable and lists no change"));
    }
    parsed.said = if changes { Said::Changes } else { Said::NoChanges };
    Ok(())
}
