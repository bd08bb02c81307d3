//! A batch: events that are committed together.
//!
//! A batch holds the rendered events and, per stream, a linked list of its events, a
//! *run*. So the events are visited stream by stream without sorting. Ids are
//! assigned in the order of the runs, so that writing the runs one after the other
//! writes in the order of ids.

use crate::event::{EventLine, write_line};
use crate::store::buffer_file::BufferFile;
use crate::store::segment::Slot;

const NONE: u32 = u32::MAX;

/// Where a timestamp at the begin of a body has ended: `,"timestamp":`, a sign, 19 digits
/// and what follows.
const TIMESTAMP_END: usize = 40;

/// A body, and what its record in a mapped file needs besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyOf<'a> {
    pub bytes: &'a [u8],
    pub stream: &'a str,
    pub checksum: u32,
}

impl<'a> BodyOf<'a> {
    /// Of an event that no file holds until it is in its segment.
    pub fn unrecorded(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            stream: "",
            checksum: 0,
        }
    }
}

/// The most bytes that an empty batch reserves at once: a large buffer does not take
/// the host's memory before it is used.
const MAX_INITIAL_RESERVE: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Batch {
    bodies: Bodies,
    /// Bytes of the events' bodies.
    body_bytes: usize,
    events: Vec<PendingEvent>,
    runs: Vec<Run>,
    /// By slot: the run that the stream's next event joins; `NONE` for a new one.
    open_runs: Vec<u32>,
    /// Bytes of capacity that [`Batch::clear`] retains.
    retained_bytes: usize,
}

/// Where the bodies of the events are: their lines without `{"event_id":` and id.
#[derive(Debug)]
enum Bodies {
    Memory(Vec<u8>),
    /// MAPPED: in their file, from which they are written to the segments.
    Mapped(BufferFile),
}

#[derive(Debug)]
struct PendingEvent {
    /// 0 until it is assigned.
    id: u64,
    start: usize,
    end: usize,
    /// The next event of the same run, or `NONE`.
    next: u32,
}

/// Events of one stream that are written consecutively.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub slot: Slot,
    first: u32,
    last: u32,
}

impl Batch {
    /// An empty batch that retains capacity for this many bytes of events: growing and
    /// shrinking would move them and fragment the heap. Unused capacity takes no
    /// memory; a large one is allocated only as needed.
    pub fn retaining(bytes: usize) -> Self {
        Self {
            bodies: Bodies::Memory(Vec::new()),
            body_bytes: 0,
            events: Vec::new(),
            runs: Vec::new(),
            open_runs: Vec::new(),
            retained_bytes: bytes,
        }
    }

    /// An empty batch whose events are in a mapped file.
    pub fn mapped(file: BufferFile) -> Self {
        let bytes = file.capacity();
        Self {
            bodies: Bodies::Mapped(file),
            ..Self::retaining(bytes)
        }
    }

    /// The most bytes that records may take; `None` if there is no file for them.
    pub fn record_capacity(&self) -> Option<usize> {
        match &self.bodies {
            Bodies::Memory(_) => None,
            Bodies::Mapped(file) => Some(file.capacity()),
        }
    }

    /// Whether there is a file for records of this many bytes, or none is needed.
    pub fn has_room_for_records(&self, bytes: usize) -> bool {
        match &self.bodies {
            Bodies::Memory(_) => true,
            Bodies::Mapped(file) => file.has_room(bytes),
        }
    }

