//! Checkpoints (c2sp.org/tlog-checkpoint): the size and root of a log, signed.
//!
//! The note's text is the origin (the log's name), the size, the root in base64,
//! each on a line; lines after these are kept, but none are written. The origin is
//! the name of the key that signs.

use super::merkle::Hash;
use super::note::{KeyKind, Note, Signer, VerifiedSignature, VerifierKey};
use crate::error::{Error, Kind, Result};
use std::fmt;

/// The size and root of a log's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many events it covers: those with the ids 1 to `size`.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// Further lines, which are not interpreted.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Parses a note's text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::new(Kind::Corrupt, format!("a checkpoint {what}"));
        let lines = text
            .strip_suffix('\n')
            .ok_or_else(|| wrong("must end with a newline"))?;
        let mut lines = lines.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().unwrap_or_default();
        let root = lines.next().unwrap_or_default();
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return Err(wrong("must not have empty lines"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or_else(|| wrong("must have the size as its second line"))?,
            root: Hash::from_base64(root)
                .ok_or_else(|| wrong("must have a root in base64 as its third line"))?,
            extensions,
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A decimal number without leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// A checkpoint whose signatures have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    text: String,
    signed: Vec<VerifiedSignature>,
}

impl SignedCheckpoint {
    /// Signs for the log that has the signer's name.
    pub(crate) fn sign(size: u64, root: Hash, signer: &dyn Signer) -> Result<Self> {
        let checkpoint = Checkpoint {
            origin: signer.verifier().name().to_owned(),
            size,
            root,
            extensions: Vec::new(),
        };
        let note = Note::sign(checkpoint.to_string(), signer)?;
        Ok(Self {
            checkpoint,
            text: note.to_string(),
            signed: vec![VerifiedSignature {
                key: signer.verifier().clone(),
                time: None,
            }],
        })
    }

    /// Reads a checkpoint and checks it: one of the logs' keys in `keys` must
    /// have signed it, under the name that it has as its origin. Cosignatures
    /// of witnesses in `keys` are checked too, where there are any.
    pub fn open(text: &str, keys: &[VerifierKey]) -> Result<Self> {
        let note = Note::parse(text)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        let signed = note.signed_by(keys)?;
        let mut by_log = signed
            .iter()
            .map(|signed| &signed.key)
            .filter(|key| key.kind() == KeyKind::Log && key.name() == checkpoint.origin);
        let first = by_log.clone().next();
        if !by_log.any(|key| key.limit().is_none_or(|size| checkpoint.size <= size)) {
            if let Some(key) = first {
                return Err(Error::new(
                    Kind::Tampered,
                    format!(
                        "the checkpoint of {} with {} events is signed by an earlier key, which \
                         was replaced before: {key}",
                        checkpoint.origin, checkpoint.size
                    ),
                ));
            }
            let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            return Err(Error::new(
                Kind::Tampered,
                format!(
                    "the checkpoint of {} with {} events is not signed by {}",
                    checkpoint.origin,
                    checkpoint.size,
                    keys.join(" or ")
                ),
            ));
        }
        Ok(Self {
            checkpoint,
            text: text.to_owned(),
            signed,
        })
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many events it covers.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root of the tree over them.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The whole signed note, as in the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this key has signed it.
    pub(crate) fn is_by(&self, key: &VerifierKey) -> bool {
        self.signed.iter().any(|signed| signed.key == *key)
    }

    /// Whether this key has signed it as the log's.
    pub(crate) fn is_by_log(&self, key: &VerifierKey) -> bool {
        self.log_keys().any(|signed| signed == key)
    }

    /// The log's keys that have signed it.
    pub(crate) fn log_keys(&self) -> impl Iterator<Item = &VerifierKey> {
        let keys = self.signed.iter().map(|signed| &signed.key);
        keys.filter(|key| key.kind() == KeyKind::Log && key.name() == self.checkpoint.origin)
    }

    /// The text with the signature of another key of the log added.
    pub(crate) fn also_signed(&self, signer: &dyn Signer) -> Result<String> {
        let mut note = Note::parse(&self.text)?;
        note.also_sign(signer)?;
        Ok(note.to_string())
    }

    /// The same checkpoint with the witnesses of `other` too, which has the same text.
    pub(crate) fn merged(&self, other: &Self, keys: &[VerifierKey]) -> Result<Self> {
        let mut note = Note::parse(&self.text)?;
        note.add_cosignatures(&Note::parse(&other.text)?.signature_lines(), keys, u64::MAX);
        Self::open(&note.to_string(), keys)
    }

    /// The text with the valid cosignatures among `lines`, made up to the time `latest`,
    /// by witnesses in `keys`; an error if there is none.
    pub(crate) fn cosigned(&self, lines: &str, keys: &[VerifierKey], latest: u64) -> Result<Self> {
        let mut note = Note::parse(&self.text)?;
        if note.add_cosignatures(lines, keys, latest) == 0 {
            return Err(Error::argument(
                "none of the lines is a valid cosignature of this checkpoint by a known witness",
            ));
        }
        Self::open(&note.to_string(), keys)
    }

    /// The witnesses whose cosignatures were checked and are valid, with their times in
    /// Unix seconds.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, u64)> {
        self.signed
            .iter()
            .filter_map(|signed| Some((signed.key.name(), signed.time?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::SigningKey;
    use super::super::note::tests::{cosign, witness};
    use super::*;

    fn root() -> Hash {
        super::super::merkle::leaf_hash(b"x")
    }

    #[test]
    fn texts_go_both_ways() {
        let text = format!("example.com/log\n12\n{}\nmore\n", root());
        let checkpoint = Checkpoint::parse(&text).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (12, root()));
        assert_eq!(checkpoint.extensions, ["more"]);
        assert_eq!(checkpoint.to_string(), text);
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        let root = root();
        for text in [
            String::new(),
            "a\n1\n".into(),
            format!("a\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n1\n{root}=\n"),
            format!("a\n1\n{}\n", &root.to_base64()[..40]),
            format!("a\n1\n{root}\n\n"),
        ] {
            assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_log_of_that_name_signs() {
        let key = SigningKey::generate("log").unwrap();
        let other = SigningKey::generate("other").unwrap();
        let same_name = SigningKey::generate("log").unwrap();
        let signed = SignedCheckpoint::sign(3, root(), &key).unwrap();
        let ours = [key.verifier().clone()];
        assert_eq!(
            SignedCheckpoint::open(signed.text(), &ours).unwrap(),
            signed
        );
        for stranger in [&other, &same_name] {
            let keys = [stranger.verifier().clone()];
            let error = SignedCheckpoint::open(signed.text(), &keys).unwrap_err();
            assert_eq!(error.kind(), Kind::Tampered);
        }
        // VerifiedSignature by a known key, but for a log of another name.
        let foreign = Note::sign(format!("log\n3\n{}\n", root()), &other).unwrap();
        let keys = [other.verifier().clone()];
        assert!(SignedCheckpoint::open(&foreign.to_string(), &keys).is_err());
        // A witness alone is not the log.
        let alone = cosign(&foreign.to_string(), &key, 5);
        assert!(SignedCheckpoint::open(&alone, &[witness(&key)]).is_err());
    }

    #[test]
    fn witnesses_are_named() {
        let key = SigningKey::generate("log").unwrap();
        let someone = SigningKey::generate("w").unwrap();
        let signed = SignedCheckpoint::sign(3, root(), &key).unwrap();
        let text = cosign(signed.text(), &someone, 99);
        let keys = [key.verifier().clone(), witness(&someone)];
        let opened = SignedCheckpoint::open(&text, &keys).unwrap();
        assert_eq!(opened.witnesses().collect::<Vec<_>>(), [("w", 99)]);
        let without = SignedCheckpoint::open(&text, &keys[..1]).unwrap();
        assert_eq!(without.witnesses().count(), 0);
    }
}
