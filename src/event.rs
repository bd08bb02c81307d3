//! The event: its fields, their rules, and its line.
//!
//! A [`Renderer`] turns an event, given as JSON text or as an [`Event`], into
//! all of its line but the id, which is only known at commit. It gives the same
//! bytes for the same event on both ways. Everything that a caller can get
//! wrong is refused here, with the path of keys and the byte; what a [`Line`]
//! holds is right.
//!
//! The fields may come in any order, the line has one. The pieces of the line
//! stand in the pass's output as the caller ordered them; those that are not
//! where they belong are copied, the others, and the payload nearly always,
//! are used where they are.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};
use crate::json::{self, Buffers, KEPT, Pass, expected, locate};
use crate::layout::name_fault;

/// The longest operation, in bytes.
const MAX_OPERATION: usize = 128;

/// A text may be so many times longer than the longest line: blanks and
/// escapes may go, but there must be an end to it.
const MAX_TEXT: usize = 8;

/// What a line has before the first piece: `{"event_id":` and the longest id.
const BEFORE_PIECES: usize = 12 + 20;

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

    fn fault(&self, name: &str) -> Option<String> {
        match self {
            Self::Only(names) if !names.iter().any(|allowed| allowed == name) => Some(format!(
                "\"{}\" is not allowed, only {}",
                json::shown(name.as_bytes()),
                names.join(", ")
            )),
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

/// A checked event: its line is `{"event_id":`, the id, `head`, `tail`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'s> {
    /// `domain/category`.
    pub stream: &'s str,
    /// From the comma after the id; may be empty.
    pub head: &'s [u8],
    /// The rest, to the newline; may be empty.
    pub tail: &'s [u8],
}

impl Line<'_> {
    /// How long it is, without what comes before `head`.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

/// Turns events into lines, one after the other, in memory that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    buffers: Buffers,
    head: Vec<u8>,
    /// The stream of the last line; its two names are known to be good.
    stream: String,
}

impl Renderer {
    /// The line of the event that `text` is.
    pub fn render_json<'s>(&'s mut self, text: &[u8], rules: &Rules) -> Result<Line<'s>> {
        check_text_length(text.len(), rules)?;
        let mut pass = Pass::new(text, &mut self.buffers);
        let fields = read_event(&mut pass).map_err(|error| locate(text, "", error))?;
        self.line(&fields, rules)
            .map_err(|error| locate(text, "", error))
    }

    /// The line of the event whose fields are given.
    pub fn render_event<'s>(&'s mut self, event: &Event, rules: &Rules) -> Result<Line<'s>> {
        let payload = event.payload.unwrap_or(b"null");
        check_text_length(payload.len(), rules)?;
        let mut pass = Pass::new(payload, &mut self.buffers);
        let fields = read_fields(&mut pass, event, rules)
            .map_err(|error| locate(payload, "payload", error))?;
        self.line(&fields, rules)
    }

    /// Gives back memory that only an unusually large event needed.
    pub fn trim(&mut self) {
        self.buffers.trim();
        if self.head.capacity() > KEPT {
            self.head = Vec::new();
        }
    }

    /// Checks the names and puts the pieces into order.
    fn line(&mut self, fields: &Fields, rules: &Rules) -> Result<Line<'_>> {
        let out = self.buffers.out();
        let domain = fields.text(out, Field::Domain);
        let category = fields.text(out, Field::Category);
        if !is_stream(&self.stream, domain, category) {
            self.stream.clear();
            for (field, name) in [(Field::Domain, domain), (Field::Category, category)] {
                if let Some(fault) = name_fault(name) {
                    return Err(fields.fault(field, fault));
                }
            }
            self.stream = format!("{}/{}", ascii(domain), ascii(category));
        }
        let domain_text = &self.stream[..domain.len()];
        if let Some(fault) = rules.domains.fault(domain_text) {
            return Err(fields.fault(Field::Domain, &fault));
        }
        let operation = plain_text(fields.text(out, Field::Operation));
        let fault = if operation.is_empty() {
            Some("must not be empty".to_owned())
        } else if operation.len() > MAX_OPERATION {
            Some(format!("must not be longer than {MAX_OPERATION} bytes"))
        } else {
            rules.operations.fault(&operation)
        };
        if let Some(fault) = fault {
            return Err(fields.fault(Field::Operation, &fault));
        }

        self.head.clear();
        let mut run = 0..0;
        for piece in fields.pieces.iter().filter(|piece| piece.end > 0) {
            if piece.start == run.end {
                run.end = piece.end;
            } else {
                self.head.extend_from_slice(&out[run]);
                run = piece.start..piece.end;
            }
        }
        let mut tail = &out[run];
        if fields.pieces[Field::Payload as usize].end == 0 {
            self.head.extend_from_slice(tail);
            self.head.extend_from_slice(END);
            tail = &[];
        }
        let size = BEFORE_PIECES + self.head.len() + tail.len();
        if size > rules.max_line {
            return Err(too_large("line", size, "", rules.max_line));
        }
        Ok(Line {
            stream: &self.stream,
            head: &self.head,
            tail,
        })
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

