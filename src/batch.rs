//! Events that wait to be committed together.
//!
//! A batch holds the rendered events and, for each stream, the chain of those
//! that go into it: walking chain after chain is walking stream after stream,
//! with no sort. One chain is a *run*. Ids are given in the order of the runs,
//! so that writing run after run writes in the order of ids.

use crate::event::Line;

/// A stream's place in the trail's table.
pub(crate) type Slot = u32;

const NONE: u32 = u32::MAX;

/// What stands before the id in every line.
const OPENING: &[u8] = b"{\"event_id\":";

#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The events without their opening and id, one after the other.
    bytes: Vec<u8>,
    events: Vec<Pending>,
    runs: Vec<Run>,
    /// By slot: the run that takes the next event of that stream.
    taking: Vec<u32>,
}

#[derive(Debug)]
struct Pending {
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
    pub fn push(&mut self, slot: Slot, line: &Line<'_>, id: u64) -> usize {
        let place = slot as usize;
        if place >= self.taking.len() {
            self.taking.resize(place + 1, NONE);
        }
        let index = self.add(line, id);
        match self.taking[place] {
            NONE => self.taking[place] = self.start_run(slot, index),
            run => self.extend(run, index),
        }
        index as usize
    }

    /// Puts events behind all others, in their own order, whatever their
    /// streams; says the index of the first. Their ids will be consecutive.
    pub fn push_in_order<'l>(
        &mut self,
        events: impl IntoIterator<Item = (Slot, Line<'l>)>,
    ) -> usize {
        let start = self.events.len();
        let mut run = NONE;
        for (slot, line) in events {
            let index = self.add(&line, 0);
            if run != NONE && self.runs[run as usize].slot == slot {
                self.extend(run, index);
            } else {
                run = self.start_run(slot, index);
            }
        }
        start
    }

    fn add(&mut self, line: &Line<'_>, id: u64) -> u32 {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.head);
        self.bytes.extend_from_slice(line.tail);
        self.events.push(Pending {
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

    fn extend(&mut self, run: u32, event: u32) {
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
    pub fn number_after(&mut self, mut last: u64) -> u64 {
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
    pub fn render(&self, event: usize, out: &mut Vec<u8>) {
        let pending = &self.events[event];
        line_of(pending.id, &[&self.bytes[pending.start..pending.end]], out);
    }

    /// Empties the batch, keeping a bounded amount of memory for the next.
    pub fn clear(&mut self) {
        for run in &self.runs {
            if let Some(taking) = self.taking.get_mut(run.slot as usize) {
                *taking = NONE;
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.events.clear();
        self.events.shrink_to(KEEP / 64);
        self.runs.clear();
    }
}

/// Bytes of capacity that an empty batch keeps.
const KEEP: usize = 2 * 1024 * 1024;

/// Writes the line of an event: its opening, its id, and the rest of it.
pub(crate) fn line_of(id: u64, rest: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(OPENING);
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
    for part in rest {
        out.extend_from_slice(part);
    }
}

/// Rendered lines that are kept until all of a caller's batch are known to be
/// good.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    bytes: Vec<u8>,
    /// Where the stream's name, the head and the tail of each line end.
    ends: Vec<[usize; 3]>,
}

impl Rendered {
    pub fn push(&mut self, line: &Line<'_>) {
        let ends = [line.stream.as_bytes(), line.head, line.tail].map(|part| {
            self.bytes.extend_from_slice(part);
            self.bytes.len()
        });
        self.ends.push(ends);
    }

    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|ends| ends[2]));
        starts.zip(&self.ends).map(|(start, ends)| Line {
            // It was a text when it was pushed.
            stream: std::str::from_utf8(&self.bytes[start..ends[0]]).unwrap_or_default(),
            head: &self.bytes[ends[0]..ends[1]],
            tail: &self.bytes[ends[1]..ends[2]],
        })
    }
}
