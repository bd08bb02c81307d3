//! Keys, checkpoints, verification and proofs.

use super::{
    auditrail_buffer, auditrail_error, auditrail_options, auditrail_status, bytes, c_text, guard,
    handle_mut, is_null, not_null, path, put, text,
};
use crate::error::{Error, Kind, Result};
use crate::proof::{
    self, ConsistencyProof, InclusionProof, ProofOptions, Signer, SigningKey, Verification,
    VerifierKey,
};
use crate::store::storage::{Disk, Open, Storage, read_range};
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Signs `length` bytes of `message` with Ed25519, and writes the 64 bytes of
/// the signature. Returns 0, or anything else where it cannot sign. It may be
/// called from any thread that uses the writer, from one at a time; it must
/// return normally.
pub type auditrail_sign_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        message: *const u8,
        length: usize,
        signature: *mut u8,
    ) -> i32,
>;

/// Told how many events the tree has, and how many it is to have.
pub type auditrail_progress_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, done: u64, all: u64)>;

/// Makes a new key pair for a log of this name, which becomes the origin of its
/// checkpoints: a URL without scheme is usual, such as `example.com/audit`; no
/// spaces, no plus. The secret key is a text, `PRIVATE+KEY+…`, to be kept from
/// others; the public key is one too, `<name>+<id>+<base64>`, to be handed out.
/// Both are the caller's, to be freed with `auditrail_buffer_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_keygen(
    name: *const c_char,
    secret_key: *mut *mut auditrail_buffer,
    public_key: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(secret_key, "secret_key")?;
            not_null(public_key, "public_key")?;
            let name = c_text(name, "name")?.ok_or_else(|| is_null("name"))?;
            let key = SigningKey::generate(name)?;
            let secret = key.to_secret_text().into_bytes();
            put(secret_key, auditrail_buffer::give(secret));
            let public = key.verifier().to_string().into_bytes();
            put(public_key, auditrail_buffer::give(public));
            Ok(0)
        })
    }
}

/// The public key that belongs to a secret one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_public_key(
    secret_key: *const c_char,
    length: usize,
    public_key: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(public_key, "public_key")?;
            let key = SigningKey::parse(text(secret_key, length, "secret_key")?)?;
            let public = key.verifier().to_string().into_bytes();
            put(public_key, auditrail_buffer::give(public));
            Ok(0)
        })
    }
}

/// Keeps proof of the trail: a Merkle tree over all events, and checkpoints,
/// signed with this secret key (`PRIVATE+KEY+…`) at each sync and at close. The
/// key is kept in memory only. Opening a writer then begins the tree on a trail
/// that is new, and says AUDITRAIL_ERR_TAMPERED where the trail is not what was
/// signed, or holds events and no log (see `auditrail_options_set_proof_adopt`).
/// A thread of the writer's own, in which no signal is delivered, hashes
/// what is written; a shared writer has none, and hashes at each checkpoint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_key(
    options: *mut auditrail_options,
    secret_key: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = handle_mut(options, "options")?;
            let key = SigningKey::parse(text(secret_key, length, "secret_key")?)?;
            sign_with(options, Arc::new(key));
            Ok(0)
        })
    }
}

/// The same, with the key read from a file, now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_key_file(
    options: *mut auditrail_options,
    key_file: *const c_char,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = handle_mut(options, "options")?;
            let key = read_key(path(key_file, "key_file")?)?;
            sign_with(options, Arc::new(key));
            Ok(0)
        })
    }
}

/// The same, with a key that lives elsewhere, such as in an HSM: `sign` is
/// called for each checkpoint. The public key is a text as `auditrail_keygen`
/// gives. What comes back is checked before it is used. Writers opened with
/// these options call it until they are closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_signer(
    options: *mut auditrail_options,
    public_key: *const c_char,
    length: usize,
    sign: auditrail_sign_callback,
    user_data: *mut c_void,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let options = handle_mut(options, "options")?;
            let verifier = VerifierKey::parse(text(public_key, length, "public_key")?.trim())?;
            if verifier.limit().is_some() {
                return Err(Error::argument("the key of a signer has no limit"));
            }
            let sign = sign.ok_or_else(|| is_null("sign"))?;
            sign_with(
                options,
                Arc::new(Callback {
                    verifier,
                    sign,
                    user_data: user_data as usize,
                }),
            );
            Ok(0)
        })
    }
}

