//! Questions about a whole trail, answered as JSON.

use super::filter::filter_of;
use super::{
    CText, NewHandle, Out, Shared, auditrail_buffer, auditrail_error, auditrail_filter,
    auditrail_status, call,
};
use crate::read::check::{self, CheckOptions};
use crate::read::history;
use crate::read::replay;
use std::ffi::c_char;

/// Folds the events of one domain and category that pass the filter (NULL: all;
/// its own domains, categories and order count for nothing) into records, as
/// they were at the filter's largest id or time:
/// {"state":{name:record,…},"last_event_id":n or null,"applied_events":n}.
/// Two more numbers stand there if they are not 0: "unfounded_updates", of
/// records that were not there, and "damaged_lines". Numbers keep the digits of
/// their events. Free the result with `auditrail_buffer_free`.
/// AUDITRAIL_ERR_NOT_FOUND if there is no trail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_replay(
    root: *const c_char,
    domain: *const c_char,
    category: *const c_char,
    filter: *const auditrail_filter,
    result_json: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or NUL-terminated.
    let domain = unsafe { CText::new(&domain, "domain") };
    // SAFETY: by the header NULL or NUL-terminated.
    let category = unsafe { CText::new(&category, "category") };
    // SAFETY: by the header NULL or a filter that nobody changes now.
    let filter = unsafe { Shared::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let result_json = unsafe { NewHandle::new(&result_json, "result_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, result_json, || {
        let replay = replay(
            root.path()?,
            domain.get()?,
            category.get()?,
            &filter_of(filter),
        )?;
        Ok(replay.to_json().into())
    })
}

/// What happened to one record: an array with an object for each of its events
/// that passes the filter (NULL: all; its own domains, categories and model
/// names count for nothing), oldest first unless its order is
/// AUDITRAIL_ORDER_NEWEST_FIRST: {"event_id":n,"timestamp":n,"operation":…,
/// "logical_user_id":…,"request_id":… (if there is one),"changes":{field:
/// {"old":…,"new":…},…}}. A side on which the field is not there is left out;
/// an update that was written as a delta says null for it. Free the result with
/// `auditrail_buffer_free`. AUDITRAIL_ERR_NOT_FOUND if there is no trail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_history(
    root: *const c_char,
    domain: *const c_char,
    category: *const c_char,
    model_name: *const c_char,
    filter: *const auditrail_filter,
    result_json: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or NUL-terminated.
    let domain = unsafe { CText::new(&domain, "domain") };
    // SAFETY: by the header NULL or NUL-terminated.
    let category = unsafe { CText::new(&category, "category") };
    // SAFETY: by the header NULL or NUL-terminated.
    let model_name = unsafe { CText::new(&model_name, "model_name") };
    // SAFETY: by the header NULL or a filter that nobody changes now.
    let filter = unsafe { Shared::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let result_json = unsafe { NewHandle::new(&result_json, "result_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, result_json, || {
        let history = history(
            root.path()?,
            domain.get()?,
            category.get()?,
            model_name.get()?,
            &filter_of(filter),
        )?;
        Ok(history.to_json().into())
    })
}

/// Goes through the whole trail and reports what is there and what is wrong
/// with it; a trail that is being written to can be checked too. Writes
/// nothing. AUDITRAIL_OK whatever is wrong: see "ok" in the report. Its keys:
/// "ok", "events", "streams", "segments", "bytes", "last_event_id",
/// "pruned_events" (see `auditrail_check_pruned`; here 0); "missing_ids", "doubled_ids" and "removed_ids" (after the last event, which the
/// trail once had; {"count":n,"ranges":[[first,last],…]}); "doubled_events" (where
/// those with doubled ids stand, for the first 1,000 ids: [{"event_id":n,"count":n,
/// "places":[{"path":…,"offset":n},…]},…], the first 16 places);
/// "damaged_lines", "misplaced_events", "disordered_events", "foreign_lines" (read
/// without loss, but no writer writes them so: blanks, other keys, another order
/// of keys, carriage returns, blank lines), "torn_tails",
/// "missing_segments", "foreign_files", "false_times" (recorded ranges of times
/// that would hide events; {"count":n,"first":[…]}, the first 1,000); "index" ({"state":"equal", "behind" (events were written since),
/// "ahead" (of ids that no event has), "missing" or "unreadable",
/// "last_event_id":n or null}). Free it with `auditrail_buffer_free`.
/// AUDITRAIL_ERR_NOT_FOUND if there is no trail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_check(
    root: *const c_char,
    report_json: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let report_json = unsafe { NewHandle::new(&report_json, "report_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, report_json, || {
        Ok(check::check(root.path()?)?.to_json().into())
    })
}

/// The same for a trail whose old segments were deleted or moved away. Events
/// before `first_id` may be missing, as in `auditrail_verify`, and so may the
/// segments that held no others: these are no faults, and "pruned_events" says
/// how many events do not exist before it. What is missing from `first_id` on is
/// a fault, and what is there is checked, whatever its id. 0 and 1: nothing may be
/// missing. AUDITRAIL_ERR_NOT_FOUND if there is no trail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_check_pruned(
    root: *const c_char,
    first_id: u64,
    report_json: *mut *mut auditrail_buffer,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or NUL-terminated.
    let root = unsafe { CText::new(&root, "root") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let report_json = unsafe { NewHandle::new(&report_json, "report_json") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, report_json, || {
        let options = CheckOptions::new().pruned_before(first_id);
        Ok(options.run(root.path()?, |_| {})?.to_json().into())
    })
}
