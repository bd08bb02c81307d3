//! The check of a whole trail.
//!
//! Every line of every segment is read and checked completely; nothing is written
//! and no lock is taken, so that a trail can be checked while it is written to. The
//! check first takes a snapshot of where each stream ends. What is written later is
//! checked too, but an id counts as missing only if a larger one is in the
//! snapshot: ids are given in the order of writing, so a smaller one must have been
//! written before. A line that is unfinished at the end of a stream is checked
//! again at the end; if its stream has grown by then, it was only being written.
//!
//! A trail whose old segments were deleted or moved away is told from a damaged one by
//! a bound: [`CheckOptions::pruned_before`].
//!
//! It takes the time to read and parse everything, and memory of at most an eighth
//! of a byte per event, unless ids are scattered by damage. Of each kind of fault,
//! all are counted and the first 1,000 are listed. If ids stand twice, the trail is
//! read again to say where.

mod absent;
mod doubled;
mod findings;
mod ids;
mod report;

pub use ids::Ranges;
pub use report::{
    CheckReport, DoubledEvent, Fault, Gap, IndexFinding, IndexState, LinePlace, List, Tail,
};

use crate::error::Result;
use crate::event::header::{Depth, LineChecker};
use crate::read::cursor::{Cursor, CursorContext};
use crate::read::filter::{Filter, Matcher};
use crate::read::segments::{Position, Segments};
use crate::store::index_file;
use crate::store::layout::Layout;
use crate::store::lines::Direction;
use crate::store::listing::{self, StreamId};
use crate::store::state::{self, Phase};
use crate::store::storage::{Disk, Open, Storage, open_if_exists};
use crate::store::times::Times;
use absent::missing_numbers;
use findings::{Findings, path_text};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much to read at once, in bytes.
const BLOCK: usize = 256 * 1024;

/// How long a line may take to be written: far longer than any write takes.
const WRITE_GRACE: Duration = Duration::from_millis(50);

/// How many events there are between two reports of progress.
const PROGRESS_INTERVAL: u64 = 4096;

/// The progress of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckProgress {
    /// Bytes checked so far.
    pub bytes: u64,
    /// Bytes in the trail when the check began.
    pub total_bytes: u64,
    /// Events found so far.
    pub events: u64,
}

/// How a trail is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    first_id: u64,
}

impl CheckOptions {
    /// Nothing may be missing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Events before this one may be missing, because they were pruned, and so may the
    /// segments that held no others. What is missing from it on is a fault; what is
    /// there is checked, whatever its id. 0 and 1: nothing may be missing.
    #[must_use]
    pub fn pruned_before(mut self, first_id: u64) -> Self {
        self.first_id = first_id;
        self
    }

    /// Checks the trail at `root`, and reports progress now and then. It fails only if
    /// something cannot be read; whatever is wrong with the trail is in the report.
    pub fn run(
        &self,
        root: impl Into<PathBuf>,
        progress: impl FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        check_on(Arc::new(Disk), root, *self, progress)
    }
}

/// Checks the trail at `root`. It fails only if something cannot be read; whatever
/// is wrong with the trail is in the report.
pub fn check(root: impl Into<PathBuf>) -> Result<CheckReport> {
    check_with(root, |_| {})
}

/// The same, and reports progress now and then.
pub fn check_with(
    root: impl Into<PathBuf>,
    progress: impl FnMut(CheckProgress),
) -> Result<CheckReport> {
    CheckOptions::new().run(root, progress)
}

/// The same, on another storage than the machine's file system.
#[allow(clippy::needless_pass_by_value)] // as for the others that take a storage
pub(crate) fn check_on(
    storage: Arc<dyn Storage>,
    root: impl Into<PathBuf>,
    options: CheckOptions,
    mut progress: impl FnMut(CheckProgress),
) -> Result<CheckReport> {
    let layout = Layout::new(root);
    listing::require_trail(&*storage, &layout)?;
    TrailCheck {
        storage: &*storage,
        layout: &layout,
        findings: Findings::new(options.first_id),
        tails: Vec::new(),
        recorded_times: Times::read(&*storage, &layout),
        progress: CheckProgress::default(),
        on_progress: &mut progress,
    }
    .run()
}