/// Checkpoints that are there may also be signed by this public key, of the
/// same name, from before the key was changed. `<key> until <events>`: it is good
/// for checkpoints over so many events at most, as many as the trail had then.
/// Without, the number is the one that the trail records when its key is
/// replaced. Newer keys first. Call it after one of
/// `auditrail_options_set_proof_…`; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT,
/// as for the functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_add_proof_earlier_key(
    options: *mut auditrail_options,
    public_key: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let key = VerifierKey::parse(text(public_key, length, "public_key")?.trim())?;
            proof_of(handle_mut(options, "options")?)?.earlier_key(key);
            Ok(0)
        })
    }
}

/// A checkpoint is also made after so many events; 0, the default: not. The
/// append that makes it due waits for it, and for the sync that goes before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_checkpoint_events(
    options: *mut auditrail_options,
    events: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            proof_of(handle_mut(options, "options")?)?.every_events(events);
            Ok(0)
        })
    }
}

/// A checkpoint is also made with the first append after so many milliseconds;
/// 0, the default: not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_checkpoint_interval(
    options: *mut auditrail_options,
    milliseconds: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let interval = Duration::from_millis(milliseconds);
            proof_of(handle_mut(options, "options")?)?.every(interval);
            Ok(0)
        })
    }
}

/// Not 0: opening a writer builds the log of a trail that holds events and never
/// had one, and signs the events as they are. 0, the default: that is
/// AUDITRAIL_ERR_TAMPERED, for the log may have been removed. A trail that is
/// known to have had a log is refused in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_adopt(
    options: *mut auditrail_options,
    adopt: i32,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            proof_of(handle_mut(options, "options")?)?.adopt(adopt != 0);
            Ok(0)
        })
    }
}

/// Opening a writer says AUDITRAIL_ERR_TAMPERED unless the trail goes on from this
/// checkpoint, which was kept elsewhere. Each call adds one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_add_proof_checkpoint(
    options: *mut auditrail_options,
    checkpoint: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let checkpoint = text(checkpoint, length, "checkpoint")?;
            proof_of(handle_mut(options, "options")?)?.goes_on_from(checkpoint);
            Ok(0)
        })
    }
}

/// Whom to tell how far the tree is, while it is built for a trail that exists.
/// Called during `auditrail_writer_open`, and when a checkpoint is made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_progress(
    options: *mut auditrail_options,
    progress: auditrail_progress_callback,
    user_data: *mut c_void,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let progress = progress.ok_or_else(|| is_null("progress"))?;
            let user_data = user_data as usize;
            proof_of(handle_mut(options, "options")?)?.progress(Arc::new(move |done, all| {
                // SAFETY: the caller has said that this may be called so.
                progress(user_data as *mut c_void, done, all);
            }));
            Ok(0)
        })
    }
}

/// The trail's newest checkpoint, as its file has it and unchecked: what to keep
/// elsewhere, and to show to witnesses. AUDITRAIL_ERR_NOT_FOUND where there is
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_checkpoint(
    root: *const c_char,
    checkpoint: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(checkpoint, "checkpoint")?;
            let text = proof::checkpoint_text(path(root, "root")?)?;
            put(checkpoint, auditrail_buffer::give(text.into_bytes()));
            Ok(0)
        })
    }
}

/// Adds a witness's signature lines to the newest checkpoint; a writer may be at
/// work. `public_keys`: that of the log and those of witnesses, one a line. Only
/// lines that are valid and by witnesses among these are kept, and of each
/// witness the newest; AUDITRAIL_ERR_INVALID_ARGUMENT where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_add_cosignatures(
    root: *const c_char,
    lines: *const c_char,
    lines_length: usize,
    public_keys: *const c_char,
    public_keys_length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let lines = text(lines, lines_length, "lines")?;
            proof::add_cosignatures(path(root, "root")?, lines, &keys)?;
            Ok(0)
        })
    }
}

