//! The event: its fields, their rules, and its line.
//!
//! A [`Renderer`] turns an event, given as JSON text or as an [`Event`], into
//! all of its line but the id, which is only known at commit. It gives the same
//! bytes for the same event on both ways. Everything that a caller can get
//! wrong is refused here, with the path of keys and the byte; what a [`Line`]
//! holds is right.
//!
//! The fields may come in any order, the line has one. So each field is a piece
//! of the pass's output, and the line is put together from the pieces; those
//! that are neighbours in both are copied in one go. Within the payload nothing
//! is moved unless the caller's order is not the line's.

use std::borrow::Cow;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};
use crate::json::{self, Buffers, KEPT, Pass, locate};
use crate::layout::name_fault;

/// The longest operation, in bytes.
const MAX_OPERATION: usize = 128;

/// A text may be so many times longer than the longest line: blanks and
/// escapes may go, but there must be an end to it.
const MAX_TEXT: usize = 8;

/// What a line has before its body: `{"event_id":` and the longest id.
const BEFORE_BODY: usize = 12 + 20;

/// Which names are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Any name that follows the general rule.
    Any,
    /// Only these.
    Only(Vec<String>),
}

impl Names {
    /// Only the names of the list.
    pub fn only<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    fn fault(&self, name: &[u8]) -> Option<String> {
        match self {
            Self::Only(names) if !names.iter().any(|allowed| allowed.as_bytes() == name) => {
                let name = json::shown(name);
                Some(format!(
                    "\"{name}\" is not allowed, only {}",
                    names.join(", ")
                ))
            }
            _ => None,
        }
    }
}

/// What an event must keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The domains; `legacy` and `v2` by default.
    pub domains: Names,
    /// The operations; `create`, `update` and `delete` by default.
    pub operations: Names,
    /// The longest line, in bytes, with its newline and an id of 20 digits;
    /// 1 MiB by default. A text of more than eight times as much is not read.
    pub max_line: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            domains: Names::only(["legacy", "v2"]),
            operations: Names::only(["create", "update", "delete"]),
            max_line: 1 << 20,
        }
    }
}

/// An event as a struct of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// Unix seconds; 0 is now.
    pub timestamp: i64,
    /// The domain, such as `v2`.
    pub domain: &'a str,
    /// The category, which names the stream within the domain.
    pub category: &'a str,
    /// The name of the record; any text.
    pub model_name: &'a str,
    /// What was done, such as `update`.
    pub operation: &'a str,
    /// Who did it; any text.
    pub logical_user_id: &'a str,
    /// For tracing; any text.
    pub request_id: Option<&'a str>,
    /// A JSON object, or null.
    pub payload: Option<&'a [u8]>,
}

/// A checked event: its line is `{"event_id":`, the id, and `body`.
#[derive(Clone, Copy, Debug)]
pub struct Line<'s> {
    /// `domain/category`.
    pub stream: &'s str,
    /// From the comma after the id to the newline.
    pub body: &'s [u8],
}

/// Turns events into lines, one after the other, in memory that it keeps.
#[derive(Debug, Default)]
pub struct Renderer {
    buffers: Buffers,
    body: Vec<u8>,
    stream: Stream,
}

