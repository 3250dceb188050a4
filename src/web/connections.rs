//! The connections that are open: how many may be, and which is ended when it takes too long or another one wants its place.
//!
//! A scrape must always find a place. So a new connection is never kept waiting for an old one: where all places are taken, the one that has moved
//! no byte for the longest time gives way.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Places.
const MOST: usize = 512;
/// A connection that has moved a byte within this time doesn't give way, unless it is idle.
const BUSY: Duration = Duration::from_secs(1);
/// Where all are busy, one whose answer has been under way for so long gives way all the same: scrapes give up by then, and bytes alone prove
/// nothing, be they pings of HTTP/2 or an answer's, taken one by one.
const LONG: Duration = Duration::from_secs(10);
/// From the connection, or a request's first byte, to the end of its head; a TLS handshake is in it.
const HEAD: Duration = Duration::from_secs(10);
/// A client that takes no byte of its answer for so long is gone.
const STALL: Duration = Duration::from_secs(30);
/// For a whole answer: what was asked for is kept in memory so long.
const ANSWER: Duration = Duration::from_mins(2);
/// Between two requests. Prometheus scrapes every minute or more often, and keeps its connection.
const IDLE: Duration = Duration::from_mins(3);
/// How often somebody looks.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    places: HashMap<u64, Arc<Place>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    end: CancellationToken,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When a byte moved last.
    moved: Instant,
    /// Since when a request's head is under way.
    head: Option<Instant>,
    /// Whether heads come in order, one after the other: not with HTTP/2.
    ordered: bool,
    /// Answers under way, and since when there are any.
    answers: usize,
    answering: Instant,
}

impl State {
    /// Whether it has taken longer than anybody with good intentions does.
    fn is_overdue(&self, now: Instant) -> bool {
        let over = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        match (self.answers, self.head) {
            (0, Some(since)) => over(since, HEAD),
            (0, None) => over(self.moved, IDLE),
            _ => over(self.moved.max(self.answering), STALL) || over(self.answering, ANSWER),
        }
    }
}

impl Connections {
    /// A place for a new connection, at the cost of another one where all are taken; `None` when every one of them is busy.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entered> {
        let now = Instant::now();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.places.len() >= MOST {
            let given = open.places.values().min_by_key(|place| {
                let state = place.state();
                (state.answers > 0, state.moved)
            });
            let given = given.filter(|place| {
                let state = place.state();
                state.answers == 0 || now.duration_since(state.moved) >= BUSY
            });
            let longest = || {
                let long = |place: &&Arc<Place>| now.duration_since(place.state().answering) >= LONG;
                open.places.values().filter(long).min_by_key(|place| place.state().answering)
            };
            let given = given.or_else(longest)?;
            given.end.cancel();
            let id = given.id;
            open.places.remove(&id);
        }
        open.next += 1;
        let id = open.next;
        let state = State { moved: now, head: Some(now), ordered: true, answers: 0, answering: now };
        let place = Arc::new(Place { id, end: CancellationToken::new(), state: Mutex::new(state) });
        open.places.insert(id, Arc::clone(&place));
        Some(Entered { connections: Arc::clone(self), place })
    }

    /// Ends those that take too long.
    pub(super) fn look(&self) {
        let now = Instant::now();
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for place in open.places.values().filter(|place| place.state().is_overdue(now)) {
            place.end.cancel();
        }
    }
}

impl Place {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, act: impl FnOnce(&mut State, Instant)) {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }

    /// A request's head has come whole; its answer is under way until the value goes.
    pub(super) fn answer(self: &Arc<Self>) -> Answer {
        self.change(|state, now| {
            if state.answers == 0 {
                state.answering = now;
            }
            state.answers += 1;
            state.head = None;
        });
        Answer(Arc::clone(self))
    }

    /// It ends at once, with whatever is under way on it.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// It speaks HTTP/2, where heads and answers mix.
    pub(super) fn multiplexed(&self) {
        self.change(|state, _| (state.ordered, state.head) = (false, None));
    }
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    connections: Arc<Connections>,
    pub(super) place: Arc<Place>,
}

impl Entered {
    /// Ready when it has to end.
    pub(super) async fn ended(&self) {
        self.place.end.cancelled().await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.0.lock().unwrap_or_else(PoisonError::into_inner).places.remove(&self.place.id);
    }
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Answer(Arc<Place>);

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.change(|state, _| state.answers -= 1);
    }
}

