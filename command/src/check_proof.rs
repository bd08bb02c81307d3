//! `auditrail check-proof`: does a proof hold? Needs no trail.

use crate::exit::{Exit, Failure, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use auditrail::Kind;
use auditrail::proof::{ConsistencyProof, InclusionProof};
use clap::Args;
use std::path::PathBuf;

/// Check a proof, without the trail
///
/// The exit code is 1 if it does not hold.
#[derive(Args, Debug)]
pub struct CheckProof {
    /// The proof, as `auditrail prove` printed it
    proof: PathBuf,
    /// A public key of the log, or a file with such keys, one a line
    #[arg(short, long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// That this line is the event's: a file, - for standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "old",
        conflicts_with = "old"
    )]
    event: Option<PathBuf>,
    /// That the trail goes on from this earlier checkpoint: a file
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
}

impl CheckProof {
    pub fn run(&self, look: Look) -> Outcome {
        let keys = keys::public(&self.key)?;
        let proof = keys::text(&self.proof)?;
        let (signed, what) = match (&self.event, &self.old) {
            (Some(event), _) => {
                let proof = InclusionProof::parse(&proof)?;
                let what = format!("event {} is in the trail", proof.event_id());
                (proof.check(keys::event(event)?.as_bytes(), &keys), what)
            }
            (None, Some(old)) => {
                let proof = ConsistencyProof::parse(&proof)?;
                let what = format!(
                    "the trail goes on from its first {} events",
                    proof.old_size()
                );
                (proof.check(&keys::text(old)?, &keys), what)
            }
            (None, None) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "either --event or --old is needed",
                ));
            }
        };
        let signed = signed.map_err(|error| match error.kind() {
            Kind::Tampered => {
                Failure::new(Exit::Problems, format!("the proof does not hold: {error}"))
            }
            _ => error.into(),
        })?;
        let mut output = Output::new(look);
        if !look.quiet {
            output.line(&format!(
                "{what}, as signed when it had {} events",
                signed.size()
            ))?;
        }
        output.flush()?;
        Ok(Exit::Done)
    }
}