    /// Makes the records that were added count.
    pub fn publish(&mut self) {
        if let Bodies::Mapped(file) = &mut self.bodies {
            file.publish();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Bytes of the events' bodies.
    pub fn bytes(&self) -> usize {
        self.body_bytes
    }

    /// The number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    pub fn run(&self, index: usize) -> Run {
        self.runs[index]
    }

    /// Adds an event at the end of its stream's run; returns its index. `id` is 0 if it
    /// is assigned at commit.
    pub fn push(&mut self, slot: Slot, body: BodyOf<'_>, id: u64) -> usize {
        let slot_index = slot as usize;
        if slot_index >= self.open_runs.len() {
            self.open_runs.resize(slot_index + 1, NONE);
        }
        let index = self.push_event(body, id);
        match self.open_runs[slot_index] {
            NONE => self.open_runs[slot_index] = self.start_run(slot, index),
            run => self.extend_run(run, index),
        }
        index as usize
    }

    /// Adds events as a run of their own, in their order: no other event comes between
    /// them, so their ids are consecutive.
    pub fn push_run<'b>(&mut self, slot: Slot, bodies: impl IntoIterator<Item = &'b [u8]>) {
        let mut run = NONE;
        for body in bodies {
            let index = self.push_event(BodyOf::unrecorded(body), 0);
            if run == NONE {
                run = self.start_run(slot, index);
            } else {
                self.extend_run(run, index);
            }
        }
    }

    fn push_event(&mut self, body: BodyOf<'_>, id: u64) -> u32 {
        let start = match &mut self.bodies {
            Bodies::Memory(bytes) => {
                if bytes.capacity() == 0 {
                    bytes.reserve(self.retained_bytes.min(MAX_INITIAL_RESERVE));
                }
                let start = bytes.len();
                bytes.extend_from_slice(body.bytes);
                start
            }
            Bodies::Mapped(file) => file.push(id, body.stream, body.bytes, body.checksum),
        };
        self.body_bytes += body.bytes.len();
        self.events.push(PendingEvent {
            id,
            start,
            end: start + body.bytes.len(),
            next: NONE,
        });
        u32::try_from(self.events.len() - 1).unwrap_or(NONE)
    }

    fn start_run(&mut self, slot: Slot, event: u32) -> u32 {
        self.runs.push(Run {
            slot,
            first: event,
            last: event,
        });
        u32::try_from(self.runs.len() - 1).unwrap_or(NONE)
    }

    fn extend_run(&mut self, run: u32, event: u32) {
        let last = std::mem::replace(&mut self.runs[run as usize].last, event);
        self.events[last as usize].next = event;
    }

    /// The indexes of a run's events.
    pub fn events(&self, run: Run) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(run.first), |&event| {
            Some(self.events[event as usize].next).filter(|&next| next != NONE)
        })
        .map(|event| event as usize)
    }

    /// Assigns the ids after `last`, in the order of the runs; returns the last one.
    pub fn assign_ids_after(&mut self, mut last: u64) -> u64 {
        for index in 0..self.runs.len() {
            let mut event = self.runs[index].first;
            while event != NONE {
                last += 1;
                let pending = &mut self.events[event as usize];
                pending.id = last;
                event = pending.next;
            }
        }
        last
    }

    pub fn id(&self, event: usize) -> u64 {
        self.events[event].id
    }

    /// An event's timestamp; `None` if its body is not in the rendered form.
    #[inline]
    pub fn timestamp(&self, event: usize) -> Option<i64> {
        let pending = &self.events[event];
        let mut copied = [0; TIMESTAMP_END];
        let rest = match &self.bodies {
            Bodies::Memory(bytes) => bytes.get(pending.start..pending.end)?,
            Bodies::Mapped(file) => {
                let len = TIMESTAMP_END.min(pending.end - pending.start);
                file.read(pending.start, &mut copied[..len]);
                &copied[..len]
            }
        };
        let rest = rest.strip_prefix(b",\"timestamp\":")?;
        let (digits, sign) = match rest.strip_prefix(b"-") {
            Some(digits) => (digits, -1),
            None => (rest, 1),
        };
        // It cannot overflow: it was rendered from a number of 64 bits.
        let mut number: i64 = 0;
        for digit in digits.iter().map(|b| b.wrapping_sub(b'0')) {
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        Some(number.wrapping_mul(sign))
    }

    /// The ids of all events, in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().map(|event| event.id)
    }

    /// Appends an event's whole line to `out`.
    pub fn render_line(&self, event: usize, out: &mut Vec<u8>) {
        let pending = &self.events[event];
        match &self.bodies {
            Bodies::Memory(bytes) => {
                write_line(pending.id, &bytes[pending.start..pending.end], out);
            }
            Bodies::Mapped(file) => {
                write_line(pending.id, &[], out);
                let at = out.len();
                out.resize(at + pending.end - pending.start, 0);
                file.read(pending.start, &mut out[at..]);
            }
        }
    }

    /// Empties the batch, and its file: the events are in their segments, or were refused.
    /// A bounded capacity is retained for the next one.
    pub fn clear(&mut self) {
        for run in &self.runs {
            if let Some(run_index) = self.open_runs.get_mut(run.slot as usize) {
                *run_index = NONE;
            }
        }
        match &mut self.bodies {
            Bodies::Memory(bytes) => {
                bytes.clear();
                bytes.shrink_to(self.retained_bytes);
            }
            Bodies::Mapped(file) => file.clear(),
        }
        self.body_bytes = 0;
        self.events.clear();
        self.events.shrink_to(self.retained_bytes / 64);
        self.runs.clear();
    }
}

