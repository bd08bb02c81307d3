//! Proof that a trail was not changed since it was signed.
//!
//! A Merkle tree (RFC 6962) over the lines of all events in the order of their
//! ids, its hashes as tiles and its root in signed checkpoints, in the open C2SP
//! formats, so that the tools of others can check them: leaf `i` is the event with
//! the id `i + 1`. The lines in the segments are the entries; they stay as they are.
//! `docs/proof.md` says what is proved against whom, and what is not.
//!
//! | file | what |
//! | --- | --- |
//! | `merkle` | hashes, roots, proofs and their checks |
//! | `tile`, `tree_edge`, `tile_nodes` | where the tree's hashes are in files; appending leaves to them; reading nodes from them |
//! | `log_folder`, `checkpoint_file` | the log's files, the newest checkpoint |
//! | `note`, `checkpoint`, `key_limits` | keys, signatures, what is signed, up to which size an earlier key is good |
//! | `log` | appends leaves, signs checkpoints, repairs tiles |
//! | `trail_walk`, `leaf_chunks`, `hash_pool`, `catch_up` | lines read from the segments by id, hashed, appended to the log |
//! | `proof_options`, `log_start`, `log_writer`, `prover` | a writer's log: how, whether it may begin or go on, what, when |
//! | `prove` | proofs as texts, made and checked offline |
//! | `verify`, `check`, `tile_verifier`, `unmatched`, `report` | a whole trail against checkpoints: what was changed, where |
//! | `export` | the log with its entries in bundles, for a web server |

mod catch_up;
mod check;
mod checkpoint;
mod checkpoint_file;
mod export;
mod hash_pool;
mod interop_tests;
mod key_limits;
mod leaf_chunks;
mod log;
mod log_folder;
mod log_start;
mod log_writer;
mod merkle;
mod note;
mod proof_options;
mod prove;
mod prover;
mod report;
mod tamper_tests;
mod tile;
mod tile_nodes;
mod tile_verifier;
mod trail_walk;
mod tree_edge;
mod unmatched;
mod verify;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use checkpoint_file::{add_cosignatures, add_cosignatures_to, checkpoint, checkpoint_text};
pub use export::{Exported, export};
pub(crate) use log_writer::{LogWriter, UnsyncedData};
pub use merkle::{Hash, leaf_hash};
pub use note::{KeyKind, Signer, SigningKey, VerifierKey};
pub use proof_options::{ProgressHandler, ProofOptions};
pub use prove::{ConsistencyProof, InclusionProof, prove, prove_consistency};
pub(crate) use prover::Prover;
pub use report::{Covered, Finding, FindingKind, VerifyReport, Witness};
pub use verify::Verification;
