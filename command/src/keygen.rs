//! `auditrail keygen`: a key to sign checkpoints with.

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Look, Output};
use auditrail::proof::{Signer, SigningKey};
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Make a key to sign checkpoints with; print its public half
///
/// Whoever has the secret half can sign another past. Keep it where those who
/// are to be proved right cannot read it.
#[derive(Args, Debug)]
pub struct Keygen {
    /// The key's name, such as example.org/audit: no blanks, no plus
    name: String,
    /// The file for the secret half; it must not be there yet
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
}

impl Keygen {
    pub fn run(&self, look: Look) -> Outcome {
        let key = SigningKey::generate(&self.name)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.secret);
        file.and_then(|mut file| {
            file.write_all(format!("{}\n", key.to_secret_text()).as_bytes())?;
            file.sync_all()
        })
        .map_err(|e| Failure::system(&format!("write {}", self.secret.display()), &e))?;
        let mut output = Output::new(look);
        output.line(&key.verifier().to_string())?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
