//! Lines about what strangers do: one a minute, however often they do it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_mins(1);

/// When something was told last, and how often it has happened since.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It has happened again. How often since it was told last, this time among them, where it is time to tell.
    pub(super) fn again(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.untold += 1;
        let now = Instant::now();
        if told.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_and_the_rest_is_counted() {
        let seldom = Seldom::default();
        let mut told = Vec::new();
        for _ in 0..130 {
            told.extend(seldom.again());
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(told, [1, 60, 60]);
    }
}
