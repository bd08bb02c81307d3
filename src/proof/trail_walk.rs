//! All lines of a trail, in the order of their ids, as they stand in the files.
//!
//! This walk is made for mistrust: it takes no line for granted. Within a stream
//! lines must rise in id; one that does not, or has no id, is handed out at once
//! where it is met and marked so, and the lines around it keep their order. What
//! a marked line means is for `verify` to say.
//!
//! A file is open only while a chunk of it is read, so that any number of
//! streams can be walked, and the memory is one buffer a stream, the smaller
//! the more there are.

use crate::error::{Error, Result};
use crate::event::header::leading_id;
use crate::event::name::name_fault;
use crate::store::layout::{Layout, segment_number};
use crate::store::storage::{Open, Storage};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes for the buffers of all streams together, and for one.
const BUFFERS: usize = 32 * 1024 * 1024;
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 64 * 1024;

/// A line may be as long as this; a longer one is no event.
const MAX_LINE: usize = 256 * 1024 * 1024;

/// So many bytes of a line show its id.
const ID_BYTES: usize = 40;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinePosition {
    stream: u32,
    segment: u64,
    /// The byte of the file at which the line begins.
    pub offset: u64,
}

/// What a line is, by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineLook {
    /// `None`: it does not begin as an event's line does.
    pub id: Option<u64>,
    /// Whether it stands among its neighbours by its id.
    pub in_order: bool,
    /// Whether it says the domain and category of its folder.
    pub at_home: bool,
    /// Whether a newline ends it; only the last of a file can lack one.
    pub ended: bool,
}

/// Where a walk was left, so that another can go on from there: by stream, the
/// segment, the byte, and the last id before it.
#[derive(Debug, Default)]
pub(crate) struct WalkPositions(BTreeMap<String, (u64, u64, u64)>);

pub(crate) struct TrailWalk {
    storage: Arc<dyn Storage>,
    layout: Layout,
    streams: Vec<StreamWalk>,
    /// The streams by the id at which it is their turn, without `turn`.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    /// The stream whose line was handed out last.
    turn: Option<usize>,
}

struct StreamWalk {
    name: String,
    /// `"domain":"…","category":"…"`, as its lines have it.
    home: Vec<u8>,
    segments: Vec<u64>,
    /// The place in `segments` of the one being read.
    current: usize,
    /// A chunk of that file: so many bytes of the buffer, which is not shrunk,
    /// and where they begin in the file.
    buffer: Vec<u8>,
    filled: usize,
    buffer_at: u64,
    /// Whether the chunk reaches the file's end.
    complete: bool,
    /// The line at hand, in the buffer; the next one begins at `next`.
    start: usize,
    end: usize,
    next: usize,
    look: LineLook,
    /// The segment and byte of the first line that was not handed out; of the
    /// last one, if it was not whole.
    resume: (u64, u64),
    /// The largest id that was in order.
    last_id: u64,
    capacity: usize,
}

