//! Bytes of one stream, bounded: everything up to a limit, else the first and the last 64 KiB.

use crate::live::{Live, Stream};
use crate::outcome::Captured;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What stays of each end of a stream that went over its limit.
const END: usize = 64 << 10;

/// How many bytes of output all runs under way hold together.
#[derive(Debug)]
pub struct Memory {
    held: AtomicUsize,
    limit: usize,
    freed: Notify,
}

impl Memory {
    /// With so many no new run begins.
    pub fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit, freed: Notify::new() }
    }

    /// Waits until there is room for a new run. One that runs takes what its own limit allows: it would be no use to stop it.
    pub async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if self.held.load(Ordering::Acquire) < self.limit {
                return;
            }
            freed.await;
        }
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::AcqRel);
    }

    fn free(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::AcqRel);
            self.freed.notify_waiters();
        }
    }
}

/// Takes everything a stream writes and keeps what the limit allows.
#[derive(Debug)]
pub(super) struct Capture<'m> {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    limit: usize,
    over: bool,
    memory: &'m Memory,
    /// What of `memory` is this one's.
    held: usize,
    /// Who may look meanwhile.
    live: Option<(&'m Live, Stream)>,
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        self.memory.free(self.held);
    }
}

impl<'m> Capture<'m> {
    pub(super) fn new(limit: usize, memory: &'m Memory, live: Option<(&'m Live, Stream)>) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), total: 0, limit, over: false, memory, held: 0, live }
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        if let Some((live, stream)) = self.live {
            live.wrote(stream, bytes);
        }
        self.total += bytes.len() as u64;
        if !self.over {
            if self.head.len() + bytes.len() <= self.limit {
                self.head.extend_from_slice(bytes);
                self.held += bytes.len();
                self.memory.take(bytes.len());
                return;
            }
            self.over = true;
            // Both ends are small.
            self.memory.free(std::mem::take(&mut self.held));
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

    pub(super) fn finish(mut self) -> Captured {
        let (bytes, tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        Captured { bytes, tail: tail.into(), total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static MEMORY: Memory =
        Memory { held: AtomicUsize::new(0), limit: usize::MAX, freed: Notify::const_new() };

    #[test]
    fn everything_up_to_the_limit() {
        let mut capture = Capture::new(6, &MEMORY, None);
        capture.take(b"abc");
        capture.take(b"def");
        let captured = capture.finish();
        assert!(!captured.is_cut());
        assert_eq!(captured, Captured { bytes: b"abcdef".to_vec(), tail: vec![], total: 6 });
    }

    #[test]
    fn both_ends_beyond_it_and_everything_counted() {
        let text: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut capture = Capture::new(200_000, &MEMORY, None);
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
        let mut capture = Capture::new(100_000, &MEMORY, None);
        capture.take(&[b"a".repeat(70_000), b"b".repeat(70_000)].concat());
        let captured = capture.finish();
        assert!(captured.bytes == b"a".repeat(END) && captured.tail == b"b".repeat(END));
        assert_eq!(captured.total, 140_000);
    }

    #[test]
    fn a_limit_smaller_than_an_end_holds() {
        let mut capture = Capture::new(4, &MEMORY, None);
        capture.take(b"abc");
        capture.take(b"defgh");
        let captured = capture.finish();
        assert_eq!(
            (captured.bytes.as_slice(), captured.tail.as_slice(), captured.total),
            (&b"abcd"[..], &b"efgh"[..], 8)
        );
    }

    #[tokio::test]
    async fn a_new_run_waits_for_room() {
        let memory = Memory::new(10);
        let mut first = Capture::new(100, &memory, None);
        first.take(b"123456789");
        memory.room().await;
        first.take(b"0");
        let mut waiting = Box::pin(memory.room());
        assert!(by_now(&mut waiting).await.is_none());
        // Over its own limit it keeps little.
        first.take(&[0; 100]);
        assert!(by_now(&mut waiting).await.is_some());
        let mut second = Capture::new(100, &memory, None);
        second.take(&[0; 20]);
        let mut waiting = Box::pin(memory.room());
        assert!(by_now(&mut waiting).await.is_none());
        assert_eq!(second.finish().bytes.len(), 20);
        assert!(by_now(&mut waiting).await.is_some());
        drop(first);
        assert_eq!(memory.held.load(Ordering::Acquire), 0);
    }

    /// What it has come to by now.
    async fn by_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