/// The end of every line.
const END: &[u8; 2] = b"}\n";

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

/// A piece of the line in the pass's output: `,"key":value`; the payload's with
/// the end of the line. Empty for a field that is left out.
#[derive(Clone, Copy, Default)]
struct Piece {
    start: usize,
    /// Where the value begins.
    value: usize,
    end: usize,
}

/// Where the fields of one event are.
#[derive(Default)]
struct Fields {
    pieces: [Piece; Field::COUNT],
    /// Where the values stand in the caller's text, if there is one.
    places: [Option<usize>; Field::COUNT],
}

impl Fields {
    /// The canonical text of a field that is a string, without its quotes.
    fn text<'o>(&self, out: &'o [u8], field: Field) -> &'o [u8] {
        let piece = self.pieces[field as usize];
        &out[piece.value + 1..piece.end - 1]
    }

    /// What is wrong with a field. Without a place there is no path to find,
    /// so that the name is put before.
    fn fault(&self, field: Field, fault: &str) -> Error {
        match self.places[field as usize] {
            Some(at) => Error::event(at, fault),
            None => Error::new(Kind::InvalidEvent, format!("{}: {fault}", field.name())),
        }
    }
}

/// Reads a whole event; of the names, only that they are texts is checked.
fn read_event(pass: &mut Pass) -> Result<Fields> {
    let mut fields = Fields::default();
    let mut seen = [false; Field::COUNT];
    let (c, at) = pass.peek();
    if c != b'{' {
        return Err(expected(pass.text(), at, "a JSON object, the event"));
    }
    let mut object = pass.enter();
    loop {
        let start = pass.written();
        pass.put(b",");
        let Some(name) = pass.next_key(&mut object)? else {
            pass.rewind(start);
            break;
        };
        let Some(field) = Field::named(&pass.out()[name.start..name.end]) else {
            return Err(unknown_field(&pass.out()[name.start..name.end], name.at));
        };
        let index = field as usize;
        if std::mem::replace(&mut seen[index], true) {
            return Err(json::repeated(field.name().as_bytes(), name.at));
        }
        let value = pass.written();
        let (c, at) = pass.peek();
        let there = match field {
            Field::Timestamp => read_timestamp(pass)?,
            Field::Payload => read_payload(pass)?,
            Field::RequestId if c == b'n' => {
                pass.value(1)?;
                false
            }
            _ if c == b'"' => {
                pass.string()?;
                true
            }
            Field::RequestId => return Err(expected(pass.text(), at, "a text or null")),
            _ => return Err(expected(pass.text(), at, "a text")),
        };
        if there {
            let end = pass.written();
            fields.pieces[index] = Piece { start, value, end };
            fields.places[index] = Some(at);
        } else {
            pass.rewind(start);
        }
    }
    for field in Field::REQUIRED {
        if !seen[field as usize] {
            let message = format!("{} is missing", field.name());
            return Err(Error::event(pass.last_byte(), message));
        }
    }
    pass.end()?;
    if fields.pieces[Field::Timestamp as usize].end == 0 {
        fields.pieces[Field::Timestamp as usize] = put_timestamp(pass, 0);
    }
    Ok(fields)
}

