//! Proof that a trail is what it was.
//!
//! A Merkle tree (RFC 6962) over the lines of all events in the order of their
//! ids, its hashes as tiles and its root in signed checkpoints, in the open C2SP
//! formats, so that others' tools can check them: leaf `i` is the event with the
//! id `i + 1`. The lines in the segments are the entries; nothing about them
//! changes. `docs/proof.md` says what is proved against whom, and what is not.
//!
//! | file | what |
//! | --- | --- |
//! | `merkle` | hashes, roots, proofs and their checks |
//! | `tile` | the tree's hashes on disk |
//! | `note`, `checkpoint` | keys, signatures, what is signed |
//! | `log` | what a writer keeps: leaves in, checkpoints out |
//! | `prove` | proofs as texts, made and checked offline |
//! | `verify` | a whole trail against a checkpoint: what was changed, where |
//! | `export` | the entries in bundles, for a static log on a web server |

mod check;
mod checkpoint;
pub(crate) mod feed;
pub(crate) mod log;
mod merkle;
mod note;
mod pieces;
mod prove;
mod report;
mod strays;
#[cfg(test)]
mod tamper;
mod tile;
mod trust;
mod verify;
mod walk;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use merkle::{Hash, leaf_hash};
pub use note::{KeyKind, Signer, SigningKey, VerifierKey};
pub use prove::{ConsistencyProof, InclusionProof, prove, prove_consistency};
pub use report::{Covered, Finding, FindingKind, Report, Witness};
pub use verify::Verification;
