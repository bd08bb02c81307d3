//! The header of an event's line: all but its payload.
//!
//! [`scan`] reads the shape that our writer and the predecessor produce, keys
//! in their fixed order and no blanks, as far as it is asked to and without
//! looking at the rest. [`parse`] reads any JSON object that holds an event,
//! and with it checks the whole line. Neither allocates for a line of our own.
//!
//! Texts stay as they stand in the line, escapes and all; a [`TextSpan`] says where.

use crate::event::json::{self, Buffers, Pass};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// A text of a line: what stands between its quotes. Lines are shorter than
/// 4 GiB, and a small span is handed back in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpan {
    start: u32,
    end: u32,
    /// Whether a backslash is in it.
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

    pub fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.range()).unwrap_or_default()
    }

    /// The text itself.
    pub fn text(self, line: &[u8]) -> Cow<'_, str> {
        let raw = self.of(line);
        if self.escaped {
            decode(raw).map_or(Cow::Borrowed(""), Cow::Owned)
        } else {
            String::from_utf8_lossy(raw)
        }
    }
}

/// The fields of an event, as far as they were looked at.
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

/// How much of a line has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Up to the category.
    Names,
    ModelName,
    Operation,
    User,
    RequestId,
    /// Up to the payload.
    All,
}

/// The key that a line of ours begins with.
pub(crate) const EVENT_ID: &[u8] = b"{\"event_id\":";

/// What a line of ours holds between its timestamp and its model name.
pub(crate) fn names(domain: &str, category: &str) -> Vec<u8> {
    format!(",\"domain\":\"{domain}\",\"category\":\"{category}\",\"model_name\":\"").into_bytes()
}

/// The header of a line of our own shape in the stream with these [`names`].
/// `None`: it has another shape, or is of another stream; [`parse`] knows more.
pub(crate) fn scan(line: &[u8], names: &[u8], depth: Depth) -> Option<Header> {
    let mut header = Header::default();
    scan_into(line, names, depth, &mut header).map(|()| header)
}

/// The same, into a place that is there: a header is large to be moved about for
/// each line. What is not looked at stays as it was.
#[inline]
pub(crate) fn scan_into(
    line: &[u8],
    names: &[u8],
    depth: Depth,
    header: &mut Header,
) -> Option<()> {
    let mut scan = Scan { line, at: 0 };
    if line.last() != Some(&b'}') {
        return None;
    }
    scan.literal(EVENT_ID)?;
    header.event_id = scan.number()?;
    header.timestamp = scan.timestamp()?;
    scan.literal(names)?;
    if depth == Depth::Names {
        return Some(());
    }
    header.model_name = scan.text()?;
    if depth == Depth::ModelName {
        return Some(());
    }
    scan.literal(b",\"operation\":\"")?;
    header.operation = scan.text()?;
    if depth == Depth::Operation {
        return Some(());
    }
    scan.literal(b",\"logical_user_id\":\"")?;
    header.user = scan.text()?;
    if depth == Depth::User {
        return Some(());
    }
    header.request_id = match scan.literal(b",\"request_id\":\"") {
        Some(()) => Some(scan.text()?),
        None => None,
    };
    if depth == Depth::RequestId {
        return Some(());
    }
    header.payload = None;
    if scan.literal(b",\"payload\":").is_some() {
        // What is in between, only a full check can say.
        let end = line.len() - 1;
        if line.get(scan.at) != Some(&b'{') || end <= scan.at || line[end - 1] != b'}' {
            return None;
        }
        header.payload = Some((scan.at, end));
    } else if scan.at != line.len() - 1 {
        return None;
    }
    Some(())
}

/// The id of a line that begins as ours do, however the line goes on. Ids begin
/// at 1.
pub(crate) fn leading_id(line: &[u8]) -> Option<u64> {
    let mut scan = Scan { line, at: 0 };
    scan.literal(EVENT_ID)?;
    let id = scan.number()?;
    scan.literal(b",")?;
    (id > 0).then_some(id)
}

/// The id of a line that is a whole JSON object with one; for a line of any shape.
/// With the id 0 it is no event.
pub(crate) fn checked_id(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct WithId {
        event_id: u64,
    }
    // The line as the trail writes it; anything else that is an event, slower.
    leading_id(line)
        .filter(|_| json::check(line).is_ok())
        .or_else(|| Some(serde_json::from_slice::<WithId>(line).ok()?.event_id))
        .filter(|&id| id > 0)
}

/// The id and the timestamp of a line that begins as ours do.
pub(crate) fn leading(line: &[u8]) -> Option<(u64, i64)> {
    let mut scan = Scan { line, at: 0 };
    scan.literal(EVENT_ID)?;
    let id = scan.number()?;
    let timestamp = scan.timestamp()?;
    scan.literal(b",")?;
    Some((id, timestamp))
}

/// The id of a line of any shape.
pub(crate) fn any_id(line: &[u8]) -> Option<u64> {
    leading_id(line).or_else(|| parse(line).ok().map(|(header, _)| header.event_id))
}

struct Scan<'l> {
    line: &'l [u8],
    at: usize,
}

