//! The body of an answer: ready bytes, in pieces, of a known length; or events, as they come.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What is handed over at once. An answer is under way as long as pieces are left: most of a large one should not be out of hand at once.
const AT_ONCE: usize = 256 << 10;

/// Pieces that are sent one after another, none of them copied.
#[derive(Debug, Default)]
pub struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Bytes that are left to send.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, and `what` is dropped when nobody has any of its bytes any more, wherever they are on their way.
    pub(super) fn keeping<T: Send + Sync + 'static>(self, what: T) -> Self {
        let what = Arc::new(what);
        let keep = |bytes| Bytes::from_owner(Keeping { bytes, _what: Arc::clone(&what) });
        Self(self.0.into_iter().map(keep).collect())
    }

    /// The rest in one piece.
    pub fn concat(self) -> Vec<u8> {
        Vec::from(self.0).concat()
    }
}

/// What an answer consists of.
#[derive(Debug)]
pub(super) enum Sent {
    /// Of a known length.
    Pieces(Pieces),
    /// As they come.
    Events(mpsc::Receiver<Bytes>),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Pieces(pieces) => Pin::new(pieces).poll_frame(cx),
            Self::Events(events) => {
                events.poll_recv(cx).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Pieces(pieces) => pieces.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Pieces(pieces) => pieces.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

struct Keeping<T> {
    bytes: Bytes,
    _what: Arc<T>,
}

impl<T> AsRef<[u8]> for Keeping<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        vec![bytes].into()
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self(pieces.into())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.0.front_mut() {
            Some(piece) if piece.len() > AT_ONCE => Some(piece.split_to(AT_ONCE)),
            _ => self.0.pop_front(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
