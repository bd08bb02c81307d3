//! The lines of one stream, segment after segment.

use super::{LineInfo, StreamPosition};
use crate::error::{Error, Kind, Result};
use crate::event::header::leading_id;
use crate::limits::MAX_LINE_BYTES;
use crate::store::layout::Layout;
use crate::store::lines::{Line, Lines, ReadAt};
use crate::store::storage::{Open, Storage};
use memchr::memchr;
use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// So many bytes of a line show its id, domain and category.
const HEAD_BYTES: usize = 512;

/// The longest line that is read although it holds a NUL. Longer ones are not held in
/// memory: they cost an attacker nothing, as holes in a sparse file.
const MAX_NUL_LINE_BYTES: u64 = 1 << 20;

pub(super) struct StreamWalk {
    name: String,
    /// `"domain":"…","category":"…"`, as its lines have it.
    own_names: Vec<u8>,
    segments: Vec<u64>,
    /// The index in `segments` of the one being read.
    current: usize,
    block: usize,
    lines: Lines,
    /// Where the current segment ended when its end was first read. What a writer adds
    /// after that is left to the next walk: the rest of an unfinished line is no line.
    end: u64,
    /// The current line, and what is known about it.
    line: Option<Line>,
    info: LineInfo,
    /// Its bytes, with the newline.
    length: u64,
    /// The first line that was not returned; the last one, if it was not terminated.
    resume: (u64, u64),
    /// The largest id of the lines in order that were returned.
    last_id: u64,
}

/// Where the current line's text is.
pub(super) enum LineText<'a> {
    Buffered(&'a [u8]),
    /// The reader does not hold it: read it again.
    PassedOver {
        length: usize,
    },
    /// The line cannot be an event.
    Unavailable,
}

