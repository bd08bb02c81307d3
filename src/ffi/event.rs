//! An event as fields.

use super::sized::shared_size;
use super::{Bytes, CText, is_null};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use std::cell::OnceCell;
use std::ffi::c_char;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};

/// One event as fields, for `auditrail_writer_append_event`. Set `size` and
/// zero the rest (in C99 `auditrail_event e = {.size = sizeof e};`), then fill
/// in. All texts are UTF-8 and NUL-terminated, and stay the caller's.
#[repr(C)]
pub struct auditrail_event {
    /// sizeof(auditrail_event): later versions may add fields at the end.
    pub size: usize,
    /// Seconds since 1970, UTC; 0: now.
    pub timestamp: i64,
    /// One of the allowed domains.
    pub domain: *const c_char,
    /// 1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot.
    pub category: *const c_char,
    /// Any text.
    pub model_name: *const c_char,
    /// One of the allowed operations.
    pub operation: *const c_char,
    /// Who did it: any text.
    pub logical_user_id: *const c_char,
    /// Any text; NULL: none.
    pub request_id: *const c_char,
    /// The text of a JSON object; NULL: none.
    pub payload: *const c_char,
    /// Its length in bytes.
    pub payload_length: usize,
}

/// The size of the struct in 0.1, which ended with this field.
const FIRST_SIZE: usize = offset_of!(auditrail_event, payload_length) + size_of::<usize>();

/// The caller's fields, or NULL.
pub(super) struct EventIn<'c> {
    pointer: *const auditrail_event,
    /// What this version knows of them; what the caller's lacks is 0.
    known: OnceCell<auditrail_event>,
    call: PhantomData<&'c auditrail_event>,
}

impl<'c> EventIn<'c> {
    /// # Safety
    /// `pointer` is NULL or leads to as many bytes as the `size` there says, and the
    /// pointers among them are NULL or lead to what the header says, all for `'c`.
    pub(super) unsafe fn new(pointer: &'c *const auditrail_event) -> Self {
        Self {
            pointer: *pointer,
            known: OnceCell::new(),
            call: PhantomData,
        }
    }

    /// The event; an error if it is NULL, lacks fields, or has fields of a later version.
    pub(super) fn get(&self) -> Result<Event<'_>> {
        let fields = self.known()?;
        // SAFETY: by `new` NULL or NUL-terminated.
        let text = |pointer, name| unsafe { CText::new(pointer, name) };
        let required = |pointer, name| {
            text(pointer, name)
                .optional()?
                .ok_or_else(|| Error::new(Kind::InvalidEvent, format!("{name} is missing")))
        };
        // SAFETY: by `new` NULL or so many bytes.
        let payload = unsafe { Bytes::new(&fields.payload, fields.payload_length, "payload") };
        Ok(Event {
            timestamp: fields.timestamp,
            domain: required(&fields.domain, "domain")?,
            category: required(&fields.category, "category")?,
            model_name: required(&fields.model_name, "model_name")?,
            operation: required(&fields.operation, "operation")?,
            logical_user_id: required(&fields.logical_user_id, "logical_user_id")?,
            request_id: text(&fields.request_id, "request_id").optional()?,
            payload: if fields.payload.is_null() && fields.payload_length == 0 {
                None
            } else {
                Some(payload.get()?)
            },
        })
    }

    /// The fields that this version knows, if there are no others.
    fn known(&self) -> Result<&auditrail_event> {
        if self.pointer.is_null() {
            return Err(is_null("fields"));
        }
        // SAFETY: it is not NULL, and the struct begins with its size in every version.
        let size = unsafe { (&raw const (*self.pointer).size).read() };
        let known = size_of::<auditrail_event>();
        let shared = shared_size("auditrail_event", size, FIRST_SIZE, known)?;
        let tail = self.pointer.cast::<c_char>().wrapping_add(shared);
        // SAFETY: by `new` they are the last of `size` bytes.
        let tail = unsafe { Bytes::new(&tail, size - shared, "fields") }.get()?;
        if tail.iter().any(|&byte| byte != 0) {
            return Err(Error::argument(
                "auditrail_event has fields that this version of the library does not know",
            ));
        }
        let mut fields = MaybeUninit::<auditrail_event>::zeroed();
        let place = fields.as_mut_ptr().cast::<u8>();
        // SAFETY: by `new` there are `size` bytes, and `shared` is no more than that and
        // no more than there is place for.
        unsafe { place.copy_from_nonoverlapping(self.pointer.cast(), shared) };
        // SAFETY: numbers and pointers, for which all bytes, zeros too, are values.
        let fields = unsafe { fields.assume_init() };
        Ok(self.known.get_or_init(|| fields))
    }
}
