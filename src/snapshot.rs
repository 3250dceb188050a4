//! What readers see: every check with its state and its ready lines, immutable, replaced whole.

use crate::board::CheckState;
use crate::check::Check;
use crate::metrics::Rendered;
use jiff::Timestamp;
use std::sync::Arc;

/// All checks at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// When the configuration was loaded.
    pub loaded: Timestamp,
    /// In the order of their names.
    pub views: Vec<Arc<View>>,
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
        self.views.iter().find(|view| view.check.name == name)
    }
}