struct TrailCheck<'c> {
    storage: &'c dyn Storage,
    layout: &'c Layout,
    findings: Findings,
    /// Unfinished lines, and where their streams ended.
    tails: Vec<(Tail, Position, Segments)>,
    /// What `.auditrail/times` says.
    recorded_times: Times,
    progress: CheckProgress,
    on_progress: &'c mut dyn FnMut(CheckProgress),
}

/// Between which times the events of a segment are.
struct SegmentTimes {
    /// 0: none was met yet.
    number: u64,
    min: i64,
    max: i64,
}

impl Default for SegmentTimes {
    fn default() -> Self {
        Self::of(0)
    }
}

impl SegmentTimes {
    fn of(number: u64) -> Self {
        Self {
            number,
            min: i64::MAX,
            max: i64::MIN,
        }
    }

    fn add(&mut self, timestamp: i64) {
        self.min = self.min.min(timestamp);
        self.max = self.max.max(timestamp);
    }
}

/// Takes the gaps before this number from the numbers that are missing.
fn gaps_before(
    number: u64,
    missing: &mut VecDeque<(u64, u64)>,
    folder: &str,
) -> impl Iterator<Item = Gap> {
    let count = missing.partition_point(|&(_, last)| last < number);
    missing.drain(..count).map(move |(first, last)| Gap {
        path: folder.to_owned(),
        first,
        last,
    })
}

