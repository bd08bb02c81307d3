//! The table of the streams of a writer, with their positions and open files.
//!
//! A stream's end is found when its first event arrives, so that a trail with any
//! number of streams opens without a scan. The number of open files is limited; the
//! one that was opened first is closed first.

use crate::error::{Error, Kind, Result};
use crate::recover::{self, RecoveryReport};
use crate::store::layout::Layout;
use crate::store::segment::{Savepoint, Slot, Stream, UnsyncedSegments};
use crate::store::storage::{Storage, failed_to_open, sync_failed};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct StreamTable {
    storage: Arc<dyn Storage>,
    layout: Layout,
    /// By slot.
    entries: Vec<StreamEntry>,
    /// Slots whose files are open, in the order of opening.
    open: VecDeque<Slot>,
    max_open_files: usize,
    /// Folders with directory entries that are not known to be on disk.
    unsynced_folders: BTreeSet<PathBuf>,
    /// Incremented whenever another shared writer has written, which invalidates the
    /// known end of every stream.
    generation: u64,
    shared: bool,
}

#[derive(Debug)]
struct StreamEntry {
    name: Box<str>,
    /// Set at its first event.
    stream: Option<Stream>,
    /// The generation in which its end was found.
    generation: u64,
}

/// The files and folders that a sync has to make durable, and the last id it covers.
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

    /// The stream; [`StreamTable::prepare`] must have been called for it.
    pub fn stream_mut(&mut self, slot: Slot) -> Result<&mut Stream> {
        self.entries[slot as usize].stream_mut()
    }

    /// Makes the end of each stream be found again, after another writer has written.
    pub fn invalidate(&mut self) {
        self.generation += 1;
    }

    /// Prepares the stream for appends: finds its end and opens its file. Returns a
    /// savepoint, to which a failed batch is rolled back. `last_id` is the trail's.
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
            stream.pass_over_irregular(storage, &self.layout, |path| {
                report.warn_of_irregular(path);
            })?;
            let mut folders = Vec::new();
            let opened = stream.open_file(storage, &self.layout, &mut folders);
            self.unsynced_folders.extend(folders);
            opened?;
            // A rotation or a new generation closes files without updating the list.
            self.open.retain(|&other| other != slot);
            self.open.push_back(slot);
        }
        let savepoint = stream.savepoint();
        self.close_oldest();
        Ok(savepoint)
    }

    /// Finds the end of the stream, if it is not known.
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
                    // Fails the writer, so that the trail is not marked as clean.
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

    /// Opens the stream's new segment after a rotation.
    pub fn open_next_file(&mut self, slot: Slot, report: &mut RecoveryReport) -> Result<()> {
        let mut folders = Vec::new();
        let stream = self.entries[slot as usize].stream_mut()?;
        stream.pass_over_irregular(&*self.storage, &self.layout, |path| {
            report.warn_of_irregular(path);
        })?;
        let opened = stream.open_file(&*self.storage, &self.layout, &mut folders);
        self.unsynced_folders.extend(folders);
        opened
    }

    /// Checks that the open files were not changed from outside. Skipped on a shared
    /// trail, where other writers append to them.
    pub fn check_files(&self) -> Result<()> {
        if self.shared {
            return Ok(());
        }
        self.entries
            .iter()
            .filter_map(|entry| entry.stream.as_ref())
            .try_for_each(|stream| stream.check_identity_now(&*self.storage, &self.layout))
    }

    /// Takes what has to be synced for all events up to `up_to` to be on disk. The
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

    /// Returns what could not be synced to the table.
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
    /// Makes everything durable; returns the segments that are not there any more,
    /// because someone has moved or deleted them. After an error of a kind other than
    /// `Failed` the caller must requeue it.
    pub fn sync(&self, storage: &dyn Storage, layout: &Layout) -> Result<Vec<PathBuf>> {
        let mut gone = Vec::new();
        for (_, segments) in &self.segments {
            segments.sync(storage, layout, &mut gone)?;
        }
        for folder in &self.folders {
            match storage.sync_dir(folder) {
                Ok(()) => {}
                // Its segments are reported.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) if failed_to_open(&e) => return Err(Error::io("open", folder, &e)),
                Err(e) => return Err(sync_failed(folder, &e)),
            }
        }
        Ok(gone)
    }
}
