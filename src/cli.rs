//! The command line: clap, and nothing else. What the words mean is decided elsewhere.

use crate::config::{self, units};
use crate::log;
use crate::promrun;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run infrastructure checks on a schedule, and export what has drifted, resource by resource, to Prometheus.
#[derive(Debug, Parser)]
#[command(
    name = "driftrun",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How log lines are written, on stderr.
    #[arg(long = "log.format", global = true, value_enum, default_value = "logfmt", value_name = "FORMAT")]
    pub log_format: log::Format,
    /// The least level of log lines; `info` unless it is given, and while `once` shows its progress on a terminal `warn`, without the line of each run.
    #[arg(long = "log.level", global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<log::Threshold>,
    /// What stands after `prom-run`: Go's flags, which clap doesn't read.
    #[arg(skip)]
    pub prom_run: Vec<OsString>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one command on a schedule and serve its metrics.
    #[command(
        override_usage = "driftrun watch [OPTIONS] -- COMMAND [ARG]...",
        after_help = "Example: driftrun watch --interval 30m -- terraform plan -input=false -lock=false -detailed-exitcode -json"
    )]
    Watch(Watch),
    /// Run the checks of a configuration file on their schedules and serve their metrics.
    Serve(Serve),
    /// Run every check once, print what drifted, and say it in the exit code: 0 clean, 2 drifted, 1 anything else.
    #[command(
        override_usage = "driftrun once [OPTIONS] --config.file FILE\n       driftrun once [OPTIONS] -- COMMAND [ARG]...",
        after_help = "Examples:\n  driftrun once --config.file driftrun.yaml --textfile /var/lib/prometheus/node-exporter --state-dir /var/lib/driftrun --expected-interval 1h\n  driftrun once --push http://pushgateway:9091 --name infra -- terraform plan -input=false -lock=false -detailed-exitcode"
    )]
    Once(Once),
    /// Read a recorded output and print what drifted, with the exit codes of `once`.
    #[command(after_help = "Example: terraform plan -no-color | driftrun parse")]
    Parse(Parse),
    /// List the output formats that driftrun reads, with the command line that each expects.
    Parsers {
        /// Show this one in full.
        name: Option<String>,
    },
    /// What prom-run did, with prom-run's own flags and metrics; also when called through a link named `prom-run`.
    #[command(
        name = promrun::NAME,
        disable_help_flag = true,
        override_usage = "driftrun prom-run [FLAGS] COMMAND [ARG]...",
        after_help = "The flags are prom-run's own: `driftrun prom-run -h` lists them.\nExample: driftrun prom-run -period=60s -listen-addr=:80 /kubediff /data/repo"
    )]
    PromRun,
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a driftrun that serves whether it is well: exit code 0, or 1 and why not; for a container's HEALTHCHECK.
    #[command(after_help = "Example: driftrun health https://127.0.0.1:9152/-/healthy")]
    Health {
        /// Its URL; a certificate is not verified.
        #[arg(value_name = "URL", default_value = "http://127.0.0.1:9152/-/healthy")]
        url: String,
        /// How long to wait for an answer.
        #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = positive_duration)]
        timeout: Duration,
    },
    /// Print what a shell needs to complete driftrun's command line.
    #[command(after_help = "Examples:
  bash: driftrun completions bash > ~/.local/share/bash-completion/completions/driftrun
  zsh:  driftrun completions zsh > \"${fpath[1]}/_driftrun\"
  fish: driftrun completions fish > ~/.config/fish/completions/driftrun.fish")]
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page of driftrun, or write those of all subcommands.
    #[command(
        after_help = "Examples:\n  driftrun man | man -l -\n  driftrun man --dir /usr/local/share/man/man1"
    )]
    Man {
        /// Write driftrun.1 and a page for each subcommand, such as driftrun-once.1, into this folder; it is made if it isn't there.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Whose completions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash, with the package bash-completion or without it.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every mistake of a configuration file, each with its line and what to write instead.
    Check {
        /// The file.
        #[arg(required_unless_present = "web_config")]
        file: Option<PathBuf>,
        /// The web configuration, alone or beside the file; certificates and keys that it names are looked at, too.
        #[arg(long = "web.config.file", value_name = "FILE")]
        web_config: Option<PathBuf>,
    },
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// The check.
    #[command(flatten)]
    pub check: CheckFlags,
    /// Time between two starts, such as 90s or 1h30m.
    #[arg(long, value_parser = positive_duration, default_value = "10m", value_name = "DURATION")]
    pub interval: Duration,
    /// The server.
    #[command(flatten)]
    pub web: WebFlags,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config: PathBuf,
    /// Look at the configuration file every 30 seconds, and load it when its content has changed; SIGHUP loads it in any case.
    #[arg(long = "config.enable-auto-reload")]
    pub auto_reload: bool,
    /// One of several instances that share the checks.
    #[command(flatten)]
    pub shard: ShardFlags,
    /// The server.
    #[command(flatten)]
    pub web: WebFlags,
}

