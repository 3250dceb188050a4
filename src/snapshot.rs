//! What readers see: every check with its state and its ready lines, immutable, replaced whole.

use crate::board::CheckState;
use crate::check::Check;
use crate::metrics::{Common, Rendered};
use crate::shard::Shard;
use crate::state::Store;
use jiff::Timestamp;
use std::sync::Arc;

/// All checks at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the configuration was loaded.
    pub loaded: Timestamp,
    /// Whether the last attempt to load one was a success.
    pub reloaded: bool,
    /// Which instance this is.
    pub shard: Shard,
    /// Where what is known survives a restart.
    pub store: Option<Arc<Store>>,
    /// The checks.
    pub views: Views,
    /// What scrapes of it have in common.
    pub common: Common,
}

/// One check at one moment.
#[derive(Debug)]
pub struct View {
    /// Its configuration.
    pub check: Arc<Check>,
    /// What is known of it.
    pub state: CheckState,
    /// Its sample lines that change with a run.
    pub run: Arc<Rendered>,
    /// Its sample lines that change while it waits and runs.
    pub live: Rendered,
}

impl Snapshot {
    /// The check of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<View>> {
        let (part, at) = self.views.find(name)?;
        self.views.parts.get(part)?.get(at)
    }
}

/// How many checks a part has.
const PART: usize = 64;

/// Checks in the order of their names, in parts: a copy in which one check is another shares all parts but one.
///
/// There is such a copy at the beginning and the end of each run, and while it waits: among ten thousand checks it would be a list of 80 KB each time.
#[derive(Clone, Debug, Default)]
pub struct Views {
    parts: Vec<Arc<[Arc<View>]>>,
}

impl Views {
    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<View>> + Clone {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The same with this view of one of the checks; nothing else where that is none of them.
    #[must_use]
    pub fn with(&self, view: &Arc<View>) -> Self {
        let mut parts = self.parts.clone();
        if let Some((part, at)) = self.find(&view.check.name) {
            let mut views = parts[part].to_vec();
            views[at] = Arc::clone(view);
            parts[part] = views.into();
        }
        Self { parts }
    }

    /// Which part has the check of that name, and where in it.
    fn find(&self, name: &str) -> Option<(usize, usize)> {
        let after =
            |part: &Arc<[Arc<View>]>| part.first().is_some_and(|view| view.check.name.as_str() <= name);
        let part = self.parts.partition_point(after).checked_sub(1)?;
        let at = self.parts.get(part)?.binary_search_by(|view| view.check.name.as_str().cmp(name)).ok()?;
        Some((part, at))
    }
}

/// Of views that come in the order of their names.
impl FromIterator<Arc<View>> for Views {
    fn from_iter<I: IntoIterator<Item = Arc<View>>>(views: I) -> Self {
        let views: Vec<Arc<View>> = views.into_iter().collect();
        Self { parts: views.chunks(PART).map(Arc::from).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;

    fn names(views: &Views) -> Vec<&str> {
        views.iter().map(|view| view.check.name.as_str()).collect()
    }

    #[test]
    fn a_copy_has_the_other_view_and_shares_all_parts_but_one() {
        for count in [0, 1, PART - 1, PART, PART + 1, 3 * PART + 5] {
            let checks = (0..count).map(|n| Check::recorded(&format!("c{n:04}"))).collect();
            let board = Board::new(checks, Timestamp::UNIX_EPOCH);
            let snapshot = board.snapshot();
            let want: Vec<String> = (0..count).map(|n| format!("c{n:04}")).collect();
            assert_eq!(
                (names(&snapshot.views), snapshot.views.len()),
                (want.iter().map(String::as_str).collect(), count)
            );
            assert_eq!(snapshot.views.is_empty(), count == 0);
            for name in &want {
                assert_eq!(&snapshot.get(name).unwrap().check.name, name);
                board.scheduled(name, Some(Timestamp::MAX), None);
                let next = board.snapshot();
                assert_eq!(names(&next.views), want);
                let other =
                    |(a, b): (&Arc<View>, &Arc<View>)| (!Arc::ptr_eq(a, b)).then(|| a.check.name.clone());
                let others: Vec<String> =
                    snapshot.views.iter().zip(next.views.iter()).filter_map(other).collect();
                assert!(others.contains(name), "{name}");
            }
            for name in ["", "c", "c0000x", "d"] {
                assert!(snapshot.get(name).is_none(), "{name}");
            }
            let Some(view) = snapshot.views.iter().next() else { continue };
            let copy = snapshot.views.with(view);
            let shared = copy.parts.iter().zip(&snapshot.views.parts).filter(|(a, b)| Arc::ptr_eq(a, b));
            assert_eq!(shared.count(), copy.parts.len() - 1);
        }
    }
}
