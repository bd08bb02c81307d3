//! The segments of one stream: append, rotate, roll back.
//!
//! A [`Stream`] appends whole lines to its newest segment; when that has reached the
//! size limit, its owner rotates it to the next number. So a segment can exceed the
//! limit by less than a line, and a line is never split.
//!
//! The length of the segment is kept in memory, because no one else may write. From
//! time to time it is verified: if the file was deleted, replaced, cut or written to
//! from outside, the stream fails instead of writing to a file that no reader finds.
//! Where a folder, a pipe, a socket or a device has the name of the segment that is to
//! be created, the stream passes over that number: what is written to a pipe is lost.
//!
//! Left to others: which lines are written, in what order and with which ids
//! (`trail`); repair of a tail that a crash left (`recover`).

use crate::error::{Error, Kind, Result};
use crate::os;
use crate::store::layout::Layout;
use crate::store::storage::{File, Open, Stat, Storage, ensure_folder, open_regular, sync_failed};
use crate::store::times::TimeRange;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a writer checks that its file is unchanged: at most the events of this
/// time are written to a deleted file.
const CHECK_INTERVAL_MS: u64 = 10;

/// The most files checked in a millisecond: a check takes a microsecond or two, and
/// checks must take less than a hundredth of the time with any number of files.
const CHECKS_PER_MS: u64 = 4;

/// How many segments that a batch has filled are kept open, for one stream.
const MAX_FILLED_OPEN: usize = 16;

/// A stream's index in the writer's table of streams.
pub(crate) type Slot = u32;

#[derive(Debug)]
pub(crate) struct Stream {
    /// `domain/category`.
    name: Box<str>,
    /// The newest segment.
    number: u64,
    /// Its length, counting successful appends only.
    len: u64,
    /// Open while the stream is in use; the stream table limits how many are.
    file: Option<OpenSegment>,
    /// The oldest segment with bytes that are not known to be on disk.
    unsynced_from: Option<u64>,
    /// The newest segment whose directory entry is on disk or in the next sync; 0 if
    /// not even those of its folders are.
    names_synced_to: u64,
    /// The time range of the newest segment's events; `None` if not all are known.
    times: Option<TimeRange>,
    /// Bytes of a failed append: a part of them may be in the file, after `len`.
    partial_bytes: u64,
    /// Segments that the present batch has filled, still open: a rollback must not
    /// fail for want of a descriptor.
    filled: Vec<(u64, Arc<dyn File>)>,
    /// The numbers that were passed over.
    passed_over: Vec<u64>,
}

#[derive(Debug)]
struct OpenSegment {
    file: Arc<dyn File>,
    identity: (u64, u64),
    checked_at: u64,
}

/// A position in a stream to which it can be rolled back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Savepoint {
    number: u64,
    len: u64,
    unsynced_from: Option<u64>,
}

/// Segments of one stream that have to be synced.
#[derive(Debug)]
pub(crate) struct UnsyncedSegments {
    stream: Box<str>,
    from: u64,
    to: u64,
    /// The file of the newest, if it is open.
    newest: Option<Arc<dyn File>>,
    /// Numbers in between that are no segments.
    passed_over: Vec<u64>,
}

impl UnsyncedSegments {
    /// Makes them durable; adds those that someone has moved or deleted to `gone`. An
    /// error of kind `Failed` comes from a failed sync; after any other, no sync has
    /// failed and it may be retried.
    pub fn sync(
        &self,
        storage: &dyn Storage,
        layout: &Layout,
        gone: &mut Vec<PathBuf>,
    ) -> Result<()> {
        for number in self.from..=self.to {
            if self.passed_over.contains(&number) {
                continue;
            }
            let path = layout.segment(&self.stream, number);
            let file = match &self.newest {
                Some(file) if number == self.to => Some(file.clone()),
                _ => match open_regular(storage, &path, Open::Update) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                    opened => opened.map_err(|e| Error::io("open", &path, &e))?,
                },
            };
            let Some(file) = file else {
                gone.push(path);
                continue;
            };
            file.sync().map_err(|e| sync_failed(&path, &e))?;
        }
        Ok(())
    }
}

