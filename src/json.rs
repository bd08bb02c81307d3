//! JSON text to compact ASCII, checked and written in one pass.
//!
//! A [`Pass`] walks a text once. What it has read and found right stands, in
//! canonical form, in its output: no blanks, every character outside ASCII as
//! `\uxxxx`, one way only to write each string, numbers in the caller's digits.
//! It refuses what is not JSON (RFC 8259), invalid UTF-8, lone surrogates,
//! nesting over [`MAX_DEPTH`], and a key that an object has already; each error
//! tells the byte and, by [`locate`], the path of keys that leads there.
//!
//! Whoever knows the shape of the upper levels walks them with
//! [`Pass::enter`] and [`Pass::next_key`] and hands everything else to
//! [`Pass::value`]; what the keys mean is not known here.
//!
//! Speed comes from three habits. Strings are copied while they are searched,
//! 16 bytes at a time, so that text is touched once. The output is always at
//! least [`SLACK`] bytes longer than what the rest of the text can need, so
//! that whole chunks may be stored; only escapes of raw characters grow it.
//! And the places in text and output are passed by value, to stay in registers.

use crate::error::{Error, Kind, Result};

/// How deep objects and arrays may nest; the outermost counts 1.
pub(crate) const MAX_DEPTH: usize = 128;

/// How much longer the output is than what the text that is left can need.
/// Enough for a chunk, and for the few bytes a walker adds by [`Pass::put`].
const SLACK: usize = 128;

/// Up to so many keys of an object are compared one by one as they come; when
/// there are more, all are sorted at its end, so that many keys cost no square.
const FEW_KEYS: usize = 24;

/// What stays in memory between two uses, for each buffer, in bytes.
pub(crate) const KEPT: usize = 64 * 1024;

/// The level outside everything, in [`Pass::value`].
const OUTSIDE: usize = usize::MAX;
/// The level of an array; that of an object is the number of its first key.
const ARRAY: usize = usize::MAX - 1;

/// What a pass writes to, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The output; what is behind [`Pass::written`] is without meaning.
    out: Vec<u8>,
    /// The keys of all objects that are open, outer ones first.
    keys: Vec<Key>,
    /// The levels around the present one, in [`Pass::value`].
    levels: Vec<usize>,
}

impl Buffers {
    /// The bytes written, from the first on.
    pub fn out(&self) -> &[u8] {
        &self.out
    }

    /// Gives back memory that only an unusually large text needed.
    pub fn trim(&mut self) {
        if self.out.len() > KEPT {
            self.out = Vec::new();
        }
        if self.keys.capacity() * size_of::<Key>() > KEPT {
            self.keys = Vec::new();
        }
    }
}

/// A key of an object that is open, for finding repeated ones.
#[derive(Debug)]
struct Key {
    /// Unequal for unequal keys, nearly always; equal for equal ones.
    mark: u64,
    /// Where it stands in the output, without quotes.
    start: usize,
    end: usize,
    /// Where it stands in the text, with its quote.
    at: usize,
}

/// An object that a walker is in.
pub(crate) struct Object {
    first_key: usize,
    empty: bool,
}

/// A key, as a walker gets it; it is in the output too, with its colon.
pub(crate) struct Name {
    /// Where it stands in the text.
    pub at: usize,
    /// Where it stands in the output, without quotes.
    pub start: usize,
    pub end: usize,
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
    at: usize,
    written: usize,
    buffers: &'p mut Buffers,
}

impl<'p> Pass<'p> {
    pub fn new(text: &'p [u8], buffers: &'p mut Buffers) -> Self {
        buffers.keys.clear();
        buffers.levels.clear();
        let mut pass = Self {
            text,
            at: 0,
            written: 0,
            buffers,
        };
        pass.reserve_if_short(0, 0, SLACK);
        pass
    }

