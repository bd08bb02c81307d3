//! The path of keys to the byte of an error.
//!
//! A parser keeps no path while it reads. After an error the text, which is valid
//! up to that byte, is scanned once more.

use super::trim_start;
use crate::error::Error;

/// A key as messages show it, truncated when it is long. Canonical text is ASCII.
pub(crate) fn key_for_message(name: &[u8]) -> String {
    const MAX_BYTES: usize = 64;
    let cut = &name[..name.len().min(MAX_BYTES)];
    let dots = if cut.len() < name.len() { "..." } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(cut))
}

/// Prepends to the message of `error` the path of keys to its byte in `text`,
/// such as `payload.delta.size.new`; `root` is the path of the text itself.
/// The text must be valid up to that byte.
#[cold]
#[inline(never)]
pub(crate) fn add_key_path(text: &[u8], root: &str, error: Error) -> Error {
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

/// One step of a path.
enum PathStep<'t> {
    /// Into an object, where this key's value comes next or has begun.
    Object(Option<&'t [u8]>),
    /// Into an array, at this index.
    Array(usize),
}

fn path(text: &[u8], root: &str, offset: usize) -> String {
    let mut steps = Vec::new();
    // Whether a key comes next, if the innermost step is an object.
    let mut key_next = false;
    let mut token = 0;
    while token < text.len() && token <= offset {
        let end = token_end(text, token);
        match text[token] {
            b'"' if key_next && (token == offset || end <= offset) => {
                let name = text.get(token + 1..end - 1).unwrap_or_default();
                steps.pop();
                steps.push(PathStep::Object(Some(name)));
                key_next = false;
            }
            _ if token == offset => break,
            b'{' => {
                steps.push(PathStep::Object(None));
                key_next = true;
            }
            b'[' => steps.push(PathStep::Array(0)),
            b',' => match steps.last_mut() {
                Some(PathStep::Array(index)) => *index += 1,
                _ => key_next = true,
            },
            b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            c => {
                if matches!(c, b'}' | b']') {
                    steps.pop();
                    key_next = false;
                }
                // A value has ended, and its key leaves the path, unless the value
                // is a number that lacks a digit.
                let last = text.get(end - 1).copied().unwrap_or(0);
                if end <= offset
                    && (matches!(c, b'"' | b'a'..=b'z')
                        || matches!(last, b'0'..=b'9' | b'}' | b']'))
                    && let Some(PathStep::Object(name)) = steps.last_mut()
                {
                    *name = None;
                }
            }
        }
        token = end;
    }
    let mut path = root.to_owned();
    for step in steps {
        match step {
            PathStep::Object(Some(name)) if path.is_empty() => {
                path.push_str(&key_for_message(name));
            }
            PathStep::Object(Some(name)) => path.push_str(&format!(".{}", key_for_message(name))),
            PathStep::Object(None) => {}
            PathStep::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// Where the value of the key at `key_offset` begins; both have been accepted.
pub(crate) fn value_offset(text: &[u8], key_offset: usize) -> usize {
    let remaining = trim_start(text.get(token_end(text, key_offset)..).unwrap_or_default());
    let value = trim_start(remaining.strip_prefix(b":").unwrap_or(remaining));
    text.len() - value.len()
}

/// Where the token that begins at `start` ends; beyond the end of the text for a
/// string that is not closed.
fn token_end(text: &[u8], start: usize) -> usize {
    let mut end = start + 1;
    if text[start] == b'"' {
        while end < text.len() && text[end] != b'"' {
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        end += 1;
    } else if !matches!(
        text[start],
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