impl Stream {
    /// A stream without segments.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            number: 1,
            len: 0,
            file: None,
            unsynced_from: None,
            names_synced_to: 0,
            times: Some(TimeRange::EMPTY),
            partial_bytes: 0,
            filled: Vec::new(),
            passed_over: Vec::new(),
        }
    }

    /// A stream that continues at `len` bytes of segment `number`.
    pub fn resume_at(name: &str, number: u64, len: u64) -> Self {
        Self {
            number,
            len,
            names_synced_to: number,
            times: (len == 0).then_some(TimeRange::EMPTY),
            ..Self::new(name)
        }
    }

    /// Makes the next open sync all names: another writer may have created the files
    /// and folders without syncing them.
    pub fn assume_names_unsynced(&mut self) {
        self.names_synced_to = 0;
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub fn close_file(&mut self) {
        self.file = None;
    }

    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            number: self.number,
            len: self.len,
            unsynced_from: self.unsynced_from,
        }
    }

    /// Moves to the first number whose segment can be created, if that is what
    /// [`Stream::open_file`] would do: past folders, pipes, sockets and devices, of
    /// which `passed` is told.
    pub fn pass_over_irregular(
        &mut self,
        storage: &dyn Storage,
        layout: &Layout,
        mut passed: impl FnMut(&Path),
    ) -> Result<()> {
        if self.file.is_some() || self.len > 0 {
            return Ok(());
        }
        loop {
            let path = self.path(layout);
            match storage.stat(&path) {
                Ok(stat) if !stat.is_file => passed(&path),
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("look at", &path, &e));
                }
                _ => return Ok(()),
            }
            self.add_passed_over(self.number);
            self.number = self.number.checked_add(1).ok_or_else(|| {
                let message = format!("{} is no regular file, and the last number", path.display());
                Error::new(Kind::TooLarge, message)
            })?;
        }
    }

    fn add_passed_over(&mut self, number: u64) {
        if !self.passed_over.contains(&number) {
            self.passed_over.push(number);
        }
    }

    /// Opens the newest segment's file; creates it and its folders if they are
    /// missing. Folders with new names are added to `unsynced_folders`.
    pub fn open_file(
        &mut self,
        storage: &dyn Storage,
        layout: &Layout,
        unsynced_folders: &mut Vec<PathBuf>,
    ) -> Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let path = layout.segment(&self.name, self.number);
        let folder = layout.stream(&self.name);
        let mode = if self.len == 0 {
            make_folders(storage, &folder)?;
            Open::AppendOrCreate
        } else {
            Open::Append
        };
        if self.names_synced_to == 0 {
            unsynced_folders.push(layout.root().to_owned());
            unsynced_folders.extend(folder.parent().map(PathBuf::from));
        }
        if self.names_synced_to < self.number {
            unsynced_folders.push(folder);
        }
        let file = storage.open(&path, mode).map_err(|e| {
            if mode == Open::Append && e.kind() == io::ErrorKind::NotFound {
                self.changed_from_outside(layout, "was deleted or renamed")
            } else {
                Error::io("open", &path, &e)
            }
        })?;
        let stat = file.stat().map_err(|e| Error::io("look at", &path, &e))?;
        let open_segment = OpenSegment {
            file,
            identity: stat.identity,
            checked_at: os::coarse_millis(),
        };
        self.verify_stat(layout, &open_segment, &stat)?;
        self.file = Some(open_segment);
        self.names_synced_to = self.names_synced_to.max(self.number);
        Ok(())
    }

    /// Finds the end of the stream after other writers have appended to it.
    pub fn seek_to_end(&mut self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        self.file = None;
        self.len = 0;
        self.times = None;
        let known = self.number;
        let mut next = Some(known);
        while let Some(number) = next {
            let path = layout.segment(&self.name, number);
            match storage.stat(&path) {
                Ok(stat) if stat.is_file => (self.number, self.len) = (number, stat.len),
                // The others have passed over it.
                Ok(_) if number > known => self.add_passed_over(number),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(Error::io("look at", &path, &e)),
            }
            next = number.checked_add(1);
        }
        Ok(())
    }

    /// Moves to the next segment number. The full one stays open until
    /// [`Stream::release_filled`], unless the batch fills very many.
    pub fn rotate(&mut self) {
        if let Some(full) = self.file.take()
            && self.filled.len() < MAX_FILLED_OPEN
        {
            self.filled.push((self.number, full.file));
        }
        self.number += 1;
        self.len = 0;
        self.times = Some(TimeRange::EMPTY);
    }

    /// The batch is committed, or rolled back: what it has filled is closed.
    pub fn release_filled(&mut self) {
        self.filled.clear();
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time range of the newest segment's events, if all are known. It may include
    /// events that were rolled back.
    pub fn times(&self) -> Option<TimeRange> {
        self.times
    }

    /// Adds the time range of appended events; `None` if it is not known.
    pub fn extend_times(&mut self, later: Option<TimeRange>) {
        match (&mut self.times, later) {
            (Some(times), Some(later)) => times.extend(later),
            _ => self.times = None,
        }
    }

    /// Appends whole lines to the open segment. After an error an unknown part of them
    /// may be in the file: the caller must roll back to a savepoint.
    pub fn append(&mut self, layout: &Layout, lines: &[u8]) -> Result<()> {
        if let Err(error) = self.open_segment(layout)?.file.append(lines) {
            self.partial_bytes = lines.len() as u64;
            return Err(Error::io("append to", &self.path(layout), &error));
        }
        self.len += lines.len() as u64;
        self.unsynced_from.get_or_insert(self.number);
        Ok(())
    }

    /// Checks, if a check is due, that the path still leads to the open file and that
    /// its length is the one this writer knows. `files` is the number of open files of
    /// all streams.
    pub fn check_identity(
        &mut self,
        storage: &dyn Storage,
        layout: &Layout,
        files: usize,
    ) -> Result<()> {
        let now = os::coarse_millis();
        let open_segment = self.open_segment(layout)?;
        if now < open_segment.checked_at + CHECK_INTERVAL_MS.max(files as u64 / CHECKS_PER_MS) {
            return Ok(());
        }
        self.check_identity_now(storage, layout)?;
        if let Some(open_segment) = &mut self.file {
            open_segment.checked_at = now;
        }
        Ok(())
    }

    /// The same, without waiting for the interval.
    pub fn check_identity_now(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        let Some(open_segment) = &self.file else {
            return Ok(());
        };
        let path = self.path(layout);
        match storage.stat(&path) {
            Ok(stat) => self.verify_stat(layout, open_segment, &stat),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(self.changed_from_outside(layout, "was deleted or renamed"))
            }
            Err(e) => Err(Error::io("look at", &path, &e)),
        }
    }

    fn verify_stat(&self, layout: &Layout, open_segment: &OpenSegment, stat: &Stat) -> Result<()> {
        if stat.identity != open_segment.identity {
            Err(self.changed_from_outside(layout, "was replaced by another file"))
        } else if !stat.is_file {
            Err(self.changed_from_outside(layout, "was replaced by what is no regular file"))
        } else if stat.len < self.len {
            Err(self.changed_from_outside(layout, "was cut"))
        } else if stat.len > self.len {
            Err(self.changed_from_outside(layout, "was written to"))
        } else {
            Ok(())
        }
    }

    fn changed_from_outside(&self, layout: &Layout, what: &str) -> Error {
        Error::new(
            Kind::Failed,
            format!("{} {what} by someone else", self.path(layout).display()),
        )
    }

    /// Removes what was appended since `savepoint`, durably: bytes that reappeared after
    /// a power loss would carry ids that were since assigned to other events. Segments
    /// created since then stay, empty, because a number is never reused.
    pub fn rollback_to(
        &mut self,
        storage: &dyn Storage,
        layout: &Layout,
        savepoint: Savepoint,
    ) -> Result<()> {
        if (self.number, self.len) == (savepoint.number, savepoint.len) && self.partial_bytes == 0 {
            return Ok(());
        }
        // Newest first: a kill in between must leave a prefix of the ids.
        for number in (savepoint.number..=self.number).rev() {
            let len = if number == savepoint.number {
                savepoint.len
            } else {
                0
            };
            let nothing_written = self.len == 0 && self.partial_bytes == 0;
            if number == self.number && number > savepoint.number && nothing_written {
                // It need not even be there: creating it may be what failed.
                continue;
            }
            if self.passed_over.contains(&number) {
                continue;
            }
            let path = layout.segment(&self.name, number);
            let filled = self.filled.iter().find(|(filled, _)| *filled == number);
            let file = match (&self.file, filled) {
                (Some(open_segment), _) if number == self.number => open_segment.file.clone(),
                (_, Some((_, file))) => file.clone(),
                _ => match open_regular(storage, &path, Open::Update) {
                    Ok(Some(file)) => file,
                    Ok(None) => {
                        let what = "was replaced by what is no regular file";
                        return Err(self.changed_from_outside(layout, what));
                    }
                    // The failed batch did not get to create it.
                    Err(e) if e.kind() == io::ErrorKind::NotFound && len == 0 => continue,
                    Err(e) => return Err(Error::io("open", &path, &e)),
                },
            };
            let failed = |e: io::Error| Error::io("cut", &path, &e);
            if number == self.number
                && file.stat().map_err(failed)?.len > self.len + self.partial_bytes
            {
                return Err(self.changed_from_outside(layout, "was written to"));
            }
            file.set_len(len)
                .and_then(|()| file.sync())
                .map_err(failed)?;
        }
        self.partial_bytes = 0;
        self.unsynced_from = savepoint.unsynced_from;
        self.len = if self.number == savepoint.number {
            savepoint.len
        } else {
            0
        };
        Ok(())
    }

    /// The segments with bytes that are not known to be on disk. They count as synced
    /// from now on: the caller must sync or requeue them.
    pub fn take_unsynced(&mut self) -> Option<UnsyncedSegments> {
        Some(UnsyncedSegments {
            from: self.unsynced_from.take()?,
            // The stream may have rotated to a segment that was not created yet.
            to: self.number - u64::from(self.file.is_none() && self.len == 0),
            newest: self
                .file
                .as_ref()
                .map(|open_segment| open_segment.file.clone()),
            stream: self.name.clone(),
            passed_over: self.passed_over.clone(),
        })
    }

    /// Marks segments that could not be synced as unsynced again.
    pub fn requeue_unsynced(&mut self, segments: &UnsyncedSegments) {
        let from = self.unsynced_from.unwrap_or(segments.from);
        self.unsynced_from = Some(from.min(segments.from));
    }

    fn path(&self, layout: &Layout) -> PathBuf {
        layout.segment(&self.name, self.number)
    }

    fn open_segment(&self, layout: &Layout) -> Result<&OpenSegment> {
        self.file.as_ref().ok_or_else(|| {
            Error::new(
                Kind::Panic,
                format!("{} is not open", self.path(layout).display()),
            )
        })
    }
}

/// Creates a stream's folder, and its domain's, if they are missing.
fn make_folders(storage: &dyn Storage, folder: &Path) -> Result<()> {
    ensure_folder(storage, folder)
        .or_else(|e| match folder.parent() {
            Some(domain) if e.kind() == io::ErrorKind::NotFound => {
                ensure_folder(storage, domain).and_then(|()| ensure_folder(storage, folder))
            }
            _ => Err(e),
        })
        .map_err(|e| Error::io("create the folder", folder, &e))
}
