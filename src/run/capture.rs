//! Bytes of one stream, bounded: everything up to a limit, else the first and the last 64 KiB.

use crate::outcome::Captured;
use std::collections::VecDeque;

/// What stays of each end of a stream that went over its limit.
const END: usize = 64 << 10;

/// Takes everything a stream writes and keeps what the limit allows.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    limit: usize,
    over: bool,
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), total: 0, limit, over: false }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if !self.over {
            if self.head.len() + bytes.len() <= self.limit {
                self.head.extend_from_slice(bytes);
                return;
            }
            self.over = true;
            let end = END.min(self.limit);
            if self.head.len() > end {
                let from = self.head.len().saturating_sub(END).max(end);
                self.tail.extend(&self.head[from..]);
                self.head.truncate(end);
                self.head.shrink_to_fit();
            }
            // A first piece that is too large still has a beginning.
            let (first, rest) = bytes.split_at(end.saturating_sub(self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(first);
            bytes = rest;
        }
        bytes = &bytes[bytes.len().saturating_sub(END)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(END);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(bytes);
    }

    pub(super) fn finish(self) -> Captured {
        Captured { bytes: self.head, tail: self.tail.into(), total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_up_to_the_limit() {
        let mut capture = Capture::new(6);
        capture.take(b"abc");
        capture.take(b"def");
        let captured = capture.finish();
        assert!(!captured.is_cut());
        assert_eq!(captured, Captured { bytes: b"abcdef".to_vec(), tail: vec![], total: 6 });
    }

    #[test]
    fn both_ends_beyond_it_and_everything_counted() {
        let text: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut capture = Capture::new(200_000);
        for chunk in text.chunks(7_001) {
            capture.take(chunk);
        }
        let captured = capture.finish();
        assert!(captured.is_cut());
        assert_eq!(captured.total, 4_000_000);
        assert!(captured.bytes == text[..END] && captured.tail == text[text.len() - END..]);
    }

    #[test]
    fn a_first_piece_that_is_too_large_keeps_its_beginning() {
        let mut capture = Capture::new(100_000);
        capture.take(&[b"a".repeat(70_000), b"b".repeat(70_000)].concat());
        let captured = capture.finish();
        assert!(captured.bytes == b"a".repeat(END) && captured.tail == b"b".repeat(END));
        assert_eq!(captured.total, 140_000);
    }

    #[test]
    fn a_limit_smaller_than_an_end_holds() {
        let mut capture = Capture::new(4);
        capture.take(b"abc");
        capture.take(b"defgh");
        let captured = capture.finish();
        assert_eq!(
            (captured.bytes.as_slice(), captured.tail.as_slice(), captured.total),
            (&b"abcd"[..], &b"efgh"[..], 8)
        );
    }
}
