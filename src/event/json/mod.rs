//! JSON text to compact ASCII, checked in one pass.
//!
//! A [`JsonParser`] reads a text once. What it has read and accepted is its
//! output, in canonical form: no whitespace, every character outside ASCII as
//! `\uxxxx`, exactly one spelling for each string, numbers in the caller's digits.
//! It refuses what is not JSON (RFC 8259), invalid UTF-8, lone surrogates,
//! nesting over `limits::MAX_DEPTH`, and a key that is repeated in an object; each error
//! has the byte and, by [`add_key_path`], the path of keys that leads there.
//!
//! A caller that knows the shape of the upper levels reads them with
//! [`JsonParser::enter_object`] and [`JsonParser::next_key`] and everything else
//! with [`JsonParser::value`]; this module does not know what the keys mean.
//!
//! Most texts are nearly canonical, and canonical text is not copied: the output
//! is the buffer, followed by the text that was read since the last change. Only
//! a change, such as dropped whitespace, moves that text into the buffer. So a
//! compact text is only scanned, strings 16 bytes at a time, and is its own
//! output.

mod keys;
mod path;
mod text;
mod value;

use crate::error::{Error, Result};
use keys::{OpenKey, fingerprint};
use text::skip_plain;

pub(crate) use path::{add_key_path, key_for_message, value_offset};
pub(crate) use text::write_string;

/// The capacity that each buffer keeps between two uses, in bytes.
pub(crate) const KEPT_CAPACITY: usize = 64 * 1024;

/// The memory of a parser, kept for the next text.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The output up to the last change.
    output: Vec<u8>,
    /// The keys of all open objects, outer ones first.
    keys: Vec<OpenKey>,
    /// The hash table in which the keys of a large object are compared.
    fingerprint_table: Vec<u64>,
    /// The containers around the current one, outermost first; see [`value`].
    outer_containers: Vec<usize>,
    /// The last key that had escapes, in canonical form.
    escaped_key: Vec<u8>,
}

impl Buffers {
    /// Frees the memory that only an unusually large text needed.
    pub fn trim(&mut self) {
        self.output.clear();
        self.output.shrink_to(KEPT_CAPACITY);
        self.keys.clear();
        self.keys.shrink_to(KEPT_CAPACITY / size_of::<OpenKey>());
        self.fingerprint_table.clear();
        self.fingerprint_table
            .shrink_to(KEPT_CAPACITY / size_of::<u64>());
        self.escaped_key.clear();
        self.escaped_key.shrink_to(KEPT_CAPACITY);
    }
}

/// An object that the caller reads key by key.
pub(crate) struct OpenObject {
    first_key: usize,
    empty: bool,
}

/// Checks that `text` is one JSON value by the rules of this module.
pub fn check(text: &[u8]) -> Result<()> {
    let mut buffers = Buffers::default();
    let mut parser = JsonParser::new(text, &mut buffers);
    parser
        .value(0)
        .and_then(|()| parser.expect_end())
        .map_err(|error| add_key_path(text, "", error))
}

/// Reads one text.
pub(crate) struct JsonParser<'p> {
    text: &'p [u8],
    /// The part of the text that is still to be read.
    remaining: &'p [u8],
    /// The text from the first byte that is not in `buffers.output`. Up to
    /// `remaining`, it is the end of the output as it is.
    unflushed: &'p [u8],
    /// Where the key that [`JsonParser::next_key`] read last begins in the text,
    /// with its quote.
    key_offset: usize,
    /// That key, if its text is canonical; else it is in `buffers.escaped_key`.
    key_text: Option<&'p [u8]>,
    buffers: &'p mut Buffers,
}

impl<'p> JsonParser<'p> {
    pub fn new(text: &'p [u8], buffers: &'p mut Buffers) -> Self {
        buffers.output.clear();
        buffers.keys.clear();
        buffers.outer_containers.clear();
        Self {
            text,
            remaining: text,
            unflushed: text,
            key_offset: 0,
            key_text: None,
            buffers,
        }
    }

