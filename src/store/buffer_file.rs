//! `.auditrail/buffer-1` and `buffer-2`: accepted events of a MAPPED writer that are not
//! yet in their segments.
//!
//! The files are mapped shared, so that what is written to them is the kernel's at once,
//! and outlives the process. Each holds the events of one batch: one batch collects while
//! the other is being flushed. All numbers are little endian.
//!
//! ```text
//! 0     auditrail-buffer 1 <boot> <crc-32 of all before it, in hex>, blanks, newline: 512 bytes
//! 512   bytes of records that count (8 bytes); 0 once they are in the segments
//! 4096  records: crc-32 of what follows up to the body (4), crc-32 of the body (4), its
//!       length (4), event id (8), length of the stream's name (2), name; body (the
//!       line behind the id)
//! ```
//!
//! The records are written first, then the number of bytes that count, with one store:
//! so a process that is killed leaves whole records only, and those of a batch all or
//! none. After a restart of the machine the files say nothing: a part of their pages may
//! never have reached the disk.

use crate::error::{Error, Kind, Result};
use crate::limits::{MAX_BUFFER_BYTES, MAX_STREAM_NAME_BYTES};
use crate::store::layout::Layout;
use crate::store::storage::{Mapping, Open, Storage, open_file, open_if_exists, read_range};
use std::io;

const MAGIC: &str = "auditrail-buffer 1";
const HEADER_LEN: usize = 512;
const END_AT: usize = 512;
const RECORDS_AT: usize = 4096;

/// Bytes of a record besides name and body.
const RECORD_HEAD: usize = 22;

/// Bytes of records that a file may hold: the largest buffer, and what its records take
/// besides the bodies.
const MAX_RECORDS: usize = MAX_BUFFER_BYTES / 8 * 9;

/// How much is written at once when a file is filled with zeros.
const FILL: usize = 256 * 1024;

pub(crate) const NAMES: [&str; 2] = ["buffer-1", "buffer-2"];

/// One file, mapped.
#[derive(Debug)]
pub(crate) struct BufferFile {
    mapping: Box<dyn Mapping>,
    /// Bytes that records may take, and that they take.
    capacity: usize,
    len: usize,
}

/// The bytes of a record.
pub(crate) fn record_len(stream: &str, body: usize) -> usize {
    RECORD_HEAD + stream.len() + body
}

impl BufferFile {
    /// Makes the file anew, for records of `capacity` bytes. Its blocks are allocated and
    /// its pages are in memory when this returns.
    pub fn create(
        storage: &dyn Storage,
        layout: &Layout,
        name: &str,
        boot: &str,
        capacity: usize,
    ) -> Result<Self> {
        let path = layout.hidden_file(name);
        let failed = |e: io::Error| Error::io("make", &path, &e);
        let file = open_file(storage, &path, Open::CreatePrivate)?;
        file.set_len(0).map_err(failed)?;
        let len = RECORDS_AT + capacity;
        let zeros = vec![0; FILL.min(len)];
        let mut at = 0;
        while at < len {
            let part = FILL.min(len - at);
            file.write_at(&zeros[..part], at as u64).map_err(failed)?;
            at += part;
        }
        file.write_at(&header(boot), 0).map_err(failed)?;
        let mapping = file.map(len).map_err(|e| match e.kind() {
            io::ErrorKind::Unsupported => Error::new(
                Kind::Unsupported,
                format!("MAPPED is not reliable for {}: {e}", path.display()),
            ),
            _ => Error::io("map", &path, &e),
        })?;
        Ok(Self {
            mapping,
            capacity,
            len: 0,
        })
    }

    /// The most bytes that records may take.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether records of this many bytes fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.capacity - self.len
    }

    /// Writes a record, for which there is room; `body_crc` is the checksum of the body,
    /// which threads compute before they wait for each other. It counts once it is
    /// published. Returns where the body is, for [`BufferFile::read`].
    pub fn push(&mut self, id: u64, stream: &str, body: &[u8], body_crc: u32) -> usize {
        let mut head = [0; RECORD_HEAD + MAX_STREAM_NAME_BYTES];
        head[4..8].copy_from_slice(&body_crc.to_le_bytes());
        head[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[12..20].copy_from_slice(&id.to_le_bytes());
        head[20..22].copy_from_slice(&(stream.len() as u16).to_le_bytes());
        let head_len = RECORD_HEAD + stream.len();
        head[RECORD_HEAD..head_len].copy_from_slice(stream.as_bytes());
        let crc = crc32fast::hash(&head[4..head_len]);
        head[..4].copy_from_slice(&crc.to_le_bytes());
        let at = RECORDS_AT + self.len;
        self.mapping.write(at, &head[..head_len]);
        self.mapping.write(at + head_len, body);
        self.len += head_len + body.len();
        at + head_len
    }

    /// Copies bytes of a body.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        self.mapping.read(at, to);
    }

    /// Makes the records written so far count.
    pub fn publish(&mut self) {
        self.mapping.store(END_AT, self.len as u64);
    }

    /// Empties the file: its events are in their segments.
    pub fn clear(&mut self) {
        self.len = 0;
        self.publish();
    }
}

