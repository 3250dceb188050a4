//! How many requests are answered: a token bucket as `golang.org/x/time/rate` has it, so that a configuration means the same here.

use crate::config::web::RateLimit;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// `burst` tokens, one more each `interval`; a request takes one.
#[derive(Debug)]
pub struct Limiter {
    limit: RateLimit,
    /// The time that is owed: a full bucket owes none, each token taken adds an interval, and time takes it away.
    debt: Mutex<Debt>,
}

#[derive(Debug)]
struct Debt {
    /// Nanoseconds, as wide as the longest interval times the largest burst needs.
    owed: u128,
    since: Instant,
}

impl Limiter {
    /// A full bucket.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, debt: Mutex::new(Debt { owed: 0, since: Instant::now() }) }
    }

    /// What it was made of.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whether a request may be answered now; it is counted then.
    #[must_use]
    pub fn allow(&self) -> bool {
        let RateLimit { interval, burst } = self.limit;
        let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        debt.owed = debt.owed.saturating_sub(now.saturating_duration_since(debt.since).as_nanos());
        debt.since = now;
        let owed = debt.owed + interval.as_nanos();
        let allowed = owed <= interval.as_nanos() * u128::from(burst);
        if allowed {
            debt.owed = owed;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limiter(interval: Duration, burst: u32) -> Limiter {
        Limiter::new(RateLimit { interval, burst })
    }

    /// How many of a hundred requests at one moment are let in.
    fn allowed(limiter: &Limiter) -> usize {
        (0..100).filter(|_| limiter.allow()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_one_each_interval() {
        let limiter = limiter(Duration::from_secs(2), 3);
        assert_eq!((allowed(&limiter), allowed(&limiter)), (3, 0));
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert_eq!(allowed(&limiter), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(allowed(&limiter), 1);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(allowed(&limiter), 2, "two tokens, and half of one");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(allowed(&limiter), 1, "the half that was left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_stays_as_full_as_it_is() {
        let limiter = limiter(Duration::from_millis(10), 5);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!((allowed(&limiter), allowed(&limiter)), (5, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_takes_no_token() {
        let limiter = limiter(Duration::from_secs(1), 1);
        assert_eq!(allowed(&limiter), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(allowed(&limiter), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_interval_is_no_limit_and_the_longest_doesn_t_overflow() {
        assert_eq!(allowed(&limiter(Duration::ZERO, 1)), 100);
        assert_eq!(allowed(&limiter(Duration::MAX, u32::MAX)), 100);
        assert_eq!(allowed(&limiter(Duration::MAX, 1)), 1);
    }
}
