//! JSON text to compact ASCII, checked in one pass.
//!
//! A [`Pass`] walks a text once. What it has read and found right is its
//! output, in canonical form: no blanks, every character outside ASCII as
//! `\uxxxx`, one way only to write each string, numbers in the caller's digits.
//! It refuses what is not JSON (RFC 8259), invalid UTF-8, lone surrogates,
//! nesting over [`MAX_DEPTH`], and a key that an object has already; each error
//! tells the byte and, by [`locate`], the path of keys that leads there.
//!
//! Whoever knows the shape of the upper levels walks them with
//! [`Pass::enter`] and [`Pass::next_key`] and hands everything else to
//! [`Pass::value`]; what the keys mean is not known here.
//!
//! Most texts are nearly canonical, and what is canonical is not copied: the
//! output is what was written, and then the text from where nothing had to be
//! changed. Only a change, such as a blank to leave out, moves that part of the
//! text into the buffer. So a compact text is only looked at, strings in steps
//! of 16 bytes, and is its own output.

mod keys;
mod path;
mod text;

use crate::error::{Error, Result};
use crate::limits::MAX_DEPTH;
use keys::{OpenKey, mark};
use text::skip_plain;

pub(crate) use path::{locate, shown, value_of};
pub(crate) use text::write_text;

/// What stays in memory between two uses, for each buffer, in bytes.
pub(crate) const KEPT: usize = 64 * 1024;

/// The level outside everything, in [`Pass::read_value`].
const OUTSIDE: usize = usize::MAX;
/// The level of an array; that of an object is the number of its first key.
const ARRAY: usize = usize::MAX - 1;

/// What a pass writes to, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The part of the output that was written.
    out: Vec<u8>,
    /// The keys of all objects that are open, outer ones first.
    keys: Vec<OpenKey>,
    /// Where the marks of many keys are looked for.
    marks: Vec<u64>,
    /// The levels around the present one, in [`Pass::read_value`].
    levels: Vec<usize>,
    /// The last key that had escapes, as it is written.
    name: Vec<u8>,
}

impl Buffers {
    /// Gives back memory that only an unusually large text needed.
    pub fn trim(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.keys.clear();
        self.keys.shrink_to(KEPT / size_of::<OpenKey>());
        self.marks.clear();
        self.marks.shrink_to(KEPT / size_of::<u64>());
        self.name.clear();
        self.name.shrink_to(KEPT);
    }
}

/// An object that a walker is in.
pub(crate) struct OpenObject {
    first_key: usize,
    empty: bool,
}

/// Checks that `text` is one JSON value by the rules of this module.
pub fn check(text: &[u8]) -> Result<()> {
    let mut buffers = Buffers::default();
    let mut pass = Pass::new(text, &mut buffers);
    pass.value(0)
        .and_then(|()| pass.end())
        .map_err(|error| locate(text, "", error))
}

/// One walk over one text.
pub(crate) struct Pass<'p> {
    text: &'p [u8],
    /// What is to be read.
    rest: &'p [u8],
    /// The text from where nothing had to be changed: up to `rest`, it is the
    /// end of the output.
    same: &'p [u8],
    /// Where the last key that a walker got stands in the text, with its quote,
    /// and its name, if that is in the text too.
    key: usize,
    name: Option<&'p [u8]>,
    buffers: &'p mut Buffers,
}

impl<'p> Pass<'p> {
    pub fn new(text: &'p [u8], buffers: &'p mut Buffers) -> Self {
        buffers.out.clear();
        buffers.keys.clear();
        buffers.levels.clear();
        Self {
            text,
            rest: text,
            same: text,
            key: 0,
            name: None,
            buffers,
        }
    }

    /// How long the output is.
    #[inline]
    pub fn place(&self) -> usize {
        self.buffers.out.len() + (self.same.len() - self.rest.len())
    }