    /// The text that is walked.
    pub fn text(&self) -> &'p [u8] {
        self.text
    }

    /// How many bytes have been written.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Takes back what was written after the first `written` bytes.
    pub fn rewind(&mut self, written: usize) {
        self.written = written;
    }

    /// What was written.
    pub fn out(&mut self) -> &mut [u8] {
        &mut self.buffers.out[..self.written]
    }

    /// Writes a few bytes that are not in the text.
    #[inline]
    pub fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        const { assert!(N <= 32) };
        self.reserve_if_short(self.at, self.written, N);
        self.buffers.out[self.written..self.written + N].copy_from_slice(bytes);
        self.written += N;
    }

    /// The same for bytes whose number is not known beforehand.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.reserve_if_short(self.at, self.written, bytes.len());
        self.buffers.out[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
    }

    /// Writes any text as a JSON string, and says where it stands, without quotes.
    pub fn put_text(&mut self, text: &str) -> (usize, usize) {
        let bytes = text.as_bytes();
        let mut written = self.written;
        self.reserve(self.at, written, 6 * bytes.len() + 2);
        let out = &mut self.buffers.out[..];
        out[written] = b'"';
        written += 1;
        let start = written;
        let mut at = 0;
        loop {
            (at, written) = copy_plain(bytes, at, out, written);
            let Some(c) = text[at..].chars().next() else {
                break;
            };
            written = write_char(out, written, c);
            at += c.len_utf8();
        }
        out[written] = b'"';
        self.written = written + 1;
        (start, written)
    }

    /// The next byte that is no blank, and where it is; 0 at the text's end.
    #[inline]
    pub fn peek(&mut self) -> (u8, usize) {
        self.at = skip_blanks(self.text, self.at);
        (byte(self.text, self.at), self.at)
    }

    /// Makes sure that nothing is left.
    pub fn end(&mut self) -> Result<()> {
        let (_, at) = self.peek();
        if at < self.text.len() {
            return Err(expected(self.text, at, "the end of the text"));
        }
        Ok(())
    }

    /// Enters an object, which must be next; the caller has made sure of `{`
    /// and of the depth.
    pub fn enter(&mut self) -> Object {
        self.at += 1;
        self.put(b"{");
        Object {
            first_key: self.buffers.keys.len(),
            empty: true,
        }
    }

    /// Reads and writes the next key, with its colon; `None`, and nothing
    /// written, after the object's closing brace. Each of the values in between
    /// is the caller's to read; so are commas, to write. That a key is repeated
    /// is only found if each is handed to [`Pass::remember`].
    #[inline]
    pub fn next_key(&mut self, object: &mut Object) -> Result<Option<Name>> {
        let (c, at) = self.peek();
        if c == b'}' {
            self.leave_object(object.first_key)?;
            self.at = at + 1;
            return Ok(None);
        }
        let mut at = at;
        if !object.empty {
            if c != b',' {
                return Err(expected(self.text, at, "`,` or `}`"));
            }
            at = skip_blanks(self.text, at + 1);
        }
        object.empty = false;
        let start = self.written + 1;
        let (after, written) = self.read_key(at, self.written)?;
        self.at = after;
        self.written = written;
        Ok(Some(Name {
            at,
            start,
            end: written - 2,
        }))
    }

    /// Refuses a key that the object has already.
    pub fn remember(&mut self, object: &Object, name: &Name) -> Result<()> {
        self.add_key(object.first_key, name.at, name.start, name.end)
    }

    /// The closing brace of the object just left.
    pub fn last_byte(&self) -> usize {
        self.at.saturating_sub(1)
    }

    /// Reads and writes a string, which must be next; the caller has made sure
    /// of its quote. Says where it stands in the output, without quotes.
    #[inline]
    pub fn string(&mut self) -> Result<(usize, usize)> {
        let start = self.written + 1;
        let (at, written) = self.read_string(self.at, self.written)?;
        self.at = at;
        self.written = written;
        Ok((start, written - 1))
    }

    /// Reads and writes any value; `depth` is how many objects are around it.
    pub fn value(&mut self, depth: usize) -> Result<()> {
        let text = self.text;
        let mut at = self.at;
        let mut to = self.written;
        let mut level = OUTSIDE;
        'value: loop {
            at = skip_blanks(text, at);
            match byte(text, at) {
                b'"' => (at, to) = self.read_string(at, to)?,
                b'{' => {
                    level = self.go_in(level, depth, at, self.buffers.keys.len())?;
                    to = self.write(to, b'{');
                    at = skip_blanks(text, at + 1);
                    if byte(text, at) != b'}' {
                        let start = to + 1;
                        let key = at;
                        (at, to) = self.read_key(at, to)?;
                        self.add_key(level, key, start, to - 2)?;
                        continue 'value;
                    }
                    to = self.write(to, b'}');
                    at += 1;
                    level = self.go_out();
                }
                b'[' => {
                    level = self.go_in(level, depth, at, ARRAY)?;
                    to = self.write(to, b'[');
                    at = skip_blanks(text, at + 1);
                    if byte(text, at) != b']' {
                        continue 'value;
                    }
                    to = self.write(to, b']');
                    at += 1;
                    level = self.go_out();
                }
                b't' => (at, to) = self.read_word(at, to, b"true")?,
                b'f' => (at, to) = self.read_word(at, to, b"false")?,
                b'n' => (at, to) = self.read_word(at, to, b"null")?,
                b'-' | b'0'..=b'9' => (at, to) = self.read_number(at, to)?,
                _ => return Err(expected(text, at, "a value")),
            }
            // A value has ended here.
            while level != OUTSIDE {
                at = skip_blanks(text, at);
                let c = byte(text, at);
                if c == b',' {
                    to = self.write(to, b',');
                    at += 1;
                    if level != ARRAY {
                        at = skip_blanks(text, at);
                        let start = to + 1;
                        let key = at;
                        (at, to) = self.read_key(at, to)?;
                        self.add_key(level, key, start, to - 2)?;
                    }
                    continue 'value;
                }
                if level == ARRAY {
                    if c != b']' {
                        return Err(expected(text, at, "`,` or `]`"));
                    }
                } else {
                    if c != b'}' {
                        return Err(expected(text, at, "`,` or `}`"));
                    }
                    self.leave_object(level)?;
                }
                to = self.write(to, c);
                at += 1;
                level = self.go_out();
            }
            self.at = at;
            self.written = to;
            return Ok(());
        }
    }

    #[inline]
    fn go_in(&mut self, level: usize, depth: usize, at: usize, inner: usize) -> Result<usize> {
        if depth + self.buffers.levels.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.buffers.levels.push(level);
        Ok(inner)
    }

    #[inline]
    fn go_out(&mut self) -> usize {
        self.buffers.levels.pop().unwrap_or(OUTSIDE)
    }

    #[inline]
    fn write(&mut self, to: usize, c: u8) -> usize {
        self.buffers.out[to] = c;
        to + 1
    }

    /// Keeps the promise about [`SLACK`], with `more` bytes to come that the
    /// text does not account for.
    #[cold]
    #[inline(never)]
    fn reserve(&mut self, at: usize, to: usize, more: usize) {
        let need = to + (self.text.len() - at) + more + SLACK;
        if self.buffers.out.len() < need {
            let size = need.max(self.buffers.out.len() + self.buffers.out.len() / 2);
            self.buffers.out.resize(size, 0);
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn read_key(&mut self, at: usize, to: usize) -> Result<(usize, usize)> {
        if byte(self.text, at) != b'"' {
            return Err(expected(self.text, at, "a key in double quotes"));
        }
        let (at, to) = self.read_string(at, to)?;
        let at = skip_blanks(self.text, at);
        if byte(self.text, at) != b':' {
            return Err(expected(self.text, at, "`:`"));
        }
        Ok((at + 1, self.write(to, b':')))
    }

    /// The string whose opening quote is at `at`.
    #[inline(always)]
    fn read_string(&mut self, at: usize, to: usize) -> Result<(usize, usize)> {
        let to = self.write(to, b'"');
        let (mut at, mut to) = copy_plain(self.text, at + 1, &mut self.buffers.out, to);
        if byte(self.text, at) != b'"' {
            (at, to) = self.read_string_rest(at, to)?;
        }
        Ok((at + 1, self.write(to, b'"')))
    }

    /// The rest of a string from its first byte that is not simply copied, up
    /// to its closing quote.
    #[inline(never)]
    fn read_string_rest(&mut self, mut at: usize, mut to: usize) -> Result<(usize, usize)> {
        let text = self.text;
        loop {
            match text.get(at) {
                None => return Err(expected(text, at, "`\"`, the end of the string")),
                Some(b'"') => return Ok((at, to)),
                Some(b'\\') => (at, to) = self.read_escape(at, to)?,
                Some(0x7f) => {
                    self.reserve_if_short(at, to, 6);
                    to = write_unit(&mut self.buffers.out, to, 0x7f);
                    at += 1;
                }
                Some(0x80..) => {
                    let length = text[at..].iter().take_while(|&&b| b >= 0x80).count();
                    let run = match std::str::from_utf8(&text[at..at + length]) {
                        Ok(run) => run,
                        Err(error) => return Err(bad_utf8(at + error.valid_up_to())),
                    };
                    self.reserve_if_short(at, to, 3 * length);
                    for c in run.chars() {
                        to = write_char(&mut self.buffers.out, to, c);
                    }
                    at += length;
                }
                Some(&c) => return Err(raw_control(at, c)),
            }
            (at, to) = copy_plain(text, at, &mut self.buffers.out, to);
        }
    }

    #[inline]
    fn reserve_if_short(&mut self, at: usize, to: usize, more: usize) {
        if self.buffers.out.len() < to + (self.text.len() - at) + more + SLACK {
            self.reserve(at, to, more);
        }
    }

    /// The escape whose backslash is at `at`. Never longer than it was.
    fn read_escape(&mut self, at: usize, to: usize) -> Result<(usize, usize)> {
        let text = self.text;
        let out = &mut self.buffers.out[..];
        let c = byte(text, at + 1);
        match c {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => {
                out[to] = b'\\';
                out[to + 1] = c;
                Ok((at + 2, to + 2))
            }
            b'/' => {
                out[to] = b'/';
                Ok((at + 2, to + 1))
            }
            b'u' => {
                let unit = hex4(text, at + 2)?;
                match unit {
                    0xd800..0xdc00 => {
                        if byte(text, at + 6) != b'\\' || byte(text, at + 7) != b'u' {
                            return Err(lone_surrogate(at, unit));
                        }
                        let low = hex4(text, at + 8)?;
                        if !(0xdc00..0xe000).contains(&low) {
                            return Err(lone_surrogate(at, unit));
                        }
                        let to = write_unit(out, to, unit);
                        Ok((at + 12, write_unit(out, to, low)))
                    }
                    0xdc00..0xe000 => Err(lone_surrogate(at, unit)),
                    _ => {
                        let c = char::from_u32(u32::from(unit)).unwrap_or_default();
                        Ok((at + 6, write_char(out, to, c)))
                    }
                }
            }
            _ => Err(expected(
                text,
                at + 1,
                "one of `\" \\ / b f n r t u` after `\\`",
            )),
        }
    }

    #[inline]
    fn read_word(&mut self, at: usize, to: usize, word: &[u8]) -> Result<(usize, usize)> {
        if !self.text[at..].starts_with(word) {
            return Err(bad_word(at, word));
        }
        self.buffers.out[to..to + word.len()].copy_from_slice(word);
        Ok((at + word.len(), to + word.len()))
    }

    /// A number, whose text is kept as it is.
    #[inline]
    fn read_number(&mut self, at: usize, to: usize) -> Result<(usize, usize)> {
        let text = self.text;
        let mut end = at;
        if byte(text, end) == b'-' {
            end += 1;
        }
        if byte(text, end) == b'0' {
            end += 1;
        } else {
            end = digits(text, end)?;
        }
        if byte(text, end) == b'.' {
            end = digits(text, end + 1)?;
        }
        if matches!(byte(text, end), b'e' | b'E') {
            end += 1;
            if matches!(byte(text, end), b'+' | b'-') {
                end += 1;
            }
            end = digits(text, end)?;
        }
        self.buffers.out[to..to + (end - at)].copy_from_slice(&text[at..end]);
        Ok((end, to + (end - at)))
    }

    /// Notes a key of an object that is open, and refuses it if it is there
    /// already.
    #[inline]
    fn add_key(&mut self, first: usize, at: usize, start: usize, end: usize) -> Result<()> {
        let Buffers { out, keys, .. } = &mut *self.buffers;
        let mark = mark(out, start, end);
        let before = &keys[first..];
        if before.len() < FEW_KEYS
            && before
                .iter()
                .any(|key| key.mark == mark && out[key.start..key.end] == out[start..end])
        {
            return Err(repeated(&out[start..end], at));
        }
        keys.push(Key {
            mark,
            start,
            end,
            at,
        });
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
        let Buffers { out, keys, .. } = &mut *self.buffers;
        let text = |key: &Key| &out[key.start..key.end];
        keys[first..].sort_unstable_by(|a, b| {
            (a.mark.cmp(&b.mark))
                .then_with(|| text(a).cmp(text(b)))
                .then(a.at.cmp(&b.at))
        });
        let earliest = keys[first..]
            .windows(2)
            .filter(|pair| text(&pair[0]) == text(&pair[1]))
            .map(|pair| &pair[1])
            .min_by_key(|key| key.at);
        match earliest {
            Some(key) => Err(repeated(text(key), key.at)),
            None => Ok(()),
        }
    }
}

/// The byte at `at`; 0, which is right nowhere, behind the end.
#[inline(always)]
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// One digit or more.
#[inline]
fn digits(text: &[u8], at: usize) -> Result<usize> {
    let mut end = at;
    while byte(text, end).is_ascii_digit() {
        end += 1;
    }
    if end == at {
        return Err(expected(text, at, "a digit"));
    }
    Ok(end)
}

fn hex4(text: &[u8], at: usize) -> Result<u16> {
    let mut unit = 0;
    for place in at..at + 4 {
        let digit = match byte(text, place) {
            c @ b'0'..=b'9' => c - b'0',
            c @ b'a'..=b'f' => c - b'a' + 10,
            c @ b'A'..=b'F' => c - b'A' + 10,
            _ => return Err(expected(text, place, "four hexadecimal digits after `\\u`")),
        };
        unit = unit << 4 | u16::from(digit);
    }
    Ok(unit)
}

/// Writes one character as it stands in a canonical string.
fn write_char(out: &mut [u8], to: usize, c: char) -> usize {
    let short = match c {
        '"' | '\\' => c as u8,
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        ' '..='~' => {
            out[to] = c as u8;
            return to + 1;
        }
        _ => {
            let mut to = to;
            for unit in c.encode_utf16(&mut [0; 2]) {
                to = write_unit(out, to, *unit);
            }
            return to;
        }
    };
    out[to] = b'\\';
    out[to + 1] = short;
    to + 2
}

/// Writes `\uxxxx`.
#[inline]
fn write_unit(out: &mut [u8], to: usize, unit: u16) -> usize {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 15)];
    out[to..to + 6].copy_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    to + 6
}

