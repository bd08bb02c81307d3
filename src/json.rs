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

use std::borrow::Cow;

use crate::error::{Error, Result};

/// How deep objects and arrays may nest; the outermost counts 1.
pub(crate) const MAX_DEPTH: usize = 128;

/// Up to so many keys of an object are compared one by one as they come; when
/// there are more, all are sorted at its end, so that many keys cost no square.
const FEW_KEYS: usize = 24;

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
    keys: Vec<Key>,
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
        self.keys.shrink_to(KEPT / size_of::<Key>());
        self.name.clear();
        self.name.shrink_to(KEPT);
    }
}

/// A key of an object that is open. Small, and told by its parts, for it goes
/// from hand to hand for every member.
#[derive(Clone, Copy, Debug)]
struct Key {
    /// Unequal for unequal keys, nearly always; equal for equal ones.
    mark: u64,
    /// Where it stands in the text, with its quote.
    at: usize,
}

/// An object that a walker is in.
pub(crate) struct Object {
    first_key: usize,
    empty: bool,
}

/// Checks that `text` is one JSON value by the rules of this module.
pub(crate) fn check(text: &[u8]) -> Result<()> {
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
    pub fn enter(&mut self) -> Object {
        self.rest = self.rest.get(1..).unwrap_or_default();
        Object {
            first_key: self.buffers.keys.len(),
            empty: true,
        }
    }

    /// Reads the next key and its colon, or the object's closing brace, and says
    /// whether there was a key. Its value is the caller's to read. That a key is
    /// repeated is only found if each is remembered.
    #[inline]
    pub fn next_key(&mut self, object: &mut Object) -> Result<bool> {
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
    pub fn remember(&mut self, object: &Object) -> Result<()> {
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

    /// The string that begins before `rest`, to behind its closing quote.
    #[inline(always)]
    fn read_string(&mut self, rest: &'p [u8]) -> Result<&'p [u8]> {
        match skip_plain(rest) {
            [b'"', tail @ ..] => Ok(tail),
            rest => self.read_string_rest(rest),
        }
    }

    /// The rest of a string from its first byte that does not stand for itself.
    #[inline(never)]
    fn read_string_rest(&mut self, mut rest: &'p [u8]) -> Result<&'p [u8]> {
        loop {
            match rest {
                [] => return Err(self.expected(rest, "`\"`, the end of the string")),
                [b'"', tail @ ..] => return Ok(tail),
                [b'\\', tail @ ..] => rest = self.read_escape(rest, tail)?,
                [0x7f, tail @ ..] => {
                    self.flush(rest);
                    self.write(b"\\u007f", tail);
                    rest = tail;
                }
                [0x80..=0xff, ..] => {
                    let length = rest.iter().take_while(|&&b| b >= 0x80).count();
                    let (run, tail) = rest.split_at(length);
                    let run = std::str::from_utf8(run)
                        .map_err(|error| self.invalid_utf8(&rest[error.valid_up_to()..]))?;
                    self.flush(rest);
                    for c in run.chars() {
                        write_char(&mut self.buffers.out, c);
                    }
                    self.same = tail;
                    rest = tail;
                }
                _ => return Err(self.raw_control(rest)),
            }
            rest = skip_plain(rest);
        }
    }

    /// The escape that is `rest` up to somewhere, a backslash and `tail`.
    fn read_escape(&mut self, rest: &'p [u8], tail: &'p [u8]) -> Result<&'p [u8]> {
        match tail {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', tail @ ..] => Ok(tail),
            [b'/', tail @ ..] => {
                self.flush(rest);
                self.write(b"/", tail);
                Ok(tail)
            }
            [b'u', tail @ ..] => {
                let (first, mut tail) = self.read_hex(tail)?;
                let mut units = [first, 0];
                let mut count = 1;
                if let (0xd800..0xdc00, [b'\\', b'u', low @ ..]) = (first, tail) {
                    (units[1], tail) = self.read_hex(low)?;
                    count = 2;
                }
                let mut chars = char::decode_utf16(units[..count].iter().copied());
                match (chars.next(), chars.next()) {
                    (Some(Ok(c)), None) => {
                        self.flush(rest);
                        write_char(&mut self.buffers.out, c);
                        self.same = tail;
                        Ok(tail)
                    }
                    _ => Err(self.lone_surrogate(rest, first)),
                }
            }
            _ => Err(self.expected(tail, "one of `\" \\ / b f n r t u` after `\\`")),
        }
    }

    /// The four digits after `\u`.
    fn read_hex(&self, mut rest: &'p [u8]) -> Result<(u16, &'p [u8])> {
        let mut unit = 0;
        for _ in 0..4 {
            let (digit, tail) = match rest {
                [c @ b'0'..=b'9', tail @ ..] => (c - b'0', tail),
                [c @ b'a'..=b'f', tail @ ..] => (c - b'a' + 10, tail),
                [c @ b'A'..=b'F', tail @ ..] => (c - b'A' + 10, tail),
                _ => return Err(self.expected(rest, "four hexadecimal digits after `\\u`")),
            };
            unit = unit << 4 | u16::from(digit);
            rest = tail;
        }
        Ok((unit, rest))
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

    /// Adds a key to those of an open object, if it is not there already.
    #[inline]
    fn add_key(&mut self, first: usize, mark: u64, at: usize) -> Result<()> {
        let before = &self.buffers.keys[first..];
        if before.len() < FEW_KEYS {
            for other in before {
                if other.mark == mark && self.name_of(other.at) == self.name_of(at) {
                    return Err(self.repeated_at(at));
                }
            }
        }
        self.buffers.keys.push(Key { mark, at });
        Ok(())
    }

    /// Forgets the keys of an object that ends.
    #[inline]
    fn leave_object(&mut self, first: usize) -> Result<()> {
        if self.buffers.keys.len() - first > FEW_KEYS {
            self.find_repeated(first)?;
        }
        self.buffers.keys.truncate(first);
        Ok(())
    }

    #[inline(never)]
    fn find_repeated(&mut self, first: usize) -> Result<()> {
        let keys = &self.buffers.keys[first..];
        let mut keys: Vec<_> = keys
            .iter()
            .map(|key| (key.mark, self.name_of(key.at), key.at))
            .collect();
        keys.sort_unstable();
        let repeated = keys
            .windows(2)
            .filter(|pair| pair[0].1 == pair[1].1)
            .map(|pair| pair[1].2);
        match repeated.min() {
            Some(at) => Err(self.repeated_at(at)),
            None => Ok(()),
        }
    }

    /// The canonical form of the key at `at`, which was found right before.
    #[inline(never)]
    fn name_of(&self, at: usize) -> Cow<'p, [u8]> {
        let start = &self.text[at + 1..];
        let end = skip_plain(start);
        if let [b'"', ..] = end {
            return Cow::Borrowed(&start[..start.len() - end.len()]);
        }
        let mut buffers = Buffers::default();
        let mut pass = Pass::new(start, &mut buffers);
        match pass.read_escaped_key(start) {
            Ok(_) => Cow::Owned(buffers.name),
            Err(_) => Cow::Borrowed(b""),
        }
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

    #[cold]
    #[inline(never)]
    fn invalid_utf8(&self, rest: &[u8]) -> Error {
        self.fault(rest, "invalid UTF-8")
    }

    #[cold]
    #[inline(never)]
    fn raw_control(&self, rest: &[u8]) -> Error {
        let c = rest.first().copied().unwrap_or(0);
        self.fault(
            rest,
            format!("control character 0x{c:02x} in a string, it must be escaped"),
        )
    }

    #[cold]
    #[inline(never)]
    fn lone_surrogate(&self, rest: &[u8], unit: u16) -> Error {
        self.fault(rest, format!("lone surrogate \\u{unit:04x}"))
    }

    /// The key that was read last is in its object already.
    #[cold]
    pub fn repeated(&self) -> Error {
        self.repeated_at(self.key)
    }

    #[cold]
    #[inline(never)]
    fn repeated_at(&self, at: usize) -> Error {
        let name = shown(&self.name_of(at));
        Error::event(at, format!("the key \"{name}\" is repeated"))
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

/// Writes any text as a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let special = skip_plain(rest.as_bytes()).len();
        let (plain, tail) = rest.split_at(rest.len() - special);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        let Some(c) = chars.next() else {
            break;
        };
        write_char(out, c);
        rest = chars.as_str();
    }
    out.push(b'"');
}

/// Writes one character as it stands in a canonical string.
fn write_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c as u8,
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        ' '..='~' => return out.push(c as u8),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let digit = |shift: u16| b"0123456789abcdef"[usize::from(*unit >> shift & 15)];
                out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// How many bytes are looked at together.
const CHUNK: usize = 16;

/// What comes after the bytes that stand for themselves within a string.
#[inline(always)]
fn skip_plain(mut rest: &[u8]) -> &[u8] {
    while let Some((chunk, tail)) = rest.split_first_chunk() {
        let plain = plain_bytes(chunk);
        if plain < CHUNK {
            return &rest[plain..];
        }
        rest = tail;
    }
    while let [b' ' | b'!' | b'#'..=b'[' | b']'..=b'~', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

/// How many bytes at the start of a chunk stand for themselves in a string.
/// Written so that compilers make a few vector instructions of it.
#[inline(always)]
fn plain_bytes(chunk: &[u8; CHUNK]) -> usize {
    let special = chunk.map(|c| {
        let plain = (c.wrapping_add(1) as i8) > 0x20 && c != b'"' && c != b'\\';
        if plain { 0 } else { 0xff }
    });
    u128::from_le_bytes(special).trailing_zeros() as usize / 8
}

/// Eight bytes that tell most keys apart: the first and the last ones mixed.
#[inline(always)]
fn mark(text: &[u8], length: usize) -> u64 {
    match text.first_chunk() {
        Some(first) if length < 8 => u64::from_le_bytes(*first) & ((1 << (8 * length)) - 1),
        Some(first) => {
            let last = text[length - 8..]
                .first_chunk()
                .copied()
                .unwrap_or_default();
            u64::from_le_bytes(*first)
                ^ u64::from_le_bytes(last).rotate_left(29)
                ^ (length as u64) << 56
        }
        None => mark_at_end(&text[..length]),
    }
}

/// The same for a short key that has no eight bytes behind its start.
#[inline(never)]
fn mark_at_end(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, c) in bytes.iter_mut().zip(name) {
        *byte = *c;
    }
    u64::from_le_bytes(bytes)
}

/// A key for a message, cut when it is long. Canonical text is ASCII.
pub(crate) fn shown(name: &[u8]) -> String {
    const MOST: usize = 64;
    let cut = &name[..name.len().min(MOST)];
    let dots = if cut.len() < name.len() { "..." } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(cut))
}

/// Puts before the message of `error` the path of keys to its byte in `text`,
/// such as `payload.delta.size.new`; `root` is the path of the text itself.
/// Up to the byte, the text has been found right.
#[cold]
#[inline(never)]
pub(crate) fn locate(text: &[u8], root: &str, error: Error) -> Error {
    let Some(offset) = error
        .offset()
        .and_then(|offset| usize::try_from(offset).ok())
    else {
        return error;
    };
    let path = path(text, root, offset);
    if path.is_empty() {
        return error;
    }
    let kind = error.kind();
    error.wrap(kind, &path)
}

/// Where a step of a path leads to.
enum Step<'t> {
    /// Into an object, where this key's value comes next or has begun.
    Object(Option<&'t [u8]>),
    /// Into an array, at this place.
    Array(usize),
}

fn path(text: &[u8], root: &str, offset: usize) -> String {
    let mut steps = Vec::new();
    // Whether a key comes next, if the innermost step is an object.
    let mut key_next = false;
    let mut at = 0;
    while at < text.len() && at <= offset {
        let end = token_end(text, at);
        match text[at] {
            b'"' if key_next && (at == offset || end <= offset) => {
                let name = text.get(at + 1..end - 1).unwrap_or_default();
                steps.pop();
                steps.push(Step::Object(Some(name)));
                key_next = false;
            }
            _ if at == offset => break,
            b'{' => {
                steps.push(Step::Object(None));
                key_next = true;
            }
            b'[' => steps.push(Step::Array(0)),
            b',' => match steps.last_mut() {
                Some(Step::Array(place)) => *place += 1,
                _ => key_next = true,
            },
            b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            c => {
                if matches!(c, b'}' | b']') {
                    steps.pop();
                    key_next = false;
                }
                // A value has ended, and with it the reach of its key; unless
                // it is a number that lacks a digit.
                let last = text.get(end - 1).copied().unwrap_or(0);
                if end <= offset
                    && (matches!(c, b'"' | b'a'..=b'z')
                        || matches!(last, b'0'..=b'9' | b'}' | b']'))
                    && let Some(Step::Object(name)) = steps.last_mut()
                {
                    *name = None;
                }
            }
        }
        at = end;
    }
    let mut path = root.to_owned();
    for step in steps {
        match step {
            Step::Object(Some(name)) if path.is_empty() => path.push_str(&shown(name)),
            Step::Object(Some(name)) => path.push_str(&format!(".{}", shown(name))),
            Step::Object(None) => {}
            Step::Array(place) => path.push_str(&format!("[{place}]")),
        }
    }
    path
}

/// Where the value of the key at `key` begins; both were found right.
pub(crate) fn value_of(text: &[u8], key: usize) -> usize {
    let rest = after_blanks(text.get(token_end(text, key)..).unwrap_or_default());
    let value = after_blanks(rest.strip_prefix(b":").unwrap_or(rest));
    text.len() - value.len()
}

/// Where the string, number, word or sign that begins at `at` ends; behind the
/// text's end for a string that does not.
fn token_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    if text[at] == b'"' {
        while end < text.len() && text[end] != b'"' {
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        end += 1;
    } else if !matches!(text[at], b'{' | b'}' | b'[' | b']' | b',' | b':') {
        while end < text.len()
            && !matches!(text[end], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
        {
            end += 1;
        }
    }
    end
}

#[cfg(test)]
mod tests;
