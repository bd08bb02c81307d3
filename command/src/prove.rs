//! `auditrail prove`: a proof of one event, or that the trail only grew.

use crate::exit::{Exit, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use crate::trail;
use auditrail::Filter;
use auditrail::proof::{prove, prove_consistency};
use clap::Args;
use std::path::PathBuf;

/// Print a proof that an event is in a trail, or that the trail only grew
///
/// The proof is a short text with the checkpoint in it. It convinces, with
/// `auditrail check-proof` and without the trail, whoever has the public key.
#[derive(Args, Debug)]
pub struct Prove {
    /// The trail's folder
    trail: PathBuf,
    /// Prove that this event is in it
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "since_size",
        conflicts_with = "since_size"
    )]
    id: Option<u64>,
    /// Prove that it goes on from when it had so many events
    #[arg(long, value_name = "EVENTS")]
    since_size: Option<u64>,
    /// Under this checkpoint, not under the newest
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Prove {
    pub fn run(&self, look: Look) -> Outcome {
        drop(trail::open(&self.trail, &Filter::new())?);
        let checkpoint = self.checkpoint.as_deref().map(keys::text).transpose()?;
        let checkpoint = checkpoint.as_deref();
        let proof = match self.since_size {
            Some(size) => prove_consistency(&self.trail, size, checkpoint)?.to_string(),
            None => prove(&self.trail, self.id.unwrap_or(0), checkpoint)?.to_string(),
        };
        let mut output = Output::new(look);
        output.bytes(proof.as_bytes())?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
