//! The header of an event's line: everything except its payload.
//!
//! [`scan`] reads the trail's own line format, which our writer and the predecessor
//! produce: keys in a fixed order, no whitespace. It reads up to a [`Depth`] and
//! checks nothing beyond it. [`parse`] reads any JSON object that is an event, and
//! checks the whole line. Neither allocates for a line in the trail's own format.
//!
//! Strings are not copied or decoded: a [`TextSpan`] says where in the line one is.

mod form;
mod scan;

use crate::event::json::{self, Buffers, JsonParser};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

pub(crate) use form::form_fault;
pub(crate) use scan::{EVENT_ID, leading, leading_id, scan, scan_into, stream_fields};

/// Where a string's text is in a line, without its quotes. Lines are shorter than
/// 4 GiB, and a span this small is returned in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpan {
    start: u32,
    end: u32,
    /// Whether it contains a backslash.
    pub escaped: bool,
}

impl TextSpan {
    /// `None` beyond 4 GiB.
    #[inline(always)]
    fn new(start: usize, end: usize, escaped: bool) -> Option<Self> {
        Some(Self {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
            escaped,
        })
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn bytes(self, line: &[u8]) -> &[u8] {
        line.get(self.range()).unwrap_or_default()
    }

    /// The text, with its escapes decoded.
    pub fn text(self, line: &[u8]) -> Cow<'_, str> {
        let raw = self.bytes(line);
        if self.escaped {
            decode(raw).map_or(Cow::Borrowed(""), Cow::Owned)
        } else {
            String::from_utf8_lossy(raw)
        }
    }
}

/// The fields of an event, as far as they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub event_id: u64,
    pub timestamp: i64,
    pub model_name: TextSpan,
    pub operation: TextSpan,
    pub user: TextSpan,
    pub request_id: Option<TextSpan>,
    /// Where the payload's object begins and ends.
    pub payload: Option<(usize, usize)>,
}

/// How far a line has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Up to the category.
    Category,
    ModelName,
    Operation,
    User,
    RequestId,
    /// Up to the payload.
    All,
}

/// The id of a line that is a complete JSON object with an id, in any format. With
/// the id 0 it is no event.
pub(crate) fn checked_id(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct WithId {
        event_id: u64,
    }
    // The trail's own format first; any other is slower.
    leading_id(line)
        .filter(|_| json::check(line).is_ok())
        .or_else(|| Some(serde_json::from_slice::<WithId>(line).ok()?.event_id))
        .filter(|&id| id > 0)
}

/// The id of a line in any format.
pub(crate) fn scan_or_parse_id(line: &[u8]) -> Option<u64> {
    leading_id(line).or_else(|| parse(line).ok().map(|(header, _)| header.event_id))
}

/// The stream that an event says it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRef {
    pub domain: TextSpan,
    pub category: TextSpan,
}

impl StreamRef {
    pub fn matches(self, domain: &str, category: &str, line: &[u8]) -> bool {
        self.domain.text(line) == domain && self.category.text(line) == category
    }
}

/// The header of a line in any format and the stream that it names, if the whole
/// line is JSON and an event; else the reason why it is not.
pub(crate) fn parse(line: &[u8]) -> Result<(Header, StreamRef), String> {
    #[allow(clippy::struct_field_names)] // they are the line's
    #[derive(Deserialize)]
    struct RawEvent<'l> {
        event_id: u64,
        timestamp: i64,
        #[serde(borrow)]
        domain: &'l RawValue,
        #[serde(borrow)]
        category: &'l RawValue,
        #[serde(borrow)]
        model_name: &'l RawValue,
        #[serde(borrow)]
        operation: &'l RawValue,
        #[serde(borrow)]
        logical_user_id: &'l RawValue,
        #[serde(borrow)]
        request_id: Option<&'l RawValue>,
        #[serde(borrow)]
        payload: Option<&'l RawValue>,
    }
    json::check(line).map_err(|e| e.to_string())?;
    let event: RawEvent<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let text = |key: &str, raw: &RawValue| -> Result<TextSpan, String> {
        let start = raw_offset(line, raw);
        let end = start + raw.get().len();
        if !raw.get().starts_with('"') {
            return Err(format!("{key} is no text"));
        }
        let span = TextSpan::new(start + 1, end - 1, raw.get().contains('\\'))
            .ok_or("a line of more than 4 GiB")?;
        if span.escaped && decode(span.bytes(line)).is_none() {
            return Err(format!("{key} is no text in Unicode"));
        }
        Ok(span)
    };
    let payload = match event.payload {
        Some(raw) if raw.get().starts_with('{') => {
            let start = raw_offset(line, raw);
            Some((start, start + raw.get().len()))
        }
        Some(_) => return Err("payload is no object".to_owned()),
        None => None,
    };
    let header = Header {
        event_id: event.event_id,
        timestamp: event.timestamp,
        model_name: text("model_name", event.model_name)?,
        operation: text("operation", event.operation)?,
        user: text("logical_user_id", event.logical_user_id)?,
        request_id: event
            .request_id
            .map(|raw| text("request_id", raw))
            .transpose()?,
        payload,
    };
    let stream = StreamRef {
        domain: text("domain", event.domain)?,
        category: text("category", event.category)?,
    };
    Ok((header, stream))
}

/// Checks what [`scan`] does not, in memory that it keeps.
#[derive(Debug, Default)]
pub(crate) struct LineChecker {
    buffers: Buffers,
    /// Whether texts must be as the writer writes them.
    strict: bool,
}

