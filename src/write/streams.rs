//! The table of streams that a writer writes to: what is known of each, and which
//! files are open.
//!
//! A stream is looked at when its first event comes, so that a trail with any
//! number of streams opens without a scan. No more files than the limit are held
//! open; the one that was opened longest ago is closed first.

use crate::error::{Error, Kind, Result};
use crate::recover::{self, RecoveryReport};
use crate::store::layout::Layout;
use crate::store::segment::{Savepoint, Slot, Stream, UnsyncedSegments};
use crate::store::storage::{Storage, sync_failed};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct StreamTable {
    storage: Arc<dyn Storage>,
    layout: Layout,
    /// By slot.
    entries: Vec<StreamEntry>,
    /// Slots whose files are open, the longest open first.
    open: VecDeque<Slot>,
    max_open_files: usize,
    /// Folders with names that are not known to be on disk.
    unsynced_folders: BTreeSet<PathBuf>,
    /// Rises whenever another shared writer has written: what is known of a stream
    /// is true in one generation only.
    generation: u64,
    shared: bool,
}

#[derive(Debug)]
struct StreamEntry {
    name: Box<str>,
    /// What is known of it; found out at its first event.
    stream: Option<Stream>,
    /// Of when that is.
    generation: u64,
}

/// Files and folders that a sync has to make durable, and how far it reaches.
pub(super) struct Unsynced {
    segments: Vec<(Slot, UnsyncedSegments)>,
    folders: BTreeSet<PathBuf>,
    pub up_to: u64,
}

impl StreamTable {
    /// `shared`: whether other writers may write at the same time.
    pub fn new(
        storage: Arc<dyn Storage>,
        layout: Layout,
        max_open_files: usize,
        shared: bool,
    ) -> Self {
        Self {
            storage,
            layout,
            entries: Vec::new(),
            open: VecDeque::new(),
            max_open_files,
            unsynced_folders: BTreeSet::new(),
            generation: 0,
            shared,
        }
    }

    /// Adds streams at the next slots.
    pub fn add(&mut self, names: impl IntoIterator<Item = Box<str>>) {
        self.entries
            .extend(names.into_iter().map(|name| StreamEntry {
                name,
                stream: None,
                generation: 0,
            }));
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    pub fn name(&self, slot: Slot) -> &str {
        &self.entries[slot as usize].name
    }

    /// The stream, which [`StreamTable::prepare`] has made ready.
    pub fn stream_mut(&mut self, slot: Slot) -> Result<&mut Stream> {
        self.entries[slot as usize].stream_mut()
    }

    /// Another writer has written: the end of each stream is looked for again.
    pub fn invalidate(&mut self) {
        self.generation += 1;
    }

    /// Makes the stream ready for events: knows where it goes on, and has its file
    /// open. Says where it is now, so that a failed batch can be cut back to there.
    /// `last_id` is that of the trail.
    pub fn prepare(
        &mut self,
        slot: Slot,
        last_id: u64,
        report: &mut RecoveryReport,
    ) -> Result<Savepoint> {
        self.find_end(slot, last_id, report)?;
        let storage = &*self.storage;
        let files = self.open.len();
        let stream = self.entries[slot as usize].stream_mut()?;
        if stream.is_open() {
            stream.check_identity(storage, &self.layout, files)?;
        } else {
            let mut folders = Vec::new();
            let opened = stream.open_file(storage, &self.layout, &mut folders);
            self.unsynced_folders.extend(folders);
            opened?;
            // It may have been closed elsewhere, and still be in the list.
            self.open.retain(|&other| other != slot);
            self.open.push_back(slot);
        }
        let savepoint = stream.savepoint();
        self.close_oldest();
        Ok(savepoint)
    }

    /// Finds out where the stream goes on, if that is not known.
    fn find_end(&mut self, slot: Slot, last_id: u64, report: &mut RecoveryReport) -> Result<()> {
        let storage = &*self.storage;
        let entry = &mut self.entries[slot as usize];
        match &mut entry.stream {
            Some(_) if entry.generation == self.generation => return Ok(()),
            Some(stream) => stream.seek_to_end(storage, &self.layout)?,
            None => {
                let (mut stream, last) =
                    recover::stream(storage, &self.layout, &entry.name, report)?;
                if last > last_id {
                    // Fails the writer, so that its end is not a clean one.
                    return Err(Error::new(
                        Kind::Failed,
                        format!(
                            "the stream {} holds event {last}, but the trail was closed at an \
                             earlier one: someone wrote to it since; reopen the trail, so that \
                             all streams are looked at",
                            entry.name
                        ),
                    ));
                }
                if self.shared {
                    stream.assume_names_unsynced();
                }
                entry.stream = Some(stream);
            }
        }
        entry.generation = self.generation;
        Ok(())
    }

    fn close_oldest(&mut self) {
        while self.open.len() > self.max_open_files {
            if let Some(oldest) = self.open.pop_front()
                && let Some(stream) = &mut self.entries[oldest as usize].stream
            {
                stream.close_file();
            }
        }
    }

    /// Opens the file of the stream's newest segment, which is a new one.
    pub fn open_next_file(&mut self, slot: Slot) -> Result<()> {
        let mut folders = Vec::new();
        let stream = self.entries[slot as usize].stream_mut()?;
        let opened = stream.open_file(&*self.storage, &self.layout, &mut folders);
        self.unsynced_folders.extend(folders);
        opened
    }

    /// Whether the open files are still the trail's. Not asked of a shared trail,
    /// where others lengthen them.
    pub fn check_files(&self) -> Result<()> {
        if self.shared {
            return Ok(());
        }
        self.entries
            .iter()
            .filter_map(|entry| entry.stream.as_ref())
            .try_for_each(|stream| stream.check_identity_now(&*self.storage, &self.layout))
    }

    /// What has to be synced so that all events up to `up_to` are on disk. The
    /// caller must sync it, requeue it, or fail the writer.
    pub fn take_unsynced(&mut self, up_to: u64) -> Unsynced {
        let segments = self
            .entries
            .iter_mut()
            .zip(0..)
            .filter_map(|(entry, slot)| Some((slot, entry.stream.as_mut()?.take_unsynced()?)))
            .collect();
        Unsynced {
            segments,
            folders: std::mem::take(&mut self.unsynced_folders),
            up_to,
        }
    }

    /// What was not synced still has to be.
    pub fn requeue_unsynced(&mut self, unsynced: Unsynced) {
        for (slot, segments) in unsynced.segments {
            if let Some(stream) = &mut self.entries[slot as usize].stream {
                stream.requeue_unsynced(&segments);
            }
        }
        self.unsynced_folders.extend(unsynced.folders);
    }
}

impl StreamEntry {
    fn stream_mut(&mut self) -> Result<&mut Stream> {
        self.stream
            .as_mut()
            .ok_or_else(|| Error::new(Kind::Panic, "a stream was used before it was opened"))
    }
}

impl Unsynced {
    /// Makes it all durable. After an error that is not `Failed` it has to be
    /// requeued.
    pub fn sync(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        for (_, segments) in &self.segments {
            segments.sync(storage, layout)?;
        }
        for folder in &self.folders {
            storage
                .sync_dir(folder)
                .map_err(|e| sync_failed(folder, &e))?;
        }
        Ok(())
    }
}
