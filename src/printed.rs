//! What a run printed, as far as it is kept for people: without secrets, both ends of what is long, packed, each line with its number.
//!
//! Nothing else of an output outlives its run. Lines are counted by `\n` in what was written, so that a parser's places hold.

use crate::outcome::Captured;
use crate::redact::{Marked, Part, Secret, holds_raw_plan, redacted_part};
use driftrun_parsers::{Span, text};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use memchr::{memchr, memchr_iter};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::io::{Read as _, Write as _};

/// Bytes of each stream that are kept.
const KEPT: usize = 1 << 20;

/// What is shorter is kept as it is.
const PACKED_FROM: usize = 8 << 10;

/// Both streams of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Printed {
    /// Standard output.
    pub stdout: Kept,
    /// Standard error.
    pub stderr: Kept,
}

/// One stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// All of it, or its first part.
    bytes: Packed,
    /// Its last part, where something in the middle is missing.
    tail: Packed,
    /// How many bytes were written.
    total: u64,
    /// The number of the first line of `tail`; 0 where it isn't known.
    #[serde(default)]
    tail_line: u32,
    /// Nothing is kept, because it was a tool's raw state with every value in it.
    #[serde(default)]
    withheld: bool,
}

impl Printed {
    /// What of both streams is kept. `marked` is what the run has told to be secret. `raw`: standard output is a format that holds every value, and none of it is kept.
    pub fn of(stdout: Captured, stderr: Captured, secrets: &[Secret], marked: &Marked, raw: bool) -> Self {
        let stdout = if raw { Kept::withheld(stdout.total) } else { Kept::of(stdout, secrets, marked) };
        Self { stdout, stderr: Kept::of(stderr, secrets, marked) }
    }

    /// The same without what these patterns match, too.
    #[must_use]
    pub fn redacted(&self, secrets: &[Secret]) -> Self {
        Self { stdout: self.stdout.redacted(secrets), stderr: self.stderr.redacted(secrets) }
    }
}

impl Kept {
    fn of(captured: Captured, secrets: &[Secret], marked: &Marked) -> Self {
        let Captured { mut bytes, mut tail, total } = captured;
        let cut_by_limit = (bytes.len() as u64) < total;
        decode(&mut bytes, &mut tail, total);
        let raw = holds_raw_plan(&bytes) || holds_raw_plan(&tail);
        let mut tail_line = 0;
        if bytes.len() > KEPT {
            let half = KEPT / 2;
            if tail.is_empty() && !cut_by_limit {
                let from = bytes.len() - half;
                tail = bytes[from..].to_vec();
                // The line that the cut parts goes.
                let ends = memchr_iter(b'\n', &bytes[..from]).count();
                let parted = usize::from(memchr(b'\n', &tail).is_some_and(|at| at + 1 < tail.len()));
                tail_line = u32::try_from(1 + ends + parted).unwrap_or(0);
            }
            bytes.truncate(half);
        }
        let part = if tail.is_empty() && !cut_by_limit { Part::Whole } else { Part::Head };
        let clean = redacted_part(&bytes, secrets, part);
        // A plan on one line goes with its line. One of many lines, or whose line is cut, takes everything with it.
        if raw && (part == Part::Head || holds_raw_plan(&clean)) {
            return Self::withheld(total);
        }
        let bytes = Packed::of(&marked.out_of(&clean));
        let tail = if tail.is_empty() {
            Packed::default()
        } else {
            Packed::of(&marked.out_of(&redacted_part(&tail, secrets, Part::Tail)))
        };
        Self { bytes, tail, total, tail_line, withheld: false }
    }

    fn withheld(total: u64) -> Self {
        Self { total, withheld: total > 0, ..Self::default() }
    }

    fn redacted(&self, secrets: &[Secret]) -> Self {
        let clean = |packed: &Packed| {
            let bytes = packed.open();
            match redacted_part(&bytes, secrets, Part::Whole) {
                Cow::Owned(clean) => Packed::of(&clean),
                Cow::Borrowed(_) => packed.clone(),
            }
        };
        Self { bytes: clean(&self.bytes), tail: clean(&self.tail), ..self.clone() }
    }

    /// How many bytes were written.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Whether nothing is kept, because it was a tool's raw state with every value in it.
    pub const fn is_withheld(&self) -> bool {
        self.withheld
    }

    /// Unpacks it.
    pub fn open(&self) -> Opened<'_> {
        let (head, tail) = (self.bytes.open(), self.tail.open());
        let missing = if tail.is_empty() && !self.withheld {
            // Redaction makes a text shorter or longer: only where something was cut is something missing.
            None
        } else {
            Some(self.total.saturating_sub((head.len() + tail.len()) as u64))
        };
        let first = (1, starts(&head));
        let last = (self.tail_line, starts(&tail));
        Opened { head, tail, missing, first, last }
    }
}

