//! Injected faults: calls that fail, and processes that die during a call.

use super::loss::{Random, SECTOR};
use super::{HISTORY, MachineState};
use std::io;

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opening or creating a file.
    Open,
    /// Creating a folder.
    CreateDir,
    /// Listing a folder.
    List,
    /// Reading the metadata of a path or file.
    Stat,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Making a folder's names durable.
    SyncDir,
    /// Making everything durable.
    SyncAll,
    /// Reading.
    Read,
    /// Writing at the end.
    Append,
    /// Writing at an offset.
    WriteAt,
    /// Truncating or extending.
    SetLen,
    /// Making a file durable.
    Sync,
    /// Acquiring or releasing a lock.
    Lock,
    /// Mapping a file.
    Map,
    /// Writing to a mapping; it cannot fail, but the process can die during it.
    MapWrite,
}

/// Describes which calls fail, and how.
#[derive(Clone, Debug)]
pub struct InjectedFault {
    call: Option<Call>,
    path: String,
    skip: u64,
    errno: i32,
    part: bool,
    always: bool,
    triggered: Option<String>,
}

impl InjectedFault {
    /// The next call fails, once, without effect.
    pub fn new(errno: i32) -> Self {
        Self {
            call: None,
            path: String::new(),
            skip: 0,
            errno,
            part: false,
            always: false,
            triggered: None,
        }
    }

    /// Only calls of this kind count.
    #[must_use]
    pub fn call(mut self, call: Call) -> Self {
        self.call = Some(call);
        self
    }

    /// Only calls on paths that contain this text count.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        part.clone_into(&mut self.path);
        self
    }

    /// This many calls succeed first.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// A write takes effect in part before it fails.
    #[must_use]
    pub fn short(mut self) -> Self {
        self.part = true;
        self
    }

    /// All calls fail from then on.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    pub(super) fn triggered(&self) -> Option<&str> {
        self.triggered.as_deref()
    }

    fn triggers(&mut self, call: Call, what: &str) -> bool {
        if call == Call::MapWrite {
            return false;
        }
        if self.call.is_some_and(|only| only != call) || !what.contains(&self.path) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.triggered.is_some() && !self.always {
            return false;
        }
        self.triggered = Some(format!("{call:?} {what}"));
        true
    }
}

#[derive(Debug, Default)]
pub(super) struct Process {
    pub calls: u64,
    pub dead: bool,
    pub dies_at: Option<(u64, u64)>,
}

/// How a call ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum CallOutcome {
    Proceed,
    /// It fails; a write may take effect in part.
    Fail {
        errno: i32,
        part: bool,
        seed: u64,
    },
    /// The process dies during it.
    Die {
        seed: u64,
    },
}

impl CallOutcome {
    pub fn dies(self) -> bool {
        matches!(self, Self::Die { .. })
    }

    /// How many of a write's bytes are written. A write at an offset is torn only
    /// between sectors.
    pub fn part(self, len: usize, offset: Option<u64>) -> usize {
        let part = match self {
            Self::Proceed => len,
            Self::Fail { part: false, .. } => 0,
            Self::Fail { seed, .. } | Self::Die { seed } => {
                Random::new(seed).below(len as u64 + 1) as usize
            }
        };
        match offset.map(|offset| offset as usize) {
            Some(offset) if part < len => {
                ((offset + part) / SECTOR * SECTOR).saturating_sub(offset)
            }
            _ => part,
        }
    }

    /// The seed for the effects of a call that fails.
    pub fn fails(self) -> Option<u64> {
        match self {
            Self::Fail { seed, .. } => Some(seed),
            _ => None,
        }
    }

    /// The error of a call that ends before it takes effect.
    pub fn before(self) -> io::Result<()> {
        match self {
            Self::Fail { errno, .. } => Err(io::Error::from_raw_os_error(errno)),
            Self::Die { seed } if seed.is_multiple_of(2) => Err(dead()),
            _ => Ok(()),
        }
    }

    /// The error of a call that ends after it took effect.
    pub fn after(self) -> io::Result<()> {
        match self {
            Self::Die { .. } => Err(dead()),
            _ => Ok(()),
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the process has ended")
}

impl MachineState {
    pub fn check_alive(&self, process: usize) -> io::Result<()> {
        if self.processes[process].dead {
            return Err(dead());
        }
        Ok(())
    }

    /// Counts a call, records it in the history, and decides how it ends.
    pub fn intercept(&mut self, process: usize, call: Call, what: &str) -> io::Result<CallOutcome> {
        self.check_alive(process)?;
        self.processes[process].calls += 1;
        let calls = self.processes[process].calls;
        let fault = self.faults.iter_mut().find_map(|fault| {
            fault.triggers(call, what).then_some(CallOutcome::Fail {
                errno: fault.errno,
                part: fault.part,
                seed: calls,
            })
        });
        let outcome = match self.processes[process].dies_at {
            Some((at, seed)) if at <= calls => CallOutcome::Die { seed },
            _ => fault.unwrap_or(CallOutcome::Proceed),
        };
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let suffix = match outcome {
            CallOutcome::Proceed => String::new(),
            other => format!(" -> {other:?}"),
        };
        self.history
            .push_back(format!("{process}.{calls} {call:?} {what}{suffix}"));
        if outcome.dies() {
            self.end(process);
        }
        Ok(outcome)
    }

    /// Ends a process.
    pub fn end(&mut self, process: usize) {
        self.processes[process].dead = true;
        self.each_file(|file| file.locks.retain(|&(holder, _, _)| holder != process));
    }
}
