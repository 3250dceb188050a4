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
    /// In the order of their names.
    pub views: Vec<Arc<View>>,
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
        let at = self.views.binary_search_by(|view| view.check.name.as_str().cmp(name)).ok()?;
        self.views.get(at)
    }
}
