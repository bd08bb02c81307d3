//! A value with all that is in it, in one loop without recursion.
//!
//! A container is an array or an object. The current one is a number: for an
//! object, the index of its first key in `buffers.keys`; for an array,
//! [`IN_ARRAY`]; outside of all, [`NO_CONTAINER`]. Those around it are in
//! `buffers.outer_containers`.

use super::JsonParser;
use super::key_for_message;
use super::keys::fingerprint;
use crate::error::{Error, Result};
use crate::limits::MAX_DEPTH;

const NO_CONTAINER: usize = usize::MAX;
const IN_ARRAY: usize = usize::MAX - 1;

impl<'p> JsonParser<'p> {
    /// Reads the value at the start of `remaining`; returns what follows it. `depth`
    /// is the number of containers around it.
    #[inline(never)]
    pub(super) fn read_value(&mut self, mut remaining: &'p [u8], depth: usize) -> Result<&'p [u8]> {
        let mut container = NO_CONTAINER;
        'value: loop {
            remaining = self.skip_whitespace(remaining);
            match remaining {
                [b'"', tail @ ..] => remaining = self.read_string(tail)?,
                [b'{', tail @ ..] => {
                    self.enter_container(container, depth, remaining)?;
                    container = self.buffers.keys.len();
                    remaining = self.skip_whitespace(tail);
                    if let [b'}', tail @ ..] = remaining {
                        remaining = tail;
                        container = self.leave_container();
                    } else {
                        remaining = self.read_member_key(container, remaining)?;
                        continue 'value;
                    }
                }
                [b'[', tail @ ..] => {
                    self.enter_container(container, depth, remaining)?;
                    container = IN_ARRAY;
                    remaining = self.skip_whitespace(tail);
                    if let [b']', tail @ ..] = remaining {
                        remaining = tail;
                        container = self.leave_container();
                    } else {
                        continue 'value;
                    }
                }
                [b't', ..] => remaining = self.read_literal(remaining, b"true")?,
                [b'f', ..] => remaining = self.read_literal(remaining, b"false")?,
                [b'n', ..] => remaining = self.read_literal(remaining, b"null")?,
                [b'-' | b'0'..=b'9', ..] => remaining = self.read_number(remaining)?,
                _ => return Err(self.expected(remaining, "a value")),
            }
            // A value has ended: close the containers that end with it.
            while container != NO_CONTAINER {
                remaining = self.skip_whitespace(remaining);
                match remaining {
                    [b',', tail @ ..] => {
                        remaining = tail;
                        if container != IN_ARRAY {
                            remaining = self.skip_whitespace(remaining);
                            remaining = self.read_member_key(container, remaining)?;
                        }
                        continue 'value;
                    }
                    [b']', tail @ ..] if container == IN_ARRAY => remaining = tail,
                    [b'}', tail @ ..] if container != IN_ARRAY => {
                        self.leave_object(container)?;
                        remaining = tail;
                    }
                    _ if container == IN_ARRAY => {
                        return Err(self.expected(remaining, "`,` or `]`"));
                    }
                    _ => return Err(self.expected(remaining, "`,` or `}`")),
                }
                container = self.leave_container();
            }
            return Ok(remaining);
        }
    }

    #[inline(always)]
    fn enter_container(&mut self, container: usize, depth: usize, remaining: &[u8]) -> Result<()> {
        if depth + self.buffers.outer_containers.len() >= MAX_DEPTH {
            return Err(self.too_deep(remaining));
        }
        self.buffers.outer_containers.push(container);
        Ok(())
    }

    #[inline(always)]
    fn leave_container(&mut self) -> usize {
        self.buffers.outer_containers.pop().unwrap_or(NO_CONTAINER)
    }

    #[inline(always)]
    fn read_member_key(&mut self, first_key: usize, remaining: &'p [u8]) -> Result<&'p [u8]> {
        let (key, tail) = self.read_key(remaining)?;
        let fingerprint = match key {
            Some(key) => fingerprint(&remaining[1..], key.len()),
            None => fingerprint(&self.buffers.escaped_key, self.buffers.escaped_key.len()),
        };
        self.add_key(first_key, fingerprint, self.text.len() - remaining.len())?;
        Ok(tail)
    }

    #[inline(always)]
    fn read_literal(&self, remaining: &'p [u8], literal: &[u8]) -> Result<&'p [u8]> {
        match remaining.strip_prefix(literal) {
            Some(tail) => Ok(tail),
            None => Err(self.expected_literal(remaining, literal)),
        }
    }

    /// A number; its text stays as it is.
    #[inline]
    fn read_number(&self, mut remaining: &'p [u8]) -> Result<&'p [u8]> {
        if let [b'-', tail @ ..] = remaining {
            remaining = tail;
        }
        remaining = match remaining {
            [b'0', tail @ ..] => tail,
            _ => self.read_digits(remaining)?,
        };
        if let [b'.', tail @ ..] = remaining {
            remaining = self.read_digits(tail)?;
        }
        if let [b'e' | b'E', b'+' | b'-', tail @ ..] | [b'e' | b'E', tail @ ..] = remaining {
            remaining = self.read_digits(tail)?;
        }
        Ok(remaining)
    }

    /// One digit or more.
    #[inline]
    fn read_digits(&self, remaining: &'p [u8]) -> Result<&'p [u8]> {
        let [b'0'..=b'9', tail @ ..] = remaining else {
            return Err(self.expected(remaining, "a digit"));
        };
        let mut remaining = tail;
        while let [b'0'..=b'9', tail @ ..] = remaining {
            remaining = tail;
        }
        Ok(remaining)
    }

    #[cold]
    #[inline(never)]
    fn expected_literal(&self, remaining: &[u8], literal: &[u8]) -> Error {
        self.fault(
            remaining,
            format!("expected `{}`", key_for_message(literal)),
        )
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self, remaining: &[u8]) -> Error {
        self.fault(remaining, format!("nested more than {MAX_DEPTH} deep"))
    }
}
