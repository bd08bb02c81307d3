//! Events that wait to be committed together.
//!
//! A batch holds the rendered events and, for each stream, the chain of those
//! that go into it: walking chain after chain is walking stream after stream,
//! with no sort. One chain is a *run*. Ids are given in the order of the runs,
//! so that writing run after run writes in the order of ids.

use crate::event::EventLine;
use crate::event::header::EVENT_ID;
use crate::store::segment::Slot;

const NONE: u32 = u32::MAX;

/// Bytes for which an empty batch makes room at once, at most: a large buffer is
/// not taken from the host before it is used.
const MAX_INITIAL_RESERVE: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Batch {
    /// The events without their opening and id, one after the other.
    bytes: Vec<u8>,
    events: Vec<PendingEvent>,
    runs: Vec<Run>,
    /// By slot: the run that takes the next event of that stream.
    open_runs: Vec<u32>,
    /// Bytes of capacity that the empty batch keeps.
    retained_bytes: usize,
}

#[derive(Debug)]
struct PendingEvent {
    /// 0 until it is given.
    id: u64,
    start: usize,
    end: usize,
    /// The next event of the same run.
    next: u32,
}

/// Events of one stream that are written one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub slot: Slot,
    first: u32,
    last: u32,
}

impl Batch {
    /// An empty batch that has, and keeps, room for so many bytes of events: to grow
    /// and shrink moves them, and leaves holes in the memory. Room that is not
    /// used takes no memory; a large one is made only as it is needed.
    pub fn retaining(bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            events: Vec::new(),
            runs: Vec::new(),
            open_runs: Vec::new(),
            retained_bytes: bytes,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Bytes that the events take.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    pub fn run(&self, index: usize) -> Run {
        self.runs[index]
    }

    /// Puts an event at the end of its stream's run, and says its index.
    /// `id` is 0 where it is given at commit.
    pub fn push(&mut self, slot: Slot, body: &[u8], id: u64) -> usize {
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

    /// Puts events behind all others, in their own order and as a run of their
    /// own: no other event will come between them.
    pub fn push_run<'b>(&mut self, slot: Slot, bodies: impl IntoIterator<Item = &'b [u8]>) {
        let mut run = NONE;
        for body in bodies {
            let index = self.push_event(body, 0);
            if run == NONE {
                run = self.start_run(slot, index);
            } else {
                self.extend_run(run, index);
            }
        }
    }

    fn push_event(&mut self, body: &[u8], id: u64) -> u32 {
        let start = self.bytes.len();
        if self.bytes.capacity() == 0 {
            self.bytes
                .reserve(self.retained_bytes.min(MAX_INITIAL_RESERVE));
        }
        self.bytes.extend_from_slice(body);
        self.events.push(PendingEvent {
            id,
            start,
            end: self.bytes.len(),
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

    /// The events of a run, by index.
    pub fn events(&self, run: Run) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(run.first), |&event| {
            Some(self.events[event as usize].next).filter(|&next| next != NONE)
        })
        .map(|event| event as usize)
    }

    /// Gives the id after `last` to the first event, and so on, in the order
    /// of the runs; says the last one given.
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

    /// An event's timestamp; `None`: its line has not our shape.
    #[inline]
    pub fn timestamp(&self, event: usize) -> Option<i64> {
        let pending = &self.events[event];
        let rest = self.bytes.get(pending.start..pending.end)?;
        let rest = rest.strip_prefix(b",\"timestamp\":")?;
        let (digits, sign) = match rest.strip_prefix(b"-") {
            Some(digits) => (digits, -1),
            None => (rest, 1),
        };
        // It was rendered from a number of 64 bits.
        let mut number: i64 = 0;
        for digit in digits.iter().map(|b| b.wrapping_sub(b'0')) {
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        Some(number.wrapping_mul(sign))
    }

    /// The ids of all events, in the order in which they were pushed.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().map(|event| event.id)
    }

    /// Writes an event's whole line behind `out`.
    pub fn render_line(&self, event: usize, out: &mut Vec<u8>) {
        let pending = &self.events[event];
        write_line(pending.id, &self.bytes[pending.start..pending.end], out);
    }

    /// Empties the batch, keeping a bounded amount of memory for the next.
    pub fn clear(&mut self) {
        for run in &self.runs {
            if let Some(run_index) = self.open_runs.get_mut(run.slot as usize) {
                *run_index = NONE;
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(self.retained_bytes);
        self.events.clear();
        self.events.shrink_to(self.retained_bytes / 64);
        self.runs.clear();
    }
}

/// Writes the line of an event: its opening, its id, and its body.
pub(crate) fn write_line(id: u64, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(EVENT_ID);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = id;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(body);
}

/// The lines of a caller's batch that are not blank: the number of each, from 1,
/// where it begins, and its text.
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

/// Checked events that are kept until all of a caller's batch are known to be
/// good.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    bodies: Vec<u8>,
    /// Where each event's body ends.
    ends: Vec<usize>,
    names: String,
    /// Events of one stream that follow each other: where the stream's name
    /// ends, and which is the first of them.
    runs: Vec<(usize, usize)>,
}

impl CheckedBatch {
    /// With room for so many bytes of events.
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

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bodies.len()
    }

    /// Each stream and its bodies, in the order in which they came; a stream
    /// comes again where another was in between.
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