/// The same from a struct, whose payload is the pass's text.
fn read_fields(pass: &mut Pass, event: &Event, rules: &Rules) -> Result<Fields> {
    let mut fields = Fields::default();
    fields.pieces[Field::Timestamp as usize] = put_timestamp(pass, event.timestamp);
    let mut put = |pass: &mut Pass, field: Field, key: &[u8], text: &str| {
        let start = pass.written();
        // Never shorter in the line: no need to go through it.
        if text.len() > rules.max_line {
            let what = format!("{} alone", field.name());
            return Err(too_large(&what, text.len(), "", rules.max_line));
        }
        pass.put_slice(key);
        let value = pass.written();
        pass.put_text(text);
        let end = pass.written();
        fields.pieces[field as usize] = Piece { start, value, end };
        Ok(())
    };
    put(pass, Field::Domain, b",\"domain\":", event.domain)?;
    put(pass, Field::Category, b",\"category\":", event.category)?;
    put(
        pass,
        Field::ModelName,
        b",\"model_name\":",
        event.model_name,
    )?;
    put(pass, Field::Operation, b",\"operation\":", event.operation)?;
    put(
        pass,
        Field::LogicalUserId,
        b",\"logical_user_id\":",
        event.logical_user_id,
    )?;
    if let Some(request_id) = event.request_id {
        put(pass, Field::RequestId, b",\"request_id\":", request_id)?;
    }
    let start = pass.written();
    pass.put(b",\"payload\":");
    let value = pass.written();
    if read_payload(pass)? {
        let end = pass.written();
        fields.pieces[Field::Payload as usize] = Piece { start, value, end };
    }
    pass.end()?;
    Ok(fields)
}

/// Reads a timestamp, and says whether it is one: null and 0 are none.
fn read_timestamp(pass: &mut Pass) -> Result<bool> {
    let (c, at) = pass.peek();
    let integer = "an integer, Unix seconds, or null";
    if !matches!(c, b'n' | b'-' | b'0'..=b'9') {
        return Err(expected(pass.text(), at, integer));
    }
    let start = pass.written();
    pass.value(1)?;
    let digits = &pass.out()[start..];
    if digits == b"null" {
        return Ok(false);
    }
    if digits.iter().any(|c| matches!(c, b'.' | b'e' | b'E')) {
        return Err(Error::event(
            at,
            format!("expected {integer}, without fraction or exponent"),
        ));
    }
    // JSON has one way only to write an integer, but for -0.
    match ascii(digits).parse::<i64>() {
        Ok(number) => Ok(number != 0),
        Err(_) => Err(Error::event(at, "does not fit into 64 bits")),
    }
}

fn put_timestamp(pass: &mut Pass, timestamp: i64) -> Piece {
    let start = pass.written();
    pass.put(b",\"timestamp\":");
    let value = pass.written();
    let timestamp = if timestamp == 0 { now() } else { timestamp };
    pass.put_slice(timestamp.to_string().as_bytes());
    let end = pass.written();
    Piece { start, value, end }
}

