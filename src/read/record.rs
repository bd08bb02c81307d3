//! One event, borrowed from the reader.

use super::cursor::Cursor;
use crate::event::header::Header;
use crate::read::filter::Matcher;
use std::borrow::Cow;
use std::path::Path;

/// An event as it is in its segment, borrowed until the reader moves on.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    line: &'r [u8],
    header: &'r Header,
    cursor: &'r Cursor,
    offset: u64,
}

impl<'r> Record<'r> {
    pub(super) fn new(line: &'r [u8], header: &'r Header, cursor: &'r Cursor, offset: u64) -> Self {
        Self {
            line,
            header,
            cursor,
            offset,
        }
    }

    /// The event's line, without its newline: a JSON object.
    pub fn json(&self) -> &'r str {
        // Every line that is returned has been checked to be UTF-8.
        std::str::from_utf8(self.line).unwrap_or_default()
    }

    /// The same, as bytes.
    pub fn bytes(&self) -> &'r [u8] {
        self.line
    }

    /// Its id.
    pub fn event_id(&self) -> u64 {
        self.header.event_id
    }

    /// When it was, in Unix seconds.
    pub fn timestamp(&self) -> i64 {
        self.header.timestamp
    }

    /// Its domain.
    pub fn domain(&self) -> &'r str {
        &self.cursor.stream.domain
    }

    /// Its category.
    pub fn category(&self) -> &'r str {
        &self.cursor.stream.category
    }

    /// The name of its record.
    pub fn model_name(&self) -> Cow<'r, str> {
        self.header.model_name.text(self.line)
    }

    /// What was done: `create`, `update` or `delete`, unless the trail has
    /// other operations.
    pub fn operation(&self) -> Cow<'r, str> {
        self.header.operation.text(self.line)
    }

    /// Who did it.
    pub fn logical_user_id(&self) -> Cow<'r, str> {
        self.header.user.text(self.line)
    }

    /// The request that it belongs to, if it has one.
    pub fn request_id(&self) -> Option<Cow<'r, str>> {
        self.header.request_id.map(|span| span.text(self.line))
    }

    /// Its payload, a JSON object, if it has one.
    pub fn payload(&self) -> Option<&'r str> {
        let (start, end) = self.header.payload?;
        std::str::from_utf8(self.line.get(start..end)?).ok()
    }

    /// Whether it passes another filter; its stream is not checked.
    pub(crate) fn passes(&self, matcher: &Matcher) -> bool {
        matcher.matches(self.header, self.line)
    }

    /// The segment's file.
    pub fn path(&self) -> &'r Path {
        self.cursor.path()
    }

    /// The byte in the file at which its line begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}