/// Copies bytes that stand for themselves within a string, up to the first
/// that does not, or to the end. There must be room for the rest of the text,
/// and a chunk more.
#[inline(always)]
fn copy_plain(text: &[u8], mut at: usize, out: &mut [u8], mut to: usize) -> (usize, usize) {
    while let (Some(from), Some(room)) = (chunk(text, at), chunk_mut(out, to)) {
        *room = *from;
        let plain = plain_bytes(from);
        at += plain;
        to += plain;
        if plain < CHUNK {
            return (at, to);
        }
    }
    while let Some(&c @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) = text.get(at) {
        out[to] = c;
        at += 1;
        to += 1;
    }
    (at, to)
}

const CHUNK: usize = 16;

#[inline(always)]
fn chunk(text: &[u8], at: usize) -> Option<&[u8; CHUNK]> {
    text.get(at..).and_then(|rest| rest.first_chunk())
}

#[inline(always)]
fn chunk_mut(out: &mut [u8], to: usize) -> Option<&mut [u8; CHUNK]> {
    out.get_mut(to..).and_then(|rest| rest.first_chunk_mut())
}

/// How many bytes at the start of a chunk stand for themselves in a string.
/// Written so that compilers turn the loop into a few vector instructions.
#[inline(always)]
fn plain_bytes(chunk: &[u8; CHUNK]) -> usize {
    let special = chunk.map(|c| {
        let plain = (c.wrapping_add(1) as i8) > 0x20 && c != b'"' && c != b'\\';
        if plain { 0 } else { 0xff }
    });
    let special = u128::from_le_bytes(special);
    special.trailing_zeros() as usize / 8
}