/// The same for the checkpoint that the witnesses were shown, which may have been
/// replaced by a newer one since. The newest cosigned checkpoint is kept beside
/// the newest one, and counts when `auditrail_verify` asks for witnesses.
/// AUDITRAIL_ERR_TAMPERED where the trail does not go on from the checkpoint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_add_cosignatures_to(
    root: *const c_char,
    checkpoint: *const c_char,
    checkpoint_length: usize,
    lines: *const c_char,
    lines_length: usize,
    public_keys: *const c_char,
    public_keys_length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let checkpoint = text(checkpoint, checkpoint_length, "checkpoint")?;
            let lines = text(lines, lines_length, "lines")?;
            proof::add_cosignatures_to(path(root, "root")?, checkpoint, lines, &keys)?;
            Ok(0)
        })
    }
}

/// Verifies the whole trail against its newest checkpoint and, if it is not
/// empty, against one that was kept elsewhere. Reads only; a writer may be at
/// work.
///
/// `public_keys`: the log's (today's first, then earlier ones) and those of
/// witnesses, one a line. An earlier one is given as `<key> until <events>`: its
/// signature is then good for no more events than the trail had when the key was
/// replaced. A key that has no limit, and none recorded in the trail, is a note.
/// `witnesses`: how many of these must have cosigned. `first_id`:
/// events before it may be missing, because they were pruned; 0: none.
///
/// `report_json` may be NULL. It is an object: `intact`; `checkpoint` (null, or
/// `origin`, `size`, `root`, `witnesses`); `verified_events`, `unsigned_events`
/// (after the checkpoint), `pruned_events`; `findings`, at most 1,000 of them,
/// and `findings_total`; `notes`. A finding has `kind` (changed, missing, cut,
/// added, displaced, unended, unknown, segment, tile, checkpoint, index), where
/// they apply `first_id`, `last_id`, `path` and `offset`, and a `message`.
///
/// AUDITRAIL_OK: everything that is signed is there, unchanged, and nothing
/// else among it. AUDITRAIL_ERR_TAMPERED: it is not; as an exception, the report
/// is given then too. But where the checkpoint that was kept elsewhere is itself
/// not signed by one of the keys, there is no report, and its place is not
/// touched: set it to NULL before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_verify(
    root: *const c_char,
    public_keys: *const c_char,
    public_keys_length: usize,
    checkpoint: *const c_char,
    checkpoint_length: usize,
    witnesses: u32,
    first_id: u64,
    report_json: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let mut how = Verification::new(&keys)
                .witnesses(witnesses as usize)
                .pruned_before(first_id);
            if checkpoint_length > 0 {
                how = how.checkpoint(text(checkpoint, checkpoint_length, "checkpoint")?)?;
            }
            let report = how.run(path(root, "root")?, |_, _| {})?;
            if !report_json.is_null() {
                let json = serde_json::to_vec(&report)
                    .map_err(|e| Error::new(Kind::Panic, format!("the report is no JSON: {e}")))?;
                put(report_json, auditrail_buffer::give(json));
            }
            report.to_result().map(|()| 0)
        })
    }
}

/// Proves that an event is in the trail, in the form `c2sp.org/tlog-proof@v1`:
/// with this text, the event's line and the log's public key anyone can check
/// it, offline. Under the newest checkpoint, or under an earlier one, if that is
/// not empty. AUDITRAIL_ERR_INVALID_ARGUMENT where the checkpoint does not cover
/// the event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_prove(
    root: *const c_char,
    event_id: u64,
    checkpoint: *const c_char,
    checkpoint_length: usize,
    proof: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(proof, "proof")?;
            let checkpoint = text(checkpoint, checkpoint_length, "checkpoint")?;
            let checkpoint = Some(checkpoint).filter(|text| !text.is_empty());
            let made = proof::prove(path(root, "root")?, event_id, checkpoint)?;
            put(proof, auditrail_buffer::give(made.to_string().into_bytes()));
            Ok(0)
        })
    }
}

/// Checks an event's proof: that `line` is in the log of the key, as the event
/// whose id is given back. A newline at the line's end does not matter.
/// `public_keys`: as for `auditrail_verify`. `event_id` and `size`, how many
/// events the checkpoint covers, may be NULL. AUDITRAIL_ERR_TAMPERED: it is not
/// so; AUDITRAIL_ERR_CORRUPT: the text is no proof.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_verify_proof(
    proof: *const c_char,
    proof_length: usize,
    line: *const c_char,
    line_length: usize,
    public_keys: *const c_char,
    public_keys_length: usize,
    event_id: *mut u64,
    size: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let proof = InclusionProof::parse(text(proof, proof_length, "proof")?)?;
            let signed = proof.check(bytes(line, line_length, "line")?, &keys)?;
            put(event_id, proof.event_id());
            put(size, signed.size());
            Ok(0)
        })
    }
}

