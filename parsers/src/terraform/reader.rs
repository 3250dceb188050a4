//! Reads one plan line by line.

use super::attributes::{Body, Form};
use super::legacy;
use super::words::{BELOW, Counts, DRIFTED, PLANNED, Symbols, counts, refreshes};
use crate::error::{Class, Failure, ParseError, quote};
use crate::report::{Action, Diagnostic, OUTPUT_KIND, Parsed, Resource, Said, Severity, Source, Span, Tool};
use crate::terraform_address::{Address, leading, moved};
use crate::terraform_command::Blanks;
use crate::text::Line;
use crate::{terraform_command as command, text};
use std::borrow::Cow;

/// What begins nearly every line: a value, or the details of something.
const VALUE: &[u8; 6] = b"      ";

/// Compared as one number, which [`starts_with`](slice::starts_with) isn't.
#[inline]
fn is_value(line: &[u8]) -> bool {
    line.first_chunk() == Some(VALUE)
}

/// Where in the output a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before any list.
    Before,
    /// Between the drift and the plan: nothing is refreshed any more.
    Between,
    /// Under "Objects have changed outside of Terraform".
    Drift,
    /// Under "will perform the following actions".
    Actions,
    /// Under "Changes to Outputs:".
    Outputs,
    /// After a statement: notes, warnings.
    After,
}

/// The resource whose lines are being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    /// Its header was read: notes and the symbol line follow.
    Header(Symbols),
    /// Its body was opened: only a closing brace ends it.
    Body,
    /// The same of what OpenTofu forgets, which it prints without a column for symbols.
    Plain,
    /// Of Terraform 0.11: whatever isn't one of its attributes ends it.
    Flat,
}

/// How the output states its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statement {
    NoChanges,
    Plan,
    OutputsOnly,
}

#[expect(clippy::struct_excessive_bools, reason = "each is one thing that the last lines said")]
pub(super) struct Reader {
    pub parsed: Parsed,
    blanks: Blanks,
    /// Lines may have colours.
    colours: bool,
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
    /// The list is one of Terraform 0.11.
    flat: bool,
    /// The attributes of the resource that is open.
    body: Body,
    /// It is imported as well: a change that no path names.
    imported: bool,
    /// The last line of a value.
    value: u32,
}

/// What is known of the plan from its command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    /// It asks for a refresh-only plan.
    pub refresh_only: bool,
    /// The exit code is this plan's own: "No changes." explains it. That of a script may be another plan's.
    pub own_code: bool,
}

impl Reader {
    pub fn new(tool: Tool, blanks: Blanks, colours: bool) -> Self {
        Self {
            blanks,
            colours,
            parsed: Parsed { tool, ..Parsed::new("terraform") },
            part: Part::Before,
            open: Open::None,
            statement: None,
            counted: Counts::default(),
            compact: false,
            details: false,
            seen_any: false,
            announced: false,
            flat: false,
            body: Body::default(),
            imported: false,
            value: 0,
        }
    }

