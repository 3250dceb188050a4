//! prom-run's command line: Go's `flag` package over prom-run's four flags and one of ours. Knows nothing of clap, nor of what is done with them.
//!
//! ```text
//! prom-run -period=60s -listen-addr=:80 /kubediff /data/repo/k8s
//! driftrun --log.format=json prom-run --timeout 1m30.5s -working-dir /srv -- ./check -v
//! ```
//!
//! The grammars are those of Go's `flag.FlagSet.Parse`, `strconv.ParseBool` and `time.ParseDuration`; names, defaults and texts of the flags are
//! those of prom-run's last version.

use crate::check::nearest;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name by which driftrun is prom-run: that of a link or copy of the binary, or of the subcommand.
pub const NAME: &str = "prom-run";

/// The exit code of a usage error, as Go's `flag` and so prom-run have it. Nothing says "drifted" here: this mode never ends with a verdict.
pub const USAGE_ERROR: u8 = 2;

/// What prom-run is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Time between two starts; more than none.
    pub period: Duration,
    /// How long a run may take; more than none.
    pub timeout: Duration,
    /// Where to listen, `host:port` or `:port`.
    pub listen: String,
    /// Where the command runs; it may come to be later.
    pub workdir: Option<PathBuf>,
    /// Whether each run's output is logged.
    pub log_output: bool,
    /// The command and its arguments; at least one word.
    pub command: Vec<String>,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The text of [`usage`].
    Help,
    /// A command to be run.
    Run(Flags),
}

/// One flag: how it is written, and what it means.
struct Flag {
    name: &'static str,
    /// What stands for its value in the usage; `None`: a boolean, whose value can only be given as `-name=value`.
    value: Option<&'static str>,
    help: &'static str,
    set: fn(&mut Flags, &str) -> Result<(), String>,
}

/// In the order of their names, as Go prints them.
const FLAGS: [Flag; 5] = [
    Flag {
        name: "listen-addr",
        value: Some("string"),
        help: "Address to listen on (default \":9152\")",
        set: |flags, value| {
            // Go's net/http listens on the port of http then.
            let value = if value.is_empty() { ":80" } else { value };
            value.clone_into(&mut flags.listen);
            Ok(())
        },
    },
    Flag {
        name: "log-output",
        value: None,
        help: "Log the output of each run (default true)",
        set: |flags, value| {
            flags.log_output = boolean(value)?;
            Ok(())
        },
    },
    Flag {
        name: "period",
        value: Some("duration"),
        help: "Period with which to run the command. (default 10s)",
        set: |flags, value| {
            flags.period = at_least_none(value)?;
            Ok(())
        },
    },
    Flag {
        name: "timeout",
        value: Some("duration"),
        help: "Amount of time to give the command to run. (default 10m0s)",
        set: |flags, value| {
            flags.timeout = at_least_none(value)?;
            Ok(())
        },
    },
    Flag {
        name: "working-dir",
        value: Some("string"),
        help: "Working directory for command",
        set: |flags, value| {
            flags.workdir = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
    },
];

impl Default for Flags {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            timeout: Duration::from_mins(10),
            listen: ":9152".to_owned(),
            workdir: None,
            log_output: true,
            command: Vec::new(),
        }
    }
}

/// Takes a whole command line apart: what is clap's, and, where it calls prom-run, what are Go's flags. clap never sees these: it would take their `--`.
pub fn split(mut line: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let called = line.first().and_then(|program| Path::new(program).file_name());
    if called.is_some_and(|name| name == NAME) {
        return (vec![OsString::from("driftrun"), OsString::from(NAME)], line.split_off(1));
    }
    // Options of every subcommand can stand before its name.
    let mut at = 1;
    while let Some(word) =
        line.get(at).and_then(|word| word.to_str()).filter(|word| word.starts_with("--log."))
    {
        at += if word.contains('=') { 1 } else { 2 };
    }
    let theirs =
        if line.get(at).is_some_and(|word| word == NAME) { line.split_off(at + 1) } else { Vec::new() };
    (line, theirs)
}

