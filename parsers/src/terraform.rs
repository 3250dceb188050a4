//! The text of `terraform plan` and `tofu plan`, Terraform ≥ 0.12.
//!
//! ```text
//! toy_file.a: Refreshing state... [id=id-a]
//! Note: Objects have changed outside of Terraform
//!   # toy_file.a has changed
//!   ~ resource "toy_file" "a" {
//! Terraform will perform the following actions:
//!   # module.m["x"].toy_file.b must be replaced
//!   # (moved from toy_file.b)
//! -/+ resource "toy_file" "b" {
//!       ~ name = "z" -> "a" # forces replacement
//!     }
//! Plan: 1 to add, 0 to change, 1 to destroy.
//! Changes to Outputs:
//!   ~ o = "old" -> "new"
//! ```
//!
//! Values are indented by six blanks or more, so no line of a value (a heredoc that holds a plan) is ever looked at: what
//! counts stands at column 0 to 5. A header is read from its left: an address, then words of a closed list. Witnesses: header,
//! symbol line and closing brace of each resource, and the counts of the `Plan:` line. Terraform calls this text unstable and
//! shows drift only where it thinks it relevant: the JSON forms tell more.

use crate::error::{Class, Failure, ParseError, quote};
use crate::input::Input;
use crate::report::{Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Severity, Source, Span};
use crate::terraform_address::{leading, moved};
use crate::{Claim, Parser, terraform_command as command, text};
use memchr::memmem;

/// The parser.
pub(crate) static PARSER: Parser = Parser {
    name: "terraform",
    about: "the text of `terraform plan`, `tofu plan` and `terraform show PLANFILE`",
    recommended: "terraform plan -input=false -lock=false -no-color -detailed-exitcode",
    actions: command::ACTIONS,
    drift_codes: command::DRIFT_CODES,
    runs: |argv| {
        command::call(argv)
            .is_some_and(|call| matches!(call.subcommand, "plan" | "show") && !call.flag("json"))
    },
    recognise,
    claim: command::claim,
    parse,
};

/// How much of an output's beginning and end is searched for Terraform's words.
const WINDOW: usize = 256 * 1024;

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    let bytes = input.stdout.bytes();
    let head = bytes.get(..WINDOW).unwrap_or(bytes);
    let tail = bytes.get(bytes.len().saturating_sub(WINDOW)..).unwrap_or_default();
    let tail = if bytes.len() > WINDOW { tail } else { &[] };
    [head, tail].into_iter().flat_map(text::lines).find_map(|line| evidence(line.bytes))
}

/// Lines at column 0 that no other tool prints.
const SIGNS: &[(&str, &str)] = &[
    ("Terraform will perform the following actions:", "a list of planned actions"),
    ("OpenTofu will perform the following actions:", "a list of planned actions"),
    ("Terraform used the selected providers", "the words before a plan"),
    ("OpenTofu used the selected providers", "the words before a plan"),
    ("Terraform planned the following actions", "a list of planned actions"),
    ("OpenTofu planned the following actions", "a list of planned actions"),
    ("An execution plan has been generated and is shown below.", "the words before a plan"),
    ("Note: Objects have changed outside of ", "a list of changes from outside"),
    ("Planning failed. ", "a failed plan"),
    ("You can apply this plan to save these new output values", "a plan of outputs"),
    ("No changes. Your infrastructure ", "terraform's no changes"),
    ("No changes. Infrastructure is up-to-date.", "terraform's no changes"),
    ("No changes. No objects need to be destroyed.", "terraform's no changes"),
];

fn evidence(raw: &[u8]) -> Option<&'static str> {
    if raw.first().is_none_or(|first| matches!(first, b' ' | b'{')) {
        return None;
    }
    let line = text::strip_ansi(raw);
    if let Some((_, sign)) = SIGNS.iter().find(|(words, _)| line.starts_with(words.as_bytes())) {
        return Some(sign);
    }
    if counts(&line).is_some() {
        return Some("a plan's counts");
    }
    refreshes(&line).then_some("a resource being refreshed")
}

/// `ADDR: Refreshing state... [id=x]`
fn refreshes(line: &[u8]) -> bool {
    let address = memmem::find(line, b": Refreshing state...").and_then(|at| line.get(..at));
    address
        .and_then(|address| str::from_utf8(address).ok())
        .and_then(leading)
        .is_some_and(|(_, rest)| rest.is_empty())
}

/// What begins nearly every line: a value, or the details of something.
const VALUE: &[u8] = b"      ";

/// Where in the output a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before any list, and between the drift and the plan.
    Before,
    /// Under "Objects have changed outside of Terraform".
    Drift,
    /// Under "will perform the following actions".
    Actions,
    /// Under "Changes to Outputs:".
    Outputs,
    /// After a statement: notes, warnings.
    After,
}

/// What stands below a plan with changes, and never below "No changes."
const BELOW: [&[u8]; 2] = [b"Note: You didn't use the -out option", b"Saved the plan to: "];

/// The resource whose lines are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    /// Its header was read: notes and the symbol line follow.
    Header(Symbols),
    /// Its body was opened: only a closing brace ends it.
    Body,
}

/// What may stand before `resource "T" "N" {`, without blanks.
type Symbols = &'static [&'static str];

const REPLACES: Symbols = &["-/+", "+/-", "+/.", "./+"];