fn header(boot: &str) -> Vec<u8> {
    let text = format!("{MAGIC} {boot}");
    let mut line = format!("{text} {:08x}", crc32fast::hash(text.as_bytes())).into_bytes();
    line.resize(HEADER_LEN - 1, b' ');
    line.push(b'\n');
    line
}

/// An event that a killed writer has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BufferedEvent {
    pub id: u64,
    pub stream: String,
    pub body: Vec<u8>,
    /// Where its record is.
    pub offset: u64,
}

/// Who has made a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There is none, or it was not finished.
    #[default]
    Nobody,
    /// A writer, since the machine was started.
    ThisBoot,
    /// A writer, before that.
    AnotherBoot,
    /// No writer.
    Unknown,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct BufferContent {
    pub origin: Origin,
    pub events: Vec<BufferedEvent>,
    /// Where records begin that cannot be read, and the bytes from there on that count.
    pub unreadable: Option<(u64, Vec<u8>)>,
}

/// Reads what a writer has left in the file. An error if events count and `boot` is empty:
/// whether they may be damaged is not known.
pub(crate) fn read(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    boot: &str,
) -> Result<BufferContent> {
    let path = layout.hidden_file(name);
    let failed = |e: io::Error| Error::io("read", &path, &e);
    let from = |origin| BufferContent {
        origin,
        ..BufferContent::default()
    };
    let Some(file) = open_if_exists(storage, &path, Open::Read)? else {
        return Ok(from(Origin::Nobody));
    };
    if !file.stat().map_err(failed)?.is_file {
        return Ok(from(Origin::Unknown));
    }
    let found = read_range(&*file, 0, HEADER_LEN).map_err(failed)?;
    if found.iter().all(|&byte| byte == 0) {
        return Ok(from(Origin::Nobody));
    }
    let Some(made_in) = boot_of(&found) else {
        return Ok(from(Origin::Unknown));
    };
    let end = read_range(&*file, END_AT as u64, 8).map_err(failed)?;
    let end = end.try_into().map_or(0, u64::from_le_bytes);
    let len = usize::try_from(end).unwrap_or(usize::MAX).min(MAX_RECORDS);
    let records = read_range(&*file, RECORDS_AT as u64, len).map_err(failed)?;
    let mut content = parse(&records, end);
    if boot.is_empty() && end > 0 {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "{} holds events that a killed writer has accepted, and whether the machine was \
                 restarted since cannot be found out",
                path.display()
            ),
        ));
    }
    content.origin = if made_in == boot {
        Origin::ThisBoot
    } else {
        Origin::AnotherBoot
    };
    Ok(content)
}

/// The boot in a header; `None` if it is none.
fn boot_of(found: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(found).ok()?;
    let (boot, _) = text
        .strip_prefix(MAGIC)?
        .strip_prefix(' ')?
        .split_once(' ')?;
    (header(boot) == found).then_some(boot)
}

/// Parses records of which `end` bytes count.
fn parse(records: &[u8], end: u64) -> BufferContent {
    let mut content = BufferContent::default();
    let mut rest = records;
    while !rest.is_empty() {
        let offset = (RECORDS_AT + records.len() - rest.len()) as u64;
        match record(rest, offset) {
            Some((event, len)) => {
                content.events.push(event);
                rest = &rest[len..];
            }
            None => break,
        }
    }
    let read = records.len() - rest.len();
    if (read as u64) < end {
        content.unreadable = Some(((RECORDS_AT + read) as u64, rest.to_vec()));
    }
    content
}

/// The first record, which is at this offset of the file, and its length.
fn record(bytes: &[u8], offset: u64) -> Option<(BufferedEvent, usize)> {
    let crc = u32::from_le_bytes(*bytes.first_chunk()?);
    let body_crc = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let body_len = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
    let id = u64::from_le_bytes(*bytes.get(12..)?.first_chunk()?);
    let name_len = usize::from(u16::from_le_bytes(*bytes.get(20..)?.first_chunk()?));
    let body_at = RECORD_HEAD + name_len;
    let len = body_at.checked_add(body_len)?;
    let body = bytes.get(body_at..len)?;
    if crc32fast::hash(&bytes[4..body_at]) != crc || crc32fast::hash(body) != body_crc {
        return None;
    }
    let event = BufferedEvent {
        id,
        stream: String::from_utf8(bytes[RECORD_HEAD..body_at].to_vec()).ok()?,
        body: body.to_vec(),
        offset,
    };
    Some((event, len))
}

/// Removes the files, whose events are in their segments.
pub(crate) fn discard(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    for name in NAMES {
        let path = layout.hidden_file(name);
        match storage.remove(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("remove", &path, &e)),
        }
    }
    Ok(())
}
