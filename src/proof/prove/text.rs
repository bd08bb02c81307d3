//! What the text formats of proofs share.

use crate::error::{Error, Kind, Result};
use crate::proof::merkle::Hash;
use crate::proof::note::MAX_NOTE;
use std::fmt::{self, Write};

/// The most hashes that a proof in a tree of 2^64 leaves can have.
const MAX_HASHES: usize = 65;

/// Writes the hashes and the empty line after them.
pub(super) fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[Hash]) -> fmt::Result {
    for hash in hashes {
        writeln!(f, "{hash}")?;
    }
    f.write_char('\n')
}

/// A proof's lines, up to the checkpoint.
pub(super) struct ProofLines<'a> {
    rest: &'a str,
}

pub(super) fn malformed(what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("a proof {what}"))
}

impl<'a> ProofLines<'a> {
    pub fn new(text: &'a str) -> Result<Self> {
        if text.len() > 2 * MAX_NOTE {
            return Err(malformed("is too long"));
        }
        Ok(Self { rest: text })
    }

    /// The lines that were not read.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn next(&mut self) -> Result<&'a str> {
        let (line, rest) = self
            .rest
            .split_once('\n')
            .ok_or_else(|| malformed("must hold a checkpoint"))?;
        self.rest = rest;
        Ok(line)
    }

    /// The hashes, up to an empty line.
    pub fn hashes(&mut self) -> Result<Vec<Hash>> {
        let mut hashes = Vec::new();
        loop {
            match self.next()? {
                "" => return Ok(hashes),
                _ if hashes.len() == MAX_HASHES => return Err(malformed("has too many hashes")),
                line => hashes.push(
                    Hash::from_base64(line)
                        .ok_or_else(|| malformed("has a line that is no hash"))?,
                ),
            }
        }
    }
}