/// The words after an address that say what will happen to it, and the symbols that go with them.
const PLANNED: &[(&str, Action, Symbols)] = &[
    (" will be created", Action::Create, &["+"]),
    (" will be updated in-place", Action::Update, &["~"]),
    (" will be destroyed", Action::Delete, &["-"]),
    (" must be replaced", Action::Replace, REPLACES),
    (" is tainted, so must be replaced", Action::Replace, REPLACES),
    (" is tainted, so it must be replaced", Action::Replace, REPLACES),
    (" will be replaced, as requested", Action::Replace, REPLACES),
    (" will be replaced due to changes in replace_triggered_by", Action::Replace, REPLACES),
    (" will be read during apply", Action::Read, &["<="]),
    (" will be imported", Action::Import, &[""]),
    (" will no longer be managed by Terraform, but will not be destroyed", Action::Forget, &["."]),
    (" will be removed from Terraform state, but will not be destroyed", Action::Forget, &["."]),
    (" will be removed from the OpenTofu state but will not be destroyed", Action::Forget, &["."]),
    (" must be replaced, but the existing object will not be destroyed", Action::Replace, REPLACES),
    (
        " must be replaced - older instance will not be destroyed (lifecycle.destroy = false)",
        Action::Replace,
        REPLACES,
    ),
];

const DRIFTED: &[(&str, Action, Symbols)] = &[
    (" has changed", Action::Update, &["~"]),
    (" has been changed", Action::Update, &["~"]),
    (" has been deleted", Action::Delete, &["-"]),
];

/// The numbers of a `Plan:` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    import: u64,
    add: u64,
    change: u64,
    destroy: u64,
    forget: u64,
}

/// How the output states its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statement {
    NoChanges,
    Plan,
    OutputsOnly,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the last lines said")]
struct Reader {
    parsed: Parsed,
    part: Part,
    open: Open,
    statement: Option<Statement>,
    counted: Counts,
    /// Under the `Warnings:` of `-compact-warnings`.
    compact: bool,
    /// Under a `Warning:` after the statement: its details may quote anything.
    details: bool,
    /// A resource of the current list was read.
    seen_any: bool,
    /// The words before a plan with actions.
    announced: bool,
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let claim = command::claim(input);
    let stdout = input.stdout.bytes();
    let (remarks, said) = command::stderr(input.stderr.bytes());
    let mut reader = Reader {
        parsed: Parsed { tool: command::tool(input.argv), ..Parsed::new("terraform") },
        part: Part::Before,
        open: Open::None,
        statement: None,
        counted: Counts::default(),
        compact: false,
        details: false,
        seen_any: false,
        announced: false,
    };
    let read = reader.read(stdout);
    let failed = reader.parsed.failure.is_some() || claim == Claim::Failed;
    if failed || command::errors_count(input) {
        // `terraform plan 2>&1`: the errors stand on stdout.
        let error = reader.parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let own = if failed || error { command::stderr(stdout).1 } else { None };
        reader.parsed.failure = said.or(own).or(reader.parsed.failure);
    }
    if reader.parsed.failure.is_some() {
        // What a failed plan lists is for people: it is not held against its counts.
        reader.parsed.diagnostics.extend(remarks);
        return Ok(reader.parsed);
    }
    read?;
    reader.finish(input.argv)
}

impl Reader {
    fn read(&mut self, stdout: &[u8]) -> Result<(), ParseError> {
        if stdout.starts_with(b"\xff\xfe") || stdout.starts_with(b"\xfe\xff") {
            return Err(ParseError::format("the output is UTF-16").hint("write it as UTF-8"));
        }
        let mut before: &[u8] = b"";
        for line in text::lines(stdout.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stdout)) {
            if !line.bytes.starts_with(VALUE) {
                let plain = line.plain();
                if plain.trim_ascii_end().is_empty() {
                    self.compact = self.compact && text::strip_ansi(before).starts_with(b"Warnings:");
                } else if !plain.starts_with(VALUE) {
                    self.line(&plain, before, line.number)?;
                }
            }
            before = line.bytes;
        }
        if self.open != Open::None {
            return Err(ParseError::cut("the output ends within a resource").at(text::count_lines(stdout)));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        match self.open {
            Open::Body if line == b"    }" => {
                self.close(number);
                return Ok(());
            }
            Open::Body => {
                return Err(
                    ParseError::format("a line that doesn't belong to the resource around it").at(number)
                );
            }
            Open::Header(symbols) => return self.symbol(line, symbols, number),
            Open::None => {}
        }
        if line.first() == Some(&b' ') {
            return match self.part {
                Part::Drift | Part::Actions => self.header(line, number),
                Part::Outputs => self.output(line, number),
                Part::Before | Part::After => stray(line, number),
            };
        }
        self.words(line, before, number)
    }

    /// Under the details of a warning after a plan with changes.
    fn quotes(&self) -> bool {
        self.details && self.statement == Some(Statement::Plan)
    }

    /// The output itself says that planning failed.
    fn failed(&mut self) {
        let cause = "terraform encountered an error while planning";
        self.parsed.failure = Some(Failure::new(Class::Exit, cause));
    }

