//! How far a round is, as a few lines for a terminal: what runs, what waits and for what, what has ended and how. Pure: draws a snapshot.

use super::text::{self, Ink, cut, padded, printable, width};
use super::{Counts, counted, sign, took};
use crate::snapshot::{Snapshot, View};
use anstyle::Style;
use driftrun_parsers::Verdict;
use jiff::Timestamp;
use std::fmt::Write as _;
use std::time::Duration;

/// What turns while a check runs.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Columns of the longest word that a line begins with, `unreadable`.
const WORD: usize = 10;

/// Columns of the bar, for which a narrow terminal has no room.
const BAR: usize = 20;

/// A terminal of so many columns isn't narrow.
const MUCH: usize = 60;

/// How large a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    rows: usize,
    columns: usize,
}

impl Size {
    /// One that says nothing of its size has the usual one.
    pub const fn new(rows: usize, columns: usize) -> Self {
        match (rows, columns) {
            (0, _) | (_, 0) => Self { rows: 24, columns: 80 },
            (rows, columns) => Self { rows, columns },
        }
    }
}

/// A round that is being looked at.
#[derive(Debug, Default)]
pub struct Round {
    /// When it was looked at first.
    began: Option<Timestamp>,
    /// How often it was.
    looks: usize,
    /// What the lines of ended checks say behind their names, by position: they may have many resources to count, and end only once.
    ended: Vec<Option<String>>,
}

/// Where a check stands.
enum Stands {
    /// Since then it runs.
    Running(Timestamp),
    /// It met a lock; then it is run again.
    Locked(Timestamp),
    /// It waits for a place.
    Queued,
    /// It came to that, then.
    Ended(Verdict, Timestamp),
}

impl Stands {
    fn of(view: &View, now: Timestamp) -> Self {
        let state = &view.state;
        match (state.own_run(), state.running, state.next_run) {
            (Some(last), ..) => Self::Ended(last.verdict, last.ended),
            (None, Some(since), _) => Self::Running(since),
            (None, None, Some(again)) if again > now => Self::Locked(again),
            (None, None, _) => Self::Queued,
        }
    }

    /// Which come first where there is no room for all: what runs, longest first, then what waits for a lock, then what ended last.
    fn urgency(&self) -> (u8, i128) {
        match self {
            Self::Running(since) => (0, since.as_nanosecond()),
            Self::Locked(again) => (1, again.as_nanosecond()),
            Self::Ended(_, ended) => (2, -ended.as_nanosecond()),
            Self::Queued => (3, 0),
        }
    }
}