impl StreamWalk {
    /// `segments` must not be empty.
    pub fn new(name: String, segments: Vec<u64>, block: usize) -> Self {
        let (domain, category) = name.split_once('/').unwrap_or_default();
        Self {
            own_names: format!("\"domain\":\"{domain}\",\"category\":\"{category}\"").into_bytes(),
            name,
            segments,
            current: 0,
            block,
            lines: Lines::forward(0, block),
            end: u64::MAX,
            line: None,
            info: LineInfo {
                id: None,
                in_order: false,
                in_own_stream: false,
                terminated: true,
            },
            length: 0,
            resume: (0, 0),
            last_id: 0,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn segments(&self) -> &[u64] {
        &self.segments
    }

    /// The current segment and those after it.
    pub fn unread_segments(&self) -> &[u64] {
        &self.segments[self.current..]
    }

    /// The number of the current segment.
    pub fn segment(&self) -> u64 {
        self.segments[self.current]
    }

    /// Where the current line begins.
    pub fn offset(&self) -> u64 {
        self.line.map_or(0, |line| line.offset)
    }

    /// Begins with the last segment whose first id is not larger than `id`.
    pub fn seek_id(&mut self, source: &SegmentSource, id: u64) -> Result<()> {
        let (mut low, mut high) = (0, self.segments.len());
        while id > 1 && high - low > 1 {
            let middle = usize::midpoint(low, high);
            match source.leading_id(&self.name, self.segments[middle], 0)? {
                Some(first) if first <= id => low = middle,
                _ => high = middle,
            }
        }
        self.open(low, 0);
        Ok(())
    }

    /// Begins where another walk has stopped, or, if that segment is gone, with the next.
    pub fn seek(&mut self, position: StreamPosition) {
        let unread = (self.segments).partition_point(|number| *number < position.segment);
        let index = unread.min(self.segments.len() - 1);
        let is_same = self.segments[index] == position.segment;
        self.open(index, if is_same { position.offset } else { 0 });
        self.last_id = position.last_id;
    }

    fn open(&mut self, segment: usize, offset: u64) {
        self.current = segment;
        self.lines = Lines::forward(offset, self.block);
        self.end = u64::MAX;
    }

    /// Where another walk resumes: before the current line, or after it if it was
    /// `returned` and is terminated. A line that is being written is read again.
    pub fn resume_position(&self, returned: bool) -> StreamPosition {
        let (segment, offset) = if returned && self.info.terminated {
            self.next_line_at()
        } else {
            self.resume
        };
        StreamPosition {
            segment,
            offset,
            last_id: self.last_id,
        }
    }

    /// The segment and byte at which the line after the current one begins.
    fn next_line_at(&self) -> (u64, u64) {
        (self.segment(), self.lines.position())
    }

    /// Moves to the next line. Returns the id by which it is merged with other
    /// streams, 0 if it is to be returned at once; `None` at the stream's end.
    pub fn advance(&mut self, source: &SegmentSource) -> Result<Option<u64>> {
        let Some(line) = self.read_line(source)? else {
            if self.info.terminated {
                self.resume = self.next_line_at();
            }
            return Ok(None);
        };
        self.line = Some(line);
        self.resume = (self.segment(), line.offset);
        self.length = self.lines.position() - line.offset;
        self.info = self.inspect(line, source)?;
        let order = self.info.id.filter(|_| self.info.in_order);
        Ok(Some(order.unwrap_or(0)))
    }

    fn read_line(&mut self, source: &SegmentSource) -> Result<Option<Line>> {
        loop {
            let mut file = source.segment(&self.name, self.segments[self.current]);
            file.end = Cell::new(self.end);
            let line = self.lines.advance(&file, true);
            self.end = file.end.get();
            if let Some(line) = line.map_err(|e| file.error(&e))? {
                return Ok(Some(line));
            }
            if self.current + 1 == self.segments.len() {
                // Frees the buffer.
                self.lines = Lines::forward(self.lines.position(), self.block);
                return Ok(None);
            }
            self.open(self.current + 1, 0);
        }
    }

    fn inspect(&self, line: Line, source: &SegmentSource) -> Result<LineInfo> {
        let reread;
        let head = if line.skipped {
            reread = self.read_head(line, source)?;
            &reread[..]
        } else {
            self.lines.text(line)
        };
        let id = leading_id(head);
        let following = self.following_id(source)?;
        let in_order = id.is_some_and(|id| {
            // Out of order is the one line without which the others are in order.
            let late = id <= self.last_id;
            let early = following.is_some_and(|next| next <= id && next > self.last_id);
            !late && !early
        });
        Ok(LineInfo {
            id,
            in_order: in_order && !self.is_oversized(line),
            in_own_stream: has_names(head, &self.own_names),
            terminated: line.whole,
        })
    }

    /// The beginning of a line that the reader has passed over.
    fn read_head(&self, line: Line, source: &SegmentSource) -> Result<Vec<u8>> {
        let length = usize::try_from(self.length).map_or(HEAD_BYTES, |n| n.min(HEAD_BYTES));
        let mut head = vec![0; length];
        let file = source.segment(&self.name, self.segment());
        let count = file.fill(&mut head, line.offset)?;
        head.truncate(count);
        Ok(head)
    }

    /// The id of the line after the current one.
    fn following_id(&self, source: &SegmentSource) -> Result<Option<u64>> {
        match (self.lines.ahead(), self.segments.get(self.current + 1)) {
            (Some(_), _) if self.lines.ahead_is_skipped() => {
                source.leading_id(&self.name, self.segment(), self.lines.position())
            }
            (Some(next), _) => Ok(leading_id(next)),
            (None, Some(&next)) => source.leading_id(&self.name, next, 0),
            (None, None) => Ok(None),
        }
    }

    /// Whether a line is longer than any event, or a hole.
    fn is_oversized(&self, line: Line) -> bool {
        self.length > MAX_LINE_BYTES as u64
            || self.length > MAX_NUL_LINE_BYTES && self.lines.has_nul(line)
    }

    /// Marks the current line as returned.
    pub fn mark_returned(&mut self) -> LineInfo {
        if let Some(id) = self.info.id
            && self.info.in_order
        {
            self.last_id = id;
        }
        self.info
    }

    pub fn text(&self) -> LineText<'_> {
        match self.line {
            Some(line) if self.is_oversized(line) || line.skipped && self.info.id.is_none() => {
                LineText::Unavailable
            }
            Some(line) if line.skipped => LineText::PassedOver {
                // Not oversized, so it fits.
                length: self.length as usize - usize::from(line.whole),
            },
            Some(line) => LineText::Buffered(self.lines.text(line)),
            None => LineText::Unavailable,
        }
    }

    /// Reads the current line, which the reader has passed over.
    pub fn read_again(&self, source: &SegmentSource, length: usize) -> Result<Vec<u8>> {
        let file = source.segment(&self.name, self.segment());
        let offset = self.offset();
        let mut text = Vec::new();
        text.try_reserve_exact(length)
            .map_err(|_| file.error(&io::ErrorKind::OutOfMemory.into()))?;
        text.resize(length, 0);
        if file.fill(&mut text, offset)? < length {
            let message = format!("{} was cut while it was read", file.path().display());
            return Err(Error::new(Kind::Corrupt, message).at(offset));
        }
        Ok(text)
    }
}

/// Whether a line has these names, after its id and timestamp.
fn has_names(line: &[u8], names: &[u8]) -> bool {
    // The first number is the id, the second the time.
    let mut rest = line;
    for _ in 0..2 {
        let Some(colon) = memchr(b':', &rest[..rest.len().min(16)]) else {
            return false;
        };
        let number = &rest[colon + 1..];
        let longest = &number[..number.len().min(24)];
        rest = &number[memchr(b',', longest).unwrap_or(longest.len())..];
    }
    rest.strip_prefix(b",")
        .is_some_and(|rest| rest.starts_with(names))
}

/// Where segments are read from.
pub(super) struct SegmentSource {
    storage: Arc<dyn Storage>,
    layout: Layout,
}

impl SegmentSource {
    pub fn new(storage: Arc<dyn Storage>, layout: Layout) -> Self {
        Self { storage, layout }
    }