    /// A line at column 0.
    fn words(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        let has = |words: &str| line.starts_with(words.as_bytes());
        // Whichever of the two names stands before `words`.
        let by_name = |words: &str| {
            [("Terraform", "terraform"), ("OpenTofu", "opentofu")].into_iter().find_map(|(prefix, tool)| {
                let rest = line.strip_prefix(prefix.as_bytes())?;
                rest.starts_with(words.as_bytes()).then_some(tool)
            })
        };
        match line.first() {
            // A warning may quote a plan: beside changes that count that is no news, beside none it can be a second plan's end.
            Some(b'P') if self.quotes() && has("Plan: ") => {}
            Some(b'N') if self.details && has("No changes.") => {}
            Some(b'P') if has("Plan: ") => return self.plan(line, number),
            Some(b'P') if has("Planning failed.") => self.failed(),
            Some(b'N') if has("No changes.") => {
                self.begin(Part::After, number)?;
                if self.announced {
                    return Err(second(number));
                }
                self.statement = Some(Statement::NoChanges);
            }
            Some(b'N') if has("No current changes.") => {
                return Err(ParseError::format(
                    "nothing but deferred changes: what they would do isn't known yet",
                )
                .at(number)
                .hint("apply what they wait for, then plan again"));
            }
            Some(b'N') if has("Note: Objects have changed outside of ") => {
                if line.ends_with(b"OpenTofu") {
                    self.parsed.tool.name = "opentofu".into();
                }
                self.begin(Part::Drift, number)?;
            }
            Some(b'T' | b'O') if let Some(tool) = by_name(" will perform the following actions:") => {
                self.parsed.tool.name = tool.into();
                self.begin(Part::Actions, number)?;
            }
            Some(b'T' | b'O') if let Some(tool) = by_name(" planned the following actions, but then") => {
                self.parsed.tool.name = tool.into();
                self.failed();
                self.begin(Part::Actions, number)?;
            }
            Some(b'T' | b'O') if let Some(tool) = by_name(" used the selected providers") => {
                self.parsed.tool.name = tool.into();
                self.begin(Part::Before, number)?;
                if std::mem::replace(&mut self.announced, true) {
                    return Err(second(number));
                }
            }
            Some(b'T' | b'O') if let Some(tool) = by_name(" has compared your real infrastructure") => {
                self.parsed.tool.name = tool.into();
            }
            Some(b'T' | b'O') if let Some(tool) = by_name(" v") => {
                let version = line.split(|b| *b == b' ').nth(1).and_then(|v| v.strip_prefix(b"v"));
                let version = version.filter(|v| v.first().is_some_and(u8::is_ascii_digit));
                if let Some(version) = version.filter(|_| self.parsed.tool.version.is_none()) {
                    self.parsed.tool.name = tool.into();
                    self.parsed.tool.version = Some(text::string(version));
                }
            }
            Some(b'T') if has("This is a refresh-only plan, so ") && self.part == Part::Drift => {
                self.parsed.refresh_only = true;
                self.part = Part::Before;
            }
            Some(b'U') if has("Unless you have made equivalent changes") && self.part == Part::Drift => {
                self.part = Part::Before;
            }
            Some(b'Y') if has("Your configuration already matches") && self.part == Part::Drift => {
                self.part = Part::Before;
            }
            Some(b'C') if has("Changes to Outputs:") => self.part = Part::Outputs,
            Some(b'Y') if has("You can apply this plan to save these new output values") => {
                if self.statement.is_some() {
                    return Err(second(number));
                }
                self.statement = Some(Statement::OutputsOnly);
                self.part = Part::After;
            }
            Some(b'A' | b'D') if has("Apply complete!") || has("Destroy complete!") => {
                return Err(ParseError::format("the output of an apply, not of a plan").at(number));
            }
            Some(b'D') if has("Do you want to perform these actions") => {
                return Err(ParseError::format("the output of an apply, not of a plan").at(number));
            }
            _ => return self.other(line, before, number),
        }
        Ok(())
    }

    /// Words at column 0 that mean nothing for the plan itself.
    fn other(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        // What a plan begins with: after a statement that is another's, whatever became of it.
        if self.statement.is_some()
            && !self.quotes()
            && (refreshes(line) || line.starts_with(b"Acquiring state lock."))
        {
            return Err(second(number));
        }
        if self.statement == Some(Statement::NoChanges) && BELOW.iter().any(|words| line.starts_with(words)) {
            return Err(second(number));
        }
        if let Some(remark) = command::remark(&text::strip_ansi(before), line, number) {
            let diagnostic = if remark.error {
                Diagnostic::error(remark.summary)
            } else {
                Diagnostic::warning(remark.summary)
            };
            self.parsed.diagnostics.push(Diagnostic { line: Some(number), ..diagnostic });
            self.details = self.statement.is_some();
        } else if line.starts_with("───".as_bytes()) {
            self.details = false;
        } else if line == b"Warnings:" {
            self.compact = true;
        } else if let Some(summary) = line.strip_prefix(b"- ").filter(|_| self.compact) {
            let diagnostic = Diagnostic::warning(text::string(summary));
            self.parsed.diagnostics.push(Diagnostic { line: Some(number), ..diagnostic });
        } else if self.part == Part::Actions && self.seen_any {
            return Err(ParseError::format("a line that doesn't belong to a plan, among its actions")
                .at(number)
                .hint("keep stdout apart from stderr"));
        }
        if self.part == Part::Outputs {
            self.part = Part::After;
        }
        Ok(())
    }

    /// A part of a plan begins: after a statement it would be a second plan's.
    fn begin(&mut self, part: Part, number: u32) -> Result<(), ParseError> {
        // Each kind of plan says below the changes from outside what they mean: without that they would mean nothing.
        if self.part == Part::Drift {
            return Err(ParseError::cut("the changes from outside lack the words below them").at(number));
        }
        if self.statement.is_some() || (self.part == Part::Actions && part != Part::After) {
            return Err(second(number));
        }
        if self.part == Part::Actions {
            return Err(ParseError::contradiction("\"No changes.\" among a plan's actions").at(number));
        }
        self.part = part;
        self.seen_any = false;
        Ok(())
    }

    fn plan(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        if self.statement.is_some() {
            return Err(second(number));
        }
        let Some((said, forgets)) = counts(line) else {
            return Err(ParseError::format(format!("the line {}", quote(line))).at(number));
        };
        if self.part != Part::Actions {
            return Err(ParseError::format("a \"Plan:\" line without a list of actions before it").at(number).hint(
                "Terraform before 0.12 and output that was taken apart are not read; use `terraform show -json PLANFILE`",
            ));
        }
        let listed = if forgets { self.counted } else { Counts { forget: 0, ..self.counted } };
        // OpenTofu before 1.10 has no number for what it forgets.
        if said != listed {
            return Err(ParseError::contradiction(format!(
                "the line {} and the {} to import, {} to add, {} to change, {} to destroy, {} to forget that are listed",
                quote(line),
                self.counted.import,
                self.counted.add,
                self.counted.change,
                self.counted.destroy,
                self.counted.forget
            ))
            .at(number));
        }
        self.statement = Some(Statement::Plan);
        self.part = Part::After;
        Ok(())
    }

