//! The characters of JSON strings.
//!
//! A byte is *plain* if it stands for itself in canonical form: `0x20` to `0x7e`
//! except the quote and the backslash. Everything else is escaped. A parser
//! spends most of its time on finding the first byte that is not plain, so this
//! is done for [`CHUNK`] bytes at once.

use super::JsonParser;
use crate::error::{Error, Result};
use wide::i8x16;

impl<'p> JsonParser<'p> {
    /// Reads a string after its opening quote; returns what follows its closing one.
    #[inline(always)]
    pub(super) fn read_string(&mut self, remaining: &'p [u8]) -> Result<&'p [u8]> {
        match skip_plain(remaining) {
            [b'"', tail @ ..] => Ok(tail),
            remaining => self.read_special_chars(remaining),
        }
    }

    /// The rest of a string, from its first byte that is not plain.
    #[inline(never)]
    fn read_special_chars(&mut self, mut remaining: &'p [u8]) -> Result<&'p [u8]> {
        loop {
            match remaining {
                [] => return Err(self.expected(remaining, "`\"`, the end of the string")),
                [b'"', tail @ ..] => return Ok(tail),
                [b'\\', tail @ ..] => remaining = self.read_escape(remaining, tail)?,
                [0x7f, tail @ ..] => {
                    self.flush(remaining);
                    self.write(b"\\u007f", tail);
                    remaining = tail;
                }
                [0x80..=0xff, ..] => {
                    let length = remaining.iter().take_while(|&&b| b >= 0x80).count();
                    let (run, tail) = remaining.split_at(length);
                    let run = std::str::from_utf8(run)
                        .map_err(|error| self.invalid_utf8(&remaining[error.valid_up_to()..]))?;
                    self.flush(remaining);
                    for c in run.chars() {
                        write_escaped_char(&mut self.buffers.output, c);
                    }
                    self.unflushed = tail;
                    remaining = tail;
                }
                _ => return Err(self.raw_control(remaining)),
            }
            remaining = skip_plain(remaining);
        }
    }

    /// The escape at the start of `remaining`, whose backslash is before `tail`.
    fn read_escape(&mut self, remaining: &'p [u8], tail: &'p [u8]) -> Result<&'p [u8]> {
        match tail {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', tail @ ..] => Ok(tail),
            [b'/', tail @ ..] => {
                self.flush(remaining);
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
                        self.flush(remaining);
                        write_escaped_char(&mut self.buffers.output, c);
                        self.unflushed = tail;
                        Ok(tail)
                    }
                    _ => Err(self.lone_surrogate(remaining, first)),
                }
            }
            _ => Err(self.expected(tail, "one of `\" \\ / b f n r t u` after `\\`")),
        }
    }

    /// The four digits after `\u`.
    fn read_hex(&self, mut remaining: &'p [u8]) -> Result<(u16, &'p [u8])> {
        let mut unit = 0;
        for _ in 0..4 {
            let (digit, tail) = match remaining {
                [c @ b'0'..=b'9', tail @ ..] => (c - b'0', tail),
                [c @ b'a'..=b'f', tail @ ..] => (c - b'a' + 10, tail),
                [c @ b'A'..=b'F', tail @ ..] => (c - b'A' + 10, tail),
                _ => return Err(self.expected(remaining, "four hexadecimal digits after `\\u`")),
            };
            unit = unit << 4 | u16::from(digit);
            remaining = tail;
        }
        Ok((unit, remaining))
    }

    #[cold]
    #[inline(never)]
    fn invalid_utf8(&self, remaining: &[u8]) -> Error {
        self.fault(remaining, "invalid UTF-8")
    }

    #[cold]
    #[inline(never)]
    fn raw_control(&self, remaining: &[u8]) -> Error {
        let c = remaining.first().copied().unwrap_or(0);
        self.fault(
            remaining,
            format!("control character 0x{c:02x} in a string, it must be escaped"),
        )
    }

    #[cold]
    #[inline(never)]
    fn lone_surrogate(&self, remaining: &[u8], unit: u16) -> Error {
        self.fault(remaining, format!("lone surrogate \\u{unit:04x}"))
    }
}

/// Writes any text as a JSON string in canonical form.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut remaining = text;
    loop {
        let special = skip_plain(remaining.as_bytes()).len();
        let (plain, tail) = remaining.split_at(remaining.len() - special);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        let Some(c) = chars.next() else {
            break;
        };
        write_escaped_char(out, c);
        remaining = chars.as_str();
    }
    out.push(b'"');
}

/// Writes one character as a canonical string has it.
pub(super) fn write_escaped_char(out: &mut Vec<u8>, c: char) {
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

/// How many bytes are compared at once.
pub(super) const CHUNK: usize = 16;

/// The text from its first byte that is not plain.
#[inline(always)]
pub(super) fn skip_plain(mut remaining: &[u8]) -> &[u8] {
    while let Some((chunk, tail)) = remaining.split_first_chunk() {
        let plain = plain_bytes(chunk);
        if plain < CHUNK {
            return &remaining[plain..];
        }
        remaining = tail;
    }
    while let [b' ' | b'!' | b'#'..=b'[' | b']'..=b'~', tail @ ..] = remaining {
        remaining = tail;
    }
    remaining
}

/// The number of plain bytes at the start of a chunk.
#[inline(always)]
pub(super) fn plain_bytes(chunk: &[u8; CHUNK]) -> usize {
    let bytes = i8x16::new(chunk.map(u8::cast_signed));
    let equals = |byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
    // As signed numbers, those from 0x80 on are below the space too.
    let outside = bytes.simd_lt(i8x16::splat(b' '.cast_signed())) | equals(0x7f);
    let special = outside | equals(b'"') | equals(b'\\');
    (special.to_bitmask() | 1 << CHUNK).trailing_zeros() as usize
}
