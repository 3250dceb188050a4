//! What a run under way prints, while it prints it: the last whole lines of both streams, for whoever looks.
//!
//! The run never waits for a reader, and takes no secrets out: that is work for those who look. Readers that are too slow miss lines, and are told so. What
//! is held is bounded, also where a line has no end.

use crate::redact::{
    Marked, Part, Secret, Within, follow, has_format_version, names_plan, names_state, redacted_part,
    redacted_within,
};
use driftrun_parsers::text;
use memchr::memrchr;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes of lines that are held, and how many pieces they may be in.
const HELD: usize = 256 << 10;
const PIECES: usize = 2048;

/// A longer line is cut, and marked.
const LONGEST_LINE: usize = 64 << 10;

/// What stands where nothing more is shown.
const UTF_16: &[u8] = b"(text in UTF-16: it is shown when the run has ended)\n";
const RAW_PLAN: &[u8] = b"(the raw plan or state of Terraform: it is not shown)\n";

/// A stream of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a run prints.
#[derive(Debug)]
pub struct Live {
    secrets: Vec<Secret>,
    /// What the run before has told to be secret; what this one will is not known yet.
    marked: Marked,
    /// Standard output is a format that holds every value: nothing of it is shown.
    raw: bool,
    held: Mutex<Held>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The number of the first piece that is held.
    first: u64,
    open: [Open; 2],
    ended: bool,
}

/// Whole lines of one stream, or the beginning of one that is too long.
#[derive(Clone, Debug)]
struct Piece {
    stream: Stream,
    bytes: Vec<u8>,
    /// What the lines before it say of it.
    within: Within,
    /// It is a line without its end.
    cut: bool,
}

/// A line that has not ended yet.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    takes: Takes,
    within: Within,
    /// Whether anything has been printed.
    begun: bool,
    /// A plan or state of Terraform has begun, in as many lines as may be.
    versioned: bool,
}

/// What of a stream is still shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Takes {
    #[default]
    Lines,
    /// The rest of a line that was too long is left out.
    NextLine,
    /// It is what nobody may see, or what can't be read line by line.
    Nothing,
}

/// What a reader has not seen yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// In the order in which it was printed, without secrets and colours.
    pub texts: Vec<(Stream, String)>,
    /// Lines were missed before these.
    pub missed: bool,
    /// Where to go on.
    pub next: u64,
    /// The run has ended, and nothing more comes.
    pub ended: bool,
}