/// Reads what stands after the program's name.
///
/// # Errors
/// For people: Go's own words, and what to write instead.
pub fn parse(arguments: &[OsString]) -> Result<Asked, String> {
    let mut words = Vec::with_capacity(arguments.len());
    for word in arguments {
        let text =
            word.to_str().ok_or_else(|| format!("argument {:?} is not UTF-8", word.to_string_lossy()))?;
        words.push(text);
    }
    let mut flags = Flags::default();
    let mut rest = words.as_slice();
    while let [word, after @ ..] = rest {
        // "-" alone is a word.
        let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else { break };
        rest = after;
        if name == "-" {
            break;
        }
        let name = name.strip_prefix('-').unwrap_or(name);
        if name.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {word}; write -period=60s or -period 60s"));
        }
        let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else {
            if name == "help" || name == "h" {
                return Ok(Asked::Help);
            }
            return Err(format!("flag provided but not defined: -{name}; {}", instead(name)));
        };
        let value = match (value, flag.value) {
            (Some(value), _) => value,
            (None, None) => "true",
            (None, Some(kind)) => {
                let [value, after @ ..] = rest else {
                    return Err(format!("flag needs an argument: -{name}; write -{name}={}", example(kind)));
                };
                rest = after;
                value
            }
        };
        (flag.set)(&mut flags, value).map_err(|why| match flag.value {
            None => format!("invalid boolean value {value:?} for -{name}: {why}"),
            Some(_) => format!("invalid value {value:?} for flag -{name}: {why}"),
        })?;
    }
    // With these prom-run ran only once, or never. The last value counts, so they are looked at here.
    for (name, time) in [("period", flags.period), ("timeout", flags.timeout)] {
        if time.is_zero() {
            return Err(format!("-{name} must be more than 0; write -{name}=60s"));
        }
    }
    if rest.is_empty() {
        return Err("no command: it comes after the flags, as in prom-run -period=60s /kubediff /data/repo"
            .to_owned());
    }
    flags.command = rest.iter().map(|word| (*word).to_owned()).collect();
    Ok(Asked::Run(flags))
}

/// What `-h` prints.
pub fn usage() -> String {
    let mut out = format!("Usage: {NAME} (options) command...\n");
    for Flag { name, value, help, .. } in FLAGS {
        let value = value.map(|kind| format!(" {kind}")).unwrap_or_default();
        let _ = write!(out, "  -{name}{value}\n    \t{help}\n");
    }
    out.push_str(
        "\nRuns the command at once and then every period, and serves its output at / and its metrics at /metrics.\n\
         Durations are written as in Go: 300ms, 60s, 1h10m0.5s. This is driftrun in the manner of prom-run; its own\n\
         command line, with parsers, labels and limits, is that of `driftrun watch`.\n",
    );
    out
}

/// What to write instead of a flag that prom-run doesn't have.
fn instead(name: &str) -> String {
    let names = FLAGS.map(|flag| flag.name);
    match nearest(name, &names) {
        Some(near) => format!("did you mean -{near}?"),
        None => format!(
            "known: {}; flags of the command itself come after its name, those of driftrun are for `driftrun watch`",
            names.map(|name| format!("-{name}")).join(", ")
        ),
    }
}

fn example(kind: &str) -> &'static str {
    if kind == "duration" { "60s" } else { "VALUE" }
}

/// `strconv.ParseBool`
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// A duration; one that is negative counts as none.
fn at_least_none(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_nanos(u64::try_from(duration(text)?).unwrap_or_default()))
}

