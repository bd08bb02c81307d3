//! Where in a text an error is: the path of keys that leads to its byte.
//!
//! Nothing of this is kept while a text is read; when there is an error, the
//! text, which is right up to it, is gone through once more.

use super::after_blanks;
use crate::error::Error;

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
    OpenObject(Option<&'t [u8]>),
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
                steps.push(Step::OpenObject(Some(name)));
                key_next = false;
            }
            _ if at == offset => break,
            b'{' => {
                steps.push(Step::OpenObject(None));
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
                    && let Some(Step::OpenObject(name)) = steps.last_mut()
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
            Step::OpenObject(Some(name)) if path.is_empty() => path.push_str(&shown(name)),
            Step::OpenObject(Some(name)) => path.push_str(&format!(".{}", shown(name))),
            Step::OpenObject(None) => {}
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
    } else if !matches!(
        text[at],
        b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r'
    ) {
        while end < text.len()
            && !matches!(text[end], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
        {
            end += 1;
        }
    }
    end
}