    pub fn path(&self, stream: &str, number: u64) -> PathBuf {
        self.layout.segment(stream, number)
    }

    fn segment<'a>(&'a self, stream: &'a str, number: u64) -> ReopenedSegment<'a> {
        ReopenedSegment {
            source: self,
            stream,
            number,
            end: Cell::new(u64::MAX),
            failure: Cell::new(None),
        }
    }

    /// The id of the line that begins at an offset.
    fn leading_id(&self, stream: &str, number: u64, offset: u64) -> Result<Option<u64>> {
        let mut bytes = [0; HEAD_BYTES];
        let file = self.segment(stream, number);
        let count = file.fill(&mut bytes, offset)?;
        Ok(leading_id(&bytes[..count]))
    }
}

/// A segment that is opened for each read, and closed after it.
struct ReopenedSegment<'a> {
    source: &'a SegmentSource,
    stream: &'a str,
    number: u64,
    /// Nothing is read from here on: the file's end, once a read has met it.
    end: Cell<u64>,
    /// Why the last read failed, with more than an `io::Error` can hold.
    failure: Cell<Option<Error>>,
}

impl ReopenedSegment<'_> {
    fn path(&self) -> PathBuf {
        self.source.path(self.stream, self.number)
    }

    /// The error for a read that failed.
    fn error(&self, error: &io::Error) -> Error {
        (self.failure.take()).unwrap_or_else(|| Error::io("read", &self.path(), error))
    }

    /// Fills `buffer`, or as much of it as there is up to the file's end.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.read_at(buffer, offset).map_err(|e| self.error(&e))
    }
}

impl ReadAt for ReopenedSegment<'_> {
    /// Reads until the buffer is full or the file ends, so that one opening is enough.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.end.get() {
            return Ok(0);
        }
        let path = self.path();
        let file = (self.source.storage.open(&path, Open::Read))
            .inspect_err(|e| self.failure.set(Some(Error::io("open", &path, e))))?;
        let stat = (file.stat()).inspect_err(|e| {
            self.failure.set(Some(Error::io("look at", &path, e)));
        })?;
        if !stat.is_file {
            let message = format!("{} is no regular file", path.display());
            self.failure.set(Some(Error::new(Kind::Corrupt, message)));
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let read = file.read_at(&mut buffer[filled..], at).inspect_err(|e| {
                let error = Error::io("read", &path, e).at(at);
                self.failure.set(Some(error));
            })?;
            if read == 0 {
                self.end.set(at);
                break;
            }
            filled += read;
        }
        Ok(filled)
    }
}
