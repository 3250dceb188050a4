//! Follows a page as its reader would.

use crate::docs::check::{Checked, check};
use crate::docs::lessons::LESSONS;
use crate::docs::page::{Block, Mark, Page};
use crate::docs::shell::{Ran, Shell};
use crate::support::{HANG, tool};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What became of a page's blocks.
#[derive(Default)]
struct Tally {
    run: usize,
    checked: usize,
    not_run: Vec<String>,
}

/// Follows a page from its beginning to its end.
pub fn follow(path: &str, environment: &[(&str, PathBuf)]) {
    let lesson = LESSONS.iter().find(|lesson| lesson.path == path).unwrap();
    if lesson.tools.iter().any(|name| tool(name).is_none()) {
        return;
    }
    let page = Page::read(path);
    let name = path.trim_end_matches(".md").replace('/', "-").to_lowercase();
    let mut shell = Shell::start(&name, lesson.files, lesson.instead, environment);
    if !lesson.before.is_empty() {
        shell.serve(lesson.before).unwrap_or_else(|why| panic!("{path}: {why}"));
    }
    let mut tally = Tally::default();
    let mut last: Option<(&Block, Ran)> = None;
    for (index, block) in page.blocks.iter().enumerate() {
        let next = page.blocks.get(index + 1).map(|block| &block.mark);
        let place = page.place(block);
        match (block.language.as_str(), &block.mark) {
            ("sh" | "yaml", Mark::NotRun(reason)) => tally.not_run.push(format!("{place}: {reason}")),
            // What is asked for may not be there yet.
            ("sh", mark @ (Mark::None | Mark::Page { .. })) if next == Some(&Mark::Output { soon: true }) => {
                if let Mark::Page { path, text } = mark {
                    shell.shows(path, text).unwrap_or_else(|why| panic!("{place}: {why}"));
                    tally.checked += 1;
                }
                last = Some((block, shell.run_to_code(&block.text)));
                tally.run += 1;
            }
            ("sh", mark) => {
                let ran = run(&mut shell, block, mark).unwrap_or_else(|why| panic!("{place}: {why}"));
                tally.run += 1;
                last = Some((block, ran));
            }
            ("", Mark::Output { soon }) => {
                let (asked, ran) = last.as_mut().unwrap_or_else(|| panic!("{place}: an output of nothing"));
                if let Err(why) = printed(&mut shell, block, asked, ran, *soon) {
                    panic!("{place}: {why}");
                }
                tally.checked += 1;
            }
            ("", Mark::LinesOf(command)) => {
                lines_of(&mut shell, block, command).unwrap_or_else(|why| panic!("{place}: {why}"));
                tally.checked += 1;
            }
            (language, mark @ (Mark::None | Mark::File(_))) => {
                if let Mark::File(name) = mark {
                    std::fs::write(shell.path().join(name), shell.ours(&block.text)).unwrap();
                }
                match check(&shell, language, &block.text, block.line) {
                    Ok(Checked::Good) => tally.checked += 1,
                    Ok(Checked::NothingToCheck) => {}
                    Ok(Checked::Skipped) => tally.not_run.push(format!("{place}: its tool is missing")),
                    Err(why) => panic!("{place}: {why}\n{}", block.text),
                }
            }
            ("promql", Mark::EmptyHere(_)) => match check(&shell, "promql", &block.text, block.line) {
                Ok(Checked::Skipped) => tally.not_run.push(format!("{place}: its tool is missing")),
                Ok(_) => tally.checked += 1,
                Err(why) => panic!("{place}: {why}"),
            },
            (language, mark) => panic!("{place}: {mark:?} before a block of {language:?}, which isn't run"),
        }
    }
    let Tally { run, checked, not_run } = tally;
    println!("{path}: {run} run, {checked} checked, {} not run", not_run.len());
    for line in &not_run {
        println!("  not run: {line}");
    }
    let skipped = not_run.iter().filter(|line| line.ends_with("its tool is missing")).count();
    assert!(run >= lesson.run && checked + skipped >= lesson.checked, "{path}: fewer blocks than there were");
}

