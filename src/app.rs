//! Puts everything together: from parsed arguments to an exit code. The order in which things start and stop is here.

mod notify;
mod once;
mod prom_run;
mod serve;

use crate::board::Board;
use crate::check::{self, Check, Program, Reader, ReaderChoice};
use crate::cli::{CheckFlags, Cli, Command, ConfigCommand, Format, Parse, Serve};
use crate::config::{self, Config, Source};
use crate::diff::Style;
use crate::outcome::{Captured, Outcome};
use crate::printed::Printed;
use crate::progress::Screen;
use crate::redact::Marked;
use crate::run::{Runner, Stop};
use crate::shard::Shard;
use crate::show::markdown::Told;
use crate::show::text::Ink;
use crate::show::{self, Shown};
use crate::supervise::Clock;
use crate::{health, log, manual, metrics, reader};
use driftrun_parsers::{File, Input, Parser, Reading, Stream, read_by_pattern, read_by_program};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// How many files `parse` reads from one folder.
const MOST_FILES: usize = 10_000;

/// How many bytes of a report are written at once.
const PRINTED_AT_ONCE: usize = 64 * 1024;

/// Why driftrun could not do what it was asked; printed once, at the top.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

use serve::{Manner, Reload};

type Result<T> = std::result::Result<T, Error>;

