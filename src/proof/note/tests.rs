//! Notes and keys, those of other implementations too.

use super::key::PRIVATE;
use super::*;

/// A witness that signs at a time, as tests need it.
pub(crate) fn cosign(note: &str, key: &SigningKey, time: u64) -> String {
    let text = Note::parse(note).unwrap().text;
    let mut bytes = witness(key).id().to_be_bytes().to_vec();
    bytes.extend(time.to_be_bytes());
    bytes.extend(key.sign(cosigned(time, &text).as_bytes()).unwrap());
    format!(
        "{note}— {} {}\n",
        key.verifier().name(),
        BASE64_STANDARD.encode(bytes)
    )
}

pub(crate) fn witness(key: &SigningKey) -> VerifierKey {
    let public = key.verifier().public_key();
    VerifierKey::new(key.verifier().name(), KeyKind::Witness, public).unwrap()
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
    assert_eq!(known, *key.verifier());
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
    assert_eq!(again.verifier(), key.verifier());
    assert_ne!(
        SigningKey::generate("example.com/log").unwrap().verifier(),
        key.verifier()
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
fn unknown_signatures_are_ignored_and_invalid_ones_are_not() {
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
        both.signed_by(std::slice::from_ref(key.verifier()))
            .unwrap()
            .len(),
        1
    );
    let all = [key.verifier().clone(), other.verifier().clone()];
    assert_eq!(both.signed_by(&all).unwrap().len(), 2);
    assert_eq!(both.signed_by(&[]).unwrap(), []);
    // The other key's signature, over another text.
    let changed = Note::parse(&both.to_string().replace("more", "less")).unwrap();
    let error = changed
        .signed_by(std::slice::from_ref(other.verifier()))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Tampered);
}

#[test]
fn witnesses_sign_with_their_time() {
    let log = SigningKey::generate("log").unwrap();
    let someone = SigningKey::generate("witness.example/w").unwrap();
    let known = [log.verifier().clone(), witness(&someone)];
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
fn malformed_notes_are_refused() {
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