    /// Where the next byte stands in the text.
    pub fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// The text from `at` on that has been read.
    pub fn since(&self, at: usize) -> &'p [u8] {
        &self.text[at..self.at()]
    }

    /// The output, all of it in the buffer, to be changed: what was read stays
    /// where it is, more may be added.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.flush(self.rest);
        &mut self.buffers.out
    }

    /// The output; makes sure that nothing is left of the text.
    pub fn finish(&mut self) -> Result<&[u8]> {
        self.end()?;
        if self.buffers.out.is_empty() {
            return Ok(&self.same[..self.same.len() - self.rest.len()]);
        }
        self.flush(self.rest);
        Ok(&self.buffers.out)
    }

    /// Makes sure that nothing is left.
    pub fn end(&self) -> Result<()> {
        let rest = after_blanks(self.rest);
        if rest.is_empty() {
            return Ok(());
        }
        Err(self.expected(rest, "the end of the text"))
    }

    /// The next byte that is no blank; 0, which is right nowhere, at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        self.rest = self.skip_blanks(self.rest);
        self.rest.first().copied().unwrap_or(0)
    }

    /// Something else was expected than what is next.
    #[cold]
    pub fn unexpected(&self, what: &str) -> Error {
        self.expected(self.rest, what)
    }

    /// Enters an object; the caller has made sure of its brace and its depth.
    #[inline]
    pub fn enter(&mut self) -> OpenObject {
        self.rest = self.rest.get(1..).unwrap_or_default();
        OpenObject {
            first_key: self.buffers.keys.len(),
            empty: true,
        }
    }

    /// Reads the next key and its colon, or the object's closing brace, and says
    /// whether there was a key. Its value is the caller's to read. That a key is
    /// repeated is only found if each is remembered.
    #[inline]
    pub fn next_key(&mut self, object: &mut OpenObject) -> Result<bool> {
        let mut rest = self.skip_blanks(self.rest);
        match rest {
            [b'}', tail @ ..] => {
                self.leave_object(object.first_key)?;
                self.rest = tail;
                return Ok(false);
            }
            [b',', tail @ ..] if !object.empty => rest = self.skip_blanks(tail),
            _ if object.empty => object.empty = false,
            _ => return Err(self.expected(rest, "`,` or `}`")),
        }
        self.key = self.text.len() - rest.len();
        (self.name, self.rest) = self.read_key(rest)?;
        Ok(true)
    }

    /// The key that was read last, in canonical form.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.name.unwrap_or(&self.buffers.name)
    }

    /// Where it stands in the text.
    pub fn name_at(&self) -> usize {
        self.key
    }

    /// Refuses it if the object has it already.
    #[inline]
    pub fn remember(&mut self, object: &OpenObject) -> Result<()> {
        let mark = match self.name {
            Some(name) => mark(&self.text[self.key + 1..], name.len()),
            None => mark(&self.buffers.name, self.buffers.name.len()),
        };
        self.add_key(object.first_key, mark, self.key)
    }

    /// Reads a string, if one is next, and says whether it was.
    #[inline]
    pub fn text_value(&mut self) -> Result<bool> {
        let rest = self.skip_blanks(self.rest);
        let [b'"', tail @ ..] = rest else {
            self.rest = rest;
            return Ok(false);
        };
        self.rest = self.read_string(tail)?;
        Ok(true)
    }

    /// Reads any value; `depth` is how many objects are around it.
    #[inline]
    pub fn value(&mut self, depth: usize) -> Result<()> {
        if self.text_value()? {
            return Ok(());
        }
        self.rest = self.read_value(self.rest, depth)?;
        Ok(())
    }

    #[inline(never)]
    fn read_value(&mut self, mut rest: &'p [u8], depth: usize) -> Result<&'p [u8]> {
        let mut level = OUTSIDE;
        'value: loop {
            rest = self.skip_blanks(rest);
            match rest {
                [b'"', tail @ ..] => rest = self.read_string(tail)?,
                [b'{', tail @ ..] => {
                    self.go_in(level, depth, rest)?;
                    level = self.buffers.keys.len();
                    rest = self.skip_blanks(tail);
                    if let [b'}', tail @ ..] = rest {
                        rest = tail;
                        level = self.go_out();
                    } else {
                        rest = self.read_key_of(level, rest)?;
                        continue 'value;
                    }
                }
                [b'[', tail @ ..] => {
                    self.go_in(level, depth, rest)?;
                    level = ARRAY;
                    rest = self.skip_blanks(tail);
                    if let [b']', tail @ ..] = rest {
                        rest = tail;
                        level = self.go_out();
                    } else {
                        continue 'value;
                    }
                }
                [b't', ..] => rest = self.read_word(rest, b"true")?,
                [b'f', ..] => rest = self.read_word(rest, b"false")?,
                [b'n', ..] => rest = self.read_word(rest, b"null")?,
                [b'-' | b'0'..=b'9', ..] => rest = self.read_number(rest)?,
                _ => return Err(self.expected(rest, "a value")),
            }
            // A value has ended here.
            while level != OUTSIDE {
                rest = self.skip_blanks(rest);
                match rest {
                    [b',', tail @ ..] => {
                        rest = tail;
                        if level != ARRAY {
                            rest = self.skip_blanks(rest);
                            rest = self.read_key_of(level, rest)?;
                        }
                        continue 'value;
                    }
                    [b']', tail @ ..] if level == ARRAY => rest = tail,
                    [b'}', tail @ ..] if level != ARRAY => {
                        self.leave_object(level)?;
                        rest = tail;
                    }
                    _ if level == ARRAY => return Err(self.expected(rest, "`,` or `]`")),
                    _ => return Err(self.expected(rest, "`,` or `}`")),
                }
                level = self.go_out();
            }
            return Ok(rest);
        }
    }

    #[inline(always)]
    fn go_in(&mut self, level: usize, depth: usize, rest: &[u8]) -> Result<()> {
        if depth + self.buffers.levels.len() >= MAX_DEPTH {
            return Err(self.too_deep(rest));
        }
        self.buffers.levels.push(level);
        Ok(())
    }

    #[inline(always)]
    fn go_out(&mut self) -> usize {
        self.buffers.levels.pop().unwrap_or(OUTSIDE)
    }

    /// Moves what is the same in the text into the buffer, up to `rest`.
    fn flush(&mut self, rest: &'p [u8]) {
        let length = self.same.len() - rest.len();
        self.buffers.out.extend_from_slice(&self.same[..length]);
        self.same = rest;
    }

    /// Writes `bytes` in place of the text up to `rest`.
    fn write(&mut self, bytes: &[u8], rest: &'p [u8]) {
        self.buffers.out.extend_from_slice(bytes);
        self.same = rest;
    }

    #[inline(always)]
    fn skip_blanks(&mut self, rest: &'p [u8]) -> &'p [u8] {
        match rest {
            [0..=b' ', ..] => self.leave_out_blanks(rest),
            _ => rest,
        }
    }

    #[inline(never)]
    fn leave_out_blanks(&mut self, rest: &'p [u8]) -> &'p [u8] {
        self.flush(rest);
        self.same = after_blanks(rest);
        self.same
    }

    /// A key and its colon: its name, if that is in the text, and what comes
    /// after the colon.
    #[inline(always)]
    fn read_key(&mut self, rest: &'p [u8]) -> Result<(Option<&'p [u8]>, &'p [u8])> {
        let [b'"', start @ ..] = rest else {
            return Err(self.expected(rest, "a key in double quotes"));
        };
        let end = skip_plain(start);
        let (name, rest) = match end {
            [b'"', tail @ ..] => (Some(&start[..start.len() - end.len()]), tail),
            _ => (None, self.read_escaped_key(start)?),
        };
        match self.skip_blanks(rest) {
            [b':', tail @ ..] => Ok((name, tail)),
            rest => Err(self.expected(rest, "`:`")),
        }
    }

    /// A key that does not stand for itself.
    #[inline(never)]
    fn read_escaped_key(&mut self, start: &'p [u8]) -> Result<&'p [u8]> {
        self.flush(start);
        let written = self.buffers.out.len();
        let rest = self.read_string(start)?;
        self.flush(rest);
        let Buffers { out, name, .. } = &mut *self.buffers;
        name.clear();
        name.extend_from_slice(&out[written..out.len() - 1]);
        Ok(rest)
    }

    #[inline(always)]
    fn read_key_of(&mut self, first: usize, rest: &'p [u8]) -> Result<&'p [u8]> {
        let (name, tail) = self.read_key(rest)?;
        let mark = match name {
            Some(name) => mark(&rest[1..], name.len()),
            None => mark(&self.buffers.name, self.buffers.name.len()),
        };
        self.add_key(first, mark, self.text.len() - rest.len())?;
        Ok(tail)
    }

    #[inline(always)]
    fn read_word(&self, rest: &'p [u8], word: &[u8]) -> Result<&'p [u8]> {
        match rest.strip_prefix(word) {
            Some(tail) => Ok(tail),
            None => Err(self.not_the_word(rest, word)),
        }
    }

    /// A number, whose text is kept as it is.
    #[inline]
    fn read_number(&self, mut rest: &'p [u8]) -> Result<&'p [u8]> {
        if let [b'-', tail @ ..] = rest {
            rest = tail;
        }
        rest = match rest {
            [b'0', tail @ ..] => tail,
            _ => self.read_digits(rest)?,
        };
        if let [b'.', tail @ ..] = rest {
            rest = self.read_digits(tail)?;
        }
        if let [b'e' | b'E', b'+' | b'-', tail @ ..] | [b'e' | b'E', tail @ ..] = rest {
            rest = self.read_digits(tail)?;
        }
        Ok(rest)
    }

    /// One digit or more.
    #[inline]
    fn read_digits(&self, rest: &'p [u8]) -> Result<&'p [u8]> {
        let [b'0'..=b'9', tail @ ..] = rest else {
            return Err(self.expected(rest, "a digit"));
        };
        let mut rest = tail;
        while let [b'0'..=b'9', tail @ ..] = rest {
            rest = tail;
        }
        Ok(rest)
    }

    // Errors, apart from the hot path.

    #[cold]
    #[inline(never)]
    fn expected(&self, rest: &[u8], what: &str) -> Error {
        self.fault(
            rest,
            match rest {
                [] => format!("expected {what}, but the text ends"),
                [c @ b' '..=b'~', ..] => format!("expected {what}, found `{}`", *c as char),
                [c, ..] => format!("expected {what}, found byte 0x{c:02x}"),
            },
        )
    }

    #[cold]
    #[inline(never)]
    fn not_the_word(&self, rest: &[u8], word: &[u8]) -> Error {
        self.fault(rest, format!("expected `{}`", shown(word)))
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self, rest: &[u8]) -> Error {
        self.fault(rest, format!("nested more than {MAX_DEPTH} deep"))
    }

    fn fault(&self, rest: &[u8], message: impl Into<String>) -> Error {
        Error::event(self.text.len() - rest.len(), message)
    }
}

fn after_blanks(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
