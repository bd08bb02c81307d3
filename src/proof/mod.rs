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
//! | `log` | leaves in, checkpoints out |
//! | `walk`, `pieces`, `feed` | lines read back in the order of ids, hashed, handed to the log |
//! | `keeper` | what a writer does with all this, and when |
//! | `prove` | proofs as texts, made and checked offline |
//! | `verify`, `check`, `trust`, `strays`, `report` | a whole trail against a checkpoint: what was changed, where |
//! | `export` | the entries in bundles, for a static log on a web server |

mod check;
mod checkpoint;
mod export;
mod feed;
mod keeper;
mod log;
mod merkle;
mod note;
mod outside;
mod pieces;
mod prove;
mod report;
mod strays;
mod tamper;
mod tile;
mod trust;
mod verify;
mod walk;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use export::{Exported, export};
pub(crate) use keeper::{Keeper, Prover, Since};
pub use keeper::{Progress, ProofOptions, add_cosignatures, checkpoint, checkpoint_text};
pub use merkle::{Hash, leaf_hash};
pub use note::{KeyKind, Signer, SigningKey, VerifierKey};
pub use prove::{ConsistencyProof, InclusionProof, prove, prove_consistency};
pub use report::{Covered, Finding, FindingKind, Report, Witness};
pub use verify::Verification;
