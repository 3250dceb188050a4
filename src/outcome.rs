//! How a run ended: plain data, nothing judged yet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How one process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// With this code.
    Exited(i32),
    /// By this signal, not sent by driftrun.
    Signalled(i32),
    /// Ended by driftrun because the run's time was over, whatever code it gave then.
    TimedOut,
    /// Ended by driftrun because it stops or the check is gone. Such a run leaves no record.
    Cancelled,
    /// It never ran: why.
    NotStarted(String),
}

/// Which command of a run ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The setup command at this position.
    Setup(usize),
    /// The command itself.
    Command,
    /// The report command after it.
    Report,
}

/// What one stream wrote, as far as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Everything, or the first bytes of a stream that went over the limit.
    pub bytes: Vec<u8>,
    /// The last bytes of a stream that went over the limit.
    pub tail: Vec<u8>,
    /// How many bytes were written.
    pub total: u64,
}

impl Captured {
    /// Whether something in the middle is missing.
    pub const fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.total
    }
}

/// Files that a run wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Path, from the first folder that a glob leaves open, and content; sorted by path.
    pub list: Vec<(String, Vec<u8>)>,
    /// Bytes of files that were too many to be kept.
    pub left_out: u64,
    /// The first file or folder that could not be read, and why.
    pub unread: Option<String>,
}

/// What a run's processes used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User CPU time.
    pub user: Duration,
    /// System CPU time.
    pub system: Duration,
    /// The largest resident set of any process, in bytes.
    pub max_resident: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            max_resident: self.max_resident.max(other.max_resident),
        }
    }
}

/// Processes that driftrun had to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Killed {
    /// Leaders whose time was over.
    pub deadline: u32,
    /// Processes left behind by a leader that had ended.
    pub leftover: u32,
}

impl Killed {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { deadline: self.deadline + other.deadline, leftover: self.leftover + other.leftover }
    }
}

/// One process, from start to reaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// CPU and memory.
    pub usage: Usage,
    /// What had to be ended.
    pub killed: Killed,
    /// Somebody still held its pipes when the drain time was over.
    pub leaked: bool,
}

impl Finished {
    /// A process that never was.
    pub fn not_started(why: String) -> Self {
        Self {
            end: End::NotStarted(why),
            stdout: Captured::default(),
            stderr: Captured::default(),
            usage: Usage::default(),
            killed: Killed::default(),
            leaked: false,
        }
    }
}

/// One run of a check: its setup commands, its command, its report command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which command ended the run: the last one when all went well.
    pub stage: Stage,
    /// How the command ended, or the setup or report command that failed.
    pub end: End,
    /// What the command wrote (the failing setup or report command, where one failed).
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// What the report command wrote to standard output; parsed, never shown.
    pub report: Option<Captured>,
    /// The files that the check names and that this run wrote; parsed, never shown.
    pub files: Files,
    /// The run of the program that reads the output, where the check has one and the command didn't fail; its output is the report.
    pub parsed: Option<Finished>,
    /// When the run began.
    pub started: Timestamp,
    /// The git commit that the working folder stood at.
    pub revision: Option<String>,
    /// From its beginning until its last process was reaped, by the monotonic clock.
    pub duration: Duration,
    /// CPU and memory of all its processes.
    pub usage: Usage,
    /// What had to be ended.
    pub killed: Killed,
    /// Somebody still held a pipe when the drain time was over.
    pub leaked: bool,
    /// The command, or the report command after it, didn't wait for its processes: they were ended, or still hold a pipe.
    pub unwaited: bool,
}

impl Outcome {
    /// A run of which nothing is known but that it ended at `now`.
    pub fn recorded(now: Timestamp) -> Self {
        Self {
            stage: Stage::Command,
            end: End::Exited(0),
            stdout: Captured::default(),
            stderr: Captured::default(),
            report: None,
            files: Files::default(),
            parsed: None,
            started: now,
            revision: None,
            duration: Duration::ZERO,
            usage: Usage::default(),
            killed: Killed::default(),
            leaked: false,
            unwaited: false,
        }
    }
}