impl LineChecker {
    /// One to which only a line that is written as the writer writes it is valid.
    pub fn strict() -> Self {
        Self {
            strict: true,
            ..Self::default()
        }
    }

    /// Whether all of a line that was scanned to [`Depth::All`] is JSON; if not,
    /// [`parse`] gives the reason.
    pub fn is_valid(&mut self, line: &[u8], header: &Header) -> bool {
        let texts = [
            Some(header.model_name),
            Some(header.operation),
            Some(header.user),
        ];
        let mut texts = texts.into_iter().chain([header.request_id]).flatten();
        texts.all(|text| self.is_valid_text(line, text))
            && header
                .payload
                .is_none_or(|(start, end)| self.is_valid_value(line, start..end))
    }

    fn is_valid_text(&mut self, line: &[u8], text: TextSpan) -> bool {
        if text.escaped {
            let Range { start, end } = text.range();
            return self.is_valid_value(line, start - 1..end + 1);
        }
        // The trail's own format escapes all others.
        text.bytes(line).iter().all(|b| matches!(b, b' '..=b'~'))
    }

    fn is_valid_value(&mut self, line: &[u8], value: Range<usize>) -> bool {
        let text = line.get(value).unwrap_or_default();
        let mut parser = JsonParser::new(text, &mut self.buffers);
        // One container is around every value: the event's object.
        let result = parser.value(1).and_then(|()| parser.expect_end());
        let is_valid = result.is_ok() && (!self.strict || parser.is_canonical());
        if text.len() > json::KEPT_CAPACITY {
            self.buffers.trim();
        }
        is_valid
    }
}

/// The offset in the line of a value that was borrowed from it.
fn raw_offset(line: &[u8], raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).wrapping_sub(line.as_ptr() as usize)
}

/// Decodes the text between the quotes of a JSON string.
pub(crate) fn decode(raw: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// A text in canonical form, as the trail's own lines have it between quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut quoted, text);
    // Canonical text is ASCII: each byte is a character.
    let inner = &quoted[1..quoted.len() - 1];
    inner.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"event_id":12,"timestamp":-3,"domain":"v2","category":"a.b","model_name":"x\"y","operation":"create","logical_user_id":"u-1","request_id":"r","payload":{"after":{"a":1.10}}}"#;

    #[test]
    fn scanning_and_parsing_agree() {
        let bare = LINE
            .split(",\"request_id\"")
            .next()
            .unwrap_or_default()
            .to_owned()
            + "}";
        for line in [LINE, &bare] {
            let scanned = scan(line.as_bytes(), &stream_fields("v2", "a.b"), Depth::All);
            let (parsed, stream) = parse(line.as_bytes()).expect("an event");
            assert_eq!(scanned, Some(parsed));
            assert!(stream.matches("v2", "a.b", line.as_bytes()));
            assert_eq!(parsed.model_name.text(line.as_bytes()), "x\"y");
        }
    }

    #[test]
    fn a_line_of_another_stream_or_shape_is_left_to_the_parser() {
        let fields = stream_fields("v2", "a.b");
        assert_eq!(
            scan(LINE.as_bytes(), &stream_fields("v2", "a"), Depth::All),
            None
        );
        for (from, to) in [
            ("\"event_id\":12", "\"event_id\": 12"),
            ("\"event_id\":12", "\"event_id\":012"),
            ("\"event_id\":12", "\"event_id\":99999999999999999999"),
            (
                "\"event_id\":12,\"timestamp\":-3",
                "\"timestamp\":-3,\"event_id\":12",
            ),
            ("-3", "-3.0"),
            ("\"payload\":{", "\"payload\":[{"),
            ("}}}", "}}"),
        ] {
            let line = LINE.replace(from, to);
            assert_ne!(line, LINE);
            // Only a full check finds the last one.
            if to == "}}" {
                assert!(parse(line.as_bytes()).is_err());
            } else {
                assert_eq!(scan(line.as_bytes(), &fields, Depth::All), None, "{line}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_line_is_refused() {
        for end in 0..LINE.len() {
            let prefix = &LINE.as_bytes()[..end];
            assert!(parse(prefix).is_err());
            let _ = scan(prefix, &stream_fields("v2", "a.b"), Depth::All);
        }
    }

    #[test]
    fn texts_are_escaped_as_the_line_has_them() {
        assert_eq!(
            escape("\u{0}\u{8}\t\n\u{c}\r\u{1f}\"\\/ ~\u{7f}\u{e9}\u{1f600}"),
            r#"\u0000\b\t\n\f\r\u001f\"\\/ ~\u007f\u00e9\ud83d\ude00"#
        );
    }

    #[test]
    fn what_is_no_event_is_told_why() {
        for (line, why) in [
            (LINE.replace("\"x\\\"y\"", "5"), "model_name"),
            (LINE.replace("\"x\\\"y\"", "\"\\ud800\""), "model_name"),
            (LINE.replace("{\"after\":{\"a\":1.10}}", "3"), "payload"),
            (LINE.replace("\"operation\":\"create\",", ""), "operation"),
            ("{}".to_owned(), "event_id"),
        ] {
            let error = parse(line.as_bytes()).expect_err(&line);
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        assert_eq!(leading_id(b"{\"event_id\":12,\"t"), Some(12));
        for line in [
            "{\"event_id\":0,",
            "{\"event_id\":012,",
            "{\"event_id\":12",
            "{\"event_id\":,",
            "{\"event_id\": 1,",
            "{\"event_id\":184467440737095516160,",
            "",
            "x",
        ] {
            assert_eq!(leading_id(line.as_bytes()), None, "{line}");
        }
    }
}