impl Renderer {
    /// The line of the event that `text` is.
    pub fn render_json<'s>(&'s mut self, text: &[u8], rules: &Rules) -> Result<Line<'s>> {
        check_text_length(text.len(), rules)?;
        self.body.clear();
        let mut pass = Pass::new(text, &mut self.buffers);
        let mut fields = Fields::default();
        read_event(&mut pass, &mut fields)
            .and_then(|()| {
                let out = pass.finish()?;
                self.stream.check(
                    fields.text(out, Field::Domain),
                    fields.text(out, Field::Category),
                    &plain_text(fields.text(out, Field::Operation)),
                    rules,
                    |field, fault| {
                        let key = fields.keys[field as usize];
                        Error::event(json::value_of(text, key), fault)
                    },
                )?;
                fields.write(out, &mut self.body);
                Ok(())
            })
            .map_err(|error| locate(text, "", error))?;
        self.line(rules)
    }

    /// The line of the event whose fields are given.
    pub fn render_event<'s>(&'s mut self, event: &Event, rules: &Rules) -> Result<Line<'s>> {
        let fault = |field: Field, fault: String| {
            Error::new(Kind::InvalidEvent, format!("{}: {fault}", field.name()))
        };
        self.stream.check(
            event.domain.as_bytes(),
            event.category.as_bytes(),
            event.operation.as_bytes(),
            rules,
            fault,
        )?;
        let body = &mut self.body;
        body.clear();
        write_timestamp(body, event.timestamp);
        for (field, text) in [
            (Field::Domain, Some(event.domain)),
            (Field::Category, Some(event.category)),
            (Field::ModelName, Some(event.model_name)),
            (Field::Operation, Some(event.operation)),
            (Field::LogicalUserId, Some(event.logical_user_id)),
            (Field::RequestId, event.request_id),
        ] {
            let Some(text) = text else { continue };
            // Never shorter in the line: no need to go through it.
            if text.len() > rules.max_line {
                let what = format!("{} alone", field.name());
                return Err(too_large(&what, text.len(), "", rules.max_line));
            }
            write_key(body, field);
            json::write_text(body, text);
        }
        if let Some(payload) = event.payload {
            check_text_length(payload.len(), rules)?;
            let mut pass = Pass::new(payload, &mut self.buffers);
            read_payload(&mut pass)
                .and_then(|object| {
                    let out = pass.finish()?;
                    if let Some(object) = object {
                        write_key(body, Field::Payload);
                        body.extend_from_slice(&out[object]);
                    }
                    Ok(())
                })
                .map_err(|error| locate(payload, "payload", error))?;
        }
        self.line(rules)
    }

    /// Gives back memory that only an unusually large event needed.
    pub fn trim(&mut self) {
        self.buffers.trim();
        self.body.clear();
        self.body.shrink_to(KEPT);
    }

    /// Ends the line that is in `body`.
    fn line(&mut self, rules: &Rules) -> Result<Line<'_>> {
        self.body.extend_from_slice(b"}\n");
        let size = BEFORE_BODY + self.body.len();
        if size > rules.max_line {
            return Err(too_large("line", size, "", rules.max_line));
        }
        Ok(Line {
            stream: &self.stream.0,
            body: &self.body,
        })
    }
}

/// `domain/category` of the last event; both names are known to be good.
#[derive(Debug, Default)]
struct Stream(String);

impl Stream {
    /// Checks all names of an event by the rules, and becomes its stream.
    fn check(
        &mut self,
        domain: &[u8],
        category: &[u8],
        operation: &[u8],
        rules: &Rules,
        error: impl Fn(Field, String) -> Error,
    ) -> Result<()> {
        if !self.is(domain, category) {
            self.0.clear();
            for (field, name) in [(Field::Domain, domain), (Field::Category, category)] {
                if let Some(fault) = name_fault(name) {
                    return Err(error(field, fault.to_owned()));
                }
            }
            self.0.push_str(ascii(domain));
            self.0.push('/');
            self.0.push_str(ascii(category));
        }
        if let Some(fault) = rules.domains.fault(domain) {
            return Err(error(Field::Domain, fault));
        }
        let fault = if operation.is_empty() {
            Some("must not be empty".to_owned())
        } else if operation.len() > MAX_OPERATION {
            Some(format!("must not be longer than {MAX_OPERATION} bytes"))
        } else {
            rules.operations.fault(operation)
        };
        fault.map_or(Ok(()), |fault| Err(error(Field::Operation, fault)))
    }

    /// Good names hold no `/`, so that there is only one in a stream.
    fn is(&self, domain: &[u8], category: &[u8]) -> bool {
        let stream = self.0.as_bytes();
        stream.len() == domain.len() + 1 + category.len()
            && stream.starts_with(domain)
            && stream[domain.len()] == b'/'
            && stream.ends_with(category)
    }
}

/// The lines of a batch that are not blank: the number of each, from 1, where
/// it begins, and its text.
pub(crate) fn lines(batch: &[u8]) -> impl Iterator<Item = (usize, (usize, &[u8]))> {
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

/// The fields, in the order of the line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Timestamp,
    Domain,
    Category,
    ModelName,
    Operation,
    LogicalUserId,
    RequestId,
    Payload,
}

impl Field {
    const COUNT: usize = 8;
    const REQUIRED: [Self; 5] = [
        Self::Domain,
        Self::Category,
        Self::ModelName,
        Self::Operation,
        Self::LogicalUserId,
    ];

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"timestamp" => Self::Timestamp,
            b"domain" => Self::Domain,
            b"category" => Self::Category,
            b"model_name" => Self::ModelName,
            b"operation" => Self::Operation,
            b"logical_user_id" => Self::LogicalUserId,
            b"request_id" => Self::RequestId,
            b"payload" => Self::Payload,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Domain => "domain",
            Self::Category => "category",
            Self::ModelName => "model_name",
            Self::Operation => "operation",
            Self::LogicalUserId => "logical_user_id",
            Self::RequestId => "request_id",
            Self::Payload => "payload",
        }
    }
}

