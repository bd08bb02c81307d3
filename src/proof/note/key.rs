//! The keys that sign notes.
//!
//! A key's id is the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key). Two
//! types are known: 0x01, Ed25519 over the text, for a log; and 0x04, the cosignature
//! of a witness (c2sp.org/tlog-cosignature): a time, and Ed25519 over the time and the
//! text.
//!
//! Keys are texts, as Go's tools write them: `<name>+<id in hex>+<base64(type ‖ public
//! key)>`, and `PRIVATE+KEY+<name>+<id in hex>+<base64(type ‖ seed)>`. A key that is
//! kept elsewhere signs through the trait [`Signer`].

use crate::error::{Error, Kind, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use std::fmt;

const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;

/// Text before each secret key.
pub(super) const PRIVATE: &str = "PRIVATE+KEY+";

/// What a key's signatures are made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The note's text: a log's key.
    Log,
    /// A time and the note's text: a witness's key.
    Witness,
}

/// A public key, with the name and id under which it signs. Its limit does not matter
/// for whether two are equal.
#[derive(Clone)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
    key: ed25519_dalek::VerifyingKey,
    /// The most events that its checkpoints may cover.
    limit: Option<u64>,
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.id, self.kind, &self.key)
            == (&other.name, other.id, other.kind, &other.key)
    }
}

impl Eq for VerifierKey {}

/// Between a key and its limit.
const UNTIL: &str = " until ";

impl VerifierKey {
    /// Parses the text `<name>+<id>+<base64>`, or `<name>+<id>+<base64> until <size>`
    /// for an earlier key that is good for checkpoints over so many events at most.
    pub fn parse(text: &str) -> Result<Self> {
        let (text, limit) = match text.split_once(UNTIL) {
            Some((text, size)) => match size.trim_start().parse() {
                Ok(size) => (text.trim_end(), Some(size)),
                Err(_) => {
                    return Err(Error::argument(format!(
                        "a public key must have a number of events after{UNTIL}, not {size:?}"
                    )));
                }
            },
            None => (text, None),
        };
        let (name, id, kind, bytes) = parse_key(text, "a public key")?;
        let kind = match kind {
            ED25519 => KeyKind::Log,
            COSIGNATURE => KeyKind::Witness,
            other => {
                return Err(Error::argument(format!(
                    "the public key of {name} is of type {other}, known are {ED25519} (Ed25519) \
                     and {COSIGNATURE} (witness)"
                )));
            }
        };
        let mut key = Self::new(name, kind, bytes)?;
        key.limit = limit;
        if key.id != id {
            return Err(Error::argument(format!(
                "the public key of {name} has the id {:08x}, its text says {id:08x}",
                key.id
            )));
        }
        Ok(key)
    }

    /// The key with these 32 bytes, under a name.
    pub fn new(name: &str, kind: KeyKind, public_key: [u8; 32]) -> Result<Self> {
        check_name(name)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&public_key)
            .map_err(|_| Error::argument(format!("the public key of {name} is no Ed25519 key")))?;
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, kind, &public_key),
            kind,
            key,
            limit: None,
        })
    }

    /// The same key, good only for checkpoints over so many events at most: an earlier
    /// key of a log, which had so many when the key was replaced.
    #[must_use]
    pub fn until(mut self, size: u64) -> Self {
        self.limit = Some(size);
        self
    }

    /// The most events that its checkpoints may cover, if there is a limit.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The name under which it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id at the beginning of its signatures.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The 32 bytes of the key.
    pub(super) fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Whose key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` is a valid one of this key over `message`.
    pub(super) fn is_valid(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![type_byte(self.kind)];
        bytes.extend(self.public_key());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            BASE64_STANDARD.encode(bytes)
        )?;
        match self.limit {
            Some(size) => write!(f, "{UNTIL}{size}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Signs checkpoints: with a key in memory, or one that is kept elsewhere.
pub trait Signer: Send + Sync {
    /// The public key, with which others check.
    fn verifier(&self) -> &VerifierKey;
    /// The Ed25519 signature over `message`.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64]>;
}

/// A secret key in memory. It is wiped when dropped, and not printed.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key, from the operating system's randomness.
    pub fn generate(name: &str) -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| Error::new(Kind::Io, format!("cannot get randomness: {e}")))?;
        Self::from_seed(name, seed)
    }

    /// Parses the text `PRIVATE+KEY+<name>+<id>+<base64>`; blanks around it, as in a
    /// file, are ignored.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text
            .trim_ascii()
            .strip_prefix(PRIVATE)
            .ok_or_else(|| Error::argument(format!("a secret key must start with {PRIVATE}")))?;
        let (name, id, kind, seed) = parse_key(text, "a secret key")?;
        if kind != ED25519 {
            return Err(Error::argument(format!(
                "the secret key of {name} is of type {kind}, expected {ED25519} (Ed25519)"
            )));
        }
        let key = Self::from_seed(name, seed)?;
        if key.verifier.id != id {
            return Err(Error::argument(format!(
                "the secret key of {name} has the id {:08x}, its text says {id:08x}",
                key.verifier.id
            )));
        }
        Ok(key)
    }

    fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self> {
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        Ok(Self {
            verifier: VerifierKey::new(name, KeyKind::Log, public)?,
            key,
        })
    }

    /// The text that [`SigningKey::parse`] reads. It is the secret.
    pub fn to_secret_text(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        format!(
            "{PRIVATE}{}+{:08x}+{}",
            self.verifier.name,
            self.verifier.id,
            BASE64_STANDARD.encode(bytes)
        )
    }
}

impl Signer for SigningKey {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        Ok(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret key of {}", self.verifier)
    }
}

/// Name, id, type and the 32 bytes of a key's text.
fn parse_key<'a>(text: &'a str, what: &str) -> Result<(&'a str, u32, u8, [u8; 32])> {
    let wrong = || Error::argument(format!("{what} must be <name>+<id in hex>+<base64>"));
    // Base64 may hold a plus, a name must not.
    let (name, rest) = text.split_once('+').ok_or_else(wrong)?;
    let (id, bytes) = rest.split_once('+').ok_or_else(wrong)?;
    check_name(name)?;
    let hex = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let id = u32::from_str_radix(id, 16)
        .ok()
        .filter(|_| hex)
        .ok_or_else(wrong)?;
    let bytes = BASE64_STANDARD.decode(bytes).map_err(|_| wrong())?;
    let (kind, bytes) = bytes.split_first().ok_or_else(wrong)?;
    let bytes = bytes.try_into().map_err(|_| wrong())?;
    Ok((name, id, *kind, bytes))
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(forbidden) {
        return Err(Error::argument(
            "a key's name must not be empty or hold spaces, control characters or a plus",
        ));
    }
    Ok(())
}

fn type_byte(kind: KeyKind) -> u8 {
    match kind {
        KeyKind::Log => ED25519,
        KeyKind::Witness => COSIGNATURE,
    }
}

fn key_id(name: &str, kind: KeyKind, public_key: &[u8; 32]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update([b'\n', type_byte(kind)]);
    hasher.update(public_key);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
    u32::from_be_bytes([a, b, c, d])
}
