//! Signed notes (c2sp.org/signed-note).
//!
//! A note is text, an empty line, and signature lines
//! `— <key name> <base64(4-byte key id ‖ signature)>`. Signatures by unknown keys are
//! kept and not checked, as the format asks; an invalid one by a known key makes the
//! whole note invalid.

mod key;
#[cfg(test)]
pub(crate) mod tests;

pub use key::{KeyKind, Signer, SigningKey, VerifierKey};

use crate::error::{Error, Kind, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use key::check_name;
use std::fmt;

/// Longer notes are refused.
pub(crate) const MAX_NOTE: usize = 256 * 1024;

/// A witness's time after the year 9999, in Unix seconds, is none.
const MAX_TIME: u64 = 253_402_300_799;

/// Notes with more signatures are refused.
const MAX_SIGNATURES: usize = 128;

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

/// Text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature that was checked and is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedSignature {
    pub key: VerifierKey,
    /// When a witness says that it has signed, in Unix seconds.
    pub time: Option<u64>,
}

impl Note {
    /// Signs a text, which must end with a newline. The signature is checked before it
    /// is used, because the signer may be a device that is not ours.
    pub fn sign(text: String, signer: &dyn Signer) -> Result<Self> {
        let key = signer.verifier();
        if key.kind() != KeyKind::Log {
            return Err(Error::argument(format!(
                "the key of {} is a witness's, and cannot sign for a log",
                key.name()
            )));
        }
        let signature = signer.sign(text.as_bytes())?;
        if !key.is_valid(text.as_bytes(), &signature) {
            return Err(Error::argument(format!(
                "the signer's signature is not by its public key, {key}"
            )));
        }
        Ok(Self {
            text,
            signatures: vec![Signature {
                name: key.name().to_owned(),
                id: key.id(),
                bytes: signature.to_vec(),
            }],
        })
    }

    /// Adds the signature of another signer.
    pub fn also_sign(&mut self, signer: &dyn Signer) -> Result<()> {
        let signed = Self::sign(self.text.clone(), signer)?;
        self.signatures.extend(signed.signatures);
        Ok(())
    }

    /// Adds those of the signature lines that are valid cosignatures of witnesses among
    /// `known`, made up to the time `latest`; all other lines are left out. Of each
    /// witness the newest is kept. The signatures that the note has of known keys must
    /// have been checked. Returns how many lines were valid.
    pub fn add_cosignatures(&mut self, lines: &str, known: &[VerifierKey], latest: u64) -> usize {
        let mut valid = 0;
        for signature in lines.lines().filter_map(parse_signature) {
            let Some(key) = find_key(known, &signature) else {
                continue;
            };
            let time = match self.check(key, &signature.bytes) {
                Ok(signed) => signed.time.filter(|time| *time <= latest),
                Err(_) => None,
            };
            // Without a time it is the signature of a log.
            let Some(time) = time else { continue };
            valid += 1;
            let of_same_key =
                |other: &&mut Signature| (other.id, &other.name) == (signature.id, &signature.name);
            match self.signatures.iter_mut().find(of_same_key) {
                Some(before) if time_of(before) < Some(time) => *before = signature,
                Some(_) => {}
                None => self.signatures.push(signature),
            }
        }
        self.drop_unknown(known);
        valid
    }

    /// Its signatures as lines.
    pub fn signature_lines(&self) -> String {
        let note = self.to_string();
        note[self.text.len() + 1..].to_owned()
    }

    /// Leaves out signatures by unknown keys, from the last on, while there are too many.
    /// Earlier versions have kept lines that nobody had checked.
    fn drop_unknown(&mut self, known: &[VerifierKey]) {
        while self.signatures.len() > MAX_SIGNATURES || self.to_string().len() > MAX_NOTE {
            let is_unknown = |signature: &Signature| find_key(known, signature).is_none();
            let Some(index) = self.signatures.iter().rposition(is_unknown) else {
                return;
            };
            self.signatures.remove(index);
        }
    }

    pub fn parse(note: &str) -> Result<Self> {
        let wrong = |what: &str| Error::new(Kind::Corrupt, format!("a signed note {what}"));
        if note.len() > MAX_NOTE {
            return Err(wrong(&format!("must not be longer than {MAX_NOTE} bytes")));
        }
        if let Some(at) = note.bytes().position(|b| b < b' ' && b != b'\n') {
            return Err(wrong("must not hold control characters").at(at as u64));
        }
        let split = note
            .rfind("\n\n")
            .ok_or_else(|| wrong("must hold an empty line before its signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let Some(lines) = lines.strip_suffix('\n') else {
            return Err(wrong("must end with a signature line and a newline"));
        };
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let signature =
                parse_signature(line).ok_or_else(|| wrong("has a line that is no signature"))?;
            signatures.push(signature);
            if signatures.len() > MAX_SIGNATURES {
                return Err(wrong("has too many signatures"));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures by known keys, each checked and each key once. An error if one of
    /// them is invalid.
    pub fn signed_by(&self, known: &[VerifierKey]) -> Result<Vec<VerifiedSignature>> {
        let mut out: Vec<VerifiedSignature> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = find_key(known, signature) else {
                continue;
            };
            if out.iter().any(|signed| signed.key == *key) {
                continue;
            }
            out.push(self.check(key, &signature.bytes)?);
        }
        Ok(out)
    }

    fn check(&self, key: &VerifierKey, signature: &[u8]) -> Result<VerifiedSignature> {
        let (time, is_valid) = match key.kind() {
            KeyKind::Log => (None, key.is_valid(self.text.as_bytes(), signature)),
            KeyKind::Witness => match signature.split_first_chunk::<8>() {
                Some((time, signature)) => {
                    let time = u64::from_be_bytes(*time);
                    let message = cosigned(time, &self.text);
                    let is_valid = key.is_valid(message.as_bytes(), signature);
                    (Some(time), is_valid && time <= MAX_TIME)
                }
                None => (None, false),
            },
        };
        if !is_valid {
            return Err(Error::new(
                Kind::Tampered,
                format!("the signature of {} does not hold", key.name()),
            ));
        }
        Ok(VerifiedSignature {
            key: key.clone(),
            time,
        })
    }
}

fn find_key<'a>(known: &'a [VerifierKey], signature: &Signature) -> Option<&'a VerifierKey> {
    let mut known = known.iter();
    known.find(|key| key.id() == signature.id && key.name() == signature.name)
}

/// The time in a witness's signature.
fn time_of(signature: &Signature) -> Option<u64> {
    let time = signature.bytes.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*time))
}

/// The message that a witness signs.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let mut bytes = signature.id.to_be_bytes().to_vec();
            bytes.extend(&signature.bytes);
            writeln!(f, "— {} {}", signature.name, BASE64_STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn parse_signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix("— ")?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = BASE64_STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    (!bytes.is_empty()).then(|| Signature {
        name: name.to_owned(),
        id: u32::from_be_bytes(*id),
        bytes: bytes.to_vec(),
    })
}