/// `once`.
#[derive(Debug, Args)]
pub struct Once {
    /// The configuration file; instead of a command.
    #[arg(long = "config.file", value_name = "FILE", conflicts_with_all = ["command", "name", "timeout", "parser", "workdir", "label", "env", "max_output", "kill_grace"])]
    pub config: Option<PathBuf>,
    /// Run this check of the configuration only; repeatable. For a look: nothing is written nor pushed.
    #[arg(long = "check", value_name = "NAME", requires = "config", conflicts_with_all = ["textfile", "push", "state_dir", "command"])]
    pub only: Vec<String>,
    /// The check, where a command is given.
    #[command(flatten)]
    pub check: CheckFlags,
    /// What to print on stdout.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Write `driftrun_CHECK.prom` for each check into this folder, for `node_exporter`'s textfile collector; files of checks that are gone are removed.
    #[arg(long, value_name = "DIR")]
    pub textfile: Option<PathBuf>,
    /// A folder of this driftrun alone that keeps each check's last good report for --textfile and --push: a check that fails keeps its drift, and since
    /// when. Without it, `state_dir` of the configuration.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How often this is run, such as 1h: `driftrun_check_interval_seconds`, for alerts on checks that run no more.
    #[arg(long, value_parser = positive_duration, value_name = "DURATION")]
    pub expected_interval: Option<Duration>,
    /// Where to push to.
    #[command(flatten)]
    pub push: PushFlags,
    /// The command and its arguments, after `--`.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Options of a push.
#[derive(Args)]
pub struct PushFlags {
    /// Push each check to this Pushgateway, such as `http://pushgateway:9091`: all of it after a good run, else what the run came to. User and password can
    /// stand in it, with special characters as %XX; who lists processes sees them.
    // A text: clap would quote a URL that it doesn't understand, with its password.
    #[arg(id = "push", long = "push", value_name = "URL")]
    pub url: Option<String>,
    /// The label `job` of what is pushed; the label `check` is the other one of the group.
    #[arg(
        id = "push.job",
        long = "push.job",
        value_name = "JOB",
        default_value = "driftrun",
        requires = "push"
    )]
    pub job: String,
    /// A user for basic authentication.
    #[arg(id = "push.user", long = "push.user", value_name = "USER", requires_all = ["push", "push.password-file"])]
    pub user: Option<String>,
    /// The file that holds the user's password.
    #[arg(
        id = "push.password-file",
        long = "push.password-file",
        value_name = "FILE",
        requires = "push.user"
    )]
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for https, instead of the system's or those of `SSL_CERT_FILE`.
    #[arg(id = "push.ca-file", long = "push.ca-file", value_name = "FILE", requires = "push")]
    pub ca_file: Option<PathBuf>,
    /// How long one try may take.
    #[arg(id = "push.timeout", long = "push.timeout", value_parser = positive_duration, value_name = "DURATION", default_value = "10s", requires = "push")]
    pub timeout: Duration,
    /// How long to wait before the first of three more tries; the next ones wait twice and four times as long.
    #[arg(id = "push.pause", long = "push.pause", value_parser = positive_duration, value_name = "DURATION", default_value = "1s", requires = "push")]
    pub pause: Duration,
}