impl TrailCheck<'_> {
    fn run(mut self) -> Result<CheckReport> {
        // Before the segments: what is recorded then is in them.
        let recorded_id = self.recorded_id();
        let index = index_file::read(self.storage, self.layout);
        // A stream that is created after the snapshot may contain ids that are
        // smaller than those of the snapshot, so it is checked too.
        let mut cursors = Vec::new();
        for stream in listing::streams(self.storage, self.layout)? {
            let mut cursor = Cursor::new(self.layout, stream, Direction::Forward);
            let snapshot_end = cursor.stream_end(self.storage)?;
            cursors.push((cursor, snapshot_end));
        }
        let (streams, foreign) = listing::streams_and_foreign(self.storage, self.layout)?;
        for path in foreign {
            self.findings
                .report
                .foreign_files
                .add(path_text(&self.layout.as_given(&path)));
        }
        let known: BTreeSet<StreamId> = cursors
            .iter()
            .map(|(cursor, _)| cursor.stream.clone())
            .collect();
        for stream in streams {
            if !known.contains(&stream) {
                let cursor = Cursor::new(self.layout, stream, Direction::Forward);
                cursors.push((cursor, Position::default()));
            }
        }
        for (cursor, _) in &mut cursors {
            let limit = cursor.stream_end(self.storage)?;
            cursor.set_limit(limit);
            self.count_segments(cursor)?;
        }
        let begin = Instant::now();
        for (cursor, snapshot_end) in cursors {
            self.check_stream(cursor, snapshot_end)?;
        }
        self.recheck_tails(begin)?;
        (self.on_progress)(self.progress);
        self.findings.conclude(&index, recorded_id);
        let doubled = self.findings.doubled_ids();
        if !doubled.is_empty() {
            self.findings.report.doubled_events =
                doubled::find(self.storage, self.layout, doubled)?;
        }
        Ok(self.findings.report)
    }

    /// The last id that the trail had for certain when its last writer wrote the state:
    /// at a clean close, or at the last sync.
    fn recorded_id(&self) -> u64 {
        match state::read_state(self.storage, self.layout) {
            Ok(Some(state)) if state.phase == Phase::Clean => state.written,
            Ok(Some(state)) => state.synced,
            Ok(None) | Err(_) => 0,
        }
    }

    /// Reports a segment whose recorded range of times leaves out some of its events.
    fn check_times(&mut self, cursor: &Cursor, seen: &SegmentTimes) -> Result<()> {
        if seen.number >= cursor.limit().number {
            // Only full segments have one.
            return Ok(());
        }
        let segments = cursor.segments();
        let path = segments.path(segments.index_of(seen.number));
        let Some(file) = open_if_exists(self.storage, &path, Open::Read)? else {
            return Ok(());
        };
        let name = cursor.stream.name();
        if let Some(recorded) = self.recorded_times.lookup(&name, seen.number, &*file)
            && (seen.min < recorded.min || seen.max > recorded.max)
        {
            self.findings.report.false_times.add(Fault {
                path: path_text(&self.layout.as_given(&path)),
                offset: 0,
                event_id: None,
                reason: format!(
                    "its events are of {} to {}, but {} to {} is recorded",
                    seen.min, seen.max, recorded.min, recorded.max
                ),
            });
        }
        Ok(())
    }

    /// Counts the segments of a stream and their bytes.
    fn count_segments(&mut self, cursor: &Cursor) -> Result<()> {
        let segments = cursor.segments();
        let report = &mut self.findings.report;
        report.streams += 1;
        report.segments += segments.len() as u64;
        for &number in segments.numbers() {
            report.bytes += if number == cursor.limit().number {
                cursor.limit().offset
            } else {
                segments.segment_len(self.storage, number)?.unwrap_or(0)
            };
        }
        self.progress.total_bytes = report.bytes;
        Ok(())
    }

    fn check_stream(&mut self, mut cursor: Cursor, snapshot_end: Position) -> Result<()> {
        let mut matcher = Matcher::new(&Filter::new());
        matcher.depth = Depth::All;
        // No times: no segment is skipped.
        let times = Times::default();
        let mut checker = LineChecker::strict();
        let mut seen = SegmentTimes::default();
        let mut missing = missing_numbers(cursor.segments());
        let folder = path_text(&self.layout.as_given(cursor.segments().folder()));
        let mut last_id = 0;
        loop {
            let before = cursor.position();
            let mut context = CursorContext {
                storage: self.storage,
                matcher: &matcher,
                times: &times,
                damage: &mut self.findings,
                checker: &mut checker,
                block: BLOCK,
            };
            let found = cursor.next(&mut context)?;
            let position = cursor.position();
            // If the cursor has gone to the next segment, the little that it read of
            // the one before is not counted.
            self.progress.bytes += if position.number == before.number {
                position.offset.saturating_sub(before.offset)
            } else {
                position.offset
            };
            let Some(event) = cursor.found().filter(|_| found) else {
                break;
            };
            let (header, position) = (event.header, event.position);
            self.findings
                .add_event(header.event_id, position < snapshot_end);
            if position.number != seen.number {
                self.check_times(&cursor, &seen)?;
                let before = gaps_before(position.number, &mut missing, &folder);
                self.findings.judge(before, last_id, header.event_id);
                seen = SegmentTimes::of(position.number);
            }
            last_id = header.event_id;
            seen.add(header.timestamp);
            self.progress.events += 1;
            if self.progress.events.is_multiple_of(PROGRESS_INTERVAL) {
                (self.on_progress)(self.progress);
            }
        }
        self.check_times(&cursor, &seen)?;
        let rest = gaps_before(u64::MAX, &mut missing, &folder);
        self.findings.judge(rest, last_id, u64::MAX);
        let (position, limit) = (cursor.position(), cursor.limit());
        if position.number == limit.number && position.offset < limit.offset {
            let segments = cursor.into_segments();
            let tail = Tail {
                path: path_text(
                    &self
                        .layout
                        .as_given(&segments.path(segments.index_of(limit.number))),
                ),
                offset: position.offset,
                bytes: limit.offset - position.offset,
            };
            self.tails.push((tail, limit, segments));
        }
        Ok(())
    }

    /// Reports the unfinished lines whose streams have not changed.
    fn recheck_tails(&mut self, begin: Instant) -> Result<()> {
        if !self.tails.is_empty() {
            sleep(WRITE_GRACE.saturating_sub(begin.elapsed()));
        }
        for (tail, end, mut segments) in self.tails.drain(..) {
            if segments.current_end(self.storage)? == end {
                self.findings.report.torn_tails.add(tail);
            }
        }
        Ok(())
    }
}