/// The system clock's seconds. Before 1970 they are negative, as Unix has it.
fn now() -> i64 {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Reads a payload, writes the end of the line after it, and says whether it
/// is one: null is none.
fn read_payload(pass: &mut Pass) -> Result<bool> {
    let (c, at) = pass.peek();
    match c {
        b'{' => {}
        b'n' => {
            pass.value(1)?;
            return Ok(false);
        }
        _ => return Err(expected(pass.text(), at, "an object or null")),
    }
    let mut object = pass.enter();
    let inside = pass.written();
    // The ranks and pieces of `before`, `after` and `delta`, as they come.
    let mut known = [(0, 0, 0); 3];
    let mut count = 0;
    let mut seen = [false; 3];
    loop {
        let start = pass.written();
        let Some(name) = pass.next_key(&mut object)? else {
            break;
        };
        let key = &pass.out()[name.start..name.end];
        let rank = match key {
            b"before" => 0,
            b"after" => 1,
            b"delta" => 2,
            _ => {
                pass.remember(&object, &name)?;
                pass.value(2)?;
                pass.put(b",");
                continue;
            }
        };
        if std::mem::replace(&mut seen[rank], true) {
            return Err(json::repeated(key, name.at));
        }
        match pass.peek() {
            (b'n', _) => {
                pass.value(2)?;
                pass.rewind(start);
                continue;
            }
            (b'{', _) if rank == 2 => read_delta(pass)?,
            (b'{', _) => pass.value(2)?,
            (_, at) => return Err(expected(pass.text(), at, "an object or null")),
        }
        pass.put(b",");
        known[count] = (rank, start, pass.written());
        count += 1;
    }
    // Each piece has a comma after it, so that they can change places.
    let mut ends = [inside; 3];
    for &(rank, start, end) in &known[..count] {
        let target = ends[rank];
        if target < start {
            pass.out()[target..end].rotate_right(end - start);
        }
        for after in &mut ends[rank..] {
            *after += end - start;
        }
    }
    close(pass, inside);
    pass.put(END);
    Ok(true)
}

/// Reads a delta: an object whose values have `old` and `new`.
fn read_delta(pass: &mut Pass) -> Result<()> {
    let mut object = pass.enter();
    let inside = pass.written();
    while let Some(name) = pass.next_key(&mut object)? {
        pass.remember(&object, &name)?;
        read_change(pass)?;
        pass.put(b",");
    }
    close(pass, inside);
    Ok(())
}

fn read_change(pass: &mut Pass) -> Result<()> {
    let (c, at) = pass.peek();
    if c != b'{' {
        return Err(expected(pass.text(), at, "an object with `old` and `new`"));
    }
    let mut object = pass.enter();
    let inside = pass.written();
    let [mut old, mut new] = [None; 2];
    loop {
        let start = pass.written();
        let Some(name) = pass.next_key(&mut object)? else {
            break;
        };
        let key = &pass.out()[name.start..name.end];
        let place = match key {
            b"old" => &mut old,
            b"new" => &mut new,
            _ => {
                let message = "unknown key, a change has only `old` and `new`";
                return Err(Error::event(name.at, message));
            }
        };
        if place.replace(start).is_some() {
            return Err(json::repeated(key, name.at));
        }
        pass.value(4)?;
        pass.put(b",");
    }
    match (old, new) {
        (Some(old), Some(new)) if new < old => pass.out()[inside..].rotate_left(old - inside),
        (Some(_), Some(_)) => {}
        (None, _) => return Err(Error::event(pass.last_byte(), "old is missing")),
        (_, None) => return Err(Error::event(pass.last_byte(), "new is missing")),
    }
    close(pass, inside);
    Ok(())
}

/// Writes the brace of an object whose pieces have a comma each.
fn close(pass: &mut Pass, inside: usize) {
    if pass.written() > inside {
        pass.rewind(pass.written() - 1);
    }
    pass.put(b"}");
}

fn is_stream(stream: &str, domain: &[u8], category: &[u8]) -> bool {
    let stream = stream.as_bytes();
    stream.len() == domain.len() + 1 + category.len()
        && stream.starts_with(domain)
        && stream[domain.len()] == b'/'
        && stream.ends_with(category)
}

/// Canonical text is ASCII.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

/// The text that a canonical string stands for.
fn plain_text(canonical: &[u8]) -> Cow<'_, str> {
    let canonical = ascii(canonical);
    if canonical.contains('\\') {
        let text = serde_json::from_str::<String>(&format!("\"{canonical}\""));
        return Cow::Owned(text.unwrap_or_default());
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