impl Round {
    /// The lines of this moment, fewer than the terminal has: a check each as far as there is room, in the order of their names or, where there is none for all,
    /// the ended ones above those under way; and one that counts them all.
    pub fn frame(&mut self, snapshot: &Snapshot, now: Timestamp, size: Size, ink: Ink) -> String {
        let began = *self.began.get_or_insert(now);
        self.looks += 1;
        self.ended.resize(snapshot.views.len(), None);
        let views: Vec<&View> = snapshot.views.iter().map(AsRef::as_ref).collect();
        let mut checks: Vec<(usize, Stands)> =
            views.iter().map(|view| Stands::of(view, now)).enumerate().collect();
        let sum = sum(&checks, between(began, now), size.columns);
        // One is for the sum, and one stays free: a terminal that is full to its end scrolls.
        let Some(room) = size.rows.checked_sub(2) else { return String::new() };
        if checks.len() > room {
            checks.sort_by_key(|(_, stands)| stands.urgency());
            checks.truncate(room);
            checks.reverse();
        }
        let names = snapshot.views.iter().map(|view| width(&view.check.name));
        let names = names.filter(|width| *width <= size.columns / 2).max().unwrap_or(0);
        let mut lines: Vec<String> = Vec::with_capacity(checks.len() + 1);
        for (at, stands) in checks {
            let view = views[at];
            let (sign, word, style, rest) = match stands {
                Stands::Running(since) => {
                    let spinner = SPINNER[self.looks % SPINNER.len()];
                    (spinner, "running", Style::new(), so_far(between(since, now)))
                }
                Stands::Locked(again) => {
                    let left = between(now, again).as_secs() + 1;
                    ("↻", "locked", Style::new(), format!("again in {left} s"))
                }
                Stands::Queued => ("·", "queued", Style::new(), String::new()),
                Stands::Ended(verdict, _) => {
                    let rest = self.ended[at].get_or_insert_with(|| result(view)).clone();
                    (sign(verdict), verdict.as_str(), text::verdict(verdict), rest)
                }
            };
            let begins = format!("{sign} {word}");
            let rest = format!("  {}  {rest}", padded(&view.check.name, names));
            let beginning = cut(&begins, size.columns - 1);
            let gap = " ".repeat((WORD + 2).saturating_sub(width(&begins)));
            let room = (size.columns - 1).saturating_sub(width(&beginning));
            let line = format!("{gap}{}", rest.trim_end());
            lines.push(format!("{}{}", ink.paint(style, &beginning), cut(&line, room)));
        }
        lines.push(sum);
        lines.join("\n")
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// A duration that grows: its beginning doesn't jump between units.
fn so_far(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1_000 => format!("0.{} s", ms / 100),
        _ => took(duration),
    }
}

/// What stands behind the name of a check that has ended: how long it took, and what drifts or what went wrong.
fn result(view: &View) -> String {
    let Some(last) = view.state.own_run() else { return String::new() };
    let counts = match view.state.reported() {
        Some((drift, seen)) => {
            Counts::of(seen.filter(|seen| seen.counts()).map(|seen| &seen.resource)).plus(&drift.unlisted())
        }
        None => Counts::of([]),
    };
    let mut parts = vec![took(last.duration)];
    if counts.total() > 0 {
        parts.push(format!("{}: {}", counts.resources(), counts.by_action()));
    }
    parts.extend(last.reason.as_deref().map(|reason| printable(reason).into_owned()));
    parts.join("  ")
}

/// `━━━━━━━━━━──────────  4 of 8 checks, 2 running, 2 queued, 12.3 s`
fn sum(checks: &[(usize, Stands)], passed: Duration, columns: usize) -> String {
    let count = |is: fn(&Stands) -> bool| checks.iter().filter(|(_, stands)| is(stands)).count();
    let ended = count(|stands| matches!(stands, Stands::Ended(..)));
    let mut line = format!("{ended} of {}", counted(checks.len(), "check"));
    for (count, what) in [
        (count(|stands| matches!(stands, Stands::Running(_))), "running"),
        (count(|stands| matches!(stands, Stands::Queued)), "queued"),
        (count(|stands| matches!(stands, Stands::Locked(_))), "locked"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {count} {what}");
        }
    }
    let _ = write!(line, ", {}", so_far(passed));
    if columns >= MUCH {
        let full = (BAR * ended).checked_div(checks.len()).unwrap_or(0);
        line = format!("{}{}  {line}", "━".repeat(full), "─".repeat(BAR - full));
    }
    cut(&line, columns - 1).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::check::{Check, Reader, ReaderChoice};
    use crate::outcome::{Captured, End, Outcome};
    use crate::reader;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn named(name: &str, parser: Option<&str>) -> Check {
        let reader = parser.map_or(ReaderChoice::ExitCode, |parser| {
            ReaderChoice::Known(Reader::Builtin(driftrun_parsers::by_name(parser).unwrap()))
        });
        Check { reader, ..Check::recorded(name) }
    }

    /// What a run of that check prints and exits with, recorded at that moment.
    fn end(board: &Board, check: &Check, stdout: &str, code: i32, ended: Timestamp) {
        let bytes = stdout.as_bytes().to_vec();
        let outcome = Outcome {
            end: End::Exited(code),
            duration: Duration::from_millis(2_345),
            stdout: Captured { total: bytes.len() as u64, bytes, tail: Vec::new() },
            ..Outcome::recorded(at(0))
        };
        let judgement = reader::judge(check, None, &outcome, ended);
        assert!(board.apply(check, outcome, judgement, ended));
    }

    fn frame(board: &Board, now: Timestamp, rows: usize, columns: usize) -> String {
        let mut round = Round { began: Some(at(0)), ..Round::default() };
        round.frame(&board.snapshot(), now, Size::new(rows, columns), Ink::Plain)
    }

    /// Checks in every state.
    fn board() -> Board {
        let checks = [
            ("clean", None),
            ("drifted", Some("kubectl")),
            ("failed", None),
            ("locked", None),
            ("queued", None),
            ("running", None),
        ];
        let checks = checks.map(|(name, parser)| named(name, parser));
        let board = Board::new(checks.to_vec(), at(0));
        let changed = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kubectl/changed/stdout");
        end(&board, &checks[0], "", 0, at(2));
        end(&board, &checks[1], &std::fs::read_to_string(changed).unwrap(), 1, at(3));
        end(&board, &checks[2], "", 7, at(4));
        board.scheduled("locked", Some(at(13)), None);
        board.running("running", Some(at(1)));
        board
    }

    #[test]
    fn every_check_has_a_line_and_all_have_a_sum() {
        assert_eq!(
            frame(&board(), at(5), 24, 80),
            "\
✓ clean       clean    2.3 s
≠ drifted     drifted  2.3 s  1 resource: 1 update
✕ failed      failed   2.3 s  command exited with code 7
↻ locked      locked   again in 9 s
· queued      queued
⠙ running     running  4.0 s
━━━━━━━━━━──────────  3 of 6 checks, 1 running, 1 queued, 1 locked, 5.0 s"
        );
    }

    #[test]
    fn where_there_is_no_room_what_runs_comes_first_and_nothing_is_wider_than_the_terminal() {
        assert_eq!(
            frame(&board(), at(5), 6, 40),
            "\
≠ drifted     drifted  2.3 s  1 resour…
✕ failed      failed   2.3 s  command …
↻ locked      locked   again in 9 s
⠙ running     running  4.0 s
3 of 6 checks, 1 running, 1 queued, 1 …"
        );
        assert_eq!(
            frame(&board(), at(5), 3, 30),
            "\
⠙ running     running  4.0 s
3 of 6 checks, 1 running, 1 …"
        );
    }

    #[test]
    fn a_frame_is_smaller_than_the_terminal() {
        let names: Vec<String> = (0..2_000).map(|n| format!("check-{n}-{}", "x".repeat(n % 100))).collect();
        let board = Board::new(names.iter().map(|name| named(name, None)).collect(), at(0));
        for name in names.iter().step_by(7) {
            board.running(name, Some(at(1)));
        }
        for check in board.checks().iter().skip(1).step_by(7) {
            end(&board, check, "", 0, at(2));
        }
        for (rows, columns) in [(1, 1), (2, 2), (3, 20), (24, 80), (50, 11), (4_000, 300)] {
            let mut round = Round::default();
            for ink in [Ink::Plain, Ink::Colours] {
                let frame = round.frame(&board.snapshot(), at(3), Size::new(rows, columns), ink);
                let plain =
                    frame.split("\u{1b}[").enumerate().map(|(n, part)| match (n, part.split_once('m')) {
                        (1.., Some((_, rest))) => rest,
                        _ => part,
                    });
                let plain: String = plain.collect();
                let widest = plain.lines().map(width).max().unwrap_or(0);
                assert!(plain.lines().count() < rows && widest < columns, "{rows} {columns}: {plain}");
            }
        }
    }

    #[test]
    fn the_spinner_turns_and_seconds_go_by_tenths() {
        let board = Board::new(vec![named("a", None)], at(0));
        board.running("a", Some(at(0)));
        let mut round = Round::default();
        let frames = [0, 100, 200].map(|ms| {
            let now = at(0) + Duration::from_millis(ms);
            round.frame(&board.snapshot(), now, Size::new(0, 0), Ink::Plain)
        });
        let want = [("⠙", "0.0"), ("⠹", "0.1"), ("⠸", "0.2")].map(|(spinner, seconds)| {
            format!("{spinner} running     a  {seconds} s\n────────────────────  0 of 1 check, 1 running, {seconds} s")
        });
        assert_eq!(frames, want);
    }
}
