//! The proof that a later checkpoint contains an earlier one, as witnesses take it
//! (c2sp.org/tlog-witness, `add-checkpoint`): `old <size>`, the hashes, an empty line,
//! the later checkpoint.

use super::text::{ProofLines, malformed, write_hashes};
use crate::error::{Error, Kind, Result};
use crate::proof::checkpoint::{SignedCheckpoint, decimal};
use crate::proof::merkle::{Hash, check_consistency};
use crate::proof::note::VerifierKey;
use std::fmt;

/// A proof that a later state of a trail contains an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    pub(super) old_size: u64,
    pub(super) hashes: Vec<Hash>,
    pub(super) checkpoint: String,
}

impl ConsistencyProof {
    /// How many events the earlier state had.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Checks that the checkpoint in the proof contains `old`, which must be signed by
    /// one of `keys` as well; returns the later one.
    pub fn check(&self, old: &str, keys: &[VerifierKey]) -> Result<SignedCheckpoint> {
        let signed = SignedCheckpoint::open(&self.checkpoint, keys)?;
        let old = SignedCheckpoint::open(old, keys)?;
        let fault = if old.checkpoint().origin != signed.checkpoint().origin {
            Some("the checkpoints are of two logs".to_owned())
        } else if old.size() != self.old_size {
            Some(format!(
                "the proof is from {} events on, the earlier checkpoint has {}",
                self.old_size,
                old.size()
            ))
        } else if !check_consistency(
            old.size(),
            old.root(),
            signed.size(),
            signed.root(),
            &self.hashes,
        ) {
            Some(format!(
                "the checkpoint over {} events does not go on from the one over {}",
                signed.size(),
                old.size()
            ))
        } else {
            None
        };
        match fault {
            Some(fault) => Err(Error::new(Kind::Tampered, fault)),
            None => Ok(signed),
        }
    }

    /// Parses the text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = ProofLines::new(text)?;
        let old_size = lines
            .next()?
            .strip_prefix("old ")
            .and_then(decimal)
            .ok_or_else(|| malformed("must begin with the old size"))?;
        Ok(Self {
            old_size,
            hashes: lines.hashes()?,
            checkpoint: lines.rest().to_owned(),
        })
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        write_hashes(f, &self.hashes)?;
        f.write_str(&self.checkpoint)
    }
}
