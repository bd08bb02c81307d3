//! The line of an event, as it stands in a segment.

use super::header::EVENT_ID;

/// Appends the line of an event to `out`: `{"event_id":`, its id, and its body.
pub(crate) fn write_line(id: u64, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(EVENT_ID);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = id;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(body);
}
