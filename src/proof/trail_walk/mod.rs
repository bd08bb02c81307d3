//! All lines of a trail, merged by id over its streams, as they are in the files.
//!
//! No line is trusted. Within a stream ids must rise; a line whose id does not, or
//! that has none, is returned as soon as it is met and is marked, and the lines
//! around it keep their order. What a marked line means is decided by `check`.
//!
//! A file is open only while a block of it is read, so that the number of streams is
//! not limited by that of descriptors. Memory is one block a stream, smaller where
//! there are many streams, and more only for a line that is longer than a block.
//!
//! The line reader passes over a line that is longer than a block and cannot be a
//! valid event, because it holds a NUL or begins with no brace. How long a block is
//! depends on how many streams there are, and a leaf must not depend on that: a line
//! that was passed over but begins with an event's id is read again as a whole.
//! Without text is a line that is longer than any event may be, one passed over that
//! begins with no id, and a long one with a NUL, which no writer writes and a sparse
//! file of any length holds; none of them is ever a leaf.

mod stream;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::store::layout::Layout;
use crate::store::listing;
use crate::store::storage::Storage;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::sync::Arc;
use stream::{LineText, SegmentSource, StreamWalk};

/// Bytes for the blocks of all streams together, and for one of them.
const TOTAL_BLOCK_BYTES: usize = 32 << 20;
const MIN_BLOCK_BYTES: usize = 4 << 10;
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinePosition {
    /// The index of the stream in the walk.
    stream: u32,
    segment: u64,
    /// The byte of the file at which the line begins.
    pub offset: u64,
}

/// What is known about a line from its beginning, its end and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineInfo {
    /// The id that it begins with; `None`: it does not begin as an event's line.
    pub id: Option<u64>,
    /// Whether its id is larger than those before it in its stream, and smaller than
    /// the next one. Never so without an id or without text.
    pub in_order: bool,
    /// Whether it has the domain and category of its folder.
    pub in_own_stream: bool,
    /// Whether a newline ends it; only the last line of a file can lack one.
    pub terminated: bool,
}

/// A line of the trail.
#[derive(Debug)]
pub(crate) struct TrailLine<'a> {
    pub info: LineInfo,
    pub position: LinePosition,
    /// Without the newline. `None`: it cannot be an event and is not in memory.
    pub text: Option<&'a [u8]>,
}

/// Where a walk has stopped, by stream name, for another walk to resume there.
#[derive(Debug, Default)]
pub(crate) struct WalkPositions(BTreeMap<String, StreamPosition>);

#[derive(Clone, Copy, Debug)]
struct StreamPosition {
    segment: u64,
    offset: u64,
    /// The largest id in order before it.
    last_id: u64,
}

pub(crate) struct TrailWalk {
    source: SegmentSource,
    streams: Vec<StreamWalk>,
    /// The streams by the id of their current line, or 0 if that is to be returned
    /// at once; without `returned`.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The stream whose line was returned last.
    returned: Option<usize>,
    /// The text of that line, if it had to be read again.
    reread: Vec<u8>,
    /// What has a segment's name and is a folder, pipe, socket or device; not read.
    irregular: Vec<PathBuf>,
}

impl TrailWalk {
    /// Walks the whole trail.
    pub fn new(storage: Arc<dyn Storage>, layout: &Layout) -> Result<Self> {
        Self::start(storage, layout, 1)
    }

    /// Walks from an id on. Lines before it can be returned too: those of the
    /// segments that may hold it.
    pub fn start(storage: Arc<dyn Storage>, layout: &Layout, from_id: u64) -> Result<Self> {
        Self::open(storage, layout, block_bytes, |source, stream| {
            stream.seek_id(source, from_id)
        })
    }

    /// Continues where another walk has stopped.
    pub fn resume(
        storage: Arc<dyn Storage>,
        layout: &Layout,
        positions: &WalkPositions,
    ) -> Result<Self> {
        Self::open(storage, layout, block_bytes, |_, stream| {
            if let Some(position) = positions.0.get(stream.name()) {
                stream.seek(*position);
            }
            Ok(())
        })
    }

