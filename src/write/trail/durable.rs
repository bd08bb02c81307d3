//! What makes a trail durable: the journal of a batch, the sync of its segments, the
//! state that records how far both have come.

use super::Trail;
use crate::error::Result;
use crate::store::index_file;
use crate::store::journal::Journal;
use crate::store::segment::Slot;
use crate::store::state::{Phase, StateFile};
use crate::warning::WarningKind;
use crate::write::streams::Unsynced;
use std::path::PathBuf;

impl Trail {
    /// Makes the batch that was just written durable. After an error of a kind other
    /// than `Failed` it is not on disk.
    pub(super) fn make_durable(&mut self, last: u64) -> Result<()> {
        match &self.config.journal {
            Some(journal) if journal.fits(&self.entries, self.lines.len()) => {
                self.append_to_journal(last)?;
                // The segments are not on disk, and the state is about them: after a
                // failed sync, recovery syncs what the state says is not synced, and
                // then discards the journal.
                self.syncs += 1;
            }
            _ => {
                self.sync_segments(last)?;
                self.set_synced(last);
            }
        }
        Ok(())
    }

    fn append_to_journal(&mut self, last: u64) -> Result<()> {
        let full = |journal: &Journal| !journal.has_room(&self.entries, self.lines.len());
        if self.config.journal.as_ref().is_some_and(full) {
            self.recycle_journal(last)?;
        }
        let names = |slot: Slot| self.streams.name(slot);
        match &mut self.config.journal {
            Some(journal) => journal.append(last, &self.entries, &self.lines, names),
            None => Ok(()),
        }
    }

    /// Syncs the segments, then resets the journal. In between, the state is made to
    /// say how far the trail is synced, durably: once the journal is empty, nothing
    /// else bounds what recovery takes for a hole of a power loss.
    fn recycle_journal(&mut self, last: u64) -> Result<()> {
        self.sync_segments(last)?;
        // Without the present batch, which may still be rolled back.
        self.synced_id = self.synced_id.max(self.last_id);
        self.write_state(Phase::Open, self.last_id)?;
        self.state_file().sync(&self.layout)?;
        match &mut self.config.journal {
            Some(journal) => journal.reset(),
            None => Ok(()),
        }
    }

    /// Syncs all that was written; it counts as on disk up to `last` then.
    pub fn sync_segments(&mut self, last: u64) -> Result<()> {
        let unsynced = self.take_unsynced(last);
        match unsynced.sync(&*self.storage, &self.layout) {
            Ok(gone) => {
                self.warn_of_gone(&gone);
                Ok(())
            }
            Err(error) => {
                self.requeue_unsynced(unsynced);
                Err(error)
            }
        }
    }

    /// Reports segments that were not there any more when they were to be synced.
    pub fn warn_of_gone(&mut self, gone: &[PathBuf]) {
        for path in gone {
            self.report.warn(
                WarningKind::SegmentGone,
                format!(
                    "{} was moved or deleted before it was synced; its events are not known \
                     to be on disk",
                    path.display()
                ),
            );
        }
    }

    /// Takes what has to be synced for all events up to `up_to` to be on disk. The
    /// caller must sync it, requeue it, or fail the writer.
    pub fn take_unsynced(&mut self, up_to: u64) -> Unsynced {
        self.streams.take_unsynced(up_to)
    }

    /// Returns what could not be synced.
    pub fn requeue_unsynced(&mut self, unsynced: Unsynced) {
        self.streams.requeue_unsynced(unsynced);
    }

    /// Advances the id up to which the segments are on disk, in memory.
    pub fn set_synced(&mut self, id: u64) {
        self.syncs += 1;
        // On a shared trail only this writer's events are synced, and the synced id of
        // the state is about all.
        if !self.is_shared() {
            self.synced_id = self.synced_id.max(id);
        }
    }

    /// Advances the synced id of an exclusive writer, in memory and in the state. Returns
    /// the state's file, which is to be synced.
    pub fn record_synced(&mut self, id: u64) -> Result<StateFile> {
        self.set_synced(id);
        self.write_state(Phase::Open, self.last_id)?;
        Ok(self.state_file())
    }

    fn state_file(&self) -> StateFile {
        self.config.state.clone()
    }

    /// Checks that the open files were not changed from outside.
    pub fn check_files(&self) -> Result<()> {
        self.streams.check_files()
    }

    /// Marks the trail as cleanly closed. Everything must be synced or in the journal.
    pub fn finish(&mut self) -> Result<()> {
        if self.is_shared() {
            // Other writers may be active, so the state stays `open`.
            return Ok(());
        }
        if self.config.journal.is_some() {
            self.recycle_journal(self.last_id)?;
        }
        index_file::write(&*self.storage, &self.layout, self.last_id)?;
        self.write_state(Phase::Clean, self.last_id)?;
        self.config.state.sync(&self.layout)
    }
}
