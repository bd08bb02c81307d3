//! Checkpoints, verification and proofs.

use super::keys::keys_of;
use super::output::Place;
use super::{
    AUDITRAIL_OK, Bytes, CText, NewHandle, Nothing, Out, auditrail_buffer, auditrail_error,
    auditrail_status, call, guard,
};
use crate::error::{Error, Kind, Result};
use crate::proof::{self, ConsistencyProof, InclusionProof, Verification};
use std::ffi::c_char;

/// The trail's newest checkpoint, as its file has it and unchecked: what to keep
/// elsewhere, and to show to witnesses. AUDITRAIL_ERR_NOT_FOUND where there is
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_checkpoint(
    root: *const c_char,
    checkpoint: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let checkpoint = unsafe { NewHandle::new(&checkpoint, "checkpoint") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, checkpoint, || {
        Ok(proof::checkpoint_text(root.path()?)?.into())
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or `lines_length` bytes.
    let lines = unsafe { Bytes::new(&lines, lines_length, "lines") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let keys = keys_of(&public_keys)?;
        let lines = lines.text()?;
        proof::add_cosignatures(root.path()?, lines, &keys)?;
        Ok(())
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or `checkpoint_length` bytes.
    let checkpoint = unsafe { Bytes::new(&checkpoint, checkpoint_length, "checkpoint") };
    // SAFETY: by the header NULL or `lines_length` bytes.
    let lines = unsafe { Bytes::new(&lines, lines_length, "lines") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let keys = keys_of(&public_keys)?;
        let (checkpoint, lines) = (checkpoint.text()?, lines.text()?);
        proof::add_cosignatures_to(root.path()?, checkpoint, lines, &keys)?;
        Ok(())
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or `checkpoint_length` bytes.
    let checkpoint = unsafe { Bytes::new(&checkpoint, checkpoint_length, "checkpoint") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let report_json = unsafe { NewHandle::new(&report_json, "report_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    // Not by `call`, for the report is given with an error too.
    guard(error, || {
        let keys = keys_of(&public_keys)?;
        let mut how = Verification::new(&keys)
            .witnesses(witnesses as usize)
            .pruned_before(first_id);
        if let Some(checkpoint) = some(&checkpoint)? {
            how = how.checkpoint(checkpoint)?;
        }
        let report = how.run(root.path()?, |_, _| {})?;
        if !report_json.is_null() {
            let json = serde_json::to_vec(&report)
                .map_err(|e| Error::new(Kind::Panic, format!("the report is no JSON: {e}")))?;
            report_json.put(json.into());
        }
        report.to_result().map(|()| AUDITRAIL_OK)
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or `checkpoint_length` bytes.
    let checkpoint = unsafe { Bytes::new(&checkpoint, checkpoint_length, "checkpoint") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let proof = unsafe { NewHandle::new(&proof, "proof") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, proof, || {
        let checkpoint = some(&checkpoint)?;
        let proof = proof::prove(root.path()?, event_id, checkpoint)?;
        Ok(proof.to_string().into())
    })
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
    // SAFETY: by the header NULL or `proof_length` bytes.
    let proof = unsafe { Bytes::new(&proof, proof_length, "proof") };
    // SAFETY: by the header NULL or `line_length` bytes.
    let line = unsafe { Bytes::new(&line, line_length, "line") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let event_id = unsafe { Out::new(&event_id) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let size = unsafe { Out::new(&size) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, (event_id, size), || {
        let keys = keys_of(&public_keys)?;
        let proof = InclusionProof::parse(proof.text()?)?;
        let signed = proof.check(line.get()?, &keys)?;
        Ok((proof.event_id(), signed.size()))
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or `checkpoint_length` bytes.
    let checkpoint = unsafe { Bytes::new(&checkpoint, checkpoint_length, "checkpoint") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let proof = unsafe { NewHandle::new(&proof, "proof") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, proof, || {
        let checkpoint = some(&checkpoint)?;
        let proof = proof::prove_consistency(root.path()?, old_size, checkpoint)?;
        Ok(proof.to_string().into())
    })
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
    // SAFETY: by the header NULL or `proof_length` bytes.
    let proof = unsafe { Bytes::new(&proof, proof_length, "proof") };
    // SAFETY: by the header NULL or `old_checkpoint_length` bytes.
    let old_checkpoint =
        unsafe { Bytes::new(&old_checkpoint, old_checkpoint_length, "old_checkpoint") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let keys = keys_of(&public_keys)?;
        let proof = ConsistencyProof::parse(proof.text()?)?;
        proof.check(old_checkpoint.text()?, &keys)?;
        Ok(())
    })
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
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or NUL-terminated.
    let out = unsafe { CText::new(&out, "out") };
    // SAFETY: by the header NULL or `public_keys_length` bytes.
    let public_keys = unsafe { Bytes::new(&public_keys, public_keys_length, "public_keys") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let events = unsafe { Out::new(&events) };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, events, || {
        let keys = keys_of(&public_keys)?;
        let (root, out) = (root.path()?, out.path()?);
        Ok(proof::export(root, out, &keys, |_, _| {})?.events)
    })
}

/// The text of a checkpoint, if there is one.
fn some<'c>(checkpoint: &Bytes<'c>) -> Result<Option<&'c str>> {
    Ok(Some(checkpoint.text()?).filter(|text| !text.is_empty()))
}