/// Text in UTF-16 as UTF-8, the end of a cut one too: no pattern would find a secret in it.
fn decode(bytes: &mut Vec<u8>, tail: &mut Vec<u8>, total: u64) {
    let Some(decoded) = text::decode_utf16(bytes) else { return };
    if !tail.is_empty() {
        let odd = usize::try_from((total - tail.len() as u64) % 2).unwrap_or_default();
        let marked = [bytes.get(..2).unwrap_or_default(), tail.get(odd..).unwrap_or_default()].concat();
        *tail = text::decode_utf16(&marked).unwrap_or_default();
    }
    *bytes = decoded;
}

/// Where lines begin.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let after = memchr_iter(b'\n', bytes).map(|at| at + 1).filter(|at| *at < bytes.len());
    std::iter::once(0).filter(|_| !bytes.is_empty()).chain(after).collect()
}

/// One stream, unpacked.
#[derive(Debug)]
pub struct Opened<'k> {
    head: Cow<'k, [u8]>,
    tail: Cow<'k, [u8]>,
    missing: Option<u64>,
    /// The number of the first line of each part (0: not known), and where lines begin.
    first: (u32, Vec<usize>),
    last: (u32, Vec<usize>),
}

/// A line with its number, from 1; 0 where it isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'o> {
    /// The number.
    pub number: u32,
    /// The bytes without their line end.
    pub bytes: &'o [u8],
}

impl Opened<'_> {
    /// The lines of the first part, or of all there is.
    pub fn head(&self) -> impl DoubleEndedIterator<Item = Line<'_>> + ExactSizeIterator {
        lines(&self.head, &self.first)
    }

    /// The lines of the last part, where something in the middle is missing.
    pub fn tail(&self) -> impl DoubleEndedIterator<Item = Line<'_>> + ExactSizeIterator {
        lines(&self.tail, &self.last)
    }

    /// How many bytes in the middle are missing, about; `None`: none.
    pub const fn missing(&self) -> Option<u64> {
        self.missing
    }

    /// Both parts as they are kept.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.tail]
    }

    /// The lines of a part of the output; `None` where it isn't kept, or not whole.
    pub fn cut(&self, Span(from, to): Span) -> Option<Vec<Line<'_>>> {
        [(&self.head, &self.first), (&self.tail, &self.last)].into_iter().find_map(|(bytes, part)| {
            let (first, starts) = part;
            let from = usize::try_from(from.checked_sub(*first)?).ok()?;
            let to = usize::try_from(to.checked_sub(*first)?).ok()?;
            (*first > 0 && from <= to && to < starts.len())
                .then(|| lines(bytes, part).skip(from).take(to - from + 1).collect())
        })
    }
}

fn lines<'o>(
    bytes: &'o [u8],
    (first, starts): &'o (u32, Vec<usize>),
) -> impl DoubleEndedIterator<Item = Line<'o>> + ExactSizeIterator {
    (0..starts.len()).map(move |n| {
        let end = starts.get(n + 1).copied().unwrap_or(bytes.len());
        let line = &bytes[starts[n]..end];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = if *first == 0 { 0 } else { first.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)) };
        Line { number, bytes: line }
    })
}

/// Bytes, deflated where they are many. As JSON: a text where it is one, else a list of numbers.
#[derive(Clone, Debug)]
enum Packed {
    Plain(Vec<u8>),
    Deflated { bytes: Vec<u8>, len: usize },
}

impl Default for Packed {
    fn default() -> Self {
        Self::Plain(Vec::new())
    }
}

impl Packed {
    fn of(bytes: &[u8]) -> Self {
        if bytes.len() < PACKED_FROM {
            return Self::Plain(bytes.to_vec());
        }
        let mut deflater = DeflateEncoder::new(Vec::new(), Compression::fast());
        match deflater.write_all(bytes).and_then(|()| deflater.finish()) {
            Ok(mut packed) if packed.len() < bytes.len() => {
                packed.shrink_to_fit();
                Self::Deflated { bytes: packed, len: bytes.len() }
            }
            Ok(_) | Err(_) => Self::Plain(bytes.to_vec()),
        }
    }

