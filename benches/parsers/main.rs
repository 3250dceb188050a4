//! How fast each parser is at the size of a large estate, held against something real on the same machine and the same bytes.
//!
//! ```text
//! cargo bench --bench parsers                                   everything, at most three minutes
//! cargo bench --bench parsers -- kubectl show                   the rows whose titles hold one of the words; without jq
//! cargo bench --bench parsers -- jq                             `driftrun parse` beside jq, alone
//! cargo bench --bench parsers -- --instructions [WORD]...       instructions a byte, and their growth, under callgrind; `callgrind_annotate` reads its files
//! cargo bench --bench parsers -- --once TITLE SIZE              makes one input and reads it once (for perf, valgrind)
//! cargo bench --bench parsers -- --write TITLE SIZE FILE        makes one input and writes it to a file
//! ```
//!
//! The inputs are made of pieces of the real outputs in `fixtures/`, each piece with a name of its own: 1,000,000 resources in a plan,
//! 100,000 tasks in a playbook, 50,000 objects in a diff (`inputs/` says how, and how to add one). SIZE counts those. Every input is
//! checked before it is measured: it must be read as drifted, with as many resources as were put in.
//!
//! The baselines: an iteration over the lines in which `memchr` is called for each, as every parser that looks at lines must; beside
//! it `memchr_iter`, which is faster because it remembers the line ends of a whole vector; and for JSON `serde_json` into `IgnoredAny`, which
//! checks the syntax and keeps nothing (for YAML the events of `saphyr_parser`). A parser's time has everything in it: sorting, merging and freeing the report. All times are CPU times, the best
//! of several. Growth is the time for ten times the input; what is asked of it, at most 11, is asked of the instructions, in which no caches count.

mod inputs;
mod measure;
mod processes;

use inputs::{FORMATS, Format, Target};
use measure::{Row, ratio};
use std::collections::BTreeSet;

fn main() {
    // What cargo adds to say that this is `cargo bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--once", title, size] => {
            let (format, size) = asked(title, size);
            measure::parse_once(format, &(format.make)(size));
        }
        ["--write", title, size, file] => {
            let (format, size) = asked(title, size);
            processes::write(&(format.make)(size).text, file);
        }
        ["--instructions", words @ ..] => processes::instructions(|format| chosen(format, words)),
        [] => {
            // First, while this process is small.
            processes::beside_jq();
            table(&[]);
        }
        ["jq"] => processes::beside_jq(),
        words => table(words),
    }
}

fn asked(title: &str, size: &str) -> (&'static Format, usize) {
    let titles: Vec<&str> = FORMATS.iter().map(|format| format.title).collect();
    let format = inputs::named(title).unwrap_or_else(|| panic!("no input {title:?}: {}", titles.join(", ")));
    (format, size.parse().unwrap_or_else(|error| panic!("size {size:?}: {error}")))
}

fn chosen(format: &Format, words: &[&str]) -> bool {
    words.is_empty() || words.iter().any(|word| format.title.contains(word))
}

fn table(words: &[&str]) {
    println!(
        "\nparsers: text at least 1 GB/s and a third of the lines, terraform-show at most 3 times IgnoredAny with 1 % drifted, 12 times with all"
    );
    println!(
        "  {:<20}{:>8}{:>11}{:>9}{:>12}{:>12}{:>9}{:>13}{:>8}",
        "", "MB", "resources", "MB/s", "lines MB/s", "iter MB/s", "x lines", "x skipping", "growth"
    );
    for format in FORMATS.iter().filter(|format| chosen(format, words)) {
        print(format, &measure::measure(format));
    }
    let measured: BTreeSet<&str> = FORMATS.iter().map(|format| format.parser).collect();
    for parser in driftrun_parsers::ALL.iter().filter(|parser| !measured.contains(parser.name)) {
        println!("  {:<20}MISSED no input: add a row in benches/parsers/inputs/mod.rs", parser.name);
    }
}

fn print(format: &Format, row: &Row) {
    let [parse, lines, ends] = [row.parse, row.lines, row.ends].map(|time| row.speed(time));
    // Without lines there is nothing to compare with lines.
    let beside = match format.target {
        Target::Lines => format!("{:.1}", ratio(row.parse, row.lines)),
        Target::Ignored(_) | Target::Json | Target::Yaml => String::new(),
    };
    let skipped = row.skipped.map_or(String::new(), |skipped| format!("{:.2}", ratio(row.parse, skipped)));
    println!(
        "  {:<20}{:>8}{:>11}{parse:>9.0}{lines:>12.0}{ends:>12.0}{beside:>9}{skipped:>13}{:>8.1}  {}",
        format.title,
        row.bytes / 1_000_000,
        row.resources,
        row.growth,
        processes::verdict(&row.missed(format.target)),
    );
}
