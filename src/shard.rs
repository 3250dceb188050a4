//! Which checks one of several instances has: each check stands on exactly one, whatever the others do.

use crate::check::Check;
use crate::schedule::fnv1a;

/// One of several instances that share a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub ordinal: u32,
    /// How many there are.
    pub total: u32,
}

impl Shard {
    /// The only one.
    pub const ALL: Self = Self { ordinal: 0, total: 1 };

    /// By the command line, else by the number at the end of the host's name, as a `StatefulSet` gives it (`driftrun-2`).
    ///
    /// # Errors
    /// For people: what is missing or impossible.
    pub fn new(ordinal: Option<u32>, total: Option<u32>, host: &str) -> Result<Self, String> {
        let Some(total) = total else {
            return match ordinal {
                None => Ok(Self::ALL),
                Some(_) => Err("--shard.index needs --shard.total, the number of all instances".to_owned()),
            };
        };
        let by_host = || host.rsplit_once('-').and_then(|(_, end)| end.parse().ok());
        let ordinal = match ordinal.or_else(by_host) {
            Some(ordinal) => ordinal,
            None if total == 1 => 0,
            None => {
                return Err(format!(
                    "--shard.total needs --shard.index: the host's name {host:?} ends in no number"
                ));
            }
        };
        if ordinal < total {
            Ok(Self { ordinal, total })
        } else {
            Err(format!("shard {ordinal} of {total}: the index goes from 0 to one less than the total"))
        }
    }

    /// Whether it has the check of that name. By rendezvous: each instance throws a number for the name, and the highest has it, so that another
    /// instance takes its share from all and nothing else moves.
    pub fn has(&self, name: &str) -> bool {
        let thrown = |ordinal: u32| mixed(fnv1a(format!("{ordinal}/{name}").as_bytes()));
        (0..self.total).max_by_key(|ordinal| thrown(*ordinal)) == Some(self.ordinal)
    }

    /// The checks that it has.
    pub fn of(&self, checks: Vec<Check>) -> Vec<Check> {
        if self.total == 1 { checks } else { checks.into_iter().filter(|c| self.has(&c.name)).collect() }
    }
}

/// Makes each bit of a hash one of all its bits (`MurmurHash3`'s end). The last letters of a name hardly come to the upper bits of FNV-1a, by which the highest is found:
/// `app-1` to `app-9` would stand on one instance.
fn mixed(mut hash: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_stands_on_one_shard_and_few_move() {
        let names: Vec<String> = (0..2_000).map(|n| format!("terradiff-{n}")).collect();
        let on = |total: u32| -> Vec<u32> {
            let shards: Vec<Shard> = (0..total).map(|ordinal| Shard { ordinal, total }).collect();
            let mut all = Vec::new();
            for name in &names {
                let having: Vec<u32> =
                    shards.iter().filter(|shard| shard.has(name)).map(|shard| shard.ordinal).collect();
                assert_eq!(having.len(), 1, "{name}");
                all.extend(having);
            }
            all
        };
        for total in [2, 3, 7] {
            let (before, after) = (on(total), on(total + 1));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            // Those that moved are on the new one.
            assert_eq!(moved, after.iter().filter(|on| **on == total).count());
            let share = names.len() / (total as usize + 1);
            assert!(moved < share + share / 4 && moved > share - share / 4, "{moved} of {share}");
        }
        // The same on every machine and in every version.
        let first: Vec<u32> = on(3).into_iter().take(8).collect();
        assert_eq!(first, [0, 1, 0, 2, 2, 1, 1, 2]);
    }

    #[test]
    fn names_that_differ_in_their_ends_alone_are_spread_too() {
        let shares = |total: u32, names: &[String]| -> Vec<usize> {
            let shards = (0..total).map(|ordinal| Shard { ordinal, total });
            shards.map(|shard| names.iter().filter(|name| shard.has(name)).count()).collect()
        };
        for (total, count, least) in [(2, 10, 2), (3, 20, 3), (4, 100, 15), (8, 1_000, 95)] {
            for stem in ["c", "app-", "kubediff-prod-", "a-much-longer-name-of-a-workspace.prod.eu-west-1_"] {
                let names: Vec<String> = (0..count).map(|n| format!("{stem}{n}")).collect();
                let shares = shares(total, &names);
                assert!(shares.iter().all(|share| *share >= least), "{stem}: {shares:?}");
            }
        }
    }

    #[test]
    fn the_number_is_given_or_the_hosts() {
        assert_eq!(Shard::new(None, None, "driftrun-2"), Ok(Shard::ALL));
        assert_eq!(Shard::new(None, Some(3), "driftrun-2"), Ok(Shard { ordinal: 2, total: 3 }));
        assert_eq!(Shard::new(Some(1), Some(3), "driftrun-2"), Ok(Shard { ordinal: 1, total: 3 }));
        assert_eq!(Shard::new(None, Some(1), "laptop"), Ok(Shard::ALL));
        for (ordinal, total, host, what) in [
            (Some(1), None, "", "needs --shard.total"),
            (None, Some(3), "laptop", "ends in no number"),
            (None, Some(2), "driftrun-2", "shard 2 of 2"),
        ] {
            assert!(Shard::new(ordinal, total, host).unwrap_err().contains(what), "{what}");
        }
    }
}
