//! Keys: made, and read from texts.

use super::{
    Bytes, CText, NewHandle, Out, auditrail_buffer, auditrail_error, auditrail_status, call,
};
use crate::error::{Error, Result};
use crate::proof::{Signer, SigningKey, VerifierKey};
use std::ffi::c_char;

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
    // SAFETY: by the header NULL or NUL-terminated.
    let name = unsafe { CText::new(&name, "name") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let secret_key = unsafe { NewHandle::new(&secret_key, "secret_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let public_key = unsafe { NewHandle::new(&public_key, "public_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, (secret_key, public_key), || {
        let key = SigningKey::generate(name.get()?)?;
        let public = key.verifier().to_string();
        Ok((key.to_secret_text().into(), public.into()))
    })
}

/// The public key that belongs to a secret one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_public_key(
    secret_key: *const c_char,
    length: usize,
    public_key: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or `length` bytes.
    let secret_key = unsafe { Bytes::new(&secret_key, length, "secret_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let public_key = unsafe { NewHandle::new(&public_key, "public_key") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, public_key, || {
        let key = SigningKey::parse(secret_key.text()?)?;
        Ok(key.verifier().to_string().into())
    })
}

/// Public keys, one a line; blank lines do not matter.
pub(super) fn keys_of(public_keys: &Bytes<'_>) -> Result<Vec<VerifierKey>> {
    let keys: Vec<_> = public_keys
        .text()?
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
