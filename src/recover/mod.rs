//! What opening a trail does with what it finds.
//!
//! A trail that says it was closed whole is believed, unless its index was
//! changed since: someone else has written. Otherwise, in this order:
//!
//! 1. The journal is redone: what a synced commit has lost is put back.
//! 2. If the machine was restarted, or a marked batch was not finished, the
//!    events after the last point that is known to be whole are read. Where the
//!    machine was restarted, each segment is cut at the first line that has no
//!    end or has zeros in it, which stand for pages that never reached the
//!    disk. Ids that are in no segment are reported.
//! 3. The tail of every stream's newest segment is looked at. Bytes that are no
//!    whole line, or zeros that a power loss left, are cut off. A whole event
//!    that lacks only its newline gets it. A whole line that is no event was
//!    not torn: it is reported and left as it is.
//! 4. The last id is the largest that any of these has shown.
//! 5. If a sync has failed before, what was not known to be on disk is written
//!    once more, as it is, for the kernel thinks that it is there.
//! 6. All of it is brought to disk, so that whoever opens the trail next need
//!    only look at what came after, and the journal is forgotten.
//!
//! Whatever is cut is first kept, durably, under `.auditrail/torn/`. The whole
//! of it can be repeated: a crash in the midst of it loses nothing.

use crate::error::{Error, Kind, Result};
use crate::event::name::name_fault;
use crate::store::index_file;
use crate::store::journal::{self, RedoEntry};
use crate::store::layout::{Layout, segment_number};
use crate::store::lines::{Lines, event_id, last_line_start};
use crate::store::segment::Stream;
use crate::store::state::{Phase, State};
use crate::store::storage::{Open, Storage, read_range};
use crate::warning::{Warning, WarningKind};
use std::io;
use std::path::{Path, PathBuf};

/// What recovery did, added up.
#[derive(Debug, Default)]
pub(crate) struct RecoveryReport {
    pub warnings: Vec<Warning>,
    pub torn_tails: u64,
    pub torn_bytes: u64,
    pub missing_ids: u64,
}

impl RecoveryReport {
    pub fn warn(&mut self, kind: WarningKind, message: String) {
        // A badly damaged trail must not fill the memory with its complaints.
        if self.warnings.len() < 1000 {
            self.warnings.push(Warning { kind, message });
        }
    }
}

/// Where recovery leaves a trail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub last_id: u64,
    /// Ids up to this one are on disk.
    pub synced_id: u64,
    /// `index.json` does not say the last id.
    pub index_is_stale: bool,
    /// The journal holds what is elsewhere by now.
    pub journal_is_stale: bool,
}

/// Recovers the trail; `state` is what its last writer has left, `boot` the
/// present run of the machine.
pub(crate) fn trail(
    storage: &dyn Storage,
    layout: &Layout,
    state: Option<&State>,
    boot: &str,
    report: &mut RecoveryReport,
) -> Result<Recovered> {
    let index = index_file::read(storage, layout)?;
    if let (Some(state), index_file::IndexContent::Last(last)) = (state, &index)
        && state.phase == Phase::Clean
        && state.written == *last
    {
        return Ok(Recovered {
            last_id: *last,
            synced_id: state.synced,
            index_is_stale: false,
            journal_is_stale: false,
        });
    }
    let indexed = match &index {
        index_file::IndexContent::Last(last) => *last,
        index_file::IndexContent::Missing => 0,
        index_file::IndexContent::Unreadable(why) => {
            report.warn(
                WarningKind::IndexRebuilt,
                format!("{} cannot be read: {why}", layout.index().display()),
            );
            0
        }
    };
    let journaled = redo(storage, layout, report)?;
    let mut last_id = indexed.max(journaled.unwrap_or(0));
    if let Some(state) = state {
        let same_boot = !boot.is_empty() && state.boot == boot;
        let whole = if same_boot {
            state.written
        } else {
            state.synced.max(journaled.unwrap_or(0))
        };
        last_id = last_id.max(whole);
        if state.phase != Phase::Clean && (!same_boot || state.phase == Phase::Busy) {
            let (found, given) = since(storage, layout, whole, !same_boot, report)?;
            last_id = report_missing(whole, last_id.max(given), found, report);
        }
    }
    last_id = last_id.max(tails(storage, layout, report)?);
    if let Some(state) = state.filter(|state| state.sync_failed) {
        rewrite(storage, layout, state.synced)?;
    }
    // What was found and put back must not be lost to the next failure, for
    // nobody would look for it again. Nor may the folders, whoever made them.
    storage
        .sync_all(layout.root())
        .map_err(|e| Error::io("sync", layout.root(), &e))?;
    if index == index_file::IndexContent::Missing
        && last_id > 0
        && state.is_some_and(|s| s.phase == Phase::Clean)
    {
        report.warn(
            WarningKind::IndexRebuilt,
            format!("{} was missing", layout.index().display()),
        );
    }
    Ok(Recovered {
        last_id,
        synced_id: last_id,
        index_is_stale: index != index_file::IndexContent::Last(last_id),
        journal_is_stale: journaled.is_some(),
    })
}

