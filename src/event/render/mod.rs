//! An event becomes its line.
//!
//! A [`Renderer`] turns an event, given as JSON text or as an [`Event`], into
//! all of its line but the id, which is only known at commit. Both ways give the
//! same bytes for the same event. Everything that a caller can get wrong is
//! refused here, with the path of keys and the byte; a [`EventLine`] holds nothing
//! that still has to be checked.
//!
//! The fields may come in any order, the line has one. So each field is a part
//! of the pass's output, and the line is put together from the parts; those
//! that are neighbours in both are copied in one go. Within the payload nothing
//! is moved unless the caller's order is not the line's.

use crate::error::{Error, Kind, Result};
use crate::event::fields::{EventFields, Field, ascii, read_event, write_key, write_timestamp};
use crate::event::json::{self, Buffers, KEPT, Pass, locate};
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
    /// From the comma after the id to the newline.
    pub body: &'s [u8],
}

/// Turns events into lines, one after the other, in memory that it keeps.
#[derive(Debug, Default)]
pub struct Renderer {
    buffers: Buffers,
    body: Vec<u8>,
    stream: StreamName,
}

impl Renderer {
    /// The line of the event that `text` is.
    pub fn render_json<'s>(&'s mut self, text: &[u8], rules: &Rules) -> Result<EventLine<'s>> {
        check_text_length(text.len(), rules)?;
        self.body.clear();
        let mut pass = Pass::new(text, &mut self.buffers);
        let mut fields = EventFields::default();
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
    fn line(&mut self, rules: &Rules) -> Result<EventLine<'_>> {
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

/// `domain/category` of the last event; both names are known to be good.
#[derive(Debug, Default)]
struct StreamName(String);

impl StreamName {
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
        } else if operation.len() > MAX_OPERATION_BYTES {
            Some(format!(
                "must not be longer than {MAX_OPERATION_BYTES} bytes"
            ))
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

/// The text that a canonical string stands for.
fn plain_text(canonical: &[u8]) -> Cow<'_, [u8]> {
    if canonical.contains(&b'\\') {
        let text = serde_json::from_str::<String>(&format!("\"{}\"", ascii(canonical)));
        return Cow::Owned(text.unwrap_or_default().into_bytes());
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