impl fmt::Debug for PushFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("PushFlags").field("job", &self.job).field("user", &self.user).finish_non_exhaustive()
    }
}

/// `parse`.
#[derive(Debug, Args)]
pub struct Parse {
    /// The recorded standard output, or a folder with files that the command wrote its report to; without it, standard input.
    pub file: Option<PathBuf>,
    /// The parser; without it, the output decides.
    #[arg(long, value_name = "NAME")]
    pub parser: Option<String>,
    /// A configuration whose `parsers` can be named, too.
    #[arg(long = "config.file", value_name = "CONFIG", requires = "parser")]
    pub config: Option<PathBuf>,
    /// The command's exit code, where it is known.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..=255))]
    pub exit_code: Option<i32>,
    /// The recorded standard error.
    #[arg(long, value_name = "FILE")]
    pub stderr: Option<PathBuf>,
    /// What to print on stdout.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

/// Options of one check given on the command line.
#[derive(Debug, Args)]
pub struct CheckFlags {
    /// The check's name; without it, the command's.
    #[arg(long)]
    pub name: Option<String>,
    /// How long a run may take, such as 90s or 1h30m.
    #[arg(long, value_parser = positive_duration, default_value = "10m", value_name = "DURATION")]
    pub timeout: Duration,
    /// Who reads the output: a name from `driftrun parsers`, `auto`, or `none` for the exit code alone.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub parser: String,
    /// Where the command runs.
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// A label on each of the check's series; repeatable.
    #[arg(long, value_parser = pair, value_name = "NAME=VALUE")]
    pub label: Vec<(String, String)>,
    /// A variable of the command's environment; repeatable.
    #[arg(long, value_parser = pair, value_name = "NAME=VALUE")]
    pub env: Vec<(String, String)>,
    /// How much of each stream is kept, such as 64MiB; more is unreadable.
    #[arg(long, value_parser = positive_size, default_value = "64MiB", value_name = "SIZE")]
    pub max_output: u64,
    /// Time between TERM and KILL at the deadline.
    #[arg(long, value_parser = positive_duration, default_value = "10s", value_name = "DURATION")]
    pub kill_grace: Duration,
}

/// Options of one of several instances that share the checks.
#[derive(Debug, Args)]
pub struct ShardFlags {
    /// How many instances share the checks, each check on exactly one of them.
    #[arg(long = "shard.total", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub total: Option<u32>,
    /// Which of them this is, from 0; without it, the number at the end of the host's name (driftrun-2).
    #[arg(long = "shard.index", value_name = "N")]
    pub index: Option<u32>,
}

/// Options of the server.
#[derive(Debug, Args)]
pub struct WebFlags {
    /// Where to listen, such as 127.0.0.1:9152; repeatable.
    #[arg(long = "web.listen-address", default_value = ":9152", value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Listen on the sockets that systemd hands over (a .socket unit), and on no address of its own.
    #[arg(long = "web.systemd-socket", conflicts_with = "listen")]
    pub systemd_socket: bool,
    /// TLS, users, headers and a limit on requests, in exporter-toolkit's format.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Where the metrics are.
    #[arg(long = "web.telemetry-path", default_value = "/metrics", value_name = "PATH", value_parser = path)]
    pub telemetry_path: String,
    /// What all paths begin with; without it, the path of the external URL.
    #[arg(long = "web.route-prefix", value_name = "PATH", value_parser = prefix)]
    pub route_prefix: Option<String>,
    /// Under which URL people reach the pages, such as `https://ops.example.com/driftrun`; alerts link there.
    #[arg(long = "web.external-url", value_name = "URL", value_parser = external_url)]
    pub external_url: Option<ExternalUrl>,
    /// Let a run be asked for on a check's page and by a POST to /api/v1/checks/NAME/run, and the configuration be loaded again by one to /-/reload.
    #[arg(long = "web.enable-lifecycle")]
    pub lifecycle: bool,
    /// Whether pages show outputs, which can hold secrets; `auto`: on loopback addresses and Unix sockets, and anywhere to users and where every
    /// client must show a verified certificate.
    #[arg(long = "web.output", value_enum, default_value = "auto", value_name = "WHEN")]
    pub output: ShowOutput,
}

impl WebFlags {
    /// What all paths begin with: empty, or `/` and a name or more.
    pub fn prefix(&self) -> &str {
        self.route_prefix.as_deref().unwrap_or_else(|| self.link())
    }