    /// Reads the lines of one plan, in their order and with the numbers they have in the raw output.
    pub fn read<'a>(&mut self, lines: impl Iterator<Item = Line<'a>>) -> Result<(), ParseError> {
        let (mut before, mut last): (&[u8], u32) = (b"", 0);
        for line in lines {
            if is_value(line.bytes) {
                self.value(line.bytes, line.number)?;
            } else if !self.is_refreshed(line.bytes) {
                let plain = if self.colours { line.plain() } else { Cow::Borrowed(line.bytes) };
                if plain.trim_ascii_end().is_empty() {
                    self.compact = self.compact && text::strip_ansi(before).starts_with(b"Warnings:");
                } else if is_value(&plain) {
                    self.value(&plain, line.number)?;
                } else {
                    self.line(&plain, self.blanks.before(before), line.number)?;
                }
            }
            before = line.bytes;
            last = line.number;
        }
        match self.open {
            Open::Header(_) | Open::Body | Open::Plain => {
                Err(ParseError::cut("the output ends within a resource").at(last))
            }
            Open::None | Open::Flat => Ok(()),
        }
    }

    /// Most lines before a plan: a resource that is refreshed. No word that means anything begins so.
    #[inline]
    fn is_refreshed(&self, line: &[u8]) -> bool {
        line.first().is_some_and(u8::is_ascii_lowercase)
            && self.part == Part::Before
            && self.open == Open::None
            && self.statement.is_none()
    }

    /// A line that begins with six blanks or more.
    #[inline]
    fn value(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        self.value = number;
        if self.body.is_read() {
            self.body.line(line, self.colours);
        } else if self.part == Part::Actions && !self.seen_any {
            return Err(ParseError::format("a value that belongs to no resource").at(number));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        match self.open {
            Open::Body if line == b"    }" => {
                self.close(number);
                return Ok(());
            }
            Open::Plain if line == b"}" => {
                self.close(number);
                return Ok(());
            }
            Open::Plain if line.starts_with(b"    ") => return Ok(()),
            Open::Body | Open::Plain => {
                return Err(
                    ParseError::format("a line that doesn't belong to the resource around it").at(number)
                );
            }
            Open::Header(symbols) => return self.symbol(line, symbols, number),
            Open::Flat => {
                let last = self.value;
                self.close(last);
            }
            Open::None => {}
        }
        if self.part == Part::Actions
            && (self.flat || !self.seen_any)
            && let Some((action, address)) = legacy::header(line, !self.seen_any)
        {
            self.flat = true;
            let mut resource = found(Source::Plan, &address, action);
            resource.span = Some(Span(number, number));
            self.count(action, "");
            self.push(resource, Open::Flat);
            self.value = number;
            self.read_attributes(Form::Flat);
            return Ok(());
        }
        if line.first() == Some(&b' ') {
            return match self.part {
                Part::Drift | Part::Actions => self.header(line, number),
                Part::Outputs => self.output(line, number),
                Part::Before | Part::Between | Part::After => stray(line, number),
            };
        }
        self.words(line, before, number)
    }

    /// An `Error:` stands among the lines.
    pub fn has_errors(&self) -> bool {
        self.parsed.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Under the details of a warning after a plan with changes.
    fn quotes(&self) -> bool {
        self.details && self.statement == Some(Statement::Plan)
    }

    /// Everything that was read is moved or imported.
    fn changes_nothing(&self) -> bool {
        let planned = self.parsed.resources.iter().filter(|r| r.source == Source::Plan);
        planned.filter(|r| r.kind != OUTPUT_KIND).all(|r| matches!(r.action, Action::Move | Action::Import))
    }

    /// The output itself says that planning failed.
    fn failed(&mut self) {
        let cause = "terraform encountered an error while planning";
        self.parsed.failure = Some(Failure::new(Class::Exit, cause));
    }

    /// A line at column 0.
    fn words(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        if self.is_refreshed(line) {
            return Ok(());
        }
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
            Some(b'A') if has("An execution plan has been generated and is shown below.") => {
                self.begin(Part::Before, number)?;
                if std::mem::replace(&mut self.announced, true) {
                    return Err(second(number));
                }
            }
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
                self.part = Part::Between;
            }
            Some(b'U') if has("Unless you have made equivalent changes") && self.part == Part::Drift => {
                self.part = Part::Between;
            }
            Some(b'Y') if has("Your configuration already matches") && self.part == Part::Drift => {
                self.part = Part::Between;
            }
            Some(b'C') if has("Changes to Outputs:") => {
                self.drift_is_explained(number)?;
                // A plan that lists actions counts them before its outputs, and one of outputs alone announces none.
                if self.statement.is_none() && (self.announced || self.part == Part::Actions) {
                    return Err(second(number));
                }
                self.part = Part::Outputs;
            }
            Some(b'Y') if has("You can apply this plan to save these new output values") => {
                return self.outputs_only(number);
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

    /// What HCP Terraform and the wrapper of hashicorp/setup-terraform say about a plan.
    fn around(&mut self, line: &[u8], number: u32) -> Result<(), ParseError> {
        match line.first() {
            Some(b'O') if line.starts_with(b"Operation failed: failed running terraform plan") => {
                self.failed();
            }
            Some(b'R') if line.starts_with(b"Running apply in ") => {
                return Err(ParseError::format("the output of an apply, not of a plan").at(number));
            }
            Some(b'S') if line.starts_with(b"Sentinel Result: false") => {
                let diagnostic = Diagnostic::warning("a Sentinel policy check failed");
                self.parsed.diagnostics.push(Diagnostic { line: Some(number), ..diagnostic });
            }
            Some(b':') => {
                let code = line.strip_prefix(b"::debug::Terraform exited with code ");
                if code.is_some_and(|code| !matches!(code, b"0." | b"2.")) {
                    self.failed();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Words at column 0 that mean nothing for the plan itself.
    fn other(&mut self, line: &[u8], before: &[u8], number: u32) -> Result<(), ParseError> {
        self.around(line, number)?;
        // What a plan begins with: after a statement that is another's, whatever became of it.
        if (self.statement.is_some() || self.part == Part::Between)
            && !self.quotes()
            && (refreshes(line) || line.starts_with(b"Acquiring state lock."))
        {
            return Err(second(number));
        }
        if self.statement == Some(Statement::NoChanges) && BELOW.iter().any(|words| line.starts_with(words)) {
            return Err(second(number));
        }
        if let Some(remark) = command::remark(before, line, number) {
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

    /// The statement of a plan that changes outputs alone.
    fn outputs_only(&mut self, number: u32) -> Result<(), ParseError> {
        self.drift_is_explained(number)?;
        match self.statement {
            None => self.statement = Some(Statement::OutputsOnly),
            // Below a plan that changes nothing but addresses, too.
            Some(Statement::Plan) if self.part == Part::Outputs && self.changes_nothing() => {}
            Some(_) => return Err(second(number)),
        }
        self.part = Part::After;
        Ok(())
    }

    /// Each kind of plan says below the changes from outside what they mean: without that they would mean nothing.
    fn drift_is_explained(&self, number: u32) -> Result<(), ParseError> {
        if self.part == Part::Drift {
            return Err(ParseError::cut("the changes from outside lack the words below them").at(number));
        }
        Ok(())
    }

    /// A part of a plan begins: after a statement it would be a second plan's.
    fn begin(&mut self, part: Part, number: u32) -> Result<(), ParseError> {
        self.drift_is_explained(number)?;
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
            return Err(ParseError::format("not the counts of a plan").at(number));
        };
        if self.part != Part::Actions {
            return Err(ParseError::format("a \"Plan:\" line without a list of actions before it")
                .at(number)
                .hint("output that was taken apart isn't read: use `terraform show -json PLANFILE`"));
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
        if self.flat {
            return Err(ParseError::format("expected a resource as Terraform 0.11 lists it").at(number));
        }
        let words = line.trim_ascii_start().strip_prefix(b"# ").ok_or_else(|| {
            ParseError::format("expected a resource's header")
                .at(number)
                .hint("output whose lines were changed isn't read: use `terraform show -json PLANFILE`")
        })?;
        let wrong = || ParseError::format("not a resource's header").at(number);
        let words = str::from_utf8(words).map_err(|_| wrong())?;
        let (known, source) = match self.part {
            Part::Drift => (DRIFTED, Source::Refresh),
            _ => (PLANNED, Source::Plan),
        };
        let (address, rest) = leading(words).ok_or_else(wrong)?;
        let known = known.iter().find(|(said, _, _)| *said == rest);
        let (mut resource, symbols) = if let Some((said, action, symbols)) = known {
            if source == Source::Plan {
                self.count(*action, said);
            }
            (found(source, &address, *action), *symbols)
        } else {
            let (old, new) = moved(words).ok_or_else(wrong)?;
            let mut resource = Resource::new(source, new.module, new.kind, new.full, Action::Move);
            resource.previous_name = Some(old.full.to_owned());
            (resource, &[""][..])
        };
        resource.span = Some(Span(number, number));
        self.push(resource, Open::Header(symbols));
        Ok(())
    }

    fn count(&mut self, action: Action, said: &str) {
        let (n, counted) = (1_u64, &mut self.counted);
        let add = |field: &mut u64| *field = field.saturating_add(n);
        match action {
            Action::Create => add(&mut counted.add),
            Action::Update => add(&mut counted.change),
            Action::Delete => add(&mut counted.destroy),
            Action::Replace => {
                add(&mut counted.add);
                if !said.contains("not be destroyed") {
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
        // Terraform's symbol has one blank before it.
        let plain = line.starts_with(b"  . ");
        let line = str::from_utf8(line).map_err(|_| wrong())?.trim_start();
        let resource = self.parsed.resources.last_mut().ok_or_else(wrong)?;
        // Nearly always it is the symbol's line.
        let opened =
            symbols.iter().find_map(|symbol| line.strip_prefix(symbol)?.strip_prefix(" resource \""));
        let opened = opened.and_then(|rest| rest.strip_prefix(&*resource.kind)?.strip_prefix("\" \""));
        if opened.is_some_and(|rest| rest.ends_with(" {")) {
            self.open = if plain { Open::Plain } else { Open::Body };
            self.read_attributes(Form::Blocks);
            return Ok(());
        }
        if let Some(note) = line.strip_prefix("# ") {
            if let Some(old) = note.strip_prefix("(moved from ") {
                resource.previous_name = leading(old).map(|(address, _)| address.full.to_owned());
            } else if note.starts_with("(imported") || note.starts_with("(will be imported") {
                self.counted.import = self.counted.import.saturating_add(1);
                self.imported = true;
            }
            return Ok(());
        }
        let begins = |block: &str| block.starts_with("resource \"") || block.starts_with("data \"");
        let (symbol, block) =
            if begins(line) { ("", line) } else { line.split_once(' ').ok_or_else(wrong)? };
        let kind = block.split('"').nth(1);
        if !symbols.contains(&symbol) || !begins(block) || kind != Some(&resource.kind) {
            return Err(wrong());
        }
        self.open = if plain { Open::Plain } else { Open::Body };
        self.read_attributes(Form::Blocks);
        if block.trim_end().ends_with("{}") {
            self.close(number);
        } else if !block.contains('{') {
            return Err(wrong());
        }
        Ok(())
    }

    fn push(&mut self, resource: Resource, open: Open) {
        self.parsed.resources.push(resource);
        self.seen_any = true;
        self.imported = false;
        self.open = open;
    }

    /// What changes has attributes that change.
    fn read_attributes(&mut self, form: Form) {
        if self.parsed.resources.last().is_some_and(|r| matches!(r.action, Action::Update | Action::Replace))
        {
            self.body.begin(form);
        }
    }

    fn close(&mut self, number: u32) {
        self.open = Open::None;
        let attributes = self.body.end();
        if let Some(resource) = self.parsed.resources.last_mut() {
            resource.attributes = attributes.filter(|_| !self.imported);
            if let Some(Span(_, last)) = resource.span.as_mut() {
                *last = number;
            }
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

    /// What was read, if the output states its result.
    pub fn finish(mut self, called: Called) -> Result<Parsed, ParseError> {
        let drift = self.parsed.resources.iter().any(|r| r.source == Source::Refresh);
        let stated = self.parsed.refresh_only;
        self.parsed.refresh_only = stated || called.refresh_only;
        if !stated {
            // Elsewhere only those attributes are shown that the configuration refers to.
            let refresh = |r: &&mut Resource| r.source == Source::Refresh;
            self.parsed.resources.iter_mut().filter(refresh).for_each(|r| r.attributes = None);
        }
        self.parsed.said = match self.statement {
            Some(Statement::NoChanges) => {
                self.parsed.stated_in_words = called.own_code;
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

fn found(source: Source, address: &Address<'_>, action: Action) -> Resource {
    let mut name = address.full.to_owned();
    if address.deposed {
        name.push_str(" (deposed)");
    }
    Resource::new(source, address.module, address.kind, name, action)
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
