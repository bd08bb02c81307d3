//! Keys, checkpoints and proofs, which are texts in files.

use crate::exit::{Exit, Failure};
use auditrail::proof::{SigningKey, VerifierKey};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// No file with keys, checkpoint or proof is longer, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// No line of an event is longer.
const MAX_LINE: u64 = 1 << 30;

/// The text of a file of keys, of a checkpoint or of a proof; `-` is standard input.
pub fn text(path: &Path) -> Result<String, Failure> {
    read(path, MAX_TEXT)
}

/// The line of an event in a file; `-` is standard input.
pub fn event(path: &Path) -> Result<String, Failure> {
    read(path, MAX_LINE)
}

fn read(path: &Path, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(limit + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::system(&format!("read {}", path.display()), &e))?;
    if text.len() as u64 > limit {
        let message = format!("{} is longer than {limit} bytes", path.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(text)
}

/// Public keys, each given as text or as a file with one key per line.
pub fn public(given: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let mut keys = Vec::new();
    for given in given {
        match VerifierKey::parse(given) {
            Ok(key) => keys.push(key),
            Err(error) if !Path::new(given).exists() => {
                let message = format!("{given} is no file and no public key: {error}");
                return Err(Failure::new(Exit::Usage, message));
            }
            Err(_) => {
                let text = text(Path::new(given))?;
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    let key = VerifierKey::parse(line.trim());
                    keys.push(key.map_err(|e| Failure::new(Exit::Usage, format!("{given}: {e}")))?);
                }
            }
        }
    }
    Ok(keys)
}

/// The secret key in a file.
pub fn secret(path: &Path) -> Result<Arc<SigningKey>, Failure> {
    let key = SigningKey::parse(&text(path)?);
    // No part of the text may appear in a message: it is secret.
    key.map(Arc::new)
        .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", path.display())))
}