/// Where a stream goes on, after its tail was looked at, and its last id (0:
/// none was found).
pub(crate) fn stream(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    report: &mut RecoveryReport,
) -> Result<(Stream, u64)> {
    let numbers = segments(storage, layout, name)?;
    let Some(&newest) = numbers.last() else {
        return Ok((Stream::new(name), 0));
    };
    let (len, mut last) = tail(storage, layout, name, newest, report)?;
    // A segment that was opened and not yet written to says nothing.
    for &number in numbers.iter().rev().skip(1) {
        if last.is_some() {
            break;
        }
        last = tail(storage, layout, name, number, report)?.1;
    }
    Ok((Stream::at(name, newest, len), last.unwrap_or(0)))
}

/// Looks at the tails of all streams; says the largest id.
pub(crate) fn tails(
    storage: &dyn Storage,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> Result<u64> {
    let mut last = 0;
    for name in streams(storage, layout)? {
        last = last.max(stream(storage, layout, &name, report)?.1);
    }
    Ok(last)
}

/// The names of all streams, in no order.
fn streams(storage: &dyn Storage, layout: &Layout) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for domain in folders(storage, layout.root())? {
        for category in folders(storage, &layout.domain(&domain))? {
            names.push(format!("{domain}/{category}"));
        }
    }
    Ok(names)
}

fn folders(storage: &dyn Storage, parent: &Path) -> Result<Vec<String>> {
    let entries = storage
        .list(parent)
        .map_err(|e| Error::io("list", parent, &e))?;
    Ok(entries
        .into_iter()
        .filter(|entry| entry.is_dir && name_fault(entry.name.as_bytes()).is_none())
        .map(|entry| entry.name)
        .collect())
}

