//! `prom-run`: one command, in prom-run's manner. What its flags mean for a check and a server, and what of an output is logged.

use super::serve::{Manner, serve};
use super::{Error, Result, default_name, print, tmp_base, try_folders};
use crate::check::{Check, ReaderChoice};
use crate::cli::{ShowOutput, WebFlags};
use crate::config::Config;
use crate::outcome::{Captured, End, Outcome};
use crate::promrun::{self, Asked, Flags};
use crate::redact::{Part, holds_raw_plan, redacted_part};
use crate::run::Stop;
use driftrun_parsers::text;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

/// Where private folders are made, if they can't be made where they should.
const SHARED_MEMORY: &str = "/dev/shm";

/// Bytes of each stream that are logged.
const LOGGED: usize = 64 << 10;

/// Does what prom-run's own command line says.
pub(super) fn prom_run(arguments: &[OsString]) -> Result<ExitCode> {
    let flags = match promrun::parse(arguments) {
        Ok(Asked::Run(flags)) => flags,
        Ok(Asked::Help) => {
            print(&promrun::usage())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            eprintln!("prom-run: {error}\n\n{}", promrun::usage());
            return Ok(ExitCode::from(promrun::USAGE_ERROR));
        }
    };
    let Flags { period, timeout, listen, workdir, log_output, command } = flags;
    let tmp_base = tmp_base()?;
    let program = command.first().map(String::as_str).unwrap_or_default();
    let check = Check {
        interval: period,
        timeout,
        workdir: workdir.map(std::path::absolute).transpose()?,
        // prom-run judges by the exit code, and so it goes on where nothing else can be read.
        reader: match driftrun_parsers::unread_tool(&command) {
            Some(_) => ReaderChoice::ExitCode,
            None => ReaderChoice::auto(&command),
        },
        tmp_base,
        ..Check::recorded(&default_name(program))
    };
    let mut config = Config::of_one(Check { command, ..check });
    // prom-run writes nowhere, so its container's root may be read-only; shared memory is there all the same.
    if let (Err(Error(problem)), true) = (try_folders(&config.checks), Path::new(SHARED_MEMORY).is_dir()) {
        config.warnings.push(format!("{problem}; {SHARED_MEMORY} is taken"));
        for check in &mut config.checks {
            check.tmp_base = PathBuf::from(SHARED_MEMORY);
        }
    }
    // Whoever is to set something, or can't listen, is told of what there is to be set here.
    for warning in &mut config.warnings {
        *warning = warning.replace(
            "set `parser` (`none` for the exit code)",
            "`driftrun watch --parser NAME` can name a parser",
        );
    }
    let web = WebFlags {
        listen: vec![listen],
        systemd_socket: false,
        web_config: None,
        telemetry_path: "/metrics".to_owned(),
        route_prefix: None,
        external_url: None,
        lifecycle: false,
        output: ShowOutput::Always,
    };
    serve(config, &web, None, Manner::PromRun { log_output })
        .map_err(|Error(why)| Error(why.replace("--web.listen-address", "-listen-addr")))
}

/// Makes runs with `run`, and logs what each has printed, where that is the manner: before the line about the run itself.
pub(super) fn logging<F, R>(
    run: F,
    manner: Manner,
) -> impl Fn(Arc<Check>, Stop) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Clone
where
    F: Fn(Arc<Check>, Stop) -> R + Clone,
    R: Future<Output = Outcome> + Send + 'static,
{
    move |check, stop| {
        let name = check.name.clone();
        let ended = run(check, stop);
        Box::pin(async move {
            let outcome = ended.await;
            let printed = outcome.stdout.total > 0 || outcome.stderr.total > 0;
            let wanted = manner == Manner::PromRun { log_output: true };
            if wanted && printed && outcome.end != End::Cancelled {
                let (stdout, stderr) = (logged(&outcome.stdout), logged(&outcome.stderr));
                tracing::info!(check = name, stdout, stderr, "output");
            }
            outcome
        })
    }
}

/// What the log says of a stream: all of it, or both ends of a long one, without secrets of known forms.
fn logged(stream: &Captured) -> String {
    let decoded = text::decode_utf16(&stream.bytes);
    let tail = if decoded.is_some() { &[][..] } else { &stream.tail };
    let bytes = decoded.as_deref().unwrap_or(&stream.bytes);
    if holds_raw_plan(bytes) || holds_raw_plan(tail) {
        return "[the raw plan or state of Terraform is not logged]".to_owned();
    }
    let plain = |bytes: &[u8], part| text::string(&redacted_part(&text::strip_ansi(bytes), &[], part));
    if stream.total <= LOGGED as u64 {
        return plain(bytes, Part::Whole);
    }
    let first = &bytes[..bytes.len().min(LOGGED / 2)];
    let last = if tail.is_empty() { &bytes[first.len()..] } else { tail };
    let last = &last[last.len().saturating_sub(LOGGED / 2)..];
    let left_out = stream.total.saturating_sub((first.len() + last.len()) as u64);
    format!("{}\n[{left_out} bytes are left out here]\n{}", plain(first, Part::Head), plain(last, Part::Tail))
}