    /// Host and port of the external URL, as they stand in it.
    pub fn external_authority(&self) -> Option<&str> {
        let ExternalUrl { url, path } = self.external_url.as_ref()?;
        url[..*path].split("://").nth(1)
    }

    /// The host of the external URL.
    pub fn external_host(&self) -> Option<&str> {
        let authority = self.external_authority()?;
        // The port goes; that of an address in brackets stands behind them.
        let end = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        Some(&authority[..end.unwrap_or(authority.len())])
    }

    /// What links in pages begin with: what a browser has to ask for, whatever a proxy in between makes of it.
    pub fn link(&self) -> &str {
        match (&self.external_url, &self.route_prefix) {
            (Some(url), _) => url.path(),
            (None, Some(prefix)) => prefix,
            (None, None) => "",
        }
    }
}

/// An `http` or `https` URL without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl {
    /// The whole.
    pub url: String,
    /// Where its path begins.
    path: usize,
}

impl ExternalUrl {
    fn path(&self) -> &str {
        &self.url[self.path..]
    }
}

/// Whether pages show outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShowOutput {
    /// On loopback addresses and Unix sockets, and anywhere to those who are known.
    Auto,
    /// On every address.
    Always,
    /// Nowhere.
    Never,
}

/// What `once` and `parse` print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For comments of pull requests, with the diffs: what no pattern of `redact` knows as a secret is shown. At most 60,000 bytes.
    Markdown,
    /// The report, for programs.
    Json,
    /// The metrics.
    Prometheus,
}

/// The command line `words`, read.
///
/// # Errors
/// What clap says, with advice for the slips that its own doesn't know.
pub fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words).map_err(advised)
}

/// An error with tips for the slips that clap doesn't know, and without the one that leads astray.
fn advised(mut error: clap::Error) -> clap::Error {
    let mut tips = match error.get(ContextKind::Suggested) {
        // That a misspelt option could be a word of the command is true, and no help.
        Some(ContextValue::StyledStrs(tips)) => {
            tips.iter().filter(|tip| !tip.to_string().contains("as a value, use")).cloned().collect()
        }
        _ => Vec::new(),
    };
    tips.extend(tips_for(&error).into_iter().map(StyledStr::from));
    if tips.is_empty() {
        error.remove(ContextKind::Suggested);
    } else {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// What was probably meant by words that stand where none belongs.
fn tips_for(error: &clap::Error) -> Vec<String> {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let usage = text(ContextKind::Usage);
    let of = |name: &&str| usage.contains(&format!("driftrun {name} "));
    let is_config = |word: &str| config::is_yaml(Path::new(word));
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg);
            let takes_file = ["serve", "once"].iter().any(of);
            if word == "-c" && takes_file {
                vec!["the configuration file is named by '--config.file'".to_owned()]
            } else if word.starts_with('-') {
                vec![]
            } else if is_config(&word) && takes_file {
                vec![format!("the configuration file is named by '--config.file': --config.file {word}")]
            } else if let Some(name) = ["watch", "once"].into_iter().find(of) {
                vec![format!("a command stands after '--': driftrun {name} [OPTIONS] -- {word} ...")]
            } else {
                vec![]
            }
        }
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            let word = text(ContextKind::InvalidSubcommand);
            if of(&"config") {
                vec![format!("to look at a file: driftrun config check {word}")]
            } else if is_config(&word) {
                vec![format!("to run the checks of a file: driftrun serve --config.file {word}")]
            } else {
                vec![
                    format!("to run a command on a schedule: driftrun watch -- {word} ..."),
                    format!("to run it once: driftrun once -- {word} ..."),
                ]
            }
        }
        _ => vec![],
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        Duration::ZERO => Err(format!("{text:?} is no time at all; write a duration such as 10m")),
        duration => Ok(duration),
    }
}

