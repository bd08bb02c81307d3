//! Going through a whole trail to see whether all is well.
//!
//! Every line of every segment is read and checked in full; nothing is written
//! and no lock is taken, so that a trail can be checked while it is written to.
//! Where each stream ends is noted first; what is written later is looked at,
//! but an id is only called missing if a larger one stood before those marks,
//! for ids are given in the order of writing. A line that is unfinished at the
//! end of a stream is looked at once more in the end; one that is finished by
//! then was only being written.
//!
//! What it costs: the time to read and parse everything, and an eighth of a
//! byte of memory an event at the most. Of each thing that is wrong, the first
//! 1,000 are listed and all are counted.

mod ids;
mod report;

pub use ids::Ranges;
pub use report::{CheckReport, Fault, Gap, IndexFinding, IndexState, List, Tail};

use crate::error::Result;
use crate::event::header::{Depth, LineChecker};
use crate::read::cursor::{Cursor, Env};
use crate::read::damage::{Damage, DamageKind, Sink};
use crate::read::filter::{Filter, Matcher};
use crate::read::segments::{Position, Segments};
use crate::store::index_file::{self, IndexContent};
use crate::store::layout::Layout;
use crate::store::lines::Direction;
use crate::store::listing::{self, StreamId};
use crate::store::storage::{Disk, Storage};
use crate::store::times::Times;
use ids::IdSet;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much is read at once.
const BLOCK: usize = 256 * 1024;

/// How long a line may take to be written: far longer than any write.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often progress is told, in events.
const TOLD_EVERY: u64 = 4096;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckProgress {
    /// Bytes that were checked.
    pub bytes: u64,
    /// Bytes that there were in the beginning.
    pub total_bytes: u64,
    /// Events that were found.
    pub events: u64,
}

/// Goes through the trail at `root`. The error is only about what could not be
/// read; whatever is wrong with the trail is in the report.
pub fn check(root: impl Into<PathBuf>) -> Result<CheckReport> {
    check_with(root, |_| {})
}

/// The same, and tells now and then how far it is.
pub fn check_with(
    root: impl Into<PathBuf>,
    progress: impl FnMut(CheckProgress),
) -> Result<CheckReport> {
    check_on(Arc::new(Disk), root, progress)
}

/// The same, on another storage than the machine's file system.
#[allow(clippy::needless_pass_by_value)] // as for the others that take a storage
pub(crate) fn check_on(
    storage: Arc<dyn Storage>,
    root: impl Into<PathBuf>,
    mut progress: impl FnMut(CheckProgress),
) -> Result<CheckReport> {
    let layout = Layout::new(root);
    listing::must_be_there(&*storage, &layout)?;
    TrailCheck {
        storage: &*storage,
        layout: &layout,
        findings: Findings::default(),
        tails: Vec::new(),
        progress: CheckProgress::default(),
        tell: &mut progress,
    }
    .run()
}

struct TrailCheck<'c> {
    storage: &'c dyn Storage,
    layout: &'c Layout,
    findings: Findings,
    /// Unfinished lines, and where their streams ended.
    tails: Vec<(Tail, Position, Segments)>,
    progress: CheckProgress,
    tell: &'c mut dyn FnMut(CheckProgress),
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    report: CheckReport,
    ids: IdSet,
    /// IdSet of events that are not where they should be.
    strays: IdSet,
    /// The largest id that stood before the first marks.
    sure_last: u64,
}

impl Sink for Findings {
    fn damage(&mut self, damage: Damage) {
        let list = match damage.kind {
            DamageKind::NoEvent | DamageKind::Gone => &mut self.report.damaged_lines,
            DamageKind::Misplaced => &mut self.report.misplaced_events,
            DamageKind::Disordered => &mut self.report.disordered_events,
        };
        list.add(Fault {
            path: shown(&damage.path),
            offset: damage.offset,
            event_id: damage.event_id,
            reason: damage.reason,
        });
        if let Some(id) = damage.event_id
            && !self.strays.insert(id)
        {
            self.report.doubled_ids.add(id, id);
        }
    }
}