/// Does what the command line says.
///
/// # Errors
/// What kept it from doing so; the exit code is then 1.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let screen = match &cli.command {
        Command::Once(_) => Screen::of_stderr(),
        _ => None,
    };
    log::init(cli.log_format, cli.log_level, screen.as_ref());
    match cli.command {
        Command::Watch(watch) => {
            let check = Check { interval: watch.interval, ..from_flags(&watch.check, &watch.command)? };
            serve::serve(Config::of_one(check), &watch.web, None, Manner::Own)
        }
        Command::Serve(Serve { config, auto_reload, shard, web }) => {
            let source = Source::read(&config)?;
            let loaded = source.config()?;
            let shard = Shard::new(shard.index, shard.total, &host_name()).map_err(Error)?;
            serve::serve(loaded, &web, Some(Reload::new(config, source, auto_reload, shard)), Manner::Own)
        }
        Command::Once(arguments) => once::once(&arguments, screen.as_ref()),
        Command::Parse(arguments) => parse(&arguments),
        Command::Parsers { name } => parsers(name.as_deref()),
        Command::PromRun => prom_run::prom_run(&cli.prom_run),
        Command::Config(ConfigCommand::Check { file, web_config }) => {
            config_check(file.as_deref(), web_config.as_deref())
        }
        Command::Health { url, timeout } => {
            print(&format!("{}\n", health::ask(&url, timeout).map_err(Error)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            print(&manual::completions(shell))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir } => man(dir.as_deref()),
    }
}

/// The page of driftrun itself to stdout, or all pages into a folder.
fn man(folder: Option<&Path>) -> Result<ExitCode> {
    let pages = manual::pages()?;
    match folder {
        None => print(pages.first().map_or("", |(_, page)| page))?,
        Some(folder) => {
            let failed =
                |path: &Path, error: io::Error| Error(format!("can't write {}: {error}", path.display()));
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            for (name, page) in &pages {
                let path = folder.join(name);
                std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks at both files, so that the mistakes of both are told.
fn config_check(file: Option<&Path>, web_config: Option<&Path>) -> Result<ExitCode> {
    let mut wrong = Vec::new();
    if let Some(file) = file {
        match config::load(file) {
            Ok(Config { checks, warnings, .. }) => {
                for warning in &warnings {
                    eprintln!("warning: {warning}");
                }
                let checks =
                    if checks.len() == 1 { "1 check".to_owned() } else { format!("{} checks", checks.len()) };
                print(&format!("{} is good: {checks}\n", file.display()))?;
            }
            Err(invalid) => wrong.push(invalid.to_string()),
        }
    }
    if let Some(file) = web_config {
        match config::web::load_web(file) {
            Ok(_) => print(&format!("{} is good\n", file.display()))?,
            Err(invalid) => wrong.push(invalid.to_string()),
        }
    }
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Error(wrong.join("\n"))) }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Every run needs a private folder: where none can be made, no run would ever start.
fn try_folders(checks: &[Check]) -> Result<()> {
    let bases: BTreeSet<&Path> = checks.iter().map(|check| check.tmp_base.as_path()).collect();
    for base in bases {
        // What a killed driftrun of the same number left, or another look of this one, must not be in the way.
        let now = Clock::SYSTEM.now().as_nanosecond();
        let probe = base.join(format!("driftrun-{}-{now:x}", std::process::id()));
        std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).map_err(|error| {
            Error(format!("no temporary folder can be made in {}: {error}; set TMPDIR, or `tmp_dir` in the configuration", base.display()))
        })?;
    }
    Ok(())
}

/// One check from the command line, held to the same rules as one from a file.
fn from_flags(flags: &CheckFlags, command: &[String]) -> Result<Check> {
    let program = command.first().map(String::as_str).unwrap_or_default();
    let name = flags.name.clone().unwrap_or_else(|| default_name(program));
    if !check::is_name(&name) {
        return Err(Error(format!(
            "check name {name:?}: use 1 to 128 letters, digits, '_', '.', '-', and begin with a letter or digit"
        )));
    }
    let mut labels = BTreeMap::new();
    for (name, value) in &flags.label {
        check::check_label_name(name).map_err(Error)?;
        if labels.insert(name.clone(), value.clone()).is_some() {
            return Err(Error(format!("--label {name} is given twice; keep one")));
        }
    }
    let workdir = match &flags.workdir {
        Some(path) if !path.is_dir() => {
            let what = if path.exists() { "it is no folder" } else { "no such folder" };
            return Err(Error(format!("--workdir {}: {what}", path.display())));
        }
        Some(path) => Some(std::path::absolute(path)?),
        None => None,
    };
    let reader = match flags.parser.as_str() {
        "auto" => match driftrun_parsers::unread_tool(command) {
            Some(tool) => return Err(Error(format!("--parser: {}", check::no_parser(tool)))),
            None => ReaderChoice::auto(command),
        },
        "none" => ReaderChoice::ExitCode,
        name => ReaderChoice::Known(Reader::Builtin(parser_named(name, [])?)),
    };
    Ok(Check {
        labels,
        command: command.to_vec(),
        workdir,
        env: flags.env.iter().cloned().collect(),
        reader,
        timeout: flags.timeout,
        kill_grace: flags.kill_grace,
        max_output: usize::try_from(flags.max_output).unwrap_or(usize::MAX),
        tmp_base: tmp_base()?,
        ..Check::recorded(&name)
    })
}

/// Where private folders of runs are made.
fn tmp_base() -> Result<PathBuf> {
    let base = std::env::temp_dir();
    match config::tmp_base_problem(&base) {
        Some(problem) => Err(Error(format!("TMPDIR: {problem}"))),
        None => Ok(base),
    }
}

/// The program's file name, with what can't stand in a check's name left out.
fn default_name(program: &str) -> String {
    let base =
        Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = base
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        .take(128)
        .collect();
    let name = name.trim_start_matches(['_', '.', '-']);
    if name.is_empty() { "check".to_owned() } else { name.to_owned() }
}

/// `defined`: what a configuration knows beside driftrun's own.
fn parser_named<'d>(name: &str, defined: impl IntoIterator<Item = &'d String>) -> Result<&'static Parser> {
    driftrun_parsers::by_name(name).ok_or_else(|| Error(check::unknown_parser(name, defined)))
}

fn runtime() -> Result<Runtime> {
    build(runtime::Builder::new_multi_thread().worker_threads(2))
}

/// With a thread for blocking work from the beginning, and such threads stay: work waits for one of them when the system gives no more, but where there is
/// none at all tokio panics, and a run amid a fork storm would end neither swept nor recorded.
fn build(builder: &mut runtime::Builder) -> Result<Runtime> {
    let builder = builder.max_blocking_threads(16).thread_keep_alive(Duration::MAX);
    let runtime = builder.thread_stack_size(1 << 20).enable_all().build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// The first TERM or INT asks for an end, the second one for an end at once. So does a HUP, of a terminal that is closed, where it doesn't
/// ask for the configuration.
fn stop_on_signals(on_hangup: bool) -> Result<Stop> {
    let stop = Stop::default();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = if on_hangup { Some(signal(SignalKind::hangup())?) } else { None };
    let stopping = stop.clone();
    tokio::spawn(async move {
        for token in [&stopping.soft, &stopping.hard] {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hung_up => {}
            }
            token.cancel();
        }
    });
    Ok(stop)
}

/// Makes the runs. What they print meanwhile can be seen on `board`, where there is somebody who looks.
fn run_with(
    runner: &Arc<Runner>,
    board: Option<&Arc<Board>>,
) -> impl Fn(Arc<Check>, Stop) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Clone + use<> {
    let (runner, board) = (Arc::clone(runner), board.cloned());
    move |check, stop| {
        let (runner, board) = (Arc::clone(&runner), board.clone());
        Box::pin(async move {
            let live = board.and_then(|board| board.live(&check.name));
            runner.run_live(&check, &stop, live.as_deref()).await
        })
    }
}

/// The machine's own name; that of a pod of a `StatefulSet` ends in a number.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A recorded output in, a report out.
fn parse(arguments: &Parse) -> Result<ExitCode> {
    let defined = match &arguments.config {
        Some(file) => config::load(file)?.parsers,
        None => BTreeMap::new(),
    };
    let reader = match arguments.parser.as_deref() {
        None | Some("auto") => None,
        Some("none") => return Err(Error("--parser none: there is nothing to read then".to_owned())),
        Some(name) => match defined.get(name) {
            Some(reader) => Some(reader.clone()),
            None => Some(Reader::Builtin(parser_named(name, defined.keys()).map_err(|error| {
                let more = if arguments.config.is_some() {
                    ""
                } else {
                    "; one that a configuration defines needs --config.file"
                };
                Error(error.0 + more)
            })?)),
        },
    };
    let folder = arguments.file.as_deref().filter(|path| path.is_dir());
    let files = folder.map(read_folder).transpose()?.unwrap_or_default();
    if let (Some(folder), true) = (folder, files.is_empty()) {
        return Err(Error(format!(
            "{} holds no files; name the folder that the reports are in",
            folder.display()
        )));
    }
    let stdout = match (&arguments.file, folder) {
        (_, Some(_)) => Vec::new(),
        (Some(file), None) => read_file(file)?,
        (None, None) => read_stdin()?,
    };
    let stderr = arguments.stderr.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let files: Vec<File<'_>> = files.iter().map(|(path, bytes)| File { path, bytes }).collect();
    let input = Input {
        argv: &[],
        exit: arguments.exit_code,
        stdout: Stream::whole(&stdout),
        stderr: Stream::whole(&stderr),
        files: &files,
    };
    let (reader, reading) = match reader {
        Some(Reader::Pattern(pattern)) => {
            let reading = read_by_pattern(&pattern, None, &input);
            (Some(Reader::Pattern(pattern)), reading)
        }
        Some(Reader::Program(program)) => {
            let reading = run_program(&program, &input)?;
            (Some(Reader::Program(program)), reading)
        }
        builtin => match reader::read_recorded(builtin.as_ref().and_then(Reader::builtin), &input) {
            Ok((parser, evidence, reading)) => {
                if let Some(evidence) = evidence {
                    eprintln!("driftrun: detected {} because of {evidence}", parser.name);
                }
                (Some(Reader::Builtin(parser)), reading)
            }
            Err(error) => (None, Reading::Unreadable(error)),
        },
    };
    let verdict = reading.verdict();
    let name = reader.as_ref().map_or("auto", Reader::name);
    let shown = || Shown {
        name: None,
        took: None,
        document: reading.document(name),
        first_seen: &[],
        unlisted: BTreeMap::new(),
    };
    match arguments.format {
        Format::Table => print(&show::table(&[shown()], None, ink()))?,
        Format::Markdown => {
            let printed = Printed::of(whole(&stdout), Captured::default(), &[], &Marked::default(), false);
            let opened = printed.stdout.open();
            let told = Told { shown: shown(), printed: Some(&opened), style: Style::of(name) };
            print(&show::markdown(&[told], None))?;
        }
        Format::Json => print_json(&reading.document(name))?,
        Format::Prometheus => {
            print(&metrics::render_report("parse", reader, reading, Clock::SYSTEM.now()))?;
            return Ok(ExitCode::from(show::exit_code(std::iter::once(verdict))));
        }
    }
    // The process ends here: taking its memory back whole is faster than freeing a million names one by one.
    std::mem::forget(reading);
    Ok(ExitCode::from(show::exit_code(std::iter::once(verdict))))
}

/// A recorded output, as a run would have captured it.
fn whole(bytes: &[u8]) -> Captured {
    Captured { bytes: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 }
}

/// What `program` says of a recorded output.
fn run_program(program: &Program, input: &Input<'_>) -> Result<Reading> {
    let check = Check::recorded("parse");
    try_folders(std::slice::from_ref(&check))?;
    let finished = runtime()?.block_on(async {
        let stop = stop_on_signals(true)?;
        let runner = Runner::start()?;
        let finished = runner.parse(&check, program, input.exit, input.stdout.bytes(), &stop).await;
        runner.end_strays().await;
        Ok::<_, Error>(finished)
    })?;
    let report = || reader::reported(program, Some(&finished));
    Ok(read_by_program(&program.name, program.exit_codes.as_ref(), input, report))
}

/// Every file below `folder`, with its path from there. A link to a folder could lead round in a circle: it is an error, not passed over.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let failed = |path: &Path, error: io::Error| Error(format!("can't read {}: {error}", path.display()));
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(open) = folders.pop() {
        for entry in std::fs::read_dir(&open).map_err(|error| failed(&open, error))? {
            let entry = entry.map_err(|error| failed(&open, error))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                files.insert(name, read_file(&path)?);
            } else if path.is_dir() {
                return Err(Error(format!(
                    "{} is a link to a folder, which is not followed; put the folder itself there",
                    path.display()
                )));
            }
        }
        if files.len() > MOST_FILES {
            return Err(Error(format!(
                "{} holds more than {MOST_FILES} files; name the folder that the reports are in",
                folder.display()
            )));
        }
    }
    Ok(files)
}

