//! Signed notes (c2sp.org/signed-note), and the keys that sign them.
//!
//! A note is text, an empty line, and signature lines
//! `— <key name> <base64(4-byte key id ‖ signature)>`. A key's id is the first
//! four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key). Two types are known:
//! 0x01, Ed25519 over the text, by the log; and 0x04, the cosignature of a
//! witness (c2sp.org/tlog-cosignature): a time, and Ed25519 over the time and
//! the text. Signatures by other keys are kept and pass unchecked, as the format
//! asks; one by a known key that does not hold spoils the whole note.
//!
//! Keys are texts, as Go's tools write them: `<name>+<id in hex>+<base64(type ‖
//! public key)>`, and `PRIVATE+KEY+<name>+<id in hex>+<base64(type ‖ seed)>`. A
//! key that lives elsewhere signs through the trait [`Signer`].

use super::merkle::Hash;
use crate::error::{Error, Kind, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use std::fmt;

/// Longer notes are refused.
pub(crate) const MAX_NOTE: usize = 256 * 1024;

/// Notes with more signatures are refused.
const MAX_SIGNATURES: usize = 128;

const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;

/// Text before each secret key.
const PRIVATE: &str = "PRIVATE+KEY+";

/// What a key's signatures are made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The note's text: a log's key.
    Log,
    /// A time and the note's text: a witness's key.
    Witness,
}

/// A public key, with the name and id under which it signs.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// The key that a text `<name>+<id>+<base64>` stands for.
    pub fn parse(text: &str) -> Result<Self> {
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
        let key = Self::new(name, kind, bytes)?;
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
        })
    }

    /// The name under which it signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that stands before its signatures.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whose key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` is this key's over `message`.
    fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![type_byte(self.kind)];
        bytes.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            BASE64_STANDARD.encode(bytes)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who signs checkpoints: a key in memory, or one that lives elsewhere.
pub trait Signer: Send + Sync {
    /// The public key, by which others check.
    fn verifier(&self) -> &VerifierKey;
    /// The Ed25519 signature over `message`.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64]>;
}

/// A secret key in memory. It is wiped when dropped, and never shown.
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

    /// The key that a text `PRIVATE+KEY+<name>+<id>+<base64>` stands for; blanks
    /// around it, as in a file, do not matter.
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

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub key: VerifierKey,
    /// When, in Unix seconds: what a witness says.
    pub time: Option<u64>,
}

