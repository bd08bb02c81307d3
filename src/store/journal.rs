//! The redo log of synced commits: one sync per batch, however many segments it
//! touches.
//!
//! `.auditrail/journal` is preallocated: filled with zeros and synced once, then
//! overwritten from its start again and again, so that a sync never has to write
//! metadata. All numbers are little-endian.
//!
//! ```text
//! 0     8  "ATRJRNL1"
//! 8     8  epoch: records of another epoch are stale
//! 16    4  CRC-32 of the 16 bytes before it
//! 4096     the records, one after the other
//!
//! a record, one for each batch:
//! 0     4  CRC-32 of all that follows in it
//! 4     4  length of the body in bytes
//! 8     8  epoch
//! 16    8  sequence number: 0, 1, 2, … in each epoch
//! 24    8  the last event id of the batch
//! 32       the body: for each entry that went into a segment
//!          2  length of the stream's name, then the name
//!          8  segment number
//!          8  offset in the segment
//!          4  length, then the bytes: whole lines
//! ```
//!
//! The records of an epoch end at the first one whose epoch, sequence number or
//! checksum does not match: a torn record was never acknowledged.
//!
//! The journal is reset, to the next epoch, only after all segments that its records
//! refer to were synced. Redo is idempotent, because each entry has a fixed offset.
//! It only overwrites what a power loss can leave: bytes that are missing or zero, and,
//! after they were quarantined, stale blocks. Where someone else has written events, the
//! entry is quarantined instead.

use crate::error::{Error, Result};
use crate::limits::MAX_STREAM_NAME_BYTES;
use crate::store::layout::Layout;
use crate::store::segment::Slot;
use crate::store::storage::{
    File, Open, Storage, open_file, open_if_exists, read_range, sync_failed,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"ATRJRNL1";
const RECORDS_OFFSET: u64 = 4096;
const RECORD_HEADER_LEN: usize = 32;

/// Bytes of an entry besides its stream's name and its lines.
const ENTRY_FIXED_LEN: usize = 2 + 8 + 8 + 4;

/// A part of a batch: bytes `from..to` of its lines, which went to `offset` of
/// segment `number` of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalEntry {
    pub slot: Slot,
    pub number: u64,
    pub offset: u64,
    pub from: usize,
    pub to: usize,
}

/// An entry as read by recovery.
#[derive(Debug)]
pub(crate) struct RedoEntry {
    pub stream: String,
    pub number: u64,
    pub offset: u64,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<dyn File>,
    layout: Layout,
    capacity: u64,
    epoch: u64,
    sequence: u64,
    end: u64,
    record: Vec<u8>,
}

impl Journal {
    /// Opens the journal, creating it if it is missing, in a new epoch: the caller
    /// has already replayed its records.
    pub fn open(storage: &dyn Storage, layout: &Layout, capacity: u64) -> Result<Self> {
        let path = layout.hidden_file("journal");
        let file = open_file(storage, &path, Open::Create)?;
        let epoch = read_epoch(&*file).map_err(|e| Error::io("read", &path, &e))?;
        let len = file
            .stat()
            .map_err(|e| Error::io("look at", &path, &e))?
            .len;
        if len < capacity {
            preallocate(&*file, len, capacity).map_err(|e| Error::io("fill", &path, &e))?;
        }
        let mut journal = Self {
            file,
            layout: layout.clone(),
            capacity: capacity.max(len),
            epoch: epoch.unwrap_or(0),
            sequence: 0,
            end: RECORDS_OFFSET,
            record: Vec::new(),
        };
        journal.reset()?;
        Ok(journal)
    }

    /// Discards all records, durably. Their segments must be synced. After an error
    /// the journal counts as full until a reset succeeds.
    pub fn reset(&mut self) -> Result<()> {
        self.end = self.capacity;
        self.epoch = next_epoch(self.epoch);
        self.sequence = 0;
        self.file
            .write_at(&file_header(self.epoch), 0)
            .map_err(|e| Error::io("write", &self.path(), &e))?;
        self.sync()?;
        self.end = RECORDS_OFFSET;
        Ok(())
    }

    fn record_len(entries: &[JournalEntry], lines: usize) -> u64 {
        (RECORD_HEADER_LEN + entries.len() * (ENTRY_FIXED_LEN + MAX_STREAM_NAME_BYTES) + lines)
            as u64
    }

    /// Whether such a batch fits into an empty journal.
    pub fn fits(&self, entries: &[JournalEntry], lines: usize) -> bool {
        RECORDS_OFFSET + Self::record_len(entries, lines) <= self.capacity
    }

    /// Whether it fits behind the records that are there.
    pub fn has_room(&self, entries: &[JournalEntry], lines: usize) -> bool {
        self.end + Self::record_len(entries, lines) <= self.capacity
    }