    fn open(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Plain(bytes) => Cow::Borrowed(bytes),
            Self::Deflated { bytes, len } => {
                let mut out = Vec::with_capacity(*len);
                // We have packed it ourselves.
                let _ = DeflateDecoder::new(bytes.as_slice()).read_to_end(&mut out);
                Cow::Owned(out)
            }
        }
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.open();
        match std::str::from_utf8(&bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => bytes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::of(text.as_bytes()),
            Written::Bytes(bytes) => Self::of(&bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Captured {
        Captured { bytes: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 }
    }

    fn texts(lines: &[Line<'_>]) -> Vec<(u32, String)> {
        lines.iter().map(|line| (line.number, String::from_utf8_lossy(line.bytes).into_owned())).collect()
    }

    #[test]
    fn a_part_is_cut_by_its_lines_with_their_secrets_out() {
        let kept = Kept::of(whole(b"a\r\n\npassword = \"x1y2\"\nd\n"), &[], &Marked::default());
        let opened = kept.open();
        let want = |lines: &[(u32, &str)]| -> Vec<(u32, String)> {
            lines.iter().map(|(n, text)| (*n, (*text).to_owned())).collect()
        };
        assert_eq!(
            texts(&opened.cut(Span(1, 3)).unwrap()),
            want(&[(1, "a"), (2, ""), (3, "password = (redacted)")])
        );
        assert_eq!(texts(&opened.cut(Span(4, 4)).unwrap()), want(&[(4, "d")]));
        assert_eq!(opened.head().len(), 4);
        for nowhere in [Span(0, 1), Span(4, 5), Span(3, 2), Span(9, 9)] {
            assert!(opened.cut(nowhere).is_none(), "{nowhere:?}");
        }
        assert_eq!((opened.missing(), Kept::default().open().cut(Span(1, 1)).is_none()), (None, true));
    }

    #[test]
    fn the_last_part_of_a_long_output_has_its_own_numbers() {
        let text = (1..=200_000).fold(String::new(), |text, n| text + "line " + &n.to_string() + "\n");
        let kept = Kept::of(whole(text.as_bytes()), &[], &Marked::default());
        let opened = kept.open();
        let last = opened.tail().next_back().unwrap();
        assert_eq!((last.number, last.bytes), (200_000, &b"line 200000"[..]));
        assert!(
            opened.tail().chain(opened.head()).all(|l| l.bytes == format!("line {}", l.number).as_bytes())
        );
        assert_eq!(
            texts(&opened.cut(Span(199_999, 199_999)).unwrap()),
            [(199_999, "line 199999".to_owned())]
        );
        assert!(opened.cut(Span(100_000, 100_001)).is_none());
        let left = opened.missing().unwrap();
        assert!(left > 0 && left < text.len() as u64);
        // The middle of one that the limit has cut is not counted.
        let both = Captured { bytes: b"a\nb\nc".to_vec(), tail: b"x\ny\nz\n".to_vec(), total: 1 << 30 };
        let kept = Kept::of(both, &[], &Marked::default());
        let opened = kept.open();
        let numbers: Vec<u32> = opened.head().chain(opened.tail()).map(|line| line.number).collect();
        assert_eq!(numbers, [1, 2, 0, 0]);
        assert!(opened.cut(Span(1, 2)).is_some() && opened.cut(Span(0, 0)).is_none());
    }

    #[test]
    fn what_is_in_utf_16_is_redacted_too() {
        let wide = |text: &str| -> Vec<u8> {
            std::iter::once('\u{feff}')
                .chain(text.chars())
                .collect::<String>()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect()
        };
        let kept = Kept::of(whole(&wide("token AKIAIOSFODNN7EXAMPLE\nfine\n")), &[], &Marked::default());
        assert_eq!(kept.open().parts(), [&b"token (redacted)\nfine\n"[..], b""]);
        let tail = wide("x\ntoken AKIAIOSFODNN7EXAMPLE\n")[2..].to_vec();
        let cut = Captured { bytes: wide("head\n"), total: 1002 + tail.len() as u64, tail };
        let kept = Kept::of(
            Captured { tail: [b"\0".as_slice(), &cut.tail].concat(), ..cut },
            &[],
            &Marked::default(),
        );
        assert_eq!(kept.open().parts(), [&b"head\n"[..], b"token (redacted)\n"]);
    }

    #[test]
    fn a_raw_plan_is_not_kept_at_all() {
        let plan =
            br#"{"format_version":"1.2","terraform_version":"1.11.4","planned_values":{"root_module":{}}}"#;
        let among = [b"Reading...\n", &plan[..], b"\nDone\n"].concat();
        assert_eq!(
            Kept::of(whole(&among), &[], &Marked::default()).open().parts()[0],
            b"Reading...\n(redacted)\nDone\n"
        );
        let of_many_lines = plan.map(|byte| if byte == b',' { b'\n' } else { byte });
        for text in [of_many_lines.to_vec(), [&plan[..], &b" ".repeat(2 << 20)].concat()] {
            let kept = Kept::of(whole(&text), &[], &Marked::default());
            assert!(kept.is_withheld() && kept.open().parts() == [b"", b""], "{kept:?}");
            assert_eq!(kept.total(), text.len() as u64);
        }
        let printed = Printed::of(whole(b"{}"), whole(b"e"), &[], &Marked::default(), true);
        assert!(printed.stdout.is_withheld() && !printed.stderr.is_withheld());
        assert!(!Printed::of(whole(b""), whole(b""), &[], &Marked::default(), true).stdout.is_withheld());
    }

    #[test]
    fn it_is_the_same_from_disk_also_from_an_older_one_s() {
        let long = "some words of a line\n".repeat(2_000);
        for bytes in [b"a\xff\n".to_vec(), long.into_bytes(), Vec::new()] {
            let kept = Kept::of(whole(&bytes), &[], &Marked::default());
            let json = serde_json::to_string(&kept).unwrap();
            let back: Kept = serde_json::from_str(&json).unwrap();
            assert_eq!((back.open().parts()[0], back.total()), (&*bytes, bytes.len() as u64));
        }
        let old: Kept = serde_json::from_str(r#"{"bytes":[97,10],"tail":[],"total":2}"#).unwrap();
        assert_eq!(old.open().parts()[0], b"a\n");
    }
}
