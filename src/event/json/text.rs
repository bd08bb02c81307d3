//! What stands between the quotes of a JSON string.
//!
//! In canonical form the bytes from `0x20` to `0x7e` stand for themselves, but
//! for the quote and the backslash; everything else is escaped. Finding the
//! first byte that does not is what a pass does most, so that it is done for
//! [`CHUNK`] bytes together.

use super::Pass;
use crate::error::{Error, Result};
use wide::i8x16;

impl<'p> Pass<'p> {
    /// The string that begins before `rest`, to behind its closing quote.
    #[inline(always)]
    pub(super) fn read_string(&mut self, rest: &'p [u8]) -> Result<&'p [u8]> {
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
pub(super) fn write_char(out: &mut Vec<u8>, c: char) {
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
pub(super) const CHUNK: usize = 16;

/// What comes after the bytes that stand for themselves within a string.
#[inline(always)]
pub(super) fn skip_plain(mut rest: &[u8]) -> &[u8] {
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
#[inline(always)]
pub(super) fn plain_bytes(chunk: &[u8; CHUNK]) -> usize {
    let bytes = i8x16::new(chunk.map(u8::cast_signed));
    let are = |byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
    // As signed numbers, those from 0x80 on are below the blank too.
    let outside = bytes.simd_lt(i8x16::splat(b' '.cast_signed())) | are(0x7f);
    let special = outside | are(b'"') | are(b'\\');
    (special.to_bitmask() | 1 << CHUNK).trailing_zeros() as usize
}
