//! The proof that an event is in a trail (`c2sp.org/tlog-proof@v1`): the event's index,
//! the hashes from its leaf to the root, and the checkpoint. The event's line, the
//! proof and the log's public key are all that is needed to check it.

use super::text::{ProofLines, malformed, write_hashes};
use crate::error::{Error, Kind, Result};
use crate::event::header::leading_id;
use crate::proof::checkpoint::{SignedCheckpoint, decimal};
use crate::proof::merkle::{Hash, check_inclusion, leaf_hash};
use crate::proof::note::VerifierKey;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;

pub(super) const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an event is in a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    pub(super) index: u64,
    pub(super) hashes: Vec<Hash>,
    pub(super) checkpoint: String,
    pub(super) extra: Option<Vec<u8>>,
}

impl InclusionProof {
    /// The id of the event that it is about.
    pub fn event_id(&self) -> u64 {
        self.index.saturating_add(1)
    }

    /// The checkpoint that it is under, unchecked.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Checks that `line` is the event's, under a checkpoint that is signed by
    /// one of `keys` (see [`SignedCheckpoint::open`]), which is returned. A
    /// newline at the line's end does not matter.
    pub fn check(&self, line: &[u8], keys: &[VerifierKey]) -> Result<SignedCheckpoint> {
        let signed = SignedCheckpoint::open(&self.checkpoint, keys)?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (leaf, root) = (leaf_hash(line), signed.root());
        if !check_inclusion(leaf, self.index, signed.size(), root, &self.hashes) {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the line is not that of event {} under the checkpoint over {} events",
                    self.event_id(),
                    signed.size()
                ),
            ));
        }
        if leading_id(line) != Some(self.event_id()) {
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the line is signed as event {}, but says another id",
                    self.event_id()
                ),
            ));
        }
        Ok(signed)
    }

    /// Parses the text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = ProofLines::new(text)?;
        if lines.next()? != HEADER {
            return Err(malformed(&format!("must begin with {HEADER}")));
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            let bytes = BASE64_STANDARD.decode(encoded);
            extra = Some(bytes.map_err(|_| malformed("has extra data that is no base64"))?);
            line = lines.next()?;
        }
        let index = line
            .strip_prefix("index ")
            .and_then(decimal)
            .ok_or_else(|| malformed("must say the index"))?;
        Ok(Self {
            index,
            hashes: lines.hashes()?,
            checkpoint: lines.rest().to_owned(),
            extra,
        })
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        write_hashes(f, &self.hashes)?;
        f.write_str(&self.checkpoint)
    }
}