/// A folder's streams: name and segment numbers, both in order.
fn list(storage: &dyn Storage, layout: &Layout) -> Result<Vec<(String, Vec<u64>)>> {
    let entries = |path: PathBuf| -> Result<_> {
        let mut entries = match storage.list(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && path != layout.root() => Vec::new(),
            listed => listed.map_err(|e| Error::io("list", &path, &e))?,
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    };
    let mut streams = Vec::new();
    let folder = |entry: &crate::store::storage::DirEntry| {
        entry.is_dir && name_fault(entry.name.as_bytes()).is_none()
    };
    for domain in entries(layout.root().to_owned())?
        .iter()
        .filter(|e| folder(e))
    {
        for category in entries(layout.domain(&domain.name))?
            .iter()
            .filter(|e| folder(e))
        {
            let name = format!("{}/{}", domain.name, category.name);
            let mut segments: Vec<u64> = entries(layout.stream(&name))?
                .iter()
                .filter_map(|entry| segment_number(&entry.name))
                .collect();
            segments.sort_unstable();
            if !segments.is_empty() {
                streams.push((name, segments));
            }
        }
    }
    Ok(streams)
}

impl TrailWalk {
    /// Walks the whole trail.
    pub fn new(storage: Arc<dyn Storage>, layout: &Layout) -> Result<Self> {
        Self::start(storage, layout, 1)
    }

    /// Walks from an id on. Lines before it may come too, those of the segments
    /// in which it can be.
    pub fn start(storage: Arc<dyn Storage>, layout: &Layout, from_id: u64) -> Result<Self> {
        Self::begin(storage, layout, |walk, index| walk.skip_to(index, from_id))
    }

    /// Goes on from where another walk was left.
    pub fn resume(
        storage: Arc<dyn Storage>,
        layout: &Layout,
        positions: &WalkPositions,
    ) -> Result<Self> {
        Self::begin(storage, layout, |walk, index| {
            let stream = &mut walk.streams[index];
            if let Some((segment, offset, last_id)) = positions.0.get(&stream.name) {
                let rest = stream.segments.partition_point(|number| number < segment);
                stream.current = rest.min(stream.segments.len() - 1);
                if stream.segments[stream.current] == *segment {
                    stream.buffer_at = *offset;
                }
                stream.last_id = *last_id;
            }
            Ok(())
        })
    }

    fn begin(
        storage: Arc<dyn Storage>,
        layout: &Layout,
        place: impl Fn(&mut Self, usize) -> Result<()>,
    ) -> Result<Self> {
        let listed = list(&*storage, layout)?;
        let capacity = (BUFFERS / listed.len().max(1)).clamp(SMALLEST, LARGEST);
        let mut walk = Self {
            storage,
            layout: layout.clone(),
            streams: Vec::new(),
            heap: BinaryHeap::new(),
            turn: None,
        };
        for (name, segments) in listed {
            let stream = StreamWalk::new(name, segments, capacity);
            walk.streams.push(stream);
            let index = walk.streams.len() - 1;
            place(&mut walk, index)?;
            walk.advance(index)?;
        }
        Ok(walk)
    }

    /// Where the walk is; `back` is a line that was handed out, and is to be
    /// handed out again.
    pub fn positions(&self, back: Option<(u64, LinePosition)>) -> WalkPositions {
        let each = self.streams.iter().enumerate().map(|(index, stream)| {
            let (mut resume, mut last_id) = (stream.resume, stream.last_id);
            if self.turn == Some(index) && stream.look.ended {
                resume = stream.place_of(stream.next);
            }
            if let Some((id, place)) = back
                && place.stream as usize == index
            {
                resume = (place.segment, place.offset);
                last_id = id - 1;
            }
            (stream.name.clone(), (resume.0, resume.1, last_id))
        });
        WalkPositions(each.collect())
    }

    /// The streams and the numbers of their segments.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.streams.iter().map(|s| (&*s.name, &*s.segments))
    }

    /// The files that a walk that has just begun will go through.
    pub fn segments_from_start(&self) -> impl Iterator<Item = PathBuf> {
        self.streams.iter().flat_map(|stream| {
            let ahead = &stream.segments[stream.current..];
            ahead
                .iter()
                .map(|&number| self.layout.segment(&stream.name, number))
        })
    }

    /// The file in which a place is.
    pub fn path(&self, place: LinePosition) -> PathBuf {
        let name = &self.streams[place.stream as usize].name;
        self.layout.segment(name, place.segment)
    }

    /// The file of a segment.
    pub fn segment_path(&self, stream: &str, number: u64) -> PathBuf {
        self.layout.segment(stream, number)
    }

    /// The next line, without its newline.
    pub fn next(&mut self) -> Result<Option<(LineLook, LinePosition, &[u8])>> {
        if let Some(index) = self.turn.take() {
            self.advance(index)?;
        }
        let Some(Reverse((_, index))) = self.heap.pop() else {
            return Ok(None);
        };
        self.turn = Some(index);
        let stream = &mut self.streams[index];
        if let Some(id) = stream.look.id
            && stream.look.in_order
        {
            stream.last_id = id;
        }
        let place = LinePosition {
            stream: u32::try_from(index).unwrap_or(u32::MAX),
            segment: stream.segments[stream.current],
            offset: stream.buffer_at + stream.start as u64,
        };
        Ok(Some((
            stream.look,
            place,
            &stream.buffer[stream.start..stream.end],
        )))
    }

    /// Lets a stream begin with the last segment whose first id is not past `id`.
    fn skip_to(&mut self, index: usize, id: u64) -> Result<()> {
        let (mut low, mut high) = (0, self.streams[index].segments.len());
        while id > 1 && high - low > 1 {
            let middle = usize::midpoint(low, high);
            match self.first_id(index, middle)? {
                Some(first) if first <= id => low = middle,
                _ => high = middle,
            }
        }
        self.streams[index].current = low;
        Ok(())
    }

    fn first_id(&self, index: usize, segment: usize) -> Result<Option<u64>> {
        let mut bytes = [0; ID_BYTES];
        let count = self.read(index, segment, 0, &mut bytes)?;
        Ok(leading_id(&bytes[..count]))
    }

    /// Fills `bytes` from a segment, and says how many there were.
    fn read(&self, index: usize, segment: usize, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let stream = &self.streams[index];
        let path = self.layout.segment(&stream.name, stream.segments[segment]);
        let file = self
            .storage
            .open(&path, Open::Read)
            .map_err(|e| Error::io("open", &path, &e))?;
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + filled as u64;
            match file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) => return Err(Error::io("read", &path, &e).at(at)),
            }
        }
        Ok(filled)
    }

    /// Reads more of the file, and forgets what lies before the line at hand.
    fn fill(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        let mut buffer = std::mem::take(&mut stream.buffer);
        if stream.start > 0 {
            buffer.copy_within(stream.start..stream.filled, 0);
        }
        stream.filled -= stream.start;
        stream.buffer_at += stream.start as u64;
        stream.end = stream.end.saturating_sub(stream.start);
        stream.next -= stream.start;
        stream.start = 0;
        // A line that is longer than the buffer makes it grow.
        let wanted = stream.filled + stream.capacity.div_ceil(2);
        if buffer.len() < wanted {
            buffer.resize(wanted.max(stream.capacity), 0);
        }
        let (filled, current) = (stream.filled, stream.current);
        let offset = stream.buffer_at + filled as u64;
        let count = self.read(index, current, offset, &mut buffer[filled..])?;
        let stream = &mut self.streams[index];
        stream.complete = filled + count < buffer.len();
        stream.filled += count;
        stream.buffer = buffer;
        Ok(())
    }

    /// Goes on to the stream's next line, and puts the stream in its place.
    fn advance(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        stream.start = stream.next;
        let was_whole = stream.look.ended;
        let Some((end, ended)) = self.find_end(index)? else {
            let stream = &mut self.streams[index];
            if was_whole {
                stream.resume = stream.place_of(stream.start);
            }
            return Ok(());
        };
        let stream = &mut self.streams[index];
        stream.resume = stream.place_of(stream.start);
        stream.end = end;
        stream.next = end + usize::from(ended);
        let following = self.peek(index)?;
        let stream = &mut self.streams[index];
        let line = &stream.buffer[stream.start..stream.end];
        let id = leading_id(line);
        let in_order = id.is_some_and(|id| {
            // Out of order is the one line without which the others are in order.
            let late = id <= stream.last_id;
            let early = following.is_some_and(|next| next <= id && next > stream.last_id);
            !late && !early
        });
        stream.look = LineLook {
            id,
            in_order,
            at_home: is_at_home(line, &stream.home),
            ended,
        };
        let turn = if in_order { id.unwrap_or(0) } else { 0 };
        self.heap.push(Reverse((turn, index)));
        Ok(())
    }

    /// Where the line that begins at `start` ends, and whether by a newline;
    /// `None` at the end of the stream.
    fn find_end(&mut self, index: usize) -> Result<Option<(usize, bool)>> {
        let mut searched = 0;
        loop {
            let stream = &mut self.streams[index];
            let from = stream.start + searched;
            if let Some(length) = memchr::memchr(b'\n', &stream.buffer[from..stream.filled]) {
                return Ok(Some((from + length, true)));
            }
            searched = stream.filled - stream.start;
            if searched > MAX_LINE {
                // Handed out in chunks, none of which is an event.
                return Ok(Some((stream.filled, false)));
            }
            if !stream.complete {
                self.fill(index)?;
            } else if searched > 0 {
                return Ok(Some((stream.filled, false)));
            } else if stream.current + 1 == stream.segments.len() {
                // Nothing more is needed of it.
                stream.buffer = Vec::new();
                stream.buffer_at += stream.start as u64;
                (stream.start, stream.next, stream.filled) = (0, 0, 0);
                return Ok(None);
            } else {
                stream.open(stream.current + 1);
            }
        }
    }

    /// The id of the line after the one at hand.
    fn peek(&mut self, index: usize) -> Result<Option<u64>> {
        let stream = &self.streams[index];
        if stream.filled - stream.next < ID_BYTES && !stream.complete {
            self.fill(index)?;
        }
        let stream = &self.streams[index];
        if stream.next < stream.filled {
            Ok(leading_id(&stream.buffer[stream.next..stream.filled]))
        } else if stream.current + 1 < stream.segments.len() {
            self.first_id(index, stream.current + 1)
        } else {
            Ok(None)
        }
    }
}