    /// `  # ADDR will be created`, with one blank where Terraform forgets; four blanks begin the actions that a resource invokes.
    fn header(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        if line.starts_with(b"    ") {
            return self.invoked(line, number);
        }
        let words = line.trim_ascii_start().strip_prefix(b"# ").ok_or_else(|| {
            ParseError::format("expected a resource's header").at(number).hint(
                "Terraform before 0.12 isn't read, nor output whose lines were changed: use `terraform show -json PLANFILE`",
            )
        })?;
        let wrong = || ParseError::format(format!("not a resource's header: {}", quote(line))).at(number);
        let words = str::from_utf8(words).map_err(|_| wrong())?;
        let (known, source) = match self.part {
            Part::Drift => (DRIFTED, Source::Refresh),
            _ => (PLANNED, Source::Plan),
        };
        let (address, rest) = leading(words).ok_or_else(wrong)?;
        let found = known.iter().find(|(said, _, _)| *said == rest);
        let (mut resource, symbols) = if let Some((said, action, symbols)) = found {
            let deposed = if address.deposed { " (deposed)" } else { "" };
            let name = format!("{}{deposed}", address.full);
            if source == Source::Plan {
                self.count(*action, said);
            }
            (Resource::new(source, address.module, address.kind, name, *action), *symbols)
        } else {
            let (old, new) = moved(words).ok_or_else(wrong)?;
            let mut resource = Resource::new(source, new.module, new.kind, new.full, Action::Move);
            resource.previous_name = Some(old.full.to_owned());
            (resource, &[""][..])
        };
        resource.span = Some(Span(number, number));
        self.parsed.resources.push(resource);
        self.seen_any = true;
        self.open = Open::Header(symbols);
        Ok(())
    }

    fn count(&mut self, action: Action, said: &str) {
        let keeps_old = said.contains("not be destroyed");
        let (n, counted) = (1_u64, &mut self.counted);
        let add = |field: &mut u64| *field = field.saturating_add(n);
        match action {
            Action::Create => add(&mut counted.add),
            Action::Update => add(&mut counted.change),
            Action::Delete => add(&mut counted.destroy),
            Action::Replace => {
                add(&mut counted.add);
                if !keeps_old {
                    add(&mut counted.destroy);
                } else if said.contains("older instance") {
                    add(&mut counted.forget);
                }
            }
            Action::Import => add(&mut counted.import),
            Action::Forget => add(&mut counted.forget),
            Action::Move | Action::Change | Action::Read => {}
        }
    }

    /// Between a header and its body: notes, then `-/+ resource "TYPE" "NAME" {`.
    fn symbol(&mut self, line: &[u8], symbols: Symbols, number: u32) -> Result<(), ParseError> {
        let wrong = || {
            ParseError::format(format!("expected \"{} resource …\" after a header", symbols.join("\" or \"")))
                .at(number)
        };
        let line = str::from_utf8(line).map_err(|_| wrong())?.trim_start();
        let resource = self.parsed.resources.last_mut().ok_or_else(wrong)?;
        if let Some(note) = line.strip_prefix("# ") {
            if let Some(old) = note.strip_prefix("(moved from ") {
                resource.previous_name = leading(old).map(|(address, _)| address.full.to_owned());
            } else if note.starts_with("(imported") || note.starts_with("(will be imported") {
                self.counted.import = self.counted.import.saturating_add(1);
            }
            return Ok(());
        }
        let at = memmem::find(line.as_bytes(), b"resource \"")
            .or_else(|| memmem::find(line.as_bytes(), b"data \""))
            .ok_or_else(wrong)?;
        let (symbol, block) = line.split_at_checked(at).ok_or_else(wrong)?;
        let kind = block.split('"').nth(1);
        if !symbols.contains(&symbol.trim_end()) || kind != Some(&resource.kind) {
            return Err(wrong());
        }
        self.open = Open::Body;
        if block.trim_end().ends_with("{}") {
            self.close(number);
        } else if !block.contains('{') {
            return Err(wrong());
        }
        Ok(())
    }

    fn close(&mut self, number: u32) {
        self.open = Open::None;
        if let Some(Span(_, last)) = self.parsed.resources.last_mut().and_then(|r| r.span.as_mut()) {
            *last = number;
        }
    }

    /// Terraform ≥ 1.14 lists the actions that a change triggers after the resource.
    fn invoked(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        let words = line.trim_ascii_start();
        let known = [&b"# Actions to be invoked "[..], b"# action.", b"action \"", b"}"];
        if self.part == Part::Actions && self.seen_any && known.iter().any(|known| words.starts_with(known)) {
            return Ok(());
        }
        let module = words.strip_prefix(b"# ").is_some_and(|words| words.starts_with(b"module."));
        if self.part == Part::Actions && self.seen_any && module {
            return Ok(());
        }
        Err(ParseError::format("a line that doesn't belong to any resource").at(number))
    }

    /// `  ~ NAME = …`; what belongs to its value has four blanks or more.
    fn output(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        if line.starts_with(b"    ") || line.starts_with(b"  # ") {
            return Ok(());
        }
        let wrong =
            || ParseError::format("a line that is no output's, under \"Changes to Outputs:\"").at(number);
        let words = str::from_utf8(line).map_err(|_| wrong())?.strip_prefix("  ").ok_or_else(wrong)?;
        let (symbol, words) = words.split_once(' ').ok_or_else(wrong)?;
        let action = match symbol {
            "+" => Action::Create,
            "~" => Action::Update,
            "-" => Action::Delete,
            _ => return Err(wrong()),
        };
        let (name, _) = words.split_once('=').ok_or_else(wrong)?;
        let found = Resource::new(Source::Plan, "", OUTPUT_KIND, name.trim(), action);
        self.parsed.resources.push(found.with_span(number, number));
        Ok(())
    }

