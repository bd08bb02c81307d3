//! How a writer keeps proof of its trail.

use super::{
    Bytes, CText, Exclusive, Nothing, Out, UserData, auditrail_error, auditrail_options,
    auditrail_status, call, is_null,
};
use crate::error::{Error, Result};
use crate::proof::{ProofOptions, Signer, SigningKey, VerifierKey};
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let secret_key = unsafe { Bytes::new(&secret_key, length, "secret_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = options.get()?;
        let key = SigningKey::parse(secret_key.text()?)?;
        sign_with(options, Arc::new(key));
        Ok(())
    })
}

/// The same, with the key read from a file, now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_proof_key_file(
    options: *mut auditrail_options,
    key_file: *const c_char,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or NUL-terminated.
    let key_file = unsafe { CText::new(&key_file, "key_file") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = options.get()?;
        let key = read_key(key_file.path()?)?;
        sign_with(options, Arc::new(key));
        Ok(())
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let public_key = unsafe { Bytes::new(&public_key, length, "public_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let options = options.get()?;
        let verifier = VerifierKey::parse(public_key.text()?.trim())?;
        if verifier.limit().is_some() {
            return Err(Error::argument("the key of a signer has no limit"));
        }
        let signer = Callback {
            verifier,
            sign: sign.ok_or_else(|| is_null("sign"))?,
            user_data: UserData::new(user_data),
        };
        sign_with(options, Arc::new(signer));
        Ok(())
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let public_key = unsafe { Bytes::new(&public_key, length, "public_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let key = VerifierKey::parse(public_key.text()?.trim())?;
        Ok(proof_of(options.get()?)?.earlier_key(key))
    })
}

/// A checkpoint is also made after so many events; 0, the default: not. The
/// append that makes it due waits for it, and for the sync that goes before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_checkpoint_events(
    options: *mut auditrail_options,
    events: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(proof_of(options.get()?)?.every_events(events))
    })
}

/// A checkpoint is also made with the first append after so many milliseconds;
/// 0, the default: not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_options_set_checkpoint_interval(
    options: *mut auditrail_options,
    milliseconds: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let interval = Duration::from_millis(milliseconds);
        Ok(proof_of(options.get()?)?.every(interval))
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(proof_of(options.get()?)?.adopt(adopt != 0))
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or `length` bytes.
    let checkpoint = unsafe { Bytes::new(&checkpoint, length, "checkpoint") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let checkpoint = checkpoint.text()?;
        Ok(proof_of(options.get()?)?.goes_on_from(checkpoint))
    })
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
    // SAFETY: by the header NULL or options that no other thread uses now.
    let options = unsafe { Exclusive::new(&options, "options") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let progress = progress.ok_or_else(|| is_null("progress"))?;
        let user_data = UserData::new(user_data);
        let tell = move |done, all| {
            // SAFETY: by the header the host's function takes these, on any thread.
            unsafe { progress(user_data.get(), done, all) };
        };
        Ok(proof_of(options.get()?)?.progress(Arc::new(tell)))
    })
}

/// A signer on the other side.
struct Callback {
    verifier: VerifierKey,
    sign: unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut u8) -> i32,
    user_data: UserData,
}

impl Signer for Callback {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let mut signature = [0; 64];
        let (text, length) = (message.as_ptr(), message.len());
        // SAFETY: by the header the host's function takes these, on any thread; both
        // places outlive the call.
        let status =
            unsafe { (self.sign)(self.user_data.get(), text, length, signature.as_mut_ptr()) };
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