/// `time.ParseDuration`: nanoseconds. A fraction of a nanosecond is cut off.
fn duration(text: &str) -> Result<i64, String> {
    // [-+]?([0-9]*(\.[0-9]*)?[a-z]+)+
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        // The micro sign, and the Greek letter.
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let wrong = |why: &str| format!("{why}; write a duration like 300ms, 60s or 1h10m0.5s");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong("there is no number"));
    }
    let most = u128::from(i64::MAX.unsigned_abs()) + u128::from(negative);
    let too_long = || wrong("it is longer than 290 years");
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong("there is no number before a unit"));
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(wrong("a unit is missing"));
        }
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(wrong(&format!("unknown unit {unit:?}")));
        };
        // Hours in nanoseconds have 13 digits: what stands behind twenty digits of a fraction can't count.
        let fraction = fraction.get(..20).unwrap_or(fraction);
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or_default());
        let number = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<u128>() };
        let whole = number(whole).ok().and_then(|whole| whole.checked_mul(*unit)).ok_or_else(too_long)?;
        let part = number(fraction).unwrap_or_default() * unit / scale;
        total = total.saturating_add(whole).saturating_add(part);
        if total > most {
            return Err(too_long());
        }
        rest = after;
    }
    let nanoseconds = i128::try_from(total).unwrap_or(i128::MAX);
    i64::try_from(if negative { -nanoseconds } else { nanoseconds }).map_err(|_| too_long())
}