    /// Appends a batch and syncs. After an error of kind `Failed` it is unknown
    /// whether the batch is on disk; after any other error it is not.
    pub fn append<'n>(
        &mut self,
        last_id: u64,
        entries: &[JournalEntry],
        lines: &[u8],
        name: impl Fn(Slot) -> &'n str,
    ) -> Result<()> {
        let record = &mut self.record;
        record.clear();
        record.extend_from_slice(&[0; 8]);
        record.extend_from_slice(&self.epoch.to_le_bytes());
        record.extend_from_slice(&self.sequence.to_le_bytes());
        record.extend_from_slice(&last_id.to_le_bytes());
        for entry in entries {
            let name = name(entry.slot).as_bytes();
            let bytes = &lines[entry.from..entry.to];
            record.extend_from_slice(&(name.len() as u16).to_le_bytes());
            record.extend_from_slice(name);
            record.extend_from_slice(&entry.number.to_le_bytes());
            record.extend_from_slice(&entry.offset.to_le_bytes());
            record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            record.extend_from_slice(bytes);
        }
        let body = (record.len() - RECORD_HEADER_LEN) as u32;
        record[4..8].copy_from_slice(&body.to_le_bytes());
        let crc = crc32fast::hash(&record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = self.file.write_at(record, self.end) {
            // The batch is rolled back, so replay must not find a valid record of it.
            self.file
                .write_at(&[0; RECORD_HEADER_LEN], self.end)
                .map_err(|e| sync_failed(&self.path(), &e))?;
            self.sync()?;
            return Err(Error::io("write", &self.path(), &error));
        }
        let len = record.len() as u64;
        self.sync()?;
        self.end += len;
        self.sequence += 1;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|e| sync_failed(&self.path(), &e))
    }

    fn path(&self) -> PathBuf {
        self.layout.hidden_file("journal")
    }
}

/// Passes the entries of the journal, if there is one, to `redo`, oldest first.
/// Returns the last event id of the last batch.
pub(crate) fn replay(
    storage: &dyn Storage,
    layout: &Layout,
    mut redo: impl FnMut(RedoEntry) -> Result<()>,
) -> Result<Option<u64>> {
    let path = layout.hidden_file("journal");
    let failed = |e: io::Error| Error::io("read", &path, &e);
    let Some(file) = open_if_exists(storage, &path, Open::Read)? else {
        return Ok(None);
    };
    // An invalid header was torn by a power loss, and a header is only written when
    // there is nothing to redo.
    let Some(epoch) = read_epoch(&*file).map_err(failed)? else {
        return Ok(None);
    };
    let capacity = file.stat().map_err(failed)?.len;
    let mut last_id = None;
    let mut at = RECORDS_OFFSET;
    for sequence in 0.. {
        let Some(record) = read_record(&*file, at, capacity, epoch, sequence).map_err(failed)?
        else {
            break;
        };
        at += record.len() as u64;
        last_id = Some(read_u64(&record, 24));
        let mut rest = &record[RECORD_HEADER_LEN..];
        while let Some((entry, after)) = read_entry(rest) {
            redo(entry)?;
            rest = after;
        }
    }
    Ok(last_id)
}

/// Discards the records once they are replayed and their segments synced.
pub(crate) fn discard(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    let path = layout.hidden_file("journal");
    storage
        .open(&path, Open::Update)
        .and_then(|file| match read_epoch(&*file)? {
            Some(epoch) => {
                file.write_at(&file_header(next_epoch(epoch)), 0)?;
                file.sync()
            }
            None => Ok(()),
        })
        .map_err(|e| Error::io("write", &path, &e))
}

fn read_record(
    file: &dyn File,
    at: u64,
    capacity: u64,
    epoch: u64,
    sequence: u64,
) -> io::Result<Option<Vec<u8>>> {
    let head = read_range(file, at, RECORD_HEADER_LEN)?;
    if head.len() < RECORD_HEADER_LEN
        || read_u64(&head, 8) != epoch
        || read_u64(&head, 16) != sequence
    {
        return Ok(None);
    }
    let body = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if at + RECORD_HEADER_LEN as u64 + u64::from(body) > capacity {
        return Ok(None);
    }
    let record = read_range(file, at, RECORD_HEADER_LEN + body as usize)?;
    let crc = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
    let valid =
        record.len() == RECORD_HEADER_LEN + body as usize && crc32fast::hash(&record[4..]) == crc;
    Ok(valid.then_some(record))
}

fn read_entry(bytes: &[u8]) -> Option<(RedoEntry, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    let (segment, rest) = rest.split_first_chunk::<8>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    let entry = RedoEntry {
        stream: String::from_utf8(name.to_vec()).ok()?,
        number: u64::from_le_bytes(*segment),
        offset: u64::from_le_bytes(*offset),
        bytes: bytes.to_vec(),
    };
    Some((entry, rest))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn read_epoch(file: &dyn File) -> io::Result<Option<u64>> {
    let head = read_range(file, 0, 20)?;
    let valid = head.len() == 20
        && head.starts_with(MAGIC)
        && crc32fast::hash(&head[..16]).to_le_bytes() == head[16..];
    Ok(valid.then(|| read_u64(&head, 8)))
}

fn file_header(epoch: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&epoch.to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    head
}

/// An epoch that no stale record can have, even if the header was lost: the clock,
/// or the successor of the last epoch if that is ahead of the clock.
fn next_epoch(last: u64) -> u64 {
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64);
    // The largest number can only come from damage; wrapping then yields the clock.
    clock.max(last.wrapping_add(1))
}

/// Writes zeros, so that no later write allocates blocks.
fn preallocate(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 256 * 1024];
    let mut at = from;
    while at < to {
        let len = (to - at).min(zeros.len() as u64);
        file.write_at(&zeros[..len as usize], at)?;
        at += len;
    }
    file.sync()
}
