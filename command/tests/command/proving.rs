//! Keys, checkpoints, proofs.

use super::kit::{Place, command, finish, json, many, place, put, story};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A trail that is signed, and the public half of its key.
struct Signed {
    place: Place,
    secret: String,
    key: String,
}

fn signed() -> Signed {
    let place = place();
    let secret = beside(&place, "secret");
    let ran = finish(command().args(["keygen", "example.org/audit", "--secret", &secret]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let key = ran.out.trim_end().to_owned();
    let signed = Signed { place, secret, key };
    signed.append(&story());
    signed
}

fn beside(place: &Place, name: &str) -> String {
    let path: PathBuf = place.root().with_file_name(name);
    path.to_str().expect("UTF-8").to_owned()
}

impl Signed {
    fn append(&self, lines: &str) {
        let ran = self.place.append(&["--sign", &self.secret], lines);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// What the subcommand prints, put into a file.
    fn kept(&self, name: &str, subcommand: &str, arguments: &[&str]) -> String {
        let ran = self.place.run(subcommand, arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        let path = beside(&self.place, name);
        std::fs::write(&path, ran.out).expect("a write");
        path
    }
}

#[test]
fn a_secret_key_is_kept_secret_and_never_written_over() {
    let signed = signed();
    assert!(
        signed.key.starts_with("example.org/audit+"),
        "{}",
        signed.key
    );
    let about = std::fs::metadata(&signed.secret).expect("a file");
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&signed.secret).expect("a key");
    let ran = finish(command().args(["keygen", "x", "--secret", &signed.secret]));
    assert_eq!((ran.code, ran.out.as_str()), (6, ""), "{ran:?}");
    assert_eq!(std::fs::read(&signed.secret).expect("a key"), before);
}

#[test]
fn a_trail_that_is_what_was_signed_verifies() {
    let signed = signed();
    let ran = signed.place.run("verify", &["--key", &signed.key]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = json(&ran.out);
    assert_eq!(
        (&report["intact"], &report["verified_events"]),
        (&true.into(), &6.into())
    );
    // The key may stand in a file, too.
    let file = beside(&signed.place, "keys");
    put(file.as_ref(), format!("\n{}\n", signed.key).as_bytes());
    let ran = signed
        .place
        .run("verify", &["--key", &file, "--format", "table"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("the trail is what was signed"),
        "{}",
        ran.out
    );
}

#[test]
fn a_changed_event_is_found() {
    let signed = signed();
    let path = signed.place.users(1);
    let text = std::fs::read_to_string(&path).expect("a segment");
    std::fs::write(
        &path,
        text.replace("\"new\":\"owner\"", "\"new\":\"admin\""),
    )
    .expect("a write");
    let ran = signed.place.run("verify", &["--key", &signed.key]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(json(&ran.out)["findings"][0]["kind"], "changed");
    assert_eq!(json(&ran.out)["findings"][0]["first_id"], 3);
    let ran = signed
        .place
        .run("verify", &["--key", &signed.key, "--format", "table"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains("the trail is not what was signed"),
        "{}",
        ran.out
    );
}

#[test]
fn a_checkpoint_kept_elsewhere_tells_of_another_past() {
    let signed = signed();
    let kept = signed.kept("kept", "checkpoint", &[]);
    signed.append(&many(1, 10));
    let ran = signed
        .place
        .run("verify", &["-k", &signed.key, "--checkpoint", &kept]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // The same key signs another past.
    std::fs::remove_dir_all(signed.place.root()).expect("a removal");
    signed.append(&many(1, 20));
    let ran = signed.place.run("verify", &["-k", &signed.key]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = signed
        .place
        .run("verify", &["-k", &signed.key, "--checkpoint", &kept]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_proof_convinces_without_the_trail() {
    let signed = signed();
    let old = signed.kept("old", "checkpoint", &[]);
    signed.append(&many(1, 10));
    let proof = signed.kept("proof", "prove", &["--id", "3"]);
    let grown = signed.kept("grown", "prove", &["--since-size", "6"]);
    let event = signed.kept("event", "read", &["--id", "3"]);
    let other = signed.kept("other", "read", &["--id", "4"]);
    std::fs::remove_dir_all(signed.place.root()).expect("a removal");

    let check = |arguments: &[&str]| {
        finish(
            command()
                .arg("check-proof")
                .args(["-k", &signed.key])
                .args(arguments),
        )
    };
    let ran = check(&[&proof, "--event", &event]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.contains("event 3 is in the trail"), "{}", ran.out);
    let ran = check(&[&proof, "--event", &other]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    let ran = check(&[&grown, "--old", &old]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_trail_becomes_a_static_log() {
    let signed = signed();
    let into = beside(&signed.place, "log");
    let ran = signed.place.run("export", &[&into, "-k", &signed.key]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(json(&ran.out)["events"], 6);
    for name in ["checkpoint", "tile/0/000.p/6", "tile/entries/000.p/6"] {
        assert!(PathBuf::from(&into).join(name).exists(), "{name}");
    }
}

#[test]
fn what_is_missing_is_said() {
    let place = place();
    assert_eq!(place.append(&[], &story()).code, 0);
    assert_eq!(place.run("checkpoint", &[]).code, 3, "it was never signed");
    assert_eq!(place.run("prove", &["--id", "1"]).code, 3);
    let signed = signed();
    assert_eq!(signed.place.run("verify", &["-k", "nonsense"]).code, 2);
    assert_eq!(signed.place.run("verify", &[]).code, 2);
    assert_eq!(signed.place.run("prove", &[]).code, 2);
    let ran = signed.place.append(&["--sign", "/nonexistent"], &story());
    assert_eq!(ran.code, 6, "{ran:?}");
}