    fn finish(mut self, argv: &[&str]) -> Result<Parsed, ParseError> {
        let drift = self.parsed.resources.iter().any(|r| r.source == Source::Refresh);
        let stated = self.parsed.refresh_only;
        self.parsed.refresh_only = stated || command::refresh_only(argv) == Some(true);
        self.parsed.said = match self.statement {
            Some(Statement::NoChanges) => {
                // It explains Terraform's own code, not that of a script, which may be another plan's.
                self.parsed.stated_in_words = argv.is_empty() || command::gives_the_code(argv);
                Said::NoChanges
            }
            Some(Statement::Plan | Statement::OutputsOnly) => Said::Changes,
            None if stated && drift => Said::Changes,
            None => {
                return Err(ParseError::cut(
                    "the output ends before its statement (a \"Plan:\" line, \"No changes.\", or \"You can apply this plan…\")",
                )
                .hint("this parser reads what `terraform plan` prints, as it is"));
            }
        };
        Ok(self.parsed)
    }
}

fn second(number: u32) -> ParseError {
    ParseError::contradiction("a second plan begins")
        .at(number)
        .hint("one check reads one plan: use a check for each directory")
}

/// An indented line outside of any list: part of a diagnostic, a legend. A resource's header there means that the list's
/// beginning is missing.
fn stray(line: &[u8], number: u32) -> Result<(), ParseError> {
    let Some(words) = line.trim_ascii_start().strip_prefix(b"# ") else { return Ok(()) };
    let Ok(words) = str::from_utf8(words) else { return Ok(()) };
    let header = moved(words).is_some()
        || leading(words)
            .is_some_and(|(_, rest)| PLANNED.iter().chain(DRIFTED).any(|(said, _, _)| *said == rest));
    if header {
        return Err(ParseError::format("a resource's header outside of any list of changes").at(number));
    }
    Ok(())
}

