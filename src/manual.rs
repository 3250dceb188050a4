//! What the command line's definitions say, for shells and for `man`: completions and manual pages. Writes nothing anywhere.

use crate::cli::{Cli, Shell};
use crate::promrun;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;

/// A script that makes `shell` complete driftrun's command line.
pub fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "driftrun", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// File names and texts of the manual pages: driftrun(1) first, then one for each subcommand.
///
/// # Errors
/// A page that could not be made.
pub fn pages() -> io::Result<Vec<(String, String)>> {
    // `help` has nothing to say that the pages don't.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&mut pages, &command)?;
    Ok(pages)
}

/// The page of `command`, and those of what stands below it.
fn add(pages: &mut Vec<(String, String)>, command: &Command) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let version = env!("CARGO_PKG_VERSION");
    let page =
        Man::new(command.clone().name(name.clone())).manual("driftrun").source(format!("driftrun {version}"));
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    if command.get_name() == promrun::NAME {
        as_it_is("PROM-RUN'S FLAGS", &promrun::usage()).to_writer(&mut text)?;
    }
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(examples) = command.get_after_help() {
        as_it_is("EXAMPLES", &examples.to_string()).to_writer(&mut text)?;
    }
    pages.push((format!("{name}.1"), String::from_utf8_lossy(&text).into_owned()));
    command.get_subcommands().try_for_each(|below| add(pages, below))
}

/// A section whose lines stay as they are: filled, command lines would run into each other.
fn as_it_is(title: &str, text: &str) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", [title]).control("nf", []);
    for line in text.trim_end().lines() {
        roff.text([roman(line.replace('\t', "    "))]);
    }
    roff.control("fi", []);
    roff
}
