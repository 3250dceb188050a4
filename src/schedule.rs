//! When a check runs: a fixed grid, or a crontab's times. Arithmetic only; the caller brings the time.

use crate::check::Check;
use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How far ahead the longest gap between two times of a crontab is looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Of a crontab with very many times, so many are looked at: enough for five days of one a minute in working hours.
const MANY: usize = 3_500;

/// Times of the day as a crontab writes them, such as `15 6 * * 1-5 Europe/Berlin`; UTC without a zone.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    table: Crontab,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Cron {
    /// Reads five fields and, where there is one, a time zone's name. `H` in a field is a value that the hash of `name` decides.
    ///
    /// # Errors
    /// What is wrong and what to write instead, as a lowercase fragment.
    pub fn new(text: &str, name: &str, now: Timestamp) -> Result<Self, String> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        options.hashed_value = Some(fnv1a(name.as_bytes()));
        let table = cronexpr::parse_crontab_with(text, options).map_err(|error| {
            // The library draws the place below the text; one line is enough for one line.
            let error = error.to_string();
            let drawn = error.lines().last().unwrap_or_default();
            let what = drawn.trim_start().trim_start_matches('^').trim_start();
            let what = what.split(';').next().filter(|_| what.contains("time zone")).unwrap_or(what);
            format!("{text:?} is no crontab: {what}; write minute, hour, day, month, weekday and a time zone, as in \"15 6 * * 1-5 Europe/Berlin\"")
        })?;
        let cron = Self { text: text.to_owned(), table };
        if cron.after(now) == Timestamp::MAX {
            return Err(format!("{text:?} never comes within four years: no month has such a day"));
        }
        Ok(cron)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first of its times after `time`.
    fn after(&self, time: Timestamp) -> Timestamp {
        // The library looks four years ahead, and there must be years to look at.
        let known = time.duration_since(Timestamp::MAX) < SignedDuration::from_hours(-10 * 366 * 24);
        if !known {
            return Timestamp::MAX;
        }
        self.table.find_next(MakeTimestamp(time)).map_or(Timestamp::MAX, |next| next.timestamp())
    }

    /// The longest gap between two of its times in the eight days after `now`, or until the first one behind them.
    fn longest_gap(&self, now: Timestamp) -> SignedDuration {
        let mut before = self.after(now);
        let end = before.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let mut longest = SignedDuration::ZERO;
        for _ in 0..MANY {
            let next = self.after(before);
            if next == Timestamp::MAX {
                break;
            }
            longest = longest.max(next.duration_since(before));
            if next >= end {
                break;
            }
            before = next;
        }
        longest
    }
}

/// The times at which one check starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    slots: Slots,
    /// The first slot.
    first: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
enum Slots {
    /// So far apart, counted from the first.
    Grid(SignedDuration),
    /// So much after each time of the crontab.
    Cron(Box<Cron>, SignedDuration),
}

impl Schedule {
    /// A grid whose first slot is `now`.
    pub fn at_once(now: Timestamp, interval: Duration) -> Self {
        Self { slots: Slots::Grid(signed(interval)), first: now }
    }

    /// The schedule of a check that is loaded `now`.
    ///
    /// A grid begins after a part of the check's splay, which is at most the interval and 60 s unless the check says otherwise, and a crontab's times are that much
    /// later, where the check names a splay. The name's hash decides which part: many checks loaded at once don't start at once, and one check's
    /// place is the same after every restart.
    pub fn of(check: &Check, now: Timestamp) -> Self {
        let splay = match (check.splay, &check.cron) {
            (Some(splay), _) => splay,
            (None, Some(_)) => Duration::ZERO,
            (None, None) => check.interval.min(Duration::from_mins(1)),
        };
        // 32 bits of the hash as a fraction of it.
        let part = u32::try_from(fnv1a(check.name.as_bytes()) >> 32).unwrap_or(u32::MAX);
        let late = signed(splay.mul_f64(f64::from(part) / f64::from(u32::MAX)));
        let slots = match &check.cron {
            Some(cron) => Slots::Cron(Box::new(cron.clone()), late),
            None => Slots::Grid(signed(check.interval)),
        };
        let mut schedule = Self { slots, first: now.saturating_add(late).unwrap_or(now) };
        if check.cron.is_some() {
            schedule.first = schedule.after(now);
        }
        schedule
    }

    /// The same slots for a check whose configuration has changed `now`, if its times have not.
    #[must_use]
    pub fn kept_for(&self, check: &Check, now: Timestamp) -> Self {
        let fresh = Self::of(check, now);
        if fresh.slots == self.slots { self.clone() } else { fresh }
    }

    /// No slot before `time`: what is known is younger than one interval.
    #[must_use]
    pub fn not_before(mut self, time: Timestamp) -> Self {
        if self.first < time {
            self.first = match &self.slots {
                Slots::Grid(_) => time,
                Slots::Cron(..) => self.after(time),
            };
        }
        self
    }

