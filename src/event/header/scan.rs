//! The header of a line in the trail's own format, without parsing the line.
//!
//! One comparison for each run of fixed bytes, and a search for the end of each
//! string. What is accepted here is an event's header only if the rest of the line
//! is valid too; [`super::LineChecker`] checks that. `None` means another format,
//! another stream or no event, and [`super::parse`] decides.

use super::{Depth, Header, TextSpan};

/// What a line in the trail's own format begins with.
pub(crate) const EVENT_ID: &[u8] = b"{\"event_id\":";

/// The part of a line between the timestamp and the model name, which is the same
/// for all events of a stream.
pub(crate) fn stream_fields(domain: &str, category: &str) -> Vec<u8> {
    format!(",\"domain\":\"{domain}\",\"category\":\"{category}\",\"model_name\":\"").into_bytes()
}

/// The header of a line in the trail's own format, of the stream with these
/// [`stream_fields`]. `None`: another format or stream; [`super::parse`] tells which.
pub(crate) fn scan(line: &[u8], stream_fields: &[u8], depth: Depth) -> Option<Header> {
    let mut header = Header::default();
    scan_into(line, stream_fields, depth, &mut header).map(|()| header)
}

/// The same, into an existing header: it is too large to be moved for each line.
/// Fields that are not read keep their values.
#[inline]
pub(crate) fn scan_into(
    line: &[u8],
    stream_fields: &[u8],
    depth: Depth,
    header: &mut Header,
) -> Option<()> {
    let mut scanner = LineScanner { line, offset: 0 };
    if line.last() != Some(&b'}') {
        return None;
    }
    scanner.literal(EVENT_ID)?;
    header.event_id = scanner.number()?;
    header.timestamp = scanner.timestamp()?;
    scanner.literal(stream_fields)?;
    if depth == Depth::Category {
        return Some(());
    }
    header.model_name = scanner.text()?;
    if depth == Depth::ModelName {
        return Some(());
    }
    scanner.literal(b",\"operation\":\"")?;
    header.operation = scanner.text()?;
    if depth == Depth::Operation {
        return Some(());
    }
    scanner.literal(b",\"logical_user_id\":\"")?;
    header.user = scanner.text()?;
    if depth == Depth::User {
        return Some(());
    }
    header.request_id = match scanner.literal(b",\"request_id\":\"") {
        Some(()) => Some(scanner.text()?),
        None => None,
    };
    if depth == Depth::RequestId {
        return Some(());
    }
    header.payload = None;
    if scanner.literal(b",\"payload\":").is_some() {
        // Whether the text in between is valid, only a full check can tell.
        let end = line.len() - 1;
        if line.get(scanner.offset) != Some(&b'{') || end <= scanner.offset || line[end - 1] != b'}'
        {
            return None;
        }
        header.payload = Some((scanner.offset, end));
    } else if scanner.offset != line.len() - 1 {
        return None;
    }
    Some(())
}

/// The id of a line that begins in the trail's own format, whatever follows. Ids
/// begin at 1.
pub(crate) fn leading_id(line: &[u8]) -> Option<u64> {
    let mut scanner = LineScanner { line, offset: 0 };
    scanner.literal(EVENT_ID)?;
    let id = scanner.number()?;
    scanner.literal(b",")?;
    (id > 0).then_some(id)
}

/// The id and the timestamp of a line that begins in the trail's own format.
pub(crate) fn leading(line: &[u8]) -> Option<(u64, i64)> {
    let mut scanner = LineScanner { line, offset: 0 };
    scanner.literal(EVENT_ID)?;
    let id = scanner.number()?;
    let timestamp = scanner.timestamp()?;
    scanner.literal(b",")?;
    Some((id, timestamp))
}

struct LineScanner<'l> {
    line: &'l [u8],
    offset: usize,
}

impl LineScanner<'_> {
    #[inline(always)]
    fn literal(&mut self, text: &[u8]) -> Option<()> {
        let rest = self.line.get(self.offset..)?;
        if rest.starts_with(text) {
            self.offset += text.len();
            Some(())
        } else {
            None
        }
    }

    /// A JSON integer without a sign.
    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let first = self.offset;
        let mut number: u64 = 0;
        while let Some(digit) = self.line.get(self.offset).map(|b| b.wrapping_sub(b'0'))
            && digit <= 9
        {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.offset += 1;
        }
        let digits = self.line.get(first..self.offset)?;
        let leading_zero = digits.len() > 1 && digits[0] == b'0';
        if digits.is_empty() || leading_zero {
            return None;
        }
        if digits.len() > 19 {
            // It may have overflowed.
            return std::str::from_utf8(digits).ok()?.parse().ok();
        }
        Some(number)
    }

    /// The timestamp, with its key.
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

    /// A string, after its opening quote.
    #[inline(always)]
    fn text(&mut self) -> Option<TextSpan> {
        let start = self.offset;
        let mut escaped = false;
        loop {
            while let Some(&word) = self.line.get(self.offset..).and_then(<[u8]>::first_chunk) {
                let plain = bytes_before_quote_or_backslash(u64::from_le_bytes(word));
                self.offset += plain;
                if plain < 8 {
                    break;
                }
            }
            match self.line.get(self.offset)? {
                b'"' => {
                    self.offset += 1;
                    return TextSpan::new(start, self.offset - 1, escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.offset += 2;
                }
                _ => self.offset += 1,
            }
        }
    }
}

/// The number of bytes in `word`, from the lowest on, before a quote or backslash.
#[inline(always)]
fn bytes_before_quote_or_backslash(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Sets the highest bit of the lowest byte that is equal, and of none below it.
    let equal = |other: u8| {
        let difference = word ^ (ONES * u64::from(other));
        difference.wrapping_sub(ONES) & !difference
    };
    let found = (equal(b'"') | equal(b'\\')) & (ONES << 7);
    (found.trailing_zeros() / 8) as usize
}