/// Runs a block of `sh` as its mark says.
pub fn run(shell: &mut Shell, block: &Block, mark: &Mark) -> Result<Ran, String> {
    let (ran, want) = match mark {
        Mark::None => (shell.run(&block.text), 0),
        Mark::Serves => {
            shell.serve(&block.text)?;
            (Ran { stdout: String::new(), stderr: String::new(), code: Some(0) }, 0)
        }
        Mark::ExitCode(code) => {
            // Of several, a failure of the first would be nobody's.
            let one = block.text.trim_end().replace("\\\n", "");
            if one.contains('\n') || one.contains(" && ") || one.contains(';') {
                return Err("an exit code is that of one command".to_owned());
            }
            (shell.run_to_code(&block.text), *code)
        }
        mark => return Err(format!("{mark:?} before a block of \"sh\"")),
    };
    if ran.code == Some(want) {
        return Ok(ran);
    }
    let code = ran.code.map_or("another code than 0".to_owned(), |code| format!("code {code}"));
    Err(format!(
        "it ended with {code}, not {want}:\n{}\nstdout:\n{}\nstderr:\n{}",
        block.text, ran.stdout, ran.stderr
    ))
}

/// Holds what a block printed against what the page shows.
fn printed(shell: &mut Shell, want: &Block, asked: &Block, ran: &mut Ran, soon: bool) -> Result<(), String> {
    let pattern = pattern(&want.text);
    let began = Instant::now();
    loop {
        let seen = plain(&shell.theirs(&ran.stdout));
        if pattern.is_match(&seen) {
            return Ok(());
        }
        if !soon || began.elapsed() > HANG {
            return Err(format!("it shows\n{}\nand is\n{seen}\nstderr:\n{}", want.text, ran.stderr));
        }
        std::thread::sleep(Duration::from_millis(100));
        // A `grep` that finds nothing yet is no failure.
        *ran = shell.run_to_code(&asked.text);
    }
}

fn lines_of(shell: &mut Shell, block: &Block, command: &str) -> Result<(), String> {
    let lines: Vec<regex::Regex> = block.text.lines().map(|line| pattern(&format!("{line}\n"))).collect();
    let began = Instant::now();
    loop {
        let ran = shell.run_to_code(command);
        let seen = plain(&shell.theirs(&ran.stdout));
        let missing = lines.iter().find(|want| !seen.lines().any(|line| want.is_match(&format!("{line}\n"))));
        let Some(missing) = missing else { return Ok(()) };
        if began.elapsed() > HANG {
            return Err(format!("{command} prints no line {missing}:\n{seen}{}", ran.stderr));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Without what only clocks, chance and the width of numbers know.
pub fn plain(text: &str) -> String {
    [
        (r"\b(\d+ ms|\d+\.\d s|\d+ min \d+ s)", "TIME"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( UTC|Z)?", "DATE"),
        (r"\b1[5-9]\d{8}(\.\d+)?\b", "TIMESTAMP"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "ID"),
        (r"seconds=\d+\.\d+", "seconds=TIME"),
        (r" +", " "),
        (r" +\n", "\n"),
    ]
    .into_iter()
    .fold(text.trim_end().to_owned() + "\n", |text, (pattern, with)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, with).into_owned()
    })
}

/// What a shown output stands for: a line `…` is any lines, `…` within a line any text.
pub fn pattern(shown: &str) -> regex::Regex {
    let mut pattern = String::from("^");
    for line in plain(shown).lines() {
        match line {
            "…" => pattern.push_str("(?:.*\n)*?"),
            line => pattern.push_str(&(regex::escape(line).replace('…', ".*") + "\n")),
        }
    }
    regex::Regex::new(&(pattern + "$")).unwrap()
}
