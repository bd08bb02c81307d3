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
//! | `trail_walk`, `leaf_chunks`, `catch_up` | lines read back in the order of ids, hashed, handed to the log |
//! | `log_writer` | what a writer does with all this, and when |
//! | `prove` | proofs as texts, made and checked offline |
//! | `verify`, `check`, `tile_verifier`, `unmatched`, `report` | a whole trail against a checkpoint: what was changed, where |
//! | `export` | the entries in bundles, for a static log on a web server |

mod catch_up;
mod check;
mod checkpoint;
mod export;
mod hash_pool;
mod interop_tests;
mod leaf_chunks;
mod log;
mod log_writer;
mod merkle;
mod note;
mod prove;
mod report;
mod tamper_tests;
mod tile;
mod tile_verifier;
mod trail_walk;
mod unmatched;
mod verify;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use export::{Exported, export};
pub(crate) use log_writer::{LogWriter, Loss, Prover};
pub use log_writer::{
    ProgressHandler, ProofOptions, add_cosignatures, checkpoint, checkpoint_text,
};
pub use merkle::{Hash, leaf_hash};
pub use note::{KeyKind, Signer, SigningKey, VerifierKey};
pub use prove::{ConsistencyProof, InclusionProof, prove, prove_consistency};
pub use report::{Covered, Finding, FindingKind, VerifyReport, Witness};
pub use verify::Verification;