/// Where the fields of an event are.
#[derive(Default)]
struct Fields {
    /// By field: its piece of the output, from the comma or brace before its
    /// key to the end of its value; empty for one that is left out.
    pieces: [(usize, usize); Field::COUNT],
    /// By field: where its key stands in the text; never at its start.
    keys: [usize; Field::COUNT],
}

impl Fields {
    /// The canonical text of a field that is a string, without its quotes.
    fn text<'o>(&self, out: &'o [u8], field: Field) -> &'o [u8] {
        let (start, end) = self.pieces[field as usize];
        &out[start + field.name().len() + 5..end - 1]
    }

    /// Writes all fields in their order.
    fn write(&self, out: &[u8], line: &mut Vec<u8>) {
        if self.pieces[Field::Timestamp as usize].1 == 0 {
            write_timestamp(line, 0);
        }
        let mut write = |(start, end)| {
            if start < end {
                let at = line.len();
                line.extend_from_slice(&out[start..end]);
                // What was first in the text has a brace there.
                line[at] = b',';
            }
        };
        let mut run = (0, 0);
        for &piece in self.pieces.iter().filter(|piece| piece.1 > 0) {
            if piece.0 == run.1 {
                run.1 = piece.1;
            } else {
                write(run);
                run = piece;
            }
        }
        write(run);
    }
}

/// Reads a whole event; of the names, only that they are texts is checked.
fn read_event(pass: &mut Pass, fields: &mut Fields) -> Result<()> {
    if pass.peek() != b'{' {
        return Err(pass.unexpected("a JSON object, the event"));
    }
    let mut object = pass.enter();
    let mut start = 0;
    while pass.next_key(&mut object)? {
        let Some(field) = Field::named(pass.name()) else {
            return Err(unknown_field(pass.name(), pass.name_at()));
        };
        let index = field as usize;
        if fields.keys[index] > 0 {
            return Err(pass.repeated());
        }
        fields.keys[index] = pass.name_at();
        let end = match field {
            Field::Timestamp => read_timestamp(pass)?,
            Field::Payload => {
                let place = pass.place();
                match read_payload(pass)? {
                    None => 0,
                    Some(object) => {
                        if object.start != place {
                            start = object.start - REORDERED_PAYLOAD.len();
                        }
                        object.end
                    }
                }
            }
            _ if pass.text_value()? => pass.place(),
            Field::RequestId if pass.peek() == b'n' => {
                pass.value(1)?;
                0
            }
            Field::RequestId => return Err(pass.unexpected("a text or null")),
            _ => return Err(pass.unexpected("a text")),
        };
        fields.pieces[index] = (start, end);
        start = pass.place();
    }
    for field in Field::REQUIRED {
        if fields.keys[field as usize] == 0 {
            let message = format!("{} is missing", field.name());
            return Err(Error::event(pass.at() - 1, message));
        }
    }
    Ok(())
}

/// Reads a timestamp, and says where it ends; 0 for null and 0, which are none.
fn read_timestamp(pass: &mut Pass) -> Result<usize> {
    const INTEGER: &str = "an integer, Unix seconds, or null";
    if !matches!(pass.peek(), b'n' | b'-' | b'0'..=b'9') {
        return Err(pass.unexpected(INTEGER));
    }
    let at = pass.at();
    pass.value(1)?;
    let digits = pass.since(at);
    if digits == b"null" {
        return Ok(0);
    }
    if digits.iter().any(|c| matches!(c, b'.' | b'e' | b'E')) {
        let message = format!("expected {INTEGER}, without fraction or exponent");
        return Err(Error::event(at, message));
    }
    // JSON has one way only to write an integer, but for -0.
    if digits == b"0" || digits == b"-0" {
        return Ok(0);
    }
    // All numbers of 18 digits fit, some of 19 do.
    if digits.len() > 18 && ascii(digits).parse::<i64>().is_err() {
        return Err(Error::event(at, "does not fit into 64 bits"));
    }
    Ok(pass.place())
}

/// What stands before a payload that had to be put together anew.
const REORDERED_PAYLOAD: &[u8; 11] = b",\"payload\":";

