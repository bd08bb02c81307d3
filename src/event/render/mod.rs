//! From an event to its line.
//!
//! A [`Renderer`] turns an event, given as JSON text or as an [`Event`], into its
//! line without the id, which is only known at commit. Both inputs give the same
//! bytes for the same event. Every mistake of a caller is refused here, with the
//! path of keys and the byte; an [`EventLine`] needs no further check.
//!
//! The fields of the input may have any order, the line has a fixed one. So each
//! field is a range of the parser's output, and the line is assembled from the
//! ranges; ranges that are adjacent in both are copied at once. The payload is
//! copied as it is unless the caller's order of members differs from the line's.

use crate::error::{Error, Kind, Result};
use crate::event::fields::{
    EventFields, Field, ascii, read_event, write_field_key, write_timestamp,
};
use crate::event::header::decode;
use crate::event::json::{self, Buffers, JsonParser, KEPT_CAPACITY, add_key_path};
use crate::event::name::name_fault;
use crate::event::payload::read_payload;
use crate::event::{Event, Rules};
use crate::limits::{BEFORE_BODY, MAX_OPERATION_BYTES, TEXT_PER_LINE};
use std::borrow::Cow;

/// A checked event: its line is `{"event_id":`, the id, and `body`.
#[derive(Clone, Copy, Debug)]
pub struct EventLine<'s> {
    /// `domain/category`.
    pub stream: &'s str,
    /// From the comma after the id to the newline, inclusive.
    pub body: &'s [u8],
}

/// Turns events into lines, one at a time, in memory that it keeps.
#[derive(Debug, Default)]
pub struct Renderer {
    buffers: Buffers,
    body: Vec<u8>,
    stream: StreamName,
}

impl Renderer {
    /// The line of an event that is given as JSON text.
    pub fn render_json<'s>(&'s mut self, text: &[u8], rules: &Rules) -> Result<EventLine<'s>> {
        check_text_length(text.len(), rules)?;
        self.body.clear();
        let mut parser = JsonParser::new(text, &mut self.buffers);
        let mut fields = EventFields::default();
        read_event(&mut parser, &mut fields)
            .and_then(|()| {
                let out = parser.finish()?;
                self.stream.check(
                    fields.text(out, Field::Domain),
                    fields.text(out, Field::Category),
                    &unescaped(fields.text(out, Field::Operation)),
                    rules,
                    |field, fault| {
                        let key = fields.key_offsets[field as usize];
                        Error::event(json::value_offset(text, key), fault)
                    },
                )?;
                fields.write(out, &mut self.body);
                Ok(())
            })
            .map_err(|error| add_key_path(text, "", error))?;
        self.finish_line(rules)
    }

    /// The line of an event that is given as fields.
    pub fn render_event<'s>(&'s mut self, event: &Event, rules: &Rules) -> Result<EventLine<'s>> {
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
            // In the line it is at least as long, so it need not be read.
            if text.len() > rules.max_line {
                let what = format!("{} alone", field.name());
                return Err(too_large(&what, text.len(), "", rules.max_line));
            }
            write_field_key(body, field);
            json::write_string(body, text);
        }
        if let Some(payload) = event.payload {
            check_text_length(payload.len(), rules)?;
            let mut parser = JsonParser::new(payload, &mut self.buffers);
            read_payload(&mut parser)
                .and_then(|object| {
                    let out = parser.finish()?;
                    if let Some(object) = object {
                        write_field_key(body, Field::Payload);
                        body.extend_from_slice(&out[object]);
                    }
                    Ok(())
                })
                .map_err(|error| add_key_path(payload, "payload", error))?;
        }
        self.finish_line(rules)
    }

    /// Frees the memory that only an unusually large event needed.
    pub fn trim(&mut self) {
        self.buffers.trim();
        self.body.clear();
        self.body.shrink_to(KEPT_CAPACITY);
    }

    /// Ends the line in `body` and checks its length.
    fn finish_line(&mut self, rules: &Rules) -> Result<EventLine<'_>> {
        self.body.extend_from_slice(b"}\n");
        let size = BEFORE_BODY + self.body.len();
        if size > rules.max_line {
            return Err(too_large("line", size, "", rules.max_line));
        }
        Ok(EventLine {
            stream: &self.stream.0,
            body: &self.body,
        })
    }
}

/// `domain/category` of the last event, whose names are valid: they are checked
/// again only when they change.
#[derive(Debug, Default)]
struct StreamName(String);

impl StreamName {
    /// Checks the names of an event against the rules, and becomes its stream.
    fn check(
        &mut self,
        domain: &[u8],
        category: &[u8],
        operation: &[u8],
        rules: &Rules,
        error: impl Fn(Field, String) -> Error,
    ) -> Result<()> {
        if !self.equals(domain, category) {
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
        } else if operation.len() > MAX_OPERATION_BYTES {
            Some(format!(
                "must not be longer than {MAX_OPERATION_BYTES} bytes"
            ))
        } else {
            rules.operations.fault(operation)
        };
        fault.map_or(Ok(()), |fault| Err(error(Field::Operation, fault)))
    }

    /// Valid names contain no `/`, so a stream has exactly one.
    fn equals(&self, domain: &[u8], category: &[u8]) -> bool {
        let stream = self.0.as_bytes();
        stream.len() == domain.len() + 1 + category.len()
            && stream.starts_with(domain)
            && stream[domain.len()] == b'/'
            && stream.ends_with(category)
    }
}

/// A canonical string with its escapes decoded.
fn unescaped(canonical: &[u8]) -> Cow<'_, [u8]> {
    if canonical.contains(&b'\\') {
        return Cow::Owned(decode(canonical).unwrap_or_default().into_bytes());
    }
    Cow::Borrowed(canonical)
}

fn check_text_length(length: usize, rules: &Rules) -> Result<()> {
    if length / TEXT_PER_LINE > rules.max_line {
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

#[cfg(test)]
mod tests;
