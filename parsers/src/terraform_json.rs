//! `terraform plan -json` and `tofu plan -json`: a stream of JSON messages, one a line, without any attribute.
//!
//! ```text
//! {"@level":"info","@message":"Terraform 1.11.4","@module":"terraform.ui",…,"terraform":"1.11.4","type":"version","ui":"1.2"}
//! {…,"change":{"resource":{"addr":"toy_file.dr","module":"",…,"resource_type":"toy_file",…},"action":"update"},"type":"resource_drift"}
//! {…,"change":{"resource":{"addr":"module.m[0].toy_file.a",…},"action":"replace","reason":"cannot_update"},"type":"planned_change"}
//! {…,"changes":{"add":1,"change":0,"import":0,"remove":1,"operation":"plan"},"type":"change_summary"}
//! {…,"outputs":{"o":{"sensitive":false,"action":"update"}},"type":"outputs"}
//! {…,"diagnostic":{"severity":"error","summary":"Failed to read file",…},"type":"diagnostic"}
//! ```
//!
//! Witnesses: the version message opens the stream, the summary's counts must be those of the planned changes. The summary is
//! there in failed plans, too, so an error diagnostic is failure whatever the exit code. A deposed object is known only as the
//! second entry of its address: alone it can't be told from the current one. Deferred changes are not in the stream at all.

#[cfg(test)]
mod tests;

use crate::error::{ParseError, quote};
use crate::input::Input;
use crate::report::{Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Severity, Source};
use crate::{Claim, Parser, terraform_command as command, terragrunt, text};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The parser.
pub(crate) static PARSER: Parser = Parser {
    name: "terraform-json",
    about: "the messages of `terraform plan -json` and `tofu plan -json`",
    recommended: "terraform plan -input=false -lock=false -detailed-exitcode -json",
    actions: command::ACTIONS,
    drift_codes: command::DRIFT_CODES,
    runs: |argv| command::call(argv).is_some_and(|call| call.subcommand == "plan" && call.flag("json")),
    recognise,
    claim: command::claim,
    parse,
};

/// How much of an output is searched for the first message: wrappers print a few lines before it.
const HEAD: usize = 64 * 1024;

/// What every message of the stream holds, and no log line.
const OURS: [&[u8]; 2] = [br#""@module":"terraform.ui""#, br#""@module":"tofu.ui""#];

/// How the wrapper of the GitHub action `setup-terraform` repeats the whole output in one line.
const REPEATS: [&[u8]; 2] = [b"::debug::stdout: ", b"::set-output name=stdout::"];

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let bytes = input.stdout.bytes();
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let message = memmem::find(head, br#"{"@level":"#)?;
    let message = head.get(message..)?;
    OURS.iter()
        .any(|module| memmem::find(message, module).is_some())
        .then_some("messages of terraform's JSON stream")
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "@module")]
    module: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    terraform: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tofu: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ui: Option<Cow<'a, str>>,
    // Of other messages these hold other things: read by kind.
    #[serde(borrow)]
    change: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Option<&'a RawValue>,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
    #[serde(borrow)]
    diagnostic: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    resource: Address<'a>,
    #[serde(borrow)]
    previous_resource: Option<Address<'a>>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    importing: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    addr: Cow<'a, str>,
    #[serde(borrow)]
    module: Cow<'a, str>,
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Changes<'a> {
    add: u64,
    change: u64,
    remove: u64,
    #[serde(default)]
    import: u64,
    /// OpenTofu ≥ 1.10.
    forget: Option<u64>,
    /// Terraform ≥ 1.14.
    #[serde(default)]
    action_invocation: u64,
    #[serde(borrow)]
    operation: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Remark<'a> {
    #[serde(borrow)]
    severity: Cow<'a, str>,
    #[serde(borrow)]
    summary: Cow<'a, str>,
    #[serde(borrow, default)]
    detail: Cow<'a, str>,
}