/// The digits that a text begins with, and what comes after them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn asked(line: &[&str]) -> Result<Asked, String> {
        parse(&line.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn run(command: &[&str]) -> Flags {
        Flags { command: command.iter().map(|word| (*word).to_owned()).collect(), ..Flags::default() }
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let seconds = Duration::from_secs;
        let echo = run(&["echo", "foo"]);
        let kubediff = Flags {
            period: seconds(60),
            listen: ":80".to_owned(),
            ..run(&["/kubediff", "/data/repo/<location in your repo of yaml files>"])
        };
        let table: [(&[&str], Flags); 19] = [
            (&["echo", "foo"], echo.clone()),
            // kubediff's own manifests.
            (
                &[
                    "-period=60s",
                    "-listen-addr=:80",
                    "/kubediff",
                    "/data/repo/<location in your repo of yaml files>",
                ],
                kubediff,
            ),
            (
                &["--period=60s", "--listen-addr=:80", "/kubediff"],
                Flags { period: seconds(60), listen: ":80".to_owned(), ..run(&["/kubediff"]) },
            ),
            (&["-period", "60s", "echo", "foo"], Flags { period: seconds(60), ..echo.clone() }),
            (&["--timeout", "1m", "echo", "foo"], Flags { timeout: seconds(60), ..echo.clone() }),
            (
                &["-working-dir", "/srv", "echo", "foo"],
                Flags { workdir: Some("/srv".into()), ..echo.clone() },
            ),
            (&["-working-dir=a=b", "echo", "foo"], Flags { workdir: Some("a=b".into()), ..echo.clone() }),
            (&["-working-dir=", "echo", "foo"], echo.clone()),
            (&["-listen-addr", "", "echo", "foo"], Flags { listen: ":80".to_owned(), ..echo.clone() }),
            // The next word is the value, whatever it looks like.
            (
                &["-listen-addr", "-period", "echo", "foo"],
                Flags { listen: "-period".to_owned(), ..echo.clone() },
            ),
            (&["-listen-addr", "--", "echo", "foo"], Flags { listen: "--".to_owned(), ..echo.clone() }),
            // The last one counts.
            (&["-period=0s", "-period=2s", "echo", "foo"], Flags { period: seconds(2), ..echo.clone() }),
            // A boolean takes no word.
            (&["-log-output", "false"], run(&["false"])),
            (&["-log-output=F", "echo", "foo"], Flags { log_output: false, ..echo.clone() }),
            // The first word that is no flag ends them, and so does "--", once.
            (&["echo", "-period=1s", "--", "-h"], run(&["echo", "-period=1s", "--", "-h"])),
            (&["--", "-echo", "--", "foo"], run(&["-echo", "--", "foo"])),
            (&["-period=1s", "--", "--", "foo"], Flags { period: seconds(1), ..run(&["--", "foo"]) }),
            (&["-", "foo"], run(&["-", "foo"])),
            (&["", "foo"], run(&["", "foo"])),
        ];
        for (line, flags) in table {
            assert_eq!(asked(line), Ok(Asked::Run(flags)), "{line:?}");
        }
        for line in [&["-h"][..], &["--help"], &["-help=x", "echo"], &["-period=0", "--h"]] {
            assert_eq!(asked(line), Ok(Asked::Help), "{line:?}");
        }
    }

    #[test]
    fn mistakes_are_told_in_go_s_words_and_with_what_to_write() {
        const DURATION: &str = "write a duration like 300ms, 60s or 1h10m0.5s";
        let no_command =
            "no command: it comes after the flags, as in prom-run -period=60s /kubediff /data/repo";
        let table: [(&[&str], &str); 16] = [
            (&[], no_command),
            (&["-period=1s", "--"], no_command),
            (&["---period=1s", "x"], "bad flag syntax: ---period=1s; write -period=60s or -period 60s"),
            (&["-=1s", "x"], "bad flag syntax: -=1s; write -period=60s or -period 60s"),
            (&["--=1s", "x"], "bad flag syntax: --=1s; write -period=60s or -period 60s"),
            (&["-perod=1s", "x"], "flag provided but not defined: -perod; did you mean -period?"),
            (
                &["-x", "x"],
                "flag provided but not defined: -x; known: -listen-addr, -log-output, -period, -timeout, -working-dir; flags of the command itself come after its name, those of driftrun are for `driftrun watch`",
            ),
            (&["-period"], "flag needs an argument: -period; write -period=60s"),
            (&["-listen-addr"], "flag needs an argument: -listen-addr; write -listen-addr=VALUE"),
            (&["-log-output=yes", "x"], "invalid boolean value \"yes\" for -log-output: write true or false"),
            (
                &["-period=", "x"],
                &format!("invalid value \"\" for flag -period: there is no number; {DURATION}"),
            ),
            (
                &["-period=60", "x"],
                &format!("invalid value \"60\" for flag -period: a unit is missing; {DURATION}"),
            ),
            (
                &["-timeout=1d", "x"],
                &format!("invalid value \"1d\" for flag -timeout: unknown unit \"d\"; {DURATION}"),
            ),
            (
                &["-timeout", "s", "x"],
                &format!(
                    "invalid value \"s\" for flag -timeout: there is no number before a unit; {DURATION}"
                ),
            ),
            (&["-timeout", "-1s", "x"], "-timeout must be more than 0; write -timeout=60s"),
            (&["-period", "0", "x"], "-period must be more than 0; write -period=60s"),
        ];
        for (line, error) in table {
            assert_eq!(asked(line), Err(error.to_owned()), "{line:?}");
        }
        let latin1 = OsString::from_vec(b"caf\xe9".to_vec());
        assert_eq!(parse(&["echo".into(), latin1]), Err("argument \"caf\u{fffd}\" is not UTF-8".to_owned()));
    }

    /// The values of Go's own tests (`time_test.go`, `parseDurationTests` and `parseDurationErrorTests`).
    #[test]
    fn durations_are_those_of_go() {
        const MS: i64 = 1_000_000;
        const S: i64 = 1_000 * MS;
        const M: i64 = 60 * S;
        const H: i64 = 60 * M;
        let table = [
            ("0", 0),
            ("5s", 5 * S),
            ("30s", 30 * S),
            ("1478s", 1478 * S),
            ("-5s", -5 * S),
            ("+5s", 5 * S),
            ("-0", 0),
            ("+0", 0),
            ("5.0s", 5 * S),
            ("5.6s", 5 * S + 600 * MS),
            ("5.s", 5 * S),
            (".5s", 500 * MS),
            ("1.0s", S),
            ("1.00s", S),
            ("1.004s", S + 4 * MS),
            ("1.0040s", S + 4 * MS),
            ("100.00100s", 100 * S + MS),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13 * MS),
            ("14s", 14 * S),
            ("15m", 15 * M),
            ("16h", 16 * H),
            ("3h30m", 3 * H + 30 * M),
            ("10.5s4m", 4 * M + 10 * S + 500 * MS),
            ("-2m3.4s", -(2 * M + 3 * S + 400 * MS)),
            ("1h2m3s4ms5us6ns", H + 2 * M + 3 * S + 4 * MS + 5_006),
            ("39h9m14.425s", 39 * H + 9 * M + 14 * S + 425 * MS),
            ("52763797000ns", 52_763_797_000),
            // Go counts with rounded doubles here, and comes to a nanosecond more.
            ("0.3333333333333333333h", 20 * M - 1),
            ("9007199254740993ns", (1 << 53) + 1),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("9223372036s854ms775us807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-9223372036854775.808us", i64::MIN),
            ("0.100000000000000000000h", 6 * M),
            ("0.830103483285477580700h", 49 * M + 48 * S + 372_539_827),
            ("1h10m0.5s", H + 10 * M + 500 * MS),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(duration(text), Ok(nanoseconds), "{text}");
        }
        for text in [
            "",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 s",
            "-1 s",
            " 1s",
            "1s ",
            "1S",
            "--1s",
            "1.2.3s",
            "1e3s",
            "\u{b5}s",
            "9223372036854775810ns",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "9223372036854776us",
            "3000000h",
            "9223372036854775.808us",
            "9223372036854ms775us808ns",
            "99999999999999999999999999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text:?}: {:?}", duration(text));
        }
    }

    #[test]
    fn a_link_and_the_subcommand_are_the_same() {
        let split = |line: &[&str]| {
            let (ours, theirs) = split(line.iter().map(OsString::from).collect());
            let text = |words: Vec<OsString>| words.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
            (text(ours), text(theirs))
        };
        let of = |ours: &str, theirs: &str| (ours.to_owned(), theirs.to_owned());
        assert_eq!(split(&["prom-run", "-period=1s", "--", "x"]), of("driftrun prom-run", "-period=1s -- x"));
        assert_eq!(split(&["/usr/bin/prom-run", "prom-run"]), of("driftrun prom-run", "prom-run"));
        assert_eq!(split(&["driftrun", "prom-run", "--", "-x"]), of("driftrun prom-run", "-- -x"));
        assert_eq!(
            split(&["driftrun", "--log.format", "json", "--log.level=warn", "prom-run", "--log.level=x"]),
            of("driftrun --log.format json --log.level=warn prom-run", "--log.level=x")
        );
        assert_eq!(
            split(&["driftrun", "once", "--", "prom-run", "-h"]),
            of("driftrun once -- prom-run -h", "")
        );
        assert_eq!(split(&["driftrun", "--log.format"]), of("driftrun --log.format", ""));
        assert_eq!(split(&["./prom-run-old", "x"]), of("./prom-run-old x", ""));
        assert_eq!(split(&[]), of("", ""));
    }

    #[test]
    fn the_usage_names_each_flag_as_prom_run_s_did() {
        let usage = usage();
        let (flags, _) = usage.split_once("\n\n").unwrap();
        assert_eq!(
            flags,
            "Usage: prom-run (options) command...\n  -listen-addr string\n    \tAddress to listen on (default \":9152\")\n  -log-output\n    \tLog the output of each run (default true)\n  -period duration\n    \tPeriod with which to run the command. (default 10s)\n  -timeout duration\n    \tAmount of time to give the command to run. (default 10m0s)\n  -working-dir string\n    \tWorking directory for command"
        );
    }
}