fn positive_size(text: &str) -> Result<u64, String> {
    match units::size(text)? {
        0 => Err(format!("{text:?} keeps nothing; write a size such as 64MiB")),
        size => Ok(size),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no pair; write NAME=VALUE")),
    }
}

fn path(text: &str) -> Result<String, String> {
    let taken = ["/-/", "/assets/", "/checks/"].iter().any(|own| text.starts_with(own));
    if taken {
        Err(format!("{text:?} is one of driftrun's own paths; write another, such as /metrics"))
    } else if text.starts_with('/') && text != "/" && !text.contains(['?', '#', ' ']) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no path; write one such as /metrics"))
    }
}

/// A prefix of paths without the slash at its end; the empty one for `/`.
fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let names = text.trim_end_matches('/').split('/').skip(1);
    let is_odd = |name: &str| matches!(name, "" | "." | "..");
    if text.starts_with('/') && text.chars().all(plain) && !names.into_iter().any(is_odd) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!("{text:?} is no prefix; write one such as /driftrun"))
    }
}

fn external_url(text: &str) -> Result<ExternalUrl, String> {
    let wrong = || {
        format!(
            "{text:?} is no URL of pages; write one such as https://ops.example.com/driftrun, without user, query or fragment"
        )
    };
    let after_scheme = ["http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = after_scheme.ok_or_else(wrong)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty()
        || host.contains(|c: char| "@?#\"<>".contains(c) || c.is_whitespace() || c.is_control())
    {
        return Err(wrong());
    }
    let path = if path.is_empty() { String::new() } else { prefix(path).map_err(|_| wrong())? };
    let before = &text[..text.len() - rest.len()];
    Ok(ExternalUrl { path: before.len() + host.len(), url: format!("{before}{host}{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn links_begin_where_a_browser_is_and_paths_where_the_route_does() {
        let prefixes = |words: &[&str]| {
            let words = [&["driftrun", "serve", "--config.file=x"], words].concat();
            let cli = Cli::try_parse_from(words).map_err(|error| error.to_string());
            match cli {
                Ok(Cli { command: Command::Serve(serve), .. }) => {
                    let url = serve.web.external_url.as_ref().map(|external| external.url.clone());
                    Ok((serve.web.prefix().to_owned(), serve.web.link().to_owned(), url))
                }
                Ok(_) => Err("not serve".to_owned()),
                Err(error) => Err(error.lines().next().unwrap_or_default().to_owned()),
            }
        };
        let are = |prefix: &str, link: &str, url: Option<&str>| {
            Ok((prefix.to_owned(), link.to_owned(), url.map(str::to_owned)))
        };
        assert_eq!(prefixes(&[]), are("", "", None));
        assert_eq!(prefixes(&["--web.route-prefix=/"]), are("", "", None));
        assert_eq!(prefixes(&["--web.route-prefix=/a/b/"]), are("/a/b", "/a/b", None));
        let external = "--web.external-url=https://x.example:8443/ops/";
        let url = Some("https://x.example:8443/ops");
        assert_eq!(prefixes(&[external]), are("/ops", "/ops", url));
        assert_eq!(prefixes(&[external, "--web.route-prefix=/"]), are("", "/ops", url));
        assert_eq!(prefixes(&["--web.external-url=http://x"]), are("", "", Some("http://x")));
        for wrong in ["x", "/a b", "/a/../b", "//a", "/a%2fb"] {
            let error = format!(
                "error: invalid value '{wrong}' for '--web.route-prefix <PATH>': {wrong:?} is no prefix; write one such as /driftrun"
            );
            assert_eq!(prefixes(&["--web.route-prefix", wrong]), Err(error));
        }
        for wrong in
            ["x.example", "ftp://x", "http://", "https:///a", "http://me@x/", "http://x/a?b", "http://x#a"]
        {
            let error = format!(
                "error: invalid value '{wrong}' for '--web.external-url <URL>': {wrong:?} is no URL of pages; write one such as https://ops.example.com/driftrun, without user, query or fragment"
            );
            assert_eq!(prefixes(&["--web.external-url", wrong]), Err(error));
        }
    }
}
