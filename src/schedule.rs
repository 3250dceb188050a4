//! When a check runs: a fixed grid. Arithmetic only; the caller brings the time.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A grid of start times, `interval` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The first slot.
    first: Timestamp,
    interval: SignedDuration,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The slot to run in.
    pub slot: Timestamp,
    /// Slots between the last one and this one that nobody ran in.
    pub skipped: u64,
}

impl Schedule {
    /// A grid whose first slot is `now`.
    pub fn at_once(now: Timestamp, interval: Duration) -> Self {
        Self { first: now, interval: SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX) }
    }

    /// A grid whose first slot is `now` and a part of min(interval, 60 s) that the name's hash decides: many checks loaded at once don't
    /// start at once, and one check's place is the same after every restart.
    pub fn splayed(now: Timestamp, interval: Duration, name: &str) -> Self {
        let span = interval.min(Duration::from_mins(1));
        // 32 bits of the hash as a fraction of the span.
        let part = u32::try_from(fnv1a(name.as_bytes()) >> 32).unwrap_or(u32::MAX);
        let splay = span.mul_f64(f64::from(part) / f64::from(u32::MAX));
        let splay = SignedDuration::try_from(splay).unwrap_or(SignedDuration::ZERO);
        let mut schedule = Self::at_once(now, interval);
        schedule.first = now.saturating_add(splay).unwrap_or(now);
        schedule
    }

    /// The first slot.
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// The slot after a run that began in `last` and is over `now`: the first one that is not past. Slots that went by meanwhile are
    /// skipped. A clock that was set back by more than an interval starts the count anew.
    pub fn after(&self, last: Timestamp, now: Timestamp) -> Next {
        let went_back = last.duration_since(now) > self.interval;
        let from = if went_back { now } else { last.max(now) };
        let slot = self.slot_after(from);
        let skipped = if went_back {
            0
        } else {
            u64::try_from(slot.duration_since(last).as_nanos() / self.interval.as_nanos().max(1))
                .unwrap_or(0)
                .saturating_sub(1)
        };
        Next { slot, skipped }
    }

    /// The first slot after `time`.
    fn slot_after(&self, time: Timestamp) -> Timestamp {
        let interval = self.interval.as_nanos().max(1);
        let passed = time.duration_since(self.first).as_nanos().div_euclid(interval);
        let nanos = (passed + 1).saturating_mul(interval);
        Timestamp::from_nanosecond(self.first.as_nanosecond().saturating_add(nanos)).unwrap_or(Timestamp::MAX)
    }

    /// Whether a sleeper that was to wake at `slot` should think again, because the clock was set back `now`.
    pub fn is_too_far(&self, slot: Timestamp, now: Timestamp) -> bool {
        slot.duration_since(now) > self.interval + SignedDuration::from_secs(60)
    }
}

/// Fowler–Noll–Vo 1a, 64 bits: stable over versions and machines, unlike the standard library's hasher.
fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its high bits hardly differ for short, similar names: mix them (MurmurHash3's finaliser).
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn every(seconds: u64) -> Schedule {
        Schedule::at_once(at(0), Duration::from_secs(seconds))
    }

    #[test]
    fn slots_stay_on_the_grid_and_missed_ones_are_counted() {
        let grid = every(10);
        assert_eq!(grid.first(), at(0));
        assert_eq!(grid.after(at(0), at(3)), Next { slot: at(10), skipped: 0 });
        assert_eq!(grid.after(at(0), at(10)), Next { slot: at(20), skipped: 1 });
        assert_eq!(grid.after(at(10), at(45)), Next { slot: at(50), skipped: 3 });
        // Started late (it waited for its turn), still on the grid.
        assert_eq!(grid.after(at(10), at(19)), Next { slot: at(20), skipped: 0 });
    }

    #[test]
    fn a_clock_that_jumps_costs_skipped_slots_or_nothing() {
        let grid = every(60);
        assert_eq!(grid.after(at(60), at(3_661)), Next { slot: at(3_720), skipped: 60 });
        assert_eq!(grid.after(at(3_600), at(30)), Next { slot: at(60), skipped: 0 });
        // Set back by less than an interval: no slot runs twice.
        assert_eq!(grid.after(at(60), at(30)), Next { slot: at(120), skipped: 0 });
        assert!(grid.is_too_far(at(600), at(0)) && !grid.is_too_far(at(60), at(0)));
    }

    #[test]
    fn the_splay_is_stable_and_spread_over_at_most_a_minute() {
        let first =
            |name: &str, interval: u64| Schedule::splayed(at(0), Duration::from_secs(interval), name).first();
        assert_eq!(first("terradiff-prod", 600), first("terradiff-prod", 600));
        let firsts: Vec<Timestamp> = (0..100).map(|n| first(&format!("check-{n}"), 3_600)).collect();
        assert!(firsts.iter().all(|slot| (at(0)..=at(60)).contains(slot)));
        let quarter =
            |n: i64| firsts.iter().filter(|slot| (at(15 * n)..at(15 * n + 15)).contains(slot)).count();
        assert!((0..4).all(|n| quarter(n) > 10), "{:?}", [quarter(0), quarter(1), quarter(2), quarter(3)]);
        assert!(first("a", 2) <= at(2));
    }
}
