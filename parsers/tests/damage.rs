//! No damage to a drifted output makes it read as clean: cut anywhere, a line lost, a bit flipped, with the tool's own exit code.
//!
//! Every cut, line and bit of an output or file up to [`EXHAUSTIVE`] bytes; [`SAMPLES`] of each, seeded, of a larger one. Where a format has
//! a single witness, damage to it can't be seen: those places are in [`SINGLE`], and docs/parsers.md says so to people.

mod support;

use driftrun_parsers::Verdict;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use support::{Fixture, fixtures};

/// Bytes up to which nothing is left out.
const EXHAUSTIVE: usize = 8 << 10;

/// How many of each kind of damage a larger output gets.
const SAMPLES: usize = 20_000;

/// Fixture, kind of damage and reason of what nothing else in the output speaks of.
const SINGLE: &[(&str, Damage, &str)] = &[];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Cut,
    LostLine,
    FlippedBit,
}

/// Which bytes of a run are damaged.
#[derive(Clone, Copy)]
enum Of {
    Stdout,
    File(usize),
}

impl Of {
    fn bytes(self, fixture: &Fixture) -> &[u8] {
        match self {
            Self::Stdout => &fixture.stdout,
            Self::File(n) => &fixture.files[n].1,
        }
    }

    fn reads_clean(self, fixture: &Fixture, damaged: &[u8]) -> bool {
        let reading = match self {
            Self::Stdout => fixture.read(damaged),
            Self::File(n) => fixture.read_with(&fixture.stdout, Some((n, damaged))),
        };
        reading.verdict() == Verdict::Clean
    }
}

/// Positions below `count`: all of them, or [`SAMPLES`] that are the same in every run.
fn positions(count: usize, exhaustive: bool) -> Vec<usize> {
    if exhaustive || count <= SAMPLES {
        return (0..count).collect();
    }
    // xorshift64*: this is about spread, not secrecy.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    (0..SAMPLES).map(|_| usize::try_from(next() % count as u64).unwrap()).collect()
}

/// Calls `clean` for every damage that reads as clean; returns how many were tried.
fn damage(fixture: &Fixture, of: Of, mut clean: impl FnMut(Damage, usize)) -> u64 {
    let bytes = of.bytes(fixture).to_vec();
    let exhaustive = bytes.len() <= EXHAUSTIVE;
    let mut tried = 0;
    let mut see = |kind, at, damaged: &[u8]| {
        tried += 1;
        if of.reads_clean(fixture, damaged) {
            clean(kind, at);
        }
    };
    for at in positions(bytes.len(), exhaustive) {
        see(Damage::Cut, at, &bytes[..at]);
    }
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    let begins: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
    for line in positions(ends.len(), exhaustive) {
        let damaged = [&bytes[..begins[line]], &bytes[ends[line]..]].concat();
        see(Damage::LostLine, line + 1, &damaged);
    }
    let mut damaged = bytes;
    for bit in positions(damaged.len() * 8, exhaustive) {
        damaged[bit / 8] ^= 1 << (bit % 8);
        see(Damage::FlippedBit, bit, &damaged);
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    tried
}

#[test]
fn no_damage_to_a_drifted_output_reads_as_clean() {
    let all = fixtures();
    let drifted: Vec<&Fixture> = all
        .iter()
        .filter(|fixture| {
            matches!(fixture.read(&fixture.stdout).verdict(), Verdict::Drifted | Verdict::Partial)
        })
        .collect();
    assert!(drifted.len() > 30, "{} drifted fixtures", drifted.len());
    let work: Vec<(&Fixture, Of)> = drifted
        .iter()
        .flat_map(|fixture| {
            std::iter::once(Of::Stdout).chain((0..fixture.files.len()).map(Of::File)).map(|of| (*fixture, of))
        })
        .collect();
    let (next, tried, found) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((fixture, of)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let n = damage(fixture, *of, |kind, at| {
                        found.lock().unwrap().push((fixture.name(), kind, at));
                    });
                    tried.fetch_add(n, Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let known =
        |name: &str, kind| SINGLE.iter().any(|(fixture, damage, _)| *fixture == name && *damage == kind);
    let mut unknown: Vec<String> = found
        .iter()
        .filter(|(name, kind, _)| !known(name, *kind))
        .map(|found| format!("{found:?}"))
        .collect();
    unknown.sort();
    for (name, kind, reason) in SINGLE {
        assert!(
            found.iter().any(|(found, damage, _)| found == name && damage == kind),
            "{name} {kind:?} is seen now, take it off the list: {reason}"
        );
    }
    println!(
        "damage: {} readings of {} drifted outputs, {} clean, {} of them where there is one witness only",
        tried.into_inner(),
        drifted.len(),
        found.len(),
        found.len() - unknown.len()
    );
    unknown.truncate(100);
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