/// The numbers of a stream's segments, rising.
fn segments(storage: &dyn Storage, layout: &Layout, name: &str) -> Result<Vec<u64>> {
    let folder = layout.stream(name);
    let entries = match storage.list(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", &folder, &e)),
    };
    let mut numbers: Vec<u64> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| segment_number(&entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Mends the tail of a segment; says its length and the id of its last event.
fn tail(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    number: u64,
    report: &mut RecoveryReport,
) -> Result<(u64, Option<u64>)> {
    let path = layout.segment(name, number);
    let failed = |e: io::Error| Error::io("read", &path, &e);
    let file = storage
        .open(&path, Open::Read)
        .map_err(|e| Error::io("open", &path, &e))?;
    let len = file.stat().map_err(failed)?.len;
    let mut keep = len;
    let mut lacks_newline = false;
    let mut last = None;
    // From the end on, line by line, until one is an event.
    let mut end = len;
    while end > 0 && last.is_none() {
        let start = last_line_start(&*file, end).map_err(failed)?;
        let line = crate::store::lines::read_line(&*file, start, end).map_err(failed)?;
        let (whole, text) = match line.split_last() {
            Some((b'\n', text)) => (true, text),
            _ => (false, &line[..]),
        };
        if let Some(id) = event_id(text) {
            last = Some(id);
            lacks_newline = !whole;
        } else if keep == end && (!whole || text.contains(&0)) {
            keep = start;
        } else if !text.iter().all(u8::is_ascii_whitespace) {
            report.warn(
                WarningKind::DamagedLine,
                format!("{} holds no event at byte {start}", path.display()),
            );
        }
        end = start;
    }
    if keep < len {
        cut(storage, layout, &path, keep, len, report)?;
    }
    if lacks_newline {
        end_line(storage, &path)?;
        keep += 1;
    }
    Ok((keep, last))
}

/// Gives the last line of a segment the newline that it lacks.
fn end_line(storage: &dyn Storage, path: &Path) -> Result<()> {
    storage
        .open(path, Open::Append)
        .and_then(|file| file.append(b"\n"))
        .map_err(|e| Error::io("append to", path, &e))
}

/// Cuts `keep..len` off the file, after it was kept aside.
fn cut(
    storage: &dyn Storage,
    layout: &Layout,
    path: &Path,
    keep: u64,
    len: u64,
    report: &mut RecoveryReport,
) -> Result<()> {
    let file = storage
        .open(path, Open::Update)
        .map_err(|e| Error::io("open", path, &e))?;
    let mut torn = QuarantineFile::new(storage, layout, path, keep)?;
    let mut at = keep;
    while at < len {
        let bytes = read_range(&*file, at, 256 * 1024).map_err(|e| Error::io("read", path, &e))?;
        if bytes.is_empty() {
            break;
        }
        torn.write(&bytes)?;
        at += bytes.len() as u64;
    }
    let kept = torn.finish(storage, layout)?;
    file.set_len(keep)
        .and_then(|()| file.sync())
        .map_err(|e| Error::io("cut", path, &e))?;
    report.torn_tails += 1;
    report.torn_bytes += len - keep;
    report.warn(
        WarningKind::TornTail,
        format!(
            "{} bytes from byte {keep} of {} were no whole event; they are kept in {}",
            len - keep,
            path.display(),
            kept.display()
        ),
    );
    Ok(())
}

/// A file under `.auditrail/torn/` for bytes that are taken out of a segment.
/// Its name says which segment and from which byte on.
struct QuarantineFile {
    path: PathBuf,
    file: std::sync::Arc<dyn crate::store::storage::File>,
    len: u64,
}

impl QuarantineFile {
    fn new(storage: &dyn Storage, layout: &Layout, segment: &Path, offset: u64) -> Result<Self> {
        let folder = layout.hidden_file("torn");
        match storage.create_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create the folder", &folder, &e));
            }
            _ => {}
        }
        let stem: Vec<_> = segment
            .strip_prefix(layout.root())
            .unwrap_or(segment)
            .iter()
            .map(|part| part.to_string_lossy())
            .collect();
        let stem = format!("{}-at-{offset}", stem.join("-"));
        for attempt in 1_u32.. {
            let path = folder.join(if attempt == 1 {
                stem.clone()
            } else {
                format!("{stem}-{attempt}")
            });
            match storage.stat(&path) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let file = storage
                        .open(&path, Open::Create)
                        .map_err(|e| Error::io("create", &path, &e))?;
                    return Ok(Self { path, file, len: 0 });
                }
                Err(e) => return Err(Error::io("look at", &path, &e)),
            }
        }
        Err(Error::new(
            Kind::Corrupt,
            format!("{} has no free name left", folder.display()),
        ))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(bytes, self.len)
            .map_err(|e| Error::io("write", &self.path, &e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(self, storage: &dyn Storage, layout: &Layout) -> Result<PathBuf> {
        self.file
            .sync()
            .and_then(|()| storage.sync_dir(&layout.hidden_file("torn")))
            .and_then(|()| storage.sync_dir(&layout.hidden()))
            .map_err(|e| Error::io("sync", &self.path, &e))?;
        Ok(self.path)
    }
}

/// Redoes the journal; says the last id that it holds, if it holds any.
fn redo(
    storage: &dyn Storage,
    layout: &Layout,
    report: &mut RecoveryReport,
) -> Result<Option<u64>> {
    let mut redone = 0;
    let last = journal::replay(storage, layout, |entry| {
        redone += redo_entry(storage, layout, &entry, report)?;
        Ok(())
    })?;
    if redone > 0 {
        report.warn(
            WarningKind::Redone,
            format!("{redone} bytes of synced events were put back from the journal"),
        );
    }
    Ok(last)
}

/// Puts a entry where it was written to; says how many bytes had been lost.
fn redo_entry(
    storage: &dyn Storage,
    layout: &Layout,
    entry: &RedoEntry,
    report: &mut RecoveryReport,
) -> Result<u64> {
    let names: Vec<&str> = entry.stream.split('/').collect();
    let (&[domain, category], true) = (&names[..], entry.number > 0) else {
        return Err(bad_entry(layout, entry));
    };
    if name_fault(domain.as_bytes()).is_some() || name_fault(category.as_bytes()).is_some() {
        return Err(bad_entry(layout, entry));
    }
    for folder in [layout.domain(domain), layout.stream(&entry.stream)] {
        match storage.create_dir(&folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create the folder", &folder, &e));
            }
            _ => {}
        }
    }
    let path = layout.segment(&entry.stream, entry.number);
    let failed = |e: io::Error| Error::io("redo", &path, &e);
    let file = storage.open(&path, Open::Create).map_err(failed)?;
    let len = file.stat().map_err(failed)?.len;
    let there = read_range(&*file, entry.offset, entry.bytes.len()).map_err(failed)?;
    if there == entry.bytes {
        return Ok(0);
    }
    let lost = there
        .iter()
        .zip(&entry.bytes)
        .all(|(there, journaled)| there == journaled || *there == 0);
    if len < entry.offset || !lost {
        // Not what a power loss leaves: someone has written there, or cut.
        let mut aside = QuarantineFile::new(storage, layout, &path, entry.offset)?;
        aside.write(&entry.bytes)?;
        let kept = aside.finish(storage, layout)?;
        report.warn(
            WarningKind::DamagedLine,
            format!(
                "{} was changed from outside at byte {}; the synced events of that place are kept in {}",
                path.display(),
                entry.offset,
                kept.display()
            ),
        );
        return Ok(0);
    }
    file.write_at(&entry.bytes, entry.offset).map_err(failed)?;
    Ok(entry.bytes.len() as u64)
}