/// A stream whose every byte is noticed.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    place: Arc<Place>,
    /// Read already, and not yet by whom it is for.
    ahead: Option<u8>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, place: Arc<Place>) -> Self {
        Self { stream, place, ahead: None }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.place.change(|state, now| state.moved = now);
        }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// The first byte, which stays to be read; `None` where there is none.
    pub(super) async fn first(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let mut into = ReadBuf::new(&mut byte);
        poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut into)).await?;
        self.ahead = into.filled().first().copied();
        Ok(self.ahead)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(byte) = self.ahead.take() {
            into.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.place.change(|state, now| {
                // What comes while an answer is under way is the next request's, or no matter; it must not keep a stalled answer alive.
                if state.answers == 0 {
                    state.moved = now;
                    if state.ordered && state.head.is_none() {
                        state.head = Some(now);
                    }
                }
            });
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn ended(entered: &Entered) -> bool {
        entered.place.end.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_long_is_ended() {
        let connections = Arc::new(Connections::default());
        let (silent, idle, slow, stalled) =
            (connections.enter(), connections.enter(), connections.enter(), connections.enter());
        let [silent, idle, slow, stalled] = [silent, idle, slow, stalled].map(Option::unwrap);
        drop(idle.place.answer());
        let (_slow, _stalled) = (slow.place.answer(), stalled.place.answer());
        let mut ends = Vec::new();
        for second in 1..=IDLE.as_secs() {
            advance(Duration::from_secs(1)).await;
            // One takes a byte a second, the other none.
            Watched::new((), Arc::clone(&slow.place)).wrote(&Poll::Ready(Ok(1)));
            connections.look();
            for (name, entered) in
                [("silent", &silent), ("idle", &idle), ("slow", &slow), ("stalled", &stalled)]
            {
                if ended(entered) && !ends.iter().any(|(before, _)| *before == name) {
                    ends.push((name, second));
                }
            }
        }
        assert_eq!(ends, [("silent", 10), ("stalled", 30), ("slow", 120), ("idle", 180)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_one_takes_the_place_of_the_one_that_was_quiet_longest() {
        let connections = Arc::new(Connections::default());
        let mut open: Vec<Entered> = (0..MOST).map(|_| connections.enter().unwrap()).collect();
        let answers: Vec<Answer> = open.iter().skip(1).map(|entered| entered.place.answer()).collect();
        // The only one that is idle goes first, however fresh.
        open.push(connections.enter().unwrap());
        assert_eq!(open.iter().map(ended).position(|ended| ended), Some(0));
        let new = open.last().unwrap().place.answer();
        // All are busy.
        assert!(connections.enter().is_none());
        advance(BUSY).await;
        Watched::new((), Arc::clone(&open[1].place)).wrote(&Poll::Ready(Ok(1)));
        open.push(connections.enter().unwrap());
        let ends: Vec<usize> = (0..open.len()).filter(|n| ended(&open[*n])).collect();
        assert!(ends.len() == 2 && !ends.contains(&1), "{ends:?}");
        drop((answers, new, open));
        assert!(connections.0.lock().unwrap().places.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_busy_for_long_the_longest_answer_gives_way() {
        let connections = Arc::new(Connections::default());
        let mut open: Vec<Entered> = (0..MOST).map(|_| connections.enter().unwrap()).collect();
        let late = 7;
        let mut answers: Vec<Answer> = open.iter().map(|entered| entered.place.answer()).collect();
        let busy = |open: &[Entered]| {
            for entered in open {
                Watched::new((), Arc::clone(&entered.place)).wrote(&Poll::Ready(Ok(1)));
            }
        };
        advance(LONG.checked_sub(Duration::from_millis(1)).unwrap()).await;
        answers.remove(late);
        answers.push(open[late].place.answer());
        busy(&open);
        assert!(connections.enter().is_none());
        advance(Duration::from_millis(1)).await;
        busy(&open);
        for _ in 1..MOST {
            let new = connections.enter().unwrap();
            answers.push(new.place.answer());
            open.push(new);
        }
        // All but the one whose answer is young.
        let stay: Vec<usize> = (0..MOST).filter(|n| !ended(&open[*n])).collect();
        assert_eq!(stay, [late]);
        assert!(connections.enter().is_none());
        drop((answers, open));
        assert!(connections.0.lock().unwrap().places.is_empty());
    }
}