fn read_stdin() -> Result<Vec<u8>> {
    if io::stdin().is_terminal() {
        eprintln!("driftrun: reading standard input; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error(format!("can't read {}: {error}", path.display())))
}

fn parsers(name: Option<&str>) -> Result<ExitCode> {
    let mut out = String::new();
    match name {
        None => {
            let width = driftrun_parsers::ALL.iter().map(|parser| parser.name.len()).max().unwrap_or(0);
            for parser in driftrun_parsers::ALL {
                let _ = write!(
                    out,
                    "{:width$}  {}\n{:width$}    {}\n",
                    parser.name, parser.about, "", parser.recommended
                );
            }
            let _ = writeln!(out, "{:width$}  nothing is read: the exit code decides, 0 is clean and any other failed", "none");
        }
        Some("none") => out.push_str("none: nothing is read. Exit code 0 is clean, any other failed; `exit_codes` in a configuration says otherwise.\n"),
        Some(name) => {
            let parser = parser_named(name, [])?;
            let actions: Vec<&str> = parser.actions.iter().map(|action| action.as_str()).collect();
            let codes: Vec<String> = parser.drift_codes.iter().map(ToString::to_string).collect();
            let codes = if codes.is_empty() { "none".to_owned() } else { codes.join(", ") };
            let _ = write!(
                out,
                "{}: {}\n\nUse it with:\n  {}\n\nActions it tells apart: {}\nExit codes that say \"differences\": {codes}\n",
                parser.name,
                parser.about,
                parser.recommended,
                actions.join(", ")
            );
        }
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether stdout takes colours: it is a terminal, and neither `NO_COLOR` nor `TERM` speaks against them, or `CLICOLOR_FORCE` for them.
fn ink() -> Ink {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => Ink::Plain,
        _ => Ink::Colours,
    }
}

/// To stdout.
fn print(text: &str) -> Result<()> {
    unless_gone(io::stdout().lock().write_all(text.as_bytes()))
}

/// To stdout, while it is made: the JSON of a large report would take as much memory again as the report.
fn print_json(value: &impl Serialize) -> Result<()> {
    let mut out = BufWriter::with_capacity(PRINTED_AT_ONCE, io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from);
    unless_gone(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// A reader that has gone away is no error.
fn unless_gone(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
