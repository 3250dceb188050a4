//! Which parser reads an outcome, and what verdict comes of it. Pure: bytes in, judgement out.

use crate::check::{Check, Program, Reader, ReaderChoice};
use crate::ignore::{Matcher, NOISE, NOISY_TOOLS};
use crate::outcome::{Captured, End, Finished, Outcome, Stage};
use crate::redact::{Marked, holds_raw_plan, without_secrets_of};
use driftrun_parsers::{
    Claim, Class, Diagnostic, DriftReport, File, Input, ParseError, Parser, Reading, Source, Stream, Verdict,
    others_against_clean, read, read_by_pattern, read_by_program, recognise, text, unread_report,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// What a run comes to.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Its class, when it is neither clean nor drifted.
    pub class: Option<Class>,
    /// Why, when it is neither clean nor drifted.
    pub reason: Option<String>,
    /// The line of the command's standard output, from 1, at which it became unreadable.
    pub line: Option<u32>,
    /// Who read it; keep a parser of driftrun's own as `pinned` for the next run.
    pub parser: Option<Reader>,
    /// The evidence by which `parser` was recognised in this run's output.
    pub evidence: Option<&'static str>,
    /// A complete or partial report, ignore rules applied.
    pub report: Option<DriftReport>,
    /// What the tool and the rules remark, also without a report.
    pub diagnostics: Vec<Diagnostic>,
    /// Ignore rules that matched nothing.
    pub unused_rules: usize,
    /// What the report marks as sensitive: nobody is to see it in what the command has printed for people.
    pub marked: Marked,
}

/// Judges a finished run of `check`. `pinned` is the parser that an earlier run recognised. `now` is for rules with a last day (UTC).
///
/// Don't call it for a cancelled run: such a run leaves no record.
pub fn judge(check: &Check, pinned: Option<&'static Parser>, outcome: &Outcome, now: Timestamp) -> Judgement {
    let mut judgement = judged(check, pinned, outcome, now);
    if outcome.report.is_some() {
        // Its places are those of an output that nobody keeps.
        judgement.line = None;
        judgement.diagnostics.iter_mut().for_each(|diagnostic| diagnostic.line = None);
        if let Some(report) = &mut judgement.report {
            report.place(places(check, outcome).as_ref());
        }
    }
    // They quote what was printed, and go to logs and pages.
    let Outcome { stdout, stderr, .. } = outcome;
    let decoded = [&stderr.bytes, &stdout.bytes].map(|bytes| text::decode_utf16(bytes));
    let [err, out] = &decoded;
    let printed =
        [err.as_deref().unwrap_or(&stderr.bytes), &stderr.tail, out.as_deref().unwrap_or(&stdout.bytes)];
    let reports = outcome.report.iter().map(|report| &report.bytes);
    let reports = reports.chain(outcome.files.list.iter().map(|(_, bytes)| bytes));
    let mut values = Some(Vec::new());
    for report in reports.filter(|report| holds_raw_plan(report)) {
        values =
            values.zip(driftrun_parsers::sensitive_values(report)).map(|(all, some)| [all, some].concat());
    }
    let is_cut =
        outcome.report.as_ref().is_some_and(|report| report.is_cut() && holds_raw_plan(&report.bytes));
    let marked = values.filter(|_| !is_cut).map_or_else(Marked::unknown, |values| Marked::new(&values));
    let clean = |text| marked.out_of_text(without_secrets_of(text, &printed, &check.redact));
    judgement.reason = judgement.reason.map(clean);
    for diagnostic in &mut judgement.diagnostics {
        diagnostic.summary = clean(std::mem::take(&mut diagnostic.summary));
    }
    judgement.marked = marked;
    judgement
}

/// What the command itself printed beside its report, for the places of the report's resources in it: that is what people read.
fn places(check: &Check, outcome: &Outcome) -> Option<DriftReport> {
    let End::Exited(code) = outcome.end else { return None };
    let argv: Vec<&str> = check.command.iter().map(String::as_str).collect();
    let stderr = both_ends(&outcome.stderr);
    let input = Input {
        argv: &argv,
        exit: Some(code),
        stdout: stream(&outcome.stdout),
        stderr: Stream::kept(&stderr, outcome.stderr.total),
        files: &[],
    };
    let (parser, _) = recognise(driftrun_parsers::ALL, &input)?;
    match read(parser, None, &input) {
        Reading::Read(report) => Some(report),
        Reading::Failed { .. } | Reading::Unreadable(_) => None,
    }
}

