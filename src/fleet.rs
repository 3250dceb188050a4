//! The lives of all checks: started, changed and ended as the configuration says.

use crate::board::Board;
use crate::check::Check;
use crate::outcome::Outcome;
use crate::run::Stop;
use crate::schedule::Schedule;
use crate::supervise::{Clock, Limits, Place, supervise};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Checks that run on their schedules. `run` makes one run.
#[derive(Debug)]
pub struct Fleet<F> {
    board: Arc<Board>,
    limits: Arc<Limits>,
    clock: Clock,
    stop: Stop,
    on: Handle,
    run: F,
    lives: BTreeMap<String, Life>,
    /// Lives that were asked to end; a check that comes back under the same name waits for its own.
    ending: HashMap<String, JoinHandle<()>>,
}

#[derive(Debug)]
struct Life {
    configured: watch::Sender<Arc<Check>>,
    stop: Stop,
    task: JoinHandle<()>,
}

/// How many checks a configuration has added, changed and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Not there before.
    pub added: usize,
    /// There before, and not the same.
    pub changed: usize,
    /// Not there any more.
    pub removed: usize,
}

impl<F, R> Fleet<F>
where
    F: Fn(Arc<Check>, Stop) -> R + Clone + Send + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    /// The checks of `board`, which begin with `first` and live until `stop`, on the runtime `on`.
    pub fn start(
        board: Arc<Board>,
        limits: Arc<Limits>,
        clock: Clock,
        stop: Stop,
        on: Handle,
        run: F,
        first: impl Fn(&Check) -> Schedule,
    ) -> Self {
        let (lives, ending) = (BTreeMap::new(), HashMap::new());
        let mut fleet = Self { board, limits, clock, stop, on, run, lives, ending };
        for check in fleet.board.checks() {
            let schedule = first(&check);
            fleet.begin(check, schedule);
        }
        fleet
    }

    /// Takes in a configuration, whole. A check that is the same goes on untouched; one that runs the same command where it ran goes on and its
    /// run under way counts; for any other the run under way is cancelled and leaves no record.
    pub fn apply(&mut self, checks: Vec<Check>) -> Changes {
        let now = self.clock.now();
        let mut changes = Changes::default();
        let names: BTreeSet<&str> = checks.iter().map(|check| check.name.as_str()).collect();
        let gone: Vec<String> =
            self.lives.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.end(&name);
            changes.removed += 1;
        }
        let mut begun = Vec::new();
        for check in &checks {
            let Some(life) = self.lives.get(&check.name) else {
                changes.added += 1;
                begun.push(Arc::new(check.clone()));
                continue;
            };
            let old = Arc::clone(&life.configured.borrow());
            if *old == *check {
                continue;
            }
            changes.changed += 1;
            if check.runs_like(&old) {
                life.configured.send_replace(Arc::new(check.clone()));
            } else {
                self.end(&check.name);
                begun.push(Arc::new(check.clone()));
            }
        }
        if changes == Changes::default() {
            return changes;
        }
        self.board.replace(checks, now);
        for check in begun {
            let schedule = Schedule::of(&check, now);
            self.begin(check, schedule);
        }
        self.ending.retain(|_, task| !task.is_finished());
        changes
    }

    fn begin(&mut self, check: Arc<Check>, schedule: Schedule) {
        let name = check.name.clone();
        let before = self.ending.remove(&name);
        let place = Place {
            board: Arc::clone(&self.board),
            name: name.as_str().into(),
            limits: Arc::clone(&self.limits),
            clock: self.clock,
        };
        let (configured, receiver) = watch::channel(check);
        let stop = self.stop.child();
        let life = supervise(receiver, schedule, place, stop.clone(), self.run.clone());
        let task = self.on.spawn(async move {
            // Never two runs of one check at once.
            if let Some(before) = before {
                let _ = before.await;
            }
            life.await;
        });
        self.lives.insert(name, Life { configured, stop, task });
    }

    fn end(&mut self, name: &str) {
        if let Some(life) = self.lives.remove(name) {
            life.stop.soft.cancel();
            self.ending.insert(name.to_owned(), life.task);
        }
    }

    /// Waits until every life has ended; somebody else has asked them to.
    pub async fn ended(self) {
        for task in self.ending.into_values().chain(self.lives.into_values().map(|life| life.task)) {
            let _ = task.await;
        }
    }
}