/// Reads a payload, and says where in the output it is; null is none.
fn read_payload(pass: &mut Pass) -> Result<Option<Range<usize>>> {
    match pass.peek() {
        b'{' => {}
        b'n' => {
            pass.value(1)?;
            return Ok(None);
        }
        _ => return Err(pass.unexpected("an object or null")),
    }
    let place = pass.place();
    let mut object = pass.enter();
    // The members, without commas: `before`, `after` and `delta`, and the runs
    // of others, of which there is one more at most.
    let mut known = [(0, 0); 3];
    let mut others = [(0, 0); 4];
    let mut runs = 0;
    let mut seen = [false; 3];
    let mut in_order = true;
    let mut least = 0;
    loop {
        let start = pass.place();
        if !pass.next_key(&mut object)? {
            break;
        }
        // The comma, if one was just read, belongs to no member.
        let start = if start == place + 1 { start } else { start + 1 };
        let rank = match pass.name() {
            b"before" => 0,
            b"after" => 1,
            b"delta" => 2,
            _ => {
                pass.remember(&object)?;
                pass.value(2)?;
                if least < 3 || others[runs - 1].1 + 1 != start {
                    others[runs].0 = start;
                    runs += 1;
                }
                others[runs - 1].1 = pass.place();
                least = 3;
                continue;
            }
        };
        if std::mem::replace(&mut seen[rank], true) {
            return Err(pass.repeated());
        }
        match pass.peek() {
            b'n' => {
                pass.value(2)?;
                in_order = false;
                continue;
            }
            b'{' if rank == 2 => read_delta(pass)?,
            b'{' => pass.value(2)?,
            _ => return Err(pass.unexpected("an object or null")),
        }
        known[rank] = (start, pass.place());
        in_order &= rank >= least;
        least = least.max(rank);
    }
    if in_order {
        return Ok(Some(place..pass.place()));
    }
    let out = pass.out();
    out.extend_from_slice(REORDERED_PAYLOAD);
    let place = out.len();
    for (start, end) in known.into_iter().chain(others) {
        if start < end {
            out.push(b',');
            out.extend_from_within(start..end);
        }
    }
    match out.get_mut(place) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    Ok(Some(place..out.len()))
}

/// Reads a delta: an object whose values have `old` and `new`.
fn read_delta(pass: &mut Pass) -> Result<()> {
    let mut object = pass.enter();
    while pass.next_key(&mut object)? {
        pass.remember(&object)?;
        read_change(pass)?;
    }
    Ok(())
}

fn read_change(pass: &mut Pass) -> Result<()> {
    if pass.peek() != b'{' {
        return Err(pass.unexpected("an object with `old` and `new`"));
    }
    let place = pass.place();
    let mut object = pass.enter();
    // Where each member ends; both begin behind a brace or comma.
    let [mut old, mut new] = [0; 2];
    while pass.next_key(&mut object)? {
        let end = match pass.name() {
            b"old" => &mut old,
            b"new" => &mut new,
            _ => {
                let message = "unknown key, a change has only `old` and `new`";
                return Err(Error::event(pass.name_at(), message));
            }
        };
        if *end > 0 {
            return Err(pass.repeated());
        }
        pass.value(4)?;
        *end = pass.place();
    }
    for (name, end) in [("old", old), ("new", new)] {
        if end == 0 {
            let message = format!("{name} is missing");
            return Err(Error::event(pass.at() - 1, message));
        }
    }
    if new < old {
        // `new,old` to `old,new`.
        let pair = &mut pass.out()[place + 1..old];
        pair.rotate_left(new + 1 - (place + 1));
        pair[old - (new + 1)..].rotate_right(1);
    }
    Ok(())
}

fn write_key(line: &mut Vec<u8>, field: Field) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(field.name().as_bytes());
    line.extend_from_slice(b"\":");
}

/// Writes a timestamp; 0 is now.
fn write_timestamp(line: &mut Vec<u8>, timestamp: i64) {
    let timestamp = if timestamp == 0 { now() } else { timestamp };
    write_key(line, Field::Timestamp);
    line.extend_from_slice(timestamp.to_string().as_bytes());
}

/// The system clock's seconds. Before 1970 they are negative, as Unix has it.
fn now() -> i64 {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Canonical text is ASCII.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// The text that a canonical string stands for.
fn plain_text(canonical: &[u8]) -> Cow<'_, [u8]> {
    if canonical.contains(&b'\\') {
        let text = serde_json::from_str::<String>(&format!("\"{}\"", ascii(canonical)));
        return Cow::Owned(text.unwrap_or_default().into_bytes());
    }
    Cow::Borrowed(canonical)
}

fn check_text_length(length: usize, rules: &Rules) -> Result<()> {
    if length / MAX_TEXT > rules.max_line {
        return Err(too_large("text", length, "eight times ", rules.max_line));
    }
    Ok(())
}

#[cold]
fn too_large(what: &str, size: usize, factor: &str, limit: usize) -> Error {
    Error::new(
        Kind::TooLarge,
        format!("the {what} has {size} bytes, over {factor}the limit of {limit} for a line"),
    )
}

#[cold]
fn unknown_field(name: &[u8], at: usize) -> Error {
    let message = match name {
        b"event_id" => "event_id is given by the trail",
        _ => "unknown field",
    };
    Error::event(at, message)
}

#[cfg(test)]
mod tests;