    fn open(
        storage: Arc<dyn Storage>,
        layout: &Layout,
        block_bytes: impl Fn(usize) -> usize,
        seek: impl Fn(&SegmentSource, &mut StreamWalk) -> Result<()>,
    ) -> Result<Self> {
        let (listed, irregular) = list(&*storage, layout)?;
        let block = block_bytes(listed.len());
        let mut walk = Self {
            source: SegmentSource::new(storage, layout.clone()),
            streams: Vec::with_capacity(listed.len()),
            heap: BinaryHeap::new(),
            returned: None,
            reread: Vec::new(),
            irregular,
        };
        for (name, segments) in listed {
            let mut stream = StreamWalk::new(name, segments, block);
            seek(&walk.source, &mut stream)?;
            walk.streams.push(stream);
            walk.advance(walk.streams.len() - 1)?;
        }
        Ok(walk)
    }

    /// Where the walk is. `unread` is the id and position of a line that was returned
    /// and is to be returned again.
    pub fn positions(&self, unread: Option<(u64, LinePosition)>) -> WalkPositions {
        let each = self.streams.iter().enumerate().map(|(index, stream)| {
            let mut position = stream.resume_position(self.returned == Some(index));
            if let Some((id, line)) = unread
                && line.stream as usize == index
            {
                position = StreamPosition {
                    segment: line.segment,
                    offset: line.offset,
                    last_id: id - 1,
                };
            }
            (stream.name().to_owned(), position)
        });
        WalkPositions(each.collect())
    }

    /// The streams and the numbers of their segments.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &[u64])> {
        (self.streams.iter()).map(|stream| (stream.name(), stream.segments()))
    }

    /// The files that a walk that was just opened will read.
    pub fn segments_from_start(&self) -> impl Iterator<Item = PathBuf> {
        self.streams.iter().flat_map(|stream| {
            let unread = stream.unread_segments().iter();
            unread.map(|&number| self.segment_path(stream.name(), number))
        })
    }

    /// Files with a segment's name that are no regular files. They are not read: some
    /// never end.
    pub fn irregular(&self) -> &[PathBuf] {
        &self.irregular
    }

    /// The file in which a line is.
    pub fn path(&self, position: LinePosition) -> PathBuf {
        let stream = &self.streams[position.stream as usize];
        self.segment_path(stream.name(), position.segment)
    }

    /// The file of a segment.
    pub fn segment_path(&self, stream: &str, number: u64) -> PathBuf {
        self.source.path(stream, number)
    }

    /// The next line.
    pub fn next(&mut self) -> Result<Option<TrailLine<'_>>> {
        if let Some(index) = self.returned.take() {
            self.reread = Vec::new();
            self.advance(index)?;
        }
        let Some(Reverse((_, index))) = self.heap.pop() else {
            return Ok(None);
        };
        self.returned = Some(index);
        let stream = &mut self.streams[index];
        let info = stream.mark_returned();
        let position = LinePosition {
            stream: u32::try_from(index).unwrap_or(u32::MAX),
            segment: stream.segment(),
            offset: stream.offset(),
        };
        let text = match stream.text() {
            LineText::Buffered(text) => Some(text),
            LineText::PassedOver { length } => {
                self.reread = stream.read_again(&self.source, length)?;
                Some(&*self.reread)
            }
            LineText::Unavailable => None,
        };
        Ok(Some(TrailLine {
            info,
            position,
            text,
        }))
    }

    /// Moves a stream to its next line, and puts it into the heap.
    fn advance(&mut self, index: usize) -> Result<()> {
        if let Some(id) = self.streams[index].advance(&self.source)? {
            self.heap.push(Reverse((id, index)));
        }
        Ok(())
    }
}

/// How many bytes to read at a time of each of so many streams.
fn block_bytes(streams: usize) -> usize {
    (TOTAL_BLOCK_BYTES / streams.max(1)).clamp(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES)
}

/// Streams by name, each with the numbers of its segments, all sorted.
type Listed = Vec<(String, Vec<u64>)>;

/// The streams with segments, and the files with a segment's name that are none.
fn list(storage: &dyn Storage, layout: &Layout) -> Result<(Listed, Vec<PathBuf>)> {
    // To the listing, a trail that is missing is one without streams.
    let root = layout.root();
    (storage.stat(root)).map_err(|e| Error::io("list", root, &e))?;
    let (mut listed, mut irregular) = (Vec::new(), Vec::new());
    for stream in listing::streams(storage, layout)? {
        let name = stream.name();
        let (segments, others) = listing::segments_and_irregular(storage, &layout.stream(&name))?;
        irregular.extend(others.iter().map(|&number| layout.segment(&name, number)));
        if !segments.is_empty() {
            listed.push((name, segments));
        }
    }
    Ok((listed, irregular))
}