impl Scan<'_> {
    #[inline(always)]
    fn literal(&mut self, text: &[u8]) -> Option<()> {
        let rest = self.line.get(self.at..)?;
        if rest.starts_with(text) {
            self.at += text.len();
            Some(())
        } else {
            None
        }
    }

    /// A whole number of JSON, without sign.
    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let first = self.at;
        let mut number: u64 = 0;
        while let Some(digit) = self.line.get(self.at).map(|b| b.wrapping_sub(b'0'))
            && digit <= 9
        {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        let digits = self.line.get(first..self.at)?;
        let padded = digits.len() > 1 && digits[0] == b'0';
        if digits.is_empty() || padded {
            return None;
        }
        if digits.len() > 19 {
            // Perhaps it went over.
            return std::str::from_utf8(digits).ok()?.parse().ok();
        }
        Some(number)
    }

    /// The key of the timestamp, and it.
    #[inline(always)]
    fn timestamp(&mut self) -> Option<i64> {
        self.literal(b",\"timestamp\":")?;
        let negative = self.literal(b"-").is_some();
        let seconds = self.number()?;
        if negative {
            0i64.checked_sub_unsigned(seconds)
        } else {
            i64::try_from(seconds).ok()
        }
    }

    /// A text, whose opening quote is behind us.
    #[inline(always)]
    fn text(&mut self) -> Option<TextSpan> {
        let start = self.at;
        let mut escaped = false;
        loop {
            while let Some(&eight) = self.line.get(self.at..).and_then(<[u8]>::first_chunk) {
                let plain = plain_bytes(u64::from_le_bytes(eight));
                self.at += plain;
                if plain < 8 {
                    break;
                }
            }
            match self.line.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return TextSpan::new(start, self.at - 1, escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }
}

/// How many of eight bytes, from the lowest on, are neither quote nor backslash.
#[inline(always)]
fn plain_bytes(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The highest bit of the lowest byte that is equal is set, and none below.
    let equal = |other: u8| {
        let difference = eight ^ (ONES * u64::from(other));
        difference.wrapping_sub(ONES) & !difference
    };
    let found = (equal(b'"') | equal(b'\\')) & (ONES << 7);
    (found.trailing_zeros() / 8) as usize
}

/// The stream that an event says it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRef {
    pub domain: TextSpan,
    pub category: TextSpan,
}

impl StreamRef {
    pub fn is(self, domain: &str, category: &str, line: &[u8]) -> bool {
        self.domain.text(line) == domain && self.category.text(line) == category
    }
}

/// The header of a line of any shape, and the stream that it names, once the
/// whole line is found to be JSON and an event; else the reason.
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
        let start = offset(line, raw);
        let end = start + raw.get().len();
        if !raw.get().starts_with('"') {
            return Err(format!("{key} is no text"));
        }
        let span = TextSpan::new(start + 1, end - 1, raw.get().contains('\\'))
            .ok_or("a line of more than 4 GiB")?;
        if span.escaped && decode(span.of(line)).is_none() {
            return Err(format!("{key} is no text in Unicode"));
        }
        Ok(span)
    };
    let payload = match event.payload {
        Some(raw) if raw.get().starts_with('{') => {
            let start = offset(line, raw);
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
    let place = StreamRef {
        domain: text("domain", event.domain)?,
        category: text("category", event.category)?,
    };
    Ok((header, place))
}

/// Checks what [`scan`] has passed over; keeps the memory that this takes.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    buffers: Buffers,
}

impl Checker {
    /// Whether the line, which was scanned to [`Depth::All`], is JSON from one
    /// end to the other. [`parse`] tells why not.
    pub fn rest(&mut self, line: &[u8], header: &Header) -> bool {
        let texts = [
            Some(header.model_name),
            Some(header.operation),
            Some(header.user),
        ];
        let mut texts = texts.into_iter().chain([header.request_id]).flatten();
        texts.all(|text| self.text(line, text))
            && header
                .payload
                .is_none_or(|(start, end)| self.value(line, start..end))
    }

    fn text(&mut self, line: &[u8], text: TextSpan) -> bool {
        if text.escaped {
            let Range { start, end } = text.range();
            return self.value(line, start - 1..end + 1);
        }
        // We escape all others.
        text.of(line).iter().all(|b| matches!(b, b' '..=b'~'))
    }

    fn value(&mut self, line: &[u8], value: Range<usize>) -> bool {
        let text = line.get(value).unwrap_or_default();
        let mut pass = Pass::new(text, &mut self.buffers);
        // All values stand in the event's object.
        let result = pass.value(1).and_then(|()| pass.end());
        if text.len() > json::KEPT {
            self.buffers.trim();
        }
        result.is_ok()
    }
}

/// Where in the line a value of it stands.
fn offset(line: &[u8], raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).wrapping_sub(line.as_ptr() as usize)
}

/// The text that stands between the quotes of a JSON text.
pub(crate) fn decode(raw: &[u8]) -> Option<String> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice(&quoted).ok()
}

/// A text as it stands between the quotes of a line of ours.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
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
            let scanned = scan(line.as_bytes(), &names("v2", "a.b"), Depth::All);
            let (parsed, place) = parse(line.as_bytes()).expect("an event");
            assert_eq!(scanned, Some(parsed));
            assert!(place.is("v2", "a.b", line.as_bytes()));
            assert_eq!(parsed.model_name.text(line.as_bytes()), "x\"y");
        }
    }

    #[test]
    fn a_line_of_another_stream_or_shape_is_left_to_the_parser() {
        let names_of = names("v2", "a.b");
        assert_eq!(scan(LINE.as_bytes(), &names("v2", "a"), Depth::All), None);
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
            // The last one only a full check can tell.
            if to == "}}" {
                assert!(parse(line.as_bytes()).is_err());
            } else {
                assert_eq!(scan(line.as_bytes(), &names_of, Depth::All), None, "{line}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_line_is_refused() {
        for end in 0..LINE.len() {
            let prefix = &LINE.as_bytes()[..end];
            assert!(parse(prefix).is_err());
            let _ = scan(prefix, &names("v2", "a.b"), Depth::All);
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
