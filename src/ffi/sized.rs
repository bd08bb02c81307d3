//! Structs that begin with their size, so that later versions can add fields.
//!
//! A caller that was compiled against an earlier header has a smaller struct than
//! this version knows, one of a later header a larger one. Accepted is any size from
//! that of the first version on, up to a bound that no version will reach.

use crate::error::{Error, Result};

/// More than any version of a struct will have; a larger size is a mistake.
const MAX_SIZE: usize = 4096;

/// How much of a struct of `known` bytes a caller with `size` bytes has, whose first
/// version had `first`.
pub(super) fn shared_size(name: &str, size: usize, first: usize, known: usize) -> Result<usize> {
    if (first..=MAX_SIZE).contains(&size) {
        return Ok(size.min(known));
    }
    Err(Error::argument(format!(
        "{name}.size is {size}; set it to sizeof({name}), which is at least {first}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_earlier_and_later_headers_are_accepted() {
        // As if the struct had grown from 80 to 96 bytes since.
        let shared = |size| shared_size("s", size, 80, 96).ok();
        assert_eq!(
            [80, 88, 96, 104, 4096].map(shared),
            [Some(80), Some(88), Some(96), Some(96), Some(96)]
        );
        assert_eq!([0, 79, 4097, usize::MAX].map(shared), [None; 4]);
    }
}