fn judged(check: &Check, pinned: Option<&'static Parser>, outcome: &Outcome, now: Timestamp) -> Judgement {
    let failed = |verdict, class, reason: String| Judgement {
        verdict,
        class: Some(class),
        reason: Some(reason),
        line: None,
        parser: pinned.map(Reader::Builtin),
        evidence: None,
        report: None,
        diagnostics: Vec::new(),
        unused_rules: 0,
        marked: Marked::default(),
    };
    let code = match exit_code(check, outcome) {
        Ok(code) => code,
        Err((verdict, class, reason)) => return failed(verdict, class, reason),
    };
    if let Some(why) = &outcome.files.unread {
        let reason = format!("a file that it wrote can't be read: {why}");
        return failed(Verdict::Unreadable, Class::UnreadableCut, reason);
    }
    if outcome.files.left_out > 0 {
        let error =
            ParseError::cut(format!("its files hold {} bytes more than are kept", outcome.files.left_out))
                .hint("raise max_output, or let `files` match less");
        return failed(Verdict::Unreadable, Class::OutputLimit, error.to_string());
    }
    let argv: Vec<&str> = check.command.iter().map(String::as_str).collect();
    let stderr = both_ends(&outcome.stderr);
    let files: Vec<File<'_>> = outcome.files.list.iter().map(|(path, bytes)| File { path, bytes }).collect();
    let input = Input {
        argv: &argv,
        exit: Some(code),
        stdout: stream(outcome.report.as_ref().unwrap_or(&outcome.stdout)),
        stderr: Stream::kept(&stderr, outcome.stderr.total),
        files: &files,
    };
    let codes = check.exit_codes.as_ref();
    let builtin = |parser| Some(Reader::Builtin(parser));
    let (reader, evidence) = match (&check.reader, pinned) {
        (ReaderChoice::ExitCode, _) => (None, None),
        (ReaderChoice::Known(reader), _) => (Some(reader.clone()), None),
        (_, Some(pinned)) => (builtin(pinned), None),
        (ReaderChoice::OneOf(parsers), None) => match recognise(parsers, &input) {
            Some((parser, evidence)) => (builtin(parser), Some(evidence)),
            // The form for people comes last: its advice is the one that helps.
            None => (parsers.last().copied().and_then(builtin), None),
        },
        (ReaderChoice::Any, None) => match recognise(driftrun_parsers::ALL, &input) {
            Some((parser, evidence)) => (builtin(parser), Some(evidence)),
            None => (None, None),
        },
    };
    let Some(reader) = reader else {
        let judged = by_code(check, code, outcome);
        if check.reader != ReaderChoice::Any {
            return judged;
        }
        if let Some(cut) = [&outcome.stdout, &outcome.stderr].into_iter().find(|stream| stream.is_cut())
            && judged.verdict != Verdict::Failed
        {
            // Nobody looked at it, and nobody could.
            let error = ParseError::cut(format!(
                "more was printed than the {} bytes at both ends that are kept, and no parser recognised it",
                cut.bytes.len() + cut.tail.len()
            ))
            .hint("raise max_output, or set `parser: none` to judge it by its exit code alone");
            return failed(Verdict::Unreadable, Class::OutputLimit, error.to_string());
        }
        if judged.verdict == Verdict::Clean
            && let Some(error) = against_code(check, &input)
        {
            return failed(Verdict::Unreadable, error.class, error.to_string());
        }
        let remark = "no parser recognised the output: judged by the exit code alone; set `parser`";
        return Judgement { diagnostics: vec![Diagnostic::warning(remark)], ..judged };
    };
    let mut reading = match &reader {
        Reader::Builtin(parser) => or_another(parser, &input, read(parser, codes, &input)),
        Reader::Pattern(pattern) => read_by_pattern(pattern, codes, &input),
        Reader::Program(program) => {
            let report = || reported(program, outcome.parsed.as_ref());
            read_by_program(&program.name, codes.or(program.exit_codes.as_ref()), &input, report)
        }
    };
    if reading.verdict() == Verdict::Clean
        && let Some(error) = against_clean(check, &reader, &input, &reading, outcome)
    {
        reading = Reading::Unreadable(error);
    }
    let ruled_clean = |reading: &Reading| {
        let others = |parser| others_against_clean(parser, codes, &input).err();
        against_clean(check, &reader, &input, reading, outcome).or_else(|| others(reader.builtin()?))
    };
    let keep = !matches!(check.reader, ReaderChoice::OneOf(_)) || evidence.is_some() || pinned.is_some();
    let kept = keep.then(|| reader.clone());
    judge_reading(check, reading, kept, evidence, input.stdout.is_cut(), now, ruled_clean)
}