fn bad_entry(layout: &Layout, entry: &RedoEntry) -> Error {
    Error::new(
        Kind::Corrupt,
        format!(
            "{} names the stream {:?}, segment {}, which cannot be",
            layout.hidden_file("journal").display(),
            entry.stream,
            entry.number
        ),
    )
}

/// Reads all events after id `whole`; says their ids, as rising runs, and the
/// largest that was given, which may be that of an event that was cut. With
/// `may_be_torn`, cuts each segment where, after that id, a loss of power has
/// left a hole in it or no end of a line.
fn since(
    storage: &dyn Storage,
    layout: &Layout,
    whole: u64,
    may_be_torn: bool,
    report: &mut RecoveryReport,
) -> Result<(Vec<(u64, u64)>, u64)> {
    let mut runs = Vec::new();
    let mut given = 0;
    for name in streams(storage, layout)? {
        for number in segments_after(storage, layout, &name, whole)? {
            let path = layout.segment(&name, number);
            let mut lines = Lines::open(storage, &path)?;
            let mut torn_at = None;
            let mut lacks_newline = false;
            while let Some(line) = lines.next()? {
                match event_id(line.text) {
                    // Damage before an event that was on disk has another cause.
                    Some(id) if id <= whole => torn_at = None,
                    Some(id) if torn_at.is_none() => {
                        add_run(&mut runs, id);
                        lacks_newline = !line.whole;
                    }
                    None if line.text.contains(&0) || !line.whole => {
                        torn_at = torn_at.or(Some(line.offset));
                    }
                    // Behind a hole.
                    Some(id) => given = given.max(id),
                    // Damage of another cause, not ours to cut.
                    None => {}
                }
            }
            match torn_at.filter(|_| may_be_torn) {
                Some(offset) => cut(storage, layout, &path, offset, lines.file_len()?, report)?,
                None if lacks_newline => end_line(storage, &path)?,
                None => {}
            }
        }
    }
    runs.sort_unstable();
    Ok((runs, given))
}

/// The segments of a stream, rising, that can hold events after id `whole`.
fn segments_after(
    storage: &dyn Storage,
    layout: &Layout,
    name: &str,
    whole: u64,
) -> Result<Vec<u64>> {
    let mut numbers = segments(storage, layout, name)?;
    let mut from = numbers.len();
    while from > 0 {
        from -= 1;
        let mut lines = Lines::open(storage, &layout.segment(name, numbers[from]))?;
        if matches!(lines.next()?, Some(line) if event_id(line.text).is_some_and(|id| id <= whole))
        {
            break;
        }
    }
    numbers.drain(..from);
    Ok(numbers)
}

/// Writes the segments that can hold events after id `whole` once more, as they
/// are: after a failed sync, the kernel has forgotten that it should.
fn rewrite(storage: &dyn Storage, layout: &Layout, whole: u64) -> Result<()> {
    for name in streams(storage, layout)? {
        for number in segments_after(storage, layout, &name, whole)? {
            let path = layout.segment(&name, number);
            let failed = |e: io::Error| Error::io("rewrite", &path, &e);
            let file = storage.open(&path, Open::Update).map_err(failed)?;
            let mut at = 0;
            loop {
                let bytes = read_range(&*file, at, 256 * 1024).map_err(failed)?;
                if bytes.is_empty() {
                    break;
                }
                file.write_at(&bytes, at).map_err(failed)?;
                at += bytes.len() as u64;
            }
        }
    }
    Ok(())
}

fn add_run(runs: &mut Vec<(u64, u64)>, id: u64) {
    match runs.last_mut() {
        Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
        _ => runs.push((id, id)),
    }
}

/// Reports the ids after `whole` that are in no run; says the largest id.
fn report_missing(
    whole: u64,
    known: u64,
    runs: Vec<(u64, u64)>,
    report: &mut RecoveryReport,
) -> u64 {
    // All ids up to this one are known of. The largest there is may be among them.
    let mut seen = whole;
    let mut holes = Vec::new();
    for (first, last) in runs {
        if first > seen && first - seen > 1 {
            holes.push((seen + 1, first - 1));
        }
        seen = seen.max(last);
    }
    if seen < known {
        holes.push((seen + 1, known));
        seen = known;
    }
    for (first, last) in holes {
        report.missing_ids += last - first + 1;
        report.warn(
            WarningKind::MissingIds,
            format!("the events {first} to {last} were lost in a crash"),
        );
    }
    seen
}