/// Proves that the trail, under its newest checkpoint or the one given, goes on
/// from what it was with `old_size` events: the lines that a witness takes
/// (c2sp.org/tlog-witness, add-checkpoint).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_prove_consistency(
    root: *const c_char,
    old_size: u64,
    checkpoint: *const c_char,
    checkpoint_length: usize,
    proof: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            not_null(proof, "proof")?;
            let checkpoint = text(checkpoint, checkpoint_length, "checkpoint")?;
            let checkpoint = Some(checkpoint).filter(|text| !text.is_empty());
            let made = proof::prove_consistency(path(root, "root")?, old_size, checkpoint)?;
            put(proof, auditrail_buffer::give(made.to_string().into_bytes()));
            Ok(0)
        })
    }
}

/// Checks that the checkpoint in the proof goes on from an earlier checkpoint.
/// Both must be signed by one of the keys. AUDITRAIL_ERR_TAMPERED: it does not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_verify_consistency(
    proof: *const c_char,
    proof_length: usize,
    old_checkpoint: *const c_char,
    old_checkpoint_length: usize,
    public_keys: *const c_char,
    public_keys_length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let proof = ConsistencyProof::parse(text(proof, proof_length, "proof")?)?;
            let old = text(old_checkpoint, old_checkpoint_length, "old_checkpoint")?;
            proof.check(old, &keys)?;
            Ok(0)
        })
    }
}

/// Writes the trail as a complete static log (c2sp.org/tlog-tiles) into the
/// folder `out`: checkpoint, tiles and entry bundles. What is there already is
/// kept. `events`, how many it covers, may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_export(
    root: *const c_char,
    out: *const c_char,
    public_keys: *const c_char,
    public_keys_length: usize,
    events: *mut u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header's rules the pointers are NULL or the caller's.
    unsafe {
        guard(error, || {
            let keys = keys(public_keys, public_keys_length)?;
            let (root, out) = (path(root, "root")?, path(out, "out")?);
            let exported = proof::export(root, out, &keys, |_, _| {})?;
            put(events, exported.events);
            Ok(0)
        })
    }
}

/// A signer on the other side.
struct Callback {
    verifier: VerifierKey,
    sign: unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut u8) -> i32,
    /// A pointer that is the caller's, who has said that it may be used from any
    /// thread.
    user_data: usize,
}

impl Signer for Callback {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let mut signature = [0; 64];
        // SAFETY: the caller has said that it may be called so; the places are
        // valid for the call.
        let status = unsafe {
            (self.sign)(
                self.user_data as *mut c_void,
                message.as_ptr(),
                message.len(),
                signature.as_mut_ptr(),
            )
        };
        match status {
            0 => Ok(signature),
            other => Err(Error::signer(format!(
                "the signer of {} returned {other}",
                self.verifier.name()
            ))),
        }
    }
}

fn sign_with(options: &mut auditrail_options, signer: Arc<dyn Signer>) {
    options.options.proof(ProofOptions::new(signer));
}

fn proof_of(options: &mut auditrail_options) -> Result<&mut ProofOptions> {
    options.options.proof.as_mut().ok_or_else(|| {
        Error::argument("set the proof's key, key file or signer before its other options")
    })
}

fn read_key(path: &Path) -> Result<SigningKey> {
    let text = Disk
        .open(path, Open::Read)
        .and_then(|file| read_range(&*file, 0, 4096))
        .map_err(|e| Error::io("read", path, &e))?;
    let text = std::str::from_utf8(&text)
        .map_err(|_| Error::argument(format!("{} holds no key", path.display())))?;
    SigningKey::parse(text)
}

/// Public keys, one a line; blank lines do not matter.
///
/// # Safety
/// As for [`bytes`].
unsafe fn keys(pointer: *const c_char, length: usize) -> Result<Vec<VerifierKey>> {
    // SAFETY: as this function's own.
    let keys = unsafe { text(pointer, length, "public_keys")? };
    let keys: Vec<_> = keys
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(VerifierKey::parse)
        .collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(Error::argument("public_keys holds no key"));
    }
    Ok(keys)
}