/// What speaks against the exit code's "clean" where nobody recognised the output and nobody said that the code is enough.
fn against_code(check: &Check, input: &Input<'_>) -> Option<ParseError> {
    if check.exit_codes.is_some() {
        return None;
    }
    if !check.files.is_empty() {
        let error = "no parser recognised what it printed, nor a file that it wrote";
        return Some(ParseError::format(error).hint("set `parser`"));
    }
    let what = unread_report(input.stdout.bytes()).or_else(|| unread_report(input.stderr.bytes()))?;
    let error = format!("the output holds {what}, in a form that no parser reads");
    Some(ParseError::format(error).hint("set `parser: none` to judge it by its exit code alone"))
}

/// The exit code of a run that came to its end, or what it is instead of read.
fn exit_code(check: &Check, outcome: &Outcome) -> Result<i32, (Verdict, Class, String)> {
    let stage = match outcome.stage {
        Stage::Setup(n) => Some(format!("setup command {}", n + 1)),
        Stage::Report => Some("report command".to_owned()),
        Stage::Command => None,
    };
    let ending = |end| ending(end, &outcome.stderr.bytes);
    match (&outcome.end, outcome.stage) {
        (End::TimedOut, _) => {
            let during = stage.map(|stage| format!(" during its {stage}")).unwrap_or_default();
            let limit = crate::config::units::show_duration(check.timeout);
            Err((Verdict::Timeout, Class::Timeout, format!("still running after {limit}{during}")))
        }
        (End::Cancelled, _) => Err((Verdict::Failed, Class::Other, "cancelled".to_owned())),
        (end, Stage::Setup(_)) => {
            let reason = format!("{} {}", stage.unwrap_or_default(), ending(end));
            Err((Verdict::Failed, Class::Setup, reason))
        }
        (End::NotStarted(why), _) => {
            let stage = stage.map(|stage| format!("{stage}: ")).unwrap_or_default();
            Err((Verdict::Failed, Class::Spawn, format!("{stage}{why}")))
        }
        (end @ End::Signalled(_), _) => {
            let who = stage.unwrap_or_else(|| "command".to_owned());
            Err((Verdict::Failed, Class::Signal, format!("{who} {}", ending(end))))
        }
        (end @ End::Exited(_), Stage::Report) if outcome.report.is_none() => {
            Err((Verdict::Failed, Class::Exit, format!("report command {}", ending(end))))
        }
        (End::Exited(code), Stage::Command | Stage::Report) => Ok(*code),
    }
}

/// What the program printed that reads a check's output.
///
/// # Errors
/// Why there is no report of it.
pub fn reported<'o>(program: &Program, run: Option<&'o Finished>) -> Result<&'o [u8], ParseError> {
    let name = &program.name;
    let Some(run) = run else {
        return Err(ParseError::format(format!("parser {name} was not run")));
    };
    match &run.end {
        End::Exited(0) if run.stdout.is_cut() => Err(ParseError::cut(format!(
            "parser {name} printed {} bytes, more than are kept",
            run.stdout.total
        ))),
        End::Exited(0) => Ok(&run.stdout.bytes),
        End::TimedOut => {
            let limit = crate::config::units::show_duration(program.timeout);
            Err(ParseError::format(format!(
                "parser {name} was still running after {limit}, or at the run's deadline"
            )))
        }
        end @ (End::Exited(_) | End::Signalled(_) | End::Cancelled | End::NotStarted(_)) => {
            Err(ParseError::format(format!("parser {name} {}", ending(end, &run.stderr.bytes))))
        }
    }
}