    /// The length of the output so far.
    #[inline]
    pub fn output_len(&self) -> usize {
        self.buffers.output.len() + (self.unflushed.len() - self.remaining.len())
    }

    /// The offset of the next byte in the text.
    pub fn offset(&self) -> usize {
        self.text.len() - self.remaining.len()
    }

    /// The text that was read from `offset` on.
    pub fn text_since(&self, offset: usize) -> &'p [u8] {
        &self.text[offset..self.offset()]
    }

    /// The output, moved into the buffer as a whole, for the caller to change.
    /// Offsets into it stay valid; the caller may append.
    pub fn output_mut(&mut self) -> &mut Vec<u8> {
        self.flush(self.remaining);
        &mut self.buffers.output
    }

    /// The output, once only whitespace is left of the text.
    pub fn finish(&mut self) -> Result<&[u8]> {
        self.expect_end()?;
        if self.buffers.output.is_empty() {
            return Ok(&self.unflushed[..self.unflushed.len() - self.remaining.len()]);
        }
        self.flush(self.remaining);
        Ok(&self.buffers.output)
    }

    /// Whether the whole text was read and is canonical: it is its own output.
    #[inline]
    pub fn is_canonical(&self) -> bool {
        let changed = self.text.len() - self.unflushed.len();
        self.remaining.is_empty() && self.text.get(..changed) == Some(&self.buffers.output)
    }

    /// Fails unless only whitespace is left of the text.
    pub fn expect_end(&self) -> Result<()> {
        let remaining = trim_start(self.remaining);
        if remaining.is_empty() {
            return Ok(());
        }
        Err(self.expected(remaining, "the end of the text"))
    }

    /// The next byte after whitespace; at the end 0, which is valid nowhere.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        self.remaining = self.skip_whitespace(self.remaining);
        self.remaining.first().copied().unwrap_or(0)
    }

    /// The error for a text that goes on with something else than `what`.
    #[cold]
    pub fn unexpected(&self, what: &str) -> Error {
        self.expected(self.remaining, what)
    }

    /// Enters an object; the caller has checked its brace and its depth.
    #[inline]
    pub fn enter_object(&mut self) -> OpenObject {
        self.remaining = self.remaining.get(1..).unwrap_or_default();
        OpenObject {
            first_key: self.buffers.keys.len(),
            empty: true,
        }
    }

    /// Reads the next key and its colon, or the object's closing brace; `true`:
    /// there was a key, and the caller has to read its value. Repeated keys are
    /// found only if the caller hands each to [`JsonParser::check_unique`].
    #[inline]
    pub fn next_key(&mut self, object: &mut OpenObject) -> Result<bool> {
        let mut remaining = self.skip_whitespace(self.remaining);
        match remaining {
            [b'}', tail @ ..] => {
                self.leave_object(object.first_key)?;
                self.remaining = tail;
                return Ok(false);
            }
            [b',', tail @ ..] if !object.empty => remaining = self.skip_whitespace(tail),
            _ if object.empty => object.empty = false,
            _ => return Err(self.expected(remaining, "`,` or `}`")),
        }
        self.key_offset = self.text.len() - remaining.len();
        (self.key_text, self.remaining) = self.read_key(remaining)?;
        Ok(true)
    }

    /// The key that was read last, in canonical form.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.key_text.unwrap_or(&self.buffers.escaped_key)
    }

    /// Where that key begins in the text.
    pub fn key_offset(&self) -> usize {
        self.key_offset
    }

    /// Fails if the object already has the key that was read last, else adds it.
    #[inline]
    pub fn check_unique(&mut self, object: &OpenObject) -> Result<()> {
        let fingerprint = match self.key_text {
            Some(key) => fingerprint(&self.text[self.key_offset + 1..], key.len()),
            None => fingerprint(&self.buffers.escaped_key, self.buffers.escaped_key.len()),
        };
        self.add_key(object.first_key, fingerprint, self.key_offset)
    }

    /// Reads a string if one is next; `false`: there is none.
    #[inline]
    pub fn string_value(&mut self) -> Result<bool> {
        let remaining = self.skip_whitespace(self.remaining);
        let [b'"', tail @ ..] = remaining else {
            self.remaining = remaining;
            return Ok(false);
        };
        self.remaining = self.read_string(tail)?;
        Ok(true)
    }

    /// Reads the next value; `depth` is the number of containers around it.
    #[inline]
    pub fn value(&mut self, depth: usize) -> Result<()> {
        if self.string_value()? {
            return Ok(());
        }
        self.remaining = self.read_value(self.remaining, depth)?;
        Ok(())
    }

    /// Moves the text that was read unchanged, up to `remaining`, into the buffer.
    fn flush(&mut self, remaining: &'p [u8]) {
        let length = self.unflushed.len() - remaining.len();
        self.buffers
            .output
            .extend_from_slice(&self.unflushed[..length]);
        self.unflushed = remaining;
    }

    /// Writes `bytes` in place of the text up to `remaining`.
    fn write(&mut self, bytes: &[u8], remaining: &'p [u8]) {
        self.buffers.output.extend_from_slice(bytes);
        self.unflushed = remaining;
    }

    #[inline(always)]
    fn skip_whitespace(&mut self, remaining: &'p [u8]) -> &'p [u8] {
        match remaining {
            [0..=b' ', ..] => self.drop_whitespace(remaining),
            _ => remaining,
        }
    }

    #[inline(never)]
    fn drop_whitespace(&mut self, remaining: &'p [u8]) -> &'p [u8] {
        self.flush(remaining);
        self.unflushed = trim_start(remaining);
        self.unflushed
    }

    /// A key and its colon: the key, if its text is canonical, and what comes
    /// after the colon.
    #[inline(always)]
    fn read_key(&mut self, remaining: &'p [u8]) -> Result<(Option<&'p [u8]>, &'p [u8])> {
        let [b'"', start @ ..] = remaining else {
            return Err(self.expected(remaining, "a key in double quotes"));
        };
        let end = skip_plain(start);
        let (key, remaining) = match end {
            [b'"', tail @ ..] => (Some(&start[..start.len() - end.len()]), tail),
            _ => (None, self.read_escaped_key(start)?),
        };
        match self.skip_whitespace(remaining) {
            [b':', tail @ ..] => Ok((key, tail)),
            remaining => Err(self.expected(remaining, "`:`")),
        }
    }

    /// A key whose text may not be canonical, from after its opening quote; it
    /// is put into `buffers.escaped_key`.
    #[inline(never)]
    fn read_escaped_key(&mut self, start: &'p [u8]) -> Result<&'p [u8]> {
        self.flush(start);
        let written = self.buffers.output.len();
        let remaining = self.read_string(start)?;
        self.flush(remaining);
        let Buffers {
            output,
            escaped_key,
            ..
        } = &mut *self.buffers;
        escaped_key.clear();
        escaped_key.extend_from_slice(&output[written..output.len() - 1]);
        Ok(remaining)
    }

    #[cold]
    #[inline(never)]
    fn expected(&self, remaining: &[u8], what: &str) -> Error {
        self.fault(
            remaining,
            match remaining {
                [] => format!("expected {what}, but the text ends"),
                [c @ b' '..=b'~', ..] => format!("expected {what}, found `{}`", *c as char),
                [c, ..] => format!("expected {what}, found byte 0x{c:02x}"),
            },
        )
    }

    fn fault(&self, remaining: &[u8], message: impl Into<String>) -> Error {
        Error::event(self.text.len() - remaining.len(), message)
    }
}

fn trim_start(mut remaining: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', tail @ ..] = remaining {
        remaining = tail;
    }
    remaining
}

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