impl Live {
    /// Of a run whose `secrets` nobody is to see. `raw`: nor anything of its standard output.
    pub fn new(secrets: Vec<Secret>, marked: Marked, raw: bool) -> Self {
        Self { secrets, marked, raw, held: Mutex::default(), news: watch::Sender::new(()) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command has written this.
    pub fn wrote(&self, stream: Stream, bytes: &[u8]) {
        if self.raw && stream == Stream::Out {
            return;
        }
        let news = self.held().take(stream, bytes);
        if news {
            self.news.send_replace(());
        }
    }

    /// Nothing more comes; a last line needs no end.
    pub fn end(&self) {
        let mut held = self.held();
        for stream in [Stream::Out, Stream::Err] {
            let line = std::mem::take(&mut held.open[stream as usize].bytes);
            if !line.is_empty() {
                held.put(stream, line, false);
            }
        }
        held.ended = true;
        drop(held);
        self.news.send_replace(());
    }

    /// Tells when there is something new.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The number of what will come next.
    pub fn next(&self) -> u64 {
        let held = self.held();
        held.first + held.pieces.len() as u64
    }

    /// Whether the run has ended.
    pub fn has_ended(&self) -> bool {
        self.held().ended
    }

    /// What comes from number `from` on. Takes time: not for a runtime worker.
    pub fn news(&self, from: u64) -> News {
        let held = self.held();
        let first = held.first;
        let next = first + held.pieces.len() as u64;
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let pieces: Vec<Piece> = held.pieces.iter().skip(skip).cloned().collect();
        let ended = held.ended;
        drop(held);
        let texts = pieces
            .iter()
            .map(|piece| (piece.stream, self.marked.out_of_text(piece.text(&self.secrets))))
            .collect();
        News { texts, missed: from < first, next, ended }
    }
}

impl Held {
    /// Whether there is something new.
    fn take(&mut self, stream: Stream, mut bytes: &[u8]) -> bool {
        let before = self.first + self.pieces.len() as u64;
        let open = &mut self.open[stream as usize];
        // UTF-16, of whose mark this may be but the first byte: no pattern would find anything in it before it is decoded as a whole.
        if !std::mem::replace(&mut open.begun, true) && matches!(bytes, [0xff | 0xfe, ..]) {
            open.takes = Takes::Nothing;
            self.put(stream, UTF_16.to_vec(), false);
            return true;
        }
        if open.takes == Takes::Nothing {
            return false;
        }
        if open.takes == Takes::NextLine {
            // A key may begin or end in what is left out.
            let end = memchr::memchr(b'\n', bytes);
            follow(&bytes[..end.map_or(bytes.len(), |end| end + 1)], &mut open.within);
            let Some(end) = end else { return false };
            bytes = &bytes[end + 1..];
            open.takes = Takes::Lines;
        }
        match memrchr(b'\n', bytes) {
            Some(end) => {
                let mut lines = std::mem::take(&mut open.bytes);
                lines.extend_from_slice(&bytes[..=end]);
                open.bytes.extend_from_slice(&bytes[end + 1..]);
                if let Some(at) = raw_plan(&lines, &mut open.versioned) {
                    open.takes = Takes::Nothing;
                    open.bytes.clear();
                    lines.truncate(at);
                    lines.extend_from_slice(RAW_PLAN);
                }
                self.put(stream, lines, false);
            }
            None => open.bytes.extend_from_slice(bytes),
        }
        let open = &mut self.open[stream as usize];
        if open.bytes.len() > LONGEST_LINE {
            let mut line = std::mem::take(&mut open.bytes);
            let rest = line.split_off(LONGEST_LINE);
            open.takes = Takes::NextLine;
            self.put(stream, line, true);
            follow(&rest, &mut self.open[stream as usize].within);
        }
        self.first + self.pieces.len() as u64 > before
    }

    fn put(&mut self, stream: Stream, bytes: Vec<u8>, cut: bool) {
        let open = &mut self.open[stream as usize];
        let within = open.within;
        follow(&bytes, &mut open.within);
        self.bytes += bytes.len();
        self.pieces.push_back(Piece { stream, bytes, within, cut });
        while self.pieces.len() > 1 && (self.bytes > HELD || self.pieces.len() > PIECES) {
            let gone = self.pieces.pop_front().map_or(0, |piece| piece.bytes.len());
            self.bytes -= gone;
            self.first += 1;
        }
    }
}

/// Where a plan or state of Terraform in many lines begins in these whole ones. It names itself in its first lines, of which `versioned` is the first; one in a
/// single line goes with its line.
fn raw_plan(lines: &[u8], versioned: &mut bool) -> Option<usize> {
    if !*versioned && !has_format_version(lines) && !names_state(lines) {
        return None;
    }
    let mut at = 0;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let begins = has_format_version(line);
        let goes_on = *versioned && !begins && names_plan(line);
        let is_state = names_state(line) && !line.trim_ascii_start().starts_with(b"{");
        if goes_on || is_state {
            return Some(at);
        }
        *versioned |= begins && !names_plan(line);
        at += line.len();
    }
    None
}

impl Piece {
    fn text(&self, secrets: &[Secret]) -> String {
        let plain = |bytes: &[u8]| text::string(&text::strip_ansi(bytes));
        if self.cut {
            // A secret that the cut parts is known on neither side.
            let clean = redacted_part(&self.bytes, secrets, Part::Head);
            let clean = if self.within.key { &b"(redacted)"[..] } else { &clean };
            return format!("{} … the line goes on, and is not shown further\n", plain(clean));
        }
        let mut within = self.within;
        plain(&redacted_within(&self.bytes, secrets, &mut within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live::new(vec![Secret::new("pin=[0-9]+").unwrap()], Marked::new(&["told-before".to_owned()]), false)
    }

    fn texts(news: &News) -> Vec<(Stream, &str)> {
        news.texts.iter().map(|(stream, text)| (*stream, text.as_str())).collect()
    }

    #[test]
    fn whole_lines_come_without_their_secrets() {
        let live = live();
        live.wrote(Stream::Out, b"one\npi");
        live.wrote(Stream::Err, b"AKIAIOSFODNN7");
        assert_eq!(texts(&live.news(0)), [(Stream::Out, "one\n")]);
        live.wrote(Stream::Out, b"n=12\n\x1b[31mred\x1b[0m\n");
        live.wrote(Stream::Err, b"EXAMPLE\n");
        let news = live.news(1);
        assert_eq!(texts(&news), [(Stream::Out, "(redacted)\nred\n"), (Stream::Err, "(redacted)\n")]);
        assert_eq!((news.next, news.missed, news.ended), (3, false, false));
        live.wrote(Stream::Out, b"last");
        assert_eq!(texts(&live.news(news.next)), []);
        live.end();
        let news = live.news(news.next);
        assert_eq!((texts(&news), news.ended), (vec![(Stream::Out, "last")], true));
    }

    #[test]
    fn a_key_is_no_secret_less_where_its_beginning_is_gone() {
        let live = live();
        live.wrote(Stream::Out, b"-----BEGIN PRIVATE KEY-----\nMIIE\n");
        live.wrote(Stream::Err, b"other\n");
        live.wrote(Stream::Out, b"MIIF\n-----END PRIVATE KEY-----\nfine\n");
        assert_eq!(
            texts(&live.news(1)),
            [(Stream::Err, "other\n"), (Stream::Out, "(redacted)\n(redacted)\nfine\n")]
        );
    }

    #[test]
    fn who_is_too_slow_misses_lines_and_is_told() {
        let live = live();
        let words = [&b"x".repeat(999)[..], b"\n"].concat();
        for _ in 0..1000 {
            live.wrote(Stream::Out, &words);
        }
        let news = live.news(5);
        assert!(news.missed && news.next == 1000);
        let held: usize = news.texts.iter().map(|(_, text)| text.len()).sum();
        assert!(held <= HELD && held > HELD / 2, "{held}");
        for n in 0..10_000 {
            live.wrote(Stream::Out, format!("{n}\n").as_bytes());
        }
        assert_eq!(live.news(0).texts.len(), PIECES);
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_no_secret_stands_at_the_cut() {
        let live = live();
        let long =
            [&b"y".repeat(LONGEST_LINE - 10)[..], b"AKIAIOSFODNN7EXAMPLE", &b"z".repeat(5 << 20)].concat();
        for piece in long.chunks(60_000) {
            live.wrote(Stream::Out, piece);
        }
        live.wrote(Stream::Out, b"rest\nnext\n");
        let news = live.news(0);
        let [(_, cut), (_, next)] = &news.texts[..] else { panic!("{}", news.texts.len()) };
        assert!(
            cut.starts_with("yyyy") && cut.len() < LONGEST_LINE && !cut.contains("AKIA"),
            "{}",
            cut.len()
        );
        assert!(cut.ends_with("y … the line goes on, and is not shown further\n"));
        assert_eq!(next, "next\n");
    }

    #[test]
    fn what_the_run_before_has_marked_goes_and_a_key_behind_a_long_line_too() {
        let live = live();
        live.wrote(Stream::Out, b"x told-before y\n");
        assert_eq!(texts(&live.news(0)), [(Stream::Out, "x (redacted) y\n")]);
        live.wrote(
            Stream::Err,
            &[
                &b"z".repeat(LONGEST_LINE + 9)[..],
                b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nfine\n",
            ]
            .concat(),
        );
        let news = live.news(1);
        assert!(news.texts.iter().all(|(_, text)| !text.contains("MIIE")), "{news:?}");
    }

    #[test]
    fn what_cannot_be_looked_through_line_by_line_is_not_shown() {
        let live = live();
        live.wrote(Stream::Out, b"Reading...\n{\n  \"format_version\": \"1.2\",\n");
        // A pipe parts names wherever it likes.
        live.wrote(Stream::Out, b"  \"z\": 1,\n  \"terraform_ver");
        live.wrote(Stream::Out, b"sion\": \"1.11.4\",\n  \"x\": \"s3cret\"\n");
        live.wrote(Stream::Out, b"  \"y\": \"s3cret\"\n}\n");
        live.wrote(Stream::Err, b"\xff");
        live.wrote(Stream::Err, b"\xfeA\0K\0I\0A\0\n\0");
        live.wrote(Stream::Err, b"s\x003\0c\0\n\0");
        let shown: Vec<String> = live.news(0).texts.into_iter().map(|(_, text)| text).collect();
        let all = shown.concat();
        assert!(all.contains("Reading...") && all.contains("raw plan") && all.contains("UTF-16"), "{all}");
        assert!(!all.contains("s3cret") && !all.contains('A'), "{all}");
        let other = Live::new(Vec::new(), Marked::default(), false);
        other.wrote(Stream::Out, b"{\"format_version\":\"1\",\"terraform_version\":\"1\",\"x\":1}\nDone\n");
        assert_eq!(texts(&other.news(0)), [(Stream::Out, "(redacted)\nDone\n")]);
    }

    #[test]
    fn a_raw_plan_is_not_shown() {
        let live = Live::new(Vec::new(), Marked::default(), true);
        live.wrote(Stream::Out, b"{}\n");
        live.wrote(Stream::Err, b"warning\n");
        assert_eq!(texts(&live.news(0)), [(Stream::Err, "warning\n")]);
    }
}