/// What the run itself says against a clean reading.
fn against_clean(
    check: &Check,
    reader: &Reader,
    input: &Input<'_>,
    reading: &Reading,
    outcome: &Outcome,
) -> Option<ParseError> {
    if outcome.unwaited && input.stdout.total() == 0 {
        let error =
            "no output, and processes of the command outlived it: what they would have printed is not known";
        return Some(ParseError::cut(error).hint("let the command wait for them"));
    }
    // A sentence of the command's own output can explain its code; that of a report may be about another plan.
    let claim =
        check.exit_codes.as_ref().map_or_else(|| reader.claim(input), |codes| codes.claim(input.exit));
    let explained =
        reading.report().is_some_and(|report| report.resources().iter().any(|r| r.source == Source::Plan));
    (outcome.report.is_some() && claim == Claim::Drifted && !explained).then(|| {
        let code = input.exit.unwrap_or_default();
        ParseError::contradiction(format!(
            "exit code {code} says that something differs, the report that nothing does"
        ))
        .hint("let the report command show what the command has just written")
    })
}

/// Without a parser: 0 is clean, anything else failed, unless the check says otherwise.
fn by_code(check: &Check, code: i32, outcome: &Outcome) -> Judgement {
    let claim = match &check.exit_codes {
        Some(codes) => codes.claim(Some(code)),
        None if code == 0 => Claim::Clean,
        None => Claim::Failed,
    };
    let (verdict, class, reason) = match claim {
        Claim::Clean => (Verdict::Clean, None, None),
        Claim::Drifted => (Verdict::Drifted, None, None),
        Claim::Silent => {
            let reason =
                format!("exit code {code} is listed as clean and as drifted, and no parser reads the output");
            (Verdict::Unreadable, Some(Class::UnreadableContradiction), Some(reason))
        }
        Claim::Failed => (
            Verdict::Failed,
            Some(Class::Exit),
            Some(format!("command {}", ending(&End::Exited(code), &outcome.stderr.bytes))),
        ),
    };
    Judgement {
        verdict,
        class,
        reason,
        line: None,
        parser: None,
        evidence: None,
        report: None,
        diagnostics: Vec::new(),
        unused_rules: 0,
        marked: Marked::default(),
    }
}

/// Applies the check's rules to what was read. `cut`: our own limit cut the output. `against`: what speaks against a reading that only the rules
/// have made clean; nobody has asked that of one that drifts.
pub fn judge_reading(
    check: &Check,
    mut reading: Reading,
    parser: Option<Reader>,
    evidence: Option<&'static str>,
    cut: bool,
    now: Timestamp,
    against: impl FnOnce(&Reading) -> Option<ParseError>,
) -> Judgement {
    let mut unused_rules = 0;
    let drifted = reading.verdict() == Verdict::Drifted;
    if let Reading::Read(report) = &mut reading {
        let kubernetes = NOISY_TOOLS.contains(&&*report.tool().name);
        let noise: &[_] = if check.ignore_defaults && kubernetes { &NOISE } else { &[] };
        let mut matcher = Matcher::new(&check.ignore, noise, now.to_zoned(TimeZone::UTC).date());
        report.ignore(|resource| matcher.ignores(resource));
        if check.count_refresh {
            // After the rules: a planned change that is ignored explains nothing.
            report.count_refresh();
            report.ignore(|resource| matcher.ignores(resource));
        }
        let applied = matcher.applied();
        let drifted = report.drifted().count();
        if drifted > check.max_resources {
            report.remark(Diagnostic::warning(format!(
                "{drifted} resources drift: the first {} are kept, the rest is counted (max_resources)",
                check.max_resources
            )));
        }
        unused_rules = applied.unused.len() + applied.expired.len();
        let mut remark = |positions: &[usize], what: &str| {
            for n in positions {
                report.remark(Diagnostic::warning(format!("ignore rule {} {what}", n + 1)));
            }
        };
        remark(&applied.expired, "is past its last day");
        remark(&applied.blind, "needs attribute paths, which this output doesn't show: it matched nothing");
    }
    if drifted && reading.verdict() == Verdict::Clean {
        let doubt = reading.report().and_then(DriftReport::doubt).cloned();
        if let Some(error) = doubt.or_else(|| against(&reading)) {
            reading = Reading::Unreadable(error);
        }
    }
    let class = match reading.class() {
        // Our own limit did the cutting.
        Some(Class::UnreadableCut) if cut => Some(Class::OutputLimit),
        class => class,
    };
    let (verdict, reason) = (reading.verdict(), reading.reason());
    let diagnostics = reading.report().map(|report| report.diagnostics().to_vec()).unwrap_or_default();
    let (report, line) = match reading {
        Reading::Read(report) => (Some(report), None),
        Reading::Failed { .. } => (None, None),
        Reading::Unreadable(error) => (None, error.line),
    };
    Judgement {
        verdict,
        class,
        reason,
        line,
        parser,
        evidence,
        report,
        diagnostics,
        unused_rules,
        marked: Marked::default(),
    }
}

