//! The fields of an event in a JSON text: checked, and put into the line's order.

use super::json::JsonParser;
use super::payload::{REORDERED_PAYLOAD, read_payload};
use crate::error::{Error, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// The fields, in the order of the line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
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

    fn from_name(name: &[u8]) -> Option<Self> {
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

    pub fn name(self) -> &'static str {
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

/// Where the fields of an event are in the parser's output and in the text.
#[derive(Default)]
pub(super) struct EventFields {
    /// By field: its range of the output, from the comma or brace before its key
    /// to the end of its value; its end is 0 for a field that is left out.
    parts: [(usize, usize); Field::COUNT],
    /// By field: the offset of its key in the text; 0: there is none, as a brace
    /// comes first.
    pub key_offsets: [usize; Field::COUNT],
}

impl EventFields {
    /// The canonical text of a field that is a string, without its quotes.
    pub fn text<'o>(&self, out: &'o [u8], field: Field) -> &'o [u8] {
        let (start, end) = self.parts[field as usize];
        &out[start + field.name().len() + 5..end - 1]
    }

    /// Writes all fields in the order of the line.
    pub fn write(&self, out: &[u8], line: &mut Vec<u8>) {
        if self.parts[Field::Timestamp as usize].1 == 0 {
            write_timestamp(line, 0);
        }
        let mut write = |(start, end)| {
            if start < end {
                let part_start = line.len();
                line.extend_from_slice(&out[start..end]);
                // The field that was first in the text has a brace there.
                line[part_start] = b',';
            }
        };
        let mut run = (0, 0);
        for &part in self.parts.iter().filter(|part| part.1 > 0) {
            if part.0 == run.1 {
                run.1 = part.1;
            } else {
                write(run);
                run = part;
            }
        }
        write(run);
    }
}

/// Reads a whole event. Of domain, category and operation it checks only that
/// they are strings.
pub(super) fn read_event(parser: &mut JsonParser, fields: &mut EventFields) -> Result<()> {
    if parser.peek() != b'{' {
        return Err(parser.unexpected("a JSON object, the event"));
    }
    let mut object = parser.enter_object();
    let mut start = 0;
    while parser.next_key(&mut object)? {
        let Some(field) = Field::from_name(parser.key()) else {
            return Err(unknown_field(parser.key(), parser.key_offset()));
        };
        let index = field as usize;
        if fields.key_offsets[index] > 0 {
            return Err(parser.repeated_key());
        }
        fields.key_offsets[index] = parser.key_offset();
        let end = match field {
            Field::Timestamp => read_timestamp(parser)?,
            Field::Payload => {
                let payload_start = parser.output_len();
                match read_payload(parser)? {
                    None => 0,
                    Some(object) => {
                        if object.start != payload_start {
                            start = object.start - REORDERED_PAYLOAD.len();
                        }
                        object.end
                    }
                }
            }
            _ if parser.string_value()? => parser.output_len(),
            Field::RequestId if parser.peek() == b'n' => {
                parser.value(1)?;
                0
            }
            Field::RequestId => return Err(parser.unexpected("a text or null")),
            _ => return Err(parser.unexpected("a text")),
        };
        fields.parts[index] = (start, end);
        start = parser.output_len();
    }
    for field in Field::REQUIRED {
        if fields.key_offsets[field as usize] == 0 {
            let message = format!("{} is missing", field.name());
            return Err(Error::event(parser.offset() - 1, message));
        }
    }
    Ok(())
}

/// Reads a timestamp; returns where it ends in the output, or 0 if it is null or
/// 0, which both mean that there is none.
fn read_timestamp(parser: &mut JsonParser) -> Result<usize> {
    const INTEGER: &str = "an integer, Unix seconds, or null";
    if !matches!(parser.peek(), b'n' | b'-' | b'0'..=b'9') {
        return Err(parser.unexpected(INTEGER));
    }
    let number_offset = parser.offset();
    parser.value(1)?;
    let digits = parser.text_since(number_offset);
    if digits == b"null" {
        return Ok(0);
    }
    if digits.iter().any(|c| matches!(c, b'.' | b'e' | b'E')) {
        let message = format!("expected {INTEGER}, without fraction or exponent");
        return Err(Error::event(number_offset, message));
    }
    // In JSON an integer has only one spelling, except for -0.
    if digits == b"0" || digits == b"-0" {
        return Ok(0);
    }
    // All numbers of 18 digits fit, some of 19 do.
    if digits.len() > 18 && ascii(digits).parse::<i64>().is_err() {
        return Err(Error::event(number_offset, "does not fit into 64 bits"));
    }
    Ok(parser.output_len())
}

pub(super) fn write_field_key(line: &mut Vec<u8>, field: Field) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(field.name().as_bytes());
    line.extend_from_slice(b"\":");
}

/// Writes a timestamp; 0 means now.
pub(super) fn write_timestamp(line: &mut Vec<u8>, timestamp: i64) {
    let timestamp = if timestamp == 0 { now() } else { timestamp };
    write_field_key(line, Field::Timestamp);
    line.extend_from_slice(timestamp.to_string().as_bytes());
}

/// The system clock's seconds. Before 1970 they are negative, as Unix has it.
pub(super) fn now() -> i64 {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Canonical text as `str`: it is ASCII.
pub(super) fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or_default()
}

#[cold]
fn unknown_field(name: &[u8], offset: usize) -> Error {
    let message = match name {
        b"event_id" => "event_id is given by the trail",
        _ => "unknown field",
    };
    Error::event(offset, message)
}