/// What the stream has said so far.
struct Stream {
    parsed: Parsed,
    version: bool,
    outputs: bool,
    summary: Option<Summary>,
    importing: u64,
    /// Actions are to be invoked, by a change or by `-invoke`.
    actions: bool,
    /// Positions of planned changes that the stream calls `noop`.
    noops: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Summary {
    add: u64,
    change: u64,
    remove: u64,
    import: u64,
    forget: Option<u64>,
    line: u32,
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let claim = command::claim(input);
    let mut stream = Stream {
        parsed: Parsed { tool: command::tool(input.argv), ..Parsed::new("terraform") },
        version: false,
        outputs: false,
        summary: None,
        importing: 0,
        actions: false,
        noops: Vec::new(),
    };
    let read = stream.read(input.stdout.bytes()).and_then(|()| stream.finish());
    let (remarks, said) = command::stderr(input.stderr.bytes());
    let parsed = &mut stream.parsed;
    if parsed.failure.is_none() && (claim == Claim::Failed || command::errors_count(input)) {
        parsed.failure = said;
        parsed.diagnostics.extend(remarks);
    }
    if parsed.failure.is_some() {
        // What a failed plan lists is for people: its summary may be missing, but it is not held against it.
        parsed.said = Said::Nothing;
        return Ok(stream.parsed);
    }
    read.map_err(|error| terragrunt::advise(input.argv, error))?;
    let parsed = &mut stream.parsed;
    let planned = parsed.resources.iter().any(|r| r.source == Source::Plan && r.kind != OUTPUT_KIND);
    let outputs = parsed.resources.iter().any(|r| r.source == Source::Plan && r.kind == OUTPUT_KIND);
    let drift = parsed.resources.iter().any(|r| r.source == Source::Refresh);
    // Only a refresh-only plan moves things in its drift; only there can drift alone be why something differs. Where the command
    // line isn't known and outputs change beside the drift it could be either: then the drift counts.
    let asked = command::refresh_only(input.argv);
    // A script's 0 may be that of any plan; who hands in a recorded 0 without a command line is taken to mean -detailed-exitcode.
    let untold = input.exit.is_none() || (claim == Claim::Silent && !input.argv.is_empty());
    if asked.is_none() && untold && drift && !planned {
        return Err(ParseError::format(
            "changes from outside and no planned ones: refresh-only or ordinary plan?",
        )
        .hint("run it with -detailed-exitcode, and give the exit code or the command line with the output"));
    }
    let moved = parsed.resources.iter().any(|r| r.source == Source::Refresh && r.action == Action::Move);
    let unexplained = claim == Claim::Drifted && drift && !planned && (asked.is_none() || !outputs);
    parsed.refresh_only = asked == Some(true) || (!planned && moved) || unexplained;
    let changes = planned || outputs || (parsed.refresh_only && drift);
    // Beside what changed outside alone, nobody knows whether that or the actions are why something differs.
    let counts = |r: &Resource| r.source == Source::Plan && r.kind != OUTPUT_KIND && r.action != Action::Read;
    if stream.actions && !parsed.resources.iter().any(counts) {
        return Err(command::only_actions());
    }
    parsed.doubt = stream.actions.then(command::only_actions);
    parsed.said = if changes { Said::Changes } else { Said::NoChanges };
    parsed.diagnostics.extend(command::limits(input.argv));
    Ok(stream.parsed)
}

impl Stream {
    fn read(&mut self, stdout: &[u8]) -> Result<(), ParseError> {
        let last = text::count_lines(stdout);
        let mut any = false;
        for line in text::lines(stdout.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stdout)) {
            // Wrappers, and errors before the stream starts, print other lines.
            if line.bytes.trim_ascii_start().first() != Some(&b'{') {
                // The summary counts neither moves nor what changed outside: a message must not get lost behind other words.
                let ours = OURS.iter().any(|module| memmem::find(line.bytes, module).is_some());
                if ours && !REPEATS.iter().any(|repeats| line.bytes.starts_with(repeats)) {
                    return Err(ParseError::format("a message that doesn't begin its line")
                        .at(line.number)
                        .hint("keep stdout apart from stderr"));
                }
                continue;
            }
            match serde_json::from_slice::<Message<'_>>(line.bytes) {
                Ok(message) => {
                    any = true;
                    self.message(&message, line.number)?;
                }
                Err(_) if line.number == last => {
                    return Err(ParseError::cut("the last message is incomplete").at(line.number));
                }
                Err(_) => return Err(ParseError::format("a line that is no message").at(line.number)),
            }
        }
        if any {
            return Ok(());
        }
        Err(ParseError::format("no message of the JSON stream in the output")
            .hint("run `terraform plan -json` with stdout as it is, or set another parser"))
    }

    fn message(&mut self, message: &Message<'_>, line: u32) -> Result<(), ParseError> {
        // Logs of providers stand on stderr; where a shell joins the streams they have another module.
        let Some(kind) = message.kind.as_deref() else { return Ok(()) };
        match message.module.as_deref() {
            Some("terraform.ui") => {}
            Some("tofu.ui") => self.parsed.tool.name = "opentofu".into(),
            Some(_) | None => return Ok(()),
        }
        self.in_order(kind, line)?;
        match kind {
            "version" => self.version(message, line),
            "resource_drift" => self.change(Source::Refresh, message.change, line),
            "planned_change" => self.change(Source::Plan, message.change, line),
            "change_summary" => self.summary(message.changes, line),
            "outputs" => self.outputs(message.outputs, line),
            "diagnostic" => self.diagnostic(message.diagnostic, line),
            "planned_action_invocation" => {
                self.actions = true;
                Ok(())
            }
            // Progress, logs, actions, policies, and whatever later versions add: the counts would tell of a change in them.
            _ => Ok(()),
        }
    }

    /// The version opens the stream, then come the changes, their summary, and once the outputs: what stands elsewhere is of another
    /// stream, of which a part is missing.
    fn in_order(&mut self, kind: &str, line: u32) -> Result<(), ParseError> {
        let change = matches!(kind, "planned_change" | "resource_drift");
        let outputs = kind == "outputs";
        if !self.version && (change || outputs || kind == "change_summary") {
            return Err(ParseError::cut("the stream lacks its beginning: no version message").at(line));
        }
        let again = outputs && std::mem::replace(&mut self.outputs, true);
        if again || (change && self.summary.is_some()) {
            return Err(ParseError::contradiction("a second plan goes on behind the summary")
                .at(line)
                .hint("one check reads one plan: use a check for each directory"));
        }
        Ok(())
    }

    fn version(&mut self, message: &Message<'_>, line: u32) -> Result<(), ParseError> {
        if self.version {
            return Err(ParseError::contradiction("a second plan begins")
                .at(line)
                .hint("one check reads one plan: use a check for each directory"));
        }
        let ui = message.ui.as_deref().unwrap_or_default();
        if !matches!(ui.split('.').next(), Some("0" | "1")) {
            return Err(
                ParseError::format(format!("version {} of the stream", quote(ui.as_bytes()))).at(line)
            );
        }
        self.version = true;
        if message.tofu.is_some() {
            self.parsed.tool.name = "opentofu".into();
        }
        self.parsed.tool.version =
            message.tofu.as_deref().or(message.terraform.as_deref()).map(str::to_owned);
        Ok(())
    }

    fn change(&mut self, source: Source, raw: Option<&RawValue>, line: u32) -> Result<(), ParseError> {
        let change: Change<'_> = part(raw, line)?;
        let importing = change.importing.is_some_and(|raw| raw.get() != "null");
        let action = match (&*change.action, source) {
            ("create", Source::Plan) => Action::Create,
            ("read", Source::Plan) => Action::Read,
            ("replace", Source::Plan) => Action::Replace,
            ("import", Source::Plan) => Action::Import,
            ("remove", Source::Plan) => Action::Forget,
            ("noop", Source::Plan) => {
                self.noops.push(self.parsed.resources.len());
                Action::Change
            }
            ("update", _) => Action::Update,
            ("delete", _) => Action::Delete,
            ("move", _) => Action::Move,
            (other, _) => {
                let what = if source == Source::Plan { "planned change" } else { "drift" };
                return Err(ParseError::format(format!("a {what} {}", quote(other.as_bytes()))).at(line));
            }
        };
        if source == Source::Plan {
            self.importing = self.importing.saturating_add(u64::from(importing));
        }
        let Address { addr, module, resource_type } = change.resource;
        let mut found = Resource::new(source, module, resource_type, addr, action).with_span(line, line);
        found.previous_name = change.previous_resource.map(|previous| previous.addr.into_owned());
        self.parsed.resources.push(found);
        Ok(())
    }

    fn summary(&mut self, raw: Option<&RawValue>, line: u32) -> Result<(), ParseError> {
        let changes: Changes<'_> = part(raw, line)?;
        if changes.operation != "plan" {
            let operation = quote(changes.operation.as_bytes());
            return Err(ParseError::format(format!("the summary of {operation}, not of a plan")).at(line));
        }
        if self.summary.is_some() {
            return Err(ParseError::contradiction("a second summary").at(line));
        }
        let Changes { add, change, remove, import, forget, action_invocation, .. } = changes;
        self.actions |= action_invocation > 0;
        self.summary = Some(Summary { add, change, remove, import, forget, line });
        Ok(())
    }

    fn outputs(&mut self, raw: Option<&RawValue>, line: u32) -> Result<(), ParseError> {
        let outputs: BTreeMap<Cow<'_, str>, Output<'_>> = part(raw, line)?;
        for (name, output) in outputs {
            let action = match output.action.as_deref() {
                Some("noop") => continue,
                Some("create") => Action::Create,
                Some("update") => Action::Update,
                Some("delete") => Action::Delete,
                Some(other) => {
                    return Err(
                        ParseError::format(format!("an output's {}", quote(other.as_bytes()))).at(line)
                    );
                }
                None => return Err(ParseError::format("an output without an action").at(line)),
            };
            let found = Resource::new(Source::Plan, "", OUTPUT_KIND, name, action).with_span(line, line);
            self.parsed.resources.push(found);
        }
        Ok(())
    }

    fn diagnostic(&mut self, raw: Option<&RawValue>, line: u32) -> Result<(), ParseError> {
        let remark: Remark<'_> = part(raw, line)?;
        let severity = if remark.severity == "error" { Severity::Error } else { Severity::Warning };
        if severity == Severity::Error && self.parsed.failure.is_none() {
            self.parsed.failure = Some(command::failure(&remark.summary, &remark.detail));
        }
        let summary = remark.summary.into_owned();
        self.parsed.diagnostics.push(Diagnostic { severity, summary, line: Some(line) });
        Ok(())
    }

    /// Holds the summary against the planned changes and tells deposed objects from current ones.
    fn finish(&mut self) -> Result<(), ParseError> {
        let Some(summary) = self.summary else {
            return Err(ParseError::cut("the stream ends before its change summary"));
        };
        if !self.version {
            return Err(ParseError::cut("the stream lacks its beginning: no version message"));
        }
        self.counts(summary)?;
        self.deposed()
    }

    fn counts(&mut self, summary: Summary) -> Result<(), ParseError> {
        let count = |action: Action| {
            let of = |r: &&Resource| r.source == Source::Plan && r.kind != OUTPUT_KIND && r.action == action;
            self.parsed.resources.iter().filter(of).count() as u64
        };
        let (create, replace, delete) =
            (count(Action::Create), count(Action::Replace), count(Action::Delete));
        let (add, remove) = (create.saturating_add(replace), delete.saturating_add(replace));
        let (update, forget) = (count(Action::Update), count(Action::Forget));
        // Terraform says replace for "create, then forget" and counts neither half.
        let kept = add.checked_sub(summary.add).filter(|n| *n <= replace);
        let counted = kept.is_some_and(|n| remove.checked_sub(summary.remove) == Some(n));
        // OpenTofu has no word in the stream for "forget, then create": it prints noop and counts one of each.
        let noops = self.noops.len() as u64;
        let forgotten = summary.add == add.saturating_add(noops)
            && summary.remove == remove
            && summary.forget == Some(forget.saturating_add(noops));
        let changed = if noops > 0 { forgotten } else { counted };
        let agree = changed
            && summary.change == update
            && summary.import == self.importing
            && (noops > 0 || summary.forget.is_none_or(|n| n == forget));
        if !agree {
            return Err(ParseError::contradiction(format!(
                "the summary counts {} to import, {} to add, {} to change, {} to destroy; listed are {}, {add}, {update}, {remove}",
                summary.import, summary.add, summary.change, summary.remove, self.importing,
            ))
            .at(summary.line));
        }
        for at in &self.noops {
            if let Some(resource) = self.parsed.resources.get_mut(*at) {
                resource.action = Action::Replace;
            }
        }
        Ok(())
    }

    fn deposed(&mut self) -> Result<(), ParseError> {
        let gone = |r: &Resource| matches!(r.action, Action::Delete | Action::Forget);
        let resources = &mut self.parsed.resources;
        let mut addresses: HashMap<String, Vec<usize>> = HashMap::with_capacity(resources.len());
        for (at, resource) in resources.iter().enumerate() {
            if resource.source == Source::Plan && resource.kind != OUTPUT_KIND {
                addresses.entry(resource.name.clone()).or_default().push(at);
            }
        }
        for places in addresses.into_values().filter(|places| places.len() > 1) {
            let stays = |at: &&usize| resources.get(**at).is_some_and(|r| !gone(r));
            let mut staying = places.iter().filter(stays);
            let current = staying.next().or(places.first()).copied();
            if let Some(second) = staying.next() {
                let Some(resource) = resources.get(*second) else { continue };
                let line = resource.span.map_or(0, |span| span.0);
                return Err(ParseError::contradiction("two changes of one current object").at(line));
            }
            for at in places.into_iter().filter(|at| Some(*at) != current) {
                if let Some(resource) = resources.get_mut(at) {
                    resource.name.push_str(" (deposed)");
                }
            }
        }
        Ok(())
    }
}

fn part<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, line: u32) -> Result<T, ParseError> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or_else(|| ParseError::format("a message that lacks a part, or has it in another form").at(line))
}