/// `Plan: [N to import, ]A to add, C to change, D to destroy[, N to forget].[ Actions: N to invoke.]`, and whether it counts
/// what is forgotten.
fn counts(line: &[u8]) -> Option<(Counts, bool)> {
    let line = str::from_utf8(line).ok()?.strip_prefix("Plan: ")?.trim_end();
    let (line, actions) = line.split_once('.')?;
    if let Some(actions) = actions.strip_prefix(" Actions: ") {
        actions.strip_suffix(" to invoke.")?.parse::<u64>().ok()?;
    } else if !actions.is_empty() {
        return None;
    }
    let (mut counts, mut forgets) = (Counts::default(), false);
    let mut words: Vec<&str> = Vec::with_capacity(5);
    for item in line.split(", ") {
        let (number, word) = item.split_once(" to ")?;
        let number = number.parse().ok()?;
        match word {
            "import" => counts.import = number,
            "add" => counts.add = number,
            "change" => counts.change = number,
            "destroy" => counts.destroy = number,
            "forget" => {
                counts.forget = number;
                forgets = true;
            }
            _ => return None,
        }
        words.push(word);
    }
    let words = words.strip_prefix(&["import"]).unwrap_or(&words);
    let words = words.strip_suffix(&["forget"]).unwrap_or(words);
    (words == ["add", "change", "destroy"]).then_some((counts, forgets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reading, Stream, Verdict, read};

    const DETAILED: &[&str] = &["terraform", "plan", "-detailed-exitcode"];
    const PERFORM: &str = "Terraform will perform the following actions:\n\n";

    fn input<'a>(argv: &'a [&'a str], exit: Option<i32>, stdout: &'a str, stderr: &'a str) -> Input<'a> {
        let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
        Input { argv, exit, stdout, stderr, files: &[] }
    }

    fn run(argv: &[&str], exit: Option<i32>, stdout: &str) -> Reading {
        read(&PARSER, None, &input(argv, exit, stdout, ""))
    }

    fn verdict(argv: &[&str], exit: Option<i32>, stdout: &str) -> Verdict {
        run(argv, exit, stdout).verdict()
    }

    fn parsed(stdout: &str) -> Result<Parsed, ParseError> {
        parse(&input(DETAILED, Some(2), stdout, ""))
    }

    fn refused(stdout: &str) -> (Class, Option<u32>) {
        let error = parsed(stdout).unwrap_err();
        (error.class, error.line)
    }

    fn found(stdout: &str) -> Vec<(Source, String, Action)> {
        parsed(stdout).unwrap().resources.into_iter().map(|r| (r.source, r.name, r.action)).collect()
    }

    fn block(header: &str, symbol: &str) -> String {
        format!("  # {header}\n{symbol}resource \"t\" \"n\" {{\n      ~ a = 1 -> 2\n    }}\n\n")
    }

    #[test]
    fn every_header_has_an_action_a_symbol_and_its_place_in_the_counts() {
        let line = |a: [u64; 4]| {
            format!("Plan: {} to import, {} to add, {} to change, {} to destroy.\n", a[0], a[1], a[2], a[3])
        };
        for (words, symbol, action, counts) in [
            ("will be created", "  + ", Action::Create, [0, 1, 0, 0]),
            ("will be updated in-place", "  ~ ", Action::Update, [0, 0, 1, 0]),
            ("will be destroyed", "  - ", Action::Delete, [0, 0, 0, 1]),
            ("must be replaced", "-/+ ", Action::Replace, [0, 1, 0, 1]),
            ("is tainted, so must be replaced", "+/- ", Action::Replace, [0, 1, 0, 1]),
            ("is tainted, so it must be replaced", "-/+ ", Action::Replace, [0, 1, 0, 1]),
            ("will be replaced, as requested", "-/+ ", Action::Replace, [0, 1, 0, 1]),
            (
                "will be replaced due to changes in replace_triggered_by",
                "-/+ ",
                Action::Replace,
                [0, 1, 0, 1],
            ),
            ("will be imported", "    ", Action::Import, [1, 0, 0, 0]),
            (
                "will no longer be managed by Terraform, but will not be destroyed",
                " . ",
                Action::Forget,
                [0; 4],
            ),
            (
                "(deposed object 0123abcd) will be removed from Terraform state, but will not be destroyed",
                " . ",
                Action::Forget,
                [0; 4],
            ),
            (
                "will be removed from the OpenTofu state but will not be destroyed",
                "  . ",
                Action::Forget,
                [0; 4],
            ),
            (
                "must be replaced, but the existing object will not be destroyed",
                " +/. ",
                Action::Replace,
                [0, 1, 0, 0],
            ),
        ] {
            let text = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line(counts));
            let name = if words.contains("deposed") { "t.n (deposed)" } else { "t.n" };
            assert_eq!(found(&text), [(Source::Plan, name.to_owned(), action)], "{words}");
            assert_eq!(verdict(DETAILED, Some(2), &text), Verdict::Drifted, "{words}");
            let wrong = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line([0, 7, 0, 0]));
            assert_eq!(refused(&wrong), (Class::UnreadableContradiction, Some(8)), "{words}");
            let symbol = if symbol == "  ~ " { "  + " } else { "  ~ " };
            let wrong = format!("{PERFORM}{}{}", block(&format!("t.n {words}"), symbol), line(counts));
            assert_eq!(refused(&wrong), (Class::UnreadableFormat, Some(4)), "{words}");
        }
        assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n will be exploded", "  ~ "))).1, Some(3));
        assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n was deferred", "  + "))).1, Some(3));
        assert_eq!(refused(&(PERFORM.to_owned() + &block("other.n will be created", "  + "))).1, Some(4));
    }

    #[test]
    fn opentofu_counts_what_it_forgets() {
        let older = "t.n must be replaced - older instance will not be destroyed (lifecycle.destroy = false)";
        let gone = "t.m will be removed from the OpenTofu state but will not be destroyed";
        let text = |plan: &str| {
            let perform = "OpenTofu will perform the following actions:\n\n";
            format!("{perform}{}{}Plan: {plan}.\n", block(older, "  ./+ "), block(gone, "  . "))
        };
        let all = parsed(&text("1 to add, 0 to change, 0 to destroy, 2 to forget")).unwrap();
        assert_eq!(all.tool.name, "opentofu");
        assert_eq!(
            all.resources.iter().map(|r| r.action).collect::<Vec<_>>(),
            [Action::Replace, Action::Forget]
        );
        // Before 1.10 the number isn't there.
        assert!(parsed(&text("1 to add, 0 to change, 0 to destroy")).is_ok());
        assert_eq!(
            refused(&text("1 to add, 0 to change, 0 to destroy, 1 to forget")).0,
            Class::UnreadableContradiction
        );
    }

    #[test]
    fn the_line_of_counts_is_read_whole_or_not_at_all() {
        let of = |import, add, change, destroy, forget| Counts { import, add, change, destroy, forget };
        assert_eq!(counts(b"Plan: 1 to add, 2 to change, 3 to destroy."), Some((of(0, 1, 2, 3, 0), false)));
        assert_eq!(
            counts(
                b"Plan: 4 to import, 1 to add, 2 to change, 3 to destroy, 5 to forget. Actions: 1 to invoke."
            ),
            Some((of(4, 1, 2, 3, 5), true))
        );
        for cut in [
            "Plan: 1 to add, 2 to change, 3 to destroy",
            "Plan: 1 to add, 2 to change.",
            "Plan: 1 to add.",
            "Plan: 2 to change, 1 to add, 3 to destroy.",
            "Plan: x to add, 2 to change, 3 to destroy.",
            "Plan: 1 to add, 2 to change, 3 to destroy. Actions: 1",
        ] {
            assert_eq!(counts(cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn notes_tell_moves_and_imports() {
        let text = format!(
            "{PERFORM}  # t.n[\"a will be created\"] will be updated in-place\n  # (moved from t.n[\" has moved to t.x\"])\n  # (imported from \"will be destroyed\")\n  ~ resource \"t\" \"n\" {{\n    }}\n\n  # t.a[\" has moved to t.b\"] has moved to t.b\n    resource \"t\" \"b\" {{\n    }}\n\nPlan: 1 to import, 0 to add, 1 to change, 0 to destroy.\n"
        );
        let mut update = Resource::new(Source::Plan, "", "t", "t.n[\"a will be created\"]", Action::Update)
            .with_span(3, 7);
        update.previous_name = Some("t.n[\" has moved to t.x\"]".to_owned());
        let mut moved = Resource::new(Source::Plan, "", "t", "t.b", Action::Move).with_span(9, 11);
        moved.previous_name = Some("t.a[\" has moved to t.b\"]".to_owned());
        assert_eq!(parsed(&text).unwrap().resources, [update, moved]);
    }

    #[test]
    fn a_deposed_object_is_another_resource() {
        let text = format!(
            "{PERFORM}{}{}Plan: 0 to add, 1 to change, 1 to destroy.\n",
            block("t.n will be updated in-place", "  ~ "),
            block("t.n (deposed object 0123abcd) will be destroyed", "  - ")
        );
        let of = |name: &str, action| (Source::Plan, name.to_owned(), action);
        assert_eq!(found(&text), [of("t.n", Action::Update), of("t.n (deposed)", Action::Delete)]);
    }

    #[test]
    fn nothing_in_a_value_counts() {
        let value = "            Plan: 7 to add, 0 to change, 0 to destroy.\n              # t.fake will be destroyed\n            No changes. x\n\n            \r\x1b[2K\x07Plan: 1 to add\x0b\n            Error: no\n";
        let text = format!(
            "{PERFORM}  # t.n will be created\n  + resource \"t\" \"n\" {{\n      + a = <<-EOT\n{value}        EOT\n    }}\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n\nChanges to Outputs:\n  + o = <<-EOT\n        Plan: 7 to add\n        # t.fake will be destroyed\n    EOT\n"
        );
        let of = |name: &str| (Source::Plan, name.to_owned(), Action::Create);
        assert_eq!(found(&text), [of("t.n"), of("o")]);
    }

    #[test]
    fn line_ends_colours_and_a_mark_change_nothing() {
        let plain = format!(
            "{PERFORM}{}Plan: 0 to add, 1 to change, 0 to destroy.\n",
            block("t.n will be updated in-place", "  ~ ")
        );
        let want = parsed(&plain).unwrap();
        assert_eq!(parsed(&plain.replace('\n', "\r\n")).unwrap(), want);
        assert_eq!(parsed(&format!("\u{feff}{plain}")).unwrap(), want);
        let coloured = plain
            .replace("  # t.n", "\x1b[1m  # t.n\x1b[0m")
            .replace("  ~ resource", "\x1b[0m  \x1b[33m~\x1b[0m\x1b[0m resource")
            .replace("Plan:", "\x1b[1mPlan:\x1b[0m");
        assert_eq!(parsed(&coloured).unwrap(), want);
        let utf16: Vec<u8> = "\u{feff}No changes.".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let stdout = Stream::whole(&utf16);
        let input = Input { argv: DETAILED, exit: Some(0), stdout, stderr: Stream::whole(b""), files: &[] };
        assert_eq!(read(&PARSER, None, &input).verdict(), Verdict::Clean);
    }

    #[test]
    fn more_than_one_plan_is_none() {
        let plan = format!(
            "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
            block("t.n will be created", "  + ")
        );
        let nothing = "No changes. Your infrastructure matches the configuration.\n";
        let outputs = "Changes to Outputs:\n  + o = 1\n\nYou can apply this plan to save these new output values to the\n";
        for text in [
            format!("{plan}{plan}"),
            format!("{nothing}{plan}"),
            format!("{plan}{nothing}"),
            format!("{nothing}{nothing}"),
            format!("{nothing}Plan: 1 to add, 0 to change, 0 to destroy.\n"),
            format!("{nothing}{outputs}"),
            format!("{outputs}{plan}"),
            format!("{nothing}\nWarning: w\n\nd\n{plan}"),
            format!("{nothing}Note: Objects have changed outside of Terraform\n"),
        ] {
            assert_eq!(refused(&text).0, Class::UnreadableContradiction, "{text}");
            assert_eq!(verdict(&[], Some(0), &text), Verdict::Unreadable, "{text}");
        }
        let stray = format!("{nothing}{}", block("t.n will be created", "  + "));
        assert_eq!(refused(&stray), (Class::UnreadableFormat, Some(2)));
        // The end of a second one, as `tail` leaves it under the warning of the first.
        let tail = "      ~ a = 1 -> 2\n    }\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n";
        let text = format!("{nothing}\nWarning: w\n\nd\n{tail}");
        assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(9)));
        let text = format!("{outputs}\nWarning: w\n\nd\n{tail}");
        assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(12)));
        for below in
            ["Note: You didn't use the -out option to save this plan, so\n", "Saved the plan to: p\n"]
        {
            let text = format!("{nothing}\nWarning: w\n\nd\n{below}");
            assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(6)));
        }
        // The beginning of one that came to no end.
        let words = "Terraform used the selected providers to generate the following execution\nplan.\n";
        assert_eq!(refused(&format!("{words}{nothing}")), (Class::UnreadableContradiction, Some(3)));
        assert_eq!(refused(&format!("{words}{words}{plan}")), (Class::UnreadableContradiction, Some(3)));
        for begun in
            ["t.n: Refreshing state... [id=x]\n", "Acquiring state lock. This may take a few moments...\n"]
        {
            assert_eq!(refused(&format!("{nothing}{begun}")), (Class::UnreadableContradiction, Some(2)));
            let text = format!("{nothing}\nWarning: w\n\n{begun}");
            assert_eq!(refused(&text), (Class::UnreadableContradiction, Some(5)));
        }
    }

    #[test]
    fn a_warning_may_quote_a_plan() {
        let text = format!(
            "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n\nWarning: Check block assertion failed\n\nPlan: 7 to add, 0 to change, 0 to destroy.\nNo changes.\n\n─────\n\nNote: You didn't\n",
            block("t.n will be created", "  + ")
        );
        let read = parsed(&text).unwrap();
        let line = Some(10);
        assert_eq!(
            read.diagnostics,
            [Diagnostic { line, ..Diagnostic::warning("Check block assertion failed") }]
        );
        assert_eq!((read.said, read.resources.len()), (Said::Changes, 1));
    }

    #[test]
    fn what_ends_too_early_is_cut() {
        let plan = format!(
            "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
            block("t.n will be created", "  + ")
        );
        for end in 0..plan.len() {
            let part = plan.get(..end).unwrap();
            if !part.ends_with("destroy.") {
                assert_eq!(verdict(DETAILED, Some(0), part), Verdict::Unreadable, "{part}");
            }
        }
        assert_eq!(refused("").0, Class::UnreadableCut);
        assert_eq!(refused("t.n: Refreshing state... [id=x]\n").0, Class::UnreadableCut);
        // Outputs alone have their own last words.
        assert_eq!(refused("Changes to Outputs:\n  + o = 1\n").0, Class::UnreadableCut);
    }

    #[test]
    fn what_changed_outside_counts_in_a_refresh_only_plan() {
        let note = "Note: Objects have changed outside of Terraform\n\nTerraform detected the following changes made outside of Terraform since the\nlast \"terraform apply\":\n\n";
        let drift = |words: &str, symbol: &str| format!("{note}{}", block(words, symbol));
        let only = "This is a refresh-only plan, so Terraform will not take any actions to undo\nthese.\n";
        let changed = drift("t.n has changed", "  ~ ") + only;
        assert_eq!(verdict(DETAILED, Some(2), &changed), Verdict::Drifted);
        // A move alone leaves the exit code at 0.
        let moved = drift("t.o has moved to t.n", "    ") + only;
        assert_eq!(verdict(DETAILED, Some(0), &moved), Verdict::Drifted);
        // In an ordinary plan the plan decides.
        let nothing = drift("t.n has been changed", "  ~ ")
            + "Unless you have made equivalent changes to your configuration, or ignored\n\nNo changes. Your infrastructure matches the configuration.\n\nYour configuration already matches the changes detected above.\n";
        assert_eq!(found(&nothing), [(Source::Refresh, "t.n".to_owned(), Action::Update)]);
        assert_eq!(verdict(DETAILED, Some(0), &nothing), Verdict::Clean);
        // Only the words below it say what they mean.
        let lost =
            changed.replace(only, "these.\n") + PERFORM + "Plan: 0 to add, 0 to change, 0 to destroy.\n";
        assert_eq!(refused(&lost), (Class::UnreadableCut, Some(12)));
        // A planned action among them, or one of them among the plan's.
        assert_eq!(refused(&drift("t.n will be created", "  + ")), (Class::UnreadableFormat, Some(6)));
        assert_eq!(refused(&(PERFORM.to_owned() + &block("t.n has changed", "  ~ "))).1, Some(3));
    }

    #[test]
    fn what_failed_is_failed_whoever_gives_the_code() {
        let partial = format!(
            "Terraform planned the following actions, but then encountered a problem:\n\n{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
            block("t.n will be created", "  + ")
        );
        let nothing = "No changes. Your infrastructure matches the configuration.\n";
        let error = "\nError: Module not installed\n\nRun terraform init.\n";
        let of = |argv: &[&str], exit, stdout: &str, stderr: &str| match read(
            &PARSER,
            None,
            &input(argv, exit, stdout, stderr),
        ) {
            Reading::Failed { failure, .. } => Some((failure.class, failure.summary)),
            _ => None,
        };
        let init = Some((Class::NeedsInit, "Module not installed".to_owned()));
        let marked = Some((Class::Exit, "terraform encountered an error while planning".to_owned()));
        assert_eq!(of(DETAILED, Some(1), &partial, error), init);
        assert_eq!(of(DETAILED, Some(0), &partial, ""), marked);
        assert_eq!(of(&[], None, "Planning failed. Terraform encountered an error\n", ""), marked);
        // `terraform plan 2>&1 | tee`, and a script that goes on after an error.
        assert_eq!(of(&["sh", "-c", "x"], Some(0), error, ""), init);
        assert_eq!(of(&["sh", "-c", "x"], Some(0), nothing, error), init);
        // Terraform's own code counts for more than what its logs look like.
        assert_eq!(of(DETAILED, Some(0), nothing, error), None);
        assert_eq!(verdict(DETAILED, Some(0), nothing), Verdict::Clean);
        assert_eq!(verdict(DETAILED, Some(1), nothing), Verdict::Failed);
        // A bug of `-refresh-only -detailed-exitcode`; of a script, the code may be another plan's.
        assert_eq!(verdict(DETAILED, Some(2), nothing), Verdict::Clean);
        assert_eq!(verdict(&["sh", "-c", "./plans.sh"], Some(2), nothing), Verdict::Unreadable);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let plan = format!(
            "{PERFORM}{}Plan: 1 to add, 0 to change, 0 to destroy.\n",
            block("t.n will be created", "  + ")
        );
        for (text, line) in [
            ("No changes. Your infrastructure\n\nApply complete! Resources: 0 added\n".to_owned(), 3),
            (format!("{plan}\nDo you want to perform these actions?\n"), 10),
            ("No current changes. This plan requires another plan to be applied first.\n".to_owned(), 1),
            // Terraform 0.11.
            ("Plan: 1 to add, 0 to change, 0 to destroy.\n".to_owned(), 1),
            (
                format!(
                    "{PERFORM}+ t.n\n      id: <computed>\n\n  - t.m\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n"
                ),
                6,
            ),
            // Logs between the lines.
            (plan.replace("      ~ a", "2026-01-01T00:00:00Z [DEBUG] x\n      ~ a"), 5),
            (plan.replace("\nPlan", "2026-01-01T00:00:00Z [DEBUG] x\n\nPlan"), 7),
        ] {
            assert_eq!(refused(&text), (Class::UnreadableFormat, Some(line)), "{text}");
        }
        // Terragrunt's prefix, a log's prefix, another tool.
        for text in [
            "[unit] No changes. Your infrastructure\n",
            "10:00:00 STDOUT tofu: No changes.\n",
            "ok: [web1]\n",
        ] {
            assert_eq!(refused(text).0, Class::UnreadableCut, "{text}");
            assert_eq!(recognise(&input(&[], None, text, "")), None, "{text}");
        }
    }

    #[test]
    fn the_actions_that_a_change_invokes_are_no_resources() {
        let text = format!(
            "{PERFORM}{}    # Actions to be invoked after this change in order:\n    action \"x\" \"y\" {{\n        config {{\n        }}\n    }}\n\nPlan: 1 to add, 0 to change, 0 to destroy. Actions: 1 to invoke.\n",
            block("t.n will be created", "  + ")
        );
        assert_eq!(found(&text), [(Source::Plan, "t.n".to_owned(), Action::Create)]);
    }

    #[test]
    fn output_is_recognised_by_any_line_of_its_own() {
        let sign = |text: &str| recognise(&input(&[], None, text, ""));
        assert_eq!(
            sign("x\nmodule.m[\"a b\"].t.n: Refreshing state... [id=1]\n"),
            Some("a resource being refreshed")
        );
        assert_eq!(
            sign("\x1b[1mPlan:\x1b[0m 1 to add, 0 to change, 0 to destroy.\n"),
            Some("a plan's counts")
        );
        assert_eq!(sign("some of it: Refreshing state...\nNo changes.\n"), None);
        assert_eq!(sign("{\"@message\":\"t.n: Refreshing state...\"}\n"), None);
    }
}