    /// The first slot.
    pub const fn first(&self) -> Timestamp {
        self.first
    }

    /// The first slot after `time`.
    pub fn after(&self, time: Timestamp) -> Timestamp {
        match &self.slots {
            Slots::Grid(interval) => {
                let interval = interval.as_nanos().max(1);
                let passed = time.duration_since(self.first).as_nanos().div_euclid(interval);
                let nanos = (passed + 1).saturating_mul(interval).saturating_add(self.first.as_nanosecond());
                Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
            }
            Slots::Cron(cron, late) => {
                let time = time.saturating_sub(*late).unwrap_or(time);
                cron.after(time).saturating_add(*late).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The slot after the run of `slot`, which is over `now`: the first one that is not past. A clock that was set back by less than an interval runs no slot
    /// twice; by more, it starts anew.
    pub fn next(&self, slot: Timestamp, now: Timestamp) -> Timestamp {
        if self.is_too_far(slot, now) { self.after(now) } else { self.after(slot.max(now)) }
    }

    /// How many slots stand after `from` and not after `to`: those went by.
    pub fn passed(&self, from: Timestamp, to: Timestamp) -> u64 {
        if to <= from {
            return 0;
        }
        match &self.slots {
            Slots::Grid(interval) => {
                let number = |time: Timestamp| {
                    time.duration_since(self.first).as_nanos().div_euclid(interval.as_nanos().max(1))
                };
                u64::try_from(number(to) - number(from)).unwrap_or_default()
            }
            Slots::Cron(..) => {
                let (mut slot, mut count) = (self.after(from), 0);
                // A year of minutes is more than anybody sleeps through.
                while slot <= to && count < 600_000 {
                    count += 1;
                    slot = self.after(slot);
                }
                count
            }
        }
    }

    /// Whether a sleeper that was to wake at `slot` should think again, because the clock was set back `now`: another slot would come before it.
    pub fn is_too_far(&self, slot: Timestamp, now: Timestamp) -> bool {
        let later = now.saturating_add(SignedDuration::from_secs(60)).unwrap_or(now);
        match &self.slots {
            // The first may be put off for longer than that.
            Slots::Grid(interval) => slot != self.first && slot.duration_since(later) > *interval,
            Slots::Cron(..) => slot != Timestamp::MAX && self.after(self.after(later)) <= slot,
        }
    }

    /// The longest time between two starts that is to be expected `now`.
    pub fn interval(&self, now: Timestamp) -> Duration {
        let interval = match &self.slots {
            Slots::Grid(interval) => *interval,
            Slots::Cron(cron, _) => cron.longest_gap(now),
        };
        Duration::try_from(interval).unwrap_or_default()
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Fowler–Noll–Vo 1a, 64 bits: stable over versions and machines, unlike the standard library's hasher.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
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
        let after = |slot, now| (grid.next(slot, now), grid.passed(slot, now));
        assert_eq!(after(at(0), at(3)), (at(10), 0));
        assert_eq!(after(at(0), at(10)), (at(20), 1));
        assert_eq!(after(at(10), at(45)), (at(50), 3));
        // Started late (it waited for its turn), still on the grid.
        assert_eq!(after(at(10), at(19)), (at(20), 0));
    }

    #[test]
    fn a_clock_that_jumps_costs_skipped_slots_or_nothing() {
        let grid = every(60);
        let after = |slot, now| (grid.next(slot, now), grid.passed(slot, now));
        assert_eq!(after(at(60), at(3_661)), (at(3_720), 60));
        assert_eq!(after(at(3_600), at(30)), (at(60), 0));
        // Set back by less than an interval: no slot runs twice.
        assert_eq!(after(at(60), at(30)), (at(120), 0));
        assert!(grid.is_too_far(at(600), at(0)) && !grid.is_too_far(at(60), at(0)));
    }

    /// A check that is loaded at second 0.
    fn check(name: &str, interval: u64) -> Check {
        Check { interval: Duration::from_secs(interval), ..Check::recorded(name) }
    }

    #[test]
    fn the_splay_is_stable_and_spread_over_at_most_a_minute() {
        let first = |name: &str, interval: u64| Schedule::of(&check(name, interval), at(0)).first();
        assert_eq!(first("terradiff-prod", 600), first("terradiff-prod", 600));
        let firsts: Vec<Timestamp> = (0..100).map(|n| first(&format!("check-{n}"), 3_600)).collect();
        assert!(firsts.iter().all(|slot| (at(0)..=at(60)).contains(slot)));
        let quarter =
            |n: i64| firsts.iter().filter(|slot| (at(15 * n)..at(15 * n + 15)).contains(slot)).count();
        assert!((0..4).all(|n| quarter(n) > 10), "{:?}", [quarter(0), quarter(1), quarter(2), quarter(3)]);
        assert!(first("a", 2) <= at(2));
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(text: &str) -> Schedule {
        let now = time("2026-11-28T13:00:00Z");
        let cron = Cron::new(text, "nightly", now).unwrap();
        Schedule::of(&Check { cron: Some(cron), ..Check::recorded("nightly") }, now)
    }

    #[test]
    fn a_crontab_has_a_time_zone_and_its_gaps() {
        let hours = |schedule: &Schedule, now: &str| schedule.interval(time(now)).as_secs() / 3_600;
        let berlin = cron("15 6 * * 1-5 Europe/Berlin");
        assert_eq!(berlin.first(), time("2026-11-30T05:15:00Z"));
        // The weekend.
        assert_eq!(hours(&berlin, "2026-11-30T06:00:00Z"), 72);
        assert_eq!(berlin.after(time("2027-03-26T06:00:00Z")), time("2027-03-29T04:15:00Z"));
        assert_eq!(hours(&cron("0 3 1 * *"), "2026-11-28T13:00:00Z"), 31 * 24);
        assert_eq!(cron("* * * * *").interval(at(0)), Duration::from_mins(1));
        assert_eq!(hours(&cron("* 8-17 * * 1-5"), "2026-11-30T06:00:00Z"), 62);
        // A time that the clock leaves out is left out, and one that comes twice comes twice.
        let night = cron("30 2 * * * Europe/Berlin");
        assert_eq!(night.after(time("2027-03-27T12:00:00Z")), time("2027-03-29T00:30:00Z"));
        assert_eq!((hours(&night, "2027-03-26T06:00:00Z"), hours(&night, "2027-04-01T06:00:00Z")), (47, 24));
        assert_eq!(night.passed(time("2026-10-24T12:00:00Z"), time("2026-10-25T12:00:00Z")), 2);
    }

    #[test]
    fn slots_of_a_crontab_pass_and_clocks_are_set_back() {
        let hourly = cron("0 * * * *");
        let (one, five) = (time("2026-11-28T01:00:00Z"), time("2026-11-28T05:30:00Z"));
        assert_eq!((hourly.passed(one, five), hourly.passed(five, one)), (4, 0));
        assert_eq!(hourly.next(one, five), time("2026-11-28T06:00:00Z"));
        assert_eq!(hourly.next(five, one), time("2026-11-28T02:00:00Z"));
        assert!(hourly.is_too_far(five, one) && !hourly.is_too_far(time("2026-11-28T02:00:00Z"), one));
        // Every check has its own `H`, and a splay puts all of its times off.
        let of = |name: &str| {
            let cron = Cron::new("H H * * *", name, at(0)).unwrap();
            Schedule::of(&Check { cron: Some(cron), ..Check::recorded(name) }, at(0)).first()
        };
        assert_ne!(of("a"), of("b"));
        let cron = Some(Cron::new("0 * * * *", "a", at(0)).unwrap());
        let late = Check { cron, splay: Some(Duration::from_mins(30)), ..Check::recorded("a") };
        let late = Schedule::of(&late, one);
        let by = late.first().duration_since(one);
        assert!(by < SignedDuration::from_mins(30) && by > SignedDuration::ZERO, "{by}");
        assert_eq!(late.after(late.first()).duration_since(late.first()), SignedDuration::from_hours(1));
    }

    /// The library looks four years ahead: the fifth Tuesday of a February comes every 28.
    #[test]
    fn a_crontab_whose_times_end_is_never_due_again() {
        let rare = cron("0 0 * 2 2#5");
        let last = time("2028-02-29T00:00:00Z");
        assert_eq!((rare.first(), rare.after(last)), (last, Timestamp::MAX));
        assert_eq!(rare.interval(last), Duration::ZERO);
        assert!(!rare.is_too_far(Timestamp::MAX, last));
        assert_eq!(
            (rare.next(Timestamp::MAX, last), rare.passed(last, time("2030-01-01T00:00:00Z"))),
            (Timestamp::MAX, 0)
        );
    }

    #[test]
    fn a_crontab_that_is_none_says_why() {
        let wrong = |text: &str| Cron::new(text, "a", at(0)).unwrap_err();
        let how =
            "; write minute, hour, day, month, weekday and a time zone, as in \"15 6 * * 1-5 Europe/Berlin\"";
        assert_eq!(
            wrong("61 * * * *"),
            format!("\"61 * * * *\" is no crontab: value must be in range 0..=59; found 61{how}")
        );
        assert_eq!(
            wrong("0 6 * * * Europe/Berln"),
            format!("\"0 6 * * * Europe/Berln\" is no crontab: failed to find timezone Europe/Berln{how}")
        );
        assert!(wrong("@daily").contains("is no crontab"), "{}", wrong("@daily"));
        assert_eq!(
            wrong("0 6 30 2 *"),
            "\"0 6 30 2 *\" never comes within four years: no month has such a day"
        );
    }
}