/// The nonblank lines of a caller's batch: line number from 1, offset, and text.
pub(crate) fn batch_lines(batch: &[u8]) -> impl Iterator<Item = (usize, (usize, &[u8]))> {
    let (mut number, mut start) = (0, 0);
    std::iter::from_fn(move || {
        while start < batch.len() {
            let rest = &batch[start..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = (start, &rest[..length]);
            number += 1;
            start += length + 1;
            if !line.1.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
                return Some((number, line));
            }
        }
        None
    })
}

/// The rendered events of a caller's batch, collected until all of them are known to
/// be valid.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    bodies: Vec<u8>,
    /// Where each event's body ends.
    ends: Vec<usize>,
    names: String,
    /// Consecutive events of one stream: where the stream's name ends in `names`, and
    /// the index of the first event.
    runs: Vec<(usize, usize)>,
}

impl CheckedBatch {
    /// With capacity for this many bytes of events.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bodies: Vec::with_capacity(bytes),
            ends: Vec::new(),
            names: String::new(),
            runs: Vec::new(),
        }
    }

    pub fn push(&mut self, line: &EventLine<'_>) {
        if self.runs.is_empty() || self.name(self.runs.len() - 1) != line.stream {
            self.names.push_str(line.stream);
            self.runs.push((self.names.len(), self.ends.len()));
        }
        self.bodies.extend_from_slice(line.body);
        self.ends.push(self.bodies.len());
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the events' bodies.
    pub fn bytes(&self) -> usize {
        self.bodies.len()
    }

    /// Each stream with its bodies, in the caller's order; a stream appears again after
    /// events of another.
    pub fn runs(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &[u8]>)> {
        self.runs.iter().enumerate().map(|(run, &(_, first))| {
            let end = self.runs.get(run + 1).map_or(self.len(), |next| next.1);
            (self.name(run), (first..end).map(|event| self.body(event)))
        })
    }

    fn name(&self, run: usize) -> &str {
        let start = if run == 0 { 0 } else { self.runs[run - 1].0 };
        &self.names[start..self.runs[run].0]
    }

    fn body(&self, event: usize) -> &[u8] {
        let start = if event == 0 { 0 } else { self.ends[event - 1] };
        &self.bodies[start..self.ends[event]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_split_at_newlines() {
        let split = |batch: &'static str| -> Vec<(usize, usize, &str)> {
            batch_lines(batch.as_bytes())
                .map(|(number, (at, line))| (number, at, std::str::from_utf8(line).unwrap()))
                .collect()
        };
        assert_eq!(split(""), []);
        assert_eq!(split("\n \t\r\n\n"), []);
        assert_eq!(split("a"), [(1, 0, "a")]);
        assert_eq!(split("a\n"), [(1, 0, "a")]);
        assert_eq!(split("\na\r\n\n b\n  "), [(2, 1, "a\r"), (4, 5, " b")]);
    }
}
