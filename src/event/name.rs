//! Which names a domain or category may have. They become names of folders.

use crate::limits::MAX_NAME_BYTES;

/// A name that follows the rules but is taken: that of the index file, which is in
/// the same folder as the domains' folders.
pub(crate) const RESERVED: &str = "index.json";

/// Why `name` cannot be the name of a domain or category; `None`: it can. Such
/// names become folders, and none may lead out of the trail or into its own files.
pub(crate) fn name_fault(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("must not be empty")
    } else if name.len() > MAX_NAME_BYTES {
        Some("must not be longer than 128 bytes")
    } else if name[0] == b'.' {
        Some("must not start with a dot")
    } else if !name
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        Some("may hold only A-Z a-z 0-9 . _ -")
    } else if name == RESERVED.as_bytes() {
        Some("must not be the name of the index")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder() {
        for bad in [
            "",
            ".",
            "..",
            ".auditrail",
            "a/b",
            "../x",
            "a\\b",
            "a b",
            "\u{e9}",
            "index.json",
            "a\0",
        ] {
            assert!(name_fault(bad.as_bytes()).is_some(), "{bad:?}");
        }
        assert!(name_fault(&[b'a'; 129]).is_some());
        for good in ["legacy", "v2", "A-z_0.9", "a..", "-", &"a".repeat(128)] {
            assert_eq!(name_fault(good.as_bytes()), None, "{good:?}");
        }
    }
}