/// Eight bytes that tell most keys apart: the first and the last ones mixed.
#[inline(always)]
fn mark(out: &[u8], start: usize, end: usize) -> u64 {
    let word = |at: usize| {
        let bytes = out.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let length = end - start;
    if length < 8 {
        // What is behind the key is the slack's, and masked.
        return word(start) & ((1 << (8 * length)) - 1);
    }
    word(start) ^ word(end - 8).rotate_left(29) ^ (length as u64) << 56
}

// Errors, apart from the hot path.

/// Something else was expected at `at`.
#[cold]
#[inline(never)]
pub(crate) fn expected(text: &[u8], at: usize, what: &str) -> Error {
    let message = match text.get(at) {
        None => format!("expected {what}, but the text ends"),
        Some(c @ b' '..=b'~') => format!("expected {what}, found `{}`", *c as char),
        Some(c) => format!("expected {what}, found byte 0x{c:02x}"),
    };
    Error::event(at.min(text.len()), message)
}

#[cold]
#[inline(never)]
pub(crate) fn too_deep(at: usize) -> Error {
    Error::event(at, format!("nested more than {MAX_DEPTH} deep"))
}

#[cold]
#[inline(never)]
fn bad_word(at: usize, word: &[u8]) -> Error {
    Error::event(at, format!("expected `{}`", shown(word)))
}

#[cold]
#[inline(never)]
fn bad_utf8(at: usize) -> Error {
    Error::event(at, "invalid UTF-8")
}

#[cold]
#[inline(never)]
fn raw_control(at: usize, c: u8) -> Error {
    Error::event(
        at,
        format!("control character 0x{c:02x} in a string, it must be escaped"),
    )
}

#[cold]
#[inline(never)]
fn lone_surrogate(at: usize, unit: u16) -> Error {
    Error::event(at, format!("lone surrogate \\u{unit:04x}"))
}

#[cold]
#[inline(never)]
pub(crate) fn repeated(name: &[u8], at: usize) -> Error {
    Error::event(at, format!("the key \"{}\" is repeated", shown(name)))
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
    let kind: Kind = error.kind();
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