impl TrailCheck<'_> {
    fn run(mut self) -> Result<CheckReport> {
        let index = index_file::read(self.storage, self.layout);
        // Streams that come up after the marks were set hold what is older too.
        let mut marked = Vec::new();
        for stream in listing::streams(self.storage, self.layout)? {
            let mut cursor = Cursor::new(self.layout, stream, Direction::Forward);
            let sure = cursor.end(self.storage)?;
            marked.push((cursor, sure));
        }
        let (streams, foreign) = listing::streams_and_foreign(self.storage, self.layout)?;
        for path in foreign {
            self.findings.report.foreign_files.add(shown(&path));
        }
        let known: BTreeSet<StreamId> = marked
            .iter()
            .map(|(cursor, _)| cursor.stream.clone())
            .collect();
        for stream in streams {
            if !known.contains(&stream) {
                let cursor = Cursor::new(self.layout, stream, Direction::Forward);
                marked.push((cursor, Position::default()));
            }
        }
        for (cursor, _) in &mut marked {
            let limit = cursor.end(self.storage)?;
            cursor.set_limit(limit);
            self.look_at_segments(cursor)?;
        }
        let begin = Instant::now();
        for (cursor, sure) in marked {
            self.stream(cursor, sure)?;
        }
        self.look_at_tails(begin)?;
        (self.tell)(self.progress);
        self.findings.judge(&index);
        Ok(self.findings.report)
    }

    /// Counts the segments of a stream and looks at their numbers.
    fn look_at_segments(&mut self, cursor: &Cursor) -> Result<()> {
        let segments = cursor.segments();
        let report = &mut self.findings.report;
        report.streams += 1;
        report.segments += segments.len() as u64;
        let mut next = 1;
        for &number in segments.numbers() {
            if number > next {
                report.missing_segments.add(Gap {
                    path: shown(segments.folder()),
                    first: next,
                    last: number - 1,
                });
            }
            next = number.saturating_add(1);
            report.bytes += if number == cursor.limit().number {
                cursor.limit().offset
            } else {
                segments.stat_len(self.storage, number)?.unwrap_or(0)
            };
        }
        self.progress.total_bytes = report.bytes;
        Ok(())
    }

    fn stream(&mut self, mut cursor: Cursor, sure: Position) -> Result<()> {
        let mut matcher = Matcher::new(&Filter::new());
        matcher.depth = Depth::All;
        // Everything is read.
        let times = Times::default();
        let mut checker = LineChecker::default();
        loop {
            let before = cursor.here();
            let mut env = Env {
                storage: self.storage,
                matcher: &matcher,
                times: &times,
                damage: &mut self.findings,
                checker: &mut checker,
                block: BLOCK,
            };
            let found = cursor.next(&mut env)?;
            let here = cursor.here();
            // Of a segment that was finished meanwhile, the rest is not known
            // here; it is little.
            self.progress.bytes += if here.number == before.number {
                here.offset.saturating_sub(before.offset)
            } else {
                here.offset
            };
            let Some(event) = cursor.found().filter(|_| found) else {
                break;
            };
            let id = event.header.event_id;
            self.findings.event(id, event.position < sure);
            self.progress.events += 1;
            if self.progress.events.is_multiple_of(TOLD_EVERY) {
                (self.tell)(self.progress);
            }
        }
        let (here, limit) = (cursor.here(), cursor.limit());
        if here.number == limit.number && here.offset < limit.offset {
            let segments = cursor.into_segments();
            let tail = Tail {
                path: shown(&segments.path(segments.index(limit.number))),
                offset: here.offset,
                bytes: limit.offset - here.offset,
            };
            self.tails.push((tail, limit, segments));
        }
        Ok(())
    }

    /// Which unfinished lines have stayed as they were.
    fn look_at_tails(&mut self, begin: Instant) -> Result<()> {
        if !self.tails.is_empty() {
            sleep(PATIENCE.saturating_sub(begin.elapsed()));
        }
        for (tail, end, mut segments) in self.tails.drain(..) {
            if segments.end(self.storage)? == end {
                self.findings.report.torn_tails.add(tail);
            }
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Findings {
    fn event(&mut self, id: u64, sure: bool) {
        self.report.events += 1;
        self.report.last_event_id = self.report.last_event_id.max(Some(id));
        if sure {
            self.sure_last = self.sure_last.max(id);
        }
        if !self.ids.insert(id) {
            self.report.doubled_ids.add(id, id);
        }
    }

    fn judge(&mut self, index: &Result<IndexContent>) {
        for id in self.strays.iter() {
            // One that stands too high is likely to be wrong itself.
            if id <= self.sure_last && !self.ids.insert(id) {
                self.report.doubled_ids.add(id, id);
            }
        }
        let report = &mut self.report;
        report.missing_ids = self.ids.missing(self.sure_last);
        let last = report.last_event_id.unwrap_or(0);
        let (state, indexed) = match index {
            Ok(IndexContent::Last(id)) => {
                let id = *id;
                let state = match id.cmp(&last) {
                    std::cmp::Ordering::Less => IndexState::Behind,
                    std::cmp::Ordering::Equal => IndexState::Equal,
                    std::cmp::Ordering::Greater => IndexState::Ahead,
                };
                (state, Some(id))
            }
            Ok(IndexContent::Missing) => (IndexState::Missing, None),
            Ok(IndexContent::Unreadable(_)) | Err(_) => (IndexState::Unreadable, None),
        };
        report.index = IndexFinding {
            state,
            last_event_id: indexed,
        };
        report.judge();
    }
}
