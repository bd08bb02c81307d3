//! Which events a reader returns.

use super::error::same;
use super::{
    Bytes, Exclusive, Nothing, Out, Owned, Shared, auditrail_error, auditrail_status, call, free,
    new,
};
use crate::error::{Error, Result};
use crate::read::{Filter, Order};
use std::ffi::c_char;

/// In what order events are read: one of AUDITRAIL_ORDER_….
pub type auditrail_order = i32;

/// The default, and the cheapest. Stream after stream: domains and categories
/// sorted by name, within each the events as they were written.
pub const AUDITRAIL_ORDER_STREAM: auditrail_order = 0;
/// All streams together, the lowest id first.
pub const AUDITRAIL_ORDER_OLDEST_FIRST: auditrail_order = 1;
/// All streams together, the highest id first.
pub const AUDITRAIL_ORDER_NEWEST_FIRST: auditrail_order = 2;

/// Which events to read. For one thread at a time.
pub struct auditrail_filter {
    pub(super) filter: Filter,
}

/// A new filter. It lets everything through, in stream order; what is added to
/// it narrows it. An event passes if, of each property for which something was
/// added, it has one of the added values. Free it with `auditrail_filter_free`.
#[unsafe(no_mangle)]
pub extern "C" fn auditrail_filter_new() -> *mut auditrail_filter {
    new(|| auditrail_filter {
        filter: Filter::new(),
    })
}

/// Frees a filter. NULL is accepted. Readers that were opened with it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_free(filter: *mut auditrail_filter) {
    // SAFETY: by the header NULL or a filter that nobody uses any more.
    free(unsafe { Owned::new(filter) });
}

/// Adds a domain to those that are let through.
/// AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no domain can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_domain(
    filter: *mut auditrail_filter,
    domain: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let domain = unsafe { Bytes::new(&domain, length, "domain") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        filter.get()?.filter.domain(domain.text()?)
    })
}

/// Adds a category to those that are let through.
/// AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no category can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_category(
    filter: *mut auditrail_filter,
    category: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let category = unsafe { Bytes::new(&category, length, "category") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        filter.get()?.filter.category(category.text()?)
    })
}

/// Adds a model name (UTF-8) to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_model_name(
    filter: *mut auditrail_filter,
    model_name: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let model_name = unsafe { Bytes::new(&model_name, length, "model_name") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(filter.get()?.filter.model_name(model_name.text()?))
    })
}

/// Adds an operation to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_operation(
    filter: *mut auditrail_filter,
    operation: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let operation = unsafe { Bytes::new(&operation, length, "operation") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(filter.get()?.filter.operation(operation.text()?))
    })
}

/// Adds a user (logical_user_id, UTF-8) to those that are let through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_add_user(
    filter: *mut auditrail_filter,
    user: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let user = unsafe { Bytes::new(&user, length, "user") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(filter.get()?.filter.user(user.text()?))
    })
}

/// Lets only events with this request_id (UTF-8) through.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_request_id(
    filter: *mut auditrail_filter,
    request_id: *const c_char,
    length: usize,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or `length` bytes.
    let request_id = unsafe { Bytes::new(&request_id, length, "request_id") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(filter.get()?.filter.request_id(request_id.text()?))
    })
}

/// Lets only event ids from `min` to `max` through, both included; 0 and
/// UINT64_MAX leave a side open. They are found by search: what comes before
/// is not read. AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_event_ids(
    filter: *mut auditrail_filter,
    min: u64,
    max: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || filter.get()?.filter.event_ids(min, max))
}

/// Lets only timestamps (Unix seconds) from `min` to `max` through, both
/// included; INT64_MIN and INT64_MAX leave a side open.
/// AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_timestamps(
    filter: *mut auditrail_filter,
    min: i64,
    max: i64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || filter.get()?.filter.timestamps(min, max))
}

/// The order of the events. AUDITRAIL_ERR_INVALID_ARGUMENT if it is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_order(
    filter: *mut auditrail_filter,
    order: auditrail_order,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        let order = order_of(order)?;
        Ok(filter.get()?.filter.order(order))
    })
}

/// Whether segments may be skipped that, as a writer has recorded, hold no event of
/// the wanted timestamps: not 0, the default. With 0 what is returned depends on
/// nothing but the events; `auditrail_check` compares what is recorded with them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_use_hints(
    filter: *mut auditrail_filter,
    use_hints: i32,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || {
        Ok(filter.get()?.filter.use_hints(use_hints != 0))
    })
}

/// Returns this many events at most; 0, the default: no limit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn auditrail_filter_set_limit(
    filter: *mut auditrail_filter,
    events: u64,
    error: *mut auditrail_error,
) -> auditrail_status {
    // SAFETY: by the header NULL or a filter that no other thread uses now.
    let filter = unsafe { Exclusive::new(&filter, "filter") };
    // SAFETY: by the header NULL or the caller's to be written to.
    let error = unsafe { Out::new(&error) };
    call(error, Nothing, || Ok(filter.get()?.filter.limit(events)))
}

fn order_of(number: auditrail_order) -> Result<Order> {
    // An order that has no number, or another, does not compile.
    let is_it = |order: &Order| {
        number
            == match order {
                Order::Stream => const { same(AUDITRAIL_ORDER_STREAM, Order::Stream as i32) },
                Order::OldestFirst => {
                    const { same(AUDITRAIL_ORDER_OLDEST_FIRST, Order::OldestFirst as i32) }
                }
                Order::NewestFirst => {
                    const { same(AUDITRAIL_ORDER_NEWEST_FIRST, Order::NewestFirst as i32) }
                }
            }
    };
    [Order::Stream, Order::OldestFirst, Order::NewestFirst]
        .into_iter()
        .find(is_it)
        .ok_or_else(|| Error::argument(format!("order {number} is none")))
}

/// The filter behind a handle; NULL: one that lets everything through.
pub(super) fn filter_of(filter: Shared<'_, auditrail_filter>) -> Filter {
    filter
        .optional()
        .map_or_else(Filter::new, |filter| filter.filter.clone())
}
