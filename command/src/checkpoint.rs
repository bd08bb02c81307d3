//! `auditrail checkpoint`: the newest signed checkpoint, to be kept elsewhere.

use crate::exit::{Exit, Outcome};
use crate::keys;
use crate::output::{Look, Output};
use crate::trail;
use auditrail::Filter;
use auditrail::proof::{add_cosignatures, checkpoint_text};
use clap::Args;
use std::path::PathBuf;

/// Print the newest signed checkpoint, to be kept elsewhere
#[derive(Args, Debug)]
pub struct Checkpoint {
    /// The trail's folder
    trail: PathBuf,
    /// First add the cosignatures of witnesses in this file; - for standard input
    #[arg(long, value_name = "FILE", requires = "key")]
    add: Option<PathBuf>,
    /// The public keys of the log and the witnesses, or a file with them, one a line
    #[arg(short, long, value_name = "KEY")]
    key: Vec<String>,
}

impl Checkpoint {
    pub fn run(&self, look: Look) -> Outcome {
        drop(trail::open(&self.trail, &Filter::new())?);
        if let Some(path) = &self.add {
            add_cosignatures(&self.trail, &keys::text(path)?, &keys::public(&self.key)?)?;
        }
        let mut output = Output::new(look);
        output.bytes(checkpoint_text(&self.trail)?.as_bytes())?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