impl Note {
    /// Signs a text, which must end with a newline. Before it is used, a
    /// signature is checked, for a signer may be someone else's device.
    pub fn sign(text: String, signer: &dyn Signer) -> Result<Self> {
        let key = signer.verifier();
        if key.kind != KeyKind::Log {
            return Err(Error::argument(format!(
                "the key of {} is a witness's, and cannot sign for a log",
                key.name
            )));
        }
        let signature = signer.sign(text.as_bytes())?;
        if !key.holds(text.as_bytes(), &signature) {
            return Err(Error::argument(format!(
                "the signer's signature is not by its public key, {key}"
            )));
        }
        Ok(Self {
            text,
            signatures: vec![Signature {
                name: key.name.clone(),
                id: key.id,
                bytes: signature.to_vec(),
            }],
        })
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

    /// The signatures by known keys, each checked and each key once. An error
    /// where one of them does not hold.
    pub fn signed_by(&self, known: &[VerifierKey]) -> Result<Vec<Signed>> {
        let mut out: Vec<Signed> = Vec::new();
        for signature in &self.signatures {
            let key = known
                .iter()
                .find(|key| key.id == signature.id && key.name == signature.name);
            let Some(key) = key else { continue };
            if out.iter().any(|signed| signed.key == *key) {
                continue;
            }
            out.push(self.check(key, &signature.bytes)?);
        }
        Ok(out)
    }

    fn check(&self, key: &VerifierKey, signature: &[u8]) -> Result<Signed> {
        let (time, holds) = match key.kind {
            KeyKind::Log => (None, key.holds(self.text.as_bytes(), signature)),
            KeyKind::Witness => match signature.split_first_chunk::<8>() {
                Some((time, signature)) => {
                    let time = u64::from_be_bytes(*time);
                    let message = cosigned(time, &self.text);
                    let holds = key.holds(message.as_bytes(), signature);
                    (Some(time), holds && i64::try_from(time).is_ok())
                }
                None => (None, false),
            },
        };
        if !holds {
            return Err(Error::new(
                Kind::Tampered,
                format!("the signature of {} does not hold", key.name),
            ));
        }
        Ok(Signed {
            key: key.clone(),
            time,
        })
    }
}

/// What a witness signs.
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

fn check_name(name: &str) -> Result<()> {
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
    let Hash([a, b, c, d, ..]) = Hash(hasher.finalize().into());
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A witness that signs at a time, as tests need it.
    pub(crate) fn cosign(note: &str, key: &SigningKey, time: u64) -> String {
        let text = Note::parse(note).unwrap().text;
        let mut bytes = witness(key).id.to_be_bytes().to_vec();
        bytes.extend(time.to_be_bytes());
        bytes.extend(key.sign(cosigned(time, &text).as_bytes()).unwrap());
        format!(
            "{note}— {} {}\n",
            key.verifier.name,
            BASE64_STANDARD.encode(bytes)
        )
    }

    pub(crate) fn witness(key: &SigningKey) -> VerifierKey {
        let public = key.verifier.key.to_bytes();
        VerifierKey::new(key.verifier.name(), KeyKind::Witness, public).unwrap()
    }

    // The key and note that Go's package sumdb/note has in its documentation.
    const GO_KEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn agrees_with_gos_example() {
        let key = SigningKey::parse(&format!("{GO_KEY}\n")).unwrap();
        assert_eq!(key.to_secret_text(), GO_KEY);
        assert_eq!(key.verifier().to_string(), GO_VERIFIER);
        let known = VerifierKey::parse(GO_VERIFIER).unwrap();
        assert_eq!(known, key.verifier);
        let note = Note::parse(GO_NOTE).unwrap();
        assert_eq!(note.to_string(), GO_NOTE);
        assert_eq!(note.signed_by(&[known]).unwrap().len(), 1);
        let again = Note::sign(note.text.clone(), &key).unwrap();
        assert_eq!(again.to_string(), GO_NOTE);
    }

    #[test]
    fn keys_go_both_ways_and_are_not_shown() {
        let key = SigningKey::generate("example.com/log").unwrap();
        let again = SigningKey::parse(&key.to_secret_text()).unwrap();
        assert_eq!(again.verifier, key.verifier);
        assert_ne!(
            SigningKey::generate("example.com/log").unwrap().verifier,
            key.verifier
        );
        let secret = key.to_secret_text();
        let secret = secret.splitn(5, '+').last().unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn wrong_keys_are_refused() {
        for text in [
            "",
            "a",
            "a+b",
            "+00000000+AA==",
            "a b+00000000+AA==",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpcQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
            "PeterNeumann+4f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+BRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
            assert!(
                SigningKey::parse(&format!("{PRIVATE}{text}")).is_err(),
                "{text}"
            );
        }
        assert!(SigningKey::parse(GO_VERIFIER).is_err());
    }

    #[test]
    fn any_changed_byte_of_a_note_is_noticed() {
        let known = [VerifierKey::parse(GO_VERIFIER).unwrap()];
        for at in 0..GO_NOTE.len() {
            let mut bytes = GO_NOTE.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let accepted = Note::parse(&text)
                .and_then(|note| note.signed_by(&known))
                .is_ok_and(|signed| !signed.is_empty());
            assert!(!accepted, "byte {at}: {text}");
        }
    }

    #[test]
    fn unknown_signatures_pass_and_false_ones_do_not() {
        let key = SigningKey::generate("log").unwrap();
        let other = SigningKey::generate("log").unwrap();
        let note = Note::sign("text\n\nmore\n".into(), &key)
            .unwrap()
            .to_string();
        let foreign = Note::sign("text\n\nmore\n".into(), &other)
            .unwrap()
            .to_string();
        let line = foreign.lines().last().unwrap();
        let both = Note::parse(&format!("{note}{line}\n")).unwrap();
        assert_eq!(both.text(), "text\n\nmore\n");
        assert_eq!(
            both.signed_by(std::slice::from_ref(&key.verifier))
                .unwrap()
                .len(),
            1
        );
        let all = [key.verifier.clone(), other.verifier.clone()];
        assert_eq!(both.signed_by(&all).unwrap().len(), 2);
        assert_eq!(both.signed_by(&[]).unwrap(), []);
        // The other key's signature, over another text.
        let changed = Note::parse(&both.to_string().replace("more", "less")).unwrap();
        let error = changed
            .signed_by(std::slice::from_ref(&other.verifier))
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Tampered);
    }

    #[test]
    fn witnesses_sign_with_their_time() {
        let log = SigningKey::generate("log").unwrap();
        let someone = SigningKey::generate("witness.example/w").unwrap();
        let known = [log.verifier.clone(), witness(&someone)];
        let note = Note::sign("log\n0\n".into(), &log).unwrap().to_string();
        let note = cosign(&note, &someone, 1_700_000_000);
        let signed = Note::parse(&note).unwrap().signed_by(&known).unwrap();
        assert_eq!(signed[1].time, Some(1_700_000_000));
        let text = known[1].to_string();
        assert_eq!(VerifierKey::parse(&text).unwrap(), known[1]);
        // Another time was not signed.
        let mut forged = Note::parse(&note).unwrap();
        forged.signatures[1].bytes[7] ^= 1;
        assert!(forged.signed_by(&known).is_err());
        forged.signatures[1].bytes.truncate(7);
        assert!(forged.signed_by(&known).is_err());
    }

    /// The example of c2sp.org/tlog-cosignature, whose witness is
    /// witness.example.com/w1: it parses, and its parts are where they should be.
    #[test]
    fn reads_the_published_example() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
            — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let note = Note::parse(text).unwrap();
        assert_eq!(note.signatures[0].bytes.len(), 64);
        assert_eq!(note.signatures[1].bytes.len(), 72);
        assert_eq!(
            note.signatures[1].bytes[..8],
            1_679_315_147_u64.to_be_bytes()
        );
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for text in [
            "",
            "\n\n",
            "text\n",
            "text\n\n",
            "text\n\n— a AAAAAAA=",
            "text\n\n- a AAAAAAA=\n",
            "text\n\n— a AAAA\n",
            "text\n\n— a+b AAAAAAA=\n",
            "te\txt\n\n— a AAAAAAA=\n",
            "text\n\n— a AAAAAAA=\nmore\n",
        ] {
            assert!(Note::parse(text).is_err(), "{text:?}");
        }
        assert!(Note::parse("text\n\n— a AAAAAAA=\n").is_ok());
    }
}