/// What is kept of a stream that was cut: its errors mostly stand at the end.
fn both_ends(captured: &Captured) -> Cow<'_, [u8]> {
    if captured.tail.is_empty() {
        return Cow::Borrowed(&captured.bytes);
    }
    Cow::Owned([&captured.bytes, &captured.tail].map(Vec::as_slice).join(&b'\n'))
}

fn stream(captured: &Captured) -> Stream<'_> {
    Stream::kept(&captured.bytes, captured.total)
}

/// How a process ended, with its first words on stderr.
fn ending(end: &End, stderr: &[u8]) -> String {
    let how = match end {
        End::Exited(code) => format!("exited with code {code}"),
        End::Signalled(signal) => format!("was ended by signal {signal}{}", signal_name(*signal)),
        End::TimedOut => "ran out of time".to_owned(),
        End::Cancelled => "was cancelled".to_owned(),
        End::NotStarted(why) => format!("did not start: {why}"),
    };
    match driftrun_parsers::text::telling_words(stderr) {
        words if words.is_empty() => how,
        words => format!("{how}: {words}"),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (HUP)",
        2 => " (INT)",
        3 => " (QUIT)",
        6 => " (ABRT)",
        9 => " (KILL)",
        11 => " (SEGV)",
        13 => " (PIPE)",
        15 => " (TERM)",
        _ => "",
    }
}

/// A recorded output, read as `driftrun parse` does: by `parser`, or by the first that recognises it.
///
/// # Errors
/// Nothing recognises it.
pub fn read_recorded(
    parser: Option<&'static Parser>,
    input: &Input<'_>,
) -> Result<(&'static Parser, Option<&'static str>, Reading), ParseError> {
    let (parser, evidence) = match parser {
        Some(parser) => (parser, None),
        None => match recognise(driftrun_parsers::ALL, input) {
            Some((parser, evidence)) => (parser, Some(evidence)),
            None if input.stdout.bytes().is_empty() && input.files.is_empty() => {
                return Err(ParseError::format("there is no output to read")
                    .hint("where empty means clean, name the parser and its exit code: --parser kubectl --exit-code 0"));
            }
            None => {
                let what =
                    unread_report(input.stdout.bytes()).or_else(|| unread_report(input.stderr.bytes()));
                let near = what
                    .map(|what| format!(": it holds {what}, in a form that none reads"))
                    .unwrap_or_default();
                return Err(ParseError::format(format!("no parser recognises this output{near}"))
                    .hint("name one with --parser; `driftrun parsers` lists them"));
            }
        },
    };
    Ok((parser, evidence, or_another(parser, input, read(parser, None, input))))
}

/// A refusal with the name of the parser whose format it seems to be, where that is another one.
fn or_another(parser: &Parser, input: &Input<'_>, reading: Reading) -> Reading {
    match reading {
        Reading::Unreadable(error) if (parser.recognise)(input).is_none() => {
            let other = recognise(driftrun_parsers::ALL, input);
            Reading::Unreadable(match other {
                Some((other, evidence)) => {
                    error.hint(format!("{evidence}: this looks like what the parser {} reads", other.name))
                }
                None => error,
            })
        }
        reading => reading,
    }
}
