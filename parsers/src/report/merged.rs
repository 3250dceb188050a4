//! Findings in the order of their identities, each identity once.

use super::{Resource, Source};
use std::collections::BTreeMap;

/// Sorted by identity, equal ones merged in their order.
pub(super) fn merged(mut resources: Vec<Resource>) -> Vec<Resource> {
    if resources.is_sorted_by(|a, b| a.identity() < b.identity()) {
        return resources;
    }
    let order = order(&resources);
    arrange(&mut resources, order);
    resources.dedup_by(|resource, before| {
        // Most names differ, and most places don't.
        let same = resource.name == before.name && resource.place() == before.place();
        if same {
            before.merge(resource);
        }
        same
    });
    resources
}

/// The findings of a [`Resource::place`].
#[derive(Clone, Copy)]
struct Group<'a> {
    number: u32,
    /// What all names begin with.
    alike: &'a [u8],
}

/// The findings in the order of their identities, equal ones in their own.
///
/// Hundreds of thousands of findings, in an order of their own and with names that begin alike, take longer to sort than to read if each
/// comparison looks at four strings somewhere in memory. So numbers are sorted: the place of source, scope and kind, of which there
/// are few, the first bytes of the name in which any two names of the place differ, and the number of the finding.
fn order(resources: &[Resource]) -> Vec<Rank> {
    let runs: Vec<&[Resource]> = resources.chunk_by(|a, b| a.place() == b.place()).collect();
    let mut groups: BTreeMap<(Source, &str, &str), Group<'_>> = BTreeMap::new();
    for run in &runs {
        let Some(first) = run.first() else { continue };
        let group = groups.entry(first.place()).or_insert(Group { number: 0, alike: first.name.as_bytes() });
        group.alike = run.iter().fold(group.alike, |alike, resource| both(alike, resource.name.as_bytes()));
    }
    for (number, group) in (0..).zip(groups.values_mut()) {
        group.number = number;
    }
    let mut order: Vec<Rank> = Vec::with_capacity(resources.len());
    let mut numbers = 0_u32..;
    for run in runs {
        let Some(group) = run.first().and_then(|first| groups.get(&first.place())) else { continue };
        for (resource, number) in run.iter().zip(&mut numbers) {
            let name = resource.name.as_bytes().get(group.alike.len()..).unwrap_or_default();
            order.push(Rank::new(group.number, head(name), number));
        }
    }
    order.sort_unstable();
    let name = |rank: Rank| resources.get(rank.finding()).map(|resource| &resource.name);
    for same in order.chunk_by_mut(|a, b| a.begins_as(*b)).filter(|same| same.len() > 1) {
        same.sort_unstable_by(|a, b| name(*a).cmp(&name(*b)).then(a.cmp(b)));
    }
    order
}

/// The numbers of a group, of a name's first bytes and of a finding in one: two of them are compared without a branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u128);

impl Rank {
    /// No finding's: there are never so many groups.
    const TAKEN: Self = Self(u128::MAX);

    fn new(group: u32, head: u64, finding: u32) -> Self {
        Self(u128::from(group) << 96 | u128::from(head) << 32 | u128::from(finding))
    }

    fn begins_as(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    fn finding(self) -> usize {
        usize::try_from(self.0 & u128::from(u32::MAX)).unwrap_or(usize::MAX)
    }
}

/// Puts each finding where its number stands in `order`, one circle of exchanges after another: there is no room for all of them twice.
fn arrange(resources: &mut [Resource], mut order: Vec<Rank>) {
    for start in 0..order.len() {
        let mut at = start;
        // What stood at `start` is carried along until its own place is reached.
        while let Some(rank) = order.get_mut(at) {
            let next = std::mem::replace(rank, Rank::TAKEN);
            if next == Rank::TAKEN || next.finding() == start {
                break;
            }
            resources.swap(at, next.finding());
            at = next.finding();
        }
    }
}

/// How many bytes all of them begin with.
pub(crate) fn alike<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> usize {
    names.next().map_or(0, |first| names.fold(first, both).len())
}

/// What two names begin with.
fn both<'a>(alike: &'a [u8], name: &[u8]) -> &'a [u8] {
    if name.starts_with(alike) {
        return alike;
    }
    let both = alike.iter().zip(name).take_while(|(a, b)| a == b).count();
    alike.get(..both).unwrap_or_default()
}

/// The first bytes as a number that compares as they do, except that two may be equal that aren't.
pub(crate) fn head(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(head)
}