impl StreamWalk {
    fn new(name: String, segments: Vec<u64>, capacity: usize) -> Self {
        let (domain, category) = name.split_once('/').unwrap_or_default();
        Self {
            home: format!("\"domain\":\"{domain}\",\"category\":\"{category}\"").into_bytes(),
            name,
            segments,
            current: 0,
            buffer: Vec::new(),
            filled: 0,
            buffer_at: 0,
            complete: false,
            start: 0,
            end: 0,
            next: 0,
            look: LineLook {
                id: None,
                in_order: false,
                at_home: false,
                ended: true,
            },
            resume: (0, 0),
            last_id: 0,
            capacity,
        }
    }

    /// The segment and byte of a place in the buffer.
    fn place_of(&self, at: usize) -> (u64, u64) {
        (self.segments[self.current], self.buffer_at + at as u64)
    }

    fn open(&mut self, segment: usize) {
        self.current = segment;
        self.filled = 0;
        self.buffer_at = 0;
        self.complete = false;
        (self.start, self.end, self.next) = (0, 0, 0);
    }
}

/// Whether the line has its stream's domain and category, behind id and time.
fn is_at_home(line: &[u8], home: &[u8]) -> bool {
    // The first number is the id, the second the time.
    let mut rest = line;
    for _ in 0..2 {
        let Some(colon) = rest.iter().take(16).position(|b| *b == b':') else {
            return false;
        };
        let number = &rest[colon + 1..];
        let digits = number.iter().take(24).take_while(|b| **b != b',').count();
        rest = &number[digits..];
    }
    rest.strip_prefix(b",")
        .is_some_and(|rest| rest.starts_with(home))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::storage::Disk;
    use std::fs;

    fn line(stream: &str, id: u64) -> String {
        let (domain, category) = stream.split_once('/').unwrap();
        format!(
            "{{\"event_id\":{id},\"timestamp\":1,\"domain\":\"{domain}\",\
             \"category\":\"{category}\",\"x\":\"{}\"}}",
            "y".repeat((id * 37 % 500) as usize)
        )
    }

    /// A trail of these streams, segments and ids; 0 is a line that is no event.
    fn trail(streams: &[(&str, &[&[u64]])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        for (name, segments) in streams {
            fs::create_dir_all(layout.stream(name)).unwrap();
            for (number, ids) in segments.iter().enumerate() {
                let mut text = String::new();
                for &id in *ids {
                    text += &if id == 0 { "?".into() } else { line(name, id) };
                    text.push('\n');
                }
                fs::write(layout.segment(name, number as u64 + 1), text).unwrap();
            }
        }
        root
    }

    /// IdRanges in the order of the walk; those out of order negative.
    fn walked(root: &tempfile::TempDir, from: u64, capacity: usize) -> Vec<i64> {
        let layout = Layout::new(root.path());
        let mut walk = TrailWalk::start(Arc::new(Disk), &layout, from).unwrap();
        for stream in &mut walk.streams {
            stream.capacity = capacity;
        }
        let mut out = Vec::new();
        while let Some((look, place, text)) = walk.next().unwrap() {
            let text = text.to_vec();
            let id = look.id.unwrap_or(0);
            if id > 0 {
                let path = walk.path(place);
                let file = fs::read(path).unwrap();
                let at = place.offset as usize;
                assert_eq!(&file[at..at + text.len()], &text[..]);
                let stream = &walk.streams[place.stream as usize].name;
                assert_eq!(text, line(stream, id).as_bytes());
                assert!(look.at_home && look.ended);
            }
            let id = i64::try_from(id).unwrap();
            out.push(if look.in_order { id } else { -id });
        }
        out
    }

    #[test]
    fn streams_are_merged_by_id() {
        let root = trail(&[
            ("legacy/a", &[&[1, 4, 5], &[9], &[], &[12]]),
            ("legacy/b", &[&[2], &[3, 6, 10]]),
            ("v2/a", &[&[7, 8, 11]]),
        ]);
        fs::create_dir_all(root.path().join(".auditrail/x")).unwrap();
        fs::write(root.path().join(".auditrail/x/audit-000001.jsonl"), "?\n").unwrap();
        fs::write(root.path().join("legacy/a/notes.txt"), "?\n").unwrap();
        for capacity in [1, 7, 50, 64, 1000, LARGEST] {
            assert_eq!(walked(&root, 1, capacity), (1..=12).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_walk_can_start_late() {
        let ids: Vec<u64> = (1..=100).collect();
        let segments: Vec<&[u64]> = ids.chunks(7).collect();
        let root = trail(&[("v2/a", &segments), ("v2/b", &[&[101]])]);
        for from in [1, 2, 8, 50, 100, 101, 200] {
            let ids = walked(&root, from, 64);
            let first = ids[0].unsigned_abs();
            assert!(
                first <= from && from - first < 7 || from > 100,
                "{from}: {first}"
            );
            assert_eq!(*ids.last().unwrap(), 101);
        }
    }

    #[test]
    fn only_the_line_out_of_order_is_marked() {
        for (ids, expected) in [
            (&[1, 2, 0, 3][..], &[1, 2, 0, 3][..]),
            (&[1, 9, 2, 3, 4], &[1, -9, 2, 3, 4]),
            (&[1, 3, 4, 2, 5], &[1, 3, 4, -2, 5]),
            (&[1, 5, 3, 4, 2, 6], &[1, -5, 3, 4, -2, 6]),
            (&[1, 2, 2, 3], &[1, -2, 2, 3]),
            (&[2, 1, 3], &[-2, 1, 3]),
            (&[1, 2, 9], &[1, 2, 9]),
        ] {
            let root = trail(&[("v2/a", &[ids])]);
            assert_eq!(walked(&root, 1, 50), expected);
            // Across segments, too.
            let apart: Vec<&[u64]> = ids.chunks(1).collect();
            assert_eq!(walked(&trail(&[("v2/a", &apart)]), 1, 50), expected);
        }
    }

    #[test]
    fn a_walk_goes_on_where_another_was_left() {
        let root = trail(&[("v2/a", &[&[1, 3], &[4]]), ("v2/b", &[&[2]])]);
        let layout = Layout::new(root.path());
        let more = |name: &str, number, text: String| {
            use std::io::Write;
            fs::create_dir_all(layout.stream(name)).unwrap();
            let mut options = fs::OpenOptions::new();
            let file = options
                .append(true)
                .create(true)
                .open(layout.segment(name, number));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        let mut positions = WalkPositions::default();
        let mut walk_some = |count: usize, back: bool| {
            let mut walk = TrailWalk::resume(Arc::new(Disk), &layout, &positions).unwrap();
            let (mut ids, mut last) = (Vec::new(), None);
            for _ in 0..count {
                let Some((look, place, _)) = walk.next().unwrap() else {
                    break;
                };
                ids.push(look.id.unwrap_or(0));
                last = look.id.map(|id| (id, place));
            }
            positions = walk.positions(last.filter(|_| back));
            ids
        };
        assert_eq!(walk_some(2, false), [1, 2]);
        assert_eq!(walk_some(1, true), [3]);
        assert_eq!(walk_some(9, false), [3, 4]);
        assert_eq!(walk_some(9, false), [0; 0]);
        // The stream goes on in the same segment, the next, and a new stream;
        // one line is still being written.
        more("v2/a", 2, line("v2/a", 5) + "\n");
        more("v2/a", 3, line("v2/a", 7) + "\n");
        more("v2/b", 1, line("v2/b", 9)[..5].into());
        more("v2/c", 1, line("v2/c", 6) + "\n");
        assert_eq!(walk_some(9, false), [0, 5, 6, 7]);
        more("v2/b", 1, line("v2/b", 9)[5..].to_owned() + "\n");
        assert_eq!(walk_some(9, false), [9]);
        assert_eq!(walk_some(9, false), [0; 0]);
    }

    #[test]
    fn strangers_and_torn_tails_are_marked() {
        let root = trail(&[("v2/a", &[&[1]]), ("v2/b", &[&[]])]);
        let layout = Layout::new(root.path());
        let torn = &line("v2/b", 3)[..60];
        fs::write(
            layout.segment("v2/b", 1),
            format!("{}\n{torn}", line("v2/a", 2)),
        )
        .unwrap();
        let mut walk = TrailWalk::new(Arc::new(Disk), &layout).unwrap();
        let mut looks = Vec::new();
        while let Some((look, ..)) = walk.next().unwrap() {
            looks.push((look.id, look.at_home, look.ended));
        }
        assert_eq!(
            looks,
            [
                (Some(1), true, true),
                (Some(2), false, true),
                (Some(3), true, false)
            ]
        );
    }

    #[test]
    fn an_empty_trail_has_no_lines() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(walked(&root, 1, 64), [0; 0]);
    }
}
